"""Resets, replaced states, stated rates, steady states of repeated doses, resumed solves: what NONMEM's EVID,
RATE, II and SS mean, exactly or by repetition."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from solving import kernel, solve_with

import pkpd
from pkpd.core.errors import InputError
from pkpd.dosing import EventTable
from pkpd.dosing.events import DOSE, LAST, REPLACE, RESET, STEADY, STEADY_ADDED, Place
from pkpd.model.check import read_model
from pkpd.ode.status import NOT_PERIODIC
from pkpd.simulation.profile import typical_values
from pkpd.solver import Options, solve
from pkpd.solver.kernel import load

# Every number of a route is a parameter; elimination is linear (Vmax = 0) or saturates.
ROUTES = """
model   routes with everything
source  none: a test
time    h
parameter ka = 0.9 [1/h]
parameter k = 0.15 [1/h]
parameter k12 = 0.3 [1/h]
parameter k21 = 0.2 [1/h]
parameter Vmax = 0 [mg/h]
parameter Km = 4 [mg]
parameter lag = 0.7 [h]
parameter F = 0.8 [1]
parameter D = 2.5 [h]
parameter R = 12 [mg/h]
parameter base = 1.5 [mg]
state depot [mg]
state central = base [mg]
state peripheral [mg]
route oral -> depot       lag = lag  F = F
route drip -> central     lag = lag  F = F  duration = D
route rate -> central     lag = lag  F = F  rate = R
route iv -> central
d depot = -ka*depot
d central = ka*depot - k*(central - base) - Vmax*central/(Km + central) - k12*central + k21*peripheral
d peripheral = k12*central - k21*peripheral
output amount = central [mg]
"""
PLAIN = """
model   one compartment
source  any textbook of pharmacokinetics
time    h
parameter k = 0.2 [1/h]
parameter lag = 0 [h]
parameter F = 1 [1]
parameter slope = 0 [mg/h^2]
state central [mg]
route iv -> central  lag = lag  F = F
d central = -k*central
output amount = central [mg]
"""


def table(k, *rows):
    """Events from dicts; times must not go back."""
    base = {"time": 0.0, "amount": 0.0, "route": 0, "duration": 0.0, "size": -1}
    base |= {"rate": np.nan, "kind": DOSE, "interval": 0.0}
    full = [base | row for row in rows]
    for row in full:
        if isinstance(row["route"], str):
            row["route"] = k.ROUTES.index(row["route"])
    return EventTable(**{name: [row[name] for row in full] for name in base})


def amounts(k, events, times, parameters=None, **options):
    """The one output, (n_times,)."""
    return (
        solve_with(k, typical_values(k, parameters), events, times, **({"rtol": 1e-9} | options))
        .check()
        .outputs[0, :, 0]
    )


def steady(amount, interval, route="iv", **more):
    return {"amount": amount, "interval": interval, "kind": STEADY, "route": route} | more


TIMES = np.linspace(0.0, 12.0, 25)


# --- closed forms of one compartment


def test_a_bolus_at_steady_state():
    k = kernel(PLAIN)
    found = amounts(k, table(k, steady(10.0, 6.0)), TIMES)
    assert np.allclose(found, 10.0 / (1 - np.exp(-0.2 * 6)) * np.exp(-0.2 * TIMES), rtol=1e-8)


@pytest.mark.parametrize("duration", [2.0, 6.0, 9.0, 12.0, 20.0])
def test_an_infusion_at_steady_state_shorter_than_equal_to_and_longer_than_the_interval(duration):
    k, interval, amount = kernel(PLAIN), 6.0, 10.0
    found = amounts(k, table(k, steady(amount, interval, duration=duration)), TIMES)
    ago = interval * np.arange(0, 60)[:, None] + TIMES  # since each of the infusions began
    rate = amount / duration / 0.2
    each = (
        rate * (1 - np.exp(-0.2 * np.minimum(ago, duration))) * np.exp(-0.2 * np.maximum(ago - duration, 0))
    )
    assert np.allclose(found, each.sum(axis=0), rtol=1e-6)


def test_how_many_infusions_of_a_steady_state_overlap_goes_by_the_dose_of_the_body():
    """By the route's rate 24 mg take 2 h, per body size of 4 they take 8 h, more than two intervals."""
    k = kernel(ROUTES)
    times, size = np.linspace(0.0, 12.0, 25), k.PARAMETERS.index("Km")
    values = {"Km": 4.0, "F": 1.0, "R": 12.0}
    each = amounts(
        k, table(k, steady(24.0, 3.0, "rate", duration=np.nan, size=size)), times, values, rtol=1e-7
    )
    whole = amounts(k, table(k, steady(96.0, 3.0, "rate", duration=np.nan)), times, values, rtol=1e-7)
    assert np.allclose(each, whole, rtol=1e-6)


def test_a_constant_infusion_at_steady_state_ends_at_its_record():
    k = kernel(PLAIN)
    event = table(k, {"kind": STEADY, "rate": 7.0})
    assert np.allclose(amounts(k, event, TIMES, {"F": 0.5}), 7.0 / 0.2 * np.exp(-0.2 * TIMES), rtol=1e-7)


