"""A kernel from functions that a user has: ``from_numba``.

Functions compiled by numba, C functions by their address, and plain Python functions all become one thing, a
function ``(t, y, p, written)`` that numba can call; around it stand the C functions that the integrator
takes. They live in this process: nothing of them is kept on disk.

The rates of a function have no symbols to look into. Which rate depends on which state is found by trying
(``pkpd.ode.differences``), and without a Jacobian its entries are differences.
"""

from __future__ import annotations

import ctypes
import dis
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pkpd.ode import layout
from pkpd.ode.compile.lines import written_out
from pkpd.ode.differences import colours, difference_quotients, dense_entries, found_pattern
from pkpd.ode.elimination import Elimination, eliminate, factor_lines, solve_lines
from pkpd.ode.kernel import ARGUMENTS, PLAIN, WIDE, Kernel

if TYPE_CHECKING:
    import numpy.typing as npt

LONGEST = 4000  # lines of ``factor`` that are written out; what takes more is factored as a dense matrix
DOUBLE_P = ctypes.POINTER(ctypes.c_double)
# numbalsoda's: time, states, what is written, parameters
BY_ADDRESS = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_double, DOUBLE_P, DOUBLE_P, DOUBLE_P)
ROLES = {
    "rhs": ("t", "y", "p", "dy"),
    "jacobian": ("t", "y", "p", "J"),
    "outputs": ("t", "y", "p", "out"),
    "initial": ("p", "y"),
}


