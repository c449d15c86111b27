"""Modules and arguments that had another name before: who uses an old one is told the new one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

ROOMS = {
    "adaptive": "pkpd.decision.adaptive",
    "arguments": "pkpd.core.arguments",
    "cohort": "pkpd.simulation.cohort",
    "compare": "pkpd.decision.comparison",
    "data": "pkpd.inference.summary.reading",
    "domain": "pkpd.decision.domain",
    "endpoints": "pkpd.decision.endpoints",
    "errors": "pkpd.core.errors",
    "files": "pkpd.core.files",
    "fit": "pkpd.inference",
    "inference.summary.data": "pkpd.inference.summary.reading",
    "kernel": "pkpd.solver.kernel",
    "library": "pkpd.core.library",
    "likelihood": "pkpd.inference.summary.likelihood",
    "optimise": "pkpd.decision.optimisation",
    "plot": "pkpd.present.plot",
    "population": "pkpd.inference.population",
    "predict": "pkpd.inference.prediction",
    "report": "pkpd.present.report",
    "simulate": "pkpd.simulation.profile",
    "solve": "pkpd.solver",
    "symbolic": "pkpd.model",
    "tolerability": "pkpd.treg.tolerability",
    "units": "pkpd.core.units",
    "web": "pkpd.present.web",
}

ARGUMENTS = {
    "compare_fits": {"jobs": "threads"},
    "Timeline": {"covariates": "changes"},
    "endpoints": {"file": "path"},
    "fit": {"jobs": "threads", "start": "begin_from"},
    "Scene.arms": {"places": "files"},
    "likelihood_profiles": {"parameters": "names"},
    "predict": {"jobs": "threads"},
    "simulate_records": {"covariates": "interpolation"},
    "solve": {"covariates": "changes", "parameters": "values", "ranks": "places"},
    "validate": {"jobs": "threads"},
    "write_report": {"jobs": "threads"},
}
"""Of functions: the old names of their arguments, and the new ones."""


def check_arguments(function: str, given: Iterable[str]) -> None:
    """Raise ``TypeError`` for an argument that is given by its old name."""
    known = ARGUMENTS.get(function, {})
    for name in given:
        if name in known:
            raise TypeError(f"{function}() takes {known[name]}, which was called {name} before")


def sentence(name: str) -> str:
    """What to say to who asks for ``pkpd.{old}`` or something inside it; "" where that has not moved."""
    for old, new in ROOMS.items():
        if f"{name}.".startswith(f"pkpd.{old}."):
            return f"{name} has moved: it is in {new} now"
    return ""


class _Finder:
    """A finder of modules (``sys.meta_path``), asked last, after all that exist have been looked for."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if said := sentence(name):
            # without its name: else Python says for itself what ``from pkpd import ...`` did not find
            raise ModuleNotFoundError(said)


def announce() -> None:
    """From now on, imports of old names are answered with a sentence."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
