"""An objective around its lowest point -> the log density of the posterior, with its gradient, as a sampler
wants it.

The log density is minus half of what the objective's residuals and priors add up to, at the scores and
correlations of residuals that the fit ended with. It is that of the coordinates (logarithms of positive
parameters, logits of fractions), on which normal priors stand; a uniform prior is one of the parameter
itself, so that its slope counts. Without a prior it is flat on the coordinate's scale.

    x = within(y0 + C^1/2 u)      y0, C: the optimum and the covariance there

A sampler moves u, which near the optimum has no correlations and the scale 1, whatever the units. A single
bound is a mirror: y beyond it is read as its image, so that the density is continuous and needs no Jacobian,
and is bent nowhere else. Between two bounds x is lower + (upper - lower) Phi(y), with its Jacobian: what is
flat there is a standard normal y, and what is narrow hardly bent. (Mirrors on both sides would leave a flat
posterior no end in y; to refuse what is outside would make every trajectory that meets a bound diverge.)
Where the model cannot be simulated the density is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import DataError
from pkpd.inference.coordinates import slope_of
from pkpd.inference.objective import BadPoint, Evaluation, Objective
from pkpd.inference.search import Minimum, sizes

Array = NDArray[np.float64]

UNKNOWN = 1e-14
"""Of the information on what is known best: what less is known of is not known."""
OFF = 0.01
"""A coordinate on one of two bounds counts as so much of their distance off it, where it is looked at how far
it may move."""
FAR = 2.0
"""Chains begin so many SDs of the posterior from an optimum: further apart than they end up, so that it shows
when they have come together."""


class Within(NamedTuple):
    """Points x (n,) within bounds by free ones y, the slopes dx/dy, and the logarithm of their product with
    its gradient by y (n,), which belong to the density of y; a mirror's are 0."""

    x: Array
    slope: Array
    log_slope: float
    log_slope_by_y: Array


def within(y: Array, lower: Array, upper: Array) -> Within:
    """Points y (n,) brought within bounds; infinite ones are none."""
    from scipy.special import ndtr

    x, slope, by_y = y.copy(), np.ones_like(y), np.zeros_like(y)
    low, high = np.isfinite(lower), np.isfinite(upper)
    below, above, both = low & ~high & (y < lower), high & ~low & (y > upper), low & high
    x[below], x[above] = (2 * lower - y)[below], (2 * upper - y)[above]
    slope[below | above] = -1.0
    width = (upper - lower)[both]
    x[both] = lower[both] + width * ndtr(y[both])
    slope[both] = width * np.exp(-(y[both] ** 2) / 2) / np.sqrt(2 * np.pi)
    by_y[both] = -y[both]
    return Within(x, slope, -float(y[both] @ y[both]) / 2, by_y)


def outside(x: Array, lower: Array, upper: Array) -> Array:
    """The way back; of a point on one of two bounds one that is just off it."""
    from scipy.special import ndtri

    y, both = x.copy(), np.isfinite(lower) & np.isfinite(upper)
    share = (x[both] - lower[both]) / (upper - lower)[both]
    y[both] = ndtri(np.clip(share, OFF, 1 - OFF))
    return y


@dataclass(frozen=True)
class DensityPoint:
    """The posterior at a point: x (n,), the log density up to a constant, its gradient by u (n,), and the log
    likelihood of each row given those before it that share its patients (n_rows,). Where the model cannot be
    simulated: -inf, 0, nan."""

    x: Array
    value: float
    gradient: Array
    rows: Array


