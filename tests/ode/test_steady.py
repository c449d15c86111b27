"""States that begin "steady" begin where the system without drug would come to rest, and their sensitivities
are those of that rest.

The rest is held against integrating from nothing for a very long time, against formulas, and against the
equations themselves; sensitivities against the formula and against differences of rests. What has no rest is
a failed subject with a sentence.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solving import METHODS, events, kernel, run, table

from pkpd.core import library
from pkpd.core.errors import InputError, SolverError
from pkpd.ode import status
from pkpd.simulation.profile import simulate
from pkpd.solver import Options, solve
from pkpd.solver.kernel import load

OF_HAZARDS = ("hazard", "cumulative_hazard", "survival")

# Production with saturable feedback, loss that its own product speeds up, a pool that fills slowly; drug
# stimulates production.
FEEDBACK = """
model      a precursor, its product and a memory
time       h
parameter  kin = 9 [1/h]
parameter  kout = 0.3 [1/h]
parameter  K = 4 [1]
parameter  n = 3 [1]
parameter  slow = 0.002 [1/h]
parameter  x0 = 2 [mg]
state      x = x0 [mg]
state      a = steady [1]
state      b = steady [1]
state      m = steady [1]
route      iv -> x
d x = -kout*x
d a = kin/(1 + (b/K)^n)*(1 + x/(x0 + x)) - kout*a*(1 + b/K)
d b = kout*a - kout*b*(1 + hill(m, K, n))
d m = slow*b - slow*m
output     a [1]
output     r = a/b [1]
"""
FROM_NOTHING = FEEDBACK.replace(" = steady", "")

TURNOVER = """
model      turnover
time       h
parameter  kin = 9 [mg/h]
    bounds  -100 .. 100
parameter  kout = 0.3 [1/h]
    bounds  -100 .. 100
parameter  q = 0.1 [1/h]
    bounds  -100 .. 100
