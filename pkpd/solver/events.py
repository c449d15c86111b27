"""From an event table to the rows that the integrator reads: changes of parameters, resets, replaced states,
steady states, and resumed solves.

What sets the whole state (a reset, the steady state of a dose, a solve that goes on from given states)
becomes a row that takes the states from the subject's own numbers; doses given before that still act follow
it in the table and go on from its time. Such states, and whatever else is computed here, are those of the
parameters of their own time and place in the table: changes that come before them are in it, later ones are
not.

At one instant rows stand by place (``pkpd.dosing.events.Place``): before which event, and in which order of
all that stands there. What belongs to an event follows, by ``Sequel``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import InputError
from pkpd.dosing import EventTable
from pkpd.dosing.events import DOSE, FIRST, LAST, REPLACE, RESET, STEADY, STEADY_ADDED, Place
from pkpd.ode import layout
from pkpd.solver.directions import Directions
from pkpd.solver.kernel import Kernel, index_of
from pkpd.solver.options import Options
from pkpd.solver.periodic import before, carried, set_row, steady_state
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.table import Table, dose_rows, plain
from pkpd.solver.task import integrate, task_of
from pkpd.solver.timeline import GivenChange

BEGINNING = Place(-1)  # what is there before anything else happens
AT_START = Place(FIRST.before, FIRST.among + 1)  # initial values come right after changes of no stated place


class Sequel(IntEnum):
    """What belongs to an event, in order; what is not of an event has no part."""

    STATES = 0
    """States that are set or added, of a steady state."""
    CARRIED = 1
    """Doses of before that still act."""
    EVENT = 2
    COVARIATES = 3
    """Covariates that go on after a reset."""


def of_event(e: int) -> Place:
    """The place of what belongs to an event: behind all that stands before it."""
    return Place(e, LAST.before)


def table_of(
    kernel: Kernel,
    p: Floats,
    events: EventTable,
    times: Floats,
    options: Options,
    *,
    places: Integers | None = None,
    changes: Sequence[GivenChange] = (),
    knots: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    directions: Directions | None = None,
    initial: Floats | None = None,
    start: float | None = None,
    factors: ArrayLike | None = None,
) -> tuple[Table, Floats]:
    """The table of a solve and its parameters at the start; arguments as in ``solve``, times ascending, at
    one instant by places.

    A steady state that was not found stands in ``own`` as nan.
    """
    if start is not None and initial is None and len(events) and events.time[0] < start:
        raise InputError(f"there is an event, at {events.time[0]:g}, before the start, {start:g}")
    others = (initial, factors, places, start)
    if events.only_doses and not changes and not knots and all(one is None for one in others):
        return plain(events, len(p)), p
    if (changes or knots) and directions is not None:
        raise InputError("covariates that change go without sensitivities")
    own = _Own(len(p), 0 if directions is None else directions.m)
    rows = _Rows(dose_rows(events))
    if factors is not None:
        first = own.add(_factors(factors, len(p), events))
        rows.events[:, layout.DOSE_FACTOR] = first + np.arange(len(events))
    courses = [_LinearCovariate(kernel, name, *given) for name, given in (knots or {}).items()]
    begin = float(min(0.0, times[0], *events.time[:1])) if start is None else start
    over_time = _over_time(kernel, p, events, changes, courses, begin)
    passed = int(np.sum(over_time.earlier(begin, AT_START)))
    if initial is None:
        p = over_time.at(begin, AT_START)
    else:
        p = over_time.p
        by_initial = None if directions is None else directions.by_initial[None].repeat(len(p), 0)
        rows.put(set_row(begin, own.add(initial, by_initial)), begin, BEGINNING)
        _replay(rows, events, over_time.changes[:passed], begin)
    for course in courses:
        course.follow(rows, begin, BEGINNING)
    for row, place in zip(over_time.changes[passed:], over_time.places[passed:].tolist(), strict=True):
        rows.put(row, row[layout.DOSE_TIME], Place(*place))
    for row, standing in _read_before(times, places):
        rows.put(row, row[layout.DOSE_TIME], standing)
    # given states are not the initial ones
    rest = _Rest(
        kernel, over_time, options, directions if initial is None else _of_dose(directions, 0), begin
    )
    for e in np.flatnonzero(events.kind != DOSE).tolist():
        if initial is not None and float(events.time[e]) < begin:
            raise InputError("a solve that goes on from given states takes nothing but doses from before it")
        if events.kind[e] == REPLACE:
            rows.events[e, layout.DOSE_ROUTE] = -layout.REPLACE
            rows.events[e, layout.DOSE_SIZE] = events.route[e]
        elif events.kind[e] == RESET:
            _reset(rows, own, events, e, rest, courses)
        elif courses:
            raise InputError(
                "a steady state goes without covariates that run linearly: at a steady state nothing changes"
            )
        else:
            _steady(rows, own, events, e, rest, directions)
    table, source = rows.sorted(events.time)
    return Table(table, source, begin, *own.arrays(directions is not None)), p


def _over_time(
    kernel: Kernel,
    p: Floats,
    events: EventTable,
    given: Sequence[GivenChange],
    courses: Sequence[_LinearCovariate],
    begin: float,
) -> _OverTime:
    """Parameters as they change; those that run linearly have at each event the value of its time."""
    along = [(float(t), course.name, course.at(t)) for t in events.time for course in courses]
    changes, places = _changes(kernel, [*given, *along])
    p = p.copy() if courses else p
    for course in courses:
        p[:, kernel.PARAMETERS.index(course.name)] = course.at(begin)
    return _OverTime(p, changes, places)


def _reset(
    rows: _Rows, own: _Own, events: EventTable, e: int, rest: _Rest, courses: Sequence[_LinearCovariate]
) -> None:
    """Event e sets initial values; a reset is one of the system, not of the covariates."""
    time = float(events.time[e])
    y, y_dot = rest.at(time, of_event(e))
    for course in courses:
        y[:, course.state] = course.at(time)
        course.follow(rows, time, of_event(e), part=Sequel.COVARIATES)
    rows.events[e] = set_row(time, own.add(y, y_dot))
    rows.foreign.add(e)


def _steady(
    rows: _Rows, own: _Own, events: EventTable, e: int, rest: _Rest, directions: Directions | None
) -> None:
    """Event e sets or adds the steady state of its dose, and doses of before it still act."""
    kernel, time, interval = rest.kernel, float(events.time[e]), float(events.interval[e])
    row = rows.events[e].copy()
    _check_steady(events, e, kernel)
    then = rest.over_time.at(time, of_event(e))
    base, base_dot = rest.at(time, of_event(e))
    y, y_dot = steady_state(kernel, then, row, interval, base, rest.options, _of_dose(directions, e))
    added = events.kind[e] == STEADY_ADDED
    if added:
        y = y - base
        if y_dot is not None and base_dot is not None:
            y_dot = y_dot - base_dot
    states = set_row(time, own.add(y, y_dot))
    if added:
        states[layout.DOSE_ROUTE] = -layout.ADD
    rows.put(states, time, of_event(e), part=Sequel.STATES)
    if interval == 0.0:
        rows.drop.append(e)  # the infusion ends here
        return
    for one in before(row, interval, carried(kernel, then, row, interval)):
        rows.put(one, time, of_event(e), part=Sequel.CARRIED, source=e)


def _of_dose(directions: Directions | None, e: int) -> Directions | None:
    """The directions, of which those by the amounts of doses are seen by event e alone."""
    if directions is None:
        return None
    return Directions(
        directions.count,
        directions.slots,
        directions.scale,
        np.zeros_like(directions.by_initial),
        directions.by_dose[e : e + 1],
    )


def _check_steady(events: EventTable, e: int, kernel: Kernel) -> None:
    interval, amount, rate = float(events.interval[e]), float(events.amount[e]), float(events.rate[e])
    if interval > 0.0 or (interval == 0.0 and amount == 0.0 and rate > 0.0):
        return
    raise InputError(
        f"event {e} at t = {events.time[e]:g} {kernel.TIME_UNIT} asks for a steady state: it needs "
        "an interval between doses, "
        "or amount 0 and a rate for a constant infusion"
    )


def _factors(factors: ArrayLike, n_subjects: int, events: EventTable) -> Floats:
    array = np.asarray(factors, dtype=np.float64)
    if array.shape != (n_subjects, len(events)) or not np.all(np.isfinite(array)):
        raise InputError(
            f"factors must be finite numbers of shape ({n_subjects}, {len(events)}): one for each "
            f"subject and event, not {array.shape}"
        )
    if np.any((events.kind == STEADY) | (events.kind == STEADY_ADDED)):
        raise InputError("factors of doses go without steady states")
    return array


def _changes(kernel: Kernel, changes: Sequence[GivenChange]) -> tuple[Floats, Integers]:
    """Rows of parameters that change, and their places (n_changes, 2), by time and place; those of one place
    in the order given."""
    made = np.full((len(changes), layout.DOSE), np.nan)
    places = np.empty((len(changes), 2), np.int64)
    for i, (time, name, value, *place) in enumerate(changes):
        index = index_of(name, kernel.PARAMETERS, "parameter", kernel)
        if not (np.isfinite(time) and np.isfinite(value)):
            raise InputError(f"{name} cannot become {value!r} at {time!r}: both must be finite numbers")
        made[i, layout.DOSE_TIME], made[i, layout.DOSE_ROUTE] = time, -layout.CHANGE
        made[i, layout.DOSE_AMOUNT], made[i, layout.DOSE_SIZE] = value, index
        places[i] = place[0] if place else FIRST
    order = np.lexsort((places[:, 1], places[:, 0], made[:, layout.DOSE_TIME]))
    return made[order], places[order]


def _replay(rows: _Rows, events: EventTable, changes: Floats, begin: float) -> None:
    """What was before a solve goes on: doses as far as they still act, each with the parameters of its own
    time."""
    past = [(row[layout.DOSE_TIME], i, row, -1) for i, row in enumerate(changes)]
    past += [
        (float(events.time[e]), len(changes) + e, None, e)
        for e in np.flatnonzero(events.time < begin).tolist()
    ]
    for _, _, row, e in sorted(past, key=lambda one: one[:2]):
        if row is None:
            rows.keep(e, begin)
        else:
            row = row.copy()
            row[layout.DOSE_TIME] = begin
            rows.put(row, begin, BEGINNING)


def _read_before(times: Floats, places: Integers | None) -> Iterator[tuple[Floats, Place]]:
    """Rows, with their places, that have outputs written before what follows at their instant; times
    ascending, at one instant by places."""
    if places is None:
        return
    last = np.append((times[1:] != times[:-1]) | (places[1:] != places[:-1]).any(axis=1), True)
    for i in np.flatnonzero(last & (places[:, 0] < LAST.before)).tolist():
        row = np.full(layout.DOSE, np.nan)
        row[layout.DOSE_TIME], row[layout.DOSE_AMOUNT] = times[i], i + 1
        row[layout.DOSE_ROUTE] = -layout.ABOVE
        yield row, Place(*places[i].tolist())


class _LinearCovariate:
    """A covariate that runs linearly between knots, and stays where it is before the first and after the
    last."""

    def __init__(self, kernel: Kernel, name: str, times: ArrayLike, values: ArrayLike) -> None:
        index_of(name, kernel.PARAMETERS, "covariate", kernel)
        route = f"{name}(t)"
        if route not in kernel.ROUTES:
            raise InputError(
                f'load the model with linear=["{name}"] for {name} to run linearly between knots'
            )
        self.name = name
        self.times, self.values = np.array(times, dtype=np.float64), np.array(values, dtype=np.float64)
        fits = self.times.ndim == 1 and self.times.shape == self.values.shape and self.times.size > 0
        if not (fits and np.isfinite([self.times, self.values]).all() and np.all(np.diff(self.times) > 0.0)):
            raise InputError(f"the knots of {name} must be increasing times and as many values, all finite")
        k = kernel.ROUTES.index(route)
        self.state = int(kernel.ROUTE_TARGETS[k])
        self.rows = np.full((self.times.size - 1, layout.DOSE), np.nan)
        self.rows[:, layout.DOSE_TIME] = self.times[:-1]
        self.rows[:, layout.DOSE_AMOUNT], self.rows[:, layout.DOSE_ROUTE] = np.diff(self.values), k
        self.rows[:, layout.DOSE_DURATION] = np.diff(self.times)
        self.rows[:, [layout.DOSE_SIZE, layout.DOSE_FACTOR]] = -1.0

    def at(self, time: float) -> float:
        """The value at a time."""
        return float(np.interp(time, self.times, self.values))

    def follow(self, rows: _Rows, since: float, place: Place, *, part: Sequel = Sequel.EVENT) -> None:
        """Let it run from a time on."""
        for row in self.rows:
            row = row.copy()
            row[layout.DOSE_SINCE] = since
            rows.put(row, since, place, part=part)


class _Own:
    """Each subject's own numbers, side by side."""

    def __init__(self, n_subjects: int, m: int) -> None:
        self.n_subjects, self.m, self.width = n_subjects, m, 0
        self.values: list[Floats] = []
        self.dots: list[Floats] = []

    def add(self, values: Floats, dots: Floats | None = None) -> int:
        """Append (n_subjects, k) with tangents (n_subjects, k, m), noughts by default; returns their
        place."""
        place = self.width
        self.values.append(values)
        self.dots.append(np.zeros((*values.shape, self.m)) if dots is None else dots)
        self.width += values.shape[1]
        return place

    def arrays(self, tangents: bool) -> tuple[Floats, Floats | None]:
        if not self.values:
            return np.zeros((self.n_subjects, 0)), None
        return np.concatenate(self.values, axis=1), np.concatenate(self.dots, axis=1) if tangents else None


