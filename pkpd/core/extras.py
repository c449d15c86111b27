"""Packages that are not installed with this one."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from pathlib import Path
from typing import Any

from pkpd.core.errors import MissingExtraError

OF_DEVELOPERS = ("test", "docs", "dev", "bench")


def optional(package: str, extra: str) -> Any:
    """The package, or a ``MissingExtraError`` that says how to get it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what it announces to those who write against it
            return importlib.import_module(package)
    except ImportError as error:
        how = how_to_install(extra)
        raise MissingExtraError(f"this needs {package}: {how} ({error})") from None


def version(package: str) -> str | None:
    """Of what is installed."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def packages() -> dict[str, list[str]]:
    """By extra; without those for the development of pkpd. Nothing where it is run from its folder, not
    installed."""
    from importlib import metadata

    found: dict[str, list[str]] = {}
    if version("pkpd") is None:
        return found
    for line in metadata.requires("pkpd") or []:
        asked = re.fullmatch(r"([\w.-]+)[^;]*;.*extra == ['\"]([\w-]+)['\"].*", line)
        if asked is not None and asked[2] not in OF_DEVELOPERS:
            found.setdefault(asked[2], []).append(asked[1])
    return found


def how_to_install(extra: str) -> str:
    """The command that brings an extra to where this runs: tools of pipx and uv have an environment each, to
    which pip has no way."""
    wanted, home = " ".join(packages().get(extra, ())), Path(sys.prefix)
    if wanted and (home / "pipx_metadata.json").is_file():
        return f"pipx inject pkpd {wanted}"
    if wanted and (home / "uv-receipt.toml").is_file():
        return f"uv pip install --python {sys.executable} {wanted}"
    return f"pip install 'pkpd[{extra}]'"
