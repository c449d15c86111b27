"""``pkpd optimise``: the schedules between which there is a choice, in a table, in files and as a report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

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
    taking,
)
from pkpd.treg import FIT

if TYPE_CHECKING:
    from pkpd.decision.evidence import Standing
    from pkpd.decision.optimisation import Choice, Front

WARNINGS = 8  # that are printed; files have all


def optimise(
    constraints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONSTRAINT...",
            help='What must hold: "Treg at least +50 % on average", "NK under twice baseline in 90 % of '
            'people", "at most 8 injections a month", or any endpoint: "NK peak fold < 3".',
            show_default=False,
        ),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            help='Two or three endpoints to trade: "Treg mean fold, dose per 28 days", "max Cmax" '
            "(default: Treg and NK mean fold; of a model "
            "without these what it has most like them).",
            show_default=False,
        ),
    ] = None,
    dose: Annotated[
        str | None,
        typer.Option(
            help='Doses: "1, 1.5, 2 MIU", "0.5 to 3 MIU by 0.5"; without a step, all between (default: '
            f"what the endpoints of the fit say; of {FIT} 0.25 to 3 MIU by 0.25).",
            show_default=False,
        ),
    ] = None,
    days: Annotated[str, typer.Option(help="Doses in a cycle.")] = "1 to 14",
    spacing: Annotated[str, typer.Option(help='Days between them: "1 d", "1, 2, 3 d".')] = "1 d",
    interval: Annotated[
        str, typer.Option(help='From cycle to cycle: "7 to 56 d", "2, 4, 8 weeks".')
    ] = "7 to 56 d by 7",
    cycles: Annotated[
        str | None, typer.Option(help="Number of cycles (default: 2 to 6).", show_default=False)
    ] = None,
    for_: Annotated[
        str | None,
        typer.Option("--for", help='Or as many as the treatment holds: "84 d".', show_default=False),
    ] = None,
    route: Annotated[
        str | None,
        typer.Option(
            help="How the doses are given (default: what the endpoints of the fit say, else the model's "
            "first route).",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        float,
        typer.Option(
            min=0.5,
            max=1.0,
            help="Probability with which the median subject, or the share of people that is asked for, must "
            "hold each constraint, by the uncertainty of the parameters.",
        ),
    ] = 0.5,
    evaluations: Annotated[int, typer.Option(min=1, help="How many schedules the search may look at.")] = 600,
    fit: FitOption = FIT,
    subjects: Annotated[
        int,
        typer.Option(
            min=1, help="How many virtual subjects the front is simulated in; the search uses 104 of them."
        ),
    ] = 1000,
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
    """Find the schedules between which there is a choice: none of the others is better in every objective.

    [dim]Examples[/]

      pkpd optimise "Treg at least +30 % on average, NK under three times baseline"
      pkpd optimise "NK mean fold < 3" --dose "0.5, 1, 2 MIU" --for "168 d" -o report.html
      pkpd optimise "NK under twice baseline in 90 % of people, at most 8 injections a month"
      pkpd optimise "at most 10 MIU a month" --objectives "Treg mean fold, NK mean fold"

    Constraints are parted by "," or given one by one. Ctrl-C ends the search with what was found until then.
    """
    # what could fail cheaply fails before anything is computed
    options = dict(locals())
    from pkpd.decision.optimisation import Space, usual_space
    from pkpd.decision.optimisation import optimise as run

    check_output(output)
    lists: dict[str, Any] = {
        "days": days,
        "interval": interval,
        "cycles": cycles,
        "spacing": spacing,
        "duration": for_,
    }
    Space.parse(dose or "1 mg", route=route or "sc", **lists)
    as_taken = taking(adherence, jitter)
    scene = scene_of(
        fit, subjects, draws, seed, vary, study, set_, responders, until, jobs, quiet, endpoints, posterior
    )
    with Work("searching", quiet) as work:
        front = run(
            scene,
            usual_space(scene, dose, route, **lists),
            constraints or (),
            objectives,
            confidence=confidence,
            evaluations=evaluations,
            progress=work.update,
            **as_taken,
        )
    if output is not None:
        write_result(front, output, command_line(optimise, constraints or [], options), quiet)
    if json:
        print_json(front.to_dict())
    elif not quiet:
        show(front)


# --- the table ------------------------------------------------------------------------------------


def show(front: Front) -> None:
    """Print a front: what was asked, the table, warnings, and how to read it."""
    from pkpd.present.report.numbers import legend

    out = console()
    whole = not out.is_terminal  # lines, for programs and files
    for title, wishes in (("objectives", front.objectives), ("constraints", front.constraints)):
        if wishes:
            out.print(f"{title:<12} {plain('; '.join(map(str, wishes)))}", soft_wrap=whole)
    out.print()
    if front.interrupted or front.infeasible:
        for line in filter(None, (front.infeasible, front.interrupted and front.notes[0])):
            out.print(f"[bold yellow]![/] {plain(str(line))}", soft_wrap=whole)
        out.print()
    for text in _lines(front):
        out.print(text, soft_wrap=True)
    out.print()
    warnings = [line for line in front.warnings if not (front.interrupted and line == front.notes[0])]
    for line in warnings[:WARNINGS]:
        out.print(f"[yellow]![/] {plain(line)}", soft_wrap=whole)
    if len(warnings) > WARNINGS:
        out.print(f"[yellow]![/] and {len(warnings) - WARNINGS} more warnings: -o report.html has all.")
    meant = legend(standing.light for choice in front.shown for standing in _standings(front, choice))
    if meant:
        out.print(lit(plain(f"{meant} Why it is so: --json, -o report.html.")), soft_wrap=whole)
    for line in front.reading:
        out.print(plain(line), style="dim", soft_wrap=whole)
    out.print("A model, not medical advice.", style="dim")


def _standings(front: Front, choice: Choice) -> list[Standing]:
    """Of what the table has."""
    return [choice.standings[endpoint] for endpoint in front.endpoints]


def _lines(front: Front) -> list[str]:
    """The table as lines: a block for each schedule, with its name, medians, intervals and probabilities."""
    from pkpd.present.report.numbers import unit

    arrows = {objective.endpoint: "↑" if objective.sign > 0 else "↓" for objective in front.objectives}
    heads = (
        [
            " ".join(
                filter(
                    None,
                    [
                        endpoint.name,
                        f"({shown})" if (shown := unit(endpoint.unit)) else "",
                        arrows.get(endpoint, ""),
                    ],
                )
            )
            for endpoint in front.endpoints
        ]
        + (["P(all)"] if front.constraints else [])
        + ["P(front)"]
    )
    blocks = [(f"{choice.number:>2}  {choice.schedule}", _cells(front, choice)) for choice in front.shown]
    widths = [
        max(len(head), *(len(row[i]) for _, rows in blocks for row in rows)) for i, head in enumerate(heads)
    ]

    def line(cells: list[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return lit(plain("    " + "  ".join(padded).rstrip()))

    lines = [line(heads), "─" * (sum(widths) + 2 * len(widths) + 2)]
    for name, rows in blocks:
        lines += [f"[bold]{plain(name)}[/]", *(line(row) for row in rows if any(row))]
    return lines


def _cells(front: Front, choice: Choice) -> list[list[str]]:
    """Medians, intervals and probabilities, in the columns of the table."""
    from pkpd.present.report.numbers import finite_or_word as word
    from pkpd.present.report.numbers import signed_by

    medians, spans, people, chances = [], [], [], []
    for endpoint in front.endpoints:
        estimate = choice.estimates[endpoint]
        median = "no value" if math.isnan(estimate.median) else word(estimate.median)
        medians.append(signed_by(choice.standings[endpoint].light, median))
        ends = [word(estimate.low), word(estimate.high)]
        spans.append("" if ends[0] == ends[1] else " to ".join(ends))
        asked = [
            (p, share)
            for constraint, p, share in zip(front.constraints, choice.held, choice.shares, strict=True)
            if constraint.endpoint == endpoint
        ]
        people.append(", ".join(f"in {share.shown}" for _, share in asked if share is not None))
        chances.append(", ".join(f"P {100 * p:.0f} %" for p, _ in asked))
    together = [f"{100 * choice.held_all:.0f} %"] if front.constraints else []
    empty = [""] * (len(together) + 1)
    first = [*medians, *together, f"{100 * choice.stays:.0f} %"]
    return [first, *([*row, *empty] for row in (spans, people, chances))]
