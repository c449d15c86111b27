"""What a model takes in, and records read for it: event tables, output times, and covariates over time, in
the model's units.

``Intake.take(records)`` checks everything that needs the model (routes, compartments, units, body sizes,
covariates) for all subjects of a file and gives one `Course` each, or one error with every line that does not
fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError, ScheduleError
from pkpd.core.names import meant
from pkpd.dosing.covariates import RULES, CovariateChange, Order, Varying, changes, read_covariates, sections
from pkpd.dosing.events import (
    DOSE,
    REPLACE,
    RESET,
    STEADY,
    STEADY_ADDED,
    EventTable,
    find_route,
    size_index,
    unit_factor,
)
from pkpd.dosing.quantities import MAX_DAYS, MAX_DOSES, check_believable, units_per_day
from pkpd.dosing.records import OBSERVATION, RESET_AND_DOSE, Record, Records, SubjectRecords, number
from pkpd.dosing.records import REPLACE as REPLACEMENT
from pkpd.dosing.records import RESET as RESETTING

Floats = NDArray[np.float64]

_MOST_IN_FILE = 10 * MAX_DOSES


@dataclass(frozen=True)
class Observations:
    """Lines of EVID 0, in their order; all arrays (n_observations,).

    Attributes:
        time: in the model's time unit; place: among the events of the instant, as ``pkpd.solver.solve``
            takes it: what a line says is so before whatever stands below it.
        value: DV as written, nan where missing; missing: MDV; censored: CENS; limit: LIMIT; line: in the
            file; value_id: DVID.
    """

    time: Floats
    place: NDArray[np.int64]
    value: Floats
    missing: NDArray[np.bool_]
    censored: NDArray[np.int64]
    limit: Floats
    line: NDArray[np.int64]
    value_id: tuple[str, ...]


class _EventRow(NamedTuple):
    """An event as ``EventTable`` has it, and the number of its line among the subject's."""

    time: float
    amount: float
    route: float
    duration: float
    size: float
    rate: float
    kind: float
    interval: float
    line: float


@dataclass(frozen=True)
class SubjectCourse:
    """What one subject is given and when it is looked at, in a model's units.

    Attributes:
        id: as written; line: its first line; start: the time of that line.
        events: doses, resets, replacements and steady states, additional doses among them.
        observations: the lines of EVID 0; order: where they and other outputs stand among the events.
        baseline: the first value of every covariate.
        changes: (time, name, value, place), ascending: later values of those that vary, by the rules locf and
            nocb, as ``pkpd.solver.solve`` takes them.
        knots: name -> (times, values), each (n_knots,), times increasing: those that vary, by the rule
            linear.
    """

    id: str
    line: int
    start: float
    events: EventTable
    observations: Observations
    order: Order
    baseline: Mapping[str, float] = field(default_factory=dict)
    changes: tuple[CovariateChange, ...] = ()
    knots: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """All subjects of a file. used : columns that are covariates of the model; unused : columns that are
    nothing to it."""

    courses: tuple[SubjectCourse, ...]
    used: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True)
