"""Runs on the page of the documentation: each is kept, small, in ``published``, one for each processor and
target, and docs/measured.md, its diagrams and the table of README.md are written from all that are there."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.circumstances import INSTRUCTIONS, SAME
from benchmarks.figures import BOUND, CALL, ERRORS, Landing, landings
from benchmarks.problems import PROBLEMS
from pkpd.bench.curves import OWN, envelope
from pkpd.core.errors import DataError
from pkpd.core.files import read_json, replacing

ROOT = Path(__file__).parents[1]
PUBLISHED = Path("benchmarks/published")
PAGE = Path("docs/measured.md")
DIAGRAMS = Path("docs/measured")
README = Path("README.md")
README_DIAGRAM = Path("docs/work_precision.png")
FLAGSHIP = "il2_treg"
DIGITS = 4
BEGIN, END = "<!-- written by pkpd bench --publish -->\n", "<!-- until here -->\n"
HEADLINES = (  # landings that README shows
    "il2_treg at error 1e-04: SciPy LSODA over our best",
    "il2_treg at error 1e-04: SciPy odeint (LSODA) over our best",
    "il2_treg at error 1e-04: scikit-sundae CVODE BDF over our best",
    "il2_treg at error 1e-04: numbalsoda LSODA over our best",
    "robertson at error 1e-04: numbalsoda LSODA over our best",
    "lanes over none",
    "15 sensitivities over none, auto",
    "2 threads over one",
    CALL,
    BOUND,
)
WORDS = {  # figures whose names say little beside other libraries
    "lanes over none": "populations in lanes of vectors against subject by subject, one core",
    "15 sensitivities over none, auto": "a solve with 15 sensitivities against one with none, auto",
    "2 threads over one": "two cores against one, 10,000 subjects",
    "a schedule each over one for all, threads: 1": "a schedule for each subject over one for all, a thread",
    "a schedule each over one for all, threads: 2": "the same, two threads",
    "10000 subjects over 18 months, bands": "quantile bands of 10,000 subjects over 18 months, s",
    CALL: "a call of `solve` that integrates nothing, microseconds",
    BOUND: "a call of a bound solver that integrates nothing, microseconds",
}
CLOCKED = {  # figures by the clock, which on a busy machine say little -> section
    r"\d threads over one|a schedule each|\d+ subjects (over|at error)": "population",
    r".* over import numba$": "startup",
    r"simulate, ": "simulate",
    r"explore, ": "explore",
    r"fit of .* s$": "fit",
}
BUSY = 0.5  # load before
Run = dict[str, Any]


# --- runs, kept small


def read_run(path: Path) -> Run:
    """A run as ``python -m benchmarks`` writes it, or as it is kept here.

    Raises
    ------
    DataError : no such file, or none of a run.
    """
    return read_json(path, "a run of the benchmarks", _checked)


def _checked(found: Any) -> Run:
    if not isinstance(found, dict):
        raise TypeError("it is no object")
    if missing := [key for key in (*SAME, "occasions", "results") if key not in found]:
        raise KeyError(f"it has no {', '.join(missing)}")
    if (given := found["target"]["instructions"]) not in INSTRUCTIONS:
        raise ValueError(f"the instructions of its target are {given!r}, none of {', '.join(INSTRUCTIONS)}")
    if not found["occasions"] or not found["results"]:
        raise ValueError("nothing was measured")
    if strange := sorted(set(found["results"].get("precision", {})) - set(PROBLEMS)):
        raise ValueError(f"there is no problem {', '.join(strange)}")
    text([found])  # which reads all that it will read
    return found


def reduced(run: Run) -> Run:
    """What the page needs of a run: no point of a curve that is off its envelope, four digits."""
    kept = {key: run[key] for key in (*SAME, "memory_gb", "system", "occasions")}
    results = dict(run["results"])
    if "precision" in results:
        results["precision"] = {name: _reduced(found) for name, found in results["precision"].items()}
    return _rounded(kept | {"results": results})


def _reduced(found: Mapping[str, Any]) -> dict[str, Any]:
    curves = {}
    for name, curve in found["curves"].items():
        points = curve["points"]
        best = envelope([p["error"] for p in points], [p["seconds"]["median"] for p in points])
        curves[name] = {
            "points": [
                {"error": points[i]["error"], "seconds": {"median": points[i]["seconds"]["median"]}}
                for i in best
            ],
            "failure": curve["failure"],
        }
    ratios = []
    for row in found["ratios"]:
        more = ("to_best", "seconds") if row["solver"].startswith(OWN) else ("to_best",)
        ratios.append({key: row[key] for key in ("target", "solver", *more) if key in row})
    same = {
        name: row for name, row in found["same_rtol"].items() if name in ("pkpd auto", "numbalsoda LSODA")
    }
    keys = ("title", "n_states", "n_times", "cross_check", "turns")
    return {key: found[key] for key in keys} | {"curves": curves, "ratios": ratios, "same_rtol": same}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def compact(value: Any, depth: int = 4) -> str:
    """JSON in which what is nested deeper stands in one line: small, and a change of it can be read."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    items = (f"{json.dumps(key)}: {compact(item, depth - 1)}" for key, item in value.items())
    return "{\n" + ",\n".join(items) + "\n}"


