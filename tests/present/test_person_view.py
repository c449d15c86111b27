"""The view of one person says what pkpd.individualise says, shows what is wrong at its field, and says what a
fit lacks that cannot tell anything of one person."""

import json
import logging
import shlex
from dataclasses import replace

import numpy as np
import pytest

import pkpd
from pkpd.cli import main
from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene, compare
from pkpd.present.report.individual import courses
from pkpd.present.web import person, views
from pkpd.present.web.evaluation import Explorer, FieldError
from pkpd.simulation.body import FORMULAS

GIVEN = "1 MIU sc daily x5"
ASKED = {"schedules": [GIVEN, "2 MIU sc daily x5"], "subjects": 20}
ALL = "pct0 = 5; K = 1; CL = 5; ka = 0.3; klymph = 1; tlag = 0.4"
SEEN = {"given": GIVEN, "measured": "0 treg_pct 5; 7 treg_pct 8"}


@pytest.fixture(scope="module")
def explorer():
    return Explorer(subjects=20)


@pytest.fixture(scope="module")
def hers(tmp_path_factory):
    path = tmp_path_factory.mktemp("hers") / "person.csv"
    path.write_text("time,time_unit,output,value,unit\n0,d,treg_pct,5,percent\n7,d,treg_pct,8,percent\n")
    return path


def ask(explorer, **more):
    return views.ANSWERS["person"](explorer, ASKED | more, lambda: None)


def wrong(explorer, **more):
    with pytest.raises(FieldError) as error:
        ask(explorer, **more)
    return error.value.field, str(error.value)


def test_the_answer_is_what_individualise_gives(explorer, hers):
    told = ask(explorer, **SEEN, begin="28", wish="Treg peak fold at least 1.8, NK peak fold under 9")
    found = pkpd.individualise(
        "low_dose_il2",
        hers,
        GIVEN,
        subjects=person.DRAWS,
        draws=person.ESTIMATES,
        covariates={"BSA": explorer.start["bsa"]},
    )
    following = [f"{schedule} from day 28" for schedule in ASKED["schedules"]]
    arms = Scene.of_person(found).arms(following)
    assert told["effective"] == pytest.approx(found.effective, rel=1e-4)
    assert told["over_days"] == arms[0].scene.until_days
    for row, own in zip(told["parameters"], found.parameters(), strict=True):
        assert row["name"] == own["name"]
        assert row["before"] == pytest.approx(own["before"], rel=1e-4)
        assert row["after"] == pytest.approx(own["after"], rel=1e-4)
    for row, own in zip(told["measurements"], found.rows(), strict=True):
        assert row["after"] == pytest.approx(own["after"], rel=1e-4)
    assert [row["day"] for row in told["measurements"]] == [0.0, 7.0]
    assert [arm["text"] for arm in told["arms"]] == [arm.text for arm in arms] == following
    rows = {(row.endpoint.name, row.arm): row for row in compare(arms).rows}
    for endpoint in told["endpoints"]:
        for value, label in zip(endpoint["arms"], following, strict=True):
            median = rows[endpoint["name"], label].median
            same = (
                value["median"] is None
                if np.isnan(median)
                else value["median"] == pytest.approx(median, rel=1e-4)
            )
            assert same, endpoint["name"]
    peak = next(one for one in arms[1].endpoints if one.name == "Treg peak fold")
    wishes = {one["wish"]: one["held"] for one in told["wishes"]}
    assert wishes["Treg peak fold >= 1.8"][1] == float(np.mean(arms[1].endpoints[peak] >= 1.8))
    assert list(wishes)[-1] == "all of these"


def test_courses_lead_from_people_and_this_person_to_what_follows(explorer):
    (chart,) = ask(explorer, **SEEN)["charts"]
    assert chart["name"] == "treg_pct" and chart["unit"] == "percent"
    assert [(point["day"], point["value"]) for point in chart["points"]] == [(0.0, 5.0), (7.0, 8.0)]
    wide, narrow = (chart[key]["high"][0] - chart[key]["low"][0] for key in ("before", "after"))
    assert narrow < 0.4 * wide  # at rest, where a value was measured
    assert chart["before"]["days"][-1] == chart["after"]["days"][-1] == 7.0
    assert [len(course["days"]) > 10 and course["days"][0] >= 7.0 for course in chart["following"]] == [
        True,
        True,
    ]
    two = ask(explorer, given=GIVEN, measured="0 nk 1; 3 treg_pct 7; 3 nk 1.1", schedules=["none"])["charts"]
    assert [one["name"] for one in two] == ["nk", "treg_pct"]


