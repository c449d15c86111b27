"""A ratio such as a hazard ratio, or a fold with its CI: (log m - log value)/SE_log, SE_log from the CI on
the log scale."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.kinds.kind import Bad, Kind, check_positive
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, form_of, standard_error
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]


class Ratio(Kind):
    """A positive number whose error is that of its logarithm."""

    name = "ratio"
    on_log = True
    simulated = False

    def check(self, row: Row, bad: Bad) -> None:
        check_positive(self, row, bad)
        if row.spread_type not in ("CI95", "SE"):
            bad("spread_type", "a ratio needs its CI95 or SE")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        level, quantile, form = math.log(row.value), self.quantile_95(row), form or form_of(row)
        error = standard_error(row, form, None, relative_error, on_log=True, quantile_95=quantile)
        return Measured(row, (Printed("log ratio", level, error, level),))

    def quantile_95(self, row: Row) -> float:
        """An estimate of a regression, whose intervals are printed by the normal distribution."""
        return Z95

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        m = mean(s)
        floor = 1e-9 * x.row.value
        safe = max(m.value, floor)
        slope = (m.value > floor) / safe
        return normal_term(x, [Statistic(math.log(safe), slope * m.by_s, m.by_v)], m)
