"""Curves of time over error, and what is read off them: the time at an error, and ratios of such times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.bench import clock

Floats = NDArray[np.float64]
TARGETS = (1e-4, 1e-6, 1e-8)
OWN = "pkpd"
FACTORS = (1.0, 1e-3)  # atol in units of rtol times the state's largest value


def envelope(errors: ArrayLike, seconds: ArrayLike) -> NDArray[np.int64]:
    """Indices of what nothing else beats in both error and time, from the largest error to the smallest."""
    errors, seconds = np.asarray(errors, dtype=float), np.asarray(seconds, dtype=float)
    best, kept = np.inf, []
    for i in np.lexsort((seconds, errors)):  # from the most exact on, only what is faster
        if np.isfinite(errors[i]) and seconds[i] < best:
            best = seconds[i]
            kept.append(i)
    return np.array(kept[::-1], dtype=np.int64)


def seconds_at(errors: ArrayLike, seconds: ArrayLike, target: float) -> float:
    """Time to reach an error, between the points of a curve straight in logarithms; nan where no point is as
    exact.

    Where even the coarsest point is more exact than asked, its time.
    """
    kept = envelope(errors, seconds)
    if kept.size == 0:
        return float("nan")
    x = np.log(np.maximum(np.asarray(errors, dtype=float)[kept[::-1]], 1e-300))
    y = np.log(np.asarray(seconds, dtype=float)[kept[::-1]])
    if np.log(target) < x[0]:
        return float("nan")
    return float(np.exp(np.interp(np.log(target), x, y)))


@dataclass
class Curve:
    """One solver on one problem: points (rtol, factor or None, error), and their seconds in every turn,
    (points, rounds)."""

    points: list[tuple[float, float | None]]
    errors: Floats
    seconds: Floats
    first: float  # s, of everything up to the end of the first call: compilation
    failure: str = ""

    def at(self, target: float) -> Floats:
        """Seconds at an error in every turn, (rounds,)."""
        return np.array([seconds_at(self.errors, column, target) for column in self.seconds.T])

    def as_dict(self) -> dict[str, Any]:
        """For JSON: medians and quartiles of the times."""
        rows = [
            {"rtol": rtol, "atol_factor": factor, "error": error, "seconds": clock.spread(times).as_dict()}
            for (rtol, factor), error, times in zip(self.points, self.errors, self.seconds, strict=True)
        ]
        return {"points": rows, "first_s": self.first, "failure": self.failure}


def ratios(curves: Mapping[str, Curve], targets: Iterable[float] = TARGETS) -> list[dict[str, Any]]:
    """A row per target and solver: seconds, and ratio to our best and to our default method in the same
    turns."""
    rows = []
    for target in targets:
        at = {name: curve.at(target) for name, curve in curves.items() if curve.points}
        mine = {
            name: np.median(values)
            for name, values in at.items()
            if name.startswith(f"{OWN} ") and not np.isnan(values).any()
        }
        if not mine:
            continue
        best = min(mine, key=lambda name: mine[name])
        for name, values in at.items():
            row: dict[str, Any] = {"target": target, "solver": name, "best": best}
            if not np.isnan(values).any():
                row["seconds"] = clock.spread(values).as_dict()
                row["to_best"] = clock.spread(values / at[best]).as_dict()
                if f"{OWN} auto" in mine:
                    row["to_auto"] = clock.spread(values / at[f"{OWN} auto"]).as_dict()
            rows.append(row)
    return rows


def same_rtol(curves: Mapping[str, Curve], rtol: float = 1e-6) -> dict[str, Any]:
    """{solver: seconds and error} at one rtol, with our default atol, and the peers' atol at rtol times the
    state's size."""
    found: dict[str, Any] = {}
    for name, curve in curves.items():
        factor = None if name.startswith(OWN) else FACTORS[0]
        for point, error, times in zip(curve.points, curve.errors, curve.seconds, strict=True):
            if point[1] == factor and np.isclose(point[0], rtol):
                found[name] = {"seconds": clock.spread(times).as_dict(), "error": float(error)}
    return found
