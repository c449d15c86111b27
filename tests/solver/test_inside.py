"""A solver called from compiled code gives what ``solve`` gives, in one call or leg by leg, from any thread,
for less than a microsecond beside the integration."""

import ctypes
import doctest
import math
import threading
import time

import numba
import numpy as np
import pytest

import pkpd
from pkpd.core.errors import InputError
from pkpd.ode.status import WRONG_ARRAYS

TIMES = 24.0 * np.arange(40)
SCHEDULE = "2 MIU sc daily x5 every 28 d x2"


def _events(kernel, schedule):
    return pkpd.Schedule.parse(schedule).events(
        kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES
    )


@pytest.fixture(scope="module")
def course():
    """A model of 13 states with doses: its kernel, doses, solver, and what ``solve`` says."""
    kernel = pkpd.load("il2_treg")
    events = _events(kernel, SCHEDULE)
    whole = pkpd.solve(kernel, kernel.VALUES, events, TIMES, keep_states=True).check()
    return kernel, events, pkpd.compiled_solver(kernel, events), whole


@numba.njit
def _decay(t, y, p, dy):
    dy[0] = p[1] - p[0] * y[0]


@pytest.fixture(scope="module")
def decay():
    kernel = pkpd.from_numba(_decay, states=["amount"], parameters=["k", "inflow"])
    return pkpd.compiled_solver(kernel, rtol=1e-10)


def _arrays(solver, n_times):
    return np.zeros(len(solver.STATES)), np.zeros((n_times, solver.kernel.n_outputs)), solver.workspace()


def test_a_course_in_one_call_is_that_of_solve_to_the_last_digit(course):
    kernel, _, solver, whole = course
    y, out, room = _arrays(solver, TIMES.size)
    assert solver.start(kernel.VALUES, y, TIMES, out, room) == 0
    np.testing.assert_array_equal(out, whole.outputs[0])
    np.testing.assert_array_equal(y, whole.states[0, -1])


def test_nothing_is_kept_in_a_workspace(course):
    kernel, _, solver, whole = course
    y, out, room = _arrays(solver, TIMES.size)
    for left in (np.nan, 1e300, -1.0):
        room[:] = left
        y[:] = left
        assert solver.start(kernel.VALUES, y, TIMES, out, room) == 0
        np.testing.assert_array_equal(out, whole.outputs[0])


def test_legs_give_every_dose_once(course):
    """Cut every day, at the times of the doses."""
    kernel, _, solver, whole = course
    advance = solver.function
    y, out, room = _arrays(solver, 2)
    assert solver.start(kernel.VALUES, y, TIMES[:1], out[:1], room) == 0
    scale = np.maximum(np.abs(whole.states[0]).max(axis=0), 1e-300)
    for i in range(TIMES.size - 1):
        assert advance(kernel.VALUES, y, TIMES[i : i + 2], out, room) == 0
        if i + 1 < TIMES.size - 1 and TIMES[i + 1] not in 24.0 * np.add.outer([0, 28], np.arange(5)):
            assert np.max(np.abs(y - whole.states[0, i + 1]) / scale) < 1e-5


LAGGED = """
model      a depot behind a lag, and an infusion
time       h
parameter  late = 5 [h]
parameter  k = 0.25 [1/h]
state      depot [mg]
state      central [mg]
route      oral -> depot  lag = late
route      iv -> central
d depot    = -k*depot
d central  = k*depot - k*central
output     central [mg]
"""


@pytest.mark.parametrize("step", [1.0, 2.5, 5.0, 40.0])
def test_what_is_under_way_at_the_end_of_a_leg_goes_on_in_the_next(step):
    from pkpd.model.check import read_model

    kernel = pkpd.load(read_model(LAGGED, "lagged.model"))
    table = pkpd.EventTable(
        time=[0.0, 2.5, 10.0],
        amount=[8.0, 4.0, 2.0],
        route=[0, 1, 0],
        duration=[np.nan, 7.0, np.nan],
        size=[-1] * 3,
    )
    whole = pkpd.solve(
        kernel, kernel.VALUES, table, [40.0], keep_states=True, options=pkpd.Options(rtol=1e-10)
    ).check()
    solver = pkpd.compiled_solver(kernel, table, rtol=1e-10)
    y, out, room = _arrays(solver, 2)
    assert solver.start(kernel.VALUES, y, np.zeros(1), out[:1], room) == 0
    for first in np.arange(0.0, 40.0, step):
        assert solver.function(kernel.VALUES, y, np.array([first, first + step]), out, room) == 0
    np.testing.assert_allclose(y, whole.states[0, 0], rtol=1e-8)


