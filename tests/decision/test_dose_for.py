"""The inverse question against closed forms: in a linear model the dose for a concentration is proportional
to what a person's own clearance and volume make of it."""

import dataclasses
import json
import math
from fractions import Fraction

import numpy as np
import one_volume
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_volume import OMEGA, SE, estimated, own_doses
from scipy import stats

import pkpd
from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene
from pkpd.decision.inverse import OpenSchedule, dose_for
from pkpd.decision.inverse.along import between_places, own_values, runs_met, scan_places


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return one_volume.write(tmp_path_factory.mktemp("linear") / "linear")


@pytest.fixture(scope="module")
def scene(folder):
    return Scene.create(folder, subjects=400, draws=100, threads=2)


@pytest.fixture(scope="module")
def found(scene):
    return dose_for(
        scene, "the smallest dose with Cmax at least 2 in 90 % of people", "? mg iv every 12 h x4"
    )


# --- the answer, people and parameters against closed forms


def test_the_smallest_dose_is_the_quantile_of_what_people_need(scene, found):
    own = np.sort(own_doses(scene))
    exact = own[math.ceil(0.9 * own.size) - 1]
    assert exact <= found.value * (1 + 2e-3)
    assert found.value == pytest.approx(exact, rel=0.01)  # three digits
    assert found.ranges == ((found.value, 400.0),)
    assert found.chosen == f"{found.value:g} mg iv every 12 h x4"


