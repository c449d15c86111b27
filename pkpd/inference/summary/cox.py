"""What a Cox regression of the arms of a trial estimates in the limit of many patients, as the model predicts
them: the root of the expected score of the partial likelihood (Struthers & Kalbfleisch 1986, Biometrika
73:363; Lin & Wei 1989, J Am Stat Assoc 84:1074), with the patients followed until the horizon.

A patient i of weight q_i has covariates x_i, and is without the event at the times of a grid with
probabilities S_i(t_g). In interval g, d_i = S_i(t_g) - S_i(t_g+1) is that of the event and m_i = (S_i(t_g) +
S_i(t_g+1))/2 that of being at risk, and with E_g the mean of x over those at risk, weighted by theta_i =
exp(beta' x_i),

    U(beta) = sum_g sum_i q_i d_i (x_i - E_g) = 0,   E_g = sum_i q_i theta_i m_i x_i / sum_i q_i theta_i m_i

It is the model's patients that are compared, so that those who die early leave others behind: of patients who
differ in what the regression does not know, the hazard ratio is nearer to 1 than that of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FLOOR = 1e-9
"""Events in an interval that each patient at risk has beside the model's: arms in which nothing happens have
a hazard ratio that is far from 1, but finite."""
_RIDGE = 1e-12
"""Of a covariate that is the same in all patients the coefficient is 0."""
_STEPS, _CLOSE, _LARGEST = 60, 1e-12, 3.0


class TrialArmPatients(NamedTuple):
    """Patients of one arm: ``free`` (n_times, K), probabilities of no event so far, at the start first;
    covariates ``x`` (K, p); ``share`` of the trial's patients that they stand for."""

    free: Array
    x: Array
    share: float


class CoxLimit(NamedTuple):
    """Coefficients ``beta`` (p,); Fisher's information of one patient (p, p); of each arm the derivatives of
    beta by ``free`` (p, n_times, K) and by ``x`` (p, K, p); and of each interval E_g (G, p) and the baseline
    hazard (G,)."""

    beta: Array
    information: Array
    by_free: tuple[Array, ...]
    by_x: tuple[Array, ...]
    means: Array
    hazard: Array

    def of_patients(self, count: NDArray[np.intp], x: Array) -> Array:
        """To first order, what a trial's estimate is moved by: the mean of this over its patients (...), of
        covariates x (..., p), who were without the event at ``count`` (...) of the times after the start
        (Lin & Wei 1989)."""
        seen, zero = count < self.hazard.size, np.zeros((1, self.beta.size))
        of_event = np.concatenate([self.means, zero])
        risk = np.concatenate([np.cumsum(self.hazard) - self.hazard / 2, [self.hazard.sum()]])
        each = self.hazard[:, None] * self.means
        of_risk = np.concatenate([np.cumsum(each, axis=0) - each / 2, each.sum(axis=0, keepdims=True)])
        theta = np.exp(x @ self.beta)
        score = (
            (seen - theta * risk[count])[..., None] * x - of_event[count] + theta[..., None] * of_risk[count]
        )
        return np.asarray(score @ np.linalg.inv(self.information))


def cox_limit(arms: Sequence[TrialArmPatients]) -> CoxLimit:
    """The coefficients to which the estimates of larger and larger trials go; shares add up to 1."""
    q = np.concatenate([np.full(arm.free.shape[1], arm.share / arm.free.shape[1]) for arm in arms])
    free, x = np.concatenate([arm.free for arm in arms], axis=1), np.concatenate([arm.x for arm in arms])
    at_risk = (free[:-1] + free[1:]) / 2 + 1e-300
    events = free[:-1] - free[1:] + _FLOOR * at_risk
    found = _root(q, x, at_risk, events)
    total = events @ q
    apart = x[None] - found.means[:, None]  # (G, K, p)
    by_event = q[:, None] * apart
    by_risk = -(total / found.norm)[:, None, None] * (q * found.theta)[:, None] * apart + _FLOOR * by_event
    by_free = np.zeros((*free.shape, x.shape[1]))
    by_free[:-1] += by_event + by_risk / 2
    by_free[1:] += by_risk / 2 - by_event
    weight = (total / found.norm)[:, None] * (q * found.theta) * at_risk  # (G, K)
    own = q * events.sum(axis=0) - weight.sum(axis=0)
    by_x = own[:, None, None] * np.eye(x.shape[1])
    by_x -= np.einsum("gk,gki,j->kij", weight, apart, found.beta)
    inverse = np.linalg.inv(found.information)
    ends = np.cumsum([arm.free.shape[1] for arm in arms])[:-1]
    return CoxLimit(
        found.beta,
        found.information,
        tuple(np.split(np.einsum("ij,gkj->igk", inverse, by_free), ends, axis=2)),
        tuple(np.split(np.einsum("ij,kjl->ikl", inverse, by_x), ends, axis=1)),
        found.means,
        total / found.norm,
    )


class _Root(NamedTuple):
    """Where the score is 0: theta (K,), sums of those at risk (G,), means of their x (G, p)."""

    beta: Array
    theta: Array
    norm: Array
    means: Array
    information: Array


def _root(q: Array, x: Array, at_risk: Array, events: Array) -> _Root:
    """By Newton's method: the logarithm of the partial likelihood is concave."""
    total, scored = events @ q, (q * events.sum(axis=0)) @ x
    beta = np.zeros(x.shape[1])

    def at(beta: Array) -> tuple[float, Array, _Root]:
        theta = np.exp(x @ beta)
        weights = at_risk * (q * theta)
        norm = weights.sum(axis=1)
        means = weights @ x / norm[:, None]
        squares = np.einsum("gk,ki,kj->gij", weights, x, x) / norm[:, None, None]
        information = np.einsum("g,gij->ij", total, squares - means[:, :, None] * means[:, None, :])
        information += _RIDGE * float(total @ np.einsum("gii->g", squares)) * np.eye(beta.size)
        value = float(scored @ beta - total @ np.log(norm))
        return value, scored - total @ means, _Root(beta, theta, norm, means, information)

    value, score, found = at(beta)
    for _ in range(_STEPS):
        step = np.linalg.solve(found.information, score)
        size = float(np.sqrt(score @ step))
        step *= min(1.0, _LARGEST / max(float(np.abs(x @ step).max()), 1e-300))
        higher, score_there, there = at(found.beta + step)
        while not higher >= value - 1e-13 * abs(value) and np.abs(step).max() > 1e-14:
            step = step / 2
            higher, score_there, there = at(found.beta + step)
        value, score, found = higher, score_there, there
        if size < _CLOSE:
            break
    return found
