"""What the compiler of this package emits and refuses; what it computes: test_compilers.py.

What is outside the language is refused with file and line.
"""

import ctypes
import importlib
import re
from math import inf

import numpy as np
import pytest
from solving import kernel

from pkpd.ode import layout, tangent
from pkpd.ode.call import DOUBLES, INTEGERS, unrolled
from pkpd.ode.compile import direct, unit
from pkpd.ode.compile.source import packed, source, text_source
from pkpd.ode.layout import LANES, PACK
from pkpd.ode.methods import explicit, rosenbrock

TABLE = np.array([[1.5, -2.0, 0.25], [3.0, 7.0, -0.125]])
VOID = (None, DOUBLES, INTEGERS, DOUBLES)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        *((name, method.advance_explicit) for name, method in explicit.METHODS.items()),
        *((name, method.advance_rosenbrock) for name, method in rosenbrock.METHODS.items()),
    ],
)
def test_a_unit_is_python_too(name, function, kernel_cache):
    """With arrays for pointers and functions for addresses."""
    k = kernel("michaelis_menten")
    module = importlib.import_module(f"pkpd_kernel_{k.file.stem}")
    n = k.n_states
    sizes = np.zeros(layout.N_SIZES, np.int64)
    w = layout.wide(n)
    sizes[
        [
            layout.N_STATES,
            layout.WIDE,
            layout.N_OUTPUTS,
            layout.WIDTH,
            layout.N_TIMES,
            layout.N_JACOBIAN,
            layout.N_LU,
        ]
    ] = (n, w, k.n_outputs, k.n_outputs, 5, len(k.J_ROWS), k.N_LU)
    stages = layout.EXPLICIT_METHODS | layout.STIFF_METHODS
    sizes[layout.METHOD] = layout.AUTO if name in layout.EXPLICIT_METHODS else layout.STIFF_ONLY
    address = np.zeros(layout.N_ADDRESSES, np.int64)
    address[: len(k.plain_address)] = k.plain_address
    functions = [getattr(module, one) for one in layout.MODEL_FUNCTIONS]

    def arrays(addresses):
        control = np.zeros(layout.N_CONTROL)
        control[
            [layout.T1, layout.RTOL, layout.AUTOMATIC, layout.H_MAX, layout.MAX_STEPS, layout.INFUSING]
        ] = 4.0, 1e-6, 1.0, inf, 1e4, 1.0
        state = np.zeros(4 * w)  # y, infusion rates, atol, largest
        state[:n], state[w : w + n] = np.linspace(50.0, 10.0, n), 1.0
        work = np.zeros(
            layout.work_size(n, len(k.J_ROWS), k.N_LU, 0, len(k.ROUTES), 0, stages[name], 0, k.n_prepared)
        )
        counts, out = np.zeros(layout.N_COUNTS, np.int64), np.zeros(5 * k.n_outputs)
        counts[layout.ROWS] = 5
        return (
            addresses,
            sizes,
            control,
            state,
            k.prepared(k.VALUES),
            np.arange(5.0),
            counts,
            out,
            work,
            np.zeros(32),
            np.zeros(1),
        )

    compiled, python = arrays(address), arrays(functions)
    status = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 11)(unit.address(name, kernel_cache))
    assert status(*(array.ctypes.data for array in compiled)) == function(*python) == 0
    assert compiled[6][layout.STEPS] > 3 and compiled[7][:4].all()  # the last one is at T1
    for one, other in zip(compiled[1:], python[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def polynomial(x, k, out):
    for s in unrolled(0, 2):
        for j in unrolled(s, 3):
            out[s] = out[s] * x[1] + TABLE[s, j]
        out[3 + s] = handed(b_sum, x[s], s)


def handed(function, a, b):
    return function(a, b) * 2.0


def b_sum(a, n):
    return a + n


def test_an_unrolled_loop_is_written_out_with_constants():
    text = direct.module("f", source(polynomial), VOID)
    assert "for:" not in text and text.count("fadd") == 5 + 2


def test_a_packed_array_is_written_in_whole_vectors():
    text = "def f(x, out):\n    out[0] = x[1]\n    out[10] = x[0]\n"
    found = direct.module("f", packed(text_source(text, "f.py"), "out"), (None, DOUBLES, DOUBLES))
    assert found.count(f"store <{PACK} x double>") == 6


@pytest.mark.parametrize("name", ["tsit5", "rodas5p_tangent", "lanes_rodas5p_read"])
def test_pointers_are_opaque(name):
    """llvmlite is about to drop pointers that say what they point to."""
    found = unit.function(name)
    text = direct.module("f", source(found), found.signature)
    assert "ptr " in text and not re.search(r"(double|i64|>|\]|\)|i1)\*", text)


def test_loops_over_lanes_are_vector_code():
    """As they are emitted; no pass has to find out."""
    text = direct.module("f", source(tangent.explicit_tangent), tangent.explicit_tangent.signature)
    assert text.count(f"fmul <{LANES} x double>") >= 2
    assert text.count("align 8") >= 4  # directions stand wherever doubles may stand


# ---- what is refused

REFUSED = {
    "x[0] = y": "has no value here",
    "x[0] = later\n    later = 1.0": "is read before it is assigned",
    "a = 1\n    a = 2.0": "'a' is an integer above and would become a double",
    "k[0] = x[0]": "a double where an integer is wanted",
    "x[x[0]] = 1.0": "a double where an integer is wanted",
    "if k[0]:\n        x[0] = 1.0": "an integer where a truth value is wanted",
    "x[0] = k[0] // 2": "not an operation",
    "x[0] = 1.0 if x[0] < x[1] < x[2] else 2.0": "not an expression",
    "x[0] = x[1] ** k[0]": "an integer exponent is a constant",
    "for v in x:\n        pass": "a loop is over a range",
    "for i in range(0, 9, k[0]):\n        pass": "the step of a range",
    "for i in unrolled(0, k[0]):\n        pass": "takes two constants",
    "x[0] = x[0, 1]": "cannot be used so",
    "x[0] = k": "a pointer where a double is wanted",
    "x[0] = x + 1": "a pointer where a number is wanted",
    "x[0] = abs(x[0], x[1])": "takes 1 argument",
    "x[0] = print(x[0])": "has no value here",
    "x[0] = [1.0][0]": "not an expression",
    "x[0] = 'a'": "a str is not a value",
    "x[0] = max(x[0])": "where a number is wanted",
    "x[0] = max(lanes(x), 1.0)": "has no value here",
    "a, b = 1, 2, 3": "cannot take 3 values",
    "assert x[0] > 0.0": "not a statement",
    "with x:\n        pass": "not a statement",
    "if k[0] > 0:\n        return 1": "a way through this function ends without a return",
    "if k[0] > 0:\n        return 1\n    return 1.0": "another type than that of the return above",
    "return 1": "returns an integer where its signature says None",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_outside_the_language_is_refused_with_file_and_line(statement):
    text = f"# a comment\ndef f(x, k):\n    {statement}\n"
    with pytest.raises(TypeError, match=r"^some/file\.py:\d+: ") as caught:
        direct.module("f", text_source(text, "some/file.py"), (None, DOUBLES, INTEGERS))
    assert REFUSED[statement] in str(caught.value)


def test_the_line_is_that_of_the_statement():
    text = "def f(x, k):\n    x[0] = 1.0\n\n    x[1] = x[0] @ x[0]\n"
    with pytest.raises(TypeError, match=r"^f\.py:4: not an operation of this language: x\[0\] @ x\[0\]$"):
        direct.module("f", text_source(text, "f.py"), (None, DOUBLES, INTEGERS))
