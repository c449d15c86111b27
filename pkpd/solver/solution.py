"""What a solve looks out for and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core import html
from pkpd.core.errors import SolverError
from pkpd.core.extras import optional
from pkpd.ode import layout
from pkpd.ode.status import SUCCESS, sentence

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

STATISTICS = ("rhs", "jacobians", "factorisations", "steps", "rejected", "switches", "clipped")


@dataclass(frozen=True)
class Root:
    """A level that is looked out for: of an output or a state by name, in the model's units; one number, or
    (n_subjects,).

    direction : 1 for crossings upwards only, -1 downwards only, 0 both.
    """

    name: str
    level: ArrayLike
    direction: int = 0


@dataclass(frozen=True)
class Reading:
    """A number that is read off the course of an output or a state, by name, within a window of time,
    wherever it hides between output times.

    kind : "max" and "min"; "area" under the curve; "time_above" and "area_above" a level; "last_above" and
        "last_below", the last time at which it was beyond the level, nan
    if it never was, inf if it still is at the end; "decline", the slope of the straight line that fits the
    logarithm of the curve over all of the window, downwards, above the level if there is one; "end", the
    value at the end, before the doses of that instant; "halving", the mean time in which what is above the
    level falls to a half: of the last five halvings that are seen after the highest value, or as many as
    there are, without the first, none lower than 1/1024 of the highest or ``lowest`` times the level.
    start, stop : the window, as far as the solve goes; what doses at its end do counts where it has none;
        level : in the model's units, one number, or (n_subjects,).
    """

    kind: str
    name: str
    start: float = -inf
    stop: float = inf
    level: ArrayLike | None = None
    lowest: float = 10.0

    def of(self, subjects: Integers, n_subjects: int) -> Reading:
        """The same reading of some of the subjects."""
        level = np.asarray(self.level) if self.level is not None else None
        if level is None or level.shape != (n_subjects,):
            return self
        return replace(self, level=level[subjects])


@dataclass(frozen=True)
class Readings:
    """What was read. Values right after the doses of an instant count, and those just before; of equal
    extremes the first.

    values : (n_subjects, n_readings), nan for a failed subject and where there is nothing to read; times :
        (n_subjects, n_readings), of extremes; of a decline its derivative by the level; nan for others;
    sensitivities, time_sensitivities : (n_subjects, n_readings, n_directions) or None.
    """

    asked: tuple[Reading, ...]
    values: Floats
    times: Floats
    sensitivities: Floats | None = None
    time_sensitivities: Floats | None = None


@dataclass(frozen=True)
class Crossings:
    """When levels were crossed, from the start of a solve to its last output time. To be above a level is to
    be greater than it.

    times : (n_subjects, n_roots, most), ascending, nan where there are no more; a crossing by a dose has the
        dose's time. count : (n_subjects, n_roots), how many
    there were in the direction asked, kept or not, -1 for a failed subject; above_at_start : (n_subjects,
    n_roots), after the doses of that instant; time_above : (n_subjects, n_roots), in the model's time unit,
    whatever the directions and however many crossings. With direction 0 crossings go up and down by turns.
    sensitivities : (n_subjects, n_roots, most, n_directions), of the times, or None; infinite or nan where a
        level is only touched.
    """

    roots: tuple[Root, ...]
    times: Floats
    count: Integers
    above_at_start: NDArray[np.bool_]
    time_above: Floats
    sensitivities: Floats | None

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(n_subjects, n_roots) whether every crossing was kept."""
        return np.asarray((self.count >= 0) & (self.count <= self.times.shape[2]))