def test_before_the_lag_is_over_a_steady_state_shows_the_tail_of_the_interval_before():
    """NONMEM's identity: C(t, lag) = C(t - lag + II, no lag) for t below the lag."""
    k, interval, lag = kernel(PLAIN), 6.0, 2.5
    t = np.linspace(0.0, 2.4, 9)
    late = amounts(k, table(k, steady(10.0, interval)), t, {"lag": lag})
    assert np.allclose(late, amounts(k, table(k, steady(10.0, interval)), t - lag + interval), rtol=1e-8)
    assert np.allclose(
        amounts(k, table(k, steady(10.0, interval)), t + lag, {"lag": lag}),
        amounts(k, table(k, steady(10.0, interval)), t),
        rtol=1e-8,
    )


def test_a_lag_longer_than_the_interval_leaves_doses_on_their_way():
    k, interval = kernel(PLAIN), 4.0
    t = np.linspace(0.0, 20.0, 41) + 0.03
    found = amounts(k, table(k, steady(10.0, interval)), t, {"lag": 9.0})
    at = np.arange(-400, 1)[:, None] * interval + 9.0
    exact = np.where(t >= at, 10.0 * np.exp(-0.2 * (t - at)), 0.0).sum(axis=0)
    assert np.allclose(found, exact, rtol=1e-7)


# --- by repetition --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lag", "interval"), [(2.1, 0.7), (0.30000000000000004, 0.3), (4.2, 1.4), (0.7, 0.7)]
)
@pytest.mark.parametrize("time", [0.0, 0.1, 5.0])
@pytest.mark.parametrize("nudge", [-1e-4, -1e-8, 0.0, 1e-8])
def test_a_lag_of_whole_intervals_gives_each_dose_once_however_its_digits_fall(lag, interval, time, nudge):
    # 2.1 - 3 * 0.7 is not nought; and just before the end of an interval, a dose has hardly come anywhere
    k = kernel(ROUTES)
    values = {"lag": lag * (1 + nudge), "k": 1.0, "k12": 0.0, "base": 0.0}
    events = table(k, steady(5.0, interval, "oral", time=time))
    found = amounts(k, events, [time + 0.05, time + 0.3], values)
    past = np.arange(100)
    given = [{"time": time - interval * n, "amount": 5.0, "route": "oral"} for n in past[::-1]]
    repeated = amounts(k, table(k, *given), [time + 0.05, time + 0.3], values)
    assert found == pytest.approx(repeated, rel=1e-4)


def test_a_gradient_counts_an_infusion_that_ends_with_the_interval_once():
    k = kernel(ROUTES)
    events = table(
        k, steady(3.0, 1.0, "iv", rate=0.4, duration=np.nan, time=1.0)
    )  # 6 h, and a unit of rounding
    p = typical_values(k, {"lag": 0.0})
    F = k.PARAMETERS.index("F")
    # F belongs to the route "rate"; its own rate is taken over by the one stated
    events = replace(events, route=[k.ROUTES.index("rate")])
    found = solve(
        k, p, events, [1.31], directions=["F"], options=Options(rtol=1e-10, slack=1.0)
    ).sensitivities[0, 0, 0, 0]
    ends = [
        amounts(k, events, [1.31], {"lag": 0.0, "F": p[F] * f}, rtol=1e-11)[0] for f in (1 + 1e-5, 1 - 1e-5)
    ]
    assert found == pytest.approx((ends[0] - ends[1]) / (2e-5 * p[F]), rel=1e-4)


@settings(max_examples=40)
@given(
    route=st.sampled_from(["oral", "drip", "rate", "iv"]),
    amount=st.floats(1.0, 60.0),
    interval=st.floats(2.0, 30.0),
    duration=st.sampled_from([np.nan, 0.0, 1.0, 8.0, 40.0]),
    lag=st.floats(0.0, 5.0),
    vmax=st.sampled_from([0.0, 3.0]),
    added=st.booleans(),
)
def test_a_steady_state_is_what_repetition_comes_to(route, amount, interval, duration, lag, vmax, added):
    k = kernel(ROUTES)
    parameters = {"lag": lag, "Vmax": vmax}
    dose = steady(amount, interval, route, duration=duration)
    if added:
        dose |= {"kind": STEADY_ADDED}
    found = amounts(k, table(k, dose), TIMES, parameters, rtol=1e-8)
    repeated = 1 + int(np.ceil(300.0 / interval))  # the slowest rate, 0.05/h: e^-15 is left
    shift = (repeated - 1) * interval
    doses = [dose | {"kind": DOSE, "time": i * interval} for i in range(repeated)]
    exact = amounts(k, table(k, *doses), TIMES + shift, parameters, rtol=1e-8)
    assert np.allclose(found, exact, rtol=1e-5, atol=1e-6 * exact.max())


def test_what_a_steady_state_has_above_the_initial_values_is_added_to_what_is_there():
    """Superposition, for a linear system."""
    k = kernel(ROUTES)
    first = {"time": 0.0, "amount": 30.0, "route": "drip"}
    second = steady(20.0, 8.0, "oral", time=2.0)
    together = amounts(k, table(k, first, second | {"kind": STEADY_ADDED}), TIMES)
    alone = amounts(k, table(k, first), TIMES)
    with_second = amounts(k, table(k, second | {"kind": STEADY_ADDED}), TIMES)
    rest = amounts(k, EventTable.empty(), TIMES)
    assert np.allclose(together, alone + with_second - rest, rtol=1e-7)


