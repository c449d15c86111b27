"""A model's compiled functions: generated once, kept on disk, found again by every later process.

    kernel = load("il2_treg")            # a name from the library, a path, or a Model
    kernel.STATES, kernel.VALUES         # constants of the generated module
    kernel.address("rhs")                # compiled on first use: a C function rhs(y, p, dy) over float64 pointers

The generated module lies in the cache folder (``PKPD_CACHE_DIR``, else the user's) under the model's name and a hash of
its text, with the machine code of its functions beside it. A process that finds both imports neither sympy nor pint nor
numba, and does not read the model's text beyond hashing it. Files of other hashes are left alone: they belong to other
versions of the model or of this package, and may be deleted at any time.
"""

from __future__ import annotations

import ast
import atexit
import ctypes
import functools
import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pkpd import library
from pkpd.errors import PkpdError
from pkpd.files import replacing
from pkpd.ode import native, unit
from pkpd.ode.layout import LANES
from pkpd.symbolic import GENERATOR

if TYPE_CHECKING:
    import numpy.typing as npt

    from pkpd.symbolic.model import Model

# Arguments of every function: "*" a pointer to float64, "d" a float64, "i" an int64. solve_lanes(LU, b, stride) is ``solve`` for LANES
# right-hand sides at once: element i of lane l stands at b[i*stride + l]. multiply_lanes(J, x, g, stride) adds J x to g for vectors x in
# lanes; contract_lanes(J, x, g, stride) adds J x for one x and a Jacobian in every lane.
ARGUMENTS = {
    "rhs": "***",
    "jacobian": "***",
    "factor": "*d*",
    "solve": "**",
    "outputs": "***",
    "initial": "**",
    "routes": "**",
    "dfdp": "***",
    "hessian": "***",
    "doutputs": "***",
    "dinitial": "**",
    "droutes": "**",
    "solve_lanes": "**i",
    "multiply_lanes": "***i",
    "contract_lanes": "***i",
}
LANE_FUNCTIONS = (
    "solve_lanes",
    "multiply_lanes",
    "contract_lanes",
)  # made from the plain group's solve and Jacobian pattern
PLAIN = tuple(ARGUMENTS)[:7]
SENSITIVITY = tuple(ARGUMENTS)[7:]

_PATTERNS = frozenset(
    "J_ROWS J_COLS P_ROWS P_COLS H_ENTRY H_Z G_ROWS G_Z D_ROWS D_COLS R_ROWS R_COLS ROUTE_TARGETS".split()
)
_SENSITIVITY_CONSTANTS = frozenset("P_ROWS P_COLS H_ENTRY H_Z G_ROWS G_Z D_ROWS D_COLS R_ROWS R_COLS".split())
_FLOATS = frozenset("VALUES LOWER UPPER".split())

_lock = threading.RLock()
_loaded: dict[tuple[str, str], Kernel] = {}


