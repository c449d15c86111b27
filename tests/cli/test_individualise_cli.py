"""``pkpd individualise``: what is printed and written, and what is refused."""

import json
import shutil

import pytest

from pkpd.cli import main
from pkpd.core import library

DATA = "time,time_unit,output,value,unit\n0,d,treg_pct,5,percent\n7,d,treg_pct,8,percent\n"
OWN = '[[endpoint]]\nname = "my peak"\noutput = "treg_pct"\nwhat = "max"\nbetter = "up"\ngroup = "mine"\n'
FEW = ["--subjects", "60", "--draws", "3"]


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "her.csv"
    path.write_text(DATA, encoding="utf-8")
    return path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["individualise", "low_dose_il2", *map(str, arguments), *FEW])
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


def test_it_prints_what_was_learned_and_what_may_follow(capsys, data, tmp_path):
    following = ["1 MIU sc daily x5 from day 28", "2 MIU sc daily x5 from day 28"]
    wish = "Treg peak fold at least 1.8, NK peak fold under 9"
    given = ["--given", "1 MIU sc daily x5", "--wish", wish, "-o", tmp_path / "her.svg"]
    code, out, _ = run(capsys, data, *given, "--next", following[0], "--next", following[1])
    assert code == 0
    for said in (
        "treg_pct (%)",
        "pct0 (%)",
        "effective sample size",
        "Treg peak fold >= 1.8",
        "all of these",
    ):
        assert said in " ".join(out.split())
    assert "A model, not medical advice." in out
    assert "90 % of subjects" not in out
    report = run(capsys, data, *given[:-1], tmp_path / "her.html", "--next", following[0])
    page = (tmp_path / "her.html").read_text(encoding="utf-8")
    assert report[0] == 0 and "<h2>Wishes</h2>" in page
    assert f"--next &#39;{following[0]}&#39; --wish &#39;{wish}&#39;" in page
    drawn = (tmp_path / "her.svg").read_text(encoding="utf-8")
    assert "this person (90 %)" in drawn
    assert "2 MIU sc daily x5 from day 28" in drawn
    assert "A model, not medical advice" in drawn


def test_json_and_a_folder_have_it_all(capsys, data, tmp_path):
    given = [data, "--given", "1 MIU sc daily x5", "--next", "none", "--wish", "NK peak fold under 9"]
    code, out, _ = run(capsys, *given, "--json", "-o", tmp_path / "her")
    facts = json.loads(out)
    assert code == 0
    assert facts["wishes"]["none (placebo)"]["all"] == 1.0
    assert facts["measurements"][1]["value"] == 8.0
    kept = json.loads((tmp_path / "her" / "individual.json").read_text(encoding="utf-8"))
    assert kept["wishes"] == facts["wishes"]
    assert (tmp_path / "her" / "individual.png").stat().st_size > 10_000


@pytest.mark.parametrize("named", ["./mine", "mine/result.json"])
def test_a_fit_of_ones_own_is_taken_by_its_folder(capsys, data, tmp_path, monkeypatch, named):
    shutil.copytree(library.root() / "fits" / "low_dose_il2", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    following = ["--next", "1 MIU sc daily x5 from day 28", "--json"]
    with pytest.raises(SystemExit) as end:
        main(["individualise", named, str(data), "--given", "1 MIU sc daily x5", *following, *FEW])
    assert not end.value.code
    assert json.loads(capsys.readouterr().out)["comparison"]["arms"][0]["doses"] == 5


def test_endpoints_may_be_those_of_a_file(capsys, data, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(OWN, encoding="utf-8")
    options = ["--given", "1 MIU sc daily x5", "--next", "1 MIU sc daily x5 from day 28", "--endpoints", own]
    code, out, _ = run(capsys, data, *options, "--wish", "my peak at least 8", "--json")
    assert code == 0
    assert "my peak >= 8 percent" in next(iter(json.loads(out)["wishes"].values()))


def test_what_is_wrong_is_one_sentence(capsys, data, tmp_path):
    data.write_text(DATA.replace("8,percent", "eight,percent"), encoding="utf-8")
    code, out, err = run(capsys, data, "--given", "none")
    assert (code, out) == (3, "")
    assert 'her.csv:3:14 (value): "eight" is not a number' in err
    data.write_text(DATA, encoding="utf-8")
    code, _, err = run(capsys, data, "--given", "none", "--wish", "Treg peak fold at least 2")
    assert code == 3
    assert "give one with --next" in err
    follows = ["--next", "1 MIU sc once", "--wish", "Treg peak fold at least 2 in 90 % of people"]
    code, _, err = run(capsys, data, "--given", "none", *follows)
    assert code == 3 and "one person is no share of people" in err
    code, _, err = run(capsys, data, "--given", "none", "-o", tmp_path / "her.doc")
    assert code == 3
    assert ".png" in err
