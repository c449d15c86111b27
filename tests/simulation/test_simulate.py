"""Simulations of the textbook models are the textbook's formulas, and obey what every such system obeys;
virtual subjects are reproducible.

Formulas and matrix exponentials for single and repeated doses, infusions, lag and bioavailability; then
superposition, mass balance, shift in time, change of units, splitting of infusions, order of doses, amounts
that stay above nought. Tolerances: a step's error is within ``rtol (|y| + 1e-4 largest |y|)``, and these
systems forget errors, so that a few steps' errors are all that is left.
"""

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solving import METHODS, events, kernel, run, table

from pkpd.core import library
from pkpd.core.errors import InputError, LibraryError, ScheduleError, SolverError
from pkpd.dosing import EventTable, Schedule
from pkpd.model.check import read_model
from pkpd.ode import status
from pkpd.simulation.profile import population, simulate, typical_values
from pkpd.solver import Options, solve
from pkpd.solver.kernel import load

A_FEW_STEPS = 4.0
# An explicit method whose step sits at the limit of its stability hardly damps what earlier steps left, and
# its estimate is then up to one and a half times too small; the largest found by the searches below is 7.6.
AT_THE_LIMIT = 12.0
RTOL = 1e-7


def assert_close(found, expected, rtol=RTOL, steps=A_FEW_STEPS):
    """Equal to the tolerance of a solve; times along the first axis."""
    expected = np.asarray(expected)
    floor = 1e-4 * np.abs(expected).max(axis=0)
    excess = np.abs(found - expected) / (steps * rtol * (np.abs(expected) + floor) + 1e-300)
    assert excess.max() <= 1.0, f"{excess.max() * steps:.3g} tolerances"


# ---- formulas

T = np.array([0.05, 0.4, 1.0, 2.5, 6.0, 11.9, 12.0, 13.0, 24.0, 30.0, 47.0])


@pytest.mark.parametrize("method", METHODS)
class TestFormulas:
    """As textbooks print them (Gabrielsson & Weiner 2016; Rowland & Tozer 2011)."""

    def test_bolus(self, method):
        k = 2.8 / 32.0
        profile = simulate("one_compartment_iv", "100 mg iv once", T, rtol=RTOL, method=method)
        assert_close(profile["C"][0], 100.0 / 32.0 * np.exp(-k * T))

    def test_infusion(self, method):
        CL, V, k = 2.8, 32.0, 2.8 / 32.0
        profile = simulate("one_compartment_iv", "100 mg iv over 6 h once", T, rtol=RTOL, method=method)
        during = np.minimum(T, 6.0)
        assert_close(profile["C"][0], 100.0 / 6.0 / CL * -np.expm1(-k * during) * np.exp(-k * (T - during)))
        assert V * k == pytest.approx(CL)

    def test_repeated_bolus_accumulates_to_its_plateau(self, method):
        """After n doses every tau: C = D/V (1 - exp(-n k tau))/(1 - exp(-k tau)) exp(-k t) (Rowland & Tozer,
        multiple doses)."""
        k, tau = 2.8 / 32.0, 12.0
        n = np.arange(1, 21)
        profile = simulate(
            "one_compartment_iv", "50 mg iv every 12 h x20", (n - 1) * tau + 5.0, rtol=RTOL, method=method
        )
        assert_close(
            profile["C"][0], 50.0 / 32.0 * np.expm1(-n * k * tau) / np.expm1(-k * tau) * np.exp(-k * 5.0)
        )

    def test_first_order_absorption_with_lag_and_bioavailability(self, method):
        ka, CL, V, F, lag = 1.57, 2.8, 32.0, 0.6, 0.75
        k, after = CL / V, np.maximum(T - lag, 0.0)
        expected = F * 320.0 * ka / (V * (ka - k)) * (np.exp(-k * after) - np.exp(-ka * after))
        profile = simulate(
            "one_compartment_oral",
            "320 mg oral once",
            T,
            parameters={"F_oral": F, "tlag": lag},
            rtol=RTOL,
            method=method,
        )
        assert_close(profile["C"][0], expected)
        assert profile["C"][0, 0] == 0.0  # before the lag there is nothing at all

    def test_two_compartments(self, method):
        """C = D/V1 (A exp(-alpha t) + B exp(-beta t)) with the macro constants."""
        k = kernel("two_compartment_iv")
        CL, V1, Q, V2 = (
            dict(zip(k.PARAMETERS, k.VALUES, strict=True))[name] for name in ("CL", "V1", "Q", "V2")
        )
        k10, k12, k21 = CL / V1, Q / V1, Q / V2
        half, root = (k10 + k12 + k21) / 2, np.sqrt((k10 + k12 + k21) ** 2 / 4 - k10 * k21)
        alpha, beta = half + root, half - root
        expected = (
            80.0
            / V1
            / (alpha - beta)
            * ((alpha - k21) * np.exp(-alpha * T) + (k21 - beta) * np.exp(-beta * T))
        )
        assert_close(
            simulate("two_compartment_iv", "80 mg iv once", T, rtol=RTOL, method=method)["C"][0], expected
        )

    def test_saturable_elimination(self, method):
        """C = Km W(C0/Km exp((C0 - Vmax/V t)/Km)) (Beal 1983)."""
        Vmax, Km, V = 415.0, 5.7, 45.0
        days = np.array([0.1, 0.5, 1.0, 2.0, 2.5, 3.0])
        profile = simulate("michaelis_menten", "900 mg iv once", days, rtol=RTOL, method=method)
        C0 = 900.0 / V
        expected = [
            float(Km * mpmath.lambertw(C0 / Km * mpmath.exp((C0 - Vmax / V * t) / Km)).real) for t in days
        ]
        assert_close(
            profile["C"][0], expected, steps=A_FEW_STEPS * 4
        )  # d log C(t)/d log C(s) grows up to (Km + C0)/Km = 4.5

    def test_transit_chain_is_a_gamma_density(self, method):
        """The flow out of the last of n + 1 equal steps after a unit dose is ktr (ktr t)^n exp(-ktr t)/n!
        (Savic et al. 2007)."""
        k = kernel("transit_absorption")
        p = dict(zip(k.PARAMETERS, k.VALUES, strict=True))
        ktr = 5 / p["MTT"]
        t = np.array([0.1, 0.5, 1.0, 1.5, 2.5, 4.0])
        found = run("transit_absorption", t, table(k, (0.0, 100.0, "oral")), rtol=RTOL, method=method).states[
            0
        ]
        amount = p["F_oral"] * 100.0 * (ktr * t) ** 4 * np.exp(-ktr * t) / 24
        assert_close(found[:, k.STATES.index("transit4")], amount)


