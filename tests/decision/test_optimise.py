"""A front holds no dominated schedule, its constraints hold when they are computed again by other means, and
a text that cannot be read is refused at its place."""

import contextlib
import csv
import dataclasses
import io
import json
import math
import re
import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.cli import main
from pkpd.core.errors import InputError, MissingExtraError, PkpdError
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.comparison.result import between
from pkpd.decision.criteria import fields
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.inverse.question import read_question
from pkpd.decision.optimisation import Constraint, Space, optimise, parse_constraints, parse_objectives
from pkpd.decision.optimisation.outcome import Outcome
from pkpd.decision.optimisation.run import usual_space
from pkpd.decision.optimisation.search import layers, search
from pkpd.dosing import Schedule
from pkpd.present.report.front import figure, render
from pkpd.present.web.evaluation import dosing_of

CRITERIA = fields()[0].criteria
SMALL = Space.parse(dose="0.25, 1, 2 MIU", days="1, 3, 5", interval="14, 28 d", cycles="1, 2")
ASKED = "NK under three times baseline, at most 8 injections a month"


@pytest.fixture(scope="module")
def scene():
    return Scene.create(subjects=60, draws=12, seed=3, threads=2)


@pytest.fixture(scope="module")
def front(scene):
    return optimise(scene, SMALL, ASKED, "Treg mean fold, dose per 28 days")


@pytest.fixture(scope="module")
def every(scene):
    """Every schedule of the small space, through `pkpd compare`."""
    texts = dict.fromkeys(str(SMALL.schedule(point)) for point in SMALL.valid())
    return compare(scene.lasting(56.0 + 28.0).arms(texts))


@pytest.fixture(scope="module")
def endpoints(every):
    return every.endpoints


# --- constraints and objectives


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Treg at least +50 % on average", "Treg mean fold >= 1.5"),
        ("NK under twice baseline", "NK mean fold < 2"),
        ("at most 8 injections a month", "injections per 28 days <= 8"),
        ("treg mean fold≥1.5", "Treg mean fold >= 1.5"),
        ("NK at most 3-fold at its peak", "NK peak fold <= 3"),
        ("peak NK below three times baseline", "NK peak fold < 3"),
        ("the Tregs are above baseline", "Treg mean fold > 1"),
        ("NK cells no more than 20 % below baseline", "NK mean fold >= 0.8"),
        ("NK at least −20 %", "NK mean fold >= 0.8"),
        ("CD56bright less than 150 % of baseline", "CD56bright NK mean fold < 1.5"),
        ("at most 10 MIU per 28 days", "dose per 28 days <= 10 MIU"),
        ("fewer than 20 doses in all", "injections < 20"),
        ("adverse event < 60 %", "adverse event < 0.6"),
        ("Treg days above +50 % at least 20 d", "Treg days above +50 % >= 20 d"),
        ("CCL2 change <= -10 %", "CCL2 change <= -10 percent"),
        ("Treg gain over NK > 1", "Treg gain over NK > 1"),
        ("Treg gain over CD56bright NK > 1", "Treg gain over CD56bright NK > 1"),
        ("Treg peak fold >= 2", "Treg peak fold >= 2"),
        ("Treg trough at least +50 %", "Treg trough fold >= 1.5"),
        ("Treg at least +50 % at trough", "Treg trough fold >= 1.5"),
        ("trough Tregs at least twice baseline", "Treg trough fold >= 2"),
        ("Tregs at least doubled at their peak", "Treg peak fold >= 2"),
        ("NK at most tripled", "NK mean fold <= 3"),
        ("Treg trough at least 50 % higher", "Treg trough fold >= 1.5"),
        ("NK at least 20 percent lower than baseline", "NK mean fold <= 0.8"),
        ("Treg at least 1.5-fold before the next cycle", "Treg trough fold >= 1.5"),
        ("Tregs on average at least +50 %", "Treg mean fold >= 1.5"),
        ("NK at its peak under 3-fold", "NK peak fold < 3"),
        ("Treg trough at least 8 %", "Treg trough >= 8 percent"),
        ("Treg peak > 150 % of baseline", "Treg peak fold > 1.5"),
        ("NK stays under 1.5-fold in 95 % of people", "NK peak fold < 1.5 in 95 % of people"),
        ("NK never above 1.5-fold", "NK peak fold <= 1.5"),
        ("NK must always be below twice baseline", "NK peak fold < 2"),
        ("NK under twice baseline at all times in 90 % of people", "NK peak fold < 2 in 90 % of people"),
        ("keep NK at least 20 % below baseline", "NK peak fold <= 0.8"),
        ("Treg never below +20 %", "Treg trough fold >= 1.2"),
        ("Tregs remain above baseline throughout the treatment", "Treg trough fold > 1"),
        ("NK stay under 1.5-fold on average", "NK mean fold < 1.5"),
        ("Treg peak fold stays at least 2", "Treg peak fold >= 2"),
        ("NK stay above 0.9-fold on average", "NK mean fold > 0.9"),
        ("NK at all times under twice baseline", "NK peak fold < 2"),
        ("injections never more than 20", "injections <= 20"),
        ("in nine of ten patients NK < 2 at its peak", "NK peak fold < 2 in 90 % of people"),
        ("NK < 2 in at least 90 percent of the patients at its peak", "NK peak fold < 2 in 90 % of people"),
        ("Treg at least +50 % on average in half of the patients", "Treg mean fold >= 1.5 in 50 % of people"),
        ("Treg at least +50 % in the median patient", "Treg mean fold >= 1.5"),
    ],
)
def test_a_sentence_is_read_as_what_it_means(endpoints, text, meant):
    (found,) = parse_constraints(text, endpoints, CRITERIA)
    assert str(found) == meant
    assert parse_constraints(meant, endpoints, CRITERIA) == (found,)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("the largest dose that keeps NK under 1.5-fold?", "NK peak fold < 1.5"),
        ("which is the largest dose that keeps the Tregs at least +20 % on average", "Treg mean fold >= 1.2"),
        ("the largest dose that keeps Treg peak fold at most 3", "Treg peak fold <= 3"),
        ("the largest dose with NK under 1.5-fold", "NK mean fold < 1.5"),
    ],
)
def test_what_a_dose_keeps_it_keeps_at_all_times(endpoints, asked, meant):
    (found,), end = read_question(asked, endpoints, CRITERIA, "dose")
    assert (str(found), end) == (meant, "largest")