def from_numba(
    rhs: Any,
    jacobian: Any = None,
    outputs: Any = None,
    *,
    states: int | Sequence[str],
    parameters: int | Sequence[str] | Mapping[str, float] = (),
    output_names: int | Sequence[str] = (),
    initial: Any = None,
    units: Mapping[str, str] | None = None,
    time_unit: str = "h",
    sparsity: npt.ArrayLike | None = None,
    name: str = "functions",
) -> FunctionKernel:
    """A kernel from functions, which ``pkpd.solve`` takes like that of a model.

    Each function is one of three things:

    * compiled by numba, ``@njit``, with the arguments below. It is compiled again as part of what calls it,
      with 0/0 and 1/0 as nan and inf (``error_model="numpy"``), and is run in lanes where numba can do it;
    * a C function, as a ``@cfunc`` of numba or the integer address of one, with the arguments of numbalsoda's
      ``lsoda_sig``: ``(double t, double* y, double* written, double* p)``. No lanes;
    * a Python function with the arguments below: slowly, and with a warning that says so. No lanes, and other
      threads wait for it.

    A dose can be given into every state: the routes have the states' names.

    Parameters
    ----------
    rhs : ``rhs(t, y, p, dy)`` writes the rates of change of the states, (n_states,); y and p, (n_params,),
        are only read. Where it never looks at t, the system is autonomous, which saves a state.
    jacobian : ``jacobian(t, y, p, J)`` writes the derivatives d rate i by state j into J[i, j], (n_states,
        n_states), which holds noughts before. None: difference quotients, as many evaluations of the rates as
        the pattern has colours. They are exact to about 1e-8, which costs steps where rtol is below 1e-9.
        False: there is none, and only explicit methods are used.
    outputs : ``outputs(t, y, p, out)`` writes what is to be seen, (n_outputs,). None: the states.
    states, parameters, output_names : how many, or their names; of parameters also {name: value}.
    initial : the states at the start, (n_states,) numbers or a function ``initial(p, y)``. None: noughts.
    units : {name: unit} of states, parameters and outputs, for tables and figures: nothing is converted.
    time_unit : what a unit of t is.
    sparsity : (n_states, n_states), true where a rate depends on a state. None: found by changing one state
        after the other at the initial values and at some random points, which misses a dependence that is
        only there elsewhere (behind an ``if``): then say it here, or ``numpy.ones((n, n))`` for all.
    name : what tables and errors call it.

    Returns
    -------
    FunctionKernel : a ``Kernel`` with these states, parameters and outputs.

    Raises
    ------
    TypeError : what is given is not a function, takes other arguments, or cannot be compiled.
    ValueError : names or shapes that do not fit, or a function that does not write what it should, or writes
        beyond.

    Examples
    --------
    >>> import numba, numpy as np, pkpd
    >>> @numba.njit
    ... def rhs(t, y, p, dy):
    ...     dy[0] = -p[0] * y[0]
    ...     dy[1] = p[0] * y[0] - p[1] * y[1]
    >>> kernel = pkpd.from_numba(
    ...     rhs, states=["depot", "central"], parameters={"ka": 1.0, "k": 0.1}, initial=[1, 0]
    ... )
    >>> pkpd.solve(kernel, kernel.VALUES, pkpd.EventTable.empty(), [0.0, 10.0]).outputs.shape
    (1, 2, 2)
    """
    given = {"rhs": rhs, "jacobian": jacobian, "outputs": outputs, "initial": initial}
    state_names = _names(states, "y", "states")
    parameter_names = _names(parameters, "p", "parameters")
    if not state_names:
        raise ValueError("states must be a number from 1 on, or names")
    if outputs is None:
        seen = state_names
    else:
        seen = _names(output_names, "out", "output_names")
        if not seen:
            raise ValueError("outputs is a function: say in output_names how many it writes, or their names")
    for role in ("rhs", "jacobian", "outputs"):
        if given[role] is None or (role == "jacobian" and given[role] is False):
            continue
        given[role] = _function(given[role], role)
    if callable(initial):
        given["initial"] = _function(initial, "initial")
    elif initial is not None:
        start = np.asarray(initial, dtype=np.float64)
        if start.shape != (len(state_names),) or not np.all(np.isfinite(start)):
            raise ValueError(
                f"initial must be {len(state_names)} finite numbers, one for each of "
                f"{', '.join(state_names)}, or a function initial(p, y); not shape {start.shape}"
            )
        given["initial"] = start
    known = parameters.values() if isinstance(parameters, Mapping) else [np.nan] * len(parameter_names)
    values = np.array([*known], dtype=np.float64)
    names = _Names(name, state_names, parameter_names, seen, dict(units or {}), time_unit)
    import numba

    try:
        return FunctionKernel(given, names, values, sparsity)
    except numba.core.errors.NumbaError as error:
        raise TypeError(f"numba cannot compile one of the functions: {error}") from error


class _Names(NamedTuple):
    """What a kernel and its parts are called; units : by name."""

    name: str
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    outputs: tuple[str, ...]
    units: dict[str, str]
    time_unit: str


