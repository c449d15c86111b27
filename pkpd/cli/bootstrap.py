"""``pkpd bootstrap``: what a fit would have found in other trials of the same design."""

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

    from pkpd.inference.bootstrap import Bootstrap


def bootstrap(
    fit: FitArgument,
    draws: Annotated[int, typer.Option(min=1, help="How many times it is simulated and fitted.")] = 200,
    output: FolderOption = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the draws (default: that of the fit).", show_default=False),
    ] = None,
    resume: ResumeOption = False,
    dask: DaskOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Parametric bootstrap: the trials simulated from the estimates and fitted again, many times.

    [dim]Examples[/]

      pkpd bootstrap low_dose_il2
      pkpd bootstrap ./my_fit --draws 500 --resume
      pkpd bootstrap results/my_fit --dask tcp://10.0.0.1:8786

    Effects of studies are drawn anew, and what the priors stand for; each trial prints its rows. The folder
    gets bootstrap.json, bootstrap.csv and bootstrap.png: intervals by the draws beside those by the
    curvature, and how often the latter hold the truth. Ctrl-C keeps what is done; --resume goes on, to more
    draws too.
    """
    from pkpd.inference.bootstrap import bootstrap as run

    folder = results_folder(fit, output)
    with Work(f"reading {fit}", quiet) as work:
        found = run(
            fit,
            draws=draws,
            seed=seed,
            threads=executor(jobs, dask),
            keep=folder / "bootstrap",
            resume=resume,
            progress=work.update,
        )
        work.update("writing")
        _write(found, folder)
    tell(found, _show, folder, json, quiet)
    note(f"wrote {folder}", quiet or json)


def _write(found: Bootstrap, folder: Path) -> None:
    from pkpd.present.plot import bootstrap_figure, save

    found.write_json(folder / "bootstrap.json")
    found.write_csv(folder / "bootstrap.csv")
    title = f"{found.title}: 95 % intervals"
    save(bootstrap_figure([e.drawn() for e in found.estimates], title=title), folder / "bootstrap.png")


def _show(found: Bootstrap) -> None:
    out = console()
    out.print(f"[bold]{plain(found.title)}[/]")
    out.print(_table(found))
    for remark in found.words():
        out.print(plain(remark))
    for remark in found.notes:
        out.print(plain(remark), style="yellow")
    out.print("A model, not medical advice.", style="dim")


def _table(found: Bootstrap) -> Table:
    from pkpd.inference.bootstrap import interval_words

    rows = table(
        "parameter",
        ">estimate",
        "unit",
        ">95 % by curvature",
        ">by draws",
        ">BCa",
        ">bias, SE",
        ">scatter, SE",
        ">90 % hold",
    )
    for e in found.estimates:
        rows.add_row(
            plain(e.name),
            f"{e.value:.3g}",
            "" if e.unit == "1" else plain(e.unit),
            *(interval_words(ends) for ends in (e.curvature, e.percentile, e.bca)),
            f"{e.bias:+.2f}",
            f"{e.spread:.2f}",
            f"{100 * e.covered:.0f} %",
        )
    return rows
