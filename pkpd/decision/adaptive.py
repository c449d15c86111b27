"""Subjects under a schedule with rules: from look to look, each with the doses that it is given.

First it is found out what each subject is given: the course is integrated from one look to the next, for all
subjects at once; at a look the outputs just before the doses of that instant are compared with the
thresholds, and a subject's doses until the next look are multiplied by what follows, 0 where they are held.
Then the whole course is integrated once with these doses. So it is, to the last bit, that of a schedule in
which they are written out, and where no rule ever acts that of the plain schedule. What the looks saw agrees
with it within the integration's tolerance, since the integrator begins anew at each of them: a threshold that
is met more closely than that may be judged either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core import units
from pkpd.core.arguments import NUMBERS, TEXT, of, takes
from pkpd.core.errors import InputError, UnitError
from pkpd.core.names import question_and_list
from pkpd.core.progress import Progress, counting
from pkpd.decision.endpoints import Endpoint, Regimen
from pkpd.dosing import EventTable, Schedule, time_units_per_day
from pkpd.dosing.quantities import units_per_day
from pkpd.dosing.rules import BASELINE, AdaptiveSchedule
from pkpd.ode import layout
from pkpd.ode.status import SUCCESS
from pkpd.solver import Options, Reading, Readings, solve, spread, usable_cores
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import SIMULATION
from pkpd.solver.periodic import lasting
from pkpd.solver.table import dose_rows

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_LOOKS = MOST_DOSES = 5000
CHUNK = 104  # subjects that are integrated together: whole vectors; the same however many threads there are
NO_RULE = -1

_SHARE = "in percent of the doses planned, by the schedule's rules"
HELD = Endpoint("doses held", "percent", f"The doses not given, {_SHARE}.", 0, "burden")
REDUCED = Endpoint(
    "doses reduced", "percent", f"The doses given, but smaller than planned, {_SHARE}.", 0, "burden"
)
RAISED = Endpoint("doses raised", "percent", f"The doses given larger than planned, {_SHARE}.", 0, "burden")
BY_RULES = {HELD: ("stop", "hold"), REDUCED: ("reduce",), RAISED: ("raise",)}
"""What rules do to doses, and the actions that do it; of a schedule without rules all are 0."""


@dataclass(frozen=True, eq=False)
class Titration:
    """Subjects under a schedule with rules.

    outputs : (n_subjects, n_times, n_outputs), nan for a failed subject; rest : (n_subjects, n_outputs),
        before the first dose, which is the baseline; given :
    (n_subjects, n_doses), what each dose of ``AdaptiveSchedule.schedule`` was multiplied by, by time (those
    of one instant in the order of the schedule), 0 where it was not given, nan for a failed subject; looks :
    (n_looks,), in the model's time unit; acted : (n_subjects, n_looks), the number of the rule that acted, -1
    where none did; status : (n_subjects,), 0 is success; readings : those that were asked for.
    """

    outputs: Floats
    rest: Floats
    given: Floats
    looks: Floats
    acted: Integers
    status: Integers
    readings: Readings | None = None


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules of a schedule in a model's units.

    events : the doses as planned; looks : (n_looks,); order : numbers of the rules, those first that go
        before others; column, above, threshold, of_baseline : of
    each rule, which output it looks at and how; factor, limit : what the dose is multiplied by, and where
    that ends, as a multiple of the planned dose.
    """

    events: EventTable
    looks: Floats
    order: tuple[int, ...]
    actions: tuple[str, ...]
    column: tuple[int, ...]
    above: tuple[bool, ...]
    threshold: tuple[float, ...]
    of_baseline: tuple[bool, ...]
    factor: tuple[float, ...]
    limit: tuple[float, ...]

    @classmethod
    def of(cls, kernel: Kernel, plan: AdaptiveSchedule) -> Rules:
        """Check a schedule with rules against a model.

        Raises:
            ScheduleError: with the place in the text: an output that the model does not have, a unit that
                does not convert into its unit, rules that are never looked at; and what the doses alone are
                refused for.
        """
        schedule = plan.schedule
        events = schedule.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
        columns, thresholds = [], []
        for i, rule in enumerate(plan.rules):
            if rule.output not in kernel.OUTPUTS:
                raise plan.error(
                    f'{kernel.NAME} has no output "{rule.output}"',
                    i,
                    "output",
                    question_and_list(rule.output, kernel.OUTPUTS, "it has"),
                )
            column = list(kernel.OUTPUTS).index(rule.output)
            size = 1.0
            if rule.unit not in ("", BASELINE):
                unit = kernel.OUTPUT_UNITS[column]
                try:
                    size = units.factor(rule.unit, unit)
                except UnitError as error:
                    raise plan.error(f"{rule.output} is in {unit}: {error}", i, "unit") from None
            columns.append(column)
            thresholds.append(float(rule.threshold) * size)
        change = {"reduce": -1, "raise": 1}
        return cls(
            events=events,
            looks=_looks(plan, events, kernel.TIME_UNIT),
            order=tuple(plan.order),
            actions=tuple(rule.action for rule in plan.rules),
            column=tuple(columns),
            above=tuple(rule.sign == ">" for rule in plan.rules),
            threshold=tuple(thresholds),
            of_baseline=tuple(rule.unit == BASELINE for rule in plan.rules),
            factor=tuple(
                float(1 + change.get(rule.action, 0) * (rule.percent or Fraction(0)) / 100)
                for rule in plan.rules
            ),
            limit=tuple(plan.limit(rule) or 0.0 for rule in plan.rules),
        )

    def numbers(self, action: str) -> list[int]:
        """Of the rules with this action."""
        return [i for i, name in enumerate(self.actions) if name == action]

    def changed(self, factor: Floats, acted: Integers) -> Floats:
        """(n_subjects,) by what doses are multiplied after the rules that acted, (n_subjects,)."""
        for i in self.numbers("reduce"):
            lower = np.minimum(factor, np.maximum(factor * self.factor[i], self.limit[i]))
            factor = np.where(acted == i, lower, factor)
        for i in self.numbers("raise"):
            higher = np.maximum(factor, np.minimum(factor * self.factor[i], self.limit[i]))
            factor = np.where(acted == i, higher, factor)
        return factor

    def acting(self, values: Floats, rest: Floats, stopped: NDArray[np.bool_]) -> Integers:
        """(n_subjects,) the rule that acts on outputs (n_subjects, n_outputs), or -1."""
        acted = np.full(len(values), NO_RULE)
        for i in self.order:
            value = values[:, self.column[i]]
            threshold = self.threshold[i] * (rest[:, self.column[i]] if self.of_baseline[i] else 1.0)
            applies = value > threshold if self.above[i] else value < threshold
            acted[applies & ~stopped & (acted == NO_RULE)] = i
        return acted


