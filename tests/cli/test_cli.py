"""The command line does what its help says; every failure is one sentence, an exit code that tells the kind,
and no file."""

import dataclasses
import importlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import pytest
import toy
from small_models import UNBOUNDED

from pkpd.cli import app
from pkpd.core import library

ROOT = Path(__file__).parents[2]
MODEL = "one_compartment_iv"
SCHEDULE = "100 mg iv every 12 h x3"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files(folder="."):
    return sorted(path.name for path in Path(folder).iterdir())


# --- what works -----------------------------------------------------------------------------------


def test_models_lists_every_model_and_fit(pkpd):
    code, out, _ = pkpd("models", "--json")
    listed = json.loads(out)
    assert code == 0
    assert [row["name"] for row in listed["models"]] == library.models()
    assert listed["fits"] == library.fits()
    assert all(row["title"] for row in listed["models"])
    code, out, _ = pkpd("models")
    assert code == 0
    assert all(name in out for name in library.models() + library.fits())


@pytest.mark.parametrize("name", library.models())
def test_show_prints_every_part_of_every_model(pkpd, name):
    code, out, err = pkpd("show", name)
    assert (code, err) == (0, "")
    facts = json.loads(pkpd("show", name, "--json")[1])
    for part in ("parameters", "states", "outputs", "definitions"):
        assert all(row["name"] in out for row in facts[part])
    assert "UNVERIFIED" in out or not any(row["provenance"] == "unverified" for row in facts["parameters"])
    code, latex, _ = pkpd("show", name, "--latex")
    assert code == 0
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    assert latex.count("&=") >= len(facts["states"]) + len(facts["definitions"])


def test_show_source_is_python(pkpd):
    code, out, _ = pkpd("show", MODEL, "--source")
    assert code == 0
    compile(out, "kernel", "exec")


def test_simulate_prints_a_table_or_json(pkpd):
    code, out, _ = pkpd("simulate", MODEL, SCHEDULE)
    assert code == 0
    assert "mg/L" in out
    code, out, _ = pkpd("simulate", MODEL, SCHEDULE, "--json", "--times", "0, 30, 60 min")
    facts = json.loads(out)
    assert code == 0
    assert facts["times"] == {"first": 0.0, "last": 1.0, "count": 3}
    assert set(facts["outputs"]["C"]) == {"unit", "maximum", "time_of_maximum", "last"}
    assert facts["failed_subjects"] == 0
    assert files() == []


def test_quiet_prints_nothing(pkpd):
    assert pkpd("simulate", MODEL, SCHEDULE, "--quiet", "-o", "out.csv") == (0, "", "")
    assert files() == ["out.csv"]


def test_stats_say_which_method_was_used(pkpd):
    _, _, err = pkpd("simulate", MODEL, SCHEDULE, "--stats")
    assert all(
        word in err for word in ("method: ", "switches: ", "largest error of a step, in tolerances: 0.")
    )


def read(path):
    match Path(path).suffix:
        case ".csv":
            return pd.read_csv(path)
        case ".parquet":
            return pd.read_parquet(path)
    return pd.DataFrame(json.loads(Path(path).read_text())["table"])


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.json", "OUT.CSV"])
def test_a_profile_is_written_whole_in_each_format(pkpd, name):
    name = name.lower() if name != "OUT.CSV" else name
    code, _, err = pkpd(
        "simulate", MODEL, SCHEDULE, "--until", "24", "--every", "6 h", "--subjects", 3, "-o", name
    )
    assert code == 0
    assert name in err
    assert files() == [name]
    table = pd.read_csv(name) if name == "OUT.CSV" else read(name)
    assert sorted(table["time"].unique()) == [0, 6, 12, 18, 24]
    assert table["subject"].nunique() == 3
    assert (table["C"] >= 0).all()


