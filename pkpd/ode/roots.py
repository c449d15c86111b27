"""When outputs or states cross levels: observed on the dense output, without any influence on the steps.

A subject is above a level when the value is greater than it; a crossing is where that changes. It lies inside
a step, where it is bracketed on the interpolant down to the clock's resolution, or at a breakpoint, when a
dose jumps over the level: then it has the dose's time. Inside a step the value is looked at in the places
``AT``, and where three of these in a row show it turning towards the level, the turning point is followed; so
a visit beyond the level is missed only if it hides between these places without a sign of it.

Along a direction, the time at which ``g`` crosses moves by ``t' = -(g_y s + g_p p')/(g_y f)``; one at a
breakpoint moves as that does.

Behind the clock and the options, ``control`` holds the roots (n_roots, ROOT), what was found (n_roots,
found_size) and a line of outputs: see layout.py.
"""

from __future__ import annotations

import numpy as np

from pkpd.ode.methods import explicit, rosenbrock
from pkpd.ode.call import STEP, bound, c_function, call3, call6, inner, shift, status7
from pkpd.ode.control import resolution
from pkpd.ode.layout import (
    ABOVE_AT_START, COLUMN, COUNT, D_OUTPUTS, DENSE_TANGENT, DIRECTION, FOUND, H, LANES, LEVEL, MOST,
    N_CONTROL, N_DIRECTIONS, N_OUTPUTS, N_ROOTS,
    N_STATES, OUTPUTS, PRESENT, RHS, ROOT, SAMPLES, T, TIME_ABOVE, WIDE,
)  # fmt: skip
from pkpd.ode.places import found_size
from pkpd.ode.status import SUCCESS
from pkpd.ode.tangent import along, moving, parts, scratch, settle
from pkpd.ode.vectors import abreast, blend, copy, plus

AT = np.array([0.0, 1 / 16, 1 / 4, 1 / 2, 3 / 4, 15 / 16, 1.0])
PLACES = len(AT)
EXTRA = explicit.EXTRA
# Of the method whose steps are looked at: here tsit5; ``METHODS`` below has the same functions for every
# table
STAGES = explicit.ALL
weigh = explicit.weigh
LOOKED_AT = OUTPUTS  # the function of the model whose values are looked at


@inner
def above(value):
    """1 where a value is beyond its level."""
    return 1.0 if value > 0.0 else 0.0


@inner
def beyond(sizes, u, line, root):
    """What a root looks at, less its level, at the state u with the outputs line."""
    column = int(root[COLUMN])
    n = sizes[N_OUTPUTS]
    if column < n:
        return line[column] - root[LEVEL]
    return u[column - n] - root[LEVEL]


@inner
def record(sizes, t, rising, root, found):
    """Note a crossing; its number if it is kept, else -1."""
    direction = root[DIRECTION]
    found[TIME_ABOVE] += t if rising == 0.0 else -t
    if direction == 0.0 or (direction > 0.0 and rising > 0.0) or (direction < 0.0 and rising == 0.0):
        count = int(found[COUNT])
        found[COUNT] += 1.0
        if count < sizes[MOST]:
            found[FOUND + count] = t
            return count
    return -1


@inner
def note(address, sizes, control, state, p, work, tangent, line, x, rising, root, found):
    """Note a crossing at the part x of the step, and how it moves along the directions."""
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    number = record(sizes, control[T] + x * control[H], rising, root, found)
    if m == 0 or number < 0:
        return
    if EXTRA > 0:
        status7(address[DENSE_TANGENT], address, sizes, control, state, p, work, tangent)
    settle(sizes, tangent)
    u = inside(address, sizes, control, state, p, work, line, x)
    _, _, y_dot, y1_dot, _, _, _, at, k_dot, _, p_dot, column, _ = parts(sizes, tangent)
    weights = shift(u, 4 * w)
    abreast.blend(at, weights[0], y_dot, weights[1], y1_dot, shift(weights, 2), STAGES, k_dot, n * m)
    f = column
    call3(address[RHS], u, p, f)
    plus(f, f, shift(state, w), w)
    g_dot = shift(found, FOUND + sizes[MOST] + number * m)
    i = int(root[COLUMN]) - sizes[N_OUTPUTS]
    if i >= 0:
        slope = f[i]
        abreast.copy(g_dot, shift(at, i * m), m)
    else:
        room = scratch(sizes, tangent)
        slope = along(address[D_OUTPUTS], sizes, u, p, f, tangent, room)[int(root[COLUMN]) * LANES]
        call6(address[D_OUTPUTS], u, p, at, p_dot, room, m)
        abreast.copy(g_dot, shift(room, int(root[COLUMN]) * m), m)
    for d in range(m):
        g_dot[d] = -g_dot[d] / slope


