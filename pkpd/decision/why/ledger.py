"""What there is to account for: of an output the terms of its rate of change, of the states that exchange
with it their sum, and the model that has all of them as outputs.

The rate of an output y(x, t) is dy/dt = sum over states of (dy/dx) (the terms of dx/dt) + (dy/dt at fixed x).
A term that leaves one state and enters another appears in the sum of both no more.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from pkpd.core.errors import InputError
from pkpd.core.names import question_or_list
from pkpd.model.check import Definition, Model, Output, Parameter, State
from pkpd.model.terms import MOST_FACTORS, NOUGHT, ONE, Equations, Summand, parted, summed
from pkpd.model.text import Binary, Expression, Name, expression_text

STATE, EXCHANGE, TIME = "term", "exchange", "time"
MOST_POOLED = 12
"""States that exchange with each other, of which the sum is accounted for."""


@dataclass(frozen=True)
class Factor:
    """What changes in a term: an expression and what it is called."""

    expression: Expression
    words: str

    @property
    def text(self) -> str:
        """As it is written in the model."""
        return expression_text(self.expression)


@dataclass(frozen=True)
class LedgerLine:
    """Terms that are told as one: ``weighted`` are pairs of a weight and a term; ``factors`` of a term that
    stands alone, ``stays`` what of it does not change."""

    words: str
    kind: str
    weighted: tuple[tuple[Expression, Summand], ...]
    stays: Expression = ONE
    factors: tuple[Factor, ...] = ()

    @property
    def text(self) -> str:
        """The terms as they are written in the model: "-survive*loss*T"."""
        texts = [term.text for _, term in self.weighted]
        return "".join(
            text if not i else f" - {text[1:]}" if text.startswith("-") else f" + {text}"
            for i, text in enumerate(texts)
        )


@dataclass(frozen=True)
class Quantity:
    """A quantity to be explained: its name, what it is, and the entries of its rate of change. ``dosed``:
    whether doses change it by themselves."""

    name: str
    description: str
    unit: str
    expression: Expression
    entries: tuple[LedgerLine, ...]
    dosed: bool


def quantities(model: Model, name: str) -> list[Quantity]:
    """The output, and the sum of what it exchanges with.

    Raises ``InputError`` for a name that is no output or state, and for an output that no state changes.
    """
    book = _Book(model)
    output = _output(model, name)
    states = [one.name for one in model.states if one.name in book.equations.states_of(output.expression)]
    if not states:
        changing = [one.name for one in model.outputs if book.equations.states_of(one.expression)]
        raise InputError(
            f'{model.name}: no state changes "{name}", so that there is nothing to explain'
            + (f"; outputs that states change are {', '.join(changing)}" if changing else "")
        )
    found = [book.of_output(output, states)]
    pool = book.pool(states)
    units = {one.unit for one in model.states if one.name in pool}
    if set(pool) != set(states) and len(units) == 1:
        found.append(book.of_pool(pool, units.pop()))
    return found


def _output(model: Model, name: str) -> Output:
    for output in model.outputs:
        if output.name == name:
            return output
    for state in model.states:
        if state.name == name:
            return Output(name, Name(name), state.unit, state.description)
    known = [*(one.name for one in model.outputs), *(one.name for one in model.states)]
    raise InputError(f'{model.name} has no output or state "{name}"; {question_or_list(name, known)}')


class _Book:
    def __init__(self, model: Model) -> None:
        self.model, self.equations = model, Equations(model)
        self.terms = {state: self.equations.terms(right) for state, right in model.equations.items()}
        known: list[Parameter | Definition | State] = [*model.parameters, *model.definitions, *model.states]
        self.called = {one.name: one.description for one in known}
        self.units = {one.name: one.unit for one in known}
        self.dosed = {route.target for route in model.routes}

    def of_output(self, output: Output, states: Sequence[str]) -> Quantity:
        weights = {state: self.equations.slope(output.expression, state) for state in states}
        entries = list(self._entries(weights))
        explicit = self.equations.slope(output.expression, "t")
        if explicit != NOUGHT:
            entries.append(LedgerLine("the time itself", TIME, ((explicit, Summand(1, (ONE,))),)))
        what, expression = output.description, output.expression
        return Quantity(output.name, what, output.unit, expression, tuple(entries), self._dosed(states))

    def of_pool(self, pool: Sequence[str], unit: str) -> Quantity:
        described = [self.called[state] or state for state in pool]
        expression = summed([Name(state) for state in pool])
        entries = tuple(self._entries(dict.fromkeys(pool, ONE)))
        return Quantity(" + ".join(pool), " + ".join(described), unit, expression, entries, self._dosed(pool))

    def _dosed(self, states: Collection[str]) -> bool:
        return not self.dosed.isdisjoint(states)

    def partners(self, state: str, term: Summand) -> list[str]:
        """States whose equations have the same term with the other sign."""
        return [
            other
            for other, terms in self.terms.items()
            if other != state and any(one.key == term.key and one.sign == -term.sign for one in terms)
        ]

    def pool(self, states: Sequence[str]) -> list[str]:
        """The states that are joined to these by exchange, in the order of the model."""
        found, ahead = set(states), list(states)
        while ahead:
            state = ahead.pop()
            for term in self.terms[state]:
                new = set(self.partners(state, term)) - found
                found |= new
                ahead += sorted(new)
        if len(found) > MOST_POOLED:
            return list(states)
        return [state for state in self.terms if state in found]

    def _entries(self, weights: dict[str, Expression]) -> Iterator[LedgerLine]:
        """Of a quantity with these slopes by its states."""
        groups: dict[tuple[str, ...], list[tuple[Expression, Summand]]] = {}
        for state, weight in weights.items():
            for term in self.terms[state]:
                inside = [
                    other
                    for other in self.partners(state, term)
                    if other in weights and expression_text(weights[other]) == expression_text(weight)
                ]
                if inside:
                    continue  # it stays within
                outside = [other for other in self.partners(state, term) if other not in weights]
                key = ("to", *outside) if outside else ("term", state, str(term.key))
                groups.setdefault(key, []).append((weight, term))
        for (kind, *about), weighted in groups.items():
            if kind == "to":
                yield LedgerLine(self._exchange(about, weighted), EXCHANGE, tuple(weighted))
            else:
                yield self._alone(weighted)

    def _exchange(self, others: Sequence[str], weighted: Sequence[tuple[Expression, Summand]]) -> str:
        signs = {term.sign for _, term in weighted}
        word = "exchange with" if len(signs) == 2 else "comes from" if signs == {1} else "goes to"
        return f"{word} {' and '.join(self.called[other] or other for other in others)}"

    def _alone(self, weighted: Sequence[tuple[Expression, Summand]]) -> LedgerLine:
        _, term = weighted[0]
        stays, moving = self.equations.factors(term)
        factors: tuple[Factor, ...] = ()
        if len(weighted) == 1 and 1 < len(moving) <= MOST_FACTORS:
            factors = tuple(Factor(one, self._words(one)) for one in moving)
        return LedgerLine(self._term_words(term), STATE, tuple(weighted), stays, factors)

    def _words(self, factor: Expression) -> str:
        text = expression_text(factor)
        return self.called.get(text, "") or text

    def _term_words(self, term: Summand) -> str:
        """What a term is called: after the definition in it that changes along a course, else after its rate,
        else as it is written."""
        known = [one.name for one in (*term.above, *term.below) if isinstance(one, Name)]
        definitions, states = self.equations.definitions, self.model.equations
        ranked = [
            [name for name in known if name in definitions and name in self.equations.course],
            [name for name in known if name not in states and self._is_rate(name)],
            [name for name in known if name not in states],
            known,
        ]
        for name in itertools.chain(*ranked):
            if self.called.get(name):
                return _short(self.called[name])
        return expression_text(term.product)

    def _is_rate(self, name: str) -> bool:
        unit = self.units.get(name, "")
        return unit.endswith(f"/{self.model.time_unit}")


def _short(description: str) -> str:
    """A description up to where it begins to explain itself."""
    for mark in (", ", "; ", ": ", " ("):
        description = description.partition(mark)[0]
    return description


@dataclass(frozen=True)
class Sheet:
    """The derived model, and what its outputs are: ``totals`` of each quantity; ``terms`` and ``parts`` of
    each of its entries; ``rests`` : parameters, and the outputs whose values at rest they take."""

    model: Model
    totals: tuple[str, ...]
    terms: tuple[tuple[str, ...], ...]
    parts: tuple[tuple[tuple[str, ...], ...], ...]
    factors: tuple[tuple[tuple[str, ...], ...], ...]
    rests: tuple[tuple[str, str], ...]


def sheet(model: Model, found: Sequence[Quantity]) -> Sheet:
    """The model with the terms of these quantities as outputs, and no other.

    A term is its weight times what it is beyond rest, for which there is a parameter; the parts of a term are
    the same, parted among what changes in it.
    """
    made = _Sheet(model)
    totals, terms, parts, factors = [], [], [], []
    for quantity in found:
        totals.append(made.output(quantity.expression))
        terms.append(tuple(made.entry(entry) for entry in quantity.entries))
        of_entries = [made.parts(entry) for entry in quantity.entries]
        parts.append(tuple(names for names, _ in of_entries))
        factors.append(tuple(names for _, names in of_entries))
    return Sheet(
        replace(
            model,
            parameters=(*model.parameters, *made.parameters),
            outputs=tuple(made.outputs),
            text=f"{model.text}\n# the terms of {', '.join(one.name for one in found)}\n",
        ),
        tuple(totals),
        tuple(terms),
        tuple(parts),
        tuple(factors),
        tuple(made.rests),
    )


class _Sheet:
    def __init__(self, model: Model) -> None:
        known: list[Parameter | Definition | State] = [*model.parameters, *model.definitions, *model.states]
        self.taken = {one.name for one in known}
        self.outputs: list[Output] = []
        self.parameters: list[Parameter] = []
        self.rests: list[tuple[str, str]] = []

    def name(self, begin: str) -> str:
        found = begin
        while found in self.taken:
            found += "_"
        self.taken.add(found)
        return found

    def output(self, expression: Expression) -> str:
        name = self.name(f"look_{len(self.outputs)}")
        self.outputs.append(Output(name, expression, "1"))
        return name

    def rest(self, expression: Expression) -> tuple[str, Expression]:
        """The output of an expression, and the parameter for its value at rest."""
        output, name = self.output(expression), self.name(f"rest_{len(self.parameters)}")
        self.parameters.append(Parameter(name, 0.0, "1"))
        self.rests.append((name, output))
        return output, Name(name)

    def entry(self, entry: LedgerLine) -> str:
        pieces: list[Expression] = []
        for weight, term in entry.weighted:
            _, rest = self.rest(term.expression)
            pieces.append(Binary("*", weight, Binary("-", term.expression, rest)))
        return self.output(summed(pieces))

    def parts(self, entry: LedgerLine) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Outputs of the parts of a term, and of its factors."""
        if not entry.factors:
            return (), ()
        ((weight, _),) = entry.weighted
        rests = [self.rest(factor.expression) for factor in entry.factors]
        stays = Binary("*", weight, entry.stays)
        some = parted(stays, [factor.expression for factor in entry.factors], [rest for _, rest in rests])
        return tuple(self.output(part) for part in some), tuple(output for output, _ in rests)
