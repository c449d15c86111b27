"""Rates that jump where a condition of ``piecewise`` changes are integrated up to the jump and on from there,
and so are their derivatives.

A condition that compares the time with parameters is a breakpoint of every solve, wherever it lies; one on
states is met on the way where derivatives are asked for, whose jump there is ``(f- - f+) t'``. Held against
closed forms.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solving import METHODS, SINGLE, events, kernel, run, table

from pkpd.core.errors import InputError
from pkpd.dosing import EventTable
from pkpd.model.check import read_model
from pkpd.model.derive import derive
from pkpd.ode import status
from pkpd.solver import Options, solve

EVERY = (*METHODS, "linear")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.* is below zero, where the model has"
)  # a time or a level may be

# ---- the time


PULSE = """
model      an input between two times
time       h
parameter  a = 50 [h]
parameter  b = 52 [h]
parameter  R = 100 [mg/h]
parameter  k = 0.1 [1/h]
state      x [mg]
route      iv -> x
d x = piecewise(0, t < a, R, t < b, 0) - k*x
output     x [mg]
"""


def pulse(times, a, b, R=100.0, k=0.1):
    """x, and its derivatives by a, b, R and k."""
    t = np.asarray(times, dtype=float)
    since_a, since_b = np.maximum(t - a, 0.0), np.maximum(t - b, 0.0)
    rise, fall = np.where(t >= a, np.exp(-k * since_a), 1.0), np.where(t >= b, np.exp(-k * since_b), 1.0)
    x = R / k * (fall - rise)
    by_k = -x / k + R / k * (rise * since_a - fall * since_b)
    return x, np.stack(
        [np.where(t >= a, -R * rise, 0.0), np.where(t >= b, R * fall, 0.0), x / R, by_k], axis=-1
    )


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize(
    ("a", "b", "times"),
    [
        (2.0, 4.0, [4.0]),
        (50.0, 52.0, [*np.arange(0.0, 65.0, 5.0), 52.0]),
        (50.0, 55.0, [56.0, 65.0, 200.0]),
        (1e4, 1e4 + 1e-3, [1e4 + 1.0]),
        (-3.0, 2.0, [1.0, 5.0]),
        (0.0, 1.0, [0.0, 0.5, 3.0]),
        (7.0, 7.0, [6.0, 9.0]),
        (9.0, 2.0, [1.0, 12.0]),
    ],
)
def test_an_input_that_the_time_begins_and_ends_is_found_wherever_it_lies(method, a, b, times):
    found = run(PULSE, times, parameters={"a": a, "b": b}, method=method).outputs[0, :, 0]
    x, _ = pulse(times, min(max(a, 0.0), b), max(b, 0.0)) if a < b else (np.zeros(len(times)), None)
    np.testing.assert_allclose(found, x, rtol=4e-6, atol=1e-9)


def test_no_step_goes_over_a_jump_of_the_rates():
    """Announced, it costs no rejected step: two more stretches."""
    found = run(PULSE, [70.0], rtol=1e-8)
    assert found.counts[0, 4] <= 2


@given(
    st.floats(0.0, 300.0),
    st.floats(1e-3, 30.0),
    st.lists(st.floats(0.0, 400.0), min_size=1, max_size=6),
    st.sampled_from(["auto", "rodas5p"]),
)
def test_an_input_of_any_length_at_any_time(a, long, times, method):
    found = run(PULSE, times, parameters={"a": a, "b": a + long}, method=method).outputs[0, :, 0]
    np.testing.assert_allclose(found, pulse(times, a, a + long)[0], rtol=4e-6, atol=1e-4 * 4e-6 * 1000.0)


def test_every_subject_has_its_own_times_in_lanes_and_alone():
    k = kernel(PULSE)
    rng = np.random.default_rng(1)
    p = np.tile(k.VALUES, (100, 1))
    p[:, 0] = rng.uniform(0.0, 100.0, 100)
    p[:, 1] = p[:, 0] + rng.uniform(0.01, 20.0, 100)
    times = np.linspace(0.0, 120.0, 13)
    doses = events(k, "50 mg iv every 24 h x4")
    together = solve(k, p, doses, times).check()
    alone = solve(k, p, doses, times, options=Options(lanes=False)).check()
    assert together.outputs.tobytes() == alone.outputs.tobytes()
    x = np.array([pulse(times, a, b)[0] for a, b in p[:, :2]])
    given = sum(np.where(times >= t, 50.0 * np.exp(-0.1 * (times - t)), 0.0) for t in 24.0 * np.arange(4))
    np.testing.assert_allclose(together.outputs[:, :, 0], x + given, rtol=4e-6)


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_by_the_times_of_jumps(method):
    times = np.array([10.0, 51.0, 53.0, 56.0, 90.0])
    found = run(PULSE, times, directions=["a", "b", "R", "k"], method=method)
    _, by = pulse(times, 50.0, 52.0)
    np.testing.assert_allclose(found.sensitivities[0, :, 0], by, rtol=3e-5, atol=1e-6)


WRITTEN = """
model      times of jumps, written in many ways
time       h
parameter  a = 2 [h]
parameter  long = 3 [h]
parameter  R = 100 [mg/h]
parameter  k = 0.1 [1/h]
parameter  per = 0.5 [1/h]
parameter  tiny = 1e-30 [h]
state      x1 [mg]
state      x2 [mg]
state      x3 [mg]
state      x4 [mg]
state      x5 [mg]
state      x7 [mg]
state      x6 [mg]
define     since = t - a
define     share = per*since
define     end = a + long
d x1 = piecewise(0, a > t, R, end >= t, 0) - k*x1
d x2 = piecewise(R, abs(t - (a + end)/2) < long/2, 0) - k*x2
d x3 = piecewise(0, abs(2*t - a - end) >= long, R) - k*x3
d x4 = piecewise(0, share < 0, R, since*per < long*per, 0) - k*x4
d x5 = R*per*(max(0, t - a) - max(0, t - end)) - k*x5
d x6 = R*(hill(max(t - a, 0), tiny) - hill(t - end, tiny)) - k*x6
d x7 = piecewise(0, t < 2*a*hill(long, long, 3), R, t < end, 0) - k*x7
output     x1 [mg]
output     x2 [mg]
output     x3 [mg]
output     x4 [mg]
output     x5 [mg]
output     x6 [mg]
output     x7 [mg]
output     on = piecewise(0, t < a, 1, t < end, 0) [1]
"""


def test_times_of_jumps_may_be_written_in_many_ways():
    k = kernel(WRITTEN)
    a, long = 120.0, 0.5
    times = np.array([119.0, 120.0, 120.25, 120.5, 124.0])
    for method in ("auto", "rodas5p"):
        found = run(WRITTEN, times, parameters={"a": a, "long": long}, method=method).outputs[0]
        for column in (0, 1, 2, 3, 5, 6):
            np.testing.assert_allclose(found[:, column], pulse(times, a, a + long)[0], rtol=4e-6, atol=1e-9)
        assert found[:, 7].tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert k.N_TIMERS == len(k.CONDITIONS) >= 9


def test_a_ramp_begins_where_the_time_says():
    times = np.array([99.0, 100.5, 103.0])
    found = run(WRITTEN, times, parameters={"a": 100.0, "long": 1e6}).outputs[0, :, 4]
    s = np.maximum(times - 100.0, 0.0)
    np.testing.assert_allclose(found, 0.5 * 100.0 * (s / 0.1 + np.expm1(-0.1 * s) / 0.01), rtol=4e-6)


def test_a_condition_that_a_parameter_turns_round():
    """``k2*t > c``: true from a time on for k2 > 0, up to a time for k2 < 0, never or always for k2 = 0."""
    text = (
        PULSE.replace("t < a, R, t < b", "k2*t > c, R, c < -1e9")
        .replace("parameter  a = 50 [h]", "parameter  k2 = 1 [1]\nparameter  c = 50 [h]")
        .replace("parameter  b = 52 [h]\n", "")
        .replace("piecewise(0, ", "piecewise(R, ")
        .replace("c, R, c < -1e9, 0)", "c, 0)")
    )
    for k2, c, begin, end in (
        (2.0, 100.0, 50.0, 60.0),
        (0.01, 0.5, 50.0, 60.0),
        (-1.0, -7.0, 0.0, 7.0),
        (0.0, 1.0, 0.0, 0.0),
        (0.0, -1.0, 0.0, 60.0),
        (0.0, 0.05, 0.0, 0.0),
        (0.0, -0.05, 0.0, 60.0),
    ):
        found = run(text, [60.0], parameters={"k2": k2, "c": c}).outputs[0, 0, 0]
        assert found == pytest.approx(
            1000.0 * (np.exp(-0.1 * (60.0 - end)) - np.exp(-0.1 * (60.0 - begin))), rel=4e-6
        )


def test_the_time_of_a_jump_follows_a_covariate_that_changes():
    """From 10 h on the pulse is to begin at 40 instead of 20 h."""
    k = kernel(PULSE)
    p = k.VALUES.copy()
    p[:2] = 20.0, 60.0
    later = solve(k, p, EventTable.empty(), [70.0], changes=[(10.0, "a", 40.0)]).check()
    np.testing.assert_allclose(later.outputs[0, 0], pulse([70.0], 40.0, 60.0)[0], rtol=4e-6)
    begun = solve(k, p, EventTable.empty(), [70.0], changes=[(30.0, "a", 40.0)]).check()
    expected = pulse([70.0], 20.0, 30.0)[0] + pulse([70.0], 40.0, 60.0)[0]
    np.testing.assert_allclose(begun.outputs[0, 0], expected, rtol=4e-6)


def test_the_time_is_that_of_the_clock_where_a_solve_begins_before_nought():
    for method in ("auto", "linear"):
        found = run(PULSE, [-20.0, 0.0], parameters={"a": -9.0, "b": -4.0}, method=method)
        np.testing.assert_allclose(found.outputs[0, :, 0], pulse([-20.0, 0.0], -9.0, -4.0)[0], rtol=4e-6)


def test_doses_and_jumps_at_one_instant():
    k = kernel(PULSE)
    found = run(
        PULSE, [50.0, 52.0, 60.0], table(k, (50.0, 30.0, "iv"), (52.0, 20.0, "iv"), (51.0, 40.0, "iv", 1.0))
    )
    t = np.array([50.0, 52.0, 60.0])
    expected = pulse(t, 50.0, 52.0)[0] + 30.0 * np.exp(-0.1 * (t - 50.0)) + pulse(t, 51.0, 52.0, R=40.0)[0]
    expected += np.where(t >= 52.0, 20.0 * np.exp(-0.1 * (t - 52.0)), 0.0)
    np.testing.assert_allclose(found.outputs[0, :, 0], expected, rtol=4e-6)


def test_which_conditions_are_known_beforehand():
    def kinds(equation):
        model = read_model(PULSE.replace("piecewise(0, t < a, R, t < b, 0)", equation), "x.model")
        derived = derive(model)
        return [one.is_timer for one in derived.conditions], derived.linear

    assert kinds("piecewise(0, t < a, R, t < b, 0)") == ([True, True], True)
    assert kinds("piecewise(R, x < R*a, 0)") == ([False], False)
    assert kinds("piecewise(R, x < R*t, 0)") == ([False], False)
    assert kinds("piecewise(R, a < b, 0)") == ([], True)
    assert kinds("min(x, R*a)/a") == ([], False)
    assert kinds("R*(t/a)") == ([], True)
    assert kinds("piecewise(R, t^2 < a*b, 0)") == ([False], False)


# ---- states


FILL = """
model      what leaves A is kept in z, as long as A is above a level
time       h
parameter  A0 = 100 [mg]
parameter  c = 30 [mg]
parameter  k = 0.5 [1/h]
parameter  tlag = 0.25 [h]
state      A = A0 [mg]
state      z [mg]
route      iv -> A  lag = tlag
d A = -k*A
d z = piecewise(2*k*A, A > c, 0)
output     z [mg]
output     high = piecewise(1, A > c, 0) [1]
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_derivatives_through_a_level_that_a_state_crosses(method, rtol):
    """z is 2 (A0 - A) up to the crossing and 2 (A0 - c) from then on."""
    times = np.array([1.0, 2.0, 2.5, 6.0])  # the crossing is at 2.408 h
    found = run(FILL, times, directions=["A0", "c", "k"], method=method, rtol=rtol)
    fading = np.exp(-0.5 * times)
    before = times < np.log(100.0 / 30.0) / 0.5
    z = np.where(before, 200.0 * (1.0 - fading), 140.0)
    by = np.where(
        before[:, None],
        np.stack([2.0 * (1.0 - fading), 0.0 * times, 200.0 * times * fading], axis=-1),
        [2.0, -2.0, 0.0],
    )
    np.testing.assert_allclose(found.outputs[0, :, 0], z, rtol=20 * rtol)
    np.testing.assert_allclose(found.sensitivities[0, :, 0], by, rtol=100 * rtol, atol=200 * rtol * 140)


def test_derivatives_where_a_dose_jumps_over_the_level():
    """A falls below 30 at 2.41 h, is lifted over it by a dose and falls below it again: z is 2 (A0 - c +
    A(lifted) - c)."""
    k = kernel(FILL)
    p = k.VALUES.copy()
    found = solve(
        k, p, table(k, (3.0, 60.0, "iv")), [12.0], directions=["A0", "c", "k", "tlag", "dose[0]"]
    ).check()
    t = 3.25
    fading = np.exp(-0.5 * t)
    assert found.outputs[0, 0, 0] == pytest.approx(2 * (70.0 + 100.0 * fading + 60.0 - 30.0), rel=1e-5)
    by = [2 + 2 * fading, -4.0, -200.0 * t * fading, -2 * 0.5 * 100.0 * fading, 2.0]
    np.testing.assert_allclose(found.sensitivities[0, 0, 0], by, rtol=1e-4)


@pytest.mark.parametrize("method", SINGLE)
@pytest.mark.parametrize("early", [1e-3, 1e-5, 1e-7])
def test_a_crossing_soon_after_a_breakpoint_is_where_it_is(method, early):
    """A dose of nothing restarts the steps just before A crosses c."""
    k = kernel(FILL)
    crossing = np.log(100.0 / 30.0) / 0.5
    doses = table(k, (crossing - early - 0.25, 0.0, "iv"))
    found = solve(
        k, k.VALUES, doses, [6.0], directions=["A0", "c", "k"], options=Options(method=method, rtol=1e-9)
    ).check()
    assert found.outputs[0, 0, 0] == pytest.approx(140.0, rel=1e-7)
    np.testing.assert_allclose(found.sensitivities[0, 0, 0], [2.0, -2.0, 0.0], rtol=1e-6, atol=1e-4)


