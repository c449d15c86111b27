"""The likelihood of one subject's measurements at parameters of the model, with its derivatives: what a
person's posterior is made of, and a fit of measurements of many.

    -2 log L = r' V^-1 r + log |V| + m log 2 pi,   r = y - f,   V = D R D

f are the predicted outputs, D the SDs of the errors there, R their correlations within one output (Noise).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.dosing import EventTable
from pkpd.dosing.events import FIRST
from pkpd.inference.measurements import Measurement
from pkpd.inference.summary.samples import Noise
from pkpd.solver import Options, solve
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import FIT

Array = NDArray[np.float64]


class SubjectPoint(NamedTuple):
    """At n points: minus the log-likelihood, (n,), inf where it cannot be simulated; its gradient by the
    parameters asked for, (n, q); and the expected information, (n, q, q)."""

    value: Array
    gradient: Array
    information: Array


class SubjectLikelihood:
    """Of one subject, who was given ``events`` and measured; ``by`` are the parameters of derivatives."""

    def __init__(
        self,
        kernel: Kernel,
        events: EventTable,
        measurements: Sequence[Measurement],
        noise: Mapping[str, Noise],
        by: Sequence[str] = (),
        threads: int | None = None,
    ) -> None:
        self.kernel, self.events, self.by, self.threads = kernel, events, tuple(by), threads
        self.y = np.array([one.value for one in measurements], dtype=np.float64)
        at = np.array([one.time for one in measurements], dtype=np.float64)
        self.times, self._at = np.unique(at, return_inverse=True)
        self._column = np.array([kernel.OUTPUTS.index(one.output) for one in measurements], dtype=np.int64)
        self._noise = [noise[one.output] for one in measurements]
        correlation = np.eye(self.y.size)
        for name in {one.output for one in measurements}:
            same = np.flatnonzero(self._column == kernel.OUTPUTS.index(name))
            correlation[np.ix_(same, same)] = noise[name].correlations(at[same].tolist())
        self._inverse = np.linalg.inv(correlation)
        self._both = np.eye(self.y.size) + self._inverse * correlation
        self._log_det = float(np.linalg.slogdet(correlation)[1])

    def predicted(self, values: Array) -> Array:
        """Outputs where they were measured, (n, m), of parameters (n, n_params); nan where they cannot be
        simulated."""
        return self._solved(values, ())[0] if self.y.size else np.empty((len(values), 0))

    def minus_log(self, values: Array) -> Array:
        """Minus the log-likelihood of parameters (n, n_params): (n,), inf where it cannot be simulated."""
        if not self.y.size:
            return np.zeros(len(values))
        value, *_ = self._parts(self.predicted(values))
        return value

    def derived(self, values: Array) -> SubjectPoint:
        """With derivatives, at parameters (n, n_params)."""
        n, q = len(values), len(self.by)
        if not self.y.size:
            return SubjectPoint(np.zeros(n), np.zeros((n, q)), np.zeros((n, q, q)))
        f, slope = self._solved(values, self.by)
        value, u, r, sd, sd_f = self._parts(f)
        a = (sd_f / sd)[..., None] * slope  # of the logarithm of the SD
        gradient = np.einsum("nm,nmq->nq", 1.0 - u * r, a) - np.einsum("nm,nmq->nq", u, slope)
        scaled = slope / sd[..., None]
        information = np.einsum("nmq,mk,nkp->nqp", scaled, self._inverse, scaled)
        information += np.einsum("nmq,mk,nkp->nqp", a, self._both, a)
        failed = ~np.isfinite(value)
        gradient[failed], information[failed] = 0.0, 0.0
        return SubjectPoint(value, gradient, information)

    def sd(self, f: Array) -> Array:
        """SDs of errors of measurement where (..., m) outputs are predicted."""
        return np.stack([noise.errors(f[..., i])[0] for i, noise in enumerate(self._noise)], axis=-1)

    def _parts(self, f: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Minus the log-likelihood (n,), V^-1 r, r, SDs and their derivatives by f, (n, m) each."""
        errors = [noise.errors(f[:, i]) for i, noise in enumerate(self._noise)]
        sd, sd_f = (np.stack([error[k] for error in errors], axis=1) for k in (0, 1))
        r = self.y - f
        with np.errstate(divide="ignore", invalid="ignore"):
            e = r / sd
            u = (e @ self._inverse) / sd
            value = 0.5 * ((u * r).sum(axis=1) + self._log_det + self.y.size * math.log(2 * math.pi))
            value += np.log(sd).sum(axis=1)
        return np.where(np.isfinite(value), value, np.inf), u, r, sd, sd_f

    def _solved(self, values: Array, by: Sequence[str]) -> tuple[Array, Array]:
        solution = solve(
            self.kernel,
            values,
            self.events,
            self.times,
            options=Options(rtol=FIT, threads=self.threads),
            directions=by,
            places=np.tile(np.array(FIRST), (self.times.size, 1)),
        )
        found = solution.outputs[:, self._at, self._column]
        if solution.sensitivities is None:
            return found, np.empty((*found.shape, 0))
        return found, solution.sensitivities[:, self._at, self._column]
