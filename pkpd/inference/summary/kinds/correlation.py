"""Pearson's correlation r between two outputs of the patients of one arm, the second one named in column
``other``: (artanh rho - artanh r)/SE, SE = 1/sqrt(n - 3) (Fisher 1921, Metron 1:3), or without n from a CI95
as (artanh upper - artanh lower)/(2 1.96). rho is that of the predicted patients with their measurement
errors, cov(s, s')/sqrt((var(s) + mean(v)) (var(s') + mean(v'))): errors are independent, so that they draw it
towards 0. Of patients who are not normal trials tell how r scatters (``sampling``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.kinds.kind import Bad, Kind, View
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]

_MOST = 1 - 1e-9
"""Largest size of a predicted correlation, so that its artanh is finite."""
_LEAST_SD = 1e-6
"""Share of the mean size of patients that is added to their SD, in quadrature: those who do not differ are
not correlated."""


class PearsonCorrelation(Kind):
    """How two outputs go together in the patients of an arm."""

    name = "correlation"
    columns = ("other",)
    without_unit = True
    signed = True
    of_level = False

    def views(self, row: Row) -> tuple[View, ...]:
        return tuple(View(row.arm, row.schedule, 1.0, output) for output in row.outputs)

    def check(self, row: Row, bad: Bad) -> None:
        if not row.other or row.other == row.output:
            bad("other", "a correlation needs another output, with which this one is correlated")
        if not -1 < row.value < 1:
            bad("value", f"a correlation lies between -1 and 1, without the ends, and {row.value:g} does not")
        if row.spread_type not in ("none", "CI95"):
            bad("spread_type", "a correlation has a CI95 or none: its error follows from n")
        if (row.n is None and row.spread_type != "CI95") or (row.n is not None and row.n < 4):
            bad("n", "a correlation needs the number of patients, at least 4, or its CI95")
        if row.spread_type == "CI95" and not -1 < _ends(row)[0] <= _ends(row)[1] < 1:
            bad("lower", "the interval of a correlation lies between -1 and 1, without the ends")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        if row.n is not None:
            error = 1 / math.sqrt(row.n - 3)
        else:
            low, high = np.arctanh(_ends(row))
            error = float(high - low) / (2 * Z95)
        slope = np.log1p(-(row.value**2))
        return Measured(row, (Printed("artanh correlation", np.arctanh(row.value), error, slope),))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        rho = _correlation(s, v)
        inside = min(max(rho.value, -_MOST), _MOST)
        slope = (inside == rho.value) / (1 - inside**2)
        return normal_term(x, [Statistic(math.atanh(inside), slope * rho.by_s, slope * rho.by_v)], rho)

    def as_printed(self, row: Row, trials: Sequence[Array]) -> Row | None:
        a, b = (x - x.mean(axis=1, keepdims=True) for x in trials)
        with np.errstate(all="ignore"):
            r = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
        n = a.shape[1]
        return replace(row, n=n, value=np.clip(r, -_MOST, _MOST)) if n > 3 else None

    def interval(self, x: Measured) -> tuple[float, float]:
        (printed,) = x.printed
        half = Z95 * printed.error
        return math.tanh(printed.value - half), math.tanh(printed.value + half)


def _ends(row: Row) -> tuple[float, float]:
    return (
        (row.lower, row.upper)
        if math.isfinite(row.lower)
        else (row.value - row.spread, row.value + row.spread)
    )


def _correlation(s: Array, v: Array) -> Statistic:
    """Of two outputs (2, K) of the same patients, measured with errors of variance v."""
    size = s.shape[1]
    centred = s - s.mean(axis=1, keepdims=True)
    least = (_LEAST_SD * np.abs(s).mean(axis=1)) ** 2 + 1e-300
    variance = ((centred**2).mean(axis=1) + v.mean(axis=1) + least)[:, None]
    both = math.sqrt(float(variance.prod()))
    rho = float((centred[0] * centred[1]).mean()) / both
    by_s = (centred[::-1] / both - rho * centred / variance) / size
    return Statistic(rho, by_s, np.repeat(-rho / (2 * variance * size), size, axis=1))