# --- names


def label(run: Run) -> str:
    """The processor and its instructions: ``"Intel Xeon, AVX2"``."""
    name = re.sub(r"\((R|TM)\)|@.*|\b(CPU|Processor)\b", " ", run["processor"], flags=re.IGNORECASE)
    return f"{' '.join(name.split())}, {run['target']['instructions']}"


def slug(run: Run) -> str:
    """The label as the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", label(run).lower()).strip("-")


def diagram(run: Run, problem: str) -> Path:
    """Where the diagram of a problem stands."""
    return DIAGRAMS / f"{slug(run)}_{problem}.svg"


def solved(run: Run) -> dict[str, Any]:
    """{problem: what was found} in the order of ``PROBLEMS``."""
    found = run["results"].get("precision", {})
    return {name: found[name] for name in PROBLEMS if name in found}


# --- text


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _spread(median: float, low: float | None, high: float | None) -> str:
    if low is None or high is None or low == high:
        return _number(median)
    return f"{_number(median)} [{_number(low)}, {_number(high)}]"


def _load(run: Run, name: str) -> float:
    """How busy the machine was before a figure by the clock was measured; 0 for others."""
    section = next((section for words, section in CLOCKED.items() if re.match(words, name)), None)
    return max((at["load"] or 0.0 for at in run["occasions"] if at["piece"] == section), default=0.0)


def _cell(run: Run, landing: Landing | None) -> str:
    if landing is None or landing.found is None:
        return "not measured"
    found = _spread(landing.found, landing.low, landing.high)
    if (load := _load(run, landing.what)) > BUSY:
        return f"{found}, beside other work (load {load:.0f})"
    found = found if landing.met else f"**{found}: short**"
    return f"{found} ({landing.note})" if landing.note else found


def landed(runs: Sequence[Run], names: Sequence[str] = ()) -> Iterator[str]:
    """A table of wanted figures, with a column for each run; names : which of them, all if there are none."""
    of_runs = [{landing.what: landing for landing in landings(run["results"])} for run in runs]
    rows = []
    for name in names or dict.fromkeys(name for found in of_runs for name in found):
        found = [landing.get(name) for landing in of_runs]
        wanted = next(landing for landing in found if landing is not None)
        if names or any(landing is not None and landing.found is not None for landing in found):
            rows.append([WORDS.get(name, name), _wanted(found, wanted), *map(_cell, runs, found)])
    yield from _table(["", "wanted", *map(label, runs)], rows)


def _others(runs: Sequence[Run]) -> Iterator[str]:
    """Figures that nothing is wanted of: throughput and memory."""

    def of(run: Run) -> dict[str, str]:
        found = {
            f"{int(size):,} subjects of il2_treg, solves per second of a core": _spread(**row["per_second"])
            for size, row in run["results"].get("lanes", {}).get("throughput", {}).items()
        }
        for name, mb in run["results"].get("memory", {}).items():
            found[f"peak memory of a process, {name}, MB"] = "failed" if mb is None else _number(mb)
        return found

    found = [of(run) for run in runs]
    names = dict.fromkeys(name for one in found for name in one)
    rows = ([name, *(one.get(name, "not measured") for one in found)] for name in names)
    yield from _table(["", *map(label, runs)], rows)


def _wanted(found: Sequence[Landing | None], first: Landing) -> str:
    measured = [landing for landing in found if landing is not None and landing.found is not None]
    limits = dict.fromkeys(_number(landing.wanted) for landing in measured or [first])
    return f"{'at least' if first.better == 'higher' else 'at most'} {' or '.join(limits)}"


def _circumstances(runs: Sequence[Run]) -> Iterator[str]:
    def dates(run: Run) -> str:
        days = sorted(at["date"][:10] for at in run["occasions"])
        return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"

    def commits(run: Run) -> str:
        of: dict[str, list[str]] = {}
        for at in run["occasions"]:
            of.setdefault(at["commit"] or "not known", []).append(at["piece"].removeprefix("precision "))
        if len(of) == 1:
            return next(iter(of))
        return "; ".join(f"{commit}: {', '.join(pieces)}" for commit, pieces in of.items())

    def loads(run: Run) -> str:
        found = [at["load"] for at in run["occasions"] if at["load"] is not None]
        return f"{min(found):.1f} to {max(found):.1f}" if found else "not known"

    rows = {
        "processor": lambda run: run["processor"],
        "cores": lambda run: str(run["cores"]),
        "memory": lambda run: f"{run['memory_gb']:.0f} GB" if run["memory_gb"] else "not known",
        "compiled for": lambda run: "`{name}`: {instructions}, {lanes} lanes".format(**run["target"]),
        "system": lambda run: run["system"],
        "measured": dates,
        "last commit to what integrates": commits,
        "load of the machine before each piece": loads,
        "tolerances and repetitions": lambda run: "few (`--quick`)" if run["quick"] else "all",
        "Python and what is below": lambda run: f"{run['python']}; {_versions(run['versions'])}",
        "peers": lambda run: _versions(run["peers"]),
    }
    yield from _table(["", *map(label, runs)], ([name, *map(of, runs)] for name, of in rows.items()))


def _versions(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _ratios(run: Run, target: float) -> Iterator[str]:
    """How many times as long as our best each solver takes at one error; a row a solver, a column a
    problem."""
    problems = solved(run)
    rows = {
        (row["solver"], problem): row
        for problem, found in problems.items()
        for row in found["ratios"]
        if row["target"] == target and "to_best" in row
    }

    def cell(solver: str, problem: str) -> str:
        row = rows.get((solver, problem))
        if row is None:
            return "-"
        ratio = row["to_best"]["median"]
        words = f"{ratio:.2g}" if ratio < 9.95 else f"{ratio:,.0f}"
        return f"1 ({_number(1e3 * row['seconds']['median'])} ms)" if ratio == 1.0 else words

    solvers = dict.fromkeys(name for found in problems.values() for name in found["curves"])
    lines = ([name, *(cell(name, problem) for problem in problems)] for name in solvers)
    yield from _table(["", *(name.replace("_", " ") for name in problems)], lines)


def _absent(run: Run, problem: str) -> str:
    """Who has no curve, and why."""
    solvers = dict.fromkeys(name for found in solved(run).values() for name in found["curves"])
    curves = solved(run)[problem]["curves"]
    reasons = [
        f"{name} ({curves[name]['failure'] if name in curves else 'explicit, so not asked stiff problems'})"
        for name in solvers
        if name not in curves or not curves[name]["points"]
    ]
    return f" Without a curve: {'; '.join(reasons)}." if reasons else ""


def text(runs: Sequence[Run]) -> str:
    """The page."""
    lines = [
        "# What was measured",
        "",
        "Written by `pkpd bench --publish` from the runs in `benchmarks/published`. What is measured, how it "
        "is made fair, and what bounds the figures that fall short: `benchmarks/README.md`.",
        "",
        *_circumstances(runs),
        "",
        "One core's figures are in seconds of the processor and in turns, so that other work on the machine "
        "falls on all alike. Threads, whole processes, `simulate`, `explore` and the fit go by the clock; "
        "where the machine was in other use that is said, and they are not held against what is wanted.",
        "",
        "## Where figures must land",
        "",
        "In brackets: quartiles. What is not in the table has not been measured yet.",
        "",
        *landed(runs),
        "",
        "## Other figures",
        "",
        *_others(runs),
        "",
        "## Time at equal error",
        "",
        "In units of the time that our best method takes, which is given in milliseconds. `-`: no "
        "tolerance gives this error within the patience, or the solver is not asked.",
    ]
    for run in runs:
        for target in ERRORS if solved(run) else ():
            lines += ["", f"### {label(run)}, error {target:.0e}", "", *_ratios(run, target)]
    lines += [
        "",
        "## Work over precision",
        "",
        "Lower is faster, further right is more exact; ours are thick.",
    ]
    for problem in PROBLEMS:
        having = [run for run in runs if problem in solved(run)]
        if having:
            lines += ["", f"### {solved(having[0])[problem]['title']}"]
        for run in having:
            picture = diagram(run, problem).relative_to(PAGE.parent).as_posix()
            found = solved(run)[problem]
            check = found["cross_check"]
            differs = "none finished" if check is None else f"they differ by {check:.0e}"
            lines += [
                "",
                f"![{problem}: time of one solve over its error, {label(run)}]({picture})",
                "",
                f"{label(run)}, {found['turns']} turns. Reference and an independent solver: {differs}."
                f"{_absent(run, problem)}",
            ]
    return "\n".join(lines) + "\n"


def readme(old: str, runs: Sequence[Run]) -> str:
    """README.md with its table renewed, between two comments."""
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(
            f'{README} has no place for the table: it stands between "{BEGIN[:-1]}" and "{END[:-1]}"'
        )
    return f"{before}{BEGIN}" + "\n".join(landed(runs, HEADLINES)) + f"\n{END}{after}"


# --- all of it


def kept(root: Path = ROOT) -> list[Run]:
    """The runs of the repository, the widest vectors first."""
    runs = [read_run(path) for path in sorted((root / PUBLISHED).glob("*.json"))]
    return sorted(runs, key=lambda run: (INSTRUCTIONS.index(run["target"]["instructions"]), label(run)))


def publish(files: Sequence[Path], root: Path = ROOT) -> list[Path]:
    """Take in some runs and write everything; the paths of what was written.

    Raises
    ------
    DataError : a file is no run, two are of one processor and target, or none was ever published. Nothing is
        written then.
    """
    fresh = {slug(run): run for run in map(reduced, map(read_run, files))}
    if len(fresh) < len(files):
        raise DataError("two of these runs are of one processor and target; measure into one, with --resume")
    if not fresh and not kept(root):
        raise DataError(f"no run to publish: there is none in {PUBLISHED}. Name a file that a run wrote")
    written = []
    for name, run in fresh.items():
        written.append(_written(root / PUBLISHED / f"{name}.json", compact(run) + "\n"))
    runs = kept(root)
    written.append(_written(root / PAGE, text(runs)))
    written.append(_written(root / README, readme((root / README).read_text(encoding="utf-8"), runs)))
    return written + _drawn(runs, root)


def _written(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return path


def _drawn(runs: Sequence[Run], root: Path) -> list[Path]:
    """The diagrams of all problems of all runs, and README's; those of runs that are gone are removed."""
    from pkpd.present.plot import save, work_precision_figure

    (root / DIAGRAMS).mkdir(parents=True, exist_ok=True)
    drawn = []
    for run in runs:
        for problem, found in solved(run).items():
            drawn.append(save(work_precision_figure(found), root / diagram(run, problem)))
    for path in set((root / DIAGRAMS).glob("*.svg")) - set(drawn):
        path.unlink()
    for run in runs:
        if FLAGSHIP in solved(run):
            drawn.append(save(work_precision_figure(solved(run)[FLAGSHIP]), root / README_DIAGRAM))
            break
    return drawn