def test_the_same_seed_gives_the_same_numbers_on_any_number_of_cores(pkpd):
    for name, seed, jobs in (("a.csv", 7, 1), ("b.csv", 7, 2), ("c.csv", 8, 1)):
        pkpd(
            "simulate",
            MODEL,
            SCHEDULE,
            "--subjects",
            20,
            "--seed",
            seed,
            "--jobs",
            jobs,
            "-o",
            name,
            "--quiet",
        )
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes() != Path("c.csv").read_bytes()


def test_set_converts_units(pkpd):
    for value in ("CL=4.8", "CL = 4.8 L/h", "CL = 80 mL/min"):
        pkpd(
            "simulate",
            MODEL,
            SCHEDULE,
            "--set",
            value,
            "--times",
            "24",
            "-o",
            f"{len(files())}.csv",
            "--quiet",
        )
    values = [pd.read_csv(name)["C"].tolist() for name in files()]
    assert values[0] == values[1] == pytest.approx(values[2])


@pytest.mark.parametrize("name", ["plot.png", "plot.svg", "plot.pdf"])
def test_a_plot_is_drawn(pkpd, name):
    code, _, _ = pkpd("simulate", MODEL, SCHEDULE, "--subjects", 5, "--plot", name)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[name[-3:]]
    assert code == 0
    assert Path(name).read_bytes().startswith(start)
    assert files() == [name]


def test_outputs_chooses_what_is_printed(pkpd):
    code, out, _ = pkpd(
        "simulate", "il2_treg", "none", "--until", "24", "--outputs", "nk, il2", "-o", "all.csv"
    )
    assert code == 0
    assert "nk" in out
    assert "treg_pct" not in out
    assert "treg_pct" in pd.read_csv("all.csv")


@pytest.mark.parametrize(("until", "step"), [("8", 0.01), ("88 d", 3), ("1 d", 0.05), ("10000 d", 168 * 4)])
def test_the_default_times_fall_alike_on_every_day(pkpd, until, step):
    pkpd("simulate", MODEL, SCHEDULE, "--until", until, "-o", "out.csv", "--quiet")
    times = pd.read_csv("out.csv")["time"].to_numpy()
    assert times[1] == pytest.approx(step)
    assert times[-1] == pytest.approx(float(until.split()[0]) * (24 if "d" in until else 1))


def test_a_model_of_ones_own(pkpd):
    text, _ = library.read_model_text(MODEL)
    Path("my.model").write_text(text)
    assert pkpd("show", "./my.model")[0] == 0
    assert pkpd("simulate", "my.model", SCHEDULE, "--quiet")[0] == 0


CAUTIONS = ["One trial [of 9 patients].", "Post hoc: the subgroup was found together with its effect."]


@pytest.fixture
def warned():
    Path("warned.model").write_text("\n".join([f"extends {MODEL}", *(f"caution {one}" for one in CAUTIONS)]))
    Path("trial.csv").write_text("ID,TIME,AMT\n1,0,100\n1,2,.\n")
    return "./warned.model"


@pytest.mark.parametrize("given", [SCHEDULE, "trial.csv"])
def test_what_a_model_warns_of_stands_below_its_table_and_in_its_json(pkpd, warned, given):
    ending = "A model, not medical advice.\n"
    code, out, _ = pkpd("simulate", warned, given)
    assert code == 0 and out.endswith("\n".join(["", *CAUTIONS, ending]))
    assert json.loads(pkpd("simulate", warned, given, "--json")[1])["cautions"] == CAUTIONS
    assert pkpd("simulate", warned, given, "--quiet", "-o", "out.json") == (0, "", "")
    assert json.loads(Path("out.json").read_text())["cautions"] == CAUTIONS
    code, out, _ = pkpd("simulate", MODEL, given)
    assert code == 0 and out.endswith(ending) and CAUTIONS[0] not in out
    assert json.loads(pkpd("simulate", MODEL, given, "--json")[1])["cautions"] == []


