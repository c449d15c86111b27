"""The guard of instruction counts: what is up fails, what is down has a word, other versions are not
compared, and a file that is wrong is refused."""

import platform

import pytest

from benchmarks import instructions, workloads
from pkpd.core.errors import DataError

COUNTS = dict.fromkeys(instructions.NAMES, 1_000_000)
KEPT = instructions.Kept("a test", instructions.versions(), COUNTS)


def _changed(**changes):
    return instructions.report(COUNTS, COUNTS | changes)


def test_more_than_three_percent_up_fails_and_says_what_to_do():
    found, failed = _changed(robertson_rodas5p=1_031_000)
    assert failed
    assert "+3.10%" in found and "instructions.toml says: robertson_rodas5p." in found
    assert "--update --reason" in found and "same commit" in found
    assert not _changed(robertson_rodas5p=1_029_000)[1]


def test_what_is_won_has_a_word_and_passes():
    found, failed = _changed(il2_treg=960_000, fit_evaluation=975_000)
    assert not failed
    assert "fewer instructions: il2_treg. Keep what was won" in found


def test_the_same_says_no_more_than_its_counts():
    found, failed = _changed()
    assert not failed and len(found.splitlines()) == len(COUNTS)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of counts that the command reads instead of the repository's."""
    path = tmp_path / "instructions.toml"
    monkeypatch.setattr(instructions, "FILE", path)
    monkeypatch.setattr(instructions.shutil, "which", lambda _: "/usr/bin/valgrind")
    return path


def test_the_file_says_what_it_was_given(file):
    kept = instructions.Kept(
        'twice the stages: "tsit5" µ', KEPT.versions, COUNTS | {"cold_start": 12_345_678_901}
    )
    file.write_text(instructions.text(kept), encoding="utf-8")
    assert instructions.read(file) == kept


def test_the_repository_keeps_counts_of_what_there_is():
    assert set(instructions.read(instructions.FILE).counts) == set(instructions.NAMES)


def test_changing_the_file_is_what_makes_it_pass(file, monkeypatch, capsys):
    file.write_text(instructions.text(KEPT), encoding="utf-8")
    slower = COUNTS | {"il2_treg": 1_200_000}
    monkeypatch.setattr(instructions, "count", lambda names: {name: slower[name] for name in names})
    assert instructions.main([]) == 1
    assert instructions.main(["robertson_rodas5p"]) == 0
    assert instructions.main(["--update", "--reason", "exact derivatives at jumps"]) == 0
    assert instructions.main([]) == 0
    assert instructions.read(file).reason == "exact derivatives at jumps"
    assert "+20.00%" in capsys.readouterr().out


def test_other_versions_are_not_compared(file, monkeypatch, capsys):
    other = instructions.Kept("", KEPT.versions | {"python": "3.9", "llvmlite": "0.1.0"}, COUNTS)
    file.write_text(instructions.text(other).replace('reason = ""', 'reason = "old"'), encoding="utf-8")
    monkeypatch.setattr(instructions, "count", lambda names: pytest.fail("nothing is to be counted"))
    assert instructions.main([]) == 0
    assert instructions.main(["--strict"]) == 1
    said = capsys.readouterr().out
    assert (
        "cannot be compared" in said and "python 3." in said and "(kept: 3.9)" in said and "llvmlite" in said
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[counts]", "[counts", "at line 16, column 8"),
        ("il2_treg = 1_000_000", "il2_trek = 1", 'unknown key "il2_trek"'),
        ("il2_treg = 1_000_000\n", "", "il2_treg must be a whole number"),
        ("il2_treg = 1_000_000", "il2_treg = 0.5", "il2_treg must be a whole number"),
        ('reason = "a test"', "", "reason"),
    ],
)
def test_a_malformed_file_is_refused(file, capsys, old, new, said):
    whole = instructions.text(KEPT)
    assert old in whole
    file.write_text(whole.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=r"instructions\.toml"):
        instructions.read(file)
    assert instructions.main([]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [["--update"], ["--update", "--reason", " "], ["il2"], ["il2_treg", "--update"]]
)
def test_a_command_that_makes_no_sense_is_refused(file, given):
    with pytest.raises(SystemExit):
        instructions.main(given)
    assert not file.exists()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the request is machine code of x86-64")
def test_a_request_changes_nothing_where_there_is_no_valgrind():
    ran = []
    workloads.counted(lambda: ran.append(1))
    assert ran == [1]