def _looks(plan: AdaptiveSchedule, events: EventTable, time_unit: str) -> Floats:
    """When the rules are looked at, (n_looks,), in the model's time unit."""
    instants = np.unique(events.time)
    if plan.look == "dose":
        looks = instants[1:]
        why = "there is one dose only: rules are looked at from the second on"
    elif plan.look == "cycle":
        looks = Regimen.at(events.time, time_units_per_day(time_unit)).cycles[1:]
        why = "the schedule is one cycle: rules are looked at before the second and those after it"
    else:
        assert isinstance(plan.look, Fraction)
        first, last = _ends(plan.schedule)
        count = math.floor((last - first) / plan.look)
        why = "the schedule ends before the rules are looked at for the first time"
        if count <= MOST_LOOKS:
            per_day = units_per_day(time_unit)
            looks = np.array([float((first + k * plan.look) * per_day) for k in range(1, count + 1)])
        else:
            looks = np.empty(count)
    if not looks.size:
        raise plan.error(why)
    if len(events) > MOST_DOSES:
        raise plan.error(f"rules are followed over at most {MOST_DOSES:,} doses; these are {len(events):,}")
    if looks.size > MOST_LOOKS:
        raise plan.error(
            f"the rules would be looked at {looks.size:,} times; at most {MOST_LOOKS:,} are simulated"
        )
    return looks


