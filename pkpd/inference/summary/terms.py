"""A row's residuals, with their derivatives by what was sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.rows import Row

Array = NDArray[np.float64]
Numbers = Any
"""A float, or an array of one for each of many simulated trials."""

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Statistic:
    """A number of the predicted population, on the scale of its residual, with derivatives by samples and
    noise variances, (J, K) both."""

    value: float
    by_s: Array
    by_v: Array


@dataclass(frozen=True, slots=True)
class Printed:
    """What a row says about such a number: its value and standard error on that scale.

    ``log_slope``: logarithm of d(printed number)/d(value), which makes the constant that of a density of the
    printed number.
    """

    label: str
    value: Numbers
    error: Numbers
    log_slope: Numbers = 0.0

    @property
    def constant(self) -> float:
        """What makes -2 log density out of the squared residual."""
        return _LOG_2PI + 2 * math.log(self.error) + 2 * self.log_slope


@dataclass(frozen=True, slots=True)
class Measured:
    """A row with what follows from its columns alone: the numbers that it prints, the first its location.

    ``assumed`` tells that the error of the location is the declared relative error and not printed.
    """

    row: Row
    printed: tuple[Printed, ...]
    assumed: bool = False

    @property
    def n_residuals(self) -> int:
        """How many it has: one of every number, or of a row without an error of its own one."""
        return max(1, len(self.printed))

    @property
    def se(self) -> float:
        """The standard error of its location; of the logarithm where the kind says so."""
        return self.printed[0].error


@dataclass(frozen=True, slots=True)
class Term:
    """A row's residuals (m,) and their derivatives by samples and noise variances, both (m, J, K).

    ``predicted`` is what stands against the row's value, on the scale of the row, with its derivatives
    ``predicted_s`` and ``predicted_v`` (J, K). ``constant`` makes -2LL out of the sum of squares; ``labels``
    says what each residual is about.
    """

    residuals: Array
    by_s: Array
    by_v: Array
    predicted: float
    predicted_s: Array
    predicted_v: Array
    constant: float
    labels: tuple[str, ...]


def normal_term(measured: Measured, found: list[Statistic], predicted: Statistic) -> Term:
    """Residuals (number of the population - printed one)/standard error."""
    pairs = list(zip(measured.printed, found, strict=True))
    return Term(
        np.array([(f.value - p.value) / p.error for p, f in pairs]),
        np.stack([f.by_s / p.error for p, f in pairs]),
        np.stack([f.by_v / p.error for p, f in pairs]),
        predicted.value,
        predicted.by_s,
        predicted.by_v,
        sum(p.constant for p in measured.printed),
        tuple(p.label for p in measured.printed),
    )


def single_term(
    label: str, residual: float, slope: float, of: Statistic, predicted: Statistic, constant: float
) -> Term:
    """One residual that is a function of one number of the population; slope: its derivative."""
    return Term(
        np.array([residual]),
        slope * of.by_s[None],
        slope * of.by_v[None],
        predicted.value,
        predicted.by_s,
        predicted.by_v,
        constant,
        (label,),
    )
