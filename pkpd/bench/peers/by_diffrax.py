"""diffrax on the CPU: jit, double precision, doses by a scan over the intervals between them, tolerances as
traced arguments.

The scan has one shape for all intervals: the output times of each are filled up with its end. With
``jax.vmap`` over subjects, each subject has dose times (a lag), initial values and parameters of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from pkpd.bench.peers.task import Floats, PeerSolver, Task, extended, generated

jax.config.update("jax_enable_x64", True)
MAX_STEPS = 20_000  # a leg; more is a failure
METHODS = {"Tsit5": diffrax.Tsit5, "Kvaerno3": diffrax.Kvaerno3, "Kvaerno5": diffrax.Kvaerno5}


def solvers(task: Task) -> dict[str, Callable[[], PeerSolver]]:
    """Tsit5 and the stiff methods that its documentation recommends."""
    return {name: partial(_single, task, name) for name in METHODS}


def course(task: Task, method: str, max_steps: int = MAX_STEPS) -> Callable[..., Any]:
    """(p (n_params,), y0, jumps (legs, n), grids (legs, width), rtol, atol (n,)) -> states (legs, width, n),
    success; to be jitted or vmapped."""
    kernel, n = task.kernel, task.n
    space = generated(kernel, jnp.where, exp=jnp.exp, log=jnp.log, sqrt=jnp.sqrt)

    def rhs(_t: Any, y: Any, q: Any) -> Any:
        dy = [jnp.zeros(())] * n
        space["rhs"](y, q, dy)
        return jnp.stack([jnp.asarray(value, dtype=jnp.float64) for value in dy])

    def solve(p: Any, y0: Any, jumps: Any, grids: Any, rtol: Any, atol: Any) -> Any:
        q = extended(kernel, space, [p[i] for i in range(kernel.n_params)])

        def leg(y: Any, inputs: Any) -> tuple[Any, Any]:
            jump, grid = inputs
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(rhs),
                METHODS[method](),
                grid[0],
                grid[-1],
                None,
                y + jump,
                q,
                saveat=diffrax.SaveAt(ts=grid),
                stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
                max_steps=max_steps,
                throw=False,
            )
            return found.ys[-1], (found.ys, found.result == diffrax.RESULTS.successful)

        states, good = jax.lax.scan(leg, y0, (jumps, grids))[1]
        return states, good.all()

    return solve


def padded(task: Task) -> tuple[Floats, Floats]:
    """Jumps (legs, n) and grids (legs, width), filled up with the end of each."""
    width = max(leg.grid.size for leg in task.legs)
    grids = [np.pad(leg.grid, (0, width - leg.grid.size), mode="edge") for leg in task.legs]
    return np.array([leg.jump for leg in task.legs]), np.array(grids)


def gathered(task: Task, states: Floats) -> Floats:
    """States (..., legs, width, n) at the output times, (..., n_times, n)."""
    return np.concatenate(
        [states[..., i, leg.skip : leg.skip + leg.count, :] for i, leg in enumerate(task.legs)], axis=-2
    )


def finished(found: tuple[Any, Any]) -> Floats:
    """The states, once they are there; an error where some solve ran out of steps."""
    states, good = jax.block_until_ready(found)
    if not np.all(good):
        raise ArithmeticError("too many steps between two doses")
    return np.asarray(states)


def _single(task: Task, method: str) -> PeerSolver:
    run = jax.jit(course(task, method))
    jumps, grids = padded(task)

    def solve(rtol: float, atol: Floats) -> Floats:
        return gathered(task, finished(run(task.p, task.y0, jumps, grids, rtol, atol)))

    return solve
