"""What a person asks to be read off curves, as the integrator takes it, and back.

The integrator reads every quantity in every segment between two edges, which all subjects share; windows
begin and end at edges, and what they hold is put together from their segments: the highest of them, their
sum, the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.ode import layout
from pkpd.solver.kernel import Kernel, index_of
from pkpd.solver.solution import Floats, Integers, Reading, Readings
from pkpd.solver.task import Quantities

KINDS = {
    "max": layout.MAXIMUM,
    "min": layout.MINIMUM,
    "area": layout.AREA,
    "decline": layout.DECLINE,
    "time_above": layout.SPENT_ABOVE,
    "area_above": layout.AREA_ABOVE,
    "last_above": layout.LAST_ABOVE,
    "last_below": layout.LAST_BELOW,
    "halving": layout.HALVINGS,
    "end": layout.AT_CLOSE,
}
_EXTREMES = (layout.MAXIMUM, layout.MINIMUM)
_SUMS = (layout.AREA, layout.DECLINE, layout.SPENT_ABOVE, layout.AREA_ABOVE)
_LASTS = (layout.LAST_ABOVE, layout.LAST_BELOW)
_LEVELS = (layout.SPENT_ABOVE, layout.AREA_ABOVE, *_LASTS, layout.HALVINGS, layout.DECLINE)
_MAY_HAVE_NONE = (layout.HALVINGS, layout.DECLINE)
SMOOTH = ("max", "min", "area", "area_above", "decline", "end")
"""Of which there are sensitivities."""


@dataclass(frozen=True)
class Asked:
    """Readings, the quantities that they take, and of each which quantity, and from which segment to
    which."""

    readings: tuple[Reading, ...]
    quantities: Quantities
    which: tuple[tuple[int, int, int], ...]

    @property
    def states(self) -> bool:
        """Whether a state is looked at."""
        return self.lowest_state >= 0

    lowest_state: int = -1


def ask(
    kernel: Kernel, readings: Sequence[Reading | tuple[Any, ...]], n_subjects: int, *, sensitivities: bool
) -> Asked | None:
    """Check readings and lay them out. Raises InputError: an unknown kind or name, a window that is none, a
    level that is missing or of another shape."""
    given = tuple(reading if isinstance(reading, Reading) else Reading(*reading) for reading in readings)
    if not given:
        return None
    names = [*kernel.OUTPUTS, *kernel.STATES]  # an output hides a state of its name, which is the same
    edges = np.unique([edge for reading in given for edge in (reading.start, reading.stop)])
    columns: dict[int, int] = {}
    known: dict[tuple[Any, ...], int] = {}
    rows: list[tuple[int, int, float, int]] = []
    levels: list[Floats] = []
    which = [(0, 0, 0)] * len(given)
    names_of = [reading.name for reading in given]
    for place in sorted(range(len(given)), key=lambda i: names_of.index(given[i].name)):  # by columns
        reading = given[place]
        if reading.kind not in KINDS:
            raise InputError(f'there is no reading "{reading.kind}"; there are {", ".join(KINDS)}')
        if sensitivities and reading.kind not in SMOOTH:
            raise InputError(
                f'there are no sensitivities of a reading "{reading.kind}"; there are of {", ".join(SMOOTH)}'
            )
        if not reading.start < reading.stop:
            raise InputError(
                f"the window of a reading must end after it begins, not {reading.start:g} .. {reading.stop:g}"
            )
        kind = KINDS[reading.kind]
        column = index_of(reading.name, names, "output or state", kernel)
        level = _level(reading, kind, n_subjects)
        first = int(np.searchsorted(edges, reading.start))
        end = int(np.searchsorted(edges, reading.stop))
        parameter, since = 0.0, 0
        if kind == layout.DECLINE:
            parameter = 0.5 * (reading.start + reading.stop)
            if not np.isfinite(parameter):
                raise InputError("the window of a decline must begin and end")
        if kind == layout.HALVINGS:
            parameter, since = reading.lowest, first
        key = (kind, column, parameter, since, level.tobytes())
        if key not in known:
            known[key] = len(rows)
            rows.append((kind, columns.setdefault(column, len(columns)), parameter, since))
            levels.append(level)
        which[place] = (known[key], first, end)
    quantities = Quantities(
        edges=edges,
        columns=tuple(columns),
        kinds=np.array([row[0] for row in rows], dtype=np.int64),
        places=np.array([row[1] for row in rows], dtype=np.int64),
        parameters=np.array([row[2] for row in rows]),
        first=np.array([row[3] for row in rows], dtype=np.int64),
        levels=np.column_stack(levels),
    )
    return Asked(given, quantities, tuple(which), max(columns) - kernel.n_outputs)


def _level(reading: Reading, kind: int, n_subjects: int) -> Floats:
    if kind not in _LEVELS:
        if reading.level is not None:
            raise InputError(f'a reading "{reading.kind}" has no level')
        return np.zeros(n_subjects)
    if reading.level is None and kind not in _MAY_HAVE_NONE:
        raise InputError(f'a reading "{reading.kind}" of {reading.name} needs a level')
    level = np.asarray(0.0 if reading.level is None else reading.level, dtype=np.float64)
    if level.shape not in ((), (n_subjects,)) or np.any(np.isinf(level)):
        raise InputError(
            f"the level of {reading.name} must be one finite number or {n_subjects}, one for each subject"
        )
    return np.broadcast_to(level, (n_subjects,)).astype(np.float64)


def answer(
    asked: Asked,
    found: Floats,
    found_dot: Floats | None,
    last: Floats,
    last_dot: Floats | None,
    until: Floats,
    status: Integers,
) -> Readings:
    """What the segments say of each reading.

    found : (n_subjects, n_segments, n_quantities, 2); found_dot : (..., n_directions); last : (n_subjects,
        width), outputs and states at the last output time,
    after the doses of that instant, which no step has seen; last_dot : (..., n_directions); until :
    (n_subjects,), that time.
    """
    q, n = asked.quantities, len(found)
    values = np.full((n, len(asked.readings)), np.nan)
    when = np.full_like(values, np.nan)
    m = 0 if found_dot is None else found_dot.shape[-1]
    dots = np.zeros((n, len(asked.readings), m))
    when_dots = np.zeros_like(dots)
    rows = np.arange(n)
    for r, (reading, (k, first, end)) in enumerate(zip(asked.readings, asked.which, strict=True)):
        part, kind = found[:, first:end, k], int(q.kinds[k])
        # a window ends before the doses of its end
        at_end = (reading.start <= until) & (reading.stop == np.inf)
        instant = last[:, q.columns[q.places[k]]]
        if kind in _SUMS:
            seen = ~np.isnan(part[..., 1])
            total = np.where(seen, part[..., 0], 0.0).sum(axis=1)
            values[:, r] = np.where(seen.any(axis=1), total, np.nan)
            if found_dot is not None:
                dots[:, r] = found_dot[:, first:end, k, 0].sum(axis=1)
            if kind == layout.DECLINE:
                long = reading.stop - reading.start
                values[:, r] *= -12.0 / long**3
                when[:, r] = np.where(seen, part[..., 1], 0.0).sum(axis=1) * (-12.0 / long**3)
                dots[:, r] *= -12.0 / long**3
        elif kind in _EXTREMES:
            sign = -1.0 if kind == layout.MINIMUM else 1.0
            heights = sign * part[..., 0]
            seen = np.isfinite(part[..., 1])
            best = np.argmax(np.where(seen, np.where(np.isnan(heights), np.inf, heights), -np.inf), axis=1)
            none = ~seen.any(axis=1)
            values[:, r] = np.where(none, np.nan, part[rows, best, 0])
            when[:, r] = part[rows, best, 1]
            if found_dot is not None:
                dots[:, r] = found_dot[rows, first + best, k, 0]
                when_dots[:, r] = found_dot[rows, first + best, k, 1]
            later = at_end & ((sign * instant > sign * values[:, r]) | none)
            values[later, r], when[later, r] = instant[later], until[later]
            if last_dot is not None:
                dots[later, r] = last_dot[later, q.columns[q.places[k]]]
                when_dots[later, r] = 0.0
        elif kind == layout.AT_CLOSE:
            told = ~np.isnan(part[..., 1])
            latest = part.shape[1] - 1 - np.argmax(told[:, ::-1], axis=1)
            values[:, r] = part[rows, latest, 0]
            if found_dot is not None:
                dots[:, r] = found_dot[rows, first + latest, k, 0]
        elif kind in _LASTS:
            told = ~np.isnan(part[..., 0])
            latest = part.shape[1] - 1 - np.argmax(told[:, ::-1], axis=1)
            value = np.where(told.any(axis=1), part[rows, latest, 0], np.nan)
            edge = q.edges[first + latest + 1]
            stops = np.minimum(until, reading.stop)
            values[:, r] = np.where(np.isinf(value) & (edge < stops), edge, value)
            sign = -1.0 if kind == layout.LAST_BELOW else 1.0
            beyond = sign * instant > sign * q.levels[:, k]
            now = np.where(np.isinf(values[:, r]), until, values[:, r])
            values[:, r] = np.where(at_end, np.where(beyond, np.inf, now), values[:, r])
        else:
            reached = np.maximum(np.searchsorted(q.edges, until, side="left"), first + 1)
            values[:, r] = found[rows, np.minimum(end, reached) - 1, k, 0]
    for array in (values, when, dots, when_dots):
        array[status != 0] = np.nan
    return Readings(
        asked.readings,
        values,
        when,
        None if found_dot is None else dots,
        None if found_dot is None else when_dots,
    )
