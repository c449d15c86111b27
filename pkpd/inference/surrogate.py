"""A posterior density that takes long -> exact draws from it, through a surrogate that takes microseconds.

    q(u) ~ a + B u + u'C u/2    each number of which residuals are functions, by least squares on values and
                                gradients: mostly residuals themselves, before they are scored
                                (``Objective.smooth``)

Priors and bounds stay what they are (``density``); u are its white coordinates. The points that the
surrogate is fitted to are first drawn around the optimum, then from the surrogate itself, until the two
densities agree where it leads. Then each draw is proposed by a trajectory of Hamiltonian dynamics on the
surrogate, and the exact energy at its end accepts or refuses it:

    P(accept) = min(1, exp(H(u, p) - H(u', p')))    H = -log density of the model + p'p/2

A leapfrog along any gradient can be turned round and keeps volumes, so that what is drawn is the posterior
of the model, however rough the surrogate (Rasmussen 2003, Bayesian Statistics 7:651; Zhang, Shahbaba & Zhao
2017, Bayesian Anal 12:1295); a rough one costs acceptance, which is told. A draw takes one simulation without
sensitivities, a trajectory of NUTS several with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import ConvergenceError
from pkpd.core.progress import Progress
from pkpd.inference.by_nutpie import Chain, Counting, chains_of
from pkpd.inference.density import DensityPoint, PosteriorDensity, within
from pkpd.inference.objective import BadPoint

Array = NDArray[np.float64]

FIRST = 2
"""Points around the optimum for each coordinate: values and gradients at a quarter of them determine a
quadratic."""
FURTHER = 1
"""Points of each later round, for each coordinate."""
LEAST_POINTS = 20
LEAST_ROUNDS, ROUNDS = 4, 12
ALIKE = 0.5
"""Points of a round agree well enough if so many would be accepted as proposals that come from anywhere;
those of a trajectory come from nearer."""
RIDGE = 3.0
"""Curvature of a number counts as if it had been seen to be 0 so often, so that what no point shows stays
small."""
FAR = 7.0
"""A point counts less by a factor e for each so much that its log density lies below the median."""
SHALLOW = 5
"""Depth of the trees of a chain on the surrogate: deeper ones are wasted where it runs off."""
SHORT = 300
"""Draws of the warm-up of a chain on the surrogate, and of those that tell its covariance."""
THIN = 5
"""Draws from the surrogate for each point of a round, so that they tell different things."""
LONGEST = np.pi
"""Trajectories have lengths up to this, half a turn, in SDs of the surrogate: from there a normal
distribution would be drawn anew at a quarter."""
ENERGY_ERROR = 0.1
"""Typical error of the energy by the steps of a trajectory: what is refused is the surrogate's doing."""
COARSEST, FINEST = 0.5, 0.01
DIVERGED = 1000.0
"""An error of the energy beyond this is a divergence, as in other samplers. Where the surrogate's own is, the
model is not asked: the way back would have it, too."""


@dataclass(frozen=True)
class Quadratics:
    """Numbers q(u) = level + slope u + u' bend u/2: level (m,), slope (m, n), bend (m, n, n)."""

    level: Array
    slope: Array
    bend: Array

    def at(self, u: Array) -> tuple[Array, Array]:
        """Numbers (m,) and their derivatives (m, n) at u (n,)."""
        turned = self.bend @ u
        return self.level + (self.slope + turned / 2) @ u, self.slope + turned


def quadratics(u: Array, numbers: Array, jacobian: Array, weights: Array) -> Quadratics:
    """Least squares through values (n_points, m) and derivatives (n_points, m, n) at points (n_points, n)."""
    n, m = u.shape[1], numbers.shape[1]
    one, other = np.triu_indices(n)
    count = 1 + n + one.size
    square, product = np.zeros((count, count)), np.zeros((count, m))
    for point, value, slope, weight in zip(u, numbers, jacobian, weights, strict=True):
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


class SurrogateDraw(NamedTuple):
    """A draw from the surrogate, in what the sampler keeps of a draw: u (n,), and its log density (1,)."""

    x: Array
    rows: Array


