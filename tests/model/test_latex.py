r"""LaTeX of an expression has the parentheses that keep its meaning and no others; every shipped model gives
balanced LaTeX."""

import pytest

from pkpd.core import library
from pkpd.model.check import read_model
from pkpd.model.latex import expression, model_latex, name
from pkpd.model.text import parse_expression


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a - (b - c)", r"a - \left(b - c\right)"),
        ("a - b + c", "a - b + c"),
        ("a*(b + c)", r"a \, \left(b + c\right)"),
        ("a*b + c", r"a \, b + c"),
        ("-a*b", r"-a \, b"),
        ("a*(-b)", r"a \, \left(-b\right)"),
        ("-(a + b)", r"-\left(a + b\right)"),
        ("(-a)^2", r"\left(-a\right)^{2}"),
        ("-a^2", "-a^{2}"),
        ("(a + b)^(c + 1)", r"\left(a + b\right)^{c + 1}"),
        ("(a^b)^c", r"\left(a^{b}\right)^{c}"),
        ("(a/b)^2", r"\left(\frac{a}{b}\right)^{2}"),
        ("a/(b*c)*d", r"\frac{a}{b \, c} \, d"),
        ("exp(-a*t)", r"\exp\left(-a \, t\right)"),
        ("exp(a)^2", r"\left(\exp\left(a\right)\right)^{2}"),
        ("sqrt(abs(a - b))", r"\sqrt{\left|a - b\right|}"),
        ("hill(C, K)", r"\frac{C}{K + C}"),
        ("hill(C, K, n)", r"\frac{C^{n}}{K^{n} + C^{n}}"),
        ("hill(a + b, K, 2)", r"\frac{\left(a + b\right)^{2}}{\left(K\right)^{2} + \left(a + b\right)^{2}}"),
        ("piecewise(a, t < 1, b)", r"\begin{cases} a & t < 1 \\ b & \text{otherwise} \end{cases}"),
        ("1e-5*a", r"10^{-5} \, a"),
        ("2.5e27", r"2.5 \cdot 10^{27}"),
    ],
)
def test_expressions(text, latex):
    assert expression(parse_expression(text)) == latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("V", "V"),
        ("CL", r"\mathit{CL}"),
        ("k_out", r"k_{\mathrm{out}}"),
        ("EC50", r"\mathit{EC}_{50}"),
        ("theta", r"\theta"),
        ("theta_1", r"\theta_{1}"),
        ("Q_a_b", r"Q_{\mathrm{a,b}}"),
    ],
)
def test_names(text, latex):
    assert name(text) == latex


@pytest.mark.parametrize("model", library.models())
def test_every_model_gives_balanced_latex(model):
    checked = read_model(*library.read_model_text(model))
    latex = model_latex(checked)
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    assert latex.count("&=") >= len(checked.equations) + len(checked.definitions)
