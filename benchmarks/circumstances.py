"""Everything about a run that is not a result: the machine, the processor that code is compiled for,
versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import pkpd
from pkpd.bench import clock
from pkpd.bench.peers import installed
from pkpd.ode import processor as compiled_for
from pkpd.ode.layout import LANES

ROOT = Path(__file__).parents[1]
PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "sympy")
SAME = ("processor", "cores", "target", "python", "versions", "peers", "quick")
"""What pieces of one run have in common."""
INSTRUCTIONS = ("AVX-512", "AVX2", "SSE2", "NEON")
"""Of vectors, from the widest to the narrowest."""
LEVELS = {"x86-64-v3": "+avx2", "x86-64-v4": "+avx512f"}
"""Of PKPD_PROCESSOR -> features that tell the instructions."""


def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def memory_gb() -> float | None:
    """Memory of the machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return None


def restrict() -> None:
    """Peers that are compiled here get no instructions that ours may not use; before numba is imported.

    Without features numba would add all that this processor has to the processor that it is told.
    """
    level = compiled_for.level()
    if not level:
        return
    os.environ |= {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": ""}
    if level == "x86-64-v3":
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa=AVX2".strip()


def target() -> dict[str, Any]:
    """The processor that our code is compiled for, as LLVM calls it, its instructions for vectors, and
    how many subjects stand side by side."""
    name, features = compiled_for.target()
    return {"name": name, "instructions": instructions(features or LEVELS.get(name, "")), "lanes": LANES}


def instructions(features: str) -> str:
    """The widest vectors among LLVM's features, ``"+avx2,-avx512f"``."""
    has = set(features.split(","))
    if "+avx512f" in has:
        return "AVX-512"
    if "+avx2" in has:
        return "AVX2"
    return "NEON" if "+neon" in has else "SSE2"


def commit() -> str:
    """The last commit that touched what integrates, "" outside a repository."""
    command = [
        "git",
        "log",
        "-1",
        "--no-merges",
        "--format=%h",
        "--",
        *(f"pkpd/{room}" for room in ("model", "ode", "solver")),
    ]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def circumstances(quick: bool) -> dict[str, Any]:
    """What ``SAME`` names, and what is true of one run only."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "target": target(),
        "memory_gb": memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"pkpd": pkpd.__version__}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "peers": installed(),
        "quick": quick,
        "yardstick_s": clock.yardstick(),
    }


def occasion(piece: str) -> dict[str, Any]:
    """When a piece of a run was begun, of which commit, and how busy the machine was."""
    return {
        "piece": piece,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