def test_many_infusions_find_room():
    """Two breakpoints of each."""
    kernel, n = pkpd.load("one_compartment_iv"), 40
    table = pkpd.EventTable(
        time=np.arange(n), amount=np.linspace(1, 2, n), route=[0] * n, duration=[0.5] * n, size=[-1] * n
    )
    times = np.linspace(0.0, n, 3 * n)
    whole = pkpd.solve(kernel, kernel.VALUES, table, times, keep_states=True).check()
    solver = pkpd.compiled_solver(kernel, table)
    y, out, room = _arrays(solver, times.size)
    beyond = np.concatenate([room, np.full(64, 7.0)])
    assert solver.start(kernel.VALUES, y, times, out, beyond) == 0
    np.testing.assert_array_equal(out, whole.outputs[0])
    np.testing.assert_array_equal(y, whole.states[0, -1])
    assert np.all(beyond[solver.workspace_size :] == 7.0)


def test_it_is_called_in_compiled_code(decay):
    advance, room = decay.function, decay.workspace()

    @numba.njit
    def doubled_every_hour(hours, p, room):
        y, times, out = np.array([1.0]), np.zeros(2), np.empty((2, 1))
        for hour in range(hours):
            times[0], times[1] = hour, hour + 1.0
            if advance(p, y, times, out, room) != 0:
                return np.nan
            y[0] *= 2.0
        return y[0]

    found = doubled_every_hour(10, np.array([0.5, 0.0]), room)
    assert found == pytest.approx((2 * math.exp(-0.5)) ** 10, rel=1e-8)


def test_a_function_of_time_starts_at_any_time():
    @numba.njit
    def forced(t, y, p, dy):
        dy[0] = math.cos(t)

    solver = pkpd.compiled_solver(pkpd.from_numba(forced, states=1), rtol=1e-10)
    y, out, room = np.array([math.sin(2.0)]), np.empty((3, 1)), solver.workspace()
    times = np.array([2.0, 3.0, 9.0])
    assert solver.function(np.empty(0), y, times, out, room) == 0
    np.testing.assert_allclose(out[:, 0], np.sin(times), atol=1e-8)
    assert y[0] == out[-1, 0]


def test_other_languages_call_it_by_its_address(decay):
    kinds = [ctypes.c_void_p] * 3 + [ctypes.c_int64] + [ctypes.c_void_p] * 2
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(decay.address)
    p, y, times = np.array([0.5, 0.0]), np.array([4.0]), np.array([0.0, 2.0])
    out, room = np.empty((2, 1)), decay.workspace()
    pointers = [array.ctypes.data for array in (p, y, times)]
    assert function(*pointers, 2, out.ctypes.data, room.ctypes.data) == 0
    assert y[0] == pytest.approx(4.0 * math.exp(-1.0), rel=1e-9)
    start = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(decay.start_address)
    assert start(*pointers, 2, out.ctypes.data, room.ctypes.data) == 0
    assert y[0] == 0.0  # from the initial value, which is nought


