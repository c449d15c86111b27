"""A fit folder -> parameters with uncertainty, and what the data say about them.

    result = fit("low_dose_il2")          # or a path to a folder with fit.toml and data.csv
    print(result.summary())
    result.write_json("fit.json")

What is maximised is the posterior density of the model parameters (on their log, logit or natural scale), of study effects
(shifts of a parameter on that scale, normal with mean 0), and, where asked, of between-subject SDs and measurement noise. Every arm
is a population of K quasi-random subjects (scrambled Sobol points, whitened), the same points at every evaluation, so that the
objective is smooth. Data rows give signed deviance residuals (``likelihood``), priors give one each; the sum of squares is lowered by
Levenberg-Marquardt with the exact Jacobian from the solver's forward sensitivities. The covariance is the inverse of the
Gauss-Newton Hessian, priors included (Laplace approximation of the posterior).

A simulation that fails makes its point a bad one: the step is shortened, the point is counted and reported, nothing crashes.

fit.toml::

    title = "..."
    model = "il2_treg"                 # library name, or a path relative to the folder
    data = "data.csv"
    [options]                          # subjects, seed, starts, rtol, max_evaluations
    [free]                             # parameter = true (prior of the model file) or "lognormal(10, 0.5)"; without the table:
                                       # every parameter that has a prior in the model file
    [between]                          # between-subject SD = true, or "lognormal(0.3, 0.5)"; not named: as in the model file
    [study_effects]                    # parameter = 0.3  or  { sd = 0.7, studies = ["A", "B"] }
    [noise]                            # output = { proportional = 0.1, additive = 0.5, free = true }: one measurement's error
    [errors]                           # default = 0.3: relative error of a mean without a spread;  rows = { "row id" = 0.2 }
    [rival]                            # model, free, between, study_effects, noise of the simpler model
    [check]                            # title, leave_out = [row ids], only = [row ids]: fitted without, then predicted
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import os
import platform
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pkpd import data as _data
from pkpd import library, likelihood
from pkpd.data import Data, Row
from pkpd.errors import ConvergenceError, DataError, InputError, PkpdError

Array = NDArray[np.float64]
Solve = Callable[..., Any]
"""``simulate.solve`` or anything with its signature."""
Progress = Callable[[str, float, str], None]
"""Called with what is being done, the share that is done (0 to 1), and a short remark."""

OFV_TOLERANCE = 0.01
"""An optimum is reached when a full Gauss-Newton step promises less than this in OFV."""
OFV_NOISE = 0.1
"""Where no step lowers the OFV any more, this much is left to the noise of the solver's tolerance."""
SAME_OPTIMUM = 0.5
"""Two starts ended in one optimum if their OFVs differ by less."""

# --- the folder's specification ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prior:
    """lognormal(median, log-SD), normal(mean, SD), logitnormal(median, logit-SD), uniform(low, high)."""

    kind: str
    first: float
    second: float

    def __str__(self) -> str:
        return f"{self.kind}({self.first:g}, {self.second:g})"


_PRIOR = re.compile(r"\s*(\w+)\s*\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)\s*")
PRIOR_KINDS = ("lognormal", "normal", "logitnormal", "uniform")


def parse_prior(text: str, where: str) -> Prior:
    """Read ``kind(a, b)``; ``where`` names the place for the error."""
    match = _PRIOR.fullmatch(text)
    example = 'write for instance "lognormal(10, 0.5)"'
    if match is None:
        raise DataError(f'{where}: "{text[:60]}" is not a prior; {example}')
    kind, *arguments = match.groups()
    try:
        first, second = (float(argument) for argument in arguments)
    except ValueError:
        raise DataError(f'{where}: "{text[:60]}" holds something that is not a number; {example}') from None
    return checked_prior(kind, first, second, where)


def checked_prior(kind: str, first: float, second: float, where: str) -> Prior:
    """A prior whose numbers make sense, or ``DataError``."""
    if kind not in PRIOR_KINDS:
        raise DataError(
            f'{where}: unknown prior "{kind[:40]}"{_meant(kind, PRIOR_KINDS)}; known are {", ".join(PRIOR_KINDS)}'
        )
    if not (math.isfinite(first) and math.isfinite(second)):
        raise DataError(f"{where}: the numbers of a prior must be finite")
    if kind == "uniform":
        if not first < second:
            raise DataError(f"{where}: uniform({first:g}, {second:g}) has no width")
    elif second <= 0:
        raise DataError(f"{where}: the SD of {kind}({first:g}, {second:g}) must be positive")
    if kind == "lognormal" and first <= 0:
        raise DataError(f"{where}: the median of lognormal({first:g}, {second:g}) must be positive")
    if kind == "logitnormal" and not 0 < first < 1:
        raise DataError(f"{where}: the median of logitnormal({first:g}, {second:g}) must lie between 0 and 1")
    return Prior(kind, first, second)


@dataclass(frozen=True, slots=True)
class StudyEffect:
    """Shifts of a parameter by study, normal(0, sd) on the parameter's scale (log, logit or natural)."""

    parameter: str
    sd: float
    studies: tuple[str, ...] = ()
    """empty: every study"""


