"""The command line writes to terminals, pipes and disks as they are: any encoding, any width, a reader that
leaves, no room."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCHEDULES = ("1 MIU sc daily x5", "none")
FULL = Path("/dev/full")
PROGRAM = "import sys; from pkpd.cli import main; main(sys.argv[1:])"


MARK = "\n=====\n"
SEVERAL = f"""
import json, sys
from pkpd.cli import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
    for stream in (sys.stdout, sys.stderr):
        stream.write({MARK!r})
        stream.flush()
"""


def run(*arguments, **environment):
    told = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, env=told)
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def run_all(commands, **environment):
    """What each of some commands writes to either stream, one after the other in one process."""
    told = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, json.dumps(commands)], capture_output=True, env=told
    )
    assert done.returncode == 0, done.stderr
    printed, said = (written.split(MARK.encode()) for written in (done.stdout, done.stderr))
    assert printed.pop() == said.pop() == b"" and len(printed) == len(said) == len(commands)
    return list(zip(printed, said, strict=True))


@pytest.fixture(scope="module")
def told():
    """JSON of a comparison, in UTF-8."""
    return json.loads(run("compare", *SCHEDULES, "--subjects", "50", "--json", PYTHONIOENCODING="utf-8")[1])


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_every_command_writes_in_every_encoding(environment, told):
    encoding = environment.get("PYTHONIOENCODING", "ascii")
    compare = ["compare", *SCHEDULES, "--subjects", "50"]
    others = [["models"], ["show", "il2_treg"], ["show", "il2_treg", "--source"], ["--help"]]
    (table, said), (in_json, _), *rest = run_all([compare, [*compare, "--json"], *others], **environment)
    assert b"rror" not in said
    assert "NK mean fold" in table.decode(encoding) and "-" * 40 in table.decode(encoding)
    assert b"?" not in table and b"\\u" not in table
    assert all(printed.decode(encoding) and not said for printed, said in rest)
    # JSON keeps every character, by its own escapes
    assert json.loads(in_json.decode(encoding)) == told


def test_words_of_the_person_are_told_back_in_any_encoding():
    code, _, err = run("simulate", "il2_treg", "1 MIU sc täglich x5", PYTHONIOENCODING="ascii")
    assert code == 3 and "taglich" in err and "Traceback" not in err


def test_no_columns_is_no_width():
    code, out, _ = run("models", COLUMNS="0")
    assert code == 0 and out == run("models", COLUMNS="80")[1]
    assert run("compare", *SCHEDULES, "--subjects", "50", COLUMNS="0")[1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "il2_treg", "--source"), 0),
        (("models",), 0),
        (("show", "il2_treg"), 0),
        (("show", "nothing"), 3),
    ],
)
def test_a_reader_may_leave(arguments, code):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.returncode == code
    assert done.stderr == "" or (code and done.stderr.startswith("error: there is no model"))


@pytest.mark.skipif(not FULL.exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_named():
    with FULL.open("w") as disk:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "models"], stdout=disk, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert done.stderr == "error: No space left on device 'standard output'\n"


def test_a_file_that_finds_no_room_is_named(tmp_path):
    from pkpd.core.files import replacing, replacing_folder

    for kind in (replacing, replacing_folder):
        target = tmp_path / "there.csv"
        with pytest.raises(OSError) as failed, kind(target):
            raise OSError(28, "No space left on device")
        assert failed.value.filename == str(target) and failed.value.errno == 28
        with pytest.raises(FileNotFoundError) as failed, kind(target):
            Path("/nowhere/else").read_text()
        assert failed.value.filename == "/nowhere/else"
    assert list(tmp_path.iterdir()) == []


def test_closed_streams_are_no_error():
    done = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{PROGRAM}" models >&-'], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_cache_that_cannot_be_written_is_one_sentence_or_none(tmp_path):
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    asked = ("simulate", "one_compartment_iv", "100 mg iv once", "--times", "0, 1")
    code, _, err = run(*asked, PKPD_CACHE_DIR=str(nowhere / "cache"))
    (line,) = [line for line in err.splitlines() if "cache" in line and "once: it is cached" not in line]
    assert code == 0 and line.startswith(f"warning: the cache folder {nowhere}") and ".py" not in err
    assert run(*asked, "-q", PKPD_CACHE_DIR=str(nowhere / "cache")) == (0, b"", "")
