"""Values of a request -> what the page shows: curves with population bands, the endpoint table, warnings, the
command line.

An ``Explorer`` keeps the schedules that were computed last, so that a change of one schedule costs one
computation. Everything that comes in is checked here against ``Limits``; sentences about schedules and
parameters are those of the command line.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
import math
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.core.errors import DataError, InputError, LibraryError, PkpdError
from pkpd.decision.comparison import Arm, Comparison, Scene, compare, horizon
from pkpd.decision.comparison.expected import expected_events
from pkpd.decision.comparison.ground import behind
from pkpd.decision.criteria import criteria_of, fields
from pkpd.decision.endpoints import grid
from pkpd.decision.evidence import Light
from pkpd.decision.points import PublishedPoint, published
from pkpd.dosing import Schedule, time_units_per_day
from pkpd.dosing.parts import Dose
from pkpd.dosing.quantities import decimal_text
from pkpd.dosing.rules import Plan, planned, read_plan
from pkpd.inference import FitSpec
from pkpd.inference.unfitted import read_fit_or_model, rows_of
from pkpd.present.report.numbers import meanings
from pkpd.present.web.answer import curve, refined, standings, stepped, table
from pkpd.present.web.cards import cycle_of, taking_of
from pkpd.present.web.pace import Pace
from pkpd.present.web.saved import SavedState, called
from pkpd.solver.kernel import Kernel, load

MOST_OUTPUTS = 8
"""That are drawn where nobody says which."""
LABELS = ("A", "B", "C", "D")
RESPONDERS = ("all", "low", "moderate", "high")
SCENES_KEPT, ARMS_KEPT = 8, 24  # of each scene
PLANS_KEPT = 32  # as they were read
SIDE_BY_SIDE = 2  # schedules, each on all cores: what one does in Python, the other integrates beside
BODY_SIZES = (0.5, 3.0)  # m2, from a small child to the largest adults
SEED = 1

Stop = Callable[[], None]
"""To be called now and then: what it raises ends the computation."""

log = logging.getLogger("pkpd.present.web")


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many may ask at once."""

    body_bytes: int = 32_768
    schedules: int = 4
    subjects: int = 1000
    doses: int = 4000
    days: float = 1096.0
    courses: int = 5_000_000  # output times x subjects: some hundred megabytes
    seconds: float = 20.0
    at_once: int = 2
    patience_s: float = 10.0  # that a request waits for its turn


DEFAULT = Limits()


class FieldError(InputError):
    """A value of a request that is wrong: the sentence, and the field of the page to show it at."""

    def __init__(self, sentence: str, field: str, index: int | None = None) -> None:
        super().__init__(sentence)
        self.field, self.index = field, index


@dataclass(frozen=True)
class Request:
    """Checked values of the controls that all views share: schedules, what they have in common, and the
    groups of endpoints that are shown on request. ``own_days``: the horizon was asked for, not derived;
    ``own``: what else was given, for the view that asked to check."""

    schedules: tuple[Plan, ...]
    bsa: float | None
    responders: str
    subjects: int
    days: float
    own_days: bool
    show: tuple[str, ...]
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def people(self) -> tuple[float | None, str, int]:
        """Who the virtual subjects are."""
        return self.bsa, self.responders, self.subjects


@dataclass(frozen=True)
class _ComputedArm:
    """A schedule as it was computed: the arm without its courses, which are thinned to what is drawn."""

    arm: Arm
    facts: dict[str, Any]
    curves: dict[str, dict[str, Any]]

    def told(self, have: frozenset[str]) -> dict[str, Any]:
        """For a page: without curves that it has."""
        return self.facts if self.facts["key"] in have else self.facts | {"curves": self.curves}


@dataclass(frozen=True)
class _Setting:
    """Virtual subjects, without a horizon, and what was computed in them: arms can be compared with those of
    the same subjects only."""

    scene: Scene
    courses: _Recent