BOTH = """
model      from a on, what leaves A is kept in z above a level of A, and until b in y below another
time       h
parameter  a = 1 [h]
parameter  b = 4 [h]
parameter  A0 = 100 [mg]
parameter  c = 30 [mg]
parameter  e = 25 [mg]
parameter  k = 0.5 [1/h]
state      A = A0 [mg]
state      z [mg]
state      y [mg]
d A = -k*A
d z = piecewise(0, t < a, piecewise(k*A, A > c, 0))
d y = piecewise(k*A, A < e, 0)*piecewise(1, t <= b, 0)
output     z [mg]
output     y [mg]
"""


@pytest.mark.parametrize("method", METHODS)
def test_conditions_on_time_and_states_in_one_model(method):
    """z is A(a) - c, y is e - A(b)."""
    k = kernel(BOTH)
    assert (len(k.CONDITIONS), k.N_TIMERS) == (4, 2)
    names = ["a", "b", "A0", "c", "e", "k"]
    found = run(BOTH, [6.0], directions=names, method=method, rtol=1e-8)
    at_a, at_b = 100.0 * np.exp(-0.5), 100.0 * np.exp(-2.0)
    np.testing.assert_allclose(found.outputs[0, 0], [at_a - 30.0, 25.0 - at_b], rtol=1e-6)
    by_z = [-0.5 * at_a, 0.0, at_a / 100.0, -1.0, 0.0, -at_a]
    by_y = [0.0, 0.5 * at_b, -at_b / 100.0, 0.0, 1.0, 4.0 * at_b]
    np.testing.assert_allclose(found.sensitivities[0, 0], [by_z, by_y], rtol=1e-5, atol=1e-6)


