"""The results: where a target is met along an unknown, how many people reach it, and how sure the parameters
are of it."""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.files import write_json, write_rows
from pkpd.decision.evidence import Behind, Evidence, Standing, weakest
from pkpd.decision.inverse.question import Unknown
from pkpd.decision.people import PeopleShare, asked_share
from pkpd.decision.wishes import Constraint

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of what people need, each for themselves."""


@dataclass(frozen=True, eq=False)
class WishCurve:
    """One wish along the unknown.

    share : (n,) the probability of target attainment, which is the share of people in whom the wish holds at
    the estimates of the fit; low, high : (n,), its 90 % interval by the parameters, nan where they are not
    uncertain; median : (n,) of the endpoint over people. own : (5,) quantiles (``LEVELS``) over people of the
    value that each of them needs, -inf or inf beyond the range; never : the share of people in whom it holds
    nowhere in the range. of_group : whether the endpoint is a probability of the whole group, which nobody
    has alone; its shares are then of posterior draws. standings : (n,) how far the numbers of each value have
    been put to the test.
    """

    wish: Constraint
    share: Floats
    low: Floats
    high: Floats
    median: Floats
    own: Floats
    never: float
    of_group: bool
    standings: tuple[Standing, ...]

    def people(self, i: int) -> PeopleShare:
        """The share of people at one value."""
        return PeopleShare(float(self.share[i]), float(self.low[i]), float(self.high[i]))


@dataclass(frozen=True, eq=False)
class Attainment:
    """Where along one unknown all wishes are met.

    Attributes
    ----------
    schedule : with "?"; where another unknown is set, with its value in place.
    end : "smallest" or "largest", which is asked for.
    value : the answer, in ``unknown.unit``; nan where the wishes are met nowhere.
    low, high : its 90 % interval by the parameters; nan where they are not uncertain or there is no answer;
        -inf or inf beyond the range.
    ranges : (low, high) of every stretch in which the wishes are met at the estimates.
    x : (n,) values at which the curves stand.
    curves : one of each wish.
    nearest : the value in the range that comes closest, which is the answer where there is one.
    found_by : the share of draws of the parameters under which the wishes are met anywhere in the range.
    chosen : the schedule with the answer, else with the nearest value.
    behind : what the fit knows of its outputs, on which ``standings`` of the curves stand.
    """

    schedule: str
    unknown: Unknown
    end: str
    value: float
    low: float
    high: float
    ranges: tuple[tuple[float, float], ...]
    x: Floats
    curves: tuple[WishCurve, ...]
    nearest: float
    found_by: float
    chosen: str
    behind: Behind
    warnings: tuple[str, ...]
    reading: tuple[str, ...]
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        wishes = "; ".join(str(curve.wish) for curve in self.curves)
        return f"<Attainment of {wishes}: {self.answer}>"

    def _repr_html_(self) -> str:
        heads = [f"P({curve.wish})" for curve in self.curves]
        rows = [
            (float(x), *(html.interval(*map(float, (c.share[i], c.low[i], c.high[i]))) for c in self.curves))
            for i, x in enumerate(self.x)
        ]
        note = " ".join((*self.reading, *self.notes, *self.warnings, "A model, not medical advice."))
        return html.table(self.answer, (self.unknown.called, *heads), rows, note)

    @property
    def range(self) -> tuple[float, float]:
        """From where to where was looked."""
        return float(self.unknown.values[0]), float(self.unknown.values[-1])

    @property
    def everywhere(self) -> bool:
        """Whether the wishes are met in all of the range."""
        return len(self.ranges) == 1 and self.ranges[0] == self.range

    @property
    def answer(self) -> str:
        """The answer as a sentence."""
        shown, words = self.unknown.shown, self.unknown.words(self.end)
        looked = f"from {shown(self.range[0])} to {shown(self.range[1])}"
        if not self.ranges:
            return f"Met nowhere {looked}; it comes closest at {shown(self.nearest)} ({self._reached()})."
        sure = f"90 % interval by the parameters {self.interval}" if self.interval else ""
        if self.everywhere:
            part = f" ({sure})" if sure else ""
            beyond = "below" if self.end == "smallest" else "above"
            return f"Met everywhere {looked}: the {words} is {shown(self.value)} or {beyond}{part}."
        sentence = f"The {words} is {shown(self.value)}" + (f" ({sure})" if sure else "") + "."
        if self.value == self.range[self.end == "largest"]:
            sentence += " That is the end of the range: there may be more beyond it."
        first, last = self.ranges[0], self.ranges[-1]
        if len(self.ranges) > 1:
            parts = ", ".join(f"{shown(low)} to {shown(high)}" for low, high in self.ranges)
            return f"{sentence} It is met in {len(self.ranges)} separate stretches: {parts}."
        if self.end == "smallest" and last[1] < self.range[1]:
            return f"{sentence} It is met up to {shown(last[1])}, and no longer above."
        if self.end == "largest" and first[0] > self.range[0]:
            return f"{sentence} It is met from {shown(first[0])} on, and not yet below."
        return sentence

    def _reached(self) -> str:
        """What the nearest value comes to."""
        i = int(np.argmin(np.abs(self.x - self.nearest)))
        return ", ".join(
            f"{curve.wish.endpoint.name} {curve.median[i]:.3g}{unit and f' {unit}'} in the median, "
            f"{100 * curve.share[i]:.0f} % of people reach {curve.wish.relation} {curve.wish.value:g}"
            for curve in self.curves
            for unit in [curve.wish.endpoint.unit if curve.wish.endpoint.unit != "1" else ""]
        )

    @property
    def weakest(self) -> Standing:
        """Of the wishes the one that has been put to the test least, on which the answer stands."""
        return weakest(self.standing(curve) for curve in self.curves)

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Of all wishes at all values."""
        return tuple(standing for curve in self.curves for standing in curve.standings)

    @property
    def sources(self) -> tuple[Evidence, ...]:
        """The rows of data behind all numbers."""
        return self.behind.under(self.standings)

    @property
    def interval(self) -> str:
        """The 90 % interval by the parameters for people; "" without one."""
        if math.isnan(self.low):
            return ""
        if self.low == self.high and math.isinf(self.low):
            return self._own(self.low)
        return f"{self._own(self.low)} to {self._own(self.high)}"

    def standing(self, curve: WishCurve) -> Standing:
        """How far the numbers of a wish have been put to the test at the answer, or the nearest value."""
        return curve.standings[int(np.argmin(np.abs(self.x - self.nearest)))]

    def people(self, curve: WishCurve) -> str:
        """What people need, each for himself, as a sentence; "" where nobody has a value of his own."""
        if curve.of_group or np.unique(curve.own).size == 1:
            return ""
        low, _, middle, _, high = (self._own(value) for value in curve.own)
        noun = self.unknown.words(self.end)
        never = f"; {100 * curve.never:.0f} % reach it nowhere in the range" if curve.never else ""
        return f"Each person's own {noun}: median {middle}, 90 % of people from {low} to {high}{never}."

    def _own(self, value: float) -> str:
        if math.isinf(value):
            end = self.range[int(value > 0)]
            return f"{'above' if value > 0 else 'below'} {self.unknown.shown(end)}"
        return self.unknown.shown(float(f"{value:.3g}"))

    def _records(self) -> list[dict[str, Any]]:
        return [
            {self.unknown.name: float(x)}
            | {
                f"{curve.wish}{name}": float(getattr(curve, field)[i])
                for curve in self.curves
                for name, field in (("", "share"), (" low", "low"), (" high", "high"))
            }
            | {curve.wish.endpoint.name: float(curve.median[i]) for curve in self.curves}
            | {f"{curve.wish.endpoint.name} light": str(curve.standings[i].light) for curve in self.curves}
            for i, x in enumerate(self.x)
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row per value that was looked at: of each wish the share of people in whom it holds, with its
        interval by the parameters, and the median of its endpoint."""
        import pandas as pd

        frame = pd.DataFrame(self._records())
        frame.attrs = {"provenance": self.provenance, "answer": self.answer, "reading": list(self.reading)}
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the answer with its interval, the curves, what people need, the rows of data behind
        them, and how it was made."""
        return self.without_sources() | {"sources": [one.as_dict() for one in self.sources]}

    def without_sources(self) -> dict[str, Any]:
        """The same without the rows of data."""
        return {
            "provenance": self.provenance,
            "answer": self.answer,
            "schedule": self.schedule,
            "unknown": self.unknown.name,
            "unit": self.unknown.unit,
            "range": list(self.range),
            "end": self.end,
            "value": _in_json(self.value),
            "low": _in_json(self.low),
            "high": _in_json(self.high),
            "ranges": [list(ends) for ends in self.ranges],
            "nearest": self.nearest,
            "found_by": _in_json(self.found_by),
            "chosen": self.chosen,
            "x": self.x.tolist(),
            "wishes": [
                {
                    "wish": str(curve.wish),
                    "asked_share": asked_share(curve.wish),
                    "endpoint": dataclasses.asdict(curve.wish.endpoint),
                    "own": {f"{100 * q:g} %": _in_json(v) for q, v in zip(LEVELS, curve.own, strict=True)},
                    "never": curve.never,
                    "lights": [standing.light for standing in curve.standings],
                }
                | self.standing(curve).as_dict()
                | {
                    name: [_in_json(value) for value in getattr(curve, name)]
                    for name in ("share", "low", "high", "median")
                }
                for curve in self.curves
            ],
            "warnings": list(self.warnings),
            "reading": list(self.reading),
            "notes": list(self.notes),
        }

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """The rows of ``to_frame``, whole or not at all; the answer and how it was made above the header in
        lines that begin with "#"."""
        records = self._records()
        about = (self.answer, *self.reading, *self.notes, *self.warnings)
        write_rows(path, list(records[0]), records, about=self.provenance, remarks=about)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """What ``to_dict`` has, whole or not at all; a number that does not exist is null, one beyond the
        range "inf" or "-inf"."""
        write_json(path, self.to_dict())


@dataclass(frozen=True, eq=False)
class Boundary:
    """Two unknowns: for each value of ``over`` the answer for the other one, in ``rows``."""

    over: Unknown
    rows: tuple[Attainment, ...]

    def __repr__(self) -> str:
        return f"<Boundary: {self.unknown.words(self.end)} by {self.over.called}, {len(self.rows)} rows>"

    def _repr_html_(self) -> str:
        heads = (self.over.called, self.unknown.called, "answer", "schedule")
        rows = [(r["over"], r[self.unknown.name], r["answer"], r["schedule"]) for r in self._records("over")]
        return html.table(repr(self)[1:-1], heads, rows, "A model, not medical advice.")

    @property
    def unknown(self) -> Unknown:
        """The one that is answered for."""
        return self.rows[0].unknown

    @property
    def end(self) -> str:
        """ "smallest" or "largest" of it."""
        return self.rows[0].end

    @property
    def behind(self) -> Behind:
        """What the fit knows of its outputs."""
        return self.rows[0].behind

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Of all wishes at all values of both."""
        return tuple(standing for row in self.rows for standing in row.standings)

    @property
    def sources(self) -> tuple[Evidence, ...]:
        """The rows of data behind all numbers."""
        return self.behind.under(self.standings)

    def _records(self, over: str = "") -> list[dict[str, Any]]:
        return [
            {over or self.over.name: float(value), row.unknown.name: row.value}
            | {f"{row.unknown.name} low": row.low, f"{row.unknown.name} high": row.high}
            | {"answer": row.answer, "schedule": row.chosen, "light": str(row.weakest.light)}
            for value, row in zip(self.over.values, self.rows, strict=True)
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row per value of ``over``."""
        import pandas as pd

        return pd.DataFrame(self._records())

    def to_dict(self) -> dict[str, Any]:
        """Plain values: of each row what ``Attainment.to_dict`` has, and its value of ``over``; the rows of
        data once for all."""
        return {
            "over": self.over.name,
            "unit": self.over.unit,
            "rows": [
                {self.over.name: float(value)} | row.without_sources()
                for value, row in zip(self.over.values, self.rows, strict=True)
            ],
            "sources": [one.as_dict() for one in self.sources],
        }

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """The rows of ``to_frame``, whole or not at all."""
        records, row = self._records(), self.rows[0]
        about = (*row.reading, *row.notes)
        write_rows(path, list(records[0]), records, about=row.provenance, remarks=about)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """What ``to_dict`` has, whole or not at all."""
        write_json(path, self.to_dict())


def _in_json(value: float) -> float | str:
    number = float(value)
    return ("inf" if number > 0 else "-inf") if math.isinf(number) else number
