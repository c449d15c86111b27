"""What rows do to a fit: how others predict them, and how far the estimates move without them.

Rows of the same patients are correlated. What is left out is predicted given the rows of its patients that
stay: with precision P = R^-1 of all residuals z, what those of the rows o have beyond the others is normal,

    P_oo^-1 (P z)_o    with covariance    P_oo^-1    (Rue & Held 2005, Gaussian Markov Random Fields, 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.objective import BadPoint, Evaluation, Objective
from pkpd.inference.posterior import posterior_of
from pkpd.inference.search import Minimum
from pkpd.inference.summary import likelihood

Array = NDArray[np.float64]

Refitted = Callable[[Objective], tuple[Objective, Minimum]]
"""Makes the fit to the rows that stay: these, with the errors that it ended with, and its optimum."""


@dataclass(frozen=True)
class RowLeftOut:
    """A row, predicted without it.

    Attributes
    ----------
    row, study : its name.
    observed, predicted : on its scale.
    miss : (predicted - observed) over the SD of the prediction, standard normal if all is right; nan where
        only a bound was reported.
    error : that SD, in standard errors of the reported number: 1 if only the report erred.
    crps : continuous ranked probability score of the prediction, in standard errors of the reported number
        (Gneiting & Raftery 2007, JASA 102:359): the smaller the better.
    """

    row: str
    study: str
    observed: float
    predicted: float
    miss: float
    error: float
    crps: float

    @property
    def told(self) -> bool:
        """Whether a number was reported, and not only a bound."""
        return math.isfinite(self.miss)

    def within(self, level: float) -> bool:
        """Whether the number lies within the prediction's interval of this level."""
        from scipy.special import ndtri

        return abs(self.miss) <= float(ndtri((1 + level) / 2))


@dataclass(frozen=True)
class Left:
    """Rows that were left out, and the fit without them.

    log_density : predictive, of all that they print; -inf where they cannot be simulated.
    chi_square : squared distance of their residuals in units of their predictive covariance, about
        ``residuals`` (their number) if they are well predicted.
    """

    minimum: Minimum
    rows: tuple[RowLeftOut, ...]
    residuals: int
    log_density: float
    chi_square: float


def left_out(objective: Objective, ids: Collection[str], refitted: Refitted) -> Left:
    """Rows predicted by a fit to all others.

    They are predicted with the uncertainty of everything that was estimated without them (effects of a study
    that is left out whole are at their prior, as those of a new one) and with that of a reported number: with
    residuals r and Jacobian J of the left-out rows and covariance C of the fit without them, residuals are
    normal with covariance I + J C J', and the density of the data follows by the rows' constants.
    """
    inside, end = refitted(objective.restricted(lambda row: row.id not in ids))
    studies = {row.study for row in objective.rows if row.id in ids}
    near = objective.restricted(lambda row: row.study in studies)
    try:
        if (
            inside.sampling is not None
            and near.sampling is not None
            and inside.sampling.at != near.sampling.at
        ):
            near = near.with_sampling(near.sampling_at(np.array(inside.sampling.at)))
        evaluation = near.evaluate(end.x, jacobian=True)
    except BadPoint:
        return Left(end, (), 0, -math.inf, math.inf)
    covariance = posterior_of(inside, end).covariance
    lines, spread = given_the_rest(near, evaluation, ids)
    log_density, chi_square = predictive_density(lines, covariance)
    rows = _predicted(near, ids, lines, spread, covariance)
    return Left(end, rows, lines.residuals.size, log_density, chi_square)


def _predicted(
    objective: Objective, ids: Collection[str], lines: Evaluation, spread: Array, covariance: Array
) -> tuple[RowLeftOut, ...]:
    """Each row by itself; of a row with a spread by its location, which is its first residual."""
    assert lines.jacobian is not None
    root = np.linalg.cholesky(spread)
    residuals, jacobian = root @ lines.residuals, root @ lines.jacobian
    sds = np.sqrt(np.diag(spread + jacobian @ covariance @ jacobian.T))
    found, first = [], 0
    members = [(row, m) for row, m in zip(objective.rows, objective.measured, strict=True) if row.id in ids]
    for (row, measured), term in zip(members, lines.terms, strict=True):
        bound = any(math.isnan(end) for end in likelihood.interval(measured))
        sd = float(sds[first])
        miss = math.nan if bound else float(residuals[first]) / sd
        found.append(
            RowLeftOut(row.id, row.study, likelihood.observed(row), term.predicted, miss, sd, _crps(miss, sd))
        )
        first += term.residuals.size
    return tuple(found)


