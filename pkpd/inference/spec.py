"""What a fit folder says: ``fit.toml`` read strictly, every wrong key named."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from pkpd.core import library, units
from pkpd.core.arguments import PATH, takes
from pkpd.core.errors import DataError, InputError
from pkpd.core.names import question_and_list
from pkpd.core.toml import TomlTable, read
from pkpd.solver.options import FIT, GRADIENT


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
        raise DataError(f'{where}: unknown prior "{kind[:40]}"; {question_and_list(kind, PRIOR_KINDS)}')
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
    free: bool = False
    """the SD is estimated (``heterogeneity``), ``sd`` is where that begins"""
    prior: float = math.nan
    """scale of a half-normal prior of a free SD; nan: none"""


@dataclass(frozen=True, slots=True)
class NoiseSpec:
    """Error of one measurement of an output, and whether it is estimated."""

    proportional: float = 0.0
    additive: float = 0.0
    free: bool = False
    sd: float = 0.5
    """log-SD of the prior around the stated numbers"""
    correlation: float = 0.0
    """of errors of two measurements in a patient"""
    per_d: float = math.inf
    """the distance in days at which that is the correlation, where it falls off (AR(1)); inf: at any"""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model and what of it is estimated."""

    model: str
    free: Mapping[str, Prior | None] | None = None
    """None: every parameter that has a prior in the model file; a value None: the model file's prior"""
    between: Mapping[str, Prior | None] = field(default_factory=dict)
    study_effects: tuple[StudyEffect, ...] = ()
    noise: Mapping[str, NoiseSpec] = field(default_factory=dict)
    where: str = field(default="", compare=False)
    """what errors call the place where this stands: the file, and its table"""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How the fit is run."""

    subjects: int = 16
    seed: int = 1
    starts: int = 4
    rtol: float = FIT
    rtol_sensitivities: float = GRADIENT
    """of the runs that give derivatives: a Gauss-Newton step does not need more"""
    max_evaluations: int = 60
    """Jacobians per start"""
    tolerance: float = 1e-3
    """the search ends when a full step promises less than this in OFV"""
    heterogeneity: Literal["REML", "ML"] = "REML"
    """how SDs of study effects that are free are estimated"""


@dataclass(frozen=True, slots=True)
class Check:
    """The inner check: fitted without ``leave_out`` (or to ``only``), then ``leave_out`` predicted."""

    leave_out: tuple[str, ...]
    only: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Correlation:
    """How the errors of some rows are correlated, every two of them alike: numbers that one curve or one
    analysis gave."""

    rows: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class FitSpec:
    """Everything that a fit folder says."""

    name: str
    title: str
    folder: Path
    data: Path
    main: ModelSpec
    rival: ModelSpec | None = None
    options: FitOptions = FitOptions()
    relative_error: float = 0.3
    row_errors: Mapping[str, float] = field(default_factory=dict)
    mean_only: tuple[str, ...] = ()
    """rows whose spread says something else than how patients differ: their location counts, their spread
    does not"""
    correlations: tuple[Correlation, ...] = ()
    """between the locations of rows, beside those that their patients make"""
    check: Check | None = None
    shown: tuple[str, ...] = ()
    """outputs whose time courses the report shows for every study; empty: those with most rows"""
    notes: tuple[str, ...] = ()
    """sentences about this fit that whoever reads its results has to know: at the head of the report, and in
    summary and terminal"""
    endpoints: str = ""
    """by which schedules are judged: a file of endpoints, or the name of a field that comes with the package;
    empty: nothing is said"""
    responders: str = ""
    """the parameter by whose spread people respond differently; empty: the one that is left to choose"""
    sha256: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """what fit.toml says that moves the estimates, as text: by its place such as "[free] CL"; options of a
    command line are not among it"""

    unfitted: bool = False
    """a model as its file has it: nothing is free, ``data`` is the model's file and holds no rows"""

    @property
    def errors(self) -> dict[str, Any]:
        """What it says of the errors of rows, as ``Objective`` takes it."""
        return {
            "relative_error": self.relative_error,
            "row_errors": self.row_errors,
            "mean_only": self.mean_only,
            "correlations": self.correlations,
        }

    def __repr__(self) -> str:
        rival = f", rival {self.rival.model}" if self.rival is not None else ""
        return f"<FitSpec {self.name}: {self.main.model}{rival}, {self.data}>"


