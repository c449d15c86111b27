"""Figures of fits: dose and response, every number beside its prediction, residuals, and estimates over their
priors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.core.normal import Z95
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    INK,
    PALE,
    VERMILION,
    area_of,
    beside,
    clipped,
    colour_of,
    draw_point,
    ends_of,
    hollow,
    is_number,
    line_handle,
    literal,
    marker_handle,
    new_figure,
    number,
    panel_grid,
    put_legend,
    put_title,
    shown_unit,
    styled,
    unverified_handles,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DrawnRow = Mapping[str, Any]  # see the top of `pkpd.present.plot`


@styled
def dose_response_figure(panels: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """Response against dose: curves with bands, arms as points whose area goes with the number of subjects.

    Args:
        panels: dicts with ``title``, ``dose_unit``, ``unit``, ``curves`` and ``points``; optional ``output``
            and ``dose_name`` (names on the axes) and ``log`` (whether the dose axis is logarithmic). A curve
            is a dict with ``dose``, ``median``, and optionally ``low``, ``high`` (n_doses,), ``label``; a
            point one with ``dose``, ``value``, and optionally ``interval``, ``dose_interval`` (low, high; an
            open end of the former is drawn as an arrow), ``n``, ``study``, ``provenance``. Points of one dose
            are set side by side.
        title: a line above the panels.
    """
    if not panels:
        raise InputError("there is no dose-response to draw")
    columns = min(len(panels), 3)
    figure, axes = panel_grid(len(panels), columns, (4.2, 3.2) if columns > 1 else (6.4, 3.8))
    every_point = [point for panel in panels for point in panel.get("points", ())]
    studies = [list(dict.fromkeys(_study(point) for point in panel.get("points", ()))) for panel in panels]
    # without a panel of several studies the titles tell them apart, and colour need not
    mixed = any(len(names) > 1 for names in studies)
    names = dict.fromkeys(name for group in studies for name in group)
    colours = {name: colour_of(i) if mixed else BLUE for i, name in enumerate(names)}
    for axis, panel in zip(axes, panels):
        _draw_dose_response(axis, panel, colours)
        axis.set_title(wrapped(panel.get("title", ""), 48))
        axis.set_xlabel(with_unit(panel.get("dose_name", "dose"), panel["dose_unit"]))
        axis.set_ylabel(wrapped(with_unit(panel.get("output", "response"), panel["unit"]), 40))
    _dose_response_legend(figure, panels, every_point, colours if mixed else {})
    put_title(figure, title)
    return figure


_DASHES: Any = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))


def _draw_dose_response(axis: Axes, panel: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    points = list(panel.get("points", ()))
    curves = [(np.asarray(curve["dose"], dtype=float), curve) for curve in panel.get("curves", ())]
    for j, (dose, curve) in enumerate(curves):
        if curve.get("low") is not None and curve.get("high") is not None:
            low, high = (np.asarray(curve[key], dtype=float) for key in ("low", "high"))
            axis.fill_between(dose, low, high, color=INK, alpha=0.12, linewidth=0)
        axis.plot(
            dose, np.asarray(curve["median"], dtype=float), color=INK, linestyle=_DASHES[j % len(_DASHES)]
        )
    given = [float(point["dose"]) for point in points]
    ends = [end for point in points for end in ends_of(point.get("dose_interval")) if math.isfinite(end)]
    doses = np.array([*given, *ends, *(d for dose, _ in curves for d in dose)])
    log = bool(panel.get("log")) and doses.size > 0 and doses.min() > 0
    on_axis, back = (np.log, np.exp) if log else (np.positive, np.positive)
    width = float(np.ptp(on_axis(doses))) if doses.size else 0.0
    for point, place in zip(points, _side_by_side(on_axis(np.array(given)).tolist(), 0.022 * width)):
        x, colour, area = float(back(place)), colours[_study(point)], area_of(point.get("n"))
        left, right = ends_of(point.get("dose_interval"))
        if math.isfinite(right - left):
            axis.hlines([point["value"]], left, right, color=colour, linewidth=1.2, zorder=3)
        draw_point(axis, x, point["value"], point.get("interval"), hollow(point), colour, area)
    if log:
        axis.set_xscale("log")
    if width:
        axis.set_xlim(
            *back(np.array([on_axis(doses).min() - 0.05 * width, on_axis(doses).max() + 0.05 * width]))
        )


def _study(point: Mapping[str, Any]) -> str:
    return str(point.get("study") or "reported")


def _side_by_side(places: Sequence[float], step: float) -> list[float]:
    """Places for points, those of one place a step apart around it."""
    return [
        place + step * (places[:i].count(place) - (places.count(place) - 1) / 2)
        for i, place in enumerate(places)
    ]


def _dose_response_legend(
    figure: Figure,
    panels: Sequence[Mapping[str, Any]],
    points: Sequence[DrawnRow],
    colours: Mapping[str, str],
) -> None:
    handles: list[Any] = []
    labels: dict[str, int] = {}
    for panel in panels:
        for j, curve in enumerate(panel.get("curves", ())):
            labels.setdefault(curve.get("label", "model"), j)
    for label, j in labels.items():
        handles.append(line_handle(label, INK, linestyle=_DASHES[j % len(_DASHES)]))
    for study, colour in colours.items():
        handles.append(marker_handle(False, study, colour))
    sizes = [point["n"] for point in points if point.get("n")]
    for n in sorted({min(sizes), max(sizes)}) if sizes else ():
        handle = marker_handle(False, f"n = {n:g}", GREY)
        handle.set_markersize(math.sqrt(area_of(n)))
        handles.append(handle)
    handles += unverified_handles(points)
    if handles:
        put_legend(figure, handles)


@styled
def observed_predicted_figure(rows: Sequence[DrawnRow], *, title: str = "", limit: float = 6.0) -> Figure:
    """Every reported number beside its prediction, by study, in standard errors of the reported number.

    The reported number stands at zero with its 95 % interval, the prediction at its deviation; what lies
    beyond ``limit`` is a triangle at the edge. The numbers themselves stand at the right. Rows kept out of
    the fit (use "check") are diamonds.

    Args:
        rows: see the top of `pkpd.present.plot`; rows without a finite deviation are shown without markers.
    """
    if not rows:
        raise InputError("there is no row to draw")
    lines: list[tuple[str, DrawnRow | None]] = []
    for study in dict.fromkeys(row["study"] for row in rows):
        lines.append((study, None))
        for one in rows:
            if one["study"] == study:
                n = f", n = {one['n']:g}" if one.get("n") else ""
                lines.append((clipped(f"{one['arm']}: {one['what']}{n}", 80), one))
    figure, axis = _ladder(lines, (10.2, 1.1, 0.235), limit)
    axis.set_xlabel("deviation from the reported number (standard errors)")
    for i, (_, row) in enumerate(lines):
        y = -i
        if row is None:
            continue
        if i % 2:
            axis.axhline(y, color=PALE, linewidth=0.6, zorder=0)
        _draw_number(axis, y, row, limit)
        beside(axis, y, number(row["observed"]), 50, "right")
        beside(axis, y, number(row["predicted"]), 102, "right")
        beside(axis, y, shown_unit(str(row["unit"])), 108)
    beside(axis, 0, "reported", 50, "right", bold=True)
    beside(axis, 0, "predicted", 102, "right", bold=True)
    handles = [
        line_handle("reported, 95 % interval", INK, marker="|", markersize=8, linewidth=1.2),
        line_handle("predicted", BLUE, marker="o", markersize=5, linewidth=1.2),
    ]
    if any(_kept_out(row) for row in rows):
        label = "predicted, kept out of the fit"
        handles.append(line_handle(label, VERMILION, marker="D", markersize=5, linewidth=1.2))
    put_legend(figure, handles + unverified_handles(rows))
    put_title(figure, title)
    return figure


def _draw_number(axis: Axes, y: float, row: DrawnRow, limit: float) -> None:
    if not all(is_number(row.get(key)) for key in ("observed", "predicted", "deviation")):
        return
    observed, deviation = float(row["observed"]), float(row["deviation"])
    low, high = ends_of(row.get("observed_interval"))
    error = _standard_error(row)
    if error is None:
        if math.isfinite(low) == math.isfinite(high):
            return
        # A bound that is kept: it begins at the reported number, and nothing says how far the prediction is
        error = math.nan
    ends = [
        math.copysign(limit * 1.06, end)
        if math.isinf(end)
        else 0.0
        if end == observed
        else (end - observed) / error
        for end in (low, high)
    ]
    if (low, high) == (-math.inf, math.inf):
        ends = [-Z95, Z95]
    _draw_span(axis, ends, y + 0.14, limit, INK, 1.2, 2)
    axis.plot([0], [y + 0.14], color=INK, marker="|", markersize=7, zorder=3)
    colour, marker = _look(row)
    low, high = ends_of(row.get("predicted_interval"))
    if math.isfinite(low) and math.isfinite(high) and error > 0:
        span = [(low - observed) / error, (high - observed) / error]
        _draw_span(axis, span, y - 0.17, limit, colour, 1.2, 4)
    _draw_place(axis, deviation, y - 0.17, limit, row, colour, marker, "predicted", area=26, zorder=5)


def _ladder(
    lines: Sequence[tuple[str, Any]], size: tuple[float, float, float], limit: float
) -> tuple[Figure, Axes]:
    """A figure with a line per item, the first on top, and a scale from -limit to limit with the band of 95 %
    around zero.

    Args:
        lines: (label, item); an item None is a heading.
        size: width, height without lines, height of a line.
    """
    width, height, each = size
    figure = new_figure(width, height + each * len(lines))
    axis = figure.subplots()
    axis.axvspan(-Z95, Z95, color=PALE, linewidth=0, zorder=0)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axis.set_yticks([-i for i in range(len(lines))], [literal(label) for label, _ in lines])
    for tick, (_, item) in zip(axis.get_yticklabels(), lines):
        tick.set_fontsize(8)
        if item is None:
            tick.set_fontweight("bold")
    axis.set_ylim(-len(lines) + 0.3, 0.7)
    axis.set_xlim(-limit * 1.06, limit * 1.06)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    return figure, axis


def _kept_out(row: DrawnRow) -> bool:
    return row.get("use") == "check"


def _look(row: DrawnRow) -> tuple[str, str]:
    """Colour and marker of a prediction."""
    return (VERMILION, "D") if _kept_out(row) else (BLUE, "o")


def _draw_span(
    axis: Axes, ends: Sequence[float], y: float, limit: float, colour: str, width: float, zorder: float
) -> None:
    edge = limit * 1.06
    axis.plot(
        np.clip(ends, -edge, edge),
        [y] * 2,
        color=colour,
        linewidth=width,
        zorder=zorder,
        solid_capstyle="butt",
    )


def _draw_place(
    axis: Axes,
    x: float,
    y: float,
    limit: float,
    item: Mapping[str, Any],
    colour: str,
    marker: str,
    gid: str,
    area: float = 28,
    zorder: float = 4,
) -> None:
    """A marker, hollow where unverified; beyond ``limit`` a triangle at the edge."""
    if abs(x) > limit:
        marker = ">" if x > 0 else "<"
    axis.scatter(
        [float(np.clip(x, -limit, limit))],
        [y],
        s=area,
        marker=marker,
        facecolor="white" if hollow(item) else colour,
        edgecolor=colour,
        linewidth=1.2,
        zorder=zorder,
        gid=gid,
    )


def _standard_error(row: DrawnRow) -> float | None:
    """The standard error in which the row's deviation is counted, as it follows from its own numbers; None if
    it does not."""
    difference, deviation = float(row["predicted"]) - float(row["observed"]), float(row["deviation"])
    if abs(deviation) > 1e-6 and difference / deviation > 0:
        return difference / deviation
    low, high = ends_of(row.get("observed_interval"))
    return (high - low) / 3.92 if math.isfinite(high - low) and high > low else None


@styled
def residual_figure(rows: Sequence[DrawnRow], *, title: str = "", limit: float = 6.0) -> Figure:
    """Standardised residuals by study, with lines at -2 and 2; beyond ``limit`` at the edge as a triangle.

    Args:
        rows: see the top of `pkpd.present.plot`; rows without a finite deviation are left out.
    """
    shown = [row for row in rows if is_number(row.get("deviation"))]
    if not shown:
        raise InputError("there is no residual to draw")
    studies = list(dict.fromkeys(row["study"] for row in shown))
    figure = new_figure(7.4, 1.3 + 0.3 * len(studies))
    axis = figure.subplots()
    axis.axvline(0, color=GREY, linewidth=0.8)
    for edge in (-2, 2):
        axis.axvline(edge, color=VERMILION, linewidth=1, linestyle=(0, (4, 3)), gid="limit")
    for i, study in enumerate(studies):
        members = [row for row in shown if row["study"] == study]
        spread = np.linspace(-0.26, 0.26, len(members)) if len(members) > 1 else [0.0]
        for row, offset in zip(members, spread):
            _draw_place(axis, float(row["deviation"]), -i - offset, limit, row, *_look(row), "residual")
    axis.set_yticks([-i for i in range(len(studies))], [literal(clipped(study, 44)) for study in studies])
    axis.set_ylim(-len(studies) + 0.4, 0.6)
    axis.set_xlim(-limit * 1.06, limit * 1.06)
    axis.set_xlabel("standardised residual, predicted − reported (standard errors)")
    axis.tick_params(axis="y", length=0)
    handles = [marker_handle(False, "fitted")]
    if any(_kept_out(row) for row in shown):
        handles.append(marker_handle(False, "kept out of the fit", VERMILION, "D"))
    put_legend(figure, handles + unverified_handles(shown))
    put_title(figure, title)
    return figure


@styled
def parameter_figure(
    parameters: Sequence[Mapping[str, Any]], *, title: str = "", limit: float = 4.0
) -> Figure:
    """What the data added: each estimate with its 95 % interval, in standard deviations of its prior.

    An interval as wide as the grey band has learned nothing; one that leaves the band contradicts its prior.

    Args:
        parameters: dicts with ``name``, ``unit``, ``estimate``, ``interval`` (low, high), ``prior_interval``
            (95 %: low, high; None without a prior), optional ``scale`` ("log", the default where all numbers
            are positive, "logit" or "linear"), ``group``, ``provenance``, ``shrinkage`` (SD of the posterior
            over that of the prior) and ``unmoved`` (whether the data did not move it: drawn in grey).
    """
    if not parameters:
        raise InputError("there is no parameter to draw")
    groups = list(dict.fromkeys(parameter.get("group", "") for parameter in parameters))
    lines: list[tuple[str, Mapping[str, Any] | None]] = []
    for group in groups:
        if group:
            lines.append((group, None))
        lines += [
            (with_unit(str(p["name"]), str(p.get("unit") or "")), p)
            for p in parameters
            if p.get("group", "") == group
        ]
    figure, axis = _ladder(lines, (7.8, 1.2, 0.25), limit)
    axis.set_xlabel("distance from the middle of the prior (its standard deviations)")
    for i, (_, parameter) in enumerate(lines):
        if parameter is None:
            continue
        low, high = ends_of(parameter.get("interval"))
        text = number(parameter["estimate"])
        if math.isfinite(low) and math.isfinite(high):
            text += f"  ({number(low)} to {number(high)})"
        beside(axis, -i, text, 58)
        if is_number(parameter.get("shrinkage")):
            beside(axis, -i, f"× {parameter['shrinkage']:.2f}", 50, "right")
        _draw_estimate(axis, -i, parameter, limit)
    heading = 0 if groups[0] else 1
    beside(axis, heading, "estimate (95 %)", 58, bold=True)
    beside(axis, heading, "SD", 50, "right", bold=True)
    from matplotlib.patches import Patch

    handles = [
        Patch(color=PALE, label="prior, 95 %"),
        line_handle("posterior, 95 %", BLUE, marker="o", markersize=5, linewidth=1.4),
    ]
    if any(parameter.get("unmoved") for parameter in parameters):
        label = "posterior, not moved by the data"
        handles.append(line_handle(label, GREY, marker="o", markersize=5, linewidth=1.4))
    put_legend(figure, handles + unverified_handles(parameters, "prior from an unverified number"))
    put_title(figure, title)
    return figure


def _draw_estimate(axis: Axes, y: float, parameter: Mapping[str, Any], limit: float) -> None:
    low, high = ends_of(parameter.get("prior_interval"))
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        axis.text(0, y, "no prior", ha="center", va="center", fontsize=7.5, color=GREY, style="italic")
        return
    if not is_number(parameter.get("estimate")):
        return
    estimate = float(parameter["estimate"])
    ends = [end for end in ends_of(parameter.get("interval")) if math.isfinite(end)]
    scale = parameter.get("scale") or ("log" if min(low, estimate, *ends) > 0 else "linear")
    bottom, top = _on_scale(low, scale), _on_scale(high, scale)
    middle, deviation = (bottom + top) / 2, (top - bottom) / 3.92
    places = [(_on_scale(value, scale) - middle) / deviation for value in (estimate, *ends)]
    colour = GREY if parameter.get("unmoved") else BLUE
    if len(ends) == 2:
        _draw_span(axis, places[1:], y, limit, colour, 1.6, 3)
    _draw_place(axis, places[0], y, limit, parameter, colour, "o", "estimate")


def _on_scale(value: float, scale: str) -> float:
    if scale == "linear":
        return value
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "log":
            return float(np.log(value))
        if scale == "logit":
            return float(np.log(value) - np.log1p(-value))
    raise InputError(f'the scale of a parameter is log, logit or linear, not "{scale}"')
