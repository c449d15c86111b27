"""What virtual subjects differ by, as normal numbers that can be set: how people differ, and how sure the fit
is of its parameters.

    sources = Sources.of({"fit": "low_dose_il2"})
    sources.population(people=[[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])  # one log-SD up in the first parameter

``virtual_subjects`` draws such numbers; a study of what drives a result places them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import InputError
from pkpd.inference.draws import of_result, shown
from pkpd.inference.population import (
    Population,
    check_study,
    covariate_of,
    fitted_model,
    typical_and_spread,
)
from pkpd.inference.result import Estimate, FitResult
from pkpd.inference.spec import FitSpec
from pkpd.model.correlation import correlation_matrix
from pkpd.simulation.profile import scattered, typical_values
from pkpd.solver.kernel import Kernel

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sources:
    """The normal numbers behind the subjects of a fit.

    people : (d,) parameters and covariates that differ between people; correlation : (d, d), of their
    deviations, in log-SDs. estimates : (e,) fitted numbers on which the typical person depends, with where
    they are, centre (e,), and their covariance (e, e), on the scales of the search. typical, spread :
    (n_params,) at the estimates.
    """

    kernel: Kernel
    result: FitResult
    spec: FitSpec
    study: str | None
    given: Mapping[int, float]
    people: tuple[str, ...]
    correlation: Floats
    estimates: tuple[Estimate, ...]
    centre: Floats
    covariance: Floats
    typical: Floats
    spread: Floats
    called: Mapping[str, str]
    """What each parameter is, by name."""
    approximated: str = ""
    """What the covariance is of, for people."""

    @classmethod
    def of(cls, who: Mapping[str, Any]) -> Sources:
        """Of the arguments of ``virtual_subjects``. Raises ``InputError`` for responders, who are no normal
        numbers, and for what ``virtual_subjects`` refuses."""
        if who.get("responders") is not None:
            raise InputError("classes of responders are thirds of people, whose numbers are not free")
        result, spec, kernel = fitted_model(who["fit"])
        study = who.get("study")
        check_study(result, study, ())
        replaced = typical_values(kernel, dict(who.get("parameters") or {}))
        set_ = [kernel.PARAMETERS.index(name) for name in who.get("parameters") or {}]
        given = {place: float(replaced[place]) for place in set_}
        spreads: dict[int, float] = {}
        for name, brought in dict(who.get("covariates") or {}).items():
            place, median, sd = covariate_of(kernel, result, name, brought)
            given[place], spreads[place] = median, sd
        optimum = np.array([estimate.x for estimate in result.estimates])[None]
        typical, spread = typical_and_spread(result, spec, kernel, ("between",), optimum, 0, study, [])
        for place, value in given.items():
            typical[0, place] = value
        for place, sd in spreads.items():
            spread[0, place] = sd
        differ = np.flatnonzero(spread[0] > 0.0)
        whole = correlation_matrix(kernel.PARAMETERS, kernel.CORRELATIONS)
        centre, covariance, called = _uncertainty(result, who.get("posterior"))
        counting = [
            i
            for i, estimate in enumerate(result.estimates)
            if kernel.PARAMETERS.index(estimate.target) not in given
            and (estimate.kind == "parameter" or (estimate.kind, estimate.study) == ("study effect", study))
            and covariance.size
            and 0.0 < covariance[i, i] < np.inf
        ]
        return cls(
            kernel=kernel,
            result=result,
            spec=spec,
            study=study,
            given=given,
            people=tuple(kernel.PARAMETERS[place] for place in differ),
            correlation=whole[np.ix_(differ, differ)],
            estimates=tuple(result.estimates[i] for i in counting),
            centre=centre[counting],
            covariance=covariance[np.ix_(counting, counting)] if counting else np.empty((0, 0)),
            typical=typical[0],
            spread=spread[0],
            called={one.name: one.description for one in kernel.model.parameters},
            approximated=called,
        )

    def population(self, people: ArrayLike | None = None, estimates: ArrayLike | None = None) -> Population:
        """Subjects at these places.

        people : (n, d) deviations in log-SDs, None: everybody the typical person; estimates : (n, e) on the
        scales of the search, None: at the estimates.
        """
        kernel, names = self.kernel, list(self.kernel.PARAMETERS)
        moved = None if people is None else np.asarray(people, dtype=np.float64)
        points = None if estimates is None else np.asarray(estimates, dtype=np.float64)
        n = len(moved) if moved is not None else len(points) if points is not None else 1
        typical = np.tile(self.typical, (n, 1))
        if points is not None:
            typical = self._typical(points)
        z = np.zeros((n, kernel.n_params))
        if moved is not None:
            z[:, [names.index(name) for name in self.people]] = moved
        values = scattered(kernel, typical, self.spread, z)
        said = (("between", moved), ("uncertainty", points))
        vary = tuple(name for name, numbers in said if numbers is not None)
        return Population(kernel, values, np.arange(n), vary, 0, ())

    def _typical(self, points: Floats) -> Floats:
        whole = np.tile([estimate.x for estimate in self.result.estimates], (len(points), 1))
        places = [self.result.estimates.index(estimate) for estimate in self.estimates]
        whole[:, places] = points
        typical, _ = typical_and_spread(self.result, self.spec, self.kernel, (), whole, 0, self.study, [])
        for place, value in self.given.items():
            typical[:, place] = value
        return typical

    def value_of_person(self, name: str, deviation: float) -> float:
        """A parameter of a person who is so many log-SDs from the typical one, in the model's unit."""
        place = self.kernel.PARAMETERS.index(name)
        at = self.typical[place] * np.exp(self.spread[place] * deviation)
        return float(np.clip(at, self.kernel.LOWER[place], self.kernel.UPPER[place]))

    def value_of_estimate(self, place: int, x: float) -> float:
        """A fitted number for people: in the model's unit, of a study effect a factor or a shift."""
        estimate = self.estimates[place]
        return float(shown(estimate.kind, estimate.scale, np.array([x]))[0])


def _uncertainty(result: FitResult, posterior: Any) -> tuple[Floats, Floats, str]:
    """Centre and covariance of the estimates, and what they are of; no covariance where there is none."""
    centre = np.array([estimate.x for estimate in result.estimates])
    if posterior is not None:
        draws = of_result(posterior, result)
        flat = draws.x.reshape(-1, centre.size)
        return flat.mean(axis=0), np.atleast_2d(np.cov(flat.T)), "the draws from the posterior"
    covariance = np.array(result.covariance, dtype=np.float64)
    if covariance.shape != (centre.size, centre.size) or not np.all(np.isfinite(covariance)):
        return centre, np.empty((0, 0)), ""
    return centre, (covariance + covariance.T) / 2, "the normal approximation of the fit"
