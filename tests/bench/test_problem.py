"""A user's problem is a Python file; it is solved by everyone at equal error, from its own start to its own
times, and what is wrong with it is said in a sentence."""

import json
import math

import numpy as np
import pytest

from pkpd.bench.peers import Task, solvers
from pkpd.bench.precision import compare, cross_check, own, reference, relative, report_lines
from pkpd.bench.problem import read_problem
from pkpd.core.errors import InputError

FORCED = """
import math
import numpy as np
from numba import njit

title = "pulled to a cosine"
y0 = [math.cos(1.0), 2.0]
times = np.linspace(1.0, 4.0, 7)
parameters = [{rate}, 0.5]

@njit
def rhs(t, y, p, dy):
    dy[0] = -p[0] * (y[0] - math.cos(t)) - math.sin(t)
    dy[1] = -p[1] * y[1]
"""
JACOBIAN = """
@njit
def jacobian(t, y, p, J):
    J[0, 0], J[1, 1] = -p[0], -p[1]
"""


def _problem(folder, text):
    file = folder / "mine.py"
    file.write_text(text, encoding="utf-8")
    return read_problem(file)


def _exact(problem):
    return np.column_stack([np.cos(problem.times), 2.0 * np.exp(-0.5 * (problem.times - 1.0))])


@pytest.mark.parametrize("jacobian", ["", JACOBIAN], ids=["differences", "jacobian"])
@pytest.mark.parametrize("rate", [2.0, 1e5])
def test_we_and_every_peer_solve_what_the_file_says(tmp_path, rate, jacobian):
    problem = _problem(tmp_path, FORCED.format(rate=rate) + jacobian)
    assert problem.stiff == (rate > 1e3)
    makers = solvers(Task(problem))
    assert any(name.startswith("SciPy") for name in makers)
    assert ("SciPy DOP853" in makers) != problem.stiff
    exact = _exact(problem)
    for run in [own(problem, "auto"), *(make() for make in makers.values())]:
        np.testing.assert_allclose(run(1e-8, np.full(2, 1e-10)), exact, rtol=1e-4)


def test_the_reference_is_exact_and_checked_by_another_solver(tmp_path):
    problem = _problem(tmp_path, FORCED.format(rate=2.0))
    found = reference(problem)
    np.testing.assert_allclose(found.states, _exact(problem), rtol=1e-10)
    assert cross_check(problem, found) < 1e-10


@pytest.mark.parametrize("rows", [7, 1])
def test_a_reference_of_the_file_is_what_errors_are_measured_by(tmp_path, rows):
    """At all times or at the last one: here one that is wrong by a thousandth."""
    text = (
        FORCED.format(rate=2.0)
        + f"""
exact = np.column_stack([np.cos(times), 2.0 * np.exp(-0.5 * (times - 1.0))])
reference = (1.001 * exact[-{rows}:]).squeeze()
"""
    )
    problem = _problem(tmp_path, text)
    found = reference(problem)
    last = np.abs(_exact(problem)[-rows:])
    error = relative(own(problem, "auto")(1e-9, np.full(2, np.nan)), found)
    assert error == pytest.approx(1e-3 * np.max(last / found.size), rel=1e-3)


def test_a_function_that_is_not_compiled_is_compiled_for_the_measurement(tmp_path):
    problem = _problem(tmp_path, FORCED.format(rate=2.0).replace("@njit", ""))
    assert problem.kernel.has_lanes


def test_everyone_is_timed_up_to_the_first_result_and_at_equal_error(tmp_path):
    found = compare(_problem(tmp_path, FORCED.format(rate=2.0)), quick=True)
    json.dumps(found)
    ours = {name for name in found["curves"] if name.startswith("pkpd")}
    assert {f"pkpd {method}" for method in ("auto", "tsit5", "vern7", "rodas4", "rodas5p")} == ours
    assert found["curves"]["pkpd auto"]["first_s"] > 0.05  # it compiled the functions
    best = [row for row in found["ratios"] if row["solver"] == row["best"]]
    assert best
    assert all(row["to_best"]["median"] == 1.0 for row in best)
    lines = report_lines(found)
    assert len(lines) == 2 + len(found["curves"])
    assert math.isfinite(found["cross_check"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("y0 = [1.0]", "does not define rhs and times"),
        ("1/0", "does not run: ZeroDivisionError"),
        (FORCED.format(rate=1.0) + "times = [1.0]", "times must be ascending"),
        (FORCED.format(rate=1.0) + "y0 = 'one'", "y0 must be finite numbers"),
        (FORCED.format(rate=1.0) + "y0 = [1.0]", "beyond its arrays"),
        (FORCED.format(rate=1.0) + "reference = [1.0]", r"reference must have shape \(7, 2\)"),
        (FORCED.format(rate=1.0) + "rhs = 3.5", "not float"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence):
        _problem(tmp_path, text)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_problem(tmp_path / "nothing.py")
