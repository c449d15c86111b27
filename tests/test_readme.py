"""What README.md tells a newcomer to type works as it stands there, and its two set-up lines are the ones the
project is checked with."""

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SET_UP, EXAMPLES = BLOCKS[:2], BLOCKS[2:]
COMMANDS = [line for language, text in EXAMPLES if language == "bash" for line in text.splitlines()]
SNIPPETS = [text for language, text in EXAMPLES if language == "python"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


def test_it_has_two_screens():
    assert len(README.splitlines()) < 115 and len(README) < 9_000


def run(command, folder):
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_it_opens_with_one_sentence_and_two_commands():
    title, sentence, rest = README.split("\n\n", 2)
    assert title.startswith("# ")
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
    assert re.match(r"```bash\n.+\n```\n\n```bash\n.+\n```\n", rest), (
        "nothing else stands before or between the two commands"
    )
    for language, text in SET_UP:
        assert language == "bash"
        assert len(text.splitlines()) == 1


def test_the_set_up_lines_need_only_python_and_pip():
    install = (
        "python3 -m venv --without-pip .venv && python3 -m pip --python .venv install -q -c constraints.txt "
    )
    assert [text.strip() for _, text in SET_UP] == [
        install + ". && .venv/bin/pkpd fit low_dose_il2",
        install + '-e ".[test]" && .venv/bin/python -m pytest -q -n auto',
    ]


def test_the_check_script_takes_the_test_command_from_here():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.search(r"grep -E '([^']+)' README\.md", script).group(1)
    assert [line for line in README.splitlines() if re.search(pattern, line)] == [SET_UP[1][1].strip()]
    assert SET_UP[1][1].strip() not in script


def test_constraints_name_exact_versions_and_no_address():
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9a-z.+!]*", line) for line in lines)
    assert len({line.partition("==")[0] for line in lines}) == len(lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command, folder):
    program, *arguments = shlex.split(command)
    assert program == "pkpd"
    run([sys.executable, "-c", "from pkpd.cli import main; main()", *arguments], folder)
    for option, name in itertools.pairwise(arguments):
        if option in ("-o", "--plot"):
            assert (folder / name).stat().st_size > 0


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippets(snippet, folder):
    run([sys.executable, "-W", "error", "-c", snippet], folder)


def test_every_file_it_points_to_exists():
    named = set(re.findall(r"`((?:docs|models|fits|benchmarks)/[\w./]+|[A-Z]+\.(?:md|cff))`", README))
    named |= set(re.findall(r"\]\(((?!http)[^)]+)\)", README))
    missing = [name for name in sorted(named) if not (ROOT / name).exists()]
    assert not missing
