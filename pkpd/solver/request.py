"""What is asked of a solve, and what of it can be laid out before the parameters are known.

A ``SolveRequest`` is what ``solve`` takes but for the parameters. A ``Layout`` is what follows from it for a
number of subjects: checked, in order, as the integrator takes it; called with parameters, it gives the
solution. ``solve`` makes one and calls it once, ``Solver`` keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pkpd.core.errors import InputError
from pkpd.core.progress import Counting
from pkpd.dosing import EventTable
from pkpd.dosing.events import DOSE, REPLACE
from pkpd.ode import layout
from pkpd.ode.status import NOT_PERIODIC, SLOPE_NOT_FINITE, SUCCESS
from pkpd.solver.adjoint import Functionals, gradients, why_not
from pkpd.solver.directions import Directions, directions_of
from pkpd.solver.events import table_of
from pkpd.solver.executors import Threads
from pkpd.solver.kernel import Kernel, index_of
from pkpd.solver.options import USUAL, Options
from pkpd.solver.readings import Asked, answer, ask
from pkpd.solver.solution import Crossings, Floats, Integers, Reading, Readings, Root, Solution, solution_of
from pkpd.solver.table import Table, together
from pkpd.solver.task import (
    NONE,
    SMALLEST_CHUNK,
    Levels,
    Raw,
    Room,
    SolveTask,
    integrate,
    possible_method,
    task_of,
)
from pkpd.solver.timeline import GivenChange, Sorted, Timeline, in_order, shared

_COUNTS = np.array(
    [
        layout.RHS_CALLS,
        layout.JACOBIANS,
        layout.FACTORISATIONS,
        layout.STEPS,
        layout.REJECTED,
        layout.SWITCHES,
        layout.CLIPPED,
    ]
)
EVERYBODY = slice(None)
MOST_KEPT = 2**16
"""Doubles that a layout keeps for calls that follow: half a megabyte. What needs more takes so long that to
lay it out again is nothing beside it."""


class SolveRequest(NamedTuple):
    """As ``solve`` is given it."""

    kernel: Kernel
    events: EventTable | Sequence[Timeline]
    times: ArrayLike | None = None
    options: Options = USUAL
    directions: Sequence[int | str] = ()
    keep_states: bool = False
    places: ArrayLike | None = None
    changes: Sequence[GivenChange] = ()
    knots: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None
    initial: ArrayLike | None = None
    start: float | None = None
    factors: ArrayLike | None = None
    roots: Sequence[Root | tuple[Any, ...]] = ()
    most_crossings: int = 64
    readings: Sequence[Reading | tuple[Any, ...]] = ()


class Layout:
    """A request for a number of subjects, whatever their parameters are. Raises InputError: what does not go
    together, or is not of this number of subjects.

    Threads may call one at the same time.
    """

    def __init__(self, request: SolveRequest, n_subjects: int) -> None:
        kernel = request.kernel
        self.kernel, self.keep_states = kernel, request.keep_states
        self.options = options = _possible(kernel, request.options)
        self.groups = _groups(n_subjects, request)
        initial, self.factors = request.initial, request.factors
        self.initial = None if initial is None else _initial(kernel, initial, request.start, n_subjects)
        self.directions = None
        if len(request.directions):
            of_all = request.events if isinstance(request.events, EventTable) else None
            self.directions = directions_of(
                kernel, of_all, n_subjects, request.directions, resumed=initial is not None
            )
        derived = self.directions is not None
        self.roots, self.levels = _roots(kernel, request.roots, n_subjects, request.most_crossings)
        self.asked = ask(kernel, request.readings, n_subjects, sensitivities=derived)
        self.kept = _non_negative(kernel, options.non_negative, derived)
        if options.method == layout.LINEAR and (derived or self.roots or self.asked or len(self.kept)):
            raise InputError(
                "method='linear' goes without sensitivities, roots, readings and non_negative; "
                '"auto" has them'
            )
        with_states = request.keep_states or (self.asked is not None and self.asked.states)
        self.width = kernel.n_outputs + (kernel.n_states if with_states else 0)
        self._given: _Given | None = None  # to subjects with any parameters
        self._reordered = any(group.look.order is not None for group in self.groups)
        self._rooms: list[Room] | None = None  # kept for more calls, those that no thread is using
        self._n_subjects, self._n_outputs = n_subjects, kernel.n_outputs

    def __call__(self, p: Floats, told: Counting | None = None) -> Solution:
        """The solution for parameters p : (n_subjects, n_params)."""
        directions = self._directions_at(p)
        given = self._given_to(p, directions)
        return self._solution(integrate(self._task(given, directions), told), given, directions)

    def gradient(self, p: Floats, weights: ArrayLike) -> tuple[Solution, Floats]:
        """The solution for parameters p : (n_subjects, n_params), and the derivatives by them, (n_subjects,
        n_params), of the sum of weights, (n_subjects, n_times, n_outputs), times outputs. Raises InputError:
        there are none, or weights of another shape."""
        given = self._given_to(p, None)
        if reason := why_not(self.kernel, given.table, self.options, self.kept):
            raise InputError(f"{self.kernel.NAME} has no gradient here: {reason}")
        n_times = given.times.size if given.time_spans is None else int(given.time_spans[:, 1].max())
        of_all = _weights(weights, (len(p), n_times, self._n_outputs))
        if self._reordered:
            _as_computed(of_all, self.groups)
        none = Functionals(of_all[:, None], np.zeros((0, 3)), np.zeros((len(p), 1, 0)))
        raw, found = gradients(
            self.kernel, given.parameters, given.table, given.times, self.options, none, given.time_spans
        )
        gradient = found[:, 0]
        steep = ~np.isfinite(gradient).all(axis=1) & (raw.status == SUCCESS)
        raw.status[steep], raw.out[steep], gradient[steep] = SLOPE_NOT_FINITE, np.nan, np.nan
        return self._solution(raw, given, None), gradient

    def prepare(self) -> None:
        """Compile and lay out what can be, for many calls of ``again``."""
        if all(_is_fixed(group.timeline) for group in self.groups):
            p = np.ones((self._n_subjects, self.kernel.n_params))  # of which only the shape counts
            self._given = self._given_to(p, self._directions_at(p))
            if _at_once(self._n_subjects, self.options):
                room = self._room()
                self._rooms = [room] if room.size <= MOST_KEPT else None

    def again(self, p: Floats) -> Solution:
        """As a call, in memory that is kept for the next where it is little."""
        if self._rooms is None or self._given is None:
            return self(p)
        directions = self._directions_at(p)
        try:
            room = self._rooms.pop()
        except IndexError:
            room = self._room()
        raw = room(p, directions)
        self._rooms.append(room)
        return self._solution(raw, self._given, directions)

    def _room(self) -> Room:
        assert self._given is not None
        p = np.ones((self._n_subjects, self.kernel.n_params))
        return Room(self._task(self._given._replace(parameters=p), self._directions_at(p)))

    def _directions_at(self, p: Floats) -> Directions | None:
        return None if self.directions is None else self.directions.at(p)

    def _given_to(self, p: Floats, directions: Directions | None) -> _Given:
        if self._given is not None:
            return self._given._replace(parameters=p)
        return _given(self.kernel, p, self.groups, self.options, directions, self.initial, self.factors)

    def _task(self, given: _Given, directions: Directions | None) -> SolveTask:
        return task_of(
            self.kernel,
            given.parameters,
            given.table,
            given.times,
            self.options,
            width=self.width,
            time_spans=given.time_spans,
            directions=directions,
            levels=self.levels,
            quantities=None if self.asked is None else self.asked.quantities,
            kept=self.kept,
        )

    def _solution(self, raw: Raw, given: _Given, directions: Directions | None) -> Solution:
        if given.table.own.size:
            raw.status[~np.isfinite(given.table.own).all(axis=1)] = NOT_PERIODIC
        out, out_dot, readings, crossings = raw.out, None, None, None
        if raw.out_dot is not None and directions is not None:
            out_dot = _derivatives(raw.out_dot, directions)
            _fail_where_steep(out, out_dot, raw.status, given)
        if self.asked is not None:
            readings = _answered(self.asked, raw, directions, out_dot, given)
        if self._reordered:
            for array in (out, out_dot):
                if array is not None:
                    _as_asked(array, self.groups)
        if self.levels is not None:
            crossings = _crossings(self.roots, raw, self.levels.most, directions)
        k, reached = self._n_outputs, raw.reached
        return solution_of(
            outputs=out[:, :, :k],
            states=out[:, :, k:] if self.keep_states else None,
            sensitivities=None if out_dot is None else out_dot[:, :, :k],
            state_sensitivities=None if out_dot is None or not self.keep_states else out_dot[:, :, k:],
            status=raw.status,
            stopped=reached[:, 0],
            counts=raw.counts.take(_COUNTS, axis=1),
            largest_error=reached[:, 1],
            switched=reached[:, 2:],
            crossings=crossings,
            method_used=raw.counts[:, layout.METHOD_USED],
            methods=raw.methods,
            time_unit=self.kernel.TIME_UNIT,
            readings=readings,
        )


def parameters_of(kernel: Kernel, values: ArrayLike) -> Floats:
    """(n_subjects, n_params) from what a person gave. Raises InputError: another shape."""
    p = np.asarray(values, dtype=np.float64)
    if p.ndim < 2:
        p = p.reshape(1, -1)
    if p.ndim != 2 or p.shape[1] != len(kernel.PARAMETERS) or p.shape[0] == 0:
        raise InputError(
            f"values of parameters have shape {np.shape(values)}; {kernel.NAME} takes (n_subjects, "
            f"{kernel.n_params}): {', '.join(kernel.PARAMETERS)}"
        )
    return np.ascontiguousarray(p)


def _at_once(n_subjects: int, options: Options) -> bool:
    """Whether subjects are so few that one thread integrates them without a pause."""
    executor = options.executor
    alone = isinstance(executor, Threads) and executor.workers == 1
    return n_subjects == 1 or (alone and n_subjects <= SMALLEST_CHUNK)


def _is_fixed(timeline: Timeline) -> bool:
    """Whether the rows that a timeline becomes, and each subject's own numbers, are those of any
    parameters."""
    if timeline.changes or timeline.knots:
        return False
    events = timeline.events
    return events.only_doses or bool(np.isin(events.kind, (DOSE, REPLACE)).all())


def _possible(kernel: Kernel, options: Options) -> Options:
    """Options whose method the kernel has."""
    if options.method == layout.LINEAR and not kernel.LINEAR:
        raise InputError(f'{kernel.NAME} is not linear in its states; "auto" integrates it')
    method = possible_method(kernel, options.method, options.rtol)
    return options if method == options.method else replace(options, method=method)


class _Group(NamedTuple):
    """Subjects who have the same timeline; who : their indices."""

    timeline: Timeline
    look: Sorted
    who: Any


def _groups(n_subjects: int, request: SolveRequest) -> list[_Group]:
    events, times = request.events, request.times
    if isinstance(events, EventTable):
        if times is None:
            raise InputError("an event table for all subjects goes with output times")
        timeline = Timeline(events, times, request.places, request.changes, request.knots, request.start)
        return [_Group(timeline, in_order(timeline), EVERYBODY)]
    _nothing_beside_timelines(request)
    return [_Group(timeline, in_order(timeline), who) for timeline, who in shared(events, n_subjects)]


class _Given(NamedTuple):
    """What all subjects are given, and when they are looked at; time_spans : as ``integrate`` has them."""

    table: Table
    parameters: Floats
    times: Floats
    time_spans: Integers | None


def _given(
    kernel: Kernel,
    p: Floats,
    groups: Sequence[_Group],
    options: Options,
    directions: Directions | None,
    initial: Floats | None,
    factors: ArrayLike | None,
) -> _Given:
    alone = len(groups) == 1
    tables: list[Table] = []
    at_start = p
    for timeline, look, who in groups:
        mine = directions
        if directions is not None and not isinstance(who, slice):
            mine = directions.of(who, len(timeline.events))
        table, changed = table_of(
            kernel,
            p if alone else p[who],
            timeline.events,
            look.times,
            options,
            places=look.places,
            changes=timeline.changes,
            knots=timeline.knots,
            directions=mine,
            initial=initial,
            start=timeline.start,
            factors=factors,
        )
        tables.append(table)
        if alone:
            return _Given(table, changed, look.times, None)
        if timeline.changes or timeline.knots:
            at_start = p.copy() if at_start is p else at_start
            at_start[who] = changed
    members = [group.who for group in groups]
    times, time_spans = _one_after_the_other([group.look for group in groups], members, len(p))
    return _Given(together(tables, members, len(p)), at_start, times, time_spans)


def _derivatives(dots: Floats, directions: Directions) -> Floats:
    """What the integrator found by directions times their scale, (n_subjects, ..., m), by those asked for."""
    count = directions.count
    scale = directions.scale[:, :count].reshape(len(dots), *[1] * (dots.ndim - 2), count)
    found: Floats = dots[..., :count] / scale
    return found


def _fail_where_steep(out: Floats, out_dot: Floats, status: Integers, given: _Given) -> None:
    """A subject whose outputs are numbers and their derivatives are not has failed."""
    if np.isfinite(out_dot).all():
        return
    none = np.zeros(out.shape[:2], bool)  # what a subject has fewer times than another
    if given.time_spans is not None:
        none = np.arange(out.shape[1]) >= given.time_spans[:, 1:]
    steep = (
        ~(np.isfinite(out_dot).all(axis=(2, 3)) | none).all(axis=1)
        & (np.isfinite(out).all(axis=2) | none).all(axis=1)
        & (status == SUCCESS)
    )
    status[steep], out[steep], out_dot[steep] = SLOPE_NOT_FINITE, np.nan, np.nan


def _answered(
    asked: Asked, raw: Raw, directions: Directions | None, out_dot: Floats | None, given: _Given
) -> Readings | None:
    """Readings, for which the last output of each subject counts too."""
    if raw.read is None:
        return None
    read_dot = None
    if raw.read_dot is not None and directions is not None:
        read_dot = _derivatives(raw.read_dot, directions)
    n_subjects, spans = len(raw.out), given.time_spans
    last = np.arange(n_subjects), -1 if spans is None else spans[:, 1] - 1
    until = np.full(n_subjects, given.times[-1])
    if spans is not None:
        until = given.times[spans.sum(axis=1) - 1]
    last_dot = None if out_dot is None else out_dot[last]
    return answer(asked, raw.read, read_dot, raw.out[last], last_dot, until, raw.status)


def _as_asked(array: Floats, groups: Sequence[_Group]) -> None:
    """Rows of ascending times into the order in which times were given."""
    for _, look, who in groups:
        if look.order is None:
            continue
        if who is EVERYBODY:
            array[:, look.order] = array.copy()
        else:
            array[np.ix_(who, look.order)] = array[who, : look.order.size].copy()


def _weights(weights: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Of outputs, in an array of their own; those of all subjects are alike where they have two axes."""
    try:
        found = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape not in (shape, shape[1:]) or not np.all(np.isfinite(found)):
        raise InputError(
            f"weights must be finite numbers of shape {shape}, subjects, times, outputs, or {shape[1:]} for "
            f"all subjects; not {repr(weights) if isinstance(weights, str) else np.shape(weights)}"
        )
    return np.array(np.broadcast_to(found, shape))


