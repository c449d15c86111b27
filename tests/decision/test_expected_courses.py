"""Courses with an adverse event are expected to add up as single courses do."""

from fractions import Fraction

import numpy as np
import pytest

from pkpd.decision.comparison import Scene
from pkpd.decision.comparison.expected import courses_of, expected_events
from pkpd.dosing import Schedule

COURSE = "1 MIU sc daily x5"


@pytest.fixture(scope="module")
def scene():
    return Scene.create("low_dose_il2", subjects=30, draws=3)


def of(scene, text):
    (arm,) = scene.arms([text])
    event = next(endpoint for endpoint in arm.endpoints if endpoint.name == "adverse event")
    return arm.endpoints[event], expected_events(arm)


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        (f"{COURSE} every 28 d x3", [0, 28, 56]),
        ("1 MIU sc weekly x4", [0, 7, 14, 21]),
        ("1 MIU sc daily x12", [0, 5, 10]),
        ("1 MIU sc every 3 d x4", [0, 6]),  # days 0 and 3, 6 and 9
        ("1 MIU sc once from day 2 and 2 MIU sc at 6.5, 7 d", [2, 7]),
        ("none", []),
    ],
)
def test_a_course_begins_with_a_dose_that_is_in_none_before(text, starts):
    schedule = Schedule.parse(text)
    courses = courses_of(schedule, Fraction(5))
    assert [float(doses[0].time_days) for doses in courses] == starts
    assert sum(map(len, courses)) == schedule.n_doses


def test_equal_courses_are_expected_to_add_up_to_their_number_times_one(scene):
    single, (once,) = of(scene, COURSE)
    assert once.days.tolist() == [4.0] and np.array_equal(once.courses, [single])
    _, (thrice,) = of(scene, f"{COURSE} every 28 d x3")
    assert thrice.days.tolist() == [4.0, 32.0, 60.0]
    assert thrice.courses == pytest.approx(np.outer([1, 2, 3], single))


def test_each_course_counts_with_its_own_dose(scene):
    low, _ = of(scene, "0.5 MIU sc daily x5")
    high, _ = of(scene, "2 MIU sc daily x5")
    _, (both,) = of(scene, "0.5 MIU sc daily x5 every 14 d x1 then 2 MIU sc daily x5 from day 14")
    assert both.courses[1] == pytest.approx(low + high) and (high > low).all()


def test_what_is_expected_is_what_courses_simulated_one_by_one_have(scene):
    single, (thrice,) = of(scene, f"{COURSE} every 28 d x3")
    drawn = np.random.default_rng(5).random((20_000, 3, single.size)) < single  # each course by itself
    counted = drawn.sum(axis=1)
    assert counted.mean(axis=0) == pytest.approx(thrice.courses[-1], abs=4 * (3 * 0.25 / 20_000) ** 0.5)


def test_without_doses_that_are_counted_nothing_is_expected(scene):
    assert of(scene, "none")[1] == []
    missed, taken = of(scene, f"{COURSE}; miss day 3")[1], of(scene, COURSE)[1]
    assert np.array_equal(missed[0].courses, taken[0].courses)  # as planned
