"""Standard output and error as any terminal, pipe or disk takes them.

- A character that the encoding does not have is written as another that reads alike (``−`` as ``-``, ``µ`` as
  ``u``).
- A reader that has seen enough (``pkpd models | head -1``) ends the output and nothing else: the command goes
  on, and its exit code says what became of it.
- A disk that is full is said with the name of the stream.
- A terminal that says it has no columns is taken to have the usual ones.
- Warnings are sentences without the line of code that they come from, and none with ``--quiet``.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
import unicodedata
import warnings
from typing import Any

ALIKE = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "—": "-",
        "─": "-",
        "━": "-",
        "│": "|",
        "·": ".",
        "…": "...",
        "×": "x",
        "↑": "^",
        "↓": "v",
        "→": "->",
        "∞": "inf",
        "µ": "u",
        "μ": "u",
        "≤": "<=",
        "≥": ">=",
        "±": "+-",
        "●": "*",
        "◐": "~",
        "○": "o",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "ß": "ss",
        "\ufeff": "",
    }
)
NAMES = {1: "standard output", 2: "standard error"}
FEWEST_COLUMNS = 20  # with fewer nothing can be read


def settle(arguments: list[str]) -> None:
    """Prepare this process's streams and what is written there; ``arguments`` are those of the command
    line."""
    codecs.register_error("pkpd.alike", _alike)
    for number, name in ((1, "stdout"), (2, "stderr")):
        setattr(sys, name, _settled(getattr(sys, name), number))
    columns = os.environ.get("COLUMNS", "").strip()
    if columns.isdigit() and int(columns) < FEWEST_COLUMNS:
        del os.environ["COLUMNS"]
    quiet = any(argument == "--quiet" or re.fullmatch(r"-[a-z]*q[a-z]*", argument) for argument in arguments)

    def show(message: Warning | str, *_: Any) -> None:
        if not quiet:
            print(f"warning: {message}", file=sys.stderr)  # noqa: T201 - one line, however long

    warnings.showwarning = show  # type: ignore[assignment]


def flush() -> None:
    """Write what is still kept back, while a failure can be said."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _alike(error: UnicodeError) -> tuple[str | bytes, int]:
    """The rest of a text in characters that every encoding has; what reads like nothing else as its
    escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = []
    for character in error.object[error.start : error.end]:
        text = character.translate(ALIKE)
        text = unicodedata.normalize("NFKD", text) if text == character else text
        text = "".join(one for one in text if not unicodedata.combining(one))
        shown.append(text if text.isascii() else character.encode("ascii", "backslashreplace").decode())
    return "".join(shown), error.end


class _Descriptor(io.FileIO):
    """A standard stream that outlives its reader, and whose failures bear its name."""

    name: str
    lost = False

    def write(self, data: Any) -> int:
        """As of a file; what nobody reads any more counts as written."""
        if self.lost:
            return len(data)
        try:
            return super().write(data)
        except BrokenPipeError:
            self.lost = True
            return len(data)
        except OSError as error:
            self.lost = True  # what is kept back is not tried again when the process ends
            raise OSError(error.errno, error.strerror, NAMES[self.fileno()]) from None


def _settled(stream: Any, number: int) -> Any:
    """The stream with its own encoding, which nothing stops; one that is not this process's (in a test) keeps
    its place."""
    if stream is None:  # closed by whoever started this process
        return None
    if stream is not getattr(sys, "__stdout__" if number == 1 else "__stderr__"):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="pkpd.alike")
        return stream
    try:
        stream.flush()
        raw = _Descriptor(number, "wb", closefd=False)
    except (OSError, ValueError):  # closed
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="pkpd.alike",
        line_buffering=number == 2 or stream.line_buffering,
    )
