"""exp, log and powers of vectors are within 2 units in the last place, equal those of numbers, and know the
special cases."""

import ctypes
import math

import mpmath
import numpy as np
import pytest

from pkpd.ode import vectormath
from pkpd.ode.call import DOUBLES, lanes, set_lanes, shift
from pkpd.ode.compile import compilers, native
from pkpd.ode.compile.source import text_source
from pkpd.ode.layout import LANES

BOTH = {
    name: (getattr(vectormath, name), count)
    for name, count in (("exponential", 1), ("logarithm", 1), ("power", 2))
}
TEXT = {
    1: "def f(x, y, out):\n    out[0] = fn(x[0])\n    set_lanes(shift(out, 1), fn(lanes(x)))\n",
    2: "def f(x, y, out):\n    out[0] = fn(x[0], y[0])\n    set_lanes(shift(out, 1), fn(lanes(x), "
    "lanes(y)))\n",
}
# other words for the same, as a model has them
WRITTEN = {"exponential": "exp(lanes(x))", "logarithm": "log(lanes(x))", "power": "lanes(x)**lanes(y)"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """{name: f(x, y) -> values of all elements}; a number and a vector that begins with it agree."""
    folder = tmp_path_factory.mktemp("code")

    def of(name):
        function, count = BOTH[name]
        text = TEXT[count] + f"    set_lanes(shift(out, {LANES + 1}), {WRITTEN[name]})\n"
        names = {
            "fn": function,
            "lanes": lanes,
            "set_lanes": set_lanes,
            "shift": shift,
            "exp": math.exp,
            "log": math.log,
        }
        source = text_source(text, "f")._replace(globals=names)
        where = native.address(
            folder, name, name, lambda symbol: compilers.module(symbol, source, (None, *[DOUBLES] * 3))
        )
        call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(where)

        def values(x, y=None):
            y = x if y is None else y
            whole = -len(x) % LANES
            x, y = (np.ascontiguousarray(np.pad(a, (0, whole), mode="edge"), dtype=float) for a in (x, y))
            result = np.empty_like(x)
            out = np.zeros(2 * LANES + 1)
            for i in range(0, len(x), LANES):
                call(x[i:].ctypes.data, y[i:].ctypes.data, out.ctypes.data)
                np.testing.assert_array_equal(out[0], out[1])
                np.testing.assert_array_equal(out[1 : LANES + 1], out[LANES + 1 :])
                result[i : i + LANES] = out[1 : LANES + 1]
            return result[: len(result) - whole] if whole else result

        return values

    return {name: of(name) for name in BOTH}


def units(values, exact):
    """Largest error in units in the last place."""
    worst = 0.0
    for value, true in zip(values, exact, strict=True):
        spacing = np.spacing(abs(float(true))) if true != 0 else 5e-324
        worst = max(worst, abs(float((mpmath.mpf(value) - true) / mpmath.mpf(float(spacing)))))
    return worst


N = 4000


@pytest.mark.parametrize(("low", "high"), [(-700, 700), (-1, 1), (-1e-3, 1e-3), (-744, -708)])
def test_exp(found, low, high):
    x = np.random.default_rng(1).uniform(low, high, N)
    with mpmath.workprec(120):
        assert units(found["exponential"](x), [mpmath.exp(mpmath.mpf(v)) for v in x]) < 2


@pytest.mark.parametrize(("low", "high"), [(-740, 709), (-0.7, 0.7), (-1e-6, 1e-6)])
def test_log(found, low, high):
    x = np.exp(np.random.default_rng(2).uniform(low, high, N))
    x = x[x > 0]
    with mpmath.workprec(120):
        assert units(found["logarithm"](x), [mpmath.log(mpmath.mpf(v)) for v in x]) < 2


@pytest.mark.parametrize(("spread", "largest"), [(1, 5), (20, 30), (0.01, 6e4), (1e-6, 6e8), (700, 1)])
def test_powers(found, spread, largest):
    rng = np.random.default_rng(3)
    x, y = np.exp(rng.uniform(-spread, spread, N)), rng.uniform(-largest, largest, N)
    inside = np.abs(y * np.log(x)) < 705
    x, y = x[inside], y[inside]
    assert len(x) > N / 3
    with mpmath.workprec(160):
        assert (
            units(
                found["power"](x, y),
                [mpmath.power(mpmath.mpf(a), mpmath.mpf(b)) for a, b in zip(x, y, strict=True)],
            )
            < 2
        )


def test_special_values(found):
    inf, nan = math.inf, math.nan
    x = np.array([inf, -inf, nan, 0.0, 710.0, -746.0, 709.7, 1e-320])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found["exponential"](x), np.exp(x), rtol=1e-15)
        x = np.array([inf, -1.0, nan, 0.0, -0.0, -inf, 5e-324, 1.0])
        np.testing.assert_allclose(found["logarithm"](x), np.log(x), rtol=1e-15)
        some = np.array([inf, nan, 0.0, 1.0, 2.0, 0.5, 1e300, 1e-300, 5e-324, -2.0, -8.0])
        for y in (0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, -0.5, 1e308, -1e308, nan):
            np.testing.assert_allclose(
                found["power"](some, np.full(len(some), y)), some**y, rtol=1e-15, err_msg=str(y)
            )
