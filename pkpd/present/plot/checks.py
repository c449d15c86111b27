"""Figures that check a fit: means and SDs of arms over visits beside what was to be expected of them, and
residuals beside those of a normal distribution, over time and over predictions."""

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
    PALE,
    VERMILION,
    draw_point,
    ends_of,
    hollow,
    is_number,
    line_handle,
    marker_handle,
    new_figure,
    panel_rows,
    put_legend,
    put_title,
    styled,
    unverified_handles,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {"parameters": "#8CBEDC", "study effect": "#99D8C7", "sampling": "#D5ECF9"}
"""Of what was not known beforehand, by its band, which has those before it too: light blue, green and sky."""


@styled
def visits_figure(arms: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """A visual predictive check: an arm in each column, its means over visits above and its SDs below, each
    with its 95 % interval, in the band that was to be expected.

    The bands are of a study that the fit does not know: what is not known of the parameters, then the study's
    effect too, then the sampling error of as many patients. The dashed line has the study's own effect, as
    fitted.

    Args:
        arms: as "visits" of ``pkpd.predict``: dicts with ``title``, ``output``, ``unit``, ``time_unit``,
            ``times`` (n_times,) and ``statistics``: dicts with ``name``, ``fitted`` and ``typical``
            (n_times,), ``bands`` (``name``, ``low`` and ``high`` (n_times,)) and ``points`` (``time``,
            ``value``, ``interval``, ``provenance``).
    """
    if not arms:
        raise InputError("there is no arm with means over visits to draw")
    columns = len(arms) if len(arms) <= 4 else 3
    lines = math.ceil(len(arms) / columns)
    figure, axes = panel_rows(2 * lines, columns, ((6.4, 4.4, 3.6, 3.2)[columns - 1], 2.5))
    for place in range(lines * columns):
        pair = [axes[2 * (place // columns) + k][place % columns] for k in range(2)]
        if place >= len(arms):
            for axis in pair:
                axis.set_visible(False)
            continue
        for axis, statistic in zip(pair, arms[place]["statistics"], strict=True):
            _draw_visits(axis, arms[place], statistic)
        pair[0].set_title(wrapped(arms[place]["title"], 40), fontweight="bold")
        pair[1].set_xlabel(f"time ({arms[place]['time_unit']})")
    from matplotlib.patches import Patch

    statistics = [statistic for arm in arms for statistic in arm["statistics"]]
    named = {band["name"] for statistic in statistics for band in statistic["bands"]}
    handles: list[Any] = [
        Patch(color=colour, label=name if i == 0 else f"+ {name}")
        for i, (name, colour) in enumerate(PARTS.items())
        if name in named
    ]
    handles.append(line_handle("expected", INK))
    if "study effect" in named:
        label = "fitted, with the study's own effect"
        handles.append(line_handle(label, INK, linestyle=(0, (4, 3))))
    handles.append(marker_handle(False, "reported, 95 % interval", INK))
    points = [point for statistic in statistics for point in statistic["points"]]
    put_legend(figure, handles + unverified_handles(points))
    put_title(figure, title)
    return figure


def _draw_visits(axis: Axes, arm: Mapping[str, Any], statistic: Mapping[str, Any]) -> None:
    times = np.asarray(arm["times"])
    for band in reversed(statistic["bands"]):
        colour = PARTS[band["name"]]
        axis.fill_between(times, band["low"], band["high"], color=colour, linewidth=0, gid=band["name"])
    axis.plot(times, statistic["typical"], color=INK, linewidth=1.2)
    if any(band["name"] == "study effect" for band in statistic["bands"]):
        axis.plot(times, statistic["fitted"], color=INK, linewidth=1.2, linestyle=(0, (4, 3)), gid="fitted")
    for point in statistic["points"]:
        draw_point(axis, point["time"], point["value"], point["interval"], hollow(point), INK)
    if not statistic["points"]:
        axis.text(0.5, 0.92, "none reported", ha="center", transform=axis.transAxes, color=GREY, fontsize=8)
    drawn = [end for band in statistic["bands"] for end in (*band["low"], *band["high"])]
    drawn += [end for point in statistic["points"] for end in ends_of(point["interval"])]
    if min(end for end in drawn if math.isfinite(end)) >= 0:
        axis.set_ylim(bottom=0)
    axis.set_ylabel(wrapped(f"{statistic['name']} of {with_unit(arm['output'], arm['unit'])}", 30))


@styled
def residual_checks_figure(
    rows: Sequence[Mapping[str, Any]], *, title: str = "", limit: float = 6.0
) -> Figure:
    """Standardised residuals against a normal distribution, against time and against the prediction.

    The band holds 95 % of such quantiles at each place, of independent residuals that come as the model says;
    those of a fit lie a little closer, as its parameters have followed the numbers.

    Args:
        rows: see the top of `pkpd.present.plot`, with ``days`` (middle of the time or window), ``rank`` (of
            the prediction among those of its output, from 0 to 1), and ``quantile`` (of the normal
            distribution), ``quantile_low`` and ``quantile_high`` at the place of its residual among all. Rows
            without a finite deviation are left out.
    """
    shown = [row for row in rows if is_number(row.get("deviation"))]
    if not shown:
        raise InputError("there is no residual to draw")
    figure = new_figure(10.4, 3.6)
    normal, over_time, over_rank = figure.subplots(1, 3)
    _draw_quantiles(normal, sorted(shown, key=lambda row: float(row["quantile"])), limit)
    for axis, key in ((over_time, "days"), (over_rank, "rank")):
        for edge in (-2, 2):
            axis.axhline(edge, color=VERMILION, linewidth=1, linestyle=(0, (4, 3)))
        axis.axhline(0, color=GREY, linewidth=0.8)
        _draw_residuals(axis, [float(row[key]) for row in shown], shown, limit)
        axis.set_ylim(-limit * 1.06, limit * 1.06)
    _days_axis(over_time, max(float(row["days"]) for row in shown))
    over_rank.set_xlim(-0.04, 1.04)
    over_rank.set_xticks([0, 0.5, 1], ["lowest", "middle", "highest"])
    over_rank.set_xlabel("prediction, among those of its output")
    from matplotlib.patches import Patch

    handles: list[Any] = [
        marker_handle(False, "fitted"),
        Patch(color=PALE, label="95 % at each place, if residuals are normal"),
        line_handle("2 standard errors", VERMILION, linestyle=(0, (4, 3)), linewidth=1),
    ]
    put_legend(figure, handles + unverified_handles(shown))
    put_title(figure, title)
    return figure


def _days_axis(axis: Axes, last: float) -> None:
    """Days, up to one on a linear scale and then on that of logarithms."""
    from matplotlib.ticker import NullLocator

    axis.set_xscale("symlog", linthresh=1.0, linscale=0.6)
    ticks = [0, 1, *(10**k for k in range(1, 5) if 10**k < 1.5 * last)]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(-0.12, max(1.3 * last, 1.1))
    axis.set_xlabel("time (d)")


def _draw_quantiles(axis: Axes, rows: Sequence[Mapping[str, Any]], limit: float) -> None:
    x = [float(row["quantile"]) for row in rows]
    low, high = ([float(row[key]) for row in rows] for key in ("quantile_low", "quantile_high"))
    axis.fill_between(x, low, high, color=PALE, linewidth=0, zorder=0)
    axis.plot([x[0], x[-1]], [x[0], x[-1]], color=GREY, linewidth=0.9)
    _draw_residuals(axis, x, rows, limit)
    axis.set_xlabel("normal quantile")
    axis.set_ylabel("residual (standard errors)")


def _draw_residuals(axis: Axes, x: Sequence[float], rows: Sequence[Mapping[str, Any]], limit: float) -> None:
    """In one stroke for the verified and one for the others; beyond ``limit`` at the edge."""
    y = np.clip([float(row["deviation"]) for row in rows], -limit, limit)
    at, open_ = np.asarray(x), np.array([hollow(row) for row in rows], dtype=bool)
    for members, face in ((~open_, BLUE), (open_, "white")):
        axis.scatter(
            at[members],
            y[members],
            s=20,
            facecolor=face,
            edgecolor=BLUE,
            linewidth=1.1,
            zorder=4,
            gid="residual",
        )
