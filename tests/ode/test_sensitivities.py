"""Sensitivities are the derivatives of the solution, by whatever moves it, to the tolerance asked.

By parameters, initial values, doses, lag, bioavailability, duration and rate of infusions and body size; of
states and outputs; by every method; held against differences of tight solves and, where there is a formula,
against its complex step.

The promise: sensitivities are controlled like states, for a relative change of the parameter. With ``s = p
    dy/dp``, an error is
measured in units of ``rtol (|s| + 1e-4 max(largest |s|, largest |y|))``.
"""

import numpy as np
import pytest
from problems import PROBLEMS
from solving import METHODS, SINGLE, events, kernel, run, table

from pkpd.core.errors import InputError
from pkpd.ode import layout
from pkpd.solver import Options, solve

# The error of a sensitivity is its own steps' and what the error of the state makes of the second derivative
A_FEW_STEPS = 2.0

# Everything that a dose can depend on, and saturable loss, so that nothing is linear; numbers that are not
# the default of anything.
MODEL = """
model      all that moves a solution
time       h
parameter  ka = 1.1 [1/h]
parameter  Vmax = 9 [mg/h]
parameter  Km = 2.5 [mg/L]
parameter  V = 12 [L]
parameter  kin = 4 [1/h]
parameter  kout = 0.4 [1/h]
parameter  EC50 = 1.5 [mg/L]
parameter  g = 1.6 [1]
parameter  F_sc = 0.7 [1]
parameter  tlag = 0.35 [h]
parameter  long = 1.7 [h]
parameter  speed = 21 [mg/h]
parameter  leak = 0.02 [1/h]
parameter  base = 0.8 [mg]
covariate  BSA = 1.8 [m^2]
state      depot [mg]
state      central = base [mg]
state      R = kin/kout [1]
route      sc -> depot      lag = tlag  F = F_sc
route      pump -> central  duration = long  lag = tlag/2
route      feed -> depot    rate = speed  F = F_sc
route      iv -> central
define     C = central/V [mg/L]
d depot   = -ka*depot
d central = ka*depot - Vmax*C/(Km + C) - leak*central
d R       = kin*(1 + hill(C, EC50, g)) - kout*R
output     C [mg/L]
output     effect = R*log(1 + C/EC50) [1]
output     dose = F_sc*V [L]
"""

TIMES = np.array([0.2, 1.0, 2.05, 3.3, 4.7, 6.1, 7.9, 9.5, 12.2, 16.0, 23.0])


def doses(k):
    """Boluses, infusions of every kind, overlapping; one per square metre."""
    return table(
        k,
        (0.0, 30.0, "sc"),
        (0.0, 5.0, "iv"),
        (2.0, 25.0, "pump", np.nan),
        (3.0, 40.0, "feed", np.nan),
        (3.0, 12.0, "sc", 2.5),
        (5.0, 14.0, "sc", 0.0, "BSA"),
        (8.0, 11.0, "pump", np.nan, "BSA"),
        (9.0, 17.0, "feed", np.nan, "BSA"),
        (11.0, 6.0, "iv", 3.0),
    )


DIRECTIONS = [
    *(
        "ka",
        "Vmax",
        "Km",
        "V",
        "kin",
        "kout",
        "EC50",
        "g",
        "F_sc",
        "tlag",
        "long",
        "speed",
        "leak",
        "base",
        "BSA",
    ),
    *("depot(0)", "central(0)", "R(0)", *(f"dose[{i}]" for i in range(9))),
]


def differences(k, times, direction, h=1e-3, rtol=1e-12):
    """(n_times, n_outputs + n_states) by a five-point formula from tight solves; its error is of order h^4
    and rtol/h."""

    def at(change):
        p, table_ = np.array(k.VALUES), doses(k)
        start = np.zeros(k.n_states)
        if direction.endswith("(0)"):
            index = k.STATES.index(direction[:-3])
            start[index] = change * scale
        elif direction.startswith("dose["):
            table_.amount[int(direction[5:-1])] += change * scale
        else:
            p[k.PARAMETERS.index(direction)] += change * scale
        if start.any():  # a bolus at time 0 that adds to the initial value
            return with_start(k, p, table_, start, times, rtol)
        solution = solve(k, p, table_, times, options=Options(rtol=rtol), keep_states=True).check()
        return np.concatenate([solution.outputs[0], solution.states[0]], axis=1)

    scale = size_of(k, direction)
    values = [at(c * h) for c in (-2, -1, 1, 2)]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h * scale)


