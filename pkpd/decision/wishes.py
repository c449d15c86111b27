"""What is wanted of a schedule, read from text into data: constraints, "platelet mean fold > 0.5", and
objectives, "platelet mean fold".

    constraints := constraint { ("," | ";" | "and") constraint }
    constraint  := [whom] asked [whom]
    asked       := endpoint relation value                             platelet mean fold >= 0.5
                 | noun ["trough" ...] relation fold [when]            platelets at least 50 % of baseline;
                                                                       leucocytes under twice baseline
                 | relation number ("injections" | "doses" | dose unit) ["a month" | "in all"]
    when        := "on average" | "at its peak" | "at trough" | "at all times"
    whom        := "in" (number "%" | number "of" number | "half") "of people" | "in the median patient"
    relation    := ">=" | "at least" | ">" | "more than" | "above" | "<=" | "at most" | "<" | "less than" |
                "under" ... | "stays" relation | "never" relation
    fold        := number | "+50 %" | "-20 %" | "20 % below baseline" | "150 % of baseline" | "twice baseline"
                | "50 % higher" | "1.5 x" | "baseline"
    objectives  := ["max" | "min"] endpoint { "," ... }

A noun is what there is a "mean fold", a "peak fold" or a "trough fold" of, or stands for one in the criteria;
without "at its peak" or "at trough" it is meant on average over the treatment. What "stays" (is "kept") under
something, is so "at all times" or "never" above it is meant at its peak, and what stays above something at
trough. What is asked of an endpoint relative to baseline, "platelet trough at least +50 %", is asked of its
fold where there is one. Where nobody says in how many people, the median subject is meant. A month has 28
days. Nothing of the text is evaluated.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError, located
from pkpd.core.names import listed, question_or_list
from pkpd.decision.criteria import Criteria
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.endpoints.endpoint import ONE_DOSE
from pkpd.dosing.words import NUMBER_WORDS

Floats = NDArray[np.float64]

_RELATIONS = {
    ">=": (
        ">=",
        "≥",
        "=>",
        "at least",
        "no less than",
        "not less than",
        "not below",
        "not under",
        "no fewer than",
    ),
    "<=": ("<=", "≤", "=<", "at most", "no more than", "not more than", "not above", "not over", "up to"),
    ">": (">", "more than", "greater than", "higher than", "above", "over"),
    "<": ("<", "less than", "fewer than", "lower than", "below", "under"),
}
_RELATION_OF = {words: relation for relation, several in _RELATIONS.items() for words in several}
RELATION_SHOWN = ">=, >, <=, <, at least, more than, at most, under"
_ITS = r"(?:(?:its|their|the)\s+)?"
_WHEN = {
    "mean": r"on\s+average|in\s+the\s+mean",
    "peak": rf"at\s+{_ITS}(?:peak|highest)",
    "trough": rf"at\s+{_ITS}trough|(?:just\s+)?before\s+the\s+(?:next|last)\s+cycle",
}
_STEADY = (
    r"(?:(?:must|should|shall|is|are|be)\s+)*(?P<steady>stay(?:s|ing)?|remain(?:s|ing)?|always|never"
    r"|at\s+all\s+times)"
    r"(?:\s+(?:stays?|remains?|is|are|be))?(?!\w)"
)
_AT_ALL_TIMES = r"at\s+all\s+times|all\s+the\s+time|always|throughout(?:\s+(?:the\s+)?treatment)?"
_OTHERWISE = {">=": "<", ">": "<=", "<=": ">", "<": ">="}
_ADJECTIVES = {"average": "mean", "highest": "peak"} | {name: name for name in _WHEN}
_PEOPLE = r"(?:people|persons?|patients?|subjects?|individuals?|participants?)"
_SHARE = re.compile(
    rf"\b(?:in|for|among)\s+(?:at\s+least\s+)?(?:"
    rf"(?P<percent>\d+(?:\.\d+)?)\s*(?:%|percent)\s*(?:of\s+)?(?:the\s+|all\s+)?{_PEOPLE}"
    rf"|(?P<part>\w+)\s+(?:out\s+)?of\s+(?P<whole>\d+|ten|twelve|four|five)\s+{_PEOPLE}"
    rf"|(?P<half>half)\s+(?:of\s+)?(?:the\s+)?{_PEOPLE}"
    rf"|(?:the\s+)?(?P<median>median|typical)\s+{_PEOPLE}"
    rf"|(?P<all>all|every|each|most|many)\s+(?:of\s+)?(?:the\s+)?{_PEOPLE}|(?P<everybody>everybody|everyone))"
    r"(?!\w)",
    re.IGNORECASE,
)
_MONTH = r"(?:a|per|each|every|in)\s+month|(?:per|in|every)\s+(?:28\s*d(?:ays)?|(?:4|four)\s+weeks)"
_IN_ALL = r"in\s+all|in\s+total|altogether"
_NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?"
_TIMES = {
    "half": 0.5,
    "halved": 0.5,
    "twice": 2.0,
    "double": 2.0,
    "doubled": 2.0,
    "thrice": 3.0,
    "triple": 3.0,
    "tripled": 3.0,
}
_BASELINE = r"(?:\s+(?:of\s+)?(?:the\s+)?baseline\b)?"
_SIDES = {"above": 1, "over": 1, "higher": 1, "more": 1, "below": -1, "under": -1, "lower": -1, "less": -1}
_RELATIVE = (
    rf"[+-]\s*[\d.]+\s*%|{_NUMBER}\s*(?:%|percent)\s*"
    rf"(?:(?:of|above|over|below|under)\s+(?:the\s+)?baseline|higher|lower|more|less)\b"
    rf"|(?:{'|'.join(_TIMES)})\b|(?:{_NUMBER}|{'|'.join(NUMBER_WORDS)})[\s-]*(?:fold\b|times\b|x\b|×)|baseline\b"
)
"""What is set against baseline: +50 %, 80 % of baseline, 50 % higher, twice, 1.5-fold."""
_CHANGES = {
    +1: (r"increases?|increased|rises?|grows?|(?:go(?:es)?\s+)?up|higher", "increase|raise"),
    -1: (r"decreases?|decreased|falls?|drops?|(?:go(?:es)?\s+)?down|lower", "decrease|lower|reduce"),
}
"""How people say that something changes, or should be changed, for a hint."""


@dataclass(frozen=True)
class Constraint:
    """``endpoint`` ``relation`` ``value``, in the endpoint's unit; relation is >=, >, <= or <; share : of the
    people in whom it must hold, None for the median subject. ``str`` writes what ``parse_constraints``
    reads."""

    endpoint: Endpoint
    relation: str
    value: float
    share: float | None = None

    def __str__(self) -> str:
        unit = "" if self.endpoint.unit == "1" else f" {self.endpoint.unit}"
        whom = "" if self.share is None else f" in {float(f'{100 * self.share:.9g}'):g} % of people"
        return f"{self.endpoint.name} {self.relation} {plain_number(self.value)}{unit}{whom}"

    def holds(self, values: Floats) -> NDArray[np.bool_]:
        """Where it holds; nowhere where there is no value (nan)."""
        match self.relation:
            case ">=":
                return values >= self.value
            case ">":
                return values > self.value
            case "<=":
                return values <= self.value
            case _:
                return values < self.value

    def violation(self, values: Floats, confidence: float) -> float:
        """0 where it holds with at least that probability over the values, (n,); else how far it is from
        that, as a share of the bound.

        1e9 where too many have no value.
        """
        if self.probability(values) >= confidence - 1e-12:
            return 0.0
        sign = 1.0 if self.relation in ("<=", "<") else -1.0
        ordered = np.sort(np.where(np.isnan(values), math.inf, sign * values))
        reached = ordered[max(0, math.ceil(confidence * len(values) - 1e-9) - 1)]
        beyond = float(reached - sign * self.value) / (abs(self.value) or 1.0)
        # a strict bound can be missed by nothing
        return min(max(beyond, 1e-9), 1e9)

    def probability(self, values: Floats) -> float:
        """The share of the values for which it holds."""
        return float(np.mean(self.holds(values)))


@dataclass(frozen=True)
class Goal:
    """An endpoint of which as much (sign +1) or as little (-1) as possible is wanted."""

    endpoint: Endpoint
    sign: int

    def __str__(self) -> str:
        return f"{'max' if self.sign > 0 else 'min'} {self.endpoint.name}"


def parse_constraints(
    texts: str | Sequence[str], endpoints: Sequence[Endpoint], criteria: Criteria
) -> tuple[Constraint, ...]:
    """Read constraints, each text one or several, on these endpoints; what is said twice is kept once.

    criteria : which of them are folds of baseline, and what people may call them.

    Raises:
        InputError: with the place, what was found, and what would be right.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    found = []
    for number, text in enumerate(texts, start=1):
        name = f"constraint {number}" if len(texts) > 1 else "constraint"
        found += [
            _Clause(text, name, start, end, endpoints, criteria).read() for start, end in _clauses(text)
        ]
        if not text.strip():
            raise InputError(f"{name} is empty; write for instance {_example(endpoints[0], criteria)}")
    return tuple(dict.fromkeys(found))


