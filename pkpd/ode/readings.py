"""What is read off a curve: extremes, areas, times above levels, halvings; observed on the dense output,
without any influence on the steps.

Times are cut into segments at edges that all subjects share, and every quantity is read in every segment;
what a person asks for, in windows that overlap, is put together from these (``pkpd/solver/readings.py``). A
part of a step, that is the whole step or what an edge leaves of it, is looked at in the four nodes of the
Gauss-Lobatto rule: its weights give areas, the cubic through them shows whether the curve turns in between or
comes near a level. Only where it does, the dense output itself is followed: an extreme by parabolas through
three of its points, a crossing by false position.

The extreme of a segment is the first of equal ones. Values right after the doses of an instant count, and
those just before. A value that is no number makes a reading none. Sensitivities are those of what was read
with its steps as they are: that of an extreme is the tangent there, and what a breakpoint that moves with a
parameter (a lag, a duration) adds to an extreme at it, or to the area across a jump.

``area`` stands behind the roots in ``control`` (at sizes[READINGS]): see layout.py.
"""

from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np

from pkpd.ode.methods import explicit, rosenbrock
from pkpd.ode.call import (
    STEP,
    bound,
    c_function,
    call3,
    choose,
    inner,
    larger,
    shift,
    smaller,
    status7,
)
from pkpd.ode.control import resolution
from pkpd.ode.layout import (
    ACCUMULATORS, AREA, AREA_ABOVE, AT_CLOSE, DECLINE, DENSE_STAGES, EMIT_TANGENT, EXPLICIT_LEVELS,
    EXPLICIT_SLOPE, EXPLICIT_TURN, EXPLICIT_VALUE, FLAGGED_ONLY, FROM, H, HALVINGS, INSTANT, KIND,
    LAST_ABOVE, LAST_BELOW,
    LEVELS_MOST, LOOK, LOOK_ONE, MAXIMUM, NEXT_SEGMENT,
    MINIMUM, N_DIRECTIONS, N_NON_NEGATIVE, N_WANTED, OFFSET, PARAMETER, PART, PART_FROM, PART_TO, QUANTITIES,
    QUANTITY, READINGS, READ_HEADER, READ_NODES, ROSENBROCK_LEVELS, ROSENBROCK_SLOPE, ROSENBROCK_TURN,
    ROSENBROCK_VALUE, RTOL,
    SEGMENT, SEGMENTS, START, T, T1, TANGENTS_AT_NODES,
    TANGENT_COLUMN, SPENT_ABOVE, WANTED_COLUMN, WANTED_STATES, WHICH, WIDE, WIDTH,
)  # fmt: skip
from pkpd.ode.march import clip
from pkpd.ode.roots import above, bracketed, narrowed, parabola
from pkpd.ode.status import SUCCESS
from pkpd.ode.tangent import moving
from pkpd.ode.vectormath import logarithm
from pkpd.ode.vectors import blend, copy

NODES = READ_NODES
NEAR = 0.5 - 0.1 * sqrt(5.0)
AT = np.array([0.0, NEAR, 1.0 - NEAR, 1.0])
WEIGHT = np.array([1 / 12, 5 / 12, 5 / 12, 1 / 12])
# derivative at the beginning of the cubic through the nodes; at the end the same backwards
STEEP = np.array([-6.0, 2.5 * (sqrt(5.0) + 1.0), -2.5 * (sqrt(5.0) - 1.0), 1.0])
BEYOND = 0.3
"""Of the range of the nodes: by less than that the cubic through them goes beyond the highest one."""
LEAST = 1e-300  # whose logarithm is still a number
LOWEST = (
    1e-12  # of the highest so far: what is lower is nought but for rounding, and does not count in a decline
)
LAST_HALVINGS = 5
# Of the method whose steps are looked at: here tsit5; ``METHODS`` below has the same functions for every
# table
STAGES = explicit.ALL
weigh = explicit.weigh
VALUE, SLOPE, LEVELS, TURN = EXPLICIT_VALUE, EXPLICIT_SLOPE, EXPLICIT_LEVELS, EXPLICIT_TURN


@inner
def parts(area):
    """Pointers to edges, states that are needed, quantities, levels, flags, accumulators, values at nodes, a
    line, crossings, and what was found."""
    edges = shift(area, READ_HEADER)
    needed = shift(edges, int(area[SEGMENTS]) + 1)
    quantities = shift(needed, int(area[WANTED_STATES]))
    count = int(area[QUANTITIES])
    levels = shift(quantities, count * QUANTITY)
    flags = shift(levels, count)
    own = shift(flags, count)
    nodes = shift(own, int(area[ACCUMULATORS]))
    line = shift(nodes, NODES * int(area[N_WANTED]))
    samples = shift(line, 2 * int(area[N_WANTED]))
    found = shift(samples, 2 * (NODES + 2))
    return edges, needed, quantities, levels, flags, own, nodes, line, samples, found


