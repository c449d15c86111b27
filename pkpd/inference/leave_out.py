"""A fit -> how it predicts what it has not seen, and what each row does to it.

    found = leave_out("low_dose_il2")           # each study by a fit to the others
    print(found.summary())
    found.write_json("leave_out.json")

Rows are left out by study, one by one, or in folds; the fit is made again without them, and predicts them
with everything that makes a reported number vary: the parameters' uncertainty, the effects of a new study,
and the trial's own sampling (``influence.left_out``).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, FLAG, PATH, TEXT, of, takes
from pkpd.core.errors import DataError, InputError
from pkpd.core.files import replacing, to_json, write_rows
from pkpd.core.names import meant
from pkpd.core.progress import Progress, quiet
from pkpd.inference import FitResult
from pkpd.inference.estimation import settled
from pkpd.inference.influence import RowLeftOut, cook, left_out, one_step
from pkpd.inference.objective import Objective
from pkpd.inference.optimum import belonging, optimum_of, read_result, travelling
from pkpd.inference.posterior import posterior_of
from pkpd.inference.repeats import Kept, repeat
from pkpd.inference.search import Minimum, refit
from pkpd.solver.executors import EXECUTOR, Executor, executor_of

Array = NDArray[np.float64]

BY = ("study", "row", "fold")
FOLDS = 10
LEVELS = (0.5, 0.9)
"""Of the intervals whose coverage is told."""
PRECISE, STILL = 0.02, 0.2
"""A fit without a part ends where a step promises less than this in OFV, and errors are taken anew until it
moves by less than this in posterior SDs. Against 0.001 and 0.02, log scores of three studies of the shipped
fit differ by at most 0.012, that of a fourth, where errors stand still in neither, by 0.21."""
INFLUENTIAL = 1.0
"""Cook's distance of rows that are named: without them the estimates leave the middle of their own joint
interval (Cook & Weisberg 1982, Residuals and Influence in Regression, sec. 3.5)."""


@dataclass(frozen=True)
class Fold:
    """What was left out together, and the fit without it.

    Attributes
    ----------
    name : of the study or row, or "fold 3".
    rows : predicted; empty where they could not be simulated.
    log_density : predictive log density of all that they print, the log score.
    chi_square : squared distance of what they print in units of its predictive covariance, about
        ``residuals`` (how many numbers that are) if they are well predicted.
    cook, one_step : Cook's distance of the estimates, by the fit without it and by one step from the fit.
    moved, shift : the parameter that moves most, and by how many posterior SDs of the fit.
    converged : whether the fit without it did.
    """

    name: str
    rows: tuple[RowLeftOut, ...]
    residuals: int
    log_density: float
    chi_square: float
    cook: float
    one_step: float
    moved: str
    shift: float
    converged: bool


@dataclass(frozen=True)
class LeftOut:
    """A fit and what it predicts of rows that were left out. ``summary()`` prints it, ``write_json`` keeps
    it, ``read_json`` gets it back, ``write_csv`` writes a line to each row.

    Attributes
    ----------
    name, title : of the fit; by : "study", "row" or "fold".
    folds : in the order of the data.
    influence : (row, Cook's distance by one step) of every row, the largest first.
    interrupted : by Ctrl-C, folds are missing.
    notes : sentences that a reader has to know.
    provenance : what it was made from.
    """

    name: str
    title: str
    by: str
    folds: tuple[Fold, ...]
    influence: tuple[tuple[str, float], ...]
    interrupted: bool
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        return f"<LeftOut of {self.name} by {self.by}: {len(self.folds)} folds, {len(self.rows)} rows>"

    def _repr_html_(self) -> str:
        columns = ("left out", "rows", "log score", "chi-square", "of", "Cook's distance", "moves most")
        rows = [
            (f.name, len(f.rows), f.log_density, f.chi_square, f.residuals, f.cook, f.moved)
            for f in self.folds
        ]
        return html.table(repr(self)[1:-1], columns, rows, " ".join((*self.words(), *self.notes)))

    @property
    def rows(self) -> tuple[RowLeftOut, ...]:
        """All that were predicted."""
        return tuple(row for fold in self.folds for row in fold.rows)

    @property
    def log_density(self) -> float:
        """The log score: summed over folds."""
        return sum(fold.log_density for fold in self.folds)

    @property
    def crps(self) -> float:
        """The mean over rows; nan where there is none."""
        found = [row.crps for row in self.rows if row.told]
        return float(np.mean(found)) if found else math.nan

    def coverage(self, level: float) -> tuple[int, int]:
        """How many rows lie within their interval of this level, and of how many."""
        told = [row for row in self.rows if row.told]
        return sum(row.within(level) for row in told), len(told)

    def summary(self) -> str:
        """Lines of text for a terminal."""
        lines = [
            f"{fold.name}: log score {fold.log_density:.2f}, chi-square {fold.chi_square:.1f} of "
            f"{fold.residuals}, Cook's distance {fold.cook:.2f}"
            for fold in self.folds
        ]
        return "\n".join([self.title, *lines, *self.words(), *self.notes])

    def words(self) -> list[str]:
        """The scores, in sentences."""
        within = ", ".join(
            f"{inside} of {count} within {100 * level:.0f} % intervals"
            for level in LEVELS
            for inside, count in [self.coverage(level)]
        )
        return [
            f"Log score {self.log_density:.1f}; {within}; mean CRPS {self.crps:.2f} standard errors of a "
            "reported number (0.56 if the reports alone erred)."
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return dataclasses.asdict(self)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON: whole or not at all."""
        with replacing(Path(path)) as temporary:
            temporary.write_text(to_json(self.to_dict()) + "\n", encoding="utf-8")

    @staticmethod
    def read_json(path: str | os.PathLike[str]) -> LeftOut:
        """Read what ``write_json`` wrote. Raises ``DataError`` if the file is something else."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            values["folds"] = tuple(_fold(each) for each in values["folds"])
            values["influence"] = tuple((row, _number(d)) for row, d in values["influence"])
            values["notes"] = tuple(values["notes"])
            return LeftOut(**values)
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is not the JSON of what was left out: {error}") from None

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """A line to each row, with its fold's scores: whole or not at all."""
        fields = [field.name for field in dataclasses.fields(RowLeftOut)]
        records = [
            {"left_out": fold.name}
            | dataclasses.asdict(row)
            | {"fold_log_density": fold.log_density, "fold_cook": fold.cook}
            for fold in self.folds
            for row in fold.rows
        ]
        columns = ["left_out", *fields, "fold_log_density", "fold_cook"]
        write_rows(path, columns, records, about={"fit": self.name, "by": self.by}, remarks=self.words())


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _fold(values: dict[str, Any]) -> Fold:
    """A fold from its JSON, in which a number that JSON does not have is null."""
    if values["log_density"] is None:
        values = {**values, "log_density": -math.inf, "chi_square": math.inf}
    numbers = ("cook", "one_step", "shift")
    rows = tuple(RowLeftOut(**{**r, **{k: _number(r[k]) for k in ("miss", "crps")}}) for r in values["rows"])
    return Fold(**{**values, **{key: _number(values[key]) for key in numbers}, "rows": rows})


@takes(
    fit=PATH | of(FitResult, words="the result of a fit"),
    by=TEXT,
    folds=COUNT,
    threads=EXECUTOR,
    keep=PATH | ABSENT,
    resume=FLAG,
    progress=CALLABLE | ABSENT,
)
def leave_out(
    fit: FitResult | str | os.PathLike[str],
    *,
    by: str = "study",
    folds: int = FOLDS,
    threads: int | Executor | None = None,
    keep: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> LeftOut:
    """Leave rows out of a fit, fit the rest again, and predict them.

    Parameters
    ----------
    fit : a result, its file, or the name or folder of a fit. Of a folder it is the result that lies there, if
        it belongs to model and data as they are; else the fit is made first.
    by : "study" (each by the others), "row" (each by all others), or "fold": rows at random in parts, by the
        seed of the fit.
    folds : how many parts.
    threads : how many fits are made at a time, or an executor.
    keep : a folder for what is done, a file to each fit.
    resume : goes on from that folder.
    progress : called with (what, share, remark).

    Returns
    -------
    LeftOut : after Ctrl-C what is done, marked ``interrupted``.

    Raises
    ------
    InputError : or one of its kinds: no such fit, nothing that could be left out, a result of other files, a
        folder to go on from that is of something else.
    ConvergenceError : the model cannot be simulated where the fit ended.

    Examples
    --------
    A study of the shipped fit takes seconds, all of them minutes:

    >>> import pkpd
    >>> found = pkpd.leave_out("low_dose_il2", by="study")  # doctest: +SKIP
    >>> found.coverage(0.9)  # doctest: +SKIP
    (78, 89)
    """
    if by not in BY:
        raise InputError(f'rows are left out by {", ".join(BY)}, not by "{by}"{meant(by, BY)}')
    progress = progress or quiet
    executor = executor_of(threads)
    result, spec = read_result(fit, progress=progress)
    optimum = optimum_of(result, spec, progress=progress)
    parts = _parts(optimum.objective, by, folds)
    work = _Work(*travelling(optimum, alone=executor.workers == 1), parts)
    about = belonging(result) | {"by": by, "parts": parts}
    kept = None if keep is None else Kept(keep, about, resume=resume)
    done = repeat(
        work,
        list(parts),
        executor=executor,
        done=kept.done(list(parts)) if kept else None,
        keep=kept.add if kept else None,
        what="leave out",
        unit={"study": "studies", "row": "rows", "fold": "folds"}[by],
        progress=progress,
    )
    found = tuple(_fold(values) for values in done.results.values())
    influence = _influence(optimum.objective, optimum.minimum)
    notes = _notes(found, influence)
    return LeftOut(result.name, result.title, by, found, influence, done.interrupted, notes, about)


def _parts(objective: Objective, by: str, folds: int) -> dict[str, list[str]]:
    """What is left out together: name -> rows."""
    rows = objective.rows
    if by == "study":
        parts: dict[str, list[str]] = {}
        for row in rows:
            parts.setdefault(row.study, []).append(row.id)
    elif by == "row":
        parts = {row.id: [row.id] for row in rows}
    else:
        order = np.random.default_rng(objective.options.seed).permutation(len(rows))
        place = {int(k): fold % folds for fold, k in enumerate(order)}
        parts = {
            f"fold {fold + 1}": [row.id for k, row in enumerate(rows) if place[k] == fold]
            for fold in range(min(folds, len(rows)))
        }
    if len(parts) < 2:
        other = " (--by row leaves out its rows)" if by == "study" and len(rows) > 1 else ""
        raise InputError(f"the data have one {by} only: nothing can be predicted without it{other}")
    return parts


@dataclass(frozen=True)
class _Work:
    """The fit without each part, by its name."""

    objective: Objective
    minimum: Minimum
    parts: dict[str, list[str]]

    def do(self, name: str) -> dict[str, Any]:
        return dataclasses.asdict(fold_of(self.objective, self.minimum, name, self.parts[name]))


def fold_of(objective: Objective, minimum: Minimum, name: str, ids: Sequence[str]) -> Fold:
    """The rows of an objective left out around its lowest point."""

    def refitted(inside: Objective) -> tuple[Objective, Minimum]:
        limit = inside.options.max_evaluations
        tolerance = max(PRECISE, inside.options.tolerance)
        end = refit(inside, minimum, limit, objective, tolerance=tolerance)
        if inside.sampling is None:
            return inside, end
        return settled(inside, end, limit, tolerance=tolerance, still=STILL)

    left = left_out(objective, set(ids), refitted)
    posterior = posterior_of(objective, minimum)
    moved = left.minimum.x - minimum.x
    shifts = np.array(
        [
            moved[k] / posterior.sd[k] if c.kind != "study effect" and posterior.sd[k] > 0 else 0.0
            for k, c in enumerate(objective.coordinates)
        ]
    )
    most = int(np.argmax(np.abs(shifts)))
    step = one_step(objective, minimum, posterior.covariance, set(ids))
    return Fold(
        name,
        left.rows,
        left.residuals,
        left.log_density,
        left.chi_square,
        cook(objective, posterior.covariance, moved),
        cook(objective, posterior.covariance, step),
        objective.coordinates[most].name,
        float(shifts[most]),
        left.minimum.converged,
    )


def _influence(objective: Objective, minimum: Minimum) -> tuple[tuple[str, float], ...]:
    """Cook's distance of every row by one step, the largest first."""
    covariance = posterior_of(objective, minimum).covariance
    found = [
        (row.id, cook(objective, covariance, one_step(objective, minimum, covariance, {row.id})))
        for row in objective.rows
    ]
    return tuple(sorted(found, key=lambda pair: -pair[1] if math.isfinite(pair[1]) else -math.inf))


def _notes(folds: Sequence[Fold], influence: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    found = []
    if rough := [fold.name for fold in folds if not fold.converged]:
        found.append(f"The fit did not converge without {', '.join(rough)}.")
    if lost := [fold.name for fold in folds if not fold.rows]:
        found.append(f"What was left out could not be simulated by the fit without {', '.join(lost)}.")
    strong = {fold.name for fold in folds if fold.cook > INFLUENTIAL}
    strong |= {row for row, distance in influence if distance > INFLUENTIAL}
    if strong:
        found.append(
            f"Without {', '.join(sorted(strong))} the estimates leave the middle of their joint interval "
            "(Cook's distance above 1)."
        )
    return tuple(found)
