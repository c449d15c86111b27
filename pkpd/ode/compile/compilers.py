"""The two compilers behind one function, and which of them is at work.

``numba`` is numba's front end, ``direct`` a small compiler of this package for the same part of Python. Both
make LLVM's instructions of one source, ``native.py`` makes machine code of them in one way and keeps it, and
what is computed is the same bit for bit: tests/ode/test_compilers.py.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pkpd.ode.compile.source import Source

COMPILERS = ("direct", "numba")
DEFAULT = "direct"  # docs/architecture.md says why, with figures
VARIABLE = "PKPD_COMPILER"

_wanted: str | None = None


def choose(name: str | None) -> None:
    """Compile with this one from now on; None: with what the environment says. ``ValueError`` for another
    name."""
    global _wanted
    _wanted = None if name is None else _checked(name, "set_compiler")


def compiler() -> str:
    """The name of the compiler at work."""
    return _wanted or _checked(os.environ.get(VARIABLE) or DEFAULT, VARIABLE)


def _checked(name: str, where: str) -> str:
    if name not in COMPILERS:
        raise ValueError(f"{where}: there is no compiler {name!r}; there are {' and '.join(COMPILERS)}")
    return name


def version() -> str:
    """What machine code depends on besides its source and LLVM; numba is not imported for it."""
    return f"numba {_numba_version()}" if compiler() == "numba" else compiler()


@cache
def _numba_version() -> str:
    found = importlib.util.find_spec("numba")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            "numba is not installed: install it, or compile with PKPD_COMPILER=direct", name="numba"
        )
    text = Path(found.origin).with_name("_version.py").read_text(encoding="utf-8")
    stated = re.search(r'"version": "([^"]+)"', text)
    return stated[1] if stated else text


def module(symbol: str, function: Source, signature: Sequence[str | None], contract: bool = False) -> str:
    """The text of an LLVM module with ``function`` as a C function of the name ``symbol``.

    signature : the type of the result, then those of the arguments, as named in call.py; contract : whether a
        product and a sum may be rounded once.
    """
    if compiler() == "numba":
        from pkpd.ode.compile import by_numba

        return by_numba.module(symbol, function, signature, contract)
    from pkpd.ode.compile import direct

    return direct.module(symbol, function, signature, contract)
