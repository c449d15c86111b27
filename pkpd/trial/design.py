"""The design of a trial, as a text file says it: who gets what, what is measured when, how it is analysed,
and what was published of it.

    design = read_design("mirocals")        # of the library
    design = read_design("./my_trial.toml")

The file is TOML, read strictly; `docs/trials.md` lists what can stand in it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import library
from pkpd.core.errors import DataError, PkpdError
from pkpd.core.names import question_or_list
from pkpd.core.toml import TomlTable, read
from pkpd.dosing import Schedule
from pkpd.trial.adverse import AdverseEvent, read_adverse
from pkpd.trial.data import TrialData
from pkpd.trial.kinds import KINDS, Published, TrialAnalysis, compute, read_analysis, read_published
from pkpd.trial.monitoring import Monitoring, read_monitoring

Floats = NDArray[np.float64]

ORIGINS = ("randomisation", "inclusion")
MOST_PATIENTS, MOST_DAYS = 100_000, 36_525.0
_TOP = (
    "title source extends notes model fit horizon origin primary parameters covariates arm stratum "
    "recruitment run_in randomisation dropout missed event adverse visits measured analysis monitoring look "
    "published"
).split()
_NAMED = ("arm", "stratum", "adverse", "analysis", "look", "published")
"""Lists of tables, which a design that extends another joins by their names."""


@dataclass(frozen=True)
class DesignArm:
    """How many are to get what.

    Attributes
    ----------
    name, n, schedule : what it is called, patients, and doses from randomisation on.
    """

    name: str
    n: int
    schedule: Schedule


@dataclass(frozen=True)
class DesignStratum:
    """Patients whose covariate lies from ``low`` on and below ``high``.

    Attributes
    ----------
    name, covariate, low, high : what it is called, of which covariate, and its cut points.
    """

    name: str
    covariate: str
    low: float
    high: float


@dataclass(frozen=True)
class CovariateSpread:
    """How a covariate is distributed between patients.

    Attributes
    ----------
    median, sd : in the model's unit; the SD is that of the logarithm if ``on_log``.
    low, high : between which patients are taken, others are not.
    """

    median: float
    sd: float
    on_log: bool = True
    low: float = -math.inf
    high: float = math.inf

    def values(self, z: Floats) -> Floats:
        """From standard normal numbers."""
        if self.on_log:
            return np.asarray(self.median * np.exp(self.sd * z))
        return self.median + self.sd * z

    def within(self, z: Floats) -> Floats:
        """Standard normal numbers of which the values lie in the part that is taken: each stays in its place
        of the distribution, by quantiles."""
        from scipy.special import ndtr, ndtri

        if self.sd == 0.0 or (math.isinf(self.low) and math.isinf(self.high)):
            return z
        below, above = (ndtr(self._standard(end)) for end in (self.low, self.high))
        return np.asarray(ndtri(np.clip(below + ndtr(z) * (above - below), 1e-300, 1 - 1e-16)))

    def _standard(self, end: float) -> float:
        if not self.on_log:
            return (end - self.median) / self.sd
        return math.log(end / self.median) / self.sd if end > 0.0 else -math.inf


@dataclass(frozen=True)
class MeasuredOutput:
    """An output that is measured at visits, and its error: y = f (1 + proportional e1) + additive e2.

    Attributes
    ----------
    output : of the model.
    proportional, additive : SDs, the second one in the output's unit.
    """

    output: str
    proportional: float
    additive: float


@dataclass(frozen=True)
class TrialDesign:
    """A clinical trial as it was or is to be.

    Attributes
    ----------
    name, title, source, file : what it is called, where it is from, and the file that says so.
    model, fit : of which one is named.
    arms : in the order of the file; the first is the control.
    horizon, origin : days to the end of follow-up, from "randomisation" or from "inclusion" (of which the
        run-in is a part).
    recruitment : days until all patients are randomised, one after the other; 0 for all at once.
    run_in, run_in_events : days from inclusion to randomisation, and whether people die in them, who are then
        not randomised.
    parameters, covariates : typical values that replace the model's, and distributions between patients.
    strata : for analyses and figures.
    randomised_by, cuts, block : covariate and cut points within which patients are allotted in blocks.
    dropout, vital_status : rate per year of leaving the trial, and whether events are still known then.
    missed : probability that a course of doses is not given.
    event : of which hazard, "" for none.
    adverse : adverse events that courses of doses may bring.
    visit_days : from randomisation.
    measured, analyses, published : as declared.
    monitoring : how the trial is looked at before its end, None if it is not.
    primary : the analysis that the design names so.
    notes : sentences that stand on every output.

    Examples
    --------
    >>> import pkpd
    >>> design = pkpd.read_design("imodals")
    >>> [(arm.name, arm.n) for arm in design.arms], design.follow_up
    ([('placebo', 12), ('1 MIU', 12), ('2 MIU', 12)], 169.0)
    """

    name: str
    title: str
    source: str
    file: str
    model: str
    fit: str
    arms: tuple[DesignArm, ...]
    horizon: float
    origin: str
    recruitment: float
    run_in: float
    run_in_events: bool
    parameters: Mapping[str, float | str]
    covariates: Mapping[str, CovariateSpread]
    strata: tuple[DesignStratum, ...]
    randomised_by: str
    cuts: tuple[float, ...]
    block: int
    dropout: float
    vital_status: bool
    missed: float
    event: str
    adverse: tuple[AdverseEvent, ...]
    visit_days: tuple[float, ...]
    measured: tuple[MeasuredOutput, ...]
    analyses: tuple[TrialAnalysis, ...]
    published: tuple[Published, ...]
    monitoring: Monitoring | None
    primary: str
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        arms = ", ".join(f"{arm.name} (n = {arm.n})" for arm in self.arms)
        return f"<TrialDesign {self.name}: {arms}; {self.follow_up:g} days from randomisation>"

    @property
    def n_patients(self) -> int:
        """Randomised in all arms."""
        return sum(arm.n for arm in self.arms)

    @property
    def follow_up(self) -> float:
        """Days from randomisation to the end."""
        return self.horizon - (self.run_in if self.origin == "inclusion" else 0.0)

    @property
    def before(self) -> float:
        """Days from the time origin to randomisation."""
        return self.run_in if self.origin == "inclusion" else 0.0

    @property
    def nobody(self) -> TrialData:
        """The data of this trial before anybody is enrolled: it has the same analyses."""
        return TrialData.of_nobody(
            tuple(arm.name for arm in self.arms),
            self.covariates,
            [one.name for one in self.strata],
            self.visit_days,
            [one.output for one in self.measured],
            [one.name for one in self.adverse],
        )


def read_design(name_or_path: str | os.PathLike[str]) -> TrialDesign:
    """Read and check the design of a trial.

    Parameters
    ----------
    name_or_path : one of ``pkpd.trials()``, or the path of a file such as ``./my_trial.toml``.

    Returns
    -------
    TrialDesign : of the file; what it extends is read too.

    Raises
    ------
    InputError : or one of its kinds: no such file, or what is wrong in it, with the key.

    Examples
    --------
    >>> import pkpd
    >>> pkpd.read_design("imodals")
    <TrialDesign imodals: placebo (n = 12), 1 MIU (n = 12), 2 MIU (n = 12); 169 days from randomisation>
    """
    path = library.trial_path(name_or_path)
    return _design(_merged(path, ()), path)


def parse_design(text: str, file: str = "trial.toml") -> TrialDesign:
    """The design that a text is; ``file`` is what errors call it, and beside which models are looked for."""
    return _design(read(text.encode(), file), Path(file))


def _merged(path: Path, seen: tuple[Path, ...]) -> TomlTable:
    """A file with what it extends: tables are joined key by key, lists of tables by their names, and all else
    is replaced."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    top = read(raw, path)
    if "extends" not in top.values:
        return top
    if path in seen:
        raise DataError(f"{path}: extends goes round in a circle")
    name = top.text("extends")
    beside = path.parent / f"{name}.toml"
    base = beside if beside.is_file() else library.trial_path(name)
    below = _seen_from(base.parent, _merged(base, (*seen, path)).values)
    if {"model", "fit"} & set(top.values):  # one of them, not both
        below = {key: value for key, value in below.items() if key not in ("model", "fit")}
    for key in set(_NAMED) & set(top.values):
        _distinct(top, key, [item.text("name") for item in tables(top, key)])
    return TomlTable(
        {**below, **{key: _joined(below.get(key), top.values[key]) for key in top.values}}, str(path)
    )


