"""Small pieces of statistics that several kinds of rows share. Arrays are (J, K): J arms of K patients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.terms import Statistic

Array = NDArray[np.float64]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
AS_GOOD_AS_NORMAL = 200
"""Degrees of freedom above which Student's t is taken for a normal distribution where its tail counts."""


def log_cdf(x: float) -> float:
    """log Phi(x), accurate in both tails."""
    from scipy.special import log_ndtr

    return float(log_ndtr(x))


def log_between(lower: float, upper: float, df: float) -> tuple[float, float, float]:
    """log P(lower < T < upper) of Student's t (infinite ``df``: of a standard normal), what it loses when
    both ends move down by one, and minus its second derivative by that."""
    if lower + upper > 0:  # in the lower tail nothing is lost to rounding
        value, slope, bend = log_between(-upper, -lower, df)
        return value, -slope, bend
    if math.isinf(df):
        top, bottom = log_cdf(upper), log_cdf(lower)
        value = top + math.log(-math.expm1(bottom - top))
    else:
        from scipy.special import stdtr

        value = math.log(max(float(stdtr(df, upper) - stdtr(df, lower)), 5e-324))
    ends = [math.exp(_log_density(x, df) - value) for x in (upper, lower)]
    falls = [x * ((df + 1) / (df + x * x) if math.isfinite(df) else 1.0) for x in (upper, lower)]
    slope = ends[0] - ends[1]
    return value, slope, ends[0] * falls[0] - ends[1] * falls[1] + slope * slope


def log_below(z: float, df: float) -> tuple[float, float]:
    """log P(T < z) of Student's t (of more than ``AS_GOOD_AS_NORMAL`` degrees of freedom: of a standard
    normal), accurate in both tails, and its derivative by z."""
    if df > AS_GOOD_AS_NORMAL:
        value = log_cdf(z)
        return value, math.exp(_log_density(z, math.inf) - value) if z > -35 else -z + 1 / -z
    from scipy.special import stdtr

    below = float(stdtr(df, z))
    if below > 1e-290:
        value = math.log1p(-float(stdtr(df, -z))) if z > 0 else math.log(below)
    else:  # the first terms of the incomplete beta function, which far out are all of it
        x = df / (df + z * z)
        ways = math.lgamma(df / 2) + math.lgamma(0.5) - math.lgamma((df + 1) / 2)
        value = df / 2 * math.log(x) - math.log(df) - ways + df / (2 * df + 4) * x
    return value, math.exp(_log_density(z, df) - value)


def _log_density(x: float, df: float) -> float:
    """Of Student's t."""
    if math.isinf(df):
        return -0.5 * x * x - _HALF_LOG_2PI
    scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return scale - (df + 1) / 2 * math.log1p(x * x / df)


def log_sd_moments(n: int) -> tuple[float, float]:
    """Bias and SD of log S around log sigma, S the sample SD of n normals: (psi(h) - log h)/2 and
    sqrt(psi'(h))/2, h = (n - 1)/2.

    To first order -1/(2 (n - 1)) and 1/sqrt(2 (n - 1)).
    """
    from scipy.special import digamma, polygamma

    h = (n - 1) / 2
    return float(digamma(h) - math.log(h)) / 2, math.sqrt(polygamma(1, h)) / 2


def degrees_of_log_sd(error: float) -> float:
    """Degrees of freedom of an SD of normals whose logarithm has this SD: the inverse of the second of
    ``log_sd_moments``, by Newton's method as in Smyth 2004, Stat Appl Genet Mol Biol 3:3, appendix.

    To first order 1/(2 error^2).
    """
    from scipy.special import polygamma

    wanted = 4 * error * error
    h = 0.5 + 1 / wanted
    for _ in range(20):  # monotone, and quadratic at its end
        found = float(polygamma(1, h))
        h += found * (1 - found / wanted) / float(polygamma(2, h))
    return 2 * h


