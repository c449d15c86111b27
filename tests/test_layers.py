"""Imports go one way: the table of docs/house.md says which room may import which, and where each library is
at home."""

import ast
import functools
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pkpd"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "_library" not in path.parts)


class Room(NamedTuple):
    """Rooms that may be imported, and where inside this room each library may be ("" : everywhere)."""

    rooms: frozenset[str]
    libraries: dict[str, str]


def table() -> dict[str, Room]:
    """The rooms of docs/house.md, in the order of its table."""
    lines = (ROOT / "docs" / "house.md").read_text(encoding="utf-8").splitlines()
    first = lines.index("| room | what is there | imports | libraries |") + 2
    rooms: dict[str, Room] = {}
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        name, _, imported, libraries = (cell.strip() for cell in line.strip("|").split("|"))
        others = set(rooms) if imported == "all of them" else set(re.findall(r"\w+", imported))
        homes = re.findall(r"(\w+)(?: \((\w+)\))?", libraries)
        rooms[name.strip("`")] = Room(frozenset(others), dict(homes))
    return rooms


TABLE = table()


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("pkpd", *(parts[:-1] if parts[-1] == "__init__" else parts)))


MODULES = {module_of(file) for file in FILES}


def room_of(module: str) -> str:
    """pkpd.ode.methods.tsit5 -> ode"""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


class Import(NamedTuple):
    line: int
    module: str
    kind: str  # "top", "lazy" (inside a function) or "typing"


@functools.cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@functools.cache
def classes_of(file: Path) -> list[ast.ClassDef]:
    """Wherever in a file they stand."""
    return [node for node in ast.walk(tree_of(file)) if isinstance(node, ast.ClassDef)]


@functools.cache
def imports(file: Path) -> list[Import]:
    """Every import of a file."""
    tree = tree_of(file)
    inside: dict[str, set[int]] = {"typing": set(), "lazy": set()}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            inside["typing"] |= {id(inner) for inner in ast.walk(node)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside["lazy"] |= {id(inner) for inner in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        kind = next((kind for kind, nodes in inside.items() if id(node) in nodes), "top")
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name, kind) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file}:{node.lineno}: imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += [
                Import(node.lineno, name if name in MODULES else node.module, kind) for name in sorted(names)
            ]
    return found


ROOM_FILES = [file for file in FILES if len(file.relative_to(PACKAGE).parts) > 1]


def test_every_folder_of_the_package_is_a_room_of_the_table_and_nothing_stands_beside_them():
    assert {file.relative_to(PACKAGE).parts[0] for file in ROOM_FILES} == set(TABLE)
    assert {file.name for file in FILES if file not in ROOM_FILES} == {"__init__.py", "__main__.py"}


def test_rooms_name_only_rooms_above_them():
    above: set[str] = set()
    for name, room in TABLE.items():
        assert room.rooms <= above, f"{name} would import {', '.join(sorted(room.rooms - above))}"
        above.add(name)


@pytest.mark.parametrize("file", ROOM_FILES, ids=[module_of(file) for file in ROOM_FILES])
def test_a_file_imports_only_what_its_room_allows(file):
    here = module_of(file)
    room = TABLE[room_of(here)]
    wrong = []
    for line, name, kind in imports(file):
        top = name.partition(".")[0]
        if name == "pkpd":
            continue  # the version, which stands there because people look for it there
        if top == "pkpd":
            if room_of(name) not in room.rooms | {room_of(here)}:
                wrong.append(f"{file.name}:{line}: {room_of(here)} may not import {name}")
        elif kind != "typing" and top not in sys.stdlib_module_names | {"numpy"}:
            home = room.libraries.get(top)
            if home is None or (home and home not in here.split(".")):
                wrong.append(f"{file.name}:{line}: {here} may not import the library {top}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", TABLE)
def test_within_a_room_no_two_files_import_each_other(room):
    """Not even by a detour or in a function; what is for the type checker alone may."""
    files = [file for file in ROOM_FILES if room_of(module_of(file)) == room]
    graph = {
        module_of(file): {
            name for _, name, kind in imports(file) if room_of(name) == room and kind != "typing"
        }
        for file in files
    }
    try:
        TopologicalSorter({name: others - {name} for name, others in graph.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_a_public_class_has_a_name_of_its_own():
    homes: dict[str, list[str]] = {}
    for file in FILES:
        for node in tree_of(file).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name != "Task":
                homes.setdefault(node.name, []).append(module_of(file))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


@pytest.mark.parametrize("word", ["Arm", "Plan", "Course", "Row", "Table", "Options", "Posterior"])
def test_a_word_that_many_rooms_could_use_is_one_class(word):
    """Not even a private class has the name again."""
    named = [
        f"{module_of(file)}.{node.name}"
        for file in FILES
        for node in classes_of(file)
        if node.name.strip("_") == word
    ]
    assert len(named) <= 1, named


def test_what_types_are_called_has_one_meaning():
    """A name of types stands for the same in all modules, and is that of no class."""
    meanings: dict[str, set[str]] = {}
    for file in FILES:
        for node in tree_of(file).body:
            if isinstance(node, ast.ClassDef) and node.name != "Task":
                meanings.setdefault(node.name, set()).add(f"the class of {module_of(file)}")
            elif isinstance(node, ast.Assign):
                for name in (target.id for target in node.targets if isinstance(target, ast.Name)):
                    if re.fullmatch(r"([A-Z][a-z]+)+", name):
                        meanings.setdefault(name, set()).add(ast.unparse(node.value))
    assert {name: told for name, told in meanings.items() if len(told) > 1 and name[0] != "_"} == {}


def test_each_file_of_tests_has_a_name_of_its_own():
    """pytest imports files of tests by their names: two of one name are one too few."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


@pytest.mark.parametrize(
    "library", ["pint", "sympy", "matplotlib", "jinja2", "typer", "starlette", "uvicorn", "pymoo"]
)
def test_each_of_these_libraries_has_one_home(library):
    assert len([name for name, room in TABLE.items() if library in room.libraries]) == 1


STARTS = ["pkpd", "pkpd.core.errors", "pkpd.core.library", "pkpd.treg"]
STARTS += sorted(module for module in MODULES if room_of(module) == "cli")


@pytest.mark.parametrize("module", STARTS)
def test_what_starts_first_imports_nothing_heavy_at_its_top(module):
    (file,) = [file for file in FILES if module_of(file) == module]
    top = {name for _, name, kind in imports(file) if kind == "top"}
    light = sys.stdlib_module_names | {"typer", "rich", "pkpd"}
    assert {name for name in top if name.partition(".")[0] not in light} == set()
    others = {name for name in top - set(STARTS) if name.startswith("pkpd")}
    assert {room_of(name) for name in others} <= {"core", room_of(module)}
