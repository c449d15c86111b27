"""A kernel is compiled once, found again by every later process without the parser, and computes exactly what
its source says.

Damaged, foreign, concurrent and unwritable caches cost time, never a result.
"""

import ctypes
import hashlib
import importlib
import json
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
import small_models as small
import sympy

from pkpd.core import library
from pkpd.core.errors import LibraryError, ModelError, PkpdError
from pkpd.model import GENERATOR
from pkpd.model.check import read_model
from pkpd.ode.compile import compilers
from pkpd.ode.layout import LANES
from pkpd.solver import kernel

TEXT = """\
model     two compartments in a row
time      h
parameter ka = 1.5 [1/h]  absorption
parameter k = 0.2 [1/h]  loss
parameter m0 = 3 [mg]  baseline
state     depot [mg]
state     body = m0*k/ka [mg]
route     oral -> depot
d depot = -ka*depot
d body = ka*depot - k*body*hill(body, m0, 2)
output    body [mg]
"""


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache of one test, and no kernels of this process remembered."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PKPD_CACHE_DIR", str(folder))
    monkeypatch.setattr(kernel, "_loaded", {})
    return folder


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.model"
    path.write_text(TEXT, encoding="utf-8")
    return path


def run(code, cache, *arguments):
    """Run a script in a new process; its standard output, read as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "PKPD_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def results(k, y, p, *, sensitivity=True):
    """What every compiled function computes, by name."""
    n = k.n_states
    LU, b = np.zeros(k.N_LU), np.linspace(1, 2, n)
    out = {"jacobian": np.zeros(len(k.J_ROWS)), "rhs": np.zeros(n), "outputs": np.zeros(k.n_outputs)}
    if sensitivity:
        out |= {
            "dfdp": np.zeros(len(k.P_ROWS)),
            "hessian": np.zeros(len(k.H_Z)),
            "doutputs": np.zeros(len(k.G_Z)),
        }
    for name, array in out.items():
        k.call(name, y, p, array)
    only_p = {"initial": np.zeros(n), "routes": np.zeros(4 * len(k.ROUTES))}
    if sensitivity:
        only_p |= {"dinitial": np.zeros(len(k.D_ROWS)), "droutes": np.zeros(len(k.R_ROWS))}
    for name, array in only_p.items():
        k.call(name, p, array)
    k.call("factor", out["jacobian"], 1e3, LU)
    k.call("solve", LU, b)
    return {**out, **only_p, "factor": LU, "solve": b}


# ---- what is computed


@pytest.mark.parametrize("name", small.NAMES)
def test_compiled_functions_equal_the_source_run_as_python(name, tmp_path):
    model = small.get(name)
    k = kernel.load(model)
    y, p = small.point(model, 7)
    got = results(k, y, p)
    for sensitivity, module in enumerate(small.as_modules(model, tmp_path)):
        for function in small.SIZES:
            if hasattr(module, function):
                expected = small.evaluate(module, function, list(y), list(p))
                np.testing.assert_allclose(got[function], expected, rtol=1e-14, atol=0, err_msg=function)
        if not sensitivity:
            LU, b = [0.0] * module.N_LU, list(np.linspace(1, 2, len(y)))
            module.factor(list(got["jacobian"]), 1e3, LU)
            module.solve(LU, b)
            np.testing.assert_allclose(got["solve"], b, rtol=1e-14)


@pytest.mark.parametrize("name", ["hills", "kinks", "powers", "tmdd_qss"])
def test_ready_made_bodies_equal_what_numba_makes_of_the_same_functions(name):
    """Bit for bit, also where a result is not finite: the syntax tree is lowered as numba itself would."""
    model = small.get(name)
    k = kernel.load(model)
    module = importlib.import_module(f"pkpd_kernel_{k.file.stem}")
    pointer = numba.types.CPointer(numba.types.float64)
    own = {
        function: numba.cfunc(numba.types.void(pointer, pointer, pointer), error_model="numpy")(
            getattr(module, function)
        )
        for function in ("rhs", "jacobian")
    }
    rng = np.random.default_rng(5)
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-320, 1e300, -1e300])
    for trial in range(300):
        y = rng.normal(size=k.n_states) if trial % 2 else rng.choice(special, k.n_states)
        p = k.VALUES * rng.uniform(0.5, 2, k.n_params) if trial % 3 else rng.choice(special, k.n_params)
        p = k.prepared(p)
        for function, size in (("rhs", k.n_states), ("jacobian", len(k.J_ROWS))):
            mine, theirs = np.zeros(size), np.zeros(size)
            k.call(function, y, p, mine)
            own[function].ctypes(*(np.ctypeslib.as_ctypes(a) for a in (y, p, theirs)))
            np.testing.assert_array_equal(mine, theirs)


def test_division_by_zero_gives_inf_or_nan_and_no_exception():
    k = kernel.load(small.build({"x": "1/x", "w": "x/x^2 + log(w)"}, name="division"))
    dy = np.zeros(2)
    k.call("rhs", np.array([0.0, -1.0]), np.zeros(0), dy)
    assert dy[0] == np.inf
    assert np.isnan(dy[1])


def test_hill_at_and_below_zero_is_zero_with_all_derivatives():
    k = kernel.load(
        small.build(
            {"x": "hill(x, K, g) + hill(x, K) + hill(x, K, 2)"}, parameters={"K": 2, "g": 1.5}, name="hill0"
        )
    )
    for x in (0.0, -1.0, -1e-300):
        got = results(k, np.array([x]), np.array([2.0, 1.5]))
        for function in ("rhs", "jacobian", "dfdp", "hessian"):
            assert not got[function].any(), function


def test_constants_are_arrays_where_programs_need_them():
    k = kernel.load("tmdd_full")
    for name in (
        "J_ROWS",
        "J_COLS",
        "ROUTE_TARGETS",
        "P_ROWS",
        "P_COLS",
        "H_ENTRY",
        "H_Z",
        "G_ROWS",
        "G_Z",
        "R_ROWS",
        "D_COLS",
    ):
        assert getattr(k, name).dtype == np.int64
    assert k.VALUES.dtype == k.LOWER.dtype == np.float64
    assert k.plain_address.shape == (8,)
    assert k.tangent_address.shape == (8,)
    assert k.address("rhs") == k.plain_address[0]
    assert k.n_states == len(k.STATES) == 5
    assert "def rhs(y, p, dy):" in k.source
    assert "def dfdp(y, p, df):" in k.sensitivity_source


# ---- what is loaded


def test_a_name_a_path_and_a_model_lead_to_the_same_kernel():
    path = library.model_path("tmdd_full")
    k = kernel.load("tmdd_full")
    assert kernel.load(path) is k
    assert kernel.load(read_model(*library.read_model_text("tmdd_full"))) is k


@pytest.mark.parametrize("stem", ["my model-1", "modèle β", "x" * 200, "class", '"; boom() #'])
def test_any_file_name_will_do(own_cache, tmp_path, stem):
    path = tmp_path / f"{stem}.model"
    path.write_text(TEXT, encoding="utf-8")
    k = kernel.load(path)
    dy = np.zeros(2)
    k.call("rhs", np.array([1.0, 0.0]), k.VALUES, dy)
    assert dy[0] == -1.5
    assert stem == k.NAME


def test_another_text_is_another_kernel_and_the_old_one_stays(own_cache, file):
    first = kernel.load(file)
    file.write_text(TEXT.replace("0.2 [1/h]", "0.3 [1/h]"), encoding="utf-8")
    second = kernel.load(file)
    assert (first.VALUES[1], second.VALUES[1]) == (0.2, 0.3)
    assert first.file != second.file
    assert len(list(own_cache.glob("mine_*.py"))) == 2


def test_only_what_is_asked_for_is_generated_and_compiled(own_cache, file):
    k = kernel.load(file)
    k.address("rhs")
    assert [path.name.startswith(f"{k.file.stem}_rhs_") for path in own_cache.rglob("*.o")] == [True]
    assert [path.name for path in own_cache.glob("*.py")] == [k.file.name]
    assert len(k.P_ROWS) > 0
    assert len(list(own_cache.glob("*_sens.py"))) == 1


def test_what_does_not_exist_is_an_error_of_ours(file):
    with pytest.raises(LibraryError):
        kernel.load("no_such_model")
    k = kernel.load(file)
    with pytest.raises(PkpdError, match="it has rhs, jacobian"):
        k.address("nothing")
    with pytest.raises(AttributeError, match="nothing"):
        _ = k.nothing
    file.write_text(TEXT.replace("d body", "d bdy"), encoding="utf-8")
    with pytest.raises(ModelError):
        kernel.load(file)


def test_a_failed_load_leaves_no_file(own_cache, file):
    file.write_text(TEXT.replace("-ka*depot", "-ka*depot*(1/0)"), encoding="utf-8")
    with pytest.raises(ModelError):
        kernel.load(file)
    assert list(own_cache.rglob("*.*")) == []


# ---- the cache

SECOND = """
import json, sys
from pkpd.ode.compile import compilers
from pkpd.solver import kernel
k = kernel.load(sys.argv[1])
addresses = [*k.plain_address, *k.tangent_address, k.address("hessian")]
heavy = [name for name in ("sympy", "pint", "numba", "scipy", "pandas", "matplotlib") if name in sys.modules]
import numpy as np
dy = np.zeros(2)
k.call("rhs", np.ones(2), k.VALUES, dy)
print(json.dumps([heavy, k.HASH, list(dy), len(set(addresses)) == 12 and 0 not in addresses]))
"""


def test_a_second_process_compiles_nothing_and_imports_neither_sympy_nor_pint_nor_numba(tmp_path, file):
    first = run(SECOND, tmp_path / "c", file)
    assert first[0][:2] == ["sympy", "pint"]
    assert ("numba" in first[0]) == (compilers.compiler() == "numba")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "c").glob("mine*") if path.is_file()}
    second = run(SECOND, tmp_path / "c", file)
    assert second == [[], *first[1:]]
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "c").glob("mine*") if path.is_file()
    } == stamps


def test_kernels_of_one_process_do_not_mix_up_their_functions_when_read_from_disk(tmp_path):
    """Every model has an rhs, and all are handed to one linker."""
    code = """
    import json, sys
    import numpy as np
    from pkpd.solver import kernel
    found = {}
    for name in ("one_compartment_iv", "one_compartment_oral", "michaelis_menten", "tmdd_full"):
        k = kernel.load(name)
        dy = np.zeros(k.n_states)
        k.call("rhs", np.arange(1.0, k.n_states + 1), k.VALUES, dy)
        found[name] = list(dy)
    print(json.dumps([found, "numba" in sys.modules]))
    """
    compiled, read = run(code, tmp_path), run(code, tmp_path)
    assert read == [compiled[0], False]


def test_processes_that_build_the_same_kernel_at_once_do_not_disturb_each_other(tmp_path, file):
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(run(SECOND, tmp_path / "c", file))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4
    assert {json.dumps(outcome[1:]) for outcome in outcomes} == {
        json.dumps(run(SECOND, tmp_path / "c", file)[1:])
    }
    assert run(SECOND, tmp_path / "c", file)[0] == []
    assert not list((tmp_path / "c").glob(".*"))  # no temporary file is left


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content.replace(b"0.2", b"0.9"),
        lambda content: content.replace(b"-x1", b"+x1"),
        lambda content: b"\xff\xfe" + content,
        lambda content: content + b"raise SystemExit\n",
        lambda content: b"raise SystemExit\n" + content,
    ],
    ids=["truncated", "empty", "a number", "a sign", "binary", "appended", "prepended"],
)
def test_a_damaged_module_is_rebuilt_and_never_run(own_cache, file, monkeypatch, damage):
    k = kernel.load(file)
    whole = k.file.read_bytes()
    k.file.write_bytes(damage(whole))
    monkeypatch.setattr(kernel, "_loaded", {})
    again = kernel.load(file)
    assert again.file.read_bytes() == whole
    assert again.VALUES[1] == 0.2


@pytest.mark.parametrize("keep", [0, 100, -20])
def test_damaged_machine_code_is_compiled_and_stored_again(own_cache, file, monkeypatch, keep):
    k = kernel.load(file)
    k.address("rhs")
    (path,) = own_cache.glob("*_rhs_*.o")
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    monkeypatch.setattr(kernel, "_loaded", {})
    dy = np.zeros(2)
    kernel.load(file).call("rhs", np.array([1.0, 0.0]), k.VALUES, dy)
    assert dy[0] == -1.5
    assert len(path.read_bytes()) >= len(whole) - 20


def test_a_cache_folder_that_cannot_be_written_to_costs_one_warning(tmp_path, file, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setenv("PKPD_CACHE_DIR", str(blocked / "cache"))
    monkeypatch.setattr(kernel, "_loaded", {})
    with pytest.warns(RuntimeWarning, match="PKPD_CACHE_DIR") as caught:
        k = kernel.load(file)
    assert len(caught) == 1
    assert k.address("rhs") != 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = kernel.load(small.SMALL["chain"])
        assert len(other.P_ROWS) > 0


def test_a_disk_that_fills_up_while_writing_costs_one_warning(own_cache, file, monkeypatch):
    write = kernel._write

    def full(path: Path, source: str) -> None:
        if path.parent == own_cache:
            raise OSError(28, "No space left on device")
        write(path, source)

    monkeypatch.setattr(kernel, "_write", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert kernel.load(file).n_states == 2


def test_without_the_variable_the_cache_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.delenv("PKPD_CACHE_DIR")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "users"))
    assert kernel.cache_folder() == tmp_path / "users"


EVERYTHING = """\
model     a bit of everything
time      h
parameter k = 0.5 [1/h]  rate  ~ lognormal(0.2)  # a source
    bounds 0.1 .. 1
