"""Doses that are found where people miss some, each its own: in a linear model the area under the curve is
the dose times how many were taken, over the clearance."""

import dataclasses
import html
import json
import math

import numpy as np
import one_volume
import pytest

import pkpd
from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene
from pkpd.decision.endpoints import quantiles
from pkpd.decision.inverse import OpenSchedule, dose_for
from pkpd.decision.optimisation import Space, optimise
from pkpd.dosing.taking import TakenSchedule

PLAN = "? mg iv daily x10"
RANGE = "20 to 900 mg"
WISH = "the smallest dose with AUC at least 200 in 80 % of people"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = one_volume.write(tmp_path_factory.mktemp("taken") / "linear")
    return Scene.create(folder, subjects=150, draws=20, threads=2)


def taken(scene, text, people):
    """How many doses each of these people takes of a schedule with this text."""
    plan = TakenSchedule.parse(text.replace("?", "100"))
    kernel = scene.population.kernel
    found = plan.taken(
        plan.schedule.events_for(kernel), kernel.TIME_UNIT, range(people), scene.population.seed
    )
    return (found.factors > 0.0).sum(axis=1)


def values_of(arm, name):
    return next(values for endpoint, values in arm.endpoints.items() if endpoint.name == name)


def clearance(scene):
    people = scene.drawn_as(vary=("between",), draws=None).population
    return people.values[:, people.kernel.PARAMETERS.index("CL")]


@pytest.fixture(scope="module")
def found(scene):
    return dose_for(scene, WISH, PLAN, dose=RANGE, adherence=0.7)


def test_taken_in_full_the_answer_is_the_same_to_the_last_bit(scene):
    few = Scene.create(scene.fit, subjects=40, draws=10, threads=2)
    plain, full = (dose_for(few, WISH, text, dose=RANGE) for text in (PLAN, f"{PLAN}; adherence 100 %"))
    assert without_words(full) == without_words(plain)
    by_option = dose_for(few, WISH, PLAN, dose=RANGE, adherence=1.0, jitter=None)
    assert by_option.to_dict() == plain.to_dict()


def without_words(found):
    """All numbers of an answer; the schedule is written in one way or the other."""
    told = found.to_dict()
    told["provenance"] = told["provenance"] | {"schedule": ""}
    return told | {"schedule": "", "chosen": told["chosen"].partition(";")[0]}


def test_the_dose_is_that_of_the_doses_that_each_one_takes(scene, found):
    n = taken(scene, f"{PLAN}; adherence 70 %", scene.subjects)
    assert n.min() < 6 and n.max() > 8  # people differ in it
    own = np.sort(200.0 * clearance(scene) / n)
    exact = own[math.ceil(0.8 * own.size) - 1]
    assert exact * (1 - 2e-3) <= found.value <= exact * 1.01  # three digits
    (curve,) = found.curves
    for x, share in zip(found.x, curve.share, strict=True):
        assert abs(share - (own <= x).mean()) <= 1 / scene.subjects, x
    assert found.schedule == f"{PLAN}; adherence 70 %"
    assert found.chosen == f"{found.value:g} mg iv daily x10; adherence 70 %"
    assert any("each subject's course is that of the doses that it took" in said for said in found.reading)


def test_under_every_draw_of_the_parameters_the_same_people_miss_the_same_doses(found):
    """The volume alone is uncertain, and no area depends on it: what were left of an interval would be chance
    of who misses what."""
    assert found.low == pytest.approx(found.value, rel=5e-3)
    assert found.high == pytest.approx(found.value, rel=5e-3)
    (curve,) = found.curves
    assert np.abs(curve.high - curve.low).max() <= 1 / 60


