"""Figures of what drives an endpoint: the tornado, and shares of the variance beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    clipped,
    line_handle,
    literal,
    marker_handle,
    new_figure,
    number,
    put_footnote,
    put_legend,
    put_title,
    styled,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 14


@styled
def drivers_figure(
    parts: Sequence[Mapping[str, Any]],
    *,
    endpoint: str,
    unit: str,
    typical: float,
    title: str = "",
    footnote: str = "",
) -> Figure:
    """A row of two panels for each origin: the endpoint at the 5 % and 95 % of each input, and the shares of
    the variance.

    Args:
        parts: dicts with ``title`` and ``bars``: dicts with ``name``, ``unit``, ``low_value``,
            ``high_value``, ``low``, ``high``, ``low_ends``, ``high_ends`` (nan: no interval), ``first``,
            ``first_ends``, ``total``, ``total_ends``; the longest first. Beyond 14 they are left out.
        typical: the endpoint of the typical person.
    """
    drawn = [(str(part["title"]), list(part["bars"])[:MOST_BARS]) for part in parts if part["bars"]]
    if not drawn:
        raise InputError("there is no input to draw")
    heights = [0.7 + 0.3 * len(bars) for _, bars in drawn]
    figure = new_figure(9.5, sum(heights) + 0.5)
    panels = figure.subplots(
        len(drawn), 2, squeeze=False, width_ratios=(1.5, 1), height_ratios=heights, sharex="col"
    )
    for (left, right), (name, bars) in zip(panels, drawn, strict=True):
        _tornado(left, bars, typical)
        _shares(right, bars)
        left.set_title(wrapped(name, 60))
    panels[-1][0].set_xlabel(wrapped(with_unit(endpoint, unit), 60))
    panels[-1][1].set_xlabel("share of the variance (%)")
    put_legend(
        figure,
        [
            line_handle("input at its 5 %", ORANGE, linewidth=6),
            line_handle("at its 95 %", BLUE, linewidth=6),
            line_handle("90 % by the other origin", INK, linewidth=1.0),
            marker_handle(False, "first: gone if it were known", INK),
            marker_handle(True, "total: left if all others were", INK),
        ],
    )
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _tornado(panel: Axes, bars: Sequence[Mapping[str, Any]], typical: float) -> None:
    for row, bar in enumerate(bars):
        for end, colour in (("low", ORANGE), ("high", BLUE)):
            value = float(bar[end])
            panel.barh(row, value - typical, left=typical, height=0.56, color=colour, gid="bar")
            low, high = bar[f"{end}_ends"]
            if math.isfinite(low):
                at = row + (0.14 if end == "high" else -0.14)
                panel.plot([low, high], [at, at], color=INK, linewidth=0.8, zorder=3, gid="interval")
    panel.axvline(typical, color=GREY, linewidth=1.0)
    panel.set_yticks(range(len(bars)), [_label(bar) for bar in bars])
    panel.set_ylim(len(bars) - 0.4, -0.6)
    panel.grid(axis="y", visible=False)


def _label(bar: Mapping[str, Any]) -> str:
    ends = f"{number(bar['low_value'])} to {number(bar['high_value'])}"
    return literal(clipped(f"{bar['name']}: {with_unit(ends, str(bar['unit']))}", 44))


def _shares(panel: Axes, bars: Sequence[Mapping[str, Any]]) -> None:
    for row, bar in enumerate(bars):
        for name, up, face in (("first", -0.12, INK), ("total", 0.12, "white")):
            low, high = bar[f"{name}_ends"]
            if not math.isfinite(low):
                continue
            panel.plot([100 * low, 100 * high], [row + up] * 2, color=INK, linewidth=0.9, zorder=2)
            panel.scatter(
                [100 * bar[name]], [row + up], s=20, facecolor=face, edgecolor=INK, zorder=3, gid=name
            )
    panel.axvline(0, color=GREY, linewidth=1.0)
    panel.set_yticks([])
    panel.set_ylim(len(bars) - 0.4, -0.6)
    panel.grid(axis="y", visible=False)
