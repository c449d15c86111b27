"""A posterior density that takes long -> exact draws from it, through a surrogate that takes microseconds.

    r(u) ~ a + B u + u'C u/2    each residual of the rows, by least squares on values and gradients

Priors and bounds stay what they are (``density``); u are its white coordinates. The points that the
surrogate is fitted to are first drawn around the optimum, then from the surrogate itself, until the two
densities agree where it leads. Then a sampler draws from the surrogate, and each draw is a proposal that the
exact density accepts or refuses: an independence chain (Hastings 1970, Biometrika 57:97; Tierney 1994, Ann
Stat 22:1701), one of the surrogates of Christen & Fox 2005 (J Comput Graph Stat 14:795).

    P(accept u' from u) = min(1, w(u')/w(u))    w = exact density / that of the surrogate

So what is drawn is the posterior of the model, however rough the surrogate; a rough one costs acceptance,
which is told. A draw takes one simulation without sensitivities, a trajectory of NUTS several with.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import ConvergenceError
from pkpd.inference.by_nutpie import Chain, Told, chains_of
from pkpd.inference.density import DensityPoint, PosteriorDensity, within
from pkpd.inference.objective import BadPoint
from pkpd.inference.search import Progress

Array = NDArray[np.float64]

FIRST = 5
"""Points around the optimum for each coordinate: values and gradients at half as many determine a
quadratic."""
FURTHER = 2
"""Points of each later round, for each coordinate."""
LEAST_POINTS = 20
ROUNDS = 6
ALIKE = 0.5
"""Points of a round agree well enough if so many proposals would be accepted."""
RIDGE = 3.0
"""Curvature of a residual counts as if so many residuals of 0 had been seen of it, so that what no point
shows stays small."""
FAR = 7.0
"""A point counts less by a factor e for each so much that its log density lies below the median."""
SHORT = 300
"""Draws of the warm-up, and at least so many after it, that a round takes from the surrogate."""
THIN = 5
"""Draws from the surrogate for each proposal, so that proposals are independent."""
BURN_IN = 20
"""Proposals before the first draw that is kept: the first state is the surrogate's."""


@dataclass(frozen=True)
class Quadratics:
    """Residuals r(u) = level + slope u + u' bend u/2: level (m,), slope (m, n), bend (m, n, n)."""

    level: Array
    slope: Array
    bend: Array

    def at(self, u: Array) -> tuple[Array, Array]:
        """Residuals (m,) and their derivatives (m, n) at u (n,)."""
        turned = self.bend @ u
        return self.level + (self.slope + turned / 2) @ u, self.slope + turned


def quadratics(u: Array, residuals: Array, jacobian: Array, weights: Array) -> Quadratics:
    """Least squares through values (n_points, m) and derivatives (n_points, m, n) at points (n_points, n)."""
    n, m = u.shape[1], residuals.shape[1]
    one, other = np.triu_indices(n)
    count = 1 + n + one.size
    square, product = np.zeros((count, count)), np.zeros((count, m))
    for point, value, slope, weight in zip(u, residuals, jacobian, weights, strict=True):
        terms = np.zeros((n + 1, count))  # the value's, and those of the derivative by each coordinate
        terms[0] = np.concatenate([[1.0], point, point[one] * point[other]])
        terms[np.arange(1, n + 1), np.arange(1, n + 1)] = 1.0
        pairs = np.arange(1 + n, count)
        terms[1 + one, pairs] += point[other]
        terms[1 + other, pairs] += point[one]
        square += weight * (terms.T @ terms)
        product += weight * (terms.T @ np.concatenate([value[None], slope.T]))
    square[np.arange(count), np.arange(count)] += np.where(np.arange(count) > n, RIDGE, 1e-9)
    found = np.linalg.solve(square, product)
    bend = np.zeros((m, n, n))
    bend[:, one, other] += found[1 + n :].T
    bend[:, other, one] += found[1 + n :].T
    return Quadratics(found[0], found[1 : n + 1].T, bend)


