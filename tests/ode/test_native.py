"""Machine code is compiled once, found again by other processes without numba, and what is damaged, foreign
or stale is never run."""

import ast
import gc
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from ctypes import CFUNCTYPE, POINTER, c_double
from pathlib import Path

import numpy as np
import pytest
from solving import events, kernel, run, table
from test_steady import FEEDBACK

from pkpd.ode import processor
from pkpd.ode.call import DOUBLES
from pkpd.ode.compile import compilers, native, unit
from pkpd.ode.compile.source import text_source
from pkpd.solver import Options, solve


def call(address, value):
    x = c_double(value)
    CFUNCTYPE(None, POINTER(c_double))(address)(x)
    return x.value


class Builder:
    """Counts how often something had to be compiled."""

    def __init__(self, factor):
        self.factor, self.count = factor, 0

    def __call__(self, symbol):
        """A function that multiplies the double at its pointer."""
        self.count += 1
        text = f"def scale(x):\n    x[0] *= {self.factor}"
        return compilers.module(symbol, text_source(text, "scale"), (None, DOUBLES))


def only_file(folder):
    (path,) = Path(folder).iterdir()
    return path


def test_compiled_once_and_found_again(tmp_path):
    builder = Builder(3.0)
    assert call(native.address(tmp_path / "new", "f", "key", builder), 2.0) == 6.0
    assert call(native.address(tmp_path / "new", "f", "key", builder), 5.0) == 15.0
    assert builder.count == 1
    assert only_file(tmp_path / "new").name.startswith("f_")


def test_another_name_key_or_machine_is_another_file(tmp_path, monkeypatch):
    """The processor and the versions are part of the key: a cache on a shared disk serves each machine its
    own code."""
    paths = {native.file(tmp_path, name, key) for name in "fg" for key in ("1", "2")}
    for machine in ("another processor", "another version"):
        monkeypatch.setattr(native, "machine", lambda machine=machine: machine)
        paths.add(native.file(tmp_path, "f", "1"))
    assert len(paths) == 6 and all(path.parent == tmp_path for path in paths)


def test_machine_names_all_that_code_depends_on():
    import llvmlite
    import llvmlite.binding as llvm

    for part in (
        str(native.FORMAT),
        llvmlite.__version__,
        llvm.get_process_triple(),
        *processor.target(),
        str(processor.width()),
    ):
        assert part in native.machine()


def header_of(content):
    header, _, code = content.partition(b"\n")
    return json.loads(header), code


