"""``pkpd profile``: how far each parameter of a fit can move before the data object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli.fits import FitArgument, FolderOption, print_remarks
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
from pkpd.core.errors import ConvergenceError

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.inference.likelihood_profiles import LikelihoodProfile, LikelihoodProfiles


def profile(
    fit: FitArgument,
    parameters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PARAM ...]", help="Estimates, by the names of pkpd fit (default: all)."),
    ] = None,
    output: FolderOption = None,
    without_priors: Annotated[
        bool,
        typer.Option(
            "--without-priors",
            help="The likelihood alone; how studies differ is part of the model and stays.",
        ),
    ] = False,
    resume: ResumeOption = False,
    dask: DaskOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Profile likelihood: 95 % intervals that need no parabola, what the data identify, which rows say so.

    [dim]Examples[/]

      pkpd profile low_dose_il2 CL ka
      pkpd profile low_dose_il2 --resume
      pkpd profile results/my_fit/result.json --without-priors -o elsewhere

    Each parameter is moved to both sides of its estimate, all others fitted again, until the objective has
    risen by 3.84. The folder gets profiles.json, the curves (profiles.png) and the intervals
    (intervals.png). Ctrl-C keeps what is done; a fit whose folder has no result that belongs to it is made
    first.
    """
    from pkpd.inference.likelihood_profiles import likelihood_profiles

    folder = results_folder(fit, output)
    with Work(f"reading {fit}", quiet) as work:
        found = likelihood_profiles(
            fit,
            parameters or None,
            priors=not without_priors,
            threads=executor(jobs, dask),
            keep=folder / "profiles.json",
            resume=resume,
            progress=work.update,
        )
        if found.profiles:
            work.update("drawing")
            _draw(found, folder)
    tell(found, _show, folder, json, quiet)
    if not found.profiles:
        raise ConvergenceError("no parameter could be profiled")
    note(f"wrote {folder}", quiet or json)


def _draw(found: LikelihoodProfiles, folder: Path) -> None:
    from pkpd.inference.profiling import RISE
    from pkpd.present.plot import interval_figure, likelihood_figure, save

    drawn = [each.drawn() for each in found.profiles]
    save(likelihood_figure(drawn, limit=RISE, title=f"{found.title}: profiles"), folder / "profiles.png")
    save(interval_figure(drawn, title=f"{found.title}: 95 % intervals"), folder / "intervals.png")


def _show(found: LikelihoodProfiles) -> None:
    out = console()
    out.print(f"[bold]{plain(found.title)}[/]")
    if found.profiles:
        out.print(_table(found))
        out.print(
            "known by: rows and priors that carry most of what is known at the estimate. narrowed by: "
            "the row of which half the standard error narrows the interval most.",
            style="dim",
        )
    print_remarks(out, found.notes)


def _table(found: LikelihoodProfiles) -> Table:
    from pkpd.inference.likelihood_profiles import interval_words

    rows = table(
        "parameter", ">estimate", "unit", ">95 %", "what the data say", "known by", "would narrow it"
    )
    for p in found.profiles:
        unit = "" if p.unit == "1" else p.unit
        rows.add_row(
            p.name, f"{p.value:.3g}", unit, interval_words(p), plain(str(p)), _known_by(p), _would_help(p)
        )
    return rows


def _known_by(p: LikelihoodProfile) -> str:
    parts = [*p.information, ("priors", p.prior_information)]
    parts.sort(key=lambda pair: -pair[1])
    return plain(", ".join(f"{name} {100 * share:.0f} %" for name, share in parts[:2] if share >= 0.05))


def _would_help(p: LikelihoodProfile) -> str:
    return plain(", ".join(f"{row} by {100 * (1 - factor):.0f} %" for row, factor in p.helpful[:1]))
