"""Jobs give the same whoever does them and in whichever order; what is done is on disk, is gone on from, and
is refused where it belongs to something else; a worker that dies takes nothing with it."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pkpd.core.errors import DataError, InputError
from pkpd.inference.repeats import Kept, repeat
from pkpd.solver.executors import Dask, Processes, Threads

NAMES = [f"job {k}" for k in range(12)]


@dataclass(frozen=True)
class Draws:
    """Random numbers by seed and name. ``killed``: a file that is there once a worker was killed."""

    seed: int
    killed: Path | None = None

    def do(self, name):
        number = int(name.split()[-1])
        if self.killed is not None:
            time.sleep(0.05)
            if number == 5 and not self.killed.exists():
                self.killed.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
        drawn = np.random.default_rng([self.seed, number]).standard_normal(3)
        return {"sum": drawn.sum(), "all": drawn, "none": np.nan}


@dataclass
class Stopped:
    """Ctrl-C in the fourth job; ``done`` counts."""

    done: list

    def do(self, name):
        if len(self.done) == 3:
            raise KeyboardInterrupt
        self.done.append(name)
        return Draws(1).do(name)


HERE = repeat(Draws(1), NAMES, executor=Threads(1))


@pytest.mark.parametrize("executor", [Threads(3), Processes(2)], ids=str)
def test_who_does_the_jobs_and_in_which_order_makes_no_difference(executor):
    found = repeat(Draws(1), NAMES[::-1], executor=executor)
    assert found.results == HERE.results
    assert list(found.results) == NAMES[::-1]
    assert HERE.results["job 3"]["none"] is None
    assert repeat(Draws(2), NAMES, executor=Threads(1)).results["job 3"] != HERE.results["job 3"]


def test_what_is_done_is_on_disk_before_the_rest_and_is_gone_on_from(tmp_path):
    kept = Kept(tmp_path / "jobs", {"fit": "a", "draws": 3}, resume=False)
    stopped = repeat(Stopped([]), NAMES, executor=Threads(1), keep=kept.add)
    assert stopped.interrupted
    assert list(stopped.results) == NAMES[:3]
    again = Kept(tmp_path / "jobs", {"fit": "a", "draws": 3}, resume=True)
    before = again.done(NAMES)
    assert before == stopped.results
    told = []
    rest = repeat(
        Draws(1),
        NAMES,
        executor=Threads(1),
        done=before,
        keep=again.add,
        what="draws",
        progress=lambda *progress: told.append(progress),
    )
    assert rest == HERE
    assert again.done(NAMES) == HERE.results
    assert [share for _, share, _ in told] == pytest.approx([k / 12 for k in range(3, 13)])
    assert told[-1][2] == "12 of 12 jobs, about 0 s left"


def test_jobs_of_something_else_are_not_gone_on_from(tmp_path):
    Kept(tmp_path, {"fit": "a", "log_score": True}, resume=False).add("job 1", 1.0)
    with pytest.raises(DataError, match=r"keeps what was made with another log score: .* --resume"):
        Kept(tmp_path, {"fit": "a", "log_score": False}, resume=True)
    (tmp_path / "my own.json").write_text("{}")
    anew = Kept(tmp_path, {"fit": "b", "log_score": False}, resume=False)
    assert anew.done(NAMES) == {}
    assert (tmp_path / "my own.json").exists()


def test_names_that_a_file_system_holds_for_one_are_two(tmp_path):
    kept = Kept(tmp_path, {}, resume=False)
    names = ["K", "k", "a/b", "..", "V in Trial: 1", "é" * 90]
    for number, name in enumerate(names):
        kept.add(name, number)
    assert kept.done(names) == {name: number for number, name in enumerate(names)}
    assert len({path.name.lower() for path in tmp_path.iterdir()}) == len(names) + 1
    assert json.loads((tmp_path / "about.json").read_text()) == {}


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process; those that die are replaced."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as cluster:
        yield cluster.scheduler_address


def test_a_cluster_gives_the_same_and_a_worker_that_is_killed_takes_nothing_with_it(cluster, tmp_path):
    kept = Kept(tmp_path / "jobs", {}, resume=False)
    found = repeat(Draws(1, tmp_path / "killed"), NAMES, executor=Dask(cluster), keep=kept.add)
    assert int((tmp_path / "killed").read_text()) != os.getpid()  # a worker was killed
    assert found == HERE
    assert kept.done(NAMES) == HERE.results


def test_an_address_where_no_scheduler_answers_is_said(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("pkpd.solver.executors.PATIENCE_S", "0.5s")
    with pytest.raises(InputError, match=r'no Dask scheduler answers at "tcp://127\.0\.0\.1:9"'):
        repeat(Draws(1), NAMES, executor=Dask("tcp://127.0.0.1:9"))