@inner
def inside(address, sizes, control, y, p, work, line, x):
    """State and outputs at the part x of the step, the state in u."""
    w = sizes[WIDE]
    u = shift(work, STAGES * w)
    y1 = shift(u, w)
    weights = shift(u, 4 * w)
    weigh(x, control[H], weights)
    blend(u, weights[0], y, weights[1], y1, shift(weights, 2), STAGES, work, w)
    call3(address[LOOKED_AT], u, p, line)
    return u


@inner
def bracketed(value, address, sizes, control, y, p, work, line, root, width, xa, ga, xb, gb):
    """The part of the step, between xa and xb on both sides of it, where ``value`` passes nought: false
    position (Illinois), with bisection in between."""
    side = 0
    far = above(gb)
    false = 0
    for _ in range(300):
        if xb - xa <= width:
            return xb
        x = xb - gb * (xb - xa) / (gb - ga)
        false += 1
        if not (x > xa and x < xb) or false == 4:
            x = 0.5 * (xa + xb)
            false = 0
        g = value(address, sizes, control, y, p, work, line, root, x)
        if g == 0.0:
            return x
        if above(g) == far:
            xb = x
            gb = g
            if side == 1:
                ga = 0.5 * ga
            side = 1
        else:
            xa = x
            ga = g
            if side == -1:
                gb = 0.5 * gb
            side = -1
    return xb


@inner
def beyond_at(address, sizes, control, y, p, work, line, root, x):
    """What a root looks at, less its level, at the part x of the step."""
    return beyond(sizes, inside(address, sizes, control, y, p, work, line, x), line, root)


@inner
def locate(address, sizes, control, y, p, work, line, root, xa, ga, xb, gb):
    """The part of the step, between xa and xb on both sides of it, where the level is crossed."""
    width = resolution(control[T] + xb * control[H]) / control[H]
    return bracketed(beyond_at, address, sizes, control, y, p, work, line, root, width, xa, ga, xb, gb)


@inner
def parabola(x0, x1, x2, g0, g1, g2):
    """How the parabola through three places bends, and where its vertex is."""
    slope = (g1 - g0) / (x1 - x0)
    bend = ((g2 - g1) / (x2 - x1) - slope) / (x2 - x0)
    return bend, 0.5 * (x0 + x1) - 0.5 * slope / bend


@inner
def narrowed(x0, x1, x2, g0, g1, g2, x, g, better):
    """Three places around the best, closer by a place x between them; better : than the one in the middle."""
    if better:
        if x < x1:
            return x0, x, x1, g0, g, g1
        return x1, x, x2, g1, g, g2
    if x < x1:
        return x, x1, x2, g, g1, g2
    return x0, x1, x, g0, g1, g


@inner
def turn(address, sizes, control, y, p, work, line, root, j):
    """Where the values at places j-1, j, j+1, all on one side, turn over the level: a part of the step, or -1
    if they do not."""
    value = shift(root, SAMPLES)
    x0, x1, x2 = AT[j - 1], AT[j], AT[j + 1]
    g0, g1, g2 = value[j - 1], value[j], value[j + 1]
    if above(g0) != above(g1) or above(g2) != above(g1) or abs(g1) > abs(g0) or abs(g1) > abs(g2):
        return -1.0
    for _ in range(6):  # the vertex of a parabola, again and again
        bend, x = parabola(x0, x1, x2, g0, g1, g2)
        if bend == 0.0 or not (x > x0 and x < x2) or x == x1:
            return -1.0
        g = beyond(sizes, inside(address, sizes, control, y, p, work, line, x), line, root)
        if above(g) != above(g1):
            return x
        x0, x1, x2, g0, g1, g2 = narrowed(x0, x1, x2, g0, g1, g2, x, g, abs(g) < abs(g1))
    return -1.0


