"""The page of `pkpd explore` in a real browser: sliders, text, charts, table, link and exports say the same,
and nothing leaves the machine."""

from __future__ import annotations

import csv
import io
import re
import shlex
import statistics
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import browser as browsers
import matplotlib.pyplot as plt
import numpy as np
import pytest
import toy

from pkpd.cli import main
from pkpd.dosing import Schedule
from pkpd.inference import fit, read_fit
from pkpd.present.web import Site, pace, views
from pkpd.present.web.evaluation import number
from pkpd.treg import field

OUTPUTS = field.criteria().page
ONE, TWO = "1 MIU sc daily x5 every 28 d x3", "2 MIU sc daily x5 every 28 d x3"
ANSWERS_WITHIN_MS = 1000  # `python -m benchmarks explore` measures 80 to 100; tests share their cores


@pytest.fixture(scope="module")
def chromium():
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site():
    site = Site()
    thread = threading.Thread(target=site.run)
    thread.start()
    yield site
    site.stop()
    thread.join(30)


class Page:
    """A tab, with what it asked for and what went wrong in it."""

    def __init__(self, context, url):
        self.tab = context.new_page()
        self.problems, self.asked = [], []
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("console", lambda message: message.type == "error" and self.problems.append(message.text))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(url)
        self.settled(1)

    def answers(self):
        return int(self.tab.locator("body").get_attribute("data-answers") or 0)

    def settled(self, least):
        """Wait until that many answers are drawn, and no request is under way."""
        self.tab.wait_for_selector("body[data-answers]", state="attached")
        for _ in range(400):
            if self.answers() >= least:
                return
            self.tab.wait_for_timeout(25)
        raise AssertionError(f"no answer: {self.tab.locator('#status').inner_text()}")

    def after(self, action):
        """Do something that asks the server, and wait for what it draws."""
        before = self.answers()
        action()
        self.settled(before + 1)

    def median(self, output, schedule):
        """The drawn median of an output, as the path's text."""
        return self.tab.locator(f"figure[data-output={output}] path.median").nth(schedule).get_attribute("d")

    def slider(self, schedule, label):
        return self.tab.locator(f".card.of-{schedule}").get_by_label(f"{label}, slider")

    def text(self, schedule):
        return self.tab.locator(f"#schedule-{schedule}")

    def saved(self, button):
        with self.tab.expect_download() as download:
            self.tab.get_by_role("button", name=button).click()
        with open(download.value.path(), "rb") as file:
            return download.value.suggested_filename, file.read()


@pytest.fixture
def context(chromium):
    context = chromium.new_context(viewport={"width": 1360, "height": 900}, accept_downloads=True)
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context, site):
    page = Page(context, site.url)
    yield page
    assert page.problems == []
    assert all(url.startswith((site.url, "blob:", "data:")) for url in page.asked)


def test_the_page_shows_charts_table_and_published_points(page):
    assert len(OUTPUTS) == 6  # and one cycle of the drug's concentration, and the doses
    assert page.tab.locator("figure:visible svg.chart").count() == len(OUTPUTS) + 3
    for output in OUTPUTS:
        figure = page.tab.locator(f"figure[data-output={output}]")
        assert figure.locator("path.median").count() == figure.locator("path.band").count() == 2
        assert all(len(page.median(output, k)) > 300 for k in (0, 1))
        assert figure.locator(".rug path").count() == 2
    # no two lines have the same colour or the same dashes
    lines = page.tab.locator("figure[data-output=il2] path.median")
    for attribute in ("stroke", "stroke-dasharray"):
        assert lines.nth(0).get_attribute(attribute) != lines.nth(1).get_attribute(attribute)
    assert page.tab.locator("figure[data-output=treg_pct] .points g").count() > 5
    assert "unverified" in page.tab.locator("#legend").inner_text()
    assert "Identified by nothing" in page.tab.locator("figure[data-output=ccl2] .remark").inner_text()
    for part in ("header", "footer"):
        assert "not medical advice" in page.tab.locator(part).inner_text()
        assert page.tab.locator(part).is_visible()
    assert "the fit saw" in page.tab.locator("#warnings").inner_text()
    table = page.tab.locator("#endpoints")
    assert table.locator("thead th").all_inner_texts()[3:] == ["B − A", "P(B better)"]
    row = table.locator("tbody tr", has_text="Treg peak fold")
    cells = row.locator("td").all_inner_texts()
    assert all(re.fullmatch(r"◐? ?[\d.]+\n[\d.]+ to [\d.]+", cell) for cell in cells[:3]), cells
    assert re.fullmatch(r"\d+ %\s+same \d+ %, worse \d+ %", cells[3].strip())
    assert row.get_by_label("More is better").inner_text() == "\u2191"  # what P(B better) counts
    assert (
        table.locator("tbody tr", has_text="CD56bright NK mean fold").locator(".arrow").inner_text()
        == "\u2193"
    )
    row.locator("summary").click()
    assert re.search(
        r"More is better\. The same is less apart than 0\.1 \(a tenth of baseline.*\)\. "
        r"Median by the parameters .*: A [\d.]+ to [\d.]+; B",
        row.inner_text(),
    )
    main = table.locator("tbody tr").count()
    page.tab.get_by_label("Every endpoint").check()
    assert table.locator("tbody tr").count() > main and row.locator("details").get_attribute("open") == ""
    page.tab.locator("#published summary").click()
    unverified = page.tab.locator("#points tr.unverified")
    assert "unverified" in unverified.first.inner_text() and "IMODALS" in unverified.first.inner_text()


def test_where_differences_do_not_matter_it_says_the_same(page):
    row = page.tab.locator("#endpoints tbody tr", has_text="CCL2 change")
    words = row.locator("td").nth(3).inner_text()  # of all people less than 10 percent apart
    assert re.fullmatch(r"the same\s+in (9\d|100) %", words.strip())
    assert row.locator("meter").count() == 0


def test_a_number_opens_what_is_behind_it(page):
    number = page.tab.locator("#endpoints tbody tr", has_text="Treg mean fold").locator("button").nth(1)
    assert number.locator(".light").get_attribute("aria-label") == "fitted"
    number.focus()
    page.tab.keyboard.press("Enter")
    dialog = page.tab.get_by_role("dialog", name="Treg mean fold")
    said = dialog.inner_text()
    assert "imodals_washout_2miu" in said and "did not come as predicted" in said
    row = dialog.locator("tr", has_text="imodals_d8_1miu")
    assert "unverified" in row.inner_text() and row.get_attribute("class") == "unverified"
    assert row.locator("a").get_attribute("href").startswith("https://doi.org/10.1016/")
    assert "not medical advice" in said
    page.tab.keyboard.press("Escape")
    assert dialog.count() == 0 and page.tab.evaluate("document.activeElement.className") == "number"
    page.tab.keyboard.press("ArrowUp")  # the numbers are one stop of Tab, with arrows among them
    assert "Treg trough fold" in page.tab.evaluate("document.activeElement.closest('tr').textContent")
    assert page.tab.locator("button.number[tabindex='0']").count() == 1
    burden = page.tab.locator("#endpoints tbody tr", has_text="injections per 28 days")
    assert burden.count() == 1 and burden.locator("button").count() == 0  # counted, and so without a light


