"""Source of a generated function -> source of its derivative backwards: reverse mode, an operation at a time.

``f(y, p, out)`` becomes ``f_backward(y, p, out_bar, y_bar, p_bar)``, which adds to y_bar and p_bar what a
number changes by y and by p, where out_bar is what it changes by out: the transposed Jacobian times
out_bar. It costs a few times what the function costs, however many arguments there are. (Griewank &
Walther, Evaluating Derivatives, section 3.2.)
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection
from typing import NamedTuple

from pkpd.model.forward import OUTPUT, SIGNS


class _Value(NamedTuple):
    """The text of a value, and the name under which its adjoint is summed up; None: it has none."""

    text: str
    name: str | None


class _Operation(NamedTuple):
    """A value, and the slopes of it by the values that it is made of: (name, text)."""

    result: str
    slopes: tuple[tuple[str, str], ...]
    guarded: bool = False  # slopes may be infinite where F does not depend on the value


def backward(function: ast.FunctionDef) -> str:
    """The text of ``{name}_backward``."""
    return _Backward(function).text()


def solve_backward(function: ast.FunctionDef) -> str:
    """The text of ``solve_backward(LU, b, out_bar, b_bar)`` of a function ``solve(LU, b)`` that is linear in
    the array which it reads and fills: b is not looked at, and LU has no adjoint."""
    apart = copy.deepcopy(function)
    apart.args.args.append(ast.arg("out"))
    for statement in apart.body:
        match statement:
            case ast.Assign(targets=[ast.Subscript(value=ast.Name() as array)]):
                array.id = "out"
    return _Backward(apart, without=("LU",)).text()


class _Backward:
    def __init__(self, function: ast.FunctionDef, without: Collection[str] = ()) -> None:
        self.function = function
        arguments = [argument.arg for argument in function.args.args]
        self.inputs, self.output, self.without = arguments[:OUTPUT], arguments[OUTPUT], without
        self.lines: list[str] = []
        self.values: dict[str, _Value] = {}  # of names
        self.elements: dict[tuple[str, int], _Value] = {}  # of arguments, which are read once
        self.operations: list[_Operation] = []
        self.sometimes: set[str] = set()  # values that count under a condition alone
        self.parts: dict[str, list[str]] = {}  # of the adjoint of a name
        self.count = 0

    def text(self) -> str:
        for statement in self.function.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]):
                    self.values[name] = self.value(statement.value)
                case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=int(place)))]):
                    self.add(self.value(statement.value).name, "1.0", f"{self.output}_bar[{place}]")
                case ast.Expr() | ast.Return():
                    pass
                case _:
                    raise TypeError(f"not a straight line: {ast.unparse(statement)}")
        for operation in reversed(self.operations):
            if bar := self.summed(operation.result):
                guarded = operation.guarded or operation.result in self.sometimes
                if guarded:
                    self.sometimes |= {name for name, _ in operation.slopes}
                for name, slope in operation.slopes:
                    (self.add_guarded if guarded else self.add)(name, slope, bar)
        for (array, place), value in self.elements.items():
            if value.name is not None and value.name in self.parts:
                target = f"{array}_bar[{place}]"
                self.lines.append(f"{target} = {' + '.join([target, *self.parts[value.name]])}")
        bars = [f"{name}_bar" for name in self.inputs if name not in self.without]
        names = [*self.inputs, f"{self.output}_bar", *bars]
        body = "\n".join(f"    {line}" for line in self.lines or ["return"])
        return f"def {self.function.name}_backward({', '.join(names)}):\n{body}\n"

    def add(self, name: str | None, slope: str, bar: str) -> None:
        """A part of a value's adjoint: its slope times the adjoint of what is made of it."""
        if name is not None:
            known = {"1.0": bar, "-1.0": f"-{bar}"}
            self.parts.setdefault(name, []).append(known.get(slope, f"{slope}*{bar}"))

    def add_guarded(self, name: str, slope: str, bar: str) -> None:
        """The same where the slope may be infinite: what F does not depend on adds nothing."""
        part = self.keep(f"{slope}*{bar}")
        self.add(name, "1.0", self.keep(f"{part} if {bar} != 0.0 else 0.0"))

    def summed(self, name: str) -> str | None:
        """The name of an adjoint, of which all parts are known; None: nothing depends on the value."""
        parts = self.parts.get(name)
        if not parts:
            return None
        self.lines.append(f"{name}_b = {' + '.join(parts)}")
        return f"{name}_b"

    def keep(self, text: str) -> str:
        """A number under a name of its own."""
        self.count += 1
        self.lines.append(f"_{self.count} = {text}")
        return f"_{self.count}"

    def made(self, text: str, *slopes: tuple[_Value, str], guarded: bool = False) -> _Value:
        """A value, kept, with its slopes by those that it is made of."""
        name = self.keep(text)
        own = tuple((value.name, slope) for value, slope in slopes if value.name is not None)
        if not own:
            return _Value(name, None)
        self.operations.append(_Operation(name, own, guarded))
        return _Value(name, name)

    def value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant():
                return _Value(ast.unparse(node), None)
            case ast.Name():
                return self.values[node.id]
            case ast.Subscript(value=ast.Name(id=array), slice=ast.Constant(value=int(place))):
                if (array, place) not in self.elements:
                    name = self.keep(f"{array}[{place}]")
                    self.elements[array, place] = _Value(name, None if array in self.without else name)
                return self.elements[array, place]
            case ast.UnaryOp(op=ast.USub()):
                a = self.value(node.operand)
                return self.made(f"-{a.text}", (a, "-1.0"))
            case ast.BinOp():
                return self.operation(node.op, self.value(node.left), self.value(node.right), node.right)
            case ast.IfExp(test=ast.Compare(left=left, ops=[sign], comparators=[right])):
                test = f"{self.value(left).text} {SIGNS[type(sign)]} {self.value(right).text}"
                a, b = self.value(node.body), self.value(node.orelse)
                self.sometimes |= {one.name for one in (a, b) if one.name is not None}
                return self.made(
                    f"{a.text} if {test} else {b.text}",
                    (a, self.keep(f"1.0 if {test} else 0.0") if a.name else ""),
                    (b, self.keep(f"0.0 if {test} else 1.0") if b.name else ""),
                )
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return self.call(name, self.value(argument))
        raise TypeError(f"no derivative is known of {ast.unparse(node)}")

    def operation(self, sign: ast.operator, a: _Value, b: _Value, b_node: ast.expr) -> _Value:
        match sign:
            case ast.Add():
                return self.made(f"{a.text} + {b.text}", (a, "1.0"), (b, "1.0"))
            case ast.Sub():
                return self.made(f"{a.text} - {b.text}", (a, "1.0"), (b, "-1.0"))
            case ast.Mult():
                return self.made(f"{a.text}*{b.text}", (a, b.text), (b, a.text))
            case ast.Div():
                inverse = self.keep(f"1.0/{b.text}")
                quotient = self.keep(f"{a.text}*{inverse}")
                by_b = self.keep(f"-{quotient}*{inverse}") if b.name else ""
                return self.made(quotient, (a, inverse), (b, by_b))
            case ast.Pow():
                number = float(ast.literal_eval(b_node)) if isinstance(b_node, ast.Constant) else None
                return self.power(a, b, number)
        raise TypeError(f"no derivative is known of {sign}")

    def power(self, a: _Value, b: _Value, number: float | None) -> _Value:
        """``a**b``; number : b, where it is one. Slopes are those of ``forward``: at 0 that by a is infinite
        for b < 1."""
        result = self.keep(f"{a.text}**{b.text}")
        by_a = by_b = ""
        if a.name:
            at_nought = "0.0"
            if number is None or number <= 1.0:
                at_nought = f"{b.text}*(inf if {b.text} < 1.0 else (0.0 if {b.text} > 1.0 else 1.0))"
            slope = self.keep(f"{b.text}*{result}/{a.text}")
            steepest = self.keep(at_nought)
            by_a = self.keep(f"{slope} if {a.text} != 0.0 else {steepest}")
        if b.name:
            by_b = self.keep(f"{result}*log({a.text}) if {a.text} > 0.0 else 0.0")
        return self.made(result, (a, by_a), (b, by_b), guarded=True)

    def call(self, name: str, a: _Value) -> _Value:
        result = self.keep(f"{name}({a.text})")
        slopes = {
            "exp": result,
            "log": f"1.0/{a.text}",
            "sqrt": f"0.5/{result}",
            "abs": f"-1.0 if {a.text} < 0.0 else 1.0",
        }
        return self.made(result, (a, self.keep(slopes[name]) if a.name else ""))
