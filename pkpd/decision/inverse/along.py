"""Along one unknown: where a target is met, by scanning and bisection in the same subjects, and what each
person needs. Nothing is taken to be monotone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Met = NDArray[np.bool_]
Run = tuple[int, int]

FINE = 1000  # places at which courses between looked-at values are read


def scan_places(values: Sequence[float], n: int, geometric: bool) -> list[int]:
    """Places of ``n`` of the ascending values, both ends among them, by equal ratios or steps; of all where
    there are few more."""
    if len(values) <= n + n // 4:
        return list(range(len(values)))
    spaced = np.geomspace if geometric else np.linspace
    wanted = spaced(values[0], values[-1], n)
    places = np.abs(np.asarray(values)[:, None] - wanted).argmin(axis=0)
    return sorted({0, len(values) - 1, *(int(place) for place in places)})


def runs_met(met: Callable[[int], bool], scanned: Sequence[int]) -> list[Run]:
    """Runs (first, last) of places at which something is met: between neighbours of the scan that differ, the
    crossing is bisected; between two that are alike nothing is looked for."""
    runs: list[Run] = []
    start = scanned[0] if met(scanned[0]) else None
    for low, high in itertools.pairwise(scanned):
        before, after = met(low), met(high)
        if before == after:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if met(middle) == before else (low, middle)
        if before:
            assert start is not None
            runs.append((start, low))
            start = None
        else:
            start = high
    if start is not None:
        runs.append((start, scanned[-1]))
    return runs


def fine_places(values: Floats) -> Floats:
    """Of the values at most ``FINE``, both ends among them."""
    if values.size <= FINE:
        return values
    return values[np.unique(np.linspace(0, values.size - 1, FINE).round().astype(np.int64))]


def between_places(x: Floats, values: Floats, fine: Floats) -> Floats:
    """(n_fine, n_subjects) values at ``fine``, straight between each subject's at x, (n_x, n_subjects)."""
    place = np.clip(np.searchsorted(x, fine, side="right") - 1, 0, max(x.size - 2, 0))
    if x.size == 1:
        return np.repeat(values, fine.size, axis=0)
    weight = ((fine - x[place]) / (x[place + 1] - x[place]))[:, None]
    with np.errstate(invalid="ignore"):
        mixed = (1.0 - weight) * values[place] + weight * values[place + 1]
    # at the ends themselves nothing is mixed, so that an infinite neighbour does no harm
    mixed = np.where(weight == 0.0, values[place], np.where(weight == 1.0, values[place + 1], mixed))
    return np.asarray(mixed)


def own_values(holds: Met, fine: Floats, end: str) -> Floats:
    """(n_subjects,) the end of each one's own range, of holds (n_fine, n_subjects): the smallest or largest
    value at which it holds; beyond the looked-at range (-inf, inf) where it lies there."""
    n = len(fine)
    first, last = holds.argmax(axis=0), n - 1 - holds[::-1].argmax(axis=0)
    never = ~holds.any(axis=0)
    if end == "smallest":
        own = np.where(first == 0, -math.inf, fine[first])
        return np.where(never, math.inf, own)
    own = np.where(last == n - 1, math.inf, fine[last])
    return np.where(never, -math.inf, own)
