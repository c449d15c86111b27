"""Subjects in lanes of vectors give what each gives alone, whoever stands beside them, on however many
threads."""

import numpy as np
import pytest
from solving import WITHOUT_POWERS, events, kernel, solve_with, table

from pkpd.ode import status
from pkpd.simulation.profile import population
from pkpd.solver import Options, solve

METHODS = ("auto", "tsit5", "rodas4", "rodas5p")
TIMES = np.linspace(0.0, 60.0, 31)


def spread(k, n, seed=3):
    """Parameters of n subjects, each parameter within a factor of two of the model's value."""
    factors = np.exp(np.random.default_rng(seed).uniform(-0.7, 0.7, (n, k.n_params)))
    return np.clip(k.VALUES * factors, k.LOWER, k.UPPER)


def both(k, p, doses, times=TIMES, **options):
    """With lanes and without."""
    return [
        solve_with(k, p, doses, times, lanes=lanes, keep_states=True, **options) for lanes in (True, False)
    ]


def same(one, other):
    """Bit for bit, statistics and all."""
    for name in (
        "outputs",
        "states",
        "status",
        "stopped",
        "counts",
        "method_used",
        "largest_error",
        "switched",
    ):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("model", "doses"),
    [
        (WITHOUT_POWERS, "2 MIU sc daily x5"),
        ("two_compartment_iv", "100 mg iv over 2 h every 12 h x3"),
        ("three_compartment_oral", "100 mg oral every 12 h x3"),
        ("michaelis_menten", "300 mg oral daily x3"),
        ("tmdd_full", "10 nmol iv over 1 h once"),
        ("indirect_response_2", "none"),
    ],
)
def test_a_subject_in_a_lane_is_the_subject_alone(model, doses, method):
    k = kernel(model)
    lanes, alone = both(k, spread(k, 37), events(k, doses), method=method)
    assert np.count_nonzero(lanes.status == status.SUCCESS) > 30
    same(lanes, alone)


HARSH = """
model      some subjects leave the real numbers
time       h
parameter  a = 1 [1/h]
parameter  b = 1 [1/h]
state      x = 1 [1]
state      y = 1 [1]
define     inside = 1 [1]
d x = -a*x*sqrt(inside - b/a*(inside - x))
d y = a*exp(-x)*y^(b/a) - a*log(inside + y)
output     x [1]
output     y [1]
route      go -> y
"""


def test_exp_log_and_powers_in_lanes_agree_within_the_tolerance():
    k = kernel(HARSH)
    p = np.column_stack([np.linspace(0.5, 2, 40), np.full(40, 0.4)])
    for rtol in (1e-5, 1e-9):
        lanes, alone = both(
            k, p, table(k, (2.0, 1.5, "go"), (3.0, 0.5, "go")), np.linspace(0, 6, 13), rtol=rtol
        )
        assert not lanes.status.any()
        np.testing.assert_allclose(lanes.outputs, alone.outputs, rtol=10 * rtol)


def test_a_failed_subject_does_not_spoil_its_neighbours():
    k = kernel(HARSH)
    p = np.column_stack([np.ones(40), np.full(40, 0.4)])
    p[[3, 4, 21], 1] = 2.5, np.nan, 1e9  # the root of a negative number, nothing at all, too fast
    doses = table(k, (2.0, 1.5, "go"))
    lanes, alone = both(k, p, doses, np.linspace(0, 6, 13), max_steps=2000)
    np.testing.assert_array_equal(lanes.status, alone.status)
    np.testing.assert_allclose(lanes.stopped, alone.stopped, rtol=1e-6)
    bad = lanes.status != status.SUCCESS
    assert bad.sum() >= 2 and set(np.flatnonzero(bad)) <= {3, 4, 21}
    assert np.isnan(lanes.outputs[bad]).all() and np.isfinite(lanes.outputs[~bad]).all()
    np.testing.assert_array_equal(lanes.outputs[5], lanes.outputs[0])
    assert "stopped at t" in lanes.failure(int(np.flatnonzero(bad)[0]))


@pytest.mark.parametrize("method", METHODS)
def test_what_turns_bad_in_the_middle_is_called_so_in_lanes_too(method):
    """A square root that ends at x = 0, at another time for each subject."""
    k = kernel("""
model      a square root that is one only for a while
time       h
parameter  r = 1 [1/h]
parameter  s = 1 [1/h]
state      x = 1 [1]
d x = -r - s*sqrt(x)
output     x [1]
""")
    p = np.column_stack([np.linspace(0.5, 2.0, 24), np.full(24, 0.3)])
    lanes, alone = both(k, p, events(k), np.array([0.1, 5.0]), method=method)
    assert np.all(lanes.status != status.SUCCESS)
    same(lanes, alone)


def test_neighbours_threads_and_chunks_do_not_matter():
    k = kernel("il2_treg")
    p, doses = population(k, 150, seed=5), events(k, "1 MIU sc daily x3")
    whole = solve(k, p, doses, TIMES, options=Options(threads=1))
    same_outputs = [solve(k, p, doses, TIMES, options=Options(threads=threads)).outputs for threads in (2, 3)]
    same_outputs.append(solve(k, p[::-1], doses, TIMES).outputs[::-1])
    same_outputs.append(
        np.concatenate([solve(k, p[:40], doses, TIMES).outputs, solve(k, p[40:], doses, TIMES).outputs])
    )
    for outputs in same_outputs:
        np.testing.assert_array_equal(outputs, whole.outputs)


def test_a_step_limit_is_kept_in_lanes():
    k = kernel("il2_treg")
    lanes, alone = both(k, spread(k, 20), events(k, "1 MIU sc daily x3"), max_steps=100)
    assert (lanes.status == status.TOO_MANY_STEPS).all()
    same(lanes, alone)


def test_outputs_before_and_between_and_repeated():
    k = kernel("two_compartment_oral")
    times = np.array([5.0, -3.0, 5.0, 0.0, 12.0, 11.99, 40.0])
    lanes, alone = both(k, spread(k, 17), events(k, "100 mg oral every 12 h x3"), times)
    same(lanes, alone)
    np.testing.assert_array_equal(lanes.outputs[:, 0], lanes.outputs[:, 2])
