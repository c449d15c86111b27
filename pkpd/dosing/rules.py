"""Rules that change doses by the response, as data: a schedule, and what is done when an output of the model
is high or low.

    1 MIU sc daily x5 every 28 d x6; hold if nk > 2 x baseline
    0.26 MIU/m2 sc daily for 84 d; hold if treg_pct > 1.3 x baseline
    2 MIU sc weekly x26; stop if nk > 4 x baseline; reduce by 25 % if treg_pct > 15 %; look every 14 d
    1 MIU sc every 3 d for 90 d; reduce by 50 % down to 0.25 MIU if treg_pct > 2 x baseline; raise by 20 % up
    to 3 MIU if treg_pct < 1.2 x baseline

Grammar (that of the schedule is in `pkpd.dosing.language`):

    adaptive  := schedule ";" clause { ";" clause }
    clause    := rule | look
    rule      := action "if" output (">" | "<") threshold
    action    := "stop" | "hold" | "reduce" "by" number "%" ["down" "to" dose] | "raise" "by" number "%" "up"
              "to" dose
    threshold := number [unit] | number "x" "baseline"
    look      := "look" ("before each dose" | "before each cycle" | "every" time)

What the words mean:

- The rules are looked at before every dose but the first, or as ``look`` says: before the first dose of every
  cycle but the first (a cycle begins after a pause of more than three usual intervals), or every so often
  from the first dose to the last. What is compared is the model's own output just before the dose of that
  instant, without any error of measurement, known at once.
- A threshold is in a unit that converts into the output's, or, without one, in the output's own; ``x
  baseline`` is a multiple of the same subject's value without any drug.
- What is decided stands until the next look: ``hold`` leaves out the doses until then (they are not made up
  for); ``reduce`` and ``raise`` multiply the dose by 1 - p/100 and 1 + p/100 from then on, over and over if
  they apply again, never beyond "down to" and "up to"; after ``stop`` there is no dose any more.
- Of several rules that apply at a look one acts: stop before hold before reduce before raise, of two alike
  the one that is written first. A rule that could never act because another one always does before it is
  refused.

``AdaptiveSchedule.parse`` and ``str`` are inverses. Nothing of a rule is ever evaluated as code. A model, not
medical advice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pkpd.core import units
from pkpd.core.errors import ScheduleError
from pkpd.core.names import close_names, question
from pkpd.dosing.language import Parser, ScheduleToken
from pkpd.dosing.parts import Written
from pkpd.dosing.quantities import (
    DOSE_UNITS,
    AnyNumber,
    check_amount,
    check_interval,
    decimal_text,
    exact_number,
    split_unit,
    time_text,
    with_size,
)
from pkpd.dosing.schedule import Schedule
from pkpd.dosing.taking import TAKING_CLAUSES, TAKING_WORDS, TakenSchedule, with_taking

ACTIONS = ("stop", "hold", "reduce", "raise")
"""In the order in which they go before each other."""
LIMITS = {"reduce": "down to", "raise": "up to"}
BEFORE_EACH = ("dose", "cycle")
BASELINE = "x baseline"
MOST_RULES = 20
MOST_PERCENT = 1000
_SYNONYMS = {
    **dict.fromkeys(("skip", "pause", "omit", "withhold"), "hold"),
    **dict.fromkeys(("decrease", "lower"), "reduce"),
    **dict.fromkeys(("increase", "escalate"), "raise"),
    **dict.fromkeys(("end", "discontinue"), "stop"),
}
_OUTPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CLAUSES = (
    "stop if, hold if, reduce by N % if, raise by N % up to <dose> if, look before each "
    "cycle, look every <time>"
)


@dataclass(frozen=True)
class Limit:
    """The dose beyond which a rule does not go: ``Limit(3, "MIU")``, ``Limit("0.5", "MIU/m2")``."""

    amount: Fraction
    unit: str
    per: str = ""

    def __init__(self, amount: AnyNumber, unit: str, per: str = "") -> None:
        name, size = split_unit(unit, per)
        exact = exact_number(amount, "a dose")
        check_amount(exact, name)
        for key, value in (("amount", exact), ("unit", name), ("per", size)):
            object.__setattr__(self, key, value)

    def __str__(self) -> str:
        return f"{decimal_text(self.amount)} {with_size(self.unit, self.per)}"


@dataclass(frozen=True)
class Rule:
    """What is done when an output is above or below a threshold: ``Rule("reduce", "treg_pct", ">", 15, "%",
    percent=25)``.

    Attributes:
        action: "stop", "hold", "reduce" or "raise".
        output: an output of the model, by name.
        sign: ">" or "<".
        threshold: in ``unit``, or a multiple of the subject's baseline.
        unit: of the threshold; "" is the output's own, "x baseline" a multiple.
        percent: by which the dose is reduced or raised; None for "stop" and "hold".
        limit: the smallest dose after "reduce" (None: none), the largest after "raise".

    Raises:
        ScheduleError: what no rule can say.
    """

    action: str
    output: str
    sign: str
    threshold: Fraction
    unit: str = ""
    percent: Fraction | None = None
    limit: Limit | None = None

    def __init__(
        self,
        action: str,
        output: str,
        sign: str,
        threshold: AnyNumber,
        unit: str = "",
        percent: AnyNumber | None = None,
        limit: Limit | None = None,
    ) -> None:
        share = None if percent is None else exact_number(percent, "a percentage")
        _check_action(action, share, limit)
        if not isinstance(output, str) or not _OUTPUT.fullmatch(output):
            raise ScheduleError(f"an output is a name such as treg_pct, not {str(output)[:40]!r}")
        if sign not in (">", "<"):
            raise ScheduleError(f'a rule compares by ">" or "<", not by {str(sign)[:40]!r}')
        level = exact_number(threshold, "a threshold")
        if level < 0 or decimal_text(level) is None:
            raise ScheduleError("a threshold must be a decimal that is not negative")
        unit = " ".join(unit.split())
        if unit == BASELINE and level == 0:
            raise ScheduleError("a threshold of 0 x baseline is no threshold")
        if unit not in ("", BASELINE):
            problem = units.examine(unit)
            if isinstance(problem, units.UnitProblem):
                hint = f"; {problem.hint}" if problem.hint else ""
                raise ScheduleError(f'in the unit "{unit[:40]}": {problem.message}{hint}')
        for key, value in (
            ("action", action),
            ("output", output),
            ("sign", sign),
            ("threshold", level),
            ("unit", unit),
            ("percent", share),
            ("limit", limit),
        ):
            object.__setattr__(self, key, value)

    @property
    def condition(self) -> str:
        """ "nk > 2 x baseline"."""
        return f"{self.output} {self.sign} {decimal_text(self.threshold)} {self.unit}".rstrip()

    def __str__(self) -> str:
        words = self.action
        if self.percent is not None:
            words += f" by {decimal_text(self.percent)} %"
        if self.limit is not None:
            words += f" {LIMITS[self.action]} {self.limit}"
        return f"{words} if {self.condition}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; numbers as the decimals they are written as."""
        found: dict[str, Any] = {"action": self.action}
        if self.percent is not None:
            found["percent"] = decimal_text(self.percent)
        if self.limit is not None:
            found["limit"] = str(self.limit)
        return found | {
            "output": self.output,
            "sign": self.sign,
            "threshold": decimal_text(self.threshold),
            "unit": self.unit,
        }

    def before(self, other: Rule) -> bool:
        """Whether this rule acts, if it is written first, wherever the other one applies."""
        same = (self.output, self.sign, self.unit) == (other.output, other.sign, other.unit)
        wider = self.threshold <= other.threshold if self.sign == ">" else self.threshold >= other.threshold
        return same and wider


