"""Gradients backwards: how numbers that are sums of outputs move with every parameter, at the price of a few
solves, however many parameters there are.

The numerical solution is differentiated, as in ``tangent.py``, but from its end to its start (Hager, Numer.
Math. 87 (2000) 247-282; Griewank & Walther, Evaluating Derivatives, chapter 4). v is what a number F moves by
per unit of a state; a step from y to y1, whose stages are computed again from what the tape holds of it,
takes v1 to v. Explicit, with K_i = dF/dk_i and U_i = J(u_i)^T K_i, for the stages from the last to the first:

    K_j = h sum_(i>j) A_ij U_i,    v = v1 + sum_i U_i,    F_p += f_p(u_i)^T K_i

Rosenbrock, with M_i = W^-T K_i:

    K_j = [j last] v1 + sum_(i>j) (A_ij U_i + C_ij/h M_i),    U_i = J(u_i)^T M_i + [i last] v1,
    v = sum_i U_i + J_y^T (sum_i M_i k_i^T),    F_p += f_p(u_i)^T M_i + J_p^T (sum_i M_i k_i^T)

and what F depends on inside the step comes to K, v1 and v through the weights of dense output. Step sizes
are held fixed. Over a dose v stays as it is, and F moves with its amount, its time, its duration.

LANES subjects stand side by side, each at a step of its own of its own tape (``lanes.tape_lanes``); of
every subject there are the derivatives of FUNCTIONALS numbers. ``room``: see ``of_step`` and ``of_sums``.
``people`` is what subjects have, one after the other: doses | times | spans | counts | records | tapes |
weights (FUNCTIONALS, N_TIMES, N_OUTPUTS) of outputs | weights (FUNCTIONALS, N_AREAS) of areas | gradients
(FUNCTIONALS, N_PARAMS); ``areas`` : (N_AREAS, 3) from when to when, and of which output.
"""

from __future__ import annotations

from math import nan
from types import SimpleNamespace

import numpy as np

from pkpd.ode.methods import rosenbrock as rosenbrock_methods
from pkpd.ode.call import (
    DOUBLES, INTEGER, INTEGERS, anywhere, bound, c_function, call2, call3, call4, call5, choose, inner,
    lanes, larger, set_lanes, shift, smaller, unrolled,
)  # fmt: skip
from pkpd.ode.control import resolution
from pkpd.ode.doses import infusion
from pkpd.ode.lanes import explicit
from pkpd.ode.layout import (
    ADJOINT_CLOCKS, AT_J, AT_STEADY, BIOAVAILABILITY, BOLUS, DOSE, DOSES_AT, DOSE_AMOUNT, DOSE_FACTOR,
    DOSE_ROUTE, DOSE_SINCE, DOSE_SIZE, DOSE_TIME, D_CONSTANTS, D_INITIAL, D_ROUTES, EVENT,
    EVENT_DOSE, EVENT_JUMP,
    EVENT_KIND, EVENT_RATE, EVENT_STATE, EVENT_TIME, FACTOR_WIDE, FUNCTIONALS, INFUSION_END,
    JACOBIAN_BACKWARD_WIDE, JACOBIAN_WIDE, LAG, LANES, NEXT_EVENT, N_AREAS, N_CONTROL,
    N_COUNTS, N_JACOBIAN, N_LU, N_OUTPUTS, N_OWN, N_PARAMS, N_PREPARED, N_ROUTES, N_STAGES, N_STATES,
    N_STEADY, N_TIMES, OUTPUTS_BACKWARD, OUTPUTS_BACKWARD_WIDE, OWN_DURATION, OWN_RATE, RECORD, RHS,
    RHS_BACKWARD, RHS_BACKWARD_WIDE, RHS_WIDE, ROUTE, ROUTES, ROWS, SOLVE_BACKWARD_WIDE, SOLVE_WIDE, SPAN,
    STEPS, TAPE, TAPED, TAPE_END, TAPE_EVENTS, TAPE_EXPLICIT, TAPE_ROWS, TAPE_STEP, TAPE_TIME, TIMES_AT,
    WIDE,
)  # fmt: skip
from pkpd.ode.readings import AT, NODES, WEIGHT
from pkpd.ode.status import SUCCESS
from pkpd.ode.steady import negative_jacobian, solve_dense
from pkpd.ode.vectors import abreast, clear

# clocks: one vector each
(
    HOLDER,  # the subject that a lane holds, or -1
    LEFT,  # steps that are still to be taken back
    BUSY, EXPLICIT,  # whether there is one, and whether it was explicit
    BEGAN, STEP,
    ROW, ROW_END,  # output times inside the step
    ROWS_BEFORE, EVENTS_BEFORE,  # output times and events before the place that has been reached
    MINE,  # whether the lane takes part in what is done
    WITHIN,  # a part of the step
) = range(ADJOINT_CLOCKS)  # fmt: skip
HARMLESS = 1e-12  # a step for lanes that take no part


