"""The same work by threads and by other processes gives the same bits; errors and interruptions end it."""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from solving import events, kernel, solve_with
from test_timelines import MODEL, of_kinds

from pkpd.core.errors import InputError
from pkpd.ode.layout import LANES
from pkpd.simulation.profile import population, simulate
from pkpd.solver import Options, Processes, Threads, solve
from pkpd.solver.executors import chunks, spread

BY = [Threads(1), Threads(2), Processes(2)]
RESULTS = ("outputs", "states", "sensitivities", "state_sensitivities", "status", "stopped", "counts")


def everything(solution):
    """All arrays of a solution."""
    found = [getattr(solution, name) for name in RESULTS]
    if solution.crossings is not None:
        found += [solution.crossings.times, solution.crossings.time_above, solution.crossings.sensitivities]
    if solution.readings is not None:
        found += [solution.readings.values, solution.readings.times, solution.readings.sensitivities]
    return [array for array in found if array is not None]


CASES = {
    "lanes": {"readings": [("max", "C"), ("time_above", "C", 0.0, 50.0, 1.0)]},
    "singles": {"lanes": False, "keep_states": True},
    "sensitivities": {
        "directions": ["Vmax", "lag"],
        "roots": [("C", 2.0)],
        "readings": [("area", "E", 0, 9)],
    },
}


@pytest.mark.parametrize("case", CASES)
def test_who_does_the_work_makes_no_difference(case):
    k = kernel(MODEL)
    timelines = of_kinds(k, 40)
    if "directions" in CASES[case]:
        timelines = [timeline for timeline in timelines if not timeline.changes]
    p = population(k, len(timelines), 7)
    p[3, k.PARAMETERS.index("lag")] = -1.0  # one who fails
    solutions = [solve_with(k, p, timelines, threads=by, **CASES[case]) for by in BY]
    assert np.flatnonzero(solutions[0].status).tolist() == [3]
    for other in solutions[1:]:
        for one, two in zip(everything(solutions[0]), everything(other), strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_kernel_travels_as_a_hash():
    k = kernel(MODEL)
    sent = pickle.dumps(k)
    assert pickle.loads(sent) is k
    assert b"exp" not in sent or len(sent) < 20_000


def test_progress_reaches_the_end():
    k = kernel(MODEL)
    seen = []
    doses = events(k, "50 mg oral daily x3")
    solve(
        k,
        np.tile(k.VALUES, (40, 1)),
        doses,
        [9.0],
        options=Options(threads=Processes(2)),
        progress=lambda *at: seen.append(at),
    )
    assert seen[-1] == ("solving", 1.0, "40 of 40 subjects")


def test_an_error_ends_the_work():
    done = []

    def run(first, end):
        if first == 4:
            raise KeyboardInterrupt
        time.sleep(0.002)  # so that the other thread is not done before this one is heard
        done.append(first)

    with pytest.raises(KeyboardInterrupt):
        spread(run, 1000, 2, 2, None)
    assert len(done) < 400


SLEEPERS = """
import os, sys, time
sys.path.insert(0, {folder!r})

class Sleep:
    n_subjects = 2
    def part(self, first, end):
        return self
    def fill(self, first, end):
        os.write(1, f"{{os.getpid()}}\\n".encode())  # in one piece: two processes write to this pipe
        time.sleep(60)

if __name__ == "__main__":
    from pkpd.solver import Processes
    Processes(2)(Sleep(), 1, None)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks /bin/kill who is alive")
def test_the_processes_of_one_that_is_killed_end_too(tmp_path):
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS.format(folder=str(Path(__file__).parents[2])), encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        working = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        until = time.monotonic() + 20
        while any(alive(pid) for pid in working) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(alive(pid) for pid in working)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # what nobody waits for is a zombie, and dead
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize("by", [Threads, Processes])
@pytest.mark.parametrize("n", [0, -1, 1.5, "2"])
def test_a_number_of_workers_that_is_none_is_refused(by, n):
    with pytest.raises(InputError, match="whole number from 1 on"):
        by(n)


def test_chunks_are_everybody_once():
    assert chunks(7, 3) == [(0, 3), (3, 6), (6, 7)]


@pytest.mark.parametrize("size", [1, 3, 8, 64, 128])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_chunks_are_alike_and_none_is_longer_than_was_asked(size, workers):
    for n in [1, 7, 100, 200, 300, 1001]:
        lengths = [end - first for first, end in chunks(n, size, workers)]
        assert sum(lengths) == n and max(lengths) <= size
        assert len(set(lengths[:-1])) <= 1 and lengths[-1] <= lengths[0]


def test_no_worker_waits_for_another_where_chunks_can_be_shared():
    half = -(-100 // LANES) * LANES  # 104 where eight stand side by side; not 128 and 72
    assert chunks(200, 128, 2) == [(0, half), (half, 200)]
    assert len(chunks(300, 128, 2)) == 4
    assert len(chunks(100, 128, 2)) == 1  # too few to share


def test_a_simulation_takes_executors_too():
    dose, times = "100 mg iv once", [1.0, 2.0]
    here, there = (
        simulate("one_compartment_iv", dose, times, subjects=40, threads=by)
        for by in (Threads(1), Processes(2))
    )
    np.testing.assert_array_equal(here.outputs, there.outputs)
