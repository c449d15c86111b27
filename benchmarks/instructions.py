"""A guard of speed without a clock: instructions of fixed pieces of work against those kept in a file.

python -m benchmarks.instructions                            count, and compare with instructions.toml
python -m benchmarks.instructions il2_treg cold_start        some of it
python -m benchmarks.instructions --update --reason "why"    count, and keep what was counted

More than 3 % up fails, unless instructions.toml is changed with the code, in the same commit, and says why.
Valgrind's callgrind counts. It shows programs one processor on every machine with AVX2, and the code that
is compiled is the same on all of them, so that a count depends on the code and the versions of libraries.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.workloads import WORKLOADS
from pkpd.core import toml
from pkpd.core.errors import DataError
from pkpd.core.files import write_text
from pkpd.solver import usable_cores

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("instructions.toml")
LIMIT = 0.03
PACKAGES = ("llvmlite", "numba", "numpy", "pandas", "scipy", "sympy", "typer")
BUILD = ("--enable-shared", "--enable-optimizations", "--with-lto")
COLD = "cold_start"
"""A whole process with an empty cache: imports, reading, derivatives, compilation by LLVM, solve, file."""
SIMULATE = ("-m", "pkpd", "simulate", "il2_treg", "1 MIU sc daily x5", "--until", "28 d", "--quiet", "-o")
NAMES = (COLD, *WORKLOADS)  # the longest first
MOST = 10**15


@dataclass(frozen=True)
class Kept:
    """Instructions by workload, the versions that they stand on, and why they last changed."""

    reason: str
    versions: Mapping[str, str]
    counts: Mapping[str, int]


def versions() -> dict[str, str]:
    """Of what is counted and is not ours. Of Python also how it was built: one compiled with more
    optimisation takes a twentieth fewer instructions in a solve of half a millisecond."""
    configured = (sysconfig.get_config_var("CONFIG_ARGS") or "").replace("'", "").split()
    build = [platform.python_compiler(), *(option for option in BUILD if option in configured)]
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "python": f"{'.'.join(platform.python_version_tuple()[:2])} ({' '.join(build)})",
    } | {name: importlib.metadata.version(name) for name in PACKAGES}


# --- the file


def read(path: Path) -> Kept:
    """What is kept; ``DataError`` where the file is not one of ours."""
    try:
        table = toml.read(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    table.keys_within(("reason", "versions", "counts"))
    stated, counts = table.table("versions"), table.table("counts")
    stated.keys_within(tuple(versions()))
    counts.keys_within(NAMES)
    return Kept(
        table.text("reason"),
        {name: stated.text(name) for name in versions()},
        {name: counts.integer(name, 0, low=1, high=MOST) for name in NAMES},
    )


def text(kept: Kept) -> str:
    """The file's text."""
    return "\n".join(
        [
            "# Instructions of what benchmarks/workloads.py runs, and of a cold start. 3 % up fails in CI.",
            '# Written by `python -m benchmarks.instructions --update --reason "why"`.',
            f"reason = {json.dumps(kept.reason, ensure_ascii=False)}",
            "",
            "[versions]",
            *(f"{name} = {json.dumps(version)}" for name, version in kept.versions.items()),
            "",
            "[counts]",
            *(f"{name} = {count:_}" for name, count in kept.counts.items()),
            "",
        ]
    )


# --- comparing


