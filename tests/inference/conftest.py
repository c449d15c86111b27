import pytest


@pytest.fixture
def nutpie():
    """Skips a test where the sampler is not installed."""
    pytest.importorskip("nutpie", reason="pip install 'pkpd[sample]'")
    pytest.importorskip("arviz", reason="pip install 'pkpd[sample]'")
