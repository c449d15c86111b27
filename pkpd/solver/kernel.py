"""A model's compiled functions: generated once, kept on disk, found again by every later process.

    kernel = load("il2_treg")            # a name from the library, a path, or a Model
    kernel.STATES, kernel.VALUES         # constants of the generated module
    kernel.address("rhs")                # compiled on first use: a C function rhs(y, p, dy) over float64
                                         pointers

The generated module lies in the cache folder (``PKPD_CACHE_DIR``, else the user's) under the model's name and
a hash of its text, with the machine code of its functions beside it. A process that finds both imports
neither sympy nor pint nor numba, and does not read the model's text beyond hashing it. Files of other hashes
are left alone: they belong to other versions of the model or of this package, and may be deleted at any time.
"""

from __future__ import annotations

import ast
import atexit
import functools
import hashlib
import importlib
import importlib.util
import math
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
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.arguments import PATH, TEXTS, named, takes
from pkpd.core.errors import InputError, PkpdError
from pkpd.core.files import write_text
from pkpd.core.names import question_or_list
from pkpd.model import GENERATOR
from pkpd.model.extend import model_text
from pkpd.ode import call
from pkpd.ode.compile import compilers, native, unit
from pkpd.ode.kernel import ARGUMENTS, KINDS, PACKED, SENSITIVITY, WIDE, Kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    from pkpd.model.check import Model

__all__ = ["ARGUMENTS", "Kernel", "ModelKernel", "cache_folder", "index_of", "load"]

_PATTERNS = frozenset(
    "J_ROWS J_COLS P_ROWS P_COLS H_ENTRY H_Z G_ROWS G_Z D_ROWS D_COLS R_ROWS R_COLS ROUTE_TARGETS".split()
)
_SENSITIVITY_CONSTANTS = frozenset(
    "P_ROWS P_COLS H_ENTRY H_Z G_ROWS G_Z D_ROWS D_COLS R_ROWS R_COLS N_DCONSTANTS".split()
)
_FLOATS = frozenset("VALUES LOWER UPPER".split())

WAYS = ("forward", "backward")  # files of ``pkpd.model`` that write derivatives

_lock = threading.RLock()
_loaded: dict[str, ModelKernel] = {}


class ModelKernel(Kernel):
    """The kernel of a model: its functions are generated from the model's text.

    Constants are those of the generated module, under the same names (``pkpd show MODEL --source`` prints
    them). Those of the sensitivity group (``P_ROWS`` ... ``R_COLS``) cause its generation when first asked
    for.
    """

    has_backward = True

    TITLE: str
    CAUTIONS: tuple[str, ...] = ()  # what a reader of results must know
    BETWEEN: tuple[tuple[Any, ...] | None, ...]
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
        super().__init__()
        self.HASH = digest
        self._read = read
        self._modules = [module]
        self._take_constants(module)

    def __reduce__(self) -> tuple[Any, ...]:
        """A kernel travels as the hash of its source: the other process finds the code in its own cache, or
        makes it."""
        return _again, (self.file.stem, self.HASH, self._read)

    @property
    def model(self) -> Model:
        """The model that this was generated from; read again from its text."""
        return self._read()

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

    def _compile(self, name: str) -> int:
        if name not in ARGUMENTS:
            raise PkpdError(f"a kernel has no function {name!r}; it has {', '.join(ARGUMENTS)}")
        return _compile(self._modules[0] if name not in SENSITIVITY else self._sensitivity(), name)

    def _compile_look(self, columns: tuple[int, ...], how: str) -> int:
        return _compile_look(self._modules[0], columns, self.n_outputs, how)

    def needed(self, columns: Sequence[int]) -> npt.NDArray[np.int64]:
        with native.compiling:
            text = _look(self._modules[0], tuple(columns), self.n_outputs)
        return np.array(sorted({int(i) for i in re.findall(r"\by\[(\d+)\]", text)}), dtype=np.int64)

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


@takes(model=PATH | named("pkpd.model", "Model", "a model"), linear=TEXTS)
def load(model: str | os.PathLike[str] | Model, *, linear: Sequence[str] = ()) -> ModelKernel:
    """The kernel of a model: a name from the library, a path, or a ``Model``.

    Parameters
    ----------
    model : a name of ``pkpd.models()``, the path of a model file ("./my.model"), or what ``read_model`` gave.
    linear : covariates that a solve may let run linearly between knots; their kernel is another one
        (``pkpd.model.interpolate``).

    Returns
    -------
    ModelKernel : a ``Kernel``, with the names, units and values of the model and its compiled functions.
        The same model gives the same kernel again.

    Raises
    ------
    LibraryError : there is no such model.
    ModelError : it is wrong, or ``linear`` names what it does not have.

    Examples
    --------
    >>> import pkpd
    >>> kernel = pkpd.load("one_compartment_iv")
    >>> kernel.PARAMETERS, kernel.UNITS, kernel.VALUES.tolist()
    (('CL', 'V'), ('L/h', 'L'), [2.8, 32.0])
    """
    if linear:
        from pkpd.model.check import Model
        from pkpd.model.interpolate import interpolated

        return load(interpolated(model if isinstance(model, Model) else _read(*model_text(model)), linear))
    if isinstance(model, str | os.PathLike):
        text, file = model_text(model)
        read = functools.partial(_read, text, file)
    else:
        text, file = model.text, model.file
        read = functools.partial(_same, model)
    _named_compiler()
    digest = hashlib.sha256(f"{GENERATOR}\n{text}".encode()).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9_]", "_", Path(file).stem)[:60] or "model"
    return _again(f"{name}_{digest}", digest, read)


