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
def parts(sizes, work, stages):
    """Pointers to k, u, y1, error, floor, weights, and what the method wants."""
    w = sizes[WIDE]
    u = shift(work, stages * w)
    weights = shift(u, 4 * w)
    return work, u, shift(u, w), shift(u, 2 * w), shift(u, 3 * w), weights, shift(weights, WEIGHTS)


@inner
def renew_floors(sizes, control, state, floor):
    """Floors of the sizes that the states have had so far."""
    w = sizes[WIDE]
    floors(floor, shift(state, 2 * w), shift(state, 3 * w), control[RTOL], control[AUTOMATIC], w)


@inner
def stuck(address, sizes, control, y, p, J, counts, worst, steep):
    """Why the step control[H] cannot be tried, or SUCCESS; worst, steep : of the attempt before, as in
    ``error_of``; J : scratch."""
    if counts[STEPS] + counts[REJECTED] >= control[MAX_STEPS]:
        return TOO_MANY_STEPS
    if not control[H] <= 0.25 * resolution(control[T]):
        return SUCCESS
    if worst != inf:
        return STEP_TOO_SMALL
    return SLOPE_NOT_FINITE if steep else blame(address, sizes, control, y, p, J)


@inner
def error_of(address, sizes, control, state, p, work, tangent, stages, tangent_unit):
    """The error of the attempt of step control[H], in units of tolerance, and whether it is that of tangents
    that are not finite."""
    w = sizes[WIDE]
    _, _, y1, error, floor, _, _ = parts(sizes, work, stages)
    if control[H] <= HARDLY * resolution(control[T]):
        renew_floors(sizes, control, state, floor)
        rise(sizes, shift(state, 3 * w), y1, floor)
    worst = error_norm(error, state, y1, floor, control[RTOL], w)
    steep = False
    if sizes[N_DIRECTIONS] > 0 and worst <= 1.0:
        status7(address[tangent_unit], address, sizes, control, state, p, work, tangent)
        worst = max(worst, tangent[ERROR_NORM])
        steep = worst == inf
    if sizes[N_NON_NEGATIVE] > 0 and worst <= 1.0:
        worst = max(worst, shortfall(sizes, state, y1, floor, control[RTOL]))
    return worst, steep


@inner
def look_inside(
    address, sizes, control, state, p, times, counts, out, work, tangent, out_dot, end, whole, stages, extra,
    roots_unit, readings_unit, complete, weigh,
):  # fmt: skip
    """Roots, readings and outputs of the accepted step up to ``end``; whole : whether the stages that serve
    dense output alone are there."""
    w = sizes[WIDE]
    k, u, y1, _, _, weights, _ = parts(sizes, work, stages)
    limit = control[T1] - resolution(control[T1])
    row = counts[CURSOR]
    due = row < counts[ROWS] and times[row] <= end and times[row] < limit
    if not whole and (sizes[N_ROOTS] > 0 or sizes[READINGS] > 0 or due):
        complete(address, sizes, control, state, p, shift(state, w), k, u, y1, counts)
    if sizes[N_ROOTS] > 0:
        status7(address[roots_unit], address, sizes, control, state, p, work, tangent)
    if extra != 0 and sizes[N_DIRECTIONS] > 0 and (sizes[READINGS] > 0 or due):
        status7(address[DENSE_TANGENT], address, sizes, control, state, p, work, tangent)
    if sizes[READINGS] > 0:
        status7(address[readings_unit], address, sizes, control, state, p, work, tangent)
    while row < counts[ROWS] and times[row] <= end and times[row] < limit:
        weigh((times[row] - control[T]) / control[H], control[H], weights)
        blend(u, weights[0], state, weights[1], y1, shift(weights, 2), stages, k, w)
        if sizes[N_NON_NEGATIVE] > 0:
            clip(sizes, u)
        emit(address, sizes, u, p, row, out, out_dot, weights, stages, tangent)
        row += 1
    counts[CURSOR] = row


@inner
def move_on(address, sizes, control, state, p, counts, work, tangent, stages):
    """The end of the accepted step becomes the state."""
    w = sizes[WIDE]
    k, _, y1, _, floor, _, _ = parts(sizes, work, stages)
    control[FRESH_SLOPE] = 0.0
    control[FRESH_JACOBIAN] = 0.0
    clipped = False
    if sizes[N_NON_NEGATIVE] > 0:
        clipped = clip(sizes, y1)
    advance(state, y1, shift(state, 3 * w), w)
    if clipped:  # the slope at the end of the step is that of another state
        slope(address, state, p, shift(state, w), k, w)
        counts[RHS_CALLS] += 1
        counts[CLIPPED] += 1
        control[FRESH_SLOPE] = 1.0
    renew_floors(sizes, control, state, floor)
    if sizes[N_DIRECTIONS] > 0:
        tangent[SETTLE] = 1.0  # accepted: the tangent moves on at its next call


