"""A file or folder that is written appears whole or not at all, and what stood there before survives a
failure."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from pkpd.core.errors import InputError
from pkpd.core.files import check_folder, check_target, replacing, replacing_folder, to_json


def test_a_file_takes_its_place_at_the_end(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("old")
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.suffix == ".csv"
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(target) as temporary:
        temporary.write_text("half of")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_failure_keeps_the_old_folder_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "results"
    target.mkdir()
    (target / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing_folder(target) as temporary:
        (temporary / "b").write_text("half of")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert [path.name for path in target.iterdir()] == ["a"]
    with replacing_folder(target) as temporary:
        (temporary / "b").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert [path.name for path in target.iterdir()] == ["b"]


def test_new_files_have_the_usual_permissions(tmp_path):
    plain, folder = tmp_path / "plain", tmp_path / "folder"
    plain.write_text("")
    folder.mkdir()
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("")
    with replacing_folder(tmp_path / "other"):
        pass
    assert (tmp_path / "file").stat().st_mode == plain.stat().st_mode
    assert (tmp_path / "other").stat().st_mode == folder.stat().st_mode


@pytest.mark.parametrize(
    ("name", "said"),
    [("out.xlsx", ".csv, .parquet"), ("out", ".csv, .parquet"), ("no/such/out.csv", "no such folder")],
)
def test_a_target_that_cannot_be_written_is_refused_beforehand(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        check_target(tmp_path / name, (".csv", ".parquet"))


def test_a_folder_is_no_target(tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(InputError, match="folder"):
        check_target(tmp_path / "out.csv", (".csv",))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="permission"):
        check_folder(tmp_path)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder that takes no file, whoever asks")
def test_a_folder_that_takes_no_file_is_refused():
    with pytest.raises(InputError, match="cannot write into"):
        check_folder(Path("/proc/self"))


def test_json_is_strict():
    text = to_json(
        {"a": np.arange(3), "b": np.float64(math.nan), "c": (math.inf, 1, None, True), 4: np.bool_(True)}
    )
    assert json.loads(text) == {"a": [0, 1, 2], "b": None, "c": [None, 1, None, True], "4": True}
