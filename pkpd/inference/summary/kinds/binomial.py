"""k of n patients: binomial deviance (McCullagh & Nelder 1989, Generalized Linear Models, sec. 4.4) of k out
of n against p = mean(s), or with a responder limit p = P(s + noise >= limit) by a variance-preserving normal
kernel over the patients. A negative limit asks for s <= limit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad, Kind
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form
from pkpd.inference.summary.statistics import share_beyond, wilson
from pkpd.inference.summary.terms import Measured, Statistic, Term, single_term

Array = NDArray[np.float64]

_EDGE = 1e-9  # keeps a predicted 0 or 1 from being infinitely wrong


class _Binomial(Kind):
    of_patients = True
    of_level = False
    scored = False

    def check(self, row: Row, bad: Bad) -> None:
        if row.n is None:
            bad("n", f"a {self.name} needs the number of patients")

    def responders(self, row: Row) -> float:
        raise NotImplementedError

    def scale(self, row: Row) -> float:
        """Of the value of everybody."""
        raise NotImplementedError

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        return Measured(row, ())

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        row = x.row
        assert row.n is not None  # the reader asked for it
        n, k = row.n, self.responders(row)
        share = mean(s) if math.isnan(row.effect) else share_beyond(s, v, row.effect)
        inside = min(max(share.value, 0.0), 1.0)
        kept = 0.0 <= share.value <= 1.0
        q = _EDGE + (1 - 2 * _EDGE) * inside
        deviance = 0.0
        if k > 0:
            deviance += 2 * k * math.log(k / (n * q))
        if k < n:
            deviance += 2 * (n - k) * math.log((n - k) / (n * (1 - q)))
        r = math.copysign(math.sqrt(max(deviance, 0.0)), n * q - k)
        slope = (n * q - k) / (q * (1 - q) * r) if abs(r) > 1e-6 else math.sqrt(n / (q * (1 - q)))
        scale = self.scale(row)
        predicted = Statistic(scale * inside, scale * kept * share.by_s, scale * kept * share.by_v)
        inner = (1 - 2 * _EDGE) * kept
        return single_term("binomial", r, slope * inner, share, predicted, -2 * _saturated(k, n))

    def interval(self, x: Measured) -> tuple[float, float]:
        row = x.row
        assert row.n is not None  # the reader asked for it
        low, high = wilson(self.responders(row), row.n)
        return low * self.scale(row), high * self.scale(row)


def _saturated(k: float, n: int) -> float:
    """log probability of k of n where p = k/n."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return (
        ways + (k * math.log(k / n) if k > 0 else 0.0) + ((n - k) * math.log((n - k) / n) if k < n else 0.0)
    )


class Count(_Binomial):
    """A number of patients out of n."""

    name = "count"

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        if row.n is not None and not (0 <= row.value <= row.n and row.value == int(row.value)):
            bad("value", f"{row.value:g} is not a number of patients out of {row.n}")

    def responders(self, row: Row) -> float:
        return row.value

    def scale(self, row: Row) -> float:
        return float(row.n or 0)


class Fraction(_Binomial):
    """A share of n patients."""

    name = "fraction"

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        if row.value < 0:
            bad("value", "a fraction cannot be negative")

    def responders(self, row: Row) -> float:
        return min(1.0, row.value) * (row.n or 0)

    def scale(self, row: Row) -> float:
        return 1.0