def matrices(p):
    """The linear models of the library as matrices of their amounts, written down from their drawings."""
    CL, V, V1, V2, V3 = (p.get(name, 1.0) for name in ("CL", "V", "V1", "V2", "V3"))
    ka, Q, Q2, Q3 = (p.get(name, 1.0) for name in ("ka", "Q", "Q2", "Q3"))
    two = [[-(CL + Q) / V1, Q / V2], [Q / V1, -Q / V2]]
    three = [[-(CL + Q2 + Q3) / V1, Q2 / V2, Q3 / V3], [Q2 / V1, -Q2 / V2, 0], [Q3 / V1, 0, -Q3 / V3]]

    def absorbed(matrix):
        rows = [[-ka] + [0] * len(matrix), *([0, *row] for row in matrix)]
        rows[1][0] = ka
        return rows

    return {
        "one_compartment_iv": [[-CL / V]],
        "one_compartment_oral": absorbed([[-CL / V]]),
        "two_compartment_iv": two,
        "two_compartment_oral": absorbed(two),
        "three_compartment_iv": three,
        "three_compartment_oral": absorbed(three),
    }


def superposed(matrix, doses, times):
    """(n_times, n) amounts after (time, amount, state, duration) doses: matrix exponentials added up.

    An infusion is the exponential of the matrix with one more state, the rate.
    """
    n = len(matrix)
    with mpmath.workdps(30):
        A = mpmath.matrix(n + 1)
        for i in range(n):
            for j in range(n):
                A[i, j] = mpmath.mpf(float(matrix[i][j]))
        out = np.zeros((len(times), n))
        for at, amount, state, duration in ((a, b, int(c), d) for a, b, c, d in doses):
            for row, t in enumerate(times):
                if t < at:
                    continue
                start = mpmath.matrix(n + 1, 1)
                elapsed = t - at
                if duration:
                    during = min(duration, elapsed)
                    A[state, n] = 1
                    start[n] = mpmath.mpf(amount) / duration
                    start = mpmath.expm(A * during) * start
                    A[state, n] = start[n] = 0
                    elapsed -= during
                else:
                    start[state] = amount
                end = mpmath.expm(A * elapsed) * start
                out[row] += [float(v) for v in end[:n]]
    return out


LINEAR = tuple(f"{n}_compartment_{way}" for n in ("one", "two", "three") for way in ("iv", "oral"))


