"""One person: measured values, what the model expects before and after them, and what it foresees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    clipped,
    line_handle,
    marker_handle,
    panel_grid,
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

ADVICE = "A model, not medical advice. Marks: measured, with two SDs of the error of measurement."
DrawnBand = Mapping[str, Any]
"""Curves: ``days`` (n_times,), and ``bands``, output -> (3, n_times): 5 %, 50 % and 95 %."""


@styled
def individual_figure(
    measured: Sequence[Mapping[str, Any]],
    before: DrawnBand,
    after: DrawnBand,
    forecasts: Mapping[str, DrawnBand],
    *,
    units: Mapping[str, str],
    descriptions: Mapping[str, str],
    doses: Sequence[float] = (),
    title: str = "",
) -> Figure:
    """A panel for each output: people before anything is measured (grey), this person (blue), and schedules
    that may follow, each in a colour.

    Args:
        measured: dicts with ``output``, ``day``, ``value`` and the SD of its ``error``.
        before, after: see ``DrawnBand``.
        forecasts: label -> the same of what may follow.
        units, descriptions: of the outputs that are drawn, in this order.
        doses: days on which doses were given.
        title: a line above.

    Raises:
        InputError: no output to draw.
    """
    if not units:
        raise InputError("there is no output to draw")
    columns = 1 if len(units) == 1 else 2
    figure, axes = panel_grid(len(units), columns, (7.4 if columns == 1 else 5.2, 3.2))
    colours = [colour for colour in COLOURS if colour != BLUE]
    for axis, (name, unit) in zip(axes, units.items(), strict=True):
        _band(axis, before, name, GREY, 0.16, "--")
        _band(axis, after, name, BLUE, 0.25, "-")
        for i, band in enumerate(forecasts.values()):
            _band(axis, band, name, colours[i % len(colours)], 0.2, "-")
        for one in measured:
            if one["output"] == name:
                axis.errorbar(
                    one["day"], one["value"], 2 * one["error"], fmt="o", color=INK, capsize=2.5, zorder=5
                )
        axis.vlines(
            np.unique(doses),
            0.96,
            1.0,
            transform=axis.get_xaxis_transform(),
            color=INK,
            linewidth=1.1,
            gid="dose",
        )
        axis.set_title(wrapped(descriptions.get(name) or name, 52))
        axis.set_ylabel(with_unit(name, unit))
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
        axis.set_xlabel("time (d)")
    handles = [
        line_handle("people, before measurements (90 %)", GREY, linestyle="--"),
        line_handle("this person (90 %)", BLUE),
        *(line_handle(clipped(label, 60), colours[i % len(colours)]) for i, label in enumerate(forecasts)),
    ]
    if measured:
        handles.append(marker_handle(False, "measured", INK))
    put_legend(figure, handles)
    put_footnote(figure, ADVICE)
    put_title(figure, title)
    return figure


def _band(axis: Axes, band: DrawnBand, name: str, colour: str, alpha: float, style: str) -> None:
    low, middle, high = band["bands"][name]
    axis.fill_between(band["days"], low, high, color=colour, alpha=alpha, linewidth=0)
    axis.plot(band["days"], middle, color=colour, linestyle=style)
