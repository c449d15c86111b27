"""What is computed does not depend on the processor for which it is compiled, nor on how many stand side by
side."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pkpd.ode import processor

SOLVES = """
import hashlib
import numpy as np, pkpd
from pkpd.ode import layout
kernel = pkpd.load("il2_treg")
events = pkpd.Schedule.parse("1 MIU sc daily x5").events_for(kernel)
p = kernel.VALUES * np.random.default_rng(1).uniform(0.9, 1.1, (19, kernel.n_params))
times = np.linspace(0.0, 672.0, 30)
readings = [("max", "treg_count", 0.0, 672.0), ("time_above", "treg_count", 0.0, 672.0, 60.0)]
digest, slopes = hashlib.sha256(), []
for method in ("auto", "rodas5p", "vern7"):
    options = pkpd.Options(method=method)
    found = pkpd.solve(kernel, p, events, times, options=options, readings=readings)
    digest.update(found.outputs.tobytes() + found.readings.values.tobytes())
    found = pkpd.solve(kernel, p[0], events, times, options=options, directions=range(11))
    slopes += found.sensitivities[0, -1].ravel().tolist()
print(layout.LANES, digest.hexdigest(), *slopes)
"""


def solves(level, folder):
    """How many lanes there are, a hash of the values, and slopes, where code is compiled for this level."""
    done = subprocess.run(
        [sys.executable, "-c", SOLVES],
        env={**os.environ, processor.VARIABLE: level, "PKPD_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    lanes, digest, *slopes = done.stdout.split()
    return int(lanes), digest, np.array(slopes, dtype=float)


@pytest.mark.long
@pytest.mark.skipif(processor.width() < 8, reason="AVX2 is another level only where it is had")
def test_what_is_computed_does_not_depend_on_the_processor(tmp_path):
    lanes, values, slopes = solves("", tmp_path)
    fewer, older, old_slopes = solves("x86-64-v2", tmp_path)
    assert (lanes, fewer) == (8, 4)
    assert older == values
    # products and sums of slopes may be rounded at once where the processor does so
    np.testing.assert_allclose(old_slopes, slopes, rtol=1e-9, atol=1e-12 * np.abs(slopes).max())
    assert len(list(tmp_path.rglob("ode_tsit5_*.o"))) >= 2  # each level has its own code


def test_a_level_that_there_is_not_is_refused(monkeypatch):
    monkeypatch.setenv(processor.VARIABLE, "x86-64-v9")
    with pytest.raises(ValueError, match="PKPD_PROCESSOR: there is no level 'x86-64-v9'; there are x86-64, "):
        processor.level.__wrapped__()


@pytest.mark.parametrize(("machine", "found"), [("x86_64", {"AVX2": True}), ("aarch64", {"ASIMD": True})])
def test_a_level_that_this_processor_has_not_is_refused(monkeypatch, machine, found):
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    monkeypatch.setattr(processor, "_has", lambda *features: any(found.get(one) for one in features))
    monkeypatch.setenv(processor.VARIABLE, "x86-64-v4")
    with pytest.raises(ValueError, match="this processor runs no code that is compiled for x86-64-v4"):
        processor.level.__wrapped__()


def test_the_command_line_says_what_is_wrong_with_a_level():
    done = subprocess.run(
        [sys.executable, "-m", "pkpd", "models"],
        env={**os.environ, processor.VARIABLE: "avx"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: PKPD_PROCESSOR: there is no level 'avx'")
