"""The terms of an equation add up to it, slopes are the derivatives, and the parts of a product to its
change: held against numbers at random places in every shipped model."""

import math
import random

import numpy as np
import pytest

from pkpd.core import library
from pkpd.model.check import read_model
from pkpd.model.extend import model_text
from pkpd.model.terms import NOUGHT, Equations, parted
from pkpd.model.text import Binary, Call, Name, Negative, Number, parse_expression

MODELS = sorted(library.models())


def value(node, known, definitions=()):
    """Of an expression, by walking it: the other implementation."""
    definitions = dict(definitions)

    def of(inner):
        return value(inner, known, definitions)

    match node:
        case Number():
            return node.value
        case Name():
            return of(definitions[node.name].expression) if node.name in definitions else known[node.name]
        case Negative():
            return -of(node.operand)
        case Binary():
            a, b = of(node.left), of(node.right)
            return {
                "+": lambda: a + b,
                "-": lambda: a - b,
                "*": lambda: a * b,
                "/": lambda: a / b,
                "^": lambda: a**b,
            }[node.operator]()
        case Call(function="piecewise"):
            *pairs, otherwise = node.arguments
            for one, test in zip(pairs[::2], pairs[1::2], strict=True):
                left, right = of(test.left), of(test.right)
                if {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[
                    test.operator
                ]:
                    return of(one)
            return of(otherwise)
        case Call(function="hill"):
            x, k, n = (*map(of, node.arguments), 1.0)[:3]
            return x**n / (k**n + x**n)
        case Call():
            function = {
                "exp": math.exp,
                "log": math.log,
                "sqrt": math.sqrt,
                "abs": abs,
                "min": min,
                "max": max,
            }
            return function[node.function](*map(of, node.arguments))
    raise AssertionError(node)


def somewhere(model, seed):
    """Values of all that is no definition: parameters near theirs, states and the time anywhere positive."""
    draw = random.Random(seed)
    known = {p.name: p.value * draw.uniform(0.8, 1.25) for p in model.parameters}
    return known | {s.name: draw.uniform(0.2, 3.0) for s in model.states} | {"t": draw.uniform(0.1, 40.0)}


@pytest.mark.parametrize("name", MODELS)
def test_terms_add_up_to_the_right_hand_side_of_every_equation(name):
    model = read_model(*model_text(name))
    book = Equations(model)
    for seed in range(3):
        known = somewhere(model, seed)
        for right in model.equations.values():
            terms = [value(term.expression, known, book.definitions) for term in book.terms(right)]
            whole = value(right, known, book.definitions)
            assert sum(terms) == pytest.approx(whole, rel=1e-9, abs=1e-12 * max(map(abs, terms), default=0.0))


@pytest.mark.parametrize("name", MODELS)
def test_what_stays_times_what_changes_is_the_term(name):
    model = read_model(*model_text(name))
    book, known = Equations(model), somewhere(model, 5)
    for right in model.equations.values():
        for term in book.terms(right):
            stays, moving = book.factors(term)
            assert not book.varies(stays)
            product = value(stays, known, book.definitions)
            for factor in moving:
                assert book.varies(factor)
                product *= value(factor, known, book.definitions)
            assert product == pytest.approx(value(term.expression, known, book.definitions), rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_slopes_of_outputs_are_their_derivatives(name):
    model = read_model(*model_text(name))
    book, known = Equations(model), somewhere(model, 7)
    for output in model.outputs:
        for by in [*model.equations, "t"]:
            slope = value(book.slope(output.expression, by), known, book.definitions)
            step = 1e-6 * known[by]
            ends = [
                value(output.expression, known | {by: known[by] + sign * step}, book.definitions)
                for sign in (1, -1)
            ]
            by_numbers = (ends[0] - ends[1]) / (2 * step)
            assert slope == pytest.approx(by_numbers, rel=1e-5, abs=1e-7 * (1 + abs(ends[0]) / known[by]))
            if by != "t" and by not in book.states_of(output.expression):
                assert book.slope(output.expression, by) == NOUGHT


LANGUAGE = [
    "exp(-x*y)*log(x) + sqrt(x + y^2)",
    "abs(y - x)*x - -x",
    "min(x*y, y^2, 2) + max(x, 3*y)",
    "hill(x, y) - hill(x*y, 2, 1.5)",
    "piecewise(x^2, x < 1, y*x, x < 4, 7)",
    "x^y/(1 + x)^3",
]


@pytest.mark.parametrize("text", LANGUAGE)
@pytest.mark.parametrize(("x", "y"), [(0.6, 1.3), (2.2, 0.7), (5.0, 1.1)])
def test_every_word_of_the_language_has_its_slope(text, x, y):
    lines = ["model two", "time h", "state x [1]", "state y [1]", "d x = -x/tau", "d y = -y/tau"]
    model = read_model("\n".join([*lines, "parameter tau = 1 [h]", f"output z = {text} [1]"]), "two.model")
    book, tree = Equations(model), parse_expression(text)
    for by in "xy":
        known, step = {"x": x, "y": y, "t": 0.0}, 1e-6
        ends = [value(tree, known | {by: known[by] + sign * step}) for sign in (1, -1)]
        slope = value(book.slope(tree, by), known)
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_parts_add_up_to_the_change_and_nobody_is_given_anothers(n):
    rng = np.random.default_rng(n)
    names = [f"f{i}" for i in range(n)]
    factors, rests = [Name(name) for name in names], [Name(f"{name}0") for name in names]
    known = {name: rng.uniform(0.5, 3) for name in names} | {
        f"{name}0": rng.uniform(0.5, 3) for name in names
    }
    parts = [value(part, known) for part in parted(Number(2.0), factors, rests)]
    change = 2 * (math.prod(known[f] for f in names) - math.prod(known[f"{f}0"] for f in names))
    assert sum(parts) == pytest.approx(change, rel=1e-12)
    known["f0"] = known["f00"]  # one that stays has no part
    assert value(parted(Number(2.0), factors, rests)[0], known) == 0.0


def test_of_two_factors_each_has_its_change_at_the_mean_of_the_other():
    known = {"f": 3.0, "g": 5.0, "f0": 1.0, "g0": 2.0}
    parts = parted(Number(1.0), [Name("f"), Name("g")], [Name("f0"), Name("g0")])
    assert [value(part, known) for part in parts] == pytest.approx([2 * 3.5, 3 * 2.0])


def test_a_sum_that_changes_is_written_out_once_and_names_are_kept():
    lines = [
        "model m",
        "time h",
        "parameter k = 1 [1/h]",
        "parameter a = 2 [1]",
        "state X [1]",
        "state Y [1]",
    ]
    lines += [
        "define inflow = k*(a + 1)*Y",
        "define net = inflow - k*X",
        "d X = net",
        "d Y = k*(a*(X - Y) + 1 - Y)",
    ]
    model = read_model("\n".join([*lines, "output X [1]"]), "m.model")
    book = Equations(model)
    texts = {state: [term.text for term in book.terms(right)] for state, right in model.equations.items()}
    assert texts == {"X": ["inflow", "-k*X"], "Y": ["k*a*(X - Y)", "k", "-k*Y"]}
