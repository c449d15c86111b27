"""``pkpd report``: the report of an earlier fit, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pkpd.cli.terminal import JobsOption, QuietOption, Work
from pkpd.core.errors import InputError, PkpdError


def report(
    path: Annotated[
        Path, typer.Argument(metavar="RESULT", help="Folder of a fit's report, or its result.json.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Another folder for the report.", show_default=False)
    ] = None,
    jobs: JobsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write the report of an earlier fit again, for instance after an update, without fitting.

    [dim]Examples[/]

      pkpd report results/low_dose_il2
      pkpd report results/low_dose_il2/result.json -o elsewhere
    """
    from pkpd.present.report import check_report_folder, read_report, write_report

    if not path.exists():
        raise InputError(f"there is no {path}; a fit writes its result to results/FIT")
    result, curves = read_report(path)
    home = path if path.is_dir() else path.parent
    folder = output or home
    check_report_folder(folder)
    from pkpd.inference import read_fit
    from pkpd.solver import usable_cores

    try:
        spec = read_fit(Path(home))
    except PkpdError:  # the figures may be there without it
        spec = None
    with Work("writing the report", quiet) as work:
        page = write_report(
            result,
            folder,
            curves=curves,
            fit=spec,
            threads=jobs,
            processes=jobs or usable_cores(),
            progress=work.update,
        )
    if not quiet:
        typer.echo(f"report: {page}")
