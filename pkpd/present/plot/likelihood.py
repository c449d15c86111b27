"""Figures of profile likelihoods: the curves, and the intervals from the narrowest to the widest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    beside,
    clipped,
    ends_of,
    line_handle,
    literal,
    new_figure,
    number,
    panel_grid,
    put_legend,
    put_title,
    shown_unit,
    styled,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DrawnProfile = Mapping[str, Any]
"""A profile: a dict with ``name``, ``unit``, ``scale`` (log, logit or natural), ``estimate``, ``interval``
(low, high; None where open), ``verdict``, ``shifts`` (low, high: the interval's ends from the estimate on the
scale, infinite where open), ``sd`` on the scale, ``values`` and ``rise`` (n,) of the curve, and ``points``
(values, rises)."""

COLOURS_OF = {
    "identified": BLUE,
    "one-sided": ORANGE,
    "only in combination": PURPLE,
    "not identified": GREY,
}
FACTORS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
HIGHEST = 1.5
"""Curves are shown up to so many times the rise at which the interval ends."""


def _colour(profile: DrawnProfile) -> str:
    return COLOURS_OF.get(str(profile["verdict"]), BLUE)


def _verdict_handles(profiles: Sequence[DrawnProfile], **line: Any) -> list[Any]:
    there = {str(profile["verdict"]) for profile in profiles}
    return [line_handle(word, colour, **line) for word, colour in COLOURS_OF.items() if word in there]


@styled
def likelihood_figure(profiles: Sequence[DrawnProfile], *, limit: float, title: str = "") -> Figure:
    """A panel for each parameter: how far the objective rises with it, and where it crosses the limit.

    Args:
        profiles: see ``DrawnProfile``. limit: the rise at which the interval ends.
    """
    if not profiles:
        raise InputError("there is no profile to draw")
    columns = min(len(profiles), 4 if len(profiles) <= 12 else 6)
    figure, axes = panel_grid(len(profiles), columns, (max(1.9, 7.4 / columns), 1.7))
    for k, (axis, profile) in enumerate(zip(axes, profiles, strict=True)):
        _draw_curve(axis, profile, limit)
        if k % columns == 0:
            axis.set_ylabel("rise")
        else:
            axis.tick_params(axis="y", labelleft=False)
    put_legend(
        figure,
        [
            *_verdict_handles(profiles, linewidth=1.6),
            line_handle(f"rise of {limit:.3g}: end of the 95 % interval", VERMILION, linestyle=(0, (4, 3))),
        ],
    )
    put_title(figure, title)
    return figure


def _draw_curve(axis: Axes, profile: DrawnProfile, limit: float) -> None:
    from matplotlib.ticker import NullLocator

    colour = _colour(profile)
    axis.axhline(limit, color=VERMILION, linewidth=0.9, linestyle=(0, (4, 3)), gid="limit")
    axis.plot(profile["values"], profile["rise"], color=colour, linewidth=1.5)
    axis.plot(*profile["points"], color=colour, marker="o", markersize=3, linestyle="none", gid="point")
    axis.axvline(profile["estimate"], color=GREY, linewidth=0.7, zorder=0)
    axis.set_ylim(-0.04 * limit, HIGHEST * limit)
    if profile["scale"] == "log":
        axis.set_xscale("log")
    ends = [end for end in ends_of(profile["interval"]) if math.isfinite(end)]
    ticks = sorted({float(profile["estimate"]), *ends})
    axis.set_xticks(ticks, [number(tick) for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(labelsize=7)
    name = with_unit(clipped(str(profile["name"]), 26), str(profile["unit"]))
    axis.set_title(literal(name), fontsize=8)


@styled
def interval_figure(profiles: Sequence[DrawnProfile], *, title: str = "") -> Figure:
    """The 95 % intervals around the estimates, from the narrowest to the widest; an open end is an arrow.

    Parameters on log and logit scales as factors (of odds) of the estimate; on a natural scale in standard
    errors.

    Args:
        profiles: see ``DrawnProfile``.
    """
    if not profiles:
        raise InputError("there is no interval to draw")
    groups = [
        ("factor of the estimate (of odds, for fractions)", [p for p in profiles if p["scale"] != "natural"]),
        ("distance from the estimate (standard errors)", [p for p in profiles if p["scale"] == "natural"]),
    ]
    groups = [(label, members) for label, members in groups if members]
    figure = new_figure(7.8, 0.9 + sum(0.6 + 0.21 * len(members) for _, members in groups))
    panels = figure.subplots(
        len(groups), 1, squeeze=False, height_ratios=[len(members) + 2 for _, members in groups]
    )[:, 0]
    for axis, (label, members) in zip(panels, groups, strict=True):
        _draw_intervals(axis, sorted(members, key=_width), label)
    put_legend(figure, _verdict_handles(profiles, linewidth=2.4))
    put_title(figure, title)
    return figure


def _width(profile: DrawnProfile) -> tuple[float, float]:
    """What is open is the widest; by standard errors where that is how it is drawn."""
    low, high = (float(end) / _unit_of(profile) for end in profile["shifts"])
    finite = [abs(end) for end in (low, high) if math.isfinite(end)]
    return high - low, -sum(finite)


def _unit_of(profile: DrawnProfile) -> float:
    if profile["scale"] != "natural":
        return 1.0
    sd = float(profile["sd"])
    return sd if math.isfinite(sd) and sd > 0 else 1.0


def _draw_intervals(axis: Axes, members: Sequence[DrawnProfile], label: str) -> None:
    spans = [[float(end) / _unit_of(p) for end in p["shifts"]] for p in members]
    finite = [abs(end) for span in spans for end in span if math.isfinite(end)]
    edge = 1.1 * max([*finite, 0.5])
    for i, (profile, (low, high)) in enumerate(zip(members, spans, strict=True)):
        colour, y = _colour(profile), -i
        axis.plot(
            np.clip([low, high], -edge, edge),
            [y, y],
            color=colour,
            linewidth=2.4,
            solid_capstyle="butt",
            gid="span",
        )
        for end, marker in ((low, "<"), (high, ">")):
            if not math.isfinite(end):
                axis.plot(
                    [math.copysign(edge, end)], [y], color=colour, marker=marker, markersize=5, gid="open"
                )
        axis.plot([0], [y], color="white", marker="|", markersize=6, zorder=4)
        ends = [number(end) if math.isfinite(end) else "open" for end in ends_of(profile["interval"])]
        unit = shown_unit(str(profile["unit"]))
        beside(axis, y, literal(f"{number(profile['estimate'])}  ({' to '.join(ends)}) {unit}".rstrip()), 8)
    axis.set_yticks(
        [-i for i in range(len(members))], [literal(clipped(str(p["name"]), 40)) for p in members], fontsize=8
    )
    axis.set_ylim(-len(members) + 0.3, 0.7)
    axis.set_xlim(-edge, edge)
    axis.axvline(0, color=GREY, linewidth=0.7, zorder=0)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel(label)
    if members[0]["scale"] != "natural":
        chosen = _spaced(edge)
        ticks = [-math.log(f) for f in reversed(chosen)] + [0.0] + [math.log(f) for f in chosen]
        axis.set_xticks(ticks, [f"1/{f:g}" for f in reversed(chosen)] + ["1"] + [f"{f:g}" for f in chosen])


def _spaced(edge: float) -> list[float]:
    """Factors to mark, each with room for its label beside the one before."""
    chosen: list[float] = []
    for factor in FACTORS:
        place, before = math.log(factor), math.log(chosen[-1]) if chosen else 0.0
        if before + 0.13 * edge < place < edge:
            chosen.append(factor)
    return chosen
