"""What is read off a curve is what calculus says of it: wherever lags, durations and fast rates put a peak,
by every method, in lanes and alone, with exact gradients.

The curves have closed forms: a Bateman function, boluses, infusions. Errors left are those of the states: a
few tolerances.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from solving import METHODS, WITHOUT_POWERS, events, kernel, run, table

from pkpd.core.errors import InputError
from pkpd.simulation.profile import typical_values
from pkpd.solver import Options, Reading, solve

BATEMAN = """
model      one compartment by mouth or vein
time       h
parameter  ka = 1 [1/h]
parameter  k = 0.1 [1/h]
parameter  V = 10 [L]
parameter  late = 0 [h]
parameter  long = 0 [h]
state      depot [mg]
state      x [mg]
route      oral -> depot  lag = late
route      bolus -> x  lag = late
route      slow -> x  lag = late  duration = long
d depot = -ka*depot
d x     = ka*depot - k*x
output     C = x/V [mg/L]
output     square = (x/V)^2 [mg^2/L^2]
"""

OSCILLATOR = """
model      an oscillator
time       h
parameter  w = 1 [1/h]
state      x = 1 [1]
state      v [1]
d x = w*v
d v = -w*x
output     height = x [1]
"""

EXACT = {  # a dose of 100 mg at 0: highest, when, area, fall below 2 mg/L
    "oral": lambda ka, k: lambda t: 10 * ka / (ka - k) * (np.exp(-k * t) - np.exp(-ka * t)),
    "bolus": lambda ka, k: lambda t: 10 * np.exp(-k * t),
}
EVERYTHING = [
    ("max", "C"),
    ("area", "C"),
    ("min", "C", 20.0, 30.0),
    ("time_above", "C", -np.inf, np.inf, 2.0),
    ("area_above", "C", -np.inf, np.inf, 2.0),
    ("last_above", "C", -np.inf, np.inf, 2.0),
    ("decline", "C", 60.0, 70.0),
    ("halving", "C"),
    ("max", "square"),
    ("last_below", "x", 30.0, 40.0, 40.0),
    ("max", "C", 9.0, 90.0),
    ("area", "C", 5.0, 7.5),
]


def expected(ka, k):
    """EVERYTHING of 100 mg by mouth."""
    curve = EXACT["oral"](ka, k)
    peak = np.log(ka / k) / (ka - k)
    up, down = brentq(lambda t: curve(t) - 2, 0, peak), brentq(lambda t: curve(t) - 2, peak, 100)
    above = quad(curve, up, down)[0] - 2 * (down - up)
    return [
        curve(peak),
        10 / k,
        curve(30.0),
        down - up,
        above,
        down,
        k,
        np.log(2) / k,
        curve(peak) ** 2,
        np.inf,
        curve(9.0),
        quad(curve, 5.0, 7.5)[0],
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("rtol", "error"), [(1e-3, 1e-4), (1e-6, 1e-6), (1e-9, 1e-9)])
def test_a_bateman_function_by_every_method(method, rtol, error):
    k = kernel(BATEMAN)
    found = run(
        k, [500.0], table(k, (0.0, 100.0, "oral")), rtol=rtol, method=method, readings=EVERYTHING
    ).readings
    np.testing.assert_allclose(found.values[0], expected(1.0, 0.1), rtol=error)
    np.testing.assert_allclose(found.times[0, 0], np.log(10) / 0.9, rtol=10 * error)
    assert np.isnan(found.times[0, 1]) and found.times[0, 10] == 9.0


@given(
    ka=st.floats(0.3, 40.0), k=st.floats(0.01, 0.25), late=st.floats(0.0, 30.0), long=st.floats(0.02, 60.0)
)
def test_lags_durations_and_fast_absorption_hide_nothing(ka, k, late, long):
    """Within 0.1 % at the loose tolerance of comparisons."""
    kern = kernel(BATEMAN)
    end = 2000.0
    for route in ("oral", "slow", "bolus"):
        found = run(
            kern,
            [end],
            table(kern, (3.0, 100.0, route, np.nan)),
            {"ka": ka, "k": k, "late": late, "long": long},
            rtol=1e-3,
            readings=[("max", "C"), ("area", "C"), ("halving", "C")],
        ).readings
        after = {"oral": np.log(ka / k) / (ka - k), "slow": long, "bolus": 0.0}[route]
        height = 10.0
        if route == "oral":
            height = EXACT["oral"](ka, k)(after)
        elif route == "slow":
            height = -10 / (k * long) * np.expm1(-k * long)
        np.testing.assert_allclose(found.values[0, 0], height, rtol=1e-3)
        np.testing.assert_allclose(
            found.times[0, 0], 3 + late + after, rtol=1e-3 if route != "oral" else 1e-2
        )
        np.testing.assert_allclose(found.values[0, 1], 10 / k, rtol=1e-3)
        if route == "bolus":
            np.testing.assert_allclose(found.values[0, 2], np.log(2) / k, rtol=1e-3)


@given(interval=st.floats(0.5, 40.0), k=st.floats(0.05, 2.0), n=st.integers(2, 8))
def test_repeated_boluses_peak_after_the_last_dose(interval, k, n):
    """Each peak is right after its dose, each trough right before the next."""
    kern = kernel(BATEMAN)
    at = interval * np.arange(n)
    windows = list(zip(at, [*at[1:], at[-1] + interval], strict=True))
    found = run(
        kern,
        [at[-1] + interval],
        table(kern, *((t, 50.0, "bolus") for t in at)),
        {"k": k},
        rtol=1e-6,
        readings=[(kind, "C", *w) for w in windows for kind in ("max", "min", "area")] + [("max", "C")],
    ).readings
    r = np.exp(-k * interval)
    peaks = 5 * (1 - r ** (np.arange(n) + 1)) / (1 - r)
    np.testing.assert_allclose(found.values[0, 0:-1:3], peaks, rtol=1e-5)
    np.testing.assert_allclose(found.values[0, 1:-1:3], peaks * r, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.values[0, 2:-1:3], peaks * (1 - r) / k, rtol=1e-5)
    np.testing.assert_allclose(found.times[0, 0:-1:3], at, atol=1e-12)
    np.testing.assert_allclose(found.values[0, -1], peaks[-1], rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_an_oscillator_is_followed_through_long_steps(method):
    """Every extreme, in windows that begin and end anywhere; time above 0.3 and area above it as for
    cosines."""
    edges = np.array([0.5, 4.0, 9.0, 9.1, 21.0])
    windows = list(itertools.pairwise(edges))
    asked = [
        (kind, "x", *w, *level)
        for w in windows
        for kind, level in (("max", ()), ("min", ()), ("time_above", (0.3,)), ("area_above", (0.3,)))
    ]
    found = (
        run(OSCILLATOR, [21.0], rtol=1e-7, method=method, readings=asked).readings.values[0].reshape(-1, 4)
    )
    for (a, b), row in zip(windows, found, strict=True):
        turns = [np.cos(t) for t in np.pi * np.arange(8) if a < t < b] + [np.cos(a), np.cos(b)]
        t = np.linspace(a, b, 400_001)
        high = np.maximum(np.cos(t) - 0.3, 0.0)
        np.testing.assert_allclose(row[:2], [max(turns), min(turns)], atol=1e-5)
        np.testing.assert_allclose(row[2], np.mean(np.cos(t) > 0.3) * (b - a), atol=1e-4)
        np.testing.assert_allclose(row[3], np.mean(high) * (b - a), atol=1e-4)


@pytest.mark.parametrize("method", ["auto", "tsit5", "rodas4", "rodas5p"])
def test_reading_changes_nothing_and_lanes_change_nothing(method):
    """Outputs and steps are those without readings; what is read in a lane is what is read alone, bit for
    bit."""
    for name, doses in (
        (BATEMAN, None),
        (WITHOUT_POWERS, "1 MIU sc daily x5"),
        ("tmdd_full", "10 nmol iv over 1 h once"),
    ):
        k = kernel(name)
        at = (
            table(k, *((t, 100.0, r) for t in (0.0, 7.0, 31.0) for r in k.ROUTES))
            if doses is None
            else events(k, doses)
        )
        factors = np.exp(np.random.default_rng(3).uniform(-0.7, 0.7, (29, k.n_params)))
        p = np.clip(np.maximum(k.VALUES, 0.3 if doses is None else -np.inf) * factors, k.LOWER, k.UPPER)
        level = np.linspace(0.5, 5.0, 29)
        asked = [
            (kind, output, start, stop, *given)
            for output in (*k.OUTPUTS[:2], k.STATES[-1])
            for kind, given in (
                ("max", ()),
                ("min", ()),
                ("area", ()),
                ("time_above", (level,)),
                ("area_above", (level,)),
                ("last_above", (level,)),
                ("last_below", (level,)),
                ("halving", ()),
                ("end", ()),
            )
            for start, stop in ((-np.inf, np.inf), (3.0, 19.0), (31.0, np.inf))
        ]
        times = np.array([0.0, 11.0, 72.0])
        for rtol in (1e-3, 1e-6):
            plain = solve(k, p, at, times, options=Options(rtol=rtol, method=method))
            wide = solve(k, p, at, times, options=Options(rtol=rtol, method=method), readings=asked)
            alone = solve(
                k, p, at, times, options=Options(rtol=rtol, method=method, lanes=False), readings=asked
            )
            for one in (wide, alone):
                np.testing.assert_array_equal(one.outputs, plain.outputs)
                np.testing.assert_array_equal(one.counts, plain.counts)
            np.testing.assert_array_equal(wide.readings.values, alone.readings.values)
            np.testing.assert_array_equal(wide.readings.times, alone.readings.times)
            assert np.isfinite(wide.readings.values).mean() > 0.5


def gradient(of, x, h=1e-5):
    """Central differences, (n_values, n)."""
    return np.array([(of(x + h * e) - of(x - h * e)) / (2 * h) for e in np.eye(x.size)]).T


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", ["oral", "bolus", "slow"])
def test_gradients_are_those_of_the_formulas(method, route):
    """By absorption, elimination, volume, lag and duration: of heights and areas, and of when the peak is;
    also where it stands at a jump or a kink that moves."""
    k = kernel(BATEMAN)
    names = ["ka", "k", "V", "late", "long"]
    x = np.array([1.3, 0.11, 9.0, 1.7, 2.4])
    end = 40.0
    asked = [
        ("max", "C"),
        ("area", "C"),
        ("area_above", "C", 0.0, 30.0, 1.5),
        ("decline", "C", 12.0, 30.0),
        ("min", "C", 3.0, 20.0),
        ("max", "C", 5.0, 30.0),
    ]

    def curve(v, t):
        ka, rate, volume, late, long = v
        s = np.maximum(t - late, 0.0)
        if route == "oral":
            return 100 / volume * ka / (ka - rate) * (np.exp(-rate * s) - np.exp(-ka * s))
        if route == "bolus":
            return 100 / volume * np.exp(-rate * s) * (t >= late)
        after = np.maximum(s - long, 0.0)
        return 100 / (volume * rate * long) * (np.exp(-rate * after) - np.exp(-rate * s))

    def exact(v):
        ka, rate, _, late, long = v
        peak = late + {"oral": np.log(ka / rate) / (ka - rate), "bolus": 1e-13, "slow": long}[route]
        pieces = [0.0, late, late + long, end]

        def integral(g, a, b):
            inner = [a, *(t for t in pieces if a < t < b), b]
            return sum(quad(g, *ends, epsabs=1e-12, epsrel=1e-12)[0] for ends in itertools.pairwise(inner))

        def high(t):
            return curve(v, t) - 1.5

        down = brentq(high, peak, 40.0, xtol=1e-13)
        up = late if route == "bolus" else brentq(high, late, peak, xtol=1e-13)
        slope = integral(lambda t: -12 / 18**3 * (t - 21) * np.log(curve(v, t)), 12.0, 30.0)
        return np.array(
            [
                curve(v, peak),
                integral(lambda t: curve(v, t), 0.0, end),
                integral(high, up, min(down, 30.0)),
                slope,
                min(curve(v, 3.0), curve(v, 20.0)),
                curve(v, max(5.0, peak)),
                peak,
            ]
        )

    found = run(
        k,
        [end],
        table(k, (0.0, 100.0, route, np.nan)),
        dict(zip(names, x, strict=True)),
        rtol=1e-9,
        slack=1.0,
        method=method,
        directions=names,
        readings=asked,
    ).readings
    value, slopes = exact(x), gradient(exact, x)
    np.testing.assert_allclose([*found.values[0], found.times[0, 0]], value, rtol=1e-7)
    scale = np.abs(value)[:-1, None] / x
    np.testing.assert_allclose(found.sensitivities[0] / scale, slopes[:-1] / scale, atol=2e-6)
    # a second derivative of the dense output, which is of order 3 with rodas4
    np.testing.assert_allclose(found.time_sensitivities[0, 0], slopes[-1], rtol=5e-4, atol=2e-5)


def test_the_doses_of_the_last_instant_and_a_solve_of_one_instant_are_read():
    k = kernel(BATEMAN)
    asked = [
        ("max", "C"),
        ("max", "C", 0.0, 9.0),
        ("last_above", "C", -np.inf, np.inf, 1.0),
        ("min", "C"),
        ("area", "C"),
    ]
    found = run(
        k, [0.0, 10.0], table(k, (0.0, 10.0, "bolus"), (10.0, 100.0, "bolus")), readings=asked
    ).readings
    np.testing.assert_allclose(found.values[0, :2], [10 + np.exp(-1), 1.0], rtol=1e-5)
    assert found.times[0, :2].tolist() == [10.0, 0.0] and found.values[0, 2] == np.inf
    one = run(k, [0.0], table(k, (0.0, 10.0, "bolus")), readings=asked).readings
    assert one.values[0].tolist()[:1] == [1.0] and one.values[0, 3] == 1.0
    assert one.times[0, 0] == 0.0


def test_a_last_time_above_ends_at_a_jump_and_at_the_edge_of_a_window():
    k = kernel(BATEMAN)
    doses = table(k, (0.0, 100.0, "bolus"), (20.0, 100.0, "bolus"))
    asked = [
        ("last_above", "C", 0.0, 15.0, 5.0),
        ("last_above", "C", 0.0, 5.0, 5.0),
        ("last_above", "C", 0.0, 60.0, 5.0),
        ("last_below", "C", 0.0, 22.0, 5.0),
        ("last_above", "C", 0.0, 60.0, 50.0),
        ("time_above", "C", 3.0, 25.0, 5.0),
    ]
    found = run(k, [60.0], doses, rtol=1e-8, readings=asked).readings.values[0]
    fall = np.log(2) / 0.1
    second = 20 + np.log((10 + 10 * np.exp(-2)) / 5) / 0.1
    np.testing.assert_allclose(found[:4], [fall, np.inf, second, 20.0], rtol=1e-6)
    assert np.isnan(found[4])
    np.testing.assert_allclose(found[5], fall - 3 + 5, rtol=1e-6)


def test_the_value_at_the_end_of_a_window_is_that_before_the_dose_there():
    k = kernel(BATEMAN)
    doses = table(k, (0.0, 100.0, "bolus"), (20.0, 100.0, "bolus"))
    asked = [("end", "C", -np.inf, 20.0), ("end", "C", 3.0, 7.25), ("end", "C", 3.0, 25.0), ("end", "C")]
    found = run(k, [25.0], doses, rtol=1e-8, readings=asked, directions=["k"]).readings
    late = 10 * (np.exp(-2.5) + np.exp(-0.5))
    np.testing.assert_allclose(found.values[0], [10 * np.exp(-2), 10 * np.exp(-0.725), late, late], rtol=1e-7)
    slope = -10 * (25 * np.exp(-2.5) + 5 * np.exp(-0.5))
    np.testing.assert_allclose(
        found.sensitivities[0, :, 0], [-200 * np.exp(-2), -72.5 * np.exp(-0.725), slope, slope], rtol=1e-5
    )


TWO_PHASES = """
model      two phases, and what is always there
time       h
parameter  fast = 1.3 [1/h]
parameter  slow = 0.15 [1/h]
parameter  rest = 0 [mg]
state      a [mg]
state      b [mg]
route      iv -> a
route      sc -> b
d a = -fast*a
d b = -slow*b
output     y = a + b + rest [mg]
"""


@pytest.mark.parametrize(
    ("end", "rest", "seen"), [(80.0, 0.0, 10), (80.0, 0.05, 7), (9.0, 0.0, 5), (1.2, 0.0, 1)]
)
def test_a_half_life_is_the_mean_of_the_last_five_halvings_but_the_first(end, rest, seen):
    """Of 90 exp(-1.3 t) + 10 exp(-0.15 t) above ``rest``, down to 1/1024 of the highest or ten times the
    level, as far as the solve goes."""
    k = kernel(TWO_PHASES)
    doses = table(k, (0.0, 90.0, "iv"), (0.0, 10.0, "sc"))

    def curve(t):
        return 90 * np.exp(-1.3 * t) + 10 * np.exp(-0.15 * t)

    at = [brentq(lambda t, j=j: curve(t) - 100 / 2**j, 0, 99) for j in range(1, 11)]
    at = [t for j, t in enumerate(at, 1) if t < end and 100 / 2**j > 10 * rest]
    assert len(at) == seen
    back = min(5, seen - 1)
    expected = (at[-1] - at[-1 - back]) / back if back else np.nan
    for method in METHODS:
        for rtol, error in ((1e-3, 1e-3), (1e-8, 1e-6)):
            found = run(
                k,
                [end],
                doses,
                {"rest": rest},
                method=method,
                rtol=rtol,
                readings=[("halving", "y", -np.inf, np.inf, rest)],
            ).readings
            np.testing.assert_allclose(found.values[0, 0], expected, rtol=error)


def test_what_is_no_number_makes_no_reading_and_a_failed_subject_has_none():
    k = kernel("""