def _names(given: int | Sequence[str] | Mapping[str, float], letter: str, what: str) -> tuple[str, ...]:
    names = tuple(f"{letter}{i + 1}" for i in range(given)) if isinstance(given, int) else tuple(given)
    for one in names:
        if not (isinstance(one, str) and one.isidentifier()):
            raise ValueError(f"{what} must be a number, or names made of letters, digits and _; not {one!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"{what} names something twice: {', '.join(names)}")
    if what == "states" and "t" in names:
        raise ValueError('a state cannot be called "t", which is the time')
    return names


# ---- functions of three kinds --------------------------------------------------------------------


class Function(NamedTuple):
    """core : what numba calls, ``core(t, y, p, written)`` over arrays; inlined : whether its arrays may be of
    any strides; timed : whether it may look at t; python : the same as Python code, if there is any; keep :
    what must live as long as it is called."""

    core: Any
    inlined: bool
    timed: bool
    python: Callable[..., Any] | None
    keep: Any


def _function(given: Any, role: str) -> Function:
    import numba

    python = getattr(given, "py_func", None)
    if python is not None:
        _check_arguments(python, role)
        fast = given.targetoptions.get("fastmath", False)
        core = numba.njit(error_model="numpy", fastmath=fast)(python)
        return Function(core, True, _looks_at_time(python), python, given)
    address = given if isinstance(given, int | np.integer) else getattr(given, "address", None)
    if isinstance(address, int | np.integer) and role != "initial":
        return Function(_by_address(int(address)), False, True, None, given)
    if not callable(given) or isinstance(given, type):
        raise TypeError(
            f"{role} must be a function compiled by numba's njit, a cfunc or its address, or a Python "
            f"function; not {type(given).__name__}"
        )
    _check_arguments(given, role)
    if role == "initial":
        raise TypeError("initial must be numbers, or a function compiled by numba's njit")
    warnings.warn(
        f"{role} is a plain Python function: every step calls the interpreter, some hundred times slower "
        "than compiled code; write @numba.njit above it, and it is compiled",
        RuntimeWarning,
        stacklevel=3,
    )
    return Function(None, False, _looks_at_time(given), given, given)


def _check_arguments(function: Any, role: str) -> None:
    code = getattr(function, "__code__", None)
    if code is not None and code.co_argcount != len(ROLES[role]):
        raise TypeError(
            f"{role} takes {code.co_argcount} arguments; it is called as "
            f"{role}({', '.join(ROLES[role])}) and writes into {ROLES[role][-1]}"
        )


def _looks_at_time(function: Any) -> bool:
    """Whether a function ever loads its first argument."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_argcount < 4:
        return True
    first = code.co_varnames[0]
    if first in code.co_cellvars:
        return True
    for step in dis.get_instructions(code):
        read = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if "LOAD" in step.opname and first in read:
            return True
    return False


def _by_address(address: int) -> Any:
    """A function of numbalsoda's signature, over contiguous arrays."""
    import numba

    function = BY_ADDRESS(address)

    @numba.njit(error_model="numpy")
    def core(t, y, p, written):
        function(t, y.ctypes, written.ctypes, p.ctypes)

    return core


def _by_python(function: Callable[..., Any], shapes: tuple[tuple[int, ...], ...]) -> tuple[Any, Any]:
    """A Python function behind an address, over arrays of these shapes: y, p, written; and what to keep.

    Where it raises, what it writes is nan. Errors of arithmetic (a step may try a root of a negative number)
    are left at that, others are shown by Python, once.
    """
    shown: set[type[BaseException]] = set()

    def called(t: float, y: Any, written: Any, p: Any) -> None:
        arrays = [
            np.ctypeslib.as_array(pointer, shape) if 0 not in shape else np.zeros(shape)
            for pointer, shape in zip((y, p, written), shapes, strict=True)
        ]
        try:
            function(t, *arrays)
        except BaseException as error:
            arrays[2][...] = np.nan
            if not isinstance(error, ArithmeticError | ValueError) and type(error) not in shown:
                shown.add(type(error))
                raise

    callback = CALLBACK(called)
    address = ctypes.cast(callback, ctypes.c_void_p).value
    assert address is not None
    return _by_address(address), callback


# ---- the kernel ----------------------------------------------------------------------------------


class FunctionKernel(Kernel):
    """The kernel of functions; see ``from_numba``."""

    has_tangents = False

    def __init__(
        self,
        given: dict[str, Any],
        names: _Names,
        values: npt.NDArray[np.float64],
        sparsity: npt.ArrayLike | None,
    ) -> None:
        super().__init__()
        name, states, parameters, outputs, units, time_unit = names
        functions = {role: one for role, one in given.items() if isinstance(one, Function)}
        n, m = len(states), len(parameters)
        self._n, self._kept = n, list[Any]()
        self._initial = given["initial"]
        self.timed = any(one.timed for role, one in functions.items() if role != "initial")
        size = n + self.timed
        shapes = {"rhs": (n,), "jacobian": (n, n), "outputs": (len(outputs),)}
        for role, one in functions.items():
            if one.core is None:
                assert one.python is not None
                core, keep = _by_python(one.python, ((n,), (m,), shapes[role]))
                functions[role] = one._replace(core=core, keep=(one.keep, keep))
        self.functions = functions
        self.has_jacobian = given["jacobian"] is not False

        self.NAME, self.HASH, self.TIME_UNIT = name, "", time_unit
        self.STATES = (*states, "t") if self.timed else states
        self.STATE_UNITS = tuple(time_unit if one == "t" else units.get(one, "1") for one in self.STATES)
        self.STEADY = (False,) * size
        self.PARAMETERS, self.VALUES = parameters, values
        self.UNITS = tuple(units.get(one, "1") for one in parameters)
        self.KINDS, self.BETWEEN = ("parameter",) * m, (None,) * m
        self.LOWER, self.UPPER = np.full(m, -np.inf), np.full(m, np.inf)
        self.OUTPUTS = outputs
        self.OUTPUT_UNITS = tuple(units.get(one, "1") for one in outputs)
        self.OUTPUT_DESCRIPTIONS = ("",) * len(outputs)
        self.ROUTES, self.ROUTE_SPEEDS = states, ("",) * n
        self.ROUTE_TARGETS = np.arange(n)
        self.DOSE_UNITS = {one: {units[one]: 1.0} if one in units else {} for one in states}
        self.SIZES = {"m2": -1, "kg": -1}
        self.LINEAR, self.CONDITIONS = False, ()
        self.N_CONSTANTS = self.N_DCONSTANTS = self.N_TIMERS = 0

        self._check(sparsity)
        entries = self._entries(sparsity)
        self.J_ROWS, self.J_COLS = np.array(entries, dtype=np.int64).reshape(-1, 2).T.copy()
        self.N_LU = len(entries) if self._elimination is None else len(self._elimination.slots)

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self.NAME} is made of functions, which live in this process and cannot be sent to another: "
            "take threads"
        )

    def _check(self, sparsity: npt.ArrayLike | None) -> None:
        """Try the functions once, as Python where there is any: there, what is beyond an array is noticed."""
        if sparsity is not None and np.shape(sparsity) != (self._n, self._n):
            raise ValueError(
                f"sparsity must have shape ({self._n}, {self._n}), a row for each rate and a column for each "
                f"state; not {np.shape(sparsity)}"
            )
        p = np.where(np.isfinite(self.VALUES), self.VALUES, 1.0)
        written = {
            "initial": (self._n,),
            "rhs": (self._n,),
            "jacobian": (self._n, self._n),
            "outputs": (self.n_outputs,),
        }
        for role, shape in written.items():
            one = self.functions.get(role)
            if one is None or one.python is None:
                continue
            arrays = [p.copy(), np.zeros(shape)]
            try:
                with np.errstate(all="ignore"):
                    one.python(*arrays) if role == "initial" else one.python(0.0, self._start(), *arrays)
            except IndexError as error:
                raise ValueError(
                    f"{role} reads or writes beyond its arrays, made for {self._n} states, {self.n_params} "
                    f"parameters and {shape} of {ROLES[role][-1]}: {error}"
                ) from error
            except Exception:  # what cannot run as Python, or not at this point: the compiled one tells
                if not one.inlined:
                    raise
        if not self._writes(self._start(), p):
            raise ValueError(
                "rhs does not write all of dy, or writes into y or p: it is called as rhs(t, y, p, dy) and "
                "writes dy[0] to dy[n_states - 1]; a C function as rhs(t, y, dy, p)"
            )

    def _writes(self, y: npt.NDArray[np.float64], p: npt.NDArray[np.float64]) -> bool:
        mark = 1.2345678e-301
        size = self.n_states
        state, parameters = np.append(y, np.zeros(size - self._n)), np.append(p, 0.0)
        before = state.copy(), parameters.copy()
        rates = np.full(layout.wide(size), mark)
        _c_call(self.address("rhs"), state, parameters, rates)
        same = np.array_equal(state, before[0]) and np.array_equal(parameters, before[1])
        return bool(same and not np.any(rates[: self._n] == mark))

    def _start(self) -> npt.NDArray[np.float64]:
        """Initial values, as far as they are known."""
        if isinstance(self._initial, np.ndarray):
            return self._initial.copy()
        y = np.ones(self._n)
        if isinstance(self._initial, Function) and np.all(np.isfinite(self.VALUES)):
            self._initial.core(self.VALUES, y)
        return y

    # ---- the Jacobian

    def _entries(self, sparsity: npt.ArrayLike | None) -> list[tuple[int, int]]:
        """(row, column) of every entry, by rows; all of them where the matrix is factored as a dense one."""
        n, size = self._n, self.n_states
        self._elimination: Elimination | None = eliminate([], size)
        if not self.has_jacobian:
            self._pattern = np.zeros((n, n), bool)
            return [(i, i) for i in range(size)]
        if sparsity is None:
            self._pattern = found_pattern(self._rates, self._start(), self.VALUES)
            if "jacobian" in self.functions:
                self._pattern |= self._nonzero()
        else:
            self._pattern = np.asarray(sparsity, dtype=bool)
        whole = np.eye(size, dtype=bool)
        whole[:n, :n] |= self._pattern
        whole[:n, n:] = True
        entries = [(int(i), int(j)) for i, j in zip(*np.nonzero(whole), strict=True)]
        full = 2 * len(entries) > size * size and size**3 > 3 * LONGEST  # plainly, without counting
        self._elimination = None if full else eliminate(entries, size)
        if self._elimination is None or _work(self._elimination) > LONGEST:
            self._elimination = None
            return [(i, j) for i in range(size) for j in range(size)]
        return entries

    def _rates(self, t: float, y: npt.NDArray[np.float64], p: npt.NDArray[np.float64]) -> Any:
        rates = np.zeros(layout.wide(self.n_states))
        state = np.append(y, t) if self.timed else y.copy()
        _c_call(self.address("rhs"), state, np.append(p, 0.0), rates)
        return rates[: self._n]

    def _nonzero(self) -> npt.NDArray[np.bool_]:
        """Where the given Jacobian is not nought at the initial values and at a random point."""
        n = self._n
        found = np.zeros((n, n), dtype=bool)
        random = np.random.default_rng(2)
        p = np.where(np.isfinite(self.VALUES), self.VALUES, random.uniform(0.5, 2.0, self.n_params))
        for factor in (1.0, random.uniform(0.5, 2.0, n)):
            dense = np.zeros((n, n))
            self.functions["jacobian"].core(0.0, np.ascontiguousarray(self._start() * factor), p, dense)
            found |= dense != 0.0
        return found

    @cached_property
    def _jacobian_core(self) -> Any:
        """``(t, y, p, entries)``, for numba."""
        rhs, given = self.functions["rhs"].core, self.functions.get("jacobian")
        entries = list(zip(self.J_ROWS.tolist(), self.J_COLS.tolist(), strict=True))
        if given is not None:
            return dense_entries(rhs, given.core, entries, self._n)
        return difference_quotients(rhs, entries, colours(self._pattern), self._pattern)

    # ---- addresses

    @cached_property
    def has_lanes(self) -> bool:  # type: ignore[override]
        """Whether numba can compile the functions for arrays of any strides."""
        if not all(one.inlined for one in self.functions.values()):
            return False
        import numba

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", numba.NumbaPerformanceWarning)
                self.wide_address  # noqa: B018
        except (numba.core.errors.NumbaError, numba.NumbaPerformanceWarning):
            return False
        return True

    def needed(self, columns: Sequence[int]) -> npt.NDArray[np.int64]:
        k = self.n_outputs
        if "outputs" in self.functions and min(columns) < k:
            return np.arange(self.n_states)
        return np.array(sorted({c if c < k else c - k for c in columns}), dtype=np.int64)

    def _lines(self, name: str) -> list[str] | None:
        """The lines of what is written out instead of compiled by numba."""
        n = self._n
        if name == "constants":
            return ["pass"]
        if name == "routes":
            return [f"out[{i}] = {float(i % 4 == 1)}" for i in range(4 * n)]
        if name == "outputs" and "outputs" not in self.functions:
            return [f"out[{i}] = y[{i}]" for i in range(n)]
        if name == "initial" and "initial" not in self.functions:
            start = np.zeros(n) if self._initial is None else self._initial
            return [f"y[{i}] = {value!r}" for i, value in enumerate(start.tolist())]
        if name == "factor" and self._elimination is not None:
            entries = list(zip(self.J_ROWS.tolist(), self.J_COLS.tolist(), strict=True))
            return factor_lines(self._elimination, entries, self.STATES)
        if name == "solve" and self._elimination is not None:
            return solve_lines(self._elimination, self.STATES)
        return None

    def _compile(self, name: str) -> int:
        base, _, wide = name.partition("_")
        if name not in (*PLAIN, *WIDE):
            raise ValueError(f"a kernel of functions has no function {name!r}")
        if base in ("jacobian", "factor", "solve") and not self.has_jacobian:
            return 0
        lines = self._lines(base)
        if lines is not None:
            return written_out(name, ARGUMENTS[base], lines)
        n, size, m = self._n, self.n_states, self.n_params
        if base in ("factor", "solve"):
            return self._by_numba(_dense(base, size, bool(wide)))
        if base == "initial":
            return self._by_numba(_initial(self.functions[base].core, n, m))
        core = self._jacobian_core if base == "jacobian" else self.functions[base].core
        length = {"rhs": n, "outputs": self.n_outputs}.get(base) or len(self.J_ROWS)
        make = _wide if wide else _single
        return self._by_numba(make(core, n, size, m, length, base == "rhs"))

    def _compile_look(self, columns: tuple[int, ...], how: str) -> int:
        k = self.n_outputs
        if "outputs" in self.functions and min(columns) < k:
            core = self.functions["outputs"].core
            return self._by_numba(_look(core, self._n, self.n_states, self.n_params, k, columns, how))
        places = [column if column < k else column - k for column in columns]
        if how == "one":
            lines = ["place = int(out[0])"]
            for i, place in enumerate(places):
                lines += [f"if place == {i}:", f"    out[0] = y[{place}]"]
        else:
            lines = [f"out[{i}] = y[{place}]" for i, place in enumerate(places)]
        return written_out(f"look_{how}", ("y", "p", "out"), lines, wide=how == "wide")

    def _by_numba(self, made: Any) -> int:
        self._kept.append(made)
        return int(made.address)


