"""Figures of a comparison of schedules: courses over each other, differences to the first schedule, and what
one is traded for the other.

A schedule is told by its colour, its dashes or marker, and its letter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present import outline
from pkpd.present.plot.canvas import (
    COLOURS,
    GREY,
    INK,
    PALE,
    Floats,
    beside,
    colour_of,
    is_number,
    labelled_handle,
    line_handle,
    new_figure,
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

MOST = len(COLOURS)
"""Schedules that can be told apart in one figure."""
DASHES: Any = (
    "-",
    (0, (6, 2)),
    (0, (1.2, 1.4)),
    (0, (6, 2, 1.2, 2)),
    (0, (3, 1.2)),
    (0, (8, 2, 1, 2, 1, 2)),
    (0, (10, 3)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_RUG = 0.045  # height of a row of dose ticks, of the panel's
_EDGE = 1.04  # where what lies beyond the scale is drawn, of the scale


@styled
def courses_figure(
    arms: Sequence[Mapping[str, Any]],
    panels: Sequence[Mapping[str, Any]],
    *,
    size: tuple[float, float] = (4.7, 2.55),
    title: str = "",
    footnote: str = "",
) -> Figure:
    """A panel per output with all schedules: median, band of 5 % to 95 % of subjects, and a rug of each
    schedule's doses.

    Args:
        arms: dicts with ``letter``, ``label``, ``days`` (n_times,), ``bands`` (output -> (3, n_times)) and
            ``dose_days``.
        panels: dicts with ``output``, ``title``, ``unit``, optional ``log``, ``until`` (days that are shown)
            and ``rest`` (a line at rest).
        size: of a panel, in inches.
    """
    if not arms or not panels:
        raise InputError("there is no course to draw")
    columns = 1 if len(panels) == 1 else 2
    figure, axes = panel_grid(len(panels), columns, size)
    for axis, panel in zip(axes, panels, strict=True):
        for i, arm in enumerate(arms[:MOST]):
            _draw_arm(axis, arm, panel, i)
        _scale(axis, arms[:MOST], panel)
        axis.set_title(wrapped(panel["title"], 56))
        axis.set_ylabel(panel["unit"])
        axis.set_xlabel("time (d)")
    handles = [labelled_handle(arm, i, linestyle=DASHES[i]) for i, arm in enumerate(arms[:MOST])]
    from matplotlib.patches import Patch

    handles += [
        Patch(color=GREY, alpha=0.25, label="5 % to 95 % of subjects"),
        line_handle("doses", INK, marker="|", linestyle="none", markersize=7),
    ]
    put_legend(figure, handles)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _draw_arm(axis: Axes, arm: Mapping[str, Any], panel: Mapping[str, Any], i: int) -> None:
    days = np.asarray(arm["days"], dtype=float)
    band = np.asarray(arm["bands"][panel["output"]], dtype=float)
    shown = days <= panel.get("until", math.inf)
    days, band = days[shown], band[:, shown]
    if days.size > outline.MOST:
        drawn = outline.outline(days, band, bool(panel.get("log")))
        days, band = days[drawn], band[:, drawn]
    low, median, high = band
    axis.fill_between(days, low, high, facecolor=colour_of(i), alpha=0.15, linewidth=0)
    for edge in (low, high):  # where bands lie over each other, their edges still tell them apart
        axis.plot(days, edge, color=colour_of(i), linestyle=DASHES[i], linewidth=0.6, alpha=0.6)
    axis.plot(days, median, color=colour_of(i), linestyle=DASHES[i], gid="median")
    doses = np.unique(np.asarray(arm["dose_days"], dtype=float))
    doses = doses[doses <= days[-1]]
    top = 1 - _RUG * i
    axis.vlines(
        doses,
        top - 0.8 * _RUG,
        top,
        transform=axis.get_xaxis_transform(),
        color=colour_of(i),
        linewidth=1.1,
        gid="dose",
    )


def _scale(axis: Axes, arms: Sequence[Mapping[str, Any]], panel: Mapping[str, Any]) -> None:
    """Limits for all schedules, from zero unless that hides the course, with room for the rugs."""
    until = panel.get("until", math.inf)
    days = [np.asarray(arm["days"], dtype=float) for arm in arms]
    inside: list[Floats] = [
        np.asarray(arm["bands"][panel["output"]], dtype=float)[:, d <= until].ravel()
        for arm, d in zip(arms, days, strict=True)
    ]
    values = np.concatenate(inside)
    values = values[np.isfinite(values)]
    end = min(until, max(float(d[-1]) for d in days))
    axis.set_xlim(-0.015 * end, 1.015 * end)
    if not values.size:
        return
    room = 0.08 + _RUG * len(arms)
    if panel.get("log") and (values > 0).any():
        low, high = math.log10(values[values > 0].min()), math.log10(values.max())
        low, height = max(low, high - 6), max(high - max(low, high - 6), 0.5)
        axis.set_yscale("log", nonpositive="mask")
        axis.set_ylim(10 ** (low - 0.05 * height), 10 ** (low + height * (1 + room)))
        return
    low, high = float(values.min()), float(values.max())
    if 0 <= low <= 0.5 * high:
        low = 0.0
    height = high - low or abs(high) or 1.0
    axis.set_ylim(low - (0.05 * height if low else 0.0), low + height * (1 + room))


@styled
def differences_figure(
    rows: Sequence[Mapping[str, Any]], *, title: str = "", footnote: str = "", limit: float = 200.0
) -> Figure:
    """Differences to the first schedule, a line per endpoint and schedule, in percent of the first schedule's
    median.

    The thin line holds 90 % of subjects, the thick one is the 90 % interval of the median by the parameters
    alone. What lies beyond the scale ends in a triangle at the edge. The numbers in their own unit stand at
    the right.

    Args:
        rows: dicts with ``endpoint``, ``group``, ``wanted`` (+1, -1, 0), ``index`` (of the schedule),
            ``letter``, ``label``, ``base`` (the first schedule's median), ``difference``, ``low``, ``high``,
            ``inner`` ((low, high)), ``text`` and ``better`` (what stands
            at the right: the difference in its own unit, and the shares of subjects who do better, the same
                and worse).
        limit: the scale's end in percent, less where that is enough.
    """
    if not rows:
        raise InputError("there is no difference to draw")
    shares = [_shares(row) for row in rows]
    widest = max((abs(v) for values in shares for v in values if math.isfinite(v)), default=1.0)
    limit = min(limit, max(10.0, 1.05 * widest))
    lines: list[tuple[str, int | None]] = []
    for k, row in enumerate(rows):
        if k == 0 or row["group"] != rows[k - 1]["group"]:
            lines.append((row["group"], None))
        new = k == 0 or row["endpoint"] != rows[k - 1]["endpoint"]
        arrow = {1: " ↑", -1: " ↓"}.get(row["wanted"], "")
        lines.append((row["endpoint"] + arrow if new else "", k))
    figure = new_figure(9.4, 1.25 + 0.225 * len(lines))
    axis = figure.subplots()
    axis.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    axis.set_yticks([-i for i in range(len(lines))], [label for label, _ in lines])
    for tick, (_, place) in zip(axis.get_yticklabels(), lines, strict=True):
        tick.set_fontsize(8)
        if place is None:
            tick.set_fontweight("bold")
    for i, (label, place) in enumerate(lines):
        if place is None:
            continue
        if label and i:
            axis.axhline(-i + 0.5, color=PALE, linewidth=0.7, zorder=0)
        _draw_difference(axis, -i, rows[place], shares[place], limit)
        beside(axis, -i, rows[place]["text"], 8)
        beside(axis, -i, rows[place]["better"], 236, "right")
    beside(axis, 0, "difference (90 %)", 8, bold=True)
    beside(axis, 0, "better/same/worse", 236, "right", bold=True)
    axis.set_ylim(-len(lines) + 0.4, 0.7)
    axis.set_xlim(-_EDGE * limit * 1.02, _EDGE * limit * 1.02)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("difference to the first schedule, in percent of its median")
    firsts = {row["index"]: row for row in reversed(rows)}
    handles = [
        labelled_handle(row, i, marker=MARKERS[i % MOST], markersize=5, linewidth=1)
        for i, row in sorted(firsts.items())
    ]
    handles += [
        line_handle("90 % of subjects", GREY, linewidth=1),
        line_handle("median, by the parameters alone", GREY, linewidth=3.2),
    ]
    put_legend(figure, handles)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _shares(row: Mapping[str, Any]) -> tuple[float, ...]:
    """Difference, its interval and the inner one in percent of the first schedule's median; nan where that is
    nought."""
    base = abs(row["base"]) if is_number(row["base"]) else 0.0
    values = (row["difference"], row["low"], row["high"], *row["inner"])
    return tuple(100 * value / base if base > 0 else math.nan for value in values)


def _draw_difference(
    axis: Axes, y: float, row: Mapping[str, Any], shares: Sequence[float], limit: float
) -> None:
    middle, low, high, inner_low, inner_high = shares
    if not math.isfinite(middle):
        axis.text(0, y, " no share of nought", va="center", fontsize=7, color=GREY, style="italic")
        return
    colour, marker = colour_of(row["index"]), MARKERS[row["index"] % MOST]
    edge = _EDGE * limit
    for ends, width in (((low, high), 1.0), ((inner_low, inner_high), 3.2)):
        if not any(math.isnan(end) for end in ends):
            axis.plot(
                np.clip(ends, -edge, edge),
                [y, y],
                color=colour,
                linewidth=width,
                solid_capstyle="butt",
                zorder=2,
            )
    outside = abs(middle) > limit
    axis.scatter(
        [np.clip(middle, -edge, edge)],
        [y],
        s=26,
        marker=(">" if middle > 0 else "<") if outside else marker,
        facecolor=colour,
        edgecolor="white",
        linewidth=0.6,
        zorder=4,
        gid="difference",
    )


@styled
def trade_off_figure(
    points: Sequence[Mapping[str, Any]],
    axes: Sequence[Mapping[str, str]],
    gain: Mapping[str, str],
    *,
    title: str = "",
    footnote: str = "",
) -> Figure:
    """What is gained over what it costs: a panel per cost, a point per schedule, with both uncertainties.

    Args:
        points: dicts with ``letter``, ``label``, and for the gain and each cost by name (median, low, high,
            inner low, inner high).
        axes, gain: the costs and the gain: dicts with ``name`` and ``title``.
    """
    if not points or not axes:
        raise InputError("there is no trade-off to draw")
    figure, panels = panel_grid(len(axes), len(axes), (max(3.15, 6.0 / len(axes)), 3.1))
    for axis, cost in zip(panels, axes, strict=True):
        for i, point in enumerate(points[:MOST]):
            _draw_trade(axis, point, cost["name"], gain["name"], i)
        axis.set_xlabel(wrapped(cost["title"], 34))
        axis.set_ylabel(wrapped(gain["title"], 40) if axis is panels[0] else "")
        axis.margins(0.12)
        for limits, name, put in (
            (axis.get_xlim(), cost["name"], axis.set_xlim),
            (axis.get_ylim(), gain["name"], axis.set_ylim),
        ):
            values = np.array([point[name][:3] for point in points], dtype=float)
            if not (values < -0.01 * limits[1]).any():
                put(-0.03 * limits[1], limits[1])
    handles = [
        labelled_handle(point, i, marker=MARKERS[i], linestyle="none")
        for i, point in enumerate(points[:MOST])
    ]
    handles += [
        line_handle("90 %", GREY, linewidth=1),
        line_handle("median, by the parameters alone", GREY, linewidth=3.2),
    ]
    put_legend(figure, handles)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _draw_trade(axis: Axes, point: Mapping[str, Any], cost: str, gain: str, i: int) -> None:
    x, x_low, x_high, x_inner_low, x_inner_high = (float(value) for value in point[cost])
    y, y_low, y_high, y_inner_low, y_inner_high = (float(value) for value in point[gain])
    if not (math.isfinite(x) and math.isfinite(y)):
        return
    colour = colour_of(i)
    line: Any = {"color": colour, "solid_capstyle": "butt"}
    axis.plot([x_low, x_high], [y, y], linewidth=1.0, zorder=2, **line)
    axis.plot([x, x], [y_low, y_high], linewidth=1.0, zorder=2, **line)
    axis.plot([x_inner_low, x_inner_high], [y, y], linewidth=3.2, zorder=3, **line)
    axis.plot([x, x], [y_inner_low, y_inner_high], linewidth=3.2, zorder=3, **line)
    axis.scatter(
        [x],
        [y],
        s=44,
        marker=MARKERS[i],
        facecolor=colour,
        edgecolor="white",
        linewidth=0.8,
        zorder=5,
        gid="schedule",
    )
    axis.annotate(
        point["letter"],
        (x, y),
        (7, 6),
        textcoords="offset points",
        fontsize=9,
        fontweight="bold",
        color=colour,
        zorder=6,
    )
