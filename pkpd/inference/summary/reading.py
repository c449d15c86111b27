"""A strict reader of ``data.csv``, and its rows in the units of a model.

A file is read whole or not at all: every row that is wrong is named by line, column and reason in one
``DataError``.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pkpd.core import library
from pkpd.core.arguments import PATH, TEXT, of, takes
from pkpd.core.errors import DataError, InputError
from pkpd.core.names import meant
from pkpd.core.tables import CsvTable, Line, Problems, by_name, parse_table, read_content
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.kinds.kind import Bad
from pkpd.inference.summary.rows import (
    COLUMNS_OF_KINDS,
    MEASURES,
    OPTIONAL,
    PROVENANCES,
    REDUCERS,
    REQUIRED,
    SPREADS,
    USES,
    Data,
    Override,
    Row,
    Setting,
    Stratum,
)


@takes(path=PATH)
def read_data(path: str | Path) -> Data:
    """Read and check a ``data.csv``.

    A table as `pkpd.core.tables` reads it: quoted fields may go over several lines, lines that begin with #
    are comments. Raises ``DataError`` that names every bad row.
    """
    path = Path(path)
    return parse_data(read_content(path), str(path))


@takes(content=TEXT | of(bytes))
def parse_data(content: bytes | str, file: str = "<data>") -> Data:
    """As ``read_data``, from the content of a file."""
    raw = content.encode() if isinstance(content, str) else content
    table = parse_table(raw, file, example=",".join(REQUIRED), place=by_name)
    if library.are_records(table.names):
        raise DataError(library.SINGLE_SUBJECTS.format(file=file))
    table.check_columns(REQUIRED, OPTIONAL)
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for line in table.lines:
        f = _Fields(table, line)
        row = _read_row(f)
        if row is None:
            continue
        if row.id in seen:
            before = f'"{row.id}" stands already in line {seen[row.id]}'
            table.wrong(line, "row", f"{before}; every row needs a name of its own")
        seen.setdefault(row.id, line.number)
        rows.append(row)
    rows = _compared(rows, table.problems)
    table.problems.stop_if_any()
    if not rows:
        raise DataError(f"{file} has column names but no rows")
    return Data(tuple(rows), file, hashlib.sha256(raw).hexdigest())


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


_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_LARGEST = 1e100
"""What a number of a table may be; so that its square is one too."""


class _Fields:
    """The fields of one line; remembers whether anything was wrong with them."""

    def __init__(self, table: CsvTable, line: Line) -> None:
        self.table, self.line = table, line
        self.fields = table.fields(line)
        self.good = True

    def bad(self, column: str, reason: str) -> None:
        self.good = False
        self.table.wrong(self.line, column, reason, _about(self.fields.get("row", "")))

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
            point = f"; write {found[:60].replace(',', '.')}" if _DECIMAL_COMMA.fullmatch(found) else ""
            self.bad(column, f'"{found[:60]}" is not a number{point}')
            return math.nan
        value = float(found)
        if not (value == 0 or 1 / _LARGEST <= abs(value) <= _LARGEST):
            self.bad(column, f'"{found[:60]}" is too {"large" if abs(value) > 1 else "small"} for a number')
            return math.nan
        return value


def _about(row_id: str) -> str:
    return f'row "{row_id}"' if row_id else ""


def _read_row(f: _Fields) -> Row | None:
    shown_only = f.fields.get("use") == "context"
    if shown_only:  # such a row may be anything that was reported: it is never predicted
        f.fields = _CONTEXT_DEFAULTS | {key: text for key, text in f.fields.items() if text}
    start, stop, visits = _read_time(f)
    row = Row(
        id=f.text("row", required=True),
        line=f.line.number,
        study=f.text("study", required=True),
        arm=f.text("arm", required=True),
        population=f.text("population"),
        n=_read_patients(f, "n"),
        schedule=_read_schedule(f),
        overrides=_read_set(f),
        output=f.text("output", required=True),
        measure=f.choice("measure", MEASURES),
        reducer=f.choice("reducer", REDUCERS),
        start=start,
        stop=stop,
        time_unit=_read_unit(f, "time_unit", f.text("time_unit", required=True)),
        statistic=f.text("statistic") if shown_only else f.choice("statistic", tuple(KINDS)),
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
        visits=visits,
        versus=f.text("versus"),
        versus_n=_read_patients(f, "versus_n"),
        other=f.text("other"),
        subset_n=_read_patients(f, "subset_n"),
        level=f.number("level"),
        person_time=f.number("person_time"),
    )
    if f.good and not shown_only:
        row = KINDS[row.statistic].completed(row, f.bad)
        _check_row(f, row)
    return row if f.good else None


def _read_patients(f: _Fields, column: str) -> int | None:
    number = f.number(column)
    if math.isnan(number):
        return None
    if number != int(number) or not 1 <= number <= 10_000_000:
        f.bad(column, f'"{f.text(column)}" is not a number of patients')
        return None
    return int(number)


GivenArms = Mapping[str, set[tuple[str, tuple[Setting, ...]]]]
"""What the arms of a study were given, by their names: schedule and ``set``."""


def _compared(rows: Sequence[Row], problems: Problems) -> list[Row]:
    """Rows with what the arm was given that they are compared with, as another row of it says."""
    studies: dict[str, dict[str, set[tuple[str, tuple[Setting, ...]]]]] = {}
    for row in rows:
        studies.setdefault(row.study, {}).setdefault(row.arm, set()).add((row.schedule, row.overrides))
    found = []
    for row in rows:
        if row.versus and row.use != "context":
            given = studies[row.study]
            reason = _not_comparable(row, given)
            if reason:
                problems.add(row.line, 1, reason, "versus", _about(row.id))
                continue
            (schedule,) = _schedules(row, given)
            row = replace(row, versus_schedule=schedule)
        found.append(row)
    return found


def _not_comparable(row: Row, given: GivenArms) -> str:
    """Why a row cannot be compared with its ``versus``; empty where it can."""
    name = row.versus[:60]
    if row.versus == row.arm:
        return "an arm is compared with another one"
    if row.versus not in given:
        return (
            f'no row of the study is of the arm "{name}"{meant(row.versus, given)}; a row of it, if need be '
            "with use = context, says what it was given"
        )
    schedules = _schedules(row, given)
    if len(schedules) > 1:
        return f'rows of the arm "{name}" differ in schedule; give each such arm a name of its own'
    if not schedules:
        return f'the arm "{name}" has another set; two arms that are compared have the same one'
    return ""


def _schedules(row: Row, given: GivenArms) -> set[str]:
    """What the arm was given that a row is compared with, by its rows of any stratum."""

    def numbers(settings: tuple[Setting, ...]) -> list[Setting]:
        return [item for item in settings if isinstance(item, Override)]

    wanted = numbers(row.overrides)
    return {schedule for schedule, settings in given[row.versus] if numbers(settings) == wanted}


def _read_time(f: _Fields) -> tuple[float, float, tuple[float, ...]]:
    """Start, stop and, if the time is a list of them, visits."""
    found = f.text("time")
    visits: tuple[float, ...] = ()
    if ";" in found:
        visits = tuple(f.number("time", required=True, text=part) for part in found.split(";"))
        start, stop = visits[0], visits[-1]
        if any(later <= earlier for earlier, later in itertools.pairwise(visits)):
            f.bad("time", f'the visits "{found[:60]}" do not go forward')
    elif ".." in found:
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
    return start, stop, visits


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
_RANGE = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*([^\s.]\S*?|[^\s.]?)\s*\.\.\s*([-+\d]\S*|)\s+(\S.*?)\s*")


def _read_set(f: _Fields) -> tuple[Setting, ...]:
    found: list[Setting] = []
    for part in f.text("set").split(";"):
        if not part.strip():
            continue
        match = _RANGE.fullmatch(part) or _SETTING.fullmatch(part)
        if match is None:
            f.bad(
                "set",
                f'"{part.strip()[:60]}" is not understood; write name = number unit, for instance '
                "BSA = 1.73 m^2",
            )
            continue
        name, number, *upper, unit = match.groups()
        if name in [item.name for item in found]:
            f.bad("set", f"{name} is set twice")
        if upper:
            found.append(_read_range(f, name, number, upper[0], unit))
            continue
        found.append(Override(name, f.number("set", required=True, text=number), _read_unit(f, "set", unit)))
    return tuple(found)


def _read_range(f: _Fields, name: str, low: str, high: str, unit: str) -> Stratum:
    """One of a setting; an end that is left out is open."""
    if not (low or high):
        f.bad("set", f"the range of {name} has no ends; write {name} = 1..2 {unit}, or 1.. or ..2")
    lower = f.number("set", text=low) if low else -math.inf
    upper = f.number("set", text=high) if high else math.inf
    if not lower < upper and not math.isnan(lower + upper):
        f.bad("set", f"the range of {name} is upside down: {lower:g} is not below {upper:g}")
    return Stratum(name, lower, upper, _read_unit(f, "set", unit))


def _check_row(f: _Fields, row: Row) -> None:
    """What a statistic and a spread need, so that a likelihood can be made of the row."""
    if row.reducer == "at" and row.is_window:
        f.bad("time", "a window, but the reducer is at")
    if row.visits and row.reducer not in ("max", "min", "mean"):
        f.bad("time", f"visits have a max, min or mean, but the reducer is {row.reducer}")
    elif row.reducer != "at" and not (row.is_window or row.visits):
        f.bad("time", f"{row.reducer} needs a window such as 0..24, or visits such as 1; 8; 15")
    if row.reducer in ("tmax", "half_life") and row.measure not in ("value", "change"):
        f.bad("measure", f"a {row.reducer} cannot be given as {row.measure}")
    if row.reducer == "auc" and row.measure not in ("value", "change"):
        f.bad("measure", f"an auc cannot be given as {row.measure}")
    if KINDS[row.statistic].needs_value and math.isnan(row.value):
        f.bad("value", "is empty, a number is needed")
    for column in COLUMNS_OF_KINDS:
        if f.text(column) and column not in KINDS[row.statistic].columns:
            f.bad(column, f"a {row.statistic} has no {column}")
    _check_interval(f, row)
    KINDS[row.statistic].check(row, f.bad)
    if row.spread_type == "range" and row.statistic != "range" and (row.n is None or row.n < 2):
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
        if has_interval and not KINDS[row.statistic].own_ends:
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
    model = _ModelUnits(output_units, time_unit, parameter_units, declared)
    problems = Problems(data.file, by_name)
    rows: list[Row] = []
    for row in data.rows:
        if row.use == "context" or any(output not in output_units for output in row.outputs):
            continue

        def bad(column: str, reason: str, row: Row = row) -> None:
            problems.add(row.line, 1, reason, column, _about(row.id))

        converted = model.row(row, bad)
        if converted is not None:
            KINDS[row.statistic].check_in_units(converted, bad)
            rows.append(converted)
    problems.stop_if_any()
    return replace(data, rows=tuple(rows))


@dataclass(frozen=True)
class _ModelUnits:
    """The units of a model's outputs, time and parameters, and what bridges other units to them."""

    outputs: Mapping[str, str]
    time: str
    parameters: Mapping[str, str]
    bridges: tuple[Any, ...]

    def row(self, row: Row, bad: Bad) -> Row | None:
        """The row in these units, or None where one of its own does not fit, which is told to ``bad``."""
        from pkpd.core import units

        target = _target_unit(row, self.outputs[row.output], self.time)
        column = "unit"
        try:
            factor = 1.0 if target is None else units.factor(row.unit, target, self.bridges)
            column = "time_unit"
            clock = units.factor(row.time_unit, self.time)
        except InputError as error:
            bad(column, str(error))
            return None
        overrides = self.overrides(row, bad)
        exposure = math.nan
        if not math.isnan(row.person_time):
            try:
                exposure = clock * units.factor(self.outputs[row.output], f"1/({self.time})")
            except InputError:
                bad("output", f"events per time need an output of unit 1/{self.time} or the like")
                return None
        if (
            KINDS[row.statistic].of_patients
            and math.isnan(row.effect)
            and not _is_share(self.outputs[row.output])
        ):
            bad(
                "effect",
                f"a {row.statistic} without it needs an output that is itself a share of patients, in the "
                f"unit 1: {row.output} is in {self.outputs[row.output]}",
            )
            return None
        return replace(
            row,
            start=row.start * clock,
            stop=row.stop * clock,
            visits=tuple(time * clock for time in row.visits),
            time_unit=self.time,
            value=row.value * factor,
            unit=row.unit if target is None else target,
            spread=row.spread if row.spread_type == "CV" else row.spread * factor,
            lower=row.lower * factor,
            upper=row.upper * factor,
            overrides=overrides,
            person_time=row.person_time * exposure,
        )

    def overrides(self, row: Row, bad: Bad) -> tuple[Setting, ...]:
        """What a row sets, but for what does not fit."""
        from pkpd.core import units

        found: list[Setting] = []
        for item in row.overrides:
            unit = self.parameters.get(item.name)
            if unit is None:
                bad("set", f"the model has no parameter {item.name}{meant(item.name, self.parameters)}")
                continue
            try:
                factor = units.factor(item.unit, unit, self.bridges)
            except InputError as error:
                bad("set", f"{item.name}: {error}")
                continue
            if isinstance(item, Stratum):
                found.append(Stratum(item.name, item.lower * factor, item.upper * factor, unit))
            else:
                found.append(Override(item.name, item.value * factor, unit))
        return tuple(found)


def unknown_outputs(data: Data, outputs: Sequence[str]) -> dict[str, str]:
    """Rows that a model without their output cannot predict: row id -> sentence."""
    return {
        row.id: f'line {row.line}: the model has no output "{output}"{meant(output, outputs)}'
        for row in data.rows
        if row.use != "context"
        for output in row.outputs
        if output not in outputs
    }


def _is_share(unit: str) -> bool:
    from pkpd.core import units

    try:
        return units.factor(unit, "1") == 1
    except InputError:
        return False


def _target_unit(row: Row, output_unit: str, time_unit: str) -> str | None:
    """The unit in which the model predicts this row; None where the number is not in a unit of the model."""
    kind = KINDS[row.statistic]
    if kind.in_dose_units:
        return None
    if kind.of_patients or kind.without_unit:
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
