"""``pkpd compare`` prints what its numbers are, writes files whole or not at all, and says what is wrong in a
sentence."""

import csv
import json
import re
import shlex
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pkpd.cli import terminal
from pkpd.decision.comparison import Scene, compare
from pkpd.present.report.numbers import shares

ONE, TWO = "1 MIU sc daily x5", "2 MIU sc daily x5"
FEW = ("--subjects", 20, "--draws", 4)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(terminal, "PATIENCE_S", 100.0)  # no progress, however slow the machine is


def files(folder="."):
    return sorted(path.name for path in Path(folder).iterdir())


def facts(pkpd, *arguments):
    code, out, err = pkpd("compare", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def row(found, endpoint, arm=0):
    (one,) = (item for item in found["arms"][arm]["rows"] if item["endpoint"] == endpoint)
    return one


# --- the table ------------------------------------------------------------------------------------


def test_the_table_has_the_numbers_the_directions_and_the_warnings(pkpd):
    code, out, err = pkpd("compare", ONE, TWO, "none", *FEW)
    assert (code, err) == (0, "")
    days = "5 doses on days 0-4"
    assert out.startswith(f"A  {ONE}\n   {days}\nB  {TWO}\n   {days}\nC  none (placebo)\n")
    expected = compare(Scene.create(subjects=20, draws=4).arms([ONE, TWO, "none"]))
    heading = "\nTreg mean fold ↑  the same: less than 0.1 apart\n"
    block = out[out.index(heading) :].splitlines()[2:5]
    for mark, line, i in zip("ABC", block, range(3), strict=True):
        found = expected.row("Treg mean fold", i)
        assert line.startswith(f" ◐ {mark}  {found.median:.2f}")
        assert (line.count("/") == 2) == (i > 0)
    other = expected.row("Treg mean fold", 1)
    assert block[1].endswith(f" {shares(other.better, other.same, other.worse)}")
    assert "\nNK mean fold ↓  the same: less than 0.1 apart\n" in out
    assert "\nadverse event (probability) ↓  the same: less than 0.05 apart\n" in out
    for name in {endpoint.name for endpoint in expected.main().endpoints}:
        assert re.search(
            rf"^{re.escape(name)}( \(.*\))?( [↑↓]  the same: less than .* apart)?$", out, re.MULTILINE
        ), name
    assert "Treg time to peak" not in out
    for sentence in (*expected.short_warnings, *expected.reading):
        assert sentence in out
    assert "24 people with type 1 diabetes" in out  # what the adverse events rest on
    assert "a sketch: only p values of CCL2 are published" in out
    assert "Treg trough fold: none in C (no value with fewer than two doses)." in out
    assert out.endswith("A model, not medical advice.\n")


def test_the_table_of_the_help_page_fits_80_columns(pkpd):
    example = [f"{dose} sc daily x5 every 28 d x3" for dose in ("1 MIU", "2 MIU")]
    out = pkpd("compare", *example, "0.26 MIU/m2 sc every 3 d for 84 d", *FEW)[1]
    table = out[out.index("median") : out.index("↑ more is wanted")].splitlines()
    assert len(table) > 50
    assert max(map(len, table)) <= 80
    assert all(line == line.rstrip() for line in table)


def test_a_narrow_terminal_gets_a_narrower_table_and_words_that_are_not_cut(pkpd, monkeypatch):
    arguments = ("compare", ONE, TWO, *FEW, "--endpoints", "AUC, tolerability")
    monkeypatch.setenv("COLUMNS", "72")
    whole = pkpd(*arguments)[1]  # to a file: as it is
    assert "median, by" in whole
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    narrow = re.sub(r"\x1b\[[0-9;]*m", "", pkpd(*arguments)[1])
    assert "median, by" not in narrow
    assert "There is no room here for the median by the parameters alone" in " ".join(narrow.split())
    assert all(len(line) <= 72 for line in narrow.splitlines())
    assert " ".join(whole.split())[-200:] == " ".join(narrow.split())[-200:]


def test_one_schedule_alone_has_no_differences(pkpd):
    code, out, _ = pkpd("compare", ONE, *FEW)
    assert code == 0
    assert re.search(r"^◐ Treg mean fold ↑ +\d\.\d\d \(", out, re.MULTILINE)
    assert "difference" not in out
    assert "better" not in out


def test_labels_are_shown_as_they_are(pkpd):
    Path("plan.txt").write_text(f"[red]x[/red] \\[: {ONE}\n")
    out = pkpd("compare", "plan.txt", *FEW, "--endpoints", "burden")[1]
    assert out.startswith(f"A  [red]x[/red] \\[: {ONE}\n")


def test_quiet_prints_nothing(pkpd):
    assert pkpd("compare", ONE, *FEW, "-q", "-o", "c.csv") == (0, "", "")
    assert files() == ["c.csv"]


# --- options --------------------------------------------------------------------------------------


def test_json_is_json_and_nothing_else(pkpd):
    found = facts(pkpd, ONE, TWO, *FEW)
    assert [arm["label"] for arm in found["arms"]] == [ONE, TWO]
    assert row(found, "Treg mean fold", 1)["difference"] > 0
    assert row(found, "Treg mean fold")["better"] is None
    assert found["provenance"]["seed"] == 1
    assert len(found["arms"][0]["rows"]) > 30


def test_endpoints_are_chosen_by_name_and_group_in_the_table_and_in_files(pkpd):
    found = facts(pkpd, ONE, *FEW, "--endpoints", "Treg mean fold, burden", "-o", "c.csv", "-q")
    names = {"Treg mean fold", "injections per 28 days", "injections", "dose per 28 days", "total dose"}
    assert {item["endpoint"] for item in found["arms"][0]["rows"]} == names
    lines = [line for line in Path("c.csv").read_text().splitlines() if line[0] != "#"]
    assert {line["endpoint"] for line in csv.DictReader(lines)} == names
    every = pkpd("compare", ONE, *FEW, "--endpoints", "all")[1]
    assert "Treg time to peak" in every
    code, _, err = pkpd("compare", ONE, *FEW, "--endpoints", "Treg mean", "-o", "d.csv")
    assert code == 3
    assert 'no endpoint "Treg mean"; did you mean "Treg mean fold"' in err
    assert files() == ["c.csv"]
    assert "names none" in pkpd("compare", ONE, *FEW, "--endpoints", " , ")[2]


def test_subjects_can_be_of_a_study_of_a_class_and_of_a_size(pkpd):
    plain = facts(pkpd, ONE, *FEW, "--vary", "between")
    imodals = facts(pkpd, ONE, *FEW, "--vary", "between", "--study", "IMODALS")
    assert imodals["provenance"]["study"] == "IMODALS"
    assert row(imodals, "Treg peak fold")["median"] != row(plain, "Treg peak fold")["median"]
    low, high = (
        row(facts(pkpd, ONE, *FEW, "--responders", kind), "Treg peak fold")["median"]
        for kind in ("low", "high")
    )
    assert low < high
    small, large = (
        row(facts(pkpd, "1 MIU/m2 sc once", *FEW, "--set", f"BSA = {size} m^2"), "total dose")["median"]
        for size in (1.5, 2)
    )
    assert (small, large) == (1.5, 2.0)
    # another unit and a parameter
    assert (
        row(facts(pkpd, "1 MIU/m2 sc once", *FEW, "--set", "BSA = 15000 cm^2"), "total dose")["median"] == 1.5
    )
    slow = facts(pkpd, ONE, *FEW, "--set", "ka = 0.05")
    assert slow["provenance"]["parameters"] == {"ka": 0.05}
    assert row(slow, "Cmax")["median"] < 0.8 * row(plain, "Cmax")["median"]
    assert (
        row(facts(pkpd, ONE, *FEW, "--vary", "none"), "Cmax")["low"]
        == row(facts(pkpd, ONE, *FEW, "--vary", "none"), "Cmax")["high"]
    )


def test_the_horizon_is_one_for_all_and_can_be_set(pkpd):
    assert facts(pkpd, ONE, "1 MIU sc weekly x3", *FEW)["provenance"]["until_days"] == 49
    assert facts(pkpd, ONE, *FEW, "--until", "2 week")["provenance"]["until_days"] == 14
    assert facts(pkpd, ONE, *FEW, "--until", "336 h")["provenance"]["until_days"] == 14


# --- files ----------------------------------------------------------------------------------------


def test_a_folder_gets_table_numbers_report_deck_and_every_figure(pkpd):
    code, _, err = pkpd("compare", ONE, TWO, *FEW, "-o", "all", "--endpoints", "NK mean fold")
    assert (code, err) == (0, "wrote all\n")
    tables = [f"comparison.{ending}" for ending in ("csv", "json", "md", "pptx", "tex", "xlsx")]
    figures = {f"{name}.{ending}" for name in ("courses", "course_nk") for ending in ("pdf", "png", "svg")}
    found = files("all")
    assert set(found) >= {*tables, *figures, "report.html"}
    assert {Path(name).stem.partition("_")[0] for name in found} == {
        "comparison", "course", "courses", "differences", "report",
    }  # fmt: skip


def test_a_figure_is_the_main_one_or_that_which_the_file_is_called_after(pkpd):
    code, _, err = pkpd("compare", ONE, TWO, *FEW, "-o", "figure.svg")
    assert (code, err.splitlines()[0]) == (0, "wrote figure.svg")
    assert "that is courses; differences.svg and trade_off.svg are written by these names" in err
    assert "time (d)" in Path("figure.svg").read_text(encoding="utf-8")
    _, _, err = pkpd("compare", ONE, TWO, *FEW, "-o", "differences.svg")
    assert err == "wrote differences.svg\n"
    assert "difference to the first schedule" in Path("differences.svg").read_text(encoding="utf-8")


class Pre(HTMLParser):
    """The text of the page's first <pre>."""

    def __init__(self):
        super().__init__()
        self.inside, self.text = False, ""

    def handle_starttag(self, tag, attrs):
        self.inside = self.inside or (tag == "pre" and not self.text)

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "pre"

    def handle_data(self, data):
        self.text += data * self.inside


@pytest.mark.long
def test_the_command_line_in_the_report_does_the_same_again(pkpd):
    Path("plan.txt").write_text(f"it's high: {TWO}\n")
    options = (
        "--seed",
        7,
        "--vary",
        "between,study",
        "--set",
        "BSA = 1.9 m^2",
        "--set",
        "ka=0.2",
        "--responders",
        "high",
    )
    pkpd(
        "compare",
        ONE,
        "plan.txt",
        *FEW,
        *options,
        "--until",
        "40 d",
        "--endpoints",
        "burden,Cmax,Treg mean fold",
        "-o",
        "out",
    )
    first = Path("out/comparison.json").read_bytes()
    page = Pre()
    page.feed(Path("out/report.html").read_text(encoding="utf-8"))
    command = shlex.split(page.text)
    assert command[:2] == ["pkpd", "compare"]
    for name in files("out"):
        Path("out", name).unlink()
    assert pkpd(*command[1:])[0] == 0
    assert Path("out/comparison.json").read_bytes() == first
    assert json.loads(first)["provenance"]["parameters"] == {"ka": 0.2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["0 MIU sc once"], "schedule 2:1:1: a dose must be above zero"),
        (["-1 MIU sc once"], "schedule:1:1: a dose cannot be negative"),
        (["nan MIU sc once"], "schedule 2:1:1: a dose must be a finite number"),
        (["1e9 MIU sc once"], "schedule 2:1:1: a dose of 1000000000 MIU is beyond anything given"),
        (["1 MIU sc every 1 min x1000000"], "schedule 2: 1,000,000 doses"),
        (["1 MIU sc daily for 36500 d"], "schedule 2: 36,500 doses"),
        (["1 MIU po once"], 'schedule 2:1:1: this model has no route "po": its routes are sc, iv, dac'),
        (["gone.csv"], "there is no file gone.csv"),
        (
            ["none", "--until", "3 d"],
            "schedule 1: its last dose, on day 4, is not before the horizon of 3 days",
        ),
        (["none", "--until", "0 d"], "--until '0 d'"),
        (["none", "--until", "1e9 d"], "a hundred years"),
        (["none", "--set", "BSA = -1 m^2"], "BSA"),
        (["none", "--set", "height = 2 m"], 'no parameter "height"'),
        (["none", "--study", "Nobody"], 'no study "Nobody"'),
        (["none", "--vary", "moon"], 'by "moon"'),
        (["none", "--responders", "some"], "some"),
        (["none", "--fit", "nothing"], "nothing"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_no_file(pkpd, arguments, said):
    code, out, err = pkpd("compare", ONE, *arguments, *FEW, "-o", "out")
    assert (code, out) == (3, "")
    assert err.startswith("error: ")
    assert said in err
    assert "Traceback" not in err
    assert files() == []


def test_a_place_that_cannot_be_written_is_said_before_anything_is_computed(pkpd, monkeypatch):
    monkeypatch.setattr(Scene, "create", None)
    for target, said in (("c.txt", ".html, .csv, .json"), ("gone/c.csv", "gone")):
        code, _, err = pkpd("compare", ONE, "-o", target)
        assert code == 3
        assert said in err
    assert files() == []
    Path("results").write_text("old")
    assert 'cannot write "results": it is a file' in pkpd("compare", ONE, "-o", "results")[2]
    assert 'results": it is a file' in pkpd("compare", ONE, "-o", "results/folder")[2]
    assert Path("results").read_text() == "old"


def test_a_file_that_fails_halfway_leaves_the_old_one(pkpd, monkeypatch):
    Path("c.html").write_text("old")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pkpd.present.report.comparison.render", fail)
    code, _, err = pkpd("compare", ONE, *FEW, "-o", "c.html")
    assert code == 3
    assert "No space left" in err
    assert "wrote" not in err
    assert Path("c.html").read_text() == "old"
    assert files() == ["c.html"]


def test_an_unknown_option_is_still_one(pkpd):
    code, _, err = pkpd("compare", ONE, "--subject", 3)
    assert code == 2
    assert "No such option" in err
    assert "a time cannot be negative" in pkpd("compare", ONE, "--until", "-3 d")[2]


def test_work_that_ends_while_its_bar_is_about_to_appear_shows_none(capfd, monkeypatch):
    with terminal.Work("thinking") as work:
        pass
    work._show()  # the timer had gone off, and waited for the lock
    time.sleep(0.05)
    assert capfd.readouterr() == ("", "")
