"""Rules behind a schedule mean what they say: print and parse are inverses, they are data and nothing else,
and every text that is not a rule, or a rule that makes no sense, gets a sentence with its place and what
could stand there."""

import json
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pkpd.core.errors import ScheduleError
from pkpd.dosing import Schedule
from pkpd.dosing.rules import AdaptiveSchedule, Limit, Rule, planned, read_plan

PLAN = "2 MIU sc daily x5 every 28 d x6"


# --- what is meant ---


def test_a_rule_is_read_as_it_is_written():
    plan = AdaptiveSchedule.parse(
        f"{PLAN}; hold if nk > 2 x baseline; reduce by 25 % if treg_pct > 15 %; "
        "raise by 20 % up to 3 MIU if treg_pct < 1.2 x baseline; stop if nk > 4 x baseline; look every 14 d"
    )
    assert plan == AdaptiveSchedule(
        Schedule.parse(PLAN),
        (
            Rule("hold", "nk", ">", 2, "x baseline"),
            Rule("reduce", "treg_pct", ">", 15, "%", percent=25),
            Rule("raise", "treg_pct", "<", "1.2", "x baseline", percent=20, limit=Limit(3, "MIU")),
            Rule("stop", "nk", ">", 4, "x baseline"),
        ),
        look=Fraction(14),
    )
    assert [plan.rules[i].action for i in plan.order] == ["stop", "hold", "reduce", "raise"]
    assert plan.limit(plan.rules[2]) == 1.5


@pytest.mark.parametrize(
    "text",
    [
        "HOLD IF nk>400 cells/uL",
        "hold if nk > 2x baseline; look before every dose",
        "hold if nk > 2 × baseline",
        "hold if x1 > 2; stop if X2e > 3",
        "reduce by 25% down to 500 kIU if treg_pct > 15 percent",
        "look before each cycle; raise by 20 percent up to 3 MIU if nk < 1e3",
        "hold if nk > 2 x baseline ; hold if cd56bright > 30 1 / uL",
        "reduce by 50 % if nk > 3 x baseline; reduce by 20 % if nk > 2 x baseline",
    ],
)
def test_other_ways_to_write_it_are_understood_and_written_back_in_one(text):
    plan = AdaptiveSchedule.parse(f"{PLAN};{text}")
    assert AdaptiveSchedule.parse(str(plan)) == plan
    assert str(AdaptiveSchedule.parse(str(plan))) == str(plan)


decimals = st.decimals("0.01", "99", places=2).map(Fraction)
limits = st.builds(Limit, st.sampled_from([2, "2.5", 3000]), st.sampled_from(["MIU"]))
rules = st.one_of(
    st.builds(
        lambda action, output, sign, level, unit: Rule(action, output, sign, level, unit),
        st.sampled_from(["stop", "hold"]),
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
        st.sampled_from("<>"),
        decimals,
        st.sampled_from(["", "x baseline", "%", "1/uL", "IU/mL", "10^9/L"]),
    ),
    st.builds(
        lambda output, sign, level, percent, limit: Rule("raise", output, sign, level, "", percent, limit),
        st.sampled_from(["treg_pct", "nk", "x", "look", "baseline"]),
        st.sampled_from("<>"),
        decimals,
        decimals,
        limits.filter(lambda limit: limit.amount > 2),
    ),
    st.builds(
        lambda output, sign, level, percent: Rule("reduce", output, sign, level, "x baseline", percent),
        st.sampled_from(["treg_pct", "if", "hold"]),
        st.sampled_from("<>"),
        decimals,
        decimals,
    ),
)


@settings(max_examples=150)
@given(
    st.lists(rules, min_size=1, max_size=4),
    st.sampled_from(["dose", "cycle", Fraction(14), Fraction(1, 2)]),
)
def test_parse_is_the_inverse_of_print(several, look):
    try:
        plan = AdaptiveSchedule(Schedule.parse(PLAN), tuple(several), look)
    except ScheduleError:
        assume(False)
    again = AdaptiveSchedule.parse(str(plan))
    assert again == plan and hash(again) == hash(plan)
    assert json.loads(json.dumps(again.to_dict())) == plan.to_dict()


