"""The browser of the benchmarks, for tests: without it they are skipped with a sentence, or fail with it
where PKPD_REQUIRE_BROWSER is 1."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib import resources

import pytest

from benchmarks import browser

_VIOLATIONS = """async (how) => (await axe.run(document, how)).violations.flatMap((rule) => rule.nodes.map(
    (node) => `${rule.id}: ${node.html.slice(0, 100)} ${node.failureSummary.slice(0, 200)}`))"""
_SIDEWAYS = """() => [...document.querySelectorAll("main *, header *, footer *")].filter((part) =>
    !part.closest(".scroller, .unseen") && part.getBoundingClientRect().right > innerWidth + 0.5
).map((part) => part.outerHTML.slice(0, 80))"""
SCHEMES = ["light", pytest.param("dark", marks=pytest.mark.long)]
_REDRAWN_WITHIN_MS = 5000
WIDTHS = (320, 390, 1280)
COLOURS_AT = 390  # no colour hangs on the width, and a narrow page has more than a wide one


def axe():
    """axe-core as text."""
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()


def beyond_the_edge(page):
    """What lies to the right of a page's window, charts once they are redrawn to their width."""
    for _ in range(_REDRAWN_WITHIN_MS // 100):
        found = page.evaluate(_SIDEWAYS)
        if not found:
            break
        page.wait_for_timeout(100)
    return found


def violations(page, colours=True):
    """What axe-core finds on a page that has run what ``axe`` gives; whether colours can be told apart takes
    three quarters of its time."""
    how = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": colours}}}
    return page.evaluate(_VIOLATIONS, how)


def check_widths(page, widths=WIDTHS):
    """At each width axe finds nothing and nothing lies beyond the edge, of a page that has ``axe``; colours
    are looked at at one of them."""
    for width in widths:
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(100)  # charts are redrawn
        assert beyond_the_edge(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(page, width == COLOURS_AT) == [], f"{width} pixels wide"


@contextmanager
def chromium():
    """A running browser; skips the test where there is none, or fails it with PKPD_REQUIRE_BROWSER=1."""
    reason = browser.missing()
    if reason and os.environ.get("PKPD_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with browser.chromium() as running:
        yield running