def _check_action(action: str, percent: Fraction | None, limit: Limit | None) -> None:
    if action not in ACTIONS:
        raise ScheduleError(f"a rule is one of {', '.join(ACTIONS)}, not {str(action)[:40]!r}")
    if action not in LIMITS:
        if percent is not None or limit is not None:
            raise ScheduleError(f'"{action}" goes without a percentage and a dose')
        return
    if percent is None:
        raise ScheduleError(f'"{action}" needs a percentage: {action} by 25 %')
    _check_percent(action, percent)
    if action == "raise" and limit is None:
        raise ScheduleError('"raise" needs the largest dose that is given: raise by 20 % up to 3 MIU')


def _check_percent(action: str, percent: Fraction) -> None:
    if decimal_text(percent) is None:
        raise ScheduleError(f"a percentage must be a decimal, not {str(percent)[:40]}")
    if action == "reduce" and not 0 < percent < 100:
        raise ScheduleError(
            f"a dose is reduced by more than 0 and less than 100 %, not by {decimal_text(percent)} "
            '%; not to give it is "hold"'
        )
    if action == "raise" and not 0 < percent <= MOST_PERCENT:
        raise ScheduleError(
            f"a dose is raised by more than 0 and at most {MOST_PERCENT} %, not by {decimal_text(percent)} %"
        )


