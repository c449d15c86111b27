"""From one event to the next, step by step: what all methods have in common.

A method is four functions and a number of stages (``explicit.py``, ``rosenbrock.py``): ``attempt`` computes
the stages of one step, its new value and its error; ``judge`` looks at an accepted step and may ask for
another method; ``complete`` computes what stages dense output wants besides, once an output lies inside the
step; ``weigh`` says how dense output combines the stages. ``work`` holds k (stages, w) | u | y1 | error |
floor | weights (WEIGHTS) | and what the method wants, with w the number of states rounded up to whole
vectors.
"""

from __future__ import annotations

from math import inf

from pkpd.ode.call import DOUBLES, INTEGER, INTEGERS, call3, inner, shift, status7
from pkpd.ode.control import (
    FORGOTTEN,
    HARDLY,
    cut_factor,
    first_step,
    level,
    resolution,
    step_factor,
    trial_step,
)
from pkpd.ode.layout import (
    AT_END, AUTOMATIC, BY_STIFF, CHANGE_AT, CLIPPED, CURSOR, DENSE_STAGES, DENSE_TANGENT, EMIT_TANGENT,
    ERROR_NORM, FRESH_JACOBIAN, FRESH_SLOPE, H, H_MAX, H_NEXT, JACOBIAN, LARGEST_ERROR, MAX_STEPS,
    N_DIRECTIONS, N_JACOBIAN, N_NON_NEGATIVE, N_OUTPUTS, N_ROOTS, N_STATES, N_WATCHED, OUTPUTS, READINGS,
    REJECTED, RHS, RHS_CALLS, ROWS, RTOL, SETTLE, SLOPE_AHEAD, STEPS, T, T1, WEIGHTS, WIDE, WIDTH,
)  # fmt: skip
from pkpd.ode.status import CHANGED, NOT_FINITE, SLOPE_NOT_FINITE, STEP_TOO_SMALL, SUCCESS, TOO_MANY_STEPS
from pkpd.ode.vectors import advance, blend, clear, error_norm, floors, plus

ADVANCE = (
    INTEGER, INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, INTEGERS, DOUBLES, DOUBLES,
    DOUBLES, DOUBLES,
)  # fmt: skip


@inner
def slope(address, y, p, rate, f, w):
    """``f = f(y) + rate``."""
    call3(address[RHS], y, p, f)
    plus(f, f, rate, w)


@inner
def guess(address, sizes, control, state, p, f, u, g, floor, order):
    """The first step, from the slope f and one a little further on; u, g : scratch."""
    n, w = sizes[N_STATES], sizes[WIDE]
    y, rate, atol, largest = state, shift(state, w), shift(state, 2 * w), shift(state, 3 * w)
    rtol = control[RTOL]
    fastest = 0.0
    for i in range(n):
        if largest[i] > 0.0:
            fastest = max(fastest, abs(f[i]) / (abs(y[i]) + 1e-6 * largest[i]))
    trial = trial_step(fastest, control[T1] - control[T])
    for i in range(n):
        u[i] = y[i] + trial * f[i]
        largest[i] = max(largest[i], 1e-6 * abs(u[i]))  # a state that begins at nought has some size
    floors(floor, atol, largest, rtol, control[AUTOMATIC], w)
    slope(address, u, p, rate, g, w)
    d1 = 0.0
    d2 = 0.0
    for i in range(n):
        scale = floor[i] + rtol * max(abs(y[i]), abs(u[i]))
        d1 = max(d1, abs(f[i]) / scale)
        d2 = max(d2, abs(g[i] - f[i]) / scale / trial)
    # a state that begins near nought is no reason to stall
    return max(first_step(d1, d2, trial, order), 16.0 * resolution(control[T]))


@inner
def enter(address, sizes, control, state, p, counts, f, u, g, floor, order):
    """Slope f and floor at the start, and the first step: control[H_NEXT], or a guess if that is nought.
    Negative: the slope is not finite."""
    n, w = sizes[N_STATES], sizes[WIDE]
    y, rate, atol, largest = state, shift(state, w), shift(state, 2 * w), shift(state, 3 * w)
    slope(address, y, p, rate, f, w)
    counts[RHS_CALLS] += 1
    for i in range(n):
        if not abs(f[i]) < inf:
            return -1.0
        largest[i] = max(largest[i], abs(y[i]))
    h = control[H_NEXT]
    if h == 0.0:
        h = guess(address, sizes, control, state, p, f, u, g, floor, order)
        counts[RHS_CALLS] += 1
    control[H_NEXT] = 0.0
    control[FRESH_SLOPE] = 1.0
    control[FRESH_JACOBIAN] = 0.0
    control[SLOPE_AHEAD] = 0.0
    floors(floor, atol, largest, control[RTOL], control[AUTOMATIC], w)
    return h


