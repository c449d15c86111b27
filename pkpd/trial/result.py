"""What many simulated trials show: every number of every analysis, what was published beside it, visits and
survival curves with bands."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.files import write_json, write_rows
from pkpd.trial.design import TrialDesign
from pkpd.trial.kinds import Published, TrialAnalysis
from pkpd.trial.looks import TrialLooks

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LOW, HIGH = 0.05, 0.95
ADVICE = "A model, not medical advice."
NumberKey = tuple[str, str, str]
"""Analysis, quantity, arm ("" for what is of no arm)."""


@dataclass(frozen=True)
class TrialVisits:
    """Means and SDs over the patients of an arm.

    Attributes
    ----------
    days : (n_visits,), from randomisation.
    outputs, units, descriptions : (n_outputs,)
    means, sds : (n_trials, n_arms, n_outputs, n_visits), nan where nobody was measured.
    seen : (n_trials, n_arms, n_outputs, n_visits), patients.
    """

    days: Floats
    outputs: tuple[str, ...]
    units: tuple[str, ...]
    descriptions: tuple[str, ...]
    means: Floats
    sds: Floats
    seen: Integers


@dataclass(frozen=True)
class TrialCurves:
    """Kaplan-Meier curves.

    Attributes
    ----------
    days : (n_days,), from the time origin.
    groups : (n_groups,), "all patients" and the strata.
    curves : (n_trials, n_groups, n_arms, n_days), shares of survivors.
    at_risk : (n_trials, n_groups, n_arms), patients at randomisation.
    """

    days: Floats
    groups: tuple[str, ...]
    curves: Floats
    at_risk: Integers


@dataclass(frozen=True)
class TrialRow:
    """A line of the table: a number of the trials, and what was published of it.

    Attributes
    ----------
    analysis, quantity, arm : which number.
    median, low, high : of the trials that have one, with the ends of the 90 % interval.
    n : trials that have one.
    significant : share of trials whose p value is below alpha, nan where there is no p value.
    published : None where nothing was.
    inside : whether what was published lies in the 90 % interval (of a bound: whether at least one trial in
        twenty agrees); None where nothing was published.
    agree : share of trials that agree with a bound; nan without one.
    """

    analysis: str
    quantity: str
    arm: str
    median: float
    low: float
    high: float
    n: int
    significant: float
    published: Published | None
    inside: bool | None
    agree: float

    @property
    def digits(self) -> int:
        """Significant ones with which the ends of the interval can be told apart: of ratios such as 1.0003
        more than three."""
        width, size = self.high - self.low, max(abs(self.low), abs(self.high))
        if is_p(self.quantity) or not (width > 0.0 and size > 0.0):
            return 1 if is_p(self.quantity) else 3
        return min(max(math.ceil(math.log10(size / width)) + 2, 3), 8)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, by the names of the table's columns."""
        row = self.published
        return {
            "analysis": self.analysis,
            "quantity": self.quantity,
            "arm": self.arm,
            "name": row.name if row else "",
            "published": row.shown if row else "",
            "provenance": row.provenance if row else "",
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "inside": self.inside,
            "agree": self.agree,
            "significant": self.significant,
            "trials": self.n,
        }


