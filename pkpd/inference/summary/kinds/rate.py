"""Events in a time that patients were followed: Poisson deviance (McCullagh & Nelder 1989, Generalized
Linear Models, sec. 6.2) of k = value T events against T m expected ones, T the person-time and m = mean(s)
the rate of an output. No event at all is as good a number as any: its likelihood is exp(-T m). Of 3 to 30
expected events 4 to 8 % of the residuals lie beyond 1.96, of 2 15 %.

Patients are taken to have their events independently at the arm's mean rate; where their own rates differ
much and many have several, events scatter more than this says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad, Kind, check_no_spread
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form
from pkpd.inference.summary.terms import Measured, Term, single_term

Array = NDArray[np.float64]

_EDGE = 1e-9  # expected events of a predicted rate of 0, so that it is not infinitely wrong


class Rate(Kind):
    """Events per time, of the time that all patients together were followed."""

    name = "rate"
    columns = ("person_time",)
    simulated = False

    def completed(self, row: Row, bad: Bad) -> Row:
        if math.isnan(row.person_time) and row.n is not None and row.is_window:
            return replace(row, person_time=row.n * (row.stop - row.start))
        return row

    def check(self, row: Row, bad: Bad) -> None:
        if row.value < 0:
            bad("value", "a rate cannot be negative")
        check_no_spread(self, row, bad)
        if row.measure != "value" or row.reducer not in ("at", "mean"):
            bad("measure", "a rate is the value of an output, at a time or its mean")
        if math.isnan(row.person_time):
            bad("person_time", "give the time that all patients were followed, or n and a window")
        elif not row.person_time > 0:
            bad("person_time", f"{row.person_time:g} is not positive")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        return Measured(row, ())

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        time, m = x.row.person_time, mean(s)
        k, kept = x.row.value * time, m.value > 0
        expected = _EDGE + time * max(m.value, 0.0)
        deviance = 2 * (expected - k + (k * math.log(k / expected) if k > 0 else 0.0))
        r = math.copysign(math.sqrt(max(deviance, 0.0)), expected - k)
        slope = (1 - k / expected) / r if abs(r) > 1e-6 else 1 / math.sqrt(expected)
        best = k * math.log(k) - k - math.lgamma(k + 1) if k > 0 else 0.0
        return single_term("Poisson", r, slope * time * kept, m, m, -2 * best)

    def interval(self, x: Measured) -> tuple[float, float]:
        """Garwood 1936, Biometrika 28:437."""
        from scipy.special import gammaincinv

        time, k = x.row.person_time, x.row.value * x.row.person_time
        low = float(gammaincinv(k, 0.025)) if k > 0 else 0.0
        return low / time, float(gammaincinv(k + 1, 0.975)) / time
