"""Exhibit -> one HTML file without outside resources; a result that has a report of its own is that one."""

from __future__ import annotations

from typing import Any

from pkpd.decision.evidence import Standing
from pkpd.present import plot
from pkpd.present.report.page import environment, placed_pictures
from pkpd.present.report.sources import leading, sources
from pkpd.present.share.exhibit import Exhibit, SharedTable


def write(exhibit: Exhibit) -> str:
    """The page as text."""
    drawings = exhibit.pictures or exhibit.drawings
    pictures = placed_pictures({each.name: (each.caption, plot.svg(each.figure())) for each in drawings})
    if exhibit.page is not None:
        return exhibit.page(pictures)
    version = dict(exhibit.provenance).get("versions: pkpd", "")
    template = environment().get_template("exhibit.html.j2")
    return template.render(shown=exhibit, version=version, pictures=pictures, **_rests_on(exhibit))


def _rests_on(exhibit: Exhibit) -> dict[str, Any]:
    """The rows behind the numbers of all tables; of each table, by line and place, what leads there, and
    reasons."""
    behind, tables = exhibit.behind, exhibit.tables
    if behind is None:
        return {"sources": [], "leads": [{} for _ in tables], "reasons": [[] for _ in tables]}
    return {
        "sources": sources(behind, (one for table in tables for one in table.standings.values())),
        "leads": [
            {place: leading(behind, one) for place, one in table.standings.items()} for table in tables
        ],
        "reasons": [
            [leading(behind, one) | {"who": who} for one, who in _reasons(table).items()] for table in tables
        ],
    }


def _reasons(table: SharedTable) -> dict[Standing, str]:
    """By what cells stand on, their lines, and columns where these differ; "" where all stand on the same."""
    first = min((place for _, place in table.standings), default=0)
    of_lines = {(line, standing) for (line, _), standing in table.standings.items()}
    differ = len(of_lines) > len({line for line, _ in of_lines})
    about: dict[Standing, dict[str, None]] = {}
    for (line, place), standing in table.standings.items():
        words = [*table.lines[line][:first], *([table.heads[place]] if differ else [])]
        about.setdefault(standing, {})[", ".join(words)] = None
    return {standing: "; ".join(who) if len(about) > 1 else "" for standing, who in about.items()}
