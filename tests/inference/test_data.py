"""A table of published numbers is read whole or not at all, every bad row is named by line, column and
reason, and rows are grouped into the fewest arms that have to be simulated."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.core.errors import DataError
from pkpd.core.library import root
from pkpd.inference.summary import arms, reading, rows
from pkpd.inference.summary.kinds.dose_for_effect import DOSE_GRID

FIELDS = {
    "row": "r1",
    "study": "S",
    "arm": "A",
    "population": "healthy",
    "n": "12",
    "schedule": "1 MIU sc daily x5",
    "set": "",
    "output": "treg",
    "measure": "value",
    "reducer": "at",
    "time": "7",
    "time_unit": "d",
    "statistic": "mean",
    "value": "5",
    "unit": "percent",
    "spread": "1.2",
    "spread_type": "SD",
    "lower": "",
    "upper": "",
    "effect": "",
    "use": "fit",
    "source": "paper",
    "doi": "10.1/x",
    "provenance": "reported",
    "note": "",
}


DOSE = {"statistic": "dose_for_effect", "value": "1", "unit": "MIU", "effect": "30", "spread_type": "SE"}
BELOW_0 = {"spread": "", "spread_type": "CI95", "lower": "-1", "upper": "8"}


def table(*given, end="\n", names=tuple(FIELDS)):
    quoted = [",".join(names)]
    quoted += [
        ",".join(f'"{value}"' if "," in value else value for value in {**FIELDS, **row}.values())
        for row in given
    ]
    return end.join(quoted) + end


def one(**fields) -> rows.Row:
    return reading.parse_data(table(fields)).rows[0]


def test_a_row_comes_out_as_it_was_written():
    row = one(set="BSA = 1.73 m^2; bath = 12.8 pM", time="0..24", reducer="auc", source="Who, when")
    assert (row.id, row.study, row.n, row.value, row.spread, row.line) == ("r1", "S", 12, 5.0, 1.2, 2)
    assert row.overrides == (rows.Override("BSA", 1.73, "m^2"), rows.Override("bath", 12.8, "pM"))
    assert (row.start, row.stop, row.is_window, row.source) == (0.0, 24.0, True, "Who, when")
    assert math.isnan(row.lower) and math.isnan(row.effect)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_do_not_matter(end, mark):
    found = reading.parse_data(mark + table({}, {"row": "r2"}, end=end).encode())
    assert [row.id for row in found.rows] == ["r1", "r2"] and found.rows[1].line == 3


def test_lines_are_counted_through_quoted_fields_of_several_lines():
    text = table({"note": '"two\nlines"'}, {"row": "r2", "value": "x"})
    with pytest.raises(DataError, match=r'line 4 \(row "r2"\), column "value": "x" is not a number'):
        reading.parse_data(text)


def test_a_table_is_read_as_every_other_table_of_the_package():
    text = "# typed in from the paper\n" + table({"note": "a; b"}).replace(",", "\t")
    (row,) = reading.parse_data(text).rows
    assert repr(row) == repr(replace(one(note="a; b"), line=3))


@pytest.mark.parametrize(
    ("fields", "column", "reason"),
    [
        ({"value": "NaN"}, "value", "not a number"),
        ({"value": "1e999"}, "value", "too large"),
        ({"value": "-1e150"}, "value", "too large"),
        ({"value": "1e-150"}, "value", "too small"),
        ({"value": "inf"}, "value", "not a number"),
        ({"value": "<0.1"}, "value", "not a number"),
        ({"value": "5 percent"}, "value", "not a number"),
        ({"n": "0"}, "n", "not a number of patients"),
        ({"n": "nan"}, "n", "not a number"),
        ({"n": "12 patients"}, "n", "not a number"),
        ({"spread": "0"}, "spread", "not positive"),
        ({"spread": "nan"}, "spread", "not a number"),
        ({"effect": "4"}, "effect", "a mean has no effect"),
        ({"value": ""}, "value", "is empty"),
        ({"value": "5,5"}, "value", '"5,5" is not a number; write 5.5'),
        ({"n": "-3"}, "n", "not a number of patients"),
        ({"n": "3.5"}, "n", "not a number of patients"),
        ({"row": ""}, "row", "is empty"),
        ({"study": ""}, "study", "is empty"),
        ({"source": ""}, "source", "is empty"),
        ({"statistic": "average"}, "statistic", '"average" is none of mean'),
        ({"measure": "ratio"}, "measure", "is none of value"),
        ({"reducer": "peak"}, "reducer", "is none of at"),
        ({"spread_type": "sd"}, "spread_type", "is none of none, SD"),
        ({"use": "maybe"}, "use", "is none of fit"),
        ({"provenance": "rumour"}, "provenance", "is none of reported"),
        ({"unit": "percnt"}, "unit", "unknown unit"),
        ({"time_unit": "month"}, "time_unit", "month"),
        ({"schedule": "1 MIU sc dayly x5"}, "schedule", "day"),
        ({"schedule": "-1 MIU sc once"}, "schedule", ""),
        ({"set": "BSA 1.73"}, "set", "is not understood"),
        ({"set": "BSA = 1 m^2; BSA = 2 m^2"}, "set", "set twice"),
        ({"set": "BSA = 1 m^^2"}, "set", ""),
        ({"time": "-1"}, "time", "negative"),
        ({"time": "5..2", "reducer": "max"}, "time", "does not go forward"),
        ({"time": "0..2"}, "time", "reducer is at"),
        ({"reducer": "max"}, "time", "needs a window"),
        ({"reducer": "auc", "time": "0..2", "measure": "fold"}, "measure", "cannot be given as fold"),
        ({"reducer": "tmax", "time": "0..2", "measure": "fold"}, "measure", "cannot be given as fold"),
        ({"spread": "-1"}, "spread", "not positive"),
        ({"spread": ""}, "spread", "is empty, but spread_type is SD"),
        ({"spread_type": "none"}, "spread_type", "says none, but spread is 1.2"),
        ({"spread": "0.42", "spread_type": "CV"}, "spread", "written in percent: 0.42 would be 42"),
        ({"spread": "", "spread_type": "CI95", "lower": "6", "upper": "4"}, "lower", "not below upper"),
        (
            {"spread": "", "spread_type": "CI95", "lower": "6", "upper": "8"},
            "value",
            "lies outside its interval",
        ),
        ({"spread": "", "spread_type": "CI95", "lower": "4"}, "lower", "together"),
        ({"spread": "", "spread_type": "CI95"}, "spread", "give spread, or lower and upper"),
        (
            {"statistic": "count", "value": "13", "spread": "", "spread_type": "none"},
            "value",
            "patients out of 12",
        ),
        (
            {"statistic": "count", "n": "", "spread": "", "spread_type": "none"},
            "n",
            "needs the number of patients",
        ),
        ({"statistic": "dose_for_effect"}, "effect", "is needed"),
        ({"statistic": "dose_for_effect", "effect": "75", "schedule": "none"}, "schedule", "not none"),
        (
            {"statistic": "dose_for_effect", "effect": "75", "spread": "", "spread_type": "none"},
            "spread_type",
            "needs its SE",
        ),
        ({**DOSE, "value": "2.5"}, "value", "2.5 MIU is no dose of the schedule"),
        ({**DOSE, "value": "0.4"}, "value", "0.4 MIU is no dose of the schedule"),
        ({**DOSE, "unit": "mg"}, "unit", "the dose is in the unit of its schedule: "),
        (
            {"statistic": "range", "value": "", "spread": "", "spread_type": "none"},
            "lower",
            "needs lower and upper",
        ),
        ({"statistic": "ratio", "value": "-1", "spread_type": "SE"}, "value", "must be positive"),
        ({"statistic": "ratio", **BELOW_0}, "lower", "does not go below 0"),
        ({"statistic": "geometric_mean", **BELOW_0}, "lower", "does not go below 0"),
        ({"spread_type": "range", "n": ""}, "n", "only with the number"),
    ],
)
def test_a_bad_row_is_named_by_line_column_and_reason(fields, column, reason):
    with pytest.raises(DataError) as error:
        reading.parse_data(table({"row": "good"}, fields))
    message = str(error.value)
    assert "line 3" in message and f'column "{column}"' in message and reason in message


@pytest.mark.parametrize("value", ["1", "1.0001", "3"])
def test_a_dose_for_an_effect_is_one_of_its_schedule_or_several(value):
    assert one(**DOSE | {"value": value}).value == float(value)
    per_area = {"schedule": "0.26 MIU/m2 sc every 3 d x3", "value": "0.26", "unit": "MIU/m^2"}
    assert one(**DOSE | per_area).value == 0.26


def test_all_bad_rows_are_named_at_once_and_nothing_is_read():
    with pytest.raises(DataError) as error:
        reading.parse_data(table({"value": "x"}, {"row": "r2"}, {"row": "r3", "unit": "??"}, {"row": "r2"}))
    message = str(error.value)
    assert "3 problems, nothing was read" in message
    for part in ("line 2", "line 4", 'line 5, column "row": "r2" stands already in line 3'):
        assert part in message
    many = [{"row": f"r{i}", "value": "x"} for i in range(60)]
    with pytest.raises(DataError, match="and 35 more"):
        reading.parse_data(table(*many))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"PK\x03\x04\x00\x00", "not a text file"),
        (b"row,study\xff\xfe", "not UTF-8"),
        (b"row,study\nr1,S\n", 'column "arm": this column is missing'),
        (table().encode(), "no rows"),
        (table({}).replace("provenance", "provenence").encode(), 'did you mean "provenance"'),
        (table({}).replace("time_unit", "time").encode(), "stands twice"),
        ((table({}) + "r2,S\n").encode(), r"line 3 \(row .r2.\): 2 fields where the header has 25"),
        ((table({}) + "r2,S" + "," * 40 + "\n").encode(), "fields where the header has 25"),
        (table({})[:-40].encode(), "fields where the header has 25"),
        ((table({}) + '"r2,S\n').encode(), "quotation mark"),
        (b"x" * 200_000 + b"," + b"y" * 200_000, "field larger than field limit"),
    ],
)
def test_files_that_are_no_table_are_refused_with_a_sentence(content, message):
    with pytest.raises(DataError, match=message):
        reading.parse_data(content)


def test_missing_files_and_folders_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        reading.read_data(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read"):
        reading.read_data(tmp_path)


@settings(max_examples=200)
@given(st.integers(0, 600), st.binary(min_size=0, max_size=8))
def test_a_damaged_file_is_read_whole_or_refused(place, junk):
    good = table({}, {"row": "r2"}).encode()
    place = min(place, len(good))
    try:
        found = reading.parse_data(good[:place] + junk + good[place + len(junk) :])
    except DataError:
        return
    assert all(isinstance(row, rows.Row) for row in found.rows)


def test_context_rows_may_be_anything_that_was_reported():
    row = one(
        use="context",
        statistic="text",
        value="",
        spread="",
        spread_type="none",
        output="",
        unit="",
        schedule="",
        time="",
    )
    assert row.statistic == "text" and row.use == "context"
    with pytest.raises(DataError, match="not a number"):
        one(use="context", value="many")


UNITS = {"treg": "percent", "conc": "mg/L", "count": "1/uL", "share": "1"}


def converted(**fields) -> rows.Row:
    return reading.in_model_units(
        reading.parse_data(table(fields)), UNITS, "h", {"BSA": "m^2", "bath": "nmol/L"}
    ).rows[0]


def test_units_are_taken_off_at_the_door():
    row = converted(output="conc", unit="ng/mL", value="500", spread="100", time="2")
    assert (row.value, row.spread, row.unit, row.start, row.time_unit) == pytest.approx(
        (0.5, 0.1, "mg/L", 48.0, "h")
    )
    row = converted(output="conc", unit="ug*d/L", value="24", spread="10", reducer="auc", time="0..1")
    assert row.value == pytest.approx(0.576) and (row.start, row.stop) == (0, 24)
    row = converted(output="conc", unit="min", value="90", spread="30", reducer="tmax", time="0..1")
    assert row.value == pytest.approx(1.5) and row.unit == "h"
    assert converted(measure="percent_change", unit="1", value="0.75", spread="0.1").value == pytest.approx(
        75
    )
    assert converted(measure="fold", unit="percent", value="130", spread="10").value == pytest.approx(1.3)
    assert converted(output="count", unit="10^6/L", value="80", spread="10").value == pytest.approx(80)
    row = converted(output="conc", unit="mg/L", value="0.5", spread="20", spread_type="CV")
    assert row.spread == 20
    assert converted(set="bath = 800 pM").overrides == (rows.Override("bath", pytest.approx(0.8), "nmol/L"),)
    dose = {"statistic": "dose_for_effect", "value": "1.46", "unit": "MIU", "effect": "75"}
    row = converted(**dose, schedule="1.46 MIU sc daily x5", spread="0.2", spread_type="SE")
    assert row.value == 1.46  # a dose stays in the unit of its schedule


@pytest.mark.parametrize(
    ("fields", "column", "reason"),
    [
        ({"output": "conc", "unit": "mg"}, "unit", "cannot be converted"),
        ({"measure": "fold", "unit": "d"}, "unit", "cannot be converted"),
        ({"reducer": "auc", "time": "0..1", "output": "conc", "unit": "mg/L"}, "unit", "cannot be converted"),
        ({"set": "BSAA = 1.7 m^2"}, "set", 'did you mean "BSA"'),
        ({"set": "BSA = 1.7 m"}, "set", "cannot be converted"),
        (
            {
                "statistic": "fraction",
                "output": "share",
                "value": "140",
                "spread": "",
                "spread_type": "none",
            },
            "value",
            "more than all",
        ),
        (
            {"statistic": "count", "output": "conc", "value": "4", "spread": "", "spread_type": "none"},
            "effect",
            "itself a share of patients, in the unit 1: conc is in mg/L",
        ),
        (
            {"statistic": "fraction", "value": "40", "spread": "", "spread_type": "none"},
            "effect",
            "itself a share of patients, in the unit 1: treg is in percent",
        ),
    ],
)
def test_units_that_do_not_fit_the_model_are_named(fields, column, reason):
    with pytest.raises(DataError, match=f'line 2 .*column "{column}": .*{reason}'):
        converted(**fields)


def test_rows_of_outputs_that_the_model_lacks_are_told_apart():
    found = reading.parse_data(table({"output": "tregg"}, {"row": "r2"}))
    assert [row.id for row in reading.in_model_units(found, UNITS, "h", {}).rows] == ["r2"]
    assert 'did you mean "treg"' in reading.unknown_outputs(found, tuple(UNITS))["r1"]


def planned(*given) -> arms.TrialPlan:
    found = reading.in_model_units(reading.parse_data(table(*given)), UNITS, "h", {"BSA": "m^2"})
    return arms.plan(found.rows)


def test_rows_share_an_arm_where_study_schedule_and_overrides_agree():
    plan = planned(
        {},
        {"row": "r2", "time": "3", "measure": "change"},
        {"row": "r3", "arm": "B"},
        {"row": "r4", "study": "T"},
        {"row": "r5", "set": "BSA = 2 m^2"},
        {"row": "r6", "schedule": "none"},
    )
    assert len(plan.arms) == 4 and plan.arms[0].names == ("A", "B")
    np.testing.assert_array_equal(plan.arms[0].times, [0, 72, 168])
    assert [place.arms for place in plan.placements] == [(0,), (0,), (0,), (1,), (2,), (3,)]
    assert plan.arms[1].times.tolist() == [168]  # nobody there looks at the baseline
    assert plan.arms[0].times[plan.placements[0].indices[0]] == [168]


def test_a_dose_for_effect_adds_arms_around_the_reported_dose():
    plan = planned(
        {"statistic": "dose_for_effect", "value": "1", "unit": "MIU", "spread_type": "SE", "effect": "30"},
        {"row": "r2"},
    )
    assert [arm.dose_factor for arm in plan.arms] == list(DOSE_GRID)
    assert len(plan.placements[0].arms) == len(DOSE_GRID)
    assert plan.placements[1].arms == (DOSE_GRID.index(1.0),)  # the reported dose itself is simulated once
    assert "x0.3" in plan.arms[0].label


def test_a_window_is_a_look_and_the_course_goes_on_to_its_end():
    plan = planned(
        {"reducer": "max", "time": "0..4"},
        {"row": "r2", "reducer": "tmax", "time": "0..4", "value": "3", "unit": "h"},
        {"row": "r3", "reducer": "auc", "time": "1..2", "unit": "percent*h"},
        {"row": "r4", "time": "3"},
    )
    (arm,) = plan.arms
    name = arm.looks[0].output
    np.testing.assert_array_equal(arm.times, [48, 72, 96])
    assert arm.looks == (arms.Look("max", name, 0.0, 96.0), arms.Look("area", name, 24.0, 48.0))
    assert [list(place.indices[0]) for place in plan.placements] == [[3, 4], [3, 4], [5, 6], [1]]


@pytest.mark.parametrize(
    "folder", sorted((root() / "fits").glob("*/data.csv")), ids=lambda path: path.parent.name
)
def test_shipped_data_are_read(folder: Path):
    found = reading.read_data(folder)
    assert len(found) > 0 and len(found.sha256) == 64
    assert all(row.source and row.provenance in rows.PROVENANCES for row in found.rows)
    assert found[found.rows[0].id] is found.rows[0]
    with pytest.raises(DataError, match="has no row"):
        found["no such row"]
    assert len(found.keep(lambda row: row.study == found.studies[0])) < len(found)
