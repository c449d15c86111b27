"""Forward sensitivities: the derivative of the numerical step itself, along several directions at once.

With ``z = [y, p]`` and a direction ``z' = [y', p']``, differentiating a step with its step size held fixed gives the tangent of every stage
(internal differentiation: Bock 1981; Hairer, Norsett & Wanner, Solving ODEs I, section I.14; r' is the tangent of infusion rates):

    explicit     k_i' = J(u_i) u_i' + f_p(u_i) p' + r'
    Rosenbrock   W k_i' = J(u_i) u_i' + f_p(u_i) p' + r' + sum_j C_ij/h k_j' + J' k_i,    J' = sum_k dJ/dz_k z_k'

so a Rosenbrock step shares its factorisation, and the result is the exact derivative of the computed solution for its steps. The tangent of
the error estimate enters the step control with the tolerances of the states: a direction is therefore best a relative change of a parameter.

The storage ``tangent`` is described in layout.py.
"""

from __future__ import annotations

from math import inf

from numba import types

from . import explicit, rosenbrock
from .call import DOUBLES, INTEGERS, c_function, call2, call3, inner, shift
from .control import AUTO_FLOOR, CROSS_FLOOR, TINY
from .layout import (
    AUTOMATIC, BOLUS, DFDP, DINITIAL, DOUTPUTS, DROUTES, H, HEADER, HESSIAN, INFUSION_START, JACOBIAN, N_DFDP, N_DINITIAL, N_DIRECTIONS, N_DOUTPUTS, N_DROUTES,
    N_HESSIAN, N_JACOBIAN, N_LU, N_OUTPUTS, N_PARAMS, N_ROUTES, N_SIZES, N_STATES, N_STEADY, RHS, ROUTES, RTOL, SOLVE, WIDTH,
)  # fmt: skip
from .status import NO_STEADY_STATE, SUCCESS
from .steady import negative_jacobian, solve_dense

SETTLE = 11
A_EXPLICIT = explicit.A
B_ERROR = explicit.B_ERROR
A_STIFF = rosenbrock.A
C_STIFF = rosenbrock.C


@inner
def parts(sizes, tangent):
    """Pointers to p', r', y', y1', u', error', largest, at, k', J', values, column, route'."""
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    direction = shift(tangent, HEADER)
    rate = shift(direction, sizes[N_PARAMS] * m)
    y = shift(rate, n * m)
    y1 = shift(y, n * m)
    u = shift(y1, n * m)
    error = shift(u, n * m)
    largest = shift(error, n * m)
    at = shift(largest, n * m)
    k = shift(at, n * m)
    jacobian = shift(k, 8 * n * m)
    values = shift(jacobian, sizes[N_JACOBIAN] * m)
    nonzeros = sizes[N_JACOBIAN] + sizes[N_DFDP] + sizes[N_HESSIAN] + sizes[N_DOUTPUTS] + sizes[N_DINITIAL] + sizes[N_DROUTES]
    column = shift(values, nonzeros)
    route = shift(column, 3 * n)
    return direction, rate, y, y1, u, error, largest, at, k, jacobian, values, column, route


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
def slope_tangent(address, sizes, u, p, tangent, g):
    """``g <- J(u) u' + f_p(u) p' + r'``, with u' the part of that name."""
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    direction, rate, _, _, u_dot, _, _, _, _, _, values, _, _ = parts(sizes, tangent)
    J = values
    P = shift(values, sizes[N_JACOBIAN])
    call3(address[JACOBIAN], u, p, J)
    call3(address[DFDP], u, p, P)
    for i in range(n * m):
        g[i] = rate[i]
    rows = shift(sizes, N_SIZES)
    columns = shift(rows, sizes[N_JACOBIAN])
    for e in range(sizes[N_JACOBIAN]):
        target = shift(g, rows[e] * m)
        source = shift(u_dot, columns[e] * m)
        value = J[e]
        for d in range(m):
            target[d] += value * source[d]
    rows = shift(columns, sizes[N_JACOBIAN])
    columns = shift(rows, sizes[N_DFDP])
    for e in range(sizes[N_DFDP]):
        target = shift(g, rows[e] * m)
        source = shift(direction, columns[e] * m)
        value = P[e]
        for d in range(m):
            target[d] += value * source[d]


@inner
def norm(sizes, control, state, y1, tangent):
    """Largest error of any state along any direction in units of the state's tolerance; y1 : (n_states,), the state after the step."""
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    _, _, y_dot, y1_dot, _, error, largest, _, _, _, _, _, _ = parts(sizes, tangent)
    rtol = control[RTOL]
    top = 0.0
    for i in range(n):
        top = max(top, max(state[3 * n + i], abs(y1[i])))
    worst = 0.0
    for i in range(n):
        for d in range(m):
            e = i * m + d
            own = max(largest[e], max(state[3 * n + i], abs(y1[i])))
            scale = state[2 * n + i] + rtol * max(abs(y_dot[e]), abs(y1_dot[e]))
            scale += rtol * control[AUTOMATIC] * (AUTO_FLOOR * own + CROSS_FLOOR * top) + TINY
            ratio = abs(error[e]) / scale
            if not ratio <= worst:
                worst = ratio if ratio < inf else inf
    return worst