@dataclass(frozen=True, slots=True)
class NoiseSpec:
    """Error of one measurement of an output, and whether it is estimated."""

    proportional: float = 0.0
    additive: float = 0.0
    free: bool = False
    sd: float = 0.5
    """log-SD of the prior around the stated numbers"""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model and what of it is estimated."""

    model: str
    free: Mapping[str, Prior | None] | None = None
    """None: every parameter that has a prior in the model file; a value None: the model file's prior"""
    between: Mapping[str, Prior | None] = field(default_factory=dict)
    study_effects: tuple[StudyEffect, ...] = ()
    noise: Mapping[str, NoiseSpec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """How the fit is run."""

    subjects: int = 16
    seed: int = 1
    starts: int = 4
    rtol: float = 1e-4
    max_evaluations: int = 60
    """Jacobians per start"""


@dataclass(frozen=True, slots=True)
class Check:
    """The inner check: fitted without ``leave_out`` (or to ``only``), then ``leave_out`` predicted."""

    leave_out: tuple[str, ...]
    only: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class FitSpec:
    """Everything that a fit folder says."""

    name: str
    title: str
    folder: Path
    data: Path
    main: ModelSpec
    rival: ModelSpec | None = None
    options: Options = Options()
    relative_error: float = 0.3
    row_errors: Mapping[str, float] = field(default_factory=dict)
    check: Check | None = None
    sha256: str = ""


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


class _Table:
    """A TOML table that knows where it stands and is read strictly."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def keys_within(self, allowed: Sequence[str]) -> None:
        for key in self.values:
            if key not in allowed:
                raise DataError(
                    f'{self.where}: unknown key "{key}"{_meant(key, allowed)}; known are {", ".join(allowed)}'
                )

    def table(self, key: str) -> _Table:
        found = self.values.get(key, {})
        if not isinstance(found, dict):
            raise DataError(f"{self.where}: {key} must be a table, [{key}]")
        return _Table(found, f"{self.where}: [{key}]")

    def text(self, key: str, default: str | None = None) -> str:
        found = self.values.get(key, default)
        if not isinstance(found, str) or not (found or default == ""):
            raise DataError(
                f'{self.where}: {key} = "..." is needed'
                if found is None
                else f"{self.where}: {key} must be a text"
            )
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise DataError(f"{self.where}: {key} must be a list of texts")
        return tuple(found)

    def number(self, key: str, default: float, *, low: float = 0.0, high: float = math.inf) -> float:
        found = self.values.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise DataError(f"{self.where}: {key} must be a number")
        if not low <= found <= high:
            raise DataError(f"{self.where}: {key} = {found:g} must lie between {low:g} and {high:g}")
        return float(found)

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        found = self.values.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise DataError(f"{self.where}: {key} must be a whole number between {low} and {high}")
        return found

    def priors(self) -> dict[str, Prior | None]:
        """name = true | false | "prior": those not false."""
        found: dict[str, Prior | None] = {}
        for key, value in self.values.items():
            if value is True:
                found[key] = None
            elif isinstance(value, str):
                found[key] = parse_prior(value, f"{self.where}: {key}")
            elif value is not False:
                raise DataError(
                    f'{self.where}: {key} must be true, false or a prior such as "lognormal(10, 0.5)"'
                )
        return found


_MODEL_KEYS = ("model", "free", "between", "study_effects", "noise")
_TOP_KEYS = ("title", "data", *_MODEL_KEYS, "options", "errors", "rival", "check")


def read_fit(name_or_path: str | os.PathLike[str]) -> FitSpec:
    """Read and check the ``fit.toml`` of a fit: a name from ``library.fits()``, or a path to a folder.

    Raises ``LibraryError`` if it is not there and ``DataError`` naming the key that is wrong.
    """
    folder = Path(library.fit_folder(name_or_path))
    path = folder / "fit.toml"
    raw = path.read_bytes()
    try:
        values = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: {error}") from None
    top = _Table(values, str(path))
    top.keys_within(_TOP_KEYS)
    rival = top.values.get("rival")
    if isinstance(rival, str):
        rival = {"model": rival}
    options, usual = top.table("options"), Options()
    options.keys_within([item.name for item in dataclasses.fields(Options)])
    errors = top.table("errors")
    errors.keys_within(("default", "rows"))
    rows = errors.table("rows")
    check = top.table("check")
    check.keys_within(("title", "leave_out", "only"))
    return FitSpec(
        name=folder.name,
        title=top.text("title", folder.name),
        folder=folder,
        data=folder / top.text("data", "data.csv"),
        main=_read_model_spec(top, folder),
        rival=None if rival is None else _read_model_spec(_rival_table(rival, path), folder),
        options=Options(
            subjects=options.integer("subjects", usual.subjects, low=1, high=4096),
            seed=options.integer("seed", usual.seed, low=0, high=2**63 - 1),
            starts=options.integer("starts", usual.starts, low=1, high=1000),
            rtol=options.number("rtol", usual.rtol, low=1e-12, high=1e-2),
            max_evaluations=options.integer("max_evaluations", usual.max_evaluations, low=1, high=100_000),
        ),
        relative_error=errors.number("default", 0.3, low=1e-6, high=1e3),
        row_errors={key: rows.number(key, 0.3, low=1e-6, high=1e3) for key in rows.values},
        check=Check(check.texts("leave_out"), check.texts("only"), check.text("title", ""))
        if check.values
        else None,
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _rival_table(values: Any, path: Path) -> _Table:
    if not isinstance(values, dict):
        raise DataError(f"{path}: rival must be a model's name or a table, [rival]")
    table = _Table(values, f"{path}: [rival]")
    table.keys_within(_MODEL_KEYS)
    return table


def _read_model_spec(table: _Table, folder: Path) -> ModelSpec:
    model = table.text("model")
    beside = folder / model
    effects = []
    for name in table.table("study_effects").values:
        inner = table.table("study_effects")
        if isinstance(inner.values[name], dict):
            detail = inner.table(name)
            detail.keys_within(("sd", "studies"))
            effects.append(
                StudyEffect(name, detail.number("sd", math.nan, low=1e-9), detail.texts("studies"))
            )
        else:
            effects.append(StudyEffect(name, inner.number(name, math.nan, low=1e-9)))
    noises = {}
    for name in table.table("noise").values:
        detail = table.table("noise").table(name)
        detail.keys_within([item.name for item in dataclasses.fields(NoiseSpec)])
        free = detail.values.get("free", False)
        if not isinstance(free, bool):
            raise DataError(f"{detail.where}: free must be true or false")
        noises[name] = NoiseSpec(
            detail.number("proportional", 0.0),
            detail.number("additive", 0.0),
            free,
            detail.number("sd", 0.5, low=1e-9),
        )
    return ModelSpec(
        model=str(beside) if ("/" in model or model.endswith(".model")) and beside.exists() else model,
        free=table.table("free").priors() if "free" in table.values else None,
        between=table.table("between").priors(),
        study_effects=tuple(effects),
        noise=noises,
    )


# --- the model behind the fit -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class System:
    """What a fit has to know of a model: its parameters, outputs and units, and the kernel that the solver takes.

    ``parameters`` are objects with name, value, unit, lower, upper, prior, between, source, provenance (as those of
    ``symbolic.model.Parameter``), in the kernel's order.
    """

    name: str
    title: str
    parameters: tuple[Any, ...]
    output_units: Mapping[str, str]
    time_unit: str
    bridges: tuple[Any, ...]
    routes: tuple[str, ...]
    dose_units: Mapping[str, Mapping[str, float]]
    sizes: Mapping[str, int]
    kernel: Any
    sha256: str = ""

    @classmethod
    def load(cls, name_or_path: str) -> System:
        """Read a model of the library or of the user, and load (or build) its kernel."""
        from pkpd.kernel import load
        from pkpd.symbolic.model import read_model

        text, file = library.read_model_text(name_or_path)
        model = read_model(text, file)
        kernel = load(name_or_path)
        return cls(
            name=model.name,
            title=model.title,
            parameters=tuple(model.parameters),
            output_units={output.name: output.unit for output in model.outputs},
            time_unit=model.time_unit,
            bridges=tuple(model.bridges),
            routes=tuple(kernel.ROUTES),
            dose_units=kernel.DOSE_UNITS,
            sizes=kernel.SIZES,
            kernel=kernel,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
        )

    def index(self, parameter: str, where: str) -> int:
        """Index of a parameter, or ``DataError`` that suggests one."""
        names = [item.name for item in self.parameters]
        if parameter not in names:
            raise DataError(
                f'{where}: the model {self.name} has no parameter "{parameter}"{_meant(parameter, names)}'
            )
        return names.index(parameter)


# --- coordinates: what is estimated, on which scale -------------------------------------------------------------------

Kind = Literal["parameter", "between-subject SD", "study effect", "proportional error", "additive error"]


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One estimated number x on its scale: log, logit or natural.

    ``centre`` and ``sd`` are the normal prior of x (sd = inf: none), ``lower`` and ``upper`` its bounds, ``index`` the
    parameter that it belongs to (-1 for noise).
    """

    name: str
    kind: Kind
    target: str
    study: str
    scale: Literal["log", "logit", "natural"]
    centre: float
    sd: float
    lower: float
    upper: float
    start: float
    index: int
    unit: str
    prior: str
    source: str = ""
    provenance: str = ""

    @property
    def step(self) -> float:
        """A natural size of a change of x: the prior's SD, at most 2 on log and logit scales."""
        free = 1.0 if self.scale != "natural" else max(abs(self.start), 1e-12)
        sd = self.sd if math.isfinite(self.sd) else free
        return min(sd, 2.0) if self.scale != "natural" else sd

    def shown(self, x: float) -> float:
        """x as a person reads it: the parameter itself; of a study effect a factor (log scale) or a shift."""
        if self.kind == "study effect" and self.scale != "log":
            return x
        return _from_scale(self.scale, x)


def _from_scale(scale: str, x: float) -> float:
    if scale == "log":
        return math.exp(min(x, 700.0))
    if scale == "logit":
        return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
    return x


def _to_scale(scale: str, value: float) -> float:
    if scale == "log":
        return math.log(value)
    if scale == "logit":
        return _logit(value)
    return value


def _slope(scale: str, x: float) -> float:
    """d value/d x."""
    if scale == "log":
        return math.exp(min(x, 700.0))
    if scale == "logit":
        p = _from_scale("logit", x)
        return p * (1 - p)
    return 1.0


def _prior_of(parameter: Any, where: str) -> Prior | None:
    found = parameter.prior
    if found is None:
        return None
    first, second = found.arguments
    return checked_prior(found.kind, float(first), float(second), where)


def _scale_of(parameter: Any, prior: Prior | None) -> Literal["log", "logit", "natural"]:
    """Priors decide; without one, positive parameters are on the log scale."""
    if prior is not None and prior.kind == "lognormal":
        return "log"
    if prior is not None and prior.kind == "logitnormal":
        return "logit"
    if prior is not None and prior.kind == "normal":
        return "natural"
    if parameter.value > 0 and parameter.lower >= 0:
        return "logit" if parameter.lower == 0 and parameter.upper == 1 and parameter.value < 1 else "log"
    return "natural"


def _bounds_of(parameter: Any, prior: Prior | None, scale: str) -> tuple[float, float]:
    low, high = float(parameter.lower), float(parameter.upper)
    if prior is not None and prior.kind == "uniform":
        low, high = max(low, prior.first), min(high, prior.second)
    if scale == "log":
        return (math.log(low) if low > 0 else -math.inf), (math.log(high) if high < math.inf else math.inf)
    if scale == "logit":
        return (_logit(low) if low > 0 else -math.inf), (_logit(high) if high < 1 else math.inf)
    return low, high


def coordinates(system: System, spec: ModelSpec, rows: Sequence[Row]) -> tuple[Coordinate, ...]:
    """Everything that is estimated when this model is fitted to these rows, in the order of the tables of fit.toml."""
    where = f"fit of {system.name}"
    free = spec.free
    if free is None:
        free = {p.name: None for p in system.parameters if p.prior is not None and p.kind != "covariate"}
    found: list[Coordinate] = []
    scales: dict[str, Literal["log", "logit", "natural"]] = {}
    for name, given in free.items():
        index = system.index(name, f"{where}, [free]")
        parameter = system.parameters[index]
        if getattr(parameter, "kind", "parameter") == "covariate":
            raise DataError(
                f"{where}, [free]: {name} is a covariate, it belongs to the subject and is never fitted"
            )
        prior = given if given is not None else _prior_of(parameter, f"{where}: prior of {name}")
        scale = _scale_of(parameter, prior)
        scales[name] = scale
        low, high = _bounds_of(parameter, prior, scale)
        centre, sd = _centre(prior, scale, parameter.value)
        start = min(max(centre, low), high)
        found.append(
            Coordinate(
                name,
                "parameter",
                name,
                "",
                scale,
                centre,
                sd,
                low,
                high,
                start,
                index,
                parameter.unit,
                "none" if prior is None else str(prior),
                parameter.source,
                parameter.provenance,
            )
        )
    for name, given in spec.between.items():
        index = system.index(name, f"{where}, [between]")
        parameter = system.parameters[index]
        if given is None:
            if parameter.between is None:
                raise DataError(
                    f'{where}, [between]: {name} has no between-subject variability in the model; give "lognormal(0.3, 0.5)"'
                )
            given = Prior("lognormal", float(parameter.between.arguments[0]), 0.5)
        if given.kind != "lognormal":
            raise DataError(f"{where}, [between]: {name}: the prior of an SD must be lognormal")
        centre = math.log(given.first)
        found.append(
            Coordinate(
                f"SD {name}",
                "between-subject SD",
                name,
                "",
                "log",
                centre,
                given.second,
                math.log(1e-3),
                math.log(3.0),
                centre,
                index,
                "1",
                str(given),
                "",
                "",
            )
        )
    studies = tuple(dict.fromkeys(row.study for row in rows))
    for effect in spec.study_effects:
        index = system.index(effect.parameter, f"{where}, [study_effects]")
        parameter = system.parameters[index]
        scale = scales.get(effect.parameter) or _scale_of(parameter, _prior_of(parameter, where))
        for study in effect.studies:
            if study not in studies and study not in (row.study for row in rows):
                continue  # a study without a fitted row: its effect would only be its prior
        for study in effect.studies or studies:
            if study in studies:
                found.append(
                    Coordinate(
                        f"{effect.parameter} in {study}",
                        "study effect",
                        effect.parameter,
                        study,
                        scale,
                        0.0,
                        effect.sd,
                        -math.inf,
                        math.inf,
                        0.0,
                        index,
                        parameter.unit if scale == "natural" else "1",
                        f"normal(0, {effect.sd:g}) on the {scale} scale",
                    )
                )
    for output, noise in spec.noise.items():
        if output not in system.output_units:
            raise DataError(
                f'{where}, [noise]: the model has no output "{output}"{_meant(output, system.output_units)}'
            )
        if not noise.free:
            continue
        kinds: tuple[tuple[Kind, float, str], ...] = (
            ("proportional error", noise.proportional, "1"),
            ("additive error", noise.additive, system.output_units[output]),
        )
        for kind, value, unit in kinds:
            if value > 0:
                centre = math.log(value)
                found.append(
                    Coordinate(
                        f"{kind} of {output}",
                        kind,
                        output,
                        "",
                        "log",
                        centre,
                        noise.sd,
                        -math.inf,
                        math.inf,
                        centre,
                        -1,
                        unit,
                        f"lognormal({value:g}, {noise.sd:g})",
                    )
                )
    return tuple(found)


def _centre(prior: Prior | None, scale: str, value: float) -> tuple[float, float]:
    if prior is None:
        return _to_scale(scale, value), math.inf
    if prior.kind == "uniform":
        inside = min(max(value, prior.first), prior.second)
        if scale != "natural" and inside <= 0:
            inside = (prior.first + prior.second) / 2
        return _to_scale(scale, inside), math.inf
    return _to_scale(scale, prior.first), prior.second


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- the objective ----------------------------------------------------------------------------------------------------


def quasi_normals(count: int, dimensions: int, seed: int) -> Array:
    """(count, dimensions) balanced standard normal points: scrambled Sobol, mean 0 and (if count allows) covariance I.

    Owen 1998, J Complexity 14:466 (scrambling); whitening makes the first two moments of a linear model exact.
    """
    if dimensions == 0:
        return np.zeros((count, 0))
    if count == 1:
        return np.zeros((1, dimensions))
    from scipy.special import ndtri
    from scipy.stats import qmc

    power = max(1, math.ceil(math.log2(count)))
    points = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)[:count]
    z = ndtri(np.clip(points, 1e-6, 1 - 1e-6))
    z -= z.mean(axis=0)
    if count > dimensions + 1:
        covariance = z.T @ z / count
        z = z @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    return np.asarray(z / np.sqrt((z**2).mean(axis=0)), dtype=np.float64)


