"""A whole solve over the sum of the model's own evaluations: what the integrator adds to what it cannot
avoid.

The sum is what the solve's own counts of right-hand sides, Jacobians, factorisations, triangular solves (one
to a right-hand side where there are factorisations) and outputs cost in the same process, each function
called in a compiled loop in which a call waits for the one before, as stages do. Both are measured in turns,
so that the ratio holds on a busy machine: ``tests/test_benchmarks.py`` guards it in CI.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.problems import PROBLEMS, Problem
from pkpd.bench import clock
from pkpd.bench.peers import functions
from pkpd.core.errors import SolverError
from pkpd.ode.layout import METHODS
from pkpd.solver import STATISTICS, Options, Solver, solve

Floats = NDArray[np.float64]
CALLS = 2_000
REGISTER = 16  # doubles behind an array that a function may fill to whole vector registers


@njit
def _twice(function, read, p, write, calls, n):
    """function(read, p, write), each call reading what depends on the last."""
    for _ in range(calls):
        function(read.ctypes.data, p.ctypes.data, write.ctypes.data)
        for i in range(n):
            read[i] += 1e-200 * write[i]


@njit
def _factor(function, jacobian, factors, calls):
    d = 10.0
    for _ in range(calls):
        function(jacobian.ctypes.data, d, factors.ctypes.data)
        d += 1e-200 * factors[0]


@njit
def _solve(function, factors, right, calls):
    for _ in range(calls):
        function(factors.ctypes.data, right.ctypes.data)


def loops(problem: Problem, y: Floats) -> dict[str, Callable[[], None]]:
    """Compiled loops of CALLS calls of each of a kernel's functions at some states."""
    kernel = problem.kernel
    n = kernel.n_states
    p = functions(kernel, problem.p).q
    read, dy, right, entries, outputs, factors = (
        np.ones(size + REGISTER) for size in (n, n, n, len(kernel.J_ROWS), kernel.n_outputs, kernel.N_LU)
    )
    read[:n] = y

    def c(name: str, *kinds: type) -> Any:
        return ctypes.CFUNCTYPE(None, *kinds)(kernel.address(name))

    pointer = ctypes.c_void_p
    three = {name: c(name, pointer, pointer, pointer) for name in ("rhs", "jacobian", "outputs")}
    found = {
        "rhs": partial(_twice, three["rhs"], read.copy(), p, dy, CALLS, n),
        "jacobian": partial(
            _twice, three["jacobian"], read.copy(), p, entries, CALLS, min(n, len(kernel.J_ROWS))
        ),
        "outputs": partial(
            _twice, three["outputs"], read.copy(), p, outputs, CALLS, min(n, kernel.n_outputs)
        ),
    }
    found["jacobian"]()
    factor, backward = c("factor", pointer, ctypes.c_double, pointer), c("solve", pointer, pointer)
    found["factor"] = partial(_factor, factor, entries, factors, CALLS)
    found["factor"]()
    found["solve"] = partial(_solve, backward, factors, right, CALLS)
    for loop in found.values():
        loop()
    return found


def ratio(problem: Problem, method: str, rounds: int) -> tuple[clock.TimeSpread, dict[str, float]]:
    """Whole solve over the sum of its evaluations, and nanoseconds of each function."""
    options = Options(method=method, threads=1)
    whole = partial(solve, problem.kernel, problem.p, problem.events, problem.times, options=options)
    counts = dict(zip(STATISTICS, whole().check().counts[0].tolist(), strict=True))
    states = whole(keep_states=True).states
    assert states is not None
    seconds = clock.turns(
        {"whole": whole} | loops(problem, np.array(states[0, problem.times.size // 2])), rounds
    )
    each = {name: times / CALLS for name, times in seconds.items() if name != "whole"}
    sum_ = counts["rhs"] * each["rhs"] + problem.times.size * each["outputs"]
    if counts["factorisations"]:
        sum_ += counts["jacobians"] * each["jacobian"] + counts["factorisations"] * each["factor"]
        sum_ += counts["rhs"] * each["solve"]
    return clock.spread(seconds["whole"] / sum_), {
        name: float(1e9 * np.median(t)) for name, t in each.items()
    }


def empty_calls() -> dict[str, Any]:
    """Microseconds of calls that integrate nothing, of ``solve`` and of a solver that is bound."""
    door = PROBLEMS["lotka_volterra"]
    given = {"times": door.times[:1], "options": Options(method="tsit5", threads=1)}
    seconds = clock.turns(
        {
            "call_us": partial(solve, door.kernel, door.p, door.events, **given),
            "bound_us": partial(Solver(door.kernel, door.events, **given), door.p),
        },
        21,
    )
    taken = {name: clock.spread(1e6 * each) for name, each in seconds.items()}
    print(f"a call of solve that integrates nothing: {taken['call_us']} us", flush=True)
    print(f"a call of a bound solver that integrates nothing: {taken['bound_us']} us", flush=True)
    return {name: one.as_dict() for name, one in taken.items()}


def run(quick: bool = False) -> dict[str, Any]:
    """Measure, print and return ``{call_us, bound_us, problem: {method: {ratio, nanoseconds}}}``; auto is one
    of the others."""
    results: dict[str, Any] = empty_calls()
    for name in ("lotka_volterra", "robertson", "il2_treg"):
        results[name] = {}
        for method in METHODS:
            if method == "auto":
                continue
            try:
                found, nanoseconds = ratio(PROBLEMS[name], method, 7 if quick else 21)
            except SolverError as error:  # an explicit method on a stiff problem
                print(f"{name}, {method}: {error}", flush=True)
                continue
            results[name][method] = {"ratio": found.as_dict(), "nanoseconds": nanoseconds}
            costs = ", ".join(f"{key} {value:.0f} ns" for key, value in nanoseconds.items())
            print(f"{name}, {method}: {found} x the sum of its evaluations ({costs})", flush=True)
    return results
