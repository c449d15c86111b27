"""What all pages share: the templates, and figures that a page carries with it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pkpd.report.numbers import FILTERS

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """The templates of the package, with the filters for numbers; what is put into a page is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pkpd"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def placed_pictures(pictures: Mapping[str, tuple[str, bytes]]) -> dict[str, dict[str, str]]:
    """Name -> (caption, SVG) as the template's figures: a data URI, the caption, and its first sentence as title."""
    return {name: _data_uri(name, caption, picture) for name, (caption, picture) in pictures.items()}


def _data_uri(name: str, caption: str, picture: bytes) -> dict[str, str]:
    # an <img> keeps each figure's ids to itself, which inline SVG would mix
    encoded = base64.b64encode(picture).decode("ascii")
    return {
        "uri": f"data:image/svg+xml;base64,{encoded}",
        "caption": caption,
        "title": caption.partition(".")[0] or name,
    }