def test_what_a_model_warns_of_is_shown_with_the_model_and_drawn(pkpd, warned):
    code, out, _ = pkpd("show", warned)
    assert code == 0 and "\n".join([*CAUTIONS, "A model, not medical advice."]) in out
    assert json.loads(pkpd("show", warned, "--json")[1])["cautions"] == CAUTIONS
    assert "caution" not in pkpd("show", MODEL)[1]
    assert pkpd("simulate", warned, SCHEDULE, "--quiet", "--plot", "plot.svg") == (0, "", "")
    assert "One trial [of 9 patients]. Post hoc:" in Path("plot.svg").read_text()


def test_a_model_without_a_state_is_shown_simulated_and_drawn(pkpd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["model linear", "time d", "parameter a = 2 [1/mg]", "covariate D = 3 [mg]", "output E = a*D [1]"]
    Path("my.model").write_text("\n".join(lines), encoding="utf-8")
    code, out, _ = pkpd("show", "./my.model")
    assert code == 0 and "E = a*D" in out and "state" not in out
    assert pkpd("show", "./my.model", "--latex")[0] == 0
    code, out, _ = pkpd(
        "simulate", "./my.model", "none", "--until", "2", "--set", "D = 4 mg", "--plot", "a.png"
    )
    assert code == 0 and ["E", "1", "8", "0", "8"] in [line.split() for line in out.splitlines()]
    # unit, largest, when, at the end
    assert Path("a.png").stat().st_size > 1000
    code, _, err = pkpd("simulate", "./my.model", "1 mg oral once")
    assert code != 0 and "it has no route, and so takes no doses" in err


def test_without_arguments_it_shows_three_questions_and_no_list(pkpd):
    code, out, err = pkpd()
    assert (code, err) == (0, "")
    questions = [line for line in out.splitlines() if line.endswith("?")]
    commands = [line.strip() for line in out.splitlines() if line.startswith("  pkpd ")]
    assert len(questions) == len(commands) == 3
    assert "not medical advice" in out
    assert len(out.splitlines()) <= 24
    assert "--version" not in out
    listed = pkpd("--help")[1]
    assert "--version" in listed
    assert all(f" {line.split()[1]} " in listed for line in commands)


def test_what_the_first_screen_says_to_type_is_understood(pkpd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line)[1:] for line in pkpd()[1].splitlines() if line.startswith("  pkpd ")]
    few = "--dose 0.5,1MIU --days 1 --interval 14d --for 28d --subjects 125".split()
    small = {"compare": ["--subjects", "100"], "optimise": few, "simulate": []}
    for name, *rest in commands:
        code, _, err = pkpd(name, *rest, *small[name])
        assert code == 0, err
    assert (tmp_path / "course.png").stat().st_size > 0


@pytest.mark.parametrize("command", [[], ["show"], ["simulate"], ["fit"], ["report"], ["models"]])
def test_help_teaches_by_example(pkpd, command):
    code, out, _ = pkpd(*command, "--help")
    assert code == 0
    assert f"pkpd {command[0] if command else 'fit'} " in out.replace("pkpd models\n", "pkpd models ")


def test_bench_hands_over_to_the_benchmarks_of_the_checkout_and_says_so_where_there_is_none(
    pkpd, monkeypatch
):
    code, out, _ = pkpd("bench", "--help")
    assert code == 0
    assert "--compare OLD.json" in out
    assert "PROBLEM.py" in out
    monkeypatch.setattr("pkpd.cli.bench.__file__", str(Path("site-packages/pkpd/cli/bench.py").absolute()))
    code, out, err = pkpd("bench", "--quick")
    assert (code, out) == (3, "")
    assert "in a checkout of the repository" in err
    code, out, _ = pkpd("bench", "--help")
    assert code == 0
    assert "rhs(t, y, p, dy), y0, times" in out