@inner
def of_step(sizes, room):
    """Pointers to what a step needs, in vectors of LANES: y | y1 | rate | p | J | factors | J bar | u | u bar
    | outputs bar | v | v1 | weights of stages | route attributes | clocks, and to what its stages have
    (N_STAGES, n): arguments | k | M | U | K from dense output."""
    n, size = sizes[N_STATES], sizes[N_STATES] * LANES
    p = shift(room, 3 * size)
    J = shift(p, sizes[N_PREPARED] * LANES)
    LU = shift(J, sizes[N_JACOBIAN] * LANES)
    J_bar = shift(LU, sizes[N_LU] * LANES)
    u = shift(J_bar, sizes[N_JACOBIAN] * LANES)
    out_bar = shift(u, 2 * size)
    v = shift(out_bar, sizes[N_OUTPUTS] * LANES)
    weights = shift(v, 2 * size)
    routes = shift(weights, sizes[N_STAGES] * LANES)
    clocks = shift(routes, ROUTE * sizes[N_ROUTES] * LANES)
    stages = shift(clocks, ADJOINT_CLOCKS * LANES)
    all_of = sizes[N_STAGES] * n * LANES
    return (
        room, shift(room, size), shift(room, 2 * size), p, J, LU, J_bar, u, shift(u, size), out_bar, v,
        shift(v, size), weights, routes, clocks, stages, shift(stages, all_of), shift(stages, 2 * all_of),
        shift(stages, 3 * all_of), shift(stages, 4 * all_of),
    )  # fmt: skip


@inner
def of_sums(sizes, room):
    """Pointers to what is summed up of each number, in vectors: v (n) | rates bar (n) | p bar (N_PREPARED) |
    routes bar | whether anything has been, FUNCTIONALS each."""
    _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, stages, _, _, _, _ = of_step(sizes, room)
    count, size = sizes[FUNCTIONALS], sizes[N_STATES] * LANES
    v = shift(stages, 5 * sizes[N_STAGES] * size)
    rates = shift(v, count * size)
    p = shift(rates, count * size)
    routes = shift(p, count * sizes[N_PREPARED] * LANES)
    return v, rates, p, routes, shift(routes, count * ROUTE * sizes[N_ROUTES] * LANES)


@inner
def clock(clocks, which):
    """One vector of the clocks."""
    return lanes(shift(clocks, which * LANES))


@inner
def add(target, source, count):
    """``target += source``, in vectors."""
    for i in range(0, count, LANES):
        set_lanes(shift(target, i), lanes(shift(target, i)) + lanes(shift(source, i)))


# ---- a step, in every lane


@inner
def stages_explicit(address, sizes, h, room):
    """The stages of an explicit step again."""
    y, y1, rate, p, _, _, _, _, _, _, _, _, _, _, _, at, k, _, _, _ = of_step(sizes, room)
    size = sizes[N_STATES] * LANES
    for s in unrolled(0, explicit.STAGES):
        u, stage = shift(at, s * size), shift(k, s * size)
        if s == 0:
            abreast.copy(u, y, size)
        else:
            abreast.combine(u, y, explicit.A, s, h, k, size)
        call3(address[RHS_WIDE], u, p, stage)
        abreast.plus(stage, stage, rate, size)
    abreast.copy(y1, shift(at, explicit.LAST * size), size)


@inner
def weigh_explicit(x, h, weights):
    """The weights of the stages at a part of each lane's step."""
    for s in unrolled(0, explicit.STAGES):
        weight = 0.0 * x
        for power in unrolled(0, explicit.POWERS):
            weight = explicit.DENSE[s, explicit.POWERS - 1 - power] + x * weight
        set_lanes(shift(weights, s * LANES), h * x * weight)


@inner
def spread_explicit(x, u_bar, v, v1, size):
    """What dense output gives to v and v1."""
    add(v, u_bar, size)


@inner
def blend_explicit(x, y, y1, k, weights, i, size):
    """Dense output of the state at i."""
    return explicit.blend_wide(x, y, y1, k, weights, i, size)


