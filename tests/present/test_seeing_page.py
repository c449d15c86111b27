"""The views of the page that look closer at one schedule, in a real browser: they say what the commands say,
share the controls on the left, and fit on a phone."""

import re
import shlex
import threading
from xml.etree import ElementTree

import browser as browsers
import matplotlib.pyplot as plt
import pytest

from pkpd.cli import main
from pkpd.core.library import root
from pkpd.decision.comparison.result import Topic
from pkpd.decision.why import why
from pkpd.present.web import Site

VIEWS = ("response", "target", "drivers", "why")


@pytest.fixture(scope="module")
def site():
    site = Site(subjects=30)
    thread = threading.Thread(target=site.run)
    thread.start()
    yield site
    site.stop()
    thread.join(30)


@pytest.fixture(scope="module")
def chromium():
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture
def tab(chromium, site):
    context = chromium.new_context(viewport={"width": 1360, "height": 900})
    context.set_default_timeout(15_000)
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    refusals = "status of 422"  # a browser logs each as an error
    page.goto(site.url)
    page.wait_for_selector("body[data-answers]", state="attached")
    yield page
    assert [problem for problem in problems if refusals not in problem] == []
    context.close()


def answered(tab, action):
    """Do something that asks the server, and wait for what it draws."""
    before = int(tab.locator("body").get_attribute("data-answers") or 0)
    action()
    for _ in range(600):
        if int(tab.locator("body").get_attribute("data-answers") or 0) > before:
            return
        tab.wait_for_timeout(25)
    raise AssertionError(f"no answer: {tab.locator('#status').inner_text()}")


def opened(tab, view):
    answered(tab, lambda: tab.locator(f"#tab-{view}").click())
    return tab.locator(f"#view-{view}")


def picture_of(tab, button):
    """The name and the texts of the picture that a button saves, which says that it is a model's."""
    with tab.expect_download() as download:
        button.click()
    parts = ElementTree.parse(download.value.path()).getroot()
    words = [text.text for text in parts.iter("{http://www.w3.org/2000/svg}text") if text.text]
    joined = " ".join(words)
    assert "A model, not medical advice. low-dose IL-2 and regulatory T cells;" in joined
    assert not any(element.get("style") for element in parts.iter())
    return download.value.suggested_filename, joined


@pytest.mark.parametrize(
    ("view", "what", "axis"),
    [
        ("response", ["Treg mean fold over the dose: ? MIU sc daily x5 every 28 d x3"], "dose (MIU)"),
        ("target", ["Share of people (%): Treg mean fold", "looked at: ? MIU sc daily x5"], "dose (MIU)"),
        ("drivers", ["What drives Treg mean fold: 1 MIU sc daily x5 every 28 d x3"], "share of the variance"),
        ("why", ["What each term added since the beginning (cells/µL)", "Tregs in tissue"], "days"),
    ],
)
def test_each_chart_of_a_view_is_saved_with_its_schedule_its_units_and_its_keys(tab, view, what, axis):
    panel = opened(tab, view)
    buttons = panel.locator(".tools button:visible")
    assert buttons.count() == 2 * panel.locator("figure:visible").count()
    names = [button.get_attribute("aria-label") for button in buttons.all()]
    assert len(set(names)) == len(names) and all(name.endswith((" as SVG", " as PNG")) for name in names)
    found = {}
    for button in buttons.all():
        if button.inner_text() == "SVG":
            name, words = picture_of(tab, button)
            assert name.startswith("pkpd_") and name.endswith(".svg")
            assert "A: 1 MIU sc daily x5 every 28 d x3" in words
            found[button.get_attribute("aria-label")] = words
    (words,) = [words for words in found.values() if what[0] in words]
    assert all(part in words for part in (*what, axis))
    seen = panel.locator(".keys").first.inner_text().splitlines()
    assert any(all(key in words for key in seen[:2]) for words in found.values())
    first = panel.locator(".notices ul ul li").first.text_content().strip()
    assert all(first in words for words in found.values())
    with tab.expect_download() as download:
        buttons.last.click()
    assert download.value.suggested_filename.endswith(".png")
    pixels = plt.imread(download.value.path())
    assert pixels.shape[1] == 2 * 668 and pixels[2, 2, :3].tolist() == [1, 1, 1]  # twice, on white


def test_a_chart_that_is_saved_at_once_is_of_what_was_typed(tab):
    panel = opened(tab, "target")
    panel.get_by_label("Target", exact=True).fill("NK mean fold at most 1.3")
    name, words = picture_of(tab, panel.locator(".tools button").first)
    assert "NK mean fold <= 1.3" in words and "NK_mean_fold" in name


