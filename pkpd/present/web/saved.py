"""The state of the page as a file, which ``pkpd explore state.json`` opens again: what is compared, in whom,
and what is shown; of a fit, a file of endpoints and draws the names, for where they lie is another matter on
another machine.

What is wrong with a file is told with its line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pkpd.core import library
from pkpd.core.errors import DataError
from pkpd.core.files import to_json
from pkpd.core.names import question_and_list

MARK, VERSION = "state of pkpd explore", 1
NAMES = ("fit", "endpoints", "posterior")
SHARED = ("schedules", "bsa", "responders", "subjects", "days", "show")
KEYS = ("what", "version", *NAMES, *SHARED, "page")
MOST_BYTES, MOST_FIELDS, MOST_CHARACTERS, MOST_OF_NAMES = 100_000, 100, 4000, 400
"""Of a file; of the page's own fields, and of each; of a name."""


@dataclass(frozen=True)
class SavedState:
    """A file as it was read.

    names : of the fit, of the file of endpoints and of the draws, None for none. shared : what all views
        share, as a request has it; not checked against the fit yet. page : the page's own fields.
    """

    file: str
    text: str
    names: Mapping[str, str | None]
    shared: Mapping[str, Any]
    page: Mapping[str, str]

    def error(self, key: str, sentence: str, index: int | None = None) -> DataError:
        """What is wrong with a value, with the line that it stands in."""
        return DataError(f"{self.file}:{_line(self.text, key, index)}: {sentence}")

    def check_names(self, given: Mapping[str, str | os.PathLike[str] | None]) -> str | None:
        """Which fit is meant. Raises ``DataError`` where what is ``given`` (paths, by names of options) is
        not what the state was saved with, or is missing."""
        for key in NAMES:
            option, saved = f"--{key}", self.names[key]
            path = given[key]
            found = None if path is None else called(path)
            if found == saved or (key == "fit" and found is None and comes_with_pkpd(saved or "")):
                continue
            if saved is None:
                raise self.error(key, f"it was saved without {option}: leave {option} out")
            if found is None:
                raise self.error(key, f'it was saved with {option} "{saved}": give its path, {option} PATH')
            raise self.error(key, f'it was saved with {option} "{saved}", which "{path}" is not')
        return os.fspath(given["fit"] or self.names["fit"] or "") or None


def state_text(names: Mapping[str, str | None], shared: Mapping[str, Any], page: Mapping[str, str]) -> str:
    """The content of a file."""
    return to_json({"what": MARK, "version": VERSION, **names, **shared, "page": page}) + "\n"


def read_state(path: str | os.PathLike[str]) -> SavedState:
    """Read a file of ``state_text``.

    Raises ``DataError``, with file and line, for anything else.
    """
    file = os.fspath(path)
    try:
        raw = Path(path).read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{file} is not UTF-8 text{_OTHERWISE}") from None
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file}:{error.lineno}:{error.colno}: this is no JSON: {error.msg}{_OTHERWISE}"
        ) from None
    except RecursionError:
        raise DataError(f"{file}:1: this is nested too deeply{_OTHERWISE}") from None
    if not isinstance(values, dict) or values.get("what") != MARK or len(raw) > MOST_BYTES:
        raise DataError(f'{file}:1: this is no "{MARK}"{_OTHERWISE}')
    state = SavedState(file, text, {}, {}, {})
    if values.get("version") != VERSION:
        newer = f"this pkpd reads version {VERSION}: it was saved by another one"
        raise state.error("version", newer)
    for key in values:
        if key not in KEYS:
            raise state.error(key, f'there is no "{key[:40]}"; {question_and_list(key, KEYS)}')
    for key in KEYS:
        if key not in values:
            raise DataError(f'{file}:1: it lacks "{key}"{_OTHERWISE}')
    names = {key: values[key] for key in NAMES}
    for key, name in names.items():
        if not (name is None or (isinstance(name, str) and 0 < len(name) <= MOST_OF_NAMES)):
            raise state.error(key, f"{key} is a name, or null for none")
    page = values["page"]
    if not isinstance(page, dict) or not are_fields(page):
        raise state.error("page", '"page" holds the page\'s own fields, as texts')
    shared = {key: values[key] for key in SHARED}
    return SavedState(file, text, names, shared, page)


def are_fields(page: Mapping[Any, Any]) -> bool:
    """Whether these can be the page's own fields: what its link says beside what all views share."""
    return len(page) <= MOST_FIELDS and all(
        re.fullmatch(r"[\w.-]{1,80}", str(key)) and isinstance(text, str) and len(text) <= MOST_CHARACTERS
        for key, text in page.items()
    )


_OTHERWISE = '; a state is saved on the page of pkpd explore, by "Save"'


def called(path: str | os.PathLike[str]) -> str:
    """What a fit or a file is called in a state."""
    path = os.fspath(path)
    return path if path in (*library.fits(), *library.models()) else Path(path).absolute().name


def comes_with_pkpd(name: str) -> bool:
    """Whether a fit of this name is on every machine."""
    return name in (*library.fits(), *library.models())


def _line(text: str, key: str, index: int | None) -> int:
    """In which a value of the outermost object stands, or the item of that number in it."""
    places, decoder = {}, json.JSONDecoder()
    at = _next(text, text.index("{") + 1)
    while text[at] == '"':
        name, at = decoder.raw_decode(text, at)
        at = _next(text, at)
        places[name] = at
        at = _next(text, decoder.raw_decode(text, at)[1])
    at = places.get(key, 0)
    if index is not None and text[at] == "[":
        at = _next(text, at + 1)
        for _ in range(index):
            at = _next(text, decoder.raw_decode(text, at)[1])
    return text.count("\n", 0, at) + 1


def _next(text: str, at: int) -> int:
    """Where the next value or name begins: behind white space, commas and colons."""
    while text[at] in " \t\r\n,:":
        at += 1
    return at
