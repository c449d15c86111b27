"""Pharmacokinetic and pharmacodynamic models: written as text, compiled, simulated, fitted to published summaries.

    import pkpd

    profile = pkpd.simulate("one_compartment_iv", "100 mg iv every 12 h x6", times=range(73))
    profile.to_frame()

Every name below is loaded when it is first used: ``import pkpd`` itself costs a few milliseconds.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pkpd.cohort import simulate_records as simulate_records
    from pkpd.compare import Scene as Scene
    from pkpd.compare import compare as compare
    from pkpd.dosing import Schedule as Schedule
    from pkpd.errors import ConvergenceError as ConvergenceError
    from pkpd.errors import InputError as InputError
    from pkpd.errors import PkpdError as PkpdError
    from pkpd.errors import SolverError as SolverError
    from pkpd.fit import fit as fit
    from pkpd.kernel import load as load
    from pkpd.library import fits as fits
    from pkpd.library import models as models
    from pkpd.report import write_report as write_report
    from pkpd.simulate import simulate as simulate

__version__ = "0.1.0"

_HOME = {
    "ConvergenceError": "pkpd.errors",
    "InputError": "pkpd.errors",
    "PkpdError": "pkpd.errors",
    "Scene": "pkpd.compare",
    "Schedule": "pkpd.dosing",
    "SolverError": "pkpd.errors",
    "compare": "pkpd.compare",
    "fit": "pkpd.fit",
    "fits": "pkpd.library",
    "load": "pkpd.kernel",
    "models": "pkpd.library",
    "simulate": "pkpd.simulate",
    "simulate_records": "pkpd.cohort",
    "write_report": "pkpd.report",
}

__all__ = [
    "ConvergenceError",
    "InputError",
    "PkpdError",
    "Scene",
    "Schedule",
    "SolverError",
    "__version__",
    "compare",
    "fit",
    "fits",
    "load",
    "models",
    "simulate",
    "simulate_records",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pkpd' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps ``pkpd.simulate``, ``pkpd.compare`` and ``pkpd.fit`` the functions of that name.

    The import system sets a submodule as an attribute of its package when it is first loaded, which would put the
    module ``pkpd.simulate`` in the place of the function. ``from pkpd.simulate import Profile`` works as always.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOME and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
