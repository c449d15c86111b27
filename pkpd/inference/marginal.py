"""The likelihood with study effects integrated out, and its exact gradient.

The effects b_s of a study s are normal with mean 0 and SDs tau; its rows have residuals r(theta, b_s). With
the densities of theirs,

    m_s = integral of exp(-|r|^2 / 2) N(b_s; 0, diag tau^2) db_s

by adaptive Gauss-Hermite quadrature: nodes around the mode of b_s, in the axes of its curvature (Pinheiro &
Bates 1995, J Comput Graph Stat 4:12, sec. 2.4; Liu & Pierce 1994, Biometrika 81:624). It is exact where
residuals are linear in b, with any number of nodes. The gradient is the mean of that of the complete data
over the nodes (Fisher's identity: Louis 1982, J R Stat Soc B 44:226, eq. 3.1).

Studies without effects add their likelihood as it is.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.objective import BadPoint, Evaluation, Objective, minus_2ll_of

Array = NDArray[np.float64]
Places = NDArray[np.intp]

NODES = {0: 1, 1: 7, 2: 3}
"""Of the quadrature along each effect of a study with so many, where the gradient is wanted; else 3."""
FINE_NODES = {0: 1, 1: 9, 2: 5}
"""Where only the likelihood is."""
FEW_NODES = 3
MODE_STEPS, AT_MODE = 12, 1e-3
"""Gauss-Newton steps to a study's mode at most; and what a step promises there, in -2 log likelihood."""


def effects_of(objective: Objective) -> Places:
    """Indices of the coordinates that are study effects."""
    return np.array([i for i, c in enumerate(objective.coordinates) if c.kind == "study effect"], dtype=int)


@dataclass(frozen=True)
class Integrated:
    """The marginal likelihood at a point.

    Attributes
    ----------
    x : (n,) the point, with the effects at their modes.
    minus_2ll : -2 log marginal likelihood, all constants in it.
    gradient : (n,) of half of it by the coordinates; 0 for effects.
    second_moments : (n,) of the effects given the data, E b^2; 0 for others.
    residuals, jacobian : (M,) and (M, n) of all rows at the modes.
    """

    x: Array
    minus_2ll: float
    gradient: Array
    second_moments: Array
    residuals: Array
    jacobian: Array


class Marginal:
    """The marginal likelihood of an objective: its studies one by one."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.studies: list[tuple[Objective, Places]] = []
        effects = effects_of(objective)
        with_effects = dict.fromkeys(objective.coordinates[i].study for i in effects)
        for study in with_effects:
            inside = objective.restricted(lambda row, study=study: row.study == study)  # type: ignore[misc]
            places = [i for i in effects if objective.coordinates[i].study == study]
            self.studies.append((inside, np.array(places, dtype=int)))
        rest = objective.restricted(lambda row: row.study not in with_effects)
        if rest.rows:
            self.studies.append((rest, np.zeros(0, dtype=int)))

    def at(self, x: Array, sds: Array) -> Integrated:
        """The likelihood and its gradient, (n,) ``sds`` being those of the effects. Raises ``BadPoint``."""
        x = np.array(x, dtype=float)
        gradient, second = np.zeros(x.size), np.zeros(x.size)
        minus_2ll, residuals, jacobians = 0.0, [], []
        for inside, places in self.studies:
            mode = _mode(inside, places, x, sds)
            x[places] = mode.x[places]
            total, nodes = _quadrature(mode, inside, sds, NODES, jacobian=True)
            minus_2ll += total
            for share, b, found in nodes:
                assert found.jacobian is not None  # asked for
                gradient += share * (found.jacobian.T @ found.residuals)
                second[places] += share * b**2
            assert mode.found.jacobian is not None
            residuals.append(mode.found.residuals)
            jacobians.append(mode.found.jacobian)
        gradient[effects_of(self.objective)] = 0.0
        return Integrated(
            x, minus_2ll, gradient, second, np.concatenate(residuals), np.concatenate(jacobians)
        )

    def minus_2ll(self, x: Array, sds: Array) -> float:
        """-2 log marginal likelihood at a point: with more nodes, or with fewer where the model cannot be
        simulated at some; with one it is Laplace's approximation. Raises ``BadPoint``."""
        total = 0.0
        for inside, places in self.studies:
            mode = _mode(inside, places, x, sds)
            for nodes in (FINE_NODES, NODES):
                try:
                    total += _quadrature(mode, inside, sds, nodes, jacobian=False)[0]
                    break
                except BadPoint:
                    continue
            else:
                total += _quadrature(mode, inside, sds, {places.size: 1}, jacobian=False)[0]
        return total


