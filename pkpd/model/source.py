"""Derived model -> Python source of its kernel functions.

The result is a module that a person can read and a debugger can step through: every value keeps the name it
has in the model file, ``depot = y[0]``. Functions are straight lines over raw pointers to doubles;
``pkpd.solver.kernel`` compiles them. Expressions that occur more than once are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sympy

from pkpd.core.errors import ModelError
from pkpd.model import GENERATOR
from pkpd.model.constants import Constants
from pkpd.model.derive import (
    Absolute,
    Derived,
    Expr,
    If,
    Less,
    LessEqual,
    Names,
    Power,
    Sparse,
    Step,
    needed,
)
from pkpd.ode.elimination import factor_lines, solve_lines

INDENT = "    "
LINE = 110
LONGEST_PRODUCT = 8  # x*x*...; beyond, x**n


# ---- expressions -> text

_HALF = sympy.Rational(1, 2)

# How tightly the outermost operator of a text binds.
_CHOICE, _SUM, _PRODUCT, _POWER, _ATOM = range(5)


class _Printer:
    """Prints expressions; what ``known`` holds under a name prints as that name."""

    def __init__(self) -> None:
        self.known: dict[Expr, str] = {}

    def text(self, expr: Expr, binding: int = _CHOICE) -> str:
        """The expression, in parentheses where its outermost operator binds less tightly than ``binding``."""
        name = self.known.get(expr)
        if name is not None:
            return name
        shown, level = self._text(expr)
        return f"({shown})" if level < binding else shown

    def _text(self, expr: Expr) -> tuple[str, int]:
        if expr.is_Symbol:
            return expr.name, _ATOM
        if expr.is_number:
            return _number(expr)
        if expr.is_Add:
            return self._sum(expr), _SUM
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow:
            return self._power(*expr.args)
        match expr:
            case Power() if expr.args[1] == _HALF:
                return f"sqrt({self.text(expr.args[0])})", _ATOM
            case Power() if _factors(*expr.args):
                factors = _factors(*expr.args)
                return "*".join(self.text(factor, _POWER) for factor in factors), _PRODUCT
            case Power():
                base, exponent = expr.args
                return f"{self.text(base, _ATOM)}**{self.text(exponent, _ATOM)}", _POWER
            case If():
                test, a, b = expr.args
                return f"{self.text(a, _SUM)} if {self.text(test)} else {self.text(b, _CHOICE)}", _CHOICE
            case Less() | LessEqual():
                a, b = expr.args
                sign = "<" if isinstance(expr, Less) else "<="
                if a.is_Number:  # 0 < x reads better as x > 0
                    a, b, sign = b, a, sign.replace("<", ">")
                return f"{self.text(a, _SUM)} {sign} {self.text(b, _SUM)}", _CHOICE
            case Absolute():
                return f"abs({self.text(expr.args[0])})", _ATOM
            case sympy.exp():
                return f"exp({self.text(expr.args[0])})", _ATOM
            case sympy.log():
                return f"log({self.text(expr.args[0])})", _ATOM
        raise TypeError(f"cannot print {expr!r}")

    def _sum(self, expr: Expr) -> str:
        added, taken = [], []
        for term in expr.args:
            negated = _negated(term)
            if negated is None or term in self.known:
                added.append(self.text(term, _SUM))
            else:
                taken.append(self.text(negated, _PRODUCT))
        if not added:
            return f"-{taken[0]}" + "".join(f" - {term}" for term in taken[1:])
        return " + ".join(added) + "".join(f" - {term}" for term in taken)

    def _product(self, expr: Expr) -> tuple[str, int]:
        coefficient, rest = expr.as_coeff_Mul()
        if coefficient == -1:
            return f"-{self.text(rest, _PRODUCT)}", _PRODUCT
        above, below = [], []
        if coefficient != 1:
            above.append(_number(coefficient)[0])
            if rest in self.known:
                return f"{above[0]}*{self.known[rest]}", _PRODUCT
        for factor in sympy.Mul.make_args(rest):
            inverse = _inverse(factor)
            if inverse is None or factor in self.known:
                above.append(self.text(factor, _PRODUCT if not above else _POWER))
            else:
                below.append(inverse)
        above = above or ["1.0"]
        if len(below) > 1:
            return (
                f"{'*'.join(above)}/({'*'.join(self.text(factor, _PRODUCT) for factor in below)})",
                _PRODUCT,
            )
        shown = "*".join(above)
        return (f"{shown}/{self.text(below[0], _POWER)}" if below else shown), _PRODUCT

    def _power(self, base: Expr, exponent: Expr) -> tuple[str, int]:
        if exponent.is_negative:
            return f"1.0/{self.text(base**-exponent, _POWER)}", _PRODUCT
        if exponent == _HALF:
            return f"sqrt({self.text(base)})", _ATOM
        factors = _factors(base, exponent)
        if factors:
            return "*".join(self.text(factor, _POWER) for factor in factors), _PRODUCT
        return f"{self.text(base, _ATOM)}**{_number(exponent)[0]}", _POWER


def _number(expr: Expr) -> tuple[str, int]:
    try:
        value = float(expr)
    except (TypeError, OverflowError):  # sympy's complex infinity
        value = math.inf
    if not math.isfinite(value):
        raise ModelError("a product or power of numbers in the model is too large for a 64-bit float")
    return repr(value), _PRODUCT if value < 0 else _ATOM


def _factors(base: Expr, exponent: Expr) -> list[Expr]:
    """``x^3.5`` as x, x, x, sqrt(x): the factors of a small power above 1, else nothing."""
    if not exponent.is_Rational or not 1 < exponent <= LONGEST_PRODUCT:
        return []
    whole = int(exponent)
    return [base] * whole + [Power(base, _HALF)] * (exponent != whole)


def _negated(expr: Expr) -> Expr | None:
    """``-expr`` where ``expr`` is printed with a leading minus."""
    if expr.is_Number:
        return -expr if expr.is_negative else None
    if expr.is_Mul and expr.args[0].is_Number and expr.args[0].is_negative:
        return -expr
    return None


def _inverse(expr: Expr) -> Expr | None:
    """``1/expr`` where ``expr`` is a power with a negative number as exponent."""
    if expr.is_Pow and expr.args[1].is_Number and expr.args[1].is_negative:
        return expr.args[0] ** -expr.args[1]
    return None


# ---- statements ----------------------------------------------------------------------------------


class Store(NamedTuple):
    """``target = expr  # note``."""

    target: str
    expr: Expr
    note: str = ""


