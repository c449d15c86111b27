"""`pkpd leave-out` and `pkpd bootstrap` print their tables, write JSON, CSV and a figure, and go on after a
stop."""

import json

import pytest

from tests import toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.write_agreed(tmp_path_factory.mktemp("repeats") / "toy")


def test_leave_out_prints_scores_and_writes_what_it_found(pkpd, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = pkpd("leave-out", folder, "-o", tmp_path / "out", "--jobs", 1)
    assert code == 0, err
    found = json.loads((tmp_path / "out" / "leave_out.json").read_text(encoding="utf-8"))
    assert [fold["name"] for fold in found["folds"]] == ["Alpha", "Beta"]
    for fold in found["folds"]:
        assert f"{fold['log_density']:.2f}" in out
        assert fold["moved"] in out
    assert "within 90 % intervals" in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"leave_out.json", "leave_out.csv", "leave_out.png", "leave_out"}
    code, out, _ = pkpd("leave-out", folder, "-o", tmp_path / "out", "--resume", "--json", "--jobs", 1)
    assert code == 0
    assert json.loads(out)["folds"] == found["folds"]
    code, _, err = pkpd("leave-out", folder, "--by", "fold", "-o", tmp_path / "out", "--resume", "--jobs", 1)
    assert code == 3
    assert "--resume" in err


def test_bootstrap_goes_on_to_more_draws(pkpd, folder, tmp_path):
    assert pkpd("bootstrap", folder, "--draws", 2, "-o", tmp_path, "-q", "--jobs", 1)[0] == 0
    first = json.loads((tmp_path / "bootstrap.json").read_text(encoding="utf-8"))
    code, out, err = pkpd("bootstrap", folder, "--draws", 3, "-o", tmp_path, "--resume", "--jobs", 1)
    assert code == 0, err
    assert "3 of 3 draws were fitted, 0 failed." in out
    assert "too few for 95 % intervals" in " ".join(out.split())
    more = json.loads((tmp_path / "bootstrap.json").read_text(encoding="utf-8"))
    assert more["draws"][:2] == first["draws"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "bootstrap",
        "bootstrap.csv",
        "bootstrap.json",
        "bootstrap.png",
    }


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(pkpd, folder, tmp_path, monkeypatch):
    import pkpd.inference.bootstrap as module

    right = module.redrawn

    def interrupted(objective, minimum, seed):
        if seed[-1] == 2:
            raise KeyboardInterrupt
        return right(objective, minimum, seed)

    monkeypatch.setattr(module, "redrawn", interrupted)
    code, _, err = pkpd("bootstrap", folder, "--draws", 3, "-o", tmp_path, "--jobs", 1)
    assert code == 130
    assert "go on with --resume" in err
    assert len(list((tmp_path / "bootstrap").glob("draw*.json"))) == 1


def test_no_cluster_is_a_sentence(pkpd, folder, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("pkpd.solver.executors.PATIENCE_S", "0.5s")
    code, _, err = pkpd("profile", folder, "CL", "--dask", "tcp://127.0.0.1:9", "-o", tmp_path)
    assert code == 3
    assert "no Dask scheduler answers" in err


@pytest.mark.long
def test_a_fit_and_its_report_leave_what_other_commands_found(pkpd, folder, tmp_path):
    """All that they write into results/FIT, also before the first fit is there."""
    assert pkpd("bootstrap", folder, "--draws", 2, "-o", tmp_path, "-q", "--jobs", 1)[0] == 0
    assert pkpd("leave-out", folder, "-o", tmp_path, "-q", "--jobs", 1)[0] == 0
    assert pkpd("profile", folder, "CL", "-o", tmp_path, "-q", "--jobs", 1)[0] == 0
    (tmp_path / "draws").mkdir()  # what follows is of `pkpd sample`, an extra
    sampled = ("draws.npz", "draws.nc", "draws/points.bin", "posterior.png", "pairs.png", "ranks.png")
    for name in sampled:
        (tmp_path / name).write_bytes(name.encode())
    found = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for command in (("fit", folder, "--quick", "-o", tmp_path), ("report", tmp_path)):
        code, _, err = pkpd(*command, "-q")
        assert code == 0, err
        assert (tmp_path / "report.html").is_file()
        assert {path: path.read_bytes() for path in found} == found
    (tmp_path / "mine.txt").write_text("not of pkpd")
    code, _, err = pkpd("report", tmp_path, "-q")
    assert code == 3
    assert "mine.txt" in err
