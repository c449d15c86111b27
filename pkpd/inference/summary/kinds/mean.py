"""A mean m of n patients: (mean(s) - m)/SE, SE from SD/sqrt(n), SE, CI95/t, IQR/eta(n)/sqrt(n), CV
m/sqrt(n), or range/d2(n)/sqrt(n); without a spread SE = declared relative error * |m|.

An SD without n is that of one measured point (in vitro), SE = SD. A printed spread between patients is
information of its own (``spreads``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Kind, is_assumed, spread_of, telling
from pkpd.inference.summary.prints import natural_columns
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, form_of, natural_functional, standard_error
from pkpd.inference.summary.statistics import quantile
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]


def mean(s: Array) -> Statistic:
    """The mean of all samples."""
    return Statistic(float(s.mean()), np.full(s.shape, 1 / s.size), np.zeros(s.shape))


class Location(Kind):
    """Where patients lie on the natural scale, and how far apart."""

    def error_factor(self, row: Row) -> float:
        """Its standard error in those of the mean."""
        return 1.0

    def location(self, row: Row, s: Array, v: Array) -> Statistic:
        """Of the predicted patients."""
        raise NotImplementedError

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        form = form or form_of(row)
        told = spread_of(row, form)
        error = standard_error(row, form, told, relative_error, on_log=False)
        factor = 1.0 if told is None else self.error_factor(row)
        printed = [Printed(self.name, row.value, error * factor)]
        if told is not None and telling(row, told, spread):
            printed.append(told.printed)
        return Measured(row, tuple(printed), is_assumed(row))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        where = self.location(x.row, s, v)
        found = [where]
        if len(x.printed) > 1:
            told = spread_of(x.row)
            assert told is not None  # it was printed
            found.append(natural_functional(x.row, form_of(x.row), told, s, v))
        return normal_term(x, found, where)


class Mean(Location):
    """The arithmetic mean of patients."""

    name = "mean"

    def location(self, row: Row, s: Array, v: Array) -> Statistic:
        return mean(s)

    def prints(self, row: Row, x: Array) -> Mapping[str, Any] | None:
        return natural_columns(row, x.mean(axis=1), x)


class Median(Location):
    """The median of patients: (q - value)/SE, q the Harrell-Davis median (1982, Biometrika 69:635), SE =
    1.2533 SD/sqrt(n) (Kendall & Stuart, The Advanced Theory of Statistics I, ch. 10). Of few it
    scatters less: of 4 to 12 its 95 % interval holds 97 %; residuals are as trials have them."""

    name = "median"

    def error_factor(self, row: Row) -> float:
        return math.sqrt(math.pi / 2)

    def location(self, row: Row, s: Array, v: Array) -> Statistic:
        middle, by_s = quantile(s, 0.5)
        return Statistic(middle, by_s, np.zeros(s.shape))

    def prints(self, row: Row, x: Array) -> Mapping[str, Any] | None:
        return natural_columns(row, np.median(x, axis=1), x)
