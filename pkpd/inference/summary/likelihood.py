"""Predicted patients + a reported summary -> signed deviance residuals, with exact gradients. Knows no ODE.

Every row contributes residuals r_i such that

    -log L = 1/2 sum_i r_i^2 + 1/2 constant,      constant independent of every parameter,

so that Gauss-Newton applies and nothing is lost: sum r^2 is the objective function value (OFV), sum r^2 +
constant is
-2LL. A sign is that of predicted minus observed. An arm is predicted by K quasi-random patients; a row looks
  at their

    sample   s_k   the output reduced over time (at, max, min, mean, auc, tmax, half_life) and taken relative
                   to the same patient at time 0 (value, change, percent_change, fold)
    noise    v_k   variance of s_k by within-patient and assay error of single measurements (``Noise``)

With m = mean(s), V = mean((s - m)^2) + mean(v) (moments over K, the points being balanced), SE the reported
or implied standard error and Phi the normal distribution function, the kinds are, chosen by the row's own
columns (the table ``KINDS`` shows it):

    mean            (m - value)/SE, SE from SD/sqrt(n), SE, CI95/1.96, IQR/1.349/sqrt(n), CV value/sqrt(n), or
                    range/d2(n)/sqrt(n); without a spread SE = declared relative error * |value|. An SD
                    without n is that of one measured point (in vitro), SE = SD.
    + spread        (log sqrt(V) - log SD + bias)/tau(n) if an SD, IQR, CV or range of n patients was printed:
                    the spread between patients is information. bias and tau are the exact ones of log S for
                    normal data, about -1/(2(n-1)) and 1/sqrt(2(n-1)) [1]; a range of n gives SD = width/d2(n)
                    with tau = d3(n)/d2(n), an IQR SD = width/eta(n) [2] with tau = 1.1664/sqrt(n), both with
                    bias -tau^2/2. Like stands against like, so that skewed data are not taken for wide or
                    narrow ones: against an IQR the Harrell-Davis quartiles of s [3], against a range above 0
                        of a value or fold that lies more evenly around the printed value on the log scale the
                        SD of log s, against the CV beside a median sqrt(V)/m.
    median          (q - value)/SE, q the Harrell-Davis median of s [3], SE = 1.2533 SD/sqrt(n) [1]; + the
                    spread.
    geometric_mean  also for a "typical" value g: (mean(log s) - log g)/SE_log, SE_log = SD_log/sqrt(n), SE/g,
                    or from the CI; + the spread of log s. SD_log follows from what was printed as it does for
                    a log-normal sample: from a CV sqrt(log(1 + CV^2)); from an SD of the numbers themselves
                    sqrt(log((1 + sqrt(1 + 4 (SD/g)^2))/2)); from the ends of an IQR or range
                    log(upper/lower)/eta(n) or /d2(n); from their width alone 2 asinh(width/(2 g)) in place of
                    that logarithm, with tau as wide as the unknown middle makes it.
    lower_bound     D = -2 log Phi((m - value)/SE), r = -sqrt(D): nothing is lost by being above. upper_bound
                    the mirror image. This is the likelihood of an interval-censored mean (M3 method of [4]).
    range           of n patients, lower..upper: midrange and log width of the order statistics of n normals,
                    with their exact means and variances (d2, d3 and the variance of the midrange, by
                    quadrature [2]); of a value or fold on the log scale if lower > 0.
    dose_for_effect the dose at which the predicted mean, interpolated over log dose by a cubic Hermite
                    through the simulated doses, reaches the effect; (dose - value)/SE, on the log scale if
                    the interval is positive and nearer to symmetric there. Outside the simulated doses it
                    goes on linearly.
    count, fraction binomial deviance of k out of n [5] against p = mean(s), or with a responder limit p = P(s
                    + noise >= limit) by a variance-preserving normal kernel over the patients. A negative
                    limit asks for s <= limit.
    ratio           (log m - log value)/SE_log, SE_log from the CI on the log scale: hazard ratios, folds with
                    CI.

[1] Kendall & Stuart, The Advanced Theory of Statistics I, ch. 10 (standard errors).  [2] Wan et al. 2014, BMC
Med Res Methodol 14:135 (SD from a range); Tippett 1925, Biometrika 17:364.  [3] Harrell & Davis 1982,
Biometrika 69:635.  [4] Beal 2001, J Pharmacokinet Pharmacodyn 28:481.  [5] McCullagh & Nelder 1989,
Generalized Linear Models, sec. 4.4. For mean and SD of arms as data see Ahn & French 2010, J Pharmacokinet
Pharmacodyn 37:179 (model-based meta-analysis).

Letters: K patients, J arms of the row (1, or the doses of a dose_for_effect), m residuals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import DataError
from pkpd.core.normal import Z95
from pkpd.inference.summary.data import DOSE_GRID, Row

Array = NDArray[np.float64]

_IQR = 2 * NormalDist().inv_cdf(0.75)
_LOG_2PI = math.log(2 * math.pi)
_SPREAD_FLOOR = 0.02
"""Share of the reported SD added in quadrature to both sides of a spread residual: keeps the logarithm of a
predicted SD of zero (placebo, no noise) finite."""
_RATE_FLOOR = 1e-3
"""Smallest decline over a half_life window, in natural log units per window, that is told from none."""


# --- from output profiles to one number a patient


@dataclass(frozen=True, slots=True)
class Noise:
    """Error of one measurement of an output: SD = sqrt((proportional * y)^2 + additive^2)."""

    proportional: float = 0.0
    additive: float = 0.0


@dataclass(frozen=True, slots=True)
class Samples:
    """One number per patient, its noise variance, and their derivatives.

    ``s``, ``v`` (K,); ``s_y``, ``v_y`` (K, 1 or 2) by what was read; ``s_b``, ``v_b`` (K,) by the output at
    time 0; ``v_noise`` (K, 2) by Noise.proportional and Noise.additive.
    """

    s: Array
    v: Array
    s_y: Array
    v_y: Array
    s_b: Array
    v_b: Array
    v_noise: Array


def reduce(row: Row, y: Array) -> tuple[Array, Array]:
    """What a row makes of its two numbers ``y`` (K, 2) that were read off each course
    (``pkpd.inference.summary.data.look``), or of the output at its time, (K, 1): values (K,) and weights d
    value/d y.

    tmax counts from the start of the window; the half-life comes from the straight line that fits the
    logarithm of the output over all of the window.
    """
    weights = np.zeros_like(y)
    if row.reducer == "tmax":
        weights[:, 1] = 1.0
        return y[:, 1] - row.start, weights
    if row.reducer == "half_life":
        least = _RATE_FLOOR / (row.stop - row.start)
        # smooth positive part: a profile that rises has a very long half-life, not a negative one
        rate = y[:, 0]
        root = np.sqrt(rate * rate + 4 * least * least)
        positive = (rate + root) / 2
        weights[:, 0] = -math.log(2) / positive**2 * (1 + rate / root) / 2
        return math.log(2) / positive, weights
    weights[:, 0] = 1.0 / (row.stop - row.start) if row.reducer == "mean" else 1.0
    return y[:, 0] * weights[:, 0], weights


def sample(row: Row, y: Array, baseline: Array | None, noise: Noise) -> Samples:
    """What a row looks at in every patient.

    ``y`` as in ``reduce``; ``baseline`` (K,) the output at time 0, needed by every measure but value; a
    half-life of a change was read above it.
    """
    patients = y.shape[0]
    none = np.zeros(patients)
    timing = row.reducer in ("tmax", "half_life")
    if row.measure == "value" or baseline is None:
        level, weights = reduce(row, y)
        if timing:
            return Samples(level, none, weights, np.zeros_like(y), none, none, np.zeros((patients, 2)))
        width2 = _width(row) ** 2
        v = (noise.proportional * level) ** 2 + noise.additive**2 * width2
        return Samples(
            level,
            v,
            weights,
            (2 * noise.proportional**2 * level)[:, None] * weights,
            none,
            none,
            np.stack(
                [2 * noise.proportional * level**2, np.full(patients, 2 * noise.additive * width2)], axis=1
            ),
        )
    if timing:
        level, weights = reduce(row, y)
        by_baseline = weights[:, 0] * y[:, 1] if row.reducer == "half_life" else none
        return Samples(level, none, weights, np.zeros_like(y), by_baseline, none, np.zeros((patients, 2)))
    level, weights = reduce(row, y)
    p2, a2 = noise.proportional**2, noise.additive**2
    if row.measure == "change":
        width = _width(row)
        base = width * baseline
        return Samples(
            level - base,
            p2 * (level**2 + base**2) + 2 * a2 * width**2,
            weights,
            (2 * p2 * level)[:, None] * weights,
            np.full(patients, -width),
            2 * p2 * base * width,
            np.stack(
                [
                    2 * noise.proportional * (level**2 + base**2),
                    np.full(patients, 4 * noise.additive * width**2),
                ],
                axis=1,
            ),
        )
    scale, shift = (100.0, -100.0) if row.measure == "percent_change" else (1.0, 0.0)
    fold = level / baseline
    s2 = scale * scale
    v = s2 * (2 * p2 * fold**2 + a2 * (1 + fold**2) / baseline**2)
    v_fold = s2 * (4 * p2 * fold + 2 * a2 * fold / baseline**2)
    v_base = -2 * s2 * a2 * (1 + fold**2) / baseline**3
    by_noise = np.stack(
        [4 * s2 * noise.proportional * fold**2, 2 * s2 * noise.additive * (1 + fold**2) / baseline**2], axis=1
    )
    return Samples(
        scale * fold + shift,
        v,
        (scale / baseline)[:, None] * weights,
        (v_fold / baseline)[:, None] * weights,
        -scale * fold / baseline,
        -v_fold * fold / baseline + v_base,
        by_noise,
    )


def _width(row: Row) -> float:
    return row.stop - row.start if row.reducer == "auc" else 1.0


# --- small pieces of statistics


def log_cdf(x: float) -> float:
    """log Phi(x), accurate in both tails."""
    from scipy.special import log_ndtr

    return float(log_ndtr(x))


def log_sd_moments(n: int) -> tuple[float, float]:
    """Bias and SD of log S around log sigma, S the sample SD of n normals: (psi(h) - log h)/2 and
    sqrt(psi'(h))/2, h = (n - 1)/2.

    To first order -1/(2 (n - 1)) and 1/sqrt(2 (n - 1)).
    """
    from scipy.special import digamma, polygamma

    h = (n - 1) / 2
    return float(digamma(h) - math.log(h)) / 2, math.sqrt(polygamma(1, h)) / 2


@lru_cache(maxsize=64)
def harrell_davis(count: int, probability: float) -> Array:
    """Weights (count,) of the order statistics in the Harrell-Davis estimate of a quantile."""
    from scipy.special import betainc

    a, b = (count + 1) * probability, (count + 1) * (1 - probability)
    weights = np.asarray(np.diff(betainc(a, b, np.linspace(0.0, 1.0, count + 1))))
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


# --- one row's likelihood


@dataclass(frozen=True, slots=True)
class Term:
    """A row's residuals (m,) and their derivatives by samples and noise variances, both (m, J, K).

    ``predicted`` is what stands against the row's value, on the scale of the row, with its derivatives
    ``predicted_s`` and ``predicted_v`` (J, K).
    ``constant`` makes -2LL out of the sum of squares; ``labels`` says what each residual is about.
    """

    residuals: Array
    by_s: Array
    by_v: Array
    predicted: float
    predicted_s: Array
    predicted_v: Array
    constant: float
    labels: tuple[str, ...]


class _Builder:
    """Collects a row's residuals."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.residuals: list[float] = []
        self.by_s: list[Array] = []
        self.by_v: list[Array] = []
        self.labels: list[str] = []
        self.constant = 0.0

    def add(
        self, label: str, r: float, by_s: Array, by_v: Array | None = None, *, sigma: float | None = None
    ) -> None:
        """``sigma``: the SD of a normal residual, for the constant log(2 pi sigma^2)."""
        self.labels.append(label)
        self.residuals.append(r)
        self.by_s.append(np.reshape(by_s, self.shape))
        self.by_v.append(np.zeros(self.shape) if by_v is None else np.reshape(by_v, self.shape))
        if sigma is not None:
            self.constant += _LOG_2PI + 2 * math.log(sigma)

    def term(self, predicted: float, predicted_s: Array, predicted_v: Array | None = None) -> Term:
        return Term(
            np.array(self.residuals),
            np.stack(self.by_s),
            np.stack(self.by_v),
            predicted,
            np.reshape(predicted_s, self.shape),
            np.zeros(self.shape) if predicted_v is None else np.reshape(predicted_v, self.shape),
            self.constant,
            tuple(self.labels),
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """A row with what follows from its columns alone.

    ``se`` is the standard error of its location (on the log scale where the kind says so), ``sd`` the spread
    between patients without small-sample bias (nan if not printed; of logarithms for a geometric_mean and for
    a skewed range, over the mean for the CV beside a median) and ``sd_error`` the standard error of log(sd).
    ``assumed`` tells that ``se`` is the declared relative error and not printed.
    """

    row: Row
    se: float
    sd: float
    sd_error: float
    assumed: bool
    spread_label: str


def measured(row: Row, relative_error: float = 0.3, *, spread: bool = True) -> Measured:
    """Derive standard errors from a row's columns (formulas: the module's docstring).

    ``relative_error`` is used for a mean, median, geometric_mean or bound without a spread; without
    ``spread`` the spread between patients is no information of its own. Raises ``DataError`` if there is
    nothing to derive an error from.
    """
    kind, n = row.spread_type, row.n
    on_log = row.statistic in ("geometric_mean", "ratio")
    root = math.sqrt(n) if n else 1.0
    median_factor = math.sqrt(math.pi / 2) if row.statistic == "median" else 1.0
    width = row.upper - row.lower if math.isfinite(row.lower) else row.spread
    se = sd = sd_error = math.nan
    label = ""
    if kind == "none" or row.statistic in ("count", "fraction", "range"):
        pass
    elif kind == "SE":
        se = row.spread / row.value if on_log else row.spread
    elif kind == "CI95":
        half = width / 2 if math.isfinite(row.lower) else row.spread
        se = (_log_width(row, 2 * half) / 2 if on_log else half) / Z95
    else:
        printed = _printed_log_sd(row, width) if on_log else _printed_sd(row, width)
        se = median_factor * printed.raw / root
        if n is not None and n > 1 and spread:
            sd, sd_error, label = printed.sd, printed.error, printed.label
    if row.statistic == "range" and spread:
        label = "log range"
    assumed = math.isnan(se) and row.statistic not in ("count", "fraction", "range")
    if assumed:
        se = relative_error * (1.0 if on_log else abs(row.value))
        if not se > 0:
            raise DataError(
                f'line {row.line} (row "{row.id}"), column "spread": a {row.statistic} of 0 without '
                "a spread has no weight; "
                "give an SD, SE or CI95"
            )
    return Measured(row, se, sd, sd_error, assumed, label)


@dataclass(frozen=True, slots=True)
class _Printed:
    """What a printed spread tells: ``raw``, the SD as it is used for a standard error; ``sd``, that against
    which the spread of the samples stands, free of small-sample bias of its logarithm; ``error``, the
    standard error of that logarithm."""

    raw: float
    sd: float
    error: float
    label: str


def _ends_above_zero(row: Row) -> bool:
    """Whether a row's interval is one of numbers that are positive by nature, so that their logarithms make
    sense."""
    return row.measure in ("value", "fold") and row.lower > 0


def _skewed_range(row: Row) -> bool:
    """Whether the range beside a mean or median is that of logarithms: positive numbers, the value nearer to
    its middle there."""
    return _ends_above_zero(row) and _nearer_on_logs(row)


def _nearer_on_logs(row: Row) -> bool:
    """Whether the ends of an interval above 0 are nearer to symmetric around the value on the log scale."""
    natural = abs(row.upper + row.lower - 2 * row.value) / (row.upper - row.lower)
    logarithmic = abs(math.log(row.upper * row.lower / row.value**2)) / math.log(row.upper / row.lower)
    return logarithmic < natural


def _printed_sd(row: Row, width: float) -> _Printed:
    n = row.n or 0
    if row.spread_type in ("SD", "CV"):
        sd = row.spread if row.spread_type == "SD" else row.spread / 100 * row.value
        bias, error = log_sd_moments(n) if n > 1 else (0.0, math.nan)
        if (
            row.spread_type == "CV" and row.statistic == "median"
        ):  # the CV is that of the mean, which was not printed
            return _Printed(sd, row.spread / 100 * math.exp(-bias), error, "log CV")
        return _Printed(sd, sd * math.exp(-bias), error, "log SD")
    if row.spread_type == "IQR":
        if n < 2:
            return _Printed(width / _IQR, width / _IQR, math.nan, "log IQR")
        sd, error = width / _eta(n), 1.1664 / math.sqrt(n)
        return _Printed(sd, sd * math.exp(error**2 / 2), error, "log IQR")
    d2, d3, _ = range_moments(n)
    if _skewed_range(row):
        sd = math.log(row.upper / row.lower) / d2
        return _Printed(width / d2, sd * math.exp((d3 / d2) ** 2 / 2), d3 / d2, "log range")
    return _Printed(width / d2, width / d2 * math.exp((d3 / d2) ** 2 / 2), d3 / d2, "log range")


def _printed_log_sd(row: Row, width: float) -> _Printed:
    """The same of logarithms, beside a geometric mean."""
    n, relative = row.n or 0, row.spread / row.value
    if row.spread_type in ("SD", "CV"):
        if row.spread_type == "CV":
            sd = math.sqrt(math.log1p((row.spread / 100) ** 2))
        else:
            sd = math.sqrt(math.log((1 + math.sqrt(1 + 4 * relative**2)) / 2))
        bias, error = log_sd_moments(n) if n > 1 else (0.0, math.nan)
        return _Printed(sd, sd * math.exp(-bias), error, "log SD")
    log_width = _log_width(row, width)
    # of a width alone the middle is not known: how far it strays from the mean counts, the more the wider
    # (sinh) the interval is
    blind = 0.0 if row.lower > 0 else math.tanh(log_width / 2)
    if row.spread_type == "IQR":
        if n < 2:
            return _Printed(log_width / _IQR, log_width / _IQR, math.nan, "log IQR")
        sd, error = log_width / _eta(n), math.hypot(1.1664, 0.7229 * blind) / math.sqrt(n)
        return _Printed(sd, sd * math.exp(error**2 / 2), error, "log IQR")
    d2, d3, middle = range_moments(n)
    sd = log_width / d2
    error = math.hypot(d3, 2 * blind * math.sqrt(max(0.0, middle**2 - 1 / n))) / d2
    return _Printed(sd, sd * math.exp(error**2 / 2), error, "log range")


def _eta(n: int) -> float:
    """Width of the IQR of n standard normals (Wan et al. 2014)."""
    from scipy.special import ndtri

    return 2 * float(ndtri((0.75 * n - 0.125) / (n + 0.25)))


def _log_width(row: Row, width: float) -> float:
    """Width of an interval of logarithms: by its ends, or where only a width was printed, as of one that is
    even around log value."""
    return math.log(row.upper / row.lower) if row.lower > 0 else 2 * math.asinh(width / (2 * row.value))


def evaluate(measure: Measured, s: Array, v: Array) -> Term:
    """Residuals of one row. ``s`` and ``v`` are samples and noise variances, (J, K): J arms of K patients."""
    return KINDS[measure.row.statistic](measure, np.atleast_2d(s), np.atleast_2d(v))


def _mean(x: Measured, s: Array, v: Array) -> Term:
    build = _Builder(s.shape)
    one = np.full(s.shape, 1 / s.size)
    m = float(s.mean())
    build.add("mean", (m - x.row.value) / x.se, one / x.se, sigma=x.se)
    _add_spread(build, x, s, v)
    return build.term(m, one)


def _median(x: Measured, s: Array, v: Array) -> Term:
    build = _Builder(s.shape)
    q, q_s = _quantile(s, 0.5)
    build.add("median", (q - x.row.value) / x.se, q_s / x.se, sigma=x.se)
    _add_spread(build, x, s, v)
    return build.term(q, q_s)


def _quantile(s: Array, probability: float) -> tuple[float, Array]:
    flat = s.ravel()
    order = np.argsort(flat, kind="stable")
    weights = np.empty_like(flat)
    weights[order] = harrell_davis(flat.size, probability)
    return float(weights @ flat), weights.reshape(s.shape)


def _add_spread(build: _Builder, x: Measured, s: Array, v: Array) -> None:
    """Residual of the log spread of samples plus noise, of the kind that was printed."""
    if not math.isfinite(x.sd):
        return
    if x.spread_label == "log IQR":
        _add_quartiles(build, x, s, v)
    elif x.spread_label == "log CV":
        _add_relative_sd(build, x, s, v)
    elif x.spread_label == "log range" and _skewed_range(x.row):
        log_s, log_v, by_s, v_by_s, v_by_v = _log_samples(s, v, math.sqrt(x.row.lower * x.row.upper))
        inner = _Builder(s.shape)
        _add_sd(inner, x, log_s, log_v)
        d_s, d_v = inner.by_s[0], inner.by_v[0]
        build.add(
            x.spread_label, inner.residuals[0], d_s * by_s + d_v * v_by_s, d_v * v_by_v, sigma=x.sd_error
        )
    else:
        _add_sd(build, x, s, v)


def _add_sd(build: _Builder, x: Measured, s: Array, v: Array) -> None:
    centred = s - s.mean()
    floor = (_SPREAD_FLOOR * x.sd) ** 2
    total = float((centred**2).mean()) + float(v.mean()) + floor
    r = 0.5 * math.log(total / (x.sd**2 + floor)) / x.sd_error
    scale = 1 / (total * x.sd_error * s.size)
    build.add(x.spread_label, r, centred * scale, np.full(v.shape, scale / 2), sigma=x.sd_error)


def _add_quartiles(build: _Builder, x: Measured, s: Array, v: Array) -> None:
    high, high_s = _quantile(s, 0.75)
    low, low_s = _quantile(s, 0.25)
    sd, sd_s = (high - low) / _IQR, (high_s - low_s) / _IQR
    floor = (_SPREAD_FLOOR * x.sd) ** 2
    total = sd * sd + float(v.mean()) + floor
    r = 0.5 * math.log(total / (x.sd**2 + floor)) / x.sd_error
    by_v = np.full(v.shape, 0.5 / (total * x.sd_error * v.size))
    build.add(x.spread_label, r, sd * sd_s / (total * x.sd_error), by_v, sigma=x.sd_error)


def _add_relative_sd(build: _Builder, x: Measured, s: Array, v: Array) -> None:
    m = float(s.mean())
    centred = s - m
    variance = float((centred**2).mean()) + float(v.mean())
    least = 1e-9 * abs(x.row.value)
    safe = max(m, least)
    floor = (_SPREAD_FLOOR * x.sd) ** 2
    total = variance / safe**2 + floor
    r = 0.5 * math.log(total / (x.sd**2 + floor)) / x.sd_error
    scale = 1 / (total * x.sd_error * s.size * safe**2)
    by_s = scale * (centred - (variance / safe if m > least else 0.0))
    build.add(x.spread_label, r, by_s, np.full(v.shape, scale / 2), sigma=x.sd_error)


def _log_samples(s: Array, v: Array, reference: float) -> tuple[Array, Array, Array, Array, Array]:
    """log s and the noise variance of log s with their derivatives; samples below 1e-9 of a reference stay
    there."""
    floor = 1e-9 * abs(reference)
    above = s > floor
    safe = np.where(above, s, floor)
    return np.log(safe), v / safe**2, above / safe, -2 * v / safe**3 * above, 1 / safe**2


def _geometric_mean(x: Measured, s: Array, v: Array) -> Term:
    log_s, log_v, by_s, v_by_s, v_by_v = _log_samples(s, v, x.row.value)
    inner = _Builder(s.shape)
    g = float(log_s.mean())
    inner.add(
        "log mean", (g - math.log(x.row.value)) / x.se, np.full(s.shape, 1 / (x.se * s.size)), sigma=x.se
    )
    if math.isfinite(x.sd):
        _add_sd(inner, x, log_s, log_v)
    # chain from log samples to samples; densities stay those of the logarithms, which changes only the
    # constant
    chained = _Builder(s.shape)
    for label, r, d_s, d_v in zip(inner.labels, inner.residuals, inner.by_s, inner.by_v, strict=True):
        chained.add(label, r, d_s * by_s + d_v * v_by_s, d_v * v_by_v)
    chained.constant = inner.constant + 2 * math.log(x.row.value)
    predicted = math.exp(g)
    return chained.term(predicted, predicted * by_s / s.size)


def _ratio(x: Measured, s: Array, v: Array) -> Term:
    build = _Builder(s.shape)
    m = float(s.mean())
    floor = 1e-9 * x.row.value
    safe = max(m, floor)
    slope = (m > floor) / (safe * s.size)
    build.add("log ratio", math.log(safe / x.row.value) / x.se, np.full(s.shape, slope / x.se), sigma=x.se)
    build.constant += 2 * math.log(x.row.value)
    return build.term(m, np.full(s.shape, 1 / s.size))


def _bound(x: Measured, s: Array, v: Array) -> Term:
    build = _Builder(s.shape)
    m = float(s.mean())
    direction = 1.0 if x.row.statistic == "lower_bound" else -1.0
    z = direction * (m - x.row.value) / x.se
    size = math.sqrt(max(0.0, -2 * log_cdf(z)))
    mills = math.exp(-0.5 * z * z - 0.5 * _LOG_2PI - log_cdf(z)) if z > -35 else -z + 1 / -z
    slope = mills / size * direction / x.se if size > 1e-150 else 0.0
    build.add(
        x.row.statistic.replace("_", " "), -direction * size, np.full(s.shape, direction * slope / s.size)
    )
    return build.term(m, np.full(s.shape, 1 / s.size))


def _range(x: Measured, s: Array, v: Array) -> Term:
    row = x.row
    assert row.n is not None  # the reader asked for it
    d2, d3, middle_sd = range_moments(row.n)
    on_log = _ends_above_zero(row)
    if on_log:
        lower, upper = math.log(row.lower), math.log(row.upper)
        z, zv, z_s, zv_s, zv_v = _log_samples(s, v, math.sqrt(row.lower * row.upper))
    else:
        lower, upper = row.lower, row.upper
        z, zv, z_s, zv_s, zv_v = s, v, np.ones_like(s), np.zeros_like(s), np.ones_like(v)
    sd = (upper - lower) / d2
    se = middle_sd * sd
    m = float(z.mean())
    build = _Builder(s.shape)
    build.add("midrange", (m - (lower + upper) / 2) / se, z_s / (se * s.size), sigma=se)
    if x.spread_label:
        _add_range(build, x, z, zv, (z_s, zv_s, zv_v), sd, d3 / d2)
    predicted = math.exp(m) if on_log else m
    return build.term(predicted, (predicted if on_log else 1.0) * z_s / s.size)


def _add_range(
    build: _Builder,
    x: Measured,
    z: Array,
    zv: Array,
    chain: tuple[Array, Array, Array],
    sd: float,
    error: float,
) -> None:
    z_s, zv_s, zv_v = chain
    inner = _Builder(z.shape)
    unbiased = sd * math.exp(error**2 / 2)
    _add_sd(inner, Measured(x.row, x.se, unbiased, error, False, "log range"), z, zv)
    d_z, d_v = inner.by_s[0], inner.by_v[0]
    build.add("log range", inner.residuals[0], d_z * z_s + d_v * zv_s, d_v * zv_v, sigma=error)


def _binomial(x: Measured, s: Array, v: Array) -> Term:
    row = x.row
    assert row.n is not None  # the reader asked for it
    n = row.n
    k = row.value if row.statistic == "count" else min(1.0, row.value) * n
    flat, noise = s.ravel(), v.ravel()
    size = flat.size
    if math.isnan(row.effect):
        p, p_s, p_v = float(flat.mean()), np.full(size, 1 / size), np.zeros(size)
    else:
        p, p_s, p_v = _share_beyond(flat, noise, row.effect)
    edge = 1e-9  # keeps a predicted 0 or 1 from being infinitely wrong
    inside = min(max(p, 0.0), 1.0)
    q = edge + (1 - 2 * edge) * inside
    q_p = (1 - 2 * edge) * (0.0 <= p <= 1.0)
    deviance = 0.0
    if k > 0:
        deviance += 2 * k * math.log(k / (n * q))
    if k < n:
        deviance += 2 * (n - k) * math.log((n - k) / (n * (1 - q)))
    r = math.copysign(math.sqrt(max(deviance, 0.0)), n * q - k)
    slope = (n * q - k) / (q * (1 - q) * r) if abs(r) > 1e-6 else math.sqrt(n / (q * (1 - q)))
    build = _Builder(s.shape)
    build.add("binomial", r, slope * q_p * p_s, slope * q_p * p_v)
    saturated = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    saturated += (k * math.log(k / n) if k > 0 else 0.0) + ((n - k) * math.log((n - k) / n) if k < n else 0.0)
    build.constant = -2 * saturated
    scale = float(n) if row.statistic == "count" else 1.0
    return build.term(scale * inside, scale * p_s * (0.0 <= p <= 1.0), scale * p_v)


def _share_beyond(s: Array, v: Array, limit: float) -> tuple[float, Array, Array]:
    """P(sample + noise >= limit), or <= a negative limit, with derivatives by s and v.

    Patients are smoothed by a normal kernel of variance c^2 V after being drawn in so that the whole keeps
    its mean and variance V (Silverman 1986, Density Estimation, sec. 6.4.1).
    """
    from scipy.special import ndtr

    size = s.size
    direction = -1.0 if limit < 0 else 1.0
    c2 = (1.06 * size**-0.2) ** 2 if size > 1 else 0.0
    shrink = 1 / math.sqrt(1 + c2)
    m = float(s.mean())
    centred = s - m
    variance = float((centred**2).mean())
    tiny = (1e-4 * (abs(limit) + abs(m)) + 1e-12) ** 2
    h = np.sqrt(v + c2 * shrink**2 * variance + tiny)
    u = direction * (m + shrink * centred - limit) / h
    p = ndtr(u)
    density = np.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)
    # du_j/ds_k = direction (1/K + shrink (delta_jk - 1/K))/h_j - u_j/(2 h_j^2) dh_j^2/ds_k
    direct = direction * density / h
    spread = -(density * u / (2 * h * h)).sum() * c2 * shrink**2 * 2 * centred / size
    by_s = (direct.sum() * (1 - shrink) / size + shrink * direct + spread) / size
    return float(p.mean()), by_s, -density * u / (2 * h * h) / size


def _dose_for_effect(x: Measured, s: Array, v: Array) -> Term:
    """``s`` (J, K) at the multiples DOSE_GRID of the reported dose."""
    row = x.row
    means = s.mean(axis=1)
    log_dose, by_means = inverse(np.log(np.array(DOSE_GRID)), means, row.effect)
    dose, slope = _dose_scale(log_dose)
    build = _Builder(s.shape)
    share = np.repeat(by_means[:, None], s.shape[1], axis=1) / s.shape[1]
    if _is_log_dose(row):
        se = math.log(row.upper / row.lower) / (2 * Z95)
        build.add("log dose", log_dose / se, share / se, sigma=se)
        build.constant += 2 * math.log(row.value)
    else:
        build.add("dose", (dose - 1) * row.value / x.se, share * slope * row.value / x.se, sigma=x.se)
    return build.term(dose * row.value, share * slope * row.value)


def _is_log_dose(row: Row) -> bool:
    """Whether a dose's printed interval is nearer to symmetric on the log scale."""
    return row.spread_type == "CI95" and row.lower > 0 and _nearer_on_logs(row)


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

    def weights(t: float) -> Array:
        w = left * (t * (1 - t) ** 2) + right * (t * t * (t - 1))
        w = w.copy()
        w[j] += (1 + 2 * t) * (1 - t) ** 2
        w[j + 1] += t * t * (3 - 2 * t)
        return np.asarray(w, dtype=np.float64)

    low, high = 0.0, 1.0
    rising = g[j + 1] >= g[j]
    for _ in range(60):
        middle = (low + high) / 2
        if (float(weights(middle) @ g) < target) == rising:
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
    return float(x[j] + t * step), -weights(t) / slope * step


KINDS: dict[str, Callable[[Measured, Array, Array], Term]] = {
    "mean": _mean,
    "median": _median,
    "geometric_mean": _geometric_mean,
    "lower_bound": _bound,
    "upper_bound": _bound,
    "range": _range,
    "dose_for_effect": _dose_for_effect,
    "count": _binomial,
    "fraction": _binomial,
    "ratio": _ratio,
}
"""statistic column -> likelihood"""


def interval(measure: Measured) -> tuple[float, float]:
    """A 95% interval of the reported number itself, on the row's scale, for tables and figures (nan if
    open)."""
    row = measure.row
    if row.statistic == "range":  # of its middle, as the midrange of n normals has it
        assert row.n is not None  # the reader asked for it
        d2, _, middle_sd = range_moments(row.n)
        if _ends_above_zero(row):
            factor = math.exp(Z95 * middle_sd * math.log(row.upper / row.lower) / d2)
            return observed(row) / factor, observed(row) * factor
        half = Z95 * middle_sd * (row.upper - row.lower) / d2
        return observed(row) - half, observed(row) + half
    if row.statistic in ("count", "fraction"):
        assert row.n is not None  # the reader asked for it
        k = row.value if row.statistic == "count" else row.value * row.n
        low, high = wilson(k, row.n)
        scale = row.n if row.statistic == "count" else 1
        return low * scale, high * scale
    if row.statistic == "lower_bound":
        return row.value, math.nan
    if row.statistic == "upper_bound":
        return math.nan, row.value
    if row.spread_type == "CI95" and math.isfinite(row.lower):
        return row.lower, row.upper
    half = Z95 * measure.se
    if row.statistic in ("geometric_mean", "ratio"):
        return row.value * math.exp(-half), row.value * math.exp(half)
    return row.value - half, row.value + half


def observed(row: Row) -> float:
    """The number that stands against the prediction: the value, or the middle of a range without one."""
    if row.statistic != "range":
        return row.value
    if _ends_above_zero(row):
        return math.sqrt(row.lower * row.upper)
    return (row.lower + row.upper) / 2


def wilson(k: float, n: int) -> tuple[float, float]:
    """Wilson 95% interval of a share (Wilson 1927, J Am Stat Assoc 22:209)."""
    p, z2 = k / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def describe(measure: Measured) -> str:
    """One phrase that says how a row enters the likelihood, for tables."""
    row = measure.row
    name = {"dose_for_effect": "dose that gives the effect", "geometric_mean": "geometric mean"}.get(
        row.statistic, row.statistic.replace("_", " ")
    )
    parts = [name]
    if measure.assumed:
        parts.append(f"assumed error {measure.se:.3g}")
    elif row.spread_type != "none":
        parts.append(row.spread_type)
    if row.n:
        parts.append(f"n {row.n}")
    return ", ".join(parts)
