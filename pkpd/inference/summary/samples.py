"""What a row looks at in every patient: the output reduced over time and taken relative to time 0, and the
variance that measurement error gives it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    """Error of one measurement of an output: SD = sqrt((proportional * y)^2 + additive^2)."""

    proportional: float = 0.0
    additive: float = 0.0


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
    both by what was read, (K, w), and by the two numbers of the noise, (K, 2)."""

    value: Array
    variance: Array
    value_y: Array
    variance_y: Array
    value_noise: Array
    variance_noise: Array


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
        return PatientLevel(value, np.zeros_like(value), weights, np.zeros_like(y), still, still)
    if row.visits:  # their mean: errors of its visits are independent
        count = len(row.visits)
        own = (p * y) ** 2 + a * a
        by_noise = np.stack([2 * p * (y * y).sum(axis=1), np.full(len(y), 2 * a * count)], axis=1)
        variance, slope = own.sum(axis=1) / count**2, 2 * p * p * y / count**2
        return PatientLevel(value, variance, weights, slope, still, by_noise / count**2)
    wide = width(row) ** 2
    by_noise = np.stack([2 * p * value**2, np.full(len(y), 2 * a * wide)], axis=1)
    slope = (2 * p * p * value)[:, None] * weights
    return PatientLevel(value, (p * value) ** 2 + a * a * wide, weights, slope, still, by_noise)


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
    p, a = noise.proportional, noise.additive
    sd = np.sqrt((p * y) ** 2 + a * a)
    e = _visit_errors(y.shape[1])
    seen = y[:, None, :] + sd[:, None, :] * e  # (K, draws, visits)
    best = (seen.argmax if row.reducer == "max" else seen.argmin)(axis=2)
    patients, draws = np.arange(len(y))[:, None], np.arange(len(e))[None, :]
    value = seen[patients, draws, best]
    safe = np.where(sd > 0, sd, 1.0)
    error = e[draws, best]
    at = y[patients, best]
    slope = 1 + error * p * p * at / safe[patients, best]  # of the draw by the visit that is the largest
    by_noise = np.stack([error * p * at**2, error * a + 0 * at], axis=2) / safe[patients, best][..., None]
    mean, centred = value.mean(axis=1), value - value.mean(axis=1)[:, None]
    value_y, variance_y = np.zeros_like(y), np.zeros_like(y)
    np.add.at(value_y, (patients, best), slope / len(e))
    np.add.at(variance_y, (patients, best), 2 * centred * slope / len(e))
    variance_noise = (2 * centred[..., None] * by_noise).mean(axis=1)
    variance = (centred**2).mean(axis=1)
    return PatientLevel(mean, variance, value_y, variance_y, by_noise.mean(axis=1), variance_noise)


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
    p, a = noise.proportional, noise.additive
    if row.measure == "change":
        wide = width(row)
        own = (p * wide * baseline) ** 2 + (a * wide) ** 2
        by_noise = np.stack([2 * p * (wide * baseline) ** 2, np.full(len(y), 2 * a * wide**2)], axis=1)
        return Samples(
            level.value - wide * baseline,
            level.variance + own,
            level.value_y,
            level.variance_y,
            np.full(len(y), -wide),
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


# --- the same in single patients, with errors that are drawn


def measurements(row: Row) -> list[Hashable]:
    """Names of the measurements that a row uses, of its level and then of its baseline: the same name in two
    rows of an arm is the same measurement."""
    if is_timing(row):
        return []
    if row.visits:
        names: list[Hashable] = [("at", time) for time in row.visits]
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