SWING = """
model      a swing, and for how long it is above a level
time       h
parameter  c = 0.5 [1]
parameter  w = 1 [1/h]
state      s = 0 [1]
state      q = 1 [1]
state      x = 0 [h]
d s = w*q
d q = -w*s
d x = piecewise(1, s > c, 0)
output     x [h]
"""


@pytest.mark.parametrize("method", SINGLE)
@pytest.mark.parametrize("c", [-0.9, 0.0, 0.5, 0.99, 0.9999])
def test_every_crossing_of_many_counts(method, c):
    """Above the level for pi - 2 asin(c) of every turn."""
    turns = 5
    found = run(
        SWING,
        [2 * np.pi * turns + np.pi / 2 * 3 - 2 * np.pi],
        parameters={"c": c},
        directions=["c"],
        method=method,
        rtol=1e-8,
    )
    up, down = np.pi - 2 * np.arcsin(c), -2.0 / np.sqrt(1.0 - c * c)
    first = 0.0 if c >= 0.0 else np.arcsin(c)  # it begins above a level that is negative
    expected = turns * up + first
    slope = turns * down + (0.0 if c >= 0.0 else -down / 2)
    steep = 1.0 / np.sqrt(1.0 - c * c)  # an error of s is one of that many times as much in each crossing
    assert found.outputs[0, 0, 0] == pytest.approx(expected, abs=2 * turns * 5e-8 * steep)
    assert found.sensitivities[0, 0, 0, 0] == pytest.approx(slope, rel=1e-4)


