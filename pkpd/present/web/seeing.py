"""Answers of the views that look closer at one schedule: an endpoint over the dose, which dose meets a
target, what drives an endpoint, and why a curve goes as it does. Each from few people, so that it comes at
once; the command that stands below a view has all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import time
from collections.abc import Collection
from fractions import Fraction
from typing import Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene
from pkpd.decision.drivers import drivers as run_drivers
from pkpd.decision.endpoints import BURDEN
from pkpd.decision.inverse import Attainment, dose_for
from pkpd.decision.inverse.question import unknown
from pkpd.decision.response import dose_response
from pkpd.decision.why import why as run_why
from pkpd.dosing import Schedule
from pkpd.dosing.quantities import decimal_text, with_size
from pkpd.present.report.drivers import origin_words
from pkpd.present.report.why import label
from pkpd.present.web.evaluation import SEED, Explorer, FieldError, Request, Stop

LETTERS = "ABCD"
PEOPLE, DRAWS, POINTS = 60, 10, 9  # of an endpoint over the dose
SEEKERS = 40  # of a dose for a target
SAMPLES = 64  # of what drives it
CLOSER = 24  # people of why a curve goes as it does
WIDER = 8  # times smaller and larger doses, where the endpoints of the fit say none
DIGITS = 5


def response(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """An endpoint over the dose of one schedule, and over another endpoint."""
    began = time.perf_counter()
    request, plan, index = _asked(explorer, values, ("of", "endpoint", "over"))
    pattern, doses = _opened(explorer, plan, index)
    scene = _people(explorer, request, min(request.subjects, PEOPLE), DRAWS)
    names = _endpoints(scene, request, plan)
    endpoint = _chosen(request, "endpoint", names, _usual(scene, names))
    over = _chosen(request, "over", ["", *(name for name in names if name != endpoint)], "")
    found = dose_response(
        scene,
        pattern,
        endpoint,
        over=over or None,
        dose=doses,
        points=POINTS,
        progress=lambda *_: stop(),
    )
    words = [f'pkpd dose-response "{pattern}" --endpoint "{endpoint}"', f'--dose "{doses}"']
    words += [f'--over "{over}"'] if over else []
    told = {
        "endpoints": names,
        "endpoint": endpoint,
        "over": over,
        "own": float(plan.parts[0].amount),
        "axis": found.unknown.called,
        "found": found.to_dict(),
        "command": " ".join([*words, *_options(explorer, request, ("--show",))]),
    }
    return _told(explorer, request, told, scene.subjects, began)


def target(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """Which dose of one schedule meets a target."""
    began = time.perf_counter()
    request, plan, index = _asked(explorer, values, ("of", "wish"))
    pattern, doses = _opened(explorer, plan, index)
    scene = _people(explorer, request, min(request.subjects, SEEKERS), DRAWS)
    wish = request.own.get("wish") or _usual_wish(scene, request, plan)
    if not isinstance(wish, str):
        raise FieldError("a target is a text", "wish")
    try:
        found = dose_for(scene, wish, pattern, dose=doses, progress=lambda *_: stop())
    except InputError as error:
        raise FieldError(str(error), "wish") from None
    if not isinstance(found, Attainment):
        raise FieldError("a target has one unknown here, the dose", "wish")
    words = f'pkpd dose-for "{wish}" --schedule "{pattern}" --dose "{doses}"'
    told = {
        "wish": wish,
        "own": float(plan.parts[0].amount),
        "axis": found.unknown.called,
        "found": found.to_dict(),
        "command": " ".join([words, *_options(explorer, request, ("--show",))]),
    }
    return _told(explorer, request, told, scene.subjects, began)


def _usual_wish(scene: Scene, request: Request, plan: Schedule) -> str:
    """What the schedule does to its median person, as a target that is to be met with another dose."""
    name = _usual(scene, _endpoints(scene, request, plan))
    (arm,) = scene.arms([plan])
    endpoint, values = next((one, some) for one, some in arm.endpoints.items() if one.name == name)
    middle = float(np.nanmedian(values))
    return f"{name} {'at most' if endpoint.better < 0 else 'at least'} {middle:.3g}"


def drivers(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """What drives an endpoint under one schedule."""
    began = time.perf_counter()
    request, plan, _ = _asked(explorer, values, ("of", "endpoint", "by"))
    _everybody(request)
    by = request.own.get("by", "people")
    if by not in ("people", "parameters"):
        raise FieldError("an endpoint is driven by people or by parameters", "by")
    scene = _people(explorer, request, 1, 1)
    names = _endpoints(scene, request, plan)
    endpoint = _chosen(request, "endpoint", names, _usual(scene, names))
    try:
        found = run_drivers(
            scene, plan, endpoint, origins=[by], samples=SAMPLES, seed=SEED, progress=lambda *_: stop()
        )
    except InputError as error:
        raise FieldError(str(error), "endpoint") from None
    left_out = ("--subjects", "--responders", "--show")
    words = [
        f'pkpd drivers "{plan}" --endpoint "{endpoint}" --by {by}',
        *_options(explorer, request, left_out),
    ]
    told = {
        "endpoints": names,
        "endpoint": endpoint,
        "by": by,
        "origins": [origin_words(origin) for origin in found.origins],
        "found": found.to_dict(),
        "command": " ".join(words),
    }
    return _told(explorer, request, told, SAMPLES, began)


def why(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """Why an output goes as it does under one schedule."""
    began = time.perf_counter()
    request, plan, _ = _asked(explorer, values, ("of", "output"))
    _everybody(request)
    outputs = list(explorer.outputs)
    output = _chosen(request, "output", outputs, outputs[0])
    try:
        found = run_why(
            explorer.scene(request).fit,
            plan,
            output,
            subjects=CLOSER,
            seed=SEED,
            parameters={} if request.bsa is None else {"BSA": request.bsa},
            until_days=request.days,
            progress=lambda *_: stop(),
        )
    except InputError as error:
        raise FieldError(str(error), "output") from None
    told = found.to_dict()
    for account, of in zip(told["accounts"], found.accounts, strict=True):
        account["parts"] = [
            {
                "label": label(part, term),
                "total": [_plain(row.tolist()) for row in part.total],
                "treated": _plain(dataclasses.asdict(part.treated)),
                "after": _plain(dataclasses.asdict(part.after)),
                "factor": None if part.factor is None else _plain(part.factor.tolist()),
                "text": part.text,
                "words": part.words,
            }
            for term in of.terms
            for part in term.parts or (term,)
        ]
        del account["terms"]
    titles = [(name, explorer.criteria.shown(name).title) for name in outputs]
    options = _options(explorer, request, ("--subjects", "--responders", "--show", "--fit", "--endpoints"))
    fit = explorer.name if " " not in explorer.name else f'"{explorer.name}"'
    words = [f'pkpd why {fit} "{plan}" --of {output} --subjects {CLOSER}', *options]
    answer = {"outputs": titles, "output": output, "found": told, "command": " ".join(words)}
    return _told(explorer, request, answer, CLOSER, began)


# --- what they share


def _asked(explorer: Explorer, values: object, own: Collection[str]) -> tuple[Request, Schedule, int]:
    """The request, and the schedule that is looked at, with its number."""
    request = explorer.check(values, own=own)
    letters = LETTERS[: len(request.schedules)]
    of = request.own.get("of", "A")
    if not isinstance(of, str) or len(of) != 1 or of not in letters:
        of = "A"  # a schedule that was removed meanwhile
    index = LETTERS.index(of)
    plan = request.schedules[index]
    if not isinstance(plan, Schedule):
        raise FieldError(
            "this view looks at a schedule without rules, whose doses are taken as planned",
            "schedules",
            index,
        )
    if not plan.parts:
        raise FieldError("without a dose there is nothing to look at", "schedules", index)
    try:
        explorer.scene(request).lasting(request.days).check_plan(plan)
    except InputError as error:
        raise FieldError(str(error), "schedules", index) from None
    return request, plan, index


def _everybody(request: Request) -> None:
    if request.responders != "all":
        raise FieldError(
            "this view asks what makes people differ, and is of all of them: choose all responders",
            "responders",
        )


def _opened(explorer: Explorer, plan: Schedule, index: int) -> tuple[str, str]:
    """The schedule with "?" for its dose, and from where to where it is looked."""
    if len(plan.parts) > 1:
        raise FieldError("the dose of a schedule of several parts is not one number", "schedules", index)
    (part,) = plan.parts
    unit = with_size(part.unit, part.per)
    low, high = part.amount / WIDER, part.amount * WIDER
    with contextlib.suppress(InputError):  # where the endpoints of the fit say no doses of this unit
        usual = unknown("dose", unit, None, explorer.criteria).values
        low, high = min(usual[0], part.amount / 2), max(usual[-1], part.amount * 2)
    ends = [decimal_text(Fraction(f"{float(end):.3g}")) for end in (low, high)]
    return re.sub(r"^\S+", "?", str(plan), count=1), f"{ends[0]} to {ends[1]} {unit}"


def _people(explorer: Explorer, request: Request, subjects: int, draws: int) -> Scene:
    """The people of a request, fewer of them."""
    scene = explorer.scene(request)
    who = {"subjects": subjects, "draws": draws}
    if request.bsa is not None:
        who["covariates"] = {"BSA": request.bsa}  # type: ignore[assignment]
    return dataclasses.replace(scene, who={**scene.who, **who}).drawn_as()


def _endpoints(scene: Scene, request: Request, plan: Schedule) -> list[str]:
    """Of each person, and of the course: not the burden, the risks of a group, or what nobody asked for."""
    criteria = scene.criteria
    kept_back = {group.group for group in criteria.kept_back(request.show)}
    return [
        endpoint.name
        for endpoint in scene.first(1).arm(plan).endpoints
        if endpoint.group not in kept_back | {BURDEN} and criteria.risk(endpoint.name) is None
    ]


def _usual(scene: Scene, names: list[str]) -> str:
    """What is looked at where nobody says: what a search would better first."""
    wanted = [name for name in (*scene.criteria.objectives, *scene.criteria.main) if name in names]
    return (wanted or names)[0]


def _chosen(request: Request, field: str, known: Collection[str], usual: str) -> str:
    given = request.own.get(field) or usual
    if given not in known:
        raise FieldError(f'there is no {field} "{str(given)[:60]}" to look at', field)
    return str(given)


def _options(explorer: Explorer, request: Request, without: Collection[str]) -> list[str]:
    return [word for word in explorer.options(request) if word.partition(" ")[0] not in without]


def _told(
    explorer: Explorer, request: Request, told: dict[str, Any], people: int, began: float
) -> dict[str, Any]:
    shared = explorer.told(request) | {"subjects": people, "of": people}
    return shared | _plain(told) | {"seconds": round(time.perf_counter() - began, 4)}


def _plain(value: Any) -> Any:
    """In five digits, and None where there is no number."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
