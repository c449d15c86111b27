"""Data rows + a model -> residuals and their exact Jacobian, at any point of what is estimated.

A point is a vector of coordinates: model parameters on their log, logit or natural scale, study effects,
between-subject SDs and measurement noise. Every arm is a population of quasi-random subjects, the same at
every point.

An objective is a function of the point alone: nothing that one evaluation finds changes another, in any order
and from any thread. What an evaluation can hand on to the next stands in the ``Evaluation``, which is the
caller's.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pkpd.core import units
from pkpd.core.errors import DataError, InputError, PkpdError
from pkpd.inference.arm_sensitivities import ArmSensitivities, NumberPlace, is_quicker
from pkpd.inference.coordinates import (
    Coordinate,
    System,
    between_at,
    check_ranges,
    coordinates,
    from_scale,
    slope_of,
    to_scale,
    typical_at,
)
from pkpd.inference.spec import Correlation, FitOptions, ModelSpec, declared_pairs
from pkpd.inference.summary import likelihood, samples
from pkpd.inference.summary.arms import Look, Placement, plan
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.rows import Override, Row, Stratum
from pkpd.inference.summary.sampling import Sampling, Seen, are_told_of, sampling_of, without_trials
from pkpd.inference.summary.terms import Measured, Term
from pkpd.inference.summary.trials import printed_by_trials
from pkpd.inference.truncated import ends_of, into_stratum
from pkpd.model.correlation import correlation_matrix
from pkpd.ode import control, layout
from pkpd.simulation.profile import correlated

Array = NDArray[np.float64]


Found = TypeVar("Found")
Solve = Callable[..., Any]
"""``pkpd.solve`` or anything with its signature."""

SAMPLING_SUBJECTS = 512
"""At least so many in an arm from which trials are simulated."""
PROBES = 4
"""Subjects, each at a point of its own, in which it is looked up which parameters move which outputs of an
arm."""


@dataclass(frozen=True)
class Moves:
    """What moves an arm: the parameters (indices) that move each output, whether a dose at time 0 jumps one,
    and whether it is stiff."""

    outputs: Mapping[int, frozenset[int]]
    jumps: bool
    stiff: bool

    def joined(self, other: Moves | None) -> Moves:
        """What moves it at the points of either."""
        if other is None:
            return self
        outputs = {o: moving | other.outputs.get(o, frozenset()) for o, moving in self.outputs.items()}
        return Moves(outputs, self.jumps or other.jumps, self.stiff or other.stiff)


Reach = Mapping[tuple[Any, ...], Moves]
"""By arm's key."""


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.lru_cache(maxsize=64)
def quasi_normals(count: int, dimensions: int, seed: int) -> Array:
    """(count, dimensions) balanced standard normal points: scrambled Sobol, mean 0 and (if count allows)
    covariance I. They are kept, and not to be changed.

    Owen 1998, J Complexity 14:466 (scrambling); whitening makes the first two moments of a linear model
    exact.
    """
    points = _quasi_normals(count, dimensions, seed)
    points.setflags(write=False)
    return points


def _quasi_normals(count: int, dimensions: int, seed: int) -> Array:
    if dimensions == 0:
        return np.zeros((count, 0))
    if count == 1:
        return np.zeros((1, dimensions))
    from scipy.special import ndtri
    from scipy.stats import qmc

    power = max(1, math.ceil(math.log2(count)))
    points = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)[:count]
    z = ndtri(np.clip(points, 1e-6, 1 - 1e-6))
    z -= z.mean(axis=0)
    if count > dimensions + 1:
        covariance = z.T @ z / count
        z = z @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    return np.asarray(z / np.sqrt((z**2).mean(axis=0)), dtype=np.float64)


@dataclass(frozen=True)
class Evaluation:
    """Residuals of the data at a point: ``residuals`` (n_residuals,), ``jacobian`` (n_residuals,
    n_coordinates) or None, the rows' terms, and the predictions' derivatives ``predicted_jacobian`` (n_rows,
    n_coordinates). ``arms`` are the simulations that they come from and ``derived`` their derivatives (empty
    if they are not known), for ``Objective.with_jacobian`` and ``Objective.anew``."""

    residuals: Array
    jacobian: Array | None
    terms: tuple[Term, ...]
    predicted_jacobian: Array | None
    arms: tuple[_Simulated, ...] = field(default=(), repr=False)
    log_det: float = 0.0
    """of the correlation of residuals, which belongs to -2 log likelihood"""
    derived: tuple[_Derived, ...] = field(default=(), repr=False)

    def contributions(self) -> list[float]:
        """What each row adds to the sum of squares: of rows that share patients, beyond those before it."""
        ends = np.cumsum([term.residuals.size for term in self.terms])
        return [float(part @ part) for part in np.split(self.residuals, ends[:-1])] if self.terms else []


class BadPoint(Exception):
    """A simulation failed at this point; the text says which arm and why."""


@dataclass(frozen=True)
class _Item:
    """One derivative of an arm's subject parameters: coordinate, place in the arm's directions, and how."""

    coordinate: int
    place: int


def readings_of(looks: Sequence[Look], before: Array | None, columns: Mapping[str, int]) -> list[Any]:
    """Looks as readings of a solve; before : (K, n_outputs), outputs at time 0, where a look is from
    there."""
    from pkpd.solver import Reading

    return [
        Reading(
            look.kind,
            look.output,
            look.start,
            look.stop,
            before[:, columns[look.output]] if look.from_baseline and before is not None else None,
        )
        for look in looks
    ]


