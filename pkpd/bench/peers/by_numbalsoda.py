"""numbalsoda: LSODA and DOP853 in C++ and Fortran, called with a C callback from a compiled loop over the
doses.

It takes one atol for all states, so that it is given the states in units of their atol, and atol 1: for it
the best there is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, prange
from numbalsoda import dop853, lsoda, lsoda_sig

from pkpd.bench.peers.task import Floats, PeerSolver, Task, extended, generated

MAX_STEPS = 1_000_000


def solvers(task: Task) -> dict[str, Callable[[], PeerSolver]]:
    """LSODA and DOP853."""
    return {"LSODA": partial(_solver, task, lsoda), "DOP853": partial(_solver, task, dop853)}


def callback(task: Task) -> int:
    """Address of a right-hand side whose data are scale (n,) and parameters."""
    core, n, size = task.functions.core, task.n, task.functions.q.size

    @cfunc(lsoda_sig, error_model="numpy")
    def rhs(t, u, du, data):
        scale, q = carray(data, (n + size,))[:n], carray(data, (n + size,))[n:]
        y, dy = np.empty(n), carray(du, (n,))
        for i in range(n):
            y[i] = u[i] * scale[i]
        core(t, y, q, dy)
        for i in range(n):
            dy[i] /= scale[i]

    _kept.append(rhs)
    return rhs.address


_kept: list[object] = []  # callbacks must outlive their addresses


def stacked(task: Task) -> tuple[Floats, Floats, np.ndarray, np.ndarray]:
    """Jumps (legs, n), all grids behind one another, where each starts, and (first, skip, count) of each."""
    grids = [leg.grid for leg in task.legs]
    starts = np.cumsum([0, *(grid.size for grid in grids)])
    rows = np.array([(leg.first, leg.skip, leg.count) for leg in task.legs])
    return np.array([leg.jump for leg in task.legs]), np.concatenate(grids), starts, rows


def parameters(task: Task) -> Floats:
    """What the callback reads behind the scale, without compiling anything for this subject."""
    return np.array(extended(task.kernel, generated(task.kernel), task.p), dtype=np.float64)


def march(integrate: Callable[..., Any]) -> Callable[..., bool]:
    """The loop over doses, compiled."""

    @njit(error_model="numpy")
    def solve(address, y0, jumps, grid, starts, rows, data, rtol, out):
        n = y0.size
        scale = data[:n]
        u = y0 / scale
        for leg in range(jumps.shape[0]):
            u = u + jumps[leg] / scale
            found, success = integrate(
                address, u, grid[starts[leg] : starts[leg + 1]], data, rtol, 1.0, MAX_STEPS
            )
            if not success:
                return False
            first, skip, count = rows[leg]
            out[first : first + count] = found[skip : skip + count] * scale
            u = found[-1].copy()
        return True

    return solve


def _solver(task: Task, integrate: Callable[..., object]) -> PeerSolver:
    address, parts, loop = callback(task), stacked(task), march(integrate)

    def solve(rtol: float, atol: Floats) -> Floats:
        out = np.empty((task.times.size, task.n))
        data = np.concatenate([atol, task.functions.q])
        if not loop(address, task.y0, *parts, data, rtol, out):
            raise ArithmeticError("numbalsoda gave up")
        return out

    return solve


def over_subjects(task: Task) -> Callable[..., bool]:
    """All subjects in one compiled call over the cores: (address, y0 (s, n), jumps (s, ...), grids, starts,
    rows, data (s, ...), rtol, out)."""
    loop = march(lsoda)

    @njit(parallel=True, error_model="numpy")
    def solve(address, y0, jumps, grids, starts, rows, data, rtol, out):
        good = np.zeros(y0.shape[0], np.bool_)
        for s in prange(y0.shape[0]):
            good[s] = loop(address, y0[s], jumps[s], grids[s], starts, rows, data[s], rtol, out[s])
        return good.all()

    return solve