@settings(max_examples=150)
@given(st.text(alphabet="holdifstpreucby nkx>< 0123.;%MIU/baseline\n\u00b5\u2265\x00", max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused_with_its_place(text):
    said = ""
    try:
        plan = AdaptiveSchedule.parse(f"{PLAN};{text}", "plan")
    except ScheduleError as error:
        said = str(error)
    assert said.startswith("plan:") if said else AdaptiveSchedule.parse(str(plan)) == plan


def test_a_plan_is_data():
    plan = AdaptiveSchedule.parse(
        f"{PLAN}; reduce by 25 % down to 0.5 MIU if treg_pct > 15 %; look every 14 d"
    )
    assert plan.to_dict() == {
        "schedule": PLAN,
        "rules": [
            {
                "action": "reduce",
                "percent": "25",
                "limit": "0.5 MIU",
                "output": "treg_pct",
                "sign": ">",
                "threshold": "15",
                "unit": "%",
            }
        ],
        "look": "every 14 d",
    }
    with pytest.raises(FrozenInstanceError):
        plan.rules[0].action = "hold"
    assert not isinstance(plan, Schedule)  # what takes a schedule cannot lose its rules
    assert planned(plan) == planned(Schedule.parse(PLAN)) == Schedule.parse(PLAN)
    assert read_plan(PLAN) == Schedule.parse(PLAN) and read_plan(str(plan)) == plan


def test_a_schedule_alone_does_not_lose_its_rules():
    with pytest.raises(
        ScheduleError, match=r"<schedule>:1:32: .*rules .* are followed where schedules are compared"
    ):
        Schedule.parse(f"{PLAN}; hold if nk > 2 x baseline")


# --- bad input ---


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 0, "the schedule ends here; a rule begins with what is done"),
        ("hold", 5, "a rule says when it applies"),
        ("skip if nk > 2", 1, 'did you mean "hold"?'),
        ("hodl if nk > 2", 1, 'did you mean "hold"?'),
        ("if nk > 2 hold", 1, "a rule begins with what is done"),
        ("hold if > 2", 9, "an output of the model"),
        ("hold if", 8, "an output of the model"),
        ("hold if x1.5 > 2", 9, "an output of the model"),
        ("hold if nk", 11, "a rule compares an output with a threshold"),
        ("hold if nk >", 13, "a number is missing"),
        ("hold if nk > few", 14, "a number is missing"),
        ("hold if nk > nan", 14, "must be a finite number"),
        ("hold if nk > -2", 14, "cannot be negative"),
        ("hold if nk > 1,5", 14, "numbers have no comma"),
        ("hold if nk >= 2", 12, "never exactly equal"),
        ("hold if nk ≤ 2", 12, "never exactly equal"),
        ("hold if nk > 2 baseline", 16, "write: 2 x baseline"),
        ("hold if nk > 2 x basline", 18, 'did you mean "baseline"?'),
        ("hold if nk > 0 x baseline", 14, "is no threshold"),
        ("hold if nk > 2 wombats", 16, 'unknown unit "wombats"'),
        ("hold if nk > 2 x baseline and stop", 27, "here can stand: ; and another rule, the end"),
        ("hold by 25 % if nk > 2", 6, "a rule says when it applies"),
        ("reduce if nk > 2", 8, '"reduce" says by how much'),
        ("reduce by 25 if nk > 2", 14, "a dose changes by a percentage"),
        ("reduce by 100 % if nk > 2", 11, 'not to give it is "hold"'),
        ("reduce by 0 % if nk > 2", 11, "more than 0"),
        ("raise by 2000 % up to 3 MIU if nk < 2", 10, "at most 1000 %"),
        ("reduce by 25 % up to 3 MIU if nk > 2", 16, "down to"),
        ("raise by 20 % if nk < 2", 1, "needs the largest dose"),
        ("raise by 20 % up to 3 if nk < 2", 23, "a dose needs a unit"),
        ("raise by 20 % up to 1 MIU if nk < 2", 1, "cannot be raised up to 1 MIU"),
        ("raise by 20 % up to 2 MIU if nk < 2", 1, "cannot be raised up to 2 MIU"),
        ("reduce by 20 % down to 3 MIU if nk < 2", 1, "cannot be reduced down to 3 MIU"),
        ("raise by 20 % up to 3 mg if nk < 2", 1, "write it in their unit"),
        ("raise by 20 % up to 3 MIU/m2 if nk < 2", 1, "write it in their unit"),
        (
            "stop if nk > 2 x baseline; hold if nk > 4 x baseline",
            28,
            '"stop if nk > 2 x baseline" goes before it',
        ),
        ("reduce by 5 % if nk > 2; reduce by 50 % if nk > 4", 26, "write the narrower one first"),
        (
            "raise by 5 % up to 3 MIU if nk < 2; reduce by 5 % if nk < 2",
            1,
            '"reduce by 5 % if nk < 2" goes before it',
        ),
        ("look every 14 d", -1, "no rule is looked at"),
        ("hold if nk > 2; look", 21, "before each dose"),
        ("hold if nk > 2; look before each moon", 34, "dose, cycle"),
        ("hold if nk > 2; look every 0 d", 28, "longer than zero"),
        ("hold if nk > 2; look every 1 month", 30, "has no fixed length"),
        ("hold if nk > 2; look every 1 d; look every 2 d", 33, "said twice"),
        ("; ".join(["hold if nk > 2"] * 21), 1, "too many"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(text, column, said):
    with pytest.raises(ScheduleError) as error:
        AdaptiveSchedule.parse(f"{PLAN}; {text}", "plan")
    assert str(error.value).startswith(f"plan:1:{len(PLAN) + 2 + column}: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("none; hold if nk > 2", "1:5", "nothing that rules could change"),
        ("; hold if nk > 2", "1:1", "a course begins with its dose"),
        ("1 MIU sc daily; hold if nk > 2", "1:15", "the number of doses is missing"),
        ("1 MIU sc daily x5;\nhold if nk ! 2", "2:12", "compares an output"),
        (PLAN, "1:32", "no rule follows the schedule"),
    ],
)
def test_the_schedule_before_the_rules_has_its_place_too(text, place, said):
    with pytest.raises(ScheduleError) as error:
        AdaptiveSchedule.parse(text, "plan")
    assert str(error.value).startswith(f"plan:{place}: ") and said in str(error.value)


def test_a_limit_needs_doses_that_are_all_the_same():
    with pytest.raises(ScheduleError, match=r"1:40: .*doses are all the same"):
        AdaptiveSchedule.parse("1 MIU sc daily x5 then 2 MIU daily x2; raise by 20 % up to 3 MIU if nk < 2")
    plan = AdaptiveSchedule.parse(
        "1 MIU sc daily x5 and 1000 kIU iv once; raise by 20 % up to 3 MIU if nk < 2"
    )
    assert plan.limit(plan.rules[0]) == 3.0


@pytest.mark.parametrize(
    "values",
    [
        ("hold", "nk", ">", 2, "x baseline", 25),
        ("reduce", "nk", ">", 2),
        ("raise", "nk", ">", 2, "", 25),
        ("grow", "nk", ">", 2),
        ("hold", "n k", ">", 2),
        ("hold", "nk", "==", 2),
        ("hold", "nk", ">", Fraction(1, 3)),
        ("hold", "nk", ">", float("nan")),
        ("hold", "nk", ">", -1),
        ("hold", "nk", ">", 1, "wombats"),
        ("reduce", "nk", ">", 1, "", Fraction(1, 3)),
    ],
)
def test_values_are_held_to_the_same(values):
    with pytest.raises(ScheduleError):
        Rule(*values)


def test_a_plan_made_of_values_is_held_to_the_same():
    plan = AdaptiveSchedule.parse(f"{PLAN}; hold if nk > 2")
    for change in ({"rules": ()}, {"look": "moon"}, {"look": Fraction(0)}, {"schedule": Schedule.none()}):
        with pytest.raises(ScheduleError):
            replace(plan, **change)
    assert str(replace(plan, written=None).error("no", 0, "output")).startswith("<schedule>:1:42: no")
