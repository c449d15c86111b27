"""One schedule in many subjects at once: their courses, endpoints, and what rules or people make of its
doses."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import ScheduleError
from pkpd.core.sketch import Sketch
from pkpd.decision.adaptive import Titration, shares, titrate
from pkpd.decision.comparison.arm import BANDS
from pkpd.decision.comparison.ground import dose_unit, of_one_drug
from pkpd.decision.endpoints import Endpoint, evaluate, grid, largest_daily, questions
from pkpd.dosing import time_units_per_day
from pkpd.dosing.rules import AdaptiveSchedule, Plan, planned
from pkpd.dosing.taking import TakenSchedule
from pkpd.solver import Options, Reading, Solution
from pkpd.solver.options import COMPARISON
from pkpd.solver.taken import solve_taken

if TYPE_CHECKING:
    from pkpd.decision.comparison.scene import Scene

Floats = NDArray[np.float64]

KEPT = 2000  # subjects whose courses are kept; those of more are counted
MOST_NUMBERS = 4_000_000  # of outputs in one chunk


class Simulation:
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
        self.unit = dose_unit(kernel, [part.route for part in self.schedule.parts])
        self.alike = kernel.DOSE_UNITS if self.unit is None else of_one_drug(kernel, self.unit)
        self.drawn = scene.drawn or scene.subjects
        self.risks = [risk for risk in self.criteria.risks if risk.output in kernel.OUTPUTS]
        # the largest daily doses that rules led to, by the unit in which a risk counts them
        self.daily = {
            risk.unit: np.full(scene.subjects, np.nan) for risk in self.risks if self.rules or self.taken
        }

        self.courses = Courses(len(self.kept), self.times.size, scene.subjects)
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


class Courses:
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