@inner
def sweep_explicit(address, sizes, h, room, rates, p_bar, dense):
    """An explicit step backwards: what F moves by per unit of y, into v. dense : whether anything inside the
    step counts."""
    _, _, _, p, _, _, _, _, g, _, v, v1, _, _, _, at, _, _, bars, inside = of_step(sizes, room)
    size = sizes[N_STATES] * LANES
    for j in unrolled(0, explicit.STAGES):
        s = explicit.LAST - j
        bar = shift(bars, j * size)
        if j == 0:
            abreast.copy(g, shift(inside, s * size), size)
            abreast.copy(bar, v1, size)
        else:
            abreast.combine(g, shift(inside, s * size), BACK_A, j, h, bars, size)
            clear(bar, size)
        if dense or j > 0:  # else the last stage is there for the next step alone
            call5(address[RHS_BACKWARD_WIDE], shift(at, s * size), p, g, bar, p_bar)
            add(rates, g, size)
        add(v, bar, size)


@inner
def stages_rosenbrock(address, sizes, h, room):
    """The stages of a Rosenbrock step again."""
    y, y1, rate, p, J, LU, _, d, _, _, _, _, _, _, _, at, k, _, _, _ = of_step(sizes, room)
    size = sizes[N_STATES] * LANES
    call3(address[JACOBIAN_WIDE], y, p, J)
    set_lanes(d, 1.0 / (h * rosenbrock.GAMMA))
    call3(address[FACTOR_WIDE], J, d, LU)
    per_h = 1.0 / h
    for s in unrolled(0, rosenbrock.STAGES):
        u, stage = shift(at, s * size), shift(k, s * size)
        if s == 0:
            abreast.copy(u, y, size)
        else:
            abreast.combine(u, y, rosenbrock.A, s, 1.0, k, size)
        call3(address[RHS_WIDE], u, p, stage)
        abreast.plus(stage, stage, rate, size)
        if s > 0:
            abreast.combine(stage, stage, rosenbrock.C, s, per_h, k, size)
        call2(address[SOLVE_WIDE], LU, stage)
    last = rosenbrock.LAST * size
    abreast.plus(y1, shift(at, last), shift(k, last), size)


@inner
def weigh_rosenbrock(x, h, weights):
    """The weights of the stages at a part of each lane's step."""
    for s in unrolled(0, rosenbrock.STAGES):
        weight = 0.0 * x
        for power in unrolled(0, rosenbrock.POWERS):
            weight = rosenbrock.DENSE[rosenbrock.POWERS - 1 - power, s] + x * weight
        set_lanes(shift(weights, s * LANES), x * (1.0 - x) * weight)


@inner
def spread_rosenbrock(x, u_bar, v, v1, size):
    """What dense output gives to v and v1."""
    for i in range(0, size, LANES):
        set_lanes(shift(v, i), lanes(shift(v, i)) + (1.0 - x) * lanes(shift(u_bar, i)))
        set_lanes(shift(v1, i), lanes(shift(v1, i)) + x * lanes(shift(u_bar, i)))


@inner
def blend_rosenbrock(x, y, y1, k, weights, i, size):
    """Dense output of the state at i."""
    total = (1.0 - x) * lanes(shift(y, i)) + x * lanes(shift(y1, i))
    for s in unrolled(0, rosenbrock.STAGES):
        total += lanes(shift(weights, s * LANES)) * lanes(shift(k, s * size + i))
    return total


@inner
def sweep_rosenbrock(address, sizes, h, room, rates, p_bar, dense):
    """A Rosenbrock step backwards: what F moves by per unit of y, into v."""
    y, _, _, p, _, LU, J_bar, _, g, _, v, v1, _, _, _, at, k, ms, bars, inside = of_step(sizes, room)
    size = sizes[N_STATES] * LANES
    per_h = 1.0 / h
    for j in unrolled(0, rosenbrock.STAGES):
        s = rosenbrock.LAST - j
        bar, m = shift(bars, j * size), shift(ms, j * size)
        if j == 0:
            abreast.plus(g, shift(inside, s * size), v1, size)
            abreast.copy(bar, v1, size)
        else:
            abreast.combine(g, shift(inside, s * size), BACK_A, j, 1.0, bars, size)
            abreast.combine(g, g, BACK_C, j, per_h, ms, size)
            clear(bar, size)
        clear(m, size)
        call4(address[SOLVE_BACKWARD_WIDE], LU, g, g, m)
        call5(address[RHS_BACKWARD_WIDE], shift(at, s * size), p, m, bar, p_bar)
        add(rates, m, size)
        add(v, bar, size)
    pattern = shift(sizes, sizes[AT_J])
    for e in range(sizes[N_JACOBIAN]):
        row, column = pattern[2 * e] * LANES, pattern[2 * e + 1] * LANES
        total = lanes(shift(ms, row)) * lanes(shift(k, rosenbrock.LAST * size + column))
        for j in unrolled(1, rosenbrock.STAGES):
            s = rosenbrock.LAST - j
            total += lanes(shift(ms, j * size + row)) * lanes(shift(k, s * size + column))
        set_lanes(shift(J_bar, e * LANES), total)
    call5(address[JACOBIAN_BACKWARD_WIDE], y, p, J_bar, v, p_bar)