@lru_cache(maxsize=64)
def harrell_davis(count: int, probability: float, copies: int = 1) -> Array:
    """Weights (count copies,) of the order statistics in the Harrell-Davis estimate of a quantile; of each
    there are several copies, ascending, which share its weight.

    The values are those of ``scipy.stats.mstats.hdquantiles`` to the last digits, which has no weights, of
    which gradients are made, and no copies, and with 200 samples takes 120 microseconds where a product with
    weights that are kept takes 4 (``scipy.stats.quantile``, since SciPy 1.16, 220).
    """
    from scipy.special import betainc

    a, b = (count + 1) * probability, (count + 1) * (1 - probability)
    weights = np.asarray(np.diff(betainc(a, b, np.linspace(0.0, 1.0, count * copies + 1))))
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=256)
def range_moments(n: int) -> tuple[float, float, float]:
    """(d2, d3, sd of the midrange) of n standard normals: mean and SD of the range, by quadrature over (min,
    max)."""
    from scipy.special import ndtr

    edges = np.linspace(-7.0, 7.0, 561)
    x = (edges[1:] + edges[:-1]) / 2
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    cdf = ndtr(x)
    gap = np.maximum(cdf[None, :] - cdf[:, None], 0.0)
    mass = gap ** (n - 2) * density[:, None] * density[None, :]
    mass = np.triu(mass, 1) + 0.5 * np.diag(np.diag(mass)) * (n == 2)
    mass /= mass.sum()
    width, middle = x[None, :] - x[:, None], (x[None, :] + x[:, None]) / 2
    d2 = float((mass * width).sum())
    d3 = math.sqrt(float((mass * width**2).sum()) - d2 * d2)
    return d2, d3, math.sqrt(float((mass * middle**2).sum()))


_FEW = 40
"""Patients up to whom the moments of an IQR are simulated: of more they are as good as those of many."""


@lru_cache(maxsize=_FEW + 1)
def log_iqr_moments(n: int) -> tuple[float, float]:
    """Mean and SD of the logarithm of the IQR of n standard normals, quartiles between order statistics as
    trials print them (Hyndman & Fan 1996, Am Stat 50:361, definition 7): of few by 20,000 trials, since it
    goes up and down with n modulo 4; of many log eta(n) - sd^2/2 [``iqr_width``] and 1.1664/sqrt(n)."""
    if n <= _FEW:
        x = np.random.default_rng(n).standard_normal((20_000, n))
        logs = np.log(np.subtract(*np.quantile(x, [0.75, 0.25], axis=1)))
        return float(logs.mean()), float(logs.std())
    sd = 1.1664 / math.sqrt(n)
    return math.log(iqr_width(n)) - sd * sd / 2, sd


def iqr_width(n: int) -> float:
    """Mean width eta(n) of the IQR of n standard normals (Wan et al. 2014, BMC Med Res Methodol 14:135)."""
    from scipy.special import ndtri

    return 2 * float(ndtri((0.75 * n - 0.125) / (n + 0.25)))


def quantile(s: Array, probability: float) -> tuple[float, Array]:
    """The Harrell-Davis estimate of a quantile of all samples, and its derivative by each."""
    flat = s.ravel()
    order = np.argsort(flat, kind="stable")
    weights = np.empty_like(flat)
    weights[order] = harrell_davis(flat.size, probability)
    return float(weights @ flat), weights.reshape(s.shape)


_ERRORS = 9
"""Quantiles of a patient's measurement errors that stand for all of them."""


@lru_cache(maxsize=1)
def _normal_errors() -> Array:
    """(_ERRORS,) of variance 1."""
    from scipy.special import ndtri

    z = ndtri((np.arange(_ERRORS) + 0.5) / _ERRORS)
    return np.asarray(z / math.sqrt(float((z**2).mean())))