@inner
def tangents(sizes, area):
    """Pointers to the tangents of what was found, of accumulators, at nodes, of a line, of the time of the
    last breakpoint; and slopes of extremes."""
    _, _, _, _, _, _, _, _, _, found = parts(area)
    count, m = int(area[QUANTITIES]), sizes[N_DIRECTIONS]
    found_dot = shift(found, 2 * int(area[SEGMENTS]) * count)
    own = shift(found_dot, 2 * int(area[SEGMENTS]) * count * m)
    nodes = shift(own, 2 * count * m)
    line = shift(nodes, NODES * int(area[N_WANTED]) * m)
    moved = shift(line, sizes[WIDTH] * m)
    slopes = shift(moved, m)
    return found_dot, own, nodes, line, moved, slopes


@inner
def sign_of(kind):
    """-1 where a quantity is that of the curve upside down."""
    return -1.0 if kind == MINIMUM or kind == LAST_BELOW else 1.0


@inner
def open_segment(sizes, area):
    """Nothing found yet in this segment."""
    _, _, quantities, _, _, own, _, _, _, _ = parts(area)
    segment, m = int(area[SEGMENT]), sizes[N_DIRECTIONS]
    for q in range(int(area[QUANTITIES])):
        quantity = shift(quantities, q * QUANTITY)
        kind = int(quantity[KIND])
        mine = shift(own, int(quantity[OFFSET]))
        if kind == HALVINGS:
            if segment == int(quantity[FROM]):
                mine[0] = 0.0
                mine[1] = 0.0
                mine[2] = -inf
        elif kind == MAXIMUM or kind == MINIMUM:
            mine[0] = -inf
            mine[1] = nan
        elif kind == AT_CLOSE:
            mine[0] = nan
            mine[1] = nan
        else:
            mine[0] = nan if kind == LAST_ABOVE or kind == LAST_BELOW else 0.0
            mine[1] = 0.0
            if kind == DECLINE:
                mine[2] = 0.0
    if m > 0:
        _, own_dot, _, _, _, slopes = tangents(sizes, area)
        for i in range(2 * int(area[QUANTITIES]) * m):
            own_dot[i] = 0.0
        for q in range(int(area[QUANTITIES])):
            slopes[q] = 0.0


@inner
def halving(mine):
    """The mean time of the last halvings; the first one of all is not among them."""
    count = int(mine[1])
    if count < 2:
        return nan
    back = min(LAST_HALVINGS, count - 1)
    return (mine[3 + count] - mine[3 + count - back]) / back


@inner
def close_segment(sizes, area):
    """What was read in this segment, into ``found``; then the next one."""
    _, _, quantities, _, _, own, _, _, _, found = parts(area)
    count, m = int(area[QUANTITIES]), sizes[N_DIRECTIONS]
    segment = int(area[SEGMENT])
    for q in range(count):
        quantity = shift(quantities, q * QUANTITY)
        kind = int(quantity[KIND])
        mine = shift(own, int(quantity[OFFSET]))
        line = shift(found, 2 * (segment * count + q))
        line[0] = halving(mine) if kind == HALVINGS else mine[0]
        line[1] = 0.0 if kind == HALVINGS else mine[1]
        if kind == MAXIMUM or kind == MINIMUM:
            line[0] = sign_of(kind) * mine[0]
    if m > 0:
        found_dot, own_dot, _, _, _, _ = tangents(sizes, area)
        for i in range(2 * count * m):
            found_dot[2 * segment * count * m + i] = own_dot[i]
    area[SEGMENT] = float(segment + 1)


@c_function(STEP)
def next_segment(address, sizes, control, state, p, work, tangent):
    """The end of a segment, if there was one, and the beginning of the next, if there is one."""
    area = shift(control, sizes[READINGS])
    if area[SEGMENT] >= 0.0:
        close_segment(sizes, area)
    else:
        area[SEGMENT] = 0.0
    if area[SEGMENT] < area[SEGMENTS]:
        open_segment(sizes, area)
    return SUCCESS


@c_function(STEP)
def ready(address, sizes, control, levels, unused, others, either):
    """Before a subject that begins at control[START]: its levels, and nothing found."""
    area = shift(control, sizes[READINGS])
    edges, _, _, mine, flags, _, _, _, _, found = parts(area)
    count, segments = int(area[QUANTITIES]), int(area[SEGMENTS])
    for q in range(count):
        mine[q] = levels[q]
        flags[q] = 0.0
    for i in range(2 * segments * count):
        found[i] = nan
    if sizes[N_DIRECTIONS] > 0:
        found_dot, _, _, _, _, _ = tangents(sizes, area)
        for i in range(2 * segments * count * sizes[N_DIRECTIONS]):
            found_dot[i] = 0.0
    segment = -1
    while segment + 1 < segments and edges[segment + 1] <= control[START]:
        segment += 1
    area[SEGMENT] = float(segment)
    area[INSTANT] = nan
    area[FLAGGED_ONLY] = 0.0
    if segment >= 0:
        open_segment(sizes, area)
    return SUCCESS