@dataclass(frozen=True)
class _Mode:
    """Of the effects (``places`` of ``x``) of one study: what was found there, and ``precision`` (q, q), the
    curvature of half the cost."""

    x: Array
    places: Places
    found: Evaluation
    precision: Array

    @cached_property
    def root(self) -> Array:
        """(q, q) with root root' = precision^-1."""
        return np.asarray(np.linalg.inv(np.linalg.cholesky(self.precision)).T)


def _mode(inside: Objective, places: Places, start: Array, sds: Array) -> _Mode:
    """Gauss-Newton from the effects of before; a step that raises the cost, or to where the model cannot be
    simulated, is halved."""
    x = np.array(start, dtype=float)
    weights = 1 / sds[places] ** 2
    found = inside.evaluate(x, jacobian=True)
    for step in range(MODE_STEPS + 1):
        assert found.jacobian is not None  # asked for
        z = found.jacobian[:, places]
        precision = z.T @ z + np.diag(weights)
        change = -np.linalg.solve(precision, z.T @ found.residuals + weights * x[places])
        if step == MODE_STEPS or float(change @ precision @ change) < AT_MODE:
            break
        cost = float(found.residuals @ found.residuals + weights @ x[places] ** 2)
        for shorter in (1.0, 0.5, 0.25, 0.125):
            trial = x.copy()
            trial[places] += shorter * change
            with contextlib.suppress(BadPoint):
                tried = inside.evaluate(trial)
                if float(tried.residuals @ tried.residuals + weights @ trial[places] ** 2) < cost:
                    break
        else:
            break
        x, found = trial, inside.with_jacobian(trial, tried)
    return _Mode(x, places, found, precision)


def _quadrature(
    mode: _Mode, inside: Objective, sds: Array, nodes: dict[int, int], *, jacobian: bool
) -> tuple[float, list[tuple[float, Array, Evaluation]]]:
    """-2 log m_s, and the nodes: posterior weight, effects (q,), and what was found there."""
    from scipy.special import logsumexp

    q, tau = mode.places.size, sds[mode.places]
    points, shares = np.polynomial.hermite_e.hermegauss(nodes.get(q, FEW_NODES))
    found, logs = [], []
    for index in itertools.product(range(points.size), repeat=q):
        z = points[list(index)]
        x = mode.x.copy()
        x[mode.places] += mode.root @ z
        here = mode.found if not z.any() else inside.evaluate(x, jacobian=jacobian)
        b = x[mode.places]
        cost = float(here.residuals @ here.residuals + np.sum((b / tau) ** 2))
        logs.append(float(np.log(shares[list(index)] / shares.sum()).sum() + z @ z / 2 - cost / 2))
        found.append((b, here))
    total = float(logsumexp(logs))
    constants = sum(term.constant for term in mode.found.terms) + mode.found.log_det
    spread = float(np.linalg.slogdet(mode.precision)[1] + np.sum(np.log(tau**2)))
    weights = np.exp(np.array(logs) - total)
    return constants - 2 * total + spread, [
        (float(w), b, e) for w, (b, e) in zip(weights, found, strict=True)
    ]


