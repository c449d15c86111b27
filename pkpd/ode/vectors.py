"""Whole vectors of one subject's states, PACK doubles at a time; ``abreast`` has the same functions for what
stands side by side in lanes, directions or subjects, LANES at a time.

Arrays that these functions take have a length that is a multiple of PACK (LANES); what is beyond the last
state is nought and stays so. Element by element they do no more than the scalar loop would, in the same
order.
"""

from __future__ import annotations

from pkpd.ode.call import (
    bound, bounded, highest, inner, lanes, larger, pack, set_lanes, set_pack, shift, unrolled,
)  # fmt: skip
from pkpd.ode.control import AUTO_FLOOR, CROSS_FLOOR, TINY
from pkpd.ode.layout import LANES, PACK

COUNT, load, store = PACK, pack, set_pack


@inner
def add(target, factor, source, count):
    """``target += factor source``; the two are the same or apart."""
    for i in range(0, count, COUNT):
        store(shift(target, i), load(shift(target, i)) + factor * load(shift(source, i)))


@inner
def combine(target, base, table, s, factor, k, count):
    """``target = base + factor sum_(j<s) table[s, j] k_j``, s > 0 known at compilation, k : (stages, count);
    sums stay in registers."""
    for i in range(0, count, COUNT):
        total = table[s, 0] * load(shift(k, i))
        for j in unrolled(1, s):
            if table[s, j] != 0.0:
                total += table[s, j] * load(shift(k, j * count + i))
        store(shift(target, i), load(shift(base, i)) + factor * total)


@inner
def total(target, factor, row, stages, k, count):
    """``target = factor sum_s row[s] k_s``, stages known at compilation."""
    for i in range(0, count, COUNT):
        found = row[0] * load(shift(k, i))
        for s in unrolled(1, stages):
            if row[s] != 0.0:
                found += row[s] * load(shift(k, s * count + i))
        store(shift(target, i), factor * found)


@inner
def clear(target, count):
    """``target = 0``."""
    for i in range(count):
        target[i] = 0.0


@inner
def copy(target, source, count):
    """``target = source``."""
    for i in range(0, count, COUNT):
        store(shift(target, i), load(shift(source, i)))


@inner
def plus(target, a, b, count):
    """``target = a + b``."""
    for i in range(0, count, COUNT):
        store(shift(target, i), load(shift(a, i)) + load(shift(b, i)))


@inner
def blend(target, a, y, b, y1, weights, stages, k, count):
    """``target = a y + b y1 + sum_s weights[s] k_s``."""
    for i in range(0, count, COUNT):
        total = a * load(shift(y, i)) + b * load(shift(y1, i))
        for s in range(stages):
            total += weights[s] * load(shift(k, s * count + i))
        store(shift(target, i), total)


@inner
def floors(floor, atol, largest, rtol, automatic, count):
    """The part of a tolerance that does not depend on the step: see control.py. largest : the greatest size
    that each state has had."""
    top = load(largest)
    for i in range(COUNT, count, COUNT):
        top = larger(top, load(shift(largest, i)))
    across = TINY + rtol * automatic * CROSS_FLOOR * highest(top)
    own = rtol * automatic * AUTO_FLOOR
    for i in range(0, count, COUNT):
        store(shift(floor, i), load(shift(atol, i)) + (own * load(shift(largest, i)) + across))


@inner
def error_norm(error, y, y1, floor, rtol, count):
    """The largest error in units of the tolerance ``floor + rtol max(|y|, |y1|)``; infinite where it is not a
    number."""
    worst = 0.0 * load(floor)
    for i in range(0, count, COUNT):
        size = larger(abs(load(shift(y, i))), abs(load(shift(y1, i))))
        ratio = abs(load(shift(error, i))) / (load(shift(floor, i)) + rtol * size)
        worst = larger(worst, bounded(ratio))
    return highest(worst)


@inner
def quotient(f1, f0, u1, u0, y, floor, rtol, count):
    """``|f1 - f0| / |u1 - u0|`` in units of the tolerance at (y, u1); nought where the two do not differ."""
    change = 0.0 * load(floor)
    distance = change
    for i in range(0, count, COUNT):
        size = larger(abs(load(shift(y, i))), abs(load(shift(u1, i))))
        per_scale = 1.0 / (load(shift(floor, i)) + rtol * size)
        change = larger(change, abs(load(shift(f1, i)) - load(shift(f0, i))) * per_scale)
        distance = larger(distance, abs(load(shift(u1, i)) - load(shift(u0, i))) * per_scale)
    far = highest(distance)
    return highest(change) / far if far > 0.0 else 0.0


@inner
def advance(y, y1, largest, count):
    """``y = y1``, and the greatest sizes with it."""
    for i in range(0, count, COUNT):
        value = load(shift(y1, i))
        store(shift(y, i), value)
        store(shift(largest, i), larger(load(shift(largest, i)), abs(value)))


abreast = bound(
    (add, combine, total, clear, copy, plus, blend, floors, error_norm, quotient, advance),
    COUNT=LANES, load=lanes, store=set_lanes,
)  # fmt: skip
