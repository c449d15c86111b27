"""Pointers and calls by address in compiled code.

The integrator is a handful of C functions over raw pointers, each compiled by itself (``unit.py``). A function that is known by its
address, of the model or of the integrator, is called through it, so the integrator is compiled once and serves every model, and
only what a solve needs is compiled at all. Measured: an indirect call costs 2 ns, a right-hand side of 14 states 25 ns; pointers
in place of array structures halve the time to compile.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

DOUBLES = types.CPointer(types.float64)
INTEGERS = types.CPointer(types.int64)

# A small function that becomes part of the unit that calls it.
inner = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


def c_function(signature: Any) -> Any:
    """Declare a function over pointers as a unit of this signature; ``unit.py`` compiles it when it is needed."""

    def declare(function: Any) -> Any:
        function.signature = signature
        return function

    return declare


def _lower_call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Emit ``((result(*)(...)) address)(...)`` for arguments that are pointers, doubles or integers."""
    kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
    void = signature.return_type == types.void
    result = ir.VoidType() if void else context.get_value_type(signature.return_type)
    function = ir.FunctionType(result, kinds)
    value = builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])
    return context.get_dummy_value() if void else value


@intrinsic
def call2(typingctx: Any, address: Any, a: Any, b: Any) -> Any:
    """``address(a, b)``."""
    return types.void(types.int64, a, b), _lower_call


@intrinsic
def call3(typingctx: Any, address: Any, a: Any, b: Any, c: Any) -> Any:
    """``address(a, b, c)``."""
    return types.void(types.int64, a, b, c), _lower_call


@intrinsic
def call4(typingctx: Any, address: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """``address(a, b, c, d)``."""
    return types.void(types.int64, a, b, c, d), _lower_call


@intrinsic
def status7(typingctx: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> Any:
    """``address(a, ..., g)``, which returns a status."""
    return types.int64(types.int64, a, b, c, d, e, f, g), _lower_call


@intrinsic
def status11(
    typingctx: Any,
    address: Any,
    a: Any,
    b: Any,
    c: Any,
    d: Any,
    e: Any,
    f: Any,
    g: Any,
    h: Any,
    i: Any,
    j: Any,
    k: Any,
) -> Any:
    """``address(a, ..., k)``, which returns a status."""
    return types.int64(types.int64, a, b, c, d, e, f, g, h, i, j, k), _lower_call


@intrinsic
def shift(typingctx: Any, pointer: Any, count: Any) -> Any:
    """The pointer ``count`` elements further on."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.gep_inbounds(builder, args[0], args[1])

    return pointer(pointer, types.int64), lower