def with_looks(
    outputs: Array, s: Array, looks: Sequence[Look], read: Any, columns: Mapping[str, int]
) -> tuple[Array, Array]:
    """Outputs (K, T, n_outputs) and sensitivities (..., D) with what was read behind the times: two lines to
    a look, its value and its time, in its output's column."""
    patients, _, n_outputs = outputs.shape
    more, more_s = (
        np.zeros((patients, 2 * len(looks), n_outputs)),
        np.zeros((patients, 2 * len(looks), n_outputs, s.shape[-1])),
    )
    for r, look in enumerate(looks):
        o = columns[look.output]
        more[:, 2 * r, o] = read.values[:, r]
        more[:, 2 * r + 1, o] = np.where(
            np.isnan(read.times[:, r]) & np.isfinite(read.values[:, r]), 0.0, read.times[:, r]
        )
        if s.shape[-1]:
            more_s[:, 2 * r, o] = read.sensitivities[:, r]
            if look.kind in ("max", "min"):
                more_s[:, 2 * r + 1, o] = read.time_sensitivities[:, r]
    return np.concatenate([outputs, more], axis=1), np.concatenate([s, more_s], axis=1)


@dataclass(frozen=True)
class _Simulated:
    """An arm at a point: outputs (K, T, n_outputs) at its times and, behind these, what was read
    (``with_looks``); outputs before any drug at time 0 (K, n_outputs)."""

    subjects: Array
    derivatives: Array
    outputs: Array
    before: Array


@dataclass(frozen=True)
class _Derived:
    """Derivatives of an arm's outputs by its directions: (K, T, n_outputs, D), before any drug (K, n_outputs,
    D)."""

    items: tuple[_Item, ...]
    derivatives: Array
    outputs: Array
    before: Array


