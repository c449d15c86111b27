"""Gradients by steps that are taken back: the same derivatives as forward, for any model, dose and method
that has them, and a sentence for the others."""

import numpy as np
import pytest
from solving import events, kernel

import pkpd
from pkpd.core.errors import InputError
from pkpd.ode import status
from pkpd.solver import Options, Solver, adjoint, solve
from pkpd.solver.table import plain

CASES = [
    ("one_compartment_iv", "100 mg iv daily x2", 30.0),
    ("one_compartment_iv", "100 mg iv over 2 h every 12 h x3", 30.0),
    ("three_compartment_oral", "100 mg oral every 12 h x3", 60.0),
    ("michaelis_menten", "300 mg oral daily x3", 5.0),
    ("transit_absorption", "100 mg oral daily x2", 40.0),
    ("tmdd_full", "150 mg iv over 2 h every 14 d x3", 56.0),
    ("indirect_response_2", "none", 30.0),
    ("il2_treg", "1 MIU/m2 sc daily x5", 400.0),
    ("als", "none", 400.0),
]


def spread(k, n, seed=3, by=0.1):
    return np.tile(k.VALUES, (n, 1)) * np.exp(by * np.random.default_rng(seed).normal(size=(n, k.n_params)))


def weights_of(solution, count, seed=5):
    """Of sums in which each output counts as much as any other."""
    rng = np.random.default_rng(seed)
    n, times, outputs = solution.outputs.shape
    size = abs(solution.outputs).max(axis=(0, 1))
    return rng.normal(size=(n, count, times, outputs)) / np.where(size > 1e-9, size, 1.0)


def close(found, wanted, p, tolerance):
    """Relative to the largest derivative of each sum by relative changes."""
    off = abs(found - wanted) * abs(p)[:, None]
    largest = abs(wanted * p[:, None]).max(axis=2, keepdims=True)
    assert np.all(off <= tolerance * (largest + 1e-12)), (off / (largest + 1e-12)).max()


@pytest.mark.parametrize("method", ["auto", "tsit5", "rodas4", "rodas5p"])
@pytest.mark.parametrize(("model", "doses", "end"), CASES)
def test_backwards_is_forward(model, doses, end, method):
    """Sums of outputs, and areas whose edges lie inside steps, of more subjects than stand in lanes."""
    k, rtol = kernel(model), 1e-6
    p, times, table = spread(k, 11), np.linspace(0.0, end, 6), events(k, doses)
    options = Options(rtol=rtol, method=method, threads=1)
    window = (0.13 * end, 0.71 * end)
    readings = [("area", k.OUTPUTS[0], *window)]
    if method == "tsit5" and model in ("tmdd_full", "il2_treg", "als"):
        pytest.skip("stiff")
    forward = solve(
        k, p, table, times, options=options, directions=range(k.n_params), readings=readings
    ).check()
    weights = weights_of(forward, 2)
    share = np.random.default_rng(7).normal(size=(11, 2, 1)) / (abs(forward.readings.values).max() + 1e-12)
    sums = adjoint.Functionals(weights, np.array([[*window, 0.0]]), share)
    raw, found = adjoint.gradients(k, p, plain(table, 11), times, options, sums)
    wanted = np.einsum("sfto,stod->sfd", weights, forward.sensitivities)
    wanted += np.einsum("sfa,sad->sfd", share, forward.readings.sensitivities)
    assert np.all(raw.status == status.SUCCESS)
    close(found, wanted, p, 1e-5)


@pytest.mark.parametrize("method", ["tsit5", "rodas4", "rodas5p"])
def test_the_derivative_is_that_of_the_numbers_that_were_computed(method):
    """One long step from dose to dose, whatever its error: then steps do not move with parameters, and the
    derivative is that of the computed outputs, which is not the exact one."""
    k = kernel("michaelis_menten")
    doses = events(k, "100 mg iv every 12 h x6")
    options = Options(rtol=0.9, atol=1e9, method=method, threads=1)
    solver = Solver(k, doses, [3.0], options=options)
    solution, gradient = solver.gradient(k.VALUES, np.eye(1, k.n_outputs))
    assert solution.counts[0].tolist()[3] == 6  # steps
    computed = []
    for unit in np.eye(k.n_params):
        ends = [solver(k.VALUES * (1.0 + step * unit)).outputs[0, 0, 0] for step in (1e-6, -1e-6)]
        computed.append((ends[0] - ends[1]) / 2e-6)
    tight = {"options": Options(rtol=1e-10), "directions": range(k.n_params)}
    exact = solve(k, k.VALUES, doses, [3.0], **tight).sensitivities[0, 0, 0] * k.VALUES
    size = abs(exact).max()
    assert abs(gradient[0] * k.VALUES - computed).max() < 1e-7 * size < 1e-1 * abs(exact - computed).max()