def test_bench_says_what_is_wrong_with_a_problem(pkpd, tmp_path):
    code, _, err = pkpd("bench", tmp_path / "nothing.py")
    assert code == 3
    assert "there is no file" in err
    (tmp_path / "half.py").write_text("y0 = [1.0]\n", encoding="utf-8")
    code, _, err = pkpd("bench", tmp_path / "half.py", "--quick")
    assert code == 3
    assert "does not define rhs and times" in " ".join(err.split())


def test_every_command_is_a_function_of_its_name_in_a_file_of_its_name():
    for command in app.registered_commands:
        assert command.callback.__module__ == f"pkpd.cli.{command.callback.__name__}"


def test_version(pkpd):
    from pkpd import __version__

    assert pkpd("--version")[1].strip() == f"pkpd {__version__}"


# --- what does not --------------------------------------------------------------------------------

WRONG = {
    "unknown model": (["simulate", "one_compartment_if", SCHEDULE], 'did you mean "one_compartment_iv"'),
    "unknown model to show": (["show", "nothing_like_it"], "known are"),
    "a folder as model": (["show", "./"], "not a file"),
    "schedule": (["simulate", MODEL, "100 mg iv evry 12 h x3"], "evry"),
    "empty schedule": (["simulate", MODEL, ""], "none"),
    "zero dose": (["simulate", MODEL, "0 mg iv once"], "above zero"),
    "negative dose": (["simulate", MODEL, "-1 mg iv once"], "schedule:1:1: a dose cannot be negative"),
    "route": (
        ["simulate", MODEL, "100 mg iv once and 100 mg sc once"],
        ':1:20: this model has no route "sc"',
    ),
    "dose unit": (["simulate", MODEL, "1 MIU iv once"], "MIU"),
    "unknown ending": (["simulate", MODEL, SCHEDULE, "-o", "out.xlsx"], ".parquet"),
    "no ending": (["simulate", MODEL, SCHEDULE, "-o", "out"], ".parquet"),
    "no folder": (["simulate", MODEL, SCHEDULE, "-o", "no/out.csv"], "no such folder"),
    "plot ending": (["simulate", MODEL, SCHEDULE, "--plot", "out.bmp"], ".png"),
    "unknown parameter": (["simulate", MODEL, SCHEDULE, "--set", "Cl=5"], "CL"),
    "no value": (["simulate", MODEL, SCHEDULE, "--set", "CL"], "NAME=VALUE"),
    "no number": (["simulate", MODEL, SCHEDULE, "--set", "CL=fast"], "number"),
    "nan": (["simulate", MODEL, SCHEDULE, "--set", "CL=nan"], '--set "CL=nan"'),
    "more subjects than memory": (["simulate", MODEL, SCHEDULE, "--subjects", "100000000000"], "take fewer"),
    "a folder without a report": (["report", "."], "no result.json"),
    "wrong unit": (["simulate", MODEL, SCHEDULE, "--set", "CL=5 mg"], "L/h"),
    "times and until": (["simulate", MODEL, SCHEDULE, "--times", "0,1", "--until", "4"], "either"),
    "times backwards": (["simulate", MODEL, SCHEDULE, "--times", "2,1"], "increasing"),
    "no times": (["simulate", MODEL, SCHEDULE, "--times", ","], "increasing"),
    "until a word": (["simulate", MODEL, SCHEDULE, "--until", "later"], "--until"),
    "until a dose": (["simulate", MODEL, SCHEDULE, "--until", "5 mg"], "--until"),
    "until negative": (["simulate", MODEL, SCHEDULE, "--until", "-1"], "negative"),
    "every zero": (["simulate", MODEL, SCHEDULE, "--every", "0"], "longer than zero"),
    "every tiny": (["simulate", MODEL, SCHEDULE, "--every", "1e-12"], "longer step"),
    "method": (["simulate", MODEL, SCHEDULE, "--method", "euler"], "euler"),
    "unknown output": (["simulate", MODEL, SCHEDULE, "--outputs", "D"], "C"),
    "two ways to show": (["show", MODEL, "--latex", "--json"], "one of"),
    "unknown fit": (["fit", "low_dose_il3"], "low_dose_il2"),
    "no result": (["report", "nothing.json"], "nothing.json"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_sentence_and_code_3_and_no_file(pkpd, case):
    arguments, said = WRONG[case]
    code, out, err = pkpd(
        *arguments, *(["-o", "out.csv"] if arguments[0] == "simulate" and "-o" not in arguments else [])
    )
    assert (code, out) == (3, "")
    assert err.startswith("error: ")
    assert said in err
    assert "Traceback" not in err
    assert files() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", MODEL],
        ["simulate", MODEL, SCHEDULE, "--subjects", "0"],
        ["simulate", MODEL, SCHEDULE, "--seed", "-1"],
        ["fly"],
    ],
)
def test_wrong_usage_is_code_2(pkpd, arguments):
    code, _, err = pkpd(*arguments)
    assert code == 2
    assert "Traceback" not in err