@inner
def inside_step(address, sizes, h, room, p_bar):
    """What F moves by through outputs (their bars) at parts of the steps."""
    y, y1, _, p, _, _, _, u, u_bar, out_bar, v, v1, weights, _, clocks, _, k, _, _, inside = of_step(
        sizes, room
    )
    size = sizes[N_STATES] * LANES
    x = clock(clocks, WITHIN)
    side.weigh(x, h, weights)
    for i in range(0, size, LANES):
        set_lanes(shift(u, i), side.blend(x, y, y1, k, weights, i, size))
    clear(u_bar, size)
    call5(address[OUTPUTS_BACKWARD_WIDE], u, p, out_bar, u_bar, p_bar)
    side.spread(x, u_bar, v, v1, size)
    for s in unrolled(0, side.STAGES):
        weight = lanes(shift(weights, s * LANES))
        for i in range(0, size, LANES):
            at = shift(inside, s * size + i)
            set_lanes(at, lanes(at) + weight * lanes(shift(u_bar, i)))


@inner
def rows_inside(address, sizes, people, h, room, f, p_bar, live):
    """Weighted outputs at times inside the steps; whether there are any."""
    _, times, spans, _, _, _, weights, _, _ = people
    _, _, _, _, _, _, _, _, _, out_bar, _, _, _, _, clocks, _, _, _, _, _ = of_step(sizes, room)
    count, n_outputs = 0, sizes[N_OUTPUTS]
    for lane in range(LANES):
        if clocks[MINE * LANES + lane] > 0.0:
            count = max(count, int(clocks[ROW_END * LANES + lane] - clocks[ROW * LANES + lane]))
    found = False
    for r in range(count):
        some = False
        for lane in range(LANES):
            clocks[WITHIN * LANES + lane] = 0.5
            for o in range(n_outputs):
                out_bar[o * LANES + lane] = 0.0
            row = int(clocks[ROW * LANES + lane]) + r
            if clocks[MINE * LANES + lane] > 0.0 and row < int(clocks[ROW_END * LANES + lane]):
                s = int(clocks[HOLDER * LANES + lane])
                t = times[spans[s * SPAN + TIMES_AT] + row]
                clocks[WITHIN * LANES + lane] = (t - clocks[BEGAN * LANES + lane]) / clocks[
                    STEP * LANES + lane
                ]
                line = shift(weights, ((s * sizes[FUNCTIONALS] + f) * sizes[N_TIMES] + row) * n_outputs)
                for o in range(n_outputs):
                    out_bar[o * LANES + lane] = line[o]
                    if line[o] != 0.0:
                        some = True
                        live[lane] = 1.0
        if some:
            inside_step(address, sizes, h, room, p_bar)
            found = True
    return found


@inner
def areas_inside(address, sizes, people, areas, h, room, f, p_bar, live):
    """Weighted areas, by the rule with which they are read; whether there are any."""
    _, _, _, _, _, _, _, weights, _ = people
    _, _, _, _, _, _, _, _, _, out_bar, _, _, _, _, clocks, _, _, _, _, _ = of_step(sizes, room)
    found = False
    for a in range(sizes[N_AREAS]):
        area = shift(areas, 3 * a)
        for lane in range(LANES):
            weight = 0.0
            if clocks[MINE * LANES + lane] > 0.0:
                s = int(clocks[HOLDER * LANES + lane])
                weight = weights[(s * sizes[FUNCTIONALS] + f) * sizes[N_AREAS] + a]
            clocks[WITHIN * LANES + lane] = weight
        began = clock(clocks, BEGAN)
        first = smaller(larger((area[0] - began) / h, 0.0 * h), 1.0 + 0.0 * h)
        last = smaller(larger((area[1] - began) / h, 0.0 * h), 1.0 + 0.0 * h)
        part = clock(clocks, WITHIN) * (last - first)
        if anywhere(part != 0.0):
            found = True
            set_lanes(live, choose(part != 0.0, 1.0, lanes(live)))
            for i in range(0, sizes[N_OUTPUTS] * LANES, LANES):
                set_lanes(shift(out_bar, i), 0.0 * h)
            for j in unrolled(0, NODES):
                set_lanes(shift(clocks, WITHIN * LANES), first + AT[j] * (last - first))
                set_lanes(shift(out_bar, int(area[2]) * LANES), part * h * WEIGHT[j])
                inside_step(address, sizes, h, room, p_bar)
    return found


