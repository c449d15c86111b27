"""Simulated trials -> their figures, and one HTML file without outside resources."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pkpd.present.report.comparison import flat
from pkpd.present.report.drawing import Drawing
from pkpd.present.report.numbers import number, percent, unit
from pkpd.present.report.page import environment
from pkpd.trial import TrialResult
from pkpd.trial.looks import DECISIONS, TrialLooks
from pkpd.trial.monitoring import Monitoring
from pkpd.trial.result import ADVICE, TrialRow, bands, is_p

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATIOS = ("hr", "ratio")
"""Quantities that a forest plot shows."""
SPENDING = {"obrien_fleming": "O'Brien & Fleming", "pocock": "Pocock"}
MOST_POWERS = 7
"""Lines of a figure of power: more cannot be told apart."""


def render(result: TrialResult, pictures: Mapping[str, Any], *, command: str = "") -> str:
    """The page as text; ``pictures`` are those of ``page.placed_pictures``."""
    page = environment().get_template("trial.html.j2")
    return page.render(document(result, command), pictures=pictures)


# --- result -> what the page shows


def document(result: TrialResult, command: str = "") -> dict[str, Any]:
    """Everything the template shows, as plain values."""
    design, rows = result.design, result.rows()
    compared = [row for row in rows if row.published is not None]
    return {
        "title": design.title,
        "source": design.source,
        "version": result.provenance.get("versions", {}).get("pkpd", ""),
        "model": result.provenance.get("model", ""),
        "fit": design.fit,
        "trials": result.trials,
        "patients": design.n_patients,
        "notes": list(result.notes),
        "advice": ADVICE,
        "verdict": verdict(result),
        "interrupted": result.interrupted,
        "arms": [
            {"name": arm.name, "n": arm.n, "schedule": str(arm.schedule) or "none", "when": arm.schedule.when}
            for arm in design.arms
        ],
        "design": design_facts(result),
        "compared": [_compared(row) for row in compared],
        "rows": [_row(row) for row in rows],
        "looks": _looks(result.looks) if result.looks else None,
        "power": [
            {
                "patients": f"{one['patients']:,}",
                "analysis": one["analysis"],
                "arm": one["arm"],
                "of": "" if one["quantity"] == "p" else one["quantity"].removesuffix(" p"),
                "power": percent(one["power"]),
                "se": percent(one["se"]),
            }
            for one in result.power()
        ],
        "primary": design.primary,
        "several_sizes": bool(result.by_size),
        "command": command,
        "provenance_rows": list(flat(dict(result.provenance))),
    }


def verdict(result: TrialResult) -> str:
    """How many published numbers lie where trials predict them, in a sentence; empty where there are none."""
    compared = [row for row in result.rows() if row.published is not None]
    inside = sum(bool(row.inside) for row in compared)
    said = f"{inside} of {len(compared)} published numbers lie within what 90 % of trials predict."
    return said if compared else ""


def _compared(row: TrialRow) -> dict[str, Any]:
    published = row.published
    assert published is not None
    return {
        "name": published.name,
        "which": ", ".join(filter(None, (row.analysis, row.quantity, row.arm))),
        "shown": published.shown,
        "provenance": published.provenance,
        "source": published.source,
        "note": published.note,
        "median": number(row.median, row.digits),
        "interval": _interval(row),
        "inside": {True: "inside", False: "outside", None: ""}[row.inside],
        "agree": f"{percent(row.agree)} of trials" if published.bound else "",
    }


def _interval(row: TrialRow) -> str:
    if not math.isfinite(row.low):
        return ""
    return " to ".join(number(end, row.digits) for end in (row.low, row.high))


def _row(row: TrialRow) -> dict[str, Any]:
    return {
        "analysis": row.analysis,
        "quantity": row.quantity,
        "arm": row.arm,
        "median": number(row.median, row.digits),
        "interval": _interval(row),
        "power": percent(row.significant) if is_p(row.quantity) else "",
        "trials": f"{row.n:,}",
    }


def _looks(looks: TrialLooks) -> dict[str, Any]:
    """The table of looks, and what is expected."""
    told = looks.summary()
    return {
        "unit": looks.unit,
        "planned": f"{looks.planned:,}",
        "rows": [
            {
                "look": row["look"],
                "reached": percent(row["reached"]),
                "day": number(row["day"]),
                "days": f"{number(row['day_low'])} to {number(row['day_high'])}" if row["reached"] else "",
                "information": percent(row["information"]),
                "boundary": number(row["boundary"]) if math.isfinite(row["boundary"]) else "",
                "patients": number(row["patients"]),
                **{why: percent(row[why]) for why in DECISIONS},
            }
            for row in looks.rows()
        ],
        "expected": [
            ("trials that end in favour of the arm", percent(told["power"]), percent(told["fixed power"])),
            *(
                (what, number(told[key]), number(told[f"fixed {key}"]))
                for what, key in (
                    ("patients", "patients"),
                    ("events", "events"),
                    ("days of calendar time", "days"),
                )
            ),
        ],
    }


def design_facts(result: TrialResult) -> list[tuple[str, str]]:
    """The design in a few lines: what, and how."""
    design = result.design
    facts = [("followed", f"{design.follow_up:g} days from randomisation")]
    if design.recruitment:
        facts.append(("recruited", f"in {design.recruitment:g} days, one after the other"))
    if design.monitoring:
        facts += _watched(design.monitoring)
    if design.run_in:
        died = "who dies in it is not randomised" if design.run_in_events else "nobody dies in it"
        facts.append(("run-in", f"{design.run_in:g} days without treatment; {died}"))
        facts.append(("days are counted from", design.origin))
    if design.randomised_by:
        cuts = ", ".join(f"{cut:g}" for cut in design.cuts)
        facts.append(("randomised within parts of", f"{design.randomised_by}, cut at {cuts}"))
    for name, spread in design.covariates.items():
        what = "median {:g}, log-SD {:g}" if spread.on_log else "mean {:g}, SD {:g}"
        part = "" if math.isinf(spread.low) and math.isinf(spread.high) else (
            f", of which from {spread.low:g} to {spread.high:g}"
        )  # fmt: skip
        facts.append((name, what.format(spread.median, spread.sd) + part))
    for stratum in design.strata:
        facts.append(
            (f"stratum {stratum.name}", f"{stratum.covariate} from {stratum.low:g} to below {stratum.high:g}")
        )
    if design.dropout:
        kept = "events are known all the same" if design.vital_status else "events after it are not seen"
        facts.append(("drop-out", f"{design.dropout:g} per year; {kept}"))
    for event in design.adverse:
        counts = ", ".join(f"{one.events} of {one.n} at {one.dose:g}" for one in event.counts)
        said = f"by the largest daily dose of a course: {counts} {event.unit} ({event.provenance})"
        facts.append((event.name, ". ".join(filter(None, (said, event.source, event.note)))))
    if design.missed:
        facts.append(("courses missed", percent(design.missed)))
    return facts


def _watched(plan: Monitoring) -> list[tuple[str, str]]:
    """How a trial is looked at."""
    how = f"as by {SPENDING[plan.efficacy]}" if plan.efficacy else "at the end"
    said = f"{plan.analysis.name}, {plan.planned:,} {plan.unit} planned; alpha is spent {how}"
    found = [("watched by", said)]
    for look in plan.looks:
        share = f"at {percent(look.share)} of them"
        when = share if math.isnan(look.days) else f"on day {look.days:g} of calendar time"
        rule = f"; futile where {look.futility}" if look.futility else ""
        found.append((f"look: {look.name}", when + rule))
    return found


# --- figures


def drawings(result: TrialResult, foot: str = "") -> list[Drawing]:
    """The figures of the page, not drawn yet; ``foot`` stands below each, with what its caption says."""
    from pkpd.present import plot

    found: list[Drawing] = []

    def add(name: str, caption: str, figure: Callable[..., Figure], of: Any, **how: Any) -> None:
        said = f"{caption.partition('. ')[2]} {foot}".strip() if foot else ""
        draw = partial(figure, title=result.design.title, footnote=said, **how)
        found.append(Drawing(name, caption, draw, of))

    first_note = result.design.notes[0] if result.design.notes else ""
    if rows := ratios(result):
        caption = (
            "Ratios. Blue: 90 % of simulated trials, with their median. Below it what was published, hollow "
            f"where it was not checked against its source, in colour where it lies outside. {first_note}"
        )
        add("forest", caption, plot.forest_figure, rows, xlabel="ratio to the control arm")
    if result.design.event:
        caption = (
            "Survival. Line: median of the Kaplan-Meier curves of all trials. Band: 90 % of trials, "
            f"{result.design.n_patients} patients each. {first_note}"
        )
        origin = f"days from {result.design.origin}"
        add("survival", caption, plot.survival_figure, survival(result), xlabel=origin)
    if panels := visits(result):
        caption = (
            "What is measured at visits. Line: median over trials of the mean of an arm. Band: the means of "
            "90 % of trials. Who died or left is measured no more."
        )
        add("visits", caption, plot.trial_visits_figure, panels)
    if rows := adverse(result):
        caption = (
            "Patients with at least one adverse event, by arm. Median and 90 % of simulated trials; how "
            "likely an event is in a course is said by the largest daily dose of it."
        )
        add("adverse", caption, plot.adverse_figure, rows)
    if result.looks is not None:
        caption = (
            "When trials stop, and why. Shares of simulated trials, by the look at which they stop, with the "
            "median of its calendar day."
        )
        add("looks", caption, plot.looks_figure, result.looks.rows())
    if result.by_size:
        caption = (
            "Power by the number of patients. Share of trials whose p value is below alpha; bars: 95 % "
            "interval by the number of trials."
        )
        add("power", caption, plot.power_figure, powers(result))
    return found


def ratios(result: TrialResult) -> list[dict[str, Any]]:
    """Rows of the forest plot."""
    found = []
    several = len(result.design.arms) > 2
    for row in result.rows():
        if row.quantity not in RATIOS or not math.isfinite(row.median):
            continue
        label = row.published.name if row.published else row.analysis + f", {row.arm}" * several
        drawn: dict[str, Any] = {"label": label, "median": row.median, "low": row.low, "high": row.high}
        if row.published is not None and not row.published.bound:
            drawn |= {
                "published": row.published.value,
                "published_low": row.published.low,
                "published_high": row.published.high,
                "provenance": row.published.provenance,
                "inside": bool(row.inside),
            }
        found.append(drawn)
    return found


def adverse(result: TrialResult) -> list[dict[str, Any]]:
    """Rows of the figure of adverse events."""
    kinds = {one.name: one.kind for one in result.design.analyses}
    return [
        {"group": row.analysis, "arm": row.arm, "median": row.median, "low": row.low, "high": row.high}
        for row in result.rows()
        if kinds[row.analysis] == "adverse" and row.quantity == "share" and math.isfinite(row.median)
    ]


def survival(result: TrialResult) -> list[dict[str, Any]]:
    """Curves of the figure of survival, with published shares of survivors."""
    curves = result.curves
    found = []
    for g, group in enumerate(curves.groups):
        for k, arm in enumerate(result.design.arms):
            low, median, high = bands(curves.curves[:, g, k])
            found.append(
                {
                    "group": group,
                    "arm": arm.name,
                    "patients": float(curves.at_risk[:, g, k].mean()),
                    "days": curves.days,
                    "low": low,
                    "median": median,
                    "high": high,
                    "points": _points(result, group if g else "", arm.name),
                }
            )
    return found


def _points(result: TrialResult, stratum: str, arm: str) -> list[dict[str, Any]]:
    named = {one.name: one for one in result.design.analyses if one.kind == "survival"}
    found = []
    for row in result.design.published:
        analysis = named.get(row.analysis)
        if analysis is None or row.quantity != "fraction" or row.arm != arm or analysis.within != stratum:
            continue
        day = float(result.curves.days[-1]) if math.isnan(analysis.day) else analysis.day
        found.append({"day": day, "value": row.value, "provenance": row.provenance})
    return found


def visits(result: TrialResult) -> list[dict[str, Any]]:
    """Panels of the figure of visits."""
    seen, panels = result.visits, []
    for j, output in enumerate(seen.outputs):
        arms = []
        for k, arm in enumerate(result.design.arms):
            low, mean, high = bands(seen.means[:, k, j])
            arms.append({"arm": arm.name, "days": seen.days, "low": low, "mean": mean, "high": high})
        panels.append({"title": seen.descriptions[j] or output, "unit": unit(seen.units[j]), "arms": arms})
    return panels


def powers(result: TrialResult) -> list[dict[str, Any]]:
    """Lines of the figure of power: the primary analysis first."""
    lines: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in result.power():
        lines.setdefault((one["analysis"], one["quantity"], one["arm"]), []).append(one)
    first = sorted(lines, key=lambda key: key[0] != result.design.primary)
    several = len(result.design.arms) > 2
    return [
        {
            "label": analysis
            + (f", {quantity.removesuffix(' p')}" if quantity != "p" else "")
            + (f", {arm}" if several and arm else ""),
            "patients": [one["patients"] for one in lines[analysis, quantity, arm]],
            "power": [one["power"] for one in lines[analysis, quantity, arm]],
            "se": [one["se"] for one in lines[analysis, quantity, arm]],
        }
        for analysis, quantity, arm in first[:MOST_POWERS]
    ]
