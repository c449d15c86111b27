"""Figures of the inverse question: the probability of target attainment along a dose or an interval, and with
two unknowns the boundary between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    clipped,
    colour_of,
    line_handle,
    marker_handle,
    new_figure,
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
def attainment_figure(
    x: Sequence[float],
    curves: Sequence[Mapping[str, Any]],
    answer: Mapping[str, Any],
    *,
    axis: str,
    logarithmic: bool = False,
    title: str = "",
    footnote: str = "",
) -> Figure:
    """The share of people who reach each target over the unknown, with its band, and the answer.

    Args:
        x: (n,) values of the unknown.
        curves: dicts with ``label``, ``share``, ``low`` and ``high`` ((n,) shares, low and high nan without
            uncertainty) and ``asked``, the share that is asked for.
        answer: a dict with ``value`` (nan where there is none), ``low``, ``high`` (nan without uncertainty,
            infinite beyond the range) and ``label``.
        axis: the title of the x axis.
    """
    if not curves or len(x) < 1:
        raise InputError("there is no curve to draw")
    figure = new_figure(7.0, 4.0)
    panel = figure.subplots()
    handles = []
    for i, curve in enumerate(curves):
        colour = colour_of(i)
        _band(panel, x, curve, colour)
        panel.plot(x, 100 * np.asarray(curve["share"]), color=colour, marker="o", markersize=3.2, zorder=3)
        panel.axhline(100 * curve["asked"], color=colour, linestyle=(0, (4, 3)), linewidth=1.0, zorder=2)
        handles.append(line_handle(clipped(str(curve["label"]), 70), colour))
    handles.append(line_handle("asked for", GREY, linestyle=(0, (4, 3)), linewidth=1.0))
    _answer(panel, answer, x)
    if math.isfinite(answer["value"]):
        handles.append(line_handle(str(answer["label"]), INK, linewidth=1.6))
    panel.set_ylim(-2, 102)
    panel.set_ylabel("probability of target attainment\n(% of people)")
    panel.set_xlabel(axis)
    if logarithmic:
        logarithmic_axis(panel.xaxis, panel.set_xscale, x)
    put_legend(figure, handles)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


@styled
def boundary_figure(
    rows: Sequence[Mapping[str, float]],
    *,
    x_axis: str,
    y_axis: str,
    span: tuple[float, float],
    logarithmic: bool = False,
    title: str = "",
    footnote: str = "",
) -> Figure:
    """The answer for each value of a second unknown, with its interval by the parameters.

    Args:
        rows: dicts with ``x``, ``value`` (nan where the target is met nowhere), ``low`` and ``high``
            (infinite beyond the range).
        span: from where to where the answer was looked for.
    """
    if not rows:
        raise InputError("there is no boundary to draw")
    figure = new_figure(7.0, 4.0)
    panel = figure.subplots()
    known = [row for row in rows if math.isfinite(row["value"])]
    for row in known:
        if not math.isnan(row["low"]):
            ends = np.clip([row["low"], row["high"]], *span)
            panel.plot([row["x"]] * 2, ends, color=BLUE, linewidth=1.2, zorder=2, gid="interval")
    panel.plot([row["x"] for row in known], [row["value"] for row in known], color=BLUE, zorder=3)
    panel.scatter([row["x"] for row in known], [row["value"] for row in known], s=26, color=BLUE, zorder=4)
    nowhere = [row["x"] for row in rows if not math.isfinite(row["value"])]
    panel.scatter(
        nowhere, [span[1]] * len(nowhere), marker="x", s=30, color=VERMILION, zorder=4, gid="nowhere"
    )
    handles = [marker_handle(False, "answer"), line_handle("90 %, by the parameters", BLUE, linewidth=1.2)]
    if nowhere:
        how: Any = {"marker": "x", "linestyle": "none", "markersize": 5}
        handles.append(line_handle("met nowhere in the range", VERMILION, **how))
    panel.set_xlabel(x_axis)
    panel.set_ylabel(wrapped(y_axis, 46))
    if logarithmic:
        logarithmic_axis(panel.yaxis, panel.set_yscale, span)
    put_legend(figure, handles)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _band(panel: Axes, x: Sequence[float], curve: Mapping[str, Any], colour: str) -> None:
    low, high = np.asarray(curve["low"], dtype=float), np.asarray(curve["high"], dtype=float)
    if np.isfinite(low).all():
        how: Any = {"color": colour, "alpha": 0.16, "linewidth": 0, "zorder": 1, "gid": "band"}
        panel.fill_between(np.asarray(x, dtype=float), 100 * low, 100 * high, **how)


def _answer(panel: Axes, answer: Mapping[str, Any], x: Sequence[float]) -> None:
    if not math.isfinite(answer["value"]):
        return
    panel.axvline(answer["value"], color=INK, linewidth=1.6, zorder=2.5, gid="answer")
    if not math.isnan(answer["low"]):
        low, high = np.clip([answer["low"], answer["high"]], min(x), max(x))
        panel.axvspan(low, high, color=GREY, alpha=0.16, linewidth=0, zorder=0.5, gid="interval")


def logarithmic_axis(axis: Any, set_scale: Any, values: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers, also between powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    set_scale("log")
    wide = max(values) / min(values) > 50
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
