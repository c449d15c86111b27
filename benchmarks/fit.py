"""The whole fit, as ``pkpd fit low_dose_il2`` runs it, in a process of its own: wall time and peak memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

LIMITS = {"seconds": 60.0, "peak_gb": 1.5}


def run() -> dict[str, float]:
    """Measure, print and return seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pkpd",
                "fit",
                "low_dose_il2",
                "-o",
                os.path.join(folder, "report"),
                "--quiet",
            ],
            check=True,
        )
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    print(
        f"pkpd fit low_dose_il2: {seconds:.1f} s (limit {LIMITS['seconds']:.0f} s), peak memory "
        f"{peak:.2f} GB (limit {LIMITS['peak_gb']} GB)"
    )
    return {
        "seconds": seconds,
        "peak_gb": peak,
        "limit_seconds": LIMITS["seconds"],
        "limit_gb": LIMITS["peak_gb"],
    }
