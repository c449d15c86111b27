"""Units and other functions in their language, compiled by numba: a second opinion on
``pkpd/ode/compile/direct.py``."""

import functools
import math
import types as python_types
from math import inf

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pkpd.ode import call, layout, tangent, vectors

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
def call1(typing, address, a):
    return types.void(types.int64, a), _lower_call


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
def call6(typing, address, a, b, c, d, e, f):
    return types.void(types.int64, a, b, c, d, e, f), _lower_call


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


# What is built in for numbers and vectors alike, for numbers.


def larger(a, b):
    return a if b <= a else b


def smaller(a, b):
    return a if b >= a else b


def choose(mask, a, b):
    return a if mask else b


def nearest(x):
    return np.rint(x)


def power_of_two(n):
    return math.ldexp(1.0, int(n))


def exponent(x):
    return math.frexp(x)[1] - 1.0


def mantissa(x):
    return 2.0 * math.frexp(x)[0]


# What the functions of vectors.py do, one number after the other. The norms start from nought, as vectors do.


def add(target, factor, source, count):
    for i in range(count):
        target[i] += factor * source[i]


def combine(target, base, table, s, factor, k, count):
    for i in range(count):
        found = table[s, 0] * k[i]
        for j in range(1, s):
            if table[s, j] != 0.0:
                found += table[s, j] * k[j * count + i]
        target[i] = base[i] + factor * found


def total(target, factor, row, stages, k, count):
    for i in range(count):
        found = row[0] * k[i]
        for s in range(1, stages):
            if row[s] != 0.0:
                found += row[s] * k[s * count + i]
        target[i] = factor * found


def copy(target, source, count):
    for i in range(count):
        target[i] = source[i]


def plus(target, a, b, count):
    for i in range(count):
        target[i] = a[i] + b[i]


def blend(target, a, y, b, y1, weights, stages, k, count):
    for i in range(count):
        found = a * y[i] + b * y1[i]
        for s in range(stages):
            found += weights[s] * k[s * count + i]
        target[i] = found


def floors(floor, atol, largest, rtol, automatic, count):
    top = 0.0
    for i in range(count):
        top = max(top, largest[i])
    across = vectors.TINY + rtol * automatic * vectors.CROSS_FLOOR * top
    own = rtol * automatic * vectors.AUTO_FLOOR
    for i in range(count):
        floor[i] = atol[i] + (own * largest[i] + across)


def error_norm(error, y, y1, floor, rtol, count):
    worst = 0.0
    for i in range(count):
        ratio = abs(error[i]) / (floor[i] + rtol * max(abs(y[i]), abs(y1[i])))
        worst = max(worst, ratio if ratio < inf else inf)
    return worst


def quotient(f1, f0, u1, u0, y, floor, rtol, count):
    change = 0.0
    distance = 0.0
    for i in range(count):
        scale = floor[i] + rtol * max(abs(y[i]), abs(u1[i]))
        change = max(change, abs(f1[i] - f0[i]) / scale)
        distance = max(distance, abs(u1[i] - u0[i]) / scale)
    return change / distance if distance > 0.0 else 0.0


def advance(y, y1, largest, count):
    for i in range(count):
        y[i] = y1[i]
        largest[i] = max(largest[i], abs(y1[i]))


def tangent_norm(sizes, control, state, y1, tangent):
    n, w, m = sizes[layout.N_STATES], sizes[layout.WIDE], sizes[layout.N_DIRECTIONS]
    _, _, y_dot, y1_dot, _, error, largest, _, _, _, _, _, _ = parts(sizes, tangent)
    rtol = control[layout.RTOL]
    floor = rtol * control[layout.AUTOMATIC] * vectors.AUTO_FLOOR
    top = 0.0
    for i in range(n):
        top = max(top, max(state[3 * w + i], abs(y1[i])))
    across = vectors.TINY + rtol * control[layout.AUTOMATIC] * vectors.CROSS_FLOOR * top
    worst = 0.0
    for i in range(n):
        size = max(state[3 * w + i], abs(y1[i]))
        base = state[2 * w + i] + across
        for e in range(i * m, i * m + m):
            reach = max(abs(y_dot[e]), abs(y1_dot[e]))
            ratio = abs(error[e]) / (base + rtol * reach + floor * max(largest[e], size))
            worst = max(worst, ratio if ratio < inf else inf)
    return worst / control[layout.SLACK]


parts = tangent.parts

_OTHER = {
    call.call1: call1,
    call.call2: call2,
    call.call3: call3,
    call.call4: call4,
    call.status7: status7,
    call.status11: status11,
    call.shift: shift,
    call.call6: call6,
    tangent.norm: tangent_norm,
    call.unrolled: range,
    call.larger: larger,
    call.smaller: smaller,
    call.choose: choose,
    call.nearest: nearest,
    call.power_of_two: power_of_two,
    call.exponent: exponent,
    call.mantissa: mantissa,
} | {
    getattr(vectors, function.__name__): function
    for function in (add, combine, total, copy, plus, blend, floors, error_norm, quotient, advance)
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
