"""The steady state of a dose that is repeated for ever, by Newton's method on the flow of one interval.

With Phi(y) the state one interval after y, a dose and the infusions still running from earlier ones on the
way, the steady state is a fixed point:

    Phi(y) = y,    (I - M) dy = Phi(y) - y,    M = dPhi/dy,    (I - M) y' = dPhi/dp p'

M and dPhi/dp are sensitivities of the same solve, so that the gradient of a steady state costs no more than a
step towards it (Aprille & Trick, Proc. IEEE 60 (1972) 108-114). Where Newton's step leads away, one interval
of the system's own course is taken instead. For a model that is linear in its states, the matrix exponential
gives Phi(y) = M y + b exactly, from n + 1 solves.

An error of the flow is one of the steady state times 1/(1 - r), with r the largest eigenvalue of M: how much
accumulates. Just below what a saturable elimination can take this is a million and more, so that the flow is
integrated the more closely the more accumulates.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.dosing import time_units_per_day
from pkpd.ode import layout
from pkpd.ode.doses import infusion
from pkpd.solver.directions import Directions
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import Options
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.table import Table
from pkpd.solver.task import Raw, integrate, task_of

# Most are a fraction of a millisecond; cells that multiply take hundreds of hours of their own course
MOST_ITERATIONS = 1000
MOST_ACCUMULATED = (
    1e9  # times what one interval adds: beyond, rounding (1e-16) would be more than 1e-6 of the steady state
)
MOST_CARRIED = 10_000  # doses of before that still act
TIGHTER = 0.1  # the tolerance of the flow against that of the solve, or less where much accumulates
TIGHTEST = 1e-13  # that tolerance at the least
NOISE = 10.0  # a change over an interval of so many tolerances of the flow may be nothing but its error
TINY = 1e-300
AMPLIFIED = (
    1e3  # Newton's steps may stop becoming smaller there: errors of the flow over (1 - the slowest decay)
)
NEGLIGIBLE = 1e-9  # of a state, against the largest value it has had
LOOKS = 0.5 ** np.arange(9, -1, -1)  # when the states are looked at for that, of an interval


def lasting(kernel: Kernel, p: Floats, row: Floats) -> float:
    """How long after its time a dose still acts, by lag and duration, in the subject where it lasts longest.
    row : (layout.DOSE,)."""
    route, size = int(row[layout.DOSE_ROUTE]), int(row[layout.DOSE_SIZE])
    longest = 0.0
    for parameters, of_route in zip(p, _routes(kernel, p)[:, route], strict=True):
        body = parameters[size] if size >= 0 else 1.0
        amount = row[layout.DOSE_AMOUNT] * of_route[layout.BIOAVAILABILITY] * body
        acts = of_route[layout.LAG] + infusion(row, of_route, amount)[0]
        if math.isfinite(acts):
            longest = max(longest, acts)
    return longest


def carried(kernel: Kernel, p: Floats, row: Floats, interval: float) -> int:
    """How many doses before this one still act at its time, or later."""
    if interval == math.inf:
        return 0
    count = math.ceil(lasting(kernel, p, row) / interval)
    if count > MOST_CARRIED:
        raise InputError(
            f"a steady state at an interval of {interval:g} {kernel.TIME_UNIT} has {count} infusions "
            "at a time; "
            "check the duration, or the rate, against the interval"
        )
    return count


def _routes(kernel: Kernel, p: Floats) -> Floats:
    """(n_subjects, n_routes, layout.ROUTE)"""
    values = np.zeros((len(p), len(kernel.ROUTES), layout.ROUTE))
    for mine, parameters in zip(values, p, strict=True):
        kernel.call("routes", parameters, mine)
    return values


def set_row(time: float, place: int) -> Floats:
    """The row that sets all states to those at a place among the subject's own."""
    row = np.full(layout.DOSE, np.nan)
    row[layout.DOSE_TIME], row[layout.DOSE_AMOUNT], row[layout.DOSE_ROUTE] = time, 0.0, -layout.SET
    row[layout.DOSE_SIZE], row[layout.DOSE_SINCE], row[layout.DOSE_FACTOR] = place, -np.inf, -1.0
    return row


def before(row: Floats, interval: float, count: int) -> Floats:
    """The doses of a steady state given 1 .. count intervals before ``row``, as far as they still act at its
    time; (count, layout.DOSE)."""
    rows = np.tile(row, (count, 1))
    rows[:, layout.DOSE_TIME] -= interval * np.arange(count, 0, -1)
    rows[:, layout.DOSE_SINCE] = row[layout.DOSE_TIME]
    return rows


