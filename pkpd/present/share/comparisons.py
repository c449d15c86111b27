"""A comparison of schedules as an exhibit: courses, differences and the trade-off, every endpoint, what has
to be known of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from pkpd.decision.comparison import Comparison, ComparisonRow, letters, relevant
from pkpd.decision.evidence import COUNTED, Standing
from pkpd.present.report import comparison as report
from pkpd.present.report.drawing import Drawing
from pkpd.present.report.numbers import legend, signed_by, unit
from pkpd.present.share.exhibit import ADVICE, Exhibit, SharedColumn, SharedTable, one_line, source_of

PANELS_OF_A_SLIDE, SLIDE_PANEL = 4, (6.0, 2.3)
LINES_OF_A_SLIDE = 20
NINETY = "90 % of subjects"


def exhibit(comparison: Comparison, command: str = "") -> Exhibit:
    """What leaves the program of a comparison."""
    told = report.document(comparison, command)
    source = _source(comparison)
    outputs = report.drawn_outputs(comparison)
    foot = " ".join((*_named_otherwise(comparison), source, ADVICE))
    courses, *others = report.drawings(comparison, foot)
    return Exhibit(
        stem="comparison",
        title=told["title"],
        subjects=tuple(_subjects(comparison)),
        findings=tuple(map(one_line, told["findings"])),
        drawings=(courses, *others),
        singles=tuple(
            report.courses(comparison, [name], foot=foot, name=f"course_{name}") for name in outputs
        ),
        slides=tuple(_slides(comparison, outputs)),
        tables=(table(comparison),),
        brief=(table(comparison.main()),),
        warnings=tuple(
            (who, tuple(map(one_line, said))) for _, about in told["warnings"] for who, said in about
        ),
        reading=comparison.reading,
        definitions=tuple(_definitions(comparison)),
        provenance=tuple((name, one_line(value)) for name, value in told["provenance_rows"]),
        command=command,
        write_csv=comparison.write_csv,
        write_json=comparison.write_json,
        source=source,
        behind=comparison.arms[0].scene.behind,
        page=lambda pictures: report.render(comparison, command=command, pictures=pictures),
        pictures=tuple(report.drawings(comparison)),
    )


def _slides(comparison: Comparison, outputs: Sequence[str]) -> Iterator[Drawing]:
    """The figures in parts that can be read on a slide."""
    for i in range(0, len(outputs), PANELS_OF_A_SLIDE):
        part = outputs[i : i + PANELS_OF_A_SLIDE]
        yield report.courses(comparison, part, name=f"courses_{i}", size=SLIDE_PANEL)
    shown: list[dict[str, Any]] = []
    lines = 0
    for _, of_endpoint in itertools.groupby(report.difference_rows(comparison), lambda row: row["endpoint"]):
        rows = list(of_endpoint)
        more = len(rows) + (not shown or shown[-1]["group"] != rows[0]["group"])
        if shown and lines + more > LINES_OF_A_SLIDE:
            yield report.differences(shown, name=f"differences_{lines}")
            shown, lines, more = [], 0, len(rows) + 1
        shown, lines = [*shown, *rows], lines + more
    if shown:
        yield report.differences(shown, name="differences")
    yield from (each for each in report.drawings(comparison) if each.name == "trade_off")


def _source(comparison: Comparison) -> str:
    scene = comparison.arms[0].scene
    who = "draws of one person" if scene.of_one else "virtual subjects"
    return source_of(comparison.provenance, f"{scene.subjects:,} {who}")


def _subjects(comparison: Comparison) -> Iterator[str]:
    """The schedules by their letters."""
    for mark, arm in zip(letters(len(comparison.arms)), comparison.arms, strict=True):
        label, schedule = one_line(arm.label), one_line(arm.text)
        name = label if label.startswith(schedule) or not arm.dose_days.size else f"{label}: {schedule}"
        yield f"{mark}: {name} ({arm.when})" if arm.dose_days.size else f"{mark}: {name}"


def _named_otherwise(comparison: Comparison) -> list[str]:
    """What a figure's legend, which has labels, does not say of its schedules."""
    marks = letters(len(comparison.arms))
    said = [
        f"{mark}: {one_line(arm.text)}"
        for mark, arm in zip(marks, comparison.arms[: report.FIGURES_OF], strict=False)
        if arm.dose_days.size and (mark == "A" or arm.label != arm.text or len(arm.text) > 58)
    ]
    return [f"{'; '.join(said)}."] * bool(said)