def _parts(expr: Expr) -> Iterator[Expr]:
    """The subexpressions as the printer will ask for them: coefficients and inverses are looked through."""
    if expr.is_Mul:
        coefficient, rest = expr.as_coeff_Mul()
        if coefficient != 1:
            yield rest
            return
    if expr.is_Pow:
        inverse = _inverse(expr)
        if inverse is not None:
            yield inverse
            return
        yield from _factors(*expr.args) or (expr.args[0],)
        return
    yield from (isinstance(expr, Power) and _factors(*expr.args)) or expr.args


def _statements(steps: Sequence[Step], stores: Sequence[Store], names: Names) -> list[str]:
    """Temporaries and stores, with expressions that occur more than once computed once."""
    uses: dict[Expr, int] = {}

    def count(expr: Expr) -> None:
        if expr.is_Atom or expr.is_number:
            return
        uses[expr] = uses.get(expr, 0) + 1
        if uses[expr] == 1 or isinstance(expr, Less | LessEqual):  # conditions are written out every time
            for part in _parts(expr):
                count(part)

    steps = needed(steps, (store.expr for store in stores))
    for expr in [*(step.expr for step in steps), *(store.expr for store in stores)]:
        count(expr)

    printer = _Printer()
    lines: list[str] = []

    def share(expr: Expr, top: bool = False) -> None:
        """Give a name to every part that is used again."""
        if expr.is_Atom or expr.is_number or expr in printer.known:
            return
        for part in _parts(expr):
            share(part)
        if top or uses[expr] < 2 or isinstance(expr, Less | LessEqual):
            return
        shown = printer.text(expr)
        name = names.numbered("x")
        lines.append(f"{name} = {shown}")
        printer.known[expr] = name

    for step in steps:
        share(step.expr, top=True)
        lines.append(f"{step.symbol.name} = {printer.text(step.expr)}{_note(step.unit, step.note)}")
        if not (step.expr.is_Atom or step.expr.is_number):
            printer.known.setdefault(step.expr, step.symbol.name)
    stored = []
    for store in stores:
        share(store.expr)
        note = f"  # {store.note}" if store.note else ""
        stored.append(f"{store.target} = {printer.text(store.expr)}{note}")
    return lines + stored


