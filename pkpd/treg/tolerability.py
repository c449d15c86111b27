"""How likely a patient is to have a non-serious adverse event, from the four published counts: 1, 3, 5 and 6
of 6 patients (Hartemann 2013).

One hit, with the background by Abbott's formula (J Econ Entomol 18 (1925) 265): p(d) = 1 - (1 - p0) exp(-k d)
with d the daily dose in MIU, p0 the background and k per MIU. p0 is uniform on 0 to 1 beforehand, k lognormal
with median 1 per MIU and log-SD 1.5 (90 percent between 0.085 and 12). The posterior is binomial and
integrated on a grid. It is a model of 24 patients, not medical advice: the width of the interval is the
message.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import DataError, InputError, ScheduleError
from pkpd.core.tables import read_table
from pkpd.decision.endpoints import Endpoint, Regimen, Relevant, largest_daily
from pkpd.dosing import Schedule

Floats = NDArray[np.float64]

UNIT = "MIU"
"""In which the counted doses are."""
K_MEDIAN, K_LOG_SD = 1.0, 1.5
CELLS = 400
"""Of the grid, along p0 and along log k."""
COURSE_DAYS = 5.0

EVENT = Endpoint(
    "adverse event",
    "1",
    "The probability that a patient has a non-serious adverse event during a five-day course at the "
    "largest dose that any 24 hours of the schedule hold, "
    "by 1 - (1 - p0) exp(-k dose), one posterior draw of p0 and k per subject.",
    -1,
    "tolerability",
    missing="no value where the doses cannot be counted in MIU",
    remark="seen only in five-day courses of 0.33 to 3 MIU a day under the skin, in 24 people with "
    "type 1 diabetes, six at each dose (Hartemann 2013); "
    "anything else, such as weeks of daily doses, other intervals, other patients, is extrapolation",
    relevant=Relevant(0.05, "one patient in twenty; a choice of ours that no trial has set"),
)


@dataclass(frozen=True)
class EventCount:
    """How many of ``n`` patients on a daily dose (MIU) had an event."""

    study: str
    arm: str
    dose: float
    n: int
    events: int
    source: str
    doi: str
    provenance: str


@functools.cache
def counts() -> tuple[EventCount, ...]:
    """The published counts, of ``adverse_events.csv``. Raises DataError where the file is
    damaged."""
    path = Path(__file__).with_name("adverse_events.csv")
    table = read_table(path)
    columns = ("study", "arm", "daily_dose_miu", "n", "events", "source", "doi", "provenance")
    table.check_columns(columns, ("what", "population"))
    table.problems.stop_if_any()
    try:
        found = tuple(
            EventCount(
                row["study"],
                row["arm"],
                float(row["daily_dose_miu"]),
                int(row["n"]),
                int(row["events"]),
                row["source"],
                row["doi"],
                row["provenance"],
            )
            for row in map(table.fields, table.lines)
        )
    except ValueError as error:
        raise DataError(f"{path}: the counts of adverse events cannot be read: {error}") from None
    if not found or any(not (0 <= row.events <= row.n and 0.0 <= row.dose < math.inf) for row in found):
        raise DataError(f"{path}: each row needs a dose of 0 or more and events among n patients")
    return found


@dataclass(frozen=True)
class EventPosterior:
    """What the counts say of p0 and k, on the midpoints of a grid: p0 and log_k, (n_cells,), and weights,
    (n_cells,), that add up to 1."""

    p0: Floats
    log_k: Floats
    weights: Floats
    widths: tuple[float, float]

    @classmethod
    def of(cls, rows: tuple[EventCount, ...]) -> EventPosterior:
        """By midpoints over p0 from 0 to 1 and log k within six SDs of its prior."""
        width = 1.0 / CELLS, 12.0 * K_LOG_SD / CELLS
        middle = np.arange(CELLS) + 0.5
        p0, log_k = np.meshgrid(
            middle * width[0],
            math.log(K_MEDIAN) - 6.0 * K_LOG_SD + middle * width[1],
            indexing="ij",
        )
        log_density = -0.5 * ((log_k - math.log(K_MEDIAN)) / K_LOG_SD) ** 2
        for row in rows:
            # log(1 - p) and log p, without losing digits where p is close to 1
            log_none = np.log1p(-p0) - np.exp(log_k) * row.dose
            log_event = np.log(-np.expm1(log_none))
            log_density += row.events * log_event + (row.n - row.events) * log_none
        weights = np.exp(log_density - log_density.max())
        return cls(p0.ravel(), log_k.ravel(), (weights / weights.sum()).ravel(), width)

    def probability(self, dose: float) -> tuple[float, float, float]:
        """Mean and 90 percent interval of the probability of an event at a daily dose in MIU."""
        p = one_hit(self.p0, np.exp(self.log_k), dose)
        order = np.argsort(p)
        below = np.cumsum(self.weights[order])
        low, high = (float(p[order[np.searchsorted(below, level)]]) for level in (0.05, 0.95))
        return float(p @ self.weights), low, high

    @functools.cached_property
    def cumulative(self) -> Floats:
        """(n_cells,) weights up to each cell."""
        return np.cumsum(self.weights)

    def draws(self, n: int, seed: int = 0) -> tuple[Floats, Floats]:
        """(n,) p0 and (n,) k from the posterior: evenly spread over it, in random order, the same for a seed
        and n."""
        generator = np.random.Generator(np.random.Philox(key=seed))
        levels = (generator.permutation(n) + generator.random(n)) / n
        cells = np.minimum(np.searchsorted(self.cumulative, levels), self.weights.size - 1)
        within = generator.random((2, n)) - 0.5
        return (
            self.p0[cells] + within[0] * self.widths[0],
            np.exp(self.log_k[cells] + within[1] * self.widths[1]),
        )


def one_hit(p0: Floats, k: Floats, dose: ArrayLike) -> Floats:
    """The probability of an event at a daily dose in MIU."""
    return np.asarray(1.0 - (1.0 - p0) * np.exp(-k * np.asarray(dose, dtype=np.float64)))


@functools.cache
def posterior() -> EventPosterior:
    """Of the published counts."""
    return EventPosterior.of(counts())


def probability(
    schedule: Schedule,
    n_subjects: int,
    *,
    sizes: Mapping[str, ArrayLike] | None = None,
    dose_units: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    daily: ArrayLike | None = None,
) -> Floats:
    """``EVENT`` of each subject, (n_subjects,), by one posterior draw per subject: for any schedule the same
    draws, so that differences are paired; nan where the doses cannot be counted in MIU.

    sizes, dose_units : as in `pkpd.decision.endpoints.evaluate`; daily : (n_subjects,), the largest daily
        dose in MIU that each was given, where it is not that of the
    schedule. Raises InputError for a body size that is missing.
    """
    if n_subjects < 1:
        raise InputError(f"the number of subjects must be at least 1, not {n_subjects}")
    p0, k = posterior().draws(n_subjects, seed)
    try:
        planned = largest_daily(schedule, UNIT, sizes or {}, n_subjects, dose_units)
    except ScheduleError:
        return np.full(n_subjects, np.nan)
    return one_hit(p0, k, planned if daily is None else daily)


def warnings(
    schedule: Schedule,
    *,
    sizes: Mapping[str, float] | None = None,
    dose_units: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[str, ...]:
    """How a schedule goes beyond what the counts saw, as sentences without a full stop; none for placebo and
    five-day courses of the doses seen, given once."""
    if not schedule.parts:
        return ()
    try:
        dose = float(largest_daily(schedule, UNIT, sizes or {}, 1, dose_units)[0])
    except ScheduleError:
        return ("Adverse events: doses that are not counted in MIU have no probability of one",)
    seen = [row.dose for row in counts() if row.dose > 0.0]
    regimen = Regimen.of(schedule)
    found = []
    if not 0.99 * min(seen) <= dose <= 1.01 * max(seen):
        found.append(
            f"{dose:.3g} MIU a day is outside the {min(seen):g} to {max(seen):g} MIU that were counted"
        )
    if regimen.cycles.size > 1:
        found.append("the probability is that of one five-day course, not of several")
    elif not (regimen.interval == 1.0 and regimen.times.size == COURSE_DAYS):
        found.append("only five-day courses of daily doses were counted")
    if any(part.route.lower() != "sc" for part in schedule.parts):
        found.append("only injections under the skin were counted")
    return (f"Adverse events: {'; '.join(found)}",) if found else ()
