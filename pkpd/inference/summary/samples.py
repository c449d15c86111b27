"""What a row looks at in every patient: the output reduced over time and taken relative to time 0, and the
variance that measurement error gives it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.rows import Row

Array = NDArray[np.float64]

_DRAWS = 64
"""Draws of measurement errors over which the largest of several visits is taken."""
_RATE_FLOOR = 1e-3
"""Smallest decline over a half_life window, in natural log units per window, that is told from none."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Error of one measurement of an output: SD = sqrt((proportional * y)^2 + additive^2).

    Errors of two measurements in a patient have this ``correlation`` at any distance (compound symmetry), or,
    with ``per``, at that distance and its power at others: an AR(1) in continuous time (Jones & Boadi-Boateng
    1991, Biometrics 47:161)."""

    proportional: float = 0.0
    additive: float = 0.0
    correlation: float = 0.0
    per: float = math.inf

    def numbers(self) -> dict[str, float]:
        """Those that say something, by name."""
        found = {"proportional": self.proportional, "additive": self.additive}
        if self.correlation:
            found["correlation"] = self.correlation
        return found | {"per": self.per} if math.isfinite(self.per) else found

    def errors(self, y: Array, wide: float = 1.0) -> tuple[Array, Array, Array]:
        """SDs of measurements (...), and their derivatives by y, (...), and by the two numbers, (..., 2)."""
        p, a = self.proportional, self.additive
        sd = np.sqrt((p * y) ** 2 + (a * wide) ** 2)
        safe = np.where(sd > 0, sd, 1.0)
        return sd, p * p * y / safe, np.stack([p * y * y, a * wide**2 + 0 * y], axis=-1) / safe[..., None]

    def correlations(self, times: Sequence[float]) -> Array:
        """Of errors at times (m,), (m, m)."""
        at = np.asarray(times, dtype=np.float64)
        apart = np.abs(at[:, None] - at) / self.per if math.isfinite(self.per) else 1.0
        found = np.broadcast_to(self.correlation**apart, (at.size, at.size)).copy()
        np.fill_diagonal(found, 1.0)
        return found


@dataclass(frozen=True, slots=True)
class Samples:
    """One number per patient, its noise variance, and their derivatives.

    ``s``, ``v`` (K,); ``s_y``, ``v_y`` (K, w) by what was read; ``s_b``, ``v_b`` (K,) by the output at
    time 0; ``s_noise``, ``v_noise`` (K, 2) by Noise.proportional and Noise.additive.
    """

    s: Array
    v: Array
    s_y: Array
    v_y: Array
    s_b: Array
    v_b: Array
    s_noise: Array
    v_noise: Array


@dataclass(frozen=True, slots=True)
class PatientLevel:
    """An output reduced over time: values (K,), the variance of their measurement error, and derivatives of
    both by what was read, (K, w), and by the two numbers of the noise, (K, 2); ``shared`` is the covariance
    of their error with that of the baseline in its SDs."""

    value: Array
    variance: Array
    value_y: Array
    variance_y: Array
    value_noise: Array
    variance_noise: Array
    shared: Array
    shared_y: Array
    shared_noise: Array


def width(row: Row) -> float:
    """By what the value of one measurement counts: the length of the window for an area."""
    return row.stop - row.start if row.reducer == "auc" else 1.0


def reduce(row: Row, y: Array) -> tuple[Array, Array]:
    """What a row makes of what was read off each course: its two numbers ``y`` (K, 2) of a window
    (``arms.look``), or the outputs at its times, (K, n_times): values (K,) and weights d value/d y.

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
    if row.visits:
        if row.reducer == "mean":
            weights[:] = 1 / len(row.visits)
        else:
            best = (y.argmax if row.reducer == "max" else y.argmin)(axis=1)
            weights[np.arange(len(y)), best] = 1.0
        return (y * weights).sum(axis=1), weights
    weights[:, 0] = 1.0 / (row.stop - row.start) if row.reducer == "mean" else 1.0
    return y[:, 0] * weights[:, 0], weights


def is_timing(row: Row) -> bool:
    """Whether a row is about times, which have no error of measurement here."""
    return row.reducer in ("tmax", "half_life")


