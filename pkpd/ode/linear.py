"""Systems that are linear in their states, exactly: ``y' = A y + b`` by the matrix exponential, from
breakpoint to breakpoint.

With one more state that stays 1, ``exp(M t)`` of ``M = [[A, b], [0, 0]]`` holds the solution, constant
infusions included. It is computed by scaling, the Taylor polynomial and squaring (Moler & Van Loan, SIAM
Review 45 (2003) 3-49, method 3), anew for every output, so that errors do not add up. No tolerance has a part
in it; the error is rounding, which squaring multiplies by up to ``|A| t``.
"""

from __future__ import annotations

from math import inf

from pkpd.ode.call import c_function, call3, inner, shift
from pkpd.ode.control import resolution
from pkpd.ode.layout import (
    AT_J, CURSOR, JACOBIAN, JACOBIANS, N_JACOBIAN, N_STATES, RHS, RHS_CALLS, ROWS, STEPS, T, T1, WIDE,
)  # fmt: skip
from pkpd.ode.march import ADVANCE, emit
from pkpd.ode.status import NOT_FINITE, SUCCESS

LARGEST = 0.5  # row sum up to which the polynomial is taken
DEGREE = 15  # LARGEST**16/16! is below rounding


@inner
def multiply(a, b, c, q):
    """``c = a b``, matrices (q, q)."""
    for i in range(q):
        for j in range(q):
            total = 0.0
            for k in range(q):
                total += a[i * q + k] * b[k * q + j]
            c[i * q + j] = total


@inner
def exponential(m, t, x, scratch, q):
    """``x = exp(m t)``, matrices (q, q)."""
    size = 0.0
    for i in range(q):
        total = 0.0
        for j in range(q):
            total += abs(m[i * q + j])
        size = max(size, total)
    size *= t
    step = t
    squarings = 0
    while size > LARGEST:
        size *= 0.5
        step *= 0.5
        squarings += 1
    for i in range(q * q):
        x[i] = 0.0
    for i in range(q):
        x[i * q + i] = 1.0
    for back in range(DEGREE):
        multiply(m, x, scratch, q)
        factor = step / (DEGREE - back)
        for i in range(q * q):
            x[i] = factor * scratch[i]
        for i in range(q):
            x[i * q + i] += 1.0
    for _ in range(squarings):
        multiply(x, x, scratch, q)
        for i in range(q * q):
            x[i] = scratch[i]


@inner
def move(x, y, u, n):
    """``u``, the state that y becomes."""
    q = n + 1
    for i in range(n):
        total = x[i * q + n]
        for j in range(n):
            total += x[i * q + j] * y[j]
        u[i] = total


@c_function(ADVANCE)
def advance_linear(address, sizes, control, state, p, times, counts, out, work, tangent, out_dot):
    """Go from control[T] to control[T1], writing the outputs before T1. Returns a status. work : u | f | J |
    M | X | scratch."""
    n, w = sizes[N_STATES], sizes[WIDE]
    q = n + 1
    y, rate = state, shift(state, w)
    u = work
    f = shift(u, w)
    J = shift(f, w)
    m = shift(J, sizes[N_JACOBIAN])
    x = shift(m, q * q)
    scratch = shift(x, q * q)
    pattern = shift(sizes, sizes[AT_J])
    t, t1 = control[T], control[T1]
    for i in range(w):
        u[i] = 0.0
    call3(address[RHS], u, p, f)
    call3(address[JACOBIAN], y, p, J)
    counts[RHS_CALLS] += 1
    counts[JACOBIANS] += 1
    for i in range(q * q):
        m[i] = 0.0
    for e in range(sizes[N_JACOBIAN]):
        m[pattern[2 * e] * q + pattern[2 * e + 1]] = J[e]
    for i in range(n):
        m[i * q + n] = f[i] + rate[i]
        for j in range(q):
            if not abs(m[i * q + j]) < inf:
                return NOT_FINITE
    limit = t1 - resolution(t1)
    row = counts[CURSOR]
    while row < counts[ROWS] and times[row] < limit:
        exponential(m, times[row] - t, x, scratch, q)
        move(x, y, u, n)
        emit(address, sizes, u, p, row, out, out_dot, scratch, 0, tangent)
        counts[STEPS] += 1
        row += 1
    counts[CURSOR] = row
    exponential(m, t1 - t, x, scratch, q)
    move(x, y, u, n)
    counts[STEPS] += 1
    for i in range(n):
        y[i] = u[i]
    control[T] = t1
    return SUCCESS
