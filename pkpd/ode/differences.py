"""Jacobians of functions that cannot be looked into: which rate depends on which state, and difference
quotients, several columns of the Jacobian at a time.

Columns that meet in no row have one colour, and their states are moved together (Curtis, Powell & Reid, IMA
J. Appl. Math. 13 (1974) 117-119).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

POINTS = 6  # at which dependences are looked for, besides the initial values
ROOT = 2.0**-26  # of the rounding of a double: how far a state is moved, in units of its size
# A state near nought has a size all the same: this part of the largest one. The larger it is, the more of a
# difference is curvature; the smaller, the more is rounding of terms in larger states. On seven stiff
# problems of benchmarks/ at rtol 1e-4, 1e-6 and 1e-9, steps are at most 1.07 of those with the exact Jacobian
# with any value from 1e-10 to 1e-6; with 1e-4 they are 3 times as many on Robertson's reactions.
SMALLEST = 1e-6
CLOCK = 1024.0 * 2.0**-52  # of the time, by which it is moved at least


def found_pattern(
    rates: Callable[..., npt.NDArray[np.float64]],
    start: npt.NDArray[np.float64],
    parameters: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """(n, n), true where a rate changes in any digit with a state: at the initial values and at random points
    around them and elsewhere.

    rates(t, y, p) -> (n,). No state is made nan or negative on the way: a function may use it as an index. A
    dependence is missed where it is not there at any of the points.
    """
    n = start.size
    random = np.random.default_rng(1)
    pattern = np.zeros((n, n), dtype=bool)
    size = np.where(start == 0.0, 1.0, start)
    for trial in range(1 + POINTS):
        y = start.copy()
        if trial > POINTS // 2:
            y = random.lognormal(0.0, 1.0, n)
        elif trial:
            y = size * random.uniform(0.5, 2.0, n)
        guess = random.uniform(0.5, 2.0, parameters.size)
        p = np.where(np.isfinite(parameters), parameters, guess)
        t = 0.0 if trial == 0 else random.uniform(0.0, 1.0)
        before = rates(t, y, p)
        for j in range(n):
            for factor in (1.0 + 1e-3 * random.uniform(0.5, 1.0), random.uniform(1.5, 3.0)):
                moved = y.copy()
                moved[j] = factor * y[j] if y[j] else factor * size[j]
                after = rates(t, moved, p)
                pattern[:, j] |= (after != before) & ~(np.isnan(after) & np.isnan(before))
    return pattern


def colours(pattern: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(n,) a colour of every column; columns of one colour meet in no row."""
    n = pattern.shape[1]
    rows_of = [set(np.flatnonzero(pattern[:, j]).tolist()) for j in range(n)]
    taken: list[set[int]] = []
    found = np.zeros(n, np.int64)
    for j in sorted(range(n), key=lambda j: -len(rows_of[j])):
        colour = next((c for c, rows in enumerate(taken) if not rows & rows_of[j]), len(taken))
        if colour == len(taken):
            taken.append(set())
        taken[colour] |= rows_of[j]
        found[j] = colour
    return found


def _by_time(core: Any) -> Any:
    """``(t, y, p, f, moved)``: the derivative of the rates by the time into ``moved``; f : the rates."""
    import numba

    @numba.njit(error_model="numpy")
    def by_time(t, y, p, f, moved):
        largest = 0.0
        for i in range(y.size):
            largest = max(largest, abs(y[i]))
        fastest = 0.0
        for i in range(y.size):
            if f[i] != 0.0 and largest > 0.0:
                fastest = max(fastest, abs(f[i]) / (abs(y[i]) + SMALLEST * largest))
        later = t + max(ROOT / fastest if fastest > 0.0 else ROOT, CLOCK * abs(t))
        core(later, y, p, moved)
        for i in range(y.size):
            moved[i] = (moved[i] - f[i]) / (later - t)

    return by_time


def difference_quotients(
    core: Any,
    entries: Sequence[tuple[int, int]],
    colour_of: npt.NDArray[np.int64],
    pattern: npt.NDArray[np.bool_],
) -> Any:
    """A function ``(t, y, p, J)`` for numba: the entries (row, column) of the Jacobian of ``core(t, y, p,
    dy)``; a column n is the time."""
    import numba

    n, n_colours = pattern.shape[0], int(colour_of.max(initial=-1)) + 1
    kept = [e for e, (i, j) in enumerate(entries) if i < n and j < n and pattern[i, j]]
    kept.sort(key=lambda e: int(colour_of[entries[e][1]]))
    place = np.array(kept, dtype=np.int64)
    rows = np.array([entries[e][0] for e in kept], dtype=np.int64)
    columns = np.array([entries[e][1] for e in kept], dtype=np.int64)
    first = np.searchsorted(colour_of[columns], np.arange(n_colours + 1))
    by_clock = [(e, i) for e, (i, j) in enumerate(entries) if i < n == j]
    timed = np.array(by_clock, dtype=np.int64).reshape(-1, 2)
    is_timed, by_time = timed.size > 0, _by_time(core)

    @numba.njit(error_model="numpy")
    def jacobian(t, y, p, J):
        f, moved, u, step = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
        core(t, y, p, f)
        largest = 0.0
        for j in range(n):
            largest = max(largest, abs(y[j]))
        for j in range(n):
            size = max(abs(y[j]), SMALLEST * largest)
            further = y[j] + (ROOT if y[j] >= 0.0 else -ROOT) * (size if size > 0.0 else 1.0)
            step[j] = further - y[j]  # as the numbers have it
        for e in range(J.size):
            J[e] = 0.0
        for c in range(n_colours):
            for j in range(n):
                u[j] = y[j] + step[j] if colour_of[j] == c else y[j]
            core(t, u, p, moved)
            for k in range(first[c], first[c + 1]):
                J[place[k]] = (moved[rows[k]] - f[rows[k]]) / step[columns[k]]
        if is_timed:
            by_time(t, y, p, f, moved)
            for k in range(timed.shape[0]):
                J[timed[k, 0]] = moved[timed[k, 1]]

    return jacobian


def dense_entries(core: Any, dense_core: Any, entries: Sequence[tuple[int, int]], n: int) -> Any:
    """The same from a function ``dense_core(t, y, p, J)`` that writes a matrix (n, n); by the time there are
    differences."""
    import numba

    table = np.array(entries, dtype=np.int64)
    by_time = _by_time(core)
    is_timed = bool(np.any((table[:, 1] == n) & (table[:, 0] < n)))

    @numba.njit(error_model="numpy")
    def jacobian(t, y, p, J):
        dense, f, moved = np.zeros((n, n)), np.empty(n), np.zeros(n)
        dense_core(t, y, p, dense)
        if is_timed:
            core(t, y, p, f)
            by_time(t, y, p, f, moved)
        for e in range(table.shape[0]):
            i, j = table[e, 0], table[e, 1]
            if i == n:
                J[e] = 0.0
            else:
                J[e] = dense[i, j] if j < n else moved[i]

    return jacobian
