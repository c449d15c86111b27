"""Event tables: what a solve is given, as numbers in a model's units, and how a schedule becomes one.

Routes, dose units and body sizes are checked here against what the model has; past this file nothing knows a
unit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.errors import ScheduleError
from pkpd.core.names import meant
from pkpd.dosing.parts import Part
from pkpd.dosing.quantities import decimal_text, units_per_day
from pkpd.dosing.words import plain_route

# what a dose per body size needs in the model: its name and a line that declares it
_SIZES = {"m2": ("body surface area", "BSA = 1.9 [m^2]"), "kg": ("body weight", "weight = 70 [kg]")}


class EventKind(IntEnum):
    """Kinds of event: a dose; all states back to their initial values; one state set to a value; a dose at a
    steady state; one whose steady state is added."""

    DOSE = 0
    RESET = 1
    REPLACE = 2
    STEADY = 3
    STEADY_ADDED = 4


DOSE, RESET, REPLACE, STEADY, STEADY_ADDED = EventKind


class Place(NamedTuple):
    """Where something stands among the events of its instant: before the event of the table with the number
    ``before``; and of all that stands there, in the order of ``among``. Arrays of places are (n, 2)."""

    before: int
    among: int = 0


FIRST = Place(0, -1)
"""Before all events."""
LAST = Place(2**62)
"""After all events, and what comes at that instant of earlier ones (lagged doses)."""


@dataclass(frozen=True, eq=False)
class EventTable:
    """Doses and other events as the integrator takes them, sorted by time, in the order of the schedule where
    times are equal.

    All arrays are C-contiguous and of shape (n_events,); the last three may be left out.

    Attributes
    ----------
    time : float64, in the model's time unit.
    amount : float64, in the unit of the state that the route enters, before bioavailability; per unit of
        body size where ``size`` is not -1. Of REPLACE: the new value of the state.
    route : int64, index into the model's routes; of REPLACE, into its states; of RESET, without meaning.
    duration : float64, in the model's time unit; 0 is a bolus, nan is left to the rate or to the route of
        the model.
    size : int64, index of the parameter that multiplies the amount (body surface or weight), or -1.
    rate : float64, of an infusion whose duration is its bioavailable amount over this rate; nan where none
        is stated.
    kind : int64, of ``EventKind``: DOSE, RESET, REPLACE, STEADY (the state before the dose is the steady
        state of this dose at every ``interval``; what was given before is forgotten) or STEADY_ADDED
        (what that steady state has above the initial values is added to the state there is).
    interval : float64, between the doses of a steady state, in the model's time unit; 0 with amount 0: a
        constant infusion at ``rate`` that ends at ``time``.

    Raises ``ScheduleError`` for columns that do not fit together, and times that go back or are not finite.

    Examples
    --------
    >>> import pkpd
    >>> kernel = pkpd.load("one_compartment_iv")
    >>> events = pkpd.Schedule.parse("100 mg iv every 12 h x2").events_for(kernel)
    >>> events.time, events.amount  # h, mg
    (array([ 0., 12.]), array([100., 100.]))
    >>> pkpd.EventTable(time=[0.0], amount=[100.0], route=[0], duration=[0.5], size=[-1])
    <EventTable: 1 event from 0 to 0>
    """

    time: NDArray[np.float64]
    amount: NDArray[np.float64]
    route: NDArray[np.int64]
    duration: NDArray[np.float64]
    size: NDArray[np.int64]
    rate: NDArray[np.float64] = None  # type: ignore[assignment]
    kind: NDArray[np.int64] = None  # type: ignore[assignment]
    interval: NDArray[np.float64] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if not len(self):
            return "<EventTable: no event>"
        return (
            f"<EventTable: {len(self):,} event{'s' * (len(self) > 1)} from {self.time.min():g} to "
            f"{self.time.max():g}>"
        )

    def _repr_html_(self) -> str:
        columns = {column.name: getattr(self, column.name).tolist() for column in fields(self)}
        columns["kind"] = [EventKind(kind).name.lower().replace("_", " ") for kind in columns["kind"]]
        rows = list(zip(*columns.values(), strict=True))
        return html.table(repr(self)[1:-1], list(columns), rows, "In the units of the model.")

    def __post_init__(self) -> None:
        n_events = np.shape(self.time)
        for name, value in (("rate", math.nan), ("kind", DOSE), ("interval", 0.0)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(n_events, value))
        for column in fields(self):
            kind = np.int64 if column.name in ("route", "size", "kind") else np.float64
            object.__setattr__(
                self, column.name, np.ascontiguousarray(getattr(self, column.name), dtype=kind)
            )
        if self.time.ndim != 1 or len({getattr(self, column.name).shape for column in fields(self)}) != 1:
            raise ScheduleError("the columns of an event table must be one-dimensional and of one length")
        if not (np.all(np.isfinite(self.time)) and np.all(self.time[1:] >= self.time[:-1])):
            raise ScheduleError("the times of an event table must be finite and must not go back")

    def __len__(self) -> int:
        return len(self.time)

    def take(self, which: NDArray[np.int64]) -> EventTable:
        """The events with these numbers, ascending."""
        return EventTable(*(getattr(self, column.name)[which] for column in fields(self)))

    @functools.cached_property
    def only_doses(self) -> bool:
        """Whether there is nothing but doses in it."""
        return not np.any(self.kind)

    @classmethod
    def empty(cls) -> EventTable:
        """No dose at all."""
        number, index = np.empty(0, np.float64), np.empty(0, np.int64)
        return cls(number, number.copy(), index, number.copy(), index.copy())


class PartError(ScheduleError):
    """An error that belongs to one part of a schedule, which turns the number into a place in its text."""

    def __init__(self, part: int, message: str) -> None:
        super().__init__(message)
        self.part = part


def event_table(
    courses: Iterable[tuple[Fraction, Part]],
    time_unit: str,
    routes: Sequence[str],
    dose_units: Mapping[str, Mapping[str, float]],
    sizes: Mapping[str, int],
) -> EventTable:
    """Courses, each with the day on which it starts, in the units of a model; see
    `pkpd.dosing.Schedule.events`."""
    per_day = units_per_day(time_unit)
    columns: list[tuple[NDArray[np.float64], float, int, float, int]] = []
    for i, (start, part) in enumerate(courses):
        written = f"{decimal_text(part.amount)} {part.unit}"
        duration = math.nan if part.duration is None else float(part.duration * per_day)
        try:
            route = find_route(part.route, routes)
            factor = unit_factor(written, part.unit, routes[route], dose_units)
            size = size_index(written, part.per, sizes)
        except ScheduleError as error:
            raise PartError(i, str(error)) from None
        columns.append((_times(part, start, per_day), float(part.amount) * factor, route, duration, size))
    if not columns:
        return EventTable.empty()
    lengths = [len(times) for times, *_ in columns]
    time = np.concatenate([times for times, *_ in columns])
    order = np.argsort(time, kind="stable")
    rest = (np.repeat(np.array(column), lengths)[order] for column in list(zip(*columns))[1:])
    return EventTable(time[order], *rest)


def unit_factor(written: str, unit: str, route: str, dose_units: Mapping[str, Mapping[str, float]]) -> float:
    """Size of a dose's unit in the unit of the state that the route enters; ``written`` is the dose as errors
    call it."""
    units = dose_units.get(route, {})
    if unit not in units:
        accepted = (
            f"it takes {', '.join(units)}"
            if units
            else "it takes none of the units a schedule can be written in"
        )
        raise ScheduleError(f'a dose of {written} cannot enter by route "{route}" of this model: {accepted}')
    return units[unit]


def size_index(written: str, per: str, sizes: Mapping[str, int]) -> int:
    """Index of the parameter that multiplies a dose per body size, -1 for an absolute one."""
    size = sizes.get(per, -1) if per else -1
    if per and size < 0:
        name, line = _SIZES[per]
        raise ScheduleError(
            f"a dose of {written}/{per} needs the {name}, but this model "
            f'has none: give the dose without /{per}, or add "covariate {line}" to the model'
        )
    return size


@functools.lru_cache(maxsize=32)
def _times(part: Part, start: Fraction, per_day: Fraction) -> NDArray[np.float64]:
    """Times of a course that starts on day ``start``, ``per_day`` units to the day, correctly rounded; shape
    (n_doses,). Not to be written to: who asks about a schedule asks for them again and again."""
    fractions = [
        start,
        *part.offsets,
        part.period or Fraction(0),
        *(interval for interval, _ in part.cycles),
    ]
    scale = math.lcm(*(value.denominator for value in fractions))
    if (start + part.last) * scale * per_day.numerator >= 2**53 or scale * per_day.denominator >= 2**53:
        return np.array([float((start + time) * per_day) for time in part.times()], dtype=np.float64)
    # Whole ticks of 1/scale days are exact in float64, so that the one division is the one rounding.
    i = np.arange(part.count)
    ticks = np.array([int(offset * scale) for offset in part.offsets], dtype=np.int64)[i % len(part.offsets)]
    ticks = ticks + i // len(part.offsets) * int((part.period or 0) * scale)
    for interval, count in part.cycles:
        ticks = (np.arange(count)[:, None] * int(interval * scale) + ticks).ravel()
    return (ticks + int(start * scale)) * per_day.numerator / (scale * per_day.denominator)


def find_route(route: str, routes: Sequence[str]) -> int:
    """Index of a route by name, sc or subcutaneous; case matters only where two names differ by nothing
    else."""
    if route in routes:
        return list(routes).index(route)
    same = [i for i, name in enumerate(routes) if plain_route(name) == plain_route(route)]
    if len(same) == 1:
        return same[0]
    known = f"its routes are {', '.join(routes)}" if routes else "it has no route, and so takes no doses"
    raise ScheduleError(f'this model has no route "{route}": {known}{meant(route, routes)}')
