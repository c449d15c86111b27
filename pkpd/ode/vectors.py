"""Whole vectors of states or tangents, LANES doubles at a time.

Arrays that these functions take have a length that is a multiple of LANES; what is beyond the last state is
nought and stays so. Element by element they do no more than the scalar loop would, in the same order.
"""

from __future__ import annotations

from pkpd.ode.call import bounded, highest, inner, lanes, larger, set_lanes, shift, unrolled
from pkpd.ode.control import AUTO_FLOOR, CROSS_FLOOR, TINY
from pkpd.ode.layout import LANES


@inner
def add(target, factor, source, count):
    """``target += factor source``; the two are the same or apart."""
    for i in range(0, count, LANES):
        set_lanes(shift(target, i), lanes(shift(target, i)) + factor * lanes(shift(source, i)))


@inner
def combine(target, base, table, s, factor, k, count):
    """``target = base + factor sum_(j<s) table[s, j] k_j``, s > 0 known at compilation, k : (stages, count);
    sums stay in registers."""
    for i in range(0, count, LANES):
        total = table[s, 0] * lanes(shift(k, i))
        for j in unrolled(1, s):
            if table[s, j] != 0.0:
                total += table[s, j] * lanes(shift(k, j * count + i))
        set_lanes(shift(target, i), lanes(shift(base, i)) + factor * total)


@inner
def total(target, factor, row, stages, k, count):
    """``target = factor sum_s row[s] k_s``, stages known at compilation."""
    for i in range(0, count, LANES):
        found = row[0] * lanes(shift(k, i))
        for s in unrolled(1, stages):
            if row[s] != 0.0:
                found += row[s] * lanes(shift(k, s * count + i))
        set_lanes(shift(target, i), factor * found)


@inner
def clear(target, count):
    """``target = 0``."""
    for i in range(count):
        target[i] = 0.0


@inner
def copy(target, source, count):
    """``target = source``."""
    for i in range(0, count, LANES):
        set_lanes(shift(target, i), lanes(shift(source, i)))


@inner
def plus(target, a, b, count):
    """``target = a + b``."""
    for i in range(0, count, LANES):
        set_lanes(shift(target, i), lanes(shift(a, i)) + lanes(shift(b, i)))


@inner
def blend(target, a, y, b, y1, weights, stages, k, count):
    """``target = a y + b y1 + sum_s weights[s] k_s``."""
    for i in range(0, count, LANES):
        total = a * lanes(shift(y, i)) + b * lanes(shift(y1, i))
        for s in range(stages):
            total += weights[s] * lanes(shift(k, s * count + i))
        set_lanes(shift(target, i), total)


@inner
def floors(floor, atol, largest, rtol, automatic, count):
    """The part of a tolerance that does not depend on the step: see control.py. largest : the greatest size
    that each state has had."""
    top = lanes(largest)
    for i in range(LANES, count, LANES):
        top = larger(top, lanes(shift(largest, i)))
    across = TINY + rtol * automatic * CROSS_FLOOR * highest(top)
    own = rtol * automatic * AUTO_FLOOR
    for i in range(0, count, LANES):
        set_lanes(shift(floor, i), lanes(shift(atol, i)) + (own * lanes(shift(largest, i)) + across))


@inner
def error_norm(error, y, y1, floor, rtol, count):
    """The largest error in units of the tolerance ``floor + rtol max(|y|, |y1|)``; infinite where it is not a
    number."""
    worst = 0.0 * lanes(floor)
    for i in range(0, count, LANES):
        size = larger(abs(lanes(shift(y, i))), abs(lanes(shift(y1, i))))
        ratio = abs(lanes(shift(error, i))) / (lanes(shift(floor, i)) + rtol * size)
        worst = larger(worst, bounded(ratio))
    return highest(worst)


@inner
def quotient(f1, f0, u1, u0, y, floor, rtol, count):
    """``|f1 - f0| / |u1 - u0|`` in units of the tolerance at (y, u1); nought where the two do not differ."""
    change = 0.0 * lanes(floor)
    distance = change
    for i in range(0, count, LANES):
        size = larger(abs(lanes(shift(y, i))), abs(lanes(shift(u1, i))))
        scale = lanes(shift(floor, i)) + rtol * size
        change = larger(change, abs(lanes(shift(f1, i)) - lanes(shift(f0, i))) / scale)
        distance = larger(distance, abs(lanes(shift(u1, i)) - lanes(shift(u0, i))) / scale)
    far = highest(distance)
    return highest(change) / far if far > 0.0 else 0.0


@inner
def advance(y, y1, largest, count):
    """``y = y1``, and the greatest sizes with it."""
    for i in range(0, count, LANES):
        value = lanes(shift(y1, i))
        set_lanes(shift(y, i), value)
        set_lanes(shift(largest, i), larger(lanes(shift(largest, i)), abs(value)))