class PosteriorDensity:
    """The log density of the posterior in the coordinates u.

    centre : (n,) the optimum y0; root : (n, n), the symmetrical root of the covariance. Raises ``DataError``
    where neither rows nor priors nor bounds determine a coordinate: there is no such posterior."""

    def __init__(self, objective: Objective, minimum: Minimum) -> None:
        self.objective = objective
        self.centre = outside(minimum.x, *objective.bounds)
        self.root = self._root(minimum)
        self._scales = [
            coordinate.scale if coordinate.prior.startswith("uniform") else "natural"
            for coordinate in objective.coordinates
        ]

    def _root(self, minimum: Minimum) -> Array:
        """Of the inverse of the information in y: that of rows and priors, and 1 between two bounds, where y
        is by itself a standard normal."""
        here = within(self.centre, *self.objective.bounds)
        size = np.where(here.slope == 1, sizes(self.objective, minimum.jacobian), 1.0)
        scaled = minimum.jacobian * here.slope * size
        own = np.logical_and(*map(np.isfinite, self.objective.bounds))
        information, vectors = np.linalg.eigh(scaled.T @ scaled + np.diag(own.astype(float)))
        dead = information < UNKNOWN * information.max(initial=0.0)
        if dead.any():
            free = (np.abs(vectors[:, dead]) > 0.1).any(axis=1)
            names = ", ".join(np.array([c.name for c in self.objective.coordinates])[free])
            raise DataError(
                f"neither rows nor priors determine {names}: there is no posterior to draw from; give a prior"
            )
        covariance = (vectors / information) @ vectors.T * size[:, None] * size
        squares, vectors = np.linalg.eigh(covariance)
        return np.asarray((vectors * np.sqrt(np.maximum(squares, 0.0))) @ vectors.T)

    def u(self, x: Array) -> Array:
        """Where a point within the bounds is."""
        return np.asarray(np.linalg.solve(self.root, outside(x, *self.objective.bounds) - self.centre))

    def at(self, u: Array, *, gradient: bool = True) -> DensityPoint:
        """The posterior at u (n,); without its gradient, which then is 0, in a quarter of the time."""
        there = within(self.centre + self.root @ u, *self.objective.bounds)
        try:
            found = self.objective.evaluate(there.x, jacobian=gradient)
        except BadPoint:
            return DensityPoint(there.x, -np.inf, np.zeros_like(u), np.full(len(self.objective.rows), np.nan))
        value, by_u = self.besides_rows(there)
        value -= float(found.residuals @ found.residuals) / 2
        if found.jacobian is None:
            by_u = np.zeros_like(u)
        else:
            by_u = by_u - found.residuals @ self.by_u(there, found.jacobian)
        return DensityPoint(there.x, value, by_u, log_likelihood(self.objective, found))

    def besides_rows(self, there: Within) -> tuple[float, Array]:
        """What priors and bounds add to the log density, and its gradient by u (n,)."""
        prior, jacobian = self.objective.prior(there.x)
        slope, bend = self._slopes(there.x)
        value = slope + there.log_slope - float(prior @ prior) / 2
        return value, self.root @ (there.slope * (bend - jacobian.T @ prior) + there.log_slope_by_y)

    def by_u(self, there: Within, jacobian: Array) -> Array:
        """Derivatives by u of what has the derivatives ``jacobian`` (m, n) by x."""
        return np.asarray((jacobian * there.slope) @ self.root)

    def _slopes(self, x: Array) -> tuple[float, Array]:
        """What makes densities of parameters with a uniform prior those of their coordinates: the logarithm
        of the slopes, and its gradient."""
        total, by_x = 0.0, np.zeros_like(x)
        for k, scale in enumerate(self._scales):
            total += np.log(slope_of(scale, float(x[k])))
            if scale == "log":
                by_x[k] = 1.0
            elif scale == "logit":
                by_x[k] = -np.tanh(x[k] / 2)
        return total, by_x


def log_likelihood(objective: Objective, evaluation: Evaluation) -> Array:
    """Of each row, given those before it that share its patients, (n_rows,); together -1/2 of -2LL."""
    errors = objective.errors
    sizes = [term.residuals.size for term in evaluation.terms]
    scales = np.zeros(sum(sizes))
    if errors is not None and scales.size:
        scales = 2 * np.log(np.diag(np.linalg.cholesky(errors.correlation)))
    parts = np.split(scales, np.cumsum(sizes)[:-1])
    constants = [term.constant + part.sum() for term, part in zip(evaluation.terms, parts, strict=True)]
    return -(np.array(evaluation.contributions()) + constants) / 2


def blocks_of(objective: Objective) -> tuple[int, ...]:
    """Of each row the number of its block: rows of one block share patients, by whatever detour, and those of
    two blocks none."""
    found: list[int] = []
    owners: dict[object, int] = {}
    for row, place in zip(objective.rows, objective.plan.placements, strict=True):
        patients = {(row.study, view.arm, view.schedule, row.overrides) for view in place.views}
        joined = sorted({owners[one] for one in patients if one in owners})
        block = joined[0] if joined else len(found)
        for other in joined[1:]:
            found = [block if number == other else number for number in found]
            owners = {one: block if number == other else number for one, number in owners.items()}
        owners |= dict.fromkeys(patients, block)
        found.append(block)
    order = {number: k for k, number in enumerate(dict.fromkeys(found))}
    return tuple(order[number] for number in found)


class Walk:
    """The density as one chain goes through it. What the sampler keeps was computed on the way there, so that
    it is remembered until the next draw."""

    def __init__(self, density: PosteriorDensity) -> None:
        self.density = density
        self.visits = 0
        self._seen: dict[bytes, DensityPoint] = {}

    def __call__(self, u: Array) -> tuple[float, Array]:
        """Log density and gradient."""
        self.visits += 1
        found = self.density.at(u)
        self._seen[u.tobytes()] = found
        return found.value, found.gradient

    def kept(self, u: Array) -> DensityPoint:
        """The posterior at a draw."""
        key = u.tobytes()
        found = self._seen[key] if key in self._seen else self.density.at(u)
        self._seen = {key: found}
        return found


def overdispersed(density: PosteriorDensity, around: Array, z: Array) -> Array:
    """A start u for a chain: ``FAR`` posterior SDs times standard normal numbers z (n,) from a point x within
    the bounds; half as far, and again, where the model cannot be simulated there."""
    middle = density.u(around)
    for share in (FAR, FAR / 2, FAR / 4, FAR / 8):
        if np.isfinite(density.at(middle + share * z).value):
            return middle + share * z
    return middle
