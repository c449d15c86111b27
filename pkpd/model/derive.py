"""Model -> derivatives: sparse Jacobian, derivatives by parameters, and an elimination order.

Definitions are not substituted into the equations. They stay named *steps*, and derivatives are carried
through them by the chain rule in forward mode: the derivative of a step by a variable is a step of its own
(``da_dC``). That keeps the expressions small, the generated source readable, and sympy's work (one small
partial derivative at a time) cheap. Derivatives of derivatives need nothing new: the steps of a Jacobian are
steps like any others.

A model that uses the time ``t`` gets a last state ``t`` with derivative 1, so that every system is
autonomous; so does one without a state. Where no rate depends on a state or the time, nothing holds steps to
the course of the outputs: those that move get their integral as a state before ``t``, whose error does
(but for logarithms and roots beside a state: they may end, and the course of the state would end there).

Conditions at which the rates may jump are found here. ``a < b`` is read as ``a < b + hold1``: the symbol is 0
where the condition is looked at as it stands, and plus or minus infinity where the integrator holds it true
or false up to the instant at which it changes. That instant is known beforehand where the condition compares
the time with parameters (a timer); of other conditions of ``piecewise`` it is looked for on the way, where
derivatives are asked for.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import sympy

from pkpd.core.errors import ModelError
from pkpd.model import text
from pkpd.model.check import Definition, Model
from pkpd.ode.elimination import Elimination, eliminate
from pkpd.ode.kernel import INTEGRAL_OF

Expr: TypeAlias = Any  # a sympy expression; sympy ships no types
Sparse: TypeAlias = "dict[tuple[int, int], Expr]"

TIME = "t"
# Names that the generated functions need for themselves; a model's own `y` becomes `y_`.
RESERVED = frozenset({"y", "p", "dy", "J", "dJ", "out", "dout", "df", "exp", "log", "sqrt", "abs"}) | set(
    keyword.kwlist
)
LARGEST_PRODUCT = 16  # x^n with a larger n is a call of pow
# (k/x)^n in a hill function whose inverse counts as nothing: the derivative of a larger one would overflow on
# the way
LARGEST_RATIO = 1e200


# ---- functions that sympy does not have in the form needed here


class Less(sympy.Function):
    """The condition ``a < b``."""

    nargs = 2


class LessEqual(sympy.Function):
    """The condition ``a <= b``."""

    nargs = 2


class If(sympy.Function):
    """``If(condition, a, b)``: its derivative is the derivative of the active branch."""

    nargs = 3

    def _eval_derivative(self, s: Expr) -> Expr:
        condition, a, b = self.args
        return choose(condition, a.diff(s), b.diff(s))


class Absolute(sympy.Function):
    """``abs(x)``, with derivative 1 at 0."""

    nargs = 1

    def _eval_derivative(self, s: Expr) -> Expr:
        (x,) = self.args
        slope = x.diff(s)
        return choose(Less(x, sympy.S.Zero), -slope, slope)


class Power(sympy.Function):
    """``x^n`` with an exponent that is no whole number. Its slope at 0 is that from above, but for n < 1,
    where that is infinite: there it is taken as 0 or n, so that a Jacobian stays finite. (Sensitivities do
    not use it: see model/forward.py.)"""

    nargs = 2

    def _eval_derivative(self, s: Expr) -> Expr:
        x, n = self.args
        by_base, by_exponent = x.diff(s), n.diff(s)
        result = n * self._slope(x, n) * by_base if by_base != 0 else sympy.S.Zero
        if by_exponent != 0:
            result += choose(Less(sympy.S.Zero, x), self * sympy.log(x), sympy.S.Zero) * by_exponent
        return result

    @staticmethod
    def _slope(x: Expr, n: Expr) -> Expr:
        """``x^(n - 1)``."""
        if not n.is_Number:
            return choose(
                Less(sympy.S.Zero, x),
                Power(x, n - 1),
                choose(Less(sympy.S.One, n), sympy.S.Zero, sympy.S.One),
            )
        if n > 1:
            return power(x, n - 1)
        return choose(Less(sympy.S.Zero, x), 1 / power(x, 1 - n), sympy.S.Zero)


def choose(condition: Expr, a: Expr, b: Expr) -> Expr:
    """``If``, unless both branches are the same or the condition compares two numbers."""
    left, right = condition.args
    if left.is_Number and right.is_Number:
        return a if (left < right if isinstance(condition, Less) else left <= right) else b
    return a if a == b else If(condition, a, b)


@dataclass(frozen=True)
class Condition:
    """A condition at whose change the rates may jump.

    condition : it, without its symbol. A timer becomes true (turn > 0) or false (turn < 0) at ``value``, a
        time that parameters
    decide; of any other, ``value`` is positive where it is true, and ``turn`` is 0.
    """

    symbol: Expr
    condition: Expr
    value: Expr
    turn: Expr

    @property
    def is_timer(self) -> bool:
        """Whether parameters alone decide when it changes."""
        return bool(self.turn != 0)


# ---- steps ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A named intermediate value, ``symbol = expr``."""

    symbol: Expr
    expr: Expr
    unit: str = ""
    note: str = ""
    gradient: Callable[[Expr], Expr] | None = None
    """Partial derivative of ``expr`` by a symbol, where a better form than sympy's is known."""

    def partial(self, by: Expr) -> Expr:
        """Derivative by a symbol that stands in ``expr``, all other symbols held."""
        return self.gradient(by) if self.gradient is not None else self.expr.diff(by)


