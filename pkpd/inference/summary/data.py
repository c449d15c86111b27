"""Published summaries: a strict reader of ``data.csv``, and the arms that have to be simulated for its rows.

One row is one reported number. A file is read whole or not at all: every row that is wrong is named by line,
column and reason in one ``DataError``. Columns (order free, * may be absent)::

    row          unique name of the number
    study arm    where it was reported               population*   who
    n            patients behind the number (may be empty)
    schedule     in the schedule language; none for placebo
    set*         "BSA = 1.73 m^2; bath = 12.8 pM": parameters or covariates that this arm has instead of the
                 model's
    output       name of a model output
    measure      value | change | percent_change | fold           relative to the same patient at time 0
    reducer      at | max | min | mean | auc | tmax | half_life   over the time or window
    time         a number, or a window "0..7", counted from day 0 of the schedule, which is its first dose
                 unless the schedule says another day ("... from day 1" leaves a day before it), as in `pkpd
                 simulate`;  time_unit
    statistic    mean | median | geometric_mean | lower_bound | upper_bound | dose_for_effect | count |
                 fraction | range | ratio
    value unit   as printed; unit of a percent_change is percent, of a fold 1, of a tmax or half_life a time
    spread* spread_type*   SD | SE | CI95 (half width) | IQR (width) | range (width) | CV (in percent) | none
    lower* upper*          ends of the interval as printed, instead of spread
    effect*      dose_for_effect: the effect that was to be reached; count, fraction: what makes a responder
                 (in percent, as a fold, or in the output's unit, as the measure has it)
    use*         fit | check | context (shown, never predicted);  source, doi*, provenance, note*
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core import library
from pkpd.core.arguments import PATH, TEXT, of, takes
from pkpd.core.errors import DataError, InputError
from pkpd.core.names import close_names

Array = NDArray[np.float64]

MEASURES = ("value", "change", "percent_change", "fold")
REDUCERS = ("at", "max", "min", "mean", "auc", "tmax", "half_life")
STATISTICS = (
    "mean",
    "median",
    "geometric_mean",
    "lower_bound",
    "upper_bound",
    "dose_for_effect",
    "count",
    "fraction",
    "range",
    "ratio",
)
SPREADS = ("none", "SD", "SE", "CI95", "IQR", "range", "CV")
USES = ("fit", "check", "context")
PROVENANCES = ("reported", "secondary", "derived", "unverified")

REQUIRED = (
    "row",
    "study",
    "arm",
    "n",
    "schedule",
    "output",
    "measure",
    "reducer",
    "time",
    "time_unit",
    "statistic",
    "value",
    "unit",
    "source",
    "provenance",
)
OPTIONAL = ("population", "set", "spread", "spread_type", "lower", "upper", "effect", "use", "doi", "note")

DOSE_GRID = (0.3, 0.55, 1.0, 1.8, 3.3)
"""Multiples of the reported dose that are simulated for a dose_for_effect row (about equal steps of log
dose)."""

MAX_BYTES = 20_000_000
_MAX_SHOWN = 25


class Override(NamedTuple):
    """A parameter or covariate that an arm has instead of the model's number."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Row:
    """One reported number, as printed (or, after ``in_model_units``, in the model's units)."""

    id: str
    line: int
    study: str
    arm: str
    population: str
    n: int | None
    schedule: str
    overrides: tuple[Override, ...]
    output: str
    measure: str
    reducer: str
    start: float
    stop: float
    """equal to ``start`` unless a window was given"""
    time_unit: str
    statistic: str
    value: float
    """nan where only an interval was printed"""
    unit: str
    spread: float
    """nan where not printed"""
    spread_type: str
    lower: float
    upper: float
    effect: float
    use: str
    source: str
    doi: str
    provenance: str
    note: str

    @property
    def is_window(self) -> bool:
        """Whether the row refers to a span of time."""
        return self.stop > self.start


