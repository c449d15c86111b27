"""Coefficients of one-step methods that check and characterise themselves.

Explicit Runge-Kutta, with stages ``k_i = f(y + h sum_j a_ij k_j)`` and ``y1 = y + h sum_i b_i k_i``
(Hairer, Norsett & Wanner, Solving ODEs I, section II.1).

Rosenbrock in the transformed form that needs no product with J (Hairer & Wanner, Solving ODEs II, section
IV.7, equations 7.25-7.26), for an autonomous system:

    W k_i = f(y + sum_j a_ij k_j) + sum_j C_ij/h k_j,    W = I/(h gamma) - J(y),
    y1 = y + sum_i m_i k_i.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONSISTENCY = 1e-12  # coefficients are printed to 16 digits; their sums cancel a few


def _strictly_lower(a: Array, what: str) -> None:
    if np.any(np.triu(a) != 0.0):
        raise ValueError(f"{what} must be strictly lower triangular")


def _series_order(coefficients: Array, tolerance: float) -> int:
    """Largest p such that the Taylor coefficients agree with those of exp up to z**p."""
    factorial = 1.0
    for p, value in enumerate(coefficients):
        factorial *= max(p, 1)
        if abs(value * factorial - 1.0) > tolerance:
            return p - 1
    return len(coefficients) - 1


@dataclass(frozen=True)
class RungeKuttaTableau:
    """An embedded explicit pair with dense output.

    a : (s, s); b, c : (s,); error : (s,), b minus the embedded weights; dense : (s, q), so that the weight of
        stage i
    at theta is ``sum_k dense[i, k] theta**(k+1)``; stages : how many make a step (0: all); those behind them
    serve dense output alone.

    One stage stands at the new value, so that it may be the first of the next step: ``end``, the last of a
    step or the first behind it.
    """

    name: str
    order: int
    a: Array
    b: Array
    c: Array
    error: Array
    dense: Array
    stages: int = 0
    end: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", self.stages or len(self.b))
        _strictly_lower(self.a, "a")
        if not np.allclose(self.a.sum(axis=1), self.c, atol=CONSISTENCY, rtol=0):
            raise ValueError(f"{self.name}: rows of a do not sum to c")
        if abs(self.b.sum() - 1.0) > CONSISTENCY or abs(self.error.sum()) > CONSISTENCY:
            raise ValueError(f"{self.name}: weights do not sum to one, or error weights to zero")
        if not np.allclose(self.dense.sum(axis=1), self.b, atol=CONSISTENCY, rtol=0):
            raise ValueError(f"{self.name}: the dense output does not end in the step")
        if self.linear_order() < self.order:
            raise ValueError(f"{self.name}: linear order {self.linear_order()} is below {self.order}")
        if np.any(self.b[self.stages :]) or np.any(self.error[self.stages :]):
            raise ValueError(f"{self.name}: a step uses stages that are for dense output alone")
        ends = [s for s in range(self.stages - 1, len(self.b)) if np.array_equal(self.a[s], self.b)]
        if not ends or ends[0] > self.stages:
            raise ValueError(f"{self.name}: no stage stands at the new value")
        object.__setattr__(self, "end", ends[0])

    def stability_coefficients(self) -> Array:
        """Coefficients of the stability polynomial R(z) = 1 + sum_k (b a^(k-1) 1) z^k."""
        ones = np.ones(len(self.b))
        values = [1.0]
        power = ones
        for _ in range(len(self.b)):
            values.append(float(self.b @ power))
            power = self.a @ power
        return np.array(values)

    def linear_order(self) -> int:
        """Order on linear problems with constant coefficients."""
        return _series_order(self.stability_coefficients(), 1e-10)

    def stability_limit(self) -> float:
        """Length of the real stability interval: the largest x with |R(-x)| <= 1 all the way."""
        x = np.linspace(0.0, 20.0, 20001)[1:]
        r = np.abs(np.polynomial.polynomial.polyval(-x, self.stability_coefficients()))
        return float(x[np.argmax(r > 1.0 + 1e-9)])


@dataclass(frozen=True)
class RosenbrockTableau:
    """A stiffly accurate Rosenbrock method in transformed form.

    gamma : scalar; a, C : (s, s) strictly lower; the last stage's argument plus the last stage is the new
        value; error : (s,), what a step weighs
    its stages with less what the embedded one does; dense : (q, s), rows of the interpolant
    ``(1-x) y0 + x (y1 + (1-x) (d1 + x (d2 + ...)))`` with ``d_j = sum_i dense[j, i] k_i``.
    """

    name: str
    order: int
    gamma: float
    a: Array
    C: Array
    error: Array
    dense: Array
    c: Array

    def __post_init__(self) -> None:
        _strictly_lower(self.a, "a")
        _strictly_lower(self.C, "C")
        alpha, _ = self.original()
        if not np.allclose(alpha.sum(axis=1), self.c, atol=1e-9, rtol=0):
            raise ValueError(f"{self.name}: rows of alpha do not sum to c")
        if self.linear_order() < self.order:
            raise ValueError(f"{self.name}: linear order {self.linear_order()} is below {self.order}")
        if self.linear_order(self.m - self.error) < self.order - 1:
            raise ValueError(f"{self.name}: the embedded step is not of order {self.order - 1}")
        if abs(self.stability(-1e12)) > 1e-6:
            raise ValueError(f"{self.name}: not stiffly accurate, R(-infinity) = {self.stability(-1e12):.2e}")

    @property
    def m(self) -> Array:
        """Weights of the new value: the last argument plus the last stage."""
        m = self.a[-1].copy()
        m[-1] = 1.0
        return m

    def original(self) -> tuple[Array, Array]:
        """alpha and Gamma of the untransformed method (Solving ODEs II, equation IV.7.4)."""
        Gamma: Array = np.asarray(np.linalg.inv(np.eye(len(self.a)) / self.gamma - self.C), dtype=np.float64)
        return self.a @ Gamma, Gamma

    def weights(self) -> Array:
        """b of the untransformed method."""
        return self.m @ self.original()[1]

    def linear_order(self, m: Array | None = None) -> int:
        """Order on linear problems with constant coefficients, of the step or with other weights of the
        stages."""
        alpha, Gamma = self.original()
        b, beta = (self.m if m is None else m) @ Gamma, alpha + Gamma
        values, power = [1.0], np.ones(len(b))
        for _ in range(len(b)):
            values.append(float(b @ power))
            power = beta @ power
        return _series_order(np.array(values), 1e-7)

    def stability(self, z: float) -> float:
        """R(z) on the test equation y' = z y with h = 1."""
        alpha, Gamma = self.original()
        ones = np.ones(len(self.c))
        return float(
            1.0 + z * self.weights() @ np.linalg.solve(np.eye(len(ones)) - z * (alpha + Gamma), ones)
        )