@pytest.mark.parametrize("name", LINEAR)
def test_linear_models_are_their_matrix_exponentials(name):
    """Two boluses and two infusions that overlap, with lag and bioavailability where there is absorption."""
    k = kernel(name)
    oral = "oral" in k.ROUTES
    change = {"F_oral": 0.7, "tlag": 0.3} if oral else {}
    p = dict(zip(k.PARAMETERS, typical_values(k, change), strict=True))
    central = k.ROUTE_TARGETS[k.ROUTES.index("iv")]
    given, expected = [(0.0, 100.0, "iv"), (5.0, 40.0, "iv", 3.0), (7.0, 30.0, "iv", 0.5)], []
    expected += [(0.0, 100.0, central, 0), (5.0, 40.0, central, 3.0), (7.0, 30.0, central, 0.5)]
    if oral:
        given += [(1.0, 200.0, "oral"), (6.5, 50.0, "oral", 2.0)]
        expected += [(1.3, 140.0, 0, 0), (6.8, 35.0, 0, 2.0)]
    times = np.array([0.2, 1.0, 1.31, 3.0, 5.5, 7.2, 8.7, 12.0, 20.0])
    exact = superposed(matrices(p)[name], expected, times)
    for method in METHODS:
        assert_close(run(name, times, table(k, *given), change, rtol=RTOL, method=method).states[0], exact)


# ---- what every system obeys

slow = settings(max_examples=15)
amounts = st.floats(0.1, 1000)
moments = st.floats(0, 60)
durations = st.just(0.0) | st.floats(0.01, 20)
doses = st.lists(st.tuples(moments, amounts, st.sampled_from(["oral", "iv"]), durations), max_size=5)
methods = st.sampled_from(METHODS)
PARAMETERS = st.fixed_dictionaries(
    {
        "ka": st.floats(0.05, 20),
        "CL": st.floats(0.1, 50),
        "V1": st.floats(1, 100),
        "Q": st.floats(0.1, 50),
        "V2": st.floats(1, 100),
        "F_oral": st.just(0.0) | st.floats(1e-3, 1),
        "tlag": st.floats(0, 3),
    }
)
TIMES = np.linspace(0, 90, 31)


def times_for(given, lag=0.0):
    """Enough times to see each state at its largest: a grid, and ever closer to the beginnings and ends of
    doses."""
    starts = [at + wait + part for at, _, _, part_ in given for wait in (0.0, lag) for part in (0.0, part_)]
    near = [at + after for at in starts for after in (1e-4, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)]
    return np.unique([*TIMES, *near])


@slow
@given(doses, doses, PARAMETERS, methods, amounts)
def test_superposition(first, second, parameters, method, factor):
    """Doses add up, and twice the dose is twice the amount."""
    k = kernel("two_compartment_oral")
    times = times_for(first + second, parameters["tlag"])
    one, two, both = (
        run(k, times, table(k, *given), parameters, rtol=RTOL, method=method).states[0]
        for given in (first, second, first + second)
    )
    assert_close(both, one + two, steps=3 * AT_THE_LIMIT)  # three solves, each with its error
    more = run(
        k,
        times,
        table(k, *((t, factor * a, r, d) for t, a, r, d in first)),
        parameters,
        rtol=RTOL,
        method=method,
    )
    assert_close(more.states[0], factor * one, steps=2 * AT_THE_LIMIT)


BALANCE = """
model      all that came in is somewhere
time       h
parameter  ka = 1.3 [1/h]
parameter  Vmax = 20 [mg/h]
parameter  Km = 30 [mg]
parameter  k12 = 0.4 [1/h]
parameter  F = 0.8 [1]
parameter  tlag = 0.2 [h]
state      depot [mg]
state      central [mg]
state      tissue [mg]
state      gone [mg]
route      oral -> depot  F = F  lag = tlag
route      iv -> central
define     loss = Vmax*central/(Km + central) [mg/h]
d depot   = -ka*depot
d central = ka*depot - loss - k12*(central - tissue)
d tissue  = k12*(central - tissue)
d gone    = loss
output     total = depot + central + tissue + gone [mg]
"""


@slow
@given(doses, methods, st.just(0.0) | st.floats(1e-9, 1))
def test_mass_balance(given, method, F):
    """What came in is there, up to rounding: a step of either method keeps linear invariants, however coarse
    it is."""
    k = kernel(BALANCE)
    began = [at + (0.2 if route == "oral" else 0.0) for at, _, route, _ in given]
    times = TIMES[[all(abs(t - at) > 1e-9 for at in began) for t in TIMES]]
    found = run(k, times, table(k, *given), {"F": F}, rtol=1e-3, method=method).outputs[0, :, 0]
    expected = np.zeros(times.size)
    for (_, amount, route, duration), at in zip(given, began, strict=True):
        share = F if route == "oral" else 1.0
        expected += share * amount * (np.clip((times - at) / duration, 0, 1) if duration else times >= at)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * sum(dose[1] for dose in given))