def test_of_a_model_with_cells_and_receptors_too():
    """il2_treg, a dose every third day: Newton's method, against a hundred doses."""
    k = kernel("il2_treg")
    t = 24.0 * np.arange(0.0, 3.0, 0.5)
    p = typical_values(k)
    dose = steady(0.45, 72.0, "sc", duration=np.nan)
    found = solve(k, p, table(k, dose), t, options=Options(rtol=1e-6)).check().outputs[0]
    doses = [dose | {"kind": DOSE, "time": 72.0 * i} for i in range(300)]
    exact = solve(k, p, table(k, *doses), t + 72.0 * 299, options=Options(rtol=1e-8)).check().outputs[0]
    shown = [k.OUTPUTS.index(name) for name in ("treg_pct", "nk", "cd25_treg", "il2", "ccl2")]
    assert np.allclose(found[:, shown], exact[:, shown], rtol=1e-4)


@pytest.mark.parametrize(("route", "amount", "interval"), [("iv", 0.1, 4.0), ("sc", 1.0, 4.0)])
def test_cells_that_multiply_for_weeks_have_their_steady_state_and_an_unused_depot_does_not_hide_it(
    route, amount, interval
):
    k = kernel("il2_treg")
    first = steady(amount, interval, route)
    rest = [{"time": interval * n, "amount": amount, "route": route} for n in range(1, 61)]
    states = (
        solve(
            k,
            typical_values(k),
            table(k, first, *rest),
            [0.0, 60 * interval],
            options=Options(rtol=1e-8),
            keep_states=True,
        )
        .check()
        .states[0]
    )
    assert states[0, k.STATES.index("T")] > 11_000  # from 2,293
    assert states[1] == pytest.approx(states[0], rel=1e-5, abs=1e-20)


def test_linear_models_need_no_iteration():
    k = kernel(
        ROUTES.replace("- Vmax*central/(Km + central) ", "").replace(
            "parameter Vmax = 0 [mg/h]\nparameter Km = 4 [mg]\n", ""
        )
    )
    assert k.LINEAR
    dose = table(k, steady(20.0, 8.0, "oral", duration=np.nan))
    assert np.allclose(
        amounts(k, dose, TIMES, method="linear"), amounts(k, dose, TIMES, rtol=1e-10), rtol=1e-7
    )


def test_subjects_and_threads_do_not_matter():
    k = kernel(ROUTES)
    p = np.tile(typical_values(k, {"Vmax": 2.0}), (40, 1))
    p[:, k.PARAMETERS.index("lag")] = np.linspace(0.0, 4.0, 40)
    dose = table(k, steady(20.0, 8.0, "drip", duration=np.nan))
    one = solve(k, p, dose, TIMES, options=Options(threads=1)).check().outputs
    two = solve(k, p, dose, TIMES, options=Options(threads=2)).check().outputs
    assert np.array_equal(one, two)
    assert np.allclose(one[7], solve(k, p[7], dose, TIMES).check().outputs[0], rtol=1e-6)


def test_without_elimination_there_is_no_steady_state():
    k = kernel(PLAIN)
    p = np.tile(typical_values(k), (3, 1))
    p[1, 0] = 0.0
    solution = solve(k, p, table(k, steady(10.0, 6.0)), TIMES)
    assert solution.status.tolist() == [0, NOT_PERIODIC, 0]
    assert np.isnan(solution.outputs[1]).all() and np.isfinite(solution.outputs[[0, 2]]).all()
    assert "no steady state of a repeated dose" in solution.failure(1)


def test_more_than_can_be_eliminated_has_no_steady_state():
    k = kernel(ROUTES)
    p = typical_values(k, {"Vmax": 2.0, "k": 0.0})
    assert solve(k, p, table(k, steady(40.0, 8.0)), TIMES).status[0] == NOT_PERIODIC
    assert solve(k, p, table(k, steady(10.0, 8.0)), TIMES).status[0] == 0


@pytest.mark.parametrize(
    "row", [{"amount": 10.0}, {"amount": 10.0, "rate": 3.0}, {"interval": -1.0, "amount": 1.0}]
)
def test_a_steady_state_needs_its_interval(row):
    k = kernel(PLAIN)
    with pytest.raises(InputError, match="it needs an interval"):
        solve(k, typical_values(k), table(k, {"kind": STEADY} | row), TIMES)


def test_a_model_that_uses_the_time_has_no_steady_state_of_a_dose():
    k = kernel(PLAIN.replace("-k*central", "-k*central + slope*t"))
    with pytest.raises(InputError, match="depends on the time itself"):
        solve(k, typical_values(k), table(k, steady(10.0, 6.0)), TIMES)


# --- where much accumulates

SATURABLE = """
model   an elimination that saturates
source  Michaelis and Menten
time    h
parameter Vmax = 10 [mg/h]
parameter Km = 5 [mg]
parameter ka = 1 [1/h]
state depot [mg]
state central [mg]
route iv -> central
route oral -> depot
d depot = -ka*depot
d central = ka*depot - Vmax*central/(Km + central)
output amount = central [mg]
"""


def trough(dose, Vmax=10.0, Km=5.0, interval=12.0):
    """Before a bolus D at steady state: Km log((y + D)/y) + D = Vmax interval."""
    return dose / np.expm1((Vmax * interval - dose) / Km)


