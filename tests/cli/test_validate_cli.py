"""`pkpd validate` prints predictions, parts and scores, writes JSON and figures, and refuses what the fit has
seen."""

import json
import shutil
from pathlib import Path

import pytest

from pkpd.cli import scenes
from pkpd.inference import fit
from tests import toy

NEW = """\
row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,spread_type,source,\
provenance
n50,Delta,50 mg,9,50 mg oral once,C,value,at,4,h,mean,1.2,mg/L,0.3,SD,made up,reported
n100,Delta,100 mg,9,100 mg oral once,C,value,at,4,h,mean,6.2,mg/L,0.6,SD,made up,unverified
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The toy fit with its result beside it, and new numbers."""
    folder = toy.write(tmp_path_factory.mktemp("validate") / "toy")
    with (folder / "fit.toml").open("a", encoding="utf-8") as file:
        file.write('[report]\nnotes = ["The trial was negative."]\n')
    fit(folder, rival=False, leave_one_out=False, unverified=False, check=False).write_json(
        folder / "result.json"
    )
    (folder / "new.csv").write_text(NEW, encoding="utf-8")
    return folder


def test_it_prints_and_writes_what_it_found(pkpd, folder, tmp_path):
    code, out, err = pkpd("validate", folder, folder / "new.csv", "-o", tmp_path / "out")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    kept = json.loads((tmp_path / "out" / "validation.json").read_text(encoding="utf-8"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html",
        *(f"validation{ending}" for ending in scenes.ENDINGS if ending != ".html"),
        *(f"calibration.{kind}" for kind in ("png", "svg", "pdf")),
    }
    for row in kept["rows"]:
        (line,) = [line for line in out.splitlines() if line.strip().startswith(f"{row['id']} ")][:1]
        assert f"{row['predicted']:.3g}" in line
    assert "n100 over n50: 100 %, so it is" in out
    assert "unverified" in out
    assert "The trial was negative." in out and kept["notes"][0] == "The trial was negative."
    assert "1 of 2 in their 95 % interval" in " ".join(out.split())
    assert "wrote" in err


def test_json_is_what_is_kept(pkpd, folder, tmp_path):
    code, out, _ = pkpd("validate", folder / "result.json", folder / "new.csv", "-o", tmp_path, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "validation.json").read_text(encoding="utf-8"))


def test_a_file_is_what_its_ending_says_and_says_how_it_was_made(pkpd, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = pkpd("validate", folder, folder / "new.csv", "--subjects", 6, "-o", "checked.md", "-q")
    assert (code, err) == (0, "")
    text = Path("checked.md").read_text(encoding="utf-8")
    command = f"pkpd validate {folder} {folder / 'new.csv'} --subjects 6 -o checked.md"
    assert f"```\n{command}\n```" in text
    assert [path.name for path in tmp_path.iterdir()] == ["checked.md"]  # and no folder of results
    code, _, err = pkpd("validate", folder, folder / "new.csv", "-o", "checked.docx")
    assert code == 3 and "its ending must be one of" in err


def test_without_a_place_it_is_a_folder_of_results_whatever_the_fit_is_called(
    pkpd, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    called = tmp_path / "toy.2"
    shutil.copytree(folder, called)
    assert pkpd("validate", called, folder / "new.csv", "-q")[0] == 0
    assert (tmp_path / "results" / "toy.2_validation" / "validation.xlsx").is_file()


def test_numbers_of_the_fit_are_refused_unless_asked_for(pkpd, folder, tmp_path):
    code, _, err = pkpd("validate", folder, folder / "data.csv", "-o", tmp_path / "seen")
    assert code == 3
    assert 'line 2 (row "c50") is row "c50", line 2 of data.csv' in err
    assert not (tmp_path / "seen").exists()
    assert pkpd("validate", folder, folder / "data.csv", "--also-seen", "-o", tmp_path / "seen", "-q")[0] == 0
