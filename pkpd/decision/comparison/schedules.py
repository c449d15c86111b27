"""Schedules from what people type: in the schedule language, or the name of a file that holds some."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pkpd.core.errors import DataError, InputError, ScheduleError
from pkpd.dosing.rules import Plan, planned, read_plan

ENDINGS = (".txt", ".csv")
MOST_BYTES = 1_000_000
MOST_SCHEDULES = 50
MOST_ERRORS = 10  # that are shown of a file


@dataclass(frozen=True)
class Named:
    """A schedule, with rules or without, the name it is shown by, and where it was given: "schedule 2" or
    "plan.txt:3"."""

    label: str
    schedule: Plan
    place: str


def read_schedules(arguments: Sequence[str]) -> list[Named]:
    """Schedules in the order in which they are given, each argument one schedule or one file of them.

    An argument is a file if there is a file of that name, or if it ends in .txt or .csv; "none" and "placebo"
    are schedules. A text file has one schedule a line, with or without a label ("high dose: 200 mg oral
    daily x5"); what follows a "#" is a comment. A CSV file has the columns ``label`` and ``schedule``, or
    ``schedule`` alone.

    Raises:
        ScheduleError: every schedule that cannot be read, with its argument, or its line and column.
        DataError: a file that cannot be read, or holds no schedule.
        InputError: no schedule at all, or more than 50.
    """
    found: list[Named] = []
    errors: list[str] = []
    for number, argument in enumerate(arguments, start=1):
        if _is_file(argument):
            found += _from_file(Path(argument), errors)
            continue
        place = f"schedule {number}"
        try:
            schedule = read_plan(argument, place)
        except ScheduleError as error:
            errors.append(str(error))
        else:
            found.append(Named(_label("", schedule), schedule, place))
    if errors:
        more = f"\nand {len(errors) - MOST_ERRORS} more" if len(errors) > MOST_ERRORS else ""
        raise ScheduleError("\n".join(errors[:MOST_ERRORS]) + more)
    if not found:
        raise InputError('there is no schedule; give one such as "100 mg oral daily x5 every 28 d x3"')
    if len(found) > MOST_SCHEDULES:
        raise InputError(
            f"{len(found)} schedules are too many for one comparison; at most {MOST_SCHEDULES} fit"
        )
    return found


def _is_file(argument: str) -> bool:
    if argument.strip().lower() in ("none", "placebo"):  # whatever else lies in the folder
        return False
    if argument.strip().lower().endswith(ENDINGS):
        return True
    try:
        return Path(argument).is_file()
    except (OSError, ValueError):  # a schedule can be longer than a name of a file
        return False


def _label(label: str, schedule: Plan) -> str:
    """On one line, without what a terminal would obey."""
    shown = "".join(character if character.isprintable() else " " for character in label)
    return " ".join(shown.split()) or (str(schedule) if planned(schedule).parts else "none (placebo)")


def _from_file(path: Path, errors: list[str]) -> list[Named]:
    text = _text(path)
    before = len(errors)
    lines = _table(path, text, errors) if path.suffix.lower() == ".csv" else _lines(text)
    if len(lines) > MOST_SCHEDULES:
        raise DataError(
            f"{path} holds {len(lines)} schedules; at most {MOST_SCHEDULES} fit into one comparison"
        )
    found = []
    for number, column, label, words in lines:
        # the schedule stands in its line as in the file, so that an error points at it there
        placed = "\n" * (number - 1) + " " * (column - 1) + words
        try:
            schedule = read_plan(placed, str(path))
        except ScheduleError as error:
            errors.append(str(error))
        else:
            found.append(Named(_label(label, schedule), schedule, f"{path}:{number}"))
    if not found and len(errors) == before:
        raise DataError(
            f'{path} holds no schedule; write one a line, such as "low: 100 mg oral daily x5 every 28 d x3"'
        )
    return found


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            found = f"a folder {path}, not a file" if path.exists() else f"no file {path}"
            raise DataError(f"there is {found}; schedules are read from .txt and .csv files")
        if path.stat().st_size > MOST_BYTES:
            raise DataError(
                f"{path}: {path.stat().st_size:,} bytes are no list of schedules; at most "
                f"{MOST_BYTES:,} are read"
            )
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if b"\0" in content:
        raise DataError(f"{path} is not a text file in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise DataError(
            f"{path}:{line}:{column}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def _lines(text: str) -> list[tuple[int, int, str, str]]:
    """(line, column, label, schedule) of a text file; both count from 1."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].rstrip()
        if not words.strip():
            continue
        label, _, rest = words.rpartition(":")
        start = len(words) - len(rest.lstrip())
        found.append((number, start + 1, label.strip(), rest.strip()))
    return found


def _table(path: Path, text: str, errors: list[str]) -> list[tuple[int, int, str, str]]:
    """(line, column, label, schedule) of a CSV file with commas or semicolons; the column is that of the
    schedule where it can be found."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = ";" if ";" in head and "," not in head else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = text.splitlines()
    columns: list[str] | None = None
    found = []
    try:
        for fields in reader:
            number = reader.line_num
            quoted = number <= len(lines) and lines[number - 1].lstrip().startswith('"')
            comment = not quoted and fields[:1] and fields[0].lstrip().startswith("#")
            if comment or not any(field.strip() for field in fields):
                continue
            if columns is None:
                columns = [field.strip().lower() for field in fields]
                if (
                    "schedule" not in columns
                    or set(columns) - {"label", "schedule"}
                    or len(set(columns)) < len(columns)
                ):
                    raise DataError(
                        f"{path}:{number}:1: the columns must be label and schedule, not {', '.join(columns)}"
                    )
                continue
            if len(fields) != len(columns):
                errors.append(
                    f"{path}:{number}:1: {len(fields)} fields where there are {len(columns)} columns; "
                    f'a schedule with "{delimiter}" in it is written within double quotes'
                )
                continue
            row = dict(zip(columns, (field.strip() for field in fields), strict=True))
            if not row["schedule"]:
                errors.append(f'{path}:{number}:1: there is no schedule; no treatment is written "none"')
                continue
            at = lines[number - 1].rfind(row["schedule"]) if number <= len(lines) else -1
            found.append((number, max(0, at) + 1, row.get("label", ""), row["schedule"]))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}:1: {error}; is a quotation mark missing?") from None
    return found
