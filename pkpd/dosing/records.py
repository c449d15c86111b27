"""Records of doses and observations, as NONMEM and Monolix data files hold them: one line, one event.

    ID, TIME, AMT, RATE, DUR, CMT, ROUTE, DOSE_UNIT, EVID, MDV, II, ADDL, SS, DV, DVID, CENS, LIMIT        in
    any order and case

    Needed are ID, TIME and AMT. The names of Monolix's roles do as well (identifier, observation, observation
    id, amount, administration id, infusion rate, infusion duration, interdose interval, additional doses,
    steady state, event id, ignored observation, censoring): case, spaces, dots, hyphens and underscores do
    not matter. "." and an empty field are missing; missing numbers are 0, as in NONMEM, but for what is said
    below.

    ID        text, such as a number or a name; the lines of a subject stand together. "01" and "1" are two
              subjects; "1.0" is "1", as programs write whole numbers so
    TIME      a number, which does not go back within a subject; its unit is told where the file is read
    EVID      0 observation, 1 dose, 2 other (covariates may change), 3 reset of all states, 4 reset and dose,
              or these names; and replace, which sets a state to AMT. Missing: 1 where AMT, RATE or SS is not
              0, else 2 where MDV is 1, else 0
    AMT       of a dose, above 0, in DOSE_UNIT (MIU, ug, MIU/m2, mg/kg ...), or else in the unit of the state
              that it enters
    RATE      of an infusion, AMT's unit per unit of TIME: it lasts F*AMT/RATE. -1: the route has a rate, -2:
              the route has a duration. 0: a bolus
    DUR       of an infusion, whatever F is. 0: a bolus. RATE and DUR both missing: as the route has it
    CMT       number or name of a state, or the name of a route; ROUTE (administration id): number or name of
              a route. One suffices where it is clear; a model with one route needs none. Numbers count from 1
              in the order of the model
    ADDL, II  so many more doses, each II after the one before
    SS        1: the states are those of a steady state of this dose at intervals II, 2: that is added to what
              is there. With AMT 0, II 0 and RATE: the steady state of a constant infusion
    DV, MDV, DVID, CENS, LIMIT   are kept with the observations

A reset, and a dose with SS 1, cancel the additional doses of earlier lines that are still to come (NONMEM
Users Guide VIII, "SS data item", "Reset event"). An additional dose has the covariates of its own time. Lines
of one time happen in their order, each with its own covariates.

Every other column is a covariate where the model has a parameter of that name, and otherwise is reported as
unused. A file is read whole or not at all: every line that is wrong is named in one error. Separators,
comments and encoding: `pkpd.core.tables`. What needs a model: `pkpd.dosing.intake`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from pkpd.core.arguments import PATH, TEXT, of, takes
from pkpd.core.errors import DataError, ScheduleError
from pkpd.core.names import close_names
from pkpd.core.tables import CsvTable, Line, Problems, parse_table, read_table
from pkpd.dosing.quantities import MAX_DOSES, exact_number, split_unit

# what a column is -> how its header may be written, lower case and without spaces, dots, hyphens and
# underscores
ROLES: dict[str, tuple[str, ...]] = {
    "ID": ("id", "identifier"),
    "TIME": ("time",),
    "AMT": ("amt", "amount"),
    "RATE": ("rate", "infusionrate"),
    "DUR": ("dur", "duration", "infusionduration", "tinf"),
    "CMT": ("cmt", "compartment"),
    "ROUTE": ("route", "adm", "administrationid", "administration"),
    "DOSE_UNIT": ("doseunit", "amtunit", "amountunit"),
    "EVID": ("evid", "eventid", "event"),
    "MDV": ("mdv", "ignoredobservation", "missingdependentvariable"),
    "II": ("ii", "interdoseinterval"),
    "ADDL": ("addl", "additionaldoses"),
    "SS": ("ss", "steadystate"),
    "DV": ("dv", "y", "observation", "dependentvariable"),
    "DVID": ("dvid", "ytype", "observationid"),
    "CENS": ("cens", "censored", "censoring"),
    "LIMIT": ("limit",),
    # what would change the meaning of other columns, and is not read
    "DATE": ("date", "dat1", "dat2", "dat3"),
    "IGNORE": ("c", "ignoredline"),
}
_ROLE_OF = {spelling: role for role, spellings in ROLES.items() for spelling in spellings}
_NEEDED = ("ID", "TIME", "AMT")
_EXAMPLE = "ID,TIME,AMT,DV"

OBSERVATION, DOSE, OTHER, RESET, RESET_AND_DOSE, REPLACE = (
    "observation",
    "dose",
    "other",
    "reset",
    "reset and dose",
    "replace",
)
_KINDS = (OBSERVATION, DOSE, OTHER, RESET, RESET_AND_DOSE)
_OWN_NUMBERS = {5: "rxode2", 8: "mrgsolve"}
MISSING = ("", ".")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST = 60  # characters of a number


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a file, in the file's units; what is missing is 0, "", nan, or None where that differs from
    0.

    Attributes:
        line: with its number and its fields.
        time, interval: TIME and II, exact.
        kind: OBSERVATION, DOSE, OTHER, RESET, RESET_AND_DOSE or REPLACE.
        amount: AMT, exact; rate: RATE, None if missing; duration: DUR, exact, None if missing.
        compartment, route: CMT and ROUTE as written; unit: DOSE_UNIT and "", "m2" or "kg".
        additional: ADDL; steady: SS.
        value: DV; missing: MDV; value_id: DVID; censored: CENS; limit: LIMIT.
    """

    line: Line
    time: Fraction
    kind: str
    amount: Fraction
    rate: Fraction | None
    duration: Fraction | None
    compartment: str
    route: str
    unit: tuple[str, str] | None
    interval: Fraction
    additional: int
    steady: int
    value: float
    missing: bool
    value_id: str
    censored: int
    limit: float

    @property
    def is_dose(self) -> bool:
        """Whether something is given."""
        return self.kind in (DOSE, RESET_AND_DOSE)

    @property
    def is_event(self) -> bool:
        """Whether something happens to the states."""
        return self.is_dose or self.kind in (RESET, REPLACE)

    @property
    def cancels(self) -> bool:
        """Whether additional doses of earlier records are not given from here on."""
        return self.kind in (RESET, RESET_AND_DOSE) or (self.is_dose and self.steady == 1)


