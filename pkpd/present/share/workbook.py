"""Exhibit -> an Excel workbook: a sheet of numbers for each table, and one of what has to be known to read
them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pkpd.core.extras import optional
from pkpd.present.share.exhibit import Exhibit, SharedColumn, SharedTable, one_line

LIBRARY, EXTRA = "xlsxwriter", "share"
WIDEST, WORDS = 60, 110  # of columns, in characters
MOST_CHARACTERS = 32_000  # of a cell: Excel takes 32,767
BEYOND = {math.inf: "beyond the horizon", -math.inf: "below all"}
"""Infinite numbers, which Excel does not have."""
_MADE = datetime(2000, 1, 1)  # the same result gives the same bytes
_OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,  # a label that begins with "=" is a label
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "nan_inf_to_errors": False,
}


def write(exhibit: Exhibit) -> bytes:
    """The file.

    Raises ``MissingExtraError`` where XlsxWriter is not installed.
    """
    xlsxwriter = optional(LIBRARY, EXTRA)
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, _OPTIONS)
    book.set_properties({"title": one_line(exhibit.title), "comments": exhibit.foot, "created": _MADE})
    styles = _Styles(book)
    for table in exhibit.tables:
        _put_numbers(book.add_worksheet(table.name[:31]), table, styles)
    _put_lines(book.add_worksheet("About"), list(_about(exhibit)), styles)
    book.close()
    return buffer.getvalue()


class _Styles:
    """Formats of cells, each made once."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._made: dict[tuple[tuple[str, Any], ...], Any] = {}

    def of(self, **how: Any) -> Any:
        key = tuple(sorted(how.items()))
        if key not in self._made:
            self._made[key] = self._book.add_format({"valign": "top", **how})
        return self._made[key]


def _put_numbers(sheet: Any, table: SharedTable, styles: _Styles) -> None:
    """Columns with a header that stays, and may be filtered."""
    head = styles.of(bold=True, text_wrap=True, bottom=1, bg_color="#E4E7EA")
    for place, column in enumerate(table.columns):
        sheet.write_string(0, place, column.head, head)
        sheet.set_column(place, place, _width(table, column))
    for i, record in enumerate(table.records, start=1):
        for place, column in enumerate(table.columns):
            _put(sheet, i, place, record.get(column.key, ""), column.kind, styles)
    sheet.set_row(0, 48)
    sheet.freeze_panes(1, sum(column.kind == "text" for column in table.columns[:5]))
    sheet.autofilter(0, 0, max(1, len(table.records)), len(table.columns) - 1)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)


def _put(sheet: Any, row: int, place: int, value: Any, kind: str, styles: _Styles) -> None:
    if isinstance(value, str):
        text = one_line(value)[:MOST_CHARACTERS]
        red = {"font_color": "#D55E00", "bold": True} if "unverified" in text.lower() else {}
        sheet.write_string(row, place, text, styles.of(**red))
    elif math.isinf(value):
        sheet.write_string(row, place, BEYOND[value], styles.of(align="right"))
    elif not math.isnan(value):
        sheet.write_number(row, place, value, styles.of(num_format=number_format(value, kind)))


def number_format(value: float, kind: str) -> str:
    """Three significant digits to look at; the cell holds all of them."""
    if kind == "count":
        return "#,##0"
    if kind == "share":
        return "0.0%"
    size = 0 if value == 0 else math.floor(math.log10(abs(value)))
    if size < -4 or size > 6:
        return "0.00E+00"
    return "#,##0" + ("." + "0" * (2 - size) if size < 2 else "")


def _width(table: SharedTable, column: SharedColumn) -> int:
    if column.kind != "text":
        return 14
    cells = [len(one_line(str(record.get(column.key, "")))) for record in table.records]
    return min(WIDEST, max([6, len(column.head), *cells]) + 2)


def _about(exhibit: Exhibit) -> Iterator[tuple[str, str, str]]:
    """Lines of the sheet: how they look, and what stands in the two columns."""
    yield "title", exhibit.title, ""
    yield "bold", exhibit.foot, ""
    for line in (*exhibit.subjects, *exhibit.findings):
        yield "", "", line
    yield from _section(
        "Before you rely on it", ((who, line) for who, said in exhibit.warnings for line in said)
    )
    yield from _section("How to read it", (("", line) for line in exhibit.reading))
    yield from _section("", ((table.name, table.note) for table in exhibit.tables if table.note))
    yield from _section("Definitions", exhibit.definitions)
    made = ("command", exhibit.command) if exhibit.command else None
    yield from _section("How it was made", (*filter(None, [made]), *exhibit.provenance))


def _section(title: str, pairs: Any) -> Iterator[tuple[str, str, str]]:
    found = list(pairs)
    if found and title:
        yield "head", title, ""
    yield from (("", *pair) for pair in found)


def _put_lines(sheet: Any, lines: list[tuple[str, str, str]], styles: _Styles) -> None:
    looks: dict[str, Mapping[str, Any]] = {
        "title": {"bold": True, "font_size": 14},
        "head": {"bold": True, "bg_color": "#E4E7EA"},
        "bold": {"bold": True},
        "": {},
    }
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, WORDS)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    for row, (look, left, right) in enumerate(lines):
        for place, text in enumerate((left, right)):
            words = one_line(text)[:MOST_CHARACTERS]
            red = {"font_color": "#D55E00"} if "unverified" in words.lower() else {}
            wrap = {"text_wrap": True} if place else {}
            if words or look == "head":
                sheet.write_string(row, place, words, styles.of(**looks[look], **red, **wrap))
        sheet.set_row(
            row, 20 if look == "title" else 15.5 * max(1, math.ceil(1.1 * len(one_line(right)) / WORDS))
        )