def noisy_quantile(s: Array, v: Array, probability: float) -> Statistic:
    """The Harrell-Davis estimate of a quantile of sample + noise; without noise that of ``quantile``."""
    size, e = s.size, _normal_errors()
    sd = np.sqrt(v.ravel())
    seen = (s.ravel()[:, None] + sd[:, None] * e).ravel()
    weights = np.empty_like(seen)
    # the weights of so many patients, shared out among their errors
    weights[np.argsort(seen, kind="stable")] = harrell_davis(size, probability, e.size)
    value, parts = float(weights @ seen), weights.reshape(size, e.size)
    by_v = np.divide(parts @ e, 2 * sd, out=np.zeros(size), where=sd > 0)
    return Statistic(value, parts.sum(axis=1).reshape(s.shape), by_v.reshape(s.shape))


@dataclass(frozen=True, slots=True)
class SmoothedPatients:
    """Patients with their noise on one side of a limit, smoothed by a normal kernel of variance c^2 V after
    being drawn in so that the whole keeps its mean and variance V (Silverman 1986, Density Estimation, sec.
    6.4.1). ``kernel_beyond`` makes one.

    Attributes
    ----------
    middle, width : (K,) mean and SD of each patient.
    u : (K,) how far it is beyond the limit, in SDs.
    probability, density : (K,) Phi(u) and phi(u).
    direction : 1 above the limit, -1 below.
    """

    middle: Array
    width: Array
    u: Array
    probability: Array
    density: Array
    direction: float
    shrink: float
    spread_s: Array
    """derivative of every width^2 by the samples"""

    @property
    def by_middle(self) -> Array:
        """Derivative of the probabilities."""
        return self.direction * self.density / self.width

    @property
    def by_variance(self) -> Array:
        """The same by width^2."""
        return -self.density * self.u / (2 * self.width**2)

    def by_samples(self, by_middle: Array, by_variance: Array) -> tuple[Array, Array]:
        """Derivatives by samples and noise variances, (K,) both, of what has these by ``middle`` and
        ``width``^2."""
        drawn_in = self.shrink * by_middle + (1 - self.shrink) * by_middle.mean()
        return drawn_in + by_variance.sum() * self.spread_s, by_variance


def kernel_beyond(s: Array, v: Array, limit: float, direction: float = 1.0) -> SmoothedPatients:
    """Of samples and their noise variances, (K,), at the limit or above, or of a negative limit at it or
    below; ``direction`` -1: on the other side."""
    from scipy.special import ndtr

    size = s.size
    direction = -direction if limit < 0 else direction
    c2 = (1.06 * size**-0.2) ** 2 if size > 1 else 0.0
    shrink = 1 / math.sqrt(1 + c2)
    m = float(s.mean())
    centred = s - m
    variance = float((centred**2).mean())
    tiny = (1e-4 * (abs(limit) + abs(m)) + 1e-12) ** 2
    middle, width = m + shrink * centred, np.sqrt(v + c2 * shrink**2 * variance + tiny)
    u = direction * (middle - limit) / width
    density = np.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)
    spread_s = c2 * shrink**2 * 2 * centred / size
    return SmoothedPatients(middle, width, u, ndtr(u), density, direction, shrink, spread_s)


def share_beyond(s: Array, v: Array, limit: float) -> Statistic:
    """P(sample + noise >= limit), or <= a negative limit, with derivatives by s and v."""
    kernel = kernel_beyond(s.ravel(), v.ravel(), limit)
    by_s, by_v = kernel.by_samples(kernel.by_middle / s.size, kernel.by_variance / s.size)
    return Statistic(float(kernel.probability.mean()), by_s.reshape(s.shape), by_v.reshape(s.shape))


def log_samples(s: Array, v: Array, reference: float) -> tuple[Array, Array, Array, Array, Array]:
    """log s and the noise variance of log s with their derivatives; samples below 1e-9 of a reference stay
    there."""
    floor = 1e-9 * abs(reference)
    above = s > floor
    safe = np.where(above, s, floor)
    return np.log(safe), v / safe**2, above / safe, -2 * v / safe**3 * above, 1 / safe**2


def wilson(k: float, n: int) -> tuple[float, float]:
    """Wilson 95% interval of a share (Wilson 1927, J Am Stat Assoc 22:209)."""
    p, z2 = k / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)
