"""Several starts of a search: an objective -> its lowest point, from wherever priors allow.

The first start is the priors' centre. The others are jobs that travel (``repeats``): threads, processes or a
cluster do them, and where each ends depends on its point, and on where the first ended, alone.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.progress import Progress
from pkpd.inference.objective import BadPoint, Objective
from pkpd.inference.repeats import repeat
from pkpd.inference.result import StartResult
from pkpd.inference.search import Minimum, minimise, sizes, with_prior, within
from pkpd.solver.executors import Executor

Array = NDArray[np.float64]

START_TOLERANCE = 0.2
"""Starts are compared when a step promises less than this in OFV; the best of them goes on to the tolerance
that was asked for."""
DRAWS = 6
"""Draws from the prior for one start."""
PROBATION, FAR_BEHIND = 15, 10.0
"""A start is given up if after so many steps even what a fresh Jacobian promises leaves it so much OFV behind
the first."""
FAR = 10.0
"""Standard errors by which starts differ where no prior and no bounds say how."""


def starting_points(objective: Objective, count: int, seed: int) -> Iterator[Array]:
    """The prior's centre, then draws from the prior, ``DRAWS`` for every further start, those of lowest OFV
    first.

    Study effects start at 0. Points where a simulation fails come last. Nothing is drawn before the first
    start is done.
    """
    yield objective.start
    generator = np.random.Generator(np.random.Philox(seed))
    spread = _spread(objective)
    drawn: list[tuple[float, Array]] = []
    for _ in range(DRAWS * max(1, count - 1)):
        point = within(objective, objective.start + spread * generator.standard_normal(spread.size))
        try:
            drawn.append((_cost(objective, point), point))
        except BadPoint:
            drawn.append((math.inf, point))
    drawn.sort(key=lambda pair: pair[0])
    yield from (point for _, point in drawn)


def _spread(objective: Objective) -> Array:
    """SDs of the draws for starts: those of the priors, at most 1 on log and logit scales; 0 for study
    effects."""
    known = np.array([c.size or 0.0 for c in objective.coordinates])
    if not known.all():  # a natural scale without prior and bounds: so far that the OFV changes much
        try:
            start = objective.start
            known = sizes(
                objective, with_prior(objective, start, objective.evaluate(start, jacobian=True))[1]
            )
        except BadPoint:
            known = np.where(known > 0, known, 1.0)
        known = known * np.array([1.0 if c.size else FAR for c in objective.coordinates])
    return np.array(
        [
            0.0 if c.kind == "study effect" else size if c.scale == "natural" else min(size, 1.0)
            for c, size in zip(objective.coordinates, known, strict=True)
        ]
    )


def _cost(objective: Objective, x: Array) -> float:
    residuals = objective.evaluate(x).residuals
    prior, _ = objective.prior(x)
    return float(residuals @ residuals + prior @ prior)


@dataclass
class Search:
    """Outcome of a search with several starts; ``objective`` is the one given, or one that knows more
    directions."""

    objective: Objective
    best: Minimum | None
    starts: list[StartResult]
    interrupted: bool

    def keep(self, minimum: Minimum) -> None:
        """Take a minimum that is lower, or as low, with its Jacobian computed anew."""
        if self.best is None or minimum.cost <= self.best.cost:
            self.best = minimum


@dataclass(frozen=True)
class StartEnd:
    """Where a start ended, in numbers that travel."""

    x: list[float]
    first: float
    last: float
    evaluations: int
    converged: bool
    message: str

    @property
    def result(self) -> StartResult:
        """What a table of starts shows of it."""
        return StartResult(self.first, self.last, self.evaluations, self.converged, self.message)


@dataclass(frozen=True)
class _Starts:
    """Starts after the first as jobs, by their numbers. One is given up that is far behind where the first
    ended."""

    objective: Objective
    points: tuple[Array, ...]
    limit: int
    lead: float

    def do(self, name: str) -> dict[str, Any] | None:
        """A ``StartEnd``; None where the start cannot be simulated."""
        try:
            return vars(_end(self.objective, self.points[int(name)], self.limit, lead=self.lead)[0])
        except BadPoint:
            return None


def multistart(
    objective: Objective,
    starts: int,
    seed: int,
    limit: int,
    progress: Progress,
    what: str,
    warm: Array | None = None,
    executor: Executor | None = None,
) -> Search:
    """From the points of ``starting_points``, or from ``warm`` alone. executor : does the starts after the
    first, each on one thread; None: they are done one after the other, on all threads. Where they end is the
    same."""
    starts = starts if warm is None else 1
    points = starting_points(objective, starts, seed) if warm is None else iter([within(objective, warm)])
    search = Search(objective, None, [], False)
    ends: list[StartEnd] = []
    try:
        for point in points:
            with contextlib.suppress(BadPoint):
                remark = _remark(progress, what, 0, starts)
                end, best = _end(objective, point, limit, remark=remark, keep=search.keep)
                ends.append(end)
                break
        else:
            return search
        others = _Starts(objective, tuple(itertools.islice(points, starts - 1)), limit, end.last)
        if executor is None:
            for k, point in enumerate(others.points):
                remark = _remark(progress, what, k + 1, starts)
                with contextlib.suppress(BadPoint):
                    ends.append(
                        _end(objective, point, limit, lead=end.last, remark=remark, keep=search.keep)[0]
                    )
        else:
            _done_by(executor, others, ends, progress, what)
        _finish(search, best, ends, limit)
    except KeyboardInterrupt:
        search.interrupted = True
        search.starts = search.starts or [end.result for end in ends]
    return search


def _done_by(
    executor: Executor, starts: _Starts, ends: list[StartEnd], progress: Progress, what: str
) -> None:
    """Adds where these starts end; after Ctrl-C those that are done, and ``KeyboardInterrupt``."""
    alone = executor.workers == 1 or len(starts.points) == 1
    work = replace(starts, objective=starts.objective.on_threads(None if alone else 1))
    names = [str(k) for k in range(len(starts.points))]
    if not names:
        return
    done = repeat(work, names, executor=executor, what=what, unit="starts", progress=progress)
    ends += [StartEnd(**found) for found in done.results.values() if found is not None]
    if done.interrupted:
        raise KeyboardInterrupt


def _remark(progress: Progress, what: str, done: int, starts: int) -> Callable[[int, float], None]:
    """What ``minimise`` calls in the start that follows ``done`` others."""

    def remark(iteration: int, cost: float) -> None:
        share = done / starts + min(1.0, iteration / 15) / starts
        progress(what, share, f"start {done + 1} of {starts}, step {iteration}, OFV {cost:.2f}")

    return remark


def _end(
    objective: Objective,
    point: Array,
    limit: int,
    *,
    lead: float = math.inf,
    remark: Callable[[int, float], None] | None = None,
    keep: Callable[[Minimum], None] | None = None,
) -> tuple[StartEnd, Minimum]:
    """Where one start ends, which is given up far behind ``lead``; ``BadPoint`` where it cannot begin."""

    def behind(minimum: Minimum) -> bool:
        return minimum.iterations >= PROBATION and minimum.cost - minimum.decrement > lead + FAR_BEHIND

    first = objective.evaluate(point, jacobian=True)
    residuals, _ = with_prior(objective, point, first)
    end = minimise(
        objective,
        point,
        max_evaluations=limit,
        first=first,
        tolerance=max(START_TOLERANCE, objective.options.tolerance),
        remark=remark,
        keep=keep,
        give_up=behind,
    )
    began = float(residuals @ residuals)
    told = StartEnd(end.x.tolist(), began, end.cost, end.evaluations + 1, end.converged, end.message)
    return told, end


def _finish(search: Search, first: Minimum, ends: Sequence[StartEnd], limit: int) -> None:
    """The best start goes on to the tolerance asked for; and further, if a direction that was idle around the
    start has come to life there. first : where the first of them ended."""
    k = min(range(len(ends)), key=lambda i: ends[i].last)
    objective, best, spent = search.objective, first, ends[k].evaluations
    search.starts = [end.result for end in ends]
    try:
        if k > 0:
            best = _gone_on(search, ends[k], limit)
            spent += best.evaluations
        elif best.converged and best.decrement >= objective.options.tolerance:
            best = minimise(
                objective,
                best.x,
                max_evaluations=limit,
                first=best.evaluation,
                curvature=best.curvature,
                keep=search.keep,
            )
            spent += best.evaluations
        wider = objective.widened(best.x)
        if wider is not objective:
            best = minimise(wider, best.x, max_evaluations=limit, keep=search.keep)
            spent += best.evaluations
            search.objective = wider
    except BadPoint as reason:
        best = replace(best, converged=False, message=f"stopped: {reason}")
    search.best = best
    search.starts[k] = replace(
        search.starts[k], last=best.cost, evaluations=spent, converged=best.converged, message=best.message
    )


def _gone_on(search: Search, end: StartEnd, limit: int) -> Minimum:
    """From where a start ended; one that did not converge stays there."""
    x = np.array(end.x)
    found = minimise(search.objective, x, max_evaluations=limit if end.converged else 1, keep=search.keep)
    return found if end.converged else replace(found, converged=False, message=end.message)
