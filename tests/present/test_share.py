"""What is handed on holds the numbers of the result in every format, says what it is, obeys nothing that is
in a label, is the same every time, and is written whole or not at all.

Files are read back by other libraries than wrote them: openpyxl, python-pptx's reader, ElementTree, an engine
of Markdown. Numbers of a workbook are those of the result, to the last of the digits that Excel keeps.
"""

import csv
import dataclasses
import io
import json
import math
import re
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib.font_manager
import openpyxl
import pptx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import ImageFont
from pptx.util import Emu

from pkpd.cli import scenes
from pkpd.core.errors import InputError, MissingExtraError
from pkpd.core.files import to_json
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.inverse import dose_for
from pkpd.inference.individual import individualise
from pkpd.inference.measurements import Measurement
from pkpd.present import plot, share
from pkpd.present.report.drawing import Drawing
from pkpd.present.share import deck, figures, latex, markdown, workbook
from pkpd.present.share.exhibit import ADVICE, Exhibit, SharedColumn, SharedTable, one_line

ONE, TWO = "1 MIU sc daily x5 every 14 d x2", "2 MIU sc daily x5 every 14 d x2"
HOSTILE = "=HYPERLINK(\"x\") | a_b & 5 % #1 $x$ {y} \\z ~ ^ `c` **d** <b>\n\n-- 'e' \u200d"
PDF_PAGE = rb"/Type /Page\b"


@pytest.fixture(scope="module")
def compared():
    return compare(Scene.create(subjects=60, draws=12, seed=4, until_days=42).arms([ONE, TWO, "none"]))


@pytest.fixture(scope="module")
def shown(compared):
    return share.exhibit(compared, command="pkpd compare ...")


@pytest.fixture(scope="module")
def slides(shown):
    return pptx.Presentation(io.BytesIO(deck.write(shown)))


@pytest.fixture(scope="module")
def answer():
    scene = Scene.create(subjects=60, draws=12, seed=4)
    return dose_for(scene, "NK under twice baseline in 90 % of people", "? MIU sc daily x5 every 14 d x2")


@pytest.fixture(scope="module")
def person():
    seen = [Measurement(0.0, "treg_pct", 5.0), Measurement(168.0, "treg_pct", 8.0)]
    return individualise("low_dose_il2", seen, "1 MIU sc daily x5", subjects=60, draws=3)


@pytest.fixture(scope="module")
def ahead(person):
    arms = Scene.of_person(person).arms(["1 MIU sc daily x5 from day 28", "2 MIU sc daily x5 from day 28"])
    return share.PersonAhead(person, compare(arms))


