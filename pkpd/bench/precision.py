"""Work and precision: for every solver the time it takes to be as exact as another, over a ladder of
tolerances, as in Hairer & Wanner, Solving Ordinary Differential Equations II (1996), section IV.10.

Error: largest over states and output times, relative to the largest value that the state has
on the way (a depot is full between outputs and empty at them), against a reference at least ten times tighter
than the tightest rung; a second, independent solver says how far the reference can be trusted. Every solver
runs at each rtol with ``atol = rtol * size`` and with a thousandth of that, ours also with its own default;
what counts is the lower envelope of time over error. Times come from turns (``clock.py``), and a ratio at
equal error is the median of the ratios of single turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.bench import clock
from pkpd.bench.curves import FACTORS, OWN, Curve, ratios, same_rtol
from pkpd.bench.peers import PeerSolver, Task, solvers
from pkpd.bench.problem import Problem
from pkpd.core.errors import PkpdError
from pkpd.ode.functions import FunctionKernel
from pkpd.ode.layout import METHODS
from pkpd.solver import Options, Solver

Floats = NDArray[np.float64]
MAX_STEPS = 2_000_000
FAILURES = (ArithmeticError, PkpdError, RuntimeError, ValueError, Warning)  # of a solver at one tolerance
WAY = 4001  # points between the outputs, for a state's largest value


# --- solvers --------------------------------------------------------------------------------------


def own(problem: Problem, method: str) -> PeerSolver:
    """Our own solver as a peer, bound once for each tolerance, as peers are compiled once; an atol of nan is
    the default one."""
    bound: dict[tuple[float, bytes], Solver] = {}

    def solver(rtol: float, atol: Floats) -> Solver:
        given = None if np.isnan(atol).any() else atol
        return Solver(
            problem.kernel,
            problem.events,
            problem.times,
            options=Options(rtol=rtol, atol=given, method=method, max_steps=MAX_STEPS, threads=1),
            keep_states=True,
            start=problem.start if problem.start > 0.0 else None,
        )

    def run(rtol: float, atol: Floats) -> Floats:
        key = rtol, atol.tobytes()
        if key not in bound:
            bound[key] = solver(rtol, atol)
        states = bound[key](problem.p).check().states
        assert states is not None
        return states[0, :, : problem.y0.size]  # without the clock of a system that has one

    return run


@dataclass(frozen=True)
class Exact:
    """states : (n_rows, n_states), at the last n_rows times; size : (n_states,), largest value of each on the
    way, 1 where it is always 0."""

    states: Floats
    size: Floats


def reference(problem: Problem, rtol: float | None = None) -> Exact:
    """The solution, as the problem gives it, or by ours at a tolerance far below the ladder's: by our
    Rosenbrock method, or vern7 where the problem is not stiff and there is no Jacobian."""
    doses = [time for time, _, _ in Task(problem).doses if time <= problem.times[-1]]
    way_times = np.union1d(doses, np.linspace(problem.start, problem.times[-1], WAY))
    differences = isinstance(problem.kernel, FunctionKernel) and "jacobian" not in problem.kernel.functions
    method = "vern7" if differences and not problem.stiff else "rodas5p"
    states, way = (
        own(each, method)(rtol or problem.finest, np.full(1, np.nan))
        for each in (problem, replace(problem, times=way_times))
    )
    largest = np.maximum(np.abs(states).max(axis=0), np.abs(way).max(axis=0))
    if problem.reference is not None:
        states = problem.reference
    return Exact(states, np.where(largest > 0.0, largest, 1.0))


def relative(states: Floats, exact: Exact) -> float:
    """Largest difference in units of each state's largest value."""
    return float(np.max(np.abs(states[-len(exact.states) :] - exact.states) / exact.size))


def cross_check(problem: Problem, exact: Exact) -> float:
    """How far an independent solver is from the reference: Radau from output to output, or DOP853 where the
    problem is not stiff."""
    from scipy.integrate import solve_ivp

    task = Task(problem)
    f = task.functions
    method, tolerances = ("Radau", (1e-11, 1e-9, 1e-7)) if problem.stiff else ("DOP853", (3e-14,))
    options = {"jac": f.jac} if problem.stiff and f.jac is not None else {}

    def advance(tolerance: float, y: Floats, grid: Floats) -> Floats:
        rows = [y]
        for start, end in pairwise(grid):  # an interpolant is less exact than the ends of steps
            found = solve_ivp(
                f.rhs,
                (start, end),
                rows[-1],
                method,
                rtol=tolerance,
                atol=tolerance * 1e-3 * exact.size,
                **options,
            )
            if not found.success:
                raise ArithmeticError(found.message)
            rows.append(found.y[:, -1])
        return np.array(rows)

    for tolerance in tolerances:
        with suppress(ArithmeticError):
            return relative(task.march(partial(advance, tolerance)), exact)
    return float("nan")


def ladder(
    run: PeerSolver, exact: Exact, rtols: Iterable[float], factors: Iterable[float | None], patience_s: float
) -> tuple[list[tuple[float, float | None]], list[float], list[float], str]:
    """Points, errors and first times of a solver, from loose to tight until it takes longer than the
    patience; and what failed."""
    points, errors, seconds, failure = [], [], [], ""
    for factor in factors:
        for rtol in rtols:
            atol = np.full(exact.size.size, np.nan) if factor is None else rtol * factor * exact.size
            found: list[Floats] = []
            try:
                taken = clock.once(partial(_found, run, rtol, atol, found), timer=time.process_time)
            except FAILURES as why:
                said = str(why).strip() or type(why).__name__
                failure = f"rtol {rtol:g}: {said.splitlines()[0][:120]}"
                continue
            error = relative(found[0], exact)
            if np.isfinite(error):
                points.append((rtol, factor))
                errors.append(max(error, 1e-16))
                seconds.append(taken)
            if taken > patience_s:
                break
    return points, errors, seconds, failure


