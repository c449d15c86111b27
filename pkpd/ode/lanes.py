"""Many subjects at once: LANES of them side by side in vectors, each with its own parameters, time, step and
breakpoints.

A subject stays in its lane until its method changes or it is finished; then the next one that waits for the
method takes the lane. Whatever happens to single subjects, that is doses, outputs and first steps, is done by
the functions of ``integrate.py`` and ``march.py`` on the subject's own record, with which it is written back.
Lanes do not mix, and each computes what ``march`` would, in the same order: a subject's result does not
depend on who its neighbours are.

``room`` holds two queues of subjects (explicit, stiff), then for vectors of LANES subjects: y | rate |
largest | floor | u | y1 | error | own (n each) | k (N_STAGES, n) | p (N_PREPARED) | J | factors | clocks
(N_CLOCKS) | the subject that each lane holds, or -1 | and the readings: segment | next edge | what is known |
levels | flags | lines at the nodes | weights. A record is control | state | events | readings.

Two tuples go from function to function: ``vectors``, the pointers into ``room`` (``areas``), and ``people``,
what subjects have, one after the other: doses | times | spans | counts | out | records | status | reached |
found | tapes. What is of one kind of method stands in ``side``.
"""

from __future__ import annotations

from math import inf, nan
from types import SimpleNamespace

from pkpd.ode.methods import explicit as explicit_methods
from pkpd.ode.methods import rosenbrock as rosenbrock_methods
from pkpd.ode.call import (
    anywhere,
    bound,
    bounded,
    c_function,
    call2,
    call3,
    choose,
    inner,
    lanes,
    larger,
    set_lanes,
    shift,
    smaller,
    status7,
    unrolled,
)
from pkpd.ode.control import (
    CALM, CALM_AFTER, FORGET_AFTER, FORGOTTEN, STIFF_AFTER, AUTO_FLOOR, CROSS_FLOOR, HARDLY, TINY,
    cut_factor, level, resolution, step_factor,
)  # fmt: skip
from pkpd.ode.integrate import SUBJECTS, begin, breakpoint, prepare, reach, switch
from pkpd.ode.layout import (
    ACCUMULATORS, AREA, AREA_ABOVE, AT_CLOSE, AT_DIAGONAL, AUTO, AUTOMATIC, BY_STIFF, CALM_STEPS, CURSOR,
    DECLINE, DOSE, DOSES_AT, EXPLICIT_READINGS, FACTORISATIONS, FACTOR_WIDE, FLAGGED_ONLY, FROM, H,
    HALVINGS, H_MAX, H_NEXT, INFUSING, JACOBIANS, JACOBIAN_WIDE, KIND, LANES, LARGEST_ERROR, LEVELS_MOST,
    LOOK_WIDE, MAXIMUM, MAX_STEPS, METHOD, MINIMUM, NEXT_EVENT, N_CLOCKS, N_CONTROL, N_COUNTS, N_JACOBIAN,
    N_LU,
    N_OWN, N_PARAMS, N_PREPARED, N_STAGES, N_STATES, N_TIMES, N_WANTED, OFFSET, PARAMETER, QUANTITIES,
    QUANTITY, REACHED, READINGS, READY, RECORD, REJECTED, RHS_CALLS, RHS_WIDE, ROSENBROCK_READINGS, ROWS,
    RTOL, SEGMENT, SEGMENTS, SOLVE_WIDE, SPAN, SPENT_ABOVE, START, STEPS, STIFF_STEPS, T, T1,
    TAPE, TAPED, TAPE_END, TAPE_EVENTS,
    TAPE_EXPLICIT, TAPE_ROWS, TAPE_STEP, TAPE_TIME, TIMES_AT,
    WANTED_COLUMN, WANTED_STATES, WEIGHTS, WIDE, WIDTH,
)  # fmt: skip
from pkpd.ode.march import blame, emit, enter
from pkpd.ode.readings import (
    AT,
    BEYOND,
    LEAST,
    LOWEST,
    NODES,
    WEIGHT,
    close_segment,
    parts,
    shape,
    sign_of,
    vertex,
)
from pkpd.ode.status import GO_ON, NOT_FINITE, NOT_STIFF, STEP_TOO_SMALL, STIFF, SUCCESS, TOO_MANY_STEPS
from pkpd.ode.vectormath import logarithm
from pkpd.ode.vectors import abreast, clear

explicit = explicit_methods.METHODS["tsit5"]
# here rodas5p; ``METHODS`` below has the same functions for every stiff method
rosenbrock = rosenbrock_methods.METHODS["rodas5p"]

READ = True  # whether anything is read; ``METHODS`` has both
TAPES = False  # whether the steps are kept, see adjoint.py; there, too
# clocks: one vector each
(
    NOW, END, STEP, BEFORE, CUT, ACTIVE, NEXT_OUTPUT, TAKEN, REFUSED, STIFF_COUNT, CALM_COUNT, FRESH,
    JACOBIANS_TAKEN, STOP, REACH, SPANNED, WORST, LATEST,
) = range(N_CLOCKS)  # fmt: skip


@inner
def areas(sizes, room):
    """Pointers to y, rate, largest, floor, u, y1, error, own, k, p, J, factors, clocks, holder."""
    size = sizes[N_STATES] * LANES
    k = shift(room, 8 * size)
    p = shift(k, sizes[N_STAGES] * size)
    J = shift(p, sizes[N_PREPARED] * LANES)
    LU = shift(J, sizes[N_JACOBIAN] * LANES)
    clocks = shift(LU, sizes[N_LU] * LANES)
    return (
        room, shift(room, size), shift(room, 2 * size), shift(room, 3 * size), shift(room, 4 * size),
        shift(room, 5 * size), shift(room, 6 * size),
        shift(room, 7 * size), k, p, J, LU, clocks, shift(clocks, N_CLOCKS * LANES),
    )  # fmt: skip


@inner
def clock(clocks, which):
    """One vector of the clocks."""
    return lanes(shift(clocks, which * LANES))


@inner
def set_clock(clocks, which, vector):
    """Write one vector of the clocks."""
    set_lanes(shift(clocks, which * LANES), vector)


@inner
def floors_wide(floor, atol, largest, rtol, automatic, n):
    """``vectors.floors`` for every lane; atol : (n,)."""
    top = lanes(largest)
    for i in range(1, n):
        top = larger(top, lanes(shift(largest, i * LANES)))
    across = TINY + rtol * automatic * CROSS_FLOOR * top
    own = rtol * automatic * AUTO_FLOOR
    for i in range(n):
        set_lanes(shift(floor, i * LANES), atol[i] + (own * lanes(shift(largest, i * LANES)) + across))


