"""Every derivative is that of the function itself, entries left out of a pattern are zero, and elimination is
exact without pivoting.

The reference are central differences in 40 digits of the generated functions, run as plain Python on mpmath
numbers: with a step of 1e-12 their error is about 1e-24, so that a single wrong term cannot hide.
"""

import contextlib

import mpmath
import numpy as np
import pytest
import small_models as small

from pkpd.core.errors import ModelError
from pkpd.model import derive
from pkpd.model.check import read_model

STEP = mpmath.mpf("1e-12")


@pytest.fixture(scope="module", params=small.NAMES)
def case(request, tmp_path_factory):
    """(model, plain module, sensitivity module), the modules for 40-digit numbers."""
    model = small.get(request.param)
    folder = tmp_path_factory.mktemp("generated")
    return model, *small.as_modules(model, folder, **small.EXACT)


def differences(module, name, y, p, n_y, n_p):
    """Dense derivative of one function by z = (y, p): (n_results, n_y + n_p)."""
    columns = []
    for k in range(n_y + n_p):
        moved = []
        for sign in (1, -1):
            z = [*y, *p]
            z[k] += sign * STEP
            moved.append(small.evaluate(module, name, z[:n_y], z[n_y:]))
        columns.append([(a - b) / (2 * STEP) for a, b in zip(*moved, strict=True)])
    return np.array(columns, dtype=float).reshape(n_y + n_p, -1).T


def dense(values, rows, columns, shape):
    matrix = np.zeros(shape)
    matrix[list(rows), list(columns)] = np.array(values, dtype=float)
    return matrix


@pytest.mark.parametrize("seed", [1, 2])
def test_derivatives_are_those_of_the_functions(case, seed):
    model, plain, sens = case
    with mpmath.workdps(40):
        y, p = ([mpmath.mpf(value) for value in part] for part in small.point(model, seed))
        n_y, n_p = len(y), len(p)
        n_z, n_out, n_r = n_y + n_p, len(plain.OUTPUTS), 4 * len(plain.ROUTES)
        by = {
            name: differences(plain, name, y, p, n_y, n_p)
            for name in ("rhs", "jacobian", "outputs", "initial", "routes")
        }
        values = {name: small.evaluate(plain, name, y, p) for name in ("jacobian",)}
        values |= {
            name: small.evaluate(sens, name, y, p)
            for name in ("dfdp", "hessian", "doutputs", "dinitial", "droutes")
        }
    got = {
        "jacobian": dense(values["jacobian"], plain.J_ROWS, plain.J_COLS, (n_y, n_y)),
        "dfdp": dense(values["dfdp"], sens.P_ROWS, sens.P_COLS, (n_y, n_p)),
        "hessian": dense(values["hessian"], sens.H_ENTRY, sens.H_Z, (len(plain.J_ROWS), n_z)),
        "doutputs": dense(values["doutputs"], sens.G_ROWS, sens.G_Z, (n_out, n_z)),
        "dinitial": dense(values["dinitial"], sens.D_ROWS, sens.D_COLS, (n_y, n_p)),
        "droutes": dense(values["droutes"], sens.R_ROWS, sens.R_COLS, (n_r, n_p)),
    }
    expected = {
        "jacobian": by["rhs"][:, :n_y],
        "dfdp": by["rhs"][:, n_y:],
        "hessian": by["jacobian"],
        "doutputs": by["outputs"],
        "dinitial": by["initial"][:, n_y:],
        "droutes": by["routes"][:, n_y:],
    }
    for name, matrix in expected.items():
        scale = np.abs(matrix).max(initial=1e-3)
        np.testing.assert_allclose(got[name], matrix, rtol=1e-14, atol=1e-14 * scale, err_msg=name)


def test_patterns_are_sorted_without_doubles_and_hold_the_diagonal(case):
    _, plain, sens = case
    n = len(plain.STATES)
    assert {(i, i) for i in range(n)} <= set(zip(plain.J_ROWS, plain.J_COLS, strict=True))
    for rows, columns in (
        (plain.J_ROWS, plain.J_COLS),
        (sens.P_ROWS, sens.P_COLS),
        (sens.H_ENTRY, sens.H_Z),
        (sens.G_ROWS, sens.G_Z),
        (sens.D_ROWS, sens.D_COLS),
        (sens.R_ROWS, sens.R_COLS),
    ):
        pairs = list(zip(rows, columns, strict=True))
        assert pairs == sorted(set(pairs))


def test_factor_and_solve_invert_w(case):
    _, plain, _ = case
    n = len(plain.STATES)
    rng = np.random.default_rng(4)
    for _ in range(5):
        J = list(rng.normal(size=len(plain.J_ROWS)))
        matrix = dense(J, plain.J_ROWS, plain.J_COLS, (n, n))
        d = float(np.abs(matrix).sum(axis=1).max() * rng.uniform(2, 100))
        LU, b = [None] * plain.N_LU, rng.normal(size=n)
        x = list(b)
        plain.factor(J, d, LU)
        plain.solve(LU, x)
        np.testing.assert_allclose(x, np.linalg.solve(d * np.eye(n) - matrix, b), rtol=1e-12, atol=1e-15)


def filled(pattern, n, order):
    """Number of entries that appear when the states are eliminated in this order, by dense boolean
    elimination."""
    matrix = np.eye(n, dtype=bool)
    matrix[tuple(np.array(sorted(pattern)).T)] = True
    matrix = matrix[np.ix_(order, order)]
    before = matrix.sum()
    for k in range(n):
        matrix[k + 1 :, k + 1 :] |= np.outer(matrix[k + 1 :, k], matrix[k, k + 1 :])
    return matrix.sum() - before


@pytest.mark.parametrize("seed", range(10))
def test_elimination_counts_its_fill_rightly_and_fills_less_than_the_given_order(seed):
    rng = np.random.default_rng(seed)
    n = 14
    pattern = {(int(i), int(j)) for i, j in rng.integers(0, n, (40, 2))}
    elimination = derive.eliminate(pattern, n)
    assert sorted(elimination.order) == list(range(n))
    assert len(elimination.fill) == filled(pattern, n, list(elimination.order))
    assert len(elimination.fill) <= filled(pattern, n, list(range(n)))
    assert sorted(elimination.slots.values()) == list(range(len(elimination.slots)))
    assert set(elimination.slots) == pattern | {(i, i) for i in range(n)} | set(elimination.fill)


def test_an_arrow_and_a_chain_do_not_fill():
    n = 12
    arrow = {(0, j) for j in range(n)} | {(i, 0) for i in range(n)}
    chain = {(i + 1, i) for i in range(n - 1)} | {(i, i + 1) for i in range(n - 1)}
    assert derive.eliminate(arrow, n).fill == ()
    assert derive.eliminate(chain, n).fill == ()
    assert filled(arrow, n, list(range(n))) == (n - 1) * (n - 2)


def test_time_becomes_a_last_state():
    derived = derive.derive(small.SMALL["timed"])
    assert derived.state_names == ("x", "t")
    assert derived.rhs[-1] == 1
    assert derived.initial[-1] == 0
    assert derive.derive(small.SMALL["bare"]).state_names == ("x",)


def slope(text, x, folder):
    """Value and derivative by x of an expression, in float64 without exceptions as in the compiled
    functions."""
    model = small.build({"x": text}, parameters={"k": 2.0, "n": 1.5})
    module = small.as_python(small.generated(model), folder, **small.FLOATS)
    y, p = np.array([x]), np.array([2.0, 1.5])
    with np.errstate(all="ignore"):
        return float(small.evaluate(module, "rhs", y, p)[0]), float(
            small.evaluate(module, "jacobian", y, p)[0]
        )


