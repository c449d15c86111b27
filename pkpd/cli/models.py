"""``pkpd models``: what the library has."""

from __future__ import annotations

import re

from pkpd.cli.terminal import JsonOption, console, print_json, table


def models(json: JsonOption = False) -> None:
    """List the models and fits that come with the package.

    [dim]Examples[/]

      pkpd models
      pkpd models --json
    """
    from pkpd.core import library
    from pkpd.model.extend import model_text

    titles = {name: _title(model_text(name)[0]) for name in library.models()}
    if json:
        print_json(
            {"models": [{"name": n, "title": t} for n, t in titles.items()], "fits": list(library.fits())}
        )
        return
    rows = table("model", "what it is")
    for name, title in titles.items():
        rows.add_row(name, title)
    out = console()
    out.print(rows)
    out.print(f"fits: {', '.join(library.fits())}", style="dim")
    out.print("next: pkpd show MODEL, pkpd simulate MODEL SCHEDULE, pkpd fit FIT", style="dim")


def _title(text: str) -> str:
    """The title that a model's text gives itself, without reading the rest."""
    found = re.search(r"^model\s+([^#\n]*)", text, re.MULTILINE)
    return found.group(1).strip() if found else ""
