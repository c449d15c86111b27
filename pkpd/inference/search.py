"""Levenberg-Marquardt from several starts: an objective -> its lowest point, whatever fails on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.objective import BadPoint, Evaluation, Objective
from pkpd.inference.result import StartResult

Array = NDArray[np.float64]


Progress = Callable[[str, float, str], None]
"""Called with what is being done, the share that is done (0 to 1), and a short remark."""


START_TOLERANCE = 0.2
"""Starts are compared when a step promises less than this in OFV; the best of them goes on to the tolerance
that was asked for."""
REFIT_TOLERANCE, REFIT_LIMIT = 0.1, 12
"""Refits start at the optimum of all rows and tell how far things move: so much OFV is enough, so many
Jacobians are spent."""
BROYDEN = 4
"""Updates of the Jacobian in a row before it is computed anew."""
DRAWS = 6
"""Draws from the prior for one start."""
PROBATION, FAR_BEHIND = 15, 10.0
"""A start is given up if after so many steps even what a fresh Jacobian promises leaves it so much OFV behind
the best."""
OFV_NOISE = 0.1
"""Where no step lowers the OFV although less than this is promised, or steps lower it by less than the
tolerance, the rest is left to the noise of the solver's tolerance, to kinks of the rows, and to the curvature
that Gauss-Newton does not see."""
LONGEST = 3.0
"""A step goes at most so many sizes of a coordinate (``Coordinate.size``: SDs of its prior): a model is no
straight line further out."""
FAR = 10.0
"""Standard errors by which starts differ where no prior and no bounds say how."""
NEAR = 1.0
"""Promised less than this in OFV, a step is taken straight, and secants give the curvature of the
residuals."""
RIDGE = 1e-10
"""Damping of a full step: keeps directions in which the rows say nothing out of what it promises."""


@dataclass
class Minimum:
    """Where a search ended. ``cost`` is the sum of squares of data and prior residuals; ``jacobian`` includes
    the priors."""

    x: Array
    cost: float
    evaluation: Evaluation
    jacobian: Array
    iterations: int
    evaluations: int
    decrement: float
    converged: bool
    message: str
    curvature: _Curvature | None = None


def minimise(
    objective: Objective,
    x0: Array,
    *,
    max_evaluations: int = 60,
    first: Evaluation | None = None,
    loose: bool = False,
    tolerance: float | None = None,
    curvature: _Curvature | None = None,
    remark: Callable[[int, float], None] | None = None,
    keep: Callable[[Minimum], None] | None = None,
    give_up: Callable[[Minimum], bool] | None = None,
) -> Minimum:
    """Levenberg-Marquardt within bounds from ``x0``.

    Every step is the lowest point of the damped linear model within the bounds (``in_box``): what runs into
    a bound is held there and the rest goes on. Marquardt's scaling (diagonal of the Gauss-Newton Hessian,
    priors included), so that no coordinate's unit or start counts; Nielsen's rule for the damping, steps bent
    along valleys (``_step``), and Broyden's rank-one update of the Jacobian while steps go as promised, at
    most ``BROYDEN`` times in a row (Madsen, Nielsen & Tingleff 2004, Methods for non-linear least squares
    problems, sec. 3.2 and 3.4). A bad point raises the damping. Ends when a full step of the true Jacobian
    promises less than ``tolerance`` in OFV (without one: that of the objective's options; ``loose``: of the
    updated Jacobian). ``first`` is an evaluation with Jacobian at ``x0`` and ``curvature`` what an earlier
    search has learned, if there are any; ``keep`` is called with every improvement, ``give_up`` asked after
    every step. Raises ``BadPoint`` if x0 fails.
    """
    tolerance = objective.options.tolerance if tolerance is None else tolerance
    x = within(objective, x0)
    evaluation = first if first is not None else objective.evaluate(x, jacobian=True)
    used = 0 if first is not None else 1
    damping, growth, iterations, updates = 1e-2, 2.0, 0, 0
    costs: list[float] = []
    """cost at every Jacobian that was computed, not updated"""
    bends = _Curvature() if curvature is None else curvature
    stuck = False
    """no step of the straight model lowers the cost: where J is singular at a minimum, only the curvature
    knows that it is one"""
    while True:
        residuals, jacobian = with_prior(objective, x, evaluation)
        cost = float(residuals @ residuals)
        if updates == 0 and not stuck:
            bends.learn(x, residuals, jacobian)
        at = bends.local(objective, x, cost, evaluation, residuals, jacobian, always=stuck)
        decrement = at.promised(at.step(RIDGE))
        small = decrement < tolerance
        best = Minimum(
            x, cost, evaluation, jacobian, iterations, used, decrement, small, "evaluations used up", bends
        )
        if keep is not None:
            keep(best)
        if remark is not None:
            remark(iterations, cost)
        if small and (updates == 0 or loose):
            best.message = "converged"
            return best
        if updates == 0 and not stuck:
            costs.append(cost)
            if len(costs) > 2 and costs[-3] - cost < tolerance and decrement < max(OFV_NOISE, 10 * tolerance):
                best.converged = True
                best.message = f"converged: the last steps lowered the OFV by {costs[-3] - cost:.2g}"
                return best
        if used >= max_evaluations and not small:
            return best
        if give_up is not None and updates == 0 and give_up(best):
            best.message = "given up: too far behind another start"
            return best
        trial: Array | None = None
        if not small:
            iterations += 1
            before = damping, growth
            trial, next_evaluation, damping, growth, ratio = _lower(
                objective, at, damping, growth, least=0.1 * tolerance, patience=12 if updates == 0 else 2
            )
            if trial is None:
                damping, growth = before
        if trial is None and updates == 0 and not stuck and bends.matrix is not None:
            stuck = True
            continue
        stuck = False
        if trial is None and updates == 0:
            best.converged = decrement < OFV_NOISE
            best.message = (
                f"converged as far as rtol {objective.options.rtol:g} and kinks of the rows allow (a "
                f"step promises {decrement:.2g} in OFV)"
                if best.converged
                else f"no step lowers the OFV, although the gradient promises {decrement:.3g}"
            )
            return best
        try:
            if trial is None:  # the updated Jacobian has no more to say
                evaluation, updates = objective.with_jacobian(x, replace(evaluation, jacobian=None)), 0
                used += 1
            elif ratio > 0.3 and updates < BROYDEN:
                evaluation, updates = (
                    _updated(evaluation, next_evaluation, (trial - x) / at.sizes, at.sizes),
                    updates + 1,
                )
                x = trial
            else:
                evaluation, updates = objective.with_jacobian(trial, next_evaluation), 0
                used += 1
                x = trial
        except BadPoint as reason:
            best.message = f"stopped: {reason}"
            return best


class _Curvature:
    """What the Hessian of half the cost has beside J'J: the curvature of the residuals, by secants between
    computed Jacobians.

    The update is that of NL2SOL (Dennis, Gay & Welsch 1981, ACM TOMS 7:348), sized down where the residuals
    have become smaller. It is used near the optimum, where Gauss-Newton would creep if the residuals stay
    large.
    """

    def __init__(self) -> None:
        self.last: tuple[Array, Array, Array] | None = None
        self.matrix: Array | None = None

    def learn(self, x: Array, residuals: Array, jacobian: Array) -> None:
        if self.last is not None:
            before, old_residuals, old_jacobian = self.last
            step = x - before
            change = jacobian.T @ residuals - old_jacobian.T @ old_residuals
            bent = (jacobian - old_jacobian).T @ residuals
            if self.matrix is None:
                self.matrix = np.zeros((x.size, x.size))
            known = float(step @ self.matrix @ step)
            if known != 0:
                self.matrix = self.matrix * min(1.0, abs(float(step @ bent) / known))
            along = float(change @ step)
            if along > 0:
                miss = bent - self.matrix @ step
                both = np.outer(miss, change) / along
                self.matrix = (
                    self.matrix + both + both.T - float(miss @ step) / along**2 * np.outer(change, change)
                )
        self.last = x, residuals, jacobian

    def local(
        self,
        objective: Objective,
        x: Array,
        cost: float,
        evaluation: Evaluation,
        residuals: Array,
        jacobian: Array,
        *,
        always: bool = False,
    ) -> _Local:
        """The model of the cost at a point: with this curvature near an optimum, or ``always``, if there is
        one that leaves it convex."""
        straight = _Local.of(objective, x, cost, evaluation, residuals, jacobian)
        if self.matrix is None:
            return straight
        if not always and straight.promised(straight.step(RIDGE)) >= NEAR:
            return straight
        bent = replace(straight, hessian=straight.hessian + self.matrix)
        try:
            bent.step(RIDGE)
        except np.linalg.LinAlgError:
            return straight
        return bent


@dataclass(frozen=True)
class _Local:
    """The linear model of the residuals at a point.

    ``jacobian`` is that of the data rows, ``gradient`` and ``hessian`` include the priors; ``sizes`` are
    natural changes of the coordinates, ``low`` and ``high`` how far a step may go.
    """

    x: Array
    cost: float
    residuals: Array
    jacobian: Array
    gradient: Array
    hessian: Array
    sizes: Array
    low: Array
    high: Array

    @classmethod
    def of(
        cls,
        objective: Objective,
        x: Array,
        cost: float,
        evaluation: Evaluation,
        residuals: Array,
        jacobian: Array,
    ) -> _Local:
        assert evaluation.jacobian is not None  # every evaluation in a search has one
        lower, upper = objective.bounds
        reach = np.array([math.inf if c.size is None else LONGEST * c.size for c in objective.coordinates])
        return cls(
            x,
            cost,
            evaluation.residuals,
            evaluation.jacobian,
            jacobian.T @ residuals,
            jacobian.T @ jacobian,
            sizes(objective, jacobian),
            np.maximum(lower - x, -reach),
            np.minimum(upper - x, reach),
        )

    def damped(self, damping: float) -> Array:
        """The Hessian with Marquardt's damping."""
        return np.asarray(
            self.hessian + damping * np.diag(np.maximum(np.diag(self.hessian), 1e-8 / self.sizes**2))
        )

    def step(self, damping: float) -> Array:
        """The damped step within the bounds."""
        return in_box(self.damped(damping), self.gradient, self.low, self.high)

    def promised(self, change: Array) -> float:
        """What the linear model promises of a step, in OFV."""
        return -float(2 * self.gradient @ change + change @ self.hessian @ change)


