"""Units and other functions in their language, compiled by numba: a second opinion on ``pkpd/ode/lower.py``."""

import functools
import types as python_types

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pkpd.ode import call, tangent
from pkpd.ode.layout import LANES

TYPES = {
    None: types.void,
    call.INTEGER: types.int64,
    call.DOUBLE: types.float64,
    call.INTEGERS: types.CPointer(types.int64),
    call.DOUBLES: types.CPointer(types.float64),
}


def _lower_call(context, builder, signature, args):
    """``((result(*)(...)) address)(...)`` for arguments that are pointers, doubles or integers."""
    kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
    void = signature.return_type == types.void
    result = ir.VoidType() if void else context.get_value_type(signature.return_type)
    function = ir.FunctionType(result, kinds)
    value = builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])
    return context.get_dummy_value() if void else value


@intrinsic
def call2(typing, address, a, b):
    return types.void(types.int64, a, b), _lower_call


@intrinsic
def call3(typing, address, a, b, c):
    return types.void(types.int64, a, b, c), _lower_call


@intrinsic
def call4(typing, address, a, b, c, d):
    return types.void(types.int64, a, b, c, d), _lower_call


@intrinsic
def status7(typing, address, a, b, c, d, e, f, g):
    return types.int64(types.int64, a, b, c, d, e, f, g), _lower_call


@intrinsic
def status11(typing, address, a, b, c, d, e, f, g, h, i, j, k):
    return types.int64(types.int64, a, b, c, d, e, f, g, h, i, j, k), _lower_call


@intrinsic
def shift(typing, pointer, count):
    def lower(context, builder, signature, args):
        return cgutils.gep_inbounds(builder, args[0], args[1])

    return pointer(pointer, types.int64), lower


def add(target, factor, source, count):
    """What the vectors of ``tangent.add`` do, one number after the other."""
    for i in range(count):
        target[i] += factor * source[i]


def combine(target, base, table, s, factor, k, count):
    """The same of ``tangent.combine``."""
    for start in range(0, count, LANES):
        for i in range(start, start + LANES):
            total = base[i]
            for j in range(s):
                total += factor * table[s, j] * k[j * count + i]
            target[i] = total


_OTHER = {
    call.call2: call2,
    call.call3: call3,
    call.call4: call4,
    call.status7: status7,
    call.status11: status11,
    call.shift: shift,
    tangent.add: add,
    tangent.combine: combine,
}


def _python(function):
    """The same function over globals that numba can compile."""
    names = {
        name: _global(function.__globals__[name])
        for name in function.__code__.co_names
        if name in function.__globals__
    }
    return python_types.FunctionType(function.__code__, names, function.__name__)


@functools.cache
def _inner(function):
    return numba.njit(error_model="numpy")(_python(function))


def _global(value):
    if not isinstance(value, python_types.FunctionType):
        return value
    other = _OTHER.get(value, value)
    return _inner(other) if isinstance(other, python_types.FunctionType) else other


def compiled(function, signature):
    """A C function; keep it as long as its address is used."""
    result, *arguments = [TYPES[name] for name in signature]
    return numba.cfunc(result(*arguments), error_model="numpy")(_python(function))
