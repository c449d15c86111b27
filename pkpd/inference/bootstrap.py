"""A fit -> what it would have found in other trials of the same design: bootstrap and recovery in one.

    found = bootstrap("low_dose_il2", draws=200)
    print(found.summary())

Each draw is a world in which the estimates are the truth: effects of studies are drawn anew, trials of every
arm are simulated with as many patients as it had, each prints its rows (``summary.trials``), and the model is
fitted to these (Efron & Tibshirani 1993, An Introduction to the Bootstrap, sec. 6.5). A prior stands for what
others measured before, so that its centre is drawn anew too, around the truth: else the scatter of estimates
would lack what the priors do not know (randomised maximum a posteriori, Bardsley et al. 2014, SIAM J Sci
Comput 36:A1895).

As the truth is known, the draws also tell whether the intervals by the curvature, of each draw, hold it as
often as they say: a fit is recovered from its own design.
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
from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, FLAG, PATH, WHOLE, of, takes
from pkpd.core.errors import DataError
from pkpd.core.files import replacing, to_json, write_rows
from pkpd.core.normal import Z95
from pkpd.core.progress import Progress, quiet
from pkpd.inference import FitResult
from pkpd.inference.coordinates import Coordinate, to_scale
from pkpd.inference.objective import BadPoint, Objective
from pkpd.inference.optimum import belonging, optimum_of, read_result, travelling
from pkpd.inference.posterior import posterior_of
from pkpd.inference.repeats import Kept, repeat
from pkpd.inference.search import Minimum, minimise
from pkpd.solver.executors import EXECUTOR, Executor, executor_of

Array = NDArray[np.float64]

DRAWS = 200
LEAST_DRAWS = 40
"""Fewer do not reach the ends of a 95 % interval."""
COVERED = 0.9
"""Of the intervals by the curvature whose coverage is told."""
NOTABLE = 1.25
"""Intervals whose widths differ by more than this factor are told."""


@dataclass(frozen=True)
class Redrawn:
    """One draw, on the scales of the search.

    Attributes
    ----------
    truth, x, sd : (n_estimates,) what was simulated from, and what was estimated with its standard error by
        the curvature.
    converged : whether the fit did; such draws count.
    failed : why there is none (then ``x`` and ``sd`` are empty).
    """

    truth: tuple[float, ...]
    x: tuple[float, ...]
    sd: tuple[float, ...]
    converged: bool
    failed: str = ""


@dataclass(frozen=True)
class Resampled:
    """An estimate, with 95 % intervals.

    Attributes
    ----------
    name, kind, unit, scale, value : of the estimate; ``sd`` its standard error on its scale.
    curvature, percentile, bca : (low, high), natural: by the covariance at the optimum, by the quantiles of
        the draws, and by those corrected for bias and skewness (BCa; Efron 1987, JASA 82:171). nan where
        there are too few draws.
    bias : mean of (estimate - truth), in standard errors.
    spread : SD of the draws over the standard error.
    covered : share of draws whose own 90 % interval by the curvature holds the truth.
    """

    name: str
    kind: str
    unit: str
    scale: str
    value: float
    sd: float
    curvature: tuple[float, float]
    percentile: tuple[float, float]
    bca: tuple[float, float]
    bias: float
    spread: float
    covered: float

    def drawn(self) -> dict[str, Any]:
        """What the figure of ``pkpd.present.plot.repeats`` takes."""

        def on_scale(value: float) -> float:
            plain = self.scale == "natural" or (self.kind == "study effect" and self.scale != "log")
            return value if plain or math.isnan(value) else to_scale(self.scale, value)

        sd = self.sd if self.sd > 0 and math.isfinite(self.sd) else 1.0
        shifts = {
            name: tuple((on_scale(end) - on_scale(self.value)) / sd for end in ends)
            for name, ends in (("percentile", self.percentile), ("bca", self.bca))
        }
        return {**vars(self), "shifts": shifts}


@dataclass(frozen=True)
class Bootstrap:
    """A fit and its draws. ``summary()`` prints it, ``write_json`` keeps it, ``read_json`` gets it back,
    ``write_csv`` writes a line to each estimate.

    Attributes
    ----------
    name, title : of the fit.
    estimates : with their intervals, in its order.
    draws : all of them, those that failed too.
    interrupted : by Ctrl-C, draws are missing.
    notes : sentences that a reader has to know.
    provenance : what it was made from.
    """

    name: str
    title: str
    estimates: tuple[Resampled, ...]
    draws: tuple[Redrawn, ...]
    interrupted: bool
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        return f"<Bootstrap of {self.name}: {len(self.draws)} draws, {self.failures} without a fit>"

    def _repr_html_(self) -> str:
        columns = ("estimate", "unit", "value", "95 % by curvature", "by draws", "BCa")
        rows = [
            (e.name, e.unit, e.value, *map(interval_words, (e.curvature, e.percentile, e.bca)))
            for e in self.estimates
        ]
        return html.table(repr(self)[1:-1], columns, rows, " ".join((*self.words(), *self.notes)))

    def __getitem__(self, name: str) -> Resampled:
        return next(estimate for estimate in self.estimates if estimate.name == name)

    @property
    def failures(self) -> int:
        """Draws without a fit that converged."""
        return sum(not draw.converged for draw in self.draws)

    @property
    def covered(self) -> float:
        """Share of all 90 % intervals by the curvature, of all draws and estimates, that hold the truth."""
        shares = [estimate.covered for estimate in self.estimates if math.isfinite(estimate.covered)]
        return float(np.mean(shares)) if shares else math.nan

    def summary(self) -> str:
        """Lines of text for a terminal."""
        lines = [
            f"{e.name}: {e.value:.3g} {e.unit}, 95 % by curvature {interval_words(e.curvature)}, by draws "
            f"{interval_words(e.percentile)}, BCa {interval_words(e.bca)}"
            for e in self.estimates
        ]
        return "\n".join([self.title, *lines, *self.words(), *self.notes])

    def words(self) -> list[str]:
        """How many there are, and what they say of the intervals by the curvature, in sentences."""
        counted = len(self.draws) - self.failures
        return [
            f"{counted} of {len(self.draws)} draws were fitted, {self.failures} failed. 90 % intervals by "
            f"the curvature hold the truth in {100 * self.covered:.0f} % of them."
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return dataclasses.asdict(self)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON: whole or not at all."""
        with replacing(Path(path)) as temporary:
            temporary.write_text(to_json(self.to_dict()) + "\n", encoding="utf-8")

    @staticmethod
    def read_json(path: str | os.PathLike[str]) -> Bootstrap:
        """Read what ``write_json`` wrote. Raises ``DataError`` if the file is something else."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            values["estimates"] = tuple(_resampled(each) for each in values["estimates"])
            values["draws"] = tuple(_redrawn(each) for each in values["draws"])
            values["notes"] = tuple(values["notes"])
            return Bootstrap(**values)
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is not the JSON of a bootstrap: {error}") from None

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """A line to each estimate: whole or not at all."""
        intervals = ("curvature", "percentile", "bca")
        records = []
        for estimate in self.estimates:
            values = dataclasses.asdict(estimate)
            for name in intervals:
                values[f"{name}_lower"], values[f"{name}_upper"] = values.pop(name)
            records.append(values)
        columns = list(records[0]) if records else []
        write_rows(path, columns, records, about={"fit": self.name}, remarks=self.words())


def interval_words(ends: Sequence[float]) -> str:
    """An interval as a person reads it."""
    return "-" if math.isnan(ends[0]) else f"{ends[0]:.3g} to {ends[1]:.3g}"


def _resampled(values: dict[str, Any]) -> Resampled:
    """From its JSON, in which nan is null."""
    plain: dict[str, Any] = {key: math.nan if value is None else value for key, value in values.items()}
    for key in ("curvature", "percentile", "bca"):
        plain[key] = tuple(math.nan if end is None else end for end in values[key])
    return Resampled(**plain)


def _redrawn(values: dict[str, Any]) -> Redrawn:
    plain = {key: tuple(values[key]) for key in ("truth", "x")}
    sd = tuple(math.inf if one is None else one for one in values["sd"])
    return Redrawn(**{**values, **plain, "sd": sd})


@takes(
    fit=PATH | of(FitResult, words="the result of a fit"),
    draws=COUNT,
    seed=WHOLE | ABSENT,
    threads=EXECUTOR,
    keep=PATH | ABSENT,
    resume=FLAG,
    progress=CALLABLE | ABSENT,
)
def bootstrap(
    fit: FitResult | str | os.PathLike[str],
    *,
    draws: int = DRAWS,
    seed: int | None = None,
    threads: int | Executor | None = None,
    keep: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Bootstrap:
    """Simulate the trials of a fit from its estimates, fit each again, and see how the estimates scatter.

    Parameters
    ----------
    fit : a result, its file, or the name or folder of a fit. Of a folder it is the result that lies there, if
        it belongs to model and data as they are; else the fit is made first.
    draws : how many times.
    seed : of the draws (None: that of the fit); each has its own, so that more draws go on where fewer ended.
    threads : how many fits are made at a time, or an executor.
    keep : a folder for what is done, a file to each draw.
    resume : goes on from that folder, to more draws too.
    progress : called with (what, share, remark).

    Returns
    -------
    Bootstrap : after Ctrl-C what is done, marked ``interrupted``.

    Raises
    ------
    InputError : or one of its kinds: no such fit, a result of other files, a folder to go on from that is of
        something else.
    ConvergenceError : the model cannot be simulated where the fit ended.

    Examples
    --------
    Of the shipped fit, two hundred draws take an hour:

    >>> import pkpd
    >>> found = pkpd.bootstrap("low_dose_il2", draws=200)  # doctest: +SKIP
    >>> found["CL"].percentile  # doctest: +SKIP
    """
    progress = progress or quiet
    executor = executor_of(threads)
    result, spec = read_result(fit, progress=progress)
    optimum = optimum_of(result, spec, progress=progress)
    seed = optimum.objective.options.seed if seed is None else seed
    work = _Work(*travelling(optimum, alone=executor.workers == 1), seed)
    about = belonging(result) | {"seed": seed}
    kept = None if keep is None else Kept(keep, about, resume=resume)
    names = [f"draw {number + 1}" for number in range(draws)]
    done = repeat(
        work,
        names,
        executor=executor,
        done=kept.done(names) if kept else None,
        keep=kept.add if kept else None,
        what="bootstrap",
        unit="draws",
        progress=progress,
    )
    found = tuple(_redrawn(values) for values in done.results.values())
    estimates = resampled(optimum.objective, optimum.minimum, found)
    notes = _notes(estimates, found)
    return Bootstrap(result.name, result.title, estimates, found, done.interrupted, notes, about)


@dataclass(frozen=True)
class _Work:
    """Draws by their number."""

    objective: Objective
    minimum: Minimum
    seed: int

    def do(self, name: str) -> dict[str, Any]:
        number = int(name.split()[-1])
        return dataclasses.asdict(redrawn(self.objective, self.minimum, [self.seed, number]))


def redrawn(
    objective: Objective, minimum: Minimum, seed: Sequence[int], *, from_priors: bool = False
) -> Redrawn:
    """Trials simulated at an optimum, and the fit to them; its search begins at the truth, or, as that of a
    fit which does not know it, at the centres of the priors."""
    truth = _truth(objective, minimum, seed)
    none: tuple[float, ...] = ()
    try:
        world = _with_priors_around(objective.with_rows(objective.printed_at(truth, seed)), truth, seed)
        begin = world.start if from_priors else truth
        end = minimise(world, begin, max_evaluations=world.options.max_evaluations)
    except BadPoint as reason:
        return Redrawn(_floats(truth), none, none, False, str(reason))
    sd = posterior_of(world, end).sd
    failed = "" if end.converged else end.message
    return Redrawn(_floats(truth), _floats(end.x), _floats(sd), end.converged, failed)


def _floats(x: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in x)


def _truth(objective: Objective, minimum: Minimum, seed: Sequence[int]) -> Array:
    """The estimates, with other studies: their effects are drawn."""
    generator = np.random.default_rng([*seed, 1])
    drawn = generator.standard_normal(minimum.x.size)
    effect = np.array([c.kind == "study effect" for c in objective.coordinates])
    sds = np.array([c.sd for c in objective.coordinates])
    truth = minimum.x.copy()
    truth[effect] = sds[effect] * drawn[effect]
    return np.clip(truth, *objective.bounds)


def _with_priors_around(objective: Objective, truth: Array, seed: Sequence[int]) -> Objective:
    """What others would have measured before; effects of studies are around 0."""
    generator = np.random.default_rng([*seed, 2])
    drawn = generator.standard_normal(truth.size)

    def around(k: int, coordinate: Coordinate) -> Coordinate:
        if coordinate.kind == "study effect" or not math.isfinite(coordinate.sd):
            return coordinate
        return dataclasses.replace(coordinate, centre=float(truth[k] + coordinate.sd * drawn[k]))

    return objective.with_coordinates(tuple(around(k, c) for k, c in enumerate(objective.coordinates)))


def resampled(objective: Objective, minimum: Minimum, draws: Sequence[Redrawn]) -> tuple[Resampled, ...]:
    """Intervals of the estimates at an optimum by draws around it."""
    posterior = posterior_of(objective, minimum)
    good = [draw for draw in draws if draw.converged]
    count = minimum.x.size
    error = np.array([np.subtract(draw.x, draw.truth) for draw in good]).reshape(-1, count)
    sds = np.array([draw.sd for draw in good]).reshape(-1, count)
    quantile = _quantile(COVERED)
    found = []
    for k, coordinate in enumerate(objective.coordinates):
        x, sd, errors = float(minimum.x[k]), float(posterior.sd[k]), error[:, k]

        def shown(ends: tuple[float, float], c: Coordinate = coordinate, x: float = x) -> tuple[float, float]:
            return (c.shown(x + ends[0]), c.shown(x + ends[1])) if math.isfinite(ends[0]) else ends

        found.append(
            Resampled(
                coordinate.name,
                coordinate.kind,
                coordinate.unit,
                coordinate.scale,
                coordinate.shown(x),
                sd,
                shown((-Z95 * sd, Z95 * sd)),
                shown(_percentile(errors)),
                shown(bias_corrected(errors, sds[:, k])),
                float(errors.mean() / sd) if errors.size and sd > 0 else math.nan,
                float(errors.std(ddof=1) / sd) if errors.size > 1 and sd > 0 else math.nan,
                float(np.mean(np.abs(errors) <= quantile * sds[:, k])) if errors.size else math.nan,
            )
        )
    return tuple(found)


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def _percentile(errors: Array, shares: tuple[float, float] = (0.025, 0.975)) -> tuple[float, float]:
    """Quantiles, unbiased at the ends; nan of too few."""
    if errors.size < LEAST_DRAWS:
        return math.nan, math.nan
    low, high = np.quantile(errors, shares, method="weibull")
    return float(low), float(high)


def bias_corrected(errors: Array, sds: Array) -> tuple[float, float]:
    """BCa: quantiles of (estimate - truth) at levels corrected for the bias of the median and for the
    acceleration; ``sds`` (n,) are the draws' own standard errors."""
    from scipy.special import ndtr, ndtri

    if errors.size < LEAST_DRAWS:
        return math.nan, math.nan
    below = (np.sum(errors < 0) + 0.5 * np.sum(errors == 0) + 0.5) / (errors.size + 1)
    bias = float(ndtri(below))
    z = bias + np.array([-Z95, Z95])
    low, high = ndtr(bias + z / (1 - _acceleration(errors, sds) * z))
    return _percentile(errors, (float(low), float(high)))