@pytest.mark.parametrize(("dose", "within"), [(110.0, 1e-6), (119.9, 1e-6), (119.99, 1e-6), (119.999, 1e-5)])
def test_a_steady_state_just_below_capacity_is_found(dose, within):
    """120 mg are eliminated in an interval at the most; with 119.99 mg, what is there is 500 times that."""
    k = kernel(SATURABLE)
    assert amounts(k, table(k, steady(dose, 12.0)), [0.0], rtol=1e-6) == pytest.approx(
        [trough(dose) + dose], rel=within
    )
    added = amounts(k, table(k, steady(dose, 12.0) | {"kind": STEADY_ADDED}), [0.0], rtol=1e-6)
    assert added == pytest.approx([trough(dose) + dose], rel=within)


def test_just_below_capacity_of_a_drug_that_is_absorbed_first():
    """Against SciPy at rtol 1e-12: the state before the dose is that of one interval later."""
    k, dose = kernel(SATURABLE), 119.99
    depot = dose * np.exp(-12.0) / -np.expm1(-12.0)

    def gained(y):  # over an interval; in x = central - y, so that what is added up is small
        def rhs(t, x):
            return (depot + dose) * np.exp(-t) - 10.0 * (y + x) / (5.0 + y + x)

        return solve_ivp(rhs, (0.0, 12.0), [0.0], rtol=1e-12, atol=1e-12, method="DOP853").y[0, -1]

    exact = brentq(gained, 1e4, 1e5, rtol=1e-12)
    found = solve(k, typical_values(k), table(k, steady(dose, 12.0, "oral")), [0.0], keep_states=True).check()
    assert found.states[0, 0] == pytest.approx([depot + dose, exact], rel=1e-5)


def test_at_and_above_capacity_there_is_no_steady_state_whoever_the_neighbours_are():
    k = kernel(SATURABLE)
    limits = np.array([10.0, 9.9999, 9.99, 9.0, 119.99 / 12, 119.9999 / 12, 12.0, 10.001])
    p = np.tile(typical_values(k), (len(limits), 1))
    p[:, k.PARAMETERS.index("Vmax")] = limits
    found = solve(k, p, table(k, steady(119.99, 12.0)), [0.0])
    exists = limits * 12 > 119.9901
    assert (found.status == np.where(exists, 0, NOT_PERIODIC)).all()
    assert found.outputs[exists, 0, 0] == pytest.approx(119.99 + trough(119.99, limits[exists]), rel=1e-6)
    assert "no steady state of a repeated dose" in found.failure(2)
    alone = [solve(k, one, table(k, steady(119.99, 12.0)), [0.0]).outputs[0] for one in p]
    assert np.allclose(alone, found.outputs, rtol=1e-6, equal_nan=True)


def test_the_gradient_of_a_steady_state_just_below_capacity():
    k, dose = kernel(SATURABLE), 119.99
    found = solve(
        k, typical_values(k), table(k, steady(dose, 12.0)), [0.0], directions=["Vmax", "dose[0]"]
    ).check()
    at = [trough(dose, 10 + h) + dose for h in (1e-6, -1e-6)]
    by_dose = [trough(dose + h) + dose + h for h in (1e-5, -1e-5)]
    exact = [(at[0] - at[1]) / 2e-6, (by_dose[0] - by_dose[1]) / 2e-5]
    assert found.sensitivities[0, 0, 0] == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("k_slow", [1e-3, 1e-6, 1e-8])
@pytest.mark.parametrize("method", ["auto", "linear"])
def test_what_is_eliminated_slowly_accumulates_to_its_steady_state(k_slow, method):
    k = kernel(SATURABLE.replace("Vmax*central/(Km + central)", "Vmax/Km*central"))
    values = {"Vmax": k_slow, "Km": 1.0}
    found = amounts(k, table(k, steady(10.0, 12.0, "oral")), [0.0], values, rtol=1e-6, method=method)
    exact = 10.0 / (1.0 - k_slow) * (1 / np.expm1(12 * k_slow) - 1 / np.expm1(12.0))
    assert found == pytest.approx([exact], rel=1e-6)
    none = solve(
        k,
        typical_values(k, {"Vmax": 1e-15, "Km": 1.0}),
        table(k, steady(10.0, 12.0)),
        [0.0],
        options=Options(method=method),
    )
    assert none.status.tolist() == [NOT_PERIODIC]


# --- resets, replacement, rates


def test_a_reset_brings_back_the_initial_values_and_cancels_what_is_on_its_way():
    k = kernel(ROUTES)
    doses = (
        {"time": 0.0, "amount": 40.0, "route": "oral"},
        {"time": 1.0, "amount": 40.0, "route": "drip", "duration": np.nan},  # until 4.2
        {"time": 2.5, "amount": 40.0, "route": "oral"},  # would come at 3.2
        {"time": 3.0, "kind": RESET},
        {"time": 3.0, "amount": 10.0, "route": "oral"},
    )
    after = TIMES[TIMES >= 3.0]
    found = amounts(k, table(k, *doses), after)
    alone = amounts(k, table(k, {"amount": 10.0, "route": "oral"}), after - 3.0)
    assert np.allclose(found, alone, rtol=1e-8)


