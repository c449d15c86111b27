"""A fit of one parameter, the volume of a drug given at once: what doses do has closed forms, for people and
for the uncertainty of the estimate."""

import json
import math

import numpy as np

OMEGA, SE = 0.2, 0.15
SPEC = """\
title = "A made-up study of one drug"
model = "one_compartment_iv"

[options]
subjects = 8
starts = 1

[free]
V = "lognormal(30, 0.5)"
"""
DATA = """\
row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,spread_type,use,source,provenance
one,Alpha,100 mg,20,100 mg iv once,C,value,at,0.1,h,mean,3.1,mg/L,0.5,SD,fit,made up,reported
"""
ENDPOINTS = """\
exposure = "C"
[optimise]
dose = "10 to 400 mg"
route = "iv"
"""


def write(made):
    """The fit with its result, in a new folder, which is returned."""
    from pkpd.inference import fit, read_fit

    made.mkdir()
    for name, text in (("fit.toml", SPEC), ("data.csv", DATA), ("endpoints.toml", ENDPOINTS)):
        (made / name).write_text(text, encoding="utf-8")
    fit(read_fit(made), rival=False, unverified=False, check=False).write_json(made / "result.json")
    return estimated(made, 32.0)


def estimated(folder, volume):
    """The same fit as if it had found this volume, with a standard error of SE on the log scale."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    (estimate,) = result["estimates"]
    estimate |= {"value": volume, "x": math.log(volume), "x_sd": SE}
    result["values"]["V"], result["covariance"] = volume, [[SE**2]]
    result["between"] |= {"V": OMEGA}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def own_doses(scene, hours=12.0, doses=4):
    """The dose that gives each of the people, at the estimates, 2 mg/L at the peak after the last dose."""
    people = scene.drawn_as(vary=("between",), draws=None).population
    clearance, volume = (people.values[:, people.kernel.PARAMETERS.index(name)] for name in ("CL", "V"))
    k = clearance / volume
    return 2.0 * volume / np.exp(-k[:, None] * hours * np.arange(doses)).sum(axis=1)
