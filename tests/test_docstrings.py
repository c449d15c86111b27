"""``help()`` of every public name says what a newcomer needs, and the examples that it shows give what they
say."""

import dataclasses
import doctest
import inspect
import re
from pathlib import Path

import pytest

import pkpd

NAMES = [name for name in pkpd.__all__ if name != "__version__"]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(pkpd, name))]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(pkpd, name))]
WITH_EXAMPLES = FUNCTIONS + [name for name in CLASSES if not issubclass(getattr(pkpd, name), Exception)]


MADE = ["Dask", "EventTable", "Options", "Processes", "Threads", "Timeline"]
"""Classes of which people make values; those of others are what functions give."""


def methods():
    """Public methods and properties of public classes: "Scene.create" -> the function."""
    for name in CLASSES:
        for method, value in vars(getattr(pkpd, name)).items():
            function = getattr(value, "__func__", getattr(value, "fget", value))
            if inspect.isfunction(function) and not method.startswith("_"):
                yield f"{name}.{method}", function


METHODS = dict(methods())


def sections(text):
    """The titles that are underlined, as in numpydoc."""
    return re.findall(r"^(\w+)\n-{4,}$", text, re.MULTILINE)


def told_of(thing, title):
    """Name -> what a section of its docstring says of it."""
    underlined = f"{title}\n{'-' * len(title)}\n"
    listed = inspect.getdoc(thing).partition(underlined)[2].partition("\n\n")[0]
    found = {}
    for names, words in re.findall(r"^([\w, ]+) : ((?:.|\n(?= ))*)", listed, re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), words)
    return found


def test_nothing_public_is_left_out():
    assert sorted(FUNCTIONS + CLASSES) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_with_a_sentence(name):
    text = inspect.getdoc(getattr(pkpd, name))
    assert text.split("\n\n")[0].endswith(".")


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_it_has_its_sections(name):
    thing = getattr(pkpd, name)
    wanted = ["Examples"]
    if name in FUNCTIONS:
        wanted = ["Returns", "Raises", "Examples"]
        if inspect.signature(thing).parameters:
            wanted = ["Parameters", *wanted]
    assert [title for title in sections(inspect.getdoc(thing)) if title in wanted] == wanted


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_of_a_function_is_told_and_arrays_with_their_shape(name):
    thing = getattr(pkpd, name)
    parameters = inspect.signature(thing).parameters.values()
    listed = told_of(thing, "Parameters")
    assert set(listed) == {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
    arrays = [one.name for one in parameters if "ArrayLike" in str(one.annotation)]
    assert [one for one in arrays if not re.search(r"\((n_|subjects)|as in ``pkpd", listed[one])] == []


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_told_in_a_sentence_and_its_parameters_where_there_are_many(name):
    method = METHODS[name]
    text = inspect.getdoc(method)
    assert text
    assert re.search(r"[.:)]$", text.split("\n\n")[0])
    parameters = [one for one in inspect.signature(method).parameters if one not in ("self", "cls")]
    if len(parameters) > 2:
        assert set(told_of(method, "Parameters")) == set(parameters)
        assert {"Returns", "Raises"} <= set(sections(text))


@pytest.mark.parametrize("name", [name for name in CLASSES if dataclasses.is_dataclass(getattr(pkpd, name))])
def test_every_field_of_a_class_is_told_and_arrays_with_their_shape(name):
    thing = getattr(pkpd, name)
    text = inspect.getdoc(thing)
    fields = dataclasses.fields(thing)
    assert [one.name for one in fields if not re.search(rf"\b{one.name}\b", text)] == []
    if "of shape (n_events,)" in text:  # all of them
        return
    told = told_of(thing, "Attributes")
    arrays = [one.name for one in fields if re.search("Floats|Integers|NDArray|ArrayLike", str(one.type))]
    assert [one for one in arrays if not re.search(r"\((n_|\d, n_)|as in ``solve", told[one])] == []


@pytest.mark.parametrize("name", MADE)
def test_a_class_that_people_make_values_of_says_what_it_raises(name):
    assert re.search(r"^Raises ``\w+Error``", inspect.getdoc(getattr(pkpd, name)), re.MULTILINE)


def test_the_reference_is_of_what_is_public():
    page = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: pkpd\.(\w+)$", page, re.MULTILINE)) == sorted(NAMES)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_its_examples_give_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(getattr(pkpd, name)), {}, name, None, 0)
    assert test.examples
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
