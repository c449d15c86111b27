"""What a person asks to be read off curves, as the integrator takes it, and back.

The integrator reads every quantity in every segment between two edges, which all subjects share; windows
begin and end at edges, and what they hold is put together from their segments: the highest of them, their
sum, the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
_LEVELS = (
    layout.SPENT_ABOVE,
    layout.AREA_ABOVE,
    layout.LAST_ABOVE,
    layout.LAST_BELOW,
    layout.HALVINGS,
    layout.DECLINE,
)
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
    edges = np.array(sorted({float(edge) for reading in given for edge in (reading.start, reading.stop)}))
    columns: dict[int, int] = {}
    known: dict[tuple[Any, ...], int] = {}
    rows: list[tuple[int, int, float, int]] = []
    levels: list[Floats] = []
    which = [(0, 0, 0)] * len(given)
    names_of = [reading.name for reading in given]
    for place in sorted(range(len(given)), key=lambda i: names_of.index(given[i].name)):  # by columns
        reading = given[place]
        _refuse_impossible(reading, sensitivities)
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


def _refuse_impossible(reading: Reading, sensitivities: bool) -> None:
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
        width), outputs and states at the last output time, after the doses of that instant, which no step has
        seen; last_dot : (..., n_directions); until : (n_subjects,), that time.
    """
    q = asked.quantities
    by_found = np.zeros((*found.shape, 0)) if found_dot is None else found_dot
    by_last = np.zeros((*last.shape, 0)) if last_dot is None else last_dot
    values, when = np.full((2, len(found), len(asked.readings)), np.nan)
    dots, when_dots = np.zeros((2, *values.shape, by_found.shape[-1]))
    for r, (reading, (k, first, end)) in enumerate(zip(asked.readings, asked.which, strict=True)):
        kind, column = int(q.kinds[k]), q.columns[q.places[k]]
        window = _Window(
            reading,
            kind,
            told=found[:, first:end, k],
            told_dot=by_found[:, first:end, k],
            edges=q.edges[first : end + 1],
            level=q.levels[:, k],
            last=last[:, column],
            last_dot=by_last[:, column],
            until=until,
        )
        values[:, r], when[:, r], dots[:, r], when_dots[:, r] = _ANSWERS[kind](window)
    for array in (values, when, dots, when_dots):
        array[status != 0] = np.nan
    if found_dot is None:
        return Readings(asked.readings, values, when, None, None)
    return Readings(asked.readings, values, when, dots, when_dots)


@dataclass(frozen=True)
class _Window:
    """What there is to answer one reading from. told : (n_subjects, n_segments, 2), what each segment says;
    edges : (n_segments + 1,) of these; level, last, until : (n_subjects,), the last output and its time;
    told_dot, last_dot : (..., n_directions)."""

    reading: Reading
    kind: int
    told: Floats
    told_dot: Floats
    edges: Floats
    level: Floats
    last: Floats
    last_dot: Floats
    until: Floats

    @property
    def has_last(self) -> NDArray[np.bool_]:
        """(n_subjects,) whether the last output is within: a window ends before the doses of its end."""
        return (self.reading.start <= self.until) & (self.reading.stop == np.inf)

    def of_segment(self, which: Integers) -> tuple[Floats, Floats]:
        """(n_subjects, 2), what a segment says to each, and its tangent."""
        rows = np.arange(len(self.told))
        return self.told[rows, which], self.told_dot[rows, which]


class _Answer(NamedTuple):
    """A reading and when it is, of a decline how it moves with the level, (n_subjects,); and their tangents,
    (n_subjects, n_directions)."""

    value: Floats
    when: Floats | float = np.nan
    dot: Floats | float = 0.0
    when_dot: Floats | float = 0.0


def _sum(window: _Window) -> _Answer:
    seen = ~np.isnan(window.told[..., 1])
    total = np.where(seen, window.told[..., 0], 0.0).sum(axis=1)
    value = np.where(seen.any(axis=1), total, np.nan)
    return _Answer(value, dot=window.told_dot[:, :, 0].sum(axis=1))


def _decline(window: _Window) -> _Answer:
    value, _, dot, _ = _sum(window)
    of_line = -12.0 / (window.reading.stop - window.reading.start) ** 3
    by_level = window.told[..., 1]
    by_level = np.where(np.isnan(by_level), 0.0, by_level).sum(axis=1)
    return _Answer(value * of_line, by_level * of_line, dot * of_line)


def _extreme(window: _Window) -> _Answer:
    sign = -1.0 if window.kind == layout.MINIMUM else 1.0
    heights = sign * window.told[..., 0]
    seen = np.isfinite(window.told[..., 1])
    best = np.argmax(np.where(seen, np.where(np.isnan(heights), np.inf, heights), -np.inf), axis=1)
    none = ~seen.any(axis=1)
    found, found_dot = window.of_segment(best)
    value, when = np.where(none, np.nan, found[:, 0]), found[:, 1]
    dot, when_dot = found_dot[:, 0], found_dot[:, 1]
    later = window.has_last & ((sign * window.last > sign * value) | none)
    value[later], when[later] = window.last[later], window.until[later]
    dot[later], when_dot[later] = window.last_dot[later], 0.0
    return _Answer(value, when, dot, when_dot)


def _latest(told: NDArray[np.bool_]) -> Integers:
    """(n_subjects,) the last segment that says something; the very last where none does."""
    return told.shape[1] - 1 - np.argmax(told[:, ::-1], axis=1)


def _end(window: _Window) -> _Answer:
    found, found_dot = window.of_segment(_latest(~np.isnan(window.told[..., 1])))
    return _Answer(found[:, 0], dot=found_dot[:, 0])


def _last_beyond(window: _Window) -> _Answer:
    told = ~np.isnan(window.told[..., 0])
    latest = _latest(told)
    value = np.where(told.any(axis=1), window.of_segment(latest)[0][:, 0], np.nan)
    edge = window.edges[latest + 1]
    stops = np.minimum(window.until, window.reading.stop)
    value = np.where(np.isinf(value) & (edge < stops), edge, value)
    sign = -1.0 if window.kind == layout.LAST_BELOW else 1.0
    beyond = sign * window.last > sign * window.level
    now = np.where(np.isinf(value), window.until, value)
    return _Answer(np.where(window.has_last, np.where(beyond, np.inf, now), value))


def _halvings(window: _Window) -> _Answer:
    reached = np.maximum(np.searchsorted(window.edges, window.until, side="left"), 1)
    found, _ = window.of_segment(np.minimum(window.told.shape[1], reached) - 1)
    return _Answer(found[:, 0])


_ANSWERS = {
    layout.MAXIMUM: _extreme,
    layout.MINIMUM: _extreme,
    layout.AREA: _sum,
    layout.DECLINE: _decline,
    layout.SPENT_ABOVE: _sum,
    layout.AREA_ABOVE: _sum,
    layout.LAST_ABOVE: _last_beyond,
    layout.LAST_BELOW: _last_beyond,
    layout.HALVINGS: _halvings,
    layout.AT_CLOSE: _end,
}
