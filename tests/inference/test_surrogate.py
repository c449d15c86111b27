"""A surrogate is exact where residuals are quadratic, its gradient is its own, and what it proposes is
accepted so that the posterior is drawn, whatever the surrogate. Draws of both samplers stand against closed
forms in ``test_posterior_draws``."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from pkpd.core.progress import quiet
from pkpd.inference.density import PosteriorDensity
from pkpd.inference.search import minimise
from pkpd.inference.surrogate import (
    Quadratics,
    Surrogate,
    acceptance,
    chains_through,
    leapfrog,
    quadratics,
    surrogate_of,
)
from tests.inference.test_posterior_draws import Problem, draws_of, error, needs_nutpie


def test_quadratic_residuals_are_found_from_few_values_and_gradients(monkeypatch):
    monkeypatch.setattr("pkpd.inference.surrogate.RIDGE", 1e-9)
    generator = np.random.default_rng(4)
    n, m = 4, 3
    bend = generator.standard_normal((m, n, n))
    true = Quadratics(
        generator.standard_normal(m), generator.standard_normal((m, n)), bend + bend.transpose(0, 2, 1)
    )
    points = generator.standard_normal((6, n))
    values, slopes = map(np.array, zip(*map(true.at, points), strict=True))
    found = quadratics(points, values, slopes, np.linspace(0.5, 1.0, 6))
    np.testing.assert_allclose(found.level, true.level, atol=1e-6)
    np.testing.assert_allclose(found.slope, true.slope, atol=1e-6)
    np.testing.assert_allclose(found.bend, true.bend, atol=1e-6)


@pytest.mark.parametrize("sd", [0.2, 1.0, 2.0])
def test_acceptance_is_that_of_normal_log_weights(sd):
    # under the exact density log weights are sd^2 higher, so that log w(u') - log w(u) ~ N(-sd^2, 2 sd^2)
    log_weights = sd * norm.ppf((np.arange(4000) + 0.5) / 4000)
    assert math.isclose(acceptance(log_weights), 2 * norm.cdf(-sd / math.sqrt(2)), abs_tol=0.01)


def test_what_cannot_be_simulated_is_not_accepted():
    assert acceptance(np.array([0.0] * 50 + [-np.inf] * 50)) == pytest.approx(0.5, abs=0.01)
    assert acceptance(np.array([0.0, -np.inf])) == 0.0


def bent():
    """A ridge along a parabola, and a residual that no quadratic follows."""
    return Problem(
        lambda x: np.array([x[0] / 1.2, (x[1] - x[0] ** 2) / 0.8, np.exp(0.5 * x[1]) - 1.0]),
        [0.1, 0.1],
        sd=2.0,
    )


def made(problem, seed=1):
    minimum = minimise(problem, problem.start, max_evaluations=200, tolerance=1e-9)
    density = PosteriorDensity(problem, minimum)
    return density, surrogate_of(density, seed, quiet)


@needs_nutpie
def test_the_gradient_is_that_of_the_surrogate():
    density, found = made(bent())
    for u in (np.array([0.2, -0.3]), np.array([-1.5, 2.0])):
        step = 1e-6
        numeric = [
            (found.surrogate(u + move)[0] - found.surrogate(u - move)[0]) / (2 * step)
            for move in step * np.eye(2)
        ]
        np.testing.assert_allclose(found.surrogate(u)[1], numeric, rtol=1e-5, atol=1e-6)
    assert math.isclose(density.at(np.zeros(2)).value, found.surrogate(np.zeros(2))[0], abs_tol=0.5)


@needs_nutpie
@pytest.mark.parametrize("shift", [0.0, 0.6], ids=["fitted", "a wrong one"])
def test_a_wrong_surrogate_costs_acceptance_and_changes_nothing(shift):
    problem = bent()
    density, found = made(problem)
    right = found.surrogate.numbers
    wrong = Surrogate(density, Quadratics(right.level + shift, right.slope, right.bend))
    chains, interrupted = chains_through(
        found._replace(surrogate=wrong),
        [density] * 2,
        tune=50,
        draws=3000,
        seeds=[5, 6],
        cores=1,
        told=lambda *_: None,
    )
    assert not interrupted
    x = np.stack([chain.x for chain in chains])
    grid = np.stack(np.meshgrid(np.linspace(-6, 6, 401), np.linspace(-6, 12, 601), indexing="ij"), axis=-1)
    cost = (
        (grid[..., 0] / 1.2) ** 2
        + ((grid[..., 1] - grid[..., 0] ** 2) / 0.8) ** 2
        + (np.exp(0.5 * grid[..., 1]) - 1.0) ** 2
        + (((grid - problem.start) / 2.0) ** 2).sum(axis=-1)
    )
    weight = np.exp(-cost / 2) / np.exp(-cost / 2).sum()
    for k in range(2):
        mean = float((weight * grid[..., k]).sum())
        square = float((weight * grid[..., k] ** 2).sum())
        assert abs(x[..., k].mean() - mean) < 4 * error(x[..., k])
        assert abs((x[..., k] ** 2).mean() - square) < 4 * error(x[..., k] ** 2)
    np.testing.assert_allclose(
        chains[0].rows.sum(axis=1),
        [-float(np.sum(problem.evaluate(one).residuals ** 2)) / 2 for one in chains[0].x],
    )


@needs_nutpie
def test_how_many_were_accepted_is_told():
    found = draws_of(bent(), draws=200, surrogate=True)
    (said,) = found.remarks
    assert f"{found.statistics['acceptance_rate'].mean():.0%} were accepted" in said


@needs_nutpie
def test_a_trajectory_can_be_turned_round_and_keeps_the_energy_of_the_surrogate():
    _, found = made(bent())
    u, p = np.array([0.3, -0.4]), np.array([0.7, -1.1])
    errors = []
    for steps in (16, 32):
        end, at_end = leapfrog(found, u, p, 1.0 / steps, steps)
        back, at_start = leapfrog(found, end, -at_end, 1.0 / steps, steps)
        np.testing.assert_allclose(back, u, atol=1e-12)
        np.testing.assert_allclose(-at_start, p, atol=1e-12)
        errors.append(found.surrogate(end)[0] - at_end @ at_end / 2 - found.surrogate(u)[0] + p @ p / 2)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)  # a method of order 2