explicit_side = SimpleNamespace(
    STAGES=explicit.STAGES, stages=stages_explicit, sweep=sweep_explicit, weigh=weigh_explicit,
    spread=spread_explicit, blend=blend_explicit,
)  # fmt: skip
side = explicit_side  # here the explicit one; ``METHODS`` below binds each


@inner
def take_back(address, sizes, people, areas, room, mine):
    """Take back one step in every lane where the mask is true."""
    _, _, _, _, _, _, _, _, _, _, v, v1, _, _, clocks, _, _, _, _, inside = of_step(sizes, room)
    all_v, all_rates, all_p, _, all_live = of_sums(sizes, room)
    size = sizes[N_STATES] * LANES
    set_lanes(shift(clocks, MINE * LANES), choose(mine, 1.0, 0.0))
    h = choose(mine, clock(clocks, STEP), HARMLESS)
    side.stages(address, sizes, h, room)
    for f in range(sizes[FUNCTIONALS]):
        known, rates = shift(all_v, f * size), shift(all_rates, f * size)
        p_bar, live = shift(all_p, f * sizes[N_PREPARED] * LANES), shift(all_live, f * LANES)
        for i in range(0, size, LANES):
            set_lanes(shift(v1, i), choose(mine, lanes(shift(known, i)), 0.0))
        clear(v, size)
        clear(inside, side.STAGES * size)
        dense = rows_inside(address, sizes, people, h, room, f, p_bar, live)
        if areas_inside(address, sizes, people, areas, h, room, f, p_bar, live):
            dense = True
        if anywhere(mine & (lanes(live) > 0.0)):
            side.sweep(address, sizes, h, room, rates, p_bar, dense)
            for i in range(0, size, LANES):
                at = shift(known, i)
                set_lanes(at, choose(mine, lanes(shift(v, i)), lanes(at)))


take_back_explicit = take_back_rosenbrock = take_back  # bound to either side in ``METHODS``


# ---- one lane at a breakpoint


@inner
def row_back(address, sizes, people, room, lane, s, row, work):
    """What F moves by through the outputs of a row, of the state in work."""
    _, _, _, _, records, _, weights, _, _ = people
    v, _, p_bar, _, live = of_sums(sizes, room)
    n, q, w, n_outputs = sizes[N_STATES], sizes[N_PREPARED], sizes[WIDE], sizes[N_OUTPUTS]
    p = shift(records, s * sizes[RECORD] + N_CONTROL + 4 * w)
    u_bar, own_bar = shift(work, w), shift(work, 2 * w)
    for f in range(sizes[FUNCTIONALS]):
        line = shift(weights, ((s * sizes[FUNCTIONALS] + f) * sizes[N_TIMES] + row) * n_outputs)
        some = False
        for o in range(n_outputs):
            if line[o] != 0.0:
                some = True
        if some:
            clear(u_bar, n)
            clear(own_bar, q)
            call5(address[OUTPUTS_BACKWARD], work, p, line, u_bar, own_bar)
            for i in range(n):
                v[(f * n + i) * LANES + lane] += u_bar[i]
            for i in range(q):
                p_bar[(f * q + i) * LANES + lane] += own_bar[i]
            live[f * LANES + lane] = 1.0