class _Rows:
    """Rows on their way into order: by time, at one instant by place, and of what belongs to one event by
    part; else as they were put."""

    def __init__(self, events: Floats) -> None:
        self.events = events
        self.extra: list[tuple[Floats, float, Place, Sequel, int]] = []
        self.drop: list[int] = []
        self.foreign: set[int] = set()

    def put(
        self, row: Floats, time: float, place: Place, *, part: Sequel = Sequel.EVENT, source: int = -1
    ) -> None:
        self.extra.append((row, time, place, part, source))

    def keep(self, e: int, start: float) -> None:
        """A dose of before ``start``, as far as it still acts then."""
        row = self.events[e].copy()
        row[layout.DOSE_SINCE] = start
        self.put(row, start, BEGINNING, source=e)
        self.drop.append(e)

    def sorted(self, times: Floats) -> tuple[Floats, np.ndarray]:
        """(n_rows, layout.DOSE) and the event of each, or -1."""
        dropped = set(self.drop)
        own = [e for e in range(len(self.events)) if e not in dropped]
        source = np.array(
            [-1 if e in self.foreign else e for e in own] + [s for *_, s in self.extra], np.int64
        )
        rows = np.vstack([self.events[own], *[row[None] for row, *_ in self.extra]])
        time = np.concatenate([times[own], [t for _, t, *_ in self.extra]])
        keys = [(*of_event(e), Sequel.EVENT) for e in own] + [(*at, part) for _, _, at, part, _ in self.extra]
        event, among, part = np.array(keys, dtype=np.int64).reshape(-1, 3).T
        order = np.lexsort((part, among, event, time))
        return np.ascontiguousarray(rows[order]), source[order]