def needed(steps: Sequence[Step], targets: Iterable[Expr]) -> list[Step]:
    """The steps that the targets use, directly or through other steps, in their order."""
    wanted: set[Expr] = set()
    for target in targets:
        wanted |= target.free_symbols
    kept = []
    for step in reversed(steps):
        if step.symbol in wanted:
            wanted |= step.expr.free_symbols
            kept.append(step)
    return kept[::-1]


def used(steps: Sequence[Step], targets: Sequence[Expr]) -> set[Expr]:
    """The symbols in the targets and in the steps that they need."""
    return set().union(*(e.free_symbols for e in [*targets, *(s.expr for s in needed(steps, targets))]))


def _may_end(steps: Sequence[Step], target: Expr, moving: set[Expr]) -> bool:
    """Whether a logarithm of what moves stands in the target or in the steps that it needs, or a root of
    a sum or a difference (that of a product, as in a Hill function, has no end): it may be no number from
    some time on."""
    for whole in [target, *(step.expr for step in needed(steps, [target]))]:
        for part in whole.atoms(sympy.log, sympy.Pow, Power):
            base, *exponents = part.args
            ends = all(not exponent.is_integer and base.is_Add for exponent in exponents)
            if ends and not moving.isdisjoint(used(steps, [base])):
                return True
    return False


def differentiate(
    steps: Sequence[Step], targets: Sequence[Expr], by: Sequence[Expr], names: Names
) -> tuple[list[Step], Sparse]:
    """Forward mode: total derivatives of every target by every symbol of ``by``.

    Returns the steps (old and new, in an order in which they can be computed) and the structurally nonzero
    derivatives ``{(target, index in by): expression}``, sorted by target and index.
    """
    index = {symbol: k for k, symbol in enumerate(by)}
    total: dict[Expr, dict[int, Expr]] = {symbol: {k: sympy.S.One} for symbol, k in index.items()}
    known: dict[Expr, Expr] = {}
    out: list[Step] = []

    def gradient(expr: Expr, partial: Callable[[Expr], Expr]) -> dict[int, Expr]:
        terms: dict[int, list[Expr]] = {}
        for symbol in sorted(expr.free_symbols, key=str):
            inner = total.get(symbol)
            if not inner:
                continue
            slope = partial(symbol)
            if slope == 0:
                continue
            for k, chain in inner.items():
                terms.setdefault(k, []).append(slope * chain)
        summed = ((k, sympy.Add(*terms[k])) for k in sorted(terms))
        return {k: value for k, value in summed if value != 0}

    for step in needed(steps, targets):
        out.append(step)
        derivatives = gradient(step.expr, step.partial)
        for k, value in derivatives.items():
            if value.is_Atom:
                continue
            if value not in known:
                known[value] = names.fresh(derivative_name(step.symbol.name, by[k].name))
                out.append(Step(known[value], value))
            derivatives[k] = known[value]
        total[step.symbol] = derivatives
    entries: Sparse = {}
    for i, target in enumerate(targets):
        for k, value in gradient(target, target.diff).items():
            entries[i, k] = value
    return out, entries


