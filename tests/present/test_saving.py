"""What is saved on the page is what `pkpd compare -o` writes of the same comparison, within the limits of the
page; a state is opened as it was saved, and a file that is none is refused with its line."""

from __future__ import annotations

import io
import json
import re
import shutil
import threading
import time

import browser as browsers
import openpyxl
import pptx
import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st
from test_web import ONE, SMALL, TWO, ask, refused, served

from pkpd.cli import main
from pkpd.core import extras
from pkpd.core.errors import DataError, InputError
from pkpd.decision.comparison import Scene, compare
from pkpd.present import share
from pkpd.present.web import Site, read_state, saving
from pkpd.present.web import saved as saved_module
from pkpd.present.web.evaluation import Explorer, FieldError, Limits
from pkpd.present.web.saved import MARK, state_text

PAIR = SMALL | {"schedules": [ONE, TWO]}
PAGE = {"view": "courses", "courses.log": "true"}


@pytest.fixture(scope="module")
def site():
    with served() as site:
        yield site


@pytest.fixture(scope="module")
def explorer():
    return Explorer(subjects=20)


@pytest.fixture
def saved(explorer, tmp_path):
    """A file, and the values that it was saved of."""
    values = PAIR | {"bsa": 1.9, "responders": "low", "days": 70, "subjects": 30}
    (tmp_path / "state.json").write_bytes(
        saving.save(explorer, values | {"format": "state", "page": PAGE}, lambda: None).content
    )
    return tmp_path / "state.json", values


def comparison_of(values):
    scene = Scene.create("low_dose_il2", subjects=values["subjects"], seed=1, covariates={"BSA": 1.73})
    return compare(scene.lasting(values["days"]).arms(values["schedules"]))


# ---- files


def test_a_saved_table_has_the_numbers_of_the_command(site, pkpd, tmp_path):
    status, headers, content = ask(site, "/api/save", PAIR | {"format": "xlsx"})
    assert status == 200
    assert headers["content-disposition"] == 'attachment; filename="comparison.xlsx"'
    assert headers["content-type"] == saving.OFFERED["xlsx"].kind
    assert headers["cache-control"] == "no-store"
    book = openpyxl.load_workbook(io.BytesIO(content))
    rows = list(book["Endpoints"].iter_rows(min_row=2, values_only=True))
    command = next(row[1] for row in book["About"].iter_rows(values_only=True) if row[0] == "command")
    told = json.loads(ask(site, body=PAIR)[2])
    assert command == told["command"]
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)][1:]
    assert pkpd(*words, "-o", tmp_path / "own.xlsx", "--endpoints", "all")[0] == 0
    own = openpyxl.load_workbook(tmp_path / "own.xlsx")["Endpoints"].iter_rows(min_row=2, values_only=True)
    assert rows == list(own)


def test_a_saved_report_is_that_of_the_command_with_its_figures(site):
    page = ask(site, "/api/save", PAIR | {"format": "html"})[2].decode()
    assert page.count("data:image/svg+xml;base64,") == 3
    for said in ("A model, not medical advice.", ONE, TWO, "pkpd compare &#34;"):
        assert said in page
    assert not re.search(r"<script|(src|srcset)=\"http|url\(http", page)  # links to papers are links


def test_slides_and_figures_are_saved(site):
    deck = pptx.Presentation(io.BytesIO(ask(site, "/api/save", PAIR | {"format": "pptx"})[2]))
    assert deck.slides[0].shapes.title.text == "2 dose schedules compared"
    figures = ask(site, "/api/save", PAIR | {"format": "pdf"})[2]
    assert figures.startswith(b"%PDF") and len(re.findall(rb"/Type /Page\b", figures)) == 3


def test_what_is_offered_is_said_at_the_start_with_how_to_get_what_is_missing(site, monkeypatch):
    files = json.loads(ask(site, "/api/start")[2])["saving"]["files"]
    assert [one["format"] for one in files] == ["state", "html", "pdf", "xlsx", "pptx"]
    assert all(one["missing"] == "" for one in files)
    monkeypatch.setattr(saving, "version", lambda name: None)
    missing = {one["format"]: one["missing"] for one in saving.facts(Explorer(subjects=20))["files"]}
    assert missing["pptx"] == missing["xlsx"] == extras.how_to_install("share")
    assert missing["html"] == missing["state"] == ""


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"format": "docx"}, "format"),
        ({}, "format"),
        ({"format": ["html"]}, "format"),
        ({"format": "state", "page": {"a": 1}}, "page"),
        ({"format": "state", "page": {"<a>": "1"}}, "page"),
        ({"format": "state", "page": {"a": "x" * 5000}}, "page"),
        ({"format": "state", "schedules": ["1 MIU"]}, "schedules"),
        ({"format": "html", "subjects": 5000}, "subjects"),
    ],
)
def test_what_cannot_be_saved_is_refused_at_its_field(site, values, field):
    assert refused(site, SMALL | values, 422, path="/api/save")["field"] == field


