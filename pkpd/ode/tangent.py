"""Forward sensitivities: the derivative of the numerical step itself, along several directions at once.

With ``z = [y, p]`` and a direction ``z' = [y', p']``, differentiating a step with its step size held fixed
gives the tangent of every stage (internal differentiation: Bock 1981; Hairer, Norsett & Wanner, Solving ODEs
I, section I.14; r' is the tangent of infusion rates):

    explicit     k_i' = J(u_i) u_i' + f_p(u_i) p' + r'
    Rosenbrock   W k_i' = J(u_i) u_i' + f_p(u_i) p' + r' + sum_j C_ij/h k_j' + J' k_i,    J' = sum_k dJ/dz_k
    z_k'

so a Rosenbrock step shares its factorisation, and the result is the exact derivative of the computed solution
for its steps. The tangent of the error estimate enters the step control with the tolerances of the states
times a slack: a direction is therefore best a relative change of a parameter. J u' + f_p p' and J' come from
    functions that differentiate the model's own forward (model/forward.py), with p' the tangents of
    parameters and of the
constants that depend on them.

Directions stand side by side in memory, LANES of them to a vector; the storage ``tangent`` is described in
layout.py.
"""

from __future__ import annotations

from pkpd.ode.methods import explicit, rosenbrock
from pkpd.ode.call import (
    STEP,
    bound,
    bounded,
    c_function,
    call2,
    call3,
    call4,
    call6,
    highest,
    inner,
    lanes,
    larger,
    shift,
    unrolled,
)
from pkpd.ode.conditions import hold
from pkpd.ode.control import AUTO_FLOOR, CROSS_FLOOR, TINY
from pkpd.ode.doses import infusion
from pkpd.ode.layout import (
    ADD, AT_SLOTS, AT_STEADY, AUTOMATIC, BIOAVAILABILITY, BOLUS, CONDITION, CONTRACT_LANES, DENSE_STAGES,
    DOSE_AMOUNT, DOSE_FACTOR, DOSE_ROUTE, DOSE_SINCE, DOSE_SIZE, DOSE_TIME, D_CONDITIONS, D_CONSTANTS,
    D_INITIAL, D_JACOBIAN, D_OUTPUTS, D_RHS, D_ROUTES, ERROR_NORM, EVENT_DOSE, EVENT_JUMP, EVENT_KIND,
    EVENT_RATE, EVENT_STATE, FRESH_TANGENT, H, HEADER, INFUSING, INFUSION_END, INFUSION_START, LAG, LANES,
    LARGEST_SAMPLE, N_DIRECTIONS, N_JACOBIAN, N_OUTPUTS, N_OWN, N_PARAMS, N_PREPARED, N_ROUTES, N_STAGES,
    N_STATES, N_STEADY, N_TIMERS, N_WATCHED, OWN_DURATION, OWN_RATE, REPLACE, RHS, ROOT, ROUTE, ROUTES,
    RTOL, SET, SETTING, SETTLE, SLACK, SOLVE_LANES, WEIGHTS, WIDE, WIDTH,
)  # fmt: skip
from pkpd.ode.places import n_conditions, scratch_size, watched
from pkpd.ode.status import GRAZING, NO_STEADY_STATE, SLIDING, SUCCESS
from pkpd.ode.steady import negative_jacobian, solve_dense
from pkpd.ode.vectors import abreast, clear, combine, copy, plus

# Tables of the method whose step is differentiated: here tsit5 and rodas5p; ``METHODS`` below has the same
# functions for every table
A_EXPLICIT = explicit.A
B_ERROR = explicit.B_ERROR
EXPLICIT_STAGES, EXPLICIT_ALL, EXPLICIT_END = explicit.STAGES, explicit.ALL, explicit.END
A_STIFF = rosenbrock.A
C_STIFF = rosenbrock.C
STIFF_ERROR = rosenbrock.B_ERROR
STIFF_STAGES = rosenbrock.STAGES


UNSURE = 100.0  # times rtol and its largest size: by what a condition's number may be wrong, with a margin


