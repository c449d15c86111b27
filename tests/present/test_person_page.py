"""The view of one person in a real browser: fields, link and state hold the same, what is wrong stands at its
field, the table that is saved is one that the command reads, and everybody can use it."""

import shlex
import threading
from xml.etree import ElementTree

import browser as browsers
import pytest

from pkpd.cli import main
from pkpd.inference.measurements import read_measurements
from pkpd.inference.population import fitted_model
from pkpd.present.web import Site

CYCLES = "#s=1+MIU+sc+daily+x5+every+28+d+x3&s=2+MIU+sc+daily+x5&view=person"
SEEN = f"{CYCLES}&person.measured=0+treg_pct+5%3B+7+treg_pct+8"


@pytest.fixture(scope="module")
def chromium():
    with browsers.chromium() as browser:
        yield browser


def served(*given, **settings):
    site = Site(*given, subjects=20, **settings)
    thread = threading.Thread(target=site.run)
    thread.start()
    yield site.url
    site.stop()
    thread.join(30)


@pytest.fixture(scope="module")
def url():
    yield from served()


@pytest.fixture
def opened(chromium, url):
    """What opens the page at a link and waits for its first answer; at the end no script has failed."""
    contexts, problems = [], []

    def open_page(link=SEEN, width=1280, at=url, wait=True, **look):
        context = chromium.new_context(viewport={"width": width, "height": 900}, **look)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(at + link)
        if wait:
            page.wait_for_selector("body[data-answers]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def answered(page, action):
    """Do something that asks the server, and wait for what it draws."""
    before = int(page.locator("body").get_attribute("data-answers") or 0)
    action()
    for _ in range(800):
        if int(page.locator("body").get_attribute("data-answers") or 0) > before:
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"no answer: {page.locator('#status').inner_text()}")


def row(page, k):
    """The fields of a measured value: day, output, value."""
    line = page.locator(".measured .value:not(.heads)").nth(k)
    return line.get_by_label("Day of the value"), line.locator("select"), line.get_by_label("Measured value")


def test_measured_values_are_typed_row_by_row_and_stand_in_the_link(opened):
    page = opened(CYCLES)
    panel = page.locator("#view-person")
    assert "Nothing measured yet: this person is anybody" in panel.inner_text()
    assert panel.get_by_label("Doses that were given").input_value() == "1 MIU sc daily x5"
    day, output, value = row(page, 0)
    assert output.locator("option").count() == 3
    day.fill("0")
    answered(page, lambda: value.fill("5"))
    page.get_by_role("button", name="Add a value").click()
    day, output, value = row(page, 1)
    day.fill("7")
    answered(page, lambda: value.fill("8"))
    page.wait_for_url("**person.measured=0+treg_pct+5%3B+7+treg_pct+8**")
    panel.get_by_text("2 measured values, after 1 MIU sc daily x5. What follows begins on day 28.").wait_for()
    assert panel.locator("figure").count() == 1 and panel.locator("circle.point").count() == 2
    assert [path.get_attribute("d").count("M") for path in panel.locator("path.rug").all()] == [5, 15, 5]
    assert panel.locator("path.band").count() == 4  # people, this person, A and B
    answered(page, lambda: output.select_option("nk"))
    assert panel.locator("figure").count() == 2
    answered(page, lambda: page.get_by_label("Remove this value").nth(1).click())
    assert page.url.endswith("person.measured=0+treg_pct+5") and panel.locator("figure").count() == 1
    answered(page, lambda: page.get_by_label("Remove this value").click())
    assert "person.measured" not in page.url and row(page, 0)[0].input_value() == ""


def test_a_chart_of_one_person_is_saved_with_what_was_given_and_what_may_follow(opened):
    page = opened(f"{CYCLES}&person.measured=0+treg_pct+5")
    with page.expect_download() as download:
        page.locator("#view-person .tools button", has_text="SVG").first.click()
    words = " ".join(ElementTree.parse(download.value.path()).getroot().itertext())
    for part in ("A model, not medical advice.", "draws of one person", "after 1 MIU sc daily x5", "B: "):
        assert part in words
    assert page.locator("#view-person .keys").inner_text().splitlines()[0] in words


def test_what_follows_are_the_schedules_on_the_left(opened):
    page = opened()
    panel = page.locator("#view-person")
    begin = panel.get_by_label("What follows begins on day")
    assert begin.get_attribute("placeholder") == "28"
    answered(page, lambda: begin.fill("14"))
    answered(page, lambda: page.locator(".card.of-B").get_by_label("Dose, slider").press("ArrowRight"))
    heads = panel.locator("section", has_text="What may follow").locator("thead .of").all_inner_texts()
    assert heads == ["1 MIU sc daily x5 every 28 d x3 from day 14", "2.1 MIU sc daily x5 from day 14"]
    answered(page, lambda: panel.get_by_label("Wish", exact=True).fill("Treg peak fold at least 1.8"))
    cells = panel.locator("section", has_text="How probable the wish is").locator("td").all_inner_texts()
    assert len(cells) == 2 and all(cell.endswith(" %") for cell in cells)
    main_ones = panel.locator("section", has_text="What may follow").locator("tbody tr").count()
    panel.get_by_label("Every endpoint, not the main ones only").check()
    assert panel.locator("section", has_text="What may follow").locator("tbody tr").count() > main_ones


