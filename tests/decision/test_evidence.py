"""What stands behind a number is told: the rows of data, whether what was held out came as predicted, and a
light that says it at a glance."""

import dataclasses
import json
import math
import re

import pytest
from markupsafe import escape

import pkpd
from pkpd.cli import main
from pkpd.core import library
from pkpd.core.files import to_json
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.domain import Beyond
from pkpd.decision.evidence import COUNTED, Behind, Light, Standing, weakest
from pkpd.decision.optimisation import Space
from pkpd.present.report import front as front_report
from pkpd.present.report.comparison import render
from pkpd.present.report.numbers import LIGHTS, legend
from pkpd.present.share import exhibit, latex, markdown

COURSE = "1 MIU sc daily x5"


@pytest.fixture(scope="module")
def result():
    return pkpd.FitResult.read_json(library.fit_result("low_dose_il2"))


@pytest.fixture(scope="module")
def compared():
    return compare(Scene.create(subjects=8).arms([COURSE, f"{COURSE} every 28 d x3"]))


def row_of(result, name):
    return next(row for row in result.rows if row.id == name)


def only(result, *rows):
    return Behind(dataclasses.replace(result, rows=rows, check=None))


def test_what_was_fitted_and_never_tried_is_amber(result):
    behind = only(result, row_of(result, "imodals_d8_1miu"))
    standing = behind.standing(["treg_pct"], ())
    assert standing.light is Light.FITTED
    assert standing.reasons == (
        "No number of it was held out and predicted",
        "1 of 1 rows behind it are unverified",
    )


def test_what_was_held_out_and_met_is_green_unless_the_schedule_goes_beyond(result):
    fitted, held = row_of(result, "konrad_c0"), row_of(result, "konrad_half_life_alpha")
    behind = only(result, fitted, held)
    assert [one.held_out for one in behind.of(["il2"])] == [False, True]
    standing = behind.standing(["il2"], ())
    assert standing.light is Light.FORESEEN and "All held-out numbers, 1, came" in standing.reasons[0]
    further = behind.standing(["il2"], (Beyond("Too much", "Konrad1990"),))
    assert further.light is Light.FITTED and further.reasons[0] == "Too much"


def test_what_was_held_out_and_missed_is_named(result):
    fitted, held = row_of(result, "konrad_c0"), row_of(result, "konrad_half_life_alpha")
    far = dataclasses.replace(held, observed=5.0, observed_lower=4.0, observed_upper=6.0)
    standing = only(result, fitted, far).standing(["il2"], ())
    assert standing.light is Light.FITTED
    assert "Of 1 held-out numbers 1 did not come as predicted (Konrad1990: konrad_half_life_alpha)" in (
        standing.reasons
    )


def test_without_a_fitted_row_it_is_red(result):
    held = row_of(result, "konrad_half_life_alpha")
    assert only(result, held).standing(["il2"], ()).light is Light.ASSUMED
    standing = only(result, held).standing(["nk", "ccl2"], ())
    assert standing.light is Light.ASSUMED and "nk and ccl2" in standing.reasons[0]


@pytest.mark.parametrize(
    ("low", "high", "predicted", "met"),
    [
        (1.1, math.inf, (0.5, 1.0), False),
        (1.1, math.nan, (0.5, 1.2), True),
        (-math.inf, 2.0, (2.5, 3.0), False),
        (math.nan, 2.0, (1.5, 3.0), True),
        (1.1, math.inf, (math.nan, math.nan), None),
        (1.0, 2.0, (1.4, 1.6), True),
        (1.0, 2.0, (math.nan, math.nan), None),
    ],
)
def test_a_bound_is_met_where_the_prediction_reaches_it(result, low, high, predicted, met):
    known = [end for end in (low, high) if math.isfinite(end)]
    row = dataclasses.replace(
        row_of(result, "konrad_half_life_alpha"),
        observed=sum(known) / len(known),
        observed_lower=low,
        observed_upper=high,
        predicted=sum(predicted) / 2,
        predicted_lower=predicted[0],
        predicted_upper=predicted[1],
    )
    (one,) = only(result, row).of(["il2"])
    assert one.foreseen is met


def test_the_inner_check_of_a_fit_is_a_number_that_was_held_out(result):
    (one,) = (one for one in Behind(result).of(["treg_pct"]) if one.row.id == "imodals_d8_2miu")
    assert one.held_out and one.foreseen is result.check.predicted[0].as_expected() is True


