"""Shares of the variance of a number that depends on several normal inputs, which may be correlated.

first : Var(E[Y | x_i])/Var(Y), the share of the variance that would be gone if x_i were known, with what goes
together with it. total : E[Var(Y | all others)]/Var(Y), the share that would be left if all others were
known. Of independent inputs they are Sobol's indices (Sobol 1993, Homma & Saltelli 1996); of correlated ones
those of Kucherenko, Tarantola & Annoni (Comput Phys Commun 183 (2012) 937), and total may be the smaller of
the two.

They are counted by SALib from two samples A and B and, for each input, A with that input from B: the others
follow it, each to its expectation, for the first; its own part alone, what the others do not say, is taken
over for the total. Without correlation the two are the same, and Saltelli's design.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pkpd.core.extras import optional

Floats = NDArray[np.float64]
Evaluated = Callable[[Floats], Floats]
"""Normal numbers of mean 0 and SD 1, (n, d), correlated as it was said -> results, (n,)."""

EXTRA = "sensitivity"
CONFIDENCE = 0.9
RESAMPLES = 200
NEAREST = 1e-7  # that a uniform number comes to 0 or 1
INNER, OUTER = 0.05, 0.95  # between which the screening moves an input
TRAJECTORIES, LEVELS = 10, 4


class Indices(NamedTuple):
    """(d,) each: the index and the half-width of its 90 % interval."""

    first: Floats
    first_width: Floats
    total: Floats
    total_width: Floats


def evaluations(d: int, samples: int, correlated: bool) -> int:
    """How many results ``shares`` needs."""
    return samples * (2 + d * (2 if correlated else 1))


def shares(
    evaluate: Evaluated, correlation: Floats, which: Sequence[int], samples: int, seed: int
) -> Indices:
    """Indices of some of the inputs, those numbered ``which``, all of which vary.

    correlation : (d, d), positive definite; samples : a power of two.
    """
    d = len(correlation)
    independent = _independent(d, samples, seed)
    root = np.linalg.cholesky(correlation)
    a, b = (part @ root.T for part in independent)
    correlated = not np.array_equal(correlation, np.eye(d))
    rows = [a, b]
    rows += [_others_follow(a, b, correlation, i) for i in which]
    if correlated:
        rows += [_own_part(a, b, correlation, i) for i in which]
    results = evaluate(np.concatenate(rows)).reshape(len(rows), samples)
    following = results[2 : 2 + len(which)]
    alone = results[2 + len(which) :] if correlated else following
    first = _analysed(results[0], following, results[1], seed)
    total = _analysed(results[0], alone, results[1], seed)
    return Indices(first["S1"], first["S1_conf"], total["ST"], total["ST_conf"])


def groups(evaluate: Evaluated, roots: Sequence[Floats], samples: int, seed: int) -> Indices:
    """Indices of groups of inputs that are independent of each other; roots : of the correlation within each,
    whose columns lie side by side in what is evaluated."""
    d = sum(len(root) for root in roots)
    a, b = _independent(d, samples, seed)
    ends = np.cumsum([0, *(len(root) for root in roots)])
    rows = [a, b]
    for start, end in itertools.pairwise(ends):
        mixed = a.copy()
        mixed[:, start:end] = b[:, start:end]
        rows.append(mixed)
    for row in rows:
        for root, (start, end) in zip(roots, itertools.pairwise(ends), strict=True):
            row[:, start:end] = row[:, start:end] @ root.T
    results = evaluate(np.concatenate(rows)).reshape(len(rows), samples)
    found = _analysed(results[0], results[2:], results[1], seed)
    return Indices(found["S1"], found["S1_conf"], found["ST"], found["ST_conf"])


def screened(evaluate: Evaluated, d: int, seed: int) -> Floats:
    """(d,) mean absolute elementary effects (Morris 1991; Campolongo et al. 2007) of inputs that are moved
    one at a time between their 5 % and 95 % quantiles, for d + 1 results a trajectory."""
    optional("SALib", EXTRA)
    sampled = optional("SALib.sample.morris", EXTRA)
    analysed = optional("SALib.analyze.morris", EXTRA)
    problem = {"num_vars": d, "names": _names(d), "bounds": [[INNER, OUTER]] * d}
    places = sampled.sample(problem, TRAJECTORIES, num_levels=LEVELS, seed=seed)
    results = evaluate(norm.ppf(places))
    found = analysed.analyze(problem, places, results, num_resamples=10, num_levels=LEVELS, seed=seed)
    return np.asarray(found["mu_star"], dtype=np.float64)


def _names(d: int) -> list[str]:
    return [f"x{i}" for i in range(d)]


def _independent(d: int, samples: int, seed: int) -> tuple[Floats, Floats]:
    """Two samples of independent normal numbers, (samples, d) each, by a scrambled Sobol sequence."""
    sampled = optional("SALib.sample.sobol", EXTRA)
    problem = {"num_vars": d, "names": _names(d), "bounds": [[0.0, 1.0]] * d}
    places = sampled.sample(problem, samples, calc_second_order=False, seed=seed)
    normal = norm.ppf(np.clip(places, NEAREST, 1.0 - NEAREST)).reshape(samples, d + 2, d)
    return normal[:, 0], normal[:, -1]


def _others_follow(a: Floats, b: Floats, correlation: Floats, i: int) -> Floats:
    """a with input i from b, and the others with it, each by what is expected of it."""
    return np.asarray(a + np.outer(b[:, i] - a[:, i], correlation[i]))


def _own_part(a: Floats, b: Floats, correlation: Floats, i: int) -> Floats:
    """a with what the others do not say of input i from b."""
    others = [k for k in range(len(correlation)) if k != i]
    weights = np.linalg.solve(correlation[np.ix_(others, others)], correlation[others, i])
    moved = a.copy()
    moved[:, i] = a[:, others] @ weights + b[:, i] - b[:, others] @ weights
    return moved


def _analysed(a: Floats, mixed: Floats, b: Floats, seed: int) -> dict[str, Any]:
    analysed = optional("SALib.analyze.sobol", EXTRA)
    d = len(mixed)
    problem = {"num_vars": d, "names": _names(d), "bounds": [[0.0, 1.0]] * d}
    results = np.column_stack([a, *mixed, b]).ravel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of no variance, which the caller has refused
        return dict(
            analysed.analyze(
                problem,
                results,
                calc_second_order=False,
                num_resamples=RESAMPLES,
                conf_level=CONFIDENCE,
                seed=seed,
            )
        )
