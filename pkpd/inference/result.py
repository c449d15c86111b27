"""What comes out of a fit, as plain dataclasses: printed, written as JSON and read back."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pkpd.core import files
from pkpd.inference.summary.kinds import KINDS

SAME_OPTIMUM = 0.5
"""Two starts ended in one optimum if their OFVs differ by less."""
AS_GOOD = 2.0
"""What decides nothing: AICs that differ by less, and log densities by less than so many of their SEs."""


@dataclass(frozen=True)
class Estimate:
    """One estimated number. ``x`` and ``x_sd`` are on the scale of the search, ``value`` and the 95% interval
    natural (a study effect is a factor on a log scale, else a shift); ``rse`` in percent; ``shrinkage`` is
    posterior SD / prior SD."""

    name: str
    kind: str
    target: str
    study: str
    unit: str
    scale: str
    prior: str
    prior_value: float
    value: float
    rse: float
    lower: float
    upper: float
    x: float
    x_sd: float
    shrinkage: float
    verdict: str
    at_bound: bool
    source: str
    provenance: str


@dataclass(frozen=True)
class Heterogeneity:
    """The SD between studies of a parameter, on its scale.

    Attributes
    ----------
    parameter, scale, studies : what differs, and how many studies say so.
    sd, lower, upper : its estimate, and a 95 % interval by the profile of the marginal likelihood, of the
        residuals as straight lines around the estimate; a
        ``lower`` of 0 says that the studies may be alike.
    method : "REML" or "ML".
    prior : scale of its half-normal prior; nan without one.
    """

    parameter: str
    scale: str
    studies: int
    sd: float
    lower: float
    upper: float
    method: str
    prior: float

    def __str__(self) -> str:
        prior = f", prior half-normal({self.prior:g})" if math.isfinite(self.prior) else ""
        count = f"{self.studies} {'study' if self.studies == 1 else 'studies'}"
        return (
            f"SD of {self.parameter} between studies, on the {self.scale} scale: {self.sd:.2g} "
            f"(95 % from {self.lower:.2g} to {self.upper:.2g}), of {count} by {self.method}{prior}."
        )


@dataclass(frozen=True)
class RowResult:
    """One number of the data against the fit. ``observed_lower/upper``: 95% interval of the report;
    ``predicted_lower/upper``: 95% interval by the parameters' uncertainty; ``residuals`` as named in
    ``labels``; ``contribution`` their sum of squares; ``subjects_error`` how far the residuals stand from
    those by many more subjects, at most, in standard errors (nan: not measured)."""

    id: str
    study: str
    arm: str
    population: str
    n: int | None
    schedule: str
    output: str
    measure: str
    reducer: str
    time: str
    time_unit: str
    statistic: str
    likelihood: str
    unit: str
    use: str
    observed: float
    observed_lower: float
    observed_upper: float
    predicted: float
    predicted_lower: float
    predicted_upper: float
    residuals: tuple[float, ...]
    labels: tuple[str, ...]
    contribution: float
    source: str
    doi: str
    provenance: str
    note: str
    subjects_error: float = math.nan

    def expected(self) -> tuple[float, float]:
        """95% interval in which a number reported for this row is expected: by the parameters' uncertainty
        and by its own error.

        Of numbers whose errors are those of logarithms it is one of factors. nan where either error is not
        known.
        """
        ends = (self.observed_lower, self.observed_upper, self.predicted_lower, self.predicted_upper)
        of_logs = KINDS[self.statistic].on_log or self.statistic == "range"
        if of_logs and min(*ends, self.predicted) > 0:
            half = math.hypot(math.log(ends[1] / ends[0]) / 2, math.log(ends[3] / ends[2]) / 2)
            return self.predicted / math.exp(half), self.predicted * math.exp(half)
        half = math.hypot((ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2)
        return self.predicted - half, self.predicted + half

    def as_expected(self) -> bool | None:
        """Whether the reported number lies where it is expected; None where that is not known."""
        low, high = self.expected()
        return low <= self.observed <= high if math.isfinite(high - low) else None


@dataclass(frozen=True)
class StartResult:
    """One start of the search: where it began (OFV with priors), where it ended and why."""

    first: float
    last: float
    evaluations: int
    converged: bool
    message: str


@dataclass(frozen=True)
class StudyLeftOut:
    """Leave-one-study-out: ``log_density`` is the predictive log density of the study's rows by a fit without
    them."""

    study: str
    rows: int
    residuals: int
    log_density: float
    chi_square: float
    """squared distance of the residuals in units of their predictive covariance; about ``residuals`` if well
    predicted"""
    converged: bool


@dataclass(frozen=True)
class ModelScore:
    """How one model does on the rows that both can predict, fitted to just these."""

    model: str
    title: str
    ofv: float
    minus_2ll: float
    parameters: int
    effective_parameters: float
    aic: float
    bic: float
    log_density: float
    converged: bool
    left_out: tuple[StudyLeftOut, ...]
    independent: int = 0


class Preference(StrEnum):
    """For which of two models the data speak."""

    MAIN = "for the model"
    RIVAL = "for the rival"
    NEITHER = "for neither"


@dataclass(frozen=True)
class RivalComparison:
    """The model against its rival."""

    rows: tuple[str, ...]
    only_main: tuple[str, ...]
    main: ModelScore
    rival: ModelScore
    log_density_difference: float
    log_density_difference_se: float

    @property
    def verdict(self) -> Preference:
        """By studies left out, if there are several, else by AIC; for neither where they are ``AS_GOOD``."""
        difference, least = self.log_density_difference, AS_GOOD * self.log_density_difference_se
        if not math.isfinite(least):
            difference, least = self.rival.aic - self.main.aic, AS_GOOD
        if abs(difference) < least or difference == 0:
            return Preference.NEITHER
        return Preference.MAIN if difference > 0 else Preference.RIVAL

    def words(self) -> str:
        """By how much either is better, in a sentence."""
        aic, bic = self.rival.aic - self.main.aic, self.rival.bic - self.main.bic
        total, se = self.log_density_difference, self.log_density_difference_se

        def which(difference: float) -> str:
            return f"for {self.main.model}" if difference > 0 else f"for {self.rival.model}"

        text = (
            f"On {len(self.rows)} rows that both can predict: AIC differs by {abs(aic):.1f} {which(aic)}, "
            f"BIC by {abs(bic):.1f} {which(bic)}"
        )
        if math.isfinite(total):
            sure = "" if not math.isfinite(se) else f" (SE {se:.1f})"
            text += f"; left-out studies are predicted better by {abs(total):.1f}{sure} in log density "
            text += which(total)
            if math.isfinite(se) and abs(total) < AS_GOOD * se:
                text += ", which is within two standard errors"
        return text + "."


@dataclass(frozen=True)
class Change:
    """A parameter in the fit and in a fit to fewer rows; ``shift`` in posterior SDs of the fit."""

    name: str
    value: float
    other: float
    shift: float


@dataclass(frozen=True)
class Refit:
    """A fit to fewer rows: what it leaves out, what changes, and how it predicts what it left out."""

    title: str
    left_out: tuple[str, ...]
    ofv: float
    converged: bool
    changes: tuple[Change, ...]
    predicted: tuple[RowResult, ...]


class Reliance(StrEnum):
    """Whether estimates rest on the rows that are left out: one moves by more than an SD without them."""

    RELIES = "estimates move"
    STANDS = "estimates stay"


@dataclass(frozen=True)
class WithoutUnverified(Refit):
    """The fit without the rows that are unverified."""

    @property
    def moved(self) -> tuple[Change, ...]:
        """What changes by more than one posterior SD."""
        return tuple(change for change in self.changes if abs(change.shift) > 1)

    @property
    def verdict(self) -> Reliance:
        return Reliance.RELIES if self.moved else Reliance.STANDS

    def words(self, n_rows: int) -> str:
        """What moves, in a sentence; n_rows : of the fit."""
        told = ", ".join(f"{c.name} {c.value:.3g} -> {c.other:.3g}" for c in self.moved) or "none"
        return (
            f"{len(self.left_out)} of {n_rows} rows are unverified. Without them these move by more than one "
            f"SD: {told}."
        )


class Foreseen(StrEnum):
    """Whether all numbers that were left out lie where the fit to the others expects them."""

    WITHIN = "within"
    OUTSIDE = "outside"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class InnerCheck(Refit):
    """Rows that are predicted by the fit to the others."""

    @property
    def verdict(self) -> Foreseen:
        """``OUTSIDE`` if one number is; ``UNKNOWN`` if none is and of one it cannot be said."""
        told = [row.as_expected() for row in self.predicted]
        if False in told:
            return Foreseen.OUTSIDE
        return Foreseen.WITHIN if told and None not in told else Foreseen.UNKNOWN

    def words(self) -> str:
        """A sentence for each row."""
        return " ".join(map(_prediction_words, self.predicted)) or "could not be simulated"


def _prediction_words(row: RowResult) -> str:
    text = (
        f"{row.id}: predicted {row.predicted:.3g} ({row.predicted_lower:.3g} to "
        f"{row.predicted_upper:.3g}), observed {row.observed:.3g}"
    )
    inside = row.as_expected()
    if inside is None:
        return text + "."
    low, high = row.expected()
    what = "with the reported number's own error the prediction ranges from"
    return f"{text}; {what} {low:.3g} to {high:.3g}, and the number lies {'within' if inside else 'outside'}."


@dataclass(frozen=True)
class FitResult:
    """All that came out of a fit. ``summary()`` prints it, ``write_json`` keeps it, ``read_json`` gets it
    back.

    ``ofv`` is the sum of squares of the data residuals, ``ofv_prior`` that of the priors; ``minus_2ll`` is -2
    log likelihood of the data with all constants and with study effects integrated out. AIC and BIC are of
    this marginal likelihood, with the effective number of parameters (the trace of their hat matrix, so that
    what a prior holds counts in part) and that of the SDs between studies that were estimated; BIC counts
    the ``n_independent`` groups of rows that are independent of each other.

    Attributes
    ----------
    name, title, model, model_title : of the fit, and of the model that was fitted.
    converged, interrupted, message : how the search ended.
    starts : of each where it began and ended.
    ofv, ofv_prior, minus_2ll, aic, bic : as above.
    n_rows, n_residuals, n_parameters, n_independent : numbers that were fitted, residuals (of some rows
        several), estimates, and groups of rows that are independent of each other.
    effective_parameters : the trace of the hat matrix.
    informed_directions, condition_number : in how many directions of the parameter space the data say more
        than the priors, and how far apart the best and the least known direction are.
    identifiability : both in words, and which estimates are known by what.
    bad_points, bad_reasons : how often the model could not be simulated on the way, and why.
    estimates : of each what was estimated: ``name``, ``value``, ``unit``, the 95 % interval from ``lower`` to
        ``upper``, ``rse`` in %, ``prior``, ``shrinkage`` and the ``verdict`` whether the data inform it.
    correlation, covariance : (n_estimates, n_estimates), of the estimates' ``x`` (on their scales).
    rows : of each row of the data what was observed and what is predicted, in its unit, and its residuals.
    not_predicted : row to reason.
    values : name to value, typical parameters in the model's units, without study effects.
    study_values : study to the same with its effects.
    between : name to log-SD between people: the square roots of OMEGA's diagonal (the
        model states correlations).
    noise : output to the numbers of its residual error.
    notes : sentences that a reader needs.
    heterogeneity : the SDs between studies that were estimated.
    comparison, unverified, check : the rival model, the refit without unverified rows, and the inner check;
        None where they were not asked for.
    provenance : what it was made from; ``sampling`` of it is how residuals are scored and correlated, as
        trials simulated at a point have it (``Sampling.stated``), None: as their columns say.

    Examples
    --------
    >>> import pkpd
    >>> from pkpd.core.library import root
    >>> result = pkpd.FitResult.read_json(root() / "fits" / "low_dose_il2" / "result.json")
    >>> result.converged, result.model
    (True, 'il2_treg')
    >>> one = result.estimates[0]
    >>> f"{one.name}: {one.value:.2f}, 95 % from {one.lower:.2f} to {one.upper:.2f}"
    'F_sc: 0.41, 95 % from 0.30 to 0.57'
    """

    name: str
    title: str
    model: str
    model_title: str
    converged: bool
    interrupted: bool
    message: str
    ofv: float
    ofv_prior: float
    minus_2ll: float
    aic: float
    bic: float
    n_rows: int
    n_residuals: int
    n_parameters: int
    effective_parameters: float
    informed_directions: int
    condition_number: float
    estimates: tuple[Estimate, ...]
    correlation: tuple[tuple[float, ...], ...]
    rows: tuple[RowResult, ...]
    starts: tuple[StartResult, ...]
    identifiability: str
    bad_points: int
    bad_reasons: tuple[str, ...]
    not_predicted: dict[str, str]
    notes: tuple[str, ...]
    values: dict[str, float]
    study_values: dict[str, dict[str, float]]
    between: dict[str, float]
    noise: dict[str, dict[str, float]]
    covariance: tuple[tuple[float, ...], ...]
    comparison: RivalComparison | None
    unverified: WithoutUnverified | None
    check: InnerCheck | None
    provenance: dict[str, Any]
    heterogeneity: tuple[Heterogeneity, ...] = ()
    n_independent: int = 0

    def __repr__(self) -> str:
        state = "converged" if self.converged else "interrupted" if self.interrupted else "not converged"
        return (
            f"<FitResult {self.name} of {self.model}: {state}, OFV {self.ofv:.1f}, {self.n_rows} "
            f"rows, {len(self.estimates)} estimates; "
            "summary() has them>"
        )

    def _repr_html_(self) -> str:
        from pkpd.core import html

        columns = ("estimate", "value", "unit", "95 % from", "to", "RSE, %", "verdict")
        rows = [
            (one.name, one.value, one.unit, one.lower, one.upper, one.rse, one.verdict)
            for one in self.estimates
        ]
        note = "Rows marked unverified stay marked: summary() has everything. A model, not medical advice."
        return html.table(repr(self)[1:-1], columns, rows, note)

    def asides(self) -> dict[str, str]:
        """What was found beside the fit, in words: of the ``rival``, ``unverified`` rows and the ``check``,
        where they were asked for."""
        words = {}
        if self.comparison is not None:
            words["rival"] = self.comparison.words()
        if self.unverified is not None:
            words["unverified"] = self.unverified.words(self.n_rows)
        if self.check is not None:
            words["check"] = self.check.words()
        return words

    def summary(self) -> str:
        """A page of text for a terminal."""
        return _summary(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return dataclasses.asdict(self)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON: whole or not at all."""
        files.write_json(path, self.to_dict())

    @staticmethod
    def read_json(path: str | os.PathLike[str]) -> FitResult:
        """Read what ``write_json`` wrote. Raises ``DataError`` if the file is something else."""
        result = files.read_json(path, "a fit", functools.partial(_rebuild, FitResult))
        assert isinstance(result, FitResult)
        return result


