"""How far a fit can be trusted: a rival on the same rows, studies left out, rows left out and predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.core.progress import Progress, quiet
from pkpd.inference.coordinates import System, has_ranges, in_units
from pkpd.inference.estimation import estimate, settled
from pkpd.inference.influence import left_out
from pkpd.inference.marginal import criteria
from pkpd.inference.objective import BadPoint, Objective, Solve, pruned
from pkpd.inference.posterior import Posterior, posterior_of, row_results, signed_outputs
from pkpd.inference.result import (
    Change,
    InnerCheck,
    ModelScore,
    RivalComparison,
    RowResult,
    StudyLeftOut,
    WithoutUnverified,
)
from pkpd.inference.search import REFIT_LIMIT, Minimum, refit
from pkpd.inference.spec import Check, FitSpec
from pkpd.inference.summary.rows import Data, Row
from pkpd.solver.executors import Executor

Array = NDArray[np.float64]

MANY, LEAST_MANY = 8, 128
"""Against how many times as many subjects the predictions of a fit are held, and the fewest of them."""
MOST_ERROR, MOST_NAMED = 0.1, 8
"""Of a row's standard error, how much the number of subjects may cost; and how many rows where it costs more
are named."""
FAR = 2.0
"""How many SDs between studies an effect may lie from 0 without a word."""


def subjects_errors(objective: Objective, best: Minimum) -> dict[str, float]:
    """By row, how far its residuals at the optimum stand from those by ``MANY`` times as many subjects in
    each arm, in standard errors.

    The mean, SD or quartile of few quasi-random subjects is not quite that of the population. Nothing where
    no parameter differs between subjects. Raises ``BadPoint`` where the many cannot be simulated.
    """
    if not objective.between(best.x):
        return {}
    more = objective.with_subjects(many(objective)).evaluate(best.x)
    return {
        row.id: float(np.abs(few.residuals - term.residuals).max())
        for row, few, term in zip(objective.rows, best.evaluation.terms, more.terms, strict=True)
    }


def many(objective: Objective) -> int:
    """How many subjects are many beside those of the fit."""
    return max(LEAST_MANY, MANY * objective.options.subjects)


def subjects_words(objective: Objective, errors: Mapping[str, float]) -> str:
    """What the number of subjects does to the predictions, in a sentence."""
    few = objective.options.subjects
    begun = f"{few} subject{'s' if few > 1 else ''} in each arm"
    order = sorted(errors, key=lambda name: -errors[name])
    largest = errors[order[0]]
    large = [name for name in order if errors[name] > MOST_ERROR]
    if not large:
        return (
            f"{begun} predict what {many(objective)} do to within {largest:.2g} standard errors of a "
            "reported number "
            f"(at most {MOST_ERROR:g} is asked for; {order[0]} is furthest off)."
        )
    shown = ", ".join(f"{name} {errors[name]:.2g}" for name in large[:MOST_NAMED])
    rest = f" and {len(large) - MOST_NAMED} more" if len(large) > MOST_NAMED else ""
    wanted = few * 2 ** math.ceil(math.log2(largest / MOST_ERROR))
    return (
        f"{begun} are few: beside {many(objective)} of them {len(large)} of {len(errors)} rows are "
        f"off by more than {MOST_ERROR:g} of the "
        f"reported number's standard error ({shown}{rest}); about {wanted} would do (`subjects` in "
        "[options], --subjects)."
    )


def far_effects(objective: Objective, x: Array) -> list[str]:
    """A sentence on each study effect that lies more than ``FAR`` of its SDs from 0, the furthest first."""
    found = []
    for coordinate, effect in zip(objective.coordinates, x, strict=True):
        away = effect / coordinate.sd
        if coordinate.kind == "study effect" and abs(away) > FAR:
            words = (
                f"{coordinate.study} is no study like the others by this model: its {coordinate.target} lies "
                f"{abs(away):.1f} SDs between studies {'above' if away > 0 else 'below'} what is typical "
                f"(SD {coordinate.sd:.3g})."
            )
            found.append((abs(away), words))
    return [words for _, words in sorted(found, reverse=True)]


def leave_one_study_out(
    objective: Objective,
    best: Minimum,
    *,
    limit: int = 8,
    progress: Progress = quiet,
    what: str = "leave one study out",
) -> tuple[StudyLeftOut, ...]:
    """Predictive log density of every study by a fit to all others (warm starts)."""
    found = []
    studies = tuple(dict.fromkeys(row.study for row in objective.rows))
    if len(studies) < 2:
        return ()
    for number, study in enumerate(studies):
        progress(what, number / len(studies), study)
        ids = {row.id for row in objective.rows if row.study == study}
        left = left_out(
            objective, ids, lambda inside: (inside, refit(inside, best, limit, objective, loose=True))
        )
        converged = left.minimum.converged and math.isfinite(left.log_density)
        found.append(
            StudyLeftOut(study, len(ids), left.residuals, left.log_density, left.chi_square, converged)
        )
    return tuple(found)


def score(objective: Objective, end: Minimum, left_out: tuple[StudyLeftOut, ...]) -> ModelScore:
    found = criteria(objective, end.x, end.evaluation)
    return ModelScore(
        model=objective.system.name,
        title=objective.system.title,
        ofv=float(end.evaluation.residuals @ end.evaluation.residuals),
        minus_2ll=found.minus_2ll,
        parameters=len(objective.coordinates),
        effective_parameters=found.parameters,
        aic=found.aic,
        bic=found.bic,
        log_density=sum(item.log_density for item in left_out) if left_out else math.nan,
        converged=end.converged,
        left_out=left_out,
        independent=found.independent,
    )


def compare(
    spec: FitSpec,
    objective: Objective,
    best: Minimum,
    system: System,
    everything: Data,
    raw: Data,
    leave_one_out: bool,
    solve: Solve | None,
    threads: int | None,
    progress: Progress,
    executor: Executor | None = None,
) -> RivalComparison | None:
    """Both models fitted to the rows that both can predict."""
    assert spec.rival is not None
    fitted_ids = {row.id for row in objective.rows}
    settable = in_units(raw.keep(lambda row: row.id in fitted_ids and _settable(row, system)), system)
    theirs = [row for row in settable.rows if has_ranges(row, system, spec.rival)]
    shared = {row.id for row in theirs}
    if not shared:
        return None
    rival = Objective(
        system,
        spec.rival,
        theirs,
        options=spec.options,
        **spec.errors,
        solve=solve,
        threads=threads,
    )
    rival, _ = pruned(rival)
    options = spec.options
    search = estimate(
        rival,
        options.starts,
        options.seed,
        options.max_evaluations,
        progress,
        "rival",
        executor=executor,
    )
    if search.interrupted:
        raise KeyboardInterrupt
    if search.best is None:
        return None
    rival = search.objective
    ours = objective.restricted(lambda row: row.id in shared)
    progress("comparison", 0.0, "both models on the same rows")
    mine = refit(ours, best, REFIT_LIMIT, objective) if len(shared) < len(fitted_ids) else best
    left = leave_one_study_out(ours, mine, progress=progress) if leave_one_out else ()
    their_left = (
        leave_one_study_out(rival, search.best, progress=progress, what="leave one study out, rival")
        if leave_one_out
        else ()
    )
    main, other = score(ours, mine, left), score(rival, search.best, their_left)
    differences = np.array([a.log_density - b.log_density for a, b in zip(left, their_left, strict=True)])
    total = float(differences.sum()) if differences.size else math.nan
    se = float(np.sqrt(differences.size) * differences.std(ddof=1)) if differences.size > 1 else math.nan
    order = [row.id for row in objective.rows]
    return RivalComparison(
        rows=tuple(name for name in order if name in shared),
        only_main=tuple(name for name in order if name not in shared),
        main=main,
        rival=other,
        log_density_difference=total,
        log_density_difference_se=se,
    )


def _settable(row: Row, system: System) -> bool:
    """Whether the rival has the output and every parameter that the row's arm sets, and takes its doses."""
    from pkpd.dosing import Schedule

    names = {p.name for p in system.parameters}
    if any(output not in system.output_units for output in row.outputs):
        return False
    if any(item.name not in names for item in row.overrides):
        return False
    try:
        Schedule.parse(row.schedule).events(system.time_unit, system.routes, system.dose_units, system.sizes)
    except InputError:
        return False
    return True


