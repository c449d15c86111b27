"""The Containerfile copies what there is, onto a Python that pkpd supports; its lines work as they
stand there: what is built of what it copies alone serves the page by its command, outside a container too."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8")
STAGES = [
    [tuple(line.split(maxsplit=1)) for line in part.splitlines() if re.match("[A-Z]", line)]
    for part in re.split(r"^(?=FROM )", TEXT, flags=re.MULTILINE)[1:]
]
BUILDING, LAST = STAGES
COMMAND = json.loads(dict(LAST)["CMD"])


def copied(stage):
    """Paths of the project that a stage copies."""
    sources = [rest.split()[:-1] for word, rest in stage if word == "COPY" and "--from" not in rest]
    return [path for some in sources for path in some]


def pip():
    """pip for this Python: its own, or that of the Python that its environment was made with."""
    for python in (sys.executable, sys._base_executable):
        command = [python, "-m", "pip"]
        if subprocess.run([*command, "--version"], capture_output=True).returncode == 0:
            return command if python == sys.executable else [*command, "--python", sys.executable]
    pytest.skip("there is no pip here")


def run(line, **paths):
    """A RUN line as it stands there, with this Python and with other places for its folders."""
    for name, path in paths.items():
        line = re.sub(rf"(?<!\S)/{name}\b", str(path), line)
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "pip"]
    return subprocess.run(
        [*pip(), *words[3:]], cwd=paths["source"], capture_output=True, text=True, timeout=300
    )


def test_what_it_copies_is_there_and_reaches_the_build():
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for path in copied(BUILDING) + copied(LAST):
        assert (ROOT / path).exists()
        assert f"!{path}" in kept
    assert kept[0] == "*" and len(kept) == 2 + len(copied(BUILDING) + copied(LAST))


def test_its_python_is_one_that_pkpd_supports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for stage in STAGES:
        (version,) = re.findall(r"/python:(3\.\d+)-slim\b", dict(stage)["FROM"])
        assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    assert {"python-pptx", "xlsxwriter"} <= {
        re.split("[<>=]", one)[0] for one in project["optional-dependencies"]["share"]
    }


def test_it_runs_as_a_user_of_its_own_whose_cache_is_a_volume():
    order = [word for word, _ in LAST]
    user, volume = dict(LAST)["USER"], dict(LAST)["VOLUME"]
    made = [rest for word, rest in LAST if word == "RUN"][-1]
    assert user != "root" and f"useradd --create-home {user}" in made and f"chown {user}: {volume}" in made
    assert order.index("USER") > max(i for i, word in enumerate(order) if word == "RUN")
    environment = dict(pair.split("=") for pair in dict(LAST)["ENV"].split())
    assert environment["PKPD_CACHE_DIR"] == volume
    assert all(path.startswith(volume) for path in environment.values())


def test_what_it_builds_of_what_it_copies_serves_the_page_by_its_command(tmp_path):
    source, dist, site = tmp_path / "source", tmp_path / "dist", tmp_path / "site"
    source.mkdir()
    for path in copied(BUILDING):
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, source / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / path, source / path)
    (building,) = [rest for word, rest in BUILDING if word == "RUN"]
    done = run(building, source=source, dist=dist)
    if done.returncode and "hatchling" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("there is no package index here, and hatchling builds the wheel")
    assert done.returncode == 0, done.stderr
    (wheel,) = dist.glob("*.whl")
    # its dependencies are here already; that all of them can be installed is seen by .ci/run
    install = ["install", "-q", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run([*pip(), *install], check=True, timeout=300)
    assert COMMAND[COMMAND.index("--port") + 1] == dict(LAST)["EXPOSE"]
    words = ["0" if word == dict(LAST)["EXPOSE"] else word for word in COMMAND]  # another may have that port
    assert words[0] == "pkpd"
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    where = [sys.executable, "-c", "import pkpd; print(pkpd.__file__)"]
    told = subprocess.run(where, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert Path(told.stdout.strip()).is_relative_to(site)
    run_it = [sys.executable, "-m", *words]
    with subprocess.Popen(
        run_it, env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as serving:
        try:
            port = re.search(r":(\d+)/", serving.stdout.readline())[1]
            with urllib.request.urlopen(f"http://localhost:{port}/api/start", timeout=30) as answer:
                facts = json.load(answer)
        finally:
            serving.send_signal(getattr(signal, dict(LAST)["STOPSIGNAL"]))
            ended = serving.wait(30)
    assert facts["fitted"] and facts["start"]["schedules"] and ended == 0


def test_it_installs_with_the_versions_and_the_extra_that_the_check_script_installs_too():
    (install, _) = [rest for word, rest in LAST if word == "RUN"]
    assert install.endswith('-c /dist/constraints.txt "$(echo /dist/*.whl)[share]"')
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert '-c "$work/checkout/constraints.txt" "$(echo "$work"/dist/*.whl)[share]"' in script