def parse_objectives(texts: str | Sequence[str], endpoints: Sequence[Endpoint]) -> tuple[Goal, ...]:
    """Read two or three objectives: names of endpoints, with "max" or "min" before those that nobody wants
    more or less of.

    Raises:
        InputError: another number of them, an unknown endpoint, one twice, or one without a direction.
    """
    names = texts.split(",") if isinstance(texts, str) else list(texts)
    found: list[Goal] = []
    known = {endpoint.name.lower(): endpoint for endpoint in endpoints}
    for text in names:
        words = re.fullmatch(r"\s*(?:(max|min)(?:imi[sz]e)?\s+)?(.*?)\s*", text, re.IGNORECASE | re.DOTALL)
        assert words is not None  # matches anything
        direction, name = words[1], re.sub(r"\s+", " ", words[2])
        if name.lower() not in known:
            raise InputError(f'objective "{name}": {_unknown(name, endpoints)}')
        endpoint = known[name.lower()]
        sign = {"max": 1, "min": -1}[direction.lower()] if direction else endpoint.better
        if not sign:
            raise InputError(
                f'objective "{name}": say "max {name}" or "min {name}", for neither is better by itself'
            )
        if any(endpoint == objective.endpoint for objective in found):
            raise InputError(f'objective "{name}" is there twice')
        found.append(Goal(endpoint, sign))
    if not 2 <= len(found) <= 3:
        raise InputError(
            f"a front has two or three objectives, not {len(found)}; what must only be good enough "
            "is a constraint"
        )
    return tuple(found)


