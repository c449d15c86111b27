"""CyRK: SciPy's methods in C++, called with a C callback; one compiled call for each interval between
doses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from CyRK import cyjit, nbsolve2_ivp
from numba import carray

from pkpd.bench.peers.task import Floats, PeerSolver, Task


def solvers(task: Task) -> dict[str, Callable[[], PeerSolver]]:
    """LSODA, BDF and DOP853."""
    return {method: partial(_solver, task, method) for method in ("LSODA", "BDF", "DOP853")}


def _solver(task: Task, method: str) -> PeerSolver:
    core, n, q = task.functions.core, task.n, task.functions.q

    @cyjit
    def rhs(dy, t, y, args):
        core(t, carray(y, (n,)), q, carray(dy, (n,)))

    def solve(rtol: float, atol: Floats) -> Floats:
        def advance(y: Floats, grid: Floats) -> Floats:
            found = nbsolve2_ivp(
                rhs.address, (grid[0], grid[-1]), y, method=method, t_eval=grid, rtol=rtol, atols=atol
            )
            good, states = found.success, np.array(found.y).T
            found.free()
            if not good or len(states) != grid.size:
                raise ArithmeticError("CyRK gave up")
            return states

        return task.march(advance)

    return solve
