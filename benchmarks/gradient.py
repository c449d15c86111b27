"""What derivatives cost: ``il2_treg`` with sensitivities by 15 parameters against the same solve without, in
turns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.problems import PROBLEMS
from pkpd.bench import clock
from pkpd.ode.layout import METHODS
from pkpd.solver import Options, solve

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
    return results