class Objective:
    """Residuals and Jacobian of data rows by the coordinates of a model.

    ``rows`` are in model units. ``solve`` has the signature of ``pkpd.solve``; passing another one
    exchanges the solver. Calls are counted in ``simulations`` (subjects) and ``bad`` (points that failed,
    with the first reasons in ``reasons``); nothing else that is seen changes after it is made: the solvers
    that arms are bound to when first simulated are not. ``events`` are dose tables by schedule that are known
    already, ``reach`` is that of another objective of the same model and coordinates; without one it is
    looked up at fixed points around the start (``PROBES``). ``sampling`` scores and correlates residuals
    (``sampling_at``), with the ``correlations`` that are declared; without one they have the errors of their
    columns, and only these correlations (``errors``)."""

    def __init__(
        self,
        system: System,
        spec: ModelSpec,
        rows: Sequence[Row],
        *,
        options: FitOptions,
        relative_error: float = 0.3,
        row_errors: Mapping[str, float] | None = None,
        mean_only: Sequence[str] = (),
        correlations: Sequence[Correlation] = (),
        solve: Solve | None = None,
        threads: int | None = None,
        estimated: tuple[Coordinate, ...] | None = None,
        reach: Reach | None = None,
        events: Mapping[str, Any] | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        from pkpd.solver import solve as own_solve

        solve = own_solve if solve is None else solve
        self._binds = solve is own_solve
        self.system, self.spec, self.options = system, spec, options
        self.rows = tuple(rows)
        check_ranges(self.rows, system, spec)
        self.relative_error, self.row_errors = relative_error, dict(row_errors or {})
        self.mean_only = frozenset(mean_only)
        self.correlations = tuple(correlations)
        self._solve, self._threads = solve, threads or _usable_cores()
        self.coordinates = coordinates(system, spec, rows) if estimated is None else estimated
        self.measured = tuple(
            likelihood.measured(
                row, self.row_errors.get(row.id, relative_error), spread=row.id not in self.mean_only
            )
            for row in self.rows
        )
        self.sampling = sampling
        self._events = dict(events or {})
        self.plan = plan(self.rows)
        for row, place in zip(self.rows, self.plan.placements, strict=True):
            for view in place.views:
                if view.schedule not in self._events:
                    self._events[view.schedule] = self._event_table(row, view.schedule)
        self._output_index = {name: i for i, name in enumerate(system.output_units)}
        self.bad = 0
        self.simulations = 0
        self.reasons: list[str] = []
        self._counting = threading.Lock()
        self._solvers: dict[tuple[Any, ...], Solve] = {}
        self._given_reach = reach
        self._set_up_population()
        self._set_up_arms()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_counting", "_solvers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._counting = threading.Lock()
        self._solvers = {}

    def on_threads(self, count: int | None) -> Objective:
        """The same objective, arms simulated on so many threads (None: all cores), that counts from 0."""
        view = copy.copy(self)
        view._threads, view._solvers = count or _usable_cores(), self._solvers
        view.simulations, view.bad, view.reasons = 0, 0, []
        return view

    def restricted(self, keep: Callable[[Row], bool]) -> Objective:
        """The same objective (same coordinates) for fewer rows."""
        rows = [row for row in self.rows if keep(row)]
        sampling = None if self.sampling is None else self.sampling.kept([row.id for row in rows])
        return self._changed(rows=rows, sampling=sampling)

    def with_subjects(self, count: int) -> Objective:
        """The same objective with another number of subjects in each arm."""
        return self._changed(options=dataclasses.replace(self.options, subjects=count))

    def with_coordinates(self, estimated: tuple[Coordinate, ...]) -> Objective:
        """The same objective by fewer coordinates; what is left out stays at the model's value."""
        return self._changed(estimated=estimated)

    def _changed(
        self,
        *,
        rows: Sequence[Row] | None = None,
        options: FitOptions | None = None,
        estimated: tuple[Coordinate, ...] | None = None,
        reach: Reach | None = None,
        sampling: Sampling | Literal["same"] | None = "same",
    ) -> Objective:
        return Objective(
            self.system,
            self.spec,
            self.rows if rows is None else rows,
            options=options or self.options,
            relative_error=self.relative_error,
            row_errors=self.row_errors,
            mean_only=tuple(self.mean_only),
            correlations=self.correlations,
            solve=self._solve,
            threads=self._threads,
            estimated=self.coordinates if estimated is None else estimated,
            reach=self.reach if reach is None else reach,
            events=self._events,
            sampling=self.sampling if sampling == "same" else sampling,
        )

    @cached_property
    def errors(self) -> Sampling | None:
        """How residuals are scored and correlated; None: they are as they are, and independent."""
        if self.sampling is not None or not self.correlations:
            return self.sampling
        return without_trials(self.measured, declared_pairs(self.correlations))

    def with_sampling(self, sampling: Sampling | None) -> Objective:
        """The same objective with residuals scored and correlated in this way."""
        return self._changed(sampling=sampling)

    def sampling_at(self, x: Array) -> Sampling:
        """How trials simulated at a point score and correlate the residuals of the rows; ``BadPoint`` where
        it cannot be simulated."""
        at, declared = [float(value) for value in x], declared_pairs(self.correlations)
        told = {
            row.id
            for row, place in zip(self.rows, self.plan.placements, strict=True)
            if are_told_of(row, _patients(row, place))
        }
        seen = iter(self.restricted(lambda row: row.id in told)._seen_at(x))
        nothing: tuple[Term | None, list[Seen]] = None, []  # the arms of these rows need no patients
        rows = [next(seen) if m.row.id in told else (m, *nothing) for m in self.measured]
        return sampling_of(rows, at, self.options.seed, declared)

    def printed_at(self, x: Array, seed: Sequence[int]) -> tuple[Row, ...]:
        """The rows as trials simulated at a point would have printed them; ``BadPoint`` where it cannot be
        simulated."""
        return printed_by_trials(self._seen_at(x), seed, declared_pairs(self.correlations))

    def with_rows(self, rows: Sequence[Row]) -> Objective:
        """The same objective for other numbers, of other doses perhaps, in the same rows."""
        changed = self._changed(rows=rows)
        new = [a for a, arm in enumerate(changed.plan.arms) if arm.key not in self.reach]
        if not new:
            return changed
        points = self._probe_points()
        found = {changed.plan.arms[a].key: changed._reach_of_arm(a, points) for a in new}
        return self._changed(rows=rows, reach={**self.reach, **found})

    def _seen_at(self, x: Array) -> list[tuple[Measured, Term, list[Seen]]]:
        """What the rows see in many patients of their arms."""
        count = max(self.options.subjects, SAMPLING_SUBJECTS) if self._between else 1  # all are alike
        wide = self._changed(options=dataclasses.replace(self.options, subjects=count), sampling=None)
        return wide._counted(lambda: wide._seen(x))

    def _seen(self, x: Array) -> list[tuple[Measured, Term, list[Seen]]]:
        arms = tuple(self._spread(lambda a: self._simulate(x, a)))
        found = self._residuals(x, arms)
        noises = self.noises(x)
        rows = []
        for row, measured, term, place in zip(
            self.rows, self.measured, found.terms, self.plan.placements, strict=True
        ):
            seen = [
                Seen(
                    arms[a].outputs[:, at, self._output_index[view.output]],
                    None if row.measure == "value" else arms[a].before[:, self._output_index[view.output]],
                    noises.get(view.output, samples.Noise()),
                    (row.study, view.arm, view.schedule, row.overrides),
                    view.output,
                    n or 0,
                )
                for view, a, at, n in zip(
                    place.views, place.arms, place.indices, _patients(row, place), strict=True
                )
            ]
            rows.append((measured, term, seen))
        return rows

    def _event_table(self, row: Row, text: str) -> Any:
        from pkpd.dosing import Schedule

        s = self.system
        try:
            return Schedule.parse(text).events(s.time_unit, s.routes, s.dose_units, s.sizes)
        except InputError as error:
            raise DataError(f'line {row.line} (row "{row.id}"), column "schedule": {error}') from None

    def _set_up_population(self) -> None:
        between = {
            i: float(p.between.arguments[0])
            for i, p in enumerate(self.system.parameters)
            if p.between is not None
        }
        for coordinate in self.coordinates:
            if coordinate.kind == "between-subject SD":
                between[coordinate.index] = math.exp(coordinate.start)
        self._between = dict(sorted(between.items()))
        self._low = np.array([float(p.lower) for p in self.system.parameters])
        self._high = np.array([float(p.upper) for p in self.system.parameters])
        z = quasi_normals(self.options.subjects, len(between), self.options.seed)
        names = [self.system.parameters[index].name for index in self._between]
        self._z = correlated(names, self.system.correlations, z)
        self._together = correlation_matrix(names, self.system.correlations)

    def _set_up_arms(self) -> None:
        self._arm_items: list[tuple[_Item, ...]] = []
        self._candidates: list[tuple[int, ...]] = []
        self._arm_events: list[Any] = []
        self._apart: list[bool] = []
        self._from_baseline: list[bool] = []
        self._outputs_of: list[NDArray[np.intp]] = []
        self._same = [self.system.same_in_arm(arm.overrides) for arm in self.plan.arms]
        relative = {
            a
            for row, place in zip(self.rows, self.plan.placements, strict=True)
            if row.measure != "value"
            for a in place.arms
        }
        used: list[set[int]] = [set() for _ in self.plan.arms]
        numbers: list[set[NumberPlace]] = [set() for _ in self.plan.arms]
        for row, place in zip(self.rows, self.plan.placements, strict=True):
            for view, a, at in zip(place.views, place.arms, place.indices, strict=True):
                o = self._output_index[view.output]
                used[a].add(o)
                # behind the times a look has two lines, of which the second is when an extreme is
                lines = at.tolist() if row.reducer == "tmax" or not row.is_window else at.tolist()[:1]
                numbers[a] |= {(line, o) for line in lines}
                if row.measure != "value":
                    numbers[a].add((0, o))
        self._numbers = [
            ArmSensitivities(arm.times, arm.looks, sorted(mine), len(self._output_index))
            for arm, mine in zip(self.plan.arms, numbers, strict=True)
        ]
        for a, arm in enumerate(self.plan.arms):
            fixed = {item.name for item in arm.overrides if isinstance(item, Override)}
            members = [
                (c, coordinate.index)
                for c, coordinate in enumerate(self.coordinates)
                if coordinate.index >= 0
                and coordinate.study in ("", arm.study)
                and (coordinate.kind == "between-subject SD" or coordinate.target not in fixed)
            ]
            directions = tuple(sorted({index for _, index in members}))
            self._candidates.append(directions)
            self._arm_items.append(tuple(_Item(c, directions.index(index)) for c, index in members))
            events = self._events[arm.schedule]
            if arm.dose_factor != 1:
                events = dataclasses.replace(events, amount=events.amount * arm.dose_factor)
            self._arm_events.append(events)
            self._outputs_of.append(np.array(sorted(used[a])))
            self._from_baseline.append(any(look.from_baseline for look in arm.looks))
            # a bolus at time 0 may jump an output: the baseline then has to come from a run without drug
            self._apart.append(a in relative and bool(len(events)) and bool(np.any(events.time <= 0)))

    # -- which parameters move which outputs

    @cached_property
    def reach(self) -> Reach:
        """Which parameters move which outputs of which arm, wherever the parameters are.

        Found in ``PROBES`` subjects, each at a point of its own around the start, so that a parameter is not
        taken to be idle because another one happens to be 0 or at a limit there. An arm that cannot be
        simulated at any of them leaves nothing out.
        """
        if self._given_reach is not None:
            return self._given_reach
        return self._reach_at(self._probe_points())

    def widened(self, x: Array) -> Objective:
        """This objective, or where parameters that were idle around the start move something at ``x``, one
        that knows them."""
        found = self._reach_at([x] * PROBES)
        wider = {key: moves.joined(found.get(key)) for key, moves in self.reach.items()}
        return self if wider == self.reach else self._changed(reach=wider)

    def _probe_points(self) -> list[Array]:
        generator = np.random.Generator(np.random.Philox(0))
        low, high = self.bounds
        size = np.array([c.size or 1.0 for c in self.coordinates])
        drawn = generator.uniform(-1.0, 1.0, (PROBES, size.size))
        return [np.clip(self.start + size * line, low, high) for line in drawn]

    def _reach_at(self, points: Sequence[Array]) -> Reach:
        found = self._spread(lambda a: self._reach_of_arm(a, points))
        self._solvers.clear()  # of single subjects, who are not simulated again
        return {arm.key: moving for arm, moving in zip(self.plan.arms, found, strict=True)}

    def _reach_of_arm(self, a: int, points: Sequence[Array]) -> Moves:
        directions, rtol = self._candidates[a], self.options.rtol_sensitivities
        used = [int(o) for o in self._outputs_of[a]]
        moving, jumps, stiff, tried = np.zeros((len(used), len(directions)), dtype=bool), False, False, 0
        for k, x in enumerate(points):
            subject = self._subjects(x, a)[0][[k % self.options.subjects]]
            try:
                start = None
                if self._from_baseline[a]:
                    start = self._run(a, subject, None, np.zeros(1), rtol, ())[0][:, 0]
                times = self.plan.arms[a].times
                y, s, was_stiff = self._run(a, subject, self._arm_events[a], times, rtol, directions, start)
                if self._apart[a]:
                    before, s_before, _ = self._run(a, subject, None, np.zeros(1), rtol, directions)
                    jumps |= not np.allclose(before[:, 0, used], y[:, 0, used], rtol=1e-9, atol=0)
                    s = np.concatenate([s, s_before], axis=1)
            except BadPoint:
                continue
            tried += 1
            stiff |= was_stiff
            moving |= np.any(s[0][:, used] != 0, axis=0)
        if not tried:
            moving[:], jumps = True, self._apart[a]
        outputs = {
            o: frozenset(index for index, moves in zip(directions, line, strict=True) if moves)
            for o, line in zip(used, moving, strict=True)
        }
        return Moves(outputs, jumps, stiff)

    @cached_property
    def _directions(self) -> list[tuple[int, ...]]:
        """What each arm is differentiated by: what moves the outputs that its rows look at."""
        return [
            tuple(
                sorted(frozenset().union(*(self.reach[arm.key].outputs[int(o)] for o in self._outputs_of[a])))
            )
            for a, arm in enumerate(self.plan.arms)
        ]

    # -- the population at a point

    def _subjects(self, x: Array, a: int) -> tuple[Array, Array]:
        """Subjects' parameters (K, n_params) of an arm, and their derivatives (n_items, K) by the arm's
        items."""
        arm = self.plan.arms[a]
        on_scale: dict[int, tuple[str, float]] = {}
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "parameter":
                on_scale[coordinate.index] = (coordinate.scale, float(x[c]))
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "study effect" and coordinate.study == arm.study:
                value = self.system.parameters[coordinate.index].value
                scale, base = on_scale.get(coordinate.index) or (
                    coordinate.scale,
                    to_scale(coordinate.scale, value),
                )
                on_scale[coordinate.index] = (scale, base + float(x[c]))
        values = np.array([float(p.value) for p in self.system.parameters])
        slopes = np.zeros(values.size)
        for index, (scale, position) in on_scale.items():
            values[index], slopes[index] = from_scale(scale, position), slope_of(scale, position)
        for override in arm.overrides:
            if isinstance(override, Override):
                values[self.system.index(override.name, "set")] = override.value
        deviations = self._deviations(x)
        places = {index: place for place, index in enumerate(deviations)}
        subjects = np.tile(values, (self.options.subjects, 1))
        z, by_median, ends_move = self._z, np.ones_like(subjects), np.zeros_like(self._z)
        for setting in arm.overrides:
            if isinstance(setting, Stratum):
                index = self.system.index(setting.name, "set")
                ends = ends_of(setting.lower, setting.upper, values[index], deviations[index])
                z, slopes_of_ends = into_stratum(z, places[index], ends, self._together[places[index]])
                for end, slope in zip(ends, slopes_of_ends, strict=True):
                    by_median[:, index] -= slope
                    ends_move[:, places[index]] += end * slope if math.isfinite(end) else 0.0
        growth = np.ones_like(subjects)
        for place, (index, sd) in enumerate(deviations.items()):
            growth[:, index] = np.exp(sd * z[:, place])
        growth[:, self._same[a]] = 1.0
        subjects *= growth
        inside = (subjects >= self._low) & (subjects <= self._high)
        subjects = np.clip(subjects, self._low, self._high)  # as everywhere where subjects are drawn
        derivatives = np.empty((len(self._arm_items[a]), self.options.subjects))
        for i, item in enumerate(self._arm_items[a]):
            coordinate = self.coordinates[item.coordinate]
            index = coordinate.index
            if coordinate.kind == "between-subject SD":
                by_sd = z[:, places[index]] - ends_move[:, places[index]]
                derivatives[i] = subjects[:, index] * by_sd * deviations[index]
            else:
                derivatives[i] = slopes[index] * growth[:, index] * by_median[:, index]
            derivatives[i] *= inside[:, index]
        return subjects, derivatives

    def _deviations(self, x: Array) -> dict[int, float]:
        """Between-subject SDs by parameter index, in the order of the columns of z."""
        found = dict(self._between)
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "between-subject SD":
                found[coordinate.index] = math.exp(float(x[c]))
        return found

    def noises(self, x: Array) -> dict[str, samples.Noise]:
        """Measurement error by output at a point."""
        found = {name: [item.proportional, item.additive] for name, item in self.spec.noise.items()}
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "proportional error":
                found[coordinate.target][0] = math.exp(float(x[c]))
            elif coordinate.kind == "additive error":
                found[coordinate.target][1] = math.exp(float(x[c]))
        days = units.factor("d", self.system.time_unit)
        return {
            name: dataclasses.replace(
                samples.Noise(*pair),
                correlation=self.spec.noise[name].correlation,
                per=self.spec.noise[name].per_d * days,
            )
            for name, pair in found.items()
        }

    def values(self, x: Array, study: str = "") -> dict[str, float]:
        """Typical parameters by name at a point, of one study or without study effects."""
        known = {p.name: float(p.value) for p in self.system.parameters}
        return typical_at(self.coordinates, x, known, study)

    def between(self, x: Array) -> dict[str, float]:
        """Between-subject log-SDs by parameter name at a point."""
        known = {self.system.parameters[index].name: sd for index, sd in self._between.items()}
        return between_at(self.coordinates, x, known)

    # -- residuals

    def _jumps(self, a: int) -> bool:
        """Whether the baseline has to come from a run without drug."""
        return self._apart[a] and self.reach[self.plan.arms[a].key].jumps

    def _method(self, a: int, rtol: float) -> str:
        """Where the arm proved stiff in a probe, the stiff method from the first step on: subjects who are
        integrated side by side then do not wait for each other's switches."""
        return control.partners("auto", rtol)[1] if self.reach[self.plan.arms[a].key].stiff else "auto"

    def _simulate(self, x: Array, a: int) -> _Simulated:
        subjects, derivatives = self._subjects(x, a)
        rtol, times = self.options.rtol, self.plan.arms[a].times
        before = None
        if self._jumps(a) or self._from_baseline[a]:
            before = self._run(a, subjects, None, np.zeros(1), rtol, ())[0][:, 0]
        method = self._method(a, rtol)
        outputs = self._run(a, subjects, self._arm_events[a], times, rtol, (), before, method)[0]
        if before is None:
            before = outputs[:, 0]
        return _Simulated(subjects, derivatives, outputs, before)

    def _derive(self, at: _Simulated, a: int) -> _Derived:
        """Sensitivities of an arm by those parameters that move its rows."""
        directions, rtol = self._directions[a], self.options.rtol_sensitivities
        items = [item for item in self._arm_items[a] if self.coordinates[item.coordinate].index in directions]
        places = {index: place for place, index in enumerate(directions)}
        rows = [self._arm_items[a].index(item) for item in items]
        times = self.plan.arms[a].times
        method = self._method(a, rtol)
        s = self._taken_back(at, a, method)
        if s is None:
            s = self._run(a, at.subjects, self._arm_events[a], times, rtol, directions, at.before, method)[1]
        before = s[:, 0]
        if self._jumps(a) or self._from_baseline[a]:
            before = self._run(a, at.subjects, None, np.zeros(1), rtol, directions)[1][:, 0]
        return _Derived(
            tuple(_Item(item.coordinate, places[self.coordinates[item.coordinate].index]) for item in items),
            at.derivatives[rows],
            s,
            before,
        )

    def _taken_back(self, at: _Simulated, a: int, method: str) -> Array | None:
        """Sensitivities of what rows look at in an arm, nought elsewhere; None where forward is quicker, or
        the only way."""
        numbers, directions = self._numbers[a], list(self._directions[a])
        quicker = len(self._arm_events[a]) and is_quicker(len(at.subjects), len(directions), numbers.moving)
        if not (quicker and self._binds and numbers.are_readable):
            return None
        from pkpd.solver import Options

        options = Options(rtol=self.options.rtol_sensitivities, method=method, threads=1)
        found = numbers.taken_back(self.system.kernel, at.subjects, self._arm_events[a], at.outputs, options)
        if found is None:
            return None
        with self._counting:
            self.simulations += len(at.subjects)
        s = np.zeros((*at.outputs.shape, len(directions)))
        for f, (line, o) in enumerate(numbers.numbers):
            s[:, line, o] = found[:, f, directions]
        return s

    def _spread(self, work: Callable[[int], Any]) -> list[Any]:
        """``work(a)`` for every arm, on threads (the solver holds no lock); long arms are begun first."""
        order = sorted(range(len(self.plan.arms)), key=lambda a: -float(self.plan.arms[a].times[-1]))
        if self._threads == 1 or len(order) < 2:
            done = {a: work(a) for a in order}
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                futures = {a: pool.submit(work, a) for a in order}
                try:
                    done = {a: future.result() for a, future in futures.items()}
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
        return [done[a] for a in range(len(order))]

    def _run(
        self,
        a: int,
        subjects: Array,
        events: Any,
        times: Array,
        rtol: float,
        directions: tuple[int, ...],
        before: Array | None = None,
        method: str = "auto",
    ) -> tuple[Array, Array, bool]:
        """Outputs and sensitivities (of no direction: empty) of an arm's subjects, and whether a stiff method
        took part; ``events`` None: no drug, and nothing is read."""
        looks = () if events is None else self.plan.arms[a].looks
        label = self.plan.arms[a].label
        if not np.all(np.isfinite(subjects)):
            raise BadPoint(f"{label}: a parameter is not finite")
        with self._counting:
            self.simulations += subjects.shape[0]
        try:
            solution = self._solver(a, events, times, rtol, directions, before, method)(subjects)
        except InputError:
            raise
        except (PkpdError, ArithmeticError) as error:
            raise BadPoint(f"{label}: {str(error).splitlines()[0]}") from None
        failed = np.flatnonzero(np.asarray(solution.status))
        if failed.size:
            count = f"({failed.size} of {len(subjects)} subjects)"
            raise BadPoint(f"{label}: {solution.failure(int(failed[0]))} {count}")
        outputs = np.asarray(solution.outputs)
        s = np.asarray(solution.sensitivities) if directions else np.zeros((*outputs.shape, 0))
        if looks:
            outputs, s = with_looks(outputs, s, looks, solution.readings, self._output_index)
        if not np.all(np.isfinite(outputs)) or not np.all(np.isfinite(s)):
            raise BadPoint(f"{label}: an output is not finite")
        return outputs, s, bool(np.any(solution.method_used != layout.EXPLICIT_ONLY))

    def _solver(
        self,
        a: int,
        events: Any,
        times: Array,
        rtol: float,
        directions: tuple[int, ...],
        before: Array | None,
        method: str,
    ) -> Solve:
        """What simulates subjects, arguments as in ``_run``: bound once and kept, unless levels of what is
        read are the subjects' own."""
        from pkpd.dosing import EventTable
        from pkpd.solver import Options, Solver

        key = a, events is None, times.size, rtol, directions, method
        if known := self._solvers.get(key):
            return known
        kernel, options = self.system.kernel, Options(rtol=rtol, method=method, threads=1)
        how: dict[str, Any] = {"options": options, "directions": directions}
        looks = () if events is None else self.plan.arms[a].looks
        if looks:
            how["readings"] = readings_of(looks, before, self._output_index)
        given = EventTable.empty() if events is None else events
        if not self._binds or any(look.from_baseline for look in looks):
            return lambda subjects: self._solve(kernel, subjects, given, times, **how)
        return self._solvers.setdefault(key, Solver(kernel, given, times, **how))

    def evaluate(self, x: Array, *, jacobian: bool = False) -> Evaluation:
        """Residuals (and Jacobian) of the data at a point; raises ``BadPoint``, counted, where a simulation
        fails."""

        def residuals() -> Evaluation:
            return self._residuals(x, tuple(self._spread(lambda a: self._simulate(x, a))))

        found = self._counted(residuals)
        return self.with_jacobian(x, found) if jacobian else found

    def with_jacobian(self, x: Array, evaluation: Evaluation) -> Evaluation:
        """An evaluation at this ``x`` with its Jacobian, bit for bit as ``evaluate(x, jacobian=True)`` gives
        it."""
        if evaluation.jacobian is not None:
            return evaluation
        if len(evaluation.arms) != len(self.plan.arms):
            return self.evaluate(x, jacobian=True)
        return self._counted(lambda: self._with_jacobian(x, evaluation))

    def anew(self, x: Array, evaluation: Evaluation) -> Evaluation | None:
        """What ``evaluate(x, jacobian=True)`` gives, bit for bit, from an evaluation at this ``x`` of the
        same rows scored in another way; None where its simulations are not known."""
        if not len(evaluation.arms) == len(evaluation.derived) == len(self.plan.arms):
            return None
        derived = evaluation.derived
        return self._counted(lambda: self._with_jacobian(x, self._residuals(x, evaluation.arms), derived))

    def _counted(self, work: Callable[[], Found]) -> Found:
        try:
            with np.errstate(all="ignore"):
                return work()
        except BadPoint as reason:
            with self._counting:
                self.bad += 1
                if len(self.reasons) < 50:
                    self.reasons.append(str(reason))
            raise

    def samples_at(self, x: Array, arms: Sequence[_Simulated]) -> list[list[samples.Samples]]:
        """What every row looks at, in the subjects of each of its arms."""
        noises = self.noises(x)
        found = []
        for row, place in zip(self.rows, self.plan.placements, strict=True):
            parts = []
            for view, a, at in zip(place.views, place.arms, place.indices, strict=True):
                o, noise = self._output_index[view.output], noises.get(view.output, samples.Noise())
                baseline = None if row.measure == "value" else arms[a].before[:, o]
                parts.append(samples.sample(row, arms[a].outputs[:, at, o], baseline, noise))
            found.append(parts)
        return found

    def _residuals(self, x: Array, arms: tuple[_Simulated, ...]) -> Evaluation:
        terms: list[Term] = []
        for row, measured, parts in zip(self.rows, self.measured, self.samples_at(x, arms), strict=True):
            term = likelihood.evaluate(
                measured, np.stack([p.s for p in parts]), np.stack([p.v for p in parts])
            )
            if self.sampling is not None:
                term = self.sampling.scored(len(terms), term)
            if not np.all(np.isfinite(term.residuals)):
                raise BadPoint(f'row "{row.id}": its prediction is not finite')
            terms.append(term)
        residuals = np.concatenate([term.residuals for term in terms]) if terms else np.zeros(0)
        return Evaluation(self.whitened(residuals), None, tuple(terms), None, arms, self.log_det)

    def whitened(self, residuals: Array) -> Array:
        """Residuals (M,) or their derivatives (M, n) without the correlation between rows."""
        return residuals if self.errors is None else self.errors.whitened(residuals)

    def coloured(self, residuals: Array) -> Array:
        """The way back."""
        return residuals if self.errors is None else self.errors.coloured(residuals)

    @property
    def log_det(self) -> float:
        """Of the correlation of residuals."""
        return 0.0 if self.errors is None else self.errors.constant

    def smooth(self, x: Array) -> tuple[Array, Array]:
        """Numbers (q,) of which residuals are a function (``squares_of``), smoother than they are, and their
        derivatives (q, n_coordinates); ``BadPoint`` as ``evaluate``."""

        def found() -> tuple[Array, Array]:
            arms = tuple(self._spread(lambda a: self._simulate(x, a)))
            looked = self.samples_at(x, arms)
            terms = [
                KINDS[row.statistic].smooth(m, np.stack([p.s for p in parts]), np.stack([p.v for p in parts]))
                for row, m, parts in zip(self.rows, self.measured, looked, strict=True)
            ]
            derived = self._spread(lambda a: self._derive(arms[a], a))
            blocks = [self._block(x, r, looked[r], terms[r], derived)[:-1] for r in range(len(self.rows))]
            numbers, jacobian = np.concatenate([term.residuals for term in terms]), np.concatenate(blocks)
            if not np.all(np.isfinite(numbers)) or not np.all(np.isfinite(jacobian)):
                raise BadPoint("a prediction or its derivative is not finite")
            return numbers, jacobian

        return self._counted(found)

    @cached_property
    def _of_smooth(self) -> tuple[NDArray[np.intp], NDArray[np.intp], list[tuple[Measured, int, slice]]]:
        """Of the residuals that are smooth numbers themselves, the places and those of the numbers; and of
        each other the row, its place, and those of its numbers."""
        alike: list[int] = []
        number: list[int] = []
        others: list[tuple[Measured, int, slice]] = []
        at = 0
        sizes = [m.n_residuals for m in self.measured]
        for measured, size, place in zip(self.measured, sizes, np.cumsum([0, *sizes]), strict=False):
            count = KINDS[measured.row.statistic].n_smooth
            if count:
                others.append((measured, int(place), slice(at, at + count)))
            else:
                alike += range(place, place + size)
                number += range(at, at + size)
            at += count or size
        return np.array(alike, dtype=np.intp), np.array(number, dtype=np.intp), others

    def squares_of(self, numbers: Array) -> tuple[float, Array]:
        """The sum of squares of the residuals that such numbers (q,) have, and its gradient by them (q,)."""
        alike, number, others = self._of_smooth
        residuals = np.empty(alike.size + len(others))
        residuals[alike] = numbers[number]
        slopes = []
        for measured, place, at in others:
            residuals[place], by_numbers = KINDS[measured.row.statistic].of_smooth(measured, numbers[at])
            slopes.append(by_numbers)
        if self.errors is None:
            total, by_residuals = float(residuals @ residuals), 2 * residuals
        else:
            total, by_residuals = self.errors.squares_of(residuals)
        gradient = np.empty(numbers.size)
        gradient[number] = by_residuals[alike]
        for (_, place, at), by_numbers in zip(others, slopes, strict=True):
            gradient[at] = by_residuals[place] * by_numbers
        return total, gradient

    def _with_jacobian(
        self, x: Array, evaluation: Evaluation, derived: tuple[_Derived, ...] = ()
    ) -> Evaluation:
        arms, terms = evaluation.arms, evaluation.terms
        looked = self.samples_at(x, arms)
        derived = derived or tuple(self._spread(lambda a: self._derive(arms[a], a)))
        blocks = [self._block(x, r, looked[r], terms[r], derived) for r in range(len(self.rows))]
        count = len(self.coordinates)
        full = np.concatenate([block[:-1] for block in blocks]) if blocks else np.zeros((0, count))
        predicted = np.stack([block[-1] for block in blocks]) if blocks else np.zeros((0, count))
        if not np.all(np.isfinite(full)):
            raise BadPoint("a derivative of a residual is not finite")
        return dataclasses.replace(
            evaluation, jacobian=self.whitened(full), predicted_jacobian=predicted, derived=derived
        )

    def _block(
        self,
        x: Array,
        r: int,
        looked: Sequence[samples.Samples],
        term: Term,
        derived: Sequence[_Derived],
    ) -> Array:
        """Derivatives of a row's residuals by the coordinates, (m + 1, n_coordinates); the last line is its
        prediction's."""
        place = self.plan.placements[r]
        block = np.zeros((term.residuals.size + 1, len(self.coordinates)))
        for j, (a, at) in enumerate(zip(place.arms, place.indices, strict=True)):
            part, arm, output = looked[j], derived[a], place.views[j].output
            o = self._output_index[output]
            by_s = np.concatenate([term.by_s[:, j], term.predicted_s[None, j]])
            by_v = np.concatenate([term.by_v[:, j], term.predicted_v[None, j]])
            for c, coordinate in enumerate(self.coordinates):
                if coordinate.index < 0 and coordinate.target == output:
                    kind = 0 if coordinate.kind == "proportional error" else 1
                    by_noise = by_s @ part.s_noise[:, kind] + by_v @ part.v_noise[:, kind]
                    block[:, c] += by_noise * math.exp(float(x[c]))
            if not arm.items:
                continue
            by_y = by_s[:, :, None] * part.s_y + by_v[:, :, None] * part.v_y
            by_p = np.einsum("mkt,ktd->mkd", by_y, arm.outputs[:, at, o])
            by_p += (by_s * part.s_b + by_v * part.v_b)[:, :, None] * arm.before[None, :, o]
            columns = [item.coordinate for item in arm.items]
            places = [item.place for item in arm.items]
            block[:, columns] += np.einsum("mki,ik->mi", by_p[:, :, places], arm.derivatives)
        return block

    # -- priors

    def prior(self, x: Array) -> tuple[Array, Array]:
        """Prior residuals and their Jacobian (diagonal rows, one per coordinate with a prior)."""
        sds = np.array([c.sd for c in self.coordinates])
        centres = np.array([c.centre for c in self.coordinates])
        has = np.isfinite(sds)
        return ((x - centres) / sds)[has], np.diag(1 / sds)[has]

    @property
    def start(self) -> Array:
        """The prior's centre, within bounds."""
        return np.array([c.start for c in self.coordinates])

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds of the coordinates, (n_coordinates,) each."""
        return np.array([c.lower for c in self.coordinates]), np.array([c.upper for c in self.coordinates])


def _patients(row: Row, place: Placement) -> list[int | None]:
    """How many a row has in each of its views."""
    return [
        (row.versus_n or row.n) if row.versus and view.arm == row.versus else row.n for view in place.views
    ]


def minus_2ll_of(evaluation: Evaluation) -> tuple[float, float]:
    """-2LL of the data, and the constants in it."""
    constants = sum(term.constant for term in evaluation.terms) + evaluation.log_det
    return float(evaluation.residuals @ evaluation.residuals) + constants, constants


def pruned(objective: Objective) -> tuple[Objective, list[str]]:
    """Without the study effects that no row of their study depends on."""
    moved: dict[str, set[int]] = {}
    for arm in objective.plan.arms:
        moved.setdefault(arm.study, set()).update(*objective.reach[arm.key].outputs.values())
    names = [
        c.name
        for c in objective.coordinates
        if c.kind == "study effect" and c.index not in moved.get(c.study, set())
    ]
    if not names:
        return objective, []
    smaller = objective.with_coordinates(tuple(c for c in objective.coordinates if c.name not in names))
    return smaller, [f"study effects that touch no row were left out: {', '.join(names)}"]
