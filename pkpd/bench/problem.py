"""Initial value problems that solvers are compared on: of a model, or of a user's functions."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.dosing import EventTable, Schedule
from pkpd.model.check import read_model
from pkpd.ode import layout
from pkpd.ode.functions import FunctionKernel, from_numba
from pkpd.simulation.profile import typical_values
from pkpd.solver import solve
from pkpd.solver.kernel import Kernel, load

Floats = NDArray[np.float64]
NAMES = ("rhs", "y0", "times", "parameters", "jacobian", "reference", "stiff", "title")  # of a user's file


@dataclass(frozen=True)
class ModelProblem:
    """A model of the library or of a text, and a schedule; without a clock of its own, so that every solver
    gets it as ``y' = f(y)`` with doses as jumps of one state.

    model : text, or a name of the library; times : (n_times,), increasing; stiff : explicit peers are not
    asked; known : the published solution at the last time.
    """

    name: str
    title: str
    model: str
    times: Floats
    schedule: str = "none"
    stiff: bool = False
    source: str = ""
    known: tuple[float, ...] = ()
    finest: float = 1e-13  # rtol of the reference
    parameters: Mapping[str, float] = field(default_factory=dict)
    start: ClassVar[float] = 0.0
    reference: ClassVar[Floats | None] = None

    @cached_property
    def kernel(self) -> Kernel:
        """The compiled model."""
        return load(read_model(self.model, f"{self.name}.model") if "\n" in self.model else self.model)

    @cached_property
    def events(self) -> EventTable:
        """The schedule in the model's units."""
        k = self.kernel
        return Schedule.parse(self.schedule).events(k.TIME_UNIT, k.ROUTES, k.DOSE_UNITS, k.SIZES)

    @cached_property
    def p(self) -> Floats:
        """Parameters, (n_params,)."""
        return typical_values(self.kernel, self.parameters)

    @cached_property
    def y0(self) -> Floats:
        """States at time 0 before any dose, (n_states,)."""
        rest = solve(self.kernel, self.p, EventTable.empty(), [0.0], keep_states=True).check()
        assert rest.states is not None
        return rest.states[0, 0]


@dataclass(frozen=True)
class FunctionProblem:
    """Functions of a user, from given states at the first of the times, without doses.

    make : makes the kernel, once; p : (n_params,); y0 : (n_states,); times : (n_times,), increasing;
    reference : (n_rows, n_states), the solution at the last n_rows times, or None; said : whether it is
    stiff, None where nobody said.
    """

    name: str
    title: str
    make: Callable[[], FunctionKernel]
    p: Floats
    y0: Floats
    times: Floats
    reference: Floats | None = None
    said: bool | None = None
    finest: float = 1e-12
    events: ClassVar[EventTable] = EventTable.empty()

    @property
    def kernel(self) -> FunctionKernel:
        """The compiled functions."""
        return self.make()

    @cached_property
    def stiff(self) -> bool:
        """What was said, or whether our automatic choice took the stiff method."""
        if self.said is not None:
            return self.said
        found = solve(self.kernel, self.p, self.events, self.times, start=self.start).check()
        return bool(found.method_used[0] != layout.EXPLICIT_ONLY)

    @property
    def start(self) -> float:
        """When the states are y0."""
        return float(self.times[0])


Problem = ModelProblem | FunctionProblem


def read_problem(path: Path) -> FunctionProblem:
    """The problem of a user's Python file, which is run: it is a program, as it is for Python itself.

    It defines ``rhs(t, y, p, dy)`` and, if there is one, ``jacobian(t, y, p, J)``, as for ``from_numba``;
    those not compiled by numba are; ``y0``, ``times`` and ``parameters``, numbers; ``reference``, the
    solution at all times or at the last one; ``stiff``, whether explicit methods of others are spared it (by
    default whether ours found it so); ``title``.

    Raises
    ------
    InputError : no such file, one that does not run, or that lacks something.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        found = runpy.run_path(str(path))
    except Exception as error:
        raise InputError(f"{path} does not run: {type(error).__name__}: {error}") from error
    missing = [name for name in NAMES[:3] if name not in found]
    if missing:
        raise InputError(
            f"{path} does not define {' and '.join(missing)}: it needs rhs(t, y, p, dy), y0 and times, and "
            f"may define {', '.join(NAMES[3:])}"
        )
    y0, times, p = (
        _numbers(path, name, found.get(name, default))
        for name, default in (("y0", None), ("times", None), ("parameters", ()))
    )
    if times.size < 2 or not np.all(np.diff(times) > 0.0):
        raise InputError(f"{path}: times must be ascending, the first one that of y0, and one more at least")
    make = partial(
        from_numba,
        _compiled(found["rhs"]),
        _compiled(found.get("jacobian")),
        states=y0.size,
        parameters={f"p{i + 1}": value for i, value in enumerate(p.tolist())},
        initial=y0,
        name=path.stem,
    )
    try:
        make()  # not the one that is timed, with its compilation
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    reference = None
    if found.get("reference") is not None:
        reference = np.atleast_2d(np.asarray(found["reference"], dtype=np.float64))
        if reference.shape not in ((times.size, y0.size), (1, y0.size)):
            raise InputError(
                f"{path}: reference must have shape ({times.size}, {y0.size}), states at all times, or "
                f"({y0.size},), at the last one; not {np.shape(found['reference'])}"
            )
    title, stiff = str(found.get("title", path.stem)), found.get("stiff")
    said = None if stiff is None else bool(stiff)
    return FunctionProblem(path.stem, title, cache(make), p, y0, times, reference, said)


def _numbers(path: Path, name: str, given: Any) -> Floats:
    try:
        values = np.atleast_1d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.ndim != 1 or not np.all(np.isfinite(values)):
        raise InputError(f"{path}: {name} must be finite numbers in one row")
    return values


def _compiled(function: Any) -> Any:
    """A Python function compiled by numba, anything else as it is."""
    if not callable(function) or hasattr(function, "py_func") or hasattr(function, "address"):
        return function
    import numba

    return numba.njit(function)
