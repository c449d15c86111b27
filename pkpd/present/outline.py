"""As few points of a curve as draw it: a treatment of a year has thousands of output times, and a chart some
hundreds of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

UPWARDS, ASIDE = 0.01, 0.001
"""Of the band's range and of the horizon: a pixel or two of a large chart."""
LOWEST = 1e-5
"""Of a curve's largest value: what a logarithmic axis reaches down to."""
MOST, FIRST = 600, 8
"""Points of a curve to read values from, and of how many one is kept in any case, of more than some thousand
fewer."""


def outline(days: Floats, band: Floats, logarithmic: bool = False, readable: bool = True) -> Integers:
    """Indices of the points between which straight lines draw a curve and its band, ascending, the first and
    the last among them.

    days : (n_times,), ascending, at least two; band : (n_lines, n_times), on one axis; logarithmic : whether
        that may be a logarithmic one too; readable : whether values are read off the lines too. No point that
        is left out lies farther from the lines than ``UPWARDS`` of the range or ``ASIDE`` of the horizon,
        which nobody sees. Where they are readable, and as long as that takes no more than ``MOST`` points,
        none lies farther above or below than ``UPWARDS`` either, so that values can be read off steep flanks.
    """
    band = np.nan_to_num(band)
    lines = [band / max(float(np.ptp(band)), 1e-300)]
    if logarithmic and np.all(band >= 0) and np.any(band > 0):
        logs = np.log(np.maximum(band, LOWEST * band.max()))
        lines.append(logs / max(float(np.ptp(logs)), 1e-300))
    x, y = days / (ASIDE * (days[-1] - days[0])), np.concatenate(lines) / UPWARDS
    # Of each piece between two points that are kept, the one farthest from the straight line is kept too,
    # again and again (Ramer 1972; Douglas and Peucker 1973); a few to begin with save most of the rounds.
    kept = np.append(np.arange(0, x.size - 1, max(FIRST, x.size // (MOST // 2))), x.size - 1)
    for aside in (True, False) if readable else (True,):
        at = np.arange(x.size - 1)  # points of pieces that are not settled
        while at.size and (aside or kept.size < MOST):
            piece = np.searchsorted(kept, at, side="right") - 1
            far = _squares(x, y, at, kept[piece], kept[piece + 1], aside)
            first = np.flatnonzero(np.diff(piece, prepend=-1))
            farthest = np.repeat(np.maximum.reduceat(far, first), np.diff(np.append(first, at.size)))
            open_piece = farthest > 1.0
            more = np.flatnonzero(open_piece & (far >= farthest))
            if not aside:
                more = more[np.argsort(-far[more], kind="stable")[: MOST - kept.size]]
            kept, at = np.sort(np.append(kept, at[more])), at[open_piece]
    return kept


def _squares(x: Floats, y: Floats, at: Integers, begin: Integers, end: Integers, aside: bool) -> Floats:
    """The squares of how far points lie from the straight lines between two others, (n_points,): of the line
    that they are farthest from; above or below it, or in any direction, ``aside``."""
    width, height = x[end] - x[begin], y[:, end] - y[:, begin]
    over, up = x[at] - x[begin], y[:, at] - y[:, begin]
    if not aside:
        return np.asarray((up - over / width * height) ** 2).max(axis=0)
    # the distance from the piece, which ends where it ends
    along = np.clip((over * width + up * height) / (width**2 + height**2), 0.0, 1.0)
    return np.asarray((over - along * width) ** 2 + (up - along * height) ** 2).max(axis=0)