def test_a_slider_changes_its_schedule_in_no_time(page):
    before = [page.median("treg_pct", k) for k in (0, 1)]
    dose = page.slider("A", "Dose")
    dose.focus()
    for _ in range(8):
        page.after(lambda: page.tab.keyboard.press("ArrowRight"))
    assert page.text("A").input_value() == "1.8 MIU sc daily x5 every 28 d x3"
    assert page.median("treg_pct", 0) != before[0]
    took = page.tab.evaluate("performance.getEntriesByName('answer').slice(1).map(entry => entry.duration)")
    assert statistics.median(took) < ANSWERS_WITHIN_MS


def test_moves_faster_than_answers_end_at_the_last(page):
    dose = page.slider("B", "Dose")
    dose.focus()
    for _ in range(25):
        page.tab.keyboard.press("ArrowRight")
    page.tab.locator("#legend").get_by_text("7.5 MIU").wait_for()
    page.settled(1)
    assert page.text("B").input_value() == "7.5 MIU sc daily x5 every 28 d x3"
    assert not page.tab.evaluate("document.body.classList.contains('outdated')")


def test_sliders_and_text_stay_in_step(page):
    page.after(lambda: page.text("A").fill("0.26 MIU/m2 sc every 3 d for 84 d"))
    card = page.tab.locator(".card.of-A")
    assert card.get_by_label("Dose", exact=True).input_value() == "0.26"
    assert card.get_by_label("Unit of the dose").input_value() == "MIU/m2"
    assert card.get_by_label("Days on", exact=True).input_value() == "1"
    assert card.get_by_label("Cycle every", exact=True).input_value() == "3"
    assert card.get_by_label("Cycles", exact=True).input_value() == "28"
    page.after(lambda: card.get_by_label("Dose", exact=True).fill("0.3"))
    assert page.text("A").input_value() == "0.3 MIU/m2 sc every 3 d x28"
    page.after(lambda: page.text("A").fill("1.5 MIU sc daily x5 then weekly x7"))
    assert "More than the sliders can say" in card.inner_text()
    page.after(lambda: card.get_by_label("Cycles", exact=True).fill("1"))
    assert page.text("A").input_value() == "0.3 MIU/m2 sc once"
    page.after(lambda: card.get_by_label("Unit of the dose").select_option("MIU"))
    page.after(lambda: card.get_by_label("Days on", exact=True).fill("40"))
    assert page.text("A").input_value() == "0.3 MIU sc daily x40"


def test_missed_late_and_doubled_doses_have_fields_in_step_with_the_text(page):
    card = page.tab.locator(".card.of-A")
    taken = card.locator("details.as-taken")
    assert taken.locator("summary").inner_text() == "Missed, late or doubled doses: none"
    planned = page.text("A").input_value()
    before = page.median("treg_pct", 0)
    taken.locator("summary").click()
    page.after(lambda: card.get_by_label("Missed days").fill("28-30, 57"))
    assert page.text("A").input_value() == f"{planned}; miss days 28-30, 57"
    assert page.median("treg_pct", 0) != before
    page.after(lambda: card.get_by_label("Late days").fill("31"))  # by six hours where nobody says
    page.after(lambda: card.get_by_label("Late by").fill("12"))
    page.after(lambda: card.get_by_label("Doses taken").fill("90"))
    assert (
        page.text("A").input_value().endswith("; miss days 28-30, 57; delay days 31 by 12 h; adherence 90 %")
    )
    page.after(lambda: card.get_by_label("Dose", exact=True).fill("1.5"))  # what is planned; the rest stays
    assert page.text("A").input_value().startswith("1.5 MIU sc daily x5 every 28 d x3; miss days 28-30, 57;")
    assert taken.locator("summary").inner_text().endswith("missed, late, some left out")
    card.get_by_label("Missed days").fill("6")
    card.locator("pre.error").get_by_text("no dose is planned on day 6").wait_for()
    page.problems.clear()  # what a browser says of a refusal
    page.after(lambda: page.text("A").fill("1.5 MIU sc daily x5 then weekly x7; miss day 11; jitter 2 h"))
    values = [card.get_by_label(name).input_value() for name in ("Missed days", "Late days", "Times vary by")]
    assert values == ["11", "", "2"] and "More than the sliders can say" in card.inner_text()
    page.after(lambda: card.get_by_label("Missed days").fill(""))
    assert page.text("A").input_value() == "1.5 MIU sc daily x5 then weekly x7; jitter 2 h"
    page.after(lambda: page.text("A").fill(f"{ONE}; hold if nk > 3 x baseline"))
    assert card.get_by_label("Missed days").is_disabled()
    page.after(lambda: card.get_by_label("Cycles", exact=True).fill("2"))
    assert card.get_by_label("Missed days").is_enabled()
    assert page.text("A").input_value() == "1.5 MIU sc daily x5 every 28 d x2"


def test_what_is_typed_changes_no_other_field_and_is_not_rounded(page):
    card = page.tab.locator(".card.of-A")
    every = card.get_by_label("Cycle every", exact=True)
    every.press("ControlOrMeta+a")
    every.press("1")  # on the way to 14: five days do not fit into one
    card.locator("pre.error").get_by_text("cannot be repeated every 1 d").wait_for()
    page.after(lambda: every.press("4"))
    assert page.text("A").input_value() == "1 MIU sc daily x5 every 14 d x3"
    for wrong in ("5.5", "0", "-1"):
        card.get_by_label("Days on", exact=True).fill(wrong)
        assert page.text("A").input_value() == f"1 MIU sc daily x{wrong} every 14 d x3"
        card.locator("pre.error").get_by_text(f"daily x{wrong}").wait_for()
    page.after(lambda: page.slider("A", "Days on").press("End"))
    assert (
        page.text("A").input_value() == "1 MIU sc daily x28 every 28 d x3"
    )  # a slider takes the other along
    assert all("422" in problem for problem in page.problems)  # what a browser says of refusals
    page.problems.clear()


