"""What commands share that repeat a fit: where it is, who does the work, what is kept, how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pkpd.cli.terminal import note, print_json

if TYPE_CHECKING:
    from pkpd.solver.executors import Executor

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on from what an earlier run left in that folder.")
]
DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Use the workers of the Dask cluster whose scheduler is there, tcp://HOST:PORT (extra dask).",
        show_default=False,
    ),
]


def executor(jobs: int | None, dask: str | None) -> Executor:
    """Who repeats: a cluster, this process alone, or as many processes as cores."""
    from pkpd.solver.executors import Dask, Processes, Threads

    if dask is not None:
        return Dask(dask)
    return Threads(1) if jobs == 1 else Processes(jobs)


def results_folder(fit: str, output: Path | None) -> Path:
    """Where the results of a fit are written; made if it is not there."""
    from pkpd.core.files import check_folder
    from pkpd.inference.optimum import fit_of

    folder = output or Path("results") / fit_of(fit).name
    folder.mkdir(parents=True, exist_ok=True)
    check_folder(folder)
    return folder


def tell(found: Any, show: Callable[[Any], None], folder: Path, json: bool, quiet: bool) -> None:
    """Print what was found, as JSON or by ``show``; after Ctrl-C that is the end."""
    if json:
        print_json(found.to_dict())
    elif not quiet:
        show(found)
    if found.interrupted:
        note(f"interrupted: what is done is kept in {folder}; go on with --resume", quiet)
        raise typer.Exit(130)
