"""What measurements say of one person as a figure.

plot.save(figure(individualise("low_dose_il2", "her.csv", "1 MIU sc daily x5")), "her.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.decision.comparison import Comparison
from pkpd.dosing import time_units_per_day
from pkpd.inference.individual import LEVELS, Individual
from pkpd.solver import Options, solve
from pkpd.solver.options import BANDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(person: Individual, following: Comparison | None = None) -> Figure:
    """What was measured and what may follow, of the outputs that were measured."""
    from pkpd.present import plot

    kernel, per_day = person.kernel, time_units_per_day(person.kernel.TIME_UNIT)
    names = list(dict.fromkeys(one.output for one in person.measurements)) or list(kernel.OUTPUTS[:1])
    known = [one.time / per_day for one in person.measurements]
    begins = [float(arm.dose_days.min()) for arm in following.arms if arm.dose_days.size] if following else []
    end = max([1.0, person.given.span + 7.0, *known]) * 1.02
    start, end = min([0.0, *known]), min(begins, default=end)
    days = np.unique(np.r_[np.linspace(start, end, 240), known])
    places = {name: kernel.OUTPUTS.index(name) for name in names}

    def band(people: Any, schedule: Any, at: Any) -> dict[str, Any]:
        events, how = schedule.events_for(kernel), Options(rtol=BANDS)
        outputs = solve(kernel, people.values, events, at * per_day, options=how).outputs
        found = np.nanquantile(outputs[:, :, list(places.values())], LEVELS, axis=0)
        return {"days": at, "bands": {name: found[:, :, i] for i, name in enumerate(names)}}

    forecasts = {
        arm.label: band(person.after, person.given + arm.schedule, arm.days[arm.days >= end])
        for arm in (following.arms if following else ())
    }
    return plot.individual_figure(
        [{**row, "day": row["time"] / per_day} for row in person.rows()],
        band(person.before, person.given, days),
        band(person.after, person.given, days),
        forecasts,
        units={name: kernel.OUTPUT_UNITS[place] for name, place in places.items()},
        descriptions={name: kernel.OUTPUT_DESCRIPTIONS[place] for name, place in places.items()},
        doses=[float(dose.time_days) for dose in person.given.doses()],
        title=f"One person after {person.given}",
    )
