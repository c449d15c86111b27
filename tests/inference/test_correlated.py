"""Claim: correlations of a model are those of the logarithms of its subjects' parameters, in cohorts, virtual
subjects and arms of a fit, with the spread of each as it is; and whoever stands alone is drawn as before."""

import dataclasses
import math
import shutil

import numpy as np
import pytest
from scipy import stats

import pkpd
from pkpd.inference import FitOptions, ModelSpec, Objective, Prior, System, in_units, read_fit
from pkpd.inference.population import RESPONDERS
from pkpd.inference.prediction import _Arms
from pkpd.inference.summary.reading import parse_data
from pkpd.model.check import read_model
from pkpd.simulation.profile import correlated, normals, population
from pkpd.solver.kernel import load

MODEL = """\
model        a decline and where it begins
time         d
parameter    alone = 1 [1]         of its own           ~ lognormal(0.2)  # assumed
parameter    slope = 0.02 [1/d]    of the decline       ~ lognormal(0.5)  # assumed
    prior        lognormal(0.02, 0.5)
parameter    base = 40 [1]         where it begins      ~ lognormal(0.15)  # assumed
    prior        lognormal(40, 0.5)
covariate    marker = 2030 [1]     of the subject       ~ lognormal(0.74)  # assumed
state        y = base [1]
d y = -slope*y*alone*drug
parameter    drug = 1 [1]          makes it faster      ~ lognormal(0.1)  # assumed
    prior        lognormal(1, 0.5)
output       score = y [1]
output       product = marker*slope*base [1/d]
correlation  base slope = -0.4
correlation  slope marker = 0.6
"""
WITHOUT = MODEL.partition("correlation")[0]
SDS = {"alone": 0.2, "slope": 0.5, "base": 0.15, "marker": 0.74, "drug": 0.1}
OF = {("slope", "base"): -0.4, ("slope", "marker"): 0.6}
HEADER = "row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,\
spread_type,use,source,provenance\n"
ROWS = """\
late,A,all,40,none,score,value,at,40,d,mean,19,1,8,SD,fit,made up,reported
early,A,all,40,none,score,value,at,0,d,mean,40,1,6,SD,fit,made up,reported
product,A,all,40,none,product,value,at,0,d,mean,3000,1/d,4000,SD,fit,made up,reported
"""
FIT = """\
title = "a decline"
model = "./decline.model"
[options]
subjects = 32
starts = 1
[between]
drug = true
[study_effects]
base = 0.1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("correlated") / "decline"
    folder.mkdir()
    (folder / "decline.model").write_text(MODEL)
    (folder / "fit.toml").write_text(FIT)
    (folder / "data.csv").write_text(HEADER + ROWS)
    return folder


@pytest.fixture(scope="module")
def fitted(folder):
    found = pkpd.fit(folder, rival=False)
    found.write_json(folder / "result.json")
    return found


def kernel_of(text):
    return load(read_model(text, "decline.model"))


def check(values, kernel, sds, typical=None):
    """The correlations and SDs of logarithms, within four standard errors."""
    n = len(values)
    logs = np.log(values[:, [kernel.PARAMETERS.index(name) for name in sds]])
    for column, sd in zip(logs.T, sds.values(), strict=True):
        assert column.std() == pytest.approx(sd, abs=4 * sd / math.sqrt(2 * n))
    names = list(sds)
    for i, first in enumerate(names):
        for j, second in enumerate(names[:i]):
            r = OF.get((first, second), OF.get((second, first), 0.0))
            found = np.corrcoef(logs[:, i], logs[:, j])[0, 1]
            assert found == pytest.approx(r, abs=4 * (1 - r**2) / math.sqrt(n)), (first, second)


def test_subjects_go_together_as_the_model_says():
    kernel = kernel_of(MODEL)
    check(population(kernel, 4000, seed=1), kernel, SDS)


def test_who_stands_alone_and_models_without_correlations_keep_their_draws_to_the_last_bit():
    kernel, without = kernel_of(MODEL), kernel_of(WITHOUT)
    values, before = population(kernel, 200, seed=2), population(without, 200, seed=2)
    same = np.all(values == before, axis=0)
    names = np.array(kernel.PARAMETERS)[same].tolist()
    assert names == ["alone", "slope", "drug"]  # of those that go together, the first of the file too
    np.testing.assert_array_equal(population(kernel, 7, seed=2), values[:7])
    z = normals(1, 10, 3)
    assert correlated(["a", "b", "c"], (), z) is z


def test_a_subject_s_numbers_are_cholesky_s():
    kernel = kernel_of(MODEL)
    names, z = kernel.PARAMETERS, normals(5, 50, kernel.n_params)
    matrix = np.eye(len(names))
    for (first, second), r in OF.items():
        i, j = names.index(first), names.index(second)
        matrix[i, j] = matrix[j, i] = r
    expected = z @ np.linalg.cholesky(matrix).T
    np.testing.assert_allclose(correlated(names, kernel.CORRELATIONS, z), expected, atol=1e-14)


def objective(folder, subjects, **options):
    system = System.load(str(folder / "decline.model"))
    spec = ModelSpec(str(folder / "decline.model"), free={"slope": None, "base": None}, **options)
    rows = in_units(parse_data(HEADER + ROWS), system).rows
    return Objective(system, spec, rows, options=FitOptions(subjects=subjects))


def test_an_arm_s_mean_is_that_of_patients_who_go_together(folder):
    """Against a closed form, and against 400,000 patients drawn at random."""
    o = objective(folder, 4096)
    late, early, product = (term.predicted for term in o.evaluate(o.start).terms)
    variance = 0.74**2 + 0.5**2 + 0.15**2 + 2 * (0.6 * 0.74 * 0.5 - 0.4 * 0.5 * 0.15)
    assert product == pytest.approx(2030 * 0.02 * 40 * math.exp(variance / 2), rel=5e-3)
    assert early == pytest.approx(40 * math.exp(0.15**2 / 2), rel=1e-3)
    generator = np.random.default_rng(1)
    z = generator.multivariate_normal([0, 0], [[0.25, -0.03], [-0.03, 0.0225]], 400_000)
    alone = np.exp(generator.normal(0, math.hypot(0.2, 0.1), 400_000))
    patients = 40 * np.exp(z[:, 1]) * np.exp(-40 * 0.02 * np.exp(z[:, 0]) * alone)
    assert late == pytest.approx(patients.mean(), abs=4 * patients.std() / math.sqrt(400_000) + 0.02)
    independent = 40 * math.exp(0.15**2 / 2) * np.mean(patients / np.exp(z[:, 1])) / 40
    assert abs(independent - late) > 0.3  # or this could not tell them apart


def test_derivatives_by_typical_values_and_spreads_are_those_of_differences(folder):
    o = objective(folder, 64, between={"slope": Prior("lognormal", 0.5, 0.5)})
    x = o.start + 0.05
    found = o.evaluate(x, jacobian=True).jacobian
    for c in range(x.size):
        step = np.zeros(x.size)
        step[c] = 1e-4
        ends = [o.evaluate(x + sign * step).residuals for sign in (1, -1)]
        np.testing.assert_allclose(found[:, c], (ends[0] - ends[1]) / 2e-4, rtol=2e-3, atol=2e-3)


def test_virtual_subjects_and_predicted_arms_go_together(folder, fitted):
    n = 4000
    people = pkpd.virtual_subjects(folder, n, seed=3, vary=["between"])
    check(people.values, people.kernel, fitted.between)
    spec = read_fit(folder)
    arms = _Arms(fitted, spec, System.load(spec.main.model), None)
    subjects = arms.subjects("A", (), 2048)
    check(subjects, people.kernel, fitted.between)
    rows = in_units(parse_data(HEADER + ROWS), arms.system).rows
    options = dataclasses.replace(spec.options, subjects=2048)
    theirs, _ = Objective(arms.system, spec.main, rows, options=options)._subjects(
        np.array([e.x for e in fitted.estimates]), 0
    )
    np.testing.assert_allclose(theirs, subjects, rtol=1e-12)


def test_responders_take_along_what_goes_with_them(folder, tmp_path):
    """They are thirds of drug, whose spread was fitted and does not show at the beginning."""
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    (own / "decline.model").write_text(MODEL + "correlation drug alone = 0.5\n")
    fitted = pkpd.fit(own, rival=False)
    fitted.write_json(own / "result.json")
    n = 3000
    logs = {}
    for third in RESPONDERS:
        people = pkpd.virtual_subjects(own, n, seed=4, vary=["between"], responders=third)
        places = [people.kernel.PARAMETERS.index(name) for name in ("drug", "alone", "slope")]
        logs[third] = np.log(people.values[:, places])
    apart = (logs["high"] - logs["low"]).mean(axis=0)
    height = 3 * stats.norm.pdf(stats.norm.ppf(2 / 3))  # the mean of the upper third of a normal distribution
    drug = fitted.between["drug"]
    assert apart[:2] == pytest.approx([2 * height * drug, 2 * height * 0.5 * 0.2], abs=0.02)
    assert apart[2] == 0.0
    together = np.concatenate(list(logs.values()))
    assert np.corrcoef(together.T)[0, 1] == pytest.approx(0.5, abs=4 * 0.75 / math.sqrt(n))
    assert together.std(axis=0)[:2] == pytest.approx([drug, 0.2], rel=0.04)