def _ends(schedule: Schedule) -> tuple[Fraction, Fraction]:
    """The days of the first and of the last dose."""
    doses = schedule.doses()
    return doses[0].time_days, doses[-1].time_days


@takes(
    kernel=of(Kernel, words="a kernel, such as pkpd.load gives"),
    values=NUMBERS,
    plan=TEXT | of(AdaptiveSchedule, words="a schedule with rules"),
    times=NUMBERS,
)
def titrate(
    kernel: Kernel,
    values: ArrayLike,
    plan: AdaptiveSchedule | str,
    times: ArrayLike,
    *,
    rtol: float = SIMULATION,
    readings: Sequence[Reading] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Titration:
    """Simulate subjects under a schedule with rules.

    Parameters
    ----------
    values : of parameters, (n_subjects, n_params) or (n_params,), in the order of ``kernel.PARAMETERS``.
    times : (n_times,), in the model's time unit, in any order; an output at a dose's own instant is taken
        after the dose. All looks are simulated, those after the last time too.
    readings : what is read off the courses with the doses that were given, as in ``pkpd.solve``.
    progress : called with (what, share, remark).

    A subject's result depends neither on the other subjects of its chunk, but for the last digits of exp, log
    and powers where one of them fails, nor on the number of threads.

    Raises
    ------
    ScheduleError : see ``Rules.of``. InputError : shapes that do not fit. A subject that cannot be integrated
        is marked in ``status``.
    """
    plan = AdaptiveSchedule.parse(plan) if isinstance(plan, str) else plan
    rules = Rules.of(kernel, plan)
    p = np.atleast_2d(np.asarray(values, dtype=np.float64))
    t = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if p.ndim != 2 or p.shape[1] != kernel.n_params or not len(p):
        raise InputError(
            f"values of parameters have shape {np.shape(values)}; {kernel.NAME} takes (n_subjects, "
            f"{kernel.n_params})"
        )
    if t.ndim != 1 or not t.size or not np.all(np.isfinite(t)):
        raise InputError("output times must be a one-dimensional array of finite numbers, at least one")
    n = len(p)
    found = Titration(
        outputs=np.full((n, t.size, kernel.n_outputs), np.nan),
        rest=np.full((n, kernel.n_outputs), np.nan),
        given=np.full((n, len(rules.events)), np.nan),
        looks=rules.looks,
        acted=np.full((n, rules.looks.size), NO_RULE),
        status=np.full(n, SUCCESS),
        readings=Readings(
            tuple(readings), np.full((n, len(readings)), np.nan), np.full((n, len(readings)), np.nan)
        ),
    )
    start = min(0.0, float(t.min()), float(rules.events.time[0]))

    def run(first: int, end: int) -> None:
        rows = slice(first, end)
        _Chunk(kernel, p[rows], rules, rtol, found, rows).run(start)
        known = np.flatnonzero(found.status[rows] == SUCCESS) + first
        if known.size:
            course = solve(
                kernel,
                p[known],
                rules.events,
                t,
                options=Options(rtol=rtol, threads=1),
                factors=found.given[known],
                readings=[reading.of(known, n) for reading in readings],
            )
            if found.readings is not None and course.readings is not None:
                found.readings.values[known] = course.readings.values
                found.readings.times[known] = course.readings.times
            found.outputs[known], found.status[known] = course.outputs, course.status
        failed = np.flatnonzero(found.status[rows] != SUCCESS) + first
        found.given[failed], found.acted[failed] = np.nan, NO_RULE

    spread(run, n, min(n, threads or usable_cores()), CHUNK, counting(progress, "simulating"))
    return found


def shares(plan: AdaptiveSchedule, given: Floats) -> dict[Endpoint, Floats]:
    """How many doses its rules changed, (n_subjects,) each, from what doses were multiplied by, (n_subjects,
    n_doses); nan where that is not known."""
    actions = {rule.action for rule in plan.rules}
    changed = {HELD: given == 0.0, REDUCED: (given > 0.0) & (given < 1.0), RAISED: given > 1.0}
    known = ~np.isnan(given).any(axis=1)
    return {
        endpoint: np.where(known, 100.0 * changed[endpoint].mean(axis=1), np.nan)
        for endpoint, by in BY_RULES.items()
        if actions & set(by)
    }


class _Chunk:
    """Subjects that go from look to look together, to find out what they are given; it is written into their
    ``rows`` of ``found``.

    alive : numbers of those that have not failed; y : (n, n_states), where they stand.
    """

    def __init__(
        self, kernel: Kernel, p: Floats, rules: Rules, rtol: float, found: Titration, rows: slice
    ) -> None:
        self.kernel, self.p, self.rules, self.rtol = kernel, p, rules, rtol
        self.rest, self.given = found.rest[rows], found.given[rows]
        self.acted, self.status = found.acted[rows], found.status[rows]
        self.alive = np.arange(len(p))
        self.y = np.empty((len(p), kernel.n_states))

    def run(self, start: float) -> None:
        """From the time ``start``, at rest, to the last look."""
        rules, events = self.rules, self.rules.events
        reach = _reach(self.kernel, self.p, rules)
        self.rest[:] = self.go_on(EventTable.empty(), start)
        self.given[:] = 1.0
        factor, stopped = np.ones(len(self.p)), np.zeros(len(self.p), bool)
        for k, look in enumerate(rules.looks.tolist()):
            # what is given at the look itself, and later, is not in the table: outputs are those before it
            acting = np.flatnonzero((events.time >= start - reach) & (events.time < look))
            values = self.go_on(events.take(acting), look, start, self.given[:, acting])
            acted = self.acted[:, k] = rules.acting(values, self.rest, stopped)
            stopped |= np.isin(acted, rules.numbers("stop"))
            factor = rules.changed(factor, acted)
            none = stopped | np.isin(acted, rules.numbers("hold"))
            self.given[:, events.time >= look] = np.where(none, 0.0, factor)[:, None]
            start = look
            if stopped[self.alive].all():  # or nobody is left
                break

    def go_on(
        self, events: EventTable, time: float, start: float | None = None, given: Floats | None = None
    ) -> Floats:
        """Integrate those that have not failed to ``time``, from where they stand at ``start`` (None: at
        rest): outputs there, (n, n_outputs), nan of the failed."""
        alive = self.alive
        solution = solve(
            self.kernel,
            self.p[alive],
            events,
            [time],
            options=Options(rtol=self.rtol, threads=1),
            keep_states=True,
            initial=None if start is None or given is None else self.y[alive],
            start=start,
            factors=None if given is None else given[alive],
        )
        assert solution.states is not None
        outputs = np.full((len(self.p), self.kernel.n_outputs), np.nan)
        outputs[alive], self.y[alive] = solution.outputs[:, 0], solution.states[:, 0]
        self.status[alive] = solution.status
        self.alive = alive[solution.status == SUCCESS]
        return outputs


def _reach(kernel: Kernel, p: Floats, rules: Rules) -> float:
    """How long after its time a dose still acts at the longest, by lag and duration, whatever the rules make
    of it."""
    rows = dose_rows(rules.events)
    rows[:, layout.DOSE_AMOUNT] *= max([1.0, *(rules.limit[i] for i in rules.numbers("raise"))])
    rows[:, [layout.DOSE_TIME, layout.DOSE_SINCE, layout.DOSE_FACTOR]] = 0.0
    return max(lasting(kernel, p, row) for row in np.unique(rows, axis=0))