class Kernel:
    """The compiled functions and the constants of one model.

    Constants are those of the generated module, under the same names (``pkpd show MODEL --source`` prints them): names and
    units are tuples of str; ``VALUES``, ``LOWER``, ``UPPER`` are float64 arrays of length n_params; patterns are int64 arrays.
    Those of the sensitivity group (``P_ROWS`` ... ``R_COLS``) cause its generation when first asked for.
    """

    NAME: str
    TITLE: str
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
    OUTPUTS: tuple[str, ...]
    OUTPUT_UNITS: tuple[str, ...]
    OUTPUT_DESCRIPTIONS: tuple[str, ...]
    ROUTES: tuple[str, ...]
    ROUTE_TARGETS: npt.NDArray[np.int64]
    DOSE_UNITS: dict[str, dict[str, float]]
    SIZES: dict[str, int]
    N_LU: int
    J_ROWS: npt.NDArray[np.int64]
    J_COLS: npt.NDArray[np.int64]
    P_ROWS: npt.NDArray[np.int64]
    P_COLS: npt.NDArray[np.int64]
    H_ENTRY: npt.NDArray[np.int64]
    H_Z: npt.NDArray[np.int64]
    G_ROWS: npt.NDArray[np.int64]
    G_Z: npt.NDArray[np.int64]
    D_ROWS: npt.NDArray[np.int64]
    D_COLS: npt.NDArray[np.int64]
    R_ROWS: npt.NDArray[np.int64]
    R_COLS: npt.NDArray[np.int64]
    GENERATOR: int

    def __init__(self, module: ModuleType, digest: str, read: Callable[[], Model]) -> None:
        self.HASH = digest
        self._read = read
        self._modules = [module]
        self._addresses: dict[str, int] = {}
        self._take_constants(module)

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
    def n_outputs(self) -> int:
        """Number of outputs."""
        return len(self.OUTPUTS)

    @property
    def file(self) -> Path:
        """The generated module."""
        return Path(str(self._modules[0].__file__))

    @property
    def source(self) -> str:
        """Text of the generated module."""
        return self.file.read_text(encoding="utf-8")

    @property
    def sensitivity_source(self) -> str:
        """Text of the generated module of the sensitivity group."""
        return Path(str(self._sensitivity().__file__)).read_text(encoding="utf-8")

    def address(self, name: str) -> int:
        """Address of a C function by name; compiled, or read from the cache, when first asked for."""
        with _lock:
            if name not in self._addresses:
                if name not in ARGUMENTS:
                    raise PkpdError(f"a kernel has no function {name!r}; it has {', '.join(ARGUMENTS)}")
                self._addresses[name] = _compile(
                    self._modules[0] if name in PLAIN or name in LANE_FUNCTIONS else self._sensitivity(), name
                )
            return self._addresses[name]

    @functools.cached_property
    def plain_address(self) -> npt.NDArray[np.int64]:
        """(7,) addresses of rhs, jacobian, factor, solve, outputs, initial, routes."""
        return np.array([self.address(name) for name in PLAIN], dtype=np.int64)

    @functools.cached_property
    def sensitivity_address(self) -> npt.NDArray[np.int64]:
        """(8,) addresses of dfdp, hessian, doutputs, dinitial, droutes and the three lane functions."""
        return np.array([self.address(name) for name in SENSITIVITY], dtype=np.int64)

    def call(self, name: str, *arguments: npt.NDArray[np.float64] | float) -> None:
        """Call a compiled function from Python, for tests and for looking at numbers. Arrays: contiguous float64."""
        kinds = [ctypes.c_void_p if kind == "*" else ctypes.c_double for kind in ARGUMENTS[name]]
        function = ctypes.CFUNCTYPE(None, *kinds)(self.address(name))
        function(*(a if isinstance(a, float) else a.ctypes.data for a in arguments))

    def __getattr__(self, name: str) -> Any:
        if name in _SENSITIVITY_CONSTANTS:
            self._sensitivity()
            return self.__dict__[name]
        raise AttributeError(f"a kernel has no attribute {name!r}")

    def _sensitivity(self) -> ModuleType:
        with _lock:
            if len(self._modules) == 1:
                module = _module(f"{self.file.stem}_sens", self._read)
                self._modules.append(module)
                self._take_constants(module)
            return self._modules[1]

    def _take_constants(self, module: ModuleType) -> None:
        for name, value in vars(module).items():
            if not name.isupper() or name == "CHECK":
                continue
            if name in _PATTERNS:
                value = np.array(value, dtype=np.int64)
            elif name in _FLOATS:
                value = np.array(value, dtype=np.float64)
            setattr(self, name, value)


def load(model: str | os.PathLike[str] | Model) -> Kernel:
    """The kernel of a model: a name from the library, a path, or a ``Model``.

    Raises ``LibraryError`` where there is no such model and ``ModelError`` where it is wrong.
    """
    if isinstance(model, str | os.PathLike):
        text, file = library.read_model_text(model)
        read = functools.partial(_read, text, file)
    else:
        text, file = model.text, model.file
        read = functools.partial(_same, model)
    digest = hashlib.sha256(f"{GENERATOR}\n{text}".encode()).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9_]", "_", Path(file).stem)[:60] or "model"
    with _lock:
        kernel = _loaded.get((name, digest))
        if kernel is None:
            kernel = _loaded[name, digest] = Kernel(_module(f"{name}_{digest}", read), digest, read)
    return kernel


