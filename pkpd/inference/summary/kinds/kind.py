"""What a kind of row is: everything that is said about one word of the column ``statistic`` stands in one
file.

A kind checks its rows, says what such a row prints and with which error (``measured``), what of a predicted
population stands against it (``term``), and what a trial of n such patients would have printed (``prints``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import (
    Form,
    Spread,
    degrees_of_freedom,
    form_of,
    natural_spread,
    t95_of,
)
from pkpd.inference.summary.terms import Measured, Term

Array = NDArray[np.float64]
SURVIVAL = "survival_"
"""With what the names of outputs begin that are a patient's probability of no event so far."""
Bad = Callable[[str, str], None]
"""Takes a column and the reason why what stands there is wrong."""


class View(NamedTuple):
    """What a row looks at: an output in the patients of an arm under a schedule, its doses multiplied; at a
    ``time`` of its own, in place of the row's."""

    arm: str
    schedule: str
    dose_factor: float
    output: str
    time: float | None = None


class Kind:
    """One word of the column ``statistic``.

    Attributes
    ----------
    name : the word.
    columns : those of ``rows.COLUMNS_OF_KINDS`` that such a row may fill.
    doses : multiples of its schedule's doses at which a row looks at patients.
    own_ends : ``lower`` and ``upper`` are what such a row says, not the ends of a spread.
    needs_value : whether the column ``value`` must be filled.
    in_dose_units, of_patients : the value is a dose of its schedule; a number or share of patients.
    numbered : it is a number of them.
    positive, signed : the value is above 0 whatever the output; may be below 0 whatever the output.
    without_unit : the value is a number without a unit.
    of_level : its value lies where the output of the patients does, so that it may stand beside their curve.
    side : 1 where the value is a lower end ("at least", "more than"), -1 an upper end, else 0.
    on_log : errors are those of the value's logarithm.
    simulated : trials of the arm's patients tell how its residuals are distributed (``sampling``).
    of_events : its output is each patient's probability of no event so far, S(t), and trials draw who has had
        one by then: they show who has not.
    scored : they are read as those trials have them; else they are as good as normal by themselves.
    n_smooth : of so many numbers its one residual is a function, and bends more than they do (0: of none).
    """

    name = ""
    columns: tuple[str, ...] = ()
    doses: tuple[float, ...] = (1.0,)
    own_ends = False
    needs_value = True
    in_dose_units = False
    of_patients = False
    numbered = False
    positive = False
    signed = False
    without_unit = False
    of_level = True
    side = 0
    on_log = False
    n_smooth = 0
    simulated = True
    of_events = False
    scored = True

    @property
    def words(self) -> str:
        """The kind in words."""
        return self.name.replace("_", " ")

    def views(self, row: Row) -> tuple[View, ...]:
        """What it looks at, J of them."""
        return tuple(View(row.arm, row.schedule, factor, row.output) for factor in self.doses)

    def completed(self, row: Row, bad: Bad) -> Row:
        """The row with what goes without saying."""
        return row

    def check(self, row: Row, bad: Bad) -> None:
        """Name what the row lacks for a likelihood."""

    def check_in_units(self, row: Row, bad: Bad) -> None:
        """The same of a row in the model's units."""

    def measured(
        self, row: Row, relative_error: float = 0.3, *, spread: bool = True, form: Form | None = None
    ) -> Measured:
        """The numbers that a row prints, with their standard errors.

        ``relative_error`` is that of a location without a spread; without ``spread`` the spread between
        patients is no information of its own. ``form`` is that of another row which is printed in the same
        way (None: the row's own). Raises ``DataError`` if there is nothing to derive an error from.
        """
        raise NotImplementedError

    def term(self, x: Measured, s: Array, v: Array) -> Term:
        """Residuals; ``s`` and ``v`` are samples and noise variances, (J, K): J views, K patients."""
        raise NotImplementedError

    def smooth(self, x: Measured, s: Array, v: Array) -> Term:
        """In the place of residuals the numbers (``n_smooth``,) that they are a function of."""
        return self.term(x, s, v)

    def of_smooth(self, x: Measured, numbers: Array) -> tuple[float, Array]:
        """The residual of such numbers (n_smooth,), and its derivatives (n_smooth,)."""
        raise NotImplementedError

    def prints(self, row: Row, x: Array) -> Mapping[str, Any] | None:
        """The columns of the row, (B,) each, as B trials of n patients x, (B, n), would have printed them;
        None: a trial does not tell."""
        return None

    def as_printed(self, row: Row, trials: Sequence[Array]) -> Row | None:
        """The row as trials of the patients of each view, (B, n), would have printed it, its columns (B,)."""
        columns = self.prints(row, trials[0]) if len(trials) == 1 else None
        return None if columns is None else replace(row, n=trials[0].shape[1], **columns)

    def pivots(self, x: Measured, term: Term, *trials: Array) -> Array | None:
        """Residuals, (m, B), that trials of n patients, (B, n) in each of the row's arms, would have had
        against the population they come from, whose term this is; None: they are not known."""
        rows = self.as_printed(x.row, trials)  # of large arms with fewer patients, and errors of as many
        if rows is None:
            return None
        printed = self.measured(rows, spread=len(x.printed) > 1, form=form_of(x.row)).printed
        truth = [p.value + r * p.error for p, r in zip(x.printed, term.residuals, strict=True)]
        with np.errstate(all="ignore"):
            return np.stack([(of - p.value) / p.error for of, p in zip(truth, printed, strict=True)])

    def redrawn(self, x: Measured, term: Term, error: float) -> Row | None:
        """The row as a trial would have printed it that errs by so many standard errors, where its patients
        do not tell; None: its numbers move by as much."""
        return None

    def observed(self, row: Row) -> float:
        """The number that stands against the prediction."""
        return row.value

    def quantile_95(self, row: Row) -> float:
        """Half width of its 95 % interval in standard errors: Student's t where they are those of its
        patients."""
        return t95_of(degrees_of_freedom(row, spread_of(row)))

    def interval(self, x: Measured) -> tuple[float, float]:
        """A 95 % interval of the reported number itself, on the row's scale (nan: open)."""
        row = x.row
        if row.spread_type == "CI95" and math.isfinite(row.lower):
            return row.lower, row.upper
        half = self.quantile_95(row) * x.se
        if self.on_log:
            return row.value * math.exp(-half), row.value * math.exp(half)
        return row.value - half, row.value + half


