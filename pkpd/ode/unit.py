"""Units of compiled code: C functions over pointers, compiled when first asked for and kept on disk.

A unit's cache entry is valid for the contents of every file of this package, so that changing an inner function or upgrading the package
can never leave stale machine code behind (numba's own rule looks at one file's time stamp); numba adds its version and the processor to
the key. The entries live below the directory given to ``use_cache``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import sigutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.ccallback import CFunc

_directory = Path(tempfile.gettempdir()) / f"pkpd-ode-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def use_cache(directory: str | os.PathLike[str]) -> None:
    """Keep compiled units below this directory from now on."""
    global _directory
    _directory = Path(directory)


@cache
def sources_hash() -> str:
    """Hash of the contents of all source files of this package."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Places cache files below the chosen directory and stamps them with the hash of all sources."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._py_file = py_file

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator | None:
        self = cls(py_func, py_file)
        try:
            self.ensure_cache_path()
        except OSError:
            return None
        return self

    def get_cache_path(self) -> str:
        return str(_directory / f"ode_{sources_hash()[:16]}")

    def get_source_stamp(self) -> str:
        return sources_hash()

    def get_disambiguator(self) -> str:
        return "unit"


class _CacheImplementation(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]


class _Cache(FunctionCache):  # type: ignore[misc]
    _impl_class = _CacheImplementation


UNITS: dict[str, tuple[Callable[..., Any], Any]] = {}
_compiled: dict[str, CFunc] = {}


def unit(name: str, signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a function as a unit of this name; nothing is compiled yet."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        UNITS[name] = (function, signature)
        return function

    return declare


def address(name: str) -> int:
    """Address of a unit, compiled or loaded from the cache on the first call."""
    if name not in _compiled:
        function, signature = UNITS[name]
        compiled = CFunc(function, sigutils.normalize_signature(signature), locals={}, options={"error_model": "numpy"})
        try:
            compiled._cache = _Cache(function)
        except RuntimeError:  # no place to write: compile for this process only
            pass
        compiled.compile()
        _compiled[name] = compiled
    return int(_compiled[name].address)
