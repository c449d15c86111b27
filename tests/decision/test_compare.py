"""Schedules are compared in the same subjects: what is said is what one gets from simulating each subject by
itself, whatever the machine, and never more than that."""

import csv
import dataclasses
import json
import math
import re

import numpy as np
import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from pkpd.core.errors import InputError, ScheduleError
from pkpd.decision.adaptive import BY_RULES
from pkpd.decision.comparison import Scene, compare, horizon, letters, relevant, simulation
from pkpd.decision.comparison.result import (
    COLUMNS,
    Topic,
    between,
    paired,
    shares_of_better,
    uncertainties,
    uncertainty,
)
from pkpd.decision.endpoints import Endpoint, Relevant, evaluate, questions
from pkpd.dosing import EventTable, Schedule
from pkpd.solver import Options, solve
from pkpd.solver.options import COMPARISON

ONE, TWO = "1 MIU sc daily x5 every 28 d x2", "2 MIU sc daily x5 every 28 d x2"
OFTEN = "0.26 MIU/m2 sc every 3 d for 42 d"
NUMBERS = [
    name
    for name in COLUMNS
    if name not in ("arm", "schedule", "group", "endpoint", "unit", "of", "relevant", "light", "definition")
]


@pytest.fixture(scope="module")
def scene():
    return Scene.create(subjects=60, draws=12, seed=4, until_days=70)


@pytest.fixture(scope="module")
def arms(scene):
    return scene.arms([ONE, TWO, "none", OFTEN])


@pytest.fixture(scope="module")
def compared(arms):
    return compare(arms)


def plainly(scene, text, k):
    """(times, outputs, endpoints by name) of subject k, simulated alone."""
    people, kernel, schedule = scene.population, scene.population.kernel, Schedule.parse(text)
    values = people.values[k : k + 1]
    times = scene.arms([text])[0].days * 24.0
    rest = solve(kernel, values, EventTable.empty(), [0.0]).check().outputs[:, 0]
    about = (rest, kernel.OUTPUTS, kernel.OUTPUT_UNITS, schedule, kernel.TIME_UNIT, times[-1])
    about = (*about, scene.criteria.endpoints)
    solution = solve(
        kernel,
        values,
        scene.events(schedule),
        times,
        options=Options(rtol=COMPARISON),
        readings=questions(*about),
    ).check()
    outputs = solution.outputs
    found = evaluate(
        solution.readings.values,
        solution.readings.times,
        *about,
        sizes={"m2": values[0, kernel.SIZES["m2"]]},
        dose_unit="MIU",
        dose_units=kernel.DOSE_UNITS,
    )
    return times, outputs[0], {endpoint.name: value[0] for endpoint, value in found.items()}


def same(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))


# ---- accuracy


@pytest.mark.parametrize("text", [ONE, OFTEN, "3 MIU/m2 sc daily x3 every 21 d x3"])
def test_integration_leaves_endpoints_within_a_fifth_of_a_percent_of_exact(scene, text, monkeypatch):
    """Of every subject; but for the smallest concentrations, and the half-life that is read from them, within
    0.05 percent."""
    found = scene.arm(text)
    monkeypatch.setattr(simulation, "COMPARISON", 1e-8)
    exact = scene.arm(text)
    for endpoint, values in found.endpoints.items():
        small = endpoint.name in ("half-life", "trough")
        rtol, atol = 2e-3 if small else 5e-4, 1e-3 if endpoint.unit == "percent" else 0.0
        np.testing.assert_allclose(
            values, exact.endpoints[endpoint], rtol=rtol, atol=atol, err_msg=endpoint.name
        )
    for name, band in found.bands.items():
        top = np.max(exact.bands[name], axis=1, keepdims=True)
        np.testing.assert_array_less(np.abs(band - exact.bands[name]) / top, 2e-3, err_msg=name)


# ---- the same subjects


def test_a_schedule_beside_itself_differs_by_nothing_in_any_subject(scene):
    twice = compare(scene.arms([ONE, ONE]))
    assert [arm.label for arm in twice.arms] == [ONE, f"{ONE} (2)"]
    second = [row for row in twice.rows if row.arm == twice.arms[1].label]
    assert len(second) > 30
    for row in second:
        assert (row.pairs, row.difference, row.difference_low, row.difference_high) == (
            60 - row.missing,
            0,
            0,
            0,
        )
        shares = (0.0, 1.0, 0.0) if row.endpoint.better else (math.nan,) * 3
        assert all(map(same, (row.better, row.same, row.worse), shares))


