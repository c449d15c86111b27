"""From Python to LLVM instructions: the quick compiler of the integrator's units and of the functions that
are generated for a model. The other one is numba (``by_numba.py``).

Both are written in a small part of Python, in which the type of everything follows from the types of the
arguments by reading once from top to bottom. Numba's type inference and lowering spend 0.1 to 3 s on a unit
to find that out; here a unit takes some hundredths. What is computed is the same, bit for bit, as with numba
under ``error_model="numpy"``: tests/ode/test_compilers.py.

The language

* Types: 64-bit integers, doubles, truth values, pointers to integers or doubles, vectors of LANES or of PACK
  doubles and their masks; a function may return several values.
* A name has one type, that of its first assignment in the text. ``_`` takes anything and keeps nothing.
  Globals are constants of the moment of compilation: numbers, numpy arrays of one or two dimensions to be
  read from, functions, and modules with these.
* Statements: assignment, also to several targets and in place, ``for`` over a range with a constant step or
  over ``unrolled(first, end)``, ``while``, ``if``, ``break``, ``continue``, ``return``; expressions: ``+ - *
  / **`` (a power of integers only by a constant), comparisons of two, ``and``, ``or``, ``not``, ``a if c else
  b``, subscripts, calls of ``abs min max int float``, of ``sqrt exp log isnan`` from math, of the functions
  in call.py, and of Python functions of the same language, whose bodies become part of the caller's and which
  may be handed to each other.
* An integer meets a double as a double, and either meets a vector as one of equal elements; ``/`` is always
  of doubles. Conditions are truth values. ``min`` and ``max`` are Python's, so that a comparison with nan
  keeps the earlier argument.
* Nothing is checked: not bounds, not zero divisors (inf or nan result); an index is never negative, an
  integer never overflows.

Anything else is a TypeError with file and line, for whoever changes a unit. Arithmetic carries no permission
to reorder or to contract, and pointers no promise not to overlap.

LLVM's pointers do not say what they point to; ``Pointer`` does, for this compiler. Importing numba takes
about as long as compiling here what a first simulation needs.
"""

from __future__ import annotations

import ast
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import reduce
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from llvmlite import ir

from pkpd.ode import call, vectormath
from pkpd.ode.compile.source import Source, source, unrolled
from pkpd.ode.call import ABOVE_2_52, SHIFT
from pkpd.ode.layout import LANES, PACK

INT, FLOAT, BOOL = ir.IntType(64), ir.DoubleType(), ir.IntType(1)
VECTORS = {count: ir.VectorType(FLOAT, count) for count in (LANES, PACK)}
_NUMBERS = (INT, FLOAT, *VECTORS.values())  # each becomes any that follow, but vectors of another length
# bytes, where it is not the type's own: vectors stand wherever doubles may stand
_ALIGN = dict.fromkeys(VECTORS.values(), 8)


def is_vector(kind: Any) -> bool:
    """Whether a type is that of vectors of doubles."""
    return isinstance(kind, ir.VectorType) and kind.element == FLOAT


def _truth_type(value: Any) -> Any:
    """The type of a truth value or of a mask; of anything else that of truth values, which it is not."""
    kind = getattr(value, "type", None)
    return kind if isinstance(kind, ir.VectorType) and kind.element == BOOL else BOOL


class Pointer(ir.PointerType):
    """A pointer of which this compiler, but not LLVM, knows what it points to."""

    def __init__(self, element: Any) -> None:
        super().__init__()
        self.element = element

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pointer) and other.element == self.element

    def __hash__(self) -> int:
        return hash(self.element)

    def as_pointer(self, addrspace: int = 0) -> ir.PointerType:
        """A pointer to one of these."""
        return ir.PointerType()


_OPAQUE = ir.PointerType()
TYPES = {
    call.INTEGER: INT,
    call.DOUBLE: FLOAT,
    call.INTEGERS: Pointer(INT),
    call.DOUBLES: Pointer(FLOAT),
    None: ir.VoidType(),
}


def module(symbol: str, function: Source, signature: Sequence[str | None], contract: bool = False) -> str:
    """The text of an LLVM module with ``function`` as a C function of the name ``symbol``.

    signature : the type of the result, then those of the arguments, as named in call.py; contract : whether a
        product and a sum may be rounded once.
    """
    result, *arguments = [TYPES[name] for name in signature]
    made = ir.Module(symbol)
    compiled = ir.Function(made, ir.FunctionType(result, arguments), symbol)
    entry = ir.IRBuilder(compiled.append_basic_block("entry"))  # holds the variables, each made once
    start = compiled.append_basic_block("start")
    builder = ir.IRBuilder(start)
    body = Body(function, list(compiled.args), builder, entry)
    body.flags = ("contract",) if contract else ()
    value = body.run()
    if value is None and result == TYPES[None]:
        builder.ret_void()
    elif isinstance(value, ir.Value) and value.type == result:
        builder.ret(value)
    else:
        raise function.error(
            function.tree,
            f"{function.tree.name} returns {_name(value)} where its signature says {signature[0]}",
        )
    entry.branch(start)
    return str(made)