class Intake:
    """What of a model is needed to read records for it.

    Attributes:
        time_unit: of the model; states: their names, in the model's order.
        routes, route_targets, route_speeds: of every route its name, the index of the state it enters, and
            "rate", "duration" or "" for what it declares.
        dose_units: route -> unit -> factor to the unit of the state; sizes: "m2", "kg" -> index of the
            parameter, or -1.
        parameters, lower, upper: names of parameters and covariates, and their bounds.
    """

    time_unit: str
    states: Sequence[str]
    routes: Sequence[str]
    route_targets: Sequence[int]
    route_speeds: Sequence[str]
    dose_units: Mapping[str, Mapping[str, float]]
    sizes: Mapping[str, int]
    parameters: Sequence[str] = ()
    lower: Sequence[float] = ()
    upper: Sequence[float] = ()

    def take(
        self, records: Records, *, interpolation: str | None = None, time_unit: str | None = None
    ) -> Taken:
        """Read records for this model.

        interpolation : one of RULES; only covariates that vary within a subject need one. time_unit : of
            TIME, RATE, DUR and II; the model's own if none.

        Raises:
            DataError: every line that does not fit, with its place. InputError: an unknown rule, or none
                where one is needed.
        """
        if interpolation not in (*RULES, None):
            raise InputError(f'covariates run by {", ".join(RULES)}, not "{interpolation}"')
        clock = _Clock(self.time_unit, time_unit or self.time_unit)
        records = records.afresh()
        names = self._covariates(records)
        courses: list[SubjectCourse] = []
        columns = [records.others[column] for column in names]
        ruleless: Varying | None = None
        total = 0
        for subject in records.subjects:
            total += sum(record.additional + 1 for record in subject.records if record.is_dose)
            if total > _MOST_IN_FILE:
                records.wrong(
                    subject.records[0].line, "ADDL", f"more than {_MOST_IN_FILE} doses up to this subject"
                )
                break
            times, stops = _times(subject, clock)
            events, order = self._events(records, subject, clock, times, stops)
            linear = interpolation == "linear"
            parts = [0] * len(times) if linear else sections(subject.records, times, columns)
            baseline, varying = read_covariates(records, subject, names, times, parts)
            by_rule = () if linear or interpolation is None else changes(varying, interpolation, order, parts)
            if varying and ruleless is None:
                ruleless = min(varying, key=lambda one: one.line)
            courses.append(
                SubjectCourse(
                    id=subject.id,
                    line=subject.records[0].line.number,
                    start=times[0],
                    events=events,
                    observations=_observations(subject, order, by_rule),
                    order=order,
                    baseline=baseline,
                    changes=by_rule,
                    knots={one.name: (one.times, one.values) for one in varying} if linear else {},
                )
            )
        records.table.problems.stop_if_any()
        if ruleless and interpolation is None:
            raise InputError(
                f"{records.file}:{ruleless.line}: {ruleless.name} changes within a subject: say how "
                "it runs between two lines, by interpolation (--covariates): locf (the last value is carried "
                "forward), nocb (the next one backward, as in NONMEM) or linear"
            )
        unused = tuple(name for name in records.others if name not in names)
        return Taken(tuple(courses), tuple(names), unused)

    def events(self, records: Records, subject: SubjectRecords, time_unit: str | None = None) -> EventTable:
        """The event table of one subject; raises as ``take`` does."""
        records = records.afresh()
        clock = _Clock(self.time_unit, time_unit or self.time_unit)
        table, _ = self._events(records, subject, clock, *_times(subject, clock))
        records.table.problems.stop_if_any()
        return table

    # -- events

    def _events(
        self,
        records: Records,
        subject: SubjectRecords,
        clock: _Clock,
        times: Sequence[float],
        stops: Sequence[float],
    ) -> tuple[EventTable, Order]:
        rows: list[_EventRow] = []
        for i, (record, time, stop) in enumerate(zip(subject.records, times, stops, strict=True)):
            try:
                clock.check(record)
            except ScheduleError as error:
                records.wrong(record.line, "TIME", str(error))
                continue
            if not record.is_event:
                continue
            if record.kind in (RESETTING, RESET_AND_DOSE):
                rows.append(_EventRow(time, 0.0, 0, 0.0, -1, math.nan, RESET, 0.0, i))
            if record.kind == REPLACEMENT:
                state = self._state(records, record)
                amount = float(record.amount)
                rows.append(_EventRow(time, amount, state, 0.0, -1, math.nan, REPLACE, 0.0, i))
            if not record.is_dose:
                continue
            dose = self._dose(records, record, clock)
            interval = clock.length(record.interval) if record.steady else 0.0
            kind = (DOSE, STEADY, STEADY_ADDED)[record.steady]
            rows.append(_EventRow(time, *dose, kind, interval, i))
            for later in clock.additional(record):
                if later >= stop:
                    break
                rows.append(_EventRow(later, *dose, DOSE, 0.0, i))
        if not rows:
            return EventTable.empty(), Order(times, np.empty(0), ())
        columns = _EventRow(*np.array(rows, dtype=np.float64).T)._asdict()
        order = np.argsort(columns["time"], kind="stable")
        lines = columns.pop("line")[order].astype(int).tolist()
        table = EventTable(**{name: column[order] for name, column in columns.items()})
        return table, Order(times, table.time, lines)

    def _dose(self, records: Records, record: Record, clock: _Clock) -> tuple[float, int, float, int, float]:
        """Amount, route, duration, size and rate of a dose; a note in ``records`` where there is no such
        dose."""
        route = self._route(records, record)
        if route is None:
            return 0.0, 0, 0.0, -1, math.nan
        name = self.routes[route]
        factor, size = 1.0, -1
        try:
            if record.unit:
                unit, per = record.unit
                written = f"{float(record.amount):.10g} {unit}"
                factor = unit_factor(written, unit, name, self.dose_units)
                size = size_index(written, per, self.sizes)
                check_believable(record.amount, unit, written)
            elif self.dose_units.get(name):
                unit, size_of_unit = next(iter(self.dose_units[name].items()))
                written = f"{float(record.amount):.10g} (in the unit of {self._target(route)})"
                check_believable(record.amount / Fraction(size_of_unit), unit, written)
        except ScheduleError as error:
            records.wrong(record.line, "DOSE_UNIT" if "DOSE_UNIT" in records.columns else "AMT", str(error))
        rate, duration = math.nan, math.nan
        if record.duration is not None and not record.rate:
            duration = clock.length(record.duration)
            if record.duration > MAX_DAYS * clock.per_day:
                records.wrong(record.line, "DUR", "an infusion of more than 100 years")
        elif record.rate in (-1, -2):
            wanted = "rate" if record.rate == -1 else "duration"
            if self.route_speeds[route] != wanted:
                declared = self.route_speeds[route] or "neither rate nor duration"
                records.wrong(
                    record.line,
                    "RATE",
                    f'RATE {record.rate} leaves the {wanted} to the model, but its route "{name}" '
                    f"declares {declared}: "
                    f"add {wanted} = ... to the route",
                )
        elif record.rate is not None:
            rate = clock.rate(record.rate) * factor if record.rate else math.nan
            duration = math.nan if record.rate else 0.0
            if record.amount > record.rate * MAX_DAYS * clock.per_day > 0:
                records.wrong(record.line, "RATE", "an infusion of more than 100 years")
        return float(record.amount) * factor, route, duration, size, rate

    def _target(self, route: int) -> str:
        return self.states[self.route_targets[route]]

    def _route(self, records: Records, record: Record) -> int | None:
        """The route of a dose by ROUTE, CMT, or because there is only one."""
        role = "ROUTE" if record.route else "CMT" if record.compartment else "AMT"
        try:
            if not self.routes:
                raise ScheduleError("this model has no route for a dose")
            if record.route:
                route = self._named_route(record.route)
                if record.compartment and route not in self._routes_by_compartment(record.compartment):
                    raise ScheduleError(
                        f'the route "{self.routes[route]}" enters {self._target(route)}, not CMT '
                        f"{record.compartment[:40]}"
                    )
                return route
            candidates = (
                self._routes_by_compartment(record.compartment)
                if record.compartment
                else range(len(self.routes))
            )
            if len(candidates) > 1:
                names = ", ".join(self.routes[route] for route in candidates)
                into = f"enter {self._target(candidates[0])}" if record.compartment else "are in this model"
                raise ScheduleError(
                    f"several routes {into}: say by a column ROUTE which one it is, of {names}"
                )
            return candidates[0]
        except ScheduleError as error:
            records.wrong(record.line, role, str(error))
            return None

    def _named_route(self, text: str) -> int:
        value = number(text)
        if isinstance(value, str):
            return find_route(text, self.routes)
        if value.denominator != 1 or not 1 <= value <= len(self.routes):
            known = ", ".join(f"{i} ({name})" for i, name in enumerate(self.routes, start=1))
            raise ScheduleError(f"there is no route {text[:40]}; this model has {known}")
        return int(value) - 1

    def _routes_by_compartment(self, text: str) -> Sequence[int]:
        """The routes into a state, by its number or name, or the route of that name."""
        state = self._named_state(text)
        if state is None:
            return [find_route(text, self.routes)]
        routes = [route for route, target in enumerate(self.route_targets) if target == state]
        if not routes:
            known = ", ".join(dict.fromkeys(self._target(route) for route in range(len(self.routes))))
            raise ScheduleError(
                f"no route of this model enters {self.states[state]}; doses can enter {known}"
            )
        return routes

    def _named_state(self, text: str) -> int | None:
        """Index of a state by number or name; None for the name of a route."""
        value = number(text)
        if isinstance(value, Fraction):
            if value.denominator != 1 or not 1 <= value <= len(self.states):
                raise ScheduleError(
                    f"there is no compartment {text[:40]}: the states of this model are 1 to "
                    f"{len(self.states)}, {', '.join(self.states)}"
                )
            return int(value) - 1
        index = _find(text, self.states)
        if index is None and _find(text, self.routes) is None:
            raise ScheduleError(
                f'this model has no state or route "{text[:40]}"; its states are '
                f"{', '.join(self.states)}{meant(text, [*self.states, *self.routes])}"
            )
        return index

    def _state(self, records: Records, record: Record) -> int:
        try:
            state = self._named_state(record.compartment) if record.compartment else None
            if state is None:
                raise ScheduleError(f"a replacement needs the state in CMT, of {', '.join(self.states)}")
            return state
        except ScheduleError as error:
            records.wrong(record.line, "CMT", str(error))
            return 0

    # -- covariates

    def _covariates(self, records: Records) -> dict[str, tuple[str, float, float]]:
        """Column -> name and bounds of the parameter of the model."""
        found: dict[str, tuple[str, float, float]] = {}
        for column in records.others:
            index = _find(column, self.parameters)
            if index is not None:
                found[column] = self.parameters[index], self.lower[index], self.upper[index]
        return found


def _find(name: str, known: Sequence[str]) -> int | None:
    """Index of a name; case matters only where two names differ by nothing else."""
    if name in known:
        return list(known).index(name)
    same = [i for i, other in enumerate(known) if other.lower() == name.lower()]
    return same[0] if len(same) == 1 else None


def _times(subject: SubjectRecords, clock: _Clock) -> tuple[list[float], list[float]]:
    """Of every line its time, and before when its additional doses are given."""
    times = [clock.time(record.time) for record in subject.records]
    stops: list[float] = []
    stop = math.inf
    for record, time in zip(reversed(subject.records), reversed(times), strict=True):
        stops.append(stop)
        if record.cancels:
            stop = time
    stops.reverse()
    return times, stops


def _observations(subject: SubjectRecords, order: Order, by_rule: Sequence[CovariateChange]) -> Observations:
    lines = [i for i, record in enumerate(subject.records) if record.kind == OBSERVATION]
    kept = [subject.records[i] for i in lines]
    return Observations(
        time=np.array([order.times[i] for i in lines], dtype=np.float64),
        place=order.places(lines, by_rule),
        value=np.array([record.value for record in kept], dtype=np.float64),
        missing=np.array([record.missing for record in kept], dtype=bool),
        censored=np.array([record.censored for record in kept], dtype=np.int64),
        limit=np.array([record.limit for record in kept], dtype=np.float64),
        line=np.array([record.line.number for record in kept], dtype=np.int64),
        value_id=tuple(record.value_id for record in kept),
    )