class _OverTime:
    """Parameters of every subject over time: those at the start, and every change since. changes :
    (n_changes, layout.DOSE), by time and ``places``."""

    def __init__(self, p: Floats, changes: Floats, places: Integers) -> None:
        self.p = p
        self.changes, self.times, self.places = changes, changes[:, layout.DOSE_TIME], places

    def earlier(self, time: float, place: Place) -> NDArray[np.bool_]:
        """(n_changes,) which come before what has this place at this time."""
        event, among = self.places.T
        above = (event < place.before) | ((event == place.before) & (among < place.among))
        return np.asarray((self.times < time) | ((self.times == time) & above))

    def passed(self, time: float, place: Place) -> tuple[tuple[int, float], ...]:
        """(index, value) of the parameters that have changed before what has this place at this time."""
        changed = self.changes[self.earlier(time, place)]
        return tuple(
            sorted({int(row[layout.DOSE_SIZE]): float(row[layout.DOSE_AMOUNT]) for row in changed}.items())
        )

    def at(self, time: float, place: Place) -> Floats:
        """(n_subjects, n_params)"""
        return self.with_(self.passed(time, place))

    def with_(self, changed: tuple[tuple[int, float], ...]) -> Floats:
        """(n_subjects, n_params) after such changes."""
        if not changed:
            return self.p
        p = self.p.copy()
        for index, value in changed:
            p[:, index] = value
        return p


