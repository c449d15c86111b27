"""Answers of the views that look closer at one schedule: an endpoint over the dose, the interval, or a number
of doses or cycles, which of these meets a target, what drives an endpoint, and why a curve goes as it does.
Each from few people, so that it comes at once; the command that stands below a view has all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene, horizon
from pkpd.decision.comparison.result import Topic
from pkpd.decision.drivers import Drivers
from pkpd.decision.drivers import drivers as run_drivers
from pkpd.decision.endpoints import BURDEN
from pkpd.decision.evidence import COUNTED, Standing
from pkpd.decision.inverse import Attainment, dose_for
from pkpd.decision.inverse.question import NAMES, OpenSchedule, unknown
from pkpd.decision.response import DoseResponse, dose_response
from pkpd.decision.why import Explanation
from pkpd.decision.why import why as run_why
from pkpd.dosing import Schedule
from pkpd.dosing.quantities import decimal_text, with_size
from pkpd.dosing.rules import AdaptiveSchedule, Plan, planned
from pkpd.dosing.taking import GivenDoses, TakenSchedule, exact_doses, read_given
from pkpd.present.report.drivers import origin_words
from pkpd.present.report.why import label
from pkpd.present.web.answer import in_five_digits, standings
from pkpd.present.web.cards import cycle_of
from pkpd.present.web.evaluation import SEED, Explorer, FieldError, Request, Stop
from pkpd.solver.kernel import cautions_of

Doses = TypeVar("Doses", Schedule, GivenDoses)

LETTERS = "ABCD"
PEOPLE, DRAWS, POINTS = 60, 10, 9  # of an endpoint over the dose
SEEKERS = 40  # of a dose for a target
SAMPLES = 64  # of what drives it
CLOSER = 24  # people of why a curve goes as it does
WIDER = 8  # times smaller and larger doses, where the endpoints of the fit say none
WEEK, EIGHT_WEEKS = 7, 56  # days, of an interval
DAYS, CYCLES = 14, 12  # that a course, and a treatment, may have


def response(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """An endpoint over the dose of one schedule, and over another endpoint."""
    began = time.perf_counter()
    request, plan, index = _asked(explorer, values, ("of", "along", "range", "endpoint", "over"), _taken)
    along = _along(explorer, request, plan, index)
    scene = _people(explorer, request, min(request.subjects, PEOPLE), DRAWS)
    names = _endpoints(scene, request, plan)
    endpoint = _chosen(request, "endpoint", names, _usual(scene, names))
    over = _chosen(request, "over", ["", *(name for name in names if name != endpoint)], "")
    found = dose_response(
        scene,
        along.pattern,
        endpoint,
        over=over or None,
        points=POINTS,
        progress=lambda *_: stop(),
        **along.asked,
    )
    ends = _schedules(along.pattern, (found.values[0], found.values[-1]))
    words = [f'pkpd dose-response "{along.pattern}" --endpoint "{endpoint}"', along.option]
    words += [f'--over "{over}"'] if over else []
    told = {
        "endpoints": names,
        "endpoint": endpoint,
        "over": over,
        "own": along.own,
        "along": along.told,
        "over_days": found.provenance["until_days"],
        "axis": found.unknown.called,
        "found": _found(found),
        "notices": _notices(scene, found.warnings, ends),
        "arms": _stand(endpoint, found.value_standings),
        "command": " ".join([*words, *_options(explorer, request, ("--show",))]),
    }
    return _told(explorer, request, told, scene.subjects, began)


def target(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """Which dose, interval, number of doses or of cycles of one schedule meets a target."""
    began = time.perf_counter()
    request, plan, index = _asked(explorer, values, ("of", "along", "range", "wish"), _taken)
    along = _along(explorer, request, plan, index)
    scene = _people(explorer, request, min(request.subjects, SEEKERS), DRAWS)
    wish = request.own.get("wish") or _usual_wish(scene, request, plan)
    if not isinstance(wish, str):
        raise FieldError("a target is a text", "wish")
    try:
        found = dose_for(scene, wish, along.pattern, progress=lambda *_: stop(), **along.asked)
    except InputError as error:
        raise FieldError(str(error), "wish") from None
    assert isinstance(found, Attainment)  # of one unknown
    curve = found.curves[0]
    words = f'pkpd dose-for "{wish}" --schedule "{along.pattern}" {along.option}'
    told = {
        "wish": wish,
        "own": along.own,
        "along": along.told,
        "over_days": found.provenance["until_days"],
        "axis": found.unknown.called,
        "found": _found(found),
        "notices": _notices(scene, (*found.notes, *found.warnings), [read_given(found.chosen)]),
        "arms": _stand(curve.wish.endpoint.name, curve.standings),
        "command": " ".join([words, *_options(explorer, request, ("--show",))]),
    }
    return _told(explorer, request, told, scene.subjects, began)


def _schedules(pattern: str, values: Iterable[float]) -> list[Plan]:
    """Schedules with these values in place of the question mark."""
    opened = OpenSchedule.parse(pattern)
    return [opened.schedule([Fraction(f"{value:.15g}")]) for value in values]


def _stand(name: str, found: Iterable[Standing]) -> list[dict[str, Any]]:
    """On what an endpoint or an output stands, as the page has it of schedules; on nothing that is counted
    from the doses."""
    return [{"standings": standings({} if one == COUNTED else {name: one})} for one in found]


def _found(found: DoseResponse | Attainment | Drivers | Explanation) -> dict[str, Any]:
    """A result without the rows of data behind it, which the page has."""
    return {name: value for name, value in found.to_dict().items() if name != "sources"}


def _usual_wish(scene: Scene, request: Request, plan: GivenDoses) -> str:
    """What the schedule does to its median person, as a target that is to be met with another dose."""
    name = _usual(scene, _endpoints(scene, request, plan))
    (arm,) = scene.arms([plan])
    endpoint, values = next((one, some) for one, some in arm.endpoints.items() if one.name == name)
    middle = float(np.nanmedian(values))
    return f"{name} {'at most' if endpoint.better < 0 else 'at least'} {middle:.3g}"


def drivers(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """What drives an endpoint under one schedule."""
    began = time.perf_counter()
    request, plan, _ = _asked(explorer, values, ("of", "endpoint", "by"), exact_doses)
    _everybody(request)
    by = request.own.get("by", "people")
    if by not in ("people", "parameters"):
        raise FieldError("an endpoint is driven by people or by parameters", "by")
    if by == "parameters" and not explorer.fitted:
        raise FieldError(
            "nobody has fitted this model: what is not known of its parameters is not known either", "by"
        )
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
        "found": _found(found),
        "arms": _stand(endpoint, [found.standing]),
        "notices": _notices(scene, (*scene.population.notes, *found.warnings), [plan], Topic.MISSING),
        "command": " ".join(words),
    }
    return _told(explorer, request, told, SAMPLES, began)


def why(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """Why an output goes as it does under one schedule."""
    began = time.perf_counter()
    request, plan, _ = _asked(explorer, values, ("of", "output"), exact_doses)
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
    told = _found(found)
    for account, of in zip(told["accounts"], found.accounts, strict=True):
        account["parts"] = [
            {
                "label": label(part, term),
                "total": [in_five_digits(row.tolist()) for row in part.total],
                "treated": in_five_digits(dataclasses.asdict(part.treated)),
                "after": in_five_digits(dataclasses.asdict(part.after)),
                "factor": None if part.factor is None else in_five_digits(part.factor.tolist()),
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
    answer = {
        "outputs": titles,
        "output": output,
        "found": told,
        "arms": [
            arm for one in found.accounts for arm in _stand(one.description or one.name, [one.standing])
        ],
        "notices": _notices(explorer.scene(request), found.warnings, ()),
        "command": " ".join(words),
    }
    return _told(explorer, request, answer, CLOSER, began)


# --- what they share


def _taken(plan: GivenDoses) -> GivenDoses:
    """The doses that are left, or where chance says which are taken all of them, with what is said of it."""
    return plan if isinstance(plan, TakenSchedule) and plan.by_chance else exact_doses(plan)


def _asked(
    explorer: Explorer, values: object, own: Collection[str], read: Callable[[GivenDoses], Doses]
) -> tuple[Request, Doses, int]:
    """The request, and the schedule that is looked at, read as a view takes it, with its number."""
    request = explorer.check(values, own=own)
    letters = LETTERS[: len(request.schedules)]
    of = request.own.get("of", "A")
    if not isinstance(of, str) or len(of) != 1 or of not in letters:
        of = "A"  # a schedule that was removed meanwhile
    index = LETTERS.index(of)
    asked = request.schedules[index]
    if isinstance(asked, AdaptiveSchedule):
        raise FieldError(
            "this view looks at a schedule without rules; Courses follows them", "schedules", index
        )
    try:
        plan = read(asked)
    except InputError as error:
        raise FieldError(f"this view asks what exact doses do: {error}", "schedules", index) from None
    if not planned(plan).parts:
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


@dataclasses.dataclass(frozen=True)
class _Along:
    """What is varied of a schedule: ``name`` as the inverse question calls it, the schedule with "?" in its
    place, from where to where as text, what the schedule itself has there, and which others could be."""

    name: str
    pattern: str
    range: str
    own: float
    others: tuple[str, ...]

    @property
    def asked(self) -> dict[str, Any]:
        return {self.name: self.range}

    @property
    def option(self) -> str:
        return f'--{self.name} "{self.range}"'

    @property
    def told(self) -> dict[str, Any]:
        return {"name": self.name, "range": self.range, "others": self.others}


def _along(explorer: Explorer, request: Request, given: GivenDoses, index: int) -> _Along:
    """What a view varies, by its fields "along" and "range"; by default the dose, about the schedule's."""
    plan = planned(given)
    if len(plan.parts) > 1:
        raise FieldError("the dose of a schedule of several parts is not one number", "schedules", index)
    (part,) = plan.parts
    behind = str(given).removeprefix(str(plan))  # how its doses are taken
    unit = with_size(part.unit, part.per)
    low, high = part.amount / WIDER, part.amount * WIDER
    with contextlib.suppress(InputError):  # where the endpoints of the fit say no doses of this unit
        usual = unknown("dose", unit, None, explorer.criteria).values
        low, high = min(usual[0], part.amount / 2), max(usual[-1], part.amount * 2)
    ends = [decimal_text(Fraction(f"{float(end):.3g}")) for end in (low, high)]
    known = {
        "dose": (
            re.sub(r"^\S+", "?", str(plan), count=1),
            f"{ends[0]} to {ends[1]} {unit}",
            float(part.amount),
        )
    }
    if not (isinstance(given, TakenSchedule) and given.changes):  # whose days are those of this cycle
        known |= _of_cycle(plan)
    name, said = request.own.get("along") or "dose", request.own.get("range")
    if name not in NAMES:
        raise FieldError(f"what is varied is one of {', '.join(NAMES)}", "along")
    if name not in known:  # of the schedule that was looked at before
        name, said = "dose", None
    pattern, usual_range, own = known[name]
    pattern += behind
    said = said or usual_range
    if not isinstance(said, str):
        raise FieldError("a range is a text", "range")
    try:
        asked = unknown(name, {"dose": unit, "interval": "d"}.get(name, ""), said, explorer.criteria)
        longest = planned(OpenSchedule.parse(pattern).schedule([asked.values[-1]]))
    except InputError as error:
        raise FieldError(str(error), "range") from None
    _check_length(explorer, request, longest)
    return _Along(name, pattern, said, own, tuple(one for one in NAMES if one in known))


