"""What drives an endpoint: the results, and the files they are written to."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core import html
from pkpd.core.files import write_json, write_rows
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.evidence import Behind, Evidence, Standing
from pkpd.dosing import Schedule

if TYPE_CHECKING:
    import pandas as pd

ADVICE = "A model, not medical advice."
NAN = float("nan")
PEOPLE, PARAMETERS = "people", "parameters"
WORDS = {PEOPLE: "differences between people", PARAMETERS: "uncertainty of the parameters"}


@dataclass(frozen=True)
class Driver:
    """One input and what it does to the endpoint.

    by : "people", a parameter in which they differ, or "parameters", one that is not known exactly.
    low_value, high_value : where 5 % and 95 % of people, or of what it may be, lie, in ``unit``; low, high :
    the endpoint of the typical person there, with what goes together with the input where its expectation is;
    low_ends, high_ends : how far these lie from the middle by the other origin, 90 % intervals about the
    typical person's endpoint (nan where there is no other origin). first, total
    : shares of the variance of the endpoint by this origin, with 90 % intervals (`pkpd.decision.drivers`);
    nan where the screening left the input out. screening : its mean absolute elementary effect, nan without
    one.
    """

    name: str
    description: str
    unit: str
    by: str
    low_value: float
    high_value: float
    low: float
    high: float
    low_ends: tuple[float, float] = (NAN, NAN)
    high_ends: tuple[float, float] = (NAN, NAN)
    first: float = NAN
    first_ends: tuple[float, float] = (NAN, NAN)
    total: float = NAN
    total_ends: tuple[float, float] = (NAN, NAN)
    screening: float = NAN

    @property
    def swing(self) -> float:
        """How far the endpoint moves from one end to the other."""
        return abs(self.high - self.low)


@dataclass(frozen=True)
class Origin:
    """People or parameters: the endpoint's SD by it alone, and its shares of the variance by both (nan where
    only one was looked at)."""

    by: str
    sd: float
    first: float = NAN
    first_ends: tuple[float, float] = (NAN, NAN)
    total: float = NAN
    total_ends: tuple[float, float] = (NAN, NAN)


_COLUMNS = tuple(
    f"{name}{end}"
    for name, ends in (
        ("by", ("",)),
        ("name", ("",)),
        ("description", ("",)),
        ("unit", ("",)),
        ("low_value", ("",)),
        ("high_value", ("",)),
        ("low", ("", "_from", "_to")),
        ("high", ("", "_from", "_to")),
        ("first", ("", "_from", "_to")),
        ("total", ("", "_from", "_to")),
        ("screening", ("",)),
        ("light", ("",)),
    )
    for end in ends
)


@dataclass(frozen=True, eq=False)
class Drivers:
    """What drives an endpoint.

    Attributes
    ----------
    endpoint, schedule : what was asked.
    typical : the endpoint of the typical person at the estimates.
    origins : how much of the variance is by differences between people and how much by the parameters.
    drivers : of each origin those with the widest swing first, and last those whose own shares were not
        counted.
    standing : how far the endpoint has been put to the test; behind : what the fit knows of its outputs, on
        which it stands.
    reading, warnings : sentences: what the numbers are, and what a reader has to know.
    provenance : what they were made from.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=1)
    >>> found = pkpd.drivers(scene, "1 MIU sc once", "AUC", origins=["people"], samples=32)
    >>> sorted(driver.name for driver in found.drivers)[:3]
    ['CL', 'K', 'ka']
    """

    endpoint: Endpoint
    schedule: Schedule
    typical: float
    origins: tuple[Origin, ...]
    drivers: tuple[Driver, ...]
    standing: Standing
    behind: Behind
    reading: tuple[str, ...]
    warnings: tuple[str, ...]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        return f"<Drivers of {self.endpoint.name} under '{self.schedule}': {len(self.drivers)} inputs>"

    def _repr_html_(self) -> str:
        columns = ("by", "input", "its 5 % to 95 %", "unit", "endpoint there", "first", "total")
        rows = [
            (
                one.by,
                one.name,
                f"{one.low_value:.3g} to {one.high_value:.3g}",
                one.unit,
                f"{one.low:.3g} to {one.high:.3g}",
                html.interval(one.first, *one.first_ends),
                html.interval(one.total, *one.total_ends),
            )
            for one in self.drivers
        ]
        note = " ".join((*self.reading, *self.warnings, ADVICE))
        return html.table(repr(self)[1:-1], columns, rows, note)

    @property
    def sources(self) -> tuple[Evidence, ...]:
        """The rows of data behind the endpoint."""
        return self.behind.under([self.standing])

    def of(self, origin: str) -> tuple[Driver, ...]:
        """Those of one origin."""
        return tuple(driver for driver in self.drivers if driver.by == origin)

    def _records(self) -> list[dict[str, Any]]:
        def record(one: Driver) -> dict[str, Any]:
            values = {name: getattr(one, name) for name in _COLUMNS if hasattr(one, name)}
            for name in ("low", "high", "first", "total"):
                values[f"{name}_from"], values[f"{name}_to"] = getattr(one, f"{name}_ends")
            return values | {"light": str(self.standing.light)}

        return [record(one) for one in self.drivers]

    def to_frame(self) -> pd.DataFrame:
        """A row per input, with the light of the endpoint."""
        import pandas as pd

        frame = pd.DataFrame(self._records(), columns=list(_COLUMNS))
        frame.attrs = {"provenance": self.provenance, "reading": list(self.reading)}
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the typical person's endpoint, the origins and the inputs, and how they were made."""
        return {
            "endpoint": asdict(self.endpoint),
            "schedule": str(self.schedule),
            "typical": self.typical,
            "origins": [_plain(asdict(origin)) for origin in self.origins],
            "drivers": [_plain(record) for record in self._records()],
            **self.standing.as_dict(),
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
        write_rows(path, _COLUMNS, self._records(), about=self.provenance, remarks=remarks)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """What ``to_dict`` has, whole or not at all."""
        write_json(path, self.to_dict())


def _plain(value: Any) -> Any:
    """Without numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
