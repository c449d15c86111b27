"""Tolerance, first step and step-size controller.

A step is accepted when the error of *every* state is within its own tolerance ``atol_i + rtol max(|y_i|, |y1_i|) + floor_i``. The floor is
nought when the caller gives atol; else it is a small fraction of rtol times the largest value that state i has had, which keeps a
result independent of the units in which a state is written.

The controller is Gustafsson's PI controller (Hairer & Wanner, Solving ODEs II, equation IV.2.43).
"""

from __future__ import annotations

from math import inf

from .call import inner

AUTO_FLOOR = 1e-4  # fraction of a state's largest value that counts as its scale
CROSS_FLOOR = 1e-12  # the same across states, for states that have been zero so far
TINY = 1e-300
SAFETY = 0.9
TARGET = 0.17  # error that the controller settles on, in units of tolerance: global errors then stay within a few tolerances
LARGEST_GROWTH = 8.0
LARGEST_CUT = 0.15
ALPHA = 0.7  # PI exponents, to be divided by the order of the error estimate plus one
BETA = 0.4
RESOLUTION = 3.6e-15  # 16 units of rounding: clock readings this close (relatively) are one instant


@inner
def resolution(t):
    """The distance below which two instants near t are one."""
    return RESOLUTION * max(abs(t), 1e-3)


@inner
def tolerance(y0, y1, atol, rtol, automatic, largest, top):
    """Tolerance of one state; largest: its own running maximum, top: that of all states."""
    return (
        atol + rtol * (max(abs(y0), abs(y1)) + automatic * (AUTO_FLOOR * largest + CROSS_FLOOR * top)) + TINY
    )


@inner
def trial_step(fastest, span):
    """A step small enough to probe the second derivative: one hundredth of the time in which the fastest state changes by itself.

    fastest : largest relative rate of change (0: no state has a size yet); span : the interval to the next event.
    """
    if fastest > 0.0 and fastest < inf:
        return min(0.01 / fastest, span)
    return 1e-6 * span


@inner
def first_step(d1, d2, trial, order):
    """First step from the sizes of slope and curvature in units of tolerance.

    With ``rate = d2 / d1`` the local error of a method behaves as ``(h rate)**order d1 / rate``; the step makes it one hundredth. Unlike
    the textbook's rule this does not depend on the unit of time.
    """
    if not (d1 > 0.0 and d1 < inf and d2 < inf) or d2 * trial < 1e-8 * d1:
        return 100.0 * trial
    rate = d2 / d1
    return min(100.0 * trial, (0.01 * rate / d1) ** (1.0 / order) / rate)


@inner
def step_factor(error, previous, order):
    """Factor for the next step after an accepted step, from the errors in units of tolerance now and before."""
    factor = max(error / TARGET, 1e-10) ** (-ALPHA / order) * max(previous / TARGET, 1e-4) ** (BETA / order)
    return min(LARGEST_GROWTH, max(LARGEST_CUT, factor))


@inner
def cut_factor(error, order):
    """Factor for the step after a rejected one; error may be infinite or not a number."""
    if error < inf:
        return min(0.9, max(LARGEST_CUT, SAFETY * error ** (-1.0 / order)))
    return LARGEST_CUT