@pytest.mark.parametrize(("threads", "chunk"), [(1, 104), (2, 104), (2, 16), (1, 60)])
def test_neither_threads_nor_chunks_change_a_number(scene, arms, threads, chunk):
    again = dataclasses.replace(scene, threads=threads, chunk=chunk).arms([TWO])[0]
    for endpoint, values in arms[1].endpoints.items():
        np.testing.assert_array_equal(again.endpoints[endpoint], values, endpoint.name)
    for name, band in arms[1].bands.items():
        np.testing.assert_array_equal(again.bands[name], band, name)


def test_the_subjects_of_a_smaller_scene_are_the_first_of_a_larger(scene, arms):
    few = Scene.create(subjects=20, draws=12, seed=4, until_days=70).arms([TWO])[0]
    for endpoint, values in few.endpoints.items():
        if endpoint.name != "adverse event":  # its draws are spread evenly over as many as there are
            np.testing.assert_array_equal(values, arms[1].endpoints[endpoint][:20], endpoint.name)


def test_the_order_of_two_schedules_turns_the_signs_and_nothing_else(arms, compared):
    turned = compare([arms[1], arms[0]])
    for endpoint in turned.endpoints:
        row, back = compared.row(endpoint.name, 1), turned.row(endpoint.name, 1)
        assert same(row.median, turned.row(endpoint.name, 0).median)
        np.testing.assert_array_equal(
            paired(arms[1].endpoints[endpoint], arms[0].endpoints[endpoint]),
            -paired(arms[0].endpoints[endpoint], arms[1].endpoints[endpoint]),
        )
        assert row.pairs == back.pairs
        if endpoint.better and row.pairs:
            assert (row.better, row.same, row.worse) == (back.worse, back.same, back.better), endpoint.name
            assert row.better + row.same + row.worse == pytest.approx(1, abs=1e-12)
        # quantiles are values of subjects: with 60 of them, the mirrored one is a neighbour in order
        spread = row.difference_high - row.difference_low
        assert not row.pairs or abs(row.difference + back.difference) <= spread


# ---- against subjects that are simulated one by one


@pytest.mark.parametrize(("place", "text"), [(1, TWO), (3, OFTEN)])
def test_quantiles_are_those_of_subjects_simulated_one_by_one(scene, arms, compared, place, text):
    alone = [plainly(scene, text, k) for k in range(60)]
    assert np.array_equal(alone[0][0], arms[place].days * 24.0)
    checked = 0
    for endpoint in compared.endpoints:
        if endpoint.name == "adverse event":
            continue
        values = np.sort([found[endpoint.name] for _, _, found in alone])
        values = values[~np.isnan(values)]
        row = compared.row(endpoint.name, place)
        assert row.n + row.beyond == values.size
        if not values.size:
            assert math.isnan(row.median)
            continue
        # the smallest value that a share of the subjects does not exceed
        expected = [values[math.ceil(share * values.size) - 1] for share in (0.05, 0.5, 0.95)]
        np.testing.assert_allclose(
            (row.low, row.median, row.high), expected, rtol=1e-9, err_msg=endpoint.name
        )
        checked += 1
    assert checked > 30
    kernel = scene.population.kernel
    for name, band in arms[place].bands.items():
        courses = np.array([outputs[:, kernel.OUTPUTS.index(name)] for _, outputs, _ in alone])
        np.testing.assert_allclose(band, np.quantile(courses, (0.05, 0.5, 0.95), axis=0), rtol=1e-5)


def test_differences_are_those_of_the_same_subject(scene, arms, compared):
    one, two = ([plainly(scene, text, k)[2]["Treg mean fold"] for k in range(60)] for text in (ONE, TWO))
    own = np.sort(np.subtract(two, one))
    row = compared.row("Treg mean fold", 1)
    expected = [own[math.ceil(share * 60) - 1] for share in (0.05, 0.5, 0.95)]
    np.testing.assert_allclose((row.difference_low, row.difference, row.difference_high), expected, rtol=1e-7)
    assert row.better == pytest.approx(np.mean(own >= 0.1))  # a tenth of baseline
    assert row.same == pytest.approx(np.mean(np.abs(own) < 0.1))
    # far less than what the schedules' subjects differ by: that is what the same subjects are for
    assert row.difference_high - row.difference_low < 0.5 * (row.high - row.low)


values = st.lists(
    st.tuples(*[st.one_of(st.integers(-3, 3).map(float), st.just(math.nan), st.just(math.inf))] * 2),
    min_size=1,
    max_size=12,
)


MARGINS = (None, Relevant(1.5, "one and a half"), Relevant(0.5, "half", share=True), Relevant(2.0, "two"))


