"""``solve``: arrays in, arrays out; subjects spread over threads in chunks, so that a result does not depend
on the number of threads.

    solution     what is looked out for and what comes back
    executors    who does the work: threads, processes
    options      how to integrate
    timeline     what one subject is given and when it is looked at
    table        rows of events as the integrator reads them
    directions   what is differentiated by
    task         one call of the compiled integrator
    readings     numbers read off curves
    periodic     the steady state of a repeated dose
    events       event table -> rows
    request      what is asked of a solve, laid out before the parameters are known
    bound        a solver that is bound once
    inside       a solver that compiled code calls

Each file knows those above it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from pkpd.core.arguments import ABSENT, CALLABLE, NUMBERS, takes
from pkpd.core.progress import Progress, counting
from pkpd.dosing import EventTable
from pkpd.solver.bound import REQUEST, Solver, refuse
from pkpd.solver.executors import Dask, Processes, Threads, spread, usable_cores
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import USUAL, Options
from pkpd.solver.request import Layout, SolveRequest, parameters_of
from pkpd.solver.solution import STATISTICS, Crossings, Reading, Readings, Root, Solution
from pkpd.solver.timeline import GivenChange, Timeline

__all__ = [
    "STATISTICS",
    "Crossings",
    "Dask",
    "Options",
    "Processes",
    "Reading",
    "Readings",
    "Root",
    "Solution",
    "Solver",
    "Threads",
    "Timeline",
    "solve",
    "spread",
    "usable_cores",
]


@takes(late=True, **REQUEST, values=NUMBERS, progress=CALLABLE | ABSENT)
def solve(
    kernel: Kernel,
    values: ArrayLike,
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
    progress: Progress | None = None,
    **how: Any,
) -> Solution:
    """Integrate subjects, each with its own parameters, under one table of doses and other events or each
    under its own.

    Where the table asks for the steady state of a repeated dose, it is found by Newton's method on one
    interval (``pkpd.solver.periodic``); a subject for which there is none fails. A reset, or a steady state
    that is not added, cancels what was on its way: lagged doses and the rest of infusions.

    Parameters
    ----------
    kernel : of the system, from ``load`` or ``from_numba``.
    values : (n_subjects, n_params) or (n_params,), of parameters and covariates, in the order of
        ``kernel.PARAMETERS`` and in their units.
    events : an event table for all subjects; or a list of ``Timeline``, one for each, which have the events,
        ``times``, ``places``, ``changes``, ``knots`` and ``start`` of one subject: these are then not
        given here. What a subject has fewer times than another is nan at the end of its outputs.
    times : (n_times,), in the model's time unit, in any order; an output at a dose's own instant is taken
        after the dose. Initial values hold at ``start``; by default at time 0, or at the first output or dose
        before it.
    options : how to integrate: tolerances, the method, threads; see ``Options``.
    directions : what to differentiate by: a parameter by index or name, the initial value of a state as
        "state(0)", the amount of the k-th dose of the table as "dose[k]". Derivatives go through jumps of the
        rates, where a condition of ``piecewise`` changes; a subject fails where there is none: where a level
        is only just touched, where the rates on both sides lead to it, or where a slope is infinite.
    keep_states : whether the states are kept too, and their sensitivities.
    places : (n_times, 2), where each output stands among the events of its instant
        (``pkpd.dosing.events.Place``): before which event of the table, and in which order of all that stands
        there; it is taken after what comes at that instant of earlier events (lagged doses). By default after
        everything.
    changes : values that parameters or covariates take from a time on, (time, name, value), for all
        subjects: an exact restart. At one instant they come before doses, unless a fourth value gives their
        ``Place``; a dose has the lag, bioavailability and body size of its own time, a reset or a steady
        state the initial values of its own. Those of the start are in the initial values. Not together with
        sensitivities.
    knots : covariates that run linearly: name to (times, values), (n_knots,) each, for all subjects; before
        the first knot and after the last one they stay. The kernel is one that was loaded for it,
        ``load(model, linear=[name])``. Not together with sensitivities or steady states of doses.
    start : the time at which initial values hold. Neither output times nor events lie before it.
    initial : states (n_subjects, n_states) at the time ``start`` instead of the model's initial values, from
        which the solve goes on; doses of the table before it act as far as they last (what is left of a lag
        or an infusion).
    factors : (n_subjects, n_events), what each subject's doses are multiplied by; 0 is a dose that is not
        given.
    roots : levels whose crossings are observed, each a ``Root`` or its fields: ``("C", 2.5)`` or ``("C", 2.5,
        -1)``. The steps are the same as without.
    readings : what is read off the curves, each a ``Reading`` or its fields: ``("max", "C")`` or ``("area",
        "C", 0, 24)``. The steps are the same as without.
    most_crossings : of each root and subject, how many are kept.
    progress : called with (what, share, remark) now and then.

    Returns
    -------
    Solution : ``outputs``, (n_subjects, n_times, n_outputs) in ``kernel.OUTPUT_UNITS``, nan for a subject
        that failed (``status``, (n_subjects,), is then not 0); with ``keep_states`` the states, with
        ``directions`` the sensitivities, and the crossings and readings that were asked for.

    Raises
    ------
    InputError : shapes that do not fit, an unknown direction, values that are not finite, a steady state
        without an interval.

    Examples
    --------
    >>> import pkpd
    >>> kernel = pkpd.load("one_compartment_iv")
    >>> doses = pkpd.Schedule.parse("100 mg iv every 12 h x2").events_for(kernel)
    >>> solution = pkpd.solve(kernel, kernel.VALUES, doses, [0.0, 12.0], options=pkpd.Options(rtol=1e-9))
    >>> solution.outputs.shape  # subjects, times, outputs
    (1, 2, 2)
    """
    if how:
        refuse("solve", how)
    p = parameters_of(kernel, values)
    request = SolveRequest(
        kernel,
        events,
        times,
        options,
        directions,
        keep_states,
        places,
        changes,
        knots,
        initial,
        start,
        factors,
        roots,
        most_crossings,
        readings,
    )
    return Layout(request, len(p))(p, counting(progress, "solving"))