def test_a_steady_state_cancels_what_is_on_its_way_and_an_added_one_does_not():
    k = kernel(ROUTES)
    early = {"time": 0.0, "amount": 40.0, "route": "drip", "duration": 9.0}
    dose = steady(20.0, 8.0, "oral", time=3.0)
    after = TIMES[TIMES >= 3.0]
    assert np.allclose(
        amounts(k, table(k, early, dose), after),
        amounts(k, table(k, dose | {"time": 0.0}), after - 3.0),
        rtol=1e-7,
    )


def test_a_reset_of_a_model_that_uses_the_time_does_not_turn_it_back():
    k = kernel(PLAIN.replace("-k*central", "-k*central + slope*t"))
    found = amounts(k, table(k, {"time": 5.0, "kind": RESET}), np.array([5.0, 7.0]), {"k": 0.0, "slope": 1.0})
    assert np.allclose(found, [0.0, (7.0**2 - 5.0**2) / 2], atol=1e-8)


def test_a_replaced_state_takes_the_value_and_leaves_the_others():
    k = kernel(ROUTES)
    state = k.STATES.index("central")
    doses = ({"amount": 30.0, "route": "oral"}, {"time": 4.0, "kind": REPLACE, "route": state, "amount": 2.0})
    solution = solve(k, typical_values(k), table(k, *doses), [3.999999, 4.0], keep_states=True).check()
    assert solution.states[0, 1, state] == 2.0
    others = [i for i in range(k.n_states) if i != state]
    assert np.allclose(solution.states[0, 0, others], solution.states[0, 1, others], rtol=1e-4)


@settings(max_examples=25)
@given(F=st.floats(0.1, 2.0), rate=st.floats(0.5, 50.0), lag=st.floats(0.0, 3.0))
def test_a_stated_rate_lasts_as_long_as_the_bioavailable_amount(F, rate, lag):
    k = kernel(ROUTES)
    stated = {"amount": 20.0, "route": "oral", "rate": rate, "duration": np.nan}
    by_hand = {"amount": 20.0, "route": "oral", "duration": 20.0 * F / rate}
    p = {"F": F, "lag": lag}
    assert np.allclose(
        amounts(k, table(k, stated), TIMES, p), amounts(k, table(k, by_hand), TIMES, p), rtol=1e-6
    )


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [STEADY, STEADY_ADDED])
@pytest.mark.parametrize(
    "dose",
    [
        {"route": "oral", "duration": 0.0},
        {"route": "oral", "duration": 3.0},
        {"route": "drip", "duration": np.nan},
        {"route": "rate", "duration": np.nan},
        {"route": "oral", "duration": np.nan, "rate": 2.0},
        {"route": "drip", "duration": 20.0},
    ],
    ids=["bolus", "infusion", "modelled duration", "modelled rate", "stated rate", "overlapping"],
)
def test_gradients_pass_through_lag_bioavailability_duration_rate_and_steady_state(kind, dose):
    k = kernel(ROUTES)
    events = table(
        k,
        {"time": 0.0, "amount": 15.0, "route": "oral"},
        {"time": 1.3, "amount": 20.0, "interval": 7.0, "kind": kind} | dose,
        {"time": 9.0, "kind": REPLACE, "route": k.STATES.index("peripheral"), "amount": 3.0},
        {"time": 10.0, "kind": RESET},
        {"time": 10.0, "amount": 12.0, "route": "drip", "duration": np.nan},
    )
    times = np.array([1.31, 2.17, 4.6, 8.2, 9.7, 11.9])
    names = ["ka", "k", "k21", "Vmax", "lag", "F", "D", "R"]
    base = {"Vmax": 1.0}
    found = solve(
        k,
        typical_values(k, base),
        events,
        times,
        directions=[*names, "dose[1]"],
        options=Options(rtol=1e-9, slack=1.0),
    ).check()

    def at(**changed):
        p = typical_values(k, base | {name: value for name, value in changed.items() if name != "amount"})
        amounts_ = events.amount.copy()
        amounts_[1] = changed.get("amount", amounts_[1])
        return (
            solve(k, p, replace(events, amount=amounts_), times, options=Options(rtol=1e-11))
            .check()
            .outputs[0, :, 0]
        )

    values = dict(zip(k.PARAMETERS, typical_values(k, base), strict=True)) | {"amount": 20.0}
    for i, name in enumerate([*names, "amount"]):
        h = 1e-4 * values[name]
        change = (at(**{name: values[name] + h}) - at(**{name: values[name] - h})) / (2 * h)
        scale = np.abs(change).max() + 1e-3
        assert np.allclose(found.sensitivities[0, :, 0, i], change, atol=2e-5 * scale), name


# --- going on from given states


def test_a_solve_that_is_resumed_is_the_same_solve():
    """Infusions under way and lagged doses included; whatever the cut."""
    k = kernel(ROUTES)
    events = table(
        k,
        {"time": 0.0, "amount": 15.0, "route": "oral"},
        {"time": 1.0, "amount": 20.0, "route": "drip", "duration": np.nan},
        {"time": 2.0, "amount": 9.0, "route": "rate", "duration": np.nan},
        {"time": 5.0, "amount": 5.0, "route": "iv"},
    )
    p = np.tile(typical_values(k, {"Vmax": 1.0}), (2, 1))
    p[1, k.PARAMETERS.index("lag")] = 1.6
    whole = solve(k, p, events, TIMES, options=Options(rtol=1e-9)).check().outputs
    for cut in (0.35, 0.7, 1.5, 2.0, 2.69, 3.6, 5.0, 5.5):
        first = replace(
            events, **{name: getattr(events, name)[events.time < cut] for name in events.__dataclass_fields__}
        )
        states = solve(k, p, first, [cut], options=Options(rtol=1e-9), keep_states=True).check().states[:, 0]
        after = TIMES[cut < TIMES]
        rest = (
            solve(k, p, events, after, options=Options(rtol=1e-9), initial=states, start=cut).check().outputs
        )
        assert np.allclose(rest, whole[:, cut < TIMES], rtol=1e-7), cut


