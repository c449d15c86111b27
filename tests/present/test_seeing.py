"""The views that look closer at one schedule say what the library says, refuse what they cannot look at, and
draw it."""

import itertools
import threading

import browser as browsers
import pytest

from pkpd.decision.comparison import Scene
from pkpd.decision.comparison.result import Topic
from pkpd.decision.inverse import dose_for
from pkpd.decision.response import dose_response
from pkpd.decision.why import why as run_why
from pkpd.dosing import Schedule
from pkpd.present.web import Site, seeing, views
from pkpd.present.web.evaluation import Explorer, FieldError, Limits

COURSE = "1 MIU sc daily x5"
ASKED = {"schedules": [COURSE, "2 MIU sc daily x5"], "subjects": 20, "days": 33}


def ask(explorer, view, **more):
    return views.ANSWERS[view](explorer, ASKED | more, lambda: None)


@pytest.fixture(scope="module")
def explorer():
    return Explorer(subjects=20)


def test_an_endpoint_over_the_dose_rises_and_has_the_schedules_own_dose(explorer):
    told = ask(explorer, "response", endpoint="Treg peak fold", over="AUC", of="B")
    found = told["found"]
    median = found["people"][2]
    assert found["x"] == sorted(found["x"]) and found["x"][0] < told["own"] == 2.0 < found["x"][-1]
    assert all(low < high for low, high in itertools.pairwise(median))
    assert found["exposure"]["spearman"] > 0.6 and told["axis"] == "dose (MIU)"
    assert told["command"].startswith('pkpd dose-response "? MIU sc daily x5" --endpoint "Treg peak fold"')


@pytest.mark.parametrize(("view", "own"), [("response", "endpoint"), ("target", "wish")])
def test_numbers_over_the_dose_stand_on_what_those_of_each_schedule_stand(explorer, view, own):
    asked = {"endpoint": "Treg peak fold", "wish": "Treg peak fold at least 1.6"}
    told = ask(explorer, view, of="B", range="0.5 to 8 MIU", **{own: asked[own]})
    scene = explorer.scene(explorer.check(ASKED))
    for x, arm in zip(told["found"]["x"], told["arms"], strict=True):
        expected = scene.standings(Schedule.parse(f"{x:.15g} MIU sc daily x5"))["Treg peak fold"]
        (standing,) = arm["standings"]
        assert standing["endpoints"] == ["Treg peak fold"]
        assert (standing["light"], standing["why"]) == (expected.light, list(expected.reasons))
    reasons = {tuple(arm["standings"][0]["why"]) for arm in told["arms"]}
    assert len(reasons) > 1  # 8 MIU is beyond what was seen


def test_what_drives_an_endpoint_and_a_curve_stand_on_what_those_of_the_schedule_stand(explorer):
    plan = Schedule.parse(f"{COURSE} every 28 d x3")
    expected = explorer.scene(explorer.check(ASKED)).standings(plan)["Treg mean fold"]
    asked = {"schedules": [str(plan)], "days": 84}
    drivers = ask(explorer, "drivers", endpoint="Treg mean fold", by="people", **asked)
    curve = ask(explorer, "why", output="treg_pct", **asked)
    names = [account["description"] for account in curve["found"]["accounts"]]
    assert [arm["standings"][0]["endpoints"] for arm in curve["arms"]] == [[name] for name in names]
    for (standing,) in ([arm["standings"][0]] for arm in (drivers["arms"][0], curve["arms"][0])):
        assert (standing["light"], standing["why"]) == (expected.light, list(expected.reasons))
        assert any("3 cycles" in reason for reason in standing["why"])
    assert curve["arms"][1]["standings"][0]["light"] == "assumed"
    assert drivers["arms"][0]["standings"][0]["endpoints"] == ["Treg mean fold"]


@pytest.mark.parametrize("view", ["response", "target", "drivers", "why"])
def test_rows_behind_numbers_reach_the_page_once_with_its_facts(explorer, view):
    assert "sources" not in ask(explorer, view)["found"] and explorer.facts()["behind"]["treg_pct"]


