"""The distribution in which a number is expected before it is reported, and how a number does against it.

A printed number y of a row whose location is m at the estimates is, on the scale where its error counts (its
own, or that of logarithms)

    y = m + delta - SE u,      delta ~ N(0, variance of what is not known of m),      g(u) ~ N(0, 1)

with the score g of the row's residual u (``summary.sampling``; without one the error is normal). Its
distribution is the convolution of both, F(y) = E Phi(-g((m + delta - y)/SE)). Of what cannot be negative,
m + delta is m exp(delta/m). A number of patients out of n is binomial with a share whose logit is normal.
Proper scores are those of Gneiting & Raftery 2007, J Am Stat Assoc 102:359.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.sampling import Score

Array = NDArray[np.float64]

LEVELS = (0.5, 0.9, 0.95)
"""Of the central intervals that are told."""
_WIDE, _POINTS = 9.0, 1201
"""How far a grid goes, in SDs, and its points."""
_NODES = np.linspace(-5.0, 5.0, 201)
"""Normal quantiles over which what is not known is averaged."""


@dataclass(frozen=True)
class Located:
    """Of a location.

    Attributes
    ----------
    middle : m on its scale.
    unknown : variance of delta.
    error : SE.
    score : g (None: u is normal).
    on_log : whether the scale is that of logarithms.
    positive : m cannot be negative.
    """

    middle: float
    unknown: float
    error: float
    score: Score | None = None
    on_log: bool = False
    positive: bool = False

    @cached_property
    def sd(self) -> float:
        """On its scale, by the variances alone."""
        return math.hypot(math.sqrt(self.unknown), self.error)

    @cached_property
    def _grid(self) -> tuple[Array, Array]:
        """Places on the scale, and F there."""
        # a t with few degrees of freedom reaches further than a normal distribution
        reach = _WIDE * self.sd if self.score is None else max(_WIDE * self.sd, 2 * self._span())
        places = self.middle + np.linspace(-reach, reach, _POINTS)
        if self.positive:  # further to the right than a normal distribution
            places = np.unique(np.concatenate([places, self._locations() + reach / 2]))
        return places, self._cdf(places)

    def _locations(self) -> Array:
        """m + delta at the nodes."""
        delta = math.sqrt(self.unknown) * _NODES
        return self.middle * np.exp(delta / self.middle) if self.positive else self.middle + delta

    def _span(self) -> float:
        assert self.score is not None
        return self.error * max(abs(knot) for knot in self.score.knots)

    def _cdf(self, places: Array) -> Array:
        from scipy.special import ndtr

        weights = np.exp(-0.5 * _NODES**2)
        weights /= weights.sum()
        u = (self._locations()[:, None] - places) / self.error
        return np.asarray(weights @ ndtr(-u if self.score is None else -self.score.at(u)))

    def _on_scale(self, y: float) -> float:
        return (math.log(y) if y > 0 else -math.inf) if self.on_log else y

    def _back(self, place: float) -> float:
        return math.exp(place) if self.on_log else place

    def cdf(self, y: float) -> float:
        """F(y): uniform over numbers that come as expected."""
        place = self._on_scale(y)
        return float(self._cdf(np.array([place]))[0]) if math.isfinite(place) else 0.0

    def quantile(self, p: float) -> float:
        """Where F is p."""
        places, f = self._grid
        rising = np.concatenate([[True], np.diff(f) > 0])
        return self._back(float(np.interp(p, f[rising], places[rising])))

    def interval(self, level: float) -> tuple[float, float]:
        """The central one."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def log_density(self, y: float) -> float:
        """Logarithmic score, in the unit of y."""
        place, step = self._on_scale(y), 1e-3 * self.sd
        if not math.isfinite(place):
            return -math.inf
        low, high = self._cdf(np.array([place - step, place + step]))
        density = max(float(high - low), 1e-300) / (2 * step)
        return math.log(density) - (place if self.on_log else 0.0)

    def crps(self, y: float) -> float:
        """Continuous ranked probability score, the integral of (F(x) - 1{x >= y})^2, in the unit of y."""
        places, f = self._grid
        x = np.exp(places) if self.on_log else places
        at = self.cdf(y)
        below, above = x < y, x > y
        left = np.concatenate([x[below], [y]]), np.concatenate([f[below], [at]])
        right = np.concatenate([[y], x[above]]), np.concatenate([[at], f[above]])
        return float(np.trapezoid(left[1] ** 2, left[0]) + np.trapezoid((1 - right[1]) ** 2, right[0]))


