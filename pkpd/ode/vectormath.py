"""exp, log and powers for numbers and for vectors, the same arithmetic in every lane and so the same result.

exp: ``2^n e^r`` with ``|r| <= ln(2)/2`` in two parts (Cody & Waite) and the Taylor polynomial. log: the
    argument reduced to [sqrt(1/2), sqrt(2)] and the
series in ``s = f/(2+f)`` with the coefficients of FDLIBM's e_log.c (Sun Microsystems 1993). Powers: exp of y
log x, with the logarithm and the product in two doubles each (Dekker 1971; by fused multiplication where the
processor has it, which gives the same bits), so that a large exponent does not magnify rounding. Within 2
units in the last place: tests/ode/test_vectormath.py.
"""

from __future__ import annotations

from math import inf, nan

from pkpd.ode import processor
from pkpd.ode.call import (
    anywhere, choose, exponent, fused, inner, larger, mantissa, nearest, power_of_two, smaller,
)  # fmt: skip

FUSED = processor.fused()

LOG2_E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01  # its last 20 bits are nought: n LN2_HIGH is exact
LN2_LOW = 1.90821492927058770002e-10
SQRT2 = 1.4142135623730951
LARGEST, SMALLEST = 709.782712893384, -745.2
SUBNORMAL = 2.2250738585072014e-308


@inner
def exponential(x):
    """``e**x``."""
    n = nearest(smaller(larger(x, SMALLEST), LARGEST) * LOG2_E)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    # 1/2! + r/3! + ... + r^11/13!, by pairs of pairs: one after the other they would wait for each other
    low = (0.5 + 0.16666666666666666 * r) + r2 * (0.041666666666666664 + 0.008333333333333333 * r)
    middle = (0.001388888888888889 + 0.0001984126984126984 * r) + r2 * (
        2.48015873015873e-05 + 2.7557319223985893e-06 * r
    )
    high = (2.755731922398589e-07 + 2.505210838544172e-08 * r) + r2 * (
        2.08767569878681e-09 + 1.6059043836821613e-10 * r
    )
    tail = low + r4 * (middle + r4 * high)
    small = r + r * r * tail
    half = nearest(0.5 * n)  # two factors: the ends of the range have no power of two of their own
    result = (1.0 + small) * power_of_two(half) * power_of_two(n - half)
    result = choose(x > LARGEST, inf, result)
    result = choose(x < SMALLEST, 0.0, result)
    return choose(x != x, nan, result)


@inner
def reduced(x):
    """k and f with ``x = 2^k (1 + f)`` and 1 + f between sqrt(1/2) and sqrt(2)."""
    tiny = x < SUBNORMAL
    scaled = choose(tiny, x * 18014398509481984.0, x)  # 2**54
    k = exponent(scaled)
    m = mantissa(scaled)
    above = m > SQRT2
    return choose(tiny, k - 54.0, k) + choose(above, 1.0, 0.0), choose(above, 0.5 * m, m) - 1.0


@inner
def logarithm(x):
    """The natural logarithm."""
    k, f = reduced(x)
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = z * (
        6.666666666666735130e-01
        + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    half_square = 0.5 * f * f
    result = k * LN2_HIGH - ((half_square - (s * (half_square + (even + odd)) + k * LN2_LOW)) - f)
    result = choose(x == inf, inf, result)
    result = choose(x == 0.0, -inf, result)
    return choose((x < 0.0) | (x != x), nan, result)


SPLIT = 134217729.0  # 2**27 + 1
TWO_THIRDS, TWO_THIRDS_LOW = 0.6666666666666666, 3.700743415417188e-17
BEYOND = 1500.0  # e**this is infinite, e**-this nought


@inner
def product(a, b):
    """``a b`` in two doubles."""
    p = a * b
    if FUSED:
        low = fused(a, b, -p)
    else:
        c, d = SPLIT * a, SPLIT * b
        a_high, b_high = c - (c - a), d - (d - b)
        a_low, b_low = a - a_high, b - b_high
        low = ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low
    return p, low


@inner
def logarithm_in_two(x):
    """log x in two doubles, for finite x > 0."""
    k, f = reduced(x)
    d = 2.0 + f
    inverse = 1.0 / d
    s = f * inverse
    sd, sd_low = product(s, d)
    s_low = (((f - sd) - sd_low) - s * (f - (d - 2.0))) * inverse
    # log m = 2 s + s z (2/3 + 2/5 z + 2/7 z^2 + ...), z = s^2
    z, z_low = product(s, s)
    z_low += 2.0 * s * s_low
    z2 = z * z
    z4 = z2 * z2
    # 2/5 + 2/7 z + ... + 2/27 z^11
    first = (0.4 + 0.2857142857142857 * z) + z2 * (0.2222222222222222 + 0.18181818181818182 * z)
    second = (0.15384615384615385 + 0.13333333333333333 * z) + z2 * (
        0.11764705882352941 + 0.10526315789473684 * z
    )
    third = (0.09523809523809523 + 0.08695652173913043 * z) + z2 * (0.08 + 0.07407407407407407 * z)
    rest = z * (first + z4 * (second + z4 * third))
    q = TWO_THIRDS + rest
    q_low = (TWO_THIRDS - q) + rest + TWO_THIRDS_LOW
    w, w_low = product(z, q)
    w_low += z * q_low + z_low * q
    t, t_low = product(s, w)
    t_low += s * w_low + s_low * w
    high = 2.0 * s + t
    low = ((2.0 * s - high) + t) + t_low + 2.0 * s_low
    whole = k * LN2_HIGH
    total = whole + high
    back = total - whole
    low = ((whole - (total - back)) + (high - back)) + (low + k * LN2_LOW)
    result = total + low
    return result, (total - result) + low


@inner
def with_sign(result, x, y):
    """``x**y`` from that of the size of x: what nought, infinity and negative numbers make of it."""
    if anywhere(~((x > 0.0) & (x < inf) & (abs(y) < inf))):
        result = of_special(result, x, y)
    return result


@inner
def of_special(result, x, y):
    """The same where some of them are no numbers above 0."""
    size = abs(x)
    result = choose(size == 0.0, choose(y > 0.0, 0.0, inf), result)
    result = choose(size == inf, choose(y > 0.0, inf, 0.0), result)
    whole = nearest(y) == y
    odd = whole & (2.0 * nearest(0.5 * y) != y)
    result = choose((x < 0.0) & odd, -result, result)
    result = choose((x < 0.0) & ~whole, nan, result)
    result = choose((x != x) | (y != y), nan, result)
    return choose((y == 0.0) | (x == 1.0), 1.0, result)


@inner
def power_at_once(x, y):
    """``x**y`` by one logarithm: its error is ``|y log x|`` units in the last place. Where that is enough, it
    takes a third of the time."""
    return with_sign(exponential(y * logarithm(abs(x))), x, y)


@inner
def power(x, y):
    """``x**y``; of a negative number by a whole one."""
    size = abs(x)
    log_high, log_low = logarithm_in_two(size)
    p, p_low = product(y, log_high)
    p_low += y * log_low
    about = y * log_high
    far = ~(abs(about) <= BEYOND)
    p = choose(far, choose(about > 0.0, BEYOND, -BEYOND), p)
    p_low = choose(far, 0.0, p_low)
    result = exponential(p)
    result = choose(result < inf, result + result * p_low, result)
    return with_sign(result, x, y)
