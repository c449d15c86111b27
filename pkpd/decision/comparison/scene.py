"""What the schedules of a comparison share, and what one schedule does there."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.arguments import (
    ABSENT,
    CALLABLE,
    COUNT,
    LIST,
    MAPPING,
    NUMBER,
    PATH,
    TEXT,
    WHOLE,
    check,
    of,
    takes,
)
from pkpd.core.errors import InputError, ScheduleError
from pkpd.core.extras import optional
from pkpd.core.progress import Counting, Progress, counting
from pkpd.core.sketch import Sketch
from pkpd.decision.adaptive import Rules, Titration, shares, titrate
from pkpd.decision.criteria import Criteria, Risk, criteria_of, fields
from pkpd.decision.domain import Beyond, Domain, beyond_all
from pkpd.decision.endpoints import (
    Endpoint,
    Regimen,
    evaluate,
    followed,
    grid,
    largest_daily,
    questions,
)
from pkpd.decision.endpoints.declared import bind
from pkpd.decision.evidence import Behind, Light, Standing
from pkpd.dosing import EventTable, Schedule, time_units_per_day
from pkpd.dosing.quantities import exact_number
from pkpd.dosing.rules import AdaptiveSchedule, Plan, plan_as_taken, planned, read_plan
from pkpd.dosing.taking import TakenSchedule, read_jitter
from pkpd.inference import FitResult, System, in_units, read_fit
from pkpd.inference.draws import PosteriorDraws
from pkpd.inference.individual import PERSON, Individual
from pkpd.inference.population import Population, fitted_model, virtual_subjects
from pkpd.inference.summary.reading import read_data
from pkpd.inference.unfitted import read_fit_or_model
from pkpd.solver import Options, Reading, Solution, solve, spread, usable_cores
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import COMPARISON
from pkpd.solver.taken import solve_taken

Floats = NDArray[np.float64]

BANDS = (0.05, 0.5, 0.95)
WASHOUT_DAYS = 28
# Subjects that are simulated and evaluated at a time: whole vectors, and outputs of some ten megabytes
CHUNK = 128
KEPT = 2000  # subjects whose courses are kept; those of more are counted
MOST_NUMBERS = 4_000_000  # of outputs in one chunk
MOST_DAYS = 36_525  # a hundred years, as in `pkpd.dosing`


_GIVEN = ("covariates", "parameters")  # by name, of what a scene is about
_A_PLAN = TEXT | of(Schedule, AdaptiveSchedule, TakenSchedule)


@dataclass(frozen=True, eq=False)
class Arm:
    """What one schedule does to the subjects of a scene.

    ``Scene.arms`` makes them, ``compare`` compares them.

    Attributes
    ----------
    label, schedule, scene : what it is called, what is given, and to whom.
    days : (n_times,), in days.
    bands : output -> (3, n_times), the 5 %, 50 % and 95 % quantiles over subjects.
    units : output -> the unit of its bands.
    endpoints : (n_subjects,) each, in the endpoint's unit, of the same subjects in every arm of a scene, nan
        where a subject has no value and inf where it lies beyond the horizon.
    dose_days, dose_amounts : (n_doses,), as written, like the schedule, whatever ``rules`` made of them, in
        days and in ``dose_unit``.
    dose_unit : "" where the doses are not all of one unit.
    warnings : where this schedule leaves what the fit has seen; no_data : those of them that say of what
        there are no data.
    standings : on what each endpoint stands, by its name: a traffic light, why, and the outputs whose rows of
        data are behind it (``scene.behind``). What follows from the doses alone is not among them.
    failed : subjects that could not be integrated (their values are nan).
    rules : the schedule with its rules, where it has some.
    taken : the schedule with how its doses are taken, where that is said.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=4)
    >>> (arm,) = scene.arms(["1 MIU sc daily x5"])
    >>> arm.when, arm.dose_amounts.tolist(), arm.dose_unit
    ('5 doses on days 0-4', [1.0, 1.0, 1.0, 1.0, 1.0], 'MIU')
    >>> arm.bands["treg_pct"].shape == (3, len(arm.days)), arm.units["treg_pct"]
    (True, 'percent')
    """

    label: str
    schedule: Schedule
    scene: Scene
    days: Floats
    bands: dict[str, Floats]
    units: dict[str, str]
    endpoints: dict[Endpoint, Floats]
    dose_days: Floats
    dose_amounts: Floats
    dose_unit: str
    warnings: tuple[str, ...]
    failed: int
    rules: AdaptiveSchedule | None = None
    taken: TakenSchedule | None = None
    no_data: tuple[str, ...] = ()
    standings: Mapping[str, Standing] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<Arm {self.label!r}: {self.when}, {len(self.endpoints)} endpoints of "
            f"{self.scene.subjects:,} subjects over {self.days.max(initial=0.0):g} days>"
        )

    def _repr_html_(self) -> str:
        columns = ("output", "unit", "least median", "most", "on day", "90 % of subjects there")
        rows = []
        for name, (low, median, high) in self.bands.items():
            known = np.isfinite(median)
            if not known.any():
                continue
            at = int(np.argmax(np.where(known, median, -np.inf)))
            span = html.interval(float(median[at]), float(low[at]), float(high[at]))
            ends = float(median[known].min()), float(median[at])
            rows.append((name, self.units[name], *ends, float(self.days[at]), span))
        advice = "pkpd.compare has its endpoints. A model, not medical advice."
        note = " ".join((*self.rests_on, *self.warnings, advice))
        return html.table(repr(self)[1:-1], columns, rows, note)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset``: of each output the band over subjects, (quantile, day), and ``endpoints``,
        (endpoint, subject).

        Raises ``MissingExtraError`` where the package xarray is not installed.
        """
        xarray = optional("xarray", "xarray")
        bands = {
            name: (("quantile", "day"), band, {"units": self.units[name]})
            for name, band in self.bands.items()
        }
        return xarray.Dataset(
            bands | {"endpoints": (("endpoint", "subject"), np.array(list(self.endpoints.values())))},
            coords={
                "quantile": list(BANDS),
                "day": self.days,
                "endpoint": [endpoint.name for endpoint in self.endpoints],
                "unit": ("endpoint", [endpoint.unit for endpoint in self.endpoints]),
                "subject": np.arange(self.scene.subjects),
            },
            attrs={"label": self.label, "schedule": self.text, "rests_on": list(self.rests_on)},
        )

    @property
    def rests_on(self) -> tuple[str, ...]:
        """What outputs and endpoints rest on that are shown on request, whose numbers an arm has too."""
        groups = {endpoint.group for endpoint in self.endpoints}
        return tuple(group.said for group in self.scene.criteria.resting(groups, self.bands))

    def among(self, scene: Scene) -> Arm:
        """The endpoints of the first subjects alone, those of ``scene``; bands stay those of all."""
        own = {endpoint: values[: scene.subjects] for endpoint, values in self.endpoints.items()}
        return dataclasses.replace(self, scene=scene, endpoints=own)

    @property
    def text(self) -> str:
        """What is given, in the schedule language, rules and what becomes of doses included."""
        return str(self.plan)

    @property
    def plan(self) -> Plan:
        """What is given, with its rules or with how its doses are taken."""
        return self.rules or self.taken or self.schedule

    @property
    def when(self) -> str:
        """How many doses on which days, for people: "15 doses on days 0-4, 28-32, 56-60"; with rules, or
        where they are taken otherwise, as planned."""
        n = self.schedule.n_doses
        if not n:
            return "no dose"
        planned = "" if self.plan is self.schedule else " as planned"
        return f"{n:,} dose{'s' * (n > 1)} on {self.schedule.when}{planned}"


