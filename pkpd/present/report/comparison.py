"""Comparison of schedules -> one HTML file without outside resources: courses, differences, the trade-off,
every endpoint, and how it was made.

write_comparison_report(compare(scene.arms([...])), "report.html")
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.core.arguments import PATH, TEXT, of, takes
from pkpd.core.files import check_target, write_text
from pkpd.decision.comparison import Comparison, ComparisonRow, letters, relevant
from pkpd.decision.endpoints import BURDEN, Endpoint
from pkpd.decision.endpoints.endpoint import ONE_DOSE
from pkpd.decision.optimisation import plain_name
from pkpd.present.report.drawing import Drawing
from pkpd.present.report.numbers import (
    finite_or_word,
    meanings,
    number,
    shares,
    unit,
)
from pkpd.present.report.page import environment, placed_pictures
from pkpd.present.report.sources import leading, sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS, MOST_COSTS = 8, 3
FIGURES_OF = 7  # schedules: more cannot be told apart


@takes(comparison=of(Comparison), path=PATH, command=TEXT)
def write_comparison_report(
    comparison: Comparison, path: str | os.PathLike[str], *, command: str = ""
) -> Path:
    """Write the page, whole or not at all; ``command`` is the command line that makes it again.

    Raises ``InputError`` if it cannot be written there.
    """
    path = check_target(Path(path), (".html",))
    write_text(path, render(comparison, command=command))
    return path


def render(comparison: Comparison, *, command: str = "", pictures: Mapping[str, Any] | None = None) -> str:
    """The page as text; ``pictures``: its figures as ``placed_pictures`` has them, if they are drawn."""
    from pkpd.present import plot

    if pictures is None:
        drawn = figures(comparison).items()
        pictures = placed_pictures({name: (caption, plot.svg(figure)) for name, (caption, figure) in drawn})
    template = environment().get_template("comparison.html.j2")
    return template.render(document(comparison, command), pictures=pictures)


# --- comparison -> what the page shows


def document(comparison: Comparison, command: str = "") -> dict[str, Any]:
    """Everything the template shows, as plain values."""
    arms, marks = comparison.arms, letters(len(comparison.arms))
    behind = arms[0].scene.behind
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
            "rows": [
                _row(mark, row) | leading(behind, comparison.standing(row))
                for mark, row in zip(marks, rows, strict=True)
            ],
        }
        groups.setdefault(endpoint.group, []).append(shown)
    provenance = comparison.provenance
    resting = comparison.criteria.resting(groups)
    labels = [f"{mark}: {arm.label}" for mark, arm in zip(marks, arms, strict=True)]
    return {
        "title": f"{len(arms)} dose schedules compared" if len(arms) > 1 else "A dose schedule",
        "version": provenance.get("versions", {}).get("pkpd", ""),
        "several": len(arms) > 1,
        "fit": provenance.get("fit", ""),
        "fitted": provenance.get("fitted", True),
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
        "rests_on": {group.group: " ".join(group.rests_on) for group in resting},
        "kept_back": [group.group for group in comparison.kept_back],
        "lights": meanings(row.light for row in comparison.rows),
        "sources": sources(behind, map(comparison.standing, comparison.rows)),
        "findings": findings(comparison),
        "reading": list(comparison.reading),
        "warnings": _warnings(comparison),
        "command": command,
        "provenance_rows": list(flat(provenance)),
    }


def _row(mark: str, row: ComparisonRow) -> dict[str, Any]:
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


def _warnings(comparison: Comparison) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """By topic, the most important first, sentences under the schedules that they are about ("" for those
    about the subjects)."""
    marks = letters(len(comparison.arms))
    topics: dict[str, dict[tuple[int, ...], list[str]]] = {}
    for told in comparison.told:
        topic = topics.setdefault(_sentence(told.topic), {})
        topic.setdefault(told.arms, []).append(_sentence(told.sentence))
    return [
        (
            topic,
            [
                ("All" if len(about) == len(marks) > 1 else ", ".join(marks[i] for i in about), said[about])
                for about in sorted(said, key=lambda about: (len(about) not in (0, len(marks)), about))
            ],
        )
        for topic, said in topics.items()
    ]


def findings(comparison: Comparison) -> list[str]:
    """The comparison in a few sentences: what each schedule gains and costs beside the first."""
    marks = letters(len(comparison.arms))
    sentences, gain = _sentences(comparison), _gain(comparison)
    said = []
    for i, arm in enumerate(comparison.arms):
        parts: list[str] = []
        for name, words in sentences:
            row = comparison.row(name, i)
            if math.isfinite(row.median):
                interval = _interval(row.low, row.high, middle=row.median)
                parts.append(words.format(number(row.median) + f" ({interval})" * bool(interval)))
        better = ""
        if i and gain is not None:
            row = comparison.row(gain.name, i)
            if math.isfinite(row.better):
                margin = row.endpoint.relevant.shown(unit(gain.unit)) if row.endpoint.relevant else ""
                wanted, other = ("higher", "lower") if gain.better > 0 else ("lower", "higher")
                better = (
                    f" {_sentence(_called(comparison, gain))} is {wanted} than under "
                    f"A{f' by at least {margin}' * bool(margin)} in {shares(row.better)} % of "
                    f"subjects, {other}{' by as much' * bool(margin)} in {shares(row.worse)} %, and "
                    f"the same in {shares(row.same)} %."
                )
        if parts:
            said.append(f"{marks[i]}, {arm.label}: {', '.join(parts)}.{better}")
    return said


def _gain(comparison: Comparison) -> Endpoint | None:
    """What schedules are compared by in a sentence and a figure: of the usual objectives, else of the main
    endpoints, the first of which more is wanted, else the first of which less is."""
    by_name = {endpoint.name: endpoint for endpoint in comparison.endpoints}
    traded = [by_name.get(plain_name(text)) for text in comparison.criteria.objectives]
    main = [endpoint for endpoint in comparison.main().endpoints if endpoint.group != BURDEN]
    for better in (1, -1):
        for endpoint in (*traded, *main):
            if endpoint is not None and endpoint.better == better:
                return endpoint
    return None


def _costs(comparison: Comparison, gain: Endpoint) -> list[Endpoint]:
    """Against which the gain is drawn: what the criteria say, or main endpoints of which less is wanted."""
    named = comparison.criteria.costs or tuple(
        endpoint.name for endpoint in comparison.main().endpoints if endpoint.better < 0 and endpoint != gain
    )
    by_name = {endpoint.name: endpoint for endpoint in comparison.endpoints}
    return [by_name[name] for name in named if name in by_name][:MOST_COSTS]


def _sentences(comparison: Comparison) -> list[tuple[str, str]]:
    """Endpoints that findings tell of, and in which words."""
    names = {endpoint.name for endpoint in comparison.endpoints}
    declared = [one for one in comparison.criteria.endpoints if one.finding and one.name in names]
    said = [(one.name, one.finding) for one in declared]
    gain = _gain(comparison)
    if not said and gain is not None:
        said = [(gain.name, " ".join(filter(None, (gain.name, "{}", unit(gain.unit)))))]
    said += [(f"{called} per 28 days", f"{{}} {called} in 28 days") for called in ONE_DOSE]
    return [(name, words) for name, words in said if name in names]


def _called(comparison: Comparison, endpoint: Endpoint) -> str:
    """An endpoint in the middle of a sentence."""
    declared = comparison.criteria.declared(endpoint.name)
    return declared.called if declared is not None and declared.called else endpoint.name


def _axis_of(comparison: Comparison, endpoint: Endpoint, rise: bool = False) -> str:
    """The title of an endpoint's axis; rise : it is drawn as the rise over baseline in percent."""
    declared, risk = comparison.criteria.declared(endpoint.name), comparison.criteria.risk(endpoint.name)
    if said := (risk.axis if risk is not None else declared.axis if declared is not None else ""):
        return said
    if rise:
        return f"{endpoint.name}, rise in % of baseline"
    shown = unit(endpoint.unit)
    return f"{endpoint.name} ({shown})" if shown else endpoint.name


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
    return {each.name: (each.caption, each.figure()) for each in drawings(comparison)}