@dataclass(frozen=True)
class AdaptiveSchedule:
    """A schedule as planned, and the rules by which its doses change; see the top of this file.

    It is no `Schedule`: which doses a subject is given is known only once they are simulated
    (`pkpd.decision.adaptive`).

    Attributes:
        schedule: the doses as planned.
        rules: in the order of writing.
        look: when the rules are looked at: "dose" or "cycle" (before each), or an interval in days.
        written: the text that it was read from, with the place of each rule; None where it was made
            otherwise.

    Raises:
        ScheduleError: rules for no dose, rules that contradict each other or that could never act.
    """

    schedule: Schedule
    rules: tuple[Rule, ...]
    look: str | Fraction = "dose"
    written: Written | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        if not self.schedule.parts:
            raise ScheduleError("without doses there is nothing that rules could change")
        if not self.rules:
            raise ScheduleError('there is no rule; write one such as "hold if nk > 2 x baseline"')
        if len(self.rules) > MOST_RULES:
            raise ScheduleError(f"{len(self.rules)} rules are too many; at most {MOST_RULES} are read")
        if isinstance(self.look, Fraction):
            check_interval(self.look, "the time between two looks")
        elif self.look not in BEFORE_EACH:
            raise ScheduleError(f'rules are looked at before each "dose" or "cycle", not {self.look!r}')
        for i, rule in enumerate(self.rules):
            self._check_limit(i, rule)
        for place, i in enumerate(self.order):
            for j in self.order[:place]:
                if self.rules[j].before(self.rules[i]):
                    raise RuleError(
                        i,
                        f'"{self.rules[i]}" could never act: wherever it applies, "{self.rules[j]}" '
                        "goes before it"
                        + (
                            "; write the narrower one first"
                            if self.rules[i].action == self.rules[j].action
                            else ""
                        ),
                    )

    @property
    def order(self) -> list[int]:
        """Numbers of the rules, those first that go before others."""
        return sorted(range(len(self.rules)), key=lambda i: ACTIONS.index(self.rules[i].action))

    def limit(self, rule: Rule) -> float | None:
        """The limit of a rule as a multiple of the dose that is planned."""
        if rule.limit is None:
            return None
        part = self.schedule.parts[0]
        size = DOSE_UNITS[rule.limit.unit][1] / DOSE_UNITS[part.unit][1]
        return float(rule.limit.amount * size / part.amount)

    def _check_limit(self, i: int, rule: Rule) -> None:
        if rule.limit is None:
            return
        planned = {(part.amount * DOSE_UNITS[part.unit][1], part.per) for part in self.schedule.parts}
        kinds = {DOSE_UNITS[part.unit][0] for part in self.schedule.parts}
        if len(planned) > 1 or len(kinds) > 1:
            raise RuleError(
                i, f'"{LIMITS[rule.action]} {rule.limit}" needs a schedule whose doses are all the same'
            )
        part = self.schedule.parts[0]
        dose = str(Limit(part.amount, part.unit, part.per))
        if (DOSE_UNITS[rule.limit.unit][0], rule.limit.per) != (kinds.pop(), part.per):
            raise RuleError(
                i, f"{rule.limit} cannot be compared with the doses of {dose}: write it in their unit"
            )
        share, others = self.limit(rule), {other.action for other in self.rules}
        assert share is not None
        if rule.action == "raise" and (share < 1 or (share == 1 and "reduce" not in others)):
            raise RuleError(
                i, f"the doses are {dose} from the start: they cannot be raised up to {rule.limit}"
            )
        if rule.action == "reduce" and (share > 1 or (share == 1 and "raise" not in others)):
            raise RuleError(
                i, f"the doses are {dose} from the start: they cannot be reduced down to {rule.limit}"
            )

    @classmethod
    def parse(cls, text: str, file: str = "<schedule>") -> AdaptiveSchedule:
        """Read a schedule with rules; ``file`` is the name that errors give to the text.

        Raises:
            ScheduleError: with the place, what was found, and what could stand there.
        """
        return _RuleParser(text, file).adaptive()

    def __str__(self) -> str:
        clauses = [str(self.schedule), *map(str, self.rules)]
        if isinstance(self.look, Fraction):
            clauses.append(f"look every {time_text(self.look)}")
        elif self.look != "dose":
            clauses.append(f"look before each {self.look}")
        return "; ".join(clauses)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        look = (
            f"every {time_text(self.look)}" if isinstance(self.look, Fraction) else f"before each {self.look}"
        )
        return {
            "schedule": str(self.schedule),
            "rules": [rule.to_dict() for rule in self.rules],
            "look": look,
        }

    def error(self, message: str, rule: int | None = None, place: str = "", hint: str = "") -> ScheduleError:
        """An error that shows its place in the text: the rules, one by its number, or its "output" or
        "unit"."""
        written = self.written or type(self).parse(str(self)).written
        assert written is not None
        start, end = (written.places[0][0], written.places[-1][1]) if rule is None else written.places[rule]
        if rule is not None and place:
            word = r"\s+".join(map(re.escape, getattr(self.rules[rule], place).split()))
            pattern = rf"\bif\s+({word})" if place == "output" else rf"({word})$"
            found = re.compile(pattern, re.IGNORECASE).search(written.text, start, end)
            assert found is not None
            start, end = found.span(1)
        return written.error(message, start, end, hint)


