"""Figure of a front: schedules by two objectives at a time, those of the front numbered and with their
uncertainty."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    SKY,
    VERMILION,
    line_handle,
    marker_handle,
    panel_grid,
    put_footnote,
    put_legend,
    put_title,
    styled,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def front_figure(
    choices: Sequence[Mapping[str, Any]],
    seen: Sequence[Mapping[str, Any]],
    axes: Sequence[Mapping[str, str]],
    *,
    holding: bool = True,
    title: str = "",
    footnote: str = "",
) -> Figure:
    """A panel per pair of objectives: the first over the others.

    Args:
        choices: of the front (``holding``), or the nearest where nothing holds the constraints: dicts with
            ``number`` and for each objective by name (median, low, high).
        seen: what the search looked at: dicts with ``holds`` and a median for each objective by name.
        axes: the objectives: dicts with ``name`` and ``title``.
    """
    if not choices or len(axes) < 2:
        raise InputError("there is no front to draw")
    pairs = [(x, y) for y, x in itertools.combinations(axes, 2)]
    colour = BLUE if holding else VERMILION
    figure, panels = panel_grid(len(pairs), len(pairs), (max(3.3, 7.4 / len(pairs)), 4.2))
    for axis, (x, y) in zip(panels, pairs, strict=True):
        _draw(axis, choices, seen, x, y, colour)
    handles = [
        marker_handle(False, "the front" if holding else "nearest to the constraints", colour),
        line_handle("90 %, by the uncertainty of the parameters", colour, linewidth=1.2),
    ]
    if any(point["holds"] for point in seen):
        handles.append(marker_handle(False, "looked at, holds the constraints", SKY))
    if not all(point["holds"] for point in seen):
        handles.append(
            line_handle("looked at, does not hold them", GREY, marker="x", linestyle="none", markersize=4)
        )
    put_legend(figure, handles)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _draw(
    axis: Axes,
    choices: Sequence[Mapping[str, Any]],
    seen: Sequence[Mapping[str, Any]],
    x: Mapping[str, str],
    y: Mapping[str, str],
    colour: str,
) -> None:
    for holds in (False, True):
        points = np.array(
            [(point[x["name"]], point[y["name"]]) for point in seen if bool(point["holds"]) is holds],
            dtype=float,
        ).reshape(-1, 2)
        points = points[np.isfinite(points).all(axis=1)]
        if holds:
            axis.scatter(
                points[:, 0], points[:, 1], s=11, color=SKY, alpha=0.7, linewidth=0, zorder=1.5, gid="holds"
            )
        else:
            axis.scatter(
                points[:, 0],
                points[:, 1],
                s=9,
                marker="x",
                color=GREY,
                alpha=0.45,
                linewidth=0.7,
                zorder=1,
                gid="fails",
            )
    for choice in choices:
        (mx, *ends_x), (my, *ends_y) = choice[x["name"]], choice[y["name"]]
        if not (math.isfinite(mx) and math.isfinite(my)):
            continue
        if np.isfinite(ends_x).all():
            axis.plot(ends_x, [my, my], color=colour, linewidth=1.1, alpha=0.7, zorder=3)
        if np.isfinite(ends_y).all():
            axis.plot([mx, mx], ends_y, color=colour, linewidth=1.1, alpha=0.7, zorder=3)
        axis.scatter([mx], [my], s=34, color=colour, edgecolor="white", linewidth=0.7, zorder=4, gid="choice")
        axis.annotate(
            str(choice["number"]),
            (mx, my),
            (5, 5),
            textcoords="offset points",
            fontsize=8.5 if len(choices) < 12 else 7,
            fontweight="bold",
            color=colour,
            zorder=5,
        )
    axis.set_xlabel(wrapped(x["title"], 46))
    axis.set_ylabel(wrapped(y["title"], 46))
    for name, put in ((x["name"], axis.set_xlim), (y["name"], axis.set_ylim)):
        put(*_limits(choices, seen, name))


def _limits(
    choices: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, Any]], name: str
) -> tuple[float, float]:
    """Room for the numbered schedules, their intervals, and all that hold the constraints; what does not hold
    them may lie beyond."""
    values = np.array(
        [value for choice in choices for value in choice[name]]
        + [point[name] for point in seen if point["holds"]],
        dtype=float,
    )
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return (max(0.0, low - room) if low >= 0.0 else low - room), high + room