def test_factors_multiply_each_subject_s_doses():
    k = kernel(ROUTES)
    events = table(
        k,
        {"amount": 15.0, "route": "oral"},
        {"time": 4.0, "amount": 10.0, "route": "rate", "duration": np.nan},
    )
    p = np.tile(typical_values(k), (20, 1))
    factors = np.stack([np.linspace(0.0, 2.0, 20), np.linspace(1.5, 0.0, 20)], axis=1)
    found = solve(k, p, events, TIMES, factors=factors, options=Options(rtol=1e-8)).check().outputs
    for s in (0, 7, 19):
        scaled = replace(events, amount=events.amount * factors[s])
        assert np.allclose(
            found[s],
            solve(k, p[s], scaled, TIMES, options=Options(rtol=1e-8)).check().outputs[0],
            rtol=1e-6,
            atol=1e-9,
        )


def test_what_cannot_be_resumed_says_so():
    k = kernel(PLAIN)
    p = typical_values(k)
    none = EventTable.empty()
    with pytest.raises(InputError, match="initial goes with start"):
        solve(k, p, none, TIMES, initial=[[1.0]])
    with pytest.raises(InputError, match="before the start"):
        solve(k, p, none, TIMES, initial=[[1.0]], start=3.0)
    with pytest.raises(InputError, match=r"shape \(1, 1\): central"):
        solve(k, p, none, TIMES, initial=[[1.0, 2.0]], start=0.0)
    with pytest.raises(InputError, match="nothing but doses"):
        solve(k, p, table(k, {"time": 0.0, "kind": RESET}), [5.0], initial=[[1.0]], start=3.0)
    with pytest.raises(InputError, match="factors must be finite numbers of shape"):
        solve(k, p, table(k, {"amount": 1.0}), TIMES, factors=[[1.0, 2.0]])


# --- what is computed once is that of its own time

GROWING = """
model   what depends on a covariate
source  none: a test
time    h
parameter k = 0.1 [1/h]
parameter b = 10 [mg/kg]
parameter lag = 0 [h/kg]
covariate WT = 70 [kg]
state central = {initial} [mg]
route iv -> central  lag = lag*WT
d central = -k*(central - b*WT*{rests})
output amount = central [mg]
"""
FADING = GROWING.format(initial="b*WT", rests=0)
RESTING = GROWING.format(initial="steady", rests=1)


def weighed(k, events, times, changes, n=1, **options):
    """Amounts of ``n`` subjects under changes of WT, (n_times,): all the same."""
    p = np.tile(typical_values(k, options.pop("parameters", None)), (n, 1))
    options = {"rtol": 1e-10} | options
    found = solve_with(k, p, events, times, changes=changes, **options).check().outputs[:, :, 0]
    assert np.allclose(found, found[0], rtol=1e-12)
    return found[0]


@pytest.mark.parametrize(("n", "options"), [(1, {}), (20, {}), (1, {"method": "linear"})])
@pytest.mark.parametrize(("text", "decay"), [(FADING, np.exp(-0.1 * 2)), (RESTING, 1.0)])
def test_a_reset_takes_the_initial_values_of_its_own_covariates(text, decay, n, options):
    k = kernel(text)
    reset = {"time": 5.0, "kind": RESET}
    found = weighed(k, table(k, reset), [0.0, 5.0, 7.0], [(4.0, "WT", 140.0)], n, **options)
    assert found == pytest.approx([700.0, 1400.0, 1400.0 * decay], rel=1e-8)
    # of one instant: a change comes first, unless its place says otherwise
    dosed = table(k, reset, {"time": 5.0, "amount": 100.0})
    found = weighed(k, dosed, [5.0], [(5.0, "WT", 140.0)], n, **options)
    assert found == pytest.approx([1500.0], rel=1e-12)
    found = weighed(k, dosed, [5.0], [(5.0, "WT", 140.0, Place(1))], n, **options)
    assert found == pytest.approx([800.0], rel=1e-12)


def test_each_of_several_resets_takes_the_values_of_its_own_time():
    k = kernel(FADING)
    resets = table(k, *({"time": time, "kind": RESET} for time in (1.0, 3.0, 5.0)))
    found = weighed(k, resets, [1.0, 3.0, 5.0], [(2.0, "WT", 90.0), (4.0, "WT", 60.0), (4.0, "b", 5.0)])
    assert found == pytest.approx([700.0, 900.0, 300.0], rel=1e-12)


def test_an_added_steady_state_is_above_the_initial_values_of_its_own_time():
    k = kernel(RESTING)
    dose = steady(50.0, 6.0, time=5.0, kind=STEADY_ADDED)
    found = weighed(k, table(k, dose), [5.0], [(3.0, "WT", 140.0)])
    on_the_way = 1400.0 - 700.0 * np.exp(-0.1 * 2)
    assert found == pytest.approx([on_the_way + 50.0 / (1 - np.exp(-0.6))], rel=1e-7)


