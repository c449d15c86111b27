"""Comparison of schedules -> one HTML file without outside resources: courses, differences, the trade-off,
every endpoint, and how it was made.

write_comparison_report(compare(scene.arms([...])), "report.html")
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.core.arguments import PATH, TEXT, of, takes
from pkpd.core.files import check_target, replacing
from pkpd.decision.comparison import Comparison, Row, letters, relevant
from pkpd.present.report.numbers import finite_or_word, number, shares, unit
from pkpd.present.report.page import environment, placed_pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "il2": "IL-2 in plasma, first week",
    "treg_pct": "Regulatory T cells, of CD4 T cells",
    "nk": "NK cells",
    "cd56bright": "CD56bright NK cells",
    "cd25_treg": "CD25 on regulatory T cells",
    "ccl2": "CCL2 in plasma (a sketch: assumed, not fitted)",
}
"""Outputs whose courses are drawn, and what the panels are called; a model that has none of them shows all
that an arm keeps."""
FIRST_WEEK = 7.0
GAIN = "Treg mean fold"
COSTS = {
    "adverse event": "probability of an adverse event (%)",
    "NK mean fold": "mean of NK cells over the treatment, of baseline",
    "injections per 28 days": "injections per 28 days",
}
COST_FACTOR = {"adverse event": 100}
FIGURES_OF = 7  # schedules: more cannot be told apart


@takes(comparison=of(Comparison), path=PATH, command=TEXT)
def write_comparison_report(
    comparison: Comparison, path: str | os.PathLike[str], *, command: str = ""
) -> Path:
    """Write the page, whole or not at all; ``command`` is the command line that makes it again.

    Raises ``InputError`` if it cannot be written there.
    """
    path = check_target(Path(path), (".html",))
    page = render(comparison, command=command)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render(comparison: Comparison, *, command: str = "") -> str:
    """The page as text."""
    from pkpd.present import plot

    pictures = {name: (caption, plot.svg(figure)) for name, (caption, figure) in figures(comparison).items()}
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(document(comparison, command), pictures=placed_pictures(pictures))
    )


# --- comparison -> what the page shows


def document(comparison: Comparison, command: str = "") -> dict[str, Any]:
    """Everything the template shows, as plain values."""
    arms, marks = comparison.arms, letters(len(comparison.arms))
    groups: dict[str, list[dict[str, Any]]] = {}
    for endpoint in comparison.endpoints:
        rows = [row for row in comparison.rows if row.endpoint == endpoint]
        shown = {
            "name": endpoint.name,
            "unit": "probability" if rows[0].of != "subjects" else unit(endpoint.unit),
            "definition": endpoint.definition,
            "wanted": {1: "more is wanted", -1: "less is wanted"}.get(endpoint.better, ""),
            "arrow": {1: "↑", -1: "↓"}.get(endpoint.better, ""),
            "remark": _sentence(endpoint.remark),
            "relevant": relevant(endpoint) if len(arms) > 1 else "",
            "missing": _sentence(endpoint.missing) if any(row.missing or row.beyond for row in rows) else "",
            "rows": [_row(mark, row) for mark, row in zip(marks, rows, strict=True)],
        }
        groups.setdefault(endpoint.group, []).append(shown)
    provenance = comparison.provenance
    labels = [f"{mark}: {arm.label}" for mark, arm in zip(marks, arms, strict=True)]
    return {
        "title": f"{len(arms)} dose schedules compared" if len(arms) > 1 else "A dose schedule",
        "version": provenance.get("versions", {}).get("pkpd", ""),
        "several": len(arms) > 1,
        "fit": provenance.get("fit", ""),
        "model": provenance.get("model", ""),
        "labels": labels,
        "arms": [
            {
                "letter": mark,
                "label": arm.label,
                "schedule": arm.text,
                "doses": len(arm.dose_days),
                "when": arm.when,
            }
            for mark, arm in zip(marks, arms, strict=True)
        ],
        "not_drawn": labels[FIGURES_OF:],
        "groups": list(groups.items()),
        "findings": findings(comparison),
        "reading": list(comparison.reading),
        "warnings": _warnings(comparison),
        "command": command,
        "provenance_rows": list(flat(provenance)),
    }


def _row(mark: str, row: Row) -> dict[str, Any]:
    total = row.n + row.missing + row.beyond
    absent = [f"{row.missing:,} of {total:,} without a value"] * (0 < row.missing < total)
    absent += [f"{row.beyond:,} of {total:,} not within the horizon"] * bool(row.beyond)
    return {
        "letter": mark,
        "median": finite_or_word(row.median),
        "interval": _interval(row.low, row.high, middle=row.median),
        "inner": _interval(row.median_low, row.median_high),
        "difference": finite_or_word(row.difference, sign=True),
        "difference_interval": _interval(
            row.difference_low, row.difference_high, sign=True, middle=row.difference
        ),
        "better": shares(row.better, row.same, row.worse),
        "absent": "; ".join(absent),
    }


def _interval(low: float, high: float, sign: bool = False, middle: float = math.nan) -> str:
    """Nothing for ends that are shown as the same, unless what is in between is shown as something else."""
    ends = [finite_or_word(low, sign), finite_or_word(high, sign)]
    same = ends[0] == ends[1] and (math.isnan(middle) or finite_or_word(middle, sign) == ends[0])
    return "" if math.isnan(low) or same else " to ".join(ends)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _warnings(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Sentences under the schedules that they are about ("" for those about the subjects)."""
    marks = letters(len(comparison.arms))
    said: dict[tuple[int, ...], list[str]] = {}
    for about, sentence in comparison.told:
        said.setdefault(about, []).append(_sentence(sentence))
    first = sorted(said, key=lambda about: (len(about) not in (0, len(marks)), about))
    return [
        ("All" if len(about) == len(marks) > 1 else ", ".join(marks[i] for i in about), said[about])
        for about in first
    ]


