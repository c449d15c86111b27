"""Rosenbrock methods.

One Jacobian and one sparse LU a step, both straight-line code of the model; every stage is one right-hand
side and one solve. What is written here is for rodas5p; ``METHODS`` has the same functions for every table.
"""

from __future__ import annotations

from pkpd.ode.methods import rodas4
from pkpd.ode.call import bound, c_function, call2, call3, inner, lanes, shift, unrolled
from pkpd.ode.control import CALM, CALM_AFTER
from pkpd.ode.layout import (
    AT_DIAGONAL, AUTO, CALM_STEPS, FACTOR, FACTORISATIONS, FRESH_JACOBIAN, H, INFUSING, JACOBIAN, JACOBIANS,
    METHOD, N_JACOBIAN, N_STATES, RHS, RHS_CALLS,
    ROSENBROCK_READINGS, ROSENBROCK_ROOTS, ROSENBROCK_TANGENT, ROSENBROCK_WATCH, SOLVE, WIDE,
)  # fmt: skip
from pkpd.ode.march import ADVANCE, march
from pkpd.ode.methods.rodas5p import TABLEAU
from pkpd.ode.status import NOT_STIFF, SUCCESS
from pkpd.ode.vectors import combine, plus, total

A = TABLEAU.a
C = TABLEAU.C
B_ERROR = TABLEAU.error
DENSE = TABLEAU.dense
POWERS = len(DENSE)
GAMMA = TABLEAU.gamma
STAGES = len(TABLEAU.c)
LAST = STAGES - 1
ORDER = TABLEAU.order  # of the error estimate, plus one


@inner
def attempt(address, sizes, control, y, p, rate, k, u, y1, error, own, counts):
    """The stages; the last one and its argument are the new value. own : Jacobian | factors."""
    w = sizes[WIDE]
    h = control[H]
    J = own
    LU = shift(own, sizes[N_JACOBIAN])
    if control[FRESH_JACOBIAN] == 0.0:
        call3(address[JACOBIAN], y, p, J)
        counts[JACOBIANS] += 1
        control[FRESH_JACOBIAN] = 1.0
    call3(address[FACTOR], J, 1.0 / (h * GAMMA), LU)
    counts[FACTORISATIONS] += 1
    per_h = 1.0 / h
    for s in unrolled(0, STAGES):
        stage = shift(k, s * w)
        if s == 0:
            call3(address[RHS], y, p, stage)
            if control[INFUSING] != 0.0:
                plus(stage, stage, rate, w)
        else:
            combine(u, y, A, s, 1.0, k, w)
            call3(address[RHS], u, p, stage)
            if control[INFUSING] != 0.0:
                plus(stage, stage, rate, w)
            combine(stage, stage, C, s, per_h, k, w)
        call2(address[SOLVE], LU, stage)
    counts[RHS_CALLS] += STAGES
    plus(y1, u, shift(k, LAST * w), w)
    total(error, 1.0, B_ERROR, STAGES, k, w)


@inner
def complete(address, sizes, control, y, p, rate, k, u, y1, counts):
    """Dense output needs no further stages."""


@inner
def weigh(x, h, weights):
    """Dense output: ``u = (1-x) y + x y1 + x (1-x) sum_s (D_0s + x D_1s + ...) k_s``."""
    weights[0] = 1.0 - x
    weights[1] = x
    for s in range(STAGES):
        weight = 0.0
        for power in unrolled(0, POWERS):
            weight = DENSE[POWERS - 1 - power, s] + x * weight
        weights[2 + s] = x * (1.0 - x) * weight


@inner
def weigh_wide(x, h, weights):
    """The weights of the stages, the same in every lane."""
    for s in unrolled(0, STAGES):
        weight = 0.0
        for power in unrolled(0, POWERS):
            weight = DENSE[POWERS - 1 - power, s] + x * weight
        weights[s] = x * (1.0 - x) * weight


@inner
def blend_wide(x, y, y1, k, weights, i, size):
    """Dense output of the state at i in every lane."""
    total = (1.0 - x) * lanes(shift(y, i)) + x * lanes(shift(y1, i))
    for s in unrolled(0, STAGES):
        total += weights[s] * lanes(shift(k, s * size + i))
    return total


@inner
def judge(address, sizes, control, y, p, k, u, y1, floor, own, counts):
    """NOT_STIFF when an explicit method would have been stable with these steps, again and again.

    The fastest rate is taken to be that of a state by itself, the largest of the Jacobian's diagonal: cheap,
    and if it is too small the explicit method soon says so.
    """
    if sizes[METHOD] != AUTO:
        return SUCCESS
    diagonal = shift(sizes, sizes[AT_DIAGONAL])
    fastest = 0.0
    for i in range(sizes[N_STATES]):
        fastest = max(fastest, abs(own[diagonal[i]]))
    if control[H] * fastest > CALM:
        counts[CALM_STEPS] = 0
        return SUCCESS
    counts[CALM_STEPS] += 1
    if counts[CALM_STEPS] < CALM_AFTER:
        return SUCCESS
    counts[CALM_STEPS] = 0
    return NOT_STIFF


@c_function(ADVANCE)
def advance_rosenbrock(address, sizes, control, state, p, times, counts, out, work, tangent, out_dot):
    """Integrate to the next event, or until the problem is stiff no more; see march.py."""
    return march(
        address, sizes, control, state, p, times, counts, out, work, tangent, out_dot, STAGES, 0, ORDER,
        ROSENBROCK_TANGENT, ROSENBROCK_ROOTS,
        ROSENBROCK_READINGS, ROSENBROCK_WATCH, attempt, judge, complete, weigh,
    )  # fmt: skip


def _method(table):
    return bound(
        (attempt, complete, weigh, weigh_wide, blend_wide, judge, advance_rosenbrock),
        A=table.a, C=table.C, B_ERROR=table.error, DENSE=table.dense, POWERS=len(table.dense),
        GAMMA=table.gamma,
        STAGES=len(table.c), LAST=len(table.c) - 1, ORDER=table.order,
    )  # fmt: skip


METHODS = {table.name: _method(table) for table in (rodas4.TABLEAU, TABLEAU)}
