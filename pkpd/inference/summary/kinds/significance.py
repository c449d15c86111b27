"""What Student's test of n patients said. With ``versus`` it compares two arms: delta = (m - m')/(SD sqrt(1/n
+ 1/n')), SD^2 the variance common to both; without, it asks whether a change or fold of the same patients is
none: delta = (m - none)/(SD/sqrt(n)), none 0 or, of a fold, 1. T of a trial has the noncentral t distribution
of delta (Johnson, Kotz & Balakrishnan 1995, Continuous Univariate Distributions 2, ch. 31), so that

    not_significant  -log L = -log P(|T| < t), t the limit of the ``level``, or of 0.05: strong effects are
                     unlikely, and the more patients were seen the weaker ones are too
    p_value          the p in column ``level``. With a value, it is a mean or difference of SE = |value -
                     none|/t(p) (Altman & Bland 2011, BMJ 343:d2090). Alone it is |T|, of unknown sign:
                     r = -Phi^-1(P(|T| < t(p))), standard normal where the model is right

The SD is that of the predicted patients with their measurement errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds.kind import Bad, Kind, View
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, t95_of
from pkpd.inference.summary.terms import Measured, Numbers, Printed, Statistic, Term, normal_term, single_term

Array = NDArray[np.float64]

_LEAST_SD = 1e-6
"""Share of the mean size of patients that is added to their SD, in quadrature: keeps delta finite where they
do not differ."""


class _Test(Kind):
    """A test of the mean of patients."""

    columns = ("level", "versus", "versus_n")
    needs_value = False
    of_level = False
    signed = True

    def views(self, row: Row) -> tuple[View, ...]:
        own = View(row.arm, row.schedule, 1.0, row.output)
        return (own, View(row.versus, row.versus_schedule, 1.0, row.output)) if row.versus else (own,)

    def check(self, row: Row, bad: Bad) -> None:
        if row.n is None or _degrees(row) < 1:
            bad("n", f"a {self.name} needs the number of patients")
        if not row.versus and row.measure == "value":
            bad("measure", f"a {self.name} is of a change, or of two arms: name the other one in versus")
        if row.spread_type != "none":
            bad("spread_type", f"a {self.name} has no spread; a mean or difference with its SE says more")
        if not 0 < row.level < 1:
            bad("level", f"a {self.name} needs its p, between 0 and 1")

    def observed(self, row: Row) -> float:
        return _none(row) if math.isnan(row.value) else row.value

    def interval(self, x: Measured) -> tuple[float, float]:
        return (math.nan, math.nan) if not x.printed else super().interval(x)


class NotSignificant(_Test):
    """The test found no difference."""

    name = "not_significant"
    simulated = False

    def completed(self, row: Row, bad: Bad) -> Row:
        return replace(row, level=0.05) if math.isnan(row.level) else row

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        return Measured(row, ())

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        df, delta = _degrees(x.row), _delta(x.row, s, v)
        limit = float(_limit(df, x.row.level))
        best, _, bend = log_within(0.0, limit, df)
        there, slope, _ = log_within(delta.value, limit, df)
        r = math.copysign(math.sqrt(max(0.0, 2 * (best - there))), delta.value)
        by_delta = -slope / r if abs(r) > 1e-5 else math.sqrt(bend)
        return single_term(self.words, r, by_delta, delta, _effect(x.row, s), -2 * best)


class PValue(_Test):
    """The p of the test, with or without the mean or difference that it is of."""

    name = "p_value"
    words = "p value"

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        if row.value == _none(row):
            bad("value", f"of a difference of none, {row.value:g}, p says nothing")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        if np.all(np.isnan(row.value)):
            return Measured(row, ())
        error = np.abs(row.value - _none(row)) / _limit(_degrees(row), row.level)
        return Measured(row, (Printed("mean by p", row.value, error),))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        effect = _effect(x.row, s)
        if x.printed:
            return normal_term(x, [effect], effect)
        from scipy.special import ndtri_exp

        df, delta = _degrees(x.row), _delta(x.row, s, v)
        there, slope, _ = log_within(delta.value, float(_limit(df, x.row.level)), df)
        r = -float(ndtri_exp(there))
        log_density = -0.5 * (r * r + math.log(2 * math.pi))
        by_delta = -slope * math.exp(there - log_density)
        return single_term(self.words, r, by_delta, delta, effect, math.log(2 * math.pi))

    def quantile_95(self, row: Row) -> float:
        return t95_of(_degrees(row))

    def as_printed(self, row: Row, trials: Sequence[Array]) -> Row | None:
        if math.isnan(row.value):
            return None
        from scipy.special import stdtr

        value = trials[0].mean(axis=1) - (trials[1].mean(axis=1) if len(trials) > 1 else 0.0)
        counts = [x.shape[1] for x in trials]
        sized = replace(row, n=counts[0], versus_n=counts[-1])
        variance = sum((n - 1) * x.var(axis=1, ddof=1) for n, x in zip(counts, trials, strict=True))
        error = np.sqrt(variance / _degrees(sized) * _share_of_variance(sized))
        p = 2 * stdtr(_degrees(sized), -np.abs(value - _none(row)) / error)
        return replace(sized, value=value, level=p)


def _none(row: Row) -> float:
    """What the value is where there is no difference."""
    return 1.0 if row.measure == "fold" and not row.versus else 0.0


def _n_of_versus(row: Row) -> int:
    return (row.versus_n or row.n or 0) if row.versus else 0


def _degrees(row: Row) -> int:
    n = row.n or 0
    return n + _n_of_versus(row) - 2 if row.versus else n - 1


def _share_of_variance(row: Row) -> float:
    """Variance of the tested difference in that of one patient."""
    assert row.n is not None  # the reader asked for it
    return 1 / row.n + (1 / _n_of_versus(row) if row.versus else 0.0)


def _limit(df: int, p: Numbers) -> Numbers:
    """|T| of a two-sided p."""
    from scipy.special import stdtrit

    return -stdtrit(df, np.asarray(p) / 2)


def _effect(row: Row, s: Array) -> Statistic:
    """The mean of the arm, or its difference to the other one."""
    signs = np.array([[1.0], [-1.0]])[: len(s)]
    by_s = np.repeat(signs / s.shape[1], s.shape[1], axis=1)
    return Statistic(float((by_s * s).sum()), by_s, np.zeros(s.shape))


def _delta(row: Row, s: Array, v: Array) -> Statistic:
    """The noncentrality that the predicted patients have."""
    assert row.n is not None  # the reader asked for it
    effect, size = _effect(row, s), s.shape[1]
    counts = [row.n, _n_of_versus(row)][: len(s)]
    weights = np.array([[(n - 1) / _degrees(row)] for n in counts])
    centred = s - s.mean(axis=1, keepdims=True)
    least = (_LEAST_SD * float(np.abs(s).mean())) ** 2 + 1e-300
    variance = float((weights * (centred**2 + v)).sum()) / size + least
    unit = math.sqrt(variance * _share_of_variance(row))
    delta = (effect.value - _none(row)) / unit
    by_variance = -delta / (2 * variance)
    by_s = effect.by_s / unit + by_variance * 2 * weights * centred / size
    return Statistic(delta, by_s, np.repeat(by_variance * weights / size, size, axis=1))


@lru_cache(maxsize=1)
def _nodes() -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(200)


def log_within(delta: float, limit: float, df: float) -> tuple[float, float, float]:
    """log P(|T| < limit) of the noncentral t distribution, its derivative by delta, and at delta = 0 minus
    its second derivative: by quadrature over the SD that a trial finds, in those of the patients."""
    from scipy.special import log_ndtr, logsumexp

    size = abs(delta)
    constant = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)

    def parts(w: Array) -> tuple[Array, Array]:
        """Logarithms of the density of w and of the probability then."""
        above, below = log_ndtr(limit * w - size), log_ndtr(-limit * w - size)
        density = constant + (df - 1) * np.log(w) - df * w * w / 2
        return density, above + np.log(-np.expm1(np.minimum(below - above, -1e-300)))

    grid = np.geomspace(1e-3, 10.0 + size, 400)
    height = np.add(*parts(grid))
    near = np.flatnonzero(height > height.max() - 45)
    low = grid[near[0] - 1] if near[0] else 0.0
    high = grid[min(near[-1] + 1, grid.size - 1)]
    nodes, weights = _nodes()
    w = low + (high - low) * (nodes + 1) / 2
    scale = np.log(weights * (high - low) / 2)
    density, inside = parts(w)
    value = float(logsumexp(density + inside + scale))
    half_log_2pi = 0.5 * math.log(2 * math.pi)
    ends = [density + scale - 0.5 * (limit * w - sign * size) ** 2 - half_log_2pi for sign in (1, -1)]
    upper, lower = (math.exp(float(logsumexp(each)) - value) for each in ends)
    bend = float(np.exp(density + scale - value - 0.5 * (limit * w) ** 2 - half_log_2pi) @ (2 * limit * w))
    return value, math.copysign(upper - lower, -delta), bend
