"""One source, two compilers: what they compute is the same, bit for bit, in whole solves and in every
construct of the language by itself; one cache holds the code of both.

Small functions are also run as the Python that they are.
"""

import ctypes
import importlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from math import exp, inf, isnan, log, nan, sqrt

import numpy as np
import pytest
from small_models import COURSE
from solving import METHODS, events, kernel, table
from test_conditions import FILL, PULSE
from test_lanes import spread
from test_steady import FEEDBACK

import pkpd
from pkpd.core.errors import InputError
from pkpd.dosing.events import FIRST, LAST
from pkpd.ode.call import (
    DOUBLE,
    DOUBLES,
    INTEGER,
    INTEGERS,
    anywhere,
    bounded,
    choose,
    exponent,
    fused,
    highest,
    lanes,
    larger,
    mantissa,
    nearest,
    pack,
    power_of_two,
    set_lanes,
    set_pack,
    shift,
    smaller,
    together,
    unrolled,
)
from pkpd.ode.compile import compilers, native, source, unit
from pkpd.ode.layout import LANES
from pkpd.ode.methods import explicit
from pkpd.simulation.profile import typical_values
from pkpd.solver import Options, Solver, adjoint, solve
from pkpd.solver import task as solver_task

kernels = importlib.import_module("pkpd.solver.kernel")


KEPT = (unit.address, solver_task.setup_of, adjoint.function_of)


@contextmanager
def compiled_by(name):
    """In this block everything is compiled by one compiler, or comes from its part of the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(compilers.VARIABLE, name)
        patch.setattr(kernels, "_loaded", {})
        for cached in KEPT:
            cached.cache_clear()
        yield
    for cached in KEPT:
        cached.cache_clear()


# ---- whole solves


PROBLEMS = {
    "absorption": ("two_compartment_oral", "100 mg oral every 12 h x3", ["CL", "ka", "dose[0]"]),
    "infusions": ("two_compartment_iv", "100 mg iv over 2 h every 12 h x3", ["CL", "V1"]),
    "binding": ("tmdd_full", "10 nmol iv over 1 h once", []),
    "steady": (FEEDBACK, None, ["kin", "K", "x(0)", "dose[0]"]),
    "conditions": (FILL, "60 mg iv every 20 h x2", ["A0", "c", "k", "tlag"]),
    "times": (PULSE, "60 mg iv every 20 h x2", ["a", "b"]),
    "the model of IL-2": ("il2_treg", "2 MIU sc daily x5", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
}
WITHOUT_A_STATE = {"without a state": (COURSE, "none", ["A", "t50", "stop"])}


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
        "method_used",
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


WHOLE = [(name, method) for name in PROBLEMS for method in METHODS] + [("without a state", "auto")]


@pytest.mark.long
@pytest.mark.parametrize(("problem", "method"), WHOLE)
def test_solves_are_the_same_bit_for_bit(problem, method):
    """One subject with sensitivities, roots and readings, and many in lanes."""
    name, schedule, directions = (PROBLEMS | WITHOUT_A_STATE)[problem]
    times = np.linspace(0.0, 60.0, 41)
    places = np.where(times[:, None] == 0.0, FIRST, LAST)  # before a dose of that instant

    def found():
        k = kernel.__wrapped__(name)
        doses = table(k, (1.0, 5.0, k.ROUTES[0], 2.0)) if schedule is None else events(k, schedule)
        read = [(kind, k.OUTPUTS[0], 3.0, 50.0) for kind in ("max", "min", "area", "decline", "end")]
        alone = [
            solve(
                k,
                typical_values(k),
                doses,
                times,
                options=Options(method=method, rtol=rtol),
                directions=d,
                keep_states=True,
                places=places if rtol == 1e-8 else None,
                roots=[(k.STATES[0], 1.0)] if rtol == 1e-4 else (),
                readings=read if rtol == 1e-4 else (),
            )
            for rtol in (1e-4, 1e-8)
            for d in ((), directions)
        ]
        many = [
            solve(
                k,
                spread(k, 21),
                doses,
                times,
                options=Options(method=method, rtol=1e-5),
                keep_states=True,
                readings=r,
            )
            for r in ((), read)
        ]
        return [bits(one) for one in (*alone, *many)]

    with compiled_by("direct"):
        direct = found()
    with compiled_by("numba"):
        assert found() == direct


@pytest.mark.long
@pytest.mark.parametrize(
    ("problem", "method"), [("absorption", "tsit5"), ("infusions", "rodas4"), ("binding", "rodas5p")]
)
def test_gradients_are_the_same_bit_for_bit(problem, method):
    name, schedule, _ = PROBLEMS[problem]

    def found():
        k = kernel.__wrapped__(name)
        options = Options(method=method, rtol=1e-5)
        solver = Solver(k, events(k, schedule), [3.0, 20.0, 60.0], options=options)
        _, gradient = solver.gradient(spread(k, 11), np.ones((3, k.n_outputs)))
        assert np.all(np.isfinite(gradient))
        return gradient.tobytes()

    with compiled_by("direct"):
        direct = found()
    with compiled_by("numba"):
        assert found() == direct


def test_every_unit_is_compiled_by_either(kernel_cache):
    """And lies under another name for each: they do not take each other's code."""
    for name in unit.HOME:
        found = {}
        for compiler in compilers.COMPILERS:
            with compiled_by(compiler):
                found[compiler] = unit.address(name, kernel_cache)
        assert len(set(found.values())) == len(found)


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