@given(pairs=values, better=st.sampled_from([-1, 1]), margin=st.sampled_from(MARGINS))
def test_better_same_and_worse_count_pairs_by_what_matters(pairs, better, margin):
    one, other = map(np.array, zip(*pairs, strict=True))
    known = [(a, b) for a, b in pairs if not (math.isnan(a) or math.isnan(b))]
    endpoint = Endpoint("this", "1", "", better, "burden", relevant=margin)
    found = shares_of_better(one, other, endpoint)
    if not known:
        assert all(map(math.isnan, found))
        return

    def verdict(a, b):
        least = 0.0 if margin is None else margin.size
        if margin is not None and margin.share:
            least *= max(abs(a), abs(b)) if math.isfinite(a) and math.isfinite(b) else 0.0
        if a == b or abs(a - b) < least:
            return "same"
        return "better" if (a > b) == (better > 0) else "worse"

    said = [verdict(a, b) for a, b in known]
    assert found == pytest.approx([said.count(word) / len(said) for word in ("better", "same", "worse")])
    assert shares_of_better(other, one, endpoint) == pytest.approx(found[::-1])
    neither = dataclasses.replace(endpoint, better=0)
    assert all(map(math.isnan, shares_of_better(one, other, neither)))


def test_a_difference_that_does_not_matter_is_the_same():
    base = np.linspace(1.0, 2.0, 101)
    fold = Endpoint("fold", "1", "", 1, "burden", relevant=Relevant(0.1, "a tenth of baseline"))
    assert shares_of_better(base + 1e-5, base, fold) == (0, 1, 0)
    assert shares_of_better(base + 1e-5, base, dataclasses.replace(fold, relevant=None)) == (1, 0, 0)
    # just as much as matters does matter, whatever rounding leaves of it
    assert shares_of_better(base + 0.1, base, fold) == (1, 0, 0)
    assert shares_of_better(base - 0.1, base, fold) == (0, 0, 1)
    assert shares_of_better(base + 0.0999, base, fold) == (0, 1, 0)


def test_whatever_is_better_or_worse_has_a_smallest_relevant_difference_and_a_reason(compared):
    for endpoint in compared.endpoints:
        if endpoint.better:
            assert endpoint.relevant.size > 0 and len(endpoint.relevant.reason) > 10, endpoint.name
            assert endpoint.relevant.reason in relevant(endpoint)
        else:
            assert relevant(endpoint) == ""


def test_more_courses_than_are_kept_are_counted_within_half_a_percent(scene, arms, monkeypatch):
    monkeypatch.setattr(simulation, "KEPT", 20)
    counted = scene.arms([OFTEN])[0]
    for name, band in arms[3].bands.items():
        assert not np.array_equal(counted.bands[name], band)  # or nothing was counted
        np.testing.assert_allclose(counted.bands[name], band, rtol=0.00501, atol=1e-9, err_msg=name)
    for endpoint, numbers in arms[3].endpoints.items():
        np.testing.assert_array_equal(counted.endpoints[endpoint], numbers)


# ---- the uncertainty of a median


def crossed(between, within, draws=400, subjects=50, seed=1):
    rng = np.random.default_rng(seed)
    draw = np.arange(draws * subjects) % draws
    return between * rng.standard_normal(draws)[draw] + within * rng.standard_normal(draw.size), draw


@pytest.mark.parametrize("within", [0.5, 3.0, 6.0])
def test_the_uncertainty_of_the_median_is_what_draws_differ_by_and_not_what_few_subjects_scatter(within):
    numbers, draw = crossed(1.0, within)
    low, high = uncertainty(numbers, draw)
    expected = np.quantile(
        crossed(1.0, 0.0)[0], (0.05, 0.95), method="weibull"
    )  # of the same draws without what subjects scatter
    np.testing.assert_allclose((low, high), expected, atol=0.1 + 0.03 * within)
    raw = between(np.array([[np.median(numbers[draw == d]) for d in range(400)]]))
    assert np.ptp(raw) > high - low


@pytest.mark.parametrize(("of_a_draw", "skewed"), [(8, False), (8, True), (40, False)])
def test_with_few_subjects_of_a_draw_the_interval_is_on_average_as_wide_as_that_of_the_draws(
    of_a_draw, skewed
):
    generator, draws = np.random.default_rng(5), 25
    draw = np.arange(of_a_draw * draws) % draws
    found, true = [], []
    for _ in range(200):
        centre = 0.5 * generator.normal(size=draws)
        apart = generator.normal(size=draw.size)
        if skewed:
            apart = (np.exp(0.6 * apart) - 1) / 0.6  # with median nought
        found.append(np.diff(uncertainty(centre[draw] + apart, draw))[0])
        true.append(np.diff(between(centre[None])[0])[0])
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.06)