@inner
def event_back(address, sizes, people, room, lane, s, event, work):
    """Take back one event from the state in work, and say what F moves by with the dose: the transposed of
    ``tangent.event_tangent``."""
    doses, _, spans, _, records, _, _, _, _ = people
    _, _, rate, _, _, _, _, _, _, _, _, _, _, routes, _, _, _, _, _, _ = of_step(sizes, room)
    v, rates_bar, p_bar, routes_bar, _ = of_sums(sizes, room)
    n, q, w = sizes[N_STATES], sizes[N_PREPARED], sizes[WIDE]
    p = shift(records, s * sizes[RECORD] + N_CONTROL + 4 * w)
    dose = shift(doses, DOSE * (spans[s * SPAN + DOSES_AT] + int(event[EVENT_DOSE])))
    kind, target = int(event[EVENT_KIND]), int(event[EVENT_STATE])
    apart, before, route = shift(work, w), shift(work, 2 * w), shift(work, 3 * w)
    call3(address[RHS], work, p, apart)
    work[target] -= event[EVENT_JUMP]
    rate[target * LANES + lane] -= event[EVENT_RATE]
    call3(address[RHS], work, p, before)
    for i in range(n):
        apart[i] = before[i] - apart[i]
    apart[target] -= event[EVENT_RATE]
    first = ROUTE * int(dose[DOSE_ROUTE])
    for i in range(ROUTE):
        route[i] = routes[(first + i) * LANES + lane]
    size = int(dose[DOSE_SIZE])
    own_factor = p[q + int(dose[DOSE_FACTOR])] if dose[DOSE_FACTOR] >= 0.0 else 1.0
    factor = own_factor * (p[size] if size >= 0 else 1.0)
    given, share = dose[DOSE_AMOUNT], route[BIOAVAILABILITY]
    amount = given * factor * share
    duration, by_amount, by_duration, by_rate = infusion(dose, route, amount)
    moves = kind == INFUSION_END or dose[DOSE_TIME] + route[LAG] >= dose[DOSE_SINCE]
    for f in range(sizes[FUNCTIONALS]):
        time_bar = 0.0
        for i in range(n):
            time_bar += v[(f * n + i) * LANES + lane] * apart[i]
        bars = shift(routes_bar, (f * sizes[N_ROUTES] * ROUTE + first) * LANES + lane)
        amount_bar = v[(f * n + target) * LANES + lane]
        if kind != BOLUS:
            change_bar = rates_bar[(f * n + target) * LANES + lane]
            if kind == INFUSION_END:
                change_bar = -change_bar
            duration_bar = -amount / (duration * duration) * change_bar
            if kind == INFUSION_END:
                duration_bar += time_bar
            amount_bar = change_bar / duration + by_amount * duration_bar
            bars[OWN_DURATION * LANES] += by_duration * duration_bar
            bars[OWN_RATE * LANES] += by_rate * duration_bar
        if moves:
            bars[LAG * LANES] += time_bar
        bars[BIOAVAILABILITY * LANES] += given * factor * amount_bar
        if size >= 0:
            p_bar[(f * q + size) * LANES + lane] += given * own_factor * share * amount_bar


@inner
def begin_backwards(address, sizes, people, room, lane, s, work):
    """A subject, at its end, into the lane."""
    _, _, _, counts, records, _, _, _, _ = people
    y, _, rate, p, _, _, _, _, _, _, _, _, _, routes, clocks, _, _, _, _, _ = of_step(sizes, room)
    v, rates_bar, p_bar, routes_bar, live = of_sums(sizes, room)
    n, q, w, count = sizes[N_STATES], sizes[N_PREPARED], sizes[WIDE], sizes[FUNCTIONALS]
    record = shift(records, s * sizes[RECORD])
    state = shift(record, N_CONTROL)
    prepared = shift(state, 4 * w)
    for i in range(n):
        y[i * LANES + lane] = state[i]
        rate[i * LANES + lane] = state[w + i]
    for i in range(q):
        p[i * LANES + lane] = prepared[i]
    call2(address[ROUTES], prepared, work)
    for i in range(ROUTE * sizes[N_ROUTES]):
        routes[i * LANES + lane] = work[i]
    for i in range(count * n):
        v[i * LANES + lane] = 0.0
        rates_bar[i * LANES + lane] = 0.0
    for i in range(count * q):
        p_bar[i * LANES + lane] = 0.0
    for i in range(count * ROUTE * sizes[N_ROUTES]):
        routes_bar[i * LANES + lane] = 0.0
    for f in range(count):
        live[f * LANES + lane] = 0.0
    clocks[HOLDER * LANES + lane] = float(s)
    clocks[LEFT * LANES + lane] = float(counts[s * N_COUNTS + STEPS])
    clocks[ROWS_BEFORE * LANES + lane] = float(counts[s * N_COUNTS + ROWS])
    clocks[EVENTS_BEFORE * LANES + lane] = record[NEXT_EVENT]


