"""One dose, one course of doses, and the text they were read from: what schedules are made of, in exact
days."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from pkpd.core.errors import ScheduleError, located
from pkpd.dosing.quantities import (
    DOSE_UNITS,
    AnyNumber,
    check_amount,
    check_interval,
    check_n_doses,
    check_start,
    exact_number,
    split_unit,
    time_text,
    time_texts,
)
from pkpd.dosing.words import WEEK_PATTERNS, check_route

MAX_LEVELS = 4  # cycles of cycles of ...
AT_START: tuple[Fraction, ...] = (Fraction(0),)


@dataclass(frozen=True, init=False)
class Dose:
    """One administration: ``Dose(0, 1.5, "MIU", "sc")``, ``Dose("0.5", 10, "ug/kg", "iv", Fraction(1, 12))``.

    Numbers are kept exactly as they are written; a float counts as its shortest decimal.

    Attributes:
        time_days: when, in days from day 0.
        amount: how much, in ``unit``, above zero.
        unit: IU, kIU, MIU, ng, ug, mg, g, pmol, nmol, umol or mmol.
        per: "" (absolute), "m2" or "kg"; may be given within the unit, as in "MIU/m2".
        route: a route of the model.
        duration_days: length of the infusion in days, 0 for a bolus, None where the route decides.

    Raises:
        ScheduleError: a value that no dose can have.
    """

    time_days: Fraction
    amount: Fraction
    unit: str
    per: str
    route: str
    duration_days: Fraction | None

    def __init__(
        self,
        time_days: AnyNumber,
        amount: AnyNumber,
        unit: str,
        route: str,
        duration_days: AnyNumber | None = None,
        per: str = "",
    ) -> None:
        name, size = split_unit(unit, per)
        time, dose = exact_number(time_days, "the time of a dose"), exact_number(amount, "a dose")
        check_start(time)
        check_amount(dose, name)
        duration = None if duration_days is None else exact_number(duration_days, "the length of an infusion")
        if duration:
            check_interval(duration, "an infusion")
        for key, value in (
            ("time_days", time),
            ("amount", dose),
            ("unit", name),
            ("per", size),
            ("route", check_route(route)),
            ("duration_days", duration),
        ):
            object.__setattr__(self, key, value)

    @classmethod
    def of(cls, part: Part, time_days: Fraction) -> Dose:
        """A dose of a part, which has been checked; a schedule may have hundreds of thousands."""
        dose = cls.__new__(cls)
        for key in ("amount", "unit", "per", "route"):
            object.__setattr__(dose, key, getattr(part, key))
        object.__setattr__(dose, "time_days", time_days)
        object.__setattr__(dose, "duration_days", part.duration)
        return dose


@dataclass(frozen=True)
class Part:
    """One course of a schedule: one dose at ``n_doses`` times, in exact days from its own start.

    Attributes:
        amount, unit, per, route: as in `Dose`.
        duration: infusion length in days, 0 for a bolus, None for the model's.
        offsets: times of the doses within one period, increasing. Without a period: every dose of the course.
        period: days after which the offsets repeat, or None.
        count: doses in one course.
        cycles: (interval in days, number of courses), from the inner to the outer.
        joined: "and" (on the clock of the schedule) or "then" (after the part before it).
        start: the day on which the course starts, where it is stated.
        after: days since the last dose of the part before, where that is stated.
    """

    amount: Fraction
    unit: str
    per: str
    route: str
    duration: Fraction | None = None
    offsets: tuple[Fraction, ...] = AT_START
    period: Fraction | None = None
    count: int = 1
    cycles: tuple[tuple[Fraction, int], ...] = ()
    joined: str = "and"
    start: Fraction | None = Fraction(0)
    after: Fraction | None = None

    def __post_init__(self) -> None:
        if (self.unit, self.per) != split_unit(self.unit, self.per):
            raise ScheduleError(f'write the dose unit "{self.unit[:40]}" as one of {", ".join(DOSE_UNITS)}')
        check_amount(self.amount, self.unit)
        object.__setattr__(self, "route", check_route(self.route))
        if self.duration:
            check_interval(self.duration, "an infusion")
        if not self.offsets or any(later <= earlier for earlier, later in pairwise(self.offsets)):
            raise ScheduleError("the times of a course must increase")
        for offset in (self.offsets[0], self.offsets[-1]):
            check_start(offset)
        time_texts(self.offsets)
        if self.period is None:
            if self.count != len(self.offsets):
                raise ScheduleError("a course without a period has as many doses as times")
            if self.offsets == AT_START and self.cycles:
                # `once every 28 d x3` is `every 28 d x3`: there is one way to say it.
                (period, count), *rest = self.cycles
                for name, value in (("period", period), ("count", count), ("cycles", tuple(rest))):
                    object.__setattr__(self, name, value)
        elif self.offsets != AT_START and (self.period != 7 or self.offsets not in WEEK_PATTERNS.values()):
            raise ScheduleError(
                "a period repeats one dose, or is a week with two, three or five; otherwise use cycles"
            )
        if self.period is not None:
            check_interval(self.period, "an interval")
        if len(self.cycles) > MAX_LEVELS:
            raise ScheduleError(f"cycles of cycles go at most {MAX_LEVELS} deep")
        if min([self.count, *(count for _, count in self.cycles)]) < 1:
            raise ScheduleError("a course is given at least once")
        check_n_doses(self.n_doses)
        length = self._course_last - self.offsets[0]
        for interval, count in self.cycles:
            check_interval(interval, "an interval")
            if length >= interval:
                raise ScheduleError(
                    f"a course of {time_text(length)} from first to last dose cannot be repeated "
                    f'every {time_text(interval)}; courses that overlap are written with "and"'
                )
            length += (count - 1) * interval
        if self.joined not in ("and", "then") or (self.start is not None and self.after is not None):
            raise ScheduleError('a part is joined by "and" or "then" and has one start')
        if self.joined == "and" and (self.start is None or self.after is not None):
            raise ScheduleError('only a part after "then" can start relative to another')
        if self.start is not None:
            check_start(self.start)
        if self.after is not None:
            check_interval(self.after, 'the time after "after"')
        if self.joined == "then" and self.start is None and self.after is None and self.period is None:
            raise ScheduleError(
                '"once" and "at" have no interval of their own: after "then" add "from day N" or "after N d"'
            )

    @property
    def n_doses(self) -> int:
        """Number of doses."""
        return self.count * math.prod(count for _, count in self.cycles)

    @property
    def _course_last(self) -> Fraction:
        """Day of the last dose of the innermost course."""
        return last_of(self.offsets, self.period, self.count)

    @property
    def last(self) -> Fraction:
        """Day of the last dose, from the start of the part."""
        return self._course_last + sum(
            ((count - 1) * interval for interval, count in self.cycles), Fraction(0)
        )

    @property
    def gap(self) -> Fraction | None:
        """Its own interval, with which it follows another: the pause before the pattern repeats."""
        return None if self.period is None else self.period - self.offsets[-1]

    @property
    def next_cycle(self) -> Fraction | None:
        """When one cycle more would begin, in days from the start of the part; None without cycles."""
        if not self.cycles:
            return None
        interval, count = self.cycles[-1]
        return interval * count

    def times(self) -> list[Fraction]:
        """Days of all doses from the start of the part, increasing; shape (n_doses,)."""
        period = self.period or Fraction(0)
        times = [
            self.offsets[i % len(self.offsets)] + i // len(self.offsets) * period for i in range(self.count)
        ]
        for interval, count in self.cycles:
            times = [i * interval + time for i in range(count) for time in times]
        return times

    def same_dose(self, other: Part) -> bool:
        """Whether both give one dose by one route at one speed, whenever that is."""
        mine, theirs = (
            (self.amount, self.unit, self.per, self.route),
            (other.amount, other.unit, other.per, other.route),
        )
        return mine == theirs and self.duration == other.duration


@dataclass(frozen=True)
class Written:
    """A text that was read as a schedule, the name that errors give it, and where each part begins and ends
    in it."""

    text: str
    file: str
    places: tuple[tuple[int, int], ...] = ()

    def error(self, message: str, start: int, end: int, hint: str = "") -> ScheduleError:
        """An error that shows its place, from character ``start`` to before ``end``."""
        lines = (self.text[:start] + "^").splitlines()
        line, column = len(lines), len(lines[-1])
        whole = self.text.splitlines()
        source = whole[line - 1] if line <= len(whole) else ""
        # Long lines are shown as a window around the place; control characters are replaced.
        first = max(0, column - 80) if len(source) > 160 else 0
        window = "".join(
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in source[first : first + 160]
        )
        found = located(
            ScheduleError,
            message,
            shown=window,
            file=self.file,
            line=line,
            column=column - first,
            length=max(1, min(end - start, len(source) - column + 1, 80)),
            hint=hint,
        )
        if not first:
            return found
        return ScheduleError(
            str(found).replace(f"{self.file}:{line}:{column - first}:", f"{self.file}:{line}:{column}:", 1)
        )


def last_of(offsets: tuple[Fraction, ...], period: Fraction | None, count: int) -> Fraction:
    """Day of the last of ``count`` doses that repeat ``offsets`` every ``period``."""
    whole, rest = divmod(count - 1, len(offsets))
    return offsets[rest] + (whole * period if period is not None else 0)