def test_the_flagship_says_where_it_was_refuted_and_where_nothing_is_known(compared):
    lights = {row.endpoint.name: row.light for row in compared.rows if row.arm == compared.arms[0].label}
    assert lights["Cmax"] == "foreseen" and lights["CCL2 change"] == "assumed"
    assert lights["injections"] == "counted" and LIGHTS[Light.COUNTED] == ""
    standing = compared.standing(compared.row("Treg mean fold"))
    assert standing.light is Light.FITTED and "imodals_washout_2miu" in " ".join(standing.reasons)
    further = compared.standing(compared.row("Treg mean fold", 1))
    assert any("3 cycles" in reason for reason in further.reasons)
    both = compared.standing(compared.row("Treg gain over NK"))
    assert both.outputs == ("treg_count", "nk")  # a ratio stands on both of its parts


def test_a_share_and_a_count_of_the_same_cells_have_the_same_rows(compared):
    behind = compared.arms[0].scene.behind
    assert behind.of(["treg_count"]) == behind.of(["treg_pct"])
    assert {one.row.output for one in behind.of(["treg_pct"])} == {"treg_pct", "treg_count"}


def test_every_number_of_a_report_leads_to_its_rows(compared, result):
    page = render(compared)
    targets = re.findall(r'href="#(behind-[\w]+)"', page)
    assert targets and {f'id="{name}"' for name in targets} <= set(re.findall(r'id="behind-\w+"', page))
    unverified = {one.row.id for one in compared.sources if one.unverified}
    assert unverified and all(
        re.search(rf'class="unverified"><td>[^<]*<br><span class="soft">{name}<', page) for name in unverified
    )
    assert "imodals_washout_2miu" in page and "did not come as predicted" in page
    assert page.count("did not come as predicted") >= 1


def test_files_have_lights_reasons_and_sources(compared, tmp_path):
    compared.write_json(tmp_path / "c.json")
    facts = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    row = next(row for row in facts["arms"][0]["rows"] if row["endpoint"] == "Treg mean fold")
    assert row["light"] == "fitted" and row["stands_on"] == ["treg_pct"] and row["why"]
    sources = {one["row"]: one for one in facts["sources"]}
    assert sources["imodals_d8_1miu"]["unverified"] and sources["imodals_d8_1miu"]["value"] == 3.9
    assert sources["imodals_washout_2miu"]["foreseen"] is False
    assert set(compared.to_frame()["light"]) == {"foreseen", "fitted", "assumed", "counted"}


def test_the_terminal_lists_the_numbers_behind(capsys):
    with pytest.raises(SystemExit):
        main(["compare", COURSE, "--subjects", "8", "--endpoints", "Treg mean fold, Cmax", "--sources"])
    told = capsys.readouterr().out
    assert "● Cmax" in told and "◐ Treg mean fold" in told
    assert re.search(r"imodals_d8_1miu: IMODALS, .*change at 7 d \(mean\): 3.90 .*; unverified; Camu", told)
    assert "imodals_washout_2miu" in told and "did not come as predicted" in told


# --- answers of a search and of the inverse question


@pytest.fixture(scope="module")
def scene():
    return Scene.create(subjects=60, draws=12, threads=2)


@pytest.fixture(scope="module")
def front(scene):
    space = Space.parse(dose="0.25, 2 MIU", days="1, 5", interval="28 d", cycles="1")
    return pkpd.optimise(scene, space, "adverse event < 90 %", "Treg mean fold, injections per 28 days")


@pytest.fixture(scope="module")
def answer(scene):
    return pkpd.dose_for(scene, "CCL2 change under 500 in 80 % of people, NK under 3", "? MIU sc daily x5")


def test_a_schedule_of_a_front_has_the_lights_that_a_comparison_gives_it(scene, front):
    compared = compare(scene.arms([choice.schedule for choice in front.choices]))
    for choice in front.choices:
        assert choice.estimates.keys() == choice.standings.keys()
        for endpoint, standing in choice.standings.items():
            assert standing == compared.standing(compared.row(endpoint.name, choice.schedule))
    lights = {standing.light for choice in front.choices for standing in choice.standings.values()}
    assert {Light.FITTED, Light.COUNTED} <= lights


