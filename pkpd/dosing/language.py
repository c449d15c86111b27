"""The language in which a pharmacologist writes schedules: text to `Schedule`, and back.

    1 MIU sc daily x5 every 28 d x3                 five daily injections, three cycles
    0.26 MIU/m2 sc every 3 d for 60 d               20 doses: days 0, 3, ... 57
    1.5 MIU sc daily x5 then weekly x7              the dose and the route carry over to what follows `then`
    1 MIU sc daily x5 every 28 d x2 then 2 MIU daily x5 every 28 d x4   after cycles: from day 56, as the next
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
    unit     := ("thousand" | "million") ("IU" | "international units")
                | (IU kIU MIU ng ug mcg mg g pmol nmol umol mmol, also spelled out) [/m2 | /kg]
    timing   := "once" | "at" times | interval count
    interval := "every" time | "every other day" | "daily" | "weekly" | "fortnightly" | "twice daily"
                | "three times a week" | "q12h" ...
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
  one day in `then daily x5 every 21 d x3`, and the pause of three days in `then three times a week`. After
  cycles it starts when the next cycle would, whatever its own interval: `daily x5 every 28 d x2 then 2 MIU sc
  daily x5 every 28 d x4` begins the second course on day 56. `from day N` gives the day instead (counted from
  day 0 of the schedule), `after T` the time since the last dose.
  `once` and `at` have no interval and need one of the two. The times of `at` count from the start of their
  own course.
- `and` puts courses side by side, each on the clock of the schedule; `then` binds tighter than `and`.
- An infusion takes `over T`; `bolus` states that it takes no time; with neither, the route of the model
  decides.
- Doses in different units, some per m2 and some absolute, may stand in one schedule, since each is
  converted by itself, and infusions may overlap. Only `Schedule.total` needs doses that can be added.

`Schedule.parse` and `str` are inverses: ``parse(str(s)) == s``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from pkpd.core.errors import ScheduleError
from pkpd.core.names import close_names, question
from pkpd.dosing.parts import AT_START, Part, Written, last_of
from pkpd.dosing.quantities import (
    DOSE_UNIT_SPELLINGS,
    DOSE_UNITS,
    DOSE_UNITS_SHOWN,
    TIME_UNITS,
    TIME_WORDS,
    TIMES_SHOWN,
    check_amount,
    check_interval,
    check_n_doses,
    check_start,
    decimal_text,
    exact_number,
    time_text,
    time_texts,
    with_size,
)
from pkpd.dosing.words import (
    COMMON_ROUTES,
    COUNTED_WORDS,
    INTERNATIONAL,
    LATIN_DAILY,
    LONG_TIMING_WORDS,
    MULTIPLES,
    NO_ONE_LENGTH,
    NOT_FINITE,
    NUMBER_WORDS,
    ORDINALS,
    Q_PATTERN,
    RESERVED,
    START_WORDS,
    TIMING_SHOWN,
    TIMING_WORDS,
    WEEK_NAMES,
    WEEK_PATTERNS,
    check_route,
)

# --- writing --------------------------------------------------------------------------------------


def courses_text(parts: Sequence[Part]) -> str:
    """The courses of a schedule as they are read back; see ``str(schedule)``."""
    words: list[str] = []
    for i, part in enumerate(parts):
        if i:
            words.append(part.joined)
        if part.joined == "and" or not part.same_dose(parts[i - 1]):
            words.append(_dose_text(part))
        words.append(_timing_text(part))
    return " ".join(words) or "none"


def _dose_text(part: Part) -> str:
    text = f"{decimal_text(part.amount)} {with_size(part.unit, part.per)} {part.route}"
    if part.duration is None:
        return text
    return f"{text} over {time_text(part.duration)}" if part.duration else f"{text} bolus"


def _timing_text(part: Part) -> str:
    if part.period is None and part.offsets == AT_START:
        words = "once"
    elif part.period is None:
        texts, unit = time_texts(part.offsets)
        words = f"at {', '.join(texts)} {unit}"
    elif len(part.offsets) > 1:
        weeks, rest = divmod(part.count, len(part.offsets))
        words = f"{WEEK_NAMES[len(part.offsets)]} " + (f"x{part.count}" if rest else f"for {weeks} weeks")
    else:
        words = {Fraction(1): "daily", Fraction(7): "weekly"}.get(
            part.period, f"every {time_text(part.period)}"
        )
        words += f" x{part.count}"
    for interval, count in part.cycles:
        words += f" every {time_text(interval)} x{count}"
    if part.after is not None:
        words += f" after {time_text(part.after)}"
    elif part.start is not None and (part.start or part.joined == "then"):
        (number,), unit = time_texts([part.start])
        words += f" from day {number}" if unit == "d" else f" from {number} {unit}"
    return words


# --- reading --------------------------------------------------------------------------------------

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
class ScheduleToken:
    kind: str  # number, x, word, mark, end
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "word" else self.text


_INTERVAL_WORDS = {
    "daily": Fraction(1),
    "hourly": Fraction(1, 24),
    "eod": Fraction(2),
    "qod": Fraction(2),
    "weekly": Fraction(7),
    "qw": Fraction(7),
    "fortnightly": Fraction(14),
}


@dataclass(frozen=True)
class _Interval:
    """`every 3 d`, `three times a week`: what stands before a count."""

    period: Fraction
    offsets: tuple[Fraction, ...] = AT_START

    def n_before(self, end: Fraction) -> int:
        """Number of doses at times before ``end``."""
        whole, rest = divmod(end, self.period)
        return int(whole) * len(self.offsets) + sum(offset < rest for offset in self.offsets)


def _asked_unit(token: ScheduleToken) -> str:
    """The question for a word that may be a slip of a unit, and is no other word of the language."""
    if token.word in ("u", "mu", "ku"):
        meant = token.text[:-1] + "IU"
        return question(meant, [meant])
    if token.word in ("unit", "units"):
        return 'international units are written "IU", a million of them "MIU";'
    another = token.word in RESERVED - {name.lower() for name in DOSE_UNITS} or token.word in COMMON_ROUTES
    known = [*DOSE_UNITS, *DOSE_UNIT_SPELLINGS]
    return question(token.text, known) if token.kind == "word" and not another else ""


class Parser:
    """Recursive descent over tokens; every failure names the token and what could stand there."""

    def __init__(self, text: str, file: str) -> None:
        if not isinstance(text, str):
            raise ScheduleError(f"a schedule is text, not {type(text).__name__}")
        self.text, self.file = text, file
        self.tokens = [
            ScheduleToken(str(match.lastgroup), _undotted(match.group()), match.start(), match.end())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "space"
        ]
        end = len(text.rstrip())
        self.tokens.append(ScheduleToken("end", "", end, end))
        self.i = 0

    # -- tokens and errors

    @property
    def token(self) -> ScheduleToken:
        return self.tokens[self.i]

    @property
    def ended(self) -> bool:
        """Whether the schedule ends here."""
        return self.token.kind == "end"

    def peek(self, ahead: int = 1) -> ScheduleToken:
        return self.tokens[min(self.i + ahead, len(self.tokens) - 1)]

    def take(self) -> ScheduleToken:
        token = self.token
        self.i = min(self.i + 1, len(self.tokens) - 1)
        return token

    def accept(self, *words: str) -> bool:
        if self.token.kind != "number" and self.token.word in words:
            self.take()
            return True
        return False

    def fail(
        self, message: str, first: ScheduleToken, last: ScheduleToken | None = None, hint: str = ""
    ) -> NoReturn:
        raise self.error(message, first.start, (last or first).end, hint)

    def error(self, message: str, start: int, end: int, hint: str = "") -> ScheduleError:
        return Written(self.text, self.file).error(message, start, end, hint)

    def unexpected(self, expected: str, words: Iterable[str] = (), what: str = "") -> NoReturn:
        """Fail at this token: ``expected`` could stand there, ``words`` are those it may be a slip of."""
        token = self.token
        if token.kind == "end":
            message = "the schedule ends here" if self.i else "the schedule is empty"
            message += f"; {what}" if what else ""
        else:
            known = token.word in RESERVED or token.word in COMMON_ROUTES
            message = f"{self.shown(token)} {'cannot stand' if known else 'is not understood'} here"
            message += f"; {what}" if what else ""
            if token.text == ";" and not self.ended:
                message += (
                    '; doses stand here as planned: rules such as "; hold if ..." are followed where '
                    'schedules are compared, and changes such as "; miss day 3" also where one is simulated '
                    "or explained"
                )
        slip = token.kind == "word" and token.word not in RESERVED
        asked = question(token.text, [word for word in words if word != token.text]) if slip else ""
        self.fail(message, token, hint=f"{asked} here can stand: {expected}".lstrip())

    @staticmethod
    def shown(token: ScheduleToken) -> str:
        text = token.text if len(token.text) <= 40 else token.text[:37] + "..."
        return f'"{text}"' if text.isprintable() else f"the character {text!a}"

    @contextmanager
    def at(self, first: ScheduleToken, last: ScheduleToken | None = None) -> Iterator[None]:
        """Give errors of the value checks their place in the text."""
        try:
            yield
        except ScheduleError as error:
            raise self.error(str(error), first.start, (last or first).end) from None

    # -- grammar

    def courses(self) -> tuple[tuple[Part, ...], Written]:
        """The courses of a schedule, none for placebo, and where each stands."""
        begins = "a dose with its unit, such as 1 MIU; none; placebo"
        if self.token.word in ("none", "placebo"):
            self.take()
            if not self.ended:
                self.unexpected("the end of the schedule", what='"none" and "placebo" stand alone')
            return (), Written(self.text, self.file)
        if self.token.kind == "end":
            self.unexpected(begins)
        parts: list[Part] = []
        places: list[tuple[int, int]] = []
        joined = "and"
        while True:
            first = self.token
            parts.append(self.course(joined, parts[-1] if parts else None))
            places.append((first.start, self.tokens[self.i - 1].end))
            if self.ended:
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
        return tuple(parts), Written(self.text, self.file, tuple(places))

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
        length = last_of(offsets, period, count) - offsets[0]
        while self.at_interval():
            opening = self.token
            interval = self.interval()
            if interval.offsets != AT_START:
                self.fail(
                    "a course is repeated at one interval, not several times a week",
                    opening,
                    self.tokens[self.i - 1],
                )
            if length >= interval.period:
                self.fail(
                    f"a course of {time_text(length)} from first to last dose cannot be repeated "
                    f"every {time_text(interval.period)}",
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
        if self.token.word not in START_WORDS:
            return None
        kind = self.take().word
        if kind == "from" and self.token.word in ("day", "week"):
            unit = TIME_WORDS[self.take().word]
            token = self.token
            days = self.number("the number of the day") * TIME_UNITS[unit]
        else:
            token = self.token
            days = self.time("a time such as day 21 or 36 h" if kind == "from" else "a time such as 16 d")
        with self.at(token, self.tokens[self.i - 1]):
            if kind == "from":
                check_start(days)
            else:
                check_interval(days, 'the time after "after"')
        return kind, days

    def dose(self, inherited: Part | None) -> tuple[Fraction, str, str]:
        first = self.token
        is_number = first.kind == "number" or first.text in ("-", "−") or first.word in NOT_FINITE
        if not is_number:
            if inherited is not None:
                return inherited.amount, inherited.unit, inherited.per
            self.unexpected(
                "a dose with its unit, such as 1 MIU or 0.26 MIU/m2", what="a course begins with its dose"
            )
        amount = self.number("a dose")
        unit, per = self.unit()
        with self.at(first, self.tokens[self.i - 1]):
            check_amount(amount, unit)
        return amount, unit, per

    def number(self, what: str) -> Fraction:
        token = self.token
        if token.text in ("-", "−") and self.peek().kind in ("number", "word"):
            self.fail(f"{what} cannot be negative", token, self.peek())
        if token.word in NOT_FINITE:
            self.fail(f"{what} must be a finite number", token)
        if token.word in NUMBER_WORDS:
            return Fraction(NUMBER_WORDS[self.take().word])
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
            return exact_number(token.text, what)

    def unit(self) -> tuple[str, str]:
        first = self.token
        unit = self.international()
        if not unit and (
            first.kind != "word" or (first.text not in DOSE_UNITS and first.text not in DOSE_UNIT_SPELLINGS)
        ):
            if first.text == "," and self.peek().kind == "number":
                self.fail("numbers have no comma", first, self.peek(), 'write the decimal point as "."')
            if first.text == "mIU":
                self.fail('"mIU" reads as a thousandth of an IU', first, hint='a million IU is "MIU"')
            hint = f"{_asked_unit(first)} here can stand: {DOSE_UNITS_SHOWN}, each with or without /m2 or /kg"
            found = "the schedule ends" if first.kind == "end" else f"{self.shown(first)} stands"
            self.fail(f"a dose needs a unit, but {found} here", first, hint=hint.lstrip())
        if not unit:
            unit = DOSE_UNIT_SPELLINGS.get(first.text, first.text)
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

    def international(self) -> str:
        """`million IU`, `international units`: the unit that is meant, "" where none of them stands here."""
        first = self.token
        if first.word not in MULTIPLES and first.word != "international":
            return ""
        size = MULTIPLES.get(first.word, 1)
        if size > 1:
            self.take()
        if self.token.word == "international":
            self.take()
            if not self.accept("units", "unit"):
                self.unexpected("units", ("units",))
        elif self.token.text == "IU":
            self.take()
        else:
            self.unexpected("IU, international units", what=f"a {first.word} of what is not said")
        return INTERNATIONAL[size]

    def route(self, inherited: Part | None) -> tuple[str, bool]:
        """The route and whether it stands here."""
        token = self.token
        reserved = token.word in RESERVED or Q_PATTERN.fullmatch(token.text) is not None
        if token.kind == "word" and not reserved:
            after = self.peek()
            follows = self.starts_timing(1) or after.word in ("over", "bolus", *START_WORDS)
            slip = close_names(token.text, LONG_TIMING_WORDS)
            if not follows and slip and token.word not in COMMON_ROUTES:
                # `1 MIU dayly x5`, `then weeky x7`: this could be a route, but not before what follows.
                self.unexpected(f"a route, such as sc or iv; {TIMING_SHOWN}", LONG_TIMING_WORDS)
            self.take()
            with self.at(token):
                return check_route(token.text), True
        if inherited is None:
            self.unexpected(
                "a route of the model, such as sc or iv", COMMON_ROUTES, what="the route is missing"
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
            check_interval(days, "an infusion")
        return days

    def timing(self) -> tuple[tuple[Fraction, ...], Fraction | None, int]:
        """Offsets, period and count of the innermost course."""
        if self.token.word == "once" and not self.starts_frequency(self.peek()):
            self.take()
            return AT_START, None, 1
        if self.accept("at"):
            offsets = self.times()
            return offsets, None, len(offsets)
        if not self.at_interval():
            self.no_timing()
        interval = self.interval()
        return interval.offsets, interval.period, self.count(interval)

    def no_timing(self) -> NoReturn:
        """Fail where a timing is missing, with the right words for what people write there."""
        if self.token.word == "for":
            self.fail(
                "it should say how often the dose is given",
                self.token,
                hint='write for instance "daily for 5 days", "every other day for 2 weeks"',
            )
        if self.token.word in ("on", "day", "days"):
            self.fail(
                f"{self.shown(self.token)} cannot stand here; it should say when the dose is given",
                self.token,
                hint='the first five days of every 28 are written "daily x5 every 28 d x6", single days '
                '"at 0, 3, 7 d", counted from 0',
            )
        self.unexpected(TIMING_SHOWN, LONG_TIMING_WORDS, what="it should say when the dose is given")

    def times(self) -> tuple[Fraction, ...]:
        """`0, 24, 48 h`: a number without a unit has that of the next number with one."""
        times: list[Fraction] = []
        pending: list[tuple[Fraction, ScheduleToken]] = []
        while True:
            token = self.token
            pending.append((self.number("a time"), token))
            if self.token.kind == "word" and (self.token.word in TIME_WORDS or self.token.text != ","):
                unit = self.time_unit("; or a comma and another time")
                for number, where in pending:
                    days = number * unit
                    with self.at(where):
                        check_start(days)
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
                f"{TIMES_SHOWN}; or a comma and another time",
                TIME_WORDS,
                what="the unit of the times is missing",
            )
        check_n_doses(len(times))
        return tuple(times)

    def starts_timing(self, ahead: int = 0) -> bool:
        """Whether a timing begins ``ahead`` tokens from here."""
        token = self.peek(ahead)
        if token.kind == "number":
            return self.peek(ahead + 1).word == "times"
        return token.kind == "word" and (
            token.word in TIMING_WORDS or Q_PATTERN.fullmatch(token.text) is not None
        )

    def at_interval(self) -> bool:
        """Whether an interval begins here (`once` does when a frequency follows it)."""
        if self.token.word == "once":
            return self.starts_frequency(self.peek())
        return self.token.word != "at" and self.starts_timing()

    @staticmethod
    def starts_frequency(token: ScheduleToken) -> bool:
        return token.word in ("daily", "weekly", "a", "an", "per")

    def interval(self) -> _Interval:
        first = self.take()
        word = first.word
        quick = Q_PATTERN.fullmatch(first.text)
        if quick:
            days = int(quick[1]) * TIME_UNITS[{"h": "h", "d": "d", "w": "week"}[quick[2].lower()]]
            with self.at(first):
                check_interval(days, "an interval")
            return _Interval(days)
        if word in NO_ONE_LENGTH:
            why, hint = NO_ONE_LENGTH[word]
            self.fail(f'"{first.text}" {why}', first, hint=hint)
        if word in LATIN_DAILY:
            return _Interval(Fraction(1, LATIN_DAILY[word]))
        if word in _INTERVAL_WORDS:
            return _Interval(_INTERVAL_WORDS[word])
        if word in ("every", "each"):
            return _Interval(self.every())
        if word in ("once", "twice", "thrice"):
            n = {"once": 1, "twice": 2, "thrice": 3}[word]
        else:
            with self.at(first):
                exact = exact_number(NUMBER_WORDS.get(word, first.text), "a number of times")
                if exact.denominator != 1 or not 1 <= exact <= 1440:
                    raise ScheduleError("a number of times must be a whole number, at least 1")
            n = int(exact)
            if not self.accept("times", "time"):
                self.unexpected("times", ("times",))
        return self.frequency(n, first)

    def every(self) -> Fraction:
        counted = self.token.word in NOT_FINITE or self.token.word in NUMBER_WORDS
        if self.token.kind == "number" or self.token.text in ("-", "−") or counted:
            token = self.token
            days = self.time("an interval such as 3 d")
        else:
            token = self.token
            n = ORDINALS.get(self.token.word, 0)
            if n:
                self.take()
            days = (n or 1) * self.time_unit(", other, second, third", ("other", "second", "third"))
        with self.at(token, self.tokens[self.i - 1]):
            check_interval(days, "an interval")
        return days

    def frequency(self, n: int, first: ScheduleToken) -> _Interval:
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
            return _Interval(TIME_UNITS[TIME_WORDS[word]] / n)
        if n not in WEEK_PATTERNS:
            self.fail(
                f"{n} times a week does not say on which days",
                first,
                self.tokens[self.i - 1],
                "write the days: at 0, 1, 3, 5 d every 7 d xN",
            )
        return _Interval(Fraction(7), tuple(Fraction(day) for day in WEEK_PATTERNS[n]))

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
            self.token.word in TIME_WORDS or self.token.word.startswith(("month", "year"))
        ):
            end = number * self.time_unit()
            with self.at(opening, self.tokens[self.i - 1]):
                check_interval(end, "a time of treatment")
                n = interval.n_before(end)
                if course is not None and (n - 1) * interval.period + course >= end:
                    raise ScheduleError(
                        f"{time_text(end)} would cut the last course in two: write x{n} or "
                        + (f"x{n - 1}" if n > 1 else "a longer time")
                    )
                check_n_doses(n)
            return n
        if opening.word == "for" and self.token.word not in COUNTED_WORDS:
            self.unexpected(
                f"{TIMES_SHOWN}, doses, cycles", TIME_WORDS, what="the unit of the time is missing"
            )
        if self.token.word in COUNTED_WORDS and not self.starts_frequency(self.peek()):
            self.take()
        with self.at(opening, token):
            if number.denominator != 1 or number < 1:
                raise ScheduleError(f"the number of {noun} must be a whole number, at least 1")
            check_n_doses(int(number))
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
                hint=f"write the time in {TIMES_SHOWN}, for instance 28 d or 26 weeks",
            )
        if self.token.kind != "word" or word not in TIME_WORDS:
            self.unexpected(
                TIMES_SHOWN + also,
                [*TIME_WORDS, *words],
                what="a unit of time is missing" if not words else "",
            )
        return TIME_UNITS[TIME_WORDS[self.take().word]]