@pytest.mark.parametrize("view", VIEWS)
def test_what_has_to_be_known_stands_by_topic_the_most_important_first(tab, view):
    box = opened(tab, view).locator(".notices")
    topics = [topic.inner_text().lower() for topic in box.locator("strong").all()]
    assert topics and topics == [topic for topic in map(str, Topic) if topic in topics]
    said = box.locator("ul ul li").all_inner_texts()
    assert len(set(said)) == len(said) >= len(topics)
    assert box.locator("summary").inner_text() == "Before you rely on it: " + ", ".join(
        f"{topic} ({box.locator('> ul > li').nth(i).locator('li').count()})" for i, topic in enumerate(topics)
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_of_a_model_that_nobody_has_fitted_no_word_claims_a_fit(chromium, tmp_path, scheme):
    (tmp_path / "my.model").write_text((root() / "models" / "one_compartment_oral.model").read_text())
    site = Site(str(tmp_path / "my.model"), subjects=20)
    thread = threading.Thread(target=site.run)
    thread.start()
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(15_000)
    try:
        page = context.new_page()
        page.goto(site.url)
        page.wait_for_selector("body[data-answers]", state="attached")
        page.evaluate(browsers.axe())
        for view in ("courses", *VIEWS):
            if view != "courses":
                opened(page, view)
            page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
            text = page.locator("body").inner_text()
            assert "Nobody has fitted it" in text and "Nothing was fitted" in text
            left = re.sub(r"Nobody has fitted|nobody has fitted|Nothing was fitted|--fit", "", text)
            assert not re.search(r"\bfit|published|by the parameters|not known of the parameters", left)
            assert browsers.violations(page) == []
        with page.expect_download() as download:
            page.locator("#view-why .tools button:visible").first.click()
        words = " ".join(ElementTree.parse(download.value.path()).getroot().itertext())
        assert "a model that nobody has fitted" in words
    finally:
        context.close()
        site.stop()
        thread.join(30)


def test_dose_response_has_bands_published_points_people_and_a_table(tab):
    panel = opened(tab, "response")
    figures = panel.locator("figure")
    assert figures.nth(0).locator("path.band").count() == 2
    assert figures.nth(0).locator("circle.point").count() == 5  # two of IMODALS, three of Hartemann 2013
    assert figures.nth(1).locator("circle.point").count() == 9 * 30
    assert panel.locator("tbody tr").count() == 9
    assert "UNVERIFIED" in panel.inner_text()
    medians = [float(text.lstrip("●◐○")) for text in panel.locator("tbody td:nth-child(2)").all_inner_texts()]
    assert medians == sorted(medians)
    answered(tab, lambda: panel.get_by_label("Against", exact=True).select_option(""))
    assert not figures.nth(1).is_visible()
    answered(tab, lambda: panel.get_by_label("Schedule", exact=True).select_option("B"))
    answered(tab, lambda: panel.get_by_label("Endpoint", exact=True).select_option("NK mean fold"))
    assert "NK mean fold over the dose: ? MIU sc daily x5" in figures.nth(0).inner_text()
    tab.wait_for_url("**response.of=B**response.endpoint=NK**")


@pytest.mark.parametrize("view", ["response", "target"])
def test_a_number_over_the_dose_opens_what_is_behind_it(tab, view):
    panel = opened(tab, view)
    numbers = panel.locator("table button.number")
    rows = panel.locator("tbody tr").count()
    assert numbers.count() == rows * {"response": 1, "target": 2}[view]
    assert panel.locator("table button.number[tabindex='0']").count() == 1  # one stop of the Tab key
    numbers.first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog")
    assert "Treg mean fold" in dialog.inner_text() and dialog.locator("tbody tr").count() > 3
    assert dialog.locator("a[href^='https://doi.org/10.']").count()
    tab.keyboard.press("Escape")
    assert not dialog.count()


@pytest.mark.parametrize(("view", "name"), [("drivers", "Treg mean fold"), ("why", "Tregs of CD4")])
def test_a_number_of_drivers_and_why_opens_what_is_behind_it(tab, view, name):
    panel = opened(tab, view)
    numbers = panel.locator("table button.number")
    assert numbers.count() == {"drivers": panel.locator("tbody tr").count(), "why": 4}[view]
    assert panel.locator("table button.number[tabindex='0']").count() == 1  # one stop of the Tab key
    assert "◐ fitted, but beyond" in panel.inner_text()
    numbers.nth(1).focus()
    tab.keyboard.press({"drivers": "ArrowUp", "why": "ArrowLeft"}[view])
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog")
    assert name in dialog.locator("h2").inner_text()
    assert "imodals_washout_2miu" in dialog.locator("ul").inner_text()
    assert dialog.locator("tr.unverified").count() == 9 < dialog.locator("tbody tr").count() == 21
    assert "unverified" in dialog.locator("tr.unverified .source").first.inner_text()
    assert dialog.locator("a[href^='https://doi.org/10.']").count()
    tab.keyboard.press("Escape")
    assert not dialog.count()


def test_the_sum_that_why_tells_of_says_that_nobody_has_measured_it(tab):
    panel = opened(tab, "why")
    panel.locator("section").nth(1).locator("button.number").first.click()
    dialog = tab.get_by_role("dialog")
    assert "No data on T + B stand behind it." in dialog.inner_text() and not dialog.locator("table").count()


def test_a_number_keeps_the_focus_when_another_dose_is_looked_at(tab):
    panel = opened(tab, "why")
    panel.locator("button.number").nth(2).focus()
    answered(
        tab,
        lambda: tab.evaluate("""() => {
        const field = document.querySelector("#schedule-A");
        field.value = "2 MIU sc daily x5";
        field.dispatchEvent(new Event("input", { bubbles: true })); }"""),
    )
    there = "[...document.querySelectorAll('#view-why button.number')].indexOf(document.activeElement)"
    assert tab.evaluate(there) == 2


def test_which_interval_is_asked_as_which_dose_is(tab):
    panel = opened(tab, "target")
    answered(tab, lambda: panel.get_by_label("Target", exact=True).fill("Treg mean fold at least 1.2"))
    assert "The smallest dose is" in panel.locator(".answer").inner_text()
    answered(tab, lambda: panel.get_by_label("Vary", exact=True).select_option("interval"))
    assert panel.get_by_label("From, to", exact=True).input_value() == "7 to 56 d"
    assert "longest interval is" in panel.locator(".answer").inner_text()
    answered(tab, lambda: panel.get_by_label("From, to", exact=True).fill("14 to 42 d by 14"))
    assert panel.locator("tbody th").all_inner_texts() == ["14", "28", "42"]
    tab.wait_for_url("**target.along=interval**target.range=14+to+42+d+by+14**")
    panel.get_by_label("From, to", exact=True).fill("42 to 14 d")
    panel.locator("#target-range-error").get_by_text("the range ends at 14").wait_for()
    answered(tab, lambda: panel.get_by_label("Vary", exact=True).select_option("cycles"))
    assert panel.get_by_label("From, to", exact=True).input_value() == "1 to 12"


def test_drivers_has_a_bar_for_each_end_and_shares_with_intervals(tab):
    panel = opened(tab, "drivers")
    inputs = panel.locator("tbody tr").count()
    assert panel.locator("rect.bar").count() == 2 * inputs == 12
    assert panel.locator("circle.first").count() == panel.locator("circle.total").count() == inputs
    assert panel.locator("tbody th").first.inner_text().startswith("K: ")  # what moves most is the first
    assert re.fullmatch(r"\d+ \(\d+ to \d+\)", panel.locator("tbody td:nth-child(4)").first.inner_text())
    answered(tab, lambda: panel.get_by_label("Driven by", exact=True).select_option("parameters"))
    assert panel.locator("tbody tr").count() > 20
    assert "Morris" in panel.inner_text()


def test_why_has_what_the_function_says_and_an_axis_that_holds_the_curves(tab):
    panel = opened(tab, "why")
    assert panel.locator("figure").count() == 5
    schedule = "1 MIU sc daily x5 every 28 d x3"
    pool = why("low_dose_il2", schedule, "treg_pct", subjects=1).accounts[1]
    by = {part.text: part for term in pool.terms for part in term.parts if term.text.startswith("share")}
    cell = panel.locator("tbody tr", has_text="division rate, by divide").locator("td").first.inner_text()
    shown = float(cell.splitlines()[0].replace("\u202f", ""))
    assert shown == pytest.approx(by["divide"].treated.typical, rel=0.01)
    inside = """() => [...document.querySelectorAll("#view-why svg.still")].every((picture) => {
        const box = picture.getBoundingClientRect();
        return [...picture.querySelectorAll("path.line, path.band")].every((path) => {
            const own = path.getBoundingClientRect();
            return own.top >= box.top - 2 && own.bottom <= box.bottom - 20; }); })"""
    assert tab.evaluate(inside)
    blood = panel.locator("section").first.locator("tbody td").all_inner_texts()
    assert not any("e" in text for text in blood)  # what rounding leaves of nothing is nought
    answered(tab, lambda: tab.locator(".card.of-A").get_by_label("Dose, slider").press("ArrowRight"))
    assert "1.1" in tab.locator("#command").inner_text()


@pytest.mark.parametrize("view", VIEWS)
def test_the_command_below_a_view_runs(tab, view, capfd):
    opened(tab, view)
    program, *words = shlex.split(tab.locator("#command").inner_text())
    assert program == "pkpd"
    fewer = {
        "response": ["--points", "2", "--subjects", "5", "--draws", "10"],
        "target": ["--subjects", "5", "--draws", "10"],
        "drivers": ["--samples", "16"],
    }
    with pytest.raises(SystemExit) as end:
        main([*words, *fewer.get(view, ["--subjects", "2"]), "--quiet"])
    assert not end.value.code, capfd.readouterr().err


@pytest.mark.parametrize("view", VIEWS)
def test_a_schedule_that_a_view_cannot_look_at_is_refused_at_its_field(tab, view):
    opened(tab, view)
    tab.locator("#schedule-A").fill("1 MIU sc weekly x12; hold if nk > 2 x baseline")
    tab.locator("#schedule-A-error").get_by_text("without rules").wait_for()
    answered(tab, lambda: tab.locator("#schedule-A").fill("1 MIU sc daily x5"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_them_without_scrolling_sideways(chromium, site, scheme):
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme=scheme
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.goto(site.url)
    page.wait_for_selector("body[data-answers]", state="attached")
    for view in VIEWS:
        panel = opened(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        for picture in panel.locator("svg.still").all():
            assert len(picture.get_attribute("aria-label")) > 20
    context.close()
