"""A model that nobody has fitted may stand wherever a fit is asked for: its own values and spreads, no data,
and it is said so."""

import math

import numpy as np
import pytest

import pkpd
from pkpd.core.errors import InputError, LibraryError
from pkpd.decision.optimisation import Space
from pkpd.inference.population import virtual_subjects
from pkpd.inference.unfitted import read_fit_or_model, rows_of
from pkpd.present.web.evaluation import Explorer

ORAL = """
model      tablets
source     invented
time       h

parameter  ka = 1 [1/h]  absorption          # invented
parameter  CL = 5 [L/h]  clearance  ~ lognormal(0.3)   # invented
    provenance  unverified
parameter  V = 50 [L]    volume              # invented

state      gut  [mg]
state      body [mg]
route      oral -> gut
d gut  = -ka*gut
d body = ka*gut - CL/V*body
output     C = body/V [mg/L]  in plasma
caution    This drug does not exist.
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "tablets.model"
    path.write_text(ORAL)
    return str(path)


@pytest.fixture(scope="module")
def scene(model):
    return pkpd.Scene.create(model, subjects=400)


@pytest.fixture(scope="module")
def compared(scene):
    return pkpd.compare(scene.arms(["100 mg oral once", "200 mg oral once"]))


def test_people_are_those_of_the_file(model):
    people = virtual_subjects(model, 4000, seed=3)
    of = {name: people.values[:, place] for place, name in enumerate(people.kernel.PARAMETERS)}
    assert (of["ka"] == 1.0).all() and (of["V"] == 50.0).all()
    logs = np.log(of["CL"])
    assert abs(logs.mean() - math.log(5)) < 5 * 0.3 / math.sqrt(4000)
    assert abs(logs.std(ddof=1) - 0.3) < 5 * 0.3 / math.sqrt(8000)
    assert people.vary == ("between",)  # nothing says how uncertain the numbers are


def test_areas_are_those_of_the_closed_form(scene, compared):
    clearance = scene.population.values[:, scene.population.kernel.PARAMETERS.index("CL")]
    for arm, dose in zip(compared.arms, (100, 200), strict=True):
        (area,) = (values for endpoint, values in arm.endpoints.items() if endpoint.name == "AUC")
        np.testing.assert_allclose(area, dose / clearance, rtol=2e-3)


def test_what_a_reader_has_to_know_is_said(compared):
    told = "\n".join(compared.warnings)
    assert "Nothing was fitted" in told and "tablets" in told
    assert "Not verified against their source: CL (clearance)." in told
    assert "This drug does not exist." in compared.warnings
    assert "the fit" not in told and "fitted" not in " ".join(compared.reading)
    assert compared.provenance["fitted"] is False
    names = {endpoint.name for endpoint in compared.endpoints}
    assert {"doses", "doses per 28 days"} < names and "injections" not in names


def test_people_who_do_not_differ_are_said_to_be_one(tmp_path):
    path = tmp_path / "same.model"
    path.write_text(ORAL.replace("~ lognormal(0.3)", ""))
    people = virtual_subjects(str(path), 3)
    assert (people.values == people.values[0]).all()
    assert any("People do not differ" in note for note in people.notes)


def test_the_inverse_question_and_the_search_take_it_too(scene):
    clearance = scene.population.values[:, scene.population.kernel.PARAMETERS.index("CL")]
    found = pkpd.dose_for(scene, "AUC at least 20", "? mg oral once", dose="20 to 500 mg")
    assert found.value == pytest.approx(20 * np.median(clearance), rel=0.01)
    space = Space.parse("50, 100, 200 mg", days="1", interval="7 d", cycles="1, 2", route="oral")
    front = pkpd.optimise(scene.first(40), space, "AUC at least 20, at most 1 doses in all")
    assert front.shown and all("oral" in choice.schedule for choice in front.shown)


def test_a_page_begins_with_a_dose_of_its_own(model):
    explorer = Explorer(model, subjects=20)
    told = explorer.evaluate({})
    assert told["arms"][0]["text"].endswith("oral once") and not explorer.facts()["points"]
    assert '--fit "tablets.model"' in told["command"]  # pages are not told where it lies


def test_a_name_that_a_fit_has_too_is_the_fit():
    assert not read_fit_or_model("als").unfitted
    of_model = read_fit_or_model("tmdd_full")
    assert of_model.unfitted and rows_of(of_model) == ()
    with pytest.raises(LibraryError, match="there is no fit"):
        read_fit_or_model("tmdd_ful")


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"study": "One"}, "effects of studies"),
        ({"vary": ["study"]}, "effects"),
        ({"posterior": "x"}, "posterior"),
    ],
)
def test_what_only_a_fit_has_is_refused(model, asked, what):
    with pytest.raises(InputError, match=f"only a fit has .*{what}"):
        virtual_subjects(model, 4, **asked)
