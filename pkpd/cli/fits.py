"""What the commands about one fit share: which fit, where its results go, and how a table of it ends."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli import completion
from pkpd.cli.terminal import plain

if TYPE_CHECKING:
    from rich.console import Console

FitArgument = Annotated[
    str,
    typer.Argument(
        metavar="FIT",
        help="Name of a fit (see [italic]pkpd models[/]), path of its folder, or of what pkpd fit wrote: "
        "results/my_fit or its result.json.",
        autocompletion=completion.fits,
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Folder for what is written (default: results/FIT).", show_default=False
    ),
]


def print_remarks(out: Console, remarks: Iterable[str]) -> None:
    """What a reader has to know, and what the model is not."""
    for remark in remarks:
        out.print(plain(remark), style="yellow")
    out.print("A model, not medical advice.", style="dim")
