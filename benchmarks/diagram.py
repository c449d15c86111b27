"""Figures of a run: time over error for every problem, ratios to the peers, throughput over subjects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.present.plot import save, work_precision_figure
from pkpd.present.plot.precision import OURS


def _axes(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    axes.grid(which="major", color="0.9")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def ratios(results: Mapping[str, Any], target: float, path: Path) -> None:
    """How many times as long as our best method each solver takes at one error; a row a solver, a column a
    problem."""
    rows = {
        (row["solver"], problem): row["to_best"]["median"]
        for problem, found in results.items()
        for row in found["ratios"]
        if row["target"] == target and "to_best" in row
    }
    names = list(dict.fromkeys(name for found in results.values() for name in found["curves"]))
    problems = list(results)
    table = np.array([[rows.get((name, problem), np.nan) for problem in problems] for name in names])
    figure, axes = _axes(4.4 + 0.75 * len(problems), 1.6 + 0.3 * len(names))
    axes.grid(False)
    limit = 2.0
    axes.imshow(
        np.clip(np.log10(table), -limit, limit), cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto"
    )
    for (i, j), value in np.ndenumerate(table):
        text = "" if np.isnan(value) else f"{value:.2g}" if value < 9.95 else f"{value:,.0f}"
        axes.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=9,
            color="white" if abs(np.log10(value)) > 1.3 else "black",
        )
    axes.set_xticks(
        range(len(problems)), [name.replace("_", " ") for name in problems], rotation=35, ha="right"
    )
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    figure.suptitle(f"time in units of our best method's, at an error of {target:.0e}")
    _save(figure, path)


def throughput(found: Mapping[str, Any], path: Path) -> None:
    """Subject-solves per second of a core over the size of the population."""
    figure, axes = _axes(6.4, 4.0)
    sizes = [int(size) for size in found]
    rates = [row["per_second"] for row in found.values()]
    middle = np.array([rate["median"] for rate in rates])
    reach = np.array([[rate["median"] - rate["low"], rate["high"] - rate["median"]] for rate in rates]).T
    axes.errorbar(sizes, middle, reach, marker="o", color=OURS[0], capsize=3)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.25 * middle.max())
    axes.set_xlabel("subjects")
    axes.set_ylabel("solves per second of a core")
    axes.set_title("il2_treg, 90 days, 15 doses, 91 outputs, rtol 1e-6", loc="left")
    _save(figure, path)


def draw(results: Mapping[str, Any], folder: Path, stem: str) -> list[Path]:
    """All figures that the results allow; their paths."""
    paths = []
    for problem, found in results.get("precision", {}).items():
        paths.append(save(work_precision_figure(found), folder / f"{stem}_{problem}.png"))
    if "precision" in results:
        for target in (1e-4, 1e-6):
            paths.append(folder / f"{stem}_ratios_{target:.0e}.png")
            ratios(results["precision"], target, paths[-1])
    if "lanes" in results:
        paths.append(folder / f"{stem}_throughput.png")
        throughput(results["lanes"]["throughput"], paths[-1])
    return paths
