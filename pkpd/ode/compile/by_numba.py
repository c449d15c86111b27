"""The same units and generated functions, compiled by numba: its front end infers the types and lowers to
LLVM, and ``native.py`` makes machine code of the result as of that of ``direct.py``, bit for bit the same.

Inner functions are specialised by numba to the types of their arguments, functions handed to functions
included: a function's type is the function. What is built in (``call.py``) are intrinsics. A vector and its
mask are extension types, kept in registers, with the operators of numbers. A loop over ``unrolled`` is
written out in the syntax tree before numba sees it, where an argument decides its bounds once for each value.

Numba neither optimises nor runs anything here: all modules of a function are linked into one, in which every
inner function becomes part of its caller, so that nothing is left of numba's calling convention, nor any
reference to its or Python's runtime. A process that finds the machine code never imports this file.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import FunctionType
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, compiler, errors, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu_options import FastMathOptions
from numba.core.registry import cpu_target
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model, type_callable

from pkpd.ode import call, vectormath
from pkpd.ode.compile import plain
from pkpd.ode.compile.source import Source, source
from pkpd.ode.layout import LANES, PACK

FLOAT, INT, BOOL, LONG = ir.DoubleType(), ir.IntType(64), ir.IntType(1), ir.IntType(32)


class _Vector(types.Type):
    """A vector of so many doubles."""

    def __init__(self, count: int) -> None:
        super().__init__(f"vector of {count}")
        self.count, self.in_llvm = count, ir.VectorType(FLOAT, count)


class _Mask(types.Type):
    """What a comparison of such vectors gives."""

    def __init__(self, count: int) -> None:
        super().__init__(f"mask of {count}")
        self.count, self.in_llvm = count, ir.VectorType(BOOL, count)


VECTORS = {count: _Vector(count) for count in (LANES, PACK)}
MASKS = {count: _Mask(count) for count in VECTORS}


@register_model(_Vector)
@register_model(_Mask)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.in_llvm)


TYPES = {
    None: types.void,
    call.INTEGER: types.int64,
    call.DOUBLE: types.float64,
    call.INTEGERS: types.CPointer(types.int64),
    call.DOUBLES: types.CPointer(types.float64),
}
_IN_C = {types.int64: "i64", types.float64: "double"}  # all others are pointers


# ---- functions


class _Inner(types.Callable, types.Dummy):
    """The type of one function: a call of it is compiled for the types of its arguments."""

    def __init__(self, function: FunctionType) -> None:
        self.of = source(function)
        self.compiled: dict[tuple[Any, ...], _Compiled] = {}
        super().__init__(f"inner({function.__module__}.{function.__name__} at {id(function):x})")

    def get_call_type(self, context: Any, args: Sequence[Any], kws: Any) -> Any:
        """The signature for these arguments; where one of them decides how often a loop is written out, its
        value belongs to its type."""
        if kws:
            raise errors.TypingError(f"{self.of.tree.name} takes no arguments by name")
        names = [one.arg for one in self.of.tree.args.args]
        if len(names) != len(args):
            raise errors.TypingError(f"{self.of.tree.name} takes {len(names)} arguments")
        fixed = plain.deciding(self.of.tree)
        key = tuple(
            kind if name in fixed and isinstance(kind, types.IntegerLiteral) else types.unliteral(kind)
            for name, kind in zip(names, args, strict=True)
        )
        if key not in self.compiled:
            values = {
                name: kind.literal_value
                for name, kind in zip(names, key, strict=True)
                if isinstance(kind, types.IntegerLiteral)
            }
            self.compiled[key] = _compile(self.of, key, values)
            cpu_target.target_context.insert_func_defn([(self.compiled[key].call, (self, key), key)])
        _wanted[-1].append(self.compiled[key])
        return self.compiled[key].signature

    def get_call_signatures(self) -> tuple[list[Any], bool]:
        """What numba's messages of errors show."""
        return [one.signature for one in self.compiled.values()], True

    def get_impl_key(self, signature: Any) -> Any:
        """Under which name numba finds ``_Compiled.call``."""
        return self, signature.args


