"""``pkpd doctor``: what is installed here, and whether it computes what it should."""

from __future__ import annotations

import os
import platform
import warnings
from typing import Any

import typer

from pkpd.cli.terminal import JsonOption, console, plain, print_json, table
from pkpd.core import extras

LIBRARIES = ("numpy", "scipy", "pandas", "llvmlite", "numba", "sympy", "matplotlib")
ALLOWED = 1e-6
"""Relative error of the check, ten times what its tolerance asks of a step."""

CHECK = """model one compartment
time h
parameter CL = 5 [L/h]
parameter V = 50 [L]
state A [mg]
d A = -CL/V*A
route iv -> A
output C = A/V [mg/L]
"""


def doctor(json: JsonOption = False) -> None:
    """Say what is installed and where compiled code is kept, and check a solve against its closed form.

    [dim]Examples[/]

      pkpd doctor
      pkpd doctor --json

    The exit code is 0 if all is well and 1 if not. What is printed belongs into a bug report.
    """
    found = _examine()
    if json:
        print_json(found)
    else:
        _print(found)
    if found["problems"]:
        raise typer.Exit(1)


def _examine() -> dict[str, Any]:
    from pkpd import __version__
    from pkpd.ode import processor

    compiler, check = _compiler(), _check()
    cache = _cache()  # with what the check has left there
    problems = dict.fromkeys(part["problem"] for part in (compiler, cache, check) if part["problem"])
    return {
        "pkpd": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "libraries": {name: extras.version(name) for name in LIBRARIES},
        "compiler": compiler,
        "processor": processor.target()[0],
        "lanes": processor.width(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cache": cache,
        "extras": _extras(),
        "check": check,
        "problems": list(problems),
    }


def _compiler() -> dict[str, Any]:
    """Its name, or what is wrong with that of the environment."""
    from pkpd.ode.compile import compilers

    try:
        return {"name": compilers.compiler(), "problem": ""}
    except ValueError as error:
        return {"name": None, "problem": str(error)}


def _cache() -> dict[str, Any]:
    """The folder, its size in bytes, and what is wrong with it ("" if nothing)."""
    from pkpd.solver.kernel import cache_folder

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        folder = cache_folder()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"folder": str(folder), "bytes": size, "problem": "; ".join(str(one.message) for one in caught)}


def _extras() -> dict[str, list[str]]:
    """Packages that are missing, by extra."""
    return {
        extra: [package for package in packages if extras.version(package) is None]
        for extra, packages in extras.packages().items()
    }


def _check() -> dict[str, Any]:
    """A solve of one compartment against its closed form, ``dose/V exp(-CL/V t)``."""
    import numpy as np

    from pkpd.core.errors import PkpdError
    from pkpd.model.check import read_model
    from pkpd.simulation.profile import simulate

    times = np.linspace(0.0, 24.0, 25)
    try:
        profile = simulate(read_model(CHECK), "100 mg iv once", times=times, rtol=1e-8)
    except (PkpdError, OSError, ImportError) as error:
        return {"error": None, "problem": str(error)}
    expected = 100.0 / 50.0 * np.exp(-5.0 / 50.0 * times)
    off = float(np.abs(profile.outputs[0, :, 0] / expected - 1.0)[1:].max())
    wrong = "" if off <= ALLOWED else f"the check is wrong by {off:.1e}, at most {ALLOWED:.0e} is right"
    return {"error": off, "problem": wrong}


def _print(found: dict[str, Any]) -> None:
    cache, check = found["cache"], found["check"]
    rows = table("what", "here")
    libraries = ", ".join(f"{name} {version or 'missing'}" for name, version in found["libraries"].items())
    for what, here in (
        ("pkpd", found["pkpd"]),
        ("Python", found["python"]),
        ("libraries", libraries),
        (
            "compiler",
            f"{found['compiler']['name'] or 'none'}, for {found['processor']}, {found['lanes']} lanes",
        ),
        ("cores", str(found["cores"])),
        ("cache", f"{cache['folder']}, {cache['bytes'] / 1e6:.1f} MB"),
        *((f"extra {name}", _of_extra(name, lacking)) for name, lacking in found["extras"].items()),
        ("check", "failed" if check["problem"] else f"right to {check['error']:.0e}"),
    ):
        rows.add_row(what, plain(here))
    out = console()
    out.print(rows)
    for problem in found["problems"]:
        out.print(plain(f"problem: {problem}"))
    if not found["problems"]:
        out.print("all is well")


def _of_extra(name: str, lacking: list[str]) -> str:
    return f"lacks {', '.join(lacking)}: {extras.how_to_install(name)}" if lacking else "installed"