@dataclass(frozen=True)
class Evaluation:
    """Residuals of the data at a point: ``residuals`` (n_residuals,), ``jacobian`` (n_residuals, n_coordinates) or None, the
    rows' terms, and the predictions' derivatives ``predicted_jacobian`` (n_rows, n_coordinates)."""

    residuals: Array
    jacobian: Array | None
    terms: tuple[likelihood.Term, ...]
    predicted_jacobian: Array | None


class BadPoint(Exception):
    """A simulation failed at this point; the text says which arm and why."""


@dataclass(frozen=True)
class _Item:
    """One derivative of an arm's subject parameters: coordinate, place in the arm's directions, and how."""

    coordinate: int
    place: int


_Simulated = tuple[Array, "Array | None", Array, "Array | None", Array]


class Objective:
    """Residuals and Jacobian of data rows by the coordinates of a model.

    ``rows`` are in model units. ``solve`` has the signature of ``simulate.solve``; passing another one exchanges the solver.
    Calls are counted in ``simulations`` (subjects) and ``bad`` (points that failed, with the last reasons in ``reasons``).
    """

    def __init__(
        self,
        system: System,
        spec: ModelSpec,
        rows: Sequence[Row],
        *,
        options: Options,
        relative_error: float = 0.3,
        row_errors: Mapping[str, float] | None = None,
        solve: Solve | None = None,
        threads: int | None = None,
        estimated: tuple[Coordinate, ...] | None = None,
    ) -> None:
        if solve is None:
            from pkpd.simulate import solve as own_solve

            solve = own_solve
        self.system, self.spec, self.options = system, spec, options
        self.rows = tuple(rows)
        self.relative_error, self.row_errors = relative_error, dict(row_errors or {})
        self._solve, self._threads = solve, threads or _usable_cores()
        self.coordinates = coordinates(system, spec, rows) if estimated is None else estimated
        self.measured = tuple(
            likelihood.measured(row, self.row_errors.get(row.id, relative_error)) for row in self.rows
        )
        self._events = {text: self._event_table(row, text) for row in self.rows for text in (row.schedule,)}
        self.plan = _data.plan(self.rows, lambda text: self._events[text].time)
        self._output_index = {name: i for i, name in enumerate(system.output_units)}
        self.bad = 0
        self.simulations = 0
        self.reasons: list[str] = []
        self._set_up_population()
        self._set_up_arms()

    def restricted(self, keep: Callable[[Row], bool]) -> Objective:
        """The same objective (same coordinates) for fewer rows."""
        return Objective(
            self.system, self.spec, [row for row in self.rows if keep(row)], options=self.options,
            relative_error=self.relative_error, row_errors=self.row_errors, solve=self._solve, threads=self._threads,
            estimated=self.coordinates,
        )  # fmt: skip

    def _event_table(self, row: Row, text: str) -> Any:
        from pkpd.dosing import Schedule

        s = self.system
        try:
            return Schedule.parse(text).events(s.time_unit, s.routes, s.dose_units, s.sizes)
        except InputError as error:
            raise DataError(f'line {row.line} (row "{row.id}"), column "schedule": {error}') from None

    def _set_up_population(self) -> None:
        between = {
            i: float(p.between.arguments[0])
            for i, p in enumerate(self.system.parameters)
            if p.between is not None
        }
        for coordinate in self.coordinates:
            if coordinate.kind == "between-subject SD":
                between[coordinate.index] = math.exp(coordinate.start)
        self._between = dict(sorted(between.items()))
        self._low = np.array([float(p.lower) for p in self.system.parameters])
        self._high = np.array([float(p.upper) for p in self.system.parameters])
        self._z = quasi_normals(self.options.subjects, len(between), self.options.seed)

    def _set_up_arms(self) -> None:
        self._arm_items: list[tuple[_Item, ...]] = []
        self._arm_directions: list[tuple[int, ...]] = []
        self._arm_events: list[Any] = []
        self._apart: list[bool] = []
        self._outputs_of: list[NDArray[np.intp]] = []
        relative = {
            a
            for row, place in zip(self.rows, self.plan.placements, strict=True)
            if row.measure != "value"
            for a in place.arms
        }
        used: list[set[int]] = [set() for _ in self.plan.arms]
        for row, place in zip(self.rows, self.plan.placements, strict=True):
            for a in place.arms:
                used[a].add(self._output_index[row.output])
        for a, arm in enumerate(self.plan.arms):
            fixed = {item.name for item in arm.overrides}
            members = [
                (c, coordinate.index)
                for c, coordinate in enumerate(self.coordinates)
                if coordinate.index >= 0
                and coordinate.study in ("", arm.study)
                and (coordinate.kind == "between-subject SD" or coordinate.target not in fixed)
            ]
            directions = tuple(sorted({index for _, index in members}))
            self._arm_directions.append(directions)
            self._arm_items.append(tuple(_Item(c, directions.index(index)) for c, index in members))
            events = self._events[arm.schedule]
            if arm.dose_factor != 1:
                events = dataclasses.replace(events, amount=events.amount * arm.dose_factor)
            self._arm_events.append(events)
            self._outputs_of.append(np.array(sorted(used[a])))
            # a bolus at time 0 may jump an output: the baseline then has to come from a run without drug
            self._apart.append(a in relative and bool(len(events)) and bool(np.any(events.time <= 0)))

    # -- the population at a point

    def _subjects(self, x: Array, a: int) -> tuple[Array, Array]:
        """Subjects' parameters (K, n_params) of an arm, and their derivatives (n_items, K) by the arm's items."""
        arm = self.plan.arms[a]
        on_scale: dict[int, tuple[str, float]] = {}
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "parameter":
                on_scale[coordinate.index] = (coordinate.scale, float(x[c]))
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "study effect" and coordinate.study == arm.study:
                value = self.system.parameters[coordinate.index].value
                scale, base = on_scale.get(coordinate.index) or (
                    coordinate.scale,
                    _to_scale(coordinate.scale, value),
                )
                on_scale[coordinate.index] = (scale, base + float(x[c]))
        values = np.array([float(p.value) for p in self.system.parameters])
        slopes = np.zeros(values.size)
        for index, (scale, position) in on_scale.items():
            values[index], slopes[index] = _from_scale(scale, position), _slope(scale, position)
        for override in arm.overrides:
            values[self.system.index(override.name, "set")] = override.value
        deviations = self._deviations(x)
        subjects = np.tile(values, (self.options.subjects, 1))
        growth = np.ones_like(subjects)
        for place, (index, sd) in enumerate(deviations.items()):
            growth[:, index] = np.exp(sd * self._z[:, place])
        subjects *= growth
        inside = (subjects >= self._low) & (subjects <= self._high)
        subjects = np.clip(subjects, self._low, self._high)  # as everywhere where subjects are drawn
        places = {index: place for place, index in enumerate(deviations)}
        derivatives = np.empty((len(self._arm_items[a]), self.options.subjects))
        for i, item in enumerate(self._arm_items[a]):
            coordinate = self.coordinates[item.coordinate]
            index = coordinate.index
            if coordinate.kind == "between-subject SD":
                derivatives[i] = subjects[:, index] * self._z[:, places[index]] * deviations[index]
            else:
                derivatives[i] = slopes[index] * growth[:, index]
            derivatives[i] *= inside[:, index]
        return subjects, derivatives

    def _deviations(self, x: Array) -> dict[int, float]:
        """Between-subject SDs by parameter index, in the order of the columns of z."""
        found = dict(self._between)
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "between-subject SD":
                found[coordinate.index] = math.exp(float(x[c]))
        return found

    def noises(self, x: Array) -> dict[str, likelihood.Noise]:
        """Measurement error by output at a point."""
        found = {name: [item.proportional, item.additive] for name, item in self.spec.noise.items()}
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "proportional error":
                found[coordinate.target][0] = math.exp(float(x[c]))
            elif coordinate.kind == "additive error":
                found[coordinate.target][1] = math.exp(float(x[c]))
        return {name: likelihood.Noise(*pair) for name, pair in found.items()}

    def values(self, x: Array, study: str = "") -> dict[str, float]:
        """Typical parameters by name at a point, of one study or without study effects."""
        found = {p.name: float(p.value) for p in self.system.parameters}
        shift: dict[str, float] = {}
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "study effect" and coordinate.study == study:
                shift[coordinate.target] = float(x[c])
        scales = {c.target: c.scale for c in self.coordinates if c.kind in ("parameter", "study effect")}
        for c, coordinate in enumerate(self.coordinates):
            if coordinate.kind == "parameter":
                found[coordinate.target] = _from_scale(coordinate.scale, float(x[c]))
        for name, change in shift.items():
            found[name] = _from_scale(scales[name], _to_scale(scales[name], found[name]) + change)
        return found

    def between(self, x: Array) -> dict[str, float]:
        """Between-subject log-SDs by parameter name at a point."""
        return {self.system.parameters[index].name: sd for index, sd in self._deviations(x).items()}

    # -- residuals

    def _simulate(self, x: Array, a: int, sensitivities: bool) -> _Simulated:
        """Outputs (K, T, n_outputs) and sensitivities (K, T, n_outputs, D) of an arm; the same at baseline, (K, n_outputs) and
        (K, n_outputs, D); and the derivatives of the subjects' parameters."""
        subjects, derivatives = self._subjects(x, a)
        arm = self.plan.arms[a]
        directions = self._arm_directions[a] if sensitivities else ()
        outputs, s = self._run(subjects, self._arm_events[a], arm.times, directions, arm.label)
        if self._apart[a]:
            from pkpd.dosing import EventTable

            before, before_s = self._run(subjects, EventTable.empty(), np.zeros(1), directions, arm.label)
            return outputs, s, before[:, 0], None if before_s is None else before_s[:, 0], derivatives
        return outputs, s, outputs[:, 0], None if s is None else s[:, 0], derivatives

    def _simulate_all(self, x: Array, sensitivities: bool) -> list[_Simulated]:
        """Every arm, spread over threads (the solver holds no lock); long arms are begun first."""
        order = sorted(range(len(self.plan.arms)), key=lambda a: -float(self.plan.arms[a].times[-1]))
        if self._threads == 1 or len(order) < 2:
            done = {a: self._simulate(x, a, sensitivities) for a in order}
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                futures = {a: pool.submit(self._simulate, x, a, sensitivities) for a in order}
                try:
                    done = {a: future.result() for a, future in futures.items()}
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
        return [done[a] for a in range(len(order))]

    def _run(
        self, subjects: Array, events: Any, times: Array, directions: tuple[int, ...], label: str
    ) -> tuple[Array, Array | None]:
        if not np.all(np.isfinite(subjects)):
            raise BadPoint(f"{label}: a parameter is not finite")
        self.simulations += subjects.shape[0]
        try:
            solution = self._solve(
                self.system.kernel,
                subjects,
                events,
                times,
                rtol=self.options.rtol,
                directions=directions,
                threads=1,
            )
        except InputError:
            raise
        except (PkpdError, ArithmeticError) as error:
            raise BadPoint(f"{label}: {str(error).splitlines()[0]}") from None
        failed = np.flatnonzero(np.asarray(solution.status))
        if failed.size:
            raise BadPoint(
                f"{label}: {solution.failure(int(failed[0]))} ({failed.size} of {len(subjects)} subjects)"
            )
        outputs = np.asarray(solution.outputs)
        s = solution.sensitivities if directions else None
        if not np.all(np.isfinite(outputs)) or (s is not None and not np.all(np.isfinite(s))):
            raise BadPoint(f"{label}: an output is not finite")
        return outputs, None if s is None else np.asarray(s)

    def evaluate(self, x: Array, *, jacobian: bool = False) -> Evaluation:
        """Residuals (and Jacobian) of the data at a point; raises ``BadPoint``, counted, where a simulation fails."""
        try:
            with np.errstate(all="ignore"):
                return self._evaluate(x, jacobian)
        except BadPoint as reason:
            self.bad += 1
            if len(self.reasons) < 50:
                self.reasons.append(str(reason))
            raise

    def _evaluate(self, x: Array, jacobian: bool) -> Evaluation:
        arms = self._simulate_all(x, jacobian)
        noises = self.noises(x)
        noise_places = {
            (coordinate.target, 0 if coordinate.kind == "proportional error" else 1): c
            for c, coordinate in enumerate(self.coordinates)
            if coordinate.index < 0
        }
        count = len(self.coordinates)
        residuals, blocks, terms, predicted = [], [], [], []
        for row, measured, place in zip(self.rows, self.measured, self.plan.placements, strict=True):
            o = self._output_index[row.output]
            noise = noises.get(row.output, likelihood.Noise())
            samples = []
            for a, at in zip(place.arms, place.indices, strict=True):
                outputs, _, before, _, _ = arms[a]
                baseline = None if row.measure == "value" else before[:, o]
                samples.append(
                    likelihood.sample(row, outputs[:, at, o], baseline, self.plan.arms[a].times[at], noise)
                )
            term = likelihood.evaluate(
                measured, np.stack([s.s for s in samples]), np.stack([s.v for s in samples])
            )
            if not np.all(np.isfinite(term.residuals)):
                raise BadPoint(f'row "{row.id}": its prediction is not finite')
            residuals.append(term.residuals)
            terms.append(term)
            if not jacobian:
                continue
            block = np.zeros((term.residuals.size + 1, count))  # last line: the prediction itself
            for j, (a, at) in enumerate(zip(place.arms, place.indices, strict=True)):
                _, s, _, before_s, derivatives = arms[a]
                part = samples[j]
                by_s = np.concatenate([term.by_s[:, j], term.predicted_s[None, j]])
                by_v = np.concatenate([term.by_v[:, j], term.predicted_v[None, j]])
                for kind in (0, 1):
                    c = noise_places.get((row.output, kind))
                    if c is not None:
                        block[:, c] += by_v @ part.v_noise[:, kind] * math.exp(float(x[c]))
                items = self._arm_items[a]
                if not items or s is None or before_s is None:
                    continue
                by_y = by_s[:, :, None] * part.s_y + by_v[:, :, None] * part.v_y
                by_p = np.einsum("mkt,ktd->mkd", by_y, s[:, at, o])
                by_p += (by_s * part.s_b + by_v * part.v_b)[:, :, None] * before_s[None, :, o]
                columns = [item.coordinate for item in items]
                block[:, columns] += np.einsum(
                    "mki,ik->mi", by_p[:, :, [item.place for item in items]], derivatives
                )
            blocks.append(block[:-1])
            predicted.append(block[-1])
        joined = np.concatenate(residuals) if residuals else np.zeros(0)
        if not jacobian:
            return Evaluation(joined, None, tuple(terms), None)
        if not blocks:
            return Evaluation(joined, np.zeros((0, count)), (), np.zeros((0, count)))
        full = np.concatenate(blocks)
        if not np.all(np.isfinite(full)):
            raise BadPoint("a derivative of a residual is not finite")
        return Evaluation(joined, full, tuple(terms), np.stack(predicted))

    # -- priors

    def prior(self, x: Array) -> tuple[Array, Array]:
        """Prior residuals and their Jacobian (diagonal rows, one per coordinate with a prior)."""
        sds = np.array([c.sd for c in self.coordinates])
        centres = np.array([c.centre for c in self.coordinates])
        has = np.isfinite(sds)
        return ((x - centres) / sds)[has], np.diag(1 / sds)[has]

    @property
    def start(self) -> Array:
        """The prior's centre, within bounds."""
        return np.array([c.start for c in self.coordinates])

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds of the coordinates, (n_coordinates,) each."""
        return np.array([c.lower for c in self.coordinates]), np.array([c.upper for c in self.coordinates])


# --- Levenberg-Marquardt ----------------------------------------------------------------------------------------------


@dataclass
class Minimum:
    """Where a search ended. ``cost`` is the sum of squares of data and prior residuals; ``jacobian`` includes the priors."""

    x: Array
    cost: float
    evaluation: Evaluation
    jacobian: Array
    iterations: int
    evaluations: int
    decrement: float
    converged: bool
    message: str


def minimise(
    objective: Objective,
    x0: Array,
    *,
    max_evaluations: int = 60,
    first: Evaluation | None = None,
    remark: Callable[[int, float], None] | None = None,
    keep: Callable[[Minimum], None] | None = None,
) -> Minimum:
    """Levenberg-Marquardt within bounds from ``x0``.

    Marquardt's scaling (diagonal of the Gauss-Newton Hessian), Nielsen's rule for the damping (Madsen, Nielsen & Tingleff 2004,
    Methods for non-linear least squares problems, sec. 3.2), coordinates at a bound that the gradient pushes out are held. A bad
    point raises the damping. Ends when a full Gauss-Newton step promises less than ``OFV_TOLERANCE``. ``first`` is an
    evaluation with Jacobian at ``x0``, if there is one; ``keep`` is called with every improvement. Raises ``BadPoint`` if x0 fails.
    """
    lower, upper = objective.bounds
    steps = np.array([c.step for c in objective.coordinates])
    x = np.clip(x0, lower, upper)
    evaluation = first if first is not None else objective.evaluate(x, jacobian=True)
    used = 0 if first is not None else 1
    damping, growth, iterations = 1e-2, 2.0, 0
    message = "evaluations used up"
    # steps are judged by runs without sensitivities on both sides: with them the solver takes other steps
    plain_cost = _cost(objective, x)
    while True:
        residuals, jacobian = _with_prior(objective, x, evaluation)
        cost = float(residuals @ residuals)
        gradient, hessian = jacobian.T @ residuals, jacobian.T @ jacobian
        held = ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))
        free = np.flatnonzero(~held)
        decrement = _decrement(gradient[free], hessian[np.ix_(free, free)])
        best = Minimum(
            x, cost, evaluation, jacobian, iterations, used, decrement, decrement < OFV_TOLERANCE, message
        )
        if keep is not None:
            keep(best)
        if remark is not None:
            remark(iterations, cost)
        if best.converged:
            best.message = "converged"
            return best
        if used >= max_evaluations:
            return best
        iterations += 1
        accepted = False
        for _ in range(12):
            trial = _step(x, gradient, hessian, free, damping, steps, lower, upper)
            change = trial - x
            promised = -float(2 * gradient @ change + change @ hessian @ change)
            if promised < 0.1 * OFV_TOLERANCE:
                break
            try:
                trial_cost = _cost(objective, trial)
            except BadPoint:
                trial_cost = math.inf
            if trial_cost < plain_cost:
                ratio = (plain_cost - trial_cost) / promised
                plain_cost = trial_cost
                damping *= max(1 / 5, 1 - (2 * ratio - 1) ** 3)
                damping = max(damping, 1e-9)
                growth = 2.0
                accepted = True
                break
            damping *= growth
            growth *= 2
        if not accepted:
            best.converged = decrement < OFV_NOISE
            best.message = (
                f"converged as far as rtol {objective.options.rtol:g} allows (a step promises {decrement:.2g} in OFV)"
                if best.converged
                else f"no step lowers the OFV, although the gradient promises {decrement:.3g}"
            )
            return best
        try:
            evaluation = objective.evaluate(trial, jacobian=True)
        except BadPoint as reason:
            best.message = f"stopped: {reason}"
            return best
        x = trial
        used += 1


def _cost(objective: Objective, x: Array) -> float:
    residuals = objective.evaluate(x).residuals
    prior, _ = objective.prior(x)
    return float(residuals @ residuals + prior @ prior)


def _with_prior(objective: Objective, x: Array, evaluation: Evaluation) -> tuple[Array, Array]:
    assert evaluation.jacobian is not None  # asked for by every caller
    prior, prior_jacobian = objective.prior(x)
    return np.concatenate([evaluation.residuals, prior]), np.concatenate(
        [evaluation.jacobian, prior_jacobian]
    )


def _decrement(gradient: Array, hessian: Array) -> float:
    """What a full Gauss-Newton step promises in OFV."""
    if gradient.size == 0:
        return 0.0
    step = np.linalg.lstsq(hessian, gradient, rcond=1e-12)[0]
    return float(gradient @ step)


def _step(
    x: Array,
    gradient: Array,
    hessian: Array,
    free: NDArray[np.intp],
    damping: float,
    steps: Array,
    lower: Array,
    upper: Array,
) -> Array:
    part = hessian[np.ix_(free, free)]
    scale = np.maximum(np.diag(part), 1e-8 / steps[free] ** 2)
    change = np.zeros_like(x)
    change[free] = -np.linalg.solve(part + damping * np.diag(scale), gradient[free])
    # a model is no straight line over more than a few prior SDs
    change *= min(1.0, 3.0 / max(1e-300, float(np.max(np.abs(change) / steps))))
    return np.clip(x + change, lower, upper)


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """One estimated number. ``x`` and ``x_sd`` are on the scale of the search, ``value`` and the 95% interval natural
    (a study effect is a factor on a log scale, else a shift); ``rse`` in percent; ``shrinkage`` is posterior SD / prior SD."""

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
class RowResult:
    """One number of the data against the fit. ``observed_lower/upper``: 95% interval of the report; ``predicted_lower/upper``: 95%
    interval by the parameters' uncertainty; ``residuals`` as named in ``labels``; ``contribution`` their sum of squares."""

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
    """Leave-one-study-out: ``log_density`` is the predictive log density of the study's rows by a fit without them."""

    study: str
    rows: int
    residuals: int
    log_density: float
    chi_square: float
    """squared distance of the residuals in units of their predictive covariance; about ``residuals`` if well predicted"""
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


