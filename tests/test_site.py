"""The documentation as a site: every name of the package is in its reference, every link leads somewhere, and
the pages ask no other host."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import chromium

import pkpd

ROOT = Path(__file__).parents[1]

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
"""Elements that make a browser ask for something -> the attribute that says where."""


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= named


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site: that of PKPD_SITE, or built here where mkdocs is installed."""
    if built := os.environ.get("PKPD_SITE"):
        return Path(built)
    if any(find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings_handlers")):
        pytest.skip('the site needs mkdocs: pip install -c constraints.txt -e ".[docs]"')
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """What a page loads, where it links to, and its anchors."""

    def __init__(self, file):
        super().__init__()
        self.loaded, self.links, self.anchors = [], [], {""}
        self.text = file.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if place := given.get(LOADED.get(tag, "")):
            self.loaded.append(place)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def pages(site):
    return {file: Page(file) for file in sorted(site.glob("*.html")) if file.name != "404.html"}


def is_elsewhere(place):
    return bool(urlsplit(place).scheme or urlsplit(place).netloc) and not place.startswith("data:")


def test_the_reference_has_every_public_name():
    named = re.findall(r"^::: pkpd\.(\w+)$", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(set(pkpd.__all__) - {"__version__"})


def test_every_text_of_the_docs_is_a_page(pages):
    names = {file.stem for file in pages}
    assert {file.stem for file in (ROOT / "docs").glob("*.md")} <= names
    assert {"index", "models", "benchmarks", "low_dose_il2"} <= names


def test_every_public_name_is_described(pages):
    (page,) = [page for file, page in pages.items() if file.stem == "reference"]
    assert {f"pkpd.{name}" for name in pkpd.__all__ if name != "__version__"} <= page.anchors


def test_no_page_loads_anything_from_elsewhere(pages, site):
    assert [place for page in pages.values() for place in page.loaded if is_elsewhere(place)] == []
    assert all(len(page.loaded) > 2 for page in pages.values())
    for file in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", file.read_text(encoding="utf-8")), file


def test_every_link_within_the_site_leads_to_a_page_and_an_anchor_that_are_there(pages, site):
    dead = []
    for file, page in pages.items():
        for link in page.links + page.loaded:
            if is_elsewhere(link) or link.startswith(("data:", "javascript:")):
                continue
            place = urlsplit(link)
            target = (file.parent / unquote(place.path)).resolve() if place.path else file
            target = target / "index.html" if target.is_dir() else target
            there = target.is_file() and (
                target not in pages or unquote(place.fragment) in pages[target].anchors
            )
            dead += [] if there else [f"{file.name}: {link}"]
    assert dead == []


def test_a_browser_asks_only_for_files_of_the_site(pages, site):
    asked = set()
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.add(request.url))
        for file in pages:
            page.goto(file.as_uri())
    assert len(asked) > len(pages)
    assert {url for url in asked if not url.startswith((site.as_uri(), "data:", "blob:"))} == set()
