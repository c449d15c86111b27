"""From starts to an estimate whose errors are its own: how residuals are scored and correlated, and how much
studies differ, are taken at the estimate and the estimate with them, in turns."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pkpd.core.progress import Progress
from pkpd.inference.heterogeneity import estimated, is_estimated
from pkpd.inference.objective import BadPoint, Objective
from pkpd.inference.search import Minimum, minimise, within
from pkpd.inference.starts import Search, multistart
from pkpd.solver.executors import Executor

Array = NDArray[np.float64]

REWEIGHTINGS, STILL = 6, 0.02
"""How often at most the scores and correlations of residuals are taken anew at the estimate, and when it
stands still: it moved by less than this, in posterior SDs."""


def estimate(
    objective: Objective,
    starts: int,
    seed: int,
    limit: int,
    progress: Progress,
    what: str,
    warm: Array | None = None,
    executor: Executor | None = None,
) -> Search:
    """Several starts (or that from ``warm``, a point), with the residuals scored and correlated as trials at
    the prior's centre (or at that point) have them; then the best goes on with those of its own estimate,
    until that stands still (generalised least squares: ``summary.sampling``)."""
    with contextlib.suppress(BadPoint):  # else the first estimate is by the errors of the rows' columns
        objective = objective.with_sampling(
            objective.sampling_at(objective.start if warm is None else within(objective, warm))
        )
    search = multistart(objective, starts, seed, limit, progress, what, warm, executor)
    try:
        if search.best is not None and not search.interrupted:
            progress(what, 1.0, "errors at the estimate")
            search.objective, search.best = settled(search.objective, search.best, limit)
    except KeyboardInterrupt:
        search.interrupted = True
    return search


def settled(
    objective: Objective,
    best: Minimum,
    limit: int,
    *,
    tolerance: float | None = None,
    still: float = STILL,
) -> tuple[Objective, Minimum]:
    """Goes on with the scores and correlations of the estimate itself, and with the SDs between studies that
    are estimated, until it stands still: moves by less than ``still`` in posterior SDs. Each search ends at
    ``tolerance`` in OFV (None: that of the objective's options)."""
    for _ in range(REWEIGHTINGS):
        try:
            fresh = objective.with_sampling(objective.sampling_at(best.x))
        except BadPoint:  # of so many patients some cannot be simulated: the errors stay those of before
            if not is_estimated(objective):
                break
            fresh = objective
        try:
            first = fresh.anew(best.x, best.evaluation)
            end = minimise(fresh, best.x, max_evaluations=limit, first=first, tolerance=tolerance)
            fresh, end = estimated(fresh, end)
        except BadPoint as reason:
            best = replace(best, converged=False, message=f"stopped: {reason}")
            break
        moved = float(np.linalg.norm(end.jacobian @ (end.x - best.x)))
        objective, best = fresh, end
        if moved < still:
            break
    return objective, best
