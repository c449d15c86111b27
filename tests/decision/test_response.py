"""An endpoint over the dose, over the interval and over another endpoint, against closed forms of a linear
model, and with the published numbers of the same pattern beside it."""

import json
import math

import numpy as np
import pytest
from one_volume import OMEGA, SE, SPEC, estimated

import pkpd
from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene
from pkpd.decision.response import dose_response
from pkpd.inference import fit, read_fit
from pkpd.present.plot import save
from pkpd.present.report.response import figure

COLUMNS = "row study arm n schedule output measure reducer time time_unit statistic value unit spread "
COLUMNS += "spread_type use source provenance"
DATA = f"""\
{COLUMNS.replace(" ", ",")}
one,Alpha,100 mg,20,100 mg iv once,C,value,at,0.1,h,mean,3.1,mg/L,0.5,SD,fit,made up,reported
two,Alpha,200 mg,20,200 mg iv every 12 h x4,C,value,at,10,h,mean,3,mg/L,0.5,SD,fit,made up,unverified
three,Beta,150 mg,20,150 mg iv every 24 h x4,C,value,at,30,h,mean,3,mg/L,0.5,SD,fit,made up,reported
"""
ENDPOINTS = """\
exposure = "C"
[[endpoint]]
name = "mean"
output = "C"
what = "mean"
[optimise]
dose = "10 to 400 mg"
route = "iv"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A fit that found V = 32 L with an error of SE; people differ in it by OMEGA."""
    made = tmp_path_factory.mktemp("response") / "linear"
    made.mkdir()
    for name, text in (("fit.toml", SPEC), ("data.csv", DATA), ("endpoints.toml", ENDPOINTS)):
        (made / name).write_text(text, encoding="utf-8")
    fit(read_fit(made), rival=False, unverified=False, check=False).write_json(made / "result.json")
    return estimated(made, 32.0)


@pytest.fixture(scope="module")
def scene(folder):
    return Scene.create(folder, subjects=300, draws=100, until_days=3)


@pytest.fixture(scope="module")
def found(scene):
    return dose_response(scene, "? mg iv once", "Cmax", over="AUC")


def test_a_peak_is_the_dose_over_the_volume_in_everybody(scene, found):
    """Cmax = dose/V after one injection: quantiles over people are those of their volumes."""
    people = scene.drawn_as(vary=("between",), draws=None).population
    volume = np.sort(people.values[:, people.kernel.PARAMETERS.index("V")])
    assert found.values[[0, -1]].tolist() == [10.0, 400.0]
    middle = np.sort(found.values[:, None] / volume, axis=1)
    for k, level in enumerate((0.05, 0.25, 0.5, 0.75, 0.95)):
        exact = middle[:, math.ceil(level * volume.size) - 1]
        assert found.people[k] == pytest.approx(exact, rel=2e-3)
    assert found.people[2] == pytest.approx(found.values / 32.0, rel=4 * 1.25 * OMEGA / math.sqrt(300))


def test_the_interval_of_the_median_is_that_of_the_volume(found):
    """Of the median person dose/V, with log V of the error SE: 90 % within 1.645 SE."""
    span = np.log(found.high / found.low)
    assert span == pytest.approx(2 * 1.645 * SE, rel=0.3)  # 100 draws
    assert (found.low < found.people[2]).all()
    assert (found.people[2] < found.high).all()


def test_numbers_of_the_same_pattern_stand_beside_it_and_no_others(scene):
    """After one injection by then; after those of every 12 h: that of 200 mg; at 30 h two had been given."""
    (once,) = (p for p in dose_response(scene, "? mg iv once", "mean").published_doses if p.row == "one")
    assert (once.x, once.value, once.provenance) == (100.0, 3.1, "reported")
    assert once.low == pytest.approx(3.1 - 1.96 * 0.5 / math.sqrt(20), abs=0.02)
    several = dose_response(scene, "? mg iv every 12 h x4", "Cmax").published_doses
    assert {point.row for point in several} >= {"two"}
    assert "three" not in {point.row for point in several}
    (marked,) = [point for point in several if point.row == "two"]
    assert marked.provenance == "unverified"
    assert "Alpha" in marked.said
    assert (
        dose_response(scene, "? mg iv every 24 h x2", "AUC").published_doses == ()
    )  # an area is on no axis of C