@inner
def breakpoint_back(address, sizes, people, room, lane, work):
    """Take back what happened between the step before and where the lane is, and fetch that step; whether
    there is one."""
    _, times, spans, _, records, tapes, _, _, _ = people
    y, _, _, _, _, _, _, _, _, _, _, _, _, _, clocks, _, _, _, _, _ = of_step(sizes, room)
    n, w = sizes[N_STATES], sizes[WIDE]
    s = int(clocks[HOLDER * LANES + lane])
    left = int(clocks[LEFT * LANES + lane])
    own_times = shift(times, spans[s * SPAN + TIMES_AT])
    prepared = shift(records, s * sizes[RECORD] + N_CONTROL + 4 * w)
    events = shift(prepared, sizes[N_PREPARED] + sizes[N_OWN])
    row, e = int(clocks[ROWS_BEFORE * LANES + lane]), int(clocks[EVENTS_BEFORE * LANES + lane])
    first_row, row_end, first_event = 0, 0, 0
    step = shift(tapes, (s * sizes[TAPED] + max(left - 1, 0)) * (TAPE + n))
    if left > 0:
        first_row, first_event = int(step[TAPE_ROWS]), int(step[TAPE_EVENTS])
        end = step[TAPE_TIME] + step[TAPE_STEP]
        limit = step[TAPE_END] - resolution(step[TAPE_END])
        row_end = first_row
        while row_end < row and own_times[row_end] <= end and own_times[row_end] < limit:
            row_end += 1
    for i in range(n):
        work[i] = y[i * LANES + lane]
    while row > row_end or e > first_event:
        event = shift(events, EVENT * max(e - 1, 0))
        written_last = e <= first_event
        if row > row_end and not written_last:
            t = own_times[row - 1]
            written_last = event[EVENT_TIME] <= t + resolution(t)
        if written_last:
            row -= 1
            row_back(address, sizes, people, room, lane, s, row, work)
        else:
            e -= 1
            event_back(address, sizes, people, room, lane, s, event, work)
    if left == 0:
        for i in range(n):
            y[i * LANES + lane] = work[i]
        return False
    for i in range(n):
        y[i * LANES + lane] = step[TAPE + i]
    clocks[EXPLICIT * LANES + lane] = step[TAPE_EXPLICIT]
    clocks[BEGAN * LANES + lane] = step[TAPE_TIME]
    clocks[STEP * LANES + lane] = step[TAPE_STEP]
    clocks[ROW * LANES + lane] = float(first_row)
    clocks[ROW_END * LANES + lane] = float(row_end)
    clocks[ROWS_BEFORE * LANES + lane] = float(first_row)
    clocks[EVENTS_BEFORE * LANES + lane] = float(first_event)
    clocks[LEFT * LANES + lane] = float(left - 1)
    return True


@inner
def rest_back(address, sizes, room, lane, p, work):
    """Through states that start at rest, where J_ff y_f' = -(f_p p' + J_fe y_e'); the state in work. False
    where there is no derivative."""
    v, _, p_bar, _, _ = of_sums(sizes, room)
    n, q, w, count = sizes[N_STATES], sizes[N_PREPARED], sizes[WIDE], sizes[FUNCTIONALS]
    free = sizes[N_STEADY]
    steady = shift(sizes, sizes[AT_STEADY])
    a = shift(work, w)
    b = shift(a, free * free)
    J = shift(b, free * count)
    slope_bar = shift(J, sizes[N_JACOBIAN])
    u_bar = shift(slope_bar, w)
    own_bar = shift(u_bar, w)
    negative_jacobian(address, sizes, work, p, steady, J, 0.0, a)
    for i in range(free):
        for j in range(i):
            across = a[i * free + j]
            a[i * free + j] = a[j * free + i]
            a[j * free + i] = across
        for f in range(count):
            b[i * count + f] = v[(f * n + steady[i]) * LANES + lane]
    if not solve_dense(a, b, free, count):
        return False
    for f in range(count):
        clear(slope_bar, n)
        clear(u_bar, n)
        clear(own_bar, q)
        for i in range(free):
            slope_bar[steady[i]] = b[i * count + f]
        call5(address[RHS_BACKWARD], work, p, slope_bar, u_bar, own_bar)
        for i in range(n):
            v[(f * n + i) * LANES + lane] += u_bar[i]
        for i in range(free):
            v[(f * n + steady[i]) * LANES + lane] = 0.0
        for i in range(q):
            p_bar[(f * q + i) * LANES + lane] += own_bar[i]
    return True


@inner
def conclude(address, sizes, people, room, lane, work):
    """From initial values, constants and routes to the parameters: the gradients of a subject whose steps are
    all taken back; nan where there are none."""
    _, _, _, _, records, _, _, _, gradients = people
    y, _, _, _, _, _, _, _, _, _, _, _, _, _, clocks, _, _, _, _, _ = of_step(sizes, room)
    v, _, p_bar, routes_bar, _ = of_sums(sizes, room)
    n, q, n_routes = sizes[N_STATES], sizes[N_PREPARED], ROUTE * sizes[N_ROUTES]
    s = int(clocks[HOLDER * LANES + lane])
    p = shift(records, s * sizes[RECORD] + N_CONTROL + 4 * sizes[WIDE])
    known = 1.0
    if sizes[N_STEADY] > 0:
        for i in range(n):
            work[i] = y[i * LANES + lane]
        if not rest_back(address, sizes, room, lane, p, work):
            known = nan
    p_dot = work
    y_dot = shift(p_dot, q * LANES)
    route_dot = shift(y_dot, n * LANES)
    total_of = shift(route_dot, n_routes * LANES)
    for first in range(0, sizes[N_PARAMS], LANES):
        here = min(LANES, sizes[N_PARAMS] - first)
        clear(p_dot, q * LANES)
        for j in range(here):
            p_dot[(first + j) * LANES + j] = 1.0
        call3(address[D_CONSTANTS], p, p_dot, LANES)
        call4(address[D_INITIAL], p, p_dot, y_dot, LANES)
        call4(address[D_ROUTES], p, p_dot, route_dot, LANES)
        for f in range(sizes[FUNCTIONALS]):
            total = known * (p_bar[f * q * LANES + lane] * lanes(p_dot))
            for i in range(1, q):
                total += p_bar[(f * q + i) * LANES + lane] * lanes(shift(p_dot, i * LANES))
            for i in range(n):
                total += v[(f * n + i) * LANES + lane] * lanes(shift(y_dot, i * LANES))
            for i in range(n_routes):
                total += routes_bar[(f * n_routes + i) * LANES + lane] * lanes(shift(route_dot, i * LANES))
            set_lanes(total_of, total)
            gradient = shift(gradients, (s * sizes[FUNCTIONALS] + f) * sizes[N_PARAMS] + first)
            for j in range(here):
                gradient[j] = total_of[j]


