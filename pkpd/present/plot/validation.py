"""Figures of a validation: every number in the interval that was predicted of it, and whether intervals hold
what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    SKY,
    VERMILION,
    beside,
    clipped,
    hollow,
    line_handle,
    literal,
    marker_handle,
    new_figure,
    number,
    put_footnote,
    put_legend,
    put_title,
    shown_unit,
    styled,
    unverified_handles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DrawnRow = Mapping[str, Any]
"""A row: a dict as ``dataclasses.asdict`` makes of a ``pkpd.inference.validation.ValidatedRow``."""

PARTS = {
    "sd_parameters": ("parameters", BLUE),
    "sd_new_study": ("new study", GREEN),
    "sd_patients": ("patients of the arm", ORANGE),
    "sd_sampling": ("rest of the sampling error", SKY),
}


def _label(row: DrawnRow) -> str:
    measure = {"percent_change": "% change of ", "change": "change of ", "fold": "fold of "}
    n = f", n = {row['n']}" if row["n"] else ""
    what = f"{measure.get(row['measure'], '')}{row['output']}, {row['time']} {row['time_unit']}"
    return clipped(f"{row['arm']}: {what}{n}", 64)


def _widths(row: DrawnRow) -> dict[float, tuple[float, float]]:
    """Ends of the intervals from the prediction, in SDs."""
    sd = row["sd"] or 1.0
    return {
        level: ((low - row["predicted"]) / sd, (high - row["predicted"]) / sd)
        for level, low, high in row["intervals"]
    }


def _reported(row: DrawnRow) -> str:
    if math.isfinite(row["lower"]) and math.isfinite(row["upper"]):
        return f"{number(row['lower'])} to {number(row['upper'])}"
    return number(row["observed"])


@styled
def validation_figure(
    rows: Sequence[DrawnRow], *, title: str = "", limit: float = 5.0, footnote: str = ""
) -> Figure:
    """Every new number beside its prediction, in SDs of the prediction, and of what its variance is made.

    The bars are the predicted intervals of 50 and 95 %; the mark is the reported number, red outside of 95 %,
    a triangle at the edge beyond ``limit``; where an interval, a floor or a bound is reported a line between
    its ends, with an arrow towards an open one, and the mark at that.

    Args:
        rows: see ``DrawnRow``.
    """
    shown = [row for row in rows if row["intervals"]]
    if not shown:
        raise InputError("there is no predicted number to draw")
    lines: list[tuple[str, DrawnRow | None]] = []
    for study in dict.fromkeys(row["study"] for row in shown):
        lines.append((study, None))
        lines += [(_label(row), row) for row in shown if row["study"] == study]
    figure = new_figure(10.4, 1.3 + 0.26 * len(lines))
    axis, shares = figure.subplots(1, 2, sharey=True, width_ratios=(3.2, 1))
    for i, (_, row) in enumerate(lines):
        if row is not None:
            _draw_row(axis, -i, row, limit)
            _draw_shares(shares, -i, row)
            beside(shares, -i, _reported(row), 46, "right")
            beside(shares, -i, number(row["predicted"]), 98, "right")
            beside(shares, -i, shown_unit(row["unit"]), 104)
    beside(shares, 0, "reported", 46, "right", bold=True)
    beside(shares, 0, "predicted", 98, "right", bold=True)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axis.set_yticks([-i for i in range(len(lines))], [literal(label) for label, _ in lines])
    for tick, (_, row) in zip(axis.get_yticklabels(), lines, strict=True):
        tick.set_fontsize(8)
        if row is None:
            tick.set_fontweight("bold")
    axis.set_ylim(-len(lines) + 0.3, 0.7)
    axis.set_xlim(-1.06 * limit, 1.06 * limit)
    axis.set_xlabel("reported − predicted (SDs of the prediction)")
    shares.set_xlim(0, 1)
    shares.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    shares.set_xlabel("parts of the variance")
    for each in (axis, shares):
        each.grid(False, axis="y")
        each.tick_params(axis="y", length=0)
        each.spines["left"].set_visible(False)
    _put_handles(figure, shown)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _draw_row(axis: Axes, y: float, row: DrawnRow, limit: float) -> None:
    ends = _widths(row)
    edge = 1.06 * limit
    for level, width in ((0.95, 1.6), (0.5, 5.0)):
        axis.plot(
            np.clip(ends[level], -edge, edge),
            [y, y],
            color=BLUE,
            alpha=0.55,
            linewidth=width,
            solid_capstyle="butt",
            zorder=2,
        )
    axis.plot([0], [y], color=BLUE, marker="|", markersize=8, zorder=3)
    place, lower, upper = (
        (row[key] - row["predicted"]) / (row["sd"] or 1.0) for key in ("observed", "lower", "upper")
    )
    outside = any(
        level == 0.95 and share < 0.5
        for (level, *_), share in zip(row["intervals"], row["shares"], strict=True)
    )
    colour = VERMILION if outside else INK
    at = float(np.clip(place, -limit, limit))
    if math.isfinite(lower) and math.isfinite(upper):
        axis.plot(np.clip([lower, upper], -edge, edge), [y, y], color=colour, linewidth=1.2, zorder=4)
    elif math.isfinite(lower) or math.isfinite(upper):
        axis.annotate(
            "",
            (at + (0.6 if math.isfinite(lower) else -0.6), y),
            (at, y),
            arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
        )
    marker = "o" if abs(place) <= limit else ">" if place > 0 else "<"
    axis.scatter(
        [at],
        [y],
        s=26,
        marker=marker,
        facecolor="white" if hollow(row) else colour,
        edgecolor=colour,
        linewidth=1.2,
        zorder=5,
        gid="outside" if outside else "inside",
    )


def _draw_shares(axis: Axes, y: float, row: DrawnRow) -> None:
    total = sum(row[key] ** 2 for key in PARTS)
    left = 0.0
    for key, (_, colour) in PARTS.items():
        share = row[key] ** 2 / total if total else 0.0
        axis.barh(y, share, left=left, height=0.55, color=colour, linewidth=0)
        left += share


def _put_handles(figure: Figure, rows: Sequence[DrawnRow]) -> None:
    from matplotlib.patches import Patch

    handles = [
        line_handle("predicted, 50 and 95 %", BLUE, marker="|", markersize=8, linewidth=3, alpha=0.6),
        marker_handle(False, "reported", INK),
        marker_handle(False, "reported, outside of 95 %", VERMILION),
        *(Patch(color=colour, label=label) for label, colour in PARTS.values()),
    ]
    put_legend(figure, handles + unverified_handles(rows))


@styled
def calibration_figure(found: Mapping[str, Any], *, title: str = "", footnote: str = "") -> Figure:
    """Whether numbers come as predicted: probabilities of a smaller number, in order, against those of a
    uniform distribution; and the share of numbers in central intervals against what these say.

    The bands hold 95 % of such points at each place, for independent numbers that come as predicted.

    Args:
        found: as ``pkpd.inference.calibration.calibration`` gives it.
    """
    from matplotlib.patches import Patch

    count = len(found["found"])
    if not count:
        raise InputError("there is no number with a predicted probability to draw")
    figure = new_figure(7.6, 4.2)
    left, right = figure.subplots(1, 2)
    ends = ([0, *found[key], 1] for key in ("expected", "low", "high"))
    left.fill_between(*ends, color=PALE, linewidth=0)
    left.plot(
        found["expected"], found["found"], color=BLUE, marker="o", markersize=4, linestyle="none", gid="pit"
    )
    left.set_xlabel("expected")
    left.set_ylabel("predicted probability of a smaller number")
    right.fill_between(
        found["level"], found["held_low"], found["held_high"], color=PALE, linewidth=0, step="mid"
    )
    right.step(found["level"], found["held"], color=BLUE, where="mid", gid="held")
    right.set_xlabel("level of the central interval")
    right.set_ylabel("share of numbers inside")
    for axis in (left, right):
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.9)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_aspect("equal")
    put_legend(
        figure,
        [
            line_handle(f"the {count} numbers", BLUE, marker="o", markersize=4),
            Patch(color=PALE, label="95 % of such points, if they come as predicted"),
        ],
    )
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure
