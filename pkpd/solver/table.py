"""The rows of events that the integrator reads, and what belongs to each subject among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pkpd.dosing import EventTable
from pkpd.ode import layout
from pkpd.solver.solution import Floats, Integers


@dataclass(frozen=True)
class Table:
    """rows : (n_rows, layout.DOSE), see ``pkpd.ode.layout``; source : (n_rows,) event of each row, or -1;
    start : when integration begins at the latest, one number or (n_subjects,); own : (n_subjects, n_own)
    states to set or add, and factors of doses; own_dot : (n_subjects, n_own, m) their tangents, or None for
    noughts; spans : (n_subjects, 2), the first row of each subject and how many there are, or None: all rows
    are everybody's."""

    rows: Floats
    source: Integers
    start: float | Floats
    own: Floats
    own_dot: Floats | None = None
    spans: Integers | None = None

    def part(self, first: int, end: int) -> Table:
        """Of subjects first .. end-1 alone."""
        return replace(
            self,
            start=self.start[first:end] if isinstance(self.start, np.ndarray) else self.start,
            own=self.own[first:end],
            own_dot=None if self.own_dot is None else self.own_dot[first:end],
            spans=None if self.spans is None else self.spans[first:end],
        )

    @property
    def most_rows(self) -> int:
        """Of any subject."""
        return len(self.rows) if self.spans is None else int(self.spans[:, 1].max())


def together(tables: Sequence[Table], members: Sequence[Integers], n_subjects: int) -> Table:
    """One table of several, each that of some of the subjects."""
    ends = np.cumsum([len(table.rows) for table in tables])
    spans = np.zeros((n_subjects, 2), np.int64)
    start = np.zeros(n_subjects)
    n_own = max(table.own.shape[1] for table in tables)
    own = np.zeros((n_subjects, n_own))
    dots = [table.own_dot for table in tables if table.own_dot is not None]
    own_dot = np.zeros((n_subjects, n_own, dots[0].shape[2])) if dots else None
    for table, who, end in zip(tables, members, ends, strict=True):
        spans[who] = end - len(table.rows), len(table.rows)
        start[who] = table.start
        own[who, : table.own.shape[1]] = table.own
        if own_dot is not None and table.own_dot is not None:
            own_dot[who, : table.own.shape[1]] = table.own_dot
    rows = np.concatenate([table.rows for table in tables])
    source = np.concatenate([table.source for table in tables])
    return Table(rows, source, start, own, own_dot, spans)


def dose_rows(events: EventTable) -> Floats:
    """A row of layout.DOSE for every event, as if each were a dose."""
    rows = np.empty((len(events), layout.DOSE))
    rows[:, layout.DOSE_TIME], rows[:, layout.DOSE_AMOUNT] = events.time, events.amount
    rows[:, layout.DOSE_ROUTE], rows[:, layout.DOSE_DURATION] = events.route, events.duration
    rows[:, layout.DOSE_SIZE], rows[:, layout.DOSE_RATE] = events.size, events.rate
    rows[:, layout.DOSE_SINCE], rows[:, layout.DOSE_FACTOR] = -np.inf, -1.0
    return rows


@lru_cache(maxsize=64)
def plain(events: EventTable, n_subjects: int) -> Table:
    """A table of doses and nothing else."""
    start = min(0.0, events.time[0]) if len(events) else 0.0
    return Table(dose_rows(events), np.arange(len(events)), start, np.zeros((n_subjects, 0)))
