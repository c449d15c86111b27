"""`pkpd sample` prints the table and whether to trust it, writes draws and figures, and its draws go into a
comparison."""

import json
import sys

import numpy as np
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
    assert names == {"draws", "draws.npz", "draws.nc", "posterior.png", "ranks.png"}
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


def test_of_two_estimates_it_draws_the_pair(pkpd, tmp_path):
    pytest.importorskip("nutpie", reason="pip install 'pkpd[sample]'")
    folder = toy.write(tmp_path / "toy")
    text = (folder / "fit.toml").read_text(encoding="utf-8").partition("[study_effects]")[0]
    (folder / "fit.toml").write_text(text.replace('ka = "lognormal(1.5, 0.5)"\n', ""), encoding="utf-8")
    few = ("--surrogate", "--chains", 1, "--tune", 20, "--draws", 20, "--quiet")
    assert pkpd("sample", folder, *few, "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "pairs.png").stat().st_size > 10_000


def test_it_goes_on_to_more_draws_and_refuses_those_of_another_warm_up(pkpd, folder, tmp_path):
    pytest.importorskip("nutpie", reason="pip install 'pkpd[sample]'")
    few = ("sample", folder, "--chains", 2, "--tune", 40, "-o", tmp_path, "--json")
    assert pkpd(*few, "--draws", 20)[0] == 0
    first = PosteriorDraws.read(tmp_path)
    assert pkpd(*few, "--draws", 30, "--resume")[0] == 0
    more = PosteriorDraws.read(tmp_path)
    np.testing.assert_array_equal(more.x[:, :20], first.x)
    assert more.x.shape[1] == 30
    code, _, err = pkpd("sample", folder, "--chains", 2, "--tune", 41, "-o", tmp_path, "--resume")
    assert code == 3
    assert "made with another warm-up" in err


def test_a_misspelt_fit_is_told_before_the_extra_is_asked_for(pkpd, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nutpie", None)
    code, _, err = pkpd("sample", "low_dose_il", "-o", tmp_path)
    assert code == 3
    assert "low_dose_il2" in err
    assert "nutpie" not in err
