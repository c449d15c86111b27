"""One solve of many subjects: memory laid out as ``pkpd.ode.layout`` says, and calls of the compiled
integrator."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from pkpd.core.errors import InputError
from pkpd.core.progress import Counting
from pkpd.ode import layout
from pkpd.ode.compile import unit
from pkpd.ode.control import partners
from pkpd.ode.status import SUCCESS
from pkpd.solver.directions import Directions
from pkpd.solver.executors import spread
from pkpd.solver.kernel import Kernel, cache_folder
from pkpd.solver.options import Options
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.table import Table

FEWEST_IN_LANES = layout.LANES
SMALLEST_CHUNK = 64  # in lanes: enough to keep them filled, and records that stay in the cache
CHUNKS_PER_THREAD = 8  # enough to even out subjects of different cost, and to report progress
NONE = np.zeros(0, np.int64)


def possible_method(kernel: Kernel, method: str, rtol: float) -> str:
    """The method, or where there is no Jacobian the explicit one of "auto"."""
    if kernel.has_jacobian or method in layout.EXPLICIT_METHODS:
        return method
    if method == "auto":
        return partners(method, rtol)[0]
    raise InputError(
        f"{kernel.NAME} was made with jacobian=False, which {method} needs: leave jacobian out for "
        "differences, or take tsit5 or vern7"
    )


@dataclass(frozen=True)
class Levels:
    """Roots as the integrator takes them: column and direction (n_roots, 2), level (n_subjects, n_roots), how
    many crossings are kept."""

    columns: Floats
    values: Floats
    most: int


@dataclass(frozen=True)
class Quantities:
    """Readings as the integrator takes them. edges : (n_segments + 1,), ascending; columns : of outputs, and
    of states behind these, that are looked at; kinds, places (of which of the columns), parameters, first
    (segment that counts, of halvings) : (n_quantities,); levels : (n_subjects, n_quantities)."""

    edges: Floats
    columns: tuple[int, ...]
    kinds: Integers
    places: Integers
    parameters: Floats
    first: Integers
    levels: Floats

    @property
    def at_levels(self) -> bool:
        """Whether any of them has a level."""
        return bool(np.any((self.kinds >= layout.SPENT_ABOVE) & (self.kinds != layout.AT_CLOSE)))

    @property
    def known(self) -> int:
        """How many numbers the integrator keeps of them."""
        return sum(layout.slots_of(int(kind)) for kind in self.kinds)


class Raw(NamedTuple):
    """What comes back. out : (n_subjects, n_times, width), nan for a failed subject; out_dot : (..., m), by
    directions times their scale; read : (n_subjects, n_segments, n_quantities, 2), value and time; read_dot :
    (..., m)."""

    out: Floats
    out_dot: Floats | None
    status: Integers
    counts: Integers
    reached: Floats
    found: Floats | None
    methods: tuple[str, str]
    read: Floats | None = None
    read_dot: Floats | None = None

    def copied(self) -> Raw:
        """The same in arrays of its own."""
        return Raw(
            self.out.copy(),
            None if self.out_dot is None else self.out_dot.copy(),
            self.status.copy(),
            self.counts.copy(),
            self.reached.copy(),
            None if self.found is None else self.found.copy(),
            self.methods,
            None if self.read is None else self.read.copy(),
            None if self.read_dot is None else self.read_dot.copy(),
        )


def task_of(
    kernel: Kernel,
    p: Floats,
    table: Table,
    times: Floats,
    options: Options,
    *,
    width: int,
    time_spans: Integers | None = None,
    directions: Directions | None = None,
    levels: Levels | None = None,
    quantities: Quantities | None = None,
    kept: Integers = NONE,
) -> SolveTask:
    """Subjects p : (n_subjects, n_params) through the events of a table to ascending times.

    time_spans : (n_subjects, 2), where each subject's own stand among the times and how many they are; None:
        all are everybody's. What a subject has fewer than another is nan in ``out``. kept : indices of states
        that must not be negative.
    """
    explicit = partners(options.method, options.rtol)[0] if options.method != layout.LINEAR else ""
    many = len(p) >= FEWEST_IN_LANES and explicit not in ("", "vern7")
    plainly = directions is None and levels is None and not len(kept)
    in_lanes = options.lanes and many and plainly and kernel.has_lanes
    return SolveTask(
        kernel, p, table, times, time_spans, options, width, directions, levels, quantities, kept, in_lanes
    )


def integrate(task: SolveTask, told: Counting | None = None) -> Raw:
    """Do all of a task, in chunks, by the executor of its options."""
    n_subjects = task.n_subjects
    if n_subjects == 1:
        spread(task.fill, 1, 1, 1, told)
        return _without_failed(task.results())
    executor = task.options.executor
    workers = min(n_subjects, executor.workers)
    smallest = min(SMALLEST_CHUNK if task.in_lanes else 1, -(-n_subjects // workers))
    executor(task, max(smallest, n_subjects // (CHUNKS_PER_THREAD * workers)), told)
    return _without_failed(task.results())


def _without_failed(raw: Raw) -> Raw:
    """Nothing is known of a subject that failed."""
    if np.count_nonzero(raw.status):  # SUCCESS is 0
        failed = raw.status != SUCCESS
        for array in (raw.out_dot, raw.read):
            if array is not None:
                array[failed] = np.nan
    return raw


_VOID_CALL = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * 23), ctypes.c_int64, ctypes.c_int64)


def unit_address(name: str) -> int:
    return unit.address(name, cache_folder())


# units by their place among the addresses: what they are wanted for, and their name, or how it ends behind
# that of the method
_OF_EXPLICIT = {
    layout.EXPLICIT: ("steps", ""),
    layout.EXPLICIT_ROOTS: ("roots", "_roots"),
    layout.EXPLICIT_READINGS: ("readings", "_readings"),
    layout.EXPLICIT_VALUE: ("readings", "_value"),
    layout.EXPLICIT_LEVELS: ("levels", "_levels"),
    layout.EXPLICIT_TANGENT: ("tangents", "_tangent"),
    layout.DENSE_TANGENT: ("tangents", "_dense_tangent"),
    layout.EXPLICIT_SLOPE: ("tangents of readings", "_slope"),
    layout.EXPLICIT_TURN: ("tangents of readings", "_turn"),
    layout.EXPLICIT_WATCH: ("watched", "_watch"),
}
_OF_STIFF = {
    layout.ROSENBROCK: ("steps", ""),
    layout.ROSENBROCK_ROOTS: ("roots", "_roots"),
    layout.ROSENBROCK_READINGS: ("readings", "_readings"),
    layout.ROSENBROCK_VALUE: ("readings", "_value"),
    layout.ROSENBROCK_LEVELS: ("levels", "_levels"),
    layout.ROSENBROCK_TANGENT: ("tangents", "_tangent"),
    layout.ROSENBROCK_SLOPE: ("tangents of readings", "_slope"),
    layout.ROSENBROCK_TURN: ("tangents of readings", "_turn"),
    layout.ROSENBROCK_WATCH: ("watched", "_watch"),
}
_OF_ALL = {
    layout.OBSERVE: ("roots", "observe"),
    layout.READY: ("readings", "ready"),
    layout.NEXT_SEGMENT: ("readings", "next_segment"),
    layout.HAND_IN: ("readings", "hand_in"),
    layout.ARRIVE: ("tangents of readings", "arrive"),
    layout.LEAVE: ("tangents of readings", "leave"),
    layout.REST: ("rest", "rest"),
    layout.EMIT_TANGENT: ("tangents", "emit_tangent"),
    layout.INITIAL_TANGENT: ("tangents", "initial_tangent"),
    layout.EVENT_TANGENT: ("tangents", "event_tangent"),
    layout.CONDITION_TANGENT: ("tangents of conditions", "condition_tangent"),
    layout.TIMERS: ("timers", "timers"),
    layout.CROSS: ("watched", "cross"),
}


class Setup:
    """What solves of one model by one pair of methods share, laid out as ``pkpd.ode.layout`` says: functions,
    counts and patterns."""

    def __init__(
        self,
        kernel: Kernel,
        method: str,
        methods: tuple[str, str],
        m: int,
        n_roots: int,
        lanes: bool,
        columns: tuple[int, ...] = (),
        at_levels: bool = False,
        taped: bool = False,
    ) -> None:
        explicit = methods[0] if method not in layout.STIFF_METHODS else None
        stiff = methods[1] if method not in layout.EXPLICIT_METHODS and method != layout.LINEAR else None
        self.n, self.m, self.n_prepared, self.n_outputs = (
            kernel.n_states,
            m,
            kernel.n_prepared,
            kernel.n_outputs,
        )
        self.n_jacobian, self.n_lu, self.n_routes = len(kernel.J_ROWS), kernel.N_LU, len(kernel.ROUTES)
        self.n_conditions = len(kernel.CONDITIONS)
        self.n_watched = _watched(kernel, m)
        stages_of = {**layout.EXPLICIT_METHODS, **layout.STIFF_METHODS, layout.LINEAR: 0}
        self.stages = max(stages_of[name] for name in (explicit, stiff) if name)
        free = np.flatnonzero(kernel.STEADY)
        wanted = _wanted(kernel, m, n_roots, columns, at_levels, taped)
        self.address = _addresses(wanted, explicit, stiff, kernel, columns, lanes)
        self.address_at = pointer(self.address)
        self.needed = kernel.needed(columns) if columns else NONE
        kind = "_tape" if taped else "_read" if columns else ""
        self.function = _VOID_CALL(unit_address(f"lanes_{methods[1]}{kind}" if lanes else "subjects"))
        code = (
            layout.EXPLICIT_ONLY if stiff is None else layout.STIFF_ONLY if explicit is None else layout.AUTO
        )
        self.sizes, self.slots = _sizes(
            kernel,
            free,
            {
                layout.N_DIRECTIONS: m,
                layout.METHOD: code,
                layout.N_STAGES: self.stages,
                layout.N_ROOTS: n_roots,
                layout.N_WATCHED: self.n_watched,
            },
        )
        self.work_size = layout.work_size(
            self.n,
            self.n_jacobian,
            self.n_lu,
            free.size,
            self.n_routes,
            m,
            self.stages,
            self.n_conditions,
            self.n_prepared,
        )


def _watched(kernel: Kernel, m: int) -> int:
    """How many conditions are located as they change: with m directions, all but those of the time alone."""
    return len(kernel.CONDITIONS) - kernel.N_TIMERS if m else 0


def _wanted(
    kernel: Kernel, m: int, n_roots: int, columns: tuple[int, ...], at_levels: bool, taped: bool
) -> dict[str, bool]:
    """What units are wanted for, by the names of the tables above."""
    return {
        "steps": True,
        "roots": n_roots > 0,
        "readings": bool(columns),
        "levels": at_levels,
        "tangents": m > 0,
        "tangents of readings": m > 0 and bool(columns),
        "rest": bool(np.any(kernel.STEADY)),
        "timers": kernel.N_TIMERS > 0,
        "backward": taped,
        "watched": _watched(kernel, m) > 0,
        "tangents of conditions": m > 0 and len(kernel.CONDITIONS) > 0,
    }


def _addresses(
    wanted: Mapping[str, bool],
    explicit: str | None,
    stiff: str | None,
    kernel: Kernel,
    columns: tuple[int, ...],
    lanes: bool,
) -> Integers:
    """(layout.N_ADDRESSES,) of the model's functions and of the units that are wanted."""
    address = np.zeros(layout.N_ADDRESSES, np.int64)
    address[: len(kernel.plain_address)] = kernel.plain_address
    for units, method in ((_OF_EXPLICIT, explicit), (_OF_STIFF, stiff), (_OF_ALL, "")):
        if method is not None:
            for slot, (what, name) in units.items():
                if wanted[what]:
                    address[slot] = unit_address(method + name)
    if columns:
        address[layout.LOOK] = kernel.look(columns)
        address[layout.LOOK_ONE] = kernel.look(columns, how="one")
        if lanes:
            address[layout.LOOK_WIDE] = kernel.look(columns, how="wide")
    if wanted["backward"]:
        first = layout.RHS_BACKWARD_WIDE
        address[first : first + len(kernel.backward_address)] = kernel.backward_address
    if wanted["tangents"] or wanted["backward"]:
        address[layout.D_RHS : layout.CONTRACT_LANES + 1] = kernel.tangent_address
    if lanes:
        address[layout.RHS_WIDE : layout.SOLVE_WIDE + 1] = kernel.wide_address
    if len(kernel.CONDITIONS):
        address[layout.CONDITIONS] = kernel.address("conditions")
    if wanted["tangents of conditions"]:
        address[layout.D_CONDITIONS] = kernel.address("conditions_tangent")
    return address


