"""Every kind of published number has the likelihood that its formula says: exact gradients, zero where the
prediction is perfect, and residuals that are standard normal when studies are simulated by brute force."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats
from scipy.stats.mstats import hdquantiles

from pkpd.core.errors import DataError
from pkpd.inference.summary import kinds, likelihood, samples, statistics
from pkpd.inference.summary.kinds import dose_for_effect
from pkpd.inference.summary.kinds.dose_for_effect import DOSE_GRID
from pkpd.inference.summary.kinds.hazard_ratio import INTERVALS
from pkpd.inference.summary.likelihood import evaluate, measured
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.samples import Noise, sample
from pkpd.inference.summary.spreads import form_of, log_spread

K = 24
NAN = math.nan


def row(**given) -> Row:
    start = given.pop("start", 1.0)
    values: dict = dict(  # noqa: C408
        id="r",
        line=2,
        study="S",
        arm="A",
        population="",
        n=12,
        schedule="1 mg sc once",
        overrides=(),
        output="C",
        measure="value",
        reducer="at",
        start=start,
        stop=given.pop("stop", start),
        time_unit="h",
        statistic="mean",
        value=5.0,
        unit="1",
        spread=NAN,
        spread_type="none",
        lower=NAN,
        upper=NAN,
        effect=NAN,
        use="fit",
        source="s",
        doi="",
        provenance="reported",
        note="",
    )
    return Row(**{**values, **given})


KINDS = {
    "mean, SD": row(spread=1.5, spread_type="SD"),
    "mean, SD, one point": row(spread=1.5, spread_type="SD", n=None),
    "mean, SE": row(spread=0.4, spread_type="SE"),
    "mean, CI": row(lower=4.1, upper=5.9, spread_type="CI95"),
    "mean, CV": row(spread=30, spread_type="CV"),
    "mean, range": row(lower=2.1, upper=8.3, spread_type="range"),
    "mean, range below 0": row(lower=-2.1, upper=8.3, spread_type="range"),
    "mean, width of range": row(spread=6.2, spread_type="range"),
    "mean, IQR": row(lower=4.0, upper=6.5, spread_type="IQR"),
    "mean, none": row(),
    "median, IQR": row(statistic="median", lower=4.0, upper=6.5, spread_type="IQR"),
    "median, SD": row(statistic="median", spread=1.5, spread_type="SD"),
    "median, CV": row(statistic="median", spread=30, spread_type="CV"),
    "mean, skewed range": row(lower=2.1, upper=18.3, spread_type="range"),
    "median, range": row(statistic="median", lower=2.1, upper=8.3, spread_type="range"),
    "median, none": row(statistic="median"),
    "quantile, SD": row(statistic="quantile", level=0.9, value=8.0, spread=1.5, spread_type="SD"),
    "quantile, CI": row(statistic="quantile", level=0.1, value=3.0, lower=2.0, upper=4.5, spread_type="CI95"),
    "quantile, none": row(statistic="quantile", level=0.25),
    "geometric mean, CV": row(statistic="geometric_mean", spread=42, spread_type="CV"),
    "geometric mean, CI": row(statistic="geometric_mean", lower=4.1, upper=6.2, spread_type="CI95"),
    "geometric mean, SD": row(statistic="geometric_mean", spread=2.5, spread_type="SD"),
    "geometric mean, IQR": row(statistic="geometric_mean", lower=4.1, upper=6.2, spread_type="IQR"),
    "geometric mean, width of IQR": row(statistic="geometric_mean", spread=2.1, spread_type="IQR"),
    "geometric mean, range": row(statistic="geometric_mean", lower=2.1, upper=9.2, spread_type="range"),
    "geometric mean, width of range": row(statistic="geometric_mean", spread=7.1, spread_type="range"),
    "geometric mean, none": row(statistic="geometric_mean"),
    "lower bound": row(statistic="lower_bound"),
    "lower bound, SE": row(statistic="lower_bound", value=9.0, spread=1.0, spread_type="SE"),
    "upper bound": row(statistic="upper_bound", value=4.0),
    "interval": row(statistic="interval", value=NAN, lower=3.0, upper=5.0),
    "interval, SE of n": row(
        statistic="interval", value=NAN, lower=6.0, upper=8.0, n=5, spread=0.6, spread_type="SE"
    ),
    "interval around the prediction": row(
        statistic="interval", value=NAN, lower=4.0, upper=7.5, n=5, spread=0.1, spread_type="SE"
    ),
    "interval, far": row(
        statistic="interval", value=NAN, lower=60.0, upper=80.0, n=None, spread=0.6, spread_type="SE"
    ),
    "reported floor": row(
        statistic="reported_floor", value=8.0, lower=8.0, upper=10.0, spread=1.1, spread_type="SE"
    ),
    "range": row(statistic="range", value=NAN, lower=2.1, upper=9.4),
    "range below 0": row(statistic="range", value=NAN, lower=-2.1, upper=9.4),
    "dose, SE": row(statistic="dose_for_effect", value=1.46, effect=5.0, spread=0.2, spread_type="SE"),
    "dose, log CI": row(
        statistic="dose_for_effect", value=1.0, effect=5.0, lower=0.5, upper=2.1, spread_type="CI95"
    ),
    "dose, CI to below 0": row(
        statistic="dose_for_effect", value=1.0, effect=5.0, lower=-0.2, upper=2.1, spread_type="CI95"
    ),
    "dose never reached": row(
        statistic="dose_for_effect", value=1.0, effect=90.0, lower=0.5, upper=2.1, spread_type="CI95"
    ),
    "dose below all": row(statistic="dose_for_effect", value=1.0, effect=0.4, spread=0.3, spread_type="SE"),
    "count": row(statistic="count", value=7, effect=4.5),
    "count of all": row(statistic="count", value=12, effect=4.5),
    "count, falls": row(statistic="count", value=7, effect=-4.5),
    "count of a probability": row(statistic="count", value=3),
    "count of none": row(statistic="count", value=0, effect=8.5),
    "count of none, a probability": row(statistic="count", value=0),
    "fraction of none": row(statistic="fraction", value=0.0, effect=9.5),
    "fraction without n": row(
        statistic="fraction", value=0.6, n=None, lower=0.35, upper=0.8, spread_type="CI95", effect=4.5
    ),
    "fraction without n, SE": row(statistic="fraction", value=0.3, n=None, spread=0.1, spread_type="SE"),
    "fraction without n, to 0": row(
        statistic="fraction", value=0.1, n=None, lower=0.0, upper=0.3, spread_type="CI95"
    ),
    "rate": row(statistic="rate", value=0.3, person_time=50.0),
    "rate of no event": row(statistic="rate", value=0.0, person_time=5.0),
    "fraction": row(statistic="fraction", value=0.6, effect=4.5),
    "difference of arms, CI": row(
        statistic="difference_of_arms", versus="B", value=1.5, lower=-0.2, upper=3.2, spread_type="CI95"
    ),
    "difference of arms, SD": row(
        statistic="difference_of_arms", versus="B", versus_n=9, value=1.5, spread=1.8, spread_type="SD"
    ),
    "difference of arms, none": row(statistic="difference_of_arms", versus="B", value=1.5),
    "ratio of arms, CI": row(
        statistic="ratio_of_arms", versus="B", value=1.3, lower=0.9, upper=1.9, spread_type="CI95"
    ),
    "ratio of two declines": row(
        statistic="ratio_of_arms", measure="change", versus="B", value=0.77, spread=0.1, spread_type="SE"
    ),
    "geometric ratio of arms, SE": row(
        statistic="geometric_ratio_of_arms", versus="B", value=1.3, spread=0.2, spread_type="SE"
    ),
    "not significant": row(statistic="not_significant", value=NAN, measure="change", level=0.05),
    "not significant, fold": row(statistic="not_significant", value=NAN, measure="fold", n=3, level=0.01),
    "not significant, two arms": row(
        statistic="not_significant", value=NAN, versus="B", versus_n=5, level=0.05
    ),
    "p value alone": row(statistic="p_value", value=NAN, measure="change", level=0.02),
    "p value alone, two arms": row(statistic="p_value", value=NAN, versus="B", level=0.6),
    "p value of a fold": row(statistic="p_value", value=1.4, measure="fold", level=0.03),
    "p value of a difference": row(statistic="p_value", value=-1.4, versus="B", versus_n=20, level=0.03),
    "correlation": row(statistic="correlation", other="D", value=0.4),
    "correlation, CI": row(
        statistic="correlation", other="D", value=0.4, n=None, lower=0.1, upper=0.6, spread_type="CI95"
    ),
    "responders": row(
        statistic="mean_of_responders", effect=5.5, subset_n=7, value=6.8, spread=1.0, spread_type="SD"
    ),
    "responders that fall": row(statistic="mean_of_responders", effect=-4.5, value=-6.0, subset_n=7),
    "responders by another output": row(
        statistic="mean_of_responders", other="D", effect=5.5, value=6.8, spread=1.0, spread_type="SE"
    ),
    "others than responders": row(
        statistic="mean_of_nonresponders", effect=5.5, subset_n=5, value=4.4, spread=0.4, spread_type="CI95"
    ),
    "events": row(statistic="events", value=7.6),
    "events, none": row(statistic="events", value=0),
    "survival": row(statistic="survival", value=0.25),
    "survival, CI": row(statistic="survival", value=0.25, lower=0.1, upper=0.45, spread_type="CI95"),
    "hazard ratio, CI": row(
        statistic="hazard_ratio", versus="B", value=0.8, lower=0.5, upper=1.3, spread_type="CI95"
    ),
    "adjusted hazard ratio": row(
        statistic="adjusted_hazard_ratio", versus="B", other="D", value=0.6, level=0.03
    ),
    "adjusted hazard ratio, with an interaction": row(
        statistic="adjusted_hazard_ratio", versus="B", other="D", value=0.6, level=0.03, effect=0.5
    ),
    "interaction": row(statistic="interaction_ratio", versus="B", other="D", value=1.1, level=0.2, effect=0),
    "log-rank p": row(statistic="logrank_p", versus="B", versus_n=15, value=NAN, level=0.03, n=20),
    "log-rank p, not significant": row(statistic="logrank_p", versus="B", value=NAN, level=0.7),
    "hazard ratio, p": row(statistic="hazard_ratio", versus="B", versus_n=5, value=0.6, level=0.03),
    "ratio": row(statistic="ratio", value=0.81, lower=0.54, upper=1.22, spread_type="CI95"),
}


def patients(kind: Row) -> tuple[np.ndarray, np.ndarray]:
    """Samples (J, K) and noise variances that suit a row."""
    generator = np.random.default_rng(5)
    if kind.statistic == "dose_for_effect":
        dose = np.array(DOSE_GRID)[:, None]
        s = 9.0 * dose / (0.8 + dose) * np.exp(0.3 * generator.standard_normal(K))
    elif "hazard_ratio" in kind.statistic or kind.statistic in ("interaction_ratio", "logrank_p"):
        falls = np.linspace(1.0, 0.4, INTERVALS + 1)[1:, None]
        hazard = np.exp(0.5 * generator.standard_normal((2, K))) * [[0.7], [1.0]]
        s = np.concatenate([falls**each for each in hazard])
        if kind.other:
            s = np.concatenate([s, np.log(hazard) + generator.standard_normal((2, K))])
    elif kind.statistic == "ratio_of_arms" and kind.measure == "change":
        s = np.array([[-5.5], [-7.0]]) + 2 * generator.standard_normal((2, K))
    elif kind.versus or kind.other:
        s = np.array([[5.5], [4.0]]) * np.exp(0.3 * generator.standard_normal((2, K)))
    elif kind.statistic in ("count", "fraction", "rate", "events", "survival") and math.isnan(kind.effect):
        s = generator.uniform(0.1, 0.5, (1, K))
    elif kind.effect < 0:
        s = -5 * np.exp(0.3 * generator.standard_normal((1, K)))
    elif kind.statistic == "ratio":
        s = 0.9 * np.exp(0.2 * generator.standard_normal((1, K)))
    else:
        s = 5.5 * np.exp(0.3 * generator.standard_normal((1, K)))
    return s, 0.05 * s**2 + 0.1


def test_every_statistic_that_a_file_may_hold_has_a_likelihood():
    assert set(kinds.KINDS) == {kind.statistic for kind in KINDS.values()}


@pytest.mark.parametrize("name", KINDS)
def test_gradients_are_those_of_finite_differences(name):
    kind = measured(KINDS[name])
    s, v = patients(KINDS[name])
    term = evaluate(kind, s, v)
    assert len(term.labels) == term.residuals.size == kind.n_residuals

    def numeric(which: int, j: int, k: int) -> tuple[np.ndarray, float]:
        step = 1e-5 * max(1.0, abs(float((s, v)[which][j, k])))
        ends = []
        for sign in (1, -1):
            moved = [s.copy(), v.copy()]
            moved[which][j, k] += sign * step
            ends.append(evaluate(kind, *moved))
        return (ends[0].residuals - ends[1].residuals) / (2 * step), (
            ends[0].predicted - ends[1].predicted
        ) / (2 * step)

    for j in range(s.shape[0]):
        for k in range(0, K, 5):
            by_s, predicted = numeric(0, j, k)
            by_v, _ = numeric(1, j, k)
            np.testing.assert_allclose(term.by_s[:, j, k], by_s, rtol=1e-5, atol=1e-8)
            np.testing.assert_allclose(term.by_v[:, j, k], by_v, rtol=1e-5, atol=1e-8)
            np.testing.assert_allclose(term.predicted_s[j, k], predicted, rtol=1e-5, atol=1e-8)


def test_a_perfect_prediction_has_no_deviance():
    z = np.random.default_rng(0).standard_normal(K)
    z = (z - z.mean()) / z.std()
    many = 200_000  # patients, so that the expected logarithm of an SD is that of the SD
    cases = [
        (row(value=5.0, spread=1.5, spread_type="SD", n=many), 5 + 1.5 * z),
        (row(value=5.0, spread=30, spread_type="CV", n=many), 5 + 1.5 * z),
        (
            row(statistic="geometric_mean", value=5.0, spread=42, spread_type="CV", n=many),
            5 * np.exp(math.sqrt(math.log1p(0.42**2)) * z),
        ),
        (row(statistic="ratio", value=0.8, lower=0.5, upper=1.2, spread_type="CI95"), 0.8 + 0.1 * z),
        (row(statistic="count", value=6, n=12, effect=5.0), np.concatenate([5 + np.abs(z), 5 - np.abs(z)])),
        (row(statistic="fraction", value=0.25, n=12), np.full(K, 0.25)),
        (row(statistic="lower_bound", value=1.0, spread=0.01, spread_type="SE"), 5 + z),
        (row(statistic="upper_bound", value=9.0, spread=0.01, spread_type="SE"), 5 + z),
    ]
    for kind, s in cases:
        term = evaluate(measured(kind), s[None], np.zeros((1, s.size)))
        np.testing.assert_allclose(term.residuals, 0, atol=2e-3, err_msg=kind.statistic)
    d2 = statistics.range_moments(12)[0]
    kind = row(statistic="range", value=NAN, lower=-3.0, upper=7.0)
    assert evaluate(measured(kind), (2 + 10 / d2 * z)[None], np.zeros((1, K))).residuals[0] == pytest.approx(
        0, abs=1e-9
    )
    doses = np.array(DOSE_GRID)[:, None]
    kind = row(statistic="dose_for_effect", value=2.0, effect=4.0, lower=1.0, upper=4.0, spread_type="CI95")
    assert evaluate(measured(kind), 8 * doses / (1 + doses) + 0 * z, np.zeros((5, K))).residuals[
        0
    ] == pytest.approx(0, abs=1e-9)


def studies(n: int, count: int = 4000, seed: int = 1) -> np.ndarray:
    """Data of many simulated studies: (count, n) patients, normal with mean 5 and SD 1.5."""
    return 5 + 1.5 * np.random.default_rng(seed).standard_normal((count, n))


def balanced(count: int = 256) -> np.ndarray:
    """Normal scores with exact mean 0 and SD 1."""
    z = np.array([NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)])
    return (z / z.std())[None]


def standard(residuals: np.ndarray, sd: float = 1.0, mean: float = 0.15, tolerance: float = 0.08) -> None:
    """Brute force: residuals over simulated studies have about mean 0 and SD 1."""
    assert abs(residuals.mean()) < mean
    assert residuals.std() == pytest.approx(sd, abs=tolerance)


@pytest.mark.parametrize("n", [6, 12, 40])
def test_mean_and_sd_of_simulated_arms_are_scored_as_standard_normal(n):
    truth, none = 5 + 1.5 * balanced(), np.zeros((1, 256))
    scores = []
    for data in studies(n):
        kind = row(n=n, value=float(data.mean()), spread=float(data.std(ddof=1)), spread_type="SD")
        scores.append(evaluate(measured(kind), truth, none).residuals)
    scores = np.array(scores)
    # the SE comes from the observed SD, so the mean is Student t with n - 1 degrees of freedom, of SD
    # sqrt((n-1)/(n-3))
    standard(scores[:, 0], sd=math.sqrt((n - 1) / (n - 3)), tolerance=0.1)
    standard(scores[:, 1], mean=0.05, tolerance=0.05)
    assert abs(np.corrcoef(scores.T)[0, 1]) < 0.05


def test_noise_adds_to_the_spread_between_patients():
    wide = 5 + 1.2 * balanced()
    noise = np.full((1, 256), 0.9**2)
    kind = measured(row(n=40, spread=1.5, spread_type="SD"))
    bias, error = statistics.log_sd_moments(40)
    assert evaluate(kind, wide, noise).residuals[1] == pytest.approx(bias / error, abs=1e-3)
    assert evaluate(kind, wide, 0 * noise).residuals[1] < -1.5


def test_median_and_iqr_of_simulated_arms_are_scored_as_standard_normal():
    truth, none, n = 5 + 1.5 * balanced(), np.zeros((1, 256)), 41
    scores = []
    for data in studies(n):
        low, middle, high = np.quantile(data, [0.25, 0.5, 0.75])
        kind = row(
            statistic="median",
            n=n,
            value=float(middle),
            lower=float(low),
            upper=float(high),
            spread_type="IQR",
        )
        scores.append(evaluate(measured(kind), truth, none).residuals)
    scores = np.array(scores)
    standard(scores[:, 0], tolerance=0.12)
    standard(scores[:, 1], tolerance=0.1)


def test_range_of_simulated_arms_is_scored_as_standard_normal():
    n = 18
    truth, none = np.exp(1 + 0.4 * balanced()), np.zeros((1, 256))
    data = np.exp(1 + 0.4 * np.random.default_rng(2).standard_normal((4000, n)))
    scores = np.array(
        [
            evaluate(
                measured(row(statistic="range", n=n, value=NAN, lower=float(d.min()), upper=float(d.max()))),
                truth,
                none,
            ).residuals
            for d in data
        ]
    )
    standard(scores[:, 0], tolerance=0.15)
    standard(scores[:, 1], tolerance=0.1)
    assert statistics.range_moments(18)[0] == pytest.approx(3.640, abs=2e-3)  # Tippett's table
    assert statistics.range_moments(2)[:2] == pytest.approx(
        (2 / math.sqrt(math.pi), math.sqrt(2 - 4 / math.pi)), rel=1e-3
    )


def test_geometric_mean_with_cv_is_scored_as_standard_normal():
    n, sd = 30, math.sqrt(math.log1p(0.42**2))
    truth, none = 12 * np.exp(sd * balanced()), np.zeros((1, 256))
    logs = math.log(12) + sd * np.random.default_rng(3).standard_normal((4000, n))
    scores = []
    for data in logs:
        cv = 100 * math.sqrt(math.expm1(float(data.var(ddof=1))))
        kind = row(statistic="geometric_mean", n=n, value=math.exp(data.mean()), spread=cv, spread_type="CV")
        scores.append(evaluate(measured(kind), truth, none).residuals)
    standard(np.array(scores)[:, 0])
    standard(np.array(scores)[:, 1])


# how a study prints its spread: of numbers x (n,), as columns of a row
PRINTED = {
    "SD": lambda x, g: {"spread_type": "SD", "spread": float(x.std(ddof=1))},
    "CV": lambda x, g: {"spread_type": "CV", "spread": 100 * float(x.std(ddof=1) / x.mean())},
    "geometric CV": lambda x, g: {
        "spread_type": "CV",
        "spread": 100 * math.sqrt(math.expm1(float(np.log(x).var(ddof=1)))),
    },
    "IQR": lambda x, g: (
        dict(zip(("lower", "upper"), np.quantile(x, [0.25, 0.75]).tolist(), strict=True))
        | {"spread_type": "IQR"}
    ),
    "width of IQR": lambda x, g: {
        "spread_type": "IQR",
        "spread": float(np.diff(np.quantile(x, [0.25, 0.75]))[0]),
    },
    "range": lambda x, g: {"spread_type": "range", "lower": float(x.min()), "upper": float(x.max())},
    "width of range": lambda x, g: {"spread_type": "range", "spread": float(np.ptp(x))},
    "SE": lambda x, g: {
        "spread_type": "SE",
        "spread": g * float(np.log(x).std(ddof=1)) / math.sqrt(x.size)
        if g
        else float(x.std(ddof=1)) / math.sqrt(x.size),
    },
    "CI95": lambda x, g: {
        "spread_type": "CI95",
        "lower": g * math.exp(-_half(x)),
        "upper": g * math.exp(_half(x)),
    },
    "half width of CI95": lambda x, g: {"spread_type": "CI95", "spread": g * math.sinh(_half(x))},
}
LOCATION = {
    "mean": lambda x: float(x.mean()),
    "median": lambda x: float(np.median(x)),
    "geometric_mean": lambda x: math.exp(float(np.log(x).mean())),
}


def _half(x: np.ndarray) -> float:
    """Of the 95 % interval of the mean of logarithms."""
    return 1.959964 * float(np.log(x).std(ddof=1)) / math.sqrt(x.size)


def printed(statistic: str, spread: str, x: np.ndarray):
    value = LOCATION[statistic](x)
    return measured(
        row(
            statistic=statistic,
            n=x.size,
            value=value,
            **PRINTED[spread](x, value if statistic == "geometric_mean" else 0.0),
        )
    )


def population(kind: str, sd: float, z: np.ndarray) -> np.ndarray:
    return 12 * np.exp(sd * z) if kind == "log-normal" else 12 * (1 + sd * z)


@pytest.mark.parametrize("sd", [0.3, 1.0, 1.2])
@pytest.mark.parametrize(
    "spread", ["SD", "geometric CV", "CV", "IQR", "width of IQR", "range", "width of range"]
)
def test_the_spread_beside_a_geometric_mean_is_that_of_logarithms(spread, sd):
    n = 1_000 if "range" in spread else 100_000
    z = np.random.default_rng(7).standard_normal((400 if "range" in spread else 12, n))
    found = [printed("geometric_mean", spread, population("log-normal", sd, line)) for line in z]
    # the raw SD and CV of a sample with such a tail are themselves uncertain, even of 100,000
    rel = 0.04 if spread in ("SD", "CV") and sd >= 1 else 0.01
    assert np.exp(np.mean([np.log(log_spread(m.row, form_of(m.row)).sd) for m in found])) == pytest.approx(
        sd, rel=rel
    )
    assert np.mean([m.se for m in found]) * math.sqrt(n) == pytest.approx(sd, rel=max(rel, 0.02))


COMBINED = [
    ("mean", s, k, sd)
    for s in ("SD", "CV", "IQR", "width of IQR", "range")
    for k, sd in (("normal", 0.15), ("log-normal", 0.3), ("log-normal", 1.0))
]
COMBINED += [
    ("median", s, k, sd)
    for s in ("SD", "CV", "IQR", "width of IQR", "range")
    for k, sd in (("normal", 0.15), ("log-normal", 0.3), ("log-normal", 1.0))
]
COMBINED += [(m, "width of range", "normal", 0.2) for m in ("mean", "median")]
COMBINED += [
    ("geometric_mean", s, "log-normal", sd)
    for s in ("SD", "geometric CV", "IQR", "width of IQR", "range", "width of range")
    for sd in (0.3, 1.0)
]


@pytest.mark.parametrize(("statistic", "spread", "kind", "sd"), COMBINED)
def test_every_spread_beside_every_statistic_agrees_with_the_population_it_was_printed_of(
    statistic, spread, kind, sd
):
    n, studies = (400, 600) if "range" in spread else (20_000, 30)
    generator = np.random.default_rng(11)
    truth = population(kind, sd, balanced(2048))
    ratios = []
    for _ in range(studies):
        m = printed(statistic, spread, population(kind, sd, generator.standard_normal(n)))
        ratios.append(evaluate(m, truth, 0 * truth).residuals[1] * m.printed[1].error)
    # 0.02 of log SD is a fourteenth of what even an arm of 25 patients knows. 2048 even quantiles cut off the
    # tail of a log-normal population: their SD is 3 % too small at a log-SD of 1
    assert abs(np.mean(ratios)) < (
        0.05 if kind == "log-normal" and sd == 1.0 and spread in ("SD", "CV") else 0.02
    )


@pytest.mark.parametrize("sd", [0.4, 1.0])
@pytest.mark.parametrize(
    "spread",
    ["geometric CV", "IQR", "width of IQR", "range", "width of range", "SE", "CI95", "half width of CI95"],
)
def test_a_geometric_mean_and_its_spread_are_scored_as_standard_normal(spread, sd):
    n = 40
    truth = population("log-normal", sd, balanced())
    scores = []
    for z in np.random.default_rng(3).standard_normal((3000, n)):
        scores.append(
            evaluate(
                printed("geometric_mean", spread, population("log-normal", sd, z)), truth, 0 * truth
            ).residuals
        )
    scores = np.array(scores)
    # an SE that comes from few order statistics is itself uncertain, as is one of a sample
    standard(scores[:, 0], mean=0.1, tolerance=0.12)
    assert scores.shape[1] == (1 if spread in ("SE", "CI95", "half width of CI95") else 2)
    if scores.shape[1] == 2:
        standard(scores[:, 1], mean=0.15, tolerance=0.12)


@pytest.mark.parametrize("spread", ["SD", "CV", "IQR", "width of IQR", "range", "width of range", "SE"])
def test_means_and_their_spread_are_scored_as_standard_normal(spread):
    n = 40
    truth = population("normal", 0.2, balanced())
    scores = np.array(
        [
            evaluate(printed("mean", spread, population("normal", 0.2, z)), truth, 0 * truth).residuals
            for z in np.random.default_rng(3).standard_normal((3000, n))
        ]
    )
    standard(scores[:, 0], mean=0.1, tolerance=0.12)
    if scores.shape[1] == 2:
        standard(scores[:, 1], mean=0.15, tolerance=0.12)


def test_a_range_of_changes_is_not_one_of_logarithms():
    # a change may be negative in a patient whose arm's range is not
    kind = measured(
        row(statistic="mean", measure="change", n=20, value=5.0, lower=0.5, upper=10.0, spread_type="range")
    )
    s = 5 + 3 * balanced(64)
    assert s.min() < 0 and abs(evaluate(kind, s, 0 * s).residuals[1]) < 2
    kind = measured(row(statistic="range", measure="percent_change", n=20, value=NAN, lower=0.5, upper=10.0))
    assert np.all(np.abs(evaluate(kind, s, 0 * s).residuals) < 2)


def test_counts_are_binomial_from_nobody_to_all():
    n, p = 20, 0.3
    s = np.full((1, 4), p)
    scores = np.array(
        [
            float(evaluate(measured(row(statistic="count", n=n, value=k)), s, 0 * s).residuals[0])
            for k in range(n + 1)
        ]
    )
    pmf = np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])
    assert abs(pmf @ scores) < 0.1
    assert pmf @ scores**2 == pytest.approx(1, abs=0.1)
    terms = [evaluate(measured(row(statistic="count", n=n, value=k)), s, 0 * s) for k in range(n + 1)]
    likelihoods = [math.exp(-0.5 * (float(t.residuals @ t.residuals) + t.constant)) for t in terms]
    np.testing.assert_allclose(likelihoods, pmf, rtol=1e-4)


def test_the_share_of_responders_is_that_of_the_population_with_noise():
    z = balanced(16)
    _, data = None, 5 + 1.5 * np.random.default_rng(0).standard_normal(400_000)
    noisy = data + 0.8 * np.random.default_rng(1).standard_normal(data.size)
    for limit in (4.0, 5.0, 6.5):
        p = statistics.share_beyond(5 + 1.5 * z, np.full((1, 16), 0.64), limit).value
        assert p == pytest.approx(float((noisy >= limit).mean()), abs=0.015)


def test_a_bound_costs_nothing_on_its_right_side_and_grows_on_the_other():
    kind = measured(row(statistic="lower_bound", value=5.0, n=None, spread=0.5, spread_type="SE"))

    def deviance(m: float) -> float:
        return float(evaluate(kind, np.full((1, 3), m), np.zeros((1, 3))).residuals[0] ** 2)

    assert deviance(8.0) < 1e-6
    assert deviance(5.0) == pytest.approx(2 * math.log(2))
    far = [deviance(m) for m in (4.0, 0.0, -50.0)]
    assert far == sorted(far) and far[-1] == pytest.approx((55 / 0.5) ** 2, rel=0.01)
    assert all(math.isfinite(statistics.log_cdf(x)) for x in (-1e4, -36.0, -34.0, 0.0, 40.0))
    assert statistics.log_cdf(-35 + 1e-9) == pytest.approx(statistics.log_cdf(-35 - 1e-9), rel=1e-5)


@pytest.mark.parametrize("df", [1, 3, 11.5, 37, 199, math.inf])
def test_the_tail_of_student_s_t_and_its_slope_are_exact_however_far_out(df):
    for z in (-500.0, -40.0, -3.0, 0.0, 2.0, 30.0):
        found, slope = statistics.log_below(z, df)
        h = 1e-6 * (1 + abs(z))
        ends = statistics.log_below(z + h, df)[0], statistics.log_below(z - h, df)[0]
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-4, abs=1e-8)
        exact = stats.norm.logcdf(z) if math.isinf(df) else stats.t.logcdf(z, df)
        if math.isfinite(exact):  # farther out SciPy has none
            assert found == pytest.approx(exact, rel=1e-9)
    assert statistics.log_below(-1e5, df)[0] < statistics.log_below(-1e4, df)[0] < -5


def test_the_dose_for_an_effect_is_found_where_the_curve_has_it():
    doses = np.array(DOSE_GRID)
    x = np.log(doses)
    for e50 in (0.5, 1.0, 2.5):
        truth = e50 * 4.0 / (9.0 - 4.0)
        found, _ = dose_for_effect.inverse(x, 9 * doses / (e50 + doses), 4.0)
        assert math.exp(found) == pytest.approx(truth, rel=0.03 if doses[0] < truth < doses[-1] else 0.3)
    falling, _ = dose_for_effect.inverse(x, -9 * doses / (1 + doses), -4.5)
    assert math.exp(falling) == pytest.approx(1.0, rel=1e-6)
    never, by_g = dose_for_effect.inverse(x, np.zeros(5), 4.0)
    assert math.isfinite(never) and never > x[-1] and np.all(np.isfinite(by_g))


def dose(effect: float, **given) -> float:
    """The residual of a reported dose of 1 for this effect of an Emax curve that reaches 5 of 9 there."""
    kind = measured(row(statistic="dose_for_effect", value=1.0, effect=effect, **given))
    doses = np.array(DOSE_GRID)[:, None]
    (found,) = evaluate(kind, np.repeat(9 * doses / (0.8 + doses), 3, axis=1), np.zeros((5, 3))).residuals
    return float(found)


def test_a_model_that_is_too_sensitive_is_as_wrong_as_one_that_is_not_sensitive_enough():
    # the doses that give these effects are a quarter of the reported one and four times as much
    low, high = 9 * 0.25 / 1.05, 9 * 4.0 / 4.8
    even = {"spread": 0.5, "spread_type": "SE"}
    assert dose(low, **even) == pytest.approx(math.log(0.25) / 0.5, rel=0.05) and dose(low, **even) < -2.6
    assert dose(high, **even) == pytest.approx(math.log(4.0) / 0.5, rel=0.05)
    # each side has its own error; an interval that reaches below 0 says nothing of its lower side
    ends = {"lower": 0.5, "upper": 4.0, "spread_type": "CI95"}
    assert dose(low, **ends) == pytest.approx(1.959964 * math.log(0.25) / math.log(2.0), rel=0.05)
    assert dose(high, **ends) == pytest.approx(1.959964, rel=0.05)
    below = {"lower": -0.4, "upper": 4.0, "spread_type": "CI95"}
    assert dose(low, **below) == pytest.approx(-1.959964, rel=0.05)
    assert dose(high, **below) == dose(high, **ends)
    assert dose(low, spread=3.0, spread_type="CI95") == dose(low, **below)


def test_the_density_of_a_reported_dose_is_one():
    # of the logarithm of the dose, over all that could have been printed with this interval's sides
    kind = measured(
        row(statistic="dose_for_effect", value=1.0, effect=5.0, lower=0.5, upper=4.0, spread_type="CI95")
    )
    logs = np.linspace(-12, 12, 4001)
    error = np.where(logs > 0, math.log(4), math.log(2)) / 1.959964
    (printed,) = kind.printed
    density = np.exp(-0.5 * ((logs / error) ** 2 + printed.constant))
    assert np.trapezoid(density, logs) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("n", [4, 5, 12])
@pytest.mark.parametrize(
    ("statistic", "spread"),
    [
        *(("mean", spread) for spread in ("SD", "SE", "CV", "IQR", "range")),
        ("median", "SD"),
        *(("geometric_mean", spread) for spread in ("SE", "geometric CV", "IQR", "range")),
        ("range", "range"),
    ],
)
def test_intervals_that_are_shown_hold_the_truth_in_95_percent_of_small_trials(statistic, spread, n):
    # of normal patients, or of log-normal ones where all is of logarithms
    on_log = statistic in ("geometric_mean", "range")
    z = np.random.default_rng(17).standard_normal((3000, n))
    held = []
    for x in population("log-normal" if on_log else "normal", 0.2, z):
        if statistic == "range":
            ends = {"lower": float(x.min()), "upper": float(x.max())}
            found = measured(row(statistic="range", n=n, value=NAN, **ends))
        else:
            found = printed(statistic, spread, x)
        low, high = likelihood.interval(found)
        held.append(low <= 12 <= high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_quartiles_of_few_patients_tell_as_much_as_trials_have_it():
    # of 5 and 9 patients quartiles are those of single ones, which scatter more than those between two
    for n in (2, 3, 4, 5, 9, 40):
        x = np.random.default_rng(99).standard_normal((60_000, n))
        logs = np.log(np.quantile(x, 0.75, axis=1) - np.quantile(x, 0.25, axis=1))
        assert statistics.log_iqr_moments(n) == pytest.approx((logs.mean(), logs.std()), abs=0.02)
    few, many = statistics.log_iqr_moments(40), statistics.log_iqr_moments(41)
    assert few == pytest.approx(many, abs=0.01)
    # an SD of normal patients is as uncertain as its own degrees of freedom say
    for n in (2, 5, 40, 5000):
        assert statistics.degrees_of_log_sd(statistics.log_sd_moments(n)[1]) == pytest.approx(n - 1)


def test_errors_of_a_row_follow_from_its_columns():
    assert measured(row(spread=1.5, spread_type="SD")).se == pytest.approx(1.5 / math.sqrt(12))
    assert measured(row(spread=1.5, spread_type="SD")).printed[1].error == pytest.approx(
        1 / math.sqrt(22), rel=0.06
    )
    assert statistics.log_sd_moments(6)[0] == pytest.approx(-0.1066, abs=1e-3)  # psi(5/2) = 0.703157
    assert statistics.log_sd_moments(6)[1] == pytest.approx(
        math.sqrt(0.490358) / 2, rel=1e-5
    )  # trigamma(5/2)
    assert measured(row(spread=0.4, spread_type="SE")).se == 0.4
    # a 95 % interval of a mean of 12: Student's t with 11 degrees of freedom; without n the normal quantile
    assert measured(row(lower=4.0, upper=6.0, spread_type="CI95")).se == pytest.approx(1 / 2.200985, rel=1e-6)
    unknown = measured(row(lower=4.0, upper=6.0, spread_type="CI95", n=None))
    assert unknown.se == pytest.approx(1 / 1.959964, rel=1e-6)
    assert measured(row(spread=1.5, spread_type="SD", n=None)).se == 1.5
    assert len(measured(row(spread=1.5, spread_type="SD", n=None)).printed) == 1
    assert measured(row(), 0.2).se == pytest.approx(1.0) and measured(row(), 0.2).assumed
    assert measured(
        row(statistic="ratio", value=0.8, lower=0.5, upper=1.28, spread_type="CI95")
    ).se == pytest.approx(math.log(1.28 / 0.5) / (2 * 1.959964), rel=1e-6)
    with pytest.raises(DataError, match="has no weight"):
        measured(row(value=0.0))


def visited(reducer: str, times: tuple[float, ...] = (1.0, 8.0, 15.0), **given) -> Row:
    """A row of the largest, smallest or mean number of several visits."""
    return row(reducer=reducer, start=times[0], stop=times[-1], visits=times, **given)


NOISES = [Noise(0.15, 0.3), Noise(0.15, 0.3, 0.5), Noise(0.15, 0.3, 0.6, 7.0)]
every_noise = pytest.mark.parametrize("noise", NOISES, ids=["independent", "compound", "AR(1)"])


@pytest.mark.parametrize("measure", ["value", "change", "percent_change", "fold"])
@pytest.mark.parametrize("reducer", ["max", "min", "mean"])
@every_noise
def test_samples_of_visits_have_exact_gradients(reducer, measure, noise):
    kind = visited(reducer, measure=measure)
    y = np.random.default_rng(3).uniform(3.0, 9.0, (4, 3))
    base = np.array([2.0, 2.5, 1.5, 3.0])
    exact, h = sample(kind, y, base, noise), 1e-6

    def slope(moved):
        ends = [moved(sign * h) for sign in (1, -1)]
        return [(getattr(ends[0], of) - getattr(ends[1], of)) / (2 * h) for of in ("s", "v")]

    for t in range(3):
        unit = np.eye(3)[t]
        by_s, by_v = slope(lambda step, unit=unit: sample(kind, y + step * unit, base, noise))
        np.testing.assert_allclose(exact.s_y[:, t], by_s, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(exact.v_y[:, t], by_v, rtol=1e-5, atol=1e-6)
    by_s, by_v = slope(lambda step: sample(kind, y, base + step, noise))
    np.testing.assert_allclose(exact.s_b, by_s, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(exact.v_b, by_v, rtol=1e-5, atol=1e-6)
    for i, of in enumerate(("proportional", "additive")):
        by_s, by_v = slope(
            lambda step, of=of: sample(kind, y, base, replace(noise, **{of: getattr(noise, of) + step}))
        )
        np.testing.assert_allclose(exact.s_noise[:, i], by_s, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(exact.v_noise[:, i], by_v, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("visits", [2, 5, 10])
@pytest.mark.parametrize("reducer", ["max", "min"])
def test_the_largest_of_several_noisy_visits_lies_above_the_truth_by_as_much_as_measurements_do(
    reducer, visits
):
    kind = visited(reducer, tuple(float(day) for day in range(1, visits + 1)))
    z = np.random.default_rng(6).standard_normal((200_000, visits))
    for noise in (Noise(0.1, 0.0), Noise(0.05, 0.4)):
        for y in (np.full(visits, 5.0), np.linspace(4.5, 5.5, visits)):
            sd = np.hypot(noise.proportional * y, noise.additive)
            seen = getattr(y + sd * z, reducer)(axis=1)
            found = sample(kind, y[None], None, noise)
            # of the noise of one measurement; what differs between patients is several times that
            assert abs(float(found.s[0]) - seen.mean()) < 0.04 * sd.mean()
            assert math.sqrt(found.v[0]) == pytest.approx(seen.std(), rel=0.05)


COMBINATIONS = [
    (m, r) for m in ("value", "change", "percent_change", "fold") for r in ("at", "max", "min", "mean")
]
COMBINATIONS += [(m, r) for m in ("value", "change") for r in ("auc", "tmax", "half_life")]


@pytest.mark.parametrize(("measure", "reducer"), COMBINATIONS)
@every_noise
def test_samples_have_exact_gradients(measure, reducer, noise):
    generator = np.random.default_rng(3)
    # what was read: the output at its time, or a value and a time or, for a decline, how it moves with the
    # level
    y = generator.uniform(3.0, 9.0, (3, 1 if reducer == "at" else 2))
    if reducer == "half_life":
        y = np.column_stack([generator.uniform(-0.02, 0.4, 3), generator.uniform(-0.1, 0.1, 3)])
    base = np.array([2.0, 2.5, 1.5])
    kind = row(measure=measure, reducer=reducer, start=0.0, stop=0.0 if reducer == "at" else 10.0)
    exact = sample(kind, y, base, noise)
    h = 1e-6

    def moved(dy=0.0, db=0.0, dn=(0.0, 0.0)):
        seen = y + dy
        if reducer == "half_life":
            seen = seen + np.array([1.0, 0.0]) * y[:, 1:] * db  # read above another baseline
        errors = replace(noise, proportional=noise.proportional + dn[0], additive=noise.additive + dn[1])
        part = sample(kind, seen, base + db, errors)
        return part.s, part.v

    def difference(make):
        up, down = make(h), make(-h)
        return (up[0] - down[0]) / (2 * h), (up[1] - down[1]) / (2 * h)

    for t in range(y.shape[1]):
        unit = np.zeros_like(y)
        unit[:, t] = 1
        by_s, by_v = difference(lambda step, unit=unit: moved(dy=step * unit))
        np.testing.assert_allclose(exact.s_y[:, t], by_s, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(exact.v_y[:, t], by_v, rtol=1e-5, atol=1e-6)
    if measure != "value":
        by_s, by_v = difference(lambda step: moved(db=step))
        np.testing.assert_allclose(exact.s_b, by_s, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(exact.v_b, by_v, rtol=1e-5, atol=1e-6)
    for i in (0, 1):
        _, by_v = difference(lambda step, i=i: moved(dn=(step, 0) if i == 0 else (0, step)))
        np.testing.assert_allclose(exact.v_noise[:, i], by_v, rtol=1e-5, atol=1e-6)


def test_reducers_make_of_what_was_read_what_the_row_is():
    def reduced(reducer, value, time=0.0):
        seen = row(reducer=reducer, start=2.0, stop=12.0)
        return float(samples.reduce(seen, np.array([[value, time]]))[0][0])

    assert reduced("max", 3.5, 4.0) == reduced("min", 3.5, 4.0) == reduced("auc", 3.5) == 3.5
    assert reduced("mean", 35.0) == pytest.approx(3.5) and reduced("tmax", 3.5, 4.5) == 2.5
    assert reduced("half_life", 0.3) == pytest.approx(math.log(2) / 0.3, rel=1e-5)
    assert reduced("half_life", -0.3) > 1e3  # a rising profile: long, not negative


def test_a_spread_can_be_told_to_be_no_information():
    for kind in (row(spread=1.5, spread_type="SD"), row(statistic="range", value=NAN, lower=2.1, upper=9.4)):
        s, v = patients(kind)
        both, location = evaluate(measured(kind), s, v), evaluate(measured(kind, spread=False), s, v)
        assert (both.residuals.size, location.residuals.size) == (2, 1)
        assert both.residuals[0] == location.residuals[0]


def test_noise_of_changes_and_folds_is_that_of_simulated_measurements():
    generator = np.random.default_rng(8)
    noise = Noise(0.05, 0.1)
    y, base = np.array([[6.0]]), np.array([3.0])
    first = 3 + np.hypot(0.05 * 3, 0.1) * generator.standard_normal(400_000)
    second = 6 + np.hypot(0.05 * 6, 0.1) * generator.standard_normal(400_000)
    for measure, simulated in {
        "value": second,
        "change": second - first,
        "fold": second / first,
        "percent_change": 100 * (second / first - 1),
    }.items():
        v = sample(row(measure=measure), y, base, noise).v[0]
        assert math.sqrt(v) == pytest.approx(simulated.std(), rel=0.02), measure


def test_the_weights_of_a_quantile_sum_to_one_and_smooth_over_patients():
    weights = statistics.harrell_davis(24, 0.5)
    assert weights.sum() == pytest.approx(1) and weights == pytest.approx(weights[::-1], abs=1e-9)
    values = np.exp(0.5 * balanced(24))
    assert statistics.quantile(values, 0.5)[0] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("count", [5, 24, 200])
def test_quantiles_are_those_of_scipy(count):
    values = np.random.default_rng(3).lognormal(size=(1, count))
    levels = (0.1, 0.25, 0.5, 0.9)
    ours = [statistics.quantile(values, level)[0] for level in levels]
    assert ours == pytest.approx(np.asarray(hdquantiles(values, levels)), rel=1e-12)


def test_intervals_for_tables_are_those_printed_or_implied():
    assert likelihood.interval(measured(row(lower=4.0, upper=6.5, spread_type="CI95"))) == (4.0, 6.5)
    low, high = likelihood.interval(measured(row(spread=0.5, spread_type="SE")))
    assert (low, high) == pytest.approx((5 - 2.201 * 0.5, 5 + 2.201 * 0.5), abs=1e-3)  # of 12 patients
    low, high = likelihood.interval(measured(row(spread=0.5, spread_type="SE", n=None)))
    assert (low, high) == pytest.approx((5 - 0.98, 5 + 0.98), abs=1e-3)
    # that of four patients is printed as Student's t has it, and shown as it was printed
    four = measured(row(spread=2.0, spread_type="CI95", n=4))
    assert four.se == pytest.approx(2.0 / 3.182446, rel=1e-6)
    assert likelihood.interval(four) == pytest.approx((3.0, 7.0))
    two = measured(row(statistic="difference_of_arms", versus="B", n=4, spread=2.0, spread_type="CI95"))
    assert two.se == pytest.approx(2.0 / 2.446912, rel=1e-6)
    assert likelihood.interval(two) == pytest.approx((3.0, 7.0))
    # an error that is not the patients' own is normal
    assert likelihood.interval(measured(row(), 0.1)) == pytest.approx((5 - 0.98, 5 + 0.98), abs=1e-3)
    assert likelihood.interval(measured(row(statistic="lower_bound")))[0] == 5.0
    low, high = likelihood.interval(measured(row(statistic="count", n=12, value=12)))
    assert 8.5 < low < 10 and high == pytest.approx(12)


@pytest.mark.parametrize(
    "noise", [Noise(0.05, 0.1, 0.7), Noise(0.05, 0.1, 0.6, 5.0)], ids=["compound", "AR(1)"]
)
@pytest.mark.parametrize("reducer", ["at", "mean", "max"])
@pytest.mark.parametrize("measure", ["value", "change", "fold", "percent_change"])
def test_correlated_errors_give_what_simulated_measurements_have(noise, reducer, measure):
    times = np.array([8.0]) if reducer == "at" else np.array([1.0, 8.0, 15.0])
    y, base = np.linspace(5.9, 6.1, times.size), 3.0
    at = np.array([0.0, *times])
    apart = np.abs(at[:, None] - at)
    correlation = noise.correlation ** (apart / noise.per if math.isfinite(noise.per) else apart > 0)
    e = np.random.default_rng(8).multivariate_normal(np.zeros(at.size), correlation, 400_000)
    seen = y + np.hypot(0.05 * y, 0.1) * e[:, 1:]
    level = seen.max(axis=1) if reducer == "max" else seen.mean(axis=1)
    before = base + np.hypot(0.05 * base, 0.1) * e[:, 0]
    simulated = {
        "value": level,
        "change": level - before,
        "fold": level / before,
        "percent_change": 100 * (level / before - 1),
    }[measure]
    kind = row(measure=measure, start=8.0) if reducer == "at" else visited(reducer, measure=measure)
    found = sample(kind, y[None], np.array([base]), noise)
    # the largest of a patient's visits is taken over a few balanced draws
    assert math.sqrt(found.v[0]) == pytest.approx(simulated.std(), rel=0.06 if reducer == "max" else 0.02)