def _as_computed(array: Floats, groups: Sequence[_Group]) -> None:
    """The way back."""
    for _, look, who in groups:
        if look.order is None:
            continue
        if who is EVERYBODY:
            array[:] = array[:, look.order]
        else:
            array[who, : look.order.size] = array[np.ix_(who, look.order)]


def _nothing_beside_timelines(request: SolveRequest) -> None:
    named = {
        "times": request.times,
        "places": request.places,
        "changes": request.changes or None,
        "knots": request.knots,
        "start": request.start,
    }
    beside = [name for name, value in named.items() if value is not None]
    if beside:
        raise InputError(f"each timeline has its own {beside[0]}: it is not given beside them")
    if request.initial is not None or request.factors is not None:
        raise InputError("initial states and factors of doses go with one event table for all subjects")


def _one_after_the_other(
    looks: Sequence[Sorted], members: Sequence[Integers], n_subjects: int
) -> tuple[Floats, Integers]:
    """Output times of all timelines, and where each subject's own stand: (n_subjects, 2)."""
    spans = np.zeros((n_subjects, 2), np.int64)
    at = 0
    for look, who in zip(looks, members, strict=True):
        spans[who] = at, look.times.size
        at += look.times.size
    return np.concatenate([look.times for look in looks]), spans


def _initial(kernel: Kernel, initial: ArrayLike, start: float | None, n_subjects: int) -> Floats:
    states = kernel.with_clock(np.asarray(initial, dtype=np.float64), 0.0 if start is None else start)
    if states.shape != (n_subjects, kernel.n_states) or not np.all(np.isfinite(states)):
        raise InputError(
            f"initial must be finite numbers of shape ({n_subjects}, {kernel.n_states}): "
            f"{', '.join(kernel.STATES)}; not {states.shape}"
        )
    if start is None:
        raise InputError("initial goes with start, the time at which those states hold")
    return states


