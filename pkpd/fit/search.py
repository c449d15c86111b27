"""Levenberg-Marquardt from several starts: an objective -> its lowest point, whatever fails on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.fit.objective import BadPoint, Evaluation, Objective
from pkpd.fit.result import StartResult

Array = NDArray[np.float64]


Progress = Callable[[str, float, str], None]
"""Called with what is being done, the share that is done (0 to 1), and a short remark."""


OFV_TOLERANCE = 0.02
"""An optimum is reached when a full Gauss-Newton step promises less than this in OFV."""


REFIT_TOLERANCE, REFIT_LIMIT = 0.1, 12
"""Refits start at the optimum of all rows and tell how far things move: so much OFV is enough, so many Jacobians are spent."""
BROYDEN = 4
"""Updates of the Jacobian in a row before it is computed anew."""


DRAWS = 6
"""Draws from the prior for one start."""
PROBATION, FAR_BEHIND = 15, 10.0
"""A start is given up if after so many steps even what a fresh Jacobian promises leaves it so much OFV behind the best."""
OFV_NOISE = 0.1
"""Where steps lower the OFV by less than this, or none does although it was promised, the rest is left to the noise of the
solver's tolerance and to the curvature that Gauss-Newton does not see."""


@dataclass
class Minimum:
    """Where a search ended. ``cost`` is the sum of squares of data and prior residuals; ``jacobian`` includes the priors."""

    x: Array
    cost: float
    evaluation: Evaluation
    jacobian: Array
    iterations: int
    evaluations: int
    decrement: float
    converged: bool
    message: str


