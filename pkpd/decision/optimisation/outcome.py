"""What a schedule does, as far as a front needs it: medians over subjects and shares of people, and both over
again under each draw of the parameters."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.decision.comparison import Arm, Scene
from pkpd.decision.comparison.result import FEWEST_DRAWS, FEWEST_OF_A_DRAW, between, uncertainty
from pkpd.decision.endpoints import Endpoint, quantiles
from pkpd.decision.evidence import COUNTED, Standing
from pkpd.decision.people import (
    People,
    PeopleShare,
    asked_share,
    attained,
    attained_by_draws,
    enough,
    share_interval,
)
from pkpd.decision.wishes import Constraint, Goal
from pkpd.dosing import Schedule
from pkpd.dosing.taking import GivenDoses

Floats = NDArray[np.float64]

ROUGH_DRAWS, ROUGH_SUBJECTS = 13, 104
"""Of the search: eight subjects to each of an odd number of draws, a whole chunk of the solver."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """One schedule in the subjects of a scene.

    medians : endpoint -> median over subjects; worlds : endpoint -> (n_subjects,), that median as it would be
        if the parameters were those of
    each subject's draw (a risk has posterior draws of its own, one to a subject), so that a share
    of worlds is a probability; intervals : endpoint -> (low, high), of 90 %, as `pkpd.compare` has them.
    counted : in how many people a constraint holds, of those that say in how many they are to hold.
    standings : endpoint -> how far its numbers have been put to the test.
    """

    schedule: Schedule
    medians: Mapping[Endpoint, float]
    worlds: Mapping[Endpoint, Floats]
    intervals: Mapping[Endpoint, tuple[float, float]]
    warnings: tuple[str, ...] = ()
    failed: int = 0
    counted: Mapping[Constraint, CountedPeople] = field(default_factory=dict)
    standings: Mapping[Endpoint, Standing] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        arm: Arm,
        endpoints: Sequence[Endpoint],
        counted: Mapping[Constraint, CountedPeople] | None = None,
    ) -> Outcome:
        """Of a simulated arm; an endpoint that it has no value of is nan."""
        population = arm.scene.population
        medians, worlds, intervals = {}, {}, {}
        risks = {risk.endpoint for risk in arm.scene.criteria.risks}
        for endpoint in endpoints:
            values = arm.endpoints.get(endpoint, np.full(arm.scene.subjects, np.nan))
            (medians[endpoint],) = (float(value) for value in quantiles(values, (0.5,)))
            if endpoint in risks:
                low, high = quantiles(values, (0.05, 0.95))
                worlds[endpoint], intervals[endpoint] = values, (float(low), float(high))
            else:
                worlds[endpoint], intervals[endpoint] = _worlds(values, medians[endpoint], population.draw)
        standings = {endpoint: arm.standings.get(endpoint.name, COUNTED) for endpoint in endpoints}
        return cls(
            arm.schedule, medians, worlds, intervals, arm.warnings, arm.failed, counted or {}, standings
        )

    def objectives(self, objectives: Sequence[Goal]) -> Floats:
        """(n_objectives,) medians, less being better in each; the last digits, which are rounding, left out;
        1e9 where there is none."""
        values = [-objective.sign * self.medians[objective.endpoint] for objective in objectives]
        return np.array(
            [float(f"{min(max(value, -1e9), 1e9):.9g}") if value == value else 1e9 for value in values]
        )

    def violations(self, constraints: Sequence[Constraint], confidence: float) -> Floats:
        """(n_constraints,), 0 where the median, or the share of people that is asked for, holds a constraint
        and does so with that probability, else by which share of its bound it is missed."""
        return np.array([self._violation(constraint, confidence) for constraint in constraints], np.float64)

    def _violation(self, constraint: Constraint, confidence: float) -> float:
        if constraint in self.counted:
            return self.counted[constraint].violation(confidence)
        return max(
            constraint.violation(np.array([self.medians[constraint.endpoint]]), 1.0),
            constraint.violation(self.worlds[constraint.endpoint], confidence),
        )

    def held(self, constraint: Constraint) -> NDArray[np.bool_]:
        """(n_subjects,) whether it holds under each subject's draw of the parameters."""
        if constraint in self.counted:
            return self.counted[constraint].held
        return constraint.holds(self.worlds[constraint.endpoint])


