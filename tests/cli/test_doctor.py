"""The doctor says what is installed and where, and finds what is wrong."""

import json
import platform

import numpy as np
import pytest

import pkpd as package
from pkpd.cli import doctor
from pkpd.core import extras


def test_a_working_installation_is_well(pkpd):
    code, out, _ = pkpd("doctor")
    assert code == 0
    assert "all is well" in out
    for word in (package.__version__, platform.python_version(), np.__version__, "llvmlite", "compiler"):
        assert word in out


def test_json_is_what_a_bug_report_needs(pkpd):
    code, out, _ = pkpd("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["problems"] == []
    assert found["libraries"]["numpy"] == np.__version__
    assert found["compiler"]["name"] in ("direct", "numba")
    assert 0 < found["check"]["error"] < doctor.ALLOWED
    assert found["cache"]["bytes"] > 0


def test_a_wrong_solve_is_a_problem(pkpd, monkeypatch):
    monkeypatch.setattr(doctor, "CHECK", doctor.CHECK.replace("CL = 5 ", "CL = 5.001 "))
    code, out, _ = pkpd("doctor")
    assert code == 1
    assert "the check is wrong by" in out


@pytest.mark.parametrize(
    ("receipt", "command"),
    [
        ("", "pip install 'pkpd[optimise]'"),
        ("pipx_metadata.json", "pipx inject pkpd pymoo"),
        ("uv-receipt.toml", "uv pip install --python "),
    ],
)
def test_a_missing_extra_comes_with_its_command(pkpd, monkeypatch, tmp_path, receipt, command):
    version = extras.version
    monkeypatch.setattr(extras, "version", lambda name: None if name == "pymoo" else version(name) or "1")
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ['pymoo>=0.6.2; extra == "optimise"'])
    monkeypatch.setattr(extras.sys, "prefix", str(tmp_path))
    if receipt:
        (tmp_path / receipt).touch()
    code, out, _ = pkpd("doctor")
    assert code == 0
    assert f"lacks pymoo: {command}" in " ".join(out.split())


def test_a_cache_that_cannot_be_written_is_a_problem(pkpd, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PKPD_CACHE_DIR", str(tmp_path / "file" / "cache"))
    code, out, _ = pkpd("doctor")
    assert code == 1
    assert "cannot be written" in " ".join(out.split())


def test_a_compiler_that_there_is_not_is_a_problem_told_once(pkpd, monkeypatch):
    monkeypatch.setenv("PKPD_COMPILER", "fortran")
    code, out, _ = pkpd("doctor")
    assert code == 1
    assert " ".join(out.split()).count("there is no compiler 'fortran'; there are direct and numba") == 1
