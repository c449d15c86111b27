"""From simulated courses over time to the numbers by which schedules are compared.

    endpoint   what an endpoint is, and quantiles of values some of which do not exist
    regimen    when doses are given, in which cycles, and how much in all: the burden
    asked      what endpoints want to be read off curves, and what was read
    grid       output times of bands and pictures
    evaluate   what was read off the outputs of a model -> endpoints

Each file knows those above it. Times stay in the model's time unit, in which those of doses are exact.
Numbers are read off the curves by the integrator (``pkpd.solver.Reading``), wherever between two output times
they hide; the output times are for pictures.
"""

from pkpd.decision.endpoints.endpoint import GROUPS, ONE_IN_TWENTY, Endpoint, Relevant, quantiles
from pkpd.decision.endpoints.evaluate import ROLES, evaluate, questions
from pkpd.decision.endpoints.grid import followed, grid
from pkpd.decision.endpoints.regimen import Regimen, by_size, doses, largest_daily

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
    "questions",
]