class Place(NamedTuple):
    """A draw from the surrogate, in what the sampler keeps of a draw: u (n,), and its log density (1,)."""

    x: Array
    rows: Array


class Surrogate:
    """A density with quadratic residuals, as a chain goes through it."""

    def __init__(self, density: PosteriorDensity, residuals: Quadratics) -> None:
        self.density = density
        self.residuals = residuals

    def __call__(self, u: Array) -> tuple[float, Array]:
        """Log density and gradient at u (n,)."""
        there = within(self.density.centre + self.density.root @ u, *self.density.objective.bounds)
        value, by_u = self.density.besides_rows(there)
        residuals, jacobian = self.residuals.at(u)
        return value - float(residuals @ residuals) / 2, by_u - residuals @ jacobian

    def kept(self, u: Array) -> Place:
        return Place(u, np.array([self(u)[0]]))


@dataclass
class _Points:
    """Points at which the model was asked, with the log density there."""

    density: PosteriorDensity
    u: list[Array] = field(default_factory=list)
    residuals: list[Array] = field(default_factory=list)
    jacobian: list[Array] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def ask(self, u: Array) -> float:
        """The exact log density at u (n,); -inf where the model cannot be simulated."""
        density = self.density
        there = within(density.centre + density.root @ u, *density.objective.bounds)
        try:
            found = density.objective.evaluate(there.x, jacobian=True)
        except BadPoint:
            return -np.inf
        assert found.jacobian is not None  # it was asked for
        value = density.besides_rows(there)[0] - float(found.residuals @ found.residuals) / 2
        self.u.append(u)
        self.residuals.append(found.residuals)
        self.jacobian.append(density.by_u(there, found.jacobian))
        self.value.append(value)
        return value

    def surrogate(self) -> Surrogate:
        value = np.array(self.value)
        weights = np.exp(np.minimum((value - np.median(value)) / FAR, 0.0))
        arrays = (np.array(self.u), np.array(self.residuals), np.array(self.jacobian))
        return Surrogate(self.density, quadratics(*arrays, weights))


def acceptance(log_weights: Array) -> float:
    """The share of proposals that is accepted, from exact minus surrogate log densities (count,) at draws
    from the surrogate."""
    there = np.isfinite(log_weights)
    if np.count_nonzero(there) < 2:
        return 0.0
    standing = np.exp(np.where(there, log_weights - log_weights[there].max(), -np.inf))
    going = np.exp(np.minimum(log_weights[None] - np.where(there, log_weights, np.inf)[:, None], 0.0))
    np.fill_diagonal(going, 0.0)
    return float(standing @ going.sum(axis=1) / (standing.sum() * (log_weights.size - 1)))


class Made(NamedTuple):
    """A surrogate, how many gradients it took, and which share of proposals was acceptable where it led last,
    before the points there were added."""

    surrogate: Surrogate
    gradients: int
    acceptance: float


def surrogate_of(density: PosteriorDensity, seed: int, progress: Progress) -> Made:
    """A surrogate around the centre of a density.

    Raises ``ConvergenceError`` where the model can be simulated at no point."""
    generator = np.random.default_rng([seed, 1])
    n = density.centre.size
    points = _Points(density)
    first = max(FIRST * n, LEAST_POINTS)
    wanted = first + max(FURTHER * n, LEAST_POINTS)

    def told(done: int) -> None:
        progress("fitting a surrogate", min(done / wanted, 1.0), f"gradient {done} of {wanted} or more")

    for k in range(first):
        told(len(points.u))
        points.ask(generator.standard_normal(n) * (k > 0))
    if not points.u:
        raise ConvergenceError(
            "the model cannot be simulated around the optimum: there is no surrogate of it"
        )
    accepted = 0.0
    for number in range(ROUNDS):
        surrogate = points.surrogate()
        ways = _led(surrogate, max(FURTHER * n, LEAST_POINTS), seed + number)
        weights = []
        for u in ways:
            told(len(points.u))
            weights.append(points.ask(u) - surrogate(u)[0])
        accepted = acceptance(np.array(weights))
        if accepted >= ALIKE:
            break
        wanted += len(ways)
    return Made(points.surrogate(), len(points.u), accepted)


