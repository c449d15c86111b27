"""Kernel + parameters + schedule + times -> profile; one subject and many through the same door.

``solve`` is the array interface: arrays in, arrays out, subjects spread over threads in chunks (the compiled code holds no lock), so that a
result does not depend on the number of threads. ``simulate`` is the interface for people: names, units, virtual subjects, a tidy table.
"""

from __future__ import annotations

import ctypes
import difflib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.dosing import EventTable, Schedule, time_units_per_day
from pkpd.errors import InputError, SolverError
from pkpd.kernel import Kernel, cache_folder, load
from pkpd.ode import layout, unit
from pkpd.ode.status import SUCCESS, sentence

if TYPE_CHECKING:
    import os as _os

    import pandas as pd

    from pkpd.symbolic.model import Model

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEWEST_IN_LANES = 2 * layout.LANES
SMALLEST_CHUNK = 64  # in lanes: enough to keep them filled, and records that stay in the cache
CHUNKS_PER_THREAD = 8  # enough to even out subjects of different cost, and to report progress
STATISTICS = ("rhs", "jacobians", "factorisations", "steps", "rejected")


@dataclass(frozen=True)
class Solution:
    """What ``solve`` returns; times in the order given.

    outputs : (n_subjects, n_times, n_outputs), nan for a failed subject; states : (n_subjects, n_times, n_states) or None;
    sensitivities : (n_subjects, n_times, n_outputs, n_directions) or None, of outputs by directions; state_sensitivities : the same of states;
    status : (n_subjects,), 0 is success; stopped : (n_subjects,), the time reached; counts : (n_subjects, 5) right-hand sides, Jacobians,
    factorisations, steps, rejected steps; method : (n_subjects,), key of ``layout.METHOD_SENTENCES``.
    """

    outputs: Floats
    states: Floats | None
    sensitivities: Floats | None
    state_sensitivities: Floats | None
    status: Integers
    stopped: Floats
    counts: Integers
    method: Integers
    time_unit: str

    @property
    def statistics(self) -> dict[str, Any]:
        """Totals over subjects, and how many were solved by which method."""
        totals: dict[str, Any] = {name: int(self.counts[:, i].sum()) for i, name in enumerate(STATISTICS)}
        for code, words in layout.METHOD_SENTENCES.items():
            count = int(np.count_nonzero(self.method == code))
            if count:
                totals[f"method: {words}"] = count
        return totals

    def failure(self, subject: int) -> str:
        """A sentence on what stopped a subject."""
        return f"subject {subject} stopped at t = {self.stopped[subject]:.6g} {self.time_unit}: {sentence(int(self.status[subject]))}"

    def check(self) -> Solution:
        """Self, or a ``SolverError`` that names the first failed subject."""
        failed = np.flatnonzero(self.status != SUCCESS)
        if failed.size:
            more = f" ({failed.size} of {self.status.size} subjects failed)" if self.status.size > 1 else ""
            raise SolverError(self.failure(int(failed[0])) + more)
        return self


