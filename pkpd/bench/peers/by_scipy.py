"""SciPy: ``solve_ivp`` with compiled right-hand side and Jacobian, restarted at doses; ``odeint`` is LSODA
without a step of Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.integrate import odeint, solve_ivp

from pkpd.bench.peers.task import Floats, PeerSolver, Task

MAX_STEPS = 1_000_000


def solvers(task: Task) -> dict[str, Callable[[], PeerSolver]]:
    """LSODA both ways, BDF, Radau and DOP853."""
    found: dict[str, Callable[[], PeerSolver]] = {"odeint (LSODA)": partial(_odeint, task)}
    for method in ("LSODA", "BDF", "Radau", "DOP853"):
        found[method] = partial(_solve_ivp, task, method)
    return found


def _solve_ivp(task: Task, method: str) -> PeerSolver:
    f = task.functions
    jac = {} if method == "DOP853" or f.jac is None else {"jac": f.jac}

    def solve(rtol: float, atol: Floats) -> Floats:
        def advance(y: Floats, grid: Floats) -> Floats:
            found = solve_ivp(f.rhs, (grid[0], grid[-1]), y, method, grid, rtol=rtol, atol=atol, **jac)
            if not found.success:
                raise ArithmeticError(found.message)
            return found.y.T

        return task.march(advance)

    return solve


def _odeint(task: Task) -> PeerSolver:
    f = task.functions

    def solve(rtol: float, atol: Floats) -> Floats:
        def advance(y: Floats, grid: Floats) -> Floats:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # odeint warns where it gives up
                return odeint(f.rhs, y, grid, Dfun=f.jac, tfirst=True, rtol=rtol, atol=atol, mxstep=MAX_STEPS)

        return np.ascontiguousarray(task.march(advance))

    return solve
