"""What was asked is not asked again: a run that was interrupted ends with the bits of one that was not, by
either sampler, whatever a power cut has left of the last record."""

import numpy as np
import pytest

from pkpd.core.errors import DataError
from pkpd.core.progress import quiet
from pkpd.inference.density import log_likelihood
from pkpd.inference.objective import minus_2ll_of
from pkpd.inference.optimum import optimum_of, read_result
from pkpd.inference.posterior_draws import sampled
from pkpd.inference.search import minimise
from pkpd.inference.visited import KeptDensity, VisitedPoints, kept_objective
from tests import toy
from tests.inference.test_posterior_draws import Problem, either_way, needs_nutpie
from tests.inference.test_search import line


class Counting(Problem):
    """A normal posterior of two coordinates that counts how often it is asked."""

    def __init__(self, **given):
        super().__init__(line([[1.0, 0.4], [0.0, 2.0]], [1.0, 2.0]), [0.0, 0.0], **given)
        self.asked = 0

    def evaluate(self, x, *, jacobian=False):
        self.asked += 1
        return super().evaluate(x, jacobian=jacobian)


def drawn(problem, visited, surrogate=False, chains=2, draws=40):
    minimum = minimise(problem, problem.start, max_evaluations=200, tolerance=1e-9)
    problem.asked = 0
    return sampled(problem, minimum, chains, 50, draws, 1, 2, quiet, surrogate=surrogate, visited=visited)


@needs_nutpie
@either_way
def test_a_run_goes_on_from_any_part_of_another_with_the_same_draws(tmp_path, surrogate):
    problem = Counting()
    alone = drawn(problem, None, surrogate)
    whole = problem.asked
    kept = VisitedPoints(tmp_path, {"seed": 1}, resume=False)
    np.testing.assert_array_equal(drawn(problem, kept, surrogate).x, alone.x)
    text = kept.path.read_bytes()
    kept.path.write_bytes(text[: len(text) // 2 + 3])  # in the middle of a record
    half = VisitedPoints(tmp_path, {"seed": 1}, resume=True)
    rest = drawn(problem, half, surrogate)
    for name in ("x", "log_likelihood"):
        np.testing.assert_array_equal(getattr(rest, name), getattr(alone, name))
    np.testing.assert_array_equal(rest.statistics["lp"], alone.statistics["lp"])
    assert 0.3 * kept.added < half.added < 0.7 * kept.added
    assert problem.asked < 0.8 * whole
    again = drawn(problem, VisitedPoints(tmp_path, {"seed": 1}, resume=True), surrogate)
    np.testing.assert_array_equal(again.x, alone.x)
    assert problem.asked == 0


@needs_nutpie
@either_way
def test_it_goes_on_to_more_draws_and_chains(tmp_path, surrogate):
    problem = Counting()
    first = drawn(problem, VisitedPoints(tmp_path, {}, resume=False), surrogate)
    more = drawn(problem, visited := VisitedPoints(tmp_path, {}, resume=True), surrogate, chains=3, draws=60)
    np.testing.assert_array_equal(more.x[:2, :40], first.x)
    assert visited.added > 0


def test_where_the_model_fails_it_is_asked_again_and_counted(tmp_path):
    problem = Counting(fails=lambda x: x[0] > 1.0)
    minimum = minimise(problem, problem.start)
    visited = VisitedPoints(tmp_path, {}, resume=False)
    density = KeptDensity(problem, minimum, visited)
    assert density.at(np.array([50.0, 0.0])).value == -np.inf
    assert visited.added == 0
    found = density.at(np.array([-0.5, 0.2]))
    again = KeptDensity(problem, minimum, VisitedPoints(tmp_path, {}, resume=True))
    problem.asked = 0
    known = again.at(np.array([-0.5, 0.2]))
    assert problem.asked == 0
    assert known.value == found.value
    for name in ("x", "gradient", "rows"):
        np.testing.assert_array_equal(getattr(known, name), getattr(found, name))
    assert again.at(np.array([-0.5, 0.2]), gradient=False).gradient.tolist() == [0.0, 0.0]
    assert problem.asked == 1


def test_evaluations_come_back_with_all_that_searches_and_likelihoods_look_at(tmp_path):
    folder = toy.write(tmp_path / "toy")
    objective = optimum_of(*read_result(folder)).objective
    x = objective.start
    found = kept_objective(objective, VisitedPoints(tmp_path / "kept", {}, resume=False)).evaluate(x)
    visited = VisitedPoints(tmp_path / "kept", {}, resume=True)
    known = kept_objective(objective, visited)
    again = known.evaluate(x)
    assert visited.added == 0
    np.testing.assert_array_equal(again.residuals, found.residuals)
    np.testing.assert_array_equal(log_likelihood(objective, again), log_likelihood(objective, found))
    assert minus_2ll_of(again) == minus_2ll_of(found)
    jacobian = known.with_jacobian(x, again).jacobian  # which no earlier run has asked for
    np.testing.assert_array_equal(jacobian, objective.evaluate(x, jacobian=True).jacobian)
    assert visited.added == 1


def test_jacobians_come_back_as_they_lay_in_memory_so_that_a_search_goes_the_same_way(tmp_path):
    objective = optimum_of(*read_result(toy.write(tmp_path / "toy"))).objective
    kept = VisitedPoints(tmp_path / "kept", {}, resume=False)
    first = kept_objective(objective, kept)
    alone, through = minimise(objective, objective.start), minimise(first, objective.start)
    numbers, slopes = first.smooth(objective.start)
    visited = VisitedPoints(tmp_path / "kept", {}, resume=True)
    known = kept_objective(objective, visited)
    again = minimise(known, objective.start)
    for found in (through, again):
        np.testing.assert_array_equal(found.x, alone.x)
        assert found.jacobian.strides == alone.jacobian.strides
    for found, was in zip(known.smooth(objective.start), (numbers, slopes), strict=True):
        np.testing.assert_array_equal(found, was)
        assert found.strides == was.strides
    assert visited.added == 0
    evaluated = known.evaluate(objective.start, jacobian=True).jacobian
    assert evaluated.strides == objective.evaluate(objective.start, jacobian=True).jacobian.strides


def test_points_of_something_else_are_not_gone_on_from_and_go_when_begun_anew(tmp_path):
    VisitedPoints(tmp_path, {"seed": 1}, resume=False).add(b"here", np.ones(3))
    with pytest.raises(DataError, match="another seed"):
        VisitedPoints(tmp_path, {"seed": 2}, resume=True)
    assert VisitedPoints(tmp_path, {"seed": 1}, resume=True).get(b"here").tolist() == [1, 1, 1]
    assert VisitedPoints(tmp_path, {"seed": 1}, resume=False).get(b"here") is None
    (tmp_path / "about.json").unlink()
    VisitedPoints(tmp_path, {}, resume=False).add(b"there", np.ones(1))
    (tmp_path / "about.json").unlink()  # whose they are is not known
    assert VisitedPoints(tmp_path, {}, resume=True).get(b"there") is None
