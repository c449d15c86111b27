"""``pkpd validate``: what a fit had predicted of numbers that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli.fits import FitArgument
from pkpd.cli.scenes import OutputOption, check_output, command_line, write_result
from pkpd.cli.terminal import (
    JobsOption,
    JsonOption,
    QuietOption,
    Work,
    console,
    plain,
    print_json,
    table,
)

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.inference.validation import Validation

MOST_ORDERINGS = 10
"""That are printed; all of them stand in the JSON."""
NEGLIGIBLE = 1e-3
"""Parts of less than this share of the SD are shown as 0."""


def validate(
    fit: FitArgument,
    data: Annotated[
        Path, typer.Argument(metavar="NEW.csv", help="Numbers in the columns of a fit's data.csv.")
    ],
    output: OutputOption = None,
    also_seen: Annotated[
        bool, typer.Option("--also-seen", help="Predict also numbers that the fit has seen.")
    ] = False,
    subjects: Annotated[
        int | None,
        typer.Option(min=1, help="Virtual patients per arm (default: as in the fit).", show_default=False),
    ] = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Predict numbers that a fit has not seen, with all that is uncertain, and hold the numbers against it.

    [dim]Examples[/]

      pkpd validate low_dose_il2 new.csv
      pkpd validate results/my_fit new.csv -o results/checked
      pkpd validate results/my_fit new.csv -o checked.xlsx

    Nothing is fitted again. Without -o a folder, results/FIT_validation, gets all that -o can write: the rows
    (validation.png), whether intervals hold what they say (calibration.png), the numbers and a report. A
    number that the fit has seen is refused.
    """
    options = dict(locals())
    from pkpd.inference import read_fit
    from pkpd.inference.validation import validate as run

    there = Path(fit)
    spec = read_fit(there.absolute().parent if there.suffix == ".json" else fit)
    target = output or Path("results") / f"{spec.name}_validation"
    check_output(output)
    with Work(f"reading {fit}", quiet) as work:
        found = run(fit, data, seen=also_seen, subjects=subjects, threads=jobs, progress=work.update)
    if output is None:
        target.mkdir(parents=True, exist_ok=True)
    command = command_line(validate, [fit, str(data)], options | {"output": target})
    write_result(found, target, command, quiet or json)
    if json:
        print_json(found.to_dict())
    elif not quiet:
        _show(found)


def _show(found: Validation) -> None:
    out = console()
    out.print(f"[bold]{plain(found.title)}[/]: {plain(found.file)}")
    out.print(_predictions(found))
    out.print(
        "SDs of the prediction by their parts, SDs by which the number is off, log score and CRPS (less is "
        "better):",
        style="dim",
    )
    out.print(_parts(found))
    for name, reason in found.not_predicted.items():
        out.print(plain(f"not predicted: {name}: {reason}"), style="yellow")
    for words in (f"{found.verdict}.", found.scores(), *found.ordering_words()):
        out.print(plain(words))
    surest = sorted(found.orderings, key=lambda pair: (pair.held is not False, -pair.probability))
    for each in surest[:MOST_ORDERINGS]:
        held = {True: "so it is", False: "[red]it is the other way[/]", None: "they are equal"}[each.held]
        out.print(f"  {plain(each.first)} over {plain(each.second)}: {100 * each.probability:.0f} %, {held}")
    for remark in found.notes:
        out.print(plain(remark), style="yellow")
    out.print("A model, not medical advice.", style="dim")


def _predictions(found: Validation) -> Table:
    rows = table("row", ">reported", ">predicted", ">90 %", "unit", "in 95 %")
    for row in found.rows:
        ninety = next((f"{low:.3g} to {high:.3g}" for level, low, high in row.intervals if level == 0.9), "")
        rows.add_row(
            plain(row.id) + (" [red]unverified[/]" if row.provenance == "unverified" else ""),
            row.reported.replace("at least", "≥").replace("at most", "≤"),
            f"{row.predicted:.3g}",
            ninety,
            "" if row.unit == "1" else row.unit,
            {True: "yes", False: "[red]no[/]", None: ""}[row.inside(0.95)],
        )
    return rows


def _parts(found: Validation) -> Table:
    rows = table("row", ">parameters", ">new study", ">patients", ">rest", ">SDs off", ">score", ">CRPS")
    for row in found.rows:
        parts = (row.sd_parameters, row.sd_new_study, row.sd_patients, row.sd_sampling)
        shown = [f"{part:.2g}" if part > NEGLIGIBLE * row.sd else "0" for part in parts]
        scores = _number(-row.deviation, "+.1f"), f"{row.log_score:.2f}", _number(row.crps, ".2g")
        rows.add_row(plain(row.id), *shown, *scores)
    return rows


def _number(value: float, form: str) -> str:
    """Nothing for nan."""
    return format(value, form) if value == value else ""
