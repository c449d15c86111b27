"""k of n patients: binomial deviance (McCullagh & Nelder 1989, Generalized Linear Models, sec. 4.4) of k out
of n against p = mean(s), or with a responder limit p = P(s + noise >= limit) by a variance-preserving normal
kernel over the patients. A negative limit asks for s <= limit. No responder at all, or nobody else, is as
good a number as any. Who responds is correlated with the other numbers of the same patients as in trials; the
deviance itself is not scored, it is as nearly normal as a number of patients can be: over all p, 5 % of its
residuals lie beyond 1.96, for one p 0 to 18 % of 5 to 20 patients.

A fraction without n but with a CI95 or SE is read on the logit scale, where its error is most nearly that of
a normal number: (logit p - logit value)/SE, SE = (logit upper - logit lower)/(2 1.96), or SE/(p (1 - p)) of a
printed SE (Agresti 2013, Categorical Data Analysis, sec. 3.1 and 16.6). Of an interval that ends at 0 or 1
the other side counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.kinds.kind import Bad, Kind, check_no_spread
from pkpd.inference.summary.kinds.mean import mean
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form
from pkpd.inference.summary.statistics import share_beyond, wilson
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term, single_term

Array = NDArray[np.float64]

_EDGE = 1e-9  # keeps a predicted 0 or 1 from being infinitely wrong


class Binomial(Kind):
    """A number or share of patients."""

    columns: tuple[str, ...] = ("effect",)
    of_patients = True
    of_level = False
    scored = False

    def check(self, row: Row, bad: Bad) -> None:
        if row.n is None:
            bad("n", f"a {self.name} needs the number of patients")
        check_no_spread(self, row, bad)

    def responders(self, row: Row) -> float:
        """How many they are."""
        return row.value if self.numbered else min(1.0, row.value) * (row.n or 0)

    def scale(self, row: Row) -> float:
        """The value of everybody."""
        return float(row.n or 0) if self.numbered else 1.0

    def share(self, row: Row, s: Array, v: Array) -> Statistic:
        """That of patients who respond."""
        return mean(s) if math.isnan(row.effect) else share_beyond(s, v, row.effect)

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        return Measured(row, ())

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        row = x.row
        assert row.n is not None  # the reader asked for it
        n, k = row.n, self.responders(row)
        share = self.share(row, s, v)
        inside = min(max(share.value, 0.0), 1.0)
        kept = 0.0 <= share.value <= 1.0
        q = _EDGE + (1 - 2 * _EDGE) * inside
        r = float(_deviance_residual(np.array(k), n, q))
        slope = (n * q - k) / (q * (1 - q) * r) if abs(r) > 1e-6 else math.sqrt(n / (q * (1 - q)))
        scale = self.scale(row)
        predicted = Statistic(scale * inside, scale * kept * share.by_s, scale * kept * share.by_v)
        inner = (1 - 2 * _EDGE) * kept
        return single_term("binomial", r, slope * inner, share, predicted, -2 * _saturated(k, n))

    def prints(self, row: Row, x: Array) -> Mapping[str, Any] | None:
        """Of an output that is itself a share the patients do not tell who responded."""
        respond = self.respond(row, x)
        return None if respond is None else {"value": self.scale(row) * respond.mean(axis=1)}

    def respond(self, row: Row, x: Array) -> Array | None:
        """Which patients of trials do, (B, n)."""
        if row.n is None or math.isnan(row.effect):
            return None
        return np.asarray(x >= row.effect if row.effect >= 0 else x <= row.effect)

    def pivots(self, x: Measured, term: Term, *trials: Array) -> Array | None:
        respond = self.respond(x.row, trials[0])
        if respond is None:
            return None
        q = min(max(term.predicted / self.scale(x.row), _EDGE), 1 - _EDGE)
        return _deviance_residual(respond.sum(axis=1), respond.shape[1], q)[None]

    def interval(self, x: Measured) -> tuple[float, float]:
        row = x.row
        assert row.n is not None  # the reader asked for it
        low, high = wilson(self.responders(row), row.n)
        return low * self.scale(row), high * self.scale(row)


def _deviance_residual(k: Array, n: int, q: float) -> Array:
    """Of k out of n where q is expected; negative where more respond."""
    from scipy.special import xlogy

    deviance = 2 * (xlogy(k, k / (n * q)) + xlogy(n - k, (n - k) / (n * (1 - q))))
    return np.asarray(np.copysign(np.sqrt(np.maximum(deviance, 0.0)), n * q - k))


def _saturated(k: float, n: int) -> float:
    """log probability of k of n where p = k/n."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return (
        ways + (k * math.log(k / n) if k > 0 else 0.0) + ((n - k) * math.log((n - k) / n) if k < n else 0.0)
    )


