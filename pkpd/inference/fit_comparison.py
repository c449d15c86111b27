"""Fits of the same numbers, side by side: how well each describes them and predicts studies that are left
out, and where they differ.

    found = compare_fits(["results/one", "results/other"])
    print(found.summary())

What was computed on other rows, other data, with another seed, other subjects or other errors is never
compared: differences of likelihoods would say nothing.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.core import html, library
from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, FLAG, LIST, takes
from pkpd.core.errors import DataError, InputError
from pkpd.core.progress import Progress, quiet
from pkpd.inference import FitResult, StudyLeftOut, leave_one_study_out
from pkpd.inference.belonging import check_belongs, version_words
from pkpd.inference.optimum import optimum_of
from pkpd.inference.spec import read_fit

Given = FitResult | str | os.PathLike[str]
MOST_ROWS = 15
"""Rows that are named where fits differ."""


@dataclass(frozen=True)
class FitScore:
    """How one fit does.

    Attributes
    ----------
    label : what it is called here.
    fit, model, converged : of the result.
    ofv, minus_2ll, parameters, aic, bic, n : of the numbers that were fitted, as ``FitResult`` counts them; n
        is that of BIC, groups of rows that are independent.
    log_density, left_out : of studies that were left out, and of each of them (nan and none: not asked for).
    log_density_difference, se : from the best fit, and its standard error paired by study (nan of itself).
    """

    label: str
    fit: str
    model: str
    converged: bool
    ofv: float
    minus_2ll: float
    parameters: float
    aic: float
    bic: float
    n: int
    log_density: float
    left_out: tuple[StudyLeftOut, ...]
    log_density_difference: float = math.nan
    se: float = math.nan


@dataclass(frozen=True)
class RowDifference:
    """A number of the data in every fit, in their order: predictions and what it adds to the OFV."""

    row: str
    study: str
    observed: float
    unit: str
    predicted: tuple[float, ...]
    contributions: tuple[float, ...]

    @property
    def difference(self) -> float:
        """Between the fit that describes it worst and the one that does best."""
        return max(self.contributions) - min(self.contributions)


@dataclass(frozen=True)
class FitComparison:
    """Fits side by side. ``summary()`` prints it, ``write_json`` keeps it, ``read_json`` gets it back.

    Attributes
    ----------
    scores : one for each fit, in the order given.
    best : label of the fit that predicts left-out studies best, or without these that of lowest AIC.
    rows : numbers by how much fits differ in them, the largest difference first.
    n_rows : numbers that were fitted.
    notes : sentences that a reader needs.

    Examples
    --------
    >>> import pkpd
    >>> found = pkpd.compare_fits(["low_dose_il2", "low_dose_il2"], leave_one_out=False)
    >>> [score.label for score in found.scores], found.rows[0].difference
    (['low_dose_il2', 'low_dose_il2 (2)'], 0.0)
    """

    scores: tuple[FitScore, ...]
    best: str
    rows: tuple[RowDifference, ...]
    n_rows: int
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<FitComparison of {', '.join(score.label for score in self.scores)} on {self.n_rows} rows>"

    def _repr_html_(self) -> str:
        columns = ("fit", "model", "OFV", "-2LL", "parameters", "AIC", "BIC", "left-out log density")
        rows = [
            (s.label, s.model, s.ofv, s.minus_2ll, s.parameters, s.aic, s.bic, s.log_density)
            for s in self.scores
        ]
        return html.table(repr(self)[1:-1], columns, rows, " ".join((*self.verdict(), *self.notes)))

    def verdict(self) -> list[str]:
        """A sentence for each fit but the best."""
        best = next(score for score in self.scores if score.label == self.best)
        return [_words(score, best) for score in self.scores if score.label != self.best]

    def summary(self) -> str:
        """The scores, what they say, and where fits differ."""
        lines = [
            f"{s.label} ({s.model}): OFV {s.ofv:.1f}, -2LL {s.minus_2ll:.1f}, {s.parameters:.1f} parameters, "
            f"AIC {s.aic:.1f}, BIC {s.bic:.1f}"
            + (f", left-out log density {s.log_density:.1f}" if math.isfinite(s.log_density) else "")
            for s in self.scores
        ]
        labels = [score.label for score in self.scores]
        where = [
            f"{row.row}: " + ", ".join(f"{c:.2f}" for c in row.contributions)
            for row in self.rows[:MOST_ROWS]
            if row.difference > 0
        ]
        head = [f"Of the OFV by {', '.join(labels)}:"] if where else []
        return "\n".join([*lines, *self.verdict(), *head, *where, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return dataclasses.asdict(self)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON: whole or not at all."""
        from pkpd.core.files import replacing, to_json

        with replacing(Path(path)) as temporary:
            temporary.write_text(to_json(self.to_dict()) + "\n", encoding="utf-8")

    @staticmethod
    def read_json(path: str | os.PathLike[str]) -> FitComparison:
        """Read what ``write_json`` wrote. Raises ``DataError`` if the file is something else."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            values["scores"] = tuple(_score_from(each) for each in values["scores"])
            values["rows"] = tuple(_row_from(each) for each in values["rows"])
            values["notes"] = tuple(values["notes"])
            return FitComparison(**values)
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is not the JSON of a comparison of fits: {error}") from None


def _score_from(values: Mapping[str, Any]) -> FitScore:
    found = _numbers(values)
    found["left_out"] = tuple(StudyLeftOut(**_numbers(each)) for each in values["left_out"])
    return FitScore(**found)


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """From JSON, in which a number that it does not have is null."""
    return {key: math.nan if value is None else value for key, value in values.items()}


def _row_from(values: Mapping[str, Any]) -> RowDifference:
    found = dict(values)
    for key in ("predicted", "contributions"):
        found[key] = tuple(math.nan if value is None else value for value in values[key])
    return RowDifference(**found)


def _words(score: FitScore, best: FitScore) -> str:
    told = f"{score.label} against {best.label}: "
    told += f"AIC {score.aic - best.aic:+.1f}"
    if score.n == best.n:  # of another n it is no difference of likelihoods
        told += f", BIC {score.bic - best.bic:+.1f}"
    if math.isfinite(score.log_density_difference):
        worse = -score.log_density_difference
        told += f"; left-out studies are predicted worse by {worse:.1f}"
        if math.isfinite(score.se):
            told += f" (SE {score.se:.1f}) in log density"
            if worse < 2 * score.se:
                told += ", which is within two standard errors"
    return told + "."


@takes(fits=LIST, leave_one_out=FLAG, threads=COUNT | ABSENT, progress=CALLABLE | ABSENT)
def compare_fits(
    fits: Sequence[Given],
    *,
    leave_one_out: bool = True,
    threads: int | None = None,
    progress: Progress | None = None,
) -> FitComparison:
    """Fits of the same numbers, side by side.

    Parameters
    ----------
    fits : a list of two or more results, their files, or folders that ``pkpd fit`` wrote (or names of fits).
    leave_one_out : scores each by studies that it is fitted without, from where it ended; those that a result
        holds already are taken from there.
    threads : how many work at a time, by default as many as this process may use cores.
    progress : called with (what, share, remark).

    Returns
    -------
    FitComparison : OFV, AIC, BIC and scores by left-out studies, with differences paired by study, and the
        rows in which fits differ most.

    Raises
    ------
    InputError : or one of its kinds: a result that is not there; fits to other rows or data, with another
        seed, other subjects or other errors, with a sentence that says which.
    ConvergenceError : a model that cannot be simulated where its fit ended.

    Examples
    --------
    >>> import dataclasses, pkpd
    >>> from pkpd.core.library import root
    >>> one = pkpd.FitResult.read_json(root() / "fits" / "low_dose_il2" / "result.json")
    >>> other = dataclasses.replace(one, aic=one.aic + 5, bic=one.bic + 5)
    >>> found = pkpd.compare_fits([one, other], leave_one_out=False)
    >>> print(found.verdict()[0])
    low_dose_il2 (2) against low_dose_il2: AIC +5.0, BIC +5.0.
    """
    progress = progress or quiet
    if len(fits) < 2:
        raise InputError("at least two fits are needed for a comparison")
    results = [_read(given) for given in fits]
    labels = _labels(fits, results)
    for label, result in zip(labels[1:], results[1:], strict=True):
        _check_same((labels[0], results[0]), (label, result))
    left = [
        _left_out(given, result, label, threads, progress) if leave_one_out else ()
        for given, result, label in zip(fits, results, labels, strict=True)
    ]
    scores = [_score(*each) for each in zip(labels, results, left, strict=True)]
    best = _best(scores)
    rows = sorted(_rows(results), key=lambda row: -row.difference)
    versions = dict.fromkeys(words for result in results if (words := version_words(result)))
    return FitComparison(
        scores=tuple(_against(score, best) for score in scores),
        best=best.label,
        rows=tuple(rows),
        n_rows=results[0].n_rows,
        notes=(*_counting(scores), *versions),
    )


def _read(given: Given) -> FitResult:
    if isinstance(given, FitResult):
        return given
    path = Path(given).expanduser()
    return FitResult.read_json(path if path.suffix == ".json" else library.fit_result(given))


def _labels(fits: Sequence[Given], results: Sequence[FitResult]) -> list[str]:
    """What the fits are called: the name of what was given, of their result, with a number where two are the
    same."""
    found: list[str] = []
    for given, result in zip(fits, results, strict=True):
        label = result.name
        if not isinstance(given, FitResult):
            path = Path(given)
            label = path.absolute().parent.name if path.suffix == ".json" else path.name or result.name
        count = sum(known.partition(" (")[0] == label for known in found) + 1
        found.append(label if count == 1 else f"{label} ({count})")
    return found


# --- the same numbers, seed and errors


def _check_same(first: tuple[str, FitResult], second: tuple[str, FitResult]) -> None:
    (one, a), (other, b) = first, second
    reasons = [*_other_rows(one, a, other, b)] or [*_other_data(a, b)]
    for key, what in (("seed", "seeds"), ("subjects_per_arm", "numbers of subjects in each arm")):
        if a.provenance.get(key) != b.provenance.get(key):
            reasons.append(f"with other {what} ({a.provenance.get(key)} and {b.provenance.get(key)})")
    if _errors(a) != _errors(b):
        reasons.append("with other errors of numbers ([errors] of fit.toml)")
    for label, result in (first, second):
        if not result.n_independent:
            reasons.append(f"by a version whose AIC counts otherwise ({label}: fit again with `pkpd fit`)")
    if reasons:
        raise InputError(f"{one} and {other} cannot be compared: they were fitted {' and '.join(reasons)}")


def _fitted(result: FitResult) -> list[str]:
    return [row.id for row in result.rows if row.use == "fit"]


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{rest}"


def _other_rows(one: str, a: FitResult, other: str, b: FitResult) -> list[str]:
    mine, theirs = _fitted(a), _fitted(b)
    parts = [
        f"only in {label}: {_listed(names)}"
        for label, names in (
            (one, [name for name in mine if name not in theirs]),
            (other, [name for name in theirs if name not in mine]),
        )
        if names
    ]
    return [f"to other rows ({'; '.join(parts)})"] if parts else []


def _other_data(a: FitResult, b: FitResult) -> list[str]:
    mine, theirs = (result.provenance.get("row_digests") for result in (a, b))
    if mine is None or theirs is None:
        same = a.provenance.get("data_sha256") == b.provenance.get("data_sha256")
        return [] if same else ["to other data (another file)"]
    differ = [name for name in _fitted(a) if mine.get(name) != theirs.get(name)]
    return [f"to other data (of row {_listed(differ)})"] if differ else []


def _errors(result: FitResult) -> Mapping[str, Any]:
    """What is assumed of the errors of numbers."""
    settings = result.provenance.get("settings") or {}
    named = {key: value for key, value in settings.items() if key.startswith("[errors")}
    return {"default": result.provenance.get("relative_error")} | named


# --- scores


def _left_out(
    given: Given, result: FitResult, label: str, threads: int | None, progress: Progress
) -> tuple[StudyLeftOut, ...]:
    """Of every study its score by a fit without it: held by the result, or made from where it ended."""
    held = result.comparison
    if held is not None and held.main.left_out and set(held.rows) == set(_fitted(result)):
        return held.main.left_out
    if isinstance(given, FitResult):
        spec = read_fit(given.name)
    else:
        path = Path(given).expanduser()
        spec = read_fit(path.absolute().parent if path.suffix == ".json" else given)
    check_belongs(result, spec)
    optimum = optimum_of(result, spec, threads=threads, progress=progress)
    return leave_one_study_out(
        optimum.objective, optimum.minimum, progress=progress, what=f"{label}: leave one study out"
    )


def _score(label: str, result: FitResult, left_out: tuple[StudyLeftOut, ...]) -> FitScore:
    return FitScore(
        label=label,
        fit=result.name,
        model=result.model,
        converged=result.converged,
        ofv=result.ofv,
        minus_2ll=result.minus_2ll,
        parameters=result.effective_parameters,
        aic=result.aic,
        bic=result.bic,
        n=result.n_independent,
        log_density=sum(each.log_density for each in left_out) if left_out else math.nan,
        left_out=left_out,
    )


def _counting(scores: Sequence[FitScore]) -> list[str]:
    """How AIC and BIC count."""
    words = "AIC and BIC are of the likelihood with study effects integrated out; priors count in part"
    counts = {score.n for score in scores}
    if len(counts) == 1:
        return [f"{words}. n of BIC is that of {counts.pop()} independent groups of rows."]
    each = ", ".join(f"{score.label} {score.n}" for score in scores)
    return [
        f"{words}. BICs count other numbers of independent groups of rows ({each}): they are not compared."
    ]


def _best(scores: Sequence[FitScore]) -> FitScore:
    if all(score.left_out for score in scores):
        return max(scores, key=lambda score: score.log_density)
    return min(scores, key=lambda score: score.aic)


def _against(score: FitScore, best: FitScore) -> FitScore:
    """With its difference from the best, paired by study."""
    if score.label == best.label or not (score.left_out and best.left_out):
        return score
    theirs = {each.study: each.log_density for each in best.left_out}
    gaps = np.array([each.log_density - theirs[each.study] for each in score.left_out])
    se = float(math.sqrt(gaps.size) * gaps.std(ddof=1)) if gaps.size > 1 else math.nan
    return dataclasses.replace(score, log_density_difference=float(gaps.sum()), se=se)


def _rows(results: Sequence[FitResult]) -> list[RowDifference]:
    by_name = [{row.id: row for row in result.rows} for result in results]
    return [
        RowDifference(
            row=row.id,
            study=row.study,
            observed=row.observed,
            unit=row.unit,
            predicted=tuple(rows[row.id].predicted for rows in by_name),
            contributions=tuple(rows[row.id].contribution for rows in by_name),
        )
        for row in results[0].rows
        if row.use == "fit"
    ]