@dataclass(frozen=True)
class Comparison:
    """The model against its rival."""

    rows: tuple[str, ...]
    only_main: tuple[str, ...]
    main: ModelScore
    rival: ModelScore
    log_density_difference: float
    log_density_difference_se: float
    verdict: str


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
    verdict: str


@dataclass(frozen=True)
class FitResult:
    """All that came out of a fit. ``summary()`` prints it, ``write_json`` keeps it, ``read_json`` gets it back.

    ``ofv`` is the sum of squares of the data residuals, ``ofv_prior`` that of the priors; ``minus_2ll`` is -2 log likelihood
    of the data with all constants; AIC and BIC use the effective number of parameters (trace of the hat matrix, so that a study effect
    shrunk by its prior counts in part) and the number of data residuals.
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
    """typical parameters of the model, without study effects"""
    study_values: dict[str, dict[str, float]]
    between: dict[str, float]
    noise: dict[str, dict[str, float]]
    covariance: tuple[tuple[float, ...], ...]
    """of the estimates' ``x``"""
    comparison: Comparison | None
    unverified: Refit | None
    check: Refit | None
    provenance: dict[str, Any]

    def summary(self) -> str:
        """A page of text for a terminal."""
        return _summary(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return dataclasses.asdict(self)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON: whole or not at all."""
        from pkpd.files import replacing, to_json

        with replacing(Path(path)) as temporary:
            temporary.write_text(to_json(self.to_dict()) + "\n", encoding="utf-8")

    @staticmethod
    def read_json(path: str | os.PathLike[str]) -> FitResult:
        """Read what ``write_json`` wrote. Raises ``DataError`` if the file is something else."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            result = _rebuild(FitResult, values)
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} is not the JSON of a fit: {error}") from None
        assert isinstance(result, FitResult)
        return result


