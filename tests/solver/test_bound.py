"""A bound solver gives what ``solve`` gives, bit for bit, whatever was asked of it before, by whom and on how
many threads; it refuses what ``solve`` refuses; and its calls lay out nothing."""

import copy
import functools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solving import SINGLE, WITHOUT_POWERS, events, kernel

import pkpd
from pkpd.core.errors import InputError, SolverError
from pkpd.dosing import EventTable
from pkpd.dosing.events import REPLACE, RESET, STEADY
from pkpd.ode import from_numba
from pkpd.simulation.profile import population
from pkpd.solver import Options, Processes, Solver, Timeline, request, solve, task

ONE = Options(threads=1)
TIMES = [0.0, 3.0, 30.0, 1.0, 48.0]  # in no order
SMALL = "one_compartment_oral"
NOTHING = EventTable.empty()


def parts(thing, name=""):
    """(name, value) of all that a solution holds."""
    if not hasattr(thing, "__dataclass_fields__"):
        yield name, thing
        return
    for field in thing.__dataclass_fields__:
        yield from parts(getattr(thing, field), f"{name}.{field}")


def assert_same(found, expected):
    mine, theirs = dict(parts(found)), dict(parts(expected))
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(mine[name], value, name)
            assert mine[name].dtype == value.dtype
        else:
            assert repr(mine[name]) == repr(value), name


def of_kind(kind, k=None):
    """Two doses, the second of which is of a kind."""
    return EventTable(
        [0.0, 12.0],
        [100.0, 50.0],
        [0, 0],
        [np.nan, np.nan],
        [-1, -1],
        kind=[0, kind],
        interval=[0.0, 12.0 if kind == STEADY else 0.0],
    )


def oral():
    return events(kernel(SMALL), "100 mg oral every 12 h x3")


ASKED = {
    "nothing happens": {"events": NOTHING},
    "doses": {},
    "an infusion": {"events": "100 mg iv over 2 h every 12 h x3", "model": "two_compartment_iv"},
    "states": {"keep_states": True},
    "sensitivities": {"directions": ["CL", 0]},
    "of states, initial values and doses": {
        "directions": ["V", "depot(0)", "dose[1]"],
        "keep_states": True,
    },
    "roots": {"roots": [("C", 1.0), ("C", 2.0, -1)]},
    "roots and their sensitivities": {"roots": [("C", 1.0)], "directions": ["CL"]},
    "readings": {"readings": [("max", "C"), ("area", "C", 0, 24), ("time_above", "C", 0, 24, 1.0)]},
    "readings and their sensitivities": {
        "readings": [("max", "C"), ("area", "C", 0, 24)],
        "directions": ["V"],
    },
    "a start": {"start": -2.0},
    "given states": {"initial": [[10.0, 20.0]], "start": -1.0},
    "factors": {"factors": [[0.5, 0.0, 2.0]], "directions": ["ka"]},
    "places": {"times": [12.0, 12.0], "places": [[1, 0], [9, 0]]},
    "a replaced state": {"events": of_kind(REPLACE)},
    "a reset": {"events": of_kind(RESET), "directions": ["CL"]},
    "a steady state": {"events": of_kind(STEADY), "directions": ["CL"]},
    "changes": {"changes": [(5.0, "CL", 9.0)]},
    "non-negative states": {"options": Options(non_negative=True)},
    "a scale of errors": {"options": Options(atol=[1e-3, 1e-4], rtol=1e-3)},
    "the matrix exponential": {"options": Options(method="linear")},
    "a stiff model": {"model": WITHOUT_POWERS, "events": "1 MIU sc daily x3"},
}


def asked(name):
    """(kernel, what is given, by name) of an entry of ASKED."""
    given = dict(ASKED[name])
    k = kernel(given.pop("model", SMALL))
    doses = given.pop("events", None)
    doses = oral() if doses is None else events(k, doses) if isinstance(doses, str) else doses
    return k, {"events": doses, "times": TIMES} | given


@pytest.mark.parametrize("name", ASKED)
def test_one_subject_is_that_of_a_solve_again_and_again(name):
    k, given = asked(name)
    solver = Solver(k, **given)
    rng = np.random.default_rng(3)
    for _ in range(4):
        p = k.VALUES * rng.lognormal(0.0, 0.2, k.n_params)
        assert_same(solver(p), solve(k, p, **given))


@pytest.mark.parametrize("lanes", [True, False])
@pytest.mark.parametrize("name", ["doses", "states", "sensitivities", "readings", "a reset", "a stiff model"])
def test_many_subjects_are_those_of_a_solve_whatever_their_number(name, lanes):
    k, given = asked(name)
    given["options"] = Options(threads=1, lanes=lanes)
    solver = Solver(k, **given)
    for n in (1, 9, 3, 70, 9):
        p = population(k, n, seed=n)
        assert_same(solver(p), solve(k, p, **given))