def test_what_all_schedules_share(page):
    before = page.median("il2", 0), page.median("treg_pct", 0), page.tab.locator("#endpoints").inner_text()
    page.after(lambda: page.tab.get_by_label("Body surface", exact=True).fill("1.4"))
    assert page.median("il2", 0) != before[0]
    page.after(lambda: page.tab.get_by_label("Responders").select_option("high"))
    assert page.median("treg_pct", 0) != before[1]
    page.after(lambda: page.tab.get_by_label("Subjects", exact=True).fill("60"))
    assert "60 virtual subjects over 112 days" in page.tab.locator("#status").inner_text()
    page.after(lambda: page.tab.get_by_label("Horizon", exact=True).fill("70"))
    assert not page.tab.get_by_label("Horizon 28 days beyond").is_checked()
    assert "60 virtual subjects over 70 days" in page.tab.locator("#status").inner_text()
    assert page.tab.locator("#endpoints").inner_text() != before[2]
    command = page.tab.locator("#command").inner_text()
    for part in ("--subjects 60", "--responders high", "BSA = 1.4 m^2", '--until "70 d"'):
        assert part in command
    page.after(lambda: page.tab.get_by_label("Horizon 28 days beyond").check())
    assert page.tab.get_by_label("Horizon", exact=True).input_value() == "112"
    assert "--until" not in page.tab.locator("#command").inner_text()
    points = page.tab.locator("figure .points g")
    everything = points.count()
    page.tab.get_by_label("Published points").select_option("same")
    assert 0 < points.count() < everything
    page.tab.get_by_label("Published points").select_option("none")
    assert points.count() == 0
    curve = page.median("il2", 0)
    page.tab.get_by_label("IL-2 in plasma on a logarithmic axis").check()
    assert page.median("il2", 0) != curve


def test_schedules_are_added_and_removed(page):
    page.after(lambda: page.tab.get_by_role("button", name="Add a schedule").click())
    assert page.text("C").input_value() == TWO
    page.after(lambda: page.text("C").fill("none"))
    page.after(lambda: page.tab.get_by_role("button", name="Add a schedule").click())
    assert page.tab.get_by_role("button", name="Add a schedule").is_disabled()
    assert page.tab.locator("figure[data-output=nk] path.median").count() == 4
    assert page.tab.locator("#endpoints thead th").count() == 1 + 4 + 2 * 3
    page.after(lambda: page.tab.get_by_role("button", name="Remove schedule A").click())
    assert [page.text(letter).input_value() for letter in "ABC"] == [TWO, "none", "none"]
    for _ in range(2):
        page.after(lambda: page.tab.get_by_role("button", name="Remove schedule B").click())
    assert page.tab.locator("#endpoints thead th").count() == 2
    assert not page.tab.get_by_role("button", name="Remove schedule A").is_visible()


def test_wrong_input_says_what_the_command_line_says_and_keeps_the_charts(page):
    curve = page.median("treg_pct", 1)
    with pytest.raises(Exception, match="dayly") as stated:
        Schedule.parse("2 MIU sc dayly x5")
    page.text("B").fill("2 MIU sc dayly x5")
    sentence = page.tab.locator("#schedule-B-error")
    sentence.wait_for(state="visible")
    assert sentence.inner_text().splitlines()[0] == str(stated.value).splitlines()[0].replace(
        "<schedule>:1:10:", "at character 10:"
    )
    assert page.text("B").get_attribute("aria-invalid") == "true"
    assert page.text("B").get_attribute("aria-describedby") == "schedule-B-error"
    assert page.median("treg_pct", 1) == curve and "Not computed" in page.tab.locator("#status").inner_text()
    page.problems.clear()  # the browser notes an answer of 422 as an error
    page.after(lambda: page.text("B").fill(TWO))
    assert not sentence.is_visible()
    body = page.tab.get_by_label("Body surface", exact=True)
    body.fill("9")
    page.tab.get_by_text("must lie between 0.5 and 3, not 9").wait_for(state="visible")
    assert body.get_attribute("aria-invalid") == "true"
    page.problems.clear()
    page.after(lambda: body.fill("1.85"))
    page.tab.get_by_label("Horizon", exact=True).fill("50")
    page.tab.locator("#schedule-A-error").get_by_text("is not before the horizon of 50 days").wait_for()
    page.problems.clear()
    page.after(lambda: page.tab.get_by_label("Horizon 28 days beyond").check())


def test_values_are_read_by_mouse_touch_and_keyboard(page):
    chart = page.tab.locator("figure[data-output=treg_pct] svg.chart")
    readout = page.tab.locator("figure[data-output=treg_pct] .readout")
    chart.hover(position={"x": 300, "y": 60})
    assert re.search(r"day \d+\.\d\nA  \d.*\(\d.* to \d.*\)\nB  ", readout.inner_text())
    page.tab.locator("h1").hover()
    assert not readout.is_visible()
    chart.focus()
    for key in ("Home", "Shift+ArrowRight", "ArrowRight", "ArrowRight"):
        page.tab.keyboard.press(key)
    assert readout.inner_text().startswith("day 6.0")  # half days, over 84 of them
    page.tab.keyboard.press("ArrowRight")
    page.tab.keyboard.press("ArrowRight")
    assert "IMODALS, 1 MIU" in readout.inner_text() and "UNVERIFIED" in readout.inner_text()  # on day 7
    spoken = page.tab.locator("#spoken")
    spoken.get_by_text("day 7.0").wait_for(state="attached")
    page.tab.keyboard.press("Escape")
    assert not readout.is_visible()


def days_seen(page, figure):
    """The first and the last day that have a tick."""
    ticks = page.tab.locator(f"{figure} .axes > g:first-child .tick text").all_text_contents()
    return float(ticks[0]), float(ticks[-1])