class _Module:
    """Collects the functions of one generated module."""

    def __init__(self, derived: Derived, constants: Constants) -> None:
        self.derived = derived
        self.constants = constants
        self.functions: list[str] = []
        notes = [state.description for state in derived.model.states]
        notes += [""] * len(derived.integrated) + ["time"]
        self.loads: dict[Expr, tuple[str, int, str]] = {}
        for i, symbol in enumerate(derived.states):
            self.loads[symbol] = ("y", i, _note(derived.state_units[i], notes[i]))
        for i, (symbol, parameter) in enumerate(
            zip(derived.parameters, derived.model.parameters, strict=True)
        ):
            self.loads[symbol] = ("p", i, _note(parameter.unit, parameter.description))
        for i, one in enumerate(derived.conditions, len(derived.parameters)):
            self.loads[one.symbol] = (
                "p",
                i,
                "  # 0, or as long as the condition is held: inf true, -inf false",
            )
        self.first_constant = len(derived.parameters) + len(derived.conditions)

    def add(self, signature: str, docstring: str, steps: Sequence[Step], stores: Sequence[Store]) -> None:
        """Append a function of states, parameters and constants."""
        kept, left = self.constants.take_out(
            needed(steps, (store.expr for store in stores)), [store.expr for store in stores]
        )
        self._add(
            signature,
            docstring,
            kept,
            [store._replace(expr=expr) for store, expr in zip(stores, left, strict=True)],
        )

    def add_once(
        self, signature: str, docstring: str, steps: Sequence[Step], stores: Sequence[Store]
    ) -> None:
        """Append a function of parameters that is evaluated once for every subject: constants are no gain."""
        self._add(signature, docstring, steps, stores)

    def add_constants(self, name: str, docstring: str, known: int = 0) -> None:
        """Append the function that computes the constants whose slots are given by now, but for the first
        ``known``."""
        by_symbol = {step.symbol: step for step in self.constants.steps}
        stores = [
            Store(
                f"p[{self.first_constant + slot}]",
                symbol,
                _words(by_symbol[symbol].unit, by_symbol[symbol].note),
            )
            for symbol, slot in self.constants.slots.items()
            if slot >= known
        ]
        self._add(f"{name}(p)", docstring, self.constants.steps, stores)

    def _add(self, signature: str, docstring: str, steps: Sequence[Step], stores: Sequence[Store]) -> None:
        kept = needed(steps, (store.expr for store in stores))
        used: set[Expr] = set()
        for expr in [*(step.expr for step in kept), *(store.expr for store in stores)]:
            used |= expr.free_symbols
        body = []
        for symbol, (array, i, note) in self.loads.items():
            if symbol in used:
                body.append(f"{symbol.name} = {array}[{i}]{note}")
        computed = {step.symbol for step in kept}
        printer = _Printer()
        for step in self.constants.steps:
            if step.symbol in used - computed:
                place = self.first_constant + self.constants.slot(step.symbol)
                note = _note(step.unit, step.note) or _note("", printer.text(step.expr))
                body.append(f"{step.symbol.name} = p[{place}]{note}")
        names = self.derived.names.copy()
        names.taken.update(step.symbol.name for step in (*kept, *self.constants.steps))
        self.lines(signature, docstring, body + _statements(kept, stores, names))

    def lines(self, signature: str, docstring: str, body: Iterable[str]) -> None:
        """Append a function with a ready body."""
        text = "\n".join(f"{INDENT}{line}" for line in body) or f"{INDENT}return"
        self.functions.append(f'def {signature}:\n{INDENT}"""{docstring}"""\n{text}\n')

    def render(self, docstring: str, constants: dict[str, Any]) -> str:
        """The module's text."""
        code = "\n\n".join(self.functions)
        imports = [name for name in ("exp", "log", "sqrt") if f"{name}(" in code]
        head = f'"""{docstring}"""\n\n'
        if imports:
            head += f"from math import {', '.join(imports)}\n\n"
        head += "".join(_constant(name, value) for name, value in constants.items())
        return f"{head}\n\n{code}"