@inner
def rise(sizes, largest, y1, floor):
    """A state that has always been nought has no size to go by. In a step that the clock hardly resolves, it
    has that to which its rates lead."""
    for i in range(sizes[N_STATES]):
        if largest[i] == 0.0 and abs(y1[i]) < inf:
            floor[i] = max(floor[i], abs(y1[i]))


@inner
def blame(address, sizes, control, y, p, J):
    """Why steps end in numbers that are not finite, from a state whose rates are; J : scratch."""
    if control[BY_STIFF] != 0.0:
        call3(address[JACOBIAN], y, p, J)
        for e in range(sizes[N_JACOBIAN]):
            if not abs(J[e]) < inf:
                return SLOPE_NOT_FINITE
    return NOT_FINITE


@inner
def shortfall(sizes, y, y1, floor, rtol):
    """How far the states that must not be negative have fallen below nought, in units of their tolerances: an
    error like the others.

    Shampine, Thompson, Kierzenka & Byrne, Non-negative solutions of ODEs, Appl. Math. Comput. 170 (2005)
    556-569.
    """
    states = shift(sizes, sizes[AT_END])
    worst = 0.0
    for j in range(sizes[N_NON_NEGATIVE]):
        i = states[j]
        if y1[i] < 0.0:
            worst = max(worst, -y1[i] / (floor[i] + rtol * max(abs(y[i]), abs(y1[i]))))
    return worst


@inner
def clip(sizes, y):
    """What has fallen below nought by less than its tolerance is nought; whether there was any."""
    states = shift(sizes, sizes[AT_END])
    found = False
    for j in range(sizes[N_NON_NEGATIVE]):
        if y[states[j]] < 0.0:
            y[states[j]] = 0.0
            found = True
    return found


@inner
def emit(address, sizes, u, p, row, out, out_dot, weights, stages, tangent):
    """Write outputs, states and their tangents at the state u, of which weights tells how it came from y, y1
    and the stages."""
    line = shift(out, row * sizes[WIDTH])
    call3(address[OUTPUTS], u, p, line)
    for i in range(sizes[WIDTH] - sizes[N_OUTPUTS]):
        line[sizes[N_OUTPUTS] + i] = u[i]
    if sizes[N_DIRECTIONS] > 0:
        tangent[DENSE_STAGES] = float(stages)
        line_dot = shift(out_dot, row * sizes[WIDTH] * sizes[N_DIRECTIONS])
        status7(address[EMIT_TANGENT], address, sizes, u, p, tangent, line_dot, weights)