class Surrogate:
    """A density with residuals of quadratic numbers, as a chain goes through it. Beyond ``reach`` from the
    centre, where no point has been, it falls off as a normal one."""

    def __init__(self, density: PosteriorDensity, numbers: Quadratics, reach: float = np.inf) -> None:
        self.density = density
        self.numbers = numbers
        self.reach = reach

    def __call__(self, u: Array) -> tuple[float, Array]:
        """Log density and gradient at u (n,); not numbers where a trajectory has run away."""
        with np.errstate(all="ignore"):
            there = within(self.density.centre + self.density.root @ u, *self.density.objective.bounds)
            value, by_u = self.density.besides_rows(there)
            numbers, jacobian = self.numbers.at(u)
            squares, by_numbers = self.density.objective.squares_of(numbers)
            value -= squares / 2
            by_u = by_u - by_numbers @ jacobian / 2
            distance = float(np.linalg.norm(u))
            if (beyond := distance - self.reach) > 0:
                value -= beyond**2 / 2
                by_u = by_u - beyond / distance * u
            return value, by_u

    def kept(self, u: Array) -> SurrogateDraw:
        return SurrogateDraw(u, np.array([self(u)[0]]))


@dataclass
class _Points:
    """Points at which the model was asked, with the log density there."""

    density: PosteriorDensity
    u: list[Array] = field(default_factory=list)
    numbers: list[Array] = field(default_factory=list)
    jacobian: list[Array] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def ask(self, u: Array) -> float:
        """The exact log density at u (n,); -inf where the model cannot be simulated."""
        density = self.density
        there = within(density.centre + density.root @ u, *density.objective.bounds)
        try:
            numbers, jacobian = density.objective.smooth(there.x)
        except BadPoint:
            return -np.inf
        value = density.besides_rows(there)[0] - density.objective.squares_of(numbers)[0] / 2
        self.u.append(u)
        self.numbers.append(numbers)
        self.jacobian.append(density.by_u(there, jacobian))
        self.value.append(value)
        return value

    def surrogate(self) -> Surrogate:
        value = np.array(self.value)
        weights = np.exp(np.minimum((value - np.median(value)) / FAR, 0.0))
        arrays = (np.array(self.u), np.array(self.numbers), np.array(self.jacobian))
        reach = float(np.linalg.norm(self.u, axis=1).max())
        return Surrogate(self.density, quadratics(*arrays, weights), reach)


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


class FittedSurrogate(NamedTuple):
    """A surrogate; the root (n, n) of the covariance of its draws; places (count, n) where it led and the
    model agreed; and how many gradients it took."""

    surrogate: Surrogate
    root: Array
    places: Array
    gradients: int


def surrogate_of(density: PosteriorDensity, seed: int, progress: Progress) -> FittedSurrogate:
    """A surrogate around the centre of a density.

    Raises ``ConvergenceError`` where the model can be simulated at none of its points."""
    generator = np.random.default_rng([seed, 1])
    n = density.centre.size
    points = _Points(density)
    first, further = (max(each * n, LEAST_POINTS) for each in (FIRST, FURTHER))
    wanted = first + LEAST_ROUNDS * further

    def told(done: int) -> None:
        progress("fitting a surrogate", min(done / wanted, 1.0), f"gradient {done} of {wanted} or more")

    for k in range(first):
        told(len(points.u))
        points.ask(generator.standard_normal(n) * (k > 0))
    for number in range(ROUNDS):
        if not points.u:
            break
        surrogate = points.surrogate()
        led = _led(surrogate, further, seed + number)
        weights = np.empty(len(led))
        for k, u in enumerate(led):
            told(len(points.u))
            weights[k] = points.ask(u) - surrogate(u)[0]
        enough = number + 1 >= LEAST_ROUNDS and acceptance(weights) >= ALIKE
        if enough or number + 1 == ROUNDS:
            surrogate = points.surrogate()
            drawn = _led(surrogate, SHORT, seed + ROUNDS)
            root = np.linalg.cholesky(np.atleast_2d(np.cov(drawn.T)))
            places = led[weights >= np.median(weights)]
            return FittedSurrogate(surrogate, root, places, len(points.u))
        wanted = max(wanted, len(points.u) + further)
    raise ConvergenceError("the model cannot be simulated around the optimum: there is no surrogate of it")


def _led(surrogate: Surrogate, count: int, seed: int) -> Array:
    """Where the surrogate leads: draws, (count, n)."""
    (chain,), interrupted = chains_of(
        [surrogate],
        [np.zeros(surrogate.density.centre.size)],
        1,
        tune=SHORT,
        draws=THIN * count,
        seeds=[seed],
        cores=1,
        told=lambda done, total: None,
        deepest=SHALLOW,
    )
    if interrupted:
        raise KeyboardInterrupt
    return chain.x[::THIN][:count]