@dataclass(frozen=True, eq=False)
class CountedPeople:
    """In how many people a constraint holds under a schedule.

    estimate : their share; held : (n_subjects,) whether they are enough under each subject's draw of the
    parameters; missed : by which share of its bound the last of those people misses it who would have to hold
    it, 0 where they are enough; missed_by_draws : (n_draws,) the same under each draw.
    """

    estimate: PeopleShare
    held: NDArray[np.bool_]
    missed: float
    missed_by_draws: Floats

    @classmethod
    def of(
        cls, constraint: Constraint, people: Floats, crossed: Floats | None, draw: NDArray[np.int64]
    ) -> CountedPeople:
        """Of values (n_people,) at the estimates, and (n_crossed, n_draws) where the parameters are
        uncertain; draw : (n_subjects,) places among the draws."""
        share, asked = float(attained(people, constraint)), asked_share(constraint)
        missed = constraint.violation(people, asked)
        if crossed is None:
            held = np.full(draw.size, missed == 0.0)
            return cls(PeopleShare(share, math.nan, math.nan), held, missed, np.array([missed]))
        shares = attained_by_draws(people, crossed, constraint)
        return cls(
            PeopleShare(share, *share_interval(shares)),
            enough(shares, constraint)[draw],
            missed,
            np.array([constraint.violation(values, asked) for values in crossed.T]),
        )

    @classmethod
    def of_group(cls, constraint: Constraint, values: Floats) -> CountedPeople:
        """Of a probability of the whole group, which nobody has alone: of its posterior draws, (n_subjects,),
        in place of people."""
        held = constraint.holds(values)
        missed = constraint.violation(values, asked_share(constraint))
        return cls(PeopleShare(float(held.mean()), math.nan, math.nan), held, missed, np.array([missed]))

    def violation(self, confidence: float) -> float:
        """0 where enough people hold it at the estimates, and with that probability by the parameters."""
        if self.held.mean() >= confidence - 1e-12:
            return self.missed
        reached = np.sort(self.missed_by_draws)[math.ceil(confidence * self.missed_by_draws.size - 1e-9) - 1]
        return float(max(self.missed, reached, 1e-9))


def _worlds(values: Floats, median: float, draw: NDArray[np.int64]) -> tuple[Floats, tuple[float, float]]:
    """The medians of the draws, spread around the median of all, one to a subject, and their interval; nan
    where a draw has too few values.

    A draw has few subjects, whose median scatters by chance: the medians are drawn together as much as the
    interval of `compare.uncertainty` is.
    """
    numbers, place = np.unique(draw, return_inverse=True)
    if numbers.size == 1:  # nothing is uncertain
        return np.full(draw.size, median), (median, median)
    medians = np.array([_median(values[place == number]) for number in range(numbers.size)])
    low, high = uncertainty(values, draw)
    if math.isnan(low) or np.isnan(medians).any():
        return np.full(draw.size, np.nan), (math.nan, math.nan)
    if np.isfinite(medians).all():
        (raw,) = between(medians[None])
        left = (high - low) / (raw[1] - raw[0]) if raw[1] > raw[0] else 0.0
        medians = median + left * (medians - np.median(medians))
    return np.asarray(medians[place]), (low, high)


def _median(values: Floats) -> float:
    """Between the two in the middle where their number is even, the lower where the upper is infinite; nan
    without values."""
    low, high = quantiles(values, (0.5,))[0], -quantiles(-values, (0.5,))[0]
    return float((low + high) / 2 if math.isfinite(high) else low)


def check_draws(scene: Scene) -> None:
    """Raise InputError for too few subjects or draws to say anything of uncertainty."""
    if "uncertainty" not in scene.population.vary:
        return
    fewest = int(np.unique(scene.population.draw, return_counts=True)[1].min())
    if scene.draws < FEWEST_DRAWS or fewest < FEWEST_OF_A_DRAW:
        raise InputError(
            f"{scene.subjects} subjects of {scene.draws} draws are too few for the uncertainty of "
            f"the parameters: at least {FEWEST_DRAWS} draws with "
            f"{FEWEST_OF_A_DRAW} subjects each, so that {max(scene.draws, FEWEST_DRAWS)} draws need "
            f"{max(scene.draws, FEWEST_DRAWS) * FEWEST_OF_A_DRAW} subjects; or vary without "
            "uncertainty"
        )