STEP = types.int64(INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES)


@c_function(STEP)
def explicit_tangent(address, sizes, control, state, p, work, tangent):
    """Tangent of the explicit step of size control[H] whose stages stand in work."""
    settle(sizes, tangent)
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    h = control[H]
    _, _, y_dot, y1_dot, u_dot, error, _, _, k_dot, _, _, column, _ = parts(sizes, tangent)
    for s in range(explicit.STAGES):
        for i in range(n):
            total = 0.0
            for j in range(s):
                total += A_EXPLICIT[s, j] * work[j * n + i]
            column[i] = state[i] + h * total
        for i in range(n * m):
            total = 0.0
            for j in range(s):
                total += A_EXPLICIT[s, j] * k_dot[j * n * m + i]
            u_dot[i] = y_dot[i] + h * total
        slope_tangent(address, sizes, column, p, tangent, shift(k_dot, s * n * m))
    for i in range(n * m):
        y1_dot[i] = u_dot[i]
        total = 0.0
        for j in range(explicit.STAGES):
            total += B_ERROR[j] * k_dot[j * n * m + i]
        error[i] = h * total
    tangent[0] = norm(sizes, control, state, shift(work, (explicit.STAGES + 2) * n), tangent)
    return SUCCESS


@c_function(STEP)
def rosenbrock_tangent(address, sizes, control, state, p, work, tangent):
    """Tangent of the Rosenbrock step of size control[H] whose stages and factorisation stand in work."""
    settle(sizes, tangent)
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    h = control[H]
    direction, _, y_dot, y1_dot, u_dot, error, _, _, k_dot, jacobian_dot, values, column, _ = parts(sizes, tangent)
    LU = shift(work, (rosenbrock.STAGES + 6) * n + sizes[N_JACOBIAN])
    rows = shift(sizes, N_SIZES)
    columns = shift(rows, sizes[N_JACOBIAN])
    entries = shift(columns, sizes[N_JACOBIAN] + 2 * sizes[N_DFDP])
    z = shift(entries, sizes[N_HESSIAN])
    hessian = shift(values, sizes[N_JACOBIAN] + sizes[N_DFDP])
    call3(address[HESSIAN], state, p, hessian)
    for i in range(sizes[N_JACOBIAN] * m):
        jacobian_dot[i] = 0.0
    for e in range(sizes[N_HESSIAN]):
        target = shift(jacobian_dot, entries[e] * m)
        source = shift(y_dot, z[e] * m) if z[e] < n else shift(direction, (z[e] - n) * m)
        value = hessian[e]
        for d in range(m):
            target[d] += value * source[d]
    for s in range(rosenbrock.STAGES):
        stage = shift(work, s * n)
        for i in range(n):
            total = state[i]
            for j in range(s):
                total += A_STIFF[s, j] * work[j * n + i]
            column[i] = total
        for i in range(n * m):
            total = y_dot[i]
            for j in range(s):
                total += A_STIFF[s, j] * k_dot[j * n * m + i]
            u_dot[i] = total
        g = shift(k_dot, s * n * m)
        slope_tangent(address, sizes, column, p, tangent, g)
        for i in range(n * m):
            total = 0.0
            for j in range(s):
                total += C_STIFF[s, j] * k_dot[j * n * m + i]
            g[i] += total / h
        for e in range(sizes[N_JACOBIAN]):
            target = shift(g, rows[e] * m)
            source = shift(jacobian_dot, e * m)
            value = stage[columns[e]]
            for d in range(m):
                target[d] += value * source[d]
        for d in range(m):
            for i in range(n):
                column[i] = g[i * m + d]
            call2(address[SOLVE], LU, column)
            for i in range(n):
                g[i * m + d] = column[i]
    for i in range(n * m):
        error[i] = k_dot[(rosenbrock.STAGES - 1) * n * m + i]
        y1_dot[i] = u_dot[i] + error[i]
    tangent[0] = norm(sizes, control, state, shift(work, (rosenbrock.STAGES + 1) * n), tangent)
    return SUCCESS