def _priors(table: TomlTable) -> dict[str, Prior | None]:
    """name = true | false | "prior": those not false."""
    found: dict[str, Prior | None] = {}
    for key, value in table.values.items():
        if value is True:
            found[key] = None
        elif isinstance(value, str):
            found[key] = parse_prior(value, f"{table.where}: {key}")
        elif value is not False:
            raise DataError(
                f'{table.where}: {key} must be true, false or a prior such as "lognormal(10, 0.5)"'
            )
    return found


_MOST_CORRELATED = 0.99
"""Errors of measurements that are all the same would be one."""
_MODEL_KEYS = ("model", "free", "between", "study_effects", "noise")


_OTHER_KEYS = ("options", "errors", "rival", "check", "report", "endpoints", "responders")
_TOP_KEYS = ("title", "data", *_MODEL_KEYS, *_OTHER_KEYS)
_FILE_KEYS = ("data", "model", "endpoints")
"""Keys whose values may be files, as the folder of the fit sees them."""


@takes(name_or_path=PATH)
def read_fit(name_or_path: str | os.PathLike[str]) -> FitSpec:
    """Read and check the ``fit.toml`` of a fit: a name from ``library.fits()``, or a path to a folder.

    Raises ``LibraryError`` if it is not there and ``DataError`` naming the key that is wrong.
    """
    folder = Path(library.fit_folder(name_or_path))
    path = folder / "fit.toml"
    top, raw = _whole(path)
    report = top.table("report")
    report.keys_within(("outputs", "notes"))
    rival = top.values.get("rival")
    if isinstance(rival, str):
        rival = {"model": rival}
    options, usual = top.table("options"), FitOptions()
    options.keys_within([item.name for item in dataclasses.fields(FitOptions)])
    errors = top.table("errors")
    errors.keys_within(("default", "rows", "mean_only", "correlations"))
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
        options=FitOptions(
            subjects=options.integer("subjects", usual.subjects, low=1, high=4096),
            seed=options.integer("seed", usual.seed, low=0, high=2**63 - 1),
            starts=options.integer("starts", usual.starts, low=1, high=1000),
            rtol=options.number("rtol", usual.rtol, low=1e-12, high=1e-2),
            rtol_sensitivities=options.number(
                "rtol_sensitivities", usual.rtol_sensitivities, low=1e-12, high=1e-2
            ),
            max_evaluations=options.integer("max_evaluations", usual.max_evaluations, low=1, high=100_000),
            tolerance=options.number("tolerance", usual.tolerance, low=1e-9, high=10.0),
            heterogeneity=_method(options, usual.heterogeneity),
        ),
        relative_error=errors.number("default", 0.3, low=1e-6, high=1e3),
        row_errors={key: rows.number(key, 0.3, low=1e-6, high=1e3) for key in rows.values},
        check=Check(check.texts("leave_out"), check.texts("only"), check.text("title", ""))
        if check.values
        else None,
        shown=report.texts("outputs"),
        notes=report.texts("notes"),
        mean_only=errors.texts("mean_only"),
        correlations=_correlations(errors, raw),
        endpoints=_endpoints(top, folder),
        responders=top.text("responders", ""),
        sha256=hashlib.sha256(raw).hexdigest(),
        settings=_settings(top.values),
    )


def _whole(path: Path, seen: tuple[Path, ...] = ()) -> tuple[TomlTable, bytes]:
    """What a fit.toml says, with what it ``extends``, and the text of all the files."""
    raw = path.read_bytes()
    top = read(raw, path)
    top.keys_within((*_TOP_KEYS, "extends"))
    if "extends" not in top.values:
        return top, raw
    named = top.text("extends")
    base = path.parent / named / "fit.toml"
    if not base.is_file():
        raise DataError(f'{path}: extends = "{named}": there is no file {base}')
    if base.resolve() in (*seen, path.resolve()):
        raise DataError(f'{path}: extends = "{named}": {base} extends this fit itself')
    below, text = _whole(base, (*seen, path.resolve()))
    values = {key: value for key, value in top.values.items() if key != "extends"}
    return TomlTable(_merged(_seen_from(below.values, named, base.parent), values), top.where), text + raw


