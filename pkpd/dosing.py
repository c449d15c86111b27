"""Doses, schedules and the language in which a pharmacologist writes them.

    1 MIU sc daily x5 every 28 d x3                 five daily injections, three cycles
    0.26 MIU/m2 sc every 3 d for 60 d               20 doses: days 0, 3, ... 57
    1.5 MIU sc daily x5 then weekly x7              the dose and the route carry over to what follows `then`
    4 MIU iv once and 1 MIU sc daily x5 from day 1  two courses side by side
    10 mg iv over 2 h every 12 h x6                 infusions
    1 MIU sc three times a week for 9 weeks         days 0, 2 and 4 of each week
    1 MIU sc at 0, 24, 48 h                         times as a list
    none                                            placebo

Grammar (words in any case, units as written; [ ] optional, { } repeated):

    schedule := "none" | "placebo" | chain { ("and" | "+") chain }
    chain    := course { "then" course }
    course   := [start] [amount unit] [route] ["over" time | "bolus"] [start]
                timing { interval count } [start]
    unit     := (IU kIU MIU ng ug mcg mg g pmol nmol umol mmol) [/m2 | /kg]
    timing   := "once" | "at" times | interval count
    interval := "every" time | "every other day" | "daily" | "weekly" | "twice daily" | "three times a week"
                | "q12h" ...
    count    := "x" number ["doses" | "cycles"] | "for" time
    start    := "from day" number | "from" time | "after" time
    time     := number (s min h d week)

What the words mean:

- Days count from 0: the first dose of `daily x5` is on day 0, and `from day 1` is 24 h after it.
- `xN` counts doses; after a second interval, as in `daily x5 every 28 d x3`, it counts courses. `for T`
  gives the doses at times before T: one that would fall exactly on T is not given. A `for` that would cut a
  course in two is refused.
- `twice daily` is every 12 h, N `times daily` every 24/N h; `twice a week` is days 0 and 3, `three times a
  week` days 0, 2 and 4, `five times a week` days 0 to 4 of each week. Months have no fixed length and are
  refused.
- `then` continues: unless stated anew, dose, route and infusion carry over (a route that is written anew
  brings no infusion with it). The course starts one interval of its own after the last dose of the course
  before: `daily x5 then weekly x7` gives days 0 to 4, then 11, 18, ... The interval is the innermost one:
  one day in `then daily x5 every 21 d x3`, and the pause of three days in `then three times a week`. `from
  day N` gives the day instead (counted from day 0 of the schedule), `after T` the time since the last dose.
  `once` and `at` have no interval and need one of the two. The times of `at` count from the start of their
  own course.
- `and` puts courses side by side, each on the clock of the schedule; `then` binds tighter than `and`.
- An infusion takes `over T`; `bolus` states that it takes no time; with neither, the route of the model
  decides.
- Doses in different units, some per m2 and some absolute, may stand in one schedule, since each is
  converted by itself, and infusions may overlap. Only `Schedule.total` needs doses that can be added.

Numbers are kept exactly, as decimals: 0.26 stays 0.26, and day 28 of one course is the same instant as day
28 of another. `Schedule.parse` and `str` are inverses: ``parse(str(s)) == s``.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from pkpd.errors import ScheduleError, located

__all__ = ["Dose", "EventTable", "Part", "Schedule"]

Number = int | float | str | Decimal | Fraction

MAX_DOSES = 1_000_000
MAX_DAYS = 36_525  # one hundred years
MAX_DIGITS = 40  # significant digits of a number; also keeps hostile numbers cheap
MAX_LEVELS = 4  # cycles of cycles of ...

# unit -> (kind, size in the unit of the kind). How one kind becomes another is the model's to say.
_UNITS: dict[str, tuple[str, Fraction]] = {
    "IU": ("activity", Fraction(1)),
    "kIU": ("activity", Fraction(10**3)),
    "MIU": ("activity", Fraction(10**6)),
    "ng": ("mass", Fraction(1, 10**9)),
    "ug": ("mass", Fraction(1, 10**6)),
    "mg": ("mass", Fraction(1, 10**3)),
    "g": ("mass", Fraction(1)),
    "pmol": ("substance", Fraction(1, 10**12)),
    "nmol": ("substance", Fraction(1, 10**9)),
    "umol": ("substance", Fraction(1, 10**6)),
    "mmol": ("substance", Fraction(1, 10**3)),
}
_UNIT_SPELLINGS = {"mcg": "ug", "µg": "ug", "μg": "ug", "µmol": "umol", "μmol": "umol"}
_UNITS_SHOWN = "IU, kIU, MIU, ng, ug, mcg, mg, g, pmol, nmol, umol, mmol"
# The largest single dose that is believed: far above any practice, and below slips of units such as 1e9 MIU.
_LARGEST = {
    "activity": (Fraction(10**10), "10000 MIU"),
    "mass": (Fraction(1000), "1000 g"),
    "substance": (Fraction(10), "10000 mmol"),
}

# what a dose per body size needs in the model: its name and a line that declares it
_SIZES = {"m2": ("body surface area", "BSA = 1.9 [m^2]"), "kg": ("body weight", "weight = 70 [kg]")}

_TIME_UNITS = {
    "s": Fraction(1, 86400),
    "min": Fraction(1, 1440),
    "h": Fraction(1, 24),
    "d": Fraction(1),
    "week": Fraction(7),
}
_TIME_WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), "week"),
}
_TIMES_SHOWN = "s, min, h, d, week"

_COMMON_ROUTES = ("sc", "iv", "im", "po", "oral")
_NUMBER_WORDS = {
    word: n
    for n, word in enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight"), start=1)
}
_WEEK_PATTERNS = {2: (0, 3), 3: (0, 2, 4), 5: (0, 1, 2, 3, 4)}
_WEEK_NAMES = {2: "twice a week", 3: "three times a week", 5: "five times a week"}
_LATIN_DAILY = {"qd": 1, "bid": 2, "tid": 3, "qid": 4}
_ORDINALS = {"other": 2, "second": 2, "third": 3, "fourth": 4}
_Q_PATTERN = re.compile(r"q([0-9]{1,4})(h|d|w)", re.IGNORECASE)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_TIMING_WORDS = (
    *_words("once at daily weekly every each twice thrice hourly qd bid tid qid qw eod qod monthly biweekly"),
    *_NUMBER_WORDS,
)
# In a short word a letter is most of the meaning (qod is not qd), so that only long ones are suggested.
_LONG_TIMING_WORDS = tuple(word for word in _TIMING_WORDS if len(word) > 3)
_TIMING_SHOWN = (
    "once, at <times>, daily, weekly, every <time>, every other day, twice daily, three times a week, q12h"
)
_START_WORDS = ("from", "after")
_COUNTED_WORDS = ("doses", "dose", "times", "cycles", "cycle", "courses", "course")
_NOT_FINITE = ("nan", "inf", "infinity")
_RESERVED = frozenset(
    {*_TIMING_WORDS, *_START_WORDS, *_COUNTED_WORDS, *_NOT_FINITE, *_TIME_WORDS, *_ORDINALS}
    | {unit.lower() for unit in (*_UNITS, *_UNIT_SPELLINGS)}
    | {*_words("then and for over bolus none placebo x time a an per month months year years")}
)
_ROUTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# --- numbers ------------------------------------------------------------------------------------------------


_AT_START: tuple[Fraction, ...] = (Fraction(0),)


def _exact(number: Number, what: str) -> Fraction:
    """The decimal that ``number`` is written as; a float counts as its shortest repr, so 0.26 is 26/100."""
    if isinstance(number, bool):
        raise ScheduleError(f"{what} must be a number, not {number!r}")
    if isinstance(number, (Fraction, int, np.integer)):
        exact = Fraction(number) if isinstance(number, Fraction) else Fraction(int(number))
        if max(exact.numerator.bit_length(), exact.denominator.bit_length()) > 16 * MAX_DIGITS:
            raise ScheduleError(f"{what} is out of any sensible range")
        return exact
    if isinstance(number, (float, np.floating)):
        number = repr(float(number))
    if not isinstance(number, (str, Decimal)):
        raise ScheduleError(f"{what} must be a number, not {type(number).__name__}")
    shown = str(number)[:40]
    try:
        decimal = Decimal(number)
    except InvalidOperation:
        raise ScheduleError(f'{what} must be a number, not "{shown}"') from None
    if not decimal.is_finite():
        raise ScheduleError(f"{what} must be a finite number, not {shown}")
    if (decimal and abs(decimal.adjusted()) > MAX_DIGITS) or len(decimal.as_tuple().digits) > MAX_DIGITS:
        raise ScheduleError(
            f"{what} is out of any sensible range or has more than {MAX_DIGITS} digits: {shown}"
        )
    return Fraction(decimal)


def _decimal_text(value: Fraction) -> str | None:
    """The shortest decimal that is exactly ``value``, or None if there is none (1/3)."""
    denominator, twos, fives = value.denominator, 0, 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    places = max(twos, fives)
    if denominator != 1 or places > 2 * MAX_DIGITS:
        return None
    digits = str(value.numerator * 10**places // value.denominator)
    significant = digits.rstrip("0") or "0"
    if len(significant) > MAX_DIGITS:
        return None
    if places == 0 and len(digits) <= 18:
        return digits
    if 0 < places <= 18:
        digits = digits.rjust(places + 1, "0")
        return f"{digits[:-places]}.{digits[-places:]}"
    exponent = len(digits) - 1 - places
    return significant[0] + (f".{significant[1:]}" if len(significant) > 1 else "") + f"e{exponent}"


def _time_texts(days: Iterable[Fraction]) -> tuple[list[str], str]:
    """Times as decimals in the unit that writes them shortest, the larger in a tie: 1/2 -> 12 h, 3 -> 3 d."""
    values = list(days)
    best: tuple[list[str], str] | None = None
    for unit in ("d", "h", "min", "s"):
        texts = [_decimal_text(value / _TIME_UNITS[unit]) for value in values]
        known = [text for text in texts if text is not None]
        if len(known) == len(texts) and (best is None or sum(map(len, known)) < sum(map(len, best[0]))):
            best = known, unit
    if best is None:
        raise ScheduleError(
            f"a time of {values[0]} days has no exact decimal in {_TIMES_SHOWN}; give it as a decimal number"
        )
    return best


def _time_text(days: Fraction) -> str:
    texts, unit = _time_texts([days])
    return f"{texts[0]} {unit}"


def _check_amount(amount: Fraction, unit: str) -> None:
    if amount <= 0:
        raise ScheduleError('a dose must be above zero; no treatment is written "none"')
    text = _decimal_text(amount)
    if text is None:
        raise ScheduleError(
            f"a dose must be a decimal of at most {MAX_DIGITS} digits, not {str(amount)[:60]}"
        )
    kind, size = _UNITS[unit]
    largest, shown = _LARGEST[kind]
    if amount * size > largest:
        raise ScheduleError(
            f"a dose of {text} {unit} is beyond anything given (at most {shown}); check the unit"
        )


def _check_interval(days: Fraction, what: str) -> None:
    if days <= 0:
        raise ScheduleError(f"{what} must be longer than zero")
    if days > MAX_DAYS:
        raise ScheduleError(f"{what} of {_time_text(days)} is longer than 100 years")
    _time_text(days)


def _check_start(days: Fraction) -> None:
    if days < 0:
        raise ScheduleError("a time before day 0 of the schedule")
    if days > MAX_DAYS:
        raise ScheduleError(f"{_time_text(days)} is later than 100 years")
    _time_text(days)


def _check_n_doses(n_doses: int) -> None:
    if n_doses > MAX_DOSES:
        raise ScheduleError(
            f"more than {MAX_DOSES} doses ({n_doses if n_doses < 10**15 else 'very many'}) in one schedule"
        )


def _check_route(route: str) -> str:
    if not isinstance(route, str) or not _ROUTE_NAME.fullmatch(route):
        raise ScheduleError(f"a route is a name such as sc or iv, not {str(route)[:40]!r}")
    if route.lower() in _RESERVED or _Q_PATTERN.fullmatch(route) or re.fullmatch(r"[xX]\d.*", route):
        raise ScheduleError(f'"{route[:40]}" is a word of the schedule language and cannot name a route')
    return route.lower() if route.lower() in _COMMON_ROUTES else route


def _split_unit(unit: str, per: str = "") -> tuple[str, str]:
    """ "MIU/m2" -> ("MIU", "m2"); spellings are unified."""
    if not isinstance(unit, str):
        raise ScheduleError(
            f"a dose unit is one of {_UNITS_SHOWN}, with /m2 or /kg where it is per body size"
        )
    name, slash, size = (piece.strip() for piece in unit.partition("/"))
    size = {"m^2": "m2", "m²": "m2"}.get(size, size)
    if slash and per and size != per:
        raise ScheduleError(f'a dose unit "{unit[:40]}" cannot also be per {per[:40]}')
    name, per = _UNIT_SPELLINGS.get(name, name), size or per
    if name not in _UNITS:
        raise ScheduleError(f'"{name[:40]}" is not a dose unit; one of {_UNITS_SHOWN}')
    if per not in ("", "m2", "kg") or (slash and not size):
        raise ScheduleError(f'a dose can be per m2 or per kg, not per "{per[:40]}"')
    return name, per


def _with_size(unit: str, per: str) -> str:
    return f"{unit}/{per}" if per else unit


def _suggest(word: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower()[:60], by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""


# --- doses and events ---------------------------------------------------------------------------------------


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
        time_days: Number,
        amount: Number,
        unit: str,
        route: str,
        duration_days: Number | None = None,
        per: str = "",
    ) -> None:
        name, size = _split_unit(unit, per)
        time, dose = _exact(time_days, "the time of a dose"), _exact(amount, "a dose")
        _check_start(time)
        _check_amount(dose, name)
        duration = None if duration_days is None else _exact(duration_days, "the length of an infusion")
        if duration:
            _check_interval(duration, "an infusion")
        for key, value in (
            ("time_days", time),
            ("amount", dose),
            ("unit", name),
            ("per", size),
            ("route", _check_route(route)),
            ("duration_days", duration),
        ):
            object.__setattr__(self, key, value)


@dataclass(frozen=True, eq=False)
class EventTable:
    """Doses as the integrator takes them, sorted by time, in the order of the schedule where times are equal.

    All arrays are C-contiguous and of shape (n_events,).

    Attributes:
        time: float64, in the model's time unit.
        amount: float64, in the unit of the state that the route enters, before bioavailability; per unit of
            body size where ``size`` is not -1.
        route: int64, index into the model's routes.
        duration: float64, in the model's time unit; 0 is a bolus, nan is left to the route of the model.
        size: int64, index of the parameter that multiplies the amount (body surface or weight), or -1.
    """

    time: NDArray[np.float64]
    amount: NDArray[np.float64]
    route: NDArray[np.int64]
    duration: NDArray[np.float64]
    size: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, kind in (
            ("time", np.float64),
            ("amount", np.float64),
            ("route", np.int64),
            ("duration", np.float64),
            ("size", np.int64),
        ):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=kind))
        if (
            len({array.shape for array in (self.time, self.amount, self.route, self.duration, self.size)})
            != 1
            or self.time.ndim != 1
        ):
            raise ScheduleError("the columns of an event table must be one-dimensional and of one length")
        if not (np.all(np.isfinite(self.time)) and np.all(self.time[1:] >= self.time[:-1])):
            raise ScheduleError("the times of an event table must be finite and must not go back")

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def empty(cls) -> EventTable:
        """No dose at all."""
        number, index = np.empty(0, np.float64), np.empty(0, np.int64)
        return cls(number, number.copy(), index, number.copy(), index.copy())


# --- schedules ----------------------------------------------------------------------------------------------


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
    offsets: tuple[Fraction, ...] = _AT_START
    period: Fraction | None = None
    count: int = 1
    cycles: tuple[tuple[Fraction, int], ...] = ()
    joined: str = "and"
    start: Fraction | None = Fraction(0)
    after: Fraction | None = None

    def __post_init__(self) -> None:
        if (self.unit, self.per) != _split_unit(self.unit, self.per):
            raise ScheduleError(f'write the dose unit "{self.unit[:40]}" as one of {", ".join(_UNITS)}')
        _check_amount(self.amount, self.unit)
        object.__setattr__(self, "route", _check_route(self.route))
        if self.duration:
            _check_interval(self.duration, "an infusion")
        if not self.offsets or any(later <= earlier for earlier, later in pairwise(self.offsets)):
            raise ScheduleError("the times of a course must increase")
        for offset in (self.offsets[0], self.offsets[-1]):
            _check_start(offset)
        _time_texts(self.offsets)
        if self.period is None:
            if self.count != len(self.offsets):
                raise ScheduleError("a course without a period has as many doses as times")
            if self.offsets == _AT_START and self.cycles:
                # `once every 28 d x3` is `every 28 d x3`: there is one way to say it.
                (period, count), *rest = self.cycles
                for name, value in (("period", period), ("count", count), ("cycles", tuple(rest))):
                    object.__setattr__(self, name, value)
        elif self.offsets != _AT_START and (self.period != 7 or self.offsets not in _WEEK_PATTERNS.values()):
            raise ScheduleError(
                "a period repeats one dose, or is a week with two, three or five; otherwise use cycles"
            )
        if self.period is not None:
            _check_interval(self.period, "an interval")
        if len(self.cycles) > MAX_LEVELS:
            raise ScheduleError(f"cycles of cycles go at most {MAX_LEVELS} deep")
        if min([self.count, *(count for _, count in self.cycles)]) < 1:
            raise ScheduleError("a course is given at least once")
        _check_n_doses(self.n_doses)
        length = self._course_last - self.offsets[0]
        for interval, count in self.cycles:
            _check_interval(interval, "an interval")
            if length >= interval:
                raise ScheduleError(
                    f"a course of {_time_text(length)} from first to last dose cannot be repeated "
                    f'every {_time_text(interval)}; courses that overlap are written with "and"'
                )
            length += (count - 1) * interval
        if self.joined not in ("and", "then") or (self.start is not None and self.after is not None):
            raise ScheduleError('a part is joined by "and" or "then" and has one start')
        if self.joined == "and" and (self.start is None or self.after is not None):
            raise ScheduleError('only a part after "then" can start relative to another')
        if self.start is not None:
            _check_start(self.start)
        if self.after is not None:
            _check_interval(self.after, 'the time after "after"')
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
        return _last_of(self.offsets, self.period, self.count)

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

    def times(self) -> list[Fraction]:
        """Days of all doses from the start of the part, increasing; shape (n_doses,)."""
        period = self.period or Fraction(0)
        times = [
            self.offsets[i % len(self.offsets)] + i // len(self.offsets) * period for i in range(self.count)
        ]
        for interval, count in self.cycles:
            times = [i * interval + time for i in range(count) for time in times]
        return times

    def _float_times(self, start: Fraction, per_day: Fraction) -> NDArray[np.float64]:
        """`times` from ``start``, ``per_day`` units to the day, correctly rounded; shape (n_doses,)."""
        fractions = [
            start,
            *self.offsets,
            self.period or Fraction(0),
            *(interval for interval, _ in self.cycles),
        ]
        scale = math.lcm(*(value.denominator for value in fractions))
        if (start + self.last) * scale * per_day.numerator >= 2**53 or scale * per_day.denominator >= 2**53:
            return np.array([float((start + time) * per_day) for time in self.times()], dtype=np.float64)
        # Whole ticks of 1/scale days are exact in float64, so that the one division is the one rounding.
        i = np.arange(self.count)
        ticks = np.array([int(offset * scale) for offset in self.offsets], dtype=np.int64)[
            i % len(self.offsets)
        ]
        ticks = ticks + i // len(self.offsets) * int((self.period or 0) * scale)
        for interval, count in self.cycles:
            ticks = (np.arange(count)[:, None] * int(interval * scale) + ticks).ravel()
        return (ticks + int(start * scale)) * per_day.numerator / (scale * per_day.denominator)

    def _same_dose(self, other: Part) -> bool:
        mine, theirs = (
            (self.amount, self.unit, self.per, self.route),
            (other.amount, other.unit, other.per, other.route),
        )
        return mine == theirs and self.duration == other.duration

    def _dose_text(self) -> str:
        text = f"{_decimal_text(self.amount)} {_with_size(self.unit, self.per)} {self.route}"
        if self.duration is None:
            return text
        return f"{text} over {_time_text(self.duration)}" if self.duration else f"{text} bolus"

    def _timing_text(self) -> str:
        if self.period is None and self.offsets == _AT_START:
            words = "once"
        elif self.period is None:
            texts, unit = _time_texts(self.offsets)
            words = f"at {', '.join(texts)} {unit}"
        elif len(self.offsets) > 1:
            weeks, rest = divmod(self.count, len(self.offsets))
            words = f"{_WEEK_NAMES[len(self.offsets)]} " + (
                f"x{self.count}" if rest else f"for {weeks} weeks"
            )
        else:
            words = {Fraction(1): "daily", Fraction(7): "weekly"}.get(
                self.period, f"every {_time_text(self.period)}"
            )
            words += f" x{self.count}"
        for interval, count in self.cycles:
            words += f" every {_time_text(interval)} x{count}"
        if self.after is not None:
            words += f" after {_time_text(self.after)}"
        elif self.start is not None and (self.start or self.joined == "then"):
            (number,), unit = _time_texts([self.start])
            words += f" from day {number}" if unit == "d" else f" from {number} {unit}"
        return words


@dataclass(frozen=True)
class Schedule:
    """When a subject is given what: a value that can be written down, compared, hashed and expanded.

    ``Schedule.parse("1 MIU sc daily x5 every 28 d x3")``; ``str(schedule)`` is its inverse. The language is
    described at the top of `pkpd.dosing`. Two schedules are equal when `str` writes them alike.

    Attributes:
        parts: the courses in the order of writing; empty for placebo.
    """

    parts: tuple[Part, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        self._starts  # noqa: B018  (checks that every part follows the one before)
        _check_n_doses(self.n_doses)

    # -- making one

    @classmethod
    def parse(cls, text: str, file: str = "<schedule>") -> Schedule:
        """Read the schedule language; ``file`` is the name that errors give to the text.

        Raises:
            ScheduleError: with the place, what was found, and what could stand there.
        """
        return _Parser(text, file).schedule()

    @classmethod
    def none(cls) -> Schedule:
        """No dose: placebo."""
        return cls()

    @classmethod
    def from_doses(cls, doses: Iterable[Dose]) -> Schedule:
        """The schedule that gives these doses, which may come in any order.

        Doses of one amount, unit, route and duration become one part, an interval where evenly spaced.
        """
        times_of: dict[tuple[Fraction, str, str, str, Fraction | None], list[Fraction]] = {}
        for n_doses, dose in enumerate(doses, start=1):
            if not isinstance(dose, Dose):
                raise ScheduleError(f"from_doses takes Dose values, not {type(dose).__name__}")
            _check_n_doses(n_doses)
            times_of.setdefault(
                (dose.amount, dose.unit, dose.per, dose.route, dose.duration_days), []
            ).append(dose.time_days)
        parts: list[Part] = []
        for (amount, unit, per, route, duration), times in times_of.items():
            for layer in _distinct(sorted(times)):
                start = layer[0]
                gaps = {later - earlier for earlier, later in pairwise(layer)}
                if len(gaps) <= 1:
                    period, offsets = (gaps.pop() if gaps else None), _AT_START
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
    def _starts(self) -> tuple[Fraction, ...]:
        """The day on which each part starts; checks that "then" goes forward, within 100 years."""
        starts: list[Fraction] = []
        last = Fraction(0)
        for i, part in enumerate(self.parts):
            if part.joined == "then" and i == 0:
                raise ScheduleError('nothing stands before "then"')
            if part.start is not None:
                start = part.start
            else:
                gap = part.after if part.after is not None else part.gap
                assert gap is not None  # Part refuses a "then" without a start or an interval
                start = last + gap
            if part.joined == "then" and start + part.offsets[0] <= last:
                raise _PartError(
                    i,
                    f'a course after "then" has its first dose on day {float(start + part.offsets[0]):.10g}, '
                    f"not after the last dose before it (day {float(last):.10g}); "
                    'courses that overlap are written with "and"',
                )
            last = start + part.last
            if last + (part.duration or 0) > MAX_DAYS:
                raise _PartError(i, f"the schedule runs for {float(last):.6g} days, more than 100 years")
            starts.append(start)
        return tuple(starts)

    @property
    def n_doses(self) -> int:
        """Number of doses."""
        return sum(part.n_doses for part in self.parts)

    @property
    def span(self) -> float:
        """Days from day 0 to the last dose or end of a stated infusion; 0 without doses."""
        ends = [start + part.last + (part.duration or 0) for start, part in zip(self._starts, self.parts)]
        return float(max(ends, default=Fraction(0)))

    def doses(self) -> list[Dose]:
        """All doses by time; doses of the same time in the order of writing. Shape (n_doses,)."""
        timed = [
            (start + time, part) for start, part in zip(self._starts, self.parts) for time in part.times()
        ]
        timed.sort(key=lambda pair: pair[0])
        return [
            Dose(time, part.amount, part.unit, part.route, part.duration, part.per) for time, part in timed
        ]

    def total(self, unit: str) -> float:
        """The sum of all doses in ``unit``, such as "MIU" or "MIU/m2".

        Raises:
            ScheduleError: a dose that only a model could convert: mass and activity, per m2 and absolute.
        """
        name, per = _split_unit(unit)
        kind, size = _UNITS[name]
        total = Fraction(0)
        for part in self.parts:
            part_kind, part_size = _UNITS[part.unit]
            if (part_kind, part.per) != (kind, per):
                raise ScheduleError(
                    f"a dose of {_decimal_text(part.amount)} {_with_size(part.unit, part.per)} cannot be "
                    f"counted in {_with_size(name, per)} without a model and a body size"
                )
            total += part.n_doses * part.amount * part_size / size
        return float(total)

    # -- changing it

    def __add__(self, other: Schedule) -> Schedule:
        """Both schedules side by side, on one clock."""
        if not isinstance(other, Schedule):
            return NotImplemented
        return Schedule(self.parts + other.parts)

    def scaled(self, factor: Number) -> Schedule:
        """The same times with every dose multiplied by ``factor``, above zero.

        Products of more than 17 digits are rounded to 17.
        """
        exact = _exact(factor, "the factor of a dose")
        return Schedule(tuple(replace(part, amount=_rounded(part.amount * exact)) for part in self.parts))

    def shifted(self, days: Number) -> Schedule:
        """The same doses ``days`` later (earlier if negative, but not before day 0)."""
        exact = _exact(days, "a shift in time")
        starts = (None if part.start is None else part.start + exact for part in self.parts)
        return Schedule(tuple(replace(part, start=start) for part, start in zip(self.parts, starts)))

    def __str__(self) -> str:
        words: list[str] = []
        for i, part in enumerate(self.parts):
            if i:
                words.append(part.joined)
            if part.joined == "and" or not part._same_dose(self.parts[i - 1]):
                words.append(part._dose_text())
            words.append(part._timing_text())
        return " ".join(words) or "none"

    def __repr__(self) -> str:
        return f"Schedule.parse({str(self)!r})"

    # -- for the integrator

    def events(
        self,
        time_unit: str,
        routes: Sequence[str],
        dose_units: Mapping[str, Mapping[str, float]],
        sizes: Mapping[str, int],
    ) -> EventTable:
        """The doses in the units of a model.

        Args:
            time_unit: the model's unit of time.
            routes: the model's routes, in their order.
            dose_units: for each route the units that its state can take, with the factor to the state's unit.
            sizes: "m2" and "kg" -> index of the parameter that holds that body size, -1 where there is none.

        Raises:
            ScheduleError: a route, unit or body size that the model does not have, and those it has.
        """
        unit_of_time = _TIME_WORDS.get(time_unit)
        if unit_of_time is None:
            raise ScheduleError(f'a model\'s time unit "{time_unit}" is not one of {_TIMES_SHOWN}')
        per_day = 1 / _TIME_UNITS[unit_of_time]
        columns: list[tuple[NDArray[np.float64], float, int, float, int]] = []
        for start, part in zip(self._starts, self.parts):
            route = _find_route(part.route, routes)
            units = dose_units.get(routes[route], {})
            if part.unit not in units:
                accepted = (
                    f"it takes {', '.join(units)}"
                    if units
                    else "it takes none of the units a schedule can be written in"
                )
                raise ScheduleError(
                    f"a dose of {_decimal_text(part.amount)} {part.unit} cannot enter by route "
                    f'"{routes[route]}" of this model: {accepted}'
                )
            size = sizes.get(part.per, -1) if part.per else -1
            if part.per and size < 0:
                name, line = _SIZES[part.per]
                raise ScheduleError(
                    f"a dose of {_decimal_text(part.amount)} {part.unit}/{part.per} needs the {name}, but this model "
                    f'has none: give the dose without /{part.per}, or add "covariate {line}" to the model'
                )
            duration = math.nan if part.duration is None else float(part.duration * per_day)
            columns.append(
                (
                    part._float_times(start, per_day),
                    float(part.amount) * units[part.unit],
                    route,
                    duration,
                    size,
                )
            )
        if not columns:
            return EventTable.empty()
        lengths = [len(times) for times, *_ in columns]
        time = np.concatenate([times for times, *_ in columns])
        order = np.argsort(time, kind="stable")
        rest = (np.repeat(np.array(column), lengths)[order] for column in list(zip(*columns))[1:])
        return EventTable(time[order], *rest)


def time_units_per_day(time_unit: str) -> float:
    """How many of a model's time units make a day."""
    if time_unit not in _TIME_WORDS:
        raise ScheduleError(f'a model\'s time unit "{time_unit}" is not one of {_TIMES_SHOWN}')
    return float(1 / _TIME_UNITS[_TIME_WORDS[time_unit]])


