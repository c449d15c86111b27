"""A fit and numbers that it has not seen -> what it had predicted of them, and how sure.

    found = validate("low_dose_il2", "new.csv")
    print(found.summary())

Nothing is fitted: the result of the fit is enough. Of every row the prediction has four variances, to first
order in what is estimated: of the parameters (their covariance), of a study that the fit has not seen (the
SDs of study effects), of the patients whom the arm happens to have, and the rest of the sampling error
(errors of measurement, or an error that was assumed). ``predictive`` has the distribution that follows.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, FLAG, PATH, of, takes
from pkpd.core.errors import ConvergenceError, DataError, InputError
from pkpd.core.files import write_json, write_rows
from pkpd.core.progress import Progress, quiet
from pkpd.inference import FitResult
from pkpd.inference.belonging import version_words
from pkpd.inference.calibration import usual
from pkpd.inference.coordinates import Coordinate, System, check_ranges, coordinates, in_units
from pkpd.inference.influence import predictive_density
from pkpd.inference.objective import BadPoint, Evaluation, Objective
from pkpd.inference.optimum import read_result
from pkpd.inference.posterior import signed_outputs
from pkpd.inference.predictive import LEVELS, BetweenEnds, Counted, Located, Predictive
from pkpd.inference.spec import FitSpec, StudyEffect
from pkpd.inference.summary import likelihood
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.reading import read_data, unknown_outputs
from pkpd.inference.summary.rows import Data, Row
from pkpd.inference.summary.samples import Samples
from pkpd.inference.summary.sampling import Score
from pkpd.inference.summary.terms import Measured, Term

Array = NDArray[np.float64]

ADVICE = "A model, not medical advice."
EXPECTED_CRPS = 1 / math.sqrt(math.pi)
"""Mean CRPS, in SDs of the prediction, of normal numbers that come as expected."""
ROUNDING = 1e-9
"""Of a number, what rounding leaves of a prediction that is nought, such as a change under placebo."""
BETWEEN_ENDS = ("lower_bound", "upper_bound", "interval", "reported_floor")
"""Kinds of rows that report no number but where it lies."""


@dataclass(frozen=True)
class ValidatedRow:
    """A number beside what was predicted of it, in the row's unit.

    Attributes
    ----------
    id, line, study, arm, n, schedule, output, measure, reducer, time, time_unit, statistic, unit,
        provenance : of the row.
    new_study : whether the fit has not seen its study.
    observed, predicted : the number (of an interval its middle, of a bound or floor that), and what was
        predicted of it.
    intervals : (level, low, high) of the central intervals of the number, ``LEVELS``; empty where the kind of
        row has none.
    shares : of each interval, the probability that the number lies in it: 0 or 1 where the number is
        reported; of a bound, a floor or an interval given that it lies between these ends.
    lower, upper : these ends; nan where open, both where the number itself is reported.
    sd_parameters, sd_new_study, sd_patients, sd_sampling : the parts of the prediction's variance, as SDs.
    sd : of all.
    deviation : (predicted - observed) in SDs, by the normal quantile of ``pit``.
    pit : probability of a smaller number, uniform where numbers come as predicted; of a floor or interval
        that of less and half of that of the same (nan: of a bound).
    log_score : logarithm of the predictive density of the number (of a count, bound, floor or interval of its
        probability).
    crps : continuous ranked probability score, smaller is better (nan: the kind has none).
    """

    id: str
    line: int
    study: str
    arm: str
    n: int | None
    schedule: str
    output: str
    measure: str
    reducer: str
    time: str
    time_unit: str
    statistic: str
    unit: str
    provenance: str
    new_study: bool
    observed: float
    predicted: float
    intervals: tuple[tuple[float, float, float], ...]
    shares: tuple[float, ...]
    lower: float
    upper: float
    sd_parameters: float
    sd_new_study: float
    sd_patients: float
    sd_sampling: float
    sd: float
    deviation: float
    pit: float
    log_score: float
    crps: float

    def share(self, level: float) -> float | None:
        """Probability that the number lies in an interval, given what is reported; None without one."""
        for (known, _, _), share in zip(self.intervals, self.shares, strict=True):
            if known == level:
                return share
        return None

    def inside(self, level: float) -> bool | None:
        """Whether the number lies in an interval (of a bound, floor or interval: whether that is more likely
        than not); None without one."""
        share = self.share(level)
        return None if share is None else share >= 0.5

    @property
    def reported(self) -> str:
        """As words: the number, or between which ends it lies."""
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            return f"{self.lower:.3g} to {self.upper:.3g}"
        bound = {"lower_bound": "at least ", "upper_bound": "at most "}.get(self.statistic, "")
        return f"{bound}{self.observed:.3g}"


@dataclass(frozen=True)
class Ordering:
    """Of two rows of the same kind, which number is larger: ``probability`` that of ``first``, as predicted;
    ``held`` whether it was (None: they are equal)."""

    first: str
    second: str
    probability: float
    held: bool | None


@dataclass(frozen=True)
class Validation:
    """Rows beside what a fit had predicted of them. ``summary()`` prints it, ``write_json`` keeps it,
    ``read_json`` gets it back.

    Attributes
    ----------
    fit, title, file : of the fit, and the new data.
    rows : one for each number that the model predicts.
    orderings : for pairs of rows that report the same of the same output.
    log_density : of all numbers together, their spreads too, with what they share (parameters, study effects,
        patients) correlated, as in leave-one-study-out.
    chi_square : their squared distance, about ``n_residuals`` if well predicted.
    not_predicted : row to reason.
    notes : sentences that a reader needs, those of the fit (``notes`` of its fit.toml) first.

    Examples
    --------
    >>> import pkpd
    >>> from pkpd.core.library import root
    >>> from pkpd.inference.summary.reading import read_data
    >>> data = read_data(root() / "fits" / "low_dose_il2" / "data.csv")
    >>> found = pkpd.validate("low_dose_il2", data.keep(lambda row: row.id == "imodals_d8_2miu"), seen=True)
    >>> found.coverage(0.95)  # inside, of how many
    (1, 1)
    """

    fit: str
    title: str
    file: str
    rows: tuple[ValidatedRow, ...]
    orderings: tuple[Ordering, ...]
    log_density: float
    chi_square: float
    n_residuals: int
    not_predicted: dict[str, str]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Validation of {self.fit}: {len(self.rows)} rows of {self.file}; {self.verdict}>"

    def _repr_html_(self) -> str:
        columns = ("row", "study", "unit", "reported", "predicted", "95 % from", "to", "deviation, SD")
        rows = []
        for row in self.rows:
            low, high = next((ends for level, *ends in row.intervals if level == 0.95), (math.nan, math.nan))
            said = (row.id, row.study, row.unit, row.reported)
            rows.append((*said, row.predicted, low, high, row.deviation))
        note = " ".join((self.scores(), *self.notes, ADVICE))
        return html.table(repr(self)[1:-1], columns, rows, note)

    def __getitem__(self, name: str) -> ValidatedRow:
        for row in self.rows:
            if row.id == name:
                return row
        raise KeyError(name)

    def coverage(self, level: float) -> tuple[float, int]:
        """Of how many numbers that have an interval of this level it holds how many; of what lies between two
        ends, the share that is expected to."""
        told = [share for row in self.rows if (share := row.share(level)) is not None]
        return sum(told), len(told)

    @property
    def verdict(self) -> str:
        """How many numbers lie in their intervals, beside how many were to be expected."""
        parts = []
        for level in LEVELS:
            inside, count = self.coverage(level)
            parts.append(f"{round(inside, 1):g} of {count} in their {100 * level:g} % interval")
        low, high = usual(self.coverage(0.9)[1], 0.9)
        return f"{'; '.join(parts)} (of 90 %, {low} to {high} are usual for independent numbers)"

    def summary(self) -> str:
        """A line for each number, and what they say together."""
        lines = [f"{row.id}: {_row_words(row)}" for row in self.rows]
        lines += [f"not predicted: {name}: {reason}" for name, reason in self.not_predicted.items()]
        lines += [f"{self.verdict}.", self.scores(), *self.ordering_words(), *self.notes]
        return "\n".join([f"{self.title}: {self.file}", *lines])

    def scores(self) -> str:
        """The scores of all numbers in a sentence."""
        crps = [row.crps / row.sd for row in self.rows if math.isfinite(row.crps) and row.sd > 0]
        told = f"Log density of all numbers together {self.log_density:.2f}; squared distance "
        told += f"{self.chi_square:.1f} for {self.n_residuals} residuals"
        if crps:
            told += (
                f"; mean CRPS {np.mean(crps):.2f} SD of the prediction (about {EXPECTED_CRPS:.2f} expected)"
            )
        return told + "."

    def ordering_words(self) -> list[str]:
        """How the predicted orderings did, in a sentence."""
        told = [each for each in self.orderings if each.held is not None]
        if not told:
            return []
        right = sum(bool(each.held) for each in told)
        expected = sum(each.probability for each in told)
        return [
            f"{right} of {len(told)} pairs are ordered as predicted ({expected:.1f} expected by their "
            "probabilities)."
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return dataclasses.asdict(self) | {"advice": ADVICE}

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON: whole or not at all."""
        write_json(path, self.to_dict())

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """A line for each row, whole or not at all: what ``ValidatedRow`` has, the ends of each interval and
        the probability that the number lies in it."""
        records = [_flat(row) for row in self.rows]
        about = {"fit": self.fit, "title": self.title, "data": self.file}
        left_out = (f"not predicted: {name}: {reason}" for name, reason in self.not_predicted.items())
        said = (f"{self.verdict}.", self.scores(), *self.ordering_words(), *left_out, *self.notes, ADVICE)
        write_rows(path, _CSV_COLUMNS, records, about=about, remarks=said)

    @staticmethod
    def read_json(path: str | os.PathLike[str]) -> Validation:
        """Read what ``write_json`` wrote. Raises ``DataError`` if the file is something else."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            values["rows"] = tuple(_row_from(each) for each in values["rows"])
            values["orderings"] = tuple(Ordering(**each) for each in values["orderings"])
            values["notes"] = tuple(values["notes"])
            values.pop("advice", None)
            return Validation(**values)
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is not the JSON of a validation: {error}") from None


_LISTED = ("intervals", "shares")
_CSV_COLUMNS = (
    *(name for name in ValidatedRow.__annotations__ if name not in _LISTED),
    *(f"{level:g} {what}" for level in LEVELS for what in ("low", "high", "share")),
)


def _flat(row: ValidatedRow) -> dict[str, Any]:
    """A row of the CSV file: intervals that the kind of row has not are nan."""
    record: dict[str, Any] = dict.fromkeys(_CSV_COLUMNS, math.nan)
    record |= {name: value for name, value in vars(row).items() if name not in _LISTED}
    for (level, low, high), share in zip(row.intervals, row.shares, strict=True):
        record |= {f"{level:g} low": low, f"{level:g} high": high, f"{level:g} share": share}
    return record


def _row_from(values: Mapping[str, Any]) -> ValidatedRow:
    """A row from its JSON, in which a number that JSON does not have is null."""
    found: dict[str, Any] = {
        key: math.nan if value is None and key != "n" else value for key, value in values.items()
    }
    found["intervals"] = tuple(tuple(part) for part in found["intervals"])
    found["shares"] = tuple(found["shares"])
    return ValidatedRow(**found)


def _row_words(row: ValidatedRow) -> str:
    told = f"predicted {row.predicted:.3g}"
    for level, low, high in row.intervals:
        if level == 0.95:
            told += f" ({low:.3g} to {high:.3g})"
    within = {True: ", within", False: ", outside", None: ""}[row.inside(0.95)]
    return f"{told}, reported {row.reported}{'' if row.unit == '1' else f' {row.unit}'}{within}"


@takes(
    fit=PATH | of(FitResult, words="the result of a fit"),
    data=PATH | of(Data, words="what read_data gives"),
    seen=FLAG,
    subjects=COUNT | ABSENT,
    threads=COUNT | ABSENT,
    progress=CALLABLE | ABSENT,
)
def validate(
    fit: FitResult | str | os.PathLike[str],
    data: str | os.PathLike[str] | Data,
    *,
    seen: bool = False,
    subjects: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Validation:
    """What a fit had predicted of numbers that it has not seen, and how the numbers do against it.

    Parameters
    ----------
    fit : a result, its file, or the name or folder of a fit; of a folder it is the result that lies there, if
        it belongs to model and data as they are, else the fit is made first.
    data : a file in the columns of data.csv; rows with use "context" are passed over.
    seen : predicts also rows that report what a row of the fit reports; else they are refused.
    subjects : in each arm (None: as many as the fit had).
    threads : how many work at a time, by default as many as this process may use cores.
    progress : called with (what, share, remark).

    Returns
    -------
    Validation : rows with intervals of 50, 90 and 95 %, variances by where they come from, scores (Gneiting &
        Raftery 2007, J Am Stat Assoc 102:359) and orderings.

    Raises
    ------
    InputError : or one of its kinds: no such fit, data that are wrong, a row that is in the fit already.
    ConvergenceError : an arm of the new rows cannot be simulated at the estimates.

    Examples
    --------
    Of a number of the fit itself, which has to be allowed:

    >>> import pkpd
    >>> from pkpd.core.library import root
    >>> from pkpd.inference.summary.reading import read_data
    >>> data = read_data(root() / "fits" / "low_dose_il2" / "data.csv")
    >>> found = pkpd.validate("low_dose_il2", data.keep(lambda row: row.id == "piscitelli_cmax"), seen=True)
    >>> row = found["piscitelli_cmax"]
    >>> f"{row.observed:.1f} {row.unit}", row.inside(0.95)
    ('49.7 IU/mL', True)
    """
    progress = progress or quiet
    raw = data if isinstance(data, Data) else read_data(Path(data))
    result, spec = read_result(fit, threads=threads, progress=progress)
    progress("prediction", -1.0, raw.file)
    system = System.of(spec.main)
    fitted_ids = {row.id for row in result.rows if row.use == "fit"}
    fitted = [row for row in in_units(read_data(spec.data), system).rows if row.id in fitted_ids]
    rows = in_units(raw, system).rows
    check_ranges(rows, system, spec.main, raw.file)
    if not seen:
        _check_unseen(raw.file, rows, fitted, spec)
    missing = unknown_outputs(raw, tuple(system.output_units))
    if not rows:
        detail = "; ".join(list(missing.values())[:3])
        raise DataError(
            f"{raw.file}: no row can be predicted by {system.name}{': ' + detail if detail else ''}"
        )
    world = _World.of(result, spec, system, fitted, rows, subjects, threads)
    original = {row.id: row for row in raw.rows}
    found = [_Expected.of(world, i) for i in range(len(rows))]
    log_density, chi_square = predictive_density(world.evaluation, world.covariance)
    return Validation(
        fit=result.name,
        title=result.title,
        file=Path(raw.file).name,
        rows=tuple(_validated(each, original[each.row.id], world) for each in found),
        orderings=_orderings(found, world),
        log_density=log_density,
        chi_square=chi_square,
        n_residuals=world.evaluation.residuals.size,
        not_predicted=missing,
        notes=(*spec.notes, *(words for words in (version_words(result), _study_words(world)) if words)),
    )


def _check_unseen(file: str, rows: Sequence[Row], fitted: Sequence[Row], spec: FitSpec) -> None:
    """Raise ``DataError`` for rows that report what a row of the fit reports, whatever they are called."""
    known = {_reports(row): row for row in fitted}
    twice = [(row, known[_reports(row)]) for row in rows if _reports(row) in known]
    if twice:
        told = "; ".join(
            f'line {row.line} (row "{row.id}") is row "{old.id}", line {old.line} of {spec.data.name}'
            for row, old in twice[:5]
        )
        more = f"; and {len(twice) - 5} more" if len(twice) > 5 else ""
        raise DataError(
            f"{file}: {told}{more}: the fit has seen it, which makes no validation (--also-seen predicts it "
            "all the same)"
        )


def _reports(row: Row) -> tuple[object, ...]:
    """What a row is the number of."""
    at = (round(row.start, 9), round(row.stop, 9), row.visits)
    what = (*row.outputs, row.measure, row.reducer, row.statistic, repr(row.effect), repr(row.level))
    return row.study, row.arm, row.schedule, row.overrides, *at, *what


@dataclass(frozen=True)
class _World:
    """The new rows at the estimates of a fit: their objective, with an effect for every study that the fit
    has not seen; x, its covariance, and what they evaluate to."""

    result: FitResult
    objective: Objective
    x: Array
    covariance: Array
    new: NDArray[np.bool_]
    """of coordinates: effects of new studies"""
    evaluation: Evaluation
    firsts: tuple[int, ...]
    """by row, the place of its first residual"""
    looked: list[list[Samples]]
    """what each row sees in the subjects of each of its arms"""

    signed: frozenset[str]
    """outputs that may be negative"""

    def positive(self, row: Row) -> bool:
        """Whether what a row reports cannot be negative."""
        if row.statistic == "dose_for_effect":
            return True
        return row.measure in ("value", "fold") and row.output not in self.signed

    @classmethod
    def of(
        cls,
        result: FitResult,
        spec: FitSpec,
        system: System,
        fitted: Sequence[Row],
        rows: Sequence[Row],
        subjects: int | None,
        threads: int | None,
    ) -> _World:
        about = result.provenance
        options = replace(
            spec.options,
            subjects=subjects or about["subjects_per_arm"],
            seed=about["seed"],
            rtol=about["rtol"],
        )
        known = {c.name: c for c in coordinates(system, spec.main, fitted)}
        try:
            estimated = [known[estimate.name] for estimate in result.estimates]
        except KeyError as name:
            raise DataError(
                f"the result of the fit {spec.name} estimates {name}, of which {spec.folder / 'fit.toml'} "
                "says nothing: fit again with `pkpd fit`"
            ) from None
        effects = _new_effects(result, spec, system, rows)
        objective = Objective(
            system,
            spec.main,
            rows,
            options=options,
            relative_error=spec.relative_error,
            row_errors=spec.row_errors,
            mean_only=spec.mean_only,
            correlations=spec.correlations,  # of rows of the fit's data that it left out
            threads=threads,
            estimated=(*estimated, *effects),
        )
        x = np.array([*(estimate.x for estimate in result.estimates), *(0.0 for _ in effects)])
        try:
            objective = objective.widened(x)
            objective = objective.with_sampling(objective.sampling_at(x))
            evaluation = objective.evaluate(x, jacobian=True)
        except BadPoint as reason:
            raise ConvergenceError(f"{spec.name}: a new arm cannot be simulated: {reason}") from None
        size = len(estimated)
        covariance = np.diag([*np.zeros(size), *(c.sd**2 for c in effects)])
        covariance[:size, :size] = np.nan_to_num(_covariance(result), posinf=0.0)
        sizes = [term.residuals.size for term in evaluation.terms]
        return cls(
            result,
            objective,
            x,
            covariance,
            np.arange(x.size) >= size,
            evaluation,
            tuple(int(first) for first in np.concatenate([[0], np.cumsum(sizes)[:-1]])),
            objective.samples_at(x, evaluation.arms),
            signed_outputs(objective, evaluation),
        )


def _covariance(result: FitResult) -> Array:
    found = np.array(
        [[math.nan if v is None else v for v in line] for line in result.covariance], dtype=float
    )
    if found.size and not np.all(np.isfinite(found)):
        raise InputError(f"the result of the fit {result.name} has no covariance of its estimates")
    return found.reshape(len(result.estimates), len(result.estimates))


def _new_effects(
    result: FitResult, spec: FitSpec, system: System, rows: Sequence[Row]
) -> tuple[Coordinate, ...]:
    """Effects of studies that the fit has not seen, on every parameter by which its studies differ."""
    differ = {estimate.target for estimate in result.estimates if estimate.kind == "study effect"}
    effects = tuple(
        StudyEffect(effect.parameter, effect.sd)
        for effect in spec.main.study_effects
        if effect.parameter in differ
    )
    unseen = [row for row in rows if row.study not in result.study_values]
    found = coordinates(system, replace(spec.main, study_effects=effects), unseen)
    return tuple(c for c in found if c.kind == "study effect")


@dataclass(frozen=True)
class _Expected:
    """A row with the distribution in which its number was expected. ``gradient`` (n_coordinates,) is that of
    the prediction, ``error`` its sampling SE, both in the row's unit (0: not known)."""

    row: Row
    observed: float
    predicted: float
    gradient: Array
    error: float
    patients: float
    """share of the sampling variance that is made by which patients an arm has"""
    first: int
    distribution: Predictive | None
    residual: float
    slopes: Array
    """derivative of the (scored) first residual, (n_coordinates,)"""
    constant: float

    @classmethod
    def of(cls, world: _World, i: int) -> _Expected:
        objective, evaluation = world.objective, world.evaluation
        row, measured, term = objective.rows[i], objective.measured[i], evaluation.terms[i]
        assert evaluation.predicted_jacobian is not None and evaluation.jacobian is not None
        gradient = evaluation.predicted_jacobian[i]
        unknown = float(gradient @ world.covariance @ gradient)
        assert objective.sampling is not None
        score = objective.sampling.scores[i][0] if objective.sampling.scores[i] else None
        distribution = _distribution(row, measured, term, score, unknown, world.positive(row))
        error, share = _sampling_error(distribution, term.predicted), _share_of_patients(world, i, measured)
        first = world.firsts[i]
        return cls(
            row,
            likelihood.observed(row),
            term.predicted,
            gradient,
            error,
            1.0 if isinstance(distribution, Counted) else share,
            first,
            distribution,
            float(term.residuals[0]),
            np.asarray(objective.coloured(evaluation.jacobian)[first]),
            term.constant,
        )


