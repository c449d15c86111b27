"""How many courses with an event are expected, as they add up over a treatment.

What was counted is whether a person had an event in one course of so many days (``Risk.course_days``). A
schedule is cut into such courses, each from the first dose that is in none before it; one is as likely to
have an event as a counted one at the largest dose that any 24 hours of it hold. Expectations add up, whether
or not who had an event once has it again; that later courses are as likely to have one as a first is assumed,
as nobody counted them.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.decision.comparison.arm import Arm
from pkpd.decision.comparison.ground import of_one_drug
from pkpd.decision.criteria import Risk
from pkpd.dosing import Schedule
from pkpd.dosing.parts import Dose
from pkpd.dosing.rules import planned

Floats = NDArray[np.float64]


class ExpectedEvents(NamedTuple):
    """Of a risk: ``days`` (n_courses,) of the last dose of each course, and ``courses`` (n_courses,
    n_subjects), how many of them until then are expected to have had an event, a draw of the risk's posterior
    for each subject."""

    risk: Risk
    days: Floats
    courses: Floats


def expected_events(arm: Arm) -> list[ExpectedEvents]:
    """Of each risk that was counted in courses, under the doses as they are planned; none where doses cannot
    be counted in its unit."""
    people = arm.scene.population
    kernel, drawn = people.kernel, arm.scene.drawn or arm.scene.subjects
    sizes = {per: people.values[:, column] for per, column in kernel.SIZES.items() if column >= 0}
    found = []
    for risk in arm.scene.criteria.risks:
        if risk.output not in kernel.OUTPUTS or risk.course_days is None:
            continue
        known: dict[tuple[Any, ...], Floats] = {}  # courses of a treatment are mostly alike
        days, each = [], []
        for doses in courses_of(planned(arm.plan), Fraction(risk.course_days)):
            first = doses[0].time_days
            alike = tuple((dose.time_days - first, *_given(dose)) for dose in doses)
            if alike not in known:
                known[alike] = risk.probability(
                    Schedule.from_doses([replace(dose, time_days=dose.time_days - first) for dose in doses]),
                    drawn,
                    sizes={per: np.resize(values, drawn) for per, values in sizes.items()},
                    dose_units=of_one_drug(kernel, risk.unit),
                    seed=people.seed,
                )[: arm.scene.subjects]
            days.append(float(doses[-1].time_days))
            each.append(known[alike])
        if each and np.isfinite(each).all():
            found.append(ExpectedEvents(risk, np.array(days), np.cumsum(each, axis=0)))
    return found


def _given(dose: Dose) -> tuple[Any, ...]:
    """What is given, whenever."""
    return dose.amount, dose.unit, dose.per, dose.route, dose.duration_days


def courses_of(schedule: Schedule, days: Fraction) -> list[tuple[Dose, ...]]:
    """The doses of each course: those within so many days of its first, which is in none before."""
    courses: list[list[Dose]] = []
    for dose in schedule.doses():
        if not courses or dose.time_days >= courses[-1][0].time_days + days:
            courses.append([])
        courses[-1].append(dose)
    return [tuple(doses) for doses in courses]