class _PartError(ScheduleError):
    """An error that belongs to one part; the parser turns the number into a place in the text."""

    def __init__(self, part: int, message: str) -> None:
        super().__init__(message)
        self.part = part


def _last_of(offsets: tuple[Fraction, ...], period: Fraction | None, count: int) -> Fraction:
    """Day of the last of ``count`` doses that repeat ``offsets`` every ``period``."""
    whole, rest = divmod(count - 1, len(offsets))
    return offsets[rest] + (whole * period if period is not None else 0)


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
    text = _decimal_text(value)
    if text is not None and sum(character.isdigit() for character in text.split("e")[0]) <= 17:
        return value
    return Fraction(f"{value.numerator / value.denominator:.17g}") if value else value


def _find_route(route: str, routes: Sequence[str]) -> int:
    if route in routes:
        return list(routes).index(route)
    same = [i for i, name in enumerate(routes) if name.lower() == route.lower()]
    if len(same) == 1:
        return same[0]
    suggestion = _suggest(route, routes)
    question = f'; did you mean "{suggestion}"?' if suggestion else ""
    known = f"its routes are {', '.join(routes)}" if routes else "it has no route"
    raise ScheduleError(f'this model has no route "{route}": {known}{question}')


# --- the language -------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<space>[\s\ufeff]+)
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<x>[xX×*](?=\s*[-+]?[0-9.]))
      | (?P<word>[a-zA-Z]\.[a-zA-Z]\.|[A-Za-zµμ_][A-Za-z0-9_²]*)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)