def _level(row: Row, y: Array, noise: Noise) -> PatientLevel:
    p, a = noise.proportional, noise.additive
    if row.visits and row.reducer in ("max", "min"):
        return _extreme_visit(row, y, noise)
    value, weights = reduce(row, y)
    still = np.zeros((len(y), 2))
    if is_timing(row):
        none, flat = np.zeros_like(value), np.zeros_like(y)
        return PatientLevel(value, none, weights, flat, still, still, none, flat, still)
    *among, with_baseline = noise.correlations([*_times(row), 0.0])[:, :-1]
    if row.visits:
        count = len(row.visits)
        sd, sd_y, sd_noise = noise.errors(y)
        near = sd @ np.array(among)
        return PatientLevel(
            value,
            (near * sd).sum(axis=1) / count**2,
            weights,
            2 * near * sd_y / count**2,
            still,
            2 * (near[..., None] * sd_noise).sum(axis=1) / count**2,
            sd @ with_baseline / count,
            sd_y * with_baseline / count,
            np.einsum("kvi,v->ki", sd_noise, with_baseline) / count,
        )
    wide = width(row) ** 2
    by_noise = np.stack([2 * p * value**2, np.full(len(y), 2 * a * wide)], axis=1)
    slope = (2 * p * p * value)[:, None] * weights
    sd, sd_y, sd_noise = noise.errors(value, width(row))
    (shared,) = with_baseline
    return PatientLevel(
        value,
        (p * value) ** 2 + a * a * wide,
        weights,
        slope,
        still,
        by_noise,
        shared * sd,
        shared * sd_y[:, None] * weights,
        shared * sd_noise,
    )


def _times(row: Row) -> Sequence[float]:
    """When the level of a row was measured; a window counts as its middle."""
    return row.visits or (((row.start + row.stop) / 2,) if row.is_window else (row.start,))


@lru_cache(maxsize=32)
def _visit_errors(count: int) -> Array:
    """(_DRAWS, count) standard normal errors, balanced: each draw has its mirror image."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Sobol(count, scramble=True, rng=np.random.default_rng(count)).random(_DRAWS // 2)
    z = ndtri(np.clip(points, 1e-6, 1 - 1e-6))
    both = np.concatenate([z, -z])
    return np.asarray(both / np.sqrt((both**2).mean(axis=0)))


def _extreme_visit(row: Row, y: Array, noise: Noise) -> PatientLevel:
    """The largest (smallest) of several visits, each measured with its error: above the largest of their true
    values (Kendall & Stuart, The Advanced Theory of Statistics I, ch. 14). Its mean and variance over the
    errors of a patient's visits."""
    sd, sd_y, sd_noise = noise.errors(y)
    *among, with_baseline = noise.correlations([*row.visits, 0.0])[:, :-1]
    values, vectors = np.linalg.eigh(np.array(among))
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    e = _visit_errors(y.shape[1])
    before = e @ np.linalg.lstsq(root, with_baseline)[0]  # what the errors tell of the baseline's
    e = e @ root
    seen = y[:, None, :] + sd[:, None, :] * e  # (K, draws, visits)
    best = (seen.argmax if row.reducer == "max" else seen.argmin)(axis=2)
    patients, draws = np.arange(len(y))[:, None], np.arange(len(e))[None, :]
    value = seen[patients, draws, best]
    error = e[draws, best]
    slope = 1 + error * sd_y[patients, best]  # of the draw by the visit that is the largest
    by_noise = error[..., None] * sd_noise[patients, best]
    mean, centred = value.mean(axis=1), value - value.mean(axis=1)[:, None]
    value_y, variance_y, shared_y = np.zeros_like(y), np.zeros_like(y), np.zeros_like(y)
    np.add.at(value_y, (patients, best), slope / len(e))
    np.add.at(variance_y, (patients, best), 2 * centred * slope / len(e))
    np.add.at(shared_y, (patients, best), before * slope / len(e))
    return PatientLevel(
        mean,
        (centred**2).mean(axis=1),
        value_y,
        variance_y,
        by_noise.mean(axis=1),
        (2 * centred[..., None] * by_noise).mean(axis=1),
        (value * before).mean(axis=1),
        shared_y,
        (before[:, None] * by_noise).mean(axis=1),
    )


def sample(row: Row, y: Array, baseline: Array | None, noise: Noise) -> Samples:
    """What a row looks at in every patient.

    ``y`` as in ``reduce``; ``baseline`` (K,) the output at time 0, needed by every measure but value; a
    half-life of a change was read above it.
    """
    level = _level(row, y, noise)
    none = np.zeros(len(y))
    if row.measure == "value" or baseline is None:
        return Samples(
            level.value,
            level.variance,
            level.value_y,
            level.variance_y,
            none,
            none,
            level.value_noise,
            level.variance_noise,
        )
    if is_timing(row):
        by_baseline = level.value_y[:, 0] * y[:, 1] if row.reducer == "half_life" else none
        still = level.value_noise
        return Samples(level.value, none, level.value_y, np.zeros_like(y), by_baseline, none, still, still)
    return _less_shared(_against(row, level, baseline, noise), row, level, baseline, noise)


def _against(row: Row, level: PatientLevel, baseline: Array, noise: Noise) -> Samples:
    """Level and baseline, their errors apart."""
    p, a = noise.proportional, noise.additive
    if row.measure == "change":
        wide = width(row)
        own = (p * wide * baseline) ** 2 + (a * wide) ** 2
        by_noise = np.stack([2 * p * (wide * baseline) ** 2, np.full(len(own), 2 * a * wide**2)], axis=1)
        return Samples(
            level.value - wide * baseline,
            level.variance + own,
            level.value_y,
            level.variance_y,
            np.full(len(own), -wide),
            2 * (p * wide) ** 2 * baseline,
            level.value_noise,
            level.variance_noise + by_noise,
        )
    return _relative(row, level, baseline, noise)


