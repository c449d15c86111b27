"""A fit -> draws from its posterior by NUTS, and in words whether they can be trusted.

    draws = posterior_draws("my_fit")
    print(draws.summary())
    draws.write("draws.npz")

The sampler begins at the optimum of the fit and moves in coordinates that are white there (``density``), one
chain after the other or side by side (``by_nutpie``). A chain is begun from its own search from a draw of the
priors: where these end in different places, the posterior has several modes, or may have.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, FLAG, PATH, WHOLE, of, takes
from pkpd.core.errors import InputError
from pkpd.core.extras import optional
from pkpd.core.progress import Progress, quiet
from pkpd.inference import FitResult
from pkpd.inference.belonging import BELONGING
from pkpd.inference.by_arviz import mixing
from pkpd.inference.by_nutpie import Chain, Counting, chains_of
from pkpd.inference.coordinates import Coordinate
from pkpd.inference.density import PosteriorDensity, Walk, blocks_of, overdispersed
from pkpd.inference.draws import PosteriorDraws, SampledEstimate, shown
from pkpd.inference.objective import BadPoint, Objective
from pkpd.inference.optimum import belonging, fit_of, optimum_of, read_result
from pkpd.inference.result import SAME_OPTIMUM
from pkpd.inference.search import OFV_NOISE, Minimum, minimise
from pkpd.inference.starts import FAR_BEHIND, PROBATION, START_TOLERANCE
from pkpd.inference.summary import likelihood
from pkpd.inference.surrogate import chains_through, surrogate_of
from pkpd.inference.visited import KeptDensity, VisitedPoints, kept_objective
from pkpd.solver.executors import usable_cores

Array = NDArray[np.float64]

AGREE = 1.01
"""R-hat up to which chains are taken to agree (Vehtari et al. 2021)."""
ENOUGH = 400
"""Effective draws, of middle and tails, from which on figures are stable (Vehtari et al. 2021)."""
LEAST_ENERGY = 0.3
"""Below this fraction of missing information a chain hardly gets from one level of energy to others
(Betancourt 2016, arXiv:1604.00695)."""
APART = 1.0
"""Chains stand in different places if their means of a parameter differ by more SDs than this."""
WARM = 10
"""Of the draws of a warm-up one in so many is made through a surrogate: nothing adapts any more."""
SELDOM = 0.2
"""A smaller share of a surrogate's proposals that are accepted is told to be few."""
MOST_NAMED = 5
MOST_TRIED = 50
"""Points from which searches are begun, until there is one for each chain."""