def test_several_constraints_stand_in_one_text_or_in_many(endpoints):
    words = "Treg at least +50 % on average", "NK under twice baseline", "at most 8 injections a month"
    read = parse_constraints(words, endpoints, CRITERIA)
    assert [constraint.endpoint.name for constraint in read] == [
        "Treg mean fold",
        "NK mean fold",
        "injections per 28 days",
    ]
    assert (
        read
        == parse_constraints(", ".join(words), endpoints, CRITERIA)
        == parse_constraints("; ".join(words), endpoints, CRITERIA)
    )
    assert read == parse_constraints(
        f"{words[0]} and {words[1]}, {words[2]}, {words[2]}", endpoints, CRITERIA
    )


@given(st.data())
def test_what_a_constraint_writes_is_read_back(endpoints, data):
    endpoint = data.draw(st.sampled_from(endpoints))
    value = data.draw(st.floats(0, 1e6) if "fold" in endpoint.name else st.floats(-1e6, 1e6))
    relation = data.draw(st.sampled_from([">=", ">", "<=", "<"]))
    share = data.draw(st.none() | st.integers(1, 999).map(lambda mille: mille / 1000))
    (read,) = parse_constraints(str(Constraint(endpoint, relation, value, share)), endpoints, CRITERIA)
    assert (read.endpoint, read.relation, read.value, read.share) == (
        endpoint,
        relation,
        pytest.approx(value, rel=1e-12),
        None if share is None else pytest.approx(share, rel=1e-12),
    )


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("Treg at least 50 %", 15, "can be a rise or a share"),
        ("Tregz mean fold > 2", 1, 'did you mean "Treg mean fold"'),
        ("NK under twice baseline, Tregz > 2", 26, "no such endpoint"),
        ("Treg mean fold 2", 17, "what is asked of it"),
        ("at most injections", 9, "a number is missing"),
        ("at most 8 apples", 11, "of what?"),
        ("at most 8 MIU", 14, '"a month" or "in all" is missing'),
        ("NK <", 5, "a number is missing"),
        ("NK < nan", 6, "a number is missing"),
        ("NK < -2", 6, "a fold is 0 or more"),
        ("NK under twice baseline sometimes", 25, '"sometimes" cannot be read here'),
        ("Treg trough +50 %", 13, 'write for instance "Treg trough at least +50 %"'),
        ("Tregs 50 % above baseline", 7, 'write for instance "Tregs at least 50 % above baseline"'),
        ("Tregs increase by at least 50 %", 1, 'write for instance "Tregs at least +50 %"'),
        ("increase Tregs by 50 %", 1, 'write for instance "Tregs at least +50 %"'),
        ("reduce NK by at least 20 %", 1, 'write for instance "NK at most -20 %"'),
        ("NK down by 20 percent", 1, 'write for instance "NK at most -20 %"'),
        ("Treg between 1.5 and 3 fold", 1, 'write "Treg at least 1.5, Treg at most ..."'),
        ("mean NK under 2 at its peak", 17, "says once more"),
        ("NK on average under 2 at all times", 23, "says once more"),
        ("NK above 2 at any time", 12, '"at any time" cannot be read here'),
        ("NK stay above 0.9-fold", 1, 'there is no endpoint "NK trough fold"'),
        ("NK under 2 at trough", 1, 'there is no endpoint "NK trough fold"'),
        ("NK under 2 in all patients", 12, 'write for instance "in 95 % of people"'),
        ("NK under 2 in most patients", 12, 'write for instance "in 95 % of people"'),
        ("NK under 2 in 100 % of people", 12, "no share of people that can be counted"),
        ("Treg at least +50 % in 90 % of mice", 21, '"in 90 % of mice" cannot be read here'),
        ("adverse event < 0.5 MIU", 21, "cannot be read here"),
        ("injections <= 50 %", 18, "is not in percent"),
        ("__import__('os').getcwd() < 2", 1, "no such endpoint"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(endpoints, text, column, words):
    with pytest.raises(InputError, match=re.escape(words)) as error:
        parse_constraints(text, endpoints, CRITERIA)
    assert str(error.value).startswith(f"constraint:1:{column}: ")


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(endpoints, text):
    for read in (lambda: parse_constraints(text, endpoints, CRITERIA), lambda: Space.parse(dose=text)):
        with contextlib.suppress(InputError):  # any other exception is a failure
            read()


def test_objectives_go_the_way_their_endpoint_is_better(endpoints):
    read = parse_objectives("treg mean fold, adverse event, max Cmax", endpoints)
    assert [str(objective) for objective in read] == ["max Treg mean fold", "min adverse event", "max Cmax"]
    for wrong, words in (
        ("Treg mean fold", "two or three objectives, not 1"),
        ("Treg mean fold, Cmax", 'say "max Cmax" or "min Cmax"'),
        ("Treg mean fold, Treg mean fold", "twice"),
        ("Treg mean fold, NK", 'did you mean "NK peak fold"'),
    ):
        with pytest.raises(InputError, match=words):
            parse_objectives(wrong, endpoints)


VALUES = st.lists(st.floats(0, 4) | st.sampled_from([1.0, 2.0, math.nan, math.inf]), min_size=1, max_size=30)


@given(VALUES, st.sampled_from([">=", ">", "<=", "<"]), st.floats(0.01, 1.0))
def test_a_constraint_is_missed_by_nothing_exactly_where_it_is_probable_enough(values, relation, confidence):
    constraint = Constraint(Endpoint("x", "1", "", 0, "burden"), relation, 2.0)
    worlds = np.array(values)
    held = [eval_plainly(value, relation, 2.0) for value in values]
    assert constraint.probability(worlds) == pytest.approx(np.mean(held))
    missed = constraint.violation(worlds, confidence)
    assert (missed == 0.0) == (np.mean(held) >= confidence - 1e-12)


def eval_plainly(value, relation, bound):
    return {">=": value >= bound, ">": value > bound, "<=": value <= bound, "<": value < bound}[relation]


# --- the space ------------------------------------------------------------------------------------


def test_a_space_is_read_and_written():
    space = Space.parse(
        dose="0.5 to 2 MIU by 0.5", days="1-3", interval="2, 4 weeks", spacing="1, 2 d", cycles="1 to 6"
    )
    assert space.doses == (Fraction(1, 2), 1, Fraction(3, 2), 2)
    assert (space.days, space.intervals, space.cycles) == ((1, 2, 3), (14, 28), (1, 2, 3, 4, 5, 6))
    assert Space.parse(**space.describe()) == space
    fine = Space.parse(dose="0.9 to 1.2 MIU/m2")  # without a step: two digits
    assert [float(dose) for dose in fine.doses] == [*np.round(np.arange(0.90, 1.0, 0.01), 2), 1.0, 1.1, 1.2]
    assert Space.parse(**fine.describe()) == fine
    assert fine.unit == "MIU/m2" and fine.continuous
    stepped = Space.parse(dose="1 to 2 MIU by 0.1")  # the same doses as of "1 to 2 MIU", and none between
    assert stepped.doses == Space.parse(dose="1 to 2 MIU").doses and not stepped.continuous
    assert Space.parse(**stepped.describe()) == stepped


@given(st.integers(1, 6), st.sampled_from([1, 2, 3]), st.integers(1, 20), st.integers(1, 4))
def test_a_point_is_the_schedule_it_says(days, spacing, interval, cycles):
    texts = {"days": str(days), "interval": f"{interval} d", "spacing": f"{spacing} d", "cycles": str(cycles)}
    if (days - 1) * spacing >= interval:
        with pytest.raises(InputError, match="run into the next"):
            Space.parse(dose="1 MIU", **texts)
        return
    space = Space.parse(dose="1 MIU", **texts)
    (point,) = space.valid()
    schedule = space.schedule(point)
    expected = [cycle * interval + i * spacing for cycle in range(cycles) for i in range(days)]
    assert [float(dose.time_days) for dose in schedule.doses()] == expected
    assert Schedule.parse(str(schedule)) == schedule


def test_the_length_of_the_treatment_decides_the_cycles():
    space = Space.parse(dose="1 MIU", days="5", interval="7 to 56 d by 7", duration="84 d")
    assert [point.cycles for point in space.valid()] == [
        12,
        6,
        4,
        3,
        2,
        2,
    ]  # and not one cycle of 49 or 56 days
    assert Space.parse(**space.describe()) == space


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"dose": "1"}, "the unit is missing"),
        ({"dose": "1 apples"}, '"apples" is not a dose unit'),
        ({"dose": "-1 MIU"}, "dose:1:1: here a number is missing"),
        ({"dose": "0 MIU"}, "dose:1:1: values must be above 0"),
        ({"dose": "1e9 MIU"}, "dose:1:5: this cannot be read"),
        ({"dose": "1000000000 MIU"}, "MIU"),
        ({"dose": "3 to 1 MIU"}, "ends at 1, before 3"),
        ({"dose": "1 MIU, 2 mg"}, "one list has one unit: MIU or mg"),
        ({"dose": "0.1 to 3 MIU by 0.00001"}, "more than 10,000 values"),
        ({"days": "1.5"}, "whole numbers"),
        ({"interval": "7 h"}, "a time in d or weeks, not in h"),
        ({"cycles": "2", "duration": "84 d"}, "not both"),
        ({"duration": "7, 14 d"}, "is one number"),
        ({"duration": "5 d"}, "does not hold two cycles"),
        ({"interval": "5000 weeks", "cycles": "6"}, "more than 100 years"),
        ({"route": "daily"}, "cannot name a route"),
    ],
)
def test_a_space_that_cannot_be_is_refused(texts, words):
    with pytest.raises(InputError, match=re.escape(words)):
        Space.parse(**({"dose": "1 MIU"} | texts))


