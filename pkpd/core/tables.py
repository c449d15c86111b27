"""CSV files as lines of fields that know their place: encoding, separator, quotation marks, the names of the
columns, and a list of what is wrong.

Nothing is guessed but the separator, and that from the header alone: it is the one of comma, semicolon and
tab that stands there. A record is one line, or several where a quoted field goes over several. Lines that
begin with # are comments, as in NM-TRAN; blank lines, and those whose fields are all empty, say nothing.

    table = read_table("plan.csv", example="label,schedule")
    table.check_columns(("schedule",), ("label",))
    for line in table.lines:
        fields = table.fields(line)          # {"label": ..., "schedule": ...}
        table.wrong(line, "schedule", "there is none")
    table.problems.stop_if_any()             # one DataError that names every wrong field
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pkpd.core.errors import DataError
from pkpd.core.names import question_or_list

MAX_BYTES = 100_000_000
MAX_SHOWN = 25  # problems that are listed; the rest is counted
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MAX_LINE = 100_000  # characters; csv has a limit of its own above it


@dataclass(frozen=True, slots=True)
class Line:
    """One record: the number of its first line in the file, from 1, its text, and its fields without the
    space around them."""

    number: int
    text: str
    fields: tuple[str, ...]


PlaceWords = Callable[[str, int, int, str, str], str]
"""How a sentence says where, of a file, the line and character, the name of the column, and what the line is
about."""


def by_character(file: str, line: int, column: int, name: str, about: str) -> str:
    """data.csv:3:14 (AMT)"""
    named = ", ".join(said for said in (name, about) if said)
    return f"{file}:{line}:{column}" + (f" ({named})" if named else "")


def by_name(file: str, line: int, column: int, name: str, about: str) -> str:
    """data.csv: line 3 (row "r2"), column "value\""""
    return f"{file}: line {line}" + (f" ({about})" if about else "") + (f', column "{name}"' if name else "")


@dataclass
class Problems:
    """What is wrong with a file, so that one error tells all of it.

    place : how a sentence says where: ``by_character`` or ``by_name``.
    """

    file: str
    place: PlaceWords = by_character
    found: dict[tuple[int, int, str], str] = field(default_factory=dict)
    count: int = 0

    def add(self, line: int, column: int, reason: str, name: str = "", about: str = "") -> None:
        """``column`` counts characters from 1; ``name`` is that of the column of the table, and ``about``
        what the line is about (row "r2"). A field is wrong once: the first reason is kept."""
        key = line, column, name
        if key in self.found:
            return
        self.count += 1
        if len(self.found) < 1000:  # a large file may be wrong in every line
            self.found[key] = f"{self.place(self.file, line, column, name[:40], about[:70])}: {reason}"

    @property
    def sentences(self) -> list[str]:
        """In the order of the file."""
        return [text for _, text in sorted(self.found.items())]

    def stop_if_any(self) -> None:
        """Raise a ``DataError`` with the first problems in the order of the file and the number of all."""
        if not self.found:
            return
        texts = self.sentences
        if len(texts) == 1:
            raise DataError(texts[0])
        shown = "\n".join(f"  {text}" for text in texts[:MAX_SHOWN])
        rest = self.count - MAX_SHOWN
        more = f"\n  and {rest} more" if rest > 0 else ""
        raise DataError(f"{self.file}: {self.count} problems, nothing was read\n{shown}{more}")


@dataclass(frozen=True)
class CsvTable:
    """A header and lines that have as many fields.

    names : of the columns, as written; problems : those of lines that could not be taken apart, to which
        readers add theirs.
    """

    names: tuple[str, ...]
    header: Line
    lines: tuple[Line, ...]
    separator: str
    problems: Problems

    def check_columns(self, required: Sequence[str], optional: Sequence[str] = ()) -> None:
        """Note columns that are neither required nor optional, and required ones that are not there. Both are
        given in lower case; how the file writes them does not matter."""
        known = (*required, *optional)
        for i, name in enumerate(self._keys):
            if name not in known:
                self.wrong(self.header, i, f"unknown column; {question_or_list(name, known)}")
        for name in required:
            if name not in self._keys:
                self.problems.add(self.header.number, 1, "this column is missing", name)

    def fields(self, line: Line) -> dict[str, str]:
        """The fields of a line by the name of their column in lower case."""
        return dict(zip(self._keys, line.fields, strict=True))

    def wrong(self, line: Line, column: int | str, reason: str, about: str = "") -> None:
        """Note that the field in ``column`` (an index, or a name in lower case, which may be one that the
        file does not have; -1: the whole line) of a line is wrong."""
        if isinstance(column, str) and column not in self._keys:
            self.problems.add(line.number, 1, reason, column, about)
            return
        index = self._keys.index(column) if isinstance(column, str) else column
        if index < 0:
            self.problems.add(line.number, 1, reason, about=about)
            return
        number, at = _start(line, self.separator, index)
        self.problems.add(number, at, reason, self.names[index], about)

    def text_start(self, line: Line, column: str) -> tuple[int, int]:
        """The line and character, from 1, of the text in a field, behind its space and quotation mark."""
        number, at = _start(line, self.separator, self._keys.index(column))
        text = line.text.split("\n")[number - line.number][at - 1 :]
        return number, at + len(text) - len(text.lstrip(' "'))

    @property
    def _keys(self) -> tuple[str, ...]:
        return tuple(name.lower() for name in self.names)


def read_table(path: str | Path, *, example: str = "", place: PlaceWords = by_character) -> CsvTable:
    """Read a CSV file; example and place are those of ``parse_table``.

    Accepts a byte-order mark, LF, CRLF or CR, commas, semicolons or tabs, quoted fields.

    Raises:
        DataError: no such file, or one that is no such table.
    """
    return parse_table(read_content(Path(path)), str(path), example=example, place=place)


