"""Run the benchmarks and write what was measured, with hardware and versions, to a JSON file.

python -m benchmarks                      everything but the fit
python -m benchmarks startup simulate     some of it
python -m benchmarks fit                  the whole fit: minutes
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path

import pkpd

from . import fit, simulate, startup

BENCHMARKS = {"startup": startup.run, "simulate": simulate.run, "fit": fit.run}
PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "sympy")


def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("results/benchmarks.json"), help="where the JSON goes"
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(BENCHMARKS)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    results = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {"pkpd": pkpd.__version__}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "results": {},
    }
    for name in options.names or ["startup", "simulate"]:
        print(f"== {name}", flush=True)
        results["results"][name] = BENCHMARKS[name]()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