def test_where_a_slope_is_infinite_the_subject_has_failed():
    """A root at nought is infinitely steep; forward sees that no parameter moves what it is drawn from."""
    text = """
model      a square root
time       h
parameter  k = 1.0 [1/h]
state      A = 0.0 [1]
d A = k*sqrt(A)
output     x = A [1]
"""
    k = pkpd.load(pkpd.read_model(text))
    solver = Solver(k, events(k, "none"), [1.0], options=Options(rtol=1e-4))
    solution, gradient = solver.gradient(k.VALUES, [[1.0]])
    assert solution.status[0] == status.SLOPE_NOT_FINITE
    assert np.isnan(gradient).all() and np.isnan(solution.outputs).all()


def test_closed_form_of_one_compartment():
    """C = dose/V exp(-CL/V t) and its derivatives by CL and V."""
    k = kernel("one_compartment_iv")
    CL, V, t = 2.8, 32.0, np.array([1.0, 6.0, 18.0])
    solver = Solver(k, events(k, "100 mg iv once"), t, options=Options(rtol=1e-6))
    weights = np.array([1.0, -2.0, 3.0])
    solution, gradient = solver.gradient([CL, V], np.column_stack([weights, 0.0 * weights]))
    C = 100.0 / V * np.exp(-CL / V * t)
    assert solution.outputs[0, :, 0] == pytest.approx(C, rel=1e-5)
    by_V = C * (CL * t / V**2 - 1.0 / V)
    assert gradient[0] == pytest.approx([weights @ (-t / V * C), weights @ by_V], rel=1e-5)


def test_an_output_at_the_time_of_a_dose_is_that_after_it():
    k = kernel("one_compartment_iv")
    solver = Solver(k, events(k, "100 mg iv daily x3"), [0.0, 24.0, 48.0], options=Options(rtol=1e-6))
    for row in range(3):
        weights = np.zeros((3, k.n_outputs))
        weights[row, 0] = 1.0
        forward = solve(
            k, k.VALUES, solver.events, solver.times, options=Options(rtol=1e-6), directions=["CL", "V"]
        )
        _, gradient = solver.gradient(k.VALUES, weights)
        assert gradient[0] == pytest.approx(forward.sensitivities[0, row, 0], rel=1e-4, abs=1e-12)


def test_a_subject_does_not_depend_on_its_neighbours_or_on_threads():
    k = kernel("il2_treg")
    p, times = spread(k, 150, by=0.2), [200.0, 400.0]
    doses = events(k, "1 MIU sc daily x5")
    weights = np.ones((2, k.n_outputs))
    options = [Options(rtol=1e-3, threads=threads) for threads in (1, 2)]
    one, two = (Solver(k, doses, times, options=how).gradient(p, weights) for how in options)
    np.testing.assert_array_equal(one[1], two[1])
    np.testing.assert_array_equal(one[0].outputs, two[0].outputs)
    alone = Solver(k, doses, times, options=options[0]).gradient(p[77], weights)
    np.testing.assert_array_equal(alone[1][0], one[1][77])


def test_the_solution_is_the_usual_one_bit_for_bit():
    k = kernel("tmdd_full")
    p, times = spread(k, 9), [3.0, 20.0, 40.0]
    solver = Solver(k, events(k, "150 mg iv over 2 h every 14 d x2"), times, options=Options(rtol=1e-4))
    solution, _ = solver.gradient(p, np.ones((3, k.n_outputs)))
    np.testing.assert_array_equal(solution.outputs, solver(p).outputs)
    np.testing.assert_array_equal(solution.counts, solver(p).counts)