@pytest.mark.parametrize(
    ("text", "x", "value", "derivative"),
    [
        ("abs(x)", 0.0, 0.0, 1.0),
        ("abs(x)", -3.0, 3.0, -1.0),
        ("max(x, 0)", 0.0, 0.0, 1.0),
        ("max(x, 0)", -1e-300, 0.0, 0.0),
        ("min(x, k)", 2.0, 2.0, 1.0),
        ("min(x, k)", 5.0, 2.0, 0.0),
        ("min(x^2, k*x, 3*k)", 1.0, 1.0, 2.0),
        ("min(x^2, k*x, 3*k)", 2.5, 5.0, 2.0),
        ("min(x^2, k*x, 3*k)", 4.0, 6.0, 0.0),
        ("piecewise(x^2, x < 1, 2*x, x <= 2, 7)", 1.0, 2.0, 2.0),
        ("piecewise(x^2, x < 1, 2*x, x <= 2, 7)", 2.0, 4.0, 2.0),
        ("piecewise(x^2, x < 1, 2*x, x <= 2, 7)", 2.0000001, 7.0, 0.0),
        ("piecewise(log(x), x > 0, -1)", 0.0, -1.0, 0.0),
        ("piecewise(1, 2 > 1, x)", 3.0, 1.0, 0.0),
        ("hill(x, k)", 0.0, 0.0, 0.0),
        ("hill(x, k)", 2.0, 0.5, 0.125),
        ("hill(x, k, n)", 0.0, 0.0, 0.0),
        ("hill(x, k, n)", -1.0, 0.0, 0.0),
        ("hill(x, k, n)", 2.0, 0.5, 1.5 / 8),
        ("hill(x, k, 40)", 1e-30, 0.0, 0.0),
        ("hill(x, k, 40)", 1e30, 1.0, 0.0),
        ("hill(-x, k, 2)", 1.0, 0.0, 0.0),
        ("x^n", 0.0, 0.0, 0.0),
        ("x^2", 0.0, 0.0, 0.0),
        ("x^0", 0.0, 1.0, 0.0),
        ("(x^2)^0.5", -3.0, 3.0, -1.0),
    ],
)
def test_at_a_kink_the_active_branch_counts_and_nothing_is_nan(text, x, value, derivative, tmp_path):
    assert slope(text, x, tmp_path) == (
        pytest.approx(value, abs=1e-300),
        pytest.approx(derivative, abs=1e-300),
    )


@pytest.mark.parametrize(
    "text",
    ["1/0", "x/(1 - 1)", "exp(1000)*x", "10^400", "(0 - 8)^(1/3)", "sqrt(0 - 1)", "log(0)*x", "1e300*1e300"],
)
def test_arithmetic_on_numbers_without_a_finite_result_is_an_error_with_its_place(text):
    with pytest.raises(ModelError, match=r"small\.model:1:") as caught:
        derive.derive(small.build({"x": text}))
    assert "not a finite number" in str(caught.value) or "division by zero" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["10^(10^10)", "((((x*9)^16)^16)^16)^16", "9^x^9^x^9", "((x + 9)^(10^300))^(10^300)"]
)
def test_towers_of_powers_end_quickly(text):
    """Exact integers would fill the memory here; floats overflow instead, with or without an error."""
    with contextlib.suppress(ModelError):
        small.generated(small.build({"x": text}))


def test_derivative_steps_carry_the_names_of_the_model():
    derived = derive.derive(small.SMALL["clashes"])
    steps, _ = derived.jacobian
    names = [step.symbol.name for step in steps]
    assert len(set(names)) == len(names)
    assert "da_dy_" in names  # the state y is y_ in the source, where y is the array
    assert "da_dJ_" in names  # the definition da_dJ keeps its name, the derivative of a by J_ is another


def test_a_model_read_from_text_goes_the_same_way():
    text = """
model     two
time      h
parameter k = 0.5 [1/h]  loss
state     a = 2 [mg]  first
state     b [mg]  second
d a = -k*a
d b = k*a - k*b
output    b [mg]
"""
    derived = derive.derive(read_model(text, "two.model"))
    _, entries = derived.jacobian
    assert set(entries) == {(0, 0), (1, 0), (1, 1)}
