"""From simulated courses over time to the numbers by which schedules are compared.

    endpoint   what an endpoint is, and quantiles of values some of which do not exist
    regimen    when doses are given, in which cycles, and how much in all: the burden
    curve      areas, times above, peaks and half-lives of curves sampled at times that all subjects share
    grid       the output times that the endpoints need
    evaluate   outputs of a model -> endpoints

Each file knows those above it. Curves are (n_subjects, n_times); times stay in the model's time unit, in which those of doses are exact.
"""

from pkpd.endpoints.endpoint import GROUPS, ONE_IN_TWENTY, Endpoint, Relevant, quantiles
from pkpd.endpoints.evaluate import ROLES, evaluate
from pkpd.endpoints.grid import followed, grid
from pkpd.endpoints.regimen import Regimen, by_size, doses, largest_daily

__all__ = [
    "GROUPS",
    "ONE_IN_TWENTY",
    "ROLES",
    "Endpoint",
    "Regimen",
    "Relevant",
    "by_size",
    "doses",
    "evaluate",
    "followed",
    "grid",
    "largest_daily",
    "quantiles",
]