@inner
def land(wanted, t, t1):
    """The next step, by as much as the clock will move, and whether it is the last up to t1: it lands there
    without leaving a crumb.

    Branches, here and in ``grow``: selects, as in lanes, would keep each step waiting (3 % of a solve).
    """
    left = t1 - t
    h = wanted
    last = h >= left * (1.0 - 1e-10)
    if last:
        h = left
    else:
        if 2.0 * h > left:
            h = 0.5 * left
        h = (t + h) - t
    return h, last


@inner
def grow(h, wanted, now, before, rejected, order):
    """The step after one of size h that was accepted, with the levels of ``step_factor``; wanted : before it
    was cut to land; rejected : whether the attempt before was."""
    factor = step_factor(now, before, order)
    if rejected:
        factor = min(factor, 1.0)
    return h * factor if h >= 0.999 * wanted else max(h * factor, wanted)


@inner
def march(
    address, sizes, control, state, p, times, counts, out, work, tangent, out_dot, stages, extra, order,
    tangent_unit, roots_unit, readings_unit, watch_unit, attempt, judge, complete, weigh,
):  # fmt: skip
    """Integrate from control[T] to control[T1], writing the outputs before T1. Returns a status, or what
    ``judge`` asks for.

    The first step is control[H_NEXT] if that is not nought. Arguments: see layout.py; extra : how many of the
    stages serve dense output alone; order : of the error estimate, plus one; tangent_unit, roots_unit,
    readings_unit, watch_unit : where the addresses of the method's tangent, of its search for roots, of its
    readings and of its watch over conditions are.
    """
    w = sizes[WIDE]
    y, rate = state, shift(state, w)
    k, u, y1, error, floor, _, own = parts(sizes, work, stages)
    clear(work, (stages + 4) * w + WEIGHTS)
    h = enter(address, sizes, control, state, p, counts, k, u, y1, floor, order)
    if h < 0.0:
        return NOT_FINITE
    before, worst, to_change = FORGOTTEN, 0.0, 0.0  # the step to where a condition changes; nought: to none
    rejected, steep = False, False
    while True:
        wanted = min(h, control[H_MAX])
        h, last = land(wanted, control[T], control[T1])
        if to_change > 0.0:
            h, last = to_change, False
        control[H] = h
        status = stuck(address, sizes, control, y, p, own, counts, worst, steep)
        if status != SUCCESS:
            return status
        attempt(address, sizes, control, y, p, rate, k, u, y1, error, own, counts)
        worst, steep = error_of(address, sizes, control, state, p, work, tangent, stages, tangent_unit)
        if worst > 1.0:
            rejected = True
            counts[REJECTED] += 1
            h *= cut_factor(worst, order)
            to_change = 0.0
            continue
        whole, changes = extra == 0, to_change > 0.0
        if sizes[N_WATCHED] > 0 and not changes:
            if not whole:
                complete(address, sizes, control, y, p, rate, k, u, y1, counts)
                whole = True
            verdict = status7(address[watch_unit], address, sizes, control, state, p, work, tangent)
            changes = verdict == CHANGED
            if changes and control[CHANGE_AT] < 1.0:
                to_change = control[CHANGE_AT] * h
                if to_change > 4.0 * resolution(control[T]):  # again, up to there
                    continue
                return CHANGED  # at once
        counts[STEPS] += 1
        control[LARGEST_ERROR] = max(control[LARGEST_ERROR], worst)
        verdict = judge(address, sizes, control, y, p, k, u, y1, floor, own, counts)
        end = control[T1] if last else control[T] + h
        look_inside(
            address, sizes, control, state, p, times, counts, out, work, tangent, out_dot, end, whole, stages,
            extra, roots_unit, readings_unit, complete, weigh,
        )  # fmt: skip
        control[T] = end
        move_on(address, sizes, control, state, p, counts, work, tangent, stages)
        if changes:
            return CHANGED
        if last:
            return SUCCESS
        now = level(worst)
        h = grow(h, wanted, now, before, rejected, order)
        rejected = False
        before = now
        if verdict != SUCCESS:
            control[H_NEXT] = h
            return verdict
