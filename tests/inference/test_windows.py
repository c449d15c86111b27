"""Rows of a fit that look at a span of time are what formulas say, wherever lags, durations and fast rates
put a peak, with exact gradients.

Parameters are known, so that the prediction of a row is a number of the curve itself; every subject is the
typical one.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.inference import FitOptions, ModelSpec, NoiseSpec, Objective, System, in_units
from pkpd.inference.summary.reading import parse_data

MODEL = """
model      one compartment, by all routes
time       h
parameter  ka = 1.0 [1/h]  lognormal(1, 1)
parameter  k = 0.1 [1/h]  lognormal(0.1, 1)
parameter  V = 10 [L]  lognormal(10, 1)
parameter  late = 0.5 [h]  lognormal(0.5, 1)
parameter  long = 2 [h]  lognormal(2, 1)
state      depot [mg]
state      x [mg]
state      quiet = q0 [mg]
define     q0 = 0.01 [mg]
route      oral -> depot  lag = late
route      iv -> x  lag = late
route      sc -> x  lag = late  duration = long
d depot = -ka*depot
d x     = ka*depot - k*x
d quiet = 0*k*quiet
output     C = (x + quiet)/V [mg/L]
"""
NAMES = ("ka", "k", "V", "late", "long")
HEADER = (
    "row,study,arm,n,schedule,output,measure,reducer,time,time_unit,"
    "statistic,value,unit,spread,spread_type,source,provenance"
)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    file = tmp_path_factory.mktemp("windows") / "windows.model"
    file.write_text(MODEL, encoding="utf-8")
    return System.load(str(file))


def predicted(system, values, rows, *, jacobian=False, rtol=1e-6):
    """What rows (schedule, measure, reducer, time, unit) predict at these parameters; and the derivatives by
    them."""
    lines = [
        f"r{i},S,A,10,{schedule},C,{measure},{reducer},{time},h,mean,1,{unit},1,SE,made up,reported"
        for i, (schedule, measure, reducer, time, unit) in enumerate(rows)
    ]
    data = in_units(parse_data("\n".join([HEADER, *lines])), system).rows
    options = FitOptions(subjects=1, rtol=rtol, rtol_sensitivities=rtol)
    o = Objective(system, ModelSpec(system.name, free=dict.fromkeys(NAMES)), data, options=options)
    assert all(c.scale == "natural" for c in o.coordinates)
    found = o.evaluate(np.asarray(values), jacobian=jacobian)
    numbers = np.array([term.predicted for term in found.terms])
    assert [c.target for c in o.coordinates] == list(NAMES)
    return (numbers, found.predicted_jacobian) if jacobian else numbers


def bateman(t, ka, k, V, dose=100.0):
    return dose / V * ka / (ka - k) * (np.exp(-k * t) - np.exp(-ka * t))


@pytest.mark.parametrize(
    ("values", "schedule", "reducer", "time", "unit", "exact"),
    [
        # the examples of the kind that a grid of points in the window got wrong
        (
            (1.0, 0.2, 26.0, 1e-9, 2.0),
            "100 mg sc once",
            "max",
            "0..672",
            "mg/L",
            100 / 26 / 0.4 * -math.expm1(-0.4),
        ),
        (
            (1.0, 0.2, 20.0, 1e-9, 0.25),
            "100 mg sc once",
            "max",
            "0..672",
            "mg/L",
            5 / 0.05 * -math.expm1(-0.05),
        ),
        ((1.0, 0.2, 20.0, 5.0, 2.0), "100 mg iv once", "max", "0..672", "mg/L", 5.0),
        (
            (1.0, math.log(2) / 0.69, 10.0, 1e-9, 2.0),
            "100 mg iv once",
            "auc",
            "0..2000",
            "mg/L*h",
            10 * 0.69 / math.log(2),
        ),
        (
            (10.0, 0.1, 10.0, 7.0, 2.0),
            "100 mg oral once",
            "max",
            "0..672",
            "mg/L",
            bateman(math.log(100) / 9.9, 10, 0.1, 10),
        ),
        ((10.0, 0.1, 10.0, 7.0, 2.0), "100 mg oral once", "tmax", "0..672", "h", 7 + math.log(100) / 9.9),
    ],
)
def test_rows_are_what_their_curves_say(system, values, schedule, reducer, time, unit, exact):
    (found,) = predicted(system, values, [(schedule, "value", reducer, time, unit)])
    base = 0.01 / values[2]  # what rests in the body of everybody
    if unit != "h":
        exact += base * (2000 if reducer == "auc" else 1)
    assert found == pytest.approx(exact, rel=1e-4)


@given(
    ka=st.floats(0.4, 30.0),
    k=st.floats(0.02, 0.3),
    late=st.floats(1e-3, 20.0),
    long=st.floats(0.05, 30.0),
    window=st.sampled_from(["0..672", "0..100", "0..2000"]),
)
def test_lags_durations_and_rates_hide_nothing(system, ka, k, late, long, window):
    values = (ka, k, 10.0, late, long)
    rows = [(f"100 mg {route} once", "change", "max", window, "mg/L") for route in ("oral", "iv", "sc")]
    rows += [("100 mg iv once", "change", "auc", window, "mg/L*h")]
    end = float(window.split("..")[1])
    exact = [
        bateman(math.log(ka / k) / (ka - k), ka, k, 10.0),
        10.0,
        -10 / (k * long) * math.expm1(-k * long),
        -10 / k * math.expm1(-k * (end - late)),
    ]
    np.testing.assert_allclose(predicted(system, values, rows), exact, rtol=1e-3)


ROWS = [
    ("100 mg oral once", "value", "max", "0..48", "mg/L"),
    ("100 mg oral once", "value", "tmax", "0..48", "h"),
    ("100 mg oral once", "change", "auc", "1..30", "mg/L*h"),
    ("100 mg oral once", "fold", "mean", "1..30", "1"),
    ("100 mg oral once", "value", "half_life", "8..30", "h"),
    ("100 mg oral once", "change", "half_life", "8..30", "h"),
    ("100 mg iv once", "percent_change", "max", "0..30", "percent"),
    ("100 mg iv once", "value", "auc", "0..30", "mg/L*h"),
    ("100 mg sc once", "value", "max", "0..30", "mg/L"),
    ("100 mg sc once", "value", "min", "3..30", "mg/L"),
    ("100 mg oral daily x3", "value", "max", "24..72", "mg/L"),
    ("100 mg oral daily x3", "value", "mean", "24..72", "mg/L"),
]


def test_gradients_of_windows_are_those_of_finite_differences(system):
    values = np.array([1.3, 0.11, 9.0, 0.8, 1.7])
    numbers, slopes = predicted(system, values, ROWS, jacobian=True, rtol=1e-9)
    h = 1e-4
    for c in range(values.size):
        step = np.exp(h * np.eye(values.size)[c])
        up, down = (predicted(system, values * f, ROWS, rtol=1e-9) for f in (step, 1 / step))
        np.testing.assert_allclose(
            slopes[:, c] * values[c] / numbers, (up - down) / (2 * h) / numbers, atol=3e-5, err_msg=NAMES[c]
        )


def test_gradients_by_an_estimated_noise_are_those_of_finite_differences(system):
    # the largest of several visits moves with the noise itself, not only its error does
    lines = [
        f"r{i},S,A,10,100 mg oral once,C,{measure},{reducer},2; 5; 12,h,mean,5,{unit},1,SD,made up,reported"
        for i, (measure, reducer, unit) in enumerate(
            (("value", "max", "mg/L"), ("change", "min", "mg/L"), ("value", "mean", "mg/L"))
        )
    ]
    data = in_units(parse_data("\n".join([HEADER, *lines])), system).rows
    noise = {"C": NoiseSpec(0.2, 0.5, free=True)}
    spec = ModelSpec(system.name, free={"V": None}, noise=noise)
    o = Objective(system, spec, data, options=FitOptions(subjects=4, rtol=1e-9, rtol_sensitivities=1e-9))
    x = o.start
    found, h = o.evaluate(x, jacobian=True), 1e-5
    assert [c.kind for c in o.coordinates[-2:]] == ["proportional error", "additive error"]
    for c in (-2, -1):
        step = h * np.eye(x.size)[c]
        ends = [o.evaluate(x + sign * step) for sign in (1, -1)]
        numeric = (ends[0].residuals - ends[1].residuals) / (2 * h)
        np.testing.assert_allclose(found.jacobian[:, c], numeric, rtol=1e-5, atol=1e-8)
        assert abs(found.jacobian[0, c]) > 1e-3