class _Rest:
    """Initial values of every subject, and their tangents, computed when first asked for with the parameters
    of a time."""

    def __init__(
        self,
        kernel: Kernel,
        over_time: _OverTime,
        options: Options,
        directions: Directions | None,
        start: float,
    ) -> None:
        self.kernel, self.over_time, self.options = kernel, over_time, options
        self.directions, self.start = directions, start
        self._known: dict[tuple[tuple[int, float], ...], tuple[Floats, Floats | None]] = {}

    def at(self, time: float, place: Place) -> tuple[Floats, Floats | None]:
        """(n_subjects, n) and (n_subjects, n, m), with the parameters before what has this place; where the
        model uses the time itself, it goes on."""
        changed = self.over_time.passed(time, place)
        if changed not in self._known:
            self._known[changed] = self._computed(self.over_time.with_(changed))
        y, dot = self._known[changed]
        y = y.copy()
        if "t" in self.kernel.STATES:
            y[:, self.kernel.STATES.index("t")] = time
        return y, dot

    def _computed(self, p: Floats) -> tuple[Floats, Floats | None]:
        k, n = self.kernel.n_outputs, self.kernel.n_states
        table = replace(plain(EventTable.empty(), len(p)), start=self.start)
        start = np.array([self.start])
        task = task_of(self.kernel, p, table, start, self.options, width=k + n, directions=self.directions)
        raw = integrate(task)
        return raw.out[:, 0, k:], None if raw.out_dot is None else raw.out_dot[:, 0, k:]