TWO = """
model      two swings above two levels, one of which is visited briefly
time       h
parameter  low = 0.3 [1]
parameter  high = 0.999 [1]
parameter  w = 1 [1/h]
parameter  v = 0.37 [1/h]
state      s = 0 [1]
state      q = 1 [1]
state      a = 0 [1]
state      b = 1 [1]
state      x = 0 [h]
state      y = 0 [h]
d s = w*q
d q = -w*s
d a = v*b
d b = -v*a
d x = piecewise(1, s > high, 0)
d y = piecewise(1, a > low, 0)
output     x [h]
output     y [h]
"""


@pytest.mark.parametrize("method", SINGLE)
@pytest.mark.parametrize(("rtol", "high"), [(1e-3, 0.9), (1e-5, 0.99), (1e-7, 0.9999)])
def test_conditions_change_by_themselves_and_short_visits_are_seen(method, rtol, high):
    """A visit begins and ends within one step. Each quantity has its own level's derivative, and no
    other's."""
    turns = 4
    until = turns * 2 * np.pi
    found = run(
        TWO,
        [until],
        parameters={"high": high},
        directions=["low", "high", "w", "v"],
        method=method,
        rtol=rtol,
    )
    steep = 1.0 / np.sqrt(1.0 - high**2)
    x = turns * (np.pi - 2 * np.arcsin(high))
    full, rest = divmod(0.37 * until, 2 * np.pi)  # one turn and a half: the second visit is over
    visits = full + (rest > np.pi - np.arcsin(0.3))
    y = visits * (np.pi - 2 * np.arcsin(0.3)) / 0.37
    assert found.outputs[0, 0, 0] == pytest.approx(x, abs=turns * 40 * rtol * steep)
    assert found.outputs[0, 0, 1] == pytest.approx(y, abs=40 * rtol * 4 / 0.37)
    low, level, w, v = found.sensitivities[0, 0].T
    assert low[1] == pytest.approx(-visits * 2 / np.sqrt(1.0 - 0.09) / 0.37, rel=300 * rtol)
    assert level[0] == pytest.approx(-turns * 2 * steep, rel=40 * rtol * steep**2)
    assert v[1] == pytest.approx(-y / 0.37, rel=300 * rtol)
    assert low[0] == level[1] == w[1] == v[0] == 0.0


def test_a_level_that_is_only_touched_has_no_derivative():
    k = kernel(SWING)
    for c in (1.0, 1.0 - 1e-9):
        failed = solve(k, [c, 1.0], EventTable.empty(), [3.0], directions=["c"])
        assert failed.status[0] == status.GRAZING
        assert "without clearly crossing it" in failed.failure(0)
        assert np.isnan(failed.sensitivities).all()
        assert solve(k, [c, 1.0], EventTable.empty(), [3.0]).status[0] == status.SUCCESS
    missed = run(SWING, [3.0], parameters={"c": 1.1}, directions=["c"])
    assert missed.sensitivities[0, 0, 0, 0] == 0.0