def table(comparison: Comparison) -> SharedTable:
    """Every endpoint under every schedule."""
    told = report.document(comparison)
    several = told["several"]
    ninety = "90 % interval" if comparison.arms[0].scene.of_one else NINETY
    inner = any(row["inner"] for endpoint in _endpoints(told) for row in endpoint["rows"])
    heads = ["endpoint", "schedule", f"median ({ninety})"]
    heads += ["median by the parameters alone, 90 %"] * inner
    heads += [f"difference to A ({ninety})", "better/same/worse, %"] * several
    lines: list[tuple[str, ...]] = []
    standings: dict[tuple[int, int], Standing] = {}
    for group, endpoints in told["groups"]:
        lines.append((group,))
        for endpoint in endpoints:
            for arm, row in zip(comparison.arms, endpoint["rows"], strict=True):
                standings[len(lines), 2] = arm.standings.get(endpoint["name"], COUNTED)
                lines.append(tuple(_shown(endpoint, row, inner)[: len(heads)]))
    remarks = [row["remark"] + "." for row in _endpoints(told) if row["remark"]]
    note = "↑ more is wanted, ↓ less is wanted." * any(row["arrow"] for row in _endpoints(told))
    meant = legend(row.light for row in comparison.rows)
    resting = [f"{group}: {said}" for group, said in told["rests_on"].items()]
    return SharedTable(
        "Endpoints",
        tuple(heads),
        tuple(lines),
        _columns(several, ninety),
        tuple(_records(comparison)),
        " ".join(filter(None, (note, meant, *dict.fromkeys(remarks), *resting))),
        standings,
    )


def _endpoints(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [endpoint for _, endpoints in told["groups"] for endpoint in endpoints]


def _shown(endpoint: dict[str, Any], row: dict[str, Any], inner: bool) -> list[str]:
    """The cells of an endpoint under a schedule."""
    name = endpoint["name"] + (f" ({endpoint['unit']})" if endpoint["unit"] else "")
    if endpoint["arrow"]:
        name += f" {endpoint['arrow']}"
    median = signed_by(row["light"], row["median"] or "no value")
    if row["interval"]:
        median += f" ({row['interval']})"
    if row["absent"]:
        median += f"; {row['absent']}"
    difference = row["difference"] + (
        f" ({row['difference_interval']})" if row["difference_interval"] else ""
    )
    by_parameters = [row["inner"]] * inner
    return [name, row["letter"], median, *by_parameters, difference, row["better"]]


def _columns(several: bool, ninety: str) -> tuple[SharedColumn, ...]:
    first = [
        SharedColumn("group", "group", "text"),
        SharedColumn("endpoint", "endpoint", "text"),
        SharedColumn("unit", "unit", "text"),
        SharedColumn("letter", "schedule", "text"),
        SharedColumn("arm", "as it is written", "text"),
        SharedColumn("median", "median"),
        SharedColumn("low", f"{ninety}, from"),
        SharedColumn("high", "to"),
        SharedColumn("median_low", "median, 90 % by the parameters, from"),
        SharedColumn("median_high", "to"),
    ]
    apart = [
        SharedColumn("difference", "difference to A, median"),
        SharedColumn("difference_low", f"{ninety}, from"),
        SharedColumn("difference_high", "to"),
        SharedColumn("difference_median_low", "median difference, 90 % by the parameters, from"),
        SharedColumn("difference_median_high", "to"),
        SharedColumn("better", "better than A", "share"),
        SharedColumn("same", "the same", "share"),
        SharedColumn("worse", "worse", "share"),
        SharedColumn("relevant", "the same is less apart than", "text"),
    ]
    last = [
        SharedColumn("of", "quantiles over", "text"),
        SharedColumn("n", "with a value", "count"),
        SharedColumn("missing", "without a value", "count"),
        SharedColumn("beyond", "beyond the horizon", "count"),
        SharedColumn("light", "how far put to the test", "text"),
        SharedColumn("why", "why", "text"),
    ]
    return (*first, *(apart if several else ()), *last)


def _records(comparison: Comparison) -> Iterator[dict[str, Any]]:
    marks = dict(zip((arm.label for arm in comparison.arms), letters(len(comparison.arms)), strict=True))
    columns = [column.key for column in _columns(True, "")]
    numbers = [key for key in columns if key in ComparisonRow.__annotations__ and key != "light"]
    for row in comparison.rows:
        yield {name: getattr(row, name) for name in numbers} | {
            "group": row.endpoint.group,
            "endpoint": row.endpoint.name,
            "unit": "probability" if row.of != "subjects" else unit(row.endpoint.unit),
            "letter": marks[row.arm],
            "arm": one_line(row.arm),
            "relevant": relevant(row.endpoint),
            "light": str(row.light),
            "why": "; ".join(comparison.standing(row).reasons),
        }


def _definitions(comparison: Comparison) -> Iterator[tuple[str, str]]:
    for endpoint in comparison.endpoints:
        said = [
            endpoint.definition,
            *(f"{part[:1].upper()}{part[1:]}." for part in (endpoint.missing, endpoint.remark) if part),
        ]
        yield endpoint.name, " ".join(said)