def _read(text: str, file: str) -> Model:
    from pkpd.symbolic.model import read_model

    return read_model(text, file)


def _same(model: Model) -> Model:
    return model


# ---- the cache ---------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where generated modules lie: ``PKPD_CACHE_DIR``, else the user's cache folder.

    A folder that cannot be written to is replaced by a temporary one for this process, with one warning.
    """
    wanted = os.environ.get("PKPD_CACHE_DIR")
    if wanted:
        return _writable(wanted)
    import platformdirs

    return _writable(platformdirs.user_cache_dir("pkpd", appauthor=False))


@functools.cache
def _writable(wanted: str) -> Path:
    folder = Path(wanted).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        return _temporary(folder, error)


def _temporary(folder: Path, error: OSError) -> Path:
    temporary = tempfile.mkdtemp(prefix="pkpd-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    warnings.warn(
        f"the cache folder {folder} cannot be written to ({error.strerror}): compiled models are kept in {temporary} and "
        "lost when this process ends; set PKPD_CACHE_DIR to a folder of your own",
        RuntimeWarning,
        stacklevel=2,
    )
    return Path(temporary)


def _module(stem: str, read: Callable[[], Model]) -> ModuleType:
    """Import a generated module from the cache, or generate it."""
    path = cache_folder() / f"{stem}.py"
    module = _import(path)
    if module is not None:
        return module
    unit.prefetch(path.parent)  # the integrator, in the meantime, if this is the first model ever
    source = _generate(read(), sensitivity=stem.endswith("_sens"))
    try:
        _write(path, source)
    except OSError as error:  # the folder could be written to a moment ago: the disk is full
        path = _temporary(path.parent, error) / path.name
        _write(path, source)
    module = _import(path)
    if module is None:
        raise PkpdError(f"the generated module {path} cannot be read back")
    return module


def _generate(model: Model, *, sensitivity: bool) -> str:
    from pkpd.symbolic import derive, source
    from pkpd.symbolic.model import dose_units

    derived = derive.derive(model)
    return (
        source.generate_sensitivity(derived) if sensitivity else source.generate(derived, dose_units(model))
    )


def _write(path: Path, source: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(f"{source}\n\nCHECK = {_checksum(source)!r}\n", encoding="utf-8")


def _checksum(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _import(path: Path) -> ModuleType | None:
    """A whole and unchanged generated module, else None."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    source, _, check = content.rpartition("\n\nCHECK = ")
    if check.strip() != repr(_checksum(source)):
        return None
    spec = importlib.util.spec_from_file_location(f"pkpd_kernel_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as import would; debuggers and pickles look there
    spec.loader.exec_module(module)
    return module


# ---- compilation -------------------------------------------------------------------------------------------------------
#
# A generated function is a straight line of float64 arithmetic. Numba's type inference and lowering spend 0.7 ms on every
# operation to find that out (0.7 s for a model of 14 states); so the body is given to numba ready-made: an intrinsic turns the
# function's own syntax tree into LLVM instructions, and numba optimises and links them as it does with any function.
# tests/test_kernel.py holds the two ways to the same results, bit for bit. (A change of ``_Lowering`` that changes results needs
# a new GENERATOR too: stored machine code knows only the text it was made from.)


def _compile(module: ModuleType, name: str) -> int:
    """Address of a generated function, from the machine code stored beside the module or compiled."""
    path = Path(str(module.__file__))
    return native.address(
        path.parent, f"{path.stem}_{name}", module.CHECK, functools.partial(_stub, module, name)
    )


def _stub(module: ModuleType, name: str) -> tuple[Callable[..., None], Any]:
    """What is compiled for a generated function: one call of an intrinsic that emits its body; and its signature."""
    numba = native.numba()
    pointer = numba.types.CPointer(numba.types.float64)
    kinds = [
        {"*": pointer, "d": numba.types.float64, "i": numba.types.int64}[kind] for kind in ARGUMENTS[name]
    ]
    void = numba.types.void(*kinds)

    def lower(context: Any, builder: Any, _: Any, values: Any) -> Any:
        if name == "solve_lanes":
            _LaneLowering(context, builder, _functions(module)["solve"], values).run()
        elif name in LANE_FUNCTIONS:
            _LaneLowering(context, builder, _functions(module)["solve"], values[1:]).add_product(
                values, module.J_ROWS, module.J_COLS, matrix_in_lanes=name == "contract_lanes"
            )
        else:
            _Lowering(context, builder, _functions(module)[name], values).run()
        return context.get_dummy_value()

    if len(kinds) == 2:  # numba reads the number of arguments from the functions
        body = numba.extending.intrinsic(lambda typing, a, b: (void, lower))

        def stub(a: Any, b: Any) -> None:
            body(a, b)
    else:
        body = numba.extending.intrinsic(lambda typing, a, b, c: (void, lower))

        def stub(a: Any, b: Any, c: Any) -> None:  # type: ignore[misc]
            body(a, b, c)

    if len(kinds) == 4:
        body = numba.extending.intrinsic(lambda typing, a, b, c, d: (void, lower))

        def stub(a: Any, b: Any, c: Any, d: Any) -> None:  # type: ignore[misc]
            body(a, b, c, d)

    # The symbol in the machine code is made from this name. All kernels of a process share one linker: it has to be unique.
    stub.__name__ = stub.__qualname__ = f"{name}_{Path(str(module.__file__)).stem}"
    return stub, void


@functools.lru_cache(maxsize=4)
def _functions(module: ModuleType) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


class _Lowering:
    """Straight-line Python over float64 -> LLVM instructions; ``a if c else b`` becomes a select."""

    _BINARY: ClassVar = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
    _COMPARE: ClassVar = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
    _CALLS: ClassVar = {"exp": "llvm.exp", "log": "llvm.log", "sqrt": "llvm.sqrt", "abs": "llvm.fabs"}

    def __init__(
        self, context: Any, builder: Any, function: ast.FunctionDef, arguments: Sequence[Any]
    ) -> None:
        numba = native.numba()
        self.builder = builder
        self.constant = functools.partial(context.get_constant, numba.types.float64)
        self.index = functools.partial(context.get_constant, numba.types.intp)
        self.double = context.get_value_type(numba.types.float64)
        self.function = function
        self.values = {a.arg: value for a, value in zip(function.args.args, arguments, strict=True)}

    def run(self) -> None:
        """Emit every statement after the docstring."""
        for statement in self.function.body[1:]:
            if isinstance(statement, ast.Return):
                return
            assert isinstance(statement, ast.Assign)
            value = self.value(statement.value)
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                self.values[target.id] = value
            else:
                self.store(value, target)

    def store(self, value: Any, node: ast.expr) -> None:
        """``array[3] = value``."""
        self.builder.store(value, self.pointer(node))

    def pointer(self, node: ast.expr) -> Any:
        """Address of ``array[3]``."""
        assert (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and isinstance(node.slice, ast.Constant)
        )
        return self.builder.gep(self.values[node.value.id], [self.index(node.slice.value)])

    def value(self, node: ast.expr) -> Any:
        """An expression."""
        match node:
            case ast.Constant():
                return self.constant(float(node.value))  # type: ignore[arg-type]
            case ast.Name():
                return self.values[node.id]
            case ast.Subscript():
                return self.builder.load(self.pointer(node))
            case ast.UnaryOp(op=ast.USub()):
                return self.builder.fneg(self.value(node.operand))
            case ast.BinOp(op=ast.Pow()):
                return self.call("llvm.pow", node.left, node.right)
            case ast.BinOp():
                return getattr(self.builder, self._BINARY[type(node.op)])(
                    self.value(node.left), self.value(node.right)
                )
            case ast.IfExp():
                return self.builder.select(
                    self.value(node.test), self.value(node.body), self.value(node.orelse)
                )
            case ast.Compare():
                sign = self._COMPARE[type(node.ops[0])]
                return self.builder.fcmp_ordered(sign, self.value(node.left), self.value(node.comparators[0]))
            case ast.Call(func=ast.Name(id=name)):
                return self.call(self._CALLS[name], *node.args)
        raise TypeError(f"not expected in a generated function: {ast.dump(node)}")

    def call(self, name: str, *arguments: ast.expr) -> Any:
        """A call of one of LLVM's mathematical functions, the ones that numba uses too."""
        values = [self.value(argument) for argument in arguments]
        function = self.builder.module.declare_intrinsic(name, [self.double])
        return self.builder.call(function, values)


class _LaneLowering(_Lowering):
    """``solve(LU, b)`` over LANES right-hand sides: the elements of b are vectors, those of LU are the same in every lane."""

    def __init__(
        self, context: Any, builder: Any, function: ast.FunctionDef, arguments: Sequence[Any]
    ) -> None:
        from llvmlite import ir

        super().__init__(context, builder, function, arguments[:2])
        self.stride = arguments[2]
        self.lanes = ir.VectorType(self.double, LANES)
        self.ir = ir

    def pointer(self, node: ast.expr) -> Any:
        """Address of a vector of b, or of a number of LU."""
        assert (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and isinstance(node.slice, ast.Constant)
        )
        if node.value.id != "b":
            return super().pointer(node)
        place = self.builder.mul(self.stride, self.index(node.slice.value))
        return self.builder.bitcast(self.builder.gep(self.values["b"], [place]), self.lanes.as_pointer())

    def value(self, node: ast.expr) -> Any:
        """An expression, as a vector."""
        match node:
            case ast.Subscript(value=ast.Name(id="b")):
                return self.builder.load(self.pointer(node), align=8)
            case ast.Subscript() | ast.Constant():
                return self.broadcast(super().value(node))
        return super().value(node)

    def store(self, value: Any, node: ast.expr) -> None:
        """Vectors stand where doubles may stand."""
        self.builder.store(value, self.pointer(node), align=8)

    def broadcast(self, value: Any) -> Any:
        """The same number in every lane."""
        i32 = self.ir.IntType(32)
        one = self.builder.insert_element(self.ir.Constant(self.lanes, self.ir.Undefined), value, i32(0))
        return self.builder.shuffle_vector(
            one,
            self.ir.Constant(self.lanes, self.ir.Undefined),
            self.ir.Constant(self.ir.VectorType(i32, LANES), [0] * LANES),
        )

    def add_product(
        self, arguments: Sequence[Any], rows: Sequence[int], columns: Sequence[int], *, matrix_in_lanes: bool
    ) -> None:
        """``g += J x``, a row at a time in a register; arguments: J, x, g, stride. Lanes hold x, or (matrix_in_lanes) J."""
        matrix, x, g, _ = arguments

        def scalar(array: Any, index: int) -> Any:
            return self.broadcast(self.builder.load(self.builder.gep(array, [self.index(index)])))

        def place(array: Any, index: int) -> Any:
            offset = self.builder.mul(self.stride, self.index(index))
            return self.builder.bitcast(self.builder.gep(array, [offset]), self.lanes.as_pointer())

        def vector(array: Any, index: int) -> Any:
            return self.builder.load(place(array, index), align=8)

        of_matrix, of_x = (vector, scalar) if matrix_in_lanes else (scalar, vector)
        for row in sorted(set(rows)):
            total = vector(g, row)
            for entry, (i, j) in enumerate(zip(rows, columns, strict=True)):
                if i == row:
                    total = self.builder.fadd(total, self.builder.fmul(of_matrix(matrix, entry), of_x(x, j)))
            self.builder.store(total, place(g, row), align=8)
