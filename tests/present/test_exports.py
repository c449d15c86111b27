"""The public names are exactly those listed, each exists, is documented, and importing the package loads
nothing heavy."""

import importlib
import inspect
import json
import operator
import os
import pkgutil
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import pkpd
from pkpd.core.moved import ARGUMENTS, ROOMS

HEAVY = (
    "jinja2",
    "llvmlite",
    "matplotlib",
    "numba",
    "pandas",
    "pint",
    "pyarrow",
    "pymoo",
    "scipy",
    "starlette",
    "sympy",
    "uvicorn",
)


def loaded_by(code: str) -> set[str]:
    """Top-level names in sys.modules of a fresh interpreter after ``code``."""
    command = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nimport "
        "json\nprint(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_every_listed_name_exists_and_nothing_else_is_public():
    assert sorted(pkpd.__all__) == pkpd.__all__ == dir(pkpd)
    assert set(pkpd.__all__) == {*pkpd._HOME, "__version__"}
    for name in pkpd.__all__:
        assert getattr(pkpd, name) is not None


@pytest.mark.parametrize("name", sorted(pkpd._HOME))
def test_names_are_objects_with_a_docstring_and_keep_their_home(name):
    value = getattr(pkpd, name)
    assert (value.__doc__ or "").strip(), f"pkpd.{name} has no docstring"
    assert value is getattr(importlib.import_module(pkpd._HOME[name]), name)


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_an_old_name_says_where_it_is_now(name):
    assert importlib.import_module(ROOMS[name])
    with pytest.raises(ModuleNotFoundError, match=rf"pkpd\.{name}.* has moved: it is in {ROOMS[name]} now"):
        importlib.import_module(f"pkpd.{name}.anything")
    if "." not in name and not hasattr(pkpd, name):
        with pytest.raises(AttributeError, match=rf"has moved: it is in {ROOMS[name]} now"):
            getattr(pkpd, name)


SHOWN = {
    "pkpd": "library, likelihood",
    "pkpd.adaptive": "titrate",
    "pkpd.cohort": "simulate_records",
    "pkpd.compare": "Scene, compare",
    "pkpd.data": "in_model_units, parse_data",
    "pkpd.errors": "DataError, ModelError, ScheduleError",
    "pkpd.inference.summary.data": "in_model_units, parse_data, read_data",
    "pkpd.kernel": "load",
    "pkpd.optimise": "Space, optimise",
    "pkpd.population": "bands, virtual_subjects",
    "pkpd.simulate": "simulate, solve",
    "pkpd.solve": "solve",
    "pkpd.symbolic.derive": "derive",
    "pkpd.symbolic.model": "read_model",
    "pkpd.symbolic.text": "expression_text",
}
"""Imports that the README or the documentation once showed, and that are gone."""


@pytest.mark.parametrize(("module", "names"), SHOWN.items())
def test_what_the_documentation_showed_once_says_where_it_is(module, names):
    for name in names.split(", "):
        with pytest.raises(ImportError, match=r"has moved: it is in pkpd\.[\w.]+ now") as said:
            exec(f"from {module} import {name}", {})  # noqa: S102
        home = importlib.import_module(re.search(r"it is in (\S+) now", str(said.value))[1])
        rooms = [home, *(importlib.import_module(one.name) for one in submodules(home))]
        assert home.__name__.endswith(f".{name}") or any(hasattr(room, name) for room in rooms), home


def submodules(module):
    return pkgutil.iter_modules(getattr(module, "__path__", ()), f"{module.__name__}.")


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [(function, *names) for function, renamed in ARGUMENTS.items() for names in renamed.items()],
)
def test_an_old_name_of_an_argument_says_the_new_one(function, old, new):
    called = operator.attrgetter(function)(pkpd)
    names = inspect.signature(called).parameters
    assert new in names
    assert old not in names
    required = {
        name: None
        for name, one in names.items()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD and name != new
    }
    with pytest.raises(TypeError, match=rf"^{re.escape(function)}\(\) takes {new}, which was called {old} "):
        called(**required, **{old: 1})


def test_no_public_name_is_that_of_a_submodule():
    """Importing a submodule would put it in the place of the function."""
    modules = {module.name for module in pkgutil.iter_modules(pkpd.__path__)}
    assert not modules & set(pkpd.__all__)


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match="simulate"):
        _ = pkpd.simulations


def test_version_is_that_of_the_distribution():
    try:
        assert metadata.version("pkpd") == pkpd.__version__
    except metadata.PackageNotFoundError:
        pytest.skip("run from a checkout that is not installed")
    changelog = Path(__file__).parents[2] / "CHANGELOG.md"
    assert "## Unreleased" in changelog.read_text() or f"## {pkpd.__version__}" in changelog.read_text()


@pytest.mark.parametrize(
    "code",
    [
        "import pkpd",
        "from pkpd.cli import main; main(['--help'])",
        "from pkpd.cli import main; main(['simulate', '--help'])",
        "from pkpd.cli import main; main(['models'])",
    ],
)
def test_start_up_loads_nothing_heavy(code):
    assert loaded_by(code) & set(HEAVY) == set()
    assert "numpy" not in loaded_by(code)
