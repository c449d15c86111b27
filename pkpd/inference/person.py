"""The posterior of one person's random effects: modes, their curvature, and weighted draws.

ETA_j = spread_j z_j, z normal with the model's correlations: the prior, one for each draw of the estimates.
A mode for each of them is found by Fisher scoring, all at once; around each, draws are made from a t
distribution with its curvature (Laplace) and, one in six, from the prior, and weighted by how much more
probable they are than they were to be drawn (importance sampling: Gelman et al., Bayesian Data Analysis, 3rd
ed. 2013, section 10.4; of mixtures Owen & Zhou 2000, J Am Stat Assoc 95:135). Draws of the estimates under
which the measurements are more probable so count more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.subject import SubjectLikelihood
from pkpd.simulation.profile import normals
from pkpd.solver.kernel import Kernel

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_STEPS = 60
SMALL = 1e-5  # of minus the log-density: a step that promises less ends the search
_FREEDOM = 5  # of the t distribution
_PER_PRIOR = 6  # one draw in so many is from the prior
_DRAWN, _BEFORE = 7, 8  # streams of ``normals``


@dataclass(frozen=True)
class EffectsPrior:
    """What is known of a person's random effects before anything is measured, for D draws of the estimates.

    kernel : of the model; places : (q,), of the parameters that differ; typical : (D, n_params); spread : (D,
    q), log-SDs; mean : (D, q) and covariance : (q, q), of z.
    """

    kernel: Kernel
    places: Integers
    typical: Array
    spread: Array
    mean: Array
    covariance: Array

    @property
    def names(self) -> tuple[str, ...]:
        """(q,) of the parameters that differ."""
        return tuple(self.kernel.PARAMETERS[place] for place in self.places)

    def values(self, draw: Integers, z: Array) -> Array:
        """Parameters (n, n_params) of effects z (n, q) at these draws of the estimates, (n,)."""
        found = self.typical[draw].copy()
        found[:, self.places] *= np.exp(self.spread[draw] * z)
        return np.clip(found, self.kernel.LOWER, self.kernel.UPPER)

    def slope(self, draw: Integers, values: Array) -> Array:
        """(n, q) derivatives of the parameters by z; none at a bound."""
        own = values[:, self.places]
        low, high = self.kernel.LOWER[self.places], self.kernel.UPPER[self.places]
        return np.where((own > low) & (own < high), own * self.spread[draw], 0.0)

    def minus_log(self, draw: Integers, z: Array) -> Array:
        """Minus the logarithm of the density of z, (n,)."""
        return _minus_normal(z - self.mean[draw], self.covariance)

    def drawn(self, n: int, seed: int) -> tuple[Integers, Array]:
        """Draws (n,) of the estimates in turn, and effects (n, q) from the prior."""
        draw = np.arange(n, dtype=np.int64) % len(self.typical)
        root = np.linalg.cholesky(self.covariance)
        return draw, self.mean[draw] + normals(seed, n, self.places.size, _BEFORE) @ root.T


class Modes(NamedTuple):
    """For each draw of the estimates: where the posterior is highest, (D, q), the covariance there (Laplace),
    (D, q, q), and minus the log-density, (D,)."""

    z: Array
    covariance: Array
    value: Array


class WeightedDraws(NamedTuple):
    """Draws of the estimates (n,) and effects (n, q) with weights (n,) that sum to 1."""

    draw: Integers
    z: Array
    weights: Array

    @property
    def effective(self) -> float:
        """How many independent draws these are worth (Kish)."""
        return float(1.0 / np.sum(self.weights**2))

    def resampled(self, n: int) -> Integers:
        """(n,) numbers of draws, each as often as its weight says (systematic resampling)."""
        at = (np.arange(n) + 0.5) / n
        found = np.searchsorted(np.cumsum(self.weights), at * (1 - 1e-12))
        return np.minimum(found, self.weights.size - 1)


def modes(prior: EffectsPrior, likelihood: SubjectLikelihood) -> Modes:
    """The modes, by Fisher scoring with damping, of all draws of the estimates at once."""
    draw = np.arange(len(prior.typical), dtype=np.int64)
    precision = np.asarray(np.linalg.inv(prior.covariance), np.float64)
    z = prior.mean.copy()
    value, gradient, curvature = _posterior(prior, likelihood, precision, draw, z)
    damping, open_ = np.full(draw.size, 1e-3), np.isfinite(value)
    for _ in range(MOST_STEPS):
        which = np.flatnonzero(open_)
        if not which.size:
            break
        diagonal = np.einsum("nqq->nq", curvature[which])
        damped = curvature[which] + damping[which, None, None] * diagonal[:, :, None] * np.eye(z.shape[1])
        step = -np.linalg.solve(damped, gradient[which][..., None])[..., 0]
        promised = -np.einsum("nq,nq->n", step, gradient[which])
        tried = _posterior(prior, likelihood, precision, which, z[which] + step)
        better = tried[0] < value[which]
        taken, left = which[better], which[~better]
        z[taken] += step[better]
        value[taken], gradient[taken], curvature[taken] = (part[better] for part in tried)
        damping[taken], damping[left] = damping[taken] / 5, damping[left] * 8
        open_[which[promised < SMALL]] = False
        open_[left[damping[left] > 1e8]] = False
    return Modes(z, np.asarray(np.linalg.inv(curvature), np.float64), value)


def _posterior(
    prior: EffectsPrior, likelihood: SubjectLikelihood, precision: Array, draw: Integers, z: Array
) -> tuple[Array, Array, Array]:
    """Minus the log-density, its gradient and expected curvature by z."""
    values = prior.values(draw, z)
    point, slope = likelihood.derived(values), prior.slope(draw, values)
    off = z - prior.mean[draw]
    gradient = point.gradient * slope + off @ precision
    curvature = point.information * slope[:, :, None] * slope[:, None, :] + precision
    return point.value + prior.minus_log(draw, z), gradient, curvature


def sampled(
    prior: EffectsPrior, likelihood: SubjectLikelihood, found: Modes, n: int, seed: int
) -> WeightedDraws:
    """At least n weighted draws from the posterior, as many for each draw of the estimates."""
    n_draws, q = found.z.shape
    each = _PER_PRIOR * math.ceil(n / n_draws / _PER_PRIOR)
    draw = np.repeat(np.arange(n_draws, dtype=np.int64), each)
    raw = normals(seed, draw.size, q + _FREEDOM, _DRAWN)
    from_prior = np.arange(draw.size) % _PER_PRIOR == 0
    stretch = np.sqrt(_FREEDOM / (raw[:, q:] ** 2).sum(axis=1))
    roots = np.asarray(np.linalg.cholesky(found.covariance), np.float64)
    z = found.z[draw] + np.einsum("nqp,np->nq", roots[draw], raw[:, :q]) * stretch[:, None]
    prior_root = np.linalg.cholesky(prior.covariance)
    z[from_prior] = prior.mean[draw[from_prior]] + raw[from_prior, :q] @ prior_root.T

    log_prior = -prior.minus_log(draw, z)
    log_proposed = np.logaddexp(
        math.log(1 / _PER_PRIOR) + log_prior,
        math.log(1 - 1 / _PER_PRIOR) + _log_t(z - found.z[draw], roots[draw]),
    )
    log_weights = log_prior - likelihood.minus_log(prior.values(draw, z)) - log_proposed
    weights = np.exp(log_weights - log_weights.max())
    return WeightedDraws(draw, z, weights / weights.sum())


def _log_t(off: Array, roots: Array) -> Array:
    """The logarithm of the density of a multivariate t distribution; off : (n, q), roots : (n, q, q)."""
    q, nu = off.shape[1], _FREEDOM
    scaled = np.linalg.solve(roots, off[..., None])[..., 0]
    constant = math.lgamma((nu + q) / 2) - math.lgamma(nu / 2) - q / 2 * math.log(nu * math.pi)
    log_det = np.log(np.einsum("nqq->nq", roots)).sum(axis=1)
    return constant - log_det - (nu + q) / 2 * np.log1p((scaled**2).sum(axis=1) / nu)


def _minus_normal(off: Array, covariance: Array) -> Array:
    scaled = off @ np.linalg.inv(covariance)
    log_det = float(np.linalg.slogdet(covariance)[1])
    return 0.5 * ((scaled * off).sum(axis=1) + log_det + off.shape[1] * math.log(2 * math.pi))
