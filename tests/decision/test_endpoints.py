"""Endpoints are what their definitions say: of curves with closed forms, of models against formulas wherever
lags, durations and absorption put a peak, and by properties.

Curves that no model makes are given as straight pieces between points; what is read off them is computed here
(``Pieces``), apart from the integrator.
"""

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.core.errors import InputError
from pkpd.decision.criteria import parse_criteria
from pkpd.decision.endpoints import Regimen, evaluate, exposure, grid, quantiles, questions
from pkpd.decision.endpoints.evaluate import _what_doses_are_called
from pkpd.dosing import EventTable, Schedule
from pkpd.model.check import read_model
from pkpd.simulation.profile import population, typical_values
from pkpd.solver import Options, solve
from pkpd.solver.kernel import load
from pkpd.solver.options import COMPARISON as RTOL
from pkpd.treg import field

NAMES = ("il2", "treg_pct", "treg_count", "nk", "cd56bright", "ccl2")
CYCLES = "1 MIU sc daily x5 every 28 d x3"


@cache
def treg(above=50.0):
    """The criteria of IL-2 and Tregs, with days above another level."""
    text = field.text().decode().replace("+50 %", f"+{above:g} %")
    return parse_criteria(text.encode(), "endpoints.toml", risks=(field.RISK,))


class Pieces:
    """A curve of straight pieces, where two points at one time are a jump; what can be read off it."""

    def __init__(self, times, y):
        self.t, self.y = np.asarray(times, float), np.asarray(y, float)

    def part(self, start, stop):
        """Points from start to stop."""
        start, stop = max(start, self.t[0]), min(stop, self.t[-1])
        inner = (self.t > start) & (self.t < stop)
        i, j = np.searchsorted(self.t, start, side="right"), np.searchsorted(self.t, stop, side="left")
        first = self.y[i - 1] if self.t[i - 1] == start else np.interp(start, self.t, self.y)
        last = self.y[j] if j < self.t.size and self.t[j] == stop else np.interp(stop, self.t, self.y)
        if stop == self.t[-1]:
            last = self.y[-1]
        return np.concatenate([[start], self.t[inner], [stop]]), np.concatenate(
            [[first], self.y[inner], [last]]
        )

    def above(self, start, stop, level):
        """Sections (from, to, area) where the curve is above the level."""
        t, y = self.part(start, stop)
        g = y - level
        for (ta, tb), (ga, gb) in zip(itertools.pairwise(t), itertools.pairwise(g), strict=True):
            if tb > ta and max(ga, gb) > 0:
                x = ga / (ga - gb) if ga != gb else 0.0
                sa, sb = (ta if ga > 0 else ta + x * (tb - ta)), (tb if gb > 0 else ta + x * (tb - ta))
                yield sa, sb, 0.5 * (max(ga, 0) + max(gb, 0)) * (sb - sa)

    def read(self, kind, start, stop, level):
        t, y = self.part(start, stop)
        if np.isnan(y).any():
            return np.nan, np.nan
        if kind == "max":
            return y.max(), t[y.argmax()]
        if kind == "min":
            return y.min(), t[y.argmin()]
        if kind == "area":
            return np.trapezoid(y, t), np.nan
        if kind == "end":
            return y[-1], t[-1]
        if kind in ("area_above", "time_above"):
            sections = list(self.above(start, stop, level))
            return sum(area if kind == "area_above" else b - a for a, b, area in sections), np.nan
        if kind in ("last_above", "last_below"):
            sign = 1.0 if kind == "last_above" else -1.0
            sections = list(Pieces(self.t, sign * self.y).above(start, stop, sign * level))
            last = max((b for _, b, _ in sections), default=np.nan)
            return (np.inf if sign * y[-1] > sign * level else last), np.nan
        assert kind == "halving"
        g = y - level
        top = g.argmax()
        seen, height = [], 0.5 * g[top]
        for i in range(top, t.size - 1):
            while len(seen) < 10 and g[i + 1] <= height and height > 10 * level and height > 0:
                x = (
                    (np.log(g[i] / height) / np.log(g[i] / g[i + 1]))
                    if g[i + 1] > 0
                    else (g[i] - height) / (g[i] - g[i + 1])
                )
                seen.append(t[i] + x * (t[i + 1] - t[i]))
                height *= 0.5
        back = min(5, len(seen) - 1)
        return ((seen[-1] - seen[-1 - back]) / back if back > 0 else np.nan), np.nan


