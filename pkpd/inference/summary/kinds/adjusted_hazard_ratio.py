"""A hazard ratio of a Cox regression that knows more of a patient than the arm, in the limit of many patients
of the model (``cox``): the covariate c is the output in column ``other`` as it is at time 0, which no dose
moves, and the log hazard is linear in it,

    beta_1 z + beta_2 c                         z: 1 in the row's arm, 0 in that of ``versus``
    beta_1 z + beta_2 (c - e) + beta_3 z (c - e)   with an ``effect`` e, of c

    adjusted_hazard_ratio   exp(beta_1), with an interaction that of patients whose c is e
    interaction_ratio       exp(beta_3), by which the hazard ratio changes with a unit of c

Residuals and errors are those of a hazard ratio. What the coefficients of one regression have in common is
not derived: it is declared."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.cox import TrialArmPatients, cox_limit
from pkpd.inference.summary.kinds.hazard_ratio import INTERVALS, HazardRatio, from_start
from pkpd.inference.summary.kinds.kind import SURVIVAL, Bad, View
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.terms import Measured, Statistic, Term, normal_term

Array = NDArray[np.float64]


class AdjustedHazardRatio(HazardRatio):
    """Of patients who are alike in a covariate."""

    name = "adjusted_hazard_ratio"
    columns = (*HazardRatio.columns, "other", "effect")
    simulated = False
    coefficient = 0

    def views(self, row: Row) -> tuple[View, ...]:
        arms = ((row.arm, row.schedule), (row.versus, row.versus_schedule))
        return super().views(row) + tuple(View(arm, given, 1.0, row.other, 0.0) for arm, given in arms)

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        if not row.other or row.other.startswith(SURVIVAL):
            bad("other", f"an {self.name} needs the output that it is adjusted by, as it is at time 0")

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        row, size = x.row, s.shape[1]
        n, m = row.n or 1, row.versus_n or row.n or 1
        covariate, middle = s[2 * INTERVALS :], row.effect
        interacts = not math.isnan(middle)
        middle = middle if interacts else float(covariate.mean())
        unit = math.sqrt(float(np.square(covariate - middle).mean())) or 1.0  # no coefficient depends on it
        arms, slopes = [], []
        for c, free, z, share in zip(
            covariate, (s[:INTERVALS], s[INTERVALS : 2 * INTERVALS]), (1.0, 0.0), (n, m), strict=True
        ):
            apart = (c - middle) / unit
            columns = [np.full(size, z), apart, z * apart][: 3 if interacts else 2]
            arms.append(TrialArmPatients(from_start(free), np.stack(columns, axis=1), share / (n + m)))
            slopes.append(np.array([0.0, 1.0, z][: len(columns)]) / unit)
        found = cox_limit(arms)
        k, scale = self.coefficient, unit if self.coefficient else 1.0
        by_free = [part[k, 1:] for part in found.by_free]
        by_covariate = [part[k] @ slope for part, slope in zip(found.by_x, slopes, strict=True)]
        by_s, none = np.concatenate([*by_free, by_covariate]) / scale, np.zeros(s.shape)
        beta = float(found.beta[k]) / scale
        ratio = math.exp(beta)
        return normal_term(x, [Statistic(beta, by_s, none)], Statistic(ratio, ratio * by_s, none))

    def as_printed(self, row: Row, trials: Sequence[Array]) -> Row | None:
        return None


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
