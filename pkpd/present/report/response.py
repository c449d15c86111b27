"""An endpoint over the dose as a figure.

plot.save(figure(dose_response(scene, "? mg oral daily x5", "mean response")), "response.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pkpd.decision.response import DoseResponse
from pkpd.decision.response.result import ADVICE
from pkpd.present.report.numbers import because

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WARNINGS = 3
"""That stand below a figure; files have all."""


def reasons(found: DoseResponse) -> list[str]:
    """Why the smallest and the largest value have their lights, in sentences; one where it is the same."""
    shown, name = found.unknown.shown, found.endpoint.name
    ends = [(shown(float(found.values[i])), found.value_standings[i]) for i in (0, -1)]
    if ends[0][1] == ends[1][1]:
        ends = [(f"{ends[0][0]} and at {ends[1][0]}", ends[0][1])]
    return [said for at, standing in ends if (said := because(f"{name} at {at}", standing))]


def figure(found: DoseResponse) -> Figure:
    """The endpoint over the unknown, and over the exposure where that was asked for."""
    from pkpd.present import plot

    exposure = None
    if (of := found.exposure) is not None:
        shown = plot.shown_unit(of.over.unit)
        exposure = {
            "x": of.x,
            "y": of.y,
            "centres": of.centres,
            "curve": of.curve,
            "label": f"{of.over.name} ({shown})" if shown else of.over.name,
        }
    return plot.response_figure(
        {
            "x": found.values,
            "people": found.people,
            "low": found.low,
            "high": found.high,
            "published": [
                {
                    "x": point.x,
                    "value": point.value,
                    "low": point.low,
                    "high": point.high,
                    "hollow": point.provenance == "unverified",
                }
                for point in found.published_doses
            ],
        },
        x_axis=found.unknown.called,
        endpoint=found.endpoint.name,
        unit=found.endpoint.unit,
        exposure=exposure,
        logarithmic=found.unknown.name == "dose" and found.values[-1] > 4 * found.values[0],
        title=found.pattern,
        footnote=" ".join((*found.reading, *found.warnings[:MOST_WARNINGS], ADVICE)),
    )
