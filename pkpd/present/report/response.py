"""An endpoint over the dose as a figure.

plot.save(figure(dose_response(scene, "? mg oral daily x5", "mean response")), "response.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pkpd.decision.response import DoseResponse
from pkpd.decision.response.result import ADVICE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WARNINGS = 3
"""That stand below a figure; files have all."""


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