_NESTED: dict[str, type] = {
    "estimates": Estimate,
    "rows": RowResult,
    "predicted": RowResult,
    "starts": StartResult,
    "left_out": StudyLeftOut,
    "changes": Change,
    "main": ModelScore,
    "rival": ModelScore,
    "comparison": Comparison,
    "unverified": Refit,
    "check": Refit,
}


def _rebuild(kind: type, values: Any) -> Any:
    """A result dataclass from its JSON: lists become tuples, null becomes nan where a number belongs."""
    if not isinstance(values, dict):
        raise ValueError(f"a {kind.__name__} is missing")
    arguments = {}
    for item in dataclasses.fields(kind):
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


# --- from an optimum to words -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Posterior:
    """Laplace approximation at an optimum."""

    covariance: Array
    sd: Array
    correlation: Array
    condition: float
    informed: int
    effective: float
    flat: NDArray[np.bool_]
    """coordinates in which neither data nor prior say anything"""


def _posterior(objective: Objective, minimum: Minimum) -> _Posterior:
    steps = np.array([c.step for c in objective.coordinates])
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
    prior_sd = np.array([c.sd if math.isfinite(c.sd) else 10 * c.step for c in objective.coordinates])
    strength = np.linalg.svd(data * prior_sd, compute_uv=False)
    return _Posterior(
        covariance,
        sd,
        correlation,
        largest / float(singular[~dead].min()) if not dead.any() else math.inf,
        int((strength > 1).sum()),
        float(np.einsum("ri,ij,rj->", data, covariance, data)),
        flat,
    )


def _verdicts(objective: Objective, minimum: Minimum, posterior: _Posterior) -> tuple[list[str], list[bool]]:
    """Per coordinate, what the data say about it, in words."""
    lower, upper = objective.bounds
    texts, bound = [], []
    off = np.abs(posterior.correlation - np.eye(posterior.sd.size))
    for i, coordinate in enumerate(objective.coordinates):
        at = bool(minimum.x[i] <= lower[i] + 1e-6 or minimum.x[i] >= upper[i] - 1e-6)
        bound.append(at)
        partner = int(np.argmax(off[i])) if off.shape[0] > 1 else i
        strong = partner != i and off[i, partner] > 0.95
        tied = (
            f"; correlated with {objective.coordinates[partner].name} ({posterior.correlation[i, partner]:+.2f})"
            if strong
            else ""
        )
        if at:
            texts.append("at its bound" + tied)
        elif posterior.flat[i]:
            texts.append("not identified" + tied)
        elif not math.isfinite(coordinate.sd):
            # without a prior the data speak alone: a log-SD of 1 is a factor of 7 either way in a 95% interval
            wide = posterior.sd[i] > (1.0 if coordinate.scale != "natural" else abs(minimum.x[i]))
            texts.append(("not identified" if wide else "the data inform") + tied)
        else:
            ratio = posterior.sd[i] / coordinate.sd
            if ratio > 0.9:
                texts.append("mostly the prior" + tied)
            elif ratio > 0.5:
                texts.append("the data and the prior" + tied)
            else:
                texts.append("the data inform" + tied)
    return texts, bound


