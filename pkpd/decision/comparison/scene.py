"""What the schedules of a comparison share: the same virtual subjects and one horizon."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

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
from pkpd.core.progress import Counting, Progress, counting
from pkpd.decision.adaptive import Rules
from pkpd.decision.comparison.arm import Arm
from pkpd.decision.comparison.ground import Ground
from pkpd.decision.comparison.simulation import Simulation
from pkpd.decision.criteria import Criteria, criteria_of, fields
from pkpd.decision.domain import Beyond
from pkpd.decision.endpoints import (
    Regimen,
    followed,
)
from pkpd.decision.evidence import Behind, Standing
from pkpd.dosing import EventTable, Schedule, time_units_per_day
from pkpd.dosing.quantities import exact_number
from pkpd.dosing.rules import AdaptiveSchedule, Plan, plan_as_taken, planned, read_plan
from pkpd.dosing.taking import TakenSchedule, read_jitter
from pkpd.inference import FitResult, read_fit
from pkpd.inference.draws import PosteriorDraws
from pkpd.inference.individual import PERSON, Individual
from pkpd.inference.population import Population, virtual_subjects
from pkpd.inference.unfitted import read_fit_or_model
from pkpd.solver import Options, solve, spread, usable_cores

Floats = NDArray[np.float64]

WASHOUT_DAYS = 28
# Subjects that are simulated and evaluated at a time: whole vectors, and outputs of some ten megabytes
CHUNK = 128
MOST_DAYS = 36_525  # a hundred years, as in `pkpd.dosing`


_GIVEN = ("covariates", "parameters")  # by name, of what a scene is about
_A_PLAN = TEXT | of(Schedule, AdaptiveSchedule, TakenSchedule)


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
        return (*map(str, beyond), *(self.ground.by_factors(schedule, times, beyond) if times else ()))

    def beyond(self, schedule: Schedule) -> tuple[Beyond, ...]:
        """The same, each statement apart from the study that comes nearest."""
        return self.ground.beyond(self.ground.left_by(schedule))

    @cached_property
    def ground(self) -> Ground:
        """On what its numbers stand."""
        return Ground(self.who.get("fit", self.fit), self.fit, self.criteria, self.population)

    @property
    def behind(self) -> Behind:
        """What the fit knows of its outputs."""
        return self.ground.behind

    def standing(self, schedule: Schedule, output: str) -> Standing:
        """On what the course of an output stands under a schedule."""
        return self.behind.standing([output], self.ground.left_by(schedule).outputs.get(output, ()))

    def standings(self, schedule: Schedule) -> dict[str, Standing]:
        """On what each endpoint stands under a schedule, by the endpoint's name: of those that follow from
        courses, and of risks. All others are counted from the doses."""
        return self.ground.standings(self.ground.left_by(schedule))

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
        work = Simulation(scene, plan, self.rest)
        n_subjects = self.subjects
        spread(work.run, n_subjects, min(n_subjects, self.threads or usable_cores()), work.size, told)
        work.add_risks()
        kernel, schedule, bands = self.population.kernel, work.schedule, work.courses.quantiles()
        doses, left = schedule.doses(), self.ground.left_by(schedule)
        beyond = self.ground.beyond(left)
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
            warnings=(*map(str, beyond), *self.ground.by_factors(plan, work.factors, beyond)),
            no_data=tuple(str(one) for one in beyond if one.no_data),
            standings=self.ground.standings(left),
            failed=int(np.count_nonzero(work.status)),
            rules=work.rules,
            taken=work.taken,
        )


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
