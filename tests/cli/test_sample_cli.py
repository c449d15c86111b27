"""`pkpd sample` prints the table and whether to trust it, writes draws and figures, and its draws go into a
comparison."""

import json
import sys

import pytest

from pkpd.inference import fit
from pkpd.inference.draws import PosteriorDraws
from tests import toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A toy fit of one parameter with its result beside it."""
    folder = toy.write(tmp_path_factory.mktemp("sample") / "toy")
    text = (folder / "fit.toml").read_text(encoding="utf-8").partition("[study_effects]")[0]
    lines = [line for line in text.splitlines() if not line.startswith(("ka =", "CL ="))]
    (folder / "fit.toml").write_text("\n".join(lines), encoding="utf-8")
    fit(folder, rival=False, leave_one_out=False, unverified=False, check=False).write_json(
        folder / "result.json"
    )
    return folder


def test_it_prints_whether_to_trust_it_and_writes_draws_and_figures(pkpd, folder, tmp_path):
    pytest.importorskip("nutpie", reason="pip install 'pkpd[sample]'")
    few = ("--chains", 2, "--tune", 60, "--draws", 60)
    code, out, _ = pkpd("sample", folder, *few, "-o", tmp_path / "out")
    assert code == 0
    assert "R-hat" in out
    assert "effective" in out
    assert "by LOO" in out
    assert "A model, not medical advice." in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"draws.npz", "draws.nc", "posterior.png", "ranks.png"}
    draws = PosteriorDraws.read(tmp_path / "out")
    assert f"{draws['V'].median:.3g}" in out
    comparison = ("compare", "50 mg iv once", "--fit", folder, "--subjects", 8, "--json")
    code, out, _ = pkpd(*comparison, "--posterior", tmp_path / "out")
    assert code == 0
    assert json.loads(out)["provenance"]["posterior"] == str(tmp_path / "out")
    code, _, err = pkpd(*comparison, "--posterior", tmp_path)
    assert code == 3
    assert "`pkpd sample` writes it" in err


def test_without_nutpie_it_says_what_to_install(pkpd, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nutpie", None)
    code, _, err = pkpd("sample", folder, "-o", tmp_path)
    assert code == 6
    assert "pip install 'pkpd[sample]'" in err


def test_its_help_names_the_extra_with_its_brackets(pkpd):
    code, out, _ = pkpd("sample", "--help")
    assert code == 0
    assert "pkpd[sample]" in out


def test_through_a_surrogate_it_says_how_many_were_accepted(pkpd, folder, tmp_path):
    pytest.importorskip("nutpie", reason="pip install 'pkpd[sample]'")
    few = ("--surrogate", "--chains", 2, "--tune", 50, "--draws", 40, "--json")
    code, out, _ = pkpd("sample", folder, *few, "-o", tmp_path / "out")
    assert code == 0
    found = json.loads(out)
    assert found["provenance"]["surrogate"] is True
    assert any("were accepted" in said for said in found["notes"])
