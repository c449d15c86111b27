"""The difference of two arms' means, m - m': (mean(s) - mean(s') - value)/SE, SE from SE, CI95/t with n + n'
- 2 degrees of freedom, or the SD common to both arms as SD sqrt(1/n + 1/n') (Altman et al. 2000, Statistics
with Confidence, ch. 4); without a spread SE = declared relative error * |value|."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad, is_assumed
from pkpd.inference.summary.kinds.two_arms import TwoArms
from pkpd.inference.summary.prints import interval_columns
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, form_of, standard_error, t95
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]


class DifferenceOfArms(TwoArms):
    """How much higher the mean of the row's arm is."""

    name = "difference_of_arms"
    signed = True

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        if row.spread_type not in ("SE", "CI95", "SD", "none"):
            bad("spread_type", "a difference_of_arms has an SE, a CI95, or the SD common to both arms")
        if row.spread_type == "SD" and row.n is None:
            bad("n", "an SD tells the error of a difference only with the numbers of patients")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        if row.spread_type == "SD":
            assert row.n is not None  # the reader asked for it
            error = row.spread * math.sqrt(1 / row.n + 1 / (row.versus_n or row.n))
        else:
            quantile, form = self.quantile_95(row), form or form_of(row)
            error = standard_error(row, form, None, relative_error, on_log=False, quantile_95=quantile)
        return Measured(row, (Printed("difference", row.value, error),), is_assumed(row))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        size = s.shape[1]
        by_s = np.repeat([[1 / size], [-1 / size]], size, axis=1)
        found = Statistic(float(s[0].mean() - s[1].mean()), by_s, np.zeros(s.shape))
        return normal_term(x, [found], found)

    def prints_of_both(self, row: Row, x: Array, y: Array) -> Mapping[str, Any] | None:
        n, m = x.shape[1], y.shape[1]
        value = x.mean(axis=1) - y.mean(axis=1)
        sd = np.sqrt(((n - 1) * x.var(axis=1, ddof=1) + (m - 1) * y.var(axis=1, ddof=1)) / (n + m - 2))
        error = sd * math.sqrt(1 / n + 1 / m)
        columns: dict[str, Any] = {"value": value}
        if row.spread_type == "CI95":
            half = t95(n + m - 1) * error
            columns |= interval_columns(form_of(row), value - half, value + half, half)
        elif row.spread_type != "none":
            columns["spread"] = sd if row.spread_type == "SD" else error
        return columns