@inner
def parts(sizes, tangent):
    """Pointers to scale, r', y', y1', u', error', largest, at, k', J', p', column, route."""
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
    jacobian = shift(k, sizes[N_STAGES] * n * m)
    p = shift(jacobian, sizes[N_JACOBIAN] * m)
    column = shift(p, sizes[N_PREPARED] * m)
    route = shift(column, 3 * sizes[WIDE] + 2 * n_conditions(sizes) + m + scratch_size(sizes))
    return scale, rate, y, y1, u, error, largest, at, k, jacobian, p, column, route


@inner
def own_tangents(sizes, tangent):
    """Pointer to own'; behind it the seeds of initial values and of doses."""
    _, _, _, _, _, _, _, _, _, _, _, _, route = parts(sizes, tangent)
    return shift(route, 4 * sizes[N_ROUTES] * (1 + sizes[N_DIRECTIONS]))


@inner
def moving(sizes, tangent):
    """How the time of the latest of this instant's events moves along the directions: (m,)."""
    _, _, _, _, _, _, _, _, _, _, _, column, _ = parts(sizes, tangent)
    return shift(column, 3 * sizes[WIDE] + 2 * n_conditions(sizes))


@inner
def scratch(sizes, tangent):
    """Room for the tangents of outputs at a crossing."""
    return shift(moving(sizes, tangent), sizes[N_DIRECTIONS])


@inner
def settle(sizes, tangent):
    """Move to the end of a step that was accepted since the last call."""
    if tangent[SETTLE] != 0.0:
        _, _, y, y1, _, _, largest, _, _, _, _, _, _ = parts(sizes, tangent)
        abreast.advance(y, y1, largest, sizes[N_STATES] * sizes[N_DIRECTIONS])
        tangent[SETTLE] = 0.0
        tangent[FRESH_TANGENT] = 0.0


@inner
def slope_tangent(address, sizes, control, u, p, tangent, g):
    """``g <- J(u) u' + f_p(u) p' + r'``, with u' the part of that name."""
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    _, rate, _, _, u_dot, _, _, _, _, _, p_dot, _, _ = parts(sizes, tangent)
    call6(address[D_RHS], u, p, u_dot, p_dot, g, m)
    if control[INFUSING] != 0.0:
        abreast.plus(g, g, rate, n * m)


@inner
def norm(sizes, control, state, y1, tangent):
    """Largest error of any state along any direction, in units of the state's tolerance times the slack; y1 :
    the state after the step."""
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    _, _, y_dot, y1_dot, _, error, largest, _, _, _, _, _, _ = parts(sizes, tangent)
    rtol = control[RTOL]
    floor = rtol * control[AUTOMATIC] * AUTO_FLOOR
    top = 0.0
    for i in range(n):
        top = max(top, max(state[3 * w + i], abs(y1[i])))
    across = TINY + rtol * control[AUTOMATIC] * CROSS_FLOOR * top
    worst = 0.0 * lanes(error)
    for i in range(n):
        size = max(state[3 * w + i], abs(y1[i]))
        base = state[2 * w + i] + across
        for e in range(i * m, i * m + m, LANES):
            own = larger(lanes(shift(largest, e)), size)
            reach = larger(abs(lanes(shift(y_dot, e))), abs(lanes(shift(y1_dot, e))))
            worst = larger(worst, bounded(abs(lanes(shift(error, e))) / (base + rtol * reach + floor * own)))
    return highest(worst) / control[SLACK]