DAMAGE = {
    "empty": lambda content: b"",
    "cut in the header": lambda content: content[:20],
    "cut in the code": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one bit flipped": lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: "größer\n".encode("latin-1") * 100,
    "no checksum": lambda content: b'{"symbol": "f"}\n' + header_of(content)[1],
    "no table": lambda content: b"null\n" + header_of(content)[1],
    "another symbol": lambda content: (
        json.dumps({**header_of(content)[0], "symbol": "nowhere"}).encode() + b"\n" + header_of(content)[1]
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_file_is_compiled_and_stored_again(tmp_path, damage):
    builder = Builder(7.0)
    native.address(tmp_path, "f", "key", builder)
    path = only_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert call(native.address(tmp_path, "f", "key", builder), 2.0) == 14.0
    assert builder.count == 2
    assert (
        header_of(path.read_bytes())[0].keys() == {"symbol", "sha256", "for"}
        and len(path.read_bytes()) > len(whole) - 50
    )
    assert call(native.address(tmp_path, "f", "key", builder), 3.0) == 21.0
    assert builder.count == 2


def test_where_nothing_can_be_written_the_code_lives_for_the_process(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    builder = Builder(5.0)
    assert call(native.address(blocked / "cache", "f", "key", builder), 2.0) == 10.0
    assert blocked.read_text(encoding="utf-8").startswith("a file")


def test_a_disk_that_fills_up_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(native.os, "replace", full)
    assert call(native.address(tmp_path, "f", "key", Builder(5.0)), 2.0) == 10.0
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(native.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        native.address(tmp_path, "f", "key", Builder(5.0))
    assert list(tmp_path.iterdir()) == []


def test_threads_at_once(tmp_path):
    """Each gets working code, compiled once by one of them, and one file is left."""
    builders = [Builder(11.0) for _ in range(6)]
    found = []

    def work(builder):
        found.append(call(native.address(tmp_path, "f", "key", builder), 2.0))

    threads = [threading.Thread(target=work, args=(builder,)) for builder in builders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [22.0] * 6
    assert sum(builder.count for builder in builders) == 1
    assert only_file(tmp_path).suffix == ".o"


def test_threads_build_one_at_a_time(tmp_path):
    """Python 3.11 fails when the garbage collector hands over from one ast.parse to another
    (python/cpython#106905)."""
    text = "\n".join(f"def f{i}(x):\n    x[0] *= x[0] + {i}" for i in range(30))

    def work(name):
        def build(symbol):
            ast.parse(text)
            return Builder(11.0)(symbol)

        return call(native.address(tmp_path, name, "key", build), 2.0)

    def hand_over(*_):
        time.sleep(1e-5)

    threshold = gc.get_threshold()
    gc.callbacks.append(hand_over)
    gc.set_threshold(200)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, [f"f{i}" for i in range(12)])) == [22.0] * 12
    finally:
        gc.callbacks.remove(hand_over)
        gc.set_threshold(*threshold)


def python(code, cache, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
        env={
            **os.environ,
            "PKPD_CACHE_DIR": str(cache),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def answer(process):
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return json.loads(out)


def test_processes_at_once(tmp_path):
    """Several build the same code into an empty folder at the same time: all succeed, and what stays is
    whole."""
    code = """
        import json, sys
        from test_native import Builder, call
        from pkpd.ode.compile import native
        builder = Builder(13.0)
        print(json.dumps([call(native.address(sys.argv[1], "f", "key", builder), 2.0), builder.count]))
    """
    results = [answer(process) for process in [python(code, tmp_path, tmp_path / "code") for _ in range(3)]]
    assert [value for value, _ in results] == [26.0] * 3
    assert only_file(tmp_path / "code").suffix == ".o"
    builder = Builder(13.0)
    assert call(native.address(tmp_path / "code", "f", "key", builder), 3.0) == 39.0 and builder.count == 0


# ---- the units of the integrator

# Everything at once, so that every unit is used: a steady state, both methods, sensitivities, doses with lag
# and duration.
SIMULATION = """
    import json, sys
    from pkpd.solver.kernel import load
    from pkpd.dosing import EventTable
    from pkpd.simulation.profile import simulate
    from pkpd.solver import Options, solve
    heavy = ["numba", "sympy", "pint", "scipy", "pandas", "matplotlib"]
    at_start = [name for name in heavy if name in sys.modules]
    profile = simulate("two_compartment_oral", "100 mg oral every 12 h x3", [1.0, 20.0], subjects=3, seed=1)
    k = load(sys.argv[1])
    found = {}
    for method in ("tsit5", "rodas5p", "auto"):
        doses = EventTable(time=[1.0], amount=[5.0], route=[0], duration=[2.0], size=[-1])
        names = ["kin", "K", "x(0)", "dose[0]"]
        solution = solve(
            k, k.VALUES, doses, [0.0, 3.0, 30.0], options=Options(method=method), directions=names
        ).check()
        found[method] = [solution.outputs.tolist(), solution.sensitivities.tolist()]
    loaded = [name for name in heavy if name in sys.modules]
    print(json.dumps([at_start, loaded, profile.outputs.tolist(), found]))
"""


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "feedback.model"
    path.write_text(FEEDBACK, encoding="utf-8")
    return path


def test_a_second_process_simulates_without_numba_and_the_parser(kernel_cache, model_file):
    """And gets the same bits: machine code from the disk is the machine code that was compiled."""
    first = answer(python(SIMULATION, kernel_cache, model_file))
    second = answer(python(SIMULATION, kernel_cache, model_file))
    assert second[:2] == [[], []]
    assert second[2:] == first[2:]
    k = kernel(FEEDBACK)
    here = solve(
        k,
        k.VALUES,
        table(k, (1.0, 5.0, "iv", 2.0)),
        [0.0, 3.0, 30.0],
        options=Options(method="tsit5"),
        directions=["kin", "K", "x(0)", "dose[0]"],
    )
    np.testing.assert_array_equal(second[3]["tsit5"][0], here.outputs)
    np.testing.assert_array_equal(second[3]["tsit5"][1], here.sensitivities)


def test_where_everything_is_there_nothing_is_written(kernel_cache, model_file, tmp_path):
    answer(python(SIMULATION, kernel_cache, model_file))
    copy = tmp_path / "copy"
    shutil.copytree(kernel_cache, copy)
    before = sorted(path.name for path in copy.rglob("*"))
    result = answer(python(SIMULATION, copy, model_file))
    assert result[:2] == [[], []]
    assert sorted(path.name for path in copy.rglob("*")) == before


def test_every_unit_is_on_disk_under_its_own_name(kernel_cache):
    k = kernel(FEEDBACK)
    for method in ("tsit5", "rodas5p"):
        solve(k, k.VALUES, events(k), [1.0], options=Options(method=method), directions=["kin"]).check()
    for name in unit.HOME:
        where = unit.address(name, kernel_cache)
        assert where == unit.address(name, kernel_cache) != 0
        assert list(Path(kernel_cache).glob(f"ode_{name}_*.o"))
    assert len({unit.address(name, kernel_cache) for name in unit.HOME}) == len(unit.HOME)


def test_a_changed_source_changes_every_unit_s_key(tmp_path, monkeypatch):
    """Inner functions become part of other units: so each file counts, for all."""
    copy = tmp_path / "ode"
    shutil.copytree(unit.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(unit, "PACKAGE", copy)
    hash_now = unit.sources_hash.__wrapped__
    original = hash_now()
    assert original == unit.sources_hash()
    for file in sorted(copy.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        file.write_text(text + "\n# another last line\n", encoding="utf-8")
        assert hash_now() != original, file.name
        file.write_text(text, encoding="utf-8")
        assert hash_now() == original
    (copy / "methods" / "rodas5p.py").rename(copy / "methods" / "rodas6.py")
    assert hash_now() != original


def test_ordinary_use_leaves_only_whole_files(kernel_cache):
    run("one_compartment_iv", [1.0], "10 mg iv once", directions=["CL"])
    for path in Path(kernel_cache).iterdir():
        assert path.suffix in (".py", ".o", "") and not path.name.startswith("."), path
        if path.suffix == ".o":
            stated, code = header_of(path.read_bytes())
            assert len(code) > 100 and stated["symbol"]


def test_whoever_parses_python_waits_for_the_compiler(kernel_cache):
    """In Python 3.11 two threads that parse at once disturb each other (python/cpython#106905)."""
    from pkpd.solver import kernel

    k = kernel.load("michaelis_menten")
    kernel._outputs.cache_clear()
    done = threading.Event()
    thread = threading.Thread(target=lambda: (k.needed((0,)), done.set()))
    with native.compiling:
        thread.start()
        assert not done.wait(0.2)
    thread.join()
    assert done.is_set()