@slow
@given(doses, st.floats(0.001, 500), methods)
def test_time_shift(given, delay, method):
    """Everything later by the same: a system at rest does not know what time it is."""
    k = kernel(BALANCE)
    times = times_for(given, 0.2)
    events_at = [t + lag + part for t, _, _, d in given for lag in (0.0, 0.2) for part in (0.0, d)]
    if events_at:  # a sum is rounded, and could fall on the other side of a dose
        times = times[np.abs(times[:, None] - events_at).min(axis=1) > 1e-9]
    now = run(k, times, table(k, *given), rtol=RTOL, method=method).states[0]
    later = table(k, *((t + delay, a, r, d) for t, a, r, d in given))
    assert_close(
        run(k, times + delay, later, rtol=RTOL, method=method).states[0], now, steps=2 * AT_THE_LIMIT
    )


@pytest.mark.parametrize("method", METHODS)
def test_dose_units(method):
    """A milligram is a thousand micrograms."""
    times = np.linspace(0, 48, 9)
    mg = simulate("two_compartment_oral", "120 mg oral every 12 h x3", times, method=method)
    for other in ("120000 ug oral every 12 h x3", "0.12 g oral every 12 h x3", "120 mg oral every 0.5 d x3"):
        np.testing.assert_allclose(
            simulate("two_compartment_oral", other, times, method=method).outputs, mg.outputs, rtol=1e-12
        )


