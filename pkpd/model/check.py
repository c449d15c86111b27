"""Statements -> ``Model``: names, units and completeness checked, definitions in order.

    read_model(text, file) -> Model
    dose_units(model) -> {route: {dose unit: factor to the unit of the route's target}}

Units are checked in dimension and in scale: compiled kernels carry plain numbers, so hours against days, or
ng/mL against mg/L, must be as wrong here as hours against litres. A literal number is dimensionless, except
that 0 fits any unit and that a number alone before a unit has that unit (``define k = 24 [h/d]``, ``state B =
720 [1/uL]``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Literal, NamedTuple

from pkpd.core import units
from pkpd.core.errors import ModelError, UnitError
from pkpd.core.names import question_and_list, question_or_list
from pkpd.core.units import ONE, Bridge, Unit
from pkpd.model import hazard
from pkpd.model import text as language
from pkpd.model.correlation import EtaCorrelation, read_correlations
from pkpd.model.dimensions import UnitChecker, is_literal, unit_at
from pkpd.model.extend import whole
from pkpd.model.text import Cursor, Expression, Name, Piece, Statement, Token

PROVENANCE = ("reported", "secondary", "derived", "unverified", "assumed")
PRIORS = {
    "lognormal": "lognormal(median, log-SD)",
    "normal": "normal(mean, SD)",
    "uniform": "uniform(low, high)",
    "logitnormal": "logitnormal(median, logit-SD)",
}

# words of the schedule language cannot name a route
_SCHEDULE_WORDS = frozenset(
    """at d daily day days every for from h hours min none on once over then twice until week weekly weeks
    x""".split()
)

_MOST_CAUTIONS, _LONGEST_CAUTION = 10, 400  # all of them stand below every table and figure

# definitions are unfolded when derivatives are taken, and a few lines can unfold without end
_MAX_UNFOLDED = 20_000


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution by name: lognormal(median, log-SD), normal(mean, SD), uniform(low, high),
    logitnormal(median, logit-SD); as between-subject variability lognormal(log-SD)."""

    kind: str
    arguments: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number with a name. A covariate is one that belongs to the subject and is never fitted; ``between``:
    how it differs between subjects of whom it is not known."""

    name: str
    value: float
    unit: str
    description: str = ""
    kind: Literal["parameter", "covariate"] = "parameter"
    lower: float = -math.inf
    upper: float = math.inf
    prior: Distribution | None = None
    between: Distribution | None = None
    source: str = ""
    provenance: str = ""
    note: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """A quantity with an equation. ``initial`` is None (zero), an expression of parameters, covariates and
    definitions of these, or "steady" (where the system rests without drug, found numerically)."""

    name: str
    unit: str
    initial: Expression | Literal["steady"] | None = None
    description: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Definition:
    """An intermediate quantity; may use parameters, covariates, states, ``t`` and definitions that stand
    before it in ``Model.definitions``."""

    name: str
    expression: Expression
    unit: str
    description: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """A way in for doses. Attributes are expressions of parameters, covariates and definitions of these;
    None means lag 0, F 1, and neither a modelled duration nor a rate."""

    name: str
    target: str
    lag: Expression | None = None
    F: Expression | None = None
    duration: Expression | None = None
    rate: Expression | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Output:
    """Something to look at; may use everything except other outputs. ``output X [unit]`` without an
    expression shows the state or definition X: its expression is then ``Name("X")``."""

    name: str
    expression: Expression
    unit: str
    description: str = ""
    line: int = 0


@dataclass(frozen=True)
class Model:
    """A model that was read and checked: every name is known, every unit fits."""

    title: str
    sources: tuple[str, ...]
    time_unit: str
    bridges: tuple[Bridge, ...]
    parameters: tuple[Parameter, ...]
    states: tuple[State, ...]
    definitions: tuple[Definition, ...]
    equations: dict[str, Expression]
    """state name -> right-hand side, in the order of ``states``"""
    routes: tuple[Route, ...]
    outputs: tuple[Output, ...]
    text: str = field(repr=False)
    file: str
    hazards: tuple[str, ...] = ()
    """kinds of event that happen at most once; each has a state and outputs (``pkpd.model.hazard``)"""
    correlations: tuple[EtaCorrelation, ...] = ()
    """of how parameters differ between subjects"""
    cautions: tuple[str, ...] = ()
    """what a reader of results must know"""

    def __repr__(self) -> str:
        return (
            f"<Model {self.name}: {len(self.states)} states, {len(self.parameters)} parameters, "
            f"{len(self.outputs)} outputs, "
            f"{len(self.routes)} routes, time in {self.time_unit}>"
        )

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""
        return PurePath(self.file).stem

    def parameter(self, name: str) -> Parameter:
        """The parameter or covariate of this name (``ModelError`` if there is none)."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = [parameter.name for parameter in self.parameters]
        hint = question_or_list(name, known, "its parameters are")
        raise ModelError(f'{self.file}: no parameter is named "{name}"; {hint}')


