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
from pkpd.dosing import Schedule
from pkpd.inference.objective import quasi_normals
from pkpd.inference.summary import arms, likelihood
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.kinds.dose_for_effect import DOSE_GRID
from pkpd.inference.summary.kinds.interval import next_round_number
from pkpd.inference.summary.kinds.significance import log_within
from pkpd.inference.summary.reading import in_model_units, parse_data
from pkpd.inference.summary.rows import COLUMNS_OF_KINDS, Row
from pkpd.inference.summary.samples import Noise, sample
from pkpd.inference.summary.sampling import Seen, sampling_of
from pkpd.inference.summary.statistics import noisy_quantile, quantile, wilson
from tests.inference.test_data import FIELDS, UNITS, table
from tests.inference.test_likelihood import NAN, row

TRIALS = 3000
BARE = {"spread": "", "spread_type": "none"}
CHANGE = BARE | {"measure": "change"}
CI = {"spread": "", "spread_type": "CI95"}
SHARE = {"output": "share", "unit": "1"}
COLUMNS = tuple(FIELDS | dict.fromkeys(COLUMNS_OF_KINDS))
OUTPUTS = UNITS | {"events": "1/d"}
NOISE = Noise(0.05, 0.0)
Z = quasi_normals(512, 1, 1)[:, 0]


def written(units=OUTPUTS, clock: str = "d", **fields: str) -> Row:
    """A row of a file in the units of a model."""
    found = parse_data(table(dict.fromkeys(COLUMNS_OF_KINDS, "") | fields, names=COLUMNS))
    return in_model_units(found, units, clock, {}).rows[0]


def term_of(published: Row, *patients: np.ndarray):
    """Of a row where these patients, (K,) of each arm and without noise, are predicted."""
    s = np.stack(patients)
    return likelihood.evaluate(likelihood.measured(published), s, np.zeros_like(s))


def log_probability(published: Row, *patients: np.ndarray) -> float:
    """What the likelihood of a row that is one of a few says of it."""
    term = term_of(published, *patients)
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


@pytest.mark.parametrize("n", [5, 12])
@pytest.mark.parametrize("limit", [4.6, 5.5])
def test_bounds_are_kept_as_often_as_they_say(limit, n):
    # the limit was fixed beforehand; the author prints on which side of it the mean lies
    truth = 5 + 1.5 * Z
    below, cell = [], []
    for mean, sd in zip(*trial_of_means(n), strict=True):
        error = {"value": limit, "n": n, "spread": sd / math.sqrt(n), "spread_type": "SE"}
        less = math.exp(log_probability(row(statistic="upper_bound", **error), truth))
        more = math.exp(log_probability(row(statistic="lower_bound", **error), truth))
        assert less + more == pytest.approx(1)
        below.append(less if mean > limit else 0.0)
        cell.append(more if mean > limit else less)
    five_percent(quantile_residuals(np.array(below), np.array(cell)))


@pytest.mark.parametrize("statistic", ["lower_bound", "upper_bound"])
def test_a_simulated_trial_prints_on_which_side_of_a_limit_its_mean_lies(statistic):
    published = row(statistic=statistic, value=4.6, n=6, spread=0.5, spread_type="SE")
    kind, x, term = KINDS[statistic], likelihood.measured(published), term_of(published, 5 + 0 * Z)
    errors = np.random.default_rng(4).standard_normal(4000)
    printed = [kind.redrawn(x, term, error) for error in errors]
    assert {replace(each, statistic=statistic) for each in printed} == {published}
    above = np.mean([each.statistic == "lower_bound" for each in printed])
    assert above == pytest.approx(stats.t(5).cdf((5 - 4.6) / 0.5), abs=4 * 0.5 / math.sqrt(4000))


@pytest.mark.parametrize("error", [-1.7, -0.2, 0.4, 2.0])
def test_a_simulated_trial_prints_another_dose_with_a_schedule_of_it(error):
    published = row(
        statistic="dose_for_effect",
        value=1.0,
        effect=5.0,
        lower=0.5,
        upper=2.1,
        spread_type="CI95",
        schedule="1 mg sc daily x5",
    )
    kind, x = KINDS["dose_for_effect"], likelihood.measured(published)
    doses = np.outer(DOSE_GRID, [1.0, 1.0])
    term = term_of(published, *(4 + 2 * np.log(doses)))  # straight over log dose, as it is interpolated
    new = kind.redrawn(x, term, error)
    assert {float(dose.amount) for dose in Schedule.parse(new.schedule).doses()} == {new.value}
    assert (new.lower / new.value, new.upper / new.value) == pytest.approx((0.5, 2.1))
    # read as any other row: the same curve, simulated at multiples of the new dose
    again = term_of(new, *(4 + 2 * np.log(new.value * doses)))
    assert again.residuals == pytest.approx([error])


