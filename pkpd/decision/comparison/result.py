"""Arms of one scene -> the table: every endpoint of every schedule, beside the first schedule."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.arguments import LIST, TEXT, TEXTS, WHOLE, takes
from pkpd.core.errors import InputError
from pkpd.core.extras import optional
from pkpd.core.files import write_json, write_rows
from pkpd.core.names import question_or_list
from pkpd.decision.adaptive import BY_RULES
from pkpd.decision.comparison.arm import Arm
from pkpd.decision.criteria import Criteria, OnRequest
from pkpd.decision.endpoints import Endpoint, quantiles
from pkpd.decision.evidence import COUNTED, Evidence, Standing
from pkpd.dosing.rules import AdaptiveSchedule, Plan
from pkpd.dosing.taking import TakenSchedule
from pkpd.solver.kernel import cautions_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

LEVELS = (0.05, 0.5, 0.95)
FEWEST_DRAWS, FEWEST_OF_A_DRAW = 10, 5
"""Draws, and subjects of a draw, with fewer of which nothing is said of the parameters' uncertainty."""
FEWEST_RANKED = 19
"""Draws of which the smallest and the largest have 90 % between them."""
NAN = math.nan
ROUNDING = 1e-9  # of the smallest relevant difference
MOST_NUMBERS = 1_000_000  # in rows whose intervals are computed together
Three = tuple[float, float, float]


class Topic(StrEnum):
    """What a reader is told of, the most important first."""

    MISSING = "missing numbers"
    MODEL = "what has to be known first"
    NO_DATA = "no data"
    BEYOND = "beyond what the fit saw"
    PEOPLE = "who the people are"


class Notice(NamedTuple):
    """A sentence that a reader needs to know, numbers of the arms that it is about (none: the subjects), and
    its topic."""

    arms: tuple[int, ...]
    sentence: str
    topic: Topic


@dataclass(frozen=True)
class ComparisonRow:
    """One endpoint under one schedule, ``of`` "subjects" or (a probability of the whole group) "posterior
    draws".

    median, low, high : over subjects, 5 % and 95 %. median_low, median_high : 90 % interval of the
        population's median by the uncertainty of the parameters
    alone. difference, difference_low, difference_high : of the same subject under this schedule and under the
        first; difference_median_low and _high : of the
    median difference by the parameters alone. better, same, worse : the shares of subjects who do better than
    under the first schedule by at least ``endpoint.relevant``, worse by as much, or neither; together 1. n :
    subjects with a number; missing : those without a value; beyond : those whose value lies beyond the
    horizon (they count as larger than any number); pairs : subjects with a value under both. light : how far
    the number has been put to the test, one of ``pkpd.decision.evidence.Light``; ``Comparison.standing`` says
    why. What does not exist is nan, of the first arm the differences and shares.
    """

    endpoint: Endpoint
    arm: str
    of: str
    n: int
    missing: int
    beyond: int
    median: float
    low: float
    high: float
    median_low: float = NAN
    median_high: float = NAN
    pairs: int = 0
    difference: float = NAN
    difference_low: float = NAN
    difference_high: float = NAN
    difference_median_low: float = NAN
    difference_median_high: float = NAN
    better: float = NAN
    same: float = NAN
    worse: float = NAN
    light: str = ""


