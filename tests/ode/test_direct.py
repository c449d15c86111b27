"""What is lowered computes what numba makes of the same functions, bit for bit: every unit in whole solves,
every construct of the language by itself.

Small functions are also run as the Python that they are. What is outside the language is refused with file
and line.
"""

import ctypes
import importlib
from math import exp, inf, isnan, log, nan, sqrt

import by_numba
import numpy as np
import pytest
from solving import METHODS, events, kernel, table
from test_conditions import FILL, PULSE
from test_steady import FEEDBACK

from pkpd.dosing.events import FIRST, LAST
from pkpd.ode import layout, tangent
from pkpd.ode.call import (
    DOUBLE,
    DOUBLES,
    INTEGER,
    INTEGERS,
    bounded,
    highest,
    lanes,
    larger,
    set_lanes,
    shift,
    unrolled,
)
from pkpd.ode.compile import direct, native, unit
from pkpd.ode.layout import LANES
from pkpd.ode.methods import explicit, rosenbrock
from pkpd.simulation.profile import typical_values
from pkpd.solver import solve

# ---- whole solves


@pytest.fixture(scope="module")
def units():
    """Every unit as numba compiles it."""

    def of(name):
        found = unit.function(name)
        return by_numba.compiled(found, found.signature)

    # lanes are held to the units for single subjects by test_lanes.py
    return {name: of(name) for name in unit.HOME if not name.startswith("lanes_")}


