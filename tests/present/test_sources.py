"""Every number with a light in the report of any question leads to the published rows behind it, which stand
in the same table as in the report of a comparison, the unverified ones marked."""

import re
from collections import Counter

import pytest

import pkpd
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.evidence import Light
from pkpd.decision.optimisation import Space
from pkpd.inference.individual import individualise
from pkpd.inference.measurements import Measurement
from pkpd.present import share
from pkpd.present.report.comparison import render
from pkpd.present.report.sources import leading, sources

COURSE = "1 MIU sc daily x5"


def cells(page):
    """Of cells with a light above the sources: the light, and where the number leads to."""
    found = []
    for cell in re.findall(r"<td[^>]*>(.*?)</td>", page.partition('id="sources"')[0]):
        light = re.search(r'<span class="light (\w+)"', cell)
        lead = re.search(r'<a href="#(behind-[^"]+)"', cell)
        if light or lead:
            found.append((light[1] if light else "", lead[1] if lead else ""))
    return found


def rows(page):
    """Of the rows among the sources: the name, and whether it is marked as unverified."""
    section = re.search(r'<section id="sources">.*?</section>', page, re.DOTALL)[0]
    found = re.findall(
        r'<tr( class="unverified")?><td>[^<]*<br><span class="soft">([^<]*)</span>.*?'
        r'<td class="source">(<strong>unverified</strong>)?',
        section,
    )
    assert all(bool(line) is bool(words) for line, _, words in found)
    return {name: bool(line) for line, name, _ in found}


@pytest.fixture(scope="module")
def scene():
    return Scene.create(subjects=50, draws=10, seed=4)


@pytest.fixture(scope="module")
def following():
    seen = [Measurement(0.0, "treg_pct", 5.0), Measurement(168.0, "treg_pct", 8.0)]
    person = individualise("low_dose_il2", seen, COURSE, subjects=60, draws=3)
    return person, compare(Scene.of_person(person).arms([f"{COURSE} from day 28"]))


def of_dose_for(scene, _):
    found = pkpd.dose_for(scene, "Treg peak fold at least 1.5, CCL2 change under 500", "? MIU sc daily x5")
    return share.exhibit(found), [*found.standings] * 2  # the share and the median


def of_boundary(scene, _):
    ranges = {"dose": "1, 2 MIU", "interval": "14, 28 d"}
    found = pkpd.dose_for(scene, "Treg mean fold at least 1.1", "? MIU sc daily x5 every ? d x2", **ranges)
    return share.exhibit(found), [row.weakest for row in found.rows]


def of_optimise(scene, _):
    space = Space.parse(dose="1, 2 MIU", days="5", interval="28 d", cycles="1")
    front = pkpd.optimise(scene, space, "total dose at most 10 MIU", "Treg mean fold, NK mean fold")
    of_schedules = [one for choice in front.shown for one in choice.standings.values()]
    return share.exhibit(front), of_schedules


def of_dose_response(scene, _):
    found = pkpd.dose_response(scene, "? MIU sc daily x5", "Treg mean fold", dose="1, 8 MIU")
    return share.exhibit(found), found.value_standings


def of_individualise(_, following):
    person, ahead = following
    shown = share.exhibit(person, following=ahead, wishes=["Treg peak fold at least 1.8"])
    wished = ahead.standing(ahead.row("Treg peak fold"))
    return shown, [*map(ahead.standing, ahead.rows), wished]


def of_drivers(_, __):
    found = pkpd.drivers(Scene.create(subjects=1), COURSE, "Treg mean fold", origins="people", samples=16)
    return share.exhibit(found), [found.standing] * len(found.drivers)


def of_why(_, __):
    found = pkpd.why("low_dose_il2", COURSE, "treg_pct", subjects=1)
    return share.exhibit(found), [one.standing for one in found.accounts] * 2  # in two periods


@pytest.mark.parametrize(
    "asked",
    [of_dose_for, of_boundary, of_optimise, of_dose_response, of_individualise, of_drivers, of_why],
    ids=lambda asked: asked.__name__.removeprefix("of_"),
)
def test_every_light_of_a_report_leads_to_the_rows_that_it_stands_on(scene, following, asked):
    shown, standings = asked(scene, following)
    page = share.page.write(shown)
    behind, known = scene.behind, [one for one in standings if one.light != Light.COUNTED]
    places = [[f"behind-{name}" for name in one.outputs if behind.of([name])] for one in known]
    led = [(one.light, [*there, ""][0]) for one, there in zip(known, places, strict=True)]
    assert Counter(cells(page)) == Counter(led)
    ids = re.findall(r'id="([^"]+)"', page)
    assert {lead for _, lead in led if lead} <= set(ids) and len(ids) == len(set(ids))
    assert any(lead for _, lead in led)
    assert rows(page) == {one.row.id: one.unverified for one in behind.under(standings)}


def test_the_table_is_that_of_the_report_of_a_comparison(scene):
    compared = compare(scene.arms([COURSE])).choose(["Treg mean fold"])
    whole = re.compile(r'<section id="sources">.*?</section>', re.DOTALL)
    own = pkpd.dose_response(scene, "? MIU sc daily x5", "Treg mean fold", dose="1, 2 MIU")
    (one,) = whole.findall(render(compared, pictures={}))
    assert whole.findall(share.page.write(share.exhibit(own))) == [one]


def test_a_reader_without_a_mouse_finds_the_reasons_of_each_value(scene):
    found = pkpd.dose_response(scene, "? MIU sc daily x5", "Treg mean fold", dose="1, 2, 8 MIU")
    page = share.page.write(share.exhibit(found))
    listed = re.search(r'<details class="why">.*?</details>', page, re.DOTALL)[0]
    within, _, beyond = found.value_standings
    assert f"1; 2: {'; '.join(within.reasons)}." in listed
    assert f"8: {'; '.join(beyond.reasons)}." in listed and "8 MIU is above the doses" in listed


def test_of_a_model_that_nobody_has_fitted_no_number_leads_anywhere():
    found = pkpd.why("indirect_response_1", "100 mg iv once", "R", subjects=1)
    page = share.page.write(share.exhibit(found))
    assert "No data on R stand behind it" in page
    assert "behind-" not in page and "What it rests on" not in page


def test_outputs_without_rows_are_left_out_and_have_nothing_to_lead_to(scene):
    behind, standing = scene.behind, scene.standings(pkpd.Schedule.parse(COURSE))["CCL2 change"]
    assert sources(behind, [standing]) == []
    assert leading(behind, standing)["behind"] == "" and leading(behind, standing)["sign"] == "○"
