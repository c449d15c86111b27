"""What one core does for populations of ``il2_treg``: subjects side by side in vectors against one after the
other, and subject-solves per second, by size; in seconds of the processor.

Subjects differ in all parameters that the model says vary, the lag of absorption among them, so that each has
dose times of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.problems import PROBLEMS
from pkpd.bench import clock
from pkpd.simulation.profile import population
from pkpd.solver import Options, solve

RTOL = 1e-6
ROUNDS = 5


def run(quick: bool = False) -> dict[str, Any]:
    """Measure, print and return ``{speed_up, throughput: {subjects: {seconds, per_second}}}``."""
    problem = PROBLEMS["il2_treg"]
    sizes = (10, 100, 300) if quick else (10, 100, 1000, 10_000)
    subjects = 300 if quick else 1000
    people = population(problem.kernel, sizes[-1], seed=1)

    def call(count: int, lanes: bool) -> partial[Any]:
        options = Options(rtol=RTOL, threads=1, lanes=lanes)
        return partial(solve, problem.kernel, people[:count], problem.events, problem.times, options=options)

    pair = clock.turns({lanes: call(subjects, lanes) for lanes in (False, True)}, ROUNDS)
    faster = clock.spread(pair[False] / pair[True])
    print(f"{subjects} subjects in lanes, one core: {faster} times as fast", flush=True)
    results: dict[str, Any] = {"speed_up": faster.as_dict(), "throughput": {}}
    for count, seconds in clock.turns({count: call(count, True) for count in sizes}, ROUNDS).items():
        rate = clock.spread(count / seconds)
        results["throughput"][str(count)] = {
            "seconds": clock.spread(seconds).as_dict(),
            "per_second": rate.as_dict(),
        }
        print(f"{count:7d} subjects, one core: {rate} solves per second", flush=True)
    return results
