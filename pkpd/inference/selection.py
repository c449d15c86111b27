"""Which rows a fit takes, and where it begins: by names and patterns, and by an earlier result."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.core.names import meant
from pkpd.inference.coordinates import Coordinate
from pkpd.inference.result import FitResult
from pkpd.inference.summary.rows import Data

Array = NDArray[np.float64]


def listed(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names that were given as a list, or as one text with commas between them."""
    if given is None:
        return ()
    parts = given.split(",") if isinstance(given, str) else list(given)
    return tuple(part.strip() for part in parts if part.strip())


def selected(data: Data, rows: Sequence[str] = (), without: Sequence[str] = ()) -> Data:
    """The data with only those rows to be fitted whose id matches one of the patterns (none: all), and none
    of the studies ``without``; the others are predicted beside the fit (use "check").

    Raises ``InputError`` for a pattern that matches no row to be fitted, and a study that there is not.
    """
    fitted = [row.id for row in data.rows if row.use == "fit"]
    for pattern in rows:
        if not fnmatch.filter(fitted, pattern):
            raise InputError(
                f'{data.file}: no row to be fitted is called "{pattern}"{meant(pattern, fitted)}'
            )
    for study in without:
        if study not in data.studies:
            raise InputError(f'{data.file} has no study "{study}"{meant(study, data.studies)}')
    kept = {name for name in fitted if not rows or any(fnmatch.fnmatchcase(name, p) for p in rows)}
    kept -= {row.id for row in data.rows if row.study in without}
    if not kept:
        raise InputError(f"{data.file}: no row is left to be fitted without {', '.join(without)}")
    return replace(
        data,
        rows=tuple(
            replace(row, use="check") if row.use == "fit" and row.id not in kept else row for row in data.rows
        ),
    )


def warm_point(coordinates: Sequence[Coordinate], result: FitResult) -> tuple[Array, tuple[str, ...]]:
    """Where an earlier result ended, by names: (n_coordinates,); and which are not in it, or were estimated
    on another scale, and start at their prior's centre."""
    known = {(estimate.name, estimate.scale): estimate.x for estimate in result.estimates}
    x = np.array([known.get((c.name, c.scale), c.start) for c in coordinates])
    return x, tuple(c.name for c in coordinates if (c.name, c.scale) not in known)
