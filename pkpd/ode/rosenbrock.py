"""The loop of a Rosenbrock method from one event to the next.

One Jacobian and one sparse LU a step, both straight-line code of the model; every stage is one right-hand side and one solve.
"""

from __future__ import annotations

from math import inf

from .call import c_function, call2, call3, shift, status7
from .control import cut_factor, first_step, resolution, step_factor, tolerance, trial_step
from .explicit import ADVANCE
from .layout import (
    AUTOMATIC, CURSOR, EMIT_TANGENT, FACTOR, FACTORISATIONS, H, H_MAX, JACOBIAN, JACOBIANS, MAX_STEPS, N_DIRECTIONS, N_JACOBIAN,
    N_OUTPUTS, N_STATES, N_TIMES, OUTPUTS, REJECTED, RHS, RHS_CALLS, ROSENBROCK_STAGES, ROSENBROCK_TANGENT, RTOL, SOLVE, STEPS, T1, T, WIDTH,
)  # fmt: skip
from .rodas5p import TABLEAU
from .status import NOT_FINITE, STEP_TOO_SMALL, SUCCESS, TOO_MANY_STEPS

A = TABLEAU.a
C = TABLEAU.C
DENSE = TABLEAU.dense
GAMMA = TABLEAU.gamma
STAGES = ROSENBROCK_STAGES
ORDER = 5  # of the error estimate, plus one


@c_function(ADVANCE)
def advance_rosenbrock(address, sizes, control, state, p, times, counts, out, work, tangent, out_dot):
    """Integrate from control[T] to control[T1], writing the outputs before T1. Returns a status.

    Arguments: see layout.py.
    """
    n = sizes[N_STATES]
    m = sizes[N_DIRECTIONS]
    rtol = control[RTOL]
    automatic = control[AUTOMATIC]
    t = control[T]
    t1 = control[T1]
    y = state
    rate = shift(state, n)
    atol = shift(state, 2 * n)
    largest = shift(state, 3 * n)
    k = work
    u = shift(work, STAGES * n)
    y1 = shift(u, n)
    f = shift(y1, n)
    dense = shift(f, n)
    J = shift(dense, 3 * n)
    LU = shift(J, sizes[N_JACOBIAN])

    # the first step, from two slopes a little apart
    call3(address[RHS], y, p, f)
    top = 0.0
    for i in range(n):
        f[i] += rate[i]
        if not abs(f[i]) < inf:
            return NOT_FINITE
        largest[i] = max(largest[i], abs(y[i]))
        top = max(top, largest[i])
    fastest = 0.0
    for i in range(n):
        if largest[i] > 0.0:
            fastest = max(fastest, abs(f[i]) / (abs(y[i]) + 1e-6 * largest[i]))
    trial = trial_step(fastest, t1 - t)
    for i in range(n):
        u[i] = y[i] + trial * f[i]
        top = max(top, abs(u[i]))
    call3(address[RHS], u, p, y1)
    d1 = 0.0
    d2 = 0.0
    for i in range(n):
        scale = tolerance(y[i], u[i], atol[i], rtol, automatic, largest[i], top)
        d1 = max(d1, abs(f[i]) / scale)
        d2 = max(d2, abs(y1[i] + rate[i] - f[i]) / scale / trial)
    h = max(
        first_step(d1, d2, trial, ORDER), 16.0 * resolution(t)
    )  # a state that begins near nought is no reason to stall
    counts[RHS_CALLS] += 2

    before = 1e-4
    fresh = False
    rejected = False
    while True:
        # land on t1 without leaving a crumb
        left = t1 - t
        wanted = min(h, control[H_MAX])
        h = wanted
        last = h >= left * (1.0 - 1e-10)
        if last:
            h = left
        elif 2.0 * h > left:
            h = 0.5 * left
        control[T] = t
        control[H] = h
        if counts[STEPS] + counts[REJECTED] >= control[MAX_STEPS]:
            return TOO_MANY_STEPS
        if h <= 0.25 * resolution(t):
            return STEP_TOO_SMALL

        if not fresh:
            call3(address[JACOBIAN], y, p, J)
            counts[JACOBIANS] += 1
            fresh = True
        call3(address[FACTOR], J, 1.0 / (h * GAMMA), LU)
        counts[FACTORISATIONS] += 1
        for s in range(STAGES):
            for i in range(n):
                total = y[i]
                for j in range(s):
                    total += A[s, j] * k[j * n + i]
                u[i] = total
            stage = shift(k, s * n)
            call3(address[RHS], u, p, stage)
            for i in range(n):
                total = 0.0
                for j in range(s):
                    total += C[s, j] * k[j * n + i]
                stage[i] += rate[i] + total / h
            call2(address[SOLVE], LU, stage)
        counts[RHS_CALLS] += STAGES
        error = shift(k, (STAGES - 1) * n)
        reach = top
        for i in range(n):
            y1[i] = u[i] + error[i]
            reach = max(reach, abs(y1[i]))
        worst = 0.0
        for i in range(n):
            ratio = abs(error[i]) / tolerance(y[i], y1[i], atol[i], rtol, automatic, largest[i], reach)
            if not ratio <= worst:
                worst = ratio if ratio < inf else inf
        if m > 0 and worst <= 1.0:
            status7(address[ROSENBROCK_TANGENT], address, sizes, control, state, p, work, tangent)
            worst = max(worst, tangent[0])
        if worst > 1.0:
            counts[REJECTED] += 1
            h *= cut_factor(worst, ORDER)
            rejected = True
            continue
        counts[STEPS] += 1
        fresh = False

        # dense output
        end = t1 if last else t + h
        limit = t1 - resolution(t1)
        row = counts[CURSOR]
        if row < sizes[N_TIMES] and times[row] <= end and times[row] < limit:
            for q in range(3):
                for i in range(n):
                    total = 0.0
                    for s in range(STAGES):
                        total += DENSE[q, s] * k[s * n + i]
                    dense[q * n + i] = total
        while row < sizes[N_TIMES] and times[row] <= end and times[row] < limit:
            x = (times[row] - t) / h
            for i in range(n):
                curve = dense[i] + x * (dense[n + i] + x * dense[2 * n + i])
                u[i] = (1.0 - x) * y[i] + x * (y1[i] + (1.0 - x) * curve)
            line = shift(out, row * sizes[WIDTH])
            call3(address[OUTPUTS], u, p, line)
            for i in range(sizes[WIDTH] - sizes[N_OUTPUTS]):
                line[sizes[N_OUTPUTS] + i] = u[i]
            if m > 0:
                tangent[1] = 1.0 - x
                tangent[2] = x
                for s in range(STAGES):
                    tangent[3 + s] = x * (1.0 - x) * (DENSE[0, s] + x * (DENSE[1, s] + x * DENSE[2, s]))
                status7(
                    address[EMIT_TANGENT],
                    address,
                    sizes,
                    u,
                    p,
                    tangent,
                    shift(out_dot, row * sizes[WIDTH] * m),
                    work,
                )
            row += 1
        counts[CURSOR] = row

        t = end
        control[T] = t
        top = 0.0
        for i in range(n):
            y[i] = y1[i]
            largest[i] = max(largest[i], abs(y[i]))
            top = max(top, largest[i])
        if m > 0:
            tangent[11] = 1.0  # accepted: the tangent moves on at its next call
        if last:
            return SUCCESS
        factor = step_factor(worst, before, ORDER)
        if rejected:
            factor = min(factor, 1.0)
        rejected = False
        before = max(worst, 1e-4)
        h = h * factor if h >= 0.999 * wanted else max(h * factor, wanted)