@c_function(STEP)
def hand_in(address, sizes, control, out, out_dot, unused, others):
    """After a subject: what was found, into out : (n_segments, n_quantities, 2) and its tangents (..., m)."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, _, _, _, found = parts(area)
    segment = int(area[SEGMENT])
    if segment >= 0 and segment < int(area[SEGMENTS]):
        close_segment(sizes, area)
    size = 2 * int(area[SEGMENTS]) * int(area[QUANTITIES])
    for i in range(size):
        out[i] = found[i]
    if sizes[N_DIRECTIONS] > 0:
        found_dot, _, _, _, _, _ = tangents(sizes, area)
        for i in range(size * sizes[N_DIRECTIONS]):
            out_dot[i] = found_dot[i]
    return SUCCESS


@inner
def state_inside(sizes, control, y, work, x):
    """The state at the part x of the step, as far as what is looked at takes it."""
    area = shift(control, sizes[READINGS])
    w = sizes[WIDE]
    u = shift(work, STAGES * w)
    y1 = shift(u, w)
    weights = shift(u, 4 * w)
    _, needed, _, _, _, _, _, _, _, _ = parts(area)
    count = int(area[WANTED_STATES])
    if x == 0.0:
        for e in range(count):
            i = int(needed[e])
            u[i] = y[i]
    elif x == 1.0:
        for e in range(count):
            i = int(needed[e])
            u[i] = y1[i]
    else:
        weigh(x, control[H], weights)
        for e in range(count):
            i = int(needed[e])
            total = weights[0] * y[i] + weights[1] * y1[i]
            for s in range(STAGES):
                total += weights[2 + s] * work[s * w + i]
            u[i] = total
    if sizes[N_NON_NEGATIVE] > 0:
        clip(sizes, u)
    return u


@c_function(STEP)
def value_inside(address, sizes, control, state, p, work, line):
    """Into line[0] that of the columns whose place stands there, at the part area[PART] of the step."""
    area = shift(control, sizes[READINGS])
    u = state_inside(sizes, control, state, work, area[PART])
    call3(address[LOOK_ONE], u, p, line)
    return SUCCESS


@inner
def value(address, sizes, control, y, p, work, line, quantity, x):
    """What a quantity looks at, the right way up, at the part x of the step."""
    area = shift(control, sizes[READINGS])
    area[PART] = x
    line[0] = quantity[WANTED_COLUMN]
    status7(address[VALUE], address, sizes, control, y, p, work, line)
    return sign_of(int(quantity[KIND])) * line[0]


@inner
def over(address, sizes, control, y, p, work, line, quantity, x):
    """The same, less the quantity's level, which stands behind the line."""
    area = shift(control, sizes[READINGS])
    return value(address, sizes, control, y, p, work, line, quantity, x) - line[int(area[N_WANTED])]


@inner
def tangent_inside(address, sizes, control, y, p, work, tangent, x):
    """Tangents of outputs and states at the part x of the step, into line_dot : (width, m)."""
    area = shift(control, sizes[READINGS])
    area[PART] = x
    status7(address[SLOPE], address, sizes, control, y, p, work, tangent)


@c_function(STEP)
def slope_inside(address, sizes, control, state, p, work, tangent):
    """Tangents at the part area[PART] of the step, into the line of tangents."""
    area = shift(control, sizes[READINGS])
    x, y = area[PART], state
    _, _, _, line_dot, _, _ = tangents(sizes, area)
    w = sizes[WIDE]
    u = shift(work, STAGES * w)
    y1 = shift(u, w)
    weights = shift(u, 4 * w)
    stages = 0
    if x == 0.0:
        weights[0] = 1.0
        weights[1] = 0.0
        copy(u, y, w)
    elif x == 1.0:
        weights[0] = 0.0
        weights[1] = 1.0
        copy(u, y1, w)
    else:
        stages = STAGES
        weigh(x, control[H], weights)
        blend(u, weights[0], y, weights[1], y1, shift(weights, 2), STAGES, work, w)
    tangent[DENSE_STAGES] = float(stages)
    return status7(address[EMIT_TANGENT], address, sizes, u, p, tangent, line_dot, weights)


@inner
def moment(control, x):
    """The time at the part x of the step."""
    if x == 1.0:
        return control[T1] if control[H] == control[T1] - control[T] else control[T] + control[H]
    return control[T] + x * control[H]


@inner
def at_nodes(nodes, c, wanted, sign):
    """Column c at the four nodes, the right way up."""
    v0, v1 = sign * nodes[c], sign * nodes[wanted + c]
    v2, v3 = sign * nodes[2 * wanted + c], sign * nodes[3 * wanted + c]
    return v0, v1, v2, v3


@inner
def shape(v0, v1, v2, v3):
    """Highest and lowest of the nodes, and whether the cubic through them may turn downwards and upwards in
    between; of numbers or vectors."""
    top = larger(larger(v0, v1), larger(v2, v3))
    low = smaller(smaller(v0, v1), smaller(v2, v3))
    first = STEEP[0] * v0 + STEEP[1] * v1 + STEEP[2] * v2 + STEEP[3] * v3
    last = -(STEEP[0] * v3 + STEEP[1] * v2 + STEEP[2] * v1 + STEEP[3] * v0)
    hump = (top > larger(v0, v3)) | ((last < 0.0) & (v3 >= v0)) | ((first > 0.0) & (v0 >= v3))
    dip = (low < smaller(v0, v3)) | ((last > 0.0) & (v3 <= v0)) | ((first < 0.0) & (v0 <= v3))
    return top, low, hump, dip