class _Either(types.Callable, types.Dummy):
    """A function that is one thing of numbers and another of vectors, which all of its arguments become."""

    def __init__(self, name: str, of_numbers: Any, of_vectors: Any) -> None:
        self.of_numbers, self.of_vectors = of_numbers, of_vectors
        super().__init__(f"either({name})")

    def _of(self, args: Sequence[Any]) -> Any:
        return _type_of(self.of_vectors if any(isinstance(one, _Vector) for one in args) else self.of_numbers)

    def get_call_type(self, context: Any, args: Sequence[Any], kws: Any) -> Any:
        """The signature for these arguments."""
        vectors = [one for one in args if isinstance(one, _Vector)]
        if vectors:
            args = vectors[:1] * len(args)
        return self._of(args).get_call_type(context, args, kws)

    def get_call_signatures(self) -> tuple[list[Any], bool]:
        """What numba's messages of errors show."""
        return [], True

    def get_impl_key(self, signature: Any) -> Any:
        """Under which name numba finds how to lower it."""
        return self._of(signature.args).get_impl_key(signature)


for _kind in (_Inner, _Either):
    register_model(_kind)(models.OpaqueModel)


class _Handle:
    """A function as a value of the globals that numba sees."""

    def __init__(self, kind: Any) -> None:
        self._numba_type_ = kind


@cache
def _inner(function: FunctionType) -> _Handle:
    return _Handle(_Inner(function))


def _type_of(value: Any) -> Any:
    if isinstance(value, FunctionType):
        return _inner(value)._numba_type_
    return cpu_target.typing_context.resolve_value_type(value)


# ---- what is built in


def _is(kind: Any, *kinds: Any) -> bool:
    return isinstance(kind, kinds)


_NUMBER = (types.Integer, types.Float)


def _as_vector(context: Any, builder: Any, value: Any, kind: Any, wanted: _Vector) -> Any:
    """A number as a vector of equal elements."""
    if isinstance(kind, _Vector):
        return value
    nothing = ir.Constant(wanted.in_llvm, ir.Undefined)
    first = builder.insert_element(nothing, context.cast(builder, value, kind, types.float64), LONG(0))
    places = ir.Constant(ir.VectorType(LONG, wanted.count), [0] * wanted.count)
    return builder.shuffle_vector(first, nothing, places)


def _cast(context: Any, builder: Any, kind: Any, wanted: Any, value: Any) -> Any:
    return _as_vector(context, builder, value, kind, wanted)


for _kind in VECTORS.values():
    lower_cast(types.Float, _kind)(_cast)
    lower_cast(types.Integer, _kind)(_cast)


def _operator(function: Callable[..., Any], results: Mapping[int, Any], emit: Callable[..., Any]) -> None:
    """An operator of two vectors, or of one and a number; results : the type of its result, by length."""

    @type_callable(function)
    def of_types(context: Any) -> Any:
        def typer(a: Any, b: Any) -> Any:
            kind = _like(a, b)
            return results[kind.count] if _is(kind, _Vector) else None

        return typer

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = _like(*signature.args)
        a, b = (_as_vector(context, builder, *one, kind) for one in zip(args, signature.args, strict=True))
        return emit(builder, a, b)

    for kind in VECTORS.values():
        for number in _NUMBER:
            lower_builtin(function, kind, number)(lower)
            lower_builtin(function, number, kind)(lower)
        lower_builtin(function, kind, kind)(lower)


for _name, _sign in {"add": "fadd", "sub": "fsub", "mul": "fmul"}.items():
    for _prefix in ("", "i"):
        _operator(
            getattr(operator, _prefix + _name),
            VECTORS,
            lambda builder, a, b, sign=_sign: getattr(builder, sign)(a, b),
        )
for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=="}.items():
    _operator(
        getattr(operator, _name), MASKS, lambda builder, a, b, sign=_sign: builder.fcmp_ordered(sign, a, b)
    )
_operator(operator.ne, MASKS, lambda builder, a, b: builder.fcmp_unordered("!=", a, b))