def _distribution(
    row: Row, measured: Measured, term: Term, score: Score | None, unknown: float, positive: bool
) -> Predictive | None:
    """None for kinds of row that are neither a location with an error, nor a number of patients, nor say
    between which ends a location lies."""
    kind = KINDS[row.statistic]
    if kind.of_patients and row.n and not measured.printed:
        scale = 1.0 if kind.numbered else 1.0 / row.n
        share = min(max(term.predicted / (scale * row.n), 1e-6), 1 - 1e-6)
        by_share = unknown / (scale * row.n) ** 2
        return Counted(share, by_share / (share * (1 - share)) ** 2, row.n, scale)
    if not measured.printed:
        return None
    error, positive = float(measured.printed[0].error), positive and term.predicted > 0
    observed = likelihood.observed(row)
    if row.spread_type in ("none", "CV") and observed != 0:  # an error that goes with the number
        relative = abs(term.predicted / observed)
    else:
        relative = 1.0
    if row.statistic in BETWEEN_ENDS:
        low, high = _ends(row)
        located = Located(term.predicted, unknown, max(error * relative, 1e-12), positive=positive)
        return BetweenEnds(located, low, high)
    for on_log in (False, True):
        if on_log and min(term.predicted, observed) <= 0:
            continue
        gap = math.log(term.predicted / observed) if on_log else term.predicted - observed
        u = gap / error
        z = u if score is None else score(u)[0]
        if abs(z - float(term.residuals[0])) > 1e-6 * (1 + abs(z)):
            continue
        if on_log:
            return Located(math.log(term.predicted), unknown / term.predicted**2, error, score, True)
        return Located(term.predicted, unknown, max(error * relative, 1e-12), score, positive=positive)
    return None