@inner
def vertex(v0, v1, v2, v3):
    """Where the cubic through the nodes turns downwards, a part of the way, and how high it is there; of
    numbers or vectors."""
    first = STEEP[0] * v0 + STEEP[1] * v1 + STEEP[2] * v2 + STEEP[3] * v3
    last = -(STEEP[0] * v3 + STEEP[1] * v2 + STEEP[2] * v1 + STEEP[3] * v0)
    c2 = 3.0 * (v3 - v0) - 2.0 * first - last
    c3 = first + last - 2.0 * (v3 - v0)
    part = first / (sqrt(larger(c2 * c2 - 3.0 * c3 * first, 0.0)) - c2)
    part = choose((part > 0.0) & (part < 1.0), part, choose(v1 > v2, AT[1], AT[2]))
    return part, v0 + part * (first + part * (c2 + part * c3))


@inner
def bracket(nodes, c, wanted, sign, xa, long, part, x, g):
    """The highest of five points, x1, and its neighbours: the nodes in column c, and x, which stands at
    ``part`` of the way and is g high. And whether a neighbour stands on both sides."""
    x0, x1, x2 = xa, xa, xa
    g0, g1, g2 = -inf, sign * nodes[c], -inf
    before_x, before_g = xa, -inf
    best_is_last = True
    placed = False
    for j in range(NODES + 1):
        node = j if not placed else j - 1
        here_x, here_g = x, g
        if node < NODES and (placed or not part < AT[node]):
            here_x = xa + long * AT[node]
            here_g = sign * nodes[node * wanted + c]
        else:
            placed = True
        if j == 0 or here_g > g1:
            x0, g0 = before_x, before_g
            x1, g1 = here_x, here_g
            best_is_last = True
        elif best_is_last:
            x2, g2 = here_x, here_g
            best_is_last = False
        before_x, before_g = here_x, here_g
    return x0, x1, x2, g0, g1, g2, not best_is_last and x0 < x1 and x1 < x2


@inner
def highest_inside(address, sizes, control, y, p, work, quantity, xa, xb):
    """The highest value in the part from xa to xb of the step, and where: followed from where the cubic
    through the nodes is highest."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, nodes, line, _, _ = parts(area)
    c, wanted = int(quantity[WANTED_COLUMN]), int(area[N_WANTED])
    sign = sign_of(int(quantity[KIND]))
    v0, v1, v2, v3 = at_nodes(nodes, c, wanted, sign)
    part, _ = vertex(v0, v1, v2, v3)
    long = xb - xa
    x = xa + long * part
    g = value(address, sizes, control, y, p, work, line, quantity, x)
    x0, x1, x2, g0, g1, g2, within = bracket(nodes, c, wanted, sign, xa, long, part, x, g)
    if not within:
        return g1, x1
    for _ in range(8):  # the vertex of a parabola, again and again
        bend, x = parabola(x0, x1, x2, g0, g1, g2)
        if not (bend < 0.0 and x > x0 and x < x2) or abs(x - x1) <= 1e-7 * long:
            return g1, x1
        g = value(address, sizes, control, y, p, work, line, quantity, x)
        x0, x1, x2, g0, g1, g2 = narrowed(x0, x1, x2, g0, g1, g2, x, g, g > g1)
    return g1, x1


@inner
def curvature(address, sizes, control, y, p, work, tangent, quantity, x, when_dot):
    """Tangent of where an extreme within a step lies: a part of the step that moves as the slope changes,
    over how the curve bends there."""
    area = shift(control, sizes[READINGS])
    m = sizes[N_DIRECTIONS]
    _, _, _, _, _, _, _, line, _, _ = parts(area)
    _, _, _, line_dot, _, _ = tangents(sizes, area)
    column = int(quantity[TANGENT_COLUMN])
    little = min(1e-3, min(0.5 * x, 0.5 * (1.0 - x)))
    sign = sign_of(int(quantity[KIND]))
    at = value(address, sizes, control, y, p, work, line, quantity, x)
    left = value(address, sizes, control, y, p, work, line, quantity, x - little)
    bend = sign * (
        (value(address, sizes, control, y, p, work, line, quantity, x + little) - at) - (at - left)
    )
    tangent_inside(address, sizes, control, y, p, work, tangent, x - little)
    for d in range(m):
        when_dot[d] = line_dot[column * m + d]
    tangent_inside(address, sizes, control, y, p, work, tangent, x + little)
    for d in range(m):
        turning = line_dot[column * m + d] - when_dot[d]
        when_dot[d] = -0.5 * little * control[H] * turning / bend if bend != 0.0 else nan


@c_function(STEP)
def extreme_tangent(address, sizes, control, state, p, work, tangent):
    """Tangents of the extreme of the quantity area[WHICH] that has just been found at the part area[PART_TO]
    of the step, and of its time; area[PART_FROM] : 1 where the curve turns there."""
    area = shift(control, sizes[READINGS])
    m = sizes[N_DIRECTIONS]
    y, q, x = state, int(area[WHICH]), area[PART_TO]
    turns = area[PART_FROM] != 0.0
    _, _, quantities, _, _, _, _, line, _, _ = parts(area)
    quantity = shift(quantities, q * QUANTITY)
    _, own_dot, _, line_dot, moved, slopes = tangents(sizes, area)
    height_dot = shift(own_dot, 2 * q * m)
    when_dot = shift(height_dot, m)
    column = int(quantity[TANGENT_COLUMN])
    tangent_inside(address, sizes, control, y, p, work, tangent, x)
    for d in range(m):
        height_dot[d] = line_dot[column * m + d]
        when_dot[d] = 0.0
    slopes[q] = 0.0
    if turns:
        curvature(address, sizes, control, y, p, work, tangent, quantity, x, when_dot)
    elif x == 0.0 or x == 1.0:  # the slope there, towards the inside of the step
        little = 1e-4 if x == 0.0 else -1e-4
        sign = sign_of(int(quantity[KIND]))
        near = value(address, sizes, control, y, p, work, line, quantity, x + little)
        far = value(address, sizes, control, y, p, work, line, quantity, x + 2.0 * little)
        at = value(address, sizes, control, y, p, work, line, quantity, x)
        slopes[q] = sign * (4.0 * near - 3.0 * at - far) / (2.0 * little * control[H])
        if x == 0.0 and control[T] == area[INSTANT]:  # behind a breakpoint that may move
            for d in range(m):
                height_dot[d] += slopes[q] * moved[d]
                when_dot[d] = moved[d]
            slopes[q] = 0.0
    return SUCCESS


@inner
def read_extreme(
    address, sizes, control, y, p, work, tangent, q, quantity, mine, xa, xb, m, low, hump, number
):
    """The highest value so far, and when; m, low : highest and lowest at the nodes."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, nodes, _, _, _ = parts(area)
    c, wanted = int(quantity[WANTED_COLUMN]), int(area[N_WANTED])
    sign = sign_of(int(quantity[KIND]))
    if number != number:
        mine[0] = nan
        mine[1] = moment(control, xa)
        return
    best = m
    x = xb
    for back in range(NODES):
        j = NODES - 1 - back
        if sign * nodes[j * wanted + c] == m:
            x = xa + (xb - xa) * AT[j]
    turning = hump and m + BEYOND * (m - low) > mine[0]
    if turning:
        # a cubic that is hardly higher than its nodes says it well enough; for sensitivities the dense output
        # does
        v0, v1, v2, v3 = at_nodes(nodes, c, wanted, sign)
        part, height = vertex(v0, v1, v2, v3)
        if sizes[N_DIRECTIONS] == 0 and height <= m + control[RTOL] * abs(m):
            turning = height > m
            if turning:
                best, x = height, xa + (xb - xa) * part
        else:
            best, x = highest_inside(address, sizes, control, y, p, work, quantity, xa, xb)
    if best > mine[0]:
        mine[0] = best
        mine[1] = moment(control, x)
        if sizes[N_DIRECTIONS] > 0:
            area[WHICH] = float(q)
            area[PART_TO] = x
            area[PART_FROM] = 1.0 if turning and x > xa and x < xb else 0.0
            status7(address[TURN], address, sizes, control, y, p, work, tangent)


