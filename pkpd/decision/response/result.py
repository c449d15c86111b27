"""An endpoint over the dose and over another endpoint: the results, and the files they are written to."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.files import write_json, write_rows
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.evidence import Behind, Evidence, Standing
from pkpd.decision.inverse.question import Unknown
from pkpd.decision.response.published import PublishedDose

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
ADVICE = "A model, not medical advice."


@dataclass(frozen=True, eq=False)
class ExposureResponse:
    """An endpoint over another one, in the same people at all values of the unknown.

    over : the other endpoint; x, y : (n, n_people) of it and of the endpoint; centres : (k,) medians of x in
    so many groups of as many people, and curve : (3, k), 5 %, 50 % and 95 % of y in each. spearman : the rank
    correlation of all; within : of people at one value of the unknown, its median over the values.
    """

    over: Endpoint
    x: Floats
    y: Floats
    centres: Floats
    curve: Floats
    spearman: float
    within: float


@dataclass(frozen=True, eq=False)
class DoseResponse:
    """An endpoint over an unknown of a schedule.

    Attributes
    ----------
    pattern : the schedule with its "?".
    unknown : what it stands for.
    endpoint : that is looked at.
    values : (n_values,) of the unknown, in ``unknown.unit``.
    people : (5, n_values), 5 %, 25 %, 50 %, 75 % and 95 % of people, at the estimates of the fit.
    low, high : (n_values,), the 90 % interval of the median person by the parameters alone; nan without
        uncertainty.
    published_doses : numbers of the fit's data after doses of this pattern, on this scale, each at its own
        time.
    exposure : the endpoint over another one, where that was asked for.
    value_standings : (n_values,) how far the numbers of each value have been put to the test; behind : what
        the fit knows of its outputs, on which they stand.
    reading, warnings : sentences: what the numbers are, and what a reader has to know.
    provenance : what they were made from.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=20, vary=["between"])
    >>> found = pkpd.dose_response(scene, "? MIU sc daily x5", "Treg mean fold", dose="0.5, 1, 2 MIU")
    >>> found.values.tolist(), bool(found.people[2, 0] < found.people[2, 1] < found.people[2, 2])
    ([0.5, 1.0, 2.0], True)
    """

    pattern: str
    unknown: Unknown
    endpoint: Endpoint
    values: Floats
    people: Floats
    low: Floats
    high: Floats
    published_doses: tuple[PublishedDose, ...]
    exposure: ExposureResponse | None
    value_standings: tuple[Standing, ...]
    behind: Behind
    reading: tuple[str, ...]
    warnings: tuple[str, ...]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        return f"<DoseResponse of {self.endpoint.name} under '{self.pattern}': {self.values.size} values>"

    def _repr_html_(self) -> str:
        columns = (self.unknown.called, self.endpoint.name, "the median by the parameters")
        rows = [
            (
                float(x),
                html.interval(*map(float, self.people[[2, 0, 4], i])),
                html.interval(*map(float, (self.people[2, i], self.low[i], self.high[i]))),
            )
            for i, x in enumerate(self.values)
        ]
        note = " ".join((*self.reading, *self.warnings, ADVICE))
        return html.table(repr(self)[1:-1], columns, rows, note)

    @property
    def sources(self) -> tuple[Evidence, ...]:
        """The rows of data behind the numbers of all values."""
        return self.behind.under(self.value_standings)

    @property
    def _columns(self) -> tuple[str, ...]:
        levels = (f"{100 * level:g} %" for level in LEVELS)
        return (self.unknown.name, *levels, "median low", "median high", "light")

    def _records(self) -> list[dict[str, Any]]:
        return [
            dict(zip(self._columns, (float(x), *self.people[:, i].tolist(), *ends, light), strict=True))
            for i, (x, *ends) in enumerate(
                zip(self.values, self.low.tolist(), self.high.tolist(), strict=True)
            )
            for light in [str(self.value_standings[i].light)]
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row per value of the unknown: quantiles of people, and the interval of the median by the
        parameters."""
        import pandas as pd

        frame = pd.DataFrame(self._records(), columns=list(self._columns))
        frame.attrs = {"provenance": self.provenance, "reading": list(self.reading)}
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the curves, the published numbers, people one by one, and how they were made."""

        def plain(values: Floats) -> Any:
            if values.ndim > 1:
                return [plain(row) for row in values]
            return [float(value) if np.isfinite(value) else None for value in values]

        exposure = None
        if (of := self.exposure) is not None:
            exposure = {
                "over": asdict(of.over),
                "x": plain(of.x),
                "y": plain(of.y),
                "centres": plain(of.centres),
                "curve": plain(of.curve),
                "spearman": None if np.isnan(of.spearman) else of.spearman,
                "within": None if np.isnan(of.within) else of.within,
            }
        return {
            "schedule": self.pattern,
            "unknown": self.unknown.name,
            "unit": self.unknown.unit,
            "endpoint": asdict(self.endpoint),
            "x": self.values.tolist(),
            "levels": list(LEVELS),
            "people": plain(self.people),
            "low": plain(self.low),
            "high": plain(self.high),
            "published": [
                {key: None if value != value else value for key, value in asdict(point).items()}
                for point in self.published_doses
            ],
            "exposure": exposure,
            "standings": [standing.as_dict() for standing in self.value_standings],
            "sources": [one.as_dict() for one in self.sources],
            "reading": list(self.reading),
            "warnings": list(self.warnings),
            "advice": ADVICE,
            "provenance": self.provenance,
        }

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """The rows of ``to_frame``, whole or not at all; what they are above the header in lines that begin
        with "#"."""
        remarks = (*self.reading, *self.warnings, ADVICE)
        write_rows(path, self._columns, self._records(), about=self.provenance, remarks=remarks)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """What ``to_dict`` has, whole or not at all."""
        write_json(path, self.to_dict())