@pytest.mark.parametrize("by_parameters", [0.1, 0.17, 0.37, 1.0])
def test_the_interval_of_few_subjects_holds_the_next_draw_however_little_draws_differ(by_parameters):
    """25 draws of ten subjects, whose medians scatter by 0.37 with the same parameters; where draws differ by
    much less than that, the interval is wider than it says."""
    generator, draw = np.random.default_rng(6), np.arange(250) % 25
    held = []
    for _ in range(300):
        centre = by_parameters * generator.normal(size=25)
        low, high = uncertainty(centre[draw] + generator.normal(size=250), draw) / np.array(by_parameters)
        held.append(norm.cdf(high) - norm.cdf(low))
    assert np.mean(held) > 0.85
    assert by_parameters < 0.37 or np.mean(held) < 0.95


def test_of_skewed_values_the_interval_lies_around_their_median():
    draw = np.arange(200) % 25
    for seed in range(50):
        numbers = np.exp(2.0 * np.random.default_rng(seed).normal(size=200))
        low, high = uncertainty(numbers, draw)
        assert low <= np.median(numbers) <= high  # the median of the draws' is higher by about 3 %


def test_draws_that_do_not_differ_leave_no_uncertainty():
    numbers, draw = crossed(0.0, 1.0)
    low, high = uncertainty(numbers, draw)
    assert high - low < 0.5 * np.ptp(
        np.quantile([np.median(numbers[draw == d]) for d in range(400)], (0.05, 0.95))
    )
    assert uncertainty(np.full(100, 2.0), np.arange(100) % 10) == (2.0, 2.0)


def test_without_scatter_between_subjects_it_is_the_quantiles_of_the_draws():
    rng = np.random.default_rng(2)
    of_draw = rng.normal(size=40)
    draw = np.arange(400) % 40
    np.testing.assert_allclose(uncertainty(of_draw[draw], draw), between(of_draw[None])[0], rtol=1e-12)


@pytest.mark.parametrize("draws", [10, 12, 18, 19, 25, 60])
def test_ninety_percent_of_draws_lie_between_the_ends_of_others(draws):
    generator = np.random.default_rng(draws)
    ends = between(generator.normal(size=(20_000, draws)))
    one_more = generator.normal(size=20_000)
    inside = (ends[:, 0] < one_more) & (one_more < ends[:, 1])
    assert np.mean(inside) == pytest.approx(0.9, abs=0.0065)  # three standard errors
    one = between(np.arange(draws, dtype=float)[None])[0]
    assert one.sum() == pytest.approx(draws - 1) and one[0] < draws / 2 < one[1]


@pytest.mark.long
def test_intervals_hold_the_truth_as_often_as_they_say():
    """Truths are drawn from the fit; what other draws of it print covers the medians of nine truths in ten,
    and nine subjects in ten of them."""
    schedules = ("1 MIU sc daily x5", "2 MIU sc daily x5")
    truth = Scene.create(subjects=100 * 200, draws=100, seed=991, until_days=28)
    first, second = truth.arms(schedules)
    draw = truth.population.draw
    counted: dict[str, list[float]] = {}
    for seed in range(1, 13):
        scene = Scene.create(subjects=250, draws=25, seed=seed, until_days=28)
        for row in compare(scene.arms(schedules)).rows:
            endpoint = row.endpoint
            if row.arm != schedules[1] or row.missing or row.beyond or endpoint.group == "burden":
                continue
            if endpoint.name in ("adverse event", "Tmax", "Treg time to peak", "Treg rebound"):
                continue  # steps, or nought in most
            own = second.endpoints[endpoint]
            apart = paired(own, first.endpoints[endpoint])
            for what, values, low, high, of_draws in (
                ("subjects", own, row.low, row.high, False),
                ("differences of subjects", apart, row.difference_low, row.difference_high, False),
                ("medians", own, row.median_low, row.median_high, True),
                ("median differences", apart, row.difference_median_low, row.difference_median_high, True),
            ):
                if of_draws:
                    values = np.array([np.nanmedian(values[draw == k]) for k in range(100)])
                values = values[np.isfinite(values)]
                counted.setdefault(what, []).append(np.mean((low <= values) & (values <= high)))
    assert len(counted["medians"]) > 200
    for what, shares in counted.items():
        assert np.mean(shares) == pytest.approx(0.9, abs=0.025), what


