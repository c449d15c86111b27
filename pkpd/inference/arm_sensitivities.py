"""Derivatives of the few numbers that rows look at in an arm, by steps that are taken back
(``pkpd.solver.adjoint``): where there are few numbers and many parameters, that is quicker than forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.arms import Look
from pkpd.ode.layout import BIOAVAILABILITY, LAG, LANES, ROUTE

Array = NDArray[np.float64]
NumberPlace = tuple[int, int]
"""A line of an arm's outputs, of a time or behind these of a look, and which output."""

ALIKE = 1e-2
"""An extreme is taken to be where it was read before, in smaller steps, if the output there is the same to
this."""
# what an arm takes in units of a plain simulation: measured on those of low_dose_il2
FORWARD_PER_VECTOR, BACKWARD, BACKWARD_PER_NUMBER = 2.6, 1.2, 0.75


def is_quicker(subjects: int, directions: int, numbers: int) -> bool:
    """Whether so many numbers of so many subjects are quicker taken back than differentiated forward."""
    backward = -(-subjects // LANES) * LANES * (BACKWARD + BACKWARD_PER_NUMBER * numbers)
    return backward < subjects * FORWARD_PER_VECTOR * -(-directions // LANES)


class ArmSensitivities:
    """The numbers of an arm. times : (T,); looks : whose lines stand behind the times, two each; numbers :
    values alone, no times of extremes; n_outputs : of the model."""

    def __init__(
        self, times: Array, looks: Sequence[Look], numbers: Sequence[NumberPlace], n_outputs: int
    ) -> None:
        self.times, self.numbers, self.n_outputs = times, numbers, n_outputs
        self.kinds = [self._look(looks, line) for line, _ in numbers]
        self.extremes = [f for f, one in enumerate(self.kinds) if one is not None and one.kind != "area"]

    def _look(self, looks: Sequence[Look], line: int) -> Look | None:
        return None if line < self.times.size else looks[(line - self.times.size) // 2]

    @property
    def are_readable(self) -> bool:
        """Whether there is a way back for their kinds."""
        return all(
            one is None or (one.kind in ("area", "max", "min") and (line - self.times.size) % 2 == 0)
            for one, (line, _) in zip(self.kinds, self.numbers, strict=True)
        )

    @property
    def moving(self) -> int:
        """How many are not of the start."""
        return sum(line >= self.times.size or self.times[line] > 0.0 for line, _ in self.numbers)

    def taken_back(
        self, kernel: Any, subjects: Array, events: Any, read: Array, options: Any
    ) -> Array | None:
        """Derivatives by all parameters, (K, n_numbers, n_params). read : (K, T', n_outputs), the lines of
        the arm as they were computed. None: they have to be found forward, for these subjects."""
        from pkpd.solver.adjoint import Functionals, gradients, why_not
        from pkpd.solver.table import plain

        if not events.only_doses or why_not(kernel, table := plain(events, len(subjects)), options):
            return None
        patients, k = np.arange(len(subjects)), len(self.numbers)
        when = np.array([read[:, self.numbers[f][0] + 1, self.numbers[f][1]] for f in self.extremes])
        if self.extremes and not _between_breakpoints(kernel, subjects, events, when):
            return None
        at = np.concatenate(
            [np.tile(self.times, (patients.size, 1)), when.reshape(-1, patients.size).T], axis=1
        )
        order = np.argsort(at, axis=1, kind="stable")
        row_of = np.argsort(order, axis=1, kind="stable")
        weights = np.zeros((patients.size, k, at.shape[1], self.n_outputs))
        areas: list[tuple[float, float, float]] = []
        places: dict[int, NDArray[np.intp]] = {}  # of extremes
        area_weights = np.zeros((patients.size, k, k))
        for f, ((line, o), look) in enumerate(zip(self.numbers, self.kinds, strict=True)):
            if look is not None and look.kind == "area":
                area_weights[:, f, len(areas)] = 1.0
                areas.append((look.start, look.stop, float(o)))
                continue
            rows = row_of[:, line if look is None else self.times.size + self.extremes.index(f)]
            weights[patients, f, rows, o] = 1.0
            if look is not None:
                places[f] = rows
        sums = Functionals(
            weights,
            np.array(areas, dtype=float).reshape(-1, 3),
            np.ascontiguousarray(area_weights[:, :, : len(areas)]),
        )
        times, spans = self.times, None
        if self.extremes:
            times = np.take_along_axis(at, order, axis=1).ravel()
            spans = np.column_stack([patients * at.shape[1], np.full(patients.size, at.shape[1])])
        raw, found = gradients(kernel, subjects, table, times, options, sums, spans)
        for f, rows in places.items():
            line, o = self.numbers[f]
            if not np.all(
                abs(raw.out[patients, rows, o] - read[:, line, o]) <= ALIKE * abs(read[:, line, o])
            ):
                return None
        return found if np.all(np.isfinite(found)) else None


def _between_breakpoints(kernel: Any, subjects: Array, events: Any, when: Array) -> bool:
    """Whether no extreme stands at a breakpoint, which may move with parameters, or where outputs jump."""
    routes = np.zeros(ROUTE * len(kernel.ROUTES))
    durations = np.nan_to_num(events.duration)
    for k, subject in enumerate(subjects):
        kernel.call("routes", np.ascontiguousarray(subject), routes)
        of_route = routes.reshape(-1, ROUTE)
        if np.any(of_route[:, BIOAVAILABILITY + 1 :]) or np.any(events.rate > 0.0):
            return False  # how long an infusion lasts depends on parameters
        starts = events.time + of_route[events.route, LAG]
        breakpoints = np.concatenate([starts, starts + durations])
        if np.any(np.isclose(breakpoints[:, None], when[None, :, k], rtol=1e-9, atol=1e-9)):
            return False
    return True