def _sizes(kernel: Kernel, free: Integers, counts: Mapping[int, int]) -> tuple[Integers, slice]:
    """Counts and patterns, and where among them the parameters' directions stand; free : states that have a
    rest of their own."""
    sizes = np.zeros(layout.N_SIZES, np.int64)
    for slot, value in {
        layout.N_STATES: kernel.n_states,
        layout.N_PARAMS: kernel.n_params,
        layout.N_OUTPUTS: kernel.n_outputs,
        layout.N_JACOBIAN: len(kernel.J_ROWS),
        layout.N_LU: kernel.N_LU,
        layout.N_ROUTES: len(kernel.ROUTES),
        layout.N_STEADY: free.size,
        layout.WIDE: layout.wide(kernel.n_states),
        layout.N_PREPARED: kernel.n_prepared,
        layout.N_TIMERS: kernel.N_TIMERS,
        layout.CLOCK: kernel.STATES.index("t") if "t" in kernel.STATES else -1,
        **counts,
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
    slots = slice(int(sizes[layout.AT_SLOTS]), at)
    return np.concatenate([sizes, *patterns.values()]).astype(np.int64), slots


setup_of = lru_cache(maxsize=256)(Setup)


@dataclass(eq=False)
class SolveTask:
    """One solve of subjects: arrays, and a kernel that travels as a hash (see ``executors``).

    Fields are as in ``integrate``; what is laid out for the integrator follows from them."""

    kernel: Kernel
    p: Floats
    table: Table
    times: Floats
    time_spans: Integers | None
    options: Options
    width: int
    directions: Directions | None
    levels: Levels | None
    quantities: Quantities | None
    kept: Integers
    in_lanes: bool
    taped: int = 0
    """room for so many steps of each subject on its tape"""

    def __post_init__(self) -> None:
        method, quantities = self.options.method, self.quantities
        self.n_subjects = len(self.p)
        self.methods = (method, method) if method == layout.LINEAR else partners(method, self.options.rtol)
        self.setup = setup_of(
            self.kernel,
            method,
            self.methods,
            0 if self.directions is None else self.directions.m,
            0 if self.levels is None else len(self.levels.columns),
            self.in_lanes,
            () if quantities is None else quantities.columns,
            quantities is not None and quantities.at_levels,
            self.taped > 0,
        )
        self.n_own = self.table.own.shape[1]
        self.spans, self.starts = self._spans()
        tail = 0 if quantities is None else 1 + quantities.known + len(quantities.kinds)
        self.record_size = layout.record_size(
            self.setup.n, self.setup.n_prepared, self.n_own, self.table.most_rows, tail
        )
        self.control = self._control()
        self.sizes = self._sizes()
        self.atol = self._atol()
        self.seeds = None if self.directions is None else self.directions.seeds(self.table)
        self.crossed = None if self.levels is None else self.levels.values
        self.heights = None if quantities is None else np.ascontiguousarray(quantities.levels)
        self.parameters = np.concatenate([self.p, self.table.own], axis=1) if self.n_own else self.p
        self.scales = self._scales()
        self.raw = self._room()

    def __reduce__(self) -> tuple[Any, ...]:
        return SolveTask, tuple(getattr(self, field.name) for field in fields(self))

    @property
    def n_times(self) -> int:
        """Of the subject that has most."""
        return self.times.size if self.time_spans is None else int(self.time_spans[:, 1].max())

    def _spans(self) -> tuple[Integers, Floats]:
        """Where each subject's rows and times stand, (n_subjects, layout.SPAN), and when it begins."""
        table, times = self.table, self.times
        spans = np.empty((self.n_subjects, layout.SPAN), np.int64)
        spans[:] = 0, len(table.rows), 0, times.size
        if table.spans is not None:
            spans[:, :2] = table.spans
        if self.time_spans is not None:
            spans[:, 2:] = self.time_spans
        if self.time_spans is None and isinstance(table.start, float):
            return spans, np.full(self.n_subjects, min(table.start, times[0]))
        return spans, np.minimum(table.start, times[spans[:, layout.TIMES_AT]])

    def _control(self) -> Floats:
        """What the integrator goes by, roots, conditions and readings behind it."""
        setup, options, quantities = self.setup, self.options, self.quantities
        columns = () if self.levels is None else self.levels.columns
        most = 1 if self.levels is None else self.levels.most
        room = 0
        if len(columns) or setup.n_watched:
            room = len(columns) * (layout.ROOT + layout.FOUND + most * (1 + setup.m)) + setup.n_outputs
            room += setup.n_watched * layout.ROOT + 2 * setup.n_conditions
        self.at_readings = layout.N_CONTROL + room
        control = np.zeros(self.at_readings)
        for i, (column, direction) in enumerate(columns):
            at = layout.N_CONTROL + i * layout.ROOT
            control[[at + layout.COLUMN, at + layout.DIRECTION]] = column, direction
        control[layout.RTOL], control[layout.AUTOMATIC] = options.rtol, float(options.atol is None)
        control[layout.H_MAX], control[layout.MAX_STEPS] = options.h_max, options.max_steps
        control[layout.SLACK] = options.slack
        if quantities is None:
            return control
        return np.concatenate([control, _readings(quantities, setup.needed, self.width, setup.m)])

    def _sizes(self) -> Integers:
        """Counts and patterns, with those of this solve."""
        sizes = self.setup.sizes.copy()
        most = 1 if self.levels is None else self.levels.most
        sizes[layout.WIDTH], sizes[layout.N_TIMES], sizes[layout.MOST] = self.width, self.n_times, most
        sizes[layout.RECORD], sizes[layout.N_OWN] = self.record_size, self.n_own
        sizes[layout.TAPED] = self.taped
        if self.directions is not None:
            sizes[self.setup.slots] = self.directions.slots
        if self.quantities is not None:
            sizes[layout.READINGS] = self.at_readings
        if len(self.kept):
            sizes[layout.N_NON_NEGATIVE] = len(self.kept)
            sizes = np.concatenate([sizes, self.kept])
        return sizes

    def _atol(self) -> Floats | None:
        """(n_states,), or None for the integrator's own."""
        if self.options.atol is None:
            return None
        atol = np.zeros(self.setup.n)
        try:
            atol[:] = self.kernel.with_clock(np.asarray(self.options.atol, dtype=np.float64), 0.0)
        except ValueError:
            raise InputError(
                f"atol must be one number or {self.setup.n}, one for each of {', '.join(self.kernel.STATES)}"
            ) from None
        if not np.all(atol >= 0.0):
            raise InputError("atol must not be negative")
        return atol

    def _scales(self) -> Floats | None:
        """Scales of the directions, then tangents of the subject's own numbers: (n_subjects, m + n_own m)."""
        if self.directions is None:
            return None
        scales, own_dot = self.directions.scale, self.table.own_dot
        if self.n_own:
            if own_dot is None:
                own_dot = np.zeros((self.n_subjects, self.n_own, self.setup.m))
            scales = np.concatenate([scales, own_dot.reshape(self.n_subjects, -1)], axis=1)
        return np.ascontiguousarray(scales)

    def _room(self) -> Raw:
        """Where results go."""
        n_subjects, n_times, width, m = self.n_subjects, self.n_times, self.width, self.setup.m
        levels, quantities = self.levels, self.quantities
        try:
            out = np.empty((n_subjects, n_times, width))
            out_dot = np.empty((n_subjects, n_times, width, m)) if m else None
        except MemoryError:
            raise InputError(
                f"there is not enough memory for {n_subjects:,} subjects at {n_times:,} times: their "
                f"results take {8e-9 * n_subjects * n_times * width * (1 + m):,.1f} GB; take fewer of either"
            ) from None
        if self.time_spans is not None:
            none = np.arange(n_times) >= self.spans[:, layout.TIMES_HERE :]
            out[none] = np.nan
            if out_dot is not None:
                out_dot[none] = np.nan
        found = read = read_dot = None
        if levels is not None:
            found = np.zeros((n_subjects, len(levels.columns), layout.FOUND + levels.most * (1 + m)))
        if quantities is not None:
            read = np.full((n_subjects, quantities.edges.size - 1, len(quantities.kinds), 2), np.nan)
            read_dot = np.zeros((*read.shape, m)) if m else None
        return Raw(
            out,
            out_dot,
            np.zeros(n_subjects, np.int64),
            np.zeros((n_subjects, layout.N_COUNTS), np.int64),
            np.zeros((n_subjects, layout.REACHED)),
            found,
            self.methods,
            read,
            read_dot,
        )

    def results(self) -> Raw:
        """What has been computed."""
        return self.raw

    def part(self, first: int, end: int) -> SolveTask:
        """The same for subjects first .. end-1 alone."""
        spans, directions, levels, quantities = self.time_spans, self.directions, self.levels, self.quantities
        return replace(
            self,
            p=self.p[first:end],
            table=self.table.part(first, end),
            time_spans=None if spans is None else spans[first:end],
            options=replace(self.options, threads=None),
            directions=directions and replace(directions, scale=directions.scale[first:end]),
            levels=levels and replace(levels, values=levels.values[first:end]),
            quantities=quantities and replace(quantities, levels=quantities.levels[first:end]),
        )

    def put(self, first: int, end: int, results: Raw) -> None:
        """Take the results of a part."""
        n_times = results.out.shape[1]  # of the one with most, which may be fewer than of all
        self.raw.out[first:end, :n_times] = results.out
        if self.raw.out_dot is not None:
            self.raw.out_dot[first:end, :n_times] = results.out_dot
        for name in ("status", "counts", "reached", "found", "read", "read_dot"):
            mine = getattr(self.raw, name)
            if mine is not None:
                mine[first:end] = getattr(results, name)

    def _lengths(self, n_subjects: int) -> tuple[int, int, int, int, int]:
        """Doubles of control, state, work, tangent and events, in lanes for so many."""
        setup, quantities = self.setup, self.quantities
        state = 4 * layout.wide(setup.n) + setup.n_prepared + self.n_own
        tangent, events = 0, 2 * self.table.most_rows * layout.EVENT
        if self.in_lanes:
            vectors = 0
            if quantities is not None:
                count, wanted = len(quantities.kinds), len(quantities.columns)
                vectors = layout.read_vectors(count, quantities.known, wanted, setup.stages)
            tangent = layout.room_size(
                setup.n, setup.n_prepared, setup.n_jacobian, setup.n_lu, n_subjects, setup.stages, vectors
            )
            events = n_subjects * self.record_size
        elif setup.m:
            tangent = layout.tangent_size(
                setup.n,
                setup.m,
                setup.n_routes,
                self.table.most_rows,
                setup.n_jacobian,
                setup.n_prepared,
                self.n_own,
                setup.stages,
                setup.n_conditions,
                setup.n_outputs if self.levels is not None else 0,
            )
        return self.control.size, state, setup.work_size, tangent, events

    def fill(self, first: int, end: int) -> None:
        """Integrate subjects first .. end-1, with storage of their own."""
        storage, arguments = self.laid_out(first, end)
        self.setup.function(*arguments)
        del storage  # which the arguments point into

    def laid_out(self, first: int, end: int, tapes: Floats | None = None) -> tuple[Floats, tuple[int, ...]]:
        """Storage for subjects first .. end-1, and what the integrator is called with; tapes : where their
        steps are kept."""
        raw, setup = self.raw, self.setup
        # one piece of memory: control | state | work | tangent | events, each from the start of a cache line
        lengths = self._lengths(end - first)
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + layout.wide(length))
        storage = aligned(starts[-1])
        storage[: self.control.size] = self.control
        if self.atol is not None:
            at = starts[1] + 2 * layout.wide(setup.n)
            storage[at : at + setup.n] = self.atol
        if self.seeds is not None:
            at = starts[3] + lengths[3]
            storage[at - self.seeds.size : at] = self.seeds
        base = pointer(storage)
        control, state, work, tangent, events = (base + 8 * start for start in starts[:-1])
        return storage, (
            setup.address_at,
            pointer(self.sizes),
            control,
            state,
            pointer(self.parameters),
            pointer(self.table.rows),
            pointer(self.times),
            pointer(raw.counts),
            pointer(raw.out),
            work,
            tangent,
            pointer(raw.out_dot),
            events,
            pointer(raw.status),
            pointer(raw.reached),
            pointer(self.scales),
            pointer(self.crossed),
            pointer(raw.found if tapes is None else tapes),
            pointer(self.heights),
            pointer(raw.read),
            pointer(raw.read_dot),
            pointer(self.spans),
            pointer(self.starts),
            first,
            end,
        )


