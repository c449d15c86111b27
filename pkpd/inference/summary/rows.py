"""One row of published numbers, and all rows of a file.

One row is one reported number. Columns (order free, * may be absent)::

    row          unique name of the number
    study arm    where it was reported               population*   who
    n            patients behind the number (may be empty)
    schedule     in the schedule language; none for placebo
    set*         "BSA = 1.73 m^2; bath = 12.8 pM": parameters or covariates that this arm has instead of the
                 model's; "WT = 60..80 kg", "WT = 80.. kg": its patients are those of the model in this range
    output       name of a model output
    measure      value | change | percent_change | fold           relative to the same patient at time 0
    reducer      at | max | min | mean | auc | tmax | half_life   over the time, window or visits
    time         a number; a window "0..7", within which the course is looked at; or visits "1; 4; 8", of
                 which the largest, smallest or mean of what was measured is meant. Time counts from day 0 of
                 the schedule, which is its first dose unless the schedule says another day ("... from day 1"
                 leaves a day before it), as in `pkpd simulate`;  time_unit
    statistic    what the number is: a word of ``kinds.KINDS``
    value unit   as printed; unit of a percent_change is percent, of a fold 1, of a tmax or half_life a time
    spread* spread_type*   SD | SE | CI95 (half width) | IQR (width) | range (width) | CV (in percent) | none
    lower* upper*          ends of the interval as printed, instead of spread
    effect*      dose_for_effect: the effect that was to be reached; count, fraction: what makes a responder
                 (in percent, as a fold, or in the output's unit, as the measure has it)
    versus*      the arm of the same study that this one is compared with, and its patients, versus_n*
    level*       of a quantile its probability, of a test or hazard ratio its p
    person_time* the time that all patients of a rate were followed, in time_unit
    other*       the second output of a correlation, the output that makes a responder, or the covariate of
                 an adjusted hazard ratio, of which the effect is then a value
    subset_n*    of the mean of responders, how many of the n patients it is of
    use*         fit | check | context (shown, never predicted);  source, doi*, provenance, note*
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from pkpd.core.errors import DataError
from pkpd.core.names import meant

MEASURES = ("value", "change", "percent_change", "fold")
REDUCERS = ("at", "max", "min", "mean", "auc", "tmax", "half_life")
SPREADS = ("none", "SD", "SE", "CI95", "IQR", "range", "CV")
USES = ("fit", "check", "context")
PROVENANCES = ("reported", "secondary", "derived", "unverified")

REQUIRED = (
    "row",
    "study",
    "arm",
    "n",
    "schedule",
    "output",
    "measure",
    "reducer",
    "time",
    "time_unit",
    "statistic",
    "value",
    "unit",
    "source",
    "provenance",
)
COLUMNS_OF_KINDS = ("effect", "versus", "versus_n", "level", "person_time", "other", "subset_n")
"""Columns that only some kinds of rows have."""
OPTIONAL = (
    "population",
    "set",
    "spread",
    "spread_type",
    "lower",
    "upper",
    *COLUMNS_OF_KINDS,
    "use",
    "doi",
    "note",
)


class Override(NamedTuple):
    """A parameter or covariate that an arm has instead of the model's number."""

    name: str
    value: float
    unit: str


class Stratum(NamedTuple):
    """A parameter or covariate that differs between patients, and the range in which it is in those of an arm
    (an infinite end is open)."""

    name: str
    lower: float
    upper: float
    unit: str


Setting = Override | Stratum
"""One of the column ``set``."""


@dataclass(frozen=True, slots=True)
class Row:
    """One reported number, as printed (or, after ``in_model_units``, in the model's units)."""

    id: str
    line: int
    study: str
    arm: str
    population: str
    n: int | None
    schedule: str
    overrides: tuple[Setting, ...]
    output: str
    measure: str
    reducer: str
    start: float
    stop: float
    """equal to ``start`` unless a window or visits were given"""
    time_unit: str
    statistic: str
    value: float
    """nan where only an interval was printed"""
    unit: str
    spread: float
    """nan where not printed"""
    spread_type: str
    lower: float
    upper: float
    effect: float
    use: str
    source: str
    doi: str
    provenance: str
    note: str
    visits: tuple[float, ...] = ()
    """of which the extreme or mean was taken, ascending"""
    versus: str = ""
    """the arm of the same study that this one is compared with"""
    versus_schedule: str = ""
    versus_n: int | None = None
    other: str = ""
    """the second output of a correlation, the one that makes a responder, or a covariate"""
    subset_n: int | None = None
    """of the mean of responders, how many of the n patients it is of"""
    level: float = math.nan
    """of a quantile its probability, of a test or hazard ratio its p"""
    person_time: float = math.nan
    """in which the events of a rate were seen; once in the model's units, in those of one over its output"""

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it looks at in its patients: its output and, if there is one, the other."""
        return (self.output, self.other) if self.other else (self.output,)

    @property
    def is_window(self) -> bool:
        """Whether the row looks at the course over a span of time."""
        return self.stop > self.start and not self.visits


@dataclass(frozen=True)
class Data:
    """The rows of a file, with its name and the SHA-256 of its bytes."""

    rows: tuple[Row, ...]
    file: str
    sha256: str

    def __repr__(self) -> str:
        return f"<Data of {self.file}: {len(self.rows):,} rows of {len(self.studies)} studies>"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row_id: str) -> Row:
        for row in self.rows:
            if row.id == row_id:
                return row
        raise DataError(f'{self.file} has no row "{row_id}"{meant(row_id, [row.id for row in self.rows])}')

    def keep(self, wanted: Callable[[Row], bool]) -> Data:
        """The same data with only those rows for which ``wanted`` is true."""
        return replace(self, rows=tuple(row for row in self.rows if wanted(row)))

    @property
    def studies(self) -> tuple[str, ...]:
        """Names of the studies, in the order of the file."""
        return tuple(dict.fromkeys(row.study for row in self.rows))
