"""Gradients of weighted sums of outputs by all parameters, by steps taken back from a tape (``pkpd.ode.adjoint``)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pkpd.core.errors import InputError
from pkpd.ode import layout
from pkpd.ode.control import partners
from pkpd.ode.status import SUCCESS
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import Options
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.table import Table
from pkpd.solver.task import NONE, SMALLEST_CHUNK, Raw, SolveTask, _pointer, _unit_address

FIRST_ROOM = 256  # steps on a tape, until more are known to be needed
MOST_TAPED = 2**23  # doubles that are on tapes at a time, unless one subject alone needs more
_PULL_BACK = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * 15), ctypes.c_int64)


@dataclass(frozen=True)
class Functionals:
    """Numbers that are weighted sums of outputs, of every subject as many. weights : (n_subjects,
    n_functionals, n_times, n_outputs); areas : (n_areas, 3), from when to when, of which output; area_weights :
    (n_subjects, n_functionals, n_areas)."""

    weights: Floats
    areas: Floats
    area_weights: Floats

    def part(self, who: slice) -> Functionals:
        """Of some subjects."""
        return Functionals(
            np.ascontiguousarray(self.weights[who]), self.areas, np.ascontiguousarray(self.area_weights[who])
        )


def why_not(kernel: Kernel, table: Table, options: Options, kept: Integers = NONE) -> str:
    """What stands in the way of steps taken back; nothing: an empty text."""
    if not kernel.has_backward:
        return "it is made of functions, of which there are no derivatives"
    if len(kernel.CONDITIONS):
        return "its rates jump where conditions change"
    if len(kept):
        return "non_negative changes states between the steps"
    if partners(options.method, options.rtol)[0] in ("", "vern7") or options.method == layout.LINEAR:
        return f"there is no vern7 and no linear method backwards: method {options.method}, rtol {options.rtol:g}"
    if np.any(table.rows[:, layout.DOSE_ROUTE] < 0):
        return "states are set, or parameters change, on the way"
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
    """What ``integrate`` gives without readings, and the derivatives of functionals by the parameters :
    (n_subjects, n_functionals, n_params), nan for a subject that failed. Arguments as for ``task_of``."""
    task = SolveTask(
        kernel, p, table, times, time_spans, options, kernel.n_outputs, None, None, None, NONE, True,
        FIRST_ROOM,
    )  # fmt: skip
    found = np.full((len(p), functionals.weights.shape[1], kernel.n_params), np.nan)
    room = FIRST_ROOM
    first = 0
    while first < len(p):
        fitting = MOST_TAPED // (room * (layout.TAPE + kernel.n_states))
        end = min(len(p), first + max(layout.LANES, min(SMALLEST_CHUNK, fitting)))
        needed = _chunk(replace(task.part(first, end), taped=room), functionals.part(slice(first, end)), found[first:end], task, first)
        if needed <= room:
            first = end
        else:
            room = needed
    return task.results(), found


def _chunk(task: SolveTask, functionals: Functionals, found: Floats, whole: SolveTask, first: int) -> int:
    """Integrate, and take back where the tapes have had room; the steps of the subject that has most."""
    n = task.n_subjects
    tapes = np.empty(n * task.taped * (layout.TAPE + task.setup.n))
    storage, arguments = task.laid_out(0, n, tapes)
    task.setup.function(*arguments)
    raw = task.results()
    needed = int(raw.counts[:, layout.STEPS].max(initial=0))
    if needed > task.taped:
        return needed
    _take_back(task, functionals, storage, arguments, tapes, found)
    whole.put(first, first + n, raw)
    return needed


def _take_back(
    task: SolveTask, functionals: Functionals, storage: Floats, arguments: tuple[int, ...], tapes: Floats, found: Floats
) -> None:
    setup, kernel = task.setup, task.kernel
    count = functionals.weights.shape[1]
    sizes = task.sizes.copy()
    sizes[layout.FUNCTIONALS], sizes[layout.N_AREAS] = count, len(functionals.areas)
    room, work = layout.adjoint_size(
        setup.n, setup.n_prepared, setup.n_jacobian, setup.n_lu, setup.n_routes, setup.n_outputs,
        int(np.count_nonzero(kernel.STEADY)), setup.stages, count,
    )  # fmt: skip
    storage_back = np.zeros(room + work + layout.LANES)
    at = _pointer(storage_back)
    at += -at % (8 * layout.LANES)
    raw = task.results()
    address, _, _, _, _, doses, times, counts, _, _, _, _, records, *_ = arguments
    function = _function(task.methods[1])
    function(
        address, _pointer(sizes), doses, times, _pointer(task.spans), counts, records, _pointer(tapes),
        _pointer(raw.status), _pointer(functionals.weights), _pointer(functionals.areas),
        _pointer(functionals.area_weights), at, at + 8 * room, _pointer(found), task.n_subjects,
    )  # fmt: skip
    found[raw.status != SUCCESS] = np.nan
    del storage


@lru_cache(maxsize=None)
def _function(stiff: str) -> ctypes._CFuncPtr:
    return _PULL_BACK(_unit_address(f"lanes_{stiff}_backward"))
