"""One solve of many subjects: memory laid out as ``pkpd.ode.layout`` says, and calls of the compiled
integrator."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.ode import layout
from pkpd.ode.compile import unit
from pkpd.ode.control import partners
from pkpd.ode.status import SUCCESS
from pkpd.solver.directions import Directions
from pkpd.solver.executors import Progress, Threads
from pkpd.solver.kernel import Kernel, cache_folder
from pkpd.solver.options import Options
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.table import Table

FEWEST_IN_LANES = 2 * layout.LANES
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


@dataclass(frozen=True)
class Raw:
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


def integrate(
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
    progress: Progress | None = None,
) -> Raw:
    """Integrate subjects p : (n_subjects, n_params) through the events of a table to ascending times.

    time_spans : (n_subjects, 2), where each subject's own stand among the times and how many they are; None:
        all are everybody's. What a subject has fewer than another is nan in ``out``. kept : indices of states
        that must not be negative.
    """
    n_subjects = p.shape[0]
    explicit = partners(options.method, options.rtol)[0] if options.method != layout.LINEAR else ""
    many = n_subjects >= FEWEST_IN_LANES and explicit not in ("", "vern7")
    plainly = directions is None and levels is None and not len(kept)
    in_lanes = options.lanes and many and plainly and kernel.has_lanes
    task = Task(
        kernel, p, table, times, time_spans, options, width, directions, levels, quantities, kept, in_lanes
    )
    executor = Threads(1) if n_subjects == 1 else options.executor
    workers = min(n_subjects, executor.workers)
    smallest = min(SMALLEST_CHUNK if in_lanes else 1, -(-n_subjects // workers))
    executor(task, max(smallest, n_subjects // (CHUNKS_PER_THREAD * workers)), progress)
    raw = task.results()
    if raw.out_dot is not None:
        raw.out_dot[raw.status != SUCCESS] = np.nan
    if raw.read is not None:
        raw.read[raw.status != SUCCESS] = np.nan
    return raw


_VOID_CALL = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * 23), ctypes.c_int64, ctypes.c_int64)


def _unit_address(name: str) -> int:
    return unit.address(name, cache_folder())


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
            if columns:
                self.address[layout.EXPLICIT_READINGS] = _unit_address(f"{explicit}_readings")
                if at_levels:
                    self.address[layout.EXPLICIT_LEVELS] = _unit_address(f"{explicit}_levels")
                self.address[layout.EXPLICIT_VALUE] = _unit_address(f"{explicit}_value")
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
            if columns:
                self.address[layout.ROSENBROCK_READINGS] = _unit_address(f"{stiff}_readings")
                if at_levels:
                    self.address[layout.ROSENBROCK_LEVELS] = _unit_address(f"{stiff}_levels")
                self.address[layout.ROSENBROCK_VALUE] = _unit_address(f"{stiff}_value")
            if m:
                self.address[layout.ROSENBROCK_TANGENT] = _unit_address(f"{stiff}_tangent")
        if n_roots:
            self.address[layout.OBSERVE] = _unit_address("observe")
        if columns:
            self.address[layout.READY] = _unit_address("ready")
            self.address[layout.NEXT_SEGMENT] = _unit_address("next_segment")
            self.address[layout.HAND_IN] = _unit_address("hand_in")
        self.needed = kernel.needed(columns) if columns else NONE
        if columns:
            self.address[layout.LOOK] = kernel.look(columns)
            self.address[layout.LOOK_ONE] = kernel.look(columns, how="one")
            if lanes:
                self.address[layout.LOOK_WIDE] = kernel.look(columns, how="wide")
            if m:
                if self.address[layout.EXPLICIT_READINGS]:
                    self.address[layout.EXPLICIT_SLOPE] = _unit_address(f"{explicit}_slope")
                    self.address[layout.EXPLICIT_TURN] = _unit_address(f"{explicit}_turn")
                if self.address[layout.ROSENBROCK_READINGS]:
                    self.address[layout.ROSENBROCK_SLOPE] = _unit_address(f"{stiff}_slope")
                    self.address[layout.ROSENBROCK_TURN] = _unit_address(f"{stiff}_turn")
                self.address[layout.ARRIVE] = _unit_address("arrive")
                self.address[layout.LEAVE] = _unit_address("leave")
        if free.size:
            self.address[layout.REST] = _unit_address("rest")
        if m:
            self.address[layout.D_RHS : layout.CONTRACT_LANES + 1] = kernel.tangent_address
            self.address[layout.EMIT_TANGENT] = _unit_address("emit_tangent")
            self.address[layout.INITIAL_TANGENT] = _unit_address("initial_tangent")
            self.address[layout.EVENT_TANGENT] = _unit_address("event_tangent")
        if lanes:
            self.address[layout.RHS_WIDE : layout.SOLVE_WIDE + 1] = kernel.wide_address
        self.function = _VOID_CALL(
            _unit_address(f"lanes_{stiff}{'_read' if columns else ''}" if lanes else "subjects")
        )

        n_conditions, n_timers = len(kernel.CONDITIONS), kernel.N_TIMERS
        n_watched = n_conditions - n_timers if m else 0
        if n_conditions:
            self.address[layout.CONDITIONS] = kernel.address("conditions")
        if n_conditions and m:
            self.address[layout.D_CONDITIONS] = kernel.address("conditions_tangent")
            self.address[layout.CONDITION_TANGENT] = _unit_address("condition_tangent")
        if n_timers:
            self.address[layout.TIMERS] = _unit_address("timers")
        if n_watched:
            self.address[layout.CROSS] = _unit_address("cross")
            self.address[layout.EXPLICIT_WATCH] = _unit_address(f"{explicit}_watch")
            self.address[layout.ROSENBROCK_WATCH] = _unit_address(f"{stiff}_watch")

        n_prepared = kernel.n_prepared
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
            layout.N_TIMERS: n_timers,
            layout.N_WATCHED: n_watched,
            layout.CLOCK: kernel.STATES.index("t") if "t" in kernel.STATES else -1,
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

        self.address_at = _pointer(self.address)
        self.n, self.m, self.n_prepared, self.stages = kernel.n_states, m, n_prepared, stages
        self.n_conditions, self.n_watched, self.n_outputs = n_conditions, n_watched, kernel.n_outputs
        self.n_jacobian, self.n_lu, self.n_routes = len(kernel.J_ROWS), kernel.N_LU, len(kernel.ROUTES)
        self.work_size = layout.work_size(
            self.n, self.n_jacobian, self.n_lu, free.size, self.n_routes, m, stages, n_conditions, n_prepared
        )


setup_of = lru_cache(maxsize=256)(Setup)


class Task:
    """One solve of subjects: arrays, and a kernel that travels as a hash (see ``executors``)."""

    def __init__(
        self,
        kernel: Kernel,
        p: Floats,
        table: Table,
        times: Floats,
        time_spans: Integers | None,
        options: Options,
        width: int,
        directions: Directions | None,
        levels: Levels | None,
        quantities: Quantities | None,
        kept: Integers,
        lanes: bool,
    ) -> None:
        self.given = (
            kernel,
            p,
            table,
            times,
            time_spans,
            options,
            width,
            directions,
            levels,
            quantities,
            kept,
            lanes,
        )
        self.n_subjects = n_subjects = len(p)
        n_times = times.size if time_spans is None else int(time_spans[:, 1].max())
        self.spans = np.empty((n_subjects, layout.SPAN), np.int64)
        self.spans[:] = 0, len(table.rows), 0, times.size
        if table.spans is not None:
            self.spans[:, :2] = table.spans
        if time_spans is not None:
            self.spans[:, 2:] = time_spans
        self.times, self.uneven = times, time_spans is not None
        if time_spans is None and isinstance(table.start, float):
            self.starts = np.full(n_subjects, min(table.start, times[0]))
        else:
            self.starts = np.minimum(table.start, times[self.spans[:, layout.TIMES_AT]])
        method, rtol = options.method, options.rtol
        n_roots, most = (0, 1) if levels is None else (len(levels.columns), levels.most)
        m = 0 if directions is None else directions.m
        self.methods = (method, method) if method == layout.LINEAR else partners(method, rtol)
        columns = () if quantities is None else quantities.columns
        self.plan = plan = setup_of(
            kernel,
            method,
            self.methods,
            m,
            n_roots,
            lanes,
            columns,
            quantities is not None and quantities.at_levels,
        )
        self.lanes = lanes
        self.levels = None if levels is None else levels.values
        self.n_own = table.own.shape[1]
        self.n_known, self.n_quantities = 0, 0
        if quantities is not None:
            self.n_known, self.n_quantities = quantities.known, len(quantities.kinds)
        self.n_columns = len(columns)
        tail = 1 + self.n_known + self.n_quantities if columns else 0
        self.n_rows = table.most_rows
        self.record_size = layout.record_size(plan.n, plan.n_prepared, self.n_own, self.n_rows, tail)
        self.sizes = plan.sizes.copy()
        self.sizes[_SIZES_OF_A_TASK] = width, n_times, most, self.record_size, self.n_own
        self.seeds = None
        if directions is not None:
            self.sizes[plan.slots] = directions.slots
            self.seeds = directions.seeds(table)
        if len(kept):
            self.sizes[layout.N_NON_NEGATIVE] = len(kept)
            self.sizes = np.concatenate([self.sizes, kept])
        self.doses = table.rows
        room = n_roots * (layout.ROOT + layout.FOUND + most * (1 + m)) + kernel.n_outputs
        room += plan.n_watched * layout.ROOT + 2 * plan.n_conditions
        self.control = np.zeros(layout.N_CONTROL + (room if n_roots or plan.n_watched else 0))
        self.heights = None
        if quantities is not None:
            self.heights = np.ascontiguousarray(quantities.levels)
            self.sizes[layout.READINGS] = self.control.size
            self.control = np.concatenate([self.control, _readings(quantities, plan.needed, width, m)])
        for i, (column, direction) in enumerate(() if levels is None else levels.columns):
            at = layout.N_CONTROL + i * layout.ROOT
            self.control[[at + layout.COLUMN, at + layout.DIRECTION]] = column, direction
        automatic = float(options.atol is None)
        self.control[_CONTROL_OF_A_TASK] = (
            rtol,
            automatic,
            options.h_max,
            options.max_steps,
            options.slack,
        )
        self.atol = None
        if options.atol is not None:
            self.atol = np.zeros(plan.n)
            try:
                self.atol[:] = kernel.with_clock(np.asarray(options.atol, dtype=np.float64), 0.0)
            except ValueError:
                raise InputError(
                    f"atol must be one number or {plan.n}, one for each of {', '.join(kernel.STATES)}"
                ) from None
            if not np.all(self.atol >= 0.0):
                raise InputError("atol must not be negative")

        own = table.own
        self.parameters = np.concatenate([p, own], axis=1) if own.size else p
        self.scales = None
        if directions is not None:
            scales = directions.scale
            if own.size:
                own_dot = np.zeros((n_subjects, own.shape[1], m)) if table.own_dot is None else table.own_dot
                scales = np.concatenate([scales, own_dot.reshape(n_subjects, -1)], axis=1)
            self.scales = np.ascontiguousarray(scales)
        self.raw = self._room(n_times, width, levels, quantities)

    def __reduce__(self) -> tuple[Any, ...]:
        return Task, self.given

    def _room(self, n_times: int, width: int, levels: Levels | None, quantities: Quantities | None) -> Raw:
        """Where results go."""
        n_subjects, m = self.n_subjects, self.plan.m
        try:
            out = np.empty((n_subjects, n_times, width))
            out_dot = np.empty((n_subjects, n_times, width, m)) if m else None
        except MemoryError:
            raise InputError(
                f"there is not enough memory for {n_subjects:,} subjects at {n_times:,} times: their "
                f"results take {8e-9 * n_subjects * n_times * width * (1 + m):,.1f} GB; take fewer of either"
            ) from None
        if self.uneven:
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

    def part(self, first: int, end: int) -> Task:
        """The same for subjects first .. end-1 alone."""
        given: tuple[Any, ...] = self.given
        kernel, p, table, times, time_spans, options, width, *rest = given
        directions, levels, quantities, kept, lanes = rest
        return Task(
            kernel,
            p[first:end],
            table.part(first, end),
            times,
            None if time_spans is None else time_spans[first:end],
            replace(options, threads=None),
            width,
            None if directions is None else replace(directions, scale=directions.scale[first:end]),
            None if levels is None else replace(levels, values=levels.values[first:end]),
            None if quantities is None else replace(quantities, levels=quantities.levels[first:end]),
            kept,
            lanes,
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

    def fill(self, first: int, end: int) -> None:
        """Integrate subjects first .. end-1, with storage of their own."""
        raw = self.raw
        plan = self.plan
        wide = layout.wide(plan.n)
        if self.lanes:
            tangent = layout.room_size(
                plan.n,
                plan.n_prepared,
                plan.n_jacobian,
                plan.n_lu,
                end - first,
                plan.stages,
                layout.read_vectors(self.n_quantities, self.n_known, self.n_columns, plan.stages)
                if self.n_columns
                else 0,
            )
            events = (end - first) * self.record_size
        else:
            events = 2 * self.n_rows * layout.EVENT
            tangent = 0
            if plan.m:
                tangent = layout.tangent_size(
                    plan.n,
                    plan.m,
                    plan.n_routes,
                    self.n_rows,
                    plan.n_jacobian,
                    plan.n_prepared,
                    self.n_own,
                    plan.stages,
                    plan.n_conditions,
                    plan.n_outputs if self.levels is not None else 0,
                )
        # one piece of memory: control | state | work | tangent | events, each from the start of a cache line
        lengths = (
            self.control.size,
            4 * wide + plan.n_prepared + self.n_own,
            plan.work_size,
            tangent,
            events,
        )
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + layout.wide(length))
        storage = _aligned(starts[-1])
        storage[: self.control.size] = self.control
        if self.atol is not None:
            storage[starts[1] + 2 * wide : starts[1] + 2 * wide + plan.n] = self.atol
        if self.seeds is not None:
            storage[starts[3] + tangent - self.seeds.size : starts[3] + tangent] = self.seeds
        base = _pointer(storage)
        control, state, work, tangent, events = (base + 8 * start for start in starts[:-1])
        plan.function(
            plan.address_at,
            _pointer(self.sizes),
            control,
            state,
            _pointer(self.parameters),
            _pointer(self.doses),
            _pointer(self.times),
            _pointer(raw.counts),
            _pointer(raw.out),
            work,
            tangent,
            _pointer(raw.out_dot),
            events,
            _pointer(raw.status),
            _pointer(raw.reached),
            _pointer(self.scales),
            _pointer(self.levels),
            _pointer(raw.found),
            _pointer(self.heights),
            _pointer(raw.read),
            _pointer(raw.read_dot),
            _pointer(self.spans),
            _pointer(self.starts),
            first,
            end,
        )


_SIZES_OF_A_TASK = [
    layout.WIDTH,
    layout.N_TIMES,
    layout.MOST,
    layout.RECORD,
    layout.N_OWN,
]
_CONTROL_OF_A_TASK = [
    layout.RTOL,
    layout.AUTOMATIC,
    layout.H_MAX,
    layout.MAX_STEPS,
    layout.SLACK,
]


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
    area[layout.TANGENTS_AT_NODES] = float(np.isin(quantities.kinds, (layout.AREA, layout.DECLINE)).any())
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


def _pointer(array: Floats | Integers | None) -> int:
    """Where an array starts; nought for none, which the compiled code then does not look at."""
    if array is None:
        return 0
    try:
        return ctypes.addressof(_byte(array))  # a fifth of the time that ``array.ctypes`` takes
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data


def _aligned(size: int) -> Floats:
    """Noughts that start where a cache line does: a vector is then never on two."""
    line = 8 * layout.LANES
    room = np.zeros(size + layout.LANES)
    return room[-(_pointer(room) // 8) % (line // 8) :][:size]
