"""A schedule as it is really taken, as data: doses that are missed, late or doubled.

    1 MIU sc daily x5 every 28 d x6; miss day 29; delay day 30 by 6 h; double day 31
    1 MIU sc daily x84; miss days 28-41
    100 mg oral daily x28; adherence 90 %; jitter 2 h

Grammar (that of the schedule is in `pkpd.dosing.language`):

    taken  := schedule ";" clause { ";" clause }
    clause := "miss" days | "double" days | "delay" days "by" time | "adherence" share | "jitter" time
    days   := ("day" | "days") range { "," range }
    range  := number ["-" number]
    share  := number "%" | number

What the words mean:

- Days are whole ones, counted from day 0 of the schedule; a range has both of its ends. All doses that are
  planned on these days are missed, given twice as large, or given later.
- ``adherence``: each dose is taken with this probability, by each subject for itself, whatever became of the
  dose before. A dose that is missed is not made up for.
- ``jitter``: each dose is taken at a normally distributed time about the planned one (or, delayed, about the
  later one), with this standard deviation; none before the first planned dose.
- What is random belongs to (seed, subject, dose), doses numbered by their planned times: the same people miss
  the same doses of every schedule, however many people there are and however many threads work.

``TakenSchedule.parse`` and ``str`` are inverses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import ScheduleError
from pkpd.dosing.events import EventTable
from pkpd.dosing.language import Parser
from pkpd.dosing.parts import Dose, Written
from pkpd.dosing.quantities import (
    AnyNumber,
    check_interval,
    check_start,
    decimal_text,
    exact_number,
    time_text,
    units_per_day,
)
from pkpd.dosing.schedule import Schedule

Floats = NDArray[np.float64]

CHANGES = ("miss", "double", "delay")
TAKING_WORDS = (*CHANGES, "adherence", "jitter")
TAKING_CLAUSES = "miss day N, double day N, delay day N by <time>, adherence N %, jitter <time>"
_APART = 2**64 - 1  # a word of the generator's counter that no other draw of subjects has
_ADHERENCE, _JITTER = range(2)  # streams


@dataclass(frozen=True)
class DoseChange:
    """What becomes of the doses of some days: ``DoseChange("delay", 29, 29, by="0.25")``.

    Attributes:
        action: "miss", "double" or "delay".
        first, last: whole days, both included.
        by: of "delay", days.

    Raises:
        ScheduleError: what no change can say.
    """

    action: str
    first: int
    last: int
    by: Fraction | None = None

    def __init__(self, action: str, first: int, last: int, by: AnyNumber | None = None) -> None:
        if action not in CHANGES:
            raise ScheduleError(f"doses are changed by {', '.join(CHANGES)}, not by {str(action)[:40]!r}")
        if last < first:
            raise ScheduleError(f"days {first}-{last} go back")
        check_start(Fraction(last))
        if (action == "delay") != (by is not None):
            raise ScheduleError('"delay", and nothing else, says by how long: delay day 29 by 6 h')
        exact = None if by is None else exact_number(by, "a delay")
        if exact is not None:
            check_interval(exact, "a delay")
        for key, value in (("action", action), ("first", first), ("last", last), ("by", exact)):
            object.__setattr__(self, key, value)

    @property
    def days(self) -> str:
        """ "day 29", "days 28-41"."""
        return f"day {self.first}" if self.first == self.last else f"days {self.first}-{self.last}"

    def __str__(self) -> str:
        return f"{self.action} {self.days}" + (f" by {time_text(self.by)}" if self.by else "")

    def concerns(self, time_days: Fraction) -> bool:
        """Whether a dose of this time is one of those days."""
        return self.first <= math.floor(time_days) <= self.last


class DosesTaken(NamedTuple):
    """What subjects take of an event table: (n_subjects, n_events), by what each dose is multiplied, 0 where
    it is missed; and when it is taken, in the table's unit, None where all are taken as planned."""

    factors: Floats
    times: Floats | None


