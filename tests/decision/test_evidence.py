"""What stands behind a number is told: the rows of data, whether what was held out came as predicted, and a
light that says it at a glance."""

import dataclasses
import json
import math
import re

import pytest

import pkpd
from pkpd.cli import main
from pkpd.core import library
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.domain import Beyond
from pkpd.decision.evidence import Behind, Light
from pkpd.present.report.comparison import render
from pkpd.present.report.numbers import LIGHTS

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
