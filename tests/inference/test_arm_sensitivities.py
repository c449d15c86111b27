"""The Jacobian of a fit is the same whether steps are taken back or derivatives go forward; and each way is
taken where it should be."""

import numpy as np
import pytest

from pkpd.inference import FitOptions, ModelSpec, Objective, System, in_units, read_fit
from pkpd.inference import arm_sensitivities as arms
from pkpd.inference import objective as objectives
from pkpd.inference.summary.reading import parse_data, read_data

MODEL = """
model      one compartment, by all routes
time       h
parameter  ka = 1.0 [1/h]  lognormal(1, 1)  between lognormal(0.3)
parameter  k = 0.1 [1/h]  lognormal(0.1, 1)  between lognormal(0.3)
parameter  V = 10 [L]  lognormal(10, 1)
parameter  late = 0.5 [h]  lognormal(0.5, 1)
parameter  long = 2 [h]  lognormal(2, 1)
state      depot [mg]
state      x [mg]
route      oral -> depot  lag = late
route      iv -> x  lag = late
route      sc -> x  lag = late  duration = long
d depot = -ka*depot
d x     = ka*depot - k*x
output     C = x/V [mg/L]
"""
NO_DURATION = "\n".join(line for line in MODEL.split("\n") if "sc ->" not in line)
HEADER = (
    "row,study,arm,n,schedule,output,measure,reducer,time,time_unit,"
    "statistic,value,unit,spread,spread_type,source,provenance"
)
ROWS = (
    ("100 mg oral once", "at", "6", "mg/L"),
    ("100 mg oral once", "max", "0..24", "mg/L"),
    ("100 mg oral every 12 h x2", "auc", "1..20", "mg/L*h"),
    ("100 mg oral every 12 h x2", "mean", "0..10", "mg/L"),
    ("50 mg iv over 2 h every 8 h x2", "at", "11", "mg/L"),
    ("50 mg iv over 2 h every 8 h x2", "min", "6..7", "mg/L"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arms")


def objective(folder, rows, text=NO_DURATION, subjects=9):
    file = folder / f"m{abs(hash(text))}.model"
    file.write_text(text, encoding="utf-8")
    system = System.load(str(file))
    lines = [
        f"r{i},S,A{i},10,{schedule},C,value,{reducer},{time},h,mean,1,{unit},1,SE,made up,reported"
        for i, (schedule, reducer, time, unit) in enumerate(rows)
    ]
    data = in_units(parse_data("\n".join([HEADER, *lines])), system).rows
    options = FitOptions(subjects=subjects, rtol=1e-6, rtol_sensitivities=1e-6)
    names = [p.name for p in system.parameters]
    return Objective(system, ModelSpec(system.name, free=dict.fromkeys(names)), data, options=options)


def ways(o, x, monkeypatch):
    """The Jacobian by steps that are taken back wherever that is possible, in how many arms it was; and that
    forward."""
    used = []
    kept = arms.ArmSensitivities.taken_back

    def taken_back(*arguments):
        found = kept(*arguments)
        used.append(found is not None)
        return found

    monkeypatch.setattr(arms.ArmSensitivities, "taken_back", taken_back)
    monkeypatch.setattr(objectives, "is_quicker", lambda *_: True)
    back = o.evaluate(x, jacobian=True)
    monkeypatch.setattr(objectives, "is_quicker", lambda *_: False)
    return back, sum(used), o.evaluate(x, jacobian=True)


def test_rows_of_all_kinds(folder, monkeypatch):
    o = objective(folder, ROWS)
    back, used, forward = ways(o, o.start, monkeypatch)
    assert used == len(o.plan.arms) == 3
    scale = abs(forward.jacobian).max(axis=1, keepdims=True)
    np.testing.assert_allclose(back.jacobian / scale, forward.jacobian / scale, atol=2e-5)
    np.testing.assert_array_equal(back.residuals, forward.residuals)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (("100 mg iv once", "max", "0..24", "mg/L"), NO_DURATION),  # at the dose, which is late
        (("100 mg iv over 2 h once", "max", "0..24", "mg/L"), NO_DURATION),  # at its end
        (("100 mg sc once", "max", "1..24", "mg/L"), MODEL),  # whose duration is a parameter
        (("100 mg oral once", "tmax", "0..24", "h"), NO_DURATION),
        (("100 mg oral once", "half_life", "6..24", "h"), NO_DURATION),
    ],
)
def test_what_has_no_way_back_goes_forward(folder, monkeypatch, row, text):
    o = objective(folder, [row], text)
    back, used, forward = ways(o, o.start, monkeypatch)
    assert used == 0
    np.testing.assert_array_equal(back.jacobian, forward.jacobian)


def test_another_solver_goes_forward(folder, monkeypatch):
    """One that stands in for ``pkpd.solve`` is asked for everything."""
    from pkpd.solver import solve

    o = objective(folder, ROWS[:1])
    other = Objective(o.system, o.spec, o.rows, options=o.options, solve=lambda *a, **how: solve(*a, **how))
    _, used, _ = ways(other, other.start, monkeypatch)
    assert used == 0


def test_the_shipped_fit(monkeypatch):
    """At the tolerance of its Jacobian, in studies of each kind of row."""
    spec = read_fit("low_dose_il2")
    system = System.load(spec.main.model)
    studies = ("Hartemann2013", "DILT1D", "DILfrequency", "Diao2016", "Caligiuri1993")
    known = in_units(read_data(spec.data), system).rows
    rows = [row for row in known if row.use == "fit" and row.study in studies]
    o = Objective(system, spec.main, rows, options=spec.options, **spec.errors)
    back, used, forward = ways(o, o.start, monkeypatch)
    assert used > 15
    scale = abs(forward.jacobian).max(axis=1, keepdims=True)
    np.testing.assert_allclose(back.jacobian / scale, forward.jacobian / scale, atol=1e-3)


def test_few_directions_of_few_subjects_go_forward():
    """One vector of directions costs less than the way back of a single subject, who would fill a vector."""
    assert not arms.is_quicker(subjects=1, directions=8, numbers=1)
    assert arms.is_quicker(subjects=8, directions=16, numbers=1)
    assert not arms.is_quicker(subjects=8, directions=8, numbers=4)
