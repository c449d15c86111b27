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
    inside       a solver that compiled code calls

Each file knows those above it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pkpd.core.arguments import (
    ABSENT,
    CALLABLE,
    NUMBER,
    NUMBERS,
    TEXT,
    WHOLE,
    ArgumentKind,
    list_of,
    of,
    takes,
)
from pkpd.core.errors import InputError
from pkpd.core.progress import Progress, counting
from pkpd.dosing import EventTable
from pkpd.ode import layout
from pkpd.ode.status import NOT_PERIODIC, SLOPE_NOT_FINITE, SUCCESS
from pkpd.solver.directions import Directions, directions_of
from pkpd.solver.events import table_of
from pkpd.solver.executors import Dask, Processes, Threads, spread, usable_cores
from pkpd.solver.kernel import Kernel, index_of
from pkpd.solver.options import HOW, USUAL, Options
from pkpd.solver.readings import Asked, answer, ask
from pkpd.solver.solution import STATISTICS, Crossings, Floats, Integers, Reading, Readings, Root, Solution
from pkpd.solver.table import Table, together
from pkpd.solver.task import NONE, Levels, Raw, integrate, possible_method
from pkpd.solver.timeline import GivenChange, Sorted, Timeline, in_order, shared

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
    "Threads",
    "Timeline",
    "solve",
    "spread",
    "usable_cores",
]

_COUNTS = [
    layout.RHS_CALLS,
    layout.JACOBIANS,
    layout.FACTORISATIONS,
    layout.STEPS,
    layout.REJECTED,
    layout.SWITCHES,
    layout.CLIPPED,
]


EVERYBODY = slice(None)


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


def _is_pair(value: Any, n: int) -> bool:
    return isinstance(value, tuple | list) and len(value) == n


@takes(
    late=True,
    kernel=of(Kernel, words="a kernel, such as pkpd.load gives"),
    values=NUMBERS,
    events=of(EventTable, words="an event table, such as Schedule.events gives")
    | list_of(of(Timeline), "a list of timelines, one for each subject"),
    times=NUMBERS | ABSENT,
    options=of(Options),
    directions=list_of(TEXT | WHOLE, "a list of names and indices"),
    changes=list_of(_A_CHANGE, "a list of (time, name, value)"),
    knots=_KNOTS | ABSENT,
    initial=NUMBERS | ABSENT,
    start=NUMBER | ABSENT,
    factors=NUMBERS | ABSENT,
    roots=list_of(of(Root) | _A_LEVEL, 'a list of levels, such as ("C", 2.5)'),
    most_crossings=WHOLE,
    progress=CALLABLE | ABSENT,
)
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
        _refuse(how)
    p = _parameters(kernel, values)
    n_subjects = p.shape[0]
    options = _possible(kernel, options)
    groups = _groups(n_subjects, events, times, places, changes, knots, start, initial, factors)
    resumed = None if initial is None else _initial(kernel, initial, start, n_subjects)
    d = None
    if len(directions):
        of_all = events if isinstance(events, EventTable) else None
        d = directions_of(kernel, of_all, p, directions, resumed=resumed is not None)
    looked_for, levels = _roots(kernel, roots, n_subjects, most_crossings)
    asked = ask(kernel, readings, n_subjects, sensitivities=d is not None)
    kept = _non_negative(kernel, options.non_negative, d is not None)
    if options.method == layout.LINEAR and (d is not None or looked_for or asked or len(kept)):
        raise InputError(
            "method='linear' goes without sensitivities, roots, readings and non_negative; \"auto\" has them"
        )
    given_to = _given(kernel, p, groups, options, d, resumed, factors)
    with_states = keep_states or (asked is not None and asked.states)
    raw = integrate(
        kernel,
        given_to.parameters,
        given_to.table,
        given_to.times,
        options,
        width=kernel.n_outputs + (kernel.n_states if with_states else 0),
        time_spans=given_to.time_spans,
        directions=d,
        levels=levels,
        quantities=None if asked is None else asked.quantities,
        kept=kept,
        told=counting(progress, "solving"),
    )
    if given_to.table.own.size:
        raw.status[~np.isfinite(given_to.table.own).all(axis=1)] = NOT_PERIODIC
    out_dot = None if raw.out_dot is None or d is None else _derivatives(raw.out_dot, d)
    if out_dot is not None:
        _fail_where_steep(raw.out, out_dot, raw.status, given_to)
    found_readings = None if asked is None else _answered(asked, raw, d, out_dot, given_to)
    for array in (raw.out, out_dot):
        if array is not None:
            _as_asked(array, groups)
    crossings = None if levels is None else _crossings(looked_for, raw, levels.most, d)
    return _solution(kernel, raw, out_dot, keep_states, crossings, found_readings)