def _seen_from(values: Mapping[str, Any], way: str, folder: Path) -> dict[str, Any]:
    """The values of a fit in this folder with its files named as from where ``way`` leads there."""
    found = dict({"data": "data.csv"}, **values)
    for key in _FILE_KEYS:
        if isinstance(found.get(key), str) and (folder / found[key]).is_file():
            found[key] = f"{way}/{found[key]}"
    if isinstance(found.get("rival"), dict):
        found["rival"] = _seen_from(found["rival"], way, folder)
        found["rival"].pop("data", None)
    return found


def _merged(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Tables key by key; what is false in the new ones is left out of the base."""
    found = dict(base)
    for key, value in new.items():
        if value is False and key in base:
            del found[key]
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            found[key] = _merged(base[key], value)
        else:
            found[key] = value
    return found


def _correlations(errors: TomlTable, raw: bytes) -> tuple[Correlation, ...]:
    """Read and checked: the matrix that they declare is one of correlations."""
    entries = errors.values.get("correlations", [])
    lines = raw.decode("utf-8-sig").splitlines()
    line = next((i for i, text in enumerate(lines, 1) if re.match(r"\s*correlations\s*=", text)), 0)
    where = f"{errors.where}, line {line}: correlations"
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f'{where} must be a list such as [{{rows = ["ed10", "ed20"], value = 0.4}}]')
    found = []
    for entry in entries:
        table = TomlTable(entry, where)
        table.keys_within([item.name for item in dataclasses.fields(Correlation)])
        rows = table.texts("rows")
        if len(set(rows)) < 2 or len(set(rows)) < len(rows):
            raise DataError(f"{where}: rows must name at least two rows, each once")
        value = table.number("value", math.nan, low=-1.0, high=1.0)
        if abs(value) == 1:
            raise DataError(f"{where}: value = {value:g} must lie between -1 and 1, without the ends")
        found.append(Correlation(rows, value))
    _check_correlations(found, where)
    return tuple(found)


def declared_pairs(correlations: Sequence[Correlation]) -> dict[frozenset[str], float]:
    """Correlation of every two rows for which one is declared."""
    return {
        frozenset(pair): item.value for item in correlations for pair in itertools.combinations(item.rows, 2)
    }


def _check_correlations(correlations: Sequence[Correlation], where: str) -> None:
    pairs = declared_pairs(correlations)
    if len(pairs) < sum(math.comb(len(item.rows), 2) for item in correlations):
        raise DataError(f"{where}: two rows are named together twice")
    names = sorted({name for pair in pairs for name in pair})
    matrix = np.eye(len(names))
    for pair, value in pairs.items():
        i, j = (names.index(name) for name in pair)
        matrix[i, j] = matrix[j, i] = value
    if names and float(np.linalg.eigvalsh(matrix)[0]) <= 1e-9:
        raise DataError(
            f"{where}: no numbers are correlated in this way (the matrix is not positive definite); values "
            "nearer to 0 would be right, or every two of the rows in one entry"
        )


_UNMOVING = ("title", "data", "report", "endpoints", "responders", "rival", "check")
"""Keys that do not move the estimates."""


def _settings(values: Mapping[str, Any], place: str = "") -> dict[str, str]:
    """The keys that move the estimates, each with its table in brackets, and what they say."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if not place and key in _UNMOVING:
            continue
        if isinstance(value, dict):
            found |= _settings(value, f"{place}.{key}" if place else key)
        else:
            found[f"[{place}] {key}" if place else key] = str(value)
    return found


def _endpoints(top: TomlTable, folder: Path) -> str:
    """The file that the folder holds, ``endpoints.toml`` unless another is named, or what is named else."""
    named = top.text("endpoints", "endpoints.toml")
    if (folder / named).is_file():
        return str(folder / named)
    if "endpoints" not in top.values:
        return ""
    if named.endswith(".toml"):
        raise DataError(f"{top.where}: endpoints: there is no file {folder / named}")
    return named


def _rival_table(values: Any, path: Path) -> TomlTable:
    if not isinstance(values, dict):
        raise DataError(f"{path}: rival must be a model's name or a table, [rival]")
    table = TomlTable(values, f"{path}: [rival]")
    table.keys_within(_MODEL_KEYS)
    return table


def _read_model_spec(table: TomlTable, folder: Path) -> ModelSpec:
    model = table.text("model")
    beside = folder / model
    if ("/" in model or model.endswith(".model")) and beside.exists():
        model = str(beside)
    effects = []
    for name in table.table("study_effects").values:
        inner = table.table("study_effects")
        if isinstance(inner.values[name], dict):
            effects.append(_study_effect(name, inner.table(name)))
        else:
            effects.append(StudyEffect(name, inner.number(name, math.nan, low=1e-9)))
    noises = {}
    for name in table.table("noise").values:
        detail = table.table("noise").table(name)
        detail.keys_within(["proportional", "additive", "free", "sd", "correlation", "per"])
        noises[name] = NoiseSpec(
            detail.number("proportional", 0.0),
            detail.number("additive", 0.0),
            _is_free(detail),
            detail.number("sd", 0.5, low=1e-9),
            detail.number("correlation", 0.0, high=_MOST_CORRELATED),
            _per(detail),
        )
    return ModelSpec(
        model=model,
        free=_priors(table.table("free")) if "free" in table.values else None,
        between=_priors(table.table("between")),
        study_effects=tuple(effects),
        noise=noises,
        where=table.where,
    )


def _per(table: TomlTable) -> float:
    """A time such as "28 d", in days; inf where there is none."""
    if "per" not in table.values:
        return math.inf
    if "correlation" not in table.values:
        raise DataError(f"{table.where}: per needs correlation, which holds at this distance")
    number, _, unit = table.text("per").partition(" ")
    try:
        found = float(number) * units.factor(unit.strip(), "d")
    except (ValueError, InputError):
        found = math.nan
    if not 0 < found < math.inf:
        raise DataError(
            f'{table.where}: per must be a time with its unit, as "28 d", not "{table.text("per")}"'
        )
    return found


def _is_free(table: TomlTable) -> bool:
    free = table.values.get("free", False)
    if not isinstance(free, bool):
        raise DataError(f"{table.where}: free must be true or false")
    return free


_HALF_NORMAL = re.compile(r"\s*half-normal\(\s*([^,()]+?)\s*\)\s*")


def _study_effect(parameter: str, table: TomlTable) -> StudyEffect:
    """{ sd = 0.3, studies = [...], free = true, prior = "half-normal(0.5)" }"""
    table.keys_within(("sd", "studies", "free", "prior"))
    free, prior = _is_free(table), math.nan
    if "prior" in table.values:
        match = _HALF_NORMAL.fullmatch(table.text("prior"))
        try:
            prior = float(match.group(1)) if match is not None else math.nan
        except ValueError:
            prior = math.nan
        if not 0 < prior < math.inf:
            raise DataError(
                f'{table.where}: prior = "{table.text("prior")[:60]}" is not one of an SD; write for '
                'instance "half-normal(0.5)"'
            )
        if not free:
            raise DataError(f"{table.where}: an SD that is not free has no prior: free = true estimates it")
    return StudyEffect(parameter, table.number("sd", math.nan, low=1e-9), table.texts("studies"), free, prior)


def _method(options: TomlTable, usual: Literal["REML", "ML"]) -> Literal["REML", "ML"]:
    found = options.text("heterogeneity", usual)
    if found not in ("REML", "ML"):
        raise DataError(f'{options.where}: heterogeneity = "{found[:40]}" must be "REML" or "ML"')
    return cast(Literal["REML", "ML"], found)
