"""``pkpd leave-out``: how a fit predicts what it has not seen, and what each row does to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli.fits import FitArgument, FolderOption
from pkpd.cli.repeating import DaskOption, ResumeOption, executor, results_folder, tell
from pkpd.cli.terminal import (
    JobsOption,
    JsonOption,
    QuietOption,
    Work,
    console,
    note,
    plain,
    table,
)

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.inference.leave_out import LeftOut

MOST_NAMED = 5
"""Rows whose influence is printed."""


def leave_out(
    fit: FitArgument,
    by: Annotated[str, typer.Option(help="What is left out at a time: study, row or fold.")] = "study",
    folds: Annotated[int, typer.Option(min=2, help="With --by fold: in how many parts.")] = 10,
    output: FolderOption = None,
    resume: ResumeOption = False,
    dask: DaskOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Leave out studies, rows or folds, fit the rest again, and predict them.

    [dim]Examples[/]

      pkpd leave-out low_dose_il2
      pkpd leave-out ./my_fit --by row
      pkpd leave-out ./my_fit --by fold --folds 5 -o elsewhere

    They are predicted with the parameters' uncertainty, the effects of a new study and the sampling of a
    trial: log score, coverage of 50 % and 90 % intervals, CRPS. Cook's distance says how far the estimates
    move without them, by the new fit and by one step from the old one. The folder gets leave_out.json,
    leave_out.csv and leave_out.png. Ctrl-C keeps what is done; --resume goes on.
    """
    from pkpd.inference.leave_out import leave_out as run

    folder = results_folder(fit, output)
    with Work(f"reading {fit}", quiet) as work:
        found = run(
            fit,
            by=by,
            folds=folds,
            threads=executor(jobs, dask),
            keep=folder / "leave_out",
            resume=resume,
            progress=work.update,
        )
        work.update("writing")
        _write(found, folder)
    tell(found, _show, folder, json, quiet)
    note(f"wrote {folder}", quiet or json)


def _write(found: LeftOut, folder: Path) -> None:
    from pkpd.present.plot import left_out_figure, save

    found.write_json(folder / "leave_out.json")
    found.write_csv(folder / "leave_out.csv")
    title = f"{found.title}: left out by {found.by}"
    figure = left_out_figure(
        [vars(row) for row in found.rows], [vars(fold) for fold in found.folds], title=title
    )
    save(figure, folder / "leave_out.png")


def _show(found: LeftOut) -> None:
    out = console()
    out.print(f"[bold]{plain(found.title)}[/]")
    out.print(_table(found))
    for remark in found.words():
        out.print(plain(remark))
    named = [f"{row} {distance:.2g}" for row, distance in found.influence[:MOST_NAMED]]
    out.print(plain(f"Rows with most influence, Cook's distance by one step: {', '.join(named)}."))
    for remark in found.notes:
        out.print(plain(remark), style="yellow")
    out.print("A model, not medical advice.", style="dim")


def _table(found: LeftOut) -> Table:
    rows = table(
        found.by,
        ">rows",
        ">log score",
        ">chi-square",
        ">in 90 %",
        ">Cook's distance",
        ">one step",
        "moves most",
    )
    for fold in found.folds:
        told = [row for row in fold.rows if row.told]
        rows.add_row(
            plain(fold.name),
            str(len(fold.rows)),
            f"{fold.log_density:.2f}",
            f"{fold.chi_square:.1f} of {fold.residuals}",
            f"{sum(row.within(0.9) for row in told)} of {len(told)}",
            f"{fold.cook:.2g}",
            f"{fold.one_step:.2g}",
            plain(f"{fold.moved} {fold.shift:+.1f} SD"),
        )
    return rows
