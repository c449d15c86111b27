"""``pkpd fit``: a model fitted to published numbers, and the report of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli import completion
from pkpd.cli.fits import FolderOption, print_remarks
from pkpd.cli.repeating import DaskOption, executor
from pkpd.cli.terminal import (
    JobsOption,
    JsonOption,
    QuietOption,
    Work,
    console,
    note,
    plain,
    print_json,
    table,
)
from pkpd.core.errors import ConvergenceError

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.inference import FitResult, FitSpec


def fit(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FIT",
            help="Name of a fit (see [italic]pkpd models[/]) or path of a fit folder.",
            autocompletion=completion.fits,
        ),
    ],
    output: FolderOption = None,
    without_unverified: Annotated[
        bool,
        typer.Option(
            "--without-unverified", help="Leave out numbers that were not checked against their paper."
        ),
    ] = False,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar='"ID,..."',
            help='Fit only these rows; "c*" stands for all that begin with c. The others are predicted.',
            show_default=False,
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STUDY",
            help="Leave out a study (may be given again); it is predicted.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RESULT",
            help="Begin where an earlier result ended (result.json, or its folder), with one start; what is "
            "new begins at its prior.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A first look: one start; no rival, no left-out studies, no checks."),
    ] = False,
    starts: Annotated[
        int | None, typer.Option(min=1, help="How many starts the search makes.", show_default=False)
    ] = None,
    subjects: Annotated[
        int | None, typer.Option(min=1, help="Virtual patients per trial arm.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of everything random (default: that of the fit).", show_default=False),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=1e-9,
            max=10.0,
            help="The search ends where a step promises less than this in OFV (default: that of the "
            "fit, else 0.001).",
            show_default=False,
        ),
    ] = None,
    jobs: JobsOption = None,
    dask: DaskOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a model to published numbers and write the report.

    [dim]Examples[/]

      pkpd fit low_dose_il2
      pkpd fit low_dose_il2 --without-unverified -o results/verified
      pkpd fit low_dose_il2 --quick --seed 3
      pkpd fit low_dose_il2 --from results/low_dose_il2 --without Koreth2011 -o results/without
      pkpd fit low_dose_il2 --rows "imodals*, dilt1d*" --quick -o results/two
      pkpd fit ./my_fit
      pkpd fit ./my_fit --starts 16 --dask tcp://10.0.0.1:8786

    The report is one HTML file that opens anywhere, with its figures and result.json beside it. Exit code 5
    means that the search did not converge; the report is written all the same and says so.
    """
    from pkpd.inference import fit as run
    from pkpd.inference import read_fit
    from pkpd.present.report import check_report_folder

    spec = read_fit(name)
    folder = output or Path("results") / spec.name
    check_report_folder(folder)
    with Work(f"reading {spec.name}", quiet) as work:
        result = run(
            spec,
            starts=1 if quick and starts is None else starts,
            seed=seed,
            subjects=subjects,
            tolerance=tolerance,
            leave_out_unverified=without_unverified,
            rows=rows,
            without=without or None,
            begin_from=start,
            rival=not quick,
            leave_one_out=not quick,
            unverified=not quick,
            check=not quick,
            threads=jobs if dask is None else executor(jobs, dask),
            progress=work.update,
        )
        page = _write(result, spec, folder, jobs, work)
    if json:
        print_json(result.to_dict() | {"report": str(page)})
    elif not quiet:
        _show(result)
        typer.echo(f"report: {page}")
    _end(result)


def _write(result: FitResult, spec: FitSpec, folder: Path, jobs: int | None, work: Work) -> Path:
    """The report, of the best point so far if the search was interrupted."""
    from pkpd.present.report import write_report
    from pkpd.solver import usable_cores

    work.update(
        "interrupted: writing the report of the best point so far (Ctrl-C again: the result alone)"
        if result.interrupted
        else "writing the report"
    )
    try:
        return write_report(
            result,
            folder,
            fit=spec,
            threads=jobs,
            processes=jobs or usable_cores(),
            progress=work.update,
        )
    except KeyboardInterrupt:
        note(f"the fit is kept in {folder / 'result.json'}; its report: pkpd report {folder}", work.quiet)
        raise


def _end(result: FitResult) -> None:
    """Exit codes of a search that did not come to its end."""
    if result.interrupted:
        raise typer.Exit(130)
    if not result.converged:
        raise ConvergenceError(
            f"the search did not converge ({result.message}); the report says where it stopped"
        )


def _show(result: FitResult) -> None:
    out = console()
    out.print(f"[bold]{plain(result.title)}[/]")
    used = [row for row in result.rows if row.use == "fit" and row.residuals]
    near = sum(abs(row.residuals[0]) <= 2 for row in used)
    out.print(
        f"{'converged' if result.converged else '[bold red]not converged[/]'}: {near} of {len(used)} "
        "published numbers within two "
        f"standard errors of the prediction; OFV {result.ofv:.1f}, -2LL {result.minus_2ll:.1f}, AIC "
        f"{result.aic:.1f}, "
        f"BIC {result.bic:.1f}"
    )
    out.print(_estimates(result))
    for words in result.asides().values():
        out.print(plain(words))
    for name, reason in result.not_predicted.items():
        out.print(plain(f"not predicted: {name}: {reason}"), style="yellow")
    print_remarks(out, result.notes)


def _estimates(result: FitResult) -> Table:
    rows = table("parameter", ">estimate", "unit", ">95 %", ">RSE", "what the data say")
    for e in result.estimates:
        if e.kind != "study effect":
            mark = " [red]unverified prior[/]" if e.provenance == "unverified" else ""
            sure = e.rse < 1000  # false for nan
            interval = f"{e.lower:.3g} to {e.upper:.3g}" if sure else ""
            rse = f"{e.rse:.0f} %" if sure else ""
            rows.add_row(e.name + mark, f"{e.value:.3g}", e.unit, interval, rse, plain(e.verdict))
    return rows