class _Left(NamedTuple):
    """Where a schedule leaves what was seen: what the fit has, by output, and what risks were counted in."""

    outputs: Mapping[str, tuple[Beyond, ...]]
    risks: Mapping[Risk, tuple[Beyond, ...]]


@dataclass(frozen=True, eq=False)
class Scene:
    """What all schedules of a comparison share: the same virtual subjects (common random numbers) and the
    same horizon.

    Differences between schedules are then those of the same subjects. ``Scene.create`` draws them.

    Attributes
    ----------
    fit : the name or folder of the fit.
    population : the virtual subjects.
    until_days : the horizon in days; None: each schedule to the end of its treatment and 28 days more, which
        `arms` makes one horizon for all.
    threads : how many work at a time; None for as many as this process may use cores.
    history : doses that all subjects had before: simulated, and not judged.
    begin_days : from when on the course without further doses is judged, where there is a history.
    chunk : subjects that a thread simulates at a time, after which progress is told; results are the same.
    drawn : how many subjects were drawn, where these are the first of them; else None.
    about : what `create` was asked for.
    criteria : by what schedules are judged.
    who : the arguments of ``virtual_subjects`` that drew them.
    fitted : False where ``fit`` is a model as its file has it.

    Raises ``InputError``, in `create` and `arms`, for what cannot be read or simulated.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=4, draws=2, until_days=28)
    >>> scene
    <Scene of low_dose_il2 over 28 days: 4 subjects, 2 draws>
    >>> [arm.label for arm in scene.arms(["1 MIU sc once", "2 MIU sc once"])]
    ['1 MIU sc once', '2 MIU sc once']
    """

    fit: str
    population: Population
    until_days: float | None = None
    threads: int | None = None
    about: dict[str, Any] = field(default_factory=dict)
    criteria: Criteria = field(default_factory=Criteria)
    """By what schedules are judged."""
    history: Schedule = field(default_factory=Schedule.none)
    begin_days: float | None = None
    chunk: int = CHUNK
    drawn: int | None = None
    who: Mapping[str, Any] = field(default_factory=dict, repr=False)
    fitted: bool = True

    def __repr__(self) -> str:
        until = "" if self.until_days is None else f" over {self.until_days:g} days"
        return f"<Scene of {self.fit}{until}: {self.subjects:,} subjects, {self.draws} draws>"

    def _repr_html_(self) -> str:
        settings: dict[str, Any] = {
            "model": self.population.kernel.NAME,
            "subjects differ by": ", ".join(self.population.vary),
            "seed": self.population.seed,
        } | self.about
        rows = [
            (name, ", ".join(f"{key} = {one}" for key, one in value.items()) if name in _GIVEN else value)
            for name, value in settings.items()
            if value not in (None, "", {})
        ]
        return html.table(repr(self)[1:-1], ("of the scene", "value"), rows, "A model, not medical advice.")

    @classmethod
    @takes(
        fit=PATH | of(FitResult, words="the result of a fit") | ABSENT,
        subjects=WHOLE,
        draws=WHOLE,
        seed=WHOLE,
        vary=TEXT | LIST,
        study=TEXT | ABSENT,
        covariates=MAPPING | ABSENT,
        responders=TEXT | ABSENT,
        parameters=MAPPING | ABSENT,
        until_days=NUMBER | ABSENT,
        threads=COUNT | ABSENT,
        endpoints=PATH | ABSENT,
        posterior=PATH | ABSENT | of(PosteriorDraws, words="draws from the posterior"),
    )
    def create(
        cls,
        fit: FitResult | str | os.PathLike[str] | None = None,
        *,
        subjects: int = 200,
        draws: int = 25,
        seed: int = 1,
        vary: Collection[str] = ("between", "uncertainty"),
        study: str | None = None,
        covariates: Mapping[str, float | str | tuple[float | str, float]] | None = None,
        responders: str | None = None,
        parameters: Mapping[str, float | str] | None = None,
        until_days: float | None = None,
        threads: int | None = None,
        endpoints: str | os.PathLike[str] | None = None,
        posterior: PosteriorDraws | str | os.PathLike[str] | None = None,
    ) -> Scene:
        """Draw the virtual subjects of a comparison from a fit; see
        `pkpd.inference.population.virtual_subjects`.

        Parameters
        ----------
        fit : its name or folder, or a result; or a model, by name or path, as its file has it; by default the
            fit of the first field that comes with the package (`fields`).
        subjects, seed, vary, study, covariates, responders, parameters : who they are, as in
            ``virtual_subjects``.
        draws : of the fit's parameters, subject k having draw k modulo ``draws``: 25 by default, whatever the
            number of subjects, which then are the same however many follow.
        until_days : the horizon in days; by default each comparison's own (see ``arms``).
        threads : how many work at a time, by default as many as this process may use cores.
        endpoints : a file of endpoints (docs/endpoints.md), by default the fit's own.
        posterior : draws from the posterior of the fit (``posterior_draws``), their file, or the folder that
            it lies in, in place of the normal approximation.

        Returns
        -------
        Scene : with a ``population`` of so many subjects.

        Raises
        ------
        InputError : an unknown name, a number that no scene can have, or a file of endpoints that cannot be
            read or does not fit the model.
        """
        fit = fields()[0].fit if fit is None else fit
        _check_until(until_days)
        who: dict[str, Any] = {
            "fit": fit,
            "subjects": subjects,
            "seed": seed,
            "vary": vary,
            "draws": draws,
            "study": study,
            "covariates": covariates,
            "responders": responders,
            "parameters": parameters,
            "posterior": posterior,
        }
        population = virtual_subjects(**who)
        name = fit.name if isinstance(fit, FitResult) else os.fspath(fit)
        about = {
            "study": study,
            "covariates": dict(covariates or {}),
            "responders": responders,
            "parameters": dict(parameters or {}),
        }
        if endpoints is not None:
            about["endpoints"] = os.fspath(endpoints)
        if posterior is not None:
            about["posterior"] = str(posterior)
        spec = read_fit_or_model(name)
        criteria = criteria_of(spec, population.kernel, endpoints)
        fitted = not spec.unfitted
        return cls(name, population, until_days, threads, about, criteria, who=who, fitted=fitted)

    def drawn_as(self, **who: Any) -> Scene:
        """The same question of other subjects: drawn as these, but for what is said here (arguments of
        ``virtual_subjects``). Raises ``InputError`` where they were not drawn by ``create``."""
        if not self.who:
            raise InputError("these subjects were not drawn by Scene.create, and are all there are")
        population = virtual_subjects(**(dict(self.who) | who))
        return dataclasses.replace(self, population=population, drawn=None)

    @classmethod
    @takes(
        person=of(Individual, words="what pkpd.individualise gave"),
        until_days=NUMBER | ABSENT,
        threads=COUNT | ABSENT,
        endpoints=PATH | ABSENT,
    )
    def of_person(
        cls,
        person: Individual,
        *,
        until_days: float | None = None,
        threads: int | None = None,
        endpoints: str | os.PathLike[str] | None = None,
    ) -> Scene:
        """The scene of one person: its subjects are draws of what the person may be, who had their doses.

        Schedules are then judged from their own first dose on, and go on from what was given before:
        ``scene.arms(["2 MIU sc daily x5 from day 28"])``.

        Parameters
        ----------
        person : from ``pkpd.individualise``.
        until_days, threads, endpoints : as in ``create``.

        Returns
        -------
        Scene : whose ``history`` are the doses that the person had.

        Raises
        ------
        InputError : a horizon, or a file of endpoints, that cannot be.
        """
        _check_until(until_days)
        criteria = criteria_of(read_fit(person.fit), person.kernel, endpoints)
        about = {"measurements": len(person.measurements), "had": str(person.given)}
        return cls(person.fit, person.after, until_days, threads, about, criteria, person.given)

    @property
    def of_one(self) -> bool:
        """Whether the subjects are draws of what one person may be."""
        return PERSON in self.population.vary

    @property
    def subjects(self) -> int:
        """How many virtual subjects there are."""
        return len(self.population.values)

    @property
    def draws(self) -> int:
        """How many draws of the fit's parameters they share; 1 without "uncertainty"."""
        return int(np.unique(self.population.draw).size)

    @property
    def sure_of(self) -> str:
        """What is said where no uncertainty of parameters is carried."""
        if not self.fitted:
            return "the numbers of the model are taken as they are"
        return "the uncertainty of the fitted parameters is switched off"

    @cached_property
    def rest(self) -> Floats:
        """Outputs of every subject without any drug, (n_subjects, n_outputs)."""
        kernel = self.population.kernel
        start = np.zeros(1)
        return solve(
            kernel, self.population.values, EventTable.empty(), start, options=Options(threads=self.threads)
        ).outputs[:, 0]

    @takes(
        schedules=LIST,
        labels=LIST | ABSENT,
        files=LIST | ABSENT,
        adherence=NUMBER,
        jitter=TEXT | ABSENT,
        progress=CALLABLE | ABSENT,
    )
    def arms(
        self,
        schedules: Iterable[str | Plan],
        labels: Iterable[str | None] | None = None,
        *,
        files: Iterable[str] | None = None,
        adherence: float = 1.0,
        jitter: str | None = None,
        progress: Progress | None = None,
    ) -> list[Arm]:
        """Every schedule with the same horizon: the scene's, or that of the longest schedule.

        Parameters
        ----------
        schedules : in the schedule language, with rules or without, or read already.
        labels : what each is called; by default as it is written.
        files : what errors call each schedule; "schedule 1" and so on by default.
        adherence : the probability that a dose is taken, of schedules that state none of their own
            (`pkpd.dosing.taking`); the same subjects miss the same doses of all of them.
        jitter : the standard deviation of the times about the planned ones, likewise: "2 h".
        progress : called with (what, share, remark), by subjects over all schedules.

        Returns
        -------
        Arms, one for each schedule, in their order.

        Raises
        ------
        InputError : naming the schedule: one that cannot be read, that the model cannot be given, that has
            too many doses, or whose last dose is not before the horizon.
        """
        schedules = list(schedules)
        for schedule in schedules:
            check("Scene.arms", "each schedule", schedule, _A_PLAN)
        places = list(files) if files is not None else [f"schedule {i + 1}" for i in range(len(schedules))]
        named = [None] * len(schedules) if labels is None else list(labels)
        if not len(named) == len(places) == len(schedules):
            raise InputError(
                f"Scene.arms: {len(schedules)} schedules have {len(named)} labels and {len(places)} "
                "files; each has one"
            )
        share, spread_of_times = exact_number(adherence, "the adherence"), read_jitter(jitter)
        read = [
            plan_as_taken(
                read_plan(schedule, place) if isinstance(schedule, str) else schedule,
                share,
                spread_of_times,
            )
            for schedule, place in zip(schedules, places, strict=True)
        ]
        if self._of_known_doses:  # which are then given; what was said of them stays their name
            named = [name or _said(plan) for name, plan in zip(named, read, strict=True)]
            read = [self._known(plan, place) for plan, place in zip(read, places, strict=True)]
        scene = self.lasting(self._horizon(read)) if self.until_days is None and read else self
        for schedule, place in zip(read, places, strict=True):  # before anything is simulated
            try:
                scene.check_plan(schedule)
            except InputError as error:
                if str(error).startswith(f"{place}:"):
                    raise
                raise type(error)(f"{place}: {error}") from None
        if self.history.parts:
            begins = [float(plan.doses()[0].time_days) for plan in map(planned, read) if plan.parts]
            scene = dataclasses.replace(scene, begin_days=min(begins, default=None))
        total, told = len(read) * self.subjects, counting(progress, "simulating")

        def counted(i: int) -> Counting | None:
            return None if told is None else lambda done, _: told(i * self.subjects + done, total)

        return [
            scene._arm(schedule, label, counted(i))
            for i, (schedule, label) in enumerate(zip(read, named, strict=True))
        ]

    @property
    def _of_known_doses(self) -> bool:
        """Whether doses are those of one person, which are known or planned, each of them."""
        return self.of_one or bool(self.history.parts)

    def _known(self, plan: Plan, place: str) -> Plan:
        """The doses that are left of what is missed, late or doubled on stated days."""
        if not isinstance(plan, TakenSchedule):
            return plan
        if plan.by_chance:
            raise ScheduleError(
                f'{place}: "{plan}" leaves to chance which doses are taken and when, and of one person they '
                "are known or planned: name those that are missed or late, such as miss day "
                f"{math.floor(plan.doses()[-1].time_days)}"
            )
        return plan.exactly()

    def _horizon(self, plans: Iterable[Plan]) -> float:
        return horizon([self.history + planned(plan) for plan in plans] if self.history.parts else plans)

    def lasting(self, days: float) -> Scene:
        """The same subjects to another horizon."""
        scene = dataclasses.replace(self, until_days=days)
        if "rest" in self.__dict__:
            scene.__dict__["rest"] = self.rest
        return scene

    def first(self, subjects: int) -> Scene:
        """The first so many subjects of the same draw, to the same horizon."""
        some = self.population.some(np.arange(min(subjects, self.subjects)))
        scene = dataclasses.replace(self, population=some, drawn=self.drawn or self.subjects)
        if "rest" in self.__dict__:
            scene.__dict__["rest"] = self.rest[:subjects]
        return scene

    def events(self, schedule: Schedule) -> EventTable:
        """The doses in the model's units. Raises ``ScheduleError`` for what the model cannot be given."""
        kernel = self.population.kernel
        return schedule.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)

    def check(self, schedule: Schedule) -> None:
        """Raise ``InputError`` for a schedule that the model cannot be given, that has too many doses, or
        whose last dose is not before the horizon."""
        events = self.events(schedule)
        if not len(events):
            return
        per_day = time_units_per_day(self.population.kernel.TIME_UNIT)
        last = float(events.time.max())
        until = last + WASHOUT_DAYS * per_day if self.until_days is None else self.until_days * per_day
        if last >= until:
            raise InputError(
                f"its last dose, on day {last / per_day:g}, is not before the horizon of "
                f"{until / per_day:g} days"
            )
        if not followed(events, until, per_day):
            raise InputError(
                f"{schedule.n_doses:,} doses up to day {last / per_day:,.0f} are too many to be "
                "followed one by one; there is room for about 900 daily "
                "or 400 weekly ones, fewer with long pauses"
            )

    def warnings(self, schedule: Plan) -> tuple[str, ...]:
        """Where a schedule leaves what the fit and what the risks were counted in have seen, as sentences.
        One with rules is simulated: what they make of its doses is not known before."""
        if isinstance(schedule, AdaptiveSchedule):
            return self.arm(schedule).warnings
        beyond = self.beyond(planned(schedule))
        times = schedule.multiples if isinstance(schedule, TakenSchedule) else set()
        return (*map(str, beyond), *(self._by_factors(schedule, times, beyond) if times else ()))

    def beyond(self, schedule: Schedule) -> tuple[Beyond, ...]:
        """The same, each statement apart from the study that comes nearest."""
        return self._beyond_of(self._left_by(schedule))

    def _beyond_of(self, left: _Left) -> tuple[Beyond, ...]:
        described = [shown.name for shown in self.criteria.outputs if shown.told]
        told = [name for name in described if name in self.population.kernel.OUTPUTS]
        found = beyond_all(left.outputs, told or sorted(self._seen()[0].outputs)) if left.outputs else ()
        return (*found, *(one for said in left.risks.values() for one in said))

    def _left_by(self, schedule: Schedule) -> _Left:
        (seen, asked), kernel = self._seen(), self.population.kernel
        outputs = list(dict.fromkeys((*kernel.OUTPUTS, *seen.outputs)))
        # of a model that nobody has fitted, the population's notes say so
        found = seen.beyond_each(schedule, outputs, **asked) if seen.outputs else {}
        return _Left(found, self._beyond_counts(schedule))

    def _seen(self) -> tuple[Domain, dict[str, Any]]:
        """What the fit saw, and of which bodies and by which routes a schedule is compared with it."""
        kernel, sizes = self.population.kernel, self._sizes()
        unit = _dose_unit(kernel, kernel.ROUTES[:1]) or "mg"
        asked = {"bsa": sizes.get("m2"), "weight": sizes.get("kg"), "dose_units": of_one_drug(kernel, unit)}
        return _domain(self.fit, unit, self.criteria), asked

    def _sizes(self) -> dict[str, float]:
        kernel = self.population.kernel
        return {
            per: float(np.median(self.population.values[:, column]))
            for per, column in kernel.SIZES.items()
            if column >= 0
        }

    def _beyond_counts(self, schedule: Schedule) -> dict[Risk, tuple[Beyond, ...]]:
        """Where a schedule leaves what risks were counted in."""
        kernel = self.population.kernel
        alike = of_one_drug(kernel, _dose_unit(kernel, kernel.ROUTES[:1]) or "mg")
        sizes = self._sizes()
        return {
            risk: tuple(map(Beyond, risk.warnings(schedule, sizes=sizes, dose_units=alike)))
            for risk in self.criteria.risks
            if risk.output in kernel.OUTPUTS
        }

    @cached_property
    def behind(self) -> Behind:
        """What the fit knows of its outputs."""
        fit = self.who.get("fit", self.fit)
        if isinstance(fit, FitResult):
            return Behind(fit, self.criteria.outputs)
        return behind(os.fspath(fit), self.criteria)

    def standing(self, schedule: Schedule, output: str) -> Standing:
        """On what the course of an output stands under a schedule."""
        return self.behind.standing([output], self._left_by(schedule).outputs.get(output, ()))

    def standings(self, schedule: Schedule) -> dict[str, Standing]:
        """On what each endpoint stands under a schedule, by the endpoint's name: of those that follow from
        courses, and of risks. All others are counted from the doses."""
        return self._standings_of(self._left_by(schedule))

    def _standings_of(self, left: _Left) -> dict[str, Standing]:
        kernel = self.population.kernel
        bound = bind(
            self.criteria.endpoints, tuple(kernel.OUTPUTS), tuple(kernel.OUTPUT_UNITS), kernel.TIME_UNIT
        )
        found: dict[str, Standing] = {}
        known: dict[tuple[str, ...], Standing] = {}
        for one in bound:
            parts = [name for part in one.over or () for name in found[part.name].outputs] or [one.output]
            of = tuple(dict.fromkeys(parts))
            if of not in known:
                beyond = dict.fromkeys(said for name in of for said in left.outputs.get(name, ()))
                known[of] = self.behind.standing(of, tuple(beyond))
            found[one.endpoint.name] = known[of]
        for risk in self.criteria.risks:
            reasons = [f"It rests on {risk.source}", *(one.said for one in left.risks.get(risk, ()))]
            found[risk.endpoint.name] = Standing(Light.FITTED, tuple(reasons))
        return found

    def check_plan(self, plan: Plan) -> None:
        """As ``check``, of a schedule that may have rules, which must be of this model."""
        self.check(planned(plan))
        if self.history.parts:
            self._check_after_history(plan)
        if isinstance(plan, AdaptiveSchedule):
            Rules.of(self.population.kernel, plan)

    def _check_after_history(self, plan: Plan) -> None:
        if not isinstance(plan, Schedule):
            raise InputError("what follows doses that were given before has no rules")
        had, first = self.history.span, [float(dose.time_days) for dose in plan.doses()[:1]]
        if first and first[0] <= had:
            raise InputError(
                f'"{plan}" begins on day {first[0]:g}, and doses were given until day {had:g}: say when it '
                f'begins, such as "{plan} from day {math.ceil(had) + 1}"'
            )

    def _by_factors(self, plan: Plan, factors: set[float], known: Sequence[Beyond]) -> list[str]:
        """What is to be said besides of the smallest and the largest doses that rules, or doubled doses, led
        to."""
        about, schedule = {beyond.said for beyond in known}, planned(plan)
        by = "By the rules" if isinstance(plan, AdaptiveSchedule) else "Where doses are doubled"
        found = []
        for factor in sorted({min(factors), max(factors)} - {1.0}):
            for beyond in self.beyond(schedule.scaled(f"{factor:.6g}")):
                if beyond.said not in about:
                    found.append(f"{by}: {beyond}")
        return found

    @takes(schedule=_A_PLAN, label=TEXT | ABSENT, progress=CALLABLE | ABSENT)
    def arm(self, schedule: str | Plan, label: str | None = None, *, progress: Progress | None = None) -> Arm:
        """Simulate one schedule, with or without rules, and evaluate its endpoints.

        Parameters
        ----------
        schedule : in the schedule language, or read already.
        label : what it is called; by default as it is written.
        progress : called with (what, share, remark), by subjects.

        Returns
        -------
        Arm : with the horizon of the scene, or of this schedule where it has none.

        Raises
        ------
        ScheduleError : a schedule that cannot be read, or that the model cannot be given.
        """
        plan = read_plan(schedule) if isinstance(schedule, str) else schedule
        if self._of_known_doses:
            label, plan = label or _said(plan), self._known(plan, "schedule")
        return self._arm(plan, label, counting(progress, "simulating"))

    def _arm(self, plan: Plan, label: str | None, told: Counting | None) -> Arm:
        scene = self if self.until_days is not None else self.lasting(self._horizon([plan]))
        scene.check_plan(plan)
        work = _Simulation(scene, plan, self.rest)
        n_subjects = self.subjects
        spread(work.run, n_subjects, min(n_subjects, self.threads or usable_cores()), work.size, told)
        work.add_risks()
        kernel, schedule, bands = self.population.kernel, work.schedule, work.courses.quantiles()
        doses, left = schedule.doses(), scene._left_by(schedule)
        beyond = scene._beyond_of(left)
        units = {f"{dose.unit}/{dose.per}" if dose.per else dose.unit for dose in doses}
        return Arm(
            label=label or (str(plan) if doses else "none (placebo)"),
            schedule=schedule,
            scene=scene,
            days=work.times / work.per_day,
            bands={kernel.OUTPUTS[column]: bands[:, :, row] for row, column in enumerate(work.kept)},
            units={kernel.OUTPUTS[column]: kernel.OUTPUT_UNITS[column] for column in work.kept},
            endpoints=dict(
                sorted(work.endpoints.items(), key=lambda item: self.criteria.groups.index(item[0].group))
            ),
            dose_days=np.array([float(dose.time_days) for dose in doses]),
            dose_amounts=np.array([float(dose.amount) for dose in doses]),
            dose_unit=units.pop() if len(units) == 1 else "",
            warnings=(*map(str, beyond), *scene._by_factors(plan, work.factors, beyond)),
            no_data=tuple(str(one) for one in beyond if one.no_data),
            standings=scene._standings_of(left),
            failed=int(np.count_nonzero(work.status)),
            rules=work.rules,
            taken=work.taken,
        )


