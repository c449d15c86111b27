"""Which arms have to be simulated for rows, and where each row finds its numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.kinds.kind import View
from pkpd.inference.summary.rows import Row, Setting

Array = NDArray[np.float64]


class Look(NamedTuple):
    """A number that is read off an output within a window: the kind of a ``pkpd.solver.Reading``;
    from_baseline : above the subject's output at time 0."""

    kind: str
    output: str
    start: float
    stop: float
    from_baseline: bool = False


READ = {
    "max": "max",
    "min": "min",
    "mean": "area",
    "auc": "area",
    "tmax": "max",
    "half_life": "decline",
}
"""Reducer of a window -> kind of the reading that it takes."""


def look(row: Row, output: str) -> Look | None:
    """What a row over a window reads off the course of an output; None for one at times."""
    if not row.is_window:
        return None
    above = row.reducer == "half_life" and row.measure != "value"
    return Look(READ[row.reducer], output, row.start, row.stop, above)


@dataclass(frozen=True)
class TrialArm:
    """What is simulated once: everybody of one study under one schedule and one set of overrides.

    ``times`` has shape (n_times,), in the model's unit, ascending, and holds what any of the arm's rows
    needs; ``looks`` are numbers that are read off the course within windows.
    """

    study: str
    names: tuple[str, ...]
    schedule: str
    dose_factor: float
    """every dose of the schedule is multiplied by this number"""
    overrides: tuple[Setting, ...]
    times: Array
    looks: tuple[Look, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two arms the same simulation, whatever rows look at them."""
        return self.study, self.schedule, self.dose_factor, self.overrides

    @property
    def label(self) -> str:
        """Study and arm names in one line."""
        scaled = "" if self.dose_factor == 1 else f" (dose x{self.dose_factor:g})"
        return f"{self.study}: {' / '.join(self.names)}{scaled}"


@dataclass(frozen=True)
class Placement:
    """Where a row finds its numbers: by view the arm, the indices of its times in the arm's ``times``, or
    behind these the two of its look (its value, and its time or what stands there: ``pkpd.solver.Readings``).
    Time 0 of a row that looks at the baseline is among the arm's times."""

    views: tuple[View, ...]
    arms: tuple[int, ...]
    indices: tuple[NDArray[np.intp], ...]


@dataclass(frozen=True)
class TrialPlan:
    """Arms to simulate, and where each row finds its numbers in them (same order as the rows)."""

    arms: tuple[TrialArm, ...]
    placements: tuple[Placement, ...]


def plan(rows: Sequence[Row]) -> TrialPlan:
    """Group rows (in model units) into arms by study, schedule and overrides, with the union of the times and
    looks they need.

    A row whose kind looks at several doses adds an arm for each.
    """
    keys: dict[tuple[Any, ...], int] = {}
    names: list[list[str]] = []
    wanted: list[list[float]] = []
    looks: list[dict[Look, int]] = []
    found: list[list[tuple[View, int, Look | None]]] = []
    for row in rows:
        members = []
        for view in KINDS[row.statistic].views(row):
            key = (row.study, view.schedule, view.dose_factor, row.overrides)
            index = keys.setdefault(key, len(keys))
            if index == len(names):
                names.append([])
                wanted.append([])
                looks.append({})
            if view.arm not in names[index]:
                names[index].append(view.arm)
            wanted[index] += times_of(row) if view.time is None else [view.time]
            if row.measure != "value":
                wanted[index].append(0.0)
            seen = look(row, view.output) if view.time is None else None
            if seen is not None:
                looks[index].setdefault(seen, len(looks[index]))
            members.append((view, index, seen))
        found.append(members)
    arms = [
        TrialArm(
            study,
            tuple(names[index]),
            schedule,
            factor,
            overrides,
            np.unique(np.array(wanted[index])),
            tuple(looks[index]),
        )
        for (study, schedule, factor, overrides), index in keys.items()
    ]

    def place(row: Row, view: View, index: int, seen: Look | None) -> NDArray[np.intp]:
        times = arms[index].times
        if seen is None:
            return np.searchsorted(times, times_of(row) if view.time is None else [view.time])
        return times.size + 2 * looks[index][seen] + np.arange(2)

    placements = [
        Placement(
            tuple(view for view, _, _ in members),
            tuple(index for _, index, _ in members),
            tuple(place(row, view, index, seen) for view, index, seen in members),
        )
        for row, members in zip(rows, found, strict=True)
    ]
    return TrialPlan(tuple(arms), tuple(placements))


def times_of(row: Row) -> list[float]:
    """At which a row needs the outputs; of a window its end, to which the course is followed."""
    return list(row.visits) if row.visits else [row.stop]
