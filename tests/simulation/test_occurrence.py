"""Claim: events are when the cumulative hazard reaches the subject's exponential number, to rounding; times
of events are distributed as the survival of the model says, held to closed forms; and a subject's number is
its own, however many there are."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.interpolate import CubicHermiteSpline

import pkpd
from pkpd.core.errors import InputError
from pkpd.model.check import read_model
from pkpd.simulation.occurrence import _exponentials

# Exponential, Weibull and Gompertz, in one model
MODEL = """\
model      hazards
time       d
parameter  rate = 0.02 [1/d]   # assumed
parameter  shape = 1.7 [1]     # assumed
parameter  scale = 90 [d]      # assumed
parameter  g0 = 0.005 [1/d]    # assumed
parameter  g1 = 0.024 [1/d]    # assumed
hazard     constant = rate [1/d]
hazard     weibull = shape/scale*(t/scale)^(shape - 1) [1/d]
hazard     gompertz = g0*exp(g1*t) [1/d]
"""
LAWS = {
    "constant": stats.expon(scale=50.0),
    "weibull": stats.weibull_min(1.7, scale=90.0),
    "gompertz": stats.gompertz(0.005 / 0.024, scale=1 / 0.024),
}
GRID = np.linspace(0.0, 600.0, 121)


@pytest.fixture(scope="module")
def profile():
    return pkpd.simulate(read_model(MODEL, "hazards.model"), "none", GRID, rtol=1e-9)


def drawn(profile, name, count, **how):
    cumulative = np.repeat(profile[f"cumulative_hazard_{name}"], count, axis=0)
    hazards = np.repeat(profile[f"hazard_{name}"], count, axis=0)
    return pkpd.event_times(cumulative, GRID, hazards, **how)


@pytest.mark.parametrize("name", LAWS)
def test_events_are_where_the_closed_form_has_them(profile, name):
    exponentials = np.linspace(0.02, 4.0, 200)
    expected = LAWS[name].isf(np.exp(-exponentials))
    found = drawn(profile, name, 200, exponentials=exponentials)
    np.testing.assert_allclose(found, expected, rtol=2e-4)


@pytest.mark.parametrize("name", LAWS)
def test_a_test_at_5_percent_of_their_distribution_raises_as_many_false_alarms(profile, name):
    """Kolmogorov and Smirnov's, of 400 subjects and 400 seeds."""
    stream = list(LAWS).index(name)
    times = (drawn(profile, name, 400, seed=seed, stream=stream) for seed in range(400))
    p = [stats.kstest(found, LAWS[name].cdf).pvalue for found in times]
    assert stats.binomtest(int(np.sum(np.array(p) < 0.05)), 400, 0.05).pvalue > 0.01
    assert stats.kstest(p, "uniform").pvalue > 0.01


@settings(max_examples=60)
@given(
    st.lists(st.floats(0.0, 5.0), min_size=2, max_size=8),
    st.lists(st.floats(0.0, 30.0), min_size=9, max_size=9),
    st.floats(1e-6, 1.0),
)
def test_the_cumulative_hazard_is_reached_to_rounding_and_earlier_for_a_smaller_number(rises, slopes, share):
    cumulative = np.concatenate([[0.0], np.cumsum(rises)])
    if not share * cumulative[-1] > 1e-3:
        return
    times = np.arange(cumulative.size) * 2.0 + 1.0
    numbers = np.linspace(0.2, 1.0, 9) * share * cumulative[-1]
    many = np.repeat(cumulative[None], 9, axis=0)
    slope = np.array(slopes[: cumulative.size])
    line = pkpd.event_times(many, times, exponentials=numbers)
    np.testing.assert_allclose(np.interp(line, times, cumulative), numbers, rtol=1e-12)
    cubic = pkpd.event_times(many, times, np.repeat(slope[None], 9, axis=0), numbers)
    assert np.all(np.diff(cubic) >= 0.0)
    at = np.minimum(np.searchsorted(times, cubic, side="left"), times.size - 1)
    at = np.maximum(at, 1)
    for found, number, right in zip(cubic, numbers, at, strict=True):
        span, ends = times[right - 1 : right + 1], cumulative[right - 1 : right + 1]
        if ends[1] - ends[0] < 1e-9:  # an end of an interval in which nothing happens
            assert np.interp(found, span, ends) == pytest.approx(number, rel=1e-8)
            continue
        limited = np.minimum(slope[right - 1 : right + 1], 3.0 * (ends[1] - ends[0]) / 2.0)
        assert CubicHermiteSpline(span, ends, limited)(found) == pytest.approx(number, rel=1e-9)


