"""Peak memory of whole processes: ours with one subject and with many, and each peer with one solve, over
that of ``import numpy``."""

from __future__ import annotations

import subprocess
import sys

from pkpd.bench.peers import PEERS, installed

NUMPY = "import numpy"
OURS = (
    "import numpy; from pkpd.simulation.profile import population; from pkpd.solver import solve; from "
    "benchmarks.problems import PROBLEMS; p = PROBLEMS['il2_treg'];"
    "solve(p.kernel, population(p.kernel, {subjects}), p.events, p.times)"
)
PEER = (
    "from pkpd.bench.precision import reference; from pkpd.bench.peers import Task, solvers; from "
    "benchmarks.problems import PROBLEMS;"
    "p = PROBLEMS['il2_treg']; make = next(iter(solvers(Task(p), ({library!r},)).values())); "
    "make()(1e-4, 1e-4 * reference(p).size)"
)


PEAK = """
import resource, sys
try:
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(int(line.split()[1]) / 1e3)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))
"""


def apart(code: str) -> list[float]:
    """What some Python prints, numbers, in a process of its own, and after them its largest resident memory,
    MB; nothing where it fails."""
    done = subprocess.run([sys.executable, "-c", code + PEAK], capture_output=True, text=True, check=False)
    return [float(word) for word in done.stdout.split()] if done.returncode == 0 else []


def peak_mb(code: str) -> float:
    """Largest resident memory of a process that runs some Python, MB; nan where it fails."""
    return (apart(code) or [float("nan")])[-1]


def run(quick: bool = False) -> dict[str, float]:
    """Measure, print and return ``{what: MB}``."""
    codes = {"import numpy": NUMPY, "pkpd, one subject": OURS.format(subjects=1)}
    if not quick:
        codes["pkpd, 10,000 subjects"] = OURS.format(subjects=10_000)
    for peer, version in zip(PEERS, installed().values(), strict=True):
        stiff = peer.home != "by_heyoka"  # which has nothing for this problem
        if stiff and not quick and not version.startswith("not installed"):
            codes[peer.library] = PEER.format(library=peer.library)
    results = {}
    for name, code in codes.items():
        results[name] = peak_mb(code)
        print(f"{name:24s} {results[name]:8.0f} MB", flush=True)
    return results
