"""Which schedules are searched: doses, days per cycle, cycle lengths, cycles and the spacing of doses, each a
list of values.

Every list is finite. A range of doses without a step goes in two significant digits, and the best of them are
looked for between these in three (``refine``).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from pkpd.core.arguments import ABSENT, TEXT, takes
from pkpd.core.errors import InputError, located
from pkpd.dosing import Schedule
from pkpd.dosing.parts import Part
from pkpd.dosing.quantities import MAX_DAYS, decimal_text, split_unit

MOST_VALUES = 10_000  # of one list

_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_UNIT = re.compile(r"[A-Za-z][A-Za-z0-9/]*")
_TO = re.compile(r"to\b|and\b|-|–|\.\.")
_FROM = re.compile(r"from\b|between\b")
_BY = re.compile(r"by\b|step\b|in steps of\b")
_SPACE = re.compile(r"\s*")
_DAYS = {"d": 1, "day": 1, "days": 1, "w": 7, "week": 7, "weeks": 7}


class SpacePoint(NamedTuple):
    """One schedule of a space: ``days`` doses a cycle, one every ``spacing`` days, a cycle every ``interval``
    days. Numbers are exact."""

    dose: Fraction
    days: int
    spacing: Fraction
    interval: Fraction
    cycles: int


@dataclass(frozen=True)
class Space:
    """The schedules that are searched: every combination of these values in which the doses of a cycle end
    before the next begins.

    doses : in ``unit`` ("mg", "mg/kg"), by ``route``; days : doses per cycle; spacing : days between them;
        intervals : days from cycle to cycle;
    cycles : how many, or None where ``duration``, in days, decides: as many whole cycles as it holds.
    continuous : whether the doses are a range without a step, between which there are others.
    """

    doses: tuple[Fraction, ...]
    unit: str
    days: tuple[int, ...]
    spacing: tuple[Fraction, ...]
    intervals: tuple[Fraction, ...]
    cycles: tuple[int, ...] | None
    duration: Fraction | None = None
    route: str = "sc"
    continuous: bool = False

    @classmethod
    @takes(
        dose=TEXT,
        days=TEXT,
        interval=TEXT,
        cycles=TEXT | ABSENT,
        spacing=TEXT,
        duration=TEXT | ABSENT,
        route=TEXT,
    )
    def parse(
        cls,
        dose: str,
        days: str = "1 to 14",
        interval: str = "7 to 56 d by 7",
        cycles: str | None = None,
        spacing: str = "1 d",
        duration: str | None = None,
        route: str = "sc",
    ) -> Space:
        """A space from text: lists "10, 15, 20 mg" and ranges "5 to 50 mg by 5", "7-56 d", "1-6".

        dose : a range without a step, "between 5 and 50 mg", is continuous.

        cycles : "2 to 6" unless a ``duration`` ("84 d") decides.

        Raises:
            InputError: with the place, what was found, and what could stand there; or a space without any
                schedule.
        """
        if cycles is not None and duration is not None:
            raise InputError(
                f'either a number of cycles or the length of the treatment: "{cycles}" or '
                f'"{duration}", not both'
            )
        doses, unit, stepless = _read(dose, "dose", 2)
        if not unit:
            raise InputError(f'dose "{dose}": the unit is missing; write for instance "{dose.strip()} mg"')
        lengths = None if duration is None else _in_days(duration, "for")
        if lengths is not None and len(lengths) != 1:
            raise InputError(f'the length of the treatment is one number, such as "84 d", not "{duration}"')
        return cls(
            doses,
            unit,
            _counts(days, "days"),
            _in_days(spacing, "spacing"),
            _in_days(interval, "interval"),
            _counts(cycles or "2 to 6", "cycles") if lengths is None else None,
            None if lengths is None else lengths[0],
            route,
            stepless,
        )

    def __post_init__(self) -> None:
        if not all((self.doses, self.days, self.spacing, self.intervals)) or (self.cycles == ()):
            raise InputError("a list of the search space is empty")
        if (self.cycles is None) == (self.duration is None):
            raise InputError("a search space has either numbers of cycles or a length of the treatment")
        split_unit(self.unit)
        if self.longest > MAX_DAYS:
            raise InputError(f"{float(self.longest):g} days of treatment are more than 100 years")
        if next(self.valid(), None) is None:
            raise InputError(
                "no schedule is left to search: in every combination the doses of a cycle run into the next"
                + (", or the treatment does not hold two cycles" if self.duration is not None else "")
            )
        for dose in (self.doses[0], self.doses[-1]):  # as the schedule language would refuse them
            self.schedule(next(self.valid())._replace(dose=dose))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each coordinate has: dose, days, spacing, interval and, unless the duration decides
        them, cycles."""
        lists: list[Sequence[object]] = [self.doses, self.days, self.spacing, self.intervals]
        return tuple(len(values) for values in (lists if self.cycles is None else [*lists, self.cycles]))

    def at(self, coordinates: Sequence[int]) -> SpacePoint:
        """The point at places in the lists, which need not be a schedule: see ``clash``."""
        dose, days, spacing, interval, *cycles = (int(i) for i in coordinates)
        between = self.intervals[interval]
        count = self.cycles[cycles[0]] if self.cycles is not None else int((self.duration or 0) // between)
        return SpacePoint(self.doses[dose], self.days[days], self.spacing[spacing], between, count)

    def clash(self, point: SpacePoint) -> float:
        """0 where the point is a schedule; else by how much of a cycle its doses run into the next, or 1
        where the duration does not hold two cycles.

        One cycle would be a treatment of its doses alone, however long the duration, and its averages those
        of a few days.
        """
        if self.duration is not None and point.cycles < 2:
            return 1.0
        last = (point.days - 1) * point.spacing
        return float((last - point.interval) / point.interval) + 1.0 if last >= point.interval else 0.0

    def valid(self) -> Iterator[SpacePoint]:
        """Every schedule of the space, in the order of the lists; some may be one schedule written twice."""
        for coordinates in itertools.product(*map(range, self.sizes)):
            point = self.at(coordinates)
            if self.clash(point) == 0.0:
                yield point

    def schedule(self, point: SpacePoint) -> Schedule:
        """The schedule of a point. One cycle, and cycles without a pause, are written as one course."""
        dose, days, spacing, interval, cycles = point
        unit, per = split_unit(self.unit)
        count, period = days, spacing
        repeats: tuple[tuple[Fraction, int], ...] = ((interval, cycles),)
        if cycles == 1:
            repeats = ()
        elif days == 1:
            count, period, repeats = cycles, interval, ()
        elif days * spacing == interval:
            count, repeats = days * cycles, ()
        if count == 1:
            return Schedule((Part(dose, unit, per, self.route),))
        return Schedule((Part(dose, unit, per, self.route, period=period, count=count, cycles=repeats),))

    @property
    def longest(self) -> Fraction:
        """Days to the end of the longest treatment."""
        if self.duration is not None:
            return self.duration
        assert self.cycles is not None
        return max(self.cycles) * max(*self.intervals, max(self.days) * max(self.spacing))

    @property
    def range_words(self) -> str:
        """From the least to the largest dose."""
        return f"{decimal_text(self.doses[0])} to {decimal_text(self.doses[-1])} {self.unit}"

    @cached_property
    def n_combinations(self) -> int:
        """Combinations of the lists, those that are no schedule included."""
        return math.prod(self.sizes)

    def describe(self) -> dict[str, str]:
        """The lists as text, which ``parse`` reads back."""
        spaced = {
            "dose": f"{self.range_words if self.continuous else f'{_text(self.doses)} {self.unit}'}",
            "days": _text(self.days),
            "spacing": f"{_text(self.spacing)} d",
            "interval": f"{_text(self.intervals)} d",
        }
        if self.cycles is not None:
            spaced["cycles"] = _text(self.cycles)
        else:
            assert self.duration is not None
            spaced["duration"] = f"{decimal_text(self.duration)} d"
        return spaced | {"route": self.route}


# --- text -> values -------------------------------------------------------------------------------


class _Reader:
    """A text, read from left to right; errors show the place."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name, self.at = text, name, 0

    def take(self, pattern: re.Pattern[str]) -> str:
        """What stands here if it is that, else nothing."""
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # always matches
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found.group() if found else ""

    def number(self, what: str) -> Fraction:
        start = self.at
        text = self.take(_NUMBER)
        if not text:
            raise self.error(f"here {what} is missing")
        value = Fraction(text)
        if value <= 0:
            self.at = start
            self.take(_SPACE)
            raise self.error("values must be above 0")
        return value

    def error(
        self, message: str, hint: str = 'write a list, "1, 2, 4", or a range, "1 to 6 by 0.5"'
    ) -> InputError:
        self.take(_SPACE)
        return located(
            InputError, message, shown=self.text, file=self.name, line=1, column=self.at + 1, hint=hint
        )


def read_values(text: str, name: str, digits: int = 2) -> tuple[tuple[Fraction, ...], str]:
    """Values, ascending, and their unit ("" where none is stated), which may stand after each number or at
    the end: "1, 2, 4 mg", "5 to 50 mg by 5", "between 5 and 50 mg". A range of doses without a step goes in
    so many significant ``digits``, one of others in whole numbers. Raises ``InputError`` with the place."""
    values, unit, _ = _read(text, name, digits)
    return values, unit


def _read(text: str, name: str, digits: int) -> tuple[tuple[Fraction, ...], str, bool]:
    """The same, and whether it is a range without a step."""
    reader, stepless = _Reader(text, name), False
    reader.take(_FROM)
    values = [reader.number("a number")]
    unit = _unit(reader, "")
    if reader.take(_TO):
        start, end = values[0], reader.number("the end of the range")
        unit = _unit(reader, unit)
        if end < start:
            raise reader.error(f"the range ends at {float(end):g}, before {float(start):g}")
        if reader.take(_BY):
            step = reader.number("the step")
            unit = _unit(reader, unit)
            if (end - start) / step > MOST_VALUES:
                raise reader.error(f"these are more than {MOST_VALUES:,} values; take a larger step")
            values = [start + i * step for i in range(int((end - start) / step) + 1)]
        elif name == "dose":
            values, stepless = _to_digits(start, end, digits), True
        else:
            if end - start > MOST_VALUES:
                raise reader.error(f"these are more than {MOST_VALUES:,} values; take a larger step")
            values = [start + i for i in range(int(end - start) + 1)]
    else:
        while reader.take(re.compile(",")):
            values.append(reader.number("a number"))
            unit = _unit(reader, unit)
    if reader.at < len(text.rstrip()):
        raise reader.error("this cannot be read")
    return tuple(sorted(set(values))), unit, stepless


def _unit(reader: _Reader, before: str) -> str:
    at = reader.at
    if reader.take(_TO) or reader.take(_BY):  # words, not units
        reader.at = at
        return before
    found = reader.take(_UNIT)
    if found and before and found != before:
        reader.at -= len(found)
        raise reader.error(f"one list has one unit: {before} or {found}")
    return found or before


def _to_digits(start: Fraction, end: Fraction, digits: int) -> list[Fraction]:
    """From start to end in steps of the last of so many significant digits, both ends included."""
    values = {start, end}
    power = math.floor(math.log10(start))
    while Fraction(10) ** power <= end:
        step = Fraction(10) ** (power + 1 - digits)
        numbers = range(10 ** (digits - 1), 10**digits)
        values |= {i * step for i in numbers if start <= i * step <= end}
        power += 1
    return sorted(values)


def _counts(text: str, name: str) -> tuple[int, ...]:
    values, unit = read_values(text, name)
    if unit not in ("", "days" if name == "days" else name):
        raise InputError(f'{name} "{text}": this is a number without a unit, not in {unit}')
    if any(value.denominator != 1 for value in values):
        raise InputError(f'{name} "{text}": these are whole numbers')
    return tuple(int(value) for value in values)


def _in_days(text: str, name: str) -> tuple[Fraction, ...]:
    values, unit = read_values(text, name)
    if unit and unit not in _DAYS:
        raise InputError(f'{name} "{text}": a time in d or weeks, not in {unit}')
    return tuple(value * _DAYS.get(unit, 1) for value in values)


def _text(values: Sequence[Fraction | int]) -> str:
    """Values as ``parse`` reads them: a range where they are evenly spaced, else a list."""
    texts = [str(decimal_text(Fraction(value))) for value in values]
    steps = {later - earlier for earlier, later in itertools.pairwise(values)}
    if len(values) < 3 or len(steps) > 1:
        return ", ".join(texts)
    return f"{texts[0]} to {texts[-1]} by {decimal_text(Fraction(steps.pop()))}"