def sheet_records(content, name):
    """Headings and rows of a sheet, and the workbook."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    heads, *rows = book[name].iter_rows(values_only=True)
    return heads, rows, book


def cells_of(slide):
    return [
        [cell.text for cell in row.cells]
        for shape in slide.shapes
        if shape.has_table
        for row in shape.table.rows
    ]


def words_of(slide):
    return "\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)


# ---- numbers


def test_a_workbook_holds_the_numbers_of_the_comparison(compared, shown):
    heads, rows, book = sheet_records(workbook.write(shown), "Endpoints")
    assert len(rows) == len(compared.rows)
    places = {column.key: place for place, column in enumerate(shown.tables[0].columns)}
    assert heads[places["better"]] == "better than A"
    for row, cells in zip(compared.rows, rows, strict=True):
        assert cells[places["endpoint"]] == row.endpoint.name
        for key in (
            "median",
            "low",
            "high",
            "median_low",
            "difference",
            "difference_high",
            "better",
            "worse",
        ):
            value, cell = getattr(row, key), cells[places[key]]
            if math.isnan(value):
                assert cell is None
            elif math.isinf(value):
                assert cell == "beyond the horizon"
            else:
                assert isinstance(cell, int | float) and cell == pytest.approx(value, rel=1e-15)
        assert cells[places["n"]] == row.n
    sheet = book["Endpoints"]
    assert sheet.freeze_panes == "F2"
    assert sheet.auto_filter.ref.startswith("A1:")
    shares = [
        row[places["better"]] for row in sheet.iter_rows(min_row=2) if row[places["better"]].value is not None
    ]
    assert shares and {cell.number_format for cell in shares} == {"0.0%"}
    assert 8 < sheet.column_dimensions["B"].width < 62


@pytest.mark.parametrize(
    ("value", "kind", "form"),
    [
        (0.0123, "number", "#,##0.0000"),
        (1.24, "number", "#,##0.00"),
        (-97.2, "number", "#,##0.0"),
        (1240.0, "number", "#,##0"),
        (3e-7, "number", "0.00E+00"),
        (0.0, "number", "#,##0.00"),
        (0.5, "share", "0.0%"),
        (200, "count", "#,##0"),
    ],
)
def test_numbers_are_shown_with_three_digits(value, kind, form):
    assert workbook.number_format(value, kind) == form


def test_the_second_sheet_says_what_has_to_be_known(compared, shown):
    book = openpyxl.load_workbook(io.BytesIO(workbook.write(shown)))
    assert book.sheetnames == ["Endpoints", "About"]
    text = "\n".join(str(cell) for row in book["About"].iter_rows(values_only=True) for cell in row if cell)
    assert ADVICE in text and "pkpd compare ..." in text and compared.provenance["model_hash"] in text
    for said in (*compared.reading, *(told.sentence for told in compared.told)):
        assert one_line(said)[1:] in text
    for endpoint in compared.endpoints:
        assert endpoint.definition in text
    for arm in compared.arms:
        assert arm.text in text or arm.label in text
    marked = {
        cell.value
        for row in book["About"].iter_rows()
        for cell in row
        if cell.value and cell.font.color is not None and cell.font.color.rgb == "FFD55E00"
    }
    assert marked and all("unverified" in line for line in marked)


def test_tables_in_markdown_and_latex_and_on_slides_are_those_that_the_report_has(compared, shown, slides):
    row = compared.row("NK mean fold", 1)
    numbers = f"{row.median:.2f} ({row.low:.2f} to {row.high:.2f})"
    cell = f"◐ {numbers}"  # fitted, and not held out
    assert row.light == "fitted"
    assert f"| NK mean fold ↓ | B | {cell} |" in markdown.write(shown)
    sign = "\\ensuremath{\\odot}"
    assert f"NK mean fold \\ensuremath{{\\downarrow}} & B & {sign} {numbers} &" in latex.write(shown)
    lines = [line for slide in slides.slides for line in cells_of(slide)]
    assert [line[2] for line in lines if line[1] == "B" and line[2] == cell] == [cell]
    medians = [line for line in lines if line[1] in ("A", "B", "C")]
    assert len(medians) == len(compared.main().rows)


def test_a_slide_of_a_long_table_says_again_what_its_lines_are_of(slides):
    tables = [cells_of(slide) for slide in slides.slides if cells_of(slide)]
    assert len(tables) > 1
    for lines in tables:
        heading = lines[1]
        assert heading[0] and not any(heading[1:])
        named = [line[0] for line in lines[1:] if line[1]]
        assert named[0]
    for slide in slides.slides:
        for shape in slide.shapes:
            if shape.has_table:
                assert shape.top + sum(row.height for row in shape.table.rows) < Emu(slides.slide_height)


def test_csv_and_json_are_those_that_the_result_writes(compared, tmp_path):
    compared.write_csv(tmp_path / "own.csv")
    share.save(compared, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "own.csv").read_bytes()
    share.save(compared, tmp_path / "a.json")
    kept = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert kept == json.loads(to_json(compared.to_dict()))


def test_the_answer_of_an_inverse_question_is_in_each_format(answer):
    shown = share.exhibit(answer)
    heads, rows, _ = sheet_records(workbook.write(shown), "Target attainment")
    assert heads[0] == "dose (MIU)"
    assert [row[0] for row in rows] == answer.x.tolist()
    assert [row[1] for row in rows] == answer.curves[0].share.tolist()
    text = markdown.write(shown)
    assert markdown.escaped(answer.answer) in text
    assert f"{answer.value:g} ←" in text
    page = share.page.write(shown)
    assert answer.answer in page and "data:image/svg+xml;base64," in page and ADVICE in page
    told = "\n".join(words_of(slide) for slide in pptx.Presentation(io.BytesIO(deck.write(shown))).slides)
    assert answer.answer in told and answer.chosen in told


def test_a_person_has_a_report_with_measurements_parameters_and_what_may_follow(person, ahead):
    shown = share.exhibit(person, following=ahead.following, wishes=["Treg peak fold at least 1.8"])
    page = share.page.write(shown)
    for table in ("Measurements", "Parameters", "Endpoints", "Wishes"):
        assert f"<h2>{table}</h2>" in page
    assert ADVICE in page and "2 MIU sc daily x5 from day 28" in page and "data:image/svg+xml" in page
    assert not re.search(r"<script|https?://(?!www\.w3\.org|doi\.org/10\.)", page)
    content = workbook.write(shown)
    _, rows, _ = sheet_records(content, "Measurements")
    assert [row[3] for row in rows] == [5.0, 8.0]
    heads, rows, _ = sheet_records(content, "Parameters")
    learned = {row["name"]: row["learned"] for row in person.parameters()}
    assert {row[0]: row[heads.index("learned")] for row in rows} == pytest.approx(learned)
    heads, rows, _ = sheet_records(content, "Wishes")
    arm = ahead.following.arms[1]
    (values,) = [v for endpoint, v in arm.endpoints.items() if endpoint.name == "Treg peak fold"]
    assert rows[0][2] == pytest.approx((values >= 1.8).mean())


def test_wishes_and_what_follows_are_about_one_person(compared, person):
    with pytest.raises(InputError, match="about one person"):
        share.exhibit(compared, wishes=["NK mean fold < 2"])
    with pytest.raises(InputError, match="give a comparison of them"):
        share.exhibit(person, wishes=["NK mean fold < 2"])


# ---- figures


def test_every_figure_says_what_it_shows_and_that_it_is_a_model(compared, shown):
    assert [each.name for each in shown.drawings] == ["courses", "differences", "trade_off"]
    assert [each.name for each in shown.singles][:2] == ["course_il2", "course_treg_pct"]
    for each in (*shown.drawings, shown.singles[1]):
        tree = ElementTree.fromstring(plot.svg(each.figure()))
        text = " ".join(" ".join(tree.itertext()).split())
        for said in (
            ADVICE,
            f"A: {ONE}",
            "90 %" if each.name in ("differences", "trade_off") else "5 % to 95 %",
        ):
            assert said in text, each.name
        assert "60 virtual subjects of the fit low_dose_il2" in text
    text = " ".join(tree.itertext())
    assert "time (d)" in text and "%" in text and "doses" in text


def test_a_file_called_after_a_figure_is_that_figure_and_a_pdf_has_all_of_them(shown):
    assert figures.svg(shown, "differences") == plot.svg(shown.drawings[1].figure())
    assert figures.svg(shown, "anything") == plot.svg(shown.drawings[0].figure())
    assert len(re.findall(PDF_PAGE, figures.pdf(shown, "anything"))) == len(shown.drawings)
    assert len(re.findall(PDF_PAGE, figures.pdf(shown, "trade_off"))) == 1
    assert figures.png(shown, "course_nk").startswith(b"\x89PNG")


# ---- decks


def test_a_deck_asks_answers_shows_and_warns_and_every_slide_has_the_foot(compared, shown, slides):
    titles = [slide.shapes.title.text for slide in slides.slides]
    assert titles[:2] == ["3 dose schedules compared", "In short"]
    assert "Time courses (1 of 2)" in titles and titles[-2] == "Before you rely on it"
    assert any(title.startswith("Differences") for title in titles)
    assert len(set(titles)) == len(titles)
    for number, slide in enumerate(slides.slides, start=1):
        named = {shape.name: shape.text_frame.text for shape in slide.shapes if shape.has_text_frame}
        assert ADVICE in named["foot"] and named["number"] == str(number)
        for shape in slide.shapes:
            if shape.shape_type == pptx.enum.shapes.MSO_SHAPE_TYPE.PICTURE:
                assert len(shape._element.nvPicPr.cNvPr.get("descr")) > 40
                assert ADVICE in slide.notes_slide.notes_text_frame.text
    assert all(arm.text in words_of(slides.slides[0]) for arm in compared.arms[:2])
    cautions = "\n".join(words_of(slide) for slide in slides.slides)
    for said in (*shown.cautions, *shown.reading):
        assert one_line(said) in cautions


def text_height(frame, width):
    """Of a text in points, in letters a tenth narrower than those of DejaVu Sans: as wide as those of Arial,
    wider than PowerPoint's own."""
    path = matplotlib.font_manager.findfont("DejaVu Sans")
    total = 0.0
    for paragraph in frame.paragraphs:
        size = paragraph.runs[0].font.size.pt if paragraph.runs else 12
        font, line, n = ImageFont.truetype(path, 100), "", 1
        for word in paragraph.text.split():
            longer = f"{line} {word}".strip()
            if 0.9 * font.getlength(longer) * size / 100 > width and line:
                n, line = n + 1, word
            else:
                line = longer
        total += 1.2 * size * n + (paragraph.space_after.pt if paragraph.space_after else 0.0)
    return total