def differences(kept: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Versions other than those that the counts stand on, as words; "" where there are none."""
    return ", ".join(f"{name} {now[name]} (kept: {kept[name]})" for name in kept if kept[name] != now[name])


def report(kept: Mapping[str, int], counts: Mapping[str, int]) -> tuple[str, bool]:
    """A line for each count beside what is kept, and what to do; whether one is more than LIMIT up."""
    lines, up, down = [], [], []
    for name, count in counts.items():
        change = count / kept[name] - 1.0
        if change > LIMIT:
            up.append(name)
        elif change < -LIMIT:
            down.append(name)
        lines.append(f"{name:24s} {kept[name]:>17,} -> {count:>17,}  {change:+7.2%}")
    if up:
        lines.append(
            f"More than {LIMIT:.0%} more instructions than benchmarks/instructions.toml says: "
            f"{', '.join(up)}. Take the cause away; or, where it is worth it, keep the new counts with the "
            "reason in the same commit: python -m benchmarks.instructions --update --reason "
            '"what made it slower, and what for"'
        )
    if down:
        lines.append(
            f"More than {LIMIT:.0%} fewer instructions: {', '.join(down)}. Keep what was won: "
            'python -m benchmarks.instructions --update --reason "what made it faster"'
        )
    return "\n".join(lines), bool(up)


# --- counting


def environment(folder: Path, cache: Path) -> dict[str, str]:
    """Variables of a process whose instructions are counted: the same everywhere but for the paths."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return kept | {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENBLAS_CORETYPE": "Haswell",
        "PKPD_PROCESSOR": "x86-64-v3",
        "PKPD_CACHE_DIR": str(cache),
    }


def _python(arguments: Sequence[str], folder: Path, cache: Path, under: Sequence[str] = ()) -> None:
    done = subprocess.run(
        [*under, sys.executable, *arguments],
        env=environment(folder, cache),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join([*under, *arguments])} ended with {done.returncode}:\n{done.stderr}")


def _callgrind(output: Path, *options: str) -> list[str]:
    return ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={output}", *options]


def total(output: Path) -> int:
    """Instructions of a file of callgrind."""
    lines = output.read_text(encoding="utf-8").splitlines()
    return next(int(line.split(":")[1]) for line in reversed(lines) if line.startswith("totals:"))


def cold_start(folder: Path) -> int:
    """Instructions of a whole ``pkpd simulate`` with an empty cache, once Python's own is filled."""
    command = (*SIMULATE, str(folder / "profile.csv"))
    _python(command, folder, folder / "cold-0")
    output = folder / f"{COLD}.out"
    _python(command, folder, folder / "cold-1", _callgrind(output))
    return total(output)


def warm(folder: Path, name: str) -> int:
    """Instructions of a workload's second run, with all that it needs compiled before."""
    command = ("-m", "benchmarks.workloads", name)
    _python(command, folder, folder / "cache")
    output = folder / f"{name}.out"
    _python(command, folder, folder / "cache", _callgrind(output, "--instr-atstart=no"))
    return total(Path(f"{output}.1"))


def count(names: Sequence[str]) -> dict[str, int]:
    """Instructions by workload, on as many cores as there are."""
    with tempfile.TemporaryDirectory(prefix="pkpd-count-") as temporary:
        folder = Path(temporary)
        calls: dict[str, Callable[[], int]] = {
            name: partial(cold_start, folder) if name == COLD else partial(warm, folder, name)
            for name in names
        }
        with ThreadPoolExecutor(usable_cores()) as pool:
            waiting = {name: pool.submit(call) for name, call in calls.items()}
            return {name: one.result() for name, one in waiting.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, count, compare or keep; 1 where something is more than LIMIT up."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--update", action="store_true", help="keep what is counted now, of all of them")
    parser.add_argument("--reason", default="", help="why it changed: stands in the file")
    parser.add_argument("--strict", action="store_true", help="fail where versions are not the kept ones")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(NAMES)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if options.update and (options.names or not options.reason.strip()):
        parser.error('--update takes all of them, and --reason "why it changed"')
    if not shutil.which("valgrind"):
        parser.error("valgrind is not installed: apt-get install valgrind")
    if options.update:
        counts = count(NAMES)
        write_text(FILE, text(Kept(options.reason.strip(), versions(), counts)))
        print(f"wrote {FILE}: commit it with what changed the counts")
        return 0
    return _check(options.names or NAMES, strict=options.strict)


def _check(names: Sequence[str], *, strict: bool) -> int:
    try:
        kept = read(FILE)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    if other := differences(kept.versions, versions()):
        print(f"Instructions cannot be compared with those of other versions: {other}")
        return int(strict)
    found, failed = report(kept.counts, count(names))
    print(found)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
