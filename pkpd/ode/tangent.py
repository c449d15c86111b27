"""Forward sensitivities: the derivative of the numerical step itself, along several directions at once.

With ``z = [y, p]`` and a direction ``z' = [y', p']``, differentiating a step with its step size held fixed gives the tangent of every stage
(internal differentiation: Bock 1981; Hairer, Norsett & Wanner, Solving ODEs I, section I.14; r' is the tangent of infusion rates):

    explicit     k_i' = J(u_i) u_i' + f_p(u_i) p' + r'
    Rosenbrock   W k_i' = J(u_i) u_i' + f_p(u_i) p' + r' + sum_j C_ij/h k_j' + J' k_i,    J' = sum_k dJ/dz_k z_k'

so a Rosenbrock step shares its factorisation, and the result is the exact derivative of the computed solution for its steps. The tangent of
the error estimate enters the step control with the tolerances of the states: a direction is therefore best a relative change of a parameter.

Directions stand side by side in memory, LANES of them to a vector; the storage ``tangent`` is described in layout.py.
"""

from __future__ import annotations

from math import inf

from . import explicit, rosenbrock
from .call import DOUBLES, INTEGER, INTEGERS, c_function, call2, call3, call4, inner, shift, unrolled
from .control import AUTO_FLOOR, CROSS_FLOOR, TINY
from .layout import (
    AT_D, AT_END, AT_G_PARAM, AT_G_STATE, AT_H_PARAM, AT_H_STATE, AT_J, AT_P, AT_R, AT_SLOTS, AT_STEADY, AUTOMATIC, BOLUS, CONTRACT_LANES, CONTROLLED, DFDP,
    DINITIAL, DOUTPUTS, DROUTES, ERROR_NORM, H, HEADER, HESSIAN, INFUSION_START, JACOBIAN, LANES, MULTIPLY_LANES, N_DFDP, N_DINITIAL, N_DIRECTIONS, N_DOUTPUTS,
    N_DROUTES, N_HESSIAN, N_JACOBIAN, N_OUTPUTS, N_ROUTES, N_STATES, N_STEADY, RHS, ROUTES, RTOL, SETTLE, SOLVE_LANES, WEIGHTS, WIDE, WIDTH,
)  # fmt: skip
from .status import NO_STEADY_STATE, SUCCESS
from .steady import negative_jacobian, solve_dense
from .vectors import add, blend, combine, copy, plus, total

A_EXPLICIT = explicit.A
B_ERROR = explicit.B_ERROR
A_STIFF = rosenbrock.A
C_STIFF = rosenbrock.C


@inner
def parts(sizes, tangent):
    """Pointers to scale, r', y', y1', u', error', largest, at, k', J', values, column, route."""
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    scale = shift(tangent, HEADER)
    rate = shift(scale, m)
    y = shift(rate, n * m)
    y1 = shift(y, n * m)
    u = shift(y1, n * m)
    error = shift(u, n * m)
    largest = shift(error, n * m)
    at = shift(largest, n * m)
    k = shift(at, n * m)
    jacobian = shift(k, 8 * n * m)
    values = shift(jacobian, sizes[N_JACOBIAN] * m)
    nonzeros = (
        sizes[N_JACOBIAN]
        + sizes[N_DFDP]
        + sizes[N_HESSIAN]
        + sizes[N_DOUTPUTS]
        + sizes[N_DINITIAL]
        + sizes[N_DROUTES]
    )
    column = shift(values, nonzeros)
    route = shift(column, 3 * sizes[WIDE])
    return scale, rate, y, y1, u, error, largest, at, k, jacobian, values, column, route


@inner
def settle(sizes, tangent):
    """Move to the end of a step that was accepted since the last call."""
    if tangent[SETTLE] != 0.0:
        _, _, y, y1, _, _, largest, _, _, _, _, _, _ = parts(sizes, tangent)
        for i in range(sizes[N_STATES] * sizes[N_DIRECTIONS]):
            y[i] = y1[i]
            largest[i] = max(largest[i], abs(y1[i]))
        tangent[SETTLE] = 0.0