_NESTED: dict[str, type] = {
    "estimates": Estimate,
    "heterogeneity": Heterogeneity,
    "rows": RowResult,
    "predicted": RowResult,
    "starts": StartResult,
    "left_out": StudyLeftOut,
    "changes": Change,
    "main": ModelScore,
    "rival": ModelScore,
    "comparison": RivalComparison,
    "unverified": WithoutUnverified,
    "check": InnerCheck,
}


def _rebuild(kind: type, values: Any) -> Any:
    """A result dataclass from its JSON: lists become tuples, null becomes nan where a number belongs."""
    if not isinstance(values, dict):
        raise ValueError(f"a {kind.__name__} is missing")
    arguments = {}
    for item in dataclasses.fields(kind):
        if item.name not in values and item.default is not dataclasses.MISSING:
            continue  # a file of an earlier version
        value = values[item.name]
        nested = _NESTED.get(item.name)
        if isinstance(value, list) and nested is not None and all(isinstance(part, dict) for part in value):
            value = tuple(_rebuild(nested, part) for part in value)
        elif isinstance(value, dict) and nested is not None:
            value = _rebuild(nested, value)
        elif value is None and str(item.type) == "float":
            value = math.nan
        arguments[item.name] = _tuples(value)
    return kind(**arguments)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in (header, *lines)) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (header, *lines)
    ]


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def _summary(result: FitResult) -> str:
    lines = [*_summary_of_the_search(result), "", *_summary_of_the_estimates(result), ""]
    lines += [result.identifiability, "", *_summary_of_the_rows(result), *result.notes]
    if result.comparison is not None:
        lines += ["", *_summary_of_the_rival(result.comparison)]
    words = result.asides()
    lines += [
        line
        for name, refit in (("unverified", result.unverified), ("check", result.check))
        if refit is not None
        for line in ("", f"{refit.title}: {words[name]}")
    ]
    provenance = result.provenance
    seconds = f", {provenance['run_time_s']:.0f} s" if "run_time_s" in provenance else ""
    lines += [
        "",
        f"seed {provenance['seed']}, {provenance['subjects_per_arm']} subjects in each of "
        f"{provenance['arms']} arms, "
        f"rtol {provenance['rtol']:g}{seconds}",
    ]
    return "\n".join(lines)