def read(curves, names, times, asked):
    """(n_subjects, n_questions) values and times of curves (n_subjects, n_times, n_outputs)."""
    values = np.full((len(curves), len(asked)), np.nan)
    when = values.copy()
    for i, y in enumerate(curves):
        for q, (kind, name, start, stop, level) in enumerate(asked):
            own = None if level is None else level[i]
            values[i, q], when[i, q] = Pieces(times, y[:, names.index(name)]).read(kind, start, stop, own)
    return values, when


@cache
def il2(text, until_days, subjects=8, rtol=1e-6):
    """(solution, rest, units, schedule, values, asked) of virtual subjects of il2_treg."""
    kernel = load("il2_treg")
    schedule = Schedule.parse(text)
    events = schedule.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    columns = [kernel.OUTPUTS.index(name) for name in NAMES]
    values = population(kernel, subjects, seed=3)
    rest = solve(kernel, values, EventTable.empty(), [0.0]).outputs[:, 0, columns]
    units = [kernel.OUTPUT_UNITS[i] for i in columns]
    about = (rest, NAMES, units, schedule, "h", until_days * 24.0)
    asked = [questions(*about, treg(x).endpoints) for x in (50.0, 20.0)]
    found = [
        solve(kernel, values, events, [until_days * 24.0], options=Options(rtol=rtol), readings=one).check()
        for one in asked
    ]
    return found, rest, units, schedule, values


def endpoints(text, until_days, above=50.0, rtol=1e-6, **options):
    found, rest, units, schedule, _ = il2(text, until_days, rtol=rtol)
    read = found[0 if above == 50.0 else 1].readings
    return by_name(
        evaluate(
            read.values,
            read.times,
            rest,
            NAMES,
            units,
            schedule,
            "h",
            until_days * 24.0,
            treg(above).endpoints,
            sizes={"m2": 1.8},
            **options,
        )
    )


def cycles(**change):
    """Endpoints of three cycles by their definitions, with other arguments."""
    (solution, _), rest, units, schedule, _ = il2(CYCLES, 100)
    given = {
        "values": solution.readings.values,
        "times": solution.readings.times,
        "rest": rest,
        "schedule": schedule,
    }
    given |= {"endpoints": treg().endpoints}
    return evaluate(**(given | change), names=NAMES, units=units, time_unit="h", until=2400.0)


def unread(schedule, **options):
    """Endpoints of a schedule of whose courses nothing is known."""
    _, rest, units, _, _ = il2(CYCLES, 100)
    about = (rest, NAMES, units, schedule, "h", 2400.0, treg().endpoints)
    nothing = np.full((len(rest), len(questions(*about))), np.nan)
    return evaluate(nothing, nothing, *about, **options)


def by_name(found):
    assert len({endpoint.name for endpoint in found}) == len(found)
    return {endpoint.name: value for endpoint, value in found.items()}


def one(times, y, text="1 mg iv once", role="exposure", rest=0.0, unit="d", above=50.0):
    """Endpoints of a single curve: of a concentration, or of the output of IL-2 whose place it takes."""
    declared, of = exposure("y"), "mg/L"
    if role != "exposure":
        declared = [replace(one, outputs=("y",)) for one in treg(above).endpoints if role in one.outputs]
        of = "percent"
    about = ([rest], ["y"], [of], Schedule.parse(text), unit, float(times[-1]), declared)
    asked = questions(*about)
    found = read(np.asarray(y, float)[None, :, None], ["y"], times, asked)
    return {name: value[0] for name, value in by_name(evaluate(*found, *about)).items()}


# --- exposure: closed forms


def test_an_intravenous_bolus_has_the_area_dose_over_clearance_and_its_half_life():
    dose, V, k = 10.0, 4.0, 0.35
    times = np.linspace(0.0, 60.0, 20_001)
    found = one(times, dose / V * np.exp(-k * times))
    assert found["Cmax"] == dose / V and found["Tmax"] == 0.0
    assert found["AUC"] == pytest.approx(dose / (k * V), rel=1e-6)
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
    inner = np.delete(np.arange(1201), np.arange(0, n * 20, 20)) * 0.05
    times = np.sort(
        np.concatenate([inner, np.arange(n) * tau, np.arange(n) * tau])
    )  # before and after each dose
    since = times[:, None] - np.arange(n) * tau
    before = np.diff(times, append=np.inf) == 0.0
    given = np.where(before[:, None], since > 0, since >= 0)
    y = np.where(given, np.exp(-k * np.maximum(since, 0)), 0.0).sum(axis=1)
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
    assert math.isnan(one([0.0, 1.0, 2.0], [1.0, 0.4, 0.3])["half-life"])  # not to a fourth