def test_text_fits_its_boxes_and_boxes_the_slide(slides, answer):
    others = pptx.Presentation(io.BytesIO(deck.write(share.exhibit(answer))))
    for found in (slides, others):
        for slide in found.slides:
            for shape in slide.shapes:
                assert shape.left >= 0 and shape.left + shape.width <= found.slide_width
                assert shape.top >= 0 and shape.top + shape.height <= found.slide_height
                if shape.has_text_frame:
                    room = Emu(shape.width).pt - 14.4
                    assert text_height(shape.text_frame, room) <= Emu(shape.height).pt + 1, (
                        shape.text_frame.text
                    )


# ---- labels


def relabelled(comparison, label):
    arms = (dataclasses.replace(comparison.arms[0], label=label), *comparison.arms[1:])
    before = comparison.arms[0].label
    rows = [dataclasses.replace(row, arm=label if row.arm == before else row.arm) for row in comparison.rows]
    return dataclasses.replace(comparison, arms=arms, rows=tuple(rows))


class Texts(HTMLParser):
    """The texts of some elements."""

    def __init__(self, page, *tags):
        super().__init__()
        self.tags, self.found, self.inside = tags, [], 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag in self.tags:
            self.found.append("")
            self.inside += 1

    def handle_endtag(self, tag):
        self.inside -= tag in self.tags

    def handle_data(self, data):
        if self.inside:
            self.found[-1] += data


