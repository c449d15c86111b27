"""Warm simulation times of ``il2_treg``: one subject, and a population on all cores.

One subject: 90 days, 15 doses, 91 output times, rtol 1e-6, through ``pkpd.simulate`` (names, units, event
    table and all) and through the array
interface ``solve``. Achieved error: against the same method at rtol 1e-12, largest over outputs, relative to
each output's largest value.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from pkpd.dosing import Schedule
from pkpd.simulation.profile import population, simulate, typical_values
from pkpd.solver import Options, solve
from pkpd.solver.kernel import load

SCHEDULE = "2 MIU sc daily x5 every 28 d x3"
DAYS = 90
LIMITS = {"simulate, one subject": 2e-3, "simulate, 1000 subjects": 1.5}


def _median(call: Callable[[], object], repetitions: int) -> float:
    values = []
    for _ in range(repetitions):
        started = time.perf_counter()
        call()
        values.append(time.perf_counter() - started)
    return statistics.median(values)


def run() -> dict[str, dict[str, float]]:
    """Measure, print and return ``{what: {seconds, ...}}``."""
    kernel = load("il2_treg")
    per_day = {"h": 24.0, "d": 1.0}[kernel.TIME_UNIT]
    times = np.linspace(0.0, DAYS * per_day, DAYS + 1)
    events = Schedule.parse(SCHEDULE).events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    typical = typical_values(kernel)
    thousand = population(kernel, 1000, seed=1)
    exact = (
        solve(kernel, typical, events, times, options=Options(rtol=1e-12, method="rodas5p"))
        .check()
        .outputs[0]
    )
    scale = np.abs(exact).max(axis=0)
    results: dict[str, dict[str, float]] = {}

    def report(name: str, seconds: float, **more: float) -> None:
        results[name] = {"seconds": seconds} | more | ({"limit": LIMITS[name]} if name in LIMITS else {})
        extra = "  ".join(f"{key} {value:.3g}" for key, value in results[name].items() if key != "seconds")
        print(f"{name:36s} {seconds * 1e3:10.3f} ms  {extra}", flush=True)

    report("simulate, one subject", _median(lambda: simulate(kernel, SCHEDULE, times), 51))
    for method in ("auto", "tsit5", "rodas5p"):
        solution = solve(kernel, typical, events, times, options=Options(method=method)).check()
        error = float((np.abs(solution.outputs[0] - exact) / np.where(scale > 0, scale, 1.0)).max())
        seconds = _median(
            lambda method=method: solve(kernel, typical, events, times, options=Options(method=method)), 51
        )
        report(f"solve, one subject, {method}", seconds, error=error, steps=float(solution.counts[0, 3]))
    gradient = list(range(15))
    plain = _median(lambda: solve(kernel, typical, events, times, options=Options(method="rodas5p")), 21)
    with_gradient = _median(
        lambda: solve(kernel, typical, events, times, options=Options(method="rodas5p"), directions=gradient),
        21,
    )
    report("solve, 15 sensitivities, rodas5p", with_gradient, ratio_to_plain=with_gradient / plain)
    report("simulate, 1000 subjects", _median(lambda: simulate(kernel, SCHEDULE, times, subjects=1000), 5))
    one = _median(lambda: solve(kernel, thousand, events, times, options=Options(threads=1)), 3)
    two = _median(lambda: solve(kernel, thousand, events, times, options=Options(threads=2)), 3)
    report("solve, 1000 subjects, 1 thread", one)
    report("solve, 1000 subjects, 2 threads", two, speed_up=one / two)
    return results