@inner
def march(
    address, sizes, control, state, p, times, counts, out, work, tangent, out_dot, stages, extra, order,
    tangent_unit, roots_unit, readings_unit, watch_unit, attempt, judge, complete, weigh,
):  # fmt: skip
    """Integrate from control[T] to control[T1], writing the outputs before T1. Returns a status, or what
    ``judge`` asks for.

    The first step is control[H_NEXT] if that is not nought. Arguments: see layout.py; extra : how many of the
    stages serve dense output alone;
    order : of the error estimate, plus one; tangent_unit, roots_unit, readings_unit, watch_unit : where the
        addresses of the method's tangent, of its search for roots,
    of its readings and of its watch over conditions are.
    """
    w, m = sizes[WIDE], sizes[N_DIRECTIONS]
    rtol = control[RTOL]
    t, t1 = control[T], control[T1]
    y, rate, atol, largest = state, shift(state, w), shift(state, 2 * w), shift(state, 3 * w)
    k = work
    u = shift(work, stages * w)
    y1 = shift(u, w)
    error = shift(y1, w)
    floor = shift(error, w)
    weights = shift(floor, w)
    own = shift(weights, WEIGHTS)
    clear(work, (stages + 4) * w + WEIGHTS)
    h = enter(address, sizes, control, state, p, counts, k, u, y1, floor, order)
    if h < 0.0:
        return NOT_FINITE
    before = FORGOTTEN
    rejected = False
    worst = 0.0
    steep = False
    to_change = 0.0  # the step up to where a condition changes; nought: none is known to
    while True:
        # land on t1 without leaving a crumb
        left = t1 - t
        wanted = min(h, control[H_MAX])
        h = wanted
        last = h >= left * (1.0 - 1e-10)
        if to_change > 0.0:
            h = to_change
            last = False
        elif last:
            h = left
        else:
            if 2.0 * h > left:
                h = 0.5 * left
            h = (t + h) - t  # by as much as the clock will move
        control[T] = t
        control[H] = h
        if counts[STEPS] + counts[REJECTED] >= control[MAX_STEPS]:
            return TOO_MANY_STEPS
        if h <= 0.25 * resolution(t):
            if worst == inf:
                return SLOPE_NOT_FINITE if steep else blame(address, sizes, control, y, p, own)
            return STEP_TOO_SMALL

        attempt(address, sizes, control, y, p, rate, k, u, y1, error, own, counts)
        if h <= HARDLY * resolution(t):
            floors(floor, atol, largest, rtol, control[AUTOMATIC], w)
            rise(sizes, largest, y1, floor)
        worst = error_norm(error, y, y1, floor, rtol, w)
        steep = False
        if m > 0 and worst <= 1.0:
            status7(address[tangent_unit], address, sizes, control, state, p, work, tangent)
            worst = max(worst, tangent[ERROR_NORM])
            steep = worst == inf
        if sizes[N_NON_NEGATIVE] > 0 and worst <= 1.0:
            worst = max(worst, shortfall(sizes, y, y1, floor, rtol))
        if worst > 1.0:
            counts[REJECTED] += 1
            h *= cut_factor(worst, order)
            rejected = True
            to_change = 0.0
            continue
        whole = extra == 0
        changes = to_change > 0.0
        if sizes[N_WATCHED] > 0 and not changes:
            if not whole:
                complete(address, sizes, control, y, p, rate, k, u, y1, counts)
                whole = True
            if status7(address[watch_unit], address, sizes, control, state, p, work, tangent) == CHANGED:
                changes = True
                if control[CHANGE_AT] < 1.0:
                    to_change = control[CHANGE_AT] * h
                    if to_change > 4.0 * resolution(t):  # again, up to there
                        continue
                    control[H_NEXT] = 0.0
                    return CHANGED  # at once
        counts[STEPS] += 1
        control[LARGEST_ERROR] = max(control[LARGEST_ERROR], worst)
        verdict = judge(address, sizes, control, y, p, k, u, y1, floor, own, counts)

        end = t1 if last else t + h
        limit = t1 - resolution(t1)
        row = counts[CURSOR]
        tangent_whole = extra == 0 or m == 0
        if sizes[N_ROOTS] > 0:
            if not whole:
                complete(address, sizes, control, y, p, rate, k, u, y1, counts)
                whole = True
            status7(address[roots_unit], address, sizes, control, state, p, work, tangent)
        if sizes[READINGS] > 0:
            if not whole:
                complete(address, sizes, control, y, p, rate, k, u, y1, counts)
                whole = True
            if not tangent_whole:
                status7(address[DENSE_TANGENT], address, sizes, control, state, p, work, tangent)
                tangent_whole = True
            status7(address[readings_unit], address, sizes, control, state, p, work, tangent)
        while row < counts[ROWS] and times[row] <= end and times[row] < limit:
            if not whole:
                complete(address, sizes, control, y, p, rate, k, u, y1, counts)
                whole = True
            if not tangent_whole:
                status7(address[DENSE_TANGENT], address, sizes, control, state, p, work, tangent)
                tangent_whole = True
            weigh((times[row] - t) / h, h, weights)
            blend(u, weights[0], y, weights[1], y1, shift(weights, 2), stages, k, w)
            if sizes[N_NON_NEGATIVE] > 0:
                clip(sizes, u)
            emit(address, sizes, u, p, row, out, out_dot, weights, stages, tangent)
            row += 1
        counts[CURSOR] = row

        t = end
        control[T] = t
        control[FRESH_SLOPE] = 0.0
        control[FRESH_JACOBIAN] = 0.0
        clipped = False
        if sizes[N_NON_NEGATIVE] > 0:
            clipped = clip(sizes, y1)
        advance(y, y1, largest, w)
        if clipped:  # the slope at the end of the step is that of another state
            slope(address, y, p, rate, k, w)
            counts[RHS_CALLS] += 1
            counts[CLIPPED] += 1
            control[FRESH_SLOPE] = 1.0
        floors(floor, atol, largest, rtol, control[AUTOMATIC], w)
        if m > 0:
            tangent[SETTLE] = 1.0  # accepted: the tangent moves on at its next call
        if changes:
            control[H_NEXT] = 0.0
            return CHANGED
        if last:
            return SUCCESS
        now = level(worst)
        factor = step_factor(now, before, order)
        if rejected:
            factor = min(factor, 1.0)
        rejected = False
        before = now
        h = h * factor if h >= 0.999 * wanted else max(h * factor, wanted)
        if verdict != SUCCESS:
            control[H_NEXT] = h
            return verdict
