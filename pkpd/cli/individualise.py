"""``pkpd individualise``: what measured values say of one person, and what may follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pkpd.cli.compare import print_comparison
from pkpd.cli.fits import FitArgument, print_remarks
from pkpd.cli.scenes import DrawsOption, PosteriorOption, SetOption, StudyOption, UntilOption, VaryOption
from pkpd.cli.terminal import (
    JobsOption,
    JsonOption,
    QuietOption,
    SeedOption,
    Work,
    console,
    in_time_unit,
    note,
    overrides,
    plain,
    print_json,
    table,
)
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.decision.comparison import Arm, Comparison
    from pkpd.decision.optimisation.wishes import Constraint
    from pkpd.inference.individual import Individual

FIGURES = (".png", ".svg", ".pdf")


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
            help='A schedule that may follow, and when it begins: "2 MIU sc daily x5 from day 28". '
            "Repeatable.",
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
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the figure, .png, .svg or .pdf, or a folder with it and individual.json.",
            show_default=False,
        ),
    ] = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What measured values of one person say of this person, and what schedules that may follow would do.

    [dim]Examples[/]

      pkpd individualise low_dose_il2 her.csv --given "1 MIU sc daily x5" -o her.png
      pkpd individualise low_dose_il2 her.csv --given "1 MIU sc daily x5; miss day 3"
      pkpd individualise my_fit he.csv --given "5 mg iv once" --next "9 mg iv once from day 7"
      pkpd individualise my_fit he.csv --given "5 mg iv once" --set "BSA = Mosteller(70 kg, 172 cm)"

    Empirical Bayes: the prior is the fit's population, the error of a measurement that of the fit. The table
    has a line for each measured value; one at the time of a dose was measured before it.
    """
    _check_output(output)
    from pkpd.decision.comparison import Scene, compare
    from pkpd.inference import read_fit
    from pkpd.inference.individual import individualise as run
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
            scene = Scene.of_person(person, until_days=until_days, threads=jobs)
            comparison = compare(
                scene.arms(following, files=[f"--next {i + 1}" for i in range(len(following))])
            )
        wishes = _wishes(wish, comparison)
        if output is not None:
            work.update("drawing")
            _write(person, comparison, wishes, output)
    if json:
        print_json(_facts(person, comparison, wishes))
    elif not quiet:
        _show(person, comparison, wishes)
    if output is not None:
        note(f"wrote {output}", quiet or json)


def _check_output(output: Path | None) -> None:
    from pkpd.core.files import check_folder, check_target

    if output is None:
        return
    if output.suffix and not output.is_dir():
        check_target(output, FIGURES)
    else:
        check_folder(output if output.is_dir() else output.parent)


def _wishes(texts: list[str] | None, comparison: Comparison | None) -> tuple[Constraint, ...]:
    if not texts:
        return ()
    if comparison is None:
        raise InputError('--wish is about schedules that may follow: give one with --next "..."')
    from pkpd.decision.optimisation.wishes import parse_constraints

    return parse_constraints(texts, comparison.endpoints, comparison.arms[0].scene.criteria)


def _holding(arm: Arm, wishes: Sequence[Constraint]) -> list[float]:
    """How probable each wish is under a schedule, and all of them together."""
    import numpy as np

    holds = [wish.holds(arm.endpoints[wish.endpoint]) for wish in wishes]
    return [float(one.mean()) for one in (*holds, np.all(holds, axis=0))]


def _facts(person: Individual, comparison: Comparison | None, wishes: Sequence[Constraint]) -> dict[str, Any]:
    facts = person.to_dict()
    if comparison is not None:
        facts["comparison"] = comparison.to_dict()
        facts["wishes"] = {
            arm.label: dict(zip([*map(str, wishes), "all"], _holding(arm, wishes), strict=True))
            for arm in comparison.arms
            if wishes
        }
    return facts


def _show(person: Individual, comparison: Comparison | None, wishes: Sequence[Constraint]) -> None:
    out = console()
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
    if wishes:
        out.print()
        out.print(_wished(comparison, wishes))


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


def _wished(comparison: Comparison, wishes: Sequence[Constraint]) -> Table:
    from pkpd.decision.comparison import letters

    marks = letters(len(comparison.arms))
    rows = table("probability that", *(f">{mark}" for mark in marks))
    held = [_holding(arm, wishes) for arm in comparison.arms]
    names = [*map(str, wishes)] + ["all of these"] * (len(wishes) > 1)
    for i, name in enumerate(names):
        rows.add_row(plain(name), *(f"{100 * shares[i]:.0f} %" for shares in held))
    return rows


def _write(
    person: Individual, comparison: Comparison | None, wishes: Sequence[Constraint], output: Path
) -> None:
    from pkpd.core.files import replacing, to_json
    from pkpd.present.plot import save

    figure = _figure(person, comparison)
    if output.suffix and not output.is_dir():
        save(figure, output)
        return
    output.mkdir(exist_ok=True)
    save(figure, output / "individual.png")
    with replacing(output / "individual.json") as temporary:
        temporary.write_text(to_json(_facts(person, comparison, wishes)), encoding="utf-8")


def _figure(person: Individual, comparison: Comparison | None) -> Any:
    """What was measured and what may follow, of the outputs that were measured."""
    import numpy as np

    from pkpd.dosing import time_units_per_day
    from pkpd.inference.individual import LEVELS
    from pkpd.present.plot import individual_figure
    from pkpd.solver import Options, solve
    from pkpd.solver.options import BANDS

    kernel, per_day = person.kernel, time_units_per_day(person.kernel.TIME_UNIT)
    names = list(dict.fromkeys(one.output for one in person.measurements)) or list(kernel.OUTPUTS[:1])
    known = [one.time / per_day for one in person.measurements]
    begins = (
        [float(arm.dose_days.min()) for arm in comparison.arms if arm.dose_days.size] if comparison else []
    )
    end = max([1.0, person.given.span + 7.0, *known]) * 1.02
    start, end = min([0.0, *known]), min(begins, default=end)
    days = np.unique(np.r_[np.linspace(start, end, 240), known])
    places = {name: kernel.OUTPUTS.index(name) for name in names}

    def band(people: Any, schedule: Any, at: Any) -> dict[str, Any]:
        events, how = schedule.events_for(kernel), Options(rtol=BANDS)
        outputs = solve(kernel, people.values, events, at * per_day, options=how).outputs
        found = np.nanquantile(outputs[:, :, list(places.values())], LEVELS, axis=0)
        return {"days": at, "bands": {name: found[:, :, i] for i, name in enumerate(names)}}

    forecasts = {
        arm.label: band(person.after, person.given + arm.schedule, arm.days[arm.days >= end])
        for arm in (comparison.arms if comparison else ())
    }
    return individual_figure(
        [{**row, "day": row["time"] / per_day} for row in person.rows()],
        band(person.before, person.given, days),
        band(person.after, person.given, days),
        forecasts,
        units={name: kernel.OUTPUT_UNITS[place] for name, place in places.items()},
        descriptions={name: kernel.OUTPUT_DESCRIPTIONS[place] for name, place in places.items()},
        doses=[float(dose.time_days) for dose in person.given.doses()],
        title=f"One person after {person.given}",
    )
