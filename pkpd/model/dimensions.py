"""Units of expressions: every sum, comparison and argument must fit, in dimension and in scale.

Literals are plain numbers; 0 fits any unit. Sub-expressions made of literals alone are computed, so that
``1/0`` or ``9^9^9^9`` is found when the file is read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from pkpd.core import units
from pkpd.core.errors import ModelError
from pkpd.core.units import ONE, Unit
from pkpd.model.text import (
    Binary,
    Call,
    Expression,
    ModelText,
    Name,
    Negative,
    Node,
    Number,
    Piece,
    Relation,
    Token,
    expression_text,
    number_text,
)

MAX_EXPONENT = 100


class Dimensioned(NamedTuple):
    """What is known of an expression: its unit (None: fits any) and its number if it is made of literals
    alone."""

    unit: Unit | None
    constant: float | None


def unit_at(source: ModelText, piece: Piece | Token) -> Unit:
    """The unit that is written in a place. Raises ``ModelError``."""
    unit = units.examine(piece.text)
    if isinstance(unit, units.UnitProblem):
        column = piece.column + unit.offset
        raise source.error(unit.message, piece.line, column, unit.length, unit.hint)
    return unit


def is_literal(node: Expression) -> bool:
    return isinstance(node, Number) or (isinstance(node, Negative) and isinstance(node.operand, Number))


def _short(node: Node) -> str:
    text = expression_text(node)
    return text if len(text) <= 40 else text[:37] + "..."


def _start(node: Node) -> tuple[int, int]:
    """Where the text of a node begins (a binary node knows where its operator stands)."""
    while isinstance(node, Binary | Relation):
        node = node.left
    return node.line, node.column


def _hill(x: float, k: float, n: float = 1.0) -> float:
    return float(x**n / (k**n + x**n))


# for literals alone, so that 1/0 or 9^9^9^9 is found when the file is read
_OPERATIONS: dict[str, Callable[..., float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "min": min,
    "max": max,
    "hill": _hill,
}


def _terms(node: Expression) -> Iterator[Expression]:
    """The terms of a sum, signs left out; an expression that is no sum is one term."""
    match node:
        case Binary(operator="+" | "-"):
            yield from _terms(node.left)
            yield from _terms(node.right)
        case Negative():
            yield from _terms(node.operand)
        case _:
            yield node


class UnitChecker:
    """Finds the unit of expressions and complains where two do not fit."""

    def __init__(self, source: ModelText, unit_of: Callable[[Name], Unit]) -> None:
        self.source = source
        self.unit_of = unit_of

    def value(self, node: Expression) -> Dimensioned:
        """Unit and constant of an expression. Raises ``ModelError``."""
        try:
            unit, constant = self._value(node)
            sound = unit is None or 0 < unit.scale < math.inf
        except OverflowError:
            sound = False
        if not sound:
            hint = "it is too large or too small: a power of a power was perhaps not meant"
            raise self._error(node, f"the unit of {_short(node)} is no size of anything", hint)
        if constant is not None and not math.isfinite(constant):
            raise self._error(node, f"{_short(node)} is no finite number")
        return Dimensioned(None if constant == 0 else unit, constant)

    def _value(self, node: Expression) -> Dimensioned:
        match node:
            case Number():
                return Dimensioned(ONE, node.value)
            case Name():
                return Dimensioned(self.unit_of(node), None)
            case Negative():
                unit, constant = self.value(node.operand)
                return Dimensioned(unit, None if constant is None else -constant)
            case Binary(operator="^"):
                return self._power(node)
            case Binary():
                return self._arithmetic(node)
            case Call():
                return self._call(node)

    def _arithmetic(self, node: Binary) -> Dimensioned:
        left, right = self.value(node.left), self.value(node.right)
        constant = None
        if node.operator == "/" and right.constant == 0:
            raise self._error(node.right, "division by zero")
        if left.constant is not None and right.constant is not None:
            constant = self._computed(node, _OPERATIONS[node.operator], left, right)
        if node.operator in "+-":
            verb = "added" if node.operator == "+" else "subtracted"
            return Dimensioned(
                self._agreed([(node.left, left.unit), (node.right, right.unit)], f"cannot be {verb}"),
                constant,
            )
        if left.unit is None or right.unit is None:
            return Dimensioned(None, constant)
        return Dimensioned(
            left.unit * right.unit if node.operator == "*" else left.unit / right.unit, constant
        )

    def _power(self, node: Binary) -> Dimensioned:
        base, exponent = self.value(node.left), self.value(node.right)
        self._plain(node.right, exponent.unit, "an exponent")
        if exponent.constant is not None and base.constant is None and abs(exponent.constant) > MAX_EXPONENT:
            raise self._error(node.right, f"the exponent {_short(node.right)} is beyond {MAX_EXPONENT}")
        if base.constant is not None and exponent.constant is not None:
            return Dimensioned(ONE, self._computed(node, _OPERATIONS[node.operator], base, exponent))
        if base.unit is None or base.unit.same(ONE):
            return Dimensioned(ONE if base.unit else None, None)
        if exponent.constant is None:
            raise self._error(
                node.left,
                f"{_short(node.left)} is in {base.unit}, but the base of a power with a variable "
                "exponent must be a plain number",
                "divide it by a reference value, for instance (WT/WT_reference)^b",
            )
        power = Fraction(exponent.constant).limit_denominator(1000)
        return Dimensioned(base.unit**power, None)

    def _computed(self, node: Expression, function: Callable[..., float], *values: Dimensioned) -> float:
        try:
            result = function(*(value.constant for value in values))
        except (OverflowError, ZeroDivisionError, ValueError):
            raise self._error(node, f"{_short(node)} is no finite number") from None
        if isinstance(result, complex) or not math.isfinite(result):
            raise self._error(node, f"{_short(node)} is no finite number")
        return result

    def _call(self, node: Call) -> Dimensioned:
        name = node.function
        if name == "piecewise":
            return self._piecewise(node)
        arguments = [argument for argument in node.arguments if not isinstance(argument, Relation)]
        values = [self.value(argument) for argument in arguments]
        pairs = [(argument, value.unit) for argument, value in zip(arguments, values, strict=True)]
        known = all(value.constant is not None for value in values)
        if name in ("exp", "log"):
            self._plain(arguments[0], values[0].unit, f"the argument of {name}")
            return Dimensioned(ONE, self._computed(node, _OPERATIONS[name], values[0]) if known else None)
        if name == "hill":
            self._agreed(pairs[:2], "cannot both stand in hill(x, k)")
            if len(arguments) == 3:
                self._plain(arguments[2], values[2].unit, "the exponent of hill")
            return Dimensioned(ONE, self._computed(node, _OPERATIONS[name], *values) if known else None)
        if name == "sqrt":
            unit = values[0].unit
            return Dimensioned(
                unit ** Fraction(1, 2) if unit else None,
                self._computed(node, _OPERATIONS[name], values[0]) if known else None,
            )
        unit = self._agreed(pairs, f"cannot be compared by {name}")
        return Dimensioned(unit, self._computed(node, _OPERATIONS[name], *values) if known else None)

    def _piecewise(self, node: Call) -> Dimensioned:
        branches: list[tuple[Expression, Unit | None]] = []
        for argument in node.arguments:
            if isinstance(argument, Relation):
                sides = [(side, self.value(side).unit) for side in (argument.left, argument.right)]
                self._agreed(sides, "cannot be compared")
            else:
                branches.append((argument, self.value(argument).unit))
        return Dimensioned(self._agreed(branches, "cannot be branches of one piecewise"), None)

    def _agreed(self, parts: list[tuple[Expression, Unit | None]], verdict: str) -> Unit | None:
        first: tuple[Expression, Unit] | None = None
        for part, unit in parts:
            if unit is None:
                continue
            if first is None:
                first = (part, unit)
            elif not first[1].same(unit):
                known = first
                # a plain number beside a quantity is the likelier mistake
                if known[1].same(ONE) and is_literal(known[0]):
                    known, (part, unit) = (part, unit), known
                message = f"{_short(known[0])} is in {known[1]} and {_short(part)} in {unit}: they {verdict}"
                raise self._error(part, message, conversion_hint(unit, known[1], _short(part)))
        return first[1] if first else None

    def _plain(self, node: Expression, unit: Unit | None, what: str) -> None:
        if unit is not None and not unit.same(ONE):
            hint = (
                conversion_hint(unit, ONE, _short(node))
                if unit.dimensionless
                else "divide it by a reference value in the same unit"
            )
            raise self._error(node, f"{what} must be a plain number, but {_short(node)} is in {unit}", hint)

    def require(self, node: Expression, expected: Unit, what: str) -> None:
        """Check that an expression has this unit, and each term of a sum by itself, so that the wrong term is
        shown."""
        for term in _terms(node):
            unit = self.value(term).unit
            if unit is not None and not unit.same(expected):
                hint = conversion_hint(unit, expected, _short(term))
                raise self._error(term, f"{_short(term)} is in {unit}, but {what}", hint)
        self.value(node)

    def _error(self, node: Node, message: str, hint: str = "") -> ModelError:
        line, column = _start(node)
        written = len(expression_text(node))
        row = self.source.text.splitlines()[line - 1]
        return self.source.error(message, line, column, max(1, min(written, len(row) - column + 1)), hint)


def conversion_hint(unit: Unit, expected: Unit, what: str = "it") -> str:
    """How a quantity in one unit comes to stand in another: the number to multiply by, or the missing
    dimension."""
    if unit.same_dimension(expected):
        number = float(f"{unit.scale / expected.scale:.12g}")
        ratio = expected / unit
        return (
            f"1 {unit} = {number_text(number)} {expected}: "
            f"multiply by a constant, define c = {number_text(number)} [{ratio}]"
        )
    if unit.same(ONE):
        return (
            f"{what} is a plain number: give it a name and a unit, for instance parameter k = 1 [{expected}]"
        )
    return (
        f"{units.dimension_text(unit)} is not {units.dimension_text(expected)}: a factor in "
        f"{expected / unit} is missing"
    )