def size_of(k, direction):
    """What a relative change is relative to."""
    if direction.endswith("(0)"):
        return 1.0
    if direction.startswith("dose["):
        return doses(k).amount[int(direction[5:-1])]
    return k.VALUES[k.PARAMETERS.index(direction)] or 1.0


def with_start(k, p, table_, start, times, rtol):
    """The model with its initial values moved: the same text with a number added to each."""
    text = MODEL
    for name, unit, was in zip(k.STATES, k.STATE_UNITS, ("0", "base", "kin/kout"), strict=True):
        old = f"state      {name} [mg]" if was == "0" else f"state      {name} = {was} [{unit}]"
        assert old in text
        text = text.replace(old, f"state      {name} = {was} + d_{name} [{unit}]".replace("= 0 +", "="))
        text = text.replace(
            "covariate", f"parameter  d_{name} = 0 [{unit}]\n    bounds  -10 .. 10\ncovariate", 1
        )
    moved = kernel(text)
    values = dict(zip(k.PARAMETERS, p, strict=True)) | {
        f"d_{s}": c for s, c in zip(k.STATES, start, strict=True)
    }
    vector = [values[name] for name in moved.PARAMETERS]
    solution = solve(moved, vector, doses(moved), times, options=Options(rtol=rtol), keep_states=True).check()
    return np.concatenate([solution.outputs[0], solution.states[0]], axis=1)


@pytest.fixture(scope="module")
def reference():
    """(n_times, n_outputs + n_states, n_directions) by differences."""
    k = kernel(MODEL)
    return np.stack([differences(k, TIMES, direction) for direction in DIRECTIONS], axis=-1)


NOISE = 3e-9  # of the largest value: rounding and 1e-12, divided by the relative step 1e-3


def all_of(solution):
    """Values (n_times, n_outputs + n_states) and their sensitivities (n_times, n_outputs + n_states,
    n_directions)."""
    values = np.concatenate([solution.outputs[0], solution.states[0]], axis=1)
    return values, np.concatenate([solution.sensitivities[0], solution.state_sensitivities[0]], axis=1)


def scaled(k, values, reference):
    """Sensitivities for relative changes, and the largest of each column and of the column itself, (columns,
    n_directions)."""
    s = np.abs(reference * [size_of(k, direction) for direction in DIRECTIONS])
    return s, np.maximum(s.max(axis=0), np.abs(values).max(axis=0)[:, None])


def errors(k, solution, reference, rtol):
    """(n_directions,) the largest error in units of the tolerance, beyond the noise of the differences."""
    values, found = all_of(solution)
    s, largest = scaled(k, values, reference)
    error = np.abs(found - reference) * [size_of(k, direction) for direction in DIRECTIONS]
    return (np.maximum(error - NOISE * largest, 0.0) / (rtol * (s + 1e-4 * largest))).max(axis=(0, 1))