def _check_length(explorer: Explorer, request: Request, longest: Schedule) -> None:
    limits = explorer.limits
    if request.own_days and longest.span >= request.days:
        raise FieldError(
            f"{longest} has its last dose on day {longest.span:g}, not before the horizon of "
            f"{request.days:g} days: shorten the range, or let the horizon follow the treatment",
            "range",
        )
    if longest.n_doses > limits.doses or horizon([longest]) > limits.days:
        raise FieldError(
            f"{longest} has {longest.n_doses} doses and needs {horizon([longest]):g} days; this page looks "
            f"at {limits.doses} doses and {limits.days:g} days: shorten the range",
            "range",
        )


def _of_cycle(plan: Schedule) -> dict[str, tuple[str, str, float]]:
    """What else may be varied of a cycle of daily doses: pattern, usual range, and its own number."""
    cycle = cycle_of(plan)
    if cycle is None:
        return {}
    dose = re.match(r"\S+ \S+ \S+", str(plan))
    assert dose is not None
    days, interval, cycles = cycle["days"], cycle["interval"], cycle["cycles"]
    course = f"{dose[0]} daily x{days}" if days > 1 else dose[0]
    repeated = "" if interval is None else f" every {interval} d x{cycles}"
    most = max(DAYS, days) if interval is None else min(max(DAYS, days), interval)
    found = {"days": (f"{dose[0]} daily x?{repeated}", f"1 to {most}", days)} if most > 1 else {}
    if interval is not None:
        low, high = min(max(days, WEEK), interval), max(EIGHT_WEEKS, interval)
        found["interval"] = (f"{course} every ? d x{cycles}", f"{low} to {high} d", interval)
        found["cycles"] = (f"{course} every {interval} d x?", f"1 to {max(CYCLES, cycles)}", cycles)
    return found