@inner
def add_by_state(sizes, pattern, end, values, source, target):
    """``target[row] += value source[state]`` over the entries (nonzero, row, state) of a pattern."""
    m = sizes[N_DIRECTIONS]
    for e in range(pattern, end, 3):
        add(shift(target, sizes[e + 1] * m), values[sizes[e]], shift(source, sizes[e + 2] * m), m)


@inner
def add_by_parameter(sizes, pattern, end, values, scale, target):
    """``target[row, d] += value scale[d]`` over the entries (nonzero, row, direction d) of a pattern."""
    m = sizes[N_DIRECTIONS]
    for e in range(pattern, end, 3):
        d = sizes[e + 2]
        target[sizes[e + 1] * m + d] += values[sizes[e]] * scale[d]


@inner
def slope_tangent(address, sizes, u, p, tangent, g):
    """``g <- J(u) u' + f_p(u) p' + r'``, with u' the part of that name."""
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    scale, rate, _, _, u_dot, _, _, _, _, _, values, _, _ = parts(sizes, tangent)
    P = shift(values, sizes[N_JACOBIAN])
    call3(address[JACOBIAN], u, p, values)
    call3(address[DFDP], u, p, P)
    for i in range(n * m):
        g[i] = rate[i]
    for lane in range(0, m, LANES):
        call4(address[MULTIPLY_LANES], values, shift(u_dot, lane), shift(g, lane), m)
    add_by_parameter(sizes, sizes[AT_P], sizes[AT_H_STATE], P, scale, g)


@inner
def norm(sizes, control, state, y1, tangent):
    """Largest error of any state along any direction in units of the state's tolerance; y1 : (n_states,), the state after the step."""
    if sizes[CONTROLLED] == 0:
        return 0.0
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    _, _, y_dot, y1_dot, _, error, largest, _, _, _, _, _, _ = parts(sizes, tangent)
    rtol = control[RTOL]
    top = 0.0
    for i in range(n):
        top = max(top, max(state[3 * w + i], abs(y1[i])))
    worst = 0.0
    for i in range(n):
        for d in range(m):
            e = i * m + d
            own = max(largest[e], max(state[3 * w + i], abs(y1[i])))
            scale = state[2 * w + i] + rtol * max(abs(y_dot[e]), abs(y1_dot[e]))
            scale += rtol * control[AUTOMATIC] * (AUTO_FLOOR * own + CROSS_FLOOR * top) + TINY
            ratio = abs(error[e]) / scale
            if not ratio <= worst:
                worst = ratio if ratio < inf else inf
    return worst


STEP = (INTEGER, INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES)


@c_function(STEP)
def explicit_tangent(address, sizes, control, state, p, work, tangent):
    """Tangent of the explicit step of size control[H] whose stages stand in work."""
    settle(sizes, tangent)
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    h = control[H]
    _, _, y_dot, y1_dot, u_dot, error, _, _, k_dot, _, _, _, _ = parts(sizes, tangent)
    u = shift(work, explicit.STAGES * w)
    y1 = shift(u, w)
    for s in unrolled(0, explicit.STAGES):
        if s == 0:
            copy(u, state, w)
            copy(u_dot, y_dot, n * m)
        else:
            combine(u, state, A_EXPLICIT, s, h, work, w)
            combine(u_dot, y_dot, A_EXPLICIT, s, h, k_dot, n * m)
        slope_tangent(address, sizes, u, p, tangent, shift(k_dot, s * n * m))
    copy(y1_dot, u_dot, n * m)
    total(error, h, B_ERROR, explicit.STAGES, k_dot, n * m)
    tangent[ERROR_NORM] = norm(sizes, control, state, y1, tangent)
    return SUCCESS