def chains_through(
    made: FittedSurrogate,
    exact: Sequence[PosteriorDensity],
    *,
    tune: int,
    draws: int,
    seeds: Sequence[int],
    cores: int,
    told: Counting,
) -> tuple[list[Chain], bool]:
    """One chain for each exact density and seed, and whether Ctrl-C ended them: then as many draws as there
    are. ``tune`` draws are not kept."""
    step_size = _step_size(made, seeds[0])
    chains = [
        _Trajectories(made, density, step_size, seed) for density, seed in zip(exact, seeds, strict=True)
    ]
    done, interrupted = 0, False
    try:
        with ThreadPoolExecutor(cores) as pool:
            for done in range(1, tune + draws + 1):
                list(pool.map(_Trajectories.draw, chains))
                told(done * len(chains), (tune + draws) * len(chains))
    except KeyboardInterrupt:
        interrupted = True
    return [chain.kept(tune) for chain in chains], interrupted


class _Trajectories:
    """A chain: where it stands, and what there is to say of where it has stood."""

    def __init__(self, made: FittedSurrogate, density: PosteriorDensity, step_size: float, seed: int) -> None:
        self.made, self.density, self.step_size = made, density, step_size
        self.generator = np.random.default_rng([seed, 2])
        self.u = made.places[self.generator.integers(len(made.places))]
        self.point = density.at(self.u, gradient=False)
        self.points: list[DensityPoint] = []
        self.told: list[tuple[float, int, bool, float]] = []

    def draw(self) -> None:
        """One more state: the end of a trajectory of random length, or the same again."""
        momentum = self.generator.standard_normal(self.u.size)
        steps = int(self.generator.integers(1, math.ceil(LONGEST / self.step_size) + 1))
        uniform = self.generator.random()
        u, at_end = leapfrog(self.made, self.u, momentum, self.step_size, steps)
        kept = abs(_energy(self.made, u, at_end) - _energy(self.made, self.u, momentum)) < DIVERGED
        point = self.density.at(u, gradient=False) if kept else None
        energy = float(momentum @ momentum) / 2 - self.point.value
        rise = float(at_end @ at_end) / 2 - point.value - energy if point else math.inf
        probability = math.exp(-max(rise, 0.0))
        if point and uniform < probability:
            self.u, self.point = u, point
        self.points.append(self.point)
        self.told.append((probability, steps, not rise < DIVERGED, energy))

    def kept(self, tune: int) -> Chain:
        """The states after the first ``tune``."""
        points = self.points[tune:]
        probability, steps, diverging, energy = np.array(self.told, dtype=float).reshape(-1, 4)[tune:].T
        statistics = {
            "lp": np.array([point.value for point in points]),
            "acceptance_rate": probability,
            "n_steps": steps.astype(int),
            "diverging": diverging.astype(bool),
            "energy": energy,
            "step_size": np.full(len(points), self.step_size),
        }
        return Chain(
            np.array([point.x for point in points]), np.array([point.rows for point in points]), statistics
        )


def leapfrog(
    made: FittedSurrogate, u: Array, momentum: Array, step_size: float, steps: int
) -> tuple[Array, Array]:
    """Place and momentum (n,) at the end of a trajectory on the surrogate; momenta are those of
    ``made.root``'s coordinates, where the surrogate has the scale 1."""
    with np.errstate(all="ignore"):  # one that runs away is refused
        p = momentum + step_size / 2 * (made.surrogate(u)[1] @ made.root)
        for k in range(steps):
            u = u + step_size * (made.root @ p)
            p = p + (step_size if k + 1 < steps else step_size / 2) * (made.surrogate(u)[1] @ made.root)
            if not np.isfinite(p).all():
                break
    return u, p


def _energy(made: FittedSurrogate, u: Array, momentum: Array) -> float:
    """Of the surrogate, at place and momentum (n,)."""
    with np.errstate(all="ignore"):
        return float(momentum @ momentum) / 2 - made.surrogate(u)[0]


def _step_size(made: FittedSurrogate, seed: int) -> float:
    """The coarsest of steps, each half of the one before, that keeps the surrogate's own energy."""
    generator = np.random.default_rng([seed, 3])
    step_size = COARSEST
    while step_size > FINEST:
        errors = []
        for u in made.places[:10]:
            p = generator.standard_normal(u.size)
            end, at_end = leapfrog(made, u, p, step_size, math.ceil(LONGEST / step_size))
            error = abs(_energy(made, end, at_end) - _energy(made, u, p))
            errors.append(error if np.isfinite(error) else np.inf)
        if np.median(errors) <= ENERGY_ERROR:
            break
        step_size /= 2
    return step_size