@dataclass(frozen=True)
class SubjectRecords:
    """The lines of one subject, in their order; ``id`` as it is written first."""

    id: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Records:
    """All subjects of a file.

    columns : index of the column that has a role, by role ("ID", "TIME", ...); others : names of the other
        columns, with their index.
    """

    table: CsvTable
    columns: dict[str, int]
    others: dict[str, int]
    subjects: tuple[SubjectRecords, ...]

    def __repr__(self) -> str:
        lines = sum(len(subject.records) for subject in self.subjects)
        return (
            f"<Records of {self.file}: {len(self.subjects):,} subjects, {lines:,} lines; "
            f"{', '.join(self.columns)}>"
        )

    @property
    def file(self) -> str:
        """Its name."""
        return self.table.problems.file

    @property
    def last(self) -> Fraction:
        """The time of the last line or additional dose of all, in the file's unit."""
        return max(
            record.time + record.additional * record.interval
            for subject in self.subjects
            for record in subject.records
        )

    def afresh(self) -> Records:
        """The same with a list of problems of its own: what one model cannot take, another may."""
        return replace(self, table=replace(self.table, problems=Problems(self.file)))

    def wrong(self, line: Line, role: str, reason: str) -> None:
        """Note that a line is wrong in the column of a role or of that name; in the line as a whole, where it
        has no such column."""
        self.table.wrong(line, self.columns.get(role, self.others.get(role, -1)), reason)


