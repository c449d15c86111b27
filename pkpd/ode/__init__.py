"""The ode package: numerical code on arrays, compiled by LLVM; it knows no models, doses or units.

``pkpd.ode.from_numba`` makes a kernel of a user's functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pkpd.ode.functions import from_numba as from_numba

__all__ = ["from_numba"]


def __getattr__(name: str) -> Any:
    if name == "from_numba":
        from pkpd.ode.functions import from_numba

        return from_numba
    raise AttributeError(f"module 'pkpd.ode' has no attribute {name!r}")