def solve(
    kernel: Kernel,
    parameters: ArrayLike,
    events: EventTable,
    times: ArrayLike,
    *,
    rtol: float = 1e-6,
    atol: ArrayLike | None = None,
    method: str = "auto",
    directions: Sequence[int | str] = (),
    control_sensitivities: bool = True,
    keep_states: bool = False,
    h_max: float = np.inf,
    max_steps: int = 1_000_000,
    threads: int | None = None,
    lanes: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Solution:
    """Integrate subjects, each with its own parameters, under one table of doses.

    Parameters
    ----------
    parameters : (n_subjects, n_params) or (n_params,), parameters and covariates in the order of ``kernel.PARAMETERS``.
    times : (n_times,), in the model's time unit, in any order; an output at a dose's own instant is taken after the dose. Initial values hold
        at time 0, or at the first output or dose before it.
    rtol, atol : a step is accepted when each state's error is within ``atol + rtol |y|``; atol : scalar or (n_states,). Without atol, the scale
        of a state is a small fraction of the largest value it has had.
    method : "auto" (explicit, and stiffly accurate Rosenbrock once the problem proves stiff), "tsit5" or "rodas5p".
    directions : what to differentiate by: a parameter by index or name, the initial value of a state as "state(0)", the amount of the k-th dose
        of the table as "dose[k]".
    control_sensitivities : whether the error of sensitivities decides on steps like that of states, for relative changes. Without it they are still the
        exact derivatives of the steps taken, at about half the cost. Not for an explicit method near a rest: nothing then keeps its steps short enough for
        the sensitivities to be stable.
    lanes : whether many subjects are integrated side by side in vector registers. A subject's result does not depend on it, but for the last digits of exp,
        log and powers in the model.
    progress : called with (subjects done, subjects in all) now and then.

    Raises
    ------
    InputError : shapes that do not fit, an unknown method or direction, values that are not finite.
    """
    p, output_times, order = _checked(kernel, parameters, times, rtol, method)
    slots, scales, by_initial, by_dose = _seeds(kernel, events, p, directions)
    n, m = kernel.n_states, scales.shape[1]
    n_subjects, n_times = p.shape[0], output_times.size
    width = kernel.n_outputs + (n if keep_states else 0)
    in_lanes = lanes and not m and n_subjects >= FEWEST_IN_LANES
    task = _Task(
        kernel,
        events,
        output_times,
        rtol,
        atol,
        method,
        slots,
        m,
        control_sensitivities,
        width,
        h_max,
        max_steps,
        in_lanes,
    )

    out = np.empty((n_subjects, n_times, width))
    out_dot = np.empty((n_subjects, n_times, width, m)) if m else np.zeros(1)
    counts = np.zeros((n_subjects, layout.N_COUNTS), np.int64)
    status = np.zeros(n_subjects, np.int64)
    stopped = np.zeros(n_subjects)

    def run(first: int, end: int) -> None:
        storage = task.storage(end - first)
        if m:
            task.place_seeds(storage, by_initial, by_dose)
        task.call(storage, p, counts, out, out_dot, status, stopped, scales, first, end)

    _spread(run, n_subjects, threads, progress, SMALLEST_CHUNK if in_lanes else 1)
    if m:
        out_dot[status != SUCCESS] = np.nan
        out_dot = out_dot[..., : len(directions)] / scales[:, None, None, : len(directions)]
    if order is not None:
        out[:, order] = out.copy()
        if m:
            out_dot[:, order] = out_dot.copy()
    k = kernel.n_outputs
    return Solution(
        outputs=out[:, :, :k],
        states=out[:, :, k:] if keep_states else None,
        sensitivities=out_dot[:, :, :k] if m else None,
        state_sensitivities=out_dot[:, :, k:] if m and keep_states else None,
        status=status,
        stopped=stopped,
        counts=counts[
            :, [layout.RHS_CALLS, layout.JACOBIANS, layout.FACTORISATIONS, layout.STEPS, layout.REJECTED]
        ],
        method=counts[:, layout.METHOD_USED],
        time_unit=kernel.TIME_UNIT,
    )


def _checked(
    kernel: Kernel, parameters: ArrayLike, times: ArrayLike, rtol: float, method: str
) -> tuple[Floats, Floats, Integers | None]:
    p = np.ascontiguousarray(np.atleast_2d(np.asarray(parameters, dtype=np.float64)))
    if p.ndim != 2 or p.shape[1] != kernel.n_params or p.shape[0] == 0:
        raise InputError(
            f"parameters have shape {np.shape(parameters)}; {kernel.NAME} takes (n_subjects, {kernel.n_params}): {', '.join(kernel.PARAMETERS)}"
        )
    output_times = np.ascontiguousarray(np.atleast_1d(np.asarray(times, dtype=np.float64)))
    if output_times.ndim != 1 or output_times.size == 0 or not np.all(np.isfinite(output_times)):
        raise InputError("output times must be a one-dimensional array of finite numbers, at least one")
    if not (np.isfinite(rtol) and 0.0 < rtol < 1.0):
        raise InputError(f"rtol must lie between 0 and 1, not {rtol!r}")
    if method not in layout.METHODS:
        raise InputError(f'unknown method "{method}"; there are {", ".join(layout.METHODS)}')
    if np.all(output_times[1:] >= output_times[:-1]):
        return p, output_times, None
    order = np.argsort(output_times, kind="stable")
    return p, output_times[order], order


def _seeds(
    kernel: Kernel, events: EventTable, p: Floats, directions: Sequence[int | str]
) -> tuple[Integers, Floats, Floats, Floats]:
    """Direction of each parameter or -1, scales (n_subjects, m), and tangents of initial values (n_states, m) and doses (n_doses, m).

    A direction is a relative change, so that its sensitivity has the states' units and their tolerance; the scale is what to divide by
    afterwards. m is the number of directions, rounded up to whole vectors.
    """
    m = -(-len(directions) // layout.LANES) * layout.LANES
    slots = np.full(kernel.n_params, -1, np.int64)
    by_initial = np.zeros((kernel.n_states, m))
    by_dose = np.zeros((len(events), m))
    scale = np.ones((p.shape[0], m))
    for d, direction in enumerate(directions):
        if isinstance(direction, str):
            if state := re.fullmatch(r"(\w+)\(0\)", direction):
                index = _index(state[1], kernel.STATES, "state", kernel)
                if kernel.STEADY[index]:
                    raise InputError(
                        f"{direction}: the initial value of {state[1]} is a steady state of the parameters, not free"
                    )
                by_initial[index, d] = 1.0
                continue
            if dose := re.fullmatch(r"dose\[(\d+)\]", direction):
                if int(dose[1]) >= len(events):
                    raise InputError(
                        f"{direction}: the schedule has only {len(events)} doses, counted from 0"
                    )
                amount = events.amount[int(dose[1])] or 1.0
                by_dose[int(dose[1]), d] = amount
                scale[:, d] = amount
                continue
            direction = _index(direction, kernel.PARAMETERS, "parameter", kernel)
        if not 0 <= direction < kernel.n_params:
            raise InputError(
                f"direction {direction} is not the index of a parameter of {kernel.NAME} (0..{kernel.n_params - 1})"
            )
        if slots[direction] >= 0:
            raise InputError(f"{kernel.PARAMETERS[direction]} is named twice among the directions")
        slots[direction] = d
        scale[:, d] = np.where(p[:, direction] == 0.0, 1.0, p[:, direction])
    return slots, scale, by_initial, by_dose


def _index(name: str, names: Sequence[str], what: str, kernel: Kernel) -> int:
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or list(names)
        raise InputError(f'{kernel.NAME} has no {what} "{name}"; did you mean {", ".join(close)}?')
    return list(names).index(name)


_VOID_CALL = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * 16), ctypes.c_int64, ctypes.c_int64)


