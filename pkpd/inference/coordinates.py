"""The model behind a fit, and what of it is estimated on which scale."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import DataError, LibraryError
from pkpd.core.names import meant
from pkpd.core.tables import Problems, by_name
from pkpd.inference.spec import ModelSpec, NoiseSpec, Prior, StudyEffect, checked_prior
from pkpd.inference.summary.reading import in_model_units
from pkpd.inference.summary.rows import Data, Override, Row, Setting, Stratum
from pkpd.model.extend import model_text


@dataclass(frozen=True)
class System:
    """What a fit has to know of a model: its parameters, outputs and units, and the kernel that the solver
    takes.

    ``parameters`` are objects with name, kind, value, unit, lower, upper, prior, between, source, provenance,
    as those of ``model.check.Parameter``, in the kernel's order.
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
    correlations: tuple[tuple[str, str, float], ...] = ()
    """of how parameters differ between subjects, by their names"""

    @classmethod
    def of(cls, spec: ModelSpec) -> System:
        """That of a fit, as ``load``; ``LibraryError`` tells the place where fit.toml names its model."""
        try:
            return cls.load(spec.model)
        except LibraryError as error:
            raise LibraryError(f"{spec.where}: model: {error}" if spec.where else str(error)) from None

    @classmethod
    def load(cls, name_or_path: str) -> System:
        """Read a model of the library or of the user, and load (or build) its kernel."""
        from pkpd.model.check import read_model
        from pkpd.solver.kernel import load

        text, file = model_text(name_or_path)
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
            correlations=kernel.CORRELATIONS,
        )

    def index(self, parameter: str, where: str) -> int:
        """Index of a parameter, or ``DataError`` that suggests one."""
        names = [item.name for item in self.parameters]
        if parameter not in names:
            raise DataError(
                f'{where}: the model {self.name} has no parameter "{parameter}"{meant(parameter, names)}'
            )
        return names.index(parameter)

    def same_in_arm(self, overrides: Iterable[Setting]) -> list[int]:
        """Indices of the covariates that an arm sets: all of its patients have that value, whatever their
        spread in the model."""
        given = {item.name for item in overrides if isinstance(item, Override)}
        return [i for i, p in enumerate(self.parameters) if p.kind == "covariate" and p.name in given]


CoordinateKind = Literal[
    "parameter", "between-subject SD", "study effect", "proportional error", "additive error"
]

Scale = Literal["log", "logit", "natural"]


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One estimated number x on its scale: log, logit or natural.

    ``centre`` and ``sd`` are the normal prior of x (sd = inf: none), ``lower`` and ``upper`` its bounds,
    ``index`` the parameter that it belongs to (-1 for noise).
    """

    name: str
    kind: CoordinateKind
    target: str
    study: str
    scale: Scale
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
    def size(self) -> float | None:
        """A size of a change of x that is known beforehand: the prior's SD (at most 2 on log and logit
        scales, 1 without a prior), or on a natural scale without a prior a quarter of the way between its
        bounds. None: only the data can tell."""
        if self.scale != "natural":
            return min(self.sd, 2.0) if math.isfinite(self.sd) else 1.0
        if math.isfinite(self.sd):
            return self.sd
        width = self.upper - self.lower
        return width / 4 if 0.0 < width < math.inf else None

    def shown(self, x: float) -> float:
        """x as a person reads it: the parameter itself; of a study effect a factor (log scale) or a shift."""
        if self.kind == "study effect" and self.scale != "log":
            return x
        return from_scale(self.scale, x)


def from_scale(scale: str, x: float) -> float:
    if scale == "log":
        return math.exp(min(x, 700.0))
    if scale == "logit":
        return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
    return x


def to_scale(scale: str, value: float) -> float:
    if scale == "log":
        return math.log(value)
    if scale == "logit":
        return _logit(value)
    return value


def slope_of(scale: str, x: float) -> float:
    """d value/d x."""
    if scale == "log":
        return math.exp(min(x, 700.0))
    if scale == "logit":
        p = from_scale("logit", x)
        return p * (1 - p)
    return 1.0


class Estimated(Protocol):
    """What is asked of a coordinate where only its place in the model counts; the estimate of one has it,
    too."""

    @property
    def kind(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def study(self) -> str: ...
    @property
    def scale(self) -> str: ...


def typical_at(
    items: Sequence[Estimated],
    x: Sequence[float] | NDArray[np.float64],
    known: Mapping[str, float],
    study: str = "",
    shifts: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Typical parameters by name at a point x of these coordinates.

    known : every parameter of the model; those that no coordinate touches stay. study : whose effects are
        added, "" for none; shifts : effects by parameter
    that are added besides, on the parameter's scale.
    """
    found = dict(known)
    shift = dict(shifts or {})
    scales = {}
    for item, value in zip(items, x, strict=True):
        if item.kind == "parameter":
            found[item.target] = from_scale(item.scale, float(value))
        elif item.kind == "study effect" and item.study == study:
            shift[item.target] = shift.get(item.target, 0.0) + float(value)
        if item.kind in ("parameter", "study effect"):
            scales[item.target] = item.scale
    for name, change in shift.items():
        found[name] = from_scale(scales[name], to_scale(scales[name], found[name]) + change)
    return found