def test_what_follows_begins_when_the_next_cycle_is_due(explorer):
    cycles = {"schedules": ["1 MIU sc daily x5 every 28 d x3"]}
    assert ask(explorer, **cycles, measured="7 treg_pct 8")["begin"] == 28.0
    assert ask(explorer, **cycles)["given"] == GIVEN  # the first course of schedule A, where nobody says
    assert ask(explorer, **cycles, measured="30.5 treg_pct 8")["begin"] == 31.0
    twice = "1 MIU sc daily x5 every 21 d x2; miss day 3"
    told = ask(explorer, **cycles, given=twice)
    assert told["begin"] == 42.0 and told["given"] == twice
    assert told["doses"] == [0.0, 1.0, 2.0, 4.0, *(21.0 + day for day in range(5))]
    assert told["arms"][0]["doses"][0] == 42.0
    assert ask(explorer, **SEEN)["begin"] == 7.0  # nothing says when a next one is due
    assert ask(explorer, given=GIVEN)["begin"] == 5.0  # the day after the last dose
    assert ask(explorer, **SEEN, begin="9.5")["arms"][1]["text"] == "2 MIU sc daily x5 from day 9.5"
    assert ask(explorer, **SEEN, begin="28", days=70)["over_days"] == 70.0


def test_what_follows_nothing_begins_at_once(explorer):
    told = ask(explorer, given="none")
    assert told["begin"] == 0.0 and told["arms"][0]["text"] == GIVEN
    assert told["charts"][0]["after"]["days"] == [0.0]
    assert told["charts"][0]["following"][0]["days"][0] == 0.0


def test_a_value_that_nobody_can_have_is_told_with_its_day(explorer):
    told = ask(explorer, **SEEN | {"measured": "0 treg_pct 5; 2 nk 0"})
    (first, *_) = told["notices"]
    assert first["topic"] == person.OF_VALUES
    assert first["sentence"].startswith("nk = 0 at 48 h is more than three SDs of its error away")


def test_without_values_a_person_is_anybody(explorer):
    told = ask(explorer, given=GIVEN)
    assert told["measurements"] == []
    assert all(row["learned"] < 0.15 for row in told["parameters"])


