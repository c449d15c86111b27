"""What is asked: a schedule with one or two "?" in it, the values that may stand there, and which end is
wanted, "the smallest dose with ...". Nothing of the text is evaluated."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from pkpd.core.errors import InputError, ScheduleError, located
from pkpd.decision.criteria import Criteria
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.optimisation.space import read_values
from pkpd.decision.wishes import Constraint, parse_constraints
from pkpd.dosing import Schedule
from pkpd.dosing.parts import Part
from pkpd.dosing.quantities import (
    DOSE_UNITS,
    TIME_UNITS,
    TIME_WORDS,
    decimal_text,
    exact_number,
    split_unit,
    with_size,
)
from pkpd.dosing.rules import Plan, plan_as_taken, read_plan
from pkpd.dosing.taking import CHANGES, read_jitter

FILE = "schedule"  # the name that errors give to its text
NAMES = ("dose", "interval", "days", "cycles")
EXAMPLE = '"? mg oral daily x5 every 28 d x6", "1 mg oral daily x5 every ? d x6"'
DIGITS = 3  # significant ones, in which a dose is looked for
_PROBES = (1, 2, 3, 5, 8, 15, 40, 100, 400)
_USUAL = {"interval": "7 to 56 d", "days": "1 to 14", "cycles": "1 to 12"}
_COARSE = {"interval": "7 to 56 d by 7", "days": "1, 2, 3, 5, 7, 10, 14", "cycles": "1 to 6"}
MOST_ROWS = 8  # of a boundary whose values nobody lists

_SMALL = ("smallest", "lowest", "least", "minimum", "minimal", "shortest", "fewest")
_LARGE = ("largest", "highest", "greatest", "maximum", "maximal", "longest", "most", "biggest")
_ENDS = "|".join((*_SMALL, *_LARGE))
_NOUNS = {
    "dose": "dose",
    "interval": "interval",
    "days": "days",
    "doses": "days",
    "number of days": "days",
    "number of doses": "days",
    "injections": "days",
    "cycles": "cycles",
    "number of cycles": "cycles",
}
_QUESTION = re.compile(
    rf"\s*(?:(?:what|which)\s+(?:is\s+)?(?:the\s+)?(?:(?P<end>{_ENDS})\s+)?|(?:the\s+)?(?P<only>{_ENDS})\s+)"
    rf"(?P<noun>{'|'.join(sorted(_NOUNS, key=len, reverse=True))})\s+"
    r"(?:with|whose|in\s+which|at\s+which|for\s+which|that|which|where|so\s+that|such\s+that)?\s*"
    r"(?:(?P<keeps>keeps?)|has|have|holds?|leaves?|gives?|reach(?:es)?)?(?!\w)\s*(?:the\s+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Unknown:
    """What a "?" stands for: ``name`` is "dose", "interval", "days" (doses of a course) or "cycles";
    unit : "mg/m2", "d", "" for a number; values : that may stand there, ascending and exact."""

    name: str
    unit: str
    values: tuple[Fraction, ...]

    def shown(self, value: float | Fraction) -> str:
        """A value for people: "1.24 mg", "28 d", "5 doses"."""
        noun = {"days": "doses", "cycles": "cycles"}.get(self.name, "")
        number = f"{float(value):.4g}" if self.name == "dose" else f"{float(value):g}"
        return f"{number} {self.unit or (noun if number != '1' else noun.removesuffix('s'))}".strip()

    @property
    def called(self) -> str:
        """ "dose (mg)", "days (doses)"."""
        unit = self.unit or {"days": "doses of a course"}.get(self.name, "")
        return f"{self.name} ({unit})" if unit else self.name

    def words(self, end: str) -> str:
        """ "smallest dose", "longest interval", "fewest days"."""
        words = ("smallest", "largest")
        if self.name == "interval" or (self.name == "days" and self.unit):
            words = ("shortest", "longest")
        if self.name == "days" and self.unit:
            return f"{words[end == 'largest']} course"
        noun = {"days": "number of doses in a course", "cycles": "number of cycles"}.get(self.name, self.name)
        return f"{words[end == 'largest']} {noun}"


@dataclass(frozen=True)
class OpenSchedule:
    """A schedule with a "?" or two: its text, and of each the name and unit of what stands there. Behind a
    ";" may stand how its doses are taken (`pkpd.dosing.taking`), or rules (`pkpd.dosing.rules`). adherence,
    jitter (days) : of all that is made of it, where the text says none of its own."""

    text: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    adherence: Fraction = Fraction(1)
    jitter: Fraction = Fraction(0)

    @classmethod
    def parse(cls, text: str) -> OpenSchedule:
        """Read it. Raises ``InputError`` (``ScheduleError``) with the place."""
        places = [match.start() for match in re.finditer(r"\?", text)]
        pattern = text.partition(";")[0]
        if not 1 <= len(places) <= 2:
            raise InputError(
                f'the schedule "{text[:80]}" has {len(places) or "no"} "?"; one or two stand for what is '
                f"looked for: {EXAMPLE}"
            )
        for place in places:
            if re.match(r"[\w.]", text[place - 1 : place]) and text[place - 1 : place].lower() != "x":
                raise _at(text, place, 'before a "?" stands a blank or an x')
            if re.match(r"[\d.]", text[place + 1 : place + 2]):
                raise _at(text, place, 'after a "?" stands no digit')
            if place > len(pattern):
                raise _at(text, place, 'a "?" stands before the first ";", for a part of the schedule itself')
        found = [_kind(pattern, place, i, len(places)) for i, place in enumerate(places)]
        names, units = zip(*found, strict=True)
        if len(set(names)) < len(names):
            raise _at(text, places[1], f"both are {names[0]}; write one of them as a number")
        return cls(text, names, units)

    def taken(self, adherence: float, jitter: str | None) -> OpenSchedule:
        """The same, taken with this adherence and jitter ("2 h") where it says none of its own."""
        share = exact_number(adherence, "the adherence")
        return replace(self, adherence=share, jitter=read_jitter(jitter))

    def schedule(self, values: Sequence[Fraction]) -> Plan:
        """With values in place of each "?". Raises ``ScheduleError`` where that is no schedule."""
        filled = _filled(self.text, [str(decimal_text(Fraction(value))) for value in values])
        return plan_as_taken(read_plan(filled, FILE), self.adherence, self.jitter)

    @property
    def said(self) -> str:
        """Its text, with the adherence and jitter that it is taken with."""
        if self.adherence == 1 and not self.jitter:
            return self.text
        pattern, *clauses = self.text.split(";")
        own = [clause for clause in clauses if clause.split()[0].lower() not in CHANGES]
        planned = read_plan("; ".join(["1 mg oral once", *own]))
        taken = str(plan_as_taken(planned, self.adherence, self.jitter)).split(";")[1:]
        kept = [clause for clause in clauses if clause not in own]
        return ";".join([pattern, *kept, *taken])


def _at(text: str, place: int, message: str, hint: str = f"write {EXAMPLE}") -> InputError:
    return located(InputError, message, shown=text, file=FILE, line=1, column=place + 1, hint=hint)


def _filled(text: str, values: Sequence[str]) -> str:
    pieces = text.split("?")
    return pieces[0] + "".join(value + piece for value, piece in zip(values, pieces[1:], strict=True))


def _with(pattern: str, values: Sequence[str]) -> Schedule:
    return Schedule.parse(_filled(pattern, values), FILE)


def _kind(text: str, place: int, number: int, of: int) -> tuple[str, str]:
    """Name and unit of what a "?" stands for: by what changes in the schedule with it."""
    error: ScheduleError | None = None
    for others in itertools.product(_PROBES, repeat=of - 1):
        read: list[Schedule] = []
        for probe in _PROBES:
            values = [str(value) for value in others]
            values.insert(number, str(probe))
            try:
                read.append(_with(text, values))
            except ScheduleError as wrong:
                error = error or wrong
        for one, other in itertools.pairwise(read):
            if name := _changed(text, place, one.parts, other.parts):
                return name, _unit(text, place, name, other.parts)
    assert error is not None
    filled = text.replace("?", str(_PROBES[0]))
    raise ScheduleError(str(error).replace(filled, text))


def _changed(text: str, place: int, one: Sequence[Part], other: Sequence[Part]) -> str:
    for before, after in zip(one, other, strict=False):
        if before.amount != after.amount:
            return "dose"
        if before.duration != after.duration or (before.start, before.after) != (after.start, after.after):
            break
        if before.offsets != after.offsets and before.period is None:
            break
        if before.period != after.period:
            return "interval"
        if [interval for interval, _ in before.cycles] != [interval for interval, _ in after.cycles]:
            return "interval" if len(before.cycles) == len(after.cycles) else "cycles"
        if before.count != after.count:
            return "days"
        if before.cycles != after.cycles:
            return "cycles"
    else:
        return ""
    raise _at(text, place, "a dose, an interval and a number of doses or cycles can be looked for, not this")


def _unit(text: str, place: int, name: str, parts: Sequence[Part]) -> str:
    if name == "dose":
        index = min(text[:place].count(" then ") + text[:place].count(" and "), len(parts) - 1)
        return with_size(parts[index].unit, parts[index].per)
    word = re.match(r"\s*([A-Za-z]+)", text[place + 1 :])
    return TIME_WORDS.get(word[1].lower(), "") if word else ""


def unknown(name: str, unit: str, said: str | None, criteria: Criteria, *, coarse: bool = False) -> Unknown:
    """An unknown with the values that are said, ``"0.25 to 3 mg"``, or the usual ones.

    coarse : a handful of them. Raises ``InputError`` for values in another unit, or where nobody says which.
    """
    usual = _COARSE if coarse else _USUAL
    if said is None and name == "dose":
        said = _ends_of(criteria.dose, unit)
    elif said is None and unit in ("", "d", "week"):
        said = usual[name] if name != "days" or unit != "week" else "1 to 26"
    if said is None:
        example = "5 to 50" if name == "dose" else "4 to 48"
        raise InputError(
            f'which {name} may it be? Say from where to where: --{name} "{example} {unit}" '
            f'(in Python {name}="{example} {unit}")'
        )
    values, written = read_values(said, name, DIGITS)
    if written and written != unit:
        values = tuple(value * _ratio(written, unit, name, said) for value in values)
    if coarse and len(values) > 2 * MOST_ROWS:
        values = tuple(values[round(i * (len(values) - 1) / (MOST_ROWS - 1))] for i in range(MOST_ROWS))
    if name in ("days", "cycles") and not unit and any(value.denominator != 1 for value in values):
        raise InputError(f'{name} "{said}": these are whole numbers')
    return Unknown(name, unit, values)


def _ends_of(doses: str, unit: str) -> str | None:
    """From the least to the most of the doses that a search usually looks at, where they are in that unit."""
    if not doses:
        return None
    values, written = read_values(doses, "dose")
    here, there = split_unit(written), split_unit(unit)
    if here[1] != there[1] or DOSE_UNITS[here[0]][0] != DOSE_UNITS[there[0]][0]:
        return None
    return f"{decimal_text(values[0])} to {decimal_text(values[-1])} {written}"


def _ratio(written: str, unit: str, name: str, said: str) -> Fraction:
    """How many ``unit`` one ``written`` is."""
    wrong = InputError(f'{name} "{said}": the schedule has {f"it in {unit}" if unit else "a plain number"}')
    if name == "dose":
        (here, size), (there, other) = split_unit(written), split_unit(unit)
        if size != other or DOSE_UNITS[here][0] != DOSE_UNITS[there][0]:
            raise wrong
        return DOSE_UNITS[here][1] / DOSE_UNITS[there][1]
    if not unit and written in (name, *(("doses", "d") if name == "days" else ())):
        return Fraction(1)
    if written.lower() not in TIME_WORDS or not unit:
        raise wrong
    return TIME_UNITS[TIME_WORDS[written.lower()]] / TIME_UNITS[unit]


def read_question(
    texts: str | Sequence[str], endpoints: Sequence[Endpoint], criteria: Criteria, name: str
) -> tuple[tuple[Constraint, ...], str]:
    """Constraints, and which end of the unknown is asked for: "smallest", "largest", or "" where nobody says.

    Raises ``InputError`` with the place for what cannot be read, and where another unknown is asked for than
    the schedule has.
    """
    several = [texts] if isinstance(texts, str) else list(texts)
    end, rest = "", []
    for said in several:
        text = said
        if found := _QUESTION.match(text):
            noun = _NOUNS[" ".join(found["noun"].lower().split())]
            if noun != name:
                raise InputError(
                    f'"{said[:80]}" asks for the {found["noun"]}, and the "?" of the schedule is its {name}'
                )
            if word := found["end"] or found["only"]:
                end = "smallest" if word.lower() in _SMALL else "largest"
            asked = found.start("keeps") if found["keeps"] else found.end()
            text = (" " * asked + text[asked:]).rstrip("? ")
        rest.append(text)
    if not rest:
        raise InputError('what must be met? Write for instance "Cmax at least 8"')
    try:
        return parse_constraints(rest, endpoints, criteria), end
    except InputError as error:
        sentence = str(error)
        for text, said in zip(rest, several, strict=True):
            sentence = sentence.replace(text, said)
        raise type(error)(sentence) from None
