"""What a row looks at in every patient: the output reduced over time and taken relative to time 0, and the
variance that measurement error gives it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.rows import Row

Array = NDArray[np.float64]

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
    (``arms.look``), or of the output at its time, (K, 1): values (K,) and weights d
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