PROBLEMS = {
    "absorption": ("two_compartment_oral", "100 mg oral every 12 h x3", ["CL", "ka", "dose[0]"]),
    "infusions": ("two_compartment_iv", "100 mg iv over 2 h every 12 h x3", ["CL", "V1"]),
    "binding": ("tmdd_full", "10 nmol iv over 1 h once", []),
    "steady": (FEEDBACK, None, ["kin", "K", "x(0)", "dose[0]"]),
    "conditions": (FILL, "60 mg iv every 20 h x2", ["A0", "c", "k", "tlag"]),
    "times": (PULSE, "60 mg iv every 20 h x2", ["a", "b"]),
    "the model of IL-2": ("il2_treg", "2 MIU sc daily x5", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
}


def bits(solution):
    """All that a solve gives, as something that is equal only to itself."""
    arrays = (
        "outputs",
        "states",
        "sensitivities",
        "state_sensitivities",
        "status",
        "stopped",
        "counts",
        "method",
        "largest_error",
    )
    found = {name: getattr(solution, name) for name in arrays}
    if solution.crossings is not None:
        names = ("times", "count", "time_above", "sensitivities")
        found |= {name: getattr(solution.crossings, name) for name in names}
    if solution.readings is not None:
        found |= {
            f"read {name}": getattr(solution.readings, name) for name in ("values", "times", "sensitivities")
        }
    return {name: None if value is None else (value.shape, value.tobytes()) for name, value in found.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=list(PROBLEMS))
def test_solves_are_those_of_numba_bit_for_bit(problem, method, units, monkeypatch):
    name, schedule, directions = problem
    k = kernel(name)
    doses = table(k, (1.0, 5.0, k.ROUTES[0], 2.0)) if schedule is None else events(k, schedule)
    times = np.linspace(0.0, 60.0, 41)
    places = np.where(times[:, None] == 0.0, FIRST, LAST)  # before a dose of that instant

    def found():
        return [
            bits(
                solve(
                    k,
                    typical_values(k),
                    doses,
                    times,
                    method=method,
                    rtol=rtol,
                    directions=d,
                    keep_states=True,
                    places=places if rtol == 1e-8 else None,
                    roots=[(k.STATES[0], 1.0)] if rtol == 1e-4 else (),
                    readings=[
                        (kind, k.OUTPUTS[0], 3.0, 50.0) for kind in ("max", "min", "area", "decline", "end")
                    ]
                    if rtol == 1e-4
                    else (),
                )
            )
            for rtol in (1e-4, 1e-8)
            for d in ((), directions)
        ]

    own = found()
    asked = []

    def address(name):
        asked.append(name)
        return units[name].address

    task = importlib.import_module("pkpd.solver.task")
    monkeypatch.setattr(task, "_unit_address", address)
    monkeypatch.setattr(task, "plan_of", task.Plan)
    assert found() == own
    assert "subjects" in asked and (not directions or any(name.endswith("_tangent") for name in asked))
    assert "observe" in asked and any(name.endswith("_roots") for name in asked)


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


# ---- the language, construct by construct

TABLE = np.array([[1.5, -2.0, 0.25], [3.0, 7.0, -0.125]])
ROW = np.array([0.1, 0.2, 0.3])
FIVE, HALF = 5, 0.5
VOID = (None, DOUBLES, INTEGERS, DOUBLES)


def arithmetic(x, k, out):
    """Docstrings say nothing."""
    n, m = k[0], k[1]
    out[0] = x[0] + x[1] * x[2] - x[3]
    out[1] = n + m * 3 - 7
    out[2] = n / m
    out[3] = n / FIVE
    out[4] = x[0] / x[1]
    out[5] = -x[0] - -n
    out[6] = n * x[0] + m
    out[7] = abs(x[0]) + abs(n - 2 * m)
    out[8] = float(n)
    k[2] = int(x[4])
    k[2] += int(-x[4]) * 10
    out[9] = float(k[2])
    out[10] = x[1] * x[2] + x[3]  # an fma would round once
    out[11] = x[0] * 0.0 + -0.0
    a = b_sum(x[0], n)
    out[12] = a
    out[13] -= x[0]
    out[13] *= 2
    out[13] /= x[1]


def b_sum(a, n):
    return a + n


def powers(x, k, out):
    for i in range(6):
        out[i] = x[i] ** 2
    out[6] = x[0] ** 3 + x[1] ** 0
    out[7] = abs(x[0]) ** (-1.0 / FIVE)
    out[8] = abs(x[1]) ** x[2]
    out[9] = x[3] ** HALF
    out[10] = k[0] ** 2 + k[1] ** 3
    out[11] = k[1] ** HALF
    out[12] = sqrt(abs(x[0])) + sqrt(abs(x[4]))
    out[13] = exp(x[1] / 100.0) - log(abs(x[2]))


def extremes(x, k, out):
    out[0] = max(x[0], x[1])
    out[1] = max(x[1], x[0])
    out[2] = min(x[0], x[1])
    out[3] = min(x[1], x[0], x[2])
    out[4] = max(x[2], x[3], 1e-300)
    out[5] = max(k[0], x[2])
    out[6] = min(k[0], k[1])
    worst = 0.0
    for i in range(6):
        if not x[i] <= worst:
            worst = x[i] if x[i] < inf else inf
    out[7] = worst
    out[8] = 1.0 if isnan(x[0]) else 2.0
    out[9] = 1.0 if x[0] != x[0] else 2.0
    out[10] = 1.0 if x[0] == x[1] else 0.0
    out[11] = nan
    out[12] = 1.0 if x[0] < x[1] or x[0] >= x[1] else 0.0
    out[13] = 1.0 if x[2] > x[1] and not x[2] <= 0.0 else 0.0


def loops(x, k, out):
    place = 0
    for i in range(7):
        if i == 2:
            continue
        for j in range(i, 5):
            if j > 3:
                break
            out[0] += x[j] * i
        else_ = i
        if else_ == 5:
            break
        place = i
    out[1] = place
    out[2] = i
    for i in range(0, k[0] + 9, 4):
        out[3] += i
        i = 100  # does not disturb the count
    for j in range(5, 5):
        out[4] = j
    while place > 0 and out[place] >= -1e300:
        place -= 1
        out[5] += 1.0
    while True:
        place += 1
        if place > 8:
            break
        if place < 4:
            continue
        out[6] += place
    out[7] = place
    for i in range(3):
        for i_ in range(2):
            if i_ == 1 and i == 1:
                break
        else_ = i_
        out[8] = out[8] * 10.0 + else_
    limit = 3
    for j in range(limit):
        limit = 0  # the bounds were computed once
        out[9] += 1.0 + j


def conditions(x, k, out):
    for i in range(5):
        n = k[i]
        if n > 2:
            kind = 0
        elif n == 1 or (n < 0 and x[i] > 0.0):
            kind = 1
        elif not n > 0 and n == 0:
            kind = 2
        else:
            kind = 3
        out[i] = kind
    out[5] = 1 if k[0] > 1 else 2.5
    out[6] = x[0] if k[0] == 3 else (x[1] if k[0] == 2 else float(k[0]))
    place = 2 if k[0] > 1 else -1
    out[7] = x[place] if place >= 0 else 1.0  # elsewhere it would be read before the array
    flag = False
    for i in range(4):
        flag = x[i] < 0.0 or flag
        if flag and k[i] > 0:
            out[8] += 1.0
    out[9] = 3.0 if flag else 4.0
    out[10] = 1.0 if k[0] > 0 and x[0] > 0.0 and k[1] >= 0 else 0.0


def several(x, k):
    """Several values, of several types."""
    if k[0] > 2:
        return x[0], 1, shift(x, 1), True
    n, half = 2 * k[0], HALF * x[1]
    return half, n, shift(x, 2), False


def search(x, count, value):
    for i in range(count):
        if x[i] == value:
            return i
    return -1


def nothing(x):
    if x[0] < 0.0:
        return
    x[0] += 1.0


def recursive_sum(a, b):
    return b_sum(a, 1) * b_sum(b, 2) + b_sum(b_sum(a, b), 3)


def inner_functions(x, k, out):
    a, n, rest, flag = several(x, k)
    _, m, _, _ = several(shift(x, 1), shift(k, 1))
    out[0], out[1], out[2] = a, n + m, rest[0]
    out[3] = 1.0 if flag else 0.0
    out[4] = float(search(x, 6, x[3])) + search(x, 2, 1e9)
    out[5] = recursive_sum(x[0], x[1])
    nothing(shift(out, 6))
    nothing(shift(out, 6))
    x[0], x[1] = x[1], x[0]
    out[7] = x[0]
    if search(x, 3, x[2]) < 0:
        return
    out[8] = 1.0


def tables(x, k, out):
    row = shift(x, 1)
    for i in range(2):
        total = 0.0
        for j in range(3):
            total += TABLE[i, j] * row[j] + ROW[j] + weigh(TABLE, i, j)
        out[i] = total
    out[2] = TABLE[1, 2] + TABLE[0, k[1] - k[1]]
    out[3] = explicit.A[3, 2] + explicit.STAGES
    pattern = shift(k, 2)
    out[4] = x[pattern[0] - pattern[0]] + pattern[1]


def weigh(table, i, j):
    return 2.0 * table[i, j]


def compiled(function, signature, folder):
    """The function as lowered: a C function."""
    where = native.address(
        folder,
        function.__name__,
        "",
        lambda symbol: direct.module(symbol, direct.source(function), signature),
    )
    kinds = {INTEGER: ctypes.c_int64, DOUBLE: ctypes.c_double, None: None}
    result, *arguments = [kinds.get(name, ctypes.c_void_p) for name in signature]
    return ctypes.CFUNCTYPE(result, *arguments)(where)


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 5e-324, 1e308, -1e-308])