def sizes(objective: Objective, jacobian: Array) -> Array:
    """Natural changes of the coordinates: known beforehand, or by the curvature of the cost where only the
    data can tell (1 where it has none)."""
    curvature = np.linalg.norm(jacobian, axis=0)
    return np.array(
        [
            c.size if c.size is not None else 1 / bend if bend > 0 else 1.0
            for c, bend in zip(objective.coordinates, curvature, strict=True)
        ]
    )


def in_box(matrix: Array, gradient: Array, low: Array, high: Array) -> Array:
    """The lowest point of p' matrix p + 2 gradient p over low <= p <= high, where low <= 0 <= high.

    By an active set (bounded-variable least squares, Stark & Parker 1995, of SciPy) unless the free minimum
    lies inside.
    """
    from scipy.linalg import solve_triangular
    from scipy.optimize import lsq_linear

    diagonal = np.diag(matrix)
    if not np.all(diagonal > 0):
        raise np.linalg.LinAlgError("not convex")
    scale = 1 / np.sqrt(diagonal)
    root = np.linalg.cholesky(matrix * scale[:, None] * scale)
    target = -solve_triangular(root, gradient * scale, lower=True)
    change = scale * solve_triangular(root.T, target)
    if np.all((change >= low) & (change <= high)):
        return np.asarray(change)
    change = np.zeros_like(gradient)
    free = high > low
    limits = low[free] / scale[free], high[free] / scale[free]
    found = lsq_linear(root.T[:, free], target, limits, method="bvls")
    change[free] = scale[free] * found.x
    held = np.zeros(change.size)
    held[free] = found.active_mask
    return np.where(held < 0, low, np.where(held > 0, high, np.clip(change, low, high)))


