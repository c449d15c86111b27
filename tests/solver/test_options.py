"""How to integrate is said by options; where it is not, a sentence says where it belongs."""

import ast
from pathlib import Path

import numpy as np
import pytest
from solving import events, kernel

import pkpd
from pkpd.core.errors import InputError
from pkpd.solver import Options, solve
from pkpd.solver.options import HOW


@pytest.mark.parametrize("name", HOW)
def test_what_belongs_to_the_options_is_sent_there(name):
    k = kernel("one_compartment_iv")
    with pytest.raises(InputError, match=rf"give it as options=pkpd.Options\({name}="):
        solve(k, k.VALUES, events(k), [1.0], **{name: 1})


def test_what_there_is_not_is_no_argument():
    k = kernel("one_compartment_iv")
    with pytest.raises(TypeError, match="unexpected keyword argument 'tolerance'"):
        solve(k, k.VALUES, events(k), [1.0], tolerance=1)


WRONG = {
    "rtol must lie between 0 and 1": {"rtol": 1.5},
    "rtol must be": {"rtol": "small"},
    "unknown method": {"method": "euler"},
    "h_max, the longest step": {"h_max": 0.0},
    "h_max": {"h_max": np.nan},
    "max_steps must be": {"max_steps": 1.5},
    "threads must be": {"threads": "two"},
}


@pytest.mark.parametrize("sentence", WRONG)
def test_options_that_cannot_be_are_refused_when_they_are_made(sentence):
    with pytest.raises(InputError, match=sentence):
        Options(**WRONG[sentence])


def test_options_are_a_value():
    assert Options(rtol=1e-8) == Options(rtol=1e-8) != Options()


PACKAGE = Path(pkpd.__file__).parent


@pytest.fixture(scope="module")
def sources():
    """What stands in each file of the package."""
    return {
        file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for file in PACKAGE.rglob("*.py")
        if "_library" not in file.parts
    }


def defaults(tree):
    """(name, default) of what functions take and classes hold."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            given = node.args
            positional = given.posonlyargs + given.args
            yield from zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True)
            yield from zip(given.kwonlyargs, given.kw_defaults, strict=True)
        elif isinstance(node, ast.ClassDef):
            yield from ((one.target, one.value) for one in node.body if isinstance(one, ast.AnnAssign))


def test_usual_tolerances_stand_in_one_place(sources):
    """Nobody has a number of their own; how a table of benchmarks is read is another thing."""
    numbers = [
        file
        for file, tree in sources.items()
        for name, default in defaults(tree)
        if getattr(name, "arg", getattr(name, "id", "")).startswith("rtol")
        and isinstance(default, ast.Constant)
        and default.value is not None
    ]
    assert numbers == ["bench/curves.py"]


def test_how_wide_an_interval_of_95_percent_is_stands_in_one_place(sources):
    having = [
        file
        for file, tree in sources.items()
        if any(
            isinstance(node, ast.Constant) and isinstance(node.value, float) and 1.95 < node.value < 1.97
            for node in ast.walk(tree)
        )
    ]
    assert having == ["core/normal.py"]