def _words(unit: str, description: str) -> str:
    return _safe(" ".join(part for part in (f"[{unit}]" if unit else "", description) if part))


def _note(unit: str, description: str) -> str:
    words = _words(unit, description)
    return f"  # {words}" if words else ""


def _constant(name: str, value: Any) -> str:
    """The line of a constant; a long tuple or dictionary goes over several lines."""
    line = f"{name} = {_literal(value)}"
    if len(line) <= LINE or not isinstance(value, tuple | dict):
        return f"{line}\n"
    items = value if isinstance(value, tuple) else [f"{_literal(k)}: {_literal(v)}" for k, v in value.items()]
    opening, closing = "()" if isinstance(value, tuple) else "{}"
    rows, row = [], ""
    for item in items:
        word = f"{item if isinstance(value, dict) else _literal(item)},"
        if row and len(INDENT) + len(row) + len(word) >= LINE:
            rows.append(row)
            row = ""
        row += f" {word}" if row else word
    rows.append(row)
    return f"{name} = {opening}\n" + "".join(f"{INDENT}{row}\n" for row in rows) + f"{closing}\n"


def _literal(value: Any) -> str:
    """A Python literal; infinities, which have none, are written as float("inf")."""
    match value:
        case float() if not math.isfinite(value):
            return f'float("{value}")'
        case tuple():
            inner = ", ".join(_literal(item) for item in value)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case dict():
            return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _safe(words: str) -> str:
    """Text of a model file made safe inside a docstring or comment."""
    return "".join(c if c.isprintable() and c not in '\\"' else "'" if c == '"' else " " for c in words)


# ---- the two modules


def generate(derived: Derived, dose_units: dict[str, dict[str, float]] | None = None) -> str:
    """The module of the plain functions: rhs, jacobian, factor, solve, outputs, initial, routes, constants,
    and what is fixed about the model.

    ``dose_units`` is {route: {unit: factor to the unit of the route's target state}}.
    """
    model = derived.model
    states = derived.state_names
    module = _plain(derived)
    module.add_constants(
        "constants", "What parameters alone decide, behind them: computed once for every subject."
    )
    jacobian = derived.jacobian[1]
    elimination = derived.elimination
    constants = {
        "NAME": model.name,
        "TITLE": model.title,
        # where there are none the text of the module, and all that was compiled from it, stays as it was
        **({"CAUTIONS": model.cautions} if model.cautions else {}),
        "TIME_UNIT": model.time_unit,
        "STATES": states,
        "STATE_UNITS": derived.state_units,
        "STEADY": _steady(derived),
        "PARAMETERS": tuple(parameter.name for parameter in model.parameters),
        "VALUES": tuple(float(parameter.value) for parameter in model.parameters),
        "UNITS": tuple(parameter.unit for parameter in model.parameters),
        "KINDS": tuple(parameter.kind for parameter in model.parameters),
        "LOWER": tuple(float(parameter.lower) for parameter in model.parameters),
        "UPPER": tuple(float(parameter.upper) for parameter in model.parameters),
        "BETWEEN": tuple(
            None if parameter.between is None else (parameter.between.kind, *parameter.between.arguments)
            for parameter in model.parameters
        ),
        "CORRELATIONS": tuple((one.first, one.second, one.value) for one in model.correlations),
        "OUTPUTS": tuple(output.name for output in model.outputs),
        "OUTPUT_UNITS": tuple(output.unit for output in model.outputs),
        "OUTPUT_DESCRIPTIONS": tuple(output.description for output in model.outputs),
        "HAZARDS": model.hazards,
        "ROUTES": tuple(route.name for route in model.routes),
        "ROUTE_TARGETS": tuple(states.index(route.target) for route in model.routes),
        "ROUTE_SPEEDS": tuple(
            "duration" if route.duration is not None else "rate" if route.rate is not None else ""
            for route in model.routes
        ),
        "DOSE_UNITS": dose_units or {},
        "SIZES": _sizes(derived),
        "LINEAR": derived.linear,
        "N_LU": len(elimination.slots),
        "N_CONSTANTS": len(module.constants.slots),
        "CONDITIONS": tuple(_Printer().text(one.condition) for one in derived.conditions),
        "N_TIMERS": len(derived.timers),
        "J_ROWS": tuple(i for i, _ in jacobian),
        "J_COLS": tuple(j for _, j in jacobian),
        "GENERATOR": GENERATOR,
    }
    title = _safe(model.title or model.name)
    return module.render(
        f"Kernel of the model {_safe(model.name)}: {title}. Generated by pkpd; not meant to be edited.",
        constants,
    )