@c_function(STEP)
def rosenbrock_tangent(address, sizes, control, state, p, work, tangent):
    """Tangent of the Rosenbrock step of size control[H] whose stages and factorisation stand in work."""
    settle(sizes, tangent)
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    per_h = 1.0 / control[H]
    scale, _, y_dot, y1_dot, u_dot, error, _, _, k_dot, jacobian_dot, values, _, _ = parts(sizes, tangent)
    u = shift(work, rosenbrock.STAGES * w)
    y1 = shift(u, w)
    LU = shift(work, (rosenbrock.STAGES + 4) * w + WEIGHTS + sizes[N_JACOBIAN])
    hessian = shift(values, sizes[N_JACOBIAN] + sizes[N_DFDP])
    call3(address[HESSIAN], state, p, hessian)
    for i in range(sizes[N_JACOBIAN] * m):
        jacobian_dot[i] = 0.0
    add_by_state(sizes, sizes[AT_H_STATE], sizes[AT_H_PARAM], hessian, y_dot, jacobian_dot)
    add_by_parameter(sizes, sizes[AT_H_PARAM], sizes[AT_G_STATE], hessian, scale, jacobian_dot)
    for s in unrolled(0, rosenbrock.STAGES):
        stage = shift(work, s * w)
        g = shift(k_dot, s * n * m)
        if s == 0:
            copy(u, state, w)
            copy(u_dot, y_dot, n * m)
            slope_tangent(address, sizes, u, p, tangent, g)
        else:
            combine(u, state, A_STIFF, s, 1.0, work, w)
            combine(u_dot, y_dot, A_STIFF, s, 1.0, k_dot, n * m)
            slope_tangent(address, sizes, u, p, tangent, g)
            combine(g, g, C_STIFF, s, per_h, k_dot, n * m)
        for lane in range(0, m, LANES):
            call4(address[CONTRACT_LANES], shift(jacobian_dot, lane), stage, shift(g, lane), m)
            call3(address[SOLVE_LANES], LU, shift(g, lane), m)
    copy(error, shift(k_dot, (rosenbrock.STAGES - 1) * n * m), n * m)
    plus(y1_dot, u_dot, error, n * m)
    tangent[ERROR_NORM] = norm(sizes, control, state, y1, tangent)
    return SUCCESS


@c_function(STEP)
def emit_tangent(address, sizes, u, p, tangent, line, weights):
    """Write the tangents of outputs and states at the state u into line : (width, m); weights: of y, y1 and the stages in u."""
    settle(sizes, tangent)
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    scale, _, y_dot, y1_dot, _, _, _, at, k_dot, _, values, _, _ = parts(sizes, tangent)
    blend(at, weights[0], y_dot, weights[1], y1_dot, shift(weights, 2), 8, k_dot, n * m)
    G = shift(values, sizes[N_JACOBIAN] + sizes[N_DFDP] + sizes[N_HESSIAN])
    call3(address[DOUTPUTS], u, p, G)
    for i in range(sizes[N_OUTPUTS] * m):
        line[i] = 0.0
    add_by_state(sizes, sizes[AT_G_STATE], sizes[AT_G_PARAM], G, at, line)
    add_by_parameter(sizes, sizes[AT_G_PARAM], sizes[AT_D], G, scale, line)
    for i in range((sizes[WIDTH] - sizes[N_OUTPUTS]) * m):
        line[sizes[N_OUTPUTS] * m + i] = at[i]
    return SUCCESS


