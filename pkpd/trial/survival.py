"""Survival analyses of one small trial in microseconds: Cox regression, log-rank test, Kaplan-Meier estimate.

A trial is simulated a thousand times and analysed a dozen ways, so that what a library for data analysis
does in 50 ms is done here by a few sums over risk sets. ``tests/trial/test_trial_survival.py`` holds it to
lifelines.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]

MOST_STEPS = 40
CONVERGED = 1e-16
"""Twice the gain in log likelihood that the next step would bring."""
SEPARATED = 25.0
"""Log hazard ratio per SD of a covariate from which on the likelihood has no maximum that matters."""


class CoxEstimate(NamedTuple):
    """Log hazard ratios (n_covariates,) and their covariance matrix; nan where the likelihood has no
    maximum."""

    beta: Floats
    covariance: Floats

    @property
    def se(self) -> Floats:
        """(n_covariates,)"""
        return np.sqrt(np.diagonal(self.covariance))

    @property
    def p(self) -> Floats:
        """Two-sided, by Wald's test, (n_covariates,)."""
        from scipy.special import ndtr

        with np.errstate(invalid="ignore"):
            return np.asarray(2.0 * ndtr(-np.abs(self.beta / self.se)))


class _Risks(NamedTuple):
    """Where the deaths of subjects in the order of time are.

    deaths : places of deaths; first : the place from which on subjects are at risk at each death; earlier :
        which share of those who die at the same time has died before it (Efron); tied, of : the first death
        of each instant, and to which of them a death belongs.
    """

    deaths: Integers
    first: Integers
    earlier: Floats
    tied: Integers
    of: Integers


def cox(time: Floats, event: Truths, x: Floats) -> CoxEstimate:
    """Cox regression with ties by Efron's method, by Newton's method on the partial likelihood.

    time : (n,); event : (n,), whether it was seen; x : (n, n_covariates). Efron, JASA 1977;72:557; Therneau &
    Grambsch, Modeling Survival Data, 2000, section 3.3. All nan where covariates are no finite combination of
    each other, where one is constant, or where an effect is infinite (no event on one side).
    """
    n_covariates = x.shape[1]
    nothing = CoxEstimate(np.full(n_covariates, np.nan), np.full((n_covariates, n_covariates), np.nan))
    order = np.argsort(time, kind="stable")
    risks = _risks(time[order], event[order])
    scale = x.std(axis=0) if len(x) else np.zeros(n_covariates)
    if not risks.deaths.size or not np.all(scale > 0.0):
        return nothing
    z = (x[order] - x.mean(axis=0)) / scale
    beta = np.zeros(n_covariates)
    value, score, information = _partial_likelihood(z, beta, risks)
    for _ in range(MOST_STEPS):
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError:
            return nothing
        gain = float(score @ step)
        if not 0.0 <= gain < np.inf:
            return nothing
        if gain < CONVERGED:
            covariance = np.linalg.inv(information) / np.outer(scale, scale)
            return CoxEstimate(beta / scale, covariance)
        for _ in range(10):  # halved until it does not lead downhill
            tried = beta + step
            found = _partial_likelihood(z, tried, risks)
            if found[0] >= value - 1e-12 * abs(value):
                break
            step = step / 2
        beta, (value, score, information) = tried, found
        if np.abs(beta).max() > SEPARATED:
            return nothing
    return nothing


def _risks(time: Floats, event: Truths) -> _Risks:
    deaths = np.flatnonzero(event)
    first = np.searchsorted(time, time[deaths], side="left")
    _, tied, of, count = np.unique(time[deaths], return_index=True, return_inverse=True, return_counts=True)
    return _Risks(deaths, first, (np.arange(deaths.size) - tied[of]) / count[of], tied, of)


