"""What is computed as JSON has it: curves of as few points as draw them, and the endpoint table, in five
digits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pkpd.decision.comparison import Comparison, relevant
from pkpd.decision.comparison.expected import ExpectedEvents
from pkpd.decision.evidence import Standing
from pkpd.present.outline import outline


def table(comparison: Comparison) -> list[dict[str, Any]]:
    """Endpoint after endpoint, with its rows of all arms."""
    rows, n_arms, main = comparison.rows, len(comparison.arms), comparison.criteria.shown_first
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
                    "same": _short(row.same),
                    "worse": _short(row.worse),
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
                "relevant": relevant(endpoint),
                "main": endpoint.name in main,
                "arms": of_arms,
            }
        )
    return told


def standings(found: Mapping[str, Standing]) -> list[dict[str, Any]]:
    """On what endpoints stand, by their names: those of the same outputs stand on the same."""
    alike: dict[Standing, list[str]] = {}
    for name, standing in found.items():
        alike.setdefault(standing, []).append(name)
    return [
        {"light": one.light, "why": one.reasons, "outputs": one.outputs, "endpoints": names}
        for one, names in alike.items()
    ]


def refined(
    rows: list[dict[str, Any]], unmoved: list[dict[str, Any]], places: Sequence[int]
) -> list[dict[str, Any]]:
    """Rows from some of the subjects, with what all of them say of the arms in these places, which were
    computed before: their numbers, and if the first arm is among them their differences to it."""
    known = {(row["name"], row["unit"]): row["arms"] for row in unmoved}
    apart = ("difference", "probability", "same", "worse")
    told = []
    for row in rows:
        arms = list(row["arms"])
        for place, whole in zip(places, known.get((row["name"], row["unit"]), ()), strict=False):
            arms[place] = whole if places[0] == 0 else whole | {key: arms[place][key] for key in apart}
        told.append(row | {"arms": arms})
    return told


def _three(median: float, low: float, high: float) -> dict[str, Any]:
    return {"median": _short(median), "low": _short(low), "high": _short(high)}


def curve(days: np.ndarray, band: np.ndarray, readable: bool = True) -> dict[str, Any]:
    """Median and 5 % to 95 % over days, of as few points as draw them on either axis, or as few as values can
    be ``readable`` from; band (3, n_times)."""
    kept = outline(days, band, logarithmic=True, readable=readable)
    low, median, high = _five_digits(band[:, kept])
    return {"days": np.round(days[kept], 4).tolist(), "low": low, "median": median, "high": high}


def stepped(events: ExpectedEvents) -> dict[str, Any]:
    """Median and 5 % to 95 % over days of how many courses are expected to have had an event, from nought."""
    low, median, high = np.quantile(events.courses, (0.05, 0.5, 0.95), axis=1)
    lines = {"low": low, "median": median, "high": high}
    return {"days": [0.0, *np.round(events.days, 4).tolist()]} | {
        name: [0.0, *map(_short, line)] for name, line in lines.items()
    }


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
    """Five digits are more than a screen shows, and a third of the bytes; None where there is no number,
    "inf" beyond the horizon."""
    if math.isnan(value):
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else str(value)


def in_five_digits(value: Any) -> Any:
    """The same dicts and lists, with floats in five digits, and None where one is no number."""
    if isinstance(value, dict):
        return {key: in_five_digits(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [in_five_digits(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