IN_HOURS = """
model      saturable loss and response
time       h
parameter  ka = 0.9 [1/h]
parameter  Vmax = 12 [mg/h]
parameter  Km = 3 [mg/L]
parameter  V = 25 [L]
parameter  kin = 6 [1/uL/h]
parameter  kout = 0.02 [1/h]
parameter  EC50 = 0.8 [mg/L]
parameter  tlag = 0.5 [h]
state      depot [mg]
state      central [mg]
state      B = kin/kout [1/uL]
route      sc -> depot  lag = tlag
define     C = central/V [mg/L]
d depot = -ka*depot
d central = ka*depot - Vmax*C/(Km + C)
d B = kin*(1 + 2*C/(EC50 + C)) - kout*B
output     C [mg/L]
output     B [1/uL]
"""
IN_DAYS = """
model      the same in other units
time       d
parameter  ka = 21.6 [1/d]
parameter  Vmax = 288000 [ug/d]
parameter  Km = 3000 [ng/mL]
parameter  V = 25000 [mL]
parameter  kin = 144e3 [1/mL/d]
    bounds  0 .. 1e12
parameter  kout = 0.48 [1/d]
parameter  EC50 = 800 [ng/mL]
parameter  tlag = 0.0208333333333333333 [d]
parameter  ng = 1000 [ng/ug]
state      depot [ug]
state      central [ug]
state      B = kin/kout [1/mL]
route      sc -> depot  lag = tlag
define     C = central/V*ng [ng/mL]
d depot = -ka*depot
d central = ka*depot - Vmax*C/(Km + C)
d B = kin*(1 + 2*C/(EC50 + C)) - kout*B
output     C [ng/mL]
output     B [1/mL]
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("directions", [(), ("Vmax", "kin", "tlag")])
def test_the_same_model_in_other_units(method, directions):
    """Steps, and so the result to rounding, depend neither on the units of states and time nor on those of
    the doses."""
    times = np.array([0.0, 0.2, 1.0, 5.0, 20.0, 30.0, 100.0, 400.0])
    hours, days = kernel(IN_HOURS), kernel(IN_DAYS)
    one = run(hours, times, events(hours, "40 mg sc every 24 h x3"), method=method, directions=directions)
    two = run(days, times / 24, events(days, "40000 ug sc daily x3"), method=method, directions=directions)
    np.testing.assert_allclose(two.outputs / 1e3, one.outputs, rtol=1e-9, atol=1e-12)
    assert abs(int(two.counts[0, 3]) - int(one.counts[0, 3])) <= 2  # rounding may tip a step
    if directions:
        relative = [
            s.sensitivities[0] * [k.VALUES[k.PARAMETERS.index(d)] for d in directions]
            for s, k in ((one, hours), (two, days))
        ]
        np.testing.assert_allclose(
            relative[1] / 1e3, relative[0], rtol=1e-6, atol=1e-7 * np.abs(relative[0]).max()
        )


@slow
@given(amounts, st.floats(0.5, 20), st.floats(0.05, 0.95), moments, methods)
def test_an_infusion_in_two_parts_is_one(amount, duration, share, at, method):
    k = kernel(BALANCE)
    times = times_for([(at, amount, "iv", duration)])
    one = run(k, times, table(k, (at, amount, "iv", duration)), rtol=RTOL, method=method).states[0]
    first = duration * share
    parts = table(
        k, (at, amount * share, "iv", first), (at + first, amount * (1 - share), "iv", duration - first)
    )
    assert_close(run(k, times, parts, rtol=RTOL, method=method).states[0], one, steps=2 * AT_THE_LIMIT)
    side_by_side = table(k, (at, amount * share, "iv", duration), (at, amount * (1 - share), "iv", duration))
    assert_close(run(k, times, side_by_side, rtol=RTOL, method=method).states[0], one, steps=2 * AT_THE_LIMIT)


@slow
@given(amounts, st.floats(0.01, 60), methods)
def test_a_short_infusion_is_nearly_a_bolus(amount, at, method):
    k = kernel(BALANCE)
    times = times_for([(at, amount, "iv", 0.0)])
    times = times[(times < at) | (times > at + 0.5)]
    bolus = run(k, times, table(k, (at, amount, "iv")), rtol=RTOL, method=method).states[0]
    short = run(k, times, table(k, (at, amount, "iv", 1e-7)), rtol=RTOL, method=method).states[0]
    assert_close(short, bolus, steps=2 * AT_THE_LIMIT)


@slow
@given(st.permutations(range(6)), methods)
def test_the_order_of_doses_at_one_instant_does_not_matter(order, method):
    k = kernel(BALANCE)
    given = [
        (3.0, 10.0, "oral"),
        (3.0, 20.0, "iv"),
        (3.0, 5.0, "iv", 2.0),
        (3.0, 7.0, "oral", 1.0),
        (3.0, 0.1, "iv"),
        (3.0, 3.0, "iv", 2.0),
    ]

    def unsorted(doses):
        rows = [(*dose, 0.0)[:4] for dose in doses]
        return EventTable(
            time=[r[0] for r in rows],
            amount=[r[1] for r in rows],
            route=[k.ROUTES.index(r[2]) for r in rows],
            duration=[r[3] for r in rows],
            size=[-1] * len(rows),
        )

    one = run(k, TIMES, unsorted(given), method=method).states
    other = run(k, TIMES, unsorted([given[i] for i in order]), method=method).states
    np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)


def test_the_order_of_lines_of_a_schedule_does_not_matter():
    """Doses of two kinds, each at its own times: sorted before they are given."""
    k = kernel(BALANCE)
    forward = table(k, (0.0, 10.0, "oral"), (6.0, 5.0, "iv"), (12.0, 10.0, "oral"), (18.0, 5.0, "iv", 1.0))
    backward = table(k, (18.0, 5.0, "iv", 1.0), (12.0, 10.0, "oral"), (6.0, 5.0, "iv"), (0.0, 10.0, "oral"))
    np.testing.assert_array_equal(run(k, TIMES, forward).states, run(k, TIMES, backward).states)


@slow
@given(doses, PARAMETERS, methods, st.sampled_from([1e-3, 1e-6]))
def test_amounts_do_not_go_below_nought(given, parameters, method, rtol):
    """By no more than a state's tolerance near nought, also when rates differ by thousands."""
    k = kernel("two_compartment_oral")
    times = np.concatenate([times_for(given, parameters["tlag"]), np.linspace(91, 400, 300)])
    found = run(k, times, table(k, *given), parameters, rtol=rtol, method=method).states[0]
    assert np.all(found >= -AT_THE_LIMIT * rtol * 1e-4 * found.max(axis=0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("il2_treg", "3 MIU sc daily x5"),
        ("tmdd_full", "30 mg iv once"),
        ("treg_turnover", "1 MIU sc daily x5"),
    ],
)
def test_cells_and_receptors_do_not_go_below_nought(name, schedule, method):
    k = kernel(name)
    p = population(k, 20, seed=4)
    solution = solve(
        k, p, events(k, schedule), np.linspace(0, 60, 200), options=Options(method=method), keep_states=True
    ).check()
    largest = solution.states.max(axis=1, keepdims=True)
    assert np.all(solution.states >= -AT_THE_LIMIT * 1e-10 * largest)


# ---- virtual subjects


@pytest.fixture(scope="module")
def oral():
    return kernel("two_compartment_oral")


def test_a_subject_keeps_its_draws_however_many_there_are(oral):
    few, many = population(oral, 5, seed=7), population(oral, 50, seed=7)
    np.testing.assert_array_equal(few, many[:5])
    assert len(np.unique(many[:, oral.PARAMETERS.index("CL")])) == 50
    alone = simulate(oral, "10 mg oral once", [1.0, 5.0], subjects=5, seed=7, threads=1)
    together = simulate(oral, "10 mg oral once", [1.0, 5.0], subjects=50, seed=7, threads=2)
    np.testing.assert_array_equal(alone.outputs, together.outputs[:5])


def test_a_seed_is_a_population(oral):
    np.testing.assert_array_equal(population(oral, 20, seed=1), population(oral, 20, seed=1))
    assert np.all(population(oral, 20, seed=1)[:, 0] != population(oral, 20, seed=2)[:, 0])
    # the neighbours of a seed are not its subjects moved along
    assert not np.intersect1d(population(oral, 50, seed=1)[:, 0], population(oral, 50, seed=2)[:, 0]).size