def _unit_address(name: str) -> int:
    return unit.address(name, cache_folder())


@dataclass(frozen=True)
class _Storage:
    """What one thread needs for itself."""

    control: Floats
    state: Floats
    work: Floats
    tangent: Floats
    events: Floats


class _Task:
    """Everything that all subjects of one call share, laid out as ``pkpd.ode.layout`` says."""

    def __init__(
        self,
        kernel: Kernel,
        events: EventTable,
        times: Floats,
        rtol: float,
        atol: ArrayLike | None,
        method: str,
        slots: Integers,
        m: int,
        control_sensitivities: bool,
        width: int,
        h_max: float,
        max_steps: int,
        lanes: bool,
    ) -> None:
        n = kernel.n_states
        free = np.flatnonzero(kernel.STEADY)
        code = layout.METHODS[method]

        self.address = np.zeros(layout.N_ADDRESSES, np.int64)
        self.address[: len(kernel.plain_address)] = kernel.plain_address
        if code != layout.RODAS5P:
            self.address[layout.EXPLICIT] = _unit_address("explicit")
        if code != layout.TSIT5:
            self.address[layout.ROSENBROCK] = _unit_address("rosenbrock")
        if free.size:
            self.address[layout.REST] = _unit_address("rest")
        if m:
            self.address[layout.DFDP : layout.CONTRACT_LANES + 1] = kernel.sensitivity_address
            self.address[layout.EXPLICIT_TANGENT] = _unit_address("explicit_tangent")
            self.address[layout.ROSENBROCK_TANGENT] = _unit_address("rosenbrock_tangent")
            self.address[layout.EMIT_TANGENT] = _unit_address("emit_tangent")
            self.address[layout.INITIAL_TANGENT] = _unit_address("initial_tangent")
            self.address[layout.EVENT_TANGENT] = _unit_address("event_tangent")
        if lanes:
            self.address[layout.RHS_WIDE : layout.SOLVE_WIDE + 1] = kernel.wide_address
        self.function = _VOID_CALL(_unit_address("subjects_in_lanes" if lanes else "subjects"))

        sizes = np.zeros(layout.N_SIZES, np.int64)
        for slot, value in {
            layout.N_STATES: n,
            layout.N_PARAMS: kernel.n_params,
            layout.N_OUTPUTS: kernel.n_outputs,
            layout.WIDTH: width,
            layout.N_TIMES: times.size,
            layout.N_LU: kernel.N_LU,
            layout.N_ROUTES: len(kernel.ROUTES),
            layout.N_DOSES: len(events),
            layout.N_DIRECTIONS: m,
            layout.N_STEADY: free.size,
            layout.METHOD: code,
            layout.WIDE: layout.wide(n),
            layout.N_PREPARED: kernel.n_params + kernel.N_CONSTANTS + (kernel.N_DCONSTANTS if m else 0),
        }.items():
            sizes[slot] = value
        none = np.zeros((0, 3), np.int64)
        patterns: dict[int, Integers] = {
            layout.AT_J: np.column_stack([kernel.J_ROWS, kernel.J_COLS]),
            layout.AT_DIAGONAL: np.flatnonzero(kernel.J_ROWS == kernel.J_COLS),
            layout.AT_STEADY: free,
            layout.AT_TARGETS: kernel.ROUTE_TARGETS,
            layout.AT_SLOTS: slots,
        }
        sizes[layout.N_JACOBIAN] = len(kernel.J_ROWS)
        if m:
            nonzeros = (
                len(kernel.P_ROWS),
                len(kernel.H_ENTRY),
                len(kernel.G_ROWS),
                len(kernel.D_ROWS),
                len(kernel.R_ROWS),
            )
            sizes[
                [layout.N_DFDP, layout.N_HESSIAN, layout.N_DOUTPUTS, layout.N_DINITIAL, layout.N_DROUTES]
            ] = nonzeros
            patterns |= {
                layout.AT_P: _by_parameter(kernel.P_ROWS, kernel.P_COLS, slots),
                layout.AT_H_STATE: _by_state(kernel.H_ENTRY, kernel.H_Z, n),
                layout.AT_H_PARAM: _by_parameter(kernel.H_ENTRY, kernel.H_Z - n, slots),
                layout.AT_G_STATE: _by_state(kernel.G_ROWS, kernel.G_Z, n),
                layout.AT_G_PARAM: _by_parameter(kernel.G_ROWS, kernel.G_Z - n, slots),
                layout.AT_D: _by_parameter(kernel.D_ROWS, kernel.D_COLS, slots),
                layout.AT_R: _by_parameter(kernel.R_ROWS, kernel.R_COLS, slots),
            }
        at = layout.N_SIZES
        flat = []
        for slot in range(layout.AT_J, layout.AT_END):
            sizes[slot] = at
            flat.append(np.asarray(patterns.get(slot, none), dtype=np.int64).ravel())
            at += flat[-1].size
        sizes[layout.AT_END] = at
        sizes[layout.CONTROLLED] = control_sensitivities
        self.sizes = np.concatenate([sizes, *flat])

        self.times = times
        self.doses = np.column_stack(
            [events.time, events.amount, events.route, events.duration, events.size]
        ).astype(np.float64)
        if len(events) and not np.all(np.isfinite(events.amount)):
            raise InputError("a dose is not a finite number")
        start = min(0.0, times[0], events.time[0] if len(events) else 0.0)
        self.control = np.zeros(layout.N_CONTROL)
        self.control[[layout.RTOL, layout.AUTOMATIC, layout.H_MAX, layout.MAX_STEPS, layout.START]] = (
            rtol, float(atol is None), h_max, max_steps, start,
        )  # fmt: skip
        self.atol = np.zeros(n)
        if atol is not None:
            try:
                self.atol[:] = np.asarray(atol, dtype=np.float64)
            except ValueError:
                raise InputError(
                    f"atol must be one number or {n}, one for each of {', '.join(kernel.STATES)}"
                ) from None
            if not np.all(self.atol >= 0.0):
                raise InputError("atol must not be negative")
        self.lanes = lanes
        self.record_size = layout.record_size(n, int(sizes[layout.N_PREPARED]), len(events))
        self.sizes[layout.RECORD] = self.record_size
        self.n, self.m = n, m
        self.n_prepared = int(sizes[layout.N_PREPARED])
        self.work_size = layout.work_size(
            n, len(kernel.J_ROWS), kernel.N_LU, free.size, len(kernel.ROUTES), m
        )
        self.tangent_size = 1
        if m:
            total = int(sizes[layout.N_JACOBIAN]) + sum(nonzeros)
            self.tangent_size = layout.tangent_size(
                n, m, len(kernel.ROUTES), len(events), total, len(kernel.J_ROWS)
            )

    def storage(self, n_subjects: int) -> _Storage:
        """Room for one chunk of subjects."""
        wide = layout.wide(self.n)
        state = _aligned(4 * wide + self.n_prepared)
        state[2 * wide : 2 * wide + self.n] = self.atol
        return _Storage(
            self.control.copy(),
            state,
            _aligned(self.work_size),
            _aligned(self.room_size(n_subjects) if self.lanes else self.tangent_size),
            _aligned(
                n_subjects * self.record_size if self.lanes else max(1, 2 * len(self.doses)) * layout.EVENT
            ),
        )

    def room_size(self, n_subjects: int) -> int:
        return layout.room_size(
            self.n,
            self.n_prepared,
            int(self.sizes[layout.N_JACOBIAN]),
            int(self.sizes[layout.N_LU]),
            n_subjects,
        )

    def place_seeds(self, storage: _Storage, by_initial: Floats, by_dose: Floats) -> None:
        """The tangents of initial values and doses stand at the end of the tangent's storage."""
        tail = np.concatenate([by_initial.ravel(), by_dose.ravel()])
        storage.tangent[self.tangent_size - tail.size :] = tail

    def call(
        self,
        storage: _Storage,
        p: Floats,
        counts: Integers,
        out: Floats,
        out_dot: Floats,
        status: Integers,
        stopped: Floats,
        scales: Floats,
        first: int,
        end: int,
    ) -> None:
        arrays = (
            self.address, self.sizes, storage.control, storage.state, p, self.doses, self.times, counts, out, storage.work, storage.tangent,
            out_dot, storage.events, status, stopped, scales,
        )  # fmt: skip
        self.function(*(array.ctypes.data for array in arrays), first, end)