@inner
def read_section(address, sizes, control, y, p, work, tangent, q, quantity, level, sa, sb):
    """Area above the level of the part from sa to sb of the step, all of which is above it."""
    area = shift(control, sizes[READINGS])
    m = sizes[N_DIRECTIONS]
    _, _, _, _, _, _, _, line, _, _ = parts(area)
    long = control[H] * (sb - sa)
    total = 0.0
    for j in range(NODES):
        x = sa + (sb - sa) * AT[j]
        total += WEIGHT[j] * (value(address, sizes, control, y, p, work, line, quantity, x) - level)
        if m > 0:
            _, own_dot, _, line_dot, _, _ = tangents(sizes, area)
            tangent_inside(address, sizes, control, y, p, work, tangent, x)
            for d in range(m):
                own_dot[2 * q * m + d] += long * WEIGHT[j] * line_dot[int(quantity[TANGENT_COLUMN]) * m + d]
    return long * total


@inner
def pass_section(address, sizes, control, y, p, work, tangent, q, quantity, mine, level, sa, sb):
    """What a section above the level adds to a quantity."""
    kind = int(quantity[KIND])
    if kind == SPENT_ABOVE:
        mine[0] += control[H] * (sb - sa)
    elif kind == AREA_ABOVE:
        mine[0] += read_section(address, sizes, control, y, p, work, tangent, q, quantity, level, sa, sb)
    else:
        mine[0] = moment(control, sb)