def _summary_of_the_search(result: FitResult) -> list[str]:
    state = "interrupted" if result.interrupted else "converged" if result.converged else "not converged"
    lines = [
        f"{result.title}",
        f"model {result.model}: {result.model_title}",
        "",
        f"{state} ({result.message}); {result.n_rows} rows, {result.n_residuals} residuals, "
        f"{result.n_parameters} estimated",
        f"OFV {result.ofv:.2f} (data) + {result.ofv_prior:.2f} (priors); -2LL {result.minus_2ll:.2f}; "
        f"AIC {result.aic:.2f}, BIC {result.bic:.2f} with {result.effective_parameters:.1f} "
        f"effective parameters and {result.n_independent} independent groups of rows",
    ]
    ends = [start.last for start in result.starts]
    if ends:
        same = sum(end - min(ends) < SAME_OPTIMUM for end in ends)
        lines.append(
            f"starts: {len(ends)}, of which {same} ended in the best optimum; OFV with priors "
            f"{', '.join(f'{e:.2f}' for e in ends)}"
        )
    if result.bad_points:
        lines.append(
            f"bad points: {result.bad_points} ({result.bad_reasons[0] if result.bad_reasons else ''})"
        )
    return lines


def _summary_of_the_estimates(result: FitResult) -> list[str]:
    return _table(
        ("parameter", "estimate", "95% interval", "RSE %", "unit", "prior", "shrinkage", "verdict"),
        [
            (
                e.name,
                _number(e.value),
                f"{_number(e.lower)} to {_number(e.upper)}",
                _number(e.rse, 2),
                e.unit,
                e.prior,
                _number(e.shrinkage, 2),
                e.verdict,
            )
            for e in result.estimates
        ],
    )


