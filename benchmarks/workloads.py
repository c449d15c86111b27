"""What the guard of instruction counts runs: six solves and one evaluation of a fit, always the same.

``python -m benchmarks.workloads NAME`` runs one twice. Under callgrind with ``--instr-atstart=no`` the second
run is counted, when all is imported, compiled and in memory; without it, it fills the cache of machine code.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import pkpd
from benchmarks.problems import PROBLEMS
from pkpd.dosing import Schedule
from pkpd.inference import read_fit
from pkpd.inference.coordinates import System, in_units
from pkpd.inference.objective import Objective
from pkpd.inference.summary.reading import read_data
from pkpd.simulation.profile import population
from pkpd.solver import Options, solve

Run = Callable[[], Any]


def _solve(name: str, *, method: str = "auto", rtol: float = 1e-6, **how: Any) -> Run:
    """One solve of a problem of problems.py."""
    problem = PROBLEMS[name]
    options = Options(method=method, rtol=rtol, threads=1)
    return partial(solve, problem.kernel, problem.p, problem.events, problem.times, options=options, **how)


def _population() -> Run:
    """64 subjects in lanes, and what is read off their courses."""
    problem = PROBLEMS["il2_treg"]
    readings = [("max", "treg_pct"), ("area", "il2"), ("time_above", "il2", 0.0, 2160.0, 1.0), ("end", "nk")]
    return partial(
        solve,
        problem.kernel,
        population(problem.kernel, 64, seed=1),
        problem.events,
        problem.times[::7],
        options=Options(rtol=1e-4, threads=1),
        readings=readings,
    )


def _infusions() -> Run:
    """A stiff model with infusions, and the times at which its target is half free again."""
    kernel = pkpd.load("tmdd_full")
    events = Schedule.parse("150 mg iv over 2 h every 14 d x3").events_for(kernel)
    options = Options(method="rodas4", threads=1)
    times = np.linspace(0.0, 56.0, 57)
    return partial(solve, kernel, kernel.VALUES, events, times, options=options, roots=[("R", 2.5, 1)])


def _fit() -> Run:
    """Residuals and Jacobian of three studies of the shipped fit, at the centre of its priors."""
    studies = ("Hartemann2013", "Konrad1990", "LILACS")
    spec = read_fit("low_dose_il2")
    system = System.load(spec.main.model)
    known = in_units(read_data(spec.data), system).rows
    rows = [row for row in known if row.use == "fit" and row.study in studies]
    objective = Objective(system, spec.main, rows, options=spec.options, **spec.errors, threads=1)
    return partial(objective.evaluate, np.array([c.start for c in objective.coordinates]), jacobian=True)


WORKLOADS: dict[str, Callable[[], Run]] = {
    "il2_treg": partial(_solve, "il2_treg"),
    "il2_treg_sensitivities": partial(_solve, "il2_treg", directions=range(15)),
    "il2_treg_population": _population,
    "lotka_volterra_vern7": partial(_solve, "lotka_volterra", method="vern7", rtol=1e-8),
    "robertson_rodas5p": partial(_solve, "robertson", method="rodas5p", rtol=1e-8),
    "tmdd_infusions_roots": _infusions,
    "fit_evaluation": _fit,
}
"""By name: what makes one ready to run."""

# --- what is counted

# Valgrind takes this for a request; a processor does nothing (VALGRIND_DO_CLIENT_REQUEST of valgrind.h)
REQUEST = bytes.fromhex(
    "4889f8"  # mov rax, rdi: the address of the request and its five arguments
    "31d2"  # xor edx, edx: the answer where there is no valgrind
    "48c1c703 48c1c70d 48c1c73d 48c1c733"  # rol rdi by 3, 13, 61 and 51: all the way round
    "4887db"  # xchg rbx, rbx
    "4889d0"  # mov rax, rdx
    "c3"  # ret
)
START, DUMP, STOP = 0x43540004, 0x43540000, 0x43540005
"""Of callgrind.h: CALLGRIND_START_INSTRUMENTATION, _DUMP_STATS (what was counted goes to a file; at a stop it
would be forgotten), _STOP_INSTRUMENTATION."""


def counted(run: Run) -> None:
    """Run once, counted if callgrind is there."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(REQUEST)
        code = ctypes.c_char.from_buffer(page)
        request = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)(ctypes.addressof(code))
        start, dump, stop = ((ctypes.c_size_t * 6)(what) for what in (START, DUMP, STOP))
        gc.collect()
        gc.disable()
        request(start)
        run()
        request(dump)
        request(stop)
        gc.enable()
        del code


if __name__ == "__main__":
    prepared = WORKLOADS[sys.argv[1]]()
    prepared()
    counted(prepared)