# --- the search -----------------------------------------------------------------------------------


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=25))
def test_layers_are_fronts_behind_fronts(rows):
    values = np.array(rows, dtype=float)
    left, expected = list(range(len(rows))), np.full(len(rows), -1)
    for layer in range(len(rows)):
        free = [i for i in left if not any(beaten(rows[j], rows[i]) for j in left)]
        expected[free] = layer
        left = [i for i in left if i not in free]
    assert layers(values).tolist() == expected.tolist()


def beaten(first, second):
    return all(a <= b for a, b in zip(first, second)) and first != second


BENEFIT, COST = (Endpoint(name, "1", "", better, "burden") for name, better in (("benefit", 1), ("cost", -1)))


def made_up(space, point):
    """An outcome by a formula: a dose-dependent rise that saturates, a cost that does not, and noise
    nowhere."""
    dose, days, spacing, interval, cycles = (float(value) for value in point)
    share = days / interval
    benefit = round(dose / (dose + 1) * math.sqrt(share) * math.exp(-((spacing - 2) ** 2)) + 0.01 * cycles, 9)
    medians = {BENEFIT: benefit, COST: round(dose * share + 0.003 * cycles, 9)}
    worlds = {key: np.array([value]) for key, value in medians.items()}
    return Outcome(
        space.schedule(point), medians, worlds, {key: (value, value) for key, value in medians.items()}
    )