def derivative_name(name: str, by: str) -> str:
    """``a`` by ``C`` is ``da_dC``; ``da_dC`` by ``S`` is ``da_dC_dS``."""
    return f"{name}_d{by}" if name.startswith("d") and "_d" in name else f"d{name}_d{by}"


class Names:
    """Python names that are still free."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(RESERVED) | set(taken)
        self.count = 1

    def fresh(self, wish: str) -> Expr:
        """A symbol with the wished name, or with an underscore and perhaps a number behind it where that is
        taken."""
        name, tries = wish, 1
        while name in self.taken:
            name = f"{wish}_{tries if tries > 1 else ''}"
            tries += 1
        self.taken.add(name)
        return sympy.Symbol(name)

    def numbered(self, letter: str) -> str:
        """The next free one of x1, x2, ..."""
        while f"{letter}{self.count}" in self.taken:
            self.count += 1
        name = f"{letter}{self.count}"
        self.taken.add(name)
        return name

    def copy(self) -> Names:
        """An independent copy."""
        return Names(self.taken)


# ---- expressions of the text -> sympy


def number(value: float) -> Expr:
    """A sympy number. Floats, so that no exact integer can grow without bound; 0 and 1 exact, so that they
    vanish."""
    if value in (0.0, 1.0, -1.0):
        return sympy.Integer(int(value))
    return sympy.Float(value)


class _Reader:
    """Turns the expression trees of a model into sympy expressions and steps."""

    def __init__(self, model: Model, symbols: dict[str, Expr], names: Names) -> None:
        self.model = model
        self.symbols = symbols
        self.names = names
        self.steps: list[Step] = []
        self.hills: dict[tuple[Expr, Expr, Expr], Expr] = {}
        self.conditions: dict[Expr, Condition] = {}
        self.time = symbols.get(TIME)
        self.fixed = {symbols[parameter.name] for parameter in model.parameters}
        self.timed: dict[Expr, Expr] = {}  # definitions that are linear in the time, written out

    def define(self, definition: Definition) -> None:
        """Append the step of one definition."""
        tree = definition.expression
        if isinstance(tree, text.Call) and tree.function == "hill":
            self.symbols[definition.name] = self.hill(tree, definition)
            return
        expr = self.read(tree)
        symbol = self.symbols[definition.name] = self.names.fresh(definition.name)
        self.steps.append(Step(symbol, expr, definition.unit, definition.description))
        if expr.free_symbols <= self.fixed:
            self.fixed.add(symbol)
        elif self.timer(expr) is not None:
            self.timed[symbol] = expr.xreplace(self.timed)

    def timer(self, expr: Expr) -> tuple[Expr, Expr] | None:
        """``(m, c)`` of an expression ``m*t + c`` whose m and c parameters decide; None where it is none."""
        if self.time is None:
            return None
        expr = expr.xreplace(self.timed)
        if not expr.free_symbols <= {*self.fixed, self.time}:
            return None
        slope = expr.diff(self.time)
        if slope == 0 or self.time in slope.free_symbols:
            return None
        return slope, expr.xreplace({self.time: sympy.S.Zero})

    def condition(self, condition: Expr, *, smooth: bool) -> Expr:
        """``a < b`` with the symbol that holds it, if it has one; smooth : whether what it decides does not
        jump there."""
        if condition in self.conditions:
            known = self.conditions[condition]
            return condition.func(condition.args[0], condition.args[1] + known.symbol)
        a, b = condition.args
        if (b - a).free_symbols <= self.fixed:
            return condition
        timer = self.timer(b - a)
        if timer is None and smooth:
            return condition
        symbol = self.names.fresh(f"hold{len(self.conditions) + 1}")
        value, turn = (-timer[1] / timer[0], timer[0]) if timer else (b - a, sympy.S.Zero)
        self.conditions[condition] = Condition(symbol, condition, value, turn)
        return condition.func(a, b + symbol)

    def absolute(self, x: Expr) -> Expr:
        """``abs(x)``."""
        if self.timer(x) is None:
            return Absolute(x)
        return choose(self.condition(Less(x, sympy.S.Zero), smooth=True), -x, x)

    def branch(self, test: Any, a: Expr, b: Expr) -> Expr:
        """``a`` where the test, a ``Relation``, holds, else ``b``."""
        sides = (test.left, test.right)
        for tree, other in (sides, sides[::-1]):
            if isinstance(tree, text.Call) and tree.function == "abs":
                x, limit = self.read(tree.arguments[0]), self.read(other)
                if self.timer(x) is None or not limit.free_symbols <= self.fixed:
                    continue
                kind = Less if test.operator in ("<", ">") else LessEqual
                if (test.operator in ("<", "<=")) == (tree is test.left):  # -limit < x < limit
                    inner = choose(self.condition(kind(x, limit), smooth=False), a, b)
                    return choose(self.condition(kind(-limit, x), smooth=False), inner, b)
                outer = choose(self.condition(kind(limit, x), smooth=False), a, b)
                return choose(self.condition(kind(x, -limit), smooth=False), a, outer)
        condition = self.read(test)
        left, right = condition.args
        if left.is_Number and right.is_Number:
            return choose(condition, a, b)
        return choose(self.condition(condition, smooth=False), a, b)

    def read(self, tree: text.Expression | text.Relation) -> Expr:
        """One tree as a sympy expression; parts that are numbers are computed at once, as floats."""
        match tree:
            case text.Number():
                return number(tree.value)
            case text.Name():
                return self.symbols[tree.name]
            case text.Negative():
                return -self.read(tree.operand)
            case text.Binary():
                return self.binary(tree)
            case text.Relation():
                a, b = self.read(tree.left), self.read(tree.right)
                if tree.operator in (">", ">="):
                    a, b = b, a
                return Less(a, b) if tree.operator in ("<", ">") else LessEqual(a, b)
            case text.Call():
                return self.call(tree)
        raise TypeError(f"not an expression: {tree!r}")

    def binary(self, tree: text.Binary) -> Expr:
        a, b = self.read(tree.left), self.read(tree.right)
        if a.is_Number and b.is_Number:
            return self.fold(tree, tree.operator, float(a), float(b))
        match tree.operator:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "/":
                if b == 0:
                    raise self.error(tree, "division by zero")
                return a / b
        return power(a, b)

    def call(self, tree: text.Call) -> Expr:
        if tree.function == "hill":
            return self.hill(tree)
        if tree.function == "piecewise":
            *pairs, otherwise = tree.arguments
            result = self.read(otherwise)
            for value, test in zip(pairs[-2::-2], pairs[-1::-2], strict=True):
                result = self.branch(test, self.read(value), result)
            return result
        arguments = [self.read(argument) for argument in tree.arguments]
        first = arguments[0]
        match tree.function:
            case "exp" | "log" | "sqrt" | "abs" if first.is_Number:
                return self.fold(tree, tree.function, float(first))
            case "exp":
                return sympy.exp(first)
            case "log":
                return sympy.log(first)
            case "sqrt":
                return power(first, sympy.S.Half)
            case "abs":
                return self.absolute(first)
            case "min" | "max":
                result = first
                for other in arguments[1:]:
                    smaller = (other, result) if tree.function == "min" else (result, other)
                    result = choose(self.condition(Less(*smaller), smooth=True), other, result)
                return result
        raise TypeError(f"unknown function {tree.function}")

    def hill(self, tree: text.Call, definition: Definition | None = None) -> Expr:
        """``x^n/(k^n + x^n)``, 0 where x <= 0, as a step of its own.

        Written as 1/(1 + (k/x)^n), which neither overflows nor loses digits; the derivatives use the value h
        itself: dh/dx = n h (1-h)/x, dh/dk = -n h (1-h)/k, dh/dn = h (1-h) log(x/k).
        """
        x, k, *rest = (self.read(argument) for argument in tree.arguments)
        n = rest[0] if rest else sympy.S.One
        if definition is None and (x, k, n) in self.hills:
            return self.hills[x, k, n]
        symbol = self.hills[x, k, n] = self.names.fresh(definition.name if definition else "hill")
        if (x.free_symbols | k.free_symbols | n.free_symbols) <= self.fixed:
            self.fixed.add(symbol)
        zero = sympy.S.Zero
        least = zero
        if n != 1:
            least = k * power(number(LARGEST_RATIO), -1 / n)
            least = least if n.is_Number else choose(Less(zero, n), least, zero)
        above = Less(least, x)
        positive = self.condition(above, smooth=True)
        if n == 1:
            value = x / (k + x)
            by_x, by_k, by_n = k / (k + x) ** 2, -x / (k + x) ** 2, zero
        else:
            value = 1 / (1 + power(k / x, n))
            # a timer holds the condition true from the instant at which x is 0
            value = value if positive == above else choose(above, value, zero)
            bell = symbol * (1 - symbol)
            by_x, by_k, by_n = n * bell / x, -n * bell / k, bell * sympy.log(x / k)

        def gradient(s: Expr) -> Expr:
            slope = by_x * x.diff(s) + by_k * k.diff(s) + by_n * n.diff(s)
            slope = slope if positive == above else choose(above, slope, zero)
            return choose(positive, slope, zero)

        described = (definition.unit, definition.description) if definition else ("", "")
        self.steps.append(Step(symbol, choose(positive, value, zero), *described, gradient))
        return symbol

    def fold(self, tree: text.Binary | text.Call, what: str, *values: float) -> Expr:
        """Arithmetic on numbers, with a located error where the result is none."""
        try:
            result = _FOLDS[what](*values)
        except (ArithmeticError, ValueError):
            result = math.nan
        if not isinstance(result, float) or not math.isfinite(result):
            shown = f"{values[0]:g} {what} {values[1]:g}" if len(values) == 2 else f"{what}({values[0]:g})"
            raise self.error(tree, f"{shown} is not a finite number")
        return number(result)

    def error(self, tree: text.Binary | text.Call, message: str) -> ModelError:
        return text.ModelText(self.model.text, self.model.file).error(message, tree.line, tree.column)


_FOLDS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
}


def power(base: Expr, exponent: Expr) -> Expr:
    """``base^exponent``; whole and half exponents exact, so that they become products and roots."""
    if not exponent.is_Number:
        return Power(base, exponent)
    twice = 2 * float(exponent)
    if twice == int(twice) and abs(twice) <= 2 * LARGEST_PRODUCT:
        exponent = sympy.Rational(int(twice), 2)
    if exponent.is_Integer or base.is_number:
        return base**exponent
    return Power(base, exponent) if exponent > 0 else 1 / Power(base, -exponent)


def names_used(tree: Any) -> Iterator[str]:
    """The names in an expression of the text."""
    match tree:
        case text.Name():
            yield tree.name
        case text.Negative():
            yield from names_used(tree.operand)
        case text.Binary() | text.Relation():
            yield from names_used(tree.left)
            yield from names_used(tree.right)
        case text.Call():
            for argument in tree.arguments:
                yield from names_used(argument)


# ---- the whole model

ROUTE_DEFAULTS = {"lag": 0.0, "F": 1.0, "duration": 0.0, "rate": 0.0}


@dataclass(frozen=True)
class Derived:
    """A model as sympy expressions over named steps, with derivatives computed when asked for.

    ``states`` and ``parameters`` are symbols in file order; ``states`` ends with the integrals of the outputs
    ``integrated``, and with ``t`` where the model uses time or has no state. ``rhs``, ``outputs``,
    ``initial`` are one expression per state or output; ``routes`` has four per route (lag, F, duration,
    rate). ``conditions`` are those at which rates may jump, and timers of outputs. Sparse results are
    ``{(row, column): expression}`` in row-major order, each with the list of steps that it needs.
    """

    model: Model
    states: tuple[Expr, ...]
    parameters: tuple[Expr, ...]
    steps: tuple[Step, ...]
    rhs: tuple[Expr, ...]
    outputs: tuple[Expr, ...]
    initial: tuple[Expr, ...]
    routes: tuple[Expr, ...]
    timed: bool
    names: Names = field(repr=False)
    conditions: tuple[Condition, ...] = ()
    integrated: tuple[int, ...] = ()

    @property
    def timers(self) -> tuple[Condition, ...]:
        """The conditions whose time parameters decide; they come before the others."""
        return tuple(one for one in self.conditions if one.is_timer)

    @property
    def state_names(self) -> tuple[str, ...]:
        """The states' names in the model, and those of what steps follow besides: integrals and ``t``."""
        integrals = (INTEGRAL_OF + self.model.outputs[i].name for i in self.integrated)
        return (*(state.name for state in self.model.states), *integrals, *([TIME] if self.timed else []))

    @property
    def state_units(self) -> tuple[str, ...]:
        """The units of ``state_names``."""
        integrals = (f"{self.model.outputs[i].unit}*{self.model.time_unit}" for i in self.integrated)
        time = [self.model.time_unit] if self.timed else []
        return (*(state.unit for state in self.model.states), *integrals, *time)

    @cached_property
    def jacobian(self) -> tuple[list[Step], Sparse]:
        """df_i/dy_j, the diagonal always included."""
        steps, entries = self._differentiate(self.steps, self.rhs, self.states)
        for i in range(len(self.states)):
            entries.setdefault((i, i), sympy.S.Zero)
        return steps, dict(sorted(entries.items()))

    @cached_property
    def linear(self) -> bool:
        """Whether the rates are linear in the states (with constants): no derivative and no condition depends
        on a state. Timers stand still from one breakpoint to the next."""
        timers = {one.symbol for one in self.timers}

        def at_rest(expr: Expr) -> Expr:
            return expr.replace(
                lambda part: isinstance(part, Less | LessEqual) and bool(part.free_symbols & timers),
                lambda part: Less(sympy.S.Zero, sympy.Dummy()),
            )

        def moving(steps: Sequence[Step], exprs: Iterable[Expr]) -> bool:
            steps = [Step(step.symbol, at_rest(step.expr)) for step in steps]
            exprs = list(map(at_rest, exprs))
            read = [*exprs, *(step.expr for step in needed(steps, exprs))]
            return any(symbol in self.states for expr in read for symbol in expr.free_symbols)

        steps, entries = self.jacobian
        rates = [*self.rhs, *(step.expr for step in needed(self.steps, self.rhs))]
        conditions = [choice.args[0] for expr in rates for choice in expr.atoms(If)]
        return not moving(steps, entries.values()) and not moving(self.steps, conditions)

    @cached_property
    def elimination(self) -> Elimination:
        """How W = d*I - J is factored."""
        return eliminate(self.jacobian[1], len(self.states))

    @cached_property
    def dfdp(self) -> tuple[list[Step], Sparse]:
        """df_i/dp_j."""
        return self._differentiate(self.steps, self.rhs, self.parameters)

    @cached_property
    def hessian(self) -> tuple[list[Step], Sparse]:
        """dJ_e/dz_k, e counting the Jacobian's entries, z = (states, parameters)."""
        steps, entries = self.jacobian
        return self._differentiate(steps, list(entries.values()), self.states + self.parameters)

    @cached_property
    def doutputs(self) -> tuple[list[Step], Sparse]:
        """Derivatives of the outputs by z = (states, parameters)."""
        return self._differentiate(self.steps, self.outputs, self.states + self.parameters)

    @cached_property
    def dinitial(self) -> tuple[list[Step], Sparse]:
        """Derivatives of the initial values by the parameters."""
        return self._differentiate(self.steps, self.initial, self.parameters)

    @cached_property
    def droutes(self) -> tuple[list[Step], Sparse]:
        """Derivatives of the routes' attributes by the parameters."""
        return self._differentiate(self.steps, self.routes, self.parameters)

    def _differentiate(
        self, steps: Sequence[Step], targets: Sequence[Expr], by: Sequence[Expr]
    ) -> tuple[list[Step], Sparse]:
        taken = Names([*self.names.taken, *(step.symbol.name for step in steps)])
        return differentiate(steps, targets, by, taken)