def _c_call(address: int, *arrays: npt.NDArray[np.float64]) -> None:
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))(address)(*(a.ctypes.data for a in arrays))


def _work(elimination: Elimination) -> int:
    """Lines of ``factor``."""
    return sum(len(elimination.below(k)) * (1 + len(elimination.right(k))) for k in elimination.order)


# ---- C functions around functions that numba can call --------------------------------------------


def _c_function(n_arguments: int = 3) -> Any:
    import numba
    from numba import types

    pointer = types.CPointer(types.float64)
    return numba.cfunc(types.void(*[pointer] * n_arguments), error_model="numpy")


def _single(core: Any, n: int, size: int, m: int, length: int, rates: bool) -> Any:
    """``(y, p, written)``, of which core writes ``length`` elements; rates : and behind them come that of the
    time and noughts, up to whole vectors."""
    from numba import carray

    timed, end = size > n, layout.wide(size) if rates else length

    @_c_function()
    def single(y, p, written):
        state = carray(y, (size,))
        found = carray(written, (end,))
        core(state[n] if timed else 0.0, state[:n], carray(p, (m,)), found[:length])
        if rates:
            for i in range(size, end):
                found[i] = 0.0
            if timed:
                found[n] = 1.0

    return single


def _wide(core: Any, n: int, size: int, m: int, length: int, rates: bool) -> Any:
    """The same for LANES subjects: element i of lane l stands at [i*LANES + l]."""
    from numba import carray

    timed, lanes, end = size > n, layout.LANES, size if rates else length

    @_c_function()
    def wide(y, p, written):
        state = carray(y, (size, lanes))
        parameters = carray(p, (m, lanes))
        found = carray(written, (end, lanes))
        for lane in range(lanes):
            t = state[n, lane] if timed else 0.0
            core(t, state[:n, lane], parameters[:, lane], found[:length, lane])
            if rates and timed:
                found[n, lane] = 1.0

    return wide


