"""Exhibit -> one HTML file without outside resources; a result that has a report of its own is that one."""

from __future__ import annotations

from pkpd.present import plot
from pkpd.present.report.page import environment, placed_pictures
from pkpd.present.share.exhibit import Exhibit


def write(exhibit: Exhibit) -> str:
    """The page as text."""
    drawings = exhibit.pictures or exhibit.drawings
    pictures = placed_pictures({each.name: (each.caption, plot.svg(each.figure())) for each in drawings})
    if exhibit.page is not None:
        return exhibit.page(pictures)
    version = dict(exhibit.provenance).get("versions: pkpd", "")
    template = environment().get_template("exhibit.html.j2")
    return template.render(shown=exhibit, version=version, pictures=pictures)
