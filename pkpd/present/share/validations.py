"""Numbers that a fit has not seen as an exhibit: each beside what was predicted of it, what the prediction's
variance is made of, scores and orderings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from pkpd.inference.calibration import calibration
from pkpd.inference.validation import Ordering, ValidatedRow, Validation
from pkpd.present.report.drawing import Drawing
from pkpd.present.report.numbers import finite_or_word, unit
from pkpd.present.share.exhibit import ADVICE, Exhibit, SharedColumn, SharedTable, one_line

LEVEL = 0.9
"""Of the intervals that a table shows; a workbook has all."""
ROWS_OF_A_SLIDE = 12
ROWS = (
    "Predicted and reported, in SDs of the prediction. Bars: intervals of 50 and 95 %. Mark: the reported "
    "number, in colour outside of 95 %, hollow where it is unverified; a line or an arrow where only ends "
    "are reported. Right: what the variance of the prediction is made of."
)
CALIBRATION = (
    "Whether intervals hold what they say. Left: predicted probabilities of a smaller number, in order. "
    "Right: the share of numbers in central intervals. Bands: 95 % of such points, for independent numbers "
    "that come as predicted."
)
READING = (
    "Nothing was fitted to these numbers. An interval is of the reported number: it has what is not known of "
    "the parameters, how studies differ, which patients the arm happens to have, and the rest of the "
    "sampling error.",
    "SDs off: reported less predicted, as a normal quantile of the probability of a smaller number. Score: "
    "logarithm of the predicted density of the number. CRPS: continuous ranked probability score in the "
    "number's unit, less is better.",
)
PARTS = {
    "sd_parameters": "parameters",
    "sd_new_study": "new study",
    "sd_patients": "patients",
    "sd_sampling": "rest",
}


def exhibit(found: Validation, command: str = "") -> Exhibit:
    """What leaves the program of a validation."""
    from pkpd import __version__

    n = len(found.rows)
    source = f"{n:,} number{'s' * (n != 1)} of {one_line(found.file)}, by the fit {one_line(found.fit)}."
    foot = " ".join((*found.notes, source, ADVICE))
    left_out = [f"not predicted: {name}: {reason}" for name, reason in found.not_predicted.items()]
    unverified = [row.id for row in found.rows if row.provenance == "unverified"]
    marked = [f"unverified, not checked against their source: {', '.join(unverified)}"] * bool(unverified)
    said = tuple(map(one_line, (*found.notes, *left_out, *marked)))
    return Exhibit(
        stem="validation",
        title=f"{found.title}: numbers that it has not seen",
        subjects=(one_line(f"numbers: {found.file}"), one_line(f"fit: {found.fit}")),
        findings=(f"{found.verdict}.", found.scores(), *found.ordering_words()),
        drawings=tuple(_drawings(found, foot)),
        slides=tuple(_slides(found)),
        tables=(_predictions(found), _parts(found), *([_orderings(found)] if found.orderings else [])),
        warnings=(("", said),) if said else (),
        reading=READING,
        definitions=(),
        provenance=(("fit", found.fit), ("data", one_line(found.file)), ("versions: pkpd", __version__)),
        command=command,
        write_csv=found.write_csv,
        write_json=found.write_json,
        source=source,
    )


def _drawings(found: Validation, foot: str = "") -> Iterator[Drawing]:
    """The figures, not drawn yet; ``foot`` stands below each, with what its caption says."""
    from pkpd.present import plot

    rows = [dataclasses.asdict(row) for row in found.rows if row.intervals]
    if rows:
        yield _drawing(found, "validation", ROWS, plot.validation_figure, rows, foot)
    pits = [row.pit for row in found.rows if not math.isnan(row.pit)]
    if pits:
        yield _drawing(found, "calibration", CALIBRATION, plot.calibration_figure, calibration(pits), foot)


def _slides(found: Validation) -> Iterator[Drawing]:
    """The figures in parts that can be read on a slide."""
    for each in _drawings(found):
        if each.name == "validation":
            for i in range(0, len(each.of), ROWS_OF_A_SLIDE):
                part = each.of[i : i + ROWS_OF_A_SLIDE]
                yield dataclasses.replace(each, name=f"validation_{i}", of=part)
        else:
            yield each


def _drawing(found: Validation, name: str, caption: str, figure: Any, of: Any, foot: str) -> Drawing:
    said = f"{caption.partition('. ')[2]} {foot}" if foot else ""
    title = f"{found.title}: {found.file}"
    return Drawing(name, caption, partial(figure, title=title, footnote=said), of)


def _name(row: ValidatedRow) -> str:
    return row.id + " (unverified)" * (row.provenance == "unverified")


def _inside(row: ValidatedRow, level: float) -> str:
    return {True: "yes", False: "no", None: ""}[row.inside(level)]


def _predictions(found: Validation) -> SharedTable:
    levels = sorted({level for row in found.rows for level, _, _ in row.intervals})
    texts = {
        "id": "row",
        "study": "study",
        "arm": "arm",
        "schedule": "schedule",
        "output": "output",
        "measure": "measure",
        "reducer": "reducer",
        "time": "time",
        "time_unit": "its unit",
        "statistic": "statistic",
        "unit": "unit",
        "reported": "reported, as it stands",
    }
    numbers = {"observed": "reported", "predicted": "predicted"}
    columns = [SharedColumn(key, head, "text") for key, head in texts.items()]
    columns += [SharedColumn(key, head) for key, head in numbers.items()]
    for level in levels:
        columns.append(SharedColumn(f"low {level}", f"{100 * level:g} % of it, from"))
        columns.append(SharedColumn(f"high {level}", "to"))
        columns.append(SharedColumn(f"inside {level}", f"in {100 * level:g} %", "text"))
    columns += [SharedColumn("n", "patients", "count"), SharedColumn("provenance", "provenance", "text")]
    lines, records = [], []
    for row in found.rows:
        ends = {level: (low, high) for level, low, high in row.intervals}
        record = {key: getattr(row, key) for key in (*texts, *numbers, "provenance")}
        record["n"] = math.nan if row.n is None else row.n
        for level, (low, high) in ends.items():
            record |= {f"low {level}": low, f"high {level}": high, f"inside {level}": _inside(row, level)}
        records.append(record)
        span = " to ".join(map(finite_or_word, ends[LEVEL])) if LEVEL in ends else ""
        said = row.study, row.reported, finite_or_word(row.predicted), span, unit(row.unit)
        lines.append((_name(row), *said, _inside(row, 0.95)))
    heads = ("row", "study", "reported", "predicted", f"{100 * LEVEL:g} % of it", "unit", "in 95 %")
    return SharedTable("Predictions", heads, tuple(lines), tuple(columns), tuple(records))


def _parts(found: Validation) -> SharedTable:
    scores = {"log_score": "log score", "crps": "CRPS"}
    columns = (
        SharedColumn("id", "row", "text"),
        *(SharedColumn(key, f"SD: {head}") for key, head in PARTS.items()),
        SharedColumn("sd", "SD of the prediction"),
        SharedColumn("off", "reported less predicted, SDs"),
        *(SharedColumn(key, head) for key, head in scores.items()),
        SharedColumn("pit", "probability of a smaller number", "share"),
    )
    lines, records = [], []
    for row in found.rows:
        record = {key: getattr(row, key) for key in (*PARTS, "sd", *scores, "pit")}
        records.append(record | {"id": _name(row), "off": -row.deviation})
        off, *told = -row.deviation, row.log_score, row.crps
        cells = [finite_or_word(record[key], digits=2) for key in (*PARTS, "sd")]
        lines.append((_name(row), *cells, finite_or_word(off, True, 2), *map(finite_or_word, told)))
    heads = ("row", *PARTS.values(), "all", "SDs off", "score", "CRPS")
    note = "SDs of the prediction by what makes it uncertain, in the row's unit, and how the number did."
    return SharedTable("Parts and scores", heads, tuple(lines), columns, tuple(records), note)


def _orderings(found: Validation) -> SharedTable:
    columns = (
        SharedColumn("first", "number", "text"),
        SharedColumn("second", "is larger than", "text"),
        SharedColumn("probability", "as predicted, with probability", "share"),
        SharedColumn("held", "and it was", "text"),
    )
    ordered = sorted(found.orderings, key=lambda pair: (pair.held is not False, -pair.probability))
    records = tuple(dataclasses.asdict(pair) | {"held": _held(pair)} for pair in ordered)
    lines = tuple(
        (pair.first, pair.second, f"{100 * pair.probability:.0f} %", _held(pair)) for pair in ordered
    )
    return SharedTable("Orderings", tuple(column.head for column in columns), lines, columns, records)


def _held(pair: Ordering) -> str:
    return {True: "so it is", False: "it is the other way", None: "they are equal"}[pair.held]
