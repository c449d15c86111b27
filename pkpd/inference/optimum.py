"""A fit, or its result -> its objective with the point where it ended: what profiles and samplers begin
from."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pkpd import __version__
from pkpd.core import library
from pkpd.core.errors import ConvergenceError, DataError, LibraryError
from pkpd.core.progress import Progress, quiet
from pkpd.inference import FitResult, fit, read_fit
from pkpd.inference.belonging import BELONGING, check_belongs
from pkpd.inference.coordinates import System, coordinates, in_units
from pkpd.inference.heterogeneity import with_heterogeneity
from pkpd.inference.objective import BadPoint, Objective, pruned
from pkpd.inference.search import Minimum, minimise
from pkpd.inference.spec import FitSpec
from pkpd.inference.summary.reading import read_data
from pkpd.inference.summary.sampling import Sampling


@dataclass(frozen=True)
class Optimum:
    """The objective of a result, and where it is lowest."""

    result: FitResult
    objective: Objective
    minimum: Minimum


def _check_likelihood(result: FitResult) -> None:
    if "sampling" not in result.provenance:
        raise DataError(f"the result of the fit {result.name} is of an older version: run `pkpd fit` again")


def fit_of(given: str | os.PathLike[str]) -> FitSpec:
    """What the folder of a fit says, by its name, its folder, or the file of its result.

    Raises ``InputError``, or one of its kinds, where there is none or it cannot be read."""
    path = Path(given).expanduser()
    return read_fit(path.absolute().parent if path.suffix == ".json" else given)


def read_result(
    given: FitResult | str | os.PathLike[str], *, threads: int | None = None, progress: Progress = quiet
) -> tuple[FitResult, FitSpec]:
    """The result of a fit, and what its folder says.

    given : a result, its file (.json), or the name or folder of a fit. Of a folder it is the result that lies
    there if it belongs to model and data as they are, else the fit is made first.

    Raises ``InputError``, or one of its kinds, for what cannot be read, and ``DataError`` for a result of
    other files.
    """
    if isinstance(given, FitResult):
        result, spec = given, read_fit(given.name)
    elif (path := Path(given).expanduser()).suffix == ".json":
        result, spec = FitResult.read_json(path), fit_of(given)
    else:
        spec = fit_of(given)
        try:
            result = FitResult.read_json(library.fit_result(given))
            check_belongs(result, spec)
            _check_likelihood(result)
        except (LibraryError, DataError):
            result = fit(
                spec,
                rival=False,
                leave_one_out=False,
                unverified=False,
                check=False,
                threads=threads,
                progress=progress,
            )
    check_belongs(result, spec)
    _check_likelihood(result)
    return result, spec


def objective_of(result: FitResult, spec: FitSpec, *, threads: int | None = None) -> Objective:
    """The objective whose lowest point a result is: of its rows, its subjects and its seed."""
    about: dict[str, Any] = result.provenance
    options = dataclasses.replace(
        spec.options, subjects=about["subjects_per_arm"], seed=about["seed"], rtol=about["rtol"]
    )
    system = System.of(spec.main)
    fitted = {row.id for row in result.rows if row.use == "fit"}
    everything = in_units(read_data(spec.data), system)
    rows = [row for row in everything.rows if row.id in fitted]
    objective, _ = pruned(
        Objective(
            system,
            spec.main,
            rows,
            options=options,
            **spec.errors,
            threads=threads,
            estimated=coordinates(system, spec.main, rows),
        )
    )
    names = [estimate.name for estimate in result.estimates]
    if names != [coordinate.name for coordinate in objective.coordinates]:
        raise DataError(
            f"the result of the fit {spec.name} estimates other parameters than {spec.folder / 'fit.toml'} "
            "asks for: fit again with `pkpd fit`"
        )
    objective = with_heterogeneity(objective, result.heterogeneity)
    if about["sampling"] is None:
        return objective
    sampling = Sampling.of_stated(about["sampling"])
    return objective.with_sampling(sampling.kept([row.id for row in objective.rows]))


def optimum_of(
    result: FitResult,
    spec: FitSpec,
    *,
    priors: bool = True,
    threads: int | None = None,
    progress: Progress = quiet,
) -> Optimum:
    """The objective of a result, with (or without) the priors, and its lowest point from where the result
    ended.

    Raises ``ConvergenceError`` where the model cannot be simulated there.
    """
    objective = objective_of(result, spec, threads=threads)
    x = np.array([estimate.x for estimate in result.estimates])
    if not priors:
        objective = without_priors(objective)
    progress("optimum", -1.0, "where the fit ended")
    try:
        objective = objective.widened(x)
        minimum = minimise(objective, x, max_evaluations=objective.options.max_evaluations)
    except BadPoint as reason:
        raise ConvergenceError(
            f"{spec.name}: the model cannot be simulated where the fit ended: {reason}"
        ) from None
    return Optimum(result, objective, minimum)


def belonging(result: FitResult) -> dict[str, Any]:
    """What repeats belong to: they go on only from those of the same result, by the same version."""
    about = {key: result.provenance[key] for key in BELONGING}
    return about | {"ofv": result.ofv, "estimates": [e.x for e in result.estimates], "version": __version__}


def travelling(optimum: Optimum, *, alone: bool) -> tuple[Objective, Minimum]:
    """What repeats stand on, as small as it can be sent. ``alone``: one at a time is worked on, and its
    simulations have all cores."""
    evaluation = dataclasses.replace(optimum.minimum.evaluation, arms=(), derived=())
    minimum = dataclasses.replace(optimum.minimum, evaluation=evaluation)
    return optimum.objective.on_threads(None if alone else 1), minimum


def without_priors(objective: Objective) -> Objective:
    """The likelihood alone. How studies differ is part of the model and stays."""
    return objective.with_coordinates(
        tuple(
            coordinate if coordinate.kind == "study effect" else dataclasses.replace(coordinate, sd=np.inf)
            for coordinate in objective.coordinates
        )
    )