def _people(explorer: Explorer, request: Request, subjects: int, draws: int) -> Scene:
    """The people of a request, fewer of them; where no horizon is asked for, over that of what they are
    given."""
    scene = explorer.scene(request)
    who = {"subjects": subjects, "draws": draws}
    if request.bsa is not None:
        who["covariates"] = {"BSA": request.bsa}  # type: ignore[assignment]
    days = request.days if request.own_days else None
    return dataclasses.replace(scene, who={**scene.who, **who}, until_days=days).drawn_as()


def _endpoints(scene: Scene, request: Request, plan: GivenDoses) -> list[str]:
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


def _notices(
    scene: Scene, said: Iterable[str], plans: Collection[Plan], others: Topic | None = None
) -> list[dict[str, str]]:
    """Sentences of a result by topic, the most important first, each once. ``plans`` : those that it is
    warned of. ``others`` : the topic of what is neither a caution, nor of these nor of what endpoints rest
    on; by default that of notes on the people."""
    criteria, people = scene.criteria, Topic.PEOPLE if scene.fitted else Topic.NO_DATA
    beyond = [one for plan in plans for one in scene.beyond(planned(plan))]
    doubled = [line for plan in plans for line in scene.warnings(plan)]
    resting = [*(group.said for group in criteria.on_request), *(risk.note for risk in criteria.risks)]
    known = (
        dict.fromkeys(scene.population.notes, people)
        | dict.fromkeys(doubled, Topic.BEYOND)
        | {str(one): Topic.NO_DATA if one.no_data else Topic.BEYOND for one in beyond}
        | dict.fromkeys((*cautions_of(scene.population.kernel), *resting), Topic.MODEL)
    )
    found = [(known.get(line, others or people), line) for line in dict.fromkeys(said)]
    found.sort(key=lambda one: list(Topic).index(one[0]))
    return [{"topic": str(topic), "sentence": line} for topic, line in found]


def _options(explorer: Explorer, request: Request, without: Collection[str]) -> list[str]:
    return [word for word in explorer.options(request) if word.partition(" ")[0] not in without]


def _told(
    explorer: Explorer, request: Request, told: dict[str, Any], people: int, began: float
) -> dict[str, Any]:
    shared = explorer.told(request) | {"subjects": people, "of": people}
    return shared | in_five_digits(told) | {"seconds": round(time.perf_counter() - began, 4)}
