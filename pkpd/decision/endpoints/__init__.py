"""From simulated courses over time to the numbers by which schedules are compared.

    endpoint   what an endpoint is, and quantiles of values some of which do not exist
    regimen    when doses are given, in which cycles, and how much in all: the burden
    asked      what endpoints want to be read off curves, and what was read
    functionals  what can be asked of a course, and over which part of it
    declared   endpoints as they are written down, and as a model has them
    grid       output times of bands and pictures
    evaluate   what was read off the outputs of a model -> endpoints

Each file knows those above it. Times stay in the model's time unit, in which those of doses are exact.
Numbers are read off the curves by the integrator (``pkpd.solver.Reading``), wherever between two output times
they hide; the output times are for pictures.
"""

from pkpd.decision.endpoints.declared import Declared, Level, exposure
from pkpd.decision.endpoints.endpoint import Endpoint, Relevant, quantiles
from pkpd.decision.endpoints.evaluate import BURDEN, evaluate, questions
from pkpd.decision.endpoints.grid import followed, grid
from pkpd.decision.endpoints.regimen import Regimen, by_size, doses, largest_daily

__all__ = [
    "BURDEN",
    "Declared",
    "Endpoint",
    "Level",
    "Regimen",
    "Relevant",
    "by_size",
    "doses",
    "evaluate",
    "exposure",
    "followed",
    "grid",
    "largest_daily",
    "quantiles",
    "questions",
]
