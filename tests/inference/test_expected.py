"""Every fit folder gives back what its expected.toml states: at the stated optimum the objective, its slope,
and each row's prediction.

The whole search is a benchmark (``python -m benchmarks fit``); here one evaluation with its Jacobian shows
that the stated point still is the optimum of model, data and likelihood as they are now.
"""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from pkpd.core import library
from pkpd.inference import FitResult, read_fit
from pkpd.inference.coordinates import System, coordinates, in_units
from pkpd.inference.objective import Objective, minus_2ll_of
from pkpd.inference.search import with_prior
from pkpd.inference.summary import reading as published
from pkpd.inference.summary.sampling import Sampling


@pytest.mark.parametrize("name", library.fits())
def test_the_stated_optimum_is_one(name):
    expected = tomllib.loads((library.fit_folder(name) / "expected.toml").read_text(encoding="utf-8"))
    spec = read_fit(name)
    system = System.load(spec.main.model)
    rows = in_units(published.read_data(spec.data), system).rows
    fitted = [row for row in rows if row.use == "fit"]
    stated = expected["estimates"]
    estimated = [c for c in coordinates(system, spec.main, fitted) if c.name in stated]
    assert {c.name for c in estimated} == set(stated)
    objective = Objective(
        system,
        spec.main,
        fitted,
        options=spec.options,
        relative_error=spec.relative_error,
        row_errors=spec.row_errors,
        mean_only=spec.mean_only,
        correlations=spec.correlations,
        estimated=estimated,
    )
    x = np.array([stated[c.name]["x"] for c in estimated])
    sampling = Sampling.of_stated(FitResult.read_json(library.fit_result(name)).provenance["sampling"])
    objective = objective.with_sampling(sampling.kept([row.id for row in fitted]))
    evaluation = objective.evaluate(x, jacobian=True)

    minus_2ll, constants = minus_2ll_of(evaluation)
    assert minus_2ll - constants == pytest.approx(expected["optimum"]["ofv"], abs=0.5)

    # the decrease that a Gauss-Newton step promises, in units of the OFV
    residuals, jacobian = with_prior(objective, x, evaluation)
    step = np.linalg.lstsq(jacobian, -residuals, rcond=None)[0]
    promised = residuals @ residuals - np.sum((residuals + jacobian @ step) ** 2)
    assert promised < expected["optimum"]["slack"]

    # estimates are stated with their uncertainty: it has not moved by a quarter
    covariance = np.linalg.inv(jacobian.T @ jacobian)
    for coordinate, sd in zip(estimated, np.sqrt(np.diag(covariance)), strict=True):
        assert sd == pytest.approx(stated[coordinate.name]["sd"], rel=0.25), coordinate.name

    predicted = {row.id: term.predicted for row, term in zip(objective.rows, evaluation.terms, strict=True)}
    for row, value in expected["predictions"].items():
        assert predicted[row] == pytest.approx(value, rel=0.02, abs=0.02), row


@pytest.mark.parametrize("name", library.fits())
def test_the_result_beside_it_is_the_stated_one(name):
    """Of the model, rival, data and fit.toml as they are now: it is made by the command that writes
    expected.toml, and says nothing of a machine."""
    expected = tomllib.loads((library.fit_folder(name) / "expected.toml").read_text(encoding="utf-8"))
    result = FitResult.read_json(library.fit_result(name))
    spec = read_fit(name)
    assert result.name == name
    assert result.provenance["fit_sha256"] == spec.sha256
    assert result.provenance["data_sha256"] == published.read_data(spec.data).sha256
    assert result.provenance["model_sha256"] == System.load(spec.main.model).sha256
    if spec.rival is not None:
        assert result.provenance["rival_sha256"] == System.load(spec.rival.model).sha256
    assert not result.provenance.keys() & {"machine", "run_time_s"}

    assert result.converged
    assert result.ofv == pytest.approx(expected["optimum"]["ofv"], abs=1e-3)
    stated = {key: (float(f"{item['x']:.6g}"), item["sd"]) for key, item in expected["estimates"].items()}
    assert {e.name: (float(f"{e.x:.6g}"), float(f"{e.x_sd:.4g}")) for e in result.estimates} == stated
    predictions = {row.id: float(f"{row.predicted:.6g}") for row in result.rows if row.use == "fit"}
    assert predictions == expected["predictions"]