def rough(scene: Scene) -> Scene:
    """A scene of a part of the subjects, which is quicker to search; small scenes as they are."""
    if scene.subjects <= ROUGH_SUBJECTS:
        return scene
    draw = scene.population.draw
    chosen = np.flatnonzero(draw < ROUGH_DRAWS)[:ROUGH_SUBJECTS]
    return dataclasses.replace(scene, population=scene.population.some(chosen))


class Census:
    """Counts in how many people constraints hold that say in how many they are to hold.

    crossed : whether some of these people are followed under every draw of the parameters, too.
    """

    def __init__(self, scene: Scene, constraints: Sequence[Constraint], *, crossed: bool) -> None:
        risks = {risk.endpoint for risk in scene.criteria.risks}
        self.of_group = [one for one in constraints if one.endpoint in risks]
        self.constraints = [one for one in constraints if one.endpoint not in risks]
        self.endpoints = [one.endpoint for one in self.constraints]
        chosen, self.place = np.unique(scene.population.draw, return_inverse=True)
        self.people: People | None = None
        if not self.constraints:
            return
        names = [endpoint.name for endpoint in self.endpoints]
        # as many as there are of the scene that this one may be a part of, so that they are the same
        draws = min(filter(None, (scene.who.get("draws"), scene.who.get("subjects"))), default=1)
        uncertain = crossed and chosen.size > 1
        people = People.of(scene, names, scene.subjects, draws=draws if uncertain else None)
        self.people = dataclasses.replace(
            people,
            scene=_alone(people.scene),
            crossed=None if people.crossed is None else _alone(_of_draws(people.crossed, chosen)),
        )

    def count(self, arm: Arm) -> dict[Constraint, CountedPeople]:
        """By constraint, under the schedule of an arm of the scene."""
        found = {one: CountedPeople.of_group(one, arm.endpoints[one.endpoint]) for one in self.of_group}
        if self.people is None:
            return found
        values = self.people.values(arm.plan, self.endpoints)
        crossed: Sequence[Floats | None] = [None] * len(values)
        if self.people.crossed is not None:
            crossed = list(self.people.values_crossed(arm.plan, self.endpoints))
        return found | {
            one: CountedPeople.of(one, theirs, draws, self.place)
            for one, theirs, draws in zip(self.constraints, values, crossed, strict=True)
        }


def _of_draws(scene: Scene, chosen: NDArray[np.int64]) -> Scene:
    """The subjects who have one of these draws."""
    kept = np.isin(scene.population.draw, chosen)
    return dataclasses.replace(scene, population=scene.population.some(kept))


def _alone(scene: Scene) -> Scene:
    """On one thread, with its course at rest, which is computed before threads ask for it."""
    alone = dataclasses.replace(scene, threads=1)
    alone.rest  # noqa: B018
    return alone


class Cache:
    """Outcomes of schedules in one scene, each simulated once, several at a time; as_taken : what is taken of
    each."""

    def __init__(
        self,
        scene: Scene,
        endpoints: Sequence[Endpoint],
        census: Census,
        threads: int,
        as_taken: Callable[[Schedule], GivenDoses] = lambda schedule: schedule,
    ) -> None:
        self.scene = _alone(scene)  # each schedule on one thread: many short ones keep all of them busy
        self.endpoints, self.census, self.threads = endpoints, census, threads
        self.as_taken = as_taken
        self.found: dict[str, Outcome] = {}
        self._lock = threading.Lock()

    def evaluate(self, schedules: Sequence[Schedule], done: Callable[[], None] | None = None) -> None:
        """Simulate those that are not there yet; what was finished before an exception stays. done : called
        after each."""
        new = {str(schedule): schedule for schedule in schedules}
        new = {text: schedule for text, schedule in new.items() if text not in self.found}
        if not new:
            return

        def run(text: str, schedule: Schedule) -> None:
            arm = self.scene.arm(self.as_taken(schedule))
            outcome = Outcome.of(arm, self.endpoints, self.census.count(arm))
            with self._lock:
                self.found[text] = outcome

        with ThreadPoolExecutor(min(self.threads, len(new))) as pool:
            futures = [pool.submit(run, text, schedule) for text, schedule in new.items()]
            try:
                for future in as_completed(futures):
                    future.result()
                    if done is not None:
                        done()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
