"""``help()`` of every public name says what a newcomer needs, and the examples that it shows give what they
say."""

import doctest
import inspect
import re

import pytest

import pkpd

NAMES = [name for name in pkpd.__all__ if name != "__version__"]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(pkpd, name))]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(pkpd, name))]
WITH_EXAMPLES = FUNCTIONS + [name for name in CLASSES if not issubclass(getattr(pkpd, name), Exception)]


def sections(text):
    """The titles that are underlined, as in numpydoc."""
    return re.findall(r"^(\w+)\n-{4,}$", text, re.MULTILINE)


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
def test_every_parameter_of_a_function_is_told(name):
    thing = getattr(pkpd, name)
    parameters = inspect.signature(thing).parameters.values()
    listed = inspect.getdoc(thing).partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    told = {one for line in re.findall(r"^([\w, ]+) :", listed, re.MULTILINE) for one in line.split(", ")}
    assert told == {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_its_examples_give_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(getattr(pkpd, name)), {}, name, None, 0)
    assert test.examples
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
