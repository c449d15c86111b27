"""Functions of the language of ``direct.py`` as Python functions that numba can compile.

Numba infers types but evaluates nothing before. So what is known before is put in its place in the syntax
tree: loops over ``unrolled`` are written out, branches on constants are taken, constants of modules and of
methods become globals of their own, and functions become what stands for them.
"""

from __future__ import annotations

import ast
import builtins
import copy
import operator
from collections.abc import Callable, Mapping
from functools import cache, reduce
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from pkpd.ode.compile.source import Source, as_load, unrolled

_SIGNS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@cache
def deciding(tree: ast.FunctionDef) -> frozenset[str]:
    """The arguments that decide how often a loop is written out."""
    loops = [node.iter for node in ast.walk(tree) if isinstance(node, ast.For) and unrolled(node)]
    read = {one.id for loop in loops for one in ast.walk(loop) if isinstance(one, ast.Name)}
    return frozenset(read & {one.arg for one in tree.args.args})


def function(of: Source, values: Mapping[str, int], stand_in: Callable[[Any], Any]) -> FunctionType:
    """A Python function; values : of arguments that are known; stand_in : what a global value becomes."""
    names: dict[str, Any] = {}
    body = _Prepared(of, values, stand_in, names)
    tree = copy.deepcopy(of.tree)
    tree.body = body.statements(tree.body)
    tree.decorator_list = []
    code = compile(ast.fix_missing_locations(ast.Module([tree], [])), of.file, "exec", dont_inherit=True)
    for one in code.co_consts:
        if isinstance(one, CodeType) and one.co_name == tree.name:
            return FunctionType(one, names, tree.name)
    raise of.error(of.tree, "is no function")


class ToThe(NamedTuple):
    """What becomes of a power by a whole number: a function of the base."""

    exponent: int


class _Prepared(ast.NodeTransformer):
    """One function's statements, with what is known put in its place."""

    def __init__(
        self,
        of: Source,
        values: Mapping[str, int],
        stand_in: Callable[[Any], Any],
        names: dict[str, Any],
    ) -> None:
        self.of, self.values, self.stand_in, self.names = of, dict(values), stand_in, names
        stored = [
            one for one in ast.walk(of.tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
        ]
        self.local = {one.id for one in stored} | {one.arg for one in of.tree.args.args}
        self.unnamed = 0

    def statements(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        """What becomes of them."""
        found: list[ast.stmt] = []
        for node in nodes:
            made = self.visit(node)
            found += made if isinstance(made, list) else [made]
        return found or [ast.Pass()]

    def known(self, node: ast.AST) -> Any:
        """What an expression is, if that is known now; else None."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Name() if node.id in self.values:
                return self.values[node.id]
            case ast.Name() if node.id not in self.local:
                return self.of.globals.get(node.id, getattr(builtins, node.id, None))
            case ast.Attribute():
                home = self.known(node.value)
                return (
                    getattr(home, node.attr, None) if isinstance(home, ModuleType | SimpleNamespace) else None
                )
            case ast.BinOp(op=sign) if type(sign) in _SIGNS:
                return self._both(sign, node.left, node.right)
            case ast.Compare(ops=[sign], comparators=[right]) if type(sign) in _SIGNS:
                return self._both(sign, node.left, right)
        return None

    def _both(self, sign: ast.AST, left: ast.AST, right: ast.AST) -> Any:
        a, b = self.known(left), self.known(right)
        return _SIGNS[type(sign)](a, b) if isinstance(a, int) and isinstance(b, int) else None

    # ---- statements

    def visit_For(self, node: ast.For) -> Any:
        """A loop, perhaps written out."""
        if not unrolled(node):
            node.target, node.iter = self.visit(node.target), self.visit(node.iter)
            node.body = self.statements(node.body)
            return node
        bounds = [self.known(one) for one in node.iter.args]  # type: ignore[attr-defined]
        if len(bounds) != 2 or not all(isinstance(one, int) for one in bounds):
            raise self.of.error(node.iter, "takes two constants")
        name = node.target.id  # type: ignore[attr-defined]
        found: list[ast.stmt] = []
        for count in range(*bounds):
            self.values[name] = count
            found += self.statements(copy.deepcopy(node.body))
        self.values.pop(name, None)
        return found

    def visit_If(self, node: ast.If) -> Any:
        """A branch, or the one of two that is taken."""
        test = self.known(node.test)
        if isinstance(test, bool):
            chosen = node.body if test else node.orelse
            return self.statements(chosen) if chosen else ast.copy_location(ast.Pass(), node)
        node.test = self.visit(node.test)
        node.body = self.statements(node.body)
        node.orelse = self.statements(node.orelse) if node.orelse else []
        return node

    def visit_While(self, node: ast.While) -> Any:
        """A loop."""
        node.test, node.body = self.visit(node.test), self.statements(node.body)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        """``target /= value`` as a quotient."""
        if not isinstance(node.op, ast.Div):
            return self.generic_visit(node)
        quotient = ast.BinOp(as_load(node.target), node.op, node.value)
        return self.visit(ast.copy_location(ast.Assign([node.target], quotient), node))

    # ---- expressions

    def visit_Name(self, node: ast.Name) -> Any:
        """A variable, a number that is known, or a global by another name."""
        if isinstance(node.ctx, ast.Store):
            if node.id == "_":
                self.unnamed += 1
                node.id = f"_{self.unnamed}_"
            return node
        if node.id in self.values:
            return ast.copy_location(ast.Constant(self.values[node.id]), node)
        return node if node.id in self.local else self.as_global(node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """Something of a module, or of a method."""
        return self.as_global(node)

    def as_global(self, node: ast.expr) -> ast.expr:
        """Something that is known as a name among the globals."""
        value = self.known(node)
        if value is None:
            raise self.of.error(node, "has no value here")
        return self.named(ast.unparse(node).replace(".", "__"), value, node)

    def named(self, name: str, value: Any, node: ast.AST) -> ast.expr:
        """A global of this name."""
        while name in self.local:
            name += "_"
        self.names[name] = self.stand_in(value)
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        """A power is a call, for vectors have it too; so is a quotient, which numba surrounds with tests."""
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Div):
            return self._call(operator.truediv, node, left, right)
        if not isinstance(node.op, ast.Pow):
            return ast.copy_location(ast.BinOp(left, node.op, right), node)
        exponent = self.known(node.right)
        if isinstance(exponent, int):
            name = self.named(f"to_the_{exponent}", ToThe(exponent), node)
            return ast.copy_location(ast.Call(name, [left], []), node)
        return self._call(pow, node, left, right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        """The contrary of a truth value, or of a mask, is a call: ``~True`` is a number in Python."""
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Invert):
            return self._call(operator.invert, node, operand)
        node.operand = operand
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        """``min`` and ``max`` of several are those of two, again and again."""
        function = self.known(node.func)
        arguments = [self.visit(one) for one in node.args]
        if function in (min, max) and len(arguments) > 1:
            return reduce(lambda a, b: self._call(function, node, a, b), arguments)
        return ast.copy_location(ast.Call(self.visit(node.func), arguments, node.keywords), node)

    def _call(self, function: Callable[..., Any], node: ast.AST, *arguments: ast.expr) -> ast.expr:
        name = self.named(f"{function.__name__}__", function, node)
        return ast.copy_location(ast.Call(name, list(arguments), []), node)
