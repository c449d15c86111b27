"""How much studies differ is estimated as closed forms and direct integration have it: a random-effects
meta-analysis by ML and REML, a dose-response with study effects, counts."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import toy
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit

from pkpd.core.errors import DataError
from pkpd.core.toml import TomlTable
from pkpd.inference import FitOptions, FitResult, ModelSpec, Objective, StudyEffect, System, fit, read_fit
from pkpd.inference.assess import far_effects
from pkpd.inference.heterogeneity import Linear, estimated, heterogeneity_of, is_estimated
from pkpd.inference.marginal import Marginal, criteria
from pkpd.inference.optimum import objective_of
from pkpd.inference.search import minimise
from pkpd.inference.spec import Prior, _study_effect
from pkpd.inference.summary.reading import parse_data
from pkpd.model.check import Parameter

NAMES = ("E0", "Emax", "ED50", "dose")


def response(p):
    """Effect, and the same as a probability and a rate: (3,); complex p gives derivatives by complex step."""
    e0, emax, ed50, dose = p
    effect = e0 + emax * dose / (ed50 + dose)
    return np.array([effect, 1 / (1 + np.exp(-effect)), np.exp(effect)])


def solve(kernel, parameters, events, times, *, options=None, directions=(), readings=()):
    """The signature of ``simulate.solve`` for responses that do not change with time."""
    out = np.stack([np.tile(response(p), (times.size, 1)) for p in parameters])
    s = np.zeros((*out.shape, len(directions)))
    for d, index in enumerate(directions):
        for i, p in enumerate(parameters):
            moved = p.astype(complex)
            moved[index] += 1e-30j
            s[i, ..., d] = response(moved).imag / 1e-30
    return SimpleNamespace(
        outputs=out,
        sensitivities=s if directions else None,
        status=np.zeros(len(parameters), dtype=int),
        method_used=np.zeros(len(parameters), dtype=int),
    )


def parameter(name, value, lower=-math.inf):
    return Parameter(name, value, "1", "", "parameter", lower, math.inf, None, None, "made up", "assumed")


def system():
    parameters = (
        parameter("E0", 0.1),
        parameter("Emax", 1.0),
        parameter("ED50", 5.0, lower=0.0),
        parameter("dose", 0.0, lower=0.0),
    )
    units = {"effect": "1", "share": "1", "events": "1/h"}
    return System("dose_response", "", parameters, units, "h", (), (), {}, {}, None)


HEADER = "row,study,arm,n,schedule,set,output,measure,reducer,time,time_unit,statistic,value,unit,spread,\
spread_type,lower,upper,effect,use,source,provenance\n"


def effect_row(i, study, dose, value, se):
    seen = f"r{i},{study},a{i},,none,dose={dose} 1,effect,value,at,1,h,mean,{value!r},1,{se!r},SE"
    return f"{seen},,,,fit,made up,reported"


def objective(lines, free, effects, method="ML", header=HEADER):
    rows = parse_data((header + "\n".join(lines) + "\n").encode(), "data.csv").rows
    spec = ModelSpec("dose_response", dict(free), study_effects=effects)
    options = FitOptions(subjects=1, tolerance=1e-9, heterogeneity=method)
    return Objective(system(), spec, rows, options=options, relative_error=0.3, solve=solve)


def fitted(o):
    return estimated(o, minimise(o, o.start))


META = {"A": (0.10, 0.10), "B": (0.90, 0.22), "C": (0.45, 0.15), "D": (-0.20, 0.12), "E": (0.60, 0.30)}
"""Estimate and standard error of five trials."""


def of_meta(method, tau=math.nan):
    """Mean, its standard error, and tau of a normal random-effects meta-analysis (Viechtbauer 2005,
    eq. 5-8)."""
    y, se = np.array(list(META.values())).T

    def cost(log_tau):
        w = 1 / (se**2 + math.exp(2 * float(np.squeeze(log_tau))))
        mean = (w * y).sum() / w.sum()
        more = math.log(w.sum()) if method == "REML" else 0.0
        return (w * (y - mean) ** 2).sum() - np.log(w).sum() + more

    tau = math.exp(minimize(cost, [-1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}).x[0])
    w = 1 / (se**2 + tau**2)
    return (w * y).sum() / w.sum(), 1 / math.sqrt(w.sum()), tau


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_a_random_effects_meta_analysis(method):
    lines = [effect_row(i, study, 0, *pair) for i, (study, pair) in enumerate(META.items())]
    o, best = fitted(objective(lines, {"E0": None}, (StudyEffect("E0", 0.5, free=True),), method))
    mean, error, tau = of_meta(method)
    (found,) = heterogeneity_of(o, best)
    assert best.converged
    assert best.x[0] == pytest.approx(mean, abs=1e-4)
    assert found.sd == pytest.approx(tau, rel=1e-3)
    assert found.lower < tau < found.upper and found.studies == 5 and found.method == method
    matrix = best.jacobian.T @ best.jacobian
    assert math.sqrt(np.linalg.inv(matrix)[0, 0]) == pytest.approx(error, rel=1e-3)
    y, se = np.array(list(META.values())).T
    density = stats.norm(best.x[0], np.sqrt(se**2 + found.sd**2)).logpdf(y).sum()
    judged = criteria(o, best.x, best.evaluation)
    assert judged.minus_2ll == pytest.approx(-2 * density, abs=1e-6)
    assert judged.parameters == pytest.approx(2) and judged.independent == 5
    assert judged.aic == pytest.approx(-2 * density + 4)


@pytest.mark.parametrize("prior", [None, Prior("normal", 1.0, 0.5)], ids=["flat", "normal"])
def test_what_no_row_informs_counts_for_no_parameter(prior):
    """Without a dose nothing is told of ``Emax``; ``E0`` counts as before."""
    lines = [effect_row(i, study, 0, *pair) for i, (study, pair) in enumerate(META.items())]
    alone = objective(lines, {"E0": None}, (StudyEffect("E0", 0.5),))
    beside = objective(lines, {"E0": None, "Emax": prior}, (StudyEffect("E0", 0.5),))
    counts = [
        criteria(o, o.start, o.evaluate(o.start, jacobian=True), simulate=False).parameters
        for o in (alone, beside)
    ]
    assert counts == pytest.approx([1, 1])


def test_study_effects_more_than_two_sds_out_are_told_the_furthest_first():
    lines = [effect_row(i, study, 0, *pair) for i, (study, pair) in enumerate(META.items())]
    o = objective(lines, {"E0": None}, (StudyEffect("E0", 0.3),))
    effects = {"A": 0.6, "B": 0.7, "D": -0.9}
    told = far_effects(o, np.array([effects.get(c.study, 0.0) for c in o.coordinates]))
    assert [words.split()[0] for words in told] == ["D", "B"]
    assert "E0 lies 3.0 SDs between studies below" in told[0] and "2.3 SDs" in told[1]


DOSES = (0.0, 2.0, 5.0, 20.0)


def trials(studies, seed, tau=0.3, tau_max=0.0, se=0.08):
    """(study, dose, value, se) of parallel arms; the baseline and the largest effect differ by study."""
    rng = np.random.default_rng(seed)
    found = []
    for s in range(studies):
        base, largest = 0.2 + tau * rng.standard_normal(), 1.2 + tau_max * rng.standard_normal()
        for dose in DOSES:
            mean = base + largest * dose / (5.0 + dose)
            found.append((f"S{s}", dose, mean + se * rng.standard_normal(), se))
    return found


def test_emax_with_study_effects_is_a_marginal_normal_model():
    """Its mean is nonlinear, and so is its covariance where the largest effect differs between studies."""
    known = trials(8, 2, tau=0.3, tau_max=0.4)
    lines = [effect_row(i, *one) for i, one in enumerate(known)]
    effects = (StudyEffect("E0", 0.5, free=True), StudyEffect("Emax", 0.5, free=True))
    o, best = fitted(objective(lines, dict.fromkeys(NAMES[:3]), effects))

    doses = np.array(DOSES)
    y = np.array([one[2] for one in known]).reshape(8, 4)

    def cost(point):
        e0, emax, log_ed50, log_a, log_b = point
        rise = doses / (math.exp(log_ed50) + doses)
        v = 0.08**2 * np.eye(4) + math.exp(2 * log_a) + math.exp(2 * log_b) * np.outer(rise, rise)
        return -2 * stats.multivariate_normal(e0 + emax * rise, v).logpdf(y).sum()

    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 20000, "maxfev": 20000}
    direct = minimize(cost, [0.2, 1.2, 1.6, -1.0, -1.0], method="Nelder-Mead", options=options)
    sds = [one.sd for one in heterogeneity_of(o, best)]
    np.testing.assert_allclose(best.x[:3], direct.x[:3], atol=2e-4)
    np.testing.assert_allclose(np.log(sds), direct.x[3:], atol=2e-3)
    assert criteria(o, best.x, best.evaluation).minus_2ll == pytest.approx(direct.fun, abs=1e-4)


@pytest.mark.parametrize(
    ("events", "n"),
    [
        ([1, 3, 0, 6, 2, 8, 4, 1], [12, 14, 10, 12, 15, 11, 12, 9]),
        ([0, 7, 3, 5, 12, 6, 2, 3], [6, 10, 12, 9, 12, 8, 5, 11]),
    ],
    ids=["some", "nobody and all"],
)
def test_counts_with_study_effects_are_integrated(events, n):
    """Responders of small trials: logistic with normal effects has no closed form, and its mode is not its
    mean."""
    lines = [
        f"r{i},S{i},a,{m},none,,share,value,at,1,h,fraction,{float(k / m)!r},1,,,,,,fit,made up,reported"
        for i, (k, m) in enumerate(zip(events, n, strict=True))
    ]
    o, best = fitted(objective(lines, {"E0": None}, (StudyEffect("E0", 0.5, free=True),)))
    (found,) = heterogeneity_of(o, best)
    z = np.linspace(-9, 9, 4001)
    w = stats.norm.pdf(z)

    def cost(point):
        p = expit(point[0] + math.exp(point[1]) * z)
        return -2 * sum(
            math.log(np.sum(w * stats.binom.pmf(k, m, p)) / w.sum()) for k, m in zip(events, n, strict=True)
        )

    direct = minimize(cost, [-1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    assert best.x[0] == pytest.approx(direct.x[0], abs=5e-3)
    assert math.log(found.sd) == pytest.approx(direct.x[1], abs=1e-2)
    assert criteria(o, best.x, best.evaluation).minus_2ll == pytest.approx(direct.fun, abs=5e-3)


def test_rates_with_study_effects_are_integrated():
    """Events of trials without one and with many: Poisson with log-normal rates, against a sum over
    4001 rates in every trial."""
    events, time = [0, 3, 0, 11, 2, 7, 1, 25], [8.0, 6.0, 2.5, 10.0, 9.0, 4.0, 7.0, 12.0]
    table = HEADER.strip() + ",person_time\n"
    lines = [
        f"r{i},S{i},a,,none,,events,value,at,1,h,rate,{k / hours!r},1/h,,,,,,fit,made up,reported,{hours}"
        for i, (k, hours) in enumerate(zip(events, time, strict=True))
    ]
    effects = (StudyEffect("E0", 0.5, free=True),)
    o, best = fitted(objective(lines, {"E0": None}, effects, header=table))
    (found,) = heterogeneity_of(o, best)
    z = np.linspace(-9, 9, 4001)
    w = stats.norm.pdf(z)

    def cost(point):
        rate = np.exp(point[0] + math.exp(point[1]) * z)
        return -2 * sum(
            math.log(np.sum(w * stats.poisson.pmf(k, hours * rate)) / w.sum())
            for k, hours in zip(events, time, strict=True)
        )

    direct = minimize(cost, [-1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    assert best.x[0] == pytest.approx(direct.x[0], abs=5e-3)
    assert math.log(found.sd) == pytest.approx(direct.x[1], abs=1e-2)
    assert criteria(o, best.x, best.evaluation).minus_2ll == pytest.approx(direct.fun, abs=5e-3)


def test_the_gradient_is_that_of_the_marginal_likelihood():
    lines = [effect_row(i, *one) for i, one in enumerate(trials(3, 5, tau_max=0.3))]
    effects = (StudyEffect("E0", 0.3), StudyEffect("Emax", 0.3), StudyEffect("ED50", 0.2))
    o = objective(lines, dict.fromkeys(NAMES[:3]), effects)
    marginal, sds = Marginal(o), np.array([c.sd for c in o.coordinates])
    x = minimise(o, o.start).x + 0.02
    at = marginal.at(x, sds)
    for i in range(3):
        ahead, behind = x.copy(), x.copy()
        ahead[i] += 1e-4
        behind[i] -= 1e-4
        slope = (marginal.minus_2ll(ahead, sds) - marginal.minus_2ll(behind, sds)) / 2e-4
        assert 2 * at.gradient[i] == pytest.approx(slope, rel=0.02, abs=0.02)


def test_studies_that_are_alike_have_no_sd():
    lines = [effect_row(i, f"S{i}", 0, value, 0.2) for i, value in enumerate((0.1, 0.12, 0.11, 0.09))]
    o, best = fitted(objective(lines, {"E0": None}, (StudyEffect("E0", 0.5, free=True),), "REML"))
    (found,) = heterogeneity_of(o, best)
    assert best.converged and found.sd < 1e-2 and found.lower == 0 and 0.1 < found.upper < 1


def test_a_half_normal_prior_draws_an_sd_down():
    lines = [effect_row(i, study, 0, *pair) for i, (study, pair) in enumerate(META.items())]
    sds = []
    for prior in (math.nan, 0.3, 0.05):
        o, best = fitted(
            objective(lines, {"E0": None}, (StudyEffect("E0", 0.5, free=True, prior=prior),), "REML")
        )
        sds.append(heterogeneity_of(o, best)[0].sd)
    y, se = np.array(list(META.values())).T

    def cost(log_tau):
        w = 1 / (se**2 + math.exp(2 * float(log_tau[0])))
        mean = (w * y).sum() / w.sum()
        return (
            (w * (y - mean) ** 2).sum()
            - np.log(w).sum()
            + math.log(w.sum())
            + math.exp(2 * log_tau[0]) / 0.09
        )

    assert sds[1] == pytest.approx(math.exp(minimize(cost, [-1.0], method="Nelder-Mead").x[0]), rel=1e-3)
    assert sds[0] > sds[1] > sds[2]


def test_ninety_five_percent_of_intervals_cover_the_sd():
    """REML and its profile in the linear model itself: eight studies, an SD of 0.4."""
    rng, covered, trials = np.random.default_rng(1), 0, 400
    for _ in range(trials):
        se = rng.uniform(0.1, 0.4, 8)
        y = 0.4 * rng.standard_normal(8) + se * rng.standard_normal(8)
        nan = np.array([math.nan])
        model = Linear(y / se, 1 / se[:, None], (np.diag(1 / se),), np.eye(8), "REML", nan)
        low, high, tilt = np.array([1e-6]), np.array([1e4]), np.zeros(1)
        v = model.lowest(np.array([0.2]), low, high, tilt)
        lower, upper = model.interval(v, low, high, 0)
        covered += lower <= 0.16 <= upper
    assert 0.92 <= covered / trials <= 0.98


def test_what_is_not_estimated_stays():
    o = objective([effect_row(0, "A", 0, 0.3, 0.1)], {"E0": None}, (StudyEffect("E0", 0.5),))
    best = minimise(o, o.start)
    assert not is_estimated(o) and estimated(o, best) == (o, best) and heterogeneity_of(o, best) == ()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"sd": 0.3, "prior": "half-normal(0.5)"}, "an SD that is not free has no prior"),
        ({"sd": 0.3, "free": True, "prior": "normal(0, 1)"}, "is not one of an SD"),
        ({"sd": 0.3, "free": True, "prior": "half-normal(x)"}, "is not one of an SD"),
        ({"sd": 0.3, "free": "yes"}, "free must be true or false"),
        ({"sd": 0.3, "sdd": 1}, "unknown key"),
    ],
)
def test_wrong_words_about_an_sd_are_named(written, words):
    with pytest.raises(DataError, match=words):
        _study_effect("E0", TomlTable(written, "fit.toml: [study_effects] E0"))


def test_a_fit_tells_the_sd_between_studies(tmp_path):
    folder = toy.write(tmp_path / "toy")
    stated = (folder / "fit.toml").read_text()
    free = '[study_effects]\nV = { sd = 0.2, free = true, prior = "half-normal(0.5)" }'
    (folder / "fit.toml").write_text(stated.replace("[study_effects]\nV = 0.2", free, 1))
    result = fit(folder, rival=False, unverified=False, check=False)
    (found,) = result.heterogeneity
    assert found.parameter == "V" and found.studies == 2 and 0 <= found.lower <= found.sd
    assert found.sd < found.upper < 2  # the prior bounds it, of two studies too
    assert str(found) in result.notes and str(found) in result.summary()
    result.write_json(tmp_path / "result.json")
    assert FitResult.read_json(tmp_path / "result.json").heterogeneity == result.heterogeneity
    again = objective_of(result, read_fit(folder))
    assert {c.sd for c in again.coordinates if c.kind == "study effect"} == {found.sd}