@dataclass(frozen=True)
class Counted:
    """Of a number of patients out of n.

    Attributes
    ----------
    share : of the patients, as predicted.
    unknown : variance of its logit.
    n : patients.
    scale : the number that is printed of one patient: 1 of a count, 1/n of a fraction.
    """

    share: float
    unknown: float
    n: int
    scale: float = 1.0

    @cached_property
    def _mass(self) -> Array:
        """Probability of 0 to n."""
        from scipy.special import expit, logit
        from scipy.stats import binom

        share = min(max(self.share, 1e-9), 1 - 1e-9)
        weights = np.exp(-0.5 * _NODES**2)
        shares = expit(logit(share) + math.sqrt(self.unknown) * _NODES)
        mass = binom.pmf(np.arange(self.n + 1), self.n, shares[:, None])
        return np.asarray(weights @ mass / weights.sum())

    @property
    def sd(self) -> float:
        k = np.arange(self.n + 1)
        mean = float(self._mass @ k)
        return self.scale * math.sqrt(float(self._mass @ (k - mean) ** 2))

    def _patients(self, y: float) -> int:
        return min(max(round(y / self.scale), 0), self.n)

    def cdf(self, y: float) -> float:
        """Probability of fewer, and half of that of as many (mid-p): uniform on average."""
        k = self._patients(y)
        return float(self._mass[:k].sum() + self._mass[k] / 2)

    def interval(self, level: float) -> tuple[float, float]:
        """The smallest central one that holds at least the level."""
        below = np.cumsum(self._mass)
        low, high = np.searchsorted(below, [(1 - level) / 2, (1 + level) / 2 - 1e-12])
        return self.scale * int(low), self.scale * min(int(high), self.n)

    def log_density(self, y: float) -> float:
        """Of this number of patients."""
        return math.log(max(float(self._mass[self._patients(y)]), 1e-300))

    def crps(self, y: float) -> float:
        """The same sum over numbers of patients."""
        k = np.arange(self.n + 1)
        gaps = np.cumsum(self._mass) - (k >= self._patients(y))
        return self.scale * float(gaps[:-1] @ gaps[:-1])


@dataclass(frozen=True)
class BetweenEnds:
    """Of a number of which only is reported that it lies between two ends, one of them infinite where nothing
    but a bound is reported."""

    located: Located
    low: float
    high: float

    @property
    def sd(self) -> float:
        return self.located.sd

    def _mass(self, low: float, high: float) -> float:
        """Probability of what lies between ``low`` and ``high`` and is reported as this."""
        low, high = max(low, self.low), min(high, self.high)
        if low >= high:
            return 0.0
        below = 0.0 if low == -math.inf else self.located.cdf(low)
        return (1.0 if high == math.inf else self.located.cdf(high)) - below

    @property
    def probability(self) -> float:
        """That what is reported is kept."""
        return self._mass(-math.inf, math.inf)

    def cdf(self, y: float) -> float:
        """Probability of less than what is reported, and half of that of the same (mid-p): uniform on
        average; nan of a bound."""
        if math.isinf(self.low) or math.isinf(self.high):
            return math.nan
        return self.located.cdf(self.low) + self.probability / 2

    def interval(self, level: float) -> tuple[float, float]:
        """Of the number."""
        return self.located.interval(level)

    def share(self, level: float) -> float:
        """Probability, given what is reported, that the number lies in its interval: of numbers that come as
        predicted it is the level on average, however wide the ends."""
        return self._mass(*self.interval(level)) / max(self.probability, 1e-300)

    def log_density(self, y: float) -> float:
        return math.log(max(self.probability, 1e-300))

    def crps(self, y: float) -> float:
        """What lies between two ends is no number: nan."""
        return math.nan


Predictive = Located | Counted | BetweenEnds
