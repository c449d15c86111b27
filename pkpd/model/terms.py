"""Equations -> their additive terms, terms -> their factors, outputs -> their slopes by a state.

    S in  d S = ks*(F - S) - kd*occ*S   ->   ks*F,  -ks*S,  -kd*occ*S

A product with a sum that changes with the course is written out once; a sum of constants stays a factor, and
what has a name keeps it: it is by its names that a person knows an equation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

from pkpd.model.check import Definition, Model
from pkpd.model.text import Binary, Call, Expression, Name, Negative, Number, Relation, expression_text, names

NOUGHT: Expression = Number(0.0)
ONE: Expression = Number(1.0)
MOST_FACTORS = 4
"""That vary, into whose changes that of a product is parted."""


@dataclass(frozen=True)
class Summand:
    """A signed product: the factors above and below its line."""

    sign: int
    above: tuple[Expression, ...]
    below: tuple[Expression, ...] = ()

    @property
    def product(self) -> Expression:
        """Without its sign."""
        top = reduce(_times, self.above, ONE)
        return reduce(lambda left, right: Binary("/", left, right), self.below, top)

    @property
    def expression(self) -> Expression:
        """With its sign."""
        return self.product if self.sign > 0 else Negative(self.product)

    @property
    def text(self) -> str:
        """As a person would write it: ``-kd*occ*S``."""
        return ("" if self.sign > 0 else "-") + expression_text(self.product)

    @property
    def key(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The same of two that differ in their sign and the order of their factors."""
        ones = (
            tuple(sorted(expression_text(factor) for factor in side)) for side in (self.above, self.below)
        )
        above, below = ones
        return above, below


