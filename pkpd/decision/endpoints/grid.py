"""Output times of bands and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.dosing import EventTable

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST = 2600
MOST_OF_MANY = 10_000
EDGE = 10
"""How many of the first and of the last doses are always followed finely."""
JUST_BEFORE = 1e-5
"""Days before a dose at which the trough is read: just under a second."""

# Hours after a dose: where one under the skin or by mouth rises, turns and falls ever faster
_FINE = (0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6.5, 9, 12.5, 16, 20, 24)
_STEEP = (0.05, 0.1, 0.2, 0.35, 0.75)  # where what is given into blood begins and ends
_PLAIN = (0, 1, 2, 3, 4, 5, 6.5, 9, 12.5, 16, 24)
_ROUGH = (0, 2, 4, 8)
_PAUSE = (1.25, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 13, 16, 20, 24, 28)  # days after a dose that another follows
_WASHOUT = (1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, *range(3, 29))  # and after the last
_GROWTH = 1.1  # of the times after those


def grid(events: EventTable, until: float, per_day: float) -> Floats:
    """Output times, (n_times,), ascending, in the model's time unit, from 0 (or the first dose before it) to
    ``until``.

    Of bands and pictures: numbers are read off the courses themselves. Finer in the day after each dose and
    after each beginning and end of an infusion that is stated, daily for four weeks after the last, then ever
    coarser; just before each dose as well, and at the dose itself, where an output is taken after the dose.

    At most 2,600 times, which is enough for 160 daily doses; more doses are shown less finely but for the
    first and the last ten; beyond 10,000 times, which is about 900 daily doses or 600 weekly ones, only
    roughly (``followed``). Of infusions, the first 26 are shown finely.

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
    """Whether `grid` shows every dose."""
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
    """Times after some of the instants ``ends[:-1]``, each up to the next instant, and those just before
    that; the last instant is the horizon."""
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
