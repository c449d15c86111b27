"""In how many people a constraint holds is counted alike for a dose and among schedules, against counts made
here by other means: in a model of one volume a peak is the dose over it."""

import dataclasses
import json
import math

import numpy as np
import one_volume
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.cli import main
from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene
from pkpd.decision.comparison.result import between
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.inverse import dose_for
from pkpd.decision.optimisation import Constraint, Space, optimise
from pkpd.decision.optimisation.outcome import CountedPeople
from pkpd.decision.people import PeopleShare, attained_by_draws
from pkpd.present.report.front import render
from pkpd.present.share import exhibit

WISH, DOSES = "Cmax under 3 in 90 % of people", "20 to 120 mg by 5"
SPACE = Space.parse(dose=DOSES, days="1", interval="1 d", cycles="1", route="iv")
TRADED = "max Cmax, min total dose"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return one_volume.write(tmp_path_factory.mktemp("counted") / "linear")


@pytest.fixture(scope="module")
def scene(folder):
    return Scene.create(folder, subjects=300, draws=20, seed=3, threads=2)


@pytest.fixture(scope="module")
def front(scene):
    return optimise(scene, SPACE, WISH, TRADED)


def volumes(scene, **who):
    population = scene.drawn_as(**who).population
    return population.values[:, population.kernel.PARAMETERS.index("V")]


def test_a_share_is_that_of_people_at_the_estimates_and_its_chance_that_of_the_draws(scene, front):
    people = volumes(scene, vary=("between",), draws=None)
    crossed = volumes(scene, subjects=60, draws=20, crossed=True).reshape(60, 20)
    assert 5 < len(front.choices) < 21 and not front.infeasible
    for choice in front.choices:
        dose = float(choice.point.dose)
        share = np.mean(dose / people < 3)
        moved = share - np.mean(dose / people[:60] < 3)
        draws = np.mean(dose / crossed < 3, axis=0) + moved
        (counted,) = choice.shares
        assert counted.share == pytest.approx(share) and share >= 0.9
        assert counted[1:] == pytest.approx(np.clip(between(draws[None])[0], 0, 1))
        assert choice.held == (pytest.approx(np.mean(draws >= 0.9 - 1e-12)),)
        assert choice.held_all == choice.held[0]
    held = {float(choice.point.dose) for choice in front.choices}
    expected = {float(dose) for dose in SPACE.doses if np.mean(float(dose) / people < 3) >= 0.9}
    likely = {dose for dose in expected if dose < max(expected)}
    assert likely <= held <= expected  # the last must also hold as likely as not


def test_what_the_search_holds_is_counted_in_its_own_people(scene, front):
    few = volumes(scene, vary=("between",), draws=None)[:104]
    assert len(front.seen) == len(SPACE.doses)
    for seen in front.seen:
        dose = float(seen.schedule.split()[0])
        assert seen.holds == (np.mean(dose / few < 3) >= 0.9)


def test_the_largest_dose_is_the_one_that_dose_for_finds(scene, front):
    found = dose_for(scene, WISH, "? mg iv once", dose=DOSES)
    largest = max(front.choices, key=lambda choice: choice.point.dose)
    assert found.value == float(largest.point.dose)
    (curve,) = found.curves
    at = int(np.flatnonzero(found.x == found.value)[0])
    assert largest.shares == (curve.people(at),)


def test_more_confidence_is_asked_of_the_share_under_the_draws(scene, front):
    sure = optimise(scene, SPACE, WISH, TRADED, confidence=0.9)
    assert all(choice.held[0] >= 0.9 for choice in sure.choices)
    assert min(choice.held[0] for choice in front.choices) < 0.9
    doses = [max(choice.point.dose for choice in one.choices) for one in (sure, front)]
    assert doses[0] < doses[1]
    assert max(choice.held[0] for choice in front.choices if choice.point.dose > doses[0]) < 0.9


def test_people_are_counted_beside_the_median(scene):
    both = optimise(scene, SPACE, "Cmax under 3, Cmax at least 1.2 in 80 % of people", TRADED)
    people = volumes(scene, vary=("between",), draws=None)
    for choice in both.choices:
        assert choice.estimate("Cmax").median < 3
        assert choice.shares[0] is None
        assert choice.shares[1].share == pytest.approx(np.mean(float(choice.point.dose) / people >= 1.2))
        assert choice.shares[1].share >= 0.8
    assert min(choice.point.dose for choice in both.choices) > SPACE.doses[0]


def test_where_too_few_people_hold_it_the_shares_are_said(scene):
    none = optimise(scene, SPACE, "Cmax under 0.5 in 90 % of people", TRADED)
    nearest = none.nearest[0]
    assert nearest.schedule == "20 mg iv once" and not none.choices
    share = f"{100 * nearest.shares[0].share:.3g}"
    assert f"Cmax < 0.5 in {share} % of people where 90 % are asked" in none.infeasible


