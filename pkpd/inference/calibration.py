"""What is usual of numbers that come as predicted: their order statistics, and how many lie within."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def order_band(count: int, level: float = 0.95) -> tuple[Array, Array, Array]:
    """Of the i-th smallest of ``count`` independent uniform numbers the mean and the central interval,
    (count,) each: a beta distribution (David & Nagaraja 2003, Order Statistics, sec. 2.3)."""
    from scipy.stats import beta

    ranks = np.arange(1, count + 1)
    low, high = beta.ppf([[(1 - level) / 2], [(1 + level) / 2]], ranks, count + 1 - ranks)
    return ranks / (count + 1), low, high


def usual(count: int, level: float, of: float = 0.95) -> tuple[int, int]:
    """Between how many of ``count`` independent numbers an interval of this level holds, in a share ``of``
    such sets."""
    from scipy.stats import binom

    low, high = binom.interval(of, count, level)
    return int(low), int(high)


def calibration(pits: Sequence[float]) -> dict[str, Any]:
    """What the figure of a calibration takes, of the finite ones of probabilities of a smaller number:
    ``expected``, ``found``, ``low``, ``high`` (n,) of their order, and by ``level`` which share the central
    interval holds, ``held``, and which is usual, ``held_low`` and ``held_high``."""
    found = np.sort([pit for pit in pits if np.isfinite(pit)])
    expected, low, high = order_band(found.size)
    levels = np.linspace(0.0, 1.0, 101)
    bands = np.array([usual(found.size, level) if 0 < level < 1 else (0, 0) for level in levels], dtype=float)
    bands[-1] = found.size
    return {
        "expected": expected,
        "found": found,
        "low": low,
        "high": high,
        "level": levels,
        "held": np.array([np.mean(np.abs(2 * found - 1) <= level + 1e-12) for level in levels]),
        "held_low": bands[:, 0] / found.size,
        "held_high": bands[:, 1] / found.size,
    }
