"""The processor for which code is compiled: this one, or what every processor of a level has.

``PKPD_PROCESSOR=x86-64-v3`` compiles for any processor with AVX2 (the levels are those of the x86-64 psABI,
https://gitlab.com/x86-psABIs/x86-64-ABI), on which the same instructions run everywhere that the level is
had. It decides how many doubles stand side by side in a vector. What is computed does not depend on it, bit
for bit: tests/ode/test_processor.py.

Nothing here imports llvmlite before a target is asked for.
"""

from __future__ import annotations

import importlib
import os
import platform
from functools import cache

VARIABLE = "PKPD_PROCESSOR"
LEVELS = {"x86-64": 4, "x86-64-v2": 4, "x86-64-v3": 8, "x86-64-v4": 8}
"""Lanes by level: two registers of 2, two of 4, and one of 8 or two of 4, as LLVM likes for the processor."""


PACK = 2
"""Doubles of a vector of one subject's states: longer ones wait for the single numbers they are made of."""


@cache
def level() -> str:
    """The level that the environment asks for; "" for this very processor. ``ValueError`` for one that there
    is not, or that this processor has not: its code would end the process."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted and wanted not in LEVELS:
        raise ValueError(f"{VARIABLE}: there is no level {wanted!r}; there are {', '.join(LEVELS)}")
    if wanted and not _runs(wanted):
        raise ValueError(f"{VARIABLE}: this processor runs no code that is compiled for {wanted}")
    return wanted


def _runs(wanted: str) -> bool:
    """Whether this processor has the instructions of a level."""
    needed = {"x86-64-v3": ("AVX2", "X86_V3"), "x86-64-v4": ("AVX512_SKX", "X86_V4")}
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    return wanted not in needed or _has(*needed[wanted])


@cache
def width() -> int:
    """Lanes: 8 with AVX-512 or AVX2, 4 with NEON, SSE2 or what is not known; two registers, so that one is
    computed with while the other waits (docs/architecture.md has what was measured)."""
    return LEVELS[level()] if level() else 8 if _has("AVX2", "X86_V3") else 4


@cache
def fused() -> bool:
    """Whether the processor multiplies and adds in one."""
    if level():
        return level() in ("x86-64-v3", "x86-64-v4")
    return _has("FMA3", "X86_V3") or platform.machine().lower() in ("aarch64", "arm64")


def _has(*features: str) -> bool:
    """Whether numpy, which is imported anyway, found one of these: LLVM would have to be loaded."""
    found = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
    return any(found.get(feature) for feature in features)


@cache
def target() -> tuple[str, str]:
    """The processor's name and features, as LLVM calls them."""
    import llvmlite.binding as llvm

    if level():
        return level(), ""
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
