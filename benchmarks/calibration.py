"""Whether posterior draws are calibrated: simulation-based calibration (Talts, Betancourt, Simpson, Vehtari &
Gelman 2018, arXiv:1804.06788) of a small model.

Parameters are drawn from their priors, rows from the model at these, and draws from the posterior of these
rows. If everything is right, the rank of the true parameter among its draws is uniform. Run by itself:
``python -m benchmarks.calibration --simulations 100``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from pkpd.inference.coordinates import System, coordinates, in_units
from pkpd.inference.objective import Objective
from pkpd.inference.posterior_draws import sampled
from pkpd.inference.search import minimise, quiet
from pkpd.inference.spec import FitOptions, ModelSpec, Prior
from pkpd.inference.summary.reading import parse_data
from pkpd.inference.summary.rows import Row

ROWS = """\
row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,spread_type,source,\
provenance
early,Example,100 mg iv,30,100 mg iv once,C,value,at,0.5,h,mean,3.1,mg/L,0.3,SE,invented,reported
late,Example,100 mg iv,30,100 mg iv once,C,value,at,12,h,mean,1.0,mg/L,0.2,SE,invented,reported
twice,Example,200 mg iv,20,200 mg iv once,C,value,at,4,h,mean,4.3,mg/L,0.5,SE,invented,reported
"""
PRIORS = {"CL": Prior("lognormal", 3.0, 0.4), "V": Prior("lognormal", 30.0, 0.3)}
DRAWS, THIN, BINS = 396, 4, 10
"""Of 396 draws every fourth counts, so that they are as good as independent; 100 ranks in 10 bins."""


def objective(rows: Sequence[Row], system: System) -> Objective:
    """Three means of which the errors are known, two parameters with priors."""
    spec = ModelSpec("one_compartment_iv", PRIORS)
    estimated = coordinates(system, spec, rows)
    return Objective(system, spec, rows, options=FitOptions(subjects=1), estimated=estimated, threads=1)


def simulated(base: Objective, x: NDArray[np.float64], generator: np.random.Generator) -> Objective:
    """The objective of rows as the model prints them at x, with their errors."""
    terms = base.evaluate(x).terms
    rows = [
        dataclasses.replace(row, value=term.predicted + measured.se * generator.standard_normal())
        for row, term, measured in zip(base.rows, terms, base.measured, strict=True)
    ]
    return objective(rows, base.system)


def ranks(simulations: int, seed: int) -> NDArray[np.int64]:
    """Of each simulation and parameter the rank of the truth among the draws, (n, 2), from 0 to 99."""
    system = System.load("one_compartment_iv")
    base, found = objective(in_units(parse_data(ROWS), system).rows, system), []
    for k in range(simulations):
        generator = np.random.default_rng([seed, k])
        sds = np.array([coordinate.sd for coordinate in base.coordinates])
        truth = base.start + sds * generator.standard_normal(sds.size)
        problem = simulated(base, truth, generator)
        minimum = minimise(problem, base.start)
        drawn = sampled(problem, minimum, 1, 200, DRAWS, k, 1, quiet).x[0, ::THIN]
        found.append((drawn < truth).sum(axis=0))
        if (k + 1) % 10 == 0:
            print(f"{k + 1} of {simulations} simulations", flush=True)
    return np.array(found)


def run(simulations: int = 100, seed: int = 1) -> dict[str, Any]:
    """Measure, print and return the histograms of ranks and the p of their chi-square test."""
    found, results = ranks(simulations, seed), {}
    for name, column in zip(PRIORS, found.T, strict=True):
        counts = np.histogram(column, np.linspace(0, DRAWS // THIN + 1, BINS + 1))[0]
        expected = simulations / BINS
        p = float(chi2.sf(((counts - expected) ** 2 / expected).sum(), BINS - 1))
        results[name] = {"ranks": counts.tolist(), "p": p}
        print(f"{name}: ranks of the truth in {BINS} bins {counts.tolist()}, chi-square p {p:.2f}")
    return {"simulations": simulations, "seed": seed, "parameters": results}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="a JSON file for what was measured")
    options = parser.parse_args()
    measured = run(options.simulations, options.seed)
    if options.output is not None:
        options.output.write_text(json.dumps(measured, indent=1) + "\n")
