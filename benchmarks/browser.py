"""A browser to measure and to test with: Chromium of the distribution, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HOW = (
    "install Chromium (Debian: apt-get install chromium-headless-shell; elsewhere: python -m playwright "
    "install chromium, "
    "and put its path into PKPD_CHROMIUM) and Playwright (pip install playwright)"
)


# the first has no window to prepare, which takes half of the time of opening a page
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The path of a Chromium on this machine, or None."""
    named = os.environ.get("PKPD_CHROMIUM")
    found = map(shutil.which, NAMES)
    return named or next((path for path in found if path), None)


def missing() -> str:
    """Why there is no browser and how to get one, "" if there is one."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return f"Playwright is not installed: {HOW}"
    return "" if executable() else f"no Chromium was found: {HOW}"


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser, without a window."""
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-gpu", "--disable-dev-shm-usage"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses to run as root with it
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), headless=True, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
