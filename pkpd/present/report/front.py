"""Front of schedules -> one HTML file without outside resources: the figure, every schedule of the front, and
how it was made.

write_front_report(optimise(scene, space, constraints), "report.html")
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.core.arguments import PATH, TEXT, of, takes
from pkpd.core.files import check_target, write_text
from pkpd.decision.evidence import Light, Standing
from pkpd.decision.optimisation import Choice, Front, MedianEstimate
from pkpd.decision.optimisation.front import numbers_words
from pkpd.present.report.comparison import flat
from pkpd.present.report.numbers import LIGHTS, finite_or_word, meanings, unit
from pkpd.present.report.page import environment, placed_pictures
from pkpd.present.report.sources import leading, sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST_WARNINGS = 5
"""Of where schedules leave what the fit has seen, those of most schedules: as many stand at the top of the
page, all others further down."""


@takes(front=of(Front), path=PATH, command=TEXT)
def write_front_report(front: Front, path: str | os.PathLike[str], *, command: str = "") -> Path:
    """Write the page, whole or not at all; ``command`` is the command line that makes it again.

    Raises ``InputError`` if it cannot be written there.
    """
    path = check_target(Path(path), (".html",))
    write_text(path, render(front, command=command))
    return path


def render(front: Front, *, command: str = "", pictures: Mapping[str, Any] | None = None) -> str:
    """The page as text; ``pictures``: its figure, as ``placed_pictures`` has it, drawn here if not given."""
    from pkpd.present import plot

    if pictures is None:
        pictures = placed_pictures({"front": (caption(front), plot.svg(figure(front)))})
    return environment().get_template("front.html.j2").render(document(front, command), pictures=pictures)


def caption(front: Front) -> str:
    """What the figure shows."""
    return (
        "What is gained and what it costs. "
        + ("Numbered: the schedules of the front" if front.choices else "Numbered: the nearest schedules")
        + ", in all subjects, with the 90 % interval of each median by the uncertainty of the "
        "parameters. Small: what the search looked at"
        + (", in fewer subjects" if _fewer(front) else "")
        + "; grey crosses do not hold the constraints, and some of them lie beyond the edges."
    )


def figure(front: Front, footnote: str = "") -> Figure:
    """The front as a figure."""
    from pkpd.present import plot

    names = [objective.endpoint.name for objective in front.objectives]
    return plot.front_figure(
        [
            {"number": choice.number} | {name: tuple(choice.estimate(name)) for name in names}
            for choice in front.shown
        ],
        [
            {"holds": seen.holds}
            | {endpoint.name: value for endpoint, value in seen.medians.items() if endpoint.name in names}
            for seen in front.seen
        ],
        [
            {
                "name": objective.endpoint.name,
                "title": f"{_named(objective.endpoint)} ({'more' if objective.sign > 0 else 'less'} "
                "is wanted)",
            }
            for objective in front.objectives
        ],
        holding=bool(front.choices),
        footnote=footnote,
    )


def document(front: Front, command: str = "") -> dict[str, Any]:
    """Everything the template shows, as plain values."""
    provenance = front.provenance
    columns = list(front.endpoints)
    others = [
        endpoint
        for endpoint in dict.fromkeys(key for choice in front.shown for key in choice.estimates)
        if endpoint not in columns
    ]
    arrows = {objective.endpoint: "↑" if objective.sign > 0 else "↓" for objective in front.objectives}
    return {
        "title": "A choice of dose schedules" if front.choices else "No schedule holds the constraints",
        "version": provenance.get("versions", {}).get("pkpd", ""),
        "fit": provenance.get("fit", ""),
        "fitted": provenance.get("fitted", True),
        "model": provenance.get("model", ""),
        "infeasible": front.infeasible,
        "found": bool(front.choices),
        "objectives": [str(objective) for objective in front.objectives],
        "constraints": [str(constraint) for constraint in front.constraints],
        "confidence": f"{100 * front.confidence:.4g}",
        "columns": [
            {"name": _named(endpoint), "arrow": arrows.get(endpoint, "")} for endpoint in [*columns, *others]
        ],
        "choices": [_choice(front, choice, [*columns, *others]) for choice in front.shown],
        "definitions": [
            {
                "name": endpoint.name,
                "definition": endpoint.definition,
                "missing": endpoint.missing,
                "remark": endpoint.remark,
            }
            for endpoint in [*columns, *others]
        ],
        "of_people": any(constraint.share is not None for constraint in front.constraints),
        "lights": meanings(lights(front)),
        "standings": _standings(front),
        "sources": sources(
            front.behind, (one for choice in front.shown for one in choice.standings.values())
        ),
        "warnings": list(front.warnings[: len(front.notes) + FIRST_WARNINGS]),
        "more_warnings": list(front.warnings[len(front.notes) + FIRST_WARNINGS :]),
        "reading": list(front.reading),
        "command": command,
        "compare": _compare(front),
        "provenance_rows": flat(provenance),
    }


def lights(front: Front) -> list[Light]:
    """Of all endpoints of all schedules that are shown."""
    return [standing.light for choice in front.shown for standing in choice.standings.values()]


def _standings(front: Front) -> list[dict[str, Any]]:
    """On what numbers stand: endpoints and schedules that stand on the same together."""
    about: dict[Standing, dict[str, list[int]]] = {}
    for choice in front.shown:
        for endpoint, standing in choice.standings.items():
            if LIGHTS[standing.light]:
                about.setdefault(standing, {}).setdefault(endpoint.name, []).append(choice.number)
    return [
        {
            "light": standing.light,
            "sign": LIGHTS[standing.light],
            "who": "; ".join(f"{name} of {numbers_words(numbers)}" for name, numbers in whose.items()),
            "why": "; ".join(standing.reasons),
        }
        for standing, whose in about.items()
    ]


def _choice(front: Front, choice: Choice, columns: list[Any]) -> dict[str, Any]:
    cells = []
    for endpoint in columns:
        held = [
            {
                "text": str(constraint),
                "p": f"{100 * p:.0f} %",
                "people": "" if share is None else share.shown,
                "missed": missed > 0,
            }
            for constraint, p, share, missed in zip(
                front.constraints, choice.held, choice.shares, choice.violations, strict=True
            )
            if constraint.endpoint == endpoint
        ]
        lead = leading(front.behind, choice.standings[endpoint])
        cells.append(_cell(choice.estimates[endpoint]) | {"lead": lead, "held": held})
    return {
        "number": choice.number,
        "schedule": choice.schedule,
        "cells": cells,
        "held_all": f"{100 * choice.held_all:.0f} %",
        "dominated": f"{100 * choice.dominated:.0f} %",
        "stays": f"{100 * choice.stays:.0f} %",
    }


def _cell(estimate: MedianEstimate) -> dict[str, Any]:
    ends = [finite_or_word(estimate.low), finite_or_word(estimate.high)]
    return {
        "median": "no value" if math.isnan(estimate.median) else finite_or_word(estimate.median),
        "interval": "" if ends[0] == ends[1] else " to ".join(ends),
    }


def _named(endpoint: Any) -> str:
    shown = unit(endpoint.unit)
    return f"{endpoint.name} ({shown})" if shown else endpoint.name


def _fewer(front: Front) -> bool:
    return bool(front.provenance["search_subjects"] < front.provenance["subjects"])


def _compare(front: Front) -> str:
    """The command line that compares the schedules in every endpoint, in the same subjects."""
    import shlex

    made = front.provenance
    words = [
        "pkpd",
        "compare",
        *(choice.schedule for choice in front.shown),
        "--until",
        f"{made['until_days']:g} d",
    ]
    for name in ("fit", "subjects", "draws", "seed", "study", "responders"):
        if made[name] is not None:
            words += [f"--{name}", str(made[name])]
    words += ["--vary", ",".join(made["vary"]) or "none"]
    for name, value in {**made["covariates"], **made["parameters"]}.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)
