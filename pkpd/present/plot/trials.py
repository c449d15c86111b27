"""Figures of simulated trials: survival with bands, ratios published against predicted, visits, and power."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.core.normal import Z95
from pkpd.present.plot.canvas import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    VERMILION,
    beside,
    clipped,
    line_handle,
    literal,
    marker_handle,
    new_figure,
    number,
    panel_grid,
    put_footnote,
    put_legend,
    put_title,
    shown_unit,
    styled,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = (3.9, 2.9)
STOPPED = {"efficacy": BLUE, "futility": GREY, "harm": VERMILION, "undecided": "#d8dde3"}
"""Colours of why a trial stops."""


def _columns(panels: int) -> int:
    return {1: 1, 2: 2, 4: 2}.get(panels, 3)


@styled
def survival_figure(
    curves: Sequence[Mapping[str, Any]], *, title: str = "", xlabel: str = "days", footnote: str = ""
) -> Figure:
    """Kaplan-Meier curves of simulated trials, a panel for each group of patients.

    Args:
        curves: dicts with ``group``, ``arm``, ``patients``, and ``days``, ``median``, ``low``, ``high``, each
            (n_days,); optional ``points``, published shares: dicts with ``day``, ``value`` and
            ``provenance``.
    """
    if not curves:
        raise InputError("there is no survival curve to draw")
    groups = list(dict.fromkeys(str(one["group"]) for one in curves))
    arms = list(dict.fromkeys(str(one["arm"]) for one in curves))
    figure, axes = panel_grid(len(groups), _columns(len(groups)), PANEL)
    for axis, group in zip(axes, groups, strict=True):
        of = [one for one in curves if one["group"] == group]
        for one in of:
            colour = COLOURS[arms.index(str(one["arm"])) % len(COLOURS)]
            axis.fill_between(
                one["days"], one["low"], one["high"], step="post", color=colour, alpha=0.16, linewidth=0
            )
            axis.step(one["days"], one["median"], where="post", color=colour)
            for point in one.get("points", ()):
                _published(axis, point["day"], point["value"], point["provenance"], colour)
        patients = " + ".join(f"{one['patients']:.0f}" for one in of)
        axis.set_title(literal(f"{clipped(group, 34)} (n = {patients})"))
        axis.set_ylim(0, 1.02)
        axis.set_xlim(left=0)
        axis.set_xlabel(xlabel)
    axes[0].set_ylabel("survival")
    handles = [line_handle(arm, COLOURS[k % len(COLOURS)]) for k, arm in enumerate(arms)]
    handles.append(line_handle("band: 90 % of trials", GREY, linewidth=7, alpha=0.3))
    shown = [point for one in curves for point in one.get("points", ())]
    put_legend(figure, handles + _published_handles(shown))
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _published(axis: Axes, x: float, y: float, provenance: str, colour: str) -> None:
    """A published number: hollow where it was not checked."""
    face = "white" if provenance == "unverified" else colour
    axis.scatter([x], [y], s=34, marker="D", facecolor=face, edgecolor=colour, zorder=5, gid="published")


def _published_handles(shown: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Of the legend, the kinds of published numbers that are drawn."""
    kinds = {str(one["provenance"]) == "unverified" for one in shown}
    handles = [marker_handle(False, "published", INK, "D")] * (False in kinds)
    return handles + [marker_handle(True, "published, unverified", INK, "D")] * (True in kinds)