class _Clock:
    """Times of a file in the unit of a model, each correctly rounded once, so that equal instants stay
    equal."""

    def __init__(self, model_unit: str, file_unit: str) -> None:
        self.per_day = units_per_day(file_unit)
        self.factor = units_per_day(model_unit) / self.per_day

    def check(self, record: Record) -> None:
        last = record.time + record.additional * record.interval
        for time in (record.time, last, record.interval):
            if abs(time) > MAX_DAYS * self.per_day:
                raise ScheduleError(
                    f"{float(time):.6g} is more than 100 years" + " with ADDL and II" * (time != record.time)
                )

    def time(self, time: Fraction) -> float:
        return float(time * self.factor)

    length = time

    def rate(self, rate: Fraction) -> float:
        return float(rate / self.factor)

    def additional(self, record: Record) -> Sequence[float]:
        """Times of the additional doses."""
        if not record.additional:
            return ()
        start, step = record.time * self.factor, record.interval * self.factor
        scale = math.lcm(start.denominator, step.denominator)
        first, each = int(start * scale), int(step * scale)
        if scale >= 2**53 or abs(first) + record.additional * each >= 2**53:
            return [float(start + i * step) for i in range(1, record.additional + 1)]
        # whole ticks are exact in float64, so that the one division is the one rounding
        ticks = first + np.arange(1, record.additional + 1) * each
        return (ticks / scale).tolist()
