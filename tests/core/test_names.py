"""Which names are taken for slips of which, and how it is said."""

import pathlib

import pytest

import pkpd
from pkpd.core import names


@pytest.mark.parametrize(
    ("word", "known", "close"),
    [
        ("maks", ("max", "min"), ["max"]),
        ("Daily", ("daily", "weekly"), ["daily"]),
        ("mgg", ("Mg", "mg", "L"), ["mg", "Mg"]),
        ("iu", ("IU", "L"), ["IU"]),
        ("NK", ("Treg mean", "NK mean fold", "NK peak fold"), ["NK mean fold", "NK peak fold"]),
        ("zone", ("daily", "weekly"), []),
        ("", ("a", ""), []),
        ("x" * 10**6, ("x",), []),
        ("CL", ("CL1", "CL2"), ["CL2", "CL1"]),
    ],
)
def test_a_slip_is_close_to_what_it_is_a_slip_of(word, known, close):
    assert names.close_names(word, known) == close


def test_the_question_and_the_list_read_as_sentences():
    assert names.question("CLL", ["CL", "V"]) == 'did you mean "CL"?'
    assert names.meant("CLL", ["CL", "V"]) == '; did you mean "CL"?'
    assert names.meant("zzz", ["CL", "V"]) == ""
    assert names.question_or_list("CLL", ["CL", "V"]) == 'did you mean "CL"?'
    assert names.question_or_list("zzz", ["CL", "V"]) == "known are CL, V"
    assert names.question_or_list("zzz", [], "its outputs are") == "there is none"
    assert names.question_and_list("CLL", ["CL", "V"], "it has") == 'did you mean "CL"? it has CL, V'
    assert names.listed(f"p{i}" for i in range(50)).endswith("p39, ...")


def test_one_file_words_the_question():
    package = pathlib.Path(pkpd.__file__).parent
    told_in_a_docstring = {"core/errors.py"}  # an example of an error
    worded = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "did you mean" in path.read_text(encoding="utf-8")
    }
    assert worded - told_in_a_docstring == {"core/names.py"}