@pytest.mark.parametrize("method", SINGLE)
def test_every_method(method):
    k, given = asked("sensitivities")
    given["options"] = Options(method=method, threads=1)
    assert_same(Solver(k, **given)(k.VALUES), solve(k, k.VALUES, **given))


@pytest.mark.parametrize("options", [Options(threads=2), Options(threads=Processes(1))])
def test_subjects_on_threads_and_in_processes(options):
    k, given = asked("readings")
    p = population(k, 20, seed=1)
    assert_same(Solver(k, **given, options=options)(p), solve(k, p, **given, options=ONE))


def test_timelines():
    k, p = kernel(SMALL), population(kernel(SMALL), 3, seed=2)
    first = Timeline(oral(), TIMES)
    people = [first, Timeline(of_kind(STEADY), [1.0]), first]
    plain = [first, Timeline(NOTHING, [1.0, 0.5]), first]
    for timelines in (people, plain):
        solver = Solver(k, timelines, options=ONE)
        for values in (p, p[::-1]):
            assert_same(solver(values), solve(k, values, timelines, options=ONE))
    with pytest.raises(InputError, match="3 timelines for 2 subjects"):
        solver(p[:2])


@functools.cache
def bound(directions, n_times):
    """A solver that all examples share."""
    k = kernel(WITHOUT_POWERS)
    times = np.linspace(0.0, 240.0, n_times)
    given = {"options": Options(rtol=1e-4, threads=1), "directions": directions}
    doses = events(k, "1 MIU sc daily x5")
    return k, Solver(k, doses, times, **given), functools.partial(solve, events=doses, times=times, **given)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 12), st.integers(0, 1000), st.sampled_from([(), (0,)]), st.sampled_from([2, 9])
        ),
        min_size=1,
        max_size=4,
    )
)
def test_nothing_is_left_of_the_call_before(calls):
    """Whatever the numbers of subjects and their parameters, some of whom fail."""
    for n, seed, directions, n_times in calls:
        k, solver, expected = bound(directions, n_times)
        p = population(k, n, seed=seed)
        if seed % 3 == 0:
            p[-1] = np.nan
        found = solver(p)
        assert_same(found, expected(k, p))
        assert (found.status[-1] != 0) == (seed % 3 == 0)


def test_a_failure_is_told_as_by_a_solve_and_is_gone_in_the_next_call():
    k, given = asked("readings and their sensitivities")
    solver = Solver(k, **given)
    runaway = np.where(np.array(k.PARAMETERS) == "CL", -1e9, k.VALUES)
    for p in (k.VALUES, np.full(k.n_params, np.nan), runaway, k.VALUES):
        assert_same(solver(p), solve(k, p, **given))
    with pytest.raises(SolverError) as told:
        solve(k, np.full(k.n_params, np.nan), **given).check()
    with pytest.raises(SolverError) as found:
        solver(np.full(k.n_params, np.nan)).check()
    assert str(found.value) == str(told.value)


WRONG_VALUES = [
    [],
    [[]],
    [1.0],
    np.ones((2, 2, 3)),
    np.zeros((0, 3)),
    "CL",
    None,
    {"CL": 1.0},
    [None, 1.0, 2.0],
]


@pytest.mark.parametrize("values", WRONG_VALUES, ids=repr)
def test_values_that_are_none_are_refused_as_by_a_solve(values):
    k, given = asked("doses")
    solver = Solver(k, **given)
    with pytest.raises(InputError) as told:
        solve(k, values, **given)
    with pytest.raises(InputError) as found:
        solver(values)
    assert str(found.value).replace("Solver:", "solve:") == str(told.value)
    assert_same(solver(k.VALUES), solve(k, k.VALUES, **given))


