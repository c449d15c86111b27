"""The range of n patients, lower..upper: midrange and log width of the order statistics of n normals, with
their exact means and variances (d2, d3 and the variance of the midrange, by quadrature; Tippett 1925,
Biometrika 17:364); of a value or fold on the log scale if lower > 0."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.kinds.kind import Bad, Kind
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Spread, ends_above_zero, log_sd, log_sd_of_logs
from pkpd.inference.summary.statistics import log_samples, range_moments
from pkpd.inference.summary.terms import Functional, Measured, Printed, Term, normal_term

Array = NDArray[np.float64]


class Range(Kind):
    """Smallest and largest of n patients."""

    name = "range"
    needs_value = False

    def check(self, row: Row, bad: Bad) -> None:
        if math.isnan(row.lower) or math.isnan(row.upper):
            bad("lower", "a range needs lower and upper")
        if row.n is None or row.n < 2:
            bad("n", "a range needs the number of patients, at least 2")

    def measured(self, row: Row, relative_error: float = 0.3, *, spread: bool = True) -> Measured:
        lower, upper = _ends(row)
        told, error = _spread(row)
        printed = (Printed("midrange", (lower + upper) / 2, error),)
        return Measured(row, (*printed, told.printed) if spread else printed)

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        told, _ = _spread(x.row)
        if ends_above_zero(x.row):
            reference = math.sqrt(x.row.lower * x.row.upper)
            logs, _, slope, _, _ = log_samples(s, v, reference)
            middle = Functional(float(logs.mean()), slope / s.size, np.zeros(s.shape))
            wide = log_sd_of_logs(s, v, told.floor, reference)
            g = math.exp(middle.value)
            predicted = Functional(g, g * middle.by_s, middle.by_v)
        else:
            middle = predicted = mean(s)
            wide = log_sd(s, v, told.floor)
        return normal_term(x, [middle, wide][: len(x.printed)], predicted)

    def observed(self, row: Row) -> float:
        middle = sum(_ends(row)) / 2
        return math.exp(middle) if ends_above_zero(row) else middle

    def interval(self, x: Measured) -> tuple[float, float]:
        """Of its middle."""
        middle, half = self.observed(x.row), Z95 * x.se
        if ends_above_zero(x.row):
            return middle / math.exp(half), middle * math.exp(half)
        return middle - half, middle + half


def _ends(row: Row) -> tuple[float, float]:
    """On the scale of the row."""
    return (math.log(row.lower), math.log(row.upper)) if ends_above_zero(row) else (row.lower, row.upper)


def _spread(row: Row) -> tuple[Spread, float]:
    """What its width tells, and the SE of its middle."""
    assert row.n is not None  # the reader asked for it
    d2, d3, middle_sd = range_moments(row.n)
    lower, upper = _ends(row)
    sd, error = (upper - lower) / d2, d3 / d2
    return Spread(sd, sd * math.exp(error**2 / 2), error, "log range"), middle_sd * sd
