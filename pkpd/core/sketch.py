"""Quantiles of many series at once from a stream of values that is never kept: DDSketch with 0.5 % relative
error.

    sketch = Sketch((n_times, n_outputs))
    sketch.add(values)                      # (n, n_times, n_outputs), as often as there are more
    sketch.merge(another)                   # of the same shape
    low, median, high = sketch.quantiles((0.05, 0.5, 0.95))

Masson, Rim & Lee, PVLDB 12 (2019) 2195: values are counted in bins whose borders are powers of one number, so
that the middle of a bin is within a fixed relative error of all that is in it. Counts are whole numbers:
neither the order of arrival nor how a stream is cut and merged makes any difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RELATIVE_ERROR = 0.005
_ALPHA = RELATIVE_ERROR * (1 - 1e-6)  # room for the rounding of logarithms
_WIDTH = np.log((1 + _ALPHA) / (1 - _ALPHA))  # of a bin, in logarithms
_TO_MIDDLE = np.log1p(-_ALPHA)  # from a bin's upper border to where the error is the same both ways
SMALLEST = np.finfo(np.float64).tiny
MOST_BINS = 4096  # e^41 from the smallest to the largest magnitude of a series
MOST_VALUES = 2**32 - 1
_NONE = 10**9  # beyond every bin: that of the largest number is 70,978
_BLOCK = 256  # series that are worked on at once where all bins are looked at


class Sketch:
    """Counts of values by sign and logarithmic bin, for every series of an array of them.

    What is promised: a quantile is what ``numpy.quantile`` gives (linear between neighbours in order), with
        each neighbour replaced by a value within 0.5 % of it; of one sign,
    their quantile is within 0.5 %, too. The smallest and the largest are exact. Magnitudes below 2.2e-308,
    and those more than e^40.9 = 6e17 times smaller than the largest of their series and sign, count as
    nought, or as the value of the series that is nearest to it.

    Memory: 4 bytes for each series and bin of the widest series, at most 16 kB a series and sign; between
        people a series spans some hundred bins, 2 to 4 kB.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        n = int(np.prod(self.shape))
        self._above, self._below = _Side(n), _Side(n)
        self._zero = np.zeros(n, np.int64)
        self._failed = np.zeros(n, np.int64)
        self._minimum, self._maximum = np.full(n, np.inf), np.full(n, -np.inf)
        self._given = 0

    @property
    def count(self) -> Integers:
        """How many values each series has, those that are not finite left out."""
        return self._count.reshape(self.shape)

    @property
    def failed(self) -> Integers:
        """How many of each series were not finite."""
        return self._failed.reshape(self.shape)

    @property
    def _count(self) -> Integers:
        return self._given - self._failed

    def add(self, values: ArrayLike) -> None:
        """Count values, (n, *shape); nan and infinities are counted as failed."""
        given = np.asarray(values, dtype=np.float64)
        if given.shape[1:] != self.shape or given.ndim != 1 + len(self.shape):
            raise InputError(f"values of shape {given.shape} do not fit series of shape {self.shape}")
        x = given.reshape(len(given), len(self._zero))
        self._make_room(len(x))
        if not len(x):
            return
        finite = np.isfinite(x)
        if not finite.all():
            self._failed += np.count_nonzero(~finite, axis=0)
        self._minimum = np.minimum(self._minimum, np.min(x, axis=0, where=finite, initial=np.inf))
        self._maximum = np.maximum(self._maximum, np.max(x, axis=0, where=finite, initial=-np.inf))
        above, below = finite & (x >= SMALLEST), finite & (x <= -SMALLEST)
        self._zero += np.count_nonzero(finite & ~above & ~below, axis=0)
        self._zero += self._above.add(x, above)
        self._zero += self._below.add(-x, below)

    def merge(self, other: Sketch) -> None:
        """Count what another sketch of the same shape has counted; the other stays as it is."""
        if other.shape != self.shape:
            raise InputError(f"sketches of shapes {self.shape} and {other.shape} cannot be merged")
        self._make_room(other._given)
        self._failed += other._failed
        self._minimum = np.minimum(self._minimum, other._minimum)
        self._maximum = np.maximum(self._maximum, other._maximum)
        self._zero += other._zero
        self._zero += self._above.merge(other._above)
        self._zero += self._below.merge(other._below)

    def quantiles(self, q: Sequence[float]) -> Floats:
        """(n_q, *shape), nan where a series has no value."""
        wanted = np.asarray(q, dtype=np.float64)
        if wanted.ndim != 1 or not np.all((wanted >= 0.0) & (wanted <= 1.0)):
            raise InputError(f"quantiles must lie between 0 and 1, not {q!r}")
        last = self._count - 1
        place = wanted[:, None] * np.maximum(last, 0)
        before = np.floor(place).astype(np.int64)
        low, high = self._ranked(np.stack([before, np.minimum(before + 1, np.maximum(last, 0))]))
        share = place - before
        found = np.where(
            low == high, low, (1 - share) * low + share * high
        )  # their difference may be too large a number
        found[:, last < 0] = np.nan
        return found.reshape(wanted.size, *self.shape)

    def _ranked(self, rank: Integers) -> Floats:
        """The values with these ranks, counted from 0 in ascending order; both (2, n_q, n_series)."""
        ranks = rank.reshape(rank.shape[0] * rank.shape[1], rank.shape[2])
        n_below = self._below.total()
        found = np.where(ranks < n_below, -self._below.ranked(n_below - 1 - ranks), 0.0)
        above = ranks - n_below - self._zero
        found = np.where(above >= 0, self._above.ranked(above), found)
        found = np.clip(found, self._minimum, self._maximum)
        found = np.where(ranks == 0, self._minimum, found)
        found = np.where(ranks == self._count - 1, self._maximum, found)
        return np.where(self._count > 0, found, 0.0).reshape(rank.shape)

    def _make_room(self, n: int) -> None:
        if self._given + n > MOST_VALUES:
            raise InputError(f"a sketch counts at most {MOST_VALUES:,} values of a series")
        self._given += n