class Body:
    """One function: the body of the compiled one, or of one that is called in it."""

    def __init__(self, function: Source, arguments: Sequence[Any], builder: Any, entry: Any) -> None:
        self.tree, self.globals, self.error = function.tree, function.globals, function.error
        self.builder, self.entry = builder, entry
        self.values: dict[str, Any] = {}  # of names that are assigned once, before anything that reads them
        self.slots: dict[str, Any] = {}  # of all others: places in memory, which LLVM turns into registers
        self.loops: list[_Loop] = []
        self.flags: tuple[str, ...] = ()  # of sums and products
        self.result: Any = None  # places of the result, once its type is known
        self.end = builder.append_basic_block("end")
        self.local, self.once = _assigned(self.tree)
        names = [a.arg for a in self.tree.args.args]
        if len(names) != len(arguments):
            raise self.error(
                self.tree, f"{self.tree.name} takes {len(names)} arguments, not {len(arguments)}"
            )
        for name, value in zip(names, arguments, strict=True):
            self.assign(name, value, self.tree)

    def run(self) -> Any:
        """Emit the function; its result, in a form that ``value`` may return."""
        self.statements(self.tree.body)
        if not self.builder.block.is_terminated:
            if self.result is not None:
                raise self.error(self.tree, "a way through this function ends without a return")
            self.builder.branch(self.end)
        self.builder.position_at_end(self.end)
        if isinstance(self.result, list):
            return tuple(map(self.fetch, self.result))
        return None if self.result is None else self.fetch(self.result)

    def variable(self, kind: Any, name: str = "") -> Any:
        """A place for a value of this type."""
        place = self.entry.alloca(kind, name=name)
        place.type = _OPAQUE
        return place

    def fetch(self, variable: Any, name: str = "") -> Any:
        """What a variable holds."""
        return self.builder.load(variable, name=name, typ=variable.allocated_type)

    # ---- statements

    def statements(self, nodes: Sequence[ast.stmt]) -> None:
        """One after the other, up to where control leaves."""
        for node in nodes:
            if self.builder.block.is_terminated:
                return
            match node:
                case ast.Expr(value=ast.Constant()) | ast.Pass():
                    pass
                case ast.Expr(value=ast.Call()):
                    self.value(node.value)
                case ast.Assign(targets=[target]):
                    self.store(target, self.value(node.value))
                case ast.AugAssign():
                    self.in_place(node)
                case ast.If():
                    self.branches(node)
                case ast.While(orelse=[]):
                    self.while_loop(node)
                case ast.For(orelse=[], target=ast.Name()):
                    self.for_loop(node)
                case ast.Break() | ast.Continue():
                    self.leave(node)
                case ast.Return():
                    self.give_back(node)
                case _:
                    raise self.error(node, "not a statement of this language")

    def assign(self, name: str, value: Any, node: ast.AST) -> None:
        """Give a name a value."""
        if name == "_":
            return
        if name in self.once:
            self.values[name] = value
            return
        if not isinstance(value, ir.Value):
            raise self.error(node, f"{_name(value)} cannot be kept in {name!r}")
        if name not in self.slots:
            self.slots[name] = self.variable(value.type, name)
        known = self.slots[name].allocated_type
        if known != value.type:
            raise self.error(node, f"{name!r} is {_name(known)} above and would become {_name(value)}")
        self.builder.store(value, self.slots[name])

    def store(self, target: ast.expr, value: Any) -> None:
        """Assign to a name, an element of an array, or several of these."""
        match target:
            case ast.Name():
                self.assign(target.id, value, target)
            case ast.Subscript():
                self.write(*self.place(target), value, target)
            case ast.Tuple() if isinstance(value, tuple) and len(value) == len(target.elts):
                for one, part in zip(target.elts, value, strict=True):
                    self.store(one, part)
            case _:
                raise self.error(target, f"cannot take {_name(value)}")

    def write(self, place: Any, kind: Any, value: Any, node: ast.AST) -> None:
        """Put a value into memory."""
        self.builder.store(self.convert(value, kind, node), place, align=_ALIGN.get(kind))

    def read(self, place: Any, kind: Any) -> Any:
        """Get a value from memory."""
        return self.builder.load(place, align=_ALIGN.get(kind), typ=kind)

    def in_place(self, node: ast.AugAssign) -> None:
        """``target += value``; an element's address is computed once."""
        if isinstance(node.target, ast.Subscript):
            place = self.place(node.target)
            value = self.operation(node, node.op, self.read(*place), self.value(node.value))
            self.write(*place, value, node)
        else:
            name: Any = node.target
            before = self.value(ast.copy_location(ast.Name(name.id, ast.Load()), node))
            self.store(node.target, self.operation(node, node.op, before, self.value(node.value)))

    def branches(self, node: ast.If) -> None:
        """``if``, with ``elif`` and ``else``."""
        test = self.truth(node.test)
        if isinstance(test, ir.Constant):  # a global: one of the two is not there
            self.statements(node.body if test.constant else node.orelse)
            return
        then, other, after = self.blocks("then", "else", "endif")
        self.builder.cbranch(test, then, other)
        reached = False
        for block, nodes in ((then, node.body), (other, node.orelse)):
            self.builder.position_at_end(block)
            self.statements(nodes)
            reached |= self.go_on(after)
        self.continue_at(after, reached)

    def while_loop(self, node: ast.While) -> None:
        """``while``."""
        test, body, after = self.blocks("while", "do", "done")
        self.builder.branch(test)
        self.builder.position_at_end(test)
        forever = isinstance(node.test, ast.Constant) and node.test.value is True
        if forever:
            self.builder.branch(body)
        else:
            self.builder.cbranch(self.truth(node.test), body, after)
        self.builder.position_at_end(body)
        loop = self.loop(node, test, after)
        self.continue_at(after, loop.left or not forever)

    def for_loop(self, node: ast.For) -> None:
        """``for name in range(...)``: the bounds are computed once, and assigning to the name does not
        disturb the count."""
        if unrolled(node):
            self.written_out(node)
            return
        match node.iter:
            case ast.Call(func=ast.Name(id="range"), args=arguments, keywords=[]) if 1 <= len(arguments) <= 3:
                bounds = [self.integer(argument) for argument in arguments]
            case _:
                raise self.error(node.iter, "a loop is over a range")
        step = bounds[2] if len(bounds) == 3 else INT(1)
        if not isinstance(step, ir.Constant) or step.constant <= 0:
            raise self.error(node.iter, "the step of a range is a positive constant")
        first, limit = (INT(0), bounds[0]) if len(bounds) == 1 else bounds[:2]
        count = self.variable(INT)
        self.builder.store(first, count)
        test, body, following, after = self.blocks("for", "do", "next", "done")
        self.builder.branch(test)
        self.builder.position_at_end(test)
        now = self.fetch(count)
        self.builder.cbranch(self.builder.icmp_signed("<", now, limit), body, after)
        self.builder.position_at_end(body)
        self.store(node.target, now)
        self.loop(node, following, after)
        self.builder.position_at_end(following)
        self.builder.store(self.builder.add(self.fetch(count), step, flags=["nsw"]), count)
        self.builder.branch(test)
        self.builder.position_at_end(after)

    def written_out(self, node: ast.For) -> None:
        """``for name in unrolled(first, end)``: the statements again and again, the name a constant in
        each."""
        bounds = [self.integer(argument) for argument in node.iter.args]  # type: ignore[attr-defined]
        if len(bounds) != 2 or not all(isinstance(bound, ir.Constant) for bound in bounds):
            raise self.error(node.iter, "takes two constants")
        for count in range(bounds[0].constant, bounds[1].constant):
            self.values[node.target.id] = INT(count)  # type: ignore[attr-defined]
            self.statements(node.body)

    def loop(self, node: ast.For | ast.While, again: Any, after: Any) -> _Loop:
        """The statements of a loop, from where ``continue`` goes to ``again`` and ``break`` to ``after``."""
        self.loops.append(_Loop(again, after))
        self.statements(node.body)
        self.go_on(again)
        return self.loops.pop()

    def leave(self, node: ast.Break | ast.Continue) -> None:
        """``break`` or ``continue``."""
        loop = self.loops[-1]
        if isinstance(node, ast.Break):
            loop.left = True
        self.builder.branch(loop.after if isinstance(node, ast.Break) else loop.again)

    def give_back(self, node: ast.Return) -> None:
        """``return``, with nothing, a value or several."""
        if node.value is not None:
            value = self.value(node.value)
            values = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(one, ir.Value) for one in values):
                raise self.error(node, f"{_name(value)} cannot be returned")
            if self.result is None:
                places = [self.variable(one.type) for one in values]
                self.result = places if isinstance(value, tuple) else places[0]
            places = self.result if isinstance(self.result, list) else [self.result]
            if [place.allocated_type for place in places] != [one.type for one in values]:
                raise self.error(node, "another type than that of the return above")
            for one, place in zip(values, places, strict=True):
                self.builder.store(one, place)
        elif self.result is not None:
            raise self.error(node, "another type than that of the return above")
        self.builder.branch(self.end)

    def blocks(self, *names: str) -> list[Any]:
        """New blocks of instructions."""
        return [self.builder.append_basic_block(name) for name in names]

    def go_on(self, block: Any) -> bool:
        """Go to a block unless control has left; whether it had not."""
        reached = not self.builder.block.is_terminated
        if reached:
            self.builder.branch(block)
        return reached

    def continue_at(self, block: Any, reached: bool) -> None:
        """Emit what follows into a block; if nothing goes there, it is over before it starts."""
        self.builder.position_at_end(block)
        if not reached:
            self.builder.unreachable()

    # ---- expressions

    def value(self, node: ast.expr) -> Any:
        """An instruction's result or a constant, a tuple of these, or a _KnownArray."""
        match node:
            case ast.Constant() | ast.Attribute():
                return self.constant(self.known(node), node)
            case ast.Name() if node.id in self.values:
                return self.values[node.id]
            case ast.Name() if node.id in self.slots:
                return self.fetch(self.slots[node.id], node.id)
            case ast.Name():
                return self.constant(self.known(node), node)
            case ast.Tuple():
                return tuple(map(self.value, node.elts))
            case ast.Subscript():
                return self.read(*self.place(node))
            case ast.UnaryOp(op=ast.USub()):
                return self.negative(node)
            case ast.UnaryOp(op=ast.Invert()):
                value = self.value(node.operand)
                return self.builder.not_(self.convert(value, _truth_type(value), node))
            case ast.UnaryOp(op=ast.Not()):
                return self.builder.not_(self.truth(node.operand))
            case ast.BinOp():
                return self.operation(node, node.op, self.value(node.left), self.value(node.right))
            case ast.Compare(ops=[sign], comparators=[right]):
                return self.comparison(node, sign, self.value(node.left), self.value(right))
            case ast.BoolOp():
                return self.logic(node)
            case ast.IfExp():
                return self.choice(node)
            case ast.Call(keywords=[]):
                return self.call(node)
        raise self.error(node, "not an expression of this language")

    def number(self, node: ast.AST, value: Any) -> Any:
        """A value that is an integer or a double."""
        if not isinstance(value, ir.Value) or value.type not in (INT, FLOAT):
            raise self.error(node, f"{_name(value)} where a number is wanted")
        return value

    def integer(self, node: ast.expr) -> Any:
        """An expression that is an integer."""
        return self.convert(self.value(node), INT, node)

    def truth(self, node: ast.expr) -> Any:
        """An expression that is a truth value."""
        return self.convert(self.value(node), BOOL, node)

    def known(self, node: ast.expr) -> Any:
        """What Python knows now: a literal, a global, or something of a module that is global."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Name() if node.id in self.local:
                raise self.error(node, "is read before it is assigned")
            case ast.Name() if node.id in self.globals:
                return self.globals[node.id]
            case ast.Name() if node.id in _BUILTINS:
                return _BUILTINS[node.id]
            case ast.Attribute() if isinstance(
                home := self.known(node.value), ModuleType | SimpleNamespace
            ) and hasattr(home, node.attr):
                return getattr(home, node.attr)
        raise self.error(node, "has no value here")

    def constant(self, value: Any, node: ast.AST) -> Any:
        """A number or an array that is known now."""
        match value:
            case bool():
                return BOOL(int(value))
            case int():
                return INT(value)
            case float():
                return FLOAT(float(value))
            case np.ndarray() if value.dtype == np.float64 and value.ndim in (1, 2):
                return _KnownArray(value)
        raise self.error(node, f"a {type(value).__name__} is not a value of this language")

    def convert(self, value: Any, kind: Any, node: ast.AST) -> Any:
        """A value as one of this type, if that loses nothing."""
        if isinstance(value, ir.Value):
            if value.type == kind:
                return value
            if value.type == INT and (kind == FLOAT or is_vector(kind)):
                return self.convert(self.builder.sitofp(value, FLOAT), kind, node)
            if value.type == FLOAT and is_vector(kind):
                nothing = ir.Constant(kind, ir.Undefined)
                first = self.builder.insert_element(nothing, value, ir.IntType(32)(0))
                places = ir.VectorType(ir.IntType(32), kind.count)
                return self.builder.shuffle_vector(first, nothing, ir.Constant(places, [0] * kind.count))
        raise self.error(node, f"{_name(value)} where {_name(kind)} is wanted")

    def common(self, node: ast.AST, a: Any, b: Any) -> tuple[Any, Any]:
        """Two numbers or vectors as such of one type."""
        kinds = []
        for one in (a, b):
            if not isinstance(one, ir.Value) or one.type not in _NUMBERS:
                raise self.error(node, f"{_name(one)} where a number is wanted")
            kinds.append(one.type)
        kind = max(kinds, key=_NUMBERS.index)
        return self.convert(a, kind, node), self.convert(b, kind, node)

    def place(self, node: ast.Subscript) -> tuple[Any, Any]:
        """The address of ``array[i]`` or ``table[i, j]``, and what stands there."""
        array = self.value(node.value)
        index = [
            self.integer(one)
            for one in (node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice])
        ]
        if (
            isinstance(array, _KnownArray)
            and array.values.ndim == len(index)
            and isinstance(node.ctx, ast.Load)
        ):
            table = array.variable(self.builder.module)
            table.type = _OPAQUE
            place = self.builder.gep(table, [INT(0), *index], inbounds=True, source_etype=table.value_type)
            return place, FLOAT
        if isinstance(array, ir.Value) and isinstance(array.type, Pointer) and len(index) == 1:
            return self.further(array, index[0]), array.type.element
        raise self.error(node, f"{_name(array)} cannot be used so")

    def further(self, pointer: Any, count: Any) -> Any:
        """The pointer ``count`` elements further on."""
        return self.builder.gep(pointer, [count], inbounds=True, source_etype=pointer.type.element)

    _FLOAT: ClassVar = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
    _INT: ClassVar = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
    _COMPARE: ClassVar = {
        ast.Lt: "<",
        ast.LtE: "<=",
        ast.Gt: ">",
        ast.GtE: ">=",
        ast.Eq: "==",
        ast.NotEq: "!=",
    }

    def operation(self, node: ast.AST, sign: ast.operator, a: Any, b: Any) -> Any:
        """``a + b`` and the like."""
        if isinstance(sign, ast.Pow):
            return self.power(node, a, b)
        if isinstance(sign, ast.BitAnd | ast.BitOr):
            join = self.builder.and_ if isinstance(sign, ast.BitAnd) else self.builder.or_
            kind = _truth_type(a)
            return join(self.convert(a, kind, node), self.convert(b, kind, node))
        a, b = self.common(node, a, b)
        if a.type == INT and type(sign) in self._INT:
            return getattr(self.builder, self._INT[type(sign)])(a, b, flags=["nsw"])
        if type(sign) in self._FLOAT:
            if a.type == INT:
                a, b = self.convert(a, FLOAT, node), self.convert(b, FLOAT, node)
            return getattr(self.builder, self._FLOAT[type(sign)])(a, b, flags=self.flags)
        raise self.error(node, "not an operation of this language")

    def power(self, node: ast.AST, a: Any, b: Any) -> Any:
        """``a ** b``; by a constant integer a product of squares, as numba has it."""
        one, other = self.common(node, a, b)
        if b.type != INT:
            if is_vector(one.type):
                return self.by_python(vectormath.power, one, other)
            return self.intrinsic("llvm.pow", one, other)
        if not isinstance(b, ir.Constant) or b.constant < 0:
            raise self.error(node, "an integer exponent is a constant, and not negative")
        result, square, rest = INT(1) if a.type == INT else FLOAT(1.0), a, b.constant
        while rest:
            if rest & 1:
                result = self.operation(node, ast.Mult(), result, square)
            square = self.operation(node, ast.Mult(), square, square)
            rest >>= 1
        return result

    def negative(self, node: ast.UnaryOp) -> Any:
        """``-a``."""
        value = self.value(node.operand)
        self.common(node, value, value)
        if isinstance(value, ir.Constant):
            return value.type(-value.constant)
        return self.builder.neg(value) if value.type == INT else self.builder.fneg(value)

    def comparison(self, node: ast.AST, sign: ast.cmpop, a: Any, b: Any) -> Any:
        """``a < b`` and the like; with nan, only ``!=`` is true."""
        if type(sign) not in self._COMPARE:
            raise self.error(node, "not a comparison of this language")
        a, b = self.common(node, a, b)
        if a.type == INT:
            return self.builder.icmp_signed(self._COMPARE[type(sign)], a, b)
        compare = self.builder.fcmp_unordered if isinstance(sign, ast.NotEq) else self.builder.fcmp_ordered
        return compare(self._COMPARE[type(sign)], a, b)

    def logic(self, node: ast.BoolOp) -> Any:
        """``and`` and ``or``, which evaluate no more than they must."""
        after = self.builder.append_basic_block("logic")
        decided = BOOL(int(isinstance(node.op, ast.Or)))
        ways = []
        for operand in node.values[:-1]:
            value = self.truth(operand)
            ways.append((decided, self.builder.block))
            following = self.builder.append_basic_block("operand")
            self.builder.cbranch(value, *((after, following) if decided.constant else (following, after)))
            self.builder.position_at_end(following)
        ways.append((self.truth(node.values[-1]), self.builder.block))
        self.builder.branch(after)
        return self.merge(after, ways)

    def choice(self, node: ast.IfExp) -> Any:
        """``a if c else b``: a branch, or a select of two values if they are cheap: no more than sums and
        products."""
        test, sides = self.truth(node.test), (node.body, node.orelse)
        if all(isinstance(one, _CHEAP) for side in sides for one in ast.walk(side)):
            a, b = map(self.value, sides)
            if not (isinstance(a, ir.Value) and isinstance(b, ir.Value) and a.type == b.type):
                a, b = self.common(node, a, b)
            return self.builder.select(test, a, b)
        *blocks, after = self.blocks("then", "else", "chosen")
        self.builder.cbranch(test, *blocks)
        ways = []
        for block, side in zip(blocks, sides, strict=True):
            self.builder.position_at_end(block)
            ways.append((self.value(side), self.builder.block))
        (a, _), (b, _) = ways
        kind = a.type if isinstance(a, ir.Value) and isinstance(b, ir.Value) and a.type == b.type else FLOAT
        for i, (value, block) in enumerate(ways):
            self.builder.position_at_end(block)
            ways[i] = (self.convert(value, kind, node), block)
            self.builder.branch(after)
        return self.merge(after, ways)

    def merge(self, block: Any, ways: Sequence[tuple[Any, Any]]) -> Any:
        """At the start of a block: the value that belongs to the way by which it was reached."""
        self.builder.position_at_end(block)
        result = self.builder.phi(ways[0][0].type)
        for value, origin in ways:
            result.add_incoming(value, origin)
        return result

    # ---- calls

    def call(self, node: ast.Call) -> Any:
        """A call of something that is built in, or of a Python function, which becomes part of this one."""
        function = self.function(node.func) or self.known(node.func)
        arguments = [self.function(argument) or self.value(argument) for argument in node.args]
        if isinstance(function, Hashable) and function in _CALLS:
            count, lower = _CALLS[function]
            if len(arguments) != count and count:
                raise self.error(node, f"takes {count} arguments")
            return lower(self, node, *arguments)
        if not isinstance(function, FunctionType):
            raise self.error(node, "cannot be called here")
        return self.by_python(function, *arguments)

    def by_python(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A call of a Python function of this language."""
        return Body(source(function), arguments, self.builder, self.entry).run()

    def power_at_once(self, node: ast.AST, a: Any, b: Any) -> Any:
        """``power_at_once(a, b)``, of vectors if one of them is one."""
        return self.by_python(vectormath.power_at_once, *self.common(node, a, b))

    def function(self, node: ast.expr) -> FunctionType | None:
        """The Python function that a name stands for, if it does: also one that was handed to this
        function."""
        found: Any = None
        if isinstance(node, ast.Name):
            found = self.values.get(node.id, None if node.id in self.local else self.globals.get(node.id))
        elif isinstance(node, ast.Attribute):
            found = self.known(node)
        return found if isinstance(found, FunctionType) else None

    def intrinsic(self, name: str, *values: Any) -> Any:
        """One of LLVM's mathematical functions."""
        kind = values[0].type
        if is_vector(kind):  # llvmlite has no name for these
            return self.by_full_name(f"{name}.v{kind.count}f64", kind, *values)
        return self.builder.call(self.builder.module.declare_intrinsic(name, [values[0].type]), values)

    def by_full_name(self, name: str, result: Any, *values: Any) -> Any:
        """One of LLVM's functions, of vectors or of several numbers, by its full name."""
        found = self.builder.module.globals.get(name)
        if found is None:
            kind = ir.FunctionType(result, [value.type for value in values])
            found = ir.Function(self.builder.module, kind, name)
        return self.builder.call(found, values)

    def mathematical(self, name: str, node: ast.Call, value: Any) -> Any:
        """``sqrt(a)`` and the like."""
        value = self.as_double(node, value)
        if is_vector(value.type) and name != "llvm.sqrt":
            own = {"llvm.exp": vectormath.exponential, "llvm.log": vectormath.logarithm}[name]
            return self.by_python(own, value)
        return self.intrinsic(name, value)

    def absolute(self, node: ast.Call, value: Any) -> Any:
        """``abs(a)``."""
        if isinstance(value, ir.Value) and is_vector(value.type):
            return self.intrinsic("llvm.fabs", value)
        if self.number(node, value).type == FLOAT:
            return self.intrinsic("llvm.fabs", value)
        return self.builder.select(
            self.builder.icmp_signed("<", value, INT(0)), self.builder.neg(value), value
        )

    def extreme(self, sign: ast.cmpop, node: ast.Call, *values: Any) -> Any:
        """``min`` and ``max``: a later argument replaces what stands if it compares so."""

        def better(a: Any, b: Any) -> Any:
            a, b = self.common(node, a, b)
            return self.builder.select(self.comparison(node, sign, b, a), b, a)

        return reduce(better, values) if len(values) > 1 else self.number(node, None)

    def as_integer(self, node: ast.Call, value: Any) -> Any:
        """``int(a)``, towards zero."""
        return value if self.number(node, value).type == INT else self.builder.fptosi(value, INT)

    def as_double(self, node: ast.AST, value: Any) -> Any:
        """``float(a)``; a vector stays one."""
        return value if is_vector(getattr(value, "type", None)) else self.convert(value, FLOAT, node)

    def is_nan(self, node: ast.Call, value: Any) -> Any:
        """``isnan(a)``."""
        value = self.convert(value, FLOAT, node)
        return self.builder.fcmp_unordered("uno", value, value)

    def shifted(self, node: ast.Call, array: Any, count: Any) -> Any:
        """``shift(pointer, count)``."""
        if not isinstance(array, ir.Value) or not isinstance(array.type, Pointer):
            raise self.error(node, f"{_name(array)} where a pointer is wanted")
        return self.further(array, self.convert(count, INT, node))

    def vector_place(self, node: ast.Call, array: Any) -> Any:
        """A pointer to doubles: a vector may stand wherever doubles stand (``_ALIGN``)."""
        if not isinstance(array, ir.Value) or array.type != TYPES[call.DOUBLES]:
            raise self.error(node, f"{_name(array)} where a pointer to doubles is wanted")
        return array

    def vector_at(self, count: int, node: ast.Call, array: Any) -> Any:
        """``lanes(pointer)`` and ``pack(pointer)``."""
        return self.read(self.vector_place(node, array), VECTORS[count])

    def set_vector(self, count: int, node: ast.Call, array: Any, value: Any) -> None:
        """``set_lanes(pointer, vector)`` and ``set_pack(pointer, vector)``."""
        self.write(self.vector_place(node, array), VECTORS[count], value, node)

    def together(self, node: ast.Call, *values: Any) -> Any:
        """``together(a, b, ...)``."""
        vector = VECTORS[PACK]([0.0] * PACK)
        for lane, value in enumerate(values):
            number = self.convert(value, FLOAT, node)
            vector = self.builder.insert_element(vector, number, ir.IntType(32)(lane))
        return vector

    def extreme_of_two(self, sign: str, node: ast.Call, a: Any, b: Any) -> Any:
        """``larger(a, b)`` and ``smaller(a, b)``."""
        a, b = self.common(node, self.as_double(node, a), self.as_double(node, b))
        return self.builder.select(self.builder.fcmp_ordered(sign, b, a), a, b)

    def choose(self, node: ast.AST, mask: Any, a: Any, b: Any) -> Any:
        """``choose(mask, a, b)``."""
        mask = self.convert(mask, _truth_type(mask), node)
        a, b = self.common(node, self.as_double(node, a), self.as_double(node, b))
        if mask.type != BOOL:
            kind = VECTORS[mask.type.count]
            a, b = self.convert(a, kind, node), self.convert(b, kind, node)
        return self.builder.select(mask, a, b)

    def anywhere(self, node: ast.Call, mask: Any) -> Any:
        """``anywhere(mask)``."""
        mask = self.convert(mask, _truth_type(mask), node)
        if mask.type == BOOL:
            return mask
        bits = ir.IntType(mask.type.count)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(mask, bits), bits(0))

    def bounded(self, node: ast.Call, value: Any) -> Any:
        """``bounded(a)``."""
        value, infinite = self.common(node, value, FLOAT(math.inf))
        return self.builder.select(self.builder.fcmp_ordered("<", value, infinite), value, infinite)

    def fused(self, node: ast.Call, a: Any, b: Any, c: Any) -> Any:
        """``fused(a, b, c)``."""
        a, b = self.common(node, self.as_double(node, a), self.as_double(node, b))
        suffix = f"v{a.type.count}f64" if is_vector(a.type) else "f64"
        return self.by_full_name(f"llvm.fma.{suffix}", a.type, a, b, self.convert(c, a.type, node))

    def nearest(self, node: ast.Call, value: Any) -> Any:
        """``nearest(a)``."""
        return self.intrinsic("llvm.nearbyint", self.as_double(node, value))

    def integers_like(self, value: Any) -> Any:
        """The type of integers as many as the numbers."""
        return ir.VectorType(INT, value.type.count) if is_vector(value.type) else INT

    def whole(self, kind: Any, number: float) -> Any:
        """A number of this type, or as many as the vector has."""
        return kind([number] * kind.count) if isinstance(kind, ir.VectorType) else kind(number)

    def power_of_two(self, node: ast.Call, value: Any) -> Any:
        """``power_of_two(n)``: the exponent's bits."""
        value = self.as_double(node, value)
        kind = self.integers_like(value)
        # its last bits hold the whole number: AVX2 has no other way from doubles to integers of this length
        shifted = self.builder.fadd(value, self.whole(value.type, SHIFT))
        bits = self.builder.add(self.builder.bitcast(shifted, kind), self.whole(kind, 1023))
        return self.builder.bitcast(self.builder.shl(bits, self.whole(kind, 52)), value.type)

    def exponent(self, node: ast.Call, value: Any) -> Any:
        """``exponent(x)``: its bits as a number."""
        value = self.as_double(node, value)
        kind = self.integers_like(value)
        bits = self.builder.lshr(self.builder.bitcast(value, kind), self.whole(kind, 52))
        above = self.builder.or_(bits, self.whole(kind, ABOVE_2_52))
        return self.builder.fsub(
            self.builder.bitcast(above, value.type), self.whole(value.type, 2.0**52 + 1023.0)
        )

    def mantissa(self, node: ast.Call, value: Any) -> Any:
        """``mantissa(x)``: its bits with the exponent of 1."""
        value = self.as_double(node, value)
        kind = self.integers_like(value)
        kept = self.builder.and_(self.builder.bitcast(value, kind), self.whole(kind, (1 << 52) - 1))
        return self.builder.bitcast(self.builder.or_(kept, self.whole(kind, 1023 << 52)), value.type)

    def highest(self, node: ast.Call, value: Any) -> Any:
        """``highest(vector)``."""
        if not is_vector(getattr(value, "type", None)):
            raise self.error(node, f"{_name(value)} where a vector is wanted")
        return self.by_full_name(f"llvm.vector.reduce.fmax.v{value.type.count}f64", FLOAT, value)

    def by_address(self, result: str | None, node: ast.Call, address: Any, *arguments: Any) -> Any:
        """``((result(*)(...)) address)(...)``."""
        kind = ir.FunctionType(TYPES[result], [argument.type for argument in arguments])
        pointer = self.builder.inttoptr(self.convert(address, INT, node), _OPAQUE)
        value = self.builder.call(_Callee(pointer, kind), arguments)
        return None if result is None else value