@inner
def read_level(
    address, sizes, control, y, p, work, tangent, q, quantity, mine, level, xa, xb, m, low, hump, dip
):
    """Sections of the part from xa to xb that lie above the level."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, nodes, line, samples, _ = parts(area)
    c, wanted = int(quantity[WANTED_COLUMN]), int(area[N_WANTED])
    kind = int(quantity[KIND])
    sign = sign_of(kind)
    line[wanted] = level
    last = kind == LAST_ABOVE or kind == LAST_BELOW
    if last and mine[0] == inf and not sign * nodes[c] > level:  # a jump below it
        mine[0] = moment(control, xa)
    # points of the curve: the nodes, and turning points that may lie on another side
    count = 0
    for j in range(NODES):
        samples[2 * count] = xa + (xb - xa) * AT[j]
        samples[2 * count + 1] = sign * nodes[j * wanted + c] - level
        count += 1
    for turn in range(2):
        far = BEYOND * (m - low)
        if (turn == 0 and hump and m <= level and m + far > level) or (
            turn == 1 and dip and low > level and low - far <= level
        ):
            up = sign if turn == 0 else -sign
            quantity[KIND] = float(MAXIMUM if up > 0.0 else MINIMUM)
            g, x = highest_inside(address, sizes, control, y, p, work, quantity, xa, xb)
            quantity[KIND] = float(kind)
            g = g - level if turn == 0 else -g - level
            place = count
            while place > 0 and samples[2 * place - 2] > x:
                samples[2 * place] = samples[2 * place - 2]
                samples[2 * place + 1] = samples[2 * place - 1]
                place -= 1
            samples[2 * place] = x
            samples[2 * place + 1] = g
            count += 1
    since = xa
    for j in range(1, count):
        sa, ga = samples[2 * j - 2], samples[2 * j - 1]
        sb, gb = samples[2 * j], samples[2 * j + 1]
        if above(ga) != above(gb):
            width = resolution(control[T] + sb * control[H]) / control[H]
            x = bracketed(over, address, sizes, control, y, p, work, line, quantity, width, sa, ga, sb, gb)
            if above(ga) > 0.0:
                pass_section(address, sizes, control, y, p, work, tangent, q, quantity, mine, level, since, x)
            since = x
    if samples[2 * count - 1] > 0.0:
        pass_section(address, sizes, control, y, p, work, tangent, q, quantity, mine, level, since, xb)
        if last:
            mine[0] = inf


@inner
def next_halving(quantity, mine, level):
    """The height that is half of the one before, or none where that is too low."""
    height = mine[0]
    for _ in range(int(mine[1]) + 1):
        height = 0.5 * height
    lowest = quantity[PARAMETER] * level
    mine[2] = height if int(mine[1]) < LEVELS_MOST and height > lowest else -inf


@inner
def read_halvings(address, sizes, control, y, p, work, quantity, mine, level, xa, xb, m, low, hump):
    """When the curve, above its level, was first at a half, a fourth and so on of its highest value so
    far."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, nodes, line, _, _ = parts(area)
    c, wanted = int(quantity[WANTED_COLUMN]), int(area[N_WANTED])
    top = m
    turned = xb
    if hump and m + BEYOND * (m - low) - level > mine[0]:
        top, turned = highest_inside(address, sizes, control, y, p, work, quantity, xa, xb)
    for j in range(NODES):
        x = xa + (xb - xa) * AT[j]
        g = nodes[j * wanted + c] - level
        if j > 0 and top > m and turned < x and turned > xa + (xb - xa) * AT[j - 1] and top - level > mine[0]:
            mine[0] = top - level
            mine[1] = 0.0
            mine[3] = moment(control, turned)
            next_halving(quantity, mine, level)
        if g > mine[0]:
            mine[0] = g
            mine[1] = 0.0
            mine[3] = moment(control, x)
            next_halving(quantity, mine, level)
        while g <= mine[2]:
            found = x
            if j > 0:
                xp = xa + (xb - xa) * AT[j - 1]
                gp = nodes[(j - 1) * wanted + c] - level
                if turned > xp and turned < x and top > m:
                    xp = turned
                    gp = top - level
                line[wanted] = level + mine[2]
                if gp > mine[2]:
                    width = resolution(control[T] + x * control[H]) / control[H]
                    found = bracketed(
                        over, address, sizes, control, y, p, work, line, quantity, width, xp, gp - mine[2],
                        x, g - mine[2]
                    )  # fmt: skip
                else:
                    found = xp
            mine[1] += 1.0
            mine[3 + int(mine[1])] = moment(control, found)
            next_halving(quantity, mine, level)


@c_function(STEP)
def read_at_level(address, sizes, control, state, p, work, tangent):
    """The quantity area[WHICH], one of a level, in a part of the step whose nodes have been looked at."""
    area = shift(control, sizes[READINGS])
    _, _, quantities, levels, _, own, nodes, _, _, _ = parts(area)
    q, wanted = int(area[WHICH]), int(area[N_WANTED])
    xa, xb = area[PART_FROM], area[PART_TO]
    quantity = shift(quantities, q * QUANTITY)
    kind, c = int(quantity[KIND]), int(quantity[WANTED_COLUMN])
    mine = shift(own, int(quantity[OFFSET]))
    sign = sign_of(kind)
    level = sign * levels[q]
    v0, v1, v2, v3 = at_nodes(nodes, c, wanted, sign)
    top, low, hump, dip = shape(v0, v1, v2, v3)
    if kind == HALVINGS:
        read_halvings(address, sizes, control, state, p, work, quantity, mine, level, xa, xb, top, low, hump)
    else:
        read_level(
            address, sizes, control, state, p, work, tangent, q, quantity, mine, level, xa, xb, top, low,
            hump, dip
        )  # fmt: skip
    return SUCCESS


@inner
def read_close(address, sizes, control, y, p, work, tangent, q, quantity, mine, height, xb):
    """The value at the end of the part, and its tangent."""
    area = shift(control, sizes[READINGS])
    m = sizes[N_DIRECTIONS]
    mine[0] = height
    mine[1] = moment(control, xb)
    if m > 0:
        _, own_dot, _, line_dot, _, _ = tangents(sizes, area)
        tangent_inside(address, sizes, control, y, p, work, tangent, xb)
        for d in range(m):
            own_dot[2 * q * m + d] = line_dot[int(quantity[TANGENT_COLUMN]) * m + d]


