"""The rows of events that the integrator reads, and what belongs to each subject among them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pkpd.dosing import EventTable
from pkpd.ode import layout
from pkpd.solver.solution import Floats, Integers


@dataclass(frozen=True)
class Table:
    """rows : (n_rows, layout.DOSE), see ``pkpd.ode.layout``; source : (n_rows,) event of each row, or -1;
    start : when integration begins at the latest;
    own : (n_subjects, n_own) states to set or add, and factors of doses; own_dot : (n_subjects, n_own, m)
        their tangents, or None for noughts."""

    rows: Floats
    source: Integers
    start: float
    own: Floats
    own_dot: Floats | None = None


def dose_rows(events: EventTable) -> Floats:
    """A row of layout.DOSE for every event, as if each were a dose."""
    rows = np.empty((len(events), layout.DOSE))
    columns = (events.time, events.amount, events.route, events.duration, events.size, events.rate)
    for i, column in enumerate(columns):
        rows[:, i] = column
    rows[:, 6] = -np.inf
    rows[:, 7] = -1.0
    return rows


@lru_cache(maxsize=64)
def plain(events: EventTable, n_subjects: int) -> Table:
    """A table of doses and nothing else."""
    start = min(0.0, events.time[0]) if len(events) else 0.0
    return Table(dose_rows(events), np.arange(len(events)), start, np.zeros((n_subjects, 0)))
