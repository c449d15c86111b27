"""What a printed SD, CV, IQR or range tells about the spread between patients, and that of a prediction.

The residual of a spread is (log predicted - log printed + bias)/tau. For an SD of n patients bias and tau are
the exact ones of log S for normal data, about -1/(2(n-1)) and 1/sqrt(2(n-1)) [1]; a range of n gives SD =
width/d2(n) with tau = d3(n)/d2(n) and bias -tau^2/2, an IQR SD = width/eta(n) [2] with tau = 1.1664/sqrt(n)
and the like bias, of 40 patients and fewer with those of trials. Like stands against like, so that skewed
data are not taken for wide or narrow ones: against an IQR the Harrell-Davis quartiles of the samples [3],
against a range above 0 of a value or fold that lies more evenly around the printed value on the log scale the
SD of their logarithms, against the CV beside a median sqrt(V)/m.

Beside a geometric mean g all is of logarithms: SD_log follows from what was printed as it does for a
log-normal sample: from a CV sqrt(log(1 + CV^2)); from an SD of the numbers themselves sqrt(log((1 + sqrt(1 +
4 (SD/g)^2))/2)); from the ends of an IQR or range log(upper/lower)/eta(n) or /d2(n); from their width alone 2
asinh(width/(2 g)) in place of that logarithm, with tau as wide as the unknown middle makes it.

[1] Kendall & Stuart, The Advanced Theory of Statistics I, ch. 10 (standard errors).  [2] Wan et al. 2014, BMC
Med Res Methodol 14:135 (SD from a range); Tippett 1925, Biometrika 17:364.  [3] Harrell & Davis 1982,
Biometrika 69:635."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import DataError
from pkpd.core.normal import Z95
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.statistics import (
    degrees_of_log_sd,
    iqr_width,
    log_iqr_moments,
    log_samples,
    log_sd_moments,
    quantile,
    range_moments,
)
from pkpd.inference.summary.terms import Numbers, Printed, Statistic

Array = NDArray[np.float64]

_IQR = 2 * NormalDist().inv_cdf(0.75)
_FLOOR = 0.02
"""Share of the reported SD added in quadrature to both sides of a spread residual: keeps the logarithm of a
predicted SD of zero (placebo, no noise) finite."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What a printed spread tells.

    ``raw`` is the SD as it is used for a standard error; ``sd`` that against which the spread of the samples
    stands, free of small-sample bias of its logarithm; ``error`` the standard error of that logarithm (nan:
    it tells none).
    """

    raw: Numbers
    sd: Numbers
    error: Numbers
    label: str

    @property
    def floor(self) -> Numbers:
        """Variance that is added to both sides."""
        return (_FLOOR * self.sd) ** 2

    @property
    def printed(self) -> Printed:
        """The logarithm of the SD, as a row says it."""
        return Printed(self.label, 0.5 * np.log(self.sd**2 + self.floor), self.error)


@dataclass(frozen=True, slots=True)
class Form:
    """How a row prints its spread, which decides by which formula it is read.

    ends : the interval's ends are printed, not its width; positive : they are those of numbers that are
    positive by nature, so that their logarithms make sense; skewed : a range beside a mean or median that is
    more even around it on the log scale.
    """

    ends: bool
    positive: bool
    skewed: bool


def form_of(row: Row) -> Form:
    """Of a row as it was printed."""
    positive = row.measure in ("value", "fold") and row.lower > 0
    skewed = positive and row.spread_type == "range" and nearer_on_logs(row)
    return Form(math.isfinite(row.lower), positive, skewed)


def nearer_on_logs(row: Row) -> bool:
    """Whether the ends of an interval above 0 are nearer to symmetric around the value on the log scale."""
    natural = abs(row.upper + row.lower - 2 * row.value) / (row.upper - row.lower)
    logarithmic = abs(math.log(row.upper * row.lower / row.value**2)) / math.log(row.upper / row.lower)
    return logarithmic < natural


def width(row: Row, form: Form) -> Numbers:
    """Of the row's interval."""
    return row.upper - row.lower if form.ends else row.spread


