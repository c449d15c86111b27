"""What the endpoints want to be read off curves, and what was read.

Endpoints are computed twice by the same lines: first with ``Questions``, which notes what they ask for and
answers nan, and after the solve with ``Answers``, which has what the integrator read, in the same order. So
it is said in one place what an endpoint looks at and what it makes of it.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Question = tuple[Any, ...]
"""Fields of a ``pkpd.solver.Reading``: kind, name, start, stop, level."""


class Questions:
    """Notes what is asked for, of ``n_subjects`` subjects."""

    def __init__(self, n_subjects: int) -> None:
        self.n_subjects = n_subjects
        self.questions: list[Question] = []

    def __call__(
        self, kind: str, name: str, start: float = -inf, stop: float = inf, level: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """(n_subjects,) values and times of a reading: nan for now."""
        self.questions.append((kind, name, start, stop, level))
        none = np.full(self.n_subjects, np.nan)
        return none, none


class Answers:
    """Gives what was read; values, times : (n_subjects, n_questions), in the order in which it was asked."""

    def __init__(self, values: Floats, times: Floats) -> None:
        self.values, self.times = values, times
        self.given = 0

    def __call__(
        self, kind: str, name: str, start: float = -inf, stop: float = inf, level: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """(n_subjects,) values and times of the next reading."""
        self.given += 1
        if (
            self.values.ndim != 2
            or self.times.shape != self.values.shape
            or self.given > self.values.shape[1]
        ):
            none = np.full(len(self.values), np.nan)  # ``evaluate`` says what is wrong
            return none, none
        return self.values[:, self.given - 1], self.times[:, self.given - 1]


Read = Questions | Answers


def divided(numerator: Floats, denominator: Floats | float) -> Floats:
    """The quotient, nan where the denominator is nought or nan."""
    bottom = np.broadcast_to(np.asarray(denominator, dtype=np.float64), numerator.shape)
    return np.divide(numerator, bottom, out=np.full(numerator.shape, np.nan), where=np.abs(bottom) > 0)