def compiled(function, signature, folder, compiler):
    """The function as a C function; function: Python, or a source."""
    given = function if isinstance(function, source.Source) else source.source(function)
    with compiled_by(compiler):
        where = native.address(
            folder, given.tree.name, "", lambda symbol: compilers.module(symbol, given, signature)
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
def test_small_functions_are_the_same_and_those_of_python(function, tmp_path):
    both = [compiled(function, VOID, tmp_path, compiler) for compiler in compilers.COMPILERS]
    for arrays in inputs():
        mine, other, python_s = ([array.copy() for array in arrays] for _ in range(3))
        for one, given in zip(both, (mine, other), strict=True):
            one(*(array.ctypes.data for array in given))
        same(mine, other)
        if function is not powers:  # math in Python is another, and raises where the result is nan
            with np.errstate(all="ignore"):
                function(*python_s)
            same(mine, python_s)


def same(found, expected):
    """Equal arrays; so are the signs of zeros, and nan is as good as nan."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(np.signbit(one) & ~np.isnan(one), np.signbit(other) & ~np.isnan(other))


either = pytest.mark.parametrize("compiler", compilers.COMPILERS)


@either
def test_results_and_arguments_by_value(tmp_path, compiler):
    found = compiled(search, (INTEGER, DOUBLES, INTEGER, DOUBLE), tmp_path, compiler)
    assert found(SPECIAL.ctypes.data, 5, 1.0) == 2
    assert compiled(b_sum, (DOUBLE, DOUBLE, INTEGER), tmp_path, compiler)(0.5, 3) == 3.5


def vectors(x, k, out):
    total = lanes(x)
    for i in range(k[0]):
        total += x[i] * lanes(shift(x, 1)) - total / 2 + 1
    set_lanes(shift(out, 3), -total)


def norms(x, k, out):
    a, b = lanes(x), lanes(shift(x, 2))
    set_lanes(shift(out, 0), larger(a, b) - bounded(b))
    out[8] = highest(bounded(abs(a)))


def masks(x, k, out):
    a, b = lanes(x), lanes(shift(x, 3))
    test = ((a < b) | (a == 0.0)) & ~(b >= 2.0)
    found = choose(test, a, 1.0) - choose(a != b, smaller(a, k[1]), b)
    if anywhere(test & (b > 0.5)):
        found /= 3
    set_lanes(shift(out, 1), found)
    set_pack(shift(out, 12), abs(together(x[0], 0.5) - pack(shift(x, 3))))


def bits_of_numbers(x, k, out):
    a = 0.25 + abs(lanes(x))
    a = choose(a < 1e30, a, 1e30)
    out[0] = exponent(abs(x[9]) + 1.0) + nearest(x[4])
    out[1] = mantissa(abs(x[9]) + 1.0) * power_of_two(float(k[1])) + fused(0.1, x[2], 0.3)
    set_lanes(shift(out, 3), exponent(a) - mantissa(a) * power_of_two(nearest(lanes(shift(x, 16)))))
    set_pack(shift(out, 12), fused(pack(x), 1.1, pack(shift(x, 2))))


VECTORS = (vectors, norms, masks, bits_of_numbers)


@either
@pytest.mark.parametrize("function", VECTORS, ids=[function.__name__ for function in VECTORS])
def test_vectors_are_the_same_arithmetic_in_every_lane(function, tmp_path, compiler):
    own = compiled(function, VOID, tmp_path, compiler)
    for x, k, out in inputs():
        x = np.concatenate([x, np.linspace(-9.0, 9.0, LANES)])
        k[0] = abs(k[0])
        if function is bits_of_numbers:
            x = np.where(np.abs(x) < 1e300, x, 2.5)
        expected = out.copy()
        with np.errstate(all="ignore"):
            function(x, k, expected)
        own(x.ctypes.data, k.ctypes.data, out.ctypes.data)
        np.testing.assert_array_equal(out, expected)
    assert LANES + 3 < 16


def of_vectors(x, k, out):
    set_lanes(out, exp(lanes(x)) - log(lanes(shift(x, 1))))
    set_lanes(shift(out, 8), lanes(x) ** HALF - 2.0 ** lanes(shift(x, 1)))


def test_exp_log_and_powers_of_vectors_are_the_same(tmp_path):
    both = [compiled(of_vectors, VOID, tmp_path, compiler) for compiler in compilers.COMPILERS]
    for x, k, out in inputs():
        other = out.copy()
        for one, given in zip(both, (out, other), strict=True):
            one(x.ctypes.data, k.ctypes.data, given.ctypes.data)
        assert out.tobytes() == other.tobytes()


def polynomial(x, k, out):
    for s in unrolled(0, 2):
        for j in unrolled(s, 3):
            out[s] = out[s] * x[1] + TABLE[s, j]
        out[3 + s] = handed(b_sum, x[s], s)


def handed(function, a, b):
    return function(a, b) * 2.0


@either
def test_an_unrolled_loop_has_constants_in_every_turn(tmp_path, compiler):
    own = compiled(polynomial, VOID, tmp_path, compiler)
    for x, k, out in inputs():
        expected = out.copy()
        with np.errstate(all="ignore"):
            polynomial(x, k, expected)
        own(x.ctypes.data, k.ctypes.data, out.ctypes.data)
        np.testing.assert_array_equal(out, expected)


# ---- forms of generated functions


@either
def test_a_packed_array_is_written_whole_with_noughts_behind(tmp_path, compiler):
    text = "def f(x, out):\n    a = x[1]\n    out[0] = a\n    out[10] = a*x[0]\n    x[2] = 5.0\n"
    form = source.packed(source.text_source(text, "f.py"), "out")
    own = compiled(form, (None, DOUBLES, DOUBLES), tmp_path, compiler)
    x, out = np.array([2.0, 3.0, 4.0]), np.full(13, 7.0)
    own(x.ctypes.data, out.ctypes.data)
    expected = np.zeros(12)
    expected[[0, 10]] = 3.0, 6.0
    np.testing.assert_array_equal(out, [*expected, 7.0])
    assert x[2] == 5.0


LINE = """
def f(a, d, x, out):
    one = exp(a[1])*x[2] if x[2] < d else log(x[1])**a[0]
    two = 2.0*a[0] if a[0] > 1.0 else a[1]
    out[1] = one*two
    out[0] = one/d + two*x[0]
    out[1] -= x[1]
"""


@either
@pytest.mark.parametrize("at_once", [False, True], ids=["exact", "at once"])
@pytest.mark.parametrize("stride", [None, "stride"])
def test_columns_are_the_same_straight_line_in_every_lane(tmp_path, compiler, stride, at_once):
    """With a of the same numbers in every lane, x and out in lanes, and the number d too where there is no
    stride."""
    plain = source.text_source(LINE, "f.py")._replace(globals={"exp": exp, "log": log})
    names = ("d", "x", "out") if stride is None else ("x", "out")
    form = source.columns(source.at_once(plain) if at_once else plain, names, stride)
    kinds = [DOUBLES, DOUBLES if stride is None else DOUBLE, DOUBLES, DOUBLES]
    more = () if stride is None else (INTEGER,)
    own = compiled(form, (None, *kinds, *more), tmp_path, compiler)
    rng = np.random.default_rng(4)
    wide = LANES if stride is None else 3 * LANES
    a, x, out = rng.uniform(0.5, 1.5, 2), rng.uniform(1.1, 2.0, (3, wide)), np.zeros((2, wide))
    d = rng.uniform(0.5, 2.0, LANES) if stride is None else 1.4
    own(
        a.ctypes.data, d if more else d.ctypes.data, x.ctypes.data, out.ctypes.data, *([wide] if more else [])
    )
    one = np.where(x[2] < d, np.exp(a[1]) * x[2], np.log(x[1]) ** a[0])
    two = 2.0 * a[0] if a[0] > 1.0 else a[1]
    np.testing.assert_allclose(out, [one / d + two * x[0], one * two - x[1]], rtol=1e-13)


def test_single_numbers_at_once_are_those_of_lanes(tmp_path):
    text = "def f(x, out):\n    out[0] = exp(x[0])*x[1]**x[0] + log(x[1])\n"
    form = source.at_once(source.text_source(text, "f.py")._replace(globals={"exp": exp, "log": log}))
    x = np.random.default_rng(1).uniform(0.2, 3.0, (2, LANES))
    for compiler in compilers.COMPILERS:
        signature = (None, DOUBLES, DOUBLES)
        (tmp_path / compiler).mkdir()
        wide = compiled(source.columns(form, ("x", "out")), signature, tmp_path / compiler / "wide", compiler)
        alone = compiled(form, signature, tmp_path / compiler, compiler)
        lanes_out, out = np.zeros(LANES), np.zeros((LANES, 1))
        wide(x.ctypes.data, lanes_out.ctypes.data)
        for lane in range(LANES):
            mine = np.ascontiguousarray(x[:, lane])
            alone(mine.ctypes.data, out[lane].ctypes.data)
        np.testing.assert_array_equal(out[:, 0], lanes_out)


# ---- which one


def test_both_have_every_word_of_the_language():
    from pkpd.ode import call
    from pkpd.ode.compile import by_numba, direct

    words = {
        function
        for function in vars(call).values()
        if getattr(function, "__module__", "") == call.__name__ and function is not call.unrolled
    } - {call.c_function, call.inner, call.bound}
    assert words <= set(direct._CALLS) and words <= set(by_numba._BUILT_IN)


SIMULATE = """
import json, sys
import pkpd
from pkpd.ode.compile import compilers
profile = pkpd.simulate("one_compartment_oral", "100 mg oral every 12 h x3", [1.0, 20.0])
names = ("numba", "pkpd.ode.compile.by_numba", "pkpd.ode.compile.direct")
loaded = [name for name in names if name in sys.modules]
print(json.dumps([compilers.compiler(), loaded, profile.outputs.tolist()]))
"""


def answer(cache, compiler, code=SIMULATE):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PKPD_CACHE_DIR": str(cache), compilers.VARIABLE: compiler},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.long
def test_the_second_process_needs_neither_compiler(tmp_path):
    expected = {"numba": ["numba", "pkpd.ode.compile.by_numba"], "direct": ["pkpd.ode.compile.direct"]}
    outputs = []
    for compiler, loaded in expected.items():
        first, second = answer(tmp_path, compiler), answer(tmp_path, compiler)
        assert first[:2] == [compiler, loaded] and second[:2] == [compiler, []]
        outputs += [first[2], second[2]]
    assert all(one == outputs[0] for one in outputs)


def test_the_choice_in_the_program_goes_before_that_of_the_environment(monkeypatch):
    monkeypatch.setenv(compilers.VARIABLE, "numba")
    assert compilers.compiler() == "numba" and compilers.version().startswith("numba ")
    try:
        pkpd.set_compiler("direct")
        assert compilers.compiler() == compilers.version() == "direct"
    finally:
        pkpd.set_compiler(None)
    assert compilers.compiler() == "numba"
    monkeypatch.delenv(compilers.VARIABLE)
    assert compilers.compiler() == compilers.DEFAULT


def test_numba_s_version_is_read_without_numba():
    import numba

    assert compilers._numba_version() == numba.__version__


def test_an_unknown_compiler_is_refused_in_a_sentence(monkeypatch):
    with pytest.raises(InputError, match="there is no compiler 'gcc'; there are direct and numba"):
        pkpd.set_compiler("gcc")
    monkeypatch.setenv(compilers.VARIABLE, "fortran")
    with pytest.raises(InputError, match=r"PKPD_COMPILER: there is no compiler 'fortran'"):
        pkpd.load("one_compartment_iv")
