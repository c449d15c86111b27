"""When a schedule gives its doses, in which cycles, and how much in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import InputError, ScheduleError
from pkpd.dosing import EventTable, Schedule, time_units_per_day
from pkpd.dosing.quantities import DOSE_UNITS

Floats = NDArray[np.float64]

PAUSE = 3.0
"""A gap between doses longer than this many times the usual one ends a cycle."""
MONTH = 28.0

_SIZES = {"m2": 0, "kg": 1}  # what an event table of ours has as size


@dataclass(frozen=True)
class Regimen:
    """A schedule as the endpoints see it, in a model's time unit; without doses all arrays are empty.

    per_day : time units in a day; times : (n_doses,), of every dose, ascending; interval : the usual one,
        which is the median of the gaps between successive instants of dosing (the
    smaller of the two in the middle), one day for a single dose; cycles : (n_cycles,), the first dose of
    each: a new cycle begins after a gap longer than three times the usual interval ("five times a week" is
        one cycle, "daily x5 every 28 d x3" are three); end : of the treatment, which is
    the start of the last cycle plus the median time from cycle to cycle, or with one cycle the last dose plus
    the usual interval.
    """

    per_day: float
    times: Floats
    interval: float
    cycles: Floats
    end: float

    @classmethod
    def of(cls, schedule: Schedule, time_unit: str = "d") -> Regimen:
        """The regimen of a schedule; its times are those of ``schedule.events`` to the last bit."""
        return cls.at(_table(schedule, None, None, time_unit).time, time_units_per_day(time_unit))

    @classmethod
    def at(cls, times: Floats, per_day: float) -> Regimen:
        """The regimen of doses at these times, (n_doses,), ascending."""
        instants = np.unique(times)
        if not instants.size:
            return cls(per_day, times, np.nan, times, np.nan)
        gaps = np.diff(instants)
        interval = _median(gaps) if gaps.size else per_day
        cycles = instants[np.concatenate([[True], gaps > PAUSE * interval])]
        if cycles.size > 1:
            end = max(cycles[-1] + _median(np.diff(cycles)), instants[-1] + interval)
        else:
            end = instants[-1] + interval
        return cls(per_day, times, interval, cycles, float(end))

    @property
    def first(self) -> float:
        """When the first dose is given."""
        return float(self.times[0])

    @property
    def last(self) -> float:
        """When the last dose is given."""
        return float(self.times[-1])

    @property
    def months(self) -> float:
        """Length of the treatment in periods of 28 days, at least one."""
        return max(1.0, (self.end - self.first) / (MONTH * self.per_day)) if self.times.size else 1.0


def _median(gaps: Floats) -> float:
    return float(np.sort(gaps)[(gaps.size - 1) // 2])


def doses(
    schedule: Schedule, unit: str | None = None, dose_units: Mapping[str, Mapping[str, float]] | None = None
) -> tuple[Floats, Floats, str]:
    """(n_doses,) days, (n_doses, 3) amounts, absolute, per m2 and per kg, of which each dose has one, and
    their unit.

    unit : of the amounts; None: that of the first dose of the schedule. dose_units : as a kernel has them,
        for units of different kinds; without
    them activity, mass and substance are not converted into each other. Raises ScheduleError where a dose
    cannot be had in this unit.
    """
    unit = unit or (schedule.parts[0].unit if schedule.parts else "1")
    table = _table(schedule, unit, dose_units)
    amounts = np.zeros((len(table), 3))
    amounts[np.arange(len(table)), table.size + 1] = table.amount
    return table.time, amounts, unit


def by_size(amounts: Floats, sizes: Mapping[str, ArrayLike], n_subjects: int) -> Floats:
    """(n_subjects, n) amounts of each subject from (n, 3): absolute, per m2 and per kg.

    sizes : "m2" and "kg" -> body surface area and weight, one number or (n_subjects,). Raises InputError
        where one is missing or of another shape.
    """
    factors = np.ones((n_subjects, 3))
    for per, index in _SIZES.items():
        if not np.any(amounts[:, index + 1]):
            continue
        if per not in sizes:
            raise InputError(f'doses per {per} can only be added up with sizes={{"{per}": ...}}')
        size = np.asarray(sizes[per], dtype=np.float64)
        if size.shape not in ((), (n_subjects,)):
            raise InputError(f'sizes["{per}"] must be one number or {n_subjects}, one for each subject')
        factors[:, index + 1] = size
    return factors @ amounts.T


def largest_daily(
    schedule: Schedule,
    unit: str,
    sizes: Mapping[str, ArrayLike],
    n_subjects: int,
    dose_units: Mapping[str, Mapping[str, float]] | None = None,
    given: Floats | None = None,
) -> Floats:
    """(n_subjects,) the most that any 24 hours, counted from a dose, hold; 0 without doses. Raises as
    ``doses`` and ``by_size``.

    given : (n_subjects, n_doses), what each dose was multiplied by; by default all were given as they are
        written.
    """
    times, amounts, _ = doses(schedule, unit, dose_units)
    if not times.size:
        return np.zeros(n_subjects)
    end = np.searchsorted(times, times + (1.0 - 1e-9), side="left")
    summed = np.vstack([np.zeros(3), np.cumsum(amounts, axis=0)])
    days = np.unique((summed[end] - summed[:-1]).round(12), axis=0)
    planned = by_size(days, sizes, n_subjects).max(axis=1)
    if given is None:
        return np.asarray(planned)
    own = np.hstack([by_size(amounts, sizes, n_subjects) * given, np.zeros((n_subjects, 1))])
    windows = np.column_stack([np.arange(times.size), end]).ravel()
    largest = np.add.reduceat(own, windows, axis=1)[:, ::2].max(axis=1)
    return np.where((given == 1.0).all(axis=1), planned, largest)  # to the last digit the same


def _table(
    schedule: Schedule,
    unit: str | None,
    dose_units: Mapping[str, Mapping[str, float]] | None,
    time_unit: str = "d",
) -> EventTable:
    """The doses in ``unit`` (None: as they are written)."""
    routes = tuple(dict.fromkeys(part.route for part in schedule.parts))
    if unit is None:
        known = {route: dict.fromkeys(DOSE_UNITS, 1.0) for route in routes}
    elif dose_units is None:
        if unit not in DOSE_UNITS and routes:
            raise ScheduleError(f'"{unit}" is not a dose unit; one of {", ".join(DOSE_UNITS)}')
        kind, one = DOSE_UNITS.get(unit, ("", 1))
        same = {name: float(size / one) for name, (of, size) in DOSE_UNITS.items() if of == kind}
        known = dict.fromkeys(routes, same)
    else:
        routes = tuple(dose_units)
        known = {
            route: {name: size / units[unit] for name, size in units.items()} if unit in units else {}
            for route, units in dose_units.items()
        }
    return schedule.events(time_unit, routes, known, _SIZES)