def test_the_differences_themselves_are_good_enough(reference):
    """Twice the step changes nothing beyond the noise that the other tests allow for."""
    k = kernel(MODEL)
    values, _ = all_of(run(MODEL, TIMES, doses(k), directions=["ka"]))
    _, largest = scaled(k, values, reference)
    for d, direction in list(enumerate(DIRECTIONS))[::3]:
        twice = differences(k, TIMES, direction, h=2e-3)
        change = np.abs(twice - reference[..., d]) * size_of(k, direction)
        assert np.all(change <= NOISE * largest[:, d]), direction


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("method", METHODS)
def test_everything_that_moves_the_solution(reference, method, rtol):
    k = kernel(MODEL)
    solution = run(MODEL, TIMES, doses(k), rtol=rtol, method=method, directions=DIRECTIONS, slack=1.0)
    found = errors(k, solution, reference, rtol)
    assert dict(zip(DIRECTIONS, found.round(2), strict=True)) == {
        direction: pytest.approx(0.0, abs=A_FEW_STEPS) for direction in DIRECTIONS
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_sensitivity_that_must_be_nought_is_nought(method):
    """Nothing moves what it cannot reach: exactly, not to rounding."""
    k = kernel(MODEL)
    _, found = all_of(run(MODEL, TIMES, doses(k), method=method, directions=DIRECTIONS))
    columns = [*k.OUTPUTS, *k.STATES]
    for name, unreached in {
        "depot": ["Vmax", "Km", "V", "kin", "EC50", "long", "base", "central(0)", "dose[1]", "dose[2]"],
        "central": ["kin", "kout", "EC50", "g", "R(0)"],
        "C": ["kin", "kout", "EC50", "g", "R(0)"],
        "dose": [d for d in DIRECTIONS if d not in ("F_sc", "V")],
    }.items():
        for direction in unreached:
            assert np.all(found[:, columns.index(name), DIRECTIONS.index(direction)] == 0.0), (
                name,
                direction,
            )
    assert np.all(found[TIMES < 8.0, :, DIRECTIONS.index("dose[6]")] == 0.0)  # not before it is given


# ---- formulas


def bateman(t, dose, ka, CL, V, F, lag):
    """One compartment with first-order absorption (Bateman 1910); analytic in every argument but t, so a
    complex step will do."""
    k, after = CL / V, t - lag
    return F * dose * ka / (V * (ka - k)) * (np.exp(-k * after) - np.exp(-ka * after)) * (after.real > 0)


NAMES = ("ka", "CL", "V", "F_oral", "tlag")
ORAL = dict(zip(NAMES, (1.1, 4.2, 31.0, 0.8, 0.45), strict=True))
BY = (*NAMES, "dose[0]", "dose[1]")
ORAL_TIMES = np.array([0.3, 0.5, 1.0, 3.0, 8.0, 12.4, 12.5, 15.0, 30.0])


def formula(by=None, change=0.0):
    """(n_times,) concentrations after two doses, with one number changed."""
    values = [ORAL[name] + (change if name == by else 0.0) for name in NAMES]
    amounts = [100.0 + (change if by == "dose[0]" else 0.0), 60.0 + (change if by == "dose[1]" else 0.0)]
    return sum(bateman(ORAL_TIMES + 0j - at, a, *values) for at, a in zip((0.0, 12.0), amounts, strict=True))


def oral_errors(rtol, method, slack=1.0):
    """(n_times, directions) errors of sensitivities and their tolerances, for relative changes."""
    k = kernel("one_compartment_oral")
    given = table(k, (0.0, 100.0, "oral"), (12.0, 60.0, "oral"))
    found = run(
        "one_compartment_oral", ORAL_TIMES, given, ORAL, rtol=rtol, method=method, directions=BY, slack=slack
    ).sensitivities[0, :, 0]
    sizes = [*ORAL.values(), 100.0, 60.0]
    exact = np.stack([formula(by, 1e-30j).imag / 1e-30 for by in BY], axis=-1) * sizes
    largest = np.maximum(np.abs(exact).max(axis=0), formula().real.max())
    return np.abs(found * sizes - exact), rtol * (np.abs(exact) + 1e-4 * largest)


@pytest.mark.parametrize("method", METHODS)
def test_with_the_usual_slack_sensitivities_keep_within_it(method):
    error, tolerance = oral_errors(1e-8, method, slack=30.0)
    assert (error / tolerance).max() < 30.0


@pytest.mark.parametrize("method", METHODS)
def test_one_compartment_against_the_complex_step_of_its_formula(method):
    """With no slack they are as accurate as states."""
    error, tolerance = oral_errors(1e-8, method)
    assert dict(zip(BY, (error / tolerance).max(axis=0), strict=True)) == {
        by: pytest.approx(0, abs=A_FEW_STEPS) for by in BY
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_error_falls_with_the_tolerance(method):
    """A digit asked is most of a digit got, of sensitivities too."""
    rtols = 10.0 ** -np.arange(5, 11)
    worst = np.array([oral_errors(rtol, method)[0].max(axis=0) for rtol in rtols])
    slopes = np.polyfit(np.log(rtols), np.log(worst), 1)[0]
    assert np.all(slopes > 0.65)


@pytest.mark.parametrize("method", SINGLE)
def test_they_are_derivatives_of_the_numerical_solution_itself(method):
    """With steps so wide that the solution is wrong in its fourth digit (fifth: vern7), its differences are
    still met to seven."""
    problem = PROBLEMS["lotka_volterra"]
    options = {"rtol": 0.9, "atol": 1e9, "h_max": 0.1, "method": method}
    k, times = kernel(problem.text), np.array([0.73, 2.0, 3.11, 5.0])
    solution = run(problem.text, times, directions=list(k.PARAMETERS), **options)
    exact = run(problem.text, times, rtol=1e-10).states
    assert np.abs(solution.states / exact - 1).max() > (5e-5 if method == "vern7" else 5e-4)
    for d, name in enumerate(k.PARAMETERS):
        low, high = (
            run(problem.text, times, parameters={name: k.VALUES[d] * (1 + h)}, **options)
            for h in (-1e-5, 1e-5)
        )
        assert low.counts.tolist() == high.counts.tolist() == solution.counts.tolist()
        expected = (high.states - low.states) / (2e-5 * k.VALUES[d])
        np.testing.assert_allclose(
            solution.state_sensitivities[..., d], expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max()
        )


@pytest.mark.parametrize("method", SINGLE)
def test_a_linear_system_by_its_initial_values_is_the_matrix_exponential(method):
    """Columns of exp(A t): solutions from unit vectors."""
    problem = PROBLEMS["linear"]
    states = ("x", "y", "z")
    solution = run(
        problem.text, problem.times, rtol=1e-9, method=method, directions=[f"{s}(0)" for s in states]
    )
    for d, name in enumerate(states):
        text = problem.text.replace("x = 8", "x = 0").replace("y = 1 [", "y = 0 [")
        text = text.replace(f"state      {name} [1]", f"state      {name} = 0 [1]").replace(
            f"{name} = 0", f"{name} = 1"
        )
        column = run(text, problem.times, rtol=1e-12).states[0]
        np.testing.assert_allclose(solution.state_sensitivities[0, ..., d], column, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("method", [*layout.STIFF_METHODS, "auto"])
@pytest.mark.parametrize("name", ["robertson", "hires"])
def test_stiff_systems(name, method):
    """Where the right-hand side cancels, so do differences: they are of order 1e-12/1e-3 of the largest."""
    problem = PROBLEMS[name]
    k = kernel(problem.text)
    names = list(k.PARAMETERS)
    solution = run(problem.text, problem.times, rtol=1e-7, method=method, directions=names)
    for d, parameter in enumerate(names):
        value = k.VALUES[d]
        ends = [
            run(
                problem.text,
                problem.times,
                parameters={parameter: value * (1 + c * 1e-3)},
                rtol=1e-11,
                method="rodas5p",
            ).states[0]
            for c in (-2, -1, 1, 2)
        ]
        expected = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / 12e-3
        error = np.abs(solution.state_sensitivities[0, ..., d] * value - expected)
        largest = np.abs(expected).max(axis=0) + np.abs(problem.states).max(axis=0)
        assert np.all(
            error <= problem.growth * 1e-7 * (np.abs(expected) + np.abs(problem.states)) + 1e-8 * largest
        ), parameter


SCHEDULES = {
    "il2_treg": ("1 MIU sc daily x5", [1.0, 3.0, 5.5, 9.0, 20.0]),
    "tmdd_qss": ("300 ug sc every 7 d x2", [0.5, 2.0, 8.0, 15.0, 40.0]),
    "transit_absorption": ("100 mg oral every 12 h x2", [0.5, 2.0, 10.0, 15.0, 40.0]),
    "michaelis_menten": ("300 mg oral daily x3", [0.3, 1.2, 2.5, 4.0]),
    "indirect_response_4": ("20 mg iv once", [1.0, 5.0, 15.0, 40.0]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_library_models_by_every_parameter(name):
    """As a fit needs them."""
    schedule, times = SCHEDULES[name]
    k = kernel(name)
    moving = [parameter for parameter, value in zip(k.PARAMETERS, k.VALUES, strict=True) if value != 0.0]
    solution = run(name, times, schedule, rtol=1e-7, directions=moving)
    for d, parameter in enumerate(moving):
        j = k.PARAMETERS.index(parameter)
        step = 1e-3 * np.array([-2, -1, 1, 2])
        p = np.tile(k.VALUES, (4, 1))
        p[:, j] *= 1 + step
        ends = (
            solve(k, p, events(k, schedule), times, options=Options(rtol=1e-12, method="rodas5p"))
            .check()
            .outputs
        )
        expected = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / 12e-3
        error = np.abs(solution.sensitivities[0, ..., d] * k.VALUES[j] - expected)
        largest = np.maximum(np.abs(expected), np.abs(ends[0])).max(axis=0)
        allowed = A_FEW_STEPS * 1e-7 * (np.abs(expected) + np.abs(ends[0])) + 1e-8 * largest
        assert np.all(error <= allowed), (parameter, (error / allowed).max())


# ---- the interface


@pytest.mark.parametrize("method", SINGLE)
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 27])
def test_directions_do_not_touch_each_other(method, count):
    """However many directions go together, each is what it is alone: here at the same fixed steps, so to
    rounding."""
    k = kernel(MODEL)
    options = {"rtol": 0.5, "atol": 1e9, "h_max": 0.05, "method": method}
    every = DIRECTIONS[::-1][:count]
    together = all_of(run(MODEL, TIMES, doses(k), directions=every, **options))[1]
    for d in {0, count // 2, count - 1}:
        alone = all_of(run(MODEL, TIMES, doses(k), directions=[every[d]], **options))[1]
        np.testing.assert_allclose(
            together[..., d], alone[..., 0], rtol=1e-11, atol=1e-13 * np.abs(alone).max()
        )


def test_a_direction_is_a_name_or_an_index_in_any_order():
    k = kernel(MODEL)
    by_name = all_of(run(MODEL, TIMES, doses(k), directions=["Km", "ka", "R(0)"]))[1]
    by_index = all_of(run(MODEL, TIMES, doses(k), directions=["R(0)", 0, np.int64(2)]))[1]
    np.testing.assert_array_equal(by_name, by_index[..., ::-1])


def test_a_parameter_named_twice_is_refused():
    with pytest.raises(InputError, match="Km is named twice among the directions"):
        run(MODEL, TIMES, directions=["Km", "ka", 2])


@pytest.mark.parametrize("method", METHODS)
def test_slack_leaves_steps_to_the_states_and_none_makes_sensitivities_as_accurate(reference, method):
    """With endless slack the solution is bit for bit the one without sensitivities; in between there are a
    few more steps."""
    k = kernel(MODEL)
    plain = run(MODEL, TIMES, doses(k), method=method)
    given, usual, tight = (
        run(MODEL, TIMES, doses(k), method=method, directions=DIRECTIONS, slack=slack)
        for slack in (1e9, 30.0, 1.0)
    )
    np.testing.assert_array_equal(given.states, plain.states)
    np.testing.assert_array_equal(given.counts, plain.counts)
    steps = [solution.counts[0, 3] for solution in (plain, usual, tight)]
    assert steps[0] <= steps[1] < 1.3 * steps[0] and steps[1] < steps[2]
    assert np.all(errors(k, usual, reference, 1e-6) < 10 * A_FEW_STEPS)
    assert np.all(errors(k, tight, reference, 1e-6) < A_FEW_STEPS)


RESTING = """
model      a state at rest that would leave it
time       h
parameter  fast = 50 [1/h]
parameter  supply = 50 [1/h]
parameter  start = 1 [1]
state      x = start [1]
d x = supply - fast*x
output     x [1]
"""


@pytest.mark.parametrize("method", METHODS)
def test_sensitivities_stay_stable_where_the_states_rest(method):
    """The states ask for no steps at all there: without any control an explicit method would outgrow its
    stability."""
    times = np.linspace(0.0, 10.0, 11)
    solution = run(RESTING, times, method=method, directions=["start", "supply"])
    np.testing.assert_allclose(solution.states[0, :, 0], 1.0, rtol=1e-9)
    exact = np.stack([np.exp(-50 * times), (1 - np.exp(-50 * times)) / 50], axis=-1)
    np.testing.assert_allclose(solution.state_sensitivities[0, :, 0], exact, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_asking_for_sensitivities_leaves_the_solution_within_its_tolerance(method):
    k = kernel(MODEL)
    tight = all_of(run(MODEL, TIMES, doses(k), rtol=1e-11, directions=["ka"]))[0]
    for directions in (["ka"], DIRECTIONS):
        values = all_of(run(MODEL, TIMES, doses(k), rtol=1e-6, method=method, directions=directions))[0]
        np.testing.assert_allclose(values, tight, rtol=4e-6, atol=4e-10 * np.abs(tight).max())


def test_without_directions_there_are_none():
    solution = run(MODEL, TIMES)
    assert solution.sensitivities is None and solution.state_sensitivities is None


def test_every_subject_has_its_own():
    k = kernel(MODEL)
    p = np.array(k.VALUES) * np.exp(np.random.default_rng(2).normal(0, 0.2, (4, k.n_params)))
    many = solve(k, p, doses(k), TIMES, directions=DIRECTIONS).check()
    for subject in range(4):
        alone = solve(k, p[subject], doses(k), TIMES, directions=DIRECTIONS)
        np.testing.assert_array_equal(many.sensitivities[subject], alone.sensitivities[0])
    assert not np.array_equal(many.sensitivities[0], many.sensitivities[1])


@pytest.mark.filterwarnings("ignore:.* is below zero, where the model has")
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.filterwarnings("ignore:.* is below zero")
def test_a_parameter_may_be_nought_or_negative(sign):
    """``x' = a - b x`` with a = 0: relative changes of nothing are taken absolutely; a negative parameter
    keeps its sign."""
    text = """
model      production and loss
time       h
parameter  a = 0 [1/h]
parameter  b = 0.5 [1/h]
    bounds  -10 .. 10
state      x = 3 [1]
d x = a - b*x
output     x [1]
"""
    b, t = 0.5 * sign, np.array([0.5, 2.0, 4.0])
    found = run(text, t, parameters={"b": b}, directions=["a", "b"], rtol=1e-9).sensitivities[0, :, 0]
    np.testing.assert_allclose(found[:, 0], -np.expm1(-b * t) / b, rtol=1e-7)
    np.testing.assert_allclose(found[:, 1], -3 * t * np.exp(-b * t), rtol=1e-7)


def test_the_amount_of_a_dose_of_nothing_has_a_sensitivity():
    """What the first milligram would do."""
    k = kernel(MODEL)
    zero = table(k, (0.5, 0.0, "iv"))
    found = run(MODEL, TIMES, zero, rtol=1e-9, directions=["dose[0]"]).state_sensitivities[0, :, 1, 0]
    low, high = (
        run(MODEL, TIMES, table(k, (0.5, a, "iv")), rtol=1e-12).states[0, :, 1] for a in (1e-3, 2e-3)
    )
    none = run(MODEL, TIMES, zero, rtol=1e-12).states[0, :, 1]
    np.testing.assert_allclose(found, (4 * low - high - 3 * none) / 2e-3, rtol=1e-5, atol=1e-7)
    assert found[0] == 0.0 and found[1] > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_at_a_dose_that_moves_the_right_limit_is_meant(method):
    """At the very instant of a lagged dose: of the solution after it. x = F D exp(-k (t - lag)): the
    derivative by lag is k x."""
    text = """
model      decay
time       h
parameter  k = 0.25 [1/h]
parameter  tlag = 1.5 [h]
state      x = 2 [mg]
route      late -> x  lag = tlag
d x = -k*x
output     x [mg]
"""
    k = kernel(text)
    solution = run(
        text,
        [1.5 - 1e-6, 1.5, 1.5 + 1e-6],
        table(k, (0.0, 8.0, "late")),
        directions=["tlag", "k"],
        method=method,
    )
    np.testing.assert_allclose(solution.sensitivities[0, :, 0, 0], [0.0, 2.0, 2.0], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(solution.sensitivities[0, :, 0, 1], -1.5 * 2.0 * np.exp(-0.375), rtol=1e-5)
