"""Simulated trials -> a folder: one HTML file without outside resources, its figures as PNG, the table, every
trial's numbers, and the result as JSON.

write_trial_report(simulate_trial("imodals"), "results/imodals")
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.core.arguments import PATH, TEXT, of, takes
from pkpd.core.files import check_folder, write_text
from pkpd.present.report.comparison import flat
from pkpd.present.report.numbers import number, percent, unit
from pkpd.present.report.page import environment, placed_pictures
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


@takes(result=of(TrialResult), folder=PATH, command=TEXT)
def write_trial_report(result: TrialResult, folder: str | os.PathLike[str], *, command: str = "") -> Path:
    """Write report.html, trial.json, trial.csv, numbers.csv and the figures into a folder, each whole or not
    at all; the folder is made if it is not there. ``command`` is the command line that makes it again.

    Raises ``InputError`` if it cannot be written there.
    """
    from pkpd.present import plot

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    check_folder(folder)
    result.write_json(folder / "trial.json")
    result.write_csv(folder / "trial.csv")
    result.write_numbers(folder / "numbers.csv")
    drawn = figures(result)
    for name, (_, figure) in drawn.items():
        plot.save(figure, folder / f"{name}.png")
    write_text(folder / "report.html", render(result, drawn, command=command))
    return folder


def render(result: TrialResult, drawn: dict[str, tuple[str, Figure]], *, command: str = "") -> str:
    """The page as text."""
    from pkpd.present import plot

    pictures = {name: (caption, plot.svg(figure)) for name, (caption, figure) in drawn.items()}
    page = environment().get_template("trial.html.j2")
    return page.render(document(result, command), pictures=placed_pictures(pictures))


# --- result -> what the page shows


def document(result: TrialResult, command: str = "") -> dict[str, Any]:
    """Everything the template shows, as plain values."""
    design, rows = result.design, result.rows()
    compared = [row for row in rows if row.published is not None]
    inside = sum(bool(row.inside) for row in compared)
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
        "verdict": f"{inside} of {len(compared)} published numbers lie within what 90 % of trials predict."
        if compared
        else "",
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


def figures(result: TrialResult) -> dict[str, tuple[str, Figure]]:
    """Name -> (caption, figure), in the order of the page."""
    from pkpd.present import plot

    drawn: dict[str, tuple[str, Figure]] = {}
    rows = ratios(result)
    if rows:
        drawn["forest"] = (
            "Ratios. Blue: 90 % of simulated trials, with their median. Below it what was published, hollow "
            "where it was not checked against its source, in colour where it lies outside. "
            + _first_note(result),
            plot.forest_figure(rows, title=result.design.title, xlabel="ratio to the control arm"),
        )
    if result.design.event:
        origin = f"days from {result.design.origin}"
        drawn["survival"] = (
            "Survival. Line: median of the Kaplan-Meier curves of all trials. Band: 90 % of trials, "
            f"{result.design.n_patients} patients each. " + _first_note(result),
            plot.survival_figure(survival(result), title=result.design.title, xlabel=origin),
        )
    if panels := visits(result):
        drawn["visits"] = (
            "What is measured at visits. Line: median over trials of the mean of an arm. Band: the means of "
            "90 % of trials. Who died or left is measured no more.",
            plot.trial_visits_figure(panels, title=result.design.title),
        )
    if rows := adverse(result):
        drawn["adverse"] = (
            "Patients with at least one adverse event, by arm. Median and 90 % of simulated trials; how "
            "likely an event is in a course is said by the largest daily dose of it.",
            plot.adverse_figure(rows, title=result.design.title),
        )
    if result.looks is not None:
        drawn["looks"] = (
            "When trials stop, and why: shares of simulated trials, by the look at which they stop, with the "
            "median of its calendar day.",
            plot.looks_figure(result.looks.rows(), title=result.design.title),
        )
    if result.by_size:
        drawn["power"] = (
            "Power by the number of patients. Share of trials whose p value is below alpha; bars: 95 % "
            "interval by the number of trials.",
            plot.power_figure(powers(result), title=result.design.title),
        )
    return drawn


def _first_note(result: TrialResult) -> str:
    return result.design.notes[0] if result.design.notes else ""


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
