"""Boundaries of group-sequential tests: how much of alpha a look may spend, from which statistic on it stops,
and how probable success still is.

Statistics of looks at information I_1 < I_2 < ... are jointly normal, each with variance 1, and sqrt(I) Z has
independent increments. The density of Z at a look in trials that have not stopped before is

    f_k(z) = integral of f_(k-1)(u) phi((z sqrt(I_k) - u sqrt(I_(k-1))) / sqrt(d)) sqrt(I_k / d) du,

d = I_k - I_(k-1), over the u between the boundaries of the look before (Armitage, McPherson & Rowe, J R Stat
Soc A 1969;132:235; Jennison & Turnbull, Group Sequential Methods, 2000, chapter 19). It is carried on the
nodes of Gauss and Legendre.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FARTHEST = 8.5
"""No boundary is beyond: so large a statistic has a probability of 2e-17."""
LEAST_ALPHA = 1e-15
"""A look that may spend less has no boundary."""
MOST_NODES = 2048


def _obrien_fleming(alpha: float, share: float) -> float:
    from scipy.special import ndtr, ndtri

    return float(2.0 * ndtr(ndtri(alpha / 2.0) / math.sqrt(share)))


def _pocock(alpha: float, share: float) -> float:
    return alpha * math.log1p((math.e - 1.0) * share)


SPENDING: dict[str, Callable[[float, float], float]] = {"obrien_fleming": _obrien_fleming, "pocock": _pocock}
"""One-sided alpha that is spent when this share of the information is there, above 0 and up to 1, so that
boundaries are like those of O'Brien & Fleming or of Pocock (Lan & DeMets, Biometrika 1983;70:659)."""


def spent(spending: str, alpha: float, share: float) -> float:
    """Of a two-sided alpha, half of it on either side, what is spent by a share of the planned information;
    nothing before the end with ``spending`` ""."""
    if share >= 1.0:
        return alpha
    return 2.0 * SPENDING[spending](alpha / 2.0, share) if spending and share > 0.0 else 0.0


class _GoingOn(NamedTuple):
    """Trials that go on after a look: nodes of the statistic, and how many of all trials each stands for."""

    z: Floats
    mass: Floats


@functools.lru_cache(maxsize=20_000)
def boundary(information: tuple[float, ...], alphas: tuple[float, ...]) -> float:
    """The two-sided boundary of the last look: a trial stops with abs(Z) from there on; inf where nothing is
    left to spend.

    information : of each look so far, ascending, in any unit; alphas : spent by then in all, two-sided.
    """
    from scipy.optimize import brentq

    rise = alphas[-1] - (alphas[-2] if len(alphas) > 1 else 0.0)
    if rise < LEAST_ALPHA:
        return math.inf
    before = _before(information, alphas)
    now, apart, shift = _step(information, before.z)

    def beyond(limit: float) -> float:
        from scipy.special import ndtr

        ends = -limit * math.sqrt(now)
        return float(before.mass @ (ndtr((ends - shift) / apart) + ndtr((ends + shift) / apart))) - rise

    if beyond(0.0) <= 0.0:  # all who go on stop, up to rounding
        return 0.0
    return float(brentq(beyond, 0.0, FARTHEST + 1.0, xtol=1e-10))


def _step(information: tuple[float, ...], z: Floats) -> tuple[float, float, Floats]:
    """Information of the last look, the SD of what it adds to sqrt(I) Z, and that of before at ``z``."""
    last = information[-2] if len(information) > 1 else 0.0
    return information[-1], math.sqrt(information[-1] - last), z * math.sqrt(last)


def _before(information: tuple[float, ...], alphas: tuple[float, ...]) -> _GoingOn:
    """Trials that come to the last look, on nodes that are closer than what the look adds is wide."""
    if len(information) == 1:
        return _GoingOn(np.zeros(1), np.ones(1))
    width = math.sqrt((information[-1] - information[-2]) / information[-2])
    needed = 64
    while needed < min(MOST_NODES, 10.0 * FARTHEST / width):
        needed *= 2
    return _going_on(information[:-1], alphas[:-1], needed)


@functools.lru_cache(maxsize=1_000)
def _going_on(information: tuple[float, ...], alphas: tuple[float, ...], nodes: int) -> _GoingOn:
    """After the last of these looks."""
    before = _before(information, alphas)
    now, apart, shift = _step(information, before.z)
    points, weights = _legendre(nodes)
    limit = min(boundary(information, alphas), FARTHEST)
    z = limit * points
    density = np.exp(-0.5 * ((z[:, None] * math.sqrt(now) - shift) / apart) ** 2) @ before.mass
    return _GoingOn(z, limit * weights * density * math.sqrt(now / (2.0 * math.pi)) / apart)


@functools.lru_cache(maxsize=8)
def _legendre(nodes: int) -> tuple[Floats, Floats]:
    found = np.polynomial.legendre.leggauss(nodes)
    return found[0], found[1]


def conditional_power(z: float, share: float, final: float) -> float:
    """How probable it is that the last statistic is above its boundary if the effect is the one seen so far
    (Lan & Wittes, Biometrics 1988;44:579); nan from the end on.

    z : so far, positive in favour; share : of the information at the end that is there; final : the boundary
    at the end.
    """
    from scipy.special import ndtr

    if not 0.0 < share < 1.0:
        return math.nan
    return float(ndtr((z / math.sqrt(share) - final) / math.sqrt(1.0 - share)))