def test_time_is_zoomed_in_all_charts_by_mouse_keyboard_and_fields(page, context):
    il2 = "figure[data-output=il2]"
    chart, whole = page.tab.locator(f"{il2} svg.chart"), page.median("nk", 0)
    reset = page.tab.get_by_role("button", name="Whole time")
    assert reset.is_disabled() and days_seen(page, il2) == (0, 112)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    left, width = box["x"] + 50, box["width"] - 60  # of the curves
    with page.tab.expect_response("**/api/detail"):  # finer than the whole course was drawn
        page.tab.mouse.move(left + width * 28 / 112, box["y"] + 80)
        page.tab.mouse.down()
        page.tab.mouse.move(left + width * 30 / 112, box["y"] + 90)
        page.tab.mouse.move(left + width * 42 / 112, box["y"] + 90)
        page.tab.mouse.up()
    first, last = (
        float(page.tab.get_by_label(f"{end} day", exact=True).input_value()) for end in ("From", "To")
    )
    assert first == pytest.approx(28, abs=0.5) and last == pytest.approx(42, abs=0.5)
    for output in OUTPUTS:
        seen = days_seen(page, f"figure[data-output={output}]")
        assert first <= seen[0] < first + 4 and last - 4 < seen[1] <= last
    page.tab.wait_for_url("**courses.from=2*courses.to=4*")
    other = Page(context, page.tab.url)
    other.tab.wait_for_timeout(300)
    assert other.median("il2", 1) == page.median("il2", 1)
    assert other.problems == [] and "from day 2" in chart.get_attribute("aria-label")
    chart.dblclick(position={"x": 300, "y": 60})
    assert reset.is_disabled() and page.median("nk", 0) == whole
    chart.focus()
    page.tab.keyboard.press("Escape")  # the cursor first
    page.tab.keyboard.press("+")
    assert days_seen(page, il2) == (28, 84) and page.median("nk", 0) != whole
    page.tab.keyboard.press("+")
    page.tab.keyboard.press("-")
    assert days_seen(page, il2) == (28, 84)
    page.tab.keyboard.press("Escape")
    assert page.median("nk", 0) == whole
    page.tab.get_by_label("To day", exact=True).fill("7")
    page.tab.get_by_label("To day", exact=True).press("Enter")
    assert days_seen(page, "figure[data-output=nk]") == (0, 7)
    page.tab.get_by_label("To day", exact=True).fill("-3")  # no such days
    page.tab.get_by_label("To day", exact=True).press("Tab")
    assert (
        days_seen(page, il2) == (0, 112)
        and page.tab.get_by_label("To day", exact=True).input_value() == "112"
    )


def test_one_cycle_is_enlarged_where_peaks_cannot_be_told_apart(page):
    cycle = page.tab.locator("figure[data-cycle-of]:visible")
    assert cycle.count() == 1 and cycle.get_attribute("data-cycle-of") == "il2"
    assert "cycle 1 of 3, doses 1 to 5" in cycle.locator(".stepper").inner_text()
    first = "figure[data-cycle-of=il2]"
    assert days_seen(page, first) == (0, 6)
    assert cycle.get_by_role("button", name="Earlier cycle").is_disabled()
    for name in ("Later cycle", "Later cycle"):
        cycle.get_by_role("button", name=name).click()
    assert "cycle 3 of 3, doses 11 to 15" in cycle.locator(".stepper").inner_text()
    assert days_seen(page, first) == (56, 62)
    assert cycle.get_by_role("button", name="Later cycle").is_disabled()
    page.after(lambda: page.text("B").fill("1 MIU sc every 3 d x20"))
    cycle.get_by_label("Schedule whose cycles").select_option("B")
    assert "cycle 1 of 3, doses 1 to 7" in cycle.locator(".stepper").inner_text()
    cycle.get_by_label("one cycle on a logarithmic axis").check()
    assert page.tab.get_by_label("IL-2 in plasma on a logarithmic axis").is_checked()
    ticks = cycle.locator(".axes > g:nth-child(2) .tick text").all_text_contents()
    assert {"0.1", "1", "10"} <= set(ticks)  # powers of ten
    for letter in "AB":
        page.after(lambda letter=letter: page.text(letter).fill("1 MIU sc once"))
    assert cycle.count() == 0


def test_each_output_has_its_own_logarithmic_axis(page):
    curves = {output: page.median(output, 0) for output in OUTPUTS}
    page.tab.get_by_label("NK cells on a logarithmic axis").check()
    assert {output for output in OUTPUTS if page.median(output, 0) != curves[output]} == {"nk"}
    page.tab.wait_for_url("**courses.log=nk*")


def test_days_of_doses_are_listed_and_counted(page):
    page.after(lambda: page.text("B").fill("2 MIU sc daily x2 then 1 MIU sc weekly x2"))
    legend = page.tab.locator("#legend")
    legend.locator("summary").nth(0).click()
    legend.locator("summary").nth(1).click()
    legend.locator("details").nth(1).locator("li").wait_for()
    assert legend.locator("details").nth(0).locator("li").all_inner_texts() == [
        "day 0, 1, 2, 3, 4: 1 MIU sc",
        "day 28, 29, 30, 31, 32: 1 MIU sc",
        "day 56, 57, 58, 59, 60: 1 MIU sc",
    ]
    assert "day 0, 1: 2 MIU sc; day 8, 15: 1 MIU sc" in legend.locator("details").nth(1).inner_text()
    given = page.tab.locator("figure", has_text="Cumulative doses")
    assert ": A reaches 15, B reaches 4." in given.locator("svg.chart").get_attribute("aria-label")
    given.locator("svg.chart").focus()
    for _ in range(2):
        page.tab.keyboard.press("Shift+ArrowRight")  # ten steps of half a day
    assert given.locator(".readout").inner_text().splitlines() == ["day 5.0", "A  5", "B  2"]
    page.after(lambda: page.slider("A", "Dose").press("ArrowRight"))
    assert "1.1 MIU" in legend.locator("li").first.inner_text()  # what is open stays open


def test_courses_with_an_adverse_event_add_up_with_an_interval(page):
    chart = page.tab.locator("figure", has_text="Courses with an adverse event")
    assert "a later one is as likely to have it as a first" in chart.inner_text()
    assert chart.locator("path.median").count() == 2
    chart.locator("svg.chart").focus()
    page.tab.keyboard.press("End")
    said = chart.locator(".readout").inner_text()
    (median, low, high) = map(float, re.search(r"A  ([\d.]+)  \(([\d.]+) to ([\d.]+)\)", said).groups())
    row = page.tab.locator("#endpoints tbody tr", has_text="adverse event")
    single = float(re.search(r"[\d.]+", row.locator("td").first.inner_text())[0])
    assert median == pytest.approx(3 * single, rel=0.01) and low < median < high <= 3
    page.after(lambda: page.text("A").fill("none"))
    page.after(lambda: page.text("B").fill("none"))
    assert not chart.is_visible()


