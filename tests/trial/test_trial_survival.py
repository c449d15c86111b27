"""Cox regression, log-rank test and Kaplan-Meier estimate against lifelines and scipy."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pkpd.trial.survival import cox, kaplan_meier, log_rank

lifelines = pytest.importorskip("lifelines")
pandas = pytest.importorskip("pandas")


def trial(seed, n=220, p=3, step=0.0):
    """Times, events and covariates; ``step``: times are whole multiples of it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * [1.0, 500.0, 0.01][:p]
    x[:, 0] = rng.permutation(n) % 2
    time = rng.exponential(1 / (0.002 * np.exp(-0.5 * x[:, 0] + 0.001 * x[:, 1 if p > 1 else 0])))
    censored = rng.uniform(200, 640, n)
    event, time = time < censored, np.minimum(time, censored)
    return (np.ceil(time / step) * step if step else time), event, x


@pytest.mark.parametrize("step", [0.0, 30.0, 120.0])
@pytest.mark.parametrize("p", [1, 3])
def test_cox_is_that_of_lifelines_with_and_without_ties(step, p):
    time, event, x = trial(1, p=p, step=step)
    frame = pandas.DataFrame(x, columns=[f"x{k}" for k in range(p)]).assign(time=time, event=event)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of covariates of small variance
        theirs = lifelines.CoxPHFitter().fit(
            frame, "time", "event", fit_options={"precision": 1e-12, "step_size": 1.0}
        )
    ours = cox(time, event, x)
    np.testing.assert_allclose(ours.beta, theirs.params_, rtol=1e-6)
    np.testing.assert_allclose(ours.se, theirs.standard_errors_, rtol=1e-6)
    np.testing.assert_allclose(ours.p, theirs.summary["p"], rtol=1e-5)


@pytest.mark.parametrize("step", [0.0, 30.0])
@pytest.mark.parametrize("groups", [2, 3])
def test_log_rank_is_that_of_lifelines(step, groups):
    from lifelines.statistics import multivariate_logrank_test

    time, event, _ = trial(2, step=step)
    group = np.arange(time.size) % groups
    theirs = multivariate_logrank_test(time, group, event)
    assert log_rank(time, event, group) == pytest.approx(theirs.p_value, rel=1e-6)


def test_log_rank_of_two_groups_is_that_of_scipy():
    time, event, x = trial(3)
    one, other = (
        stats.CensoredData.right_censored(time[x[:, 0] == k], ~event[x[:, 0] == k]) for k in (0.0, 1.0)
    )
    theirs = stats.logrank(one, other)
    assert log_rank(time, event, x[:, 0].astype(int)) == pytest.approx(theirs.pvalue, rel=1e-6)


@pytest.mark.parametrize("step", [0.0, 60.0])
def test_kaplan_meier_is_that_of_lifelines(step):
    time, event, _ = trial(4, step=step)
    at = np.linspace(0, 640, 65)
    theirs = lifelines.KaplanMeierFitter().fit(time, event).survival_function_at_times(at)
    np.testing.assert_allclose(kaplan_meier(time, event, at), theirs, rtol=1e-12)


def test_what_has_no_estimate_is_nan_and_no_error():
    time, event, x = trial(5)
    treated = x[:, 0] == 1
    assert np.isnan(cox(time, np.zeros_like(event), x).beta).all()
    assert np.isnan(cox(time, event & ~treated, x[:, :1]).beta).all()  # no death among the treated
    assert np.isnan(cox(time, event, np.c_[x[:, 0], 1 - x[:, 0]]).beta).all()  # the same twice
    assert np.isnan(cox(time[:0], event[:0], x[:0]).beta).all()
    assert np.isnan(log_rank(time, np.zeros_like(event), treated))
    assert np.isnan(log_rank(time, event, np.zeros(time.size)))
    assert np.isnan(kaplan_meier(time[:0], event[:0], np.array([1.0]))).all()


@given(st.integers(0, 10_000), st.integers(20, 60))
def test_cox_does_not_depend_on_order_or_units(seed, n):
    time, event, x = trial(seed, n=n, p=2)
    order = np.random.default_rng(seed).permutation(n)
    one = cox(time, event, x)
    other = cox(time[order] / 30.4, event[order], x[order] * [1.0, 1000.0])
    np.testing.assert_allclose(other.beta * [1.0, 1000.0], one.beta, rtol=1e-6, atol=1e-12)
