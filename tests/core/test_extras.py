"""Packages of extras: what one announces to developers when it is imported is not told to users."""

import pytest

from pkpd.core.errors import MissingExtraError
from pkpd.core.extras import optional


def test_what_a_package_announces_when_it_is_imported_is_kept_from_users(tmp_path, monkeypatch, recwarn):
    package = tmp_path / "announces_its_refactor.py"
    package.write_text(
        "import warnings\nwarnings.warn('much will change', FutureWarning)\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert optional("announces_its_refactor", "some").__name__ == "announces_its_refactor"
    assert not recwarn.list


def test_a_package_that_is_not_there_is_told_with_how_to_get_it():
    with pytest.raises(MissingExtraError, match=r"this needs nothing_like_it: .*'pkpd\[some\]'"):
        optional("nothing_like_it", "some")
