"""The analyses of a trial, each a few numbers, and what was published of them.

    [[analysis]]
    name = "adjusted"
    kind = "cox"
    adjusted_by = ["log pNFH"]

A kind is a function from the data of a trial to numbers by quantity and arm, nan where there is no estimate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import DataError
from pkpd.core.names import question_or_list
from pkpd.core.normal import Z95
from pkpd.core.toml import TomlTable
from pkpd.trial.data import TrialData
from pkpd.trial.linear import (
    NO_CONTRAST,
    Contrast,
    fisher,
    joint_rank,
    least_squares,
    slope_weights,
    slopes,
    student,
    weighted_mean,
    welch,
)
from pkpd.trial.survival import cox, kaplan_meier, log_rank

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

NAN = float("nan")
MONTH = 365.25 / 12
PROVENANCES = ("reported", "secondary", "derived", "unverified")


@dataclass(frozen=True)
class TrialAnalysis:
    """An analysis as the design declares it.

    Attributes
    ----------
    name, kind, where : what it is called, one of ``KINDS``, and the place in the file.
    within : the stratum in which alone it is done, "" for all patients.
    arm : which is compared with the control, "" for every one.
    alpha : two-sided, below which a p value is significant.
    adjusted_by, interaction : covariates of a model of the events or of the change.
    output, visit, baseline : what is compared at which visit (days), and the visit that changes are from.
    log : whether logarithms are compared.
    trend : a number for each arm, along which a trend is tested; none for a comparison with the control.
    per : days that a slope is per.
    least : visits that a slope needs.
    day : of survival, from the time origin; nan for the end.
    event, courses : which adverse event, and in how many courses from the first on; 0 for all.
    """

    name: str
    kind: str
    where: str
    within: str = ""
    arm: str = ""
    alpha: float = 0.05
    adjusted_by: tuple[str, ...] = ()
    interaction: str = ""
    output: str = ""
    visit: float = NAN
    baseline: float = 0.0
    log: bool = False
    trend: tuple[float, ...] = ()
    per: float = MONTH
    least: int = 2
    day: float = NAN
    event: str = ""
    courses: int = 0


@dataclass(frozen=True)
class Published:
    """A number that was published of the trial.

    Attributes
    ----------
    name, where : what it is called, and the place in the file.
    analysis, quantity, arm : which number of a simulated trial it is compared with.
    value, bound : the number; bound "<" or ">" where only that was published, else "".
    low, high : of the published interval, nan where there is none.
    provenance, source, note : where it is from.
    """

    name: str
    where: str
    analysis: str
    quantity: str
    arm: str
    value: float
    bound: str
    low: float
    high: float
    provenance: str
    source: str
    note: str

    @property
    def shown(self) -> str:
        """As it was printed: "0.81 (0.54 to 1.22)", "< 0.05"."""
        interval = f" ({self.low:g} to {self.high:g})" if not math.isnan(self.low) else ""
        return f"{self.bound} {self.value:g}{interval}".strip()


ArmNumbers = dict[tuple[str, str], float]
"""(quantity, arm) to number; arm "" for what is of no arm."""


class AnalysisKind(NamedTuple):
    """What a kind needs and gives: keys of its table, quantities, whether it is about the event."""

    keys: tuple[str, ...]
    quantities: tuple[str, ...]
    of_events: bool
    compute: Callable[[TrialAnalysis, TrialData], ArmNumbers]


def compute(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    """The numbers of an analysis in a trial; which they are does not depend on the data."""
    if analysis.within:
        data = data.of(data.strata[analysis.within])
    return KINDS[analysis.kind].compute(analysis, data)


def _compared(analysis: TrialAnalysis, data: TrialData) -> Iterator[tuple[str, int]]:
    """Arms that are compared with the control: name and index."""
    for k, name in enumerate(data.arms):
        if k and analysis.arm in ("", name):
            yield name, k


# --- events


def _log_rank(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    found = {}
    for name, k in _compared(analysis, data):
        who = (data.arm == 0) | (data.arm == k)
        found["p", name] = log_rank(data.time[who], data.event[who], data.arm[who])
    return found


def _cox(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    found: ArmNumbers = {}
    names = list(analysis.adjusted_by)
    if analysis.interaction and analysis.interaction not in names:
        names.append(analysis.interaction)
    adjusting = [data.covariate(name, analysis.baseline) for name in names]
    for name, k in _compared(analysis, data):
        who = ((data.arm == 0) | (data.arm == k)) & np.isfinite(adjusting).all(axis=0)
        treated = (data.arm == k).astype(np.float64)
        columns = [treated, *adjusting]
        if analysis.interaction:
            columns.append(treated * adjusting[names.index(analysis.interaction)])
        estimate = cox(data.time[who], data.event[who], np.stack(columns, axis=1)[who])
        beta, se, p = estimate.beta, estimate.se, estimate.p
        with np.errstate(over="ignore"):
            ends = np.exp(beta[0] + se[0] * np.array([0.0, -Z95, Z95]))
        found |= dict(zip([("hr", name), ("lower", name), ("upper", name)], map(float, ends), strict=True))
        found["p", name] = float(p[0])
        if analysis.interaction:
            found["interaction", name], found["interaction p", name] = float(np.exp(beta[-1])), float(p[-1])
    return found


def _survival(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    day = np.array([analysis.day if not math.isnan(analysis.day) else np.inf])
    found: ArmNumbers = {}
    for k, name in enumerate(data.arms):
        who = data.arm == k
        found["fraction", name] = float(kaplan_meier(data.time[who], data.event[who], day)[0])
    for name, _ in _compared(analysis, data):
        found["difference", name] = found["fraction", name] - found["fraction", data.arms[0]]
    return found


def _count(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    found: ArmNumbers = {}
    for k, name in enumerate(data.arms):
        who = data.arm == k
        found["events", name] = float(data.event[who].sum())
        found["n", name] = float(who.sum())
    found["events", ""], found["n", ""] = float(data.event.sum()), float(data.arm.size)
    return found


def _joint_rank(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    change = change_of(analysis, data)
    found: ArmNumbers = {}
    for name, k in _compared(analysis, data):
        who = (data.arm == 0) | (data.arm == k)
        p, wins = joint_rank(data.time[who], data.event[who], change[who], data.arm[who] == k)
        found["p", name], found["wins", name] = p, wins
    return found


# --- adverse events


def _adverse(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    of = data.adverse[analysis.event][:, : analysis.courses or None]
    counted = np.isfinite(of)
    treated, had = counted.any(axis=1), (of == 1.0).any(axis=1)
    found: ArmNumbers = {}
    tables = []
    for k, name in enumerate(data.arms):
        who = (data.arm == k) & treated
        n, patients, courses = int(who.sum()), int(had[who].sum()), int(counted[who].sum())
        found["n", name], found["patients", name] = float(n), float(patients)
        found["share", name] = patients / n if n else NAN
        found["per course", name] = float((of[who] == 1.0).sum()) / courses if courses else NAN
        tables.append((patients, n - patients))
    for name, k in _compared(analysis, data):
        found["difference", name] = found["share", name] - found["share", data.arms[0]]
        found["p", name] = fisher(tables[0], tables[k])
    return found


# --- visits


def change_of(analysis: TrialAnalysis, data: TrialData) -> Floats:
    """From the baseline to the visit, (n,); of logarithms if asked; nan where it is not known."""
    before, after = (data.at(analysis.output, day) for day in (analysis.baseline, analysis.visit))
    if analysis.log:
        with np.errstate(invalid="ignore", divide="ignore"):
            before, after = np.log(before), np.log(after)
    return after - before


def _change(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    change = change_of(analysis, data)
    found: ArmNumbers = {}
    of = [change[(data.arm == k) & np.isfinite(change)] for k in range(len(data.arms))]
    for name, values in zip(data.arms, of, strict=True):
        found["n", name] = float(values.size)
        found["mean", name] = float(values.mean()) if values.size else NAN
        found["sd", name] = float(values.std(ddof=1)) if values.size > 1 else NAN
    for name, k in _compared(analysis, data):
        pooled, freedom = _pooled(of[k], of[0])
        apart = found["mean", name] - found["mean", data.arms[0]]
        found["effect size", name] = apart / pooled if pooled > 0.0 else NAN
        either = 1.0 / max(of[k].size, 1) + 1.0 / max(of[0].size, 1)
        found["p", name] = student(apart, pooled * math.sqrt(either), freedom).p
    return found


def _pooled(one: Floats, other: Floats) -> tuple[float, int]:
    """The SD within both groups, and its degrees of freedom."""
    freedom = one.size + other.size - 2
    if min(one.size, other.size) < 1 or freedom < 1:
        return NAN, 0
    square = one.size * one.var() + other.size * other.var()
    return math.sqrt(square / freedom), freedom


def _ancova(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    change = change_of(analysis, data)
    baseline = data.at(analysis.output, analysis.baseline)
    with np.errstate(invalid="ignore", divide="ignore"):
        adjusting = [np.log(baseline) if analysis.log else baseline]
    adjusting += [data.covariate(name, analysis.baseline) for name in analysis.adjusted_by]
    ones = np.ones(data.arm.size)
    if analysis.trend:
        along = np.array(analysis.trend)[data.arm]
        return _contrasts(analysis, [("", _fitted([along, ones, *adjusting], change, 0))])
    others = range(1, len(data.arms))
    columns = [*((data.arm == k).astype(np.float64) for k in others), ones, *adjusting]
    return _contrasts(
        analysis, [(name, _fitted(columns, change, k - 1)) for name, k in _compared(analysis, data)]
    )


def _fitted(columns: list[Floats], y: Floats, column: int) -> Contrast:
    """The contrast of a column, by least squares in whom all is known of."""
    x = np.stack(columns, axis=1)
    known = np.isfinite(x).all(axis=1) & np.isfinite(y)
    fit = least_squares(x[known], y[known])
    return NO_CONTRAST if fit is None else fit.contrast(column)


def _contrasts(analysis: TrialAnalysis, found: list[tuple[str, Contrast]]) -> ArmNumbers:
    """Differences, or ratios where logarithms are compared."""
    numbers: ArmNumbers = {}
    for name, contrast in found:
        ends = list(contrast[:3])
        if analysis.log:
            ends = [math.exp(end) for end in ends]
        for quantity, value in zip(("difference", "lower", "upper"), ends, strict=True):
            numbers[quantity, name] = value
        numbers["p", name] = contrast.p
    return numbers


def _slope(analysis: TrialAnalysis, data: TrialData) -> ArmNumbers:
    y = data.measured[analysis.output]
    after = data.visits >= analysis.baseline
    if analysis.log:
        with np.errstate(invalid="ignore", divide="ignore"):
            y = np.log(y)
    lines = slopes(data.visits[after], y[:, after], analysis.least)
    of, weights = analysis.per * lines.slope, slope_weights(lines, data.arm)
    arms = [data.arm == k for k in range(len(data.arms))]
    found: ArmNumbers = {
        ("slope", name): weighted_mean(of[who], weights[who])
        for name, who in zip(data.arms, arms, strict=True)
    }
    control = found["slope", data.arms[0]]
    for name, k in _compared(analysis, data):
        contrast = welch(of[arms[k]], of[arms[0]], weights[arms[k]], weights[arms[0]])
        found["difference", name], found["p", name] = contrast.difference, contrast.p
        found["lower", name], found["upper", name] = contrast.lower, contrast.upper
        found["ratio", name] = found["slope", name] / control if control else NAN
    return found


_COMMON = ("name", "kind", "within", "alpha")
_CHANGE = ("output", "visit", "baseline", "log")
_CONTRAST = ("difference", "lower", "upper", "p")
KINDS: dict[str, AnalysisKind] = {
    "logrank": AnalysisKind(("arm",), ("p",), True, _log_rank),
    "cox": AnalysisKind(
        ("arm", "adjusted_by", "interaction", "baseline"),
        ("hr", "lower", "upper", "p", "interaction", "interaction p"),
        True,
        _cox,
    ),
    "survival": AnalysisKind(("arm", "day"), ("fraction", "difference"), True, _survival),
    "count": AnalysisKind((), ("events", "n"), True, _count),
    "joint_rank": AnalysisKind(("arm", *_CHANGE), ("p", "wins"), True, _joint_rank),
    "adverse": AnalysisKind(
        ("arm", "event", "courses"),
        ("patients", "share", "per course", "difference", "n", "p"),
        False,
        _adverse,
    ),
    "change": AnalysisKind(("arm", *_CHANGE), ("mean", "sd", "n", "effect size", "p"), False, _change),
    "ancova": AnalysisKind(("arm", "adjusted_by", "trend", *_CHANGE), _CONTRAST, False, _ancova),
    "slope": AnalysisKind(
        ("arm", "output", "baseline", "log", "per", "least"), ("slope", "ratio", *_CONTRAST), False, _slope
    ),
}
"""Of analyses, by the word that a design has for them."""


# --- as a design declares them


def read_analysis(item: TomlTable) -> TrialAnalysis:
    """Raises ``DataError`` for what is wrong, with its key."""
    kind = item.text("kind")
    if kind not in KINDS:
        raise DataError(f'{item.where}: kind = "{kind}"; {question_or_list(kind, KINDS)}')
    keys = KINDS[kind].keys
    item.keys_within((*_COMMON, *keys))
    for key in {"output", "event"} & set(keys):
        item.text(key)
    if "visit" in keys and "visit" not in item.values:
        raise DataError(f"{item.where}: visit = ... is needed, the day of the visit")
    log = item.values.get("log", False)
    if not isinstance(log, bool):
        raise DataError(f"{item.where}: log must be true or false")
    trend = item.values.get("trend", [])
    if not isinstance(trend, list) or not all(type(one) in (int, float) for one in trend):
        raise DataError(f"{item.where}: trend must be a list of numbers, one for each arm")
    return TrialAnalysis(
        name=item.text("name"),
        kind=kind,
        where=item.where,
        within=item.text("within", ""),
        arm=item.text("arm", ""),
        alpha=item.number("alpha", 0.05, low=1e-12, high=1.0),
        adjusted_by=item.texts("adjusted_by"),
        interaction=item.text("interaction", ""),
        output=item.text("output", ""),
        visit=item.number("visit", 0.0, low=-math.inf) if "visit" in item.values else NAN,
        baseline=item.number("baseline", 0.0, low=-math.inf),
        log=log,
        trend=tuple(map(float, trend)),
        per=item.number("per", MONTH, low=1e-6),
        least=item.integer("least", 2, low=2, high=1000),
        day=item.number("day", 0.0) if "day" in item.values else NAN,
        event=item.text("event", ""),
        courses=item.integer("courses", 1, low=1, high=1_000_000) if "courses" in item.values else 0,
    )


def read_published(item: TomlTable) -> Published:
    """Raises ``DataError`` for what is wrong, with its key."""
    item.keys_within(
        ("name", "analysis", "quantity", "arm", "value", "interval", "provenance", "source", "note")
    )
    value, bound = _value(item)
    low, high = _interval(item)
    return Published(
        name=item.text("name"),
        where=item.where,
        analysis=item.text("analysis"),
        quantity=item.text("quantity"),
        arm=item.text("arm", ""),
        value=value,
        bound=bound,
        low=low,
        high=high,
        provenance=provenance_of(item),
        source=item.text("source", ""),
        note=item.text("note", ""),
    )


def provenance_of(item: TomlTable) -> str:
    """How sure what was published is: one of ``PROVENANCES``."""
    found = item.text("provenance")
    if found not in PROVENANCES:
        raise DataError(f'{item.where}: provenance = "{found}"; {question_or_list(found, PROVENANCES)}')
    return found


def _value(item: TomlTable) -> tuple[float, str]:
    given = item.values.get("value")
    if isinstance(given, str):
        said = re.fullmatch(r"\s*([<>])\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*", given)
        if said:
            try:
                return float(said[2]), said[1]
            except ValueError:
                pass
        raise DataError(f'{item.where}: value = "{given}" must be a number, or a bound such as "< 0.05"')
    if given is None:
        raise DataError(f"{item.where}: value = ... is needed")
    return item.number("value", 0.0, low=-math.inf), ""


def _interval(item: TomlTable) -> tuple[float, float]:
    given = item.values.get("interval", [NAN, NAN])
    if not isinstance(given, list) or len(given) != 2 or not all(type(end) in (int, float) for end in given):
        raise DataError(f"{item.where}: interval must be two numbers, [low, high]")
    low, high = map(float, given)
    if low > high:
        raise DataError(f"{item.where}: interval = [{low:g}, {high:g}] has its ends the wrong way round")
    return low, high
