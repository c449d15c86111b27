"""`pkpd fit` begins where an earlier result ended and leaves out what it is told to, and `pkpd report` says
when the files have changed since."""

import csv
import io
import json
import shutil

import pytest

from pkpd.core.library import root
from tests import toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.write(tmp_path_factory.mktemp("fit_cli") / "toy")


@pytest.fixture(scope="module")
def report(folder, tmp_path_factory):
    from pkpd.cli import main

    out = tmp_path_factory.mktemp("report") / "first"
    with pytest.raises(SystemExit) as end:
        main(["fit", str(folder), "--quick", "-o", str(out), "-q"])
    assert not end.value.code
    return out


def test_a_part_of_the_rows_is_fitted_from_where_the_whole_ended(pkpd, folder, report, tmp_path):
    chosen = ("--from", report, "--rows", "c*,max100", "--without", "Beta")
    code, out, _ = pkpd("fit", folder, "--quick", *chosen, "-o", tmp_path / "part", "--json")
    assert code == 0
    found = json.loads(out)
    assert {row["id"] for row in found["rows"] if row["use"] == "fit"} == {"c50", "c100", "c200", "max100"}
    assert len(found["starts"]) == 1
    assert any("where an earlier result of the fit toy ended" in note for note in found["notes"])


def test_what_selects_nothing_is_refused(pkpd, folder, tmp_path):
    code, _, err = pkpd("fit", folder, "--quick", "--without", "Betta", "-o", tmp_path / "none")
    assert code == 3
    assert 'no study "Betta"; did you mean "Beta"?' in err


def test_a_report_of_changed_files_says_so(pkpd, report):
    data = report / "toy" / "data.csv"
    data.write_text(data.read_text(encoding="utf-8").replace("mean,2.2,", "mean,2.3,"), encoding="utf-8")
    assert pkpd("report", report, "-q")[0] == 0
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "made before these changed" in page
    assert "c100" in page


SHIPPED = root() / "fits" / "low_dose_il2"


def cells(**wrong):
    """A table whose row ``row`` has these fields."""

    def edit(text):
        head, *rows = csv.reader(io.StringIO(text))
        (place,) = (i for i, row in enumerate(rows) if row[0] == "imodals_d8_1miu")
        rows[place] = [wrong.get(name, field) for name, field in zip(head, rows[place], strict=True)]
        return written([head, *rows])

    return edit


def written(rows, separator=","):
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    return out.getvalue()


def with_semicolons_and_decimal_commas(text):
    rows = [row[:] for row in csv.reader(io.StringIO(text))]
    value = rows[0].index("value")
    for row in rows[1:]:
        row[value] = row[value].replace(".", ",")
    return written(rows, ";")


def with_its_first_row_twice(text):
    head, first, *others = csv.reader(io.StringIO(text))
    return written([head, first, *others, first])


NAMED = 'line 3 (row "imodals_d8_1miu"), column "{}": '
WRONG = {
    "negative SD": (cells(spread="-1.2"), NAMED.format("spread")),
    "no SD": (cells(spread="0"), NAMED.format("spread")),
    "not a number": (cells(value="NaN"), NAMED.format("value")),
    "infinite": (cells(spread="inf"), NAMED.format("spread")),
    "empty": (cells(value=""), NAMED.format("value")),
    "nobody": (cells(n="0"), NAMED.format("n")),
    "half a patient": (cells(n="11.5"), NAMED.format("n")),
    "upside down": (
        cells(spread="", spread_type="CI95", lower="4.6", upper="2.1"),
        NAMED.format("lower"),
    ),
    "more than all": (
        cells(statistic="fraction", value="1.2", unit="1", spread="", spread_type="none", effect="3"),
        NAMED.format("value"),
    ),
    "less than none": (
        cells(statistic="fraction", value="-2", spread="", spread_type="none", effect="3"),
        NAMED.format("value"),
    ),
    "another unit": (cells(unit="mg/L"), NAMED.format("unit")),
    "no other arm": (
        cells(statistic="difference_of_arms", spread_type="SE"),
        'column "versus": ',
    ),
    "another kind": (cells(statistic="avarage"), NAMED.format("statistic")),
    "a row twice": (with_its_first_row_twice, "stands already in line 2"),
    "another column": (
        lambda text: text.replace("spread_type", "spreadtype", 1),
        'line 1, column "spreadtype"',
    ),
    "commas": (with_semicolons_and_decimal_commas, 'column "value": "-0,49" is not a number; write -0.49'),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_numbers_in_a_shipped_fit_are_named_before_anything_is_computed(pkpd, tmp_path, name):
    edit, said = WRONG[name]
    copy = tmp_path / "copy"
    shutil.copytree(SHIPPED, copy)
    text = (copy / "data.csv").read_text(encoding="utf-8")
    (copy / "data.csv").write_text(edit(text), encoding="utf-8")
    code, out, err = pkpd("fit", copy, "--quick", "-o", tmp_path / "out")
    assert (code, out) == (3, "") and "first evaluation" not in err
    assert str(copy / "data.csv") in err
    assert said in err and not (tmp_path / "out").exists()


def test_marks_and_separators_of_spreadsheets_do_not_matter(tmp_path):
    from pkpd.inference.summary.reading import read_data

    text = (SHIPPED / "data.csv").read_text(encoding="utf-8")
    copy = tmp_path / "data.csv"
    copy.write_text("\ufeff" + written(csv.reader(io.StringIO(text)), ";"), encoding="utf-8")
    assert [repr(row) for row in read_data(copy).rows] == [
        repr(row) for row in read_data(SHIPPED / "data.csv").rows
    ]


def test_a_row_of_an_output_that_the_model_lacks_is_told(pkpd, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    text = (copy / "data.csv").read_text(encoding="utf-8")
    (copy / "data.csv").write_text(
        text.replace("once,C,value,at,0.5", "once,Cc,value,at,0.5"), encoding="utf-8"
    )
    code, out, _ = pkpd("fit", copy, "--quick", "-o", tmp_path / "out")
    assert code == 0
    assert 'not predicted: early: line 7: the model has no output "Cc"' in " ".join(out.split())