def log_width(row: Row, form: Form) -> Numbers:
    """Width of an interval of logarithms: by its ends, or where only a width was printed (of a CI95, half of
    it), as of one that is even around log value."""
    if form.ends and np.all(row.lower > 0):
        return np.log(row.upper / row.lower)
    halves = 1.0 if row.spread_type == "CI95" and not form.ends else 0.5
    return 2 * np.arcsinh(halves * width(row, form) / row.value)


def natural_spread(row: Row, form: Form) -> Spread:
    """Of the SD, CV, IQR or range beside a mean or median."""
    n, wide = row.n or 0, width(row, form)
    if row.spread_type in ("SD", "CV"):
        sd = row.spread if row.spread_type == "SD" else row.spread / 100 * row.value
        bias, error = log_sd_moments(n) if n > 1 else (0.0, math.nan)
        if row.spread_type == "CV" and row.statistic == "median":
            # the CV is that of the mean, which was not printed
            return Spread(sd, row.spread / 100 * math.exp(-bias), error, "log CV")
        return Spread(sd, sd * math.exp(-bias), error, "log SD")
    if row.spread_type == "IQR":
        if n < 2:
            return Spread(wide / _IQR, wide / _IQR, math.nan, "log IQR")
        level, error = log_iqr_moments(n)
        return Spread(wide / iqr_width(n), wide * math.exp(-level), error, "log IQR")
    d2, d3, _ = range_moments(n)
    sd = (np.log(row.upper / row.lower) if form.skewed else wide) / d2
    return Spread(wide / d2, sd * math.exp((d3 / d2) ** 2 / 2), d3 / d2, "log range")


def log_spread(row: Row, form: Form) -> Spread:
    """The same of logarithms, beside a geometric mean."""
    n, relative = row.n or 0, row.spread / row.value
    if row.spread_type in ("SD", "CV"):
        if row.spread_type == "CV":
            sd = np.sqrt(np.log1p((row.spread / 100) ** 2))
        else:
            sd = np.sqrt(np.log((1 + np.sqrt(1 + 4 * relative**2)) / 2))
        bias, error = log_sd_moments(n) if n > 1 else (0.0, math.nan)
        return Spread(sd, sd * math.exp(-bias), error, "log SD")
    wide = log_width(row, form)
    # of a width alone the middle is not known: how far it strays from the mean counts, the more the wider
    # (sinh) the interval is
    blind = 0.0 if form.ends and np.all(row.lower > 0) else np.tanh(wide / 2)
    if row.spread_type == "IQR":
        if n < 2:
            return Spread(wide / _IQR, wide / _IQR, math.nan, "log IQR")
        level, error = log_iqr_moments(n)
        strayed = 0.7229 * blind / math.sqrt(n)
        sd = wide * np.exp(strayed**2 / 2 - level)
        return Spread(wide / iqr_width(n), sd, np.hypot(error, strayed), "log IQR")
    d2, d3, middle = range_moments(n)
    error = np.hypot(d3, 2 * blind * math.sqrt(max(0.0, middle**2 - 1 / n))) / d2
    return Spread(wide / d2, wide / d2 * np.exp(error**2 / 2), error, "log range")


def t95_of(df: float) -> float:
    """What the half width of a 95 % interval is in standard errors, by their degrees of freedom."""
    if math.isinf(df):
        return Z95
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.975))


def t95(n: int | None) -> float:
    """That of the interval which is printed beside a mean of n: Student's t with n - 1 degrees of freedom;
    the normal quantile where n is not known."""
    return t95_of(math.inf if n is None or n < 2 else n - 1)