def test_saving_takes_no_longer_than_a_request_may(site):
    long = {"schedules": [f"{dose} MIU sc daily x400" for dose in (1, 2)], "subjects": 1000, "days": 400}
    with served(limits=Limits(seconds=0.5)) as hurried:
        began = time.monotonic()
        told = refused(hurried, long | {"format": "pdf"}, 503, path="/api/save")
        assert "longer than the 0.5 s" in told["error"]
        assert time.monotonic() - began < 8


@pytest.mark.parametrize("wanted", ["html", "pdf", "pptx"])
def test_it_may_be_given_up_before_each_figure(explorer, wanted):
    """Counted: a stop that comes once the arms are simulated ends it before anything is drawn."""
    calls, drawn = [], threading.Event()

    class GivenUp(Exception):
        pass

    def stop():
        calls.append(1)
        if drawn.is_set():
            raise GivenUp

    shown = share.pausing(share.exhibit(comparison_of(SMALL)), stop)
    drawn.set()
    with pytest.raises(GivenUp):
        share.FORMATS[f".{wanted}"](shown, "x")
    assert len(calls) == 1


# ---- states


def test_a_state_is_opened_as_it_was_saved(saved):
    path, values = saved
    state = read_state(path)
    opened = Explorer(subjects=200, state=state).facts()
    assert opened["start"] == values | {"show": []}
    assert opened["page"] == PAGE


def test_a_page_that_is_opened_again_saves_the_same(saved):
    path, _ = saved
    again = Explorer(state=read_state(path))
    content = saving.save(again, again.start | {"format": "state", "page": again.page}, lambda: None).content
    assert content == path.read_bytes()