def toy_search(space, evaluations, constraints=()):
    found, asked = {}, []
    points = {str(space.schedule(point)): point for point in space.valid()}
    objectives = parse_objectives("benefit, cost", (BENEFIT, COST))

    def evaluate(schedules):
        asked.extend(str(schedule) for schedule in schedules)
        found.update({str(schedule): made_up(space, points[str(schedule)]) for schedule in schedules})

    def score(outcome):
        return outcome.objectives(objectives), outcome.violations(constraints, 0.5)

    searched = search(
        space,
        evaluate,
        score,
        found,
        evaluations=evaluations,
        n_constraints=len(constraints),
        n_objectives=2,
        seed=1,
    )
    assert (
        len(asked) == len(set(asked)) == len(searched.points) <= evaluations
    )  # no schedule is simulated twice
    return (
        searched,
        {text: score(found[text]) for text in searched.points},
        {text: score(made_up(space, point)) for text, point in points.items()},
    )


def best(scores):
    """Texts of the front of those that hold everything."""
    front, least = {}, math.inf
    for values, text in sorted(
        (tuple(values), text) for text, (values, missed) in scores.items() if not missed.any()
    ):
        if values[1] < least or values in front.values():
            front[text], least = values, min(least, values[1])
    return set(front)


def volume(scores, texts, corner=(0.0, 3.0)):
    area, height = 0.0, corner[1]
    for benefit, cost in sorted(tuple(scores[text][0]) for text in texts):
        area += (corner[0] - benefit) * max(0.0, height - cost)
        height = min(height, cost)
    return area


