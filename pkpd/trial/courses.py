"""Doses as courses: which belong together, when a course begins, and the most that a day of it holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pkpd.dosing import EventTable

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

COURSE_GAP = 3.0
"""Days: doses that are no further apart are of one course."""


def courses(doses: EventTable, day: float) -> Integers:
    """Which course each dose belongs to, (n_doses,); ``day`` in the model's time unit."""
    if not len(doses):
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.cumsum(np.diff(doses.time) > COURSE_GAP * day)]).astype(np.int64)


def first_doses(doses: EventTable, day: float) -> Integers:
    """Places of the doses with which courses begin, (n_courses,)."""
    return np.flatnonzero(np.diff(courses(doses, day), prepend=-1))


def largest_daily(doses: EventTable, day: float, amounts: Floats) -> Floats:
    """The most that any 24 hours of each course hold, counted from a dose, (n, n_courses).

    amounts : (n, n_doses), of each patient's doses.
    """
    of, first = courses(doses, day), first_doses(doses, day)
    within = np.searchsorted(doses.time, doses.time + (1.0 - 1e-9) * day, side="left")
    end = np.minimum(within, np.searchsorted(of, of, side="right"))
    summed = np.concatenate([np.zeros((len(amounts), 1)), np.cumsum(amounts, axis=1)], axis=1)
    return np.maximum.reduceat(summed[:, end] - summed[:, :-1], first, axis=1)


@dataclass(frozen=True)
class CoursePlan:
    """The courses of a trial's arms.

    doses : of each arm, from inclusion on; day : in the model's unit of time; run_in : days.
    """

    doses: tuple[EventTable, ...]
    day: float
    run_in: float

    @cached_property
    def most(self) -> int:
        """Courses of the arm that has the most."""
        return max(len(first_doses(doses, self.day)) for doses in self.doses)

    @cached_property
    def days(self) -> Floats:
        """Days from randomisation on which courses begin, (n_arms, n_courses), nan behind the last of an arm.
        An arm without doses has those of the first arm that has some, as if they were of placebo."""
        found = np.full((len(self.doses), self.most), np.nan)
        some = next((doses for doses in self.doses if len(doses)), EventTable.empty())
        for k, doses in enumerate(self.doses):
            given = doses if len(doses) else some
            begun = given.time[first_doses(given, self.day)] / self.day - self.run_in
            found[k, : begun.size] = begun
        return found

    def daily(self, arm: Integers, values: Floats, in_unit: Floats) -> Floats:
        """The largest daily dose of each course as planned, (n, n_courses); 0 in an arm without doses, nan
        where an arm has no such course.

        arm : (n,); values : (n, n_params), of which doses per body size take theirs; in_unit : (n_routes,),
        factors of the amounts.
        """
        found = np.where(np.isnan(self.days[arm]), np.nan, 0.0)
        for k, doses in enumerate(self.doses):
            who = np.flatnonzero(arm == k)
            if not len(doses) or not who.size:
                continue
            absolute = doses.size < 0
            size = np.where(absolute, 1.0, values[who][:, np.where(absolute, 0, doses.size)])
            daily = largest_daily(doses, self.day, doses.amount * in_unit[doses.route] * size)
            found[who[:, None], np.arange(daily.shape[1])] = daily
        return found
