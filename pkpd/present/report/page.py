"""What all pages share: the templates, and figures that a page carries with it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pkpd.present.report.numbers import FILTERS

if TYPE_CHECKING:
    from jinja2 import Environment


TALL = 1100.0
"""Points: a higher figure would be too small to read on one printed page, and may go on on the next."""


def environment() -> Environment:
    """The templates of the package, with the filters for numbers; what is put into a page is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pkpd.present"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def placed_pictures(pictures: Mapping[str, tuple[str, bytes]]) -> dict[str, dict[str, str]]:
    """Name -> (caption, SVG) as the template's figures: a data URI, the caption, its first sentence as title,
    and whether it is "tall"."""
    return {name: _data_uri(name, caption, picture) for name, (caption, picture) in pictures.items()}


def _data_uri(name: str, caption: str, picture: bytes) -> dict[str, str]:
    # an <img> keeps each figure's ids to itself, which inline SVG would mix
    encoded = base64.b64encode(picture).decode("ascii")
    return {
        "uri": f"data:image/svg+xml;base64,{encoded}",
        "caption": caption,
        "title": caption.partition(".")[0] or name,
        "kind": "tall" if _height(picture) > TALL else "",
    }


def _height(picture: bytes) -> float:
    """Of an SVG in points, by its ``viewBox``; 0 where it has none."""
    found = re.search(rb'viewBox="0 0 [\d.]+ ([\d.]+)"', picture[:2000])
    return float(found[1]) if found else 0.0
