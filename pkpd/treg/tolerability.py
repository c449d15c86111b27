"""How likely a patient is to have a non-serious adverse event, from the four published counts: 1, 3, 5 and 6
of 6 patients (Hartemann 2013).

One hit in the daily dose in MIU, with a background (``pkpd.inference.one_hit``). It is a model of 24
patients, not medical advice: the width of the interval is the message.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import InputError, ScheduleError
from pkpd.decision.endpoints import Endpoint, Regimen, Relevant, largest_daily
from pkpd.dosing import Schedule
from pkpd.inference.one_hit import EventCount, OneHitPosterior, OneHitPrior, one_hit, read_counts

Floats = NDArray[np.float64]

UNIT = "MIU"
"""In which the counted doses are."""
PRIOR = OneHitPrior(median=1.0, log_sd=1.5)
"""k per MIU: 90 percent between 0.085 and 12; p0 uniform on 0 to 1."""
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


@functools.cache
def counts() -> tuple[EventCount, ...]:
    """The published counts, of ``adverse_events.csv``. Raises DataError where the file is
    damaged."""
    return read_counts(Path(__file__).with_name("adverse_events.csv"), UNIT)


@functools.cache
def posterior() -> OneHitPosterior:
    """Of the published counts."""
    return OneHitPosterior.of(counts(), PRIOR)


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
