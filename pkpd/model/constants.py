"""What parameters alone decide: taken out of the functions of a model and computed once for every subject.

``CL/V*central`` becomes ``CL_over_V*central``, and a definition without states, such as an amount at rest,
becomes a constant of its own name. An integrator evaluates the rates some ten thousand times between two
changes of parameters, and divisions are what they spend their time on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sympy

from pkpd.model.derive import Expr, Less, LessEqual, Names, Step

LONGEST_NAME = 3  # symbols in the name of a product; constants beyond are numbered


class Constants:
    """The constants of one model, in the order in which they can be computed.

    ``steps`` defines them by parameters and by each other; ``slots`` gives those that a function reads their
    place behind the parameters.
    """

    def __init__(self, parameters: Iterable[Expr], names: Names) -> None:
        self.names = names
        self.fixed: set[Expr] = set(parameters)
        self.steps: list[Step] = []
        self.slots: dict[Expr, int] = {}
        self._known: dict[Expr, Expr] = {}
        self._numbers: set[Expr] = set()

    def take_out(self, steps: Sequence[Step], targets: Sequence[Expr]) -> tuple[list[Step], list[Expr]]:
        """The same computation without what is constant: the steps and targets that are left."""
        own: dict[Expr, Expr] = {}  # constants of this function's steps, under the name that they got
        left: list[Step] = []
        for step in steps:
            expr = step.expr.xreplace(own)
            if not expr.free_symbols:
                left.append(step)
                if step.symbol not in self._numbers:
                    self._numbers.add(step.symbol)
                    self.steps.append(step)
            elif self._is_fixed(expr):
                own[step.symbol] = self._constant(expr, step)
            else:
                left.append(Step(step.symbol, self._rest(expr), step.unit, step.note))
        return left, [self._rest(target.xreplace(own)) for target in targets]

    def slot(self, symbol: Expr) -> int:
        """The place of a constant that a function reads."""
        return self.slots.setdefault(symbol, len(self.slots))

    def _is_fixed(self, expr: Expr) -> bool:
        return all(symbol in self.fixed or symbol in self._numbers for symbol in expr.free_symbols)

    def _rest(self, expr: Expr) -> Expr:
        """An expression with its constant parts replaced by constants."""
        if expr.is_Atom or expr.is_number:
            return expr
        if self._is_fixed(expr) and not isinstance(expr, Less | LessEqual):
            return self._replaced(expr)
        if expr.is_Mul or expr.is_Add:
            fixed = [part for part in expr.args if self._is_fixed(part)]
            varying = [self._rest(part) for part in expr.args if not self._is_fixed(part)]
            return expr.func(self._replaced(expr.func(*fixed)), *varying)
        return expr.func(*map(self._rest, expr.args))

    def _replaced(self, expr: Expr) -> Expr:
        """A constant expression as one symbol, with its sign in front; left as it is where it is no work."""
        if expr.could_extract_minus_sign():
            return -self._replaced(-expr)
        if expr.is_Symbol or not any(symbol in self.fixed for symbol in expr.free_symbols):
            return expr
        return self._constant(expr)

    def _constant(self, expr: Expr, step: Step | None = None) -> Expr:
        if expr not in self._known:
            if step is None:
                wish = _name(expr)
                symbol = self.names.fresh(wish) if wish else sympy.Symbol(self.names.numbered("c"))
            else:
                symbol = step.symbol if step.symbol not in self.fixed else self.names.fresh(step.symbol.name)
            self._known[expr] = symbol
            self.fixed.add(symbol)
            self.steps.append(Step(symbol, expr, step.unit if step else "", step.note if step else ""))
        return self._known[expr]


def _name(expr: Expr) -> str:
    """``CL_over_V`` for a short product of symbols, else nothing."""
    above, below = [], []
    for factor in sympy.Mul.make_args(expr):
        if factor.is_Symbol:
            above.append(factor.name)
        elif factor.is_Pow and factor.args[1] == -1 and factor.args[0].is_Symbol:
            below.append(factor.args[0].name)
        else:
            return ""
    if len(above) + len(below) > LONGEST_NAME:
        return ""
    shown = "_".join(above) or "one"
    return "_".join([shown, "over", *below]) if below else shown
