"""What one subject is given and when it is looked at; and many of them, each for some of the subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from pkpd.core.arguments import takes
from pkpd.core.errors import InputError
from pkpd.dosing import EventTable
from pkpd.dosing.events import Place
from pkpd.solver.solution import Floats, Integers

GivenChange = tuple[float, str, float] | tuple[float, str, float, Place]


@takes(late=True)
@dataclass(frozen=True, eq=False)
class Timeline:
    """The events of one subject, its output times, and its covariates over time.

    Attributes
    ----------
    events : doses and other events, in the model's units (``Schedule.events_for``).
    times : (n_times,), in the model's time unit, in any order; an output at a dose's own instant is taken
        after the dose.
    places, changes, knots, start : as in ``solve``.

    Raises ``InputError``, in ``solve``, for times that are no numbers or lie before the start.

    Examples
    --------
    >>> import pkpd
    >>> kernel = pkpd.load("one_compartment_iv")
    >>> once = pkpd.Schedule.parse("100 mg iv once").events_for(kernel)
    >>> twice = pkpd.Schedule.parse("50 mg iv every 6 h x2").events_for(kernel)
    >>> people = [pkpd.Timeline(once, [0.0, 6.0]), pkpd.Timeline(twice, [6.0])]
    >>> solution = pkpd.solve(kernel, [kernel.VALUES, kernel.VALUES], people)
    >>> solution.outputs[:, :, 0].round(2)  # C, mg/L
    array([[3.12, 1.85],
           [2.49,  nan]])
    """

    events: EventTable = field(default_factory=EventTable.empty)
    times: ArrayLike = ()
    places: ArrayLike | None = None
    changes: Sequence[GivenChange] = ()
    knots: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None
    start: float | None = None


@dataclass(frozen=True)
class Sorted:
    """A timeline's output times in order, with their places; and where those in order were given, if that was
    not in order."""

    times: Floats
    places: Integers | None
    order: Integers | None


def in_order(timeline: Timeline) -> Sorted:
    """Check the times of a timeline and put them in order, at one instant by places. Raises InputError."""
    times = np.ascontiguousarray(np.atleast_1d(np.asarray(timeline.times, dtype=np.float64)))
    if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all():
        raise InputError("output times must be a one-dimensional array of finite numbers, at least one")
    if timeline.start is not None:
        _check_start(timeline.start, times)
    if not np.isfinite(timeline.events.amount).all():
        raise InputError("a dose is not a finite number")
    if timeline.places is None and (times[1:] >= times[:-1]).all():
        return Sorted(times, None, None)
    if timeline.places is None:
        order = np.argsort(times, kind="stable")
        return Sorted(times[order], None, order)
    places = np.asarray(timeline.places)
    if places.shape != (times.size, 2) or places.dtype.kind != "i":
        raise InputError(f"places must be whole numbers of shape ({times.size}, 2), two for each output time")
    order = np.lexsort((places[:, 1], places[:, 0], times))
    return Sorted(times[order], places[order], order)


def _check_start(start: float, times: Floats) -> None:
    if not np.isfinite(start):
        raise InputError(f"the start must be a finite number, not {start!r}")
    if times.min() < start:
        raise InputError(f"there is an output time, {times.min():g}, before the start, {start:g}")


def shared(timelines: Sequence[Timeline], n_subjects: int) -> list[tuple[Timeline, Integers]]:
    """Each different timeline with the subjects that have it. Raises InputError: not one for each subject."""
    if len(timelines) != n_subjects:
        raise InputError(
            f"there are {len(timelines)} timelines for {n_subjects} subjects: give each subject its own, or "
            "one event table and output times for all"
        )
    members: dict[int, list[int]] = {}
    for subject, timeline in enumerate(timelines):
        if not isinstance(timeline, Timeline):
            raise InputError(f"subject {subject} has no Timeline but a {type(timeline).__name__}")
        members.setdefault(id(timeline), []).append(subject)
    return [(timelines[who[0]], np.array(who, dtype=np.int64)) for who in members.values()]
