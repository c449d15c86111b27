"""Whether a fit is recovered from its own design: trials as they were published, simulated from known
parameters and fitted from the centres of the priors, and how often 90 % intervals hold the truth. 85 to 95 %
are wanted.

Priors and effects of studies are drawn anew around the truth, as what others measured before would be
(``pkpd.inference.bootstrap``, which begins at the truth; here a search has to find it). Run by itself:
``python -m benchmarks.recovery`` for the fit that ``pkpd new fit`` writes, or ``python -m benchmarks.recovery
low_dose_il2 --simulations 10``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.cli import main
from pkpd.inference.bootstrap import COVERED, redrawn, resampled
from pkpd.inference.objective import Objective
from pkpd.inference.optimum import optimum_of, read_result
from pkpd.inference.search import Minimum

WANTED = (0.85, 0.95)


def optimum(fit: str | None) -> tuple[Objective, Minimum]:
    """Of a fit with a result, or of the one that ``pkpd new fit`` writes."""
    if fit is not None:
        found = optimum_of(*read_result(fit))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/trial"
            with contextlib.suppress(SystemExit):
                main(["new", "fit", path])
            found = optimum_of(*read_result(path))
    return found.objective, found.minimum


def run(fit: str | None = None, simulations: int = 100, seed: int = 1) -> dict[str, Any]:
    """Measure, print and return how often intervals hold the truth: of each estimate, and of all."""
    objective, minimum = optimum(fit)
    draws = []
    for number in range(simulations):
        draws.append(redrawn(objective, minimum, [seed, number], from_priors=True))
        if (number + 1) % 10 == 0:
            print(f"{number + 1} of {simulations} simulations", flush=True)
    good = [draw for draw in draws if draw.converged]
    for reason in sorted({draw.failed for draw in draws if draw.failed})[:5]:
        print(f"did not converge: {reason}")
    if not good:
        print("no fit converged: nothing can be counted")
        return {"simulations": simulations, "converged": 0}
    covered = {e.name: e.covered for e in resampled(objective, minimum, draws)}
    overall = float(np.mean(list(covered.values())))
    print(f"{len(good)} of {len(draws)} fits converged; intervals of {COVERED:.0%} hold the truth in:")
    error = math.sqrt(COVERED * (1 - COVERED) / max(len(good), 1))
    for name, share in covered.items():
        print(f"  {name:32s} {share:.0%}")
    inside = WANTED[0] <= overall <= WANTED[1]
    wanted = f"wanted {WANTED[0]:.0%} to {WANTED[1]:.0%}: {'met' if inside else 'SHORT'}"
    print(
        f"of all {len(covered)} estimates {overall:.1%} ({wanted}); an estimate's share errs by {error:.0%}"
    )
    return {"simulations": simulations, "converged": len(good), "covered": covered, "overall": overall}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("fit", nargs="?", help="a fit with its result (default: what pkpd new fit writes)")
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="a JSON file for what was measured")
    options = parser.parse_args()
    measured = run(options.fit, options.simulations, options.seed)
    if options.output is not None:
        options.output.write_text(json.dumps(measured, indent=1) + "\n")
