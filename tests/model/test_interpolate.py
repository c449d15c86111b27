"""Covariates that run linearly between knots are followed exactly: closed forms, doses with the value of
their own time, resets, and what is refused."""

import numpy as np
import pytest
from solving import table

from pkpd.core.errors import InputError, ModelError
from pkpd.dosing import EventTable
from pkpd.dosing.events import RESET, STEADY
from pkpd.model.check import read_model
from pkpd.simulation.profile import typical_values
from pkpd.solver import Options, solve
from pkpd.solver.kernel import load

MODEL = read_model(
    """
model      clearance goes with kidney function, bioavailability with weight
source     none: a test
time       h
parameter  slope = 0.05 [L/h/(mL/min)]
parameter  V = 20 [L]
covariate  CRCL = 90 [mL/min]
covariate  weight = 70 [kg]
define     CL = slope*CRCL [L/h]
define     half = 35 [kg]
state      central = 1*dose0 [mg]
define     dose0 = 100 [mg]
route      iv -> central  F = weight/half
d central  = -CL/V*central
output     C = central/V [mg/L]
output     kidney = CRCL [mL/min]
output     CL
""",
    "kidney.model",
)
KNOTS = (np.array([0.0, 10.0, 30.0, 40.0]), np.array([90.0, 30.0, 60.0, 60.0]))
TIMES = np.linspace(0.0, 50.0, 41)


def area(t):
    """Integral of the covariate from 0 to t."""
    fine = np.union1d(np.linspace(0.0, 50.0, 50_001), [10.0, 30.0, 40.0])
    values = np.interp(fine, *KNOTS)
    total = np.concatenate([[0.0], np.cumsum(np.diff(fine) * (values[1:] + values[:-1]) / 2)])
    return np.interp(t, fine, total)


@pytest.fixture(scope="module")
def k():
    return load(MODEL, linear=["CRCL"])


@pytest.mark.parametrize("method", ["auto", "rodas5p", "vern7"])
@pytest.mark.parametrize("subjects", [1, 20])
def test_a_clearance_that_runs_linearly(k, method, subjects):
    p = np.tile(typical_values(k, {"CRCL": 55.0}), (subjects, 1))  # the knots say what it is
    found = (
        solve(
            k, p, EventTable.empty(), TIMES, knots={"CRCL": KNOTS}, options=Options(rtol=1e-9, method=method)
        )
        .check()
        .outputs
    )
    exact = 100.0 / 20.0 * np.exp(-0.05 / 20.0 * area(TIMES))
    assert np.allclose(found[:, :, 0], exact, rtol=2e-7)
    assert np.allclose(found[:, :, 1], np.interp(TIMES, *KNOTS), rtol=1e-12)
    assert np.allclose(found[:, :, 2], 0.05 * np.interp(TIMES, *KNOTS), rtol=1e-12)


def test_it_is_where_many_small_steps_come_to(k):
    plain = load(MODEL)
    middle = np.arange(0.0, 50.0, 0.02)
    changes = [(t, "CRCL", float(np.interp(t + 0.01, *KNOTS))) for t in middle]
    doses = table(plain, (7.0, 30.0, "iv", 5.0))
    stepwise = solve(plain, plain.VALUES, doses, TIMES, changes=changes).check().outputs[0, :, 0]
    linear = solve(k, k.VALUES, doses, TIMES, knots={"CRCL": KNOTS}).check().outputs[0, :, 0]
    assert np.allclose(linear, stepwise, rtol=1e-5)


def test_a_dose_has_the_value_of_its_own_time():
    k = load(MODEL, linear=["weight", "CRCL"])
    doses = table(k, (0.0, 10.0, "iv"), (5.0, 10.0, "iv"), (20.0, 10.0, "iv"))
    knots = {"weight": ([0.0, 10.0], [70.0, 105.0])}
    found = solve(k, typical_values(k, {"slope": 0.0}), doses, [0.0, 4.0, 5.0, 20.0], knots=knots).check()
    given = np.cumsum([10.0 * 2, 0.0, 10.0 * 2.5, 10.0 * 3])
    assert np.allclose(found.outputs[0, :, 0] * 20.0, 100.0 + given)


def test_a_reset_leaves_covariates_running(k):
    events = EventTable([17.0], [0.0], [0], [0.0], [-1], kind=[RESET])
    found = (
        solve(k, k.VALUES, events, TIMES, knots={"CRCL": KNOTS}, options=Options(rtol=1e-9))
        .check()
        .outputs[0]
    )
    assert np.allclose(found[:, 1], np.interp(TIMES, *KNOTS), rtol=1e-12)
    after = TIMES[TIMES >= 17.0]
    exact = 5.0 * np.exp(-0.05 / 20.0 * (area(after) - area(17.0)))
    assert np.allclose(found[TIMES >= 17.0, 0], exact, rtol=2e-7)


def test_what_cannot_be_followed_says_so(k):
    none = EventTable.empty()
    with pytest.raises(InputError, match=r'load the model with linear=\["weight"\]'):
        solve(k, k.VALUES, none, TIMES, knots={"weight": ([0.0], [1.0])})
    with pytest.raises(InputError, match="increasing times"):
        solve(k, k.VALUES, none, TIMES, knots={"CRCL": ([0.0, 0.0], [1.0, 2.0])})
    with pytest.raises(InputError, match="go without sensitivities"):
        solve(k, k.VALUES, none, TIMES, knots={"CRCL": KNOTS}, directions=["V"])
    steady = EventTable([1.0], [1.0], [0], [0.0], [-1], kind=[STEADY], interval=[6.0])
    with pytest.raises(InputError, match="without covariates that run linearly"):
        solve(k, k.VALUES, steady, TIMES, knots={"CRCL": KNOTS})
    with pytest.raises(ModelError, match='no parameter is named "CRCLL"'):
        load(MODEL, linear=["CRCLL"])
