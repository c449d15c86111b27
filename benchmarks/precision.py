"""Work and precision on the problems of ``problems.py``; how it is measured: ``pkpd/bench/precision.py``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.problems import PROBLEMS, QUICK
from pkpd.bench.precision import compare, report_lines


def run(quick: bool = False, names: Iterable[str] = (), turns: int | None = None) -> dict[str, Any]:
    """Measure, print and return ``{problem: what ``compare`` gives}``."""
    results = {}
    for name in names or (QUICK if quick else PROBLEMS):
        only = ("SciPy", "scikit-sundae", "numbalsoda") if quick else None
        results[name] = compare(PROBLEMS[name], quick, only, turns)
        print("\n".join(report_lines(results[name])), flush=True)
    return results
