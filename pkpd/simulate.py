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
from pkpd.ode.control import partners
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
MOST_SUBJECTS = 1_000_000  # whose parameters alone take 0.4 GB with fifty of them
STATISTICS = ("rhs", "jacobians", "factorisations", "steps", "rejected", "switches", "clipped")


@dataclass(frozen=True)
class Root:
    """A level that is looked out for: of an output or a state by name, in the model's units; one number, or (n_subjects,).

    direction : 1 for crossings upwards only, -1 downwards only, 0 both.
    """

    name: str
    level: ArrayLike
    direction: int = 0


@dataclass(frozen=True)
class Crossings:
    """When levels were crossed, from the start of a solve to its last output time. To be above a level is to be greater than it.

    times : (n_subjects, n_roots, most), ascending, nan where there are no more; a crossing by a dose has the dose's time. count : (n_subjects, n_roots), how many
    there were in the direction asked, kept or not, -1 for a failed subject; above_at_start : (n_subjects, n_roots), after the doses of that instant; time_above :
    (n_subjects, n_roots), in the model's time unit, whatever the directions and however many crossings. With direction 0 crossings go up and down by turns.
    """

    roots: tuple[Root, ...]
    times: Floats
    count: Integers
    above_at_start: NDArray[np.bool_]
    time_above: Floats

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(n_subjects, n_roots) whether every crossing was kept."""
        return np.asarray((self.count >= 0) & (self.count <= self.times.shape[2]))


@dataclass(frozen=True)
class Solution:
    """What ``solve`` returns; times in the order given.

    outputs : (n_subjects, n_times, n_outputs), nan for a failed subject; states : (n_subjects, n_times, n_states) or None;
    sensitivities : (n_subjects, n_times, n_outputs, n_directions) or None, of outputs by directions; state_sensitivities : the same of states;
    status : (n_subjects,), 0 is success; stopped : (n_subjects,), the time reached; counts : (n_subjects, 7) right-hand sides, Jacobians,
    factorisations, steps, rejected steps, switches of method, steps after which a state was clipped to nought; largest_error : (n_subjects,) the largest error estimate of an accepted step in units of
    the tolerance; switched : (n_subjects, 2) when the method changed first and last, nan if it never did; crossings : of the roots that were asked for; method : (n_subjects,), what ``layout.method_sentence`` reads, of the two ``methods`` (explicit, stiff).
    """

    outputs: Floats
    states: Floats | None
    sensitivities: Floats | None
    state_sensitivities: Floats | None
    status: Integers
    stopped: Floats
    counts: Integers
    method: Integers
    methods: tuple[str, str]
    largest_error: Floats
    switched: Floats
    crossings: Crossings | None
    time_unit: str

    @property
    def statistics(self) -> dict[str, Any]:
        """Totals over subjects, the largest error of a step, and how many were solved by which method."""
        totals: dict[str, Any] = {name: int(self.counts[:, i].sum()) for i, name in enumerate(STATISTICS)}
        totals["largest error of a step, in tolerances"] = round(float(self.largest_error.max()), 3)
        if np.isfinite(self.switched).any():
            first, last = float(np.nanmin(self.switched)), float(np.nanmax(self.switched))
            totals["first and last change of method"] = f"t = {first:.6g} and {last:.6g} {self.time_unit}"
        for code, count in zip(*np.unique(self.method, return_counts=True), strict=True):
            totals[f"method: {layout.method_sentence(code, *self.methods)}"] = int(count)
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
    slack: float = 30.0,
    keep_states: bool = False,
    covariates: Sequence[tuple[float, str, float]] = (),
    h_max: float = np.inf,
    max_steps: int = 1_000_000,
    roots: Sequence[Root | tuple[Any, ...]] = (),
    most_crossings: int = 64,
    non_negative: bool | Sequence[str] = False,
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
    method : "auto" (explicit, and stiffly accurate Rosenbrock where the problem proves stiff, both chosen by rtol), "tsit5" or "vern7" (explicit),
        "rodas4" or "rodas5p" (stiff); "linear" for a model that is linear in its states, by the matrix exponential, without any tolerance.
    directions : what to differentiate by: a parameter by index or name, the initial value of a state as "state(0)", the amount of the k-th dose
        of the table as "dose[k]".
    slack : how many times larger than those of the states the errors of sensitivities, to relative changes, may be in a step. They are the exact
        derivatives of the steps taken; with the default their control adds few steps, with 1 they are as accurate as the states at about twice the cost.
    covariates : values that parameters or covariates take from a time on, (time, name, value), for all subjects: an exact restart. At one instant they come before
        doses; a dose has the lag, bioavailability and body size of its own time. Not together with sensitivities.
    roots : levels whose crossings are observed, each a ``Root`` or its fields: ``("C", 2.5)`` or ``("C", 2.5, -1)``. The steps are the same as without.
    most_crossings : of each root and subject, how many are kept.
    non_negative : states that are to be kept from falling below nought, or True for all: a fall counts as error, and what is left of one within the tolerance
        is clipped, after ``counts[:, 6]`` steps. Not together with sensitivities, which a clipped step does not have.
    lanes : whether many subjects are integrated side by side in vector registers, which is done where neither sensitivities, roots nor ``non_negative`` are asked
        for, and not with vern7. A
        subject's result does not depend on it, but for the last digits of exp, log and powers in the model.
    progress : called with (subjects done, subjects in all) now and then.

    Raises
    ------
    InputError : shapes that do not fit, an unknown method or direction, values that are not finite.
    """
    p, output_times, order = _checked(kernel, parameters, times, rtol, method)
    slots, scales, seeds = _seeds(kernel, events, p, directions) if len(directions) else (None, None, None)
    n, m = kernel.n_states, 0 if scales is None else scales.shape[1]
    n_subjects, n_times = p.shape[0], output_times.size
    width = kernel.n_outputs + (n if keep_states else 0)
    looked_for, columns, levels = _roots(kernel, roots, n_subjects, most_crossings)
    if not np.all(np.isfinite(events.amount)):
        raise InputError("a dose is not a finite number")
    kept = _non_negative(kernel, non_negative, m)
    rows = _with_changes(kernel, events, covariates, m) if covariates else events.rows
    if method == layout.LINEAR and (m or looked_for or len(kept)):
        raise InputError(
            "method='linear' goes without sensitivities, roots and non_negative; \"auto\" has them"
        )
    many = n_subjects >= FEWEST_IN_LANES and method != layout.LINEAR and partners(method, rtol)[0] != "vern7"
    in_lanes = lanes and many and not m and not looked_for and not len(kept)
    task = _Task(
        kernel,
        rows,
        output_times,
        rtol,
        atol,
        method,
        slots,
        m,
        slack,
        width,
        h_max,
        max_steps,
        columns,
        most_crossings,
        kept,
        in_lanes,
    )

    try:
        out = np.empty((n_subjects, n_times, width))
        out_dot = np.empty((n_subjects, n_times, width, m)) if m else None
    except MemoryError:
        raise InputError(
            f"there is not enough memory for {n_subjects:,} subjects at {n_times:,} times: their results take "
            f"{8e-9 * n_subjects * n_times * width * (1 + m):,.1f} GB; take fewer of either"
        ) from None
    counts = np.zeros((n_subjects, layout.N_COUNTS), np.int64)
    status = np.zeros(n_subjects, np.int64)
    reached = np.zeros((n_subjects, layout.REACHED))
    found = np.zeros((n_subjects, len(looked_for), layout.FOUND + most_crossings)) if looked_for else None

    def run(first: int, end: int) -> None:
        task.call(seeds, p, counts, out, out_dot, status, reached, scales, levels, found, first, end)

    workers = min(n_subjects, threads or usable_cores())
    smallest = min(SMALLEST_CHUNK if in_lanes else 1, -(-n_subjects // workers))
    spread(run, n_subjects, workers, max(smallest, n_subjects // (CHUNKS_PER_THREAD * workers)), progress)
    if out_dot is not None and scales is not None:
        out_dot[status != SUCCESS] = np.nan
        out_dot = out_dot[..., : len(directions)] / scales[:, None, None, : len(directions)]
    if order is not None:
        out[:, order] = out.copy()
        if out_dot is not None:
            out_dot[:, order] = out_dot.copy()
    k = kernel.n_outputs
    return Solution(
        outputs=out[:, :, :k],
        states=out[:, :, k:] if keep_states else None,
        sensitivities=None if out_dot is None else out_dot[:, :, :k],
        state_sensitivities=None if out_dot is None or not keep_states else out_dot[:, :, k:],
        status=status,
        stopped=reached[:, 0],
        counts=counts[:, _COUNTS],
        largest_error=reached[:, 1],
        switched=reached[:, 2:],
        crossings=None if found is None else _crossings(looked_for, found, status),
        method=counts[:, layout.METHOD_USED],
        methods=task.methods,
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
    if method not in (*layout.METHODS, layout.LINEAR):
        raise InputError(
            f'unknown method "{method}"; there are {", ".join((*layout.METHODS, layout.LINEAR))}'
        )
    if method == layout.LINEAR and not kernel.LINEAR:
        raise InputError(f'{kernel.NAME} is not linear in its states; "auto" integrates it')
    if np.all(output_times[1:] >= output_times[:-1]):
        return p, output_times, None
    order = np.argsort(output_times, kind="stable")
    return p, output_times[order], order


def _roots(
    kernel: Kernel, roots: Sequence[Root | tuple[Any, ...]], n_subjects: int, most: int
) -> tuple[tuple[Root, ...], Floats, Floats | None]:
    """The roots; column and direction of each, (n_roots, 2); levels (n_subjects, n_roots)."""
    if most < 1:
        raise InputError(f"most_crossings must be at least 1, not {most!r}")
    if not roots:
        return (), np.zeros((0, 2)), None
    given = tuple(root if isinstance(root, Root) else Root(*root) for root in roots)
    names = [*kernel.OUTPUTS, *kernel.STATES]  # an output hides a state of its name, which is the same
    columns = np.zeros((len(given), 2))
    levels = np.zeros((n_subjects, len(given)))
    for i, root in enumerate(given):
        columns[i] = _index(root.name, names, "output or state", kernel), root.direction
        if root.direction not in (-1, 0, 1):
            raise InputError(f"the direction of a root is -1, 0 or 1, not {root.direction!r}")
        level = np.asarray(root.level, dtype=np.float64)
        if level.shape not in ((), (n_subjects,)) or not np.all(np.isfinite(level)):
            raise InputError(
                f"the level of {root.name} must be one finite number or {n_subjects}, one for each subject"
            )
        levels[:, i] = level
    return given, columns, levels


def _with_changes(
    kernel: Kernel, events: EventTable, changes: Sequence[tuple[float, str, float]], m: int
) -> Floats:
    """The rows of an event table with changes of parameters among them: route -1, the value as amount, the parameter as size."""
    if m:
        raise InputError("covariates that change go without sensitivities")
    made = np.zeros((len(changes), layout.DOSE))
    for row, (time_, name, value) in zip(made, changes, strict=True):
        index = _index(name, kernel.PARAMETERS, "parameter", kernel)
        if not (np.isfinite(time_) and np.isfinite(value)):
            raise InputError(f"{name} cannot become {value!r} at {time_!r}: both must be finite numbers")
        row[:] = time_, value, -1.0, np.nan, index
    rows = np.concatenate([made, events.rows])
    return np.ascontiguousarray(rows[np.argsort(rows[:, 0], kind="stable")])


def _non_negative(kernel: Kernel, given: bool | Sequence[str], m: int) -> Integers:
    """Indices of the states that must not be negative."""
    if given is False:
        return np.zeros(0, np.int64)
    if m:
        raise InputError("non_negative goes without sensitivities: a clipped step has none")
    names = kernel.STATES if given is True else given
    return np.array([_index(name, kernel.STATES, "state", kernel) for name in names], dtype=np.int64)


def _crossings(roots: tuple[Root, ...], found: Floats, status: Integers) -> Crossings:
    failed = status != SUCCESS
    count = found[:, :, layout.COUNT].astype(np.int64)
    count[failed] = -1
    times = found[:, :, layout.FOUND :]
    times[np.arange(times.shape[2]) >= count[:, :, None]] = np.nan
    time_above = found[:, :, layout.TIME_ABOVE].copy()
    time_above[failed] = np.nan
    return Crossings(roots, times, count, found[:, :, layout.ABOVE_AT_START] > 0.0, time_above)


def _seeds(
    kernel: Kernel, events: EventTable, p: Floats, directions: Sequence[int | str]
) -> tuple[Integers, Floats, Floats]:
    """Direction of each parameter or -1, scales (n_subjects, m), and tangents of initial values (n_states, m) and doses (n_doses, m) in a row.

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
    return slots, scale, np.concatenate([by_initial.ravel(), by_dose.ravel()])


def _index(name: str, names: Sequence[str], what: str, kernel: Kernel) -> int:
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or list(names)
        raise InputError(f'{kernel.NAME} has no {what} "{name}"; did you mean {", ".join(close)}?')
    return list(names).index(name)


_VOID_CALL = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * 18), ctypes.c_int64, ctypes.c_int64)


def _unit_address(name: str) -> int:
    return unit.address(name, cache_folder())


class _Plan:
    """What solves of one model by one pair of methods share, laid out as ``pkpd.ode.layout`` says: functions, counts and patterns."""

    def __init__(
        self, kernel: Kernel, method: str, methods: tuple[str, str], m: int, n_roots: int, lanes: bool
    ) -> None:
        explicit, stiff = methods
        free = np.flatnonzero(kernel.STEADY)
        stages = 0
        self.address = np.zeros(layout.N_ADDRESSES, np.int64)
        self.address[: len(kernel.plain_address)] = kernel.plain_address
        code = layout.AUTO
        if method == layout.LINEAR:
            self.address[layout.EXPLICIT] = _unit_address("linear")
        elif method in layout.STIFF_METHODS:
            code = layout.STIFF_ONLY
        else:
            stages = layout.EXPLICIT_METHODS[explicit]
            self.address[layout.EXPLICIT] = _unit_address(explicit)
            if n_roots:
                self.address[layout.EXPLICIT_ROOTS] = _unit_address(f"{explicit}_roots")
            if m:
                self.address[layout.EXPLICIT_TANGENT] = _unit_address(f"{explicit}_tangent")
                self.address[layout.DENSE_TANGENT] = _unit_address(f"{explicit}_dense_tangent")
        if method in layout.EXPLICIT_METHODS or method == layout.LINEAR:
            code = layout.EXPLICIT_ONLY
        else:
            stages = max(stages, layout.STIFF_METHODS[stiff])
            self.address[layout.ROSENBROCK] = _unit_address(stiff)
            if n_roots:
                self.address[layout.ROSENBROCK_ROOTS] = _unit_address(f"{stiff}_roots")
            if m:
                self.address[layout.ROSENBROCK_TANGENT] = _unit_address(f"{stiff}_tangent")
        if n_roots:
            self.address[layout.OBSERVE] = _unit_address("observe")
        if free.size:
            self.address[layout.REST] = _unit_address("rest")
        if m:
            self.address[layout.D_RHS : layout.CONTRACT_LANES + 1] = kernel.tangent_address
            self.address[layout.EMIT_TANGENT] = _unit_address("emit_tangent")
            self.address[layout.INITIAL_TANGENT] = _unit_address("initial_tangent")
            self.address[layout.EVENT_TANGENT] = _unit_address("event_tangent")
        if lanes:
            self.address[layout.RHS_WIDE : layout.SOLVE_WIDE + 1] = kernel.wide_address
        self.function = _VOID_CALL(_unit_address(f"lanes_{stiff}" if lanes else "subjects"))

        n_prepared = kernel.n_params + kernel.N_CONSTANTS
        sizes = np.zeros(layout.N_SIZES, np.int64)
        for slot, value in {
            layout.N_STATES: kernel.n_states,
            layout.N_PARAMS: kernel.n_params,
            layout.N_OUTPUTS: kernel.n_outputs,
            layout.N_JACOBIAN: len(kernel.J_ROWS),
            layout.N_LU: kernel.N_LU,
            layout.N_ROUTES: len(kernel.ROUTES),
            layout.N_DIRECTIONS: m,
            layout.N_STEADY: free.size,
            layout.METHOD: code,
            layout.WIDE: layout.wide(kernel.n_states),
            layout.N_STAGES: stages,
            layout.N_ROOTS: n_roots,
            layout.N_PREPARED: n_prepared,
        }.items():
            sizes[slot] = value
        patterns = {
            layout.AT_J: np.column_stack([kernel.J_ROWS, kernel.J_COLS]).ravel(),
            layout.AT_DIAGONAL: np.flatnonzero(kernel.J_ROWS == kernel.J_COLS),
            layout.AT_STEADY: free,
            layout.AT_TARGETS: kernel.ROUTE_TARGETS,
            layout.AT_SLOTS: np.full(kernel.n_params, -1),
        }
        at = layout.N_SIZES
        for slot, pattern in patterns.items():
            sizes[slot] = at
            at += pattern.size
        sizes[layout.AT_END] = at
        self.sizes = np.concatenate([sizes, *patterns.values()]).astype(np.int64)
        self.slots = slice(int(sizes[layout.AT_SLOTS]), at)

        self.n, self.m, self.n_prepared, self.stages = kernel.n_states, m, n_prepared, stages
        self.n_jacobian, self.n_lu, self.n_routes = len(kernel.J_ROWS), kernel.N_LU, len(kernel.ROUTES)
        self.work_size = layout.work_size(
            self.n, self.n_jacobian, self.n_lu, free.size, self.n_routes, m, stages
        )


_plan = lru_cache(maxsize=256)(_Plan)


class _Task:
    """Everything that all subjects of one call share."""

    def __init__(
        self,
        kernel: Kernel,
        rows: Floats,
        times: Floats,
        rtol: float,
        atol: ArrayLike | None,
        method: str,
        slots: Integers | None,
        m: int,
        slack: float,
        width: int,
        h_max: float,
        max_steps: int,
        roots: Floats,
        most_crossings: int,
        non_negative: Integers,
        lanes: bool,
    ) -> None:
        self.methods = (method, method) if method == layout.LINEAR else partners(method, rtol)
        self.plan = plan = _plan(kernel, method, self.methods, m, len(roots), lanes)
        self.lanes = lanes
        self.record_size = layout.record_size(plan.n, plan.n_prepared, len(rows))
        self.sizes = plan.sizes.copy()
        self.sizes[_SIZES_OF_A_TASK] = width, times.size, len(rows), most_crossings, self.record_size
        if slots is not None:
            self.sizes[plan.slots] = slots
        if len(non_negative):
            self.sizes[layout.N_NON_NEGATIVE] = len(non_negative)
            self.sizes = np.concatenate([self.sizes, non_negative])
        self.times = times
        self.doses = rows
        start = min(0.0, times[0], rows[0, 0] if len(rows) else 0.0)
        room = len(roots) * (layout.ROOT + layout.FOUND + most_crossings) + kernel.n_outputs
        self.control = np.zeros(layout.N_CONTROL + (room if len(roots) else 0))
        for i, (column, direction) in enumerate(roots):
            at = layout.N_CONTROL + i * layout.ROOT
            self.control[[at + layout.COLUMN, at + layout.DIRECTION]] = column, direction
        self.control[_CONTROL_OF_A_TASK] = rtol, float(atol is None), h_max, max_steps, start, slack
        self.atol = None
        if atol is not None:
            self.atol = np.zeros(plan.n)
            try:
                self.atol[:] = np.asarray(atol, dtype=np.float64)
            except ValueError:
                raise InputError(
                    f"atol must be one number or {plan.n}, one for each of {', '.join(kernel.STATES)}"
                ) from None
            if not np.all(self.atol >= 0.0):
                raise InputError("atol must not be negative")

    def call(
        self,
        seeds: Floats | None,
        p: Floats,
        counts: Integers,
        out: Floats,
        out_dot: Floats | None,
        status: Integers,
        reached: Floats,
        scales: Floats | None,
        levels: Floats | None,
        found: Floats | None,
        first: int,
        end: int,
    ) -> None:
        """Integrate subjects first..end-1, with storage of their own. seeds : tangents of initial values and doses."""
        plan = self.plan
        wide = layout.wide(plan.n)
        if self.lanes:
            tangent = layout.room_size(
                plan.n, plan.n_prepared, plan.n_jacobian, plan.n_lu, end - first, plan.stages
            )
            events = (end - first) * self.record_size
        else:
            events = 2 * len(self.doses) * layout.EVENT
            tangent = 0
            if plan.m:
                tangent = layout.tangent_size(
                    plan.n,
                    plan.m,
                    plan.n_routes,
                    len(self.doses),
                    plan.n_jacobian,
                    plan.n_prepared,
                    plan.stages,
                )
        # one piece of memory: control | state | work | tangent | events, each from the start of a cache line
        lengths = (self.control.size, 4 * wide + plan.n_prepared, plan.work_size, tangent, events)
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + layout.wide(length))
        storage = _aligned(starts[-1])
        storage[: self.control.size] = self.control
        if self.atol is not None:
            storage[starts[1] + 2 * wide : starts[1] + 2 * wide + plan.n] = self.atol
        if seeds is not None:
            storage[starts[3] + tangent - seeds.size : starts[3] + tangent] = seeds
        base = storage.ctypes.data
        control, state, work, tangent, events = (base + 8 * start for start in starts[:-1])
        plan.function(
            plan.address.ctypes.data, self.sizes.ctypes.data, control, state, p.ctypes.data, self.doses.ctypes.data, self.times.ctypes.data,
            counts.ctypes.data, out.ctypes.data, work, tangent, _pointer(out_dot), events, status.ctypes.data, reached.ctypes.data, _pointer(scales),
            _pointer(levels), _pointer(found), first, end,
        )  # fmt: skip


_SIZES_OF_A_TASK = [layout.WIDTH, layout.N_TIMES, layout.N_DOSES, layout.MOST, layout.RECORD]
_CONTROL_OF_A_TASK = [
    layout.RTOL, layout.AUTOMATIC, layout.H_MAX, layout.MAX_STEPS, layout.START, layout.SLACK,
]  # fmt: skip
_COUNTS = [
    layout.RHS_CALLS, layout.JACOBIANS, layout.FACTORISATIONS, layout.STEPS, layout.REJECTED, layout.SWITCHES, layout.CLIPPED,
]  # fmt: skip


def _pointer(array: Floats | None) -> int:
    """Where an array starts; nought for none, which the compiled code then does not look at."""
    return 0 if array is None else array.ctypes.data


def _aligned(size: int) -> Floats:
    """Noughts that start where a cache line does: a vector is then never on two."""
    line = 8 * layout.LANES
    room = np.zeros(size + layout.LANES)
    return room[-(room.ctypes.data // 8) % (line // 8) :][:size]


def spread(
    run: Callable[[int, int], None],
    n: int,
    workers: int,
    size: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Run ``run(first, end)`` over chunks of 0..n of this size on threads; Ctrl-C stops after the chunks that are running."""
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
    check_count(subjects, seed)
    typical = typical_values(kernel, parameters)
    spread = np.array([between[1] if between else 0.0 for between in kernel.BETWEEN], dtype=np.float64)
    if subjects == 1 or not spread.any():
        return np.tile(typical, (subjects, 1))
    return scattered(kernel, typical, spread, normals(seed, subjects, kernel.n_params))


def check_count(subjects: int, seed: int) -> None:
    """Raise ``InputError`` unless this is a number of virtual subjects and a seed."""
    for what, given in (("number of subjects", subjects), ("seed", seed)):
        if isinstance(given, bool) or not isinstance(given, int | np.integer):
            raise InputError(f"the {what} must be a whole number, not {given!r}")
    if subjects < 1:
        raise InputError(f"the number of subjects must be at least 1, not {subjects}")
    if subjects > MOST_SUBJECTS:
        raise InputError(f"{subjects:,} subjects are too many: at most {MOST_SUBJECTS:,} are drawn at once")
    if seed < 0:
        raise InputError(f"the seed must not be negative, not {seed}")
    if seed >= 2**64:
        raise InputError(f"the seed must be below 2^64, not {seed}")


def normals(seed: int, count: int, n: int, stream: int = 0) -> Floats:
    """(count, n) independent standard normal numbers; row k belongs to (seed, k, stream) alone, however many rows there are.

    stream : what they are for; 0 is how subjects differ.
    """
    rows = np.empty((count, n))
    for k, row in enumerate(rows):
        np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, k, stream])).standard_normal(out=row)
    return rows


def scattered(kernel: Kernel, typical: Floats, spread: Floats, z: Floats) -> Floats:
    """Parameters of subjects, (n_subjects, n_params): log-normal about the typical values, by normal numbers z of that shape.

    typical, spread (log-SDs; 0 where all have the typical value) : (n_params,) or one row for each subject. What lies outside a parameter's bounds is moved onto them:
    to draw again would make a subject depend on how often that was.
    """
    return np.clip(typical * np.exp(spread * z), kernel.LOWER, kernel.UPPER)


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
