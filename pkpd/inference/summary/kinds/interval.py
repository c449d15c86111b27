"""A mean that is only known to lie between two ends: -log L = -log(F((upper - m)/SE) - F((lower - m)/SE)), F
the distribution function of Student's t with n - 1 degrees of freedom where the SE is that of n patients,
else of the normal distribution: the likelihood of an interval-censored value (Turnbull 1976, J R Stat Soc B
38:290; Beal 2001, J Pharmacokinet Pharmacodyn 28:481).

The residual is the signed root of what its deviance has above that of the interval's middle.

"More than 8-fold" is no censoring at a limit that was fixed beforehand: the author saw the number and then
wrote 8, and had it been above the next round number he would have written that. So a reported floor is an
interval from its value to a declared upper end, or to the next of ``ROUND_NUMBERS``. Bounds stay for limits
that were fixed beforehand, as those of detection."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad, Kind, is_assumed, spread_of
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, degrees_of_freedom, form_of, standard_error
from pkpd.inference.summary.statistics import log_between
from pkpd.inference.summary.terms import Measured, Printed, Term, single_term

Array = NDArray[np.float64]

ROUND_NUMBERS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Times a power of ten: what authors write who round down."""


def next_round_number(value: float) -> float:
    """The smallest round number above a positive value."""
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    return next(power * step for step in (*ROUND_NUMBERS, 15.0) if power * step > value * (1 + 1e-9))


class Interval(Kind):
    """The mean lies between ``lower`` and ``upper``."""

    name = "interval"
    words = "within an interval"
    needs_value = False
    own_ends = True
    simulated = False

    def check(self, row: Row, bad: Bad) -> None:
        if math.isnan(row.lower) or math.isnan(row.upper):
            bad("lower", "an interval needs lower and upper")
        _check_spread(row, bad)

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        printed = self.as_value(row)
        error = standard_error(printed, form_of(printed), spread_of(printed), relative_error, on_log=False)
        return Measured(row, (Printed(self.words, printed.value, error),), is_assumed(row))

    def as_value(self, row: Row) -> Row:
        """The row as its spread stands beside a number: its ends are none of the spread."""
        return replace(row, value=self.observed(row), lower=math.nan, upper=math.nan)

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        row, m = x.row, mean(s)
        df = degrees_of_freedom(row, spread_of(self.as_value(row)))
        middle = (row.lower + row.upper) / 2
        half = (row.upper - row.lower) / (2 * x.se)
        off = (m.value - middle) / x.se
        best, _, bend = log_between(-half, half, df)
        there, slope, _ = log_between(-half - off, half - off, df)
        r = math.copysign(math.sqrt(max(0.0, 2 * (best - there))), off)
        # near the middle both r and the slope of its square vanish: there r is a straight line
        by_m = (slope / r if abs(r) > 1e-5 else math.sqrt(bend)) / x.se
        return single_term(self.words, r, by_m, m, m, -2 * best)

    def observed(self, row: Row) -> float:
        return (row.lower + row.upper) / 2

    def interval(self, x: Measured) -> tuple[float, float]:
        return x.row.lower, x.row.upper


class ReportedFloor(Interval):
    """ "More than", "at least": from the value to the next number that would have been written."""

    name = "reported_floor"
    words = "reported floor"
    needs_value = True
    side = 1

    def completed(self, row: Row, bad: Bad) -> Row:
        if not math.isnan(row.lower):
            bad("lower", "must be empty: the value is the lower end of a reported_floor")
        upper = row.upper
        if math.isnan(upper) and row.value > 0:
            upper = next_round_number(row.value)
        return replace(row, lower=row.value, upper=upper)

    def check(self, row: Row, bad: Bad) -> None:
        if math.isnan(row.upper):
            bad("upper", "a reported_floor that is not above 0 needs its upper end: what was not reached")
        _check_spread(row, bad)

    def observed(self, row: Row) -> float:
        return row.value


def _check_spread(row: Row, bad: Bad) -> None:
    if row.spread_type in ("CI95", "IQR", "range") and math.isnan(row.spread):
        bad("spread", f"give the width of the {row.spread_type}: lower and upper are what the row says")
