"""Rows of every kind have the frequencies that they say when whole trials are simulated from a known
population, down to arms of five patients, and their columns are read strictly.

A number that can only be one of a few (a count, an interval, a test) has no residual that is normal; there it
is the probabilities that must be right: 5 % of its randomised quantile residuals lie beyond 1.96 (Dunn &
Smyth 1996, J Comput Graph Stat 5:236).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pkpd.core.errors import DataError
from pkpd.inference.objective import quasi_normals
from pkpd.inference.summary import likelihood
from pkpd.inference.summary.kinds.interval import next_round_number
from pkpd.inference.summary.rows import Row
from tests.inference.test_data import one
from tests.inference.test_likelihood import NAN, row

TRIALS = 3000
Z = quasi_normals(512, 1, 1)[:, 0]


def term_of(published: Row, *arms: np.ndarray):
    """Of a row where these patients, (K,) of each arm and without noise, are predicted."""
    s = np.stack(arms)
    return likelihood.evaluate(likelihood.measured(published), s, np.zeros_like(s))


def log_probability(published: Row, *arms: np.ndarray) -> float:
    """What the likelihood of a row that is one of a few says of it."""
    term = term_of(published, *arms)
    return -0.5 * (float(term.residuals @ term.residuals) + term.constant)


def five_percent(z: np.ndarray) -> None:
    """Of residuals over simulated trials."""
    share = float(np.mean(np.abs(z) > 1.96))
    assert 0.03 <= share <= 0.07, share


def quantile_residuals(below: np.ndarray, cell: np.ndarray, seed: int = 5) -> np.ndarray:
    """Randomised within the probability ``cell`` of what was seen, ``below`` that of less."""
    u = below + cell * np.random.default_rng(seed).random(cell.size)
    return stats.norm.ppf(np.clip(u, 1e-9, 1 - 1e-9))


# --- what lies within an interval


def trial_of_means(n: int, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Means and SDs, (TRIALS,), of n patients, normal with mean 5 and SD 1.5."""
    x = 5 + 1.5 * np.random.default_rng(seed).standard_normal((TRIALS, n))
    return x.mean(axis=1), x.std(axis=1, ddof=1)


@pytest.mark.parametrize("n", [5, 12])
@pytest.mark.parametrize("statistic", ["interval", "reported_floor"])
def test_intervals_hold_what_trials_print_as_often_as_they_say(statistic, n):
    # the author of an interval prints which of 0..2, 2..4, 4..6 the mean lies in, that of a floor rounds down
    truth = 5 + 1.5 * Z
    below, cell = [], []
    for mean, sd in zip(*trial_of_means(n), strict=True):
        error = {"n": n, "spread": sd / math.sqrt(n), "spread_type": "SE"}
        if statistic == "interval":
            low = 2 * math.floor(mean / 2)
            ends = {"value": NAN, "lower": low, "upper": low + 2}
        else:
            low = max(step for step in (0.01, 1, 1.5, 2, 3, 4, 5, 6, 8) if step <= mean)
            ends = {"value": low, "lower": low, "upper": next_round_number(low)}
        less = row(statistic="interval", value=NAN, lower=-1e6, upper=low, **error)
        below.append(math.exp(log_probability(less, truth)))
        cell.append(math.exp(log_probability(row(statistic=statistic, **ends, **error), truth)))
    five_percent(quantile_residuals(np.array(below), np.array(cell)))


def test_a_narrow_interval_is_as_good_as_the_mean_itself():
    rng = np.random.default_rng(3)
    truth, z = 5 + 1.5 * Z, []
    for mean in 5 + 0.4 * rng.standard_normal(TRIALS):
        low = 0.25 * math.floor(mean / 0.25)
        within = row(statistic="interval", value=NAN, lower=low, upper=low + 0.25, n=None, spread=0.4)
        z.append(float(term_of(replace(within, spread_type="SE"), truth).residuals[0]))
    five_percent(np.array(z))


def test_a_floor_is_held_down_from_above_as_a_bound_is_not():
    error = {"spread": 0.5, "spread_type": "SE", "n": 29}
    floor = row(statistic="reported_floor", value=8.0, lower=8.0, upper=10.0, **error)
    bound = row(statistic="lower_bound", value=8.0, **error)
    deviances = {
        m: [float(term_of(kind, np.full(8, m)).residuals[0] ** 2) for kind in (floor, bound)]
        for m in (6.0, 9.0, 24.0)
    }
    assert deviances[9.0][0] == pytest.approx(0, abs=1e-12) and deviances[9.0][1] < 0.1
    assert deviances[24.0][0] > 60 and deviances[24.0][1] < 1e-9
    assert deviances[6.0][0] > 8


def test_what_would_have_been_written_next_is_the_next_round_number():
    steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20]
    assert [next_round_number(low) for low in steps[:-1]] == steps[1:]
    found = [next_round_number(value) for value in (100, 0.08, 7.2, 99.0, 0.3)]
    assert found == pytest.approx([150, 0.1, 8, 100, 0.4])
    # on the printed number, before its unit is converted
    written = one(statistic="reported_floor", value="8", spread="1.1", spread_type="SE")
    assert (written.lower, written.upper) == (8.0, 10.0)
    written = one(statistic="reported_floor", value="-20", upper="-10", spread="", spread_type="none")
    assert (written.lower, written.upper) == (-20.0, -10.0)


BARE = {"spread": "", "spread_type": "none"}


@pytest.mark.parametrize(
    ("fields", "column", "reason"),
    [
        ({"statistic": "interval", "value": "", **BARE}, "lower", "needs lower and upper"),
        ({"statistic": "interval", "value": "", "lower": "5", "upper": "3", **BARE}, "lower", "not below"),
        ({"statistic": "interval", "value": "9", "lower": "1", "upper": "3", **BARE}, "value", "outside"),
        ({"statistic": "reported_floor", "value": "", **BARE}, "value", "is empty"),
        ({"statistic": "reported_floor", "value": "-8", **BARE}, "upper", "needs its upper end"),
        ({"statistic": "reported_floor", "value": "8", "upper": "7", **BARE}, "lower", "not below upper"),
        ({"statistic": "reported_floor", "value": "8", "lower": "7", **BARE}, "lower", "must be empty"),
        (
            {"statistic": "reported_floor", "value": "8", "spread": "", "spread_type": "CI95"},
            "spread",
            "give",
        ),
    ],
)
def test_columns_that_a_kind_cannot_use_are_named(fields, column, reason):
    with pytest.raises(DataError) as error:
        one(**fields)
    message = str(error.value)
    assert "line 2" in message and f'column "{column}": ' in message and reason in message
