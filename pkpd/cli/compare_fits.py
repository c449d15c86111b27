"""``pkpd compare-fits``: fits of the same numbers, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.inference.fit_comparison import FitComparison

MOST_ROWS = 8


def compare_fits(
    fits: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]", help="Folders that pkpd fit wrote, their result.json, or names of fits."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for what is written (default: results/compared).",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Without studies left out, which take a fit each.")
    ] = False,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare fits of the same numbers: OFV, AIC, BIC, studies left out, and where the fits differ.

    [dim]Examples[/]

      pkpd compare-fits results/my_fit results/simpler
      pkpd compare-fits results/a results/b results/c --quick -o results/abc

    Fits to other rows or data, or with another seed, other subjects or other errors, are refused. The folder
    gets comparison.json and comparison.png.
    """
    from pkpd.core.files import check_folder
    from pkpd.inference.fit_comparison import compare_fits as run

    folder = output or Path("results") / "compared"
    with Work("reading the fits", quiet) as work:
        found = run(fits, leave_one_out=not quick, threads=jobs, progress=work.update)
        folder.mkdir(parents=True, exist_ok=True)
        check_folder(folder)
        work.update("drawing")
        found.write_json(folder / "comparison.json")
        _draw(found, folder)
    if json:
        print_json(found.to_dict())
    elif not quiet:
        _show(found)
    note(f"wrote {folder}", quiet or json)


def _draw(found: FitComparison, folder: Path) -> None:
    from pkpd.present.plot import fit_comparison_figure, save

    try:
        figure = fit_comparison_figure(found.to_dict(), title="Fits against the best of them")
    except InputError:  # two fits that do not differ
        return
    save(figure, folder / "comparison.png")


def _show(found: FitComparison) -> None:
    out = console()
    out.print(_scores(found))
    for sentence in found.verdict():
        out.print(plain(sentence))
    if any(row.difference > 0 for row in found.rows):
        out.print(f"Numbers in which the fits differ most, of {found.n_rows}, and their part in the OFV:")
        out.print(_rows(found))
    for remark in found.notes:
        out.print(plain(remark), style="dim")
    out.print("A model, not medical advice.", style="dim")


def _scores(found: FitComparison) -> Table:
    rows = table("fit", "model", ">OFV", ">-2LL", ">parameters", ">AIC", ">BIC", ">left out")
    for s in found.scores:
        left = f"{s.log_density:.1f}" if s.left_out else ""
        mark = "" if s.converged else " [red]not converged[/]"
        numbers = (s.ofv, s.minus_2ll, s.parameters, s.aic, s.bic)
        rows.add_row(plain(s.label) + mark, s.model, *(f"{value:.1f}" for value in numbers), left)
    return rows


def _rows(found: FitComparison) -> Table:
    rows = table("number", *(f">{score.label}" for score in found.scores))
    for row in found.rows[:MOST_ROWS]:
        rows.add_row(plain(row.row), *(f"{value:.2f}" for value in row.contributions))
    return rows