def _of_masks(function: Callable[..., Any], emit: str) -> None:
    @type_callable(function)
    def of_types(context: Any) -> Any:
        return lambda a, b: a if _is(a, _Mask) and a == b else None

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, emit)(*args)

    for kind in MASKS.values():
        lower_builtin(function, kind, kind)(lower)


_of_masks(operator.and_, "and_")
_of_masks(operator.or_, "or_")


@type_callable(operator.neg)
def _type_of_negative(context: Any) -> Any:
    return lambda a: a if _is(a, _Vector) else None


def _negative(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.fneg(args[0])


for _kind in VECTORS.values():
    lower_builtin(operator.neg, _kind)(_negative)


def _like(*kinds: Any) -> Any:
    """The type of a function of numbers and vectors of one length: a vector if one of them is one."""
    vectors = {kind for kind in kinds if _is(kind, _Vector)}
    if len(vectors) > 1 or not all(_is(kind, _Vector, *_NUMBER) for kind in kinds):
        return None
    return vectors.pop() if vectors else types.float64


def _llvm(builder: Any, name: str, result: Any, *values: Any) -> Any:
    """One of LLVM's functions by its full name."""
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


def _suffix(value: Any) -> str:
    return f"v{value.type.count}f64" if _is_vector(value) else "f64"


def _is_vector(value: Any) -> bool:
    return isinstance(value.type, ir.VectorType)


def _elementwise(emit: Callable[..., Any]) -> Callable[..., Any]:
    """The lowering of a function of numbers or vectors of one type."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.return_type
        values = [
            _as_vector(context, builder, value, given, kind)
            if _is(kind, _Vector)
            else context.cast(builder, value, given, types.float64)
            for value, given in zip(args, signature.args, strict=True)
        ]
        return emit(builder, *values)

    return lower


def _of_one(emit: Callable[..., Any]) -> Any:
    @intrinsic
    def built_in(typing: Any, x: Any) -> Any:
        kind = _like(x)
        return None if kind is None else (kind(x), _elementwise(emit))

    return built_in


def _of_two(emit: Callable[..., Any]) -> Any:
    @intrinsic
    def built_in(typing: Any, a: Any, b: Any) -> Any:
        kind = _like(a, b)
        return None if kind is None else (kind(a, b), _elementwise(emit))

    return built_in


def _integers(value: Any) -> Any:
    return ir.VectorType(INT, value.type.count) if _is_vector(value) else INT


def _whole(kind: Any, number: float) -> Any:
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


def _power_of_two(builder: Any, value: Any) -> Any:
    kind = _integers(value)
    shifted = builder.fadd(value, _whole(value.type, call.SHIFT))
    bits = builder.add(builder.bitcast(shifted, kind), _whole(kind, 1023))
    return builder.bitcast(builder.shl(bits, _whole(kind, 52)), value.type)


def _exponent(builder: Any, value: Any) -> Any:
    kind = _integers(value)
    bits = builder.lshr(builder.bitcast(value, kind), _whole(kind, 52))
    above = builder.bitcast(builder.or_(bits, _whole(kind, call.ABOVE_2_52)), value.type)
    return builder.fsub(above, _whole(value.type, 2.0**52 + 1023.0))


def _mantissa(builder: Any, value: Any) -> Any:
    kind = _integers(value)
    kept = builder.and_(builder.bitcast(value, kind), _whole(kind, (1 << 52) - 1))
    return builder.bitcast(builder.or_(kept, _whole(kind, 1023 << 52)), value.type)


def _bounded(builder: Any, value: Any) -> Any:
    infinite = ir.Constant(value.type, [math.inf] * value.type.count if _is_vector(value) else math.inf)
    return builder.select(builder.fcmp_ordered("<", value, infinite), value, infinite)


def _of_llvm(name: str) -> Any:
    return lambda builder, *values: _llvm(builder, f"{name}.{_suffix(values[0])}", values[0].type, *values)


def _extreme(sign: str) -> Any:
    return lambda builder, a, b: builder.select(builder.fcmp_ordered(sign, b, a), a, b)


@intrinsic
def _fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    kind = _like(a, b, c)
    return None if kind is None else (kind(a, b, c), _elementwise(_of_llvm("llvm.fma")))


@cache
def _to_the(exponent: int) -> Any:
    """A power by a whole number: a product of squares."""

    @intrinsic
    def built_in(typing: Any, x: Any) -> Any:
        kind = types.int64 if _is(x, types.Integer) else _like(x)
        if kind is None or exponent < 0:
            return None

        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            multiply = builder.mul if kind == types.int64 else builder.fmul
            square, rest = context.cast(builder, args[0], x, kind), exponent
            result = (
                ir.Constant(kind.in_llvm, [1.0] * kind.count)
                if _is(kind, _Vector)
                else context.get_constant(kind, 1)
            )
            while rest:
                if rest & 1:
                    result = multiply(result, square)
                square, rest = multiply(square, square), rest >> 1
            return result

        return kind(x), lower

    return built_in


@intrinsic
def _integer(typing: Any, x: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = _is(signature.args[0], types.Integer)
        return (
            context.cast(builder, args[0], signature.args[0], types.int64)
            if whole
            else builder.fptosi(args[0], INT)
        )

    return types.int64(x), lower


def _extreme_of_python(sign: str) -> Any:
    """``min`` and ``max`` of two: the second replaces the first if it compares so."""

    @intrinsic
    def built_in(typing: Any, a: Any, b: Any) -> Any:
        if _is(a, types.Integer) and _is(b, types.Integer):

            def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return builder.select(builder.icmp_signed(sign, args[1], args[0]), args[1], args[0])

            return types.int64(types.int64, types.int64), lower
        kind = _like(a, b)
        return (
            None
            if kind is None
            else (
                kind(a, b),
                _elementwise(lambda builder, a, b: builder.select(builder.fcmp_ordered(sign, b, a), b, a)),
            )
        )

    return built_in


@intrinsic
def _choose(typing: Any, test: Any, a: Any, b: Any) -> Any:
    kind = VECTORS[test.count] if _is(test, _Mask) else _like(a, b)
    if _like(a, b) is None or not _is(test, _Mask, types.Boolean):
        return None

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def select(builder: Any, one: Any, other: Any) -> Any:
            return builder.select(args[0], one, other)

        return _elementwise(select)(context, builder, kind(*signature.args[1:]), args[1:])

    return kind(test, a, b), lower


@intrinsic
def _contrary(typing: Any, test: Any) -> Any:
    kind = test if _is(test, _Mask) else types.boolean
    return kind(test), lambda context, builder, signature, args: builder.not_(args[0])


@intrinsic
def _anywhere(typing: Any, test: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not _is(test, _Mask):
            return args[0]
        bits = ir.IntType(test.count)
        return builder.icmp_unsigned("!=", builder.bitcast(args[0], bits), bits(0))

    return (types.boolean(test), lower) if _is(test, _Mask, types.Boolean) else None


@intrinsic
def _highest(typing: Any, x: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _llvm(builder, f"llvm.vector.reduce.fmax.v{x.count}f64", FLOAT, args[0])

    return (types.float64(x), lower) if _is(x, _Vector) else None


@intrinsic
def _together(typing: Any, a: Any, b: Any) -> Any:
    kind = VECTORS[PACK]

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = ir.Constant(kind.in_llvm, ir.Undefined)
        for place, number in enumerate(args):
            found = builder.insert_element(found, number, LONG(place))
        return found

    return kind(*[types.float64] * PACK), lower


def _vector_at(kind: _Vector) -> Any:
    @intrinsic
    def built_in(typing: Any, pointer: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = builder.bitcast(args[0], kind.in_llvm.as_pointer())
            return builder.load(place, typ=kind.in_llvm, align=8)

        return kind(TYPES[call.DOUBLES]), lower

    return built_in


def _set_vector(kind: _Vector) -> Any:
    @intrinsic
    def built_in(typing: Any, pointer: Any, value: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            made = _as_vector(context, builder, args[1], signature.args[1], kind)
            builder.store(made, builder.bitcast(args[0], kind.in_llvm.as_pointer()), align=8)
            return context.get_dummy_value()

        return types.void(TYPES[call.DOUBLES], value), lower

    return built_in


@intrinsic
def _shift(typing: Any, pointer: Any, count: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.gep_inbounds(builder, args[0], args[1])

    return pointer(pointer, types.int64), lower


def _by_address(result: Any) -> Any:
    """``((result(*)(...)) address)(...)`` for arguments that are pointers, doubles or integers."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
        function = ir.FunctionType(INT if result == types.int64 else ir.VoidType(), kinds)
        value = builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])
        return value if result == types.int64 else context.get_dummy_value()

    return lower