def test_a_bound_is_an_interval_with_one_end():
    error = {"spread": 0.5, "spread_type": "SE", "n": 5}
    for m in (3.0, 5.2, 8.0):
        bound = log_probability(row(statistic="lower_bound", value=5.0, **error), np.full(8, m))
        within = row(statistic="interval", value=NAN, lower=5.0, upper=1e9, **error)
        assert bound == pytest.approx(log_probability(within, np.full(8, m)), rel=1e-6)


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


@pytest.mark.parametrize("n", [5, 12, 40])
@pytest.mark.parametrize("shape", ["normal", "log-normal"])
@pytest.mark.parametrize(("statistic", "limit"), [("count", 6.5), ("fraction", 4.0), ("fraction", 9.0)])
def test_numbers_of_responders_have_the_frequencies_that_they_say(statistic, limit, shape, n):
    # who responds is told by a measurement with its error; of 9 often nobody does
    def level(z):
        return 5 + 1.5 * z if shape == "normal" else 5 * np.exp(0.4 * z)

    seen = (draws(np.random.default_rng(10), level, (TRIALS, n)) >= limit).sum(axis=1)
    s = level(Z)[None]
    probability = []
    for k in range(n + 1):
        value = k if statistic == "count" else k / n
        printed = likelihood.measured(row(statistic=statistic, n=n, value=value, effect=limit))
        term = likelihood.evaluate(printed, s, (NOISE.proportional * s) ** 2)
        probability.append(math.exp(-0.5 * (float(term.residuals[0] ** 2) + term.constant)))
    assert sum(probability) == pytest.approx(1)
    below = np.concatenate([[0.0], np.cumsum(probability)[:-1]])
    five_percent(quantile_residuals(below[seen], np.array(probability)[seen]))


@pytest.mark.parametrize("n", [1, 5, 12, 60])
def test_the_likelihood_of_a_count_is_the_binomial_one_of_nobody_and_of_all_too(n):
    for p in (1e-3, 0.03, 0.5, 0.97, 1 - 1e-3):
        found = [log_probability(row(statistic="count", n=n, value=k), np.full(8, p)) for k in range(n + 1)]
        np.testing.assert_allclose(found, stats.binom.logpmf(np.arange(n + 1), n, p), rtol=1e-5, atol=1e-5)
    for k, p in itertools.product((0, n), (0.0, 1.0)):  # certainly, and never
        term = term_of(row(statistic="fraction", n=n, value=k / n), np.full(8, p))
        assert np.all(np.isfinite(term.residuals)) and np.all(np.isfinite(term.by_s))
        assert abs(term.residuals[0]) < 1e-3 * n if k == n * p else abs(term.residuals[0]) > 6


def test_deviance_residuals_of_counts_are_beyond_1_96_in_five_percent_over_all_shares():
    # of one share, a few numbers of patients are all that can be seen: 0 to 18 % of them lie beyond
    shares = np.linspace(0.02, 0.98, 49)
    for n in (5, 12, 40):
        k = np.arange(n + 1)
        kinds = [row(statistic="count", n=n, value=number) for number in k]
        beyond = [
            float(
                stats.binom.pmf(k, n, p)
                @ [abs(term_of(kind, np.full(2, p)).residuals[0]) > 1.96 for kind in kinds]
            )
            for p in shares
        ]
        assert 0.03 <= np.mean(beyond) <= 0.07 and max(beyond) < 0.2


@pytest.mark.parametrize("n", [30, 150])
@pytest.mark.parametrize("spread_type", ["SE", "CI95"])
def test_hazard_ratios_of_trials_lie_beyond_1_96_in_five_percent(spread_type, n):
    # exponential times of n patients an arm, followed for 1.5 times the mean of the other arm
    rng, events, exposure = np.random.default_rng(12), [], []
    for hazard in (0.7, 1.0):
        time = rng.exponential(1 / hazard, (TRIALS, n))
        events.append((time <= 1.5).sum(axis=1))
        exposure.append(np.minimum(time, 1.5).sum(axis=1))
    value = events[0] / exposure[0] * exposure[1] / events[1]
    error = np.sqrt(1 / events[0] + 1 / events[1])
    z = []
    for ratio, se in zip(value, error, strict=True):
        half = math.exp(1.959964 * se)
        ends = {"lower": ratio / half, "upper": ratio * half} if spread_type == "CI95" else {}
        spread = NAN if ends else ratio * se
        printed = row(statistic="ratio", value=ratio, n=2 * n, spread=spread, spread_type=spread_type, **ends)
        z.append(term_of(printed, np.full(8, 0.7)).residuals[0])
    five_percent(np.array(z))


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