class _Named(NamedTuple):
    """What a name stands for, and where it was declared."""

    kind: str
    line: int


class _Reader:
    """Builds a ``Model`` from statements: declarations first, then everything with names in it."""

    def __init__(self, text: str, file: str) -> None:
        self.source, self.statements = language.read_statements(text, file)
        self.names: dict[str, _Named] = {}
        self.units: dict[str, Unit] = {}
        self.time = ONE
        self.fixed: set[str] = set()
        """definitions of parameters and covariates alone"""
        self.timed: set[str] = {"t"}
        """names that depend on the time explicitly"""
        self.unfolded: dict[str, int] = {}
        """definition -> operations when the definitions it uses are written out"""
        self.checker = UnitChecker(self.source, lambda name: self.units[name.name])

    def read(self) -> Model:
        model = self._single("model", '"model  one compartment, intravenous"')
        sources = [child.words for child in model.children] + [line.words for line in self._of("source")]
        cautions = self._cautions()
        time_unit = self._time()
        bridges = self._bridges()
        self.statements, hazards = hazard.written_out(self.source, self.statements, self.time)
        parameters = tuple(self._parameter(line) for line in self._of("parameter", "covariate"))
        states = tuple(self._state(line) for line in self._of("state"))
        definitions = self._definitions()
        for state in states:
            self._check_initial(state)
        equations = self._equations(states)
        self._check_steady(states, equations, hazards)
        return Model(
            title=model.words,
            sources=tuple(sources),
            time_unit=time_unit,
            bridges=bridges,
            parameters=parameters,
            states=states,
            definitions=definitions,
            equations=equations,
            routes=self._routes(states),
            outputs=self._outputs(),
            hazards=hazards,
            correlations=read_correlations(
                self.source, self.statements, {p.name: p.between is not None for p in parameters}
            ),
            cautions=cautions,
            text=self.source.text,
            file=self.source.file,
        )

    # -- small helpers

    def _of(self, *keywords: str) -> list[Statement]:
        return [statement for statement in self.statements if statement.keyword in keywords]

    def _cursor(self, statement: Statement) -> Cursor:
        return Cursor(self.source, statement.pieces)

    def _missing(self, what: str, example: str) -> ModelError:
        return ModelError(f"{self.source.file}: the model has no {what}; write for instance {example}")

    def _single(self, keyword: str, example: str) -> Statement:
        found = self._of(keyword)
        if not found:
            raise self._missing(f'line "{keyword}"', example)
        if len(found) > 1:
            message = f'"{keyword}" stands twice, first in {self.source.place(found[0].line)}'
            raise self.source.at(found[1].token, message, "remove one of the two")
        if not found[0].words:
            raise self.source.at(found[0].token, f'"{keyword}" is empty', f"write for instance {example}")
        return found[0]

    def _declare(self, name: Token, kind: str) -> None:
        if name.text in self.names:
            before = self.names[name.text]
            raise self.source.at(
                name,
                f'"{name.text}" is already the name of a {before.kind}, {self.source.place(before.line)}',
                "every name can be given once: rename or remove one of the two",
            )
        self.names[name.text] = _Named(kind, name.line)

    def _unit(self, piece: Piece | Token) -> Unit:
        return unit_at(self.source, piece)

    def _bracket(self, cursor: Cursor, what: str, hint: str) -> Piece:
        piece = cursor.bracket()
        if piece is None:
            raise cursor.unexpected(f"expected the unit of {what} in square brackets", hint)
        return piece

    def _ended(self, cursor: Cursor, expected: str, hint: str = "") -> None:
        if not cursor.at_end():
            raise cursor.unexpected(f"expected {expected}", hint)

    # -- cautions, time and bridges

    def _cautions(self) -> tuple[str, ...]:
        lines: dict[str, int] = {}
        for statement in self._of("caution"):
            if not statement.words:
                hint = "write for instance caution  The trial behind this was negative."
                raise self.source.at(statement.token, '"caution" is empty', hint)
            if len(statement.words) > _LONGEST_CAUTION:
                hint = f"at most {_LONGEST_CAUTION} are read: say the rest in source"
                raise self.source.at(
                    statement.token, f"a caution of {len(statement.words):,} characters", hint
                )
            if statement.words in lines:
                before = self.source.place(lines[statement.words])
                message = f"this caution stands twice, first in {before}"
                raise self.source.at(statement.body, message, "remove one of the two")
            if len(lines) == _MOST_CAUTIONS:
                hint = f"a model has at most {_MOST_CAUTIONS}, because they stand below every result"
                raise self.source.at(statement.token, "too many cautions", hint)
            lines[statement.words] = statement.line
        return tuple(lines)

    def _time(self) -> str:
        word = self._single("time", '"time  h"').body
        self.time = self.units["t"] = self._unit(word)
        if self.time.dimension != units.parse("h").dimension:
            message = f"{word.text} is {units.dimension_text(self.time)}, not a time"
            raise self.source.at(word, message, f"write one of {', '.join(units.TIME_UNITS)}")
        return word.text

    def _bridges(self) -> tuple[Bridge, ...]:
        bridges: list[Bridge] = []
        for statement in self._of("bridge"):
            hint = "write for instance bridge 18 MIU = 1.1 mg"
            left, equal, right = statement.words.partition("=")
            if not equal:
                raise self.source.at(statement.body, 'a bridge needs "="', hint)
            try:
                bridge = Bridge(*units.quantity(left), *units.quantity(right))
            except UnitError as error:
                raise self.source.at(statement.body, str(error), hint) from None
            first, second = units.parse(bridge.left_unit), units.parse(bridge.right_unit)
            if not (bridge.left_value > 0 and bridge.right_value > 0):
                raise self.source.at(statement.body, "both sides of a bridge must be positive", hint)
            if first.same_dimension(second):
                both = f"{first} and {second} are both {units.dimension_text(first)}"
                raise self.source.at(statement.body, f"{both}: no bridge is needed", hint)
            try:
                units.factor(bridge.left_unit, bridge.right_unit, bridges)
            except UnitError:
                bridges.append(bridge)
                continue
            message = f"how {first} becomes {second} is already declared"
            raise self.source.at(statement.body, message, "remove one of the bridges")
        return tuple(bridges)

    # -- parameters and covariates

    def _parameter(self, statement: Statement) -> Parameter:
        kind: Literal["parameter", "covariate"] = "parameter"
        if statement.keyword == "covariate":
            kind = "covariate"
        example = f"write for instance {kind}  CL = 5.0 [L/h]  clearance  # source"
        cursor = self._cursor(statement)
        name = cursor.name(f"a {kind}")
        cursor.expect("=", example)
        number = cursor.coming
        value = cursor.number(f"the value of {name.text}")
        piece = self._bracket(cursor, name.text, f"{example}; 1 is the unit of a plain number")
        self.units[name.text] = self._unit(piece)
        description = cursor.rest_until("~")
        between = None
        if cursor.accept("~"):
            between = self._between(cursor, name.text, value)
        self._ended(cursor, "the end of the line")
        self._declare(name, kind)

        details = self._details(statement)
        lower, upper = self._bounds(details["bounds"]) if "bounds" in details else (-math.inf, math.inf)
        if not lower <= value <= upper:
            interval = f"{language.number_text(lower)} .. {language.number_text(upper)}"
            message = f"the value of {name.text} lies outside its bounds, {interval}"
            raise self.source.at(number, message, "change the value or the bounds")
        prior = None
        if "prior" in details:
            if kind == "covariate":
                message = "a covariate is never fitted and has no prior"
                raise self.source.at(details["prior"].token, message, "make it a parameter")
            prior = self._prior(details["prior"], value)
            if prior.kind != "uniform" and not lower <= prior.arguments[0] <= upper:
                message = f"the centre of the prior of {name.text} lies outside its bounds"
                raise self.source.at(details["prior"].body, message, "change the prior or the bounds")
        children = statement.children
        sources = [statement.comment, *(child.words for child in children if child.keyword == "source")]
        notes = [
            child.words if child.keyword == "note" else child.comment
            for child in children
            if child.keyword != "source"
        ]
        return Parameter(
            name=name.text,
            value=value,
            unit=piece.text.strip(),
            description=description,
            kind=kind,
            lower=lower,
            upper=upper,
            prior=prior,
            between=between,
            source="; ".join(filter(None, sources)),
            provenance=self._provenance(details["provenance"]) if "provenance" in details else "",
            note="; ".join(filter(None, notes)),
            line=statement.line,
        )

    def _details(self, statement: Statement) -> dict[str, Statement]:
        """The sub-statements that can stand once, by keyword."""
        details: dict[str, Statement] = {}
        for child in statement.children:
            if child.keyword in ("source", "note"):
                continue
            if child.keyword in details:
                before = self.source.place(details[child.keyword].line)
                message = f'"{child.keyword}" stands twice, first in {before}'
                raise self.source.at(child.token, message, "remove one of the two")
            details[child.keyword] = child
        return details

    def _distribution(self, cursor: Cursor, known: Mapping[str, str]) -> tuple[Distribution, Token]:
        token = cursor.coming
        if token.text not in known:
            hint = f"{question_or_list(token.text, known, 'write')} ({', '.join(known.values())})"
            raise self.source.at(token, f'"{token.text}" is no distribution that can stand here', hint)
        cursor.take()
        usage = f"write {known[token.text]}"
        cursor.expect("(", usage)
        arguments = [cursor.number("an argument of a distribution")]
        while cursor.accept(","):
            arguments.append(cursor.number("an argument of a distribution"))
        cursor.expect(")", usage)
        if len(arguments) != usage.count(",") + 1:
            raise self.source.at(token, f"{token.text} cannot take {len(arguments)} argument(s)", usage)
        return Distribution(token.text, tuple(arguments)), token

    def _between(self, cursor: Cursor, name: str, value: float) -> Distribution:
        between, token = self._distribution(cursor, {"lognormal": "lognormal(log-SD)"})
        if not 0 < between.arguments[0] <= 10:
            raise self.source.at(token, "a log-SD lies between 0 and 10", "write for instance lognormal(0.3)")
        if not value > 0:
            message = f"{name} varies log-normally between subjects, so its value must be positive"
            raise self.source.at(token, message)
        return between

    def _prior(self, child: Statement, value: float) -> Distribution:
        cursor = self._cursor(child)
        prior, token = self._distribution(cursor, PRIORS)
        self._ended(cursor, "the end of the line")
        first, second = prior.arguments
        trouble = ""
        if prior.kind == "uniform":
            if not first < second:
                trouble = "the low end of uniform(low, high) must be below the high end"
            elif not first <= value <= second:
                trouble = "the value lies outside its uniform prior"
        elif not second > 0:
            trouble = "the SD of a prior must be positive"
        elif prior.kind == "lognormal" and not (first > 0 and value > 0):
            trouble = "a lognormal prior needs a positive median and a positive value"
        elif prior.kind == "logitnormal" and not (0 < first < 1 and 0 < value < 1):
            trouble = "a logitnormal prior needs a median and a value between 0 and 1"
        if trouble:
            raise self.source.at(token, trouble, f"write {PRIORS[prior.kind]}")
        return prior

    def _bounds(self, child: Statement) -> tuple[float, float]:
        hint = "write bounds 0.5 .. 50, the lower one first; one side may be left out"
        left, dots, right = child.body.text.partition("..")
        ends = [-math.inf, math.inf]
        for index, part in enumerate((left, right)):
            if dots and part.strip():
                column = child.body.column + (len(left) + len(dots) if index else 0)
                cursor = Cursor(self.source, [Piece(child.line, column, part)])
                ends[index] = cursor.number("a bound")
                self._ended(cursor, 'two numbers with ".." between them', hint)
        if not dots or not ends[0] < ends[1]:
            raise self.source.at(child.body, 'bounds are two numbers with ".." between them', hint)
        return ends[0], ends[1]

    def _provenance(self, child: Statement) -> str:
        if child.words not in PROVENANCE:
            hint = question_and_list(child.words, PROVENANCE, "write one of")
            raise self.source.at(child.body, f'"{child.words[:40]}" is no provenance', hint)
        return child.words

    # -- states, definitions, equations

    def _state(self, statement: Statement) -> State:
        cursor = self._cursor(statement)
        name = cursor.name("a state")
        initial: Expression | Literal["steady"] | None = None
        if cursor.accept("="):
            initial = "steady" if cursor.accept("steady") else cursor.expression()
        hint = "write for instance {0} [mg], {0} = B0 [mg], or {0} = steady [mg]".format(f"state {name.text}")
        piece = self._bracket(cursor, name.text, hint)
        self._declare(name, "state")
        self.units[name.text] = self._unit(piece)
        return State(name.text, piece.text.strip(), initial, cursor.rest(), statement.line)

    def _check_initial(self, state: State) -> None:
        if state.initial is None or state.initial == "steady":
            return
        self._check_names(state.initial, f"the initial value of {state.name}", fixed=True)
        self._check_unit(state.initial, self.units[state.name], f"the state {state.name} is in {state.unit}")

    def _check_unit(self, expression: Expression, unit: Unit, what: str) -> None:
        """A number alone before a unit has that unit; everything else has the unit it has."""
        if is_literal(expression):
            self.checker.value(expression)
        else:
            self.checker.require(expression, unit, what)

    def _definitions(self) -> tuple[Definition, ...]:
        found: dict[str, Definition] = {}
        tokens: dict[str, Token] = {}
        for statement in self._of("define"):
            cursor = self._cursor(statement)
            name = cursor.name("a definition")
            cursor.expect("=", f"write for instance define {name.text} = CL/V [1/h]")
            expression = cursor.expression()
            piece = cursor.bracket()
            if piece is None:
                expected = "an operator, a unit in square brackets, or the end"
                self._ended(cursor, expected, "a description stands behind the unit")
            else:
                self.units[name.text] = self._unit(piece)
            self._declare(name, "definition")
            unit = piece.text.strip() if piece else ""
            found[name.text] = Definition(name.text, expression, unit, cursor.rest(), statement.line)
            tokens[name.text] = name
        self._declare_outputs()
        for definition in found.values():
            self._check_names(definition.expression, f"the definition of {definition.name}")
        return tuple(self._definition(entry, tokens) for entry in self._ordered(found, tokens))

    def _definition(self, definition: Definition, tokens: Mapping[str, Token]) -> Definition:
        """Check one definition after all that it uses; its unit is found if it is not declared."""
        name, expression = definition.name, definition.expression
        used = language.names(expression)
        if all(self._is_fixed(other) for other in used):
            self.fixed.add(name)
        if any(other in self.timed for other in used):
            self.timed.add(name)
        self.unfolded[name] = self._size(expression)
        if self.unfolded[name] > _MAX_UNFOLDED:
            message = (
                f"with the definitions it uses, {name} unfolds to more than {_MAX_UNFOLDED:,} operations"
            )
            raise self.source.at(tokens[name], message, "write it in a shorter way")
        if definition.unit:
            self._check_unit(expression, self.units[name], f"{name} is declared in {definition.unit}")
            return definition
        self.units[name] = self.checker.value(expression).unit or ONE
        return replace(definition, unit=str(self.units[name]))

    def _size(self, expression: Expression) -> int:
        """Operations in an expression when its definitions are written out."""
        return sum(
            self.unfolded.get(node.name, 1) if isinstance(node, Name) else 1
            for node in language.walk(expression)
        )

    def _is_fixed(self, name: str) -> bool:
        """Whether a name is constant for a subject: a parameter, a covariate, or a definition of these."""
        return name in self.fixed or (
            name in self.names and self.names[name].kind in ("parameter", "covariate")
        )

    def _ordered(
        self, definitions: Mapping[str, Definition], tokens: Mapping[str, Token]
    ) -> list[Definition]:
        """Definitions such that each stands after those it uses (depth first, without recursion)."""
        uses = {
            name: [used for used in language.names(definition.expression) if used in definitions]
            for name, definition in definitions.items()
        }
        ordered: dict[str, Definition] = {}
        for first in definitions:
            path: list[tuple[str, int]] = [] if first in ordered else [(first, 0)]
            on_path = {name for name, _ in path}
            while path:
                name, position = path.pop()
                if position == len(uses[name]):
                    ordered[name] = definitions[name]
                    on_path.discard(name)
                    continue
                path.append((name, position + 1))
                following = uses[name][position]
                if following in on_path:
                    raise self._cycle([entry for entry, _ in path], tokens[following])
                if following not in ordered:
                    path.append((following, 0))
                    on_path.add(following)
        return list(ordered.values())

    def _cycle(self, path: list[str], token: Token) -> ModelError:
        cycle = path[path.index(token.text) :]
        shown = [*cycle[:10], *(["..."] if len(cycle) > 10 else []), token.text]
        return self.source.at(
            token,
            f"the definition goes round in a circle: {' -> '.join(shown)}",
            "a definition may use parameters, states and other definitions, but not itself",
        )

    def _check_names(self, expression: Expression, where: str, fixed: bool = False) -> None:
        """Every name is known, and constant for a subject if ``fixed``."""
        for node in language.walk(expression):
            if not isinstance(node, Name) or (node.name == "t" and not fixed):
                continue
            named = self.names.get(node.name)
            if named is None and node.name != "t":
                hint = self._hint(node.name, fixed)
                raise self.source.at(node, f'unknown name "{node.name}" in {where}', hint)
            if named is not None and named.kind == "output":
                place = self.source.place(named.line)
                raise self.source.at(
                    node,
                    f'"{node.name}" is an output ({place}) and cannot be used in {where}',
                    "give the expression a name with define, and show that: output NAME [unit]",
                )
            if fixed and not self._is_fixed(node.name):
                what = f"a {named.kind}" if named else "the time"
                reason = " that uses states or the time" if what == "a definition" else ""
                raise self.source.at(
                    node,
                    f'"{node.name}" is {what}{reason} and cannot be used in {where}',
                    "parameters, covariates and definitions of these can stand here",
                )

    def _hint(self, name: str, fixed: bool) -> str:
        if name in language.ARITY:
            return f"{name} is a function: write {name}(...)"
        if name.lower() in ("inf", "nan", "infinity"):
            return "a model holds finite numbers"
        if name.lower() == "time":
            return "the time is t"
        known = [other for other, named in self.names.items() if named.kind != "output"]
        allowed = [other for other in known if self._is_fixed(other)] if fixed else known
        return question_or_list(name, allowed)

    def _equations(self, states: tuple[State, ...]) -> dict[str, Expression]:
        found: dict[str, Expression] = {}
        lines: dict[str, int] = {}
        known = [state.name for state in states]
        size = 0
        for statement in self._of("d"):
            cursor = self._cursor(statement)
            name = cursor.coming
            if name.text not in known:
                kind = self.names[name.text].kind if name.text in self.names else ""
                message = f'there is no state "{name.text}"'
                hint = (
                    f"{question_or_list(name.text, known, 'states are')} (or declare it: state "
                    f"{name.text} [unit])"
                )
                if not name.text.isidentifier():
                    message, hint = "expected the name of a state", "an equation reads d X = ..."
                elif kind:
                    message = f'"{name.text}" is a {kind}, not a state'
                raise self.source.at(name, message, hint)
            if name.text in found:
                message = f"{name.text} has an equation already, {self.source.place(lines[name.text])}"
                raise self.source.at(name, message, "remove one of the two")
            cursor.take()
            cursor.expect("=", f"write d {name.text} = ...")
            expression = cursor.expression()
            hint = "an equation has no unit of its own: it has that of its state per time"
            self._ended(cursor, "an operator or the end of the equation", hint)
            self._check_names(expression, f"the equation of {name.text}")
            unit = self.units[name.text] / self.time
            self.checker.require(expression, unit, f"d {name.text} is in {unit}")
            size += self._size(expression)
            if size > _MAX_UNFOLDED:
                message = (
                    f"with their definitions, the equations unfold to more than {_MAX_UNFOLDED:,} operations"
                )
                raise self.source.at(name, message, "write them in a shorter way")
            found[name.text] = expression
            lines[name.text] = statement.line
        for statement in self._of("state"):
            name = self._cursor(statement).name("a state")
            if name.text not in found:
                hint = f"write d {name.text} = ... (d {name.text} = 0 if it does not change)"
                raise self.source.at(name, f"the state {name.text} has no equation", hint)
        return {name: found[name] for name in known}

    def _check_steady(
        self, states: tuple[State, ...], equations: Mapping[str, Expression], hazards: Sequence[str]
    ) -> None:
        """Nothing that rests depends on the time; a cumulative hazard never rests, and begins at 0."""
        steady = next((state for state in states if state.initial == "steady"), None)
        if steady is None:
            return
        endless = {hazard.outputs_of(name)[1] for name in hazards}
        for name, expression in equations.items():
            if name in endless:
                continue
            for node in language.walk(expression):
                if isinstance(node, Name) and node.name in self.timed:
                    place = self.source.place(steady.line)
                    raise self.source.at(
                        node,
                        f"d {name} depends on the time, so there is no steady state to begin from",
                        f'{steady.name} ({place}) begins "steady": give it a value instead',
                    )

    # -- routes and outputs

    def _routes(self, states: tuple[State, ...]) -> tuple[Route, ...]:
        routes: dict[str, Route] = {}
        targets = [state.name for state in states]
        for statement in self._of("route"):
            cursor = self._cursor(statement)
            name = cursor.name("a route")
            if name.text in _SCHEDULE_WORDS:
                message = f'"{name.text}" is a word of the schedule language and cannot name a route'
                raise self.source.at(name, message, "take another name, for instance sc, iv or oral")
            if name.text in routes:
                before = self.source.place(routes[name.text].line)
                message = f"the route {name.text} is declared already, {before}"
                raise self.source.at(
                    name, message, "every route has one target: rename or remove one of the two"
                )
            if not targets:
                message = "a route leads to a state, and this model has none"
                hint = "declare one, or give the dose as a covariate: covariate D = 0 [mg]"
                raise self.source.at(name, message, hint)
            cursor.expect("->", f"write for instance route {name.text} -> {targets[0]}  lag = tlag  F = F1")
            target = cursor.coming
            if target.text not in targets:
                hint = question_or_list(target.text, targets, "states are")
                raise self.source.at(target, f'a route leads to a state, and "{target.text}" is none', hint)
            cursor.take()
            attributes = self._route_attributes(cursor, name.text, self.units[target.text])
            routes[name.text] = Route(name.text, target.text, **attributes, line=statement.line)
        return tuple(routes.values())

    def _route_attributes(self, cursor: Cursor, route: str, target: Unit) -> dict[str, Expression]:
        expected = {"lag": self.time, "F": ONE, "duration": self.time, "rate": target / self.time}
        attributes: dict[str, Expression] = {}
        while not cursor.at_end():
            word = cursor.coming
            if word.text not in expected:
                hint = question_or_list(word.text, expected, "write for instance lag = tlag; attributes are")
                raise self.source.at(word, f'"{word.text}" is no attribute of a route', hint)
            if word.text in attributes:
                raise self.source.at(word, f'"{word.text}" stands twice', "remove one of the two")
            cursor.take()
            cursor.expect("=", f"write for instance {word.text} = expression")
            expression = cursor.expression()
            where = f"the {word.text} of the route {route}"
            self._check_names(expression, where, fixed=True)
            unit = expected[word.text]
            what = "must be a plain number" if unit == ONE else f"must be in {unit}"
            self.checker.require(expression, unit, f"{where} {what}")
            attributes[word.text] = expression
            if "duration" in attributes and "rate" in attributes:
                raise self.source.at(
                    word, "a route has a duration or a rate, not both", "remove one of the two"
                )
        return attributes

    def _declare_outputs(self) -> None:
        """Outputs get their names before other expressions are checked, to say so when one is used."""
        shown: dict[str, int] = {}
        for statement in self._of("output"):
            cursor = self._cursor(statement)
            name = cursor.name("an output")
            if name.text in shown:
                message = f"the output {name.text} is declared already, {self.source.place(shown[name.text])}"
                raise self.source.at(name, message, "rename or remove one of the two")
            shown[name.text] = statement.line
            if cursor.accept("="):
                self._declare(name, "output")

    def _outputs(self) -> tuple[Output, ...]:
        outputs = []
        for statement in self._of("output"):
            cursor = self._cursor(statement)
            name = cursor.name("an output")
            if cursor.accept("="):
                expression = cursor.expression()
                self._check_names(expression, f"the output {name.text}")
                natural = self.checker.value(expression).unit or ONE
                piece: Piece | None = self._bracket(cursor, name.text, f"write for instance [{natural}]")
            else:
                expression = self._shown(name)
                natural = self.units[name.text]
                piece = cursor.bracket()
                if piece is None:
                    self._ended(cursor, '"=", a unit in square brackets, or the end')
            written = piece.text.strip() if piece else str(natural)
            if piece:
                self._check_unit(
                    expression, self._unit(piece), f"the output {name.text} is declared in {written}"
                )
            if self._size(expression) > _MAX_UNFOLDED:
                message = (
                    f"with its definitions, the output unfolds to more than {_MAX_UNFOLDED:,} operations"
                )
                raise self.source.at(name, message, "write it in a shorter way")
            outputs.append(Output(name.text, expression, written, cursor.rest(), statement.line))
        if not outputs:
            raise self._missing("output", "output C = central/V [mg/L]")
        return tuple(outputs)

    def _shown(self, name: Token) -> Expression:
        """What an output without an expression shows: the state or definition of its name."""
        known = [other for other, named in self.names.items() if named.kind in ("state", "definition")]
        if name.text not in known:
            hint = question_or_list(name.text, known)
            raise self.source.at(
                name,
                f'an output without "=" shows a state or definition, and "{name.text}" is none',
                f"{hint} (or write output {name.text} = ... [unit])",
            )
        return Name(name.text, name.line, name.column)


