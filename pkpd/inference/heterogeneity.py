"""How much studies differ: the SDs tau of study effects, estimated.

    ML      the likelihood with the effects integrated out (``marginal``) is highest by parameters and SDs
    REML    the same with the parameters integrated out of it, too, as normal: the SDs are not too small
            because parameters were estimated (Patterson & Thompson 1971, Biometrika 58:545; with priors of
            parameters it is the posterior of tau, empirical Bayes)

either with half-normal priors of the SDs (Gelman 2006, Bayesian Anal 1:515) or without. The gradient is
that of ``marginal``; steps come from the linear model of the residuals, in which both have closed forms

    V = I + Z diag(tau^2) Z',    P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1
    F = log det V + e' P e  (+ log det X' V^-1 X for REML)

with Fisher's scoring for tau^2 >= 0 (Harville 1977, J Am Stat Assoc 72:320, eq. 4.1-4.3; Viechtbauer 2005,
J Educ Behav Stat 30:261). How log det X' V^-1 X changes where the parameters move is left out, as in
Lindstrom & Bates 1990 (Biometrics 46:673, sec. 4).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.marginal import Integrated, Marginal, effects_of
from pkpd.inference.objective import BadPoint, Objective
from pkpd.inference.result import Heterogeneity
from pkpd.inference.search import LONGEST, OFV_NOISE, RIDGE, Minimum, in_box, sizes, with_prior

Array = NDArray[np.float64]
Method = Literal["REML", "ML"]

STEPS, LEAST_PROMISED = 15, 1e-7
"""Steps at most; a tenth of the tolerance in OFV is asked for, but no less than this."""
TRIES, LONGEST_STEP = 6, 4.0
"""Halvings of a step, and the factor by which a variance changes in one."""
LEAST, MOST = 1e-3, 1e3
"""Of an SD, as shares of the one that fit.toml states: no difference, and any."""
LIMIT = Z95**2
"""By so much F rises to the ends of a 95 % interval (chi-square of one degree of freedom)."""


@dataclass(frozen=True)
class Linear:
    """Residuals e + X d + Z b that are linear in parameters d and effects b, b normal with mean 0.

    Attributes
    ----------
    e : (M,) at d = 0, b = 0; standard normal if the model is right.
    x : (M, p).
    z : of each SD, (M, m) its effects' columns.
    known : (M, M) covariance of e: I and that of effects whose SD is known.
    method, scales : of each SD its half-normal prior (nan: none).
    """

    e: Array
    x: Array
    z: tuple[Array, ...]
    known: Array
    method: Method
    scales: Array

    def _matrices(self, v: Array) -> tuple[float, Array, Array]:
        """F without priors, P e, and W of the gradient tr(W Z Z') - |Z' P e|^2: P for REML, V^-1 for ML."""
        from scipy.linalg import cho_solve

        whole = self.known + sum(each * z @ z.T for each, z in zip(v, self.z, strict=True))
        factor = np.linalg.cholesky(whole)
        inverse = np.asarray(cho_solve((factor, True), np.eye(self.e.size)))
        inner = self.x.T @ inverse @ self.x
        p = inverse - inverse @ self.x @ np.linalg.solve(inner, self.x.T @ inverse)
        f = 2 * float(np.log(np.diag(factor)).sum()) + float(self.e @ p @ self.e)
        if self.method == "REML":
            f += float(np.linalg.slogdet(inner)[1])
        return f, p @ self.e, p if self.method == "REML" else inverse

    @property
    def _prior(self) -> Array:
        """1/s^2 of each, 0 without a prior."""
        return np.where(np.isfinite(self.scales), 1 / self.scales**2, 0.0)

    def value(self, v: Array) -> float:
        """F and the priors of the SDs at variances v, (K,)."""
        return self._matrices(v)[0] + float(self._prior @ v)

    def slope(self, v: Array) -> tuple[Array, Array]:
        """Half the gradient by v, (K,), and half its expected Hessian, (K, K)."""
        _, pe, w = self._matrices(v)
        wz = [w @ z for z in self.z]
        pairs = list(zip(wz, self.z, strict=True))
        gradient = [float(np.sum(w_z * z) - np.sum((z.T @ pe) ** 2)) for w_z, z in pairs]
        information = [[float(np.sum((w_z.T @ z) ** 2)) for z in self.z] for w_z in wz]
        return 0.5 * (np.array(gradient) + self._prior), 0.5 * np.array(information)

    def lowest(self, v: Array, low: Array, high: Array, tilt: Array) -> Array:
        """Variances of the lowest F + 2 tilt' v between low and high, from v."""
        cost = self.value(v) + 2 * float(tilt @ v)
        for _ in range(200):
            gradient, matrix = self.slope(v)
            gradient = gradient + tilt
            matrix = matrix + RIDGE * np.diag(np.maximum(np.diag(matrix), 1e-300))
            change = in_box(matrix, gradient, low - v, high - v)
            if -float(2 * gradient @ change + change @ matrix @ change) < 1e-12:
                break
            for shorter in 0.5 ** np.arange(20):
                trial = v + shorter * change
                tried = self.value(trial) + 2 * float(tilt @ trial)
                if tried < cost:
                    break
            else:
                break
            v, cost = trial, tried
        return v

    def interval(self, v: Array, low: Array, high: Array, k: int) -> tuple[float, float]:
        """Where the profile of F by v_k has risen by ``LIMIT`` from its lowest point, others at their best; 0
        and inf where it does not. v : where the search for that point begins."""
        from scipy.optimize import brentq

        none = np.zeros(v.size)
        v = self.lowest(v, low, high, none)
        floor = self.value(v)

        def risen(log_v: float) -> float:
            held_low, held_high, start = low.copy(), high.copy(), v.copy()
            held_low[k] = held_high[k] = start[k] = math.exp(log_v)
            return self.value(self.lowest(start, held_low, held_high, none)) - floor - LIMIT

        first, middle, last = math.log(low[k]), math.log(v[k]), math.log(high[k])
        below = above = None
        if first < middle and risen(first) > 0:
            below = brentq(risen, first, middle, xtol=1e-6)
        if middle < last and risen(last) > 0:
            above = brentq(risen, middle, last, xtol=1e-6)
        return (0.0 if below is None else math.exp(below), math.inf if above is None else math.exp(above))


@dataclass(frozen=True)
class _Group:
    """The effects of which an SD is estimated."""

    parameter: str
    scale: str
    places: NDArray[np.intp]
    start: float
    prior: float


def _groups(objective: Objective) -> list[_Group]:
    found = []
    effects = effects_of(objective)
    for stated in objective.spec.study_effects:
        places = [i for i in effects if objective.coordinates[i].target == stated.parameter]
        if stated.free and places:
            scale = objective.coordinates[places[0]].scale
            found.append(
                _Group(stated.parameter, scale, np.array(places, dtype=int), stated.sd, stated.prior)
            )
    return found


def is_estimated(objective: Objective) -> bool:
    """Whether the SD of some study effects of this objective is."""
    return bool(_groups(objective))


def _linear(objective: Objective, at: Integrated, groups: Sequence[_Group], sds: Array) -> Linear:
    """The residuals around a point, those of priors among them."""
    effects = effects_of(objective)
    others = np.setdiff1d(np.arange(at.x.size), effects)
    prior, prior_jacobian = objective.prior(at.x)
    kept = np.abs(prior_jacobian[:, others]).sum(axis=1) > 0  # not those of the effects themselves
    jacobian = np.concatenate([at.jacobian, prior_jacobian[kept]])
    jacobian[at.residuals.size :, effects] = 0.0
    e = np.concatenate([at.residuals, prior[kept]]) - jacobian[:, effects] @ at.x[effects]
    scaled = jacobian * sizes(objective, jacobian)
    basis, strength, _ = np.linalg.svd(scaled[:, others], full_matrices=False)
    x = basis[:, strength > 1e-7 * strength.max(initial=0.0)]
    free = np.concatenate([group.places for group in groups])
    fixed = np.setdiff1d(effects, free)
    known = np.eye(e.size) + (jacobian[:, fixed] * sds[fixed] ** 2) @ jacobian[:, fixed].T
    return Linear(
        e,
        x,
        tuple(jacobian[:, group.places] for group in groups),
        known,
        objective.options.heterogeneity,
        np.array([group.prior for group in groups]),
    )


def _half_gradient(objective: Objective, at: Integrated, groups: Sequence[_Group], v: Array) -> Array:
    """By the variances, (K,), of the marginal likelihood with priors of the SDs; of REML with what its
    log det adds."""
    more = _traces(objective, at) if objective.options.heterogeneity == "REML" else np.zeros(at.x.size)
    found = []
    for group, variance in zip(groups, v, strict=True):
        second = float((at.second_moments + more)[group.places].sum())
        prior = 1 / group.prior**2 if math.isfinite(group.prior) else 0.0
        found.append(0.5 * ((group.places.size - second / variance) / variance + prior))
    return np.array(found)


def _traces(objective: Objective, at: Integrated) -> Array:
    """(n,) by how much the parameters' uncertainty adds to the variances of the effects given the data."""
    effects = effects_of(objective)
    sds = _sds(objective)
    scale = sizes(objective, at.jacobian)
    whole = at.jacobian.T @ at.jacobian + np.diag(1 / sds**2)
    whole = whole * scale[:, None] * scale
    inner = whole[np.ix_(effects, effects)]
    found = np.zeros(at.x.size)
    joint = np.diag(np.linalg.pinv(whole, rcond=1e-14, hermitian=True))[effects]
    found[effects] = (joint - np.diag(np.linalg.inv(inner))) * scale[effects] ** 2
    return found


def _with_sds(objective: Objective, groups: Sequence[_Group], v: Array) -> Objective:
    """The same objective with SDs of study effects put at the roots of these variances."""
    found = list(objective.coordinates)
    for group, variance in zip(groups, v, strict=True):
        for i in group.places:
            sd = math.sqrt(variance)
            found[i] = replace(
                found[i], sd=sd, prior=f"normal(0, {sd:.3g}) on the {group.scale} scale, SD estimated"
            )
    return objective.with_coordinates(tuple(found))


def with_heterogeneity(objective: Objective, found: Sequence[Heterogeneity]) -> Objective:
    """The objective with the SDs of a result."""
    sds = {each.parameter: each.sd for each in found}
    groups = [group for group in _groups(objective) if group.parameter in sds]
    return _with_sds(objective, groups, np.array([sds[group.parameter] ** 2 for group in groups]))


def heterogeneity_of(objective: Objective, best: Minimum) -> tuple[Heterogeneity, ...]:
    """The SDs at an optimum of ``estimated``, with their intervals by the linear model there; nan where the
    rows cannot be simulated around it."""
    groups = _groups(objective)
    v, low, high = _variances(objective, groups)
    ends = [(math.nan, math.nan)] * len(groups)
    with contextlib.suppress(BadPoint):
        if groups:
            at = Marginal(objective).at(best.x, _sds(objective))
            linear = _linear(objective, at, groups, _sds(objective))
            ends = [linear.interval(v, low, high, k) for k in range(len(groups))]
    return tuple(
        Heterogeneity(
            group.parameter,
            group.scale,
            group.places.size,
            math.sqrt(variance),
            math.sqrt(lower),
            math.sqrt(upper),
            objective.options.heterogeneity,
            group.prior,
        )
        for group, variance, (lower, upper) in zip(groups, v, ends, strict=True)
    )


def _sds(objective: Objective) -> Array:
    return np.array([c.sd for c in objective.coordinates])


def _variances(objective: Objective, groups: Sequence[_Group]) -> tuple[Array, Array, Array]:
    """Those now, and between what they are estimated."""
    now = np.array([objective.coordinates[group.places[0]].sd for group in groups])
    start = np.array([group.start for group in groups])
    return now**2, (LEAST * start) ** 2, (MOST * start) ** 2


def estimated(objective: Objective, best: Minimum) -> tuple[Objective, Minimum]:
    """From an optimum at some SDs of study effects to that of the marginal likelihood, with the SDs where it
    is highest. Where none is estimated, nothing changes. Raises ``BadPoint`` where the rows cannot be
    simulated around the optimum."""
    groups = _groups(objective)
    if not groups:
        return objective, best
    v, low, high = _variances(objective, groups)
    marginal = Marginal(objective)
    at = marginal.at(best.x, _sds(objective))
    used, promised = 1, math.inf
    enough = max(0.1 * objective.options.tolerance, LEAST_PROMISED)
    for _ in range(STEPS):
        linear = _linear(objective, at, groups, _sds(objective))
        tilt = _half_gradient(objective, at, groups, v) - linear.slope(v)[0]
        wanted = linear.lowest(v, np.maximum(low, v / LONGEST_STEP), np.minimum(high, v * LONGEST_STEP), tilt)
        change, promised = _parameter_step(objective, at)
        promised += linear.value(v) - linear.value(wanted) + 2 * float(tilt @ (v - wanted))
        if promised < enough:
            break
        lower = _lower(marginal, objective, groups, at, change, v, wanted)
        used += TRIES if lower is None else lower[0]
        if lower is None:
            break
        _, v, objective, at = lower
    converged = promised < max(OFV_NOISE, enough)
    evaluation = objective.evaluate(at.x, jacobian=True)
    residuals, jacobian = with_prior(objective, at.x, evaluation)
    message = (
        "converged" if converged else f"the SDs between studies do not stand still ({promised:.2g} in OFV)"
    )
    return objective, dataclasses.replace(
        best,
        x=at.x,
        cost=float(residuals @ residuals),
        evaluation=evaluation,
        jacobian=jacobian,
        evaluations=best.evaluations + used,
        decrement=promised,
        converged=best.converged and converged,
        message=best.message if converged else message,
    )


def _parameter_step(objective: Objective, at: Integrated) -> tuple[Array, float]:
    """The Gauss-Newton step (n,) of the marginal likelihood with priors, and what it promises: that of all
    coordinates takes the effects with it."""
    effects = effects_of(objective)
    prior, prior_jacobian = objective.prior(at.x)
    gradient = at.gradient + prior_jacobian.T @ prior
    gradient[effects] = 0.0  # they are at their modes
    jacobian = np.concatenate([at.jacobian, prior_jacobian])
    scale = sizes(objective, jacobian)
    matrix = jacobian.T @ jacobian
    matrix = matrix + RIDGE * np.diag(np.maximum(np.diag(matrix), 1e-8 / scale**2))
    lower, upper = objective.bounds
    reach = np.array([math.inf if c.size is None else LONGEST * c.size for c in objective.coordinates])
    change = in_box(matrix, gradient, np.maximum(lower - at.x, -reach), np.minimum(upper - at.x, reach))
    return change, -float(2 * gradient @ change + change @ matrix @ change)


def _merit(objective: Objective, at: Integrated, groups: Sequence[_Group], v: Array) -> float:
    """What is lowered: -2 log marginal likelihood and priors, of REML with the log det of the parameters'
    curvature."""
    effects = effects_of(objective)
    parameters = np.setdiff1d(np.arange(at.x.size), effects)
    sds, centres = _sds(objective), np.array([c.centre for c in objective.coordinates])
    found = at.minus_2ll + float(np.sum(((at.x - centres) / sds)[parameters] ** 2))
    found += sum(each / group.prior**2 for each, group in zip(v, groups, strict=True) if group.prior > 0)
    if objective.options.heterogeneity == "REML":
        whole = at.jacobian.T @ at.jacobian + np.diag(1 / sds**2)
        whole = whole + RIDGE * np.diag(np.diag(whole))
        inner = whole[np.ix_(effects, effects)]
        found += float(np.linalg.slogdet(whole)[1] - np.linalg.slogdet(inner)[1])
    return found


def _lower(
    marginal: Marginal,
    objective: Objective,
    groups: Sequence[_Group],
    at: Integrated,
    change: Array,
    v: Array,
    wanted: Array,
) -> tuple[int, Array, Objective, Integrated] | None:
    """A step, halved until it lowers what is to be lowered: how often was tried, variances, objective, and
    the likelihood there. None where none does."""
    before = _merit(objective, at, groups, v)
    for tries, share in enumerate(0.5 ** np.arange(TRIES), 1):
        trial = v * (wanted / v) ** share
        there = _with_sds(objective, groups, trial)
        with contextlib.suppress(BadPoint):
            found = marginal.at(at.x + share * change, _sds(there))
            if _merit(there, found, groups, trial) < before:
                return tries, trial, there, found
    return None
