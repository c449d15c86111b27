"""The published numbers of a fit that can stand beside an endpoint over the dose: of the same output, on the
same scale, after doses of the same pattern."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from pkpd.core import units
from pkpd.core.errors import InputError, UnitError
from pkpd.decision.comparison import Scene
from pkpd.decision.endpoints import Declared
from pkpd.decision.inverse.question import OpenSchedule
from pkpd.decision.points import PublishedPoint, published
from pkpd.dosing.rules import AdaptiveSchedule
from pkpd.dosing.taking import exact_doses
from pkpd.inference.unfitted import read_fit_or_model

OF_LEVEL = ("max", "min", "mean", "end")
"""Endpoints that are values of an output, on whose scale single values can be drawn."""


def _scales(against: str, baseline: float) -> dict[str, tuple[float, float]]:
    """Measures of rows that become an endpoint's scale, and how: (add, times)."""
    found: dict[str, dict[str, tuple[float, float]]] = {
        "": {"value": (0.0, 1.0), "change": (baseline, 1.0), "fold": (0.0, baseline)},
        "fold of baseline": {"fold": (0.0, 1.0), "percent_change": (1.0, 0.01)},
        "change from baseline": {"change": (0.0, 1.0)},
        "percent change from baseline": {"percent_change": (0.0, 1.0), "fold": (-100.0, 100.0)},
    }
    if baseline > 0.0:
        found["fold of baseline"]["change"] = (1.0, 1.0 / baseline)
        found["percent change from baseline"]["change"] = (0.0, 100.0 / baseline)
    return found.get(against, {})


@dataclass(frozen=True)
class PublishedDose:
    """A published number at a dose: x in the unit of the schedule, value with its 95 % interval (nan where
    open) in the endpoint's; what and when it is, in ``said``."""

    x: float
    value: float
    low: float
    high: float
    said: str
    row: str
    provenance: str


def published_doses(
    scene: Scene, opened: OpenSchedule, declared: Declared | None
) -> tuple[PublishedDose, ...]:
    """Of an endpoint; none where it is not a value of an output, or the "?" is no dose.

    A change that was published in the unit of the output is set against the baseline of the median person.
    """
    kernel = scene.population.kernel
    if declared is None or declared.what not in OF_LEVEL or opened.names != ("dose",):
        return ()
    output = next((name for name in declared.outputs if name in kernel.OUTPUTS), None)
    if output is None:
        return ()
    column = kernel.OUTPUTS.index(output)
    baseline = float(np.median(scene.rest[:, column]))
    scales = _scales(declared.against, baseline)
    unit = kernel.OUTPUT_UNITS[column]
    factor = 1.0
    if declared.unit and declared.against in ("", "change from baseline"):
        try:
            factor = units.factor(unit, declared.unit)
        except UnitError:
            return ()
    points = published(read_fit_or_model(scene.fit), [output], kernel.ROUTES)
    return tuple(_found(points, opened, scales, factor))


def _found(
    points: Iterable[PublishedPoint],
    opened: OpenSchedule,
    scales: dict[str, tuple[float, float]],
    factor: float,
) -> Iterable[PublishedDose]:
    for point in points:
        facts = point.facts
        if facts["measure"] not in scales or facts["bound"] or (x := _dose(point, opened)) is None:
            continue
        add, times = scales[facts["measure"]]

        def scaled(value: Any, add: float = add, times: float = times) -> float:
            return math.nan if value is None else factor * (add + times * float(value))

        yield PublishedDose(
            x=x,
            value=scaled(facts["value"]),
            low=scaled(facts["low"]),
            high=scaled(facts["high"]),
            said=f"{facts['study']}, {facts['arm']}: {facts['statistic']} {_when(facts)}",
            row=facts["row"],
            provenance=facts["provenance"],
        )


def _when(facts: dict[str, Any]) -> str:
    start, stop = facts["from"], facts["to"]
    return f"on day {stop:g}" if start == stop else f"of days {start:g} to {stop:g}"


def _dose(point: PublishedPoint, opened: OpenSchedule) -> float | None:
    """What stands for the "?" in the doses that the patients had had by then; None where they had others."""
    if not point.doses:
        return None
    size = Fraction(point.doses[0].amount)
    unit = point.doses[0].unit
    try:
        x = size * Fraction(units.factor(unit, opened.units[0].partition("/")[0])).limit_denominator(10**9)
        wanted = opened.schedule([x])
        if isinstance(wanted, AdaptiveSchedule):  # patients had doses, not what rules would have made of them
            return None
        doses = exact_doses(wanted).doses()  # nor what chance would have
    except (InputError, UnitError):
        return None
    return float(x) if point.follows(doses) else None
