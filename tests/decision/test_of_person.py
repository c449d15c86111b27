"""Schedules that may follow what one person had: the doses before are simulated and not judged."""

import numpy as np
import pytest

import pkpd
from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene, compare
from pkpd.inference.measurements import Measurement

SEEN = [Measurement(0.0, "treg_pct", 5.0), Measurement(168.0, "treg_pct", 8.0)]


@pytest.fixture(scope="module")
def person():
    return pkpd.individualise("low_dose_il2", SEEN, "1 MIU sc daily x5", subjects=40, draws=4)


def endpoint(arm, name):
    return next(values for found, values in arm.endpoints.items() if found.name == name)


def test_a_course_long_after_another_is_judged_as_one_by_itself(person):
    """Tregs and IL-2 are at rest again after a hundred days: from there on nothing tells of the first."""
    (late,) = Scene.of_person(person, until_days=160).arms(["0.5 MIU sc daily x5 from day 120"])
    alone = pkpd.Scene(person.fit, person.after, 40.0, criteria=late.scene.criteria)
    (fresh,) = alone.arms(["0.5 MIU sc daily x5"])
    for name in (
        "Cmax",
        "Treg peak fold",
        "Treg mean fold",
        "Treg days above +50 %",
        "injections",
        "total dose",
    ):
        np.testing.assert_allclose(
            endpoint(late, name), endpoint(fresh, name), rtol=5e-3, atol=5e-3, err_msg=name
        )


def test_no_further_dose_is_judged_from_when_the_others_begin(person):
    more, none = Scene.of_person(person).arms(["1 MIU sc daily x5 from day 60", "none"])
    assert np.median(endpoint(none, "Treg peak fold")) < 1.02
    assert np.median(endpoint(more, "Treg peak fold")) > 1.5
    (only,) = Scene.of_person(person).arms(["none"])
    assert np.median(endpoint(only, "Treg peak fold")) > 1.5  # from the last dose on: the answer to it
    assert (endpoint(none, "injections") == 0).all()


def test_the_comparison_says_that_it_is_of_one_person(person):
    comparison = compare(
        Scene.of_person(person).arms(["1 MIU sc daily x5 from day 28", "2 MIU sc daily x5 from day 28"])
    )
    said = " ".join(comparison.reading)
    assert "draws of what this person may be" in said
    assert "2 measurements" in said
    assert "virtual subjects" not in said


def test_what_is_missed_or_late_later_is_the_schedule_that_is_written_without_it(person):
    said = "1 MIU sc daily x5 from day 28; miss day 28; miss day 32; delay day 30 by 6 h; double day 31"
    arms = Scene.of_person(person).arms([said, "1 MIU sc at 29, 30.25 d and 2 MIU sc at 31 d"])
    for found, values in arms[0].endpoints.items():
        assert np.array_equal(values, arms[1].endpoints[found], equal_nan=True), found.name
    assert arms[0].label == said and arms[0].dose_days.tolist() == [29.0, 30.25, 31.0]
    assert Scene.of_person(person).arm(said).label == said
    assert compare(arms).to_dict()["arms"][0]["label"] == said


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("1 MIU sc daily x5", 'such as "1 MIU sc daily x5 from day 5"'),
        ("1 MIU sc daily x5 from day 28; hold if nk > 2 x baseline", "has no rules"),
        ("1 MIU sc daily x5 from day 28; adherence 90 %", "of one person they are known or planned"),
        ("1 MIU sc daily x5 from day 28; jitter 2 h", "such as miss day 32"),
        ("1 MIU sc daily x5; miss day 2", "begins on day 0, and doses were given until day 4"),
    ],
)
def test_what_cannot_follow_is_refused(person, schedule, said):
    with pytest.raises(InputError) as error:
        Scene.of_person(person).arms([schedule])
    assert said in str(error.value)
