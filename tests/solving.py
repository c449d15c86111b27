"""A model's text or name, a schedule and times -> Solution: for tests of the integrator."""

import functools
from pathlib import Path

import numpy as np

from pkpd.dosing import EventTable, Schedule
from pkpd.model.check import read_model
from pkpd.ode import layout
from pkpd.simulation.profile import typical_values
from pkpd.solver import Options, Solution, solve
from pkpd.solver.kernel import Kernel, load
from pkpd.solver.options import HOW

METHODS = layout.METHODS
SINGLE = (*layout.EXPLICIT_METHODS, *layout.STIFF_METHODS)  # without "auto", which is two of them

WITHOUT_POWERS = str(Path(__file__).parent / "reference" / "low_dose_il2_then" / "il2_treg_then.model")
"""A model as large and stiff as il2_treg whose rates have no power, exp or log: in lanes the last digits of
these are others."""


@functools.cache
def kernel(model: str) -> Kernel:
    """The kernel of a model's text, or of a name in the library."""
    return load(read_model(model, "test.model") if "\n" in model else model)


def events(k: Kernel, schedule: str = "none") -> EventTable:
    """The event table of a schedule for a kernel."""
    return Schedule.parse(schedule).events(k.TIME_UNIT, k.ROUTES, k.DOSE_UNITS, k.SIZES)


def table(k: Kernel, *doses: tuple) -> EventTable:
    """An event table from (time, amount, route name[, duration[, covariate]]) in the model's units."""
    rows = sorted(
        ((*dose, 0.0, None)[:5] if len(dose) == 3 else (*dose, None)[:5] for dose in doses),
        key=lambda row: row[0],
    )
    return EventTable(
        time=[row[0] for row in rows],
        amount=[row[1] for row in rows],
        route=[k.ROUTES.index(row[2]) for row in rows],
        duration=[row[3] for row in rows],
        size=[-1 if row[4] is None else k.PARAMETERS.index(row[4]) for row in rows],
    )


def solve_with(kernel, parameters, events, times=None, **arguments) -> Solution:
    """``solve`` with what and how in one: those of ``Options`` become one."""
    how = {name: arguments.pop(name) for name in HOW if name in arguments}
    return solve(kernel, parameters, events, times, options=Options(**how), **arguments)


def run(model, times, doses="none", parameters=None, **options) -> Solution:
    """Solve and check; doses: a schedule or an event table; states are kept."""
    k = model if isinstance(model, Kernel) else kernel(model)
    doses = events(k, doses) if isinstance(doses, str) else doses
    return solve_with(k, typical_values(k, parameters), doses, times, keep_states=True, **options).check()


def relative(found, expected):
    """Largest difference in units of the largest expected value (over all but the last axis)."""
    scale = np.abs(expected).reshape(-1, np.shape(expected)[-1]).max(axis=0)
    return float(np.max(np.abs(found - expected) / np.where(scale == 0.0, 1.0, scale)))
