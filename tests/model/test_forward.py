"""Tangents of the generated functions are the derivatives that sympy gives, along any direction, and of any
straight line."""

import ast
import ctypes

import mpmath
import numpy as np
import pytest
import small_models as small

from pkpd.model import forward
from pkpd.ode.layout import LANES
from pkpd.solver import kernel

STRIDE = 2 * LANES


def call(k, name, *arrays):
    """A tangent function along STRIDE directions."""
    count = len(arrays) + 1
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (count - 1), ctypes.c_int64)(k.address(name))
    function(*(a.ctypes.data for a in arrays), STRIDE)


@pytest.mark.parametrize("name", small.NAMES)
def test_tangents_are_the_derivatives_of_sympy_along_directions(name):
    model = small.get(name)
    k = kernel.load(model)
    y, p = small.point(model, 11)
    n, q = k.n_states, k.n_params
    rng = np.random.default_rng(4)
    y_dot, own_dot = rng.normal(size=(n, STRIDE)), rng.normal(size=(q, STRIDE))
    prepared = k.prepared(p)
    p_dot = np.zeros((len(prepared), STRIDE))
    p_dot[:q] = own_dot
    call(k, "constants_tangent", prepared, p_dot)
    z_dot = np.concatenate([y_dot, own_dot])

    J = np.zeros(len(k.J_ROWS))
    k.call("jacobian", y, p, J)
    by_state = np.zeros((n, n))
    by_state[k.J_ROWS, k.J_COLS] = J

    def sparse(function, rows, columns, shape, *arguments):
        values = np.zeros(len(rows))
        k.call(function, *arguments, values)
        matrix = np.zeros(shape)
        matrix[rows, columns] = values
        return matrix

    expected = {
        "rhs_tangent": by_state @ y_dot + sparse("dfdp", k.P_ROWS, k.P_COLS, (n, q), y, p) @ own_dot,
        "jacobian_tangent": sparse("hessian", k.H_ENTRY, k.H_Z, (len(J), n + q), y, p) @ z_dot,
        "outputs_tangent": sparse("doutputs", k.G_ROWS, k.G_Z, (k.n_outputs, n + q), y, p) @ z_dot,
        "initial_tangent": sparse("dinitial", k.D_ROWS, k.D_COLS, (n, q), p) @ own_dot,
        "routes_tangent": sparse("droutes", k.R_ROWS, k.R_COLS, (4 * len(k.ROUTES), q), p) @ own_dot,
    }
    for function, exact in expected.items():
        found = np.full_like(exact, np.nan)
        given = (y, prepared, y_dot, p_dot) if kernel.ARGUMENTS[function][0] == "y" else (prepared, p_dot)
        call(k, function, *given, found)
        scale = np.abs(exact).max(axis=1, keepdims=True) + 1e-12
        np.testing.assert_allclose(found / scale, exact / scale, atol=2e-12, err_msg=function)


LINES = {
    "x*y - x/y": (1.3, 0.7),
    "x**2.5 - y**-1.0": (1.3, 0.7),
    "x**y": (1.3, 0.7),
    "exp(-x)*log(y)/sqrt(x + y)": (1.3, 0.7),
    "abs(x - y) + abs(y - x)*y": (1.3, 0.7),
    "(x*x if x > y else y) + (1.0 if x <= 0.0 else x)": (1.3, 0.7),
    "-(2.0 - x)/(3.0*y) - 1.0/(-x)": (1.3, 0.7),
}


@pytest.mark.parametrize("line", LINES)
def test_a_straight_line_is_differentiated(line):
    text = f"def f(z, out):\n    x = z[0]\n    y = z[1]\n    out[0] = {line}\n    out[1] = 4.0\n"
    made = forward.tangent(ast.parse(text).body[0])
    names = {"exp": mpmath.exp, "log": mpmath.log, "sqrt": mpmath.sqrt, "inf": mpmath.inf}
    exec(compile(made, "made", "exec"), names)  # noqa: S102  what is under test is the text
    point, step = LINES[line], (0.3, -1.1)
    with mpmath.workdps(40):
        z, z_dot, out_dot = [mpmath.mpf(v) for v in point], [mpmath.mpf(v) for v in step], [None, None]
        names["f_tangent"](z, z_dot, out_dot)

        def f(s, line=line):
            return eval(line, names | {"x": z[0] + s * z_dot[0], "y": z[1] + s * z_dot[1]})  # noqa: S307

        assert abs(out_dot[0] - mpmath.diff(f, 0)) < 1e-15
    assert out_dot[1] == 0.0


def test_what_is_no_straight_line_is_refused():
    with pytest.raises(TypeError, match="not a straight line"):
        forward.tangent(ast.parse("def f(y, out):\n    for i in range(3):\n        out[i] = y[i]\n").body[0])
    with pytest.raises(TypeError, match="no derivative is known of"):
        forward.tangent(ast.parse("def f(y, out):\n    out[0] = y[0] % 2.0\n").body[0])
