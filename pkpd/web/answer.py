"""What is computed as JSON has it: curves of as few points as draw them, and the endpoint table, in five digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pkpd.compare import MAIN, Row

POINTS_OF_A_CURVE = 200


def table(rows: Sequence[Row], n_arms: int) -> list[dict[str, Any]]:
    """Endpoint after endpoint, with its rows of all arms."""
    told = []
    for first in range(0, len(rows), n_arms):
        endpoint = rows[first].endpoint
        of_arms: list[dict[str, Any]] = []
        for row in rows[first : first + n_arms]:
            difference = (row.difference, row.difference_low, row.difference_high)
            of_arms.append(
                _three(row.median, row.low, row.high)
                | {
                    "difference": None if math.isnan(row.difference) else _three(*difference),
                    "probability": _short(row.better),
                    "parameters": None
                    if math.isnan(row.median_low)
                    else {"low": _short(row.median_low), "high": _short(row.median_high)},
                    "missing": row.missing,
                    "beyond": row.beyond,
                }
            )
        told.append(
            {
                "name": endpoint.name,
                "unit": endpoint.unit,
                "definition": endpoint.definition,
                "missing": endpoint.missing,
                "remark": endpoint.remark,
                "group": endpoint.group,
                "better": endpoint.better,
                "main": endpoint.name in MAIN,
                "arms": of_arms,
            }
        )
    return told


def _three(median: float, low: float, high: float) -> dict[str, Any]:
    return {"median": _short(median), "low": _short(low), "high": _short(high)}


def curve(days: np.ndarray, band: np.ndarray) -> dict[str, Any]:
    """Median and 5 % to 95 % over days, of as many points as a screen shows; band (3, n_times)."""
    kept = _worth_drawing(days, band, POINTS_OF_A_CURVE)
    low, median, high = _five_digits(band[:, kept])
    return {"days": [round(float(day), 4) for day in days[kept]], "low": low, "median": median, "high": high}


def _worth_drawing(days: np.ndarray, band: np.ndarray, most: int) -> np.ndarray:
    """Indices of at most ``most`` points: again and again those go that a straight line between their neighbours replaces best.

    Every second point is looked at, so that no two neighbours go at once. The distance from the line is taken in units of the curve's
    range, and for a positive curve in units of that of its logarithm too, so that peaks and troughs survive on both kinds of axis.
    """
    band = np.nan_to_num(band)
    lines = [band / max(float(np.ptp(band)), 1e-300)]
    if np.all(band > 0):
        logs = np.log(band[1:2])
        lines.append(logs / max(float(np.ptp(logs)), 1e-300))
    y = np.concatenate(lines)
    kept = np.arange(days.size)
    first, dear = 1, 3e-4
    while kept.size > most:
        middle = np.arange(first, kept.size - 1, 2)
        left, point, right = kept[middle - 1], kept[middle], kept[middle + 1]
        share = (days[point] - days[left]) / np.maximum(days[right] - days[left], 1e-300)
        off = np.abs(y[:, left] + share * (y[:, right] - y[:, left]) - y[:, point]).max(axis=0)
        order = np.argsort(off)[: kept.size - most]
        go = middle[order[off[order] < dear]]
        kept = np.delete(kept, go)
        if first == 2 and go.size < kept.size // 10:
            dear *= 2.5
        first = 3 - first
    return kept


def _five_digits(values: np.ndarray) -> list[Any]:
    """What ``_short`` makes of each value, as nested lists."""
    known = np.isfinite(values) & (values != 0.0)
    places = 4 - np.floor(np.log10(np.abs(values), where=known, out=np.zeros(values.shape))).astype(int)
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    rounded = (
        np.round(values * up / down) * down / up
    )  # a whole number over a power of ten is the nearest double
    if not np.isfinite(values).all():
        return [[_short(value) for value in line] for line in values]
    found: list[Any] = rounded.tolist()
    return found


def _short(value: float) -> float | str | None:
    """Five digits are more than a screen shows, and a third of the bytes; None where there is no number, "inf" beyond the horizon."""
    if math.isnan(value):
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else str(value)