def test_one_subject_is_the_typical_one(oral):
    np.testing.assert_array_equal(population(oral, 1, seed=9), [oral.VALUES])
    np.testing.assert_array_equal(
        population(oral, 1, seed=9, parameters={"CL": 7.0})[0, oral.PARAMETERS.index("CL")], 7.0
    )


def test_the_spread_is_the_model_s(oral):
    """Log-normal about the typical value, each parameter by itself, and none where the model states none."""
    n = 4000
    values = population(oral, n, seed=3, parameters={"CL": 6.0})
    typical = typical_values(oral, {"CL": 6.0})
    logs = np.log(values / typical)
    for j, between in enumerate(oral.BETWEEN):
        if between is None:
            assert np.all(values[:, j] == typical[j])
        else:
            assert abs(logs[:, j].mean()) < 4 * between[1] / np.sqrt(n)
            assert logs[:, j].std() == pytest.approx(between[1], abs=4 * between[1] / np.sqrt(2 * n))
    varied = [j for j, between in enumerate(oral.BETWEEN) if between]
    assert len(varied) > 1
    correlation = np.corrcoef(logs[:, varied].T)
    assert np.abs(correlation - np.eye(len(varied))).max() < 4 / np.sqrt(n)


def test_subjects_stay_within_bounds():
    text = BALANCE.replace(
        "parameter  F = 0.8 [1]", "parameter  F = 0.8 [1]  ~ lognormal(2)\n    bounds  0.1 .. 1"
    )
    k = kernel(text)
    F = population(k, 500, seed=0)[:, k.PARAMETERS.index("F")]
    assert F.min() == 0.1 and F.max() == 1.0


def test_a_model_without_spread_has_equal_subjects():
    k = kernel(BALANCE)
    profile = simulate(k, "10 mg iv once", [1.0, 2.0], subjects=3)
    assert profile.outputs.shape == (3, 2, 1)
    np.testing.assert_array_equal(profile.outputs[0], profile.outputs[2])


# ---- the interface for people


def test_a_model_may_be_a_name_a_path_a_model_or_a_kernel(tmp_path):
    text, _ = library.read_model_text("one_compartment_iv")
    path = tmp_path / "mine.model"
    path.write_text(text, encoding="utf-8")
    name = "one_compartment_iv"
    outputs = [
        simulate(model, schedule, [1.0, 7.0]).outputs
        for model in (name, path, str(path), read_model(text, "x.model"), load(name))
        for schedule in ("10 mg iv once", Schedule.parse("10 mg iv once"))
    ]
    for other in outputs[1:]:
        np.testing.assert_array_equal(other, outputs[0])


def test_default_times():
    """201 points to twice the last dose, and at least to the end of the first day, in the model's own
    unit."""
    once = simulate("one_compartment_iv", "10 mg iv once")
    np.testing.assert_allclose(once.times, np.linspace(0, 24, 201))
    assert once.time_unit == "h"
    many = simulate("one_compartment_iv", "10 mg iv daily x8")
    np.testing.assert_allclose(many.times, np.linspace(0, 2 * 7 * 24, 201))
    days = simulate("michaelis_menten", "none")
    np.testing.assert_allclose(days.times, np.linspace(0, 1, 201))
    np.testing.assert_array_equal(days.outputs, 0.0)


@pytest.fixture
def profile(oral):
    return simulate(
        oral, "10 mg oral once", [5.0, 1.0], subjects=3, seed=2, parameters={"CL": 6.0}, rtol=1e-5
    )


def test_a_profile_says_what_it_is(profile, oral):
    assert profile.names == ("C", "C2") and profile.units == ("mg/L", "mg/L")
    assert profile.outputs.shape == (3, 2, 2) and profile.values.shape == (3, oral.n_params)
    np.testing.assert_array_equal(profile["C2"], profile.outputs[:, :, 1])
    np.testing.assert_array_equal(profile.status, 0)
    assert str(profile.schedule) == "10 mg oral once"
    assert profile.parameter_names == oral.PARAMETERS
    assert {
        "model_hash": oral.HASH,
        "seed": 2,
        "rtol": 1e-5,
        "atol": "automatic",
        "method": "auto",
    }.items() <= profile.provenance.items()
    assert profile.statistics["steps"] > 0 and profile.statistics["method: tsit5"] == 3
    with pytest.raises(InputError, match=r'two_compartment_oral has no output "Cc"; it has C, C2'):
        profile["Cc"]


