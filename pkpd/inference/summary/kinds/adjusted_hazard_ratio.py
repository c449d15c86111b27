"""A hazard ratio of a Cox regression that knows more of a patient than the arm, in the limit of many patients
of the model (``cox``): the covariate c is the output in column ``other`` as it is at time 0, which no dose
moves, and the log hazard is linear in it,

    beta_1 z + beta_2 c                         z: 1 in the row's arm, 0 in that of ``versus``
    beta_1 z + beta_2 (c - e) + beta_3 z (c - e)   with an ``effect`` e, of c

    adjusted_hazard_ratio   exp(beta_1), with an interaction that of patients whose c is e
    interaction_ratio       exp(beta_3), by which the hazard ratio changes with a unit of c

Residuals and errors are those of a hazard ratio. In trials a coefficient goes with who has had the event, and
with the others of its regression, by its linear part in the patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.cox import CoxLimit, TrialArmPatients, cox_limit
from pkpd.inference.summary.kinds.hazard_ratio import INTERVALS, HazardRatio, from_start, shares
from pkpd.inference.summary.kinds.kind import SURVIVAL, Bad, View
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.terms import Measured, Statistic, Term, normal_term

Array = NDArray[np.float64]

TREATED = (1.0, 0.0)
"""z of the row's arm and of that of ``versus``."""
ENOUGH = 4000
"""Patients of trials who stand for all of them."""


class AdjustedHazardRatio(HazardRatio):
    """Of patients who are alike in a covariate."""

    name = "adjusted_hazard_ratio"
    columns = (*HazardRatio.columns, "other", "effect")
    coefficient = 0

    def views(self, row: Row) -> tuple[View, ...]:
        arms = ((row.arm, row.schedule), (row.versus, row.versus_schedule))
        return super().views(row) + tuple(View(arm, given, 1.0, row.other, 0.0) for arm, given in arms)

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        if not row.other or row.other.startswith(SURVIVAL):
            bad("other", f"an {self.name} needs the output that it is adjusted by, as it is at time 0")

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        free, covariates = (s[:INTERVALS], s[INTERVALS : 2 * INTERVALS]), list(s[2 * INTERVALS :])
        design = _Design.of(x.row, covariates)
        found = design.limit(free, covariates)
        k, scale = self.coefficient, design.unit if self.coefficient else 1.0
        by_free = [part[k, 1:] for part in found.by_free]
        by_covariate = [part[k] @ design.slopes(z) for part, z in zip(found.by_x, TREATED, strict=True)]
        by_s, none = np.concatenate([*by_free, by_covariate]) / scale, np.zeros(s.shape)
        beta = float(found.beta[k]) / scale
        ratio = math.exp(beta)
        return normal_term(x, [Statistic(beta, by_s, none)], Statistic(ratio, ratio * by_s, none))

    def pivots(self, x: Measured, term: Term, *trials: Array) -> Array | None:
        free, covariates = (trials[:INTERVALS], trials[INTERVALS : 2 * INTERVALS]), trials[2 * INTERVALS :]
        some = max(1, ENOUGH // min(each.shape[1] for each in covariates))
        pooled = [np.stack([each[:some].ravel() for each in arm]) for arm in free]
        design = _Design.of(x.row, covariates)
        limit = design.limit(pooled, [each[:some].ravel() for each in covariates])
        found = np.zeros((covariates[0].shape[0], limit.beta.size))
        for arm, c, z, share in zip(free, covariates, TREATED, design.shares, strict=True):
            count = np.asarray(np.sum(arm, axis=0, dtype=np.intp))
            found += share * limit.of_patients(count, design.columns(c, z)).mean(axis=1)
        return np.asarray(-found[:, self.coefficient])[None]

    def estimate(self, row: Row, patients: Sequence[Array]) -> float:
        free = [np.stack(patients[:INTERVALS]), np.stack(patients[INTERVALS : 2 * INTERVALS])]
        covariates = patients[2 * INTERVALS :]
        design = _Design.of(row, covariates)
        beta = design.limit(free, covariates).beta[self.coefficient]
        return float(beta) / (design.unit if self.coefficient else 1.0)


class _Design(NamedTuple):
    """Columns of a regression: z, (c - middle)/unit and, if it ``interacts``, their product; no coefficient
    that is asked for depends on the unit, nor on the middle without an interaction. ``shares`` are those of
    the arms."""

    middle: float
    unit: float
    interacts: bool
    shares: tuple[float, float]

    @classmethod
    def of(cls, row: Row, covariates: Sequence[Array]) -> _Design:
        everybody = np.concatenate([np.ravel(each) for each in covariates])
        interacts = not math.isnan(row.effect)
        middle = row.effect if interacts else float(everybody.mean())
        unit = math.sqrt(float(np.square(everybody - middle).mean())) or 1.0
        return cls(middle, unit, interacts, shares(row))

    def columns(self, covariate: Array, z: float) -> Array:
        """Of patients (...) of an arm, (..., p)."""
        apart = (covariate - self.middle) / self.unit
        return np.stack([np.full(apart.shape, z), apart, z * apart][: 3 if self.interacts else 2], axis=-1)

    def slopes(self, z: float) -> Array:
        """Derivatives (p,) of these by the covariate."""
        return np.array([0.0, 1.0, z][: 3 if self.interacts else 2]) / self.unit

    def limit(self, free: Sequence[Array], covariates: Sequence[Array]) -> CoxLimit:
        """Of patients of both arms without the event at the times of the grid, (INTERVALS, K)."""
        return cox_limit(
            [
                TrialArmPatients(from_start(each), self.columns(c, z), share)
                for each, c, z, share in zip(free, covariates, TREATED, self.shares, strict=True)
            ]
        )


class InteractionRatio(AdjustedHazardRatio):
    """Of the hazard ratios of patients who are a unit apart."""

    name = "interaction_ratio"
    coefficient = 2

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        if math.isnan(row.effect):
            bad(
                "effect",
                f"an {self.name} is of a regression with an interaction: give the value of other "
                "at which its hazard ratio is, such as 0",
            )