PULL_BACK = (
    None, INTEGERS, INTEGERS, DOUBLES, DOUBLES, INTEGERS, INTEGERS, DOUBLES, DOUBLES, INTEGERS, DOUBLES,
    DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES, INTEGER,
)  # fmt: skip


@c_function(PULL_BACK)
def pull_back(
    address, sizes, doses, times, spans, counts, records, tapes, status, weights, areas, area_weights, room,
    work, gradients, n_subjects,
):  # fmt: skip
    """The gradients of every subject that has been integrated with success; those of others stay as they are.
    Everything begins with the first of the subjects. work : see ``layout.adjoint_size``."""
    people = doses, times, spans, counts, records, tapes, weights, area_weights, gradients
    _, _, _, _, _, _, _, _, _, _, _, _, _, _, clocks, _, _, _, _, _ = of_step(sizes, room)
    for lane in range(LANES):
        clocks[HOLDER * LANES + lane] = -1.0
    waiting = 0
    while True:
        some = False
        for lane in range(LANES):
            busy = False
            while not busy and (clocks[HOLDER * LANES + lane] >= 0.0 or waiting < n_subjects):
                if clocks[HOLDER * LANES + lane] < 0.0:
                    if status[waiting] == SUCCESS:
                        begin_backwards(address, sizes, people, room, lane, waiting, work)
                    waiting += 1
                if clocks[HOLDER * LANES + lane] >= 0.0:
                    busy = breakpoint_back(address, sizes, people, room, lane, work)
                    if not busy:
                        conclude(address, sizes, people, room, lane, work)
                        clocks[HOLDER * LANES + lane] = -1.0
            clocks[BUSY * LANES + lane] = 1.0 if busy else 0.0
            if busy:
                some = True
        if not some:
            return
        on, by_explicit = clock(clocks, BUSY) > 0.0, clock(clocks, EXPLICIT) > 0.0
        if anywhere(on & by_explicit):
            take_back_explicit(address, sizes, people, areas, room, on & by_explicit)
        if anywhere(on & ~by_explicit):
            take_back_rosenbrock(address, sizes, people, areas, room, on & ~by_explicit)


def _backwards(table: np.ndarray) -> np.ndarray:
    """Coefficients by stages from the last to the first."""
    return np.ascontiguousarray(table[::-1, ::-1].T)


_ONE_SIDE = (inside_step, rows_inside, areas_inside, take_back)


def _explicit_side():
    of = bound((sweep_explicit,), BACK_A=_backwards(explicit.A[: explicit.STAGES, : explicit.STAGES]))
    return SimpleNamespace(**vars(explicit_side) | {"sweep": of.sweep_explicit})


def _stiff_side(method):
    of = bound(
        (stages_rosenbrock, weigh_rosenbrock, blend_rosenbrock, sweep_rosenbrock),
        rosenbrock=method, BACK_A=_backwards(method.A), BACK_C=_backwards(method.C),
    )  # fmt: skip
    return SimpleNamespace(
        STAGES=method.STAGES, stages=of.stages_rosenbrock, sweep=of.sweep_rosenbrock,
        weigh=of.weigh_rosenbrock, spread=spread_rosenbrock, blend=of.blend_rosenbrock,
    )  # fmt: skip


rosenbrock = rosenbrock_methods.METHODS["rodas5p"]
BACK_A, BACK_C = _backwards(rosenbrock.A), _backwards(rosenbrock.C)

METHODS = {
    name: bound(
        (pull_back,),
        take_back_explicit=bound(_ONE_SIDE, side=_explicit_side()).take_back,
        take_back_rosenbrock=bound(_ONE_SIDE, side=_stiff_side(method)).take_back,
    )
    for name, method in rosenbrock_methods.METHODS.items()
}