def test_link_back_button_and_saved_state_keep_the_fields(opened, url, tmp_path):
    more = "&person.weight=60&person.height=165&person.formula=DuBois&person.begin=21"
    page = opened(f"{SEEN}{more}&person.known=CD4+%3D+900+1%2FuL&person.wish=NK+peak+fold+under+9")
    panel = page.locator("#view-person")

    def fields():
        names = ("Weight (kg)", "Height (cm)", "What follows begins on day", "Also known", "Wish")
        return [panel.get_by_label(name, exact=True).input_value() for name in names]

    assert fields() == ["60", "165", "21", "CD4 = 900 1/uL", "NK peak fold under 9"]
    assert row(page, 1)[2].input_value() == "8"
    with page.expect_download() as saving:
        page.get_by_text("Save", exact=True).click()
        page.get_by_role("button", name="State, to be opened again").click()
    state = tmp_path / "state.json"
    saving.value.save_as(state)
    assert '"person.measured": "0 treg_pct 5; 7 treg_pct 8"' in state.read_text(encoding="utf-8")
    answered(page, lambda: page.evaluate(f"location.hash = '{CYCLES}&person.weight=80&person.height=180'"))
    assert fields() == ["80", "180", "", "", ""] and row(page, 0)[2].input_value() == ""
    answered(page, page.go_back)
    assert fields() == ["60", "165", "21", "CD4 = 900 1/uL", "NK peak fold under 9"]
    assert row(page, 1)[2].input_value() == "8"


def test_the_table_that_is_saved_and_the_command_are_the_same_question(opened, tmp_path, monkeypatch, capfd):
    page = opened(f"{SEEN}&person.wish=Treg+peak+fold+at+least+1.8")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as person.csv").click()
    assert saving.value.suggested_filename == "person.csv"
    saving.value.save_as(tmp_path / "person.csv")
    result, _, kernel = fitted_model("low_dose_il2")
    read = read_measurements(tmp_path / "person.csv", kernel, result.noise)
    assert [tuple(one) for one in read] == [(0.0, "treg_pct", 5.0), (168.0, "treg_pct", 8.0)]
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(page.locator("#command").inner_text())
    assert program == "pkpd" and words[:3] == ["individualise", "low_dose_il2", "person.csv"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--subjects", "40", "--draws", "2"])
    assert not end.value.code, capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda page: row(page, 1)[2].fill("8,5"), 'a decimal point is "."'),
        (lambda page: row(page, 1)[0].fill("d7"), 'the day must be a number, not "d7"'),
        (
            lambda page: page.get_by_label("Doses that were given").fill("1 MIU sc dayly x5"),
            "at character 10",
        ),
        (lambda page: page.get_by_label("What follows begins on day").fill("3"), "after the last dose"),
        (lambda page: page.get_by_label("What follows begins on day").fill("6"), "day 7 is after day 6"),
        (lambda page: page.get_by_label("Weight (kg)").fill("60"), "the height is missing"),
        (lambda page: page.get_by_label("Also known").fill("CD5 = 900"), 'did you mean "CD4"'),
        (lambda page: page.get_by_label("Wish", exact=True).fill("Tregs at leest 5"), "constraint"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_goes_once_it_is_right(opened, change, said):
    page = opened()
    panel = page.locator("#view-person")
    change(page)
    panel.locator(".error", has_text=said).wait_for()
    assert not page.locator("#failure").is_visible()
    wrong = panel.locator("[aria-invalid=true]")
    assert wrong.count() == 1
    error = page.locator(f"#{wrong.get_attribute('aria-describedby')}")
    assert said in error.inner_text()
    answered(page, lambda: page.evaluate(f"location.hash = '{SEEN}&person.begin=28'"))
    assert panel.locator(".error:visible").count() == 0


def test_an_unknown_output_of_a_link_is_shown_with_the_nearest(opened):
    page = opened(f"{CYCLES}&person.measured=0+treg_pc+5", wait=False)
    page.locator(".error", has_text='did you mean "treg_pct"').wait_for()
    assert row(page, 0)[1].input_value() == "treg_pc"
    answered(page, lambda: row(page, 0)[1].select_option("treg_pct"))
    assert page.locator("#view-person .error:visible").count() == 0


def test_a_model_that_nobody_has_fitted_says_what_it_takes(chromium, opened):
    server = served("one_compartment_oral")
    page = opened("#view=person", at=next(server), wait=False)
    page.locator("#view-person", has_text="a model that nobody has fitted").wait_for()
    assert "[noise]" in page.locator("#view-person").inner_text()
    assert not page.locator("#failure").is_visible()
    answered(page, lambda: page.locator("#tab-courses").click())  # the others go on
    with pytest.raises(StopIteration):
        next(server)


@pytest.mark.parametrize("scheme", browsers.SCHEMES)
def test_axe_finds_nothing_with_and_without_errors(opened, scheme):
    page = opened(f"{SEEN}&person.wish=NK+peak+fold+under+9", 1280, color_scheme=scheme)
    page.evaluate(browsers.axe())
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    browsers.check_widths(page)
    row(page, 1)[2].fill("eight")
    page.locator(".error", has_text='not "eight"').wait_for()
    browsers.check_widths(page)
    row(page, 1)[2].fill("8")
    page.get_by_label("Doses that were given").fill("1 MIU sc dayly x5")
    page.locator(".error", has_text="dayly").wait_for()
    browsers.check_widths(page)