@c_function(STEP)
def explicit_tangent(address, sizes, control, state, p, work, tangent):
    """Tangent of the explicit step of size control[H] whose stages stand in work."""
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    h = control[H]
    _, _, y_dot, y1_dot, u_dot, error, _, _, k_dot, _, _, _, _ = parts(sizes, tangent)
    fresh = tangent[FRESH_TANGENT] != 0.0
    if tangent[SETTLE] != 0.0:
        if EXPLICIT_END < EXPLICIT_STAGES:  # the last slope of the step before is the first of this one
            if fresh:
                abreast.copy(k_dot, shift(k_dot, EXPLICIT_END * n * m), n * m)
        else:
            fresh = False
        settle(sizes, tangent)
    u = shift(work, EXPLICIT_ALL * w)
    y1 = shift(u, w)
    if not fresh:
        copy(u, state, w)
        abreast.copy(u_dot, y_dot, n * m)
        slope_tangent(address, sizes, control, u, p, tangent, k_dot)
    for s in unrolled(1, EXPLICIT_STAGES):
        combine(u, state, A_EXPLICIT, s, h, work, w)
        abreast.combine(u_dot, y_dot, A_EXPLICIT, s, h, k_dot, n * m)
        slope_tangent(address, sizes, control, u, p, tangent, shift(k_dot, s * n * m))
    tangent[FRESH_TANGENT] = 1.0
    if EXPLICIT_END < EXPLICIT_STAGES:
        abreast.copy(y1_dot, u_dot, n * m)
    else:
        abreast.combine(y1_dot, y_dot, A_EXPLICIT, EXPLICIT_END, h, k_dot, n * m)
    abreast.total(error, h, B_ERROR, EXPLICIT_STAGES, k_dot, n * m)
    tangent[ERROR_NORM] = norm(sizes, control, state, y1, tangent)
    return SUCCESS


@c_function(STEP)
def dense_tangent(address, sizes, control, state, p, work, tangent):
    """Tangent of the stages that serve dense output alone, of the explicit step that has just been
    accepted."""
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    h = control[H]
    _, _, y_dot, y1_dot, u_dot, _, _, _, k_dot, _, _, _, _ = parts(sizes, tangent)
    u = shift(work, EXPLICIT_ALL * w)
    for s in unrolled(EXPLICIT_STAGES, EXPLICIT_ALL):
        if s == EXPLICIT_END:
            copy(u, shift(u, w), w)
            abreast.copy(u_dot, y1_dot, n * m)
        else:
            combine(u, state, A_EXPLICIT, s, h, work, w)
            abreast.combine(u_dot, y_dot, A_EXPLICIT, s, h, k_dot, n * m)
        slope_tangent(address, sizes, control, u, p, tangent, shift(k_dot, s * n * m))
    return SUCCESS


@c_function(STEP)
def rosenbrock_tangent(address, sizes, control, state, p, work, tangent):
    """Tangent of the Rosenbrock step of size control[H] whose stages and factorisation stand in work."""
    settle(sizes, tangent)
    tangent[FRESH_TANGENT] = 0.0
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    per_h = 1.0 / control[H]
    _, _, y_dot, y1_dot, u_dot, error, _, _, k_dot, jacobian_dot, p_dot, _, _ = parts(sizes, tangent)
    u = shift(work, STIFF_STAGES * w)
    y1 = shift(u, w)
    LU = shift(work, (STIFF_STAGES + 4) * w + WEIGHTS + sizes[N_JACOBIAN])
    call6(address[D_JACOBIAN], state, p, y_dot, p_dot, jacobian_dot, m)
    for s in unrolled(0, STIFF_STAGES):
        stage = shift(work, s * w)
        g = shift(k_dot, s * n * m)
        if s == 0:
            copy(u, state, w)
            abreast.copy(u_dot, y_dot, n * m)
            slope_tangent(address, sizes, control, u, p, tangent, g)
        else:
            combine(u, state, A_STIFF, s, 1.0, work, w)
            abreast.combine(u_dot, y_dot, A_STIFF, s, 1.0, k_dot, n * m)
            slope_tangent(address, sizes, control, u, p, tangent, g)
            abreast.combine(g, g, C_STIFF, s, per_h, k_dot, n * m)
        call4(address[CONTRACT_LANES], jacobian_dot, stage, g, m)
        call3(address[SOLVE_LANES], LU, g, m)
    abreast.plus(y1_dot, u_dot, shift(k_dot, (STIFF_STAGES - 1) * n * m), n * m)
    abreast.total(error, 1.0, STIFF_ERROR, STIFF_STAGES, k_dot, n * m)
    tangent[ERROR_NORM] = norm(sizes, control, state, y1, tangent)
    return SUCCESS


