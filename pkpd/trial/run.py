"""One trial: recruit, randomise, treat, follow and measure, and analyse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core import units
from pkpd.core.errors import DataError, SolverError
from pkpd.core.names import question_or_list
from pkpd.dosing import EventTable
from pkpd.ode.status import SUCCESS
from pkpd.simulation.occurrence import event_times
from pkpd.solver import Options, solve
from pkpd.trial.adverse import AdverseEvent, happened
from pkpd.trial.courses import CoursePlan, courses
from pkpd.trial.data import TrialData
from pkpd.trial.design import DesignStratum, TrialDesign
from pkpd.trial.kinds import compute
from pkpd.trial.looks import LookOutcome, watch
from pkpd.trial.patients import (
    ADVERSE,
    ARMS,
    ENTRY,
    ERRORS,
    EVENTS,
    LEAVING,
    MISSED,
    RATES,
    Recruiting,
    allotted,
    cumulative_hazard,
    stream,
)
from pkpd.trial.survival import kaplan_meier

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]

HOW = Options(rtol=1e-2, method="rodas4", threads=1)
"""Patients' outputs are then within 0.1 % of exact (tests/trial/test_trial.py), and people differ by more."""
WEEK = 7.0
"""Days between times at which the cumulative hazard is known; it rises along a line in between."""
MOST_ROUNDS = 200
"""Of candidates, who may die before they are randomised."""


class TrialOutcome(NamedTuple):
    """What is kept of one trial.

    numbers : (n_sizes, n_numbers), nan where there is none; means, sds : (n_arms, n_outputs, n_visits);
    seen : how many were measured, of that shape; curves : (1 + n_strata, n_arms, n_grid), shares of
    survivors; at_risk : (1 + n_strata, n_arms) patients; looks : at the trial of the design's size, None
    without any; failed : who could not be integrated.
    """

    numbers: Floats
    means: Floats
    sds: Floats
    seen: Integers
    curves: Floats
    at_risk: Integers
    looks: LookOutcome | None
    failed: int