def drawings(comparison: Comparison, foot: str = "") -> list[Drawing]:
    """The figures of the page, not drawn yet; ``foot`` stands below each, with what its caption says."""
    drawn = [courses(comparison, foot=foot)]
    if rows := difference_rows(comparison):
        drawn.append(differences(rows, foot=foot))
    gain = _gain(comparison)
    if gain is not None and gain.better > 0 and (costs := _costs(comparison, gain)):
        drawn.append(_trade_off(comparison, gain, costs, foot))
    return drawn


def courses(
    comparison: Comparison,
    outputs: Sequence[str] | None = None,
    *,
    foot: str = "",
    name: str = "courses",
    size: tuple[float, float] = (4.7, 2.55),
) -> Drawing:
    """Time courses of these outputs, by default of all that are drawn (`drawn_outputs`), a panel for each."""
    from pkpd.present import plot

    outputs = drawn_outputs(comparison) if outputs is None else outputs
    arms = comparison.arms[:FIGURES_OF]
    shown = [
        {"letter": mark, "label": arm.label, "days": arm.days, "bands": arm.bands, "dose_days": arm.dose_days}
        for mark, arm in zip(letters(len(arms)), arms, strict=True)
    ]
    caption = (
        "Time courses. Line: median of the subjects. Band: 5 % to 95 % of them. Ticks along the top: "
        "doses of each schedule." + _said_of_panels(comparison, outputs)
    )
    panels = _panels(comparison, outputs)
    draw = functools.partial(plot.courses_figure, panels=panels, size=size, footnote=_foot(caption, foot))
    return Drawing(name, caption, draw, shown)


