"""Who a trial enrols: parameters of patients, the arm that each is allotted to, doses that are missed.

Every number that is drawn belongs to (seed, trial, patient): a trial is the same however many others are
simulated, and its first patients are the same however many it has.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import DataError, PkpdError
from pkpd.core.names import question_or_list
from pkpd.inference.belonging import version_words
from pkpd.inference.draws import PosteriorDraws
from pkpd.inference.population import drawn_points, fitted_model, typical_and_spread, varied
from pkpd.model.correlation import correlation_matrix
from pkpd.simulation.profile import correlated, scattered, typical_values
from pkpd.solver.kernel import Kernel, load
from pkpd.trial.design import CovariateSpread, TrialDesign

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]

PARAMETERS, EVENTS, LEAVING, MISSED, ERRORS, ARMS, RATES, ADVERSE, ENTRY = range(16, 25)
"""Streams of random numbers, beside those of virtual subjects."""


def stream(seed: int, trial: int, what: int, of: int = 0) -> np.random.Generator:
    """Random numbers of a trial for one purpose, to be drawn patient after patient; ``of`` tells apart what
    serves the same purpose."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, trial + 1, of, what]))


@dataclass(frozen=True)
class Recruiting:
    """What patients of all trials are drawn from.

    Attributes
    ----------
    kernel : of the model.
    typical, spread : (n_trials, n_params), typical values and log-SDs between patients in each trial; of one
        row where trials do not differ.
    covariates : place of a parameter, and how it is distributed.
    seed, vary, notes : of the draws, what differs, and sentences that a reader needs.
    """

    kernel: Kernel
    typical: Floats
    spread: Floats
    covariates: tuple[tuple[int, CovariateSpread], ...]
    seed: int
    vary: tuple[str, ...]
    notes: tuple[str, ...]

    def patients(self, trial: int) -> Candidates:
        """Those who come forward for a trial, one after the other."""
        return Candidates(self, trial)


class Candidates:
    """Parameters of the people who come forward for one trial, in their order."""

    def __init__(self, source: Recruiting, trial: int) -> None:
        row = trial % len(source.typical)
        self.source, self.typical, self.spread = source, source.typical[row], source.spread[row]
        self._parameters = stream(source.seed, trial, PARAMETERS)

    def take(self, n: int) -> Floats:
        """The next n, (n, n_params)."""
        kernel = self.source.kernel
        z = self._parameters.standard_normal((n, kernel.n_params))
        z = correlated(kernel.PARAMETERS, kernel.CORRELATIONS, z)
        for place, spread in self.source.covariates:
            self._enrol_part(z, place, spread)
        values = scattered(kernel, self.typical, self.spread, z)
        for place, spread in self.source.covariates:
            drawn = spread.values(z[:, place])
            values[:, place] = np.clip(drawn, kernel.LOWER[place], kernel.UPPER[place])
        return values

    def _enrol_part(self, z: Floats, place: int, spread: CovariateSpread) -> None:
        """Move normal numbers, in place, into the part of the distribution that is enrolled, and what goes
        together with them accordingly."""
        moved = spread.within(z[:, place])
        kernel = self.source.kernel
        with_it = correlation_matrix(kernel.PARAMETERS, kernel.CORRELATIONS)[place]
        shift = moved - z[:, place]
        for other in np.flatnonzero(with_it):
            z[:, other] += with_it[other] * shift
        z[:, place] = moved