def _partial_likelihood(x: Floats, beta: Floats, risks: _Risks) -> tuple[float, Floats, Floats]:
    """Its logarithm, the score and the information at ``beta``."""
    n, p = x.shape
    predictor = x @ beta
    weight = np.exp(predictor - predictor.max())
    sums = np.empty((n, 1 + p + p * p))
    sums[:, 0] = weight
    sums[:, 1 : 1 + p] = weight[:, None] * x
    sums[:, 1 + p :] = (sums[:, 1 : 1 + p, None] * x[:, None, :]).reshape(n, p * p)
    at_risk = sums[::-1].cumsum(axis=0)[::-1][risks.first]
    if risks.tied.size < risks.deaths.size:
        together = np.add.reduceat(sums[risks.deaths], risks.tied, axis=0)
        at_risk = at_risk - risks.earlier[:, None] * together[risks.of]
    total = at_risk[:, 0]
    mean = at_risk[:, 1 : 1 + p] / total[:, None]
    square = (at_risk[:, 1 + p :] / total[:, None]).sum(axis=0).reshape(p, p)
    value = float((predictor[risks.deaths] - predictor.max() - np.log(total)).sum())
    return value, x[risks.deaths].sum(axis=0) - mean.sum(axis=0), square - mean.T @ mean


def log_rank(time: Floats, event: Truths, group: Integers) -> float:
    """The p value of the log-rank test that all groups die alike; nan without a death or a second group.

    group : (n,), whole numbers. With the hypergeometric variance (Kalbfleisch & Prentice, The Statistical
    Analysis of Failure Time Data, 2nd ed. 2002, section 1.5).
    """
    from scipy.special import chdtrc

    found = _observed_less_expected(time, event, group)
    if found is None:
        return float("nan")
    off, variance = found
    try:
        statistic = float(off @ np.linalg.solve(variance, off))
    except np.linalg.LinAlgError:
        return float("nan")
    return float(chdtrc(off.size, statistic))


def log_rank_score(time: Floats, event: Truths, treated: Truths) -> tuple[float, float]:
    """Events of the treated less those expected if both groups die alike, and the variance of that; (0, 0)
    without a death or a second group."""
    found = _observed_less_expected(time, event, treated)
    if found is None:
        return 0.0, 0.0
    (off,), ((variance,),) = found
    return -float(off), float(variance)


def _observed_less_expected(time: Floats, event: Truths, group: NDArray[Any]) -> tuple[Floats, Floats] | None:
    """Of all groups but the last, (n_groups - 1,), and its covariance matrix; None without a death or a
    second group."""
    groups, member = np.unique(group, return_inverse=True)
    order = np.argsort(time, kind="stable")
    t, died, member = time[order], event[order], member[order]
    instants = np.unique(t[died])
    if groups.size < 2 or not instants.size:
        return None
    first = np.searchsorted(t, instants, side="left")
    one = np.zeros((t.size, groups.size))
    one[np.arange(t.size), member] = 1.0
    at_risk = one[::-1].cumsum(axis=0)[::-1][first]
    dying = np.add.reduceat(one * died[:, None], first, axis=0)
    n, d = at_risk.sum(axis=1), dying.sum(axis=1)
    share = at_risk / n[:, None]
    factor = d * np.divide(n - d, n - 1.0, out=np.zeros_like(n), where=n > 1.0)
    variance = np.diag(factor @ share) - (share * factor[:, None]).T @ share
    off = (dying - d[:, None] * share).sum(axis=0)
    return off[:-1], variance[:-1, :-1]


def kaplan_meier(time: Floats, event: Truths, at: Floats) -> Floats:
    """The estimated share of survivors at given times, (n_at,); nan without subjects.

    Behind the last subject under observation the curve goes on as it was.
    """
    if not time.size:
        return np.full(np.shape(at), np.nan)
    order = np.argsort(time, kind="stable")
    t, died = time[order], event[order]
    instants, count = np.unique(t[died], return_counts=True)
    at_risk = t.size - np.searchsorted(t, instants, side="left")
    curve = np.concatenate([[1.0], np.cumprod(1.0 - count / at_risk)])
    return np.asarray(curve[np.searchsorted(instants, at, side="right")])
