"""A geometric mean g, also for a "typical" value: (mean(log s) - log g)/SE_log, SE_log = SD_log/sqrt(n),
SE/g, or from the CI; + the spread of log s (``spreads``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad, Kind, check_positive, is_assumed, spread_of, telling
from pkpd.inference.summary.prints import log_columns
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import (
    Form,
    degrees_of_freedom,
    form_of,
    log_sd_of_logs,
    log_spread,
    standard_error,
    t95_of,
)
from pkpd.inference.summary.statistics import log_samples
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]


class GeometricMean(Kind):
    """The geometric mean of patients."""

    name = "geometric_mean"
    words = "geometric mean"
    on_log = True

    def check(self, row: Row, bad: Bad) -> None:
        check_positive(self, row, bad)

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        form = form or form_of(row)
        told = spread_of(row, form, log_spread)
        level = np.log(row.value)
        error = standard_error(row, form, told, relative_error, on_log=True)
        printed = [Printed("log mean", level, error, level)]
        if told is not None and telling(row, told, spread):
            printed.append(told.printed)
        return Measured(row, tuple(printed), is_assumed(row))

    def quantile_95(self, row: Row) -> float:
        return t95_of(degrees_of_freedom(row, spread_of(row, of=log_spread)))

    def prints(self, row: Row, x: Array) -> Mapping[str, Any] | None:
        return log_columns(row, x)

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        logs, _, slope, _, _ = log_samples(s, v, x.row.value)
        level = float(logs.mean())
        none = np.zeros(s.shape)
        found = [Statistic(level, slope / s.size, none)]
        if len(x.printed) > 1:
            told = spread_of(x.row, of=log_spread)
            assert told is not None  # it was printed
            found.append(log_sd_of_logs(s, v, told.floor, x.row.value))
        g = math.exp(level)
        return normal_term(x, found, Statistic(g, g * slope / s.size, none))
