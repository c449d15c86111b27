"""A small fit folder for tests: one drug, two made-up studies, six numbers of several kinds, in a second or
two."""

import re
from pathlib import Path

SPEC = """\
title = "A made-up study of one drug"
model = "one_compartment_oral"

[options]
subjects = 8
starts = 2
max_evaluations = {evaluations}

[free]
ka = "lognormal(1.5, 0.5)"
CL = "lognormal(3, 0.5)"
V = "lognormal(30, 0.5)"

[study_effects]
V = 0.2

[rival]
model = "one_compartment_iv"
[rival.free]
CL = "lognormal(3, 0.5)"
V = "lognormal(30, 0.5)"

[check]
title = "the largest dose predicted from the others"
leave_out = ["c200"]
"""

DATA = """\
row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,spread_type,use,\
source,provenance
c50,Alpha,50 mg,6,50 mg oral once,C,value,at,4,h,mean,1.15,mg/L,0.3,SD,fit,made up,reported
c100,Alpha,100 mg,8,100 mg oral once,C,value,at,4,h,mean,2.2,mg/L,0.6,SD,fit,made up,reported
c200,Alpha,200 mg,20,200 mg oral once,C,value,at,4,h,mean,4.6,mg/L,1.2,SD,fit,made up,unverified
max100,Alpha,100 mg,8,100 mg oral once,C,value,max,0..12,h,mean,2.7,mg/L,0.6,SD,fit,made up,reported
half,Beta,100 mg iv,12,100 mg iv once,C,value,half_life,2..12,h,mean,7.0,h,1.5,SD,fit,made up,reported
early,Beta,100 mg iv,12,100 mg iv once,C,value,at,0.5,h,mean,3.1,mg/L,0.7,SD,fit,made up,reported
late,Beta,100 mg iv,12,100 mg iv once,C,value,at,24,h,upper_bound,0.6,mg/L,0.1,SE,check,made up,secondary
seen,Gamma,100 mg iv,4,100 mg iv once,C,value,at,1,h,mean,3,mg/L,,none,context,made up,reported
"""


def write(folder: Path, *, evaluations: int = 20) -> Path:
    """Write the fit into ``folder`` and return it."""
    folder.mkdir()
    (folder / "fit.toml").write_text(SPEC.format(evaluations=evaluations), encoding="utf-8")
    (folder / "data.csv").write_text(DATA, encoding="utf-8")
    return folder


def write_agreed(folder: Path) -> Path:
    """The same with its result beside it, in large arms and with a number and a prior that agree with its
    other numbers: small arms have Student's long tails, in which the objective is no parabola."""
    from pkpd.inference import fit

    write(folder)
    agreed = {
        "data.csv": (r"(,\d+)(,[\w ]+ once,)", r"\g<1>0\2", "3.1,mg/L,0.7,SD", "4.3,mg/L,0.25,SE"),
        "fit.toml": (r"lognormal\(1.5, 0.5\)", "lognormal(0.18, 0.1)", "", ""),
    }
    for name, (pattern, by, stated, better) in agreed.items():
        text, count = re.subn(pattern, by, (folder / name).read_text())
        assert count and stated in text
        (folder / name).write_text(text.replace(stated, better) if stated else text)
    fit(folder, rival=False, leave_one_out=False, unverified=False, check=False).write_json(
        folder / "result.json"
    )
    return folder


TWO_OUTPUTS = """\
extends    one_compartment_oral
model      a drug, and what becomes of whoever takes it
output     fate = 10*central/V [mg/L]
"""
ON_REQUEST = """\
[[endpoint]]
name = "fate mean"
output = "fate"
what = "mean"
better = "up"
group = "clinical"
finding = "fate at {}"

[[endpoint]]
name = "C mean"
output = "C"
what = "mean"
better = "down"
finding = "C at {}"

[[endpoint]]
name = "C peak"
output = "C"
what = "max"
better = "up"

[[endpoint]]
name = "fate of C"
what = "ratio"
of = ["fate mean", "C mean"]
group = "clinical"

[on_request.clinical]
title = "what becomes of people"
outputs = ["fate"]
rests_on = ["One trial of 40 people.", "It was negative."]

[outputs.C]
title = "The drug"
[outputs.fate]
title = "Fate"
told = false
"""


def write_on_request(folder: Path) -> Path:
    """The same with a second output, endpoints of which are shown on request only, and a result."""
    from pkpd.inference import fit

    write(folder)
    (folder / "two.model").write_text(TWO_OUTPUTS)
    (folder / "endpoints.toml").write_text(ON_REQUEST)
    text = (folder / "fit.toml").read_text()
    (folder / "fit.toml").write_text(text.replace('"one_compartment_oral"', '"two.model"', 1))
    found = fit(folder, starts=1, rival=False, leave_one_out=False, unverified=False, check=False)
    found.write_json(folder / "result.json")
    return folder
