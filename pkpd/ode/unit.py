"""Units of the integrator: C functions over pointers, each compiled when first asked for and kept on disk (``native.py``).

The key of a unit is the contents of every file of this package, so that changing an inner function or upgrading the package never leaves stale machine
code behind. Compiling one takes some hundredths of a second; calling it needs llvmlite only to link it.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from functools import cache
from pathlib import Path

from . import native

HOME = {
    "explicit": ("explicit", "advance_explicit"),
    "rosenbrock": ("rosenbrock", "advance_rosenbrock"),
    "rest": ("steady", "rest"),
    "subjects": ("integrate", "subjects"),
    "subjects_in_lanes": ("lanes", "subjects_in_lanes"),
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


@cache
def address(name: str, folder: str | os.PathLike[str]) -> int:
    """Address of a unit, compiled or loaded from below folder on the first call."""

    def build(symbol: str) -> str:
        from . import lower

        module, function = HOME[name]
        found = getattr(importlib.import_module(f"{__package__}.{module}"), function)
        return lower.module(symbol, lower.source(found), found.signature)

    return native.address(folder, f"ode_{name}", _key(name), build)
