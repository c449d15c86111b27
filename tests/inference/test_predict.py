"""Dose-response curves and time courses of a fit agree with the fit's own predictions, and stand beside what
was reported."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import toy

from pkpd.core.errors import DataError
from pkpd.core.files import to_json
from pkpd.dosing import Schedule
from pkpd.inference import System, between_at, fit, read_fit, typical_at
from pkpd.inference.prediction import SUBJECTS, _Arms, _with_band, predict
from pkpd.present.report import read_report, write_report


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


def halves(curve, dose):
    """How far the band reaches below and above the curve at a dose."""
    low, middle, high = (np.interp(dose, curve["dose"], curve[key]) for key in ("low", "median", "high"))
    return middle - low, high - middle


def test_the_band_of_a_dose_response_is_the_interval_of_the_predicted_rows(result, curves):
    """The fit has the interval by exact gradients, the curve by draws: that they are of one level is seen."""
    (panel,) = curves["dose_response"]
    (curve,) = panel["curves"]
    rows = {row.id: row for row in result.rows}
    ratios = []
    for point in panel["points"]:
        row = rows[point["row"]]
        ratios.append(sum(halves(curve, point["dose"])) / (row.predicted_upper - row.predicted_lower))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.08)  # as 90 % it would be 0.84


@pytest.mark.parametrize("skewed", [False, True])
def test_95_percent_of_truths_lie_in_the_band(result, spec, skewed):
    """Of a curve in as many parameters as the fit has, at points drawn from their uncertainty."""
    generator = np.random.default_rng(3)
    n = len(result.estimates)
    inside = []
    for seed in range(150):
        root = generator.normal(size=(n, n))
        estimates = tuple(replace(estimate, x=0.0) for estimate in result.estimates)
        toy_fit = replace(result, estimates=estimates, covariance=tuple(map(tuple, root @ root.T / n)))
        options = replace(spec.options, seed=seed)
        arms = _Arms(toy_fit, replace(spec, options=options), System.load(spec.main.model), None)
        slope = generator.normal(size=n) * (0.2 if skewed else 1.0)

        def curve(doses, points, count, slope=slope):
            at = np.array([0.0 if x is None else slope @ x for x in points])
            return np.outer(np.exp(at) if skewed else 1.0 + at, doses)

        band = _with_band(arms, curve, np.array([0.0, 1.0, 2.0]), (0, 2))
        truths = generator.normal(size=(2000, n)) @ (root.T / math.sqrt(n)) @ slope
        truths = 2.0 * (np.exp(truths) if skewed else 1.0 + truths)
        inside.append(np.mean((band["low"][2] < truths) & (truths < band["high"][2])))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_ninety_percent_of_subjects_lie_in_the_band_of_a_course(result, spec, curves):
    course = curves["courses"][0]
    label, arm = next(iter(course["arms"].items()))
    arms = _Arms(result, spec, System.load(spec.main.model), None)
    row = next(row for row in result.rows if row.arm == label)
    schedule = Schedule.parse(row.schedule)
    people = arms.subjects(course["study"], (), 2000)
    times = np.array(arm["times"])
    outputs = arms.run(people, schedule, times)[:, :, arms.outputs.index(arm["names"][0])]
    late = times > 0
    low, high = (np.array(arm[key])[late, 0] for key in ("low", "high"))
    inside = (low <= outputs[:, late]) & (outputs[:, late] <= high)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


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
    assert predict(result, spec, threads=1) == curves


def test_an_output_to_show_that_is_not_there_is_named(result, spec):
    with pytest.raises(DataError, match='no output "D"; it has C'):
        predict(result, replace(spec, shown=("D",)))


def test_a_fit_is_not_lost_when_its_arms_cannot_be_simulated(result, spec, tmp_path):
    page = write_report(result, tmp_path / "out", fit=replace(spec, shown=("D",)))
    assert "could not be simulated" in page.read_text()
    assert read_report(page.parent)[0].ofv == result.ofv


VISITED = """\
c2,Alpha,100 mg,12,100 mg oral once,C,value,at,2,h,mean,2.1,mg/L,0.5,SD,fit,made up,reported
c12,Alpha,100 mg,12,100 mg oral once,C,value,at,12,h,mean,0.9,mg/L,0.3,SD,fit,made up,reported
c24,Alpha,100 mg,12,100 mg oral once,C,value,at,24,h,mean,0.4,mg/L,0.05,SE,fit,made up,unverified
"""


@pytest.fixture(scope="module")
def visited(tmp_path_factory):
    """An arm with four visits, of patients who differ and are measured with an error."""
    folder = toy.write(tmp_path_factory.mktemp("visits") / "toy")
    text = (folder / "fit.toml").read_text().partition("[rival]")[0].replace("= 0.2", "= 0.3")
    between = '[between]\nCL = "lognormal(0.3, 0.2)"\n[noise]\nC = { proportional = 0.15 }\n'
    (folder / "fit.toml").write_text(text + between)
    (folder / "data.csv").write_text((folder / "data.csv").read_text() + VISITED)
    spec = read_fit(folder)
    return fit(spec, rival=False, unverified=False, check=False, leave_one_out=False), spec


def test_an_arm_over_visits_has_what_was_reported_of_it(visited):
    result, spec = visited
    (arm,) = predict(replace(result, rows=result.rows), spec)["visits"]
    assert (arm["title"], arm["output"], arm["unit"], arm["time_unit"]) == ("Alpha, 100 mg", "C", "mg/L", "h")
    mean, sd = arm["statistics"]
    times = {"c2": 2.0, "c100": 4.0, "c12": 12.0, "c24": 24.0}
    assert {point["row"]: point["time"] for point in mean["points"]} == times
    # an SE tells of no SD that the fit would use
    assert {point["row"]: point["value"] for point in sd["points"]} == {"c2": 0.5, "c100": 0.6, "c12": 0.3}
    for statistic in (mean, sd):
        assert [band["name"] for band in statistic["bands"]] == ["parameters", "study effect", "sampling"]
        lows, highs = (np.array([band[key] for band in statistic["bands"]]) for key in ("low", "high"))
        assert np.all(np.diff(lows, axis=0) <= 0) and np.all(np.diff(highs, axis=0) >= 0)
        assert np.all(lows <= statistic["typical"]) and np.all(highs >= statistic["typical"])


def test_new_studies_lie_in_the_band_of_an_arm_as_often_as_it_says(visited):
    """Studies are drawn where the fit has them: parameters, the study's effect, twelve patients, errors."""
    result, spec = visited
    (arm,) = predict(result, spec)["visits"]
    arms = _Arms(result, spec, System.load(spec.main.model), None)
    generator, trials, n = np.random.default_rng(3), 1500, 12
    x = generator.multivariate_normal([e.x for e in result.estimates], result.covariance, trials)
    effect = next(k for k, e in enumerate(result.estimates) if e.name == "V in Alpha")
    x[:, effect] = 0.3 * generator.standard_normal(trials)
    system = arms.system
    people = np.empty((trials, n, system.kernel.n_params))
    for trial, point in zip(people, x, strict=True):
        known = typical_at(result.estimates, point, result.values, "Alpha")
        trial[:] = [known[name] for name in system.kernel.PARAMETERS]
        for name, sd in between_at(result.estimates, point, result.between).items():
            trial[:, system.kernel.PARAMETERS.index(name)] *= np.exp(sd * generator.standard_normal(n))
    times = np.array([2.0, 4.0, 12.0, 24.0])
    outputs = arms.run(people.reshape(trials * n, -1), Schedule.parse("100 mg oral once"), times)
    seen = outputs[:, :, arms.outputs.index("C")].reshape(trials, n, times.size)
    seen = seen * (1 + 0.15 * generator.standard_normal(seen.shape))
    for statistic, found in zip(arm["statistics"], (seen.mean(1), seen.std(1, ddof=1)), strict=True):
        band = statistic["bands"][-1]
        low, high = (np.interp(times, arm["times"], band[key]) for key in ("low", "high"))
        inside = np.mean((low <= found) & (found <= high), axis=0)
        # skewed means of few patients, and an interval by twenty draws
        assert inside == pytest.approx(np.full(times.size, 0.95), abs=0.035), statistic["name"]