class Count(Binomial):
    """A number of patients out of n."""

    name = "count"
    numbered = True

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        if row.n is not None and not (0 <= row.value <= row.n and row.value == int(row.value)):
            bad("value", f"{row.value:g} is not a number of patients out of {row.n}")


class Fraction(Binomial):
    """A share of n patients, or of unknown n with its interval."""

    name = "fraction"

    def check(self, row: Row, bad: Bad) -> None:
        if row.n is None and row.spread_type not in ("CI95", "SE"):
            bad("n", "a fraction needs the number of patients, or its CI95 or SE")
        if row.value < 0:
            bad("value", "a fraction cannot be negative")
        check_no_spread(self, row, bad)

    def check_in_units(self, row: Row, bad: Bad) -> None:
        if row.value > 1:
            bad("value", f"{row.value:g} is more than all patients")
        elif row.n is None:
            if not 0 < row.value < 1:
                bad("n", "a fraction of nobody or of all needs the number of patients")
            elif row.spread_type == "CI95" and not _sides(row):
                bad("lower", "of an interval at least one end must lie within 0 and 1, apart from the value")

    def by_interval(self, row: Row) -> bool:
        """Whether its error is that of an interval or SE, not of its number of patients."""
        return row.n is None

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        if not self.by_interval(row):
            return Measured(row, ())
        slope = row.value * (1 - row.value)
        if row.spread_type == "SE":
            error = row.spread / slope
        else:
            sides = _sides(row)
            error = sum(sides) / len(sides) / Z95
        return Measured(row, (Printed("logit", _logit(row.value), error, math.log(slope)),))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        if not self.by_interval(x.row):
            return super().term(x, s, v)
        share = self.share(x.row, s, v)
        p = min(max(share.value, _EDGE), 1 - _EDGE)
        slope = (p == share.value) / (p * (1 - p))
        return normal_term(x, [Statistic(_logit(p), slope * share.by_s, slope * share.by_v)], share)

    def interval(self, x: Measured) -> tuple[float, float]:
        row = x.row
        if not self.by_interval(row):
            return super().interval(x)
        if row.spread_type == "CI95" and math.isfinite(row.lower):
            return row.lower, row.upper
        middle, half = _logit(row.value), Z95 * x.se
        return 1 / (1 + math.exp(half - middle)), 1 / (1 + math.exp(-half - middle))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def moved_on_logits(row: Row, to: float) -> dict[str, Any]:
    """Value and ends of a share with another value, its errors on the logit scale the same."""
    by = _logit(to) - _logit(row.value)
    found = {name: getattr(row, name) for name in ("value", "lower", "upper")}
    return {name: 1 / (1 + math.exp(-_logit(p) - by)) if 0 < p < 1 else p for name, p in found.items()}


def _sides(row: Row) -> list[float]:
    """How far the ends of its interval that lie between 0 and 1 are from the value, on the logit scale."""
    around = (row.value - row.spread, row.value + row.spread)
    ends = (row.lower, row.upper) if math.isfinite(row.lower) else around
    return [abs(_logit(end) - _logit(row.value)) for end in ends if 0 < end < 1 and end != row.value]
