"""``pkpd dose-for``: which dose, interval or number of doses meets a target, in a table, in files and as a
figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli.scenes import (
    CriteriaOption,
    DrawsOption,
    FitOption,
    OutputOption,
    PosteriorOption,
    RespondersOption,
    SetOption,
    StudyOption,
    UntilOption,
    VaryOption,
    check_output,
    command_line,
    scene_of,
    write_result,
)
from pkpd.cli.terminal import (
    AdherenceOption,
    JitterOption,
    JobsOption,
    JsonOption,
    QuietOption,
    SeedOption,
    Work,
    console,
    lit,
    plain,
    print_json,
    print_lights,
    table,
    taking,
)
from pkpd.treg import FIT

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.decision.inverse import Attainment, Boundary

WARNINGS = 4  # that are printed; files have all


def dose_for(
    wishes: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help='What must be met: "Treg trough at least +50 %", "the largest dose whose NK stay under '
            '1.5-fold in 95 % of people", "the longest interval that keeps Treg at least +30 %".',
            show_default=False,
        ),
    ],
    schedule: Annotated[
        str,
        typer.Option(
            help='With one or two "?" for what is looked for, a dose, an interval, a number of doses or '
            'cycles: "? MIU sc daily x5 every 28 d x6", "1 MIU sc daily x? every ? d x6".',
            show_default=False,
        ),
    ],
    dose: Annotated[
        str | None,
        typer.Option(
            help='From where to where: "0.25 to 3 MIU", or a list (default: of the fit\'s endpoints).',
            show_default=False,
        ),
    ] = None,
    interval: Annotated[
        str | None, typer.Option(help='The same: "7 to 56 d", "2, 4, 8 weeks".', show_default=False)
    ] = None,
    days: Annotated[
        str | None, typer.Option(help='Doses of a course: "1 to 14".', show_default=False)
    ] = None,
    cycles: Annotated[
        str | None, typer.Option(help='Number of cycles: "1 to 12".', show_default=False)
    ] = None,
    fit: FitOption = FIT,
    subjects: Annotated[int, typer.Option(min=1, help="How many virtual people there are.")] = 200,
    draws: DrawsOption = 25,
    posterior: PosteriorOption = None,
    seed: SeedOption = 1,
    vary: VaryOption = "between,uncertainty",
    study: StudyOption = None,
    set_: SetOption = None,
    responders: RespondersOption = None,
    adherence: AdherenceOption = None,
    jitter: JitterOption = None,
    until: UntilOption = None,
    endpoints: CriteriaOption = None,
    output: OutputOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the dose, the interval or the number of doses that meets a target.

    [dim]Examples[/]

      pkpd dose-for "Treg at least +50 % on average" --schedule "? MIU sc daily x5 every 28 d x6"
      pkpd dose-for "NK stay under 1.5-fold in 95 % of people" --schedule "? MIU sc daily x5 every 28 d x6"
      pkpd dose-for "longest interval with Treg at least +20 %" --schedule "1 MIU sc daily x5 every ? d x3"
      pkpd dose-for "Treg at least +50 %" --schedule "? MIU sc daily x5 every ? d x6" -o boundary.png
      pkpd dose-for "Treg at least +50 %" --schedule "? MIU sc daily x5 every 28 d x6; adherence 90 %"

    A target without "in 90 % of people" is one of the median person. With two "?" there is an answer for each
    value of the second.
    """
    options = dict(locals())
    from pkpd.decision.inverse import Boundary, OpenSchedule
    from pkpd.decision.inverse import dose_for as run

    check_output(output)
    OpenSchedule.parse(schedule)
    as_taken = taking(adherence, jitter)
    scene = scene_of(
        fit, subjects, draws, seed, vary, study, set_, responders, until, jobs, quiet, endpoints, posterior
    )
    with Work("simulating", quiet) as work:
        found = run(
            scene,
            wishes,
            schedule,
            dose=dose,
            interval=interval,
            days=days,
            cycles=cycles,
            progress=work.update,
            **as_taken,
        )
    if output is not None:
        write_result(found, output, command_line(dose_for, wishes, options), quiet)
    if json:
        print_json(found.to_dict())
    elif not quiet:
        show_boundary(found) if isinstance(found, Boundary) else show(found)