THERMOSTAT = """
model      a heater that is on below a level
time       h
parameter  c = 30 [mg]
parameter  k = 0.5 [1/h]
parameter  R = 100 [mg/h]
state      A [mg]
d A = piecewise(R, A < c, 0) - k*A
output     A [mg]
"""


def test_a_level_to_which_the_rates_on_both_sides_lead_has_no_derivative():
    k = kernel(THERMOSTAT)
    failed = solve(k, k.VALUES, EventTable.empty(), [10.0], directions=["c"])
    assert failed.status[0] == status.SLIDING
    assert failed.stopped[0] == pytest.approx(-2 * np.log(1 - 30 / 200), rel=1e-5)
    assert "both sides lead to the level" in failed.failure(0)


def test_where_nothing_jumps_nothing_is_refused():
    """The level is touched, and held, but the rates are the same on both sides."""
    for text in (
        SWING.replace("piecewise(1, s > c, 0)", "piecewise(s - c, s > c, 0)"),
        THERMOSTAT.replace("piecewise(R, A < c, 0)", "piecewise(R, A < c, R*c/A)"),
    ):
        k = kernel(text)
        p = k.VALUES.copy()
        p[0] = 1.0 if "swing" in text else 30.0
        assert solve(k, p, EventTable.empty(), [10.0], directions=["c"]).status[0] == status.SUCCESS


def test_conditions_on_states_do_not_hinder_a_steady_state_of_doses():
    """Newton's method looks at derivatives of the flow: a dose every 12 h that is above the level for a part
    of each interval."""
    from dataclasses import replace

    from pkpd.dosing.events import STEADY

    k = kernel(FILL.replace("d z = piecewise(2*k*A, A > c, 0)", "d z = piecewise(2*k*A, A > c, 0) - k*z"))
    doses = table(k, (0.0, 60.0, "iv"))
    steady = replace(doses, kind=np.array([STEADY]), interval=np.array([12.0]))
    found = solve(k, k.VALUES, steady, [0.0, 12.0], keep_states=True).check()
    many = table(k, *((12.0 * i, 60.0, "iv") for i in range(40)))
    long = solve(k, k.VALUES, many, [12.0 * 39, 12.0 * 40 - 1e-9], keep_states=True).check()
    np.testing.assert_allclose(found.states[0, 0], long.states[0, 0], rtol=1e-4)


# ---- crossings of roots


DECAY = """
model      decay
time       h
parameter  A0 = 100 [mg]
parameter  k = 0.5 [1/h]
parameter  V = 4 [L]
parameter  tlag = 0.25 [h]
state      A = A0 [mg]
route      iv -> A  lag = tlag
d A = -k*A
output     C = A/V [mg/L]
"""


@pytest.mark.parametrize("method", SINGLE)
def test_crossing_times_have_derivatives(method):
    """C falls to 5 mg/L at log(A0/(5 V))/k, is lifted by a dose at 4.25 h, and falls there again."""
    k = kernel(DECAY)
    names = ["A0", "k", "V", "tlag", "dose[0]"]
    found = (
        solve(
            k,
            k.VALUES,
            table(k, (4.0, 50.0, "iv")),
            [20.0],
            roots=[("C", 5.0), ("A", 20.0, 1)],
            directions=names,
            options=Options(method=method, rtol=1e-8),
            most_crossings=3,
        )
        .check()
        .crossings
    )
    t1 = np.log(100.0 / 20.0) / 0.5
    at_dose = 100.0 * np.exp(-0.5 * 4.25)
    lifted = at_dose + 50.0
    t3 = 4.25 + np.log(lifted / 20.0) / 0.5
    np.testing.assert_allclose(found.times[0, 0], [t1, 4.25, t3], rtol=1e-7)
    slope = at_dose / lifted
    by = [
        [1 / 50.0, -t1 / 0.5, -1 / (0.5 * 4.0), 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0],
        [
            slope / 50.0,
            -(t3 - 4.25) / 0.5 - 4.25 * slope / 0.5,
            -1 / (0.5 * 4.0),
            1.0 - slope,
            1 / (0.5 * lifted),
        ],
    ]
    np.testing.assert_allclose(found.sensitivities[0, 0], by, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.sensitivities[0, 1, 0], by[1], atol=1e-9)
    assert np.isnan(found.sensitivities[0, 1, 1:]).all()


