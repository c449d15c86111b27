"""A quantile of n patients, its probability p in column ``level``: (q - value)/SE, q the Harrell-Davis
quantile of the patients with their measurement errors (1982, Biometrika 69:635), SE = sqrt(p (1 - p)/n)/f
with the density f = phi(z_p)/SD of normal patients (Kendall & Stuart, The Advanced Theory of Statistics I,
ch. 10) where an SD, CV, IQR or range was printed; else the printed or assumed one. The 95 % interval by an SD
holds 95 % of 20 normal patients, of 5 still 92 (of a 95th percentile) to 95."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad
from pkpd.inference.summary.kinds.mean import Location
from pkpd.inference.summary.prints import natural_columns
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.statistics import noisy_quantile
from pkpd.inference.summary.terms import Statistic

Array = NDArray[np.float64]


class Quantile(Location):
    """The quantile of patients below which a share ``level`` of them lies."""

    name = "quantile"
    columns = ("level",)
    of_level = False

    def check(self, row: Row, bad: Bad) -> None:
        if not 0 < row.level < 1:
            bad("level", "a quantile needs its probability, between 0 and 1: 0.9 of a 90th percentile")

    def error_factor(self, row: Row) -> float:
        normal, p = NormalDist(), row.level
        return math.sqrt(p * (1 - p)) / normal.pdf(normal.inv_cdf(p))

    def location(self, row: Row, s: Array, v: Array) -> Statistic:
        return noisy_quantile(s, v, row.level)

    def prints(self, row: Row, x: Array) -> Mapping[str, Any] | None:
        if row.spread_type in ("SE", "CI95"):
            return None  # papers do not say how they computed it
        return natural_columns(row, np.quantile(x, row.level, axis=1), x)
