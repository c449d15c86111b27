"""Dose-response curves and time courses of a fit agree with the fit's own predictions, and stand beside what was reported."""

import json
from dataclasses import replace

import numpy as np
import pytest
import toy

from pkpd.errors import DataError
from pkpd.files import to_json
from pkpd.fit import fit, read_fit
from pkpd.predict import SUBJECTS, predict
from pkpd.report import read_report, write_report


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return read_fit(toy.write(tmp_path_factory.mktemp("predict") / "toy"))


@pytest.fixture(scope="module")
def result(spec):
    return fit(spec, rival=False, unverified=False, check=False)


@pytest.fixture(scope="module")
def curves(result, spec):
    return predict(result, spec)


def test_it_is_plain_values(curves):
    assert json.loads(to_json(curves)) == curves


def test_the_dose_response_passes_through_the_fits_predictions(result, curves):
    (panel,) = curves["dose_response"]
    (curve,) = panel["curves"]
    predicted = {row.id: row.predicted for row in result.rows}
    assert panel["dose_unit"] == "mg"
    assert panel["unit"] == "mg/L"
    assert curve["dose"][0] == curve["median"][0] == 0
    # the curve uses twice as many quasi-random subjects as the fit: equal up to that
    for point in panel["points"]:
        at = np.interp(point["dose"], curve["dose"], curve["median"])
        assert at == pytest.approx(predicted[point["row"]], rel=0.02)
    inside = [
        low <= middle <= high for low, middle, high in zip(curve["low"], curve["median"], curve["high"])
    ]
    assert all(inside)
    assert curve["low"][-1] < curve["median"][-1] < curve["high"][-1]


def test_points_are_what_was_reported(curves):
    (panel,) = curves["dose_response"]
    assert [(p["row"], p["dose"], p["value"], p["n"], p["provenance"]) for p in panel["points"]] == [
        ("c50", 50, 1.15, 6, "reported"),
        ("c100", 100, 2.2, 8, "reported"),
        ("c200", 200, 4.6, 20, "unverified"),
    ]
    points = [point for course in curves["courses"] for point in course["points"]]
    assert {point["row"] for point in points} == {"c50", "c100", "c200", "max100", "early", "late"}
    (late,) = [point for point in points if point["row"] == "late"]
    assert late["interval"] == [None, 0.6]


def test_every_dosed_study_that_the_model_predicts_has_its_courses(curves):
    assert [course["study"] for course in curves["courses"]] == ["Alpha", "Beta"]
    arms = curves["courses"][0]["arms"]
    assert list(arms) == ["50 mg", "100 mg", "200 mg"]
    for arm in arms.values():
        shape = (len(arm["times"]), len(arm["names"]))
        low, median, high = (np.array(arm[key]) for key in ("low", "median", "high"))
        assert low.shape == median.shape == high.shape == shape
        assert np.all(low <= median)
        assert np.all(median <= high)
        assert np.all(np.diff(arm["times"]) > 0)
    # the model is linear: doses scale
    assert np.array(arms["200 mg"]["median"]) == pytest.approx(
        4 * np.array(arms["50 mg"]["median"]), rel=1e-2, abs=1e-4
    )


def test_courses_use_enough_subjects_for_their_band():
    # the 5 % quantile of fewer than 100 subjects is a single subject
    assert SUBJECTS >= 100


def test_the_same_fit_gives_the_same_curves(result, spec, curves):
    assert predict(result, spec, jobs=1) == curves


def test_an_output_to_show_that_is_not_there_is_named(result, spec):
    with pytest.raises(DataError, match='no output "D"; it has C'):
        predict(result, replace(spec, shown=("D",)))


def test_a_fit_is_not_lost_when_its_arms_cannot_be_simulated(result, spec, tmp_path):
    page = write_report(result, tmp_path / "out", fit=replace(spec, shown=("D",)))
    assert "could not be simulated" in page.read_text()
    assert read_report(page.parent)[0].ofv == result.ofv
