"""A kernel: a compiled system of ODEs as the solver takes it, however it was made.

It is the addresses of C functions over pointers to doubles, with names, units and patterns beside them. Two
things make one: ``pkpd.solver.kernel.load`` from the text of a model, and ``pkpd.ode.functions.from_numba``
from functions that a user has.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.ode import call, layout

if TYPE_CHECKING:
    import numpy.typing as npt

# Arguments of every function: d is a float64, stride an int64, all others pointers to float64. p is a
# subject's parameters and, behind them, its what holds its conditions and constants (``Kernel.prepared``).
# stride : of how many columns, a multiple of LANES; element i of column l stands at b[i*stride + l].
# solve_lanes is ``solve`` for as many right-hand sides, contract_lanes adds J x to g for one x and a Jacobian
# for each. Tangents are the derivatives of the plain functions along as many directions (model/forward.py).
# Wide functions are the plain ones for LANES subjects: element i of lane l of every array stands at
# [i*LANES + l], and d is an array, too. Backward functions add to y_bar and p_bar the transposed derivatives
# times what a number moves by per unit of what the plain one computes (model/backward.py).
ARGUMENTS = {
    "rhs": ("y", "p", "dy"),
    "jacobian": ("y", "p", "J"),
    "factor": ("J", "d", "LU"),
    "solve": ("LU", "b"),
    "outputs": ("y", "p", "out"),
    "initial": ("p", "y"),
    "routes": ("p", "out"),
    "constants": ("p",),
    "conditions": ("y", "p", "out"),
    "dfdp": ("y", "p", "df"),
    "hessian": ("y", "p", "dJ"),
    "doutputs": ("y", "p", "dout"),
    "dinitial": ("p", "dy"),
    "droutes": ("p", "dout"),
    "dconstants": ("p",),
    "solve_lanes": ("LU", "b", "stride"),
    "contract_lanes": ("J", "x", "g", "stride"),
    "rhs_tangent": ("y", "p", "y_dot", "p_dot", "dy_dot", "stride"),
    "jacobian_tangent": ("y", "p", "y_dot", "p_dot", "J_dot", "stride"),
    "outputs_tangent": ("y", "p", "y_dot", "p_dot", "out_dot", "stride"),
    "initial_tangent": ("p", "p_dot", "y_dot", "stride"),
    "routes_tangent": ("p", "p_dot", "out_dot", "stride"),
    "constants_tangent": ("p", "p_dot", "stride"),
    "conditions_tangent": ("y", "p", "y_dot", "p_dot", "out_dot", "stride"),
    "rhs_wide": ("y", "p", "dy"),
    "jacobian_wide": ("y", "p", "J"),
    "factor_wide": ("J", "d", "LU"),
    "solve_wide": ("LU", "b"),
    "rhs_backward": ("y", "p", "dy_bar", "y_bar", "p_bar"),
    "outputs_backward": ("y", "p", "out_bar", "y_bar", "p_bar"),
    "rhs_backward_wide": ("y", "p", "dy_bar", "y_bar", "p_bar"),
    "jacobian_backward_wide": ("y", "p", "J_bar", "y_bar", "p_bar"),
    "outputs_backward_wide": ("y", "p", "out_bar", "y_bar", "p_bar"),
    "solve_backward_wide": ("LU", "b", "out_bar", "b_bar"),
}
KINDS = {"d": call.DOUBLE, "stride": call.INTEGER}
TANGENT = (
    "rhs_tangent",
    "jacobian_tangent",
    "outputs_tangent",
    "initial_tangent",
    "routes_tangent",
    "constants_tangent",
    "solve_lanes",
    "contract_lanes",
)
WIDE = ("rhs_wide", "jacobian_wide", "factor_wide", "solve_wide")
BACKWARD = (
    "rhs_backward_wide",
    "jacobian_backward_wide",
    "outputs_backward_wide",
    "solve_backward_wide",
    "rhs_backward",
    "outputs_backward",
)
PACKED = {
    "rhs": "dy",
    "solve": "b",
}  # written as whole vectors: these arrays are ``layout.wide(n_states)`` long
PLAIN = tuple(ARGUMENTS)[:8]
SENSITIVITY = ("dfdp", "hessian", "doutputs", "dinitial", "droutes", "dconstants")

_CTYPES = {call.DOUBLE: ctypes.c_double, call.INTEGER: ctypes.c_int64, call.DOUBLES: ctypes.c_void_p}
_lock = threading.RLock()


INTEGRAL_OF = "integral of "  # begins the name of a state that is the integral of an output


class Kernel:
    """The compiled functions and the constants of one system of ODEs.

    Names and units are tuples of str; ``VALUES``, ``LOWER``, ``UPPER`` are float64 arrays of length
    n_params; patterns are int64 arrays. The functions are those of ``ARGUMENTS``; entry e of the Jacobian is
    row ``J_ROWS[e]``, column ``J_COLS[e]``, every diagonal one among them. A system whose rates depend on the
    time, or without a state of its own, has a last state "t", which is the time. Where no rate depends on
    either, the integrals of outputs that move are states before it, so that steps follow them.

    ``load`` makes one of a model, ``from_numba`` one of functions.

    Attributes
    ----------
    NAME, HASH : what it is called, and what tells it from others.
    TIME_UNIT : of all times, such as "h".
    STATES, STATE_UNITS : (n_states,).
    PARAMETERS, UNITS : (n_params,), parameters and covariates.
    VALUES, LOWER, UPPER : (n_params,), in ``UNITS``: their values and bounds.
    OUTPUTS, OUTPUT_UNITS, OUTPUT_DESCRIPTIONS : (n_outputs,).
    HAZARDS : (n_hazards,), kinds of event; that called NAME has the outputs ``hazard_NAME``,
        ``cumulative_hazard_NAME`` and ``survival_NAME``.
    ROUTES : (n_routes,), by which doses are given; ``ROUTE_TARGETS`` are the indices of the states they
        enter.
    DOSE_UNITS : of each route, the units a dose may have, with the factor to the unit of its state.

    Examples
    --------
    >>> import pkpd
    >>> kernel = pkpd.load("michaelis_menten")
    >>> kernel.STATES, kernel.ROUTES, kernel.TIME_UNIT
    (('depot', 'central'), ('oral', 'iv'), 'd')
    >>> kernel.n_params
    5
    """

    NAME: str
    HASH: str
    TIME_UNIT: str
    STATES: tuple[str, ...]
    STATE_UNITS: tuple[str, ...]
    STEADY: tuple[bool, ...]
    PARAMETERS: tuple[str, ...]
    VALUES: npt.NDArray[np.float64]
    UNITS: tuple[str, ...]
    KINDS: tuple[str, ...]
    LOWER: npt.NDArray[np.float64]
    UPPER: npt.NDArray[np.float64]
    BETWEEN: tuple[tuple[Any, ...] | None, ...]
    CORRELATIONS: tuple[tuple[str, str, float], ...] = ()  # of ETAs, by the names of two parameters
    OUTPUTS: tuple[str, ...]
    OUTPUT_UNITS: tuple[str, ...]
    OUTPUT_DESCRIPTIONS: tuple[str, ...]
    HAZARDS: tuple[str, ...] = ()
    ROUTES: tuple[str, ...]
    ROUTE_TARGETS: npt.NDArray[np.int64]
    ROUTE_SPEEDS: tuple[str, ...]
    DOSE_UNITS: dict[str, dict[str, float]]
    SIZES: dict[str, int]
    LINEAR: bool
    N_LU: int
    N_CONSTANTS: int
    N_DCONSTANTS: int
    CONDITIONS: tuple[str, ...]
    N_TIMERS: int
    J_ROWS: npt.NDArray[np.int64]
    J_COLS: npt.NDArray[np.int64]

    model: Any  # of a kernel that was made from one
    has_tangents = True  # whether there are tangents, which sensitivities need
    has_backward = False  # whether there are functions backwards, for gradients
    has_lanes = True  # whether there are wide functions, for subjects side by side
    has_jacobian = True  # whether there is a Jacobian, which the stiff methods need

    def __init__(self) -> None:
        self._addresses: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Kernel {self.NAME} {self.HASH}: {self.n_states} states, {self.n_params} parameters>"

    @property
    def n_states(self) -> int:
        """Number of states, the time ``t`` included where the model uses it."""
        return len(self.STATES)

    @property
    def n_params(self) -> int:
        """Number of parameters and covariates."""
        return len(self.PARAMETERS)

    @property
    def n_prepared(self) -> int:
        """Length of what the functions take as ``p``: parameters, what holds conditions, and constants."""
        return self.n_params + len(self.CONDITIONS) + self.N_CONSTANTS

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return len(self.OUTPUTS)

    @property
    def named_states(self) -> tuple[str, ...]:
        """The states that have a name of their own: all but the last, the time and integrals of outputs."""
        return tuple(name for name in self.STATES if name != "t" and not name.startswith(INTEGRAL_OF))

    def with_clock(self, given: npt.NDArray[np.float64], clock: float) -> npt.NDArray[np.float64]:
        """A value for each state, (..., n_states), where those of the last, without a name of their own, may
        have been left out: the time is then ``clock``, and integrals are nought."""
        n = len(self.named_states)
        if given.ndim == 0 or given.shape[-1] != n:
            return given
        full = np.zeros((*given.shape[:-1], self.n_states))
        full[..., :n] = given
        if self.STATES[-1] == "t":
            full[..., -1] = clock
        return full

    def address(self, name: str) -> int:
        """Address of a C function by name; compiled, or read from the cache, when first asked for."""
        with _lock:
            if name not in self._addresses:
                self._addresses[name] = self._compile(name)
            return self._addresses[name]

    @cached_property
    def plain_address(self) -> npt.NDArray[np.int64]:
        """(8,) addresses of rhs, jacobian, factor, solve, outputs, initial, routes, constants."""
        return np.array([self.address(name) for name in PLAIN], dtype=np.int64)

    @cached_property
    def tangent_address(self) -> npt.NDArray[np.int64]:
        """(8,) addresses of the tangents of rhs, jacobian, outputs, initial, routes, constants, and of
        solve_lanes and contract_lanes."""
        return np.array([self.address(name) for name in TANGENT], dtype=np.int64)

    @cached_property
    def wide_address(self) -> npt.NDArray[np.int64]:
        """(4,) addresses of rhs, jacobian, factor and solve for subjects in lanes."""
        return np.array([self.address(name) for name in WIDE], dtype=np.int64)

    @cached_property
    def backward_address(self) -> npt.NDArray[np.int64]:
        """(6,) addresses of the functions of ``BACKWARD``."""
        return np.array([self.address(name) for name in BACKWARD], dtype=np.int64)

    def look(self, columns: Sequence[int], how: str = "") -> int:
        """Address of a function ``(y, p, line)`` that computes some outputs (0 .. n_outputs-1) and states
        (n_outputs ...) and nothing else.

        how : "wide", in lanes; "one", of the columns only that whose place stands in line[0], where the value
            comes.
        """
        with _lock:
            name = f"look {how} {' '.join(map(str, columns))}"
            if name not in self._addresses:
                self._addresses[name] = self._compile_look(tuple(columns), how)
            return self._addresses[name]

    def needed(self, columns: Sequence[int]) -> npt.NDArray[np.int64]:
        """Indices of the states that ``look`` reads, ascending."""
        raise NotImplementedError

    def _compile(self, name: str) -> int:
        """Address of a function of ``ARGUMENTS``."""
        raise NotImplementedError

    def _compile_look(self, columns: tuple[int, ...], how: str) -> int:
        """Address of ``look``."""
        raise NotImplementedError

    def call(self, name: str, *arguments: npt.NDArray[np.float64] | float) -> None:
        """Call a compiled function from Python, for tests and for looking at numbers. Arrays: contiguous
        float64; p may be bare parameters."""
        kinds: list[Any] = [_CTYPES[KINDS.get(argument, call.DOUBLES)] for argument in ARGUMENTS[name]]
        function = ctypes.CFUNCTYPE(None, *kinds)(self.address(name))
        given = list(arguments)
        if "p" in ARGUMENTS[name]:
            place = ARGUMENTS[name].index("p")
            if np.size(given[place]) == self.n_params and not name.endswith("constants"):
                given[place] = self.prepared(given[place], sensitivities=name in SENSITIVITY)
        filled = ARGUMENTS[name].index(PACKED[name]) if name in PACKED else None
        if filled is not None:
            room = np.zeros(layout.wide(self.n_states))
            room[: self.n_states] = given[filled]
            given[filled] = room
        function(*(a if isinstance(a, float) else a.ctypes.data for a in given))
        if filled is not None:
            arguments[filled][:] = room[: self.n_states]  # type: ignore[index]

    def prepared(self, values: npt.ArrayLike, *, sensitivities: bool = False) -> npt.NDArray[np.float64]:
        """Values of parameters, (n_params,), followed by noughts that hold no condition and by the constants
        that the functions read: what they take as ``p``."""
        more = int(self.N_DCONSTANTS) if sensitivities else 0
        room = np.zeros(self.n_prepared - self.n_params + more)
        p = np.concatenate([np.asarray(values, dtype=np.float64), room])
        self.call("constants", p)
        if sensitivities:
            self.call("dconstants", p)
        return p