WRONG = {
    "kernel": {"kernel": "one_compartment_oral"},
    "events": {"events": "100 mg"},
    "no times": {"times": None},
    "times": {"times": [np.nan]},
    "times of no number": {"times": "now"},
    "directions": {"directions": ["nobody"]},
    "directions of no list": {"directions": "CL"},
    "roots": {"roots": [("nothing", 1.0)]},
    "readings": {"readings": [("mean", "C")]},
    "initial": {"initial": [[1.0, 2.0]]},
    "states": {"initial": [[1.0]], "start": 0.0},
    "start": {"start": 5.0},
    "factors": {"factors": [[1.0]]},
    "atol": {"options": Options(atol=[1.0, 1.0, 1.0])},
    "linear": {"options": Options(method="linear"), "directions": ["CL"]},
    "options": {"options": 1e-6},
    "rtol": {"rtol": 1e-6},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_solve_refuses_is_refused_when_the_solver_is_made(name):
    k, usual = asked("doses")
    given = {"kernel": k, "values": k.VALUES} | usual | WRONG[name]
    with pytest.raises(InputError) as told:
        solve(**given)
    del given["values"]
    with pytest.raises(InputError) as found:
        Solver(**given)
    assert str(found.value).replace("Solver:", "solve:") == str(told.value)


def test_what_there_is_not_is_no_argument():
    k, given = asked("doses")
    with pytest.raises(TypeError, match=r"Solver\(\) got an unexpected keyword argument 'tolerance'"):
        Solver(k, **given, tolerance=1)


def test_a_number_of_subjects_that_something_was_given_for_is_kept_to():
    k = kernel(SMALL)
    two = {
        "factors": np.ones((2, 3)),
        "roots": [("C", [1.0, 2.0])],
        "readings": [("time_above", "C", 0.0, 24.0, np.array([1.0, 2.0]))],
    }
    for name, value in two.items():
        solver = Solver(k, oral(), TIMES, **{name: value})
        p = population(k, 2, seed=1)
        assert_same(solver(p), solve(k, p, oral(), TIMES, **{name: value}))
        with pytest.raises(InputError, match="for each subject"):
            solver(k.VALUES)


def test_what_was_given_may_change_afterwards():
    k = kernel(SMALL)
    times, level, initial = np.array([1.0, 2.0]), np.array([2.0]), np.array([[10.0, 20.0]])
    given = {"roots": [("C", level)], "initial": initial, "start": 0.0}
    expected = solve(k, k.VALUES, oral(), times.copy(), **copy.deepcopy(given))
    solver = Solver(k, oral(), times, **given)
    for array in (times, level, initial):
        array[:] = 77.0
    found = solver(k.VALUES)
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    np.testing.assert_array_equal(found.crossings.times, expected.crossings.times)


@pytest.mark.parametrize("name", ["sensitivities", "roots", "readings", "states"])
def test_every_solution_has_arrays_of_its_own(name):
    k, given = asked(name)
    solver = Solver(k, **given)
    found = solver(k.VALUES)
    kept = copy.deepcopy(found)
    p = k.VALUES * 1.7
    solver(p)
    assert_same(found, kept)
    for _, value in parts(found):
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value[...] = 0
    assert_same(solver(p), solve(k, p, **given))
    p[:] = 0.0
    assert_same(solver(k.VALUES), solve(k, k.VALUES, **given))


@pytest.mark.parametrize("name", ["doses", "sensitivities", "readings", "a reset", "a stiff model"])
def test_threads_share_a_solver(name):
    k, given = asked(name)
    solver = Solver(k, **given)
    people = population(k, 60, seed=8)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(solver, np.tile(people, (3, 1))))
    for p, *solutions in zip(people, found[:60], found[60:120], found[120:], strict=True):
        expected = solve(k, p, **given)
        for solution in solutions:
            assert_same(solution, expected)


@pytest.mark.parametrize("name", ["sensitivities", "a reset", "factors"])
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_solver_travels(name, again):
    k, given = asked(name)
    solver = Solver(k, **given)
    assert_same(again(solver)(k.VALUES), solver(k.VALUES))


@pytest.mark.parametrize("name", ["doses", "sensitivities"])
def test_what_is_large_is_laid_out_in_every_call_and_the_same(name, monkeypatch):
    k, given = asked(name)
    laid_out = []
    task_of = request.task_of
    monkeypatch.setattr(request, "task_of", lambda *a, **named: laid_out.append(1) or task_of(*a, **named))
    for most, count in ((request.MOST_KEPT, 1), (100, 4)):
        monkeypatch.setattr(request, "MOST_KEPT", most)
        laid_out.clear()
        solver = Solver(k, **given)
        found = [solver(k.VALUES * factor) for factor in (1.0, 1.3, 0.8)]
        assert len(laid_out) == count
        for solution, factor in zip(found, (1.0, 1.3, 0.8), strict=True):
            assert_same(solution, solve(k, k.VALUES * factor, **given))


def test_functions_of_a_user():
    @numba.njit
    def decay(t, y, p, dy):
        dy[0] = -p[0] * y[0] * (1.0 + np.sin(t))

    k = from_numba(decay, states=["A"], parameters={"k": 0.3}, initial=[5.0])
    solver = Solver(k, NOTHING, [0.0, 1.0, 7.0], keep_states=True)
    for value in (0.3, 1.0, 0.2):
        assert_same(solver(value), solve(k, value, NOTHING, [0.0, 1.0, 7.0], keep_states=True))


@pytest.mark.parametrize("name", ["doses", "sensitivities", "given states", "factors", "roots", "readings"])
def test_a_call_lays_out_nothing(name, monkeypatch):
    k, given = asked(name)
    solver = Solver(k, **given)

    def laid_out(*arguments, **named):
        raise AssertionError("a task was laid out")

    monkeypatch.setattr(task.SolveTask, "__post_init__", laid_out)
    monkeypatch.setattr(request, "table_of", laid_out)
    solver(k.VALUES)
    with pytest.raises(AssertionError):
        solve(k, k.VALUES, **given)


def test_it_is_public():
    assert pkpd.Solver is Solver
    k = kernel("one_compartment_iv")
    assert repr(Solver(k, NOTHING, [1.0])) == "<Solver of one_compartment_iv: events 0, times 1>"
    assert repr(Solver(k, [Timeline(times=[1.0])])) == "<Solver of one_compartment_iv: timelines 1>"