def test_a_failed_integration_is_code_4_and_no_file(pkpd):
    Path("burst.model").write_text(
        "model  explodes\nsource  a test\ntime  h\nparameter k = 1 [1/(mg*h)]  growth  # test\n"
        "state x [mg]  amount\nroute iv -> x\nd x = k*x^2\noutput X = x [mg]  amount\n"
    )
    code, out, err = pkpd("simulate", "./burst.model", "1 mg iv once", "--until", "2", "-o", "out.csv")
    assert (code, out) == (4, "")
    assert err.splitlines()[-1].startswith("error: ")  # a slow machine first says what it does
    assert "Traceback" not in err
    assert files() == ["burst.model"]


@pytest.mark.parametrize(
    ("error", "code"),
    [("SolverError", 4), ("ConvergenceError", 5), ("MissingExtraError", 6), ("PkpdError", 1)],
)
def test_each_kind_of_error_has_its_code(pkpd, monkeypatch, error, code):
    from pkpd.core import errors

    def fail():
        raise getattr(errors, error)("what went wrong")

    monkeypatch.setattr(library, "models", fail)
    assert pkpd("models") == (code, "", "error: what went wrong\n")


def test_too_little_memory_is_a_sentence(pkpd, monkeypatch):
    monkeypatch.setattr(
        library, "models", lambda: (_ for _ in ()).throw(MemoryError("unable to allocate 9 GiB"))
    )
    code, out, err = pkpd("models")
    assert (code, out) == (3, "")
    assert "too little memory" in err and "9 GiB" in err


def test_a_failed_write_keeps_the_old_file(pkpd, monkeypatch):
    Path("out.csv").write_text("old")
    monkeypatch.setattr(
        pd.DataFrame, "to_csv", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "disk full"))
    )
    code, _, err = pkpd("simulate", MODEL, SCHEDULE, "-o", "out.csv")
    assert code == 3
    assert "disk full" in err
    assert files() == ["out.csv"]
    assert Path("out.csv").read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")