class Explorer:
    """Computes what pages ask for, with one fit. Methods may be called from several threads.

    fit : by default that of the first field that comes with the package; endpoints : a file of them, by
    default the fit's own; posterior : draws of it, in place of the normal approximation; state : what pages
    begin with, saved before. Raises ``InputError`` for what cannot be read, or is not what the state was
    saved with.
    """

    def __init__(
        self,
        fit: str | None = None,
        subjects: int = 200,
        limits: Limits = DEFAULT,
        endpoints: str | os.PathLike[str] | None = None,
        posterior: str | os.PathLike[str] | None = None,
        state: SavedState | None = None,
    ) -> None:
        self.limits = limits
        self._usual = fields()[0].fit
        if state is not None:
            fit = state.check_names({"fit": fit, "endpoints": endpoints, "posterior": posterior})
        self._fit = self._usual if fit is None else fit
        spec = read_fit_or_model(self._fit)
        kernel = load(spec.main.model)
        self._endpoints, self._posterior = endpoints, posterior
        self.criteria = criteria_of(spec, kernel, endpoints)
        self.outputs = self.criteria.drawn(self.criteria.page, kernel.OUTPUTS)[:MOST_OUTPUTS]
        self.fitted = not spec.unfitted
        self.name, self.title = spec.name, spec.title  # pages are not told where the fit's folder lies
        unit, routes = dosing_of(kernel)
        self.points: list[PublishedPoint] = published(spec, self.outputs, routes)
        self.units = [unit, *(f"{unit}/{per}" for per, column in kernel.SIZES.items() if column >= 0)]
        self._crowds = _Recent(SCENES_KEPT)
        self._settings = _Recent(SCENES_KEPT)
        self._fine = _Recent(ARMS_KEPT)
        self.pace = Pace()
        self._read = functools.lru_cache(maxsize=PLANS_KEPT)(read_plan)
        self._body = "BSA" in kernel.PARAMETERS
        self.start: dict[str, Any] = {
            "schedules": list(self.criteria.schedules) or usual_schedules(spec, unit, routes),
            "bsa": float(kernel.VALUES[kernel.PARAMETERS.index("BSA")]) if self._body else None,
            "responders": "all",
            "subjects": subjects,
            "days": None,
            "show": [],
        }
        self.page: dict[str, str] = {}
        if state is not None:
            self._begin_with(state)
        self.check(self.start)
        plans = [planned(self._read(text)) for text in self.start["schedules"]]
        largest = max((dose.amount for plan in plans for dose in plan.doses()), default=Fraction(1))
        self.doses = list(self.criteria.doses) or ladder(float(largest))

    def _begin_with(self, state: SavedState) -> None:
        """Raises ``DataError``, with the line, for a value that is wrong for this fit."""
        try:
            self.check(dict(state.shared))
        except FieldError as error:
            raise state.error(error.field, str(error), error.index) from None
        self.start |= state.shared
        self.page = dict(state.page)

    def facts(self) -> dict[str, Any]:
        """What a page needs before it asks anything: whether it is of a fit, where it starts (``days`` null:
        as long as the schedules need), what it draws, where its sliders stand, the published points."""
        shown = [self.criteria.shown(name) for name in self.outputs]
        return {
            "title": self.title,
            "fitted": self.fitted,
            "start": self.start,
            "page": self.page,
            "outputs": [
                {"name": one.name, "title": one.title, "remark": one.remark, "log": one.log} for one in shown
            ],
            "points": [point.facts for point in self.points],
            "lights": meanings(Light),
            "behind": self._behind(),
            "risks": [
                {
                    "name": risk.endpoint.name,
                    "title": f"Courses with {risk.called}, expected number as planned",
                    "remark": f"Assumed: {risk.course_days:g} days from a dose on are a course, and a later "
                    f"one is as likely to have it as a first. From {risk.source}; the band is how uncertain "
                    "these are.",
                }
                for risk in self.criteria.risks
                if risk.course_days is not None
            ],
            "doses": self.doses,
            "units": self.units,
            "responders": self.criteria.responders,
            "on_request": [
                {"group": one.group, "title": one.title, "rests_on": one.rests_on, "outputs": one.outputs}
                for one in self.criteria.on_request
            ],
            "limits": {
                "schedules": self.limits.schedules,
                "subjects": self.limits.subjects,
                "days": self.limits.days,
                "bsa": BODY_SIZES if self._body else None,
            },
        }

    def _behind(self) -> dict[str, list[dict[str, Any]]]:
        """The published numbers behind each output that the fit has any of."""
        known = behind(os.fspath(self._fit), self.criteria)
        outputs = dict.fromkeys(name for one in self.criteria.endpoints for name in one.outputs)
        found = {name: [one.as_dict() for one in known.of([name])] for name in outputs or self.outputs}
        return {name: rows for name, rows in found.items() if rows}

    def evaluate(self, values: object, stop: Stop = lambda: None) -> dict[str, Any]:
        """Answer a request.

        values : as JSON has them, keys as in ``facts()["start"]``; ``have``, keys of curves that need not be
            sent again; and ``preview``, whether an answer may be from the first of the subjects alone, where
            that of all would take too long. Its ``subjects`` then are less than ``of``.
        stop : called now and then between chunks of subjects; what it raises ends the computation.

        Raises ``FieldError`` for a value that is wrong.
        """
        started = time.perf_counter()
        request = self.check(values, own=("have", "preview"))
        have, preview = _of_curves(request.own)
        setting = self._setting(request)
        scene = setting.scene.lasting(request.days)
        kept = {plan: setting.courses.get((plan, request.days)) for plan in request.schedules}
        missing = {
            plan: self._n_times(request, scene, request.schedules.index(plan))
            for plan, course in kept.items()
            if course is None
        }
        if preview and missing:
            people = self.pace.people(request.subjects, sum(missing.values()), len(missing))
            scene = scene if people == request.subjects else scene.first(people)
        computed = self._computed(request, scene, missing, setting.courses, stop)
        stop()
        courses = [computed.get(plan) or kept[plan] for plan in request.schedules]
        comparison = self._compared(request, scene, courses)
        rows = table(comparison)
        if scene.subjects < request.subjects:
            still = [i for i, course in enumerate(courses) if course.arm.scene.subjects == request.subjects]
            whole = setting.scene.lasting(request.days)
            if still:
                unmoved = table(self._compared(request, whole, [courses[i] for i in still]))
                rows = refined(rows, unmoved, still)
        return self.told(request) | {
            "arms": [course.told(have) for course in courses],
            "endpoints": rows,
            "reading": list(comparison.reading),
            "notices": [notice._asdict() for notice in comparison.told],
            "command": self.command(request),
            "subjects": scene.subjects,
            "seconds": round(time.perf_counter() - started, 4),
        }

    def prepare(self) -> None:
        """Compile what is not in the cache yet, and see how fast this machine is: the first page neither
        waits nor guesses."""
        self.evaluate({})
        self.pace = Pace()
        longer = self._needed([self._read(text) for text in self.start["schedules"]]) + 1.0
        self.evaluate({"schedules": self.start["schedules"][:1], "days": min(longer, self.limits.days)})

    # -- checking

    def check(self, values: object, own: Collection[str] = ()) -> Request:
        """What all views share of a request's values, checked; ``own``, keys that a view has besides, are
        left for it to check in ``Request.own``. Raises ``FieldError`` for a value that is wrong or unknown.
        """
        if not isinstance(values, dict):
            raise FieldError("a request is a JSON object", "")
        known = {*self.start, *own}
        if unknown := sorted(set(values) - known):
            raise FieldError(
                f'a request has no "{unknown[0][:40]}"; it has {", ".join(sorted(known))}', unknown[0][:40]
            )
        values = {**self.start, **values}
        limits = self.limits
        texts = values["schedules"]
        if not isinstance(texts, list) or not 1 <= len(texts) <= limits.schedules:
            raise FieldError(f"between one and {limits.schedules} schedules are compared", "schedules")
        responders = values["responders"]
        if responders not in RESPONDERS:
            raise FieldError(f"responders are one of {', '.join(RESPONDERS)}", "responders")
        subjects = number(
            values["subjects"], "subjects", "the number of virtual subjects", 10, limits.subjects
        )
        if subjects != int(subjects):
            raise FieldError(
                f"the number of virtual subjects must be a whole number, not {subjects:g}", "subjects"
            )
        show = values["show"]
        if not isinstance(show, list) or not all(isinstance(group, str) for group in show):
            raise FieldError('"show" is a list of texts', "show")
        try:
            self.criteria.asked_for(show)
        except InputError as error:
            raise FieldError(str(error), "show") from None
        schedules = tuple(self._schedule(text, index) for index, text in enumerate(texts))
        own_days = values["days"] is not None
        return Request(
            schedules=schedules,
            bsa=self._body_size(values["bsa"]),
            responders=responders,
            subjects=int(subjects),
            days=number(values["days"], "days", "the horizon in days", 1, limits.days)
            if own_days
            else self._needed(schedules),
            own_days=own_days,
            show=tuple(show),
            own={key: values[key] for key in own if key in values},
        )

    def _body_size(self, value: object) -> float | None:
        """None for a model without one."""
        if not self._body:
            return None
        return number(value, "bsa", "the body surface area in m²", *BODY_SIZES)

    def _schedule(self, text: object, index: int) -> Plan:
        if not isinstance(text, str):
            raise FieldError("a schedule is a text", "schedules", index)
        try:
            schedule = self._read(text)
        except PkpdError as error:
            raise FieldError(str(error), "schedules", index) from None
        doses = planned(schedule).n_doses
        if doses > self.limits.doses:
            raise FieldError(
                f"{doses} doses are more than this page computes ({self.limits.doses})",
                "schedules",
                index,
            )
        return schedule

    def _needed(self, schedules: Sequence[Plan]) -> float:
        """The horizon that pkpd compare takes by itself: the longest treatment and 28 days."""
        each = [horizon([schedule]) for schedule in schedules]
        days = max(each)
        if days > self.limits.days:
            raise FieldError(
                f"this schedule needs {days:,.0f} days, more than this page computes "
                f"({self.limits.days:g}); pkpd compare has no such limit",
                "schedules",
                each.index(days),
            )
        return days

    # -- computing

    def scene(self, request: Request) -> Scene:
        """The virtual subjects of a request over its horizon, for a view that simulates what it needs itself.
        They are kept, and so is their state at rest. Raises ``FieldError`` for a schedule that the model does
        not take, or that is more than one request may compute."""
        scene = self._setting(request).scene.lasting(request.days)
        n_times = sum(self._n_times(request, scene, index) for index in range(len(request.schedules)))
        return dataclasses.replace(
            scene, chunk=self.pace.chunk(scene.subjects, n_times, len(request.schedules))
        )

    def _setting(self, request: Request) -> _Setting:
        setting: _Setting | None = self._settings.get(request.people)
        if setting is None:
            scene = self._crowd(request.responders, request.subjects)
            if request.bsa is not None:
                values = scene.population.values.copy()
                values[:, scene.population.kernel.PARAMETERS.index("BSA")] = request.bsa
                scene = dataclasses.replace(
                    scene,
                    population=dataclasses.replace(scene.population, values=values),
                    about=scene.about | {"covariates": {"BSA": request.bsa}},
                )
            _ = scene.rest  # once for all horizons
            setting = _Setting(scene, _Recent(ARMS_KEPT))
            self._settings.put(request.people, setting)
        return setting

    def _crowd(self, responders: str, subjects: int) -> Scene:
        """Virtual subjects of the usual body size, for others to be derived from without reading the fit
        again."""
        scene: Scene | None = self._crowds.get((responders, subjects))
        if scene is None:
            try:
                scene = Scene.create(
                    self._fit,
                    subjects=subjects,
                    seed=SEED,
                    covariates={"BSA": self.start["bsa"]} if self._body else None,
                    responders=None if responders == "all" else responders,
                    endpoints=self._endpoints,
                    posterior=self._posterior,
                )
            except (DataError, LibraryError):  # whose sentences name files of this machine
                log.exception("the fit cannot be read any more")
                raise InputError(
                    "the files of the fit have changed since pkpd explore began: end it and start it again"
                ) from None
            self._crowds.put((responders, subjects), scene)
        return scene

    def _n_times(self, request: Request, scene: Scene, index: int) -> int:
        """At how many times a schedule is looked at, which is checked: work of a subject."""
        schedule = request.schedules[index]
        try:
            scene.check_plan(schedule)
        except (
            InputError
        ) as error:  # a route or a unit that the model does not have, doses beyond the horizon
            raise FieldError(str(error), "schedules", index) from None
        per_day = time_units_per_day(scene.population.kernel.TIME_UNIT)
        times = grid(scene.events(planned(schedule)), per_day * request.days, per_day)
        if times.size * request.subjects > self.limits.courses:
            raise FieldError(
                f"{planned(schedule).n_doses} doses over {request.days:g} days in {request.subjects} "
                "subjects are more than this page computes: "
                "choose fewer subjects or a shorter horizon (pkpd compare has no such limit)",
                "schedules",
                index,
            )
        return times.size

    def _computed(
        self,
        request: Request,
        scene: Scene,
        n_times: dict[Plan, int],
        courses: _Recent,
        stop: Stop,
    ) -> dict[Plan, _ComputedArm]:
        """The schedules in the subjects of a scene, side by side; those in all subjects are remembered."""
        if not n_times:
            return {}
        work = (scene.subjects, sum(n_times.values()))
        scene = dataclasses.replace(scene.lasting(request.days), chunk=self.pace.chunk(*work, len(n_times)))

        def one(plan: Plan) -> _ComputedArm:
            stop()
            course = self._course(request, scene, plan, stop)
            if scene.subjects == request.subjects:
                courses.put((plan, request.days), course)
            return course

        begun = time.perf_counter()
        try:
            with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                computed = dict(zip(n_times, pool.map(one, n_times), strict=True))
        except BaseException:
            self.pace.note_given_up(time.perf_counter() - begun, *work)
            raise
        self.pace.note(time.perf_counter() - begun, *work, len(n_times))
        return computed

    def _course(self, request: Request, scene: Scene, schedule: Plan, stop: Stop) -> _ComputedArm:
        arm = scene.arm(schedule, progress=lambda *_: stop())
        whole = scene.subjects == request.subjects
        curves = {
            name: curve(arm.days, arm.bands[name], readable=whole) | {"unit": arm.units[name]}
            for name in self.outputs
        }
        if whole:
            bands = {name: arm.bands[name].astype(np.float32) for name in self.outputs}
            self._fine.put((request.people, schedule, request.days), (arm.days, bands))
        return _ComputedArm(
            dataclasses.replace(arm, days=arm.days[:0], bands={}), self._facts(request, arm), curves
        )

    def fine(self, request: Request, stop: Stop) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Of each schedule the days, (n_times,), and by output the bands, (3, n_times), with all times that
        were computed: what an enlarged piece of a chart is drawn from. Kept, else computed again."""
        keys = [(request.people, plan, request.days) for plan in request.schedules]
        found = {key: self._fine.get(key) for key in keys}
        setting = self._setting(request)
        scene = setting.scene.lasting(request.days)
        for index, key in enumerate(keys):
            n_times = self._n_times(request, scene, index)
            if found[key] is None:
                self._computed(request, scene, {key[1]: n_times}, setting.courses, stop)
                found[key] = self._fine.get(key)
        return [found[key] for key in keys]

    def _compared(self, request: Request, scene: Scene, courses: Sequence[_ComputedArm]) -> Comparison:
        """The table of the schedules in the subjects of a scene, which may be some of those of the arms."""
        labelled = zip(courses, LABELS, strict=False)
        return compare(
            [dataclasses.replace(course.arm.among(scene), label=label) for course, label in labelled],
            show=request.show,
        )

    # -- telling

    def told(self, request: Request) -> dict[str, Any]:
        """What the page is told with every answer: how its schedules were read, and what they share."""
        return {
            "schedules": [
                {"text": str(plan), "cycle": cycle_of(plan), "taking": taking_of(plan)}
                for plan in request.schedules
            ],
            "show": request.show,
            "days": request.days,
            "subjects": request.subjects,
            "of": request.subjects,
        }

    def shared(self, request: Request) -> dict[str, Any]:
        """What all views share of a request, as it can be asked again."""
        return {
            "schedules": list(map(str, request.schedules)),
            "bsa": request.bsa,
            "responders": request.responders,
            "subjects": request.subjects,
            "days": request.days if request.own_days else None,
            "show": list(request.show),
        }

    @property
    def names(self) -> dict[str, str | None]:
        """Of the fit, the file of endpoints and the draws: pages are not told where they lie."""
        files = {"endpoints": self._endpoints, "posterior": self._posterior}
        return {"fit": self.name} | {
            key: None if path is None else called(path) for key, path in files.items()
        }

    def command(self, request: Request) -> str:
        """The command line of the same comparison."""
        return " ".join(["pkpd compare", *map(_quoted, request.schedules), *self.options(request)])

    def options(self, request: Request) -> list[str]:
        """What stands behind the schedules of a command line that asks the same."""
        words = []
        if self.name != self._usual:
            words.append(f'--fit "{self.name}"')
        if self._endpoints is not None:  # by its name alone: pages are not told where it lies
            words.append(f'--endpoints "{Path(self._endpoints).name}"')
        if self._posterior is not None:
            words.append(f'--posterior "{Path(self._posterior).name}"')
        words += [f"--subjects {request.subjects}", f"--seed {SEED}"]
        if request.bsa is not None:
            words.append(f'--set "BSA = {request.bsa:.15g} m^2"')
        if request.responders != "all":
            words.append(f"--responders {request.responders}")
        if request.show:
            words.append(f'--show "{", ".join(request.show)}"')
        if request.own_days:
            words.append(f'--until "{request.days:.15g} d"')
        return words

    def _facts(self, request: Request, arm: Arm) -> dict[str, Any]:
        """What a page is told of a schedule besides its curves."""
        told_apart_by = repr((arm.text, request.people, request.days, arm.scene.subjects))
        doses = arm.schedule.doses()
        failed = f"{arm.failed} of {request.subjects} subjects could not be integrated and have no value."
        return {
            "key": hashlib.sha256(told_apart_by.encode()).hexdigest()[:16],  # schedules may be long
            "text": arm.text,
            "when": arm.when,
            "warnings": [*arm.warnings, *([failed] if arm.failed else [])],
            "standings": standings(arm.standings),
            "points": [
                point.facts["row"]
                for point in self.points
                if arm.plan is arm.schedule and point.follows(doses)
            ],
            "doses": [round(float(day), 4) for day in arm.dose_days],
            "amounts": _amounts(doses),
            "expected": {one.risk.endpoint.name: stepped(one) for one in expected_events(arm)},
        }


def _of_curves(own: Mapping[str, Any]) -> tuple[frozenset[str], bool]:
    """The keys of curves that a page still has, and whether an answer from fewer subjects will do."""
    have, preview = own.get("have", []), own.get("preview", False)
    if not isinstance(have, list) or not all(isinstance(key, str) for key in have):
        raise FieldError('"have" is a list of texts', "have")
    if not isinstance(preview, bool):
        raise FieldError('"preview" is true or false', "preview")
    return frozenset(have), preview


def _quoted(plan: Plan) -> str:
    return f'"{plan}"'


def _amounts(doses: Sequence[Dose]) -> list[list[Any]]:
    """What is given, one dose after the other: ["10 mg oral", 5], and how many times in a row."""
    each = (
        f"{_decimal(dose.amount)} {dose.unit}{f'/{dose.per}' if dose.per else ''} {dose.route}"
        for dose in doses
    )
    return [[text, len(list(alike))] for text, alike in groupby(each)]


def _decimal(amount: Fraction) -> str:
    return decimal_text(amount) or f"{float(amount):.5g}"


def dosing_of(kernel: Kernel) -> tuple[str, list[str]]:
    """The unit in which the model's drug is given, that of the state which its first route enters, and the
    routes into such states: those of another drug are left out. Raises ``InputError`` for a model that takes
    no doses."""
    if not kernel.ROUTES:
        raise InputError(f"the model {kernel.NAME} has no route, and so takes no doses to explore")
    own = {
        route: [unit for unit, size in kernel.DOSE_UNITS[route].items() if size == 1.0]
        for route in kernel.ROUTES
    }
    unit = next((units[0] for units in own.values() if units), "mg")
    return unit, [route for route, units in own.items() if unit in units]


def usual_schedules(spec: FitSpec, unit: str, routes: Sequence[str]) -> list[str]:
    """What a page begins with where nobody says: the two schedules that most rows of the fit are of."""
    seen: Counter[str] = Counter()
    for row in rows_of(spec):
        parts = Schedule.parse(row.schedule).parts
        if row.use == "fit" and parts and all(part.route in routes for part in parts):
            seen[row.schedule] += 1
    return [text for text, _ in seen.most_common(2)] or [f"1 {unit} {routes[0]} once"]


def ladder(largest: float) -> list[float]:
    """Where a slider of doses stands: two digits, from a twentieth of this dose to five times it."""
    power, digits = math.floor(math.log10(largest)), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    steps = [digit * 10.0**p for p in range(power - 2, power + 2) for digit in digits]
    inner = {float(f"{step:.3g}") for step in steps if largest / 20 <= step <= 5 * largest}
    return sorted({*inner, largest})


def number(value: object, field: str, what: str, low: float, high: float) -> float:
    """A value of a request that is to be a number between two; ``what`` it is is said where it is not, in a
    ``FieldError``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise FieldError(f"{what} must be a number", field)
    if isinstance(value, int):
        value = max(-(10**300), min(value, 10**300))  # a whole number in JSON may have any length
    if not low <= value <= high:
        raise FieldError(f"{what} must lie between {low:g} and {high:g}, not {value:g}", field)
    return float(value)


class _Recent:
    """The last results by key, the oldest use forgotten first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
