"""Schedules from what people type: in the schedule language, or the name of a file that holds some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pkpd.core.errors import DataError, InputError, ScheduleError
from pkpd.core.tables import decoded, parse_table
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
    return decoded(content, str(path))


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
    """(line, column, label, schedule) of a CSV file."""
    if not text.strip():
        return []
    table = parse_table(text, str(path), example="label,schedule")
    table.check_columns(("schedule",), ("label",))
    found = []
    for line in table.lines:
        fields = table.fields(line)
        if fields.get("schedule"):
            number, column = table.text_start(line, "schedule")
            found.append((number, column, fields.get("label", ""), fields["schedule"]))
        elif "schedule" in fields:
            table.wrong(line, "schedule", 'there is no schedule; no treatment is written "none"')
    errors += table.problems.sentences
    return found