@c_function(STEP)
def initial_tangent(address, sizes, control, state, p, work, tangent):
    """Tangents of initial values, and of lag, F, duration and rate of the routes.

    At a steady state the implicit function theorem gives ``J_ff y_f' = -(f_p p' + J_fe y_e')`` for the states f that rest.
    """
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    scale, rate, y_dot, _, _, _, largest, _, k_dot, _, values, _, route = parts(sizes, tangent)
    route_dot = shift(route, 4 * sizes[N_ROUTES])
    seeds = shift(route_dot, 4 * sizes[N_ROUTES] * m)
    tangent[SETTLE] = 0.0
    for i in range(n * m):
        y_dot[i] = seeds[i]
        rate[i] = 0.0
    for i in range(8 * n * m):
        k_dot[i] = 0.0
    D = shift(values, sizes[N_JACOBIAN] + sizes[N_DFDP] + sizes[N_HESSIAN] + sizes[N_DOUTPUTS])
    call2(address[DINITIAL], p, D)
    add_by_parameter(sizes, sizes[AT_D], sizes[AT_R], D, scale, y_dot)
    R = shift(D, sizes[N_DINITIAL])
    call2(address[ROUTES], p, route)
    call2(address[DROUTES], p, R)
    for i in range(4 * sizes[N_ROUTES] * m):
        route_dot[i] = 0.0
    add_by_parameter(sizes, sizes[AT_R], sizes[AT_END], R, scale, route_dot)
    free = sizes[N_STEADY]
    if free > 0:
        steady = shift(sizes, sizes[AT_STEADY])
        pattern = shift(sizes, sizes[AT_J])
        P = shift(values, sizes[N_JACOBIAN])
        g = k_dot
        for i in range(free):
            for d in range(m):
                y_dot[steady[i] * m + d] = 0.0
        call3(address[DFDP], state, p, P)
        call3(address[JACOBIAN], state, p, values)
        for e in range(sizes[N_JACOBIAN]):
            add(shift(g, pattern[2 * e] * m), values[e], shift(y_dot, pattern[2 * e + 1] * m), m)
        add_by_parameter(sizes, sizes[AT_P], sizes[AT_H_STATE], P, scale, g)
        a = work
        b = shift(work, free * free)
        for i in range(free):
            for d in range(m):
                b[i * m + d] = g[steady[i] * m + d]
        negative_jacobian(address, sizes, state, p, steady, values, 0.0, a)
        if not solve_dense(a, b, free, m):
            return NO_STEADY_STATE
        for i in range(free):
            for d in range(m):
                y_dot[steady[i] * m + d] = b[i * m + d]
        for i in range(n * m):
            g[i] = 0.0
    for i in range(n * m):
        largest[i] = abs(y_dot[i])
    return SUCCESS


@c_function(STEP)
def event_tangent(address, sizes, state, p, dose, event, tangent):
    """Carry the tangents over one breakpoint, before the state itself is changed.

    A sensitivity passes a breakpoint whose time t moves with a parameter by ``s+ = s- + (f(y-) - f(y+)) t' + jump'`` (Rozenvasser 1967).
    dose : (time, amount, route, duration, size); event : (time, state, jump, rate change, dose, kind).
    """
    settle(sizes, tangent)
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    scale, rate_dot, y_dot, _, _, _, _, _, _, _, _, column, r = parts(sizes, tangent)
    r_dot = shift(r, 4 * sizes[N_ROUTES])
    before = column
    after = shift(column, sizes[WIDE])
    y = shift(after, sizes[WIDE])
    target = int(event[1])
    kind = int(event[5])
    for i in range(n):
        y[i] = state[i]
    call3(address[RHS], y, p, before)
    y[target] += event[2]
    call3(address[RHS], y, p, after)
    for i in range(n):
        before[i] -= after[i]
    before[target] -= event[3]
    seeds = shift(r_dot, 4 * sizes[N_ROUTES] * m + n * m + int(event[4]) * m)
    k = 4 * int(dose[2])
    size = int(dose[4])
    factor = p[size] if size >= 0 else 1.0
    slot = sizes[sizes[AT_SLOTS] + size] if size >= 0 else -1
    amount = dose[1] * factor * r[k + 1]
    for d in range(m):
        factor_dot = scale[d] if slot == d else 0.0
        amount_dot = (
            dose[1] * (factor * r_dot[(k + 1) * m + d] + factor_dot * r[k + 1]) + seeds[d] * factor * r[k + 1]
        )
        time_dot = r_dot[k * m + d]
        jump_dot = amount_dot
        if kind != BOLUS:
            duration = dose[3]
            duration_dot = 0.0
            if duration != duration:  # not stated: the route's own duration, or its rate
                duration = r[k + 2]
                duration_dot = r_dot[(k + 2) * m + d]
                if duration == 0.0:
                    duration = amount / r[k + 3]
                    duration_dot = (amount_dot - duration * r_dot[(k + 3) * m + d]) / r[k + 3]
            jump_dot = 0.0
            change = (amount_dot - amount / duration * duration_dot) / duration
            if kind == INFUSION_START:
                rate_dot[target * m + d] += change
            else:
                rate_dot[target * m + d] -= change
                time_dot += duration_dot
        for i in range(n):
            y_dot[i * m + d] += before[i] * time_dot
        y_dot[target * m + d] += jump_dot
    return SUCCESS