def test_one_chart_is_saved_as_a_picture_that_says_what_it_is(page):
    for title, unit in (
        ("IL-2 in plasma", "IU/mL"),
        ("IL-2 in plasma, one cycle", "IU/mL"),
    ):
        with page.tab.expect_download() as download:
            page.tab.get_by_role("button", name=f"{title} as SVG", exact=True).click()
        name = download.value.suggested_filename
        picture = ElementTree.parse(download.value.path()).getroot()
        words = " ".join(text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text"))
        assert name == f"pkpd_{title.replace(', ', '_').replace(' ', '_')}.svg"
        for part in (ONE, TWO, f"{title} ({unit})", "A model, not medical advice.", "200 virtual subjects"):
            assert part in words
        drawn = [path.get("d") for path in picture.iter("{http://www.w3.org/2000/svg}path")]
        assert sum(len(d) > 300 for d in drawn) == 4  # two bands, two medians
        assert not any(element.get("style") for element in picture.iter() if "clip" not in str(element.tag))
    with page.tab.expect_download() as download:
        page.tab.get_by_role("button", name="NK cells as PNG", exact=True).click()
    assert download.value.suggested_filename == "pkpd_NK_cells.png"
    pixels = plt.imread(download.value.path())
    assert (
        pixels.shape[1] == 2 * 668
        and np.sum(np.abs(pixels[..., :3] - (0, 0.447, 0.698)).max(axis=-1) < 0.02) > 500
    )


def test_everything_can_be_reached_and_has_a_name(page):
    unnamed = page.tab.evaluate(
        """() => [...document.querySelectorAll(
            "input, select, textarea, button, svg.chart, a")].filter((field) =>
            !(field.getAttribute("aria-label") || field.textContent.trim() || [...(field.labels ?? [])].some(
            (label) => label.textContent.trim()))
        ).map((field) => field.outerHTML)"""
    )
    assert unnamed == []
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.tab.keyboard.press("Enter")
    assert page.tab.evaluate("document.activeElement.id") == "results"
    page.tab.wait_for_url("**/#s=*")  # the link still is the state
    seen = set()
    for _ in range(120):
        page.tab.keyboard.press("Tab")
        seen.add(page.tab.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {
        "copy-link",
        "export-png",
        "schedule-A",
        "schedule-B",
        "add",
        "responders",
        "auto",
        "svg",
        "copy-command",
    } <= seen


def test_exports_hold_what_the_page_shows(page, context, site, tmp_path):
    name, png = page.saved("Charts as PNG")
    pixels = plt.imread(io.BytesIO(png))
    assert name == "pkpd_charts.png" and pixels.shape[0] > 1500 and pixels.shape[1] > 2400
    for colour in ((0, 0.447, 0.698), (0.835, 0.369, 0)):  # the lines of A and B
        assert np.sum(np.abs(pixels[..., :3] - colour).max(axis=-1) < 0.02) > 1000
    name, content = page.saved("Curves as CSV")
    rows = table(content)
    assert name == "pkpd_curves.csv" and {row["doses"] for row in rows} == {ONE, TWO}
    assert {row["output"] for row in rows} == set(OUTPUTS)
    assert all(float(row["p5"]) <= float(row["median"]) <= float(row["p95"]) for row in rows)
    name, content = page.saved("Table as CSV")
    rows = table(content)
    page.tab.get_by_label("Every endpoint").check()
    assert len(rows) == 2 * page.tab.locator("#endpoints tbody tr:not(.group)").count()
    assert rows[0]["difference to A"] == "" and float(rows[1]["median"]) > 0
    assert b"not medical advice" in content and b"the fit saw" in content
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url.rstrip("/"))
    page.tab.get_by_role("button", name="Copy command").click()
    page.tab.get_by_role("button", name="Command copied").wait_for()
    copied = page.tab.evaluate("navigator.clipboard.readText()")
    assert copied == page.tab.locator("#command").inner_text() and copied.startswith("pkpd compare ")
    page.tab.get_by_role("button", name="Copy link").click()
    page.tab.get_by_role("button", name="Copied, for this machine").wait_for()
    assert page.tab.evaluate("navigator.clipboard.readText()") == page.tab.url
    with pytest.raises(SystemExit):  # what was copied, run in a terminal, gives what was saved
        main([*shlex.split(copied)[1:], "--quiet", "-o", str(tmp_path / "same.csv")])
    same = table((tmp_path / "same.csv").read_bytes())
    by_name = {(row["endpoint"], row["unit"], row["schedule"]): row for row in same}
    for row in rows:
        other = by_name[row["endpoint"], row["unit"], row["doses"]]
        for mine, theirs in [
            ("median", "median"),
            ("p95", "high"),
            ("difference to A", "difference"),
            ("probability better than A", "better"),
            ("probability the same", "same"),
            ("probability worse than A", "worse"),
            ("median by parameters p5", "median_low"),
        ]:
            assert (row[mine] or "nan") == other[theirs] or float(row[mine] or "nan") == pytest.approx(
                float(other[theirs] or "nan"), rel=1e-4, abs=1e-12, nan_ok=True
            )


def table(content):
    """The rows of a CSV file after its lines that begin with "#"."""
    lines = content.decode().splitlines(keepends=True)
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def test_a_link_restores_everything(page, context, site):
    page.after(lambda: page.text("B").fill("1.5 MIU sc daily x5 then weekly x7"))
    page.after(lambda: page.tab.get_by_label("Body surface", exact=True).fill("1.6"))
    page.after(lambda: page.tab.get_by_label("Responders").select_option("low"))
    page.after(lambda: page.tab.get_by_label("Horizon", exact=True).fill("70"))
    page.tab.get_by_label("Every endpoint").check()
    page.tab.get_by_label("Published points").select_option("same")
    page.tab.get_by_label("IL-2 in plasma on a logarithmic axis").check()
    page.tab.wait_for_timeout(300)  # the link follows a little later
    other = Page(context, page.tab.url)
    for output in ("treg_pct", "il2", "nk"):
        assert [other.median(output, k) for k in (0, 1)] == [page.median(output, k) for k in (0, 1)]
    for part in ("#legend", "#endpoints", "#command"):
        assert other.tab.locator(part).inner_text() == page.tab.locator(part).inner_text()
    assert other.text("B").input_value() == "1.5 MIU sc daily x5 then weekly x7"
    assert other.tab.get_by_label("IL-2 in plasma on a logarithmic axis").is_checked()
    assert other.problems == []


# --- views ----------------------------------------------------------------------------------------

TWICE = """
import { element, shown } from "../state.js";
export const view = {
  name: "twice", title: "Twice <it>", start: { factor: 2, of: "Treg", loud: false },
  build(panel, page) {
    const field = element("input", { id: "factor", type: "number", "aria-label": "Factor" });
    field.addEventListener("input", (event) => {
      page.own(view).factor = field.valueAsNumber;
      page.changed(event);
    });
    panel.append(element("div", { "data-field": "factor" }, field), element("p", { id: "twice" }));
  },
  show(answer, page) {
    document.getElementById("factor").value = page.own(view).factor;
    document.getElementById("twice").textContent = `${answer.of_what}: ${shown(answer.product)}`;
  },
};
"""
INDEX = """import { view as courses } from "./courses.js";
import { view as twice } from "./twice.js";
export const VIEWS = [courses, twice];"""


def answered_with(content):
    return lambda route: route.fulfill(body=content, content_type="text/javascript")


def twice(explorer, values, stop):
    request = explorer.check(values, own=("factor", "of", "loud"))
    factor = number(request.own["factor"], "factor", "the factor", 0, 10)
    stop()
    product = factor * explorer.scene(request).subjects
    return explorer.told(request) | {
        "product": product,
        "of_what": request.own["of"],
        "seconds": 0.0,
        "command": " ".join(["pkpd twice", *explorer.options(request)]),
    }


@pytest.fixture
def viewed(context):
    """A page with a second view: one module of the page, one function, one line in either table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(views.ANSWERS, "twice", twice)
        site = Site(subjects=20)
        thread = threading.Thread(target=site.run)
        thread.start()
        for name, content in (("index", INDEX), ("twice", TWICE)):
            context.route(f"**/views/{name}.js", answered_with(content))
        try:
            page = Page(context, site.url)
            yield page
            assert page.problems == []
        finally:
            site.stop()
            thread.join(30)


def test_views_are_tabs_and_the_open_one_alone_computes(viewed, context):
    tabs = viewed.tab.get_by_role("tab")
    assert tabs.all_inner_texts() == ["Courses", "Twice <it>"]
    assert [tab.get_attribute("aria-selected") for tab in tabs.all()] == ["true", "false"]
    assert viewed.tab.get_by_role("tabpanel").get_attribute("aria-labelledby") == "tab-courses"
    tabs.nth(0).focus()
    viewed.after(lambda: viewed.tab.keyboard.press("ArrowRight"))
    assert viewed.tab.evaluate("document.activeElement.id") == "tab-twice"
    assert viewed.tab.get_by_role("tabpanel").get_attribute("id") == "view-twice"
    assert viewed.tab.locator("#twice").inner_text() == "Treg: 40.0"
    assert viewed.tab.locator("#command").inner_text() == (
        'pkpd twice --subjects 20 --seed 1 --set "BSA = 1.73 m^2"'
    )
    viewed.asked.clear()
    dose = viewed.slider("A", "Dose")
    viewed.after(lambda: dose.press("ArrowRight"))  # the controls on the left are everybody's
    viewed.after(lambda: viewed.tab.get_by_label("Factor").fill("3"))
    assert viewed.tab.locator("#twice").inner_text() == "Treg: 60.0"
    assert {url.rpartition("/api/")[2] for url in viewed.asked if "/api/" in url} == {"twice"}
    viewed.tab.wait_for_url("**view=twice&twice.factor=3")
    other = Page(context, viewed.tab.url)
    assert other.tab.locator("#twice").inner_text() == "Treg: 60.0"
    assert other.text("A").input_value().startswith("1.1 MIU")
    assert other.slider("A", "Dose").get_attribute("aria-valuetext") == "1.1"  # without any courses
    viewed.asked.clear()
    viewed.after(lambda: tabs.nth(1).press("Home"))
    assert viewed.tab.locator("#legend").get_by_text("1.1 MIU").is_visible()
    tabs.nth(0).press("End")  # nothing has changed: nothing is asked
    assert viewed.tab.locator("#twice").is_visible() and not viewed.tab.locator("#legend").is_visible()
    asked = [url.rpartition("/api/")[2] for url in viewed.asked if "/api/" in url]
    assert list(dict.fromkeys(asked)) == ["compare", "detail"]  # on a busy machine a preview comes before


def test_a_view_says_what_is_wrong_at_its_field_and_gives_up_what_is_outdated(viewed):
    viewed.after(lambda: viewed.tab.get_by_role("tab").nth(1).click())
    factor = viewed.tab.get_by_label("Factor")
    factor.fill("11")
    viewed.tab.locator("#factor-error").get_by_text("between 0 and 10, not 11").wait_for()
    assert factor.get_attribute("aria-invalid") == "true"
    assert factor.get_attribute("aria-describedby") == "factor-error"
    assert viewed.tab.locator("#twice").inner_text() == "Treg: 40.0"
    assert "Not computed" in viewed.tab.locator("#status").inner_text()
    viewed.after(lambda: factor.fill("4"))
    assert not viewed.tab.locator("#factor-error").is_visible()
    viewed.text("B").fill("2 MIU sc dayly x5")  # and at those that all views share
    viewed.tab.locator("#schedule-B-error").get_by_text("dayly").wait_for()
    viewed.problems.clear()
    viewed.after(lambda: viewed.text("B").fill(TWO))
    held = []
    viewed.tab.route("**/api/twice", lambda route: held.append(route))
    factor.fill("5")
    viewed.tab.wait_for_timeout(400)
    given_up = []
    viewed.tab.on("requestfailed", lambda request: given_up.append(request.url))
    tab = viewed.tab.get_by_role("tab")
    viewed.after(lambda: (tab.nth(0).click(), viewed.slider("A", "Dose").press("ArrowRight")))
    assert len(held) == 1 and len(given_up) == 1 and given_up[0].endswith("twice")


# --- previews -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hurried():
    """A page of 60 subjects whose server has no time for all of them at first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "FIRST_PICTURE_S", 0.0)
        site = Site(subjects=60)
        thread = threading.Thread(target=site.run)
        thread.start()
        yield site
        site.stop()
        thread.join(30)


