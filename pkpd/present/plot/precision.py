"""Work over precision: how long each solver takes for which error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.bench.curves import envelope
from pkpd.present.plot.canvas import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS = ("#b2182b", "#ef8a62", "#67001f", "#d6604d", "#f4a582", "#8c2d04")
THEIRS = {
    "SciPy": "#4d4d4d",
    "scikit-sundae": "#2166ac",
    "numbalsoda": "#1b7837",
    "diffrax": "#762a83",
    "libroadrunner": "#4393c3",
    "heyoka": "#e08214",
    "CyRK": "#01665e",
}
MARKERS = "osD^vPX*<>"


@styled
def work_precision_figure(found: Mapping[str, Any]) -> Figure:
    """Lower envelopes of time over achieved error, ours thick, a library in one colour.

    found : {title, n_states, n_times, curves: {"library method": {points: [{error, seconds: {median}}]}}}, as
    ``pkpd bench`` writes it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.4), layout="constrained")
    axes = figure.subplots()
    seen: dict[str, int] = {}
    for name, curve in found["curves"].items():
        if not curve["points"]:
            continue
        errors = np.array([point["error"] for point in curve["points"]])
        times = np.array([point["seconds"]["median"] for point in curve["points"]])
        kept = envelope(errors, times)
        library = name.split()[0]
        count = seen[library] = seen.get(library, -1) + 1
        mine = library == "pkpd"
        axes.plot(
            errors[kept],
            1e3 * times[kept],
            label=name,
            marker=MARKERS[count % len(MARKERS)],
            markersize=6 if mine else 4.5,
            color=OURS[count % len(OURS)] if mine else THEIRS.get(library, "0.6"),
            linewidth=2.6 if mine else 1.1,
            linestyle="-" if mine else ("-", "--", ":", "-.", (0, (1, 1)))[count % 5],
            zorder=3 if mine else 2,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1e-1, 1e-12)
    axes.set_xlabel("largest error, relative to each state's largest value")
    axes.set_ylabel("time of one solve, ms")
    axes.set_title(f"{found['title']}  ({found['n_states']} states, {found['n_times']} outputs)", loc="left")
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure
