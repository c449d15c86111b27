"""Claim: every expression that is printed reads back as itself, every text that is none fails in a sentence
that shows the place, and no text makes the reader do anything else."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pkpd.core.errors import ModelError
from pkpd.model.text import (
    ARITY,
    COMPARISONS,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_NESTING,
    Binary,
    Call,
    Expression,
    Name,
    Negative,
    Number,
    Relation,
    expression_text,
    names,
    number_text,
    parse_expression,
    read_statements,
)

numbers = st.floats(min_value=0, allow_nan=False, allow_infinity=False, allow_subnormal=False).map(Number)
identifiers = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,5}", fullmatch=True).map(Name)


def compound(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    comparison = st.builds(Relation, st.sampled_from(COMPARISONS), inner, inner)
    piecewise = st.tuples(inner, comparison, inner).map(lambda parts: Call("piecewise", parts))
    calls = [
        st.lists(inner, min_size=fewest, max_size=min(most, 4)).map(
            lambda found, name=name: Call(name, tuple(found))
        )
        for name, (fewest, most) in ARITY.items()
        if name != "piecewise"
    ]
    return st.one_of(
        st.builds(Negative, inner),
        st.builds(Binary, st.sampled_from("+-*/^"), inner, inner),
        piecewise,
        *calls,
    )


expressions = st.recursive(st.one_of(numbers, identifiers), compound, max_leaves=25)


@given(expressions)
@example(Binary("^", Negative(Name("x")), Number(2.0)))
@example(Negative(Binary("^", Name("x"), Number(2.0))))
@example(Binary("-", Name("a"), Binary("-", Name("b"), Name("c"))))
@example(Binary("^", Binary("^", Name("a"), Name("b")), Name("c")))
@example(Negative(Negative(Number(1e-300))))
def test_what_is_printed_reads_back_as_itself(expression: Expression) -> None:
    assert parse_expression(expression_text(expression)) == expression


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_a_number_is_printed_without_loss(value: float) -> None:
    assert float(number_text(value)) == value


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("-x^2", "-(x^2)"),
        ("a/b/c", "(a/b)/c"),
        ("a - b - c", "(a - b) - c"),
        ("x^y^z", "x^(y^z)"),
        ("x**-2", "x^(-2)"),
        ("2*-x", "2*(-x)"),
        ("a + b*c", "a + (b*c)"),
        ("piecewise(0,t<1,5,t<=2,1)", "piecewise(0, t < 1, 5, t <= 2, 1)"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("a\n+ b", "a + b"),
    ],
)
def test_precedence(text: str, same: str) -> None:
    assert parse_expression(text) == parse_expression(same)


def test_names_come_once_in_order() -> None:
    assert names(parse_expression("b*exp(-a*t) + b")) == ("b", "a", "t")


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 1, "expected a number, a name or a parenthesis, but the statement ends"),
        ("a +", 4, "but the statement ends"),
        ("a b", 3, 'expected an operator or the end, not "b"'),
        ("2x", 1, r'"2x" is not a number.*\n.*\n.*\n  write 2\*x'),
        ("1.2.3", 1, '"1.2.3" is not a number'),
        ("1e", 1, '"1e" is not a number'),
        ("1e999", 1, "too large"),
        ("1e-999", 1, "too small"),
        ("(a", 1, "the parenthesis is not closed"),
        ("a)", 2, "expected an operator or the end"),
        ("[a]", 1, "expressions hold no brackets"),
        ("+a", 1, "a sign before a number is not needed"),
        ("a ? b", 3, r'"\?" cannot stand here'),
        ("a; b", 2, '";" cannot stand here'),
        ("α*x", 1, "plain ASCII"),
        ("x²", 2, "plain ASCII"),
        ("foo(x)", 1, 'unknown function "foo"'),
        ("expp(x)", 1, 'did you mean "exp"'),
        ("exp()", 1, "exp cannot take 0 arguments"),
        ("exp(a, b)", 1, "exp cannot take 2 arguments"),
        ("min(a)", 1, "min cannot take 1 argument"),
        ("hill(a)", 1, "hill cannot take 1 argument"),
        ("hill(a, b, c, d)", 1, "hill cannot take 4 arguments"),
        ("piecewise(a, b < c)", 1, "piecewise cannot take 2 arguments"),
        ("piecewise(a, b, c)", 14, "must be a comparison"),
        ("piecewise(a < b, b < c, c)", 13, "only as a condition"),
        ("piecewise(a, 0 < b < 1, c)", 20, "one comparison a condition"),
        ("piecewise(a, b == c, d)", 16, "the comparisons are"),
        ("(a < b)*c", 4, "only as a condition"),
        ("a < b", 3, "expected an operator or the end"),
        ("exp(a < b)", 7, "only as a condition"),
        ("exp(a,)", 7, "expected a number"),
        ("a and b", 3, "expected an operator"),
        ("lambda: 0", 7, "cannot stand here"),
        ("x.y", 2, "cannot stand here"),
        ("'a'", 1, "cannot stand here"),
        ("__import__('os').system('true')", 1, 'unknown function "__import__"'),
        ("exec(open)", 1, "unknown function"),
        ("x = 1", 3, "expected an operator or the end"),
    ],
)
def test_a_wrong_expression_shows_its_place(text: str, column: int, said: str) -> None:
    with pytest.raises(ModelError, match=rf"(?s)^my\.model:1:{column}: .*(?:{said})"):
        parse_expression(text, "my.model")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 900 + "x" + ")" * 900,
        "-" * 900 + "x",
        "x^" * 450 + "x",
        "exp(" * 200,
        "\n+ ".join(["x"] * 5000),
        "\n* ".join(["exp(x)"] * 5000),
        "\n".join(["("] * 50_000),
        "x" * 10_000,
        "x" * (MAX_CHARACTERS + 1),
        "9" * 900,
        "piecewise(" + "1, x < 2, " * 90 + "3)",
        "max(" + "x, " * 300 + "x)",
    ],
)
def test_size_is_limited_and_found_quickly(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ModelError):
        parse_expression(text)
    assert time.process_time() - began < 5  # nothing here is more than a walk through the text


def test_what_is_within_the_limits_is_read() -> None:
    depth = MAX_NESTING - 1
    parse_expression("(" * depth + "x" + ")" * depth)
    parse_expression("\n+ ".join(["x"] * (MAX_DEPTH - 1)))


@settings(max_examples=300)
@given(st.text(alphabet=string.ascii_letters[:6] + "0123456789.eE+-*/^()<>=,[]~#!&| \t\n\"'_t", max_size=60))
def test_any_text_is_an_expression_or_a_model_error(text: str) -> None:
    try:
        expression = parse_expression(text)
    except ModelError:
        return
    assert parse_expression(expression_text(expression)) == expression


def test_statements_hold_their_lines() -> None:
    _, statements = read_statements(
        "model  one   # title\n"
        "  source  a paper\n"
        "\n"
        "# alone\n"
        "parameter k = 1 [1/h]  # here\n"
        "    note  first\n"
        "        second\n"
        "d x = a  # left\n"
        "    + b  # right\n"
    )
    assert [statement.keyword for statement in statements] == ["model", "parameter", "d"]
    model, parameter, equation = statements
    assert (model.words, model.comment) == ("one", "title")
    assert [(child.keyword, child.words) for child in model.children] == [("source", "a paper")]
    assert [(child.keyword, child.words) for child in parameter.children] == [("note", "first second")]
    assert equation.words == "x = a + b"
    assert equation.comment == "left; right"
    assert [(piece.line, piece.column) for piece in equation.pieces] == [(8, 2), (9, 5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no statement"),
        ("\n  # only comments\n", "holds no statement"),
        ("  model x", ":1:3: .*belongs to the statement above"),
        ("modle x", ':1:1: unknown statement "modle".*did you mean "model"'),
        ("Model x", 'did you mean "model"'),
        ("k = 5", "a definition reads"),
        ("dx/dt = 5", 'an equation reads "d X'),
        ("x' = 5", 'an equation reads "d X'),
        ("= 5", 'unknown statement "="'),
        ("d = 5 x", None),
        ("parameter k = 1 [1]\n   bonds 1 .. 2", ':2:4: "bonds" cannot stand.*did you mean "bounds"'),
        ("state x [mg]\n   source y", '"source" can stand only below a parameter'),
        ("model a\0b", "control character"),
        ("model a\x1bb", "control character"),
        ("model a\u2028b", "control character"),
        ("model " + "x" * 2000, "a line of 2,006 characters"),
        ("state x [1]\n" * 6000, "too many statements"),
    ],
)
def test_a_wrong_statement_shows_its_place(text: str, said: str | None) -> None:
    if said is None:
        read_statements(text)
        return
    with pytest.raises(ModelError, match=rf"(?s){said}"):
        read_statements(text)


def test_windows_line_ends_read_alike() -> None:
    text = "model x\ntime h\nstate a [mg]\n  more"
    forms = [read_statements(text.replace("\n", end))[1] for end in ("\n", "\r\n")]
    assert forms[0] == forms[1]