def derive(model: Model) -> Derived:
    """Turn a checked model into expressions that can be differentiated.

    Raises ``ModelError`` where arithmetic on numbers has no finite result (``1/0``, ``exp(1000)``).
    """
    trees: list[Any] = [definition.expression for definition in model.definitions]
    trees += [*model.equations.values(), *(output.expression for output in model.outputs)]
    timed = not model.states or any(name == TIME for tree in trees for name in names_used(tree))

    names = Names()
    symbols: dict[str, Expr] = {}
    for state in model.states:
        symbols[state.name] = names.fresh(state.name)
    for parameter in model.parameters:
        symbols[parameter.name] = names.fresh(parameter.name)
    if timed:
        symbols[TIME] = names.fresh(TIME)
    states = [symbols[state.name] for state in model.states]
    clock = [symbols[TIME]] if timed else []
    parameters = [symbols[parameter.name] for parameter in model.parameters]

    reader = _Reader(model, symbols, names)
    for definition in model.definitions:
        reader.define(definition)
    rhs = [reader.read(model.equations[state.name]) for state in model.states]
    outputs = [reader.read(output.expression) for output in model.outputs]
    initial = [
        sympy.S.Zero if state.initial is None or state.initial == "steady" else reader.read(state.initial)
        for state in model.states
    ]
    routes = []
    for route in model.routes:
        for attribute, default in ROUTE_DEFAULTS.items():
            tree = getattr(route, attribute)
            routes.append(number(default) if tree is None else reader.read(tree))
    moving = {*states, *clock}
    integrated = []
    if moving.isdisjoint(used(reader.steps, rhs)):
        integrated = [
            i
            for i, one in enumerate(outputs)
            if not moving.isdisjoint(used(reader.steps, [one]))
            and not (rhs and _may_end(reader.steps, one, moving))
        ]
    rhs += [outputs[i] for i in integrated] + [sympy.S.One] * timed
    initial += [sympy.S.Zero] * (len(integrated) + timed)
    states += [names.fresh(f"integral_{model.outputs[i].name}") for i in integrated] + clock
    seen, shown = used(reader.steps, rhs), used(reader.steps, outputs)
    found = reader.conditions.values()
    kept = [one for one in found if one.is_timer and one.symbol in seen | shown]
    kept += [one for one in found if not one.is_timer and one.symbol in seen]
    idle = {one.symbol: sympy.S.Zero for one in found if one not in kept}
    steps = [replace(step, expr=step.expr.xreplace(idle)) for step in reader.steps]
    return Derived(
        model=model,
        states=tuple(states),
        parameters=tuple(parameters),
        steps=tuple(steps),
        rhs=tuple(rhs),
        outputs=tuple(expr.xreplace(idle) for expr in outputs),
        initial=tuple(expr.xreplace(idle) for expr in initial),
        routes=tuple(routes),
        timed=timed,
        names=names,
        conditions=tuple(kept),
        integrated=tuple(integrated),
    )
