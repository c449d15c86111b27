"""What stands behind the numbers of a comparison: the rows that a fit has read of an output, and whether what
it was not fitted to came as it predicted. A traffic light says it at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pkpd.decision.criteria import Shown
from pkpd.decision.domain import Beyond
from pkpd.inference import FitResult
from pkpd.inference.result import RowResult


class Light(StrEnum):
    """How far a number has been put to the test, from green to red; what follows from the doses alone has no
    light."""

    FORESEEN = "foreseen"
    FITTED = "fitted"
    ASSUMED = "assumed"
    COUNTED = "counted"

    @property
    def meaning(self) -> str:
        """In a sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Light.FORESEEN: "within what the fit has seen, and what was held out of it came as predicted",
    Light.FITTED: "fitted, but beyond what was seen, or what was held out was missed, or nothing was",
    Light.ASSUMED: "no data stand behind it",
    Light.COUNTED: "follows from the doses",
}


_REDUCERS = {
    "at": "at",
    "mean": "average over",
    "max": "highest over",
    "min": "lowest over",
    "auc": "area over",
    "tmax": "time of the highest over",
    "half_life": "half-life over",
}


@dataclass(frozen=True)
class Evidence:
    """One published number behind an output.

    held_out : it was predicted, not fitted; foreseen : whether it came as predicted, None where that cannot
        be said, or of a row that was fitted.
    """

    row: RowResult
    held_out: bool
    foreseen: bool | None = None

    @property
    def unverified(self) -> bool:
        """Whether nobody has checked it against its paper."""
        return self.row.provenance == "unverified"

    @property
    def what(self) -> str:
        """Which number it is: "change at 7 d (mean)"."""
        row = self.row
        reducer = _REDUCERS.get(row.reducer, row.reducer.replace("_", " "))
        measure = "" if row.measure == "value" else row.measure.replace("_", " ")
        number = " ".join(filter(None, (measure, reducer, row.time, row.time_unit)))
        return f"{number} ({row.statistic.replace('_', ' ')})"

    def as_dict(self) -> dict[str, object]:
        """Plain values for files and pages; None where the report has no such number."""
        row = self.row
        numbers = {"value": row.observed, "low": row.observed_lower, "high": row.observed_upper}
        predicted = {
            "predicted": row.predicted,
            "predicted_low": row.predicted_lower,
            "predicted_high": row.predicted_upper,
        }
        return {
            "row": row.id,
            "output": row.output,
            "study": row.study,
            "arm": row.arm,
            "n": row.n,
            "schedule": row.schedule,
            "what": self.what,
            "unit": row.unit,
            **{name: _finite(value) for name, value in (numbers | predicted).items()},
            "held_out": self.held_out,
            "foreseen": self.foreseen,
            "unverified": self.unverified,
            "provenance": row.provenance,
            "source": row.source,
            "doi": row.doi,
        }


@dataclass(frozen=True)
class Standing:
    """On what one endpoint of one schedule stands: its light, why, and the outputs whose rows are behind
    it."""

    light: Light
    reasons: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Plain values for files."""
        return {"light": self.light, "stands_on": list(self.outputs), "why": list(self.reasons)}


COUNTED = Standing(Light.COUNTED)


def weakest(standings: Iterable[Standing]) -> Standing:
    """Of what stands on all of these the least that was put to the test; what follows from doses alone only
    where all do."""
    order = (Light.COUNTED, Light.FORESEEN, Light.FITTED, Light.ASSUMED)
    return max(standings, key=lambda standing: order.index(standing.light), default=COUNTED)


class Behind:
    """All that a fit knows of its outputs: ``rows``, by output. Outputs that are called the same, as a share
    and a count of the same cells, stand for each other."""

    def __init__(self, result: FitResult, shown: Iterable[Shown] = ()) -> None:
        left_out = result.check.predicted if result.check else ()
        foreseen = {row.id: _came_as_predicted(row) for row in left_out}
        self.rows: dict[str, list[Evidence]] = {}
        for row in result.rows:
            held_out = row.use == "check" or row.id in foreseen
            verdict = foreseen.get(row.id, _came_as_predicted(row) if row.use == "check" else None)
            self.rows.setdefault(row.output, []).append(Evidence(row, held_out, verdict))
        called = {output.name: output.called or output.name for output in shown}
        self._alike = {
            name: tuple(other for other in called if called[other] == called[name]) for name in called
        }

    def of(self, outputs: Iterable[str]) -> tuple[Evidence, ...]:
        """The rows behind some outputs, in the order of the data, each once."""
        names = dict.fromkeys(other for name in outputs for other in self._alike.get(name, (name,)))
        return tuple(one for name in names for one in self.rows.get(name, ()))

    def under(self, standings: Iterable[Standing]) -> tuple[Evidence, ...]:
        """The rows on which all of these stand, each once."""
        return self.of(dict.fromkeys(name for one in standings for name in one.outputs))

    def standing(self, outputs: Sequence[str], beyond: Sequence[Beyond]) -> Standing:
        """On what a number of these outputs stands; beyond : where its schedule leaves what was seen of
        them."""
        rows, outputs = self.of(outputs), tuple(outputs)
        untold = [name for name in outputs if not any(one.row.use == "fit" for one in self.of([name]))]
        if untold:
            return Standing(Light.ASSUMED, (f"No data on {' and '.join(untold)} stand behind it",), outputs)
        tried = [one for one in rows if one.foreseen is not None]
        missed = [one for one in tried if not one.foreseen]
        reasons = [one.said for one in beyond]
        if missed:
            named = ", ".join(f"{one.row.study}: {one.row.id}" for one in missed)
            reasons.append(
                f"Of {len(tried)} held-out numbers {len(missed)} did not come as predicted ({named})"
            )
        if not tried:
            reasons.append("No number of it was held out and predicted")
        light = Light.FITTED if reasons else Light.FORESEEN
        if tried and not missed:
            reasons.append(f"All held-out numbers, {len(tried)}, came as predicted")
        if unverified := sum(one.unverified for one in rows):
            reasons.append(f"{unverified} of {len(rows)} rows behind it are unverified")
        return Standing(light, tuple(reasons), outputs)


def _came_as_predicted(row: RowResult) -> bool | None:
    """Of a bound: whether the prediction reaches it."""
    low, high = row.observed_lower, row.observed_upper
    if math.isfinite(low) and not math.isfinite(high):
        return row.predicted_upper >= low if math.isfinite(row.predicted_upper) else None
    if math.isfinite(high) and not math.isfinite(low):
        return row.predicted_lower <= high if math.isfinite(row.predicted_lower) else None
    return row.as_expected()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
