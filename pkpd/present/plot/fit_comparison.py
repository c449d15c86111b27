"""The figure of fits side by side: which left-out studies and which numbers each describes better than the
best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    GREY,
    clipped,
    colour_of,
    literal,
    marker_handle,
    new_figure,
    put_legend,
    put_title,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 15
DrawnLine = tuple[str, list[tuple[float, float]]]
"""A label, and for each fit its value and the half width of its bar (nan: none)."""


@styled
def fit_comparison_figure(found: Mapping[str, Any], *, title: str = "") -> Figure:
    """How fits differ from the best of them: log density of left-out studies (the sum with its standard
    error), and contributions of numbers to the OFV. To the right a fit is worse.

    Args:
        found: a dict as ``dataclasses.asdict`` makes of a ``pkpd.inference.fit_comparison.FitComparison``.
    """
    scores = found["scores"]
    others = [k for k, score in enumerate(scores) if score["label"] != found["best"]]
    if not others:
        raise InputError("there is one fit alone: nothing to compare")
    best = next(k for k, score in enumerate(scores) if score["label"] == found["best"])
    panels = [
        ("log density of a left-out study, lost against the best fit", _studies(scores, best, others)),
        ("part of a number in the OFV, more than in the best fit", _numbers(found["rows"], best, others)),
    ]
    panels = [(label, lines) for label, lines in panels if lines]
    if not panels:
        raise InputError("the fits do not differ in any number")
    longest = max(len(lines) for _, lines in panels)
    figure = new_figure(5.4 * len(panels), 1.4 + 0.25 * longest)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (label, lines) in zip(axes, panels, strict=True):
        _draw(axis, lines, others)
        axis.set_xlabel(label)
    handles = [marker_handle(False, scores[k]["label"], colour_of(k)) for k in others]
    handles.append(marker_handle(False, f"best: {found['best']}", GREY, "|"))
    put_legend(figure, handles)
    put_title(figure, title)
    return figure


def _studies(scores: Sequence[Mapping[str, Any]], best: int, others: Sequence[int]) -> list[DrawnLine]:
    if not all(scores[k]["left_out"] for k in (best, *others)):
        return []
    lines: list[DrawnLine] = [
        ("all studies", [(-scores[k]["log_density_difference"], scores[k]["se"]) for k in others])
    ]
    by_study = [{each["study"]: each["log_density"] for each in score["left_out"]} for score in scores]
    lost = {
        study: [(density - by_study[k][study], math.nan) for k in others]
        for study, density in by_study[best].items()
    }
    order = sorted(lost, key=lambda study: -max(abs(gap) for gap, _ in lost[study]))
    return lines + [(study, lost[study]) for study in order]


def _numbers(rows: Sequence[Mapping[str, Any]], best: int, others: Sequence[int]) -> list[DrawnLine]:
    return [
        (
            f"{row['study']}: {row['row']}",
            [(row["contributions"][k] - row["contributions"][best], math.nan) for k in others],
        )
        for row in rows[:MOST_ROWS]
        if len(set(row["contributions"])) > 1
    ]


def _draw(axis: Axes, lines: Sequence[DrawnLine], others: Sequence[int]) -> None:
    axis.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    spread = np.linspace(0.2, -0.2, len(others)) if len(others) > 1 else [0.0]
    for i, (_, values) in enumerate(lines):
        for (value, half), k, offset in zip(values, others, spread, strict=True):
            y = -i + offset
            axis.plot([0, value], [y, y], color=colour_of(k), linewidth=1.0, alpha=0.5, zorder=2)
            if math.isfinite(half):
                axis.plot([value - half, value + half], [y, y], color=colour_of(k), linewidth=1.6, zorder=3)
            axis.scatter([value], [y], s=24, color=colour_of(k), zorder=4, gid="difference")
    labels = [literal(clipped(label, 38)) for label, _ in lines]
    axis.set_yticks([-i for i in range(len(lines))], labels, fontsize=8)
    axis.set_ylim(-len(lines) + 0.4, 0.6)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
