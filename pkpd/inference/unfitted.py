"""A model as its file has it, where a fit is asked for: its own values and differences between people, and no
data."""

from __future__ import annotations

import math
import os
from pathlib import Path

from pkpd.core import library
from pkpd.core.arguments import PATH, takes
from pkpd.inference.result import FitResult
from pkpd.inference.spec import FitSpec, ModelSpec, read_fit
from pkpd.inference.summary.reading import read_data
from pkpd.inference.summary.rows import Row
from pkpd.model.check import Parameter, read_model
from pkpd.model.extend import model_text
from pkpd.solver.kernel import Kernel


@takes(name_or_path=PATH)
def read_fit_or_model(name_or_path: str | os.PathLike[str]) -> FitSpec:
    """What the folder of a fit says, as ``read_fit``; or of a model, by its name or path, a specification
    that is ``unfitted``: nothing is free, and there are no data. A name that both have is the fit's.

    Raises ``LibraryError`` if there is neither, and what either may raise.
    """
    name = os.fspath(name_or_path)
    if not (name.endswith(".model") or (name in library.models() and name not in library.fits())):
        return read_fit(name_or_path)
    text, file = model_text(name)
    path, title = Path(file), read_model(text, file).title
    called = path.name if name.endswith(".model") else name
    return FitSpec(called, title, path.parent, path, ModelSpec(name), unfitted=True)


def rows_of(spec: FitSpec) -> tuple[Row, ...]:
    """The rows that a fit has read, in the units of its file; none of a model that is unfitted."""
    return () if spec.unfitted else read_data(spec.data).rows


def own_values(spec: FitSpec, kernel: Kernel) -> FitResult:
    """What would be a result if the file of the model had estimated what it states."""
    nothing = math.nan
    return FitResult(
        name=spec.name,
        title=spec.title,
        model=kernel.NAME,
        model_title=spec.title,
        converged=False,
        interrupted=False,
        message="nothing was fitted",
        ofv=nothing,
        ofv_prior=nothing,
        minus_2ll=nothing,
        aic=nothing,
        bic=nothing,
        n_rows=0,
        n_residuals=0,
        n_parameters=0,
        effective_parameters=0.0,
        informed_directions=0,
        condition_number=nothing,
        estimates=(),
        correlation=(),
        rows=(),
        starts=(),
        identifiability="",
        bad_points=0,
        bad_reasons=(),
        not_predicted={},
        notes=_notes(spec),
        values=dict(zip(kernel.PARAMETERS, map(float, kernel.VALUES), strict=True)),
        study_values={},
        between={
            name: float(between[1])
            for name, between in zip(kernel.PARAMETERS, kernel.BETWEEN, strict=True)
            if between is not None
        },
        noise={},
        covariance=(),
        comparison=None,
        unverified=None,
        check=None,
        provenance={},
    )


def _notes(spec: FitSpec) -> tuple[str, ...]:
    """What a reader of anything that is simulated from it has to know."""
    model = read_model(*model_text(spec.main.model))
    notes = [
        f"Nothing was fitted: the values of {model.name}, and how people differ, are those of its file; how "
        "sure they are is not known."
    ]
    if not any(parameter.between for parameter in model.parameters):
        notes.append(
            f"People do not differ in {model.name}: a parameter is given a spread by, for instance, "
            "~ lognormal(0.3)."
        )
    unsure = [_named(parameter) for parameter in model.parameters if parameter.provenance == "unverified"]
    if unsure:
        notes.append(f"Not verified against their source: {', '.join(unsure)}.")
    return tuple(notes)


def _named(parameter: Parameter) -> str:
    return f"{parameter.name} ({parameter.description})" if parameter.description else parameter.name