@dataclass(frozen=True)
class TakenSchedule:
    """A schedule as planned, and how its doses are really taken; see the top of this file.

    Attributes:
        schedule: the doses as planned.
        changes: doses that are missed, doubled or delayed by all subjects.
        adherence: the probability that a dose is taken.
        jitter: the standard deviation of the times about the planned ones, in days.
        written: the text that it was read from, with the place of each change; None where it was made
            otherwise.

    Raises:
        ScheduleError: no dose, a probability or time that none can be, days without a dose.
    """

    schedule: Schedule
    changes: tuple[DoseChange, ...] = ()
    adherence: Fraction = Fraction(1)
    jitter: Fraction = Fraction(0)
    written: Written | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", tuple(self.changes))
        object.__setattr__(self, "adherence", exact_number(self.adherence, "the adherence"))
        object.__setattr__(self, "jitter", exact_number(self.jitter, "the jitter"))
        if not self.schedule.parts:
            raise ScheduleError("without doses there are none that could be missed")
        _check_share(self.adherence)
        if self.jitter:
            check_interval(self.jitter, "the jitter of the times")
        times = [dose.time_days for dose in self.schedule.doses()] if self.changes else []
        for i, change in enumerate(self.changes):
            if not any(map(change.concerns, times)):
                error = (
                    f'"{change}": no dose is planned on {change.days}; doses are on {self.schedule.when}, '
                    "counted from day 0"
                )
                if self.written is None:
                    raise ScheduleError(error)
                raise self.written.error(error, *self.written.places[i])

    @classmethod
    def parse(cls, text: str, file: str = "<schedule>") -> TakenSchedule:
        """Read a schedule with what becomes of it; ``file`` is the name that errors give to the text.

        Raises:
            ScheduleError: with the place, what was found, and what could stand there.
        """
        return _TakingParser(text, file).taken()

    def __str__(self) -> str:
        clauses = [str(self.schedule), *map(str, self.changes)]
        if self.adherence != 1:
            clauses.append(f"adherence {decimal_text(100 * self.adherence)} %")
        if self.jitter:
            clauses.append(f"jitter {time_text(self.jitter)}")
        return "; ".join(clauses)

    def __repr__(self) -> str:
        return f"TakenSchedule.parse({str(self)!r})"

    @property
    def n_doses(self) -> int:
        """Number of doses as planned."""
        return self.schedule.n_doses

    @property
    def when(self) -> str:
        """The days of the doses as planned, for people."""
        return self.schedule.when

    @property
    def span(self) -> float:
        """Days from day 0 to the last dose or end of a stated infusion, as planned."""
        return self.schedule.span

    @property
    def as_planned(self) -> bool:
        """Whether all doses are taken as planned."""
        return not self.changes and not self.by_chance

    @property
    def by_chance(self) -> bool:
        """Whether chance says which doses are taken, or when."""
        return self.adherence != 1 or bool(self.jitter)

    def doses(self) -> list[Dose]:
        """All doses as planned, by time."""
        return self.schedule.doses()

    @property
    def multiples(self) -> set[float]:
        """By what doses are multiplied that are not missed on stated days."""
        found = set()
        for dose in self.doses():
            actions = [change.action for change in self.changes if change.concerns(dose.time_days)]
            if "miss" not in actions:
                found.add(2.0 ** actions.count("double"))
        return found

    def exactly(self) -> Schedule:
        """The schedule of the doses that were taken, where nothing of it is left to chance.

        Raises:
            ScheduleError: an adherence or a jitter.
        """
        if self.by_chance:
            raise ScheduleError(
                f'"{self}" says how often and about when doses are taken, not which ones were: name those '
                "that were missed or late, such as miss day 3"
            )
        found = []
        for dose in self.doses():
            changes = [change for change in self.changes if change.concerns(dose.time_days)]
            if any(change.action == "miss" for change in changes):
                continue
            times = 2 ** sum(change.action == "double" for change in changes)
            late = sum((change.by or Fraction(0) for change in changes), Fraction(0))
            found.append(
                Dose(
                    dose.time_days + late,
                    dose.amount * times,
                    dose.unit,
                    dose.route,
                    dose.duration_days,
                    dose.per,
                )
            )
        return Schedule.from_doses(found)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schedule": str(self.schedule),
            "changes": list(map(str, self.changes)),
            "adherence": float(self.adherence),
            "jitter_days": float(self.jitter),
        }

    def taken(
        self, events: EventTable, time_unit: str, subjects: Sequence[int], seed: int
    ) -> DosesTaken | None:
        """What the subjects with these numbers take of the doses of the schedule; None where all take them as
        planned.

        events : of ``schedule``, in a model's units; time_unit : the model's.
        """
        if self.as_planned:
            return None
        n, per_day = len(events), float(units_per_day(time_unit))
        factors, shifts = np.ones((len(subjects), n)), np.zeros((len(subjects), n))
        planned = [dose.time_days for dose in self.schedule.doses()]
        for change in self.changes:
            at = [i for i, time in enumerate(planned) if change.concerns(time)]
            match change.action:
                case "miss":
                    factors[:, at] = 0.0
                case "double":
                    factors[:, at] *= 2.0
                case _:
                    shifts[:, at] += float(change.by or 0) * per_day
        for row, subject in enumerate(subjects):
            if self.adherence != 1:
                factors[row] *= _generator(seed, subject, _ADHERENCE).random(n) < float(self.adherence)
            if self.jitter:
                spread = float(self.jitter) * per_day
                shifts[row] += spread * _generator(seed, subject, _JITTER).standard_normal(n)
        if not shifts.any():
            return DosesTaken(factors, None)
        return DosesTaken(factors, np.maximum(events.time + shifts, events.time[0]))


def _generator(seed: int, subject: int, stream: int) -> np.random.Generator:
    counter = np.array([0, _APART, subject, stream], np.uint64)
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))


