"""Schedules as they are taken, in a comparison: burden by what was taken, courses by the own times of each
subject, and the same people missing the same doses of every schedule."""

import numpy as np

import pkpd
from pkpd.decision.comparison import compare
from pkpd.dosing.taking import TakenSchedule

PLAN = "1 MIU sc daily x5 every 28 d x2"


def endpoint(arm, name):
    return next(values for found, values in arm.endpoints.items() if found.name == name)


def test_taken_as_planned_is_the_same_to_the_last_bit():
    scene = pkpd.Scene.create("low_dose_il2", subjects=12, draws=3)
    usual, full = scene.arms([PLAN, f"{PLAN}; adherence 100 %"])
    for found, values in usual.endpoints.items():
        assert np.array_equal(values, full.endpoints[found], equal_nan=True), found.name


def test_injections_are_those_taken_and_the_same_people_miss_the_same_doses():
    scene = pkpd.Scene.create("low_dose_il2", subjects=40, draws=4)
    low, high, planned = scene.arms(
        [PLAN, PLAN.replace("1 MIU", "2 MIU"), f"{PLAN}; adherence 100 %"], adherence=0.7
    )
    taken = endpoint(low, "injections")
    assert (endpoint(high, "injections") == taken).all()
    assert 6.0 < taken.mean() < 8.0
    assert np.unique(taken).size > 3
    np.testing.assert_allclose(endpoint(high, "total dose"), 2 * endpoint(low, "total dose"))
    assert low.text == f"{PLAN}; adherence 70 %"
    # adherence 100 % is what is said where nothing is: it does not stand against the option
    assert planned.text == low.text


def test_a_named_missed_dose_is_missed_by_all_and_the_comparison_says_how_it_is_read():
    scene = pkpd.Scene.create("low_dose_il2", subjects=12, draws=3)
    arms = scene.arms([PLAN, f"{PLAN}; miss day 29; double day 30"])
    assert (endpoint(arms[1], "injections") == 9).all()
    assert (endpoint(arms[1], "total dose") == 10).all()
    assert arms[1].when.endswith("as planned")
    comparison = compare(arms)
    assert any("missed, late or doubled" in sentence for sentence in comparison.reading)
    (much,) = scene.arms(["3 MIU sc daily x5; double day 3"])
    assert any("Where doses are doubled" in warning for warning in much.warnings)
    assert comparison.to_dict()["arms"][1]["taken"]["changes"] == ["miss day 29", "double day 30"]


def test_subjects_do_not_depend_on_how_many_there_are_or_on_chunks():
    few, many = (pkpd.Scene.create("low_dose_il2", subjects=n, draws=3) for n in (9, 150))
    text = f"{PLAN}; adherence 70 %; jitter 4 h"
    (a,), (b,) = few.arms([text]), many.arms([text])
    for found, values in a.endpoints.items():
        if found.name != "adverse event":
            np.testing.assert_allclose(values, b.endpoints[found][:9], rtol=1e-9, err_msg=found.name)


def test_what_is_to_be_said_of_doubled_doses_is_known_before_they_are_simulated():
    scene = pkpd.Scene.create("low_dose_il2", subjects=4, vary=())
    for text, doubled in (
        ("3 MIU sc daily x5; double day 2; miss day 3", True),
        (f"{PLAN}; miss day 29", False),
    ):
        plan = TakenSchedule.parse(text)
        (arm,) = scene.arms([text])
        assert scene.warnings(plan) == arm.warnings
        assert any("Where doses are doubled" in said for said in arm.warnings) == doubled