def minimise(
    objective: Objective,
    x0: Array,
    *,
    max_evaluations: int = 60,
    first: Evaluation | None = None,
    loose: bool = False,
    tolerance: float = OFV_TOLERANCE,
    remark: Callable[[int, float], None] | None = None,
    keep: Callable[[Minimum], None] | None = None,
    give_up: Callable[[Minimum], bool] | None = None,
) -> Minimum:
    """Levenberg-Marquardt within bounds from ``x0``.

    Marquardt's scaling (diagonal of the Gauss-Newton Hessian), Nielsen's rule for the damping, steps bent along valleys (``_step``), and Broyden's rank-one update of the
    Jacobian while steps go as promised, at most ``BROYDEN`` times in a row (Madsen, Nielsen & Tingleff 2004, Methods for
    non-linear least squares problems, sec. 3.2 and 3.4); coordinates at a bound that the gradient pushes out are held. A bad
    point raises the damping. Ends when a full Gauss-Newton step of the true Jacobian promises less than ``tolerance`` in OFV
    (``loose``: of the updated one). ``first`` is an evaluation with Jacobian at ``x0``, if there is one; ``keep`` is called
    with every improvement, ``give_up`` asked after every step. Raises ``BadPoint`` if x0 fails.
    """
    lower, upper = objective.bounds
    steps = np.array([c.size or 1.0 for c in objective.coordinates])
    x = np.clip(x0, lower, upper)
    evaluation = first if first is not None else objective.evaluate(x, jacobian=True)
    used = 0 if first is not None else 1
    damping, growth, iterations, updates = 1e-2, 2.0, 0, 0
    costs: list[float] = []
    """cost at every Jacobian that was computed, not updated"""
    while True:
        residuals, jacobian = with_prior(objective, x, evaluation)
        cost = float(residuals @ residuals)
        gradient, hessian = jacobian.T @ residuals, jacobian.T @ jacobian
        held = ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))
        free = np.flatnonzero(~held)
        decrement = _decrement(gradient[free], hessian[np.ix_(free, free)])
        small = decrement < tolerance
        best = Minimum(
            x, cost, evaluation, jacobian, iterations, used, decrement, small, "evaluations used up"
        )
        if keep is not None:
            keep(best)
        if remark is not None:
            remark(iterations, cost)
        if small and (updates == 0 or loose):
            best.message = "converged"
            return best
        if updates == 0:
            costs.append(cost)
            if len(costs) > 2 and costs[-3] - cost < OFV_NOISE and decrement < 10 * OFV_NOISE:
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
            assert evaluation.jacobian is not None  # every evaluation in a search has one
            at = _Local(x, cost, evaluation.residuals, evaluation.jacobian, gradient, hessian, free)
            before = damping, growth
            trial, next_evaluation, damping, growth, ratio = _lower(
                objective, at, damping, growth, patience=12 if updates == 0 else 2
            )
            if trial is None:
                damping, growth = before
        if trial is None and updates == 0:
            best.converged = decrement < OFV_NOISE
            best.message = (
                f"converged as far as rtol {objective.options.rtol:g} allows (a step promises {decrement:.2g} in OFV)"
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
                    _updated(evaluation, next_evaluation, (trial - x) / steps, steps),
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


@dataclass(frozen=True)
class _Local:
    """The linear model of the residuals at a point. ``jacobian`` is that of the data rows, ``hessian`` includes the priors."""

    x: Array
    cost: float
    residuals: Array
    jacobian: Array
    gradient: Array
    hessian: Array
    free: NDArray[np.intp]


def _lower(
    objective: Objective, at: _Local, damping: float, growth: float, *, patience: int
) -> tuple[Array | None, Any, float, float, float]:
    """A point with lower cost, if ``patience`` dampings find one: point, its evaluation, damping, growth, gained / promised."""
    for _ in range(patience):
        change, promised = _step(objective, at, damping)
        if promised < 0.1 * OFV_TOLERANCE:
            break
        try:
            trial = _within(objective, at.x + change)
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


def _decrement(gradient: Array, hessian: Array) -> float:
    """What a full Gauss-Newton step promises in OFV."""
    if gradient.size == 0:
        return 0.0
    step = np.linalg.lstsq(hessian, gradient, rcond=1e-12)[0]
    return float(gradient @ step)


def _within(objective: Objective, x: Array) -> Array:
    lower, upper = objective.bounds
    return np.clip(x, lower, upper)


def _step(objective: Objective, at: _Local, damping: float) -> tuple[Array, float]:
    """A damped step within bounds, bent along the valley, and what its straight part promises in OFV.

    The bend is the geodesic acceleration of Transtrum & Sethna 2012 (arXiv:1201.5885): half the second-order correction, from
    one more run a tenth of the way, taken if it is small against the step. Near the optimum, where the noise of the solver
    would make it up, it is left out.
    """
    steps = np.array([c.size or 1.0 for c in objective.coordinates])
    free, part = at.free, at.hessian[np.ix_(at.free, at.free)]
    scale = np.maximum(np.diag(part), 1e-8 / steps[free] ** 2)
    matrix = part + damping * np.diag(scale)
    change = np.zeros_like(at.x)
    change[free] = -np.linalg.solve(matrix, at.gradient[free])
    # a model is no straight line over more than a few prior SDs
    change *= min(1.0, 3.0 / max(1e-300, float(np.max(np.abs(change) / steps))))
    change = _within(objective, at.x + change) - at.x
    promised = -float(2 * at.gradient @ change + change @ at.hessian @ change)
    if promised < 1.0:
        return change, promised
    ahead = 0.1
    try:
        moved = objective.evaluate(_within(objective, at.x + ahead * change)).residuals
    except BadPoint:
        return change, promised
    second = 2 / ahead * ((moved - at.residuals) / ahead - at.jacobian @ change)
    bend = np.zeros_like(at.x)
    bend[free] = -0.5 * np.linalg.solve(matrix, at.jacobian[:, free].T @ second)
    if np.linalg.norm(bend / steps) > 0.375 * np.linalg.norm(change / steps):
        return change, promised
    return _within(objective, at.x + change + bend) - at.x, promised


def starting_points(objective: Objective, count: int, seed: int) -> Iterator[Array]:
    """The prior's centre, then draws from the prior, ``DRAWS`` for every further start, those of lowest OFV first.

    Study effects start at 0. Points where a simulation fails come last. Nothing is drawn before the first start is done.
    """
    yield objective.start
    generator = np.random.Generator(np.random.Philox(seed))
    spread = np.array(
        [0.0 if c.kind == "study effect" else min(c.size or 1.0, 1.0) for c in objective.coordinates]
    )
    drawn: list[tuple[float, Array]] = []
    for _ in range(DRAWS * max(1, count - 1)):
        point = _within(objective, objective.start + spread * generator.standard_normal(spread.size))
        try:
            drawn.append((_cost(objective, point), point))
        except BadPoint:
            drawn.append((math.inf, point))
    drawn.sort(key=lambda pair: pair[0])
    yield from (point for _, point in drawn)


def _cost(objective: Objective, x: Array) -> float:
    residuals = objective.evaluate(x).residuals
    prior, _ = objective.prior(x)
    return float(residuals @ residuals + prior @ prior)


@dataclass
class Search:
    """Outcome of a search with several starts; ``objective`` is the one given, or one that knows more directions."""

    objective: Objective
    best: Minimum | None
    starts: list[StartResult]
    interrupted: bool


def multistart(
    objective: Objective, starts: int, seed: int, limit: int, progress: Progress, what: str
) -> Search:
    search = Search(objective, None, [], False)

    def keep(minimum: Minimum) -> None:
        if search.best is None or minimum.cost <= search.best.cost:  # equal: with a Jacobian computed anew
            search.best = minimum

    done = 0
    try:
        for point in starting_points(objective, starts, seed):
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
                objective, point, max_evaluations=limit, first=first, remark=remark, keep=keep, give_up=behind
            )
            search.starts.append(
                StartResult(
                    float(residuals @ residuals), end.cost, end.evaluations + 1, end.converged, end.message
                )
            )
            done += 1
            if done == starts:
                break
        if search.best is not None:
            search.best, search.objective = _settled(objective, search.best, limit, keep)
    except KeyboardInterrupt:
        search.interrupted = True
    return search


def _settled(
    objective: Objective, best: Minimum, limit: int, keep: Callable[[Minimum], None]
) -> tuple[Minimum, Objective]:
    """The optimum, searched on if a direction that was idle around the start has come to life there; and the objective that knows it."""
    wider = objective.widened(best.x)
    if wider is objective:
        return best, objective
    try:
        return minimise(wider, best.x, max_evaluations=limit, keep=keep), wider
    except BadPoint:
        return best, objective


def quiet(what: str, share: float, remark: str) -> None:
    """No progress shown."""


def refit(
    objective: Objective, best: Minimum, limit: int, full: Objective | None = None, *, loose: bool = False
) -> Minimum:
    """A warm start from ``best``: where the rows are a part of the full ones, the Jacobian there is already known."""
    first = None
    if full is not None:
        first = part_of(full, objective, best.evaluation)
    try:
        return minimise(
            objective, best.x, max_evaluations=limit, first=first, loose=loose, tolerance=REFIT_TOLERANCE
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
    return Evaluation(
        evaluation.residuals[lines],
        evaluation.jacobian[lines],
        tuple(evaluation.terms[i] for i in keep_rows),
        evaluation.predicted_jacobian[keep_rows],
    )