def _check_share(share: Fraction) -> None:
    if not 0 < share <= 1 or decimal_text(share) is None:
        raise ScheduleError(
            "the adherence is the share of doses that are taken, above 0 and up to 100 %, such as 90 %"
        )


GivenDoses = Schedule | TakenSchedule
"""Doses as planned, or as they are taken."""


def read_given(text: str, file: str = "<schedule>") -> GivenDoses:
    """A schedule, or what becomes of one where there is a ";". Raises ``ScheduleError`` with the place."""
    if isinstance(text, str) and ";" in text:
        return TakenSchedule.parse(text, file)
    return Schedule.parse(text, file)


def exact_doses(given: str | GivenDoses) -> Schedule:
    """The doses of a schedule, or of its text, with what became of them on stated days, where nothing of it
    is left to chance.

    Raises:
        ScheduleError: text that is no schedule, with the place; an adherence or a jitter.
    """
    doses = read_given(given) if isinstance(given, str) else given
    return doses if isinstance(doses, Schedule) else doses.exactly()


def read_jitter(text: str | None) -> Fraction:
    """A time such as "2 h" in days; None: 0. Raises ``ScheduleError`` with the place."""
    if text is None:
        return Fraction(0)
    parser = Parser(text, "jitter")
    days = parser.time("a time such as 2 h")
    if not parser.ended:
        parser.unexpected("the end")
    return days


def with_taking(given: GivenDoses, adherence: Fraction, jitter: Fraction) -> GivenDoses:
    """The same, taken with this adherence and jitter (days), where it says none of its own."""
    if not given.n_doses or (adherence == 1 and not jitter):
        return given
    plan = given if isinstance(given, TakenSchedule) else TakenSchedule(given)
    return replace(
        plan,
        adherence=adherence if plan.adherence == 1 else plan.adherence,
        jitter=jitter if not plan.jitter else plan.jitter,
    )


class _TakingParser(Parser):
    """The schedule, then clauses after semicolons."""

    @property
    def ended(self) -> bool:
        return super().ended or self.token.text == ";"

    def taken(self) -> TakenSchedule:
        schedule = Schedule.of(*self.courses())
        first = self.token
        if not schedule.parts:
            self.fail("without doses there are none that could be missed", first, self.tokens[-2])
        changes: list[DoseChange] = []
        places: list[tuple[int, int]] = []
        once: dict[str, Fraction] = {}
        while self.accept(";"):
            opening = self.token
            if opening.word in once:
                self.fail(f'"{opening.word}" is said twice', opening)
            match opening.word:
                case "adherence":
                    once["adherence"] = self.share()
                case "jitter":
                    once["jitter"] = self.jitter()
                case word if word in CHANGES:
                    found = self.changes()
                    changes += found
                    places += [(opening.start, self.tokens[self.i - 1].end)] * len(found)
                case _:
                    self.unknown()
            if not self.ended:
                self.unexpected("; and more, the end")
        written = Written(self.text, self.file, tuple(places))
        return TakenSchedule(schedule, tuple(changes), written=written, **once)

    def unknown(self) -> None:
        if self.token.word in ("stop", "hold", "reduce", "raise", "look"):
            self.fail(
                'rules such as "; hold if ..." are followed only where schedules are compared or a dose is '
                "looked for, and where doses are taken as planned",
                self.token,
                hint=f"here can stand: {TAKING_CLAUSES}",
            )
        self.unexpected(TAKING_CLAUSES, TAKING_WORDS)

    def share(self) -> Fraction:
        self.take()
        first = self.token
        share = self.number("the share of doses that are taken")
        if self.accept("%", "percent"):
            share /= 100
        with self.at(first, self.tokens[self.i - 1]):
            _check_share(share)
        return share

    def jitter(self) -> Fraction:
        self.take()
        first = self.token
        days = self.time("a time such as 2 h")
        with self.at(first, self.tokens[self.i - 1]):
            check_interval(days, "the jitter of the times")
        return days

    def changes(self) -> list[DoseChange]:
        action = self.take().word
        if not self.accept("day", "days"):
            self.unexpected("day N, days N-M", ("day", "days"), what="it says which days")
        ranges = [self.range()]
        while self.accept(","):
            ranges.append(self.range())
        by = None
        if action == "delay":
            if not self.accept("by"):
                self.unexpected("by <time>", ("by",), what='"delay" says by how long')
            token = self.token
            by = self.time("a time such as 6 h")
            with self.at(token, self.tokens[self.i - 1]):
                check_interval(by, "a delay")
        return [DoseChange(action, first, last, by) for first, last in ranges]

    def range(self) -> tuple[int, int]:
        opening = self.token
        first = last = self.day()
        if self.accept("-", "–", "to"):
            last = self.day()
        with self.at(opening, self.tokens[self.i - 1]):
            DoseChange("miss", first, last)
        return first, last

    def day(self) -> int:
        token = self.token
        number = self.number("a day")
        if number.denominator != 1:
            self.fail("days are whole ones", token)
        return int(number)
