"""Levenberg-Marquardt: an objective -> its lowest point from somewhere, whatever fails on the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.objective import BadPoint, Evaluation, Objective

Array = NDArray[np.float64]


REFIT_TOLERANCE, REFIT_LIMIT = 0.1, 12
"""Refits start at the optimum of all rows and tell how far things move: so much OFV is enough, so many
Jacobians are spent."""
BROYDEN = 4
"""Updates of the Jacobian in a row before it is computed anew."""
OFV_NOISE = 0.1
"""Where no step lowers the OFV although less than this is promised, or steps lower it by less than the
tolerance, the rest is left to the noise of the solver's tolerance, to kinks of the rows, and to the curvature
that Gauss-Newton does not see."""
LONGEST = 3.0
"""A step goes at most so many sizes of a coordinate (``Coordinate.size``: SDs of its prior): a model is no
straight line further out."""
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
    x = within(objective, x0)
    walk = _Walk(
        objective,
        objective.options.tolerance if tolerance is None else tolerance,
        _Curvature() if curvature is None else curvature,
        x,
        first if first is not None else objective.evaluate(x, jacobian=True),
        used=0 if first is not None else 1,
    )
    while True:
        at, best = walk.look()
        if keep is not None:
            keep(best)
        if remark is not None:
            remark(best.iterations, best.cost)
        small, fresh = best.converged, walk.updates == 0
        if small and (fresh or loose):
            best.message = "converged"
            return best
        if walk.creeps(best):
            return best
        if walk.used >= max_evaluations and not small:
            return best
        if give_up is not None and fresh and give_up(best):
            best.message = "given up: too far behind another start"
            return best
        lower = None if small else walk.lower(at)
        if lower is None and fresh and not walk.stuck and walk.bends.matrix is not None:
            walk.stuck = True
            continue
        walk.stuck = False
        if lower is None and fresh:
            return walk.at_an_end(best)
        try:
            walk.go_on(at, lower)
        except BadPoint as reason:
            best.message = f"stopped: {reason}"
            return best


class _Lower(NamedTuple):
    """A point of lower cost; ratio : gained / promised."""

    x: Array
    evaluation: Evaluation
    damping: float
    ratio: float


@dataclass
class _Walk:
    """Where a search stands, how it got there, and how it goes on."""

    objective: Objective
    tolerance: float
    bends: _Curvature
    x: Array
    evaluation: Evaluation
    used: int
    damping: float = 1e-2
    growth: float = 2.0
    iterations: int = 0
    updates: int = 0
    """of the Jacobian since it was computed"""
    costs: list[float] = field(default_factory=list)
    """cost at every Jacobian that was computed, not updated"""
    stuck: bool = False
    """no step of the straight model lowers the cost: where J is singular at a minimum, only the curvature
    knows that it is one"""

    def look(self) -> tuple[_Local, Minimum]:
        """The model of the cost here, and the minimum that this would be."""
        residuals, jacobian = with_prior(self.objective, self.x, self.evaluation)
        cost = float(residuals @ residuals)
        if self.updates == 0 and not self.stuck:
            self.bends.learn(self.x, residuals, jacobian)
        at = self.bends.local(
            self.objective, self.x, cost, self.evaluation, residuals, jacobian, always=self.stuck
        )
        decrement = at.promised(at.step(RIDGE))
        return at, Minimum(
            self.x,
            cost,
            self.evaluation,
            jacobian,
            self.iterations,
            self.used,
            decrement,
            decrement < self.tolerance,
            "evaluations used up",
            self.bends,
        )

    def creeps(self, best: Minimum) -> bool:
        """Whether steps have become so small that this is the minimum, which is then told."""
        if self.updates > 0 or self.stuck:
            return False
        self.costs.append(best.cost)
        if len(self.costs) < 3 or best.decrement >= max(OFV_NOISE, 10 * self.tolerance):
            return False
        lowered = self.costs[-3] - best.cost
        if lowered >= self.tolerance:
            return False
        best.converged = True
        best.message = f"converged: the last steps lowered the OFV by {lowered:.2g}"
        return True

    def lower(self, at: _Local) -> _Lower | None:
        """A point of lower cost, if some damping finds one."""
        self.iterations += 1
        patience = 12 if self.updates == 0 else 2
        found = _lower(
            self.objective, at, self.damping, self.growth, least=0.1 * self.tolerance, patience=patience
        )
        if found is not None:
            self.damping, self.growth = found.damping, 2.0
        return found

    def at_an_end(self, best: Minimum) -> Minimum:
        """The minimum where no step lowers the cost."""
        best.converged = best.decrement < OFV_NOISE
        best.message = (
            f"converged as far as rtol {self.objective.options.rtol:g} and kinks of the rows allow (a "
            f"step promises {best.decrement:.2g} in OFV)"
            if best.converged
            else f"no step lowers the OFV, although the gradient promises {best.decrement:.3g}"
        )
        return best

    def go_on(self, at: _Local, lower: _Lower | None) -> None:
        """To a lower point, its Jacobian updated or computed; without one, stay and compute the Jacobian, of
        which the updated one has no more to say."""
        if lower is not None and lower.ratio > 0.3 and self.updates < BROYDEN:
            change = (lower.x - self.x) / at.sizes
            self.evaluation = _updated(self.evaluation, lower.evaluation, change, at.sizes)
            self.x, self.updates = lower.x, self.updates + 1
            return
        if lower is None:
            lower = _Lower(self.x, replace(self.evaluation, jacobian=None), self.damping, 0.0)
        self.evaluation = self.objective.with_jacobian(lower.x, lower.evaluation)
        self.x, self.updates, self.used = lower.x, 0, self.used + 1


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
) -> _Lower | None:
    """A point with lower cost, if ``patience`` dampings find one."""
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
            return _Lower(trial, evaluation, damping, ratio)
        damping *= growth
        growth *= 2
    return None


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