def test_covariates_of_the_start_are_in_the_initial_values():
    k = kernel(FADING)
    for change in ((0.0, "WT", 140.0), (-3.0, "WT", 140.0)):
        found = weighed(k, EventTable.empty(), [0.0, 2.0], [change])
        assert found == pytest.approx([1400.0, 1400.0 * np.exp(-0.2)], rel=1e-8), change
    later = weighed(k, EventTable.empty(), [0.0], [(0.0, "WT", 140.0, -0.5)])
    assert later == pytest.approx([700.0])


def test_a_reset_takes_the_covariate_that_runs_linearly_as_it_is_then():
    k = load(read_model(FADING, "test.model"), linear=["WT"])
    events = table(k, {"time": 5.0, "kind": RESET}, {"time": 5.0, "amount": 100.0})
    knots = {"WT": ([0.0, 10.0], [70.0, 90.0])}
    found = amounts(k, events, [0.0, 5.0, 7.0], knots=knots)
    assert found == pytest.approx([700.0, 900.0, 900.0 * np.exp(-0.2)], rel=1e-8)


def test_covariates_run_linearly_before_zero_too():
    k = load(read_model(GROWING.format(initial="b*WT", rests=1), "test.model"), linear=["WT"])
    knots = {"WT": ([-10.0, 10.0], [60.0, 80.0])}  # b WT rises by 10 mg/h, and the amount follows it
    since = np.array([0.0, 5.0, 12.0])
    found = amounts(k, EventTable.empty(), since - 5.0, knots=knots)
    assert found == pytest.approx(650.0 + 10.0 * since - 100.0 * (1 - np.exp(-0.1 * since)), rel=1e-8)


def test_a_dose_on_its_way_has_the_lag_and_the_size_of_its_own_time_also_in_a_solve_that_goes_on():
    k = kernel(FADING)
    size = k.PARAMETERS.index("WT")
    values = {"b": 0.0, "lag": 0.05}  # 3.5 h, and 7 h for 140 kg
    doses = [
        {"time": 1.0, "amount": 1.0, "duration": 4.0, "size": size},  # from 4.5 to 8.5 at 17.5 mg/h
        {"time": 3.0, "amount": 1.0, "size": size},  # 140 mg at 10
    ]
    changes = [(2.0, "WT", 140.0)]
    times = np.array([6.0, 8.5, 9.5, 10.0])
    infused = (
        175.0 * (1 - np.exp(-0.1 * np.clip(times - 4.5, 0.0, 4.0))) * np.exp(-0.1 * (times - 8.5).clip(0))
    )
    exact = infused + 140.0 * (times == 10.0)
    events = table(k, *doses)
    assert weighed(k, events, times, changes, parameters=values) == pytest.approx(exact, rel=1e-8)
    for start in (3.5, 5.0):
        held = 175.0 * (1 - np.exp(-0.1 * max(start - 4.5, 0.0)))
        again = weighed(k, events, times, changes, parameters=values, initial=[[held]], start=start)
        assert again == pytest.approx(exact, rel=1e-8), start


# --- when a solve begins

CLOCK = """
model   rates that depend on the time
source  none: a test
time    h
parameter s = 2 [mg/h^2]
state central = 1 [mg]
route iv -> central
d central = s*t
output amount = central [mg]
output clock = t [h]
"""


@pytest.mark.parametrize("start", [-5.0, 0.0, 3.0])
@pytest.mark.parametrize("n", [1, 20])
@pytest.mark.parametrize("method", ["auto", "linear"])
def test_the_clock_of_a_model_reads_the_time_at_which_it_starts(start, n, method):
    k = kernel(CLOCK)
    assert k.LINEAR or method == "auto"
    times = start + np.array([0.0, 1.0, 4.0])
    exact = np.stack([1.0 + times**2 - start**2, times], axis=1)
    p = np.tile(typical_values(k), (n, 1))
    found = solve(
        k, p, EventTable.empty(), times, start=start, options=Options(method=method, rtol=1e-10)
    ).check()
    assert np.allclose(found.outputs, exact, rtol=1e-9, atol=1e-9)
    if start < 0.0:  # by itself, at the first dose or output before nought
        early = solve(k, p, EventTable.empty(), times, options=Options(rtol=1e-10)).check()
        dosed = solve(
            k, p, table(k, {"time": start, "amount": 4.0}), times, options=Options(rtol=1e-10)
        ).check()
        assert np.allclose(early.outputs, exact, rtol=1e-9, atol=1e-9)
        assert np.allclose(dosed.outputs, exact + np.array([4.0, 0.0]), rtol=1e-9, atol=1e-9)
    reset = table(k, {"time": start + 2.0, "kind": RESET})
    found = solve(k, p, reset, times[2:], start=start, options=Options(rtol=1e-10)).check().outputs
    assert np.allclose(found, [1.0 + times[2] ** 2 - (start + 2.0) ** 2, times[2]], rtol=1e-9)


def test_gradients_by_what_starts_later_or_earlier():
    k = kernel(CLOCK)
    p = typical_values(k)
    found = solve(
        k, p, EventTable.empty(), [5.0], start=3.0, directions=["s", "central(0)"], options=Options(rtol=1e-9)
    )
    assert found.check().sensitivities[0, 0, 0] == pytest.approx([(25.0 - 9.0) / 2, 1.0], rel=1e-7)