def _found(run: PeerSolver, rtol: float, atol: Floats, found: list[Floats]) -> None:
    found.append(run(rtol, atol))


def _built(make: Callable[[], PeerSolver], built: list[PeerSolver], atol: Floats | None) -> None:
    built.append(make())
    if atol is not None:
        with suppress(*FAILURES):  # one tolerance that it cannot do is no reason to leave it out
            built[0](1e-3, atol)


def _tried(make: Callable[[], PeerSolver]) -> None:
    with suppress(PkpdError):  # an explicit method on a stiff problem
        make()(1e-3, np.full(1, np.nan))


# --- the benchmark --------------------------------------------------------------------------------


def measure(
    problem: Problem, rtols: tuple[float, ...], rounds: int, patience_s: float, only: tuple[str, ...] | None
) -> tuple[dict[str, Curve], float]:
    """{solver: curve} and the difference of the reference to an independent solver."""
    makers: dict[str, Callable[[], PeerSolver]] = {
        f"{OWN} {method}": partial(own, problem, method) for method in METHODS
    }
    firsts = {}
    for name, make in makers.items():  # before anything else has read, compiled or cached the model
        firsts[name] = clock.once(partial(_tried, make))
    exact = reference(problem)
    makers |= solvers(Task(problem), only)
    curves: dict[str, Curve] = {}
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    for name, make in makers.items():
        mine = name.startswith(OWN)
        built: list[PeerSolver] = []
        try:
            taken = clock.once(partial(_built, make, built, None if mine else 1e-3 * exact.size))
            first = firsts.get(name, taken)
        except Exception as error:
            curves[name] = Curve(
                [], np.empty(0), np.empty((0, rounds)), 0.0, f"{type(error).__name__}: {error}"[:200]
            )
            continue
        points, errors, seconds, failure = ladder(
            built[0], exact, rtols, (None, *FACTORS) if mine else FACTORS, patience_s
        )
        # what cannot be on the envelope, even if its one time was twice too long, is not timed again
        near = [
            i
            for i, (rtol, _) in enumerate(points)
            if rtol == 1e-6
            or not any(errors[j] <= errors[i] and seconds[j] < 0.5 * seconds[i] for j in range(len(points)))
        ]
        curves[name] = Curve(
            [points[i] for i in near],
            np.array([errors[i] for i in near]),
            np.empty((len(near), rounds)),
            first,
            failure,
        )
        for row, (rtol, factor) in enumerate(curves[name].points):
            atol = np.full(exact.size.size, np.nan) if factor is None else rtol * factor * exact.size
            calls[name, row] = partial(built[0], rtol, atol)
    for (name, row), times in clock.turns(calls, rounds).items():
        curves[name].seconds[row] = times
    return curves, cross_check(problem, exact)


def compare(
    problem: Problem, quick: bool = False, only: tuple[str, ...] | None = None, turns: int | None = None
) -> dict[str, Any]:
    """What is known of a problem once all have been measured, for JSON, ``report_lines`` and figures.

    quick : fewer tolerances and repetitions; only : libraries that are asked; turns : how often everyone is
    timed (default: 9, or 5 if quick).
    """
    exponents = (2, 4, 6, 8, 10) if quick else range(2, 12)
    rtols = tuple(float(f"1e-{k}") for k in exponents)
    turns = turns or (5 if quick else 9)
    curves, check = measure(problem, rtols, turns, 0.2 if quick else 1.0, only)
    return {
        "title": problem.title,
        "n_states": int(problem.y0.size),
        "n_times": int(problem.times.size),
        "cross_check": check,
        "turns": turns,
        "curves": {name: curve.as_dict() for name, curve in curves.items()},
        "ratios": ratios(curves),
        "same_rtol": same_rtol(curves),
    }


def report_lines(found: Mapping[str, Any]) -> list[str]:
    """A table: of every solver the time up to its first result, the time at some errors, and how many times
    as long that is as ours."""
    targets = sorted({row["target"] for row in found["ratios"]}, reverse=True)
    lines = [f"{found['title']}: reference and an independent solver differ by {found['cross_check']:.1e}"]
    heads = (f"  {f'ms at {t:.0e}':>12s}  {'ratio to our best':>20s}" for t in targets)
    lines.append(f"  {'':32s} {'first':>8s}{''.join(heads)}")
    for name, curve in found["curves"].items():
        cells = ""
        for target in targets:
            rows = (r for r in found["ratios"] if r["solver"] == name and r["target"] == target)
            row = next(rows, dict[str, Any]())
            if "seconds" in row:
                ratio = clock.TimeSpread(**row["to_best"])
                cells += f"  {1e3 * row['seconds']['median']:12.3f}  {ratio!s:>20s}"
            else:
                cells += f"  {'-':>12s}  {'':20s}"
        failure = f"  {curve['failure']}" if curve["failure"] else ""
        lines.append(f"  {name:32s} {curve['first_s']:7.2f}s{cells}{failure}")
    return lines