def findings(comparison: Comparison) -> list[str]:
    """The comparison in a few sentences: what each schedule gains and costs beside the first."""
    marks = letters(len(comparison.arms))
    named = {endpoint.name for endpoint in comparison.endpoints}
    said = []
    for i, arm in enumerate(comparison.arms):
        parts: list[str] = []
        for name, words in (
            (GAIN, "Tregs at {} times baseline on average over the treatment"),
            ("NK mean fold", "NK cells at {} times"),
            ("injections per 28 days", "{} injections in 28 days"),
        ):
            if name not in named:
                continue
            row = comparison.row(name, i)
            if math.isfinite(row.median):
                interval = _interval(row.low, row.high, middle=row.median)
                parts.append(words.format(number(row.median) + f" ({interval})" * bool(interval)))
        better = ""
        if i and GAIN in named:
            row = comparison.row(GAIN, i)
            if math.isfinite(row.better):
                margin = row.endpoint.relevant.shown() if row.endpoint.relevant else ""
                better = (
                    " The mean of Tregs is higher than under "
                    f"A{f' by at least {margin}' * bool(margin)} in {shares(row.better)} % of "
                    f"subjects, lower{' by as much' * bool(margin)} in {shares(row.worse)} %, and "
                    f"the same in {shares(row.same)} %."
                )
        if parts:
            said.append(f"{marks[i]}, {arm.label}: {', '.join(parts)}.{better}")
    return said


