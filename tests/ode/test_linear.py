"""Linear models by the matrix exponential: as exact as rounding, for every dose and route, and only where a
model is linear."""

import numpy as np
import pytest
from scipy.linalg import expm
from solving import events, kernel, run, solve_with, table

from pkpd.core.errors import InputError
from pkpd.core.library import models
from pkpd.solver import Options, solve

LINEAR = {
    "one_compartment_iv",
    "one_compartment_oral",
    "two_compartment_iv",
    "two_compartment_oral",
    "three_compartment_iv",
    "three_compartment_oral",
}
TIMES = np.array([0.0, 0.1, 0.5, 2.0, 5.9, 6.0, 12.0, 13.0, 24.0, 40.0, 400.0])


def test_it_is_known_which_models_are_linear():
    found = {name for name in models() if kernel(name).LINEAR}
    assert found >= LINEAR
    assert not found & {"michaelis_menten", "tmdd_full", "tmdd_qss", "il2_treg", "treg_turnover"}


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_doses_infusions_and_lags_agree_with_a_tight_integration(name):
    k = kernel(name)
    route = k.ROUTES[0]
    doses = table(
        k, (0.0, 100.0, route), (6.0, 50.0, route, 3.5), (6.0, 20.0, route), (13.0, 70.0, route, 0.25)
    )
    exact = run(k, TIMES, doses, method="linear")
    close = run(k, TIMES, doses, method="vern7", rtol=1e-12)
    scale = np.abs(close.states).max(axis=(0, 1))
    np.testing.assert_allclose(exact.states / scale, close.states / scale, atol=2e-12)
    np.testing.assert_allclose(exact.outputs, close.outputs, rtol=1e-7, atol=1e-11)
    assert exact.statistics["method: linear"] == 1
    loose = run(k, TIMES, doses, method="linear", rtol=0.5)
    np.testing.assert_array_equal(loose.states, exact.states)


STIFF = """
model      a fast exchange with slow loss, and a supply
time       h
parameter  fast = 5000 [1/h]
parameter  slow = 0.125 [1/h]
parameter  supply = 0.25 [mg/h]
state      x = 1 [mg]
state      y [mg]
d x = -fast*x + fast*y - slow*x + supply
d y = fast*x - fast*y
output     x [mg]
route      go -> x
"""


def test_a_stiff_system_with_a_supply_is_the_matrix_exponential():
    k = kernel(STIFF)
    assert k.LINEAR
    found = run(k, TIMES, method="linear").states[0]
    M = np.array([[-5000.125, 5000.0, 0.25], [5000.0, -5000.0, 0.0], [0.0, 0.0, 0.0]])
    exact = np.array([expm(M * t) @ [1.0, 0.0, 1.0] for t in TIMES])[:, :2]
    np.testing.assert_allclose(found, exact, rtol=1e-9)  # rounding times |A| t, for scipy as well


def test_many_subjects_go_the_same_way():
    k = kernel("two_compartment_oral")
    p = np.tile(k.VALUES, (30, 1)) * np.exp(np.random.default_rng(1).normal(0, 0.3, (30, 1)))
    p = np.clip(p, k.LOWER, k.UPPER)
    doses = events(k, "100 mg oral every 12 h x3")
    many = solve(k, p, doses, TIMES, options=Options(method="linear", threads=2)).check()
    for i in (0, 29):
        np.testing.assert_array_equal(
            many.outputs[i], solve(k, p[i], doses, TIMES, options=Options(method="linear")).outputs[0]
        )


def test_it_says_what_it_does_not_do():
    nonlinear, k = kernel("michaelis_menten"), kernel("two_compartment_oral")
    with pytest.raises(InputError, match="michaelis_menten is not linear in its states"):
        solve(nonlinear, nonlinear.VALUES, events(nonlinear), [1.0], options=Options(method="linear"))
    for options in ({"directions": ["CL"]}, {"roots": [("C", 1.0)]}, {"non_negative": True}):
        with pytest.raises(InputError, match="goes without sensitivities, roots, readings and non_negative"):
            solve_with(k, k.VALUES, events(k), [1.0], method="linear", **options)