class Room:
    """A task again and again, with other parameters, in memory that is kept: one call of the integrator, by
    one thread at a time.

    task : one that nobody else uses, of which only the parameters, and the scales of directions with them,
        change: its rows and its subjects' own numbers are those of any parameters.
    """

    def __init__(self, task: SolveTask) -> None:
        self.task = task
        self._storage, self._arguments = task.laid_out(0, task.n_subjects)
        self._given = task.parameters[:, : task.kernel.n_params]
        self._scales = (
            None if task.directions is None or task.scales is None else task.scales[:, : task.setup.m]
        )
        raw = task.raw
        read = (self._storage, raw.counts, raw.found, raw.read, raw.read_dot)  # before they are written
        self._fresh = [(array, array.copy()) for array in read if array is not None]

    @property
    def size(self) -> int:
        """Doubles that are kept."""
        raw = self.task.raw
        kept = raw.out.size + (0 if raw.out_dot is None else raw.out_dot.size)
        return kept + 2 * sum(array.size for array, _ in self._fresh)

    def __call__(self, p: Floats, directions: Directions | None) -> Raw:
        """Results for parameters p : (n_subjects, n_params), as ``integrate`` gives them; directions : those
        of the task at these parameters."""
        self._given[...] = p
        if directions is not None and self._scales is not None:
            self._scales[...] = directions.scale
        for array, fresh in self._fresh:
            array[...] = fresh
        self.task.setup.function(*self._arguments)
        return _without_failed(self.task.raw.copied())


