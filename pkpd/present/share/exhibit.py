"""What of a result leaves the program: figures, tables, answers and what a reader has to know, the same in
every format."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pkpd.decision.evidence import Behind, Standing
from pkpd.present.report.drawing import Drawing

ADVICE = "A model, not medical advice."


@dataclass(frozen=True)
class SharedColumn:
    """A column of numbers or words: its key in the records, its heading, which has the unit if all of it has
    one, and its ``kind``: "text", "number", "share" (of 1, shown in percent) or "count"."""

    key: str
    head: str
    kind: str = "number"


@dataclass(frozen=True)
class SharedTable:
    """A table twice: as people read it, and its numbers.

    name : what a sheet or a slide is called. heads, lines : cells as they are shown; a line of one cell is a
        heading of those below it. columns, records : the numbers and words behind them, nan for none.
    note : what has to be known to read it. standings : how far the numbers of a cell, by its line and place,
        have been put to the test.
    """

    name: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    columns: tuple[SharedColumn, ...]
    records: tuple[Mapping[str, Any], ...]
    note: str = ""
    standings: Mapping[tuple[int, int], Standing] = field(default_factory=dict)


@dataclass(frozen=True)
class Exhibit:
    """A result for people.

    stem : what its files are called in a folder.
    title : what was asked. subjects : lines below it, such as the schedules. findings : the answer, in
        sentences.
    behind : what the fit knows of its outputs, on which the ``standings`` of the tables stand.
    drawings : its figures, the main one first. singles : parts of the main one, each a file of its own.
    slides : the figures of a deck.
    tables : the main one first; brief : those of a deck.
    warnings : (whom it is about, "" for all; sentences). reading : how the numbers are read.
    definitions : (name, what it is).
    provenance : (name, value). command : the command line that makes it again.
    write_csv, write_json : of its numbers. page : the HTML report with its figures, where it has one of its
        own; pictures : these.
    beside : files of a folder that have no format of their own: name -> what writes it.
    """

    stem: str
    title: str
    subjects: tuple[str, ...]
    findings: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    tables: tuple[SharedTable, ...]
    warnings: tuple[tuple[str, tuple[str, ...]], ...]
    reading: tuple[str, ...]
    definitions: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    command: str
    write_csv: Callable[[Path], object]
    write_json: Callable[[Path], object]
    source: str = ""
    behind: Behind | None = None
    singles: tuple[Drawing, ...] = ()
    slides: tuple[Drawing, ...] = ()
    brief: tuple[SharedTable, ...] = ()
    page: Callable[[Mapping[str, Any]], str] | None = None
    pictures: tuple[Drawing, ...] = ()
    beside: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)

    @property
    def cautions(self) -> tuple[str, ...]:
        """The warnings as sentences that say whom they are about."""
        return tuple(f"{who}: {line}" if who else line for who, lines in self.warnings for line in lines)

    @property
    def foot(self) -> str:
        """What stands at the foot of whatever is shown alone."""
        return f"{ADVICE} {self.source}".strip()


def pausing(shown: Exhibit, pause: Callable[[], None]) -> Exhibit:
    """The same, which calls ``pause`` before each of its figures is drawn: what that raises ends it."""

    def after(drawing: Drawing) -> Drawing:
        def draw(of: Any) -> Any:
            pause()
            return drawing.draw(of)

        return dataclasses.replace(drawing, draw=draw)

    return dataclasses.replace(
        shown,
        drawings=tuple(map(after, shown.drawings)),
        singles=tuple(map(after, shown.singles)),
        slides=tuple(map(after, shown.slides)),
        pictures=tuple(map(after, shown.pictures)),
    )


def source_of(made: Mapping[str, Any], who: str) -> str:
    """So many of whom, of which fit or model: a sentence of a result's provenance."""
    fitted = made.get("fitted", True)
    name = one_line(str(made["fit"]))
    return f"{who} of the fit {name}." if fitted else f"{who} of the model {name}, which nobody has fitted."


def one_line(text: str) -> str:
    """Text that people typed, in one line: white space is a blank, and what no file can hold is left out."""
    return " ".join("".join(c for c in text if c.isspace() or _can_be_written(c)).split())


def _can_be_written(character: str) -> bool:
    """Not control characters, halves of surrogate pairs, and the two of each plane that are none."""
    return unicodedata.category(character) not in ("Cc", "Cs") and ord(character) & 0xFFFE != 0xFFFE
