"""``pkpd dose-for`` answers in words, files and figures, and says what it cannot answer."""

import json
import sys

import pytest

from pkpd.cli import main

SMALL = ["--subjects", "40", "--draws", "10", "--jobs", "2"]
ONE = ["NK under twice baseline in 90 % of people", "--schedule", "? MIU sc daily x5 every 14 d x3", *SMALL]
TWO = ["NK under twice baseline", "--schedule", "? MIU sc daily x5 every ? d x2", "--interval", "14, 28 d"]


def run(capfd, *arguments, code=0):
    with pytest.raises(SystemExit) as end:
        main(["dose-for", *arguments])
    assert (end.value.code or 0) == code
    return capfd.readouterr()


def test_the_answer_is_a_sentence_a_schedule_and_a_table(capfd, tmp_path):
    out = run(capfd, *ONE, "-o", str(tmp_path / "a.svg")).out
    assert "target    NK mean fold < 2 in 90 % of people" in out
    assert "The largest dose is " in out and "90 % interval by the parameters" in out
    assert "Each person's own largest dose: median" in out
    assert "A model, not medical advice." in out
    picture = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "probability of target attainment" in picture and "largest dose: " in picture
    assert 'id="answer"' in picture and 'id="band"' in picture


def test_json_and_a_folder_of_files_have_the_same_answer(capfd, tmp_path):
    folder = tmp_path / "all"
    found = json.loads(run(capfd, *ONE, "--json", "-o", str(folder)).out)
    assert found["low"] <= found["value"] <= found["high"]
    assert found == json.loads((folder / "dose_for.json").read_text(encoding="utf-8"))
    assert sorted(path.suffix for path in folder.iterdir()) == [
        ".csv", ".html", ".json", ".md", ".pdf", ".png", ".pptx", ".svg", ".tex", ".xlsx",
    ]  # fmt: skip


def test_two_unknowns_are_a_table_and_a_picture_of_their_boundary(capfd, tmp_path):
    out = run(capfd, *TWO, *SMALL, "-o", str(tmp_path / "b.svg")).out
    rows = [line.split() for line in out.splitlines() if line.strip()[:2] in ("14", "28")]
    assert [row[0] for row in rows] == ["14", "28"]
    assert "largest dose (MIU)" in (tmp_path / "b.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["NK under 2", "--schedule", "1 MIU sc daily x5"], 'has no "?"'),
        (["NK under 2", "--schedule", "? MIU sc daily x5", "-o", "a.docx"], "its ending must be one of"),
        (["NK under 2 at trough", "--schedule", "? MIU sc daily x5"], 'no endpoint "NK trough fold"'),
        (["longest interval with NK under 2", "--schedule", "? MIU sc daily x5"], "asks for the interval"),
    ],
)
def test_what_cannot_be_asked_is_refused(capfd, arguments, words):
    assert words in run(capfd, *arguments, *SMALL, code=3).err


def test_the_help_loads_no_library_of_numbers(capfd):
    before = set(sys.modules)
    assert "--schedule" in run(capfd, "--help").out
    assert "pkpd.decision.inverse" not in set(sys.modules) - before