def test_an_answer_has_the_lights_of_its_schedule_and_of_every_value(scene, answer):
    for curve in answer.curves:
        assert len(curve.standings) == len(answer.x)
        for x, standing in zip(answer.x, curve.standings, strict=True):
            expected = scene.standings(pkpd.Schedule.parse(f"{x:.10g} MIU sc daily x5"))
            assert standing == expected[curve.wish.endpoint.name]
    ccl2, nk = (answer.standing(curve) for curve in answer.curves)
    assert ccl2.light is Light.ASSUMED
    assert nk == answer.curves[1].standings[answer.x.tolist().index(answer.value)]
    assert answer.weakest == ccl2


def test_the_reasons_of_a_risk_are_its_own():
    scene = Scene.create(subjects=8, until_days=84)
    risk = scene.criteria.risks[0]
    other = dataclasses.replace(
        risk,
        endpoint=dataclasses.replace(risk.endpoint, name="another event"),
        source="other counts",
        warnings=lambda *_, **__: ("counted elsewhere",),
    )
    both = dataclasses.replace(scene, criteria=dataclasses.replace(scene.criteria, risks=(risk, other)))
    schedule = pkpd.Schedule.parse(f"{COURSE} every 28 d x3")
    found = both.standings(schedule)
    assert found["another event"].reasons == ("It rests on other counts", "counted elsewhere")
    assert found[risk.endpoint.name] == scene.standings(schedule)[risk.endpoint.name]
    assert "counted elsewhere" in [one.said for one in both.beyond(schedule)]


def test_of_several_lights_the_weakest_counts():
    there = [Standing(light) for light in (Light.FORESEEN, Light.COUNTED, Light.ASSUMED, Light.FITTED)]
    assert weakest(there).light is Light.ASSUMED
    assert weakest(there[:2]).light is Light.FORESEEN
    assert weakest([COUNTED]) == weakest([]) == COUNTED


def test_files_and_pages_of_answers_have_lights_and_reasons(front, answer):
    told = json.loads(to_json(front.to_dict()))
    for choice, item in zip(front.choices, told["front"], strict=True):
        for endpoint, standing in choice.standings.items():
            assert item["standings"][endpoint.name]["light"] == standing.light
            assert item["standings"][endpoint.name]["why"] == list(standing.reasons)
    assert set(front.to_frame()["Treg mean fold light"]) <= set(Light)
    page = front_report.render(front)
    for choice in front.choices:
        for standing in choice.standings.values():
            if LIGHTS[standing.light]:
                assert f'title="{escape("; ".join(standing.reasons))}"' in page
    (table,) = exhibit(front).tables
    treg = front.choices[0].standings[front.objectives[0].endpoint]
    assert table.records[0]["light 0"] == treg.light and table.records[0]["why 0"] == "; ".join(treg.reasons)
    assert table.lines[0][1].startswith(LIGHTS[treg.light])

    wishes = json.loads(to_json(answer.to_dict()))["wishes"]
    assert wishes[0]["light"] == "assumed" and set(wishes[0]["lights"]) == {"assumed"} and wishes[0]["why"]
    (table,) = exhibit(answer).tables
    assert {record["light 0"] for record in table.records} == {"assumed"}
    assert all(line[1].startswith("○ ") for line in table.lines)
    for shown in (exhibit(front), exhibit(answer)):
        assert legend([Light.FITTED])[:-1] in markdown.write(shown)
        assert "\\ensuremath{\\odot}" in latex.write(shown) and "◐" not in latex.write(shown)