Plan = Schedule | AdaptiveSchedule | TakenSchedule
"""What can be given: doses, doses with rules, or doses as they are taken."""


def read_plan(text: str, file: str = "<schedule>") -> Plan:
    """A schedule, or where there is a ";" one with rules, or with what becomes of its doses. Raises
    ``ScheduleError`` with the place."""
    if isinstance(text, str) and ";" in text:
        said = text.partition(";")[2].split()
        of_taking = bool(said) and said[0].lower() in TAKING_WORDS
        return TakenSchedule.parse(text, file) if of_taking else AdaptiveSchedule.parse(text, file)
    return Schedule.parse(text, file)


def planned(plan: Plan) -> Schedule:
    """The doses as planned, without rules."""
    return plan if isinstance(plan, Schedule) else plan.schedule


def plan_as_taken(plan: Plan, adherence: Fraction, jitter: Fraction) -> Plan:
    """A plan whose doses are taken with this adherence and jitter (days). Raises ``ScheduleError`` for one
    with rules, which are followed dose by dose."""
    if not isinstance(plan, AdaptiveSchedule):
        return with_taking(plan, adherence, jitter)
    if adherence == 1 and not jitter:
        return plan
    raise ScheduleError(f'"{plan}" has rules, which are followed only where doses are taken as planned')


class RuleError(ScheduleError):
    """An error that belongs to one rule; the parser turns the number into a place in the text."""

    def __init__(self, rule: int, message: str) -> None:
        super().__init__(message)
        self.rule = rule


