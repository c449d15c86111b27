"""Subjects under a schedule with rules: from look to look, each with the doses that it is given.

The course is integrated from one look to the next, for all subjects at once. At a look the outputs just before the doses of that instant are compared with the
thresholds, and each subject's doses until the next look are multiplied by what follows: 0 where they are held. Where no rule applies, the
course is that of the plain schedule but for the integration's tolerance: at each look the integrator begins anew, with a first step and error scales of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd import units
from pkpd.dosing import EventTable, Schedule, time_units_per_day
from pkpd.dosing.quantities import units_per_day
from pkpd.dosing.rules import BASELINE, AdaptiveSchedule
from pkpd.dosing.words import suggest
from pkpd.endpoints import Regimen
from pkpd.errors import InputError, UnitError
from pkpd.kernel import Kernel
from pkpd.ode.status import SUCCESS
from pkpd.solve import solve, spread, usable_cores
from pkpd.solve.periodic import lasting
from pkpd.solve.table import dose_rows

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_LOOKS = 5000
CHUNK = 104  # subjects that are integrated together: whole vectors; the same however many threads there are
NO_RULE = -1


@dataclass(frozen=True, eq=False)
class Titration:
    """Subjects under a schedule with rules.

    outputs : (n_subjects, n_times, n_outputs), nan for a failed subject; rest : (n_subjects, n_outputs), before the first dose, which is the baseline; given :
    (n_subjects, n_doses), what each dose of ``AdaptiveSchedule.schedule`` was multiplied by, by time (those of one instant in the order of the schedule), 0 where it was
    not given, nan for a failed subject; looks : (n_looks,), in the model's time unit; acted : (n_subjects, n_looks), the number of the rule that acted, -1 where
    none did; status : (n_subjects,), 0 is success.
    """

    outputs: Floats
    rest: Floats
    given: Floats
    looks: Floats
    acted: Integers
    status: Integers


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules of a schedule in a model's units.

    events : the doses as planned; looks : (n_looks,); order : numbers of the rules, those first that go before others; column, above, threshold, of_baseline : of
    each rule, which output it looks at and how; factor, limit : what the dose is multiplied by, and where that ends, as a multiple of the planned dose.
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
            ScheduleError: with the place in the text: an output that the model does not have, a unit that does not convert into its unit, rules that are never
                looked at; and what the doses alone are refused for.
        """
        schedule = plan.schedule
        events = schedule.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
        columns, thresholds = [], []
        for i, rule in enumerate(plan.rules):
            if rule.output not in kernel.OUTPUTS:
                known = suggest(rule.output, kernel.OUTPUTS)
                raise plan.error(
                    f'{kernel.NAME} has no output "{rule.output}"',
                    i,
                    "output",
                    (f'did you mean "{known}"? ' if known else "") + f"it has {', '.join(kernel.OUTPUTS)}",
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
    if looks.size > MOST_LOOKS:
        raise plan.error(
            f"the rules would be looked at {looks.size:,} times; at most {MOST_LOOKS:,} are simulated"
        )
    return looks


def _ends(schedule: Schedule) -> tuple[Fraction, Fraction]:
    """The days of the first and of the last dose."""
    doses = schedule.doses()
    return doses[0].time_days, doses[-1].time_days


def titrate(
    kernel: Kernel,
    parameters: ArrayLike,
    plan: AdaptiveSchedule | str,
    times: ArrayLike,
    *,
    rtol: float = 1e-6,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Titration:
    """Simulate subjects under a schedule with rules.

    Parameters
    ----------
    parameters : (n_subjects, n_params) or (n_params,), in the order of ``kernel.PARAMETERS``.
    times : (n_times,), ascending, in the model's time unit; an output at a dose's own instant is taken after the dose. All looks are simulated, those after the
        last time too.
    progress : called with (subjects done, subjects in all).

    A subject's result depends neither on the other subjects of its chunk, but for the last digits of exp, log and powers where one of them fails, nor on the number of threads.

    Raises
    ------
    ScheduleError : see ``Rules.of``. InputError : shapes that do not fit. A subject that cannot be integrated is marked in ``status``.
    """
    plan = AdaptiveSchedule.parse(plan) if isinstance(plan, str) else plan
    rules = Rules.of(kernel, plan)
    p = np.atleast_2d(np.asarray(parameters, dtype=np.float64))
    t = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if t.ndim != 1 or not t.size or not np.all(np.isfinite(t)) or np.any(np.diff(t) < 0):
        raise InputError("output times must be finite and ascend, at least one")
    n = len(p)
    found = Titration(
        outputs=np.full((n, t.size, kernel.n_outputs), np.nan),
        rest=np.full((n, kernel.n_outputs), np.nan),
        given=np.full((n, len(rules.events)), np.nan),
        looks=rules.looks,
        acted=np.full((n, rules.looks.size), NO_RULE),
        status=np.full(n, SUCCESS),
    )

    def run(first: int, end: int) -> None:
        _Chunk(kernel, p[first:end], rules, t, rtol, found, slice(first, end)).run()

    spread(run, n, min(n, threads or usable_cores()), CHUNK, progress)
    return found


class _Chunk:
    """Subjects that go from look to look together; what they come to is written into their ``rows`` of ``found``.

    alive : numbers of those that have not failed; y : (n, n_states), where they stand.
    """

    def __init__(
        self,
        kernel: Kernel,
        p: Floats,
        rules: Rules,
        times: Floats,
        rtol: float,
        found: Titration,
        rows: slice,
    ) -> None:
        self.kernel, self.p, self.rules, self.times, self.rtol = kernel, p, rules, times, rtol
        self.outputs, self.rest, self.given = found.outputs[rows], found.rest[rows], found.given[rows]
        self.acted, self.status = found.acted[rows], found.status[rows]
        self.alive = np.arange(len(p))
        self.y = np.empty((len(p), kernel.n_states))

    def run(self) -> None:
        """From the first dose to the last time or look."""
        rules, events, times = self.rules, self.rules.events, self.times
        reach = _reach(self.kernel, self.p, rules)
        start = min(0.0, float(times[0]), float(events.time[0]))
        self.rest[:] = self.go_on(EventTable.empty(), np.array([start]))[:, 0]
        self.given[:] = 1.0
        factor, stopped = np.ones(len(self.p)), np.zeros(len(self.p), bool)
        for k, end in enumerate([*rules.looks.tolist(), math.inf]):
            inside = np.flatnonzero((times >= start) & (times < end))
            last = k == rules.looks.size
            if last and not inside.size:
                break
            # what is given at the look itself, and later, is not there yet: outputs at that instant are those before it
            acting = np.flatnonzero((events.time >= start - reach) & (events.time < end))
            asked = times[inside] if last else np.append(times[inside], end)
            values = self.go_on(events.take(acting), asked, start, self.given[:, acting])
            self.outputs[:, inside] = values[:, : inside.size]
            if last or not self.alive.size:
                break
            acted = self.acted[:, k] = rules.acting(values[:, -1], self.rest, stopped)
            stopped |= np.isin(acted, rules.numbers("stop"))
            factor = rules.changed(factor, acted)
            none = stopped | np.isin(acted, rules.numbers("hold"))
            self.given[:, events.time >= end] = np.where(none, 0.0, factor)[:, None]
            start = end
        failed = self.status != SUCCESS
        self.outputs[failed], self.given[failed], self.acted[failed] = np.nan, np.nan, NO_RULE

    def go_on(
        self, events: EventTable, times: Floats, start: float | None = None, given: Floats | None = None
    ) -> Floats:
        """Integrate those that have not failed, from where they stand at ``start`` (None: at rest) to the last of ``times``: (n, n_times, n_outputs), nan of the failed."""
        alive = self.alive
        solution = solve(
            self.kernel,
            self.p[alive],
            events,
            times,
            rtol=self.rtol,
            threads=1,
            keep_states=True,
            initial=None if start is None else self.y[alive],
            start=start,
            factors=None if given is None else given[alive],
        )
        assert solution.states is not None
        outputs = np.full((len(self.p), times.size, self.kernel.n_outputs), np.nan)
        outputs[alive], self.y[alive] = solution.outputs, solution.states[:, -1]
        self.status[alive] = solution.status
        self.alive = alive[solution.status == SUCCESS]
        return outputs


def _reach(kernel: Kernel, p: Floats, rules: Rules) -> float:
    """How long after its time a dose still acts at the longest, by lag and duration, whatever the rules make of it."""
    rows = dose_rows(rules.events)
    rows[:, 1] *= max([1.0, *(rules.limit[i] for i in rules.numbers("raise"))])
    rows[:, [0, 6, 7]] = 0.0
    return max(lasting(kernel, p, row) for row in np.unique(rows, axis=0))