def between_at(
    items: Sequence[Estimated], x: Sequence[float] | NDArray[np.float64], known: Mapping[str, float]
) -> dict[str, float]:
    """Between-subject log-SDs (the square roots of OMEGA's diagonal) by parameter at a point; ``known``: of
    every parameter that has one, estimated or not."""
    return dict(known) | {
        item.target: math.exp(float(value))
        for item, value in zip(items, x, strict=True)
        if item.kind == "between-subject SD"
    }


def _prior_of(parameter: Any, where: str) -> Prior | None:
    found = parameter.prior
    if found is None:
        return None
    first, second = found.arguments
    return checked_prior(found.kind, float(first), float(second), where)


def _scale_of(parameter: Any, prior: Prior | None) -> Scale:
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
    """Everything that is estimated when this model is fitted to these rows, in the order of the tables of
    fit.toml."""
    where = spec.where or f"fit of {system.name}"
    free = spec.free
    if free is None:
        free = {p.name: None for p in system.parameters if p.prior is not None and p.kind != "covariate"}
    found = [_of_parameter(system, name, given, where) for name, given in free.items()]
    scales = {one.target: one.scale for one in found}
    found += [_of_spread(system, name, given, where) for name, given in spec.between.items()]
    studies = tuple(dict.fromkeys(row.study for row in rows))
    for effect in spec.study_effects:
        found += _of_studies(system, effect, studies, scales.get(effect.parameter), where)
    for output, noise in spec.noise.items():
        found += _of_noise(system, output, noise, where)
    return tuple(found)


def _of_parameter(system: System, name: str, given: Prior | None, where: str) -> Coordinate:
    """A typical parameter; given : the prior of fit.toml, which replaces the model's."""
    index = system.index(name, f"{where}, [free]")
    parameter = system.parameters[index]
    if parameter.kind == "covariate":
        raise DataError(
            f"{where}, [free]: {name} is a covariate, it belongs to the subject and is never fitted"
        )
    prior = given if given is not None else _prior_of(parameter, f"{where}: prior of {name}")
    scale = _scale_of(parameter, prior)
    low, high = _bounds_of(parameter, prior, scale)
    centre, sd = _centre(prior, scale, parameter.value)
    return Coordinate(
        name=name,
        kind="parameter",
        target=name,
        study="",
        scale=scale,
        centre=centre,
        sd=sd,
        lower=low,
        upper=high,
        start=min(max(centre, low), high),
        index=index,
        unit=parameter.unit,
        prior="none" if prior is None else str(prior),
        source=parameter.source,
        provenance=parameter.provenance,
    )


def _of_spread(system: System, name: str, given: Prior | None, where: str) -> Coordinate:
    """The log-SD between subjects of a parameter; given : its prior, None for one around the model's."""
    index = system.index(name, f"{where}, [between]")
    parameter = system.parameters[index]
    if parameter.kind == "covariate":
        raise DataError(
            f"{where}, [between]: {name} is a covariate, whose spread is not fitted: it stands in the model, "
            f"covariate {name} = ... ~ lognormal(log-SD)"
        )
    if given is None:
        if parameter.between is None:
            raise DataError(
                f"{where}, [between]: {name} has no between-subject variability in the model; "
                'give "lognormal(0.3, 0.5)"'
            )
        given = Prior("lognormal", float(parameter.between.arguments[0]), 0.5)
    if given.kind != "lognormal":
        raise DataError(f"{where}, [between]: {name}: the prior of an SD must be lognormal")
    centre = math.log(given.first)
    return Coordinate(
        name=f"SD {name}",
        kind="between-subject SD",
        target=name,
        study="",
        scale="log",
        centre=centre,
        sd=given.second,
        lower=math.log(1e-3),
        upper=math.log(3.0),
        start=centre,
        index=index,
        unit="1",
        prior=str(given),
    )


