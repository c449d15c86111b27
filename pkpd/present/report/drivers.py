"""What drives an endpoint as a figure.

plot.save(figure(drivers(scene, "10 mg oral daily x5", "AUC")), "tornado.png")
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from pkpd.decision.drivers import Drivers, Origin
from pkpd.decision.drivers.result import ADVICE, WORDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def percent(share: float, ends: tuple[float, float]) -> str:
    """A share of the variance in percent with its interval, as far as there are shares: "57 (43 to 71)"."""
    if math.isnan(share):
        return ""
    middle, low, high = (100 * min(max(value, 0.0), 1.0) for value in (share, *ends))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def origin_words(origin: Origin) -> str:
    """An origin with its share of the variance by both: "differences between people: 62 % of the variance (55
    to 69)"."""
    words = WORDS[origin.by]
    if math.isnan(origin.total):
        return words
    low, high = (100 * min(max(end, 0.0), 1.0) for end in origin.total_ends)
    return f"{words}: {100 * origin.total:.0f} % of the variance of both ({low:.0f} to {high:.0f})"


def figure(found: Drivers) -> Figure:
    """The tornado of each origin, with the shares of the variance."""
    from pkpd.present import plot

    return plot.drivers_figure(
        [
            {
                "title": origin_words(origin),
                "bars": [dataclasses.asdict(one) for one in found.of(origin.by) if not math.isnan(one.first)],
            }
            for origin in found.origins
        ],
        endpoint=found.endpoint.name,
        unit=found.endpoint.unit,
        typical=found.typical,
        title=f"What drives {found.endpoint.name}: {found.schedule}",
        footnote=" ".join((*found.reading, *found.warnings, ADVICE)),
    )