def test_who_fails_has_no_gradient_and_does_not_disturb_others():
    k = kernel("michaelis_menten")
    p = spread(k, 10)
    p[4, k.PARAMETERS.index("V")] = 0.0
    solver = Solver(k, events(k, "300 mg oral daily x2"), [1.0, 2.0], options=Options(rtol=1e-4))
    weights = np.ones((2, k.n_outputs))
    solution, gradient = solver.gradient(p, weights)
    assert solution.status[4] != status.SUCCESS and np.all(np.isnan(gradient[4]))
    others = np.delete(np.arange(10), 4)
    np.testing.assert_array_equal(gradient[others], solver.gradient(p[others], weights)[1])


def test_more_steps_than_there_was_room_for(monkeypatch):
    k = kernel("tmdd_full")
    solver = Solver(k, events(k, "150 mg iv once"), [10.0, 60.0], options=Options(rtol=1e-6))
    p = spread(k, 20)
    wanted = solver.gradient(p, np.ones((2, k.n_outputs)))[1]
    monkeypatch.setattr(adjoint, "FIRST_ROOM", 3)
    monkeypatch.setattr(adjoint, "MOST_TAPED", 100)
    np.testing.assert_array_equal(solver.gradient(p, np.ones((2, k.n_outputs)))[1], wanted)


def test_times_in_any_order_and_subjects_with_timelines_of_their_own():
    k = kernel("one_compartment_iv")
    first, second = events(k, "100 mg iv once"), events(k, "50 mg iv over 1 h every 6 h x2")
    timelines = [pkpd.Timeline(first, [9.0, 2.0]), pkpd.Timeline(second, [1.0, 8.0, 4.0])]
    weights = np.random.default_rng(2).normal(size=(2, 3, k.n_outputs))
    weights[0, 2] = 0.0
    p = spread(k, 2)
    _, found = Solver(k, timelines, options=Options(rtol=1e-6)).gradient(p, weights)
    for i, one in enumerate(timelines):
        n = len(one.times)
        _, alone = Solver(k, one.events, one.times, options=Options(rtol=1e-6)).gradient(p[i], weights[i, :n])
        assert found[i] == pytest.approx(alone[0], rel=1e-9)


def test_doses_scaled_by_factors_and_body_size():
    k = kernel("il2_treg")
    doses = events(k, "1 MIU/m2 sc daily x3")
    p, factors = spread(k, 3), np.array([[1.0, 0.5, 2.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.5]])
    how = {"options": Options(rtol=1e-6, method="rodas4"), "factors": factors}
    forward = solve(k, p, doses, [100.0], directions=range(k.n_params), **how)
    weights = weights_of(forward, 1)[:, 0]
    _, found = Solver(k, doses, [100.0], **how).gradient(p, weights)
    wanted = np.einsum("sto,stod->sd", weights, forward.sensitivities)
    close(found[:, None], wanted[:, None], p, 1e-5)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"options": Options(rtol=1e-9)}, "vern7 has no way back"),
        ({"options": Options(method="linear")}, "linear has no way back"),
        ({"options": Options(rtol=1e-4), "changes": [(2.0, "CL", 3.0)]}, "change parameters"),
        ({"options": Options(rtol=1e-4), "initial": np.ones((1, 1)), "start": 0.0}, "events set states"),
        ({"options": Options(rtol=1e-4), "directions": ["CL"]}, "without directions"),
        ({"options": Options(rtol=1e-4), "readings": [("max", "C")]}, "without directions, readings"),
    ],
)
def test_what_has_no_gradient_says_so(how, why):
    k = kernel("one_compartment_iv")
    solver = Solver(k, events(k, "100 mg iv once"), [6.0], **how)
    with pytest.raises(InputError, match=why):
        solver.gradient(k.VALUES, np.ones((1, k.n_outputs)))


@pytest.mark.parametrize("weights", [np.ones(2), [[np.nan, 1.0]], "much", [[1.0]], np.ones((2, 1, 2))])
def test_weights_of_another_shape(weights):
    k = kernel("one_compartment_iv")
    solver = Solver(k, events(k, "100 mg iv once"), [6.0], options=Options(rtol=1e-4))
    with pytest.raises(InputError, match=r"weights must be finite numbers of shape \(1, 1, 2\)"):
        solver.gradient(k.VALUES, weights)
