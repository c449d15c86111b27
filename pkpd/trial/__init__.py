"""Clinical trials, simulated: a design in a text file, patients who differ, events and visits, and the
analyses that the trial planned, a thousand times.

    result = simulate_trial("imodals", trials=1000, seed=1)
    result.table()

    survival   Cox regression, log-rank test, Kaplan-Meier curves, event times
    linear     least squares, slopes, ranks
    data       what one trial has seen
    kinds      analyses and published numbers as a design declares them
    courses    doses as courses
    adverse    adverse events by dose
    boundaries when a group-sequential test stops
    monitoring interim looks as a design declares them
    design     the text file
    patients   who is enrolled, and who gets what
    looks      what a trial sees at its looks, and when it stops
    run        one trial
    result     what all of them show

Each file knows those above it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, LIST, NUMBERS, PATH, TEXT, WHOLE, of, takes
from pkpd.core.errors import InputError
from pkpd.core.progress import Progress, counting
from pkpd.inference.draws import PosteriorDraws
from pkpd.solver import spread, usable_cores
from pkpd.solver.kernel import cautions_of
from pkpd.trial.design import TrialDesign, read_design
from pkpd.trial.looks import TrialLooks
from pkpd.trial.patients import recruiting
from pkpd.trial.result import NumberKey, TrialCurves, TrialResult, TrialVisits
from pkpd.trial.run import TrialOutcome, TrialRun

__all__ = ["TrialDesign", "TrialResult", "read_design", "simulate_trial"]

MOST_TRIALS = 1_000_000
TOO_MANY_FAILED = 0.01


@takes(
    design=PATH | of(TrialDesign, words="the design of a trial"),
    trials=COUNT,
    seed=WHOLE,
    vary=TEXT | LIST,
    patients=NUMBERS,
    posterior=PATH | ABSENT | of(PosteriorDraws, words="draws from the posterior"),
    threads=COUNT | ABSENT,
    progress=CALLABLE | ABSENT,
)
def simulate_trial(
    design: TrialDesign | str | os.PathLike[str],
    trials: int = 1000,
    *,
    seed: int = 0,
    vary: Collection[str] = ("between", "uncertainty"),
    patients: Sequence[int] = (),
    posterior: PosteriorDraws | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> TrialResult:
    """Simulate a clinical trial many times: recruit, randomise, treat, follow, measure and analyse.

    Trial k is the same for a seed however many there are, and whatever the threads. After Ctrl-C the trials
    that are done are the result, if there are any.

    Parameters
    ----------
    design : the name or file of a design, or one that was read.
    trials : how many, from 1 on.
    seed : another one gives other trials.
    vary : what differs. "between": patients; "uncertainty": each trial has its own draw of what the fit has
        estimated; "study": and of the effects of a study that the fit has not seen.
    patients : numbers of patients in all at which the same analyses are done too, as of trials that stopped
        recruiting there: power by size.
    posterior : draws from the posterior of the fit, for "uncertainty", in place of the normal approximation.
    threads : how many work at a time; None for as many as this process may use cores.
    progress : called with what is being done, the share that is done, and a remark.

    Returns
    -------
    TrialResult : of each analysis the numbers of all trials, (n_trials,), means at visits, and survival.

    Raises
    ------
    InputError : or one of its kinds: what is wrong in the design, with its key.
    SolverError : where patients cannot be integrated.

    Examples
    --------
    >>> import pkpd
    >>> result = pkpd.simulate_trial("imodals", trials=20, seed=1)
    >>> means = result.numbers["%Treg after the first cycle", "mean", "2 MIU"]
    >>> bool(means.mean() > 2)  # percentage points
    True
    """
    given = design if isinstance(design, TrialDesign) else read_design(design)
    if trials > MOST_TRIALS:
        raise InputError(f"{trials:,} trials are too many: at most {MOST_TRIALS:,} are simulated at once")
    if not 0 <= seed < 2**64:
        raise InputError(f"the seed must be from 0 on and below 2^64, not {seed}")
    source = recruiting(given, trials, seed=seed, vary=vary, posterior=posterior)
    asked = sorted({int(n) for n in patients} - {given.n_patients})
    run = TrialRun(given, source, (tuple(arm.n for arm in given.arms), *(_arms(given, n) for n in asked)))
    done, interrupted = _all(run, trials, threads or usable_cores(), progress)
    kept = [outcome for outcome in done if outcome is not None]
    if not kept:
        raise KeyboardInterrupt
    keys = run.keys
    numbers = np.array([outcome.numbers for outcome in kept]).reshape(len(kept), 1 + len(asked), len(keys))
    return TrialResult(
        design=given,
        trials=len(kept),
        seed=seed,
        vary=source.vary,
        numbers=_by_key(keys, numbers[:, 0]),
        visits=_visits(run, kept),
        curves=_curves(run, kept),
        looks=_looks(run, kept),
        by_size={n: _by_key(keys, numbers[:, i]) for i, n in enumerate(asked, start=1)},
        notes=(*given.notes, *_notes(run, kept)),
        interrupted=interrupted,
        provenance=_provenance(run),
    )


def _arms(design: TrialDesign, patients: int) -> tuple[int, ...]:
    """So many patients in all, as nearly in the proportions of the design as whole numbers can be."""
    exact = [arm.n * patients / design.n_patients for arm in design.arms]
    found = [int(share) for share in exact]
    nearest = sorted(range(len(exact)), key=lambda k: found[k] - exact[k])
    for k in nearest[: patients - sum(found)]:
        found[k] += 1
    if min(found) < 1:
        raise InputError(f"a trial of {patients} patients has none in one of its {len(design.arms)} arms")
    return tuple(found)


def _all(
    run: TrialRun, trials: int, workers: int, progress: Progress | None
) -> tuple[list[TrialOutcome | None], bool]:
    done: list[TrialOutcome | None] = [None] * trials

    def some(first: int, end: int) -> None:
        for trial in range(first, end):
            done[trial] = run.outcome(trial)

    try:
        # one at a time: what is done is kept when the rest is not wanted any more
        spread(some, trials, min(workers, trials), 1, counting(progress, "simulating", "trials"))
    except KeyboardInterrupt:
        return done, True
    return done, False


def _by_key(keys: Sequence[NumberKey], numbers: Any) -> dict[NumberKey, Any]:
    return {key: numbers[:, k].copy() for k, key in enumerate(keys)}


def _visits(run: TrialRun, kept: Sequence[TrialOutcome]) -> TrialVisits:
    kernel = run.recruiting.kernel
    names = tuple(one.output for one in run.design.measured)
    places = [kernel.OUTPUTS.index(name) for name in names]
    described = {one.name: one.description for one in kernel.model.outputs}
    return TrialVisits(
        days=np.array(run.design.visit_days),
        outputs=names,
        units=tuple(kernel.OUTPUT_UNITS[place] for place in places),
        descriptions=tuple(described[name] or name for name in names),
        means=np.array([outcome.means for outcome in kept]),
        sds=np.array([outcome.sds for outcome in kept]),
        seen=np.array([outcome.seen for outcome in kept]),
    )


def _curves(run: TrialRun, kept: Sequence[TrialOutcome]) -> TrialCurves:
    return TrialCurves(
        days=run.grid + run.design.before,
        groups=("all patients", *(stratum.name for stratum in run.design.strata)),
        curves=np.array([outcome.curves for outcome in kept]),
        at_risk=np.array([outcome.at_risk for outcome in kept]),
    )


def _looks(run: TrialRun, kept: Sequence[TrialOutcome]) -> TrialLooks | None:
    plan = run.design.monitoring
    return TrialLooks.of(plan, [outcome.looks for outcome in kept if outcome.looks]) if plan else None


def _notes(run: TrialRun, kept: Sequence[TrialOutcome]) -> list[str]:
    cautions = cautions_of(run.recruiting.kernel)
    notes = [line for line in cautions if line not in run.design.notes] + list(run.recruiting.notes)
    notes += [f"{one.name}: {one.note.rstrip('.')}." for one in run.design.adverse if one.note]
    if failed := sum(outcome.failed for outcome in kept):
        notes.append(f"{failed:,} patients could not be integrated and are missing.")
    if "uncertainty" in run.recruiting.vary and run.design.fit:
        notes.append(
            "Each trial has its own draw of the estimates: shares of significant trials are assurance, the "
            "power averaged over what is not known."
        )
    return notes


def _provenance(run: TrialRun) -> dict[str, Any]:
    from pkpd import __version__

    design = run.design
    return {
        "file": Path(design.file).name,
        "design_sha256": hashlib.sha256(Path(design.file).read_bytes()).hexdigest(),
        "model": run.recruiting.kernel.NAME,
        "fit": design.fit,
        "versions": {"pkpd": __version__, "numpy": np.__version__},
    }
