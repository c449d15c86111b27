"""A fit folder -> parameters with uncertainty, and what the data say about them.

    result = fit("low_dose_il2")          # or a path to a folder with fit.toml and data.csv
    print(result.summary())
    result.write_json("fit.json")

What is maximised is the posterior density of the model parameters (on their log, logit or natural scale), of
study effects (shifts of a parameter on that scale, normal with mean 0), and, where asked, of between-subject
SDs and measurement noise. Every arm is a population of K quasi-random subjects (scrambled Sobol points,
whitened), the same points at every evaluation, so that the objective is smooth. Data rows give signed
deviance residuals (``likelihood``), priors give one each; the sum of squares is lowered by
Levenberg-Marquardt with the exact Jacobian from the solver's forward sensitivities. The covariance is the
inverse of the Gauss-Newton Hessian, priors included (Laplace approximation of the posterior).

A simulation that fails makes its point a bad one: the step is shortened, the point is counted and reported,
nothing crashes.

fit.toml::

    title = "..."
    model = "il2_treg"                 # library name, or a path relative to the folder
    data = "data.csv"
    endpoints = "endpoints.toml"       # by which schedules are judged (docs/endpoints.md), if there is one
    [options]                          # subjects (of each arm: a fit says where more are needed), seed,
                                       # starts, rtol, rtol_sensitivities, max_evaluations, tolerance (the
                                       # search ends where a step promises less in OFV; 0.001)
    [free]                             # parameter = true (prior of the model file) or "lognormal(10, 0.5)";
                                       # without the table: every parameter with a prior in the model file
    [between]                          # between-subject SD = true, or "lognormal(0.3, 0.5)"; not named: as
                                       # in the model file
    [study_effects]                    # parameter = 0.3  or  { sd = 0.7, studies = ["A", "B"] }, with free =
                                       # true (and prior = "half-normal(0.5)") where the SD is estimated
    [noise]                            # output = { proportional = 0.1, additive = 0.5, free = true }: one
                                       # measurement's error
    [errors]                           # default = 0.3: relative error of a mean without a spread;
                                       # rows = { "row id" = 0.2 }; mean_only = [row ids]: their spread is
                                       # not taken as that between patients
    [rival]                            # model, free, between, study_effects, noise of the simpler model
    [check]                            # title, leave_out = [row ids], only = [row ids]: fitted without,
                                       # then predicted
    [report]                           # outputs = [names]: whose time courses are shown for every study;
                                       # notes = [sentences] that the reader has to know
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.core import library
from pkpd.core.arguments import ABSENT, CALLABLE, PATH, TEXT, TEXTS, WHOLE, of, takes
from pkpd.core.errors import ConvergenceError, DataError
from pkpd.core.names import meant
from pkpd.core.progress import Progress, quiet
from pkpd.inference.assess import (
    compare,
    far_effects,
    inner_check,
    leave_one_study_out,
    subjects_errors,
    subjects_words,
    without_unverified,
)
from pkpd.inference.belonging import belongs_to, changed_words, changes, version_words
from pkpd.inference.coordinates import (
    Coordinate,
    System,
    between_at,
    check_ranges,
    coordinates,
    in_units,
    typical_at,
)
from pkpd.inference.estimation import estimate
from pkpd.inference.heterogeneity import heterogeneity_of
from pkpd.inference.influence import predictive_density
from pkpd.inference.marginal import InformationCriteria, criteria
from pkpd.inference.objective import (
    BadPoint,
    Evaluation,
    Objective,
    Reach,
    Solve,
    pruned,
    quasi_normals,
)
from pkpd.inference.posterior import (
    Posterior,
    Told,
    estimates_of,
    identifiability_of,
    nested,
    posterior_of,
    predict_rows,
    verdicts,
)
from pkpd.inference.result import (
    SAME_OPTIMUM,
    Change,
    Estimate,
    FitResult,
    Foreseen,
    Heterogeneity,
    InnerCheck,
    ModelScore,
    Preference,
    Refit,
    Reliance,
    RivalComparison,
    RowResult,
    StartResult,
    StudyLeftOut,
    WithoutUnverified,
)
from pkpd.inference.search import Minimum, minimise
from pkpd.inference.selection import listed, selected, warm_point
from pkpd.inference.spec import (
    Check,
    FitOptions,
    FitSpec,
    ModelSpec,
    NoiseSpec,
    Prior,
    StudyEffect,
    parse_prior,
    read_fit,
)
from pkpd.inference.starts import Search
from pkpd.inference.summary.reading import read_data, unknown_outputs
from pkpd.inference.summary.rows import Data, Row
from pkpd.solver.executors import EXECUTOR, Executor

__all__ = [
    "SAME_OPTIMUM",
    "BadPoint",
    "Change",
    "Check",
    "Coordinate",
    "Estimate",
    "Evaluation",
    "FitOptions",
    "FitResult",
    "FitSpec",
    "Foreseen",
    "InnerCheck",
    "Minimum",
    "ModelScore",
    "ModelSpec",
    "NoiseSpec",
    "Objective",
    "Preference",
    "Prior",
    "Refit",
    "Reliance",
    "RivalComparison",
    "RowResult",
    "StartResult",
    "StudyEffect",
    "StudyLeftOut",
    "System",
    "WithoutUnverified",
    "between_at",
    "coordinates",
    "fit",
    "in_units",
    "leave_one_study_out",
    "minimise",
    "parse_prior",
    "predictive_density",
    "quasi_normals",
    "read_fit",
    "run",
    "typical_at",
]


@takes(
    fit=PATH | of(FitSpec, words="what a fit folder says (FitSpec)"),
    starts=WHOLE | ABSENT,
    seed=WHOLE | ABSENT,
    subjects=WHOLE | ABSENT,
    rows=TEXT | TEXTS | ABSENT,
    without=TEXT | TEXTS | ABSENT,
    begin_from=PATH | of(FitResult, words="the result of a fit") | ABSENT,
    threads=EXECUTOR,
    progress=CALLABLE | ABSENT,
)
def fit(
    fit: str | os.PathLike[str] | FitSpec,
    *,
    starts: int | None = None,
    seed: int | None = None,
    subjects: int | None = None,
    tolerance: float | None = None,
    leave_out_unverified: bool = False,
    rows: str | Sequence[str] | None = None,
    without: str | Sequence[str] | None = None,
    begin_from: FitResult | str | os.PathLike[str] | None = None,
    rival: bool = True,
    leave_one_out: bool = True,
    unverified: bool = True,
    check: bool = True,
    threads: int | Executor | None = None,
    progress: Progress | None = None,
    solve: Solve | None = None,
) -> FitResult:
    """Fit the model of a fit folder to its data.

    Parameters
    ----------
    fit : a name from ``pkpd.fits()``, a path to a folder ("./my_fit"), or a ``FitSpec``.
    starts, seed, subjects, tolerance : override the folder's options: starting points, the seed of the draws,
        virtual subjects per arm, and the improvement (in OFV) below which the search ends.
    leave_out_unverified : drops rows whose provenance is unverified.
    rows, without : fits only rows whose ids match one of these patterns (``"c*"``), and none of these
        studies; lists, or texts with commas. The others are predicted beside the fit.
    begin_from : an earlier result, or its file or folder: the one start of the search is where that ended, by
        the names of what is estimated; what is new starts at its prior.
    rival, leave_one_out : fits the rival model and compares on common rows, with ``leave_one_out`` also by
        leave-one-study-out.
    unverified : refits without unverified rows and tells what changes.
    check : runs the inner check.
    threads : how many work at a time, by default as many as this process may use cores; an executor does the
        starts after the first side by side, with the same result.
    progress : called with (what, share, remark).
    solve : another solver.

    Returns
    -------
    FitResult : estimates with intervals in their units, rows with predictions, comparisons; after Ctrl-C the
        best so far, marked ``interrupted`` (``KeyboardInterrupt`` where there is none yet).

    Raises
    ------
    InputError : or one of its kinds: no such fit, a fit.toml or data that are wrong.
    ConvergenceError : the model cannot be simulated at any start.

    Examples
    --------
    A fit takes minutes; what ``pkpd.fit("low_dose_il2")`` gave is kept beside its data:

    >>> import pkpd
    >>> from pkpd.core.library import root
    >>> result = pkpd.FitResult.read_json(root() / "fits" / "low_dose_il2" / "result.json")
    >>> result
    <FitResult low_dose_il2 of il2_treg: converged, OFV ..., 98 rows, 55 estimates; summary() has them>
    >>> result.summary().splitlines()[0]
    'low-dose IL-2 and regulatory T cells'
    """
    began = time.perf_counter()
    spec = fit if isinstance(fit, FitSpec) else read_fit(fit)
    given: dict[str, Any] = {"starts": starts, "seed": seed, "subjects": subjects, "tolerance": tolerance}
    options = replace(spec.options, **{key: value for key, value in given.items() if value is not None})
    spec = replace(spec, options=options)
    progress = progress or quiet
    raw = read_data(spec.data)
    _check_names(spec, raw)
    chosen = {"rows": list(listed(rows)), "without": list(listed(without))}
    system = System.of(spec.main)
    _check_shown(spec, system)
    return run(
        spec,
        system,
        raw,
        solve=solve,
        threads=threads,
        progress=progress,
        leave_out_unverified=leave_out_unverified,
        chosen=chosen,
        begin_from=_read_result(begin_from),
        rival=System.of(spec.rival) if rival and spec.rival is not None else None,
        leave_one_out=leave_one_out,
        unverified=unverified,
        check=check,
        began=began,
    )


def _read_result(given: FitResult | str | os.PathLike[str] | None) -> FitResult | None:
    if given is None or isinstance(given, FitResult):
        return given
    path = Path(given).expanduser()
    return FitResult.read_json(path if path.suffix == ".json" else library.fit_result(given))


def _check_names(spec: FitSpec, raw: Data) -> None:
    """Rows and studies that fit.toml names are there."""
    for model in (spec.main, spec.rival):
        for effect in model.study_effects if model is not None else ():
            for study in effect.studies:
                if study not in raw.studies:
                    place = f"{spec.folder / 'fit.toml'}: [study_effects] {effect.parameter}"
                    raise DataError(f'{place}: the data have no study "{study}"{meant(study, raw.studies)}')
    known = {row.id: row.use for row in raw.rows}
    lists = [("[errors.rows]", tuple(spec.row_errors)), ("[errors] mean_only", spec.mean_only)]
    lists += [("[errors] correlations", item.rows) for item in spec.correlations]
    if spec.check is not None:
        lists += [("[check] leave_out", spec.check.leave_out), ("[check] only", spec.check.only)]
    for where, names in lists:
        for name in names:
            if name not in known:
                raise DataError(
                    f'{spec.folder / "fit.toml"}: {where}: the data have no row "{name}"{meant(name, known)}'
                )
            if known[name] == "context":
                raise DataError(
                    f'{spec.folder / "fit.toml"}: {where}: the row "{name}" is context, which is shown and '
                    "not fitted: it has no effect here"
                )


def _check_shown(spec: FitSpec, system: System) -> None:
    """Outputs that the report is to show are there."""
    for output in spec.shown:
        if output not in system.output_units:
            near = meant(output, system.output_units)
            place = f"{spec.folder / 'fit.toml'}: [report] outputs"
            raise DataError(f'{place}: the model has no output "{output}"{near}')


def run(
    spec: FitSpec,
    system: System,
    raw: Data,
    *,
    rival: System | None = None,
    solve: Solve | None = None,
    threads: int | Executor | None = None,
    progress: Progress = quiet,
    leave_out_unverified: bool = False,
    chosen: Mapping[str, list[str]] | None = None,
    begin_from: FitResult | None = None,
    leave_one_out: bool = True,
    unverified: bool = True,
    check: bool = True,
    began: float | None = None,
) -> FitResult:
    """As ``fit``, of a model and data that were already read; chosen : "rows" and "without"."""
    began = time.perf_counter() if began is None else began
    executor = None if threads is None or isinstance(threads, int) else threads
    threads = threads if isinstance(threads, int) else None
    missing = unknown_outputs(raw, tuple(system.output_units))
    wanted = selected(raw, **chosen or {}).keep(
        lambda row: not (leave_out_unverified and row.provenance == "unverified")
    )
    everything = in_units(wanted, system)
    check_ranges(everything.rows, system, spec.main, raw.file)
    fitted = [row for row in everything.rows if row.use == "fit"]
    if not fitted:
        detail = "; ".join(list(missing.values())[:3])
        raise DataError(f"{raw.file}: no row can be fitted by {system.name}{': ' + detail if detail else ''}")
    estimated = coordinates(system, spec.main, fitted)
    whole = _objective(spec, system, everything.rows, solve, threads, estimated)
    progress("fit", 0.0, "first evaluation")
    objective, notes = pruned(whole.restricted(lambda row: row.use == "fit"))
    found = _found(objective, spec, begin_from, progress, executor)
    objective, best, posterior = found.search.objective, found.best, found.posterior
    original = {row.id: row for row in raw.rows}
    whole = _objective(
        spec, system, everything.rows, solve, threads, objective.coordinates, reach=objective.reach
    )
    with contextlib.suppress(BadPoint):  # rows beside the fit may lie where the model cannot be simulated
        if objective.sampling is not None and not found.search.interrupted:
            whole = whole.with_sampling(whole.sampling_at(np.array(objective.sampling.at)))
    rows, lost = predict_rows(whole, objective, best, posterior, original)
    judged = criteria(objective, best.x, best.evaluation, simulate=False)
    beside = _Beside(judged, rows, found.search.interrupted, notes=[*notes, *found.notes])
    try:
        if not beside.interrupted:
            beside.assess(objective, best, progress)
            if rival is not None and spec.rival is not None:
                beside.comparison = compare(
                    spec,
                    objective,
                    best,
                    rival,
                    everything,
                    raw,
                    leave_one_out,
                    solve,
                    threads,
                    progress,
                    executor,
                )
            if unverified and not leave_out_unverified:
                beside.unverified = without_unverified(objective, best, posterior, original, spec, progress)
            if check and spec.check is not None:
                beside.check = inner_check(objective, best, posterior, original, spec, spec.check, progress)
    except KeyboardInterrupt:
        beside.interrupted = True
    progress("fit", 1.0, "done")
    provenance = _provenance(spec, system, rival, raw, objective, began, leave_out_unverified)
    provenance |= {key: names for key, names in (chosen or {}).items() if names}
    studies = dict.fromkeys(row.study for row in fitted)
    return _result(spec, system, found, beside, studies, missing | lost, provenance)


def _result(
    spec: FitSpec,
    system: System,
    found: _Found,
    beside: _Beside,
    studies: Iterable[str],
    not_predicted: dict[str, str],
    provenance: dict[str, Any],
) -> FitResult:
    search, best, posterior, judged = found.search, found.best, found.posterior, beside.judged
    objective = search.objective
    ofv = float(best.evaluation.residuals @ best.evaluation.residuals)
    return FitResult(
        name=spec.name,
        title=spec.title,
        model=system.name,
        model_title=system.title,
        converged=best.converged and not search.interrupted,
        interrupted=beside.interrupted,
        message="interrupted: best point so far" if search.interrupted else best.message,
        ofv=ofv,
        ofv_prior=best.cost - ofv,
        minus_2ll=judged.minus_2ll,
        aic=judged.aic,
        bic=judged.bic,
        n_rows=len(objective.rows),
        n_residuals=best.evaluation.residuals.size,
        n_parameters=len(objective.coordinates),
        effective_parameters=judged.parameters,
        informed_directions=posterior.informed,
        condition_number=posterior.condition,
        estimates=found.estimates,
        correlation=nested(posterior.correlation),
        rows=beside.rows,
        starts=tuple(search.starts),
        identifiability=identifiability_of(posterior, found.estimates, found.told),
        bad_points=objective.bad,
        bad_reasons=tuple(dict.fromkeys(objective.reasons)),
        not_predicted=not_predicted,
        notes=(*far_effects(objective, best.x), *spec.notes, *beside.notes),
        values=objective.values(best.x),
        study_values={study: objective.values(best.x, study) for study in studies},
        between=objective.between(best.x),
        noise={name: noise.numbers() for name, noise in objective.noises(best.x).items()},
        covariance=nested(posterior.covariance),
        heterogeneity=beside.heterogeneity,
        n_independent=judged.independent,
        comparison=beside.comparison,
        unverified=beside.unverified,
        check=beside.check,
        provenance=provenance,
    )


@dataclass
class _Beside:
    """What is said of an estimate beside it: an interruption leaves what there is by then."""

    judged: InformationCriteria
    rows: tuple[RowResult, ...]
    interrupted: bool
    heterogeneity: tuple[Heterogeneity, ...] = ()
    comparison: RivalComparison | None = None
    unverified: WithoutUnverified | None = None
    check: InnerCheck | None = None
    notes: list[str] = field(default_factory=list)

    def assess(self, objective: Objective, best: Minimum, progress: Progress) -> None:
        """Study effects integrated out, and what more subjects would change."""
        progress("fit", 1.0, "study effects integrated out")
        self.judged = criteria(objective, best.x, best.evaluation)
        self.heterogeneity = heterogeneity_of(objective, best)
        self.notes += [str(each) for each in self.heterogeneity]
        progress("fit", 1.0, "the same with more subjects")
        self.rows, said = _with_subjects_errors(objective, best, self.rows)
        self.notes += said


@dataclass(frozen=True)
class _Found:
    """What a search has found: its lowest point, how sure the rows are of it, and where it began if that is
    to be said."""

    search: Search
    best: Minimum
    posterior: Posterior
    told: tuple[Told, ...]
    estimates: tuple[Estimate, ...]
    notes: list[str]


def _found(
    objective: Objective,
    spec: FitSpec,
    begin_from: FitResult | None,
    progress: Progress,
    executor: Executor | None,
) -> _Found:
    """Search. Raises ``ConvergenceError`` where there is no lowest point, ``KeyboardInterrupt`` where there
    is none yet."""
    warm, notes = None, []
    if begin_from is not None:
        warm, missing = warm_point(objective.coordinates, begin_from)
        notes = _started_words(spec, begin_from, missing)
    options = spec.options
    search = estimate(
        objective, options.starts, options.seed, options.max_evaluations, progress, "fit", warm, executor
    )
    if search.best is None:
        if search.interrupted:
            raise KeyboardInterrupt
        reason = f": {objective.reasons[-1]}" if objective.reasons else ""
        where = "where the earlier result ended" if begin_from else "at any start drawn from its priors"
        raise ConvergenceError(f"{objective.system.name} cannot be simulated {where}{reason}")
    posterior = posterior_of(search.objective, search.best)
    told = verdicts(search.objective, search.best, posterior)
    estimates = estimates_of(search.objective, search.best, posterior, told)
    return _Found(search, search.best, posterior, told, estimates, notes)


def _started_words(spec: FitSpec, before: FitResult, missing: Sequence[str]) -> list[str]:
    """Where a search began that did not begin at its priors, and what had changed since."""
    told = f"The search had one start, where an earlier result of the fit {before.name} ended."
    if before.name == spec.name and (changed := changed_words(changes(before, spec))):
        told += f" Changed since then: {changed}."
    if missing:
        told += f" At the prior's centre started {', '.join(missing)}."
    return [" ".join(filter(None, (told, version_words(before))))]


def _with_subjects_errors(
    objective: Objective, best: Minimum, rows: tuple[RowResult, ...]
) -> tuple[tuple[RowResult, ...], list[str]]:
    """The rows with what the number of subjects costs them, and a sentence about it where people differ."""
    try:
        errors = subjects_errors(objective, best)
    except BadPoint as reason:
        return rows, [f"What the number of subjects costs could not be measured with more of them: {reason}."]
    if not errors:
        return rows, []
    rows = tuple(replace(row, subjects_error=errors.get(row.id, math.nan)) for row in rows)
    return rows, [subjects_words(objective, errors)]


def _objective(
    spec: FitSpec,
    system: System,
    rows: Sequence[Row],
    solve: Solve | None,
    threads: int | None,
    estimated: tuple[Coordinate, ...],
    reach: Reach | None = None,
) -> Objective:
    return Objective(
        system,
        spec.main,
        rows,
        options=spec.options,
        **spec.errors,
        solve=solve,
        threads=threads,
        estimated=estimated,
        reach=reach,
    )


def _provenance(
    spec: FitSpec,
    system: System,
    rival: System | None,
    raw: Data,
    objective: Objective,
    began: float,
    unverified_left_out: bool,
) -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for name in ("pkpd", "numpy", "numba", "scipy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "versions": versions,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "seed": spec.options.seed,
        "subjects_per_arm": spec.options.subjects,
        "arms": len(objective.plan.arms),
        "rtol": spec.options.rtol,
        "sampling": None if objective.sampling is None else objective.sampling.stated(),
        "ofv_tolerance": spec.options.tolerance,
        "relative_error": spec.relative_error,
        "unverified_left_out": unverified_left_out,
        "data_file": Path(raw.file).name,
        **belongs_to(spec, raw, system.sha256),
        "rival_sha256": rival.sha256 if rival is not None else "",
        "subject_simulations": objective.simulations,
        "run_time_s": time.perf_counter() - began,
    }