def test_a_curve_of_a_model_that_nobody_has_fitted_says_that_there_are_no_data():
    told = views.ANSWERS["why"](Explorer("one_compartment_oral", subjects=20), {}, lambda: None)
    ((standing,),) = (arm["standings"] for arm in told["arms"][:1])
    assert standing["light"] == "assumed" and "No data on" in standing["why"][0]


def test_what_is_counted_from_the_doses_has_no_light(explorer):
    told = ask(explorer, "target", wish="total dose at most 10 MIU")
    assert told["arms"] and not any(arm["standings"] for arm in told["arms"])


def test_the_dose_for_a_target_meets_it(explorer):
    told = ask(explorer, "target", wish="Treg peak fold at least 1.6", of="B")
    found = told["found"]
    assert found["end"] == "smallest" and "The smallest dose is" in found["answer"]
    curve = found["wishes"][0]
    below, above = (
        [share for x, share in zip(found["x"], curve["share"], strict=True) if (x < found["value"]) is side]
        for side in (True, False)
    )
    assert max(below) <= 0.5 <= min(above)  # in the median person
    usual = ask(explorer, "target")
    assert usual["wish"].startswith("Treg mean fold at least ")
    assert usual["found"]["value"] == pytest.approx(1.0, rel=0.5)  # what the schedule's own dose does
    with pytest.raises(FieldError) as error:
        ask(explorer, "target", wish="Tregs at leest 5")
    assert error.value.field == "wish"


def test_what_drives_an_endpoint_is_ordered_and_adds_up_to_all_of_it(explorer):
    told = ask(explorer, "drivers", endpoint="AUC", by="people")
    shares = [one["total"] for one in told["found"]["drivers"]]
    assert shares[0] == max(shares) and told["found"]["drivers"][0]["name"] in ("CL", "ka", "klymph")
    with pytest.raises(FieldError) as error:
        ask(explorer, "drivers", responders="low")
    assert error.value.field == "responders"
    with pytest.raises(FieldError) as error:
        ask(explorer, "drivers", by="chance")
    assert error.value.field == "by"


def test_why_has_the_same_numbers_as_the_library(explorer):
    told = ask(explorer, "why", output="treg_pct")
    found = run_why("low_dose_il2", COURSE, "treg_pct", subjects=seeing.CLOSER, seed=1, until_days=33.0)
    for account, own in zip(told["found"]["accounts"], found.accounts, strict=True):
        assert account["change"][0][-1] == pytest.approx(own.change[0][-1], rel=1e-4, abs=1e-6)
    assert told["command"].startswith(f'pkpd why low_dose_il2 "{COURSE}" --of treg_pct')


@pytest.mark.parametrize("view", ["response", "target", "drivers", "why"])
@pytest.mark.parametrize("fit", ["als", "one_compartment_oral"])
def test_every_sentence_that_has_to_be_known_is_told_once_with_its_topic(view, fit):
    told = views.ANSWERS[view](Explorer(fit, subjects=20), {}, lambda: None)
    found = told["found"]
    sentences = [notice["sentence"] for notice in told["notices"]]
    assert {*found["warnings"], *found.get("notes", ())} <= set(sentences)
    assert len(set(sentences)) == len(sentences)
    order = list(map(str, Topic))
    places = [order.index(notice["topic"]) for notice in told["notices"]]
    assert places == sorted(places)
    topics = {notice["sentence"]: notice["topic"] for notice in told["notices"]}
    for words, topic in (
        ("primary analysis of MIROCALS was negative", Topic.MODEL),
        ("The fit has no data on", Topic.NO_DATA),
        ("Nothing was fitted", Topic.NO_DATA),
        ("above the doses after which the fit saw", Topic.BEYOND),
        ("differ between people was not fitted", Topic.PEOPLE),
    ):
        assert {topics[line] for line in sentences if words in line} <= {topic}, words
    assert any("Nothing was fitted" in line for line in sentences) == (fit != "als")


def test_a_model_that_nobody_has_fitted_is_not_driven_by_what_is_not_known_of_its_parameters():
    explorer = Explorer("one_compartment_oral", subjects=20)
    assert explorer.facts()["fitted"] is False
    with pytest.raises(FieldError, match="nobody has fitted this model") as error:
        views.ANSWERS["drivers"](explorer, {"by": "parameters"}, lambda: None)
    assert error.value.field == "by"


