"""A user's functions are solved as a model is: by every method, with doses, roots, readings and lanes;
compiled by numba, by address or plain Python, to the same digits. Without a Jacobian it is found by
differences, and what does not fit is refused with a sentence."""

import doctest
import functools
import math
import pickle
import warnings

import numba
import numpy as np
import pytest
from numba import types
from solving import METHODS, kernel, relative, solve_with

import pkpd
from pkpd.core.errors import InputError
from pkpd.ode import differences, from_numba, layout
from pkpd.ode.differences import colours, found_pattern
from pkpd.solver import Options, solve
from pkpd.solver.task import FEWEST_IN_LANES

NOTHING = pkpd.EventTable.empty()
POINTER = types.CPointer(types.double)


@numba.njit
def robertson(t, y, p, dy):
    slow, fast, back = p[0] * y[0], p[1] * y[1] * y[1], p[2] * y[1] * y[2]
    dy[0] = -slow + back
    dy[1] = slow - back - fast
    dy[2] = fast


@numba.njit
def robertson_jacobian(t, y, p, J):
    J[0, 0], J[0, 1], J[0, 2] = -p[0], p[2] * y[2], p[2] * y[1]
    J[1, 0], J[1, 1], J[1, 2] = p[0], -p[2] * y[2] - 2 * p[1] * y[1], -p[2] * y[1]
    J[2, 1] = 2 * p[1] * y[1]


@numba.cfunc(types.void(types.double, POINTER, POINTER, POINTER), error_model="numpy")
def robertson_in_c(t, y, dy, p):
    slow, fast, back = p[0] * y[0], p[1] * y[1] * y[1], p[2] * y[1] * y[2]
    dy[0] = -slow + back
    dy[1] = slow - back - fast
    dy[2] = fast


RATES = {"k1": 0.04, "k2": 3e7, "k3": 1e4}
AS_TEXT = """
model      Robertson's reactions
time       h
parameter  k1 = 0.04 [1/h]
parameter  k2 = 3e7 [1/h]
parameter  k3 = 1e4 [1/h]
state      a = 1 [1]
state      b [1]
state      c [1]
d a = -k1*a + k3*b*c
d b = k1*a - k3*b*c - k2*b^2
d c = k2*b^2
output     a [1]
output     b [1]
output     c [1]
"""
TIMES = [0.4, 4.0, 40.0]


@functools.cache
def robertsons(rhs=robertson, jacobian=None, **more):
    return from_numba(rhs, jacobian, states=["a", "b", "c"], parameters=RATES, initial=[1, 0, 0], **more)


@numba.njit
def drug(t, y, p, dy):
    dy[0] = -p[0] * y[0]
    dy[1] = p[0] * y[0] - p[1] * y[1]


@numba.njit
def concentration(t, y, p, out):
    out[0] = y[1] / p[2]
    out[1] = t


@functools.cache
def drugs(**more):
    return from_numba(
        drug,
        outputs=concentration,
        output_names=["C", "when"],
        states=["depot", "central"],
        parameters={"ka": 1.0, "k": 0.25, "V": 10.0},
        units={"depot": "mg", "C": "mg/L"},
        **more,
    )


def doses(*rows):
    time, amount, duration = zip(*rows, strict=True)
    n = len(rows)
    return pkpd.EventTable(time=time, amount=amount, route=[0] * n, duration=duration, size=[-1] * n)


def of_a_bolus(t, dose=100.0, ka=1.0, k=0.25, v=10.0):
    return dose / v * ka / (ka - k) * (np.exp(-k * t) - np.exp(-ka * t))


# --- as a model's text ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_solution_is_that_of_the_same_equations_as_text(method):
    found = solve(
        robertsons(), list(RATES.values()), NOTHING, TIMES, options=Options(method=method, rtol=1e-7)
    ).check()
    text = kernel(AS_TEXT)
    expected = solve(text, text.VALUES, NOTHING, TIMES, options=Options(method="rodas5p", rtol=1e-11)).check()
    assert relative(found.outputs[0], expected.outputs[0]) < 1e-6