def test_the_search_comes_close_to_the_front_of_a_large_space():
    space = Space.parse(
        dose="0.5 to 3 MIU by 0.5",
        days="1 to 7",
        interval="7 to 56 d by 7",
        spacing="1,2,3 d",
        cycles="1 to 6",
    )
    bound = Constraint(COST, "<=", 0.6)
    searched, seen, everything = toy_search(space, 600, (bound,))
    assert len(everything) > 4_000
    assert not searched.complete
    assert volume(everything, best(seen)) >= 0.97 * volume(everything, best(everything))
    assert all(everything[text][0][1] <= 0.6 for text in best(seen))


def test_a_small_space_is_searched_completely_and_without_pymoo(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymoo", None)
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo.nsga2", None)
    searched, seen, everything = toy_search(SMALL, 100)
    assert searched.complete
    assert best(seen) == best(everything)
    with pytest.raises(MissingExtraError, match="pip install pymoo"):
        toy_search(SMALL, 10)


# --- the front ------------------------------------------------------------------------------------


def rows(every, *names):
    return {arm.label: tuple(every.row(name, arm.label).median for name in names) for arm in every.arms}


def test_the_front_is_that_of_all_schedules_and_its_constraints_hold(front, every):
    medians = rows(every, "Treg mean fold", "dose per 28 days", "NK mean fold", "injections per 28 days")
    holding = {text: row for text, row in medians.items() if row[2] < 3 and row[3] <= 8}
    assert 3 < len(holding) < len(medians)
    wanted = {
        text: row
        for text, row in holding.items()
        if not any(beaten((-other[0], other[1]), (-row[0], row[1])) for other in holding.values())
    }
    assert {choice.schedule for choice in front.choices} == set(wanted)
    for choice in front.choices:
        for name, median in zip(
            ("Treg mean fold", "dose per 28 days", "NK mean fold"), wanted[choice.schedule]
        ):
            assert choice.estimate(name).median == median
    assert {seen.schedule for seen in front.seen if seen.holds} == set(holding)
    costs = [choice.estimate("dose per 28 days").median for choice in front.choices]
    assert costs == sorted(costs)


def plain_worlds(every, name, label, draws=12):
    """Medians of the draws, drawn together as the interval that `pkpd compare` prints is, around the median
    of all."""
    arm = next(arm for arm in every.arms if arm.label == label)
    values = next(values for endpoint, values in arm.endpoints.items() if endpoint.name == name)
    medians = np.array([np.median(values[d::draws]) for d in range(draws)])
    row = every.row(name, label)
    raw = np.diff(between(medians[None])[0])[0]
    left = (row.median_high - row.median_low) / raw if raw > 0 else 0.0
    return row.median + left * (medians - np.median(medians))


def test_probabilities_are_shares_of_the_draws(scene, front, every):
    for choice in front.choices:
        nk = plain_worlds(every, "NK mean fold", choice.schedule)
        injections = every.row("injections per 28 days", choice.schedule).median
        assert choice.held == (pytest.approx(np.mean(nk < 3)), float(injections <= 8))
        assert choice.held_all == pytest.approx(np.mean((nk < 3) & (injections <= 8)))
        row = every.row("NK mean fold", choice.schedule)
        expected = (row.median_low, row.median_high)
        assert choice.estimate("NK mean fold")[1:] == pytest.approx(expected, rel=1e-12)
    # so few schedules that each of them is simulated in all subjects
    free = optimise(
        scene,
        dataclasses.replace(SMALL, days=(1, 5)),
        "NK under five times baseline",
        "Treg mean fold, NK mean fold",
    )
    worlds = {
        seen.schedule: [
            plain_worlds(every, name, seen.schedule) for name in ("Treg mean fold", "NK mean fold")
        ]
        for seen in free.seen
    }
    assert len(worlds) == 18
    assert len(free.choices) > 5
    for choice in free.choices:
        treg, nk = worlds[choice.schedule]
        beats = np.zeros(12, bool)
        for other, (other_treg, other_nk) in worlds.items():
            if other != choice.schedule:
                no_worse = (other_treg >= treg) & (other_nk <= nk)
                beats |= no_worse & ((other_treg > treg) | (other_nk < nk)) & (other_nk < 5)
        assert choice.dominated == pytest.approx(beats.mean())
        assert choice.stays == pytest.approx(((nk < 5) & ~beats).mean())
    assert len({choice.stays for choice in free.choices}) > 1  # some are surer than others


def test_more_confidence_is_asked_of_the_draws(scene):
    asked = "NK under 1.06 times baseline, at most 8 injections a month"
    objectives = "Treg mean fold, dose per 28 days"
    likely = optimise(scene, SMALL, asked, objectives)
    sure = optimise(scene, SMALL, asked, objectives, confidence=0.95)
    assert all(min(choice.held) >= 0.95 for choice in sure.choices)
    assert max(c.estimate("Treg mean fold").median for c in sure.choices) <= max(
        c.estimate("Treg mean fold").median for c in likely.choices
    )
    assert min(min(choice.held) for choice in likely.choices) < 0.95
    assert "at least 0.95" in " ".join(sure.reading)


def test_the_same_seed_gives_the_same_front_on_any_number_of_threads(scene):
    space = Space.parse(dose="0.25, 0.5, 1, 2 MIU", days="1, 2, 3, 5", interval="7, 14 d", cycles="1, 2")
    fronts = [
        optimise(dataclasses.replace(scene, threads=threads), space, ASKED, evaluations=30).to_dict()
        for threads in (1, 2)
    ]
    assert fronts[0] == fronts[1]
    assert fronts[0]["provenance"]["evaluated"] == 30
    assert not fronts[0]["provenance"]["complete"]


def test_where_nothing_holds_the_constraints_it_is_said_which_bind_and_what_is_nearest(scene):
    front = optimise(
        scene, SMALL, "Treg at least +80 %, NK under twice baseline, at most 8 injections a month"
    )
    assert not front.choices
    n = len(front.seen)
    assert f"None of the {n} schedules that were looked at holds all constraints." in front.infeasible
    medians = [{endpoint.name: value for endpoint, value in seen.medians.items()} for seen in front.seen]
    without = sum(row["Treg mean fold"] >= 1.8 and row["injections per 28 days"] <= 8 for row in medians)
    alone = sum(row["NK mean fold"] < 2 and row["injections per 28 days"] <= 8 for row in medians)
    assert alone > 0
    assert without == 0
    assert (
        f'What binds is "Treg mean fold >= 1.8": without it {alone} of them hold the rest.'
        in front.infeasible
    )
    assert f"The nearest is {front.nearest[0].schedule}: " in front.infeasible
    totals = [sum(choice.violations) for choice in front.nearest]
    assert totals == sorted(totals)
    assert totals[0] > 0


def test_an_interrupted_search_gives_the_front_of_what_was_found(scene):
    def stop(what, share, remark):
        if int(remark.split()[0]) >= 5:
            raise KeyboardInterrupt

    front = optimise(scene, SMALL, (), progress=stop)
    assert front.interrupted
    assert 0 < len(front.seen) < 36
    assert front.choices
    assert re.match(
        r"Interrupted: this is the front of the \d+ schedules that had been looked at", front.warnings[0]
    )


def test_uncertainty_needs_draws_with_subjects_each():
    with pytest.raises(InputError, match="at least 10 draws with 5 subjects each"):
        optimise(Scene.create(subjects=30, draws=12), SMALL)
    certain = Scene.create(subjects=16, vary=("between",))
    front = optimise(
        certain, Space.parse(dose="0.5, 1 MIU", days="1", interval="7 d", cycles="1"), "NK under 9"
    )
    assert {choice.held_all for choice in front.choices} <= {0.0, 1.0}
    assert all(low == high for c in front.choices for low, high in [c.estimate("NK mean fold")[1:]])


def test_wrong_numbers_are_refused(scene):
    for options, words in (
        ({"confidence": 0.0}, "a probability from 0.5 to 1"),
        ({"evaluations": 0}, "at least one evaluation"),
        ({"space": Space.parse(dose="1 MIU", route="iv2")}, "iv2"),
    ):
        with pytest.raises(PkpdError, match=words):
            optimise(scene, options.pop("space", SMALL), (), **options)


# --- files ----------------------------------------------------------------------------------------


def test_files_hold_what_the_front_holds(front, tmp_path):
    front.write_csv(tmp_path / "front.csv")
    front.write_json(tmp_path / "front.json")
    text = (tmp_path / "front.csv").read_text(encoding="utf-8")
    above = [line for line in text.splitlines() if line.startswith("#")]
    assert any(line.startswith("# constraints: ") for line in above)
    read = list(csv.DictReader(io.StringIO("\n".join(text.splitlines()[len(above) :]))))
    plain = json.loads((tmp_path / "front.json").read_text(encoding="utf-8"))
    frame = front.to_frame()
    assert len(read) == len(plain["front"]) == len(frame) == len(front.choices)
    for choice, row, item, (_, series) in zip(
        front.choices, read, plain["front"], frame.iterrows(), strict=True
    ):
        nk = choice.estimate("NK mean fold")
        assert row["schedule"] == item["schedule"] == series["schedule"] == choice.schedule
        assert [float(row[f"NK mean fold{end}"]) for end in ("", " low", " high")] == list(nk)
        assert item["estimates"]["NK mean fold"] == nk._asdict()
        assert float(row["P(front)"]) == item["stays"] == choice.stays
        assert float(row["P(NK mean fold < 3)"]) == item["held"]["NK mean fold < 3"] == choice.held[0]
    assert len(plain["seen"]) == len(front.seen)
    assert plain["provenance"]["space"] == SMALL.describe()


def test_the_report_stands_alone_and_is_escaped(front):
    page = render(front, command="pkpd optimise '<script>alert(1)</script>'")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    links = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s>]+)', page)
    assert links
    paper = "https://doi.org/10."  # for whoever follows the link
    assert all(link.startswith(("data:", "#", paper)) for link in links)
    assert "A model, not medical advice." in page
    for choice in front.choices:
        assert choice.schedule in page
    assert "NK mean fold &lt; 3" in page
    assert "--until &#39;84 d&#39; --fit low_dose_il2 --subjects 60 --draws 12 --seed 3" in page


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def pkpd(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return end.value.code or 0, out, err

    return run


TINY = (
    "--dose",
    "0.25, 1 MIU",
    "--days",
    "1, 5",
    "--interval",
    "14 d",
    "--cycles",
    "2",
    "--subjects",
    50,
    "--draws",
    10,
)


def test_the_command_prints_a_front_and_writes_its_files(pkpd, tmp_path):
    code, out, _ = pkpd("optimise", ASKED, *TINY, "-o", "results.html")
    assert code == 0
    assert "max Treg mean fold; min NK mean fold" in out
    assert "NK mean fold < 3; injections per 28 days <= 8" in out
    assert "A model, not medical advice." in out
    page = (tmp_path / "results.html").read_text(encoding="utf-8")
    assert "--subjects 50" in page
    code, out, _ = pkpd("optimise", "NK under 1.01", *TINY, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["infeasible"].startswith("None of the 4 schedules that were looked at holds the constraint.")


def test_the_command_refuses_what_it_cannot_do_before_it_searches(pkpd, tmp_path, monkeypatch):
    code, _, err = pkpd("optimise", "NK under twoce baseline", *TINY)
    assert code == 3
    assert "constraint:1:10: here a number is missing" in err
    assert pkpd("optimise", "--dose", "1")[0] == 3
    assert pkpd("optimise", *TINY, "-o", "front.docx")[0] == 3
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo.nsga2", None)
    code, _, err = pkpd("optimise", "--subjects", 50, "--draws", 10, "-o", "front.csv")
    assert code == 6
    assert "pip install pymoo" in err
    assert list(tmp_path.iterdir()) == []


def test_the_figure_has_every_schedule_of_the_front_in_a_panel_per_pair_of_objectives(scene, front):
    three = optimise(scene, SMALL, ASKED, "Treg mean fold, dose per 28 days, adverse event")
    for shown, panels in ((front, 1), (three, 3)):
        axes = [axis for axis in figure(shown).axes if axis.get_visible()]
        assert len(axes) == panels
        for axis in axes:
            points = [tuple(c.get_offsets()[0]) for c in axis.collections if c.get_gid() == "choice"]
            assert len(points) == len(shown.choices)
            (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
            assert all(left < x < right and bottom < y < top for x, y in points)
    assert "more is wanted" in axes[0].get_ylabel()


def test_where_a_model_takes_no_doses_none_are_searched():
    kernel = SimpleNamespace(NAME="emax", ROUTES=())
    criteria = SimpleNamespace(dose="1 mg", route="")
    scene = SimpleNamespace(criteria=criteria, population=SimpleNamespace(kernel=kernel))
    with pytest.raises(InputError, match="the model emax has no route, and so takes no doses to search"):
        usual_space(scene)
    with pytest.raises(InputError, match="takes no doses to explore"):
        dosing_of(kernel)


@pytest.mark.parametrize(
    "text", ["0.5 to 2 MIU", "between 0.5 and 2 MIU", "from 0.5 MIU to 2 MIU", "0.5-2 MIU"]
)
def test_a_range_of_doses_is_continuous_to_what_a_syringe_can_tell(text):
    space = Space.parse(dose=text, days="5", interval="from 14 to 28 d", cycles="between 2 and 4")
    assert space.doses[0] == Fraction(1, 2) and space.doses[-1] == 2
    assert {later / earlier for earlier, later in zip(space.doses, space.doses[1:], strict=False)} <= {
        Fraction(n + 1, n) for n in range(10, 100)
    }
    assert space.intervals == tuple(range(14, 29)) and space.cycles == (2, 3, 4)
