"""Draws are those of the posterior: of a normal linear model its mean, SDs and correlations in closed form,
within bounds those of the truncated normal, with a uniform prior those of the parameter itself. A seed gives
the same draws with any number of threads. What cannot be trusted is told: two modes, chains that are too
short. Draws are kept and read again, and stand in place of the normal approximation wherever a fit's
uncertainty is drawn."""

import copy
import dataclasses
import math
import os
import signal
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import multivariate_normal, truncnorm

import pkpd
from pkpd.core.errors import DataError, InputError, LibraryError, MissingExtraError
from pkpd.core.progress import quiet
from pkpd.inference import fit, read_fit
from pkpd.inference.by_arviz import mixing
from pkpd.inference.density import PosteriorDensity, blocks_of, log_likelihood, outside, within
from pkpd.inference.draws import PosteriorDraws
from pkpd.inference.objective import minus_2ll_of
from pkpd.inference.optimum import optimum_of, read_result
from pkpd.inference.posterior_draws import estimates_of, of_searches, sampled, trusted
from pkpd.inference.search import minimise
from tests import toy
from tests.inference.test_search import Problem as ClosedForm
from tests.inference.test_search import line

needs_nutpie = pytest.mark.usefixtures("nutpie")


class Problem(ClosedForm):
    """Residuals in closed form, each of which is a row; prior : of every coordinate, in words."""

    errors = None

    def __init__(self, residuals, start, *, prior="none", **given):
        super().__init__(residuals, start, **given)
        self.coordinates = tuple(replace(c, prior=prior) for c in self.coordinates)
        self.rows = [None] * len(residuals(self.start))
        self.bad, self.reasons = 0, []

    def evaluate(self, x, *, jacobian=False):
        found = super().evaluate(x, jacobian=jacobian)
        terms = tuple(SimpleNamespace(residuals=r[None], constant=0.0) for r in found.residuals)
        return dataclasses.replace(found, terms=terms)

    def smooth(self, x):
        found = self.evaluate(x, jacobian=True)
        return found.residuals, found.jacobian

    def squares_of(self, numbers):
        return float(numbers @ numbers), 2 * numbers

    def on_threads(self, count):
        return self


def draws_of(problem, *, chains=2, tune=300, draws=1500, seed=1, cores=2, surrogate=False):
    minimum = minimise(problem, problem.start, max_evaluations=200, tolerance=1e-9)
    return sampled(problem, minimum, chains, tune, draws, seed, cores, quiet, surrogate=surrogate)


either_way = pytest.mark.parametrize("surrogate", [False, True], ids=["NUTS", "surrogate"])


def error(values):
    """Monte-Carlo standard error of the mean of draws (chains, draws)."""
    return float(values.std() / math.sqrt(mixing(values[..., None]).ess_bulk[0]))


# --- the density ----------------------------------------------------------------------------------


def test_points_beyond_a_bound_are_read_as_their_images_and_none_lies_outside_of_two():
    lower, upper = np.array([0.0, -np.inf, -np.inf]), np.array([np.inf, 2.0, np.inf])
    inside = within(np.array([0.3, 1.5, -7.0]), lower, upper)
    np.testing.assert_allclose(inside.x, [0.3, 1.5, -7.0])
    np.testing.assert_array_equal(inside.slope, 1.0)
    beyond = within(np.array([-0.3, 2.5, 9.0]), lower, upper)
    np.testing.assert_allclose(beyond.x, [0.3, 1.5, 9.0])
    np.testing.assert_array_equal(beyond.slope, [-1, -1, 1])
    y, low, high = np.linspace(-30, 30, 61), np.full(61, 0.5), np.full(61, 0.75)
    between = within(y, low, high)
    assert np.all((between.x >= 0.5) & (between.x <= 0.75))
    middle = np.abs(y) < 2
    np.testing.assert_allclose(outside(between.x, low, high)[middle], y[middle])


@pytest.mark.parametrize(("scale", "prior"), [("log", "uniform(0.01, 9)"), ("logit", "uniform(0.1, 0.9)")])
def test_the_gradient_is_that_of_the_density_bounds_and_uniform_priors_included(scale, prior):
    matrix = np.array([[2.0, 0.3], [0.5, 1.0], [1.0, -1.0]])
    problem = Problem(
        lambda x: matrix @ np.sin(x) - 0.4,
        [0.2, -0.1],
        scale=scale,
        prior=prior,
        lower=[-2, -2],
        upper=[2, 2],
    )
    density = PosteriorDensity(problem, minimise(problem, problem.start))
    for u in (np.array([0.3, -0.4]), np.array([5.0, -7.0])):
        found, step = density.at(u), 1e-6
        numeric = [
            (density.at(u + move).value - density.at(u - move).value) / (2 * step)
            for move in step * np.eye(2)
        ]
        np.testing.assert_allclose(found.gradient, numeric, rtol=1e-5, atol=1e-6)


def test_what_neither_rows_nor_priors_determine_has_no_posterior():
    problem = Problem(lambda x: np.array([x[0] - 1.0, x[0] - 1.2]) + 0 * x[1], [0.0, 0.0])
    with pytest.raises(DataError, match="neither rows nor priors determine x1"):
        PosteriorDensity(problem, minimise(problem, problem.start))


# --- the sampler ----------------------------------------------------------------------------------


@needs_nutpie
@either_way
def test_a_normal_linear_model_has_its_posterior_in_closed_form(surrogate):
    generator = np.random.default_rng(3)
    matrix, target = generator.standard_normal((6, 3)), generator.standard_normal(6)
    problem = Problem(line(matrix, target), [0.0, 0.5, 0.0], sd=0.8)
    covariance = np.linalg.inv(matrix.T @ matrix + np.eye(3) / 0.8**2)
    mean = covariance @ (matrix.T @ target + problem.start / 0.8**2)
    found = draws_of(problem, surrogate=surrogate)
    assert found.x.shape == (2, 1500, 3)
    for k in range(3):
        x = found.x[..., k]
        assert abs(x.mean() - mean[k]) < 4 * error(x)
        squares = (x - mean[k]) ** 2
        assert abs(squares.mean() - covariance[k, k]) < 4 * error(squares)
        product = (x - mean[k]) * (found.x[..., k - 1] - mean[k - 1])
        assert abs(product.mean() - covariance[k, k - 1]) < 4 * error(product)
    # rows and priors together are the density that was sampled, up to a constant
    prior = ((found.x - problem.start) / 0.8) ** 2
    together = found.log_likelihood.sum(axis=-1) - prior.sum(axis=-1) / 2
    assert np.ptp(together - found.statistics["lp"]) < 1e-9
    exact = multivariate_normal(mean, covariance).logpdf(found.x)
    assert np.ptp(exact - together) < 1e-9


@needs_nutpie
@either_way
def test_bounds_cut_the_posterior_off_and_nothing_else(surrogate):
    problem = Problem(line([[2.0]], [0.6]), [0.5], lower=[0.0], upper=[0.6])
    found = draws_of(problem, surrogate=surrogate).x[..., 0]
    exact = truncnorm((0.0 - 0.3) / 0.5, (0.6 - 0.3) / 0.5, 0.3, 0.5)
    assert 0.0 <= found.min() < 0.01
    assert 0.59 < found.max() <= 0.6
    assert abs(found.mean() - exact.mean()) < 4 * error(found)
    assert abs(found.var() - exact.var()) < 4 * error((found - exact.mean()) ** 2)


@needs_nutpie
@either_way
def test_a_uniform_prior_is_one_of_the_parameter_and_not_of_its_logarithm(surrogate):
    # the row sees exp(x) itself, so that the parameter is a normal, cut off
    problem = Problem(
        lambda x: (np.exp(x) - 1.0) / 0.5,
        [0.1],
        scale="log",
        prior="uniform(0.2, 3)",
        lower=[math.log(0.2)],
        upper=[math.log(3.0)],
    )
    found = np.exp(draws_of(problem, surrogate=surrogate).x[..., 0])
    exact = truncnorm((0.2 - 1) / 0.5, (3 - 1) / 0.5, 1.0, 0.5)
    assert abs(found.mean() - exact.mean()) < 4 * error(found)


@needs_nutpie
@either_way
def test_a_seed_gives_the_same_draws_with_any_number_of_threads(surrogate):
    problem = Problem(line([[1.0, 0.4], [0.0, 2.0]], [1.0, 2.0]), [0.0, 0.0])
    few = {"chains": 3, "tune": 50, "draws": 40, "surrogate": surrogate}
    one, other = (draws_of(problem, cores=cores, **few) for cores in (1, 3))
    np.testing.assert_array_equal(one.x, other.x)
    assert not np.array_equal(one.x, draws_of(problem, seed=2, **few).x)


def told(problem, found):
    estimates = estimates_of(problem.coordinates, found.x, [(0.0, 1.0)] * found.x.shape[2])
    return " ".join(trusted(estimates, found.x, found.statistics))


@needs_nutpie
def test_two_modes_are_told():
    problem = Problem(lambda x: (x**2 - 4.0) / 0.4, [0.2], sd=2.0)
    found = draws_of(problem, chains=6, draws=300)
    assert {-1.0, 1.0} == set(np.sign(found.x.mean(axis=(1, 2))))
    assert "The chains stand in 2 places, told apart most by x0" in told(problem, found)
    assert "ended in another optimum" in " ".join(of_searches(found.ends, found.ends[0]))
    easy = Problem(line([[1.0]], [1.0]), [0.0])
    assert told(easy, draws_of(easy, chains=4, draws=500)).startswith(
        "The chains agree: R-hat is at most 1.0"
    )


@needs_nutpie
def test_few_draws_and_divergences_are_told():
    problem = Problem(line([[1.0]], [1.0]), [0.0])
    found = draws_of(problem, draws=20)
    assert "fewer than 400" in told(problem, found)
    found.statistics["diverging"][0, :3] = True
    assert "3 of 40 draws ended in a divergence" in told(problem, found)


@needs_nutpie
def test_where_the_model_fails_the_density_is_0():
    problem = Problem(line([[1.0]], [0.0]), [0.5], fails=lambda x: x[0] > 1.0)
    x = draws_of(problem, draws=800).x
    assert x.max() <= 1.0
    assert abs(x.mean() - truncnorm(-np.inf, 1.0).mean()) < 5 * error(x[..., 0])


@needs_nutpie
def test_an_interrupt_keeps_the_draws_that_are_there():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        _interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted():
    problem = Problem(line([[1.0]], [0.0]), [0.5])
    kept, at = [], threading.Event()
    slow = copy.copy(problem)

    def evaluate(x, *, jacobian=False):
        kept.append(x)
        if len(kept) == 600 and not at.is_set():
            at.set()
            os.kill(os.getpid(), signal.SIGINT)
        return Problem.evaluate(problem, x, jacobian=jacobian)

    slow.evaluate = evaluate
    found = draws_of(slow, chains=2, tune=20, draws=100_000)
    assert found.interrupted
    assert 10 < found.x.shape[1] < 100_000
    assert np.isfinite(found.x).all()


def test_without_nutpie_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nutpie", None)
    with pytest.raises(MissingExtraError, match=r"this needs nutpie: pip install 'pkpd\[sample\]'"):
        pkpd.posterior_draws("low_dose_il2")
    with pytest.raises(LibraryError, match="low_dose_il2"):  # what is misspelt is told first
        pkpd.posterior_draws("low_dose_il")


# --- of a fit -------------------------------------------------------------------------------------


ROWS = """\
row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,spread_type,source,\
provenance
early,Beta,100 mg iv,30,100 mg iv once,C,value,at,0.5,h,mean,3.1,mg/L,0.13,SE,made up,reported
late,Beta,100 mg iv,30,100 mg iv once,C,value,at,12,h,mean,1.0,mg/L,0.06,SE,made up,reported
half,Beta,50 mg iv,20,50 mg iv once,C,value,at,4,h,mean,1.15,mg/L,0.06,SE,made up,reported
twice,Beta,200 mg iv,20,200 mg iv once,C,value,at,4,h,mean,4.3,mg/L,0.25,SE,made up,reported
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A fit of two estimates to four rows of three arms, with its result beside it."""
    folder = toy.write(tmp_path_factory.mktemp("draws") / "toy")
    text = (folder / "fit.toml").read_text(encoding="utf-8").partition("[study_effects]")[0]
    (folder / "fit.toml").write_text(text.replace('ka = "lognormal(1.5, 0.5)"\n', ""), encoding="utf-8")
    (folder / "data.csv").write_text(ROWS, encoding="utf-8")
    fit(folder, rival=False, leave_one_out=False, unverified=False, check=False).write_json(
        folder / "result.json"
    )
    return folder


@pytest.fixture(scope="module")
def draws(folder):
    pytest.importorskip("nutpie", reason="pip install 'pkpd[sample]'")
    return pkpd.posterior_draws(folder, chains=2, tune=150, draws=250)


@pytest.fixture(scope="module")
def result(folder):
    return pkpd.FitResult.read_json(folder / "result.json")


