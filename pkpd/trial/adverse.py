"""Adverse events of a trial: how likely one is by the dose of a course, from counts, and whom it happens to.

[[adverse]]
name = "headache"
unit = "mg"
counts = [{ dose = 0, n = 20, events = 2 }, { dose = 10, n = 20, events = 9 }]
slope = { median = 0.1, log_sd = 1.5 }
provenance = "reported"
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import DataError
from pkpd.core.names import question_or_list
from pkpd.core.toml import TomlTable
from pkpd.dosing.quantities import DOSE_UNITS
from pkpd.inference.one_hit import (
    LARGEST_DOSE,
    MOST_COUNTED,
    EventCount,
    OneHitPosterior,
    OneHitPrior,
    one_hit,
    read_counts,
)
from pkpd.trial.kinds import provenance_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AdverseEvent:
    """An adverse event that a course of doses may bring, or none of them.

    Attributes
    ----------
    name, where : what it is called, and the place in the file.
    unit : of the daily doses.
    counts : by which it is known.
    prior : of the probability by dose.
    source, provenance, note : where the counts are from, and what a reader needs to know of them.
    """

    name: str
    where: str
    unit: str
    counts: tuple[EventCount, ...]
    prior: OneHitPrior
    source: str
    provenance: str
    note: str

    @cached_property
    def posterior(self) -> OneHitPosterior:
        """Of the background and the slope."""
        return OneHitPosterior.of(self.counts, self.prior)

    @property
    def stream(self) -> int:
        """Of random numbers: its own by its name, whatever else a design declares."""
        return zlib.crc32(self.name.encode())


def happened(doses: Floats, p0: float, k: float, generator: np.random.Generator) -> Floats:
    """Whether it happens in each course, (n, n_courses), 1 or 0; nan where there was no course.

    doses : (n, n_courses), the most that was given in a day, 0 without a dose, nan without a course.
    """
    luck = generator.random(doses.shape)
    return np.where(np.isfinite(doses), luck < one_hit(p0, k, doses), np.nan)


# --- as a design declares it


def read_adverse(item: TomlTable, folder: Path) -> AdverseEvent:
    """Raises ``DataError`` for what is wrong, with its key; ``folder`` is where a table of counts lies."""
    item.keys_within(("name", "unit", "counts", "slope", "background", "source", "provenance", "note"))
    unit = item.text("unit")
    if unit not in DOSE_UNITS:
        raise DataError(
            f'{item.where}: unit = "{unit}" is no unit of doses; {question_or_list(unit, DOSE_UNITS)}'
        )
    provenance = provenance_of(item)
    return AdverseEvent(
        name=item.text("name"),
        where=item.where,
        unit=unit,
        counts=_counts(item, unit, folder, provenance),
        prior=_prior(item),
        source=item.text("source", ""),
        provenance=provenance,
        note=item.text("note", ""),
    )


def _counts(item: TomlTable, unit: str, folder: Path, provenance: str) -> tuple[EventCount, ...]:
    given = item.values.get("counts")
    if isinstance(given, str):
        try:
            return read_counts(folder / given, unit)
        except DataError as error:
            raise DataError(f"{item.where}: counts: {error}") from None
    if not isinstance(given, list) or not given:
        raise DataError(
            f"{item.where}: counts is needed: a list such as [{{ dose = 1, n = 6, events = 5 }}], or the "
            "path of a table"
        )
    where = f"{item.where}: counts, number"
    return tuple(_count(one, f"{where} {k}", provenance) for k, one in enumerate(given, 1))


def _count(given: Any, where: str, provenance: str) -> EventCount:
    if not isinstance(given, dict):
        raise DataError(f"{where} must be such as {{ dose = 1, n = 6, events = 5 }}")
    one = TomlTable(given, where)
    one.keys_within(("dose", "n", "events"))
    for key in ("dose", "n", "events"):
        if key not in given:
            raise DataError(f"{where}: {key} = ... is needed")
    n = one.integer("n", 0, low=1, high=MOST_COUNTED)
    events = one.integer("events", 0, low=0, high=n)
    return EventCount("", "", one.number("dose", 0.0, high=LARGEST_DOSE), n, events, "", "", provenance)


def _prior(item: TomlTable) -> OneHitPrior:
    given, keys = item.values.get("slope"), ("median", "log_sd")
    slope = TomlTable(given if isinstance(given, dict) else {}, f"{item.where}: [slope]")
    slope.keys_within(keys)
    if not set(keys) <= set(slope.values):
        raise DataError(f"{item.where}: slope = {{ median = ..., log_sd = ... }} is needed, per unit of dose")
    background = item.values.get("background", [0.0, 1.0])
    right = (
        isinstance(background, list)
        and len(background) == 2
        and all(type(end) in (int, float) for end in background)
        and 0.0 <= background[0] < background[1] <= 1.0
    )
    if not right:
        raise DataError(f"{item.where}: background must be two probabilities, [low, high], such as [0, 1]")
    return OneHitPrior(
        slope.number("median", 1.0, low=1e-12, high=1e12),
        slope.number("log_sd", 1.0, low=1e-6, high=10.0),
        float(background[0]),
        float(background[1]),
    )