def test_what_people_need_and_how_many_reach_it_is_lognormal(scene):
    found = dose_for(scene, "Cmax at least 2", "? mg iv once")
    (curve,) = found.curves
    assert found.value == pytest.approx(64.0, rel=4 * 1.25 * OMEGA / math.sqrt(400))
    z = stats.norm.ppf([0.05, 0.25, 0.5, 0.75, 0.95])
    assert np.log(curve.own / 64.0) == pytest.approx(OMEGA * z, abs=0.06)
    expected = stats.norm.cdf(np.log(found.x / 64.0) / OMEGA)
    assert np.abs(curve.share - expected).max() < 4 * 0.5 / math.sqrt(400)
    own = own_doses(scene, doses=1)
    assert curve.own == pytest.approx(
        np.quantile(own, [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf"), rel=0.011
    )


def test_the_interval_by_parameters_is_lognormal_and_holds_no_people(scene):
    found = dose_for(scene, "Cmax at least 2", "? mg iv once")
    ends = np.log(np.array([found.low, found.high]) / found.value)
    # of 100 draws the quantile at 5 % has an SE of a fifth of theirs
    assert ends == pytest.approx([-1.645 * SE, 1.645 * SE], abs=3 * 0.21 * SE)
    (curve,) = found.curves
    i = int(np.flatnonzero(found.x == found.value)[0])
    expected = stats.norm.cdf(np.array([-1.645, 1.645]) * SE / OMEGA)
    assert [curve.low[i], curve.high[i]] == pytest.approx(expected, abs=0.12)


@pytest.mark.long
def test_intervals_hold_the_true_answer_as_often_as_they_say(folder):
    """Forty trials, each of which estimates the volume with its error, asked in other people by other draws;
    the truth is that of the same people with the true volume."""
    wish, covered = "Cmax at least 2 in 80 % of people", 0
    rng = np.random.default_rng(5)
    try:
        for seed, volume in enumerate(32.0 * np.exp(SE * rng.standard_normal(40))):
            about = {"subjects": 40, "threads": 1, "seed": seed}
            estimated(folder, 32.0)
            truth = dose_for(Scene.create(folder, vary=("between",), **about), wish, "? mg iv once").value
            found = dose_for(Scene.create(estimated(folder, float(volume)), **about), wish, "? mg iv once")
            covered += found.low <= truth <= found.high
    finally:
        estimated(folder, 32.0)
    assert 30 <= covered <= 40  # of 40 with 90 % each: 36, 0.2 % below 30


def test_the_largest_dose_that_keeps_a_peak_low_in_most_people(scene):
    found = dose_for(scene, "the largest dose whose Cmax stays under 2 in 95 % of people", "? mg iv once")
    own = np.sort(own_doses(scene, doses=1))
    exact = own[math.floor(0.05 * own.size)]
    assert found.end == "largest" and found.ranges[0][0] == 10.0
    assert found.value == pytest.approx(exact, rel=0.01) and found.value <= exact


def test_the_longest_interval_that_keeps_a_trough(scene):
    """Steady doses: before the last of them what is left of those before, by each one's own rate."""
    wish = "the longest interval that keeps trough at least 1"
    found = dose_for(scene, wish, "100 mg iv every ? h x6", interval="4 to 48 h")
    people = scene.drawn_as(vary=("between",), draws=None).population
    clearance, volume = (people.values[:, people.kernel.PARAMETERS.index(name)] for name in ("CL", "V"))
    hours = np.arange(4, 49)
    left = np.exp(-(clearance / volume)[:, None, None] * hours[:, None] * np.arange(1, 6)).sum(axis=2)
    held = (100 / volume[:, None] * left >= 1.0).mean(axis=0) >= 0.5
    assert found.value == hours[held].max()
    assert found.chosen == f"100 mg iv every {found.value:g} h x6"
    assert found.low <= found.value <= found.high


def test_without_uncertainty_there_is_no_interval_and_without_people_one_step(folder):
    scene = Scene.create(folder, subjects=30, vary=("between",))
    assert math.isnan(dose_for(scene, "Cmax at least 2", "? mg iv once").low)
    alike = dose_for(Scene.create(folder, subjects=2, vary=()), "Cmax at least 2", "? mg iv once")
    assert alike.value == 64.0
    assert set(alike.curves[0].share) == {0.0, 1.0}


def test_doses_that_are_missed_or_doubled_change_the_answer_as_they_change_the_peak(scene, folder):
    wish = "the smallest dose with Cmax at least 2 in 90 % of people"
    missed = dose_for(scene, wish, "? mg iv every 12 h x5; miss day 2")  # the last, at 48 h
    own = np.sort(own_doses(scene))
    assert missed.value == pytest.approx(own[math.ceil(0.9 * own.size) - 1], rel=0.01)
    assert missed.chosen == f"{missed.value:g} mg iv every 12 h x5; miss day 2"
    alike = Scene.create(folder, subjects=2, vary=())
    assert dose_for(alike, "Cmax at least 2", "? mg iv once; double day 0").value == 32.0
    late = dose_for(alike, "Cmax at least 2", "? mg iv daily x2; delay day 1 by 12 d")
    assert late.value == 64.0  # nothing is left of the first


def test_a_response_with_missed_doses_is_that_of_the_doses_that_are_left(scene):
    about = {"endpoint": "AUC", "dose": "50, 100 mg"}
    planned = pkpd.dose_response(scene, "? mg iv every 12 h x4", **about)
    missed = pkpd.dose_response(scene, "? mg iv every 12 h x6; miss day 2", **about)
    assert missed.people.shape == planned.people.shape == (5, 2)
    arms = scene.drawn_as(vary=("between",), draws=None).arms(["100 mg iv every 12 h x6; miss day 2"])
    values = next(values for endpoint, values in arms[0].endpoints.items() if endpoint.name == "AUC")
    assert missed.people[2, 1] == pytest.approx(np.median(values), rel=0.02)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("? mg iv daily x5; adherence 120 %", "above 0 and up to 100 %"),
        ("? mg iv daily x5; miss day 1; hold if C > 2 mg/L", "rules such as"),
        ("? mg iv daily x5; hold if C > 2 mg/L; jitter 2 h", "only where doses are taken as planned"),
        ("? mg iv daily x5; hold if D > 2 mg/L", 'has no output "D"'),
        ("? mg iv daily x5; raise by 20 % up to 50 mg if C < 1 mg/L", "cannot be raised up to 50 mg"),
        ("5 mg iv daily x5; miss day ?", 'a "?" stands before the first ";"'),
        ("? mg iv daily x5; miss day 9", "no dose is planned on day 9"),
    ],
)
def test_what_cannot_become_of_doses_is_refused_with_its_place(scene, schedule, words):
    for ask in (
        lambda: dose_for(scene, "Cmax at least 2", schedule),
        lambda: pkpd.dose_response(scene, schedule, "Cmax"),
    ):
        with pytest.raises(InputError) as error:
            ask()
        assert words in str(error.value) and str(error.value).startswith("schedule:1:")


# --- nowhere, everywhere, several wishes, two unknowns


