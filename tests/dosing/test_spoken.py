"""What pharmacologists say is the schedule that the language writes shorter; what could mean two things is
refused with the words that say it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pkpd
from pkpd.core.errors import ScheduleError
from pkpd.dosing import Schedule
from pkpd.dosing.words import NUMBER_WORDS

ROUTES = [("sc", "subcutaneous"), ("sc", "subcutaneously"), ("sc", "s.c."), ("iv", "intravenously")]
ROUTES += [("im", "intramuscular"), ("oral", "orally"), ("sc", "Subcut")]
UNITS = [("MIU", "million IU"), ("MIU", "million international units"), ("kIU", "thousand IU")]
UNITS += [
    ("IU", "international units"),
    ("mg", "milligrams"),
    ("ug", "micrograms"),
    ("MIU/m2", "million IU/m2"),
]
TIMINGS = [
    ("daily x5", "every day for five days"),
    ("daily x5", "daily for 5 days"),
    ("every 14 d x3", "every two weeks x3"),
    ("every 14 d x3", "fortnightly for six weeks"),
    ("every 14 d x3", "every fortnight x3"),
    ("every 14 d x3", "every other week for 3 doses"),
    ("every 28 d x2", "every other fortnight x2"),
    ("every 2 d x4", "every alternate day x4"),
    ("twice daily x6", "bd for three days"),
    ("every 8 h x6", "tds x6"),
    ("twice a week for 2 weeks", "twice weekly for one fortnight"),
    ("weekly x12", "once a week for twelve doses"),
    ("daily x5 every 28 d x6", "once a day for 5 days every four weeks for six cycles"),
]


@given(
    st.decimals("0.01", "900", places=2, allow_nan=False),
    st.sampled_from(UNITS),
    st.sampled_from(ROUTES),
    st.sampled_from(TIMINGS),
)
def test_what_is_said_is_the_schedule_that_is_written_shorter(amount, unit, route, timing):
    short, spoken = (Schedule.parse(f"{amount} {unit[i]} {route[i]} {timing[i]}") for i in range(2))
    assert spoken == short
    assert str(spoken) == str(short)
    assert hash(spoken) == hash(short)


@given(st.sampled_from(sorted(NUMBER_WORDS)), st.sampled_from(["days", "weeks", "fortnights", "hours"]))
def test_a_number_in_words_is_the_number(word, unit):
    n = NUMBER_WORDS[word]
    assert Schedule.parse(f"1 mg iv every {word} {unit} x3") == Schedule.parse(f"1 mg iv every {n} {unit} x3")
    assert Schedule.parse(f"1 mg iv over {word} h once") == Schedule.parse(f"1 mg iv over {n} h once")


def test_a_model_gets_the_doses_of_a_route_by_either_name():
    kernel = pkpd.load("one_compartment_oral")
    assert "oral" in kernel.ROUTES
    said, written = (
        Schedule.parse(text).events_for(kernel) for text in ("5 mg orally once", "5 mg oral once")
    )
    assert (said.amount, said.route) == (written.amount, written.route)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 MIU sc for 5 days", "daily for 5 days"),
        ("1 MIU sc on days 1-5", "daily x5 every 28 d"),
        ("1 MIU sc bimonthly x3", "every 2 weeks"),
        ("1 MIU sc biweekly x3", "twice a week"),
        ("1 million units sc daily x5", "international units"),
        ("5 units sc daily x5", 'international units are written "IU"'),
        ("1 million sc daily x5", "a million of what"),
    ],
)
def test_what_can_mean_two_things_is_refused_with_the_right_words(text, words):
    with pytest.raises(ScheduleError) as error:
        Schedule.parse(text)
    assert words in str(error.value)