class _Callee:
    """What stands at an address, to be called as a function of this type."""

    def __init__(self, pointer: Any, function_type: Any) -> None:
        self.type, self.function_type, self.get_reference = pointer.type, function_type, pointer.get_reference


class _Loop:
    """Where ``continue`` and ``break`` go, and whether one went."""

    def __init__(self, again: Any, after: Any) -> None:
        self.again, self.after, self.left = again, after, False


class _KnownArray:
    """An array that is known now; a constant of the module once it is used."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def variable(self, module: Any) -> Any:
        """The constant, made when first asked for."""
        name = f"table.{self.values.shape}.{hashlib.sha256(self.values.tobytes()).hexdigest()[:16]}"
        if name not in module.globals:
            kind = reduce(ir.ArrayType, reversed(self.values.shape), FLOAT)
            constant = ir.GlobalVariable(module, kind, name)
            constant.linkage, constant.global_constant, constant.unnamed_addr = "internal", True, True
            constant.initializer = _nested(kind, self.values.tolist())
        return module.globals[name]


def _nested(kind: Any, values: Any) -> Any:
    """A constant from nested lists."""
    return kind([_nested(kind.element, one) for one in values]) if isinstance(values, list) else kind(values)


_SIGNS = (ast.Add, ast.Sub, ast.Mult, ast.USub)
_CHEAP = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.expr_context, *_SIGNS)
_BUILTINS = {"abs": abs, "min": min, "max": max, "int": int, "float": float}
# What is built in: the number of arguments (0: any), then what to do with a Body, the node and the arguments.
_CALLS: dict[Any, tuple[int, Callable[..., Any]]] = {
    abs: (1, Body.absolute),
    min: (0, lambda body, *rest: body.extreme(ast.Lt(), *rest)),
    max: (0, lambda body, *rest: body.extreme(ast.Gt(), *rest)),
    int: (1, Body.as_integer),
    float: (1, Body.as_double),
    math.isnan: (1, Body.is_nan),
    math.sqrt: (1, lambda body, *rest: body.mathematical("llvm.sqrt", *rest)),
    math.exp: (1, lambda body, *rest: body.mathematical("llvm.exp", *rest)),
    math.log: (1, lambda body, *rest: body.mathematical("llvm.log", *rest)),
    call.shift: (2, Body.shifted),
    call.lanes: (1, lambda body, *rest: body.vector_at(LANES, *rest)),
    call.set_lanes: (2, lambda body, *rest: body.set_vector(LANES, *rest)),
    call.pack: (1, lambda body, *rest: body.vector_at(PACK, *rest)),
    call.set_pack: (2, lambda body, *rest: body.set_vector(PACK, *rest)),
    call.together: (PACK, Body.together),
    call.larger: (2, lambda body, *rest: body.extreme_of_two("<=", *rest)),
    call.smaller: (2, lambda body, *rest: body.extreme_of_two(">=", *rest)),
    call.choose: (3, Body.choose),
    call.anywhere: (1, Body.anywhere),
    call.fused: (3, Body.fused),
    call.nearest: (1, Body.nearest),
    call.power_of_two: (1, Body.power_of_two),
    call.exponent: (1, Body.exponent),
    call.mantissa: (1, Body.mantissa),
    call.bounded: (1, Body.bounded),
    call.highest: (1, Body.highest),
    vectormath.power_at_once: (2, Body.power_at_once),
    call.call1: (2, lambda body, *rest: body.by_address(None, *rest)),
    call.call2: (3, lambda body, *rest: body.by_address(None, *rest)),
    call.call3: (4, lambda body, *rest: body.by_address(None, *rest)),
    call.call4: (5, lambda body, *rest: body.by_address(None, *rest)),
    call.call5: (6, lambda body, *rest: body.by_address(None, *rest)),
    call.call6: (7, lambda body, *rest: body.by_address(None, *rest)),
    call.status7: (8, lambda body, *rest: body.by_address(call.INTEGER, *rest)),
    call.status11: (12, lambda body, *rest: body.by_address(call.INTEGER, *rest)),
}


def _name(value: Any) -> str:
    """A value's type, or a type, in words."""
    kind = getattr(value, "type", value)
    for name, words in (
        (INT, "an integer"),
        (FLOAT, "a double"),
        (BOOL, "a truth value"),
        *((vector, f"a vector of {count}") for count, vector in VECTORS.items()),
        *((ir.VectorType(BOOL, count), "a mask") for count in VECTORS),
        (None, "nothing"),
    ):
        if kind == name:
            return words
    if isinstance(value, tuple):
        return f"{len(value)} values"
    return "a table" if isinstance(value, _KnownArray) else "a pointer"


def _assigned(tree: ast.FunctionDef) -> tuple[set[str], set[str]]:
    """All names that a function assigns, and those that it assigns once outside of any branch or loop: their
    value is known wherever it may be read."""

    def stored(nodes: Iterable[ast.AST]) -> list[str]:
        return [
            one.id
            for node in nodes
            for one in ast.walk(node)
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
        ]

    over: list[Any] = [node.target for node in ast.walk(tree) if isinstance(node, ast.For) and unrolled(node)]
    written_out = {target.id for target in over}
    arguments = [a.arg for a in tree.args.args]
    count = Counter([*arguments, *stored([tree])])
    straight = {*arguments, *stored(node for node in tree.body if isinstance(node, ast.Assign))}
    return set(count) - written_out, {name for name in straight if count[name] == 1}