@c_function(STEP)
def emit_tangent(address, sizes, u, p, tangent, line, weights):
    """Write the tangents of outputs and states at the state u into line : (width, m); weights: of y, y1 and
    the stages in u."""
    settle(sizes, tangent)
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    _, _, y_dot, y1_dot, _, _, _, at, k_dot, _, p_dot, _, _ = parts(sizes, tangent)
    stages = int(tangent[DENSE_STAGES])
    abreast.blend(at, weights[0], y_dot, weights[1], y1_dot, shift(weights, 2), stages, k_dot, n * m)
    call6(address[D_OUTPUTS], u, p, at, p_dot, line, m)
    for i in range((sizes[WIDTH] - sizes[N_OUTPUTS]) * m):
        line[sizes[N_OUTPUTS] * m + i] = at[i]
    return SUCCESS


@c_function(STEP)
def initial_tangent(address, sizes, control, state, p, work, tangent):
    """Tangents of parameters and constants, of initial values, and of lag, F, duration and rate of the
    routes.

    At a steady state the implicit function theorem gives ``J_ff y_f' = -(f_p p' + J_fe y_e')`` for the states
    f that rest.
    """
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    scale, rate, y_dot, _, u_dot, _, largest, _, k_dot, jacobian_dot, p_dot, _, route = parts(sizes, tangent)
    route_dot = shift(route, 4 * sizes[N_ROUTES])
    seeds = shift(own_tangents(sizes, tangent), sizes[N_OWN] * m)
    tangent[SETTLE] = 0.0
    tangent[FRESH_TANGENT] = 0.0
    clear(rate, n * m)
    clear(k_dot, sizes[N_STAGES] * n * m)
    clear(p_dot, sizes[N_PREPARED] * m)
    for i in range(sizes[N_PARAMS]):
        d = sizes[sizes[AT_SLOTS] + i]
        if d >= 0:
            p_dot[i * m + d] = scale[d]
    call2(address[ROUTES], p, route)
    call3(address[D_CONSTANTS], p, p_dot, m)
    call4(address[D_INITIAL], p, p_dot, y_dot, m)
    call4(address[D_ROUTES], p, p_dot, route_dot, m)
    abreast.plus(y_dot, y_dot, seeds, n * m)
    free = sizes[N_STEADY]
    if free > 0:
        steady = shift(sizes, sizes[AT_STEADY])
        for i in range(free):
            for d in range(m):
                y_dot[steady[i] * m + d] = 0.0
        abreast.copy(u_dot, y_dot, n * m)
        g = k_dot
        control[INFUSING] = 0.0
        slope_tangent(address, sizes, control, state, p, tangent, g)
        a = work
        b = shift(work, free * free)
        for i in range(free):
            for d in range(m):
                b[i * m + d] = g[steady[i] * m + d]
        negative_jacobian(address, sizes, state, p, steady, jacobian_dot, 0.0, a)
        if not solve_dense(a, b, free, m):
            return NO_STEADY_STATE
        for i in range(free):
            for d in range(m):
                y_dot[steady[i] * m + d] = b[i * m + d]
        clear(g, n * m)
    for i in range(n * m):
        largest[i] = abs(y_dot[i])
    return SUCCESS


@inner
def set_tangent(sizes, tangent, event):
    """Over an event that sets states, or adds to all of them, at a time that does not move."""
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    _, rate_dot, y_dot, _, _, _, _, _, _, _, _, _, _ = parts(sizes, tangent)
    target, kind = int(event[EVENT_STATE]), int(event[EVENT_KIND])
    own_dot = own_tangents(sizes, tangent)
    clear(moving(sizes, tangent), m)
    if kind == REPLACE:
        abreast.copy(shift(y_dot, target * m), shift(own_dot, seed_of(sizes, event)), m)
    else:
        if kind == SET:
            clear(y_dot, n * m)
            clear(rate_dot, n * m)
        abreast.plus(y_dot, y_dot, shift(own_dot, target * m), n * m)


@inner
def seed_of(sizes, event):
    """Where behind own' the seeds of the event's dose stand."""
    return (sizes[N_OWN] + sizes[N_STATES] + int(event[EVENT_DOSE])) * sizes[N_DIRECTIONS]