def _steady(derived: Derived) -> tuple[bool, ...]:
    hidden = len(derived.integrated) + derived.timed
    return tuple(state.initial == "steady" for state in derived.model.states) + (False,) * hidden


def _plain(derived: Derived) -> _Module:
    """The plain functions, and the constants that they read."""
    model = derived.model
    states = derived.state_names
    module = _Module(derived, Constants(derived.parameters, derived.names.copy()))
    steps = derived.steps
    module.add(
        "rhs(y, p, dy)",
        f"Rates of change of the {len(states)} states, per {model.time_unit}, without infusions.",
        steps,
        [Store(f"dy[{i}]", expr, f"d {states[i]}") for i, expr in enumerate(derived.rhs)],
    )
    jacobian_steps, jacobian = derived.jacobian
    module.add(
        "jacobian(y, p, J)",
        "Derivatives of the rates by the states: entry e is row J_ROWS[e], column J_COLS[e].",
        jacobian_steps,
        _sparse_stores("J", jacobian, lambda i, j: f"d {states[i]} by {states[j]}"),
    )
    _add_elimination(module, derived)
    module.add(
        "outputs(y, p, out)",
        "The outputs.",
        steps,
        [
            Store(f"out[{i}]", expr, f"{output.name} [{output.unit}]")
            for i, (expr, output) in enumerate(zip(derived.outputs, model.outputs, strict=True))
        ],
    )
    if derived.conditions:
        module.add(
            "conditions(y, p, out)",
            "Of every condition in CONDITIONS two numbers. Of the first N_TIMERS: when it changes, "
            "and whether to true (> 0) or false; "
            "of the others: a number that is positive where it is true, and 0.",
            steps,
            [
                Store(f"out[{2 * i + k}]", expr)
                for i, one in enumerate(derived.conditions)
                for k, expr in enumerate((one.value, one.turn))
            ],
        )
    steady = _steady(derived)
    module.add_once(
        "initial(p, y)",
        "Initial values; 0 where the value is a steady state to be found.",
        steps,
        [
            Store(f"y[{i}]", expr, f"{states[i]}, steady state" if steady[i] else states[i])
            for i, expr in enumerate(derived.initial)
        ],
    )
    module.add_once(
        "routes(p, out)",
        "Lag, bioavailability, infusion duration and infusion rate of every route; 0 where there is none.",
        steps,
        [
            Store(
                f"out[{i}]", expr, f"{model.routes[i // 4].name}: {('lag', 'F', 'duration', 'rate')[i % 4]}"
            )
            for i, expr in enumerate(derived.routes)
        ],
    )
    return module