def inputs():
    rng = np.random.default_rng(8)
    for trial in range(60):
        x = rng.normal(size=16) * 10.0 ** rng.integers(-3, 4, 16) if trial % 2 else rng.choice(SPECIAL, 16)
        x[4] = rng.normal() * 1e3  # becomes an integer
        k = rng.integers(-3, 5, 16)
        k[1] = rng.integers(1, 5)
        yield x, k, np.zeros(16)


SMALL = (arithmetic, powers, extremes, loops, conditions, inner_functions, tables)


@pytest.mark.parametrize("function", SMALL, ids=[function.__name__ for function in SMALL])
def test_small_functions_equal_those_of_numba_and_python(function, tmp_path):
    own, theirs = compiled(function, VOID, tmp_path), by_numba.compiled(function, VOID).ctypes
    for arrays in inputs():
        mine, numba_s, python_s = ([array.copy() for array in arrays] for _ in range(3))
        own(*(array.ctypes.data for array in mine))
        theirs(*(np.ctypeslib.as_ctypes(array) for array in numba_s))
        same(mine, numba_s)
        if function is not powers:  # math in Python is another, and raises where the result is nan
            with np.errstate(all="ignore"):
                function(*python_s)
            same(mine, python_s)


def same(found, expected):
    """Equal arrays; so are the signs of zeros, and nan is as good as nan."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(np.signbit(one) & ~np.isnan(one), np.signbit(other) & ~np.isnan(other))


def test_results_and_arguments_by_value(tmp_path):
    assert compiled(search, (INTEGER, DOUBLES, INTEGER, DOUBLE), tmp_path)(SPECIAL.ctypes.data, 5, 1.0) == 2
    assert compiled(b_sum, (DOUBLE, DOUBLE, INTEGER), tmp_path)(0.5, 3) == 3.5


def vectors(x, k, out):
    total = lanes(x)
    for i in range(k[0]):
        total += x[i] * lanes(shift(x, 1)) - total / 2 + 1
    set_lanes(shift(out, 3), -total)


def norms(x, k, out):
    a, b = lanes(x), lanes(shift(x, 2))
    set_lanes(shift(out, 0), larger(a, b) - bounded(b))
    out[8] = highest(bounded(abs(a)))


@pytest.mark.parametrize("vectors", [vectors, norms], ids=["arithmetic", "norms"])
def test_vectors_are_the_same_arithmetic_in_every_lane(vectors, tmp_path):
    own = compiled(vectors, VOID, tmp_path)
    for x, k, out in inputs():
        k[0] = abs(k[0])
        expected = out.copy()
        with np.errstate(all="ignore"):
            vectors(x, k, expected)
        own(x.ctypes.data, k.ctypes.data, out.ctypes.data)
        np.testing.assert_array_equal(out, expected)
    assert LANES + 3 < 16


def polynomial(x, k, out):
    for s in unrolled(0, 2):
        for j in unrolled(s, 3):
            out[s] = out[s] * x[1] + TABLE[s, j]
        out[3 + s] = handed(b_sum, x[s], s)


def handed(function, a, b):
    return function(a, b) * 2.0


def test_an_unrolled_loop_is_written_out_with_constants(tmp_path):
    own = compiled(polynomial, VOID, tmp_path)
    for x, k, out in inputs():
        expected = out.copy()
        with np.errstate(all="ignore"):
            polynomial(x, k, expected)
        own(x.ctypes.data, k.ctypes.data, out.ctypes.data)
        np.testing.assert_array_equal(out, expected)
    text = direct.module("f", direct.source(polynomial), VOID)
    assert "for:" not in text and text.count("fadd") == 5 + 2


def test_a_packed_array_is_written_whole_with_noughts_behind(tmp_path):
    text = "def f(x, out):\n    a = x[1]\n    out[0] = a\n    out[10] = a*x[0]\n    x[2] = 5.0\n"
    source = direct.text_source(text, "f.py")
    found = direct.module("f", source, (None, DOUBLES, DOUBLES), packed="out")
    assert found.count(f"store <{LANES} x double>") == 2
    where = native.address(
        tmp_path,
        "packed",
        "packed",
        lambda symbol: direct.module(symbol, source, (None, DOUBLES, DOUBLES), packed="out"),
    )
    x, out = np.array([2.0, 3.0, 4.0]), np.full(2 * LANES + 1, 7.0)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(where)(x.ctypes.data, out.ctypes.data)
    expected = np.zeros(2 * LANES)
    expected[[0, 10]] = 3.0, 6.0
    np.testing.assert_array_equal(out, [*expected, 7.0])
    assert x[2] == 5.0


def test_loops_over_lanes_are_vector_code():
    """As they are emitted; no pass has to find out."""
    text = direct.module("f", direct.source(tangent.explicit_tangent), tangent.explicit_tangent.signature)
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
        direct.module("f", direct.text_source(text, "some/file.py"), (None, DOUBLES, INTEGERS))
    assert REFUSED[statement] in str(caught.value)


def test_the_line_is_that_of_the_statement():
    text = "def f(x, k):\n    x[0] = 1.0\n\n    x[1] = x[0] @ x[0]\n"
    with pytest.raises(TypeError, match=r"^f\.py:4: not an operation of this language: x\[0\] @ x\[0\]$"):
        direct.module("f", direct.text_source(text, "f.py"), (None, DOUBLES, INTEGERS))