def degrees_of_freedom(row: Row, spread: Spread | None) -> float:
    """Of the standard error that a row's own patients tell: n - 1, or where it comes from an IQR or range
    those of an SD that is as uncertain, by its logarithm, or of a range to first order by d3/d2
    (Satterthwaite 1946, Biometrics Bull 2:110); of one that is not theirs, or of unknown n, infinite."""
    if row.n is None or row.n < 2 or (spread is None and row.spread_type == "none"):
        return math.inf
    if spread is not None and spread.label == "log IQR":
        return degrees_of_log_sd(float(spread.error))
    if spread is not None and spread.label == "log range":
        return float(1 / (2 * spread.error**2))
    return row.n - 1


def standard_error(
    row: Row,
    form: Form,
    spread: Spread | None,
    relative_error: float,
    *,
    on_log: bool,
    quantile_95: float | None = None,
) -> Numbers:
    """Of the row's location without the factor of its kind: from SE, CI95/t or SD/sqrt(n); without a spread
    the declared relative error. quantile_95 : half width of a CI95 in standard errors (None: ``t95``). Raises
    ``DataError`` if there is nothing to derive it from."""
    if row.spread_type == "SE":
        return row.spread / row.value if on_log else row.spread
    if row.spread_type == "CI95":
        half = log_width(row, form) / 2 if on_log else width(row, form) / (2 if form.ends else 1)
        return half / (t95(row.n) if quantile_95 is None else quantile_95)
    if spread is not None:
        return spread.raw / (math.sqrt(row.n) if row.n else 1.0)
    se = relative_error * (1.0 if on_log else abs(row.value))
    if not np.all(se > 0):
        raise DataError(
            f'line {row.line} (row "{row.id}"), column "spread": a {row.statistic} of 0 without a '
            "spread has no weight; give an SD, SE or CI95"
        )
    return se


# --- the spread of a prediction


def log_sd(s: Array, v: Array, floor: float) -> Statistic:
    """log sqrt(V), V the variance of samples and their noise."""
    centred = s - s.mean()
    total = float((centred**2).mean()) + float(v.mean()) + floor
    scale = 1 / (total * s.size)
    return Statistic(0.5 * math.log(total), centred * scale, np.full(v.shape, scale / 2))


def log_sd_of_logs(s: Array, v: Array, floor: float, reference: float) -> Statistic:
    """The same of the samples' logarithms."""
    logs, log_v, by_s, v_by_s, v_by_v = log_samples(s, v, reference)
    inner = log_sd(logs, log_v, floor)
    return Statistic(inner.value, inner.by_s * by_s + inner.by_v * v_by_s, inner.by_v * v_by_v)


def log_cv(s: Array, v: Array, floor: float, reference: float) -> Statistic:
    """log of sqrt(V)/mean."""
    m = float(s.mean())
    centred = s - m
    variance = float((centred**2).mean()) + float(v.mean())
    least = 1e-9 * abs(reference)
    safe = max(m, least)
    total = variance / safe**2 + floor
    scale = 1 / (total * s.size * safe**2)
    by_s = scale * (centred - (variance / safe if m > least else 0.0))
    return Statistic(0.5 * math.log(total), by_s, np.full(v.shape, scale / 2))


def log_quartiles(s: Array, v: Array, floor: float) -> Statistic:
    """log of the SD that the distance between the quartiles has in a normal distribution, noise added."""
    high, high_s = quantile(s, 0.75)
    low, low_s = quantile(s, 0.25)
    sd, sd_s = (high - low) / _IQR, (high_s - low_s) / _IQR
    total = sd * sd + float(v.mean()) + floor
    return Statistic(0.5 * math.log(total), sd * sd_s / total, np.full(v.shape, 0.5 / (total * v.size)))


def natural_functional(row: Row, form: Form, spread: Spread, s: Array, v: Array) -> Statistic:
    """What stands against the spread beside a mean or median: like against like."""
    if spread.label == "log IQR":
        return log_quartiles(s, v, spread.floor)
    if spread.label == "log CV":
        return log_cv(s, v, spread.floor, row.value)
    if form.skewed:
        return log_sd_of_logs(s, v, spread.floor, math.sqrt(row.lower * row.upper))
    return log_sd(s, v, spread.floor)
