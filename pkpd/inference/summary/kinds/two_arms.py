"""What kinds share that compare an arm with another one of its study, named in column ``versus``. Their
patients are others: of the same patients under two treatments the errors would be smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.summary.kinds.kind import Bad, Kind, View, is_assumed
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import t95

Array = NDArray[np.float64]


class TwoArms(Kind):
    """Of the row's arm against ``versus``."""

    columns: tuple[str, ...] = ("versus", "versus_n")
    of_level = False

    def views(self, row: Row) -> tuple[View, ...]:
        other = View(row.versus, row.versus_schedule, 1.0, row.output)
        return View(row.arm, row.schedule, 1.0, row.output), other

    def check(self, row: Row, bad: Bad) -> None:
        if not row.versus:
            bad("versus", f"a {self.name} needs the arm that this one is compared with")

    def quantile_95(self, row: Row) -> float:
        return Z95 if is_assumed(row) else t95(n_of_both(row))

    def as_printed(self, row: Row, trials: Sequence[Array]) -> Row | None:
        columns = self.prints_of_both(row, *trials)
        n, versus_n = (x.shape[1] for x in trials)
        return None if columns is None else replace(row, n=n, versus_n=versus_n, **columns)

    def prints_of_both(self, row: Row, x: Array, y: Array) -> Mapping[str, Any] | None:
        """As ``prints``, of patients x, (B, n), of the row's arm and y, (B, m), of the other one."""
        return None


def n_of_both(row: Row) -> int | None:
    """One more than the degrees of freedom of a spread that is common to both arms (None: not known)."""
    if row.n is None or row.n + (row.versus_n or row.n) < 3:
        return None
    return row.n + (row.versus_n or row.n) - 1
