"""Least squares, slopes and ranks of a trial against closed forms and scipy."""

import numpy as np
import pytest
from scipy import stats

from pkpd.trial.linear import joint_rank, least_squares, slope_weights, slopes, welch


def test_a_contrast_of_two_groups_is_the_t_test():
    rng = np.random.default_rng(1)
    y, arm = rng.normal(size=40), np.arange(40) % 2
    found = least_squares(np.c_[np.ones(40), arm], y).contrast(1)
    theirs = stats.ttest_ind(y[arm == 1], y[arm == 0])
    interval = theirs.confidence_interval()
    assert (found.p, found.lower, found.upper) == pytest.approx((theirs.pvalue, interval.low, interval.high))


def test_least_squares_is_that_of_scipy_whatever_the_units():
    rng = np.random.default_rng(2)
    x = rng.normal(size=30) * 1e4 + 1e5
    y = 3e-6 * x + rng.normal(size=30)
    theirs = stats.linregress(x, y)
    found = least_squares(np.c_[np.ones(30), x], y).contrast(1)
    assert (found.difference, found.p) == pytest.approx((theirs.slope, theirs.pvalue), rel=1e-8)


def test_columns_that_are_not_independent_have_no_fit():
    x = np.c_[np.ones(9), np.arange(9) % 2, 1 - np.arange(9) % 2]
    assert least_squares(x, np.arange(9.0)) is None
    assert least_squares(x[:2, :2], np.arange(2.0)) is None


def test_slopes_are_those_of_regression_lines_through_what_was_measured():
    days = np.array([0.0, 28.0, 84.0, 168.0])
    y = np.array([[40.0, 38, 35, 30], [40, np.nan, 36, np.nan], [40, np.nan, np.nan, np.nan]])
    found = slopes(days, y, least=2).slope
    assert found[0] == pytest.approx(stats.linregress(days, y[0]).slope)
    assert found[1] == pytest.approx(-4 / 84)
    assert np.isnan(found[2])
    assert np.isnan(slopes(days, y, least=3).slope[1])


def test_with_equal_weights_it_is_the_test_of_welch():
    rng = np.random.default_rng(3)
    one, other = np.r_[rng.normal(1, 3, 12), np.nan], rng.normal(0, 1, 30)
    found = welch(one, other, np.full(13, 7.0), np.full(30, 2.0))
    theirs = stats.ttest_ind(one[:12], other, equal_var=False)
    interval = theirs.confidence_interval()
    assert (found.p, found.lower, found.upper) == pytest.approx((theirs.pvalue, interval.low, interval.high))


def test_slopes_of_patients_who_were_seen_briefly_count_less_and_the_test_keeps_its_size():
    """Between patients an SD of 0.3, error 1; half of them are seen on days 0 and 1 alone, or until day 9."""
    rng = np.random.default_rng(6)
    days, arm = np.arange(10.0), np.arange(40) % 2
    ps, apart, plain = [], [], []
    for _ in range(1500):
        y = -0.5 * days + rng.normal(0, 0.3, (40, 1)) * days + rng.normal(size=(40, 10))
        y[np.arange(40) % 4 < 2, 2:] = np.nan
        lines = slopes(days, y, least=2)
        weights = slope_weights(lines, arm)
        one, other = arm == 1, arm == 0
        found = welch(lines.slope[one], lines.slope[other], weights[one], weights[other])
        ps.append(found.p)
        apart.append(found.difference)
        plain.append(lines.slope[one].mean() - lines.slope[other].mean())
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.015)
    # the variance of the best weights: 1/sum w of 10 patients of each kind in each arm
    best = 2 / (10 / (0.09 + 2) + 10 / (0.09 + 1 / 82.5))
    assert np.var(apart) == pytest.approx(best, rel=0.15)
    assert np.var(plain) > 4 * np.var(apart)


def test_joint_rank_without_deaths_is_the_rank_sum_test_and_counts_pairs():
    rng = np.random.default_rng(4)
    change, treated = rng.normal(size=60), np.arange(60) < 25
    change[treated] += 0.5
    p, share = joint_rank(np.full(60, 500.0), np.zeros(60, bool), change, treated)
    theirs = stats.mannwhitneyu(change[treated], change[~treated], use_continuity=False)
    assert share == pytest.approx(theirs.statistic / (25 * 35))
    # scores are twice the ranks less their mean; scipy's variance is that of ranks without ties
    assert p == pytest.approx(theirs.pvalue, rel=1e-9)


def test_joint_rank_puts_survival_before_function():
    time, event = np.array([100.0, 500.0]), np.array([True, False])
    assert joint_rank(time, event, np.array([5.0, -20.0]), np.array([False, True]))[1] == 1.0
    # lost before the other died: function decides
    early = np.array([50.0, 500.0])
    assert joint_rank(early, np.array([False, True]), np.array([5.0, -20.0]), np.array([False, True]))[1] == 0


def test_joint_rank_of_arms_that_are_alike_is_significant_in_5_of_100():
    rng = np.random.default_rng(5)
    ps = []
    for _ in range(1500):
        death = rng.exponential(800, 80)
        ps.append(joint_rank(np.minimum(death, 500), death < 500, rng.normal(size=80), np.arange(80) < 40)[0])
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.015)
