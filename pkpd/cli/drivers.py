"""``pkpd drivers``: what drives an endpoint, in a table, in files and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli.scenes import (
    CriteriaOption,
    FitOption,
    OutputOption,
    PosteriorOption,
    SetOption,
    StudyOption,
    UntilOption,
    check_output,
    command_line,
    scene_of,
    write_result,
)
from pkpd.cli.terminal import (
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
)
from pkpd.treg import FIT

if TYPE_CHECKING:
    from pkpd.decision.drivers import Driver, Drivers

ROWS = 12  # of each origin that are printed; files have all


def drivers(
    schedule: Annotated[str, typer.Argument(help='Such as "1 MIU sc daily x5".', show_default=False)],
    endpoint: Annotated[
        str,
        typer.Option(help='By name: "Treg mean fold" (pkpd compare lists them).', show_default=False),
    ],
    fit: FitOption = FIT,
    by: Annotated[
        str, typer.Option(help="Driven by what: people, parameters, or both.")
    ] = "people,parameters",
    samples: Annotated[
        int, typer.Option(help="Pairs of samples behind the shares of variance, a power of two.")
    ] = 256,
    posterior: PosteriorOption = None,
    seed: SeedOption = 1,
    study: StudyOption = None,
    set_: SetOption = None,
    until: UntilOption = None,
    endpoints: CriteriaOption = None,
    output: OutputOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find what drives an endpoint: differences between people, and parameters that are not known well.

    [dim]Examples[/]

      pkpd drivers "1 MIU sc daily x5 every 28 d x3" --endpoint "Treg mean fold"
      pkpd drivers "1 MIU sc daily x5" --endpoint "NK peak fold" --by parameters -o tornado.png
      pkpd drivers "100 mg oral daily x5" --fit ./my_fit --endpoint AUC --samples 1024 --json
    """
    options = dict(locals())
    from pkpd.core.extras import optional
    from pkpd.decision.drivers import drivers as run

    optional("SALib", "sensitivity")
    check_output(output)
    who = (seed, "between,uncertainty", study, set_, None, until, jobs, quiet, endpoints, posterior)
    scene = scene_of(fit, 1, 1, *who)
    with Work("simulating", quiet) as work:
        found = run(
            scene,
            schedule,
            endpoint,
            origins=[name.strip() for name in by.split(",") if name.strip()],
            samples=samples,
            seed=seed,
            progress=work.update,
        )
    if output is not None:
        write_result(found, output, command_line(drivers, [schedule], options), quiet)
    if json:
        print_json(found.to_dict())
    elif not quiet:
        show(found)


def show(found: Drivers) -> None:
    """Print the origins with their inputs, and how to read them."""
    from pkpd.present.report.drivers import origin_words
    from pkpd.present.report.numbers import because, finite_or_word, signed_by, unit

    out = console()
    whole = not out.is_terminal  # lines, for programs and files
    shown = unit(found.endpoint.unit)
    typical = signed_by(found.standing.light, f"{finite_or_word(found.typical)} {shown}".strip())
    out.print(f"{plain(found.endpoint.name)} under {plain(str(found.schedule))}", soft_wrap=whole)
    out.print(f"{lit(plain(typical))} in the typical person, from whom ends are counted", soft_wrap=whole)
    for origin in found.origins:
        out.print()
        out.print(f"[bold]by {plain(origin_words(origin))}[/]", soft_wrap=whole)
        ends = f"endpoint there{f' ({shown})' if shown else ''}"
        made = table("input", "its 5 % to 95 %", plain(ends), "first %", "total %")
        some = found.of(origin.by)
        for one in some[:ROWS]:
            made.add_row(*map(plain, _cells(one, found.typical)))
        out.print(made)
        if len(some) > ROWS:
            out.print(f"and {len(some) - ROWS} more, which do less: --json and -o FILE have all", style="dim")
    print_lights([because(found.endpoint.name, found.standing)], [found.standing.light])
    for line in found.warnings:
        out.print(f"[yellow]![/] {plain(line)}", soft_wrap=whole)
    for line in (*found.reading, "A model, not medical advice."):
        out.print(plain(line), style="dim", soft_wrap=whole)


def _cells(one: Driver, typical: float) -> tuple[str, ...]:
    from pkpd.present.report.drivers import percent
    from pkpd.present.report.numbers import finite_or_word as word
    from pkpd.present.report.numbers import unit

    shown = unit(one.unit)
    values = f"{word(one.low_value)} to {word(one.high_value)}{f' {shown}' if shown else ''}"
    ends = f"{word(one.low - typical, True)} to {word(one.high - typical, True)}"
    return one.name, values, ends, percent(one.first, one.first_ends), percent(one.total, one.total_ends)