@inner
def error_norm_wide(error, y, y1, floor, rtol, n):
    """``vectors.error_norm`` of every lane."""
    worst = 0.0 * lanes(floor)
    for i in range(0, n * LANES, LANES):
        size = larger(abs(lanes(shift(y, i))), abs(lanes(shift(y1, i))))
        worst = larger(worst, bounded(abs(lanes(shift(error, i))) / (lanes(shift(floor, i)) + rtol * size)))
    return worst


@inner
def quotient_wide(f1, f0, u1, u0, y, floor, rtol, n):
    """``vectors.quotient`` of every lane."""
    change = 0.0 * lanes(floor)
    distance = change
    for i in range(0, n * LANES, LANES):
        size = larger(abs(lanes(shift(y, i))), abs(lanes(shift(u1, i))))
        per_scale = 1.0 / (lanes(shift(floor, i)) + rtol * size)
        change = larger(change, abs(lanes(shift(f1, i)) - lanes(shift(f0, i))) * per_scale)
        distance = larger(distance, abs(lanes(shift(u1, i)) - lanes(shift(u0, i))) * per_scale)
    return choose(distance > 0.0, change / distance, 0.0)


@inner
def attempt_explicit(address, sizes, infusing, h, room):
    """``explicit.attempt`` in every lane."""
    y, rate, _, _, u, y1, error, own, k, p, _, _, _, _ = areas(sizes, room)
    size = sizes[N_STATES] * LANES
    for s in unrolled(1, explicit.STAGES):
        at = own if s == explicit.BEFORE else (y1 if s == explicit.LAST else u)
        abreast.combine(at, y, explicit.A, s, h, k, size)
        stage = shift(k, s * size)
        call3(address[RHS_WIDE], at, p, stage)
        if infusing:
            abreast.plus(stage, stage, rate, size)
    abreast.total(error, h, explicit.B_ERROR, explicit.STAGES, k, size)


@inner
def attempt_rosenbrock(address, sizes, infusing, h, room):
    """``rosenbrock.attempt`` in every lane."""
    y, rate, _, _, u, y1, error, _, k, p, J, LU, clocks, _ = areas(sizes, room)
    size = sizes[N_STATES] * LANES
    stale = (clock(clocks, FRESH) == 0.0) & (clock(clocks, ACTIVE) > 0.0)
    if anywhere(stale):
        call3(address[JACOBIAN_WIDE], y, p, J)
        set_clock(clocks, JACOBIANS_TAKEN, clock(clocks, JACOBIANS_TAKEN) + choose(stale, 1.0, 0.0))
        set_clock(clocks, FRESH, choose(stale, 1.0, clock(clocks, FRESH)))
    set_lanes(error, 1.0 / (h * rosenbrock.GAMMA))
    call3(address[FACTOR_WIDE], J, error, LU)
    per_h = 1.0 / h
    for s in unrolled(0, rosenbrock.STAGES):
        stage = shift(k, s * size)
        if s == 0:
            call3(address[RHS_WIDE], y, p, stage)
            if infusing:
                abreast.plus(stage, stage, rate, size)
        else:
            abreast.combine(u, y, rosenbrock.A, s, 1.0, k, size)
            call3(address[RHS_WIDE], u, p, stage)
            if infusing:
                abreast.plus(stage, stage, rate, size)
            abreast.combine(stage, stage, rosenbrock.C, s, per_h, k, size)
        call2(address[SOLVE_WIDE], LU, stage)
    abreast.plus(y1, u, shift(k, rosenbrock.LAST * size), size)
    abreast.total(error, 1.0, rosenbrock.B_ERROR, rosenbrock.STAGES, k, size)


@inner
def judge_explicit(sizes, rtol, h, accepted, room):
    """``explicit.judge`` of every lane: where the method is to change."""
    y, _, _, floor, _, y1, _, own, k, _, _, _, clocks, _ = areas(sizes, room)
    n = sizes[N_STATES]
    last, before = shift(k, explicit.LAST * n * LANES), shift(k, explicit.BEFORE * n * LANES)
    at_limit = h * quotient_wide(last, before, y1, own, y, floor, rtol, n) > explicit.LIMIT
    calm = choose(at_limit, 0.0, clock(clocks, CALM_COUNT) + 1.0)
    count = choose(at_limit, clock(clocks, STIFF_COUNT) + 1.0, clock(clocks, STIFF_COUNT))
    verdict = accepted & at_limit & (count >= float(STIFF_AFTER))
    count = choose(verdict, 0.0, count)
    count = choose(~at_limit & (calm >= float(FORGET_AFTER)), 0.0, count)
    set_clock(clocks, CALM_COUNT, choose(accepted, calm, clock(clocks, CALM_COUNT)))
    set_clock(clocks, STIFF_COUNT, choose(accepted, count, clock(clocks, STIFF_COUNT)))
    return verdict


@inner
def judge_rosenbrock(sizes, rtol, h, accepted, room):
    """``rosenbrock.judge`` of every lane."""
    _, _, _, _, _, _, _, _, _, _, J, _, clocks, _ = areas(sizes, room)
    diagonal = shift(sizes, sizes[AT_DIAGONAL])
    fastest = 0.0 * h
    for i in range(sizes[N_STATES]):
        fastest = larger(fastest, abs(lanes(shift(J, diagonal[i] * LANES))))
    calm = choose(h * fastest > CALM, 0.0, clock(clocks, CALM_COUNT) + 1.0)
    verdict = accepted & (calm >= float(CALM_AFTER))
    calm = choose(verdict, 0.0, calm)
    set_clock(clocks, CALM_COUNT, choose(accepted, calm, clock(clocks, CALM_COUNT)))
    return verdict


def side_of(method, evaluations, factored, readings, verdict, attempt, judge):
    """What the functions below are bound to, for one of the two kinds of methods: its stages and order, how
    often an attempt evaluates the rates and factors, the unit of its readings, what its judge says where it
    asks for the other kind, and its functions."""
    return SimpleNamespace(
        STAGES=method.STAGES, ORDER=method.ORDER, EVALUATIONS=evaluations, FACTORED=factored,
        READINGS=readings, VERDICT=verdict, attempt=attempt, judge=judge,
        weigh=method.weigh, weigh_wide=method.weigh_wide, blend_wide=method.blend_wide,
    )  # fmt: skip


side = side_of(
    explicit, explicit.STAGES - 1, 0, EXPLICIT_READINGS, STIFF, attempt_explicit, judge_explicit
)  # here the explicit one; ``METHODS`` below binds each


