"""Covariates of one subject over time, and the order of what shares an instant.

In a file, lines of one time follow each other: a trough stands above the dose of its instant, and a line
below the dose may have other covariates. A solve is told this order by places (`Order`); nothing is moved in
time for it. Additional doses of earlier lines come before all lines of their instant.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from pkpd.dosing.events import FIRST, LAST, Place
from pkpd.dosing.records import MISSING, Record, Records, SubjectRecords, number

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
CovariateChange = tuple[float, str, float, Place]
"""(time, name, value, place)"""

RULES = ("locf", "nocb", "linear")
"""How a covariate runs between two lines: the last value is carried forward (the line's own holds from its
time on); the next is carried backward (the line's own holds since the line before, as in NONMEM); or linearly
from one to the next. Before the first line and after the last it is constant."""


@dataclass(frozen=True)
class Varying:
    """A covariate that changes within a subject: (n_values,) times, ascending, values, and the lines with
    them, counted from 0; ``line`` of the file changes it first."""

    name: str
    times: Floats
    values: Floats
    lines: tuple[int, ...]
    line: int


def sections(lines: Sequence[Record], times: Sequence[float], columns: Sequence[int]) -> list[int]:
    """The section of its instant that each line is in, from 0; (n_lines,).

    A section begins with each event, and below one with a line that has other covariates. times : of the
    lines; columns : of their fields that are covariates.
    """
    found: list[int] = []
    for _, group in groupby(zip(times, lines, strict=True), key=lambda pair: pair[0]):
        section = -1
        event: Record | None = None
        for _, line in group:
            if line.is_event:
                section, event = section + 1, line
            elif section < 0:
                section = 0
            elif event is not None and _other_values(line, event, columns):
                section, event = section + 1, None  # those below go with this line
            found.append(section)
    return found


class Order:
    """Where the lines of one subject stand among the events of their instants, as places of a solve: see
    ``pkpd.solver.solve``.

    times : of the lines; events, lines : of every event of the table its time, and the line that it is from,
        both in the table's order.
    """

    def __init__(self, times: Sequence[float], events: Floats, lines: Sequence[int]) -> None:
        self.times = times
        self.events = list(zip(events.tolist(), lines, strict=True))

    def _place(self, line: int, above: int, step: int) -> Place:
        return Place(above, 3 * line + step)

    def before(self, line: int) -> Place:
        """Below what is listed above a line, and above its own events."""
        return self._place(line, bisect_left(self.events, (self.times[line], line)), 0)

    def at(self, line: int) -> Place:
        """Below a line's own events."""
        return self._place(line, bisect_right(self.events, (self.times[line], line)), 1)

    def after(self, line: int) -> Place:
        """Below what belongs to a line."""
        return self._place(line, bisect_right(self.events, (self.times[line], line)), 2)

    def places_at(self, times: Sequence[float], changes: Sequence[CovariateChange]) -> Integers:
        """Of outputs at any times: as of the last line of their instant; (n_times, 2)."""
        last = {time: line for line, time in enumerate(self.times)}
        known = [i for i, time in enumerate(times) if time in last]
        found = np.tile(np.array(LAST), (len(times), 1))
        found[known] = self.places([last[times[i]] for i in known], changes)
        return found

    def places(self, lines: Sequence[int], changes: Sequence[CovariateChange]) -> Integers:
        """Of outputs on these lines: LAST where nothing comes after them at their instant; (n_lines, 2)."""
        latest: dict[float, Place] = {}
        for e, (time, _) in enumerate(self.events):
            latest[time] = Place(e + 1)
        for time, _, _, place in changes:
            latest[time] = max(place, latest.get(time, place))
        found = [(self.times[line], self.at(line)) for line in lines]
        kept = [place if place < latest.get(time, place) else LAST for time, place in found]
        return np.array(kept, dtype=np.int64).reshape(-1, 2)


def _other_values(line: Record, event: Record, columns: Sequence[int]) -> bool:
    pairs = ((line.line.fields[i], event.line.fields[i]) for i in columns)
    return any(new not in MISSING and number(new) != number(old) for new, old in pairs)


def read_covariates(
    records: Records,
    subject: SubjectRecords,
    names: Mapping[str, tuple[str, float, float]],
    times: Sequence[float],
    parts: Sequence[int],
) -> tuple[dict[str, float], list[Varying]]:
    """First values by name, and those covariates that vary; what is wrong is noted in ``records``.

    names : column -> name, lower and upper bound; times : of the lines, (n_lines,); parts : of their
        instants, each of which has one value (`sections`).
    """
    baseline: dict[str, float] = {}
    varying: list[Varying] = []
    for column, (name, lower, upper) in names.items():
        place = records.others[column]
        known: list[float] = []
        lines: list[int] = []
        changed = 0
        for i, record in enumerate(subject.records):
            text = record.line.fields[place]
            if text in MISSING:
                continue
            exact = number(text)
            if isinstance(exact, str):
                records.wrong(record.line, column, exact)
                continue
            value = float(exact)
            if not lower <= value <= upper:
                least = (
                    0.0 if 0.0 < lower < 1e-300 else lower
                )  # a body size is above zero, by as little as there is
                outside = f"is outside its bounds {least:g} .. {upper:g}"
                reason = f"{name} = {text} {'must be positive' if value <= least == 0.0 else outside}"
                records.wrong(record.line, column, reason)
            elif not known or (times[lines[-1]], parts[lines[-1]]) != (times[i], parts[i]):
                changed = changed or (record.line.number if known and known[-1] != value else 0)
                known.append(value)
                lines.append(i)
            elif known[-1] != value:
                reason = f"{name} has two values at one time, {known[-1]:g} and {value:g}"
                records.wrong(record.line, column, reason)
        if not known:
            reason = f'subject "{subject.id[:40]}" has no value of {name}'
            records.wrong(subject.records[0].line, column, reason)
            continue
        baseline[name] = known[0]
        if changed:
            at = np.array([times[i] for i in lines])
            varying.append(Varying(name, at, np.array(known), tuple(lines), changed))
    return baseline, varying


def changes(
    varying: Sequence[Varying], rule: str, order: Order, parts: Sequence[int]
) -> tuple[CovariateChange, ...]:
    """Every change by locf or nocb, by time and place, as ``pkpd.solver.solve`` takes them; parts : as of
    ``read_covariates``."""
    found: list[CovariateChange] = []
    for one in varying:
        for (start, old), (end, new) in pairwise(zip(one.lines, one.values.tolist(), strict=True)):
            if new == old:
                continue
            if rule == "locf":  # from the line's time on: for additional doses of that time, too
                found.append((order.times[end], one.name, new, order.before(end) if parts[end] else FIRST))
                continue
            last = start  # what belongs to the line before still has that line's value
            while last + 1 < end and _together(order.times, parts, start, last + 1):
                last += 1
            found.append((order.times[start], one.name, new, order.after(last)))
    return tuple(sorted(found, key=lambda change: (change[0], change[3])))


def _together(times: Sequence[float], parts: Sequence[int], i: int, j: int) -> bool:
    return (times[i], parts[i]) == (times[j], parts[j])
