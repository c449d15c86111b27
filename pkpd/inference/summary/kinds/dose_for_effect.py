"""The dose at which a mean effect is reached, on the log scale.

It is where the predicted mean, interpolated over log dose by a cubic Hermite through the simulated doses,
reaches the effect; outside the simulated doses it goes on linearly. The residual is (log dose - log
value)/SE, so that a model that is too sensitive by a factor is as wrong as one that is too insensitive by it;
on the natural scale no residual falls below -value/SE. A printed interval says how sure the logarithm is on
each side, and the residual has the SE of the side that the prediction lies on: a two-piece normal
distribution (Wallis 2014, Statist Sci 29:106), whose squared residual has no kink. An SE is that of the
logarithm as a share of the value; an interval that reaches to 0 or below says nothing of its lower side on
the log scale, so that its upper side holds for both."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.core.normal import Z95
from pkpd.inference.summary.kinds.kind import Bad, Kind
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, single_term

Array = NDArray[np.float64]

_ROUNDED = 0.01
"""Share by which the dose of the schedule may differ from the reported one."""
DOSE_GRID = (0.3, 0.55, 1.0, 1.8, 3.3)
"""Multiples of the reported dose that are simulated (about equal steps of log dose)."""


class DoseForEffect(Kind):
    """The dose of the row's schedule that gives the row's effect."""

    name = "dose_for_effect"
    columns = ("effect",)
    words = "dose that gives the effect"
    doses = DOSE_GRID
    n_smooth = len(DOSE_GRID)
    in_dose_units = True
    on_log = True
    positive = True
    simulated = False

    def check(self, row: Row, bad: Bad) -> None:
        if not row.value > 0:
            bad("value", "the dose must be positive")
        if math.isnan(row.effect):
            bad("effect", "the effect that this dose gives is needed")
        if row.spread_type not in ("SE", "SD", "CI95"):
            bad("spread_type", "a dose_for_effect needs its SE or CI95")
        elif row.lower == row.value or row.upper == row.value:
            bad("lower", f"the dose {row.value:g} must lie within its interval, not at its end")
        if row.schedule == "none":
            bad("schedule", "write the schedule with the reported dose, not none")
        elif row.value > 0:
            _check_dose(row, bad)

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        below, above = _errors(row)
        return Measured(row, (Printed("log dose", 0.0, (below + above) / 2, math.log(row.value)),))

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        """``s`` (J, K) at the multiples ``DOSE_GRID`` of the reported dose."""
        row = x.row
        log_dose, by_means = inverse(np.log(np.array(DOSE_GRID)), s.mean(axis=1), row.effect)
        dose, slope = _dose_scale(log_dose)
        share = np.repeat(by_means[:, None], s.shape[1], axis=1) / s.shape[1]
        none = np.zeros(s.shape)
        predicted = Statistic(dose * row.value, share * slope * row.value, none)
        error = _errors(row)[log_dose > 0]
        on_log = Statistic(log_dose, share, none)
        (printed,) = x.printed
        return single_term("log dose", log_dose / error, 1 / error, on_log, predicted, printed.constant)

    def smooth(self, x: Measured, s: Array, v: Array) -> Term:
        """The means at the doses: where the curve is flat, a little of them is much of the dose."""
        each = np.eye(len(s))[:, :, None] / s.shape[1] * np.ones_like(s)
        labels = tuple(f"mean at {multiple:g} x" for multiple in DOSE_GRID)
        return replace(
            self.term(x, s, v), residuals=s.mean(axis=1), by_s=each, by_v=0.0 * each, labels=labels
        )

    def of_smooth(self, x: Measured, numbers: Array) -> tuple[float, Array]:
        log_dose, by_means = inverse(np.log(np.array(DOSE_GRID)), numbers, x.row.effect)
        error = _errors(x.row)[log_dose > 0]
        return log_dose / error, by_means / error

    def redrawn(self, x: Measured, term: Term, error: float) -> Row | None:
        """Another dose, so that its schedule is of another one too."""
        from pkpd.dosing import Schedule

        row = x.row
        below, above = _errors(row)
        residual = float(term.residuals[0])
        moved = residual * (above if residual > 0 else below) - error * (above if error > 0 else below)
        grown = math.exp(moved)
        numbers = {name: getattr(row, name) * grown for name in ("value", "lower", "upper", "spread")}
        return replace(row, schedule=str(Schedule.parse(row.schedule).scaled(grown)), **numbers)

    def interval(self, x: Measured) -> tuple[float, float]:
        row = x.row
        if row.spread_type == "CI95" and math.isfinite(row.lower):
            return row.lower, row.upper
        below, above = _errors(row)
        return row.value * math.exp(-Z95 * below), row.value * math.exp(Z95 * above)


def _check_dose(row: Row, bad: Bad) -> None:
    """The value is a dose of the schedule, but for rounding, or several of them."""
    from pkpd.core import units
    from pkpd.dosing import Schedule

    doses = Schedule.parse(row.schedule).doses()
    names = [f"{dose.unit}/{dose.per}" if dose.per else dose.unit for dose in doses]
    try:
        reported = [row.value * units.factor(row.unit, name) for name in names]
    except InputError as error:
        bad("unit", f"the dose is in the unit of its schedule: {error}")
        return
    counts = [value / float(dose.amount) for value, dose in zip(reported, doses, strict=True)]
    if not any(abs(count - max(1, round(count))) <= _ROUNDED * count for count in counts):
        bad("value", f"{row.value:g} {row.unit} is no dose of the schedule, which is of the reported dose")


def _errors(row: Row) -> tuple[float, float]:
    """Standard errors of the logarithm of the dose, below and above it."""
    if row.spread_type != "CI95":
        error = row.spread / row.value
        if row.spread_type == "SD" and row.n:
            error /= math.sqrt(row.n)
        return error, error
    ends = (row.lower, row.upper) if math.isfinite(row.lower) else _around(row)
    above = math.log(ends[1] / row.value) / Z95
    return (math.log(row.value / ends[0]) / Z95 if ends[0] > 0 else above), above


def _around(row: Row) -> tuple[float, float]:
    return row.value - row.spread, row.value + row.spread


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

    before, after = float(g[j]), float(g[j + 1])
    slope_before, slope_after = float(left @ g), float(right @ g)

    def at(t: float) -> float:
        s = 1 - t
        ends = before * (1 + 2 * t) * s * s + after * t * t * (3 - 2 * t)
        return ends + slope_before * t * s * s - slope_after * t * t * s

    low, high = 0.0, 1.0
    rising = after >= before
    for _ in range(60):
        middle = (low + high) / 2
        if (at(middle) < target) == rising:
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
    weights = left * (t * (1 - t) ** 2) + right * (t * t * (t - 1))
    weights[j] += (1 + 2 * t) * (1 - t) ** 2
    weights[j + 1] += t * t * (3 - 2 * t)
    return float(x[j] + t * step), -weights / slope * step
