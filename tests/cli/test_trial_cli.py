"""`pkpd trial` prints what was published beside what is predicted, writes a report, and `pkpd new trial`
writes a design that runs."""

import json
from pathlib import Path

import pytest

from pkpd.core import library
from pkpd.trial import read_design


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def test_without_a_design_those_of_the_library_are_listed(pkpd):
    code, out, _ = pkpd("trial")
    assert code == 0
    assert all(name in out for name in library.trials())
    listed = json.loads(pkpd("trial", "--json")[1])
    assert [one["name"] for one in listed] == library.trials()


def test_a_new_trial_runs_as_it_is_and_says_that_it_is_invented(pkpd):
    code, _, err = pkpd("new", "trial", "my_trial")
    assert code == 0
    assert err.splitlines()[-1].endswith("next: pkpd trial ./my_trial")
    code, out, err = pkpd("trial", "./my_trial", "-n", 20, "--size", "60,200", "-o", "out", "--jobs", 1)
    assert code == 0, err
    assert "Every number here is invented." in out
    assert "A model, not medical advice." in out
    assert "unverified" in out
    assert "(primary)" in out
    assert "half of the deaths" in out
    assert "with one analysis at the end" in out
    figures = ("forest", "survival", "visits", "adverse", "looks", "power")
    assert {path.name for path in Path("out").iterdir()} == {
        "report.html",
        "numbers.csv",
        *(f"trial.{kind}" for kind in ("json", "csv", "xlsx", "md", "tex", "pptx")),
        *(f"{name}.{kind}" for name in figures for kind in ("png", "svg", "pdf")),
    }
    page = Path("out/report.html").read_text(encoding="utf-8")
    for words in (
        "A model, not medical advice.",
        "Every number here is invented.",
        "pkpd trial ./my_trial -n 20 --seed 1 --size 60,200 -o out",
        '<tr class="unverified">',
    ):
        assert words in page
    assert "http" not in page.replace("http://www.w3.org", "")
    told = json.loads(Path("out/trial.json").read_text(encoding="utf-8"))
    assert {row["patients"] for row in told["power"]} == {60, 200}
    code, out, _ = pkpd("trial", "./my_trial", "-n", 20, "--size", "60,200", "--json")
    assert json.loads(out)["rows"] == told["rows"]


def test_a_file_is_what_its_ending_says(pkpd):
    pkpd("new", "trial", "my_trial")
    code, _, err = pkpd("trial", "./my_trial", "-n", 3, "-o", "survival.svg", "--jobs", 1)
    assert code == 0
    assert "wrote survival.svg" in err
    assert "Kaplan-Meier" in Path("survival.svg").read_text(encoding="utf-8")
    code, _, err = pkpd("trial", "./my_trial", "-n", 3, "-o", "trial.docx")
    assert code == 3 and "its ending must be one of" in err
    assert {path.name for path in Path().iterdir()} == {"my_trial", "survival.svg"}


def test_every_key_that_the_template_shows_as_a_comment_can_be_used(pkpd):
    pkpd("new", "trial", "my_trial")
    file = Path("my_trial/trial.toml")
    lines = file.read_text(encoding="utf-8").splitlines()
    settings = ("[parameters]", "b_drug", "[randomisation]", "by =", "cuts =", "block =")
    lines = [
        line.removeprefix("# ") if line.startswith(tuple(f"# {one}" for one in settings)) else line
        for line in lines
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    design = read_design("./my_trial")
    assert design.parameters == {"b_drug": 0}
    assert (design.randomised_by, design.cuts, design.block) == ("marker", (100.0,), 4)
    assert pkpd("trial", "./my_trial", "-n", 2, "--quiet")[0] == 0


def test_what_is_wrong_is_told_before_anything_is_simulated(pkpd):
    code, _, err = pkpd("trial", "imodls")
    assert code == 3
    assert 'did you mean "imodals"' in err
    code, _, err = pkpd("trial", "imodals", "--size", "many")
    assert code == 3
    assert "--size 100,220,400" in err
    code, _, err = pkpd("trial", "imodals", "--size", "2")
    assert code == 3
    assert "none in one of its 3 arms" in err
    pkpd("new", "trial", "my_trial")
    assert pkpd("new", "trial", "my_trial")[0] == 3
    code, _, err = pkpd("new", "trial", "other", "--model", "il2_treg")
    assert code == 3
    assert "--model and --schedule belong to a fit" in err


def test_after_an_interruption_the_trials_that_are_done_are_shown(pkpd, monkeypatch):
    from pkpd.trial.run import TrialRun

    outcome = TrialRun.outcome

    def stopped(self, trial):
        if trial == 3:
            raise KeyboardInterrupt
        return outcome(self, trial)

    monkeypatch.setattr(TrialRun, "outcome", stopped)
    code, out, err = pkpd("trial", "imodals", "-n", 10, "--jobs", 1, "-o", "out")
    assert code == 130
    assert "3 simulated trials" in out
    assert "interrupted after 3 of 10 trials" in err
    assert "It was interrupted" in Path("out/report.html").read_text(encoding="utf-8")