parameter n = 1.5 [1]
covariate WT = 70 [kg]
state     a = m [mg]
state     b [mg]
parameter m = 2 [mg]
define    h = hill(a, m, n)
route     sc -> a  F = n/3  lag = 1/k
d a = -k*a*h + min(k*b, k*a) - abs(a - b)*k
d b = k*m - k*b^2/m + piecewise(k*a, t > 1/k, k*b)*exp(-a/m)
output    a
output    r = sqrt(a/m)*log(1 + h) [1]
"""
DIGEST = (9, "1.14.0", "33850e395a428184")  # GENERATOR, sympy, of the text


@pytest.mark.skipif(
    sympy.__version__ != DIGEST[1], reason="the order of terms may differ between versions of sympy"
)
def test_what_is_generated_changes_only_together_with_generator():
    """If this fails, raise GENERATOR in pkpd/model/__init__.py and write it here with the new digest: cached
    kernels of the old kind must not be found any more."""
    model = read_model(EVERYTHING, "everything.model")
    text = small.generated(model) + small.generated(model, sensitivity=True)
    assert (
        GENERATOR,
        hashlib.sha256(text.replace(f"GENERATOR = {GENERATOR}", "").encode()).hexdigest()[:16],
    ) == (DIGEST[0], DIGEST[2])


def test_lane_functions_are_the_plain_ones_in_every_lane():
    k = kernel.load("il2_treg")
    n, nonzeros = k.n_states, len(k.J_ROWS)
    rng = np.random.default_rng(1)
    y, J, LU = np.zeros(n), np.zeros(nonzeros), np.zeros(k.N_LU)
    k.call("initial", k.VALUES, y)
    k.call("jacobian", y, k.VALUES, J)
    k.call("factor", J, 10.0, LU)
    stride = 3 * LANES
    pointer = ctypes.POINTER(ctypes.c_double)

    def call(function, *arrays):
        kinds = [pointer] * len(arrays) + [ctypes.c_int64]
        address = k.address(function)
        ctypes.CFUNCTYPE(None, *kinds)(address)(*(a.ctypes.data_as(pointer) for a in arrays), stride)

    b = rng.normal(size=(n, stride))
    expected = b.copy()
    for lane in range(stride):
        column = b[:, lane].copy()
        k.call("solve", LU, column)
        expected[:, lane] = column
    call("solve_lanes", LU, b)
    np.testing.assert_array_equal(b, expected)

    many, one, g = rng.normal(size=(nonzeros, stride)), rng.normal(size=n), rng.normal(size=(n, stride))
    expected = g.copy()
    for entry, (row, column_) in enumerate(zip(k.J_ROWS, k.J_COLS, strict=True)):
        expected[row] += many[entry] * one[column_]
    call("contract_lanes", many, one, g)
    np.testing.assert_allclose(g, expected, rtol=1e-12, atol=1e-12)
