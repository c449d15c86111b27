"""The generated source is one a person can read and trust: the model's names, straight lines, nothing
computed twice, no text of a model file executed, and the same text in every process."""

import ast
import math
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import small_models as small

from pkpd.core.errors import ModelError
from pkpd.model import derive, source
from pkpd.model.check import dose_units, read_model

ONE = """
model     one compartment, first-order absorption
time      h
parameter ka = 1.0 [1/h]  absorption rate
    bounds 0.01 .. 10
parameter CL = 5.0 [L/h]  clearance  ~ lognormal(0.3)
parameter V = 50 [L]  volume of distribution
parameter tlag = 0.2 [h]  delay
covariate BSA = 1.9 [m^2]  body surface area
covariate WT = 70 [kg]  body weight
state     depot [mg]  amount at the injection site
state     central [mg]  amount in plasma
define    C = central/V [mg/L]  concentration
route     sc -> depot  lag = tlag
d depot   = -ka*depot
d central = ka*depot - CL*C
output    C [mg/L]  plasma concentration
"""


@pytest.fixture(scope="module")
def one():
    return small.generated(read_model(ONE, "one.model"))


@pytest.fixture(scope="module", params=small.NAMES)
def functions(request):
    """All functions of both modules of a model, as syntax trees."""
    model = small.get(request.param)
    trees = [ast.parse(small.generated(model, sensitivity=sensitivity)) for sensitivity in (False, True)]
    return [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_cautions_are_a_constant_where_there_are_any_and_text_whatever_they_say(one):
    assert "CAUTIONS" not in one
    said = """ends here\\" ' \"\"\" + __import__('os').getcwd() + {x} — µ"""
    text = small.generated(read_model(f"{ONE}caution {said}\ncaution twice\n", "one.model"))
    (line,) = (line for line in text.splitlines() if line not in one.splitlines())
    (statement,) = ast.parse(line).body
    assert statement.targets[0].id == "CAUTIONS"
    assert ast.literal_eval(statement.value) == (said, "twice")


def test_values_keep_the_names_of_the_model_with_unit_and_description(one):
    for line in (
        "    depot = y[0]  # [mg] amount at the injection site",
        "    CL = p[1]  # [L/h] clearance",
        "    one_over_V = p[6]  # 1.0/V",
        "    C = central*one_over_V  # [mg/L] concentration",
        "    out[0] = C  # C [mg/L]",
        "    out[0] = tlag  # sc: lag",
    ):
        assert line in one.splitlines()
    assert re.search(r"^    dy\[1\] = x1 - C\*CL  # d central$", one, re.MULTILINE)
    assert '"""Kernel of the model one: one compartment, first-order absorption.' in one


def test_constants_are_those_of_the_model(one, tmp_path):
    module = small.as_python(one, tmp_path)
    assert module.STATES == ("depot", "central")
    assert module.PARAMETERS == ("ka", "CL", "V", "tlag", "BSA", "WT")
    assert module.VALUES == (1.0, 5.0, 50.0, 0.2, 1.9, 70.0)
    assert (module.LOWER[0], module.UPPER[0]) == (0.01, 10.0)
    assert (module.LOWER[1], module.UPPER[1]) == (-math.inf, math.inf)
    assert module.BETWEEN[:2] == (None, ("lognormal", 0.3))
    assert module.KINDS[3:5] == ("parameter", "covariate")
    assert module.SIZES == {"m2": 4, "kg": 5}
    assert module.ROUTES == ("sc",)
    assert module.ROUTE_TARGETS == (0,)
    assert module.ROUTE_SPEEDS == ("",)
    assert module.DOSE_UNITS["sc"]["mg"] == 1.0
    assert module.TIME_UNIT == "h"
    assert module.OUTPUT_UNITS == ("mg/L",)


def test_functions_are_straight_lines_of_arithmetic(functions):
    allowed = (
        ast.Assign,
        ast.Name,
        ast.Subscript,
        ast.Constant,
        ast.BinOp,
        ast.UnaryOp,
        ast.IfExp,
        ast.Compare,
        ast.Call,
        ast.Load,
        ast.Store,
        ast.Add,
        ast.Sub,
        ast.Mult,
        ast.Div,
        ast.Pow,
        ast.USub,
        ast.Lt,
        ast.LtE,
        ast.Gt,
        ast.GtE,
    )
    for function in functions:
        assert isinstance(function.body[0], ast.Expr)  # the docstring
        for statement in function.body[1:]:
            if isinstance(statement, ast.Return):
                assert statement is function.body[-1]
                continue
            for node in ast.walk(statement):
                assert isinstance(node, allowed), f"{function.name}: {ast.unparse(node)}"
                if isinstance(node, ast.Call):
                    assert node.func.id in ("exp", "log", "sqrt", "abs")


def test_stores_come_last_and_names_are_assigned_before_they_are_used(functions):
    for function in functions:
        known = {argument.arg for argument in function.args.args} | {"exp", "log", "sqrt", "abs"}
        stored = False
        for statement in function.body[1:]:
            if isinstance(statement, ast.Return):
                continue
            used = {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
            assert used <= known
            if isinstance(statement.targets[0], ast.Name):
                assert not stored
                known.add(statement.targets[0].id)
            stored = stored or isinstance(statement.targets[0], ast.Subscript)


def test_costly_things_are_computed_once_and_nothing_in_vain(functions):
    for function in functions:
        if function.name in ("factor", "solve"):
            continue
        costly = Counter(
            ast.dump(node)
            for node in ast.walk(function)
            if isinstance(node, ast.Call)
            or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.Div))
        )
        assert not [text for text, count in costly.items() if count > 1]
        assigned = [
            statement.targets[0].id
            for statement in function.body[1:]
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        ]
        loaded = {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        assert len(set(assigned)) == len(assigned)
        assert set(assigned) <= loaded


def test_whole_powers_are_products_and_halves_are_roots():
    text = small.generated(small.build({"x": "x^2 + (x + 1)^3 + x^0.5 + x^-1.5"}))
    rhs = text[text.index("def rhs") : text.index("def jacobian")]
    assert "**" not in rhs
    assert "x*x" in rhs
    assert "sqrt(x)" in rhs
    assert text.startswith('"""')
    assert "from math import sqrt\n" in text


def test_printing_is_faithful_to_precedence(tmp_path):
    """The generated rhs equals Python's own reading of the same text."""
    texts = [
        "a - (b - c)",
        "a/(b*c)",
        "a/b/c",
        "a/(b/c)",
        "-(a + b)*c",
        "-a^2",
        "(-a)^2",
        "a^-b",
        "(a^b)^c",
        "a^b^c",
        "2^a",
        "(a + b)^(c - a)",
        "a - -b",
        "1/(a + b) - c/(a - 5)",
        "-(a*b) - c",
        "(a*b)^0.5/(b*c)^1.5",
        "a*(b + c)*(a - b)^2/(c + 1)^3",
        "exp(-a)*log(b)/sqrt(c)",
        "(piecewise(a, b < c, c) + 1)*2",
        "piecewise(piecewise(a, a < b, b), a > c, piecewise(b, b > c, c))^2",
        "1/abs(a - b)^3",
        "0.1 + a + 0.2",
        "a^7.5 + b^-8 + c^9 - (a + b)^4",
    ]
    values = {"a": 1.3, "b": 0.7, "c": 2.1}

    def piecewise(*arguments):
        for value, test in zip(arguments[:-1:2], arguments[1::2], strict=False):
            if test:
                return value
        return arguments[-1]

    for text in texts:
        model = small.build({"x": text}, parameters=values)
        module = small.as_python(small.generated(model), tmp_path)
        names = {
            **values,
            "piecewise": piecewise,
            "exp": math.exp,
            "log": math.log,
            "sqrt": math.sqrt,
            "abs": abs,
        }
        expected = calculated(ast.parse(text.replace("^", "**"), mode="eval").body, names)
        assert small.evaluate(module, "rhs", [0.0], list(values.values()))[0] == pytest.approx(
            expected, rel=1e-14
        ), text


def calculated(node, names):
    """Value of a Python expression, by walking its tree."""
    operators = {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.Div: lambda a, b: a / b,
        ast.Pow: lambda a, b: a**b,
        ast.Lt: lambda a, b: a < b,
        ast.Gt: lambda a, b: a > b,
    }
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return names[node.id]
        case ast.UnaryOp():
            return -calculated(node.operand, names)
        case ast.BinOp():
            return operators[type(node.op)](calculated(node.left, names), calculated(node.right, names))
        case ast.Compare():
            return operators[type(node.ops[0])](
                calculated(node.left, names), calculated(node.comparators[0], names)
            )
        case ast.Call():
            return names[node.func.id](*(calculated(argument, names) for argument in node.args))
    raise TypeError(node)


def test_names_that_the_functions_use_themselves_change_nothing(tmp_path):
    model = small.SMALL["clashes"]
    module = small.as_python(small.generated(model), tmp_path)
    y, J, x1 = 0.8, 1.2, 0.3
    p, dy, lam, out = 0.4, 0.1, 0.2, 1.5
    a = J * y * out / (dy + J * y)
    expected = [-p * y + lam * x1, (a + a * a) * J - J * y, a * J - x1]
    assert small.evaluate(module, "rhs", [y, J, x1], [p, dy, lam, out]) == pytest.approx(expected)
    assert module.STATES == ("y", "J", "x1")
    assert module.PARAMETERS == ("p", "dy", "lambda", "out")


def test_text_of_a_model_file_cannot_leave_its_docstring_comment_or_string(tmp_path):
    nasty = '""" + boom() + \'\'\' \\" # { } \\'
    text = (
        ONE.replace("one compartment, first-order absorption", nasty)
        .replace("clearance", nasty)
        .replace("plasma concentration", nasty)
    )
    model = read_model(text, f'{tmp_path}/a"""b\\.model')
    for sensitivity in (False, True):
        tree = ast.parse(small.generated(model, sensitivity=sensitivity))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "boom"]
        assert {type(node) for node in tree.body} <= {ast.Expr, ast.ImportFrom, ast.Assign, ast.FunctionDef}
        assert [type(node.value) for node in tree.body if isinstance(node, ast.Expr)] == [ast.Constant]
    module = small.as_python(small.generated(model), tmp_path)
    assert model.title == module.TITLE
    assert (model.outputs[0].description,) == module.OUTPUT_DESCRIPTIONS


