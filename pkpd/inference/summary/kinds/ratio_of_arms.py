"""The ratio of two arms: (log m - log m' - log value)/SE, of their means m = mean(s), or of their geometric
means, mean(log s) in place of log m. Of means that are both below 0, as losses are, it is that of their
sizes. SE is that of the logarithm: from a CI95 on the log scale with Student's t of n + n' - 2 degrees of
freedom, SE/value, or the declared relative error. Trials print the delta method's error of means (Friedrich
et al. 2008, BMC Med Res Methodol 8:32) and the common one of logarithms, as in bioequivalence (Schuirmann
1987, J Pharmacokinet Biopharm 15:657)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad, check_positive, is_assumed
from pkpd.inference.summary.kinds.two_arms import TwoArms
from pkpd.inference.summary.prints import interval_columns
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, form_of, standard_error, t95
from pkpd.inference.summary.statistics import log_samples
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]

_FLOOR = 1e-9
"""Share of the arms' mean size below which a mean stays where its logarithm is taken."""


class RatioOfArms(TwoArms):
    """How many times as high the mean of the row's arm is."""

    name = "ratio_of_arms"
    without_unit = True
    positive = True
    on_log = True

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        check_positive(self, row, bad)
        if row.spread_type not in ("SE", "CI95", "none"):
            bad("spread_type", f"a {self.name} has an SE or a CI95")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        level, quantile, form = np.log(row.value), self.quantile_95(row), form or form_of(row)
        error = standard_error(row, form, None, relative_error, on_log=True, quantile_95=quantile)
        return Measured(row, (Printed("log ratio", level, error, level),), is_assumed(row))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        (first, first_s, first_v), (second, second_s, second_v) = self.log_levels(s, v)
        found = Statistic(first - second, np.stack([first_s, -second_s]), np.stack([first_v, -second_v]))
        ratio = math.exp(found.value)
        return normal_term(x, [found], Statistic(ratio, ratio * found.by_s, ratio * found.by_v))

    def log_levels(self, s: Array, v: Array) -> list[tuple[float, Array, Array]]:
        """Of each arm log m, and its derivatives by samples and noise variances, (K,)."""
        floor, side = _FLOOR * float(np.abs(s).mean()), -1.0 if s.sum() < 0 else 1.0
        means = [side * float(each.mean()) for each in s]
        slopes = [np.full(s.shape[1], side * (m > floor) / (max(m, floor) * s.shape[1])) for m in means]
        none = np.zeros(s.shape[1])
        return [(math.log(max(m, floor)), slope, none) for m, slope in zip(means, slopes, strict=True)]

    def prints_of_both(self, row: Row, x: Array, y: Array) -> Mapping[str, Any] | None:
        level, error = self.log_ratio(x, y)
        value = np.exp(level)
        columns: dict[str, Any] = {"value": value}
        if row.spread_type == "SE":
            columns["spread"] = value * error
        elif row.spread_type == "CI95":
            half = t95(x.shape[1] + y.shape[1] - 1) * error
            ends = np.exp(level - half), np.exp(level + half)
            columns |= interval_columns(form_of(row), *ends, value * np.sinh(half))
        return columns

    def log_ratio(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Of trials, with its standard error."""
        means, variances = [], 0.0
        for each in (x, y):
            mean = each.mean(axis=1)
            means.append(mean)
            variances = variances + each.var(axis=1, ddof=1) / (each.shape[1] * mean**2)
        with np.errstate(all="ignore"):
            return np.log(means[0] / means[1]), np.sqrt(variances)


class GeometricRatioOfArms(RatioOfArms):
    """How many times as high the geometric mean of the row's arm is."""

    name = "geometric_ratio_of_arms"

    def log_levels(self, s: Array, v: Array) -> list[tuple[float, Array, Array]]:
        reference = float(np.abs(s).mean())
        found = []
        for each, noise in zip(s, v, strict=True):
            logs, _, slope, _, _ = log_samples(each, noise, reference)
            found.append((float(logs.mean()), slope / each.size, np.zeros(each.size)))
        return found

    def log_ratio(self, x: Array, y: Array) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            a, b = np.log(x), np.log(y)
        n, m = x.shape[1], y.shape[1]
        variance = ((n - 1) * a.var(axis=1, ddof=1) + (m - 1) * b.var(axis=1, ddof=1)) / (n + m - 2)
        return a.mean(axis=1) - b.mean(axis=1), np.sqrt(variance * (1 / n + 1 / m))