def _changes(objective: Objective, best: Minimum, posterior: Posterior, other: Array) -> tuple[Change, ...]:
    return tuple(
        Change(
            c.name,
            c.shown(float(best.x[i])),
            c.shown(float(other[i])),
            float((other[i] - best.x[i]) / posterior.sd[i]) if posterior.sd[i] > 0 else math.nan,
        )
        for i, c in enumerate(objective.coordinates)
    )


def _fit_without(
    objective: Objective,
    best: Minimum,
    posterior: Posterior,
    original: Mapping[str, Row],
    spec: FitSpec,
    left_out: frozenset[str],
    kept: frozenset[str],
) -> tuple[Minimum, tuple[Change, ...], tuple[RowResult, ...]]:
    inside = objective.restricted(lambda row: row.id in kept)
    end = refit(inside, best, REFIT_LIMIT, objective)
    if inside.sampling is not None:
        inside, end = settled(inside, end, REFIT_LIMIT)
    outside = objective.restricted(lambda row: row.id in left_out)
    try:
        covariance = posterior_of(inside, end).covariance
        signed = signed_outputs(objective, best.evaluation)
        predicted = row_results(outside, outside.evaluate(end.x, jacobian=True), covariance, original, signed)
    except BadPoint:
        predicted = ()
    return end, _changes(objective, best, posterior, end.x), predicted


def without_unverified(
    objective: Objective,
    best: Minimum,
    posterior: Posterior,
    original: Mapping[str, Row],
    spec: FitSpec,
    progress: Progress,
) -> WithoutUnverified | None:
    left_out = frozenset(row.id for row in objective.rows if row.provenance == "unverified")
    kept = frozenset(row.id for row in objective.rows) - left_out
    if not left_out or not kept:
        return None
    progress("without unverified rows", 0.0, f"{len(left_out)} rows left out")
    end, changes, predicted = _fit_without(objective, best, posterior, original, spec, left_out, kept)
    return WithoutUnverified(
        title="without unverified rows",
        left_out=tuple(row.id for row in objective.rows if row.id in left_out),
        ofv=float(end.evaluation.residuals @ end.evaluation.residuals),
        converged=end.converged,
        changes=changes,
        predicted=predicted,
    )


def inner_check(
    objective: Objective,
    best: Minimum,
    posterior: Posterior,
    original: Mapping[str, Row],
    spec: FitSpec,
    check: Check,
    progress: Progress,
) -> InnerCheck | None:
    fitted = frozenset(row.id for row in objective.rows)
    left_out = frozenset(check.leave_out) & fitted
    kept = (frozenset(check.only) & fitted if check.only else fitted) - left_out
    if not left_out or not kept:
        return None
    title = check.title or "inner check"
    progress("inner check", 0.0, title)
    end, changes, predicted = _fit_without(objective, best, posterior, original, spec, left_out, kept)
    return InnerCheck(
        title=title,
        left_out=tuple(row.id for row in objective.rows if row.id in left_out),
        ofv=float(end.evaluation.residuals @ end.evaluation.residuals),
        converged=end.converged,
        changes=changes,
        predicted=predicted,
    )
