"""Covariates of one subject over time, and the order of what shares an instant.

In a file, lines of one time follow each other: a trough stands above the dose of its instant, and a line below the dose may have other covariates. A solve
takes changes of parameters, doses and outputs of one instant in this order; so what stands above an event is asked for a little before it (`GAP`), and
what stands below it, with other covariates, a little after. An event with such a line above it and another event above that is a little later, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from pkpd.dosing.records import MISSING, Record, Records, SubjectRecords, number

Floats = NDArray[np.float64]

RULES = ("locf", "nocb", "linear")
"""How a covariate runs between two lines: the last value is carried forward (the line's own holds from its time on); the next is carried backward (the
line's own holds since the line before, as in NONMEM); or linearly from one to the next. Before the first line and after the last it is constant."""

GAP = 1e-12
"""Relative to the time (or to one time unit, if that is more): above what the integrator takes for one instant, and below any other difference."""


@dataclass(frozen=True)
class Varying:
    """A covariate that changes within a subject: (n_values,) times, increasing, and values; ``line`` is the first that changes it."""

    name: str
    times: Floats
    values: Floats
    line: int


def gap(time: float) -> float:
    """A little time, seen from this one."""
    return GAP * max(abs(time), 1.0)


def instants(
    lines: Sequence[Record], times: Sequence[float], columns: Sequence[int], given: Collection[float] = ()
) -> list[float]:
    """When what each line says is so: its own time, or a little before or after an event of that time; (n_lines,).

    Of events with something between them that is none, or behind an additional dose of that time, the later are a little later.
    times : of the lines; columns : of their fields that are covariates; given : times of additional doses.
    """
    found: list[float] = []
    for time, group in groupby(zip(times, lines, strict=True), key=lambda pair: pair[0]):
        mine = [line for _, line in group]
        happened = time in given  # an additional dose is of an earlier line
        if not happened and not mine[0].is_event and any(line.is_event for line in mine):
            step = -1
        else:
            step = 0
        event: Record | None = None
        for i, line in enumerate(mine):
            if line.is_event:
                if i and not mine[i - 1].is_event:
                    step = step + 2 if happened else 0
                happened, event = True, line
            elif event is not None and _other_values(line, event, columns):
                step, event = step + 2, None  # those below go with this line
            found.append(time + step * gap(time))
    return found


def _other_values(line: Record, event: Record, columns: Sequence[int]) -> bool:
    pairs = ((line.line.fields[i], event.line.fields[i]) for i in columns)
    return any(new not in MISSING and number(new) != number(old) for new, old in pairs)


def read_covariates(
    records: Records,
    subject: SubjectRecords,
    names: Mapping[str, tuple[str, float, float]],
    times: Sequence[float],
) -> tuple[dict[str, float], list[Varying]]:
    """First values by name, and those covariates that vary; what is wrong is noted in ``records``.

    names : column -> name, lower and upper bound; times : of the lines, (n_lines,).
    """
    baseline: dict[str, float] = {}
    varying: list[Varying] = []
    for column, (name, lower, upper) in names.items():
        place = records.others[column]
        known: list[tuple[float, float]] = []
        changed = 0
        for time, record in zip(times, subject.records, strict=True):
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
            elif not known or known[-1][0] != time:
                changed = changed or (record.line.number if known and known[-1][1] != value else 0)
                known.append((time, value))
            elif known[-1][1] != value:
                reason = f"{name} has two values at one time, {known[-1][1]:g} and {value:g}"
                records.wrong(record.line, column, reason)
        if not known:
            reason = f'subject "{subject.id[:40]}" has no value of {name}'
            records.wrong(subject.records[0].line, column, reason)
            continue
        baseline[name] = known[0][1]
        if changed:
            at, values = np.array(known).T
            varying.append(Varying(name, at, values, changed))
    return baseline, varying


def changes(varying: Sequence[Varying], rule: str) -> tuple[tuple[float, str, float], ...]:
    """(time, name, value) of every change by locf or nocb, ascending, as `pkpd.simulate.solve` takes them."""
    found: list[tuple[float, str, float]] = []
    for one in varying:
        for (start, old), (end, new) in pairwise(zip(one.times.tolist(), one.values.tolist(), strict=True)):
            if new != old:
                # nocb: what happens at the line before still has that line's value
                found.append((end if rule == "locf" else start + gap(start) / 2, one.name, new))
    return tuple(sorted(found, key=lambda change: change[0]))
