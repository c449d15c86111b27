"""Run the benchmarks; write what was measured, with hardware, versions and date, to a JSON file, and draw it.

python -m benchmarks                      everything but the fit: about an hour
python -m benchmarks --quick              less of everything: two minutes
python -m benchmarks precision gradient   some of it
python -m benchmarks fit                  the whole fit
python -m benchmarks --resume -o a.json   what a.json lacks: a run in pieces, or one that was interrupted
python -m benchmarks --compare old.json   and say what got worse than in an earlier run
python -m benchmarks --publish a.json     measure nothing: write the page of the documentation, with this run
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.circumstances import SAME, circumstances, occasion, restrict
from benchmarks.compare import report
from benchmarks.figures import collect, landings
from benchmarks.problems import PROBLEMS, QUICK
from pkpd.core.errors import DataError, PkpdError
from pkpd.core.files import read_json, replacing

SECTIONS = {  # module of the same name, and whether it can be quick
    "precision": True,
    "lanes": True,
    "population": True,
    "gradient": True,
    "evaluations": True,
    "memory": True,
    "startup": False,
    "simulate": False,
    "explore": True,
    "clients": True,
    "fit": False,
}
RESULTS = Path(__file__).parent / "results"


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
        "--turns", type=int, metavar="N", help="of the section precision (default: 9, with --quick 5)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what the output file has, and measure what it lacks"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="OLD.json", help="say what got worse than in this run"
    )
    parser.add_argument(
        "--publish",
        nargs="*",
        type=Path,
        metavar="RUN.json",
        help="keep these runs in benchmarks/published, one for each processor,\n"
        "and write docs/measured.md, its diagrams and README's table from all that are there",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=RESULTS / "latest.json",
        help="where the JSON goes, and the figures beside it",
    )
    options = parser.parse_args(arguments)
    try:
        if options.publish is not None:
            from benchmarks.publish import publish

            for path in publish(options.publish):
                print(f"wrote {path}")
            return 0
        pieces = _pieces(options)
        with TemporaryDirectory() as cache:  # what another version of this package has compiled must not be
            os.environ.setdefault("PKPD_CACHE_DIR", cache)  # measured
            restrict()
            return _run(pieces, options)
    except PkpdError as error:
        parser.error(str(error))


def _pieces(options: argparse.Namespace) -> list[tuple[str, str]]:
    """(section, problem) of what is asked, problem "" where a section has none."""
    _known("section", options.sections, SECTIONS)
    if options.turns is not None and options.turns < 1:
        raise DataError(f"--turns must be at least 1, not {options.turns}")
    problems = [name for name in options.problems.split(",") if name]
    _known("problem", problems, PROBLEMS)
    chosen = options.sections or [
        name
        for name, can_be_quick in SECTIONS.items()
        if can_be_quick or (name != "fit" and not options.quick)
    ]
    pieces = []
    for section in chosen:
        asked = (problems or (QUICK if options.quick else PROBLEMS)) if section == "precision" else [""]
        pieces += [(section, problem) for problem in asked]
    return pieces


def _known(kind: str, given: Sequence[str], known: Sequence[str] | dict[str, Any]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise DataError(f"no {kind} {', '.join(unknown)}; there are {', '.join(known)}")


def _run(pieces: Sequence[tuple[str, str]], options: argparse.Namespace) -> int:
    old = (
        json.loads(options.compare.read_text()) if options.compare else None
    )  # before it may be written over
    run = begun(circumstances(options.quick), options.output if options.resume else None)
    results = run["results"]
    for name, version in run["peers"].items():
        print(f"{name:16s} {version}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for section, problem in pieces:
        if section in results and (not problem or problem in results[section]):
            continue
        print(f"\n== {section} {problem}".rstrip(), flush=True)
        at = occasion(f"{section} {problem}".rstrip())
        found = measured(section, problem, options.quick, options.turns)
        results[section] = results.get(section, {}) | found if problem else found
        run["occasions"].append(at)
        write(run, options.output)
    _finish(results, options.output)
    if old is None:
        return 0
    text, worse = report(old, json.loads(options.output.read_text()))
    print(f"\n== compared with {options.compare}\n{text}")
    return int(worse)


def measured(section: str, problem: str, quick: bool, turns: int | None) -> dict[str, Any]:
    """What a section gives, of one problem if it has problems."""
    module = importlib.import_module(f"benchmarks.{section}")
    if problem:
        return module.run(quick, [problem], turns)
    return module.run(quick) if SECTIONS[section] else module.run()


def begun(fresh: dict[str, Any], file: Path | None) -> dict[str, Any]:
    """A run with nothing measured yet, or the one of a file, if that is there.

    Raises
    ------
    DataError : the file is no run, or one on another machine, of other versions or for another processor.
    """
    if file is None or not file.exists():
        return fresh | {"occasions": [], "results": {}}
    run = read_json(file, "a run of the benchmarks", lambda found: fresh | dict(found))
    differs = [f"{key} was {run[key]!r}, is {fresh[key]!r}" for key in SAME if run[key] != fresh[key]]
    if differs or not {"occasions", "results"} <= run.keys():
        why = "; ".join(differs) or "it has no occasions or no results"
        raise DataError(f"{file} cannot be resumed: {why}. Name another output")
    return run


def write(run: dict[str, Any], output: Path) -> None:
    """The JSON, with figures and landings of what has been measured so far."""
    results = run["results"]
    whole = run | {
        "figures": [figure.as_dict() for figure in collect(results)],
        "landings": [vars(landing) | {"met": landing.met} for landing in landings(results)],
    }
    with replacing(output) as temporary:
        temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def _finish(results: dict[str, Any], output: Path) -> None:
    """The diagrams, and what must land where."""
    from benchmarks.diagram import draw

    print(f"\nwrote {output}")
    for path in draw(results, output.parent, output.stem):
        print(f"wrote {path}")
    print("\n== where it must land")
    for landing in landings(results):
        print(landing)
