"""Exhibit -> a deck for PowerPoint: what was asked, the answer, the figures, the numbers as a table that can
be edited, and what has to be known to rely on them."""

from __future__ import annotations

import io
import math
import textwrap
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pkpd.core.extras import optional
from pkpd.present import plot
from pkpd.present.report.drawing import Drawing
from pkpd.present.share.exhibit import Exhibit, SharedTable, one_line

LIBRARY, EXTRA = "pptx", "share"
WIDTH, HEIGHT, MARGIN, TOP = 13.333, 7.5, 0.5, 1.15  # inches; wide screens
BODY = HEIGHT - TOP - 0.75
SIZES = (
    20,
    18,
    16,
    14,
    13,
    12,
)  # points, the largest that fits; below the last a text goes on on the next slide
ROW, CELL_SIZES = 0.3, (14, 13, 12, 11, 10, 9)
EM = 0.6  # of the size, the width of a letter: wider than those of the usual fonts
CANNOT = (
    "A model, not medical advice. It cannot tell what a dose does to one person, and no treatment should be "
    "begun, changed or stopped because of it."
)
_INK, _SOFT, _TINT = "333333", "666666", "E4E7EA"
_MADE = datetime(2000, 1, 1)  # the same result gives the same bytes


def write(exhibit: Exhibit) -> bytes:
    """The file.

    Raises ``MissingExtraError`` where python-pptx is not installed.
    """
    optional(LIBRARY, EXTRA)
    drawings, tables = exhibit.slides or exhibit.drawings, exhibit.brief or exhibit.tables
    deck = _Deck(exhibit.foot)
    deck.put_text(exhibit.title, (*exhibit.subjects, CANNOT))
    if exhibit.findings:
        deck.put_text("In short", exhibit.findings)
    titles = [drawing.caption.partition(". ")[0] for drawing in drawings]
    for i, (title, drawing) in enumerate(zip(titles, drawings, strict=True)):
        deck.put_picture(_numbered(title, titles[:i].count(title), titles.count(title)), drawing)
    for table in tables:
        deck.put_table(table)
    if said := exhibit.cautions:
        deck.put_text("Before you rely on it", said)
    notes = [table.note for table in tables if table.note]
    deck.put_text("What it rests on, and how to read it", [*exhibit.reading, *notes, *_made_by(exhibit)])
    return deck.content(exhibit.title)


def _made_by(exhibit: Exhibit) -> Iterator[str]:
    known = dict(exhibit.provenance)
    told = [f"{name}: {known[name]}" for name in ("fit", "model", "versions: pkpd") if name in known]
    if told:
        yield "; ".join(told)
    if exhibit.command:
        yield exhibit.command