# --- two arms, and two outputs


def draws(rng: np.random.Generator, truth, shape: tuple[int, ...]) -> np.ndarray:
    """Patients of many trials, each with its measurement error."""
    x = truth(rng.standard_normal(shape))
    return x * (1 + NOISE.proportional * rng.standard_normal(shape))


def residuals_of_trials(published: Row, patients, sizes, columns_of, seed: int = 8) -> np.ndarray:
    """Scored residuals, (TRIALS,), of a row that sees these arms, each a function of normal numbers."""
    y = [arm(Z)[:, None] for arm in patients]
    looked = [sample(published, each, None, NOISE) for each in y]
    s, v = np.stack([each.s for each in looked]), np.stack([each.v for each in looked])
    seen = [Seen(each, None, NOISE, k, "C", n) for k, (each, n) in enumerate(zip(y, sizes, strict=True))]
    rng = np.random.default_rng(seed)
    columns = columns_of(*(draws(rng, arm, (TRIALS, n)) for arm, n in zip(patients, sizes, strict=True)))
    found, sampling = [], None
    for b in range(TRIALS):
        printed = likelihood.measured(replace(published, **{k: float(x[b]) for k, x in columns.items()}))
        term = likelihood.evaluate(printed, s, v)
        if sampling is None:
            sampling = sampling_of([(printed, term, seen)], [], 3)
        found.append(sampling.scored(0, term).residuals[0])
    return np.array(found)