@dataclass(frozen=True)
class InformationCriteria:
    """What models are compared by.

    Attributes
    ----------
    minus_2ll : of the data, study effects integrated out.
    parameters : how many the data inform, the SDs between studies that were estimated among them.
    independent : groups of rows that are independent of each other given the parameters.
    """

    minus_2ll: float
    parameters: float
    independent: int

    @property
    def aic(self) -> float:
        """That of the marginal likelihood (Vaida & Blanchard 2005, Biometrika 92:351, sec. 2)."""
        return self.minus_2ll + 2 * self.parameters

    @property
    def bic(self) -> float:
        """With the number of independent groups as n."""
        return self.minus_2ll + math.log(self.independent) * self.parameters


def criteria(
    objective: Objective, x: Array, evaluation: Evaluation, *, simulate: bool = True
) -> InformationCriteria:
    """Of an objective at its optimum, with the evaluation there (with Jacobian); without more simulations the
    likelihood is Laplace's approximation."""
    assert evaluation.jacobian is not None  # asked for
    effects = effects_of(objective)
    sds = np.array([c.sd for c in objective.coordinates])
    quadrature = simulate and effects.size
    minus_2ll = Marginal(objective).minus_2ll(x, sds) if quadrature else laplace(objective, x, evaluation)
    with_effects = {objective.coordinates[i].target for i in effects}
    free = sum(each.free and each.parameter in with_effects for each in objective.spec.study_effects)
    parameters = _effective(objective, evaluation.jacobian) + free
    return InformationCriteria(minus_2ll, parameters, _independent_groups(objective))


def laplace(objective: Objective, x: Array, evaluation: Evaluation) -> float:
    """-2 log marginal likelihood at the effects' modes by Laplace's approximation: the likelihood itself
    where there are no effects."""
    assert evaluation.jacobian is not None  # asked for
    effects = effects_of(objective)
    sds = np.array([c.sd for c in objective.coordinates])[effects]
    scaled = evaluation.jacobian[:, effects] * sds
    log_det = float(np.linalg.slogdet(np.eye(effects.size) + scaled.T @ scaled)[1])
    return minus_2ll_of(evaluation)[0] + float(np.sum((x[effects] / sds) ** 2)) + log_det


def _independent_groups(objective: Objective) -> int:
    """How many groups of rows are independent of each other given the parameters: rows that share patients
    are of one group, and those of a study that has effects."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    with_effects = {objective.coordinates[i].study for i in effects_of(objective)}
    columns: dict[Hashable, int] = {}
    pairs = []
    for r, (row, place) in enumerate(zip(objective.rows, objective.plan.placements, strict=True)):
        shared = (
            [(row.study,)] if row.study in with_effects else [objective.plan.arms[a].key for a in place.arms]
        )
        pairs += [(r, columns.setdefault(key, len(columns))) for key in shared]
    count, size = len(objective.rows), len(objective.rows) + len(columns)
    lines = np.array([pair[0] for pair in pairs]), np.array([count + pair[1] for pair in pairs])
    found = connected_components(coo_array((np.ones(len(pairs)), lines), (size, size)), directed=False)
    return int(found[0])


def _effective(objective: Objective, jacobian: Array) -> float:
    """The trace of (I + P)^-1 I, where I is the information of the marginal likelihood by the parameters and
    P that of their priors; jacobian : (M, n) of the data's residuals."""
    effects = effects_of(objective)
    others = np.setdiff1d(np.arange(jacobian.shape[1]), effects)
    sds = np.array([c.sd for c in objective.coordinates])
    x, z = jacobian[:, others], jacobian[:, effects]
    inner = z.T @ z + np.diag(1 / sds[effects] ** 2)
    information = x.T @ x - x.T @ z @ np.linalg.solve(inner, z.T @ x)
    precision = 1 / sds[others] ** 2
    diagonal = np.diag(information) + precision
    # both are scaled to a diagonal of 1; what neither rows nor a prior inform counts nothing
    scale = np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)), 0.0)
    information = information * scale[:, None] * scale
    both = information + np.diag(precision * scale**2)
    return float(np.trace(np.linalg.pinv(both, rcond=1e-12, hermitian=True) @ information))
