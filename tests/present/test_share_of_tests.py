"""What a fit says of numbers that it has not seen, and what simulated trials say, are handed on as the other
results are: the numbers of the result in every format, with what is unverified marked and with what has to be
known to rely on them."""

import csv
import dataclasses
import io
import json
import math

import openpyxl
import pptx
import pytest

from pkpd.cli.new import What, new
from pkpd.inference import fit
from pkpd.inference.validation import Validation, validate
from pkpd.present import share
from pkpd.present.share import deck, markdown, validations, workbook
from pkpd.present.share.exhibit import ADVICE, one_line
from pkpd.trial import read_design, simulate_trial
from tests import toy

NOTE = "The trial was negative."
SEEN_LATER = """\
row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,spread_type,source,\
provenance
n50,Delta,50 mg,9,50 mg oral once,C,value,at,4,h,mean,1.2,mg/L,0.3,SD,made up,reported
n100,Delta,100 mg,9,100 mg oral once,C,value,at,4,h,mean,6.2,mg/L,0.6,SD,made up,unverified
most,Delta,100 mg,9,100 mg oral once,C,value,at,8,h,upper_bound,6,mg/L,0.6,SD,made up,reported
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    folder = toy.write(tmp_path_factory.mktemp("checked") / "toy")
    with (folder / "fit.toml").open("a", encoding="utf-8") as file:
        file.write(f'[report]\nnotes = ["{NOTE}"]\n')
    result = fit(folder, rival=False, leave_one_out=False, unverified=False, check=False)
    result.write_json(folder / "result.json")
    (folder / "new.csv").write_text(SEEN_LATER, encoding="utf-8")
    return validate(folder / "result.json", folder / "new.csv")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "my_trial"
    new(What.trial, str(folder), quiet=True)
    return simulate_trial(read_design(folder), 6, seed=1, patients=[60])


def sheet(found, name):
    """Rows of a sheet by the keys of their columns."""
    shown = share.exhibit(found)
    book = openpyxl.load_workbook(io.BytesIO(workbook.write(shown)))
    keys = [column.key for table in shown.tables if table.name == name for column in table.columns]
    _, *rows = book[name].iter_rows(values_only=True)
    return [dict(zip(keys, row, strict=True)) for row in rows]


def slides(found):
    return pptx.Presentation(io.BytesIO(deck.write(share.exhibit(found)))).slides


def words(found):
    """Ending -> all text of the file."""
    shown = share.exhibit(found, command="pkpd ...")
    files = {ending: make(shown, "x") for ending, make in share.FORMATS.items()}
    book = openpyxl.load_workbook(io.BytesIO(files.pop(".xlsx")))
    cells = [str(cell) for page in book for row in page.iter_rows(values_only=True) for cell in row]
    told = {".xlsx": " ".join(cells)}
    boxes = []
    for slide in pptx.Presentation(io.BytesIO(files.pop(".pptx"))).slides:
        for shape in slide.shapes:
            boxes += [shape.text_frame.text] if shape.has_text_frame else []
            boxes += [cell.text for row in shape.table.rows for cell in row.cells] if shape.has_table else []
    told[".pptx"] = " ".join(boxes)
    return told | {end: text.decode() for end, text in files.items() if end not in (".png", ".pdf")}


def test_a_workbook_holds_the_numbers_of_a_validation(checked):
    for row, cells in zip(checked.rows, sheet(checked, "Predictions"), strict=True):
        assert (cells["id"], cells["reported"], cells["n"]) == (row.id, row.reported, row.n)
        assert cells["observed"] == pytest.approx(row.observed, rel=1e-15)
        assert cells["predicted"] == pytest.approx(row.predicted, rel=1e-14)
        for level, low, high in row.intervals:
            ends = cells[f"low {level}"], cells[f"high {level}"]
            assert ends == (pytest.approx(low, rel=1e-14), pytest.approx(high, rel=1e-14))
            assert cells[f"inside {level}"] == ("yes" if row.inside(level) else "no")
    for row, cells in zip(checked.rows, sheet(checked, "Parts and scores"), strict=True):
        assert cells["sd_patients"] == pytest.approx(row.sd_patients, rel=1e-14)
        assert cells["log_score"] == pytest.approx(row.log_score, rel=1e-14)
        assert (cells["pit"] is None) == math.isnan(row.pit)
    (pair,) = sheet(checked, "Orderings")
    assert (pair["first"], pair["second"], pair["held"]) == ("n100", "n50", "so it is")


def test_a_workbook_holds_the_numbers_of_trials(simulated):
    rows = simulated.rows()
    published = [row for row in rows if row.published is not None]
    for row, cells in zip(published, sheet(simulated, "Published"), strict=True):
        assert (cells["name"], cells["shown"]) == (row.published.name, row.published.shown)
        assert cells["median"] == pytest.approx(row.median, rel=1e-14)
        assert cells["inside"] == ("inside" if row.inside else "outside")
    analyses = sheet(simulated, "Analyses")
    assert len(analyses) == len({(row.analysis, row.quantity, row.arm) for row in rows})
    assert {cells["trials"] for cells in analyses} <= set(range(7))
    power = sheet(simulated, "Power")
    assert [cells["power"] for cells in power] == pytest.approx([one["power"] for one in simulated.power()])
    assert {cells["patients"] for cells in power} == {60, simulated.design.n_patients}
    looks = sheet(simulated, "Interim looks")
    stops = sum(cells[why] for cells in looks for why in ("efficacy", "harm", "futility", "undecided"))
    assert stops == pytest.approx(1)


def test_every_format_says_what_has_to_be_known(checked, simulated):
    for found in (checked, simulated):
        for ending, text in words(found).items():
            assert ADVICE in " ".join(text.split()), ending
            shown = {".md": markdown.escaped, ".html": lambda line: line.replace("'", "&#39;")}
            for line in found.notes:
                said = shown.get(ending, one_line)(line)
                if ending == ".svg":  # a figure is made of short lines
                    said = said[:30]
                assert said in " ".join(text.split()), (ending, line)
            assert "unverified" in text, ending


def test_what_is_unverified_is_marked_where_it_stands(checked, simulated):
    row = next(line for line in markdown.write(share.exhibit(checked)).splitlines() if "| n100" in line)
    assert "n100 (unverified)" in row
    (axis, *_) = validations.exhibit(checked).drawings[0].figure().axes
    faces = {tuple(mark.get_facecolor()[0][:3]) for mark in axis.collections}
    assert (1, 1, 1) in faces  # hollow
    provenance = {row.published.name: row.published.provenance for row in simulated.rows() if row.published}
    assert "unverified" in provenance.values()
    for line in share.exhibit(simulated).tables[0].lines:
        assert provenance[line[0]] == line[-1]
    for found in (checked, simulated):
        book = openpyxl.load_workbook(io.BytesIO(workbook.write(share.exhibit(found))))
        red = [
            cell.value
            for page in book
            for cells in page.iter_rows()
            for cell in cells
            if cell.value and cell.font.color is not None and cell.font.color.rgb == "FFD55E00"
        ]
        assert red and all("unverified" in str(value) for value in red)


def test_csv_and_json_of_a_validation_hold_its_rows(checked, tmp_path):
    share.save(checked, tmp_path / "v.csv")
    with (tmp_path / "v.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    for row, cells in zip(checked.rows, rows, strict=True):
        assert (cells["id"], float(cells["predicted"])) == (row.id, row.predicted)
        assert (cells["crps"] == "") == math.isnan(row.crps)
        for (level, low, high), inside in zip(row.intervals, row.shares, strict=True):
            ends = [float(cells[f"{level:g} {what}"]) for what in ("low", "high", "share")]
            assert ends == [low, high, inside]
    share.save(checked, tmp_path / "v.json")
    kept = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert kept.pop("advice") == ADVICE
    (tmp_path / "before.json").write_text(json.dumps(kept), encoding="utf-8")  # older files have none
    for name in ("v.json", "before.json"):
        assert str(Validation.read_json(tmp_path / name).to_dict()) == str(checked.to_dict())  # nan is nan


def test_a_folder_of_trials_has_the_numbers_of_every_trial(simulated, tmp_path):
    share.save(simulated, tmp_path / "not" / "yet" / "there")
    names = {path.name for path in (tmp_path / "not" / "yet" / "there").iterdir()}
    assert {"report.html", "numbers.csv", "trial.pptx", "survival.svg"} <= names
    simulated.write_numbers(tmp_path / "own.csv")
    kept = tmp_path / "not" / "yet" / "there" / "numbers.csv"
    assert kept.read_bytes() == (tmp_path / "own.csv").read_bytes()


def test_a_deck_asks_and_answers_and_its_slides_hold_what_they_show(checked, simulated):
    for found in (checked, simulated):
        made = slides(found)
        titles = [slide.shapes.title.text for slide in made]
        assert titles[1] == "In short" and "Before you rely on it" in titles
        assert len(set(titles)) == len(titles)
        for slide in made:
            for shape in slide.shapes:
                assert shape.left >= 0 and shape.left + shape.width <= 13.34 * 914400
                assert shape.top + shape.height <= 7.51 * 914400
    short = "\n".join(share.exhibit(simulated).findings)
    assert "(primary): significant in" in short and "With looks:" in short


def test_a_long_validation_is_on_as_many_slides_as_can_be_read(checked):
    long = dataclasses.replace(checked, rows=checked.rows * 10)
    drawn = [each for each in share.exhibit(long).slides if each.name.startswith("validation")]
    shown = sum(bool(row.intervals) for row in long.rows)
    assert len(drawn) == math.ceil(shown / validations.ROWS_OF_A_SLIDE) > 1
    assert sum(len(each.of) for each in drawn) == shown
    assert all(each.figure().get_figheight() < 8 for each in drawn)


def test_an_interrupted_simulation_says_so_first(simulated):
    stopped = share.exhibit(dataclasses.replace(simulated, interrupted=True))
    assert stopped.cautions[0].startswith("It was interrupted")
    assert "It was interrupted" in share.page.write(stopped)


def test_the_same_result_gives_the_same_files(checked, simulated):
    for found in (checked, simulated):
        for ending in (".xlsx", ".md", ".tex", ".svg"):
            first, again = (share.FORMATS[ending](share.exhibit(found), "x") for _ in range(2))
            assert first == again, ending


def test_figures_of_a_page_have_no_foot_and_those_that_go_alone_have_one(simulated):
    shown = share.exhibit(simulated)
    assert len(shown.pictures) == len(shown.drawings) == 6
    for alone, placed in zip(shown.drawings, shown.pictures, strict=True):
        (foot,) = (text for text in alone.figure().texts if text.get_gid() == "footnote")
        assert ADVICE in " ".join(foot.get_text().split())
        assert not any(text.get_gid() == "footnote" for text in placed.figure().texts)
