"""The probability of an adverse event is the posterior of four published counts, integrated right, and its
interval shows how few patients there were."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.core import library
from pkpd.core.errors import InputError
from pkpd.dosing import Schedule
from pkpd.inference.summary.reading import read_data
from pkpd.treg import tolerability

EVENT = tolerability.EVENT


def test_the_counts_are_those_of_the_fits_data_with_their_provenance():
    data = read_data(library.root() / "fits" / "low_dose_il2" / "data.csv")
    rows = [row for row in data.rows if row.id.startswith("hartemann_ae_")]
    assert [(row.value, row.n, row.provenance, row.doi) for row in rows] == [
        (count.events, count.n, count.provenance, count.doi) for count in tolerability.counts()
    ]
    doses = [Schedule.parse(row.schedule).total("MIU") / 5 for row in rows]
    np.testing.assert_allclose([count.dose for count in tolerability.counts()], doses)


@pytest.mark.parametrize("dose", [0.0, 0.33, 1.0, 2.0, 5.0])
def test_mean_and_interval_are_those_of_importance_sampling_from_the_prior(dose):
    generator = np.random.default_rng(1)
    p0, k = generator.random(400_000), np.exp(1.5 * generator.standard_normal(400_000))
    weights = np.ones(p0.size)
    for d, events in zip([0.0, 0.33, 1.0, 3.0], [1, 3, 5, 6]):
        p = 1 - (1 - p0) * np.exp(-k * d)
        weights *= p**events * (1 - p) ** (6 - events)
    p = 1 - (1 - p0) * np.exp(-k * dose)
    order = np.argsort(p)
    below = np.cumsum(weights[order]) / weights.sum()
    expected = [np.average(p, weights=weights), *p[order[np.searchsorted(below, [0.05, 0.95])]]]
    np.testing.assert_allclose(tolerability.posterior().probability(dose), expected, atol=0.004)


def test_draws_are_those_of_the_posterior():
    p0, k = tolerability.posterior().draws(20_000)
    for dose in (0.0, 1.0):
        p = tolerability.one_hit(p0, k, dose)
        expected = tolerability.posterior().probability(dose)
        np.testing.assert_allclose([p.mean(), *np.quantile(p, [0.05, 0.95])], expected, atol=0.004)


def test_the_posterior_covers_the_counts_and_is_as_wide_as_24_patients_leave_it():
    posterior = tolerability.posterior()
    for count in tolerability.counts():
        p = tolerability.one_hit(*posterior.draws(4000), count.dose)
        predicted = np.random.default_rng(2).binomial(count.n, p)
        assert np.quantile(predicted, 0.05) <= count.events <= np.quantile(predicted, 0.95)
    mean, low, high = posterior.probability(1.0)
    assert 0.6 < mean < 0.9 and high - low > 0.2


@settings(max_examples=30)
@given(dose=st.floats(0.01, 50.0), more=st.floats(0.01, 10.0))
def test_more_is_never_safer_and_draws_are_paired(dose, more):
    first, second = (
        tolerability.probability(Schedule.parse(f"{d:.6f} MIU sc daily x5"), 50) for d in (dose, dose + more)
    )
    assert np.all(second >= first) and np.all((first >= 0) & (second <= 1))
    nothing = tolerability.probability(Schedule.none(), 50)
    np.testing.assert_allclose(nothing, tolerability.posterior().draws(50)[0], rtol=1e-12)  # p at 0 is p0
    assert np.all(first >= nothing)


def test_the_dose_of_a_schedule_is_the_most_that_24_hours_hold():
    def p(text, **options):
        return tolerability.probability(Schedule.parse(text), 3, **options)

    np.testing.assert_allclose(p("1 MIU sc twice daily x10"), p("2 MIU sc daily x5"))
    np.testing.assert_allclose(p("1 MIU sc daily x2 then 3 MIU sc daily x2"), p("3 MIU sc daily x5"))
    bsa = np.array([1.5, 1.8, 2.1])
    np.testing.assert_allclose(
        p("0.5 MIU/m2 sc daily x5", sizes={"m2": bsa}),
        tolerability.one_hit(*tolerability.posterior().draws(3), 0.5 * bsa),
    )
    with pytest.raises(InputError, match="sizes"):
        p("0.5 MIU/m2 sc daily x5")
    assert np.isnan(p("1 mg sc daily x5")).all()


def test_it_says_where_it_extrapolates():
    def said(text):
        return " ".join(tolerability.warnings(Schedule.parse(text), sizes={"m2": 1.8}))

    assert said("1 MIU sc daily x5") == said("none") == ""
    assert "outside the 0.33 to 3 MIU" in said("5 MIU sc daily x5")
    assert "not of several" in said("1 MIU sc daily x5 every 28 d x3")
    assert "only five-day courses" in said("0.26 MIU/m2 sc every 3 d for 84 d")
    assert "under the skin" in said("1 MIU iv daily x5")
    assert "extrapolation" in EVENT.remark and "24 people" in EVENT.remark
    assert math.isclose(sum(count.n for count in tolerability.counts()), 24)