def test_a_target_that_is_met_nowhere_or_everywhere_is_said_with_the_range(scene):
    nowhere = dose_for(scene, "Cmax at least 2 in 90 % of people", "? mg iv once", dose="10 to 40 mg")
    assert math.isnan(nowhere.value) and nowhere.nearest == 40.0 and nowhere.ranges == ()
    assert nowhere.answer.startswith("Met nowhere from 10 mg to 40 mg; it comes closest at 40 mg (Cmax 1.2")
    everywhere = dose_for(scene, "Cmax at least 2 in 90 % of people", "? mg iv once", dose="200 to 400 mg")
    assert everywhere.everywhere and everywhere.value == 200.0 and everywhere.low == -math.inf
    assert "Met everywhere from 200 mg to 400 mg" in everywhere.answer


def test_several_wishes_leave_a_window_with_both_ends_told(scene):
    wish = "Cmax at least 2 in 80 % of people, Cmax under 4 in 80 % of people"
    found = dose_for(scene, wish, "? mg iv once")
    ((low, high),) = found.ranges
    own = np.sort(own_doses(scene, doses=1))
    assert low == pytest.approx(own[math.ceil(0.8 * own.size) - 1], rel=0.01)
    assert high == pytest.approx(2 * own[math.floor(0.2 * own.size)], rel=0.01)
    assert found.end == "smallest" and f"up to {high:g} mg" in found.answer


@pytest.mark.long
def test_two_unknowns_give_for_each_interval_the_dose_of_that_interval(scene):
    both = dose_for(
        scene, "trough at least 1", "? mg iv every ? h x6", dose="20 to 2000 mg", interval="6, 12 h"
    )
    assert [float(value) for value in both.over.values] == [6.0, 12.0]
    for hours, row in zip((6, 12), both.rows, strict=True):
        alone = dose_for(scene, "trough at least 1", f"? mg iv every {hours} h x6", dose="20 to 2000 mg")
        assert row.value == alone.value
        assert row.schedule == f"? mg iv every {hours} h x6"
    assert both.rows[0].value < both.rows[1].value
    assert list(both.to_frame()["interval"]) == [6.0, 12.0]


# --- the search along one unknown


@given(st.lists(st.booleans(), min_size=2, max_size=60), st.integers(2, 12))
def test_every_run_that_a_scan_of_neighbours_sees_is_found_to_the_place(met, n):
    """Whatever is met where: with every place scanned all runs are exact, with fewer their ends still are
    ends of runs."""
    places = list(range(len(met)))
    exact = [tuple(run) for run in runs_of(met)]
    assert runs_met(met.__getitem__, places) == exact
    some = scan_places(places, n, geometric=False)
    for first, last in runs_met(met.__getitem__, some):
        assert met[first] and met[last]
        assert first == 0 or not met[first - 1]
        assert last == len(met) - 1 or not met[last + 1]


def runs_of(met):
    found = []
    for place, one in enumerate(met):
        if one and (place == 0 or not met[place - 1]):
            found.append([place, place])
        elif one:
            found[-1][1] = place
    return found


def test_two_crossings_are_two_stretches_and_people_have_their_first_and_last():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    values = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 0.0], [2.0, 0.5]])
    fine = np.linspace(1.0, 4.0, 301)
    holds = between_places(x, values, fine) >= 1.0
    assert own_values(holds, fine, "smallest").tolist() == [1.5, math.inf]
    assert own_values(holds, fine, "largest").tolist() == [math.inf, -math.inf]


# --- words


@pytest.mark.parametrize(
    ("text", "names", "units"),
    [
        ("? MIU sc daily x5 every 28 d x6", ("dose",), ("MIU",)),
        ("? million IU/m2 subcutaneously fortnightly x3", ("dose",), ("MIU/m2",)),
        ("1 MIU sc daily x5 every ? weeks x6", ("interval",), ("week",)),
        ("1 MIU sc every ? d for 180 d", ("interval",), ("d",)),
        ("1 MIU sc daily x? every 28 d x6", ("days",), ("",)),
        ("1 MIU sc daily for ? days every 28 d x6", ("days",), ("d",)),
        ("1 MIU sc daily x5 every 28 d x?", ("cycles",), ("",)),
        ("2 MIU sc daily x5 then ? MIU sc weekly x7", ("dose",), ("MIU",)),
        ("? MIU sc daily x? every 28 d x6", ("dose", "days"), ("MIU", "")),
        ("1 MIU sc daily x? every ? d x6", ("days", "interval"), ("", "d")),
    ],
)
def test_what_a_question_mark_stands_for_follows_from_its_place(text, names, units):
    opened = OpenSchedule.parse(text)
    assert (opened.names, opened.units) == (names, units)
    values = [Fraction(5 if name in ("dose", "days") else 20) for name in names]
    filled = text
    for value in values:
        filled = filled.replace("?", str(value), 1)
    assert opened.schedule(values) == pkpd.Schedule.parse(filled)


@pytest.mark.parametrize(
    ("wishes", "schedule", "words"),
    [
        ("Cmax at least 2", "100 mg iv once", 'has no "?"'),
        ("Cmax at least 2", "? mg iv daily x? every ? d x3", 'has 3 "?"'),
        ("Cmax at least 2", "1? mg iv once", "stands a blank or an x"),
        ("Cmax at least 2", "100 mg iv over ? h once", "not this"),
        ("Cmax at least 2", "? mg iv daly x5", 'did you mean "daily"'),
        ("Cmax at least 2", "? mg iv once then ? mg iv daily x5", "both are dose"),
        ("longest interval with Cmax at least 2", "? mg iv once", "asks for the interval"),
        ("the smallest dose with Cmx at least 2", "? mg iv once", 'did you mean "Cmax"'),
        ("Cmax at least 2", "? IU iv once", "--dose"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_right_words(scene, wishes, schedule, words):
    with pytest.raises(InputError) as error:
        dose_for(scene, wishes, schedule)
    assert words in str(error.value)


def test_ranges_are_of_what_is_left_open_and_in_its_unit(scene):
    with pytest.raises(InputError, match='no "\\?" in place of its interval'):
        dose_for(scene, "Cmax at least 2", "? mg iv once", interval="7 to 56 d")
    with pytest.raises(InputError, match="the schedule has it in mg"):
        dose_for(scene, "Cmax at least 2", "? mg iv once", dose="1 to 3 MIU")
    grams = dose_for(scene, "Cmax at least 2", "? mg iv once", dose="between 0.01 and 0.4 g")
    assert grams.range == (10.0, 400.0)
    with pytest.raises(InputError, match="5 draws are too few"):
        dose_for(dataclasses.replace(scene, who=scene.who | {"draws": 5}), "Cmax at least 2", "? mg iv once")


def test_files_hold_the_answer_and_how_it_was_made(found, tmp_path):
    found.write_csv(tmp_path / "a.csv")
    found.write_json(tmp_path / "a.json")
    assert found.answer in (tmp_path / "a.csv").read_text(encoding="utf-8")
    kept = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert kept["value"] == found.value and kept["wishes"][0]["asked_share"] == 0.9
    assert kept["provenance"]["subjects"] == 400
    assert list(found.to_frame()["dose"]) == found.x.tolist()
    assert "The smallest dose is" in repr(found) and "<table" in found._repr_html_()


def test_an_interval_beyond_the_range_is_said_by_its_side(scene):
    sure = dose_for(scene, "Cmax at least 2", "? mg iv once", dose="300 to 900 mg")
    assert sure.low == sure.high == -math.inf and sure.interval == "below 300 mg"
    open_ended = dose_for(scene, "Cmax at least 2", "? mg iv once", dose="10 to 66 mg")
    assert open_ended.high == math.inf and open_ended.interval.endswith("to above 66 mg")


def test_a_probability_of_the_group_has_an_interval_by_its_posterior_and_no_people():
    scene = Scene.create("low_dose_il2", subjects=60, vary=("between",), threads=2)
    found = dose_for(scene, "which dose has adverse event under 60 %?", "? MIU sc daily x5")
    (curve,) = found.curves
    assert curve.of_group and found.people(curve) == ""
    assert found.end == "largest" and found.low < found.value < found.high
    i = int(np.flatnonzero(found.x == found.value)[0])
    assert curve.share[i] >= 0.5 and np.isnan(curve.low).all()


def test_what_is_said_the_other_way_round_is_answered_with_the_right_order(scene):
    with pytest.raises(InputError, match='write for instance "Cmax at trough at least \\+50 %"'):
        dose_for(scene, "Which dose gives +50 % Cmax at trough?", "? mg iv once")


def test_crossed_subjects_are_the_same_people_under_every_draw(folder):
    people = pkpd.virtual_subjects(folder, 5, draws=3, crossed=True, seed=4)
    assert len(people) == 15 and people.draw.tolist() == [0, 1, 2] * 5
    volume = people.values[:, people.kernel.PARAMETERS.index("V")].reshape(5, 3)
    assert volume / volume[0] == pytest.approx(np.repeat((volume[:, :1] / volume[0, 0]), 3, axis=1))
    assert np.unique(volume.round(9)).size == 15
