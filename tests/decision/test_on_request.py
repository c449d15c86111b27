"""Groups of endpoints that are shown to whoever asks for them: nowhere else is a number of them, and wherever
one is, there is what it rests on."""

import json

import pytest
import toy

from pkpd.core.errors import DataError, InputError
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.criteria import parse_criteria
from pkpd.decision.optimisation import Space, optimise
from pkpd.inference import read_fit
from pkpd.present.report.comparison import figures, render
from pkpd.present.web.evaluation import Explorer, FieldError
from pkpd.solver.kernel import load

WORDS = "What becomes of people: One trial of 40 people. It was negative."
ONE, TWO = "100 mg oral daily x5", "50 mg oral every 12 h x10"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.write_on_request(tmp_path_factory.mktemp("own") / "toy")


@pytest.fixture(scope="module")
def arms(folder):
    return Scene.create(folder, subjects=30, vary=("between",)).arms([ONE, TWO])


def everything(comparison, folder):
    """All that is written of a comparison, as one text each."""
    comparison.write_csv(folder / "c.csv")
    comparison.write_json(folder / "c.json")
    drawn = figures(comparison)
    return {
        "csv": (folder / "c.csv").read_text(encoding="utf-8"),
        "json": (folder / "c.json").read_text(encoding="utf-8"),
        "report": render(comparison),
        "notebook": comparison._repr_html_(),
        "caption": drawn["courses"][0] + " ".join(a.get_title(loc="left") for a in drawn["courses"][1].axes),
    }


def test_who_does_not_ask_sees_no_number_of_it_and_is_told_how_to_ask(arms, tmp_path):
    found = compare(arms)
    assert [group.group for group in found.kept_back] == ["clinical"]
    assert {endpoint.group for endpoint in found.endpoints} == {"effects", "burden"}
    for where, text in everything(found, tmp_path).items():
        assert "fate" not in text.lower() and "One trial" not in text, where
    assert "Shown on request, with what they rest on: clinical" in render(found)
    for ask in (lambda: found.row("fate mean"), lambda: found.choose(["clinical"])):
        with pytest.raises(InputError, match=r'on request only.*show=\["clinical"\]'):
            ask()


def test_who_asks_is_told_what_it_rests_on_wherever_it_is_shown(arms, tmp_path):
    found = compare(arms, show=["clinical"])
    assert found.kept_back == () and found.warnings[0] == WORDS
    assert found.row("fate of C", 1).median == pytest.approx(10.0)
    for where, text in everything(found, tmp_path).items():
        assert "fate" in text.lower() and "One trial of 40 people. It was negative." in text, where
    assert json.loads((tmp_path / "c.json").read_text())["provenance"]["show"] == ["clinical"]
    assert found.to_frame().attrs["warnings"][0] == WORDS == arms[0].rests_on[0]
    assert "One trial of 40 people." in arms[0]._repr_html_()
    # of everything else it changes no number
    others = [row for row in found.rows if row.endpoint.group != "clinical"]
    assert repr(others) == repr(list(compare(arms).rows))
    with pytest.raises(InputError, match=r'no group "clinicl".*did you mean "clinical"'):
        compare(arms, show=["clinicl"])


def test_a_search_does_not_trade_it_by_itself_and_tells_what_it_rests_on_where_it_is_asked_to(folder):
    scene = Scene.create(folder, subjects=12, vary=("between",))
    space = Space.parse("50, 100 mg", days="1, 2", interval="7 d", cycles="2", route="oral")
    usual = optimise(scene, space)
    assert {goal.endpoint.group for goal in usual.objectives}.isdisjoint({"clinical"})
    assert WORDS not in usual.notes
    asked = optimise(scene, space, "fate mean >= 0.1", objectives="fate mean, C mean")
    assert WORDS in asked.notes


def test_the_page_gets_its_rows_when_it_asks(folder):
    page = Explorer(str(folder), subjects=20)
    assert page.facts()["on_request"] == [
        {
            "group": "clinical",
            "title": "what becomes of people",
            "rests_on": ("One trial of 40 people.", "It was negative."),
            "outputs": ("fate",),
        }
    ]
    off, on = page.evaluate({}), page.evaluate({"show": ["clinical"]})
    groups = [{row["group"] for row in answer["endpoints"]} for answer in (off, on)]
    assert groups[1] - groups[0] == {"clinical"}
    assert "--show" not in off["command"] and '--show "clinical"' in on["command"]
    for wrong in (["clinicl"], "clinical", [3]):
        with pytest.raises(FieldError):
            page.evaluate({"show": wrong})


def test_the_command_line_shows_it_to_who_asks(folder, pkpd):
    few = (ONE, TWO, "--fit", folder, "--subjects", 20, "--vary", "between")
    code, out, err = pkpd("compare", *few)
    assert (code, err) == (0, "") and "fate" not in out and "One trial" not in out
    assert out.count("Shown on request, with what they rest on: --show clinical.") == 1
    code, out, err = pkpd("compare", *few, "--show", "clinical")
    assert (
        (code, err) == (0, "")
        and "fate mean" in out
        and f"! What has to be known first\n  {WORDS}" in out
        and "on request" not in out
    )
    code, out, err = pkpd("compare", *few, "--endpoints", "fate mean")
    assert code != 0 and '--show "clinical"' in err
    code, out, err = pkpd("compare", *few, "--endpoints", "fate mean", "--show", "clinical", "--json")
    found = json.loads(out)
    assert [row["endpoint"] for row in found["arms"][0]["rows"]] == ["fate mean"]
    assert found["warnings"][0] == WORDS
    code, out, err = pkpd("compare", *few, "--show", "clinicl")
    assert code != 0 and 'did you mean "clinical"?' in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('rests_on = ["One trial of 40 people.", "It was negative."]', ""), "rests_on = "),
        (('"One trial of 40 people.", "It was negative."', ""), "rests_on = "),
        (('"It was negative."', '" "'), "rests_on = "),
        (("rests_on", "rest_on"), 'unknown key "rest_on"; did you mean "rests_on"'),
        (('group = "clinical"\nfinding', "finding"), 'endpoint "fate mean": what it is made of is shown on'),
        (('"C mean"]\ngroup = "clinical"', '"C mean"]'), 'write group = "clinical"'),
        (("[on_request.clinical]", "[on_request.clinicl]\noutputs_of = 1"), 'unknown key "outputs_of"'),
        (
            (
                '[on_request.clinical]\ntitle = "what becomes of people"\noutputs = ["fate"]',
                "[on_request.clinicl]",
            ),
            'no endpoint is of the group "clinicl"',
        ),
        (("[on_request.clinical]", '[on_request."a, b"]'), "the name of a group on request"),
        (('outputs = ["fate"]', 'outputs = ["fat"]'), 'no output "fat"; did you mean "fate"'),
    ],
)
def test_a_group_that_would_be_shown_to_everybody_or_says_nothing_is_refused(folder, change, words):
    text = toy.ON_REQUEST.replace(*change, 1)
    assert text != toy.ON_REQUEST
    with pytest.raises(DataError) as error:
        parse_criteria(text.encode(), "mine.toml", load(read_fit(folder).main.model))
    assert str(error.value).startswith("mine.toml") and words in str(error.value)
