"""Patients who have had an event by a time, as their number or as the share who have not (a point of a
Kaplan-Meier curve). The output is each patient's probability S(t) of no event so far; the arm's is the mean
over its patients, which is not that of the typical one, and it is expected without deaths from other causes
and without censoring before t.

Of n patients it is the binomial deviance (``binomial``), of numbers that were rebuilt and are no whole ones
too. A share with a CI95 or SE, such as Greenwood's, which know of censoring, is read on the logit scale
(Agresti 2013, Categorical Data Analysis, sec. 3.1; Kalbfleisch & Prentice 2002, The Statistical Analysis of
Failure Time Data, sec. 1.4).

In trials each patient has one time of the event, by one uniform number, so that rows of one arm go together
as they do: with F = 1 - S, cov(F(s), F(t)) = F(s) (1 - F(t))/n for s < t."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.binomial import Binomial, Fraction, moved_on_logits
from pkpd.inference.summary.kinds.kind import Bad, check_no_spread, check_survival
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.terms import Statistic

Array = NDArray[np.float64]


class Events(Binomial):
    """How many of n patients have had the event."""

    name = "events"
    columns = ()
    of_events = True
    numbered = True

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        check_survival(self, row, bad)
        if row.n is not None and not 0 <= row.value <= row.n:
            bad("value", f"{row.value:g} is not a number of events in {row.n} patients")

    def share(self, row: Row, s: Array, v: Array) -> Statistic:
        free = mean(s)
        return Statistic(1 - free.value, -free.by_s, free.by_v)

    def respond(self, row: Row, x: Array) -> Array | None:
        return ~np.asarray(x, dtype=bool)


class Survival(Fraction):
    """The share of patients who have not had it."""

    name = "survival"
    columns = ()
    of_events = True

    def by_interval(self, row: Row) -> bool:
        return row.spread_type != "none"

    def check(self, row: Row, bad: Bad) -> None:
        if row.n is None and not self.by_interval(row):
            bad("n", "a survival needs the number of patients, or its CI95 or SE")
        check_no_spread(self, row, bad)
        check_survival(self, row, bad)

    def check_in_units(self, row: Row, bad: Bad) -> None:
        if not 0 <= row.value <= 1:
            bad("value", f"{row.value:g} is no survival: it lies between 0 and 1")
        elif self.by_interval(row) and row.value in (0, 1):
            bad("spread_type", "a survival of nobody or of all has no error; give n alone")
        elif row.lower < 0 or row.upper > 1:
            bad("lower", "the interval of a survival lies between 0 and 1")
        else:
            super().check_in_units(row, bad)

    def respond(self, row: Row, x: Array) -> Array | None:
        return np.asarray(x, dtype=bool)

    def prints(self, row: Row, x: Array) -> Mapping[str, Any] | None:
        value = x.mean(axis=1)
        if not self.by_interval(row):
            return {"value": value}
        moved = {name: np.full(value.size, math.nan) for name in ("value", "lower", "upper")}
        for b in np.flatnonzero((value > 0) & (value < 1)):
            for name, number in moved_on_logits(row, float(value[b])).items():
                moved[name][b] = number
        return moved