@dataclass(frozen=True)
class TrialRun:
    """A design, ready to be simulated many times.

    sizes : (n_sizes, n_arms), patients of each arm; the last is the largest, which is simulated, and of the
    others the first patients are analysed.
    """

    design: TrialDesign
    recruiting: Recruiting
    sizes: tuple[tuple[int, ...], ...]

    @cached_property
    def day(self) -> float:
        """In the model's unit of time."""
        return units.factor("d", self.recruiting.kernel.TIME_UNIT)

    @cached_property
    def doses(self) -> tuple[EventTable, ...]:
        """Of each arm, from inclusion on."""
        kernel = self.recruiting.kernel
        return tuple(arm.schedule.shifted(self.design.run_in).events_for(kernel) for arm in self.design.arms)

    @cached_property
    def plan(self) -> CoursePlan:
        """Courses of the arms."""
        return CoursePlan(self.doses, self.day, self.design.run_in)

    @cached_property
    def grid(self) -> Floats:
        """Days of follow-up at which survival is known, from randomisation."""
        return np.append(np.arange(0.0, self.design.follow_up, WEEK), self.design.follow_up)

    @cached_property
    def _times(self) -> Floats:
        """Days from randomisation at which outputs are taken."""
        return np.unique(np.concatenate([self.grid if self.design.event else [], self.design.visit_days]))

    def outcome(self, trial: int) -> TrialOutcome:
        """Simulate and analyse a trial."""
        design, plan = self.design, self.design.monitoring
        data, failed = self.simulated(trial)
        whole, *others = (self._of_size(data, n) for n in self.sizes)
        numbers = [self._numbers(some) for some in (whole, *others)]
        return TrialOutcome(
            np.array([list(found.values()) for found in numbers]),
            *_visits(whole),
            *self._curves(whole),
            watch(plan, whole, design.before, design.follow_up) if plan else None,
            failed,
        )

    @property
    def largest(self) -> tuple[int, ...]:
        """Patients of each arm of the trial that is simulated."""
        return tuple(max(n) for n in zip(*self.sizes, strict=True))

    def _of_size(self, data: TrialData, n: tuple[int, ...]) -> TrialData:
        """The largest trial is all of its patients: randomised within strata, its arms meet their sizes on
        average only."""
        return data if n == self.largest else data.first(n)

    @cached_property
    def keys(self) -> list[tuple[str, str, str]]:
        """Analysis, quantity and arm of each number, in the order of ``TrialOutcome.numbers``."""
        return list(self._numbers(self.design.nobody))

    def _numbers(self, data: TrialData) -> dict[tuple[str, str, str], float]:
        return {
            (analysis.name, quantity, arm): value
            for analysis in self.design.analyses
            for (quantity, arm), value in compute(analysis, data).items()
        }

    def _curves(self, data: TrialData) -> tuple[Floats, Integers]:
        n_arms, groups = len(data.arms), [np.ones(data.arm.size, bool), *data.strata.values()]
        curves = np.full((len(groups), n_arms, self.grid.size), np.nan)
        at_risk = np.zeros((len(groups), n_arms), np.int64)
        for g, group in enumerate(groups):
            for k in range(n_arms):
                who = group & (data.arm == k)
                at_risk[g, k] = np.count_nonzero(who)
                if self.design.event:
                    curves[g, k] = kaplan_meier(
                        data.time[who], data.event[who], self.grid + self.design.before
                    )
        return curves, at_risk

    def simulated(self, trial: int) -> tuple[TrialData, int]:
        """The data of a trial with the largest of the sizes, and how many patients could not be integrated,
        who are missing in it."""
        design, seed = self.design, self.recruiting.seed
        sizes = self.largest
        n = sum(sizes)
        values, threshold = self._enrolled(trial, n)
        kernel = self.recruiting.kernel
        by = values[:, kernel.PARAMETERS.index(design.randomised_by)] if design.randomised_by else None
        arm = allotted(design, sizes, by, stream(seed, trial, ARMS))
        left = np.full(n, np.inf)
        if design.dropout:
            left = stream(seed, trial, LEAVING).exponential(365.25 / design.dropout, n)
        outputs, failed = self._solved(trial, values, arm, left)
        time, event = np.full(n, design.follow_up), np.zeros(n, bool)
        if design.event:
            death = self._deaths(outputs, threshold)
            end = np.minimum(design.follow_up, left) if not design.vital_status else design.follow_up
            event, time = death <= end, np.minimum(death, end)
        here = np.minimum(time, left)
        measured = self._measured(trial, outputs, here)
        data = TrialData(
            arms=tuple(one.name for one in design.arms),
            arm=arm,
            covariates={name: values[:, kernel.PARAMETERS.index(name)] for name in design.covariates},
            strata={
                one.name: _inside(one, values[:, kernel.PARAMETERS.index(one.covariate)])
                for one in design.strata
            },
            entry=self._entry(trial, n),
            time=time + design.before,
            event=event,
            visits=np.array(design.visit_days),
            measured=measured,
            adverse=self._adverse(trial, values, arm, here),
        )
        return data.of(~failed), int(failed.sum())

    def _entry(self, trial: int, n: int) -> Floats:
        """Calendar days on which patients are randomised, one after the other at the same rate, (n,)."""
        if not self.design.recruitment:
            return np.zeros(n)
        luck = stream(self.recruiting.seed, trial, ENTRY).random(n)
        return (np.arange(n) + luck) * (self.design.recruitment / self.design.n_patients)

    def _deaths(self, outputs: Floats, threshold: Floats) -> Floats:
        """Days from randomisation to the event, (n,); inf where it does not happen during follow-up.

        Who may die in the run-in has survived it: what is left until the event is the threshold less the
        cumulative hazard at randomisation.
        """
        start = int(np.searchsorted(self._times, 0.0))
        times, course = self._times[start:], outputs[:, start:, -1]
        if self.design.run_in_events:
            threshold = np.maximum(threshold - course[:, 0], 1e-12)
        # a loose tolerance may leave dips
        course = np.maximum.accumulate(course - course[:, :1], axis=1)
        return event_times(course, times, exponentials=threshold)

    def _enrolled(self, trial: int, n: int) -> tuple[Floats, Floats]:
        """Parameters (n, n_params) of those who are randomised, and at which cumulative hazard each dies."""
        candidates = self.recruiting.patients(trial)
        deaths = stream(self.recruiting.seed, trial, EVENTS)
        if not (self.design.event and self.design.run_in and self.design.run_in_events):
            return candidates.take(n), deaths.exponential(size=n)
        kept: list[tuple[Floats, Floats]] = []
        found = 0
        kernel = self.recruiting.kernel
        column = kernel.OUTPUTS.index(cumulative_hazard(self.design.event))
        for _ in range(MOST_ROUNDS):
            values, threshold = candidates.take(n), deaths.exponential(size=n)
            end = [self.design.run_in * self.day]
            hazard = solve(kernel, values, EventTable.empty(), end, options=HOW).outputs[:, 0, column]
            alive = ~(hazard >= threshold)  # one that cannot be integrated is counted later
            kept.append((values[alive], threshold[alive]))
            found += int(alive.sum())
            if found >= n:
                return tuple(np.concatenate(parts)[:n] for parts in zip(*kept, strict=True))  # type: ignore[return-value]
        raise SolverError(
            f"{self.design.file}: almost nobody survives the run-in of {self.design.run_in:g} days"
        )

    def _solved(self, trial: int, values: Floats, arm: Integers, left: Floats) -> tuple[Floats, Truths]:
        """(n, n_times, n_measured and the cumulative hazard last), and who could not be integrated."""
        design, kernel = self.design, self.recruiting.kernel
        names = [one.output for one in design.measured]
        names += [cumulative_hazard(design.event)] if design.event else []
        columns = [kernel.OUTPUTS.index(name) for name in names]
        n = len(values)
        outputs, failed = np.zeros((n, self._times.size, len(columns))), np.zeros(n, bool)
        if not self._times.size:
            return outputs, failed
        times = (self._times + design.run_in) * self.day
        not_missed = self._not_missed(trial, n)
        for k, doses in enumerate(self.doses):
            who = np.flatnonzero(arm == k)
            if not who.size:
                continue
            factors = None
            if len(doses) and (design.missed or design.dropout):
                given = not_missed[who][:, courses(doses, self.day)]
                given &= doses.time <= (left[who, None] + design.run_in) * self.day
                factors = given.astype(np.float64)
            solution = solve(kernel, values[who], doses, times, options=HOW, factors=factors)
            outputs[who] = solution.outputs[:, :, columns]
            failed[who] = solution.status != SUCCESS
            if failed[who].all():
                solution.check()
        return outputs, failed

    def _not_missed(self, trial: int, n: int) -> Truths:
        """Which courses each patient is given, (n, n_courses)."""
        shape = n, self.plan.most
        if not self.design.missed:
            return np.ones(shape, dtype=bool)
        return stream(self.recruiting.seed, trial, MISSED).random(shape) >= self.design.missed

    def _adverse(self, trial: int, values: Floats, arm: Integers, here: Floats) -> dict[str, Floats]:
        """By adverse event whether it happened in each course, (n, n_courses); nan for courses that would
        have begun after the day ``here`` (n,) to which a patient was in the trial and alive."""
        if not self.design.adverse:
            return {}
        seed, missed = self.recruiting.seed, ~self._not_missed(trial, len(arm))
        found = {}
        for one in self.design.adverse:
            doses = self.plan.daily(arm, values, self._in_unit(one))
            doses[missed & (doses > 0.0)] = 0.0
            doses[self.plan.days[arm] > here[:, None]] = np.nan
            p0, k = one.posterior.mean
            if "uncertainty" in self.recruiting.vary:
                p0, k = one.posterior.draw(stream(seed, trial, RATES, one.stream))
            found[one.name] = happened(doses, p0, k, stream(seed, trial, ADVERSE, one.stream))
        return found

    def _in_unit(self, event: AdverseEvent) -> Floats:
        """By what a dose is multiplied to be in the unit of an adverse event, (n_routes,); nan for a route
        that no dose goes by."""
        kernel = self.recruiting.kernel
        found = np.full(len(kernel.ROUTES), np.nan)
        for arm, doses in zip(self.design.arms, self.doses, strict=True):
            for route in np.unique(doses.route):
                known = kernel.DOSE_UNITS.get(kernel.ROUTES[route], {})
                if event.unit not in known:
                    raise DataError(
                        f'{event.where}: unit = "{event.unit}": doses of the arm {arm.name} cannot be '
                        f"counted in it by the model {kernel.NAME}; {question_or_list(event.unit, known)}"
                    )
                found[route] = 1.0 / known[event.unit]
        return found

    def _measured(self, trial: int, outputs: Floats, until: Floats) -> dict[str, Floats]:
        """By output (n, n_visits), with errors; nan from the day ``until`` (n,) on."""
        design = self.design
        visits = np.array(design.visit_days)
        at = np.searchsorted(self._times, visits)
        n, of = len(outputs), len(design.measured)
        errors = stream(self.recruiting.seed, trial, ERRORS).standard_normal((n, of, visits.size, 2))
        found = {}
        for k, one in enumerate(design.measured):
            y = outputs[:, at, k] * (1.0 + one.proportional * errors[:, k, :, 0])
            y = y + one.additive * errors[:, k, :, 1]
            found[one.output] = np.where(visits <= until[:, None], y, np.nan)
        return found


def _inside(stratum: DesignStratum, values: Floats) -> Truths:
    return (values >= stratum.low) & (values < stratum.high)


def _visits(data: TrialData) -> tuple[Floats, Floats, Integers]:
    """Means, SDs and numbers by arm, output and visit."""
    shape = (len(data.arms), len(data.measured), data.visits.size)
    means, sds = np.full(shape, np.nan), np.full(shape, np.nan)
    seen = np.zeros(shape, np.int64)
    for k in range(shape[0]):
        for j, y in enumerate(data.measured.values()):
            some = y[data.arm == k]
            known = np.isfinite(some)
            count = known.sum(axis=0)
            total = np.where(known, some, 0.0).sum(axis=0)
            mean = total / np.maximum(count, 1)
            square = (np.where(known, some - mean, 0.0) ** 2).sum(axis=0)
            seen[k, j] = count
            means[k, j] = np.where(count > 0, mean, np.nan)
            sds[k, j] = np.where(count > 1, np.sqrt(square / np.maximum(count - 1, 1)), np.nan)
    return means, sds, seen