@takes(path=PATH)
def read_records(path: str | Path) -> Records:
    """Read a data file; the format is described at the top of this module.

    Raises:
        DataError: every wrong line with its place and reason (the first 25, and how many there are).
    """
    return _read(read_table(path, example=_EXAMPLE))


@takes(content=TEXT | of(bytes))
def parse_records(content: bytes | str, file: str = "<records>") -> Records:
    """As ``read_records``, from the content of a file."""
    return _read(parse_table(content, file, example=_EXAMPLE))


def _read(table: CsvTable) -> Records:
    ragged = table.problems.count
    columns, others = _roles(table)
    if table.problems.count > ragged:
        table.problems.stop_if_any()
    records = Records(table, columns, others, ())
    subjects: list[tuple[str, list[Record]]] = []
    ended: dict[str, int] = {}  # subjects, and the last line of each
    current: str | None = None
    given = 0  # doses of the subject so far
    for line in table.lines:
        found = _Fields(records, line)
        name = found.text("ID")
        if name in MISSING:
            found.bad("ID", "the line belongs to no subject")
            continue
        key = _identity(name)
        if key != current and key in ended:
            found.bad(
                "ID",
                f'subject "{name[:40]}" had its last line in line {ended[key]}: put the lines of a '
                "subject together",
            )
        elif key != current:
            subjects.append((name, []))
        current, ended[key] = key, line.number
        record = _record(found)
        if record is None:
            continue
        mine = subjects[-1][1]
        if mine and record.time < mine[-1].time:
            found.bad("TIME", _time_goes_back(record, mine[-1]))
        mine.append(record)
        given = given * (len(mine) > 1) + record.is_dose * (1 + record.additional)
        if given > MAX_DOSES:
            found.bad("ADDL", f"more than {MAX_DOSES} doses in one subject")
            given = 0
    table.problems.stop_if_any()
    if not table.lines:
        raise DataError(f"{table.problems.file} has column names but no records")
    return Records(
        table, columns, others, tuple(SubjectRecords(name, tuple(mine)) for name, mine in subjects)
    )


def _roles(table: CsvTable) -> tuple[dict[str, int], dict[str, int]]:
    columns: dict[str, int] = {}
    others: dict[str, int] = {}
    if len(table.names) == 1:
        reason = "the header names one column only: separate columns by commas, semicolons or tabs"
        table.wrong(table.header, -1, reason)
        return columns, others
    for i, name in enumerate(table.names):
        role = _ROLE_OF.get(re.sub(r"[\s._-]", "", name).lower())
        if role is None:
            others[name] = i
        elif role in columns:
            first = table.names[columns[role]]
            table.wrong(table.header, i, f'"{first[:40]}" and "{name[:40]}" are both {role}: remove one')
        elif role == "DATE":
            table.wrong(table.header, i, "dates are not read: let TIME count from one instant, and remove it")
        else:
            columns[role] = i
    for role in _NEEDED:
        if role not in columns:
            close = close_names(role, others)
            hint = f'; is it "{close[0]}"?' if close else ""
            table.problems.add(
                table.header.number, 1, f"no column {role} (or {', '.join(ROLES[role][1:]) or role}){hint}"
            )
            break
    return columns, others


_WHOLE = re.compile(r"([+-]?[0-9]+)\.0*")


def _identity(name: str) -> str:
    """What tells subjects apart: text, every digit of it, but for a decimal point with nothing behind it."""
    whole = _WHOLE.fullmatch(name)
    return whole[1] if whole else name


def _time_goes_back(record: Record, before: Record) -> str:
    reason = f"time goes back: line {before.line.number} is at {float(before.time):.10g}"
    if record.kind in (RESET, RESET_AND_DOSE):
        reason += (
            "; also after a reset it has to go on (or give what follows the reset to a subject of its own)"
        )
    return reason


