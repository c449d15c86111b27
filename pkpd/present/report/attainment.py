"""The answer to an inverse question as a figure.

plot.save(figure(dose_for(scene, "Cmax at least 8", "? mg oral daily x5")), "dose.png")
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pkpd.decision.inverse import Attainment, Boundary
from pkpd.decision.people import asked_share

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(found: Attainment | Boundary) -> Figure:
    """The probability of target attainment over the unknown, or the boundary between two unknowns."""
    return _boundary(found) if isinstance(found, Boundary) else _attainment(found)


def _attainment(found: Attainment) -> Figure:
    from pkpd.present import plot

    certain = math.isnan(found.low)
    return plot.attainment_figure(
        found.x.tolist(),
        [
            {
                "label": str(curve.wish),
                "share": curve.share,
                "low": curve.low,
                "high": curve.high,
                "asked": asked_share(curve.wish),
            }
            for curve in found.curves
        ],
        {
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "label": f"{found.unknown.words(found.end)}: {found.unknown.shown(found.value)}"
            + ("" if certain else ", with its 90 % interval by the parameters"),
        },
        axis=found.unknown.called,
        logarithmic=_logarithmic(found),
        title=found.schedule,
        footnote=_footnote(found),
    )


def _boundary(found: Boundary) -> Figure:
    from pkpd.present import plot

    row = found.rows[0]
    spans = [one.range for one in found.rows]
    return plot.boundary_figure(
        [
            {"x": float(value), "value": one.value, "low": one.low, "high": one.high}
            for value, one in zip(found.over.values, found.rows, strict=True)
        ],
        x_axis=found.over.called,
        y_axis=f"{found.unknown.words(found.end)} ({found.unknown.unit})".replace(" ()", ""),
        span=(min(low for low, _ in spans), max(high for _, high in spans)),
        logarithmic=_logarithmic(row),
        title="; ".join(str(curve.wish) for curve in row.curves),
        footnote=f"{row.provenance['schedule']}. {_footnote(row)}",
    )


def _logarithmic(found: Attainment) -> bool:
    return found.unknown.name == "dose" and found.range[1] > 4 * found.range[0]


def _footnote(found: Attainment) -> str:
    return " ".join((*found.reading, "A model, not medical advice."))
