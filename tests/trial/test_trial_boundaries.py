"""Boundaries are those that were published, and hold alpha in trials of normal increments."""

import math

import numpy as np
import pytest
from scipy import stats

from pkpd.trial.boundaries import boundary, conditional_power, spent


def limits(spending, shares, alpha=0.05):
    alphas = tuple(spent(spending, alpha, share) for share in shares)
    return [boundary(tuple(shares[:k]), alphas[:k]) for k in range(1, len(shares) + 1)]


def increments(shares, drift, trials, seed):
    """Statistics of trials, (trials, n_looks): ``drift`` is the mean of the last."""
    generator = np.random.default_rng(seed)
    steps = np.diff(shares, prepend=0.0)
    walk = np.cumsum(
        drift * steps + np.sqrt(steps) * generator.standard_normal((trials, len(shares))), axis=1
    )
    return walk / np.sqrt(shares)


@pytest.mark.parametrize(
    ("spending", "looks", "published"),
    [
        ("obrien_fleming", 2, [2.963, 1.969]),
        ("obrien_fleming", 3, [3.710, 2.511, 1.993]),
        ("obrien_fleming", 4, [4.333, 2.963, 2.359, 2.014]),
        ("obrien_fleming", 5, [4.877, 3.357, 2.680, 2.290, 2.031]),
        ("pocock", 2, [2.157, 2.201]),
        ("pocock", 5, [2.438, 2.427, 2.410, 2.397, 2.386]),
    ],
)
def test_boundaries_at_equal_steps_are_the_published_ones(spending, looks, published):
    found = limits(spending, [k / looks for k in range(1, looks + 1)])
    assert found == pytest.approx(published, abs=1.5e-3)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock", ""])
@pytest.mark.parametrize("shares", [(0.3, 0.35, 0.9, 1.0), (0.5, 1.0), (0.1, 0.101, 0.6, 1.0)])
def test_alpha_is_spent_as_it_should_be_at_every_look(spending, shares):
    trials = 200_000
    z, found = increments(shares, 0.0, trials, 1), limits(spending, shares)
    stopped = np.zeros(trials, dtype=bool)
    for k, share in enumerate(shares):
        stopped |= np.abs(z[:, k]) >= found[k]
        claim = spent(spending, 0.05, share)
        error = math.sqrt(max(claim, 1e-6) / trials)
        assert stopped.mean() == pytest.approx(claim, abs=4 * error), (k, share)


def test_one_look_is_the_ordinary_test_and_the_unit_of_information_does_not_matter():
    assert limits("pocock", [1.0]) == pytest.approx([stats.norm.ppf(0.975)])
    assert limits("", [0.5, 1.0]) == [math.inf, pytest.approx(stats.norm.ppf(0.975), abs=1e-6)]
    alphas = 0.01, 0.05
    assert boundary((45.0, 90.0), alphas) == pytest.approx(boundary((0.5, 1.0), alphas), abs=1e-8)


def test_of_an_alpha_of_1_the_last_look_stops_every_trial():
    assert limits("obrien_fleming", [0.3, 0.6, 1.0], alpha=1.0)[-1] == 0.0


def test_a_late_boundary_is_that_of_integrating_over_both_looks():
    """P(|Z1| < c1, |Z2| >= c2) by the bivariate normal distribution of scipy."""
    first, last = limits("pocock", [0.4, 1.0])
    both = stats.multivariate_normal(cov=[[1, math.sqrt(0.4)], [math.sqrt(0.4), 1]])
    inside = both.cdf([first, last], lower_limit=[-first, -last])
    assert 1 - inside == pytest.approx(0.05, abs=1e-6)


def test_conditional_power_is_how_often_trials_that_go_on_so_succeed():
    z, share, final = 1.2, 0.4, 2.0
    drift = z / math.sqrt(share)
    steps = np.random.default_rng(2).standard_normal(400_000) * math.sqrt(1 - share)
    ends = z * math.sqrt(share) + drift * (1 - share) + steps
    assert conditional_power(z, share, final) == pytest.approx(np.mean(ends >= final), abs=0.003)
    assert math.isnan(conditional_power(z, 1.0, final))