@intrinsic
def _call1(typing: Any, address: Any, a: Any) -> Any:
    return types.void(types.int64, a), _by_address(None)


@intrinsic
def _call2(typing: Any, address: Any, a: Any, b: Any) -> Any:
    return types.void(types.int64, a, b), _by_address(None)


@intrinsic
def _call3(typing: Any, address: Any, a: Any, b: Any, c: Any) -> Any:
    return types.void(types.int64, a, b, c), _by_address(None)


@intrinsic
def _call4(typing: Any, address: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    return types.void(types.int64, a, b, c, d), _by_address(None)


@intrinsic
def _call5(typing: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    return types.void(types.int64, a, b, c, d, e), _by_address(None)


@intrinsic
def _call6(typing: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    return types.void(types.int64, a, b, c, d, e, f), _by_address(None)


@intrinsic
def _status7(typing: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> Any:
    return types.int64(types.int64, a, b, c, d, e, f, g), _by_address(types.int64)


@intrinsic
def _status11(
    typing: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, i: Any, j: Any,
    k: Any,
) -> Any:  # fmt: skip
    return types.int64(types.int64, a, b, c, d, e, f, g, h, i, j, k), _by_address(types.int64)


_BUILT_IN = {
    abs: _Handle(_Either("abs", abs, _of_one(_of_llvm("llvm.fabs")))),
    float: _of_one(lambda builder, value: value),
    int: _integer,
    min: _extreme_of_python("<"),
    max: _extreme_of_python(">"),
    pow: _Handle(_Either("power", _of_two(_of_llvm("llvm.pow")), vectormath.power)),
    operator.invert: _contrary,
    operator.truediv: _of_two(lambda builder, a, b: builder.fdiv(a, b)),
    math.sqrt: _of_one(_of_llvm("llvm.sqrt")),
    math.exp: _Handle(_Either("exp", _of_one(_of_llvm("llvm.exp")), vectormath.exponential)),
    math.log: _Handle(_Either("log", _of_one(_of_llvm("llvm.log")), vectormath.logarithm)),
    vectormath.power_at_once: _Handle(
        _Either("power_at_once", vectormath.power_at_once, vectormath.power_at_once)
    ),
    call.shift: _shift,
    call.lanes: _vector_at(VECTORS[LANES]),
    call.set_lanes: _set_vector(VECTORS[LANES]),
    call.pack: _vector_at(VECTORS[PACK]),
    call.set_pack: _set_vector(VECTORS[PACK]),
    call.together: _together,
    call.larger: _of_two(_extreme("<=")),
    call.smaller: _of_two(_extreme(">=")),
    call.choose: _choose,
    call.anywhere: _anywhere,
    call.fused: _fused,
    call.nearest: _of_one(_of_llvm("llvm.nearbyint")),
    call.power_of_two: _of_one(_power_of_two),
    call.exponent: _of_one(_exponent),
    call.mantissa: _of_one(_mantissa),
    call.bounded: _of_one(_bounded),
    call.highest: _highest,
    call.call1: _call1,
    call.call2: _call2,
    call.call3: _call3,
    call.call4: _call4,
    call.call5: _call5,
    call.call6: _call6,
    call.status7: _status7,
    call.status11: _status11,
}


def _of_numba(value: Any) -> Any:
    """What numba sees of a global value."""
    if isinstance(value, plain.ToThe):
        return _to_the(value.exponent)
    if callable(value) and value in _BUILT_IN:
        return _BUILT_IN[value]
    return _inner(value) if isinstance(value, FunctionType) else value


# ---- compilation


class _Library(JITCodeLibrary):
    """Where numba puts a function's instructions: as they are, to be optimised with those of its callers."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout


class _Compiled:
    """A function for some types of arguments: what numba made of it, and of the functions that it calls."""

    def __init__(self, result: Any, callees: list[_Compiled]) -> None:
        self.description, self.signature = result.fndesc, result.signature
        self.module, self.callees = result.library._final_module, callees

    def all(self) -> list[_Compiled]:
        """This function, and all that are called in it or in these, each once."""
        found = {id(self): self}
        waiting = [self]
        while waiting:
            for one in waiting.pop().callees:
                if id(one) not in found:
                    found[id(one)] = one
                    waiting.append(one)
        return list(found.values())

    def call(self, context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:
        """A call of it; it never fails, so that there is no status to look at."""
        function = context.declare_function(builder.module, self.description)
        _, value = context.call_conv.call_function(
            builder, function, self.description.restype, self.description.argtypes, args
        )
        return value


_wanted: list[list[_Compiled]] = []  # what the functions that are being compiled call


def _compile(
    of: Source, arguments: Sequence[Any], values: dict[str, int], contract: bool = False
) -> _Compiled:
    """One function for these types of arguments."""
    flags = compiler.Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    if contract:
        flags.fastmath = FastMathOptions({"contract"})
    function = plain.function(of, values, _of_numba)
    context = cpu_target.target_context
    library = _Library(context.codegen(), function.__name__)
    _wanted.append([])
    try:
        result = compiler.compile_extra(
            cpu_target.typing_context, context, function, tuple(arguments), None, flags, {}, library
        )
    finally:
        callees = _wanted.pop()
    return _Compiled(result, callees)


def module(symbol: str, function: Source, signature: Sequence[str | None], contract: bool = False) -> str:
    """The text of an LLVM module with ``function`` as a C function of the name ``symbol``.

    signature : the type of the result, then those of the arguments, as named in call.py; contract : whether a
        product and a sum may be rounded once.
    """
    result, *arguments = [TYPES[name] for name in signature]
    with global_compiler_lock:
        try:
            found = _compile(function, arguments, {}, contract)
        except errors.NumbaError as error:
            raise TypeError(f"{function.file}:{function.tree.lineno}: {error}") from None
    if types.unliteral(found.signature.return_type) != (types.none if result == types.void else result):
        raise TypeError(
            f"{function.file}:{function.tree.lineno}: {function.tree.name} returns "
            f"{found.signature.return_type} where its signature says {signature[0]}"
        )
    whole = llvm.parse_assembly(_entry(symbol, found, result, arguments))
    for one in found.all():
        whole.link_in(one.module, preserve=True)
    for made in [*whole.functions, *whole.global_variables]:
        if not made.is_declaration and made.name != symbol:
            made.linkage = "internal"
        if made.is_declaration and not made.name.startswith("llvm."):
            raise TypeError(f"{function.file}: {function.tree.name} would need {made.name} of numba")
    return re.sub(r"^(define internal .*) \{$", r"\1 alwaysinline {", str(whole), flags=re.MULTILINE)


def _entry(symbol: str, found: _Compiled, result: Any, arguments: Sequence[Any]) -> str:
    """A C function around numba's: its result and what it would raise are places in memory."""
    kind = _IN_C.get(result, "ptr")
    given = ", ".join(f"{_IN_C.get(one, 'ptr')} %a{i}" for i, one in enumerate(arguments))
    name = f'@"{found.description.llvm_func_name}"'
    taken = ", ".join(["ptr", "ptr", *(_IN_C.get(one, "ptr") for one in arguments)])
    handed = ", ".join(["ptr %result", "ptr %raised", *([given] if given else [])])
    void = result == types.void
    return "\n".join(
        [
            f'target datalayout = "{found.module.data_layout}"',
            f'target triple = "{found.module.triple}"',
            f"declare i32 {name}({taken})",
            f"define {'void' if void else kind} @{symbol}({given}) {{",
            f"  %result = alloca {kind}",
            "  %raised = alloca ptr",
            f"  %status = call i32 {name}({handed})",
            *([] if void else [f"  %value = load {kind}, ptr %result"]),
            "  ret void" if void else f"  ret {kind} %value",
            "}",
        ]
    )
