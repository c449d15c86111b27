"""Explicit Runge-Kutta pairs, with stiffness detection.

Stiffness is detected as in DOPRI5 (Hairer & Wanner, Solving ODEs II, section IV.2): the last two stages stand
at the same time, so ``|k_s - k_(s-1)| / |u_s - u_(s-1)|``, in units of the tolerances, estimates the dominant
eigenvalue; when steps sit at the stability limit again and again, it is no longer the accuracy that decides
the step.

What is written here is for tsit5; ``METHODS`` has the same functions for every table.
"""

from __future__ import annotations

from pkpd.ode.methods import vern7
from pkpd.ode.call import bound, c_function, call3, inner, lanes, set_lanes, shift, unrolled
from pkpd.ode.control import AT_LIMIT, FORGET_AFTER, STIFF_AFTER
from pkpd.ode.layout import (
    AUTO, CALM_STEPS, EXPLICIT_READINGS, EXPLICIT_ROOTS, EXPLICIT_TANGENT, EXPLICIT_WATCH, FRESH_SLOPE, H,
    INFUSING, LANES, METHOD, RHS, RHS_CALLS, RTOL, SLOPE_AHEAD, STIFF_STEPS, WIDE,
)  # fmt: skip
from pkpd.ode.march import ADVANCE, march, slope
from pkpd.ode.status import STIFF, SUCCESS
from pkpd.ode.methods.tsit5 import TABLEAU
from pkpd.ode.vectors import combine, copy, plus, quotient, total

A = TABLEAU.a
B_ERROR = TABLEAU.error
DENSE = TABLEAU.dense
POWERS = DENSE.shape[1]
STAGES = TABLEAU.stages  # of a step
ALL = len(TABLEAU.b)  # with those of dense output
EXTRA = ALL - STAGES
LAST, BEFORE = STAGES - 1, STAGES - 2
END = TABLEAU.end  # the stage at the new value: LAST, or STAGES and then computed only when it is wanted
ORDER = TABLEAU.order  # of the error estimate, plus one
LIMIT = AT_LIMIT[TABLEAU.name] * TABLEAU.stability_limit()


@inner
def attempt(address, sizes, control, y, p, rate, k, u, y1, error, own, counts):
    """The stages, the last two at the end of the step. own : the argument of the stage before the last; u :
    that of the last, unless it is y1."""
    w = sizes[WIDE]
    h = control[H]
    if control[FRESH_SLOPE] == 0.0:  # the slope at the end of the step before is the first of this one
        if END == LAST or control[SLOPE_AHEAD] != 0.0:
            copy(k, shift(k, END * w), w)
        else:
            slope(address, y, p, rate, k, w)
            counts[RHS_CALLS] += 1
        control[FRESH_SLOPE] = 1.0
    control[SLOPE_AHEAD] = 0.0
    for s in unrolled(1, STAGES):
        at = own if s == BEFORE else (y1 if s == END else u)
        combine(at, y, A, s, h, k, w)
        stage = shift(k, s * w)
        call3(address[RHS], at, p, stage)
        if control[INFUSING] != 0.0:
            plus(stage, stage, rate, w)
    if END != LAST:
        combine(y1, y, A, END, h, k, w)
    total(error, h, B_ERROR, STAGES, k, w)
    counts[RHS_CALLS] += STAGES - 1


@inner
def complete(address, sizes, control, y, p, rate, k, u, y1, counts):
    """The stages that serve dense output alone; u : scratch."""
    w = sizes[WIDE]
    h = control[H]
    for s in unrolled(STAGES, ALL):
        at = y1 if s == END else u
        if s != END:
            combine(at, y, A, s, h, k, w)
        slope(address, at, p, rate, shift(k, s * w), w)
    counts[RHS_CALLS] += ALL - STAGES
    control[SLOPE_AHEAD] = 1.0


@inner
def weigh(x, h, weights):
    """Dense output: ``u = y + h sum_s (D_s0 x + D_s1 x^2 + ...) k_s``."""
    weights[0] = 1.0
    weights[1] = 0.0
    for s in range(ALL):
        weight = 0.0
        for power in unrolled(0, POWERS):
            weight = DENSE[s, POWERS - 1 - power] + x * weight
        weights[2 + s] = h * x * weight


@inner
def weigh_wide(x, h, weights):
    """The weights of the stages in every lane; that of y is one."""
    for s in unrolled(0, ALL):
        weight = 0.0
        for power in unrolled(0, POWERS):
            weight = DENSE[s, POWERS - 1 - power] + x * weight
        set_lanes(shift(weights, s * LANES), h * x * weight)


@inner
def blend_wide(x, y, y1, k, weights, i, size):
    """Dense output of the state at i in every lane."""
    total = lanes(shift(y, i))
    for s in unrolled(0, ALL):
        total += lanes(shift(weights, s * LANES)) * lanes(shift(k, s * size + i))
    return total


@inner
def judge(address, sizes, control, y, p, k, u, y1, floor, own, counts):
    """STIFF when the steps have sat at the limit of stability for long."""
    if sizes[METHOD] != AUTO:
        return SUCCESS
    w = sizes[WIDE]
    u = shift(k, ALL * w)
    at = y1 if END == LAST else u
    eigenvalue = quotient(shift(k, LAST * w), shift(k, BEFORE * w), at, own, y, floor, control[RTOL], w)
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
        address, sizes, control, state, p, times, counts, out, work, tangent, out_dot, ALL, EXTRA, ORDER,
        EXPLICIT_TANGENT, EXPLICIT_ROOTS,
        EXPLICIT_READINGS, EXPLICIT_WATCH, attempt, judge, complete, weigh,
    )  # fmt: skip


def _method(table):
    return bound(
        (attempt, complete, weigh, weigh_wide, blend_wide, judge, advance_explicit),
        A=table.a, B_ERROR=table.error, DENSE=table.dense, POWERS=table.dense.shape[1], STAGES=table.stages,
        ALL=len(table.b),
        EXTRA=len(table.b) - table.stages, LAST=table.stages - 1, BEFORE=table.stages - 2, END=table.end,
        ORDER=table.order,
        LIMIT=AT_LIMIT[table.name] * table.stability_limit(),
    )  # fmt: skip


METHODS = {table.name: _method(table) for table in (TABLEAU, vern7.TABLEAU)}
