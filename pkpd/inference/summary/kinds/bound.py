"""A mean known to be above (below) a limit that was fixed beforehand, such as that of detection.

D = -2 log F((m - value)/SE), r = -sqrt(D) for a lower bound: nothing is lost by being above; an upper bound
is the mirror image. F is the distribution function of Student's t with n - 1 degrees of freedom where the SE
is that of n patients, else of the normal distribution, as of an interval with one open end. This is the
likelihood of a censored mean (M3 method of Beal 2001, J Pharmacokinet Pharmacodyn 28:481)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Kind, is_assumed, spread_of
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, degrees_of_freedom, form_of, standard_error
from pkpd.inference.summary.statistics import log_below
from pkpd.inference.summary.terms import Measured, Printed, Term, single_term

Array = NDArray[np.float64]


class _Bound(Kind):
    side = 1
    simulated = False
    opposite = ""

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        form = form or form_of(row)
        error = standard_error(row, form, spread_of(row, form), relative_error, on_log=False)
        return Measured(row, (Printed(self.words, row.value, error),), is_assumed(row))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        m = mean(s)
        z = self.side * (m.value - x.row.value) / x.se
        kept, rise = log_below(z, degrees_of_freedom(x.row, spread_of(x.row)))
        size = math.sqrt(max(0.0, -2 * kept))
        slope = rise / size * self.side / x.se if size > 1e-150 else 0.0
        return single_term(self.words, -self.side * size, self.side * slope, m, m, 0.0)

    def redrawn(self, x: Measured, term: Term, error: float) -> Row | None:
        """The limit stays, and is met or not."""
        from scipy.special import ndtr, stdtrit

        df = degrees_of_freedom(x.row, spread_of(x.row))
        t = error if math.isinf(df) else float(stdtrit(df, ndtr(error)))
        met = self.side * (term.predicted + t * x.se - x.row.value) >= 0
        return x.row if met else replace(x.row, statistic=self.opposite)


class LowerBound(_Bound):
    """At least the value."""

    name = "lower_bound"
    opposite = "upper_bound"

    def interval(self, x: Measured) -> tuple[float, float]:
        return x.row.value, math.nan


class UpperBound(_Bound):
    """At most the value."""

    name = "upper_bound"
    opposite = "lower_bound"
    side = -1

    def interval(self, x: Measured) -> tuple[float, float]:
        return math.nan, x.row.value
