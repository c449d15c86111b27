"""Times of events: how many patients have had one, points of Kaplan-Meier curves and hazard ratios have the
frequencies that they say, together too, and the hazard ratio is that of a Cox regression of the patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pkpd.core.errors import DataError
from pkpd.inference import FitOptions, ModelSpec, Objective, Prior, System, in_units
from pkpd.inference.coordinates import check_ranges
from pkpd.inference.objective import quasi_normals
from pkpd.inference.summary import likelihood
from pkpd.inference.summary.kinds.hazard_ratio import INTERVALS
from pkpd.inference.summary.reading import parse_data
from pkpd.inference.summary.rows import COLUMNS_OF_KINDS, Override, Row, Stratum
from pkpd.inference.summary.samples import Noise
from pkpd.inference.summary.sampling import Seen, sampling_of
from pkpd.inference.truncated import ends_of, truncated_normal
from tests.inference.test_data import FIELDS, table
from tests.inference.test_kinds import five_percent, quantile_residuals
from tests.inference.test_likelihood import NAN, row

TRIALS = 2000
HORIZON, SD, SHAPE, TREATED = 1.5, 1.2, 1.4, 0.35
"""Frailties are log-normal; of each patient the treatment takes 65 % of the hazard."""
SURVIVAL = {"output": "survival_death"}


def free(time: float, ratio: float, count: int = 512) -> np.ndarray:
    """Probabilities, (K,), of no event by then."""
    return np.exp(-0.8 * ratio * np.exp(SD * quasi_normals(count, 1, 1)[:, 0]) * time**SHAPE)


def times(rng: np.random.Generator, ratio: float, shape) -> np.ndarray:
    """Of the event in patients of that population."""
    frailty = np.exp(SD * rng.standard_normal(shape))
    return (rng.exponential(size=shape) / (0.8 * ratio * frailty)) ** (1 / SHAPE)


def grid() -> np.ndarray:
    return HORIZON * np.arange(1, INTERVALS + 1) / INTERVALS


def both_arms(count: int = 512) -> np.ndarray:
    """What a hazard ratio looks at, (2 INTERVALS, K)."""
    return np.stack([free(time, ratio, count) for ratio in (TREATED, 1.0) for time in grid()])


def evaluated(published: Row, s: np.ndarray):
    return likelihood.evaluate(likelihood.measured(published), s, np.zeros_like(s))


def ratio_row(value: float, **given) -> Row:
    return row(
        **{"statistic": "hazard_ratio", "value": value, "versus": "B", "stop": HORIZON, "start": HORIZON}
        | {"spread_type": "CI95", "lower": 0.8 * value, "upper": 1.25 * value}
        | SURVIVAL
        | given
    )


def cox(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log hazard ratios and their standard errors, (B,), of trials with these times, (B, n) and (B, m)."""
    time = np.concatenate([first, second], axis=1)
    treated = np.concatenate([np.ones_like(first), np.zeros_like(second)], axis=1)
    order = np.argsort(time, axis=1)
    time, treated = (np.take_along_axis(each, order, axis=1) for each in (time, treated))
    at_risk = [np.cumsum(each[:, ::-1], axis=1)[:, ::-1] for each in (treated, 1 - treated)]
    seen, beta = time < HORIZON, np.zeros(len(time))
    for _ in range(30):
        weight = at_risk[0] * np.exp(beta)[:, None]
        share = weight / (weight + at_risk[1])
        information = (seen * share * (1 - share)).sum(axis=1)
        beta = beta + np.clip((seen * (treated - share)).sum(axis=1) / information, -1, 1)
    return beta, 1 / np.sqrt(information)


# --- the hazard ratio


@pytest.mark.parametrize(("n", "m"), [(20_000, 20_000), (28_000, 12_000)])
def test_the_hazard_ratio_is_what_a_cox_regression_of_the_patients_finds(n, m):
    lifelines, pandas = pytest.importorskip("lifelines"), pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    time = np.concatenate([times(rng, TREATED, n), times(rng, 1.0, m)])
    frame = pandas.DataFrame({"time": np.minimum(time, HORIZON), "seen": time < HORIZON})
    frame["treated"] = np.repeat([1.0, 0.0], [n, m])
    fitted = lifelines.CoxPHFitter().fit(frame, "time", "seen")
    (found,), (error,) = fitted.params_, fitted.standard_errors_
    limit = math.log(evaluated(ratio_row(0.5, n=n, versus_n=m), both_arms(2048)).predicted)
    assert limit == pytest.approx(found, abs=3 * error)
    assert limit > math.log(TREATED) + 15 * error  # the ratio of every patient is further from 1
    ours = cox(time[None, :n], time[None, n:])
    assert (ours[0][0], ours[1][0]) == pytest.approx((found, error), abs=1e-4)