def _again(stem: str, digest: str, read: Callable[[], Model]) -> ModelKernel:
    """The one kernel of this process with this name and hash."""
    with _lock:
        kernel = _loaded.get(stem)
        if kernel is None:
            kernel = _loaded[stem] = ModelKernel(_module(stem, read), digest, read)
    return kernel


def set_compiler(name: str | None) -> None:
    """Choose what compiles models and the integrator from now on: ``"direct"`` or ``"numba"``.

    Results are the same bit for bit, and so is the time that a second process takes to start; a first
    simulation with an empty cache takes several times as long with numba (docs/architecture.md has figures).
    What this process has compiled or loaded already stays in use. ``None`` goes back to what the environment
    variable ``PKPD_COMPILER`` says, which is ``"direct"`` where it is not set.

    Parameters
    ----------
    name : "direct", "numba", or None.

    Returns
    -------
    None.

    Raises
    ------
    InputError : another name.

    Examples
    --------
    >>> import pkpd
    >>> pkpd.set_compiler("direct")
    >>> pkpd.set_compiler(None)
    """
    try:
        compilers.choose(name)
    except ValueError as error:
        raise InputError(str(error)) from None


def _named_compiler() -> None:
    """Refuse a name in PKPD_COMPILER that is none, before anything is compiled."""
    try:
        compilers.compiler()
    except ValueError as error:
        raise InputError(str(error)) from None


def _read(text: str, file: str) -> Model:
    from pkpd.model.check import read_model

    return read_model(text, file)


def _same(model: Model) -> Model:
    return model


# ---- the cache -----------------------------------------------------------------------------------


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
        f"the cache folder {folder} cannot be written to ({error.strerror}): compiled models are "
        f"kept in {temporary} and "
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
    from pkpd.model import derive, source
    from pkpd.model.check import dose_units

    derived = derive.derive(model)
    return (
        source.generate_sensitivity(derived) if sensitivity else source.generate(derived, dose_units(model))
    )


def _write(path: Path, source: str) -> None:
    write_text(path, f"{source}\n\nCHECK = {_checksum(source)!r}\n")


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


# ---- compilation ---------------------------------------------------------------------------------
#
# ``ode/compile`` compiles the generated functions as it does the integrator. Stored machine code belongs to
# a module's text and to the text of the compilers, derivatives also to that of what writes them; a change of
# ``ARGUMENTS`` or of what is done here needs a new GENERATOR.


def _compile(module: ModuleType, name: str) -> int:
    """Address of a generated function, from the machine code stored beside the module or compiled."""
    path = Path(str(module.__file__))

    def build(symbol: str) -> str:
        from pkpd.ode.compile import source

        arguments = ARGUMENTS[name]
        signature = [None, *(KINDS.get(argument, call.DOUBLES) for argument in arguments)]
        contract = name == "contract_lanes" or name.endswith("_tangent") or "_backward" in name
        if name in WIDE:
            signature = [None, *[call.DOUBLES] * len(arguments)]
            form = source.columns(source.source(getattr(module, name.removesuffix("_wide"))), arguments)
        elif name == "solve_lanes":
            form = source.columns(source.source(module.solve), "b", "stride")
        elif name == "contract_lanes":
            text = _product(module.J_ROWS, module.J_COLS)
            form = source.columns(source.text_source(text, name), "Jg", "stride")
        elif "_backward" in name:
            form = _backward(module, name)
        elif name.endswith("_tangent"):
            from pkpd.model import forward

            given = source.source(getattr(module, name.removesuffix("_tangent")))
            text = forward.tangent(given.tree, in_place=name == "constants_tangent")
            known = {**given.globals, "log": math.log, "inf": math.inf}
            found = source.text_source(text, name)._replace(globals=known)
            dots = [argument for argument in arguments if argument.endswith("_dot")]
            form = source.columns(found, dots, "stride")
        else:
            form = source.source(getattr(module, name))
            if name in PACKED:
                form = source.packed(form, PACKED[name])
        return compilers.module(symbol, form, signature, contract)

    key = f"{module.CHECK} {unit.sources_hash()}"
    if name.endswith("_tangent") or "_backward" in name:
        key += f" {_differentiation_hash()}"
    return native.address(path.parent, f"{path.stem}_{name}", key, build)


