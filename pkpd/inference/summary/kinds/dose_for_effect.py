"""The dose at which a mean effect is reached.

It is where the predicted mean, interpolated over log dose by a cubic Hermite through the simulated doses,
reaches the effect; (dose - value)/SE, on the log scale if the interval is positive and nearer to symmetric
there. Outside the simulated doses it goes on linearly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.kinds.kind import Bad, Kind
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, form_of, nearer_on_logs, standard_error
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]

DOSE_GRID = (0.3, 0.55, 1.0, 1.8, 3.3)
"""Multiples of the reported dose that are simulated (about equal steps of log dose)."""


class DoseForEffect(Kind):
    """The dose of the row's schedule that gives the row's effect."""

    name = "dose_for_effect"
    words = "dose that gives the effect"
    doses = DOSE_GRID
    in_dose_units = True
    simulated = False

    def check(self, row: Row, bad: Bad) -> None:
        if not row.value > 0:
            bad("value", "the dose must be positive")
        if math.isnan(row.effect):
            bad("effect", "the effect that this dose gives is needed")
        if row.spread_type not in ("SE", "SD", "CI95"):
            bad("spread_type", "a dose_for_effect needs its SE or CI95")
        if row.schedule == "none":
            bad("schedule", "write the schedule with the reported dose, not none")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        if _is_log_dose(row):
            printed = Printed(
                "log dose", 0.0, math.log(row.upper / row.lower) / (2 * Z95), math.log(row.value)
            )
            return Measured(row, (printed,))
        if row.spread_type == "SD":
            error = row.spread / (math.sqrt(row.n) if row.n else 1.0)
        else:
            error = standard_error(
                row, form or form_of(row), None, relative_error, on_log=False, quantile_95=Z95
            )
        return Measured(row, (Printed("dose", row.value, error),))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        """``s`` (J, K) at the multiples ``DOSE_GRID`` of the reported dose."""
        row = x.row
        log_dose, by_means = inverse(np.log(np.array(DOSE_GRID)), s.mean(axis=1), row.effect)
        dose, slope = _dose_scale(log_dose)
        share = np.repeat(by_means[:, None], s.shape[1], axis=1) / s.shape[1]
        none = np.zeros(s.shape)
        predicted = Statistic(dose * row.value, share * slope * row.value, none)
        on_scale = Statistic(log_dose, share, none) if _is_log_dose(row) else predicted
        return normal_term(x, [on_scale], predicted)

    def interval(self, x: Measured) -> tuple[float, float]:
        row = x.row
        if row.spread_type == "CI95" and math.isfinite(row.lower):
            return row.lower, row.upper
        return row.value - Z95 * x.se, row.value + Z95 * x.se


def _is_log_dose(row: Row) -> bool:
    """Whether a dose's printed interval is nearer to symmetric on the log scale."""
    return row.spread_type == "CI95" and row.lower > 0 and nearer_on_logs(row)


def _dose_scale(log_dose: float) -> tuple[float, float]:
    """Dose relative to the reported one, and its derivative; above the simulated doses linear, not
    exponential."""
    top = DOSE_GRID[-1]
    if log_dose > math.log(top):
        return top * (1 + log_dose - math.log(top)), top
    dose = math.exp(log_dose)
    return dose, dose


def inverse(x: Array, g: Array, target: float) -> tuple[float, Array]:
    """Where the curve through (x_j, g_j) reaches ``target``: x and its derivative by g (J,).

    Cubic Hermite with finite-difference slopes inside; of several crossings the one nearest to x = 0.
    Outside, the straight line of the end, whose slope is at least a twentieth of |target| per unit of x
    towards the target (a curve that never gets there then has a far but finite answer).
    """
    crossing: tuple[float, Array] | None = None
    slopes = slope_weights(x)
    for j in range(x.size - 1):
        if (g[j] - target) * (g[j + 1] - target) > 0:
            continue
        found = _cross_cell(x, g, slopes, j, target)
        if crossing is None or abs(found[0]) < abs(crossing[0]):
            crossing = found
    if crossing is not None:
        return crossing
    # never reached: leave from the end that a rising (or, for a negative effect, falling) curve would leave
    # from
    direction = -1.0 if target < 0 else 1.0
    end = x.size - 1 if direction * (target - g).max() > 0 and direction * (target - g[-1]) > 0 else 0
    slope = float(slopes[end] @ g)
    least = 0.05 * max(abs(target), 1e-12)
    weights = slopes[end]
    if direction * slope < least:
        slope, weights = direction * least, np.zeros(x.size)
    step = (target - g[end]) / slope
    by_g = -weights * step / slope
    by_g[end] -= 1 / slope
    return float(x[end] + step), by_g


def slope_weights(x: Array) -> Array:
    """(J, J): the slope at x_j as weights on g; central in the sense of a parabola inside, one-sided at the
    ends."""
    count = x.size
    weights = np.zeros((count, count))
    for j in range(count):
        if j in (0, count - 1):
            a, b = (0, 1) if j == 0 else (count - 2, count - 1)
            weights[j, a], weights[j, b] = -1 / (x[b] - x[a]), 1 / (x[b] - x[a])
            continue
        left, right = x[j] - x[j - 1], x[j + 1] - x[j]
        weights[j, j - 1] = -right / (left * (left + right))
        weights[j, j] = (right - left) / (left * right)
        weights[j, j + 1] = left / (right * (left + right))
    return weights


def _cross_cell(x: Array, g: Array, slopes: Array, j: int, target: float) -> tuple[float, Array]:
    """Crossing within one cell, by bisection on the cubic; derivative by the implicit function theorem."""
    step = x[j + 1] - x[j]
    left, right = slopes[j] * step, slopes[j + 1] * step

    def weights(t: float) -> Array:
        w = left * (t * (1 - t) ** 2) + right * (t * t * (t - 1))
        w = w.copy()
        w[j] += (1 + 2 * t) * (1 - t) ** 2
        w[j + 1] += t * t * (3 - 2 * t)
        return np.asarray(w, dtype=np.float64)

    low, high = 0.0, 1.0
    rising = g[j + 1] >= g[j]
    for _ in range(60):
        middle = (low + high) / 2
        if (float(weights(middle) @ g) < target) == rising:
            low = middle
        else:
            high = middle
    t = (low + high) / 2
    slope_t = left * (1 - 4 * t + 3 * t * t) + right * (3 * t * t - 2 * t)
    slope_t = slope_t.copy()
    slope_t[j] += 6 * t * t - 6 * t
    slope_t[j + 1] += 6 * t - 6 * t * t
    slope = float(slope_t @ g)
    least = 1e-3 * max(abs(target), 1e-12)
    if abs(slope) < least:
        slope = math.copysign(least, slope if slope else 1.0)
    return float(x[j] + t * step), -weights(t) / slope * step