def _estimates(objective: Objective, minimum: Minimum, posterior: _Posterior) -> tuple[Estimate, ...]:
    texts, bound = _verdicts(objective, minimum, posterior)
    found = []
    for i, c in enumerate(objective.coordinates):
        x, sd = float(minimum.x[i]), float(posterior.sd[i])
        ends = (x - 1.959964 * sd, x + 1.959964 * sd)

        value = c.shown(x)
        slope = value if c.scale == "log" else 1.0 if c.kind == "study effect" else _slope(c.scale, x)
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
                verdict=texts[i],
                at_bound=bound[i],
                source=c.source,
                provenance=c.provenance,
            )
        )
    return tuple(found)


def _identifiability(objective: Objective, posterior: _Posterior, estimates: Sequence[Estimate]) -> str:
    main = [e for e in estimates if e.kind in ("parameter", "between-subject SD")]

    def listed(word: str) -> str:
        return ", ".join(e.name for e in main if e.verdict.startswith(word)) or "none"

    tied = sorted({e.name for e in main if "correlated" in e.verdict})
    return " ".join(
        [
            f"The data inform {posterior.informed} of {len(estimates)} directions of the parameter space more than the priors do.",
            f"Informed by the data: {listed('the data inform')}.",
            f"By data and prior alike: {listed('the data and')}.",
            f"Mostly the prior: {listed('mostly')}.",
            f"Not identified: {listed('not identified')}.",
            f"At a bound: {listed('at its bound')}.",
            f"Not told apart from others (correlation above 0.95): {', '.join(tied) or 'none'}.",
            f"Condition number {posterior.condition:.3g} (above 1000: some combination is hardly determined).",
        ]
    )


def _row_results(
    objective: Objective, evaluation: Evaluation, covariance: Array | None, original: Mapping[str, Row]
) -> tuple[RowResult, ...]:
    found = []
    for i, (row, measured, term) in enumerate(
        zip(objective.rows, objective.measured, evaluation.terms, strict=True)
    ):
        half = math.nan
        if covariance is not None and evaluation.predicted_jacobian is not None:
            gradient = evaluation.predicted_jacobian[i]
            half = 1.959964 * math.sqrt(max(0.0, float(gradient @ covariance @ gradient)))
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
                predicted_lower=term.predicted - half,
                predicted_upper=term.predicted + half,
                residuals=tuple(float(r) for r in term.residuals),
                labels=term.labels,
                contribution=float(term.residuals @ term.residuals),
                source=row.source,
                doi=row.doi,
                provenance=row.provenance,
                note=row.note,
            )
        )
    return tuple(found)


# --- fitting ----------------------------------------------------------------------------------------------------------


def draw_starts(objective: Objective, count: int, seed: int) -> list[Array]:
    """Starting points: the prior's centre first, then draws from the prior (study effects stay at 0), within bounds."""
    generator = np.random.Generator(np.random.Philox(seed))
    lower, upper = objective.bounds
    points = [objective.start]
    spread = np.array([0.0 if c.kind == "study effect" else min(c.step, 1.0) for c in objective.coordinates])
    for _ in range(count - 1):
        points.append(
            np.clip(objective.start + spread * generator.standard_normal(spread.size), lower, upper)
        )
    return points


@dataclass
class _Search:
    """Outcome of a search with several starts."""

    best: Minimum | None
    starts: list[StartResult]
    interrupted: bool


def _search(
    objective: Objective, starts: int, seed: int, limit: int, progress: Progress, what: str
) -> _Search:
    search = _Search(None, [], False)

    def keep(minimum: Minimum) -> None:
        if search.best is None or minimum.cost < search.best.cost:
            search.best = minimum

    points = draw_starts(objective, 4 * starts, seed)  # spares, for starts where a simulation fails
    done = 0
    try:
        for point in points:
            if done == starts:
                break
            share = done / starts

            def remark(iteration: int, cost: float, share: float = share, number: int = done + 1) -> None:
                within = min(1.0, iteration / 15) / starts
                progress(
                    what, share + within, f"start {number} of {starts}, step {iteration}, OFV {cost:.2f}"
                )

            try:
                first = objective.evaluate(point, jacobian=True)
            except BadPoint:
                continue
            residuals, _ = _with_prior(objective, point, first)
            end = minimise(objective, point, max_evaluations=limit, first=first, remark=remark, keep=keep)
            search.starts.append(
                StartResult(
                    float(residuals @ residuals), end.cost, end.evaluations + 1, end.converged, end.message
                )
            )
            done += 1
    except KeyboardInterrupt:
        search.interrupted = True
    return search


def _quiet(what: str, share: float, remark: str) -> None:
    """No progress shown."""


def fit(
    fit: str | os.PathLike[str] | FitSpec,
    *,
    starts: int | None = None,
    seed: int | None = None,
    subjects: int | None = None,
    leave_out_unverified: bool = False,
    rival: bool = True,
    leave_one_out: bool = True,
    unverified: bool = True,
    check: bool = True,
    jobs: int | None = None,
    progress: Progress | None = None,
    solve: Solve | None = None,
) -> FitResult:
    """Fit the model of a fit folder to its data.

    Daily use: ``fit`` is a name from ``library.fits()``, a path to a folder, or a ``FitSpec``; ``starts``, ``seed`` and ``subjects``
    override the folder's options; ``leave_out_unverified`` drops rows whose provenance is unverified.

    What is done besides the fit: ``rival`` fits the rival model and compares on common rows, with ``leave_one_out`` also by
    leave-one-study-out; ``unverified`` refits without unverified rows and tells what changes; ``check`` runs the inner check.

    Apart: ``jobs`` threads for simulation (None: all cores), ``progress(what, share, remark)``, ``solve`` another solver.

    Returns a ``FitResult``; after Ctrl-C the best so far, marked ``interrupted``. Raises ``InputError`` kinds for wrong
    input, and ``ConvergenceError`` if the model cannot be simulated at any start.
    """
    began = time.perf_counter()
    spec = fit if isinstance(fit, FitSpec) else read_fit(fit)
    given = {"starts": starts, "seed": seed, "subjects": subjects}
    options = replace(spec.options, **{key: value for key, value in given.items() if value is not None})
    spec = replace(spec, options=options)
    progress = progress or _quiet
    raw = _data.read_data(spec.data)
    _check_row_names(spec, raw)
    system = System.load(spec.main.model)
    return run(
        spec, system, raw, solve=solve, jobs=jobs, progress=progress, leave_out_unverified=leave_out_unverified,
        rival=System.load(spec.rival.model) if rival and spec.rival is not None else None, leave_one_out=leave_one_out,
        unverified=unverified, check=check, began=began,
    )  # fmt: skip


def _check_row_names(spec: FitSpec, raw: Data) -> None:
    known = [row.id for row in raw.rows]
    lists = [("[errors.rows]", tuple(spec.row_errors))]
    if spec.check is not None:
        lists += [("[check] leave_out", spec.check.leave_out), ("[check] only", spec.check.only)]
    for where, names in lists:
        for name in names:
            if name not in known:
                raise DataError(
                    f'{spec.folder / "fit.toml"}: {where}: the data have no row "{name}"{_meant(name, known)}'
                )


def run(
    spec: FitSpec,
    system: System,
    raw: Data,
    *,
    rival: System | None = None,
    solve: Solve | None = None,
    jobs: int | None = None,
    progress: Progress = _quiet,
    leave_out_unverified: bool = False,
    leave_one_out: bool = True,
    unverified: bool = True,
    check: bool = True,
    began: float | None = None,
) -> FitResult:
    """As ``fit``, of a model and data that were already read."""
    began = time.perf_counter() if began is None else began
    missing = _data.unknown_outputs(raw, tuple(system.output_units))
    wanted = raw.keep(lambda row: not (leave_out_unverified and row.provenance == "unverified"))
    everything = in_units(wanted, system)
    fitted = [row for row in everything.rows if row.use == "fit"]
    if not fitted:
        detail = "; ".join(list(missing.values())[:3])
        raise DataError(f"{raw.file}: no row can be fitted by {system.name}{': ' + detail if detail else ''}")
    original = {row.id: row for row in raw.rows}
    whole = _objective(spec, spec.main, system, everything.rows, fitted, solve, jobs)
    objective = whole.restricted(lambda row: row.use == "fit")
    objective, notes = _pruned(objective, progress)
    whole = Objective(
        system, spec.main, everything.rows, options=spec.options, relative_error=spec.relative_error,
        row_errors=spec.row_errors, solve=solve, threads=jobs, estimated=objective.coordinates,
    )  # fmt: skip
    search = _search(
        objective, spec.options.starts, spec.options.seed, spec.options.max_evaluations, progress, "fit"
    )
    if search.best is None:
        reason = f": {objective.reasons[-1]}" if objective.reasons else ""
        if search.interrupted:
            raise ConvergenceError("interrupted before the first point was simulated")
        raise ConvergenceError(
            f"{system.name} cannot be simulated at any start drawn from its priors{reason}"
        )
    best = search.best
    posterior = _posterior(objective, best)
    estimates = _estimates(objective, best, posterior)
    rows, lost = _predict(whole, objective, best, posterior, original)
    interrupted = search.interrupted
    comparison = without = inner = None
    try:
        if rival is not None and spec.rival is not None and not interrupted:
            comparison = _compare(
                spec, objective, best, rival, everything, raw, leave_one_out, solve, jobs, progress
            )
        if unverified and not leave_out_unverified and not interrupted:
            without = _without_unverified(objective, best, posterior, original, spec, progress)
        if check and spec.check is not None and not interrupted:
            inner = _inner_check(objective, best, posterior, original, spec, spec.check, progress)
    except KeyboardInterrupt:
        interrupted = True
    minus_2ll, constants = _minus_2ll(best.evaluation)
    n_residuals = best.evaluation.residuals.size
    progress("fit", 1.0, "done")
    return FitResult(
        name=spec.name,
        title=spec.title,
        model=system.name,
        model_title=system.title,
        converged=best.converged and not search.interrupted,
        interrupted=interrupted,
        message="interrupted: best point so far" if search.interrupted else best.message,
        ofv=minus_2ll - constants,
        ofv_prior=best.cost - (minus_2ll - constants),
        minus_2ll=minus_2ll,
        aic=minus_2ll + 2 * posterior.effective,
        bic=minus_2ll + math.log(n_residuals) * posterior.effective,
        n_rows=len(objective.rows),
        n_residuals=n_residuals,
        n_parameters=len(objective.coordinates),
        effective_parameters=posterior.effective,
        informed_directions=posterior.informed,
        condition_number=posterior.condition,
        estimates=estimates,
        correlation=_nested(posterior.correlation),
        rows=rows,
        starts=tuple(search.starts),
        identifiability=_identifiability(objective, posterior, estimates),
        bad_points=objective.bad,
        bad_reasons=tuple(dict.fromkeys(objective.reasons)),
        not_predicted=missing | lost,
        notes=tuple(notes),
        values=objective.values(best.x),
        study_values={
            study: objective.values(best.x, study) for study in dict.fromkeys(row.study for row in fitted)
        },
        between=objective.between(best.x),
        noise={
            name: {"proportional": noise.proportional, "additive": noise.additive}
            for name, noise in objective.noises(best.x).items()
        },
        covariance=_nested(posterior.covariance),
        comparison=comparison,
        unverified=without,
        check=inner,
        provenance=_provenance(spec, system, rival, raw, objective, began, leave_out_unverified),
    )