CYCLES = {"schedules": ["1 MIU sc daily x2 every 14 d x2", COURSE], "days": None}


@pytest.mark.parametrize(
    ("along", "own", "pattern"),
    [
        ("interval", 14, "1 MIU sc daily x2 every ? d x2"),
        ("days", 2, "1 MIU sc daily x? every 14 d x2"),
        ("cycles", 2, "1 MIU sc daily x2 every 14 d x?"),
    ],
)
def test_interval_doses_and_cycles_are_varied_as_the_library_does(explorer, along, own, pattern):
    over = {"interval": "7 to 21 d by 7", "days": "1 to 3", "cycles": "1, 2, 4"}[along]
    wish = (
        "the largest number of doses with AUC at most 60" if along == "days" else "NK mean fold at most 1.3"
    )
    told = ask(explorer, "target", **CYCLES, wish=wish, along=along, range=over)
    assert told["along"] == {"name": along, "range": over, "others": ["dose", "interval", "days", "cycles"]}
    assert told["own"] == own and f'--schedule "{pattern}" --{along} "{over}"' in told["command"]
    people = {"subjects": 20, "draws": seeing.DRAWS, "covariates": {"BSA": 1.73}}
    found = dose_for(Scene.create("low_dose_il2", **people), wish, pattern, **{along: over})
    assert told["found"]["answer"] == found.answer
    curve = ask(explorer, "response", **CYCLES, endpoint="AUC", along=along, range=over)
    asked = dose_response(Scene.create("low_dose_il2", **people), pattern, "AUC", **{along: over})
    assert curve["found"]["people"][2] == pytest.approx(asked.people[2], rel=1e-4)
    assert curve["over_days"] == asked.provenance["until_days"]


def test_what_a_schedule_does_not_have_is_not_varied_and_ranges_are_refused_at_their_field(explorer):
    one = ask(explorer, "target", **CYCLES, of="B", along="interval", range="7 to 56 d")
    assert one["along"] == {"name": "dose", "range": "0.25 to 3 MIU", "others": ["dose", "days"]}
    for more, says in (
        ({"along": "interval", "range": "14 to 7 d"}, "the range ends at 7"),
        ({"along": "dose", "range": "1 to 2 mg"}, "the schedule has it in MIU"),
        ({"along": "interval", "range": "700 to 1400 d"}, "shorten the range"),
        ({"along": "interval", "days": 30}, "not before the horizon of 30 days"),
        ({"range": 3}, "a text"),
    ):
        with pytest.raises(FieldError, match=says) as error:
            ask(explorer, "target", **(CYCLES | more))
        assert error.value.field == "range"
    with pytest.raises(FieldError) as error:
        ask(explorer, "response", **CYCLES, along="route")
    assert error.value.field == "along"


@pytest.mark.parametrize("view", ["response", "target", "drivers", "why"])
@pytest.mark.parametrize(
    ("schedules", "said"),
    [
        (["none"], "without a dose"),
        (["1 MIU sc weekly x4; hold if nk > 2 x baseline"], "without rules"),
    ],
)
def test_what_has_no_doses_of_its_own_is_refused_at_its_schedule(explorer, view, schedules, said):
    with pytest.raises(FieldError, match=said) as error:
        views.ANSWERS[view](explorer, ASKED | {"schedules": schedules}, lambda: None)
    assert (error.value.field, error.value.index) == ("schedules", 0)


@pytest.mark.parametrize("view", ["drivers", "why"])
def test_what_asks_of_exact_doses_takes_none_that_are_left_to_chance(explorer, view):
    with pytest.raises(FieldError, match=r"asks what exact doses do.*name those that were missed") as error:
        ask(explorer, view, schedules=["1 MIU sc weekly x4; adherence 90 %"])
    assert (error.value.field, error.value.index) == ("schedules", 0)


TAKEN = "1 MIU sc daily x5 every 28 d x2; adherence 70 %; jitter 2 h"


