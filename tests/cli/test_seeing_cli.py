"""``pkpd why``, ``pkpd drivers`` and ``pkpd dose-response`` answer in words, files and figures, and say what
they cannot answer."""

import json
import re
import sys

import pytest

from pkpd.cli import main

ENDINGS = {".csv", ".json", ".pdf", ".png", ".svg", ".html", ".md", ".tex"}
WHY = ["why", "low_dose_il2", "1 MIU sc daily x5", "--subjects", "8"]
DRIVERS = ["drivers", "1 MIU sc once", "--endpoint", "AUC", "--by", "people", "--samples", "16"]
RESPONSE = ["dose-response", "? MIU sc daily x5", "--endpoint", "Treg peak fold", "--points", "3"]
RESPONSE += ["--subjects", "12", "--draws", "10", "--over", "AUC"]


def run(capfd, *arguments, code=0):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert (end.value.code or 0) == code
    return capfd.readouterr()


def test_why_has_a_table_of_what_added_to_the_curve(capfd):
    out = run(capfd, *WHY).out
    assert "treg_pct of il2_treg, 1 MIU sc daily x5" in out
    assert "Tregs in tissue + Tregs in blood" in out
    assert "exchange with Tregs" in out
    assert "by divide:" in out
    assert "A model, not medical advice." in out


def test_drivers_has_a_table_of_inputs(capfd):
    out = run(capfd, *DRIVERS).out
    assert "AUC under 1 MIU sc once" in out
    lines = [line.split() for line in out.splitlines() if line.startswith((" CL ", " ka "))]
    assert lines[0][0] == "CL"  # the widest first
    assert "by differences between people" in out
    assert "A model, not medical advice." in out


def test_dose_response_has_a_table_the_published_numbers_and_a_correlation(capfd):
    out = run(capfd, *RESPONSE).out
    assert "Treg peak fold under ? MIU sc daily x5" in out
    assert "published  1: 1." in out
    assert "Hartemann2013" in out
    assert "rank correlation with AUC" in out
    assert "A model, not medical advice." in out


MISSED = "Of 2 held-out numbers 1 did not come as predicted (IMODALS: imodals_washout_2miu)"
TESTED = {
    "why": (WHY, "Tregs of CD4", "◐ +", MISSED),
    "drivers": ([*DRIVERS[:3], "Treg mean fold", *DRIVERS[4:]], "Treg mean fold", "◐ 1.", MISSED),
    "dose-response": (
        [*RESPONSE, "--dose", "1, 2 MIU"],
        "Treg peak fold at 1 MIU and at 2 MIU",
        "◐ 1.",
        MISSED,
    ),
}


@pytest.mark.parametrize("command", TESTED)
def test_the_light_is_told_with_its_reasons_and_its_meaning(capfd, command):
    arguments, name, number, reason = TESTED[command]
    out = run(capfd, *arguments).out
    assert number in out
    assert f"◐ {name}: {reason}" in out
    assert "◐ fitted, but beyond what was seen, or what was held out was missed, or nothing was" in out


@pytest.mark.parametrize(
    ("arguments", "stem", "word"),
    [
        (WHY, "why", "division rate"),
        (DRIVERS, "drivers", "share of the variance"),
        (RESPONSE, "dose_response", "median of people"),
    ],
    ids=["why", "drivers", "dose-response"],
)
def test_json_and_a_folder_of_files_have_the_same_answer(capfd, tmp_path, arguments, stem, word):
    found = json.loads(run(capfd, *arguments, "--json", "-o", str(tmp_path / "all")).out)
    assert found == json.loads((tmp_path / "all" / f"{stem}.json").read_text(encoding="utf-8"))
    assert {path.suffix for path in (tmp_path / "all").iterdir()} >= ENDINGS
    picture = (tmp_path / "all" / f"{stem}.svg").read_text(encoding="utf-8")
    words = " ".join(re.sub(r"<[^>]*>", " ", picture).split())  # lines are broken where there is no room
    assert word in words
    assert "not medical advice" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["why", "il2_treg", "1 MIU sc once", "--of", "treg"], "no output or state"),
        (["why", "il2_treg", "1 MIU sc once", "-o", "a.docx"], "its ending must be one of"),
        (["drivers", "1 MIU sc once", "--endpoint", "AUD"], 'did you mean "AUC"'),
        (["drivers", "1 MIU sc once", "--endpoint", "AUC", "--samples", "100"], "power of two"),
        (["dose-response", "1 MIU sc once", "--endpoint", "AUC"], 'has no "?"'),
    ],
)
def test_what_cannot_be_answered_is_refused(capfd, arguments, words):
    assert words in run(capfd, *arguments, code=3).err


def test_without_salib_the_extra_is_named(capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "SALib", None)
    assert "sensitivity" in run(capfd, *DRIVERS, code=6).err