def test_threads_with_workspaces_of_their_own_do_not_disturb_each_other(course):
    kernel, _, solver, _ = course
    start = solver.start
    parameters = kernel.VALUES * np.linspace(0.8, 1.2, 8)[:, None]
    parameters[:, [i for i, kind in enumerate(kernel.KINDS) if kind == "covariate"]] = kernel.VALUES[
        [kind == "covariate" for kind in kernel.KINDS]
    ]

    def run(i, found):
        y, out, room = _arrays(solver, TIMES.size)
        for _ in range(3):
            assert start(parameters[i], y, TIMES, out, room) == 0
        found[i] = out

    alone, together = [None] * 8, [None] * 8
    for i in range(8):
        run(i, alone)
    threads = [threading.Thread(target=run, args=(i, together)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(together, alone)


def test_arrays_that_do_not_fit_are_a_status_and_not_a_crash(decay):
    p, y, times = np.array([0.5, 0.0]), np.array([4.0]), np.array([0.0, 2.0])
    out, room = np.empty((2, 1)), decay.workspace()
    wrong = [
        (p[:1], y, times, out, room),
        (p, np.zeros(2), times, out, room),
        (p, y, times[:0], out[:0], room),
        (p, y, times[::-1].copy(), out, room),
        (p, y, times, out[:1], room),
        (p, y, times, np.empty((2, 2)), room),
        (p, y, times, out, room[:-1]),
    ]
    for arrays in wrong:
        assert decay.function(*arrays) == WRONG_ARRAYS
    assert "workspace of its workspace_size" in decay.sentence(WRONG_ARRAYS)


def test_a_failure_is_a_status_with_a_sentence(decay):
    p, y, times = np.array([0.5, np.inf]), np.array([4.0]), np.array([0.0, 2.0])
    out = np.zeros((2, 1))
    status = decay.function(p, y, times, out, decay.workspace())
    assert "not a finite number" in decay.sentence(status)
    assert np.isnan(out).all()
    assert y[0] == 4.0


def test_what_keeps_the_function_keeps_the_system_it_calls():
    """The right-hand side is machine code of this process, which must not go while it can be called."""
    import gc

    def made():
        @numba.njit
        def rise(t, y, p, dy):
            dy[0] = 3.0

        solver = pkpd.compiled_solver(pkpd.from_numba(rise, states=1))
        return solver.function, solver.workspace()

    function, room = made()
    gc.collect()
    y = np.zeros(1)
    assert function(np.empty(0), y, np.array([0.0, 2.0]), np.empty((2, 1)), room) == 0
    assert y[0] == pytest.approx(6.0, rel=1e-9)


def test_a_call_costs_less_than_a_microsecond_beside_the_integration(course, decay):
    """Of one state and of 13 with ten doses. It is a fifth to a third of that on an idle machine; the best of
    twenty thousand-fold calls counts, as other work may come between."""
    kernel, _, solver, whole = course
    for one, p, y in ((decay, np.array([0.5, 0.0]), np.ones(1)), (solver, kernel.VALUES, whole.states[0, 0])):
        function, room = one.function, one.workspace()
        out, times = np.empty((1, one.kernel.n_outputs)), np.zeros(1)  # nothing to integrate

        @numba.njit
        def calls(count, p, y, times, out, room, function=function):
            bad = 0
            for _ in range(count):
                bad += function(p, y, times, out, room)
            return bad

        assert calls(1, p, y, times, out, room) == 0
        best = math.inf
        for _ in range(20):
            started = time.perf_counter()
            calls(1000, p, y, times, out, room)
            best = min(best, 1e-3 * (time.perf_counter() - started))
        assert best < 1e-6


RESET = pkpd.EventTable([0.0], [1.0], [0], [0.0], [-1], kind=[1])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"method": "euler"}, 'unknown method "euler"; there are auto'),
        ({"rtol": 2.0}, "rtol must lie between 0 and 1"),
        ({"h_max": 0.0}, "h_max, the longest step"),
        ({"atol": [1.0, 2.0, 3.0]}, "atol must be one number or 1, one for each of amount"),
        (
            {"events": pkpd.EventTable([0.0], [1.0], [0], [0.0], [-1], kind=[1])},
            "doses of finite amounts and no",
        ),
        ({"kernel": "il2_treg"}, "kernel must be a kernel, such as pkpd.load or pkpd.from_numba gives"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(decay, given, sentence):
    with pytest.raises(InputError, match=sentence):
        pkpd.compiled_solver(**{"kernel": decay.kernel, **given})


def test_the_example_of_the_docstring_gives_what_it_says():
    (example,) = doctest.DocTestFinder(recurse=False).find(pkpd.compiled_solver)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