def _led(surrogate: Surrogate, count: int, seed: int) -> Array:
    """Where the surrogate leads: about ``count`` draws, (count, n)."""
    (chain,), interrupted = _draws(surrogate, 1, SHORT, max(SHORT, THIN * count), [seed])
    if interrupted:
        raise KeyboardInterrupt
    return chain.x[:: len(chain.x) // count][:count]


def _draws(
    surrogate: Surrogate, chains: int, tune: int, draws: int, seeds: Sequence[int]
) -> tuple[list[Chain], bool]:
    start = np.zeros(surrogate.density.centre.size)
    return chains_of(
        [surrogate] * chains,
        [start] * chains,
        1,
        tune=tune,
        draws=draws,
        seeds=seeds,
        cores=1,
        told=lambda done, total: None,
    )


def chains_through(
    surrogate: Surrogate,
    exact: Sequence[PosteriorDensity],
    *,
    tune: int,
    draws: int,
    seeds: Sequence[int],
    cores: int,
    told: Told,
) -> tuple[list[Chain], bool]:
    """One chain for each exact density and seed: proposals from the surrogate, accepted or refused by it; and
    whether Ctrl-C ended them, then as many draws as there are."""
    proposed, interrupted = _draws(surrogate, len(exact), tune, THIN * (BURN_IN + draws), seeds)
    if interrupted:
        raise KeyboardInterrupt
    proposals = [chain.first(THIN * (BURN_IN + draws)) for chain in proposed]
    states = [_State(np.random.default_rng([seed, 2])) for seed in seeds]
    done = 0
    try:
        with ThreadPoolExecutor(cores) as pool:
            for k in range(BURN_IN + draws):
                at = (k + 1) * THIN - 1
                asked = [
                    pool.submit(density.at, chain.x[at], gradient=False)
                    for density, chain in zip(exact, proposals, strict=True)
                ]
                for state, chain, answer in zip(states, proposals, asked, strict=True):
                    point = answer.result()
                    state.propose(point, point.value - float(chain.rows[at, 0]))
                done = k + 1
                told(done * len(states), (BURN_IN + draws) * len(states))
    except KeyboardInterrupt:
        interrupted = True
    kept = slice(BURN_IN, done)
    return [state.chain(chain, kept) for state, chain in zip(states, proposals, strict=True)], interrupted


class _State:
    """Where a chain stands, and where it has stood."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.log_weight = -np.inf
        self.points: list[DensityPoint] = []
        self.acceptance: list[float] = []

    def propose(self, point: DensityPoint, log_weight: float) -> None:
        """Go to a point, or stay; ``log_weight`` of a density of 0 is -inf."""
        probability = 1.0 if log_weight >= self.log_weight else float(np.exp(log_weight - self.log_weight))
        if self.generator.random() < probability or not self.points:
            self.log_weight = log_weight
        else:
            point = self.points[-1]
        self.points.append(point)
        self.acceptance.append(probability)

    def chain(self, proposals: Chain, kept: slice) -> Chain:
        """The states, with what the sampler told of the proposals; its energy is not one of theirs."""
        points = self.points[kept]
        told = {
            name: found[THIN - 1 :: THIN][kept]
            for name, found in proposals.statistics.items()
            if name != "energy"
        }
        told["lp"] = np.array([point.value for point in points])
        told["acceptance_rate"] = np.array(self.acceptance[kept])
        return Chain(
            np.array([point.x for point in points]), np.array([point.rows for point in points]), told
        )
