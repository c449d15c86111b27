"""What measurements say of one person: closed forms where they are known, and intervals that hold the truth
as often as they say."""

import math

import numpy as np
import pytest
from scipy import stats

import pkpd
from pkpd.core.errors import DataError, InputError
from pkpd.dosing import EventTable, Schedule
from pkpd.inference.individual import individualise, prior_of
from pkpd.inference.measurements import Measurement, read_measurements
from pkpd.inference.person import EffectsPrior, modes, sampled
from pkpd.inference.subject import SubjectLikelihood
from pkpd.inference.summary.samples import Noise

LINEAR = """
model  two effects that show linearly
time   h
parameter A = 2 [1] ~ lognormal(0.5)
parameter B = 3 [1] ~ lognormal(0.3)
correlation A B = 0.6
output y = log(A) + 2*log(B) [1]
output w = log(B) [1]
"""


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    path = tmp_path_factory.mktemp("linear") / "linear.model"
    path.write_text(LINEAR.lstrip(), encoding="utf-8")
    return pkpd.load(str(path))


def prior_for(kernel, places=(0, 1), correlation=0.6, typical=None):
    spread = np.array([[kernel.BETWEEN[k][1] for k in places]])
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    known = np.array([kernel.VALUES if typical is None else typical], dtype=np.float64)
    return EffectsPrior(kernel, np.array(places), known, spread, np.zeros((1, 2)), covariance)


# --- the linear normal case, where the posterior is known ---


def closed_form(prior, by, y, errors):
    """Mean and covariance of z: y = typical + by spread z + e, everything normal (Bishop 2006, eq. 2.116)."""
    slope = by * prior.spread[0]
    precision = np.linalg.inv(prior.covariance)
    covariance = np.linalg.inv(precision + slope.T @ np.linalg.inv(errors) @ slope)
    return covariance @ slope.T @ np.linalg.inv(errors) @ y, covariance


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_linear_normal_model_has_the_posterior_of_the_closed_form(linear, correlation):
    prior = prior_for(linear)
    at_rest = {"y": math.log(2) + 2 * math.log(3), "w": math.log(3)}
    off = np.array([0.9, 0.4, 0.2])
    seen = [
        Measurement(float(t), name, at_rest[name] + d)
        for t, (name, d) in enumerate(zip("yyw", off, strict=True))
    ]
    noise = {"y": Noise(additive=0.4, correlation=correlation), "w": Noise(additive=0.1)}
    likelihood = SubjectLikelihood(linear, EventTable.empty(), seen, noise, prior.names)
    errors = np.diag([0.16, 0.16, 0.01])
    errors[0, 1] = errors[1, 0] = 0.16 * correlation
    mean, covariance = closed_form(prior, np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]]), off, errors)
    best = modes(prior, likelihood)
    np.testing.assert_allclose(best.z[0], mean, rtol=1e-4)
    np.testing.assert_allclose(best.covariance[0], covariance, rtol=1e-4)
    drawn = sampled(prior, likelihood, best, 12_000, seed=1)
    assert drawn.effective > 6000
    some = drawn.z[drawn.resampled(12_000)]
    se = np.sqrt(np.diag(covariance) / drawn.effective)
    assert (abs(some.mean(axis=0) - mean) < 4 * se).all()
    np.testing.assert_allclose(np.cov(some.T), covariance, rtol=0.08)


def test_the_likelihood_is_the_normal_density_and_its_derivatives_are_those_of_differences():
    kernel = pkpd.load("one_compartment_iv")
    events = Schedule.parse("100 mg iv every 12 h x2").events_for(kernel)
    seen = [Measurement(t, "C", v) for t, v in ((2.0, 2.2), (12.0, 1.1), (20.0, 2.0))]
    noise = {"C": Noise(proportional=0.2, additive=0.1, correlation=0.3)}
    likelihood = SubjectLikelihood(kernel, events, seen, noise, ("CL", "V"))
    at = np.array([kernel.VALUES])
    f = pkpd.simulate(kernel, "100 mg iv every 12 h x2", [2.0, 11.9999999, 20.0])["C"][0]  # before the dose
    sd = np.sqrt((0.2 * f) ** 2 + 0.01)
    correlation = 0.3 + 0.7 * np.eye(3)
    density = stats.multivariate_normal(f, sd[:, None] * correlation * sd).logpdf([2.2, 1.1, 2.0])
    point = likelihood.derived(at)
    assert point.value[0] == pytest.approx(-density, rel=1e-3)
    for k in range(2):
        moved = np.repeat(at, 2, axis=0)
        moved[:, k] *= [1.01, 0.99]
        high, low = likelihood.minus_log(moved)
        assert point.gradient[0, k] == pytest.approx((high - low) / (0.02 * at[0, k]), rel=0.02, abs=2e-3)