def _roots(
    kernel: Kernel, roots: Sequence[Root | tuple[Any, ...]], n_subjects: int, most: int
) -> tuple[tuple[Root, ...], Levels | None]:
    """The roots, and as the integrator takes them."""
    if most < 1:
        raise InputError(f"most_crossings must be at least 1, not {most!r}")
    if not roots:
        return (), None
    given = tuple(root if isinstance(root, Root) else Root(*root) for root in roots)
    names = [*kernel.OUTPUTS, *kernel.STATES]  # an output hides a state of its name, which is the same
    columns = np.zeros((len(given), 2))
    levels = np.zeros((n_subjects, len(given)))
    for i, root in enumerate(given):
        columns[i] = index_of(root.name, names, "output or state", kernel), root.direction
        if root.direction not in (-1, 0, 1):
            raise InputError(f"the direction of a root is -1, 0 or 1, not {root.direction!r}")
        level = np.asarray(root.level, dtype=np.float64)
        if level.shape not in ((), (n_subjects,)) or not np.all(np.isfinite(level)):
            raise InputError(
                f"the level of {root.name} must be one finite number or {n_subjects}, one for each subject"
            )
        levels[:, i] = level
    return given, Levels(columns, levels, most)


def _non_negative(kernel: Kernel, given: bool | Sequence[str], sensitivities: bool) -> Integers:
    """Indices of the states that must not be negative."""
    if given is False:
        return NONE
    if sensitivities:
        raise InputError("non_negative goes without sensitivities: a clipped step has none")
    names = kernel.named_states if given is True else given
    return np.array([index_of(name, kernel.STATES, "state", kernel) for name in names], dtype=np.int64)


def _crossings(
    roots: tuple[Root, ...], raw: Raw, most: int, directions: Directions | None
) -> Crossings | None:
    if raw.found is None:
        return None
    found, failed = raw.found, raw.status != SUCCESS
    count = found[:, :, layout.COUNT].astype(np.int64)
    count[failed] = -1
    end = layout.FOUND + most
    times = found[:, :, layout.FOUND : end]
    missing = np.arange(most) >= count[:, :, None]
    times[missing] = np.nan
    by = None
    if directions is not None:
        by = _derivatives(found[:, :, end:].reshape(*times.shape, directions.m), directions)
        by[missing] = np.nan
    time_above = found[:, :, layout.TIME_ABOVE].copy()
    time_above[failed] = np.nan
    return Crossings(roots, times, count, found[:, :, layout.ABOVE_AT_START] > 0.0, time_above, by)