def test_a_product_beyond_the_range_of_floats_is_an_error_not_a_broken_module():
    with pytest.raises(ModelError, match="too large"):
        small.generated(small.build({"x": "1e300*x*1e300"}))


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import small_models as small
for name in ("hills", "kinks", "tmdd_full"):
    for sensitivity in (False, True):
        sys.stdout.write(small.generated(small.get(name), sensitivity=sensitivity))
"""


def test_the_same_text_in_every_process():
    """Cached modules are shared, and pkpd show --source is compared by eye: order must not depend on
    hashes."""
    texts = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_long_constants_are_wrapped_without_change(tmp_path):
    names = {f"parameter_number_{i}": i + 0.5 for i in range(40)}
    model = small.build({"x": " + ".join(names)}, parameters=names)
    text = small.generated(model)
    assert max(len(line) for line in text.split("def rhs")[0].splitlines()[2:]) <= source.LINE
    module = small.as_python(text, tmp_path)
    assert dict(zip(module.PARAMETERS, module.VALUES, strict=True)) == names


def test_the_solution_of_w_uses_reciprocal_pivots_stored_once():
    model = read_model(ONE, "one.model")
    derived = derive.derive(model)
    text = source.generate(derived, dose_units(model))
    factor = text[text.index("def factor") : text.index("def solve")]
    assert factor.count("1.0/") == len(derived.states)
    assert "/" not in text[text.index("def solve") : text.index("def outputs")].split('"""')[2]
    assert np.size(derived.elimination.order) == 2