class Flow:
    """One interval of a repeated dose: from states at the time of a dose to those at the time of the next."""

    def __init__(self, kernel: Kernel, row: Floats, interval: float, options: Options) -> None:
        if "t" in kernel.STATES:
            raise InputError(
                f"{kernel.NAME} depends on the time itself, so that a repeated dose has no steady state"
            )
        if not kernel.has_tangents:
            raise InputError(
                f"{kernel.NAME} is made of functions, of which there are no derivatives, and the steady "
                "state of a repeated dose is found by them: give the doses one by one"
            )
        self.kernel = kernel
        self.options = replace(options, rtol=TIGHTER * min(options.rtol, 1e-5), non_negative=False)
        self.rtol = self.options.rtol
        self.row = row.copy()
        self.row[layout.DOSE_TIME] = 0.0
        self.interval = interval
        if interval == 0.0:  # a constant infusion: one that began long ago and goes on
            self.interval = time_units_per_day(kernel.TIME_UNIT)
            self.row[layout.DOSE_TIME] = -1e3 * self.interval
            self.row[layout.DOSE_AMOUNT] = 1e6 * self.interval * row[layout.DOSE_RATE]
            self.row[layout.DOSE_DURATION], self.row[layout.DOSE_SINCE] = np.nan, 0.0
        self.constant = interval == 0.0

    def rows(self, p: Floats) -> Floats:
        """The state is set, then come the doses of before and this one."""
        count = 0 if self.constant else carried(self.kernel, p, self.row, self.interval)
        return np.vstack([set_row(0.0, 0), before(self.row, self.interval, count), self.row])

    def closely(self, rtol: float) -> Flow:
        """The same within a part of the tolerance."""
        found = copy(self)
        atol = self.options.atol
        atol = None if atol is None else np.asarray(atol, dtype=np.float64) * (rtol / self.rtol)
        found.options, found.rtol = replace(self.options, rtol=rtol, atol=atol), rtol
        return found

    def each(
        self, rtol: Floats, p: Floats, y: Floats, directions: Directions | None
    ) -> tuple[Floats, Floats]:
        """As ``along``, each subject within its own tolerance, (n_subjects,)."""
        paths: list[Floats] = []
        tangents: list[Floats] = []
        order: list[Integers] = []
        for one in np.unique(rtol):
            (who,) = np.nonzero(rtol == one)
            mine = None if directions is None else replace(directions, scale=directions.scale[who])
            path, tangent = self.closely(float(one)).along(p[who], y[who], mine)
            paths.append(path)
            tangents.append(tangent)
            order.append(who)
        back = np.argsort(np.concatenate(order))
        return np.concatenate(paths)[back], np.concatenate(tangents)[back]

    def along(self, p: Floats, y: Floats, directions: Directions | None) -> tuple[Floats, Floats]:
        """States after parts of an interval (n_subjects, n_looks, n), nan for those that failed; tangents at
        its end: by states, then by ``directions``."""
        n = self.kernel.n_states
        m = 0 if directions is None else directions.count
        wide = -(-(n + m) // layout.LANES) * layout.LANES
        scale = np.ones((len(p), wide))
        scale[:, :n] = np.where(y == 0.0, 1.0, np.abs(y))
        own_dot = np.zeros((len(p), n, wide))
        own_dot[:, np.arange(n), np.arange(n)] = scale[:, :n]
        slots = np.full(self.kernel.n_params, -1, np.int64)
        by_dose = np.zeros((1, wide))
        if directions is not None:
            slots = np.where(directions.slots < 0, -1, directions.slots + n)
            scale[:, n : n + m] = directions.scale[:, :m]
            by_dose[:, n : n + m] = directions.by_dose[:, :m]
        rows = self.rows(p)
        mine = Directions(n + m, slots, scale, np.zeros((n, wide)), by_dose)
        table = Table(rows, np.array([-1] + [0] * (len(rows) - 1)), 0.0, y, own_dot)
        raw = self._integrate(p, table, mine)
        assert raw.out_dot is not None
        tangents = raw.out_dot[:, -1, self.kernel.n_outputs :, : n + m].copy()
        tangents[:, :, :n] /= scale[:, None, :n]
        return raw.out[:, :, self.kernel.n_outputs :], tangents

    def _integrate(self, p: Floats, table: Table, directions: Directions | None) -> Raw:
        width = self.kernel.n_outputs + self.kernel.n_states
        times = np.array(self.interval * LOOKS)
        task = task_of(self.kernel, p, table, times, self.options, width=width, directions=directions)
        return integrate(task)

    def affine(self, p: Floats) -> tuple[Floats, Floats]:
        """M (n_subjects, n, n) and b (n_subjects, n) of a linear model."""
        n = self.kernel.n_states
        y = np.tile(np.vstack([np.zeros(n), np.eye(n)]), (len(p), 1))
        rows = self.rows(p)
        table = Table(rows, np.full(len(rows), -1), 0.0, y)
        raw = self._integrate(np.repeat(p, n + 1, axis=0), table, None)
        after = raw.out[:, -1, self.kernel.n_outputs :].reshape(len(p), n + 1, n)
        return (after[:, 1:] - after[:, :1]).swapaxes(1, 2), after[:, 0]


def steady_state(
    kernel: Kernel,
    p: Floats,
    row: Floats,
    interval: float,
    rest: Floats,
    options: Options,
    directions: Directions | None,
) -> tuple[Floats, Floats | None]:
    """States at the time of a dose, before it, that has been given at every ``interval`` for ever; and their
    tangents.

    row : (layout.DOSE,), the dose; interval 0 : a constant infusion at its rate; rest : (n_subjects, n),
        where the search starts. Returns
    (n_subjects, n), nan where no steady state was found, and (n_subjects, n, m) or None.
    """
    flow = Flow(kernel, row, interval, options)
    if options.method == layout.LINEAR:
        M, b = flow.affine(p)
        y = _solved(np.eye(kernel.n_states) - M, b)
        y[_accumulated(M) > MOST_ACCUMULATED] = np.nan
        return y, None
    y, rtol = _fixed_point(flow, p, rest)
    return y, None if directions is None else _tangents(flow, rtol, p, y, directions)


def _fixed_point(flow: Flow, p: Floats, rest: Floats) -> tuple[Floats, Floats]:
    """States that one interval leaves as they are, (n_subjects, n), nan where none were found; and how
    closely the flow was integrated for it, (n_subjects,)."""
    y = rest.copy()
    found = np.zeros(len(p), bool)
    active = np.arange(len(p))
    best = np.full(len(p), np.inf)
    rtol = np.full(len(p), flow.rtol)
    tolerance = flow.rtol / TIGHTER
    for _ in range(MOST_ITERATIONS):
        path, tangents = flow.each(rtol[active], p[active], y[active], None)
        now, after = y[active], path[:, -1]
        alive = np.isfinite(after).all(axis=1)
        residual = after - now
        change = _solved(np.eye(now.shape[1]) - tangents, residual)
        change[~_moved(tangents, (now != 0.0) | (residual != 0.0))] = 0.0
        newton = now + change
        # converged: neither the flow nor Newton would move it by more than the tolerance of a step
        unit = np.abs(now) + NEGLIGIBLE * np.abs(path).max(axis=1) + TINY
        moved = np.max(np.abs(change) / unit, axis=1)
        apart = np.max(np.abs(residual) / unit, axis=1)
        leads = np.isfinite(newton).all(axis=1) & np.all(
            (newton >= 0.0) | (now < 0.0) | (after < 0.0), axis=1
        )
        settled = (moved >= 0.5 * best[active]) & (moved <= AMPLIFIED * tolerance)
        accumulated = _accumulated(tangents)
        done = leads & (apart <= tolerance) & ((moved <= tolerance) | settled)
        done &= accumulated <= MOST_ACCUMULATED
        wanted = _decade(np.maximum(tolerance / accumulated, TIGHTEST))
        lost = apart <= NOISE * rtol[active]  # among the errors of the flow
        closer = alive & lost & (wanted < rtol[active])
        endless = lost & ~closer & (accumulated > MOST_ACCUMULATED)
        y[active] = np.where(closer[:, None], now, np.where((leads & alive)[:, None], newton, after))
        best[active] = np.where(closer, np.inf, moved)
        rtol[active] = np.where(closer, wanted, rtol[active])
        found[active[done & ~closer]] = True
        active = active[alive & ~endless & (closer | ~done)]
        if not active.size:
            break
    y[~found] = np.nan
    return y, rtol


def _tangents(flow: Flow, rtol: Floats, p: Floats, y: Floats, directions: Directions) -> Floats:
    """(n_subjects, n, m) of the fixed points y, nan where these are."""
    y_dot = np.full((*y.shape, directions.m), np.nan)
    found = np.isfinite(y).all(axis=1)
    if found.any():
        y_dot[found] = 0.0
        some = replace(directions, scale=directions.scale[found])
        n = y.shape[1]
        _, tangents = flow.each(rtol[found], p[found], y[found], some)
        by_states, by_directions = tangents[:, :, :n], tangents[:, :, n:]
        y_dot[found, :, : directions.count] = np.linalg.solve(np.eye(n) - by_states, by_directions)
    return y_dot


def _moved(M: Floats, moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n_subjects, n) what is reached from these states: the rest, such as a depot that nobody doses, stays
    at nought but for rounding."""
    while True:
        reached = moved | ((M != 0.0) & moved[:, None, :]).any(axis=2)
        if np.array_equal(reached, moved):
            return moved
        moved = reached


def _accumulated(M: Floats) -> Floats:
    """(n_subjects,) how many times what one interval adds is there in the end, infinite where it does not
    fade; M : (n_subjects, n, n)."""
    found = np.full(len(M), np.inf)
    finite = np.isfinite(M).all(axis=(1, 2))
    fading = 1.0 - np.abs(np.linalg.eigvals(M[finite])).max(axis=1, initial=0.0)
    found[finite] = np.divide(1.0, fading, out=np.full(len(fading), np.inf), where=fading > 0.0)
    return found


def _decade(values: Floats) -> Floats:
    """The power of ten below, so that few differ."""
    return np.asarray(10.0 ** np.floor(np.log10(values * (1.0 + 1e-12))))


def _solved(a: Floats, b: Floats) -> Floats:
    """``a^-1 b`` of every subject; nan where a is singular."""
    answer = np.full(b.shape, np.nan)
    for i, (matrix, side) in enumerate(zip(a, b, strict=True)):
        if np.isfinite(matrix).all() and np.isfinite(side).all():
            try:
                answer[i] = np.linalg.solve(matrix, side)
            except np.linalg.LinAlgError:
                continue
    return answer