def test_a_model_of_the_user_has_the_usual_endpoints_of_exposure():
    found = one([0.0, 1.0, 2.0, 3.0], [0.0, 4.0, 2.0, 1.0])
    assert set(found) == {
        *("Cmax", "Tmax", "AUC", "AUC per dose", "AUC first interval", "half-life", "trough"),
        *("injections per 28 days", "injections", "dose per 28 days", "total dose"),
    }
    assert (found["Cmax"], found["Tmax"]) == (4.0, 1.0)
    assert found["AUC"] == pytest.approx(2.0 + 3.0 + 1.5)


# --- properties of curves

levels = st.lists(st.floats(0.0, 100.0), min_size=3, max_size=30)


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


# --- il2_treg -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"),
    [
        (CYCLES, 100),
        ("0.3 MIU sc once", 20),
        ("0.26 MIU/m2 sc every 3 d x8", 40),
        ("3 MIU iv over 30 min daily x5", 33),
        ("1 MIU iv over 4 h daily x5", 33),
        ("2 MIU iv once", 30),
    ],
)
def test_at_the_tolerance_of_comparisons_endpoints_are_within_a_thousandth(text, days):
    loose, tight = endpoints(text, days, rtol=RTOL), endpoints(text, days, rtol=1e-9)
    for name, value in tight.items():
        if name not in ("Treg last to first cycle", "half-life"):
            np.testing.assert_allclose(loose[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
        else:
            np.testing.assert_allclose(loose[name], value, rtol=5e-3, err_msg=name)


def test_days_above_are_the_solvers_exact_times_above():
    _, rest, _, schedule, values = il2(CYCLES, 100)
    kernel = load("il2_treg")
    events = schedule.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    for x in (20.0, 50.0):
        level = (1 + x / 100) * rest[:, 1]
        exact = solve(
            kernel, values, events, [2400.0], roots=[("treg_pct", level)], options=Options(rtol=1e-6)
        ).crossings
        days = endpoints(CYCLES, 100, above=x)[f"Treg days above +{x:g} %"]
        np.testing.assert_allclose(days, exact.time_above[:, 0] / 24.0, rtol=1e-6)
        assert np.all(days > 5.0)


ABSORBED = """
model      one compartment
time       h
parameter  ka = 1.0 [1/h]
parameter  k = 0.2 [1/h]
parameter  late = 0 [h]
parameter  long = 1 [h]
state      depot [mg]
state      central [mg]
route      sc -> depot  lag = late
route      iv -> central  lag = late  duration = long
d depot   = -ka*depot
d central = ka*depot - k*central
output     C = central/litre [mg/L]
define     litre = 1 [L]
"""


@given(
    ka=st.floats(0.5, 30.0),
    k=st.floats(0.05, 0.3),
    late=st.floats(0.0, 20.0),
    long=st.floats(0.02, 30.0),
    n=st.integers(1, 3),
)
def test_lags_durations_and_fast_absorption_are_found(ka, k, late, long, n):
    """Cmax, Tmax, AUC and half-life of a Bateman function and of an infusion, given n times so far apart that
    nothing is left."""
    kernel = load(read_model(ABSORBED, "absorbed.model"))
    p = typical_values(kernel, {"ka": ka, "k": k, "late": late, "long": long})
    for route in ("sc", "iv"):
        schedule = Schedule.parse(f"10 mg {route} every 20 d x{n}")
        events = schedule.events("h", kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
        about = ([0.0], ["C"], ["mg/L"], schedule, "h", 480.0 * n, exposure("C"))
        solution = solve(
            kernel, p, events, [480.0 * n], options=Options(rtol=RTOL), readings=questions(*about)
        ).check()
        found = by_name(evaluate(solution.readings.values, solution.readings.times, *about))
        after = np.log(ka / k) / (ka - k) if route == "sc" else long
        peak = bateman(after, ka, k) * 10 if route == "sc" else -10 / (k * long) * np.expm1(-k * long)
        assert found["Cmax"][0] == pytest.approx(peak, rel=1e-3)
        assert found["Tmax"][0] == pytest.approx(late + after, rel=1e-2)
        assert found["AUC"][0] == pytest.approx(n * 10 / k, rel=1e-3)
        assert found["AUC first interval"][0] == pytest.approx(10 / k, rel=1e-3)
        if route == "iv":
            assert found["half-life"][0] == pytest.approx(np.log(2) / k, rel=1e-3)


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
    found = cycles()
    gain = next(endpoint for endpoint in found if endpoint.name == "Treg gain over NK")
    assert "The mean fold of treg_count over the treatment" in gain.definition
    named = by_name(found)
    np.testing.assert_allclose(named[gain.name], named["Treg count mean fold"] / named["NK mean fold"])


def test_a_failed_subject_has_no_values_and_leaves_the_others_alone():
    (solution, _), *_ = il2(CYCLES, 100)
    broken = solution.readings.values.copy()
    broken[2] = np.nan
    found = cycles(values=broken)
    for endpoint, values in cycles().items():
        if endpoint.group != "burden":
            assert np.isnan(found[endpoint][2]), endpoint.name
            np.testing.assert_array_equal(np.delete(found[endpoint], 2), np.delete(values, 2))


def test_every_endpoint_says_what_it_is():
    found = cycles()
    groups = [endpoint.group for endpoint in found]
    assert groups == sorted(groups, key=treg().groups.index)
    for endpoint in found:
        assert endpoint.definition.endswith(".") and endpoint.better in (-1, 0, 1) and endpoint.unit
    (ccl2,) = [endpoint for endpoint in found if endpoint.name == "CCL2 change"]
    assert "identified by no data" in ccl2.remark


# --- schedules ------------------------------------------------------------------------------------


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
    schedule = Schedule.parse("0.26 MIU/m2 sc every 3 d for 84 d")
    bsa = np.linspace(1.5, 2.2, 8)
    found = by_name(unread(schedule, sizes={"m2": bsa}, dose_unit="kIU"))
    np.testing.assert_allclose(found["total dose"], 28 * 260 * bsa)
    np.testing.assert_allclose(found["dose per 28 days"], 28 * 260 * bsa / 3)
    assert np.all(found["injections"] == 28) and np.allclose(found["injections per 28 days"], 28 / 3)
    fifteen = endpoints(CYCLES, 100)
    assert np.all(fifteen["injections per 28 days"] == 5) and np.all(fifteen["total dose"] == 15)
    mixed = Schedule.parse("1 MIU sc once and 1 mg sc once from day 1")
    kernel = load("il2_treg")
    assert np.isnan(by_name(unread(mixed))["total dose"]).all()
    known = by_name(unread(mixed, dose_units=kernel.DOSE_UNITS))
    np.testing.assert_allclose(known["total dose"], 1 + 18 / 1.1)


def test_quantiles_keep_what_did_not_happen_within_the_horizon():
    values = np.array([np.nan, 1.0, 2.0, 3.0, np.inf, np.inf])
    np.testing.assert_array_equal(quantiles(values, [0.2, 0.5, 0.9]), [1.0, 3.0, np.inf])
    assert np.isnan(quantiles([np.nan, np.nan], [0.5])).all()


def test_bad_input_is_refused_with_a_sentence():
    (solution, _), rest, _, _, _ = il2(CYCLES, 100)
    for change, words in (
        ({"values": solution.readings.values[:, :-1]}, "the answers have shapes"),
        ({"rest": rest[:, :2]}, "at rest"),
        ({"endpoints": (replace(exposure("il2")[0], unit="h"),)}, 'endpoint "Cmax": h cannot be converted'),
        ({"schedule": Schedule.parse("1 MIU sc every 28 d x20")}, "horizon before the last dose"),
    ):
        with pytest.raises(InputError, match=words):
            cycles(**change)
    for schedule, sizes, words in (
        ("1 MIU/m2 sc once", {}, "sizes"),
        ("1 MIU/m2 sc once", {"m2": [1.0, 2.0]}, "one for each"),
    ):
        with pytest.raises(InputError, match=words):
            unread(Schedule.parse(schedule), sizes=sizes)
    with pytest.raises(InputError, match="horizon"):
        grid(EventTable.empty(), -1.0, 24.0)


def test_the_usual_gap_is_the_middle_one_however_few_there_are():
    """Gaps of 1, 7 and 7 days: a week is usual, and no pause is long enough to end a cycle."""
    schedule = Schedule.parse("1 MIU sc at 0, 1, 8, 15 d")
    assert Regimen.of(schedule).cycles.tolist() == [0.0]


@pytest.mark.parametrize(
    ("routes", "called"),
    [
        ("sc iv", "injections"),
        ("SC", "injections"),
        ("sc dac", "injections"),
        ("", "injections"),
        ("oral", "doses"),
        ("po iv", "doses"),
        ("Oral", "doses"),
        ("pump", "doses"),
    ],
)
def test_doses_are_called_injections_where_all_of_the_drug_are(routes, called):
    assert _what_doses_are_called(routes.split()) == called