class Held:
    """What the page asks beyond previews does not arrive until it is let go."""

    def __init__(self, page):
        self.page, self.tab, self.routes, self.holding = page, page.tab, [], True
        page.tab.route("**/api/compare", self._come)

    def _come(self, route):
        if self.holding and '"preview":false' in route.request.post_data:
            self.routes.append(route)
        else:
            route.continue_()

    def shown(self, action, previews=1):
        """Do something, and wait until its preview is drawn and the rest asked for."""
        before = len(self.routes)
        action()
        for _ in range(400):
            if len(self.routes) >= before + previews:
                return
            self.tab.wait_for_timeout(25)
        raise AssertionError("no preview was refined")

    def let_go(self):
        self.holding = False
        self.page.after(lambda: [route.continue_() for route in self.routes[-1:]])


@pytest.fixture
def preview(context, hurried):
    """A page and what it is held by; it is still after its first answer."""
    page = Page(context, hurried.url)
    yield page, Held(page)
    assert page.problems == []


BOXES = """() => [...document.querySelectorAll(
    "#status, #legend, figure:not([hidden]), #endpoints-title")].map((part) => {
    const box = part.getBoundingClientRect(); return [box.x, box.y + scrollY, box.width, box.height]; })"""


@pytest.mark.parametrize(
    "look",
    [
        {"viewport": {"width": 1360, "height": 900}},
        {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "color_scheme": "dark"},
    ],
)
def test_a_preview_is_marked_moves_nothing_and_is_refined(chromium, hurried, look):
    context = chromium.new_context(**look)
    context.set_default_timeout(10_000)
    try:
        page = Page(context, hurried.url)
        held = Held(page)
        status, mark = page.tab.locator("#status"), page.tab.locator("#preview")
        assert not mark.is_visible() and status.get_attribute("aria-live") == "polite"
        size = page.tab.get_by_label("Body surface", exact=True)
        before, curve = page.tab.evaluate(BOXES), page.median("treg_pct", 0)
        held.shown(lambda: size.fill("1.4" if "is_mobile" in look else "1.5"))
        assert status.inner_text() == "From 8 of 60 virtual subjects over 112 days; refining …"
        assert mark.inner_text() == "Preview from 8 of 60 people, refining …"
        box, jump = mark.bounding_box(), page.tab.locator(".jump").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= look["viewport"]["width"]
        assert box["y"] + box["height"] <= (jump["y"] if jump else 900)
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]
        some = page.median("treg_pct", 0)
        assert some != curve and page.tab.evaluate(BOXES) == before and page.answers() == 1
        held.let_go()
        assert not mark.is_visible() and "60 virtual subjects" in status.inner_text()
        assert page.median("treg_pct", 0) != some and page.tab.evaluate(BOXES) == before
        page.tab.wait_for_timeout(300)  # the link follows a little later
        other = Page(context, page.tab.url)  # all is known by now: no preview
        assert other.tab.locator("body").get_attribute("data-previews") is None
        for output in OUTPUTS:
            assert [other.median(output, k) for k in (0, 1)] == [page.median(output, k) for k in (0, 1)]
        assert other.tab.locator("#endpoints").inner_text() == page.tab.locator("#endpoints").inner_text()
        assert page.problems == other.problems == []
    finally:
        context.close()