def test_interrupt_is_code_130_without_traceback():
    code = (
        "import signal, time, pkpd.core.library; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "pkpd.core.library.models = lambda: time.sleep(30); from pkpd.cli import main; print('on', "
        "flush=True); main(['models'])"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout.readline() == "on\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


# --- fit and report -------------------------------------------------------------------------------


@pytest.mark.long
def test_what_a_fit_wrote_is_compared_with_and_searched_in(pkpd, tmp_path):
    toy.write(tmp_path / "toy")
    assert pkpd("fit", "./toy", "--quick", "-q")[0] == 0
    (tmp_path / "toy").rename(tmp_path / "elsewhere")  # the folder holds all that it takes
    few = ("--fit", "results/toy", "--subjects", "60", "--draws", "10")
    code, out, err = pkpd("compare", "100 mg oral daily x3", "200 mg oral daily x3", *few)
    assert code == 0 and "Cmax (mg/L)" in out, err
    assert "at a bound, 0 or 1" not in out  # what all have alike was put there
    assert pkpd("report", "results/toy", "-o", "again", "-q")[0] == 0
    assert Path("again/toy/fit.toml").read_bytes() == Path("elsewhere/fit.toml").read_bytes()
    asked = (
        "--dose",
        "50, 100 mg",
        "--route",
        "oral",
        "--days",
        "1",
        "--interval",
        "7 d",
        "--cycles",
        "1, 2",
    )
    code, out, err = pkpd("optimise", *asked, "--fit", "./again", *few[2:])
    assert code == 0, err
    assert out.startswith("objectives   max AUC; min dose per 28 days\n")
    Path("again/toy/fit.toml").unlink()
    code, _, err = pkpd("compare", "100 mg oral once", "--fit", "./again")
    assert code == 3 and 'the result of the fit "toy" without the files' in err


def test_a_report_of_a_fit_of_the_library_is_enough(pkpd, tmp_path):
    Path("written").mkdir()
    Path("written/result.json").write_bytes((library.root() / "fits/low_dose_il2/result.json").read_bytes())
    code, out, _ = pkpd("compare", "1 MIU sc once", "--fit", "./written", "--subjects", "8")
    assert code == 0 and "Treg mean fold" in out


@pytest.mark.parametrize("columns", ["ID,TIME,AMT,DV,EVID", "id;time;dv", "C,ID,TIME,AMT"])
def test_records_of_single_subjects_are_no_fit_and_one_sentence(pkpd, tmp_path, columns):
    Path("nm.csv").write_text(f"{columns}\n1,0,100,.,1\n")
    toy.write(tmp_path / "toy")
    for asked in ("nm.csv", "./nm.csv", "./toy"):
        if asked == "./toy":
            if ";" in columns:
                continue  # a table of published numbers has commas
            Path("toy/data.csv").write_text(Path("nm.csv").read_text())
        code, _, err = pkpd("fit", asked)
        assert code == 3 and len(err.splitlines()) == 1
        assert "single subjects (as for NONMEM), which pkpd simulates" in err
    Path("notes.csv").write_text("a,b\n")
    assert "is a file; a fit is a folder" in pkpd("fit", "notes.csv")[2]


def test_a_value_is_set_once_and_below_zero_with_a_warning(pkpd):
    Path("my.model").write_text(UNBOUNDED)
    run = ("simulate", "./my.model", "100 mg iv once", "--times", "0, 1", "--json")
    code, out, err = pkpd(*run, "--set", "CL=3", "--set", "CL = 4 L/h")
    assert (code, out) == (3, "")
    assert 'error: --set "CL = 4 L/h": CL is set twice; leave one of them out\n' in err
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, err = pkpd(*run, "--set", "CL=-3")
        assert code == 0 and "\nwarning: CL = -3 L/h is below zero, where the model has 3" in f"\n{err}"
        assert pkpd(*run, "-q", "--set", "CL=-3")[2] == ""
    assert pkpd(*run, "--set", "shift=-3")[0] == 0  # of which nothing says that it is above zero


def test_fit_writes_a_report_and_says_where(pkpd, tmp_path):
    toy.write(tmp_path / "toy")
    code, out, _ = pkpd("fit", "./toy", "--quick")
    assert code == 0
    assert "converged" in out
    assert out.splitlines()[-1] == "report: results/toy/report.html"
    assert {"report.html", "result.json", "curves.json"} <= set(files("results/toy"))
    page = Path("results/toy/report.html").read_bytes()
    code, out, _ = pkpd("report", "results/toy/result.json", "-o", "again")
    assert (code, out) == (0, "report: again/report.html\n")
    assert Path("again/report.html").read_bytes() == page
    assert files() == ["again", "results", "toy"]


def test_fit_prints_json(pkpd, tmp_path):
    toy.write(tmp_path / "toy")
    code, out, _ = pkpd(
        "fit", "./toy", "--json", "--without-unverified", "-o", "out", "--seed", 3, "--starts", 1
    )
    facts = json.loads(out)
    assert code == 0
    assert facts["converged"] is True
    assert facts["provenance"]["seed"] == 3
    assert "c200" not in [row["id"] for row in facts["rows"]]
    assert facts["report"] == "out/report.html"


def test_a_fit_that_does_not_converge_is_code_5_with_a_report_that_says_so(pkpd, tmp_path, monkeypatch):
    toy.write(tmp_path / "toy")
    module = importlib.import_module("pkpd.inference")
    fit = module.fit
    monkeypatch.setattr(
        module, "fit", lambda *a, **k: dataclasses.replace(fit(*a, **k), converged=False, message="too slow")
    )
    code, _, err = pkpd("fit", "./toy", "--quick")
    assert code == 5
    assert "did not converge (too slow)" in err
    assert "Not converged" in Path("results/toy/report.html").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "data.csv").write_bytes(b"\x00\x01"), "data.csv"),
        (lambda folder: (folder / "data.csv").write_text(""), "empty"),
        (lambda folder: (folder / "data.csv").unlink(), "no such file"),
        (lambda folder: (folder / "fit.toml").write_text("title = "), "fit.toml"),
        (lambda folder: (folder / "data.csv").write_text(toy.DATA.replace("c100,", "c50,", 1)), "c50"),
        (lambda folder: (folder / "data.csv").write_text(toy.DATA.replace("2.2,mg/L", "2.2,mg/h")), "mg/h"),
        (lambda folder: (folder / "data.csv").write_text(toy.DATA[:300]), "data.csv"),
    ],
)
def test_a_broken_fit_folder_is_code_3_and_writes_nothing(pkpd, tmp_path, change, said):
    change(toy.write(tmp_path / "toy"))
    code, out, err = pkpd("fit", "./toy", "--quick")
    assert (code, out) == (3, "")
    assert said in err
    assert "Traceback" not in err
    assert files() == ["toy"]


