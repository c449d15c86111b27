"""heyoka: adaptive Taylor series, compiled by LLVM from expressions; its tolerance is absolute or relative by
the state's size, and compiled in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import heyoka
import numpy as np

from pkpd.bench.peers.task import Floats, PeerSolver, Task, extended, generated


def solvers(task: Task) -> dict[str, Callable[[], PeerSolver]]:
    """The Taylor method, where the right-hand side is smooth."""
    return {"Taylor": partial(_taylor, task)}


def _taylor(task: Task) -> PeerSolver:
    space = generated(task.kernel, _none, exp=heyoka.exp, log=heyoka.log, sqrt=heyoka.sqrt)
    plain = generated(task.kernel)
    y = heyoka.make_vars(*(f"y{i}" for i in range(task.n)))
    dy = [heyoka.expression(0.0)] * task.n
    space["rhs"](y, extended(task.kernel, plain, task.p), dy)
    system = list(zip(y, dy, strict=True))
    built: dict[float, heyoka.taylor_adaptive] = {}

    def solve(rtol: float, atol: Floats) -> Floats:
        if rtol not in built:
            built[rtol] = heyoka.taylor_adaptive(system, [0.0] * task.n, tol=rtol)
        integrator = built[rtol]

        def advance(y: Floats, grid: Floats) -> Floats:
            integrator.time, integrator.state[:] = grid[0], y
            outcome, *_, states = integrator.propagate_grid(grid)
            if outcome != heyoka.taylor_outcome.time_limit:
                raise ArithmeticError(str(outcome))
            return np.asarray(states)

        return task.march(advance)

    return solve


def _none(*_: object) -> object:
    raise ArithmeticError("a conditional expression has no Taylor series")
