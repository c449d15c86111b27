"""Pharmacokinetic and pharmacodynamic models: written as text, compiled, simulated, fitted to published
summaries.

    import pkpd

    profile = pkpd.simulate("one_compartment_iv", "100 mg iv every 12 h x6", times=range(73))
    profile.to_frame()

Every name below is loaded when it is first used: ``import pkpd`` itself costs a few milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pkpd.core import moved

if TYPE_CHECKING:
    from pkpd.core.errors import ConvergenceError as ConvergenceError
    from pkpd.core.errors import InputError as InputError
    from pkpd.core.errors import PkpdError as PkpdError
    from pkpd.core.errors import SolverError as SolverError
    from pkpd.core.library import fits as fits
    from pkpd.core.library import models as models
    from pkpd.core.library import trials as trials
    from pkpd.decision.comparison import Arm as Arm
    from pkpd.decision.comparison import Comparison as Comparison
    from pkpd.decision.comparison import Scene as Scene
    from pkpd.decision.comparison import compare as compare
    from pkpd.decision.criteria import endpoints as endpoints
    from pkpd.decision.drivers import Drivers as Drivers
    from pkpd.decision.drivers import drivers as drivers
    from pkpd.decision.endpoints import Endpoint as Endpoint
    from pkpd.decision.inverse import dose_for as dose_for
    from pkpd.decision.optimisation import optimise as optimise
    from pkpd.decision.response import DoseResponse as DoseResponse
    from pkpd.decision.response import dose_response as dose_response
    from pkpd.decision.why import Explanation as Explanation
    from pkpd.decision.why import why as why
    from pkpd.dosing import EventTable as EventTable
    from pkpd.dosing import Schedule as Schedule
    from pkpd.inference import FitResult as FitResult
    from pkpd.inference import fit as fit
    from pkpd.inference.bootstrap import bootstrap as bootstrap
    from pkpd.inference.draws import PosteriorDraws as PosteriorDraws
    from pkpd.inference.fit_comparison import FitComparison as FitComparison
    from pkpd.inference.fit_comparison import compare_fits as compare_fits
    from pkpd.inference.individual import Individual as Individual
    from pkpd.inference.individual import individualise as individualise
    from pkpd.inference.leave_out import leave_out as leave_out
    from pkpd.inference.likelihood_profiles import likelihood_profiles as likelihood_profiles
    from pkpd.inference.population import Population as Population
    from pkpd.inference.population import virtual_subjects as virtual_subjects
    from pkpd.inference.posterior_draws import posterior_draws as posterior_draws
    from pkpd.inference.prediction import predict as predict
    from pkpd.inference.validation import Validation as Validation
    from pkpd.inference.validation import validate as validate
    from pkpd.model.check import read_model as read_model
    from pkpd.ode.functions import from_numba as from_numba
    from pkpd.present.report import write_report as write_report
    from pkpd.present.share import save as save
    from pkpd.simulation.cohort import simulate_records as simulate_records
    from pkpd.simulation.occurrence import event_times as event_times
    from pkpd.simulation.profile import Profile as Profile
    from pkpd.simulation.profile import simulate as simulate
    from pkpd.solver import Dask as Dask
    from pkpd.solver import Options as Options
    from pkpd.solver import Processes as Processes
    from pkpd.solver import Solution as Solution
    from pkpd.solver import Solver as Solver
    from pkpd.solver import Threads as Threads
    from pkpd.solver import Timeline as Timeline
    from pkpd.solver import solve as solve
    from pkpd.solver.inside import compiled_solver as compiled_solver
    from pkpd.solver.kernel import Kernel as Kernel
    from pkpd.solver.kernel import load as load
    from pkpd.solver.kernel import set_compiler as set_compiler
    from pkpd.trial import TrialDesign as TrialDesign
    from pkpd.trial import TrialResult as TrialResult
    from pkpd.trial import read_design as read_design
    from pkpd.trial import simulate_trial as simulate_trial

__version__ = "0.1.0"

FIELDS = ("pkpd.treg.field",)
"""Modules of the fields of medicine that come with the package. Each registers its endpoints and defaults
when schedules are first judged (`pkpd.decision.criteria.fields`)."""

_HOME = {
    "Arm": "pkpd.decision.comparison",
    "Comparison": "pkpd.decision.comparison",
    "ConvergenceError": "pkpd.core.errors",
    "DoseResponse": "pkpd.decision.response",
    "Drivers": "pkpd.decision.drivers",
    "Endpoint": "pkpd.decision.endpoints",
    "EventTable": "pkpd.dosing",
    "Explanation": "pkpd.decision.why",
    "FitComparison": "pkpd.inference.fit_comparison",
    "FitResult": "pkpd.inference",
    "Individual": "pkpd.inference.individual",
    "InputError": "pkpd.core.errors",
    "Kernel": "pkpd.solver.kernel",
    "Options": "pkpd.solver",
    "PkpdError": "pkpd.core.errors",
    "Population": "pkpd.inference.population",
    "Dask": "pkpd.solver",
    "PosteriorDraws": "pkpd.inference.draws",
    "Processes": "pkpd.solver",
    "Profile": "pkpd.simulation.profile",
    "Scene": "pkpd.decision.comparison",
    "Schedule": "pkpd.dosing",
    "Solution": "pkpd.solver",
    "Solver": "pkpd.solver",
    "SolverError": "pkpd.core.errors",
    "Threads": "pkpd.solver",
    "Timeline": "pkpd.solver",
    "TrialDesign": "pkpd.trial",
    "TrialResult": "pkpd.trial",
    "Validation": "pkpd.inference.validation",
    "compare": "pkpd.decision.comparison",
    "compare_fits": "pkpd.inference.fit_comparison",
    "compiled_solver": "pkpd.solver.inside",
    "dose_for": "pkpd.decision.inverse",
    "dose_response": "pkpd.decision.response",
    "drivers": "pkpd.decision.drivers",
    "endpoints": "pkpd.decision.criteria",
    "event_times": "pkpd.simulation.occurrence",
    "fit": "pkpd.inference",
    "fits": "pkpd.core.library",
    "from_numba": "pkpd.ode.functions",
    "bootstrap": "pkpd.inference.bootstrap",
    "individualise": "pkpd.inference.individual",
    "leave_out": "pkpd.inference.leave_out",
    "likelihood_profiles": "pkpd.inference.likelihood_profiles",
    "load": "pkpd.solver.kernel",
    "models": "pkpd.core.library",
    "optimise": "pkpd.decision.optimisation",
    "posterior_draws": "pkpd.inference.posterior_draws",
    "predict": "pkpd.inference.prediction",
    "read_design": "pkpd.trial",
    "read_model": "pkpd.model.check",
    "save": "pkpd.present.share",
    "set_compiler": "pkpd.solver.kernel",
    "simulate": "pkpd.simulation.profile",
    "simulate_records": "pkpd.simulation.cohort",
    "simulate_trial": "pkpd.trial",
    "solve": "pkpd.solver",
    "trials": "pkpd.core.library",
    "validate": "pkpd.inference.validation",
    "virtual_subjects": "pkpd.inference.population",
    "why": "pkpd.decision.why",
    "write_report": "pkpd.present.report",
}

__all__ = [
    "Arm",
    "Comparison",
    "ConvergenceError",
    "Dask",
    "DoseResponse",
    "Drivers",
    "Endpoint",
    "EventTable",
    "Explanation",
    "FitComparison",
    "FitResult",
    "Individual",
    "InputError",
    "Kernel",
    "Options",
    "PkpdError",
    "Population",
    "PosteriorDraws",
    "Processes",
    "Profile",
    "Scene",
    "Schedule",
    "Solution",
    "Solver",
    "SolverError",
    "Threads",
    "Timeline",
    "TrialDesign",
    "TrialResult",
    "Validation",
    "__version__",
    "bootstrap",
    "compare",
    "compare_fits",
    "compiled_solver",
    "dose_for",
    "dose_response",
    "drivers",
    "endpoints",
    "event_times",
    "fit",
    "fits",
    "from_numba",
    "individualise",
    "leave_out",
    "likelihood_profiles",
    "load",
    "models",
    "optimise",
    "posterior_draws",
    "predict",
    "read_design",
    "read_model",
    "save",
    "set_compiler",
    "simulate",
    "simulate_records",
    "simulate_trial",
    "solve",
    "trials",
    "validate",
    "virtual_subjects",
    "why",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    if said := moved.sentence(f"pkpd.{name}"):
        raise AttributeError(said)
    raise AttributeError(f"module 'pkpd' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)


moved.announce()