def test_a_cubic_is_closer_than_lines(profile):
    exponentials = np.linspace(0.02, 4.0, 200)
    expected = LAWS["weibull"].isf(np.exp(-exponentials))
    few = np.arange(0.0, 601.0, 60.0)
    cumulative, hazard = (few / 90) ** 1.7, 1.7 / 90 * (few / 90) ** 0.7
    courses, slopes = np.tile(cumulative, (200, 1)), np.tile(hazard, (200, 1))
    line = np.abs(pkpd.event_times(courses, few, exponentials=exponentials) - expected).max()
    cubic = np.abs(pkpd.event_times(courses, few, slopes, exponentials) - expected).max()
    assert cubic < line / 4


def test_a_number_belongs_to_seed_subject_and_stream():
    assert np.array_equal(_exponentials(3, 1000, 2)[:7], _exponentials(3, 7, 2))
    drawn = {(seed, stream): _exponentials(seed, 4000, stream) for seed in (1, 2) for stream in (0, 1)}
    correlations = np.corrcoef(list(drawn.values())) - np.eye(4)
    assert np.abs(correlations).max() < 4 / np.sqrt(4000)
    assert all(stats.kstest(numbers, "expon").pvalue > 0.01 for numbers in drawn.values())


def test_of_competing_events_the_first_is_each_as_often_as_its_hazard_says():
    """Constant ones of 0.02 and 0.03 per day: two in five, at times that are exponential with their sum."""
    n, times = 20_000, np.linspace(0.0, 1000.0, 11)
    rates = (0.02, 0.03)
    events = [
        pkpd.event_times(np.tile(rate * times, (n, 1)), times, seed=7, stream=k)
        for k, rate in enumerate(rates)
    ]
    assert np.mean(events[0] < events[1]) == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / n))
    first = np.minimum(*events)
    assert stats.kstest(first, stats.expon(scale=20.0).cdf).pvalue > 0.01
    assert stats.kstest(first[events[0] < events[1]], stats.expon(scale=20.0).cdf).pvalue > 0.01


def test_who_has_no_event_by_the_last_time_has_inf_and_who_failed_nan():
    cumulative = np.array([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0], [0.0, np.nan, np.nan], [0.0, 0.5, np.nan]])
    found = pkpd.event_times(cumulative, [0.0, 1.0, 2.0], exponentials=[1.0, 1.1, 0.2, 0.2])
    np.testing.assert_array_equal(found, [2.0, np.inf, np.nan, np.nan])


def test_many_subjects_take_less_than_two_seconds():
    scale = np.random.default_rng(1).lognormal(6.0, 0.5, (220_000, 1))
    times = np.linspace(0.0, 900.0, 100)
    cumulative = (times / scale) ** 2
    began = time.process_time()
    found = pkpd.event_times(cumulative, times, 2 * times / scale**2, seed=1)
    assert time.process_time() - began < 2.0
    expected = scale[:, 0] * np.sqrt(_exponentials(1, 220_000, 0))
    np.testing.assert_allclose(found, np.where(expected <= 900.0, expected, np.inf), rtol=1e-9)


GOOD = {"cumulative": [[0.0, 1.0, 2.0]], "times": [0.0, 1.0, 2.0], "exponentials": [1.0]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"times": [0.0, 2.0, 1.0]}, "times must be finite and ascend"),
        ({"times": [0.0, 1.0]}, r"cumulative must have shape \(n_subjects, 2\), not \(1, 3\)"),
        ({"cumulative": [[0.5, 1.0, 2.0]]}, "cumulative hazard of subject 0 is not 0 at the first time"),
        ({"cumulative": [[0.0, 2.0, 1.0]]}, "cumulative hazard of subject 0 falls"),
        ({"hazards": [[1.0, -1.0, 1.0]]}, "cumulative hazard of subject 0 has a hazard below 0"),
        ({"hazards": [[1.0, 1.0]]}, r"hazards must have the shape of cumulative, \(1, 3\)"),
        ({"exponentials": [0.0]}, "exponentials must be positive"),
        ({"exponentials": [1.0, 1.0]}, r"exponentials must have shape \(1,\), not \(2,\)"),
        ({"cumulative": "death"}, "event_times"),
        ({"seed": -1}, "seed must not be negative"),
        ({"stream": -1}, "stream"),
    ],
)
def test_what_makes_no_sense_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        pkpd.event_times(**GOOD | change)