class _Side:
    """Counts of positive numbers: each series has a window of bins, all of one width, that starts where the
    series needs it."""

    def __init__(self, n: int) -> None:
        self.counts = np.zeros((n, 0), np.uint32)
        self.start = np.zeros(n, np.int64)  # index of the first bin of the window
        # indices of the lowest and highest bin with something in it
        self.low, self.high = np.full(n, _NONE), np.full(n, -_NONE)

        self.narrow = False  # whether a series has values that are too small for its window

    def add(self, x: Floats, chosen: NDArray[np.bool_]) -> Integers:
        """Count those chosen, (n, n_series); returns how many of each series are too small for its window."""
        if not chosen.any():
            return np.zeros(len(self.start), np.int64)
        everything = bool(chosen.all())
        bins = np.ceil(np.log(x if everything else np.where(chosen, x, 1.0)) / _WIDTH).astype(np.int64)
        where: NDArray[np.bool_] | bool = True if everything else chosen
        lost = self._cover(
            np.min(bins, axis=0, where=where, initial=_NONE),
            np.max(bins, axis=0, where=where, initial=-_NONE),
        )
        series = np.broadcast_to(np.arange(bins.shape[1]), bins.shape)
        if not everything:
            bins, series = bins[chosen], series[chosen]
        return lost + self._count(series.ravel(), bins.ravel(), None)

    def merge(self, other: _Side) -> Integers:
        """Count what the other side has; returns how many of each series are too small for its window."""
        lost = self._cover(other.low, other.high)
        for first in range(0, len(self.start), _BLOCK):
            series, column = np.nonzero(other.counts[first : first + _BLOCK])
            counts = other.counts[first : first + _BLOCK][series, column]
            lost += self._count(first + series, other.start[first + series] + column, counts)
        return lost

    def total(self) -> Integers:
        """How many each series has."""
        return self.counts.sum(axis=1, dtype=np.int64)

    def ranked(self, ranks: Integers) -> Floats:
        """Values by rank in ascending order, (n_ranks, n_series); anything where there is no such rank."""
        found = np.zeros(ranks.shape)
        if not self.counts.shape[1]:
            return found
        for first in range(0, len(self.start), _BLOCK):
            some = slice(first, first + _BLOCK)
            reached = np.cumsum(self.counts[some], axis=1, dtype=np.int64)
            for row, rank in zip(found, ranks, strict=True):
                index = self.start[some] + np.count_nonzero(reached <= rank[some, None], axis=1)
                with np.errstate(
                    over="ignore"
                ):  # beyond the largest number: the caller knows the largest value
                    row[some] = np.exp(index * _WIDTH + _TO_MIDDLE)
        return found

    def _count(self, series: Integers, bins: Integers, counts: NDArray[np.uint32] | None) -> Integers:
        """Add counts (None: one each) to bins; those below their window are returned, (n_series,)."""
        column = bins - self.start[series]
        lost = np.zeros(len(self.start), np.int64)
        if self.narrow and (small := bins < self.low[series]).any():
            np.add.at(lost, series[small], 1 if counts is None else counts[small].astype(np.int64))
            series, column = series[~small], column[~small]
            counts = None if counts is None else counts[~small]
        np.add.at(
            self.counts.reshape(-1),
            series * self.counts.shape[1] + column,
            np.uint32(1) if counts is None else counts,
        )
        return lost

    def _cover(self, low: Integers, high: Integers) -> Integers:
        """Widen and move windows so that these bins fit, but for what is too far below the highest; returns
        what fell out, (n_series,)."""
        self.high = np.maximum(self.high, high)
        self.narrow |= bool(np.any(self.high - np.minimum(self.low, low) >= MOST_BINS))
        self.low = np.maximum(np.minimum(self.low, low), self.high - (MOST_BINS - 1))
        used = self.high >= self.low
        need = np.where(used, self.high - self.low + 1, 0)
        width = self.counts.shape[1]
        lost = np.zeros(len(self.start), np.int64)
        if need.max(initial=0) > width:
            # half as much again: windows are seldom moved
            width = min(MOST_BINS, 64 * -(-3 * int(need.max()) // 128))
            moved = np.ones(len(need), dtype=bool)
        else:
            moved = used & ((self.low < self.start) | (self.high >= self.start + width))
        if not moved.any():
            return lost
        counts = self.counts if width == self.counts.shape[1] else np.zeros((len(need), width), np.uint32)
        # the window around what is used
        start = np.where(moved & used, self.low - (width - need) // 2, self.start)
        start = np.where(used, start, 0)
        rows = np.flatnonzero(moved)
        for first in range(0, rows.size, _BLOCK):
            block = rows[first : first + _BLOCK]
            series, column = np.nonzero(self.counts[block])
            series = block[series]
            old = self.counts[series, column]
            bins = self.start[series] + column
            kept = bins >= self.low[series]
            np.add.at(lost, series[~kept], old[~kept].astype(np.int64))
            counts[block] = 0
            counts[series[kept], (bins - start[series])[kept]] = old[kept]
        self.counts, self.start = counts, start
        return lost