def _readings(quantities: Quantities, needed: Integers, width: int, m: int) -> Floats:
    """The readings behind control, as ``pkpd.ode.layout`` has them."""
    edges, count = quantities.edges, len(quantities.kinds)
    size = layout.read_size(
        edges.size - 1, count, quantities.known, len(quantities.columns), needed.size, width, m
    )
    area = np.zeros(size)
    area[[layout.QUANTITIES, layout.N_WANTED, layout.SEGMENTS, layout.WANTED_STATES, layout.ACCUMULATORS]] = (
        count,
        len(quantities.columns),
        edges.size - 1,
        needed.size,
        quantities.known,
    )
    area[layout.TANGENTS_AT_NODES] = float(
        not {layout.AREA, layout.DECLINE}.isdisjoint(quantities.kinds.tolist())
    )
    at = layout.READ_HEADER
    area[at : at + edges.size] = edges
    at += edges.size
    area[at : at + needed.size] = needed
    at += needed.size
    table = area[at : at + count * layout.QUANTITY].reshape(count, layout.QUANTITY)
    table[:, layout.KIND] = quantities.kinds
    table[:, layout.WANTED_COLUMN] = quantities.places
    table[:, layout.PARAMETER] = quantities.parameters
    table[:, layout.TANGENT_COLUMN] = np.array(quantities.columns)[quantities.places]
    table[:, layout.FROM] = quantities.first
    known = [layout.slots_of(int(kind)) for kind in quantities.kinds]
    table[:, layout.OFFSET] = np.cumsum([0, *known[:-1]])
    return area


_byte: Any = ctypes.c_char.from_buffer


def pointer(array: Floats | Integers | None) -> int:
    """Where an array starts; nought for none, which the compiled code then does not look at."""
    if array is None:
        return 0
    try:
        return ctypes.addressof(_byte(array))  # a fifth of the time that ``array.ctypes`` takes
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data


def aligned(size: int) -> Floats:
    """Noughts that start where a cache line does: a vector is then never on two."""
    line = 8 * layout.LANES
    room = np.zeros(size + layout.LANES)
    return room[-(pointer(room) // 8) % (line // 8) :][:size]
