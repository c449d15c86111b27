"""Figures of what repeats a fit: intervals by bootstrap, and what was left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pkpd.core.errors import InputError
from pkpd.core.normal import Z95
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    ORANGE,
    PALE,
    VERMILION,
    beside,
    clipped,
    line_handle,
    literal,
    marker_handle,
    new_figure,
    number,
    put_legend,
    put_title,
    shown_unit,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 40
"""Rows and folds that are drawn: those that miss or weigh most."""
FARTHEST = 6.0
"""Misses and ends of intervals are drawn so far out, in their unit; what lies beyond is an arrow there."""
Z50, Z90 = 0.6745, 1.6449
"""Half widths of the middle 50 % and 90 % of a standard normal."""


@styled
def bootstrap_figure(estimates: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """Intervals by the draws beside those by the curvature, which are a band of 1.96 standard errors.

    Args:
        estimates: dicts with ``name``, ``unit``, ``value``, ``percentile`` (low, high), ``covered``, and
            ``shifts``, a dict with the ends of ``percentile`` and ``bca`` from the estimate in standard
            errors on its scale (nan where there are none).
    """
    if not estimates:
        raise InputError("there is no estimate to draw")
    figure = new_figure(7.8, 1.3 + 0.24 * len(estimates))
    axis = figure.subplots()
    axis.axvspan(-Z95, Z95, color=PALE, zorder=0, gid="curvature")
    for y, estimate in enumerate(estimates):
        for name, colour, offset in (("percentile", BLUE, 0.12), ("bca", ORANGE, -0.12)):
            _span(axis, -y + offset, estimate["shifts"][name], colour)
        low, high = estimate["percentile"]
        words = f"{number(estimate['value'])}  ({number(low)} to {number(high)})"
        beside(axis, -y, literal(f"{words} {shown_unit(str(estimate['unit']))}".rstrip()), 8)
    _named(axis, [str(estimate["name"]) for estimate in estimates])
    axis.axvline(0, color=GREY, linewidth=0.7, zorder=1)
    axis.set_xlabel("distance from the estimate (standard errors by the curvature)")
    put_legend(
        figure,
        [
            line_handle("by the draws", BLUE, linewidth=2.4),
            line_handle("the same, corrected for bias and skewness (BCa)", ORANGE, linewidth=2.4),
            line_handle("by the curvature", PALE, linewidth=7),
        ],
    )
    put_title(figure, title)
    return figure


def _span(axis: Axes, y: float, ends: Sequence[float], colour: str) -> None:
    if not all(map(math.isfinite, ends)):
        return
    inside = [min(max(end, -FARTHEST), FARTHEST) for end in ends]
    axis.plot(inside, [y, y], color=colour, linewidth=2.4, solid_capstyle="butt", gid="span")
    for end, marker in zip(ends, "<>", strict=True):
        if abs(end) > FARTHEST:
            axis.plot([math.copysign(FARTHEST, end)], [y], color=colour, marker=marker, markersize=4)


def _named(axis: Axes, names: Sequence[str]) -> None:
    """A line to each name, from the top."""
    axis.set_yticks(
        [-y for y in range(len(names))], [literal(clipped(name, 36)) for name in names], fontsize=8
    )
    axis.set_ylim(-len(names) + 0.3, 0.7)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


@styled
def left_out_figure(
    rows: Sequence[Mapping[str, Any]], folds: Sequence[Mapping[str, Any]], *, title: str = ""
) -> Figure:
    """How far predictions of what was left out miss it, and how far the estimates move without it.

    Args:
        rows: dicts with ``row`` and ``miss`` (in SDs of its prediction; nan where only a bound was reported).
        folds: dicts with ``name``, ``cook`` and ``one_step``.
    """
    told = [row for row in rows if math.isfinite(row["miss"])]
    if not folds:
        raise InputError("nothing was left out that could be drawn")
    shown = sorted(sorted(told, key=lambda row: -abs(row["miss"]))[:MOST_LINES], key=lambda row: row["miss"])
    heavy = sorted(folds, key=lambda fold: -_size(fold["cook"]))[:MOST_LINES]
    figure = new_figure(9.0, 1.6 + 0.19 * max(len(shown), len(heavy), 4))
    left, right = figure.subplots(1, 2)
    _draw_misses(left, shown, len(told))
    _draw_distances(right, heavy, len(folds))
    put_legend(
        figure,
        [
            marker_handle(False, "without it"),
            marker_handle(True, "by one step from the fit"),
            line_handle("middle 50 % and 90 % of predictions", GREY, linewidth=5, alpha=0.4),
        ],
    )
    put_title(figure, title)
    return figure


def _draw_misses(axis: Axes, rows: Sequence[Mapping[str, Any]], count: int) -> None:
    for z, alpha in ((Z90, 0.18), (Z50, 0.3)):
        axis.axvspan(-z, z, color=GREY, alpha=alpha, linewidth=0, zorder=0)
    for y, row in enumerate(rows):
        miss = float(row["miss"])
        beyond = abs(miss) > FARTHEST
        marker = "o" if not beyond else "<" if miss < 0 else ">"
        place = math.copysign(FARTHEST, miss) if beyond else miss
        axis.plot([place], [-y], marker=marker, color=BLUE, markersize=4.5, gid="miss")
    axis.set_xlim(-FARTHEST - 0.4, FARTHEST + 0.4)
    axis.set_xlabel("predicted - observed (SDs of the prediction)")
    axis.set_title(f"the {len(rows)} rows that miss most, of {count}" if len(rows) < count else "every row")
    _named(axis, [str(row["row"]) for row in rows])


def _draw_distances(axis: Axes, folds: Sequence[Mapping[str, Any]], count: int) -> None:
    least = 1e-3
    for y, fold in enumerate(folds):
        pair = [max(_size(fold[key]), least) for key in ("cook", "one_step")]
        axis.plot(pair, [-y, -y], color=GREY, linewidth=0.7, zorder=1)
        axis.plot(
            pair[1:],
            [-y],
            marker="o",
            markersize=5,
            markerfacecolor="white",
            markeredgecolor=GREY,
            linestyle="none",
        )
        axis.plot(pair[:1], [-y], marker="o", markersize=4.5, color=BLUE, linestyle="none", gid="cook")
    axis.set_xscale("log")
    axis.set_xlim(left=least / 1.5)
    axis.axvline(1.0, color=VERMILION, linewidth=0.9, linestyle=(0, (4, 3)))
    axis.set_xlabel("Cook's distance of the estimates")
    axis.set_title(
        f"the {len(folds)} that weigh most, of {count}" if len(folds) < count else "what was left out"
    )
    _named(axis, [str(fold["name"]) for fold in folds])


def _size(distance: Any) -> float:
    return float(distance) if math.isfinite(distance) else 0.0