def _relative(row: Row, level: PatientLevel, baseline: Array, noise: Noise) -> Samples:
    """Level over baseline; the error of the baseline to first order."""
    p, a = noise.proportional, noise.additive
    scale, shift = (100.0, -100.0) if row.measure == "percent_change" else (1.0, 0.0)
    fold, s2 = level.value / baseline, scale * scale
    own = (p * baseline) ** 2 + a * a
    v = s2 * (level.variance + fold**2 * own) / baseline**2
    v_fold = 2 * s2 * fold * own / baseline**2
    by_noise = np.stack([2 * p * baseline**2, np.full(len(fold), 2 * a)], axis=1)
    return Samples(
        scale * fold + shift,
        v,
        (scale / baseline)[:, None] * level.value_y,
        (s2 / baseline**2)[:, None] * level.variance_y + (v_fold / baseline)[:, None] * level.value_y,
        -scale * fold / baseline,
        -2 * v / baseline - v_fold * fold / baseline + 2 * s2 * p * p * fold**2 / baseline,
        (scale / baseline)[:, None] * level.value_noise,
        (s2 / baseline**2)[:, None] * (level.variance_noise + (fold**2)[:, None] * by_noise)
        + (v_fold / baseline)[:, None] * level.value_noise,
    )


def _less_shared(apart: Samples, row: Row, level: PatientLevel, baseline: Array, noise: Noise) -> Samples:
    """What errors of level and baseline have in common falls out of their difference, and to first order out
    of their ratio."""
    if noise.correlation == 0:
        return apart
    sd, sd_b, sd_noise = noise.errors(baseline)
    if row.measure == "change":
        factor, by_b = np.full(len(sd), -2.0 * width(row)), np.zeros(len(sd))
        by_y, by_noise = np.zeros_like(level.value_y), np.zeros_like(level.value_noise)
    else:
        scale = -2 * (100.0 if row.measure == "percent_change" else 1.0) ** 2 / baseline**3
        factor, by_b = scale * level.value, -3 * scale * level.value / baseline
        by_y, by_noise = scale[:, None] * level.value_y, scale[:, None] * level.value_noise
    together = level.shared * sd
    return dataclasses.replace(
        apart,
        v=np.maximum(apart.v + factor * together, 0.0),
        v_y=apart.v_y + (factor * sd)[:, None] * level.shared_y + together[:, None] * by_y,
        v_b=apart.v_b + factor * level.shared * sd_b + together * by_b,
        v_noise=apart.v_noise
        + factor[:, None] * (sd[:, None] * level.shared_noise + level.shared[:, None] * sd_noise)
        + together[:, None] * by_noise,
    )


# --- the same in single patients, with errors that are drawn


def time_of(measurement: tuple[Any, ...]) -> float:
    """When one of ``measurements`` was made; a window counts as its middle."""
    return float(sum(measurement[1:]) / len(measurement[1:]))


def measurements(row: Row) -> list[tuple[Any, ...]]:
    """Names of the measurements that a row uses, of its level and then of its baseline: the same name in two
    rows of an arm is the same measurement."""
    if is_timing(row):
        return []
    if row.visits:
        names: list[tuple[Any, ...]] = [("at", time) for time in row.visits]
    elif row.is_window:
        names = [(row.reducer, row.start, row.stop)]
    else:
        names = [("at", row.start)]
    return names if row.measure == "value" else [*names, ("at", 0.0)]


def observed(row: Row, y: Array, baseline: Array | None, noise: Noise, errors: Sequence[Array]) -> Array:
    """What a row sees in patients whose measurements have these errors.

    ``y`` (..., w), ``baseline`` (...) or None, ``errors`` (...) standard normal in the order of
    ``measurements``; a baseline that was measured below a twentieth of its true value stays there.
    """
    shape, flat = y.shape[:-1], y.reshape(-1, y.shape[-1])

    def with_error(value: Array, error: Array, wide: float = 1.0) -> Array:
        return value + np.sqrt((noise.proportional * value) ** 2 + (noise.additive * wide) ** 2) * error

    if is_timing(row):
        return reduce(row, flat)[0].reshape(shape)
    if row.visits:
        seen = np.stack(
            [with_error(y[..., j], error) for j, error in enumerate(errors[: len(row.visits)])], axis=-1
        )
        level = reduce(row, seen.reshape(flat.shape))[0].reshape(shape)
    else:
        level = with_error(reduce(row, flat)[0].reshape(shape), errors[0], width(row))
    if row.measure == "value" or baseline is None:
        return level
    before = with_error(baseline, errors[-1])
    if row.measure == "change":
        return np.asarray(level - width(row) * before)
    fold = level / np.maximum(before, 0.05 * np.abs(baseline))
    return np.asarray(100 * fold - 100 if row.measure == "percent_change" else fold)