def is_assumed(row: Row) -> bool:
    """Whether no error was printed."""
    return row.spread_type == "none"


def spread_of(
    row: Row, form: Form | None = None, of: Callable[[Row, Form], Spread] = natural_spread
) -> Spread | None:
    """What the printed spread tells, if it is one between patients."""
    return of(row, form or form_of(row)) if row.spread_type in ("SD", "CV", "IQR", "range") else None


def telling(row: Row, spread: Spread | None, wanted: bool) -> bool:
    """Whether the spread between patients is information of its own."""
    return wanted and spread is not None and row.n is not None and row.n > 1


def check_no_spread(kind: Kind, row: Row, bad: Bad) -> None:
    """Of a number of patients or events, which follow a distribution of their own: an interval or SE is what
    was printed beside them."""
    if row.spread_type not in ("none", "SE", "CI95"):
        bad("spread_type", f"a {kind.name} has no {row.spread_type}, only an SE or a CI95")


def check_survival(kind: Kind, row: Row, bad: Bad) -> None:
    """Of a row about events: its output is the probability of none so far, at a time."""
    if not row.output.startswith(SURVIVAL):
        bad("output", f"a {kind.name} is of an event: name its output {SURVIVAL}NAME, not {row.output[:60]}")
    if row.measure != "value" or row.reducer != "at":
        bad("measure", f"a {kind.name} is of the value at a time")
    elif not row.stop > 0:
        bad("time", f"a {kind.name} needs a time after the start")


def check_positive(kind: Kind, row: Row, bad: Bad) -> None:
    """Of a number that is above 0, as is its interval; an end of 0 is one that was rounded."""
    if not row.value > 0:
        bad("value", f"a {kind.name} must be positive")
    elif row.lower < 0:
        bad("lower", f"the interval of a {kind.name} does not go below 0")