@c_function(STEP)
def crossings(address, sizes, control, state, p, work, tangent):
    """Look for crossings in the step of size control[H] that has just been accepted; its stages, those of
    dense output too, stand in work."""
    w = sizes[WIDE]
    u = shift(work, STAGES * w)
    y1 = shift(u, w)
    roots = shift(control, N_CONTROL)
    results = shift(roots, sizes[N_ROOTS] * ROOT)
    line = shift(results, sizes[N_ROOTS] * found_size(sizes))
    for j in range(1, PLACES):
        if j == PLACES - 1:
            copy(u, y1, w)
            call3(address[OUTPUTS], u, p, line)
        else:
            inside(address, sizes, control, state, p, work, line, AT[j])
        for i in range(sizes[N_ROOTS]):
            root = shift(roots, i * ROOT)
            root[SAMPLES + j] = beyond(sizes, u, line, root)
    for i in range(sizes[N_ROOTS]):
        root = shift(roots, i * ROOT)
        found = shift(results, i * found_size(sizes))
        value = shift(root, SAMPLES)
        value[0] = root[PRESENT]
        for j in range(1, PLACES):
            xa, xb = AT[j - 1], AT[j]
            ga, gb = value[j - 1], value[j]
            if above(ga) != above(gb):
                x = locate(address, sizes, control, state, p, work, line, root, xa, ga, xb, gb)
                note(address, sizes, control, state, p, work, tangent, line, x, above(gb), root, found)
            else:
                x = -1.0
                if j < PLACES - 1:
                    x = turn(address, sizes, control, state, p, work, line, root, j)
                if (x <= xa or x > xb) and j > 1:
                    x = turn(address, sizes, control, state, p, work, line, root, j - 1)
                if x > xa and x <= xb:
                    g = beyond(sizes, inside(address, sizes, control, state, p, work, line, x), line, root)
                    there = locate(address, sizes, control, state, p, work, line, root, xa, ga, x, g)
                    back = locate(address, sizes, control, state, p, work, line, root, x, g, xb, gb)
                    note(address, sizes, control, state, p, work, tangent, line, there, above(g), root, found)
                    note(address, sizes, control, state, p, work, tangent, line, back, above(gb), root, found)
        root[PRESENT] = value[PLACES - 1]
    return SUCCESS


@c_function(STEP)
def observe(address, sizes, control, state, p, work, tangent):
    """Look at the state as it is now, at the start or behind the doses of this instant."""
    t = control[T]
    roots = shift(control, N_CONTROL)
    results = shift(roots, sizes[N_ROOTS] * ROOT)
    line = shift(results, sizes[N_ROOTS] * found_size(sizes))
    call3(address[OUTPUTS], state, p, line)
    for i in range(sizes[N_ROOTS]):
        root = shift(roots, i * ROOT)
        found = shift(results, i * found_size(sizes))
        g = beyond(sizes, state, line, root)
        if found[COUNT] < 0.0:  # the first look
            found[COUNT] = 0.0
            found[ABOVE_AT_START] = above(g)
            found[TIME_ABOVE] = -t * above(g)
        elif above(g) != above(root[PRESENT]):
            number = record(sizes, t, above(g), root, found)
            m = sizes[N_DIRECTIONS]
            if m > 0 and number >= 0:
                abreast.copy(shift(found, FOUND + sizes[MOST] + number * m), moving(sizes, tangent), m)
        root[PRESENT] = g
    return SUCCESS


@inner
def look_out(sizes, control, levels):
    """Before a subject: its levels, and nothing found."""
    roots = shift(control, N_CONTROL)
    results = shift(roots, sizes[N_ROOTS] * ROOT)
    for i in range(sizes[N_ROOTS]):
        roots[i * ROOT + LEVEL] = levels[i]
        results[i * found_size(sizes) + COUNT] = -1.0


@inner
def hand_over(sizes, control, out):
    """After a subject: what was found, into out : (n_roots, found_size)."""
    roots = shift(control, N_CONTROL)
    results = shift(roots, sizes[N_ROOTS] * ROOT)
    for i in range(sizes[N_ROOTS]):
        found = shift(results, i * found_size(sizes))
        found[TIME_ABOVE] += control[T] * above(roots[i * ROOT + PRESENT])
        for j in range(found_size(sizes)):
            out[i * found_size(sizes) + j] = found[j]


METHODS = {
    name: bound(
        (inside, beyond_at, locate, turn, note, crossings),
        STAGES=len(of.B_ERROR),
        EXTRA=getattr(of, "EXTRA", 0),
        weigh=of.weigh,
    )
    for name, of in (explicit.METHODS | rosenbrock.METHODS).items()
}
