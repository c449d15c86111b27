"""Units of the integrator: C functions over pointers, each compiled when first asked for and kept on disk
(``native.py``).

The key of a unit is the contents of every file of the integrator, so that changing an inner function or
upgrading the package never leaves stale machine code behind. Compiling one takes some hundredths of a second;
calling it needs llvmlite only to link it.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from pkpd.ode.compile import compilers, native
from pkpd.ode.layout import EXPLICIT_METHODS, STIFF_METHODS

PACKAGE = Path(__file__).resolve().parents[1]

# module and function; a third: the method over whose tables it is (of METHODS in that module)
HOME: dict[str, tuple[str, ...]] = {
    "rest": ("steady", "rest"),
    "subjects": ("integrate", "subjects"),
    "linear": ("linear", "advance_linear"),
    "emit_tangent": ("tangent", "emit_tangent"),
    "initial_tangent": ("tangent", "initial_tangent"),
    "event_tangent": ("tangent", "event_tangent"),
    "observe": ("roots", "observe"),
    "ready": ("readings", "ready"),
    "next_segment": ("readings", "next_segment"),
    "hand_in": ("readings", "hand_in"),
    "arrive": ("readings", "arrive"),
    "leave": ("readings", "leave"),
    "condition_tangent": ("tangent", "condition_tangent"),
    "timers": ("integrate", "timers"),
    "cross": ("integrate", "cross"),
}
for _name in EXPLICIT_METHODS:
    HOME[_name] = ("methods.explicit", "advance_explicit", _name)
    HOME[f"{_name}_tangent"] = ("tangent", "explicit_tangent", _name)
    HOME[f"{_name}_dense_tangent"] = ("tangent", "dense_tangent", _name)
for _name in STIFF_METHODS:
    HOME[_name] = ("methods.rosenbrock", "advance_rosenbrock", _name)
    HOME[f"{_name}_tangent"] = ("tangent", "rosenbrock_tangent", _name)
    for _kind in ("", "_read", "_tape"):
        HOME[f"lanes_{_name}{_kind}"] = ("lanes", "subjects_in_lanes", f"{_name}{_kind}")
    HOME[f"lanes_{_name}_backward"] = ("adjoint", "pull_back", _name)
for _name in (*EXPLICIT_METHODS, *STIFF_METHODS):
    HOME[f"{_name}_roots"] = ("roots", "crossings", _name)
    HOME[f"{_name}_readings"] = ("readings", "read_step", _name)
    HOME[f"{_name}_levels"] = ("readings", "read_at_level", _name)
    HOME[f"{_name}_value"] = ("readings", "value_inside", _name)
    HOME[f"{_name}_slope"] = ("readings", "slope_inside", _name)
    HOME[f"{_name}_turn"] = ("readings", "extreme_tangent", _name)
    HOME[f"{_name}_watch"] = ("watch", "watch", _name)


def function(name: str) -> Any:
    """A unit as Python."""
    module, found, *method = HOME[name]
    home = importlib.import_module(f"pkpd.ode.{module}")
    return getattr(home.METHODS[method[0]] if method else home, found)


@cache
def sources_hash() -> str:
    """Hash of the contents of all source files of the integrator."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(file.relative_to(PACKAGE).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _key(name: str) -> str:
    return f"{name} {sources_hash()}"


@cache
def address(name: str, folder: str | os.PathLike[str]) -> int:
    """Address of a unit, compiled or loaded from below folder on the first call."""

    def build(symbol: str) -> str:
        from pkpd.ode.compile.source import source

        found = function(name)
        return compilers.module(symbol, source(found), found.signature)

    # Where vectors are kept in registers LLVM's passes count: 5 % in lanes, 2 % of sensitivities. The other
    # units spend their time in what they call, and compile five times as fast without.
    level = native.FULL if "lanes" in name or "tangent" in name else native.SIMPLE
    return native.address(folder, f"ode_{name}", _key(name), build, level)
