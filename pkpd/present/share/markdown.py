"""Exhibit -> its tables in the Markdown of GitHub, for a page, a README or a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pkpd.present.share.exhibit import ADVICE, Exhibit, SharedTable, one_line


def write(exhibit: Exhibit) -> str:
    """The document."""
    return "\n".join(_lines(exhibit)) + "\n"


def _lines(exhibit: Exhibit) -> Iterator[str]:
    yield f"# {escaped(exhibit.title)}"
    yield ""
    yield f"**{ADVICE}** {escaped(exhibit.source)}"
    yield ""
    yield from _listed(exhibit.subjects)
    if exhibit.findings:
        yield from ("## In short", "")
        yield from _listed(exhibit.findings)
    for table in exhibit.tables:
        if len(exhibit.tables) > 1:
            yield from (f"## {escaped(table.name)}", "")
        yield from _table(table)
        if table.note:
            yield from (escaped(table.note), "")
    for title, lines in (("Before you rely on it", exhibit.cautions), ("How to read it", exhibit.reading)):
        if lines:
            yield from (f"## {title}", "")
            yield from _listed(lines)
    if exhibit.definitions:
        yield from ("## Definitions", "")
        yield from _listed(f"{name}: {words}" for name, words in exhibit.definitions)
    if exhibit.command:
        yield from ("## How it was made", "", _code(exhibit.command), "")


def _listed(lines: Iterable[str]) -> Iterator[str]:
    found = [f"- {escaped(line)}" for line in lines]
    yield from (*found, "") if found else ()


def _table(table: SharedTable) -> Iterator[str]:
    heads = [escaped(head) for head in table.heads]
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for line in table.lines:
        cells = (
            [f"**{escaped(line[0])}**"] if len(line) == 1 and line[0] else [escaped(cell) for cell in line]
        )
        yield f"| {' | '.join(cells + [''] * (len(heads) - len(cells)))} |"
    yield ""


def escaped(text: str) -> str:
    """Text in one line in which Markdown is to see no markup."""
    words = re.sub(r"([\\`*_\[\]<>|~$])", r"\\\1", one_line(text).replace("&", "&amp;"))
    return re.sub(r"^(#|[+-](?=[\s-]|$)|\d+(?=[.)](\s|$)))", _not_as_a_mark, words)


def _not_as_a_mark(found: re.Match[str]) -> str:
    """What would begin a heading, a rule or a list."""
    return found[0] + "&#8203;" if found[0].isdigit() else f"\\{found[0]}"


def _code(text: str) -> str:
    """A block of code, fenced by more backticks than stand in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{one_line(text)}\n{fence}"