def difference_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """What of the main endpoints is drawn as differences, endpoint after endpoint."""
    arms = comparison.arms[:FIGURES_OF]
    marks = letters(len(arms))
    return [
        _drawn_difference(comparison, row, i, marks[i])
        for row in comparison.main().rows
        for i, arm in enumerate(arms)
        if i and row.arm == arm.label and not math.isnan(row.difference)
    ]


def differences(rows: Sequence[dict[str, Any]], *, foot: str = "", name: str = "differences") -> Drawing:
    """The differences to the first schedule, of all or some of ``difference_rows``."""
    from pkpd.present import plot

    caption = (
        "Differences to the first schedule. In percent of the first schedule's median, so that "
        "they can be seen together; "
        "at the right in their own units. Thin line: 90 % of subjects, each compared with "
        "itself. Thick line: 90 % interval of the median by the "
        "uncertainty of the parameters alone. Better/same/worse: percent of subjects; the same "
        "is less apart than the smallest relevant difference, "
        "which the table of every endpoint has. ↑ more is wanted, ↓ less is wanted."
    )
    draw = functools.partial(plot.differences_figure, footnote=_foot(caption, foot))
    return Drawing(name, caption, draw, rows)


def _foot(caption: str, foot: str) -> str:
    """What stands below a figure that goes out alone: its caption without the title."""
    return f"{caption.partition('. ')[2]} {foot}" if foot else ""