@inner
def slopes_apart(address, sizes, state, p, event, column):
    """How much the slopes before the event exceed those after it, f(y-) - f(y+), infusions included: (n,)."""
    n = sizes[N_STATES]
    before = column
    after = shift(column, sizes[WIDE])
    y = shift(after, sizes[WIDE])
    target = int(event[EVENT_STATE])
    for i in range(n):
        y[i] = state[i]
    call3(address[RHS], y, p, before)
    y[target] += event[EVENT_JUMP]
    if sizes[N_WATCHED] > 0 and event[EVENT_JUMP] != 0.0:
        hold(address, sizes, y, p, shift(column, 3 * sizes[WIDE]))
    call3(address[RHS], y, p, after)
    for i in range(n):
        before[i] -= after[i]
    before[target] -= event[EVENT_RATE]
    return before


@c_function(STEP)
def event_tangent(address, sizes, state, p, dose, event, tangent):
    """Carry the tangents over one breakpoint, before the state itself is changed.

    A sensitivity passes a breakpoint whose time t moves with a parameter by ``s+ = s- + (f(y-) - f(y+)) t' +
    jump'`` (Rozenvasser 1967).
    dose : a row of doses; event : (time, state, jump, rate change, dose, kind).
    """
    settle(sizes, tangent)
    tangent[FRESH_TANGENT] = 0.0
    kind = int(event[EVENT_KIND])
    if kind == SET or kind == ADD or kind == REPLACE:
        set_tangent(sizes, tangent, event)
        return SUCCESS
    n, m = sizes[N_STATES], sizes[N_DIRECTIONS]
    scale, rate_dot, y_dot, _, _, _, _, _, _, _, _, column, r = parts(sizes, tangent)
    r_dot = shift(r, 4 * sizes[N_ROUTES])
    target = int(event[EVENT_STATE])
    seeds = shift(own_tangents(sizes, tangent), seed_of(sizes, event))
    time_moves = moving(sizes, tangent)
    apart = slopes_apart(address, sizes, state, p, event, column)
    k = ROUTE * int(dose[DOSE_ROUTE])
    route, route_dot = shift(r, k), shift(r_dot, k * m)
    size = int(dose[DOSE_SIZE])
    own_factor = p[sizes[N_PREPARED] + int(dose[DOSE_FACTOR])] if dose[DOSE_FACTOR] >= 0.0 else 1.0
    factor = own_factor * (p[size] if size >= 0 else 1.0)
    slot = sizes[sizes[AT_SLOTS] + size] if size >= 0 else -1
    given, share = dose[DOSE_AMOUNT], route[BIOAVAILABILITY]
    amount = given * factor * share
    duration, by_amount, by_duration, by_rate = infusion(dose, route, amount)
    # what was given before a state was set goes on from there
    moves = kind == INFUSION_END or dose[DOSE_TIME] + route[LAG] >= dose[DOSE_SINCE]
    for d in range(m):
        factor_dot = own_factor * scale[d] if slot == d else 0.0
        amount_dot = given * (factor * route_dot[BIOAVAILABILITY * m + d] + factor_dot * share)
        amount_dot += seeds[d] * factor * share
        time_dot = route_dot[LAG * m + d] if moves else 0.0
        jump_dot = amount_dot
        if kind != BOLUS:
            duration_dot = by_amount * amount_dot + by_duration * route_dot[OWN_DURATION * m + d]
            duration_dot += by_rate * route_dot[OWN_RATE * m + d]
            jump_dot = 0.0
            change = (amount_dot - amount / duration * duration_dot) / duration
            if kind == INFUSION_START:
                rate_dot[target * m + d] += change
            else:
                rate_dot[target * m + d] -= change
                time_dot += duration_dot
        time_moves[d] = time_dot
        for i in range(n):
            y_dot[i * m + d] += apart[i] * time_dot
        y_dot[target * m + d] += jump_dot
    return SUCCESS


@inner
def along(function, sizes, y, p, f, tangent, room):
    """How fast what the tangent of a function gives changes along f: (LANES) each, all lanes alike, behind
    (N_PREPARED, LANES) noughts in room."""
    n = sizes[N_STATES]
    _, _, _, _, u_dot, _, _, _, _, _, _, _, _ = parts(sizes, tangent)
    for i in range(n):
        for lane in range(LANES):
            u_dot[i * LANES + lane] = f[i]
    clear(room, sizes[N_PREPARED] * LANES)
    found = shift(room, sizes[N_PREPARED] * LANES)
    call6(function, y, p, u_dot, room, found, LANES)
    return found


