"""Expression -> LaTeX, for ``pkpd show MODEL --latex`` and the report. Reads the parsed text: no sympy
needed."""

from __future__ import annotations

import re

from pkpd.model.check import Model
from pkpd.model.text import Binary, Call, Expression, Name, Negative, Node, Number, Relation, number_text

_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "pi",
    "rho",
    "sigma",
    "tau",
    "phi",
    "chi",
    "psi",
    "omega",
]
_FUNCTIONS = {"exp": r"\exp", "log": r"\ln", "min": r"\min", "max": r"\max"}
_COMPARISONS = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge"}
_SUM, _PRODUCT, _POWER, _ATOM = range(1, 5)


def name(text: str) -> str:
    r"""A name as a symbol: ``CL`` is ``\mathit{CL}``, ``k_out`` is ``k_{\mathrm{out}}``, ``EC50`` is
    ``\mathit{EC}_{50}``."""
    head, _, tail = text.partition("_")
    if not tail and (match := re.fullmatch(r"([A-Za-z]+)(\d+)", head)):
        head, tail = match.groups()
    symbol = f"\\{head}" if head in _GREEK else head if len(head) == 1 else rf"\mathit{{{head}}}"
    if not tail:
        return symbol
    subscript = ",".join(tail.split("_"))
    return (
        f"{symbol}_{{{subscript}}}"
        if subscript.isdigit() or len(subscript) == 1
        else rf"{symbol}_{{\mathrm{{{subscript}}}}}"
    )


def _number(value: float) -> str:
    mantissa, _, exponent = number_text(value).partition("e")
    if not exponent:
        return mantissa
    power = f"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa} \cdot {power}"


def _rank(node: Node) -> int:
    match node:
        case Negative() | Binary(operator="+" | "-") | Relation():
            return _SUM
        case Binary(operator="*"):
            return _PRODUCT
        case Binary(operator="^") | Call():
            return _POWER
    return _ATOM  # a fraction stands for itself


def expression(node: Node) -> str:
    """LaTeX of an expression, with only the parentheses that it needs."""

    def inner(child: Node, least: int) -> str:
        text = expression(child)
        return text if _rank(child) >= least else rf"\left({text}\right)"

    match node:
        case Number():
            return _number(node.value)
        case Name():
            return name(node.name)
        case Negative():
            return "-" + inner(node.operand, _PRODUCT)
        case Relation():
            return f"{expression(node.left)} {_COMPARISONS[node.operator]} {expression(node.right)}"
        case Call():
            return _call(node)
        case Binary(operator="/"):
            return rf"\frac{{{expression(node.left)}}}{{{expression(node.right)}}}"
        case Binary(operator="^"):
            base = (
                rf"\left({expression(node.left)}\right)"
                if isinstance(node.left, Binary)
                else inner(node.left, _ATOM)
            )
            return f"{base}^{{{expression(node.right)}}}"
        case Binary(operator="*"):
            left = expression(node.left) if isinstance(node.left, Negative) else inner(node.left, _PRODUCT)
            return rf"{left} \, {inner(node.right, _PRODUCT)}"
    return f"{inner(node.left, _SUM)} {node.operator} {inner(node.right, _PRODUCT)}"


def _call(node: Call) -> str:
    arguments = [expression(argument) for argument in node.arguments]
    if node.function == "sqrt":
        return rf"\sqrt{{{arguments[0]}}}"
    if node.function == "abs":
        return rf"\left|{arguments[0]}\right|"
    if node.function == "hill":
        x, k, *n = arguments
        exponent = f"^{{{n[0]}}}" if n else ""
        plain = all(isinstance(argument, Name | Number) for argument in node.arguments[:2]) or not n
        x, k = (x, k) if plain else (rf"\left({x}\right)", rf"\left({k}\right)")
        return rf"\frac{{{x}{exponent}}}{{{k}{exponent} + {x}{exponent}}}"
    if node.function == "piecewise":
        *pairs, otherwise = arguments
        cases = [rf"{pairs[i]} & {pairs[i + 1]}" for i in range(0, len(pairs), 2)]
        rows = r" \\ ".join([*cases, rf"{otherwise} & \text{{otherwise}}"])
        return rf"\begin{{cases}} {rows} \end{{cases}}"
    return rf"{_FUNCTIONS[node.function]}\left({', '.join(arguments)}\right)"


def equation(left: str, right: Expression) -> str:
    """One line of an ``aligned`` block."""
    return f"{left} &= {expression(right)}"


def model_latex(model: Model) -> str:
    r"""Definitions, equations and outputs as one ``aligned`` block (needs amsmath)."""
    lines = [equation(name(definition.name), definition.expression) for definition in model.definitions]
    lines += [
        equation(rf"\frac{{\mathrm{{d}}\,{name(state)}}}{{\mathrm{{d}}t}}", right)
        for state, right in model.equations.items()
    ]
    lines += [
        equation(name(output.name), output.expression)
        for output in model.outputs
        if output.expression != Name(output.name)
    ]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"