@dataclass(frozen=True)
class TrialResult:
    """Simulated trials of one design.

    Attributes
    ----------
    design : of which.
    trials : how many were simulated.
    seed, vary : of the draws, and what differs between patients and between trials.
    numbers : (analysis, quantity, arm) to (n_trials,), nan where a trial has no estimate.
    visits, curves : means and SDs of what was measured, and survival.
    looks : when trials stop at interim looks, None without any; ``numbers``, ``visits`` and ``curves`` are of
        the trials at their planned end, as if they had not stopped.
    by_size : patients in all to numbers of as many trials of that size, (n_trials,) each.
    notes : sentences that a reader needs: those of the design, then cautions of the model.
    interrupted : whether it was ended before all trials were done.
    provenance : what it was made from.

    Examples
    --------
    >>> import pkpd
    >>> result = pkpd.simulate_trial("imodals", trials=20, seed=1)
    >>> result
    <TrialResult of imodals: 20 trials of 36 patients>
    >>> result.numbers["%Treg after the first cycle", "mean", "2 MIU"].shape
    (20,)
    """

    design: TrialDesign
    trials: int
    seed: int
    vary: tuple[str, ...]
    numbers: Mapping[NumberKey, Floats]
    visits: TrialVisits
    curves: TrialCurves
    looks: TrialLooks | None
    by_size: Mapping[int, Mapping[NumberKey, Floats]]
    notes: tuple[str, ...]
    interrupted: bool
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        return (
            f"<TrialResult of {self.design.name}: {self.trials:,} trials of {self.design.n_patients} "
            f"patients{' (interrupted)' * self.interrupted}>"
        )

    def _repr_html_(self) -> str:
        columns = ("analysis", "quantity", "arm", "published", "median", "5 %", "95 %", "inside", "power")
        rows = [
            (
                row.analysis,
                row.quantity,
                row.arm,
                (row.published.shown + unverified_mark(row.published)) if row.published else "",
                row.median,
                row.low,
                row.high,
                {True: "yes", False: "no", None: ""}[row.inside],
                row.significant,
            )
            for row in self.rows()
        ]
        return html.table(repr(self)[1:-1], columns, rows, " ".join((*self.notes, ADVICE)))

    def rows(self) -> list[TrialRow]:
        """A line for each number of each analysis, and one for each published number."""
        published: dict[NumberKey, list[Published]] = {}
        for row in self.design.published:
            published.setdefault((row.analysis, row.quantity, row.arm), []).append(row)
        found = []
        for key in self.numbers:
            if key in published or not hidden(key):
                found += [self._row(key, row) for row in published.get(key, [None])]
        return found

    def table(self) -> DataFrame:
        """The rows as a pandas table, with the columns of ``TrialRow.to_dict``."""
        import pandas

        return pandas.DataFrame([row.to_dict() for row in self.rows()])

    def power(self) -> list[dict[str, Any]]:
        """For each p value the share of trials that are significant, by the number of patients in all, with
        the standard error of the share by the number of trials.

        With "uncertainty" in ``vary`` it is assurance: the power averaged over what is not known.
        """
        found = []
        for n, numbers in sorted({self.design.n_patients: self.numbers, **self.by_size}.items()):
            for (analysis, quantity, arm), values in numbers.items():
                if is_p(quantity):
                    share, trials = significant(values, self._analysis(analysis).alpha)
                    error = math.sqrt(share * (1 - share) / trials) if trials else math.nan
                    found.append(
                        {
                            "patients": n,
                            "analysis": analysis,
                            "quantity": quantity,
                            "arm": arm,
                            "power": share,
                            "se": error,
                        }
                    )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values: what ``write_json`` writes."""
        return {
            "name": self.design.name,
            "title": self.design.title,
            "trials": self.trials,
            "patients": self.design.n_patients,
            "seed": self.seed,
            "vary": list(self.vary),
            "interrupted": self.interrupted,
            "rows": [
                row.to_dict() | ({"source": row.published.source} if row.published else {})
                for row in self.rows()
            ],
            "power": self.power(),
            "looks": self.looks and {"stages": self.looks.rows(), "summary": self.looks.summary()},
            "visits": list(self._visits()),
            "survival": list(self._survival()),
            "notes": [*self.notes, ADVICE],
            "provenance": dict(self.provenance),
        }

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Tables, bands and provenance, whole or not at all; not the numbers of every trial."""
        write_json(path, self.to_dict())

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """The table, whole or not at all."""
        rows = [row.to_dict() for row in self.rows()]
        about = {"trial": self.design.title, "trials": self.trials, "seed": self.seed}
        write_rows(path, list(rows[0]) if rows else [], rows, about=about, remarks=(*self.notes, ADVICE))

    def write_numbers(self, path: str | os.PathLike[str]) -> None:
        """Every number of every trial, a line for each trial, whole or not at all."""
        named = {" | ".join(filter(None, key)): values for key, values in self.numbers.items()}
        records = (
            {"trial": k} | {name: float(values[k]) for name, values in named.items()}
            for k in range(self.trials)
        )
        about = {"trial": self.design.title, "seed": self.seed}
        write_rows(path, ["trial", *named], records, about=about, remarks=(*self.notes, ADVICE))

    # --- one line

    def _row(self, key: NumberKey, row: Published | None) -> TrialRow:
        analysis, quantity, arm = key
        values = self.numbers[key]
        known = values[np.isfinite(values)]
        low, median, high = np.quantile(known, (LOW, 0.5, HIGH)) if known.size else (math.nan,) * 3
        p = values if is_p(quantity) else self.numbers.get((analysis, "p", arm))
        share = math.nan if p is None else significant(p, self._analysis(analysis).alpha)[0]
        agree, inside = _agreement(row, known, float(low), float(high))
        return TrialRow(
            analysis,
            quantity,
            arm,
            float(median),
            float(low),
            float(high),
            known.size,
            share,
            row,
            inside,
            agree,
        )

    def _analysis(self, name: str) -> TrialAnalysis:
        return next(one for one in self.design.analyses if one.name == name)

    # --- bands

    def _visits(self) -> Iterator[dict[str, Any]]:
        v = self.visits
        for k, arm in enumerate(self.design.arms):
            for j, output in enumerate(v.outputs):
                for i, day in enumerate(v.days):
                    means = bands(v.means[:, k, j, i])
                    yield {
                        "arm": arm.name,
                        "output": output,
                        "unit": v.units[j],
                        "day": float(day),
                        "mean": means[1],
                        "mean_low": means[0],
                        "mean_high": means[2],
                        "sd": bands(v.sds[:, k, j, i])[1],
                        "patients": float(np.mean(v.seen[:, k, j, i])),
                    }

    def _survival(self) -> Iterator[dict[str, Any]]:
        if not self.design.event:
            return
        c = self.curves
        for g, group in enumerate(c.groups):
            for k, arm in enumerate(self.design.arms):
                low, middle, high = bands(c.curves[:, g, k])
                yield {
                    "group": group,
                    "arm": arm.name,
                    "patients": float(np.mean(c.at_risk[:, g, k])),
                    "days": c.days,
                    "median": middle,
                    "low": low,
                    "high": high,
                }


