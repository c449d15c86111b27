"""Explicit Runge-Kutta pairs, with stiffness detection.

Stiffness is detected as in DOPRI5 (Hairer & Wanner, Solving ODEs II, section IV.2): the last two stages stand at the same time, so
``|k_s - k_(s-1)| / |u_s - u_(s-1)|``, in units of the tolerances, estimates the dominant eigenvalue; when steps sit at the stability limit again and
again, it is no longer the accuracy that decides the step.
"""

from __future__ import annotations

from .call import c_function, call3, inner, shift, unrolled
from .control import AT_LIMIT, FORGET_AFTER, STIFF_AFTER
from .layout import (
    AUTO, CALM_STEPS, EXPLICIT_STAGES, EXPLICIT_TANGENT, FRESH_SLOPE, H, INFUSING, METHOD, RHS, RHS_CALLS, RTOL, STIFF_STEPS, WIDE,
)  # fmt: skip
from .march import ADVANCE, march
from .status import STIFF, SUCCESS
from .tsit5 import TABLEAU
from .vectors import combine, copy, plus, quotient, total

A = TABLEAU.a
B_ERROR = TABLEAU.error
DENSE = TABLEAU.dense
STAGES = EXPLICIT_STAGES
LAST, BEFORE = STAGES - 1, STAGES - 2
ORDER = 5  # of the error estimate, plus one
LIMIT = AT_LIMIT * TABLEAU.stability_limit()


@inner
def attempt(address, sizes, control, y, p, rate, k, u, y1, error, own, counts):
    """The stages; the last one stands at the new value. own : the argument of the stage before."""
    w = sizes[WIDE]
    h = control[H]
    if control[FRESH_SLOPE] == 0.0:  # the last slope of the step before is the first of this one
        copy(k, shift(k, LAST * w), w)
        control[FRESH_SLOPE] = 1.0
    for s in unrolled(1, STAGES):
        at = own if s == BEFORE else (y1 if s == LAST else u)
        combine(at, y, A, s, h, k, w)
        stage = shift(k, s * w)
        call3(address[RHS], at, p, stage)
        if control[INFUSING] != 0.0:
            plus(stage, stage, rate, w)
    total(error, h, B_ERROR, STAGES, k, w)
    counts[RHS_CALLS] += STAGES - 1


@inner
def weigh(x, h, weights):
    """Dense output: ``u = y + h sum_s (D_s0 x + D_s1 x^2 + ...) k_s``."""
    weights[0] = 1.0
    weights[1] = 0.0
    for s in range(STAGES):
        weights[2 + s] = h * x * (DENSE[s, 0] + x * (DENSE[s, 1] + x * (DENSE[s, 2] + x * DENSE[s, 3])))


@inner
def judge(address, sizes, control, y, p, k, u, y1, floor, own, counts):
    """STIFF when the steps have sat at the limit of stability for long."""
    if sizes[METHOD] != AUTO:
        return SUCCESS
    w = sizes[WIDE]
    eigenvalue = quotient(shift(k, LAST * w), shift(k, BEFORE * w), y1, own, y, floor, control[RTOL], w)
    if control[H] * eigenvalue > LIMIT:
        counts[STIFF_STEPS] += 1
        counts[CALM_STEPS] = 0
        if counts[STIFF_STEPS] >= STIFF_AFTER:
            counts[STIFF_STEPS] = 0
            return STIFF
    else:
        counts[CALM_STEPS] += 1
        if counts[CALM_STEPS] >= FORGET_AFTER:
            counts[STIFF_STEPS] = 0
    return SUCCESS


@c_function(ADVANCE)
def advance_explicit(address, sizes, control, state, p, times, counts, out, work, tangent, out_dot):
    """Integrate to the next event, or until the problem is stiff; see march.py."""
    return march(
        address, sizes, control, state, p, times, counts, out, work, tangent, out_dot, STAGES, ORDER, EXPLICIT_TANGENT, attempt, weigh, judge,
    )  # fmt: skip
