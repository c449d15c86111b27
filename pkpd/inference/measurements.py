"""Measured values of one person, from a table.

    time,time_unit,output,value,unit
    0,d,treg_pct,5,percent
    7,d,treg_pct,8,percent

A line is one measurement: when, of which output of the model, and how much, in any units that convert into
the model's. Times count from day 0 of the schedule that was given; a value at the time of a dose was measured
before it. Every other column is refused, and everything that is wrong is said at once, with line and column.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pkpd.core import units
from pkpd.core.errors import DataError, PkpdError
from pkpd.core.names import question_or_list
from pkpd.core.tables import CsvTable, Line, read_table
from pkpd.solver.kernel import Kernel

COLUMNS = ("time", "time_unit", "output", "value", "unit")


class Measurement(NamedTuple):
    """One measured value: ``time`` in the model's time unit, ``value`` in the unit of the ``output``."""

    time: float
    output: str
    value: float


def read_measurements(
    path: str | os.PathLike[str], kernel: Kernel, noise: Mapping[str, object]
) -> tuple[Measurement, ...]:
    """The measurements of a file, in its order.

    noise : outputs whose error of measurement is known.

    Raises:
        DataError: every field that is wrong, with its line and column.
    """
    table = read_table(Path(path), example=",".join(COLUMNS))
    table.check_columns(COLUMNS)
    table.problems.stop_if_any()
    found = [_measurement(table, line, kernel, noise) for line in table.lines]
    table.problems.stop_if_any()
    return tuple(one for one in found if one is not None)


def _measurement(
    table: CsvTable, line: Line, kernel: Kernel, noise: Mapping[str, object]
) -> Measurement | None:
    fields = table.fields(line)
    time, value = (_number(table, line, name, fields[name]) for name in ("time", "value"))
    clock = _factor(fields["time_unit"], kernel.TIME_UNIT)
    if clock is None:
        table.wrong(line, "time_unit", _what(fields["time_unit"], "a unit of time", ("min", "h", "d")))
        return None
    name = fields["output"]
    if reason := why_unmeasured(name, kernel, noise):
        table.wrong(line, "output", reason)
        return None
    try:
        size = units.factor(fields["unit"], kernel.OUTPUT_UNITS[list(kernel.OUTPUTS).index(name)])
    except PkpdError as error:
        table.wrong(line, "unit", str(error))
        return None
    return Measurement(time * clock, name, value * size)


def _factor(unit: str, to: str) -> float | None:
    try:
        return float(units.factor(unit, to))
    except PkpdError:
        return None


def _number(table: CsvTable, line: Line, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        table.wrong(line, column, _what(text, "a number"))
    return number


def _what(text: str, wanted: str, known: Iterable[str] = ()) -> str:
    such = f", such as {', '.join(known)}" if known else ""
    return f'"{text[:40]}" is not {wanted}{such}' if text else f"{wanted} is missing{such}"


def why_unmeasured(name: str, kernel: Kernel, noise: Mapping[str, object]) -> str:
    """Why there can be no measurement of what is called so, and of what there can be; "" where there can.

    noise : outputs whose error of measurement is known.
    """
    if name not in kernel.OUTPUTS:
        known = question_or_list(name, list(noise)) if noise else "the fit states no error of measurement"
        return f'{kernel.NAME} has no output "{name[:40]}"; {known}'
    if name not in noise:
        reason = f"the fit states no error of measurement for {name} ([noise] in its fit.toml); it has "
        return reason + (", ".join(noise) or "none of any")
    return ""


def check_measurements(
    measurements: Iterable[Measurement], kernel: Kernel, noise: Mapping[str, object]
) -> None:
    """Raise ``DataError`` for one that is no number, or of an output without a stated error."""
    for one in measurements:
        if one.output not in kernel.OUTPUTS or one.output not in noise:
            raise DataError(f'there is no error of measurement for an output "{one.output}"')
        if not (math.isfinite(one.time) and math.isfinite(one.value)):
            raise DataError(f"a measurement of {one.output} is no number: {one.value:g} at {one.time:g}")
