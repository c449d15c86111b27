"""What a schedule does, as far as a front needs it: medians over subjects, and those medians over again under
each draw of the parameters."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.decision.comparison import Arm, Scene
from pkpd.decision.comparison.result import FEWEST_DRAWS, FEWEST_OF_A_DRAW, between, uncertainty
from pkpd.decision.endpoints import Endpoint, quantiles
from pkpd.decision.optimisation.wishes import Constraint, Goal
from pkpd.dosing import Schedule

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
    """

    schedule: Schedule
    medians: Mapping[Endpoint, float]
    worlds: Mapping[Endpoint, Floats]
    intervals: Mapping[Endpoint, tuple[float, float]]
    warnings: tuple[str, ...] = ()
    failed: int = 0

    @classmethod
    def of(cls, arm: Arm, endpoints: Sequence[Endpoint]) -> Outcome:
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
        return cls(arm.schedule, medians, worlds, intervals, arm.warnings, arm.failed)

    def objectives(self, objectives: Sequence[Goal]) -> Floats:
        """(n_objectives,) medians, less being better in each; the last digits, which are rounding, left out;
        1e9 where there is none."""
        values = [-objective.sign * self.medians[objective.endpoint] for objective in objectives]
        return np.array(
            [float(f"{min(max(value, -1e9), 1e9):.9g}") if value == value else 1e9 for value in values]
        )

    def violations(self, constraints: Sequence[Constraint], confidence: float) -> Floats:
        """(n_constraints,), 0 where the median holds a constraint and does so with that probability, else by
        which share of its bound it is missed."""
        return np.array(
            [
                max(
                    constraint.violation(np.array([self.medians[constraint.endpoint]]), 1.0),
                    constraint.violation(self.worlds[constraint.endpoint], confidence),
                )
                for constraint in constraints
            ],
            dtype=np.float64,
        )


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
    population = dataclasses.replace(
        scene.population, values=scene.population.values[chosen], draw=draw[chosen]
    )
    return dataclasses.replace(scene, population=population)


class Cache:
    """Outcomes of schedules in one scene, each simulated once, several at a time."""

    def __init__(self, scene: Scene, endpoints: Sequence[Endpoint], threads: int) -> None:
        # each schedule on one thread: many short ones keep all of them busy
        self.scene = dataclasses.replace(scene, threads=1)
        self.endpoints, self.threads = endpoints, threads
        self.found: dict[str, Outcome] = {}
        self._lock = threading.Lock()
        self.scene.rest  # noqa: B018  (computed once, before threads ask for it)

    def evaluate(self, schedules: Sequence[Schedule], done: Callable[[], None] | None = None) -> None:
        """Simulate those that are not there yet; what was finished before an exception stays. done : called
        after each."""
        new = {str(schedule): schedule for schedule in schedules}
        new = {text: schedule for text, schedule in new.items() if text not in self.found}
        if not new:
            return

        def run(text: str, schedule: Schedule) -> None:
            outcome = Outcome.of(self.scene.arm(schedule), self.endpoints)
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
