"""Figures of posterior draws: each estimate's prior against its posterior, estimates that go together, and
whether chains agree."""

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
    INK,
    ORANGE,
    VERMILION,
    clipped,
    colour_of,
    line_handle,
    literal,
    marker_handle,
    number,
    panel_grid,
    panel_rows,
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
LONGEST_NAME = 17
"""Of letters beside a panel of pairs."""
MOST_DOTS = 1000
"""Draws that a panel of pairs shows: evenly spaced among all."""


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
def pairs_figure(
    estimates: Sequence[Drawn], *, diverging: NDArray[np.bool_] | None = None, title: str = ""
) -> Figure:
    """Below the diagonal the draws of each two estimates against each other, above it how their ranks are
    correlated, on it their posteriors. Ticks are the ends of 95 % intervals.

    Args:
        estimates: see ``Drawn``; two or more, as ``going_together`` chooses some of many.
        diverging: (n_chains, n_draws) of each draw whether it ended in a divergence, which is shown.
    """
    if len(estimates) < 2:
        raise InputError("pairs of draws take two estimates or more")
    count = len(estimates)
    size = max(1.25, min(7.4 / count, 2.2))
    figure, rows = panel_rows(count, count, (size, 0.85 * size))
    x = np.stack([np.asarray(estimate["x"]).ravel() for estimate in estimates])
    bad = np.zeros(x.shape[1], bool) if diverging is None else np.asarray(diverging, bool).ravel()
    shown = np.arange(0, x.shape[1], math.ceil(x.shape[1] / MOST_DOTS))
    correlations = rank_correlations(x.T)
    for i, row in enumerate(rows):
        for j, axis in enumerate(row):
            if i > j:
                axis.scatter(x[j, shown], x[i, shown], s=3, color=BLUE, alpha=0.25, linewidths=0, gid="draws")
                axis.scatter(x[j, bad], x[i, bad], s=7, color=VERMILION, linewidths=0, gid="diverging")
            elif i == j:
                at, density = np.asarray(estimates[i]["at"]), np.asarray(estimates[i]["posterior"])
                axis.fill_between(at, density, color=BLUE, alpha=0.15, linewidth=0)
                axis.plot(at, density, color=BLUE, linewidth=1.4)
                axis.set_ylim(bottom=0)
            else:
                _write_correlation(axis, float(correlations[i, j]))
            _mark_ends(axis, estimates, i, j)
    figure.align_ylabels()
    if bad.any():
        put_legend(figure, [marker_handle(False, "ended in a divergence", VERMILION)])
    put_title(figure, title)
    return figure


def _write_correlation(axis: Axes, value: float) -> None:
    axis.text(
        0.5,
        0.5,
        f"{value:.2f}".replace("-", "−"),
        transform=axis.transAxes,
        ha="center",
        va="center",
        fontsize=8 + 5 * abs(value),
        color=INK if abs(value) >= 0.1 else GREY,
        gid="correlation",
    )
    axis.grid(False)
    axis.spines[:].set_visible(False)


def _mark_ends(axis: Axes, estimates: Sequence[Drawn], i: int, j: int) -> None:
    """Limits and ticks of the panel in row i and column j, with words on the outer ones."""
    last = len(estimates) - 1
    for name, k, ticked, told in (("x", j, i >= j, i == last), ("y", i, i > j, j == 0)):
        if name == "y" and i == j:
            axis.set_yticks([])
            continue
        at, ends = estimates[k]["at"], np.quantile(np.asarray(estimates[k]["x"]), (0.025, 0.975))
        read = [number(value) for value in np.interp(ends, at, estimates[k]["values"])]
        axis.set(**{f"{name}lim": (float(at[0]), float(at[-1])), f"{name}ticks": ends if ticked else []})
        axis.set(**{f"{name}ticklabels": read if told else [""] * 2} if ticked else {})
    axis.tick_params(labelsize=7)
    if i == last:
        axis.set_xlabel(_called(estimates[j]), fontsize=8)
    if j == 0:
        axis.set_ylabel(_called(estimates[i]), fontsize=8)


def _called(estimate: Drawn) -> str:
    """Its name and unit, on two lines where one has no room."""
    name, unit = clipped(str(estimate["name"]), LONGEST_NAME), str(estimate["unit"])
    whole = with_unit(name, unit)
    return literal(whole if len(whole) <= LONGEST_NAME else f"{name}\n{with_unit('', unit).strip()}".strip())


def rank_correlations(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's, (n, n), of draws (n_draws, n); of what does not move 0."""
    ranks = np.argsort(np.argsort(x, axis=0, kind="stable"), axis=0, kind="stable")
    with np.errstate(all="ignore"):
        found = np.corrcoef(np.where(np.ptp(x, axis=0) > 0, ranks, 0).T)
    return np.asarray(np.nan_to_num(np.atleast_2d(found)))


def going_together(x: NDArray[np.float64], most: int) -> list[int]:
    """Which estimates to show as pairs, of draws (n_chains, n_draws, n): those of the pair that is correlated
    most, by ranks, then of the next, up to so many."""
    correlations = np.abs(rank_correlations(x.reshape(-1, x.shape[-1])))
    one, other = np.triu_indices(len(correlations), 1)
    chosen: dict[int, None] = {}
    for k in np.argsort(-correlations[one, other], kind="stable"):
        chosen |= dict.fromkeys((int(one[k]), int(other[k])))
        if len(chosen) >= most:
            break
    return list(chosen)[:most]


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