def test_its_table_is_tidy(profile):
    frame = profile.to_frame()
    assert list(frame.columns) == ["subject", "time", "C", "C2"]
    assert len(frame) == 6 and not frame.isna().any().any()
    np.testing.assert_array_equal(frame["subject"], [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(frame["time"], [5.0, 1.0] * 3)
    for row in frame.itertuples():
        index = list(profile.times).index(row.time)
        assert [profile[name][row.subject, index] for name in ("C", "C2")] == [row.C, row.C2]
    assert frame.attrs == {
        "model": "two_compartment_oral",
        "time_unit": "h",
        "units": {"C": "mg/L", "C2": "mg/L"},
        "cautions": [],
    }


def test_its_summary_is_quantiles_over_subjects(profile):
    summary = profile.summary((0.0, 0.5, 1.0))
    assert list(summary.columns) == ["output", "unit", "time", "q0", "q50", "q100"]
    assert summary["output"].tolist() == ["C", "C", "C2", "C2"]
    np.testing.assert_array_equal(summary["q50"][:2], np.median(profile["C"], axis=0))
    np.testing.assert_array_equal(summary["q100"][2:], profile["C2"].max(axis=0))


RUNAWAY = """
model      some explode
time       h
parameter  k = 0.7 [1/h]  ~ lognormal(1)
state      y = 1 [1]
d y = k*y^2
output     y [1]
"""


def test_failed_subjects_are_marked_and_counted_not_raised():
    profile = simulate(kernel(RUNAWAY), "none", [0.5, 1.0], subjects=40, seed=1)
    failed = profile.status != status.SUCCESS
    np.testing.assert_array_equal(failed, profile.values[:, 0] >= 1.0)  # y = 1/(1 - k t)
    assert 0 < failed.sum() < 40
    assert np.all(np.isnan(profile.outputs[failed])) and np.all(np.isfinite(profile.outputs[~failed]))
    good = profile.values[~failed, 0]
    np.testing.assert_allclose(profile["y"][~failed, 0], 1 / (1 - 0.5 * good), rtol=1e-5)
    assert profile.to_frame()["y"].isna().sum() == 2 * failed.sum()


def test_when_all_fail_the_first_is_told():
    with pytest.raises(
        SolverError, match=r"subject 0 stopped at t = 0\.\d+ h: .* \(3 of 3 subjects failed\)"
    ):
        simulate(kernel(RUNAWAY), "none", [50.0], subjects=3, seed=1, parameters={"k": 5.0})


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (
            {"parameters": {"Cl": 5.0}},
            InputError,
            r'two_compartment_oral has no parameter "Cl"; did '
            r'you mean "CL"',
        ),
        ({"parameters": {"zzz": 5.0}}, InputError, r'no parameter "zzz"; known are ka, CL, V1'),
        (
            {"parameters": {"CL": np.nan}},
            InputError,
            r"CL = nan is outside its bounds 0\.01 \.\. "
            r"1000 \[L/h\]",
        ),
        ({"parameters": {"CL": np.inf}}, InputError, r"CL = inf is outside its bounds"),
        (
            {"parameters": {"CL": -1.0}},
            InputError,
            r"CL = -1\.0 is outside its bounds 0\.01 \.\. "
            r"1000 \[L/h\]",
        ),
        ({"parameters": {"F_oral": 1.5}}, InputError, r"F_oral = 1\.5 is outside its bounds 0 \.\. 1"),
        ({"subjects": 0}, InputError, "the number of subjects must be at least 1, not 0"),
        ({"subjects": -3}, InputError, "the number of subjects must be at least 1, not -3"),
        ({"subjects": 10**13}, InputError, "10,000,000,000,000 subjects are too many: at most 1,000,000"),
        ({"subjects": 2.5}, InputError, "the number of subjects must be a whole number, not 2.5"),
        ({"subjects": 4, "seed": -1}, InputError, "the seed must not be negative, not -1"),
        ({"subjects": 4, "seed": 2**200}, InputError, "the seed must be below 2"),
        (
            {"method": "lsoda"},
            InputError,
            r'unknown method "lsoda"; there are auto, tsit5, vern7, '
            r"rodas4, rodas5p",
        ),
        ({"rtol": -1e-6}, InputError, "rtol must lie between 0 and 1"),
        (
            {"atol": [1.0] * 7},
            InputError,
            "atol must be one number or 3, one for each of depot, central, peripheral",
        ),
        ({"times": [np.inf]}, InputError, "output times must be a one-dimensional array of finite numbers"),
        ({"times": []}, InputError, "at least one"),
        ({"schedule": "10 mg orelly once"}, ScheduleError, "oral"),
        ({"schedule": "10 L oral once"}, ScheduleError, "L"),
        ({"schedule": "10 mg sc once"}, ScheduleError, "oral, iv"),
        ({"model": "two_compartment"}, LibraryError, "two_compartment"),
    ],
)
def test_bad_input_is_a_sentence(options, error, said):
    arguments = {
        "model": "two_compartment_oral",
        "schedule": "10 mg oral once",
        "times": [1.0],
        "subjects": 2,
        **options,
    }
    with pytest.raises(error, match=said):
        simulate(arguments.pop("model"), arguments.pop("schedule"), **arguments)


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1, np.int64(5)])
def test_any_seed_will_do(oral, seed):
    values = population(oral, 3, seed)
    assert np.all(np.isfinite(values)) and len(np.unique(values[:, 0])) == 3


