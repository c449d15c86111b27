"""Numbers of curves: y is (n_subjects, n_times) at times (n_times,) that all subjects share; what comes out is (n_subjects,).

Between two times a curve is straight, but for the falling parts of a concentration (``exposure``). nan goes in and comes out without a warning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LAST_PART = 30.0
"""How many times the lowest point the highest may be that counts for a half-life: wide enough that a few times more or less matter little."""


def divided(numerator: Floats, denominator: Floats | float) -> Floats:
    """The quotient, nan where the denominator is nought or nan."""
    bottom = np.broadcast_to(np.asarray(denominator, dtype=np.float64), numerator.shape)
    return np.divide(numerator, bottom, out=np.full(numerator.shape, np.nan), where=np.abs(bottom) > 0)


def window(times: Floats, y: Floats, start: float, stop: float) -> tuple[Floats, Floats]:
    """The curve from start to stop, whose values there are interpolated where they lie between two times; no time where they lie outside."""
    start, stop = max(start, times[0]), min(stop, times[-1])
    if not start <= stop:
        return times[:0], y[:, :0]
    inner = (times > start) & (times < stop)
    ends = [at(times, y, start)[:, None], at(times, y, stop)[:, None]]
    if start == stop:
        return np.array([start]), ends[0]
    return np.concatenate([[start], times[inner], [stop]]), np.hstack([ends[0], y[:, inner], ends[1]])


def at(times: Floats, y: Floats, time: float) -> Floats:
    """The value at a time within the times."""
    i = int(np.searchsorted(times, time, side="left"))
    if times[i] == time:
        return y[:, i]
    share = (time - times[i - 1]) / (times[i] - times[i - 1])
    return y[:, i - 1] + share * (y[:, i] - y[:, i - 1])


def before(times: Floats, time: float) -> int:
    """Index of the last time before ``time``, -1 where there is none."""
    return int(np.searchsorted(times, time, side="left")) - 1


def mean(times: Floats, y: Floats, start: float, stop: float) -> Floats:
    """The mean from start to stop by trapezoids, as far as the times reach; nan where they lie outside."""
    start, stop = max(start, times[0]), min(stop, times[-1])
    if not start <= stop:
        return np.full(len(y), np.nan)
    if start == stop:
        return at(times, y, start)
    # what a straight piece adds is what it has in the middle of the part that counts: a share of its two ends
    first, last = np.maximum(times[:-1], start), np.minimum(times[1:], stop)
    long = np.maximum(last - first, 0.0)
    share = (0.5 * (first + last) - times[:-1]) / np.diff(times)
    weights = np.append(long * (1.0 - share), 0.0)
    weights[1:] += long * share
    return (y @ weights) / (stop - start)


def exposure(times: Floats, y: Floats) -> Floats:
    """Area under a concentration: trapezoids where it rises, their logarithmic form, exact for an exponential, where it falls."""
    a, b = y[:, :-1], y[:, 1:]
    falls = (b < 0.9999 * a) & (b > 1e-100 * a)  # of nearly equal values the two forms agree to 1e-9
    ratio = np.log(np.divide(a, b, out=np.full(a.shape, np.e), where=falls))
    height = np.where(falls, (a - b) / ratio, 0.5 * (a + b))
    return height @ np.diff(times)


def above(times: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Time above nought, and area between curve and nought where it is above."""
    a, b = y[:, :-1], y[:, 1:]
    up = np.maximum(a, 0.0) + np.maximum(b, 0.0)
    size = np.abs(a) + np.abs(b)
    share = np.divide(up, size, out=np.where(np.isnan(size), np.nan, 0.0), where=size > 0.0)
    dt = np.diff(times)
    return share @ dt, (0.5 * up * share) @ dt


def last_time_outside(times: Floats, y: Floats) -> Floats:
    """When y, a distance to a range and negative within it, is positive for the last time; times[0] where it never is, inf where it still is at the end."""
    outside = y > 0.0
    n_times = times.size
    last = n_times - 1 - np.argmax(outside[:, ::-1], axis=1)
    inside = np.minimum(last + 1, n_times - 1)
    rows = np.arange(len(y))
    a, b = y[rows, last], y[rows, inside]
    share = np.divide(a, a - b, out=np.zeros(len(y)), where=a - b > 0.0)
    found = times[last] + share * (times[inside] - times[last])
    found = np.where(outside[:, -1], np.inf, np.where(outside.any(axis=1), found, times[0]))
    return np.where(np.isnan(y).any(axis=1), np.nan, found)


def half_life(times: Floats, y: Floats, floor: Floats) -> Floats:
    """Terminal half-life by log-linear regression over the last points, as non-compartmental analysis does it; nan where it does not exist.

    Points are those after the highest one that are at most half as high, up to the first that is not above ``floor``, (n_subjects,). Of them those below
    thirty times the last are taken, or the last three where that is fewer. NCA's other rule, the number of points with the highest adjusted
    R2, is made for noise: on a smooth curve that bends it goes by the places of the points.
    """
    n_subjects, n_times = y.shape
    if not n_times:
        return np.full(n_subjects, np.nan)
    after = np.arange(n_times) > np.argmax(y, axis=1)[:, None]
    seen = ~np.logical_or.accumulate(after & ~(y > floor[:, None]), axis=1)
    tail = after & seen & (y <= 0.5 * y.max(axis=1)[:, None])
    lowest = np.where(tail, y, np.inf).min(axis=1)
    from_end = np.cumsum(tail[:, ::-1], axis=1)[:, ::-1]
    tail &= (y <= LAST_PART * lowest[:, None]) | (from_end <= 3)
    n = tail.sum(axis=1).astype(np.float64)
    z = np.log(np.where(tail, y, 1.0))
    middle = divided((tail * times).sum(axis=1), n)
    x = np.where(tail, times - middle[:, None], 0.0)
    slope = divided((x * z).sum(axis=1), (x * x).sum(axis=1))
    return divided(np.full(n_subjects, -np.log(2.0)), np.where((n >= 3) & (slope < 0.0), slope, np.nan))