def _ends(row: Row) -> tuple[float, float]:
    """Between which a row says that its number lies."""
    match row.statistic:
        case "lower_bound":
            return row.value, math.inf
        case "upper_bound":
            return -math.inf, row.value
    return row.lower, row.upper


def _sampling_error(distribution: Predictive | None, predicted: float) -> float:
    """In the row's unit."""
    match distribution:
        case Located():
            return distribution.error * (predicted if distribution.on_log else 1.0)
        case BetweenEnds():
            return distribution.located.error
        case Counted():
            n, share = distribution.n, distribution.share
            return distribution.scale * math.sqrt(n * share * (1 - share))
    return 0.0


def _share_of_patients(world: _World, i: int, measured: Measured) -> float:
    """Of the sampling variance of a row, how much is made by differences between patients."""
    if measured.assumed:
        return 0.0
    parts = world.looked[i]
    between = float(np.mean([part.s.var() for part in parts]))
    noise = float(np.mean([part.v.mean() for part in parts]))
    return between / (between + noise) if between + noise > 0 else 0.0


def _validated(each: _Expected, printed: Row, world: _World) -> ValidatedRow:
    row, gradient, new = each.row, each.gradient, world.new
    parameters = float(gradient[~new] @ world.covariance[np.ix_(~new, ~new)] @ gradient[~new])
    study = float(gradient[new] @ world.covariance[np.ix_(new, new)] @ gradient[new])
    found = each.distribution
    if found is None:  # by its residual, which is normal
        spread = math.sqrt(1 + float(each.slopes @ world.covariance @ each.slopes))
        z = each.residual / spread
        pit = _normal_cdf(-z)
        log_score = -0.5 * (z * z + 2 * math.log(spread) + each.constant)
        crps, sd = math.nan, math.sqrt(parameters + study)
    else:
        pit, log_score, crps = (f(each.observed) for f in (found.cdf, found.log_density, found.crps))
        sd = math.sqrt(parameters + study + each.error**2)
    intervals = () if found is None else tuple((level, *found.interval(level)) for level in LEVELS)
    if isinstance(found, BetweenEnds):
        ends, shares = (found.low, found.high), tuple(found.share(level) for level in LEVELS)
    else:
        ends = math.nan, math.nan
        shares = tuple(int(low <= each.observed <= high) for _, low, high in intervals)
    return ValidatedRow(
        id=row.id,
        line=row.line,
        study=row.study,
        arm=row.arm,
        n=row.n,
        schedule=row.schedule,
        output=row.output,
        measure=row.measure,
        reducer=row.reducer,
        time=f"{printed.start:g}..{printed.stop:g}" if printed.is_window else f"{printed.start:g}",
        time_unit=printed.time_unit,
        statistic=row.statistic,
        unit=row.unit,
        provenance=row.provenance,
        new_study=row.study not in world.result.study_values,
        observed=each.observed,
        predicted=0.0 if abs(each.predicted) < ROUNDING * abs(each.observed) else each.predicted,
        intervals=intervals,
        shares=shares,
        lower=ends[0] if math.isfinite(ends[0]) else math.nan,
        upper=ends[1] if math.isfinite(ends[1]) else math.nan,
        sd_parameters=math.sqrt(max(parameters, 0.0)),
        sd_new_study=math.sqrt(max(study, 0.0)),
        sd_patients=each.error * math.sqrt(each.patients),
        sd_sampling=each.error * math.sqrt(1 - each.patients),
        sd=sd,
        deviation=-_normal_quantile(pit),
        pit=pit,
        log_score=log_score,
        crps=crps,
    )