COLUMNS = (
    "arm",
    "schedule",
    "group",
    "endpoint",
    "unit",
    "of",
    "n",
    "missing",
    "beyond",
    "median",
    "low",
    "high",
    "median_low",
    "median_high",
    "pairs",
    "difference",
    "difference_low",
    "difference_high",
    "difference_median_low",
    "difference_median_high",
    "better",
    "same",
    "worse",
    "relevant",
    "light",
    "definition",
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Schedules side by side: a row per endpoint and arm, endpoint after endpoint as they are shown to
    people.

    Attributes
    ----------
    arms : (n_arms,), of which the first is what the others are compared with.
    rows : (n_endpoints * n_arms,), each in its endpoint's unit: over subjects the ``median`` and the middle
        90 % from ``low`` to ``high``, the ``difference`` to the first arm in the same subject, and the shares
        of subjects who do ``better``, the ``same`` or ``worse``.
    reading, told : sentences: what the numbers are, and what a reader needs to know.
    provenance : what they were made from.
    show : groups of endpoints that were asked for, of those that are shown on request.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=4)
    >>> comparison = pkpd.compare(scene.arms(["1 MIU sc once", "2 MIU sc once"]))
    >>> row = comparison.row("Treg peak", arm=1)
    >>> row.endpoint.unit, row.n, bool(row.low <= row.median <= row.high)
    ('percent', 4, True)
    >>> len(comparison.choose(["Treg peak", "Cmax"]).to_frame())
    4
    """

    arms: tuple[Arm, ...]
    rows: tuple[ComparisonRow, ...]
    reading: tuple[str, ...]
    """What the numbers are, in sentences."""
    told: tuple[Notice, ...]
    """Where the comparison leaves what the fit has seen, and what else a reader needs to know, most important
    first."""
    provenance: dict[str, Any]
    show: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = [f"  {mark}  {arm.label}" for mark, arm in zip(letters(4), self.arms, strict=False)]
        more = [f"  ... and {len(self.arms) - 4} more"] * (len(self.arms) > 4)
        about = (
            f"<Comparison of {len(self.endpoints)} endpoints in {self.arms[0].scene.subjects:,} "
            "subjects (to_frame() has them):"
        )
        return "\n".join([about, *shown, *more]) + ">"

    def _repr_html_(self) -> str:
        marks = dict(zip((arm.label for arm in self.arms), letters(len(self.arms)), strict=True))
        arms = "; ".join(f"{mark}: {label}" for label, mark in marks.items())
        columns = ["endpoint", "unit", "", "median (90 % of subjects)"]
        if len(self.arms) > 1:
            columns += ["difference to A (90 % of subjects)", "better", "same", "worse"]
        rows = [
            (
                row.endpoint.name,
                row.endpoint.unit,
                marks[row.arm],
                html.interval(row.median, row.low, row.high),
                html.interval(row.difference, row.difference_low, row.difference_high),
                row.better,
                row.same,
                row.worse,
            )[: len(columns)]
            for row in self.main().rows
        ]
        note = "The main endpoints: to_frame() has all, to_xarray() by name. A model, not medical advice."
        sentence = f"{len(self.endpoints)} endpoints in {self.arms[0].scene.subjects:,} subjects. {arms}"
        return html.table(sentence, columns, rows, " ".join((*self.short_warnings, note)))

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset``: a variable for each number of a row, (endpoint, arm), with the endpoints'
        names, units and definitions and the arms' labels and schedules as coordinates.

        Raises ``MissingExtraError`` where the package xarray is not installed.
        """
        xarray = optional("xarray", "xarray")
        shape = len(self.endpoints), len(self.arms)
        numbers = {
            name: (("endpoint", "arm"), np.reshape([getattr(row, name) for row in self.rows], shape))
            for name in _NUMBERS
            if name != "of"
        }
        of = [row.of for row in self.rows[:: len(self.arms)]]
        return xarray.Dataset(
            numbers,
            coords={
                "endpoint": [endpoint.name for endpoint in self.endpoints],
                "unit": ("endpoint", [endpoint.unit for endpoint in self.endpoints]),
                "group": ("endpoint", [endpoint.group for endpoint in self.endpoints]),
                "definition": ("endpoint", [endpoint.definition for endpoint in self.endpoints]),
                "of": ("endpoint", of),
                "arm": [arm.label for arm in self.arms],
                "schedule": ("arm", [arm.text for arm in self.arms]),
            },
            attrs={"reading": list(self.reading), "warnings": list(self.warnings)},
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is ``told``, with the labels of the schedules."""
        return self._warnings([arm.label for arm in self.arms], "; ")

    @property
    def short_warnings(self) -> tuple[str, ...]:
        """What is ``told``, with the letters of the schedules."""
        return self._warnings(letters(len(self.arms)), ", ")

    def _warnings(self, names: Sequence[str], between: str) -> tuple[str, ...]:
        everybody = len(names) if len(names) > 1 else 0

        def who(about: Sequence[int]) -> str:
            if not about:
                return ""
            all_of_them = len(about) == everybody
            return f"{'All schedules' if all_of_them else between.join(names[i] for i in about)}: "

        return tuple(who(told.arms) + told.sentence for told in self.told)

    @property
    def criteria(self) -> Criteria:
        """By what the schedules are judged."""
        return self.arms[0].scene.criteria

    @property
    def kept_back(self) -> tuple[OnRequest, ...]:
        """Groups of endpoints, and outputs, that nobody asked for."""
        return self.criteria.kept_back(self.show)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """In the order of the rows."""
        return tuple(dict.fromkeys(row.endpoint for row in self.rows))

    @takes(endpoint=TEXT, arm=TEXT | WHOLE)
    def row(self, endpoint: str, arm: str | int = 0) -> ComparisonRow:
        """The row of an endpoint by its name, and of an arm by its label or number."""
        if isinstance(arm, int) and not -len(self.arms) <= arm < len(self.arms):
            raise InputError(f"there is no schedule number {arm} in this comparison; it has {len(self.arms)}")
        label = self.arms[arm].label if isinstance(arm, int) else arm
        for row in self.rows:
            if (row.endpoint.name, row.arm) == (endpoint, label):
                return row
        self.check_asked_for(endpoint)
        raise InputError(f'there is no endpoint "{endpoint}" of "{label}" in this comparison')

    def standing(self, row: ComparisonRow) -> Standing:
        """On what the numbers of a row stand: a traffic light, why, and the outputs whose rows of data are
        behind them."""
        (arm,) = (arm for arm in self.arms if arm.label == row.arm)
        return arm.standings.get(row.endpoint.name, COUNTED)

    @property
    def sources(self) -> tuple[Evidence, ...]:
        """The rows of data behind all of the endpoints."""
        return self.arms[0].scene.behind.under(map(self.standing, self.rows))

    @takes(names=TEXTS)
    def choose(self, names: Sequence[str]) -> Comparison:
        """The same with these endpoints only. Raises ``InputError`` for a name there is none of."""
        known = {endpoint.name for endpoint in self.endpoints} | {
            endpoint.group for endpoint in self.endpoints
        }
        for name in names:
            if name not in known:
                self.check_asked_for(name)
                raise InputError(f'there is no endpoint "{name}"; {question_or_list(name, sorted(known))}')
        kept = tuple(row for row in self.rows if {row.endpoint.name, row.endpoint.group} & set(names))
        return dataclasses.replace(self, rows=kept)

    def check_asked_for(self, name: str) -> None:
        """Raise ``InputError`` where an endpoint or group of this name is shown on request only."""
        declared = self.criteria.declared(name)
        for group in self.kept_back:
            if group.group in (name, declared.group if declared is not None else ""):
                raise InputError(
                    f'"{name[:60]}" is shown on request only, with what it rests on: --show "{group.group}", '
                    f'or compare(..., show=["{group.group}"])'
                )

    def main(self) -> Comparison:
        """The same with the main endpoints only; with all where there is none of them."""
        first = self.criteria.shown_first
        kept = tuple(row for row in self.rows if row.endpoint.name in first)
        return dataclasses.replace(self, rows=kept or self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: provenance, warnings, endpoints with their definitions, and per arm its doses and
        rows."""
        endpoints = {endpoint.name: dataclasses.asdict(endpoint) for endpoint in self.endpoints}
        return {
            "provenance": self.provenance,
            "reading": list(self.reading),
            "warnings": list(self.warnings),
            "endpoints": list(endpoints.values()),
            "sources": [one.as_dict() for one in self.sources],
            "arms": [
                {
                    "label": arm.label,
                    "schedule": arm.text,
                    "doses": len(arm.dose_days),
                    "dose_days": arm.schedule.when,
                    "rules": None if arm.rules is None else arm.rules.to_dict(),
                    "taken": None if arm.taken is None else arm.taken.to_dict(),
                    "failed_subjects": arm.failed,
                    "warnings": list(arm.warnings),
                    "rows": [
                        {"endpoint": row.endpoint.name, "unit": row.endpoint.unit}
                        | {name: _in_json(getattr(row, name)) for name in _NUMBERS}
                        | self.standing(row).as_dict()
                        for row in self.rows
                        if row.arm == arm.label
                    ],
                }
                for arm in self.arms
            ],
        }

    def _records(self) -> list[dict[str, Any]]:
        schedules = {arm.label: arm.text for arm in self.arms}
        about = ("name", "unit", "group", "definition")
        return [
            {"schedule": schedules[row.arm], "arm": row.arm}
            | {("endpoint" if key == "name" else key): getattr(row.endpoint, key) for key in about}
            | {name: getattr(row, name) for name in _NUMBERS}
            | {"relevant": relevant(row.endpoint), "light": str(row.light)}
            for row in self.rows
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row per endpoint and arm; provenance, warnings and what the numbers are in ``attrs``."""
        import pandas as pd

        frame = pd.DataFrame(self._records(), columns=list(COLUMNS))
        frame.attrs = {
            "provenance": self.provenance,
            "warnings": list(self.warnings),
            "reading": list(self.reading),
        }
        return frame

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """A row per endpoint and arm, whole or not at all. A number that does not exist is empty, one beyond
        the horizon ``inf``.

        Provenance and warnings stand above the header in lines that begin with "#".
        """
        write_rows(
            path,
            COLUMNS,
            self._records(),
            about=self.provenance,
            remarks=(*self.reading, *self.warnings),
        )

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """What ``to_dict`` has, whole or not at all. A number that does not exist is null, one beyond the
        horizon "inf"."""
        write_json(path, self.to_dict())


_NUMBERS = tuple(
    item.name for item in dataclasses.fields(ComparisonRow) if item.name not in ("endpoint", "arm", "light")
)


def letters(n: int) -> list[str]:
    """A, B, ... Z, AA, AB: what schedules are called where there is no room for their labels."""
    names = [chr(ord("A") + i) for i in range(26)]
    return (names + [one + other for one in names for other in names])[:n]


@takes(arms=LIST, show=TEXTS)
def compare(arms: Iterable[Arm], *, show: Sequence[str] = ()) -> Comparison:
    """Compare the schedules of one scene, each with the first.

    Parameters
    ----------
    arms : of one scene, as ``Scene.arms`` gives them; the first is what the others are compared with.
    show : groups of endpoints that are shown on request only (``[on_request]`` in docs/endpoints.md); what
        they rest on then stands among the warnings.

    Returns
    -------
    Comparison : a row per endpoint and arm, with quantiles over subjects and differences in the endpoint's
        unit; ``to_frame()`` is a table.

    Raises
    ------
    InputError : no arm, or arms of different subjects or horizons, which are not paired; no such group.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=4)
    >>> pkpd.compare(scene.arms(["1 MIU sc daily x5", "2 MIU sc daily x5"]))
    <Comparison of 33 endpoints in 4 subjects (to_frame() has them):
      A  1 MIU sc daily x5
      B  2 MIU sc daily x5>
    """
    arms = tuple(arms)
    for arm in arms:
        if not isinstance(arm, Arm):
            raise InputError(f"compare takes arms, such as Scene.arms gives, not {arm!r:.60}")
    arms = _labelled(arms)
    if not arms:
        raise InputError("there is no schedule to compare")
    first, scene = arms[0], arms[0].scene
    for arm in arms[1:]:
        if arm.scene.population is not scene.population or arm.scene.until_days != scene.until_days:
            raise InputError(
                f'"{arm.label}" was simulated with other subjects or to another day than '
                f'"{first.label}"; arms of one scene can be compared'
            )
    asked_for = scene.criteria.asked_for(show)
    kept_back = {group.group for group in scene.criteria.kept_back(show)}
    dosed = [arm for arm in arms if arm.dose_days.size] or arms
    endpoints = dict.fromkeys(
        endpoint for arm in dosed for endpoint in arm.endpoints if endpoint.group not in kept_back
    )
    pairs = []
    for endpoint in endpoints:
        base = _values(first, endpoint)
        for arm in arms:
            values = _values(arm, endpoint)
            pairs.append((endpoint, arm, values, base if arm is not first else np.full(base.size, NAN)))
    draw = scene.population.draw
    own = uncertainties(np.array([values for _, _, values, _ in pairs]), draw)
    apart = uncertainties(np.array([paired(values, base) for _, _, values, base in pairs]), draw)
    risks = {risk.endpoint for risk in scene.criteria.risks}
    rows = [
        _row(endpoint, arm, values, base, arm is first, endpoint in risks, own[i], apart[i])
        for i, (endpoint, arm, values, base) in enumerate(pairs)
    ]
    return Comparison(
        arms,
        tuple(rows),
        _reading(arms),
        tuple(Notice((), group.said, Topic.MODEL) for group in asked_for) + _told(arms),
        _provenance(arms) | ({"show": list(show)} if show else {}),
        tuple(show),
    )


def _labelled(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    """Arms with labels of their own: what comes again is numbered."""
    seen: set[str] = set()
    named = []
    for arm in arms:
        label, k = arm.label, 1
        while label in seen:
            k += 1
            label = f"{arm.label} ({k})"
        seen.add(label)
        named.append(arm if label == arm.label else dataclasses.replace(arm, label=label))
    return tuple(named)


def _values(arm: Arm, endpoint: Endpoint) -> Floats:
    """(n_subjects,), nan where the arm does not have it. No dose at all is none in any unit."""
    if endpoint not in arm.endpoints and not arm.dose_days.size:
        alike = {other.name: values for other, values in arm.endpoints.items()}
        if endpoint.name in alike:
            return alike[endpoint.name]
    nothing = 0.0 if endpoint in BY_RULES else NAN  # without rules no dose is held, reduced or raised
    return arm.endpoints.get(endpoint, np.full(arm.scene.subjects, nothing))


def _row(
    endpoint: Endpoint,
    arm: Arm,
    values: Floats,
    base: Floats,
    first: bool,
    own_draws: bool,
    own: Floats,
    apart: Floats,
) -> ComparisonRow:
    """own, apart : (2,), the intervals by the parameters alone, of the values and of the differences to
    ``base``; a ``first`` arm has none of these. own_draws : the values are draws of a posterior of their
    own."""
    low, median, high = _three(values)
    row = ComparisonRow(
        endpoint,
        arm.label,
        "posterior draws" if own_draws else "subjects",
        n=int(np.isfinite(values).sum()),
        missing=int(np.isnan(values).sum()),
        beyond=int(np.isinf(values).sum()),
        median=median,
        low=low,
        high=high,
        median_low=NAN if own_draws else float(own[0]),
        median_high=NAN if own_draws else float(own[1]),
        light=arm.standings.get(endpoint.name, COUNTED).light,
    )
    if first:
        return row
    low, median, high = _three(paired(values, base))
    better, same, worse = shares_of_better(values, base, endpoint)
    return dataclasses.replace(
        row,
        pairs=int(np.sum(~np.isnan(values) & ~np.isnan(base))),
        difference=median,
        difference_low=low,
        difference_high=high,
        difference_median_low=NAN if own_draws else float(apart[0]),
        difference_median_high=NAN if own_draws else float(apart[1]),
        better=better,
        same=same,
        worse=worse,
    )


def _three(values: Floats) -> Three:
    low, median, high = quantiles(values, LEVELS)
    return float(low), float(median), float(high)


def paired(values: Floats, base: Floats) -> Floats:
    """Differences of the same subjects; nan where one has no value, or where both lie beyond the horizon, so
    that nobody knows."""
    with np.errstate(invalid="ignore"):
        return values - base


def shares_of_better(values: Floats, base: Floats, endpoint: Endpoint) -> Three:
    """The shares of subjects who do better than with ``base``, the same, and worse; nan where nothing is
    better (0) or nobody has both.

    A difference counts from ``endpoint.relevant`` on (which rounding does not take from it), without it any
    does. A value beyond the horizon is larger than any number, and two of them are the same.
    """
    known = ~np.isnan(values) & ~np.isnan(base)
    if not endpoint.better or not known.any():
        return NAN, NAN, NAN
    one, other = values[known], base[known]
    apart, finite = np.zeros(one.size), np.isfinite(one) & np.isfinite(other)
    apart[one > other], apart[one < other] = np.inf, -np.inf
    apart[finite] = one[finite] - other[finite]
    least = np.zeros(one.size)
    if endpoint.relevant is not None:
        least[finite] = endpoint.relevant.margins(one[finite], other[finite]) * (1.0 - ROUNDING)
    counts = (np.abs(apart) >= least) & (apart != 0.0)
    better, worse = (float(np.mean(counts & (sign * endpoint.better * apart > 0.0))) for sign in (1, -1))
    return better, float(np.mean(~counts)), worse


def relevant(endpoint: Endpoint) -> str:
    """From which difference on a schedule is better or worse, and why: "0.1 (a tenth of baseline)"; empty
    where any counts or none is better."""
    if endpoint.relevant is None or not endpoint.better:
        return ""
    return (
        f"{endpoint.relevant.shown('' if endpoint.unit == '1' else endpoint.unit)} "
        f"({endpoint.relevant.reason})"
    )


def uncertainty(values: Floats, draw: NDArray[np.int64]) -> tuple[float, float]:
    """The 90 % interval of the population's median by the uncertainty of the parameters alone; nan with fewer
    than ten draws of five subjects.

    It is that of the medians of the draws, (n_draws,), drawn together around the median of all, since each
    draw has few subjects and its median would scatter with the same parameters too: by ``_share_left`` of
    the variance between draws, where the mean sampling variance of a median is that of Maritz & Jarrett (JASA
    73 (1978) 194) of the values of all draws, each draw's around its own mean.
    """
    ((low, high),) = uncertainties(values[None], draw)
    return float(low), float(high)


def uncertainties(rows: Floats, draw: NDArray[np.int64]) -> Floats:
    """``uncertainty`` of each of some rows, (n_rows, n_subjects) -> (n_rows, 2); those in which every subject
    has a number are computed together."""
    found = np.full((len(rows), 2), NAN)
    whole, empty = np.isfinite(rows).all(axis=1), np.isnan(rows).all(axis=1)
    size = max(1, MOST_NUMBERS // draw.size)
    together = [np.flatnonzero(whole)[first : first + size] for first in range(0, int(whole.sum()), size)]
    for some in [*together, *np.flatnonzero(~whole & ~empty)[:, None]]:
        found[some] = _ends(rows[some], draw)
    return found


def _ends(rows: Floats, draw: NDArray[np.int64]) -> Floats:
    """(n_rows, 2) of one row, or of several without nan and inf."""
    known = ~np.isnan(rows[0])
    rows = rows[:, known]
    groups = _by_draw(rows, draw[known])
    if sum(group.shape[1] for group in groups) < FEWEST_DRAWS:
        return np.full((len(rows), 2), NAN)
    medians = np.concatenate([_medians(group) for group in groups], axis=1)
    if np.isinf(medians).any():
        low, _, high = _three(medians[0])
        return np.array([[low, high]])
    total = np.var(medians, axis=1, ddof=1)
    by_chance = _variance_by_chance(groups)
    of_total = by_chance / np.where(total > 0.0, total, np.inf)
    left = np.sqrt(_share_left(of_total, medians.shape[1]))
    of_draws, middle = np.median(medians, axis=1), np.median(rows, axis=1)
    # around the median of all: of skewed values, those of the draws lie beside it
    middle = np.where(np.isfinite(middle), middle, of_draws)
    spread = middle[:, None] + left[:, None] * (medians - of_draws[:, None])
    return between(spread)


def between(draws: Floats) -> Floats:
    """(n_rows, 2) ends between which one draw more of each row lies with a probability of 90 %, of (n_rows,
    n_draws) draws.

    The draw of rank r of n has r/(n+1) of all others below it on average (definition 6 of Hyndman & Fan, Am
    Stat 50 (1996) 361), not the (r-1)/(n-1) of ``np.quantile``, between whose 5 % and 95 % of 25 draws only
    83 % lie. With fewer than 19 the smallest and the largest are not far enough apart, and Student's t says
    how far it is: the prediction interval of one more normal value, mean +- t sd sqrt(1 + 1/n) (Hahn &
    Meeker, Statistical Intervals, 1991, ch. 4).
    """
    n = draws.shape[1]
    if n >= FEWEST_RANKED:
        return np.asarray(np.quantile(draws, (LEVELS[0], LEVELS[-1]), axis=1, method="weibull").T)
    from scipy.special import stdtrit

    reach = stdtrit(n - 1, LEVELS[-1]) * math.sqrt(1.0 + 1.0 / n) * np.std(draws, axis=1, ddof=1)
    return np.asarray(np.mean(draws, axis=1)[:, None] + reach[:, None] * np.array([-1.0, 1.0]))


def _by_draw(rows: Floats, draw: NDArray[np.int64]) -> list[Floats]:
    """The values of each draw in ascending order: draws of the same size together, (n_rows, n_draws, size)
    each."""
    order = np.argsort(draw, kind="stable")
    starts = np.flatnonzero(np.diff(draw[order], prepend=-1))
    sizes = np.diff(starts, append=draw.size)
    return [
        np.sort(rows[:, order[starts[sizes == size, None] + np.arange(size)]], axis=-1)
        for size in np.unique(sizes)
        if size >= FEWEST_OF_A_DRAW
    ]


def _medians(group: Floats) -> Floats:
    """Of ascending values, (n_rows, n_draws, size) -> (n_rows, n_draws); the lower of the two in the middle
    where the upper one is infinite."""
    size = group.shape[-1]
    lower, upper = group[..., (size - 1) // 2], group[..., size // 2]
    return np.where(np.isfinite(upper), (lower + upper) / 2, lower)


def _variance_by_chance(groups: Sequence[Floats]) -> Floats:
    """(n_rows,) mean sampling variance of the medians of the draws, whose values lie around their means as
    those of all draws together do.

    Around their medians they would not: of few values, those in the middle are by construction close to it.
    """
    n_rows = len(groups[0])
    with np.errstate(invalid="ignore"):
        apart = np.concatenate(
            [(group - group.mean(axis=-1, keepdims=True)).reshape(n_rows, -1) for group in groups], axis=1
        )
    apart = np.sort(apart[:, np.isfinite(apart[0])], axis=1)
    found, draws = np.zeros(n_rows), 0
    for group in groups:
        share = _shares_of_the_median(apart.shape[1], group.shape[-1])
        found += group.shape[1] * (apart**2 @ share - (apart @ share) ** 2)
        draws += group.shape[1]
    return found / draws


def _share_left(of_total: Floats, draws: int) -> Floats:
    """By which factor the variance between ``draws`` medians shrinks where the share ``of_total`` (n_rows,)
    of it is what chance makes on average.

    S^2 of n medians is tau^2 + c times chi^2 of n - 1 over n - 1, where c is chance and tau the spread by the
    parameters. The difference S^2 - c is nought half of the time where c is the larger, and an interval of no
    width holds nothing. So tau^2 is its mean given S^2, with tau as likely anywhere, in units of what this is
    without chance; and chance moves the middle of n medians, by c/n.
    """
    shares, means = _means_of_the_variance_left(draws)
    left = np.interp(np.minimum(of_total, shares[-1]), shares, means)
    return np.asarray(np.where(of_total > 0.0, left + np.minimum(of_total, 1.0) / draws, 1.0))


@functools.lru_cache(maxsize=64)
def _means_of_the_variance_left(draws: int) -> tuple[Floats, Floats]:
    """Shares c/S^2, and at each the mean of tau^2/S^2 with tau uniform, relative to that at 0; draws > 4."""
    shares = np.linspace(0.0, 8.0, 401)
    tau = (np.arange(4000) + 0.5) / 500  # in units of S
    total = tau**2 + shares[:, None]
    log_density = -0.5 * (draws - 1) * (np.log(total) + 1.0 / total)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    means = density @ tau**2 / density.sum(axis=1)
    return shares, means / means[0]


@functools.lru_cache(maxsize=64)
def _shares_of_the_median(n: int, size: int) -> Floats:
    """(n,) how likely each of n values, ascending, is the median of ``size`` of them drawn with replacement:
    by the beta distribution of its rank."""
    points = (np.arange(16 * n) + 0.5) / (16 * n)
    density = (4.0 * points * (1.0 - points)) ** (0.5 * (size - 1))
    return np.asarray(density.reshape(n, 16).sum(axis=1) / density.sum())


def _reading(arms: Sequence[Arm]) -> tuple[str, ...]:
    scene = arms[0].scene
    population = scene.population
    n, draws = scene.subjects, scene.draws
    uncertain = "uncertainty" in population.vary
    if scene.of_one:
        return _reading_of_one(arms)
    sentences = [
        f"Median and 90 % interval (5 % to 95 %) over {n:,} virtual subjects, the same under every "
        f"schedule, followed for {scene.until_days:g} days"
        + (
            f". They carry {draws} draws of the fitted parameters, so that the interval holds their "
            "uncertainty too."
            if uncertain
            else f"; {scene.sure_of}."
        ),
    ]
    if len(arms) > 1:
        sentences.append(
            "Differences are those of the same subject, to the first schedule; better, same and "
            "worse are the shares of subjects who do better than with the first by at least the "
            "endpoint's smallest "
            "relevant difference, worse by as much, or neither."
        )
    if uncertain and draws >= FEWEST_DRAWS and n // draws >= FEWEST_OF_A_DRAW:
        sentences.append(
            f'"By the parameters alone" is the 90 % interval of the median over {draws} draws with '
            f"{n // draws} subjects each: how sure the model is of its middle."
        )
    sentences += given_words(arm.plan for arm in arms)
    for risk in scene.criteria.risks:
        if any(risk.endpoint in arm.endpoints for arm in arms):
            sentences.append(
                f"The probability of {risk.called} has uncertainty of its own, of {risk.source}: its "
                "interval is over as many draws of that as there are subjects."
            )
    return tuple(sentences)


def given_words(plans: Iterable[Plan]) -> list[str]:
    """How courses are to be read where doses are not those of the schedule as planned."""
    kinds = {type(plan) for plan in plans if not (isinstance(plan, TakenSchedule) and plan.as_planned)}
    said = []
    if AdaptiveSchedule in kinds:
        said.append(
            "Where a schedule has rules, each subject's doses are those that the rules left it, by "
            "the model's own outputs just before a dose, without any error of "
            "measurement; treatment, cycles and last dose, and the doses that figures show, are "
            "those of the schedule as planned."
        )
    if TakenSchedule in kinds:
        said.append(
            "Where doses are missed, late or doubled, each subject's course is that of the doses that "
            "it took; troughs, cycles and last dose, and the doses that figures show, are those of the "
            "schedule as planned. The same subjects miss the same doses of all schedules."
        )
    return said


def _reading_of_one(arms: Sequence[Arm]) -> tuple[str, ...]:
    scene = arms[0].scene
    measured = scene.about["measurements"]
    sentences = [
        f"Median and 90 % interval (5 % to 95 %) over {scene.subjects:,} draws of what this person may be, "
        f"by the fit's population and {measured} measurement{'s' * (measured != 1)}, followed to day "
        f"{scene.until_days:g}.",
        f"Doses before ({scene.history}) are simulated too; endpoints are those of each schedule from its "
        "first dose on; without further doses from when the first of the others begins, or else from the "
        "last dose before.",
    ]
    if len(arms) > 1:
        sentences.append(
            "Differences are those of the same draw, to the first schedule; better, same and worse are the "
            "probabilities that this person does better than with the first by at least the endpoint's "
            "smallest relevant difference, worse by as much, or neither."
        )
    return tuple(sentences)


def _told(arms: Sequence[Arm]) -> tuple[Notice, ...]:
    """The model's cautions, the population's notes and what the schedules are warned of, each sentence once,
    with the arms that it is about, in the order of topics."""
    scene = arms[0].scene
    found = [Notice((), caution, Topic.MODEL) for caution in cautions_of(scene.population.kernel)]
    topic = Topic.PEOPLE if scene.fitted else Topic.NO_DATA
    found += [Notice((), note, topic) for note in scene.population.notes]
    about: dict[tuple[str, Topic], list[int]] = {}
    for i, arm in enumerate(arms):
        if arm.failed:
            lost = f"{arm.failed:,} of {scene.subjects:,} subjects could not be integrated and have no value."
            about.setdefault((lost, Topic.MISSING), []).append(i)
        for warning in arm.warnings:
            topic = Topic.NO_DATA if warning in arm.no_data else Topic.BEYOND
            about.setdefault((warning, topic), []).append(i)
    found += [Notice(tuple(numbers), said, topic) for (said, topic), numbers in about.items()]
    return tuple(sorted(found, key=lambda told: list(Topic).index(told.topic)))


def _provenance(arms: Sequence[Arm]) -> dict[str, Any]:
    import platform

    from pkpd import __version__

    scene = arms[0].scene
    population = scene.population
    return {
        "fit": scene.fit,
        "fitted": scene.fitted,
        "model": population.kernel.NAME,
        "model_hash": population.kernel.HASH,
        "seed": population.seed,
        "subjects": scene.subjects,
        "draws": scene.draws,
        "vary": list(population.vary),
        **scene.about,
        "until_days": scene.until_days,
        "schedules": {arm.label: arm.text for arm in arms},
        "dose_days": {arm.label: arm.schedule.when for arm in arms},
        "versions": {"pkpd": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def _in_json(value: Any) -> Any:
    """Infinity, which JSON does not have, as a word; to_json makes null of nan."""
    return ("inf" if value > 0 else "-inf") if isinstance(value, float) and math.isinf(value) else value