def test_shares_are_those_that_a_comparison_counts(scene):
    text = f"{PLAN}; adherence 70 %; jitter 3 h"
    found = dose_for(scene, "Cmax at least 4 in 60 % of people", text, dose=RANGE)
    people = scene.drawn_as(vary=("between",), draws=None)
    ends = (0, len(found.x) // 2, len(found.x) - 1, int(np.argmin(abs(found.x - found.value))))
    arms = people.arms([text.replace("?", f"{found.x[i]:g}") for i in ends])
    for i, arm in zip(ends, arms, strict=True):
        values = values_of(arm, "Cmax")
        assert found.curves[0].share[i] == (values >= 4.0).mean()


def test_a_response_is_of_the_doses_that_each_one_takes(scene):
    found = pkpd.dose_response(scene, PLAN, "AUC", dose="100, 200 mg", adherence=0.7)
    n = taken(scene, f"{PLAN}; adherence 70 %", scene.subjects)
    exact = quantiles(n / clearance(scene), (0.05, 0.25, 0.5, 0.75, 0.95))
    assert found.people == pytest.approx(np.outer(exact, [100, 200]), rel=5e-3)
    assert found.low == pytest.approx(found.people[2], rel=5e-3)
    assert found.pattern == f"{PLAN}; adherence 70 %" == found.provenance["schedule"]


def test_what_the_schedule_says_itself_goes_before_the_options():
    opened = OpenSchedule.parse(f"{PLAN}; miss day 2; adherence 80 %").taken(0.5, "2 h")
    assert opened.said == f"{PLAN}; miss day 2; adherence 80 %; jitter 2 h"
    (plan,) = {str(opened.schedule([5])), opened.said.replace("?", "5")}
    assert plan.startswith("5 mg iv daily x10; miss day 2; adherence 80 %")


def test_with_rules_the_answer_is_simulated_with_them(scene):
    """Who has more than 2 mg/L a day after a dose gets no other: that is the one before, from a dose on."""
    text = "? mg iv every 12 h x4; hold if C > 2 mg/L"
    people = Scene.create(scene.fit, subjects=40, vary=("between",), threads=2)
    found = dose_for(people, "the largest dose with Cmax under 6 in 70 % of people", text)
    (arm,) = people.drawn_as(draws=None).arms([found.chosen])
    values = values_of(arm, "Cmax")
    i = int(np.argmin(abs(found.x - found.value)))
    assert found.curves[0].share[i] == (values < 6.0).mean() >= 0.7
    plain = dose_for(people, "the largest dose with Cmax under 6 in 70 % of people", text.partition(";")[0])
    assert found.value > plain.value
    assert any("rules make courses jump" in said for said in found.reading)
    few = Scene.create(scene.fit, subjects=60, draws=10, threads=2)
    held = pkpd.dose_response(few, text, "doses held", dose="20, 100, 900 mg", points=3)
    assert (held.low >= 0.0).all()
    assert held.people[2, 0] == 0.0 < held.people[2, 2]


def test_a_front_is_of_what_people_take(scene):
    few = Scene.create(scene.fit, subjects=30, vary=("between",), threads=2)
    space = Space.parse(dose="100, 200 mg", days="3, 6", interval="14 d", cycles="2", route="iv")
    about = {"constraints": "AUC at least 60 in 70 % of people", "objectives": "max AUC, total dose"}
    front = optimise(few, space, **about, adherence=0.6)
    assert front.provenance["adherence"] == 0.6
    assert any("All schedules are taken with adherence 60 %" in said for said in front.reading)
    few = few.lasting(front.provenance["until_days"])
    arms = few.arms([choice.schedule for choice in front.choices], adherence=0.6)
    for choice, arm in zip(front.choices, arms, strict=True):
        values = values_of(arm, "AUC")
        assert choice.estimate("AUC").median == quantiles(values, (0.5,))[0]
        assert choice.shares[0].share == (values >= 60.0).mean()
    plain = optimise(few, space, **about)
    full = optimise(few, space, **about, adherence=1.0, jitter=None)
    assert plain.to_dict() == full.to_dict()


def test_a_search_in_fewer_subjects_leaves_them_the_people_that_they_are(scene):
    population = scene.population
    some = dataclasses.replace(scene, population=population.some(np.array([3, 7, 11])))
    text = "100 mg iv daily x10; adherence 70 %"
    everybody, few = (values_of(one.arms([text])[0], "injections") for one in (scene, some))
    assert few.tolist() == everybody[[3, 7, 11]].tolist()


def test_an_adherence_that_none_can_be_is_refused(scene):
    with pytest.raises(InputError, match="above 0 and up to 100 %"):
        dose_for(scene, WISH, PLAN, adherence=1.4)


def test_commands_take_what_compare_takes_and_show_it_again(pkpd, tmp_path):
    options = ("--subjects", "8", "--vary", "between", "--adherence", "90 %", "--jitter", "2 h", "--quiet")
    dose = ("--dose", "0.5, 1 MIU")
    schedule = "? MIU sc daily x5"
    clauses = "; adherence 90 %; jitter 2 h"
    for words in (
        ("dose-for", "NK mean fold < 1.5", "--schedule", schedule, *dose),
        ("dose-response", schedule, "--endpoint", "Treg mean fold", *dose),
    ):
        for name in ("a.json", "a.html"):
            code, _, err = pkpd(*words, *options, "-o", str(tmp_path / name))
            assert code == 0, err
        told = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
        assert told["schedule"] == f"{schedule}{clauses}" == told["provenance"]["schedule"]
        page = html.unescape((tmp_path / "a.html").read_text(encoding="utf-8"))
        assert "--adherence '90 %' --jitter '2 h'" in page and clauses in page
    code, _, err = pkpd("dose-for", "NK mean fold < 1.5", "--schedule", schedule, "--adherence", "2")
    assert code == 3 and "the share of doses that are taken" in err