def test_body_surface_by_a_formula_and_what_else_is_known(explorer):
    per_area = {"schedules": ["1 MIU/m2 sc daily x5"], "given": "1 MIU/m2 sc daily x5"}
    own = {"weight": "60", "height": "165", "formula": "DuBois", "known": "CD4 = 900 1/uL"}
    told = ask(explorer, **per_area, **own)
    same = ask(explorer, **per_area, known="CD4 = 900 1/uL; BSA = DuBois(60 kg, 165 cm)")
    assert told["endpoints"] == same["endpoints"] != ask(explorer, **per_area)["endpoints"]
    assert "BSA = DuBois(60 kg, 165 cm)" in told["command"] and "CD4 = 900 1/uL" in told["command"]
    assert "BSA = 1.9 m^2" in ask(explorer, **SEEN, bsa=1.9)["command"]
    assert list(person.FORMULAS) == [name for name, one in FORMULAS.items() if one.unit == "m^2"]


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"given": "1 MIU sc dayly x5"}, "given", 'did you mean "daily"'),
        ({"given": "1 MIU oral once"}, "given", "oral"),
        ({"given": "1 MIU sc daily x5000"}, "given", "more than this page computes"),
        ({"given": 3}, "given", "is a text"),
        ({"measured": "0 treg_pc 5"}, "measured.0.output", 'did you mean "treg_pct"'),
        (
            {"measured": "0 treg_pct 5; 3 il2 5"},
            "measured.1.output",
            "states no error of measurement for il2",
        ),
        ({"measured": "0 treg_pct 5,5"}, "measured.0.value", 'a decimal point is "."'),
        ({"measured": "0 treg_pct nan"}, "measured.0.value", "must be a number"),
        ({"measured": "d7 treg_pct 8"}, "measured.0.day", 'must be a number, not "d7"'),
        ({"measured": "7 treg_pct"}, "measured.0.day", "such as"),
        ({"measured": "; ".join(["1 treg_pct 5"] * 61)}, "measured.60.day", "60 measured values, not 61"),
        ({**SEEN, "begin": "5"}, "measured.1.day", "day 7 is after day 5"),
        ({**SEEN, "begin": "4"}, "begin", "after the last dose that was given, on day 4"),
        ({**SEEN, "begin": "soon"}, "begin", 'not "soon"'),
        ({"weight": "60"}, "height", "the height is missing"),
        ({"height": "165"}, "weight", "the weight is missing"),
        ({"weight": "600", "height": "165"}, "weight", "between 1.5 and 400, not 600"),
        ({"weight": "60", "height": "165", "formula": "Boyd"}, "formula", "Mosteller or DuBois"),
        ({"weight": "60", "height": "165", "known": "BSA = 1.8"}, "known", "leave one of them out"),
        ({"known": "CD5 = 900"}, "known", 'did you mean "CD4"'),
        ({"known": "CD4 = 900 kg"}, "known", "kg"),
        ({"known": "CD4"}, "known", "such as CD4 = 720"),
        ({"known": "CD4 = 1; CD4 = 2"}, "known", "twice"),
        ({"known": "pct0 = -5"}, "known", "below zero"),
        ({"known": ALL}, "known", "differs between people that is not given"),
        ({**SEEN, "wish": "Tregs at leest 5"}, "wish", "constraint"),
        ({**SEEN, "wish": "Treg peak fold >= 2 in 90 % of people"}, "wish", 'write "Treg peak fold >= 2"'),
        ({"responders": "low"}, "responders", "choose all responders"),
        ({"schedules": ["1 MIU sc daily x5; adherence 90 %"]}, "schedules", "is known or planned"),
        ({**SEEN, "begin": "28", "days": 30}, "schedules", "not before the horizon"),
        ({**SEEN, "begin": "1090"}, "schedules", "more than this page computes"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(explorer, asked, field, said):
    at, sentence = wrong(explorer, **asked)
    assert at == field and said in sentence


def test_a_dose_that_is_missed_later_is_missed_in_what_follows(explorer):
    cycles = "1 MIU sc daily x5 every 28 d x2"
    told = ask(explorer, schedules=[f"{cycles}; miss day 29", cycles], measured="7 treg_pct 8")
    assert told["given"] == GIVEN and told["begin"] == 28.0  # the cycle is that of the doses as planned
    missed, planned = (arm["doses"] for arm in told["arms"])
    assert missed == [day for day in planned if day != 57.0] and len(planned) == 10
    assert f'--next "{told["arms"][0]["text"]}"' in told["command"]


def test_what_follows_names_the_schedule_that_cannot(explorer):
    with pytest.raises(FieldError) as error:
        ask(explorer, schedules=[GIVEN, "1 MIU sc daily x5; hold if nk > 2 x baseline"])
    assert (error.value.field, error.value.index) == ("schedules", 1)


def test_a_fit_that_says_nothing_of_errors_says_what_would_be_right():
    for fit, why in (("als", "does not state how exactly"), ("one_compartment_oral", "nobody has fitted")):
        other = Explorer(fit, subjects=10)
        facts = person.facts(other)
        assert facts["outputs"] == [] and why in facts["why_not"] and "[noise]" in facts["why_not"]
        with pytest.raises(InputError, match="noise"):
            views.ANSWERS["person"](other, {}, lambda: None)


def test_the_page_knows_what_can_be_measured_and_known(explorer):
    facts = person.facts(explorer)
    assert [one["name"] for one in facts["outputs"]] == ["treg_pct", "nk", "cd56bright"]
    assert [one["name"] for one in facts["known"]] == ["CD4", "bath"]
    assert facts["body"] == "BSA" and facts["formulas"] == person.FORMULAS and facts["why_not"] == ""


def test_the_command_says_the_same(explorer, hers, capsys, monkeypatch):
    told = ask(explorer, **SEEN, begin="28", wish="Treg peak fold at least 1.8", weight="60", height="165")
    monkeypatch.chdir(hers.parent)
    words = shlex.split(told["command"])
    few = ["--subjects", str(person.DRAWS), "--draws", str(person.ESTIMATES), "--json"]
    with pytest.raises(SystemExit) as end:
        main([*words[1:], *few])
    facts = json.loads(capsys.readouterr().out)
    assert not end.value.code
    assert facts["effective_draws"] == pytest.approx(told["effective"], rel=1e-4)
    held = facts["wishes"]["2 MIU sc daily x5 from day 28"]
    assert held["Treg peak fold >= 1.8"] == pytest.approx(told["wishes"][0]["held"][1])


def test_no_value_is_logged_or_kept(explorer, caplog, capfd):
    secret = "0 treg_pct 5.4321; 7 treg_pct 8.7654"
    with caplog.at_level(logging.DEBUG):
        told = ask(explorer, given=GIVEN, measured=secret, known="CD4 = 987.6")
        wrong(explorer, measured=secret + "; 9 treg_pct 9.1234x")
    assert [row["value"] for row in told["measurements"]] == [5.4321, 8.7654]
    out, err = capfd.readouterr()
    assert not any(word in caplog.text + out + err for word in ("5.4321", "8.7654", "987.6", "9.1234"))


def test_courses_of_what_follows_are_those_of_the_comparison_or_simulated_alike(hers):
    her = pkpd.individualise("low_dose_il2", hers, GIVEN, subjects=24, draws=2)
    comparison = compare(Scene.of_person(her).arms([f"{GIVEN} from day 28"]))
    bare = [replace(arm, bands={}) for arm in comparison.arms]
    kept, simulated = courses(her, comparison), courses(her, replace(comparison, arms=bare))
    (one,), (other,) = kept.forecasts.values(), simulated.forecasts.values()
    assert np.array_equal(one["days"], other["days"]) and one["days"][0] >= 28.0
    np.testing.assert_allclose(one["bands"]["treg_pct"], other["bands"]["treg_pct"], rtol=1e-3)