class _Deck:
    """Slides, one after the other, each with its title and the foot."""

    def __init__(self, foot: str) -> None:
        from pptx import Presentation
        from pptx.util import Inches

        self._deck: Any = Presentation()
        self._deck.slide_width, self._deck.slide_height = Inches(WIDTH), Inches(HEIGHT)
        self._foot = foot

    def _slide(self, title: str) -> Any:
        from pptx.util import Inches

        slide = self._deck.slides.add_slide(self._deck.slide_layouts[5])  # a title only
        head = slide.shapes.title
        head.left, head.top, head.width, head.height = map(Inches, (MARGIN, 0.3, WIDTH - 2 * MARGIN, 0.75))
        size = next(
            size
            for size in (28, 24, 20, 16, 12, 9)
            if _lines(title, size, WIDTH - 2 * MARGIN) == 1 or size == 9
        )
        _write(head.text_frame, [title], size, bold=True)
        number = len(self._deck.slides)
        for text, left, width, align in (
            (self._foot, MARGIN, 11.3, "left"),
            (str(number), 12.0, 0.83, "right"),
        ):
            box = slide.shapes.add_textbox(*map(Inches, (left, HEIGHT - 0.5, width, 0.35)))
            box.name = "foot" if align == "left" else "number"
            _write(box.text_frame, [text], 11, colour=_SOFT, align=align)
        return slide

    def put_text(self, title: str, lines: Sequence[str]) -> None:
        """Lines in as large letters as there is room for, on as many slides as they need."""
        from pptx.util import Inches

        lines = [one_line(line) for line in lines]
        width = WIDTH - 2 * MARGIN
        size = next((size for size in SIZES if _height(lines, size, width) <= BODY), SIZES[-1])
        parts: list[list[str]] = [[]]
        for line in lines:
            if parts[-1] and _height([*parts[-1], line], size, width) > BODY:
                parts.append([])
            parts[-1].append(line)
        for i, part in enumerate(parts):
            slide = self._slide(_numbered(title, i, len(parts)))
            box = slide.shapes.add_textbox(*map(Inches, (MARGIN, TOP, width, BODY)))
            _write(box.text_frame, part, size, apart=0.5)

    def put_picture(self, title: str, drawing: Drawing) -> None:
        """A figure as large as the slide holds it; what it shows is its description, and in the notes."""
        from pptx.util import Inches

        slide = self._slide(title)
        figure = drawing.figure()
        width, height = figure.get_size_inches()
        scale = min((WIDTH - 2 * MARGIN) / width, BODY / height)
        left = (WIDTH - scale * width) / 2
        content = io.BytesIO(plot.rendered(figure, "png", 200))
        picture = slide.shapes.add_picture(content, *map(Inches, (left, TOP, scale * width, scale * height)))
        picture._element.nvPicPr.cNvPr.set("descr", one_line(drawing.caption))
        slide.notes_slide.notes_text_frame.text = one_line(f"{drawing.caption} {self._foot}")

    def put_table(self, table: SharedTable) -> None:
        """A table of PowerPoint's own, on as many slides as it needs."""
        lines = [tuple(map(one_line, line)) for line in table.lines]
        size, widths = _fitting((table.heads, *lines))
        head = max(_lines(text, size, width) for text, width in zip(table.heads, widths, strict=True))
        room = int((BODY - head * size * 1.3 / 72 - 0.15) / ROW)
        parts = list(_parts(lines, room))
        for i, part in enumerate(parts):
            slide = self._slide(_numbered(table.name, i, len(parts)))
            _put_cells(slide, table.heads, part, size, widths)
            slide.notes_slide.notes_text_frame.text = one_line(f"{table.note} {self._foot}")

    def content(self, title: str) -> bytes:
        """The file, in which no date is that of today."""
        about = self._deck.core_properties
        about.title, about.author, about.last_modified_by = one_line(title), "pkpd", "pkpd"
        about.created = about.modified = _MADE
        about.comments, about.revision = self._foot, 1
        raw, clean = io.BytesIO(), io.BytesIO()
        self._deck.save(raw)
        with zipfile.ZipFile(raw) as made, zipfile.ZipFile(clean, "w", zipfile.ZIP_DEFLATED) as kept:
            for name in made.namelist():
                kept.writestr(
                    zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), made.read(name), zipfile.ZIP_DEFLATED
                )
        return clean.getvalue()


def _numbered(title: str, i: int, n: int) -> str:
    return f"{title} ({i + 1} of {n})" if n > 1 else title


def _lines(text: str, size: float, width: float) -> int:
    """How many lines a text takes in a box of this width, inches, of which a fifth goes to its edges."""
    return max(1, len(textwrap.wrap(text, max(1, int((width - 0.2) * 72 / (EM * size))))))


def _height(lines: Sequence[str], size: float, width: float) -> float:
    """Of lines of text with half a line between them, in inches."""
    return sum((_lines(line, size, width) * 1.2 + 0.5) * size / 72 for line in lines) + 0.1


