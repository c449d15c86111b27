"""`pkpd new` writes what runs as it is, says that it is invented, and writes nothing over."""

import json
from pathlib import Path

import pytest

import pkpd as package
from pkpd.core import library
from pkpd.inference import read_fit
from pkpd.inference.summary.reading import read_data


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_new_fit_converges_at_once_to_what_was_invented(pkpd):
    code, out, err = pkpd("new", "fit", "my_fit")
    assert (code, out) == (0, "")
    assert err.splitlines()[-1].endswith("next: pkpd fit ./my_fit")
    assert sorted(path.name for path in Path("my_fit").iterdir()) == [
        "data.csv",
        "drug.model",
        "fit.toml",
        "source.md",
    ]
    code, out, _ = pkpd("fit", "./my_fit", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["converged"]
    assert found["title"] == "my_fit, on invented numbers"
    residuals = [row["residuals"] for row in found["rows"] if row["use"] == "fit"]
    assert all(abs(one) < 2 for several in residuals for one in several)
    assert not any("are few" in note for note in found["notes"])


def test_every_number_of_it_says_that_it_is_invented(pkpd):
    pkpd("new", "fit", "my_fit")
    assert all("invented" in row.source for row in read_data("my_fit/data.csv").rows)
    assert "invented" in Path("my_fit/source.md").read_text(encoding="utf-8")
    model = package.read_model(Path("my_fit/drug.model").read_text(encoding="utf-8"), "drug.model")
    assert {p.source.partition(":")[0].partition(",")[0] for p in model.parameters} == {"invented"}


@pytest.mark.parametrize("name", library.models())
def test_a_new_fit_of_any_model_has_numbers_and_knows_its_parameters(pkpd, name):
    code, _, _ = pkpd("new", "fit", "my_fit", "--model", name)
    assert code == 0
    spec, data = read_fit("./my_fit"), read_data("my_fit/data.csv")
    model = package.read_model(*library.read_model_text(name))
    assert spec.main.model == name
    assert {row.output for row in data.rows} <= {output.name for output in model.outputs}
    assert data.rows
    fixed = {p.name for p in model.parameters if p.kind == "parameter"} - set(spec.main.free)
    at_an_edge = {p.name for p in model.parameters if p.value in (0, p.lower, p.upper) and p.prior is None}
    assert fixed <= at_an_edge


def test_a_model_and_a_trial_of_ones_own(pkpd):
    pkpd("new", "model", "my")
    code, _, _ = pkpd("show", "./my.model")
    assert code == 0
    assert pkpd("new", "fit", "a-fit", "--model", "./my.model", "--schedule", "50 mg oral daily x3")[0] == 0
    assert Path("a-fit/my.model").read_text() == Path("my.model").read_text()
    assert {row.schedule for row in read_data("a-fit/data.csv").rows} == {"50 mg oral daily x3"}
    code, _, err = pkpd("fit", "./a-fit", "--quick", "--quiet")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("what", ["fit", "model"])
def test_nothing_is_written_over(pkpd, what):
    pkpd("new", what, "mine")
    (made,) = Path().iterdir()
    before = {path: path.read_text() for path in Path().rglob("*") if path.is_file()}
    code, _, err = pkpd("new", what, made)
    assert code == 3
    assert "is there already" in err
    assert {path: path.read_text() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fit", "no/where"), "there is no such folder"),
        (("fit", "two words"), "is no name"),
        (("fit", ".."), "is no name"),
        (("fit", "x", "--model", "one_compartment_orl"), 'did you mean "one_compartment_oral"'),
        (("fit", "x", "--model", "michaelis_menten", "--schedule", "none"), "no output of michaelis_menten"),
        (("fit", "x", "--schedule", "1 mg oral once"), "--schedule belongs to --model"),
        (("model", "x", "--model", "il2_treg"), "belong to a fit"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_leaves_nothing(pkpd, arguments, told):
    code, _, err = pkpd("new", *arguments)
    assert code == 3
    assert told in " ".join(err.split())
    assert not list(Path().iterdir())
