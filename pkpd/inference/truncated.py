"""Normal numbers moved into a part of their distribution: those of the patients of a stratum, of whom a
parameter lies in a range."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def ends_of(low: float, high: float, median: float, sd: float) -> tuple[float, float]:
    """A range of a log-normal parameter in normal numbers; where nothing is lower or higher, infinite."""
    below, above = (math.log(end / median) / sd if end > 0 else -math.inf for end in (low, high))
    return below, above


def truncated_normal(z: Array, low: ArrayLike, high: ArrayLike) -> tuple[Array, Array, Array]:
    """Phi^-1(Phi(low) + Phi(z) (Phi(high) - Phi(low))): standard normal numbers (K,) as numbers of the normal
    distribution between two ends (infinite: open), in the same order, and their derivatives (K,) by these.

    Inverse-transform sampling (Devroye 1986, Non-Uniform Random Variate Generation, sec. II.2), in the tail
    where nothing is lost to rounding.
    """
    from scipy.special import ndtr, ndtri

    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if np.isfinite(low) and low + high > 0:
        moved, by_high, by_low = truncated_normal(-z, -high, -low)
        return -moved, by_low, by_high
    share, below = ndtr(z), ndtr(low)
    moved = np.clip(ndtri(below + share * (ndtr(high) - below)), low, high)

    def slope(end: Array, part: Array) -> Array:
        return part * np.exp((moved**2 - end**2) / 2) if np.isfinite(end) else np.zeros_like(z)

    return moved, slope(low, 1 - share), slope(high, share)


def into_stratum(
    z: Array, place: int, ends: tuple[float, float], with_it: Array
) -> tuple[Array, tuple[Array, Array]]:
    """Normal numbers of subjects, (K, n), with those of one parameter between two ends and what is correlated
    with it moved accordingly; and the derivatives, (K,) both, of the moved numbers by the ends.

    with_it : (n,) correlations with this parameter, 1 with itself. Of numbers that are normal together the
    others are that much of it, and a rest that does not depend on it.
    """
    moved, by_low, by_high = truncated_normal(z[:, place], *ends)
    found = z + np.where(with_it == 0, 0.0, (moved - z[:, place])[:, None] * with_it)
    found[:, place] = moved
    return found, (by_low, by_high)
