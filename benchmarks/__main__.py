"""Run the benchmarks; write what was measured, with hardware, versions and date, to a JSON file, and draw it.

python -m benchmarks                      everything but the fit: about an hour
python -m benchmarks --quick              less of everything: two minutes
python -m benchmarks precision gradient   some of it
python -m benchmarks fit                  the whole fit
python -m benchmarks --compare old.json   and say what got worse than in an earlier run
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pkpd
from benchmarks.compare import report
from benchmarks.figures import collect, landings
from pkpd.bench import clock
from pkpd.bench.peers import installed

SECTIONS = {  # module of the same name, and whether it can be quick
    "precision": True,
    "population": True,
    "gradient": True,
    "evaluations": True,
    "memory": True,
    "startup": False,
    "simulate": False,
    "explore": True,
    "fit": False,
}
PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "sympy")
RESULTS = Path(__file__).parent / "results"


def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def memory_gb() -> float | None:
    """Memory of the machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return None


def circumstances() -> dict[str, Any]:
    """Everything about a run that is not a result."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gb": memory_gb(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {"pkpd": pkpd.__version__}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "peers": installed(),
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "yardstick_s": clock.yardstick(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run, print and write; 1 where a comparison found something worse."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"any of {', '.join(SECTIONS)}")
    parser.add_argument(
        "--quick", action="store_true", help="fewer problems, peers, tolerances and repetitions"
    )
    parser.add_argument(
        "--problems", default="", metavar="A,B", help="problems of the section precision (default: all)"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="OLD.json", help="say what got worse than in this run"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=RESULTS / "latest.json",
        help="where the JSON goes, and the figures beside it",
    )
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.sections) - set(SECTIONS)):
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    chosen = options.sections or [
        name
        for name, can_be_quick in SECTIONS.items()
        if can_be_quick or (name != "fit" and not options.quick)
    ]
    with (
        TemporaryDirectory() as cache
    ):  # what another version of this package has compiled must not be measured
        os.environ.setdefault("PKPD_CACHE_DIR", cache)
        return _run(chosen, options)


def _run(chosen: Sequence[str], options: argparse.Namespace) -> int:
    old = (
        json.loads(options.compare.read_text()) if options.compare else None
    )  # before it may be written over

    run = circumstances() | {"quick": options.quick}
    for name, version in run["peers"].items():
        print(f"{name:16s} {version}")
    results: dict[str, Any] = {}
    for name in chosen:
        print(f"\n== {name}", flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        more = {"names": options.problems.split(",")} if name == "precision" and options.problems else {}
        results[name] = module.run(options.quick, **more) if SECTIONS[name] else module.run()
    write(run, results, options.output)
    print("\n== where it must land")
    for landing in landings(results):
        print(landing)
    if old is None:
        return 0
    text, worse = report(old, json.loads(options.output.read_text()))
    print(f"\n== compared with {options.compare}\n{text}")
    return int(worse)


def write(run: Mapping[str, Any], results: Mapping[str, Any], output: Path) -> None:
    """The JSON and the figures."""
    from benchmarks.diagram import draw

    output.parent.mkdir(parents=True, exist_ok=True)
    found = landings(results)
    whole = dict(run) | {
        "figures": [figure.as_dict() for figure in collect(results)],
        "landings": [vars(landing) | {"met": landing.met} for landing in found],
        "results": results,
    }
    output.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"\nwrote {output}")
    for path in draw(results, output.parent, output.stem):
        print(f"wrote {path}")


if __name__ == "__main__":
    raise SystemExit(main())
