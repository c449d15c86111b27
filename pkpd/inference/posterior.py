"""An optimum -> covariance, intervals, and what the data say about every parameter, in words (Laplace
approximation)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core.normal import Z95
from pkpd.inference.coordinates import Coordinate, slope_of
from pkpd.inference.objective import BadPoint, Evaluation, Objective
from pkpd.inference.result import Estimate, RowResult
from pkpd.inference.search import Minimum, sizes
from pkpd.inference.summary import likelihood
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.rows import Row

Array = NDArray[np.float64]

TIED = 0.95
"""Two parameters with a larger correlation are not told apart."""


@dataclass(frozen=True)
class Posterior:
    """Laplace approximation at an optimum."""

    covariance: Array
    sd: Array
    correlation: Array
    condition: float
    informed: int
    flat: NDArray[np.bool_]
    """coordinates in which neither data nor prior say anything"""


def posterior_of(objective: Objective, minimum: Minimum) -> Posterior:
    steps = sizes(objective, minimum.jacobian)
    data = minimum.evaluation.jacobian
    assert data is not None  # a minimum always has one
    scaled = minimum.jacobian * steps
    _, singular, right = np.linalg.svd(scaled, full_matrices=False)
    if singular.size < steps.size:
        pad = steps.size - singular.size
        singular = np.concatenate([singular, np.zeros(pad)])
        right = (
            np.concatenate([right, np.linalg.svd(right)[2][right.shape[0] :]])
            if right.size
            else np.eye(steps.size)
        )
    largest = max(float(singular.max(initial=0.0)), 1e-300)
    dead = singular < 1e-7 * largest
    inverse = np.where(dead, 0.0, 1 / np.maximum(singular, 1e-300))
    covariance = (right.T * inverse**2) @ right
    flat = (np.abs(right[dead]) > 0.1).any(axis=0) if dead.any() else np.zeros(steps.size, dtype=bool)
    covariance = covariance * steps[:, None] * steps[None, :]
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    sd[flat] = np.inf
    safe = np.where((sd > 0) & np.isfinite(sd), sd, 1.0)
    correlation = covariance / safe[:, None] / safe[None, :]
    prior_sd = np.array(
        [
            c.sd if math.isfinite(c.sd) else 10 * size
            for c, size in zip(objective.coordinates, steps, strict=True)
        ]
    )
    strength = np.linalg.svd(data * prior_sd, compute_uv=False)
    return Posterior(
        covariance,
        sd,
        correlation,
        largest / float(singular[~dead].min()) if not dead.any() else math.inf,
        int((strength > 1).sum()),
        flat,
    )


def _unsurprising(coordinate: Coordinate, x: float) -> float:
    """The SD above which data without a prior say nothing: of a parameter that starts at 0 any interval says
    something."""
    if coordinate.scale != "natural":
        return 1.0
    if coordinate.size is not None:
        return coordinate.size
    return max(abs(x), abs(coordinate.start)) if coordinate.start else math.inf


class Verdict(StrEnum):
    """What the data say about a parameter."""

    INFORMED = "the data inform"
    BOTH = "the data and the prior"
    PRIOR = "mostly the prior"
    UNKNOWN = "not identified"
    AT_BOUND = "at its bound"


class Told(NamedTuple):
    """The verdict on a coordinate, and the one that it is not told apart from, with the correlation."""

    verdict: Verdict
    tied: tuple[str, float] | None = None

    def __str__(self) -> str:
        if self.tied is None:
            return str(self.verdict)
        return f"{self.verdict}; correlated with {self.tied[0]} ({self.tied[1]:+.2f})"


def verdicts(objective: Objective, minimum: Minimum, posterior: Posterior) -> tuple[Told, ...]:
    """Per coordinate, what the data say about it."""
    off = np.abs(posterior.correlation - np.eye(posterior.sd.size))
    found = []
    for i in range(len(objective.coordinates)):
        partner = int(np.argmax(off[i])) if off.shape[0] > 1 else i
        tied = None
        if partner != i and off[i, partner] > TIED:
            tied = objective.coordinates[partner].name, float(posterior.correlation[i, partner])
        found.append(Told(_verdict(objective, minimum, posterior, i), tied))
    return tuple(found)


def _verdict(objective: Objective, minimum: Minimum, posterior: Posterior, i: int) -> Verdict:
    lower, upper = objective.bounds
    coordinate = objective.coordinates[i]
    if minimum.x[i] <= lower[i] + 1e-6 or minimum.x[i] >= upper[i] - 1e-6:
        return Verdict.AT_BOUND
    if posterior.flat[i]:
        return Verdict.UNKNOWN
    if not math.isfinite(coordinate.sd):
        # without a prior the data speak alone: a log-SD of 1 is a factor of 7 either way in a 95% interval
        wide = posterior.sd[i] > _unsurprising(coordinate, float(minimum.x[i]))
        return Verdict.UNKNOWN if wide else Verdict.INFORMED
    ratio = posterior.sd[i] / coordinate.sd
    return Verdict.PRIOR if ratio > 0.9 else Verdict.BOTH if ratio > 0.5 else Verdict.INFORMED


def estimates_of(
    objective: Objective, minimum: Minimum, posterior: Posterior, told: Sequence[Told]
) -> tuple[Estimate, ...]:
    found = []
    for i, c in enumerate(objective.coordinates):
        x, sd = float(minimum.x[i]), float(posterior.sd[i])
        ends = (x - Z95 * sd, x + Z95 * sd)

        value = c.shown(x)
        slope = value if c.scale == "log" else 1.0 if c.kind == "study effect" else slope_of(c.scale, x)
        found.append(
            Estimate(
                name=c.name,
                kind=c.kind,
                target=c.target,
                study=c.study,
                unit=c.unit,
                scale=c.scale,
                prior=c.prior,
                prior_value=c.shown(c.centre),
                value=value,
                rse=100 * abs(slope * sd / value) if value else math.nan,
                lower=c.shown(ends[0]),
                upper=c.shown(ends[1]),
                x=x,
                x_sd=sd,
                shrinkage=sd / c.sd if math.isfinite(c.sd) else math.nan,
                verdict=str(told[i]),
                at_bound=told[i].verdict is Verdict.AT_BOUND,
                source=c.source,
                provenance=c.provenance,
            )
        )
    return tuple(found)


def identifiability_of(posterior: Posterior, estimates: Sequence[Estimate], told: Sequence[Told]) -> str:
    main = [
        (estimate.name, each)
        for estimate, each in zip(estimates, told, strict=True)
        if estimate.kind in ("parameter", "between-subject SD")
    ]

    def listed(verdict: Verdict) -> str:
        return ", ".join(name for name, each in main if each.verdict is verdict) or "none"

    tied = sorted({name for name, each in main if each.tied is not None})
    return " ".join(
        [
            f"The data inform {posterior.informed} of {len(estimates)} directions of the parameter "
            "space more than the priors do.",
            f"Informed by the data: {listed(Verdict.INFORMED)}.",
            f"By data and prior alike: {listed(Verdict.BOTH)}.",
            f"Mostly the prior: {listed(Verdict.PRIOR)}.",
            f"Not identified: {listed(Verdict.UNKNOWN)}.",
            f"At a bound: {listed(Verdict.AT_BOUND)}.",
            f"Not told apart from others (correlation above 0.95): {', '.join(tied) or 'none'}.",
            f"Condition number {posterior.condition:.3g} (above 1000: some combination is hardly "
            "determined).",
        ]
    )


def signed_outputs(objective: Objective, evaluation: Evaluation) -> frozenset[str]:
    """Outputs that fall below 0 somewhere in an arm or a reported number: those of which an interval is none
    of factors."""
    found = {row.output for row in objective.rows if row.measure == "value" and min(row.value, row.lower) < 0}
    for o, name in enumerate(objective.system.output_units):
        if any(float(arm.outputs[..., o].min()) < 0 for arm in evaluation.arms):
            found.add(name)
    return frozenset(found)


def row_results(
    objective: Objective,
    evaluation: Evaluation,
    covariance: Array | None,
    original: Mapping[str, Row],
    signed: frozenset[str] = frozenset(),
) -> tuple[RowResult, ...]:
    """The row table. ``covariance`` is that of the coordinates (None: no intervals), ``signed`` names outputs
    that may be negative."""
    found = []
    contributions = evaluation.contributions()
    for i, (row, measured, term) in enumerate(
        zip(objective.rows, objective.measured, evaluation.terms, strict=True)
    ):
        half = math.nan
        if covariance is not None and evaluation.predicted_jacobian is not None:
            gradient = evaluation.predicted_jacobian[i]
            half = Z95 * math.sqrt(max(0.0, float(gradient @ covariance @ gradient)))
        ends = (term.predicted - half, term.predicted + half)
        kind = KINDS[row.statistic]
        positive = kind.positive or (
            not kind.signed and row.measure in ("value", "fold") and row.output not in signed
        )
        if positive and term.predicted > 0 and math.isfinite(half):  # as a factor: never below zero
            factor = math.exp(min(half / term.predicted, 300.0))
            ends = (term.predicted / factor, term.predicted * factor)
        low, high = likelihood.interval(measured)
        printed = original.get(row.id, row)
        found.append(
            RowResult(
                id=row.id,
                study=row.study,
                arm=row.arm,
                population=row.population,
                n=row.n,
                schedule=row.schedule,
                output=row.output,
                measure=row.measure,
                reducer=row.reducer,
                time=f"{printed.start:g}"
                if not printed.is_window
                else f"{printed.start:g}..{printed.stop:g}",
                time_unit=printed.time_unit,
                statistic=row.statistic,
                likelihood=likelihood.describe(measured),
                unit=row.unit,
                use=row.use,
                observed=likelihood.observed(row),
                observed_lower=low,
                observed_upper=high,
                predicted=term.predicted,
                predicted_lower=ends[0],
                predicted_upper=ends[1],
                residuals=tuple(float(r) for r in term.residuals),
                labels=term.labels,
                contribution=contributions[i],
                source=row.source,
                doi=row.doi,
                provenance=row.provenance,
                note=row.note,
            )
        )
    return tuple(found)


def nested(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in line) for line in matrix)


def predict_rows(
    whole: Objective, objective: Objective, best: Minimum, posterior: Posterior, original: Mapping[str, Row]
) -> tuple[tuple[RowResult, ...], dict[str, str]]:
    """Row table of fitted and check rows; check rows that cannot be simulated come back as sentences."""
    signed = signed_outputs(objective, best.evaluation)
    fitted = row_results(objective, best.evaluation, posterior.covariance, original, signed)
    extra = whole.restricted(lambda row: row.use != "fit")
    lost: dict[str, str] = {}
    if not extra.rows:
        return fitted, lost
    try:
        evaluation = extra.evaluate(best.x, jacobian=True)
        checked = row_results(extra, evaluation, posterior.covariance, original, signed)
    except BadPoint as reason:
        return fitted, {row.id: f"could not be predicted: {reason}" for row in extra.rows}
    return fitted + checked, lost