def test_a_report_folder_with_other_things_is_refused_before_fitting(pkpd, tmp_path):
    toy.write(tmp_path / "toy")
    code, _, err = pkpd("fit", "./toy", "-o", "toy")
    assert code == 3
    assert "other things" in err
    assert sorted(files("toy")) == ["data.csv", "fit.toml"]


def test_long_work_shows_itself_on_standard_error(capfd, monkeypatch):
    from pkpd.cli import terminal

    monkeypatch.setattr(terminal, "PATIENCE_S", 0.05)
    with terminal.Work("thinking") as work:
        time.sleep(0.3)
        work.update("thinking", 0.5, "half")
        work.update("writing", 0.9)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "thinking ...\nwriting ...\n")
    with terminal.Work("thinking", quiet=True):
        time.sleep(0.2)
    assert capfd.readouterr() == ("", "")


def test_every_example_of_a_help_text_is_a_line_of_its_own():
    from pkpd.cli import app

    for command in app.registered_commands:
        _, mark, rest = (command.callback.__doc__ or "").partition("[dim]Examples[/]\n\n")
        assert mark, command.callback.__name__
        for line in rest.partition("\n\n")[0].rstrip().splitlines():
            assert line.startswith("      pkpd ") and line.count("pkpd ") == 1, line


@pytest.mark.parametrize(
    ("line", "wanted", "unwanted"),
    [
        ("pkpd sim", "simulate", "fit"),
        ("pkpd show il2", "il2_treg", "tmdd_full"),
        ("pkpd fit low", "low_dose_il2", "il2_treg"),
        ("pkpd trial im", "imodals", "mirocals"),
    ],
)
def test_a_shell_completes_commands_and_names(line, wanted, unwanted):
    """As bash asks for it."""
    words = line.split()
    asked = {"_PKPD_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "pkpd"], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    found = done.stdout.split()
    assert wanted in found and unwanted not in found, done.stderr
