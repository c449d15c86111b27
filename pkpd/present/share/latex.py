"""Exhibit -> its tables in LaTeX, to be read by \\input: ``tabular`` with the rules of booktabs, or where one
goes over pages ``longtable``."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from pkpd.present.report.numbers import LIGHTS
from pkpd.present.share.exhibit import ADVICE, Exhibit, SharedTable, one_line

ON_A_PAGE = 45
"""Lines of a table; one that is longer goes on on the next page."""

JOINED = "-',"
"""Of which two become another character: a dash, quotation marks."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "−": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "∞": r"\ensuremath{\infty}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "↑": r"\ensuremath{\uparrow}",
    "↓": r"\ensuremath{\downarrow}",
    "→": r"\ensuremath{\rightarrow}",
    "←": r"\ensuremath{\leftarrow}",
    "²": r"\ensuremath{^2}",
    "³": r"\ensuremath{^3}",
    "µ": r"\ensuremath{\mu}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "●": r"\ensuremath{\bullet}",
    "◐": r"\ensuremath{\odot}",
    "○": r"\ensuremath{\circ}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "°": r"\ensuremath{^\circ}",
}


def write(exhibit: Exhibit) -> str:
    """The file: what its reader has to know as comments, and the tables."""
    return "\n".join(_lines(exhibit)) + "\n"


def _lines(exhibit: Exhibit) -> Iterator[str]:
    long = any(len(table.lines) > ON_A_PAGE for table in exhibit.tables)
    packages = r"\usepackage[T1]{fontenc} \usepackage{amsmath, booktabs" + ", longtable" * long + "}"
    told = (
        f"{exhibit.title}. {exhibit.foot}",
        *exhibit.subjects,
        *exhibit.findings,
        *exhibit.reading,
        *exhibit.cautions,
        exhibit.command,
    )
    yield f"% In the preamble: {packages}"
    yield from (f"% {_commented(line)}" for line in told if line)
    for table in exhibit.tables:
        yield ""
        yield from _table(table, len(table.lines) > ON_A_PAGE)
    yield ""
    yield rf"% \footnotesize {escaped(exhibit.foot)}"


def _table(table: SharedTable, long: bool) -> Iterator[str]:
    environment, n = "longtable" if long else "tabular", len(table.heads)
    heads = " & ".join(escaped(head) for head in table.heads) + r" \\"
    foot = rf"\multicolumn{{{n}}}{{l}}{{\footnotesize {escaped(ADVICE)}}} \\"
    yield rf"\begin{{{environment}}}{{{'l' * n}}}"
    yield from (r"\toprule", heads, r"\midrule")
    if long:
        yield r"\endhead"
    for line in table.lines:
        if len(line) == 1:
            yield rf"\multicolumn{{{n}}}{{l}}{{\textbf{{{escaped(line[0])}}}}} \\"
        else:
            yield " & ".join(escaped(cell) for cell in line) + r" \\"
    yield from (r"\bottomrule", foot, rf"\end{{{environment}}}")


def _commented(text: str) -> str:
    """Text in one line, with the signs of lights as the tables have them."""
    return "".join(_SPECIAL[one] if one in LIGHTS.values() else one for one in one_line(text))


def escaped(text: str) -> str:
    """Text in one line, of which no character is a command; one that LaTeX's usual fonts do not have is
    named in brackets, such as an emoji."""
    words = one_line(text)
    apart = ["{}" * (one == before and one in JOINED) for before, one in zip(f" {words}", words)]
    return "".join(gap + (_SPECIAL.get(one) or _in_latex(one)) for gap, one in zip(apart, words, strict=True))


def _in_latex(character: str) -> str:
    """Letters of Western and Central Europe are in the fonts of the encoding T1."""
    if character < "\x7f" or ("LATIN" in unicodedata.name(character, "") and ord(character) < 0x180):
        return character
    return f"[{unicodedata.name(character, f'U+{ord(character):04X}').lower()}]"
