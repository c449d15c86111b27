"""The range of n patients, lower..upper: midrange and log width of the order statistics of n normals, with
their exact means and variances (d2, d3 and the variance of the midrange, by quadrature; Tippett 1925,
Biometrika 17:364); of a value or fold on the log scale if lower > 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad, Kind
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.prints import range_columns
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import (
    Form,
    Spread,
    degrees_of_freedom,
    form_of,
    log_sd,
    log_sd_of_logs,
    t95_of,
)
from pkpd.inference.summary.statistics import log_samples, range_moments
from pkpd.inference.summary.terms import Measured, Numbers, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]


class Range(Kind):
    """Smallest and largest of n patients."""

    name = "range"
    needs_value = False
    own_ends = True

    def check(self, row: Row, bad: Bad) -> None:
        if math.isnan(row.lower) or math.isnan(row.upper):
            bad("lower", "a range needs lower and upper")
        if row.n is None or row.n < 2:
            bad("n", "a range needs the number of patients, at least 2")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        form = form or form_of(row)
        lower, upper = _ends(row, form)
        told, error = _spread(row, form)
        printed = (Printed("midrange", (lower + upper) / 2, error),)
        return Measured(row, (*printed, told.printed) if spread else printed)

    def prints(self, row: Row, x: Array) -> Mapping[str, Any] | None:
        return range_columns(x)

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        form = form_of(x.row)
        told, _ = _spread(x.row, form)
        if form.positive:
            reference = math.sqrt(x.row.lower * x.row.upper)
            logs, _, slope, _, _ = log_samples(s, v, reference)
            middle = Statistic(float(logs.mean()), slope / s.size, np.zeros(s.shape))
            wide = log_sd_of_logs(s, v, told.floor, reference)
            g = math.exp(middle.value)
            predicted = Statistic(g, g * middle.by_s, middle.by_v)
        else:
            middle = predicted = mean(s)
            wide = log_sd(s, v, told.floor)
        return normal_term(x, [middle, wide][: len(x.printed)], predicted)

    def observed(self, row: Row) -> float:
        form = form_of(row)
        middle = float(sum(_ends(row, form)) / 2)
        return math.exp(middle) if form.positive else middle

    def quantile_95(self, row: Row) -> float:
        return t95_of(degrees_of_freedom(row, _spread(row, form_of(row))[0]))

    def interval(self, x: Measured) -> tuple[float, float]:
        """Of its middle."""
        middle, half = self.observed(x.row), self.quantile_95(x.row) * x.se
        if form_of(x.row).positive:
            return middle / math.exp(half), middle * math.exp(half)
        return middle - half, middle + half


def _ends(row: Row, form: Form) -> tuple[Numbers, Numbers]:
    """On the scale of the row."""
    return (np.log(row.lower), np.log(row.upper)) if form.positive else (row.lower, row.upper)


def _spread(row: Row, form: Form) -> tuple[Spread, Numbers]:
    """What its width tells, and the SE of its middle."""
    assert row.n is not None  # the reader asked for it
    d2, d3, middle_sd = range_moments(row.n)
    lower, upper = _ends(row, form)
    sd, error = (upper - lower) / d2, d3 / d2
    return Spread(sd, sd * math.exp(error**2 / 2), error, "log range"), middle_sd * sd
