"""Shares of variance against closed forms: the function of Ishigami, a linear model whose inputs go together,
and the area under a curve, which clearance alone drives."""

import json
import math

import numpy as np
import pytest
from scipy.stats import norm

import pkpd
from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene
from pkpd.decision.drivers import drivers, indices
from pkpd.inference import fit, read_fit
from pkpd.inference.population import virtual_subjects
from pkpd.inference.sources import Sources
from pkpd.present.plot import save
from pkpd.present.report.drivers import figure

SPEC = """\
title = "A made-up study of one drug"
model = "./two.model"

[options]
subjects = 8
starts = 1

[free]
V = "lognormal(30, 0.5)"
CL = "lognormal(3, 0.5)"
"""
MODEL = """\
model      one compartment
time       h
parameter  CL = 3 [L/h]  clearance ~ lognormal(0.3)
    bounds  0.01 .. 100
parameter  V = 30 [L]    volume    ~ lognormal(0.2)
    bounds  0.1 .. 1000
state      A [mg]
route      iv -> A
d A = -CL/V*A
output     C = A/V [mg/L]
"""
DATA = """\
row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,spread_type,use,source,provenance
one,Alpha,100 mg,20,100 mg iv once,C,value,at,0.1,h,mean,3.1,mg/L,0.5,SD,fit,made up,reported
two,Alpha,100 mg,20,100 mg iv once,C,value,at,8,h,mean,1.4,mg/L,0.5,SD,fit,made up,reported
"""
ENDPOINTS = 'exposure = "C"\n'
SD_CL, SD_V, RHO = 0.1, 0.2, 0.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A fit that found CL = 3 and V = 30, with errors that go together; people differ by 0.3 and 0.2."""
    made = tmp_path_factory.mktemp("drivers") / "linear"
    made.mkdir()
    files = {"fit.toml": SPEC, "data.csv": DATA, "endpoints.toml": ENDPOINTS, "two.model": MODEL}
    for name, text in files.items():
        (made / name).write_text(text, encoding="utf-8")
    fit(read_fit(made), rival=False, unverified=False, check=False).write_json(made / "result.json")
    result = json.loads((made / "result.json").read_text(encoding="utf-8"))
    values = {"CL": (3.0, SD_CL), "V": (30.0, SD_V)}
    for estimate in result["estimates"]:
        value, sd = values[estimate["name"]]
        estimate |= {"value": value, "x": math.log(value), "x_sd": sd}
        result["values"][estimate["name"]] = value
    sds = [values[estimate["name"]][1] for estimate in result["estimates"]]
    result["covariance"] = (np.outer(sds, sds) * np.array([[1, RHO], [RHO, 1]])).tolist()
    (made / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def scene(folder):
    return Scene.create(folder, subjects=1, until_days=20)


@pytest.fixture(scope="module")
def area(scene):
    return drivers(scene, "100 mg iv once", "AUC")


# --- the indices


def ishigami(z, a=7.0, b=0.1):
    x = math.pi * (2 * norm.cdf(z) - 1)
    return np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])


def test_the_function_of_ishigami_has_its_indices():
    """Ishigami & Homma 1990: closed forms of its three first-order and total indices."""
    a, b, pi = 7.0, 0.1, math.pi
    variance = a**2 / 8 + b * pi**4 / 5 + b**2 * pi**8 / 18 + 0.5
    one = 0.5 * (1 + b * pi**4 / 5) ** 2
    three = 8 * b**2 * pi**8 / 225
    first = np.array([one, a**2 / 8, 0.0]) / variance
    total = np.array([one + three, a**2 / 8, three]) / variance
    found = indices.shares(ishigami, np.eye(3), [0, 1, 2], 4096, seed=1)
    assert found.first == pytest.approx(first, abs=0.02)
    assert found.total == pytest.approx(total, abs=0.02)
    wide = indices.shares(ishigami, np.eye(3), [0, 1, 2], 256, seed=3)
    assert (np.abs(wide.total - total) < 2.5 * wide.total_width).all()
    assert (np.abs(wide.first - first) < 2.5 * wide.first_width).all()


def test_of_a_linear_model_with_inputs_that_go_together_both_shares_are_known():
    """Y = a.x with x ~ N(0, R): Var(E[Y|x_i]) = (R a)_i^2 and E[Var(Y|others)] = a_i^2/(R^-1)_ii."""
    a = np.array([1.0, -2.0, 0.5, 0.0])
    R = np.array([[1, 0.7, 0.2, 0.5], [0.7, 1, 0.0, 0.1], [0.2, 0.0, 1, 0.3], [0.5, 0.1, 0.3, 1]])
    variance = a @ R @ a
    found = indices.shares(lambda z: z @ a, R, [0, 1, 2, 3], 4096, seed=1)
    assert found.first == pytest.approx((R @ a) ** 2 / variance, abs=0.02)
    assert found.total == pytest.approx(a**2 / np.diag(np.linalg.inv(R)) / variance, abs=0.02)
    some = indices.shares(lambda z: z @ a, R, [1, 3], 4096, seed=1)
    assert some.first == pytest.approx(found.first[[1, 3]], abs=1e-6)
    assert found.total[3] == 0.0  # it does nothing itself, but tells of one that does
    assert found.first[3] > 0.02


def test_samples_have_the_correlations_that_were_said():
    R = np.array([[1, -0.8], [-0.8, 1.0]])
    seen = []

    def kept(z):
        seen.append(z)
        return z[:, 0]

    indices.shares(kept, R, [0, 1], 1024, seed=2)
    (rows,) = seen
    for sample in rows.reshape(-1, 1024, 2):
        assert np.corrcoef(sample.T)[0, 1] == pytest.approx(-0.8, abs=0.03)
        assert sample.std(axis=0) == pytest.approx(1.0, abs=0.05)


def test_groups_share_the_variance_as_their_sums_do():
    roots = [np.linalg.cholesky(np.array([[1, 0.5], [0.5, 1]])), np.eye(1)]
    found = indices.groups(lambda z: z[:, 0] + z[:, 1] + z[:, 2], roots, 4096, seed=1)
    assert found.first == pytest.approx([3 / 4, 1 / 4], abs=0.02)
    assert found.total == pytest.approx([3 / 4, 1 / 4], abs=0.02)


def test_the_screening_finds_what_does_something():
    weights = np.array([0, 3, 0, 0, 0.5, 0, 0, 0, 0, 1.0])
    effects = indices.screened(lambda z: z @ weights, 10, seed=1)
    assert np.argsort(-effects)[:3].tolist() == [1, 9, 4]
    assert effects[[0, 2, 3, 5]] == pytest.approx(0.0, abs=1e-12)


# --- sources


def test_people_who_are_placed_are_those_who_are_drawn(folder):
    sources = Sources.of({"fit": folder})
    assert sources.people == ("CL", "V")
    drawn = virtual_subjects(folder, 5, vary=["between"])
    z = np.log(drawn.values / sources.typical) / sources.spread
    assert sources.population(z).values == pytest.approx(drawn.values)
    assert sources.population().values[0] == pytest.approx([3.0, 30.0])
    up = sources.population(None, sources.centre[None] + [[SD_CL, 0.0]])
    names = [estimate.name for estimate in sources.estimates]
    assert np.log(up.values[0, 0] / 3.0) == pytest.approx(SD_CL if names[0] == "CL" else 0.0)


def test_what_is_given_is_no_source(folder):
    sources = Sources.of({"fit": folder, "parameters": {"CL": 5.0}, "covariates": {"V": 20.0}})
    assert sources.people == ("CL",)  # around the value that is given
    assert sources.estimates == ()
    assert sources.population([[0.0]]).values[0] == pytest.approx([5.0, 20.0])


# --- drivers


def test_the_area_is_driven_by_clearance_alone(area):
    people = {one.name: one for one in area.of("people")}
    assert people["CL"].first == pytest.approx(1.0, abs=0.1)
    assert people["CL"].total == pytest.approx(1.0, abs=0.1)
    assert people["V"].total == pytest.approx(0.0, abs=1e-3)
    assert people["V"].swing < 2e-3 * area.typical
    assert area.typical == pytest.approx(100 / 3, rel=2e-3)
    ends = 100 / (3 * np.exp(0.3 * norm.ppf([0.05, 0.95])))
    assert [people["CL"].low, people["CL"].high] == pytest.approx(ends, rel=2e-3)
    assert people["CL"].low_value == pytest.approx(3 * math.exp(-0.3 * norm.ppf(0.95)))


def test_a_parameter_that_goes_with_the_clearance_tells_of_it_and_does_nothing_itself(area):
    """log AUC = const - log CL: of its variance V knows RHO^2 and has nothing of its own."""
    known = {one.name: one for one in area.of("parameters")}
    assert known["CL"].first == pytest.approx(1.0, abs=0.1)
    assert known["CL"].total == pytest.approx(1 - RHO**2, abs=0.1)
    assert known["V"].first == pytest.approx(RHO**2, abs=0.1)
    assert known["V"].total == pytest.approx(0.0, abs=1e-3)
    # at the 95 % of V the clearance is where it is then expected
    moved = 100 / (3 * math.exp(RHO * SD_CL * norm.ppf(0.95)))
    assert known["V"].high == pytest.approx(moved, rel=2e-3)


def test_people_and_parameters_share_the_variance_of_both(area):
    """CL of a person is lognormal with log-variances 0.09 of people and 0.01 of the parameters."""
    people, parameters = area.origins
    assert people.first == pytest.approx(0.9, abs=0.06)
    assert parameters.total == pytest.approx(0.1, abs=0.06)
    assert people.sd == pytest.approx(100 / 3 * math.sqrt(math.expm1(0.09)) * math.exp(0.045), rel=0.2)


def test_intervals_of_the_ends_are_those_of_the_change_by_the_other_origin(area):
    """An end is a multiple of the middle: its distance from it varies as the middle does."""
    cl = next(one for one in area.of("people") if one.name == "CL")
    low, high = cl.high_ends
    assert low < cl.high < high < area.typical
    span = norm.ppf(0.95) * SD_CL
    change = cl.high - area.typical
    assert [(low - area.typical) / change, (high - area.typical) / change] == pytest.approx(
        [math.exp(span), math.exp(-span)], rel=0.1
    )


def test_neither_threads_nor_what_else_is_asked_change_a_number(folder, area):
    one = Scene.create(folder, subjects=3, until_days=20, threads=1)
    again = drivers(one, "100 mg iv once", "AUC", origins="people")
    assert repr(again.of("people")) == repr(area.of("people"))
    other = drivers(one, "100 mg iv once", "AUC", origins=["people"], seed=2)
    assert other.drivers[0].first != again.drivers[0].first


def test_many_inputs_are_screened_and_those_left_out_are_told():
    scene = Scene.create("low_dose_il2", subjects=1)
    told = []
    found = drivers(
        scene,
        "1 MIU sc daily x5",
        "Treg mean fold",
        origins="parameters",
        samples=16,
        progress=lambda what, share, remark: told.append(what),
    )
    assert "screening parameters" in told
    silent = {one.name for one in found.drivers if math.isnan(one.first)}
    assert {"E_tconv", "gN", "kD"} <= silent
    assert "kG" not in silent
    assert any("Morris" in line for line in found.reading)


def test_files_and_figure_say_what_they_are(area, tmp_path):
    area.write_csv(tmp_path / "a.csv")
    area.write_json(tmp_path / "a.json")
    assert "not medical advice" in (tmp_path / "a.csv").read_text(encoding="utf-8")
    kept = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [one["by"] for one in kept["drivers"]] == ["people", "people", "parameters", "parameters"]
    drawn = save(figure(area), tmp_path / "a.svg").read_text(encoding="utf-8")
    assert drawn.count('id="bar') >= 1
    assert "not medical advice" in drawn
    assert list(area.to_frame()["name"][:1]) == ["CL"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"endpoint": "AUCC"}, "AUC"),
        ({"endpoint": "injections"}, "nothing drives it"),
        ({"samples": 100}, "power of two"),
        ({"origins": "weather"}, "people or parameters"),
        ({"origins": []}, "driven by what"),
        ({"endpoint": "trough"}, "there is no endpoint|no finite"),
    ],
)
def test_what_cannot_be_answered_is_refused(scene, change, said):
    asked = {"endpoint": "AUC"} | change
    with pytest.raises(InputError, match=said):
        drivers(scene, "100 mg iv once", **asked)


def test_what_goes_beyond_the_fit_is_said_as_a_comparison_says_it():
    scene = Scene.create("low_dose_il2", subjects=1)
    schedule = "9 MIU sc daily x5 every 28 d x3"
    said = scene.warnings(pkpd.Schedule.parse(schedule))
    assert said and set(said) <= set(drivers(scene, schedule, "AUC", origins="people", samples=32).warnings)


def test_a_probability_of_the_group_and_responders_are_refused():
    scene = Scene.create("low_dose_il2", subjects=1)
    risk = scene.criteria.risks[0].endpoint.name
    with pytest.raises(InputError, match="whole group"):
        drivers(scene, "1 MIU sc once", risk)
    with pytest.raises(InputError, match="thirds"):
        drivers(Scene.create("low_dose_il2", subjects=1, responders="low"), "1 MIU sc once", "AUC")
    assert pkpd.drivers is drivers