def test_nothing_lies_before_a_start_that_is_given():
    k = kernel(PLAIN)
    p = typical_values(k)
    with pytest.raises(InputError, match="an event, at 2, before the start, 3"):
        solve(k, p, table(k, {"time": 2.0, "amount": 1.0}), [5.0], start=3.0)
    with pytest.raises(InputError, match="an output time, 2, before the start, 3"):
        solve(k, p, EventTable.empty(), [2.0, 5.0], start=3.0)
    with pytest.raises(InputError, match="the start must be a finite number"):
        solve(k, p, EventTable.empty(), [2.0], start=np.nan)


# --- several things at one instant


@pytest.mark.parametrize(
    ("n", "options"), [(1, {}), (20, {}), (1, {"method": "linear"}), (1, {"method": "rodas5p"})]
)
def test_outputs_of_one_instant_stand_between_its_events_where_their_places_say(n, options):
    k = kernel(PLAIN)
    events = table(
        k,
        {"time": 0.0, "amount": 10.0},  # arrives at 0.1 + 0.2, which is a little more than 0.3
        {"time": 0.2, "amount": 100.0, "kind": DOSE},  # at 0.4
        {"time": 0.30, "kind": REPLACE, "route": 0, "amount": 7.0},
        {"time": 0.30, "kind": RESET},
        {"time": 0.30, "amount": 5.0, "kind": STEADY, "interval": 6.0},
    )
    events = replace(events, time=[0.1, 0.2, 0.3, 0.3, 0.3])
    p = np.tile(typical_values(k, {"lag": 0.2}), (n, 1))
    places = [Place(2), Place(3), Place(4), LAST, Place(2), Place(-7)]
    times = [0.3, 0.3, 0.3, 0.3, 0.2, 0.2]
    found = solve_with(k, p, events, times, places=places, rtol=1e-10, **options).check().outputs[:, :, 0]
    tail = 5.0 / (1 - np.exp(-0.2 * 6.0)) * np.exp(-0.2 * 5.8)  # the last dose came 5.8 h ago
    assert np.allclose(found, [10.0, 7.0, 0.0, tail, 0.0, 0.0], rtol=1e-7)


def test_outputs_before_an_event_have_the_gradients_of_what_came_so_far():
    k = kernel(PLAIN)
    events = table(k, {"amount": 10.0}, {"time": 2.0, "amount": 30.0})
    found = solve(
        k,
        typical_values(k),
        events,
        [2.0, 2.0],
        places=[Place(1), LAST],
        directions=["F", "dose[1]", "k"],
        options=Options(rtol=1e-9),
    ).check()
    left = 10.0 * np.exp(-0.4)
    exact = [[left, 0.0, -2.0 * left], [left + 30.0, 1.0, -2.0 * left]]
    assert np.allclose(found.sensitivities[0, :, 0], exact, rtol=1e-7, atol=1e-9)
    with pytest.raises(InputError, match=r"places must be whole numbers of shape \(2, 2\)"):
        solve(k, typical_values(k), events, [2.0, 2.0], places=[0.5])


def test_the_gradient_of_an_added_steady_state_is_without_that_of_the_initial_values():
    """b WT at rest, and above it 50/(1 - exp(-6 k)) of all doses there ever were."""
    k = kernel(RESTING)
    dose = table(k, steady(50.0, 6.0, time=5.0, kind=STEADY_ADDED))
    found = solve(
        k, typical_values(k), dose, [5.0, 8.0], directions=["b", "k", "dose[0]"], options=Options(rtol=1e-10)
    ).check()
    e = np.exp(-0.6)
    fading = np.exp(-0.1 * np.array([0.0, 3.0]))
    above = 50.0 / (1 - e)
    assert found.outputs[0, :, 0] == pytest.approx(700.0 + above * fading, rel=1e-8)
    by_k = -50.0 * 6.0 * e / (1 - e) ** 2 * fading - above * np.array([0.0, 3.0]) * fading
    expected = np.column_stack([[70.0, 70.0], by_k, fading / (1 - e)])
    np.testing.assert_allclose(found.sensitivities[0, :, 0], expected, rtol=1e-5)


# --- columns have names

ROWS = {"changed", "changes", "columns", "made", "row", "rows"}
FILES = ["solver/table.py", "solver/events.py", "solver/periodic.py", "solver/inside.py", "solver/task.py"]
FILES += ["decision/adaptive.py", "dosing/events.py", "dosing/intake.py"]


def counted(source):
    """Columns of rows of events that are asked for by a number, such as ``rows[:, 6]``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Subscript):
            continue
        name = getattr(node.value, "attr", getattr(node.value, "id", ""))
        last = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
        numbers = last.elts if isinstance(last, ast.List) else [last]
        if name in ROWS and any(isinstance(getattr(number, "value", None), int) for number in numbers):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("file", FILES)
def test_columns_of_events_are_called_by_name(file):
    assert counted((Path(pkpd.__file__).parent / file).read_text(encoding="utf-8")) == []
    assert counted("rows[:, 6]; row[DOSE_TIME]; rows[k]; row[[0, 1]]") == ["rows[:, 6]", "row[[0, 1]]"]