@inner
def load(address, sizes, times, counts, work, record, vectors, lane):
    """A subject into a lane, at its breakpoint or change of method; whether its slope is finite."""
    y, rate, largest, floor, _, _, _, _, k, p, _, _, clocks, _ = vectors
    n, w = sizes[N_STATES], sizes[WIDE]
    control, state = record, shift(record, N_CONTROL)
    f = work
    own_floor = shift(work, 3 * w)
    clear(work, 4 * w)
    prepared = shift(state, 4 * w)
    h = enter(
        address, sizes, control, state, prepared, counts, f, shift(work, w), shift(work, 2 * w), own_floor,
        side.ORDER,
    )  # fmt: skip
    if h < 0.0:
        return False
    for i in range(n):
        y[i * LANES + lane] = state[i]
        rate[i * LANES + lane] = state[w + i]
        largest[i * LANES + lane] = state[3 * w + i]
        floor[i * LANES + lane] = own_floor[i]
        k[i * LANES + lane] = f[i]
    for i in range(sizes[N_PREPARED]):
        p[i * LANES + lane] = prepared[i]
    row = counts[CURSOR]
    clocks[NOW * LANES + lane] = control[T]
    clocks[END * LANES + lane] = control[T1]
    clocks[STEP * LANES + lane] = h
    clocks[BEFORE * LANES + lane] = FORGOTTEN
    clocks[CUT * LANES + lane] = 0.0
    clocks[ACTIVE * LANES + lane] = 1.0
    clocks[NEXT_OUTPUT * LANES + lane] = times[row] if row < counts[ROWS] else inf
    clocks[TAKEN * LANES + lane] = float(counts[STEPS])
    clocks[REFUSED * LANES + lane] = float(counts[REJECTED])
    clocks[STIFF_COUNT * LANES + lane] = float(counts[STIFF_STEPS])
    clocks[CALM_COUNT * LANES + lane] = float(counts[CALM_STEPS])
    clocks[FRESH * LANES + lane] = 0.0
    clocks[JACOBIANS_TAKEN * LANES + lane] = float(counts[JACOBIANS])
    clocks[WORST * LANES + lane] = control[LARGEST_ERROR]
    clocks[LATEST * LANES + lane] = 0.0
    return True


@inner
def unload(sizes, counts, record, vectors, lane):
    """A lane back into its subject's record."""
    y, _, largest, _, _, _, _, _, _, _, _, _, clocks, _ = vectors
    w = sizes[WIDE]
    control, state = record, shift(record, N_CONTROL)
    for i in range(sizes[N_STATES]):
        state[i] = y[i * LANES + lane]
        state[3 * w + i] = largest[i * LANES + lane]
    control[T] = clocks[NOW * LANES + lane]
    control[H_NEXT] = clocks[STEP * LANES + lane]
    control[LARGEST_ERROR] = clocks[WORST * LANES + lane]
    taken = int(clocks[TAKEN * LANES + lane])
    refused = int(clocks[REFUSED * LANES + lane])
    tried = taken - counts[STEPS] + refused - counts[REJECTED]
    counts[RHS_CALLS] += tried * side.EVALUATIONS
    counts[FACTORISATIONS] += tried * side.FACTORED
    counts[STEPS] = taken
    counts[REJECTED] = refused
    counts[STIFF_STEPS] = int(clocks[STIFF_COUNT * LANES + lane])
    counts[CALM_STEPS] = int(clocks[CALM_COUNT * LANES + lane])
    counts[JACOBIANS] = int(clocks[JACOBIANS_TAKEN * LANES + lane])


@inner
def write_outputs(address, sizes, times, counts, out, work, record, vectors, lane):
    """The outputs of one lane within its accepted step."""
    y, _, _, _, _, y1, _, _, k, _, _, _, clocks, _ = vectors
    n, w = sizes[N_STATES], sizes[WIDE]
    t = clocks[NOW * LANES + lane]
    h = clocks[SPANNED * LANES + lane]
    p = shift(record, N_CONTROL + 4 * w)
    weights = work
    u = shift(work, WEIGHTS)
    row = counts[CURSOR]
    while (
        row < counts[ROWS]
        and times[row] <= clocks[REACH * LANES + lane]
        and times[row] < clocks[STOP * LANES + lane]
    ):
        side.weigh((times[row] - t) / h, h, weights)
        for i in range(n):
            at = i * LANES + lane
            found = weights[0] * y[at] + weights[1] * y1[at]
            for s in range(side.STAGES):
                found += weights[2 + s] * k[s * n * LANES + at]
            u[i] = found
        emit(address, sizes, u, p, row, out, out, weights, 0, work)
        row += 1
    counts[CURSOR] = row
    clocks[NEXT_OUTPUT * LANES + lane] = times[row] if row < counts[ROWS] else inf


@inner
def tail_of(sizes, control, record):
    """Pointer to the readings in a record: the segment, what is known in it, levels."""
    area = shift(control, sizes[READINGS])
    return shift(record, sizes[RECORD] - 1 - int(area[ACCUMULATORS]) - int(area[QUANTITIES]))


@inner
def keep_readings(sizes, control, tail, stride):
    """From where a subject is read by itself into its record (stride 1), or into its lane of the vectors."""
    area = shift(control, sizes[READINGS])
    _, _, _, levels, _, own, _, _, _, _ = parts(area)
    known = int(area[ACCUMULATORS])
    tail[0] = area[SEGMENT]
    for i in range(known):
        tail[(1 + i) * stride] = own[i]
    for q in range(int(area[QUANTITIES])):
        tail[(1 + known + q) * stride] = levels[q]


@inner
def take_readings(sizes, control, tail, stride):
    """The way back."""
    area = shift(control, sizes[READINGS])
    _, _, _, levels, _, own, _, _, _, _ = parts(area)
    known = int(area[ACCUMULATORS])
    area[SEGMENT] = tail[0]
    for i in range(known):
        own[i] = tail[(1 + i) * stride]
    for q in range(int(area[QUANTITIES])):
        levels[q] = tail[(1 + known + q) * stride]


@inner
def next_edge(sizes, control, segment):
    """The end of a segment, or the beginning of the first; infinite behind the last."""
    area = shift(control, sizes[READINGS])
    edges, _, _, _, _, _, _, _, _, _ = parts(area)
    return edges[segment + 1] if segment < int(area[SEGMENTS]) else inf


@inner
def move_readings(sizes, control, record, look, lane, into_lane):
    """Readings of a subject from its record into its lane, or back; ``look`` : segment | next edge | known |
    levels | ..."""
    area = shift(control, sizes[READINGS])
    tail = tail_of(sizes, control, record)
    count = int(area[ACCUMULATORS]) + int(area[QUANTITIES])
    lines = shift(look, (2 + count + int(area[QUANTITIES])) * LANES)
    lines[(NODES * int(area[N_WANTED]) + 2 * sizes[N_STAGES]) * LANES + lane] = (
        0.0  # the first node is not known
    )
    if into_lane:
        look[lane] = tail[0]
        look[LANES + lane] = next_edge(sizes, control, int(tail[0]))
        for i in range(count):
            look[(2 + i) * LANES + lane] = tail[1 + i]
    else:
        tail[0] = look[lane]
        for i in range(count):
            tail[1 + i] = look[(2 + i) * LANES + lane]