def test_commands_print_the_lights_of_answers(capfd):
    few = ["--subjects", "50", "--draws", "10", "--jobs", "2"]
    tiny = ["--dose", "1 MIU", "--days", "5", "--interval", "28 d", "--cycles", "1"]
    asked = ["CCL2 change under 500 in 80 % of people", "--schedule", "? MIU sc daily x5"]
    for arguments, sign in (
        (["optimise", "NK under 3", *tiny, *few], "◐ "),
        (["dose-for", *asked, *few], "○ "),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        out = capfd.readouterr().out
        assert not end.value.code
        assert out.count(sign) > 1
        assert f"{sign}{Light('fitted' if sign == '◐ ' else 'assumed').meaning}" in out
    assert "○ CCL2 change: No data on ccl2 stand behind it." in out


# --- an endpoint over the dose, what drives it, and why a curve goes as it does


@pytest.fixture(scope="module")
def over(scene):
    return pkpd.dose_response(scene, "? MIU sc daily x5", "Treg mean fold", dose="1, 8 MIU")


@pytest.fixture(scope="module")
def driven():
    alone = Scene.create(subjects=1)
    return pkpd.drivers(alone, f"{COURSE} every 28 d x3", "Treg mean fold", origins="people", samples=16)


@pytest.fixture(scope="module")
def explained():
    return pkpd.why("low_dose_il2", "8 MIU sc daily x5", "treg_pct", subjects=1)


def test_an_endpoint_over_the_dose_has_the_light_of_each_schedule(scene, over):
    for dose, standing in zip(over.values, over.value_standings, strict=True):
        assert standing == scene.standings(pkpd.Schedule.parse(f"{dose:g} MIU sc daily x5"))["Treg mean fold"]
    assert "8 MIU is above the doses" in over.value_standings[1].reasons[0]
    assert over.to_frame()["light"].tolist() == ["fitted", "fitted"]


def test_what_drives_an_endpoint_has_the_light_of_the_endpoint_under_the_plan(scene, driven):
    assert driven.standing == scene.standings(driven.schedule)["Treg mean fold"]
    assert any("3 cycles" in reason for reason in driven.standing.reasons)


def test_a_curve_has_the_light_of_its_output_and_a_sum_that_nobody_measured_none(scene, explained):
    curve, pool = explained.accounts
    assert curve.standing == scene.standings(explained.schedule)["Treg mean fold"]
    assert "8 MIU is above the doses" in curve.standing.reasons[0]
    assert pool.standing.light is Light.ASSUMED
    assert pool.standing.reasons == (f"No data on {pool.name} stand behind it",)


def test_a_curve_of_a_model_that_nobody_has_fitted_stands_on_no_data():
    found = pkpd.why("indirect_response_1", "100 mg iv once", "R", subjects=1)
    assert [one.standing for one in found.accounts] == [
        Standing(Light.ASSUMED, ("No data on R stand behind it",), ("R",))
    ]
    assert found.sources == ()


def test_their_files_have_lights_reasons_and_sources(over, driven, explained):
    for found, told, standing in (
        (over, over.to_dict()["standings"][1], over.value_standings[1]),
        (driven, driven.to_dict(), driven.standing),
        (explained, explained.to_dict()["accounts"][0], explained.accounts[0].standing),
    ):
        facts = json.loads(to_json(told))
        assert facts["light"] == "fitted" and facts["why"] == list(standing.reasons)
        assert facts["stands_on"] == ["treg_pct"]
        rows = {one["row"]: one["unverified"] for one in found.to_dict()["sources"]}
        assert rows["imodals_d8_1miu"] is True and rows["koreth2011_treg"] is False


def test_their_tables_of_numbers_have_the_light(driven, explained, tmp_path):
    assert set(driven.to_frame()["light"]) == {"fitted"}
    table = explained.to_frame()
    assert table[table["what"] == "change"]["light"].tolist() == ["fitted"] * 2 + ["assumed"] * 2
    assert set(table[table["what"] != "change"]["light"]) == {""}
    for found in (driven, explained):
        found.write_csv(tmp_path / "a.csv")
        assert ",light\n" in (tmp_path / "a.csv").read_text(encoding="utf-8").replace("\r", "")


def test_their_shared_tables_have_lights_and_reasons(over, driven, explained):
    for found, line, place, standing in (
        (over, 1, 1, over.value_standings[1]),
        (driven, 0, 3, driven.standing),
        (explained, -1, 2, explained.accounts[0].standing),
    ):
        table = exhibit(found).tables[0]
        assert table.lines[line][place].startswith("◐ ")
        assert table.records[line]["light"] == "fitted"
        assert table.records[line]["why"] == "; ".join(standing.reasons)
        shown = markdown.write(exhibit(found))
        assert legend([Light.FITTED])[:-1] in shown and markdown.escaped("; ".join(standing.reasons)) in shown
    terms = exhibit(explained).tables[0].records[:-1]
    assert {record["light"] for record in terms} == {""}  # nobody has measured a term


def test_answers_have_their_rows_in_json_once(front, answer):
    for found in (front, answer):
        facts = json.loads(to_json(found.to_dict()))
        assert {one["row"] for one in facts["sources"]} == {one.row.id for one in found.sources}
        assert len(facts["sources"]) == len(found.sources) > 5
