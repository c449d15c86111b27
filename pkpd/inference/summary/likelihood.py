"""Predicted patients + a reported summary -> signed deviance residuals, with exact gradients. Knows no ODE.

Every row contributes residuals r_i such that

    -log L = 1/2 sum_i r_i^2 + 1/2 constant,      constant independent of every parameter,

so that Gauss-Newton applies and nothing is lost: sum r^2 is the objective function value (OFV), sum r^2 +
constant is -2LL. A sign is that of predicted minus observed. An arm is predicted by K quasi-random patients;
a row looks at their

    sample   s_k   the output reduced over time (at, max, min, mean, auc, tmax, half_life) and taken relative
    to the
                   same patient at time 0 (value, change, percent_change, fold): ``samples``
    noise    v_k   variance of s_k by within-patient and assay error of single measurements
    (``samples.Noise``)

With m = mean(s), V = mean((s - m)^2) + mean(v) (moments over K, the points being balanced), each word of the
column ``statistic`` has its formula in a file of ``kinds``; ``spreads`` has what a printed SD, CV, IQR or
range adds. For mean and SD of arms as data see Ahn & French 2010, J Pharmacokinet Pharmacodyn 37:179
(model-based meta-analysis)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.terms import Measured, Term

Array = NDArray[np.float64]


def measured(row: Row, relative_error: float = 0.3, *, spread: bool = True) -> Measured:
    """What a row prints, with errors: ``kinds.kind.Kind.measured``."""
    return KINDS[row.statistic].measured(row, relative_error, spread=spread)


def evaluate(x: Measured, s: Array, v: Array) -> Term:
    """Residuals of one row. ``s`` and ``v`` are samples and noise variances, (J, K): J arms of K patients."""
    return KINDS[x.row.statistic].term(x, np.atleast_2d(s), np.atleast_2d(v))


def interval(x: Measured) -> tuple[float, float]:
    """A 95 % interval of the reported number itself, on the row's scale, for tables and figures (nan if
    open)."""
    return KINDS[x.row.statistic].interval(x)


def observed(row: Row) -> float:
    """The number that stands against the prediction: the value, or the middle of a range without one."""
    return KINDS[row.statistic].observed(row)


def describe(x: Measured) -> str:
    """One phrase that says how a row enters the likelihood, for tables."""
    row = x.row
    parts = [f"{KINDS[row.statistic].words}{f', {row.other}' if row.other else ''}"]
    if x.assumed:
        parts.append(f"assumed error {x.se:.3g}")
    elif row.spread_type != "none":
        parts.append(row.spread_type)
    if row.n:
        parts.append(f"n {row.n}")
    return ", ".join(parts)
