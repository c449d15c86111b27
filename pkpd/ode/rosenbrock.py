"""Rosenbrock methods.

One Jacobian and one sparse LU a step, both straight-line code of the model; every stage is one right-hand side and one solve.
"""

from __future__ import annotations

from .call import c_function, call2, call3, inner, shift, unrolled
from .control import CALM, CALM_AFTER
from .layout import (
    AT_DIAGONAL, AUTO, CALM_STEPS, FACTOR, FACTORISATIONS, FRESH_JACOBIAN, H, INFUSING, JACOBIAN, JACOBIANS, METHOD, N_JACOBIAN, N_STATES, RHS, RHS_CALLS,
    ROSENBROCK_STAGES, ROSENBROCK_TANGENT, SOLVE, WIDE,
)  # fmt: skip
from .march import ADVANCE, march
from .rodas5p import TABLEAU
from .status import NOT_STIFF, SUCCESS
from .vectors import combine, copy, plus

A = TABLEAU.a
C = TABLEAU.C
DENSE = TABLEAU.dense
GAMMA = TABLEAU.gamma
STAGES = ROSENBROCK_STAGES
LAST = STAGES - 1
ORDER = 5  # of the error estimate, plus one


@inner
def attempt(address, sizes, control, y, p, rate, k, u, y1, error, own, counts):
    """The stages; the last one is the error, and with its argument the new value. own : Jacobian | factors."""
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
    copy(error, shift(k, LAST * w), w)
    plus(y1, u, error, w)


@inner
def weigh(x, h, weights):
    """Dense output: ``u = (1-x) y + x y1 + x (1-x) sum_s (D_0s + x D_1s + x^2 D_2s) k_s``."""
    weights[0] = 1.0 - x
    weights[1] = x
    for s in range(STAGES):
        weights[2 + s] = x * (1.0 - x) * (DENSE[0, s] + x * (DENSE[1, s] + x * DENSE[2, s]))


@inner
def judge(address, sizes, control, y, p, k, u, y1, floor, own, counts):
    """NOT_STIFF when an explicit method would have been stable with these steps, again and again.

    The fastest rate is taken to be that of a state by itself, the largest of the Jacobian's diagonal: cheap, and if it is too small the
    explicit method soon says so.
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
        address, sizes, control, state, p, times, counts, out, work, tangent, out_dot, STAGES, ORDER, ROSENBROCK_TANGENT, attempt, weigh, judge,
    )  # fmt: skip
