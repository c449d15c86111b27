"""A schedule as it is taken: clauses mean what they say, print and parse are inverses, what makes no sense
gets a sentence with its place, and what is random has the frequencies that it states."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import pkpd
from pkpd.core.errors import InputError, ScheduleError
from pkpd.dosing.rules import AdaptiveSchedule, plan_as_taken, read_plan
from pkpd.dosing.taking import DoseChange, TakenSchedule, exact_doses, read_given, with_taking

PLAN = "100 mg iv every 12 h x60"
KERNEL = pkpd.load("one_compartment_iv")


def taken_of(text, subjects, seed=1, first=0):
    plan = TakenSchedule.parse(text)
    return plan.taken(plan.schedule.events_for(KERNEL), KERNEL.TIME_UNIT, range(first, subjects), seed)


def test_clauses_are_read_as_they_are_written():
    plan = read_given(
        f"{PLAN}; miss day 3, 5-6; delay days 7-8 by 6 h; double day 9; adherence 90 %; jitter 2 h"
    )
    assert plan == TakenSchedule(
        pkpd.Schedule.parse(PLAN),
        (
            DoseChange("miss", 3, 3),
            DoseChange("miss", 5, 6),
            DoseChange("delay", 7, 8, "0.25"),
            DoseChange("double", 9, 9),
        ),
        Fraction(9, 10),
        Fraction(1, 12),
    )
    assert read_plan(str(plan)) == plan
    assert read_plan(f"{PLAN}; ADHERENCE 0.9") == read_plan(f"{PLAN}; adherence 90 percent")


def test_what_was_taken_on_stated_days_is_a_schedule_and_what_is_left_to_chance_is_none():
    taken = "1 mg iv daily x4; miss day 1; delay day 2 by 6 h"
    assert exact_doses(taken) == pkpd.Schedule.parse("1 mg iv at 0, 2.25, 3 d")
    assert exact_doses(TakenSchedule.parse(taken)) == exact_doses(taken)
    assert exact_doses("1 mg iv daily x4") == pkpd.Schedule.parse("1 mg iv daily x4")
    with pytest.raises(ScheduleError, match="name those that were missed or late"):
        exact_doses("1 mg iv daily x4; adherence 90 %")
    with pytest.raises(ScheduleError, match="<schedule>:1:19: rules such as"):
        exact_doses("1 mg iv daily x4; hold if C > 3")


days = st.tuples(st.integers(0, 29), st.integers(0, 29)).map(sorted)
changes = st.one_of(
    st.builds(lambda what, ends: DoseChange(what, *ends), st.sampled_from(["miss", "double"]), days),
    st.builds(lambda ends, by: DoseChange("delay", *ends, by=by), days, st.integers(1, 9)),
)


@given(
    st.lists(changes, max_size=4),
    st.decimals("0.01", "1", places=2).map(Fraction),
    st.sampled_from([Fraction(0), Fraction(1, 24), Fraction(2)]),
)
def test_print_and_parse_are_inverses(changes, adherence, jitter):
    plan = TakenSchedule(pkpd.Schedule.parse(PLAN), tuple(changes), adherence, jitter)
    if str(plan) == PLAN:
        assert not changes
        assert adherence == 1
        return
    assert TakenSchedule.parse(str(plan)) == plan


@pytest.mark.parametrize(
    ("clauses", "column", "said"),
    [
        ("miss day 30", 27, "no dose is planned on day 30; doses are on days 0-29"),
        ("miss day 1.5", 36, "days are whole ones"),
        ("miss days 5-3", 37, "go back"),
        ("miss 5", 32, "days N-M"),
        ("delay day 5", 38, "says by how long"),
        ("delay day 5 by 0 h", 42, "longer than zero"),
        ("adherence 0 %", 37, "above 0 and up to 100 %"),
        ("adherence 90", 37, "above 0 and up to 100 %"),
        ("jitter 2", 35, "a unit of time is missing"),
        ("jitter 2 h; jitter 3 h", 39, "is said twice"),
        ("adherence 90 %; hold if C > 3", 43, "rules such as"),
        ("adherance 90 %", 27, 'did you mean "adherence"?'),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(clauses, column, said):
    with pytest.raises(ScheduleError) as error:
        TakenSchedule.parse(f"{PLAN}; {clauses}")
    assert str(error.value).startswith(f"<schedule>:1:{column}: ")
    assert said in str(error.value)


def test_rules_and_placebo_go_without():
    plan = AdaptiveSchedule.parse("1 MIU sc weekly x5; hold if nk > 3")
    assert plan_as_taken(plan, Fraction(1), Fraction(0)) is plan
    with pytest.raises(ScheduleError, match="taken as planned"):
        plan_as_taken(plan, Fraction(1, 2), Fraction(0))
    with pytest.raises(ScheduleError, match="rules are followed only where doses are taken as planned"):
        read_plan("1 MIU sc weekly x5; hold if nk > 3; adherence 90 %")
    none = pkpd.Schedule.none()
    assert with_taking(none, Fraction(1, 2), Fraction(0)) is none
    with pytest.raises(ScheduleError, match="without doses"):
        read_plan("none; adherence 90 %")


def test_named_doses_are_missed_doubled_and_late():
    factors, times = taken_of(f"{PLAN}; miss day 3; double day 4; delay day 5 by 6 h", 2)
    planned = 12.0 * np.arange(60)
    assert np.flatnonzero(factors[0] == 0).tolist() == [6, 7]
    assert np.flatnonzero(factors[0] == 2).tolist() == [8, 9]
    assert np.flatnonzero(times[0] != planned).tolist() == [10, 11]
    assert (times[0] - planned)[[10, 11]].tolist() == [6.0, 6.0]
    assert (times[0] == times[1]).all()


def test_a_dose_is_taken_with_the_probability_that_is_stated_whatever_came_before():
    factors, times = taken_of(f"{PLAN}; adherence 80 %", 500)
    assert times is None
    assert stats.binomtest(int(factors.sum()), factors.size, 0.8).pvalue > 1e-3
    missed = factors == 0
    assert (
        stats.binomtest(int((missed[:, 1:] & missed[:, :-1]).sum()), int(missed[:, :-1].sum()), 0.2).pvalue
        > 1e-3
    )
    per_dose = missed.sum(axis=0)  # no dose is missed more than another
    assert stats.chisquare(per_dose).pvalue > 1e-3


def test_times_are_normal_about_the_planned_ones_and_none_before_the_first():
    _, times = taken_of(f"{PLAN}; jitter 2 h", 500)
    off = (times - 12.0 * np.arange(60))[:, 1:]
    assert stats.kstest(off.ravel() / 2.0, "norm").pvalue > 1e-3
    assert times.min() == 0.0
    assert 0.4 < (times[:, 0] == 0.0).mean() < 0.6


def test_draws_belong_to_seed_subject_and_dose():
    text = f"{PLAN}; adherence 80 %; jitter 2 h"
    all_, some = taken_of(text, 20), taken_of(text, 20, first=15)
    longer = taken_of("200 mg iv daily x90; adherence 80 %; jitter 2 h", 20)
    assert (all_.factors[15:] == some.factors).all()
    assert (all_.times[15:] == some.times).all()
    assert (longer.factors[:, :60] == all_.factors).all()  # the same people miss the same doses
    assert (taken_of(text, 20, seed=2).factors != all_.factors).any()


# --- in a simulation ---


def test_full_adherence_without_jitter_is_the_same_to_the_last_bit():
    usual = pkpd.simulate("one_compartment_iv", PLAN, [500.0, 700.0], subjects=9)
    full = pkpd.simulate("one_compartment_iv", f"{PLAN}; adherence 100 %", [500.0, 700.0], subjects=9)
    assert (full.outputs == usual.outputs).all()
    barely = pkpd.simulate(
        "one_compartment_iv", f"{PLAN}; adherence 99.9999999 %", [500.0, 700.0], subjects=9
    )
    np.testing.assert_allclose(barely.outputs, usual.outputs, rtol=1e-6)


def test_mean_concentrations_of_a_linear_model_scale_with_adherence():
    times = np.arange(600.0, 720.0, 12.0) + 6.0
    full = pkpd.simulate("one_compartment_iv", PLAN, times)["C"]
    nobody_differs = {name: [KERNEL.VALUES[i]] * 600 for i, name in enumerate(KERNEL.PARAMETERS)}
    for adherence in (0.9, 0.6):
        people = pkpd.simulate(
            "one_compartment_iv", PLAN, times, parameters=nobody_differs, subjects=600, adherence=adherence
        )["C"]
        mean, se = people.mean(axis=1).mean(), people.mean(axis=1).std() / np.sqrt(600)
        assert abs(mean - adherence * full.mean()) < 3.5 * se
        assert se < 0.02 * mean


def test_a_course_is_that_of_its_own_doses_whoever_writes_them_down():
    text = "100 mg iv daily x5; miss day 1; double day 2; delay day 3 by 6 h"
    same = "100 mg iv once and 200 mg iv once from day 2 and 100 mg iv at 78, 96 h"
    times = np.linspace(0, 150, 61)
    got = pkpd.simulate("one_compartment_iv", text, times, extremes=True)
    by_hand = pkpd.simulate("one_compartment_iv", same, times, extremes=True)
    np.testing.assert_allclose(got["C"], by_hand["C"], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(got.largest, by_hand.largest, rtol=1e-5)


def test_no_subject_depends_on_the_others_or_on_threads():
    def people(n, threads):
        text = f"{PLAN}; adherence 70 %; jitter 3 h"
        return pkpd.simulate("one_compartment_iv", text, [100.0, 300.0], subjects=n, threads=threads).outputs

    assert (people(40, 1)[:9] == people(9, 2)).all()


def test_bad_numbers_are_refused():
    for wrong in (
        {"adherence": 0.0},
        {"adherence": 1.2},
        {"jitter": "-1 h"},
        {"jitter": "2"},
        {"jitter": "2 h 3"},
        {"adherence": float("nan")},
    ):
        with pytest.raises(InputError):
            pkpd.simulate("one_compartment_iv", PLAN, [1.0], **wrong)


def test_what_was_taken_can_be_written_as_a_schedule_where_nothing_is_left_to_chance():
    plan = TakenSchedule.parse("100 mg iv over 1 h daily x5; miss day 1; double day 2; delay day 3 by 6 h")
    same = "100 mg iv over 1 h at 0, 78, 96 h and 200 mg iv over 1 h once from day 2"
    times = np.linspace(0, 150, 61)
    exactly, by_hand = (
        pkpd.simulate("one_compartment_iv", text, times)["C"] for text in (plan.exactly(), same)
    )
    assert (exactly == by_hand).all()
    with pytest.raises(ScheduleError, match="name those that were missed"):
        TakenSchedule.parse(f"{PLAN}; adherence 90 %").exactly()
