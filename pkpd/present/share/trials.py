"""Simulated trials as an exhibit: what was published beside what they predict, every analysis, interim looks
and power."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from pkpd.present.report import trial as report
from pkpd.present.report.comparison import flat
from pkpd.present.report.numbers import number, percent
from pkpd.present.share.exhibit import ADVICE, Exhibit, SharedColumn, SharedTable, one_line, source_of
from pkpd.trial import TrialResult
from pkpd.trial.looks import TrialLooks
from pkpd.trial.result import TrialRow, is_p

NINETY = "90 % of trials"
STOPS = {"efficacy": "efficacy", "harm": "harm", "futility": "futility", "undecided": "no difference"}
"""Why trials stop, and how it is called."""
INTERRUPTED = "It was interrupted: these are the trials that were done."
READING = (
    "Predicted: median and 90 % interval over the simulated trials. A published number is one trial: one in "
    "ten of a true model's lies outside. A published bound is inside where at least one trial in twenty "
    "agrees with it.",
    "Significant: the share of trials whose p value is below alpha.",
)
TO_THE_END = "Numbers of analyses are of trials that went to their end, as if they had not stopped at a look."


def exhibit(result: TrialResult, command: str = "") -> Exhibit:
    """What leaves the program of simulated trials."""
    design, source = result.design, _source(result)
    notes = (*[INTERRUPTED] * result.interrupted, *result.notes)
    foot = " ".join((*notes, source, ADVICE))
    return Exhibit(
        stem="trial",
        title=design.title,
        subjects=tuple(map(one_line, _subjects(result))),
        findings=tuple(_findings(result)),
        drawings=tuple(report.drawings(result, foot)),
        slides=tuple(report.drawings(result)),
        tables=tuple(_tables(result)),
        warnings=(("", tuple(map(one_line, notes))),) if notes else (),
        reading=(*READING, *[TO_THE_END] * bool(result.looks)),
        definitions=tuple((one_line(name), one_line(said)) for name, said in report.design_facts(result)),
        provenance=tuple((name, one_line(value)) for name, value in flat(dict(result.provenance))),
        command=command,
        write_csv=result.write_csv,
        write_json=result.write_json,
        source=source,
        page=lambda pictures: report.render(result, pictures, command=command),
        pictures=tuple(report.drawings(result)),
        beside={"numbers.csv": result.write_numbers},
    )


def _source(result: TrialResult) -> str:
    design = result.design
    made = {"fit": design.fit or result.provenance["model"], "fitted": bool(design.fit)}
    trials = f"{result.trials:,} simulated trial{'s' * (result.trials != 1)}"
    return source_of(made, f"{trials} of {design.n_patients:,} virtual patients,")


def _subjects(result: TrialResult) -> Iterator[str]:
    """The arms, and which trial it is."""
    for arm in result.design.arms:
        schedule = str(arm.schedule) or "none"
        when = "" if arm.schedule.when == "no dose" else f" ({arm.schedule.when} from randomisation)"
        yield f"{arm.name}, n = {arm.n}: {schedule}{when}"
    if result.design.source:
        yield f"the trial: {result.design.source}"


def _findings(result: TrialResult) -> Iterator[str]:
    if said := report.verdict(result):
        yield said
    for row in _once(result):
        if row.analysis == result.design.primary and is_p(row.quantity) and not math.isnan(row.significant):
            yield f"{_words(row)} (primary): significant in {percent(row.significant)} of trials."
    if result.looks is not None:
        told = result.looks.summary()
        looked, fixed = (
            f"{percent(told[f'{how}power'])} in favour, on average {told[f'{how}patients']:.0f} patients, "
            f"{told[f'{how}events']:.0f} events and {told[f'{how}days']:.0f} days"
            for how in ("", "fixed ")
        )
        yield f"With looks: {looked}; with one analysis at the end: {fixed}."


def _words(row: TrialRow) -> str:
    quantity = "" if row.quantity == "p" else row.quantity.removesuffix(" p")
    return ", ".join(filter(None, (row.analysis, quantity, row.arm)))


def _once(result: TrialResult) -> list[TrialRow]:
    """A line for each number, however much was published of it."""
    return list({(row.analysis, row.quantity, row.arm): row for row in result.rows()}.values())


def _tables(result: TrialResult) -> Iterator[SharedTable]:
    published = [row for row in result.rows() if row.published is not None]
    if published:
        yield _published(published)
    yield _analyses(result)
    if result.looks is not None:
        yield _looks(result.looks)
    if result.power():
        yield _power(result)


def _published(rows: Sequence[TrialRow]) -> SharedTable:
    columns = (
        SharedColumn("name", "number", "text"),
        SharedColumn("which", "of the analysis", "text"),
        SharedColumn("shown", "published", "text"),
        SharedColumn("value", "published, the number"),
        SharedColumn("median", "predicted, median"),
        SharedColumn("low", f"{NINETY}, from"),
        SharedColumn("high", "to"),
        SharedColumn("inside", "inside", "text"),
        SharedColumn("agree", "trials that agree with a bound", "share"),
        SharedColumn("provenance", "provenance", "text"),
        SharedColumn("source", "source", "text"),
        SharedColumn("note", "note", "text"),
    )
    lines, records = [], []
    for row in rows:
        of = row.published
        assert of is not None
        inside = {True: "inside", False: "outside", None: ""}[row.inside]
        lines.append((of.name, of.shown, *_predicted(row), inside, of.provenance))
        records.append(
            {key: getattr(row, key) for key in ("median", "low", "high", "agree")}
            | {key: getattr(of, key) for key in ("name", "shown", "value", "provenance", "source", "note")}
            | {"which": ", ".join(filter(None, (row.analysis, row.quantity, row.arm))), "inside": inside}
        )
    heads = ("number", "published", "predicted", NINETY, "", "provenance")
    return SharedTable("Published", heads, tuple(lines), columns, tuple(records))


def _analyses(result: TrialResult) -> SharedTable:
    rows = _once(result)
    keys = {"median": "median", "low": f"{NINETY}, from", "high": "to"}
    columns = (
        *(SharedColumn(key, key, "text") for key in ("analysis", "quantity", "arm")),
        *(SharedColumn(key, head) for key, head in keys.items()),
        SharedColumn("significant", "significant", "share"),
        SharedColumn("trials", "trials with a number", "count"),
    )
    lines, records = [], []
    for row in rows:
        primary = " (primary)" * (row.analysis == result.design.primary)
        power = row.significant if is_p(row.quantity) else math.nan
        lines.append((row.analysis + primary, row.quantity, row.arm, *_predicted(row), percent(power)))
        records.append(
            {key: getattr(row, key) for key in ("analysis", "quantity", "arm", *keys)}
            | {"significant": power, "trials": row.n}
        )
    heads = ("analysis", "quantity", "arm", "median", NINETY, "significant")
    return SharedTable("Analyses", heads, tuple(lines), columns, tuple(records))


def _predicted(row: TrialRow) -> tuple[str, str]:
    """The median and the interval as they are shown."""
    if not math.isfinite(row.low):
        return number(row.median, row.digits), ""
    return number(row.median, row.digits), " to ".join(number(end, row.digits) for end in (row.low, row.high))


def _looks(looks: TrialLooks) -> SharedTable:
    columns = (
        SharedColumn("look", "look", "text"),
        SharedColumn("reached", "trials that come to it", "share"),
        SharedColumn("day", "calendar day, median"),
        SharedColumn("day_low", f"{NINETY}, from"),
        SharedColumn("day_high", "to"),
        SharedColumn("information", f"of {looks.planned:,} {looks.unit}", "share"),
        SharedColumn("boundary", "boundary, |z|"),
        SharedColumn("patients", "patients who have entered"),
        *(SharedColumn(why, f"trials that stop there: {said}", "share") for why, said in STOPS.items()),
    )
    lines, records = [], []
    for row in looks.rows():
        limit = row["boundary"] if math.isfinite(row["boundary"]) else math.nan
        cells = percent(row["reached"]), number(row["day"]), percent(row["information"]), number(limit)
        lines.append((row["look"], *cells, *(percent(row[why]) for why in STOPS)))
        records.append({column.key: row[column.key] for column in columns} | {"boundary": limit})
    heads = ("look", "trials", "day", f"of {looks.planned:,} {looks.unit}", "boundary, |z|", *STOPS.values())
    return SharedTable("Interim looks", heads, tuple(lines), columns, tuple(records))


def _power(result: TrialResult) -> SharedTable:
    columns = (
        SharedColumn("analysis", "analysis", "text"),
        SharedColumn("quantity", "p value", "text"),
        SharedColumn("arm", "arm", "text"),
        SharedColumn("patients", "patients in all", "count"),
        SharedColumn("power", "significant", "share"),
        SharedColumn("se", "standard error", "share"),
    )
    lines, records = [], []
    for one in result.power():
        said: dict[str, Any] = {column.key: one[column.key] for column in columns}
        shares = percent(one["power"]), percent(one["se"])
        lines.append((one["analysis"], one["quantity"], one["arm"], f"{one['patients']:,}", *shares))
        records.append(said)
    heads = ("analysis", "p value", "arm", "patients in all", "significant", "± (SE)")
    note = "A smaller trial is the first patients of the largest, at the same draw of the parameters."
    note = note if result.by_size else ""
    return SharedTable("Power", heads, tuple(lines), columns, tuple(records), note)