def _crps(miss: float, sd: float) -> float:
    """Of a normal prediction with this SD that misses by so many of them."""
    from scipy.special import ndtr

    density = math.exp(-(miss**2) / 2) / math.sqrt(2 * math.pi)
    return sd * (miss * (2 * float(ndtr(miss)) - 1) + 2 * density - 1 / math.sqrt(math.pi))


def given_the_rest(
    objective: Objective, evaluation: Evaluation, ids: Collection[str]
) -> tuple[Evaluation, Array]:
    """The lines of some rows given all other rows of the objective, uncorrelated, and the covariance that was
    taken out of them, (m, m)."""
    assert evaluation.jacobian is not None
    wanted = [row.id in ids for row in objective.rows]
    sizes = [term.residuals.size for term in evaluation.terms]
    here = np.repeat(wanted, sizes)
    terms = tuple(term for term, inside in zip(evaluation.terms, wanted, strict=True) if inside)
    if objective.errors is None:
        mine = Evaluation(evaluation.residuals[here], evaluation.jacobian[here], terms, None)
        return mine, np.eye(int(here.sum()))
    precision = np.linalg.inv(objective.errors.correlation)
    spread = np.linalg.inv(precision[np.ix_(here, here)])
    root = np.linalg.cholesky(spread)
    # P z by the whitened residuals: P = L^-T L^-1
    residuals = precision[here] @ objective.coloured(evaluation.residuals)
    jacobian = precision[here] @ objective.coloured(evaluation.jacobian)
    log_det = 2 * float(np.log(np.diag(root)).sum())
    return Evaluation(root.T @ residuals, root.T @ jacobian, terms, None, log_det=log_det), spread


def predictive_density(evaluation: Evaluation, covariance: Array) -> tuple[float, float]:
    """Log density of the rows of an evaluation under parameters with this covariance, and their squared
    distance."""
    assert evaluation.jacobian is not None
    r, j = evaluation.residuals, evaluation.jacobian
    spread = np.eye(r.size) + j @ covariance @ j.T
    _, log_determinant = np.linalg.slogdet(spread)
    chi_square = float(r @ np.linalg.solve(spread, r))
    constants = sum(term.constant for term in evaluation.terms) + evaluation.log_det
    return -0.5 * (chi_square + float(log_determinant) + constants), chi_square


def one_step(objective: Objective, minimum: Minimum, covariance: Array, ids: Collection[str]) -> Array:
    """How far the estimates move without some rows, (n_coordinates,), by one Gauss-Newton step from the
    optimum (Pregibon 1981, Annals of Statistics 9:705); nan where only they say something.

    With their lines w and J: C J' (I - J C J')^-1 w.
    """
    lines, _ = given_the_rest(objective, minimum.evaluation, ids)
    assert lines.jacobian is not None
    rest = np.eye(lines.residuals.size) - lines.jacobian @ covariance @ lines.jacobian.T
    if np.linalg.eigvalsh(rest)[0] < 1e-9:
        return np.full(minimum.x.size, math.nan)
    lower, upper = objective.bounds
    moved = covariance @ lines.jacobian.T @ np.linalg.solve(rest, lines.residuals)
    return np.clip(minimum.x + moved, lower, upper) - minimum.x


def cook(objective: Objective, covariance: Array, moved: Array) -> float:
    """Cook's distance (1977, Technometrics 19:15) of estimates that moved: squared, in the metric of their
    covariance, over their number. Study effects, of which a study that is left out has none, do not count."""
    main = [k for k, c in enumerate(objective.coordinates) if c.kind != "study effect"]
    if not main or not np.all(np.isfinite(moved)):
        return math.nan
    solved = np.linalg.lstsq(covariance[np.ix_(main, main)], moved[main], rcond=1e-10)[0]
    return float(moved[main] @ solved) / len(main)
