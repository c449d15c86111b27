"""The posterior of one hit is that of closed forms where there are some, and its draws are of it."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from pkpd.core.errors import DataError
from pkpd.inference.one_hit import EventCount, OneHitPosterior, OneHitPrior, one_hit, read_counts
from pkpd.treg import tolerability

HEADER = "study,arm,daily_dose_mg,n,events,source,doi,provenance\n"


def count(dose, n, events):
    return EventCount("", "", dose, n, events, "", "", "reported")


def test_the_background_alone_is_a_beta_distribution_and_the_slope_keeps_its_prior():
    posterior = OneHitPosterior.of([count(0.0, 20, 5)], OneHitPrior(2.0, 0.8))
    beta = stats.beta(6, 16)
    assert posterior.probability(0.0) == pytest.approx([beta.mean(), *beta.ppf([0.05, 0.95])], abs=0.003)
    assert posterior.mean == pytest.approx((beta.mean(), 2.0), rel=1e-3)
    log_k = posterior.log_k - np.log(2.0)
    assert posterior.weights @ log_k**2 == pytest.approx(0.64, rel=1e-3)


def test_without_a_background_the_slope_is_that_of_numerical_integration():
    prior = OneHitPrior(0.5, 1.0, low=0.0, high=1e-9)
    posterior = OneHitPosterior.of([count(1.0, 10, 6), count(3.0, 10, 8)], prior)
    log_k = np.linspace(-6, 6, 20_001)
    p, q = (-np.expm1(-np.exp(log_k) * dose) for dose in (1.0, 3.0))
    weights = stats.norm.pdf(log_k, np.log(0.5), 1.0) * stats.binom.pmf(6, 10, p) * stats.binom.pmf(8, 10, q)
    assert np.log(posterior.mean[1]) == pytest.approx(weights @ log_k / weights.sum(), abs=1e-4)


def test_single_draws_are_of_the_posterior_and_within_the_range_of_the_background():
    prior = OneHitPrior(1.0, 1.0, low=0.1, high=0.3)
    posterior = OneHitPosterior.of([count(0.0, 10, 4), count(2.0, 10, 7)], prior)
    generator = np.random.default_rng(1)
    p0, k = np.array([posterior.draw(generator) for _ in range(4000)]).T
    assert 0.1 <= p0.min() < p0.max() <= 0.3
    for dose in (0.0, 1.0):
        p = one_hit(p0, k, dose)
        assert [p.mean(), *np.quantile(p, [0.05, 0.95])] == pytest.approx(
            posterior.probability(dose), abs=0.01
        )


@pytest.mark.parametrize("n", [2_000, 1_000_000])
def test_many_counts_are_no_less_precise_than_few(n):
    """With as many events as 1 - 0.9 exp(-0.6 dose) says, p0 and p(1) are independent beta variables."""
    shares = [1 - 0.9 * math.exp(-0.6 * dose) for dose in (0, 1)]
    events = [round(n * share) for share in shares]
    posterior = OneHitPosterior.of([count(k, n, events[k]) for k in (0, 1)], OneHitPrior(1.0, 2.0))
    for dose, some in enumerate(events):
        beta = stats.beta(1 + some, 1 + n - some)
        mean, low, high = posterior.probability(float(dose))
        assert mean == pytest.approx(beta.mean(), abs=0.15 * beta.std())
        assert (low, high) == pytest.approx(beta.ppf([0.05, 0.95]), abs=0.2 * beta.std())


def test_numbers_of_the_published_counts_stay_what_they_were():
    found = [tolerability.posterior().probability(dose)[0] for dose in (0.0, 0.33, 1.0, 3.0)]
    assert found == pytest.approx([0.25147638, 0.54003718, 0.80542472, 0.97108799], abs=1e-8)


def test_counts_are_read_by_the_unit_in_their_column(tmp_path):
    file = tmp_path / "counts.csv"
    file.write_text(HEADER + "S,a,2.5,8,3,here,,reported\n", encoding="utf-8")
    (found,) = read_counts(file, "mg")
    assert (found.dose, found.n, found.events, found.source) == (2.5, 8, 3, "here")
    with pytest.raises(DataError, match="daily_dose_miu"):
        read_counts(file, "MIU")


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("2.5,8,9", "events", '"9" must be a whole number from 0 to n = 8'),
        ("2.5,8,x", "events", '"x" must be a whole number'),
        ("-1,8,3", "daily_dose_mg", '"-1" is no dose'),
        ("nan,8,3", "daily_dose_mg", '"nan" is no dose'),
        ("x,8,3", "daily_dose_mg", '"x" is no dose'),
        ("1,6.5,3", "n", '"6.5" is no whole number'),
        ("1,0,0", "n", '"0" is no whole number'),
        (f"1,{'9' * 400},3", "n", "is no whole number"),
    ],
)
def test_a_count_that_cannot_be_is_named_with_its_line_and_column(tmp_path, row, column, words):
    file = tmp_path / "counts.csv"
    file.write_text(f"{HEADER}S,a,2.5,8,3,here,,reported\nS,a,{row},here,,reported\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_counts(file, "mg")
    assert re.search(rf"counts\.csv:3:\d+ \({column}\): ", str(caught.value))
    assert words in str(caught.value)
    file.write_text(HEADER, encoding="utf-8")
    with pytest.raises(DataError, match="there is no row"):
        read_counts(file, "mg")