def recruiting(
    design: TrialDesign,
    trials: int,
    *,
    seed: int,
    vary: Collection[str],
    posterior: PosteriorDraws | str | os.PathLike[str] | None,
) -> Recruiting:
    """From the model or the fit of a design; with "uncertainty" or "study" each trial has its own draw of the
    estimates or of the effects of a new study."""
    chosen = varied(vary)
    notes: list[str] = []
    if design.fit:
        result, spec, kernel = fitted_model(design.fit)
        notes += [words] if (words := version_words(result)) else []
        n_draws = trials if {"uncertainty", "study"} & set(chosen) else 1
        points = drawn_points(result, chosen, n_draws, seed, posterior, notes)
        typical, spread = typical_and_spread(result, spec, kernel, chosen, points, seed, None, notes)
    else:
        kernel = load(design.model)
        sds = [between[1] if between and "between" in chosen else 0.0 for between in kernel.BETWEEN]
        typical, spread = typical_values(kernel)[None].copy(), np.array([sds], dtype=np.float64)
        if posterior is not None:
            raise DataError(
                f"{design.file} names a model, not a fit, and draws from a posterior are of a fit"
            )
        if "uncertainty" in chosen:
            notes.append("The design names a model, not a fit: every trial has the same typical values.")
    try:
        replaced = typical_values(kernel, dict(design.parameters))
    except PkpdError as error:
        raise DataError(f"{design.file}: [parameters]: {error}") from None
    for place in (kernel.PARAMETERS.index(name) for name in design.parameters):
        typical[:, place] = replaced[place]
        if kernel.KINDS[place] == "covariate":  # it is known of all of them
            spread[:, place] = 0.0
    covariates = tuple((_place(design, kernel, name), given) for name, given in design.covariates.items())
    _check_names(design, kernel)
    return Recruiting(kernel, typical, spread, covariates, seed, chosen, tuple(notes))


def _place(design: TrialDesign, kernel: Kernel, name: str) -> int:
    if name not in kernel.PARAMETERS:
        known = question_or_list(name, kernel.PARAMETERS)
        raise DataError(f'{design.file}: [covariates]: {kernel.NAME} has no covariate "{name}"; {known}')
    return kernel.PARAMETERS.index(name)


def _check_names(design: TrialDesign, kernel: Kernel) -> None:
    """Whether the model has the outputs that are measured, and the hazard."""
    for one in design.measured:
        if one.output not in kernel.OUTPUTS:
            known = question_or_list(one.output, kernel.OUTPUTS)
            raise DataError(f'{design.file}: [measured]: {kernel.NAME} has no output "{one.output}"; {known}')
    if design.event and cumulative_hazard(design.event) not in kernel.OUTPUTS:
        before = cumulative_hazard("")
        hazards = [name.removeprefix(before) for name in kernel.OUTPUTS if name.startswith(before)]
        raise DataError(
            f'{design.file}: [event]: {kernel.NAME} has no hazard "{design.event}"; '
            f"{question_or_list(design.event, hazards)}"
        )


def cumulative_hazard(hazard: str) -> str:
    """The output that is the cumulative hazard of an event."""
    return f"cumulative_hazard_{hazard}"


# --- randomisation


def allotted(
    design: TrialDesign, sizes: tuple[int, ...], values: Floats | None, draw: np.random.Generator
) -> Integers:
    """The arm of each patient, (n,), for arms of these sizes.

    values : (n,), of the covariate that randomisation is stratified by; within each part of it patients are
    dealt in blocks, so that sizes are met on average. None: in one sequence of blocks, which meets them.
    """
    n = sum(sizes)
    part = np.zeros(n, np.int64) if values is None else np.searchsorted(design.cuts, values, side="right")
    # of the design at any size: a larger trial then begins as a smaller one does
    designed = [one.n for one in design.arms]
    unit = np.repeat(np.arange(len(sizes)), [size // math.gcd(*designed) for size in designed])
    times = max(1, design.block // unit.size)
    arm = np.empty(n, np.int64)
    for k in range(int(part.max(initial=0)) + 1):
        who = np.flatnonzero(part == k)
        blocks = [draw.permutation(np.tile(unit, times)) for _ in range(-(-who.size // (times * unit.size)))]
        arm[who] = np.concatenate([*blocks, np.empty(0, np.int64)])[: who.size]
    if values is None:  # the last block may be cut
        counts = np.bincount(arm, minlength=len(sizes))
        short = np.repeat(np.arange(len(sizes)), np.maximum(np.array(sizes) - counts, 0))
        for k in map(int, np.flatnonzero(counts > sizes)):
            last = np.flatnonzero(arm == k)[sizes[k] - counts[k] :]
            arm[last], short = short[: last.size], short[last.size :]
    return arm