def _lower(
    objective: Objective, at: _Local, damping: float, growth: float, *, least: float, patience: int
) -> tuple[Array | None, Any, float, float, float]:
    """A point with lower cost, if ``patience`` dampings find one: point, its evaluation, damping, growth,
    gained / promised."""
    for _ in range(patience):
        change, promised = _step(objective, at, damping)
        if promised < least:
            break
        try:
            trial = within(objective, at.x + change)
            evaluation = objective.evaluate(trial)
            prior, _ = objective.prior(trial)
            gained = at.cost - float(evaluation.residuals @ evaluation.residuals + prior @ prior)
        except BadPoint:
            gained = -math.inf
        if gained > 0:
            ratio = gained / promised
            damping = max(damping * max(1 / 5, 1 - (2 * ratio - 1) ** 3), 1e-9)
            return trial, evaluation, damping, 2.0, ratio
        damping *= growth
        growth *= 2
    return None, None, damping, growth, 0.0


def _updated(old: Evaluation, new: Evaluation, change: Array, steps: Array) -> Evaluation:
    """The new residuals with Broyden's update of the old Jacobian, in coordinates scaled by ``steps``."""
    assert old.jacobian is not None  # every evaluation in a search has one
    surprise = new.residuals - old.residuals - old.jacobian @ (change * steps)
    jacobian = old.jacobian + np.outer(surprise, change / steps) / float(change @ change)
    return replace(new, jacobian=jacobian)


