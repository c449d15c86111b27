"""Profiles give the interval that is known: of a linear model the estimate +- 1.96 standard errors, of an
exponential that of a fine grid; a side that the data leave open, a bound, a parameter that only counts in a
product and one that no row depends on are called that. Interrupted and gone on with, they are what they are
in one go."""

import copy
import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import brentq

from pkpd.core.errors import DataError, InputError
from pkpd.core.normal import Z95
from pkpd.inference import FitResult
from pkpd.inference.likelihood_profiles import LikelihoodProfiles, likelihood_profiles, profile_of
from pkpd.inference.profiling import curve
from pkpd.inference.search import minimise
from pkpd.solver.executors import Processes
from tests import toy
from tests.inference.test_search import Problem as ClosedForm
from tests.inference.test_search import decay, line


class Problem(ClosedForm):
    """Residuals in closed form, each of which is a row."""

    def __init__(self, residuals, start, **given):
        super().__init__(residuals, start, **given)
        self.rows = [SimpleNamespace(id=f"row {k}") for k in range(len(residuals(self.start)))]
        del self.bounds

    def coloured(self, residuals):
        return residuals

    def __getattr__(self, name):
        if name == "bounds" and "coordinates" in vars(self):
            return tuple(np.array([getattr(c, end) for c in self.coordinates]) for end in ("lower", "upper"))
        raise AttributeError(name)

    def evaluate(self, x, *, jacobian=False):
        found = super().evaluate(x, jacobian=jacobian)
        return dataclasses.replace(
            found, terms=tuple(SimpleNamespace(residuals=r[None]) for r in found.residuals)
        )


def profiled(problem, i):
    end = minimise(problem, problem.start, max_evaluations=200, tolerance=1e-9)
    assert end.converged, end.message
    return end, profile_of(problem, end, i)


def interval(profile):
    return profile.lower.x, profile.upper.x


@pytest.mark.parametrize("i", range(4))
@pytest.mark.parametrize("sd", [math.inf, 0.7])
def test_of_a_linear_model_it_is_the_estimate_and_1_96_standard_errors(i, sd):
    generator = np.random.default_rng(i)
    matrix, target = generator.standard_normal((9, 4)), generator.standard_normal(9)
    problem = Problem(line(matrix, target), [0.1, -0.2, 0.3, 0.0], sd=sd)
    hessian = matrix.T @ matrix + np.eye(4) / sd**2
    centre = np.linalg.solve(hessian, matrix.T @ target + problem.start / sd**2)
    half = Z95 * math.sqrt(np.linalg.inv(hessian)[i, i])
    _, profile = profiled(problem, i)
    # the rest is fitted to 0.02 in OFV, of which the limit's slope makes half a percent of a standard error
    np.testing.assert_allclose(interval(profile), centre[i] + [-half, half], atol=5e-3 * half)
    xs = np.linspace(*interval(profile), 41)
    np.testing.assert_allclose(curve(profile.points, xs), ((xs - profile.x) / half * Z95) ** 2, atol=0.02)
    shares = dict(profile.information)
    assert sum(shares.values()) + profile.prior_information <= 1 + 1e-9


def test_the_shares_of_rows_are_those_of_the_information_in_closed_form():
    # a mean of measurements of unequal precision: each brings 1/SE^2
    errors = np.array([0.5, 1.0, 2.0])
    problem = Problem(line(1 / errors[:, None], np.array([1.0, 2.0, 3.0]) / errors), [0.0], sd=1.0)
    _, profile = profiled(problem, 0)
    precision = 1 / errors**2
    total = precision.sum() + 1.0
    assert dict(profile.information) == pytest.approx({f"row {k}": precision[k] / total for k in range(3)})
    assert profile.prior_information == pytest.approx(1 / total)
    # half of row 0's SE: its precision counts four times
    row, factor = profile.helpful[0]
    assert row == "row 0"
    assert factor == pytest.approx(math.sqrt(total / (total + 3 * precision[0])))


