"""Where doses are a range without a step, what is best between those that were looked at is found to three
digits: against every dose of three digits, looked at one by one."""

import itertools
import math
from fractions import Fraction

import numpy as np
import one_volume
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.cli import main
from pkpd.decision.comparison import Scene
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.inverse import dose_for
from pkpd.decision.optimisation import Constraint, Goal, Space, optimise
from pkpd.decision.optimisation.outcome import Outcome
from pkpd.decision.optimisation.refine import middle, refine
from pkpd.decision.optimisation.space import read_values

GAIN, COST = (Endpoint(name, "1", "", better, "burden") for name, better in (("gain", 1), ("cost", -1)))
GOALS = (Goal(GAIN, 1), Goal(COST, -1))
ROUTE = {"days": "1", "interval": "1 d", "cycles": "1", "route": "iv"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return one_volume.write(tmp_path_factory.mktemp("between") / "linear")


def refined(space, gain, constraints=(), most=96):
    """What is found of a gain by (dose, days), at the cost of the dose alone; and how much was looked at."""
    points = {str(space.schedule(point)): point for point in space.valid()}
    found, asked = {}, []

    def outcome(schedule):
        dose = schedule.doses()[0]
        return gain(float(dose.amount), schedule.n_doses), float(dose.amount) * schedule.n_doses

    def evaluate(schedules):
        for schedule in schedules:
            medians = dict(zip((GAIN, COST), outcome(schedule), strict=True))
            worlds = {key: np.array([value]) for key, value in medians.items()}
            found[str(schedule)] = Outcome(schedule, medians, worlds, {})
            asked.append(str(schedule))

    def score(one):
        return one.objectives(GOALS), one.violations(constraints, 0.5)

    evaluate([space.schedule(point) for point in points.values()])
    n = len(asked)
    between = refine(space, points, dict(found), found, evaluate, score, most)
    assert len(asked) == len(set(asked)) <= n + most and set(between) <= set(found)
    return {float(point.dose): point.days for point in between.values()}, len(asked) - n


def three_digits(text):
    return [float(dose) for dose in read_values(text, "dose", 3)[0]]


# --- made-up gains with known optima


@given(st.floats(0.55, 1.95), st.floats(0.3, 3.0))
def test_the_top_of_a_gain_is_found_wherever_it_lies(top, slope):
    space = Space.parse(dose="0.5 to 2 mg", **ROUTE)

    def gain(dose, days):
        return -abs(dose - top) * (slope if dose > top else 1.0)

    between, looked = refined(space, gain)
    best = max(three_digits("0.5 to 2 mg"), key=lambda dose: gain(dose, 1))
    assert best in {*between, *map(float, space.doses)}
    assert set(between) <= {best} and looked <= 20


@given(st.floats(0.51, 1.99))
def test_the_largest_dose_under_a_bound_is_found_wherever_it_lies(bound):
    space = Space.parse(dose="0.5 to 2 mg", **ROUTE)
    between, _ = refined(space, lambda dose, days: dose, (Constraint(COST, "<", bound),))
    best = max(dose for dose in three_digits("0.5 to 2 mg") if dose < bound)
    assert max({*between, *(dose for dose in map(float, space.doses) if dose < bound)}) == best


@given(st.integers(1, 6), st.integers(1, 3))
def test_a_window_between_two_doses_of_two_digits_is_found_with_both_of_its_ends(first, width):
    space = Space.parse(dose="0.5 to 2 mg", **ROUTE)
    low, high = (round(1.2 + 0.01 * place, 2) for place in (first, first + width))
    window = (Constraint(COST, ">=", low - 1e-9), Constraint(COST, "<=", high + 1e-9))
    between, looked = refined(space, lambda dose, days: dose, window)
    assert (min(between), max(between)) == (low, high) and looked <= 12


def test_each_rhythm_has_its_own_end_and_little_is_looked_at():
    space = Space.parse(dose="0.5 to 2 mg", **(ROUTE | {"days": "1, 2", "interval": "7 d"}))
    tops = {1: 0.7777, 2: 1.234}
    between, looked = refined(space, lambda dose, days: 1 + days / 10 - (dose - tops[days]) ** 2)
    assert between == {0.778: 1, 1.23: 2} and looked <= 20


def test_without_room_less_is_looked_at():
    space = Space.parse(dose="0.5 to 2 mg", **ROUTE)
    assert refined(space, lambda dose, days: -((dose - 1.234) ** 2), most=0) == ({}, 0)
    assert refined(space, lambda dose, days: -((dose - 1.234) ** 2), most=1)[1] == 1


@given(st.integers(10, 999), st.integers(-4, 4), st.integers(1, 2000))
def test_the_middle_has_three_digits_and_lies_between(digits, power, further):
    low = Fraction(digits) * Fraction(10) ** power
    high = low + Fraction(further) * Fraction(10) ** (power - 1)
    found = middle(low, high)
    step = Fraction(10) ** (math.floor(math.log10(low)) - 2)
    if found is None:
        assert not any(low < low + i * step < high for i in (1,))
    else:
        assert low < found < high and found % step == 0


# --- in a model: the peak of a dose given at once is the dose over the volume


@pytest.mark.parametrize("subjects", [61, 301])
def test_the_largest_dose_is_that_of_a_fine_grid(folder, subjects):
    """Of all doses of three digits near it, each simulated in all subjects."""
    scene = Scene.create(folder, subjects=subjects, draws=12, seed=2, threads=2)
    space = Space.parse(dose="20 to 200 mg", **ROUTE)
    front = optimise(scene, space, "Cmax under 3", "max Cmax, min total dose")
    largest = max(choice.point.dose for choice in front.choices)
    (constraint,) = front.constraints
    held = []
    for dose in three_digits("80 to 110 mg"):
        arm = scene.lasting(front.provenance["until_days"]).arm(f"{dose:g} mg iv once")
        if not Outcome.of(arm, [constraint.endpoint]).violations([constraint], 0.5).any():
            held.append(dose)
    assert float(largest) == max(held) < 110
    assert largest not in space.doses  # of two digits it is not
    assert len(front.choices) <= 24 + 2  # what was looked at on the way is left out
    assert "between them, where a constraint binds or an objective turns" in " ".join(front.reading)


def test_without_uncertainty_the_largest_dose_has_a_closed_form(folder):
    scene = Scene.create(folder, subjects=301, vary=("between",), seed=5, threads=2)
    space = Space.parse(dose="20 to 200 mg", **ROUTE)
    front = optimise(scene, space, "Cmax under 3", "max Cmax, min total dose")
    volume = scene.population.values[:, scene.population.kernel.PARAMETERS.index("V")]
    held = [dose for dose in three_digits("20 to 200 mg") if dose < 3 * np.median(volume)]
    assert float(max(choice.point.dose for choice in front.choices)) == max(held)


def test_a_share_of_people_is_refined_to_the_dose_that_dose_for_finds(folder):
    scene = Scene.create(folder, subjects=200, vary=("between",), seed=2, threads=2)
    wish = "Cmax under 3 in 90 % of people"
    front = optimise(scene, Space.parse(dose="20 to 200 mg", **ROUTE), wish, "max Cmax, min total dose")
    found = dose_for(scene, wish, "? mg iv once", dose="20 to 200 mg")
    assert float(max(choice.point.dose for choice in front.choices)) == found.value


def test_a_list_is_not_looked_between(folder):
    scene = Scene.create(folder, subjects=60, draws=12, threads=2)
    space = Space.parse(dose="20 to 120 mg by 10", **ROUTE)
    front = optimise(scene, space, "Cmax under 3", "max Cmax, min total dose")
    assert {choice.point.dose for choice in front.choices} <= set(space.doses)
    assert "two significant digits" not in " ".join(front.reading)


def test_the_command_says_how_a_range_was_searched(folder, capfd):
    given_ = itertools.chain.from_iterable((f"--{name}", value) for name, value in ROUTE.items())
    arguments = ["optimise", "Cmax under 3", "--fit", str(folder), "--dose", "between 20 and 200 mg", *given_]
    arguments += ["--objectives", "max Cmax, min total dose", "--subjects", "60", "--draws", "12"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    assert "Doses from 20 to 200 mg went in two significant digits" in capfd.readouterr().out