@styled
def forest_figure(
    rows: Sequence[Mapping[str, Any]], *, title: str = "", xlabel: str = "ratio", footnote: str = ""
) -> Figure:
    """Ratios of trials on a logarithmic axis: the predictive 90 % interval, and what was published with its
    own interval below it.

    Args:
        rows: dicts with ``label``, ``median``, ``low``, ``high``; where something was published
            ``published``, ``published_low`` and ``published_high`` (nan without an interval), ``provenance``
            and ``inside``.
    """
    drawn = [row for row in rows if row["low"] > 0 and math.isfinite(row["high"])]
    if not drawn:
        raise InputError("there is no ratio to draw")
    figure = new_figure(8.4, 1.6 + 0.46 * len(drawn))
    axis = figure.subplots()
    axis.set_xscale("log")
    for k, row in enumerate(drawn):
        axis.plot([row["low"], row["high"]], [-k + 0.13] * 2, color=BLUE, linewidth=5, alpha=0.35,
                  solid_capstyle="butt", gid="predicted")  # fmt: skip
        axis.plot([row["median"]], [-k + 0.13], marker="|", markersize=11, color=BLUE, markeredgewidth=2)
        said = f"{number(row['median'])}  ({number(row['low'])} to {number(row['high'])})"
        beside(axis, -k + 0.16, literal(said), 8)
        if "published" not in row:
            continue
        colour = INK if row["inside"] else VERMILION
        low, high = row["published_low"], row["published_high"]
        if math.isfinite(low) and low > 0:
            axis.plot([low, high], [-k - 0.18] * 2, color=colour, linewidth=1.3)
        _published(axis, row["published"], -k - 0.18, row["provenance"], colour)
        said = number(row["published"])
        said += f"  ({number(low)} to {number(high)})" if math.isfinite(low) else ""
        said += " unverified" if row["provenance"] == "unverified" else ""
        beside(axis, -k - 0.22, literal(said), 8)
    axis.axvline(1.0, color=GREY, linewidth=0.9, zorder=1)
    names = [literal(clipped(str(row["label"]), 44)) for row in drawn]
    axis.set_yticks([-k for k in range(len(drawn))], names, fontsize=8.5)
    axis.set_ylim(-len(drawn) + 0.45, 0.55)
    _plain_ratios(axis)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel(xlabel)
    handles = [line_handle("predicted: 90 % of trials, median", BLUE, linewidth=5, alpha=0.35)]
    told = [row for row in drawn if "published" in row]
    if any(not row["inside"] for row in told):
        handles.append(line_handle("published, outside of it", VERMILION, linewidth=1.3))
    put_legend(figure, handles + _published_handles(told))
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _plain_ratios(axis: Axes) -> None:
    """Ticks at ratios that people think in."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = axis.get_xlim()
    ratios = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0]
    ticks = [tick for tick in ratios if low <= tick <= high]
    if len(ticks) > 1:
        axis.xaxis.set_major_locator(FixedLocator(ticks))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
        axis.xaxis.set_minor_locator(NullLocator())


@styled
def trial_visits_figure(
    panels: Sequence[Mapping[str, Any]], *, title: str = "", footnote: str = ""
) -> Figure:
    """Means of arms at visits, a panel for each output: the median over trials, and 90 % of trials.

    Args:
        panels: dicts with ``title``, ``unit`` and ``arms``: dicts with ``arm``, and ``days``, ``mean``,
            ``low``, ``high``, each (n_visits,).
    """
    if not panels:
        raise InputError("there is no visit to draw")
    arms = list(dict.fromkeys(str(one["arm"]) for panel in panels for one in panel["arms"]))
    figure, axes = panel_grid(len(panels), _columns(len(panels)), PANEL)
    for axis, panel in zip(axes, panels, strict=True):
        for one in panel["arms"]:
            colour = COLOURS[arms.index(str(one["arm"])) % len(COLOURS)]
            axis.fill_between(one["days"], one["low"], one["high"], color=colour, alpha=0.16, linewidth=0)
            axis.plot(one["days"], one["mean"], color=colour, marker="o", markersize=3.5)
        axis.set_title(wrapped(str(panel["title"]), 44))
        axis.set_ylabel(literal(shown_unit(str(panel["unit"]))))
        axis.set_xlabel("days from randomisation")
    handles = [line_handle(arm, COLOURS[k % len(COLOURS)]) for k, arm in enumerate(arms)]
    put_legend(figure, [*handles, line_handle("band: means of 90 % of trials", GREY, linewidth=7, alpha=0.3)])
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


@styled
def adverse_figure(rows: Sequence[Mapping[str, Any]], *, title: str = "", footnote: str = "") -> Figure:
    """Shares of patients with an adverse event, a panel for each analysis and a line for each arm.

    Args:
        rows: dicts with ``group``, ``arm``, ``median``, ``low`` and ``high``.
    """
    if not rows:
        raise InputError("there is no adverse event to draw")
    groups = list(dict.fromkeys(str(row["group"]) for row in rows))
    arms = list(dict.fromkeys(str(row["arm"]) for row in rows))
    figure, axes = panel_grid(len(groups), _columns(len(groups)), (3.9, 1.2 + 0.35 * len(arms)))
    for axis, group in zip(axes, groups, strict=True):
        for row in rows:
            if row["group"] != group:
                continue
            k = arms.index(str(row["arm"]))
            colour = COLOURS[k % len(COLOURS)]
            axis.plot([row["low"], row["high"]], [-k, -k], color=colour, linewidth=5, alpha=0.35,
                      solid_capstyle="butt")  # fmt: skip
            axis.plot([row["median"]], [-k], marker="|", markersize=12, color=colour, markeredgewidth=2)
        axis.set_title(wrapped(group, 44))
        axis.set_xlim(-0.02, 1.02)  # a median of all patients is seen whole
        axis.set_ylim(-len(arms) + 0.5, 0.5)
        axis.set_yticks([-k for k in range(len(arms))], [literal(clipped(arm, 24)) for arm in arms])
        axis.grid(False, axis="y")
        axis.set_xlabel("share of patients")
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


@styled
def looks_figure(rows: Sequence[Mapping[str, Any]], *, title: str = "", footnote: str = "") -> Figure:
    """When trials stop: a bar for each look and for the end.

    Args:
        rows: dicts with ``look``, ``day``, and the shares of trials that stop there: ``efficacy``,
            ``futility``, ``harm`` and, at the end, ``undecided``.
    """
    if not rows:
        raise InputError("there is no look to draw")
    figure = new_figure(7.0, 3.4)
    axis = figure.subplots()
    top = np.zeros(len(rows))
    places = np.arange(len(rows))
    for why, colour in STOPPED.items():
        shares = np.array([row[why] for row in rows])
        axis.bar(places, shares, bottom=top, width=0.62, color=colour, gid=why)
        top = top + shares
    for place, share in enumerate(top):
        axis.text(place, share + 0.015, f"{100 * share:.0f} %", ha="center", fontsize=8.5, color=INK)
    days = ["" if math.isnan(row["day"]) else f"\nday {row['day']:.0f}" for row in rows]
    names = [literal(clipped(str(row["look"]), 26)) + day for row, day in zip(rows, days, strict=True)]
    axis.set_xticks(places, names)
    axis.set_ylim(0, max(1.08 * top.max(), 0.1) + 0.04)
    axis.grid(False, axis="x")
    axis.set_ylabel("share of trials that stop")
    said = {"undecided": "no difference at the end"}
    handles = [line_handle(said.get(why, why), colour, linewidth=7) for why, colour in STOPPED.items()]
    put_legend(figure, handles)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


@styled
def power_figure(curves: Sequence[Mapping[str, Any]], *, title: str = "", footnote: str = "") -> Figure:
    """Power by the number of patients, a line for each analysis.

    Args:
        curves: dicts with ``label``, and ``patients``, ``power``, ``se``, each (n_sizes,).
    """
    if not curves:
        raise InputError("there is no power to draw")
    figure = new_figure(7.0, 4.2)
    axis = figure.subplots()
    for k, one in enumerate(curves):
        colour = COLOURS[k % len(COLOURS)]
        power, error = np.asarray(one["power"]), Z95 * np.asarray(one["se"])
        axis.errorbar(one["patients"], power, yerr=error, color=colour, marker="o", markersize=4,
                      linewidth=1.5, capsize=2.5, elinewidth=0.9)  # fmt: skip
    axis.axhline(0.8, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("patients in all")
    axis.set_ylabel("share of trials that are significant")
    put_legend(
        figure,
        [line_handle(str(one["label"]), COLOURS[k % len(COLOURS)]) for k, one in enumerate(curves)],
    )
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure
