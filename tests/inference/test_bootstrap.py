"""Of a linear model the draws scatter as its covariance says and 90 % of its intervals hold the truth;
simulated trials print rows whose residuals are those of the likelihood; a small fit is recovered from its own
design."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from pkpd.core.errors import DataError
from pkpd.core.normal import Z95
from pkpd.inference import ModelSpec, StudyEffect, minimise
from pkpd.inference.bootstrap import Bootstrap, bias_corrected, bootstrap, redrawn, resampled
from pkpd.inference.objective import SAMPLING_SUBJECTS
from pkpd.inference.optimum import optimum_of, read_result
from pkpd.solver.executors import Processes, Threads
from tests import toy
from tests.inference.test_fit import OPTIONS, data, line, objective, parameter, system

DRAWS = 300


@pytest.fixture(scope="module")
def linear():
    """Means of one number in three studies, each with an effect of its own, and a prior: an objective, its
    optimum and draws."""
    values = {"A": 48.0, "B": 55.0, "C": 51.0}
    rows = data(
        *(
            line(
                f"{study}{k}",
                study,
                n="",
                schedule="none",
                time="0",
                value=value + k,
                spread=2,
                spread_type="SE",
            )
            for study, value in values.items()
            for k in range(2)
        )
    )
    s = system(E0=parameter("E0", 50.0, "1/uL", ("normal", (50.0, 3.0)), lower=-math.inf))
    model = ModelSpec("direct", free={"E0": None}, study_effects=(StudyEffect("E0", 4.0),))
    o = objective(rows, model, of=s, options=replace(OPTIONS, subjects=1))
    best = minimise(o, o.start)
    return o, best, [redrawn(o, best, [1, k]) for k in range(DRAWS)]


def test_of_a_linear_model_draws_scatter_as_the_covariance_says(linear):
    o, best, draws = linear
    found = {e.name: e for e in resampled(o, best, draws)}
    # y = mu + effect + error: by hand
    precision = 1 / 9 + 3 / (16 + 4 / 2)
    assert found["E0"].sd == pytest.approx(1 / math.sqrt(precision), rel=1e-3)
    for e in found.values():
        assert abs(e.bias) < 3.5 / math.sqrt(DRAWS), e.name
        assert abs(e.spread - 1) < 3.5 / math.sqrt(2 * DRAWS), e.name
        assert abs(e.covered - 0.9) < 3.5 * math.sqrt(0.09 / DRAWS), e.name
        for ends in (e.percentile, e.bca):  # quantiles of 300 draws: 0.16 SDs each, twice that by BCa
            np.testing.assert_allclose(ends, e.curvature, atol=0.5 * e.sd)
    assert all(draw.converged for draw in draws)


def test_effects_of_studies_and_what_priors_stand_for_are_drawn(linear):
    o, best, draws = linear
    truths = np.array([draw.truth for draw in draws])
    for k, coordinate in enumerate(o.coordinates):
        if coordinate.kind == "study effect":
            assert truths[:, k].std() == pytest.approx(4.0, rel=0.15)
        else:
            assert np.all(truths[:, k] == best.x[k])


def test_the_corrected_interval_of_a_variance_is_the_exact_one():
    """The example of Efron 1987 (JASA 82:171, sec. 1): an estimate of a variance, 1, by chi-square with 19
    degrees of freedom; his interval of 90 % is 0.63 to 1.88, by the percentiles alone 0.53 to 1.59."""
    x = np.random.default_rng(1).chisquare(19, 60_000) / 19
    low, high = bias_corrected(x - 1, x * math.sqrt(2 / 19))
    exact = 19 / chi2.ppf([0.975, 0.025], 19)
    np.testing.assert_allclose([1 + low, 1 + high], exact, rtol=0.03)
    assert np.quantile(x, 0.975) < 0.85 * exact[1]  # what is corrected
    assert math.isnan(bias_corrected(x[:20], x[:20])[0])


def test_a_scale_does_not_matter_to_the_corrected_interval():
    z = 0.3 * np.random.default_rng(2).standard_normal(20_000) + 0.1
    plain = bias_corrected(z, np.full(z.size, 0.3))
    grown = bias_corrected(np.expm1(z), 0.3 * np.exp(z))
    np.testing.assert_allclose(np.log1p(grown), plain, atol=0.03)
    np.testing.assert_allclose(plain, -0.1 + 0.3 * Z95 * np.array([-1, 1]), atol=0.03)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.write_agreed(tmp_path_factory.mktemp("bootstrap") / "toy")


@pytest.fixture(scope="module")
def found(folder):
    return bootstrap(folder, draws=60, threads=1)


def test_simulated_trials_print_rows_whose_residuals_are_those_of_the_likelihood(folder):
    optimum = optimum_of(*read_result(folder), threads=1)
    # trials come from many patients, whose SD is not quite that of the few of the fit
    o, x = optimum.objective.with_subjects(SAMPLING_SUBJECTS), optimum.minimum.x
    worlds = [o.with_rows(o.printed_at(x, [7, k])) for k in range(200)]
    z = np.array([world.coloured(world.evaluate(x).residuals) for world in worlds])
    assert np.all(np.abs(z.mean(axis=0)) < 3.5 / math.sqrt(len(z)))
    assert np.all(np.abs(z.std(axis=0) - 1) < 3.5 / math.sqrt(2 * len(z)))
    assert 0.03 <= np.mean(np.abs(z) > 1.96) <= 0.07
    # those of the same patients go together as the likelihood has it, but for its share of rounding
    np.testing.assert_allclose(np.corrcoef(z.T), o.sampling.correlation, atol=0.25)


def test_a_small_fit_is_recovered_from_its_own_design(found):
    assert found.failures == 0
    assert 0.85 <= found.covered <= 0.95
    for estimate in found.estimates:
        assert abs(estimate.bias) < 0.4
        assert estimate.percentile[0] < estimate.value < estimate.percentile[1]


def test_who_draws_makes_no_difference_and_more_draws_go_on(folder, found, tmp_path):
    first = bootstrap(folder, draws=3, threads=Processes(2), keep=tmp_path / "jobs")
    assert first.draws == found.draws[:3]
    assert "too few for 95 % intervals" in first.notes[0]
    again = bootstrap(folder, draws=5, threads=Threads(2), keep=tmp_path / "jobs", resume=True)
    assert again.draws == found.draws[:5]
    assert len(list((tmp_path / "jobs").glob("draw*.json"))) == 5
    assert bootstrap(folder, draws=2, seed=99, threads=1).draws != found.draws[:2]
    with pytest.raises(DataError, match="made with another seed"):
        bootstrap(folder, draws=5, seed=99, keep=tmp_path / "jobs", resume=True)


def test_it_is_read_back_and_tabulated(found, tmp_path):
    found.write_json(tmp_path / "b.json")
    assert Bootstrap.read_json(tmp_path / "b.json") == found
    assert found._repr_html_().count("<tr>") == 1 + len(found.estimates)
    found.write_csv(tmp_path / "b.csv")
    lines = [text for text in (tmp_path / "b.csv").read_text().splitlines() if not text.startswith("#")]
    assert [text.split(",")[0] for text in lines] == ["name", *(e.name for e in found.estimates)]
    with pytest.raises(DataError, match="not the JSON of a bootstrap"):
        Bootstrap.read_json(tmp_path / "b.csv")


def test_draws_that_fail_are_counted_and_told(linear):
    o, best, draws = linear
    failed = replace(draws[0], x=(), sd=(), converged=False, failed="A: it stopped")
    some = [failed, *draws[1:60]]
    from pkpd.inference.bootstrap import _notes

    estimates = resampled(o, best, some)
    assert estimates == resampled(o, best, draws[1:60])
    assert "Why draws failed: A: it stopped." in _notes(estimates, some)
    whole = Bootstrap("x", "x", estimates, tuple(some), False, (), {})
    assert whole.failures == 1
    assert whole.words()[0].startswith("59 of 60 draws were fitted, 1 failed.")