class _RuleParser(Parser):
    """The schedule, then clauses after semicolons."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text, file)
        self.places: list[tuple[int, int]] = []  # of the rules, in the text

    @property
    def ended(self) -> bool:
        return super().ended or self.token.text == ";"

    def adaptive(self) -> AdaptiveSchedule:
        schedule = Schedule.of(*self.courses())
        first = self.token
        if first.kind == "end":
            self.unexpected("; and a rule", what="no rule follows the schedule")
        if not schedule.parts:
            self.fail("without doses there is nothing that rules could change", first, self.tokens[-2])
        rules: list[Rule] = []
        look: str | Fraction | None = None
        while self.accept(";"):
            opening = self.token
            if opening.word == "look":
                if look is not None:
                    self.fail("it is said twice when the rules are looked at", opening)
                look = self.look()
            else:
                rules.append(self.rule())
                self.places.append((opening.start, self.tokens[self.i - 1].end))
            if not self.ended:
                self.unexpected("; and another rule, the end")
        if not rules:
            self.fail("no rule is looked at", first, self.tokens[-2], f"here can stand: {_CLAUSES}")
        try:
            return AdaptiveSchedule(
                schedule, tuple(rules), look or "dose", Written(self.text, self.file, tuple(self.places))
            )
        except RuleError as error:
            raise self.error(str(error), *self.places[error.rule]) from None
        except ScheduleError as error:
            raise self.error(str(error), self.places[0][0], self.places[-1][1]) from None

    def look(self) -> str | Fraction:
        self.take()
        if self.accept("every"):
            token = self.token
            days = self.time("a time such as 14 d")
            with self.at(token, self.tokens[self.i - 1]):
                check_interval(days, "the time between two looks")
            return days
        if not (self.accept("before") and self.accept("each", "every")):
            self.unexpected("before each dose, before each cycle, every <time>", ("before", "every", "each"))
        if self.token.word not in BEFORE_EACH:
            self.unexpected("dose, cycle", BEFORE_EACH)
        return self.take().word

    def rule(self) -> Rule:
        first = self.token
        if first.word not in ACTIONS:
            synonym = _SYNONYMS.get(first.word)
            if synonym:
                self.fail(
                    f"{self.shown(first)} is no action",
                    first,
                    hint=f"{question(synonym, [synonym])} here can stand: {_CLAUSES}",
                )
            if first.word in TAKING_WORDS:
                self.fail("rules are followed only where doses are taken as planned", first)
            clauses, words = _CLAUSES, [*ACTIONS, "look"]
            if not self.places:  # it may be meant for a schedule as it is taken
                clauses, words = f"{clauses}; or {TAKING_CLAUSES}", [*words, *TAKING_WORDS]
            self.unexpected(clauses, words, what="a rule begins with what is done")
        action = self.take().word
        percent = self.percentage(action) if action in LIMITS else None
        limit = self.limit(action) if action in LIMITS else None
        with self.at(first, self.tokens[self.i - 1]):
            _check_action(action, percent, limit)
        if not self.accept("if"):
            self.unexpected("if", ("if",), what="a rule says when it applies")
        output = self.output()
        sign = self.sign()
        at = self.token
        threshold = self.number("a threshold")
        unit = self.threshold_unit()
        with self.at(at, self.tokens[self.i - 1]):
            return Rule(action, output, sign, threshold, unit, percent, limit)

    def output(self) -> str:
        """A name; x1, which the language of schedules takes for a count, can be one too."""
        first = self.token
        found = _OUTPUT.match(self.text, first.start)
        if found:
            while self.token.kind != "end" and self.token.end <= found.end():
                self.take()
        if not found or self.tokens[self.i - 1].end != found.end():
            self.fail(
                f"{self.shown(first)} is no output" if first.kind != "end" else "the schedule ends here",
                first,
                hint="here can stand: an output of the model, by its name",
            )
        return found.group()

    def percentage(self, action: str) -> Fraction:
        if not self.accept("by"):
            self.unexpected("by N %", ("by",), what=f'"{action}" says by how much')
        first = self.token
        percent = self.number("a percentage")
        if not self.accept("%", "percent"):
            self.unexpected("%", ("percent",), what="a dose changes by a percentage")
        with self.at(first, self.tokens[self.i - 1]):
            _check_percent(action, percent)
        return percent

    def limit(self, action: str) -> Limit | None:
        word, to = LIMITS[action].split()
        if self.token.word in ("up", "down") and self.token.word != word:
            self.unexpected(
                f'"{LIMITS[action]} <dose>", if', what=f'"{action}" has a limit {LIMITS[action]} a dose'
            )
        if not self.accept(word):
            return None
        if not self.accept(to):
            self.unexpected(to, (to,))
        first = self.token
        amount = self.number("a dose")
        unit, per = self.unit()
        with self.at(first, self.tokens[self.i - 1]):
            return Limit(amount, unit, per)

    def sign(self) -> str:
        token, after = self.token, self.peek()
        if token.text in ("≥", "≤", "=") or (token.text in (">", "<") and after.text == "="):
            self.fail(
                "an output of a model is never exactly equal to a threshold",
                token,
                after if after.text == "=" else token,
                'here can stand: ">", "<"',
            )
        if token.text not in (">", "<"):
            self.unexpected('">" or "<" and a threshold', what="a rule compares an output with a threshold")
        return self.take().text

    def threshold_unit(self) -> str:
        """What stands between the number and the end of the rule."""
        first = self.token
        if self.accept("x", "×", "*", "times"):
            if not self.accept("baseline"):
                self.unexpected("baseline", ("baseline",), what="a multiple is one of the baseline")
            return BASELINE
        if first.kind == "word" and close_names(first.text, ("baseline",)):
            self.fail("a multiple of the baseline is written with an x", first, hint="write: 2 x baseline")
        while not self.ended:
            self.take()
        if self.token is first:
            return ""
        last: ScheduleToken = self.tokens[self.i - 1]
        text = self.text[first.start : last.end]
        problem = units.examine(" ".join(text.split()))
        if isinstance(problem, units.UnitProblem):
            hint = f"{problem.hint}; " if problem.hint else ""
            self.fail(
                f"this is no unit: {problem.message}",
                first,
                last,
                f"{hint}here can stand: a unit such as 1/uL or %, x baseline, ; and another rule, the end",
            )
        return " ".join(text.split())