def test_rows_together_are_the_likelihood_and_those_of_the_same_patients_are_one_block(folder):
    optimum = optimum_of(*read_result(folder))
    rows = log_likelihood(optimum.objective, optimum.minimum.evaluation)
    assert -2 * rows.sum() == pytest.approx(minus_2ll_of(optimum.minimum.evaluation)[0], rel=1e-12)
    assert [row.id for row in optimum.objective.rows] == ["early", "late", "half", "twice"]
    assert blocks_of(optimum.objective) == (0, 0, 1, 2)


def test_draws_of_a_fit_lie_around_its_estimates(draws, result):
    assert draws.x.shape == (2, 250, 2)
    for drawn, estimate in zip(draws.estimates, result.estimates, strict=True):
        assert drawn.name == estimate.name
        assert abs(draws.x[..., result.estimates.index(estimate)].mean() - estimate.x) < estimate.x_sd
        assert drawn.lower < estimate.value < drawn.upper
    assert draws.notes
    assert draws.provenance["gradients"] > 800


def test_they_are_kept_and_read_again(draws, tmp_path):
    draws.write(tmp_path / "draws.npz")
    for place in (tmp_path, tmp_path / "draws.npz"):
        again = PosteriorDraws.read(place)
        np.testing.assert_array_equal(again.x, draws.x)
        np.testing.assert_array_equal(again.statistics["diverging"], draws.statistics["diverging"])
        assert (again.estimates, again.notes, again.blocks) == (draws.estimates, draws.notes, draws.blocks)
        assert again.summary() == draws.summary()
    (tmp_path / "other.npz").write_text("no draws", encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.npz has no posterior draws"):
        PosteriorDraws.read(tmp_path / "other.npz")
    with pytest.raises(DataError, match="`pkpd sample` writes it"):
        PosteriorDraws.read(tmp_path / "nowhere")


def test_arviz_gets_every_group(draws):
    data = draws.to_arviz()
    for group in ("posterior", "sample_stats", "log_likelihood", "observed_data", "prior"):
        assert group in str(data)
    np.testing.assert_array_equal(data["posterior"]["CL"].values, np.exp(draws.x[..., 0]))
    assert data["log_likelihood"]["block"].shape == (2, 250, 3)
    prior = np.log(data["prior"]["CL"].values)
    assert abs(prior.mean() - math.log(3)) < 4 * 0.5 / math.sqrt(prior.size)


def test_leaving_out_blocks_agrees_between_loo_and_waic(draws):
    loo, waic = draws.loo(), draws.waic()
    assert loo.blocks == ("early+late", "half", "twice")
    assert sum(loo.shares) == pytest.approx(loo.elpd)
    # where every k is low both estimate the same number
    assert abs(loo.elpd - waic.elpd) < 0.5
    assert loo.elpd < draws.block_log_likelihood.sum(axis=-1).mean()


def test_blocks_on_which_single_draws_decide_are_doubtful(draws):
    wild = dataclasses.replace(draws, log_likelihood=draws.log_likelihood * 40)
    assert wild.loo().doubtful


def test_virtual_subjects_and_scenes_take_them(draws, result, tmp_path, folder):
    draws.write(tmp_path / "draws.npz")
    people = pkpd.virtual_subjects(folder, 40, vary=["uncertainty"], posterior=draws)
    place = people.kernel.PARAMETERS.index("CL")
    np.testing.assert_allclose(people.values[:, place], np.exp(draws.points(40)[:, 0]), rtol=1e-12)
    assert set(draws.points(40)[:, 0]) <= set(draws.x[..., 0].ravel())
    more = pkpd.virtual_subjects(folder, 60, vary=["uncertainty"], posterior=tmp_path)
    np.testing.assert_array_equal(more.values[:40], people.values)
    scene = pkpd.Scene.create(folder, subjects=8, posterior=tmp_path)
    assert scene.about["posterior"] == str(tmp_path)
    with pytest.raises(InputError, match='vary by "uncertainty"'):
        pkpd.virtual_subjects(folder, 4, vary=["between"], posterior=draws)


def test_predictions_take_them(draws, result, folder):
    spec = read_fit(folder)
    few = dataclasses.replace(result, rows=result.rows[2:])
    by_draws, by_normal = (
        pkpd.predict(few, spec, posterior=given)["dose_response"][0]["curves"][0] for given in (draws, None)
    )
    assert by_draws["median"] == by_normal["median"]
    assert by_draws["low"] != by_normal["low"]


def test_draws_of_other_data_are_refused(draws, result, folder):
    other = dataclasses.replace(draws, provenance=draws.provenance | {"data_sha256": "0"})
    with pytest.raises(DataError, match="do not belong to the result"):
        pkpd.virtual_subjects(folder, 4, posterior=other)