@inner
def hand_in_lane(sizes, control, first, found):
    """Segments that are over, from ``first`` on, into found : (n_segments, n_quantities, 2) of the
    subject."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, _, _, _, own = parts(area)
    size = 2 * int(area[QUANTITIES])
    for i in range(max(first, 0) * size, int(area[SEGMENT]) * size):
        found[i] = own[i]


@inner
def finish(sizes, control, people, s, code):
    """The end of subject s: its status and its last segment, and nan for everything if it failed."""
    _, _, _, _, out, records, status, reached, found, _ = people
    record = shift(records, s * sizes[RECORD])
    status[s] = code
    reach(record, shift(reached, s * REACHED))
    block = sizes[N_TIMES] * sizes[WIDTH]
    if READ:
        area = shift(control, sizes[READINGS])
        size = 2 * int(area[SEGMENTS]) * int(area[QUANTITIES])
        mine = shift(found, s * size)
        take_readings(sizes, control, tail_of(sizes, control, record), 1)
        segment = int(area[SEGMENT])
        if segment >= 0 and segment < int(area[SEGMENTS]):
            close_segment(sizes, area)
            hand_in_lane(sizes, control, segment, mine)
        if code != SUCCESS:
            for i in range(size):
                mine[i] = nan
    if code != SUCCESS:
        for i in range(block):
            out[s * block + i] = nan


@inner
def read_flagged(address, sizes, control, work, state, look, lane):
    """The quantities that are flagged, of a step whose nodes have been looked at."""
    area = shift(control, sizes[READINGS])
    _, _, quantities, levels, flags, own, nodes, _, _, _ = parts(area)
    known, count = int(area[ACCUMULATORS]), int(area[QUANTITIES])
    mine = shift(look, 2 * LANES)
    own_levels = shift(mine, known * LANES)
    own_flags = shift(own_levels, count * LANES)
    lines = shift(own_flags, count * LANES)
    for i in range(NODES * int(area[N_WANTED])):
        nodes[i] = lines[i * LANES + lane]
    area[SEGMENT] = look[lane]
    area[FLAGGED_ONLY] = 1.0
    for way in range(2):
        for q in range(count):
            flags[q] = own_flags[q * LANES + lane]
            if flags[q] != 0.0:
                quantity = shift(quantities, q * QUANTITY)
                offset, slots = (
                    int(quantity[OFFSET]),
                    4 + LEVELS_MOST if int(quantity[KIND]) == HALVINGS else 2,
                )  # a decline is never flagged
                levels[q] = own_levels[q * LANES + lane]
                for i in range(offset, offset + slots):
                    if way == 0:
                        own[i] = mine[i * LANES + lane]
                    else:
                        mine[i * LANES + lane] = own[i]
        if way == 0:
            own_p = shift(state, 4 * sizes[WIDE])
            status7(address[side.READINGS], address, sizes, control, state, own_p, work, work)


@inner
def read_alone(address, sizes, control, work, record, vectors, look, lane, found, flagged_only):
    """The step of one lane, read as that of a single subject: all of it, or the quantities that are
    flagged."""
    y, _, _, _, _, y1, _, _, k, _, _, _, _, _ = vectors
    stages = side.STAGES
    w, size = sizes[WIDE], sizes[N_STATES] * LANES
    area = shift(control, sizes[READINGS])
    _, needed, _, _, _, _, _, _, _, _ = parts(area)
    state = shift(record, N_CONTROL)
    for e in range(int(area[WANTED_STATES])):
        i = int(needed[e])
        at = i * LANES + lane
        state[i] = y[at]
        work[(stages + 1) * w + i] = y1[at]
        for s in range(stages):
            work[s * w + i] = k[s * size + at]
    if flagged_only:
        read_flagged(address, sizes, control, work, state, look, lane)
        return
    # segment | known | levels are not in a row there: the next edge stands between
    edge = look[LANES + lane]
    look[LANES + lane] = look[lane]
    take_readings(sizes, control, shift(look, LANES + lane), LANES)
    before = int(area[SEGMENT])
    area[FLAGGED_ONLY] = 0.0
    status7(address[side.READINGS], address, sizes, control, state, shift(state, 4 * w), work, work)
    keep_readings(sizes, control, shift(look, LANES + lane), LANES)
    look[lane] = look[LANES + lane]
    look[LANES + lane] = edge
    if int(area[SEGMENT]) != before:
        hand_in_lane(sizes, control, before, found)
        look[LANES + lane] = next_edge(sizes, control, int(area[SEGMENT]))


@inner
def lines_of(sizes, control, look):
    """Pointers to the flags of the quantities, to the lines at the nodes, and to the weights behind them."""
    area = shift(control, sizes[READINGS])
    count = int(area[QUANTITIES])
    flags = shift(look, (2 + int(area[ACCUMULATORS]) + count) * LANES)
    lines = shift(flags, count * LANES)
    return flags, lines, shift(lines, NODES * int(area[N_WANTED]) * LANES)


@inner
def look_wide(address, sizes, control, vectors, look, plain, h):
    """What is wanted in the nodes of the steps of all lanes, into the lines."""
    y, _, _, _, u, y1, other, _, k, p, _, _, _, _ = vectors
    size = sizes[N_STATES] * LANES
    area = shift(control, sizes[READINGS])
    _, needed, _, _, _, _, _, _, _, _ = parts(area)
    _, lines, weights = lines_of(sizes, control, look)
    row = int(area[N_WANTED]) * LANES
    late_weights = shift(weights, side.STAGES * LANES)
    side.weigh_wide(AT[1], h, weights)
    side.weigh_wide(AT[2], h, late_weights)
    for e in range(int(area[WANTED_STATES])):
        i = int(needed[e]) * LANES
        set_lanes(shift(u, i), side.blend_wide(AT[1], y, y1, k, weights, i, size))
        set_lanes(shift(other, i), side.blend_wide(AT[2], y, y1, k, late_weights, i, size))
    fresh = shift(weights, 2 * sizes[N_STAGES] * LANES)
    if anywhere(plain & (lanes(fresh) == 0.0)):  # else it is the last node of the step before
        call3(address[LOOK_WIDE], y, p, lines)
    call3(address[LOOK_WIDE], u, p, shift(lines, row))
    call3(address[LOOK_WIDE], other, p, shift(lines, 2 * row))
    call3(address[LOOK_WIDE], y1, p, shift(lines, 3 * row))


@inner
def keep(place, where, vector):
    """Write a vector where the mask is true."""
    set_lanes(place, choose(where, vector, lanes(place)))


@inner
def decline_wide(mine, plain, lines, row, level, middle, highest, t, h):
    """The sums of a decline, over the nodes; lines : of its column, a row to the next node."""
    best = larger(lanes(shift(mine, 2 * LANES)), highest - level)
    keep(shift(mine, 2 * LANES), plain, best)
    least = larger(LEAST, LOWEST * best)
    inside = 0.0 * h
    by_level = 0.0 * h
    for j in unrolled(0, NODES):
        v = lanes(shift(lines, j * row)) - level
        lever = WEIGHT[j] * ((t + AT[j] * h) - middle)
        inside += lever * logarithm(larger(v, least))
        by_level += choose(v > least, -(lever / v), 0.0)
    keep(mine, plain, lanes(mine) + h * inside)
    keep(shift(mine, LANES), plain, lanes(shift(mine, LANES)) + h * by_level)


@inner
def extreme_wide(mine, plain, v0, v1, v2, v3, top, reach, turns, number, t, h, end, rtol):
    """The highest value so far and when, of a curve with these values in the nodes and ``top`` the highest of
    them; where it has to be read alone."""
    present = lanes(mine)
    flag = plain & ((turns & (reach > present)) | (number != number))
    better = plain & (top > present)
    if anywhere(flag | better):
        best = top
        when = choose(v2 == top, t + AT[2] * h, end)
        when = choose(v0 == top, t, choose(v1 == top, t + AT[1] * h, when))
        if anywhere(flag):
            share, height = vertex(v0, v1, v2, v3)
            settled = flag & (height <= top + rtol * abs(top))
            higher = settled & (height > top)
            best = choose(higher, height, best)
            when = choose(higher, t + share * h, when)
            flag = flag & ~settled
        better = plain & ~flag & (best > present)
        keep(mine, better, best)
        keep(shift(mine, LANES), better, when)
    return flag


@inner
def halving_wide(mine, counts, least, v3, level, top, low, reach, turns, number, end):
    """The largest value that halvings are counted from; where it has to be read alone."""
    flag = counts
    if anywhere(counts):
        present = lanes(mine)
        height = top - level
        flag = (turns & (reach - level > present)) | ((height > present) & (v3 < top))
        flag = counts & (flag | (low - level <= lanes(shift(mine, 2 * LANES))) | (number != number))
        better = counts & ~flag & (height > present)
        keep(mine, better, height)
        keep(shift(mine, LANES), better, 0.0)
        keep(shift(mine, 2 * LANES), better, choose(0.5 * height > least * level, 0.5 * height, -inf))
        keep(shift(mine, 3 * LANES), better, end)
    return flag


@inner
def level_wide(kind, mine, plain, v0, v1, v2, v3, level, reach, depth, t, h):
    """Times and areas above a level, and when it was last; where it may be crossed and has to be read
    alone."""
    present = lanes(mine)
    beyond = depth > level
    below = reach <= level
    if kind == SPENT_ABOVE:
        keep(mine, plain & beyond, present + h)
    elif kind == AREA_ABOVE:
        if anywhere(plain & beyond):
            part = WEIGHT[0] * (v0 - level) + WEIGHT[1] * (v1 - level)
            part = part + WEIGHT[2] * (v2 - level) + WEIGHT[3] * (v3 - level)
            keep(mine, plain & beyond, present + h * part)
    else:
        kept = choose(plain & below & (present == inf), t, present)
        set_lanes(mine, choose(plain & beyond, inf, kept))
    return plain & ~(beyond | below)


@inner
def read_wide(address, sizes, control, vectors, look, plain, t, h, end):
    """``readings.read_part`` of whole steps in the lanes where ``plain``; whether any quantity in any lane is
    flagged, to be read alone."""
    look_wide(address, sizes, control, vectors, look, plain, h)
    area = shift(control, sizes[READINGS])
    _, _, quantities, _, _, _, _, _, _, _ = parts(area)
    flags, lines, _ = lines_of(sizes, control, look)
    own = shift(look, 2 * LANES)
    levels = shift(own, int(area[ACCUMULATORS]) * LANES)
    row = int(area[N_WANTED]) * LANES
    none = h < -inf
    any_flag = none
    # of the column of the quantities before: values at nodes, the highest and lowest, how far the curve may
    # reach, and whether it may turn in between
    column = -1
    v0, v1, v2, v3 = h, h, h, h
    highest, lowest, reach, depth, number = h, h, h, h, h
    hump, dip = none, none
    for q in range(int(area[QUANTITIES])):
        quantity = shift(quantities, q * QUANTITY)
        kind, c = int(quantity[KIND]), int(quantity[WANTED_COLUMN]) * LANES
        mine = shift(own, int(quantity[OFFSET]) * LANES)
        flag = none
        if c != column:
            column = c
            v0, v1 = lanes(shift(lines, c)), lanes(shift(lines, row + c))
            v2, v3 = lanes(shift(lines, 2 * row + c)), lanes(shift(lines, 3 * row + c))
            highest, lowest, hump, dip = shape(v0, v1, v2, v3)
            number = (v0 + v1) + (v2 + v3)
            reach = choose(hump, highest + BEYOND * (highest - lowest), highest)
            depth = choose(dip, lowest - BEYOND * (highest - lowest), lowest)
        if kind == AT_CLOSE:
            keep(mine, plain, v3)
            keep(shift(mine, LANES), plain, end)
        elif kind == AREA:
            keep(mine, plain, lanes(mine) + h * (WEIGHT[0] * (v0 + v3) + WEIGHT[1] * (v1 + v2)))
        elif kind == DECLINE:
            level, middle = lanes(shift(levels, q * LANES)), quantity[PARAMETER]
            decline_wide(mine, plain, shift(lines, c), row, level, middle, highest, t, h)
        else:
            sign = sign_of(kind)
            level = sign * lanes(shift(levels, q * LANES))
            top, low, turns = highest, lowest, hump
            reach_up, reach_down = reach, depth
            if sign < 0.0:
                top, low, turns = -lowest, -highest, dip
                reach_up, reach_down = -depth, -reach
            if kind == MAXIMUM or kind == MINIMUM:
                flag = extreme_wide(
                    mine, plain, sign * v0, sign * v1, sign * v2, sign * v3, top, reach_up, turns, number,
                    t, h, end, control[RTOL],
                )  # fmt: skip
            elif kind == HALVINGS:
                counts = plain & (lanes(look) >= quantity[FROM])
                least = quantity[PARAMETER]
                flag = halving_wide(mine, counts, least, v3, level, top, low, reach_up, turns, number, end)
            else:
                flag = level_wide(kind, mine, plain, v0, v1, v2, v3, level, reach_up, reach_down, t, h)
            set_lanes(shift(flags, q * LANES), choose(flag, 1.0, 0.0))
            any_flag = any_flag | flag
    return any_flag


@inner
def read_lanes(address, sizes, control, people, work, vectors, accepted, t, h, t1, end):
    """Readings of a step: side by side where they are plain, one by one at edges of segments and where a
    curve turns or crosses a level."""
    _, _, _, _, _, _, _, _, _, _, _, _, clocks, holder = vectors
    _, _, _, _, _, records, _, _, found, _ = people
    look = shift(holder, LANES)
    area = shift(control, sizes[READINGS])
    segment, edge = lanes(look), lanes(shift(look, LANES))
    across = accepted & (end > edge)
    plain = accepted & ~across & (segment >= 0.0) & (segment < area[SEGMENTS])
    flagged = across
    if anywhere(plain):
        flagged = flagged | read_wide(address, sizes, control, vectors, look, plain, t, h, end)
    if anywhere(flagged):
        set_clock(clocks, REACH, choose(flagged, choose(across, 2.0, 1.0), 0.0))
        set_clock(clocks, SPANNED, h)
        set_clock(clocks, STOP, t1)
        block = 2 * int(area[SEGMENTS]) * int(area[QUANTITIES])
        for lane in range(LANES):
            way = clocks[REACH * LANES + lane]
            if way > 0.0:
                s = int(holder[lane])
                control[T] = clocks[NOW * LANES + lane]
                control[H] = clocks[SPANNED * LANES + lane]
                control[T1] = clocks[STOP * LANES + lane]
                record, own_found = shift(records, s * sizes[RECORD]), shift(found, s * block)
                read_alone(
                    address, sizes, control, work, record, vectors, look, lane, own_found, way == 1.0
                )  # fmt: skip
    # where the next step begins
    row = int(area[N_WANTED]) * LANES
    _, lines, weights = lines_of(sizes, control, look)
    for i in range(0, row, LANES):
        keep(shift(lines, i), plain, lanes(shift(lines, 3 * row + i)))
    fresh = shift(weights, 2 * sizes[N_STAGES] * LANES)
    set_lanes(fresh, choose(plain, 1.0, choose(accepted, 0.0, lanes(fresh))))


@inner
def vacate(clocks, holder, lane):
    """Nobody is in the lane."""
    holder[lane] = -1.0
    clocks[ACTIVE * LANES + lane] = 0.0


@inner
def take_in(address, sizes, control, people, work, vectors, queue, waiting):
    """Idle lanes take who waits in the queue; how many still do, and whether any lane has an infusion."""
    _, times, spans, counts, _, records, _, _, _, _ = people
    _, _, _, _, _, _, _, _, _, _, _, _, clocks, holder = vectors
    infusing = False
    for lane in range(LANES):
        while holder[lane] < 0.0 and waiting > 0:
            waiting -= 1
            s = int(queue[waiting])
            record = shift(records, s * sizes[RECORD])
            holder[lane] = float(s)
            if READ:
                move_readings(sizes, control, record, shift(holder, LANES), lane, True)
            mine = shift(counts, s * N_COUNTS)
            own_times = shift(times, spans[s * SPAN + TIMES_AT])
            if not load(address, sizes, own_times, mine, work, record, vectors, lane):
                finish(sizes, control, people, s, NOT_FINITE)
                vacate(clocks, holder, lane)
        if holder[lane] >= 0.0 and records[int(holder[lane]) * sizes[RECORD] + INFUSING] != 0.0:
            infusing = True
    return waiting, infusing


@inner
def give_up(address, sizes, control, people, work, vectors, stop, too_many):
    """The end of subjects whose next step cannot be tried; see ``march.stuck``."""
    _, _, _, counts, _, records, _, _, _, _ = people
    _, _, _, _, _, _, _, _, _, _, _, _, clocks, holder = vectors
    why = choose(clock(clocks, LATEST) == inf, float(NOT_FINITE), float(STEP_TOO_SMALL))
    set_clock(clocks, REACH, choose(stop, choose(too_many, float(TOO_MANY_STEPS), why), 0.0))
    for lane in range(LANES):
        code = int(clocks[REACH * LANES + lane])
        if code != 0:
            s = int(holder[lane])
            record = shift(records, s * sizes[RECORD])
            unload(sizes, shift(counts, s * N_COUNTS), record, vectors, lane)
            if code == NOT_FINITE:
                own_state = shift(record, N_CONTROL)
                code = blame(address, sizes, record, own_state, shift(own_state, 4 * sizes[WIDE]), work)
            finish(sizes, control, people, s, code)
            vacate(clocks, holder, lane)


@inner
def land_wide(clocks, h_max):
    """``march.land`` in every lane: the step, that which was wanted, and where it is the last."""
    t = clock(clocks, NOW)
    left = clock(clocks, END) - t
    wanted = smaller(clock(clocks, STEP), h_max)
    last = wanted >= left * (1.0 - 1e-10)
    h = choose(2.0 * wanted > left, 0.5 * left, wanted)
    return choose(last, left, (t + h) - t), wanted, last


@inner
def rise_wide(y1, largest, floor, hardly, size):
    """``march.rise`` in the lanes where the clock hardly resolves the step."""
    for i in range(0, size, LANES):
        size_now = abs(lanes(shift(y1, i)))
        own = lanes(shift(floor, i))
        risen = hardly & (lanes(shift(largest, i)) == 0.0) & (size_now < inf)
        set_lanes(shift(floor, i), choose(risen, larger(own, size_now), own))


@inner
def count_attempt(clocks, worst, on):
    """What every lane notes of an attempt with this error."""
    accepted = on & (worst <= 1.0)
    refused = on & ~(worst <= 1.0)
    largest_error = clock(clocks, WORST)
    set_clock(clocks, LATEST, worst)
    set_clock(clocks, WORST, choose(accepted, larger(worst, largest_error), largest_error))
    set_clock(clocks, TAKEN, clock(clocks, TAKEN) + choose(accepted, 1.0, 0.0))
    set_clock(clocks, REFUSED, clock(clocks, REFUSED) + choose(refused, 1.0, 0.0))
    set_clock(clocks, FRESH, choose(accepted, 0.0, clock(clocks, FRESH)))


@inner
def tape_lanes(sizes, people, vectors, accepted, h):
    """Accepted steps, before they are taken, each behind those that its subject has on its tape; from where
    there is no more room on they are only counted."""
    _, _, _, counts, _, records, _, _, _, tapes = people
    y, _, _, _, _, _, _, _, _, _, _, _, clocks, holder = vectors
    n, room = sizes[N_STATES], sizes[TAPED]
    set_clock(clocks, REACH, choose(accepted, 1.0, 0.0))
    set_clock(clocks, SPANNED, h)
    for lane in range(LANES):
        i = int(clocks[TAKEN * LANES + lane]) - 1
        if clocks[REACH * LANES + lane] > 0.0 and i < room:
            s = int(holder[lane])
            step = shift(tapes, (s * room + i) * (TAPE + n))
            step[TAPE_EXPLICIT] = 1.0 - side.FACTORED
            step[TAPE_TIME] = clocks[NOW * LANES + lane]
            step[TAPE_STEP] = clocks[SPANNED * LANES + lane]
            step[TAPE_END] = clocks[END * LANES + lane]
            step[TAPE_ROWS] = float(counts[s * N_COUNTS + CURSOR])
            step[TAPE_EVENTS] = records[s * sizes[RECORD] + NEXT_EVENT]
            for j in range(n):
                step[TAPE + j] = y[j * LANES + lane]


@inner
def write_lanes(address, sizes, people, work, vectors, accepted, h, end):
    """The outputs of accepted steps, up to their ends."""
    _, times, spans, counts, out, records, _, _, _, _ = people
    _, _, _, _, _, _, _, _, _, _, _, _, clocks, holder = vectors
    t1, next_output = clock(clocks, END), clock(clocks, NEXT_OUTPUT)
    limit = t1 - resolution(t1)
    due = accepted & (next_output <= end) & (next_output < limit)
    if anywhere(due):
        set_clock(clocks, REACH, choose(due, end, -inf))
        set_clock(clocks, STOP, limit)
        set_clock(clocks, SPANNED, h)
        for lane in range(LANES):
            if clocks[REACH * LANES + lane] > -inf:
                s = int(holder[lane])
                write_outputs(
                    address, sizes, shift(times, spans[s * SPAN + TIMES_AT]), shift(counts, s * N_COUNTS),
                    shift(out, s * sizes[N_TIMES] * sizes[WIDTH]), work, shift(records, s * sizes[RECORD]),
                    vectors, lane,
                )  # fmt: skip


@inner
def move_on_wide(y, largest, y1, k, accepted, size):
    """The ends of accepted steps become the states."""
    last = shift(k, (side.STAGES - 1) * size)
    for i in range(0, size, LANES):
        value = choose(accepted, lanes(shift(y1, i)), lanes(shift(y, i)))
        set_lanes(shift(y, i), value)
        set_lanes(shift(largest, i), larger(lanes(shift(largest, i)), abs(value)))
        # the last slope of an explicit step is the first of the next one
        keep(shift(k, i), accepted, lanes(shift(last, i)))


@inner
def grow_wide(clocks, h, wanted, worst, on):
    """``march.grow`` in every lane, or a smaller step where this one was refused."""
    good = worst <= 1.0
    now = level(worst)
    factor = step_factor(now, clock(clocks, BEFORE), side.ORDER)
    factor = choose(clock(clocks, CUT) > 0.0, smaller(factor, 1.0), factor)
    grown = choose(h >= 0.999 * wanted, h * factor, larger(h * factor, wanted))
    set_clock(clocks, STEP, choose(good, grown, h * cut_factor(worst, side.ORDER)))
    set_clock(clocks, BEFORE, choose(on & good, now, clock(clocks, BEFORE)))
    set_clock(clocks, CUT, choose(good, 0.0, 1.0))


@inner
def pass_breakpoint(address, sizes, people, s, work, vectors, lane):
    """Everything that happens at the breakpoint of a lane. GO_ON: its subject goes on in the
    lane; else the status of one that is finished."""
    doses, times, spans, counts, out, records, _, _, _, _ = people
    record, mine = shift(records, s * sizes[RECORD]), shift(counts, s * N_COUNTS)
    span = shift(spans, s * SPAN)
    state = shift(record, N_CONTROL)
    p = shift(state, 4 * sizes[WIDE])
    own_times, own_out = shift(times, span[TIMES_AT]), shift(out, s * sizes[N_TIMES] * sizes[WIDTH])
    record[H_NEXT] = 0.0
    code = breakpoint(
        address, sizes, record, state, p, shift(doses, DOSE * span[DOSES_AT]), own_times, mine, own_out, work,
        work, out, shift(p, sizes[N_PREPARED] + sizes[N_OWN]),
    )  # fmt: skip
    if code == GO_ON and not load(address, sizes, own_times, mine, work, record, vectors, lane):
        code = NOT_FINITE
    return code


@inner
def leave(address, sizes, control, people, work, vectors, leaving, last, other, n_other):
    """Lanes at a breakpoint, or that change their method: their subjects go on, are finished, or wait in the
    other queue; how many wait there."""
    _, _, _, counts, _, records, _, _, _, _ = people
    _, _, _, _, _, _, _, _, _, _, _, _, clocks, holder = vectors
    set_clock(clocks, REACH, choose(leaving, choose(last, 1.0, 2.0), 0.0))
    for lane in range(LANES):
        turn = clocks[REACH * LANES + lane]
        if turn > 0.0:
            s = int(holder[lane])
            record = shift(records, s * sizes[RECORD])
            mine = shift(counts, s * N_COUNTS)
            unload(sizes, mine, record, vectors, lane)
            if READ:
                move_readings(sizes, control, record, shift(holder, LANES), lane, False)
            code = SUCCESS
            if turn == 2.0:
                switch(record, mine, side.VERDICT)
                other[n_other] = float(s)
                n_other += 1
            else:
                code = pass_breakpoint(address, sizes, people, s, work, vectors, lane)
                if code != GO_ON:
                    finish(sizes, control, people, s, code)
            if code != GO_ON:
                vacate(clocks, holder, lane)
    return n_other


@inner
def run(address, sizes, control, people, work, room, queue, waiting, other, n_other):
    """Advance all subjects that wait in the queue until each is finished or waits in the other one; how many
    wait there. What ``march.march`` does, in every lane.

    What happens in every step finds its pointers in ``room`` again, what seldom happens is handed them: the
    other way round either costs 3 to 4 %.
    """
    vectors = areas(sizes, room)
    y, _, largest, floor, _, y1, error, _, k, _, _, _, clocks, holder = vectors
    _, _, _, _, _, template, _, _, _, _ = people  # options and tolerances are the same in every record
    n, rtol, automatic = sizes[N_STATES], template[RTOL], template[AUTOMATIC]
    atol = shift(template, N_CONTROL + 2 * sizes[WIDE])
    for lane in range(LANES):
        vacate(clocks, holder, lane)
    fill = True
    infusing = False
    while True:
        if fill:
            waiting, infusing = take_in(address, sizes, control, people, work, vectors, queue, waiting)
            fill = False
            if not anywhere(clock(clocks, ACTIVE) > 0.0):
                return n_other
        t, t1, on = clock(clocks, NOW), clock(clocks, END), clock(clocks, ACTIVE) > 0.0
        h, wanted, last = land_wide(clocks, template[H_MAX])
        too_many = clock(clocks, TAKEN) + clock(clocks, REFUSED) >= template[MAX_STEPS]
        stop = on & (too_many | (h <= 0.25 * resolution(t)))
        if anywhere(stop):
            give_up(address, sizes, control, people, work, vectors, stop, too_many)
            fill = True
            continue
        side.attempt(address, sizes, infusing, h, room)
        hardly = on & (h <= HARDLY * resolution(t))
        if anywhere(hardly):
            rise_wide(y1, largest, floor, hardly, n * LANES)
        worst = error_norm_wide(error, y, y1, floor, rtol, n)
        accepted = on & (worst <= 1.0)
        count_attempt(clocks, worst, on)
        change = accepted & (h < 0.0)
        if sizes[METHOD] == AUTO:
            change = side.judge(sizes, rtol, h, accepted, room)
        end = choose(last, t1, t + h)
        if TAPES:
            tape_lanes(sizes, people, vectors, accepted, h)
        write_lanes(address, sizes, people, work, vectors, accepted, h, end)
        if READ:
            read_lanes(address, sizes, control, people, work, vectors, accepted, t, h, t1, end)
        move_on_wide(y, largest, y1, k, accepted, n * LANES)
        floors_wide(floor, atol, largest, rtol, automatic, n)
        grow_wide(clocks, h, wanted, worst, on)
        set_clock(clocks, NOW, choose(accepted, end, t))
        leaving = accepted & (last | change)
        if anywhere(leaving):
            n_other = leave(
                address, sizes, control, people, work, vectors, leaving, last, other, n_other
            )  # fmt: skip
            fill = True


@inner
def admit(
    address, sizes, control, state, parameters, doses, times, span, start, heights, mine, out, work, out_dot,
    record,
):  # fmt: skip
    """A subject's record, its initial values, and everything up to its first step: GO_ON, or its status."""
    w = sizes[WIDE]
    control[START] = start
    for i in range(N_CONTROL):
        record[i] = control[i]
    own = shift(record, N_CONTROL)
    for i in range(w):
        own[2 * w + i] = state[2 * w + i]
    p = shift(own, 4 * w)
    own_doses = shift(doses, DOSE * span[DOSES_AT])
    own_events = shift(p, sizes[N_PREPARED] + sizes[N_OWN])
    prepare(address, sizes, parameters, p)
    if READ:
        status7(address[READY], address, sizes, control, heights, own, work, work)
        keep_readings(sizes, control, tail_of(sizes, control, record), 1)
    code = begin(address, sizes, record, own, p, own_doses, span, mine, work, work, own_events)
    if code == SUCCESS:
        code = breakpoint(
            address, sizes, record, own, p, own_doses, shift(times, span[TIMES_AT]), mine, out, work, work,
            out_dot, own_events,
        )  # fmt: skip
    return code


