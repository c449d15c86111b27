"""``pkpd dose-response``: an endpoint over the dose, in a table, in files and as a figure."""

from __future__ import annotations

import math
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
    from pkpd.decision.response import DoseResponse

WARNINGS = 4  # that are printed; files have all


def dose_response(
    schedule: Annotated[
        str,
        typer.Argument(
            help='With a "?" for a dose, an interval, a number of doses or of cycles: "? MIU sc daily x5".',
            show_default=False,
        ),
    ],
    endpoint: Annotated[
        str,
        typer.Option(help='By name: "Treg mean fold" (pkpd compare lists them).', show_default=False),
    ],
    over: Annotated[
        str | None,
        typer.Option(
            help='Another endpoint that it is shown against, person by person: "AUC".', show_default=False
        ),
    ] = None,
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
    points: Annotated[int, typer.Option(min=2, help="How many values of a range.")] = 13,
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
    """Show an endpoint over the dose, the interval or the number of doses, and over an exposure.

    [dim]Examples[/]

      pkpd dose-response "? MIU sc daily x5 every 28 d x3" --endpoint "Treg mean fold"
      pkpd dose-response "? MIU sc daily x5" --endpoint "Treg peak fold" --over AUC -o response.png
      pkpd dose-response "1 MIU sc daily x5 every ? d x3" --endpoint "Treg mean fold" --interval "14 to 56 d"
    """
    options = dict(locals())
    from pkpd.decision.inverse import OpenSchedule
    from pkpd.decision.response import dose_response as run

    check_output(output)
    OpenSchedule.parse(schedule)
    as_taken = taking(adherence, jitter)
    scene = scene_of(
        fit, subjects, draws, seed, vary, study, set_, responders, until, jobs, quiet, endpoints, posterior
    )
    with Work("simulating", quiet) as work:
        found = run(
            scene,
            schedule,
            endpoint,
            over=over,
            dose=dose,
            interval=interval,
            days=days,
            cycles=cycles,
            points=points,
            progress=work.update,
            **as_taken,
        )
    if output is not None:
        write_result(found, output, command_line(dose_response, [schedule], options), quiet)
    if json:
        print_json(found.to_dict())
    elif not quiet:
        show(found)


def show(found: DoseResponse) -> None:
    """Print the curve, the published numbers, what the exposure says, and how to read it."""
    from pkpd.present.report.numbers import finite_or_word as word
    from pkpd.present.report.numbers import signed_by, unit
    from pkpd.present.report.response import reasons

    out = console()
    whole = not out.is_terminal  # lines, for programs and files
    shown = f" ({unit(found.endpoint.unit)})" if unit(found.endpoint.unit) else ""
    out.print(f"{plain(found.endpoint.name + shown)} under {plain(found.pattern)}", soft_wrap=whole)
    made = table(
        found.unknown.called, "median of people", "half of people", "90 % of people", "by parameters"
    )
    for i, x in enumerate(found.values):
        low, lower, middle, upper, high = map(float, found.people[:, i])
        ends = f"{word(found.low[i])} to {word(found.high[i])}" if not math.isnan(found.low[i]) else ""
        median = signed_by(found.value_standings[i].light, word(middle))
        cells = (f"{x:g}", median, f"{word(lower)} to {word(upper)}", f"{word(low)} to {word(high)}")
        made.add_row(*(lit(plain(cell)) for cell in (*cells, ends)))
    out.print(made)
    print_lights(reasons(found), [standing.light for standing in found.value_standings])
    for point in found.published_doses:
        said = f"published  {point.x:g}: {word(point.value)}{shown}, {point.said}"
        mark = ", unverified" if point.provenance == "unverified" else ""
        out.print(plain(said + mark), soft_wrap=whole)
    if (of := found.exposure) is not None and not math.isnan(of.spearman):
        within = "" if math.isnan(of.within) else f"; of people at one value {of.within:.2f}"
        out.print(
            f"rank correlation with {plain(of.over.name)}: {of.spearman:.2f} over all values{within}",
            soft_wrap=whole,
        )
    for line in found.warnings[:WARNINGS]:
        out.print(f"[yellow]![/] {plain(line)}", soft_wrap=whole)
    if len(found.warnings) > WARNINGS:
        out.print(
            f"[yellow]![/] and {len(found.warnings) - WARNINGS} more: --json and -o FILE.json have all."
        )
    for line in (*found.reading, "A model, not medical advice."):
        out.print(plain(line), style="dim", soft_wrap=whole)