def _trade_off(comparison: Comparison, gain: Endpoint, costs: list[Endpoint], foot: str) -> Drawing:
    """The gain of each schedule against its costs."""
    from pkpd.present import plot

    arms = comparison.arms[:FIGURES_OF]
    rise = _is_rise(comparison, gain)
    title = _axis_of(comparison, gain, rise)
    points = [
        {
            "letter": mark,
            "label": arm.label,
            gain.name: [100 * (x - 1) if rise else x for x in _five(comparison.row(gain.name, i))],
        }
        | {
            cost.name: [_factor(comparison, cost) * x for x in _five(comparison.row(cost.name, i))]
            for cost in costs
        }
        for i, (mark, arm) in enumerate(zip(letters(len(arms)), arms, strict=True))
    ]
    sources = "".join(
        f" ({risk.called} has no thick one: all of its interval is the uncertainty of {risk.source})"
        for risk in comparison.criteria.risks
        if risk.endpoint in costs
    )
    caption = (
        f"What is gained, and what it costs. Up: {title}. Right: the cost. What lies higher and further left "
        "is better in both. Thin lines: 90 % interval. Thick lines: 90 % interval of the median by the "
        f"parameters alone{sources}."
    )
    across = [{"name": cost.name, "title": _axis_of(comparison, cost)} for cost in costs]
    up = {"name": gain.name, "title": title}
    draw = functools.partial(plot.trade_off_figure, axes=across, gain=up, footnote=_foot(caption, foot))
    return Drawing("trade_off", caption, draw, points)


def _is_rise(comparison: Comparison, gain: Endpoint) -> bool:
    """Whether a gain is a fold of baseline, which is drawn as the rise over it in percent."""
    declared = comparison.criteria.declared(gain.name)
    return declared is not None and declared.against == "fold of baseline"


def _factor(comparison: Comparison, cost: Endpoint) -> float:
    """A probability is drawn in percent."""
    return 100.0 if comparison.criteria.risk(cost.name) is not None else 1.0


def _said_of_panels(comparison: Comparison, drawn: Sequence[str]) -> str:
    """What is to be said of the courses that are drawn."""
    said = []
    for name in drawn:
        shown = comparison.criteria.shown(name)
        limits = [f"for the first {shown.until_days:g} days"] * math.isfinite(shown.until_days)
        limits += ["on a logarithmic scale"] * shown.log
        if limits:
            said.append(f" {shown.title} is shown {', '.join(limits)}.")
        if shown.remark:
            said.append(f" {shown.title}: {shown.remark[:1].lower()}{shown.remark[1:]}")
    for group in comparison.criteria.resting(outputs=drawn):
        titles = [comparison.criteria.shown(name).title for name in drawn if name in group.outputs]
        said.append(f" {', '.join(titles)}: {' '.join(group.rests_on)}")
    return "".join(said)


def drawn_outputs(comparison: Comparison) -> list[str]:
    """Names of the outputs whose courses are drawn."""
    criteria = comparison.criteria
    kept_back = {output for group in comparison.kept_back for output in group.outputs}
    drawn = criteria.drawn(criteria.report, list(comparison.arms[0].bands))
    return [name for name in drawn if name not in kept_back][:MOST_PANELS]


def _panels(comparison: Comparison, outputs: Sequence[str]) -> list[dict[str, Any]]:
    panels = []
    for name in outputs:
        shown = comparison.criteria.shown(name)
        unit_of = _axis(comparison.arms[0].units[name])
        panel: dict[str, Any] = {"output": name, "title": shown.title, "unit": unit_of}
        if shown.log:
            panel["log"] = True
        if math.isfinite(shown.until_days):
            panel |= {"until": shown.until_days, "title": f"{shown.title}, first {shown.until_days:g} days"}
        panels.append(panel)
    return panels


def _axis(name: str) -> str:
    return {"1/uL": "cells/µL"}.get(name, unit(name))


def _drawn_difference(comparison: Comparison, row: ComparisonRow, index: int, mark: str) -> dict[str, Any]:
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


def _in_words(row: ComparisonRow) -> str:
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


def _five(row: ComparisonRow) -> tuple[float, ...]:
    return row.median, row.low, row.high, row.median_low, row.median_high