def generate_sensitivity(derived: Derived) -> str:
    """The module of the functions for sensitivities: dfdp, hessian, doutputs, dinitial, droutes, more
    constants, and their patterns."""
    model = derived.model
    states = derived.state_names
    z = [*states, *(parameter.name for parameter in model.parameters)]
    parameters = z[len(states) :]
    known = _plain(derived).constants
    n_known = len(known.slots)
    module = _Module(derived, known)
    entries = list(derived.jacobian[1])
    steps, dfdp = derived.dfdp
    module.add(
        "dfdp(y, p, df)",
        "Derivatives of the rates by the parameters: entry e is state P_ROWS[e], parameter P_COLS[e].",
        steps,
        _sparse_stores("df", dfdp, lambda i, j: f"d {states[i]} by {parameters[j]}"),
    )
    steps, hessian = derived.hessian
    module.add(
        "hessian(y, p, dJ)",
        "Derivatives of the Jacobian's entries by z = (states, parameters): entry H_ENTRY[e] by z[H_Z[e]].",
        steps,
        _sparse_stores(
            "dJ", hessian, lambda e, k: f"d {states[entries[e][0]]} by {states[entries[e][1]]} by {z[k]}"
        ),
    )
    steps, doutputs = derived.doutputs
    module.add(
        "doutputs(y, p, dout)",
        "Derivatives of the outputs by z = (states, parameters): output G_ROWS[e] by z[G_Z[e]].",
        steps,
        _sparse_stores("dout", doutputs, lambda i, k: f"{model.outputs[i].name} by {z[k]}"),
    )
    steps, dinitial = derived.dinitial
    module.add_once(
        "dinitial(p, dy)",
        "Derivatives of the initial values by the parameters: state D_ROWS[e], parameter D_COLS[e].",
        steps,
        _sparse_stores("dy", dinitial, lambda i, j: f"{states[i]} by {parameters[j]}"),
    )
    steps, droutes = derived.droutes
    module.add_once(
        "droutes(p, dout)",
        "Derivatives of the routes' attributes by the parameters: element R_ROWS[e] of routes, "
        "parameter R_COLS[e].",
        steps,
        _sparse_stores("dout", droutes, lambda i, j: f"{model.routes[i // 4].name} by {parameters[j]}"),
    )
    module.add_constants(
        "dconstants", "More of what parameters alone decide, behind the constants of the rates.", n_known
    )
    constants: dict[str, Any] = {"NAME": model.name, "N_DCONSTANTS": len(known.slots) - n_known}
    for rows, columns, pattern in (
        ("P_ROWS", "P_COLS", dfdp),
        ("H_ENTRY", "H_Z", hessian),
        ("G_ROWS", "G_Z", doutputs),
        ("D_ROWS", "D_COLS", dinitial),
        ("R_ROWS", "R_COLS", droutes),
    ):
        constants[rows] = tuple(i for i, _ in pattern)
        constants[columns] = tuple(j for _, j in pattern)
    constants["GENERATOR"] = GENERATOR
    return module.render(
        f"Derivatives of the model {_safe(model.name)} for sensitivities. Generated by pkpd; not "
        "meant to be edited.",
        constants,
    )


def _sparse_stores(array: str, entries: Sparse, note: Any) -> list[Store]:
    return [Store(f"{array}[{e}]", expr, note(i, j)) for e, ((i, j), expr) in enumerate(entries.items())]


def _sizes(derived: Derived) -> dict[str, int]:
    """Which covariates are body sizes by which a dose may be scaled: the first in m^2, the first in kg."""
    spellings = {"m2": {"m^2", "m**2", "m2"}, "kg": {"kg"}}
    sizes = dict.fromkeys(spellings, -1)
    for size, units in spellings.items():
        for i, parameter in enumerate(derived.model.parameters):
            if parameter.kind == "covariate" and parameter.unit.replace(" ", "") in units:
                sizes[size] = i
                break
    return sizes


def _add_elimination(module: _Module, derived: Derived) -> None:
    """Write ``factor`` and ``solve``."""
    entries, names = list(derived.jacobian[1]), derived.state_names
    module.lines(
        "factor(J, d, LU)",
        "Factors of W = d*I - J without pivoting; reciprocal pivots in LU.",
        factor_lines(derived.elimination, entries, names),
    )
    module.lines(
        "solve(LU, b)", "Solve W x = b in place with the factors.", solve_lines(derived.elimination, names)
    )
