"""Figures of an endpoint over the dose, and over another endpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.attainment import logarithmic_axis
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    draw_point,
    line_handle,
    marker_handle,
    new_figure,
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


@styled
def response_figure(
    curve: Mapping[str, Any],
    *,
    x_axis: str,
    endpoint: str,
    unit: str,
    exposure: Mapping[str, Any] | None = None,
    logarithmic: bool = False,
    title: str = "",
    footnote: str = "",
) -> Figure:
    """An endpoint over the unknown, with bands of people and by the parameters, and over an exposure.

    Args:
        curve: a dict with ``x`` (n,), ``people`` (5, n) quantiles, ``low`` and ``high`` (n,) of the median
            (nan: none), and ``published``: dicts with ``x``, ``value``, ``low``, ``high``, ``hollow``.
        exposure: a dict with ``x`` and ``y`` (n, n_people), ``centres`` (k,), ``curve`` (3, k) and
            ``label``.
    """
    if len(curve["x"]) < 2:
        raise InputError("there is no curve to draw")
    figure = new_figure(7.0 if exposure is None else 10.5, 4.0)
    panels = figure.subplots(1, 1 if exposure is None else 2, squeeze=False, sharey=True)[0]
    handles = _over_dose(panels[0], curve)
    panels[0].set_xlabel(x_axis)
    panels[0].set_ylabel(wrapped(with_unit(endpoint, unit), 46))
    if logarithmic:
        logarithmic_axis(panels[0].xaxis, panels[0].set_xscale, curve["x"])
    if exposure is not None:
        handles += _over_exposure(panels[1], exposure, len(curve["x"]))
    put_legend(figure, handles)
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _over_dose(panel: Axes, curve: Mapping[str, Any]) -> list[Any]:
    x = np.asarray(curve["x"], dtype=float)
    outer, inner, middle, upper, most = np.asarray(curve["people"], dtype=float)
    shade: Any = {"color": BLUE, "linewidth": 0, "zorder": 1}
    panel.fill_between(x, outer, most, alpha=0.14, gid="people", **shade)
    panel.fill_between(x, inner, upper, alpha=0.2, **shade)
    panel.plot(x, middle, color=BLUE, marker="o", markersize=3.2, zorder=3)
    handles = [
        line_handle("median of people", BLUE, marker="o", markersize=3.2),
        line_handle("half and 90 % of people", BLUE, linewidth=6, alpha=0.25),
    ]
    low, high = np.asarray(curve["low"], dtype=float), np.asarray(curve["high"], dtype=float)
    if np.isfinite(low).any():
        for end in (low, high):
            panel.plot(x, end, color=INK, linestyle=(0, (4, 3)), linewidth=1.0, zorder=2, gid="parameters")
        handles.append(
            line_handle("median, 90 % by the parameters", INK, linestyle=(0, (4, 3)), linewidth=1.0)
        )
    for point in curve["published"]:
        interval = (point["low"], point["high"])
        known = interval if all(math.isfinite(end) for end in interval) else None
        draw_point(panel, point["x"], point["value"], known, bool(point["hollow"]), VERMILION)
    if curve["published"]:
        handles.append(marker_handle(False, "published, each at its own time", VERMILION))
    if any(point["hollow"] for point in curve["published"]):
        handles.append(marker_handle(True, "unverified", VERMILION))
    return handles


def _over_exposure(panel: Axes, exposure: Mapping[str, Any], n: int) -> list[Any]:
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0.9, 0.1, n))
    for xs, ys, shade in zip(exposure["x"], exposure["y"], shades, strict=True):
        panel.scatter(xs, ys, s=7, color=[tuple(shade)], alpha=0.5, linewidth=0, zorder=2, rasterized=True)
    low, middle, high = np.asarray(exposure["curve"], dtype=float)
    panel.fill_between(exposure["centres"], low, high, color=GREY, alpha=0.2, linewidth=0, zorder=1)
    panel.plot(exposure["centres"], middle, color=INK, linewidth=2, zorder=3, gid="curve")
    panel.set_xlabel(wrapped(str(exposure["label"]), 60))
    xs = np.asarray(exposure["x"], dtype=float)
    known = xs[np.isfinite(xs) & (xs > 0)]
    if known.size and known.max() > 8 * known.min() and (xs[np.isfinite(xs)] > 0).all():
        logarithmic_axis(panel.xaxis, panel.set_xscale, known.tolist())
    return [
        marker_handle(False, "a person; the darker the higher the value", tuple(shades[-1])),  # type: ignore[arg-type]
        line_handle("median of like exposure, and 90 %", INK, linewidth=2),
    ]
