"""Subjects who take their doses otherwise than planned: each with its own doses and times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pkpd.core.progress import Progress
from pkpd.dosing import EventTable
from pkpd.dosing.taking import DosesTaken
from pkpd.solver import Options, Reading, Solution, Timeline, solve
from pkpd.solver.kernel import Kernel
from pkpd.solver.solution import Floats


def solve_taken(
    kernel: Kernel,
    values: Floats,
    events: EventTable,
    taken: DosesTaken | None,
    times: ArrayLike,
    *,
    options: Options,
    readings: Sequence[Reading] = (),
    progress: Progress | None = None,
) -> Solution:
    """``solve`` where doses are ``taken`` by each subject in its own way; None: as planned, with the same
    bits as ``solve`` has."""
    if taken is None or taken.times is None:
        factors = None if taken is None else taken.factors
        return solve(
            kernel,
            values,
            events,
            times,
            options=options,
            readings=readings,
            factors=factors,
            progress=progress,
        )
    people = [
        Timeline(_own(events, factors, when), times)
        for factors, when in zip(taken.factors, taken.times, strict=True)
    ]
    return solve(kernel, values, people, options=options, readings=readings, progress=progress)


def _own(events: EventTable, factors: Floats, when: Floats) -> EventTable:
    """The doses of one subject by its own times, without those that it misses."""
    order = np.argsort(when, kind="stable")
    order = order[factors[order] > 0.0]
    columns = {name: getattr(events, name)[order] for name in ("route", "duration", "size", "rate")}
    return EventTable(time=when[order], amount=events.amount[order] * factors[order], **columns)