parameter  k = 0.7 [1/h]
state      drug [mg]
state      R = steady [mg]
state      S = steady [mg]
route      iv -> drug
route      into -> R
d drug = -k*drug
d R = kin - kout*R + k*drug
d S = q*R - kout*S
output     total = R + S [mg]
"""


def rest(text, parameters=None, **options):
    """(n_states,) where the states begin."""
    return run(text, [0.0], parameters=parameters, **options).states[0, 0]


# The states held at their own values (here x at 2 mg) are part of the system that rests, as the model's file
# says them.
def held(text):
    return text.replace("d x = -kout*x", "d x = 0*kout*x")


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n": 9.0, "K": 1.0},
        {"kin": 4000.0},
        {"kin": 1e-5},
        {"slow": 1e-6},
        {"kout": 20.0, "kin": 2.0, "K": 0.01},
    ],
    ids=str,
)
def test_the_rest_is_where_a_very_long_integration_ends(parameters):
    slow = parameters.get("slow", 0.002)
    long = run(held(FROM_NOTHING), [60.0 / slow], parameters=parameters, rtol=1e-10, method="rodas5p").states[
        0, 0
    ]
    found = rest(FEEDBACK, parameters)
    # what is left after 60 time constants is far below the rounding of 1e-10; the rest itself is found to
    # 1e-11
    np.testing.assert_allclose(found, long, rtol=1e-8)


def test_the_rest_of_linear_turnover_is_its_formula():
    np.testing.assert_allclose(rest(TURNOVER), [0.0, 30.0, 10.0], rtol=1e-13)


@settings(max_examples=60)
@given(
    size=st.floats(-12, 12),
    speed=st.floats(-6, 6),
    feedback=st.floats(-3, 3),
    ratio=st.floats(-6, 6),
)
def test_the_rest_balances_whatever_the_units(size, speed, feedback, ratio):
    """Sizes over 24 decades and rates over 18, in whatever unit they are written: what comes in goes out."""
    k = kernel(TURNOVER.replace("d S = q*R", "d S = q*R/(1 + S/(kin/kout))"))
    p = dict(zip(k.PARAMETERS, k.VALUES, strict=True))
    p |= {"kout": 10.0**speed, "kin": 10.0 ** (size + speed), "q": 10.0 ** (speed + feedback)}
    y = solve(k, list(p.values()), events(k), [0.0], keep_states=True).check().states[0, 0]
    top, c = p["kin"] / p["kout"], p["q"] / p["kout"]
    expected = 2 * c / (1 + np.sqrt(1 + 4 * c))  # s (1 + s) = c with s = S/top, the root without cancellation
    np.testing.assert_allclose(y, [0.0, top, expected * top], rtol=1e-9)
    # the same in another unit: the numbers alone change
    p["kin"] *= 10.0**ratio
    other = solve(k, list(p.values()), events(k), [0.0], keep_states=True).check().states[0, 0]
    np.testing.assert_allclose(other, y * 10.0**ratio, rtol=1e-9)


@settings(max_examples=40)
@given(slowness=st.floats(-15, 3), start=st.floats(-3, 3))
def test_a_slow_state_comes_to_rest_too(slowness, start):
    """However much slower it is than its neighbours: that it hardly moves does not mean that it has
    arrived."""
    text = TURNOVER.replace("d S = q*R - kout*S", "d S = q*(R - S*S*kout/kin)")
    k = kernel(text)
    p = dict(zip(k.PARAMETERS, k.VALUES, strict=True)) | {"q": 0.3 * 10.0**slowness, "kin": 10.0**start}
    y = solve(k, list(p.values()), events(k), [0.0], keep_states=True).check().states[0, 0]
    np.testing.assert_allclose(y[1:], p["kin"] / p["kout"], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_system_at_rest_stays_there(method):
    text = held(FEEDBACK)
    found = run(text, np.linspace(0, 5000, 11), method=method).states[0]
    np.testing.assert_allclose(found, np.tile(found[0], (11, 1)), rtol=4e-6)


def test_doses_do_not_move_the_rest():
    k = kernel(TURNOVER)
    for doses in (table(k, (0.0, 100.0, "iv")), table(k, (0.0, 100.0, "into"))):
        found = run(TURNOVER, [0.0], doses).states[0, 0]
        np.testing.assert_allclose(
            found - doses.amount * (np.arange(3) == k.ROUTE_TARGETS[doses.route[0]]), [0, 30, 10], rtol=1e-12
        )
    early = run(TURNOVER, [-5.0, 0.0], table(k, (-5.0, 100.0, "iv"))).states[0]
    np.testing.assert_allclose(early[0], [100.0, 30.0, 10.0], rtol=1e-12)


PROGRESSES = {"als": {"alsfrs", "lost", "nfl"}}
"""Outputs of a disease that goes on by itself."""


@pytest.mark.parametrize("name", library.models())
def test_every_library_model_begins_at_rest(name):
    """Without drug nothing happens but events and what progresses: virtual subjects stay where they began,
    for a hundred of the model's time units."""
    profile = simulate(name, "none", np.linspace(0, 100, 6), subjects=5, seed=3)
    assert np.all(profile.status == status.SUCCESS)
    moving = {f"{what}_{event}" for event in load(name).HAZARDS for what in OF_HAZARDS}
    moving |= PROGRESSES.get(name, set())
    outputs = profile.outputs[:, :, [name not in moving for name in profile.names]]
    first = np.repeat(outputs[:, :1], 6, axis=1)
    np.testing.assert_allclose(outputs, first, rtol=4e-6, atol=1e-9 * np.abs(first).max(initial=0.0))


# ---- sensitivities