def test_a_preview_draws_what_is_in_sight_before_the_rest(preview):
    """When the first picture counts as seen, charts further down still show what was before."""
    page, held = preview
    page.tab.evaluate("""() => {
        const measure = performance.measure.bind(performance);
        const path = (name) => document.querySelector(`figure[data-output=${name}] path.median`);
        const drawn = () => ["treg_pct", "ccl2"].map((name) => path(name).getAttribute("d"));
        performance.measure = (...given) => { window.then ??= drawn(); measure(...given); };
    }""")
    before = [page.median(output, 0) for output in ("treg_pct", "ccl2")]
    in_sight = "document.querySelector('figure[data-output=%s]').getBoundingClientRect().top < innerHeight"
    assert [page.tab.evaluate(in_sight % name) for name in ("treg_pct", "ccl2")] == [True, False]
    held.shown(lambda: page.slider("A", "Dose").press("ArrowRight"))
    seen, unseen = page.tab.evaluate("window.then")
    assert seen != before[0] and unseen == before[1]
    after = [page.median(output, 0) for output in ("treg_pct", "ccl2")]
    assert after[0] == seen and after[1] != before[1]  # it follows without the whole answer


def test_what_is_outdated_is_given_up_for_what_is_asked_now(preview):
    page, held = preview
    given_up = []
    page.tab.on("requestfailed", lambda request: given_up.append(request.post_data))
    dose = page.slider("A", "Dose")
    dose.focus()
    held.shown(lambda: page.tab.keyboard.press("ArrowRight"))
    curve = page.median("treg_pct", 0)
    held.shown(lambda: page.tab.keyboard.press("ArrowRight"))  # while the rest is under way
    assert page.median("treg_pct", 0) != curve
    assert len(given_up) == 1 and '"preview":false' in given_up[0] and "1.1 MIU" in given_up[0]
    held.let_go()
    assert page.text("A").input_value().startswith("1.2 MIU") and page.answers() == 2
    assert "A 1.2 MIU" in page.tab.locator("#legend").inner_text()


def test_what_leaves_the_page_is_never_a_preview(preview):
    page, held = preview
    files = []
    page.tab.on("download", lambda download: files.append(download))
    held.shown(lambda: page.tab.get_by_label("Body surface", exact=True).fill("1.6"))
    assert "--subjects 60" in page.tab.locator("#command").inner_text()
    for button in ("export-curves", "export-table", "export-png"):
        page.tab.locator(f"#{button}").click()
        page.tab.wait_for_timeout(200)
        assert files == [] and page.tab.locator("#preview").is_visible()
        with page.tab.expect_download() as waited:
            held.let_go()
        with open(waited.value.path(), "rb") as file:
            content = file.read()
        words = page.tab.locator(f"#{button}").inner_text()
        assert content == page.saved(words)[1]  # what is saved of the whole
        held.holding = True
        files.clear()
        if button != "export-png":
            held.shown(lambda: page.tab.get_by_label("Body surface, slider").press("ArrowRight"))


def test_what_is_printed_is_computed_first(preview):
    page, held = preview
    held.shown(lambda: page.tab.get_by_label("Body surface", exact=True).fill("1.25"))
    some = page.median("treg_pct", 0)
    held.holding = False
    page.tab.pdf()
    assert not page.tab.locator("#preview").is_visible() and page.median("treg_pct", 0) != some
    assert "60 virtual subjects" in page.tab.locator("#status").inner_text()


def test_a_preview_that_cannot_be_refined_says_so_and_is_not_exported(preview):
    page, held = preview
    held.shown(lambda: page.tab.get_by_label("Body surface", exact=True).fill("1.35"))
    no = {"status": 503, "json": {"error": "this takes too long"}}
    held.routes[-1].fulfill(**no)
    page.tab.get_by_text("this takes too long").wait_for()
    assert page.tab.locator("#preview").inner_text() == "Preview from 8 of 60 people, not refined"
    held.shown(lambda: page.tab.locator("#export-table").click())  # asks again
    held.routes[-1].fulfill(**no)
    page.tab.get_by_text("This did not work: this takes too long").wait_for()
    with page.tab.expect_download() as saved:  # and again, with more luck
        held.shown(lambda: page.tab.locator("#export-table").click())
        held.let_go()
    assert "--subjects 60" in Path(saved.value.path()).read_text()
    assert not page.tab.locator("#preview").is_visible()
    page.problems.clear()  # what the browser says of the two refusals


