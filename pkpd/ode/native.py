"""Machine code on disk: compiled once by numba, loaded again by llvmlite alone.

Numba's own cache needs numba: importing it and setting up its typing tables takes several times longer than a simulation. The functions here are C
functions over pointers that refer to nothing but libm, so their object code can be kept in a file and handed to LLVM's linker in the next process,
which then starts in a fraction of ``import numba``.

A file is named by a key that the caller makes from the source; versions and the processor are added here. It is written to a temporary name and
moved into place, so that concurrent processes only ever see whole files; an unreadable file is compiled anew; where nothing can be written the code
lives for the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

FORMAT = 1  # raise when the calling convention or the file format changes

_keep: list[Any] = []  # compiled libraries must outlive their addresses


@cache
def machine() -> str:
    """What machine code depends on besides its source."""
    import llvmlite
    import llvmlite.binding as llvm

    return f"{FORMAT} {llvmlite.__version__} {llvm.get_process_triple()} {llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


def file(folder: str | os.PathLike[str], name: str, key: str) -> Path:
    """Where the machine code of this name and key lies, if it does."""
    digest = hashlib.sha256(f"{key}\n{machine()}".encode()).hexdigest()[:24]
    return Path(folder) / f"{name}_{digest}.o"


def address(
    folder: str | os.PathLike[str], name: str, key: str, build: Callable[[], tuple[Callable[..., Any], Any]]
) -> int:
    """Address of a C function: from the file of this name and key below folder, or compiled.

    ``build`` returns the Python function and its numba signature; it is called only when there is no file.
    """
    place = file(folder, name, key)
    try:
        header, _, code = place.read_bytes().partition(b"\n")
        stated = json.loads(header)
        if stated["sha256"] == hashlib.sha256(code).hexdigest():
            return _load(code, stated["symbol"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    where, symbol, code = _compile(*build())
    header = json.dumps({"symbol": symbol, "sha256": hashlib.sha256(code).hexdigest()}).encode()
    with contextlib.suppress(OSError):  # a full or read-only disk: this process has its code all the same
        _write(place, header + b"\n" + code)
    return where


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@cache
def _engine() -> Any:
    """One linker for the process."""
    import llvmlite.binding as llvm

    if sys.platform == "win32":
        import numba  # noqa: F401  registers the symbols of libm there

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(codemodel="jitdefault", jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)


def _load(code: bytes, symbol: str) -> int:
    import llvmlite.binding as llvm

    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    found = int(engine.get_function_address(symbol))
    if not found:
        raise ValueError(f"no function {symbol} in the object file")
    return found


@cache
def numba() -> Any:
    """numba, without the 0.2 s that it spends on importing scipy.linalg only to see whether it is there."""
    import numba
    import numba.extending

    if "numba.np.arraymath" not in sys.modules and "scipy.linalg" not in sys.modules:
        _skip_scipy()
    return numba


def _skip_scipy() -> None:
    """Import numba.np.arraymath as if its probe for scipy's BLAS had succeeded; numba asks again where it needs BLAS."""
    try:
        linalg: Any = importlib.import_module("numba.np.linalg")
        probe = linalg.ensure_blas
    except (ImportError, AttributeError):  # another version of numba: nothing is lost but the time
        return
    linalg.ensure_blas = lambda: None
    try:
        arraymath: Any = importlib.import_module("numba.np.arraymath")
        arraymath.ensure_blas = probe
    finally:
        linalg.ensure_blas = probe


def _compile(function: Callable[..., Any], signature: Any) -> tuple[int, str, bytes]:
    """Address, symbol and object code of a function that never raises."""
    numba()
    from llvmlite import ir
    from numba.core import sigutils
    from numba.core.ccallback import CFunc
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    context = cpu_target.target_context

    def wrapper(library: Any, description: Any, env: Any, helper: Any) -> None:
        """A C function around numba's calling convention, without the interpreter's error handling that numba's own refers to."""
        module = context.create_module("c_function")
        kind = context.call_conv.get_function_type(description.restype, description.argtypes)
        callee = ir.Function(module, kind, description.llvm_func_name)
        arguments = [context.get_value_type(a) for a in description.argtypes]
        outer = ir.Function(
            module,
            ir.FunctionType(context.get_value_type(description.restype), arguments),
            description.llvm_cfunc_wrapper_name,
        )
        builder = ir.IRBuilder(outer.append_basic_block("entry"))
        _, result = context.call_conv.call_function(
            builder, callee, description.restype, description.argtypes, outer.args
        )
        builder.ret(result)
        library.add_ir_module(module)

    with global_compiler_lock:
        context.create_cfunc_wrapper = wrapper
        try:
            compiled = CFunc(
                function, sigutils.normalize_signature(signature), locals={}, options={"error_model": "numpy"}
            )
            compiled.compile()
        finally:
            del context.create_cfunc_wrapper
    _keep.append(compiled)
    _, _, (code, _) = compiled._library.serialize_using_object_code()
    return int(compiled.address), compiled.native_name, code