def rendered(text):
    return MarkdownIt("commonmark").enable("table").render(text)


def little(cells, line="x"):
    """An exhibit of one table, whose line of cells is this, and which says this line wherever lines are."""
    columns = tuple(SharedColumn(f"c{i}", f"head {i}", "text") for i in range(len(cells)))
    record = {f"c{i}": cell for i, cell in enumerate(cells)}
    heads = tuple(column.head for column in columns)
    table = SharedTable("Table", heads, (tuple(cells),), columns, (record,))
    drawing = Drawing("figure", "A figure. Of nothing.", lambda _: plot.courses_figure([], []), None)
    return Exhibit(
        "little",
        "Title",
        (line,),
        (),
        (drawing,),
        (table,),
        (),
        (),
        (),
        (),
        "",
        lambda _: None,
        lambda _: None,
    )


TEXTS = st.text(min_size=1, max_size=40) | st.text(
    "=+-@|&_%#$\\{}~^`*<>[]()!1. \n\r\t\"',😀é漢", min_size=1, max_size=25
)


@given(st.lists(TEXTS, min_size=2, max_size=4), TEXTS)
def test_a_text_is_a_text_in_markdown(cells, line):
    page = rendered(markdown.write(little(cells, line)))
    assert [one_line(text) for text in Texts(page, "td").found] == [one_line(cell) for cell in cells]
    assert [one_line(text.replace("\u200b", "")) for text in Texts(page, "li").found] == [
        one_line(line.replace("\u200b", ""))
    ]


@given(st.lists(TEXTS, min_size=2, max_size=4))
def test_a_text_is_a_text_in_a_workbook(cells):
    book = openpyxl.load_workbook(io.BytesIO(workbook.write(little(cells))))
    read = next(iter(book["Table"].iter_rows(min_row=2)))
    assert [one_line(cell.value or "") for cell in read] == [one_line(cell) for cell in cells]
    assert {cell.data_type for cell in read} <= {"s", "n"}  # n: empty; f would be a formula


COMMANDS = re.compile(r"\\ensuremath\{\^?[\\\w<>|-]+\}|\\text\w+\{\}|\\dots\{\}|\\[{}&%$#_]")


@given(st.lists(TEXTS, min_size=2, max_size=4), TEXTS)
def test_a_text_is_a_text_in_latex(cells, line):
    written = latex.write(little(cells, line))
    (row,) = [row for row in written.splitlines() if row.endswith(r"\\")][1:-1]
    left = COMMANDS.sub("", row.removesuffix(r"\\")).replace("{}", " ")
    assert left.count("&") == len(cells) - 1
    assert not re.search(r"[\\{}%$#_^~\"<>|]", left)  # nothing that LaTeX would obey
    if not re.search("[–—“”‘’]", "".join(cells)):
        assert not re.search("--|''|,,|``", left)
    assert all("LATIN" in unicodedata.name(one, "") for one in left if not one.isascii())
    told = [one for one in written.splitlines() if one and not one.startswith(("%", "\\"))]
    assert len(told) <= 2  # the head and the line: what is said of them stands in comments