@given(seed=st.integers(0, 1000), shift=st.floats(-5, 5), factor=st.floats(0.1, 10))
def test_it_moves_with_the_values_and_not_with_their_order(seed, shift, factor):
    numbers, draw = crossed(1.0, 1.0, draws=12, subjects=7, seed=seed)
    expected = np.array(uncertainty(numbers, draw))
    order = np.random.default_rng(seed).permutation(draw.size)
    assert uncertainty(numbers[order], draw[order]) == tuple(expected)
    np.testing.assert_allclose(
        uncertainty(shift + factor * numbers, draw), shift + factor * expected, rtol=1e-9, atol=1e-9
    )


@given(seed=st.integers(0, 1000), subjects=st.integers(5, 10))
def test_it_is_mirrored_with_the_values(seed, subjects):
    """The lower of the two values in the middle of an even number would lean to one side."""
    numbers, draw = crossed(1.0, 1.0, draws=12, subjects=subjects, seed=seed)
    low, high = uncertainty(numbers, draw)
    np.testing.assert_allclose(uncertainty(-numbers, draw), (-high, -low), rtol=1e-9, atol=1e-12)


def test_too_few_draws_or_subjects_say_nothing_and_those_without_a_value_do_not_count():
    numbers, draw = crossed(1.0, 1.0, draws=10, subjects=5)
    assert np.isfinite(uncertainty(numbers, draw)).all()
    assert np.isnan(uncertainty(numbers[draw < 9], draw[draw < 9])).all()
    missing = numbers.copy()
    missing[0] = np.nan  # draw 0 is left with four
    assert np.isnan(uncertainty(missing, draw)).all()
    assert np.isnan(uncertainty(np.full(50, np.nan), draw)).all()


def test_intervals_of_many_rows_are_those_of_each():
    random = np.random.default_rng(5)
    draw = np.arange(203) % 20
    rows = random.normal(size=(40, 203)) + random.normal(size=(40, 20))[:, draw]
    rows[::3][random.random((14, 203)) < 0.1] = np.nan
    rows[::5][random.random((8, 203)) < 0.2] = np.inf
    one_by_one = [uncertainty(row, draw) for row in rows]
    np.testing.assert_allclose(uncertainties(rows, draw), one_by_one, rtol=1e-12)
    assert np.isfinite(one_by_one).all(axis=1).sum() > 25


def test_a_median_beyond_the_horizon_makes_the_upper_end_infinite():
    numbers, draw = crossed(1.0, 0.1, draws=20, subjects=5)
    numbers[draw < 3] = np.inf
    low, high = uncertainty(numbers, draw)
    assert math.isfinite(low)
    assert high == math.inf


def test_without_the_uncertainty_of_the_fit_there_is_none_of_the_median():
    sure = compare(Scene.create(subjects=20, vary=("between",)).arms(["1 MIU sc once", "2 MIU sc once"]))
    assert all(math.isnan(row.median_low) and math.isnan(row.difference_median_high) for row in sure.rows)
    assert "switched off" in sure.reading[0]


# ---- what the model says


def test_more_il2_makes_more_tregs_and_more_of_what_is_not_wanted(scene):
    doses = (0.3, 1, 2, 3)
    found = compare(scene.arms([f"{dose} MIU sc daily x5" for dose in doses]))
    for name in (
        "Treg mean fold",
        "Treg peak fold",
        "Cmax",
        "AUC",
        "NK mean fold",
        "adverse event",
        "total dose",
    ):
        medians = [found.row(name, i).median for i in range(4)]
        assert medians == sorted(set(medians)), name
    row = found.row("Treg mean fold", 3)
    assert row.better > 0.4 and row.worse == 0  # by a tenth of baseline
    assert found.row("NK mean fold", 3).better == 0.0
    assert found.row("Cmax", 3).difference > 0


def test_all_arms_go_to_the_end_of_the_longest_treatment_and_four_weeks_more():
    scene = Scene.create(subjects=8)
    arms = scene.arms(["1 MIU sc once", ONE, "none"])
    # two cycles of 28 days
    assert [arm.scene.until_days for arm in arms] == [84, 84, 84]
    assert [arm.days[-1] for arm in arms] == [84, 84, 84]
    assert horizon([]) == 28
    assert horizon([Schedule.parse("1 MIU sc daily x5")]) == 33
    assert scene.until_days is None  # the scene stays as it was
    assert scene.arm(ONE).days[-1] == 84


def test_a_horizon_can_be_set_and_each_dose_lies_before_it(scene, arms):
    assert all(arm.days[-1] == 70 for arm in arms)
    with pytest.raises(
        InputError, match=r"schedule 2: its last dose, on day 32, is not before the horizon of 32 days"
    ):
        scene.lasting(32.0).arms(["1 MIU sc once", ONE])
    for days, said in (
        (0, "longer than 0"),
        (-3, "longer than 0"),
        (math.nan, "longer than 0"),
        (1e6, "a hundred years"),
    ):
        with pytest.raises(InputError, match=said):
            Scene.create(subjects=2, until_days=days)


