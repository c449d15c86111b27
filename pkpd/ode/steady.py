"""The rest of a system without drug, by pseudo-transient continuation.

Newton's method on ``f(y) = 0`` for the chosen states, with the matrix ``shift I - J`` and a shift that goes
to zero as the changes become small (switched evolution relaxation: Kelley & Keyes, SIAM J. Numer. Anal. 35
(1998) 508-523). Far from the rest it follows the flow, so that it finds the rest that the system would reach;
near it, it is Newton's method.
"""

from __future__ import annotations

from math import inf

from pkpd.ode.call import DOUBLES, INTEGER, INTEGERS, c_function, call3, inner, shift
from pkpd.ode.layout import AT_J, AT_STEADY, JACOBIAN, N_JACOBIAN, N_STEADY, RHS, WIDE
from pkpd.ode.status import NO_STEADY_STATE, SUCCESS

MAX_ITERATIONS = 500
TOLERANCE = 1e-11  # of the change of a state, relative to the state; Newton's next change would be its square
NEGLIGIBLE = 1e-13  # shift against the fastest rate


@inner
def solve_dense(a, b, n, m):
    """``b <- a^-1 b`` by Gaussian elimination with partial pivoting; a : (n, n) is destroyed, b : (n, m).
    False if singular."""
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(a[i * n + k]) > abs(a[pivot * n + k]):
                pivot = i
        if not abs(a[pivot * n + k]) > 0.0:
            return False
        if pivot != k:
            for j in range(n):
                swap = a[k * n + j]
                a[k * n + j] = a[pivot * n + j]
                a[pivot * n + j] = swap
            for j in range(m):
                swap = b[k * m + j]
                b[k * m + j] = b[pivot * m + j]
                b[pivot * m + j] = swap
        for i in range(k + 1, n):
            factor = a[i * n + k] / a[k * n + k]
            for j in range(k + 1, n):
                a[i * n + j] -= factor * a[k * n + j]
            for j in range(m):
                b[i * m + j] -= factor * b[k * m + j]
    for back in range(n):
        i = n - 1 - back
        for j in range(m):
            total = b[i * m + j]
            for k in range(i + 1, n):
                total -= a[i * n + k] * b[k * m + j]
            b[i * m + j] = total / a[i * n + i]
    return True


@inner
def negative_jacobian(address, sizes, y, p, steady, J, diagonal, a):
    """``a <- diagonal I - J`` restricted to the states listed in steady; a : (free, free), J is scratch.
    Returns the fastest rate."""
    call3(address[JACOBIAN], y, p, J)
    free = sizes[N_STEADY]
    pattern = shift(sizes, sizes[AT_J])
    for i in range(free * free):
        a[i] = 0.0
    fastest = 0.0
    for i in range(free):
        for j in range(free):
            for e in range(sizes[N_JACOBIAN]):
                if pattern[2 * e] == steady[i] and pattern[2 * e + 1] == steady[j]:
                    a[i * free + j] = -J[e]
        fastest = max(fastest, abs(a[i * free + i]))
        a[i * free + i] += diagonal
    return fastest


@c_function((INTEGER, INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES))
def rest(address, sizes, control, state, p, work, tangent):
    """Move the steady states to the rest of the system, the others held; a status. Arguments: see
    layout.py."""
    free = sizes[N_STEADY]
    steady = shift(sizes, sizes[AT_STEADY])
    y = state
    a = work
    change = shift(work, free * free)
    f = shift(change, free)
    J = shift(f, sizes[WIDE])
    fastest = negative_jacobian(address, sizes, y, p, steady, J, 0.0, a)
    damped = fastest
    for _ in range(MAX_ITERATIONS):
        call3(address[RHS], y, p, f)
        negative_jacobian(address, sizes, y, p, steady, J, damped, a)
        size = 0.0
        for i in range(free):
            change[i] = f[steady[i]]
            size = max(size, abs(y[steady[i]]))
        if not solve_dense(a, change, free, 1):
            return NO_STEADY_STATE
        moved = 0.0
        step = 1.0
        for i in range(free):
            value = y[steady[i]]
            if not abs(change[i]) < inf:
                return NO_STEADY_STATE
            moved = max(moved, abs(change[i]) / max(abs(value), 1e-14 * size, 1e-300))
            if value > 0.0 and value + change[i] < 0.1 * value:  # amounts do not cross zero
                step = min(step, -0.9 * value / change[i])
        for i in range(free):
            y[steady[i]] += step * change[i]
        if moved <= TOLERANCE and damped == 0.0:
            return SUCCESS
        damped *= 2.0 if step < 1.0 or moved > 0.5 else max(moved, 1e-3)
        if damped < NEGLIGIBLE * fastest:
            damped = 0.0
    return NO_STEADY_STATE