# ---- one line ------------------------------------------------------------------------------------


@lru_cache(maxsize=65_536)
def number(text: str) -> Fraction | str:
    """The decimal that a text is, or a sentence on why it is none."""
    shown = f'"{text[:40]}"'
    if len(text) > _LONGEST:
        return f"{shown}... is longer than any number"
    if not _NUMBER.fullmatch(text):
        if re.fullmatch(r"[+-]?[0-9]*,[0-9]+", text):
            return f"{shown} has a decimal comma; write {text.replace(',', '.')}"
        if text.lower() in ("na", "nan", "null", "none", "n/a", "-"):
            return f'{shown} is not a number; what is missing is left empty or written "."'
        if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", text):
            return f"{shown} is a time of day; write a number"
        if re.fullmatch(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?\s*[A-Za-z%µμ][^0-9]*[0-9]?", text):
            return f"{shown} has a unit: write the number alone, and the unit of a dose in a column DOSE_UNIT"
        return f"{shown} is not a number"
    try:
        return exact_number(text, "the number")
    except ScheduleError as error:
        return str(error)


class _Fields:
    """The fields of one line by role; remembers whether anything was wrong with them."""

    def __init__(self, records: Records, line: Line) -> None:
        self.records, self.line = records, line
        self.good = True

    def bad(self, role: str, reason: str) -> None:
        self.good = False
        self.records.wrong(self.line, role, reason)

    def text(self, role: str) -> str:
        column = self.records.columns.get(role)
        return "" if column is None else self.line.fields[column]

    def number(self, role: str) -> Fraction | None:
        text = self.text(role)
        if text in MISSING:
            return None
        value = number(text)
        if isinstance(value, str):
            self.bad(role, value)
            return None
        return value

    def not_negative(self, role: str) -> Fraction:
        value = self.number(role) or Fraction(0)
        if value < 0:
            self.bad(role, f"{self.text(role)} is negative")
        return value

    def one_of(self, role: str, allowed: tuple[int, ...]) -> int:
        value = self.number(role) or Fraction(0)
        if value not in allowed:
            self.bad(role, f"{self.text(role)} is none of {', '.join(map(str, allowed))}")
            return 0
        return int(value)


def _record(found: _Fields) -> Record | None:
    time = found.number("TIME")
    if time is None and found.good:
        found.bad("TIME", "the time is missing")
    if found.text("IGNORE") not in (*MISSING, "0"):
        found.bad("IGNORE", "the line is marked to be ignored: remove it")
    missing = found.one_of("MDV", (0, 1)) == 1
    amount, rate, duration = found.number("AMT"), found.number("RATE"), found.number("DUR")
    steady, additional = found.one_of("SS", (0, 1, 2)), found.not_negative("ADDL")
    if additional.denominator != 1:
        found.bad("ADDL", f"{found.text('ADDL')} is not a whole number of doses")
    interval = found.not_negative("II")
    inferred = DOSE if amount or rate or steady else OTHER if missing else OBSERVATION
    kind = _kind(found, inferred)
    unit = _unit(found)
    if re.match(r"-\s*[0-9]", found.text("CMT")):
        found.bad("CMT", f"{found.text('CMT')}: switching a compartment off is not supported")
    value, limit = found.number("DV"), found.number("LIMIT")
    if not found.good:
        return None
    assert time is not None
    record = Record(
        line=found.line,
        time=time,
        kind=kind,
        amount=amount or Fraction(0),
        rate=rate,
        duration=duration,
        compartment="" if found.text("CMT") in (*MISSING, "0") else found.text("CMT"),
        route="" if found.text("ROUTE") in (*MISSING, "0") else found.text("ROUTE"),
        unit=unit,
        interval=interval,
        additional=int(additional),
        steady=steady,
        value=math.nan if value is None else float(value),
        missing=missing,
        value_id="" if found.text("DVID") in MISSING else found.text("DVID"),
        censored=found.one_of("CENS", (-1, 0, 1)),
        limit=math.nan if limit is None else float(limit),
    )
    if record.is_dose:
        _check_dose(found, record)
    else:
        _check_no_dose(found, record)
    if record.kind != OBSERVATION and not missing and value:
        found.bad(
            "DV", f"a line of kind {record.kind} has an observation: give it a line of its own, or MDV 1"
        )
    return record if found.good else None


def _kind(found: _Fields, inferred: str) -> str:
    text = found.text("EVID")
    if text in MISSING:
        return inferred
    words = re.sub(r"[\s_-]+", " ", text.lower())
    if words in (*_KINDS, REPLACE):
        return words
    value = number(text)
    if isinstance(value, Fraction) and value.denominator == 1 and 0 <= value < len(_KINDS):
        return _KINDS[int(value)]
    if isinstance(value, Fraction) and value in _OWN_NUMBERS:
        found.bad(
            "EVID",
            f"{text} means replacement in {_OWN_NUMBERS[int(value)]} only (rxode2 writes 5, mrgsolve "
            "8): write replace",
        )
    else:
        known = ", ".join(f"{i} ({name})" for i, name in enumerate(_KINDS))
        found.bad("EVID", f'"{text[:40]}" is none of {known}, replace')
    return inferred


def _unit(found: _Fields) -> tuple[str, str] | None:
    text = found.text("DOSE_UNIT")
    if text in MISSING:
        return None
    try:
        return split_unit(text)
    except ScheduleError as error:
        found.bad("DOSE_UNIT", str(error))
        return None


def _check_dose(found: _Fields, record: Record) -> None:
    rate, duration = record.rate or Fraction(0), record.duration or Fraction(0)
    if record.amount < 0:
        found.bad("AMT", f"{found.text('AMT')} is negative")
    if rate < 0 and rate not in (-1, -2):
        found.bad("RATE", f"{found.text('RATE')} is negative and neither -1 nor -2")
    if duration < 0:
        found.bad("DUR", f"{found.text('DUR')} is negative")
    if rate and duration:
        found.bad("DUR", "RATE and DUR both say how long the infusion lasts: leave one empty")
    if rate > 0 and record.unit and record.unit[1]:
        found.bad("RATE", f"a rate of a dose per {record.unit[1]} is not read: give the length as DUR")
    if record.additional and not record.interval:
        found.bad("ADDL", f"ADDL {record.additional} without an interval II")
    if record.amount == 0 and record.steady and rate > 0:
        if record.interval or record.additional:
            found.bad(
                "II" if record.interval else "ADDL",
                "a constant infusion (SS with AMT 0) has neither II nor ADDL",
            )
    elif record.amount == 0:
        found.bad(
            "AMT",
            "a dose of 0; only SS with RATE above 0 (a constant infusion) goes without an amount"
            if found.text("AMT") not in MISSING
            else "a dose without an amount",
        )
    elif record.steady and not record.interval:
        found.bad("SS", f"SS {record.steady} without an interval II")
    elif record.interval and not record.steady and found.text("ADDL") in MISSING:
        found.bad("II", "II without ADDL or SS: how many more doses?")


def _check_no_dose(found: _Fields, record: Record) -> None:
    """Dose items of a line that is no dose would be lost."""
    if record.kind == REPLACE:
        if found.text("AMT") in MISSING:
            found.bad("AMT", "a replacement without the new value of the state")
        if record.unit:
            found.bad("DOSE_UNIT", "a replacement is in the unit of its state: leave DOSE_UNIT empty")
    for role, value in (
        ("AMT", record.amount if record.kind != REPLACE else 0),
        ("RATE", record.rate),
        ("DUR", record.duration),
        ("II", record.interval),
        ("ADDL", record.additional),
        ("SS", record.steady),
    ):
        if value:
            found.bad(role, f"a line of kind {record.kind} has {role} {found.text(role)}, which is for doses")
