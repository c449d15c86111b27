# mypy: ignore-errors
# ruff: noqa
"""Stands in for pkpd.compare until that is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pkpd.dosing import Schedule
from pkpd.kernel import load
from pkpd.simulate import population, solve

NAMES = ("il2", "treg_pct", "treg_count", "nk", "cd56bright", "cd25_treg", "ccl2")


@dataclass(frozen=True)
class Endpoint:
    name: str
    unit: str
    definition: str
    better: int
    group: str


@dataclass(frozen=True)
class Arm:
    label: str
    schedule: Schedule
    days: Any
    bands: Any
    units: Any
    endpoints: Any
    dose_days: Any
    dose_amounts: Any
    dose_unit: str
    warnings: tuple[str, ...]
    failed: int


@dataclass(frozen=True)
class Scene:
    kernel: Any
    values: Any
    until: float

    @classmethod
    def create(
        cls, fit="low_dose_il2", *, subjects=200, seed=1, covariates={}, responders=None, until_days=None
    ):
        kernel = load("il2_treg")
        values = population(kernel, subjects, seed, covariates)
        return cls(kernel, values, until_days or 84.0)

    def arm(self, schedule, label=None, *, progress=None):
        k = self.kernel
        events = schedule.events(k.TIME_UNIT, k.ROUTES, k.DOSE_UNITS, k.SIZES)
        days = np.unique(
            np.concatenate([np.linspace(0, self.until, 601), events.time / 24 + 0.15, events.time / 24])
        )
        days = days[days <= self.until]
        x = solve(k, self.values, events, days * 24, rtol=1e-4, progress=progress)
        columns = [k.OUTPUTS.index(name) for name in NAMES]
        q = np.quantile(x.outputs[:, :, columns], [0.05, 0.5, 0.95], axis=0)
        bands = {name: q[:, :, i] for i, name in enumerate(NAMES)}
        out = x.outputs
        endpoints = {
            Endpoint("Cmax", "IU/mL", "largest IL-2 in plasma", 0, "exposure"): out[:, :, columns[0]].max(1),
            Endpoint("Treg peak", "percent", "largest Treg of CD4", 1, "regulatory T cells"): out[
                :, :, columns[1]
            ].max(1),
            Endpoint("Treg mean", "percent", "mean Treg of CD4", 1, "regulatory T cells"): out[
                :, :, columns[1]
            ].mean(1),
            Endpoint("NK peak", "1/uL", "largest NK", -1, "selectivity"): out[:, :, columns[3]].max(1),
        }
        doses = schedule.doses()
        return Arm(
            label or "", schedule, days, bands, {n: k.OUTPUT_UNITS[c] for n, c in zip(NAMES, columns)}, endpoints,
            np.array([float(d.time_days) for d in doses]), np.array([float(d.amount) for d in doses]),
            doses[0].unit if doses else "", ("2 MIU is beyond what the fit saw",) if self.until > 400 else (), 0,
        )  # fmt: skip


def compare(arms):
    return arms
