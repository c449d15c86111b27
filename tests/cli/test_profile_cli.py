"""`pkpd profile` prints the table, writes JSON and figures, takes a result.json, and goes on after a stop."""

import json

import pytest

from pkpd.inference import fit
from tests import toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The toy fit with its result beside it."""
    folder = toy.write(tmp_path_factory.mktemp("profile") / "toy")
    fit(folder, rival=False, leave_one_out=False, unverified=False, check=False).write_json(
        folder / "result.json"
    )
    return folder


def test_it_prints_intervals_and_verdicts_and_writes_figures(pkpd, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = pkpd("profile", folder, "CL", "V", "-o", tmp_path / "out")
    assert code == 0
    assert "what the data say" in out
    assert "A model, not medical advice." in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"profiles.json", "profiles.png", "intervals.png"}
    kept = json.loads((tmp_path / "out" / "profiles.json").read_text(encoding="utf-8"))
    for profile in kept["profiles"]:
        line = next(line for line in out.splitlines() if line.strip().startswith(f"{profile['name']} "))
        assert f"{profile['lower']['value']:.3g} to {profile['upper']['value']:.3g}" in line
        assert profile["verdict"] in line


def test_a_result_file_serves_and_json_is_printed(pkpd, folder, tmp_path):
    code, out, _ = pkpd("profile", folder / "result.json", "CL", "-o", tmp_path, "--json")
    assert code == 0
    assert [profile["name"] for profile in json.loads(out)["profiles"]] == ["CL"]


def test_resume_adds_to_what_is_there(pkpd, folder, tmp_path):
    assert pkpd("profile", folder, "CL", "-o", tmp_path, "-q")[0] == 0
    code, out, err = pkpd("profile", folder, "V", "-o", tmp_path, "--resume", "--json", "-q")
    assert (code, err) == (0, "")
    assert [profile["name"] for profile in json.loads(out)["profiles"]] == ["CL", "V"]
    code, _, err = pkpd("profile", folder, "V", "-o", tmp_path, "--resume", "--without-priors")
    assert code == 3
    assert "other data or priors" in err


def test_wrong_names_are_refused(pkpd, folder, tmp_path):
    code, _, err = pkpd("profile", folder, "Vd", "-o", tmp_path)
    assert code == 3
    assert 'estimates no "Vd"' in err
    code, _, err = pkpd("profile", "no_such_fit", "-o", tmp_path)
    assert code == 3
    assert "no_such_fit" in err