def in_units(raw: Data, system: System) -> Data:
    """Rows that the model can predict, in its units."""
    return _data.in_model_units(
        raw,
        system.output_units,
        system.time_unit,
        {p.name: p.unit for p in system.parameters},
        system.bridges,
    )


def _objective(
    spec: FitSpec, model: ModelSpec, system: System, rows: Sequence[Row], fitted: Sequence[Row], solve: Solve | None,
    jobs: int | None,
) -> Objective:  # fmt: skip
    return Objective(
        system, model, rows, options=spec.options, relative_error=spec.relative_error, row_errors=spec.row_errors,
        solve=solve, threads=jobs, estimated=coordinates(system, model, fitted),
    )  # fmt: skip


def _nested(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in line) for line in matrix)


def _minus_2ll(evaluation: Evaluation) -> tuple[float, float]:
    """-2LL of the data, and the constants in it."""
    constants = sum(term.constant for term in evaluation.terms)
    return float(evaluation.residuals @ evaluation.residuals) + constants, constants


def _pruned(objective: Objective, progress: Progress) -> tuple[Objective, list[str]]:
    """Without the study effects that no row of their study depends on, found at the prior's centre."""
    progress("fit", 0.0, "first evaluation")
    try:
        first = objective.evaluate(objective.start, jacobian=True)
    except BadPoint:
        return objective, []
    assert first.jacobian is not None  # asked for
    idle = [
        c
        for i, c in enumerate(objective.coordinates)
        if c.kind == "study effect" and not np.any(first.jacobian[:, i])
    ]
    if not idle:
        return objective, []
    names = [c.name for c in idle]
    smaller = Objective(
        objective.system, objective.spec, objective.rows, options=objective.options,
        relative_error=objective.relative_error, row_errors=objective.row_errors, solve=objective._solve,
        threads=objective._threads, estimated=tuple(c for c in objective.coordinates if c.name not in names),
    )  # fmt: skip
    return smaller, [f"study effects that touch no row were left out: {', '.join(names)}"]


def _predict(
    whole: Objective, objective: Objective, best: Minimum, posterior: _Posterior, original: Mapping[str, Row]
) -> tuple[tuple[RowResult, ...], dict[str, str]]:
    """Row table of fitted and check rows; check rows that cannot be simulated come back as sentences."""
    fitted = _row_results(objective, best.evaluation, posterior.covariance, original)
    extra = whole.restricted(lambda row: row.use != "fit")
    lost: dict[str, str] = {}
    if not extra.rows:
        return fitted, lost
    try:
        checked = _row_results(extra, extra.evaluate(best.x, jacobian=True), posterior.covariance, original)
    except BadPoint as reason:
        return fitted, {row.id: f"could not be predicted: {reason}" for row in extra.rows}
    return fitted + checked, lost


def _refit(objective: Objective, best: Minimum, limit: int, full: Objective | None = None) -> Minimum:
    """A warm start from ``best``: where the rows are a part of the full ones, the Jacobian there is already known."""
    first = None
    if full is not None:
        first = _part(full, objective, best.evaluation)
    try:
        return minimise(objective, best.x, max_evaluations=limit, first=first)
    except BadPoint as reason:  # cannot happen where the full fit could be simulated, but a fit never crashes
        return replace(best, converged=False, message=str(reason))


def _part(full: Objective, part: Objective, evaluation: Evaluation) -> Evaluation:
    """The lines of a full evaluation that belong to the rows of a part."""
    assert evaluation.jacobian is not None and evaluation.predicted_jacobian is not None
    wanted = {row.id for row in part.rows}
    keep_rows = [i for i, row in enumerate(full.rows) if row.id in wanted]
    sizes = [term.residuals.size for term in evaluation.terms]
    ends = np.cumsum([0, *sizes])
    lines = np.concatenate([np.arange(ends[i], ends[i + 1]) for i in keep_rows])
    return Evaluation(
        evaluation.residuals[lines],
        evaluation.jacobian[lines],
        tuple(evaluation.terms[i] for i in keep_rows),
        evaluation.predicted_jacobian[keep_rows],
    )


def leave_one_study_out(
    objective: Objective,
    best: Minimum,
    *,
    limit: int = 8,
    progress: Progress = _quiet,
    what: str = "leave one study out",
) -> tuple[StudyLeftOut, ...]:
    """Predictive log density of every study by a fit to all others (warm starts).

    The rows of the study are predicted with the uncertainty of everything that was estimated without them, its own study
    effects at their prior: with residuals r and Jacobian J of the left-out rows and covariance C of the fit without them,
    the residuals are normal with covariance I + J C J', and the density of the data follows by the rows' constants.
    """
    found = []
    studies = tuple(dict.fromkeys(row.study for row in objective.rows))
    if len(studies) < 2:
        return ()
    for number, study in enumerate(studies):
        progress(what, number / len(studies), study)
        inside = objective.restricted(lambda row, study=study: row.study != study)  # type: ignore[misc]
        outside = objective.restricted(lambda row, study=study: row.study == study)  # type: ignore[misc]
        end = _refit(inside, best, limit, objective)
        try:
            left = outside.evaluate(end.x, jacobian=True)
        except BadPoint:
            found.append(StudyLeftOut(study, len(outside.rows), 0, -math.inf, math.inf, False))
            continue
        covariance = _posterior(inside, end).covariance
        assert left.jacobian is not None  # asked for
        log_density, chi_square = predictive_density(left, covariance)
        found.append(
            StudyLeftOut(
                study, len(outside.rows), left.residuals.size, log_density, chi_square, end.converged
            )
        )
    return tuple(found)


def predictive_density(evaluation: Evaluation, covariance: Array) -> tuple[float, float]:
    """Log density of the rows of an evaluation under parameters with this covariance, and their squared distance."""
    assert evaluation.jacobian is not None
    r, j = evaluation.residuals, evaluation.jacobian
    spread = np.eye(r.size) + j @ covariance @ j.T
    _, log_determinant = np.linalg.slogdet(spread)
    chi_square = float(r @ np.linalg.solve(spread, r))
    constants = sum(term.constant for term in evaluation.terms)
    return -0.5 * (chi_square + float(log_determinant) + constants), chi_square


def _score(objective: Objective, end: Minimum, left_out: tuple[StudyLeftOut, ...]) -> ModelScore:
    posterior = _posterior(objective, end)
    minus_2ll, constants = _minus_2ll(end.evaluation)
    count = end.evaluation.residuals.size
    return ModelScore(
        model=objective.system.name,
        title=objective.system.title,
        ofv=minus_2ll - constants,
        minus_2ll=minus_2ll,
        parameters=len(objective.coordinates),
        effective_parameters=posterior.effective,
        aic=minus_2ll + 2 * posterior.effective,
        bic=minus_2ll + math.log(count) * posterior.effective,
        log_density=sum(item.log_density for item in left_out) if left_out else math.nan,
        converged=end.converged,
        left_out=left_out,
    )


def _compare(
    spec: FitSpec, objective: Objective, best: Minimum, system: System, everything: Data, raw: Data, leave_one_out: bool,
    solve: Solve | None, jobs: int | None, progress: Progress,
) -> Comparison | None:  # fmt: skip
    """Both models fitted to the rows that both can predict."""
    assert spec.rival is not None
    fitted_ids = {row.id for row in objective.rows}
    theirs = in_units(raw.keep(lambda row: row.id in fitted_ids and _settable(row, system)), system).rows
    shared = {row.id for row in theirs}
    if not shared:
        return None
    rival = Objective(
        system, spec.rival, theirs, options=spec.options, relative_error=spec.relative_error, row_errors=spec.row_errors,
        solve=solve, threads=jobs,
    )  # fmt: skip
    rival, _ = _pruned(rival, _quiet)
    search = _search(
        rival, spec.options.starts, spec.options.seed, spec.options.max_evaluations, progress, "rival"
    )
    if search.interrupted:
        raise KeyboardInterrupt
    if search.best is None:
        return None
    ours = objective.restricted(lambda row: row.id in shared)
    progress("comparison", 0.0, "both models on the same rows")
    mine = (
        _refit(ours, best, spec.options.max_evaluations, objective) if len(shared) < len(fitted_ids) else best
    )
    left = leave_one_study_out(ours, mine, progress=progress) if leave_one_out else ()
    their_left = (
        leave_one_study_out(rival, search.best, progress=progress, what="leave one study out, rival")
        if leave_one_out
        else ()
    )
    main, other = _score(ours, mine, left), _score(rival, search.best, their_left)
    differences = np.array([a.log_density - b.log_density for a, b in zip(left, their_left, strict=True)])
    total = float(differences.sum()) if differences.size else math.nan
    se = float(np.sqrt(differences.size) * differences.std(ddof=1)) if differences.size > 1 else math.nan
    order = [row.id for row in objective.rows]
    return Comparison(
        rows=tuple(name for name in order if name in shared),
        only_main=tuple(name for name in order if name not in shared),
        main=main,
        rival=other,
        log_density_difference=total,
        log_density_difference_se=se,
        verdict=_comparison_words(main, other, total, se, len(shared)),
    )


