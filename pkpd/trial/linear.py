"""Comparisons of numbers between arms: least squares, slopes of patients, and ranks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
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


def slopes(days: Floats, y: Floats, least: int) -> Floats:
    """The slope of each patient's regression line per day, (n,); nan with fewer than ``least`` visits.

    days : (n_visits,); y : (n, n_visits), nan where nothing was measured.
    """
    seen = np.isfinite(y)
    count = seen.sum(axis=1)
    some = np.maximum(count, 1)
    middle = (seen * days).sum(axis=1) / some
    apart = np.where(seen, days - middle[:, None], 0.0)
    square = (apart**2).sum(axis=1)
    found = (apart * np.where(seen, y, 0.0)).sum(axis=1) / np.where(square > 0.0, square, 1.0)
    return np.where((count >= max(least, 2)) & (square > 0.0), found, np.nan)


def welch(one: Floats, other: Floats) -> Contrast:
    """The mean of one group less that of another, without assuming equal variances (Welch, Biometrika
    1947;34:28); values that are nan are left out."""
    one, other = one[np.isfinite(one)], other[np.isfinite(other)]
    if min(one.size, other.size) < 2:
        return NO_CONTRAST
    a, b = one.var(ddof=1) / one.size, other.var(ddof=1) / other.size
    if a + b <= 0.0:
        return NO_CONTRAST
    freedom = (a + b) ** 2 / (a**2 / (one.size - 1) + b**2 / (other.size - 1))
    return student(float(one.mean() - other.mean()), float(np.sqrt(a + b)), float(freedom))


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
