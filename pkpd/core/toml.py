"""TOML files of ours, read strictly: every wrong key is named, with what would be right."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from pkpd.core.errors import DataError
from pkpd.core.names import question_and_list


def read(raw: bytes, path: str | os.PathLike[str]) -> TomlTable:
    """The top of a file. Raises ``DataError`` where it is no TOML in UTF-8, with line and column."""
    try:
        return TomlTable(tomllib.loads(raw.decode("utf-8-sig")), os.fspath(path))
    except UnicodeDecodeError:
        raise DataError(f"{os.fspath(path)} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{os.fspath(path)}: {error}") from None


class TomlTable:
    """A TOML table that knows where it stands and is read strictly."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def keys_within(self, allowed: Sequence[str]) -> None:
        for key in self.values:
            if key not in allowed:
                raise DataError(f'{self.where}: unknown key "{key}"; {question_and_list(key, allowed)}')

    def table(self, key: str) -> TomlTable:
        found = self.values.get(key, {})
        if not isinstance(found, dict):
            raise DataError(f"{self.where}: {key} must be a table, [{key}]")
        return TomlTable(found, f"{self.where}: [{key}]")

    def text(self, key: str, default: str | None = None) -> str:
        found = self.values.get(key, default)
        if not isinstance(found, str) or not (found or default == ""):
            raise DataError(
                f'{self.where}: {key} = "..." is needed'
                if found is None
                else f"{self.where}: {key} must be a text"
            )
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise DataError(f"{self.where}: {key} must be a list of texts")
        return tuple(found)

    def number(self, key: str, default: float, *, low: float = 0.0, high: float = math.inf) -> float:
        found = self.values.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise DataError(f"{self.where}: {key} must be a number")
        if not low <= found <= high:
            raise DataError(f"{self.where}: {key} = {found:g} must lie between {low:g} and {high:g}")
        return float(found)

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        found = self.values.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise DataError(f"{self.where}: {key} must be a whole number between {low} and {high}")
        return found
