"""Claim: every shipped model and fit is found, read as text and checked; what is not there or is no text is
said in a sentence."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pkpd.core import library
from pkpd.core.errors import LibraryError, ModelError
from pkpd.model.check import read_model

GENERAL = {
    "one_compartment_iv",
    "one_compartment_oral",
    "two_compartment_iv",
    "two_compartment_oral",
    "three_compartment_iv",
    "three_compartment_oral",
    "transit_absorption",
    "michaelis_menten",
    "tmdd_full",
    "tmdd_qss",
    "indirect_response_1",
    "indirect_response_2",
    "indirect_response_3",
    "indirect_response_4",
    "effect_compartment",
}


def test_the_general_models_are_there() -> None:
    assert set(library.models()) >= GENERAL
    assert library.models() == sorted(library.models())


@pytest.mark.parametrize("name", library.models())
def test_every_shipped_model_is_checked_and_says_where_its_numbers_are_from(name: str) -> None:
    model = read_model(*library.read_model_text(name))
    assert model.name == name
    assert model.sources, "no source for the equations"
    for parameter in model.parameters:
        assert parameter.source, f"{name}: no source for {parameter.name}"


def test_readme_of_the_models_lists_every_model() -> None:
    text = (library.root() / "models" / "README.md").read_text()
    names = set(re.findall(r"`(\w+)`", text)) | {f"indirect_response_{k}" for k in range(1, 5)}
    assert set(library.models()) <= names


def readme_examples() -> list[tuple[str, str]]:
    text = (library.root() / "models" / "README.md").read_text()
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_every_example_in_the_readme_of_the_models_does_what_it_says() -> None:
    examples = readme_examples()
    assert {kind for kind, _ in examples} == {"model", "lines", "error", "python"}
    first = examples[0][1]
    for (kind, text), (following, expected) in zip(examples, [*examples[1:], ("", "")], strict=True):
        if kind == "model" and following == "error":
            with pytest.raises(ModelError) as caught:
                read_model(text, "my.model")
            assert str(caught.value) == expected.rstrip("\n")
        elif kind == "model":
            read_model(text, "my.model")
        elif kind == "lines":
            read_model(first + text, "my.model")
        elif kind == "python":
            said: list[str] = []
            test = doctest.DocTestParser().get_doctest(text, {}, "models/README.md", None, 0)
            doctest.DocTestRunner(verbose=False).run(test, out=said.append)
            assert not said, "".join(said)


def test_a_path_reads_like_a_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.model"
    path.write_bytes(b"\xef\xbb\xbfmodel  mine \xce\xbc\r\n")
    text, file = library.read_model_text(path)
    assert text == "model  mine μ\r\n"
    assert file == str(path)
    assert library.read_model_text(str(path)) == (text, file)


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(LibraryError, match='did you mean "one_compartment_iv"'):
        library.read_model_text("one_compartmnt_iv")
    with pytest.raises(LibraryError, match=r"known are .*tmdd_full"):
        library.read_model_text("zzzzzz")
    with pytest.raises(LibraryError, match="no fit"):
        library.fit_folder("zzzzzz")


@pytest.mark.parametrize(
    "name", ["", "../tmdd_full", "./nowhere.model", "a\0b/c", "~nobody/x.model", "models/", "x" * 5000]
)
def test_odd_names_are_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(LibraryError):
        library.read_model_text(name)
    with pytest.raises(LibraryError):
        library.fit_folder(name)


def test_a_folder_is_no_model_and_no_fit(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="not a file"):
        library.read_model_text(tmp_path)
    with pytest.raises(LibraryError, match=r"no fit\.toml"):
        library.fit_folder(tmp_path)
    (tmp_path / "fit.toml").write_text("")
    assert library.fit_folder(tmp_path) == tmp_path


def test_a_name_wins_over_a_folder_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmdd_full").mkdir()
    monkeypatch.chdir(tmp_path)
    assert library.read_model_text("tmdd_full")[0].startswith("model")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"model x\n\0\0", r":2: a NUL byte: this is a binary file"),
        (b"\x89PNG\r\n\x1a\n", r":1:1: byte 0x89 is not UTF-8"),
        (b"model caf\xe9\n", r":1:10: byte 0xe9 is not UTF-8"),
        ("model x".encode("utf-16"), "UTF-16"),
        (b"#" * (library.MAX_BYTES + 1), "bytes are no model"),
    ],
)
def test_a_file_that_is_no_text_is_said_to_be_none(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "odd.model"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        library.read_model_text(path)


def test_listing_and_reading_loads_nothing_heavy() -> None:
    code = (
        "import sys, pkpd.core.library as l, pkpd.core.units; l.models(); l.fits(); "
        "l.read_model_text('tmdd_full');"
        "print([m for m in ('pint', 'sympy', 'numba', 'numpy', 'scipy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
