"""Which arms have to be simulated for rows, and where each row finds its numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.rows import Override, Row

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


def look(row: Row) -> Look | None:
    """What a row over a window reads off the course; None for one at a time."""
    if not row.is_window:
        return None
    above = row.reducer == "half_life" and row.measure != "value"
    return Look(READ[row.reducer], row.output, row.start, row.stop, above)


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
    overrides: tuple[Override, ...]
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
    """Where a row finds its numbers: the arms (one to a dose of its kind), the index of its time in each
    arm's ``times``, or behind these the two of its look (its value, and its time or what stands there:
    ``pkpd.solver.Readings``), and the index of time 0 (-1 if the row does not look at the baseline)."""

    arms: tuple[int, ...]
    indices: tuple[NDArray[np.intp], ...]
    baselines: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """Arms to simulate, and where each row finds its numbers in them (same order as the rows)."""

    arms: tuple[TrialArm, ...]
    placements: tuple[Placement, ...]


def plan(rows: Sequence[Row]) -> Plan:
    """Group rows (in model units) into arms by study, schedule and overrides, with the union of the times and
    looks they need.

    A row whose kind looks at several doses adds an arm for each.
    """
    keys: dict[tuple[Any, ...], int] = {}
    names: list[list[str]] = []
    wanted: list[list[Array]] = []
    looks: list[dict[Look, int]] = []
    found: list[tuple[float, Look | None, tuple[int, ...]]] = []
    for row in rows:
        time, seen = row.stop if row.is_window else row.start, look(row)
        members = []
        for factor in KINDS[row.statistic].doses:
            key = (row.study, row.schedule, factor, row.overrides)
            index = keys.setdefault(key, len(keys))
            if index == len(names):
                names.append([])
                wanted.append([])
                looks.append({})
            if row.arm not in names[index]:
                names[index].append(row.arm)
            wanted[index].append(np.array([time]))
            if seen is not None:
                looks[index].setdefault(seen, len(looks[index]))
            if row.measure != "value":
                wanted[index].append(np.zeros(1))
            members.append(index)
        found.append((time, seen, tuple(members)))
    arms = [
        TrialArm(
            study,
            tuple(names[index]),
            schedule,
            factor,
            overrides,
            np.unique(np.concatenate(wanted[index])),
            tuple(looks[index]),
        )
        for (study, schedule, factor, overrides), index in keys.items()
    ]

    def place(index: int, time: float, seen: Look | None) -> NDArray[np.intp]:
        times = arms[index].times
        if seen is None:
            return np.array([np.searchsorted(times, time)])
        return times.size + 2 * looks[index][seen] + np.arange(2)

    placements = [
        Placement(
            members,
            tuple(place(index, time, seen) for index in members),
            tuple(0 if row.measure != "value" else -1 for _ in members),
        )
        for row, (time, seen, members) in zip(rows, found, strict=True)
    ]
    return Plan(tuple(arms), tuple(placements))
