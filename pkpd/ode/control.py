"""Tolerance, first step and step-size controller.

A step is accepted when the error of *every* state is within its own tolerance ``floor_i + rtol max(|y_i|,
|y1_i|)`` (``vectors.error_norm``). The floor is what the caller gives as atol; else a small fraction of rtol
times the largest value that state i has had (``vectors.floors``), which keeps a result independent of the
units in which a state is written.

The controller is Gustafsson's PI controller (Hairer & Wanner, Solving ODEs II, equation IV.2.43).
"""

from __future__ import annotations

from math import inf

from pkpd.ode.call import inner, larger, smaller
from pkpd.ode.vectormath import exponential, logarithm

AUTO_FLOOR = 1e-4  # fraction of a state's largest value that counts as its scale
CROSS_FLOOR = 1e-12  # the same across states, for states that have been zero so far
TINY = 1e-300
SAFETY = 0.9
# Error that the controller settles on, in units of tolerance: global errors then stay within a few tolerances
TARGET = 0.17
LARGEST_GROWTH = 8.0
LARGEST_CUT = 0.15
ALPHA = 0.7  # PI exponents, to be divided by the order of the error estimate plus one
BETA = 0.4
# Part of the stability limit at which an explicit method's step counts as one there: at a tight tolerance the
# controller keeps steps well inside. For vern7 at 1e-10, 0.4 instead of 0.7 makes 175 instead of 335 thousand
# right-hand sides of 90 days of il2_treg, 15 instead of 70 of robertson; 0.3 goes to and fro.
AT_LIMIT = {"tsit5": 0.7, "vern7": 0.4}
STIFF_AFTER = 15  # steps there before the problem counts as stiff
FORGET_AFTER = 6  # steps away from it in a row that clear the count
CALM = 1.5  # fastest rate times step that an explicit method would bear easily
CALM_AFTER = 4  # such steps in a row before the problem counts as stiff no more
FORGOTTEN = -9.2  # a smaller error before, as a level, counts as this one
VERN7_TO = 1e-7  # and tighter: see ``partners``
RODAS4_FROM = 1e-2  # and looser
RESOLUTION = 3.6e-15  # 16 units of rounding: clock readings this close (relatively) are one instant
HARDLY = 1000.0  # such units of 16: a step that the clock hardly resolves
SHORTEST = 64.0  # such units: what lasts no longer is given at once


def partners(method: str, rtol: float) -> tuple[str, str]:
    """The explicit and the stiff method that a solve may use; of a method that was asked for by name, itself
    is the only one used.

    What "auto" takes at which tolerance was measured in right-hand sides. Explicit: two oscillators
    (lotka_volterra, van_der_pol of tests/problems.py) and il2_treg over 110 h with 5 doses; vern7 pays five
    more in each step that holds an output, so it is given with 50 outputs (800 in brackets).

        rtol     lotka_volterra          van_der_pol             il2_treg
                 tsit5    vern7          tsit5    vern7          tsit5    vern7
        1e-5       722     1020 (1151)     944     1246 (1447)    5154     5549 (7402)
        1e-6      1100     1232 (1463)    1364     1505 (1816)    7710     7185 (9408)
        1e-7      1712     1514 (1880)    2126     1822 (2323)   11718     9566 (12209)
        1e-8      2696     1916 (2487)    3314     2388 (3149)   18072    12946 (16043)
        1e-10     6686     3327 (4598)    8216     4187 (5828)   44010    24045 (27781)

    Stiff: il2_treg over 90 days with 15 doses. rodas5p is the cheaper one from 1e-3 on. Looser, rodas4 takes
        12 to 20 % fewer
    right-hand sides and a few factorisations more; its errors are then 0.7 to 0.8 tolerances, those of
    rodas5p a tenth of it.

        rtol     rodas4: right-hand sides, factorisations     rodas5p
        1e-1      3080     508                                  3848    477
        1e-2      4496     744                                  5112    635
        1e-3      7256    1204                                  6944    864
        1e-4     13460    2238                                 11928   1487
    """
    explicit = "vern7" if method == "vern7" or (method == "auto" and rtol <= VERN7_TO) else "tsit5"
    stiff = "rodas4" if method == "rodas4" or (method == "auto" and rtol >= RODAS4_FROM) else "rodas5p"
    return explicit, stiff


@inner
def resolution(t):
    """The distance below which two instants near t are one."""
    return RESOLUTION * larger(abs(t), 1e-3)


@inner
def trial_step(fastest, span):
    """A step small enough to probe the second derivative: one hundredth of the time in which the fastest
    state changes by itself.

    fastest : largest relative rate of change (0: no state has a size yet); span : the interval to the next
        event.
    """
    if fastest > 0.0 and fastest < inf:
        return min(0.01 / fastest, span)
    return 1e-6 * span


@inner
def first_step(d1, d2, trial, order):
    """First step from the sizes of slope and curvature in units of tolerance.

    With ``rate = d2 / d1`` the local error of a method behaves as ``(h rate)**order d1 / rate``; the step
    makes it one hundredth. Unlike the textbook's rule this does not depend on the unit of time.
    """
    if not (d1 > 0.0 and d1 < inf and d2 < inf) or d2 * trial < 1e-8 * d1:
        return 100.0 * trial
    rate = d2 / d1
    return min(100.0 * trial, (0.01 * rate / d1) ** (1.0 / order) / rate)


@inner
def level(error):
    """Logarithm of an error, in units of the one that the controller settles on."""
    return logarithm(larger(error / TARGET, 1e-10))


@inner
def step_factor(now, before, order):
    """Factor for the next step after an accepted step, from the levels of its error and of the one before."""
    factor = exponential((BETA * larger(before, FORGOTTEN) - ALPHA * now) / order)
    return smaller(LARGEST_GROWTH, larger(LARGEST_CUT, factor))


@inner
def cut_factor(error, order):
    """Factor for the step after a rejected one; error may be infinite or not a number."""
    factor = SAFETY * exponential(-logarithm(error) / order)
    return smaller(0.9, larger(LARGEST_CUT, factor))
