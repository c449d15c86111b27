"""What derivatives cost, in turns: ``il2_treg`` with sensitivities by 15 parameters against the same solve
without; and of as many subjects as stand in lanes the gradient of a sum of outputs by all parameters, by
steps that are taken back, against the solve and against sensitivities by all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.problems import PROBLEMS
from pkpd.bench import clock
from pkpd.ode.layout import LANES, METHODS
from pkpd.simulation.profile import population
from pkpd.solver import Options, Solver, solve

DIRECTIONS = 15


def run(quick: bool = False) -> dict[str, Any]:
    """Measure, print and return ``{method: {plain, usual, tight}}``; tight: as accurate as the states, with
    no slack."""
    problem = PROBLEMS["il2_treg"]
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for method in METHODS:
        one = partial(
            solve,
            problem.kernel,
            problem.p,
            problem.events,
            problem.times,
            options=Options(method=method, threads=1),
        )
        calls[method, "plain"] = one
        calls[method, "usual"] = partial(one, directions=range(DIRECTIONS))
        tight = Options(method=method, threads=1, slack=1.0)
        calls[method, "tight"] = partial(one, directions=range(DIRECTIONS), options=tight)
    for call in calls.values():
        call()
    seconds = clock.turns(calls, 5 if quick else 15)
    results: dict[str, Any] = {}
    for method in METHODS:
        plain = seconds[method, "plain"]
        results[method] = {"plain": {"seconds": clock.spread(plain).as_dict()}}
        for kind in ("usual", "tight"):
            ratio = clock.spread(seconds[method, kind] / plain)
            results[method][kind] = {
                "seconds": clock.spread(seconds[method, kind]).as_dict(),
                "ratio": ratio.as_dict(),
            }
        words = ", ".join(
            f"{kind} {clock.TimeSpread(**results[method][kind]['ratio'])} x" for kind in ("usual", "tight")
        )
        print(
            f"{DIRECTIONS} sensitivities, {method}: {words} of {1e3 * float(plain.mean()):.2f} ms", flush=True
        )
    for method in METHODS:
        if method != "vern7":  # which has no way back
            results[method]["backward"] = _backward(method, 3 if quick else 9)
    return results


def _backward(method: str, turns: int) -> dict[str, Any]:
    problem = PROBLEMS["il2_treg"]
    kernel, p = problem.kernel, population(problem.kernel, LANES, seed=1)
    weights = np.ones((problem.times.size, kernel.n_outputs))
    options = Options(method=method, threads=1)
    solver = Solver(kernel, problem.events, problem.times, options=options)
    everything = Solver(
        kernel, problem.events, problem.times, options=options, directions=range(kernel.n_params)
    )
    calls: dict[str, Callable[[], object]] = {
        "plain": partial(solver, p),
        "backward": partial(solver.gradient, p, weights),
        "forward": partial(everything, p),
    }
    for call in calls.values():
        call()
    seconds = clock.turns(calls, turns)
    over, saved = (
        clock.spread(seconds[of] / seconds[by]) for of, by in (("backward", "plain"), ("forward", "backward"))
    )
    print(
        f"gradient by {kernel.n_params} parameters of {LANES} subjects, {method}: {over} x of "
        f"{1e3 * float(seconds['plain'].mean()):.2f} ms; forward takes {saved} x of it",
        flush=True,
    )
    return {
        "seconds": clock.spread(seconds["backward"]).as_dict(),
        "ratio": over.as_dict(),
        "forward": saved.as_dict(),
    }