def test_expected_information_is_that_of_simulated_measurements():
    """The mean of squared scores over data of the model is its expected information, with errors that grow
    with the output."""
    kernel = pkpd.load("one_compartment_iv")
    events = Schedule.parse("100 mg iv once").events_for(kernel)
    noise = {"C": Noise(proportional=0.3, correlation=0.4)}
    times, at = np.array([1.0, 8.0]), np.array([kernel.VALUES])
    f = pkpd.simulate(kernel, "100 mg iv once", times)["C"][0]
    root = np.linalg.cholesky(0.09 * f[:, None] * (0.4 + 0.6 * np.eye(2)) * f)
    scores = []
    for e in np.random.default_rng(1).standard_normal((1500, 2)):
        seen = [Measurement(t, "C", y) for t, y in zip(times, f + root @ e, strict=True)]
        point = SubjectLikelihood(kernel, events, seen, noise, ("CL", "V")).derived(at)
        scores.append(point.gradient[0])
    found = np.array(scores).T @ scores / len(scores)
    size = np.sqrt(np.diag(point.information[0]))
    np.testing.assert_allclose(
        found / size / size[:, None], point.information[0] / size / size[:, None], atol=0.1
    )


# --- frequencies ---


def test_intervals_hold_the_truth_as_often_as_they_say():
    """200 people at the truth with three measurements each: 90 % intervals of parameters and predictions."""
    kernel = pkpd.load("one_compartment_iv")
    prior = prior_for(kernel, correlation=0.0)
    prior.spread[:] = [0.5, 0.4]
    text = "100 mg iv every 12 h x4"
    events = Schedule.parse(text).events_for(kernel)
    noise = {"C": Noise(proportional=0.3, additive=0.05)}
    rng = np.random.default_rng(3)
    n, times, ahead = 200, np.array([1.0, 14.0, 36.0]), 60.0
    truth = prior.values(np.zeros(n, np.int64), rng.standard_normal((n, 2)))
    f = pkpd.solve(kernel, truth, events, [*times, ahead]).outputs[:, :, 0]
    before_dose = pkpd.solve(kernel, truth, events, [35.9999999]).outputs[:, 0, 0]
    f[:, 2] = before_dose
    y = f[:, :3] + noise["C"].errors(f[:, :3])[0] * rng.standard_normal((n, 3))
    hits = []
    for k in range(n):
        seen = [Measurement(t, "C", v) for t, v in zip(times, y[k], strict=True)]
        likelihood = SubjectLikelihood(kernel, events, seen, noise, prior.names, threads=1)
        drawn = sampled(prior, likelihood, modes(prior, likelihood), 600, seed=k)
        values = prior.values(drawn.draw, drawn.z)[drawn.resampled(400)]
        foreseen = pkpd.solve(kernel, values, events, [ahead]).outputs[:, 0, 0]
        low, high = np.quantile(np.c_[values[:, :2], foreseen], (0.05, 0.95), axis=0)
        true = np.r_[truth[k, :2], f[k, 3]]
        hits.append((low <= true) & (true <= high))
    share = np.mean(hits, axis=0)
    assert (share > 0.85).all(), share
    assert (share < 0.95).all(), share


def test_without_measurements_a_person_is_one_of_the_population():
    found = individualise("low_dose_il2", [], "1 MIU sc daily x5", subjects=2000)
    np.testing.assert_allclose(found.eta, 0.0, atol=1e-9)
    k = found.kernel.PARAMETERS.index("pct0")
    for level in (0.05, 0.5, 0.95):
        before, after = (np.quantile(people.values[:, k], level) for people in (found.before, found.after))
        assert after == pytest.approx(before, rel=0.06)
    alone = individualise("low_dose_il2", [], "1 MIU sc daily x5", subjects=10, vary=["between"])
    sds = [float(np.sqrt(alone.eta_covariance[i, i])) for i in range(len(alone.names))]
    known = pkpd.FitResult.read_json(pkpd.core.library.fit_result("low_dose_il2")).between
    assert sds == pytest.approx([known[name] for name in alone.names])