def test_of_patients_who_are_alike_the_hazard_ratio_is_that_of_the_hazards():
    s = np.stack([np.exp(-h * time) * np.ones(8) for h in (0.6, 1.0) for time in grid()])
    assert evaluated(ratio_row(0.5), s).predicted == pytest.approx(0.6, rel=1e-3)


@pytest.mark.parametrize("spread", ["CI95", "SE", "p"])
@pytest.mark.parametrize(("n", "m"), [(30, 30), (80, 40), (110, 110)])
def test_hazard_ratios_of_trials_lie_beyond_1_96_in_five_percent(n, m, spread):
    rng = np.random.default_rng(2)
    beta, error = cox(times(rng, TREATED, (TRIALS, n)), times(rng, 1.0, (TRIALS, m)))
    s, z = both_arms(), []
    limit = math.log(evaluated(ratio_row(0.5, n=n, versus_n=m), s).predicted)
    for b, se in zip(beta, error, strict=True):
        value, none = math.exp(b), {"lower": NAN, "upper": NAN, "spread": NAN, "spread_type": "none"}
        printed = {
            "CI95": {"lower": math.exp(b - 1.959964 * se), "upper": math.exp(b + 1.959964 * se)},
            "SE": none | {"spread_type": "SE", "spread": value * se},
            "p": none | {"level": 2 * stats.norm.sf(abs(b) / se)},
        }[spread]
        measured = likelihood.measured(ratio_row(value, n=n, versus_n=m, **printed))
        z.append((limit - measured.printed[0].value) / measured.se)
    five_percent(np.array(z))