def with_prior(objective: Objective, x: Array, evaluation: Evaluation) -> tuple[Array, Array]:
    assert evaluation.jacobian is not None  # asked for by every caller
    prior, prior_jacobian = objective.prior(x)
    return np.concatenate([evaluation.residuals, prior]), np.concatenate(
        [evaluation.jacobian, prior_jacobian]
    )


def within(objective: Objective, x: Array) -> Array:
    lower, upper = objective.bounds
    return np.clip(x, lower, upper)


def _step(objective: Objective, at: _Local, damping: float) -> tuple[Array, float]:
    """A damped step within bounds, bent along the valley, and what its straight part promises in OFV.

    The bend is the geodesic acceleration of Transtrum & Sethna 2012 (arXiv:1201.5885): half the second-order
    correction, from one more run a tenth of the way, taken if it is small against the step. Near the optimum,
    where the noise of the solver would make it up, it is left out.
    """
    change = at.step(damping)
    promised = at.promised(change)
    if promised < NEAR:
        return change, promised
    ahead = 0.1
    try:
        moved = objective.evaluate(within(objective, at.x + ahead * change)).residuals
    except BadPoint:
        return change, promised
    second = 2 / ahead * ((moved - at.residuals) / ahead - at.jacobian @ change)
    free = np.flatnonzero((change > at.low) & (change < at.high))
    matrix = at.damped(damping)[np.ix_(free, free)]
    bend = np.zeros_like(at.x)
    bend[free] = -0.5 * np.linalg.solve(matrix, at.jacobian[:, free].T @ second)
    if np.linalg.norm(bend / at.sizes) > 0.375 * np.linalg.norm(change / at.sizes):
        return change, promised
    return within(objective, at.x + change + bend) - at.x, promised


def starting_points(objective: Objective, count: int, seed: int) -> Iterator[Array]:
    """The prior's centre, then draws from the prior, ``DRAWS`` for every further start, those of lowest OFV
    first.

    Study effects start at 0. Points where a simulation fails come last. Nothing is drawn before the first
    start is done.
    """
    yield objective.start
    generator = np.random.Generator(np.random.Philox(seed))
    spread = np.array(
        [0.0 if c.kind == "study effect" else min(c.size or 1.0, 1.0) for c in objective.coordinates]
    )
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


