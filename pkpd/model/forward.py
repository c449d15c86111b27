"""Source of a generated function -> source of its derivative along directions: forward mode, one operation at
a time.

``f(y, p, out)`` becomes ``f_tangent(y, p, y_dot, p_dot, out_dot)``: for every value v of the straight line
there is v_d, its derivative along each of several directions at once. What does not depend on the arguments
has no derivative and costs nothing. (Griewank & Walther, Evaluating Derivatives, chapter 3.)
"""

from __future__ import annotations

import ast
from typing import NamedTuple

OUTPUT = -1  # the last argument is what a function fills
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


class Dual(NamedTuple):
    """Texts of a value and of its derivative, which may be nothing."""

    text: str
    dot: str | None


def tangent(function: ast.FunctionDef, *, in_place: bool = False) -> str:
    """The text of ``{name}_tangent``; in_place: the function's only argument is read and filled."""
    return _Tangent(function, in_place).text()


class _Tangent:
    def __init__(self, function: ast.FunctionDef, in_place: bool) -> None:
        self.function = function
        self.arguments = [argument.arg for argument in function.args.args]
        self.inputs = self.arguments if in_place else self.arguments[:OUTPUT]
        self.output = self.arguments[OUTPUT]
        self.dots: dict[str, str | None] = {}
        self.lines: list[str] = []
        self.count = 0

    def text(self) -> str:
        stores = []
        for statement in self.function.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]):
                    value = self.value(statement.value)
                    self.lines.append(f"{name} = {value.text}")
                    self.dots[name] = None
                    if value.dot is not None:
                        self.lines.append(f"{name}_d = {value.dot}")
                        self.dots[name] = f"{name}_d"
                case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=int(place)))]):
                    dot = self.value(statement.value).dot
                    stores.append(f"{self.output}_dot[{place}] = {dot or '0.0'}")
                case ast.Expr() | ast.Return():
                    pass
                case _:
                    raise TypeError(f"not a straight line: {ast.unparse(statement)}")
        names = [*self.inputs, *(f"{name}_dot" for name in self.inputs)]
        if f"{self.output}_dot" not in names:
            names.append(f"{self.output}_dot")
        body = "\n".join(f"    {line}" for line in [*self.lines, *stores] or ["return"])
        return f"def {self.function.name}_tangent({', '.join(names)}):\n{body}\n"

    def keep(self, text: str, dot: str | None) -> Dual:
        """A value under a name of its own."""
        self.count += 1
        name = f"_{self.count}"
        self.lines.append(f"{name} = {text}")
        if dot is None:
            return Dual(name, None)
        self.lines.append(f"{name}_d = {dot}")
        return Dual(name, f"{name}_d")

    def value(self, node: ast.expr) -> Dual:
        match node:
            case ast.Constant():
                return Dual(ast.unparse(node), None)
            case ast.Name():
                return Dual(node.id, self.dots[node.id])
            case ast.Subscript(value=ast.Name(id=array), slice=ast.Constant(value=int(place))):
                return Dual(f"{array}[{place}]", f"{array}_dot[{place}]" if array in self.inputs else None)
            case ast.UnaryOp(op=ast.USub()):
                a = self.value(node.operand)
                return self.keep(f"-{a.text}", a.dot and f"-{a.dot}")
            case ast.BinOp():
                return self.operation(node.op, self.value(node.left), self.value(node.right), node.right)
            case ast.IfExp(test=ast.Compare(left=left, ops=[sign], comparators=[right])):
                test = f"{self.value(left).text} {SIGNS[type(sign)]} {self.value(right).text}"
                a, b = self.value(node.body), self.value(node.orelse)
                dot = f"{a.dot or '0.0'} if {test} else {b.dot or '0.0'}" if a.dot or b.dot else None
                return self.keep(f"{a.text} if {test} else {b.text}", dot)
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return self.call(name, self.value(argument))
        raise TypeError(f"no derivative is known of {ast.unparse(node)}")

    def operation(self, sign: ast.operator, a: Dual, b: Dual, b_node: ast.expr) -> Dual:
        match sign:
            case ast.Add():
                return self.keep(
                    f"{a.text} + {b.text}", f"{a.dot} + {b.dot}" if a.dot and b.dot else a.dot or b.dot
                )
            case ast.Sub():
                dot = f"{a.dot} - {b.dot}" if a.dot and b.dot else a.dot or (b.dot and f"-{b.dot}")
                return self.keep(f"{a.text} - {b.text}", dot)
            case ast.Mult():
                terms = [f"{a.text}*{b.dot}" if b.dot else "", f"{b.text}*{a.dot}" if a.dot else ""]
                return self.keep(f"{a.text}*{b.text}", " + ".join(filter(None, terms)) or None)
            case ast.Div():
                inverse = self.keep(f"1.0/{b.text}", None)
                quotient = self.keep(f"{a.text}*{inverse.text}", None)
                if b.dot is None:
                    return Dual(quotient.text, a.dot and self.keep(f"{inverse.text}*{a.dot}", None).text)
                above = f"{a.dot} - {quotient.text}*{b.dot}" if a.dot else f"-{quotient.text}*{b.dot}"
                return Dual(quotient.text, self.keep(f"{inverse.text}*({above})", None).text)
            case ast.Pow():
                return self.power(
                    a, b, float(ast.literal_eval(b_node)) if isinstance(b_node, ast.Constant) else None
                )
        raise TypeError(f"no derivative is known of {sign}")

    def power(self, a: Dual, b: Dual, number: float | None) -> Dual:
        """``a**b``; number : b, where it is one.

        The slope is computed as ``b a^b/a``, a number also where ``a^(b - 1)`` is too large for one. At 0 it
        is infinite for b < 1, and what does not move has no derivative all the same.
        """
        result = self.keep(f"{a.text}**{b.text}", None)
        terms = []
        if a.dot:
            relative = self.keep(f"{a.dot}/{a.text}", None)
            slope = self.keep(f"{b.text}*{result.text}*{relative.text}", None)
            if number is not None and number > 1.0:
                at_0 = "0.0"
            else:
                # 0.0**(b - 1), without the time that a power takes
                at_nought = f"inf if {b.text} < 1.0 else (0.0 if {b.text} > 1.0 else 1.0)"
                steepest = self.keep(f"{b.text}*({at_nought})", None)
                at_0 = self.keep(f"{steepest.text}*{a.dot} if {a.dot} != 0.0 else 0.0", None).text
            terms.append(self.keep(f"{slope.text} if {a.text} != 0.0 else {at_0}", None).text)
        if b.dot:
            slope = self.keep(f"{result.text}*log({a.text}) if {a.text} > 0.0 else 0.0", None)
            terms.append(f"{slope.text}*{b.dot}")
        return Dual(result.text, self.keep(" + ".join(terms), None).text if terms else None)

    def call(self, name: str, a: Dual) -> Dual:
        result = self.keep(f"{name}({a.text})", None)
        if a.dot is None:
            return result
        dots = {
            "exp": f"{result.text}*{a.dot}",
            "log": f"{a.dot}/{a.text}",
            "sqrt": f"0.5*{a.dot}/{result.text} if {a.dot} != 0.0 else 0.0",
            "abs": f"-{a.dot} if {a.text} < 0.0 else {a.dot}",
        }
        return Dual(result.text, self.keep(dots[name], None).text)