def test_a_link_of_a_stranger_is_only_text(context, site):
    page = Page.__new__(Page)
    page.tab = context.new_page()
    ran = []
    page.tab.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    page.tab.goto(f"{site.url}#s=<img src=x onerror=alert(1)>&s=1 MIU sc once&n=1e9&responders=<b>&days=x")
    page.tab.locator("#schedule-A-error, #failure, .slider .error, #common-error").locator(
        "visible=true"
    ).first.wait_for()
    assert ran == [] and page.tab.locator("img").count() == 0


def test_a_phone_shows_it_without_scrolling_sideways(chromium, site):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    try:
        page = Page(
            context,
            f"{site.url}#s=1+MIU+sc+daily+x5&s={'0.26+MIU/m2+sc+every+3+d+for+84+d'}&s=none&s=2+MIU+sc+once",
        )
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390
        wide = page.tab.evaluate(
            """() => [...document.querySelectorAll(
                "main > *, figure, .card, header, footer, .scroller, .slider, .command")]
            .filter((part) => part.getBoundingClientRect().right > 390.5)
            .map((part) => part.className || part.tagName)"""
        )
        assert wide == []
        page.tab.locator(".jump").get_by_text("Results").tap()
        assert page.tab.evaluate("document.activeElement.id") == "results"
        chart = page.tab.locator("figure[data-output=treg_pct] svg.chart")
        chart.scroll_into_view_if_needed()
        chart.tap(position={"x": 150, "y": 60})
        assert "day" in page.tab.locator("figure[data-output=treg_pct] .readout").inner_text()
        assert page.problems == []
    finally:
        context.close()


def test_many_tabs_at_once(context, site):
    pages = [
        Page(context, f"{site.url}#s={dose}+MIU+sc+daily+x5+every+28+d+x3&s={TWO.replace(' ', '+')}&n=60")
        for dose in (1, 1.2, 1.4, 1.6, 1.8, 2.2)
    ]
    for page in pages:
        page.before = page.answers()
        slider = page.slider("A", "Cycle every")
        slider.focus()
        page.tab.keyboard.press("ArrowLeft")
    for page, dose in zip(pages, (1, 1.2, 1.4, 1.6, 1.8, 2.2)):
        page.settled(page.before + 1)
        assert f"A {dose} MIU sc daily x5 every 27 d x3" in page.tab.locator("#legend").inner_text()
        assert page.problems == []


def test_a_server_that_has_ended_is_said(context):
    site = Site(subjects=20)
    thread = threading.Thread(target=site.run)
    thread.start()
    page = Page(context, site.url)
    site.stop()
    thread.join(30)
    page.text("A").fill("1 MIU sc once")
    page.tab.get_by_text("Is pkpd explore still running?").wait_for()


def test_a_fit_of_ones_own_is_shown_with_its_outputs_units_and_endpoints(context, tmp_path):
    folder = toy.write(tmp_path / "toy")
    fit(read_fit(folder), rival=False, unverified=False, check=False).write_json(folder / "result.json")
    (folder / "endpoints.toml").write_text(
        '[[endpoint]]\nname = "hours above 1"\noutput = "C"\nwhat = "time above"\nlevel = "1 mg/L"\n'
        '[outputs.C]\ntitle = "The drug in plasma"\n',
        encoding="utf-8",
    )
    site = Site(str(folder), subjects=50)
    thread = threading.Thread(target=site.run)
    thread.start()
    try:
        page = Page(context, site.url)
        titles = page.tab.locator("figcaption:visible").all_inner_texts()
        assert titles == ["The drug in plasma (mg/L)", "Cumulative doses, as planned"]
        assert page.text("A").input_value() == "100 mg oral once"
        assert page.tab.get_by_label("Body surface, slider").count() == 0
        assert page.tab.get_by_label("Unit of the dose of schedule A").inner_text() == "mg"
        assert page.tab.locator("#endpoints tbody tr", has_text="hours above 1").count() == 1
        before = page.median("C", 0)
        page.after(lambda: page.slider("A", "Dose").press("ArrowRight"))
        assert page.text("A").input_value() == "120 mg oral once" and page.median("C", 0) != before
        assert page.problems == []
    finally:
        site.stop()
        thread.join(30)


def test_what_is_shown_on_request_is_behind_a_switch_and_under_what_it_rests_on(chromium, tmp_path):
    site = Site(str(toy.write_on_request(tmp_path / "toy")), subjects=50)
    thread = threading.Thread(target=site.run)
    thread.start()
    context = chromium.new_context(viewport={"width": 400, "height": 800}, accept_downloads=True)
    context.set_default_timeout(10_000)
    words = "One trial of 40 people."
    try:
        page = Page(context, site.url)
        switch = page.tab.get_by_label("Show what becomes of people")
        fate = page.tab.locator("#endpoints summary", has_text="fate mean")
        panel = page.tab.locator("figure[data-output=fate]")
        rows = page.tab.locator("#endpoints tbody tr")
        before = rows.count()

        def check_off():
            assert not switch.is_checked() and not panel.is_visible() and fate.count() == 0
            assert words not in page.tab.locator("body").inner_text() and rows.count() == before
            for button in ("Curves as CSV", "Table as CSV"):
                content = page.saved(button)[1].decode()
                assert "fate" not in content and words not in content

        check_off()
        small = plt.imread(io.BytesIO(page.saved("Charts as PNG")[1])).shape
        page.after(switch.check)
        assert len(page.median("fate", 0)) > 100 and fate.count() == 1
        assert rows.count() == before + 4  # the heading, the sentences, two endpoints
        for shown in (panel, fate):
            above = page.tab.locator(".rests-on:visible", has_text=words)
            tops = [box["y"] for box in (one.bounding_box() for one in above.all())]
            assert any(0 < shown.bounding_box()["y"] - top < 400 for top in tops)
        assert panel.locator("svg").bounding_box()["width"] > 300
        assert page.tab.evaluate("document.documentElement.scrollWidth") == 400
        for button in ("Curves as CSV", "Table as CSV"):
            content = page.saved(button)[1].decode()
            assert "fate" in content and f"# what becomes of people: {words}" in content
        large = plt.imread(io.BytesIO(page.saved("Charts as PNG")[1])).shape
        assert large[0] > small[0]  # the sentences stand below
        assert '--show "clinical"' in page.tab.locator("#command").inner_text()
        page.tab.wait_for_timeout(300)  # the link follows a little later
        other = Page(context, page.tab.url)
        assert other.tab.get_by_label("Show what becomes of people").is_checked()
        assert other.tab.locator("figure[data-output=fate]").is_visible() and other.problems == []
        page.after(switch.uncheck)
        check_off()
        assert page.problems == []
    finally:
        context.close()
        site.stop()
        thread.join(30)