def test_a_crossing_where_a_condition_changes_moves_as_that_does():
    """``high`` falls at the crossing of A and c."""
    found = run(FILL, [6.0], roots=[("high", 0.5)], directions=["A0", "c", "k"], rtol=1e-8).crossings
    t = np.log(100.0 / 30.0) / 0.5
    assert found.count[0, 0] == 1
    assert found.times[0, 0, 0] == pytest.approx(t, rel=1e-7)
    np.testing.assert_allclose(found.sensitivities[0, 0, 0], [1 / 50.0, -1 / 15.0, -t / 0.5], rtol=1e-5)


# ---- slopes that are infinite


LEAK = """
model      a vessel with a hole, after Torricelli
time       h
parameter  k = 0.5 [1/h]
parameter  x0 = 100 [mg]
parameter  one = 1 [mg]
parameter  R = 10 [mg/h]
state      x = x0 [mg]
state      y = 0 [mg]
d x = -k*sqrt(x*one)
d y = R - k*one*(y/one)^0.4
output     x [mg]
output     y [mg]
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_root_may_begin_at_nought(method):
    """y begins where the slope of y^0.4 is infinite; x is (sqrt(x0) - k t/2)^2."""
    times = np.array([0.0, 1.0, 10.0])
    found = run(LEAK, times, method=method, rtol=1e-8, directions=["k", "x0", "R"])
    root = 10.0 - 0.25 * times
    np.testing.assert_allclose(found.outputs[0, :, 0], root**2, rtol=1e-6)
    np.testing.assert_allclose(
        found.sensitivities[0, :, 0],
        np.stack([-root * times, root / 10.0, 0 * root], axis=-1),
        rtol=1e-5,
        atol=1e-6,
    )
    reference = [
        solve(
            kernel(LEAK),
            [0.5, 100.0, 1.0, R],
            EventTable.empty(),
            times,
            options=Options(rtol=1e-12, method="vern7"),
        ).outputs[0, :, 1]
        for R in (9.999, 10.001)
    ]
    np.testing.assert_allclose(found.outputs[0, :, 1], np.mean(reference, axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        found.sensitivities[0, :, 1, 2], (reference[1] - reference[0]) / 0.002, rtol=1e-4
    )


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_move_has_no_derivative(method):
    """An empty vessel stays empty; by its content there is no derivative, and that is said."""
    found = run(LEAK, [1.0, 5.0], parameters={"x0": 0.0}, method=method, directions=["k"])
    assert np.all(found.outputs[0, :, 0] == 0.0)
    assert np.all(found.sensitivities[0, :, 0] == 0.0)
    k = kernel(LEAK)
    p = k.VALUES.copy()
    p[1] = 0.0
    failed = solve(k, p, EventTable.empty(), [1.0], directions=["x0"], options=Options(method=method))
    assert failed.status[0] == status.SLOPE_NOT_FINITE
    assert "is a finite number, but a derivative of it is not" in failed.failure(0)


WASHOUT = """
model      an effect long after the drug
time       h
parameter  k = 2 [1/h]
parameter  c50 = 3 [mg]
parameter  g = 0.7 [1]
parameter  n = 2.5 [1]
parameter  kin = 1 [1/h]
state      C = 100 [mg]
state      y = 0 [1]
state      z = 0 [1]
d C = -k*C
d y = kin*((C/c50)^g - y)
d z = kin*(hill(C, c50, n) - z)
output     E = (C/c50)^g [1]
output     y [1]
output     z [1]
output     S = sqrt(C/c50) [1]
output     L = hill(C, c50, n) [1]
"""


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_are_numbers_long_after_the_drug_is_gone(method):
    """From 100 mg to what no double holds any more."""
    times = np.array([0.0, 1.0, 5.0, 20.0, 100.0, 180.0, 190.0, 400.0, 1000.0])
    found = run(WASHOUT, times, method=method, directions=["k", "c50", "g", "n", "kin", "C(0)"])
    assert np.isfinite(found.sensitivities).all()
    C = 100.0 * np.exp(-2.0 * times[:4])
    E = (C / 3.0) ** 0.7
    by = np.stack([-0.7 * times[:4] * E, -0.7 / 3.0 * E, np.log(C / 3.0) * E], axis=-1)
    np.testing.assert_allclose(found.sensitivities[0, :4, 0, :3], by, rtol=1e-3, atol=1e-5)


# ---- a state that has always been nought


OWN = (
    PULSE.replace("t < a", "s < a")
    .replace("t < b", "s < b")
    .replace("state      x [mg]", "state      s = 0 [h]\nstate      x [mg]\nd s = 1")
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_an_input_that_nobody_announces_begins_from_nought(method, rtol):
    """No relative error of a state that has been nought is small: rates that the clock hardly resolves give
    it a size. Lanes do the same."""
    k = kernel(OWN)
    p = np.array([2.0, 4.0, 100.0, 0.1])
    found = solve(
        k, p, EventTable.empty(), [4.0, 10.0], options=Options(h_max=0.5, method=method, rtol=rtol)
    ).check()
    np.testing.assert_allclose(found.outputs[0, :, 0], pulse([4.0, 10.0], 2.0, 4.0)[0], rtol=100 * rtol)
    many = solve(
        k,
        np.tile(p, (20, 1)),
        EventTable.empty(),
        [4.0, 10.0],
        options=Options(h_max=0.5, method=method, rtol=rtol),
    )
    assert (many.outputs == found.outputs).all()


def test_linear_takes_what_is_linear_between_jumps_only():
    with pytest.raises(InputError, match="not linear"):
        run(OWN, [4.0], method="linear")


BELL = """
model      a rise that nothing announces
time       h
parameter  k = 0.1 [1/h]
parameter  R = 100 [mg/h]
parameter  at = 100 [h]
parameter  wide = 0.25 [h]
state      x [mg]
d x = R*exp(-((t - at)/wide)^2) - k*x
output     x [mg]
"""


def test_what_nothing_announces_is_met_by_shorter_steps(tmp_path, pkpd):
    """``models/README.md`` says that it may be passed over, and what helps: the longest step, here as in
    Python."""
    from scipy.integrate import quad

    until = 105.0
    exact = quad(
        lambda s: 100.0 * np.exp(-(((s - 100.0) / 0.25) ** 2) - 0.1 * (until - s)), 98.0, 102.0, epsabs=1e-12
    )[0]
    assert run(BELL, [until], h_max=0.1).outputs[0, 0, 0] == pytest.approx(exact, rel=4e-6)
    assert run(BELL, [until], h_max=0.1, method="rodas5p").outputs[0, 0, 0] == pytest.approx(exact, rel=4e-6)
    (tmp_path / "bell.model").write_text(BELL, encoding="utf-8")
    out = tmp_path / "x.csv"
    code, _, error = pkpd(
        "simulate",
        tmp_path / "bell.model",
        "none",
        "--times",
        "0, 105",
        "--h-max",
        "6 min",
        "--atol",
        "x = 1e-9",
        "-o",
        out,
        "-q",
    )
    assert code == 0, error
    assert float(out.read_text(encoding="utf-8").splitlines()[-1].split(",")[-1]) == pytest.approx(
        exact, rel=4e-6
    )


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--h-max", "0 h", "longest step"),
        ("--h-max", "1 mg", "--h-max"),
        ("--atol", "-1", "at least 0"),
        ("--atol", "y = 1e-3", 'no state "y"'),
        ("--atol", "x = few", '"few"'),
    ],
)
def test_tolerances_that_cannot_be_are_a_sentence(option, value, words, tmp_path, pkpd):
    (tmp_path / "bell.model").write_text(BELL, encoding="utf-8")
    code, _, error = pkpd("simulate", tmp_path / "bell.model", "none", option, value)
    assert code != 0
    assert words in error
