"""Exhibit -> its figures as PNG, SVG and PDF."""

from __future__ import annotations

from pkpd.core.errors import InputError
from pkpd.present import plot
from pkpd.present.report.drawing import Drawing
from pkpd.present.share.exhibit import Exhibit

KINDS = ("png", "svg", "pdf")


def named(exhibit: Exhibit, stem: str) -> Drawing:
    """The figure that a file is called after, else the main one."""
    every = (*exhibit.drawings, *exhibit.singles)
    if not every:
        raise InputError(f"there is no figure of this {exhibit.stem}")
    return next((each for each in every if each.name == stem), every[0])


def png(exhibit: Exhibit, stem: str) -> bytes:
    """The figure of this name, or the main one."""
    return plot.rendered(named(exhibit, stem).figure(), "png")


def svg(exhibit: Exhibit, stem: str) -> bytes:
    """The figure of this name, or the main one; text stays text."""
    return plot.rendered(named(exhibit, stem).figure(), "svg")


def pdf(exhibit: Exhibit, stem: str) -> bytes:
    """The figure of this name, or all of them, each on a page of its own size."""
    one = named(exhibit, stem)
    pages = [one] if one.name == stem else exhibit.drawings
    return plot.pdf_pages(each.figure() for each in pages)


def every(exhibit: Exhibit) -> dict[str, bytes]:
    """File name -> content, of each figure in each kind."""
    files = {}
    for each in (*exhibit.drawings, *exhibit.singles):
        figure = each.figure()
        for kind in KINDS:
            files[f"{each.name}.{kind}"] = plot.rendered(figure, kind)
            figure.set_layout_engine(
                "none"
            )  # the layout was found for the first file and holds for the others
    return files