@takes(
    fit=PATH | of(FitResult, words="the result of a fit"),
    chains=COUNT,
    tune=COUNT,
    draws=COUNT,
    seed=WHOLE,
    surrogate=FLAG,
    threads=COUNT | ABSENT,
    keep=PATH | ABSENT,
    resume=FLAG,
    progress=CALLABLE | ABSENT,
)
def posterior_draws(
    fit: FitResult | str | os.PathLike[str],
    *,
    chains: int = 4,
    tune: int = 1000,
    draws: int = 1000,
    seed: int = 1,
    surrogate: bool = False,
    threads: int | None = None,
    keep: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> PosteriorDraws:
    """Draws from the full posterior of a fit, by the No-U-Turn sampler with exact gradients.

    Parameters
    ----------
    fit : a result, its file, or the name or folder of a fit. Of a folder it is the result that lies there, if
        it belongs to model and data as they are; else the fit is made first.
    chains : how many, each from a start of its own; two or more show whether they agree.
    tune, draws : of each chain, those of its warm-up, which are not kept, and those that are.
    seed : the same one gives the same draws, with any number of threads.
    surrogate : propose draws by a surrogate of the residuals and accept or refuse them by the model: the same
        posterior, with one simulation to a draw. For models that take a second; docs/posterior.md.
    threads : how many work at a time, chains first (None: all cores).
    keep : a folder for every point at which the density was asked.
    resume : asks none again that is in that folder: an interrupted run goes on, and one that is done to more
        draws or chains.
    progress : called with (what, share, remark).

    Returns
    -------
    PosteriorDraws : after Ctrl-C those that are there, marked ``interrupted`` (``KeyboardInterrupt`` where
        there are none yet).

    Raises
    ------
    InputError : or one of its kinds: no such fit, a result of other files, a fit of which neither rows nor
        priors determine a parameter, a folder to go on from that is of another fit, seed or warm-up.
    ConvergenceError : the model cannot be simulated where the fit ended.
    MissingExtraError : nutpie or ArviZ is not installed: ``pip install 'pkpd[sample]'``.

    Examples
    --------
    Draws take minutes and more; docs/posterior.md makes some.

    >>> import pkpd
    >>> pkpd.posterior_draws("low_dose_il2", chains=0)
    Traceback (most recent call last):
    ...
    pkpd.core.errors.InputError: posterior_draws: chains must be a whole number from 1 on, not 0 (int)
    """
    if seed < 0:
        raise InputError(f"posterior_draws: seed must be 0 or more, not {seed}")
    if not isinstance(fit, FitResult):
        fit_of(fit)  # a name that is misspelt is told first
    for package in ("nutpie", "arviz"):
        optional(package, "sample")
    began = time.perf_counter()
    progress = progress or quiet
    cores = threads or usable_cores()
    result, spec = read_result(fit, threads=cores, progress=progress)
    optimum = optimum_of(result, spec, threads=cores, progress=progress)
    objective = optimum.objective
    visited = None
    if keep is not None:
        about = belonging(result) | {"seed": seed, "warm-up": tune, "surrogate": surrogate}
        visited = VisitedPoints(keep, about, resume=resume)
    found = sampled(
        objective,
        optimum.minimum,
        chains,
        tune,
        draws,
        seed,
        cores,
        progress,
        surrogate=surrogate,
        visited=visited,
    )
    normal = [(estimate.x, estimate.x_sd) for estimate in result.estimates]
    estimates = estimates_of(objective.coordinates, found.x, normal)
    said = [
        *found.remarks,
        *trusted(estimates, found.x, found.statistics),
        *of_searches(found.ends, optimum.minimum),
        *_of_failures(found.bad, found.reasons),
        *_without_priors(objective.coordinates),
    ]
    return PosteriorDraws(
        result.name,
        result.title,
        estimates,
        found.x,
        found.log_likelihood,
        tuple(row.id for row in objective.rows),
        tuple(float(likelihood.observed(row)) for row in objective.rows),
        blocks_of(objective),
        found.statistics,
        found.interrupted,
        tuple(said),
        {key: result.provenance[key] for key in BELONGING}
        | {
            "ofv": result.ofv,
            "seed": seed,
            "tune": tune,
            "gradients": found.gradients,
            "surrogate": surrogate,
            "run_time_s": time.perf_counter() - began,
        },
    )


@dataclass(frozen=True)
class Sampled:
    """What the sampler gave: x (chains, draws, n), the log likelihood of rows (chains, draws, n_rows), by
    name what it tells of draws (chains, draws); where the searches ended that chains began from; how many
    points could not be simulated, with reasons; how many gradients all took; what there is to say of a
    surrogate."""

    x: Array
    log_likelihood: Array
    statistics: dict[str, NDArray[Any]]
    interrupted: bool
    ends: tuple[Minimum, ...]
    bad: int
    reasons: tuple[str, ...]
    gradients: int
    remarks: tuple[str, ...] = ()


def sampled(
    objective: Objective,
    minimum: Minimum,
    chains: int,
    tune: int,
    draws: int,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    surrogate: bool = False,
    visited: VisitedPoints | None = None,
) -> Sampled:
    """Draws around the lowest point of an objective; points that are known are not asked again."""

    def density(of: Objective) -> PosteriorDensity:
        return PosteriorDensity(of, minimum) if visited is None else KeptDensity(of, minimum, visited)

    kept_residuals = objective if visited is None else kept_objective(objective, visited)
    ends = _searches(kept_residuals, minimum, chains, seed, progress)
    side_by_side = min(chains, cores)
    alone = objective.on_threads(max(1, cores // side_by_side))
    seeds = [int(np.random.SeedSequence([seed, k]).generate_state(1)[0]) for k in range(chains)]
    if surrogate:
        made = surrogate_of(PosteriorDensity(kept_residuals, minimum), seed, progress)
        found, interrupted = chains_through(
            made,
            [density(alone) for _ in range(chains)],
            tune=math.ceil(tune / WARM),
            draws=draws,
            seeds=seeds,
            cores=side_by_side,
            told=_told(progress, visited),
        )
        gradients = made.gradients
    else:
        walks = [Walk(density(alone)) for _ in range(chains)]
        found, interrupted = chains_of(
            walks,
            _starts(density(objective), ends, seed),
            len(objective.rows),
            tune=tune,
            draws=draws,
            seeds=seeds,
            cores=side_by_side,
            told=_told(progress, visited),
        )
        gradients = sum(walk.visits for walk in walks)
    kept = _rectangle(found)
    if not kept:
        raise KeyboardInterrupt  # there is no draw yet
    statistics = {name: np.stack([chain.statistics[name] for chain in kept]) for name in kept[0].statistics}
    return Sampled(
        np.stack([chain.x for chain in kept]),
        np.stack([chain.rows for chain in kept]),
        statistics,
        interrupted,
        ends,
        alone.bad,
        tuple(dict.fromkeys(alone.reasons)),
        gradients,
        _of_surrogate(statistics, gradients) if surrogate else (),
    )


def _starts(density: PosteriorDensity, ends: Sequence[Minimum], seed: int) -> list[Array]:
    """Of each chain: two SDs around where its search ended."""
    generators = [np.random.default_rng([seed, k]) for k in range(1, len(ends) + 1)]
    return [
        overdispersed(density, _near(end, ends).x, generator.standard_normal(density.centre.size))
        for end, generator in zip(ends, generators, strict=True)
    ]


def _searches(
    objective: Objective, minimum: Minimum, chains: int, seed: int, progress: Progress
) -> tuple[Minimum, ...]:
    """For each chain where a search ended: for the first the optimum, for others from draws of the priors. A
    search that cannot begin is the optimum's, too."""
    ends = [minimum]
    for point in _from_priors(objective, seed):
        if len(ends) == chains:
            break
        progress("starts of the chains", len(ends) / chains, f"search {len(ends)} of {chains - 1}")
        try:
            ends.append(
                minimise(
                    objective,
                    point,
                    loose=True,
                    tolerance=START_TOLERANCE,
                    max_evaluations=objective.options.max_evaluations,
                    give_up=lambda at: at.iterations >= PROBATION and at.cost > minimum.cost + FAR_BEHIND,
                )
            )
        except BadPoint:
            continue
    return (*ends, *[minimum] * (chains - len(ends)))


def _from_priors(objective: Objective, seed: int) -> Iterator[Array]:
    """A few points drawn from the priors; studies do not differ in them."""
    generator = np.random.default_rng([seed, 0])
    spread = [0.0 if c.kind == "study effect" else c.size or 1.0 for c in objective.coordinates]
    for _ in range(MOST_TRIED):
        yield np.clip(objective.start + spread * generator.standard_normal(len(spread)), *objective.bounds)


def _near(end: Minimum, ends: Sequence[Minimum]) -> Minimum:
    """Where a chain begins: where its search ended, or at the best end if that is so far behind that the
    posterior has nothing there."""
    best = min(ends, key=lambda each: each.cost)
    return end if end.cost < best.cost + FAR_BEHIND else best


def _rectangle(chains: Sequence[Chain]) -> list[Chain]:
    """Chains of one length: of those that were ended early as many draws as possible in all."""
    order = sorted(range(len(chains)), key=lambda k: -len(chains[k].x))
    sizes = [(rank + 1) * len(chains[k].x) for rank, k in enumerate(order)]
    if not sizes or max(sizes) == 0:
        return []
    count = int(np.argmax(sizes)) + 1
    length = len(chains[order[count - 1]].x)
    return [chains[k].first(length) for k in sorted(order[:count])]


def _told(progress: Progress, visited: VisitedPoints | None) -> Counting:
    """Progress by draws, with the time that is left at the pace of those that were not known before."""
    began, known, before = time.perf_counter(), 0, visited.added if visited else 0

    def told(done: int, total: int) -> None:
        nonlocal began, known
        if visited is not None and visited.added == before:
            began, known = time.perf_counter(), done
        remark = f"draw {done:,} of {total:,}"
        if done > known:
            left = (time.perf_counter() - began) / (done - known) * (total - done)
            remark += f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"
        progress("drawing from the posterior", done / total, remark)

    return told


def estimates_of(
    coordinates: Sequence[Coordinate], x: Array, normal: Sequence[tuple[float, float]]
) -> tuple[SampledEstimate, ...]:
    """The posterior of each estimate in figures, from draws x (chains, draws, n); normal : mean and SD of its
    normal approximation."""
    found = []
    mixed = mixing(x)
    for k, c in enumerate(coordinates):
        values = shown(c.kind, c.scale, x[..., k])
        lower, median, upper = np.quantile(values, (0.025, 0.5, 0.975))
        found.append(
            SampledEstimate(
                name=c.name,
                kind=c.kind,
                unit=c.unit,
                scale=c.scale,
                prior=c.prior,
                centre=c.centre,
                prior_sd=c.sd,
                lowest=c.lower,
                highest=c.upper,
                fitted=normal[k][0],
                fitted_sd=normal[k][1],
                mean=float(values.mean()),
                sd=float(values.std()),
                median=float(median),
                lower=float(lower),
                upper=float(upper),
                r_hat=float(mixed.r_hat[k]),
                ess_bulk=float(mixed.ess_bulk[k]),
                ess_tail=float(mixed.ess_tail[k]),
            )
        )
    return tuple(found)


# --- in words -------------------------------------------------------------------------------------


def trusted(
    estimates: Sequence[SampledEstimate], x: Array, statistics: Mapping[str, NDArray[Any]]
) -> list[str]:
    """Whether the draws can be trusted, as sentences: places of chains, R-hat, effective draws, divergences,
    energy."""
    chains, draws, _ = x.shape
    said = _places(estimates, x, statistics["lp"])
    highest = max(estimates, key=lambda e: e.r_hat if math.isfinite(e.r_hat) else math.inf)
    fewest = min(estimates, key=lambda e: e.effective)
    if not math.isfinite(highest.r_hat):
        said.append("There are too few chains or draws for R-hat: whether chains agree is not known.")
    elif highest.r_hat > AGREE:
        over = sum(e.r_hat > AGREE for e in estimates)
        said.append(
            f"The chains do not agree yet: R-hat is above {AGREE} for {over} of {len(estimates)} estimates, "
            f"most for {highest.name} ({highest.r_hat:.3f}). Take more draws."
        )
    else:
        said.append(f"The chains agree: R-hat is at most {highest.r_hat:.3f} ({highest.name}).")
    few = fewest.effective
    if few < ENOUGH:
        said.append(
            f"Of {fewest.name} the {chains * draws:,} draws are worth {few:,.0f} independent ones, "
            f"fewer than {ENOUGH}: its interval is not stable. Take more draws."
        )
    else:
        said.append(f"Of every estimate they are worth at least {few:,.0f} draws ({fewest.name}).")
    if diverging := int(np.count_nonzero(statistics["diverging"])):
        said.append(
            f"{diverging:,} of {chains * draws:,} draws ended in a divergence: there is a part of the "
            "posterior that the sampler does not get into, and intervals may miss it."
        )
    energy = np.asarray(statistics["energy"], np.float64)
    with np.errstate(all="ignore"):
        fraction = np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)
    if np.any(fraction < LEAST_ENERGY):
        said.append(
            f"Chains hardly move between levels of energy (fraction {float(fraction.min()):.2f}, below "
            f"{LEAST_ENERGY}): tails of the posterior are heavy, and intervals may be too narrow."
        )
    return said


def _of_surrogate(statistics: Mapping[str, NDArray[Any]], gradients: int) -> tuple[str, ...]:
    share = float(np.mean(statistics["acceptance_rate"]))
    said = f"Proposed by a surrogate that was fitted to {gradients:,} gradients; {share:.0%} were accepted"
    if share < SELDOM:
        return (f"{said}, which is few: chains stand still where the surrogate is wrong.",)
    return (f"{said}.",)


def _places(estimates: Sequence[SampledEstimate], x: Array, lp: NDArray[Any]) -> list[str]:
    """A sentence if chains stand in several places."""
    means, within = x.mean(axis=1), np.sqrt(x.var(axis=1).mean(axis=0))
    with np.errstate(all="ignore"):
        far = np.abs(means[:, None] - means[None]) / within  # (chains, chains, n)
    far = np.nan_to_num(far)
    groups: list[set[int]] = []
    for k in range(len(x)):
        near = [group for group in groups if any(far[k, j].max() <= APART for j in group)]
        groups = [group for group in groups if group not in near] + [{k}.union(*near)]
    if len(groups) < 2:
        return []
    k = int(np.argmax(far.max(axis=(0, 1))))
    parts = []
    for group in sorted(groups, key=min):
        members = sorted(group)
        middle = float(np.median(shown(estimates[k].kind, estimates[k].scale, x[members, :, k])))
        chains = f"chain{'s' * (len(members) > 1)} {', '.join(str(j + 1) for j in members)}"
        parts.append(f"{chains} at {middle:.3g} (log density {float(lp[members].mean()):.1f})")
    return [
        f"The chains stand in {len(groups)} places, told apart most by {estimates[k].name}: "
        f"{'; '.join(parts)}. The posterior has several modes, whose weights these draws do not tell, or the "
        "chains have not come together."
    ]


def of_searches(ends: Sequence[Minimum], minimum: Minimum) -> list[str]:
    """A sentence if searches from draws of the priors ended elsewhere than the fit."""
    said = []
    lowest = min(end.cost for end in ends) - minimum.cost
    if lowest < -OFV_NOISE:
        said.append(
            f"A search from a draw of the priors ended {-lowest:.2g} in OFV below the optimum of the fit: "
            "fit again with more starts."
        )
    others = [
        end.cost - minimum.cost
        for end in ends
        if end.converged and end.cost < minimum.cost + FAR_BEHIND and _elsewhere(end, minimum)
    ]
    if others:
        said.append(
            f"Of {len(ends) - 1} searches from draws of the priors {len(others)} ended in another optimum "
            f"({', '.join(f'{other:+.1f}' for other in others)} in OFV): there may be several modes."
        )
    return said


def _elsewhere(end: Minimum, minimum: Minimum) -> bool:
    """Whether an end is another optimum: further from this one than a parabola with its curvature would have
    it at an end that is so little higher."""
    moved = float(np.linalg.norm(minimum.jacobian @ (end.x - minimum.x)))
    return moved**2 > 4 * max(end.cost - minimum.cost, 0.0) + 4 * SAME_OPTIMUM


def _of_failures(bad: int, reasons: Sequence[str]) -> list[str]:
    if not bad:
        return []
    return [
        f"At {bad:,} points the model could not be simulated, and the density was taken to be 0 there: "
        f"{'; '.join(reasons[:2])}."
    ]


def _without_priors(coordinates: Sequence[Coordinate]) -> list[str]:
    names = [
        c.name
        for c in coordinates
        if not math.isfinite(c.sd) and not (math.isfinite(c.lower) and math.isfinite(c.upper))
    ]
    if not names:
        return []
    return [
        f"Without a prior, and without bounds on both sides, are {', '.join(names[:MOST_NAMED])}: rows alone "
        "keep them from going anywhere; see `pkpd profile`."
    ]
