"""What measurements say of one person as a figure.

plot.save(figure(individualise("low_dose_il2", "her.csv", "1 MIU sc daily x5")), "her.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.decision.comparison import Arm, Comparison
from pkpd.dosing import Schedule, time_units_per_day
from pkpd.inference.individual import LEVELS, Individual
from pkpd.inference.population import Population
from pkpd.solver import Options, solve
from pkpd.solver.options import BANDS

Floats = NDArray[np.float64]

if TYPE_CHECKING:
    from matplotlib.figure import Figure


LEFT_OVER = 7.0  # days that are drawn behind the last dose that was given


class PersonCourses(NamedTuple):
    """What is drawn of one person: names of outputs; measured, dicts of ``Individual.rows`` with their
    ``day``; courses as ``days`` (n_times,) and ``bands``, output -> (3, n_times), of people and of this
    person, and by label what may follow, from where the first of it begins."""

    outputs: list[str]
    measured: list[dict[str, Any]]
    before: dict[str, Any]
    after: dict[str, Any]
    forecasts: dict[str, dict[str, Any]]


def courses(person: Individual, following: Comparison | None = None) -> PersonCourses:
    """Of the outputs that were measured, without measurements of the model's first."""
    kernel, per_day = person.kernel, time_units_per_day(person.kernel.TIME_UNIT)
    names = list(dict.fromkeys(one.output for one in person.measurements)) or list(kernel.OUTPUTS[:1])
    known = [one.time / per_day for one in person.measurements]
    begins = [float(arm.dose_days.min()) for arm in following.arms if arm.dose_days.size] if following else []
    end = max([1.0, person.given.span + LEFT_OVER, *known]) * 1.02
    start, end = min([0.0, *known]), min(begins, default=end)
    days = np.unique(np.r_[np.linspace(start, end, 240), known])
    places = [kernel.OUTPUTS.index(name) for name in names]

    def band(people: Population, schedule: Schedule, at: Floats) -> dict[str, Any]:
        events, how = schedule.events_for(kernel), Options(rtol=BANDS)
        outputs = solve(kernel, people.values, events, at * per_day, options=how).outputs
        found = np.nanquantile(outputs[:, :, places], LEVELS, axis=0)
        return {"days": at, "bands": {name: found[:, :, i] for i, name in enumerate(names)}}

    def forecast(arm: Arm) -> dict[str, Any]:
        later = arm.days >= end
        if all(name in arm.bands for name in names):  # the comparison has them
            bands = {name: arm.bands[name][:, later] for name in names}
            return {"days": arm.days[later], "bands": bands}
        return band(person.after, person.given + arm.schedule, arm.days[later])

    return PersonCourses(
        outputs=names,
        measured=[{**row, "day": row["time"] / per_day} for row in person.rows()],
        before=band(person.before, person.given, days),
        after=band(person.after, person.given, days),
        forecasts={arm.label: forecast(arm) for arm in (following.arms if following else ())},
    )


def figure(person: Individual, following: Comparison | None = None) -> Figure:
    """What was measured and what may follow, of the outputs that were measured."""
    from pkpd.present import plot

    kernel, drawn = person.kernel, courses(person, following)
    places = {name: kernel.OUTPUTS.index(name) for name in drawn.outputs}
    return plot.individual_figure(
        drawn.measured,
        drawn.before,
        drawn.after,
        drawn.forecasts,
        units={name: kernel.OUTPUT_UNITS[place] for name, place in places.items()},
        descriptions={name: kernel.OUTPUT_DESCRIPTIONS[place] for name, place in places.items()},
        doses=[float(dose.time_days) for dose in person.given.doses()],
        title=f"One person after {person.given}",
    )