def _undotted(text: str) -> str:
    """ "s.c." -> "sc"."""
    return text.replace(".", "") if text[0].isalpha() else text


@dataclass(frozen=True)
class _Token:
    kind: str  # number, x, word, mark, end
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "word" else self.text


@dataclass(frozen=True)
class _Interval:
    """`every 3 d`, `three times a week`: what stands before a count."""

    period: Fraction
    offsets: tuple[Fraction, ...] = _AT_START

    def n_before(self, end: Fraction) -> int:
        """Number of doses at times before ``end``."""
        whole, rest = divmod(end, self.period)
        return int(whole) * len(self.offsets) + sum(offset < rest for offset in self.offsets)


class _Parser:
    """Recursive descent over tokens; every failure names the token and what could stand there."""

    def __init__(self, text: str, file: str) -> None:
        if not isinstance(text, str):
            raise ScheduleError(f"a schedule is text, not {type(text).__name__}")
        self.text, self.file = text, file
        self.tokens = [
            _Token(str(match.lastgroup), _undotted(match.group()), match.start(), match.end())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "space"
        ]
        end = len(text.rstrip())
        self.tokens.append(_Token("end", "", end, end))
        self.i = 0

    # -- tokens and errors

    @property
    def token(self) -> _Token:
        return self.tokens[self.i]

    def peek(self, ahead: int = 1) -> _Token:
        return self.tokens[min(self.i + ahead, len(self.tokens) - 1)]

    def take(self) -> _Token:
        token = self.token
        self.i = min(self.i + 1, len(self.tokens) - 1)
        return token

    def accept(self, *words: str) -> bool:
        if self.token.kind != "number" and self.token.word in words:
            self.take()
            return True
        return False

    def fail(self, message: str, first: _Token, last: _Token | None = None, hint: str = "") -> NoReturn:
        raise self.error(message, first.start, (last or first).end, hint)

    def error(self, message: str, start: int, end: int, hint: str = "") -> ScheduleError:
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
            text="\n" * (line - 1) + window,
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

    def unexpected(self, expected: str, words: Iterable[str] = (), what: str = "") -> NoReturn:
        """Fail at this token: ``expected`` could stand there, ``words`` are those it may be a slip of."""
        token = self.token
        if token.kind == "end":
            message = "the schedule ends here" if self.i else "the schedule is empty"
            message += f"; {what}" if what else ""
        else:
            known = token.word in _RESERVED or token.word in _COMMON_ROUTES
            message = f"{self.shown(token)} {'cannot stand' if known else 'is not understood'} here"
            message += f"; {what}" if what else ""
        slip = token.kind == "word" and token.word not in _RESERVED
        suggestion = _suggest(token.text, words) if slip else ""
        hint = (
            f'did you mean "{suggestion}"? ' if suggestion and suggestion != token.text else ""
        ) + f"here can stand: {expected}"
        self.fail(message, token, hint=hint)

    @staticmethod
    def shown(token: _Token) -> str:
        text = token.text if len(token.text) <= 40 else token.text[:37] + "..."
        return f'"{text}"' if text.isprintable() else f"the character {text!a}"

    @contextmanager
    def at(self, first: _Token, last: _Token | None = None) -> Iterator[None]:
        """Give errors of the value checks their place in the text."""
        try:
            yield
        except ScheduleError as error:
            raise self.error(str(error), first.start, (last or first).end) from None

    # -- grammar

    def schedule(self) -> Schedule:
        begins = "a dose with its unit, such as 1 MIU; none; placebo"
        if self.token.word in ("none", "placebo"):
            self.take()
            if self.token.kind != "end":
                self.unexpected("the end of the schedule", what='"none" and "placebo" stand alone')
            return Schedule()
        if self.token.kind == "end":
            self.unexpected(begins)
        parts: list[Part] = []
        places: list[tuple[int, int]] = []
        joined = "and"
        while True:
            first = self.token
            parts.append(self.course(joined, parts[-1] if parts else None))
            places.append((first.start, self.tokens[self.i - 1].end))
            if self.token.kind == "end":
                break
            if self.token.text == "," and self.peek().word in ("then", "and"):
                self.take()
            if self.accept("then"):
                joined = "then"
            elif self.accept("and", "+"):
                joined = "and"
            else:
                self.unexpected(
                    "then, and, every <time> xN (repeat the course), from day N, after <time>, the end",
                    ("then", "and", "from", "after", "every", "weekly", "daily"),
                )
        try:
            return Schedule(tuple(parts))
        except _PartError as error:
            raise self.error(str(error), *places[error.part]) from None
        except ScheduleError as error:
            raise self.error(str(error), places[0][0], places[-1][1]) from None

    def course(self, joined: str, before: Part | None) -> Part:
        first = self.token
        inherited = before if joined == "then" else None
        start = self.start()
        amount, unit, per = self.dose(inherited)
        route, restated = self.route(inherited)
        duration = self.duration()
        if duration is None and not restated and inherited is not None:
            duration = inherited.duration
        start = start or self.start()
        offsets, period, count = self.timing()
        cycles: list[tuple[Fraction, int]] = []
        length = _last_of(offsets, period, count) - offsets[0]
        while self.at_interval():
            opening = self.token
            interval = self.interval()
            if interval.offsets != _AT_START:
                self.fail(
                    "a course is repeated at one interval, not several times a week",
                    opening,
                    self.tokens[self.i - 1],
                )
            if length >= interval.period:
                self.fail(
                    f"a course of {_time_text(length)} from first to last dose cannot be repeated "
                    f"every {_time_text(interval.period)}",
                    opening,
                    self.tokens[self.i - 1],
                    'courses that overlap are written with "and"',
                )
            cycles.append((interval.period, self.count(interval, length)))
            length += (cycles[-1][1] - 1) * interval.period
        start = start or self.start()
        kind, days = start or ("", Fraction(0))
        if kind == "after" and joined != "then":
            self.fail(
                '"after" counts from the course before "then", and there is none',
                first,
                self.tokens[self.i - 1],
                "write: from day N",
            )
        stated = days if kind == "from" or joined == "and" else None
        with self.at(first, self.tokens[self.i - 1]):
            return Part(
                amount,
                unit,
                per,
                route,
                duration,
                offsets,
                period,
                count,
                tuple(cycles),
                joined,
                stated,
                days if kind == "after" else None,
            )

    def start(self) -> tuple[str, Fraction] | None:
        if self.token.word not in _START_WORDS:
            return None
        kind = self.take().word
        if kind == "from" and self.token.word in ("day", "week"):
            unit = _TIME_WORDS[self.take().word]
            token = self.token
            days = self.number("the number of the day") * _TIME_UNITS[unit]
        else:
            token = self.token
            days = self.time("a time such as day 21 or 36 h" if kind == "from" else "a time such as 16 d")
        with self.at(token, self.tokens[self.i - 1]):
            if kind == "from":
                _check_start(days)
            else:
                _check_interval(days, 'the time after "after"')
        return kind, days

    def dose(self, inherited: Part | None) -> tuple[Fraction, str, str]:
        first = self.token
        is_number = first.kind == "number" or first.text in ("-", "−") or first.word in _NOT_FINITE
        if not is_number:
            if inherited is not None:
                return inherited.amount, inherited.unit, inherited.per
            self.unexpected(
                "a dose with its unit, such as 1 MIU or 0.26 MIU/m2", what="a course begins with its dose"
            )
        amount = self.number("a dose")
        unit, per = self.unit()
        with self.at(first, self.tokens[self.i - 1]):
            _check_amount(amount, unit)
        return amount, unit, per

    def number(self, what: str) -> Fraction:
        token = self.token
        if token.text in ("-", "−") and self.peek().kind in ("number", "word"):
            self.fail(f"{what} cannot be negative", token, self.peek())
        if token.word in _NOT_FINITE:
            self.fail(f"{what} must be a finite number", token)
        if token.kind != "number":
            self.unexpected(f"{what}: a number", what="a number is missing")
        self.take()
        comma, digits = self.token, self.peek()
        joined = (
            comma.text == ","
            and comma.start == token.end
            and digits.kind == "number"
            and digits.start == comma.end
        )
        if joined and what != "a time":
            hint = 'write the decimal point as "." and thousands without a mark'
            self.fail("numbers have no comma", token, digits, hint)
        with self.at(token):
            return _exact(token.text, what)

    def unit(self) -> tuple[str, str]:
        first = self.token
        if first.kind != "word" or (first.text not in _UNITS and first.text not in _UNIT_SPELLINGS):
            if first.text == "," and self.peek().kind == "number":
                self.fail("numbers have no comma", first, self.peek(), 'write the decimal point as "."')
            if first.text == "mIU":
                self.fail('"mIU" reads as a thousandth of an IU', first, hint='a million IU is "MIU"')
            known = _suggest(first.text, [*_UNITS, *_UNIT_SPELLINGS]) if first.kind == "word" else ""
            looks_like_unit = (
                known
                and first.word not in _RESERVED - {name.lower() for name in _UNITS}
                and first.word not in _COMMON_ROUTES
            )
            if first.word in ("u", "mu", "ku"):
                known = first.text[:-1] + "IU" if len(first.text) > 1 else "IU"
                looks_like_unit = True
            hint = (
                f'did you mean "{known}"? ' if looks_like_unit else ""
            ) + f"here can stand: {_UNITS_SHOWN}, each with or without /m2 or /kg"
            found = "the schedule ends" if first.kind == "end" else f"{self.shown(first)} stands"
            self.fail(f"a dose needs a unit, but {found} here", first, hint=hint)
        unit = _UNIT_SPELLINGS.get(first.text, first.text)
        self.take()
        if not self.accept("/", "per"):
            return unit, ""
        size = self.token
        if size.text in ("m2", "m²"):
            self.take()
            per = "m2"
        elif size.text == "m" and self.peek().text == "^" and self.peek(2).text == "2":
            self.i += 3
            per = "m2"
        elif size.text == "kg":
            self.take()
            per = "kg"
        else:
            self.unexpected("m2, kg", ("m2", "kg"), what="a dose is per body surface or per weight")
        if self.token.text == "/":
            self.unexpected("a route, such as sc or iv", what='a rate is written as an amount "over" a time')
        return unit, per

    def route(self, inherited: Part | None) -> tuple[str, bool]:
        """The route and whether it stands here."""
        token = self.token
        reserved = token.word in _RESERVED or _Q_PATTERN.fullmatch(token.text) is not None
        if token.kind == "word" and not reserved:
            after = self.peek()
            follows = self.starts_timing(1) or after.word in ("over", "bolus", *_START_WORDS)
            slip = _suggest(token.text, _LONG_TIMING_WORDS)
            if not follows and slip and token.word not in _COMMON_ROUTES:
                # `1 MIU dayly x5`, `then weeky x7`: this could be a route, but not before what follows.
                self.unexpected(f"a route, such as sc or iv; {_TIMING_SHOWN}", _LONG_TIMING_WORDS)
            self.take()
            with self.at(token):
                return _check_route(token.text), True
        if inherited is None:
            self.unexpected(
                "a route of the model, such as sc or iv", _COMMON_ROUTES, what="the route is missing"
            )
        return inherited.route, False

    def duration(self) -> Fraction | None:
        if self.accept("bolus"):
            return Fraction(0)
        if not self.accept("over"):
            return None
        token = self.token
        days = self.time("the length of the infusion, such as 2 h")
        if days == 0:
            self.fail(
                "an infusion takes time", token, self.tokens[self.i - 1], 'a dose at once is written "bolus"'
            )
        with self.at(token, self.tokens[self.i - 1]):
            _check_interval(days, "an infusion")
        return days

    def timing(self) -> tuple[tuple[Fraction, ...], Fraction | None, int]:
        """Offsets, period and count of the innermost course."""
        if self.token.word == "once" and not self.starts_frequency(self.peek()):
            self.take()
            return _AT_START, None, 1
        if self.accept("at"):
            offsets = self.times()
            return offsets, None, len(offsets)
        if not self.at_interval():
            self.unexpected(_TIMING_SHOWN, _LONG_TIMING_WORDS, what="it should say when the dose is given")
        interval = self.interval()
        return interval.offsets, interval.period, self.count(interval)

    def times(self) -> tuple[Fraction, ...]:
        """`0, 24, 48 h`: a number without a unit has that of the next number with one."""
        times: list[Fraction] = []
        pending: list[tuple[Fraction, _Token]] = []
        while True:
            token = self.token
            pending.append((self.number("a time"), token))
            if self.token.kind == "word" and (self.token.word in _TIME_WORDS or self.token.text != ","):
                unit = self.time_unit("; or a comma and another time")
                for number, where in pending:
                    days = number * unit
                    with self.at(where):
                        _check_start(days)
                    if times and days <= times[-1]:
                        self.fail(
                            "times must increase",
                            where,
                            hint='two doses at one time are two courses with "and"',
                        )
                    times.append(days)
                pending = []
            if self.token.text != ",":
                break
            self.take()
        if pending:
            self.unexpected(
                f"{_TIMES_SHOWN}; or a comma and another time",
                _TIME_WORDS,
                what="the unit of the times is missing",
            )
        _check_n_doses(len(times))
        return tuple(times)

    def starts_timing(self, ahead: int = 0) -> bool:
        """Whether a timing begins ``ahead`` tokens from here."""
        token = self.peek(ahead)
        if token.kind == "number":
            return self.peek(ahead + 1).word == "times"
        return token.kind == "word" and (
            token.word in _TIMING_WORDS or _Q_PATTERN.fullmatch(token.text) is not None
        )

    def at_interval(self) -> bool:
        """Whether an interval begins here (`once` does when a frequency follows it)."""
        if self.token.word == "once":
            return self.starts_frequency(self.peek())
        return self.token.word != "at" and self.starts_timing()

    @staticmethod
    def starts_frequency(token: _Token) -> bool:
        return token.word in ("daily", "weekly", "a", "an", "per")

    def interval(self) -> _Interval:
        first = self.take()
        word = first.word
        quick = _Q_PATTERN.fullmatch(first.text)
        if quick:
            days = int(quick[1]) * _TIME_UNITS[{"h": "h", "d": "d", "w": "week"}[quick[2].lower()]]
            with self.at(first):
                _check_interval(days, "an interval")
            return _Interval(days)
        if word in ("monthly", "biweekly"):
            why = "has no fixed length" if word == "monthly" else "can mean twice a week or every two weeks"
            self.fail(f'"{first.text}" {why}', first, hint="write, for instance, every 28 d or every 2 weeks")
        if word in _LATIN_DAILY:
            return _Interval(Fraction(1, _LATIN_DAILY[word]))
        if word in ("daily", "weekly", "hourly", "qw", "eod", "qod"):
            return _Interval(
                {"daily": Fraction(1), "hourly": Fraction(1, 24), "eod": Fraction(2), "qod": Fraction(2)}.get(
                    word, Fraction(7)
                )
            )
        if word in ("every", "each"):
            return _Interval(self.every())
        if word in ("once", "twice", "thrice"):
            n = {"once": 1, "twice": 2, "thrice": 3}[word]
        else:
            with self.at(first):
                exact = _exact(_NUMBER_WORDS.get(word, first.text), "a number of times")
                if exact.denominator != 1 or not 1 <= exact <= 1440:
                    raise ScheduleError("a number of times must be a whole number, at least 1")
            n = int(exact)
            if not self.accept("times", "time"):
                self.unexpected("times", ("times",))
        return self.frequency(n, first)

    def every(self) -> Fraction:
        if self.token.kind == "number" or self.token.text in ("-", "−") or self.token.word in _NOT_FINITE:
            token = self.token
            days = self.time("an interval such as 3 d")
        else:
            token = self.token
            n = _ORDINALS.get(self.token.word, 0)
            if n:
                self.take()
            days = (n or 1) * self.time_unit(", other, second, third", ("other", "second", "third"))
        with self.at(token, self.tokens[self.i - 1]):
            _check_interval(days, "an interval")
        return days

    def frequency(self, n: int, first: _Token) -> _Interval:
        """`daily`, `a day`, `per week` after `twice`, `three times`."""
        if self.accept("a", "an", "per", "each", "every"):
            unit = self.token
            if unit.word not in ("day", "week", "hour"):
                self.unexpected("day, week", ("day", "week", "hour"))
            word = self.take().word
        elif self.token.word in ("daily", "weekly"):
            word = {"daily": "day", "weekly": "week"}[self.take().word]
        else:
            self.unexpected("daily, weekly, a day, a week", ("daily", "weekly", "a", "per"))
        if word != "week" or n == 1:
            return _Interval(_TIME_UNITS[_TIME_WORDS[word]] / n)
        if n not in _WEEK_PATTERNS:
            self.fail(
                f"{n} times a week does not say on which days",
                first,
                self.tokens[self.i - 1],
                "write the days: at 0, 1, 3, 5 d every 7 d xN",
            )
        return _Interval(Fraction(7), tuple(Fraction(day) for day in _WEEK_PATTERNS[n]))

    def count(self, interval: _Interval, course: Fraction | None = None) -> int:
        """`x5`, `x5 doses`, `for 60 d`, `x60 days`; ``course``: the length of what is repeated."""
        noun = "doses" if course is None else "courses"
        opening = self.token
        if not self.accept("x", "×", "*", "for"):
            self.unexpected(
                f"xN (a number of {noun}), for <time>", ("x", "for"), what=f"the number of {noun} is missing"
            )
        token = self.token
        number = self.number(f"the number of {noun}")
        if self.token.kind == "word" and (
            self.token.word in _TIME_WORDS or self.token.word.startswith(("month", "year"))
        ):
            end = number * self.time_unit()
            with self.at(opening, self.tokens[self.i - 1]):
                _check_interval(end, "a time of treatment")
                n = interval.n_before(end)
                if course is not None and (n - 1) * interval.period + course >= end:
                    raise ScheduleError(
                        f"{_time_text(end)} would cut the last course in two: write x{n} or "
                        + (f"x{n - 1}" if n > 1 else "a longer time")
                    )
                _check_n_doses(n)
            return n
        if opening.word == "for" and self.token.word not in _COUNTED_WORDS:
            self.unexpected(
                f"{_TIMES_SHOWN}, doses, cycles", _TIME_WORDS, what="the unit of the time is missing"
            )
        if self.token.word in _COUNTED_WORDS and not self.starts_frequency(self.peek()):
            self.take()
        with self.at(opening, token):
            if number.denominator != 1 or number < 1:
                raise ScheduleError(f"the number of {noun} must be a whole number, at least 1")
            _check_n_doses(int(number))
        return int(number)

    def time(self, what: str) -> Fraction:
        number = self.number(what)
        return number * self.time_unit()

    def time_unit(self, also: str = "", words: Iterable[str] = ()) -> Fraction:
        word = self.token.word
        if word.startswith(("month", "year")):
            self.fail(
                f'"{self.token.text[:40]}" has no fixed length',
                self.token,
                hint=f"write the time in {_TIMES_SHOWN}, for instance 28 d or 26 weeks",
            )
        if self.token.kind != "word" or word not in _TIME_WORDS:
            self.unexpected(
                _TIMES_SHOWN + also,
                [*_TIME_WORDS, *words],
                what="a unit of time is missing" if not words else "",
            )
        return _TIME_UNITS[_TIME_WORDS[self.take().word]]