def bands(values: Floats) -> Floats:
    """5 %, 50 % and 95 % over trials (the first axis), those without a value left out; nan without any."""
    flat = values.reshape(len(values), -1)
    found = np.full((3, flat.shape[1]), np.nan)
    some = np.isfinite(flat).any(axis=0)
    if some.any():
        found[:, some] = np.nanquantile(flat[:, some], (LOW, 0.5, HIGH), axis=0)
    return found.reshape(3, *values.shape[1:])


def is_p(quantity: str) -> bool:
    """Whether it is a p value."""
    return quantity == "p" or quantity.endswith(" p")


def hidden(key: NumberKey) -> bool:
    """Ends of a trial's own interval are no line of the table, nor are numbers of patients, unless something
    was published of them."""
    return key[1] in ("lower", "upper", "n")


def significant(p: Floats, alpha: float) -> tuple[float, int]:
    """The share of trials with a p value below alpha, and how many have one."""
    known = p[np.isfinite(p)]
    return (float(np.mean(known < alpha)) if known.size else math.nan), int(known.size)


def unverified_mark(row: Published) -> str:
    """What stands behind a number that was not checked against its source."""
    return " (unverified)" if row.provenance == "unverified" else ""


def _agreement(row: Published | None, known: Floats, low: float, high: float) -> tuple[float, bool | None]:
    if row is None or not known.size:
        return math.nan, None
    if not row.bound:
        return math.nan, bool(low <= row.value <= high)
    agree = float(np.mean(known < row.value if row.bound == "<" else known > row.value))
    return agree, agree >= LOW
