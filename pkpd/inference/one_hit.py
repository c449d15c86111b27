"""How likely an event is at a dose, from counts of patients who had it.

One hit, with the background by Abbott's formula (J Econ Entomol 18 (1925) 265): p(d) = 1 - (1 - p0) exp(-k d)
with d the dose, p0 the background and k per unit of dose. The counts are binomial; the posterior of p0 and k
is integrated on a grid.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import DataError
from pkpd.core.tables import CsvTable, Line, read_table

Floats = NDArray[np.float64]

MOST_COUNTED, LARGEST_DOSE = 10_000_000, 1e12
"""Patients of a count, and their daily dose."""
CELLS = 400
"""Of the grid, along p0 and along log k."""
NEGLIGIBLE = 1e-10
"""Of the largest weight of a cell."""
REACH = 6.0
"""SDs of the prior of log k that the grid spans on either side."""


@dataclass(frozen=True)
class EventCount:
    """How many of ``n`` patients on a daily dose had an event."""

    study: str
    arm: str
    dose: float
    n: int
    events: int
    source: str
    doi: str
    provenance: str


def read_counts(path: Path, unit: str) -> tuple[EventCount, ...]:
    """The counts of a table with the columns study, arm, daily_dose_UNIT, n, events, source, doi, provenance
    and, if it likes, what and population. Raises DataError where it is damaged."""
    table = read_table(path)
    dose = f"daily_dose_{unit.lower()}"
    columns = ("study", "arm", dose, "n", "events", "source", "doi", "provenance")
    table.check_columns(columns, ("what", "population"))
    table.problems.stop_if_any()
    found = [_count(table, line, dose) for line in table.lines]
    table.problems.stop_if_any()
    if not found:
        raise DataError(f"{path}: there is no row of counts")
    return tuple(found)


def _count(table: CsvTable, line: Line, dose: str) -> EventCount:
    """Of a row; what is wrong in it is noted with its place."""
    row = table.fields(line)
    amount = _amount(row[dose])
    if not 0.0 <= amount <= LARGEST_DOSE:
        table.wrong(line, dose, f'"{row[dose]}" is no dose: a number from 0 to {LARGEST_DOSE:g}')
    n, events = _whole(row["n"]), _whole(row["events"])
    if n < 1:
        table.wrong(line, "n", f'"{row["n"]}" is no whole number from 1 to {MOST_COUNTED:,}')
    elif not 0 <= events <= n:
        table.wrong(line, "events", f'"{row["events"]}" must be a whole number from 0 to n = {n}')
    about = (row[name] for name in ("source", "doi", "provenance"))
    return EventCount(row["study"], row["arm"], amount, n, events, *about)


def _amount(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _whole(text: str) -> int:
    """-1 for what is no whole number, or a larger one than are counted."""
    written = re.fullmatch(r"[0-9]{1,10}", text)
    return int(text) if written and int(text) <= MOST_COUNTED else -1


@dataclass(frozen=True)
class OneHitPrior:
    """What is believed before any count: k lognormal, p0 uniform.

    Attributes
    ----------
    median, log_sd : of k, per unit of dose, and of its logarithm.
    low, high : between which p0 lies.
    """

    median: float
    log_sd: float
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class OneHitPosterior:
    """What counts say of p0 and k, on the midpoints of a grid.

    Attributes
    ----------
    p0, log_k, weights : (n_cells,); the weights add up to 1.
    widths : of a cell, along p0 and along log k.
    """

    p0: Floats
    log_k: Floats
    weights: Floats
    widths: tuple[float, float]

    @classmethod
    def of(cls, counts: Sequence[EventCount], prior: OneHitPrior, cells: int = CELLS) -> OneHitPosterior:
        """By midpoints over the range of p0 and log k within six SDs of its prior; where many counts leave
        only a small part of that, over this part."""
        reach, middle = REACH * prior.log_sd, math.log(prior.median)
        low, high = np.array([prior.low, middle - reach]), np.array([prior.high, middle + reach])
        while True:
            found = cls._between(counts, prior, low, high, cells)
            shown = found.weights.reshape(cells, cells) > NEGLIGIBLE * found.weights.max()
            at = [np.flatnonzero(shown.any(axis=axis))[[0, -1]] for axis in (1, 0)]
            needed, width = cells // 8, np.array(found.widths)
            if all(np.ptp(ends) >= needed for ends in at):
                return found
            # never a much smaller part at once: on a coarse grid the largest cell may be beside the peak
            spare = np.array([max(needed - int(np.ptp(ends)), 0) for ends in at])
            first = np.array([ends[0] for ends in at]) - spare
            last = np.array([ends[1] for ends in at]) + 1 + spare
            whole = np.array([np.ptp(ends) >= needed for ends in at])
            inner = np.where(whole, low, np.maximum(low + first * width, low))
            outer = np.where(whole, high, np.minimum(low + last * width, high))
            low, high = inner, outer

    @classmethod
    def _between(
        cls, counts: Sequence[EventCount], prior: OneHitPrior, low: Floats, high: Floats, cells: int
    ) -> OneHitPosterior:
        """On a grid between the ends of p0 and of log k, (2,) each."""
        width = (high - low) / cells
        middle = np.arange(cells) + 0.5
        p0, log_k = np.meshgrid(*(low[i] + middle * width[i] for i in (0, 1)), indexing="ij")
        log_density = -0.5 * ((log_k - math.log(prior.median)) / prior.log_sd) ** 2
        for count in counts:
            # log(1 - p) and log p, without losing digits where p is close to 1
            log_none = np.log1p(-p0) - np.exp(log_k) * count.dose
            log_event = np.log(-np.expm1(log_none))
            log_density += count.events * log_event + (count.n - count.events) * log_none
        weights = np.exp(log_density - log_density.max())
        widths = float(width[0]), float(width[1])
        return cls(p0.ravel(), log_k.ravel(), (weights / weights.sum()).ravel(), widths)

    def probability(self, dose: float) -> tuple[float, float, float]:
        """Mean and 90 percent interval of the probability of an event at a dose."""
        p = one_hit(self.p0, np.exp(self.log_k), dose)
        order = np.argsort(p)
        below = np.cumsum(self.weights[order])
        low, high = (float(p[order[np.searchsorted(below, level)]]) for level in (0.05, 0.95))
        return float(p @ self.weights), low, high

    @functools.cached_property
    def cumulative(self) -> Floats:
        """(n_cells,) weights up to each cell."""
        return np.cumsum(self.weights)

    @functools.cached_property
    def mean(self) -> tuple[float, float]:
        """p0 and k: the means of p0 and of log k."""
        return float(self.p0 @ self.weights), math.exp(float(self.log_k @ self.weights))

    def draws(self, n: int, seed: int = 0) -> tuple[Floats, Floats]:
        """(n,) p0 and (n,) k from the posterior: evenly spread over it, in random order, the same for a seed
        and n."""
        generator = np.random.Generator(np.random.Philox(key=seed))
        levels = (generator.permutation(n) + generator.random(n)) / n
        return self._at(levels, generator.random((2, n)) - 0.5)

    def draw(self, generator: np.random.Generator) -> tuple[float, float]:
        """p0 and k, one draw from the posterior by the next three random numbers."""
        level, *within = generator.random(3)
        p0, k = self._at(np.array([level]), np.array(within)[:, None] - 0.5)
        return float(p0[0]), float(k[0])

    def _at(self, levels: Floats, within: Floats) -> tuple[Floats, Floats]:
        """(n,) p0 and k where the weights add up to these levels, (n,), and so far from the middle of the
        cell, (2, n)."""
        cells = np.minimum(np.searchsorted(self.cumulative, levels), self.weights.size - 1)
        return (
            self.p0[cells] + within[0] * self.widths[0],
            np.exp(self.log_k[cells] + within[1] * self.widths[1]),
        )


def one_hit(p0: ArrayLike, k: ArrayLike, dose: ArrayLike) -> Floats:
    """The probability of an event at a dose."""
    p0, k, dose = (np.asarray(one, dtype=np.float64) for one in (p0, k, dose))
    return np.asarray(1.0 - (1.0 - p0) * np.exp(-k * dose))
