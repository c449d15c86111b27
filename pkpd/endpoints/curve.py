"""Numbers of curves: y is (n_subjects, n_times) at times (n_times,) that all subjects share; what comes out is (n_subjects,).

Between two times a curve is straight, but for the falling parts of a concentration (``exposure``). nan goes in and comes out without a warning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ENOUGH = 1e-4  # how much adjusted R2 is given for more points: the rule of WinNonlin and PKNCA


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


def mean(times: Floats, y: Floats) -> Floats:
    """The mean over time by trapezoids, nan without times."""
    if times.size == 0:
        return np.full(len(y), np.nan)
    if times.size == 1:
        return y[:, 0]
    dt = np.diff(times)
    return ((y[:, 1:] + y[:, :-1]) @ dt) / (2.0 * (times[-1] - times[0]))


def exposure(times: Floats, y: Floats) -> Floats:
    """Area under a concentration: trapezoids where it rises, their logarithmic form, exact for an exponential, where it falls."""
    a, b = y[:, :-1], y[:, 1:]
    falls = (b < 0.9999 * a) & (b > 0.0)  # of nearly equal values the two forms agree to 1e-9
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

    Points are those after the highest one (which is not taken itself) up to the first at or below ``floor``, (n_subjects,). Of the last three, four, ...
    points those are taken that have the highest adjusted R2; of numbers of points within 1e-4 of it the largest (Phoenix WinNonlin, PKNCA).
    """
    n_subjects, n_times = y.shape
    if n_times < 4:
        return np.full(n_subjects, np.nan)
    index = np.arange(n_times)
    top = np.argmax(y, axis=1)
    tail = (index > top[:, None]) & ((y > floor[:, None]) | (index <= top[:, None]))
    low = (index > top[:, None]) & ~tail
    end = np.where(low.any(axis=1), np.argmax(low, axis=1), n_times)
    tail &= index < end[:, None]
    # sums over the last m points, for every m at once: from the end of the curve backwards
    x = np.where(tail, times - times[-1], 0.0)
    z = np.log(np.where(tail, y, 1.0))
    terms = (tail.astype(np.float64), x, z, x * x, x * z, z * z)
    n, sx, sz, sxx, sxz, szz = (np.cumsum(term[:, ::-1], axis=1) for term in terms)
    usable = tail[:, ::-1] & (n > 2.5)
    vx, vz, cov = n * sxx - sx * sx, n * szz - sz * sz, n * sxz - sx * sz
    usable &= (vx > 0.0) & (vz > 0.0) & (cov < 0.0)
    r2 = np.divide(cov * cov, vx * vz, out=np.zeros(n.shape), where=usable)
    adjusted = np.where(usable, 1.0 - (1.0 - r2) * (n - 1.0) / np.maximum(n - 2.0, 1.0), -np.inf)
    best = adjusted.max(axis=1)
    good = usable & (adjusted >= best[:, None] - ENOUGH)
    chosen = n_times - 1 - np.argmax(good[:, ::-1], axis=1)  # the furthest back is the most points
    rows = np.arange(n_subjects)
    slope = divided(cov[rows, chosen], np.where(good.any(axis=1), vx[rows, chosen], 0.0))
    return divided(np.full(n_subjects, -np.log(2.0)), slope)