def plain_name(text: str) -> str:
    """The endpoint of an objective: "max Cmax" -> "Cmax"."""
    return re.sub(r"^\s*(?:max|min)(?:imi[sz]e)?\s+", "", text, flags=re.IGNORECASE).strip()


def plain_number(value: float) -> str:
    """The shortest text that is exactly this number: 8, 1.5."""
    return repr(float(value)).removesuffix(".0")


def _is_fold(endpoint: Endpoint, criteria: Criteria) -> bool:
    declared = criteria.declared(endpoint.name)
    return declared is not None and declared.against == "fold of baseline"


def _example(endpoint: Endpoint, criteria: Criteria) -> str:
    """What could be asked of an endpoint."""
    if _is_fold(endpoint, criteria):
        bound = ("<", "2") if endpoint.better < 0 else (">=", "1.5")
        return f'"{endpoint.name} {" ".join(bound)}", "+50 %" or "twice baseline"'
    unit = "" if endpoint.unit == "1" else f" {endpoint.unit}"
    return f'"{endpoint.name} < {"0.5" if criteria.risk(endpoint.name) else "8"}{unit}"'


def _unknown(name: str, endpoints: Sequence[Endpoint]) -> str:
    return f"there is no such endpoint; {question_or_list(name, [one.name for one in endpoints])}"


