"""A front of schedules as an exhibit: what one objective costs of the others, and every schedule."""

from __future__ import annotations

import dataclasses
from typing import Any

from pkpd.decision.endpoints import Endpoint
from pkpd.decision.optimisation import Choice, Front
from pkpd.present.report import front as report
from pkpd.present.report.comparison import flat
from pkpd.present.report.drawing import Drawing
from pkpd.present.report.numbers import finite_or_word, legend, signed_by, unit
from pkpd.present.share.exhibit import ADVICE, Exhibit, SharedColumn, SharedTable, one_line, source_of


def exhibit(front: Front, command: str = "") -> Exhibit:
    """What leaves the program of a front."""
    told, made = report.document(front, command), front.provenance
    wishes = [f"objective: {one}" for one in front.objectives] + [
        f"constraint: {one}" for one in front.constraints
    ]
    return Exhibit(
        stem="front",
        title=told["title"],
        subjects=tuple(map(one_line, wishes)),
        findings=(front.infeasible,) if front.infeasible else (),
        drawings=(Drawing("front", report.caption(front), _footed, front),),
        slides=(Drawing("front", report.caption(front), report.figure, front),),
        tables=(_table(front),),
        warnings=(("", front.warnings),) if front.warnings else (),
        reading=(*front.reading, *filter(None, [legend(report.lights(front))])),
        definitions=tuple((endpoint.name, endpoint.definition) for endpoint in _endpoints(front)),
        provenance=tuple((name, one_line(value)) for name, value in flat(made)),
        command=command,
        write_csv=front.write_csv,
        write_json=front.write_json,
        source=source_of(made, f"{made['subjects']:,} virtual subjects"),
        behind=front.behind,
        page=lambda pictures: report.render(front, command=command, pictures=pictures),
        pictures=(Drawing("front", report.caption(front), report.figure, front),),
    )


def _footed(front: Front) -> Any:
    """The figure as it goes out alone: with what it shows, and the schedules by their numbers."""
    schedules = "; ".join(f"{choice.number}: {choice.schedule}" for choice in front.shown)
    source = source_of(front.provenance, f"{front.provenance['subjects']:,} virtual subjects")
    said = report.caption(front).partition(". ")[2]
    return report.figure(front, f"{said} {schedules}. {source} {ADVICE}")


def _endpoints(front: Front) -> list[Endpoint]:
    """Of the wishes, then the others."""
    others = (key for choice in front.shown for key in choice.estimates)
    return list(dict.fromkeys((*front.endpoints, *others)))


def _table(front: Front) -> SharedTable:
    endpoints = _endpoints(front)
    names = [f"{one.name} ({unit(one.unit)})" if unit(one.unit) else one.name for one in endpoints]
    counted = [
        f"share with {dataclasses.replace(constraint, share=None)}"
        for constraint in front.constraints
        if constraint.share is not None
    ]
    chances = [f"P({constraint})" for constraint in front.constraints]
    columns = [SharedColumn("number", "number", "count"), SharedColumn("schedule", "schedule", "text")]
    for k, name in enumerate(names):
        columns += [
            SharedColumn(f"median {k}", f"{name}, median"),
            SharedColumn(f"low {k}", "90 % by the parameters, from"),
            SharedColumn(f"high {k}", "to"),
            SharedColumn(f"light {k}", f"{name}: how far put to the test", "text"),
            SharedColumn(f"why {k}", "why", "text"),
        ]
    for k, name in enumerate(counted):
        columns += [
            SharedColumn(f"share {k}", name, "share"),
            SharedColumn(f"share low {k}", "90 % by the parameters, from", "share"),
            SharedColumn(f"share high {k}", "to", "share"),
        ]
    columns += [SharedColumn(f"held {k}", name, "share") for k, name in enumerate(chances)]
    columns += [SharedColumn("stays", "P(front)", "share")]
    return SharedTable(
        "Front" if front.choices else "Nearest",
        (
            "schedule",
            *(f"{name}, median (90 %)" for name in names),
            *(f"{one} (90 % by the parameters)" for one in counted),
            *(f"{one}, %" for one in chances),
            "P(front), %",
        ),
        tuple(_line(choice, endpoints) for choice in front.shown),
        tuple(columns),
        tuple(_record(choice, endpoints) for choice in front.shown),
        "Intervals are of the median subject, by the uncertainty of the parameters. P(front): the "
        "probability that a schedule holds the constraints and none is better in every objective.",
        {
            (i, 1 + k): choice.standings[endpoint]
            for i, choice in enumerate(front.shown)
            for k, endpoint in enumerate(endpoints)
        },
    )


def _line(choice: Choice, endpoints: list[Endpoint]) -> tuple[str, ...]:
    cells = []
    for endpoint in endpoints:
        estimate = choice.estimates[endpoint]
        middle, low, high = map(finite_or_word, estimate)
        words = f"{middle} ({low} to {high})" if low != high else middle or "no value"
        cells.append(signed_by(choice.standings[endpoint].light, words))
    people = (share.shown for share in choice.shares if share is not None)
    shares = (f"{100 * share:.0f}" for share in (*choice.held, choice.stays))
    return (f"{choice.number}: {choice.schedule}", *cells, *people, *shares)


def _record(choice: Choice, endpoints: list[Endpoint]) -> dict[str, Any]:
    record: dict[str, Any] = {"number": choice.number, "schedule": choice.schedule, "stays": choice.stays}
    for k, endpoint in enumerate(endpoints):
        numbers = zip(("median", "low", "high"), choice.estimates[endpoint], strict=True)
        record |= {f"{name} {k}": value for name, value in numbers}
        standing = choice.standings[endpoint]
        record |= {f"light {k}": str(standing.light), f"why {k}": "; ".join(standing.reasons)}
    for k, share in enumerate(filter(None, choice.shares)):
        record |= {f"share {k}": share.share, f"share low {k}": share.low, f"share high {k}": share.high}
    return record | {f"held {k}": share for k, share in enumerate(choice.held)}
