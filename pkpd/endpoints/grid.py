"""The output times that the endpoints need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pkpd.dosing import EventTable
from pkpd.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST = 2600
MOST_OF_MANY = 10_000
EDGE = 10
"""How many of the first and of the last doses are always followed finely."""
JUST_BEFORE = 1e-5
"""Days before a dose at which the trough is read: just under a second."""

# Hours after a dose: where a subcutaneous dose of IL-2 rises, turns and falls ever faster (the linear-up log-down trapezoid is too small on a curve
# that is concave even in its logarithm). Picked by leaving out one time after another, the one that Cmax and AUC of il2_treg miss least.
_FINE = (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.75, 6.5, 8, 9, 10, 11, 12.5, 14, 16, 20, 24)
_STEEP = (0.05, 0.1, 0.2, 0.35, 0.75)  # where what is given into blood begins and ends
_PLAIN = (0, 1, 2, 3, 4, 5, 6.5, 9, 12.5, 16, 24)
_ROUGH = (0, 2, 4, 8)
_PAUSE = (
    1.25,
    1.5,
    1.75,
    2,
    2.25,
    2.5,
    2.75,
    3,
    4,
    5,
    6,
    7,
    8.5,
    10,
    11.5,
    13,
    14.5,
    16,
    18,
    20,
    24,
    28,
)  # days after a dose that another follows; at first as after the last one, so that no cycle's peak is met better than another's
_WASHOUT = (1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, *range(3, 29))  # and after the last
_GROWTH = 1.1  # of the times after those


def grid(events: EventTable, until: float, per_day: float) -> Floats:
    """Output times, (n_times,), ascending, in the model's time unit, from 0 (or the first dose before it) to ``until``.

    Fine in the day after each dose and after each beginning and end of an infusion that is stated, daily for four weeks after the last, then ever coarser; just before
    each dose as well, and at the dose itself, where an output is taken after the dose. With il2_treg and single doses or courses of at least 0.3 MIU under the
    skin, or infusions of 15 minutes to hours, Cmax and AUC of IL-2 are within 1 percent of exact (``tests/test_endpoints.py``); the AUC of an injection into a vein is
    within 3.5 percent.

    At most 2,600 times, which is enough for 116 daily doses or 75 weekly ones; the AUC of months of daily doses is up to 3 percent too low then; more doses are followed less
    finely but for the first and the last ten (AUC up to 8 percent too low, 2 in the median); beyond 10,000 times, which is about 900 daily doses or 430 weekly
    ones, only roughly, and exposure over the whole treatment is then not to be relied upon (``followed``). Of infusions, the first 26 are followed finely.

    per_day : time units in a day, `pkpd.dosing.time_units_per_day`. Doses after ``until`` are left out.

    Raises InputError for a horizon that is not after 0.
    """
    if not (np.isfinite(until) and until > 0):
        raise InputError(f"the horizon must be a time after 0, not {until!r}")
    doses = _instants(events, until)
    if not doses.size:
        return np.unique(np.append(_after(np.array([0.0, until]), np.array([0]), (0,), per_day), until))
    ends = np.append(doses, until)
    every = np.arange(doses.size)
    edges = np.unique(np.concatenate([every[:EDGE], every[-EDGE:]]))
    times = _after_all(ends, per_day)
    if times is None:
        some = np.unique(np.linspace(0, doses.size - 1, MOST // 10).astype(np.int64))
        times = _after(ends, some, _ROUGH, per_day)
    lead = _after(np.array([0.0, doses[0]]), np.array([0]), (0,), per_day) if doses[0] > 0 else doses[:1]
    steep = np.flatnonzero(np.isin(doses, _instants(events, until, infusions=True)))
    steep = steep[: MOST // (10 * len(_STEEP))]
    return np.unique(
        np.concatenate(
            [
                lead,
                times,
                _after(ends, edges, _FINE, per_day),
                _after(ends, steep, (0, *_STEEP), per_day),
                [until],
            ]
        )
    )


def followed(events: EventTable, until: float, per_day: float) -> bool:
    """Whether `grid` follows every dose, so that exposure over the whole treatment can be relied upon."""
    doses = _instants(events, until)
    return not doses.size or _after_all(np.append(doses, until), per_day) is not None


def _instants(events: EventTable, until: float, infusions: bool = False) -> Floats:
    """When doses and stated infusions begin and end, or infusions only."""
    infused = np.isfinite(events.duration) & (events.duration > 0.0)
    given = infused if infusions else slice(None)
    doses = np.concatenate([events.time[given], (events.time + events.duration)[infused]])
    return np.unique(doses[doses < until])


def _after_all(ends: Floats, per_day: float) -> Floats | None:
    """Times after all instants, as finely as there is room for; None where there is none."""
    every = np.arange(ends.size - 1)
    for most, hours in ((MOST, _FINE), (MOST_OF_MANY, _PLAIN)):
        if every.size * len(hours) <= most:
            times = _after(ends, every, hours, per_day)
            if times.size <= most:
                return times
    return None


def _after(ends: Floats, which: Integers, hours: Sequence[float], per_day: float) -> Floats:
    """Times after some of the instants ``ends[:-1]``, each up to the next instant, and those just before that; the last instant is the horizon."""
    found = [ends[:0]]
    for group, days in ((which[which < ends.size - 2], _PAUSE), (which[which == ends.size - 2], _WASHOUT)):
        if not group.size:
            continue
        longest = float(np.max(ends[group + 1] - ends[group]))
        offsets = [*(hour / 24.0 for hour in hours), *days]
        while offsets[-1] * per_day < longest:
            offsets.append(_GROWTH * offsets[-1])
        times = ends[group, None] + np.array(offsets) * per_day
        last = ends[group + 1] - JUST_BEFORE * per_day
        found += [times[times < last[:, None]], last[last > ends[group]]]
    return np.concatenate(found)