@c_function(STEP)
def condition_tangent(address, sizes, control, state, p, work, tangent):
    """Set the condition control[CONDITION] to control[SETTING], and carry the tangents over its change; or
    say why there are none.

    As over a breakpoint, ``s+ = s- + (f- - f+) t'``; where a condition on states, g > 0, changes, ``t' =
    -(g_y s- + g_p p')/(g_y f-)`` (Galan, Feehery & Barton, Appl. Numer. Math. 31 (1999) 17-47). That holds
      where g goes through nought with a slope: not where it only
    just reaches it, nor where f+ leads back. work : noughts (N_PREPARED, LANES) | along a slope (2 n, LANES)
    | along the directions (2 n, m).
    """
    settle(sizes, tangent)
    tangent[FRESH_TANGENT] = 0.0
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    rate = shift(state, w)
    _, _, y_dot, _, _, _, _, _, _, _, p_dot, column, _ = parts(sizes, tangent)
    c = int(control[CONDITION])
    held = shift(p, sizes[N_PARAMS])
    before, after, y = column, shift(column, w), shift(column, 2 * w)
    call3(address[RHS], state, p, before)
    plus(before, before, rate, w)
    held[c] = control[SETTING]
    call3(address[RHS], state, p, after)
    plus(after, after, rate, w)
    g_dot = 1.0
    if c >= sizes[N_TIMERS]:
        jump = 0.0
        for i in range(n):
            jump = max(jump, abs(before[i] - after[i]) - 1e-9 * max(abs(before[i]), abs(after[i])))
        if jump <= 0.0:  # nothing jumps, whenever it changes
            return SUCCESS
        g_dot = along(address[D_CONDITIONS], sizes, state, p, before, tangent, work)[2 * c * LANES]
        if (
            not g_dot * along(address[D_CONDITIONS], sizes, state, p, after, tangent, work)[2 * c * LANES]
            > 0.0
        ):
            return SLIDING
        # how the slope of g changes; by what g may be wrong
        step = 1e-3 * control[H]
        for i in range(w):
            y[i] = state[i] + step * before[i]
        held[c] = -control[SETTING]
        call3(address[RHS], y, p, after)
        plus(after, after, rate, w)
        bend = (along(address[D_CONDITIONS], sizes, y, p, after, tangent, work)[2 * c * LANES] - g_dot) / step
        held[c] = control[SETTING]
        seen = shift(watched(sizes, control), (c - sizes[N_TIMERS]) * ROOT)
        if abs(bend) * UNSURE * control[RTOL] * seen[LARGEST_SAMPLE] > g_dot * g_dot:
            return GRAZING
        call3(address[RHS], state, p, after)
        plus(after, after, rate, w)
    found = shift(work, (sizes[N_PREPARED] + 2 * n_conditions(sizes)) * LANES)
    call6(address[D_CONDITIONS], state, p, y_dot, p_dot, found, m)
    time_moves = moving(sizes, tangent)
    for d in range(m):
        time_dot = found[2 * c * m + d]
        if c >= sizes[N_TIMERS]:
            time_dot = -time_dot / g_dot
        time_moves[d] = time_dot
        for i in range(n):
            y_dot[i * m + d] += (before[i] - after[i]) * time_dot
    return SUCCESS


METHODS = {
    name: bound(
        (explicit_tangent, dense_tangent),
        A_EXPLICIT=of.A, B_ERROR=of.B_ERROR, EXPLICIT_STAGES=of.STAGES, EXPLICIT_ALL=of.ALL,
        EXPLICIT_END=of.END,
    )
    for name, of in explicit.METHODS.items()
} | {
    name: bound(
        (rosenbrock_tangent,),
        A_STIFF=of.A, C_STIFF=of.C, STIFF_ERROR=of.B_ERROR, STIFF_STAGES=of.STAGES,
    )
    for name, of in rosenbrock.METHODS.items()
}  # fmt: skip