def _solution(
    kernel: Kernel,
    raw: Raw,
    out_dot: Floats | None,
    keep_states: bool,
    crossings: Crossings | None,
    readings: Readings | None,
) -> Solution:
    k = kernel.n_outputs
    return Solution(
        outputs=raw.out[:, :, :k],
        states=raw.out[:, :, k:] if keep_states else None,
        sensitivities=None if out_dot is None else out_dot[:, :, :k],
        state_sensitivities=None if out_dot is None or not keep_states else out_dot[:, :, k:],
        status=raw.status,
        stopped=raw.reached[:, 0],
        counts=raw.counts[:, _COUNTS],
        largest_error=raw.reached[:, 1],
        switched=raw.reached[:, 2:],
        crossings=crossings,
        method_used=raw.counts[:, layout.METHOD_USED],
        methods=raw.methods,
        time_unit=kernel.TIME_UNIT,
        readings=readings,
    )


def _refuse(how: Mapping[str, Any]) -> None:
    """Raises for arguments that there are not, and says where those of options belong."""
    name = next(iter(how))
    if name in HOW:
        raise InputError(f"{name} says how to integrate: give it as options=pkpd.Options({name}=...)")
    raise TypeError(f"solve() got an unexpected keyword argument {name!r}")


def _possible(kernel: Kernel, options: Options) -> Options:
    """Options whose method the kernel has."""
    if options.method == layout.LINEAR and not kernel.LINEAR:
        raise InputError(f'{kernel.NAME} is not linear in its states; "auto" integrates it')
    method = possible_method(kernel, options.method, options.rtol)
    return options if method == options.method else replace(options, method=method)


class _Group(NamedTuple):
    """Subjects who have the same timeline; who : their indices."""

    timeline: Timeline
    look: Sorted
    who: Any


def _groups(
    n_subjects: int,
    events: EventTable | Sequence[Timeline],
    times: ArrayLike | None,
    places: ArrayLike | None,
    changes: Sequence[GivenChange],
    knots: Mapping[str, tuple[ArrayLike, ArrayLike]] | None,
    start: float | None,
    *others: Any,
) -> list[_Group]:
    if isinstance(events, EventTable):
        if times is None:
            raise InputError("an event table for all subjects goes with output times")
        timeline = Timeline(events, times, places, changes, knots, start)
        return [_Group(timeline, in_order(timeline), EVERYBODY)]
    _nothing_beside_timelines(times, places, changes, knots, start, *others)
    return [_Group(timeline, in_order(timeline), who) for timeline, who in shared(events, n_subjects)]


class _Given(NamedTuple):
    """What all subjects are given, and when they are looked at; time_spans : as ``integrate`` has them."""

    table: Table
    parameters: Floats
    times: Floats
    time_spans: Integers | None


