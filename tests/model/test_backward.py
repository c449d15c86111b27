"""What runs backwards is the transposed of what runs forward."""

import ast

import mpmath
import numpy as np
import pytest
import small_models as small
from test_forward import LINES

from pkpd.model import backward, forward
from pkpd.ode.compile import source
from pkpd.solver import kernel

NAMES = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "inf": np.inf}


def run(text, name, *arrays):
    """A generated function as Python."""
    space = dict(NAMES)
    exec(compile(text, name, "exec"), space)  # noqa: S102  what is under test is the text
    space[name](*arrays)


@pytest.mark.parametrize("name", small.NAMES)
@pytest.mark.parametrize("function", ["rhs", "jacobian", "outputs"])
def test_backward_is_the_transposed_of_forward(name, function):
    """<out_bar, out_dot> = <y_bar, y_dot> + <p_bar, p_dot> for any of them."""
    model = small.get(name)
    k = kernel.load(model)
    y, p = small.point(model, 11)
    prepared = k.prepared(p)
    tree = source.source(getattr(k._modules[0] if hasattr(k, "_modules") else k, function)).tree
    rng = np.random.default_rng(5)
    n_out = {"rhs": k.n_states, "jacobian": len(k.J_ROWS), "outputs": k.n_outputs}[function]
    y_dot, p_dot, out_bar = (
        rng.normal(size=k.n_states),
        rng.normal(size=len(prepared)),
        rng.normal(size=n_out),
    )
    out_dot, y_bar, p_bar = np.zeros(n_out), np.zeros(k.n_states), np.zeros(len(prepared))
    with np.errstate(all="ignore"):
        run(forward.tangent(tree), f"{function}_tangent", y, prepared, y_dot, p_dot, out_dot)
        run(backward.backward(tree), f"{function}_backward", y, prepared, out_bar, y_bar, p_bar)
    scale = abs(out_bar) @ abs(out_dot) + 1e-12
    assert abs(out_bar @ out_dot - y_bar @ y_dot - p_bar @ p_dot) < 1e-10 * scale


@pytest.mark.parametrize("line", LINES)
def test_a_straight_line_backwards(line):
    text = f"def f(z, out):\n    x = z[0]\n    y = z[1]\n    out[0] = {line}\n    out[1] = 4.0\n"
    made = backward.backward(ast.parse(text).body[0])
    names = {"exp": mpmath.exp, "log": mpmath.log, "sqrt": mpmath.sqrt, "inf": mpmath.inf}
    exec(compile(made, "made", "exec"), names)  # noqa: S102  what is under test is the text
    with mpmath.workdps(40):
        z, found = [mpmath.mpf(v) for v in LINES[line]], [mpmath.mpf(7), mpmath.mpf(0)]
        names["f_backward"](z, [mpmath.mpf(2), mpmath.mpf(9)], found)

        def f(x, y, line=line):
            return eval(line, names | {"x": x, "y": y})  # noqa: S307

        exact = [mpmath.diff(f, tuple(z), order) for order in ((1, 0), (0, 1))]
        # what stood there before stays in the sum
        assert max(abs(found[0] - 7 - 2 * exact[0]), abs(found[1] - 2 * exact[1])) < 1e-14


@pytest.mark.parametrize(
    ("line", "by_x", "by_y"),
    [
        ("1.0/(1.0 + 1.0/(x*x)) if x > 0.0 else y", 0.0, 1.0),  # the other branch divides by nought
        ("0.0*x**0.5 + y", 0.0, 1.0),  # whose slope is infinite
    ],
)
def test_what_does_not_count_adds_nothing_where_its_slope_is_infinite(line, by_x, by_y):
    text = f"def f(z, out):\n    x = z[0]\n    y = z[1]\n    out[0] = {line}\n"
    found = np.zeros(2)
    with np.errstate(all="ignore"):
        run(backward.backward(ast.parse(text).body[0]), "f_backward", np.array([0.0, 3.0]), np.ones(1), found)
    assert found.tolist() == [by_x, by_y]


def test_what_is_no_straight_line_is_refused():
    with pytest.raises(TypeError, match="not a straight line"):
        backward.backward(
            ast.parse("def f(y, out):\n    for i in range(3):\n        out[i] = y[i]\n").body[0]
        )
    with pytest.raises(TypeError, match="no derivative is known of"):
        backward.backward(ast.parse("def f(y, out):\n    out[0] = y[0] % 2.0\n").body[0])
