"""Where the numbers ``growth`` of tests/problems.py come from: run this file to see them again (some
minutes).

For starting points s all over the horizon the variational equation ``Y' = J(y) Y, Y(s) = 1`` is integrated by
SciPy's Radau; the growth is the largest ``sum_j |Y_ij(t)| tol_j(s) / tol_i(t)`` at the problem's output times
t, with the tolerances of the solver: ``|y| + 1e-4 (largest |y| so far)``. The right-hand sides are those of
the model texts, run as Python. Not for robertson_long, which takes Radau too long; it forgets its errors like
robertson.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout, of benchmarks/
sys.path.insert(0, str(Path(__file__).parents[1]))
import small_models
from problems import PROBLEMS


def growth(problem, folder):
    """The largest amplification of an error over the problem's horizon."""
    module = small_models.as_python(small_models.generated(problem.model()), folder)
    n, p = len(module.STATES), small_models.prepared(module, module.VALUES)
    rows, columns = module.J_ROWS, module.J_COLS

    def rhs(_, y):
        out = [0.0] * n
        module.rhs(list(y), p, out)
        return np.array(out)

    def jacobian(_, y):
        values = [0.0] * len(rows)
        module.jacobian(list(y), p, values)
        J = np.zeros((n, n))
        J[rows, columns] = values
        return J

    def both(t, z):
        return np.concatenate([rhs(t, z[:n]), (jacobian(t, z[:n]) @ z[n:].reshape(n, n)).ravel()])

    def both_jacobian(t, z):
        J = jacobian(t, z[:n])
        out = np.zeros((n + n * n, n + n * n))
        out[:n, :n] = J
        out[n:, n:] = np.kron(J, np.eye(n))  # the second derivatives only cost Newton iterations
        return out

    y0 = [0.0] * n
    module.initial(p, y0)
    end = problem.times[-1]
    starts = np.unique(
        np.concatenate(
            [[0.0], problem.times[:-1], np.linspace(0, end, 41)[:-1], end * np.logspace(-7, -1, 13)]
        )
    )
    path = solve_ivp(rhs, (0, end), y0, method="Radau", rtol=1e-9, atol=1e-16, jac=jacobian, t_eval=starts)
    largest = np.maximum.accumulate(np.abs(path.y), axis=1)
    worst = np.zeros(n)
    for k, s in enumerate(starts):
        later = problem.times[problem.times > s]
        start = np.concatenate([path.y[:, k], np.eye(n).ravel()])
        run = solve_ivp(
            both, (s, end), start, method="Radau", rtol=1e-5, atol=1e-13, jac=both_jacobian, t_eval=later
        )
        assert run.success, run.message
        scale_s = np.abs(path.y[:, k]) + 1e-4 * largest[:, k]
        for i, t in enumerate(later):
            y, Y = run.y[:n, i], run.y[n:, i].reshape(n, n)
            scale_t = np.abs(y) + 1e-4 * np.maximum(largest[:, starts <= t].max(axis=1), np.abs(y))
            worst = np.maximum(worst, (np.abs(Y) @ scale_s) / scale_t)
    return worst


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or PROBLEMS:
            found = growth(PROBLEMS[name], Path(folder))
            sys.stdout.write(f"{name:20s} {np.array2string(found, precision=2)}\n")
