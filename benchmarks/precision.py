"""Work and precision: for every solver the time it takes to be as exact as another, over a ladder of
tolerances.

Error: largest over states and output times, relative to the largest value that the state has
on the way (a depot is full between outputs and empty at them), against a reference at least ten times tighter
than the tightest rung; a second, independent solver says how far the reference can be trusted. Every solver
runs at each rtol with ``atol = rtol * size`` and with a thousandth of that, ours also with its own default;
what counts is the lower envelope of time over error. Times come from turns (``clock.py``), and a ratio at
equal error is the median of the ratios of single turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks import clock
from benchmarks.peers import Solver, Task, solvers
from benchmarks.problems import PROBLEMS, QUICK, Problem
from pkpd.core.errors import PkpdError
from pkpd.ode.layout import METHODS
from pkpd.solver import solve

Floats = NDArray[np.float64]
TARGETS = (1e-4, 1e-6, 1e-8)
OWN = "pkpd"
FACTORS = (1.0, 1e-3)  # atol in units of rtol times the state's largest value
MAX_STEPS = 2_000_000
WAY = 4001  # points between the outputs, for a state's largest value


# --- curves ---------------------------------------------------------------------------------------


def envelope(errors: ArrayLike, seconds: ArrayLike) -> NDArray[np.int64]:
    """Indices of what nothing else beats in both error and time, from the largest error to the smallest."""
    errors, seconds = np.asarray(errors, dtype=float), np.asarray(seconds, dtype=float)
    best, kept = np.inf, []
    for i in np.lexsort((seconds, errors)):  # from the most exact on, only what is faster
        if np.isfinite(errors[i]) and seconds[i] < best:
            best = seconds[i]
            kept.append(i)
    return np.array(kept[::-1], dtype=np.int64)


def seconds_at(errors: ArrayLike, seconds: ArrayLike, target: float) -> float:
    """Time to reach an error, between the points of a curve straight in logarithms; nan where no point is as
    exact.

    Where even the coarsest point is more exact than asked, its time.
    """
    kept = envelope(errors, seconds)
    if kept.size == 0:
        return float("nan")
    x = np.log(np.maximum(np.asarray(errors, dtype=float)[kept[::-1]], 1e-300))
    y = np.log(np.asarray(seconds, dtype=float)[kept[::-1]])
    if np.log(target) < x[0]:
        return float("nan")
    return float(np.exp(np.interp(np.log(target), x, y)))


@dataclass
class Curve:
    """One solver on one problem: points (rtol, factor or None, error), and their seconds in every turn,
    (points, rounds)."""

    points: list[tuple[float, float | None]]
    errors: Floats
    seconds: Floats
    first: float  # s, of everything up to the end of the first call: compilation
    failure: str = ""

    def at(self, target: float) -> Floats:
        """Seconds at an error in every turn, (rounds,)."""
        return np.array([seconds_at(self.errors, column, target) for column in self.seconds.T])

    def as_dict(self) -> dict[str, Any]:
        """For JSON: medians and quartiles of the times."""
        rows = [
            {"rtol": rtol, "atol_factor": factor, "error": error, "seconds": clock.spread(times).as_dict()}
            for (rtol, factor), error, times in zip(self.points, self.errors, self.seconds, strict=True)
        ]
        return {"points": rows, "first_s": self.first, "failure": self.failure}


# --- solvers --------------------------------------------------------------------------------------


def own(problem: Problem, method: str) -> Solver:
    """Our own solver as a peer; an atol of nan is the default one."""

    def run(rtol: float, atol: Floats) -> Floats:
        given = None if np.isnan(atol).any() else atol
        found = solve(
            problem.kernel,
            problem.p,
            problem.events,
            problem.times,
            rtol=rtol,
            atol=given,
            method=method,
            keep_states=True,
            max_steps=MAX_STEPS,
            threads=1,
        )
        states = found.check().states
        assert states is not None
        return states[0]

    return run


@dataclass(frozen=True)
class Exact:
    """states : (n_times, n_states); size : (n_states,), largest value of each on the way, 1 where it is
    always 0."""

    states: Floats
    size: Floats


def reference(problem: Problem, rtol: float | None = None) -> Exact:
    """The solution, by our Rosenbrock method at a tolerance far below the ladder's."""
    doses = [time for time, _, _ in Task(problem).doses if time <= problem.times[-1]]
    on_the_way = replace(problem, times=np.union1d(doses, np.linspace(0.0, problem.times[-1], WAY)))
    states, way = (
        own(each, "rodas5p")(rtol or problem.finest, np.full(1, np.nan)) for each in (problem, on_the_way)
    )
    largest = np.maximum(np.abs(states).max(axis=0), np.abs(way).max(axis=0))
    return Exact(states, np.where(largest > 0.0, largest, 1.0))


def relative(states: Floats, exact: Exact) -> float:
    """Largest difference in units of each state's largest value."""
    return float(np.max(np.abs(states - exact.states) / exact.size))