def _write(
    frame: Any,
    lines: Sequence[str],
    size: float,
    *,
    bold: bool = False,
    colour: str = _INK,
    align: str = "left",
    apart: float = 0.0,
) -> None:
    """Lines as paragraphs."""
    from pptx.dml.color import RGBColor
    from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
    from pptx.util import Pt

    frame.word_wrap, frame.vertical_anchor = True, MSO_ANCHOR.TOP
    for i, line in enumerate(lines):
        paragraph = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
        paragraph.alignment = PP_ALIGN.RIGHT if align == "right" else PP_ALIGN.LEFT
        paragraph.space_after = Pt(apart * size)
        run = paragraph.add_run()
        run.text = one_line(line)
        run.font.size, run.font.bold = Pt(size), bold
        run.font.color.rgb = RGBColor.from_string("D55E00" if "unverified" in line.lower() else colour)


def _fitting(lines: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
    """The size of letters and widths of columns, inches, with which every cell below the head is one line;
    with the smallest size columns are as wide as their share of the room."""
    heads, *body = lines
    room = WIDTH - 2 * MARGIN
    longest = [
        max(
            [
                math.ceil(len(head) / 2),
                *map(len, head.split()),
                *(len(line[i]) for line in body if len(line) == len(heads)),
            ]
        )
        for i, head in enumerate(heads)
    ]
    for size in CELL_SIZES:
        widths = [(length * EM * size) / 72 + 0.25 for length in longest]
        if sum(widths) <= room:
            return size, widths
    return size, [room * width / sum(widths) for width in widths]


def _parts(lines: Sequence[tuple[str, ...]], room: int) -> Iterator[list[tuple[str, ...]]]:
    """Lines for one slide after the other, about as many on each: lines that begin alike stay together, and a
    heading with what is below it, where it stands again."""
    blocks: list[list[tuple[str, ...]]] = []
    for line in lines:
        above = blocks[-1][-1] if blocks else ()
        if (
            above
            and (len(above) == 1 or above[0] == line[0])
            and len(line) > 1
            and len(blocks[-1]) < room - 1
        ):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    aim = min(room, math.ceil(len(lines) / math.ceil(len(lines) / room)) + 2)
    part: list[tuple[str, ...]] = []
    heading: tuple[str, ...] = ()
    for block in blocks:
        begins = len(block[0]) == 1
        if part and len(part) + len(block) > aim:
            yield part
            part = [(f"{heading[0]}, continued",)] if heading and not begins else []
        if begins:
            heading = block[0]
        part += block
    if part:
        yield part


def _put_cells(
    slide: Any, heads: Sequence[str], lines: Sequence[tuple[str, ...]], size: float, widths: Sequence[float]
) -> None:
    from pptx.util import Inches

    place = map(Inches, (MARGIN, TOP, sum(widths), ROW * (len(lines) + 1)))
    grid = slide.shapes.add_table(len(lines) + 1, len(heads), *place).table
    for i, width in enumerate(widths):
        grid.columns[i].width = Inches(width)
        _put_cell(grid.cell(0, i), heads[i], size, bold=True, fill=_TINT)
    before = ""
    for i, line in enumerate(lines, start=1):
        grid.rows[i].height = Inches(ROW)
        if len(line) == 1:
            grid.cell(i, 0).merge(grid.cell(i, len(heads) - 1))
            _put_cell(grid.cell(i, 0), line[0], size, bold=True, fill="F4F5F7")
            continue
        shown = ("" if line[0] == before else line[0], *line[1:])
        before = line[0]
        for place_in_line, text in enumerate(shown):
            _put_cell(grid.cell(i, place_in_line), text, size, fill="FFFFFF")


def _put_cell(cell: Any, text: str, size: float, *, bold: bool = False, fill: str) -> None:
    from pptx.dml.color import RGBColor
    from pptx.util import Inches

    cell.margin_left = cell.margin_right = Inches(0.08)
    cell.margin_top = cell.margin_bottom = Inches(0.02)
    cell.fill.solid()
    cell.fill.fore_color.rgb = RGBColor.from_string(fill)
    _write(cell.text_frame, [text], size, bold=bold)