def read_model(text: str, file: str = "<text>") -> Model:
    """Read and check a model. Nothing in the text is executed.

    Parameters
    ----------
    text : the whole model, in the language of ``models/README.md``.
    file : what errors call it.

    Returns
    -------
    Model : its ``parameters``, ``states``, ``equations``, ``routes`` and ``outputs``, each with its unit, as
        written; ``load`` and ``simulate`` take it.

    Raises
    ------
    ModelError : with line, column, the source line, a caret and what would be right.

    Examples
    --------
    >>> import pkpd
    >>> lines = ["model one tank", "time h", "parameter k = 0.1 [1/h] elimination", "state A [mg] amount"]
    >>> lines += ["route iv -> A", "d A = -k*A", "output A [mg]"]
    >>> model = pkpd.read_model("\\n".join(lines), "tank.model")
    >>> model
    <Model tank: 1 states, 1 parameters, 1 outputs, 1 routes, time in h>
    >>> pkpd.simulate(model, "10 mg iv once", [0.0, 1.0])["A"].round(3)  # mg
    array([[10.   ,  9.048]])
    """
    return _Reader(whole(text, file), file).read()


def dose_units(model: Model) -> dict[str, dict[str, float]]:
    """For every route the units a dose can be written in, with the factor to the unit of the route's target
    state.

    Units of another dimension are there if the model's bridges say how they convert.
    """
    unit_of = {state.name: state.unit for state in model.states}
    table: dict[str, dict[str, float]] = {}
    for route in model.routes:
        table[route.name] = {}
        for unit in units.DOSE_UNITS:
            try:
                table[route.name][unit] = units.factor(unit, unit_of[route.target], model.bridges)
            except UnitError:
                continue
    return table
