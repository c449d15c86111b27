"""Compiled kernels are shared by the whole session, and nothing is read from or left in the user's own cache."""

import os

import pytest


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