def test_a_response_is_that_of_people_who_miss_doses_of_their_own(explorer):
    told = ask(explorer, "response", schedules=[TAKEN])
    assert told["along"]["others"] == ["dose", "interval", "days", "cycles"]
    pattern = TAKEN.replace("1 MIU", "? MIU")
    assert told["found"]["schedule"] == pattern and f'"{pattern}"' in told["command"]
    planned = ask(explorer, "response", schedules=[TAKEN.partition(";")[0]])
    least, usual = (of["found"]["people"][0] for of in (told, planned))  # 5 % of people
    assert all(one < other for one, other in zip(least, usual, strict=True))
    longer = ask(explorer, "response", schedules=[TAKEN], along="interval", days=90)
    assert longer["found"]["schedule"].startswith("1 MIU sc daily x5 every ? d x2; adherence 70 %")
    some = ask(explorer, "response", schedules=[f"{TAKEN}; double day 1"])
    assert some["along"]["others"] == ["dose"]
    topics = {one["topic"] for one in some["notices"] if "Where doses are doubled" in one["sentence"]}
    assert topics == {str(Topic.BEYOND)}


def test_a_dose_is_found_for_people_who_miss_doses_of_their_own(explorer):
    told = ask(explorer, "target", schedules=[TAKEN], wish="Treg mean fold at least 1.1")
    assert told["found"]["chosen"].endswith("; adherence 70 %; jitter 2 h")
    full = ask(explorer, "target", schedules=[TAKEN.partition(";")[0]], wish="Treg mean fold at least 1.1")
    assert told["found"]["value"] > full["found"]["value"]


def test_a_dose_missed_on_a_stated_day_is_missed_in_the_views(explorer):
    missed = ASKED | {"schedules": ["1 MIU sc daily x5; miss day 2"]}
    told = views.ANSWERS["why"](explorer, missed, lambda: None)
    assert 'pkpd why low_dose_il2 "1 MIU sc at 0, 1, 3, 4 d"' in told["command"]
    told = views.ANSWERS["response"](explorer, missed, lambda: None)
    assert told["along"]["others"] == ["dose"]
    assert '"? MIU sc at 0, 1, 3, 4 d"' in told["command"]


@pytest.mark.parametrize(
    ("view", "field"),
    [("response", "endpoint"), ("response", "over"), ("drivers", "endpoint"), ("why", "output")],
)
def test_a_name_that_there_is_not_is_refused_at_its_field(explorer, view, field):
    with pytest.raises(FieldError, match="nothing of that kind") as error:
        ask(explorer, view, **{field: "nothing of that kind"})
    assert error.value.field == field


def test_a_view_that_nobody_waits_for_any_more_ends(explorer):
    class Left(Exception):
        pass

    def stop():
        raise Left

    for view in ("response", "target", "drivers", "why"):
        with pytest.raises(Left):
            views.ANSWERS[view](explorer, ASKED, stop)


def test_each_is_drawn_with_its_table_and_a_command():
    site = Site(subjects=20, limits=Limits())
    thread = threading.Thread(target=site.run)
    thread.start()
    try:
        with browsers.chromium() as chromium:
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            problems = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(f"{site.url}#s=1+MIU+sc+daily+x5")
            for number, (name, command) in enumerate(
                [
                    ("Dose response", "dose-response"),
                    ("Which dose", "dose-for"),
                    ("Drivers", "drivers"),
                    ("Why", "why"),
                ],
                start=2,
            ):
                page.wait_for_selector(f'body[data-answers="{number - 1}"]', state="attached")
                page.get_by_role("tab", name=name, exact=True).click()
                page.wait_for_selector(f'body[data-answers="{number}"]', state="attached")
                panel = page.get_by_role("tabpanel", name=name)
                assert panel.locator("svg.chart path.line, svg.chart rect.bar").count() > 0
                assert panel.locator("tbody tr").count() > 2
                assert page.locator("#command").inner_text().startswith(f"pkpd {command} ")
                assert panel.locator("svg.chart").first.get_attribute("aria-label")
            assert problems == []
    finally:
        site.stop()
        thread.join(30)