def flat(value: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Provenance as lines: name and value, what is nested named after its parents."""
    rows: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{before}{key.replace('_', ' ')}"
        if isinstance(item, dict):
            rows += flat(item, f"{name}: ")
        elif item not in (None, "", []):
            rows.append((name, ", ".join(map(str, item)) if isinstance(item, list | tuple) else str(item)))
    return rows


# --- figures --------------------------------------------------------------------------------------


def figures(comparison: Comparison) -> dict[str, tuple[str, Figure]]:
    """Name -> (caption, figure), in the order of the page."""
    from pkpd.present import plot

    arms = comparison.arms[:FIGURES_OF]
    marks = letters(len(arms))
    drawn: dict[str, tuple[str, Figure]] = {}
    shown = [
        {"letter": mark, "label": arm.label, "days": arm.days, "bands": arm.bands, "dose_days": arm.dose_days}
        for mark, arm in zip(marks, arms, strict=True)
    ]
    drawn["courses"] = (
        "Time courses. Line: median of the subjects. Band: 5 % to 95 % of them. Ticks along the top: "
        "doses of each schedule. "
        "IL-2 is shown for the first week, on a logarithmic scale.",
        plot.courses_figure(shown, _panels(comparison)),
    )
    rows = [
        _drawn_difference(comparison, row, i, marks[i])
        for row in comparison.main().rows
        for i, arm in enumerate(arms)
        if i and row.arm == arm.label and not math.isnan(row.difference)
    ]
    if rows:
        drawn["differences"] = (
            "Differences to the first schedule. In percent of the first schedule's median, so that "
            "they can be seen together; "
            "at the right in their own units. Thin line: 90 % of subjects, each compared with "
            "itself. Thick line: 90 % interval of the median by the "
            "uncertainty of the parameters alone. Better/same/worse: percent of subjects; the same "
            "is less apart than the smallest relevant difference, "
            "which the table of every endpoint has. ↑ more is wanted, ↓ less is wanted.",
            plot.differences_figure(rows),
        )
    named = {endpoint.name for endpoint in comparison.endpoints}
    costs = [name for name in COSTS if name in named]
    if GAIN in named and costs:
        points = [
            {
                "letter": mark,
                "label": arm.label,
                GAIN: [100 * (value - 1) for value in _five(comparison.row(GAIN, i))],
            }
            | {
                cost: [COST_FACTOR.get(cost, 1) * value for value in _five(comparison.row(cost, i))]
                for cost in costs
            }
            for i, (mark, arm) in enumerate(zip(marks, arms, strict=True))
        ]
        drawn["trade_off"] = (
            "What is gained, and what it costs. Up: the mean rise of Tregs over the treatment. "
            "Right: the cost. What lies higher and further left is better in "
            "both. Thin lines: 90 % interval. Thick lines: 90 % interval of the median by the "
            "parameters alone (an adverse event has no thick one: all of its "
            "interval is the uncertainty of the few published counts).",
            plot.trade_off_figure(
                points,
                [{"name": cost, "title": COSTS[cost]} for cost in costs],
                {"name": GAIN, "title": "mean rise of Tregs (% of baseline)"},
            ),
        )
    return drawn


def _panels(comparison: Comparison) -> list[dict[str, Any]]:
    arm = comparison.arms[0]
    names = [name for name in PANELS if name in arm.bands] or list(arm.bands)[:8]
    return [
        {"output": name, "title": PANELS.get(name, name), "unit": _axis(arm.units[name])}
        | ({"log": True, "until": FIRST_WEEK} if name == "il2" else {})
        for name in names
    ]


def _axis(name: str) -> str:
    return {"1/uL": "cells/µL", "1": "of that at rest"}.get(name, unit(name))


def _drawn_difference(comparison: Comparison, row: Row, index: int, mark: str) -> dict[str, Any]:
    return {
        "endpoint": row.endpoint.name,
        "group": row.endpoint.group,
        "wanted": row.endpoint.better,
        "index": index,
        "letter": mark,
        "label": row.arm,
        "base": comparison.row(row.endpoint.name, 0).median,
        "difference": row.difference,
        "low": row.difference_low,
        "high": row.difference_high,
        "inner": (row.difference_median_low, row.difference_median_high),
        "text": _in_words(row),
        "better": shares(row.better, row.same, row.worse),
    }


def _in_words(row: Row) -> str:
    interval = _interval(row.difference_low, row.difference_high, sign=True)
    return " ".join(
        part
        for part in (
            finite_or_word(row.difference, sign=True),
            f"({interval})" * bool(interval),
            unit(row.endpoint.unit),
        )
        if part
    )


def _five(row: Row) -> tuple[float, ...]:
    return row.median, row.low, row.high, row.median_low, row.median_high
