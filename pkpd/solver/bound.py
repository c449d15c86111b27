"""A solver that is bound once to everything but the parameters: ``Solver``."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pkpd.core.arguments import ABSENT, NUMBER, NUMBERS, TEXT, WHOLE, ArgumentKind, check, list_of, of, takes
from pkpd.core.errors import InputError
from pkpd.dosing import EventTable
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import HOW, USUAL, Options
from pkpd.solver.request import Layout, SolveRequest, parameters_of
from pkpd.solver.solution import Floats, Reading, Root, Solution
from pkpd.solver.timeline import GivenChange, Timeline

_A_CHANGE = ArgumentKind(
    lambda value: _is_pair(value, 3) and isinstance(value[1], str), "(time, name, value)"
)
_A_LEVEL = ArgumentKind(
    lambda value: (_is_pair(value, 2) or _is_pair(value, 3)) and isinstance(value[0], str), "(name, level)"
)
_KNOTS = ArgumentKind(
    lambda value: isinstance(value, Mapping) and all(_is_pair(pair, 2) for pair in value.values()),
    "a dict of name to (times, values)",
)
REQUEST = {
    "kernel": of(Kernel, words="a kernel, such as pkpd.load gives"),
    "events": of(EventTable, words="an event table, such as Schedule.events gives")
    | list_of(of(Timeline), "a list of timelines, one for each subject"),
    "times": NUMBERS | ABSENT,
    "options": of(Options),
    "directions": list_of(TEXT | WHOLE, "a list of names and indices"),
    "changes": list_of(_A_CHANGE, "a list of (time, name, value)"),
    "knots": _KNOTS | ABSENT,
    "initial": NUMBERS | ABSENT,
    "start": NUMBER | ABSENT,
    "factors": NUMBERS | ABSENT,
    "roots": list_of(of(Root) | _A_LEVEL, 'a list of levels, such as ("C", 2.5)'),
    "most_crossings": WHOLE,
}
"""What is asked of a solve is of these kinds."""
MOST_LAYOUTS = 8  # of different numbers of subjects, that are kept


def _is_pair(value: Any, n: int) -> bool:
    return isinstance(value, tuple | list) and len(value) == n


def refuse(function: str, how: Mapping[str, Any]) -> None:
    """Raises for arguments that there are not, and says where those of options belong."""
    name = next(iter(how))
    if name in HOW:
        raise InputError(f"{name} says how to integrate: give it as options=pkpd.Options({name}=...)")
    raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


@takes(late=True, **REQUEST)
class Solver:
    """``pkpd.solve`` for one kernel, events and times, to be called again and again with other parameters.

    What does not depend on the parameters is checked, laid out and compiled when the solver is made.
    ``solver(values)`` gives then, bit for bit, what ``pkpd.solve(kernel, values, events, times, ...)`` gives:
    values : (n_subjects, n_params), or (n_params,) of one subject, in the order of ``kernel.PARAMETERS`` and
    in their units. It is for fits, samplers, and problems so small that Python takes longer than the
    integration: a call adds some microseconds to it, a sixth of what ``solve`` adds.

    Every ``Solution`` has arrays of its own, and what the solver is made with is copied. Threads may call one
    solver at the same time; the compiled code holds no lock. A solver that is pickled is laid out anew where
    it arrives. Quick are one subject, and up to 64 with ``Options(threads=1)``, under doses, replaced states,
    factors of doses, and from given states. Resets, steady states, covariates that change, and results of
    more than half a megabyte are laid out in every call.

    Attributes
    ----------
    kernel, events, times, options, directions, keep_states, places, changes, knots, initial, start, factors,
        roots, most_crossings, readings : what it is made with, as in ``pkpd.solve``.

    Raises ``InputError``: when it is made for all that ``solve`` refuses, when it is called for values of
    another shape.

    Examples
    --------
    >>> import pkpd, scipy.optimize
    >>> kernel = pkpd.load("one_compartment_iv")
    >>> doses = pkpd.Schedule.parse("100 mg iv every 12 h x2").events_for(kernel)
    >>> solver = pkpd.Solver(kernel, doses, [6.0, 18.0], options=pkpd.Options(rtol=1e-8, threads=1))
    >>> solver
    <Solver of one_compartment_iv: events 2, times 2>
    >>> solver.times
    [6.0, 18.0]
    >>> solver([2.8, 32.0]).outputs[0, :, 0].round(3)  # C, mg/L
    array([1.849, 2.496])
    >>> def residuals(values):
    ...     return solver(values).check().outputs[0, :, 0] - [2.0, 3.0]
    >>> scipy.optimize.least_squares(residuals, [2.8, 32.0]).x.round(2)  # CL and V that give 2 and 3 mg/L
    array([ 2.04, 35.36])
    """

    def __init__(
        self,
        kernel: Kernel,
        events: EventTable | Sequence[Timeline],
        times: ArrayLike | None = None,
        *,
        options: Options = USUAL,
        directions: Sequence[int | str] = (),
        keep_states: bool = False,
        places: ArrayLike | None = None,
        changes: Sequence[GivenChange] = (),
        knots: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        initial: ArrayLike | None = None,
        start: float | None = None,
        factors: ArrayLike | None = None,
        roots: Sequence[Root | tuple[Any, ...]] = (),
        most_crossings: int = 64,
        readings: Sequence[Reading | tuple[Any, ...]] = (),
        **how: Any,
    ) -> None:
        if how:
            refuse("Solver", how)
        given = (events, times, options, tuple(directions), keep_states, places, changes, knots, initial)
        more = (start, factors, roots, most_crossings, readings)
        self._request = SolveRequest(kernel, *copy.deepcopy((*given, *more)))
        self._layouts: dict[int, Layout] = {}
        self._layout(_n_subjects(self._request))

    def __getattr__(self, name: str) -> Any:
        if name in SolveRequest._fields:
            return getattr(self._request, name)
        raise AttributeError(f"a Solver has no attribute {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, tuple(self._request)

    def __repr__(self) -> str:
        events, times = self._request.events, self._request.times
        if isinstance(events, EventTable):
            what = f"events {len(events)}, times {np.asarray(times).size}"
        else:
            what = f"timelines {len(events)}"
        return f"<Solver of {self._request.kernel.NAME}: {what}>"

    def __call__(self, values: ArrayLike) -> Solution:
        """The solution for parameters (n_subjects, n_params) or (n_params,)."""
        p = self._parameters(values)
        layout = self._layouts.get(len(p))
        if layout is None:
            layout = self._layout(len(p))
        return layout.again(p)

    def gradient(self, values: ArrayLike, weights: ArrayLike) -> tuple[Solution, Floats]:
        """The solution, and how a weighted sum of its outputs moves with every parameter.

        For the gradient of one number by many parameters: of a likelihood, say, whose derivatives by the
        outputs are the weights. The steps are kept and taken back, which costs two to six plain solves
        however many parameters there are, and gives the exact derivative of what was computed (for its
        steps), as ``directions`` do.

        Parameters
        ----------
        values : (n_subjects, n_params) or (n_params,), as in a call.
        weights : (n_subjects, n_times, n_outputs), or (n_times, n_outputs) of every subject; finite.

        Returns
        -------
        The ``Solution``, and (n_subjects, n_params): of each subject's own sum by its own parameters, in
        their units; nan where it failed, or where a slope on the way is infinite (a root at nought).

        Raises
        ------
        InputError : weights of another shape, or there is no way back: kernels of functions, models whose
            rates jump at conditions, resets, steady states and parameters that change on the way, vern7
            ("auto" takes it at tight tolerances), readings, roots and directions.

        Examples
        --------
        >>> import numpy as np, pkpd
        >>> kernel = pkpd.load("one_compartment_iv")
        >>> doses = pkpd.Schedule.parse("100 mg iv once").events_for(kernel)
        >>> solver = pkpd.Solver(kernel, doses, [6.0, 18.0])
        >>> weights = np.zeros((2, kernel.n_outputs))
        >>> weights[:, 0] = solver([2.8, 32.0]).outputs[0, :, 0] - [2.0, 0.5]  # residuals of C
        >>> solution, gradient = solver.gradient([2.8, 32.0], weights)
        >>> gradient.round(4)  # of half the sum of squares, by CL and V
        array([[-0.001 ,  0.0059]])
        """
        request = self._request
        if len(request.directions) or request.readings or request.roots:
            raise InputError("a gradient goes without directions, readings and roots")
        p = self._parameters(values)
        layout = self._layouts.get(len(p)) or self._layout(len(p))
        return layout.gradient(p, weights)

    def _parameters(self, values: ArrayLike) -> Floats:
        try:
            return parameters_of(self._request.kernel, values)
        except (InputError, TypeError, ValueError, OverflowError):
            check("Solver", "values", values, NUMBERS)
            raise

    def _layout(self, n_subjects: int) -> Layout:
        layout = Layout(self._request, n_subjects)
        layout.prepare()
        if len(self._layouts) >= MOST_LAYOUTS:
            self._layouts.clear()
        self._layouts[n_subjects] = layout
        return layout


def _made(kernel: Kernel, events: Any, times: Any, *more: Any) -> Solver:
    return Solver(kernel, events, times, **dict(zip(SolveRequest._fields[3:], more, strict=True)))


def _n_subjects(request: SolveRequest) -> int:
    """The number of subjects that something is given for, or 1."""
    if not isinstance(request.events, EventTable):
        return len(request.events)
    levels = [root.level if isinstance(root, Root) else root[1] for root in request.roots]
    levels += [
        reading.level if isinstance(reading, Reading) else reading[4]
        for reading in request.readings
        if isinstance(reading, Reading) or len(reading) > 4
    ]
    given = [array for array in (request.initial, request.factors) if array is not None]
    sizes = [np.shape(array)[0] for array in (*given, *levels) if np.ndim(array)]
    return max(sizes, default=1)