def _given(
    kernel: Kernel,
    p: Floats,
    groups: Sequence[_Group],
    options: Options,
    directions: Directions | None,
    initial: Floats | None,
    factors: ArrayLike | None,
) -> _Given:
    alone = len(groups) == 1
    tables: list[Table] = []
    at_start = p
    for timeline, look, who in groups:
        mine = directions
        if directions is not None and not isinstance(who, slice):
            mine = directions.of(who, len(timeline.events))
        table, changed = table_of(
            kernel,
            p if alone else p[who],
            timeline.events,
            look.times,
            options,
            places=look.places,
            changes=timeline.changes,
            knots=timeline.knots,
            directions=mine,
            initial=initial,
            start=timeline.start,
            factors=factors,
        )
        tables.append(table)
        if alone:
            return _Given(table, changed, look.times, None)
        if timeline.changes or timeline.knots:
            at_start = p.copy() if at_start is p else at_start
            at_start[who] = changed
    members = [group.who for group in groups]
    times, time_spans = _one_after_the_other([group.look for group in groups], members, len(p))
    return _Given(together(tables, members, len(p)), at_start, times, time_spans)


def _derivatives(dots: Floats, directions: Directions) -> Floats:
    """What the integrator found by directions times their scale, (n_subjects, ..., m), by those asked for."""
    count = directions.count
    scale = directions.scale[:, :count].reshape(len(dots), *[1] * (dots.ndim - 2), count)
    found: Floats = dots[..., :count] / scale
    return found


def _fail_where_steep(out: Floats, out_dot: Floats, status: Integers, given: _Given) -> None:
    """A subject whose outputs are numbers and their derivatives are not has failed."""
    none = np.zeros(out.shape[:2], bool)  # what a subject has fewer times than another
    if given.time_spans is not None:
        none = np.arange(out.shape[1]) >= given.time_spans[:, 1:]
    steep = (
        ~(np.isfinite(out_dot).all(axis=(2, 3)) | none).all(axis=1)
        & (np.isfinite(out).all(axis=2) | none).all(axis=1)
        & (status == SUCCESS)
    )
    status[steep], out[steep], out_dot[steep] = SLOPE_NOT_FINITE, np.nan, np.nan


def _answered(
    asked: Asked, raw: Raw, directions: Directions | None, out_dot: Floats | None, given: _Given
) -> Readings | None:
    """Readings, for which the last output of each subject counts too."""
    if raw.read is None:
        return None
    read_dot = None
    if raw.read_dot is not None and directions is not None:
        read_dot = _derivatives(raw.read_dot, directions)
    n_subjects, spans = len(raw.out), given.time_spans
    last = np.arange(n_subjects), -1 if spans is None else spans[:, 1] - 1
    until = np.full(n_subjects, given.times[-1])
    if spans is not None:
        until = given.times[spans.sum(axis=1) - 1]
    last_dot = None if out_dot is None else out_dot[last]
    return answer(asked, raw.read, read_dot, raw.out[last], last_dot, until, raw.status)


def _as_asked(array: Floats, groups: Sequence[_Group]) -> None:
    """Rows of ascending times into the order in which times were given."""
    for _, look, who in groups:
        if look.order is None:
            continue
        if who is EVERYBODY:
            array[:, look.order] = array.copy()
        else:
            array[np.ix_(who, look.order)] = array[who, : look.order.size].copy()


def _nothing_beside_timelines(
    times: Any, places: Any, changes: Any, knots: Any, start: Any, *rest: Any
) -> None:
    named = {
        "times": times,
        "places": places,
        "changes": changes or None,
        "knots": knots,
        "start": start,
    }
    beside = [name for name, value in named.items() if value is not None]
    if beside:
        raise InputError(f"each timeline has its own {beside[0]}: it is not given beside them")
    if any(value is not None for value in rest):
        raise InputError("initial states and factors of doses go with one event table for all subjects")


