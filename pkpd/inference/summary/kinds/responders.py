"""The mean of those patients of an arm who respond, or of those who do not: papers write "responders (7 of
12) reached 9.1 +- 2.0 %, non-responders 5.8 +- 1.1 %". A responder is a patient in whom what the row looks at
reaches ``effect`` (a negative one: falls to it), a limit that was fixed beforehand; with column ``other`` it
is that output which does.

(E - value)/SE. With x = s + noise, E = E(x | x >= effect), patients and noise smoothed by the normal kernel
of ``share_beyond``: the mean of a normal distribution that is cut off (Johnson, Kotz & Balakrishnan 1994,
Continuous Univariate Distributions 1, sec. 13.10), so that who was measured high by chance counts as he was
measured. By ``other``, E = mean(s) + sum(p (s - mean(s)))/(c sum(p)), p the probability that a patient
responds and c what the kernel leaves of the covariance of both outputs. SE is SD/sqrt(k), SE, or CI95/t
of the k patients in column ``subset_n``. Trials draw all n patients of the arm, of whom some respond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.kinds.kind import Bad, Kind, View, is_assumed
from pkpd.inference.summary.prints import interval_columns
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, form_of, width
from pkpd.inference.summary.statistics import SmoothedPatients, kernel_beyond
from pkpd.inference.summary.terms import Measured, Numbers, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]

_EDGE = 1e-12
"""Probability to respond that everybody has at least, so that a mean of nobody is at the limit."""


class MeanOfResponders(Kind):
    """The mean of patients who respond."""

    name = "mean_of_responders"
    columns = ("effect", "other", "subset_n")
    of_level = False
    direction = 1.0

    def views(self, row: Row) -> tuple[View, ...]:
        return tuple(View(row.arm, row.schedule, 1.0, output) for output in row.outputs)

    def check(self, row: Row, bad: Bad) -> None:
        k = row.subset_n
        if math.isnan(row.effect):
            bad("effect", f"a {self.name} needs the limit that makes a responder")
        if row.other == row.output:
            bad("other", "is the output itself: leave it empty, or name another one that makes a responder")
        if row.spread_type not in ("SD", "SE", "CI95", "CV", "none"):
            bad("spread_type", f"a {self.name} has an SD, SE, CI95 or CV")
        if row.spread_type in ("SD", "CV") and k is None:
            bad("subset_n", f"an {row.spread_type} needs the number of patients whose mean it stands beside")
        if row.spread_type in ("SD", "CV") and k == 1:
            bad("subset_n", f"one patient has no {row.spread_type}")
        if k is not None and row.n is not None and k > row.n:
            bad("subset_n", f"{k} patients cannot be a part of the {row.n} of the arm")
        if row.spread_type == "none" and row.value == 0:
            bad("spread", "a mean of 0 without a spread has no weight; give an SD, SE or CI95")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        error = _error(row, form or form_of(row), relative_error)
        return Measured(row, (Printed(self.name, row.value, error),), is_assumed(row))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        kernel = kernel_beyond(s[-1], v[-1], x.row.effect, self.direction)
        found = _of_chosen(s[0], kernel) if x.row.other else _beyond(kernel, x.row.effect)
        return normal_term(x, [found], found)

    def quantile_95(self, row: Row) -> float:
        return Z95 if is_assumed(row) else float(_t95(row.subset_n))

    def as_printed(self, row: Row, trials: Sequence[Array]) -> Row | None:
        x, judged = trials[0], trials[-1]
        reach = 1.0 if row.effect >= 0 else -1.0
        chosen = (reach * (judged - row.effect) >= 0) == (self.direction > 0)
        k = chosen.sum(axis=1)
        with np.errstate(all="ignore"):
            mean = (x * chosen).sum(axis=1) / k
            sd = np.sqrt((((x - mean[:, None]) * chosen) ** 2).sum(axis=1) / (k - 1))
        told = k >= 2  # others print no such row
        counted: Any = np.where(told, k, 2)
        columns: dict[str, Any] = {"value": np.where(told, mean, math.nan), "subset_n": counted}
        return replace(row, n=x.shape[1], **columns, **_spread_columns(row, mean, sd, counted))


class MeanOfNonresponders(MeanOfResponders):
    """The mean of patients who do not respond."""

    name = "mean_of_nonresponders"
    direction = -1.0


def _beyond(kernel: SmoothedPatients, limit: float) -> Statistic:
    """Mean of patients on their side of the limit."""
    p, density, width, direction = kernel.probability, kernel.density, kernel.width, kernel.direction
    total = float(p.sum()) + _EDGE * p.size
    inside = kernel.middle * p + direction * width * density
    mean = (float(inside.sum()) + _EDGE * p.size * limit) / total
    by_middle = (p + direction * density * (limit - mean) / width) / total
    by_variance = density * (direction - kernel.u * (limit - mean) / width) / (2 * width * total)
    by_s, by_v = kernel.by_samples(by_middle, by_variance)
    return Statistic(mean, by_s[None], by_v[None])


def _of_chosen(s: Array, kernel: SmoothedPatients) -> Statistic:
    """Mean of s, (K,), of patients whose other output is on its side of the limit."""
    p, middle = kernel.probability + _EDGE, float(s.mean())
    total = float(p.sum())
    apart = float((p * (s - middle)).sum()) / total
    by_p = (s - middle - apart) / (total * kernel.shrink)
    own = 1 / s.size + (p / total - 1 / s.size) / kernel.shrink
    others, noise = kernel.by_samples(by_p * kernel.by_middle, by_p * kernel.by_variance)
    return Statistic(
        middle + apart / kernel.shrink, np.stack([own, others]), np.stack([np.zeros(s.size), noise])
    )


def _t95(k: Numbers) -> Numbers:
    """Half width of a 95 % interval of a mean of k in standard errors."""
    from scipy.special import stdtrit

    return Z95 if k is None or np.all(k < 2) else stdtrit(np.asarray(k) - 1, 0.975)


def _error(row: Row, form: Form, relative_error: float) -> Numbers:
    """The standard error of the mean."""
    k: Numbers = row.subset_n
    match row.spread_type:
        case "SD":
            return row.spread / np.sqrt(k)
        case "CV":
            return row.spread / 100 * np.abs(row.value) / np.sqrt(k)
        case "SE":
            return row.spread
        case "CI95":
            return width(row, form) / (2 if form.ends else 1) / _t95(k)
    return relative_error * np.abs(row.value)


def _spread_columns(row: Row, mean: Array, sd: Array, k: Array) -> dict[str, Any]:
    """As the row prints it."""
    error = sd / np.sqrt(k)
    match row.spread_type:
        case "SD":
            return {"spread": sd}
        case "CV":
            return {"spread": 100 * sd / np.abs(mean)}
        case "SE":
            return {"spread": error}
        case "CI95":
            half = _t95(k) * error
            return interval_columns(form_of(row), mean - half, mean + half, half)
    return {}