def _aligned(size: int) -> Floats:
    """Noughts that start where a cache line does: a vector is then never on two."""
    line = 8 * layout.LANES
    room = np.zeros(size + layout.LANES)
    return room[-(room.ctypes.data // 8) % (line // 8) :][:size]


def _by_state(rows: Integers, z: Integers, n: int) -> Integers:
    """(nonzero, row, state) of the derivatives by states, z < n; shape (count, 3)."""
    chosen = np.flatnonzero(z < n)
    return np.column_stack([chosen, rows[chosen], z[chosen]])


def _by_parameter(rows: Integers, parameters: Integers, slots: Integers) -> Integers:
    """(nonzero, row, direction) of the derivatives by the parameters that have a direction; shape (count, 3)."""
    chosen = np.flatnonzero(parameters >= 0)
    chosen = chosen[slots[parameters[chosen]] >= 0]
    return np.column_stack([chosen, rows[chosen], slots[parameters[chosen]]])


def _spread(
    run: Callable[[int, int], None],
    n: int,
    threads: int | None,
    progress: Callable[[int, int], None] | None,
    smallest: int,
) -> None:
    """Run ``run(first, end)`` over chunks of 0..n on threads; Ctrl-C stops after the chunks that are running."""
    workers = min(n, threads or usable_cores())
    size = max(min(smallest, -(-n // workers)), n // (CHUNKS_PER_THREAD * workers))
    chunks = [(first, min(first + size, n)) for first in range(0, n, size)]
    if len(chunks) == 1:
        run(0, n)
        if progress is not None:
            progress(n, n)
        return
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run, *chunk): chunk for chunk in chunks}
        try:
            waiting = set(futures)
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done += futures[future][1] - futures[future][0]
                if progress is not None:
                    progress(done, n)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Profile:
    """Simulated outputs over time.

    times : (n_times,), in ``time_unit``; outputs : (n_subjects, n_times, n_outputs), nan where a subject failed; names, units, descriptions of the
    outputs; parameters : (n_subjects, n_params), named by ``parameter_names``; status : (n_subjects,), 0 is success.
    """

    model: str
    schedule: Schedule
    times: Floats
    time_unit: str
    outputs: Floats
    names: tuple[str, ...]
    units: tuple[str, ...]
    descriptions: tuple[str, ...]
    parameters: Floats
    parameter_names: tuple[str, ...]
    status: Integers
    statistics: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Floats:
        """The values of one output, (n_subjects, n_times)."""
        if name not in self.names:
            raise InputError(f'{self.model} has no output "{name}"; it has {", ".join(self.names)}')
        return self.outputs[:, :, self.names.index(name)]

    def to_frame(self) -> pd.DataFrame:
        """A tidy table: a row per subject and time, a column per output."""
        import pandas as pd

        n_subjects, n_times, _ = self.outputs.shape
        columns: dict[str, Any] = {
            "subject": np.repeat(np.arange(n_subjects), n_times),
            "time": np.tile(self.times, n_subjects),
        }
        for i, name in enumerate(self.names):
            columns[name] = self.outputs[:, :, i].ravel()
        frame = pd.DataFrame(columns)
        frame.attrs = {
            "model": self.model,
            "time_unit": self.time_unit,
            "units": dict(zip(self.names, self.units, strict=True)),
        }
        return frame

    def summary(self, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> pd.DataFrame:
        """Quantiles over subjects: a row per output and time."""
        import pandas as pd

        values = np.nanquantile(self.outputs, quantiles, axis=0)
        rows: Iterator[pd.DataFrame] = (
            pd.DataFrame(
                {"output": name, "unit": self.units[i], "time": self.times}
                | {f"q{100 * q:g}": values[j, :, i] for j, q in enumerate(quantiles)}
            )
            for i, name in enumerate(self.names)
        )
        return pd.concat(rows, ignore_index=True)


def simulate(
    model: str | _os.PathLike[str] | Model | Kernel,
    schedule: str | Schedule,
    times: ArrayLike | None = None,
    *,
    parameters: Mapping[str, float] | None = None,
    subjects: int = 1,
    seed: int = 0,
    rtol: float = 1e-6,
    atol: ArrayLike | None = None,
    method: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Profile:
    """Simulate a model under a dosing schedule.

    Parameters
    ----------
    model : name in the library, path of a model file, or a loaded kernel.
    schedule : in the schedule language, such as "1 MIU sc daily x5 every 28 d x3".
    times : output times in the model's time unit; by default 201 points to twice the schedule's span, at least one day.
    parameters : values that replace those of the model file, by name, in the model's units.
    subjects : 1 is the typical subject; more are drawn from the model's between-subject variability, subject k always with the same draws for a
        seed, however many there are and on however many threads.

    Raises
    ------
    InputError : an unknown name, a value outside its bounds, a schedule that does not fit the model.
    SolverError : no subject could be integrated; single failures are marked in ``Profile.status``.
    """
    kernel = model if isinstance(model, Kernel) else load(model)
    doses = schedule if isinstance(schedule, Schedule) else _parsed(schedule)
    events = doses.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    if times is None:
        span = events.time[-1] if len(events) else 0.0
        times = np.linspace(0.0, max(2.0 * span, time_units_per_day(kernel.TIME_UNIT)), 201)
    values = population(kernel, subjects, seed, parameters)
    started = time.perf_counter()
    solution = solve(
        kernel, values, events, times, rtol=rtol, atol=atol, method=method, threads=threads, progress=progress
    )
    if np.all(solution.status != SUCCESS):
        solution.check()
    return Profile(
        model=kernel.NAME,
        schedule=doses,
        times=np.atleast_1d(np.asarray(times, dtype=np.float64)),
        time_unit=kernel.TIME_UNIT,
        outputs=solution.outputs,
        names=tuple(kernel.OUTPUTS),
        units=tuple(kernel.OUTPUT_UNITS),
        descriptions=tuple(kernel.OUTPUT_DESCRIPTIONS),
        parameters=values,
        parameter_names=tuple(kernel.PARAMETERS),
        status=solution.status,
        statistics=solution.statistics,
        provenance={
            "model_hash": kernel.HASH,
            "seed": seed,
            "rtol": rtol,
            "atol": "automatic" if atol is None else np.asarray(atol).tolist(),
            "method": method,
            "seconds": time.perf_counter() - started,
        },
    )


_parsed = lru_cache(maxsize=256)(Schedule.parse)  # reading a schedule takes a tenth of a simulation


def population(
    kernel: Kernel, subjects: int, seed: int = 0, parameters: Mapping[str, float] | None = None
) -> Floats:
    """Parameters of virtual subjects, (subjects, n_params); one subject is the typical one.

    Each draw belongs to (seed, subject, parameter) through a counter-based generator (Philox: Salmon et al., SC 2011).
    """
    if subjects < 1:
        raise InputError(f"the number of subjects must be at least 1, not {subjects}")
    typical = typical_values(kernel, parameters)
    values = np.tile(typical, (subjects, 1))
    spread = np.array([between[1] if between else 0.0 for between in kernel.BETWEEN], dtype=np.float64)
    if subjects == 1 or not spread.any():
        return values
    draws = np.empty((subjects, kernel.n_params))
    for subject in range(subjects):
        draws[subject] = np.random.Generator(
            np.random.Philox(key=seed, counter=[0, 0, subject, 0])
        ).standard_normal(kernel.n_params)
    values *= np.exp(spread * draws)
    return np.clip(values, kernel.LOWER, kernel.UPPER)


def typical_values(kernel: Kernel, parameters: Mapping[str, float] | None = None) -> Floats:
    """The model's values with replacements by name, (n_params,); names and bounds are checked."""
    values = np.array(kernel.VALUES, dtype=np.float64)
    for name, value in (parameters or {}).items():
        index = _index(name, kernel.PARAMETERS, "parameter", kernel)
        if not (np.isfinite(value) and kernel.LOWER[index] <= value <= kernel.UPPER[index]):
            raise InputError(
                f"{name} = {value!r} is outside its bounds {kernel.LOWER[index]:g} .. {kernel.UPPER[index]:g} [{kernel.UNITS[index]}]"
            )
        values[index] = value
    return values
