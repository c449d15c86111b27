"""Rows of every kind have the frequencies that they say when whole trials are simulated from a known
population, down to arms of five patients, and their columns are read strictly.

A number that can only be one of a few (a count, an interval, a test) has no residual that is normal; there it
is the probabilities that must be right: 5 % of its randomised quantile residuals lie beyond 1.96 (Dunn &
Smyth 1996, J Comput Graph Stat 5:236).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pkpd.core.errors import DataError
from pkpd.inference.objective import quasi_normals
from pkpd.inference.summary import likelihood
from pkpd.inference.summary.kinds.interval import next_round_number
from pkpd.inference.summary.reading import in_model_units, parse_data
from pkpd.inference.summary.rows import COLUMNS_OF_KINDS, Row
from pkpd.inference.summary.statistics import noisy_quantile, quantile, wilson
from tests.inference.test_data import FIELDS, UNITS, table
from tests.inference.test_likelihood import NAN, row

TRIALS = 3000
BARE = {"spread": "", "spread_type": "none"}
CI = {"spread": "", "spread_type": "CI95"}
COLUMNS = (*FIELDS, *COLUMNS_OF_KINDS)
OUTPUTS = UNITS | {"events": "1/d"}
Z = quasi_normals(512, 1, 1)[:, 0]


def written(units=OUTPUTS, clock: str = "d", **fields: str) -> Row:
    """A row of a file in the units of a model."""
    found = parse_data(table(dict.fromkeys(COLUMNS_OF_KINDS, "") | fields, names=COLUMNS))
    return in_model_units(found, units, clock, {}).rows[0]


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
    fields = {"statistic": "reported_floor", "output": "conc", "unit": "ng/mL", **BARE}
    floor = written(**fields, value="800")
    assert (floor.lower, floor.upper, floor.unit) == pytest.approx((0.8, 1.0, "mg/L"))
    below = written(**fields, value="-20", upper="-10", measure="change")
    assert (below.lower, below.upper) == pytest.approx((-0.02, -0.01))


# --- shares, quantiles and events


@pytest.mark.parametrize(("n", "share"), [(40, 0.3), (150, 0.1), (25, 0.6)])
def test_fractions_without_n_are_told_by_their_interval(n, share):
    # Wilson's, and the share itself is never nobody or all
    z = []
    for k in np.random.default_rng(6).binomial(n, share, TRIALS):
        if 0 < k < n:
            low, high = wilson(int(k), n)
            ends = {"lower": low, "upper": high, "spread_type": "CI95"}
            term = term_of(row(statistic="fraction", value=k / n, n=None, **ends), np.full(8, share))
            z.append(term.residuals[0])
    five_percent(np.array(z))


@pytest.mark.parametrize("statistic", ["count", "rate"])
@pytest.mark.parametrize(("n", "truth"), [(5, 0.1), (12, 0.08), (12, 0.4)])
def test_arms_with_few_events_and_with_none_have_the_frequencies_that_they_say(statistic, n, truth):
    # of 5 patients with a share of 0.1 more than half of all trials see no event at all
    rng = np.random.default_rng(7)
    seen = rng.binomial(n, truth, TRIALS) if statistic == "count" else rng.poisson(n * truth, TRIALS)
    kinds = [
        row(statistic="count", n=n, value=k)
        if statistic == "count"
        else row(statistic="rate", value=k / n, person_time=float(n))
        for k in range(int(seen.max()) + 1)
    ]
    probability = np.exp([log_probability(kind, np.full(8, truth)) for kind in kinds])
    none = (1 - truth) ** n if statistic == "count" else math.exp(-n * truth)
    assert probability[0] == pytest.approx(none)
    below = np.concatenate([[0.0], np.cumsum(probability)[:-1]])
    five_percent(quantile_residuals(below[seen], probability[seen]))


def test_the_intervals_of_a_rate_hold_the_truth():
    # Garwood's: at least 95 %, whatever was seen
    for expected in (0.4, 3.0, 11.0):
        count = np.arange(60)
        ends = [
            likelihood.interval(likelihood.measured(row(statistic="rate", value=k / 10, person_time=10.0)))
            for k in count
        ]
        held = [low <= expected / 10 <= high for low, high in ends]
        assert 0.95 <= float(stats.poisson.pmf(count, expected) @ held) <= 1


def test_a_quantile_has_the_noise_of_its_measurements():
    seen = 5 + 1.5 * np.random.default_rng(0).standard_normal(400_000)
    seen += 0.8 * np.random.default_rng(1).standard_normal(seen.size)
    s, none = 5 + 1.5 * Z, np.zeros(Z.size)
    for level in (0.1, 0.5, 0.8):
        found = noisy_quantile(s, none + 0.64, level).value
        assert found == pytest.approx(float(np.quantile(seen, level)), abs=0.03)
        assert noisy_quantile(s, none, level).value == pytest.approx(quantile(s, level)[0], rel=1e-9)


def test_person_time_is_that_of_the_window_unless_it_is_printed():
    fields = {"statistic": "rate", "output": "events", "value": "0", "unit": "1/d", **BARE}
    window = fields | {"reducer": "mean", "time": "0..28"}
    assert written(**window).person_time == 12 * 28
    assert written(**window, person_time="300").person_time == 300
    # events are rate times person-time in whatever units output and model have
    for unit, time_unit in itertools.product(("1/d", "1/h", "1/(365.25*d)"), ("d", "h")):
        given = fields | {"value": "0.25", "person_time": "40"}
        found = written({"events": unit}, time_unit, **given)
        assert found.value * found.person_time == pytest.approx(10)
    with pytest.raises(DataError, match='column "output": events per time need an output of unit 1/d'):
        written({"events": "1"}, **fields | {"unit": "1", "person_time": "40"})


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
        ({"statistic": "quantile"}, "level", "needs its probability"),
        ({"statistic": "quantile", "level": "90"}, "level", "between 0 and 1: 0.9"),
        ({"level": "0.9"}, "level", "a mean has no level"),
        ({"statistic": "count", "value": "2", "person_time": "3", **BARE}, "person_time", "has no person"),
        ({"statistic": "fraction", "value": "30", "n": "", **BARE}, "n", "or its CI95 or SE"),
        (
            {"statistic": "fraction", "value": "0", "n": "", "spread": "2", "spread_type": "SE"},
            "n",
            "of nobody or of all",
        ),
        (
            {"statistic": "fraction", "value": "0.1", "unit": "1", "n": "", **CI, "lower": "0", "upper": "1"},
            "lower",
            "at least one end",
        ),
        ({"statistic": "rate", "value": "-1", "person_time": "9", **BARE}, "value", "negative"),
        ({"statistic": "rate", "value": "1", **BARE}, "person_time", "time that all patients were followed"),
        ({"statistic": "rate", "value": "1", "person_time": "0", **BARE}, "person_time", "not positive"),
        ({"statistic": "rate", "person_time": "9", "measure": "fold", **BARE}, "measure", "is the value"),
    ],
)
def test_columns_that_a_kind_cannot_use_are_named(fields, column, reason):
    with pytest.raises(DataError) as error:
        written(**fields)
    message = str(error.value)
    assert "line 2" in message and f'column "{column}": ' in message and reason in message
