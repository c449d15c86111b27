"""Compiled kernels are shared by the whole session, and nothing is read from or left in the user's own cache.

Properties are tried on the same examples in every run, so that a run that fails fails again;
``--hypothesis-profile search`` looks for new ones. An example may take its time: the first one compiles, and
machines are busy.

Tests run side by side, one on a core: threads of linear algebra would only wait for each other.
"""

import os

import pytest
import scipy.linalg  # noqa: F401  (its own linear algebra is limited too)
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", patient, derandomize=True)
settings.register_profile("search", patient, print_blob=True)
settings.load_profile("same")

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of the processes that tests start
threadpool_limits(1, user_api="blas")


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pkpd-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PKPD_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture
def pkpd(capfd):
    """Run the command line here: exit code, standard output, standard error."""

    from pkpd.cli import main

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
        out, err = capfd.readouterr()
        return code, out, err

    return run
