"""Packages that are not installed with this one."""

from __future__ import annotations

import importlib
from typing import Any

from pkpd.core.errors import MissingExtraError


def optional(package: str, extra: str) -> Any:
    """The package, or a ``MissingExtraError`` that says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(f"this needs {package}: pip install 'pkpd[{extra}]' ({error})") from None
