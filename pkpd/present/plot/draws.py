"""Figures of posterior draws: each estimate's prior against its posterior, and whether chains agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    ORANGE,
    clipped,
    colour_of,
    line_handle,
    literal,
    number,
    panel_grid,
    put_legend,
    put_title,
    styled,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawn = Mapping[str, Any]
"""Draws of one estimate: a dict with ``name``, ``unit``, ``scale`` (log, logit or natural), ``x`` (n_chains,
n_draws) on the scale, ``at`` (n,) and ``values`` (n,), a grid on the scale and as a person reads it,
``posterior``, ``prior`` and ``normal`` (n,), densities there on the scale, of the latter that of the fit's
normal approximation (None: none)."""

BINS = 20
"""Of rank histograms."""


@styled
def posterior_figure(estimates: Sequence[Drawn], *, title: str = "") -> Figure:
    """A panel for each estimate: the densities of its prior, its posterior, and the fit's normal
    approximation.

    Args:
        estimates: see ``Drawn``.
    """
    if not estimates:
        raise InputError("there are no draws to show")
    columns = min(len(estimates), 4 if len(estimates) <= 12 else 6)
    figure, axes = panel_grid(len(estimates), columns, (max(1.9, 7.4 / columns), 1.6))
    for axis, estimate in zip(axes, estimates, strict=True):
        _draw_densities(axis, estimate)
    handles = [line_handle("posterior", BLUE, linewidth=1.8), line_handle("prior", ORANGE)]
    if any(estimate["normal"] is not None for estimate in estimates):
        handles.append(line_handle("normal approximation", GREY, linestyle=(0, (4, 3))))
    put_legend(figure, handles)
    put_title(figure, title)
    return figure


def _draw_densities(axis: Axes, estimate: Drawn) -> None:
    from matplotlib.ticker import NullLocator

    at, values = np.asarray(estimate["at"]), np.asarray(estimate["values"])
    # areas are shares of the draws on the axis that is drawn: that of the scale for logarithms
    per = 1.0 if estimate["scale"] != "logit" else values * (1 - values)
    x = np.asarray(estimate["x"]).ravel()
    posterior = np.asarray(estimate["posterior"]) / per
    axis.fill_between(values, posterior, color=BLUE, alpha=0.15, linewidth=0)
    axis.plot(values, posterior, color=BLUE, linewidth=1.8, gid="posterior")
    for key, line in (
        ("prior", {"color": ORANGE}),
        ("normal", {"color": GREY, "linestyle": (0, (4, 3)), "linewidth": 1.0}),
    ):
        if estimate[key] is not None:
            axis.plot(values, estimate[key] / per, gid=key, **line)
    if estimate["scale"] == "log":
        axis.set_xscale("log")
    ends = [float(np.interp(end, at, values)) for end in np.quantile(x, (0.025, 0.975))]
    axis.set_xlim(values[0], values[-1])
    axis.set_xticks(ends, [number(end) for end in ends])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_yticks([])
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    axis.set_title(literal(with_unit(clipped(str(estimate["name"]), 26), str(estimate["unit"]))), fontsize=8)


@styled
def rank_figure(estimates: Sequence[Drawn], *, title: str = "") -> Figure:
    """A panel for each estimate: how often the draws of each chain have which rank among all. Chains that
    agree are flat (Vehtari et al. 2021).

    Args:
        estimates: see ``Drawn``; only ``name`` and ``x`` are looked at.
    """
    if not estimates:
        raise InputError("there are no draws to show")
    columns = min(len(estimates), 4)
    figure, axes = panel_grid(len(estimates), columns, (max(1.9, 7.4 / columns), 1.5))
    for axis, estimate in zip(axes, estimates, strict=True):
        x = np.asarray(estimate["x"])
        for k, heights in enumerate(rank_histogram(x)):
            axis.stairs(heights, np.linspace(0, 1, BINS + 1), color=colour_of(k), linewidth=1.0)
        axis.axhline(1.0, color=GREY, linewidth=0.8, zorder=0)
        axis.set_ylim(0, None)
        axis.set_xticks([0, 1], ["lowest", "highest"])
        axis.tick_params(labelsize=7)
        axis.set_title(literal(clipped(str(estimate["name"]), 26)), fontsize=8)
    chains = len(np.asarray(estimates[0]["x"]))
    put_legend(figure, [line_handle(f"chain {k + 1}", colour_of(k)) for k in range(chains)])
    put_title(figure, title)
    return figure


def rank_histogram(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of draws (n_chains, n_draws), how many of each chain are in each 20th of all by rank, relative to a
    chain that is like the others: (n_chains, 20)."""
    ranks = np.argsort(np.argsort(x.ravel(), kind="stable"), kind="stable").reshape(x.shape)
    edges = np.linspace(0, x.size, BINS + 1)
    return np.stack([np.histogram(line, edges)[0] * BINS / math.prod(line.shape) for line in ranks])