def test_without_uncertain_parameters_a_share_has_no_interval_and_is_held_or_not(folder):
    certain = Scene.create(folder, subjects=50, vary=("between",))
    found = optimise(certain, SPACE, WISH, TRADED)
    people = volumes(certain, draws=None)
    assert [math.isnan(choice.shares[0].low) for choice in found.choices] == [True] * len(found.choices)
    expected = {float(dose) for dose in SPACE.doses if np.mean(float(dose) / people < 3) >= 0.9}
    assert {float(choice.point.dose) for choice in found.choices} == expected
    assert {choice.held for choice in found.choices} == {(1.0,)}


def test_a_share_of_a_probability_of_the_group_is_one_of_posterior_draws():
    scene = Scene.create("low_dose_il2", subjects=60, draws=12, threads=2)
    space = Space.parse(dose="0.25, 1, 3 MIU", days="5", interval="28 d", cycles="1")
    found = optimise(scene, space, "adverse event under 70 % in 80 % of people", "Treg mean fold, total dose")
    for choice in found.shown:
        arm = scene.lasting(found.provenance["until_days"]).arm(choice.schedule)
        risk = next(values for endpoint, values in arm.endpoints.items() if endpoint.name == "adverse event")
        assert choice.shares[0].share == choice.held[0] == pytest.approx(np.mean(risk < 0.7))
    assert "its share is of posterior draws" in " ".join(found.reading)


def test_people_who_were_not_drawn_cannot_be_counted(scene):
    with pytest.raises(InputError, match="not drawn by Scene"):
        optimise(dataclasses.replace(scene, who={}), SPACE, WISH, TRADED)


# --- counts


VALUES = st.lists(st.floats(0, 4) | st.sampled_from([2.0, math.nan, math.inf]), min_size=12, max_size=40)


@given(VALUES, st.sampled_from([">=", ">", "<=", "<"]), st.integers(1, 99), st.floats(0.5, 1.0), st.data())
def test_a_share_is_missed_by_nothing_exactly_where_it_is_reached_and_sure(
    values, relation, percent, confidence, data
):
    wish = Constraint(Endpoint("x", "1", "", 0, "burden"), relation, 2.0, percent / 100)
    people = np.array(values)
    n, n_draws = data.draw(st.integers(1, people.size)), data.draw(st.integers(10, 15))
    crossed = np.array(
        data.draw(st.lists(st.floats(0, 4), min_size=n * n_draws, max_size=n * n_draws))
    ).reshape(n, n_draws)
    counted = CountedPeople.of(wish, people, crossed, np.arange(n_draws))
    reaching = {">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less}[relation]
    share, few = (np.mean(reaching(some, 2.0)) for some in (people, people[:n]))
    draws = np.array([np.mean(reaching(crossed[:, d], 2.0)) + share - few for d in range(n_draws)])
    assert counted.estimate.share == pytest.approx(share)
    assert attained_by_draws(people, crossed, wish) == pytest.approx(draws)
    assert 0.0 <= counted.estimate.low <= counted.estimate.high <= 1.0
    enough = draws >= percent / 100 - 1e-9
    assert counted.held.tolist() == enough.tolist()
    holds = share >= percent / 100 - 1e-9 and enough.mean() >= confidence - 1e-9
    assert (counted.violation(confidence) == 0.0) == holds


def test_a_share_is_written_with_its_interval():
    assert PeopleShare(0.925, 0.88, 1.0).shown == "92 % (88 to 100)"
    assert PeopleShare(0.925, math.nan, math.nan).shown == "92 %"


# --- what leaves the program


def test_tables_and_files_have_shares_with_their_intervals(front, tmp_path):
    front.write_json(tmp_path / "front.json")
    told = json.loads((tmp_path / "front.json").read_text(encoding="utf-8"))
    name = "Cmax < 3 mg/L in 90 % of people"
    assert told["constraints"] == [name]
    frame, (table,) = front.to_frame(), exhibit(front).tables
    page = render(front)
    for i, (choice, item) in enumerate(zip(front.choices, told["front"], strict=True)):
        (counted,) = choice.shares
        assert item["shares"] == {name: counted._asdict()}
        assert frame.iloc[i][[name, f"{name} low", f"{name} high"]].tolist() == list(counted)
        record = table.records[i]
        assert (record["share 0"], record["share low 0"], record["share high 0"]) == tuple(counted)
        assert counted.shown in table.lines[i]
        assert f"in {counted.shown}" in page
    assert {"share 0", "share low 0", "share high 0"} <= {column.key for column in table.columns}


def test_the_command_takes_a_share_of_people(folder, capfd, tmp_path):
    arguments = ["optimise", WISH, "--fit", str(folder), "--dose", DOSES, "--days", "1", "--cycles", "1"]
    arguments += ["--interval", "1 d", "--route", "iv", "--objectives", TRADED]
    arguments += ["--subjects", "60", "--draws", "10", "--jobs", "2", "-o", str(tmp_path / "front.md")]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out = capfd.readouterr().out
    assert not end.value.code
    assert "constraints  Cmax < 3 mg/L in 90 % of people" in out
    assert "in 100 % (100 to 100)" in out
    assert "the share is counted in 60 people at the estimates of the fit" in out
    assert "share with Cmax \\< 3" in (tmp_path / "front.md").read_text(encoding="utf-8")
