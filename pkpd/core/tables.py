"""CSV files as lines of fields that know their place: encoding, separator, quotation marks, and a list of
what is wrong.

Nothing is guessed but the separator, and that from the header alone: it is the one of comma, semicolon and
tab that stands there. One line is one record. Lines that begin with # are comments, as in NM-TRAN; blank
lines say nothing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pkpd.core.errors import DataError

MAX_BYTES = 100_000_000
MAX_SHOWN = 10  # problems that are listed; the rest is counted
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MAX_LINE = 100_000  # characters; csv has a limit of its own above it


@dataclass(frozen=True, slots=True)
class Line:
    """One record: its number in the file, from 1, its text, and its fields without the space around them."""

    number: int
    text: str
    fields: tuple[str, ...]


@dataclass
class Problems:
    """What is wrong with a file, so that one error tells all of it."""

    file: str
    found: dict[tuple[int, int], str] = field(default_factory=dict)
    count: int = 0

    def add(self, line: int, column: int, reason: str, name: str = "") -> None:
        """``column`` counts characters from 1; ``name`` is that of the column of the table."""
        if (line, column) in self.found:
            return
        self.count += 1
        if len(self.found) < 1000:  # a large file may be wrong in every line
            named = f" ({name[:40]})" if name else ""
            self.found[line, column] = f"{self.file}:{line}:{column}{named}: {reason}"

    def stop_if_any(self) -> None:
        """Raise a ``DataError`` with the first problems in the order of the file and the number of all."""
        if not self.found:
            return
        texts = [text for _, text in sorted(self.found.items())]
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

    def wrong(self, line: Line, column: int, reason: str) -> None:
        """Note that the field in ``column`` (an index; -1: the whole line) of a line is wrong."""
        if column < 0:
            self.problems.add(line.number, 1, reason)
        else:
            self.problems.add(
                line.number, _start(line.text, self.separator, column), reason, self.names[column]
            )


def read_table(path: str | Path) -> CsvTable:
    """Read a CSV file.

    Accepts a byte-order mark, LF or CRLF, commas, semicolons or tabs, quoted fields.

    Raises:
        DataError: no such file, or one that is no such table; lines with the wrong number of fields are left
            in ``Table.problems``.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if size > MAX_BYTES:
        raise _too_large(str(path), size)
    return parse_table(content, str(path))


def parse_table(content: bytes | str, file: str = "<records>") -> CsvTable:
    """As ``read_table``, from the content of a file."""
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(raw) > MAX_BYTES:
        raise _too_large(file, len(raw))
    text = _decoded(raw, file)
    problems = Problems(file)
    header: Line | None = None
    separator = ","
    lines: list[Line] = []
    for number, line in enumerate(_split(text), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if len(line) > _MAX_LINE:
            problems.add(number, 1, f"a line of {len(line)} characters; a record is far shorter")
            continue
        if header is None:
            separator = _separator(line, number, problems)
            problems.stop_if_any()
        try:
            fields = next(csv.reader([line], delimiter=separator, strict=True))
        except csv.Error as error:
            problems.add(number, 1, f"{error}; is a quotation mark missing?")
            if header is None:
                break
            continue
        made = Line(number, line, tuple(value.strip() for value in fields))
        if header is None:
            header = made
            _check_header(header, separator, problems)
            problems.stop_if_any()
        elif len(fields) != len(header.fields):
            decimals = " (a number with a decimal comma counts as two)" * (
                separator == "," and len(fields) > len(header.fields)
            )
            problems.add(
                number, 1, f"{len(fields)} fields where the header has {len(header.fields)}{decimals}"
            )
        else:
            lines.append(made)
    if header is None:
        problems.stop_if_any()
        raise DataError(f"{file} is empty; its first line must name the columns, such as ID,TIME,AMT,DV")
    return CsvTable(header.fields, header, tuple(lines), separator, problems)


def _too_large(file: str, size: int) -> DataError:
    return DataError(f"{file}: {size / 1e6:.0f} MB; at most {MAX_BYTES // 10**6} MB are read")


def _split(text: str) -> Iterator[str]:
    return iter(re.split(r"\r\n|\n|\r", text))


def _decoded(raw: bytes, file: str) -> str:
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


def _separator(header: str, number: int, problems: Problems) -> str:
    """The one separator that stands in the header outside quotation marks."""
    bare = re.sub(r'"[^"]*"', "", header)
    found = [separator for separator in _SEPARATORS if separator in bare]
    if len(found) == 1:
        return found[0]
    if found:
        said = " and ".join(_SEPARATORS[separator] for separator in found)
        problems.add(number, 1, f"the header has {said}: separate columns by one of them")
    else:
        problems.add(
            number, 1, "the header names one column only: separate columns by commas, semicolons or tabs"
        )
    return ","


def _check_header(header: Line, separator: str, problems: Problems) -> None:
    seen: dict[str, int] = {}
    for i, name in enumerate(header.fields):
        at = _start(header.text, separator, i)
        if not name:
            problems.add(header.number, at, f"column {i + 1} has no name")
        elif name.lower() in seen:
            problems.add(header.number, at, f'the column "{name[:40]}" stands twice')
        seen.setdefault(name.lower(), i)


def _start(text: str, separator: str, index: int) -> int:
    """Where a field begins: a character from 1."""
    at = 0
    for _ in range(index):
        if text[at : at + 1] == '"':
            at += 1
            while at < len(text) and not (text[at] == '"' and text[at + 1 : at + 2] != '"'):
                at += 2 if text[at] == '"' else 1
        at = text.find(separator, at) + 1
    return at + 1