def test_with_a_jacobian_the_steps_are_those_of_the_text():
    mine, text = robertsons(jacobian=robertson_jacobian), kernel(AS_TEXT)
    found = solve(mine, list(RATES.values()), NOTHING, TIMES, options=Options(method="rodas5p"))
    expected = solve(text, text.VALUES, NOTHING, TIMES, options=Options(method="rodas5p"))
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_allclose(found.outputs, expected.outputs, rtol=1e-9)


def test_differences_cost_hardly_more_steps_than_a_jacobian():
    """To 1e11, where the scarcest species is 1e-13 of the whole."""
    times = 10.0 ** np.arange(12)
    exact, found = (
        solve(one, list(RATES.values()), NOTHING, times, options=Options(method="rodas5p", rtol=1e-8)).check()
        for one in (robertsons(jacobian=robertson_jacobian), robertsons())
    )
    assert found.counts[0, 3] <= 1.1 * exact.counts[0, 3]
    assert relative(found.outputs[0], exact.outputs[0]) < 1e-7


def test_three_kinds_of_function_give_the_same_numbers():
    with pytest.warns(RuntimeWarning, match=r"plain Python .* @numba\.njit") as said:
        plain = robertsons(robertson.py_func)
    assert len(said) == 1
    by_numba, by_object, by_number = (
        solve(robertsons(rhs), list(RATES.values()), NOTHING, TIMES, options=Options(method="tsit5"))
        .check()
        .outputs
        for rhs in (robertson, robertson_in_c, robertson_in_c.address)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it said so once
        by_python = (
            solve(plain, list(RATES.values()), NOTHING, TIMES, options=Options(method="tsit5"))
            .check()
            .outputs
        )
    np.testing.assert_array_equal(by_number, by_object)
    np.testing.assert_array_equal(by_python, by_numba)
    assert relative(by_number[0], by_numba[0]) < 1e-5  # the time is a state there, as nobody knows better


# --- time -----------------------------------------------------------------------------------------


@numba.njit
def follower(t, y, p, dy):
    dy[0] = -p[0] * (y[0] - math.cos(t))


@functools.cache
def followers():
    return from_numba(follower, states=["y"], parameters=["rate"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rate", [1.0, 200.0])
def test_rates_may_depend_on_the_time(method, rate):
    times = np.array([0.5, 2.0, 9.0])
    found = solve(followers(), [rate], NOTHING, times, options=Options(method=method, rtol=1e-9)).check()
    expected = rate * (rate * np.cos(times) + np.sin(times) - rate * np.exp(-rate * times)) / (rate**2 + 1)
    np.testing.assert_allclose(found.outputs[0, :, 0], expected, rtol=1e-7, atol=1e-8)


def test_who_gives_states_need_not_know_that_the_time_is_one():
    system = followers()
    whole = solve(system, [3.0], NOTHING, [1.0, 4.0], options=Options(rtol=1e-10, atol=[1e-10])).check()
    half = whole.outputs[:, 0]
    rest = solve(system, [3.0], NOTHING, [4.0], initial=half, start=1.0, options=Options(rtol=1e-10)).check()
    assert rest.outputs[0, 0, 0] == pytest.approx(whole.outputs[0, 1, 0], rel=1e-8)
    before = solve(
        system, [3.0], NOTHING, [1.0], start=-1.0, initial=[[1.0]], options=Options(non_negative=True)
    )
    assert before.status[0] == 0  # the clock is below nought there, and no state


def test_a_function_that_does_not_look_at_the_time_has_no_clock():
    assert robertsons().STATES == ("a", "b", "c")
    assert drugs().STATES == ("depot", "central", "t")  # the outputs do


# --- doses, roots, readings, lanes ----------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_doses_enter_states_by_their_names(method):
    system = drugs()
    times = np.array([0.25, 1.0, 3.0, 10.0])
    events = pkpd.Schedule.parse("100 mg depot once").events(
        "h", system.ROUTES, system.DOSE_UNITS, system.SIZES
    )
    found = solve(system, system.VALUES, events, times, options=Options(method=method, rtol=1e-9)).check()
    np.testing.assert_allclose(found.outputs[0, :, 0], of_a_bolus(times), rtol=1e-7)
    np.testing.assert_allclose(found.outputs[0, :, 1], times, rtol=1e-12)


def test_an_infusion_is_as_long_as_it_says():
    found = solve(drugs(), [1.0, 0.0, 1.0], doses((1.0, 8.0, 4.0)), [1.0, 3.0, 5.0, 60.0], keep_states=True)
    total = found.check().states[0, :, :2].sum(axis=1)  # nothing is lost
    np.testing.assert_allclose(total, [0.0, 4.0, 8.0, 8.0], atol=1e-5)


def test_roots_and_readings():
    system, peak = drugs(), math.log(4.0) / 0.75
    found = solve(
        system,
        system.VALUES,
        doses((0.0, 100.0, 0.0)),
        [20.0],
        roots=[("C", 4.0)],
        readings=[("max", "C"), ("max", "depot"), ("area", "C", 0.0, 20.0)],
        options=Options(rtol=1e-9),
    ).check()
    up, down = found.crossings.times[0, 0, :2]
    np.testing.assert_allclose(of_a_bolus(np.array([up, down])), 4.0, rtol=1e-7)
    assert up < peak < down
    assert found.readings.times[0, 0] == pytest.approx(peak, rel=1e-4)
    assert found.readings.values[0, 0] == pytest.approx(of_a_bolus(peak), rel=1e-7)
    assert found.readings.values[0, 1] == 100.0
    whole = 100 / 10 * 1 / 0.75 * ((1 - math.exp(-5)) / 0.25 - (1 - math.exp(-20)))
    assert found.readings.values[0, 2] == pytest.approx(whole, rel=1e-7)


def test_states_can_be_kept_from_falling_below_nought():
    @numba.njit
    def decay(t, y, p, dy):
        dy[0] = -p[0] * math.sqrt(abs(y[0])) if y[0] > 0.0 else 0.0

    system = from_numba(decay, states=["y"], parameters=["k"], initial=[1.0])
    found = solve(
        system, [1.0], NOTHING, np.linspace(0, 4, 41), options=Options(non_negative=True, method="tsit5")
    ).check()
    assert found.outputs.min() >= 0.0


@pytest.mark.parametrize("method", ["auto", "tsit5", "rodas4", "rodas5p"])
@pytest.mark.parametrize("make", [robertsons, drugs], ids=["robertson", "drug"])
def test_lanes_give_the_same_digits(make, method):
    system = make()
    n = 2 * FEWEST_IN_LANES + 3
    p = np.abs(system.VALUES) * np.random.default_rng(1).lognormal(0.0, 0.3, (n, system.n_params))
    asked = {"method": method, "readings": [("max", system.OUTPUTS[0]), ("area", system.STATES[1])]}
    events = doses((0.0, 1.0, 0.0), (1.0, 2.0, 0.5))
    assert system.has_lanes
    side_by_side, singles = (
        solve_with(system, p, events, TIMES, lanes=lanes, **asked).check() for lanes in (True, False)
    )
    np.testing.assert_array_equal(side_by_side.outputs, singles.outputs)
    np.testing.assert_array_equal(side_by_side.readings.values, singles.readings.values)


def test_a_function_that_numba_takes_for_whole_arrays_alone_has_no_lanes():
    """A product with a matrix wants states without gaps between them."""
    matrix = np.array([[-1.0, 0.5], [0.25, -2.0]])

    @numba.njit
    def linear(t, y, p, dy):
        dy[:] = matrix @ y

    system = from_numba(linear, states=2, initial=[1, 1])
    many, one = (solve(system, np.zeros((n, 0)), NOTHING, [1.0]).check() for n in (2 * FEWEST_IN_LANES, 1))
    assert not system.has_lanes
    np.testing.assert_array_equal(many.outputs, np.repeat(one.outputs, 2 * FEWEST_IN_LANES, axis=0))


@pytest.mark.filterwarnings("ignore:rhs is a plain Python function")
def test_an_error_in_a_python_function_fails_the_subject_and_is_shown_once(monkeypatch):
    shown = []
    monkeypatch.setattr("sys.unraisablehook", lambda what: shown.append(what.exc_type))

    def falls_out(t, y, p, dy):
        dy[0] = -1.0 if t < 0.5 else math.sqrt(-1.0) if p[0] else [][0]

    system = from_numba(falls_out, states=1, parameters={"arithmetic": 1.0}, initial=[1.0])
    for arithmetic, expected in ((1.0, []), (0.0, [IndexError])):
        found = solve(system, [arithmetic], NOTHING, [0.25, 1.0], options=Options(threads=1))
        assert found.status[0] != 0
        assert shown == expected


def test_what_has_no_lanes_is_solved_one_by_one():
    system = robertsons(robertson_in_c)
    assert not system.has_lanes
    p = np.tile(list(RATES.values()), (2 * FEWEST_IN_LANES, 1))
    found = solve(system, p, NOTHING, TIMES).check().outputs
    np.testing.assert_array_equal(found, np.repeat(found[:1], len(p), axis=0))


# --- the Jacobian ---------------------------------------------------------------------------------


def _jacobian(system, y, p):
    entries = np.zeros(len(system.J_ROWS))
    system.call("jacobian", np.array(y, dtype=float), np.array(p, dtype=float), entries)
    dense = np.zeros((system.n_states, system.n_states))
    dense[system.J_ROWS, system.J_COLS] = entries
    return dense


@pytest.mark.parametrize("y", [(1.0, 3e-5, 0.1), (2e-8, 8e-14, 1.0), (1.0, 0.0, 0.0)])
def test_differences_are_the_jacobian(y):
    """To within rounding, and curvature over what a state is moved by: of b alone, by k2."""
    exact = np.zeros((3, 3))
    p = np.array(list(RATES.values()))
    robertson_jacobian.py_func(0.0, y, p, exact)
    found = _jacobian(robertsons(), y, p)
    moved = differences.ROOT * max(y[1], differences.SMALLEST * max(y))
    curvature = 1.01 * p[1] * moved * np.array([[0, 0, 0], [0, 1, 0], [0, 1, 0]])
    rounding = 4 * np.finfo(float).eps * np.max(np.abs(exact) @ np.abs(y)) / moved
    assert np.all(np.abs(found - exact) <= curvature + rounding + 1e-7 * np.abs(exact))


def test_the_derivative_by_the_time_is_a_column():
    found = _jacobian(followers(), [0.3, 2.0], [5.0])
    np.testing.assert_allclose(found, [[-5.0, -5.0 * math.sin(2.0)], [0.0, 0.0]], rtol=1e-6)


@numba.njit
def chain(t, y, p, dy):
    for i in range(y.size):
        dy[i] = (y[i - 1] if i else 0.0) - 2.0 * y[i] + (y[i + 1] if i < y.size - 1 else 0.0)


def test_the_pattern_is_found_and_its_columns_moved_three_at_a_time():
    system = from_numba(chain, states=30, initial=np.ones(30))
    distance = np.abs(np.subtract.outer(np.arange(30), np.arange(30)))
    rows, columns = np.nonzero(distance <= 1)
    np.testing.assert_array_equal(system.J_ROWS, rows)
    np.testing.assert_array_equal(system.J_COLS, columns)
    assert colours(distance <= 1).max() == 2
    np.testing.assert_allclose(
        _jacobian(system, np.ones(30), []), np.where(distance == 0, -2.0, distance == 1), rtol=1e-7, atol=1e-7
    )


@pytest.mark.parametrize("seed", range(5))
def test_columns_of_one_colour_meet_in_no_row(seed):
    pattern = np.random.default_rng(seed).random((12, 12)) < 0.2
    found = colours(pattern)
    for colour in range(found.max() + 1):
        assert pattern[:, found == colour].sum(axis=1).max() <= 1


def test_a_dependence_that_is_only_there_far_away_has_to_be_said():
    @numba.njit
    def switched(t, y, p, dy):
        dy[0] = -y[0] + (y[1] if y[1] > 1e6 else 0.0)
        dy[1] = -y[1]

    assert (0, 1) not in _pairs(from_numba(switched, states=2, initial=[1, 1]))
    assert (0, 1) in _pairs(from_numba(switched, states=2, initial=[1, 1], sparsity=np.ones((2, 2))))


def _pairs(system):
    return set(zip(system.J_ROWS.tolist(), system.J_COLS.tolist(), strict=True))


def test_a_product_hides_no_dependence_where_one_factor_is_nought_at_the_start():
    def rates(t, y, p):
        return np.array([y[0] * y[1], p[0] * y[1]])

    found = found_pattern(rates, np.zeros(2), np.full(1, np.nan))
    np.testing.assert_array_equal(found, [[True, True], [False, True]])


def test_no_state_is_made_a_number_that_cannot_be_an_index():
    seen = []

    def rates(t, y, p):
        seen.append(y.copy())
        return y

    found_pattern(rates, np.array([0.0, 2.0]), np.ones(1))
    assert np.isfinite(seen).all() and np.min(seen) >= 0.0


@numba.njit
def crowd(t, y, p, dy):
    total = y.sum()
    for i in range(y.size):
        dy[i] = p[0] * (total / y.size - (i + 1) * y[i])


@pytest.mark.parametrize("lanes", [False, True])
def test_a_large_full_matrix_is_factored_in_loops(lanes):
    """Of 40 states that all depend on each other; exact by the matrix exponential."""
    n = 40
    system = from_numba(crowd, states=n, parameters=1, initial=np.ones(n))
    assert n * n == system.N_LU
    matrix = np.full((n, n), 3.0 / n) - 3.0 * np.diag(np.arange(1.0, n + 1))
    values, vectors = np.linalg.eigh(matrix)
    expected = vectors @ (np.exp(0.5 * values) * (vectors.T @ np.ones(n)))
    p = np.full((FEWEST_IN_LANES, 1), 3.0)
    found = solve(
        system, p, NOTHING, [0.5], options=Options(method="rodas5p", rtol=1e-8, lanes=lanes)
    ).check()
    for one in found.outputs[:, 0]:
        np.testing.assert_allclose(one, expected, rtol=1e-6, atol=1e-8)


def test_without_a_jacobian_only_explicit_methods_are_used():
    system = robertsons(jacobian=False)
    found = solve(system, list(RATES.values()), NOTHING, TIMES)
    assert set(found.check().method_used) == {layout.EXPLICIT_ONLY}
    with pytest.raises(InputError, match=r"jacobian=False, which rodas5p needs"):
        solve(system, list(RATES.values()), NOTHING, TIMES, options=Options(method="rodas5p"))
    many = solve(system, np.tile(list(RATES.values()), (2 * FEWEST_IN_LANES, 1)), NOTHING, TIMES)
    np.testing.assert_array_equal(many.outputs[0], found.outputs[0])


# --- sentences ------------------------------------------------------------------------------------


def test_sensitivities_are_refused_with_a_sentence():
    with pytest.raises(InputError, match="made of functions, of which there are no derivatives"):
        solve(robertsons(), list(RATES.values()), NOTHING, TIMES, directions=["k1"])


def test_functions_stay_in_their_process():
    with pytest.raises(TypeError, match="live in this process"):
        pickle.dumps(robertsons())


def test_a_steady_state_of_doses_is_refused_with_a_sentence():
    table = pkpd.EventTable([0.0], [1.0], [0], [0.0], [-1], kind=[3], interval=[12.0])

    @numba.njit
    def loss(t, y, p, dy):
        dy[0] = -y[0]

    with pytest.raises(InputError, match="give the doses one by one"):
        solve(from_numba(loss, states=1), [[]], table, [1.0])


def _forgets(t, y, p, dy):
    dy[0] = y[1]


def _beyond(t, y, p, dy):
    dy[0] = dy[1] = dy[2] = y[0]


def _of_text(t, y, p, dy):
    dy[:] = float(str(y[0]) + {})


def _other_order(t, y, dy, p):
    dy[0] = dy[1] = p[0]


@pytest.mark.parametrize(
    ("rhs", "error", "sentence"),
    [
        (numba.njit(_forgets), ValueError, "does not write all of dy"),
        (numba.njit(_beyond), ValueError, "beyond its arrays"),
        (numba.njit(_other_order), ValueError, r"called as rhs\(t, y, p, dy\)"),
        (numba.njit(_of_text), TypeError, "numba cannot compile one of the functions: "),
        (numba.njit(lambda y, t: -y), TypeError, r"takes 2 arguments; it is called as rhs\(t, y, p, dy\)"),
        ("rhs", TypeError, "compiled by numba's njit, a cfunc or its address, or a Python function; not str"),
    ],
)
def test_a_function_that_does_not_fit_is_refused(rhs, error, sentence):
    with pytest.raises(error, match=sentence):
        from_numba(rhs, states=2, parameters=2)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"states": ["a", "a", "c"]}, "names something twice"),
        ({"states": ["a", "b", "t"]}, "is the time"),
        ({"states": ["a", "b", "c d"]}, "names made of letters"),
        ({"states": 0}, "from 1 on"),
        ({"initial": [1.0]}, r"must be 3 finite numbers, one for each of a, b, c"),
        ({"sparsity": np.ones((2, 2))}, r"sparsity must have shape \(3, 3\)"),
        ({"outputs": concentration}, "say in output_names"),
    ],
)
def test_names_and_shapes_that_do_not_fit_are_refused(wrong, sentence):
    given = {"states": ["a", "b", "c"], "parameters": RATES} | wrong
    with pytest.raises(ValueError, match=sentence):
        from_numba(robertson, **given)