@inner
def lever_at(control, quantity, x):
    """How long after the middle of a decline's window the part x of the step stands."""
    return (control[T] + x * control[H]) - quantity[PARAMETER]


@inner
def read_decline(sizes, control, quantity, mine, level, top, xa, xb):
    """What a part adds to the two sums of a decline; top : the highest at the nodes, above the level."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, nodes, _, _, _ = parts(area)
    c, wanted = int(quantity[WANTED_COLUMN]), int(area[N_WANTED])
    mine[2] = larger(mine[2], top)
    least = larger(LEAST, LOWEST * mine[2])
    total = 0.0
    by_level = 0.0
    for j in range(NODES):
        v = nodes[j * wanted + c] - level
        lever = WEIGHT[j] * lever_at(control, quantity, xa + (xb - xa) * AT[j])
        total += lever * logarithm(larger(v, least))
        by_level -= lever / v if v > least else 0.0
    long = control[H] * (xb - xa)
    mine[0] += long * total
    mine[1] += long * by_level


@inner
def sum_tangent(sizes, control, q, quantity, mine, level, xa, xb):
    """What a part adds to the tangent of an area or a decline: the same rule on the tangents at the nodes."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, nodes, _, _, _ = parts(area)
    _, own_dot, nodes_dot, _, _, _ = tangents(sizes, area)
    c, wanted, m = int(quantity[WANTED_COLUMN]), int(area[N_WANTED]), sizes[N_DIRECTIONS]
    declines = int(quantity[KIND]) == DECLINE
    least = larger(LEAST, LOWEST * mine[2])
    for j in range(NODES):
        factor = control[H] * (xb - xa) * WEIGHT[j]
        if declines:
            v = nodes[j * wanted + c] - level
            lever = lever_at(control, quantity, xa + (xb - xa) * AT[j])
            factor = factor * lever / v if v > least else 0.0
        for d in range(m):
            own_dot[2 * q * m + d] += factor * nodes_dot[(j * wanted + c) * m + d]


@inner
def read_quantity(address, sizes, control, y, p, work, tangent, q, xa, xb):
    """One quantity in the part from xa to xb of the step, whose nodes have been looked at."""
    area = shift(control, sizes[READINGS])
    _, _, quantities, levels, _, own, nodes, _, _, _ = parts(area)
    quantity = shift(quantities, q * QUANTITY)
    kind, c = int(quantity[KIND]), int(quantity[WANTED_COLUMN])
    if kind == HALVINGS and int(area[SEGMENT]) < int(quantity[FROM]):
        return
    mine = shift(own, int(quantity[OFFSET]))
    sign = sign_of(kind)
    level = sign * levels[q]
    v0, v1, v2, v3 = at_nodes(nodes, c, int(area[N_WANTED]), sign)
    if kind == AT_CLOSE:
        read_close(address, sizes, control, y, p, work, tangent, q, quantity, mine, v3, xb)
    elif kind == AREA:
        mine[0] += control[H] * (xb - xa) * (WEIGHT[0] * (v0 + v3) + WEIGHT[1] * (v1 + v2))
    elif kind == DECLINE:
        top = larger(larger(v0 - level, v1 - level), larger(v2 - level, v3 - level))
        read_decline(sizes, control, quantity, mine, level, top, xa, xb)
    else:
        top, low, hump, _ = shape(v0, v1, v2, v3)
        number = (v0 + v1) + (v2 + v3)
        if kind == MAXIMUM or kind == MINIMUM:
            read_extreme(
                address, sizes, control, y, p, work, tangent, q, quantity, mine, xa, xb, top, low, hump,
                number
            )  # fmt: skip
        elif number != number:
            mine[0] = nan
        else:
            area[WHICH] = float(q)
            area[PART_FROM] = xa
            area[PART_TO] = xb
            status7(address[LEVELS], address, sizes, control, y, p, work, tangent)
    if sizes[N_DIRECTIONS] > 0 and (kind == AREA or kind == DECLINE):
        sum_tangent(sizes, control, q, quantity, mine, level, xa, xb)


@inner
def read_part(address, sizes, control, y, p, work, tangent, xa, xb):
    """Every quantity in the part from xa to xb of the step, or those that are flagged."""
    area = shift(control, sizes[READINGS])
    _, _, quantities, _, flags, _, nodes, _, _, _ = parts(area)
    wanted, m = int(area[N_WANTED]), sizes[N_DIRECTIONS]
    alone = area[FLAGGED_ONLY] != 0.0
    for j in range(0 if alone else NODES):
        x = xa + (xb - xa) * AT[j]
        u = state_inside(sizes, control, y, work, x)
        call3(address[LOOK], u, p, shift(nodes, j * wanted))
        if m > 0 and area[TANGENTS_AT_NODES] != 0.0:
            _, _, nodes_dot, line_dot, _, _ = tangents(sizes, area)
            tangent_inside(address, sizes, control, y, p, work, tangent, x)
            for q in range(int(area[QUANTITIES])):
                quantity = shift(quantities, q * QUANTITY)
                into = shift(nodes_dot, (j * wanted + int(quantity[WANTED_COLUMN])) * m)
                for d in range(m):
                    into[d] = line_dot[int(quantity[TANGENT_COLUMN]) * m + d]
    for q in range(int(area[QUANTITIES])):
        if not alone or flags[q] != 0.0:
            read_quantity(address, sizes, control, y, p, work, tangent, q, xa, xb)


