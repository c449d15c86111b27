"""The output times that the endpoints need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pkpd.dosing import EventTable
from pkpd.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST = 2500
EDGE = 10
"""How many of the first and of the last doses are always followed finely."""
JUST_BEFORE = 1e-5
"""Days before a dose at which the trough is read: just under a second."""

# Hours after a dose. Dense where a subcutaneous dose rises and turns; while it falls, the logarithmic trapezoid needs little.
_FINE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 17.0, 21.0, 24.0)
_PLAIN = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 24.0)
_ROUGH = (0.0, 1.5, 4.0, 12.0)


def grid(events: EventTable, until: float, per_day: float) -> Floats:
    """Output times, (n_times,), ascending, in the model's time unit, from 0 (or the first dose before it) to ``until``.

    Fine in the day after each dose, daily for four weeks after it, then ever coarser; just before each dose as well, and at the dose itself, where an
    output is taken after the dose. With il2_treg, Cmax and AUC of IL-2 are within 1 percent of exact (``tests/test_endpoints.py``). At most 2,500 times:
    where there are too many doses for that, those between the first and the last ten are followed less finely, and of very many doses only some.

    per_day : time units in a day, `pkpd.dosing.time_units_per_day`. Doses after ``until`` are left out.
    """
    if not (np.isfinite(until) and until > 0):
        raise InputError(f"the horizon must be a time after 0, not {until!r}")
    doses = np.unique(events.time[events.time < until])
    start = min(0.0, float(doses[0])) if doses.size else 0.0
    ends = np.append(doses, until)
    edges = np.unique(np.r_[np.arange(doses.size)[:EDGE], np.arange(doses.size)[-EDGE:]])
    for plan in (_FINE, _PLAIN, _ROUGH):
        times = _after(ends, np.arange(doses.size), plan, per_day)
        times = np.concatenate([times, _after(ends, edges, _FINE, per_day)])
        if times.size <= MOST:
            break
    else:
        some = np.linspace(0, doses.size - 1, MOST // 10).astype(np.int64)
        times = _after(ends, some, _ROUGH, per_day)
        times = np.concatenate([times, _after(ends, edges, _FINE, per_day)])
    first = doses[:1] if doses.size else np.array([until])
    lead = _after(np.array([start, *first]), np.array([0]), (0.0,), per_day) if start < first[0] else first
    return np.unique(np.concatenate([lead, times, [until]]))


def _after(ends: Floats, which: Integers, hours: tuple[float, ...], per_day: float) -> Floats:
    """Times after some of the instants ``ends[:-1]``, each up to the next instant, and those just before that."""
    if not which.size:
        return np.empty(0)
    longest = float(np.max(ends[which + 1] - ends[which]))
    days = [*(hour / 24.0 for hour in hours), 1.5, *np.arange(2.0, 29.0)]
    while days[-1] * per_day < longest:
        days.append(1.1 * days[-1])
    times = ends[which, None] + np.array(sorted(set(days))) * per_day
    last = ends[which + 1] - JUST_BEFORE * per_day
    return np.concatenate([times[times < last[:, None]], last[last > ends[which]]])