# --- the table ------------------------------------------------------------------------------------


def show(found: Attainment) -> None:
    """Print one answer: the question, the answer, what people need, the curve, and how to read it."""
    from pkpd.present.report.numbers import because

    out = console()
    whole = not out.is_terminal  # lines, for programs and files
    for curve in found.curves:
        out.print(f"target    {plain(str(curve.wish))}", soft_wrap=whole)
    out.print(f"schedule  {plain(found.schedule)}", soft_wrap=whole)
    out.print()
    mark = "" if found.ranges else "[bold yellow]![/] "
    out.print(f"{mark}[bold]{plain(found.answer)}[/]", soft_wrap=whole)
    if found.ranges:
        out.print(f"  {plain(found.chosen)}", soft_wrap=whole)
    elif found.found_by > 0.0:
        out.print(
            f"Under {100 * found.found_by:.0f} % of the draws of the parameters it is met in the range."
        )
    for curve in found.curves:
        if people := found.people(curve):
            prefix = f"{curve.wish}: " if len(found.curves) > 1 else ""
            out.print(plain(prefix + people), soft_wrap=whole)
    out.print(_table(found))
    reasons = [because(curve.wish.endpoint.name, found.standing(curve)) for curve in found.curves]
    print_lights(reasons, [standing.light for standing in found.standings])
    _remarks([found], whole)


def _table(found: Attainment) -> Table:
    from pkpd.present.report.numbers import finite_or_word, signed_by, unit

    made = table(found.unknown.called)
    for curve in found.curves:
        endpoint = curve.wish.endpoint
        what = "draws" if curve.of_group else "people"
        shown = f" ({unit(endpoint.unit)})" if unit(endpoint.unit) else ""
        made.add_column(plain(f"{what} with {curve.wish.relation} {curve.wish.value:g}"))
        made.add_column(plain(f"{endpoint.name}{shown}, median"))
    for i, x in enumerate(found.x):
        cells = [f"{x:g}"]
        for curve in found.curves:
            share = signed_by(curve.standings[i].light, curve.people(i).shown)
            cells += [share, finite_or_word(float(curve.median[i]))]
        made.add_row(*(lit(plain(cell)) for cell in cells), style="bold" if x == found.value else None)
    return made


def show_boundary(found: Boundary) -> None:
    """Print the answer for each value of the second unknown."""
    from pkpd.present.report.numbers import signed_by

    out = console()
    whole = not out.is_terminal
    first = found.rows[0]
    for curve in first.curves:
        out.print(f"target    {plain(str(curve.wish))}", soft_wrap=whole)
    out.print(f"schedule  {plain(str(first.provenance['schedule']))}", soft_wrap=whole)
    made = table(found.over.called, plain(found.unknown.words(found.end)), "90 % by the parameters")
    for value, row in zip(found.over.values, found.rows, strict=True):
        answer = found.unknown.shown(row.value) if row.ranges else "nowhere in the range"
        if row.everywhere:
            answer += " or below" if row.end == "smallest" else " or above"
        cells = (f"{float(value):g}", signed_by(row.weakest.light, answer), row.interval)
        made.add_row(*(lit(plain(cell)) for cell in cells))
    out.print(made)
    print_lights([], [standing.light for standing in found.standings])
    _remarks(found.rows, whole)


def _remarks(rows: Sequence[Attainment], whole: bool) -> None:
    out = console()
    remarks = list(dict.fromkeys(line for row in rows for line in (*row.notes, *row.warnings)))
    for line in remarks[:WARNINGS]:
        out.print(f"[yellow]![/] {plain(line)}", soft_wrap=whole)
    if len(remarks) > WARNINGS:
        out.print(f"[yellow]![/] and {len(remarks) - WARNINGS} more: --json and -o FILE.json have all.")
    for line in (*rows[0].reading, "A model, not medical advice."):
        out.print(plain(line), style="dim", soft_wrap=whole)