def logrank(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """z of the test in trials with these times, (B,)."""
    time = np.concatenate([first, second], axis=1)
    order = np.argsort(time, axis=1)
    treated = np.take_along_axis(np.arange(time.shape[1]) + 0 * time, order, axis=1) < first.shape[1]
    seen = np.take_along_axis(time, order, axis=1) < HORIZON
    share = np.cumsum(treated[:, ::-1], axis=1)[:, ::-1] / np.arange(time.shape[1], 0, -1)
    variance = (seen * share * (1 - share)).sum(axis=1)
    return (seen * (treated - share)).sum(axis=1) / np.sqrt(variance)


@pytest.mark.parametrize(("n", "m"), [(30, 30), (110, 80)])
@pytest.mark.parametrize("ratio", [TREATED, 0.8, 1.0])
def test_p_of_log_rank_tests_lie_beyond_1_96_in_five_percent(ratio, n, m):
    rng = np.random.default_rng(9)
    z = logrank(times(rng, ratio, (TRIALS // 2, n)), times(rng, 1.0, (TRIALS // 2, m)))
    s = np.stack([free(time, of, 128) for of in (ratio, 1.0) for time in grid()])
    published = {"statistic": "logrank_p", "n": n, "versus_n": m, "spread_type": "none"}
    found = [
        evaluated(ratio_row(NAN, **published, level=p), s).residuals[0] for p in 2 * stats.norm.sf(abs(z))
    ]
    five_percent(np.array(found))
    assert np.mean(found) == pytest.approx(0, abs=0.15)


def test_arms_in_which_nothing_happens_have_finite_likelihoods():
    s = both_arms()
    for still in (slice(None), slice(INTERVALS), slice(INTERVALS, None)):
        of = s.copy()
        of[still] = 1.0
        term = evaluated(ratio_row(0.5), of)
        assert np.isfinite(term.residuals).all() and np.isfinite(term.by_s).all()
    for share in (0.0, 1.0):
        for kind, value in (("events", 0), ("events", 3), ("survival", 1.0), ("survival", 0.6)):
            term = evaluated(row(statistic=kind, value=value, n=12, **SURVIVAL), np.full((1, 4), share))
            assert np.isfinite(term.residuals).all() and np.isfinite(term.by_s).all()
    assert evaluated(row(statistic="events", value=0, n=12), np.ones((1, 4))).residuals == pytest.approx(
        0, abs=1e-3
    )


# --- adjusted by a covariate

BY_COVARIATE = 0.6
"""What a unit of the covariate adds to a log hazard; of treated patients 0.3 less."""
EFFECT = -0.5


def hazards(treated: bool, frailty: np.ndarray, covariate: np.ndarray) -> np.ndarray:
    own = math.log(TREATED) - 0.3 * (covariate - EFFECT) if treated else 0.0
    return np.exp(own + 0.7 * frailty + BY_COVARIATE * covariate)


def with_covariate() -> np.ndarray:
    """What an adjusted hazard ratio looks at, (2 INTERVALS + 2, K)."""
    frailty, covariate = quasi_normals(2048, 2, 1).T
    free = [np.exp(-hazards(z, frailty, covariate) * t) for z in (True, False) for t in grid()]
    return np.stack([*free, covariate, covariate])


def adjusted_trial(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, treatment and covariate of its patients."""
    z, covariate, frailty = np.arange(n + m) < n, *rng.standard_normal((2, n + m))
    hazard = np.where(z, hazards(True, frailty, covariate), hazards(False, frailty, covariate))
    return rng.exponential(size=n + m) / hazard, z.astype(float), covariate


def cox_with_covariates(time: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and standard errors of one trial."""
    x, seen = x[np.argsort(time)], np.sort(time) < HORIZON
    beta = np.zeros(x.shape[1])
    for _ in range(12):
        weights = np.exp(x @ beta)[:, None]
        norm, first = (np.cumsum(each[::-1], axis=0)[::-1] for each in (weights, weights * x))
        squares = (weights * x)[:, :, None] * x[:, None, :]
        second = np.cumsum(squares[::-1], axis=0)[::-1] / norm[:, :, None]
        mean = first / norm
        information = (second - mean[:, :, None] * mean[:, None, :])[seen].sum(axis=0)
        beta = beta + np.linalg.solve(information, (x - mean)[seen].sum(axis=0))
    return beta, np.sqrt(np.diag(np.linalg.inv(information)))


REGRESSIONS = {
    "adjusted_hazard_ratio": lambda z, c: np.stack([z, c], axis=1),
    "adjusted_hazard_ratio at a value": lambda z, c: np.stack([z, c - EFFECT, z * (c - EFFECT)], axis=1),
    "interaction_ratio": lambda z, c: np.stack([z * (c - EFFECT), c - EFFECT, z], axis=1),
}


def adjusted_row(kind: str, value: float, **given) -> Row:
    statistic, *at = kind.split(" ", maxsplit=1)
    effect = EFFECT if at or statistic == "interaction_ratio" else NAN
    return ratio_row(value, statistic=statistic, other="c", effect=effect, **given)


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_adjusted_hazard_ratios_are_what_a_cox_regression_finds(kind):
    lifelines, pandas = pytest.importorskip("lifelines"), pytest.importorskip("pandas")
    time, z, covariate = adjusted_trial(np.random.default_rng(6), 24_000, 16_000)
    x = REGRESSIONS[kind](z, covariate)
    frame = pandas.DataFrame(x, columns=list("abc"[: x.shape[1]]))
    frame = frame.assign(time=np.minimum(time, HORIZON), seen=time < HORIZON)
    fitted = lifelines.CoxPHFitter().fit(frame, "time", "seen")
    found, error = fitted.params_["a"], fitted.standard_errors_["a"]
    limit = math.log(evaluated(adjusted_row(kind, 0.5, n=240, versus_n=160), with_covariate()).predicted)
    assert limit == pytest.approx(found, abs=3 * error)
    ours = cox_with_covariates(time, x)
    assert (ours[0][0], ours[1][0]) == pytest.approx((found, error), abs=1e-4)


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_adjusted_hazard_ratios_of_trials_lie_beyond_1_96_in_five_percent(kind):
    rng, s, z = np.random.default_rng(7), with_covariate(), []
    limit = math.log(evaluated(adjusted_row(kind, 0.5, n=90, versus_n=70), s).predicted)
    for _ in range(1000):
        time, treated, covariate = adjusted_trial(rng, 90, 70)
        beta, error = cox_with_covariates(time, REGRESSIONS[kind](treated, covariate))
        ends = np.exp(beta[0] + 1.959964 * error[0] * np.array([-1, 1]))
        published = adjusted_row(kind, math.exp(beta[0]), n=90, versus_n=70, lower=ends[0], upper=ends[1])
        measured = likelihood.measured(published)
        z.append((limit - measured.printed[0].value) / measured.se)
    five_percent(np.array(z))


def test_coefficients_of_a_regression_go_together_as_trials_have_them():
    rng, s = np.random.default_rng(8), with_covariate()
    kinds, n, m = ("adjusted_hazard_ratio at a value", "interaction_ratio"), 90, 70
    found = []
    for _ in range(800):
        time, treated, covariate = adjusted_trial(rng, n, m)
        beta, _ = cox_with_covariates(time, REGRESSIONS[kinds[0]](treated, covariate))
        found.append((beta[0], beta[2], (time[:n] < HORIZON).sum()))
    published = [adjusted_row(kind, 0.5, id=kind, n=n, versus_n=m) for kind in kinds]
    published.append(row(id="dead", statistic="events", n=n, value=9, start=HORIZON, **SURVIVAL))
    seen = [
        Seen(y[:, None], None, Noise(), "AB"[k], "survival_death" if g < INTERVALS else "c", (n, m)[k])
        for g, k, y in [(g % INTERVALS, g // INTERVALS, y) for g, y in enumerate(s[:-2])]
        + [(INTERVALS, k, y) for k, y in enumerate(s[-2:])]
    ]
    looked, arms = [s, s, s[INTERVALS - 1][None]], [seen, seen, [seen[INTERVALS - 1]]]
    rows = [
        (likelihood.measured(r), evaluated(r, of), a)
        for r, of, a in zip(published, looked, arms, strict=True)
    ]
    exact = np.corrcoef(np.transpose(found))
    assert abs(exact[0, 1]) > 0.2 and exact[0, 2] > 0.2
    np.testing.assert_allclose(
        sampling_of(rows, [], 3).correlation, 0.95 * exact + 0.05 * np.eye(3), atol=0.1
    )


def test_a_covariate_that_is_the_same_in_all_patients_adjusts_for_nothing():
    s = both_arms()
    bare = evaluated(ratio_row(0.5), s)
    adjusted = evaluated(
        adjusted_row("adjusted_hazard_ratio", 0.5), np.concatenate([s, np.full((2, 512), 3.0)])
    )
    assert adjusted.predicted == pytest.approx(bare.predicted, rel=1e-6)
    assert np.isfinite(adjusted.by_s).all()


# --- numbers of patients


@pytest.mark.parametrize("statistic", ["events", "survival"])
@pytest.mark.parametrize("n", [5, 12, 110])
def test_numbers_of_events_have_the_frequencies_that_they_say(statistic, n):
    s = free(HORIZON, 1.0)[None]
    seen = (times(np.random.default_rng(3), 1.0, (TRIALS, n)) < HORIZON).sum(axis=1)
    logs = []
    for k in range(n + 1):
        term = evaluated(row(statistic=statistic, n=n, value=k if statistic == "events" else 1 - k / n), s)
        logs.append(-0.5 * (float(term.residuals[0] ** 2) + term.constant))
        expected = n * (1 - s.mean())
        assert term.predicted == pytest.approx(expected if statistic == "events" else s.mean())
        assert k == pytest.approx(expected) or (term.residuals[0] > 0) == (
            (expected > k) == (statistic == "events")
        )
    probability = np.exp(logs)
    assert probability.sum() == pytest.approx(1)
    below = np.concatenate([[0.0], np.cumsum(probability)[:-1]])
    five_percent(quantile_residuals(below[seen], probability[seen]))


def kaplan_meier(time: np.ndarray, censored: np.ndarray, at: float) -> tuple[np.ndarray, np.ndarray]:
    """Survival at a time and the standard error of log(-log S), Greenwood's, (B,)."""
    order = np.argsort(np.minimum(time, censored), axis=1)
    until = np.take_along_axis(np.minimum(time, censored), order, axis=1)
    seen = np.take_along_axis(time <= censored, order, axis=1) & (until <= at)
    at_risk = time.shape[1] - np.arange(time.shape[1])
    log = np.where(seen, np.log1p(-1 / np.maximum(at_risk, 1 + 1e-9)), 0.0).sum(axis=1)
    variance = np.where(seen, 1 / (at_risk * np.maximum(at_risk - 1, 1e-9)), 0.0).sum(axis=1)
    with np.errstate(all="ignore"):
        return np.exp(log), np.sqrt(variance) / -log


@pytest.mark.parametrize("spread", ["CI95", "SE"])
@pytest.mark.parametrize("n", [40, 110])
def test_points_of_kaplan_meier_curves_with_censoring_lie_beyond_1_96_in_five_percent(n, spread):
    rng = np.random.default_rng(4)
    found, error = kaplan_meier(times(rng, 1.0, (TRIALS, n)), rng.uniform(0, 3, (TRIALS, n)), 1.0)
    s, z = free(1.0, 1.0)[None], []
    for value, se in zip(found, error, strict=True):
        ends = {"lower": value ** math.exp(1.96 * se), "upper": value ** math.exp(-1.96 * se)}
        printed = {"spread": -value * math.log(value) * se} if spread == "SE" else ends
        z.append(
            evaluated(row(statistic="survival", value=value, n=n, spread_type=spread, **printed), s).residuals
        )
    five_percent(np.array(z))


# --- together


def test_rows_of_the_same_patients_go_together_as_trials_have_them():
    n, m, when = 60, 50, (0.4, 1.0)
    rng = np.random.default_rng(5)
    first, second = times(rng, TREATED, (TRIALS, n)), times(rng, 1.0, (TRIALS, m))
    beta, error = cox(first, second)
    s = both_arms()
    own = {time: free(time, TREATED) for time in when} | {HORIZON: free(HORIZON, 1.0)}

    def seen(y, arm, count):
        return Seen(y[:, None], None, Noise(), arm, "survival_death", count)

    published = [row(id=f"km{t}", statistic="survival", n=n, value=0.5, start=t, **SURVIVAL) for t in when]
    published.append(row(id="dead", statistic="events", n=m, value=9, arm="B", start=HORIZON, **SURVIVAL))
    published.append(ratio_row(0.5, id="ratio", n=n, versus_n=m))
    looked = [own[when[0]][None], own[when[1]][None], own[HORIZON][None], s]
    arms = [[seen(own[when[0]], "A", n)], [seen(own[when[1]], "A", n)], [seen(own[HORIZON], "B", m)]]
    arms.append([seen(y, "A", n) for y in s[:INTERVALS]] + [seen(y, "B", m) for y in s[INTERVALS:]])
    rows = [
        (likelihood.measured(r), evaluated(r, of), a)
        for r, of, a in zip(published, looked, arms, strict=True)
    ]
    sampling = sampling_of(rows, [], 3)
    assert all(score is None for mine in sampling.scores for score in mine)
    shares = [1 - own[time].mean() for time in when]
    exact = math.sqrt(shares[0] * (1 - shares[1]) / (shares[1] * (1 - shares[0])))
    assert sampling.correlation[0, 1] == pytest.approx(0.95 * exact, abs=0.03)  # less what rounding takes
    assert sampling.correlation[0, 2] == 0

    limit = math.log(rows[-1][1].predicted)
    counts = [(first < t).sum(axis=1) for t in when] + [(second < HORIZON).sum(axis=1)]
    residuals = [(limit - beta) / error]
    for k, published_row, of in zip(counts, published, looked, strict=False):
        size = published_row.n
        of_counts = [
            evaluated(row(statistic="survival", n=size, value=1 - j / size), of).residuals[0]
            for j in range(size + 1)
        ]
        residuals.append((-1 if published_row.statistic == "events" else 1) * np.array(of_counts)[k])
    z = np.array([*residuals[1:], residuals[0]])
    found = np.corrcoef(z)
    np.testing.assert_allclose(sampling.correlation, 0.95 * found + 0.05 * np.eye(4), atol=0.08)
    squares = (sampling.whitened(z) ** 2).sum(axis=0)
    assert 0.03 <= np.mean(squares > stats.chi2(4).ppf(0.95)) <= 0.07


# --- in files, and through the model

MODEL = """
model      a disease that some die of
time       d
parameter  h = 0.002 [1/d]    hazard without drug        ~ lognormal(0.8)
    bounds     0.00001 .. 1
parameter  effect = 0.5 [1]   share of it that is taken
parameter  biomarker = 2030 [pg/mL]  at the start        ~ lognormal(0.74)
    bounds     1 .. 1e6
parameter  typical = 2030 [pg/mL]    of it
parameter  k = 0 [1/d]        at which it leaves
parameter  A50 = 1 [mg]       that takes half as much
state      drug [mg]
state      cumulative_hazard_death [1]
route      iv -> drug
d drug     = -k*drug
d cumulative_hazard_death = h*(biomarker/typical)*(1 - effect*drug/(A50 + drug))
output     survival_death = exp(-cumulative_hazard_death) [1]
output     A = drug [mg]
output     log_biomarker = log(biomarker/typical) [1]
"""
COLUMNS = tuple(FIELDS | dict.fromkeys(COLUMNS_OF_KINDS, ""))
BARE = dict.fromkeys(COLUMNS, "") | {
    "study": "S",
    "arm": "drug",
    "n": "110",
    "schedule": "4 mg iv once",
    "output": "survival_death",
    "measure": "value",
    "reducer": "at",
    "time": "600",
    "time_unit": "d",
    "unit": "1",
    "source": "paper",
    "provenance": "reported",
}
PLACEBO = {"arm": "placebo", "schedule": "none"}
DEAD = {"statistic": "events", "value": "41.6"}
ALIVE = {"statistic": "survival", "value": "72", "unit": "percent"}
RATIO = {
    "statistic": "hazard_ratio",
    "value": "0.8",
    "spread_type": "CI95",
    "lower": "0.54",
    "upper": "1.22",
    "versus": "placebo",
}


def read(*given: dict[str, str]):
    lines = [BARE | {"row": f"r{i}"} | each for i, each in enumerate(given, 1)]
    return parse_data(table(*lines, names=COLUMNS), "data.csv")


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "disease.model"
    path.write_text(MODEL, encoding="utf-8")
    return System.load(str(path))


def objective_of(system: System, *given: dict[str, str], subjects: int = 32, **more: Prior) -> Objective:
    spec = ModelSpec(
        system.name,
        free={"h": Prior("lognormal", 0.002, 0.5), "effect": Prior("logitnormal", 0.5, 0.5), **more},
        between={"h": Prior("lognormal", 0.8, 0.3)} | dict.fromkeys(more),
    )
    options = FitOptions(subjects=subjects, rtol=1e-8, rtol_sensitivities=1e-8)
    return Objective(system, spec, in_units(read(*given), system).rows, options=options)


def jacobian_is_that_of_finite_differences(objective: Objective) -> None:
    x = objective.start + 0.05
    exact = objective.evaluate(x, jacobian=True).jacobian
    for c in range(x.size):
        step = 1e-4 * np.eye(x.size)[c]
        ends = [objective.evaluate(x + sign * step).residuals for sign in (1, -1)]
        np.testing.assert_allclose(exact[:, c], (ends[0] - ends[1]) / 2e-4, rtol=1e-4, atol=1e-6)


def test_predictions_are_those_of_the_models_patients(system):
    rows = (DEAD, PLACEBO | ALIVE, PLACEBO | ALIVE | {"time": "300"}, RATIO)
    objective = objective_of(system, *rows, subjects=4096)
    found = [term.predicted for term in objective.evaluate(objective.start).terms]
    z = np.random.default_rng(0).standard_normal((2, 200_000))
    hazard = 0.002 * np.exp(0.8 * z[0] + 0.74 * z[1])
    treated, placebo = (np.exp(-hazard * share * 600) for share in (0.6, 1.0))
    assert found[0] == pytest.approx(110 * (1 - treated.mean()), rel=0.01)
    assert found[1] == pytest.approx(placebo.mean(), rel=0.01)
    assert found[2] == pytest.approx(np.exp(-hazard * 300).mean(), rel=0.01)
    times_of_death = np.random.default_rng(1).exponential(size=z.shape[1]) / hazard
    first, second = (
        times_of_death[None, ::2] / 0.6 / 600 * HORIZON,
        times_of_death[None, 1::2] / 600 * HORIZON,
    )
    assert math.log(found[3]) == pytest.approx(cox(first, second)[0][0], abs=0.03)
    assert found[3] > 0.65  # of each patient it is 0.6


def test_jacobians_are_those_of_finite_differences(system):
    adjusted = RATIO | {"statistic": "adjusted_hazard_ratio", "other": "log_biomarker"}
    slope = adjusted | {"statistic": "interaction_ratio", "effect": "0.2"}
    objective = objective_of(
        system, DEAD, PLACEBO | ALIVE, RATIO, adjusted, slope, biomarker=Prior("lognormal", 2030, 0.3)
    )
    jacobian_is_that_of_finite_differences(objective)


def test_trials_of_a_model_correlate_its_rows_and_print_them(system):
    by_p = {"lower": "", "upper": "", "spread_type": "none", "level": "0.3"}
    adjusted = RATIO | {"statistic": "adjusted_hazard_ratio", "other": "log_biomarker"}
    rows = (DEAD, ALIVE | {"time": "300"}, PLACEBO | DEAD | {"n": "100"}, RATIO, RATIO | by_p, adjusted)
    objective = objective_of(system, *rows)
    R = objective.sampling_at(objective.start).correlation
    assert R[0, 1] < -0.3 and R[0, 2] == 0 and R[0, 3] > 0.5 and R[2, 3] < -0.5
    printed = [objective.printed_at(objective.start, [1, k]) for k in range(60)]
    dead, alive, _, ratio, again, alike = (np.array([rows[i].value for rows in printed]) for i in range(6))
    truth = [term.predicted for term in objective.evaluate(objective.start).terms]
    assert np.allclose(dead, np.round(dead)) and np.corrcoef(dead, alive)[0, 1] < -0.3
    assert dead.mean() == pytest.approx(truth[0], abs=4 * dead.std() / math.sqrt(60))
    assert np.log(ratio).mean() == pytest.approx(
        math.log(truth[3]), abs=4 * np.log(ratio).std() / math.sqrt(60)
    )
    assert 0.15 < np.log(ratio).std() < 0.35 and np.corrcoef(dead, ratio)[0, 1] > 0.4
    assert np.log(alike).mean() == pytest.approx(
        math.log(truth[5]), abs=4 * np.log(alike).std() / math.sqrt(60)
    )
    assert np.corrcoef(np.log(alike), np.log(ratio))[0, 1] > 0.6
    assert np.array_equal(ratio, again) and printed[0][4].level != 0.3
    assert printed[0][3].upper / ratio[0] == pytest.approx(1.22 / 0.8)


# --- strata

LOW, HIGH = {"set": "biomarker = 750..3700 pg/mL"}, {"set": "biomarker = 3.7.. ng/mL"}


@pytest.mark.parametrize("ends", [(750, 3700), (3700, math.inf), (-math.inf, 750), (10_000, 1e5)])
def test_patients_of_a_stratum_are_those_of_the_arm_who_are_in_it(ends):
    z = np.random.default_rng(6).standard_normal(1_000_000)
    chosen = np.sort(z[(2030 * np.exp(0.74 * z) > ends[0]) & (2030 * np.exp(0.74 * z) < ends[1])])
    low, high = ends_of(*ends, 2030, 0.74)
    moved = truncated_normal(quasi_normals(4096, 1, 1)[:, 0], low, high)[0]
    assert low <= moved.min() and moved.max() <= high
    np.testing.assert_allclose(
        np.quantile(moved, [0.1, 0.5, 0.9]), np.quantile(chosen, [0.1, 0.5, 0.9]), atol=0.02
    )


@given(
    ends=st.lists(st.floats(-12, 12), min_size=2, max_size=2, unique=True),
    open_end=st.sampled_from([None, 0, 1]),
)
@settings(max_examples=60, deadline=None)
def test_numbers_of_a_stratum_keep_their_order_and_have_exact_derivatives(ends, open_end):
    ends = sorted(ends)
    if ends[1] - ends[0] < 0.05:
        ends[1] += 0.05
    if open_end is not None:
        ends[open_end] = (-math.inf, math.inf)[open_end]
    z = np.linspace(-2.5, 2.5, 11)
    moved, *slopes = truncated_normal(z, *ends)
    assert np.all(np.diff(moved) > 0) and ends[0] <= moved[0] and moved[-1] <= ends[1]
    for k in (0, 1):
        if math.isfinite(ends[k]):
            step = [1e-5 * (k == j) for j in (0, 1)]
            further, nearer = (
                truncated_normal(z, *(end + sign * h for end, h in zip(ends, step, strict=True)))[0]
                for sign in (1, -1)
            )
            np.testing.assert_allclose(slopes[k], (further - nearer) / 2e-5, rtol=1e-4, atol=1e-6)


def test_rows_of_strata_are_predicted_by_the_patients_in_them(system):
    rows = [stratum | each for stratum in (LOW, HIGH) for each in (DEAD, PLACEBO | ALIVE, RATIO)]
    objective = objective_of(system, *rows, subjects=4096)
    found = [term.predicted for term in objective.evaluate(objective.start).terms]
    z = np.random.default_rng(0).standard_normal((2, 300_000))
    for k, (low, high) in enumerate(((750, 3700), (3700, math.inf))):
        biomarker = 2030 * np.exp(0.74 * z[1])
        hazard = (0.002 * np.exp(0.8 * z[0]) * biomarker / 2030)[(biomarker > low) & (biomarker < high)]
        assert found[3 * k] == pytest.approx(110 * (1 - np.exp(-0.6 * hazard * 600).mean()), rel=0.01)
        assert found[3 * k + 1] == pytest.approx(np.exp(-hazard * 600).mean(), rel=0.01)
        death = np.random.default_rng(1).exponential(size=hazard.size) / hazard / 600 * HORIZON
        exact = cox(death[None, ::2] / 0.6, death[None, 1::2])[0][0]
        assert math.log(found[3 * k + 2]) == pytest.approx(exact, abs=0.03)


def test_jacobians_in_strata_are_those_of_finite_differences(system):
    # of the median and the spread of what the stratum is of, too
    objective = objective_of(
        system,
        *(stratum | each for stratum in (LOW, HIGH) for each in (DEAD, RATIO)),
        PLACEBO | {"use": "context"},
        biomarker=Prior("lognormal", 2030, 0.3),
    )
    assert [c.name for c in objective.coordinates if c.target == "biomarker"] == [
        "biomarker",
        "SD biomarker",
    ]
    jacobian_is_that_of_finite_differences(objective)


CORRELATED = """
model      the same, as hazard and covariate, which go together
time       d
parameter  h = 0.002 [1/d]    hazard without drug        ~ lognormal(0.8)
    bounds     0.00001 .. 1
parameter  effect = 0.5 [1]   share of it that is taken
covariate  biomarker = 2030 [pg/mL]  at the start        ~ lognormal(0.74)
covariate  weight = 60 [kg]                              ~ lognormal(0.2)
correlation h biomarker = 0.6
parameter  A50 = 1 [mg]       that takes half as much
state      drug [mg]
route      iv -> drug
d drug     = 0*drug/A50*h*A50
hazard     death = h*(1 - effect*drug/(A50 + drug)) [1/d]
"""


def test_in_a_stratum_what_is_correlated_with_it_is_other_too(tmp_path):
    path = tmp_path / "correlated.model"
    path.write_text(CORRELATED, encoding="utf-8")
    system = System.load(str(path))
    rows = [HIGH | DEAD, HIGH | PLACEBO | ALIVE, HIGH | RATIO]
    objective = objective_of(system, *rows, subjects=4096)
    found = [term.predicted for term in objective.evaluate(objective.start).terms]
    z = np.random.default_rng(0).standard_normal((2, 400_000))
    high = 2030 * np.exp(0.74 * z[1]) > 3700
    hazard = 0.002 * np.exp(0.8 * (0.6 * z[1] + 0.8 * z[0]))[high]
    assert found[0] == pytest.approx(110 * (1 - np.exp(-0.6 * hazard * 600).mean()), rel=0.01)
    assert found[1] == pytest.approx(np.exp(-hazard * 600).mean(), rel=0.01)
    assert found[1] < np.exp(-0.002 * np.exp(0.8 * z[0]) * 600).mean() - 0.05
    jacobian_is_that_of_finite_differences(objective_of(system, *rows))
    with pytest.raises(DataError, match='column "set": h is correlated with biomarker'):
        objective_of(system, DEAD | {"set": "h = 0.002.. 1/d"})
    both = objective_of(system, DEAD | {"set": "weight = 60.. kg; biomarker = 3700.. pg/mL"}, subjects=64)
    weights, high = (
        both._subjects(both.start, 0)[0][:, system.index(name, "")] for name in ("weight", "biomarker")
    )
    assert weights.min() >= 60 and high.min() >= 3700 and abs(np.corrcoef(weights, high)[0, 1]) < 0.3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("biomarker = 3700..750 pg/mL", "upside down: 3700 is not below 750"),
        ("biomarker = 750..750 pg/mL", "upside down"),
        ("biomarker = .. pg/mL", "has no ends"),
        ("biomarker = a..b pg/mL", "is not a number"),
        ("biomarker = 1e..750 pg/mL", "not a number"),
        ("biomarker = 750..3700", "not understood"),
        ("biomarker = 750..3700 d", "pg/mL"),
        ("biomarkr = 750..3700 pg/mL", "did you mean"),
        ("biomarker = 0.1..3700 pg/mL", "beyond its bounds in the model, 1 to 1e+06 pg/mL"),
        ("A50 = 0.5..3 mg", "A50 does not differ between patients"),
    ],
)
def test_ranges_of_no_stratum_are_refused(system, text, reason):
    with pytest.raises(DataError) as error:
        data = in_units(read(DEAD | {"set": text}), system)
        check_ranges(data.rows, system, ModelSpec(system.name), data.file)
    assert 'data.csv: line 2 (row "r1"), column "set": ' in str(error.value) and reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("biomarker = 750..3700 pg/mL", 750, 3700),
        ("biomarker=750 .. 3.7e3 pg/mL", 750, 3700),
        ("biomarker = ..3.7 ng/mL", -math.inf, 3700),
        ("biomarker = 0.5.. ng/mL", 500, math.inf),
    ],
)
def test_ranges_are_read_in_the_units_of_the_model(system, text, low, high):
    (row,) = in_units(read(DEAD | {"set": f"A50 = 2 mg; {text}"}), system).rows
    assert row.overrides[0] == Override("A50", 2.0, "mg")
    assert row.overrides[1] == Stratum("biomarker", pytest.approx(low), pytest.approx(high), "pg/mL")


@pytest.mark.parametrize(
    ("fields", "column", "reason"),
    [
        (ALIVE | {"value": "172"}, "value", "lies between 0 and 1"),
        (ALIVE | {"value": "-3"}, "value", "lies between 0 and 1"),
        (ALIVE | {"n": ""}, "n", "or its CI95 or SE"),
        (ALIVE | {"spread_type": "CI95", "lower": "90", "upper": "50"}, "lower", "not below upper"),
        (ALIVE | {"spread_type": "CI95", "lower": "50", "upper": "120"}, "lower", "lies between 0 and 1"),
        (ALIVE | {"value": "100", "spread_type": "SE", "spread": "3"}, "spread_type", "give n alone"),
        (ALIVE | {"spread_type": "SD", "spread": "3"}, "spread_type", "has no SD"),
        (ALIVE | {"output": "A"}, "output", "name its output survival_NAME"),
        (ALIVE | {"measure": "change"}, "measure", "value at a time"),
        (ALIVE | {"reducer": "mean", "time": "0..600"}, "measure", "value at a time"),
        (ALIVE | {"time": "0"}, "time", "after the start"),
        (DEAD | {"value": "111"}, "value", "not a number of events in 110 patients"),
        (DEAD | {"n": ""}, "n", "needs the number of patients"),
        (DEAD | {"effect": "1"}, "effect", "has no effect"),
        (RATIO | {"value": "0", "lower": "0"}, "value", "must be positive"),
        (RATIO | {"lower": "1.3", "upper": "0.5"}, "lower", "not below upper"),
        (RATIO | {"versus": ""}, "versus", "needs the arm that this one is compared with"),
        (RATIO | {"versus": "sham"}, "versus", "no row of the study is of the arm"),
        (RATIO | {"spread_type": "none", "lower": "", "upper": ""}, "spread_type", "its p in column level"),
        (RATIO | {"level": "0.04"}, "spread_type", "one of them"),
        (RATIO | {"statistic": "logrank_p", "level": "0.2"}, "value", "has only its level"),
        (
            RATIO | {"statistic": "logrank_p", "value": "", "spread_type": "none", "lower": "", "upper": ""},
            "level",
            "needs its p",
        ),
        (RATIO | {"other": "A"}, "other", "has no other"),
        (RATIO | {"statistic": "adjusted_hazard_ratio"}, "other", "that it is adjusted by"),
        (RATIO | {"statistic": "interaction_ratio", "other": "A"}, "effect", "give the value of other"),
        (
            RATIO | {"spread_type": "none", "lower": "", "upper": "", "level": "4"},
            "level",
            "between 0 and 1",
        ),
    ],
)
def test_what_no_trial_can_print_is_refused(system, fields, column, reason):
    with pytest.raises(DataError) as error:
        in_units(read(fields, PLACEBO | DEAD), system)
    message = str(error.value)
    assert 'data.csv: line 2 (row "r1"), column "' in message
    assert f'column "{column}": ' in message and reason in message