def _acceleration(errors: Array, sds: Array) -> float:
    """How fast the standard error grows with the estimate, on the scale where this is normal: that of the
    ranks, to which a cubic leads; by the draws in its middle, where the cubic is sure."""
    from scipy.special import ndtri

    ranks = np.argsort(np.argsort(errors))
    z = ndtri((ranks + 0.5) / errors.size)
    middle = (np.abs(z) < 2) & np.isfinite(sds)
    z = z[middle]
    slope = np.polynomial.Polynomial.fit(z, errors[middle], 3).deriv()(z)
    if not np.all(slope > 0):
        return 0.0
    centred = z - z.mean()
    return float(centred @ (sds[middle] / slope) / (centred @ centred))


def _notes(estimates: Sequence[Resampled], draws: Sequence[Redrawn]) -> tuple[str, ...]:
    found = []
    good = sum(draw.converged for draw in draws)
    if good < LEAST_DRAWS:
        found.append(f"{good} fitted draws are too few for 95 % intervals: {LEAST_DRAWS} at least.")
    if reasons := sorted({draw.failed for draw in draws if draw.failed}):
        found.append(f"Why draws failed: {'; '.join(reasons[:3])}{' ...' if len(reasons) > 3 else ''}.")
    other = [e.name for e in estimates if e.spread > NOTABLE or e.spread < 1 / NOTABLE]
    if good >= LEAST_DRAWS and other:
        found.append(
            "The draws scatter by more than a quarter more or less than the curvature says for "
            f"{', '.join(other)}."
        )
    return tuple(found)
