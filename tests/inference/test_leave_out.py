"""What is left out is predicted with its density given the rest, which is known of a linear model, correlated
rows too; one step from the fit is then the fit without it. Of a fit the result is the same whoever does the
work, is kept, and is gone on from."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from pkpd.core.errors import DataError, InputError
from pkpd.inference import Check, ModelSpec, fit, minimise
from pkpd.inference.influence import cook, left_out, one_step
from pkpd.inference.leave_out import LeftOut, leave_out
from pkpd.inference.optimum import optimum_of, read_result
from pkpd.inference.posterior import posterior_of
from pkpd.inference.summary.sampling import Sampling
from pkpd.solver.executors import Processes
from tests import toy
from tests.inference.test_fit import OPTIONS, data, line, objective, parameter, system

VALUES = {"A1": 48.0, "A2": 53.0, "B": 55.0, "C": 51.0}
ERRORS = {"A1": 2.0, "A2": 1.0, "B": 2.0, "C": 3.0}


@pytest.fixture(scope="module")
def means():
    """Four means of one number, the first two of the same patients: an objective and its optimum."""
    rows = data(
        *(
            line(name, name[0], schedule="none", time="0", value=value, spread=ERRORS[name], spread_type="SE")
            for name, value in VALUES.items()
        )
    )
    s = system(E0=parameter("E0", 50.0, "1/uL", ("normal", (50.0, 10.0)), lower=-math.inf))
    model = ModelSpec("direct", free={"E0": None})
    o = objective(rows, model, of=s, options=replace(OPTIONS, subjects=1))
    correlation = np.eye(4)
    correlation[0, 1] = correlation[1, 0] = 0.6
    o = o.with_sampling(Sampling((50.0,), tuple(VALUES), ((None,),) * 4, correlation))
    return o, minimise(o, o.start, tolerance=1e-12)


def joint():
    """Mean and covariance of what the four print, by the prior and their errors."""
    errors = np.array(list(ERRORS.values()))
    correlation = np.eye(4)
    correlation[0, 1] = correlation[1, 0] = 0.6
    return np.full(4, 50.0), errors[:, None] * correlation * errors + 100.0


def density(names):
    mean, covariance = joint()
    places = [k for k, name in enumerate(VALUES) if name in names]
    values = [VALUES[name] for name in VALUES if name in names]
    return multivariate_normal(mean[places], covariance[np.ix_(places, places)]).logpdf(values)


def refitted(best):
    return lambda inside: (inside, minimise(inside, best.x, tolerance=1e-12))


@pytest.mark.parametrize(
    "ids", [c for size in (1, 2) for c in itertools.combinations(VALUES, size)], ids=" ".join
)
def test_the_density_of_what_is_left_out_is_that_given_the_rest(means, ids):
    o, best = means
    left = left_out(o, set(ids), refitted(best))
    rest = [name for name in VALUES if name not in ids]
    assert left.log_density == pytest.approx(density(list(VALUES)) - density(rest), abs=1e-3)


def test_a_miss_is_standard_normal_by_the_predictive_distribution(means):
    o, best = means
    (row,) = left_out(o, {"A1"}, refitted(best)).rows
    mean, covariance = joint()
    weights = np.linalg.solve(covariance[1:, 1:], covariance[1:, 0])
    expected = mean[0] + weights @ (np.array(list(VALUES.values())[1:]) - mean[1:])
    sd = math.sqrt(covariance[0, 0] - weights @ covariance[1:, 0])
    assert row.miss == pytest.approx((expected - VALUES["A1"]) / sd, abs=1e-3)
    assert row.error == pytest.approx(sd / ERRORS["A1"], rel=1e-3)
    # its continuous ranked probability score by the integral that defines it
    grid = np.linspace(-30, 30, 200_001)
    steps = norm.cdf(grid, row.miss * row.error, row.error) - (grid >= 0)
    assert row.crps == pytest.approx(np.trapezoid(steps**2, grid), abs=1e-3)
    assert row.within(0.9) == (abs(row.miss) < 1.645)


@pytest.mark.parametrize(
    "ids", [{"A1"}, {"A2"}, {"A1", "A2"}, {"B", "C"}], ids=lambda ids: "+".join(sorted(ids))
)
def test_of_a_linear_model_one_step_is_the_fit_without(means, ids):
    o, best = means
    covariance = posterior_of(o, best).covariance
    exact = left_out(o, ids, refitted(best)).minimum.x - best.x
    step = one_step(o, best, covariance, ids)
    np.testing.assert_allclose(step, exact, atol=2e-4)
    assert cook(o, covariance, step) == pytest.approx(exact[0] ** 2 / covariance[0, 0], rel=1e-2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.write_agreed(tmp_path_factory.mktemp("leave_out") / "toy")


@pytest.fixture(scope="module")
def by_row(folder):
    return leave_out(folder, by="row")


def test_rows_of_a_fit_are_left_out_one_by_one(folder, by_row, tmp_path):
    assert [fold.name for fold in by_row.folds] == ["c50", "c100", "c200", "max100", "half", "early"]
    assert all(fold.converged and len(fold.rows) == 1 for fold in by_row.folds)
    assert by_row.log_density == pytest.approx(sum(fold.log_density for fold in by_row.folds))
    assert sum(abs(row.miss) < norm.ppf(0.75) for row in by_row.rows) == by_row.coverage(0.5)[0]
    influence = dict(by_row.influence)
    for fold in by_row.folds:
        assert fold.one_step == pytest.approx(influence[fold.name])
    by_row.write_json(tmp_path / "l.json")
    assert LeftOut.read_json(tmp_path / "l.json") == by_row
    assert by_row._repr_html_().count("<tr>") == 1 + len(by_row.folds)
    by_row.write_csv(tmp_path / "l.csv")
    lines = (tmp_path / "l.csv").read_text(encoding="utf-8").splitlines()
    assert [text.split(",")[1] for text in lines if not text.startswith("#")][1:] == list(
        influence_of(by_row)
    )


def influence_of(found):
    return [row.row for row in found.rows]


def test_a_row_is_predicted_as_by_a_fit_that_never_had_it(folder, by_row, tmp_path, monkeypatch):
    # its data without the row, through `fit`
    other = tmp_path / "toy"
    other.mkdir()
    (other / "fit.toml").write_text((folder / "fit.toml").read_text())
    text = (folder / "data.csv").read_text().splitlines(keepends=True)
    (other / "data.csv").write_text(
        "".join(one.replace(",fit,", ",check,") if "c200," in one else one for one in text)
    )
    alone = fit(other, rival=False, leave_one_out=False, unverified=False, check=False)
    # a fold that goes on as far as a fit does; usually it ends sooner
    monkeypatch.setattr("pkpd.inference.leave_out.PRECISE", 0.001)
    monkeypatch.setattr("pkpd.inference.leave_out.STILL", 0.02)
    row = next(row for row in leave_out(folder, by="row").rows if row.row == "c200")
    again = next(found for found in alone.rows if found.id == "c200")
    assert row.observed == again.observed
    assert row.predicted == pytest.approx(again.predicted, rel=1e-3)
    (usual,) = [row for row in by_row.rows if row.row == "c200"]
    assert abs(usual.predicted - row.predicted) < 0.2 * usual.error


@pytest.mark.long
def test_who_does_it_makes_no_difference_and_what_is_done_is_gone_on_from(folder, by_row, tmp_path):
    there = leave_out(folder / "result.json", by="row", threads=Processes(2), keep=tmp_path / "jobs")
    assert repr(there.folds) == repr(by_row.folds)
    for path in list((tmp_path / "jobs").glob("c*.json")):
        path.unlink()
    told = []
    again = leave_out(
        folder, by="row", keep=tmp_path / "jobs", resume=True, progress=lambda *args: told.append(args)
    )
    assert repr(again.folds) == repr(by_row.folds)
    assert "3 rows" in [remark for what, _, remark in told if what == "leave out"]
    with pytest.raises(DataError, match="made with another by, parts"):
        leave_out(folder, by="study", keep=tmp_path / "jobs", resume=True)


def test_studies_and_folds(folder):
    studies = leave_out(folder)
    assert {fold.name: len(fold.rows) for fold in studies.folds} == {"Alpha": 4, "Beta": 2}
    # a study that is new has a volume of its own: its prediction is less sure than that of one of its rows
    assert studies.folds[0].rows[0].error > 1.0
    folds = leave_out(folder, by="fold", folds=3)
    assert sorted(row.row for row in folds.rows) == sorted(row.row for row in studies.rows)
    assert [len(fold.rows) for fold in folds.folds] == [2, 2, 2]


def test_what_cannot_be_left_out_is_said(folder, tmp_path):
    with pytest.raises(InputError, match='not by "studdy"; did you mean'):
        leave_out(folder, by="studdy")
    result, spec = read_result(folder)
    assert spec.check == Check(("c200",), title="the largest dose predicted from the others")
    assert optimum_of(result, spec).objective.rows[0].id == "c50"
