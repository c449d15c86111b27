"""The p of a log-rank test of two arms, without a ratio: Z of a trial is normal around mu = beta/sqrt(1/D +
1/D') (Schoenfeld 1981, Biometrika 68:316), beta the log hazard ratio of the model's patients (``cox``), D =
n (1 - S) and D' the events that are expected in both arms until the row's time. The sign of Z is not known:
r = -Phi^-1(P(|Z| < z(p))), standard normal where the model is right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.hazard_ratio import INTERVALS, HazardRatio, shares, two_arm_limit
from pkpd.inference.summary.kinds.kind import Bad, check_survival
from pkpd.inference.summary.kinds.two_arms import TwoArms
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form
from pkpd.inference.summary.statistics import log_between
from pkpd.inference.summary.terms import Measured, Statistic, Term, single_term

Array = NDArray[np.float64]

_LEAST = 1e-6
"""Expected events of an arm in which nothing happens."""


class LogrankP(HazardRatio):
    """How unlike the events of two arms are."""

    name = "logrank_p"
    words = "p of a log-rank test"
    needs_value = False
    on_log = False

    def check(self, row: Row, bad: Bad) -> None:
        TwoArms.check(self, row, bad)
        check_survival(self, row, bad)
        if row.n is None:
            bad("n", f"a {self.name} needs the number of patients")
        if not 0 < row.level < 1:
            bad("level", f"a {self.name} needs its p, between 0 and 1")
        if not math.isnan(row.value) or row.spread_type != "none":
            bad("value", f"a {self.name} has only its level; a hazard_ratio may have its p in level")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        return Measured(row, ())

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        from scipy.special import ndtr, ndtri, ndtri_exp

        found = self.noncentrality(x.row, s)
        limit = -float(ndtri(x.row.level / 2))
        within, falls, _ = log_between(-limit - found.value, limit - found.value, math.inf)
        r = -float(ndtri_exp(within))
        slope = falls * math.exp(within + 0.5 * (r * r + math.log(2 * math.pi)))
        size = abs(found.value)
        density = math.exp(-0.5 * size * size) / math.sqrt(2 * math.pi)
        by_s = -2 * density * math.copysign(1.0, found.value) * found.by_s
        predicted = Statistic(2 * float(ndtr(-size)), by_s, found.by_v)
        return single_term(self.words, r, slope, found, predicted, math.log(2 * math.pi))

    def noncentrality(self, row: Row, s: Array) -> Statistic:
        """The mean of Z."""
        limit, size = two_arm_limit(s[:INTERVALS], s[INTERVALS:], shares(row)[0]), s.shape[1]
        beta = float(limit.beta[0])
        by_s = np.concatenate([part[0, 1:] for part in limit.by_free])
        n = row.n or 0
        ends, counts = (INTERVALS - 1, 2 * INTERVALS - 1), (n, row.versus_n or n)
        events = [
            count * (1 - float(s[end].mean())) + _LEAST for end, count in zip(ends, counts, strict=True)
        ]
        error = math.sqrt(sum(1 / each for each in events))
        by_s = by_s / error
        for end, count, each in zip(ends, counts, events, strict=True):
            by_s[end] -= beta * count / (2 * error**3 * each**2 * size)
        return Statistic(beta / error, by_s, np.zeros(s.shape))

    def as_printed(self, row: Row, trials: Sequence[Array]) -> Row | None:
        return None

    def observed(self, row: Row) -> float:
        return row.level

    def interval(self, x: Measured) -> tuple[float, float]:
        return math.nan, math.nan