def cross_check(problem: Problem, exact: Exact) -> float:
    """How far an independent solver is from the reference: Radau from output to output, or DOP853 where the
    problem is not stiff."""
    from scipy.integrate import solve_ivp

    task = Task(problem)
    f = task.functions
    method, tolerances = ("Radau", (1e-11, 1e-9, 1e-7)) if problem.stiff else ("DOP853", (3e-14,))
    options = {"jac": f.jac} if problem.stiff else {}

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
    run: Solver, exact: Exact, rtols: Iterable[float], factors: Iterable[float | None], patience_s: float
) -> tuple[list[tuple[float, float | None]], list[float], list[float], str]:
    """Points, errors and first times of a solver, from loose to tight until it takes longer than the
    patience; and what failed."""
    points, errors, seconds, failure = [], [], [], ""
    for factor in factors:
        for rtol in rtols:
            atol = np.full(exact.size.size, np.nan) if factor is None else rtol * factor * exact.size
            found: list[Floats] = []
            try:
                taken = clock.once(lambda rtol=rtol, atol=atol, found=found: found.append(run(rtol, atol)))
            except (ArithmeticError, PkpdError, RuntimeError, ValueError, Warning) as error:
                failure = f"rtol {rtol:g}: {str(error).splitlines()[0][:120]}"
                continue
            error = relative(found[0], exact)
            if np.isfinite(error):
                points.append((rtol, factor))
                errors.append(max(error, 1e-16))
                seconds.append(taken)
            if taken > patience_s:
                break
    return points, errors, seconds, failure


def _built(make: Callable[[], Solver], built: list[Solver], atol: Floats | None) -> None:
    built.append(make())
    if atol is not None:
        built[0](1e-3, atol)


def _tried(make: Callable[[], Solver]) -> None:
    with suppress(PkpdError):  # an explicit method on a stiff problem
        make()(1e-3, np.full(1, np.nan))


# --- the benchmark --------------------------------------------------------------------------------


def measure(
    problem: Problem, rtols: tuple[float, ...], rounds: int, patience_s: float, only: tuple[str, ...] | None
) -> tuple[dict[str, Curve], float]:
    """{solver: curve} and the difference of the reference to an independent solver."""
    makers: dict[str, Callable[[], Solver]] = {
        f"{OWN} {method}": partial(own, problem, method) for method in METHODS
    }
    firsts = {}
    for name, make in makers.items():  # before anything else has read, compiled or cached the model
        firsts[name] = clock.once(lambda make=make: _tried(make))
    exact = reference(problem)
    makers |= solvers(Task(problem), only)
    curves: dict[str, Curve] = {}
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    for name, make in makers.items():
        mine = name.startswith(OWN)
        built: list[Solver] = []
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


def ratios(curves: Mapping[str, Curve], targets: Iterable[float] = TARGETS) -> list[dict[str, Any]]:
    """A row per target and solver: seconds, and ratio to our best and to our default method in the same
    turns."""
    rows = []
    for target in targets:
        at = {name: curve.at(target) for name, curve in curves.items() if curve.points}
        mine = {
            name: np.median(values)
            for name, values in at.items()
            if name.startswith(f"{OWN} ") and not np.isnan(values).any()
        }
        if not mine:
            continue
        best = min(mine, key=lambda name: mine[name])
        for name, values in at.items():
            row: dict[str, Any] = {"target": target, "solver": name, "best": best}
            if not np.isnan(values).any():
                row["seconds"] = clock.spread(values).as_dict()
                row["to_best"] = clock.spread(values / at[best]).as_dict()
                if f"{OWN} auto" in mine:
                    row["to_auto"] = clock.spread(values / at[f"{OWN} auto"]).as_dict()
            rows.append(row)
    return rows


def same_rtol(curves: Mapping[str, Curve], rtol: float = 1e-6) -> dict[str, Any]:
    """{solver: seconds and error} at one rtol, with our default atol, and the peers' atol at rtol times the
    state's size."""
    found: dict[str, Any] = {}
    for name, curve in curves.items():
        factor = None if name.startswith(OWN) else FACTORS[0]
        for point, error, times in zip(curve.points, curve.errors, curve.seconds, strict=True):
            if point[1] == factor and np.isclose(point[0], rtol):
                found[name] = {"seconds": clock.spread(times).as_dict(), "error": float(error)}
    return found


def run(quick: bool = False, names: Iterable[str] = ()) -> dict[str, Any]:
    """Measure, print and return ``{problem: {title, curves, ratios, cross_check}}``."""
    chosen = [PROBLEMS[name] for name in (names or (QUICK if quick else PROBLEMS))]
    exponents = (2, 4, 6, 8, 10) if quick else range(2, 12)
    rtols = tuple(float(f"1e-{k}") for k in exponents)
    results = {}
    for problem in chosen:
        curves, check = measure(
            problem,
            rtols,
            5 if quick else 9,
            0.2 if quick else 1.0,
            ("SciPy", "scikit-sundae", "numbalsoda") if quick else None,
        )
        rows = ratios(curves)
        results[problem.name] = {
            "title": problem.title,
            "n_states": problem.kernel.n_states,
            "n_times": int(problem.times.size),
            "cross_check": check,
            "curves": {name: curve.as_dict() for name, curve in curves.items()},
            "ratios": rows,
            "same_rtol": same_rtol(curves),
        }
        _print(problem, curves, rows, check)
    return results


def _print(problem: Problem, curves: Mapping[str, Curve], rows: list[dict[str, Any]], check: float) -> None:
    print(f"{problem.title}: reference and an independent solver differ by {check:.1e}")
    targets = sorted({row["target"] for row in rows}, reverse=True)
    print(
        f"  {'':32s} {'first':>8s}"
        + "".join(f"  {f'ms at {t:.0e}':>12s}  {'ratio to our best':>20s}" for t in targets)
    )
    for name, curve in curves.items():
        cells = []
        for target in targets:
            row = next((r for r in rows if r["solver"] == name and r["target"] == target), {})
            if "seconds" not in row:
                cells.append(f"  {'-':>12s}  {'':20s}")
                continue
            ratio = clock.Spread(**row["to_best"])
            cells.append(f"  {1e3 * row['seconds']['median']:12.3f}  {ratio!s:>20s}")
        print(
            f"  {name:32s} {curve.first:7.2f}s"
            + "".join(cells)
            + (f"  {curve.failure}" if curve.failure else ""),
            flush=True,
        )
