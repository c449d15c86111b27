"""Pointers and calls by address, as units write them.

The integrator is a handful of C functions over raw pointers, each compiled by itself (``compile/``).
A function that is known by its address, of the model or of the integrator, is called through it, so the
integrator is compiled once and serves every model, and only what a solve needs is compiled at all.
(A right-hand side of 14 states takes about 25 ns, the call included.)

What stands here is Python like the units themselves: with numpy arrays for pointers and functions for
addresses they can be run as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from pkpd.ode.layout import LANES, PACK

INTEGER, DOUBLE = "int64", "double"
INTEGERS, DOUBLES = "int64*", "double*"
# most units are called by ``status7``
STEP = (INTEGER, INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES)

SHIFT = 1.5 * 2.0**52  # a whole number added to it stands in the last bits
ABOVE_2_52 = 0x433 << 52  # the bits of 2**52, whose last bits are nought


def c_function(signature: Any) -> Any:
    """Declare a function as a unit; signature: the types of its result (None: nothing) and of its
    arguments."""

    def declare(function: Any) -> Any:
        function.signature = signature
        return function

    return declare


def inner(function: Any) -> Any:
    """Declare a small function that becomes part of the unit that calls it."""
    return function


def bound(functions: Sequence[Callable[..., Any]], **names: Any) -> SimpleNamespace:
    """Functions of one file with other values for some of its globals: the same code over the tables of
    another method.

    Where they call each other, they find each other so bound.
    """
    code: list[Any] = list(functions)
    home = dict(code[0].__globals__) | names
    for function in code:
        copy = FunctionType(function.__code__, home, function.__name__)
        copy.__dict__.update(function.__dict__)
        home[function.__name__] = copy
    return SimpleNamespace(**names, **{function.__name__: home[function.__name__] for function in code})


def call1(function: Any, a: Any) -> None:
    """Call ``function(a)``."""
    function(a)


def call2(function: Any, a: Any, b: Any) -> None:
    """Call ``function(a, b)``."""
    function(a, b)


def call3(function: Any, a: Any, b: Any, c: Any) -> None:
    """Call ``function(a, b, c)``."""
    function(a, b, c)


def call4(function: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Call ``function(a, b, c, d)``."""
    function(a, b, c, d)


def call5(function: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
    """Call ``function(a, b, c, d, e)``."""
    function(a, b, c, d, e)


def call6(function: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> None:
    """Call ``function(a, b, c, d, e, f)``."""
    function(a, b, c, d, e, f)


def status7(function: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> Any:
    """``function(a, ..., g)``, which returns a status."""
    return function(a, b, c, d, e, f, g)


def status11(
    function: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, i: Any, j: Any, k: Any
) -> Any:
    """``function(a, ..., k)``, which returns a status."""
    return function(a, b, c, d, e, f, g, h, i, j, k)


def shift(pointer: Any, count: Any) -> Any:
    """The pointer ``count`` elements further on."""
    return pointer[count:]


def lanes(pointer: Any) -> Any:
    """The next LANES doubles as one vector: ``+ - * /`` with vectors and doubles go element by element."""
    return pointer[:LANES].copy()


def set_lanes(pointer: Any, vector: Any) -> None:
    """Write a vector to the next LANES doubles."""
    pointer[:LANES] = vector


def pack(pointer: Any) -> Any:
    """The next PACK doubles as one vector, as ``lanes``."""
    return pointer[:PACK].copy()


def set_pack(pointer: Any, vector: Any) -> None:
    """Write a vector to the next PACK doubles."""
    pointer[:PACK] = vector


def together(a: Any, b: Any) -> Any:
    """A vector of PACK = 2 numbers."""
    return np.array([a, b])


def larger(a: Any, b: Any) -> Any:
    """The larger of two numbers or, element by element, vectors; the second where it is not a number."""
    return np.where(b <= a, a, b)


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two; the second where it is not a number."""
    return np.where(b >= a, a, b)


def choose(mask: Any, a: Any, b: Any) -> Any:
    """``a`` where the mask is true, else ``b``; comparisons of vectors are masks, which may be joined by ``&
    | ~``."""
    return np.where(mask, a, b)


def anywhere(mask: Any) -> bool:
    """Whether a mask is true in any lane, or a truth value is."""
    return bool(np.any(mask))


def bounded(vector: Any) -> Any:
    """A number or vector with infinity for what is not a number."""
    return np.where(vector < np.inf, vector, np.inf)


def highest(vector: Any) -> Any:
    """The largest element of a vector of numbers."""
    return float(vector.max())


def fused(a: Any, b: Any, c: Any) -> Any:
    """``a b + c``, rounded once."""
    exact = np.vectorize(lambda a, b, c: float(Fraction(a) * Fraction(b) + Fraction(c)), otypes=[float])
    return exact(a, b, c)


def nearest(x: Any) -> Any:
    """The nearest whole number, halves to even."""
    return np.rint(x)


def power_of_two(n: Any) -> Any:
    """``2**n`` for a whole number from -1022 to 1023."""
    return np.ldexp(1.0, np.asarray(n, dtype=int))


def exponent(x: Any) -> Any:
    """The whole number n with ``2**n <= x < 2**(n+1)``, for normal x > 0."""
    return np.floor(np.frexp(x)[1] - 1.0)


def mantissa(x: Any) -> Any:
    """``x/2**exponent(x)``."""
    return 2.0 * np.frexp(x)[0]


def unrolled(first: int, end: int) -> range:
    """A range known at compilation: a loop over it is written out, with every index a constant."""
    return range(first, end)