@dataclass(frozen=True)
class Solution:
    """What ``solve`` returns; times in the order given.

    Values are in the kernel's units (``OUTPUT_UNITS``, ``STATE_UNITS``), times in ``time_unit``.

    Attributes
    ----------
    outputs : (n_subjects, n_times, n_outputs), nan for a failed subject.
    states : (n_subjects, n_times, n_states) or None.
    sensitivities : (n_subjects, n_times, n_outputs, n_directions) or None, of outputs by directions.
    state_sensitivities : (n_subjects, n_times, n_states, n_directions) or None, the same of states.
    status : (n_subjects,), 0 is success.
    stopped : (n_subjects,), the time reached.
    counts : (n_subjects, 7) right-hand sides, Jacobians, factorisations, steps, rejected steps, switches of
        method, steps after which a state was clipped to nought.
    largest_error : (n_subjects,) the largest error estimate of an accepted step in units of the tolerance.
    switched : (n_subjects, 2) when the method changed first and last, nan if it never did.
    crossings : of the roots that were asked for.
    method_used : (n_subjects,), what ``layout.method_sentence`` reads, of the two ``methods`` (explicit,
        stiff).
    readings : those that were asked for.

    Examples
    --------
    >>> import pkpd
    >>> kernel = pkpd.load("one_compartment_iv")
    >>> doses = pkpd.Schedule.parse("100 mg iv once").events_for(kernel)
    >>> solution = pkpd.solve(kernel, kernel.VALUES, doses, [0.0, 6.0], directions=["CL"])
    >>> solution
    <Solution: outputs 1 x 2 x 2 (subjects, times, outputs), 0 failed; sensitivities by 1>
    >>> solution.check().outputs[0, :, 0].round(3)  # C, mg/L; check() raises SolverError if one failed
    array([3.125, 1.849])
    >>> solution.sensitivities[0, :, 0, 0].round(3)  # dC/dCL
    array([ 0.   , -0.347])
    """

    outputs: Floats
    states: Floats | None
    sensitivities: Floats | None
    state_sensitivities: Floats | None
    status: Integers
    stopped: Floats
    counts: Integers
    method_used: Integers
    methods: tuple[str, str]
    largest_error: Floats
    switched: Floats
    crossings: Crossings | None
    time_unit: str
    readings: Readings | None = None

    def __repr__(self) -> str:
        n_subjects, n_times, n_outputs = self.outputs.shape
        more = [
            f"sensitivities by {self.sensitivities.shape[-1]}" if self.sensitivities is not None else "",
            "states" if self.states is not None else "",
            f"crossings of {self.crossings.count.shape[1]} levels" if self.crossings is not None else "",
        ]
        return (
            f"<Solution: outputs {n_subjects} x {n_times} x {n_outputs} (subjects, times, outputs), "
            f"{int(np.count_nonzero(self.status))} failed{''.join(f'; {part}' for part in more if part)}>"
        )

    def _repr_html_(self) -> str:
        failed = np.flatnonzero(self.status != SUCCESS)
        note = f"{self.failure(int(failed[0]))}." if failed.size else ""
        return html.table(repr(self)[1:-1], ("of all subjects", ""), self.statistics.items(), note)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of ``outputs``, ``states``, ``sensitivities`` and ``state_sensitivities``,
        those there are, and of ``status`` and ``stopped``. The dimensions subject, time, output, state and
        direction are numbered in the order in which ``solve`` was given them and the kernel names them.

        Raises ``MissingExtraError`` where the package xarray is not installed.
        """
        xarray = optional("xarray", "xarray")
        where = ("subject", "time")
        arrays = {
            "outputs": ((*where, "output"), self.outputs),
            "states": ((*where, "state"), self.states),
            "sensitivities": ((*where, "output", "direction"), self.sensitivities),
            "state_sensitivities": ((*where, "state", "direction"), self.state_sensitivities),
            "status": (("subject",), self.status),
            "stopped": (("subject",), self.stopped),
        }
        return xarray.Dataset(
            {name: array for name, array in arrays.items() if array[1] is not None},
            attrs={"time_unit": self.time_unit},
        )

    @property
    def statistics(self) -> dict[str, Any]:
        """Totals over subjects, the largest error of a step, and how many were solved by which method."""
        totals: dict[str, Any] = {name: int(self.counts[:, i].sum()) for i, name in enumerate(STATISTICS)}
        totals["largest error of a step, in tolerances"] = round(float(self.largest_error.max()), 3)
        if np.isfinite(self.switched).any():
            first, last = float(np.nanmin(self.switched)), float(np.nanmax(self.switched))
            totals["first and last change of method"] = f"t = {first:.6g} and {last:.6g} {self.time_unit}"
        for code, count in zip(*np.unique(self.method_used, return_counts=True), strict=True):
            totals[f"method: {layout.method_sentence(code, *self.methods)}"] = int(count)
        return totals

    def failure(self, subject: int) -> str:
        """A sentence on what stopped a subject."""
        return (
            f"subject {subject} stopped at t = {self.stopped[subject]:.6g} {self.time_unit}: "
            f"{sentence(int(self.status[subject]))}"
        )

    def check(self) -> Solution:
        """Self, or a ``SolverError`` that names the first failed subject."""
        failed = np.flatnonzero(self.status != SUCCESS)
        if failed.size:
            more = f" ({failed.size} of {self.status.size} subjects failed)" if self.status.size > 1 else ""
            raise SolverError(self.failure(int(failed[0])) + more)
        return self


def solution_of(**fields: Any) -> Solution:
    """``Solution(**fields)``, of all fields, in a third of the time: the initialisation of a frozen dataclass
    assigns them one by one, and checks each time."""
    made = Solution.__new__(Solution)
    made.__dict__.update(fields)
    return made
