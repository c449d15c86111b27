"""``pkpd individualise``: what measured values say of one person, and what may follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli.compare import print_comparison
from pkpd.cli.fits import FitArgument, print_remarks
from pkpd.cli.scenes import (
    CriteriaOption,
    DrawsOption,
    OutputOption,
    PosteriorOption,
    SetOption,
    StudyOption,
    UntilOption,
    VaryOption,
    check_output,
    command_line,
    write_result,
)
from pkpd.cli.terminal import (
    JobsOption,
    JsonOption,
    QuietOption,
    SeedOption,
    Work,
    console,
    in_time_unit,
    overrides,
    plain,
    print_json,
    table,
)
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.decision.comparison import Comparison
    from pkpd.decision.wishes import Constraint
    from pkpd.inference.individual import Individual
    from pkpd.present.share import PersonAhead


def individualise(
    fit: FitArgument,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA.csv", help="Measured values of one person: time, time_unit, output, value, unit."
        ),
    ],
    given: Annotated[
        str,
        typer.Option(
            help='The doses that the person had, "1 MIU sc daily x5; miss day 3"; times of the table count '
            "from its day 0."
        ),
    ],
    following: Annotated[
        list[str] | None,
        typer.Option(
            "--next",
            metavar="SCHEDULE",
            help='A schedule that may follow, and when it begins: "2 MIU sc daily x5 from day 28", which '
            'doses of it are missed, late or doubled: "; miss day 30". Repeatable.',
        ),
    ] = None,
    wish: Annotated[
        list[str] | None,
        typer.Option(
            help='What is wanted of it, in words as of pkpd optimise: "Treg mean fold at least 1.2". '
            "Repeatable.",
        ),
    ] = None,
    set_: SetOption = None,
    study: StudyOption = None,
    vary: VaryOption = "between,uncertainty",
    subjects: Annotated[int, typer.Option(min=1, help="How many draws of what this person may be.")] = 1000,
    draws: DrawsOption = 25,
    posterior: PosteriorOption = None,
    seed: SeedOption = 1,
    until: UntilOption = None,
    endpoints: CriteriaOption = None,
    output: OutputOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What measured values of one person say of this person, and what schedules that may follow would do.

    [dim]Examples[/]

      pkpd individualise low_dose_il2 her.csv --given "1 MIU sc daily x5" -o her.html
      pkpd individualise low_dose_il2 her.csv --given "1 MIU sc daily x5; miss day 3"
      pkpd individualise my_fit he.csv --given "5 mg iv once" --next "9 mg iv once from day 7"
      pkpd individualise my_fit he.csv --given "5 mg iv once" --set "BSA = Mosteller(70 kg, 172 cm)"

    Empirical Bayes: the prior is the fit's population, the error of a measurement that of the fit. The table
    has a line for each measured value; one at the time of a dose was measured before it.
    """
    options = dict(locals())
    check_output(output)
    from pkpd.decision.comparison import Scene, compare
    from pkpd.inference import read_fit
    from pkpd.inference.individual import individualise as run
    from pkpd.present.share import PersonAhead
    from pkpd.solver.kernel import load

    fit = str(Path(fit).absolute().parent) if fit.endswith(".json") else fit
    until_days = None if until is None else in_time_unit(until, "d", "--until")
    with Work("reading and compiling the model (once: it is cached)", quiet):
        kernel = load(read_fit(fit).main.model)
    values = overrides(set_ or [], kernel)
    known = {
        name for name, kind, between in zip(kernel.PARAMETERS, kernel.KINDS, kernel.BETWEEN, strict=True)
        if kind == "covariate" or between
    }  # fmt: skip
    with Work("asking what this person may be", quiet) as work:
        person = run(
            fit,
            data,
            given,
            subjects=subjects,
            draws=draws,
            seed=seed,
            vary=[name.strip() for name in vary.split(",") if name.strip()],
            study=study,
            covariates={name: value for name, value in values.items() if name in known},
            parameters={name: value for name, value in values.items() if name not in known},
            posterior=posterior,
            threads=jobs,
            progress=work.update,
        )
        comparison = None
        if following:
            work.update("simulating what may follow")
            scene = Scene.of_person(person, until_days=until_days, threads=jobs, endpoints=endpoints)
            comparison = compare(
                scene.arms(following, files=[f"--next {i + 1}" for i in range(len(following))])
            )
        ahead = PersonAhead(person, comparison, _wishes(wish, comparison))
    if output is not None:
        write_result(ahead, output, command_line(individualise, [fit, str(data)], options), quiet or json)
    if json:
        print_json(ahead.to_dict())
    elif not quiet:
        _show(ahead)


def _wishes(texts: list[str] | None, comparison: Comparison | None) -> tuple[Constraint, ...]:
    if not texts:
        return ()
    if comparison is None:
        raise InputError('--wish is about schedules that may follow: give one with --next "..."')
    from pkpd.decision.wishes import parse_constraints

    return parse_constraints(texts, comparison.endpoints, comparison.arms[0].scene.criteria)


def _show(ahead: PersonAhead) -> None:
    person, comparison, out = ahead.person, ahead.following, console()
    n = len(person.measurements)
    out.print(f"[bold]One person[/], {n} measurement{'s' * (n != 1)}, after {plain(str(person.given))}")
    out.print(_measured(person))
    out.print(_parameters(person))
    out.print(
        f"Median and 90 % interval over {len(person.after):,} draws of what this person may be; the "
        f"effective sample size is {person.effective:,.0f}. Learned: by how much the measurements narrowed "
        "the variance of the logarithm.",
        style="dim",
    )
    if comparison is None:
        print_remarks(out, person.notes)
        return
    for remark in person.notes:
        if remark not in person.after.notes:  # those the comparison tells
            out.print(plain(remark), style="yellow")
    out.print()
    out.print("[bold]What may follow[/]")
    print_comparison(comparison.main())
    if ahead.wishes:
        out.print()
        out.print(_wished(ahead, comparison))


def _measured(person: Individual) -> Table:
    unit = person.kernel.TIME_UNIT
    rows = table(f">at ({unit})", "output", ">measured", ">people", ">this person")
    for row in person.rows():
        rows.add_row(
            f"{row['time']:g}",
            _named(row["output"], row["unit"]),
            f"{row['value']:.4g} ± {row['error']:.2g}",
            _interval(row["before"]),
            _interval(row["after"]),
        )
    return rows


def _parameters(person: Individual) -> Table:
    rows = table("parameter", ">people", ">this person", ">learned")
    for row in person.parameters():
        learned = f"{100 * row['learned']:.0f} %"
        name = _named(row["name"], row["unit"])
        rows.add_row(name, _interval(row["before"]), _interval(row["after"]), learned)
    return rows


def _named(name: str, unit: str) -> str:
    from pkpd.present.report.numbers import unit as shown

    return plain(name if unit == "1" else f"{name} ({shown(unit)})")


def _interval(band: Sequence[float]) -> str:
    low, middle, high = band
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def _wished(ahead: PersonAhead, comparison: Comparison) -> Table:
    from pkpd.decision.comparison import letters

    marks = letters(len(comparison.arms))
    rows = table("probability that", *(f">{mark}" for mark in marks))
    held = [ahead.held(arm) for arm in comparison.arms]
    names = [*map(str, ahead.wishes)] + ["all of these"] * (len(ahead.wishes) > 1)
    for i, name in enumerate(names):
        rows.add_row(plain(name), *(f"{100 * shares[i]:.0f} %" for shares in held))
    return rows