@c_function(STEP)
def read_step(address, sizes, control, state, p, work, tangent):
    """Look at the step of size control[H] that has just been accepted; its stages, those of dense output too,
    stand in work.

    In lanes a step may have been read but for the quantities that are flagged.
    """
    area = shift(control, sizes[READINGS])
    edges, _, _, _, _, _, _, _, _, _ = parts(area)
    alone = area[FLAGGED_ONLY] != 0.0
    t, h = control[T], control[H]
    end = moment(control, 1.0)
    xa = 0.0
    if area[SEGMENT] < 0.0:
        if end <= edges[0]:
            return SUCCESS
        xa = larger((edges[0] - t) / h, 0.0)
        status7(address[NEXT_SEGMENT], address, sizes, control, state, p, work, tangent)
    while int(area[SEGMENT]) < int(area[SEGMENTS]):
        edge = edges[int(area[SEGMENT]) + 1]
        xb = 1.0 if alone or end <= edge else (edge - t) / h
        if xb > xa:
            read_part(address, sizes, control, state, p, work, tangent, xa, xb)
            xa = xb
        if alone or end <= edge:
            return SUCCESS
        status7(address[NEXT_SEGMENT], address, sizes, control, state, p, work, tangent)
    return SUCCESS


@c_function(STEP)
def arrive(address, sizes, control, state, p, work, tangent):
    """At a breakpoint, with sensitivities: what is looked at before anything happens."""
    area = shift(control, sizes[READINGS])
    _, _, _, _, _, _, _, line, _, _ = parts(area)
    call3(address[LOOK], state, p, shift(line, int(area[N_WANTED])))
    _, _, _, _, moved, _ = tangents(sizes, area)
    for d in range(sizes[N_DIRECTIONS]):
        moved[d] = 0.0
    area[INSTANT] = control[T]
    return SUCCESS


@c_function(STEP)
def leave(address, sizes, control, state, p, work, tangent):
    """After one event of a breakpoint whose time moves: areas across its jump, extremes at it."""
    time_dot = moving(sizes, tangent)
    area = shift(control, sizes[READINGS])
    wanted, m = int(area[N_WANTED]), sizes[N_DIRECTIONS]
    _, _, quantities, levels, _, own, _, line, _, _ = parts(area)
    _, own_dot, _, _, moved, slopes = tangents(sizes, area)
    before = shift(line, wanted)
    call3(address[LOOK], state, p, line)
    if area[SEGMENT] >= 0.0 and area[SEGMENT] < area[SEGMENTS]:
        for q in range(int(area[QUANTITIES])):
            quantity = shift(quantities, q * QUANTITY)
            kind, c = int(quantity[KIND]), int(quantity[WANTED_COLUMN])
            mine = shift(own, int(quantity[OFFSET]))
            fallen = 0.0
            if kind == AREA:
                fallen = before[c] - line[c]
            elif kind == AREA_ABOVE:
                fallen = larger(before[c] - levels[q], 0.0) - larger(line[c] - levels[q], 0.0)
            elif kind == DECLINE:
                least = larger(LEAST, LOWEST * mine[2])
                fallen = logarithm(larger(before[c] - levels[q], least))
                fallen -= logarithm(larger(line[c] - levels[q], least))
                fallen *= control[T] - quantity[PARAMETER]
            moves = False
            if (kind == MAXIMUM or kind == MINIMUM) and mine[1] == control[T]:
                for d in range(m):
                    if time_dot[d] != 0.0:
                        moves = True
            for d in range(m):
                own_dot[2 * q * m + d] += (fallen + (slopes[q] if moves else 0.0)) * time_dot[d]
                if moves:
                    own_dot[(2 * q + 1) * m + d] = time_dot[d]
            if moves:
                slopes[q] = 0.0
    for c in range(wanted):
        before[c] = line[c]
    for d in range(m):
        moved[d] = time_dot[d]
    return SUCCESS


METHODS = {
    name: bound(
        (
            state_inside, value_inside, value, over, tangent_inside, slope_inside, highest_inside, curvature,
            extreme_tangent, read_extreme, read_section, pass_section, read_level,
            read_halvings, read_at_level, read_close, read_quantity, read_part, read_step,
        ),
        STAGES=len(of.B_ERROR), weigh=of.weigh,
        VALUE=EXPLICIT_VALUE if name in explicit.METHODS else ROSENBROCK_VALUE,
        SLOPE=EXPLICIT_SLOPE if name in explicit.METHODS else ROSENBROCK_SLOPE,
        LEVELS=EXPLICIT_LEVELS if name in explicit.METHODS else ROSENBROCK_LEVELS,
        TURN=EXPLICIT_TURN if name in explicit.METHODS else ROSENBROCK_TURN,
    )
    for name, of in (explicit.METHODS | rosenbrock.METHODS).items()
}  # fmt: skip
