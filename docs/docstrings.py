"""Docstrings of this package as numpydoc has them: here a name and what it is stand in one line, "fit : a
name or a path", where numpydoc reads a type."""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(
    r"(^(?:Parameters|Attributes|Returns|Raises)\n-+\n)(.*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL
)


def as_numpydoc(text: str) -> str:
    """Each "name : words" of these sections on two lines; a section that says "Nothing." is left out."""

    def told(match: re.Match[str]) -> str:
        if match[2].strip() == "Nothing.":
            return ""
        return match[1] + re.sub(r"^(\S[^:\n]*?) : ", r"\1\n    ", match[2], flags=re.MULTILINE)

    return SECTION.sub(told, text)


class Docstrings(griffe.Extension):
    """Reads every docstring so."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_numpydoc(obj.docstring.value)
