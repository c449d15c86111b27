"""Residuals have the frequencies that they say: trials are simulated from a known population, each prints its
row, and 5 % of the residuals lie beyond 1.96, in small arms and of skewed patients too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pkpd.inference.objective import SAMPLING_SUBJECTS, quasi_normals
from pkpd.inference.summary import likelihood
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.kinds.dose_for_effect import DOSE_GRID
from pkpd.inference.summary.samples import Noise, sample
from pkpd.inference.summary.sampling import Sampling, Score, Seen, alike, sampling_of
from pkpd.inference.summary.spreads import form_of
from pkpd.inference.summary.trials import printed_by_trials
from tests.inference.test_likelihood import NAN, row

TRIALS = 3000
NOISE = Noise(0.05, 0.0)
NORMAL = quasi_normals(SAMPLING_SUBJECTS, 1, 1)[:, 0]
PATIENTS = {"normal": lambda z: 5 + 1.5 * z, "log-normal": lambda z: 5 * np.exp(0.7 * z)}
ROWS = {
    "mean with SD": row(spread=1.5, spread_type="SD"),
    "mean with SE": row(spread=0.4, spread_type="SE"),
    "mean with CI95": row(lower=4.1, upper=5.9, spread_type="CI95"),
    "mean with range": row(lower=2.1, upper=8.3, spread_type="range"),
    "mean with IQR": row(lower=4.0, upper=6.5, spread_type="IQR"),
    "median with IQR": row(statistic="median", lower=4.0, upper=6.5, spread_type="IQR"),
    "geometric mean with IQR": row(statistic="geometric_mean", lower=4.0, upper=6.5, spread_type="IQR"),
    "median with range": row(statistic="median", lower=2.1, upper=8.3, spread_type="range"),
    "upper quantile with SD": row(statistic="quantile", level=0.8, spread=1.5, spread_type="SD"),
    "lower quartile alone": row(statistic="quantile", level=0.25),
    "geometric mean with CV": row(statistic="geometric_mean", spread=42, spread_type="CV"),
    "geometric mean with CI95": row(statistic="geometric_mean", lower=4.1, upper=6.2, spread_type="CI95"),
    "range": row(statistic="range", value=NAN, lower=2.1, upper=9.4),
}


def seen(y, patients="arm", n=12, noise=NOISE, output="C"):
    return Seen(y, None, noise, patients, output, n)


def sampled(rows, y, n):
    """How rows on the same n patients of a population y, (K, 1), are distributed."""
    found = []
    for each in rows:
        printed = likelihood.measured(each)
        there = sample(each, y, None, NOISE)
        term = likelihood.evaluate(printed, there.s[None], there.v[None])
        found.append((printed, term, [seen(y, n=n)]))
    return sampling_of(found, [], 3)


@pytest.mark.parametrize("n", [5, 12])
@pytest.mark.parametrize("patients", PATIENTS)
@pytest.mark.parametrize("name", ROWS)
def test_five_percent_of_residuals_lie_beyond_1_96(name, patients, n):
    published = replace(ROWS[name], n=n)
    y = PATIENTS[patients](NORMAL)[:, None]
    rng = np.random.default_rng(11)
    x = PATIENTS[patients](rng.standard_normal((TRIALS, n)))
    x = x * (1 + NOISE.proportional * rng.standard_normal(x.shape))
    columns = KINDS[published.statistic].prints(published, x)
    there = sample(published, y, None, NOISE)
    known: dict[object, Sampling] = {}
    single, joint = [], []
    for b in range(TRIALS):
        printed = replace(published, **{key: float(values[b]) for key, values in columns.items()})
        term = likelihood.evaluate(likelihood.measured(printed), there.s[None], there.v[None])
        form = form_of(printed)
        if form not in known:
            known[form] = sampled([printed], y, n)
        z = known[form].scored(0, term).residuals
        single.append(np.abs(z) > 1.96)
        joint.append(float(np.sum(known[form].whitened(z) ** 2)) > stats.chi2.ppf(0.95, z.size))
    shares = np.mean(single, axis=0)
    assert np.all((shares >= 0.03) & (shares <= 0.07)), shares
    assert 0.03 <= np.mean(joint) <= 0.07


@pytest.mark.parametrize("n", [5, 12])
@pytest.mark.parametrize("patients", PATIENTS)
@pytest.mark.parametrize(("reducer", "measure"), [("max", "value"), ("min", "change"), ("max", "fold")])
def test_the_largest_of_noisy_visits_lies_beyond_1_96_in_five_percent(reducer, measure, patients, n):
    noise = Noise(0.15, 0.0)
    course = np.array([1.1, 1.3, 0.9, 1.2, 1.3])
    published = row(
        reducer=reducer,
        measure=measure,
        start=1.0,
        stop=5.0,
        visits=(1.0, 2.0, 3.0, 4.0, 5.0),
        n=n,
        spread=1.5,
        spread_type="SD",
    )
    level = PATIENTS[patients](NORMAL)
    y = level[:, None] * course
    rng = np.random.default_rng(12)
    before = PATIENTS[patients](rng.standard_normal((TRIALS // 2, n)))
    measured = (before[..., None] * course) * (
        1 + noise.proportional * rng.standard_normal((TRIALS // 2, n, 5))
    )
    x = getattr(measured, reducer)(axis=2)
    if measure != "value":
        first = before * (1 + noise.proportional * rng.standard_normal(before.shape))
        x = x - first if measure == "change" else x / first
    there = sample(published, y, level, noise)
    found, sampling = [], None
    for mean, sd in zip(x.mean(axis=1), x.std(axis=1, ddof=1), strict=True):
        printed = likelihood.measured(replace(published, value=float(mean), spread=float(sd)))
        term = likelihood.evaluate(printed, there.s[None], there.v[None])
        if sampling is None:
            sampling = sampling_of([(printed, term, [Seen(y, level, noise, "arm", "C", n)])], [], 3)
        found.append(sampling.scored(0, term).residuals)
    shares = (np.abs(found) > 1.96).mean(axis=0)
    assert np.all((shares >= 0.03) & (shares <= 0.07)), shares


def test_the_mean_of_normal_patients_has_student_s_t():
    y = PATIENTS["normal"](NORMAL)[:, None]
    quiet = replace(ROWS["mean with SE"], n=6)
    found = sampled([quiet], y, 6).scores[0][0]
    for u in (-2.5, -1.0, 0.0, 1.0, 2.5):
        assert found(u)[0] == pytest.approx(stats.norm.ppf(stats.t.cdf(u, 5)), abs=0.08)


def test_residuals_of_large_arms_are_as_good_as_normal():
    y = PATIENTS["normal"](NORMAL)[:, None]
    for n in (150, 1000, 20_000):
        for score in sampled([replace(ROWS["mean with SD"], n=n)], y, n).scores[0]:
            for u in (-1.5, 0.0, 1.5):
                assert score(u)[0] == pytest.approx(u, abs=0.1)


def test_a_score_is_monotone_and_its_slope_and_inverse_are_its_own():
    score = Score.of(np.random.default_rng(2).standard_t(4, 4000))
    u = np.linspace(-12, 12, 97)
    z = np.array([score(value)[0] for value in u])
    assert np.all(np.diff(z) > 0)
    for value in (-9.0, -1.3, 0.2, 2.1, 9.0):
        slope = (score(value + 1e-6)[0] - score(value - 1e-6)[0]) / 2e-6
        assert score(value)[1] == pytest.approx(slope, rel=1e-5)
    for target in (-2.5, 0.0, 1.7):
        assert score(score.inverse(target))[0] == pytest.approx(target, abs=1e-9)
    assert Score.of(np.zeros(100)) is None and Score.of(np.array([1.0, np.nan, np.nan])) is None


def test_rows_of_the_same_patients_are_correlated_as_those_are():
    # two outputs of a patient with correlation 0.8: so have their means
    z = quasi_normals(512, 2, 1)
    first, second = 5 + z[:, :1], 5 + 0.8 * z[:, :1] + 0.6 * z[:, 1:]
    quiet = Noise()
    rows = []
    for name, y, patients in (("a", first, "p"), ("b", second, "p"), ("c", first, "q")):
        published = replace(row(spread=0.3, spread_type="SE"), id=name, n=20)
        there = sample(published, y, None, quiet)
        printed = likelihood.measured(published)
        term = likelihood.evaluate(printed, there.s[None], there.v[None])
        rows.append((printed, term, [seen(y, patients, 20, quiet, name)]))
    found = sampling_of(rows, [], 1).correlation
    assert found[0, 1] == pytest.approx(0.8, abs=0.08)
    assert found[0, 2] == found[1, 2] == 0


def mean_and_sd(x):
    return {"value": x.mean(axis=1), "spread": x.std(axis=1, ddof=1)}


def above_5(x):
    return {"value": (x >= 5).sum(axis=1)}


ENDPOINTS = {
    "two outputs": [("C", "SD", mean_and_sd), ("D", "SD", mean_and_sd)],
    "a mean and its responders": [("C", "SD", mean_and_sd), ("C", "count", above_5)],
    "responders of another output": [("D", "SD", mean_and_sd), ("C", "count", above_5)],
}


@pytest.mark.parametrize(
    ("name", "n"),
    # of six patients a number of responders is one of seven, which is too few for a chi-square
    [("two outputs", 6), *((name, n) for name in ENDPOINTS for n in (12, 30))],
)
def test_several_endpoints_of_the_same_patients_are_counted_once(name, n):
    # the joint statistic z' R^-1 z of all rows of an arm is beyond its 95 % quantile in 5 % of the trials
    def outputs(z):
        return {"C": 5 * np.exp(0.5 * z[..., 0]), "D": 8 + 2 * (0.8 * z[..., 0] + 0.6 * z[..., 1])}

    truth = outputs(quasi_normals(SAMPLING_SUBJECTS, 2, 1))
    trials = outputs(np.random.default_rng(3).standard_normal((TRIALS // 2, n, 2)))
    kinds = {
        "SD": {"spread": 1.5, "spread_type": "SD"},
        "count": {"statistic": "count", "value": 2, "effect": 5.0},
    }
    rows = [
        (row(id=str(i), output=output, n=n, **kinds[kind]), columns(trials[output]))
        for i, (output, kind, columns) in enumerate(ENDPOINTS[name])
    ]
    beyond, sampling = [], None
    for b in range(TRIALS // 2):
        found = []
        for published, columns in rows:
            printed = replace(published, **{key: float(values[b]) for key, values in columns.items()})
            y = truth[published.output][:, None]
            there = sample(printed, y, None, Noise())
            term = likelihood.evaluate(likelihood.measured(printed), there.s[None], there.v[None])
            arm = [seen(y, "p", n, Noise(), published.output)]
            found.append((likelihood.measured(printed), term, arm))
        if sampling is None:
            sampling = sampling_of(found, [], 3)
        z = np.concatenate([sampling.scored(i, term).residuals for i, (_, term, _) in enumerate(found)])
        beyond.append(float(np.sum(sampling.whitened(z) ** 2)) > stats.chi2.ppf(0.95, z.size))
    assert 0.03 <= np.mean(beyond) <= 0.07


def test_the_same_number_twice_is_hardly_more_than_once():
    y = PATIENTS["normal"](NORMAL)[:, None]
    one = replace(ROWS["mean with SE"], n=12)
    found = sampled([one, replace(one, id="again")], y, 12)
    z = np.array([2.0, 2.0])
    assert np.sum(found.whitened(z) ** 2) < 1.1 * 2.0**2
    np.testing.assert_allclose(found.coloured(found.whitened(z)), z)
    assert found.constant == pytest.approx(np.log(np.linalg.det(found.correlation)))
    assert found.kept(["again"]).correlation.shape == (1, 1)


def test_of_a_model_without_differences_between_patients_rows_are_student_s_t_and_independent():
    y = np.full((16, 1), 5.0)
    one = replace(ROWS["mean with SE"], n=6)
    rows = []
    for name in ("a", "b"):
        published = replace(one, id=name)
        there = sample(published, y, None, Noise())
        printed = likelihood.measured(published)
        term = likelihood.evaluate(printed, there.s[None], there.v[None])
        rows.append((printed, term, [seen(y, "p", 6, Noise())]))
    found = sampling_of(rows, [], 1)
    assert found.correlation[0, 1] == 0
    assert found.scores[0][0](2.571)[0] == pytest.approx(1.96, abs=0.1)


def test_numbers_of_one_curve_are_drawn_together():
    # rows without patients of their own, whose errors are declared to go together
    y, rows = PATIENTS["normal"](NORMAL)[:, None], []
    for name in ("ed10", "ed20", "else"):
        published = replace(ROWS["mean with SE"], id=name, n=None)
        there = sample(published, y, None, NOISE)
        printed = likelihood.measured(published)
        term = likelihood.evaluate(printed, there.s[None], there.v[None])
        rows.append((printed, term, [seen(y, "p", 0)]))
    declared = {frozenset(("ed10", "ed20")): 0.6}
    drawn = np.array(
        [[r.value for r in printed_by_trials(rows, [3, k], declared)] for k in range(TRIALS // 3)]
    )
    expected = np.array([[1, 0.6, 0], [0.6, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(np.corrcoef(drawn.T), expected, atol=0.1)
    np.testing.assert_allclose(drawn.std(axis=0), 0.4, rtol=0.1)


def test_trials_do_not_depend_on_other_rows():
    y = PATIENTS["log-normal"](NORMAL)[:, None]
    first = replace(ROWS["mean with SD"], n=8)
    alone = sampled([first], y, 8)
    beside = sampled([replace(ROWS["range"], id="other", n=8), first], y, 8)
    assert beside.scores[1] == alone.scores[0]


@pytest.mark.parametrize("n", [12, 40])
@pytest.mark.parametrize("spread_type", ["SE", "CI95"])
def test_doses_for_an_effect_that_trials_find_lie_beyond_1_96_in_five_percent(spread_type, n):
    # a trial gives each patient one of five doses and reads the dose off the straight line over log dose; the
    # model has the true line
    rng = np.random.default_rng(4)
    x = np.log(np.resize([0.04, 0.1, 0.25, 0.6, 1.5], n))
    design = np.column_stack([np.ones(n), x])
    inverse = np.linalg.inv(design.T @ design)
    a, b, sd, effect = 24.0, 6.0, 4.0, 14.0
    count = 0
    for _ in range(TRIALS):
        y = a + b * x + sd * rng.standard_normal(n)
        found = inverse @ design.T @ y
        residual = y - design @ found
        log_dose = (effect - found[0]) / found[1]
        slope = np.array([-1.0, -log_dose]) / found[1]
        se = float(np.sqrt(residual @ residual / (n - 2) * slope @ inverse @ slope))
        value = float(np.exp(log_dose))
        half = stats.t.ppf(0.975, n - 2) * se
        columns = (
            {"spread": value * half / 1.959964, "spread_type": "SE"}
            if spread_type == "SE"
            else {"lower": value * np.exp(-half), "upper": value * np.exp(half), "spread_type": "CI95"}
        )
        dose = row(statistic="dose_for_effect", value=value, effect=effect, n=n, **columns)
        curve = a + b * np.log(value * np.array(DOSE_GRID))
        term = likelihood.evaluate(
            likelihood.measured(dose), np.repeat(curve[:, None], 2, axis=1), np.zeros((5, 2))
        )
        count += abs(term.residuals[0]) > 1.96
    assert 0.03 <= count / TRIALS <= 0.07


@pytest.mark.parametrize(
    "noise", [Noise(0.0, 2.0, 0.6), Noise(0.0, 2.0, 0.6, 7.0)], ids=["compound", "AR(1)"]
)
def test_means_of_visits_go_together_as_patients_and_their_errors_do(noise):
    # patients of SD 1.5 who do not change, errors of SD 2: (1.5^2 + 2^2 c) / (1.5^2 + 2^2), c that of errors
    y, rows, days = PATIENTS["normal"](NORMAL)[:, None], [], np.array([1.0, 4.0, 22.0])
    for day in days:
        published = replace(ROWS["mean with SD"], id=f"day {day}", start=day, stop=day, n=12)
        there = sample(published, y, None, noise)
        term = likelihood.evaluate(likelihood.measured(published), there.s[None], there.v[None])
        rows.append((likelihood.measured(published), term, [seen(y, noise=noise)]))
    apart = np.abs(days[:, None] - days)
    errors = 0.6 ** (apart / noise.per if np.isfinite(noise.per) else apart > 0)
    expected = (1.5**2 + 2.0**2 * errors) / (1.5**2 + 2.0**2)
    for order in ([0, 1, 2], [2, 0, 1]):  # in whatever order rows stand
        means = [2 * i for i in range(3)]
        found = sampling_of([rows[i] for i in order], [], 4).correlation[np.ix_(means, means)]
        np.testing.assert_allclose(found, 0.95 * expected[np.ix_(order, order)] + 0.05 * np.eye(3), atol=0.03)


def test_the_score_of_a_change_that_is_rounding_is_students_t_whatever_the_rounding():
    """Of cells that nothing moves: what the last digits of a solve are must not matter."""
    level = 192.0 * np.ones(512)
    measured = likelihood.measured(row(value=20.0, spread=13.4, spread_type="SE", n=59, measure="change"))
    for seed, size in ((1, 0.0), (2, 1e-15), (3, 1e-9)):
        moved = level * (1 + size * (np.random.default_rng(seed).random(512) < 0.1))
        seen = Seen(moved[:, None], level, Noise(), "arm", "C", 59)
        term = likelihood.evaluate(measured, (moved - level)[None], np.zeros((1, 512)))
        scored = sampling_of([(measured, term, [seen])], [], 4).scored(0, term)
        assert scored.residuals[0] == pytest.approx(stats.norm.ppf(stats.t.cdf(-20 / 13.4, 58)), abs=0.04)


def test_a_change_that_is_rounding_is_the_same_for_all_patients():
    """Of cells that nothing moves, integrated over months: no trial prints an SE of rounding."""
    level = 200.0 * np.exp(0.3 * np.random.default_rng(1).standard_normal(64))
    moved = level * (1 + 1e-14 * np.random.default_rng(2).standard_normal(64))
    seen = Seen(moved[:, None], level, Noise(), "arm", "C", 59)
    assert alike(moved - level, seen) and alike(100 * moved / level - 100, seen)
    assert not alike(moved, seen)
    change = row(value=20.0, spread=13.4, spread_type="SE", n=59, measure="change")
    measured = likelihood.measured(change)
    term = likelihood.evaluate(measured, (moved - level)[None], np.zeros((1, 64)))
    (printed,) = printed_by_trials([(measured, term, [seen])], [1])
    assert printed.spread == 13.4 and 1e-3 < abs(printed.value) < 60
