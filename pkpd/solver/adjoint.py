"""Derivatives of weighted sums of outputs by all parameters, by steps that are taken back from a tape
(``pkpd.ode.adjoint``)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from pkpd.ode import layout
from pkpd.ode.control import partners
from pkpd.ode.status import SUCCESS
from pkpd.solver.executors import Threads, spread
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import Options
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.table import Table
from pkpd.solver.task import NONE, SMALLEST_CHUNK, Raw, SolveTask, aligned, pointer, unit_address

FIRST_ROOM = 256  # steps on a tape, until more are known to be needed
MOST_TAPED = 2**23  # doubles on tapes at a time, unless so few subjects as stand in lanes need more
_CALL = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * 15), ctypes.c_int64)


@dataclass(frozen=True)
class Functionals:
    """Weighted sums of outputs, as many of every subject. weights : (n_subjects, n_functionals, n_times,
    n_outputs); areas : (n_areas, 3), from when to when, of which output; area_weights : (n_subjects,
    n_functionals, n_areas)."""

    weights: Floats
    areas: Floats
    area_weights: Floats

    @property
    def count(self) -> int:
        """Of each subject."""
        return int(self.weights.shape[1])

    def part(self, first: int, end: int) -> Functionals:
        """Those of subjects first .. end-1."""
        parts = [np.ascontiguousarray(array[first:end]) for array in (self.weights, self.area_weights)]
        return Functionals(parts[0], self.areas, parts[1])


def why_not(kernel: Kernel, table: Table, options: Options, kept: Integers = NONE) -> str:
    """Why steps cannot be taken back, in a sentence; nothing where they can."""
    if not kernel.has_backward:
        return "it is made of functions, of which there are no derivatives"
    if len(kernel.CONDITIONS):
        return "its rates jump where conditions change"
    if len(kept):
        return "non_negative changes states between steps"
    explicit = "" if options.method == layout.LINEAR else partners(options.method, options.rtol)[0]
    if explicit != "tsit5":
        return f"{explicit or options.method} has no way back: tsit5 has, as have rodas4 and rodas5p"
    if np.any(table.rows[:, layout.DOSE_ROUTE] < 0):
        return "events set states, or change parameters"
    return ""


def gradients(
    kernel: Kernel,
    p: Floats,
    table: Table,
    times: Floats,
    options: Options,
    functionals: Functionals,
    time_spans: Integers | None = None,
) -> tuple[Raw, Floats]:
    """What ``task.integrate`` gives without readings, and the derivatives of functionals by parameters :
    (n_subjects, n_functionals, n_params), nan for a subject that failed. Arguments as of ``task.task_of``, of
    which ``why_not`` says nothing."""
    width = kernel.n_outputs
    task = SolveTask(
        kernel, p, table, times, time_spans, options, width, None, None, None, NONE, True, FIRST_ROOM
    )
    found = np.full((len(p), functionals.count, kernel.n_params), np.nan)

    def fill(first: int, last: int) -> None:
        room = FIRST_ROOM
        while first < last:
            fitting = MOST_TAPED // (room * (layout.TAPE + kernel.n_states))
            end = min(last, first + max(layout.LANES, min(SMALLEST_CHUNK, fitting)))
            part = replace(task.part(first, end), taped=room)
            needed = _by_tape(part, functionals.part(first, end), found[first:end])
            if needed > room:
                room = needed
            else:
                task.put(first, end, part.results())
                first = end

    threads = options.executor.workers if isinstance(options.executor, Threads) else 1
    spread(fill, len(p), min(threads, len(p)), max(SMALLEST_CHUNK, len(p) // (2 * threads)), None)
    return task.results(), found


def _by_tape(task: SolveTask, functionals: Functionals, found: Floats) -> int:
    """Integrate all subjects, and take them back where the tapes have had room; the most steps of any."""
    tapes = np.empty(task.n_subjects * task.taped * (layout.TAPE + task.setup.n))
    storage, arguments = task.laid_out(0, task.n_subjects, tapes)
    task.setup.function(*arguments)
    raw = task.results()
    needed = int(raw.counts[:, layout.STEPS].max())
    if needed <= task.taped:
        _take_back(task, functionals, arguments, tapes, found)
        found[raw.status != SUCCESS] = np.nan
    del storage  # which the arguments point into
    return needed


def _take_back(
    task: SolveTask, functionals: Functionals, arguments: tuple[int, ...], tapes: Floats, found: Floats
) -> None:
    setup, raw, count = task.setup, task.results(), functionals.count
    sizes = task.sizes.copy()
    sizes[layout.FUNCTIONALS], sizes[layout.N_AREAS] = count, len(functionals.areas)
    n_room, n_work = layout.adjoint_size(
        setup.n,
        setup.n_prepared,
        setup.n_jacobian,
        setup.n_lu,
        setup.n_routes,
        setup.n_outputs,
        int(sizes[layout.N_STEADY]),
        setup.stages,
        count,
    )
    room, work = aligned(n_room), np.empty(n_work)
    address, _, _, _, _, doses, times, counts, _, _, _, _, records, *_ = arguments
    function_of(task.methods[1])(
        address,
        pointer(sizes),
        doses,
        times,
        pointer(task.spans),
        counts,
        records,
        pointer(tapes),
        pointer(raw.status),
        pointer(functionals.weights),
        pointer(functionals.areas),
        pointer(functionals.area_weights),
        pointer(room),
        pointer(work),
        pointer(found),
        task.n_subjects,
    )


@cache
def function_of(stiff: str) -> Any:
    """``pull_back`` of ``pkpd.ode.adjoint`` for tsit5 and this method."""
    return _CALL(unit_address(f"lanes_{stiff}_backward"))