@c_function(types.int64(INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES))
def emit_tangent(address, sizes, u, p, tangent, line, work):
    """Write the tangents of outputs and states at the state u into line : (width, m), with the weights in the header."""
    settle(sizes, tangent)
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    direction, _, y_dot, y1_dot, _, _, _, at, k_dot, _, values, _, _ = parts(sizes, tangent)
    for i in range(n * m):
        total = tangent[1] * y_dot[i] + tangent[2] * y1_dot[i]
        for s in range(8):
            total += tangent[3 + s] * k_dot[s * n * m + i]
        at[i] = total
    G = shift(values, sizes[N_JACOBIAN] + sizes[N_DFDP] + sizes[N_HESSIAN])
    rows = shift(sizes, N_SIZES + 2 * (sizes[N_JACOBIAN] + sizes[N_DFDP] + sizes[N_HESSIAN]))
    z = shift(rows, sizes[N_DOUTPUTS])
    call3(address[DOUTPUTS], u, p, G)
    for i in range(sizes[N_OUTPUTS] * m):
        line[i] = 0.0
    for e in range(sizes[N_DOUTPUTS]):
        target = shift(line, rows[e] * m)
        source = shift(at, z[e] * m) if z[e] < n else shift(direction, (z[e] - n) * m)
        value = G[e]
        for d in range(m):
            target[d] += value * source[d]
    for i in range((sizes[WIDTH] - sizes[N_OUTPUTS]) * m):
        line[sizes[N_OUTPUTS] * m + i] = at[i]
    return SUCCESS


@c_function(STEP)
def initial_tangent(address, sizes, control, state, p, work, tangent):
    """Tangents of initial values, and of lag, F, duration and rate of the routes.

    At a steady state the implicit function theorem gives ``J_ff y_f' = -(f_p p' + J_fe y_e')`` for the states f that rest.
    """
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    direction, rate, y_dot, _, _, _, largest, _, k_dot, _, values, _, route = parts(sizes, tangent)
    tangent[SETTLE] = 0.0
    seeds = shift(route, 4 * sizes[N_ROUTES] * (1 + m))
    for i in range(n * m):
        y_dot[i] = seeds[i]
        rate[i] = 0.0
    for i in range(8 * n * m):
        k_dot[i] = 0.0
    patterns = shift(sizes, N_SIZES)
    before = sizes[N_JACOBIAN] + sizes[N_DFDP] + sizes[N_HESSIAN] + sizes[N_DOUTPUTS]
    D = shift(values, before)
    rows = shift(patterns, 2 * before)
    columns = shift(rows, sizes[N_DINITIAL])
    call2(address[DINITIAL], p, D)
    for e in range(sizes[N_DINITIAL]):
        for d in range(m):
            y_dot[rows[e] * m + d] += D[e] * direction[columns[e] * m + d]
    R = shift(D, sizes[N_DINITIAL])
    rows = shift(columns, sizes[N_DINITIAL])
    columns = shift(rows, sizes[N_DROUTES])
    call2(address[DROUTES], p, R)
    call2(address[ROUTES], p, route)
    route_dot = shift(route, 4 * sizes[N_ROUTES])
    for i in range(4 * sizes[N_ROUTES] * m):
        route_dot[i] = 0.0
    for e in range(sizes[N_DROUTES]):
        for d in range(m):
            route_dot[rows[e] * m + d] += R[e] * direction[columns[e] * m + d]
    steady = shift(columns, sizes[N_DROUTES])
    free = sizes[N_STEADY]
    if free > 0:
        for i in range(free):
            for d in range(m):
                y_dot[steady[i] * m + d] = 0.0
        J = values
        P = shift(values, sizes[N_JACOBIAN])
        g = k_dot
        call3(address[DFDP], state, p, P)
        call3(address[JACOBIAN], state, p, J)
        for e in range(sizes[N_JACOBIAN]):
            for d in range(m):
                g[patterns[e] * m + d] += J[e] * y_dot[patterns[sizes[N_JACOBIAN] + e] * m + d]
        rows = shift(patterns, 2 * sizes[N_JACOBIAN])
        columns = shift(rows, sizes[N_DFDP])
        for e in range(sizes[N_DFDP]):
            for d in range(m):
                g[rows[e] * m + d] += P[e] * direction[columns[e] * m + d]
        a = work
        b = shift(work, free * free)
        for i in range(free):
            for d in range(m):
                b[i * m + d] = g[steady[i] * m + d]
        negative_jacobian(address, sizes, state, p, steady, J, 0.0, a)
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


@c_function(types.int64(INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES))
def event_tangent(address, sizes, state, p, dose, event, tangent):
    """Carry the tangents over one breakpoint, before the state itself is changed.

    A sensitivity passes a breakpoint whose time t moves with a parameter by ``s+ = s- + (f(y-) - f(y+)) t' + jump'`` (Rozenvasser 1967).
    dose : (time, amount, route, duration, size); event : (time, state, jump, rate change, dose, kind).
    """
    settle(sizes, tangent)
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    direction, rate_dot, y_dot, _, _, _, _, _, _, _, _, column, r = parts(sizes, tangent)
    r_dot = shift(r, 4 * sizes[N_ROUTES])
    before = column
    after = shift(column, n)
    y = shift(column, 2 * n)
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
    amount = dose[1] * factor * r[k + 1]
    for d in range(m):
        factor_dot = direction[size * m + d] if size >= 0 else 0.0
        amount_dot = dose[1] * (factor * r_dot[(k + 1) * m + d] + factor_dot * r[k + 1]) + seeds[d] * factor * r[k + 1]
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
