"""The answer of the view of one person: what measured values say of this person, and what the schedules on
the left would do from a later day on. Of fewer draws than the command that stands below it, so that it comes
at once.

Nothing of it is kept, and no value is logged: measured values of a person are health data.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pkpd.core.errors import InputError, PkpdError
from pkpd.decision.comparison import Comparison, Scene, compare, horizon
from pkpd.decision.endpoints import grid
from pkpd.decision.wishes import parse_constraints
from pkpd.dosing import Schedule, time_units_per_day
from pkpd.dosing.rules import AdaptiveSchedule, Plan, planned
from pkpd.dosing.taking import GivenDoses, exact_doses, read_given
from pkpd.inference import FitResult
from pkpd.inference.individual import Individual, individualise
from pkpd.inference.measurements import Measurement, why_unmeasured
from pkpd.inference.population import covariate_of, fitted_model
from pkpd.present.report.individual import courses
from pkpd.present.share.people import PersonAhead
from pkpd.present.web.answer import curve, in_five_digits, standings, table
from pkpd.present.web.cards import cycle_of
from pkpd.present.web.evaluation import LABELS, Explorer, FieldError, Request, Stop, number
from pkpd.solver.kernel import Kernel

DRAWS, ESTIMATES = 200, 10  # of what this person may be, and of the fit's parameters
MOST_VALUES = 60
FORMULAS = ("Mosteller", "DuBois")
WEIGHTS, HEIGHTS = (1.5, 400.0), (30.0, 260.0)  # kg, cm
FIELDS = ("given", "measured", "weight", "height", "formula", "known", "begin", "wish")
OF_VALUES = "the measured values"  # topic of what is told of them


class _Known(NamedTuple):
    """What else is known of a person: by name, and as options of a command."""

    values: dict[str, float | str]
    options: list[str]


def facts(explorer: Explorer) -> dict[str, Any]:
    """What the page has to know to lay the fields: outputs that can be measured, what else can be known with
    its usual value, by what formulas body surface is computed (none where the model has none), and why
    nothing can be said with this fit, "" where it can."""
    result, kernel = _fitted(explorer.scene(explorer.check({})))
    body = _body(kernel)
    known = [
        {"name": name, "unit": unit, "usual": value}
        for name, kind, unit, value in zip(
            kernel.PARAMETERS, kernel.KINDS, kernel.UNITS, map(float, kernel.VALUES), strict=True
        )
        if kind == "covariate" and name != body
    ]
    return {
        "outputs": [
            {"name": name, "title": explorer.criteria.shown(name).title, "unit": unit}
            for name, unit in zip(kernel.OUTPUTS, kernel.OUTPUT_UNITS, strict=True)
            if name in result.noise
        ],
        "known": known,
        "body": body,
        "formulas": FORMULAS if body else (),
        "most": MOST_VALUES,
        "why_not": _why_not(explorer, result, kernel),
    }


def person(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """What is known of one person, and what would follow.

    Own values, all texts, "" where nothing is said: ``given``, a schedule, by default the first course of
    schedule A; ``measured``, as "0 NAME 5; 7 NAME 8", days, outputs and values in the output's unit;
    ``weight`` in kg, ``height`` in cm and the ``formula`` of body surface, else what all views share;
    ``known``, as "NAME = 900 1/uL; ..."; ``begin``, the day on which what follows begins; ``wish``.
    """
    began = time.perf_counter()
    request = explorer.check(values, own=FIELDS)
    if request.responders != "all":
        raise FieldError(
            "how one person responds is what the measured values say: choose all responders", "responders"
        )
    everybody = explorer.scene(request)
    result, kernel = _fitted(everybody)
    if reason := _why_not(explorer, result, kernel):
        raise InputError(reason)
    own = {field: _text(request, field) for field in FIELDS}
    cards = [_card(plan, index) for index, plan in enumerate(request.schedules)]
    first = planned(request.schedules[0])
    doses, had = _given(explorer, kernel, own["given"] or _first_course(first))
    seen = _measured(explorer, kernel, result.noise, own["measured"])
    known = _known(kernel, result, request, own)
    per_day = time_units_per_day(kernel.TIME_UNIT)
    days = [one.time / per_day for one in seen]
    begin = _begin(explorer, own["begin"], _due(doses, had, first, days), had, days)
    following = [card.shifted(f"{begin:.10g}") for card in cards]
    until = _until(explorer, request, had, following)
    stop()
    try:
        found = individualise(
            everybody.fit,
            seen,
            doses,
            subjects=DRAWS,
            draws=ESTIMATES,
            covariates=known.values,
            posterior=everybody.who["posterior"],
            progress=lambda *_: stop(),
        )
    except InputError as error:
        if not own["known"]:
            raise
        raise FieldError(str(error), "known") from None  # nothing is left that differs between people
    scene = Scene.of_person(found, until_days=until, endpoints=everybody.about.get("endpoints"))
    _check(explorer, scene, following)
    comparison = compare(scene.arms(following, LABELS[: len(following)], progress=lambda *_: stop()))
    ahead = _ahead(found, comparison, own["wish"])
    stop()
    told = {
        "given": str(doses),
        "doses": [float(dose.time_days) for dose in had.doses()],
        "begin": begin,
        "over_days": until,
        "effective": found.effective,
        "measurements": [{**row, "day": day} for row, day in zip(found.rows(), days, strict=True)],
        "parameters": found.parameters(),
        "wishes": _held(ahead),
    }
    return (
        explorer.told(request)
        | in_five_digits(told)
        | {
            "charts": _charts(explorer, found, comparison),
            "arms": [
                {"text": arm.text, "standings": standings(arm.standings), "doses": arm.dose_days.tolist()}
                for arm in comparison.arms
            ],
            "endpoints": table(comparison),
            "reading": list(comparison.reading),
            "notices": _notices(found, comparison),
            "command": _command(explorer, request, doses, following, own["wish"], known),
            "people": "draws of this person",
            "subjects": DRAWS,
            "of": DRAWS,
            "seconds": round(time.perf_counter() - began, 4),
        }
    )


def _fitted(scene: Scene) -> tuple[FitResult, Kernel]:
    result, _, kernel = fitted_model(scene.fit)
    return result, kernel


def _why_not(explorer: Explorer, result: FitResult, kernel: Kernel) -> str:
    """Why nothing can be said of one person, and what would be right; "" where something can."""
    if any(name in result.noise for name in kernel.OUTPUTS):
        return ""
    lines = f"[noise] in its fit.toml with a line such as {kernel.OUTPUTS[0]} = {{ proportional = 0.1 }}"
    if not explorer.fitted:
        return (
            f"{explorer.name} is a model that nobody has fitted: it does not state how exactly a value is "
            f"measured. What one person's values say takes a fit, pkpd explore --fit FIT, that states it: "
            f"{lines}."
        )
    return (
        f"The fit {explorer.name} does not state how exactly a value is measured, so that nothing can be "
        f"said from the values of one person. It takes {lines}, and pkpd fit once more."
    )


# --- what is asked


def _text(request: Request, field: str) -> str:
    given = request.own.get(field, "")
    if not isinstance(given, str):
        raise FieldError(f'"{field}" is a text', field)
    return given.strip()


def _number(text: str, field: str, what: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        point = '; a decimal point is "."' if "," in text else ""
        raise FieldError(f'{what} must be a number, not "{text[:40]}"{point}', field) from None
    return number(value, field, what, low, high)


def _card(plan: Plan, index: int) -> Schedule:
    """The doses that follow, without those that are missed on stated days."""
    if isinstance(plan, AdaptiveSchedule):
        raise FieldError("what follows doses that were given before has no rules", "schedules", index)
    try:
        return exact_doses(plan)
    except InputError as error:
        raise FieldError(
            f"{error}; what one person takes is known or planned, each dose of it", "schedules", index
        ) from None


def _first_course(schedule: Schedule) -> str:
    """The first course of a cycle of daily doses; all of any other schedule."""
    cycle = cycle_of(schedule)
    if cycle is None or cycle["interval"] is None:
        return str(schedule)
    (part,) = schedule.parts
    once = replace(part, cycles=()) if part.cycles else replace(part, period=None, count=1)
    return str(Schedule((once,)))


def _given(explorer: Explorer, kernel: Kernel, text: str) -> tuple[GivenDoses, Schedule]:
    """The doses that the person had, as they are written and as they were taken."""
    limits = explorer.limits
    try:
        doses = read_given(text)
        if doses.n_doses > limits.doses or doses.span > limits.days:
            raise FieldError(
                f"{doses.n_doses:,} doses until day {doses.span:g} are more than this page computes "
                f"({limits.doses} doses, {limits.days:g} days)",
                "given",
            )
        had = doses if isinstance(doses, Schedule) else doses.exactly()
        had.events_for(kernel)
    except FieldError:
        raise
    except PkpdError as error:
        raise FieldError(
            re.sub(r"^<schedule>:1:(\d+): ", r"at character \1: ", str(error)), "given"
        ) from None
    return doses, had


def _measured(
    explorer: Explorer, kernel: Kernel, noise: Mapping[str, object], text: str
) -> list[Measurement]:
    """The values of a text; a field that is wrong is called measured.ROW.day, .output or .value."""
    days, per_day = explorer.limits.days, time_units_per_day(kernel.TIME_UNIT)
    lines = [line for line in text.split(";") if line.strip()]
    if len(lines) > MOST_VALUES:
        raise FieldError(
            f"this page takes {MOST_VALUES} measured values, not {len(lines)}",
            f"measured.{MOST_VALUES}.day",
        )
    found = []
    for i, line in enumerate(lines):
        words = line.split()
        if len(words) != 3:
            example = f"7 {next(iter(noise))} 8"
            raise FieldError(
                f'"{line.strip()[:60]}": a measured value is a day, an output and a value, such as '
                f'"{example}"',
                f"measured.{i}.day",
            )
        said, output, value = words
        day = _number(said, f"measured.{i}.day", "the day", -days, days)
        if reason := why_unmeasured(output, kernel, noise):
            raise FieldError(reason, f"measured.{i}.output")
        size = _number(value, f"measured.{i}.value", "the measured value", -1e300, 1e300)
        found.append(Measurement(day * per_day, output, size))
    return found


def _body(kernel: Kernel) -> str:
    """The covariate that is a body surface area; "" for a model without one."""
    place = kernel.SIZES.get("m2", -1)
    return kernel.PARAMETERS[place] if place >= 0 else ""


def _known(kernel: Kernel, result: FitResult, request: Request, own: Mapping[str, str]) -> _Known:
    """What else is known of the person: by its text, by weight and height, and body surface as it is for all
    views where neither says it."""
    values: dict[str, float | str] = {}
    options = []
    for entry in filter(str.strip, own["known"].split(";")):
        name, equals, value = (part.strip() for part in entry.partition("="))
        try:
            if not equals or not value:
                place = next((i for i, kind in enumerate(kernel.KINDS) if kind == "covariate"), 0)
                usual = f"{kernel.PARAMETERS[place]} = {kernel.VALUES[place]:g}"
                raise InputError(f'"{entry.strip()[:60]}": write a name and its value, such as {usual}')
            if name in values:
                raise InputError(f"{name} is said twice; leave one of them out")
            if value.startswith("-"):  # of a patient nothing is below zero, and a warning would print it
                raise InputError(f"{name} = {value[:40]} is below zero")
            covariate_of(kernel, result, name, value)
        except InputError as error:
            raise FieldError(str(error), "known") from None
        values[name] = value
        options.append(f'--set "{name} = {value}"')
    body = _body(kernel)
    formula = _by_formula(body, own)
    if formula and body in values:
        raise FieldError(f"{body} follows from weight and height; leave one of them out", "known")
    if formula:
        values[body] = formula
        options.append(f'--set "{body} = {formula}"')
    elif request.bsa is not None and body not in values:
        values[body] = request.bsa
        options.append(f'--set "{body} = {request.bsa:.15g} m^2"')
    return _Known(values, options)


def _by_formula(body: str, own: Mapping[str, str]) -> str:
    """Body surface by weight and height, as a value of a parameter; "" where they are not said."""
    if not (own["weight"] or own["height"]):
        return ""
    for field in ("weight", "height"):
        if not body:
            raise FieldError("this model has no body surface area: leave weight and height out", field)
        if not own[field]:
            raise FieldError(
                f"body surface is computed from weight and height: the {field} is missing", field
            )
    weight = _number(own["weight"], "weight", "the weight in kg", *WEIGHTS)
    height = _number(own["height"], "height", "the height in cm", *HEIGHTS)
    formula = own["formula"] or FORMULAS[0]
    if formula not in FORMULAS:
        raise FieldError(f"a formula of body surface is {' or '.join(FORMULAS)}", "formula")
    return f"{formula}({weight:.15g} kg, {height:.15g} cm)"


def _due(doses: GivenDoses, had: Schedule, card: Schedule, days: Sequence[float]) -> float:
    """The day on which the next cycle is due, by what was given or by schedule A, and at least the first
    whole day that is behind the last dose and not before the last value."""
    own, next_one = cycle_of(doses), cycle_of(card)
    due = 0
    if own is not None and own["interval"] is not None:
        due = own["interval"] * own["cycles"]
    elif own is not None and next_one is not None and next_one["interval"] is not None:
        due = next_one["interval"]
    behind = math.floor(had.span) + 1 if had.parts else 0
    return float(max(due, behind, math.ceil(max(days, default=0.0))))


def _begin(explorer: Explorer, text: str, due: float, had: Schedule, days: Sequence[float]) -> float:
    """The day on which what follows begins, on ``due`` where nobody says."""
    if not text:
        return due
    begin = _number(text, "begin", "the day on which what follows begins", 0, explorer.limits.days)
    if had.parts and begin <= had.span:
        raise FieldError(f"it must come after the last dose that was given, on day {had.span:g}", "begin")
    for i, day in enumerate(days):
        if day > begin:
            raise FieldError(
                f"day {day:g} is after day {begin:g}, on which what follows begins: values are measured "
                "before",
                f"measured.{i}.day",
            )
    return begin


def _until(explorer: Explorer, request: Request, had: Schedule, following: Sequence[Schedule]) -> float:
    """The horizon: that of all views, or of the longest of what follows."""
    if request.own_days:
        return request.days
    needed = [horizon([had + schedule]) for schedule in following]
    if max(needed) > explorer.limits.days:
        raise FieldError(
            f"this schedule would need {max(needed):,.0f} days from the first dose that was given, more than "
            f"this page computes ({explorer.limits.days:g}); pkpd individualise has no such limit",
            "schedules",
            needed.index(max(needed)),
        )
    return max(needed)


def _check(explorer: Explorer, scene: Scene, following: Sequence[Schedule]) -> None:
    """Raise ``FieldError`` for what cannot follow, or is more than one request may compute."""
    kernel, until = scene.population.kernel, scene.until_days
    assert until is not None
    per_day = time_units_per_day(kernel.TIME_UNIT)
    for index, schedule in enumerate(following):
        try:
            scene.check_plan(schedule)
        except InputError as error:
            raise FieldError(str(error), "schedules", index) from None
        events = scene.events(scene.history + planned(schedule))
        if grid(events, per_day * until, per_day).size * scene.subjects > explorer.limits.courses:
            raise FieldError(
                f"{len(events):,} doses over {until:g} days are more than this page computes "
                "(pkpd individualise has no such limit)",
                "schedules",
                index,
            )


def _ahead(found: Individual, comparison: Comparison, wish: str) -> PersonAhead:
    try:
        wishes = parse_constraints(wish, comparison.endpoints, comparison.criteria) if wish else ()
        return PersonAhead(found, comparison, wishes)
    except InputError as error:
        raise FieldError(str(error), "wish") from None


# --- what is told


def _held(ahead: PersonAhead) -> list[dict[str, Any]]:
    """How probable each wish is under each schedule, and all of them where there are several."""
    if not ahead.wishes:
        return []
    assert ahead.following is not None
    held = np.array([ahead.held(arm) for arm in ahead.following.arms])
    names = [*map(str, ahead.wishes)] + ["all of these"] * (len(ahead.wishes) > 1)
    return [{"wish": name, "held": held[:, i].tolist()} for i, name in enumerate(names)]


def _charts(explorer: Explorer, found: Individual, comparison: Comparison) -> list[dict[str, Any]]:
    """Of each output that was measured the courses of people, of this person, and of what follows."""
    drawn = courses(found, comparison)
    units = dict(zip(found.kernel.OUTPUTS, found.kernel.OUTPUT_UNITS, strict=True))

    def of(band: Mapping[str, Any], name: str) -> dict[str, Any]:
        days, lines = band["days"], band["bands"][name]
        if days.size > 1:
            return curve(days, lines)
        low, median, high = lines.tolist()  # what follows begins at once
        return {"days": days.tolist()} | in_five_digits({"low": low, "median": median, "high": high})

    return [
        {
            "name": name,
            "title": explorer.criteria.shown(name).title,
            "unit": units[name],
            "before": of(drawn.before, name),
            "after": of(drawn.after, name),
            "following": [of(band, name) for band in drawn.forecasts.values()],
            "points": in_five_digits(
                [
                    {"day": row["day"], "value": row["value"], "error": row["error"]}
                    for row in drawn.measured
                    if row["output"] == name
                ]
            ),
        }
        for name in drawn.outputs
    ]


def _notices(found: Individual, comparison: Comparison) -> list[dict[str, Any]]:
    """What the comparison tells, behind what there is to say of the measured values."""
    known = {notice.sentence for notice in comparison.told}
    own = [{"arms": (), "sentence": note, "topic": OF_VALUES} for note in found.notes if note not in known]
    return own + [notice._asdict() for notice in comparison.told]


def _command(
    explorer: Explorer,
    request: Request,
    doses: GivenDoses,
    following: Sequence[Schedule],
    wish: str,
    known: _Known,
) -> str:
    """The command line that asks the same, in more draws."""
    fit = explorer.name if " " not in explorer.name else f'"{explorer.name}"'
    words = [f'pkpd individualise {fit} person.csv --given "{doses}"']
    words += [f'--next "{schedule}"' for schedule in following]
    words += [f'--wish "{wish}"'] if wish else []
    words += known.options
    alike = ("--endpoints", "--posterior", "--seed", "--until")
    words += [word for word in explorer.options(request) if word.partition(" ")[0] in alike]
    return " ".join(words)