def test_changes_are_set_against_the_baseline_of_the_median_person():
    scene = Scene.create("low_dose_il2", subjects=40, vary=["between"])
    found = dose_response(scene, "? MIU sc daily x5", "Treg peak fold", dose="0.33, 1, 3 MIU")
    points = {point.x: point for point in found.published_doses if "Hartemann" in point.said}
    column = scene.population.kernel.OUTPUTS.index("treg_pct")
    baseline = float(np.median(scene.rest[:, column]))
    assert sorted(points) == [0.33, 1.0, 3.0]
    assert points[1.0].value == pytest.approx(1 + 3.9 / baseline)
    assert any("baseline of the median" in line for line in found.reading)


def test_people_of_like_exposure_have_a_curve(scene, found):
    of = found.exposure
    assert of.x.shape == of.y.shape == (found.values.size, 300)
    assert of.centres.size == 12
    assert (np.diff(of.centres) > 0).all()
    assert (np.diff(of.curve[1]) > 0).all()
    assert of.spearman > 0.95
    # at one dose the area is dose/CL, which nobody differs in, and the peak dose/V
    assert abs(of.within) < 0.9 or np.isnan(of.within)


def test_an_interval_and_a_number_of_doses_can_be_looked_along(scene):
    found = dose_response(scene, "100 mg iv daily x?", "mean", days="1, 2, 3")
    assert found.values.tolist() == [1.0, 2.0, 3.0]
    assert found.unknown.name == "days"
    assert found.published_doses == ()
    by_interval = dose_response(scene, "100 mg iv every ? h x3", "mean", interval="6, 12, 24 h")
    assert (np.diff(by_interval.people[2]) < 0).all()


def test_the_same_whatever_the_threads(folder, found):
    one = Scene.create(folder, subjects=300, draws=100, until_days=3, threads=1)
    again = dose_response(one, "? mg iv once", "Cmax", over="AUC")
    assert np.array_equal(again.people, found.people)
    assert np.array_equal(again.low, found.low)
    assert np.array_equal(again.exposure.curve, found.exposure.curve)


def test_files_and_figure_say_what_they_are(found, tmp_path):
    found.write_csv(tmp_path / "a.csv")
    found.write_json(tmp_path / "a.json")
    assert "not medical advice" in (tmp_path / "a.csv").read_text(encoding="utf-8")
    kept = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert len(kept["people"]) == 5
    assert kept["exposure"]["over"]["name"] == "AUC"
    drawn = save(figure(found), tmp_path / "a.svg").read_text(encoding="utf-8")
    for word in ("not medical advice", "median of people", "by the parameters", "published"):
        assert word in drawn
    assert found.to_frame().columns[0] == "dose"


@pytest.mark.parametrize(
    ("schedule", "change", "said"),
    [
        ("100 mg iv once", {}, 'has no "\\?"'),
        ("? mg iv every ? h x3", {}, 'two "\\?"'),
        ("? mg iv once", {"endpoint": "Cmaxx"}, 'did you mean "Cmax"'),
        ("? mg iv once", {"over": "Cmax"}, "over itself"),
        ("? mg iv once", {"over": "area"}, "there is no endpoint"),
        ("? mg iv once", {"points": 1}, "from 2 to 60"),
        ("? mg iv once", {"interval": "1 to 2 d"}, "in place of its interval"),
        ("? mg sc once", {}, "route"),
    ],
)
def test_what_cannot_be_shown_is_refused(scene, schedule, change, said):
    with pytest.raises(InputError, match=said):
        dose_response(scene, schedule, **{"endpoint": "Cmax"} | change)


def test_too_few_draws_are_refused(folder):
    few = Scene.create(folder, subjects=4, draws=3, until_days=3)
    with pytest.raises(InputError, match="too few"):
        dose_response(few, "? mg iv once", "Cmax")
    assert pkpd.dose_response is dose_response


def test_a_model_that_nobody_has_fitted_has_people_and_no_uncertainty(tmp_path):
    path = tmp_path / "own.model"
    lines = [
        "model own",
        "time h",
        "parameter k = 0.1 [1/h] ~ lognormal(0.3)",
        "state A [mg]",
        "route iv -> A",
    ]
    path.write_text("\n".join([*lines, "d A = -k*A", "output A [mg]", ""]), encoding="utf-8")
    scene = Scene.create(path, subjects=30)
    asked = {"dose": "1, 2, 4 mg"}
    endpoint = next(e.name for e in scene.arms(["1 mg iv once"])[0].endpoints if e.name.startswith("AUC"))
    found = dose_response(scene, "? mg iv once", endpoint, **asked)
    assert found.people[2, 2] == pytest.approx(4 * found.people[2, 0], rel=1e-2)
    assert np.isnan(found.low).all()
    assert any("Nothing was fitted" in line for line in found.warnings)
    driven = pkpd.drivers(scene, "1 mg iv once", endpoint, samples=32)
    assert [one.name for one in driven.drivers] == ["k"]
