"""exp and log for numbers and for vectors, the same arithmetic in every lane and so the same result.

exp: ``2^n e^r`` with ``|r| <= ln(2)/2`` in two parts (Cody & Waite) and the Taylor polynomial. log: the argument reduced to [sqrt(1/2), sqrt(2)] and the
series in ``s = f/(2+f)`` with the coefficients of FDLIBM's e_log.c (Sun Microsystems 1993).
"""

from __future__ import annotations

from math import inf, nan

from .call import choose, exponent, inner, larger, mantissa, nearest, power_of_two, smaller

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
    tail = 1.6059043836821613e-10 * r + 2.08767569878681e-09  # 1/13!, 1/12!, ...
    tail = tail * r + 2.505210838544172e-08
    tail = tail * r + 2.755731922398589e-07
    tail = tail * r + 2.7557319223985893e-06
    tail = tail * r + 2.48015873015873e-05
    tail = tail * r + 0.0001984126984126984
    tail = tail * r + 0.001388888888888889
    tail = tail * r + 0.008333333333333333
    tail = tail * r + 0.041666666666666664
    tail = tail * r + 0.16666666666666666
    tail = tail * r + 0.5
    small = r + r * r * tail
    half = nearest(0.5 * n)  # two factors: the ends of the range have no power of two of their own
    result = (1.0 + small) * power_of_two(half) * power_of_two(n - half)
    result = choose(x > LARGEST, inf, result)
    result = choose(x < SMALLEST, 0.0, result)
    return choose(x != x, nan, result)


@inner
def logarithm(x):
    """The natural logarithm."""
    tiny = x < SUBNORMAL
    scaled = choose(tiny, x * 18014398509481984.0, x)  # 2**54
    k = exponent(scaled)
    m = mantissa(scaled)
    above = m > SQRT2
    m = choose(above, 0.5 * m, m)
    k = choose(above, k + 1.0, k)
    k = choose(tiny, k - 54.0, k)
    f = m - 1.0
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