def _look(core: Any, n: int, size: int, m: int, k: int, columns: tuple[int, ...], how: str) -> Any:
    """``(y, p, line)``: of the outputs, and the states behind them, these columns."""
    from numba import carray

    count, lanes, width = len(columns), layout.LANES if how == "wide" else 1, k + size
    timed, one = size > n, how == "one"

    @_c_function()
    def look(y, p, line):
        state = carray(y, (size, lanes))
        parameters = carray(p, (m, lanes))
        found = carray(line, (count, lanes))
        everything = np.empty(width)
        for lane in range(lanes):
            core(state[n, lane] if timed else 0.0, state[:n, lane], parameters[:, lane], everything[:k])
            for i in range(size):
                everything[k + i] = state[i, lane]
            if one:
                found[0, lane] = everything[columns[int(found[0, lane])]]
            else:
                for place in range(count):
                    found[place, lane] = everything[columns[place]]

    return look


def _initial(core: Any, n: int, m: int) -> Any:
    from numba import carray

    @_c_function(2)
    def initial(p, y):
        core(carray(p, (m,)), carray(y, (n,)))

    return initial


def _dense(name: str, size: int, wide: bool) -> Any:
    """``factor(J, d, LU)`` or ``solve(LU, b)`` of a dense matrix, reciprocal pivots on the diagonal."""
    import numba
    from numba import carray, types

    lanes = layout.LANES if wide else 1
    pointer = types.CPointer(types.float64)

    @numba.njit(error_model="numpy")
    def eliminated(given, d, a):
        for i in range(size):
            for j in range(size):
                a[i, j] = -given[i, j]
            a[i, i] += d
        for k in range(size):
            a[k, k] = 1.0 / a[k, k]
            for i in range(k + 1, size):
                if a[i, k] != 0.0:
                    a[i, k] *= a[k, k]
                    for j in range(k + 1, size):
                        a[i, j] -= a[i, k] * a[k, j]

    @numba.njit(error_model="numpy")
    def substituted(a, b):
        for i in range(size):
            for j in range(i):
                b[i] -= a[i, j] * b[j]
        for back in range(size):
            i = size - 1 - back
            for j in range(i + 1, size):
                b[i] -= a[i, j] * b[j]
            b[i] *= a[i, i]

    if name == "solve":

        @_c_function(2)
        def solve(factors, b):
            a, right = carray(factors, (size, size, lanes)), carray(b, (size, lanes))
            for lane in range(lanes):
                substituted(a[:, :, lane], right[:, lane])

        return solve

    if wide:

        @_c_function()
        def factor_wide(given, d, factors):
            matrix, a = carray(given, (size, size, lanes)), carray(factors, (size, size, lanes))
            for lane in range(lanes):
                eliminated(matrix[:, :, lane], d[lane], a[:, :, lane])

        return factor_wide

    @numba.cfunc(types.void(pointer, types.float64, pointer), error_model="numpy")
    def factor(given, d, factors):
        eliminated(carray(given, (size, size)), d, carray(factors, (size, size)))

    return factor
