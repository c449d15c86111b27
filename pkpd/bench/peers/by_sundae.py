"""CVODE of SUNDIALS through scikit-sundae: compiled callbacks, analytic dense Jacobian, one solver restarted
at doses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from sksundae.cvode import CVODE

from pkpd.bench.peers.task import Floats, PeerSolver, Task

MAX_STEPS = 1_000_000


def solvers(task: Task) -> dict[str, Callable[[], PeerSolver]]:
    """BDF and Adams."""
    return {f"CVODE {method}": partial(_cvode, task, method) for method in ("BDF", "Adams")}


def _cvode(task: Task, method: str) -> PeerSolver:
    f = task.functions

    def solve(rtol: float, atol: Floats) -> Floats:
        solver = CVODE(
            f.rhs_into, method=method, rtol=rtol, atol=atol, jacfn=f.jac_into, max_num_steps=MAX_STEPS
        )

        def advance(y: Floats, grid: Floats) -> Floats:
            if grid.size == 2:  # two points would ask for every internal step
                return advance(y, np.array([grid[0], 0.5 * (grid[0] + grid[1]), grid[1]]))[::2]
            found = solver.solve(grid, y)
            if not found.success:
                raise ArithmeticError(found.message)
            return found.y

        return task.march(advance)

    return solve
