"""Schedules as values: doses, courses of doses, and courses together, in exact days.

They are made from text (`pkpd.dosing.language`) or from single doses, and say nothing of any model;
`pkpd.dosing.events` puts them into a model's units.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

from pkpd.core import html
from pkpd.core.arguments import LIST, takes
from pkpd.core.errors import ScheduleError
from pkpd.dosing.events import EventTable, PartError, event_table
from pkpd.dosing.language import Parser, courses_text
from pkpd.dosing.parts import AT_START, Dose, Part, Written
from pkpd.dosing.quantities import (
    DOSE_UNITS,
    MAX_DAYS,
    AnyNumber,
    check_n_doses,
    decimal_text,
    exact_number,
    split_unit,
    with_size,
)

LONG = 400  # characters of a text that is shown whole
MOST_RANGES = 8  # of days, where doses are listed for people


@dataclass(frozen=True)
class Schedule:
    """When a subject is given what: a value that can be written down, compared, hashed and expanded.

    ``Schedule.parse("1 MIU sc daily x5 every 28 d x3")``; ``str(schedule)`` is its inverse. The language is
    described at the top of `pkpd.dosing.language`. Two schedules are equal when `str` writes them alike.

    Attributes
    ----------
    parts : the courses in the order of writing; empty for placebo.
    written : the text that it was read from, which errors show; None where it was made otherwise.

    Examples
    --------
    >>> import pkpd
    >>> schedule = pkpd.Schedule.parse("100 mg iv every 12 h x4")
    >>> schedule.n_doses, schedule.span, schedule.when  # doses, days to the last one, days
    (4, 1.5, 'days 0-1 (up to 2 a day)')
    >>> schedule.events_for(pkpd.load("one_compartment_iv")).time  # in the model's unit, here h
    array([ 0., 12., 24., 36.])
    """

    parts: tuple[Part, ...] = field(default=())
    written: Written | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        self.starts  # noqa: B018  (checks that every part follows the one before)
        check_n_doses(self.n_doses)

    # -- making one

    @classmethod
    def parse(cls, text: str, file: str = "<schedule>") -> Schedule:
        """Read the schedule language; ``file`` is the name that errors give to the text.

        Raises
        ------
        ScheduleError : with the place, what was found, and what could stand there.
        """
        return cls.of(*Parser(text, file).courses())

    @classmethod
    def of(cls, parts: tuple[Part, ...], written: Written) -> Schedule:
        """The schedule of courses that were read; what is wrong with them together is shown in the text."""
        try:
            return cls(parts, written)
        except PartError as error:
            raise written.error(str(error), *written.places[error.part]) from None
        except ScheduleError as error:
            raise written.error(str(error), written.places[0][0], written.places[-1][1]) from None

    @classmethod
    def none(cls) -> Schedule:
        """No dose: placebo."""
        return cls()

    @classmethod
    @takes(doses=LIST)
    def from_doses(cls, doses: Iterable[Dose]) -> Schedule:
        """The schedule that gives these doses, which may come in any order.

        Doses of one amount, unit, route and duration become one part, an interval where evenly spaced.
        """
        times_of: dict[tuple[Fraction, str, str, str, Fraction | None], list[Fraction]] = {}
        for n_doses, dose in enumerate(doses, start=1):
            if not isinstance(dose, Dose):
                raise ScheduleError(f"from_doses takes Dose values, not {type(dose).__name__}")
            check_n_doses(n_doses)
            times_of.setdefault(
                (dose.amount, dose.unit, dose.per, dose.route, dose.duration_days), []
            ).append(dose.time_days)
        parts: list[Part] = []
        for (amount, unit, per, route, duration), times in times_of.items():
            for layer in _distinct(sorted(times)):
                start = layer[0]
                gaps = {later - earlier for earlier, later in pairwise(layer)}
                if len(gaps) <= 1:
                    period, offsets = (gaps.pop() if gaps else None), AT_START
                else:
                    start, period, offsets = Fraction(0), None, tuple(layer)
                parts.append(
                    Part(
                        amount,
                        unit,
                        per,
                        route,
                        duration,
                        offsets=offsets,
                        period=period,
                        count=len(layer),
                        start=start,
                    )
                )
        return cls(tuple(parts))

    # -- what it holds

    @cached_property
    def starts(self) -> tuple[Fraction, ...]:
        """The day on which each part starts; checks that "then" goes forward, within 100 years."""
        starts: list[Fraction] = []
        last = Fraction(0)
        for i, part in enumerate(self.parts):
            if part.joined == "then" and i == 0:
                raise ScheduleError('nothing stands before "then"')
            cycle = self.parts[i - 1].next_cycle if i else None
            if part.start is not None:
                start = part.start
            elif part.after is None and cycle is not None:
                start = starts[-1] + cycle  # the pause between cycles is kept
            else:
                gap = part.after if part.after is not None else part.gap
                assert gap is not None  # Part refuses a "then" without a start or an interval
                start = last + gap
            if part.joined == "then" and start + part.offsets[0] <= last:
                raise PartError(
                    i,
                    f'a course after "then" has its first dose on day {float(start + part.offsets[0]):.10g}, '
                    f"not after the last dose before it (day {float(last):.10g}); "
                    'courses that overlap are written with "and"',
                )
            last = start + part.last
            if last + (part.duration or 0) > MAX_DAYS:
                raise PartError(i, f"the schedule runs for {float(last):.6g} days, more than 100 years")
            starts.append(start)
        return tuple(starts)

    @property
    def n_doses(self) -> int:
        """Number of doses."""
        return sum(part.n_doses for part in self.parts)

    @property
    def span(self) -> float:
        """Days from day 0 to the last dose or end of a stated infusion; 0 without doses."""
        ends = [start + part.last + (part.duration or 0) for start, part in zip(self.starts, self.parts)]
        return float(max(ends, default=Fraction(0)))

    def doses(self) -> list[Dose]:
        """All doses by time; doses of the same time in the order of writing. Shape (n_doses,)."""
        return list(self._doses)

    @cached_property
    def _doses(self) -> tuple[Dose, ...]:
        timed = [
            (start + time, part) for start, part in zip(self.starts, self.parts) for time in part.times()
        ]
        timed.sort(key=lambda pair: pair[0])
        return tuple(Dose.of(part, time) for time, part in timed)

    @cached_property
    def when(self) -> str:
        """The days of the doses for people: "days 0-4, 28-32, 56-60, ..., 140-144"; "no dose" for placebo.

        Days that follow each other are a range. Where a day has several doses, days are whole ones, and the
        most that a day has is said. Of long courses the first and the last ranges are shown, each course by
        itself (with ";" between), so that where the next one begins can be seen.
        """
        courses = [[start + time for time in part.times()] for start, part in zip(self.starts, self.parts)]
        if not courses:
            return "no dose"
        times = sorted(time for course in courses for time in course)
        of_a_day = Counter(math.floor(time) for time in times)
        most = max(of_a_day.values())
        if most > 1:
            courses = [[Fraction(math.floor(time)) for time in course] for course in courses]
        ranges = _ranges({time for course in courses for time in course})
        if len(ranges) > MOST_RANGES:
            shown = [", ".join(_some(_ranges(set(course)), MOST_RANGES // 2)) for course in courses]
            text = "; ".join(_some(shown, MOST_RANGES // 2))
        else:
            text = ", ".join(ranges)
        many = len(ranges) > 1 or "-" in text
        return f"day{'s' * many} {text}" + (f" (up to {most} a day)" if most > 1 else "")

    def total(self, unit: str) -> float:
        """The sum of all doses in ``unit``, such as "MIU" or "MIU/m2".

        Raises
        ------
        ScheduleError : a dose that only a model could convert: mass and activity, per m2 and absolute.
        """
        name, per = split_unit(unit)
        kind, size = DOSE_UNITS[name]
        total = Fraction(0)
        for part in self.parts:
            part_kind, part_size = DOSE_UNITS[part.unit]
            if (part_kind, part.per) != (kind, per):
                raise ScheduleError(
                    f"a dose of {decimal_text(part.amount)} {with_size(part.unit, part.per)} cannot be "
                    f"counted in {with_size(name, per)} without a model and a body size"
                )
            total += part.n_doses * part.amount * part_size / size
        return float(total)

    # -- changing it

    def __add__(self, other: Schedule) -> Schedule:
        """Both schedules side by side, on one clock."""
        if not isinstance(other, Schedule):
            return NotImplemented
        return Schedule(self.parts + other.parts)

    def scaled(self, factor: AnyNumber) -> Schedule:
        """The same times with every dose multiplied by ``factor``, above zero.

        Products of more than 17 digits are rounded to 17.
        """
        exact = exact_number(factor, "the factor of a dose")
        return Schedule(tuple(replace(part, amount=_rounded(part.amount * exact)) for part in self.parts))

    def shifted(self, days: AnyNumber) -> Schedule:
        """The same doses ``days`` later (earlier if negative, but not before day 0)."""
        exact = exact_number(days, "a shift in time")
        starts = (None if part.start is None else part.start + exact for part in self.parts)
        return Schedule(tuple(replace(part, start=start) for part, start in zip(self.parts, starts)))

    # -- as text

    def __str__(self) -> str:
        return courses_text(self.parts)

    def __repr__(self) -> str:
        text = str(self)
        if len(text) > LONG:
            return f"<Schedule of {self.n_doses:,} doses on {self.when}>"
        return f"Schedule.parse({text!r})"

    def _repr_html_(self) -> str:
        rows = [
            (courses_text((part,)), float(start), float(start + part.last), part.n_doses)
            for start, part in zip(self.starts, self.parts)
        ]
        columns = ("course", "first dose, day", "last dose, day", "doses")
        return html.table(f"Schedule of {self.n_doses:,} doses on {self.when}", columns, rows)

    # -- for the integrator

    def events_for(self, kernel: Any) -> EventTable:
        """The doses in the units of a kernel, as ``pkpd.solve`` takes them; see ``events``."""
        return self.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)

    def events(
        self,
        time_unit: str,
        routes: Sequence[str],
        dose_units: Mapping[str, Mapping[str, float]],
        sizes: Mapping[str, int],
    ) -> EventTable:
        """The doses in the units of a model.

        Parameters
        ----------
        time_unit : the model's unit of time.
        routes : the model's routes, in their order.
        dose_units : for each route the units that its state can take, with the factor to the state's unit.
        sizes : "m2" and "kg" -> index of the parameter that holds that body size, -1 where there is none.

        Returns
        -------
        EventTable : a row for each dose, by time.

        Raises
        ------
        ScheduleError : a route, unit or body size that the model does not have, and those it has.
        """
        try:
            return event_table(zip(self.starts, self.parts), time_unit, routes, dose_units, sizes)
        except PartError as error:
            if self.written is None:
                raise
            raise self.written.error(str(error), *self.written.places[error.part]) from None


def _ranges(days: set[Fraction]) -> list[str]:
    """ "0-4", "28": days as ranges of days that follow each other."""
    ranges: list[list[Fraction]] = []
    for day in sorted(days):
        if ranges and day - ranges[-1][-1] == 1:
            ranges[-1][1:] = [day]
        else:
            ranges.append([day])
    return ["-".join(f"{float(day):.6g}" for day in ends) for ends in ranges]


def _some(texts: list[str], most: int) -> list[str]:
    """The first and the last of more than ``most``."""
    return texts if len(texts) <= most else [*texts[: most - 1], "...", texts[-1]]


def _distinct(times: list[Fraction]) -> list[list[Fraction]]:
    """Sorted times as few strictly increasing lists: two doses at once are two parts."""
    layers: list[list[Fraction]] = []
    depth = 0
    for i, time in enumerate(times):
        depth = depth + 1 if i and times[i - 1] == time else 0
        if depth == len(layers):
            layers.append([])
        layers[depth].append(time)
    return layers


def _rounded(value: Fraction) -> Fraction:
    text = decimal_text(value)
    if text is not None and sum(character.isdigit() for character in text.split("e")[0]) <= 17:
        return value
    return Fraction(f"{value.numerator / value.denominator:.17g}") if value else value
