"""What a kind of row is: everything that is said about one word of the column ``statistic`` stands in one
file.

A kind checks its rows, says what such a row prints and with which error (``measured``), and what of a
predicted population stands against it (``term``)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Spread, natural_spread, standard_error
from pkpd.inference.summary.terms import Measured, Term

Array = NDArray[np.float64]
Bad = Callable[[str, str], None]
"""Takes a column and the reason why what stands there is wrong."""


class Kind:
    """One word of the column ``statistic``.

    Attributes
    ----------
    name : the word.
    doses : multiples of its schedule's doses at which a row looks at patients.
    needs_value : whether the column ``value`` must be filled.
    in_dose_units, of_patients : the value is a dose of its schedule; a number or share of patients.
    on_log : errors are those of the value's logarithm.
    """

    name = ""
    doses: tuple[float, ...] = (1.0,)
    needs_value = True
    in_dose_units = False
    of_patients = False
    on_log = False

    @property
    def words(self) -> str:
        """The kind in words."""
        return self.name.replace("_", " ")

    def check(self, row: Row, bad: Bad) -> None:
        """Name what the row lacks for a likelihood."""

    def measured(self, row: Row, relative_error: float = 0.3, *, spread: bool = True) -> Measured:
        """The numbers that a row prints, with their standard errors.

        ``relative_error`` is that of a location without a spread; without ``spread`` the spread between
        patients is no information of its own. Raises ``DataError`` if there is nothing to derive an error
        from.
        """
        raise NotImplementedError

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        """Residuals; ``s`` and ``v`` are samples and noise variances, (J, K): J doses, K patients."""
        raise NotImplementedError

    def observed(self, row: Row) -> float:
        """The number that stands against the prediction."""
        return row.value

    def interval(self, x: Measured) -> tuple[float, float]:
        """A 95 % interval of the reported number itself, on the row's scale (nan: open)."""
        row = x.row
        if row.spread_type == "CI95" and math.isfinite(row.lower):
            return row.lower, row.upper
        half = Z95 * x.se
        if self.on_log:
            return row.value * math.exp(-half), row.value * math.exp(half)
        return row.value - half, row.value + half


def is_assumed(row: Row) -> bool:
    """Whether no error was printed."""
    return row.spread_type == "none"


def spread_of(row: Row, of: Callable[[Row], Spread] = natural_spread) -> Spread | None:
    """What the printed spread tells, if it is one between patients."""
    return of(row) if row.spread_type in ("SD", "CV", "IQR", "range") else None


def telling(row: Row, spread: Spread | None, wanted: bool) -> bool:
    """Whether the spread between patients is information of its own."""
    return wanted and spread is not None and row.n is not None and row.n > 1


def location_error(row: Row, relative_error: float, spread: Spread | None, factor: float = 1.0) -> float:
    """Standard error of a location on the natural scale; factor: that of its kind on the SE of the mean."""
    se = standard_error(row, spread, relative_error, on_log=False)
    return factor * se if spread is not None else se