def _summary_of_the_rows(result: FitResult) -> list[str]:
    columns = "row,use,observed,predicted,95% of prediction,unit,residuals,part of OFV,provenance"
    lines = _table(
        columns.split(","),
        [
            (
                r.id,
                r.use,
                _number(r.observed),
                _number(r.predicted),
                f"{_number(r.predicted_lower)} to {_number(r.predicted_upper)}",
                r.unit,
                " ".join(f"{value:+.2f}" for value in r.residuals),
                f"{r.contribution:.2f}",
                r.provenance,
            )
            for r in result.rows
        ],
    )
    return lines + [f"not predicted: {name}: {reason}" for name, reason in result.not_predicted.items()]


def _summary_of_the_rival(comparison: RivalComparison) -> list[str]:
    return [
        "rival: " + comparison.words(),
        *_table(
            ("model", "OFV", "-2LL", "estimated", "effective", "AIC", "BIC", "left-out log density"),
            [
                (
                    score.model,
                    f"{score.ofv:.1f}",
                    f"{score.minus_2ll:.1f}",
                    str(score.parameters),
                    f"{score.effective_parameters:.1f}",
                    f"{score.aic:.1f}",
                    f"{score.bic:.1f}",
                    _number(score.log_density, 4),
                )
                for score in (comparison.main, comparison.rival)
            ],
        ),
    ]