@pytest.mark.parametrize("method", METHODS)
def test_sensitivities_of_a_linear_rest_are_those_of_the_formula(method):
    """R = kin/kout, S = q kin/kout^2; by kin, kout, q; and the drug passes through without touching them
    later."""
    kin, kout, q = 9.0, 0.3, 0.1
    solution = run(TURNOVER, [0.0, 40.0], directions=["kin", "kout", "q"], method=method)
    expected = [
        [0, 0, 0],
        [1 / kout, -kin / kout**2, 0],
        [q / kout**2, -2 * q * kin / kout**3, kin / kout**2],
    ]
    np.testing.assert_allclose(solution.state_sensitivities[0, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(solution.state_sensitivities[0, 1], expected, rtol=4e-6)
    np.testing.assert_allclose(solution.sensitivities[0, 0, 0], np.sum(expected, axis=0), rtol=1e-12)


def test_sensitivities_of_a_nonlinear_rest_are_differences_of_rests():
    k = kernel(FEEDBACK)
    solution = run(FEEDBACK, [0.0], directions=list(k.PARAMETERS))
    for d, name in enumerate(k.PARAMETERS):
        value = k.VALUES[k.PARAMETERS.index(name)]
        h = 1e-4 * value
        ends = [rest(FEEDBACK, {name: value + c * h}) for c in (-2, -1, 1, 2)]
        differences = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h)
        # the formula's own error is of order h^4 = 1e-16, the rests' of 1e-11: over h that leaves 1e-7
        np.testing.assert_allclose(
            solution.state_sensitivities[0, 0, :, d],
            differences,
            rtol=1e-6,
            atol=1e-7 * np.abs(ends[0]).max() / value,
        )


@pytest.mark.parametrize("method", METHODS)
def test_sensitivities_from_a_rest_go_on_under_dosing(method):
    k = kernel(FEEDBACK)
    times = [0.0, 3.0, 20.0, 90.0]
    doses = table(k, (1.0, 5.0, "iv"), (30.0, 5.0, "iv"))
    solution = run(FEEDBACK, times, doses, directions=["kin", "K", "slow", "x(0)"], rtol=1e-8, method=method)
    for d, name in enumerate(["kin", "K", "slow"]):
        value = k.VALUES[k.PARAMETERS.index(name)]
        low, high = (
            run(FEEDBACK, times, doses, {name: value * (1 + h)}, rtol=1e-11).outputs for h in (-1e-4, 1e-4)
        )
        differences = (high - low) / (2e-4 * value)
        np.testing.assert_allclose(
            solution.sensitivities[0, ..., d],
            differences[0],
            rtol=2e-6,
            atol=2e-6 * np.abs(differences).max(),
        )


def test_an_initial_value_that_is_a_rest_is_not_free():
    k = kernel(TURNOVER)
    with pytest.raises(
        InputError, match=r"R\(0\): the initial value of R is a steady state of the parameters, not free"
    ):
        solve(k, k.VALUES, events(k), [1.0], directions=["R(0)"])


# ---- failures

BAD = {
    "growth without loss": {"kout": 0.0},
    "a number that is none": {"kin": np.nan},
    "an infinite rate": {"kin": np.inf},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("directions", [(), ("k",)])
def test_what_has_no_rest_is_a_sentence(changes, directions):
    k = kernel(TURNOVER)
    p = dict(zip(k.PARAMETERS, k.VALUES, strict=True)) | changes
    solution = solve(k, list(p.values()), events(k), [0.0, 1.0], directions=directions)
    assert solution.status[0] == status.NO_STEADY_STATE
    assert np.all(np.isnan(solution.outputs))
    with pytest.raises(
        SolverError,
        match=r"subject 0 stopped at t = 0 h: the steady state without drug was not found: check that",
    ):
        solution.check()


def test_one_subject_without_a_rest_leaves_the_others_alone():
    k = kernel(TURNOVER)
    p = np.tile(k.VALUES, (5, 1))
    p[2, k.PARAMETERS.index("kout")] = 0.0
    solution = solve(
        k, p, events(k), [0.0, 1.0], keep_states=True, directions=["kin"], options=Options(threads=1)
    )
    assert solution.status.tolist() == [0, 0, status.NO_STEADY_STATE, 0, 0]
    alone = solve(k, p[0], events(k), [0.0, 1.0], keep_states=True, directions=["kin"])
    for subject in (0, 1, 3, 4):
        np.testing.assert_array_equal(solution.states[subject], alone.states[0])
        np.testing.assert_array_equal(solution.state_sensitivities[subject], alone.state_sensitivities[0])
