"""What is compiled: a function of a small part of Python (``direct.py`` says which), and the forms that are
made of a generated one before either compiler sees it.

The forms are functions of syntax trees, so that both compilers mean the same by them.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pkpd.ode import call, vectormath
from pkpd.ode.layout import LANES, PACK


class Source(NamedTuple):
    """A function to be compiled: its syntax tree, what its globals are, and where it stands."""

    tree: ast.FunctionDef
    globals: Mapping[str, Any]
    file: str

    def error(self, node: ast.AST, why: str) -> TypeError:
        """What is outside the language, and where."""
        text = "" if isinstance(node, ast.FunctionDef) else f": {ast.unparse(node)}"
        return TypeError(f"{self.file}:{getattr(node, 'lineno', '?')}: {why}{text}")


def source(function: Callable[..., Any]) -> Source:
    """The source of a Python function that is defined at the top of its file."""
    file = function.__code__.co_filename
    functions = _functions(Path(file).read_text(encoding="utf-8"))
    if function.__name__ not in functions:
        raise TypeError(f"{file}: there is no function {function.__name__} at the top of the file")
    return Source(functions[function.__name__], function.__globals__, file)


def text_source(text: str, file: str) -> Source:
    """The source of the only function in a text, which has no globals; file: what to call the text."""
    (tree,) = _functions(text).values()
    return Source(tree, {}, file)


@lru_cache(maxsize=16)
def _functions(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def unrolled(node: ast.For) -> bool:
    """Whether a loop is written out."""
    return (
        isinstance(node.iter, ast.Call)
        and isinstance(node.iter.func, ast.Name)
        and node.iter.func.id == "unrolled"
    )


def as_load(target: ast.expr) -> ast.expr:
    """What is assigned to, to be read."""
    found = copy.deepcopy(target)
    found.ctx = ast.Load()  # type: ignore[attr-defined]
    return found


# ---- forms of generated functions


def columns(of: Source, names: Collection[str], stride: str | None = None) -> Source:
    """A straight line ``f(A, b, ...)`` for many columns, LANES at once: for LANES as ``f(A, b, ...)``, or for
    as many as its last argument says, a multiple of LANES, as ``f(A, b, ..., stride)``.

    names : of the arrays of which element i of column l stands at ``b[i*stride + l]``; other arrays are the
        same in every column, and what follows from them alone is computed once. A number that is named there
        is an array of LANES elements, where there is no stride. stride : what the last argument is called.
    """
    return _rewritten(of, _Columns(of, names, stride), [] if stride is None else [stride])


def packed(of: Source, name: str) -> Source:
    """A straight line that fills one array: the elements are put together in registers and written as whole
    vectors, with noughts behind the last.

    A vector that is read right after its elements were written one by one has to wait until they have all
    reached the cache.
    """
    return _rewritten(of, _Packed(of, name))


def at_once(of: Source) -> Source:
    """Single numbers with the exp, log and powers of vectors, so that lanes do not matter; powers by one
    logarithm may err by more than two units in the last place."""
    return _rewritten(of, _AtOnce(of))


def _rewritten(of: Source, form: _Form, more: Sequence[str] = ()) -> Source:
    tree = copy.deepcopy(of.tree)
    tree.body = form.arranged([form.visit(node) for node in tree.body])
    tree.args.args += [ast.arg(name) for name in more]
    return Source(ast.fix_missing_locations(tree), {**of.globals, **form.globals}, of.file)


class _Form(ast.NodeTransformer):
    """A change of a function's tree, and the globals that it wants."""

    def __init__(self, of: Source) -> None:
        self.taken = {one.id for one in ast.walk(of.tree) if isinstance(one, ast.Name)} | {
            one.arg for one in of.tree.args.args
        }
        self.globals: dict[str, Any] = {}

    def arranged(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The function's statements, of which each has been changed."""
        return body

    def name(self, wanted: str) -> str:
        """A name that the function does not have."""
        while wanted in self.taken:
            wanted += "_"
        return wanted

    def call(self, function: Callable[..., Any], *arguments: ast.expr) -> ast.Call:
        """A call of a function."""
        name = self.name(function.__name__)
        self.globals[name] = function
        return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


class _Columns(_Form):
    def __init__(self, of: Source, names: Collection[str], stride: str | None) -> None:
        super().__init__(of)
        self.arrays, self.stride = set(names), stride
        self.wide = set(names)
        self.same: list[ast.stmt] = []  # in every column
        read: list[Any] = [one.value for one in ast.walk(of.tree) if isinstance(one, ast.Subscript)]
        unread = self.arrays - {one.id for one in read} if stride is None else set[str]()
        self.numbers = {
            one.arg: self.name(f"{one.arg}_wide") for one in of.tree.args.args if one.arg in unread
        }
        self.lane = self.name("lane")

    def arranged(self, body: list[ast.stmt]) -> list[ast.stmt]:
        if self.stride is None:
            start = [_assign(wide, self.call(call.lanes, _load(name))) for name, wide in self.numbers.items()]
            return [*start, *body]
        different = [one for one in body if one not in self.same]
        if not different:
            return body
        bounds: list[ast.expr] = [ast.Constant(0), _load(self.stride), ast.Constant(LANES)]
        over = ast.Call(_load("range"), bounds, [])
        return [*self.same, ast.For(ast.Name(self.lane, ast.Store()), over, different, [])]

    def place(self, node: ast.Subscript) -> ast.expr:
        """The pointer to a vector."""
        index: ast.expr = node.slice
        if self.stride is not None:
            index = ast.BinOp(ast.BinOp(_load(self.stride), ast.Mult(), index), ast.Add(), _load(self.lane))
        elif isinstance(index, ast.Constant):
            index = ast.Constant(index.value * LANES)  # type: ignore[operator]
        else:
            index = ast.BinOp(index, ast.Mult(), ast.Constant(LANES))
        return self.call(call.shift, node.value, index)

    def of_array(self, node: ast.AST) -> bool:
        """Whether this is an element of an array in lanes."""
        match node:
            case ast.Subscript(value=ast.Name(id=name)):
                return name in self.arrays
        return False

    def is_wide(self, node: ast.AST) -> bool:
        """Whether an expression is different in every lane."""
        return any(isinstance(one, ast.Name) and one.id in self.wide for one in ast.walk(node))

    def visit_Assign(self, node: ast.Assign) -> Any:
        (target,) = node.targets
        wide = self.is_wide(node.value)
        if isinstance(target, ast.Name) and wide:
            self.wide.add(target.id)
        value = self.visit(node.value)
        if self.of_array(target):
            return ast.copy_location(ast.Expr(self.call(call.set_lanes, self.place(target), value)), node)  # type: ignore[arg-type]
        found = ast.copy_location(ast.Assign([target], value), node)
        if not wide:
            self.same.append(found)
        return found

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        value = ast.BinOp(as_load(node.target), node.op, node.value)
        return self.visit_Assign(ast.copy_location(ast.Assign([node.target], value), node))

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return self.call(call.lanes, self.place(node)) if self.of_array(node) else node

    def visit_Name(self, node: ast.Name) -> Any:
        return _load(self.numbers[node.id]) if node.id in self.numbers else node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        wide = self.is_wide(node)
        test, body, other = self.visit(node.test), self.visit(node.body), self.visit(node.orelse)
        return self.call(call.choose, test, body, other) if wide else ast.IfExp(test, body, other)


class _Packed(_Form):
    def __init__(self, of: Source, array: str) -> None:
        super().__init__(of)
        self.array, self.elements = array, dict[int, str]()

    def visit_Assign(self, node: ast.Assign) -> Any:
        match node.targets:
            case [ast.Subscript(value=ast.Name(id=self.array), slice=ast.Constant(value=int(place)))]:
                self.elements[place] = self.name(f"packed_{place}")
                return ast.copy_location(_assign(self.elements[place], node.value), node)
        return node

    def arranged(self, body: list[ast.stmt]) -> list[ast.stmt]:
        found = list(body)  # and then whole vectors are written
        for first in range(0, max(self.elements, default=0) + 1, PACK):
            parts: list[ast.expr] = [
                _load(self.elements[i]) if i in self.elements else ast.Constant(0.0)
                for i in range(first, first + PACK)
            ]
            place = self.call(call.shift, _load(self.array), ast.Constant(first))
            found.append(ast.Expr(self.call(call.set_pack, place, self.call(call.together, *parts))))
        return found


class _AtOnce(_Form):
    _FUNCTIONS: ClassVar = {"exp": vectormath.exponential, "log": vectormath.logarithm}

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id="exp" | "log" as name)):
                return self.call(self._FUNCTIONS[name], *node.args)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        match node:
            case ast.BinOp(op=ast.Pow(), right=ast.Constant(value=int())):
                return node
            case ast.BinOp(op=ast.Pow()):
                return self.call(vectormath.power_at_once, node.left, node.right)
        return node


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _assign(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)