def _clauses(text: str) -> Iterator[tuple[int, int]]:
    """Where each constraint begins and ends."""
    start = 0
    for cut in [*re.finditer(r"[,;]|\band\b", text, re.IGNORECASE), None]:
        end = cut.start() if cut else len(text)
        piece = text[start:end]
        if piece.strip():
            yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        start = cut.end() if cut else end


class _Clause:
    """One constraint: characters ``start`` to ``end`` of a text."""

    def __init__(
        self, text: str, name: str, start: int, end: int, endpoints: Sequence[Endpoint], criteria: Criteria
    ) -> None:
        # typographic minus signs are one character as well, so that columns stay
        self.text = text.replace("−", "-").replace("–", "-")
        self.written, self.name, self.start, self.end, self.endpoints = text, name, start, end, endpoints
        self.criteria = criteria

    def read(self) -> Constraint:
        """The constraint, with the share of people in whom it is to hold."""
        share = self._take_share()
        return dataclasses.replace(self._asked(), share=share)

    def _take_share(self) -> float | None:
        """The share of people, whose words are blanks from then on."""
        found = _SHARE.search(self.text, self.start, self.end)
        if found is None:
            return None
        percent, part, whole = found["percent"], found["part"], found["whole"]
        if part is not None:
            top, bottom = (NUMBER_WORDS.get(word.lower(), word) for word in (part, whole))
            share = float(top) / float(bottom) if str(top).isdigit() else 0.0
        else:
            share = float(percent) / 100.0 if percent else 0.5
        if found["all"] or found["everybody"] or not 0.0 < share < 1.0:
            self._stop(
                f'"{found[0]}" is no share of people that can be counted in some hundreds of them',
                found.start(),
                'write for instance "in 95 % of people"',
                length=len(found[0]),
            )
        blank = " " * len(found[0])
        self.text = self.text[: found.start()] + blank + self.text[found.end() :]
        before = self.text[self.start : found.start()]
        if not before.strip():
            self.start = found.end()
        self.end = self.start + len(self.text[self.start : self.end].rstrip())
        return None if found["median"] else share

    def _asked(self) -> Constraint:
        kept = self._match(r"keep(?:s|ing)?(?!\w)", self.start)
        self.start = kept.end() if kept else self.start
        for endpoint in sorted(self.endpoints, key=lambda endpoint: -len(endpoint.name)):
            words = r"\s+".join(map(re.escape, endpoint.name.split()))
            if (found := self._match(words + r"(?![\w])", self.start)) is None:
                continue
            relation = self._relation(found.end())
            if relation is None:
                continue  # a name that only begins as this one: peak, peak fold
            if self._match(_RELATIVE, relation[1]) and not _is_fold(endpoint, self.criteria):
                endpoint = self._named(f"{endpoint.name} fold") or endpoint
            value, at = self._value(endpoint, relation[1])
            self._nothing_after(at)
            if _is_fold(endpoint, self.criteria):
                return Constraint(endpoint, self._towards(*relation), value)
            return Constraint(endpoint, relation[0], value)
        relation = self._relation(self.start)
        if relation is not None:
            return self._amount(*relation)
        return self._noun(lasting=kept is not None)

    # -- "at most 8 injections a month"

    def _amount(self, relation: str, at: int) -> Constraint:
        called = next((e.name for e in self.endpoints if e.name in ONE_DOSE), "doses")
        number = self._match(_NUMBER, at)
        if number is None:
            self._stop("here a number is missing", at, f'write for instance "at most 8 {called} a month"')
        noun = self._match(r"(injections?|doses)\b", number.end())
        unit = self._match(r"([A-Za-z]+)", number.end())
        if noun is None and (
            unit is None or unit[1] not in {e.unit for e in self.endpoints if "dose" in e.name}
        ):
            units = {e.unit for e in self.endpoints if e.name == "total dose"}
            self._stop(
                "of what?",
                number.end(),
                "after a number come "
                f'"{called}"{"".join(f" or {unit}" for unit in sorted(units))}, and "a month" or "in all"',
            )
        what = noun or unit
        assert what is not None
        monthly, in_all = self._match(_MONTH, what.end()), self._match(_IN_ALL, what.end())
        if monthly:
            name = f"{called} per 28 days" if noun else "dose per 28 days"
        elif in_all or noun:
            name = called if noun else "total dose"
        else:
            self._stop('here "a month" or "in all" is missing', what.end())
        endpoint = self._named(name)
        if endpoint is None:
            self._stop(f'there is no endpoint "{name}"', what.start())
        self._nothing_after((monthly or in_all or what).end())
        return Constraint(endpoint, relation, float(number[0]))

    # -- "platelets at least 50 % of baseline on average"

    def _noun(self, lasting: bool) -> Constraint:
        """lasting : whether it is said to be so at all times."""
        adjectives = "|".join(_ADJECTIVES)
        for noun, pattern in self._nouns():
            found = self._match(
                rf"(?:({adjectives})\s+)?(?:{pattern})(?:\s+(trough|peak|mean))?(?![\w])", self.start
            )
            if found is None:
                continue
            said = [_ADJECTIVES[word.lower()] for word in found.groups() if word]
            at = found.end()
            for when, words in _WHEN.items():
                if early := self._match(words, at):
                    said, at = [*said, when], early.end()
            relation = self._relation(at)
            if relation is None:
                break
            bound = self._towards(*relation)
            always = "peak" if bound in ("<", "<=") else "trough"
            usual = always if lasting or self._match(_STEADY, at) else "mean"
            some = self._named(f"{noun} mean fold") or self._fold(noun, usual, found.start())
            value, at = self._value(some, relation[1])
            for when, words in (*_WHEN.items(), (always, _AT_ALL_TIMES)):
                if after := self._match(words, at):
                    said.append(when)
                    at = after.end()
                    if len(set(said)) > 1:
                        self._stop("this says once more, and otherwise, what is meant", after.start())
            self._nothing_after(at)
            endpoint = self._fold(noun, said[0] if said else usual, found.start())
            return Constraint(endpoint, bound, value)
        for place in range(self.start, self.end):
            if (place == 0 or not self.text[place - 1].isalnum()) and self._relation(place):
                name = self.text[self.start : place].strip()
                self._stop_at_change(name, self.text[place : self.end])
                self._stop(f'"{name}": {_unknown(name, self.endpoints)}', self.start, length=len(name))
        if found := self._match(r"([+-]\s*[\d.]+\s*%)\s+(?:of\s+)?(\S.*)", self.start):
            words = found[2][: self.end - found.start(2)].strip()
            self._stop(
                "at least or at most?",
                found.start(),
                f'write for instance "{words} at least {found[1]}"',
                length=len(found[1]),
            )
        if found := self._match(r"(.+?)\s+between\s+(\S+)", self.start):
            self._stop(
                "two bounds are two constraints",
                found.start(),
                f'write "{found[1]} at least {found[2]}, {found[1]} at most ..."',
                length=len(found[0]),
            )
        if found := self._match(r"(.+?)\s*([+-]?\s*[\d.]+\s*(?:%|percent\b))", self.start):
            self._stop_at_change(found[1], found[2])
            self._stop(
                "at least or at most?",
                found.start(2),
                f'write for instance "{found[1]} at least {found[2]}"',
                length=len(found[2]),
            )
        self._stop("what is asked of it?", self.end, f"after an endpoint comes one of {RELATION_SHOWN}")
        raise AssertionError  # not reached: _stop raises

    def _stop_at_change(self, name: str, asked: str) -> None:
        """Stop if what stands before a relation is a change, "platelets fall by", of which a percentage is
        asked, or holds the percentage itself, "platelets 20 %"."""
        number = re.search(r"([\d.]+)\s*(?:%|percent\b)", asked)
        for sign, (verbs, orders) in _CHANGES.items():
            said = rf"(?P<what>.+?)\s+(?:{verbs})(?:\s+by)?|(?:{orders})\s+(?P<whom>.+?)\s+by"
            found = re.fullmatch(said, name, re.IGNORECASE)
            if found and number:
                bound, signed = ("at least", "+") if sign > 0 else ("at most", "-")
                self._stop(
                    "a change is asked for by its sign",
                    self.start,
                    f'write for instance "{found["what"] or found["whom"]} {bound} {signed}{number[1]} %"',
                    length=len(name),
                )
        if found := re.fullmatch(r"(.+?)\s+([\d.]+\s*(?:%|percent))", name):
            self._stop(
                "at least or at most?",
                self.start + found.start(2),
                f'write for instance "{found[1]} at least {found[2]} {asked.strip()}"',
                length=len(found[2]),
            )

    def _nouns(self) -> list[tuple[str, str]]:
        """Nouns and how they are written, longer ones first."""
        named = dict(self.criteria.nouns)
        for endpoint in self.endpoints:
            if found := re.fullmatch(r"(.+) (?:mean|peak|trough) fold", endpoint.name):
                named.setdefault(found[1], ())
        written = []
        for noun in sorted(named, key=len, reverse=True):
            words = sorted((noun, *named[noun]), key=len, reverse=True)
            any_of_them = "|".join(r"[\s-]+".join(map(re.escape, word.split())) for word in words)
            written.append((noun, rf"(?:the\s+)?(?:{any_of_them})s?(?:[\s-]cells?)?"))
        return written

    def _fold(self, noun: str, when: str, at: int) -> Endpoint:
        name = f"{noun} {when} fold"
        found = self._named(name)
        if found is None:
            own = [one.name for one in self.endpoints if one.name.lower().startswith(f"{noun.lower()} ")]
            self._stop(f'there is no endpoint "{name}"', at, listed(own or [e.name for e in self.endpoints]))
        return found

    def _named(self, name: str) -> Endpoint | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.name == name), None)

    # -- pieces

    def _match(self, pattern: str, at: int) -> re.Match[str] | None:
        """What stands at a place, blanks before it left out."""
        blanks = re.compile(r"\s*").match(self.text, at, self.end)
        assert blanks is not None  # matches nothing, too
        return re.compile(pattern, re.IGNORECASE).match(self.text, blanks.end(), self.end)

    def _relation(self, at: int) -> tuple[str, int] | None:
        steady = self._match(_STEADY, at)
        never = steady is not None and steady["steady"].lower() == "never"
        at = steady.end() if steady else at
        for words in sorted(_RELATION_OF, key=len, reverse=True):
            pattern = r"\s+".join(map(re.escape, words.split())) + (r"\b" if words[0].isalpha() else "")
            if found := self._match(rf"(?:(?:is|are|be)\s+)?{pattern}", at):
                relation = _RELATION_OF[words]
                return _OTHERWISE[relation] if never else relation, found.end()
        return None

    def _towards(self, relation: str, at: int) -> str:
        """The relation of a fold: at least 20 % below baseline is a fold of at most 0.8."""
        fewer = "|".join(word for word, side in _SIDES.items() if side < 0)
        if self._match(rf"{_NUMBER}\s*(?:%|percent)\s*(?:{fewer})\b", at):
            return {">=": "<=", ">": "<", "<=": ">=", "<": ">"}[relation]
        return relation

    def _value(self, endpoint: Endpoint, at: int) -> tuple[float, int]:
        """A value of the endpoint and where it ends."""
        if _is_fold(endpoint, self.criteria):
            return self._fold_value(endpoint, at)
        found = self._match(_NUMBER, at)
        if found is None:
            self._stop(
                "here a number is missing", at, f"write for instance {_example(endpoint, self.criteria)}"
            )
        value, at = float(found[0]), found.end()
        if endpoint.unit != "1" and (unit := self._match(re.escape(endpoint.unit) + r"(?![\w/*])", at)):
            return value, unit.end()
        if percent := self._match(r"%|percent\b", at):
            if endpoint.unit not in ("percent", "%") and self.criteria.risk(endpoint.name) is None:
                self._stop(
                    f'"{endpoint.name}" is not in percent',
                    percent.start(),
                    f"write for instance {_example(endpoint, self.criteria)}",
                )
            return (value if endpoint.unit != "1" else value / 100.0), percent.end()
        return value, at

    def _fold_value(self, endpoint: Endpoint, at: int) -> tuple[float, int]:
        if word := self._match(rf"({'|'.join(_TIMES)})\b{_BASELINE}", at):
            return _TIMES[word[1].lower()], word.end()
        if word := self._match(rf"({'|'.join(NUMBER_WORDS)})[\s-]*(?:times|fold)\b{_BASELINE}", at):
            return float(NUMBER_WORDS[word[1].lower()]), word.end()
        if word := self._match(r"baseline\b", at):
            return 1.0, word.end()
        number = self._match(_NUMBER, at)
        if number is None:
            self._stop(
                "here a number is missing", at, f"write for instance {_example(endpoint, self.criteria)}"
            )
        value = float(number[0])
        if percent := self._match(
            rf"(?:%|percent\b)\s*((?:of|{'|'.join(_SIDES)})\b)?(?:\s+than)?(?:\s+(?:the\s+)?baseline\b)?",
            number.end(),
        ):
            side, signed = (percent[1] or "").lower(), number[0][0] in "+-"
            if side == "of" and not signed:
                return value / 100.0, percent.end()
            turn = _SIDES.get(side, 0)
            if (signed and not side) or (turn and not signed):
                return 1.0 + (turn or 1) * value / 100.0, percent.end()
            self._stop(
                f'"{self.text[number.start() : percent.end()].strip()}" can be a rise or a share',
                number.start(),
                f"write +{number[0].lstrip('+-')} % for a rise over baseline, "
                f"{number[0].lstrip('+-')} % of baseline for a share",
                length=percent.end() - number.start(),
            )
        if number[0][0] in "+-":
            self._stop(
                "a fold is 0 or more",
                number.start(),
                f"write for instance {_example(endpoint, self.criteria)}",
            )
        if times := self._match(
            r"(?:-?\s*fold\b|x\b|×|times\b)?(?:\s*(?:of\s+)?(?:the\s+)?baseline\b)?", number.end()
        ):
            return value, max(times.end(), number.end()) if times[0] else number.end()
        return value, number.end()

    def _nothing_after(self, at: int) -> None:
        if rest := self.text[at : self.end].strip():
            hint = (
                'constraints are parted by ",", ";" or "and"; over the treatment they may be '
                'meant "on average", "at its peak", "at trough" or "at all times", and "in 90 % of people"'
            )
            self._stop(f'"{rest[:40]}" cannot be read here', at, hint, length=len(rest))

    def _stop(self, message: str, at: int, hint: str = "", length: int = 1) -> NoReturn:
        while at < self.end and self.text[at].isspace():
            at += 1
        lines = (self.written[:at] + "^").splitlines()
        raise located(
            InputError,
            message,
            shown=self.written.splitlines()[len(lines) - 1],
            file=self.name,
            line=len(lines),
            column=len(lines[-1]),
            length=length,
            hint=hint,
        )