def test_initial_values_may_be_a_function_of_parameters():
    @numba.njit
    def start(p, y):
        y[0], y[1] = p[2], 0.0

    system = drugs(initial=start)
    found = solve(system, [1.0, 0.25, 10.0], NOTHING, [0.0], keep_states=True).check()
    np.testing.assert_array_equal(found.states[0, 0, :2], [10.0, 0.0])


def test_initial_values_that_do_not_fit_are_refused():
    @numba.njit
    def start(p, y):
        y[2] = 1.0

    with pytest.raises(ValueError, match="initial reads or writes beyond its arrays"):
        drugs(initial=start)


def test_a_profile_has_the_names_and_units_of_the_functions():
    profile = pkpd.simulate(drugs(), "100 mg depot once", times=[1.0, 3.0])
    assert profile.names == ("C", "when")
    assert profile.units == ("mg/L", "1")
    np.testing.assert_allclose(profile["C"][0], of_a_bolus(np.array([1.0, 3.0])), rtol=1e-5)


def test_division_by_nought_is_a_failed_subject_and_no_exception():
    @numba.njit  # with Python's own rules, a ZeroDivisionError
    def pole(t, y, p, dy):
        dy[0] = 1.0 / (p[0] - y[0])

    system = from_numba(pole, states=1, parameters=1)
    with pytest.raises(pkpd.SolverError, match="not a finite number"):
        solve(system, [0.0], NOTHING, [1.0]).check()


def test_the_example_of_the_docstring_gives_what_it_says():
    (example,) = doctest.DocTestFinder(recurse=False).find(pkpd.from_numba)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