def _one_after_the_other(
    looks: Sequence[Sorted], members: Sequence[Integers], n_subjects: int
) -> tuple[Floats, Integers]:
    """Output times of all timelines, and where each subject's own stand: (n_subjects, 2)."""
    spans = np.zeros((n_subjects, 2), np.int64)
    at = 0
    for look, who in zip(looks, members, strict=True):
        spans[who] = at, look.times.size
        at += look.times.size
    return np.concatenate([look.times for look in looks]), spans


def _initial(kernel: Kernel, initial: ArrayLike, start: float | None, n_subjects: int) -> Floats:
    states = kernel.with_clock(np.asarray(initial, dtype=np.float64), 0.0 if start is None else start)
    if states.shape != (n_subjects, kernel.n_states) or not np.all(np.isfinite(states)):
        raise InputError(
            f"initial must be finite numbers of shape ({n_subjects}, {kernel.n_states}): "
            f"{', '.join(kernel.STATES)}; not {states.shape}"
        )
    if start is None:
        raise InputError("initial goes with start, the time at which those states hold")
    return states


def _parameters(kernel: Kernel, values: ArrayLike) -> Floats:
    p = np.ascontiguousarray(np.atleast_2d(np.asarray(values, dtype=np.float64)))
    if p.ndim != 2 or p.shape[1] != kernel.n_params or p.shape[0] == 0:
        raise InputError(
            f"values of parameters have shape {np.shape(values)}; {kernel.NAME} takes (n_subjects, "
            f"{kernel.n_params}): {', '.join(kernel.PARAMETERS)}"
        )
    return p


def _roots(
    kernel: Kernel, roots: Sequence[Root | tuple[Any, ...]], n_subjects: int, most: int
) -> tuple[tuple[Root, ...], Levels | None]:
    """The roots, and as the integrator takes them."""
    if most < 1:
        raise InputError(f"most_crossings must be at least 1, not {most!r}")
    if not roots:
        return (), None
    given = tuple(root if isinstance(root, Root) else Root(*root) for root in roots)
    names = [*kernel.OUTPUTS, *kernel.STATES]  # an output hides a state of its name, which is the same
    columns = np.zeros((len(given), 2))
    levels = np.zeros((n_subjects, len(given)))
    for i, root in enumerate(given):
        columns[i] = index_of(root.name, names, "output or state", kernel), root.direction
        if root.direction not in (-1, 0, 1):
            raise InputError(f"the direction of a root is -1, 0 or 1, not {root.direction!r}")
        level = np.asarray(root.level, dtype=np.float64)
        if level.shape not in ((), (n_subjects,)) or not np.all(np.isfinite(level)):
            raise InputError(
                f"the level of {root.name} must be one finite number or {n_subjects}, one for each subject"
            )
        levels[:, i] = level
    return given, Levels(columns, levels, most)


def _non_negative(kernel: Kernel, given: bool | Sequence[str], sensitivities: bool) -> Integers:
    """Indices of the states that must not be negative."""
    if given is False:
        return NONE
    if sensitivities:
        raise InputError("non_negative goes without sensitivities: a clipped step has none")
    names = kernel.named_states if given is True else given
    return np.array([index_of(name, kernel.STATES, "state", kernel) for name in names], dtype=np.int64)


def _crossings(
    roots: tuple[Root, ...], raw: Raw, most: int, directions: Directions | None
) -> Crossings | None:
    if raw.found is None:
        return None
    found, failed = raw.found, raw.status != SUCCESS
    count = found[:, :, layout.COUNT].astype(np.int64)
    count[failed] = -1
    end = layout.FOUND + most
    times = found[:, :, layout.FOUND : end]
    missing = np.arange(most) >= count[:, :, None]
    times[missing] = np.nan
    by = None
    if directions is not None:
        by = _derivatives(found[:, :, end:].reshape(*times.shape, directions.m), directions)
        by[missing] = np.nan
    time_above = found[:, :, layout.TIME_ABOVE].copy()
    time_above[failed] = np.nan
    return Crossings(roots, times, count, found[:, :, layout.ABOVE_AT_START] > 0.0, time_above, by)
