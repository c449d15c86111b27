"""Imports go one way: this table says who may import whom, inside functions too, and which third-party library lives where."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pkpd"

# module or folder: (row, ours it may import, third-party libraries besides numpy). A folder stands for all its files.
# Ours must come from a lower row, or from the same folder: test_the_table_itself_goes_one_way.
TABLE: dict[str, tuple[int, set[str], set[str]]] = {
    "errors": (0, set(), set()),
    "arguments": (1, {"errors"}, set()),
    "files": (1, {"errors"}, set()),
    "library": (1, {"errors"}, set()),
    "outline": (1, set(), set()),
    "sketch": (1, {"errors"}, set()),
    "units": (1, {"errors"}, {"pint"}),
    "symbolic": (2, {"errors", "units", "library"}, {"sympy"}),
    "ode": (2, set(), {"numba", "llvmlite"}),
    "dosing": (2, {"errors", "arguments", "units"}, set()),
    "kernel": (
        3,
        {"errors", "arguments", "files", "library", "symbolic", "ode"},
        {"llvmlite", "platformdirs"},
    ),
    "solve": (4, {"errors", "arguments", "kernel", "ode", "dosing"}, set()),
    "simulate": (
        5,
        {"errors", "arguments", "units", "symbolic", "kernel", "ode", "dosing", "solve"},
        {"pandas"},
    ),
    "data": (4, {"errors", "arguments", "units", "library", "dosing"}, set()),
    "endpoints": (5, {"errors", "dosing"}, set()),
    "adaptive": (6, {"errors", "arguments", "units", "dosing", "kernel", "ode", "solve", "endpoints"}, set()),
    "cohort": (6, {"errors", "arguments", "kernel", "ode", "dosing", "solve", "simulate"}, {"pandas"}),
    "likelihood": (5, {"errors", "data"}, set()),
    "domain": (6, {"errors", "dosing", "data", "endpoints"}, set()),
    "tolerability": (6, {"errors", "library", "dosing", "endpoints"}, set()),
    "fit": (
        6,
        {
            "errors",
            "arguments",
            "files",
            "library",
            "units",
            "symbolic",
            "ode",
            "dosing",
            "kernel",
            "solve",
            "simulate",
        }
        | {"data", "likelihood"},
        {"scipy"},
    ),
    "population": (
        7,
        {"errors", "arguments", "library", "dosing", "kernel", "solve", "simulate", "sketch", "fit"},
        set(),
    ),
    "predict": (
        8,
        {
            "errors",
            "arguments",
            "library",
            "units",
            "symbolic",
            "dosing",
            "solve",
            "simulate",
            "data",
            "likelihood",
            "fit",
        }
        | {"population"},
        {"scipy"},
    ),
    "compare": (
        8,
        {
            "errors",
            "arguments",
            "files",
            "dosing",
            "kernel",
            "solve",
            "sketch",
            "data",
            "endpoints",
            "tolerability",
            "domain",
            "fit",
        }
        | {"population", "adaptive"},
        {"pandas", "scipy"},
    ),
    "optimise": (
        9,
        {"errors", "arguments", "files", "dosing", "solve", "endpoints", "tolerability", "compare"},
        {"pandas", "pymoo"},
    ),
    "plot": (8, {"errors", "files", "outline"}, {"matplotlib"}),
    "report": (
        10,
        {"errors", "arguments", "files", "library", "fit", "predict", "compare", "optimise", "plot"},
        {"jinja2", "markupsafe"},
    ),
    "web": (
        11,
        {"errors", "outline", "dosing", "kernel", "data", "endpoints", "likelihood", "fit", "compare"},
        {"starlette", "uvicorn"},
    ),
    "cli": (
        12,
        {"errors", "files", "units", "library", "symbolic", "dosing", "kernel", "ode", "simulate", "cohort"}
        | {"fit", "compare", "optimise", "plot", "report", "web"},
        {"typer", "rich"},
    ),
    "__main__": (13, {"cli"}, set()),
    "__init__": (
        13,
        {"errors", "library", "dosing", "kernel", "simulate", "cohort", "fit", "compare", "report"},
        set(),
    ),
}


def home(module: str) -> str:
    """The row of the table that a dotted module of ours belongs to: pkpd.ode.tsit5 -> ode."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(file: Path) -> list[tuple[int, str, str]]:
    """(line, module, "top", "lazy" or "typing") of every import in a file, those inside functions included."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = (
                module_of(file).split(".")[: -node.level]
                if file.name != "__init__.py"
                else module_of(file).split(".")
            )
            module = ".".join([*(package if node.level else []), *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" if module == "pkpd" else module for alias in node.names]
        kind = "typing" if id(node) in typing_only else "lazy" if id(node) in lazy else "top"
        found += [(node.lineno, name, kind) for name in names]
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if "_library" not in path.parts)


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("pkpd", *parts)) if parts != ("__init__",) else "pkpd"


@pytest.mark.parametrize("file", FILES, ids=[module_of(file) for file in FILES])
def test_a_file_imports_only_what_its_row_allows(file):
    here = home(module_of(file))
    assert here in TABLE, f"{file.name} has no row in the table of tests/test_layers.py"
    _, ours, libraries = TABLE[here]
    wrong = []
    for line, name, kind in imports(file):
        top = name.partition(".")[0]
        if name == "pkpd.__version__":
            continue  # a constant that stands in the package itself because people look for it there
        if top == "pkpd":
            if home(name) not in ours | {here}:
                wrong.append(f"{file.name}:{line}: {here} may not import {name}")
        elif kind != "typing" and top not in sys.stdlib_module_names | libraries | {"numpy"}:
            wrong.append(f"{file.name}:{line}: {here} may not import the library {top}")
    assert not wrong, "\n".join(wrong)


def test_the_table_itself_goes_one_way():
    for name, (row, ours, _) in TABLE.items():
        for other in ours:
            assert TABLE[other][0] < row, f"{name} (row {row}) would import {other} (row {TABLE[other][0]})"


@pytest.mark.parametrize(
    "library", ["pint", "sympy", "matplotlib", "jinja2", "typer", "starlette", "uvicorn", "pymoo"]
)
def test_each_of_these_libraries_has_one_home(library):
    assert len([name for name, (_, _, libraries) in TABLE.items() if library in libraries]) == 1


@pytest.mark.parametrize("module", ["__init__", "cli", "errors", "library"])
def test_what_starts_first_imports_nothing_heavy_at_its_top(module):
    files = (
        [PACKAGE / f"{module}.py"] if (PACKAGE / f"{module}.py").exists() else (PACKAGE / module).glob("*.py")
    )
    top = {name for file in files for _, name, kind in imports(file) if kind == "top"}
    light = sys.stdlib_module_names | {"typer", "rich", "pkpd"}
    assert {name for name in top if name.partition(".")[0] not in light} == set()
    assert {home(name) for name in top if name.startswith("pkpd")} <= {
        "errors",
        "library",
        "__init__",
        module,
    }
