"""Crossings of levels are found at their times, without any influence on the solution, and what was not kept
is counted.

Exact times come from formulas: an error of the state becomes one of the time by division by the slope there.
"""

import numpy as np
import pytest
from solving import METHODS, SINGLE, events, kernel, run, solve_with, table

from pkpd.core.errors import InputError
from pkpd.simulation.profile import typical_values
from pkpd.solver import Options, Root, solve

OSCILLATOR = """
model      an oscillator
time       h
parameter  w = 1 [1/h]
state      x = 1 [1]
state      v [1]
d x = w*v
d v = -w*x
output     twice = 2*x [1]
output     square = x^2 [1]
"""

DECAY = """
model      decay, given in portions or steadily
time       h
parameter  k = 0.25 [1/h]
parameter  tlag = 0 [h]
state      x [mg]
route      iv -> x
route      late -> x  lag = tlag
d x = -k*x
output     C = x/2 [mg]
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rtol", [1e-4, 1e-9])
def test_an_oscillator_crosses_a_level_when_its_cosine_does(method, rtol):
    """x = cos t is above a for acos(a) on both sides of every 2 pi."""
    times = [40.0]
    found = run(
        OSCILLATOR, times, rtol=rtol, method=method, roots=[("x", 0.3), ("x", 0.3, 1), ("twice", 0.6, -1)]
    )
    turns = 2 * np.pi * np.arange(7)
    down, up = turns + np.arccos(0.3), turns[1:] - np.arccos(0.3)
    c = found.crossings
    assert c.count.tolist() == [[13, 6, 7]] and np.all(c.above_at_start) and np.all(c.complete)
    slack = 40 * rtol * 40
    np.testing.assert_allclose(c.times[0, 0, :13], np.sort([*down, *up]), atol=slack)
    np.testing.assert_allclose(c.times[0, 1, :6], up, atol=slack)
    np.testing.assert_allclose(c.times[0, 2, :7], down, atol=slack)
    assert np.all(np.isnan(c.times[0, 0, 13:])) and np.all(np.isnan(c.times[0, 1, 6:]))
    above = np.arccos(0.3) * 13
    np.testing.assert_allclose(c.time_above, above, atol=13 * slack)


@pytest.mark.parametrize("method", SINGLE)
@pytest.mark.parametrize("depth", [1e-2, 1e-4, 1e-6])
def test_a_short_visit_in_the_middle_of_a_step_is_found(method, depth):
    """Both ends of the step are on one side: the peak in it is followed. Over a level of 1 - 1e-6 a visit
    lasts 0.3 % of a radian."""
    found = run(
        OSCILLATOR,
        [31.0],
        rtol=1e-9,
        method=method,
        h_max=1.0,
        roots=[("x", 1 - depth), ("x", depth - 1), ("square", 1 - depth)],
    )
    c = found.crossings
    half = np.arccos(1 - depth)
    peaks = 2 * np.pi * np.arange(1, 5)
    expected = np.sort([half, *(peaks - half), *(peaks + half)])
    assert c.count[0, 0] == 9 and c.count[0, 1] == 10
    np.testing.assert_allclose(c.times[0, 0, :9], expected, atol=1e-7 / half)
    np.testing.assert_allclose(
        c.times[0, 1, :10],
        np.sort([*(peaks - np.pi - half), *(peaks - np.pi + half), 9 * np.pi - half, 9 * np.pi + half]),
        atol=1e-7 / half,
    )
    assert c.count[0, 2] == 1 + 4 * 4 + 2


@pytest.mark.parametrize("method", METHODS)
def test_time_above_a_level_after_boluses(method):
    """100 exp(-k t) is above a level until log(100/level)/k; a dose that jumps over it does so at the dose's
    time, to the last bit."""
    k = kernel(DECAY)
    at = [0.0, 7.3, 25.1]
    doses = table(k, *((t, 100.0, "iv") for t in at))
    found = run(DECAY, [60.0], doses, rtol=1e-10, method=method, roots=[Root("x", 20.0), Root("C", 10.0, 1)])
    c = found.crossings
    first = np.log(100 / 20) / 0.25  # 6.44: before the second dose
    left = 100 * np.exp(-0.25 * 7.3) + 100
    second = 7.3 + np.log(left / 20) / 0.25
    left = left * np.exp(-0.25 * (25.1 - 7.3)) + 100
    third = 25.1 + np.log(left / 20) / 0.25
    expected = [first, 7.3, second, 25.1, third]
    assert c.count.tolist() == [[5, 2]]
    np.testing.assert_allclose(c.times[0, 0, :5], expected, rtol=1e-8)
    assert c.times[0, 0, 1] == 7.3 and c.times[0, 0, 3] == 25.1 and c.times[0, 1, :2].tolist() == [7.3, 25.1]
    np.testing.assert_allclose(c.time_above[0], first + second - 7.3 + third - 25.1, rtol=1e-8)
    assert np.all(c.above_at_start)  # the dose at time 0 has been given


def test_a_lagged_dose_crosses_at_its_own_time_and_doses_of_one_instant_together():
    k = kernel(DECAY)
    doses = table(k, (1.0, 6.0, "late"), (1.5, 6.0, "iv"), (1.5, 6.0, "iv"))
    found = run(DECAY, [9.0], doses, parameters={"tlag": 0.5}, rtol=1e-10, roots=[("x", 15.0)]).crossings
    assert found.times[0, 0, 0] == 1.5 and found.count[0, 0] == 2 and not found.above_at_start[0, 0]
    np.testing.assert_allclose(found.times[0, 0, 1], 1.5 + np.log(18 / 15) / 0.25, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_an_infusion_crosses_on_its_way_up(method):
    """x = r/k (1 - exp(-k t)) while it runs."""
    k = kernel(DECAY)
    found = run(
        DECAY, [30.0], table(k, (2.0, 40.0, "iv", 8.0)), rtol=1e-10, method=method, roots=[("x", 11.0)]
    ).crossings
    up = 2 - np.log(1 - 11 * 0.25 / 5) / 0.25
    down = 10 + np.log(20 * -np.expm1(-2.0) / 11) / 0.25
    np.testing.assert_allclose(found.times[0, 0, :2], [up, down], rtol=1e-8)
    assert found.count[0, 0] == 2


def test_a_value_at_its_level_is_not_above_it():
    """Nothing at 0 is not above 0; what begins at the level and rises crosses it at once, what begins there
    and falls never does."""
    k = kernel(DECAY)
    found = run(DECAY, [9.0], table(k, (3.0, 1.0, "iv")), roots=[("x", 0.0)]).crossings
    assert not found.above_at_start[0, 0] and found.times[0, 0, 0] == 3.0 and found.count[0, 0] == 1
    assert found.time_above[0, 0] == 6.0
    start = run(OSCILLATOR, [3.0], rtol=1e-9, roots=[("x", 1.0), ("v", 0.0), ("v", 0.0, -1)]).crossings
    assert start.count[0].tolist() == [0, 0, 0] and not start.above_at_start.any()
    back = run(OSCILLATOR, [6.0], parameters={"w": 1.0}, rtol=1e-9, roots=[("v", 0.0)]).crossings
    np.testing.assert_allclose(back.times[0, 0, 0], np.pi, rtol=1e-8)


def test_more_crossings_than_are_kept_are_counted():
    found = run(OSCILLATOR, [100.0], rtol=1e-8, roots=[("x", 0.0), ("x", 2.0)], most_crossings=5).crossings
    assert found.times.shape == (1, 2, 5) and found.count.tolist() == [[32, 0]]
    assert found.complete.tolist() == [[False, True]]
    np.testing.assert_allclose(found.times[0, 0], np.pi * (np.arange(5) + 0.5), rtol=1e-6)
    kept = run(OSCILLATOR, [100.0], rtol=1e-8, roots=[("x", 0.0)], most_crossings=32).crossings
    assert kept.complete.all() and kept.time_above == found.time_above[0, 0]
    np.testing.assert_array_equal(kept.times[0, 0, :5], found.times[0, 0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("directions", [(), ("CL", "ka", "dose[1]")])
def test_looking_changes_nothing(method, directions):
    """States, sensitivities and steps are bit for bit those without roots."""
    name, times = "two_compartment_oral", np.linspace(0.0, 60.0, 40)
    options = {"method": method, "rtol": 1e-8, "directions": directions}
    plain = run(name, times, "100 mg oral every 12 h x3", **options)
    looked = run(name, times, "100 mg oral every 12 h x3", **options, roots=[("C", 0.5), ("depot", 20.0)])
    assert plain.crossings is None and looked.crossings.count.min() > 2
    np.testing.assert_array_equal(looked.states, plain.states)
    np.testing.assert_array_equal(looked.sensitivities, plain.sensitivities)
    np.testing.assert_array_equal(looked.counts[:, 1:], plain.counts[:, 1:])
    if method in ("tsit5", "rodas4", "rodas5p"):  # dense output costs the others further stages
        np.testing.assert_array_equal(looked.counts, plain.counts)


def test_every_subject_has_its_own_levels_and_a_failed_one_has_nothing():
    k = kernel(DECAY)
    p = np.tile(typical_values(k), (7, 1))
    p[:, 0] = [0.1, 0.2, 0.3, np.nan, 0.4, 0.5, 0.6]
    level = np.array([50.0, 40.0, 30.0, 20.0, 20.0, 10.0, 5.0])
    for threads in (1, 2, 3):
        found = solve(
            k,
            p,
            table(k, (0.0, 100.0, "iv")),
            [80.0],
            options=Options(rtol=1e-10, threads=threads),
            roots=[("x", level), ("x", 7.0)],
        ).crossings
        good = np.arange(7) != 3
        expected = np.log(100 / level) / p[:, 0]
        np.testing.assert_allclose(found.times[good, 0, 0], expected[good], rtol=1e-8)
        np.testing.assert_allclose(found.time_above[good, 1], np.log(100 / 7.0) / p[good, 0], rtol=1e-8)
        assert (
            found.count[3].tolist() == [-1, -1]
            and np.all(np.isnan(found.times[3]))
            and np.isnan(found.time_above[3, 0])
        )
        assert not found.complete[3].any()


def test_a_model_that_switches_methods_is_watched_all_the_way():
    """il2_treg at a loose tolerance is stiff between doses only; crossings agree with those of a tight
    solve."""
    k = kernel("il2_treg")
    doses = events(k, "1 MIU sc daily x5 every 28 d x2")
    name = k.OUTPUTS[0]
    base = solve(k, k.VALUES, doses, np.linspace(0, 1000, 300)).check().outputs[0, :, 0]
    level = 0.5 * (base.max() + base.min())
    times = [
        solve(k, k.VALUES, doses, [1000.0], options=Options(rtol=rtol, method=m), roots=[(name, level)])
        .check()
        .crossings
        for rtol, m in ((1e-11, "rodas5p"), (1e-6, "auto"))
    ]
    assert times[0].count.tolist() == times[1].count.tolist() and times[0].count[0, 0] >= 4
    np.testing.assert_allclose(times[1].times, times[0].times, rtol=1e-4)
    np.testing.assert_allclose(times[1].time_above, times[0].time_above, rtol=1e-4)


@pytest.mark.parametrize(
    ("roots", "said"),
    [
        ([("y", 1.0)], 'has no output or state "y"; known are C, x'),
        ([("x", np.nan)], "the level of x must be one finite number or 1, one for each subject"),
        ([("x", [1.0, 2.0])], "the level of x must be one finite number or 1"),
        ([("x", 1.0, 2)], "the direction of a root is -1, 0 or 1, not 2"),
    ],
)
def test_bad_roots_are_sentences(roots, said):
    with pytest.raises(InputError, match=said):
        run(DECAY, [1.0], roots=roots)
    with pytest.raises(InputError, match="most_crossings must be at least 1"):
        run(DECAY, [1.0], roots=[("x", 1.0)], most_crossings=0)


def test_time_above_counts_from_the_start_of_a_solve():
    """Before 0 where the first dose is, and after it where a solve goes on from given states."""
    k = kernel(DECAY)
    early = run(
        DECAY, [9.0], table(k, (-3.0, 100.0, "iv")), rtol=1e-10, roots=[("x", 20.0), ("x", 1e-9)]
    ).crossings
    np.testing.assert_allclose(early.time_above[0], [np.log(100 / 20) / 0.25, 12.0], rtol=1e-8)
    later = solve(
        k,
        k.VALUES,
        events(k),
        [12.0],
        initial=[[100.0] * k.n_states],
        start=5.0,
        options=Options(rtol=1e-10),
        roots=[("x", 20.0), ("x", 1e-9)],
    ).crossings
    np.testing.assert_allclose(later.time_above[0], [np.log(100 / 20) / 0.25, 7.0], rtol=1e-8)
    assert later.above_at_start.all()


def test_a_crossing_in_the_other_direction_leaves_no_trace_among_those_that_are_kept():
    """C = 5 e^-kt falls through 2.5 at ln 2/k; the dose that lifts it above again is not asked for."""
    k = kernel(DECAY)
    doses = table(k, (0.0, 10.0, "iv"), (6.0, 10.0, "iv"))
    crossed = [("C", 2.5, -1), ("C", 1e9)]
    asked = {"roots": crossed, "most_crossings": 1, "directions": ["k", "tlag"], "rtol": 1e-9}
    found = solve_with(k, typical_values(k, {}), doses, [7.0], **asked).crossings
    assert found.count.tolist() == [[1, 0]]
    np.testing.assert_allclose(found.times[0, 0], np.log(2.0) / 0.25, rtol=1e-8)
    np.testing.assert_allclose(found.sensitivities[0, 0, 0], [-np.log(2.0) / 0.25**2, 0.0], rtol=1e-6)
