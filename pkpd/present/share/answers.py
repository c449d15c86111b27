"""The answer to an inverse question as an exhibit: the curve of target attainment, or the boundary between
two unknowns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pkpd.decision.evidence import Standing
from pkpd.decision.inverse import Attainment, Boundary
from pkpd.decision.inverse.attainment import WishCurve
from pkpd.present.report.attainment import figure
from pkpd.present.report.comparison import flat
from pkpd.present.report.drawing import Drawing
from pkpd.present.report.numbers import because, finite_or_word, legend, signed_by, unit
from pkpd.present.share.exhibit import Exhibit, SharedColumn, SharedTable, one_line, source_of

ALONG = (
    "Probability of target attainment. Line: share of people who reach the target at each value. Band: its "
    "90 % interval by the uncertainty of the parameters alone. Dashed: the share that is asked for. Upright: "
    "the answer, with its 90 % interval by the parameters."
)
BETWEEN = (
    "The answer for each value of the second unknown. Point: the answer. Upright line: its 90 % interval by "
    "the uncertainty of the parameters alone. Cross: the target is met nowhere in the range."
)


def exhibit(found: Attainment | Boundary, command: str = "") -> Exhibit:
    """What leaves the program of an answer."""
    rows = found.rows if isinstance(found, Boundary) else (found,)
    first, made = rows[0], rows[0].provenance
    warnings = tuple(dict.fromkeys(line for row in rows for line in (*row.notes, *row.warnings)))
    targets = [f"target: {curve.wish}" for curve in first.curves]
    caption = BETWEEN if isinstance(found, Boundary) else ALONG
    return Exhibit(
        stem="dose_for",
        title=f"Which {found.unknown.name} meets the target?",
        subjects=tuple(map(one_line, (*targets, f"schedule: {made['schedule']}"))),
        findings=tuple(_by_row(found) if isinstance(found, Boundary) else _answers(found)),
        drawings=(Drawing("dose_for", caption, figure, found),),
        tables=(_boundary(found) if isinstance(found, Boundary) else _attainment(found),),
        warnings=(("", warnings),) if warnings else (),
        reading=(*first.reading, *filter(None, [legend(one.light for one in found.standings)])),
        definitions=tuple(
            (curve.wish.endpoint.name, curve.wish.endpoint.definition) for curve in first.curves
        ),
        provenance=tuple((name, one_line(value)) for name, value in flat(made)),
        command=command,
        write_csv=found.write_csv,
        write_json=found.write_json,
        source=source_of(made, f"{made['subjects']:,} virtual people"),
        behind=found.behind,
    )


def _answers(found: Attainment) -> Iterator[str]:
    yield found.answer
    if found.ranges:
        yield f"The schedule: {found.chosen}"
    elif found.found_by > 0.0:
        yield f"Under {100 * found.found_by:.0f} % of the draws of the parameters it is met in the range."
    for curve in found.curves:
        if people := found.people(curve):
            yield f"{curve.wish}: {people}" if len(found.curves) > 1 else people
    yield from filter(None, (because(c.wish.endpoint.name, found.standing(c)) for c in found.curves))


def _by_row(found: Boundary) -> Iterator[str]:
    for value, row in zip(found.over.values, found.rows, strict=True):
        yield f"{found.over.name} {found.over.shown(value)}: {row.answer}"


def _attainment(found: Attainment) -> SharedTable:
    heads, columns = [found.unknown.called], [SharedColumn("x", found.unknown.called)]
    for k, curve in enumerate(found.curves):
        endpoint, what = curve.wish.endpoint, "draws" if curve.of_group else "people"
        share = f"{what} with {endpoint.name} {curve.wish.relation} {curve.wish.value:g}"
        median = f"{endpoint.name}{_in_brackets(unit(endpoint.unit))}, median"
        heads += [f"{share}, % (90 % by the parameters)", median]
        columns += [
            SharedColumn(f"share {k}", share, "share"),
            SharedColumn(f"low {k}", "90 % by the parameters, from", "share"),
            SharedColumn(f"high {k}", "to", "share"),
            SharedColumn(f"median {k}", median),
            SharedColumn(f"light {k}", "how far put to the test", "text"),
            SharedColumn(f"why {k}", "why", "text"),
        ]
    lines, records = [], []
    standings: dict[tuple[int, int], Standing] = {}
    for i, x in enumerate(found.x):
        cells = [f"{x:g}" + " ←" * bool(x == found.value)]
        record: dict[str, Any] = {"x": float(x)}
        for k, curve in enumerate(found.curves):
            standing = curve.standings[i]
            cells += [signed_by(standing.light, _share(curve, i)), finite_or_word(float(curve.median[i]))]
            standings[i, 2 * k + 1] = standings[i, 2 * k + 2] = standing
            for name in ("share", "low", "high", "median"):
                record[f"{name} {k}"] = float(getattr(curve, name)[i])
            record |= {f"light {k}": str(standing.light), f"why {k}": "; ".join(standing.reasons)}
        lines.append(tuple(cells))
        records.append(record)
    return SharedTable(
        "Target attainment",
        tuple(heads),
        tuple(lines),
        tuple(columns),
        tuple(records),
        "← the answer.",
        standings,
    )


def _share(curve: WishCurve, i: int) -> str:
    share = f"{100 * curve.share[i]:.0f}"
    return (
        share
        if math.isnan(curve.low[i])
        else f"{share} ({100 * curve.low[i]:.0f} to {100 * curve.high[i]:.0f})"
    )


def _boundary(found: Boundary) -> SharedTable:
    words = f"{found.unknown.words(found.end)}{_in_brackets(found.unknown.unit)}"
    heads = (found.over.called, words, "90 % by the parameters", "schedule")
    columns = (
        SharedColumn("over", found.over.called),
        SharedColumn("value", words),
        SharedColumn("low", "90 % by the parameters, from"),
        SharedColumn("high", "to"),
        SharedColumn("answer", "answer", "text"),
        SharedColumn("schedule", "schedule", "text"),
        SharedColumn("light", "how far put to the test", "text"),
        SharedColumn("why", "why", "text"),
    )
    lines, records = [], []
    for over, row in zip(found.over.values, found.rows, strict=True):
        answer = found.unknown.shown(row.value) if row.ranges else "nowhere in the range"
        if row.everywhere:
            answer += " or below" if row.end == "smallest" else " or above"
        answer = signed_by(row.weakest.light, answer)
        lines.append((f"{float(over):g}", answer, row.interval, row.chosen))
        records.append(_record(float(over), row))
    standings = {(i, 1): row.weakest for i, row in enumerate(found.rows)}
    return SharedTable("Answers", heads, tuple(lines), columns, tuple(records), standings=standings)


def _record(over: float, row: Attainment) -> dict[str, Any]:
    numbers = {"over": over, "value": row.value, "low": row.low, "high": row.high}
    why = "; ".join(row.weakest.reasons)
    return numbers | {
        "answer": row.answer,
        "schedule": row.chosen,
        "light": str(row.weakest.light),
        "why": why,
    }


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