def test_of_an_exponential_it_is_that_of_a_fine_grid():
    # measured badly, so that the profile is no parabola
    times = np.array([0.5, 1, 2, 4])
    observed = np.array([4.6, 3.2, 2.9, 0.9])

    def residuals(x):
        return (np.exp(x[1] - np.exp(x[0]) * times) - observed) / 0.7

    problem = Problem(residuals, [math.log(0.3), math.log(5.0)], scale="log")
    end, profile = profiled(problem, 0)
    sizes = np.linspace(0.5, 2.6, 4001)

    def rise(x):
        """By brute force: the best of all sizes."""
        lines = np.exp(sizes[:, None] - np.exp(x) * times) - observed
        return float(((lines / 0.7) ** 2).sum(axis=1).min()) - end.cost

    exact = [brentq(lambda x: rise(x) - Z95**2, end.x[0] + a, end.x[0] + b) for a, b in ((-3, 0), (0, 3))]
    np.testing.assert_allclose(interval(profile), exact, atol=0.005 * (exact[1] - exact[0]))
    assert exact[1] - end.x[0] < 0.8 * (end.x[0] - exact[0])  # by the covariance it would be symmetric
    assert profile.verdict == "identified"


def test_factors_of_a_product_are_identified_only_in_combination():
    # logarithms of a and b in decay(a b) of a known size; c is identified
    product = decay(0.3, 5.0)
    problem = Problem(
        lambda x: np.concatenate([product(np.array([x[0] + x[1], math.log(5.0)])), [(x[2] - 1) / 0.1]]),
        [math.log(0.5), math.log(0.5), 0.0],
        scale="log",
    )
    _, first = profiled(problem, 0)
    _, third = profiled(problem, 2)
    assert (first.verdict, first.partners) == ("only in combination", ("x1",))
    assert (first.lower.end, first.upper.end) == ("open", "open")
    assert str(first) == "only in combination with x1"
    assert third.verdict == "identified"


def test_priors_close_the_interval_and_leave_the_verdict():
    product = decay(0.3, 5.0)
    problem = Problem(
        lambda x: product(np.array([x[0] + x[1], math.log(5.0)])), [-0.6, -0.6], scale="log", sd=0.5
    )
    _, profile = profiled(problem, 0)
    assert (profile.lower.end, profile.upper.end) == ("limit", "limit")
    assert str(profile) == "only in combination with x1"


def test_what_no_row_depends_on_is_not_identified():
    problem = Problem(lambda x: np.array([x[0] - 1.0, x[0] - 1.2]) + 0 * x[1], [0.0, 0.0], scale="log")
    _, profile = profiled(problem, 1)
    assert (profile.verdict, profile.partners, profile.information) == ("not identified", (), ())
    assert (profile.lower.end, profile.upper.end) == ("open", "open")


def test_a_rate_that_is_only_known_to_be_fast_is_one_sided():
    # the response has risen at the first look: any faster rate does as well
    times = np.array([1.0, 2.0, 4.0])
    problem = Problem(
        lambda x: (1 - np.exp(-np.exp(x[0]) * times) - np.array([0.99, 1.0, 1.0])) / 0.05,
        [math.log(4.0)],
        scale="log",
    )
    _, profile = profiled(problem, 0)
    assert str(profile) == "one-sided, from below"
    assert profile.lower.end == "limit"
    assert profile.upper.end == "open"


def test_a_bound_that_is_met_is_said():
    problem = Problem(line([[1.0], [1.0]], [1.0, 1.2]), [0.9], lower=[0.8], upper=[9.0])
    _, profile = profiled(problem, 0)
    assert (profile.lower.end, profile.lower.x) == ("bound", 0.8)
    assert str(profile) == "one-sided, from above"
    # and from an optimum on the bound
    problem = Problem(line([[1.0], [1.0]], [1.0, 1.2]), [2.0], lower=[1.5], upper=[9.0])
    end, profile = profiled(problem, 0)
    assert (profile.lower.end, profile.lower.x) == ("bound", 1.5)
    rise = brentq(lambda x: (x - 1.0) ** 2 + (x - 1.2) ** 2 - end.cost - Z95**2, 1.5, 5)
    assert profile.upper.x == pytest.approx(rise, abs=1e-6)


