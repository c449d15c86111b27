"""`pkpd compare-fits` prints scores and where fits differ, writes JSON and a figure, and refuses what cannot
be compared."""

import json

import pytest

from pkpd.inference import fit
from tests import toy

ALONE = {"rival": False, "leave_one_out": False, "unverified": False, "check": False}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The toy fit, and the same with other study effects."""
    base = tmp_path_factory.mktemp("compare_fits")
    one, other = (toy.write(base / name) for name in ("one", "other"))
    text = (other / "fit.toml").read_text(encoding="utf-8").replace("V = 0.2\n", "V = 0.5\n")
    (other / "fit.toml").write_text(text, encoding="utf-8")
    for folder in (one, other):
        fit(folder, **ALONE).write_json(folder / "result.json")
    return one, other


def test_it_prints_and_writes_what_it_found(pkpd, folders, tmp_path):
    code, out, err = pkpd("compare-fits", *folders, "-o", tmp_path / "out")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    kept = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.json", "comparison.png"}
    for score in kept["scores"]:
        line = next(line for line in out.splitlines() if line.strip().startswith(f"{score['label']} "))
        assert f"{score['aic']:.1f}" in line
        assert f"{score['log_density']:.1f}" in line
    assert "wrote" in err


def test_quick_leaves_no_study_out_and_json_is_what_is_kept(pkpd, folders, tmp_path):
    code, out, _ = pkpd("compare-fits", *folders, "--quick", "-o", tmp_path, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert json.loads(out)["scores"][0]["log_density"] is None


def test_what_cannot_be_compared_is_refused(pkpd, folders, tmp_path):
    part = tmp_path / "part"
    assert pkpd("fit", folders[0], "--quick", "--without", "Beta", "-o", part, "-q")[0] == 0
    code, _, err = pkpd("compare-fits", folders[0], part, "-o", tmp_path / "out")
    assert code == 3
    assert "one and part cannot be compared: they were fitted to other rows" in err
    assert not (tmp_path / "out").exists()
