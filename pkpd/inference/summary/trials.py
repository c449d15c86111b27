"""Rows as simulated trials would have printed them."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.kinds.binomial import moved_on_logits
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.sampling import Seen, Trials, alike, without_trials
from pkpd.inference.summary.spreads import form_of
from pkpd.inference.summary.terms import Measured, Term

Array = NDArray[np.float64]

_PRINTED = ("value", "spread", "lower", "upper", "level")
"""Columns that a trial may print."""
MOST_PRINTED = 100_000
"""Patients of a simulated trial; a number of so many has no error to speak of."""


def printed_by_trials(
    rows: Sequence[tuple[Measured, Term, Sequence[Seen]]],
    seed: Sequence[int],
    declared: Mapping[frozenset[str], float] = MappingProxyType({}),
) -> tuple[Row, ...]:
    """The rows as one trial of each arm would have printed them.

    Of a row without a number of patients, of a model in which patients do not differ, and where the fit takes
    only the location from a row, the location errs by its standard error around the prediction and the rest
    stays as printed. The limit of a bound was fixed beforehand and stays; whether it is met does not.

    Parameters
    ----------
    rows : as ``sampling_of`` has them, at the truth.
    seed : of the trials; those of a study do not depend on other studies.
    declared : correlations between the errors of the locations of two rows, by their ids.
    """
    drawn = Trials(seed, 1, most=MOST_PRINTED)
    known = [_columns(measured, seen, drawn) for measured, _, seen in rows]
    redrawn = [each for each, columns in zip(rows, known, strict=True) if columns is None]
    generators = [
        np.random.default_rng([*seed, zlib.crc32(measured.row.id.encode())]) for measured, _, _ in redrawn
    ]
    errors = without_trials([replace(measured, printed=()) for measured, _, _ in redrawn], declared).coloured(
        np.array([generator.standard_normal() for generator in generators])
    )
    others = iter(zip(redrawn, errors, generators, strict=True))
    return tuple(
        replace(measured.row, **columns) if columns is not None else _redrawn(*next(others))
        for (measured, _, _), columns in zip(rows, known, strict=True)
    )


def _columns(measured: Measured, seen: Sequence[Seen], drawn: Trials) -> dict[str, Any] | None:
    """What the trial of a row prints; None where it does not tell."""
    row = measured.row
    if not seen or min(one.n for one in seen) < 2 or _is_location(measured):
        return None
    if len({one.patients for one in seen}) > 1 and not KINDS[row.statistic].of_events:
        return None
    patients = [drawn.seen(measured, one) for one in seen]
    same = any(itertools.starmap(alike, zip(patients, seen, strict=True)))
    printed = None if same else KINDS[row.statistic].as_printed(row, patients)
    if printed is None:
        return None
    found = {name: getattr(printed, name) for name in _PRINTED}
    columns = {
        name: float(np.ravel(column)[0]) for name, column in found.items() if column is not getattr(row, name)
    }
    return columns if all(map(math.isfinite, columns.values())) else None


def _is_location(measured: Measured) -> bool:
    """Whether a row printed a spread between patients that the fit does not take for one."""
    row = measured.row
    return row.spread_type in ("SD", "CV", "IQR", "range") and len(measured.printed) == 1


def _redrawn(of: tuple[Measured, Term, Sequence[Seen]], error: float, generator: np.random.Generator) -> Row:
    """A row with its location drawn around the prediction, so many standard errors away, or with a number of
    patients; what has no error stays."""
    measured, term, _ = of
    row = measured.row
    kind = KINDS[row.statistic]
    if kind.of_patients and not measured.printed:
        n = row.n or 1
        whole = n if kind.numbered else 1
        k = generator.binomial(n, min(max(term.predicted / whole, 0.0), 1.0))
        return replace(row, value=float(k) * whole / n)
    if not measured.printed:
        return row
    if (found := kind.redrawn(measured, term, float(error))) is not None:
        return found
    if any(map(math.isnan, kind.interval(measured))):
        return row
    where = measured.printed[0]
    moved = float((term.residuals[0] + error) * where.error)
    if where.label == "logit":
        return replace(row, **moved_on_logits(row, 1 / (1 + math.exp(-where.value - moved))))
    if where.label.startswith("log") or (row.statistic == "range" and form_of(row).positive):
        grown = {name: getattr(row, name) * math.exp(moved) for name in ("value", "lower", "upper", "spread")}
        return replace(row, **grown)
    return replace(row, **{name: getattr(row, name) + moved for name in ("value", "lower", "upper")})