@dataclass(frozen=True)
class Data:
    """The rows of a file, with its name and the SHA-256 of its bytes."""

    rows: tuple[Row, ...]
    file: str
    sha256: str

    def __repr__(self) -> str:
        return f"<Data of {self.file}: {len(self.rows):,} rows of {len(self.studies)} studies>"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row_id: str) -> Row:
        for row in self.rows:
            if row.id == row_id:
                return row
        raise DataError(f'{self.file} has no row "{row_id}"{_meant(row_id, [row.id for row in self.rows])}')

    def keep(self, wanted: Callable[[Row], bool]) -> Data:
        """The same data with only those rows for which ``wanted`` is true."""
        return replace(self, rows=tuple(row for row in self.rows if wanted(row)))

    @property
    def studies(self) -> tuple[str, ...]:
        """Names of the studies, in the order of the file."""
        return tuple(dict.fromkeys(row.study for row in self.rows))


def _meant(word: str, known: Iterable[str]) -> str:
    close = close_names(word, list(known), n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


# --- reading --------------------------------------------------------------------------------------


class _Problems:
    """Collects what is wrong, so that one run tells all of it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[str] = []

    def add(self, line: int, column: str, reason: str, row_id: str = "") -> None:
        named = f' (row "{row_id[:60]}")' if row_id else ""
        self.found.append(
            f'line {line}{named}, column "{column}": {reason}' if column else f"line {line}{named}: {reason}"
        )

    def stop_if_any(self) -> None:
        if not self.found:
            return
        if len(self.found) == 1:
            raise DataError(f"{self.file}: {self.found[0]}")
        shown = "\n".join(f"  {text}" for text in self.found[:_MAX_SHOWN])
        rest = len(self.found) - _MAX_SHOWN
        more = f"\n  and {rest} more" if rest > 0 else ""
        raise DataError(f"{self.file}: {len(self.found)} problems, nothing was read\n{shown}{more}")


@takes(path=PATH)
def read_data(path: str | Path) -> Data:
    """Read and check a ``data.csv``.

    Accepts a byte-order mark, LF or CRLF, quoted fields. Raises ``DataError`` that names every bad row.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return parse_data(content, str(path))


@takes(content=TEXT | of(bytes))
def parse_data(content: bytes | str, file: str = "<data>") -> Data:
    """As ``read_data``, from the content of a file."""
    raw = content.encode() if isinstance(content, str) else content
    if len(raw) > MAX_BYTES:
        raise DataError(
            f"{file}: {len(raw) / 1e6:.0f} MB; a table of published numbers is smaller than "
            f"{MAX_BYTES // 10**6} MB"
        )
    if b"\0" in raw:
        raise DataError(f"{file} is not a text file: byte {raw.index(0)} is zero; save it as CSV in UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8 text: byte {error.start} cannot be read; save it as CSV in UTF-8"
        ) from None
    if not text.strip():
        raise DataError(f"{file} is empty; the first line must name the columns: {','.join(REQUIRED)}")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    problems = _Problems(file)
    records: list[tuple[int, list[str]]] = []
    previous = 0
    try:
        for fields in reader:
            line, previous = previous + 1, reader.line_num
            if fields and any(field.strip() for field in fields):
                records.append((line, fields))
    except csv.Error as error:
        raise DataError(f"{file}: line {previous + 1}: {error}; is a quotation mark missing?") from None
    _, header = records[0]
    names = [name.strip() for name in header]
    if library.are_records(names):
        raise DataError(library.SINGLE_SUBJECTS.format(file=file))
    _check_header(names, records[0][0], problems)
    problems.stop_if_any()
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for line, fields in records[1:]:
        if len(fields) != len(names):
            first = fields[0].strip() if names[0] == "row" and fields else ""
            problems.add(line, "", f"{len(fields)} fields where the header has {len(names)}", first)
            continue
        row = _read_row(dict(zip(names, (field.strip() for field in fields), strict=True)), line, problems)
        if row is None:
            continue
        if row.id in seen:
            problems.add(
                line,
                "row",
                f'"{row.id}" stands already in line {seen[row.id]}; every row needs a name of its own',
            )
        seen.setdefault(row.id, line)
        rows.append(row)
    problems.stop_if_any()
    if not rows:
        raise DataError(f"{file} has column names but no rows")
    return Data(tuple(rows), file, hashlib.sha256(raw).hexdigest())


def _check_header(names: Sequence[str], line: int, problems: _Problems) -> None:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            problems.add(line, name, "this column stands twice")
        if name not in REQUIRED + OPTIONAL:
            problems.add(line, name, f"unknown column{_meant(name, REQUIRED + OPTIONAL)}")
    for name in REQUIRED:
        if name not in names:
            problems.add(line, name, "this column is missing")


_CONTEXT_DEFAULTS = {
    "schedule": "none",
    "output": "-",
    "measure": "value",
    "reducer": "at",
    "time": "0",
    "time_unit": "d",
    "unit": "1",
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class _Fields:
    """The fields of one line; remembers whether anything was wrong with them."""

    def __init__(self, fields: Mapping[str, str], line: int, problems: _Problems) -> None:
        self.fields, self.line, self.problems = fields, line, problems
        self.good = True

    def bad(self, column: str, reason: str) -> None:
        self.good = False
        self.problems.add(self.line, column, reason, self.fields.get("row", ""))

    def text(self, column: str, *, required: bool = False) -> str:
        found = self.fields.get(column, "")
        if required and not found:
            self.bad(column, "is empty")
        return found

    def choice(self, column: str, allowed: Sequence[str], default: str = "") -> str:
        found = self.fields.get(column, "") or default
        if found not in allowed:
            self.bad(column, f'"{found[:60]}" is none of {", ".join(allowed)}')
        return found

    def number(self, column: str, *, required: bool = False, text: str | None = None) -> float:
        found = self.fields.get(column, "") if text is None else text.strip()
        if not found:
            if required:
                self.bad(column, "is empty, a number is needed")
            return math.nan
        if not _NUMBER.fullmatch(found):
            self.bad(column, f'"{found[:60]}" is not a number')
            return math.nan
        value = float(found)
        if not math.isfinite(value):
            self.bad(column, f'"{found[:60]}" is too large for a number')
            return math.nan
        return value


def _read_row(fields: Mapping[str, str], line: int, problems: _Problems) -> Row | None:
    f = _Fields(fields, line, problems)
    shown_only = fields.get("use") == "context"
    if shown_only:  # such a row may be anything that was reported: it is never predicted
        fields = _CONTEXT_DEFAULTS | {key: text for key, text in fields.items() if text}
        f.fields = fields
    start, stop = _read_time(f)
    n_number = f.number("n")
    n: int | None = None
    if math.isfinite(n_number):
        if n_number != int(n_number) or not 1 <= n_number <= 10_000_000:
            f.bad("n", f'"{fields["n"]}" is not a number of patients')
        else:
            n = int(n_number)
    row = Row(
        id=f.text("row", required=True),
        line=line,
        study=f.text("study", required=True),
        arm=f.text("arm", required=True),
        population=f.text("population"),
        n=n,
        schedule=_read_schedule(f),
        overrides=_read_set(f),
        output=f.text("output", required=True),
        measure=f.choice("measure", MEASURES),
        reducer=f.choice("reducer", REDUCERS),
        start=start,
        stop=stop,
        time_unit=_read_unit(f, "time_unit", f.text("time_unit", required=True)),
        statistic=f.text("statistic") if shown_only else f.choice("statistic", STATISTICS),
        value=f.number("value"),
        unit=_read_unit(f, "unit", f.text("unit", required=True)),
        spread=f.number("spread"),
        spread_type=f.choice("spread_type", SPREADS, "none"),
        lower=f.number("lower"),
        upper=f.number("upper"),
        effect=f.number("effect"),
        use=f.choice("use", USES, "fit"),
        source=f.text("source", required=True),
        doi=f.text("doi"),
        provenance=f.choice("provenance", PROVENANCES),
        note=f.text("note"),
    )
    if f.good and not shown_only:
        _check_row(f, row)
    return row if f.good else None


def _read_time(f: _Fields) -> tuple[float, float]:
    found = f.text("time")
    if ".." in found:
        first, _, second = found.partition("..")
        start, stop = (
            f.number("time", required=True, text=first),
            f.number("time", required=True, text=second),
        )
        if stop <= start:
            f.bad("time", f'the window "{found[:60]}" does not go forward')
    else:
        start = stop = f.number("time", required=True)
    if start < 0:
        f.bad(
            "time",
            "is negative; time counts from day 0 of the schedule (a first dose ... from day 1 leaves "
            "a day before it)",
        )
    return start, stop


def _read_unit(f: _Fields, column: str, text: str) -> str:
    from pkpd.core import units

    if text:
        try:
            units.parse(text)
        except InputError as error:
            f.bad(column, str(error))
    return text


def _read_schedule(f: _Fields) -> str:
    text = f.text("schedule", required=True)
    if text:
        from pkpd.dosing import Schedule

        try:
            Schedule.parse(text)
        except InputError as error:
            f.bad("schedule", str(error))
    return text


_SETTING = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(\S+)\s+(\S.*?)\s*")


def _read_set(f: _Fields) -> tuple[Override, ...]:
    found: list[Override] = []
    for part in f.text("set").split(";"):
        if not part.strip():
            continue
        match = _SETTING.fullmatch(part)
        if match is None:
            f.bad(
                "set",
                f'"{part.strip()[:60]}" is not understood; write name = number unit, for instance '
                "BSA = 1.73 m^2",
            )
            continue
        name, number, unit = match.groups()
        if name in [item.name for item in found]:
            f.bad("set", f"{name} is set twice")
        found.append(Override(name, f.number("set", required=True, text=number), _read_unit(f, "set", unit)))
    return tuple(found)


def _check_row(f: _Fields, row: Row) -> None:
    """What a statistic and a spread need, so that a likelihood can be made of the row."""
    if row.reducer == "at" and row.is_window:
        f.bad("time", "a window, but the reducer is at")
    if row.reducer != "at" and not row.is_window:
        f.bad("time", f"{row.reducer} needs a window such as 0..24")
    if row.reducer in ("tmax", "half_life") and row.measure not in ("value", "change"):
        f.bad("measure", f"a {row.reducer} cannot be given as {row.measure}")
    if row.reducer == "auc" and row.measure not in ("value", "change"):
        f.bad("measure", f"an auc cannot be given as {row.measure}")
    if row.statistic != "range" and math.isnan(row.value):
        f.bad("value", "is empty, a number is needed")
    _check_interval(f, row)
    statistic = row.statistic
    if statistic == "dose_for_effect":
        if not row.value > 0:
            f.bad("value", "the dose must be positive")
        if math.isnan(row.effect):
            f.bad("effect", "the effect that this dose gives is needed")
        if row.spread_type not in ("SE", "SD", "CI95"):
            f.bad("spread_type", "a dose_for_effect needs its SE or CI95")
        if row.schedule == "none":
            f.bad("schedule", "write the schedule with the reported dose, not none")
    elif statistic in ("count", "fraction"):
        if row.n is None:
            f.bad("n", f"a {statistic} needs the number of patients")
        elif statistic == "count" and not (0 <= row.value <= row.n and row.value == int(row.value)):
            f.bad("value", f"{row.value:g} is not a number of patients out of {row.n}")
        elif statistic == "fraction" and row.value < 0:
            f.bad("value", "a fraction cannot be negative")
    elif statistic == "range":
        if math.isnan(row.lower) or math.isnan(row.upper):
            f.bad("lower", "a range needs lower and upper")
        if row.n is None or row.n < 2:
            f.bad("n", "a range needs the number of patients, at least 2")
    elif statistic in ("ratio", "geometric_mean"):
        if not row.value > 0:
            f.bad("value", f"a {statistic} must be positive")
        if statistic == "ratio" and row.spread_type not in ("CI95", "SE"):
            f.bad("spread_type", "a ratio needs its CI95 or SE")
    if row.spread_type == "range" and statistic != "range" and (row.n is None or row.n < 2):
        f.bad("n", "a range tells a spread only with the number of patients")


def _check_interval(f: _Fields, row: Row) -> None:
    kind = row.spread_type
    has_interval = not (math.isnan(row.lower) or math.isnan(row.upper))
    if math.isnan(row.lower) != math.isnan(row.upper):
        f.bad("lower", "lower and upper are given together or not at all")
    if has_interval:
        if not row.lower < row.upper:
            f.bad("lower", f"{row.lower:g} is not below upper, {row.upper:g}")
        elif not math.isnan(row.value) and not row.lower <= row.value <= row.upper:
            f.bad("value", f"{row.value:g} lies outside its interval {row.lower:g} to {row.upper:g}")
    if not math.isnan(row.spread) and not row.spread > 0:
        f.bad("spread", f"{row.spread:g} is not positive")
    if kind == "none":
        if not math.isnan(row.spread):
            f.bad("spread_type", f"says none, but spread is {row.spread:g}")
        if has_interval and row.statistic != "range":
            f.bad("spread_type", "says none, but there is an interval")
    elif kind in ("SD", "SE", "CV"):
        if math.isnan(row.spread):
            f.bad("spread", f"is empty, but spread_type is {kind}")
        elif kind == "CV" and row.spread < 1:
            f.bad("spread", f"a CV is written in percent: {row.spread:g} would be {100 * row.spread:g}")
    elif math.isnan(row.spread) and not has_interval:
        f.bad("spread", f"spread_type is {kind}: give spread, or lower and upper")
    if kind == "CV" and row.value <= 0:
        f.bad("value", "a CV needs a positive value")


# --- units ----------------------------------------------------------------------------------------


def in_model_units(
    data: Data,
    output_units: Mapping[str, str],
    time_unit: str,
    parameter_units: Mapping[str, str],
    bridges: Iterable[Any] = (),
) -> Data:
    """The same rows with every number in the model's units, checked.

    Rows with ``use = context`` and rows whose output the model lacks are left out (see ``unknown_outputs``).
    Raises ``DataError`` naming the rows whose unit does not fit.
    """
    from pkpd.core import units

    declared = tuple(units.Bridge(b.left_value, b.left_unit, b.right_value, b.right_unit) for b in bridges)
    problems = _Problems(data.file)
    rows: list[Row] = []
    for row in data.rows:
        if row.use == "context" or row.output not in output_units:
            continue
        target = _target_unit(row, output_units[row.output], time_unit)
        try:
            factor = 1.0 if target is None else units.factor(row.unit, target, declared)
        except InputError as error:
            problems.add(row.line, "unit", str(error), row.id)
            continue
        try:
            clock = units.factor(row.time_unit, time_unit)
        except InputError as error:
            problems.add(row.line, "time_unit", str(error), row.id)
            continue
        overrides = []
        for item in row.overrides:
            if item.name not in parameter_units:
                reason = f"the model has no parameter {item.name}{_meant(item.name, parameter_units)}"
                problems.add(row.line, "set", reason, row.id)
                continue
            try:
                value = item.value * units.factor(item.unit, parameter_units[item.name], declared)
            except InputError as error:
                problems.add(row.line, "set", f"{item.name}: {error}", row.id)
                continue
            overrides.append(Override(item.name, value, parameter_units[item.name]))
        if row.statistic == "fraction" and factor * row.value > 1:
            problems.add(row.line, "value", f"{row.value:g} {row.unit} is more than all patients", row.id)
        rows.append(
            replace(
                row,
                start=row.start * clock,
                stop=row.stop * clock,
                time_unit=time_unit,
                value=row.value * factor,
                unit=row.unit if target is None else target,
                spread=row.spread if row.spread_type == "CV" else row.spread * factor,
                lower=row.lower * factor,
                upper=row.upper * factor,
                overrides=tuple(overrides),
            )
        )
    problems.stop_if_any()
    return replace(data, rows=tuple(rows))


def unknown_outputs(data: Data, outputs: Sequence[str]) -> dict[str, str]:
    """Rows that a model without their output cannot predict: row id -> sentence."""
    return {
        row.id: f'line {row.line}: the model has no output "{row.output}"{_meant(row.output, outputs)}'
        for row in data.rows
        if row.use != "context" and row.output not in outputs
    }


def _target_unit(row: Row, output_unit: str, time_unit: str) -> str | None:
    """The unit in which the model predicts this row; None where the number is not in a unit of the model."""
    if row.statistic == "dose_for_effect":
        return None
    if row.statistic in ("count", "fraction"):
        return "1"
    if row.reducer in ("tmax", "half_life"):
        return time_unit
    if row.measure == "percent_change":
        return "percent"
    if row.measure == "fold":
        return "1"
    if row.reducer == "auc":
        return time_unit if output_unit == "1" else f"({output_unit})*{time_unit}"
    return output_unit


# --- arms -----------------------------------------------------------------------------------------


class Look(NamedTuple):
    """A number that is read off an output within a window: the kind of a ``pkpd.solver.Reading``;
    from_baseline : above the subject's output at time 0."""

    kind: str
    output: str
    start: float
    stop: float
    from_baseline: bool = False


READ = {
    "max": "max",
    "min": "min",
    "mean": "area",
    "auc": "area",
    "tmax": "max",
    "half_life": "decline",
}
"""Reducer of a window -> kind of the reading that it takes."""


def look(row: Row) -> Look | None:
    """What a row over a window reads off the course; None for one at a time."""
    if not row.is_window:
        return None
    above = row.reducer == "half_life" and row.measure != "value"
    return Look(READ[row.reducer], row.output, row.start, row.stop, above)


@dataclass(frozen=True)
class TrialArm:
    """What is simulated once: everybody of one study under one schedule and one set of overrides.

    ``times`` has shape (n_times,), in the model's unit, ascending, and holds what any of the arm's rows
    needs; ``looks`` are numbers that are read off the course within windows.
    """

    study: str
    names: tuple[str, ...]
    schedule: str
    dose_factor: float
    """every dose of the schedule is multiplied by this number"""
    overrides: tuple[Override, ...]
    times: Array
    looks: tuple[Look, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two arms the same simulation, whatever rows look at them."""
        return self.study, self.schedule, self.dose_factor, self.overrides

    @property
    def label(self) -> str:
        """Study and arm names in one line."""
        scaled = "" if self.dose_factor == 1 else f" (dose x{self.dose_factor:g})"
        return f"{self.study}: {' / '.join(self.names)}{scaled}"


@dataclass(frozen=True)
class Placement:
    """Where a row finds its numbers: the arms (several for a dose_for_effect), the index of its time in each
    arm's ``times``, or behind these the two of its look (its value, and its time or what stands there:
    ``pkpd.solver.Readings``), and the index of time 0 (-1 if the row does not look at the baseline)."""

    arms: tuple[int, ...]
    indices: tuple[NDArray[np.intp], ...]
    baselines: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """Arms to simulate, and where each row finds its numbers in them (same order as the rows)."""

    arms: tuple[TrialArm, ...]
    placements: tuple[Placement, ...]


def plan(rows: Sequence[Row]) -> Plan:
    """Group rows (in model units) into arms by study, schedule and overrides, with the union of the times and
    looks they need.

    A dose_for_effect row adds one arm per element of ``DOSE_GRID``.
    """
    keys: dict[tuple[Any, ...], int] = {}
    names: list[list[str]] = []
    wanted: list[list[Array]] = []
    looks: list[dict[Look, int]] = []
    found: list[tuple[float, Look | None, tuple[int, ...]]] = []
    for row in rows:
        time, seen = row.stop if row.is_window else row.start, look(row)
        members = []
        for factor in DOSE_GRID if row.statistic == "dose_for_effect" else (1.0,):
            key = (row.study, row.schedule, factor, row.overrides)
            index = keys.setdefault(key, len(keys))
            if index == len(names):
                names.append([])
                wanted.append([])
                looks.append({})
            if row.arm not in names[index]:
                names[index].append(row.arm)
            wanted[index].append(np.array([time]))
            if seen is not None:
                looks[index].setdefault(seen, len(looks[index]))
            if row.measure != "value":
                wanted[index].append(np.zeros(1))
            members.append(index)
        found.append((time, seen, tuple(members)))
    arms = [
        TrialArm(
            study,
            tuple(names[index]),
            schedule,
            factor,
            overrides,
            np.unique(np.concatenate(wanted[index])),
            tuple(looks[index]),
        )
        for (study, schedule, factor, overrides), index in keys.items()
    ]

    def place(index: int, time: float, seen: Look | None) -> NDArray[np.intp]:
        times = arms[index].times
        if seen is None:
            return np.array([np.searchsorted(times, time)])
        return times.size + 2 * looks[index][seen] + np.arange(2)

    placements = [
        Placement(
            members,
            tuple(place(index, time, seen) for index in members),
            tuple(0 if row.measure != "value" else -1 for _ in members),
        )
        for row, (time, seen, members) in zip(rows, found, strict=True)
    ]
    return Plan(tuple(arms), tuple(placements))
