"""The loop of an explicit Runge-Kutta pair from one event to the next, with stiffness detection.

Stiffness is detected as in DOPRI5 (Hairer & Wanner, Solving ODEs II, section IV.2): the last two stages stand at the same time, so
``|k_7 - k_6| / |u_7 - u_6|``, in units of the tolerances, estimates the dominant eigenvalue; when steps sit at the stability limit again and again, it is no longer
the accuracy that decides the step.
"""

from __future__ import annotations

from math import inf, sqrt

from .call import DOUBLES, INTEGER, INTEGERS, c_function, call3, shift, status7
from .control import cut_factor, first_step, resolution, step_factor, tolerance, trial_step
from .layout import (
    AUTO, AUTOMATIC, CALM_STEPS, CURSOR, EMIT_TANGENT, EXPLICIT_STAGES, EXPLICIT_TANGENT, H, H_MAX, MAX_STEPS, METHOD, N_DIRECTIONS, N_OUTPUTS, N_STATES,
    N_TIMES, OUTPUTS, REJECTED, RHS, RHS_CALLS, RTOL, STEPS, STIFF_STEPS, T1, T, WIDTH,
)  # fmt: skip
from .status import NOT_FINITE, STIFF, STEP_TOO_SMALL, SUCCESS, TOO_MANY_STEPS
from .tsit5 import TABLEAU

A = TABLEAU.a
B_ERROR = TABLEAU.error
DENSE = TABLEAU.dense
STAGES = EXPLICIT_STAGES
ORDER = 5  # of the error estimate, plus one
AT_LIMIT = (
    0.7 * TABLEAU.stability_limit()
)  # at a tight tolerance the controller keeps steps well inside the limit
STIFF_AFTER = 15  # steps at the stability limit before the problem counts as stiff
CALM_AFTER = 6  # steps away from it in a row that clear the count

ADVANCE = (INTEGER, INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES)  # fmt: skip


@c_function(ADVANCE)
def advance_explicit(address, sizes, control, state, p, times, counts, out, work, tangent, out_dot):
    """Integrate from control[T] to control[T1], writing the outputs before T1. Returns a status, or STIFF.

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
    u6 = shift(u, n)
    y1 = shift(u6, n)
    error = shift(y1, n)
    last_k = shift(k, (STAGES - 1) * n)

    # the first step, from two slopes a little apart
    call3(address[RHS], y, p, k)
    top = 0.0
    for i in range(n):
        k[i] += rate[i]
        if not abs(k[i]) < inf:
            return NOT_FINITE
        largest[i] = max(largest[i], abs(y[i]))
        top = max(top, largest[i])
    fastest = 0.0
    for i in range(n):
        if largest[i] > 0.0:
            fastest = max(fastest, abs(k[i]) / (abs(y[i]) + 1e-6 * largest[i]))
    trial = trial_step(fastest, t1 - t)
    for i in range(n):
        u[i] = y[i] + trial * k[i]
        top = max(top, abs(u[i]))
    call3(address[RHS], u, p, u6)
    d1 = 0.0
    d2 = 0.0
    for i in range(n):
        scale = tolerance(y[i], u[i], atol[i], rtol, automatic, largest[i], top)
        d1 = max(d1, abs(k[i]) / scale)
        d2 = max(d2, abs(u6[i] + rate[i] - k[i]) / scale / trial)
    h = max(
        first_step(d1, d2, trial, ORDER), 16.0 * resolution(t)
    )  # a state that begins near nought is no reason to stall
    counts[RHS_CALLS] += 2

    before = 1e-4
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

        # the stages; the last one stands at the new value
        for s in range(1, STAGES):
            for i in range(n):
                total = 0.0
                for j in range(s):
                    total += A[s, j] * k[j * n + i]
                if s == STAGES - 1:
                    u6[i] = u[i]
                u[i] = y[i] + h * total
            stage = shift(k, s * n)
            call3(address[RHS], u, p, stage)
            for i in range(n):
                stage[i] += rate[i]
        counts[RHS_CALLS] += STAGES - 1
        reach = top
        for i in range(n):
            y1[i] = u[i]
            reach = max(reach, abs(y1[i]))
        worst = 0.0
        for i in range(n):
            total = 0.0
            for j in range(STAGES):
                total += B_ERROR[j] * k[j * n + i]
            error[i] = h * total
            ratio = abs(error[i]) / tolerance(y[i], y1[i], atol[i], rtol, automatic, largest[i], reach)
            if not ratio <= worst:
                worst = ratio if ratio < inf else inf
        if m > 0 and worst <= 1.0:
            status7(address[EXPLICIT_TANGENT], address, sizes, control, state, p, work, tangent)
            worst = max(worst, tangent[0])
        if worst > 1.0:
            counts[REJECTED] += 1
            h *= cut_factor(worst, ORDER)
            rejected = True
            continue
        counts[STEPS] += 1

        if sizes[METHOD] == AUTO:
            change = 0.0
            distance = 0.0
            for i in range(n):
                scale = tolerance(y[i], y1[i], atol[i], rtol, automatic, largest[i], reach)
                change += ((last_k[i] - k[(STAGES - 2) * n + i]) / scale) ** 2
                distance += ((y1[i] - u6[i]) / scale) ** 2
            if distance > 0.0 and h * sqrt(change / distance) > AT_LIMIT:
                counts[STIFF_STEPS] += 1
                counts[CALM_STEPS] = 0
            else:
                counts[CALM_STEPS] += 1
                if counts[CALM_STEPS] >= CALM_AFTER:
                    counts[STIFF_STEPS] = 0

        # dense output
        end = t1 if last else t + h
        limit = t1 - resolution(t1)
        row = counts[CURSOR]
        while row < sizes[N_TIMES] and times[row] <= end and times[row] < limit:
            theta = (times[row] - t) / h
            for i in range(n):
                u[i] = y[i]
            for s in range(STAGES):
                weight = (
                    h
                    * theta
                    * (DENSE[s, 0] + theta * (DENSE[s, 1] + theta * (DENSE[s, 2] + theta * DENSE[s, 3])))
                )
                for i in range(n):
                    u[i] += weight * k[s * n + i]
                if m > 0:
                    tangent[3 + s] = weight
            line = shift(out, row * sizes[WIDTH])
            call3(address[OUTPUTS], u, p, line)
            for i in range(sizes[WIDTH] - sizes[N_OUTPUTS]):
                line[sizes[N_OUTPUTS] + i] = u[i]
            if m > 0:
                tangent[1] = 1.0
                tangent[2] = 0.0
                tangent[3 + STAGES] = 0.0
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
            k[i] = last_k[i]
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
        if counts[STIFF_STEPS] >= STIFF_AFTER:
            return STIFF
