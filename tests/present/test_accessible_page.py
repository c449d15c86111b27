"""Everybody can use the page of `pkpd explore`: axe-core finds nothing in any view, with and without errors,
in both colour schemes, from 320 pixels on; nothing is scrolled sideways; wide screens are used; paper has it
all."""

from __future__ import annotations

import threading

import browser as browsers
import pytest

from pkpd.present.web import Site

SCHEDULES = "#s=1+MIU+sc+daily+x5+every+28+d+x3&s=0.26+MIU/m2+sc+every+3+d+x20&s=none&s=2+MIU+sc+daily+x5"


@pytest.fixture(scope="module")
def chromium():
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url():
    site = Site(subjects=20)
    thread = threading.Thread(target=site.run)
    thread.start()
    yield site.url
    site.stop()
    thread.join(30)


@pytest.fixture
def opened(chromium, url):
    """What opens the page in a window of this width."""
    contexts = []

    def open_page(width, height=800, **look):
        context = chromium.new_context(viewport={"width": width, "height": height}, **look)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.goto(url + SCHEDULES)
        answered(page, 0)
        return page

    yield open_page
    for context in contexts:
        context.close()


def answers(page):
    return int(page.locator("body").get_attribute("data-answers") or 0)


def answered(page, before):
    """Wait until more answers are drawn than before."""
    for _ in range(800):
        if answers(page) > before:
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"no answer: {page.locator('#status').inner_text()}")


@pytest.mark.parametrize("scheme", browsers.SCHEMES)
def test_axe_finds_nothing_in_any_view_and_nothing_is_scrolled_sideways(opened, scheme):
    page = opened(1280, color_scheme=scheme)
    page.evaluate(browsers.axe())
    page.locator("button.number").first.click()
    page.get_by_role("dialog").wait_for()
    browsers.check_widths(page)
    page.keyboard.press("Escape")
    for tab in page.get_by_role("tab").all():
        before = answers(page)
        page.evaluate("document.querySelectorAll('header details').forEach((menu) => { menu.open = false; })")
        if tab.get_attribute("aria-selected") == "false":
            tab.click()
            answered(page, before)
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        page.wait_for_timeout(100)  # what opens is filled
        browsers.check_widths(page)
        page.locator("#schedule-B").fill("2 MIU sc dayly x5")
        page.locator("#schedule-B-error").wait_for(state="visible")
        browsers.check_widths(page, [390])
        before = answers(page)
        page.locator("#schedule-B").fill("0.26 MIU/m2 sc every 3 d x20")
        answered(page, before)
    page.locator(".slider", has_text="Body surface").locator("input[type=number]").fill("9")
    page.get_by_text("must lie between 0.5 and 3, not 9").wait_for(state="visible")
    browsers.check_widths(page)


def test_half_a_window_at_twice_the_size_shows_all(opened):
    page = opened(640, 400, device_scale_factor=2)  # 1280 pixels at 200 percent
    assert (
        browsers.beyond_the_edge(page) == [] and page.evaluate("document.documentElement.scrollWidth") <= 640
    )
    assert page.locator("figure:visible").first.bounding_box()["width"] > 560


def test_a_wide_screen_is_used(opened):
    page = opened(3840, 2160)
    boxes = [figure.bounding_box() for figure in page.locator("#charts figure:visible").all()]
    assert max(box["x"] + box["width"] for box in boxes) > 3700
    assert len({round(box["x"]) for box in boxes}) == 4  # columns
    assert all(500 < box["width"] < 1000 for box in boxes)


def test_paper_is_light_and_has_charts_and_table_in_full(opened):
    page = opened(1280, color_scheme="dark")
    charts, rows = page.locator("#charts figure:visible").count(), page.locator("#endpoints tr").count()
    dark = page.locator("figure path.median").first.get_attribute("stroke")
    page.set_viewport_size({"width": 718, "height": 1000})  # of A4 within its margins
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(200)
    assert page.locator("figure path.median").first.get_attribute("stroke") == "#0072B2" != dark
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('#endpoints td')).color") == "rgb(0, 0, 0)"
    assert page.locator("#charts figure:visible").count() == charts
    assert page.locator("#endpoints tr:visible").count() == rows
    assert not page.locator("#controls, .tools, #tabs").filter(visible=True).count()
    assert page.evaluate("document.querySelector('#endpoints').getBoundingClientRect().right") <= 718
    assert "not medical advice" in page.locator("footer").inner_text()
    assert len(page.pdf(format="A4")) > 50_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("figure path.median").first.get_attribute("stroke") == dark


def test_forced_colours_keep_charts_and_marks_readable(opened):
    page = opened(1280, forced_colors="active")
    grounds = page.evaluate(
        """() => [".chart", ".badge"].map((part) => {
            const style = getComputedStyle(document.querySelector(part));
            return [style.forcedColorAdjust, style.backgroundColor]; })"""
    )
    assert grounds == [["none", "rgb(255, 255, 255)"], ["none", "rgb(0, 114, 178)"]]


def test_focus_is_seen_wherever_the_keyboard_goes(opened):
    page = opened(1280)
    reached = set()
    for _ in range(150):
        page.keyboard.press("Tab")
        what, style, width = page.evaluate(
            """() => {
                const now = document.activeElement, style = getComputedStyle(now);
                return [now.id || now.className.baseVal || now.tagName, style.outlineStyle,
                    style.outlineWidth];
            }"""
        )
        reached.add(what)
        assert what == "BODY" or (style != "none" and width != "0px"), what
        if what == "copy-command":
            break
    assert {"tab-courses", "zoom-from", "chart", "every", "copy-command"} <= reached