def test_placebo_is_rest_with_no_burden(scene, arms):
    alone = compare([arms[2]])
    assert alone.arms[0].label == "none (placebo)"
    assert alone.row("Treg mean fold").median == pytest.approx(1, abs=2e-4)
    for name in ("AUC", "injections", "total dose", "Treg days above +50 %"):
        assert alone.row(name).median == pytest.approx(0, abs=1e-4), name  # what steps of weeks leave
    assert alone.row("Treg trough fold").n == 0
    assert all(math.isnan(row.better) for row in alone.rows)
    assert 0.05 < alone.row("adverse event").median < 0.5  # as often as on placebo


def test_beside_placebo_every_endpoint_stands_once_in_the_unit_of_the_doses(arms):
    for order in ([2, 0], [0, 2]):
        both = compare([arms[i] for i in order])
        names = [endpoint.name for endpoint in both.endpoints]
        assert len(names) == len(set(names))
        assert both.row("dose per 28 days").endpoint.unit == "MIU"
        sign = 1 if order == [2, 0] else -1
        assert both.row("total dose", 1).difference == 10 * sign
        assert both.row("NK mean fold", 1).better == (0.0 if sign > 0 else 1.0)


def test_each_drug_is_counted_by_itself():
    """70 mg of antibody are no 1,145 MIU of IL-2, though a milligram of IL-2 is 16.4 of them."""
    scene = Scene.create(subjects=8, vary=(), until_days=40)
    found = compare(
        scene.arms(["1 MIU sc once", "0.1 mg sc once", "1 MIU sc once and 70 mg dac once", "70 mg dac once"])
    )
    assert found.row("total dose", 1).median == pytest.approx(18 / 11)  # 1.1 mg are 18 MIU
    both = found.row("total dose", 2)
    assert (both.missing, both.n) == (8, 0)
    assert found.row("adverse event", 2).missing == 8
    assert any("cannot be counted in MIU" in sentence for sentence in found.arms[2].warnings)
    antibody = {endpoint.name: endpoint.unit for endpoint in found.arms[3].endpoints}
    assert antibody["total dose"] == "mg"


# ---- where it leaves the fit


def test_inside_what_the_fit_saw_there_is_only_the_word_on_ccl2_and_on_nk_cells_never_counted_earlier(scene):
    early, *_ = scene.warnings(Schedule.parse("2 MIU sc once"))
    assert "shorter than the 5 days after which the fit first saw NK cells" in early
    (ccl2,) = scene.warnings(Schedule.parse("2 MIU sc daily x5"))
    assert ccl2 == "The fit has no data on ccl2: what the model says of it is assumed, not fitted."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5 MIU sc daily x5", r"5 MIU is above the doses after which the fit saw Tregs"),
        ("0.01 MIU sc daily x5", r"0.01 MIU is below the doses"),
        ("2 MIU sc every 14 d x3", r"A dose every 14 d is outside the intervals at which the fit saw Tregs"),
        ("1 MIU/m2 sc daily for 400 d", r"400 days of treatment are longer than the 180"),
        ("2 MIU sc daily x5 every 28 d x3", r"3 cycles: the fit saw Tregs only in the first one.*unverified"),
        ("2 MIU iv daily x5", r"after doses by sc only, not by iv"),
        ("5 MIU sc daily x5", r"Adverse events: 5 MIU a day is outside the 0.33 to 3 MIU"),
    ],
)
def test_beyond_it_a_sentence_says_so_and_names_the_nearest_study(scene, text, said):
    sentences = scene.warnings(Schedule.parse(text))
    assert any(re.search(said, sentence) for sentence in sentences), sentences


def test_warnings_name_the_schedules_they_are_about(compared):
    everybody = [line for line in compared.short_warnings if line.startswith("All schedules: ")]
    assert len(everybody) == 1
    assert "ccl2" in everybody[0]
    assert any(
        line.startswith("A, B: Adverse events: the probability is that of one")
        for line in compared.short_warnings
    )
    assert any(line.startswith(f"{TWO}: 2 cycles") for line in compared.warnings)
    assert compared.short_warnings[-1].startswith("How tlag, CL")  # about the subjects
    topics = [told.topic for told in compared.told]
    assert topics == sorted(topics, key=list(Topic).index)  # the most important first
    (no_data,) = (told.sentence for told in compared.told if told.topic is Topic.NO_DATA)
    assert "ccl2" in no_data
    assert letters(28)[-2:] == ["AA", "AB"]


