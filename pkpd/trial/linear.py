"""Comparisons of numbers between arms: least squares, slopes of patients, shares, and ranks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]


class Contrast(NamedTuple):
    """A difference with its 95 % interval and two-sided p value."""

    difference: float
    lower: float
    upper: float
    p: float


NO_CONTRAST = Contrast(*4 * (float("nan"),))


class LinearFit(NamedTuple):
    """Coefficients (n_columns,), their covariance matrix, and the degrees of freedom of the residuals."""

    beta: Floats
    covariance: Floats
    freedom: int

    def contrast(self, column: int) -> Contrast:
        """Of one coefficient, by Student's t."""
        return student(
            float(self.beta[column]), float(np.sqrt(self.covariance[column, column])), self.freedom
        )


def student(difference: float, se: float, freedom: float) -> Contrast:
    """By Student's t with these degrees of freedom, which need not be whole."""
    from scipy.special import stdtr, stdtrit

    if not (freedom > 0 and se > 0.0 and np.isfinite(difference)):
        return NO_CONTRAST
    reach = se * float(stdtrit(freedom, 0.975))
    p = 2.0 * float(stdtr(freedom, -abs(difference) / se))
    return Contrast(difference, difference - reach, difference + reach, p)


def least_squares(x: Floats, y: Floats) -> LinearFit | None:
    """Ordinary least squares, x : (n, n_columns), y : (n,); None where the columns are not independent or no
    degree of freedom is left."""
    n, columns = x.shape
    if n <= columns:
        return None
    scale = np.sqrt((x * x).sum(axis=0))
    if not np.all(scale > 0.0):
        return None
    q, r = np.linalg.qr(x / scale)
    if np.abs(np.diagonal(r)).min() < 1e-10:
        return None
    inverse = np.linalg.inv(r)
    beta = inverse @ (q.T @ y)
    residual = y - (x / scale) @ beta
    variance = float(residual @ residual) / (n - columns)
    return LinearFit(beta / scale, variance * (inverse @ inverse.T) / np.outer(scale, scale), n - columns)


class PatientSlopes(NamedTuple):
    """Regression lines of patients: slopes per day (n,), nan with too few visits, and the sums of squares of
    days about their mean (n,), by which they are known; the variance of what is measured about the lines."""

    slope: Floats
    square: Floats
    error: float


def slopes(days: Floats, y: Floats, least: int) -> PatientSlopes:
    """The regression line of each patient with at least ``least`` visits.

    days : (n_visits,); y : (n, n_visits), nan where nothing was measured.
    """
    seen = np.isfinite(y)
    count = seen.sum(axis=1)
    some = np.maximum(count, 1)[:, None]
    apart = np.where(seen, days - (seen * days).sum(axis=1, keepdims=True) / some, 0.0)
    off = np.where(seen, y, 0.0)
    off = np.where(seen, off - off.sum(axis=1, keepdims=True) / some, 0.0)
    square = (apart**2).sum(axis=1)
    slope = (apart * off).sum(axis=1) / np.where(square > 0.0, square, 1.0)
    told = (count >= max(least, 2)) & (square > 0.0)
    freedom = int((count[told] - 2).sum())
    rest = ((off - slope[:, None] * apart)[told] ** 2).sum()
    return PatientSlopes(np.where(told, slope, np.nan), square, float(rest) / freedom if freedom else 0.0)


def slope_weights(lines: PatientSlopes, arm: Integers) -> Floats:
    """How much each patient's slope counts, (n,): the reciprocal of its variance, which is that between
    patients (by moments: DerSimonian & Laird, Control Clin Trials 1986;7:177) and that of the line.

    Who was seen briefly has a slope that says little; nan where there is none.
    """
    known = np.isfinite(lines.slope)
    weight = np.where(known, 1.0, np.nan)
    if not lines.error > 0.0:
        return weight
    total, spare, freedom = 0.0, 0.0, 0
    for k in np.unique(arm[known]):
        who = known & (arm == k)
        w = lines.square[who] / lines.error
        apart = lines.slope[who] - (w @ lines.slope[who]) / w.sum()
        total += float(w @ apart**2)
        spare += float(w.sum() - (w @ w) / w.sum())
        freedom += int(who.sum()) - 1
    between = max(0.0, (total - freedom) / spare) if spare > 0.0 else 0.0
    return weight / (between + lines.error / np.where(known, lines.square, 1.0))


def weighted_mean(values: Floats, weights: Floats) -> float:
    """Of values that are not nan; nan without any."""
    known = np.isfinite(values)
    if not known.any():
        return float("nan")
    return float(weights[known] @ values[known] / weights[known].sum())


def welch(one: Floats, other: Floats, of_one: Floats, of_other: Floats) -> Contrast:
    """The weighted mean of one group less that of another, without assuming equal variances; nan is left out.

    of_one, of_other : weights. The variance of a mean is that of weighted values about it (Hartung & Knapp,
    Stat Med 2001;20:3875), degrees of freedom are Welch's (Biometrika 1947;34:28): with equal weights it is
    Welch's test.
    """
    found = []
    for values, weights in ((one, of_one), (other, of_other)):
        known = np.isfinite(values)
        y, w = values[known], weights[known]
        if y.size < 2:
            return NO_CONTRAST
        mean = float(w @ y / w.sum())
        found.append((mean, float(w @ (y - mean) ** 2 / (w.sum() * (y.size - 1))), y.size - 1))
    (m, a, df_a), (n, b, df_b) = found
    if a + b <= 0.0:
        return NO_CONTRAST
    return student(m - n, float(np.sqrt(a + b)), (a + b) ** 2 / (a**2 / df_a + b**2 / df_b))


def fisher(one: tuple[int, int], other: tuple[int, int]) -> float:
    """The two-sided p value of Fisher's exact test of two groups, (with, without); nan where one is empty."""
    from scipy.stats import fisher_exact

    if not sum(one) or not sum(other):
        return float("nan")
    return float(fisher_exact([one, other])[1])


def joint_rank(time: Floats, event: Truths, change: Floats, treated: Truths) -> tuple[float, float]:
    """The combined assessment of function and survival: p value, and the share of pairs of a treated patient
    and one of the control arm in which the treated one did better, ties counted by half.

    Of two patients, one who lived longer did better; where that is not known, because neither died or the one
    was last seen before the other died, the one whose function changed more favourably (``change``, more is
    better; nan ties). The scores are compared by the Wilcoxon rank sum test (Berry et al., Amyotroph Lateral
    Scler Frontotemporal Degener 2013;14:162).
    """
    from scipy.special import ndtr

    if not treated.any() or treated.all():
        return float("nan"), float("nan")
    outlived = event[None, :] & (time[:, None] > time[None, :])  # row lived longer than column
    known = outlived | outlived.T
    with np.errstate(invalid="ignore"):
        better = np.sign(change[:, None] - change[None, :])
    score = np.where(known, outlived.astype(float) - outlived.T, np.nan_to_num(better))
    total = score.sum(axis=1)
    n, m = total.size, int(treated.sum())
    favour = float((score[np.ix_(treated, ~treated)]).mean())
    # the variance of a sum of m of n scores that are dealt at random (their mean is 0)
    variance = m * (n - m) / (n * (n - 1)) * float(total @ total)
    if variance <= 0.0:
        return float("nan"), 0.5 + favour / 2
    statistic = float(total[treated].sum()) / np.sqrt(variance)
    return float(2.0 * ndtr(-abs(statistic))), 0.5 + favour / 2