def welch(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The interval of a difference as SciPy has it, of arms with one SD."""
    found = stats.ttest_ind(x, y, axis=1).confidence_interval(0.95)
    return {"value": x.mean(axis=1) - y.mean(axis=1), "lower": found.low, "upper": found.high}


def common_sd(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    n, m = x.shape[1], y.shape[1]
    sd = np.sqrt(((n - 1) * x.var(axis=1, ddof=1) + (m - 1) * y.var(axis=1, ddof=1)) / (n + m - 2))
    return {"value": x.mean(axis=1) - y.mean(axis=1), "spread": sd}


def ratio_of_logs(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """As of bioequivalence: the interval of the difference of logarithms."""
    found = stats.ttest_ind(np.log(x), np.log(y), axis=1).confidence_interval(0.95)
    middle = np.exp(np.log(x).mean(axis=1) - np.log(y).mean(axis=1))
    return {"value": middle, "lower": np.exp(found.low), "upper": np.exp(found.high)}


def ratio_alone(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    return {"value": x.mean(axis=1) / y.mean(axis=1)}


def ratio_with_error(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """By the delta method (Fieller's without its small term)."""
    relative = [each.std(axis=1, ddof=1) / each.mean(axis=1) / math.sqrt(each.shape[1]) for each in (x, y)]
    return ratio_alone(x, y) | {"spread": x.mean(axis=1) / y.mean(axis=1) * np.hypot(*relative)}


TWO_ARMS = {
    "difference, CI": ("difference_of_arms", {"lower": 0.2, "upper": 3.0, "spread_type": "CI95"}, welch),
    "difference, SD": ("difference_of_arms", {"spread": 1.5, "spread_type": "SD"}, common_sd),
    "ratio of means, alone": ("ratio_of_arms", {}, ratio_alone),
    "ratio of means, SE": ("ratio_of_arms", {"spread": 0.2, "spread_type": "SE"}, ratio_with_error),
    "ratio of geometric means, CI": (
        "geometric_ratio_of_arms",
        {"lower": 0.9, "upper": 3.0, "spread_type": "CI95"},
        ratio_of_logs,
    ),
}
SHAPES = {
    "normal": (lambda z: 7 + 0.8 * z, lambda z: 5 + 0.8 * z),
    "log-normal": (lambda z: 7 * np.exp(0.7 * z), lambda z: 5 * np.exp(0.7 * z)),
}


@pytest.mark.parametrize("sizes", [(5, 5), (12, 7)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", TWO_ARMS)
def test_two_arms_lie_beyond_1_96_in_five_percent(name, shape, sizes):
    statistic, spread, columns = TWO_ARMS[name]
    published = row(statistic=statistic, value=1.5, n=sizes[0], versus="B", versus_n=sizes[1], **spread)
    five_percent(residuals_of_trials(published, SHAPES[shape], sizes, columns))


@pytest.mark.parametrize("name", ["ratio of means, alone", "ratio of means, SE"])
def test_ratios_of_two_declines_lie_beyond_1_96_in_five_percent(name):
    # changes from baseline that are losses, of patients among whom some gain
    statistic, spread, columns = TWO_ARMS[name]
    published = row(statistic=statistic, value=0.77, n=60, versus="B", versus_n=50, **spread)
    arms = (lambda z: -7 + 5 * z, lambda z: -9 + 5 * z)
    assert term_of(published, *(arm(Z) for arm in arms)).predicted == pytest.approx(7 / 9)
    five_percent(residuals_of_trials(published, arms, (60, 50), columns))


@pytest.mark.parametrize("n", [6, 20])
@pytest.mark.parametrize("shape", ["normal", "log-normal"])
@pytest.mark.parametrize(
    "statistic", ["correlation", "mean_of_responders", "mean_of_nonresponders", "responders by other"]
)
def test_numbers_of_two_outputs_and_of_responders_lie_beyond_1_96_in_five_percent(statistic, shape, n):
    def outputs(z):
        a, b = z[..., 0], 0.7 * z[..., 0] + math.sqrt(0.51) * z[..., 1]
        return (5 + 1.5 * a, 8 + 2 * b) if shape == "normal" else (5 * np.exp(0.4 * a), 8 * np.exp(0.4 * b))

    n = n if statistic == "correlation" else 2 * n  # of whom some respond
    truth = outputs(quasi_normals(512, 2, 1))
    x, other = outputs(np.random.default_rng(8).standard_normal((TRIALS // 2, n, 2)))
    z, sampling = [], None
    for a, b in zip(x, other, strict=True):
        if statistic == "correlation":
            given = {"statistic": statistic, "other": "D", "value": float(np.corrcoef(a, b)[0, 1])}
        else:
            judged, limit, second = (b, 8.0, "D") if statistic == "responders by other" else (a, 5.0, "")
            part = a[(judged >= limit) == (statistic != "mean_of_nonresponders")]
            if part.size < 2:
                continue
            kind = "mean_of_responders" if second else statistic
            given = {"statistic": kind, "other": second, "effect": limit, "subset_n": part.size}
            given |= {"value": float(part.mean()), "spread": float(part.std(ddof=1)), "spread_type": "SD"}
        published = likelihood.measured(row(n=n, **given))
        s = np.stack(truth[: 2 if published.row.other else 1])
        term = likelihood.evaluate(published, s, np.zeros_like(s))
        if sampling is None:
            arm = [Seen(y[:, None], None, Noise(), "p", o, n) for y, o in zip(s, "CD", strict=False)]
            sampling = sampling_of([(published, term, arm)], [], 3)
        z.append(float(sampling.scored(0, term).residuals[0]))
    five_percent(np.array(z))


def test_the_error_of_a_difference_is_that_of_both_arms():
    bare = {"statistic": "difference_of_arms", "versus": "B", "value": 2.0, "n": 10}
    printed = likelihood.measured(row(**bare, versus_n=15, spread=3.0, spread_type="SD"))
    assert printed.se == pytest.approx(3 * math.sqrt(1 / 10 + 1 / 15))
    printed = likelihood.measured(row(**bare, spread=1.5, spread_type="CI95"))  # as many in the other arm
    assert printed.se == pytest.approx(1.5 / stats.t.ppf(0.975, 18))


def test_an_arm_is_compared_with_another_of_its_study():
    def read(*given):
        return parse_data(
            table(*(dict.fromkeys(COLUMNS_OF_KINDS, "") | each for each in given), names=COLUMNS)
        )

    other = {"row": "r2", "arm": "placebo", "schedule": "none"}
    compared = {"statistic": "difference_of_arms", "versus": "placebo", "versus_n": "9"}
    found = read(compared, other | {"use": "context"})["r1"]
    assert (found.versus_schedule, found.versus_n) == ("none", 9)
    plan = arms.plan(in_model_units(read(compared, other), OUTPUTS, "d", {}).rows)
    assert [arm.schedule for arm in plan.arms] == ["1 MIU sc daily x5", "none"]
    assert [place.arms for place in plan.placements] == [(0, 1), (1,)]
    for given, reason in {
        (("versus", "placbo"),): 'did you mean "placebo"',
        (("versus", "A"),): "compared with another one",
        (("versus", "placebo"), ("study", "T")): "no row of the study",
        (("versus", "placebo"), ("set", "BSA = 2 m^2")): "has another set",
        (("versus_n", "2.5"),): "is not a number of patients",
        (("versus", ""),): "needs the arm that this one is compared with",
        (("statistic", "mean"),): "a mean has no versus",
        (("spread_type", "CV"), ("spread", "30")): "has an SE, a CI95",
    }.items():
        with pytest.raises(
            DataError, match=rf"line 2 .*column \"(versus|versus_n|spread_type)\": .*{reason}"
        ):
            read(compared | dict(given), other)
    with pytest.raises(DataError, match="differ in schedule"):
        read(compared, other, other | {"row": "r3", "schedule": "2 MIU sc daily x5"})


# --- tests


def test_the_noncentral_t_distribution_is_that_of_its_definition():
    for df, limit, delta in itertools.product((1, 4, 11, 200), (0.4, 2.2, 5.0), (0.0, 0.5, -3.0, 7.0)):
        # a normal number over the SD of a trial

        def inside(sd, limit=limit, df=df, delta=delta):
            ends = limit / math.sqrt(df)
            return stats.norm.cdf(ends * sd - delta) - stats.norm.cdf(-ends * sd - delta)

        exact = stats.chi(df).expect(inside)
        found, slope, _ = log_within(delta, limit, df)
        assert math.exp(found) == pytest.approx(exact, rel=1e-6, abs=1e-10)
        ends = (log_within(delta + sign * 1e-4, limit, df)[0] for sign in (1, -1))
        assert slope == pytest.approx((next(ends) - next(ends)) / 2e-4, rel=1e-5, abs=1e-8)
    bend = log_within(0.0, 2.0, 6)
    assert bend[2] == pytest.approx(-2 * (log_within(1e-3, 2.0, 6)[0] - bend[0]) / 1e-6, rel=1e-3)
    # effects beyond all measure have a deviance that goes on growing
    far = [log_within(delta, 2.78, 4)[0] for delta in (10.0, 100.0, 1000.0)]
    assert far[0] > far[1] > far[2] > -math.inf


def p_of_trials(n: int, m: int, effect: float) -> np.ndarray:
    """p of many trials: of a change of n patients, or (m > 0) of two arms."""
    rng = np.random.default_rng(9)
    x = effect + 1.5 * rng.standard_normal((TRIALS, n))
    if m:
        return stats.ttest_ind(x, 1.5 * rng.standard_normal((TRIALS, m)), axis=1).pvalue
    return stats.ttest_1samp(x, 0.0, axis=1).pvalue


DESIGNS = [(5, 0), (12, 0), (5, 5), (12, 7)]


def design(statistic: str, n: int, m: int, effect: float, **given):
    """A row of it, and what is predicted for its arms."""
    versus = {"versus": "B", "versus_n": m} if m else {"measure": "change"}
    published = row(statistic=statistic, value=NAN, n=n, **versus, **given)
    return published, ((effect + 1.5 * Z, 1.5 * Z) if m else (effect + 1.5 * Z,))


@pytest.mark.parametrize("effect", [0.0, 1.2, 2.5])
@pytest.mark.parametrize(("n", "m"), DESIGNS)
def test_no_significant_change_is_as_probable_as_trials_say(n, m, effect):
    silent = p_of_trials(n, m, effect) > 0.05
    share = math.exp(log_probability(*_flat(design("not_significant", n, m, effect, level=0.05))))
    assert share == pytest.approx(silent.mean(), abs=3 * math.sqrt(share * (1 - share) / TRIALS))
    below, cell = np.where(silent, 0.0, share), np.where(silent, share, 1 - share)
    five_percent(quantile_residuals(below, cell))


def _flat(found):
    published, predicted = found
    return (published, *predicted)


@pytest.mark.parametrize("effect", [0.0, 1.2, 4.0])
@pytest.mark.parametrize(("n", "m"), DESIGNS)
def test_p_values_alone_lie_beyond_1_96_in_five_percent(n, m, effect):
    found = [
        term_of(*_flat(design("p_value", n, m, effect, level=float(p)))).residuals[0]
        for p in p_of_trials(n, m, effect)[::2]
    ]
    five_percent(np.array(found))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n", "m"), DESIGNS)
def test_p_values_beside_a_value_lie_beyond_1_96_in_five_percent(n, m, shape):
    def printed(x, *other):
        test = stats.ttest_ind(x, *other, axis=1) if other else stats.ttest_1samp(x, 0.0, axis=1)
        return {"value": x.mean(axis=1) - sum(y.mean(axis=1) for y in other), "level": test.pvalue}

    published, _ = design("p_value", n, m, 0.0, level=0.1)
    published, arms = replace(published, value=2.0), SHAPES[shape] if m else SHAPES[shape][:1]
    five_percent(residuals_of_trials(published, arms, (n, m)[: len(arms)], printed))


def test_a_test_that_found_nothing_holds_strong_effects_down_by_its_patients():
    def deviance(effect: float, n: int) -> float:
        return float(term_of(*_flat(design("not_significant", n, 0, effect, level=0.05))).residuals[0] ** 2)

    assert deviance(0.0, 12) == pytest.approx(0, abs=1e-9)
    assert deviance(1.5, 6) < 4 < deviance(1.5, 40)
    assert deviance(-1.5, 40) == pytest.approx(deviance(1.5, 40), rel=1e-6)
    # through no effect at all the residual is smooth
    ends = [term_of(*_flat(design("not_significant", 12, 0, e, level=0.05))) for e in (-1e-7, 1e-7)]
    assert ends[1].residuals[0] > 0 > ends[0].residuals[0]
    np.testing.assert_allclose(ends[0].by_s, ends[1].by_s, rtol=1e-4)


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
            {"statistic": "fraction", **SHARE, "value": "0", "n": "", "spread": "2", "spread_type": "SE"},
            "n",
            "of nobody or of all",
        ),
        (
            {"statistic": "fraction", **SHARE, "value": "0.1", "n": "", **CI, "lower": "0", "upper": "1"},
            "lower",
            "at least one end",
        ),
        ({"statistic": "fraction", **SHARE, "value": "0.4"}, "spread_type", "a fraction has no SD"),
        ({"statistic": "count", **SHARE, "value": "4", "spread_type": "IQR"}, "spread_type", "has no IQR"),
        ({"statistic": "rate", "value": "1", "person_time": "9"}, "spread_type", "a rate has no SD"),
        (
            {"statistic": "ratio_of_arms", "versus": "B", **CI, "lower": "-1", "upper": "8"},
            "lower",
            "below 0",
        ),
        ({"statistic": "mean_of_responders", "effect": "4", "subset_n": "1"}, "subset_n", "has no SD"),
        ({"statistic": "rate", "value": "-1", "person_time": "9", **BARE}, "value", "negative"),
        ({"statistic": "rate", "value": "1", **BARE}, "person_time", "time that all patients were followed"),
        ({"statistic": "rate", "value": "1", "person_time": "0", **BARE}, "person_time", "not positive"),
        ({"statistic": "rate", "person_time": "9", "measure": "fold", **BARE}, "measure", "is the value"),
        ({"statistic": "not_significant", "value": "", **BARE}, "measure", "is of a change, or of two arms"),
        ({"statistic": "not_significant", "value": "", "n": "", **CHANGE}, "n", "needs the number"),
        ({"statistic": "not_significant", "value": "", "level": "5", **CHANGE}, "level", "between 0 and 1"),
        ({"statistic": "p_value", "value": "", **CHANGE}, "level", "needs its p"),
        ({"statistic": "p_value", "value": "0", "level": "0.1", **CHANGE}, "value", "says nothing"),
        ({"statistic": "p_value", "level": "0.1", "measure": "change"}, "spread_type", "has no spread"),
        ({"statistic": "correlation", "value": "0.4", **BARE}, "other", "needs another output"),
        ({"statistic": "correlation", "value": "1.4", "other": "conc", **BARE}, "value", "between -1 and 1"),
        ({"statistic": "correlation", "value": "0.4", "n": "3", "other": "conc", **BARE}, "n", "at least 4"),
        ({"statistic": "mean_of_responders", "subset_n": "4"}, "effect", "makes a responder"),
        ({"statistic": "mean_of_responders", "effect": "4"}, "subset_n", "needs the number of patients"),
        ({"statistic": "mean_of_nonresponders", "effect": "4", "subset_n": "13"}, "subset_n", "of the 12"),
        ({"other": "conc"}, "other", "a mean has no other"),
    ],
)
def test_columns_that_a_kind_cannot_use_are_named(fields, column, reason):
    with pytest.raises(DataError) as error:
        written(**fields)
    message = str(error.value)
    assert "line 2" in message and f'column "{column}": ' in message and reason in message
