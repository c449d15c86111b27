"""The published numbers behind a fit, as points to draw over curves: which they are, and which belong to a
schedule that is looked at."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile
from typing import Any

from pkpd.core.errors import PkpdError
from pkpd.dosing import Schedule, time_units_per_day
from pkpd.dosing.parts import Dose
from pkpd.inference import FitSpec, System
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.likelihood import interval, measured, observed
from pkpd.inference.summary.reading import in_model_units, read_data
from pkpd.inference.summary.rows import Row

REDUCERS = {
    "at": "",
    "mean": "mean of these days",
    "max": "largest of these days",
    "min": "smallest of these days",
}
"""How a number that can be drawn over a time course sums up its window; an area or a half-life has no place
there."""
BOUNDS = {"lower_bound": "at least", "upper_bound": "at most"}


@dataclass(frozen=True)
class PublishedPoint:
    """One published number. ``facts`` is what a page is told; ``doses`` are those its patients had had by
    then, by time."""

    facts: dict[str, Any]
    doses: tuple[Dose, ...]
    until: Fraction
    """days from day 0 of the schedule to the end of the window"""

    def follows(self, doses: Sequence[Dose]) -> bool:
        """Whether patients given ``doses`` have had the same by then: Hartemann's single course is IMODALS'
        first."""
        return _until(doses, self.until) == self.doses


def published(spec: FitSpec, outputs: Sequence[str], routes: Collection[str]) -> list[PublishedPoint]:
    """The rows of a fit that can stand over a time course of ``outputs`` after doses by ``routes``, or
    placebo.

    A point's ``measure`` says against what it is to be drawn: "value" as it is, "change", "percent_change"
    and "fold" from the value at rest. ``low`` and ``high`` are its 95 % interval, None where open. Numbers in
    the model's units, times in days.
    """
    if spec.unfitted:
        return []
    system = System.load(spec.main.model)
    units = {p.name: p.unit for p in system.parameters}
    rows = in_model_units(
        read_data(spec.data), system.output_units, system.time_unit, units, system.bridges
    ).rows
    drawn = (_point(row, outputs, routes, time_units_per_day(system.time_unit)) for row in rows)
    return [point for point in drawn if point is not None]


def _point(
    row: Row, outputs: Sequence[str], routes: Collection[str], per_day: float
) -> PublishedPoint | None:
    if row.output not in outputs or row.reducer not in REDUCERS or row.use == "context":
        return None
    if not KINDS[row.statistic].of_level:
        return None  # a number of patients, say: not on the axis of the output
    schedule = Schedule.parse(row.schedule)
    if any(part.route not in routes for part in schedule.parts):
        return None  # another drug: another axis, another question
    low, high = (None, None) if row.statistic in BOUNDS else _interval(row)
    at_effect = row.statistic == "dose_for_effect"
    until = Fraction(row.stop / per_day).limit_denominator(10_000)
    words = [
        BOUNDS.get(row.statistic, row.statistic.replace("_", " ")),
        REDUCERS[row.reducer],
        "reported as the dose for this effect" if at_effect else "",
    ]
    return PublishedPoint(
        facts={
            "row": row.id,
            "output": row.output,
            "study": row.study,
            "arm": row.arm,
            "n": row.n,
            "schedule": str(schedule),
            "from": row.start / per_day,
            "to": row.stop / per_day,
            "measure": row.measure,
            "value": row.effect if at_effect else observed(row),
            "low": None if at_effect else low,
            "high": None if at_effect else high,
            "bound": BOUNDS.get(row.statistic, ""),
            "statistic": ", ".join(word for word in words if word and word != "dose for effect"),
            "provenance": row.provenance,
            "use": row.use,
            "source": row.source,
            "doi": row.doi,
        },
        doses=_until(schedule.doses(), until),
        until=until,
    )


def _interval(row: Row) -> tuple[float | None, float | None]:
    try:
        low, high = interval(measured(row))
    except PkpdError:  # printed without a spread or a number of patients
        return None, None
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)


def _until(doses: Sequence[Dose], end: Fraction) -> tuple[Dose, ...]:
    return tuple(takewhile(lambda dose: dose.time_days < end or dose.time_days == end == 0, doses))
