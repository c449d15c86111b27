"""A solver that compiled code calls: ``compiled_solver``.

What ``solve`` lays out in Python for every call is laid out once, and what changes with a call is written by
a function that numba compiles. A call takes its memory from an array of the caller's, so that threads do not
meet as long as each has its own.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pkpd.core.arguments import ABSENT, NUMBER, NUMBERS, TEXT, WHOLE, of, takes
from pkpd.core.errors import InputError
from pkpd.dosing import EventTable
from pkpd.ode import layout
from pkpd.ode.compile.lines import written_out
from pkpd.ode.control import partners
from pkpd.ode.status import SUCCESS, WRONG_ARRAYS, sentence
from pkpd.solver.kernel import Kernel
from pkpd.solver.options import SIMULATION
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.table import dose_rows
from pkpd.solver.task import possible_method, setup_of


@takes(
    kernel=of(Kernel, words="a kernel, such as pkpd.load or pkpd.from_numba gives"),
    events=of(EventTable, words="an event table, such as Schedule.events gives") | ABSENT,
    rtol=NUMBER,
    atol=NUMBERS | ABSENT,
    method=TEXT,
    h_max=NUMBER,
    max_steps=WHOLE,
)
def compiled_solver(
    kernel: Kernel,
    events: EventTable | None = None,
    *,
    rtol: float = SIMULATION,
    atol: ArrayLike | None = None,
    method: str = "auto",
    h_max: float = np.inf,
    max_steps: int = 1_000_000,
) -> CompiledSolver:
    """A solver of one system that code compiled by numba, or any that can call C, calls without Python.

    Parameters
    ----------
    kernel : of the system, from ``load`` or ``from_numba``.
    events : doses, at times of the same clock as those of a call.
    rtol, atol, method, h_max, max_steps : as in ``pkpd.Options``.

    Returns
    -------
    CompiledSolver : ``function(parameters, y, times, out, workspace) -> status``, its C ``address``, and
        ``workspace()``, the room that a call works in; ``help(type(solver))`` has the shapes.

    Raises
    ------
    InputError : events other than doses, an unknown method, tolerances that are none.

    Examples
    --------
    >>> import numba, numpy as np, pkpd
    >>> kernel = pkpd.load("one_compartment_iv")
    >>> solver = pkpd.compiled_solver(kernel, rtol=1e-8)
    >>> advance, room = solver.function, solver.workspace()
    >>> @numba.njit
    ... def left_after(hours, parameters, amount):
    ...     y, times, out = np.array([amount]), np.array([0.0, hours]), np.empty((2, 2))
    ...     status = advance(parameters, y, times, out, room.copy())
    ...     return y[0] if status == 0 else np.nan
    >>> 0.0 < left_after(3.0, kernel.VALUES, 100.0) < 100.0
    True
    """
    if method not in layout.METHODS:
        raise InputError(f'unknown method "{method}"; there are {", ".join(layout.METHODS)}')
    if not 0.0 < rtol < 1.0:
        raise InputError(f"rtol must lie between 0 and 1, not {rtol!r}")
    if not h_max > 0.0:
        raise InputError(f"h_max, the longest step, must be a time above 0, not {h_max!r}")
    method = possible_method(kernel, method, rtol)
    events = EventTable.empty() if events is None else events
    if not (events.only_doses and np.all(np.isfinite(events.amount))):
        raise InputError(
            "a compiled solver takes doses of finite amounts and no other events: set states and parameters "
            "between its calls"
        )
    scale = None
    if atol is not None:
        scale = np.zeros(kernel.n_states)
        given = kernel.with_clock(np.asarray(atol, dtype=np.float64), 0.0)
        if given.shape not in ((), scale.shape) or not np.all(given >= 0.0):
            raise InputError(
                f"atol must be one number or {kernel.n_states}, one for each of {', '.join(kernel.STATES)}, "
                "and none below 0"
            )
        scale[:] = given
    return CompiledSolver(kernel, events, rtol, scale, method, h_max, max_steps)


class CompiledSolver:
    """What ``compiled_solver`` gives.

    ``function(parameters, y, times, out, workspace) -> status``, compiled by numba and to be called in
    compiled code:

    parameters    (n_params,), in the order of ``kernel.PARAMETERS``
    y             (n_states,), states at times[0]; where the status is 0, replaced by those at times[-1]
    times         (n_times,), ascending; they may go on from the last call or not
    out           (n_times, n_outputs), written; an output at a dose's own instant is taken after the dose,
                  but for the last one
    workspace     (workspace_size,), of which nothing is kept between calls; a thread needs its own
    status        0, or why not, for ``sentence``; ``out`` is nan then

    All are contiguous float64 arrays. Doses from times[0] on and before times[-1] are given, so that calls
    that follow each other give each of them once; those before times[0] act as far as they last (a lag, an
    infusion). States are those of ``STATES``, without the time.

    ``start`` is the same but for y, which is only written: from the model's own initial values at times[0].

    ``address`` is that of a C function ``int64_t f(const double* parameters, double* y, const double* times,
    int64_t n_times, double* out, double* workspace)``, which looks at no length; ``start_address`` its like.
    They hold as long as the solver is kept.
    """

    def __init__(
        self,
        kernel: Kernel,
        events: EventTable,
        rtol: float,
        atol: Floats | None,
        method: str,
        h_max: float,
        max_steps: int,
    ) -> None:
        self.kernel = kernel
        self._setup = setup = setup_of(kernel, method, partners(method, rtol), 0, 0, False)
        self.STATES = kernel.named_states
        self._doses = dose_rows(events)
        self._atol = np.zeros(layout.wide(setup.n))
        if atol is not None:
            self._atol[: setup.n] = atol
        self._control = np.zeros(layout.N_CONTROL)
        self._control[[layout.RTOL, layout.AUTOMATIC, layout.H_MAX, layout.MAX_STEPS, layout.SLACK]] = (
            rtol,
            float(atol is None),
            h_max,
            max_steps,
            1.0,
        )
        lengths = {
            "control": layout.N_CONTROL,
            "state": 4 * layout.wide(setup.n) + setup.n_prepared + len(self.STATES),
            "work": setup.work_size,
            "events": 2 * layout.EVENT * len(events),
            "given": kernel.n_params + len(self.STATES),
            "span": layout.SPAN,
            "start": 1,
            "doses": self._doses.size,
            "counts": layout.N_COUNTS,
            "reached": layout.REACHED,
            "status": 1,
        }
        ends = np.cumsum([layout.wide(length) for length in lengths.values()]).tolist()
        self._places = dict(zip(lengths, [0, *ends], strict=False))
        self.workspace_size = int(ends[-1])

    def __repr__(self) -> str:
        return f"<CompiledSolver of {self.kernel.NAME}: {len(self.STATES)} states, {len(self._doses)} doses>"

    def workspace(self, count: int | None = None) -> Floats:
        """(workspace_size,) doubles, or (count, workspace_size) for as many threads."""
        return np.zeros(self.workspace_size if count is None else (count, self.workspace_size))

    def sentence(self, status: int) -> str:
        """What a status means."""
        return sentence(status)

    @cached_property
    def function(self) -> Any:
        """From given states; see above."""
        return self._function(True)

    @cached_property
    def start(self) -> Any:
        """From the model's initial values; see above."""
        return self._function(False)

    @property
    def address(self) -> int:
        """Of ``function`` as a C function."""
        return int(self._c_function.address)

    @property
    def start_address(self) -> int:
        """Of ``start`` as a C function."""
        return int(self._c_start.address)

    @cached_property
    def _c_function(self) -> Any:
        return _c_function(self.function, *self._shape)

    @cached_property
    def _c_start(self) -> Any:
        return _c_function(self.start, *self._shape)

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return self.kernel.n_params, len(self.STATES), self.kernel.n_outputs, self.workspace_size

    def _templates(self, given: bool) -> tuple[Integers, Integers]:
        """Addresses and sizes; given : whether the states at the start are the subject's own."""
        setup, n = self._setup, len(self.STATES)
        address, sizes = setup.address.copy(), setup.sizes.copy()
        sizes[layout.WIDTH] = setup.n_outputs
        if given:
            lines = [f"y[{i}] = p[{setup.n_prepared + i}]" for i in range(n)]
            address[layout.INITIAL] = written_out("given", ("p", "y"), lines)
            sizes[[layout.N_STEADY, layout.N_OWN]] = 0, n
        return address, sizes

    def _function(self, given: bool) -> Any:
        import numba
        from numba import types

        address, sizes = self._templates(given)
        control, doses, atol = self._control, self._doses, self._atol
        run = self._setup.function
        n_doses, w = len(doses), atol.size
        m, n, k, size = self._shape
        at = self._places
        at_control, at_state, at_work, at_events = at["control"], at["state"], at["work"], at["events"]
        at_given, at_span, at_start = at["given"], at["span"], at["start"]
        at_doses, at_counts = at["doses"], at["counts"]
        at_reached, at_status = at["reached"], at["status"]
        read_only = types.Array(types.float64, 1, "C", readonly=True)
        vector, matrix = types.float64[::1], types.float64[:, ::1]

        signature = types.int64(read_only, vector, read_only, matrix, vector)

        @numba.njit(signature, error_model="numpy", nogil=True)
        def function(parameters: Any, y: Any, times: Any, out: Any, workspace: Any) -> Any:
            n_times = times.size
            if parameters.size != m or y.size != n or n_times == 0 or workspace.size < size:
                return WRONG_ARRAYS
            if out.shape[0] != n_times or out.shape[1] != k:
                return WRONG_ARRAYS
            first, last = times[0], times[n_times - 1]
            for i in range(n_times - 1):
                if not times[i] <= times[i + 1]:
                    return WRONG_ARRAYS
            # What a solve reads and changes, anew for every call
            workspace[at_control : at_control + control.size] = control
            workspace[at_state + 2 * w : at_state + 3 * w] = atol
            workspace[at_given : at_given + m] = parameters
            if given:
                workspace[at_given + m : at_given + m + n] = y
            counts = workspace[at_counts:at_reached].view(np.int64)
            counts[:] = 0
            rows = workspace[at_doses : at_doses + doses.size]
            rows[:] = doses.ravel()
            coming = 0
            for e in range(n_doses):
                if doses[e, layout.DOSE_TIME] < first:
                    rows[e * layout.DOSE + layout.DOSE_SINCE] = first
                if doses[e, layout.DOSE_TIME] < last:
                    coming = e + 1
            span = workspace[at_span:at_start].view(np.int64)
            span[layout.DOSES_AT] = span[layout.TIMES_AT] = 0
            span[layout.DOSES_HERE], span[layout.TIMES_HERE] = coming, n_times
            workspace[at_start] = first
            status = workspace[at_status : at_status + 1].view(np.int64)
            none = workspace.ctypes  # is not looked at
            run(
                address.ctypes,
                sizes.ctypes,
                workspace[at_control:].ctypes,
                workspace[at_state:].ctypes,
                workspace[at_given:].ctypes,
                rows.ctypes,
                times.ctypes,
                counts.ctypes,
                out.ctypes,
                workspace[at_work:].ctypes,
                none,
                none,
                workspace[at_events:].ctypes,
                status.ctypes,
                workspace[at_reached:].ctypes,
                none,
                none,
                none,
                none,
                none,
                none,
                span.ctypes,
                workspace[at_start:].ctypes,
                0,
                1,
            )
            if status[0] == SUCCESS:
                for i in range(n):
                    y[i] = workspace[at_state + i]
            else:
                out[:] = np.nan
            return status[0]

        function.solver = self  # whoever keeps the function keeps what it calls
        return function


def _c_function(function: Any, m: int, n: int, k: int, size: int) -> Any:
    import numba
    from numba import carray, types

    pointer = types.CPointer(types.float64)

    @numba.cfunc(types.int64(pointer, pointer, pointer, types.int64, pointer, pointer), error_model="numpy")
    def called(parameters: Any, y: Any, times: Any, n_times: Any, out: Any, workspace: Any) -> Any:
        return function(
            carray(parameters, (m,)),
            carray(y, (n,)),
            carray(times, (n_times,)),
            carray(out, (n_times, k)),
            carray(workspace, (size,)),
        )

    return called
