"""Start-up in units of ``python -c "import numba"`` on the same machine, alternating in the same run.

Every figure is the median over repetitions of whole processes, divided by the median of the reference; the
spread is the interquartile range of the single ratios. ``first`` starts with an empty cache folder each time,
``second`` with the one that ``first`` left; each compiler has its turn in every repetition.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SIMULATE = 'import pkpd; pkpd.simulate("il2_treg", "2 MIU sc daily x5 every 28 d x3")'
LIMITS = {
    "import pkpd": 0.5,
    "pkpd --help": 0.6,
    "first simulation, empty cache": 6.0,
    "second process": 1.4,
    "first simulation, empty cache, numba": 45.0,
    "second process, numba": 1.6,
}


def _seconds(arguments: list[str], cache: str, compiler: str = "direct") -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PKPD_CACHE_DIR": cache, "PKPD_COMPILER": compiler},
    )
    return time.perf_counter() - started


def run(repetitions: int = 9) -> dict[str, dict[str, float]]:
    """Measure, print and return ``{what: {seconds, ratio, ...}}``."""
    reference: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in LIMITS}
    with tempfile.TemporaryDirectory() as folder:
        for repetition in range(repetitions):
            cache = str(Path(folder) / str(repetition))
            cases: dict[str, Callable[[], float]] = {
                "import pkpd": lambda cache=cache: _seconds(["-c", "import pkpd"], cache),
                "pkpd --help": lambda cache=cache: _seconds(["-m", "pkpd", "--help"], cache),
                "first simulation, empty cache": lambda cache=cache: _seconds(["-c", SIMULATE], cache),
                "second process": lambda cache=cache: _seconds(["-c", SIMULATE], cache),
            }
            for name in list(cases)[2:]:
                cases[f"{name}, numba"] = lambda cache=f"{cache}-numba": _seconds(
                    ["-c", SIMULATE], cache, "numba"
                )
            reference.append(_seconds(["-c", "import numba"], cache))
            for name, case in cases.items():
                seconds[name].append(case())
    unit = statistics.median(reference)
    print(f"import numba: {unit:.3f} s")
    results = {"import numba": {"seconds": unit, "ratio": 1.0}}
    for name, values in seconds.items():
        ratios = sorted(value / one for value, one in zip(values, reference, strict=True))
        quarter = len(ratios) // 4
        ratio = statistics.median(values) / unit
        results[name] = {
            "seconds": statistics.median(values),
            "ratio": ratio,
            "ratio_low": ratios[quarter],
            "ratio_high": ratios[-1 - quarter],
            "limit": LIMITS[name],
        }
        print(
            f"{name:36s} {statistics.median(values):7.3f} s  {ratio:6.2f} x  [{ratios[quarter]:.2f}, "
            f"{ratios[-1 - quarter]:.2f}]  limit {LIMITS[name]} x"
        )
    return results