def test_a_hostile_label_reaches_every_format_as_it_was_typed(compared):
    changed = relabelled(compared.choose(["NK mean fold"]), HOSTILE)
    shown = share.exhibit(changed)
    said = one_line(f"A: {HOSTILE}: {ONE}")
    assert any(one_line(text).startswith(said) for text in Texts(rendered(markdown.write(shown)), "li").found)
    _, rows, _ = sheet_records(workbook.write(shown), "Endpoints")
    assert rows[0][4] == one_line(HOSTILE)
    assert said in words_of(pptx.Presentation(io.BytesIO(deck.write(shown))).slides[0])
    assert r"\textbackslash{}z" not in latex.write(shown)  # labels stand in comments, whole lines of them
    assert all(line.startswith(("%", "\\", "")) for line in latex.write(shown).splitlines())


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX here")
@pytest.mark.parametrize("rows", [1, latex.ON_A_PAGE + 1])
def test_latex_compiles(tmp_path, rows):
    cells = ("".join(map(chr, range(32, 127))), HOSTILE, "é ß ł — “x” ≤ ∞ ↑ µ ² 😀 漢")
    shown = little(cells)
    shown = dataclasses.replace(shown, tables=(dataclasses.replace(shown.tables[0], lines=(cells,) * rows),))
    table = latex.write(shown)
    (tmp_path / "table.tex").write_text(table, encoding="utf-8")
    preamble = table.splitlines()[0].partition(": ")[2]
    (tmp_path / "whole.tex").write_text(
        f"\\documentclass{{article}}{preamble}\\begin{{document}}\\input{{table}}\\end{{document}}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "whole.tex"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


# ---- files


@pytest.mark.parametrize("ending", [".xlsx", ".pptx", ".md", ".tex", ".pdf", ".svg"])
def test_the_same_result_gives_the_same_bytes(compared, ending):
    few = compared.choose(["NK mean fold"])
    first, again = (share.FORMATS[ending](share.exhibit(few), "x") for _ in range(2))
    assert first == again


def test_files_of_office_have_no_date_of_today(shown):
    for content in (workbook.write(shown), deck.write(shown)):
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            assert {part.date_time[0] for part in parts.infolist()} == {1980}
            assert b"2000-01-01" in parts.read("docProps/core.xml")


def test_a_folder_has_every_format_and_every_single_figure(answer, tmp_path):
    assert share.save(answer, tmp_path / "all") == tmp_path / "all"
    names = {path.name for path in (tmp_path / "all").iterdir()}
    assert names == {"report.html", *(f"dose_for{ending}" for ending in share.FORMATS if ending != ".html")}
    with (tmp_path / "all" / "dose_for.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [float(row["dose"]) for row in rows] == answer.x.tolist()


def test_every_single_figure_has_its_files(compared, monkeypatch):
    monkeypatch.setattr(plot, "rendered", lambda figure, kind, dpi=160: kind.encode())
    shown = share.exhibit(compared)
    files = figures.every(dataclasses.replace(shown, drawings=shown.drawings[:2], singles=shown.singles[:1]))
    assert sorted(files) == sorted(
        f"{n}.{e}" for n in ("courses", "differences", "course_il2") for e in figures.KINDS
    )


@pytest.mark.parametrize("name", ["all", "a.pptx", "a.png", "a.pdf"])
def test_where_a_figure_fails_nothing_is_written(answer, tmp_path, monkeypatch, name):
    (tmp_path / "a.png").write_bytes(b"before")

    def fails(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(plot, "attainment_figure", fails)
    with pytest.raises(ZeroDivisionError):
        share.save(answer, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"before"


def test_a_missing_extra_is_told_before_anything_is_computed_and_left_out_of_a_folder(
    answer, tmp_path, monkeypatch, pkpd
):
    for package in scenes.OF_AN_EXTRA.values():
        monkeypatch.setitem(sys.modules, package, None)
    for ending in scenes.OF_AN_EXTRA:
        with pytest.raises(MissingExtraError, match=r"pkpd\[share\]"):
            share.save(answer, tmp_path / f"a{ending}")
        code, _, err = pkpd("compare", ONE, "-o", tmp_path / f"a{ending}", "--fit", "none_such")
        assert (code, "pkpd[share]" in err) == (6, True)
    share.save(answer, tmp_path / "all")
    assert not {path.suffix for path in (tmp_path / "all").iterdir()} & set(scenes.OF_AN_EXTRA)


def test_endings_of_the_command_line_are_the_formats():
    assert tuple(share.FORMATS) == scenes.ENDINGS
    assert set(scenes.OF_AN_EXTRA.values()) == {workbook.LIBRARY, deck.LIBRARY}


@pytest.mark.parametrize(
    ("name", "words"), [("a.docx", "its ending must be one of"), ("no/a.png", "no such folder")]
)
def test_a_place_that_cannot_be_written_is_refused(answer, tmp_path, name, words):
    with pytest.raises(InputError, match=words):
        share.save(answer, tmp_path / name)