def test_where_simulations_fail_the_side_ends():
    problem = Problem(line([[0.1]], [0.0]), [0.0], scale="log", fails=lambda x: x[0] > 2.0)
    _, profile = profiled(problem, 0)
    assert profile.upper.end == "cannot be simulated beyond"
    assert 1.5 < profile.upper.x <= 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.write_agreed(tmp_path_factory.mktemp("profiles") / "toy")


def test_profiles_of_a_fit_hold_the_estimates_and_are_read_back(folder, tmp_path):
    seen = []
    found = likelihood_profiles(
        folder, ["CL", "V"], keep=tmp_path / "p.json", progress=lambda *told: seen.append(told)
    )
    result = FitResult.read_json(folder / "result.json")
    for profile in found.profiles:
        estimate = next(e for e in result.estimates if e.name == profile.name)
        assert profile.lower.value < estimate.value < profile.upper.value
        assert profile.x == pytest.approx(estimate.x, abs=0.02 * estimate.x_sd)
        # the data are few and the model not linear: near the covariance's, not at it
        assert profile.upper.x - profile.lower.x == pytest.approx(2 * Z95 * estimate.x_sd, rel=0.15)
    assert LikelihoodProfiles.read_json(tmp_path / "p.json") == found
    assert found._repr_html_().count("<tr>") == 1 + 2
    assert [line.partition(":")[0] for line in found.summary().splitlines()[1:3]] == ["CL", "V"]
    assert seen[-1][1:] == (1.0, "2 of 2 parameters, about 0 s left")


def test_a_result_file_and_other_processes_give_the_same(folder):
    here = likelihood_profiles(folder, ["CL", "V"])
    there = likelihood_profiles(folder / "result.json", ["CL", "V"], threads=Processes(2))
    assert there == here


def test_without_priors_they_are_wider(folder):
    with_priors = likelihood_profiles(folder, "ka")["ka"]
    without = likelihood_profiles(folder, "ka", priors=False)["ka"]
    assert without.prior_information < with_priors.prior_information
    assert with_priors.upper.x - with_priors.lower.x < without.upper.x - without.lower.x


def test_what_is_done_is_kept_and_gone_on_from(folder, tmp_path, monkeypatch):
    import pkpd.inference.likelihood_profiles as module

    whole = likelihood_profiles(folder)
    keep, right = tmp_path / "p.json", module.profile_of

    def interrupted(objective, minimum, i):
        if i == 2:
            raise KeyboardInterrupt
        return right(objective, minimum, i)

    monkeypatch.setattr(module, "profile_of", interrupted)
    part = likelihood_profiles(folder, keep=keep, threads=1)
    assert part.interrupted
    assert [p.name for p in part.profiles] == [p.name for p in whole.profiles[:2]]
    done = []
    monkeypatch.setattr(module, "profile_of", lambda o, m, i: done.append(i) or right(o, m, i))
    rest = likelihood_profiles(folder, keep=keep, resume=True, threads=1)
    assert done == list(range(2, len(whole.profiles)))
    assert not rest.interrupted
    for one, other in zip(rest.profiles, whole.profiles, strict=True):
        assert one.lower.x == pytest.approx(other.lower.x, rel=1e-9)
    with pytest.raises(DataError, match="other data or priors"):
        likelihood_profiles(folder, keep=keep, resume=True, priors=False)


def test_a_name_that_is_none_and_a_result_of_other_data_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match='no "Vv"; did you mean'):
        likelihood_profiles(folder, "Vv")
    values = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    values["provenance"]["data_sha256"] = "0"  # another file, in which a row is another
    values["provenance"]["row_digests"]["c50"] = "0"
    other = copy.copy(FitResult.read_json(folder / "result.json"))
    (tmp_path / "result.json").write_text(json.dumps(values), encoding="utf-8")
    stale = FitResult.read_json(tmp_path / "result.json")
    with pytest.raises(DataError, match='row "c50" has changed'):
        likelihood_profiles(dataclasses.replace(stale, name=str(folder)))
    assert other.name == "toy"
