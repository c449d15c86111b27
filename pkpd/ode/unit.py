"""Units of the integrator: C functions over pointers, each compiled when first asked for and kept on disk (``native.py``).

The key of a unit is the contents of every file of this package, so that changing an inner function or upgrading the package never leaves stale machine
code behind. Declaring and calling units does not import numba.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from . import native

HOME = {
    "explicit": ("explicit", "advance_explicit"),
    "rosenbrock": ("rosenbrock", "advance_rosenbrock"),
    "rest": ("steady", "rest"),
    "subjects": ("integrate", "subjects"),
    "explicit_tangent": ("tangent", "explicit_tangent"),
    "rosenbrock_tangent": ("tangent", "rosenbrock_tangent"),
    "emit_tangent": ("tangent", "emit_tangent"),
    "initial_tangent": ("tangent", "initial_tangent"),
    "event_tangent": ("tangent", "event_tangent"),
}


@cache
def sources_hash() -> str:
    """Hash of the contents of all source files of this package."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _key(name: str) -> str:
    return f"{name} {sources_hash()}"


_helpers: dict[str, subprocess.Popen[bytes]] = {}


def prefetch(folder: str | os.PathLike[str], names: tuple[str, ...] = ("rosenbrock", "subjects")) -> None:
    """Have units that are not on disk compiled by a second process, while this one does something else.

    Compilation holds the interpreter, so that only a process makes use of another core. ``address`` waits for it; if it fails, or on one core, the unit
    is compiled here as if nothing had been said.
    """
    names = tuple(
        name
        for name in names
        if name not in _helpers and not native.file(folder, f"ode_{name}", _key(name)).exists()
    )
    if names and (os.cpu_count() or 1) > 1 and sys.executable:
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__package__} import unit; [unit.address(n, {os.fspath(folder)!r}) for n in {names!r}]"
        try:
            helper = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError:
            return
        _helpers.update(dict.fromkeys(names, helper))


@cache
def address(name: str, folder: str | os.PathLike[str]) -> int:
    """Address of a unit, compiled or loaded from below folder on the first call."""

    def build() -> tuple[Callable[..., Any], Any]:
        module, function = HOME[name]
        found = getattr(importlib.import_module(f"{__package__}.{module}"), function)
        return found, found.signature

    if name in _helpers:
        _helpers[name].wait()
    return native.address(folder, f"ode_{name}", _key(name), build)
