"""The hazard ratio of two arms: (beta - log value)/SE, beta what a Cox regression of treatment alone finds in
the model's patients, followed until the row's time, in the limit of many (``cox``); n and n' are the shares
of the arms. SE is that of the logarithm: from a CI95, which a Wald test makes even on the log scale,
SE/value, or |log value|/z(p) of a p value in column ``level`` (Altman & Bland 2011, BMJ 343:d2090). In trials
the estimate goes with who has had the event by the linear part of beta in the arms' survival."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.cox import CoxLimit, TrialArmPatients, cox_limit
from pkpd.inference.summary.kinds.kind import Bad, View, check_positive, check_survival
from pkpd.inference.summary.kinds.two_arms import TwoArms
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, form_of, standard_error
from pkpd.inference.summary.terms import Measured, Printed, Statistic, Term, normal_term

Array = NDArray[np.float64]

INTERVALS = 24
"""Of the grid of times, from the start to the horizon."""


class HazardRatio(TwoArms):
    """Hazard of the row's arm over that of ``versus``."""

    name = "hazard_ratio"
    columns: tuple[str, ...] = ("versus", "versus_n", "level")
    without_unit = True
    positive = True
    on_log = True
    of_events = True
    scored = False

    def views(self, row: Row) -> tuple[View, ...]:
        times = [row.stop * (g + 1) / INTERVALS for g in range(INTERVALS)]
        arms = ((row.arm, row.schedule), (row.versus, row.versus_schedule))
        return tuple(View(arm, schedule, 1.0, row.output, time) for arm, schedule in arms for time in times)

    def check(self, row: Row, bad: Bad) -> None:
        super().check(row, bad)
        check_positive(self, row, bad)
        check_survival(self, row, bad)
        by_p = not math.isnan(row.level)
        if row.spread_type not in ("SE", "CI95", "none") or (row.spread_type == "none") != by_p:
            bad("spread_type", f"a {self.name} needs its CI95, its SE, or its p in column level: one of them")
        elif by_p and not 0 < row.level < 1:
            bad("level", f"a p lies between 0 and 1, and {row.level:g} does not")
        elif by_p and row.value == 1:
            bad("value", "of a ratio of 1 a p says nothing")

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        level = math.log(row.value)
        if row.spread_type == "none":
            from scipy.special import ndtri

            error = abs(level) / -float(ndtri(row.level / 2))
        else:
            error = standard_error(row, form or form_of(row), None, 0.0, on_log=True, quantile_95=Z95)
        return Measured(row, (Printed("log hazard ratio", level, error, level),))

    def quantile_95(self, row: Row) -> float:
        """Of a Wald test."""
        return Z95

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        found = two_arm_limit(s[:INTERVALS], s[INTERVALS:], shares(x.row)[0])
        by_s = np.concatenate([part[0, 1:] for part in found.by_free])
        beta, none = float(found.beta[0]), np.zeros(s.shape)
        ratio = math.exp(beta)
        return normal_term(x, [Statistic(beta, by_s, none)], Statistic(ratio, ratio * by_s, none))

    def pivots(self, x: Measured, term: Term, *trials: Array) -> Array | None:
        slopes = term.by_s[0].sum(axis=1)
        free = np.stack([trial.mean(axis=1) for trial in trials])
        return np.asarray(-slopes @ (free - free.mean(axis=1, keepdims=True)))[None]

    def as_printed(self, row: Row, trials: Sequence[Array]) -> Row | None:
        """With the error of the row; without events in an arm there is none."""
        from scipy.special import ndtr

        n, m = trials[0].shape[1], trials[INTERVALS].shape[1]
        alive = np.stack([trials[i].all(axis=1) for i in (INTERVALS - 1, 2 * INTERVALS - 1)])
        value = np.exp(
            [
                math.nan
                if alive[:, b].any()
                else self.estimate(replace(row, n=n, versus_n=m), [x[b] for x in trials])
                for b in range(alive.shape[1])
            ]
        )
        columns: dict[str, Any] = {"value": value}
        if row.spread_type == "none":
            columns["level"] = 2 * ndtr(-np.abs(np.log(value)) / self.measured(row).se)
        for name in ("lower", "upper", "spread"):
            if math.isfinite(getattr(row, name)):
                columns[name] = getattr(row, name) * value / row.value
        return replace(row, n=n, versus_n=m, **columns)

    def estimate(self, row: Row, patients: Sequence[Array]) -> float:
        """The coefficient in one trial, of what each view sees in its patients, (n,)."""
        first, second = np.stack(patients[:INTERVALS]), np.stack(patients[INTERVALS : 2 * INTERVALS])
        return float(two_arm_limit(first, second, shares(row)[0]).beta[0])


def shares(row: Row) -> tuple[float, float]:
    """Of both arms in the trial."""
    n, m = row.n or 1, row.versus_n or row.n or 1
    return n / (n + m), m / (n + m)


def two_arm_limit(first: Array, second: Array, share: float) -> CoxLimit:
    """Of patients of both arms without the event at the times of the grid, (INTERVALS, K) each."""
    return cox_limit(
        [
            TrialArmPatients(from_start(free), np.full((free.shape[1], 1), treated), part)
            for free, treated, part in ((first, 1.0, share), (second, 0.0, 1 - share))
        ]
    )


def from_start(free: Array) -> Array:
    """The same with the start, at which everybody is without the event."""
    return np.concatenate([np.ones((1, free.shape[1])), free])