def _settable(row: Row, system: System) -> bool:
    """Whether the rival has the output and every parameter that the row's arm sets, and takes its doses."""
    from pkpd.dosing import Schedule

    names = {p.name for p in system.parameters}
    if row.output not in system.output_units or any(item.name not in names for item in row.overrides):
        return False
    try:
        Schedule.parse(row.schedule).events(system.time_unit, system.routes, system.dose_units, system.sizes)
    except InputError:
        return False
    return True


def _comparison_words(main: ModelScore, rival: ModelScore, total: float, se: float, rows: int) -> str:
    aic, bic = rival.aic - main.aic, rival.bic - main.bic

    def which(difference: float) -> str:
        return f"for {main.model}" if difference > 0 else f"for {rival.model}"

    text = f"On {rows} rows that both can predict: AIC differs by {abs(aic):.1f} {which(aic)}, BIC by {abs(bic):.1f} {which(bic)}"
    if math.isfinite(total):
        sure = "" if not math.isfinite(se) else f" (SE {se:.1f})"
        text += (
            f"; left-out studies are predicted better by {abs(total):.1f}{sure} in log density {which(total)}"
        )
        if math.isfinite(se) and abs(total) < 2 * se:
            text += ", which is within two standard errors"
    return text + "."


def _changes(objective: Objective, best: Minimum, posterior: _Posterior, other: Array) -> tuple[Change, ...]:
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
    objective: Objective, best: Minimum, posterior: _Posterior, original: Mapping[str, Row], spec: FitSpec,
    left_out: frozenset[str], kept: frozenset[str],
) -> tuple[Minimum, tuple[Change, ...], tuple[RowResult, ...]]:  # fmt: skip
    inside = objective.restricted(lambda row: row.id in kept)
    end = _refit(inside, best, spec.options.max_evaluations, objective)
    outside = objective.restricted(lambda row: row.id in left_out)
    try:
        covariance = _posterior(inside, end).covariance
        predicted = _row_results(outside, outside.evaluate(end.x, jacobian=True), covariance, original)
    except BadPoint:
        predicted = ()
    return end, _changes(objective, best, posterior, end.x), predicted


def _without_unverified(
    objective: Objective,
    best: Minimum,
    posterior: _Posterior,
    original: Mapping[str, Row],
    spec: FitSpec,
    progress: Progress,
) -> Refit | None:
    left_out = frozenset(row.id for row in objective.rows if row.provenance == "unverified")
    kept = frozenset(row.id for row in objective.rows) - left_out
    if not left_out or not kept:
        return None
    progress("without unverified rows", 0.0, f"{len(left_out)} rows left out")
    end, changes, predicted = _fit_without(objective, best, posterior, original, spec, left_out, kept)
    moved = [change for change in changes if abs(change.shift) > 1]
    words = ", ".join(f"{c.name} {c.value:.3g} -> {c.other:.3g}" for c in moved) or "none"
    return Refit(
        title="without unverified rows",
        left_out=tuple(row.id for row in objective.rows if row.id in left_out),
        ofv=float(end.evaluation.residuals @ end.evaluation.residuals),
        converged=end.converged,
        changes=changes,
        predicted=predicted,
        verdict=f"{len(left_out)} of {len(objective.rows)} rows are unverified. Without them these move by more than one SD: {words}.",
    )


def _inner_check(
    objective: Objective, best: Minimum, posterior: _Posterior, original: Mapping[str, Row], spec: FitSpec, check: Check,
    progress: Progress,
) -> Refit | None:  # fmt: skip
    fitted = frozenset(row.id for row in objective.rows)
    left_out = frozenset(check.leave_out) & fitted
    kept = (frozenset(check.only) & fitted if check.only else fitted) - left_out
    if not left_out or not kept:
        return None
    title = check.title or "inner check"
    progress("inner check", 0.0, title)
    end, changes, predicted = _fit_without(objective, best, posterior, original, spec, left_out, kept)
    return Refit(
        title=title,
        left_out=tuple(row.id for row in objective.rows if row.id in left_out),
        ofv=float(end.evaluation.residuals @ end.evaluation.residuals),
        converged=end.converged,
        changes=changes,
        predicted=predicted,
        verdict=" ".join(_prediction_words(row) for row in predicted) or "could not be simulated",
    )


def _prediction_words(row: RowResult) -> str:
    observed_half = (row.observed_upper - row.observed_lower) / 2
    predicted_half = (row.predicted_upper - row.predicted_lower) / 2
    half = math.hypot(observed_half, predicted_half)
    text = f"{row.id}: predicted {row.predicted:.3g} ({row.predicted_lower:.3g} to {row.predicted_upper:.3g}), observed {row.observed:.3g}"
    if not math.isfinite(half):
        return text + "."
    inside = abs(row.predicted - row.observed) <= half
    return f"{text}: {'within' if inside else 'outside'} the 95% prediction interval."


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
        "ofv_tolerance": OFV_TOLERANCE,
        "relative_error": spec.relative_error,
        "unverified_left_out": unverified_left_out,
        "data_file": Path(raw.file).name,
        "data_sha256": raw.sha256,
        "fit_sha256": spec.sha256,
        "model_sha256": system.sha256,
        "rival_sha256": rival.sha256 if rival is not None else "",
        "subject_simulations": objective.simulations,
        "run_time_s": time.perf_counter() - began,
    }


# --- printing ---------------------------------------------------------------------------------------------------------


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in (header, *lines)) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (header, *lines)
    ]


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def _summary(result: FitResult) -> str:
    lines = [f"{result.title}", f"model {result.model}: {result.model_title}", ""]
    state = "interrupted" if result.interrupted else "converged" if result.converged else "not converged"
    lines.append(
        f"{state} ({result.message}); {result.n_rows} rows, {result.n_residuals} residuals, {result.n_parameters} estimated"
    )
    lines.append(
        f"OFV {result.ofv:.2f} (data) + {result.ofv_prior:.2f} (priors); -2LL {result.minus_2ll:.2f}; "
        f"AIC {result.aic:.2f}, BIC {result.bic:.2f} with {result.effective_parameters:.1f} effective parameters"
    )
    ends = [start.last for start in result.starts]
    if ends:
        same = sum(end - min(ends) < SAME_OPTIMUM for end in ends)
        lines.append(
            f"starts: {len(ends)}, of which {same} ended in the best optimum; OFV with priors {', '.join(f'{e:.2f}' for e in ends)}"
        )
    if result.bad_points:
        lines.append(
            f"bad points: {result.bad_points} ({result.bad_reasons[0] if result.bad_reasons else ''})"
        )
    lines += ["", *_table(
        ("parameter", "estimate", "95% interval", "RSE %", "unit", "prior", "shrinkage", "verdict"),
        [
            (
                e.name, _number(e.value), f"{_number(e.lower)} to {_number(e.upper)}", _number(e.rse, 2), e.unit, e.prior,
                _number(e.shrinkage, 2), e.verdict,
            )
            for e in result.estimates
        ],
    )]  # fmt: skip
    lines += ["", result.identifiability, ""]
    lines += _table(
        ("row", "use", "observed", "predicted", "95% of prediction", "unit", "residuals", "part of OFV", "provenance"),
        [
            (
                r.id, r.use, _number(r.observed), _number(r.predicted),
                f"{_number(r.predicted_lower)} to {_number(r.predicted_upper)}", r.unit,
                " ".join(f"{value:+.2f}" for value in r.residuals), f"{r.contribution:.2f}", r.provenance,
            )
            for r in result.rows
        ],
    )  # fmt: skip
    for row_id, reason in result.not_predicted.items():
        lines.append(f"not predicted: {row_id}: {reason}")
    lines += list(result.notes)
    if result.comparison is not None:
        lines += ["", "rival: " + result.comparison.verdict]
        lines += _table(
            ("model", "OFV", "-2LL", "estimated", "effective", "AIC", "BIC", "left-out log density"),
            [
                (
                    score.model, f"{score.ofv:.1f}", f"{score.minus_2ll:.1f}", str(score.parameters),
                    f"{score.effective_parameters:.1f}", f"{score.aic:.1f}", f"{score.bic:.1f}", _number(score.log_density, 4),
                )
                for score in (result.comparison.main, result.comparison.rival)
            ],
        )  # fmt: skip
    for refit in (result.unverified, result.check):
        if refit is not None:
            lines += ["", f"{refit.title}: {refit.verdict}"]
    provenance = result.provenance
    lines += ["", f"seed {provenance['seed']}, {provenance['subjects_per_arm']} subjects in each of {provenance['arms']} arms, "
              f"rtol {provenance['rtol']:g}, {provenance['run_time_s']:.0f} s"]  # fmt: skip
    return "\n".join(lines)