@functools.cache
def _differentiation_hash() -> str:
    """Hash of what writes derivatives of generated functions."""
    folder = Path(__file__).resolve().parents[1] / "model"
    return hashlib.sha256(b"".join((folder / f"{way}.py").read_bytes() for way in WAYS)).hexdigest()


def _backward(module: ModuleType, name: str) -> Any:
    """A generated function backwards, by itself or in lanes; of ``solve`` the transposed one."""
    from pkpd.model import backward
    from pkpd.ode.compile import source

    given = source.source(getattr(module, name.partition("_")[0]))
    in_lanes = name.endswith("_wide")
    text = backward.solve_backward(given.tree) if name.startswith("solve") else backward.backward(given.tree)
    known = {**given.globals, "log": math.log, "inf": math.inf}
    found = source.text_source(text, name)._replace(globals=known)
    return source.columns(found, ARGUMENTS[name]) if in_lanes else found


@functools.lru_cache(maxsize=256)
def _look(module: ModuleType, columns: tuple[int, ...], n_outputs: int) -> str:
    """The text of ``look``: of the function ``outputs`` what these columns need, and states by themselves."""
    return "\n".join(["def look(y, p, out):", *_statements(module, columns, n_outputs)])


def _look_one(module: ModuleType, columns: tuple[int, ...], n_outputs: int) -> str:
    """The text of ``look`` of one column."""
    lines = ["def look(y, p, out):", "    place = int(out[0])"]
    for place, column in enumerate(columns):
        body = _statements(module, (column,), n_outputs)
        lines += [f"    if place == {place}:", *(f"    {line}" for line in body)]
    return "\n".join(lines)


def _statements(module: ModuleType, columns: tuple[int, ...], n_outputs: int) -> list[str]:
    wanted = {column: place for place, column in enumerate(columns)}
    lines: list[str] = []
    names: set[str] = set()
    for statement in reversed(_outputs(module)):
        if not isinstance(statement, ast.Assign):
            continue
        (target,) = statement.targets
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            place = wanted.get(int(target.slice.value), -1)  # type: ignore[arg-type]
            left = f"out[{place}]" if place >= 0 else ""
        else:
            left = target.id if isinstance(target, ast.Name) and target.id in names else ""
        if left:
            lines.append(f"    {left} = {ast.unparse(statement.value)}")
            names |= {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
    lines.reverse()
    lines += [f"    out[{place}] = y[{i - n_outputs}]" for i, place in wanted.items() if i >= n_outputs]
    return lines


@functools.lru_cache(maxsize=16)
def _outputs(module: ModuleType) -> list[ast.stmt]:
    """The statements of the function ``outputs``."""
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    text = text[text.index("\ndef outputs(") :].split("\n\n\n", 1)[0]  # no more is parsed than has to be
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    return function.body


def _compile_look(module: ModuleType, columns: tuple[int, ...], n_outputs: int, how: str) -> int:
    """Address of ``look``, as of any generated function."""
    path = Path(str(module.__file__))
    name = f"look_{how}" if how else "look"

    def build(symbol: str) -> str:
        from pkpd.ode.compile import source

        text = (_look_one if how == "one" else _look)(module, columns, n_outputs)
        given = source.text_source(text, name)._replace(globals=source.source(module.outputs).globals)
        form = source.at_once(given)
        if how == "wide":
            form = source.columns(form, ("y", "p", "out"))
        return compilers.module(symbol, form, [None, *[call.DOUBLES] * 3])

    key = f"{module.CHECK} {unit.sources_hash()} {columns}"
    digest = hashlib.sha256(repr(columns).encode()).hexdigest()[:12]
    return native.address(path.parent, f"{path.stem}_{name}_{digest}", key, build)


def _product(rows: Sequence[int], columns: Sequence[int]) -> str:
    """A function that adds J x to g, an element of g at a time; J holds the nonzeros of the pattern."""
    terms: dict[int, list[str]] = {}
    for entry, (i, j) in enumerate(zip(rows, columns, strict=True)):
        terms.setdefault(i, []).append(f"J[{entry}]*x[{j}]")
    lines = [f"    g[{i}] = {' + '.join([f'g[{i}]', *terms[i]])}" for i in sorted(terms)]
    return "\n".join(["def contract_lanes(J, x, g):", *(lines or ["    pass"])])


def cautions_of(kernel: Kernel) -> tuple[str, ...]:
    """What a reader of a kernel's results must know, as its model says; of functions nothing is known."""
    return kernel.CAUTIONS if isinstance(kernel, ModelKernel) else ()


def index_of(name: str, names: Sequence[str], what: str, kernel: Kernel) -> int:
    if name not in names:
        raise InputError(f'{kernel.NAME} has no {what} "{name}"; {question_or_list(name, names)}')
    return list(names).index(name)