def multistart(
    objective: Objective,
    starts: int,
    seed: int,
    limit: int,
    progress: Progress,
    what: str,
    warm: Array | None = None,
) -> Search:
    """From the points of ``starting_points``, or from ``warm`` alone."""
    starts = starts if warm is None else 1
    points = starting_points(objective, starts, seed) if warm is None else iter([within(objective, warm)])
    search = Search(objective, None, [], False)

    def keep(minimum: Minimum) -> None:
        if search.best is None or minimum.cost <= search.best.cost:  # equal: with a Jacobian computed anew
            search.best = minimum

    done = 0
    ends: list[Minimum] = []
    try:
        for point in points:
            share = done / starts

            def remark(iteration: int, cost: float, share: float = share, number: int = done + 1) -> None:
                within = min(1.0, iteration / 15) / starts
                progress(
                    what, share + within, f"start {number} of {starts}, step {iteration}, OFV {cost:.2f}"
                )

            try:
                first = objective.evaluate(point, jacobian=True)
            except BadPoint:
                continue
            lead = search.best.cost if search.best is not None and done else math.inf

            def behind(minimum: Minimum, lead: float = lead) -> bool:
                return (
                    minimum.iterations >= PROBATION and minimum.cost - minimum.decrement > lead + FAR_BEHIND
                )

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
            search.starts.append(
                StartResult(
                    float(residuals @ residuals), end.cost, end.evaluations + 1, end.converged, end.message
                )
            )
            ends.append(end)
            done += 1
            if done == starts:
                break
        if ends:
            _finish(search, ends, limit, keep)
    except KeyboardInterrupt:
        search.interrupted = True
    return search


def _finish(search: Search, ends: Sequence[Minimum], limit: int, keep: Callable[[Minimum], None]) -> None:
    """The best start goes on to the tolerance asked for; and further, if a direction that was idle around the
    start has come to life there."""
    k = min(range(len(ends)), key=lambda i: ends[i].cost)
    best, objective = ends[k], search.objective
    spent = search.starts[k].evaluations
    try:
        if best.converged and best.decrement >= objective.options.tolerance:
            best = minimise(
                objective,
                best.x,
                max_evaluations=limit,
                first=best.evaluation,
                curvature=best.curvature,
                keep=keep,
            )
            spent += best.evaluations
        wider = objective.widened(best.x)
        if wider is not objective:
            best = minimise(wider, best.x, max_evaluations=limit, keep=keep)
            spent += best.evaluations
            search.objective = wider
    except BadPoint as reason:
        best = replace(best, converged=False, message=f"stopped: {reason}")
    search.best = best
    search.starts[k] = replace(
        search.starts[k], last=best.cost, evaluations=spent, converged=best.converged, message=best.message
    )


def quiet(what: str, share: float, remark: str) -> None:
    """No progress shown."""


def refit(
    objective: Objective,
    best: Minimum,
    limit: int,
    full: Objective | None = None,
    *,
    loose: bool = False,
    tolerance: float = REFIT_TOLERANCE,
) -> Minimum:
    """A warm start from ``best``: where the rows are a part of the full ones, the Jacobian there is already
    known."""
    first = None
    if full is not None:
        first = part_of(full, objective, best.evaluation)
    try:
        return minimise(
            objective, best.x, max_evaluations=limit, first=first, loose=loose, tolerance=tolerance
        )
    except BadPoint as reason:  # cannot happen where the full fit could be simulated, but a fit never crashes
        return replace(best, converged=False, message=str(reason))


def part_of(full: Objective, part: Objective, evaluation: Evaluation) -> Evaluation:
    """The lines of a full evaluation that belong to the rows of a part."""
    assert evaluation.jacobian is not None and evaluation.predicted_jacobian is not None
    wanted = {row.id for row in part.rows}
    keep_rows = [i for i, row in enumerate(full.rows) if row.id in wanted]
    sizes = [term.residuals.size for term in evaluation.terms]
    ends = np.cumsum([0, *sizes])
    lines = np.concatenate([np.arange(ends[i], ends[i + 1]) for i in keep_rows])
    residuals, jacobian = full.coloured(evaluation.residuals), full.coloured(evaluation.jacobian)
    return Evaluation(
        part.whitened(residuals[lines]),
        part.whitened(jacobian[lines]),
        tuple(evaluation.terms[i] for i in keep_rows),
        evaluation.predicted_jacobian[keep_rows],
        log_det=part.log_det,
    )