def test_more_exact_measurements_come_closer_to_the_truth_and_bands_narrow():
    rest = [Measurement(24.0 * day, "treg_pct", 5.0) for day in (-14.0, -7.0, 0.0)]
    one, three = (individualise("low_dose_il2", seen, "none", subjects=400) for seen in (rest[:1], rest))
    k = one.kernel.PARAMETERS.index("pct0")
    widths = [np.ptp(np.quantile(found.after.values[:, k], (0.05, 0.95))) for found in (one, three)]
    assert widths[1] < 0.75 * widths[0]
    assert three.rows()[2]["after"][1] == pytest.approx(5.0, abs=0.15)
    assert three.effective > 200


def test_a_known_covariate_tells_of_what_goes_together_with_it(linear):
    class Result:
        name, between = "linear", {"A": 0.5, "B": 0.3}

    typical, spread = np.array([[2.0, 3.0]]), np.array([[0.5, 0.3]])
    prior = prior_of(linear, Result, typical, spread, {"B": 3.0 * math.exp(0.3)})
    assert prior.names == ("A",)
    np.testing.assert_allclose(prior.mean, [[0.6]])  # one SD of B, correlation 0.6
    np.testing.assert_allclose(prior.covariance, [[1 - 0.36]])
    assert prior.typical[0, 1] == pytest.approx(3.0 * math.exp(0.3))


def test_no_draw_depends_on_threads():
    seen = [Measurement(168.0, "treg_pct", 8.0)]
    one, two = (
        individualise("low_dose_il2", seen, "1 MIU sc daily x5", subjects=50, draws=4, threads=threads)
        for threads in (1, 2)
    )
    assert (one.after.values == two.after.values).all()


# --- what is read ---

GOOD = "time,time_unit,output,value,unit\n0,d,treg_pct,5,percent\n168,h,treg_pct,0.08,1\n"


def test_a_table_is_read_in_any_units(tmp_path):
    path = tmp_path / "her.csv"
    path.write_text(GOOD, encoding="utf-8")
    kernel = pkpd.load("il2_treg")
    first, second = read_measurements(path, kernel, {"treg_pct": None})
    assert first == Measurement(0.0, "treg_pct", 5.0)
    assert second == Measurement(168.0, "treg_pct", pytest.approx(8.0))


@pytest.mark.parametrize(
    ("line", "place", "said"),
    [
        ("x,d,treg_pct,5,percent", ":3:1 (time)", '"x" is not a number'),
        ("0,fortnight,treg_pct,5,percent", ":3:3 (time_unit)", "is not a unit of time"),
        ("0,d,tregpct,5,percent", ":3:5 (output)", 'did you mean "treg_pct"?'),
        ("0,d,il2,5,IU/mL", ":3:5 (output)", "states no error of measurement for il2"),
        ("0,d,treg_pct,,percent", ":3:14 (value)", "a number is missing"),
        ("0,d,treg_pct,5,mg", ":3:16 (unit)", "mg"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_column(tmp_path, line, place, said):
    path = tmp_path / "her.csv"
    path.write_text(GOOD.splitlines()[0] + f"\n0,d,treg_pct,5,percent\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError) as error:
        individualise("low_dose_il2", path, "none")
    assert place in str(error.value)
    assert said in str(error.value)


def test_a_missing_or_unknown_column_is_told(tmp_path):
    path = tmp_path / "her.csv"
    path.write_text("time,output,value,units\n0,treg_pct,5,percent\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"time_unit.*this column is missing") as error:
        individualise("low_dose_il2", path, "none")
    assert 'did you mean "unit"' in str(error.value)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="without a spread"):
        individualise("low_dose_il2", [], "none", covariates={"pct0": (6.0, 0.1)})
    with pytest.raises(InputError, match='vary by "between"'):
        individualise("low_dose_il2", [], "none", vary=["uncertainty"])
    with pytest.raises(DataError, match="no error of measurement"):
        individualise("low_dose_il2", [Measurement(0.0, "il2", 1.0)], "none")