def read_content(path: Path) -> bytes:
    """The bytes of a file of at most ``MAX_BYTES``. Raises ``DataError``."""
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if size > MAX_BYTES:
        raise _too_large(str(path), size)
    return content


def parse_table(
    content: bytes | str,
    file: str = "<records>",
    *,
    example: str = "",
    place: PlaceWords = by_character,
) -> CsvTable:
    """The table that the content of a file is.

    Lines with another number of fields than the header, and those that cannot be taken apart, are left out
    and noted in ``CsvTable.problems``.

    Args:
        file: what sentences call it.
        example: a header, for the sentence about an empty file.
        place: how sentences say where something is wrong.

    Raises:
        DataError: it is not text in UTF-8, empty, too large, or its header names a column twice or not.
    """
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(raw) > MAX_BYTES:
        raise _too_large(file, len(raw))
    text = decoded(raw, file)
    problems = Problems(file, place)
    separator = _separator(text, problems)
    header: Line | None = None
    lines: list[Line] = []
    for line in _records(text, separator, problems):
        if header is None:
            header = line
            _check_header(header, separator, problems)
            problems.stop_if_any()
        elif len(line.fields) == len(header.fields):
            lines.append(line)
        else:
            decimals = " (a number with a decimal comma counts as two)" * (
                separator == "," and len(line.fields) > len(header.fields)
            )
            problems.add(
                line.number,
                1,
                f"{len(line.fields)} fields where the header has {len(header.fields)}{decimals}",
                about=f'{header.fields[0]} "{line.fields[0]}"',
            )
    if header is None:
        problems.stop_if_any()
        such = f", such as {example}" if example else ""
        raise DataError(f"{file} is empty; its first line must name the columns{such}")
    return CsvTable(header.fields, header, tuple(lines), separator, problems)


def _too_large(file: str, size: int) -> DataError:
    return DataError(f"{file}: {size / 1e6:.0f} MB; at most {MAX_BYTES // 10**6} MB are read")


def _split(text: str) -> Iterator[str]:
    return iter(re.split(r"\r\n|\n|\r", text))


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.startswith("#")


def _records(text: str, separator: str, problems: Problems) -> Iterator[Line]:
    """The records of a file, its header first; what cannot be taken apart is noted."""
    number = 0  # lines that have been taken
    taken: list[str] = []  # those of the record that is being read

    def physical() -> Iterator[str]:
        nonlocal number
        for line in _split(text):
            number += 1
            if taken or not _says_nothing(line):
                taken.append(line)
                yield f"{line}\n"

    reader = csv.reader(physical(), delimiter=separator, strict=True)
    header_read = False
    while True:
        taken.clear()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            characters = max(map(len, taken))
            reason = (
                f"{error}: a line of {characters} characters; a record is far shorter"
                if characters > _MAX_LINE
                else f"{error}; is a quotation mark missing?"
            )
            problems.add(number - len(taken) + 1, 1, reason)
            if len(taken) > 1 or not header_read:  # where the next record begins is anybody's guess
                return
            continue
        if fields is None:
            return
        made = tuple(value.strip() for value in fields)
        if any(made):
            header_read = True
            yield Line(number - len(taken) + 1, "\n".join(taken), made)


def decoded(raw: bytes, file: str) -> str:
    """The text of UTF-8 bytes, or an error that names the line and column of the first byte that is not."""

    def place(position: int) -> str:
        before = re.split(rb"\r\n|\n|\r", raw[:position])
        return f"{file}:{len(before)}:{len(before[-1].decode('utf-8', 'replace')) + 1}"

    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{file}:1:1: the file is UTF-16; save it as CSV in UTF-8")
    if b"\0" in raw:
        raise DataError(
            f"{place(raw.index(0))}: a zero byte: this is not a text file; save it as CSV in UTF-8"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        latin = f' (in Latin-1 it would be "{bytes([byte]).decode("latin-1")}")' if byte >= 0xA0 else ""
        raise DataError(
            f"{place(error.start)}: byte 0x{byte:02X} is not UTF-8{latin}; save the file as UTF-8"
        ) from None


def _separator(text: str, problems: Problems) -> str:
    """The one separator that stands in the header outside quotation marks; a comma where none does."""
    number, header = next(
        ((number, line) for number, line in enumerate(_split(text), 1) if not _says_nothing(line)), (1, "")
    )
    bare = re.sub(r'"[^"]*"', "", header)
    found = [separator for separator in _SEPARATORS if separator in bare]
    if len(found) > 1:
        said = " and ".join(_SEPARATORS[separator] for separator in found)
        problems.add(number, 1, f"the header has {said}: separate columns by one of them")
        problems.stop_if_any()
    return found[0] if found else ","


def _check_header(header: Line, separator: str, problems: Problems) -> None:
    seen: dict[str, int] = {}
    for i, name in enumerate(header.fields):
        number, at = _start(header, separator, i)
        if not name:
            problems.add(number, at, f"column {i + 1} has no name")
        elif name.lower() in seen:
            problems.add(number, at, f'the column "{name[:40]}" stands twice', name)
        seen.setdefault(name.lower(), i)


def _start(line: Line, separator: str, index: int) -> tuple[int, int]:
    """Where a field begins: its line in the file, and its character there, from 1."""
    at, text = 0, line.text
    for _ in range(index):
        if text[at : at + 1] == '"':
            at += 1
            while at < len(text) and not (text[at] == '"' and text[at + 1 : at + 2] != '"'):
                at += 2 if text[at] == '"' else 1
        at = text.find(separator, at) + 1
    return line.number + text.count("\n", 0, at), at - text.rfind("\n", 0, at)