class _Simulation:
    """One schedule in all subjects of a scene with a horizon, some of them at a time, on several threads.

    courses, endpoints, status : of the subjects that were run; factors : by which rules multiplied doses, the
    smallest and the largest of each run.
    """

    def __init__(self, scene: Scene, plan: Plan, rest: Floats) -> None:
        """rest : as ``Scene.rest`` has it, which is computed once for scenes of the same subjects."""
        self.criteria, self.population, self.rest = scene.criteria, scene.population, rest
        self.schedule, self.rules = planned(plan), plan if isinstance(plan, AdaptiveSchedule) else None
        self.taken = plan if isinstance(plan, TakenSchedule) and not plan.as_planned else None
        kernel = self.population.kernel
        assert scene.until_days is not None
        self.events = scene.events(scene.history + self.schedule)
        self.per_day = time_units_per_day(kernel.TIME_UNIT)
        self.until = scene.until_days * self.per_day
        self.begin = -math.inf  # from when on courses are judged
        if self.schedule.parts and scene.history.parts:
            self.begin = float(scene.events(self.schedule).time[0])
        elif scene.history.parts:
            begin_days = scene.history.span if scene.begin_days is None else scene.begin_days
            self.begin = begin_days * self.per_day
        self.times = grid(self.events, self.until, self.per_day)
        self.kept = [kernel.OUTPUTS.index(name) for name in self.criteria.drawn((), kernel.OUTPUTS)]
        self.size = max(8, min(scene.chunk, MOST_NUMBERS // (self.times.size * kernel.n_outputs)))
        self.sizes = {
            per: self.population.values[:, column] for per, column in kernel.SIZES.items() if column >= 0
        }
        self.unit = _dose_unit(kernel, [part.route for part in self.schedule.parts])
        self.alike = kernel.DOSE_UNITS if self.unit is None else of_one_drug(kernel, self.unit)
        self.drawn = scene.drawn or scene.subjects
        self.risks = [risk for risk in self.criteria.risks if risk.output in kernel.OUTPUTS]
        # the largest daily doses that rules led to, by the unit in which a risk counts them
        self.daily = {
            risk.unit: np.full(scene.subjects, np.nan) for risk in self.risks if self.rules or self.taken
        }

        self.courses = _Courses(len(self.kept), self.times.size, scene.subjects)
        self.status = np.zeros(scene.subjects, np.int64)
        self.endpoints: dict[Endpoint, Floats] = {}
        self.factors = {1.0}
        self._lock = threading.Lock()

    def run(self, first: int, end: int) -> None:
        """Simulate the subjects from first to end."""
        kernel = self.population.kernel
        rest, clock = self.rest[first:end], kernel.TIME_UNIT
        course = (rest, kernel.OUTPUTS, kernel.OUTPUT_UNITS, self.schedule, clock, self.until)
        judged = self.criteria.endpoints, self.begin
        asked = [Reading(*question) for question in questions(*course, *judged)]
        solution, given = self._solved(first, end, asked)
        read = solution.readings  # none where nothing is asked: of one dose there is no trough
        found = evaluate(
            np.empty((end - first, 0)) if read is None else read.values,
            np.empty((end - first, 0)) if read is None else read.times,
            *course,
            *judged,
            sizes=self._sizes(first, end),
            dose_unit=self.unit,
            dose_units=self.alike,
            given=given,
        )
        if self.rules is not None and given is not None:
            found |= shares(self.rules, given)
        if given is not None:
            self._note_daily(first, end, given)
        with self._lock:
            if given is not None and (some := given[given > 0.0]).size:
                self.factors.update((float(some.min()), float(some.max())))
            self.status[first:end] = solution.status
            self.courses.add(first, end, np.take(solution.outputs, self.kept, axis=2))
            for endpoint, values in found.items():
                own = self.endpoints.setdefault(endpoint, np.full(len(self.status), np.nan))
                own[first:end] = values

    def _solved(
        self, first: int, end: int, asked: list[Reading]
    ) -> tuple[Solution | Titration, Floats | None]:
        """What these subjects do, and by what each dose was multiplied, by rules or as it was taken, (n,
        n_doses); None where all are given as they are written."""
        kernel, people = self.population.kernel, self.population.values[first:end]
        if self.rules is None:
            how, taken = Options(rtol=COMPARISON, threads=1), None
            if self.taken is not None:
                seed = self.population.seed
                numbers = self.population.numbers[first:end].tolist()
                taken = self.taken.taken(self.events, kernel.TIME_UNIT, numbers, seed)
            solved = solve_taken(kernel, people, self.events, taken, self.times, options=how, readings=asked)
            return solved, None if taken is None else taken.factors
        solution = titrate(kernel, people, self.rules, self.times, rtol=COMPARISON, threads=1, readings=asked)
        return solution, solution.given

    def _sizes(self, first: int, end: int) -> dict[str, Floats]:
        return {per: values[first:end] for per, values in self.sizes.items()}

    def _note_daily(self, first: int, end: int, given: Floats) -> None:
        for unit, largest in self.daily.items():
            with contextlib.suppress(ScheduleError):  # not in this unit: there is no probability
                largest[first:end] = largest_daily(
                    self.schedule,
                    unit,
                    self._sizes(first, end),
                    end - first,
                    of_one_drug(self.population.kernel, unit),
                    given,
                )

    def add_risks(self) -> None:
        """The probabilities of adverse events, after all subjects were run. Each subject has the draw that it
        has among all who were drawn; what is known of the others is of no account."""
        n = len(self.status)
        for risk in self.risks:
            daily = self.daily.get(risk.unit)
            self.endpoints[risk.endpoint] = risk.probability(
                self.schedule,
                self.drawn,
                sizes={per: np.resize(sizes, self.drawn) for per, sizes in self.sizes.items()},
                dose_units=of_one_drug(self.population.kernel, risk.unit),
                seed=self.population.seed,
                daily=None if daily is None else np.resize(daily, self.drawn),
            )[:n]


def _said(plan: Plan) -> str | None:
    """What is said of doses that are taken otherwise than planned."""
    return str(plan) if isinstance(plan, TakenSchedule) else None


def _check_until(until_days: float | None) -> None:
    if until_days is not None and not (math.isfinite(until_days) and until_days > 0):
        raise InputError(f"the horizon must be longer than 0 days, not {until_days:g}")
    if until_days is not None and until_days > MOST_DAYS:
        raise InputError(
            f"the horizon of {until_days:,.0f} days is too long: at most {MOST_DAYS:,} days, a hundred years"
        )


def horizon(schedules: Iterable[Plan]) -> float:
    """Days to the end of the longest treatment and of 28 days of washout, whole days."""
    ends = [Regimen.of(planned(schedule)).end for schedule in schedules]
    return float(math.ceil(max((end for end in ends if math.isfinite(end)), default=0.0)) + WASHOUT_DAYS)


def _dose_unit(kernel: Kernel, routes: Collection[str]) -> str | None:
    """In which doses are added up: the unit of the state that the first of these routes in the model's order
    enters, the same for all schedules of a drug."""
    given = {route.lower() for route in routes}
    for route in kernel.ROUTES:
        for unit, factor in kernel.DOSE_UNITS.get(route, {}).items():
            if factor == 1.0 and route.lower() in given:
                return unit
    return None


def of_one_drug(kernel: Kernel, unit: str) -> dict[str, Mapping[str, float]]:
    """``kernel.DOSE_UNITS`` of the routes into states with this unit; of the others none: milligrams of an
    antibody are no units of an interleukin."""
    return {route: units if units.get(unit) == 1.0 else {} for route, units in kernel.DOSE_UNITS.items()}


@lru_cache(maxsize=16)
def _domain(fit: str, unit: str, criteria: Criteria) -> Domain:
    """What a fit saw, read once."""
    spec = read_fit_or_model(fit)
    rows = () if spec.unfitted else in_units(read_data(spec.data), System.load(spec.main.model)).rows
    return Domain.of(rows, unit, criteria.outputs)


@lru_cache(maxsize=16)
def behind(fit: str, criteria: Criteria) -> Behind:
    """What a fit, or a model that nobody has fitted, knows of its outputs, read once."""
    return Behind(fitted_model(fit)[0], criteria.outputs)


class _Courses:
    """Courses of all subjects for their bands: kept where there are few subjects, counted in a sketch (within
    0.5 %) where there are many."""

    def __init__(self, n_outputs: int, n_times: int, n_subjects: int) -> None:
        self.sketch = Sketch((n_times, n_outputs)) if n_subjects > KEPT else None
        # subjects last: their quantiles are then those of contiguous rows
        self.kept = np.empty((n_times, n_outputs, 0 if self.sketch else n_subjects), np.float32)

    def add(self, first: int, end: int, values: Floats) -> None:
        """Values (n, n_times, n_outputs) of the subjects from first to end, nan of failed ones."""
        if self.sketch is not None:
            self.sketch.add(values)
        else:
            self.kept[:, :, first:end] = np.moveaxis(values, 0, -1)

    def quantiles(self) -> Floats:
        """(3, n_times, n_outputs); nan where there is no subject."""
        if self.sketch is not None:
            return self.sketch.quantiles(BANDS)
        failed = np.isnan(self.kept).any(axis=(0, 1))
        values = self.kept[:, :, ~failed] if failed.any() else self.kept
        n = values.shape[2]
        if n == 0:
            return np.full((len(BANDS), *values.shape[:2]), np.nan)
        # what np.quantile does, whose partition for several levels takes twenty times as long as sorting
        ascending, places = np.sort(values, axis=2), np.array(BANDS) * (n - 1)
        below = places.astype(np.int64)
        low = ascending[:, :, below].astype(np.float64)
        high = ascending[:, :, np.minimum(below + 1, n - 1)]
        return np.moveaxis(low + (places - below) * (high - low), -1, 0)