def _seen_from(folder: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a file in a folder says, a model, fit or table that lies beside it named by its whole path."""
    paths = {key: folder / values[key] for key in ("model", "fit") if isinstance(values.get(key), str)}
    found = {**values, **{key: str(path) for key, path in paths.items() if path.exists()}}
    if "adverse" in values and _are_tables(values["adverse"]):
        found["adverse"] = [
            {**item, "counts": str(folder / item["counts"])} if isinstance(item.get("counts"), str) else item
            for item in values["adverse"]
        ]
    return found


def _joined(below: Any, given: Any) -> Any:
    """What stands below, with what is given in place of it or besides; an empty list clears it."""
    if isinstance(below, dict) and isinstance(given, dict):
        return {**below, **given}
    if _are_tables(below) and _are_tables(given) and given:
        named = {item.get("name"): item for item in given}
        kept = [named.pop(item.get("name"), item) for item in below]
        return [*kept, *named.values()]
    return given


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _design(top: TomlTable, path: Path) -> TrialDesign:
    top.keys_within(_TOP)
    recruitment = top.table("recruitment")
    recruitment.keys_within(("days",))
    run_in, events, visits = top.table("run_in"), top.table("event"), top.table("visits")
    run_in.keys_within(("days", "events"))
    events.keys_within(("hazard",))
    visits.keys_within(("days",))
    dropout, missed, dealt = top.table("dropout"), top.table("missed"), top.table("randomisation")
    dropout.keys_within(("per_year", "vital_status"))
    missed.keys_within(("course_probability",))
    dealt.keys_within(("by", "cuts", "block"))
    name = path.absolute().parent.name if path.name == library.TRIAL else path.stem
    model, fit = _one_source(top, path)
    arms, covariates = _arms(top), _covariates(top)
    strata = tuple(_stratum(item, covariates) for item in tables(top, "stratum"))
    _distinct(top, "stratum", [one.name for one in strata])
    measured = tuple(_measured(top.table("measured"), name) for name in top.table("measured").values)
    days = _numbers(visits, "days")
    design = TrialDesign(
        name=name,
        title=top.text("title", name),
        source=top.text("source", ""),
        file=str(path),
        model=model,
        fit=fit,
        arms=arms,
        horizon=top.number("horizon", 365.0, low=0.01, high=MOST_DAYS),
        origin=_word(top, "origin", ORIGINS),
        recruitment=recruitment.number("days", 0.0, high=MOST_DAYS),
        run_in=run_in.number("days", 0.0, high=MOST_DAYS),
        run_in_events=_flag(run_in, "events", False),
        parameters=_parameters(top.table("parameters")),
        covariates=covariates,
        strata=strata,
        randomised_by=dealt.text("by", ""),
        cuts=_numbers(dealt, "cuts"),
        block=dealt.integer("block", 4, low=1, high=1000),
        dropout=dropout.number("per_year", 0.0, high=100.0),
        vital_status=_flag(dropout, "vital_status", False),
        missed=missed.number("course_probability", 0.0, high=1.0),
        event=events.text("hazard", ""),
        adverse=tuple(read_adverse(item, path.parent) for item in tables(top, "adverse")),
        visit_days=days,
        measured=measured,
        analyses=tuple(read_analysis(item) for item in tables(top, "analysis")),
        published=(),
        monitoring=None,
        primary=top.text("primary", ""),
        notes=top.texts("notes"),
    )
    _hangs_together(design, top)
    rows = [read_published(item) for item in tables(top, "published")]
    return replace(design, published=_checked_rows(design, rows), monitoring=_monitoring(design, top))


def _one_source(top: TomlTable, path: Path) -> tuple[str, str]:
    """The model, or the fit; one that lies beside the file is named by its file or folder."""
    model, fit = top.text("model", ""), top.text("fit", "")
    if bool(model) == bool(fit):
        raise DataError(
            f'{top.where}: name either model = "..." or fit = "..." (its estimates are then used)'
        )
    name = model or fit
    beside = path.parent / name
    if beside.is_file() if model else (beside / "fit.toml").is_file() or (beside / "result.json").is_file():
        name = str(beside) if beside.is_absolute() or len(beside.parts) > 1 else f"./{beside}"
    return (name, "") if model else ("", name)


def tables(top: TomlTable, key: str) -> list[TomlTable]:
    """The tables ``[[key]]`` of a file, each called by its name or number."""
    found = top.values.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise DataError(f"{top.where}: {key} is a list of tables, each under a line [[{key}]]")
    return [
        TomlTable(item, f"{top.where}: [[{key}]] {item.get('name') or number}")
        for number, item in enumerate(found, start=1)
    ]


def _arms(top: TomlTable) -> tuple[DesignArm, ...]:
    arms = []
    for item in tables(top, "arm"):
        item.keys_within(("name", "n", "schedule"))
        name, text = item.text("name"), item.text("schedule")
        try:
            schedule = Schedule.parse(text, f"{item.where}: schedule")
        except PkpdError as error:
            raise DataError(str(error)) from None
        n = item.values.get("n")
        if n is None:
            raise DataError(f"{item.where}: n = ... is needed, the number of patients")
        arms.append(DesignArm(name, item.integer("n", 0, low=1, high=MOST_PATIENTS), schedule))
    if not arms:
        raise DataError(f"{top.where}: a trial has arms: [[arm]] with name, n and schedule")
    _distinct(top, "arm", [arm.name for arm in arms])
    return tuple(arms)


def _distinct(top: TomlTable, what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(f'{top.where}: two of [[{what}]] are called "{name}"')


def _covariates(top: TomlTable) -> dict[str, CovariateSpread]:
    table, found = top.table("covariates"), {}
    for name, given in table.values.items():
        if isinstance(given, int | float) and not isinstance(given, bool):
            found[name] = CovariateSpread(float(given), 0.0, on_log=False)
            continue
        item = table.table(name)
        item.keys_within(("median", "log_sd", "mean", "sd", "from", "to"))
        on_log = "median" in item.values
        middle, sd = ("median", "log_sd") if on_log else ("mean", "sd")
        if not {middle, sd} <= set(item.values):
            raise DataError(f"{item.where}: give median and log_sd, or mean and sd")
        low, high = (item.number(key, end, low=-math.inf) if key in item.values else end
                     for key, end in (("from", -math.inf), ("to", math.inf)))  # fmt: skip
        if low >= high:
            raise DataError(f"{item.where}: from = {low:g} must be below to = {high:g}")
        found[name] = CovariateSpread(
            item.number(middle, 0.0, low=1e-300 if on_log else -math.inf),
            item.number(sd, 0.0),
            on_log,
            low,
            high,
        )
    return found


def _stratum(item: TomlTable, covariates: Iterable[str]) -> DesignStratum:
    item.keys_within(("name", "covariate", "from", "to"))
    covariate = item.text("covariate")
    if covariate not in covariates:
        known = question_or_list(covariate, covariates)
        raise DataError(f'{item.where}: "{covariate}" stands not under [covariates]; {known}')
    ends = [
        item.number(key, end, low=-math.inf) if key in item.values else end
        for key, end in (("from", -math.inf), ("to", math.inf))
    ]
    if ends[0] >= ends[1]:
        raise DataError(f"{item.where}: from = {ends[0]:g} must be below to = {ends[1]:g}")
    return DesignStratum(item.text("name"), covariate, *ends)


def _measured(table: TomlTable, name: str) -> MeasuredOutput:
    item = table.table(name)
    item.keys_within(("proportional", "additive"))
    return MeasuredOutput(name, item.number("proportional", 0.0), item.number("additive", 0.0))


def _parameters(table: TomlTable) -> dict[str, float | str]:
    for name, given in table.values.items():
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise DataError(f"{table.where}: {name} must be a number, or a text with its unit")
    return dict(table.values)


def _numbers(table: TomlTable, key: str) -> tuple[float, ...]:
    found = table.values.get(key, [])
    right = isinstance(found, list) and all(
        isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in found
    )
    if not right or list(found) != sorted(set(found)):
        raise DataError(f"{table.where}: {key} must be numbers, each larger than the one before")
    return tuple(float(one) for one in found)


def _flag(table: TomlTable, key: str, default: bool) -> bool:
    found = table.values.get(key, default)
    if not isinstance(found, bool):
        raise DataError(f"{table.where}: {key} must be true or false")
    return found


def _word(table: TomlTable, key: str, known: Sequence[str]) -> str:
    found = table.text(key, known[0])
    if found not in known:
        raise DataError(f'{table.where}: {key} = "{found}"; {question_or_list(found, known)}')
    return found


# --- whether its parts fit together


def _hangs_together(design: TrialDesign, top: TomlTable) -> None:
    where = top.where
    if design.n_patients > MOST_PATIENTS:
        raise DataError(f"{where}: {design.n_patients:,} patients are more than {MOST_PATIENTS:,}")
    if design.follow_up <= 0.0:
        raise DataError(f"{where}: a horizon of {design.horizon:g} days is over before the run-in is")
    for day in design.visit_days:
        if not -design.run_in <= day <= design.follow_up:
            raise DataError(
                f"{where}: [visits]: day {day:g} lies outside of the trial, which goes from day "
                f"{-design.run_in:g} to {design.follow_up:g} of randomisation"
            )
    if design.measured and not design.visit_days:
        raise DataError(f"{where}: outputs are [measured], but there are no [visits] with days")
    if design.randomised_by and design.randomised_by not in design.covariates:
        known = question_or_list(design.randomised_by, design.covariates)
        raise DataError(
            f'{where}: [randomisation]: by = "{design.randomised_by}" stands not under [covariates]; {known}'
        )
    _distinct(top, "adverse", [one.name for one in design.adverse])
    _distinct(top, "analysis", [one.name for one in design.analyses])
    for analysis in design.analyses:
        _check_analysis(design, analysis)
    names = [one.name for one in design.analyses]
    if design.primary and design.primary not in names:
        raise DataError(
            f'{where}: primary = "{design.primary}" is no analysis; {question_or_list(design.primary, names)}'
        )


def _monitoring(design: TrialDesign, top: TomlTable) -> Monitoring | None:
    items = tables(top, "look")
    _distinct(top, "look", [item.text("name") for item in items])
    arms = {arm.name: arm.n for arm in design.arms}
    found = read_monitoring(top.table("monitoring"), items, design.analyses, arms)
    longest = design.recruitment + design.follow_up
    for look in found.looks if found else ():
        if look.days >= longest:
            raise DataError(
                f"{look.where}: days = {look.days:g} is not before the end of the trial, which is on day "
                f"{longest:g} of calendar time"
            )
    return found


def _check_analysis(design: TrialDesign, analysis: TrialAnalysis) -> None:
    def known(name: str, names: Iterable[str], what: str) -> None:
        if name and name not in (given := list(names)):
            raise DataError(f'{analysis.where}: there is no {what} "{name}"; {question_or_list(name, given)}')

    outputs = [one.output for one in design.measured]
    known(analysis.within, [one.name for one in design.strata], "stratum")
    known(analysis.arm, [arm.name for arm in design.arms[1:]], "arm beside the control")
    known(analysis.output, outputs, "measured output")
    known(analysis.event, [one.name for one in design.adverse], "[[adverse]] event")
    for name in (*analysis.adjusted_by, analysis.interaction):
        known(name.removeprefix("log "), [*design.covariates, *outputs], "covariate or measured output")
    for day in (analysis.visit, analysis.baseline):
        if analysis.output and not math.isnan(day) and day not in design.visit_days:
            days = ", ".join(f"{one:g}" for one in design.visit_days)
            raise DataError(f"{analysis.where}: there is no visit on day {day:g}; visits are on {days}")
    if KINDS[analysis.kind].of_events and not design.event:
        raise DataError(f'{analysis.where}: kind = "{analysis.kind}" needs [event] hazard = "..."')
    if analysis.trend and len(analysis.trend) != len(design.arms):
        raise DataError(f"{analysis.where}: trend has a number for each of the {len(design.arms)} arms")


def _checked_rows(design: TrialDesign, rows: Sequence[Published]) -> tuple[Published, ...]:
    """Each with the arm that it is of, where its quantity is a number of one arm only."""
    found = {one.name: list(compute(one, design.nobody)) for one in design.analyses}
    return tuple(replace(row, arm=_arm_of(row, found)) for row in rows)


def _arm_of(row: Published, found: Mapping[str, list[tuple[str, str]]]) -> str:
    if row.analysis not in found:
        raise DataError(
            f'{row.where}: there is no analysis "{row.analysis}"; {question_or_list(row.analysis, found)}'
        )
    keys = found[row.analysis]
    arms = [arm for quantity, arm in keys if quantity == row.quantity]
    if not arms:
        known = question_or_list(row.quantity, dict.fromkeys(quantity for quantity, _ in keys))
        raise DataError(f'{row.where}: "{row.analysis}" has no quantity "{row.quantity}"; {known}')
    if row.arm in arms:
        return row.arm
    if row.arm or len(arms) > 1:
        raise DataError(
            f'{row.where}: "{row.quantity}" of "{row.analysis}" is a number of an arm: arm = '
            f"{' or '.join(json.dumps(arm, ensure_ascii=False) for arm in arms if arm)}"
        )
    return arms[0]