def _normal_cdf(z: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(z))


def _normal_quantile(p: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(min(max(p, 1e-12), 1 - 1e-12))) if math.isfinite(p) else math.nan


def _orderings(found: Sequence[_Expected], world: _World) -> tuple[Ordering, ...]:
    """Of all pairs that report the same of the same output, the one that is expected to be larger first."""
    sampling = world.objective.sampling
    assert sampling is not None
    pairs = []
    for a, b in itertools.combinations(found, 2):
        if _compared(a.row) != _compared(b.row) or not (a.error and b.error):
            continue
        first, second = (a, b) if a.predicted >= b.predicted else (b, a)
        gradient = first.gradient - second.gradient
        shared = float(sampling.correlation[first.first, second.first]) * first.error * second.error
        variance = (
            float(gradient @ world.covariance @ gradient) + first.error**2 + second.error**2 - 2 * shared
        )
        probability = _normal_cdf((first.predicted - second.predicted) / math.sqrt(max(variance, 1e-300)))
        held = None if first.observed == second.observed else first.observed > second.observed
        pairs.append(Ordering(first.row.id, second.row.id, probability, held))
    return tuple(pairs)


def _compared(row: Row) -> tuple[str, ...]:
    """What two rows must have in common to be ordered; what lies between two ends is no number."""
    alone = row.id if row.statistic in BETWEEN_ENDS else ""
    return *row.outputs, row.measure, row.reducer, row.statistic, row.unit, alone


def _study_words(world: _World) -> str:
    new = list(
        dict.fromkeys(row.study for row in world.objective.rows if row.study not in world.result.study_values)
    )
    if not new or world.new.any():
        return ""
    return (
        f"The fit has no study effects: {', '.join(new)} {'is' if len(new) == 1 else 'are'} taken to differ "
        "from its studies in nothing."
    )