def test_a_state_that_says_auto_has_the_horizon_of_its_schedules(explorer, tmp_path):
    request = {key: value for key, value in PAIR.items() if key != "days"} | {"format": "state"}
    (tmp_path / "s.json").write_bytes(saving.save(explorer, request, lambda: None).content)
    assert Explorer(state=read_state(tmp_path / "s.json")).start["days"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"days": 70.0', '"days": "long"'), r":\d+: the horizon in days must be a number"),
        (('"responders": "low"', '"responders": "tall"'), r":\d+: responders are one of"),
        ((TWO, "2 MIU sc sometimes"), r":\d+: "),
        ((TWO, "2 mmHg sc daily x5"), r":\d+: "),
        (('"bsa": 1.9', '"bsa": 19'), r":\d+: the body surface area in m² must lie between"),
        (('"show": []', '"show": ["nothing"]'), r':\d+: .*"nothing"'),
        (('"days": 70.0', '"dayz": 70'), r':\d+: there is no "dayz"; did you mean "days"'),
        (('"days": 70.0,', ""), r':1: it lacks "days"'),
        (('"days": 70.0,', '"days": 70.0'), r":\d+:\d+: this is no JSON"),
        (('"version": 1', '"version": 2'), r":3: this pkpd reads version 1"),
        ((MARK, "state of the world"), r':1: this is no "state of pkpd explore"'),
        (('"low_dose_il2"', '"my_fit"'), r':4: it was saved with --fit "my_fit": give its path, --fit PATH'),
        (
            ('"endpoints": null', '"endpoints": "my.toml"'),
            r':5: it was saved with --endpoints "my.toml": give',
        ),
        (('"endpoints": null', '"endpoints": 5'), ":5: endpoints is a name, or null"),
        (('"view": "courses"', '"view": 5'), r':\d+: "page" holds the page'),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(saved, change, said):
    path, _ = saved
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(str(path)) + said) as error:
        Explorer(state=read_state(path))
    wrong = next((line for line in path.read_text().splitlines() if change[1] and change[1] in line), None)
    numbered = re.match(r":(\d+): ", str(error.value).removeprefix(str(path)))
    if wrong is not None and numbered and numbered[1] != "1":
        assert path.read_text().splitlines()[int(numbered[1]) - 1] == wrong or "page" in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"what": "x"}', b"\x89PNG\r\n"]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DataError, match=r'x\.json.*saved on the page of pkpd explore, by "Save"'):
        read_state(tmp_path / "x.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_state(tmp_path / "none.json")


ATOMS = st.none() | st.booleans() | st.floats() | st.text(max_size=5)
INNER = st.sampled_from(["fit", "schedules", "days", "page", "x"])
VALUES = st.recursive(ATOMS, lambda inner: st.lists(inner) | st.dictionaries(INNER, inner), max_leaves=6)


@given(VALUES, st.sampled_from(saved_module.KEYS))
def test_whatever_stands_in_a_state_is_read_or_refused(tmp_path_factory, explorer, value, key):
    names = {"fit": "low_dose_il2", "endpoints": None, "posterior": None}
    values = json.loads(state_text(names, explorer.start, {})) | {key: value}
    path = tmp_path_factory.mktemp("state") / "s.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    try:
        state = read_state(path)
        explorer.check(dict(state.shared))
    except (DataError, FieldError):
        pass


def test_a_fit_of_ones_own_is_opened_with_its_path_and_endpoints_with_theirs(tmp_path, monkeypatch):
    toy.write_on_request(tmp_path / "mine")
    few = {"schedules": ["50 mg oral once"], "days": 10, "format": "state"}
    shutil.copy(tmp_path / "mine" / "endpoints.toml", tmp_path / "own.toml")
    monkeypatch.chdir(tmp_path)
    mine = Explorer("./mine", subjects=20, endpoints=tmp_path / "own.toml")
    assert saving.facts(mine)["open"] == "pkpd explore state.json --fit PATH --endpoints PATH --port 8000"
    content = saving.save(mine, few, lambda: None).content
    assert str(tmp_path).encode() not in content  # not where they lie
    (tmp_path / "state.json").write_bytes(content)
    state = read_state("state.json")
    assert Explorer("./mine", state=state, endpoints="own.toml").name == "mine"
    for given_, said in (
        ({}, 'saved with --fit "mine": give its path'),
        ({"fit": "low_dose_il2"}, 'saved with --fit "mine", which "low_dose_il2" is not'),
        ({"fit": "./mine"}, 'state.json:5: it was saved with --endpoints "own.toml": give its path'),
    ):
        with pytest.raises(DataError, match=re.escape(said)):
            Explorer(**given_, state=state)
    (tmp_path / "usual.json").write_bytes(
        saving.save(Explorer(subjects=20), SMALL | {"format": "state"}, lambda: None).content
    )
    with pytest.raises(DataError, match="saved without --endpoints: leave --endpoints out"):
        Explorer(state=read_state("usual.json"), endpoints="own.toml")


def test_the_command_opens_a_state_or_says_what_is_wrong(saved, monkeypatch, capfd):
    path, values = saved
    begun = []
    monkeypatch.setattr(
        Site, "run", lambda self, ready: begun.append(self._app.state.computing.explorer) or self.close()
    )
    with pytest.raises(SystemExit) as end:
        main(["explore", str(path), "--no-browser"])
    assert not end.value.code
    assert begun[0].start["bsa"] == values["bsa"] and begun[0].page == PAGE
    for arguments, said in (
        ([str(path), "--subjects", "50"], "leave --subjects out"),
        ([str(path), "--fit", "als"], 'which "als" is not'),
        ([str(path.with_name("no.json"))], "cannot be read"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["explore", *arguments, "--no-browser"])
        assert end.value.code == InputError.exit_code
        assert said in capfd.readouterr().err


def test_groups_on_request_are_saved_and_opened(tmp_path):
    fit = toy.write_on_request(tmp_path / "fit")
    asked = Explorer(fit, subjects=20)
    values = asked.start | {"show": ["clinical"], "format": "state"}
    (tmp_path / "s.json").write_bytes(saving.save(asked, values, lambda: None).content)
    assert Explorer(fit, state=read_state(tmp_path / "s.json")).start["show"] == ["clinical"]
    page = saving.save(asked, values | {"format": "html"}, lambda: None).content.decode()
    assert "One trial of 40 people." in page and "It was negative." in page


# ---- the page


@pytest.fixture(scope="module")
def chromium():
    with browsers.chromium() as browser:
        yield browser


class SavingPage:
    """A tab with its menu; what went wrong in it is in ``problems``."""

    def __init__(self, chromium, url):
        self.tab = chromium.new_page(viewport={"width": 1200, "height": 900})
        self.problems = []
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("console", lambda message: message.type == "error" and self.problems.append(message.text))
        self.tab.goto(url)
        self.tab.wait_for_selector("body[data-answers]", state="attached")

    def button(self, wanted):
        return self.tab.locator(f".menu [data-format={wanted}]")

    def open(self):
        self.tab.locator(".menu summary").focus()
        self.tab.keyboard.press("Enter")
        assert self.tab.locator(".menu").evaluate("menu => menu.open")

    def save(self, wanted):
        with self.tab.expect_download() as download:
            self.button(wanted).click()
        return download.value.suggested_filename, download.value.path().read_bytes()


def test_a_page_is_saved_and_opened_again_as_it_was(site, chromium, tmp_path):
    page = SavingPage(chromium, site.url)
    page.tab.get_by_label("Responders").select_option("low")
    page.tab.get_by_label(re.compile("logarithmic", re.IGNORECASE)).first.check()
    page.tab.locator("#schedules textarea").first.fill("1 MIU sc weekly x6; adherence 80 %")
    page.open()  # at once: who leaves a field has typed
    name, content = page.save("state")
    assert name == "state.json"
    (tmp_path / name).write_bytes(content)
    state = json.loads(content)
    assert state["schedules"][0] == "1 MIU sc weekly x6; adherence 80 %" and state["responders"] == "low"
    assert page.problems == []
    page.tab.close()
    with served(state=read_state(tmp_path / name)) as again:
        other = SavingPage(chromium, again.url)
        assert other.tab.locator("#schedules textarea").first.input_value() == state["schedules"][0]
        assert other.tab.get_by_label("Responders").input_value() == "low"
        assert other.tab.get_by_label(re.compile("logarithmic", re.IGNORECASE)).first.is_checked()
        other.open()
        assert other.save("state")[1] == content
        other.tab.close()


def test_report_table_and_slides_are_saved_from_the_page(site, chromium):
    page = SavingPage(chromium, site.url)
    page.open()
    for wanted in ("html", "xlsx", "pptx", "pdf"):
        name, content = page.save(wanted)
        assert name == saving.OFFERED[wanted].name
        assert len(content) > 5000
    assert page.problems == []
    assert "pkpd explore state.json --port 8000" in page.tab.locator(".menu").inner_text()
    assert "works on this machine only" in page.tab.locator(".menu").inner_text()
    page.tab.keyboard.press("Escape")
    assert not page.tab.locator(".menu").evaluate("menu => menu.open")
    assert page.tab.locator(".menu summary").evaluate("summary => summary === document.activeElement")
    page.tab.close()


def test_a_file_may_be_given_up_and_what_is_wrong_is_said(site, chromium, monkeypatch):
    page = SavingPage(chromium, site.url)
    page.open()
    waiting, ended = threading.Event(), threading.Event()

    def slow(explorer, request, scene, stop):
        waiting.set()
        try:
            while True:
                stop()
                time.sleep(0.01)
        finally:
            ended.set()

    with monkeypatch.context() as patch:
        patch.setattr(saving, "_exhibit", slow)
        page.button("pdf").click()
        assert waiting.wait(10)
        assert page.button("pdf").inner_text() == "Figures (PDF) … give up"
        page.button("pdf").click()
        assert ended.wait(10)
    assert page.button("pdf").inner_text() == "Figures (PDF)"
    page.tab.locator("#schedules textarea").first.fill("1 MIU sc sometimes")
    page.tab.locator(
        "#schedules .error:visible"
    ).first.wait_for()  # what is typed is asked for once nobody types
    page.button("html").click()
    page.tab.locator(".menu .error").wait_for()
    assert "sometimes" in page.tab.locator(".menu .error").inner_text()
    page.tab.close()


def test_what_needs_a_missing_package_says_how_to_get_it(chromium, monkeypatch):
    monkeypatch.setattr(saving, "version", lambda name: None)
    with served() as bare:
        page = SavingPage(chromium, bare.url)
        page.open()
        assert page.button("pptx").is_disabled() and page.button("state").is_enabled()
        described = page.button("pptx").get_attribute("aria-describedby")
        assert extras.how_to_install("share") in page.tab.locator(f"#{described}").inner_text()
        page.tab.close()