def _of_studies(
    system: System, effect: StudyEffect, studies: Sequence[str], scale: Scale | None, where: str
) -> list[Coordinate]:
    """The effects of those studies that have a row: of another the effect would only be its prior; scale :
    that of the parameter where it is free."""
    index = system.index(effect.parameter, f"{where}, [study_effects]")
    parameter = system.parameters[index]
    scale = scale or _scale_of(parameter, _prior_of(parameter, where))
    return [
        Coordinate(
            name=f"{effect.parameter} in {study}",
            kind="study effect",
            target=effect.parameter,
            study=study,
            scale=scale,
            centre=0.0,
            sd=effect.sd,
            lower=-math.inf,
            upper=math.inf,
            start=0.0,
            index=index,
            unit=parameter.unit if scale == "natural" else "1",
            prior=f"normal(0, {effect.sd:g}) on the {scale} scale",
        )
        for study in effect.studies or studies
        if study in studies
    ]


def _of_noise(system: System, output: str, noise: NoiseSpec, where: str) -> list[Coordinate]:
    """The errors of measurement of an output that are free and not 0."""
    if output not in system.output_units:
        raise DataError(
            f'{where}, [noise]: the model has no output "{output}"{meant(output, system.output_units)}'
        )
    kinds: tuple[tuple[CoordinateKind, float, str], ...] = (
        ("proportional error", noise.proportional, "1"),
        ("additive error", noise.additive, system.output_units[output]),
    )
    return [
        Coordinate(
            name=f"{kind} of {output}",
            kind=kind,
            target=output,
            study="",
            scale="log",
            centre=math.log(value),
            sd=noise.sd,
            lower=-math.inf,
            upper=math.inf,
            start=math.log(value),
            index=-1,
            unit=unit,
            prior=f"lognormal({value:g}, {noise.sd:g})",
        )
        for kind, value, unit in kinds
        if noise.free and value > 0
    ]


def _centre(prior: Prior | None, scale: str, value: float) -> tuple[float, float]:
    if prior is None:
        return to_scale(scale, value), math.inf
    if prior.kind == "uniform":
        inside = min(max(value, prior.first), prior.second)
        if scale != "natural" and inside <= 0:
            inside = (prior.first + prior.second) / 2
        return to_scale(scale, inside), math.inf
    return to_scale(scale, prior.first), prior.second


def check_ranges(rows: Sequence[Row], system: System, spec: ModelSpec, file: str = "data") -> None:
    """Raise ``DataError`` for rows in model units that set a range of what does not differ between patients,
    or one that goes beyond the bounds of the model."""
    problems = Problems(file, by_name)
    for row in rows:
        for reason in _unfit_ranges(row, system, spec):
            problems.add(row.line, 1, reason, "set", f'row "{row.id}"')
    problems.stop_if_any()


def has_ranges(row: Row, system: System, spec: ModelSpec) -> bool:
    """Whether a model has all ranges that a row sets."""
    return not any(_unfit_ranges(row, system, spec))


def _unfit_ranges(row: Row, system: System, spec: ModelSpec) -> Iterator[str]:
    for item in row.overrides:
        if not isinstance(item, Stratum):
            continue
        parameter = system.parameters[system.index(item.name, "set")]
        low, high = float(parameter.lower), float(parameter.upper)
        ends = [end for end in (item.lower, item.upper) if math.isfinite(end)]
        if item.name not in spec.between and (
            parameter.between is None or not float(parameter.between.arguments[0]) > 0
        ):
            yield (
                f"{item.name} does not differ between patients, so that none are in a range of it; the model "
                f"says how it differs, ~ lognormal(log-SD), or set one number"
            )
        elif not all(low <= end <= high for end in ends):
            yield (
                f"the range of {item.name} goes beyond its bounds in the model, {low:g} to {high:g} "
                f"{parameter.unit}; leave an end out where it is open"
            )
        else:
            strata = {other.name for other in row.overrides if isinstance(other, Stratum)}
            with_it = {n for *pair, _ in system.correlations if item.name in pair for n in pair} - {item.name}
            if with_it and (parameter.kind != "covariate" or with_it & strata):
                yield (
                    f"{item.name} is correlated with {', '.join(sorted(with_it))}: a stratum of what is "
                    "correlated is that of one covariate, whose distribution is not fitted"
                )


def in_units(raw: Data, system: System) -> Data:
    """Rows that the model can predict, in its units."""
    return in_model_units(
        raw,
        system.output_units,
        system.time_unit,
        {p.name: p.unit for p in system.parameters},
        system.bridges,
    )
