"""Endpoints are what their definitions say: against closed forms of one-compartment models, against the solver's exact times above a level, and by properties."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.dosing import EventTable, Schedule
from pkpd.endpoints import GROUPS, Regimen, curve, evaluate, grid, quantiles
from pkpd.errors import InputError
from pkpd.kernel import load
from pkpd.simulate import population
from pkpd.solve import solve

NAMES = ("il2", "treg_pct", "treg_count", "nk", "cd56bright", "ccl2")
CYCLES = "1 MIU sc daily x5 every 28 d x3"


@cache
def il2(text, until_days, subjects=8, fine=False):
    """(times, outputs, rest, units, schedule, events, values) of virtual subjects of il2_treg."""
    kernel = load("il2_treg")
    schedule = Schedule.parse(text)
    events = schedule.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    times = grid(events, until_days * 24.0, 24.0)
    if fine:
        close = (events.time[:, None] + np.geomspace(1e-4, 24.0, 120)).ravel()
        times = np.unique(np.concatenate([times, close, np.arange(0.0, until_days * 24.0, 0.25)]))
    columns = [kernel.OUTPUTS.index(name) for name in NAMES]
    values = population(kernel, subjects, seed=3)
    outputs = solve(kernel, values, events, times, rtol=1e-6).check().outputs[:, :, columns]
    rest = solve(kernel, values, EventTable.empty(), [0.0]).outputs[:, 0, columns]
    return times, outputs, rest, [kernel.OUTPUT_UNITS[i] for i in columns], schedule, events, values


def endpoints(text, until_days, fine=False, **options):
    times, outputs, rest, units, schedule, _, _ = il2(text, until_days, fine=fine)
    return by_name(evaluate(times, outputs, rest, NAMES, units, schedule, "h", sizes={"m2": 1.8}, **options))


def by_name(found):
    assert len({endpoint.name for endpoint in found}) == len(found)
    return {endpoint.name: value for endpoint, value in found.items()}


def one(times, y, text="1 mg iv once", role="exposure", rest=0.0, unit="d", **options):
    """Endpoints of a single curve that plays one role."""
    return {
        name: value[0]
        for name, value in by_name(
            evaluate(
                times,
                np.asarray(y)[None, :, None],
                [rest],
                ["y"],
                ["mg/L"],
                Schedule.parse(text),
                unit,
                roles={role: "y"},
                **options,
            )
        ).items()
    }


# --- exposure: closed forms --------------------------------------------------------------------------------------------


def test_an_intravenous_bolus_has_the_area_dose_over_clearance_and_its_half_life():
    dose, V, k = 10.0, 4.0, 0.35
    times = np.concatenate([[0.0], np.geomspace(0.01, 60.0, 60)])
    found = one(times, dose / V * np.exp(-k * times))
    assert found["Cmax"] == dose / V and found["Tmax"] == 0.0
    assert found["AUC"] == pytest.approx(dose / (k * V), rel=1e-8)  # log-down is exact for an exponential
    assert found["half-life"] == pytest.approx(math.log(2) / k, rel=1e-10)
    assert math.isnan(found["trough"])


def bateman(t, ka, k):
    return np.where(
        t > 0, ka / (ka - k) * (np.exp(-k * np.maximum(t, 0)) - np.exp(-ka * np.maximum(t, 0))), 0.0
    )


def test_an_oral_dose_has_its_tmax_area_and_terminal_half_life():
    ka, k = 1.4, 0.2
    times = np.arange(0.0, 60.0, 0.02)
    found = one(times, bateman(times, ka, k), unit="h")
    assert found["Tmax"] == pytest.approx(math.log(ka / k) / (ka - k), abs=0.02)
    assert found["AUC"] == pytest.approx(1 / k, rel=1e-4)
    assert found["half-life"] == pytest.approx(math.log(2) / k, rel=1e-4)


def test_repeated_doses_accumulate_to_the_steady_state_and_its_trough():
    k, tau, n = 0.3, 1.0, 40
    times = np.unique(np.concatenate([np.arange(0, 60, 0.05), np.arange(n) * tau - 1e-5, np.arange(n) * tau]))
    times = times[times >= 0]
    since = times[:, None] - np.arange(n) * tau
    y = np.where(since >= 0, np.exp(-k * np.maximum(since, 0)), 0.0).sum(axis=1)
    found = one(times, y, "1 mg iv daily x40")
    accumulation = 1 / (1 - math.exp(-k * tau))
    assert found["Cmax"] == pytest.approx(accumulation, rel=1e-4)
    assert found["trough"] == pytest.approx((accumulation - 1), rel=1e-4)
    assert found["AUC per dose"] == pytest.approx(1 / k, rel=1e-3)  # superposition
    assert found["AUC first interval"] == pytest.approx((1 - math.exp(-k * tau)) / k, rel=1e-4)
    assert found["Tmax"] == pytest.approx(0.0, abs=1e-12)  # from the dose before it, not from the first


def test_the_endogenous_level_is_taken_off_areas_and_half_lives_but_not_off_what_an_assay_reads():
    times = np.arange(0.0, 40.0, 0.1)
    y = np.exp(-0.5 * times)
    plain, lifted = one(times, y), one(times, y + 1e-4, rest=1e-4)
    assert lifted["AUC"] == pytest.approx(plain["AUC"], rel=1e-9)
    assert lifted["half-life"] == pytest.approx(math.log(2) / 0.5, rel=1e-9)
    assert lifted["Cmax"] == pytest.approx(plain["Cmax"] + 1e-4, rel=1e-12)


def test_a_terminal_half_life_is_that_of_the_last_phase_and_missing_where_nothing_falls():
    times = np.concatenate([[0.0], np.geomspace(0.01, 100.0, 200)])
    two_phases = 0.95 * np.exp(-5 * times) + 0.05 * np.exp(-0.1 * times)
    assert one(times, two_phases)["half-life"] == pytest.approx(math.log(2) / 0.1, rel=1e-3)
    for y in (1.0 + times, np.full(times.size, 0.0)):
        assert math.isnan(one(times, y)["half-life"])
    assert math.isnan(one([0.0, 1.0, 2.0], [1.0, 0.4, 0.1])["half-life"])  # two points after the highest


def test_a_half_life_is_the_regression_over_the_last_thirtyfold_and_not_that_of_two_points():
    times = np.arange(0.0, 60.0, 2.0)
    y = np.exp(-0.1 * times + 0.05 * np.random.default_rng(3).normal(size=times.size))
    # the last thirtyfold, but not above half of the highest nor below a thousandth of it
    tail = (y <= 0.5 * y.max()) & (y > y.max() / 1000) & (np.arange(times.size) > np.argmax(y))
    tail &= y <= 30 * y[tail].min()
    slope, _ = np.polyfit(times[tail], np.log(y[tail]), 1)
    assert tail.sum() > 10
    assert one(times, y)["half-life"] == pytest.approx(-math.log(2) / slope, rel=1e-9)
    for few in (2, 3):  # or as few would do as well
        of_few, _ = np.polyfit(times[tail][-few:], np.log(y[tail][-few:]), 1)
        assert abs(of_few / slope - 1) > 0.05


def test_a_model_of_the_user_has_exposure_endpoints_by_a_role():
    found = one([0.0, 1.0, 2.0, 3.0], [0.0, 4.0, 2.0, 1.0])
    assert set(found) == {
        *("Cmax", "Tmax", "AUC", "AUC per dose", "AUC first interval", "half-life", "trough"),
        *("injections per 28 days", "injections", "dose per 28 days", "total dose"),
    }
    assert (found["Cmax"], found["Tmax"]) == (4.0, 1.0)
    assert found["AUC"] == pytest.approx(2.0 + 2.0 / math.log(2) + 1.0 / math.log(2))


# --- properties of curves ----------------------------------------------------------------------------------------------

levels = st.lists(st.floats(0.0, 100.0), min_size=3, max_size=30)


@settings(max_examples=60)
@given(y=levels, start=st.floats(-3.0, 40.0), long=st.floats(0.0, 40.0))
def test_a_mean_is_that_of_the_straight_pieces_between_its_ends(y, start, long):
    times = np.cumsum(1.0 + np.arange(len(y)) % 3)
    first, last = max(start, times[0]), min(start + long, times[-1])
    found = curve.mean(times, np.array([y, np.full(len(y), 7.0)]), start, start + long)
    if first > last:
        assert np.isnan(found).all()
        return
    inner = np.union1d(times[(times > first) & (times < last)], [first, last])
    values = np.interp(inner, times, y)
    expected = np.trapezoid(values, inner) / (last - first) if last > first else values[0]
    np.testing.assert_allclose(found, [expected, 7.0], rtol=1e-9, atol=1e-9)


@settings(max_examples=60)
@given(y=levels, cut=st.floats(0.05, 0.95), scale=st.floats(0.1, 50.0))
def test_areas_and_times_above_add_up_over_time_and_scale(y, cut, scale):
    times = np.cumsum(1.0 + np.arange(len(y)) % 3)
    curves = np.array([y]) - 20.0
    middle = times[int(cut * (len(y) - 1))]
    whole = curve.above(times, curves)
    parts = [curve.above(*curve.window(times, curves, a, b)) for a, b in ((0, middle), (middle, 1e9))]
    for i in range(2):
        np.testing.assert_allclose(parts[0][i] + parts[1][i], whole[i], atol=1e-9)
    np.testing.assert_allclose(curve.above(times, scale * curves), [whole[0], scale * whole[1]], rtol=1e-9)
    at = int(cut * (len(y) - 1))
    exposure = [
        curve.exposure(times[part], np.array([y])[:, part]) for part in (slice(0, at + 1), slice(at, None))
    ]
    np.testing.assert_allclose(sum(exposure), curve.exposure(times, np.array([y])), rtol=1e-9)
    area = np.trapezoid(y, times)
    assert curve.exposure(times, np.array([y]))[0] <= area * (
        1 + 1e-9
    )  # a logarithmic mean is the smaller one


@settings(max_examples=40)
@given(y=levels, x=st.floats(1.0, 300.0), more=st.floats(0.0, 100.0), factor=st.floats(0.1, 10.0))
def test_tregs_are_judged_against_the_subjects_own_baseline(y, x, more, factor):
    times = np.arange(float(len(y)))
    rest = 5.0
    found = one(times, y, "1 mg sc daily x2", "treg_pct", rest, above=x)
    higher = one(times, y, "1 mg sc daily x2", "treg_pct", rest, above=x + more)
    scaled = one(times, factor * np.array(y), "1 mg sc daily x2", "treg_pct", factor * rest, above=x)
    days = found[f"Treg days above +{x:g} %"]
    assert higher[f"Treg days above +{x + more:g} %"] <= days + 1e-9
    assert 0.0 <= days <= times[-1]
    assert scaled[f"Treg days above +{x:g} %"] == pytest.approx(days, abs=1e-6)
    for name in ("Treg peak fold", "Treg mean fold", "Treg trough fold"):
        assert scaled[name] == pytest.approx(found[name], rel=1e-9)
    assert scaled["Treg AUC above baseline"] == pytest.approx(
        factor * found["Treg AUC above baseline"], abs=1e-6
    )
    assert found["Treg peak"] >= max(found["Treg trough"], y[0])


def test_the_return_to_baseline_counts_from_the_last_dose_and_may_not_come():
    times = np.arange(0.0, 21.0, 1.0)
    y = np.interp(times, [0, 4, 14, 20], [10.0, 20.0, 10.0, 10.0])
    found = one(times, y, "1 mg sc daily x5", "treg_pct", 10.0)
    assert found["Treg days to return"] == pytest.approx(
        9.0
    )  # at 11 = +10 % on day 13, nine days after day 4
    assert found["Treg rebound"] == 0.0
    assert one(times[:12], y[:12], "1 mg sc daily x5", "treg_pct", 10.0)["Treg days to return"] == math.inf
    below = np.interp(times, [0, 4, 10, 12, 16], [10.0, 20.0, 10.0, 7.0, 10.0])
    found = one(times, below, "1 mg sc daily x5", "treg_pct", 10.0)
    assert found["Treg rebound"] == pytest.approx(30.0)
    assert found["Treg days to return"] == pytest.approx(12 + 4 * 2 / 3 - 4)  # back at 9 for good, from below
    assert one(times, np.full(21, 10.0), "1 mg sc daily x5", "treg_pct", 10.0)["Treg days to return"] == 0.0


def test_the_last_cycle_is_compared_with_the_first():
    times = np.arange(0.0, 90.0, 0.5)
    phase = times % 28.0
    y = 5.0 + np.select([times < 28, times < 56, times < 84], [6.0, 4.0, 3.0], 0.0) * np.exp(
        -((phase - 6) ** 2)
    )
    found = one(times, y, CYCLES.replace("MIU", "mg"), "treg_pct", 5.0)
    assert found["Treg last to first cycle"] == pytest.approx(0.5)
    single = one(times, y, "1 mg sc every 3 d x20", "treg_pct", 5.0)
    assert math.isnan(single["Treg last to first cycle"])


# --- il2_treg ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"),
    [
        (CYCLES, 100),
        ("0.3 MIU sc once", 20),
        ("0.26 MIU/m2 sc every 3 d x8", 40),
        ("3 MIU iv over 30 min daily x5", 33),
        ("1 MIU iv over 4 h daily x5", 33),
    ],
)
def test_the_grid_finds_cmax_and_area_within_one_percent(text, days):
    coarse, fine = endpoints(text, days), endpoints(text, days, fine=True)
    for name in (
        "Cmax",
        "AUC",
        "AUC per dose",
        "AUC first interval",
        "Treg peak",
        "Treg mean fold",
        "NK peak fold",
    ):
        np.testing.assert_allclose(coarse[name], fine[name], rtol=0.01, err_msg=name)
    np.testing.assert_allclose(coarse["Treg days above +50 %"], fine["Treg days above +50 %"], atol=0.5)


def test_days_above_are_the_solvers_exact_times_above():
    times, _, rest, _, _, events, values = il2(CYCLES, 100)
    kernel = load("il2_treg")
    for x in (20.0, 50.0):
        level = (1 + x / 100) * rest[:, 1]
        exact = solve(kernel, values, events, times, roots=[("treg_pct", level)], rtol=1e-6).crossings
        found = endpoints(CYCLES, 100, above=x)[f"Treg days above +{x:g} %"]
        np.testing.assert_allclose(found, exact.time_above[:, 0] / 24.0, atol=0.3)
        assert np.all(found > 5.0)


def test_eighteen_months_fit_into_the_grid():
    for text, days, most in (
        ("2 MIU sc daily x5 every 28 d x20", 640, 2600),
        ("1 MIU sc daily x540", 640, 10_000),
        ("1 MIU sc every 1 h x100000", 4200, 10_000),
    ):
        schedule = Schedule.parse(text)
        events = schedule.events("h", ["sc"], {"sc": {"MIU": 1.0}}, {})
        times = grid(events, days * 24.0, 24.0)
        assert times.size <= most and np.all(np.diff(times) > 0)
        assert times[0] == 0.0 and times[-1] == days * 24.0
        if len(events) < 1000:
            assert np.isin(events.time, times).all()


def test_times_of_the_grid_surround_each_dose_and_end_of_infusion():
    events = Schedule.parse("4 MIU iv over 2 h every 12 h x2 from day 1").events(
        "d", ["iv"], {"iv": {"MIU": 1.0}}, {}
    )
    times = grid(events, 10.0, 1.0)
    for instant in (1.0, 1.0 + 1 / 12, 1.5, 1.5 + 1 / 12):
        assert np.any(np.abs(times - instant) < 1e-12)
        assert np.any((times < instant) & (times > instant - 2e-5))
    np.testing.assert_array_equal(grid(EventTable.empty(), 2.0, 1.0), [0, 1.25, 1.5, 1.75, 2 - 1e-5, 2])


def test_rest_gives_noughts_ones_and_missing_values_without_a_warning():
    found = endpoints("none", 60)
    for name in (
        "AUC",
        "Treg AUC above baseline",
        "Treg days above +50 %",
        "CCL2 change",
        "injections",
        "total dose",
    ):
        np.testing.assert_allclose(found[name], 0.0, atol=1e-3, err_msg=name)
    for name in (
        "Treg peak fold",
        "Treg mean fold",
        "NK peak fold",
        "Treg gain over NK",
        "Treg gain over CD56bright NK",
    ):
        np.testing.assert_allclose(found[name], 1.0, rtol=1e-4, err_msg=name)
    for name in (
        "Tmax",
        "AUC per dose",
        "half-life",
        "trough",
        "Treg trough",
        "Treg time to peak",
        "Treg days to return",
    ):
        assert np.isnan(found[name]).all(), name


def test_of_peaks_that_are_as_high_the_first_counts():
    times = np.arange(0.0, 60.5, 0.5)

    def to_peak(second, third):
        y = 5.0 + np.exp(-((times - 6.0) ** 2)) + second * np.exp(-((times - 26.0) ** 2))
        y += third * np.exp(-((times - 46.0) ** 2))
        return one(times, y, "1 mg iv daily x2 every 20 d x3", role="treg_pct", rest=5.0)["Treg time to peak"]

    for leftover in (-3e-3, 0.0, 3e-3):  # what output times leave of a peak
        assert to_peak(1.0, 1.0 + leftover) == to_peak(1.0 + leftover, 1.0) == 6.0
    assert to_peak(1.0, 1.1) == 46.0 and to_peak(1.1, 1.1) == 26.0
    assert np.isnan(one(times, np.full(times.size, 5.0), role="treg_pct", rest=5.0)["Treg time to peak"])


@pytest.mark.parametrize(
    ("text", "until_days"),
    [(f"{CYCLES[:-1]}13", 392), ("1 MIU sc weekly x12", 112), ("0.26 MIU/m2 sc every 3 d for 84 d", 112)],
)
def test_the_time_to_peak_does_not_depend_on_where_output_times_lie(text, until_days):
    plain, fine = (endpoints(text, until_days, fine=fine)["Treg time to peak"] for fine in (False, True))
    np.testing.assert_allclose(plain, fine, atol=0.6)


def test_a_fall_that_a_solver_leaves_is_no_rebound():
    times = np.arange(0.0, 40.5, 0.5)
    for fall, percent in ((5e-4, 0.0), (0.02, 2.0)):
        y = 5.0 * (1.0 + np.exp(-((times - 3.0) ** 2)) - fall * np.exp(-((times - 20.0) ** 2)))
        found = one(times, y, "1 mg iv daily x3", role="treg_pct", rest=5.0)["Treg rebound"]
        assert found == pytest.approx(percent, abs=1e-6)


def test_a_quantile_is_that_of_numpy():
    generator = np.random.default_rng(5)
    for n in (1, 2, 5, 20, 199, 200, 1000):
        values, levels = generator.normal(size=n), (0.0, 0.05, 0.5, 0.95, 1.0)
        expected = np.quantile(values, levels, method="inverted_cdf")
        np.testing.assert_array_equal(quantiles(values, levels), expected)


def test_the_gain_over_nk_cells_is_that_of_the_tregs_counted_and_says_so():
    times, outputs, rest, units, schedule, *_ = il2(CYCLES, 100)
    found = evaluate(times, outputs, rest, NAMES, units, schedule, "h")
    gain = next(endpoint for endpoint in found if endpoint.name == "Treg gain over NK")
    assert "The mean fold of treg_count over the treatment" in gain.definition
    named = by_name(found)
    np.testing.assert_allclose(named[gain.name], named["Treg count mean fold"] / named["NK mean fold"])


def test_a_failed_subject_has_no_values_and_leaves_the_others_alone():
    times, outputs, rest, units, schedule, *_ = il2(CYCLES, 100)
    broken = outputs.copy()
    broken[2] = np.nan
    found = evaluate(times, broken, rest, NAMES, units, schedule, "h")
    for endpoint, values in evaluate(times, outputs, rest, NAMES, units, schedule, "h").items():
        if endpoint.group != "burden":
            assert np.isnan(found[endpoint][2]), endpoint.name
            np.testing.assert_array_equal(np.delete(found[endpoint], 2), np.delete(values, 2))


def test_every_endpoint_says_what_it_is():
    times, outputs, rest, units, schedule, *_ = il2(CYCLES, 100)
    found = evaluate(times, outputs, rest, NAMES, units, schedule, "h")
    groups = [endpoint.group for endpoint in found]
    assert groups == sorted(groups, key=GROUPS.index)
    for endpoint in found:
        assert endpoint.definition.endswith(".") and endpoint.better in (-1, 0, 1) and endpoint.unit
    (ccl2,) = [endpoint for endpoint in found if endpoint.name == "CCL2 change"]
    assert "identified by no data" in ccl2.remark


# --- schedules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cycles", "end"),
    [
        (CYCLES, [0, 28, 56], 84),
        ("1 MIU sc daily x5", [0], 5),
        ("1 MIU sc once", [0], 1),
        ("1 MIU sc five times a week for 4 weeks", [0], 26),
        ("1 MIU sc every 28 d x3", [0], 84),
        ("0.26 MIU/m2 sc every 3 d for 84 d", [0], 84),
        ("1 MIU sc daily x5 every 14 d x2 from day 2", [2, 16], 30),
    ],
)
def test_cycles_and_the_end_of_treatment_come_from_the_gaps_between_doses(text, cycles, end):
    for unit, per_day in (("d", 1), ("h", 24)):
        regimen = Regimen.of(Schedule.parse(text), unit)
        np.testing.assert_allclose(regimen.cycles / per_day, cycles)
        assert regimen.end / per_day == pytest.approx(end)


def test_burden_is_counted_from_the_schedule_by_each_subjects_own_size():
    times, outputs, rest, units, _, _, _ = il2(CYCLES, 100)
    schedule = Schedule.parse("0.26 MIU/m2 sc every 3 d for 84 d")
    bsa = np.linspace(1.5, 2.2, 8)
    found = by_name(
        evaluate(times, outputs, rest, NAMES, units, schedule, "h", sizes={"m2": bsa}, dose_unit="kIU")
    )
    np.testing.assert_allclose(found["total dose"], 28 * 260 * bsa)
    np.testing.assert_allclose(found["dose per 28 days"], 28 * 260 * bsa / 3)
    assert np.all(found["injections"] == 28) and np.allclose(found["injections per 28 days"], 28 / 3)
    cycles = endpoints(CYCLES, 100)
    assert np.all(cycles["injections per 28 days"] == 5) and np.all(cycles["total dose"] == 15)
    mixed = Schedule.parse("1 MIU sc once and 1 mg sc once from day 1")
    kernel = load("il2_treg")
    assert np.isnan(by_name(evaluate(times, outputs, rest, NAMES, units, mixed, "h"))["total dose"]).all()
    known = by_name(evaluate(times, outputs, rest, NAMES, units, mixed, "h", dose_units=kernel.DOSE_UNITS))
    np.testing.assert_allclose(known["total dose"], 1 + 18 / 1.1)


def test_quantiles_keep_what_did_not_happen_within_the_horizon():
    values = np.array([np.nan, 1.0, 2.0, 3.0, np.inf, np.inf])
    np.testing.assert_array_equal(quantiles(values, [0.2, 0.5, 0.9]), [1.0, 3.0, np.inf])
    assert np.isnan(quantiles([np.nan, np.nan], [0.5])).all()


def test_bad_input_is_refused_with_a_sentence():
    times, outputs, rest, units, schedule, *_ = il2(CYCLES, 100)
    for change, words in (
        ({"times": times[::-1]}, "ascend"),
        ({"outputs": outputs[:, :-1]}, "shape"),
        ({"rest": rest[:, :2]}, "at rest"),
        ({"roles": {"exposure": "C"}}, "no output of the model"),
        ({"roles": {"il2": "il2"}}, "no role"),
        ({"above": -5.0}, "larger than 0"),
        ({"schedule": Schedule.parse("1 MIU sc every 28 d x20")}, "horizon before the last dose"),
        ({"schedule": Schedule.parse("1 MIU/m2 sc once")}, "sizes"),
        ({"schedule": Schedule.parse("1 MIU/m2 sc once"), "sizes": {"m2": [1.0, 2.0]}}, "one for each"),
    ):
        given = {"times": times, "outputs": outputs, "rest": rest, "schedule": schedule} | change
        with pytest.raises(InputError, match=words):
            evaluate(**given, names=NAMES, units=units, time_unit="h")
    with pytest.raises(InputError, match="horizon"):
        grid(EventTable.empty(), -1.0, 24.0)
