"""Claim: correlations of a model are read with their names and sources, those that make no sense or cannot
hold together are refused where they stand, and a model that extends another may change them."""

import json

import numpy as np
import pytest

from pkpd.core.errors import ModelError
from pkpd.model.check import read_model
from pkpd.model.correlation import EtaCorrelation, correlation_matrix
from pkpd.solver.kernel import load

MODEL = """\
model        three that go together
time         d
parameter    a = 1 [1/d]  one    ~ lognormal(0.3)  # assumed
parameter    b = 2 [1]    two    ~ lognormal(0.5)  # assumed
covariate    c = 3 [1]    three  ~ lognormal(0.7)  # assumed
parameter    f = 4 [1]    alike                    # assumed
output       y = a*b*c*f [1/d]
correlation  a b = 0.9    # Table 3
"""
LINE = "correlation  a b = 0.9    # Table 3"


def refused(lines):
    with pytest.raises(ModelError) as caught:
        read_model(MODEL.replace(LINE, lines), "my.model")
    return str(caught.value)


def test_they_stand_in_the_model_and_the_kernel():
    model = read_model(f"{MODEL}correlation c a = -.3\n", "my.model")
    assert model.correlations == (
        EtaCorrelation("a", "b", 0.9, "Table 3", 8),
        EtaCorrelation("c", "a", -0.3, "", 9),
    )
    kernel = load(model)
    assert kernel.CORRELATIONS == (("a", "b", 0.9), ("c", "a", -0.3))
    matrix = correlation_matrix(kernel.PARAMETERS, kernel.CORRELATIONS)
    expected = [[1, 0.9, -0.3, 0], [0.9, 1, 0, 0], [-0.3, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(matrix, expected)
    assert load("one_compartment_iv").CORRELATIONS == ()


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ("correlation a a = 0.1", "8:15", "a goes together with itself"),
        (f"{LINE}\ncorrelation b a = 0.1", "9:13", "of b and a is declared already, line 8"),
        ("correlation a f = 0.1", "8:15", "f does not differ between subjects"),
        ("correlation a g = 0.1", "8:15", 'there is no parameter or covariate "g"'),
        ("correlation a y = 0.1", "8:15", 'there is no parameter or covariate "y"'),
        ("correlation a b = 1", "8:19", "a correlation lies between -1 and 1"),
        ("correlation a b = -1.5", "8:19", "a correlation lies between -1 and 1"),
        ("correlation a b = nan", "8:19", "a correlation must be a number"),
        ("correlation a b 0.3", "8:17", 'expected "="'),
        ("correlation a = 0.3", "8:15", "expected the name of a parameter or covariate"),
        ("correlation a b = 0.3 [1]", "8:23", "expected the end of the line"),
    ],
)
def test_what_is_wrong_is_shown_where_it_stands(lines, place, said):
    message = refused(lines)
    assert message.startswith(f"my.model:{place}: ")
    assert said in message


def test_they_must_hold_together_whatever_their_order():
    """a goes with b, and b against c: then a and c cannot be independent. With their correlation all is
    well."""
    message = refused(f"{LINE}\ncorrelation b c = -0.91")
    assert message.startswith("my.model:9:13: the correlations cannot hold together, least that of b and c")
    assert "smallest eigenvalue is -0.28" in message  # 1 - sqrt(0.9^2 + 0.91^2)
    for third in (
        f"{LINE}\ncorrelation b c = -0.91\ncorrelation c a = -0.8",
        f"{LINE}\ncorrelation b c = 0.4",
    ):
        read_model(MODEL.replace(LINE, third), "my.model")


def test_a_model_that_extends_another_changes_them(tmp_path):
    (tmp_path / "base.model").write_text(MODEL)
    own = tmp_path / "own.model"
    for line, expected in (
        ("replace correlation b a = 0.2", (("b", "a", 0.2),)),
        ("drop correlation b a", ()),
        ("correlation a c = 0.1", (("a", "b", 0.9), ("a", "c", 0.1))),
    ):
        own.write_text(f"extends ./base.model\n{line}\n")
        assert expected == load(str(own)).CORRELATIONS
    for line, said in (
        ("correlation b a = 0.2", '"a b" stands in ./base.model already'),
        ("drop correlation a c", '/base.model has no correlation "a c"'),
        ("replace parameter b = 2 [1]  the same in all", "base.model:8:16: b does not differ"),
    ):
        own.write_text(f"extends ./base.model\n{line}\n")
        with pytest.raises(ModelError) as caught:
            load(str(own))
        assert said in str(caught.value)


def test_show_prints_them(tmp_path, pkpd):
    path = tmp_path / "my.model"
    path.write_text(MODEL)
    assert "correlations between subjects\n  a and b = 0.9  Table 3\n" in pkpd("show", path)[1]
    facts = json.loads(pkpd("show", path, "--json")[1])
    assert facts["correlations"] == [{"between": ["a", "b"], "value": 0.9, "source": "Table 3"}]
