"""On what the numbers of a scene stand: what its fit has seen of what schedules do, where a schedule leaves
that, and the lights of its endpoints."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from pkpd.decision.criteria import Criteria, Risk
from pkpd.decision.domain import Beyond, Domain, beyond_all
from pkpd.decision.endpoints.declared import bind
from pkpd.decision.evidence import Behind, Light, Standing
from pkpd.dosing import Schedule
from pkpd.dosing.rules import AdaptiveSchedule, Plan, planned
from pkpd.inference import FitResult, System, in_units
from pkpd.inference.population import Population, fitted_model
from pkpd.inference.summary.reading import read_data
from pkpd.inference.unfitted import read_fit_or_model
from pkpd.solver.kernel import Kernel


class Departures(NamedTuple):
    """Where a schedule leaves what was seen: what the fit has, by output, and what risks were counted in."""

    outputs: Mapping[str, tuple[Beyond, ...]]
    risks: Mapping[Risk, tuple[Beyond, ...]]


@dataclass(frozen=True, eq=False)
class Ground:
    """What stands behind the numbers of virtual subjects.

    fit : what people were drawn from, its name, folder or result; name : what the scene calls it; criteria :
        by what schedules are judged; population : the subjects.
    """

    fit: str | os.PathLike[str] | FitResult
    name: str
    criteria: Criteria
    population: Population

    @cached_property
    def behind(self) -> Behind:
        """What the fit knows of its outputs."""
        if isinstance(self.fit, FitResult):
            return Behind(self.fit, self.criteria.outputs)
        return behind(os.fspath(self.fit), self.criteria)

    def left_by(self, schedule: Schedule) -> Departures:
        """Where a schedule leaves what was seen."""
        (seen, asked), kernel = self._seen(), self.population.kernel
        outputs = list(dict.fromkeys((*kernel.OUTPUTS, *seen.outputs)))
        # of a model that nobody has fitted, the population's notes say so
        found = seen.beyond_each(schedule, outputs, **asked) if seen.outputs else {}
        return Departures(found, self._beyond_counts(schedule))

    def beyond(self, left: Departures) -> tuple[Beyond, ...]:
        """The same as statements, each once."""
        described = [shown.name for shown in self.criteria.outputs if shown.told]
        told = [name for name in described if name in self.population.kernel.OUTPUTS]
        found = beyond_all(left.outputs, told or sorted(self._seen()[0].outputs)) if left.outputs else ()
        return (*found, *(one for said in left.risks.values() for one in said))

    def _seen(self) -> tuple[Domain, dict[str, Any]]:
        """What the fit saw, and of which bodies and by which routes a schedule is compared with it."""
        kernel, sizes = self.population.kernel, self._sizes()
        unit = dose_unit(kernel, kernel.ROUTES[:1]) or "mg"
        asked = {"bsa": sizes.get("m2"), "weight": sizes.get("kg"), "dose_units": of_one_drug(kernel, unit)}
        return _domain(self.name, unit, self.criteria), asked

    def _sizes(self) -> dict[str, float]:
        kernel = self.population.kernel
        return {
            per: float(np.median(self.population.values[:, column]))
            for per, column in kernel.SIZES.items()
            if column >= 0
        }

    def _beyond_counts(self, schedule: Schedule) -> dict[Risk, tuple[Beyond, ...]]:
        """Where a schedule leaves what risks were counted in."""
        kernel = self.population.kernel
        alike = of_one_drug(kernel, dose_unit(kernel, kernel.ROUTES[:1]) or "mg")
        sizes = self._sizes()
        return {
            risk: tuple(map(Beyond, risk.warnings(schedule, sizes=sizes, dose_units=alike)))
            for risk in self.criteria.risks
            if risk.output in kernel.OUTPUTS
        }

    def standings(self, left: Departures) -> dict[str, Standing]:
        """On what each endpoint stands, by its name: of those that follow from courses, and of risks."""
        kernel = self.population.kernel
        bound = bind(
            self.criteria.endpoints, tuple(kernel.OUTPUTS), tuple(kernel.OUTPUT_UNITS), kernel.TIME_UNIT
        )
        found: dict[str, Standing] = {}
        known: dict[tuple[str, ...], Standing] = {}
        for one in bound:
            parts = [name for part in one.over or () for name in found[part.name].outputs] or [one.output]
            of = tuple(dict.fromkeys(parts))
            if of not in known:
                beyond = dict.fromkeys(said for name in of for said in left.outputs.get(name, ()))
                known[of] = self.behind.standing(of, tuple(beyond))
            found[one.endpoint.name] = known[of]
        for risk in self.criteria.risks:
            reasons = [f"It rests on {risk.source}", *(one.said for one in left.risks.get(risk, ()))]
            found[risk.endpoint.name] = Standing(Light.FITTED, tuple(reasons))
        return found

    def by_factors(self, plan: Plan, factors: set[float], known: Sequence[Beyond]) -> list[str]:
        """What is to be said besides of the smallest and the largest doses that rules, or doubled doses, led
        to."""
        about, schedule = {beyond.said for beyond in known}, planned(plan)
        by = "By the rules" if isinstance(plan, AdaptiveSchedule) else "Where doses are doubled"
        found = []
        for factor in sorted({min(factors), max(factors)} - {1.0}):
            for beyond in self.beyond(self.left_by(schedule.scaled(f"{factor:.6g}"))):
                if beyond.said not in about:
                    found.append(f"{by}: {beyond}")
        return found


def dose_unit(kernel: Kernel, routes: Collection[str]) -> str | None:
    """In which doses are added up: the unit of the state that the first of these routes in the model's order
    enters, the same for all schedules of a drug."""
    given = {route.lower() for route in routes}
    for route in kernel.ROUTES:
        for unit, factor in kernel.DOSE_UNITS.get(route, {}).items():
            if factor == 1.0 and route.lower() in given:
                return unit
    return None


def of_one_drug(kernel: Kernel, unit: str) -> dict[str, Mapping[str, float]]:
    """``kernel.DOSE_UNITS`` of the routes into states with this unit; of the others none: milligrams of an
    antibody are no units of an interleukin."""
    return {route: units if units.get(unit) == 1.0 else {} for route, units in kernel.DOSE_UNITS.items()}


@lru_cache(maxsize=16)
def _domain(fit: str, unit: str, criteria: Criteria) -> Domain:
    """What a fit saw, read once."""
    spec = read_fit_or_model(fit)
    rows = () if spec.unfitted else in_units(read_data(spec.data), System.load(spec.main.model)).rows
    return Domain.of(rows, unit, criteria.outputs)


@lru_cache(maxsize=16)
def behind(fit: str, criteria: Criteria) -> Behind:
    """What a fit, or a model that nobody has fitted, knows of its outputs, read once."""
    return Behind(fitted_model(fit)[0], criteria.outputs)