class Equations:
    """The equations of a model, taken apart."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.definitions: dict[str, Definition] = {one.name: one for one in model.definitions}

    @cached_property
    def course(self) -> frozenset[str]:
        """Names that change along a course: states, the time, and definitions of these."""
        found = {"t", *(state.name for state in self.model.states)}
        for one in self.model.definitions:  # each stands after those it uses
            if not found.isdisjoint(names(one.expression)):
                found.add(one.name)
        return frozenset(found)

    def varies(self, expression: Expression) -> bool:
        """Whether an expression changes along a course."""
        return not self.course.isdisjoint(names(expression))

    def states_of(self, expression: Expression) -> frozenset[str]:
        """The states that an expression is made of, those of its definitions included."""
        found: set[str] = set()
        for name in names(expression):
            if name in self.definitions:
                found |= self.states_of(self.definitions[name].expression)
            elif name in self.model.equations:
                found.add(name)
        return frozenset(found)

    # -- terms

    def terms(self, expression: Expression) -> list[Summand]:
        """The additive terms of a right-hand side."""
        return list(self._terms(expression, 1, written_out=False))

    def _terms(self, node: Expression, sign: int, written_out: bool) -> Iterator[Summand]:
        match node:
            case Binary(operator="+" | "-"):
                yield from self._terms(node.left, sign, written_out)
                yield from self._terms(node.right, sign if node.operator == "+" else -sign, written_out)
            case Negative():
                yield from self._terms(node.operand, -sign, written_out)
            case Name() if self._is_sum(self._meant(node)) and self.varies(node):
                yield from self._terms(self._meant(node), sign, written_out)
            case _:
                yield from self._product(node, sign, written_out)

    def _product(self, node: Expression, sign: int, written_out: bool) -> Iterator[Summand]:
        negative, above, below = _factors(node)
        term = Summand(-sign if negative else sign, above, below)
        sums = [factor for factor in above if self._is_sum(factor) and self.varies(factor)]
        if written_out or len(sums) != 1:
            yield term
            return
        (inner,) = sums
        for part in self._terms(inner, 1, written_out=True):
            ones = [part.above if factor is inner else (factor,) for factor in above]
            kept = tuple(one for one in itertools.chain(*ones) if one != ONE)
            yield Summand(term.sign * part.sign, kept or (ONE,), below + part.below)

    def _meant(self, node: Expression) -> Expression:
        """What a definition stands for; any other expression is what it is."""
        if isinstance(node, Name) and node.name in self.definitions:
            return self._meant(self.definitions[node.name].expression)
        return node

    @staticmethod
    def _is_sum(node: Expression) -> bool:
        return isinstance(node, Binary) and node.operator in "+-"

    def factors(self, term: Summand) -> tuple[Expression, tuple[Expression, ...]]:
        """What of a term stays, with its sign, and the factors that change along a course; of a name alone,
        those of what it stands for."""
        above, below, sign = term.above, term.below, term.sign
        varying = [factor for factor in (*above, *below) if self.varies(factor)]
        if len(varying) == 1 and varying[0] in above:
            negative, inner, under = _factors(self._meant(varying[0]))
            if sum(self.varies(factor) for factor in (*inner, *under)) > 1:
                above = tuple(f for f in above if f is not varying[0]) + inner
                below, sign = below + under, -sign if negative else sign
        stays = Summand(
            sign,
            tuple(factor for factor in above if not self.varies(factor)) or (ONE,),
            tuple(factor for factor in below if not self.varies(factor)),
        )
        moving = [factor for factor in above if self.varies(factor)]
        moving += [Binary("/", ONE, factor) for factor in below if self.varies(factor)]
        return stays.expression, tuple(moving)

    # -- slopes

    def slope(self, expression: Expression, by: str) -> Expression:
        """The partial derivative by a state, or by the time ``t``; ``Number(0)`` where there is none."""
        match expression:
            case Name():
                if expression.name == by:
                    return ONE
                if expression.name in self.definitions:
                    return self.slope(self.definitions[expression.name].expression, by)
                return NOUGHT
            case Negative():
                return _negative(self.slope(expression.operand, by))
            case Binary():
                return self._slope_of(expression, by)
            case Call():
                return self._slope_of_call(expression, by)
        return NOUGHT

    def _slope_of(self, node: Binary, by: str) -> Expression:
        left, right = node.left, node.right
        of_left, of_right = self.slope(left, by), self.slope(right, by)
        match node.operator:
            case "+":
                return _plus(of_left, of_right)
            case "-":
                return _plus(of_left, _negative(of_right))
            case "*":
                return _plus(_times(of_left, right), _times(left, of_right))
            case "/":
                first = _over(of_left, right)
                second = _over(_times(left, of_right), Binary("^", right, Number(2.0)))
                return _plus(first, _negative(second))
        exponent = Number(right.value - 1.0) if isinstance(right, Number) else Binary("-", right, ONE)
        power = left if exponent == ONE else Binary("^", left, exponent)
        first = _times(_times(right, power), of_left)
        second = _times(_times(node, Call("log", (left,))), of_right)
        return _plus(first, second)

    def _slope_of_call(self, node: Call, by: str) -> Expression:
        arguments = [one for one in node.arguments if not isinstance(one, Relation)]
        first = arguments[0]
        inner = self.slope(first, by)
        match node.function:
            case "exp":
                return _times(node, inner)
            case "log":
                return _over(inner, first)
            case "sqrt":
                return _over(inner, _times(Number(2.0), node))
            case "abs":
                return _chosen([(inner, Relation(">", first, NOUGHT))], _negative(inner))
            case "hill":
                ratio: Expression = Binary("/", first, arguments[1])
                if len(arguments) == 3:
                    ratio = Binary("^", ratio, arguments[2])
                return self.slope(Binary("/", ratio, Binary("+", ONE, ratio)), by)
            case "min" | "max":
                sign = "<" if node.function == "min" else ">"
                *others, found = arguments
                of_found = self.slope(found, by)
                for one in reversed(others):
                    of_found = _chosen([(self.slope(one, by), Relation(sign, one, found))], of_found)
                    found = Call(node.function, (one, found))
                return of_found
        values = node.arguments[0::2]
        tests = node.arguments[1::2]
        slopes = [self.slope(value, by) for value in values if not isinstance(value, Relation)]
        pairs = [
            (slope, test) for slope, test in zip(slopes, tests, strict=False) if isinstance(test, Relation)
        ]
        return _chosen(pairs, slopes[-1])


def summed(expressions: Sequence[Expression]) -> Expression:
    """The sum of some expressions, of none 0."""
    return reduce(_plus, expressions, NOUGHT)


def parted(stays: Expression, factors: Sequence[Expression], rests: Sequence[Expression]) -> list[Expression]:
    """The change of a product from rest, parted among its factors: each has the mean of what its own change
    makes over all orders in which the factors may change (Shapley 1953), and the parts add up to the change.
    """
    n = len(factors)
    found = []
    for i, (factor, rest) in enumerate(zip(factors, rests, strict=True)):
        others = [k for k in range(n) if k != i]
        mean: Expression = NOUGHT
        for size in range(n):
            share = math.factorial(size) * math.factorial(n - 1 - size) / math.factorial(n)
            for moved in itertools.combinations(others, size):
                of_others = [factors[k] if k in moved else rests[k] for k in others]
                weight: Expression = ONE if share == 1.0 else Number(share)
                mean = _plus(mean, reduce(_times, of_others, weight))
        found.append(_times(_times(stays, Binary("-", factor, rest)), mean))
    return found


def _factors(node: Expression) -> tuple[bool, tuple[Expression, ...], tuple[Expression, ...]]:
    """Whether a product is negative, and its factors above and below the line."""
    match node:
        case Negative():
            negative, above, below = _factors(node.operand)
            return not negative, above, below
        case Binary(operator="*"):
            (one, above, below), (other, above_2, below_2) = _factors(node.left), _factors(node.right)
            return one != other, above + above_2, below + below_2
        case Binary(operator="/"):
            (one, above, below), (other, above_2, below_2) = _factors(node.left), _factors(node.right)
            return one != other, above + below_2, below + above_2
    return False, (node,), ()


def _negative(node: Expression) -> Expression:
    if isinstance(node, Negative):
        return node.operand
    return node if node == NOUGHT else Negative(node)


def _plus(left: Expression, right: Expression) -> Expression:
    if right == NOUGHT:
        return left
    if left == NOUGHT:
        return right
    return Binary("-", left, right.operand) if isinstance(right, Negative) else Binary("+", left, right)


def _times(left: Expression, right: Expression) -> Expression:
    if NOUGHT in (left, right):
        return NOUGHT
    if left == ONE or right == ONE:
        return right if left == ONE else left
    return Binary("*", left, right)


def _over(left: Expression, right: Expression) -> Expression:
    return left if left == NOUGHT else Binary("/", left, right)


def _chosen(pairs: Sequence[tuple[Expression, Relation]], otherwise: Expression) -> Expression:
    if all(value == NOUGHT for value in (*(value for value, _ in pairs), otherwise)):
        return NOUGHT
    return Call("piecewise", (*itertools.chain(*pairs), otherwise))
