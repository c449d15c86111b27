"""Claim: a covariate with a distribution differs between subjects as it says, in cohorts, in virtual subjects
of a fit and in its arms; what a subject or an arm brings along replaces it; and it is never fitted."""

import math

import numpy as np
import pytest

import pkpd
from pkpd.core.errors import DataError, ModelError
from pkpd.inference import FitOptions, ModelSpec, Objective, System, in_units, read_fit
from pkpd.inference.prediction import _Arms
from pkpd.inference.summary.reading import parse_data
from pkpd.model.check import Distribution, read_model
from pkpd.simulation.profile import population
from pkpd.solver.kernel import load

MODEL = """\
model      a marker and what it goes with
time       d
parameter  k = 2 [1/d]       response per marker  ~ lognormal(0.3)  # assumed
    prior      lognormal(2, 1)
covariate  marker = 2030 [pg/mL]  of the subject  ~ lognormal(0.74)  # assumed
covariate  age = 60 [1]      of the subject  # assumed
define     one = 1 [pg/mL]
output     rise = k*marker/one*age/60 [1/d]
output     typical = marker [pg/mL]
"""
HEADER = "row,study,arm,n,schedule,set,output,measure,reducer,time,time_unit,statistic,value,unit,spread,\
spread_type,use,source,provenance\n"
ROWS = """\
all,A,all,40,none,,rise,value,at,1,d,mean,5000,1/d,5000,SD,fit,made up,reported
high,A,high,40,none,marker = 4 ng/mL,rise,value,at,1,d,mean,9000,1/d,3000,SD,fit,made up,reported
young,A,young,40,none,age = 30 1,rise,value,at,1,d,mean,2600,1/d,2500,SD,fit,made up,reported
"""
FIT = """\
title = "a marker"
model = "./marker.model"
[options]
subjects = 64
starts = 1
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "marker"
    folder.mkdir()
    (folder / "marker.model").write_text(MODEL)
    (folder / "fit.toml").write_text(FIT)
    (folder / "data.csv").write_text(HEADER + ROWS)
    return folder


@pytest.fixture
def kernel():
    return load(read_model(MODEL, "marker.model"))


def column(values, kernel, name):
    return values[:, kernel.PARAMETERS.index(name)]


def test_it_stands_in_the_model():
    marker = read_model(MODEL, "marker.model").parameter("marker")
    assert (marker.kind, marker.between) == ("covariate", Distribution("lognormal", (0.74,)))
    with pytest.raises(ModelError, match=r"my\.model:5:54: marker varies log-normally"):
        read_model(MODEL.replace("= 2030 [", "= 0 [    "), "my.model")


def test_subjects_of_a_simulation_have_their_own_unless_it_is_given(kernel):
    n = 4000
    drawn = column(population(kernel, n, seed=1), kernel, "marker")
    logs = np.log(drawn / 2030)
    assert abs(logs.mean()) < 4 * 0.74 / math.sqrt(n)
    assert logs.std() == pytest.approx(0.74, abs=4 * 0.74 / math.sqrt(2 * n))
    assert column(population(kernel, 1), kernel, "marker").tolist() == [2030]
    given = population(kernel, n, seed=1, parameters={"marker": 3000.0})
    assert set(column(given, kernel, "marker")) == {3000.0}
    np.testing.assert_array_equal(
        column(given, kernel, "k"), column(population(kernel, n, seed=1), kernel, "k")
    )
    own = population(kernel, 3, parameters={"marker": [1.0, 2.0, 3.0]})
    assert column(own, kernel, "marker").tolist() == [1.0, 2.0, 3.0]


def of_arms(folder, subjects):
    system = System.load(str(folder / "marker.model"))
    spec = ModelSpec(str(folder / "marker.model"), free={"k": None})
    rows = in_units(parse_data(HEADER + ROWS), system).rows
    return Objective(system, spec, rows, options=FitOptions(subjects=subjects))


def test_patients_of_an_arm_differ_in_it_unless_the_arm_sets_it(folder):
    """The mean of a product of log-normal numbers, and their CV, in closed form."""
    objective = of_arms(folder, 4096)
    found = objective.evaluate(objective.start, jacobian=True)
    spread = math.exp(0.3**2 / 2)
    both = 2 * 2030 * spread * math.exp(0.74**2 / 2)
    predicted = [term.predicted for term in found.terms]
    assert predicted == pytest.approx([both, 2 * 4000 * spread, both / 2], rel=3e-3)
    assert objective.between(objective.start) == {"k": 0.3, "marker": 0.74}
    sds = [arm.outputs[:, 0, 0].std() / arm.outputs[:, 0, 0].mean() for arm in found.arms]
    alone, all_ = (math.sqrt(math.expm1(v)) for v in (0.3**2, 0.3**2 + 0.74**2))
    assert sds == pytest.approx([all_, alone, all_], rel=0.03)
    # the typical response moves all of them in proportion
    np.testing.assert_allclose(found.predicted_jacobian[:, 0], predicted, rtol=1e-6)


def test_it_is_never_fitted(folder):
    for table, said in (
        ("[free]\nmarker = true", "marker is a covariate"),
        ("[between]\nmarker = true", "marker is a covariate, whose spread is not fitted"),
    ):
        (folder / "fit.toml").write_text(f"{FIT}{table}\n")
        with pytest.raises(DataError, match=said):
            pkpd.fit(folder, rival=False)


def test_virtual_subjects_and_predicted_arms_have_it(folder):
    fitted = pkpd.fit(folder, rival=False)
    fitted.write_json(folder / "result.json")
    n = 4000
    people = pkpd.virtual_subjects(folder, n, seed=2, vary=["between"])
    drawn = column(people.values, people.kernel, "marker")
    assert np.log(drawn / 2030).std() == pytest.approx(0.74, abs=4 * 0.74 / math.sqrt(2 * n))
    same = pkpd.virtual_subjects(folder, n, seed=2, vary=["between"], covariates={"marker": 500.0})
    assert set(column(same.values, same.kernel, "marker")) == {500.0}
    np.testing.assert_array_equal(
        column(same.values, same.kernel, "k"), column(people.values, people.kernel, "k")
    )
    other = pkpd.virtual_subjects(folder, n, seed=2, vary=["between"], covariates={"marker": (500.0, 0.2)})
    logs = np.log(column(other.values, other.kernel, "marker") / 500)
    np.testing.assert_allclose(logs / 0.2, np.log(drawn / 2030) / 0.74, atol=1e-9)
    without = pkpd.virtual_subjects(folder, 5, seed=2, vary=["uncertainty"])
    assert set(column(without.values, without.kernel, "marker")) == {2030.0}

    spec = read_fit(folder)
    arms = _Arms(fitted, spec, System.load(spec.main.model), None)
    rows = {row.id: row for row in in_units(parse_data(HEADER + ROWS), arms.system).rows}
    for name, spread in (("all", 0.74), ("high", 0.0)):
        subjects = arms.subjects("A", rows[name].overrides, 512)
        logs = np.log(column(subjects, arms.system.kernel, "marker"))
        assert logs.std() == pytest.approx(spread, abs=1e-6)