def test_subjects_that_cannot_be_integrated_are_counted_and_left_out(scene):
    people = scene.population
    broken = people.values.copy()
    broken[3, people.kernel.PARAMETERS.index("K")] = np.nan
    some = dataclasses.replace(scene, population=dataclasses.replace(people, values=broken))
    found = compare(some.arms(["1 MIU sc daily x5"]))
    assert found.arms[0].failed == 1
    assert found.row("Treg mean fold").missing == 1
    assert "1 of 60 subjects could not be integrated and have no value." in found.warnings[0]
    whole = compare(scene.arms(["1 MIU sc daily x5"])).arms[0]
    assert np.isfinite(found.arms[0].bands["treg_pct"]).all()
    np.testing.assert_array_equal(
        found.arms[0].endpoints[found.row("Cmax").endpoint][4:],
        whole.endpoints[found.row("Cmax").endpoint][4:],
    )


# ---- what cannot be compared


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("1 MIU sc every 30 min x1000000", r"1,000,000 doses up to day 20,833 are too many to be followed"),
        ("1 MIU sc daily for 36500 d", r"36,500 doses up to day 36,499 are too many"),
        ("1 MIU po once", r'no route "po": its routes are sc, iv, dac'),
        ("1 MIU/kg sc once", r"needs the body weight"),
        ("0 MIU sc once", r"above zero"),
        ("1e9 MIU sc once", r"beyond anything given"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_simulated(schedule, said, monkeypatch):
    scene = Scene.create(subjects=2)
    monkeypatch.setattr(simulation, "solve_taken", None)
    with pytest.raises(InputError, match=rf"(?s)schedule 2.*{said}"):
        scene.arms(["1 MIU sc once", schedule])


def test_a_hundred_years_of_few_doses_are_compared():
    found = compare(Scene.create(subjects=8).arms(["2 MIU sc daily x5 every 365 d x90"]))
    assert found.arms[0].failed == 0
    assert found.row("injections").median == 450
    assert any("90 cycles" in line for line in found.warnings)


def test_exposure_of_the_most_doses_that_are_followed_is_right():
    """Against the trapezoid of a course followed every six minutes."""
    scene = Scene.create(subjects=1, vary=())
    text = "1 MIU sc daily x900"
    area = compare(scene.arms([text])).row("AUC").median
    kernel = scene.population.kernel
    hours = np.arange(0, 900 * 24, 0.1)
    il2 = kernel.OUTPUTS.index("il2")
    exact = solve(kernel, scene.population.values, scene.events(Schedule.parse(text)), hours).outputs[
        0, :, il2
    ]
    exact = np.trapezoid(np.maximum(exact - scene.rest[0, il2], 0), hours)
    assert area == pytest.approx(exact, rel=0.06)
    with pytest.raises(InputError, match="too many"):
        scene.arms(["1 MIU sc every 3 d x900"])


def test_arms_of_other_subjects_or_horizons_are_not_paired(scene, arms):
    for other in (scene.lasting(80.0), Scene.create(subjects=60, draws=12, seed=5, until_days=70)):
        with pytest.raises(InputError, match="arms of one scene"):
            compare([arms[0], other.arm("1 MIU sc once")])
    with pytest.raises(InputError, match="no schedule"):
        compare([])


def test_an_unknown_endpoint_or_arm_is_named(compared):
    with pytest.raises(InputError, match=r'no endpoint "Treg mean"; did you mean .*Treg mean fold'):
        compared.choose(["Treg mean"])
    with pytest.raises(InputError, match='no endpoint "Cmax" of "E"'):
        compared.row("Cmax", "E")


# ---- another model


def test_a_model_without_cells_is_compared_by_its_first_output(tmp_path):
    from pkpd.inference import fit, read_fit

    folder = toy.write(tmp_path / "toy")
    fit(read_fit(folder), rival=False, unverified=False, check=False).write_json(folder / "result.json")
    scene = Scene.create(folder, subjects=8, vary=("uncertainty",))
    found = compare(scene.arms(["100 mg oral once", "200 mg oral once", "500 mg oral daily x9"]))
    assert set(found.arms[0].bands) == {"C"}
    row = found.row("Cmax", 1)
    assert row.difference == pytest.approx(found.row("Cmax", 0).median, rel=0.2)  # it is linear
    assert {endpoint.group for endpoint in found.endpoints} == {"exposure", "burden"}
    assert found.main().rows
    assert any("500 mg is above the doses" in line for line in found.warnings)


# ---- what is written


def test_a_csv_file_has_every_number_as_it_is(compared, tmp_path):
    compared.write_csv(tmp_path / "c.csv")
    lines = (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()
    head = [line for line in lines if line.startswith("# ")]
    assert f"# {compared.reading[0]}" in head
    assert all(f"# {warning}" in head for warning in compared.warnings)
    assert any(line.startswith("# seed: 4") for line in head)
    rows = list(csv.DictReader(lines[len(head) :]))
    assert len(rows) == len(compared.rows) == 4 * len(compared.endpoints)
    seen = set()
    for written, row in zip(rows, compared.rows, strict=True):
        assert (written["arm"], written["endpoint"], written["of"]) == (row.arm, row.endpoint.name, row.of)
        assert written["definition"] == row.endpoint.definition
        assert written["relevant"] == relevant(row.endpoint)
        for name in NUMBERS:
            value = getattr(row, name)
            assert written[name] == "" if math.isnan(value) else float(written[name]) == value
            seen.add(written[name])
    assert "" in seen


def test_a_json_file_has_every_number_as_it_is_and_is_json(compared, tmp_path):
    compared.write_json(tmp_path / "c.json")
    text = (tmp_path / "c.json").read_text(encoding="utf-8")

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    facts = json.loads(text, parse_constant=refuse)
    assert [arm["label"] for arm in facts["arms"]] == [arm.label for arm in compared.arms]
    assert facts["provenance"]["schedules"][TWO] == TWO
    definitions = {endpoint["name"]: endpoint["definition"] for endpoint in facts["endpoints"]}
    for arm in facts["arms"]:
        assert len(arm["rows"]) == len(compared.endpoints)
        for written in arm["rows"]:
            row = compared.row(written["endpoint"], arm["label"])
            assert definitions[written["endpoint"]] == row.endpoint.definition
            for name in NUMBERS:
                value = getattr(row, name)
                assert written[name] is None if math.isnan(value) else written[name] == value


def test_what_lies_beyond_the_horizon_is_inf_in_every_file(tmp_path):
    scene = Scene.create(subjects=8, vary=(), until_days=6)
    found = compare(scene.arms(["1 MIU sc daily x5", "2 MIU sc daily x5"]))
    row = found.row("Treg days to return", 1)
    assert (row.median, row.beyond, row.n) == (math.inf, 8, 0)
    assert math.isnan(row.difference)  # nobody knows
    found.write_json(tmp_path / "c.json")
    written = json.loads((tmp_path / "c.json").read_text())["arms"][1]["rows"]
    (written,) = (item for item in written if item["endpoint"] == row.endpoint.name)
    assert (written["median"], written["difference"]) == ("inf", None)
    found.write_csv(tmp_path / "c.csv")
    rows = csv.DictReader(line for line in (tmp_path / "c.csv").read_text().splitlines() if line[0] != "#")
    assert [item["median"] for item in rows if item["endpoint"] == row.endpoint.name] == ["inf", "inf"]


def test_a_table_carries_what_it_is_in_its_attributes(compared):
    frame = compared.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(compared.rows)
    assert frame.attrs["provenance"]["subjects"] == 60
    assert frame.attrs["provenance"]["vary"] == ["between", "uncertainty"]
    assert frame.attrs["warnings"] == list(compared.warnings)
    cell = frame[(frame.arm == TWO) & (frame.endpoint == "Cmax")].iloc[0]
    assert cell["median"] == compared.row("Cmax", 1).median


def test_the_main_endpoints_exist(compared):
    by_rules = {endpoint.name for endpoint in BY_RULES}  # of schedules that have some
    not_injected = {"doses per 28 days"}  # of other drugs
    assert {row.endpoint.name for row in compared.main().rows} == (
        compared.criteria.shown_first - by_rules - not_injected
    )
    assert by_rules < compared.criteria.shown_first
    only = compared.choose(["burden", "Cmax"])
    assert {endpoint.group for endpoint in only.endpoints} == {"burden", "exposure"}
    assert len([endpoint for endpoint in only.endpoints if endpoint.group == "exposure"]) == 1


def test_progress_counts_all_subjects_of_all_schedules(scene):
    seen = []
    scene.arms(["1 MIU sc once", "none"], progress=lambda what, share, remark: seen.append((share, remark)))
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert seen[-1] == (1.0, "120 of 120 subjects")


def test_a_schedule_may_be_given_read_and_named(scene):
    arm = scene.arm(Schedule.parse("1 MIU sc once"), "mine")
    assert (arm.label, arm.dose_unit, list(arm.dose_days), list(arm.dose_amounts)) == (
        "mine",
        "MIU",
        [0.0],
        [1.0],
    )
    mixed = scene.arm("1 MIU sc once and 1 MIU/m2 sc weekly x2")
    assert mixed.dose_unit == ""
    with pytest.raises(ScheduleError):
        scene.arm("one MIU")