model      a logarithm that ends
time       h
parameter  r = 1 [1]
state      x = 1 [1]
define     hour = 1 [h]
d x = -r/hour
output     y = log(x) [1]
output     z = x [1]
""")
    p = np.array([[1.0], [0.2], [np.nan]])
    for lanes in (True, False):
        found = solve(
            k,
            np.repeat(p, 8, axis=0),
            events(k),
            [2.0],
            readings=[("max", "y"), ("area", "z"), ("time_above", "y", 0, 2, -1.0)],
            options=Options(lanes=lanes),
        ).readings.values
        assert np.isnan(found[0, 0]) and np.isnan(found[0, 2]) and np.isnan(found[16]).all()
        np.testing.assert_allclose(found[8], [0.0, 2 - 0.4, 2.0], atol=1e-9)


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ([("top", "C")], 'there is no reading "top"; there are max, min'),
        ([("max", "D")], 'has no output or state "D"'),
        ([("max", "C", 3.0, 3.0)], "must end after it begins, not 3 .. 3"),
        ([("time_above", "C")], 'a reading "time_above" of C needs a level'),
        ([("max", "C", 0, 1, 2.0)], 'a reading "max" has no level'),
        ([("area_above", "C", 0, 1, [1.0, 2.0])], "the level of C must be one finite number or 1"),
        ([("decline", "C")], "the window of a decline must begin and end"),
    ],
)
def test_bad_readings_are_sentences(readings, said):
    with pytest.raises(InputError, match=said):
        run(BATEMAN, [1.0], readings=readings)


def test_what_has_no_sensitivities_or_no_steps_is_refused():
    with pytest.raises(InputError, match='no sensitivities of a reading "halving"'):
        run(BATEMAN, [1.0], readings=[("halving", "C")], directions=["k"])
    with pytest.raises(InputError, match="goes without sensitivities, roots, readings"):
        run(BATEMAN, [1.0], readings=[("max", "C")], method="linear")


def test_subjects_have_their_own_levels_and_threads_do_not_matter():
    k = kernel(BATEMAN)
    p = np.tile(typical_values(k), (70, 1))
    p[:, 1] = np.linspace(0.05, 0.4, 70)
    level = np.linspace(1.0, 9.0, 70)
    for threads in (1, 3):
        found = solve(
            k,
            p,
            table(k, (0.0, 100.0, "bolus")),
            [300.0],
            options=Options(rtol=1e-8, threads=threads),
            readings=[Reading("time_above", "C", level=level), Reading("max", "C")],
        ).readings
        np.testing.assert_allclose(found.values[:, 0], np.log(10 / level) / p[:, 1], rtol=1e-6)
        np.testing.assert_allclose(found.values[:, 1], 10.0, rtol=1e-12)
