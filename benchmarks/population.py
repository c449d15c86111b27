"""``il2_treg`` over populations by the clock: one thread against many, long runs, and the peers that take
many subjects at once; what one core does is in ``lanes.py``.

Subjects differ in all parameters that the model says vary, the lag of absorption among them, so that each has
dose times of its own.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import memory
from benchmarks.problems import PROBLEMS, Problem
from pkpd.bench import clock
from pkpd.bench.curves import TARGETS, seconds_at
from pkpd.bench.peers import Task, installed
from pkpd.bench.precision import WAY
from pkpd.simulation.profile import population
from pkpd.solver import Options, Timeline, solve

Floats = NDArray[np.float64]
RTOL = 1e-6
MOST_STEPS = 2_000  # of diffrax between two doses: the slowest subject holds up all
PATIENCE_S = 3.0  # what takes longer is timed once
SLICE = 10_000  # subjects of one call: 100,000 would hold 1.4 GB of outputs
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _solve(problem: Problem, p: Floats, **options: Any) -> None:
    for first in range(0, len(p), SLICE):
        part = p[first : first + SLICE]
        solve(problem.kernel, part, problem.events, problem.times, options=Options(rtol=RTOL, **options))


MONTHS = """
from time import perf_counter
import numpy as np
from pkpd.dosing import Schedule
from pkpd.inference.population import bands, virtual_subjects
outputs = ("il2", "treg_pct", "treg_count", "cd25_treg", "nk", "cd56bright", "ccl2")
days = np.arange(561.0)
times = np.sort(np.concatenate([24 * days, 24 * days + 4]))
def run(subjects):
    people = virtual_subjects("low_dose_il2", subjects, seed=1)
    k = people.kernel
    schedule = Schedule.parse("2 MIU sc daily x5 every 28 d x20")
    doses = schedule.events(k.TIME_UNIT, k.ROUTES, k.DOSE_UNITS, k.SIZES)
    return bands(people, doses, times, outputs)