def test_results_that_do_not_fit_into_memory_are_refused_with_their_size(oral, monkeypatch):
    room = np.empty

    def empty(shape, *given, **options):
        if np.prod(shape) > 10**6:
            raise MemoryError
        return room(shape, *given, **options)

    monkeypatch.setattr(np, "empty", empty)
    with pytest.raises(
        InputError, match=r"2,000 subjects at 1,000 times: their results take 0\.0 GB; take fewer"
    ):
        simulate(oral, "10 mg oral once", np.arange(1000.0), subjects=2000)


def test_values_of_each_subject_are_theirs():
    """A subject with a value of its own is the typical one with that value; for others it is drawn as
    always."""
    given = {"CL": [1.0, 2.0, "50 mL/min"]}
    found = simulate("one_compartment_iv", "100 mg iv once", [1.0, 5.0], parameters=given, subjects=3, seed=4)
    drawn = simulate("one_compartment_iv", "100 mg iv once", [1.0, 5.0], subjects=3, seed=4)
    cl, others = found.parameter_names.index("CL"), [n != "CL" for n in found.parameter_names]
    np.testing.assert_allclose(found.values[:, cl], [1.0, 2.0, 3.0], rtol=1e-12)
    np.testing.assert_array_equal(found.values[:, others], drawn.values[:, others])
    volume = found.values[:, found.parameter_names.index("V")]
    exact = 100.0 / volume[:, None] * np.exp(-np.outer([1.0, 2.0, 3.0] / volume, [1.0, 5.0]))
    np.testing.assert_allclose(found["C"], exact, rtol=1e-5)
    for column in (np.array([1.0, 2.0, 3.0]), pd.Series([1.0, 2.0, 3.0]), (1, 2, 3)):
        again = simulate(
            "one_compartment_iv", "100 mg iv once", [1.0, 5.0], parameters={"CL": column}, subjects=3, seed=4
        )
        np.testing.assert_allclose(again["C"], found["C"], rtol=1e-12)
    with pytest.raises(InputError, match=r"CL = array.* must be a number"):
        simulate("one_compartment_iv", "100 mg iv once", [1.0], parameters={"CL": np.array(2.0)})
    with pytest.raises(InputError, match="CL has 2 values for 1 subject"):
        simulate("one_compartment_iv", "100 mg iv once", [1.0], parameters={"CL": [1.0, 2.0]})
    with pytest.raises(InputError, match="outside its bounds"):
        simulate("one_compartment_iv", "100 mg iv once", [1.0], parameters={"CL": [1.0, -2.0]}, subjects=2)


def test_a_profile_has_dimensions_with_names():
    found = simulate("one_compartment_iv", "100 mg iv once", [0.0, 1.0, 4.0], subjects=5)
    dataset = found.to_xarray()
    assert dict(dataset.sizes) == {"subject": 5, "time": 3}
    np.testing.assert_array_equal(dataset["C"].sel(time=4.0), found["C"][:, 2])
    assert dataset["C"].attrs["units"] == "mg/L" and dataset["time"].attrs["units"] == "h"


def test_a_notebook_shows_a_sentence_and_a_table():
    found = simulate("one_compartment_iv", "100 mg iv once", [0.0, 1.0], subjects=5)
    shown = found._repr_html_()
    assert shown.startswith("<p>Profile of one_compartment_iv") and shown.count("<tr>") == 1 + 2
    assert "&#x27;100 mg iv once&#x27;" in shown


def test_a_profile_says_what_its_model_warns_of():
    model = read_model(
        "model warned\ncaution one trial\ncaution < post hoc\ntime h\nparameter k = 0.1 [1/h]\n"
        "state A [mg]\nroute iv -> A\nd A = -k*A\noutput A\n",
        "warned.model",
    )
    found = simulate(model, "10 mg iv once", [0.0, 1.0])
    assert load(model).CAUTIONS == found.cautions == ("one trial", "< post hoc")
    assert found.to_frame().attrs["cautions"] == found.to_xarray().attrs["cautions"] == list(found.cautions)
    assert "one trial &lt; post hoc A model, not medical advice." in found._repr_html_()
    without = simulate("one_compartment_iv", "100 mg iv once", [0.0, 1.0])
    assert without.cautions == load("one_compartment_iv").CAUTIONS == ()
    assert "has all values. A model, not medical advice." in without._repr_html_()
