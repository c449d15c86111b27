"""Machine code on disk: compiled once by LLVM, handed to LLVM's linker again in the next process.

The functions here are C functions over pointers that refer to nothing but libm and memset, so that their
object code can be kept in a file, and loaded by a process that imports neither compiler. LLVM is numba's:
llvmlite, with the options that numba gives it.

A file is named by a key that the caller makes from the source; the compiler at work, versions and the
processor are added here, and its first line says for which processor it is. It is written to a temporary
name and moved into place, so that concurrent processes only ever see whole files; an unreadable file is
compiled anew; where nothing can be written the code lives for the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pkpd.ode import processor
from pkpd.ode.compile import compilers

FORMAT = 5  # raise when the calling convention, the way of compiling or the file format changes
SIMPLE, FULL = 0, 3  # levels of optimisation: the passes named in ``_compile`` alone, or all that LLVM has

# Vectors longer than LLVM thinks well of on this processor are computed in halves: on Intel's, one of 512
# bits takes longer than two of 256. llvmlite's interface has no place for it.
SPLIT = '"min-legal-vector-width"="0"'
_DEFINITION = re.compile(r"^(define .*\))([^(){}\n]*?)(\s*\{)", re.MULTILINE)

# One thread at a time: there is one linker, which must not be made twice (it takes its code with it when it
# goes); LLVM runs under a lock of llvmlite anyway; and Python 3.11 counts the depth of the trees of all
# threads together (python/cpython#106905): whoever parses Python holds this too.
compiling = threading.RLock()


@cache
def machine() -> str:
    """What machine code depends on besides its source."""
    import llvmlite
    import llvmlite.binding as llvm

    return (
        f"{FORMAT} {llvmlite.__version__} {llvm.get_process_triple()} {' '.join(processor.target())} "
        f"{processor.width()}"
    )


def file(folder: str | os.PathLike[str], name: str, key: str) -> Path:
    """Where the machine code of this name and key lies, if it does."""
    digest = hashlib.sha256(f"{key}\n{compilers.version()}\n{machine()}".encode()).hexdigest()[:24]
    return Path(folder) / f"{name}_{digest}.o"


def address(
    folder: str | os.PathLike[str], name: str, key: str, build: Callable[[str], str], level: int = FULL
) -> int:
    """Address of a C function: from the file of this name and key below folder, or compiled.

    ``build`` returns the text of an LLVM module with that function under the name that it is given; it is
    called only when there is no file, by one thread at a time.
    """
    with compiling:
        place = file(folder, name, key)
        try:
            header, _, code = place.read_bytes().partition(b"\n")
            stated = json.loads(header)
            if stated["sha256"] == hashlib.sha256(code).hexdigest():
                return _load(code, stated["symbol"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        symbol = f"{name}_{secrets.token_hex(8)}"  # unique, as all functions of a process share one linker
        code = _compile(build(symbol), level)
        stated = {"symbol": symbol, "sha256": hashlib.sha256(code).hexdigest(), "for": machine()}
        header = json.dumps(stated).encode()
        with contextlib.suppress(OSError):  # a full or read-only disk: this process has its code all the same
            _write(place, header + b"\n" + code)
        return _load(code, symbol)


def here(name: str, build: Callable[[str], str]) -> int:
    """Address of a C function that is compiled for this process alone; ``build`` as in ``address``."""
    with compiling:
        symbol = f"{name}_{secrets.token_hex(8)}"
        return _load(_compile(build(symbol), FULL), symbol)


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

    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())


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
def _target() -> Any:
    """This processor, with the options under which numba compiles for it."""
    import llvmlite.binding as llvm

    cpu, features = processor.target()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu,
        features=features,
        opt=FULL,
        reloc="static" if llvm.get_process_triple().startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _compile(text: str, level: int) -> bytes:
    """Object code of an LLVM module, optimised for this processor."""
    import llvmlite.binding as llvm

    target = _target()
    module = llvm.parse_assembly(_DEFINITION.sub(rf"\1\2 {SPLIT}\3", text))
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    # What is to be vectors says so (lanes in call.py), and so does what is to be unrolled: more of either
    # takes LLVM half as long again and gains nothing
    options.loop_vectorization = options.loop_interleaving = options.loop_unrolling = False
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(target, options)
    first = llvm.create_new_module_pass_manager()  # as numba does: 15 % of the explicit method's time
    first.add_sroa_pass()
    first.add_loop_rotate_pass()
    first.add_instruction_combine_pass()
    first.add_jump_threading_pass()
    for passes in (first, builder.getModulePassManager()):
        passes.run(module, builder)
    return target.emit_object(module)