run(64)
start = perf_counter()
assert run({subjects}).failed == 0
print(perf_counter() - start)
"""  # MIROCALS: 18 months; troughs and about the peaks of IL-2


def months(sizes: tuple[int, ...]) -> dict[str, Any]:
    """{subjects: {seconds, peak_mb}} of quantile bands of seven outputs at 1,122 times over 18 months, drawn
    from the fit, each in a process of its own, on all cores."""
    results = {}
    for subjects in sizes:
        measured = memory.apart(MONTHS.replace("{subjects}", str(subjects)))
        if not measured:
            raise RuntimeError("bands over 18 months failed")
        results[str(subjects)] = {"seconds": measured[0], "peak_mb": measured[1]}
        print(
            f"{subjects:7d} subjects over 18 months, {CORES} threads: bands in {measured[0]:.1f} s, "
            f"at most {measured[1]:.0f} MB",
            flush=True,
        )
    return results


def scaling(problem: Problem, subjects: int, rounds: int) -> dict[str, Any]:
    """{threads: {seconds, speed_up over one}}."""
    p = population(problem.kernel, subjects, seed=1)
    counts = sorted({1, 2, CORES} & set(range(1, CORES + 1)))
    seconds = clock.turns({n: partial(_solve, problem, p, threads=n) for n in counts}, rounds, perf_counter)
    results = {}
    for n in counts:
        faster = clock.spread(seconds[1] / seconds[n])
        results[str(n)] = {"seconds": clock.spread(seconds[n]).as_dict(), "speed_up": faster.as_dict()}
        print(f"{subjects} subjects, {n} threads: {faster} times as fast as one", flush=True)
    return results


def schedules(problem: Problem, subjects: int, rounds: int) -> dict[str, Any]:
    """Time of subjects each with its own doses and output times over that of subjects with the same."""
    k, events = problem.kernel, problem.events
    p = population(k, subjects, seed=1)
    rng = np.random.default_rng(1)
    own = [
        Timeline(
            replace(events, time=events.time + rng.uniform(0.0, 2.0, len(events))),
            problem.times + rng.uniform(0.0, 1.0),
        )
        for _ in range(subjects)
    ]
    results = {}
    for n in sorted({1, CORES}):
        calls: dict[str, Callable[[], Any]] = {
            "same": partial(_solve, problem, p, threads=n),
            "own": lambda n=n: solve(k, p, own, options=Options(rtol=RTOL, threads=n)),
        }
        seconds = clock.turns(calls, rounds, perf_counter)
        longer = clock.spread(seconds["own"] / seconds["same"])
        results[str(n)] = longer.as_dict()
        print(
            f"{subjects} subjects with a schedule each, {n} threads: {longer} times the time of one schedule"
        )
    return results


def subjects_of(problem: Problem, p: Floats) -> list[Task]:
    """A task for each subject, with initial values and dose times of its own."""
    rest = solve(problem.kernel, p, type(problem.events).empty(), [0.0], keep_states=True).states
    assert rest is not None
    tasks = []
    for row, y0 in zip(p, rest[:, 0], strict=True):
        task = Task(problem, row)
        task.__dict__["y0"] = y0  # a cached property, known already
        tasks.append(task)
    return tasks


def by_diffrax(tasks: list[Task], method: str) -> Callable[[float, Floats], Floats]:
    """jit and vmap over subjects: (rtol, atol) -> states (subjects, n_times, n)."""
    import jax

    diffrax = importlib.import_module("pkpd.bench.peers.by_diffrax")
    run = jax.jit(jax.vmap(diffrax.course(tasks[0], method, MOST_STEPS), in_axes=(0, 0, 0, 0, None, None)))
    parts = [np.array(a) for a in zip(*(diffrax.padded(task) for task in tasks), strict=True)]
    p, y0 = np.array([task.p for task in tasks]), np.array([task.y0 for task in tasks])

    def solve_all(rtol: float, atol: Floats) -> Floats:
        return diffrax.gathered(tasks[0], diffrax.finished(run(p, y0, *parts, rtol, atol)))

    return solve_all


def by_numbalsoda(tasks: list[Task], method: str) -> Callable[[float, Floats], Floats]:
    """One compiled call over the cores."""
    del method
    home = importlib.import_module("pkpd.bench.peers.by_numbalsoda")
    loop, address = home.over_subjects(tasks[0]), home.callback(tasks[0])
    parts = [home.stacked(task) for task in tasks]
    jumps, grids = (np.array([part[i] for part in parts]) for i in (0, 1))
    q = np.array([home.parameters(task) for task in tasks])
    y0 = np.array([task.y0 for task in tasks])

    def solve_all(rtol: float, atol: Floats) -> Floats:
        out = np.empty((len(tasks), tasks[0].times.size, tasks[0].n))
        data = np.hstack([np.tile(atol, (len(tasks), 1)), q])
        if not loop(address, y0, jumps, grids, *parts[0][2:], data, rtol, out):
            raise ArithmeticError("numbalsoda gave up")
        return out

    return solve_all


def ours(problem: Problem, p: Floats, method: str, threads: int) -> Callable[[float, Floats], Floats]:
    """The same of ours, with the default atol."""

    def solve_all(rtol: float, atol: Floats) -> Floats:
        del atol
        found = solve(
            problem.kernel,
            p,
            problem.events,
            problem.times,
            options=Options(rtol=rtol, method=method, threads=threads),
            keep_states=True,
        )
        assert found.check().states is not None
        return found.states

    return solve_all


def against_peers(problem: Problem, subjects: int, quick: bool) -> dict[str, Any]:
    """Seconds of every contestant at equal achieved error (largest over subjects, states, times), and ratios
    to ours on all cores and on one."""
    p = population(problem.kernel, subjects, seed=1)
    exact = ours(problem, p, "rodas5p", CORES)(1e-12, np.empty(0))
    on_the_way = replace(problem, times=np.linspace(0.0, problem.times[-1], WAY))
    scale = np.abs(ours(on_the_way, p, "auto", CORES)(1e-6, np.empty(0))).max(axis=1, keepdims=True)
    scale = np.where(scale > 0.0, scale, 1.0)
    unit = np.median(scale[:, 0], axis=0)
    tasks = subjects_of(problem, p)
    versions = installed()
    contestants: dict[
        str, tuple[Callable[[], Callable[[float, Floats], Floats]], tuple[float, ...], tuple[float, ...]]
    ] = {
        f"pkpd auto, {n} threads": (
            partial(ours, problem, p, "auto", n),
            (1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
            (1.0,),
        )
        for n in sorted({1, CORES})
    }
    if not versions["numbalsoda"].startswith("not"):
        contestants[f"numbalsoda LSODA, {CORES} threads"] = (
            partial(by_numbalsoda, tasks, "LSODA"),
            (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9),
            (1.0,),
        )
    if (
        not versions["diffrax"].startswith("not") and not quick
    ):  # Kvaerno3: its fastest on one subject, at every error
        contestants["diffrax Kvaerno3, vmap"] = (
            partial(by_diffrax, tasks, "Kvaerno3"),
            (1e-4, 1e-5, 1e-6),
            (1.0,),
        )
    results: dict[str, Any] = {}
    curves: dict[str, tuple[list[float], list[Floats]]] = {}
    for name, (make, rtols, factors) in contestants.items():
        built: list[Callable[[float, Floats], Floats]] = []
        errors, seconds = [], []
        try:
            first = clock.once(
                lambda make=make, built=built, rtol=rtols[0]: (
                    built.append(make()) or built[0](rtol, rtol * unit)
                )
            )
        except Exception as error:
            results[name] = {"failure": f"{type(error).__name__}: {error}"[:200], "points": [], "at": {}}
            print(f"{name}: {results[name]['failure']}", flush=True)
            continue
        for factor in factors:
            for rtol in rtols:
                call, found = partial(built[0], rtol, rtol * factor * unit), []
                try:
                    taken = clock.once(lambda call=call, found=found: found.append(call()))
                except ArithmeticError:
                    continue
                errors.append(float(np.max(np.abs(found[0] - exact) / scale)))
                again = 5 if taken < PATIENCE_S else 0
                seconds.append(np.array([clock.once(call) for _ in range(again)] or [taken]))
        curves[name] = (errors, seconds)
        points = ", ".join(
            f"{e:.1e} in {float(np.median(x)):.3f} s" for e, x in zip(errors, seconds, strict=True)
        )
        print(f"{subjects} subjects, {name}: first {first:.1f} s; errors {points}", flush=True)
        results[name] = {
            "first_s": first,
            "points": [
                {"error": e, "seconds": clock.spread(s).as_dict()}
                for e, s in zip(errors, seconds, strict=True)
            ],
            "at": {},
        }
    for target in TARGETS:
        at = {n: seconds_at(e, [float(np.median(x)) for x in s], target) for n, (e, s) in curves.items()}
        for name, value in at.items():
            if not np.isnan(value):
                results[name]["at"][f"{target:.0e}"] = {
                    "seconds": value,
                    "to_ours_all_cores": value / at[f"pkpd auto, {CORES} threads"],
                    "to_ours_one_core": value / at["pkpd auto, 1 threads"],
                }
                print(f"{subjects} subjects at error {target:.0e}, {name}: {value:.3f} s", flush=True)
    return results


def run(quick: bool = False) -> dict[str, Any]:
    """Measure, print and return ``{months, scaling, schedules, peers}``."""
    problem = PROBLEMS["il2_treg"]
    return {
        "months": months((100, 1000) if quick else (1000, 10_000)),
        "scaling": scaling(problem, 300 if quick else 10_000, 5),
        "schedules": schedules(problem, 300 if quick else 1000, 5),
        "peers": against_peers(problem, 32 if quick else 256, quick),
    }