run_explicit = run_rosenbrock = run  # bound to either side in ``METHODS``


@c_function(SUBJECTS)
def subjects_in_lanes(
    address, sizes, control, state, parameters, doses, times, counts, out, work, tangent, out_dot, events,
    status, reached, scales, levels, crossings, heights, found, found_dot, spans, starts, first, end,
):  # fmt: skip
    """``integrate.subjects`` in lanes, without sensitivities. events: records of the subjects; tangent:
    queues and ``room``, see above; crossings: where steps are kept, the tapes of these subjects, (n_subjects,
    TAPED, TAPE + n_states). Everything else begins with the first of these subjects."""
    n_subjects = end - first
    width = n_subjects + LANES
    explicit_queue, stiff_queue, room = tangent, shift(tangent, width), shift(tangent, 2 * width)
    n_explicit, n_stiff = 0, 0
    block = sizes[N_TIMES] * sizes[WIDTH]
    n_given = sizes[N_PARAMS] + sizes[N_OWN]
    n_quantities, n_read = 0, 0
    if READ:
        area = shift(control, sizes[READINGS])
        n_quantities = int(area[QUANTITIES])
        n_read = 2 * int(area[SEGMENTS]) * n_quantities
    parameters, heights = shift(parameters, first * n_given), shift(heights, first * n_quantities)
    starts, spans = shift(starts, first), shift(spans, first * SPAN)
    counts, out = shift(counts, first * N_COUNTS), shift(out, first * block)
    status, reached, found = (
        shift(status, first),
        shift(reached, first * REACHED),
        shift(found, first * n_read),
    )
    records = events
    people = doses, times, spans, counts, out, records, status, reached, found, crossings
    for s in range(n_subjects):
        record = shift(records, s * sizes[RECORD])
        code = admit(
            address, sizes, control, state, shift(parameters, s * n_given), doses, times,
            shift(spans, s * SPAN), starts[s], shift(heights, s * n_quantities), shift(counts, s * N_COUNTS),
            shift(out, s * block), work, out_dot, record,
        )  # fmt: skip
        if code != GO_ON:
            finish(sizes, control, people, s, code)
        elif record[BY_STIFF] != 0.0:
            stiff_queue[n_stiff] = float(s)
            n_stiff += 1
        else:
            explicit_queue[n_explicit] = float(s)
            n_explicit += 1
    while n_explicit + n_stiff > 0:
        if n_explicit >= n_stiff:
            n_stiff = run_explicit(
                address, sizes, control, people, work, room, explicit_queue, n_explicit, stiff_queue, n_stiff
            )  # fmt: skip
            n_explicit = 0
        else:
            n_explicit = run_rosenbrock(
                address, sizes, control, people, work, room, stiff_queue, n_stiff, explicit_queue, n_explicit
            )  # fmt: skip
            n_stiff = 0


_ONE_SIDE = (
    load, unload, write_outputs, finish, read_flagged, read_alone, look_wide, read_wide, read_lanes, take_in,
    give_up, write_lanes, move_on_wide, grow_wide, pass_breakpoint, leave, run,
)  # fmt: skip


def _stiff_side(method):
    attempt = bound((attempt_rosenbrock,), rosenbrock=method).attempt_rosenbrock
    return side_of(method, method.STAGES, 1, ROSENBROCK_READINGS, NOT_STIFF, attempt, judge_rosenbrock)


def _method(method, read, tapes):
    sides = [
        bound((*_ONE_SIDE, tape_lanes), side=one, READ=read, TAPES=tapes).run
        for one in (side, _stiff_side(method))
    ]
    return bound(
        (finish, admit, subjects_in_lanes), READ=read, run_explicit=sides[0], run_rosenbrock=sides[1]
    )


METHODS = {
    f"{name}{ending}": _method(method, read, tapes)
    for name, method in rosenbrock_methods.METHODS.items()
    for ending, read, tapes in (("", False, False), ("_read", True, False), ("_tape", False, True))
}
