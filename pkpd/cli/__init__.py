"""The command line: ``pkpd models | show | simulate | compare | optimise | fit | report | explore | bench``.

Results go to standard output (tables, or JSON with ``--json``), progress and notes to standard error. Exit
codes: 0 done, 2 wrong usage, 3 bad input, 4 an integration failed, 5 no convergence, 6 a missing extra, 130
    interrupted. Nothing but typer is loaded
before a command runs.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pkpd.cli import streams
from pkpd.cli.compare import compare
from pkpd.cli.explore import explore
from pkpd.cli.optimise import optimise
from pkpd.cli.terminal import (
    JobsOption,
    JsonOption,
    OfSchedules,
    QuietOption,
    SeedOption,
)
from pkpd.cli.terminal import Work as _Work
from pkpd.cli.terminal import check_known as _check_known
from pkpd.cli.terminal import console as _console
from pkpd.cli.terminal import in_time_unit as _in_time_unit
from pkpd.cli.terminal import note as _note
from pkpd.cli.terminal import overrides as _overrides
from pkpd.cli.terminal import plain as _plain
from pkpd.cli.terminal import print_json as _print_json
from pkpd.cli.terminal import table as _table
from pkpd.core.errors import InputError, PkpdError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from pkpd.dosing.records import Records
    from pkpd.inference import FitResult
    from pkpd.model.check import Model
    from pkpd.simulation.profile import Profile
    from pkpd.solver.kernel import Kernel

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Pharmacokinetic and pharmacodynamic models: read, simulate, fit to published summaries, report.

[bold]Begin with[/]

  pkpd models
  pkpd show il2_treg
  pkpd simulate il2_treg "1 MIU sc daily x5 every 28 d x3" --plot course.png
  pkpd compare "1 MIU sc daily x5 every 28 d x3" "2 MIU sc daily x5 every 28 d x3"
  pkpd optimise "NK under three times baseline, at most 8 injections a month"
  pkpd fit low_dose_il2

A model is a text file: [italic]pkpd show ./my.model[/] checks yours. Results are those of a
model and no medical advice.""",
)

TABLE_ENDINGS = (".csv", ".parquet", ".json")
FIGURE_ENDINGS = (".png", ".svg", ".pdf")
MOST_DRAWN = 100_000_000  # numbers that are computed for a picture


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends with ``SystemExit``. Our own errors are printed as their sentence, without
    traceback."""
    streams.settle(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            app(arguments, prog_name="pkpd")
        finally:
            streams.flush()
    except PkpdError as error:
        _stop(str(error), error.exit_code)
    except OSError as error:
        where = f" {error.filename!r}" if error.filename else ""
        _stop(f"{error.strerror or error}{where}", InputError.exit_code)
    except MemoryError as error:
        _stop(f"this machine has too little memory for it ({error})", InputError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _stop(sentence: str, code: int) -> None:
    # rich would wrap the line under which a caret stands
    print(f"error: {sentence}", file=sys.stderr)  # noqa: T201
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        from pkpd import __version__

        typer.echo(f"pkpd {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


# --- models ---------------------------------------------------------------------------------------


@app.command()
def models(json: JsonOption = False) -> None:
    """List the models and fits that come with the package.

    [dim]Examples[/]

      pkpd models
      pkpd models --json
    """
    from pkpd.core import library

    titles = {name: _title(library.read_model_text(name)[0]) for name in library.models()}
    if json:
        _print_json(
            {"models": [{"name": n, "title": t} for n, t in titles.items()], "fits": list(library.fits())}
        )
        return
    table = _table("model", "what it is")
    for name, title in titles.items():
        table.add_row(name, title)
    out = _console()
    out.print(table)
    out.print(f"fits: {', '.join(library.fits())}", style="dim")
    out.print("next: pkpd show MODEL, pkpd simulate MODEL SCHEDULE, pkpd fit FIT", style="dim")


def _title(text: str) -> str:
    """The title that a model's text gives itself, without reading the rest."""
    found = re.search(r"^model\s+([^#\n]*)", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


# --- show -----------------------------------------------------------------------------------------


@app.command()
def show(
    model: Annotated[
        str, typer.Argument(help="Name of a model (see [italic]pkpd models[/]) or path of a .model file.")
    ],
    latex: Annotated[bool, typer.Option("--latex", help="Print the equations as LaTeX.")] = False,
    source: Annotated[
        bool, typer.Option("--source", help="Print the generated Python source of the compiled kernel.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check a model and print its equations, units, sparsity, and parameters with their sources.

    [dim]Examples[/]

      pkpd show il2_treg
      pkpd show ./my.model
      pkpd show il2_treg --latex
      pkpd show il2_treg --source > kernel.py
    """
    if latex + source + json > 1:
        raise InputError("choose one of --latex, --source and --json")
    if source:
        from pkpd.solver.kernel import load

        typer.echo(load(model).source, nl=False)
        return
    from pkpd.core import library
    from pkpd.model.check import read_model

    checked = read_model(*library.read_model_text(model))
    if latex:
        from pkpd.model.latex import model_latex

        typer.echo(model_latex(checked))
        return
    from pkpd.model.derive import derive

    with _Work("deriving"):
        derived = derive(checked)
        pattern = set(derived.jacobian[1])
        filled = set(derived.elimination.slots)
    names = derived.state_names
    if json:
        _print_json(_model_facts(checked) | {"jacobian": [[names[i], names[j]] for i, j in sorted(pattern)]})
        return
    _show_model(checked, names, pattern, filled)


def _model_facts(model: Model) -> dict[str, Any]:
    from pkpd.model.text import expression_text

    def text(tree: Any) -> str | None:
        return tree if tree is None or isinstance(tree, str) else expression_text(tree)

    return {
        "name": model.name,
        "title": model.title,
        "sources": model.sources,
        "time_unit": model.time_unit,
        "parameters": [
            {
                "name": p.name,
                "kind": p.kind,
                "value": p.value,
                "unit": p.unit,
                "description": p.description,
                "bounds": [p.lower, p.upper],
                "prior": _distribution(p.prior),
                "between_subjects": _distribution(p.between),
                "source": p.source,
                "provenance": p.provenance,
            }
            for p in model.parameters
        ],
        "states": [
            {"name": s.name, "unit": s.unit, "initial": text(s.initial), "description": s.description}
            for s in model.states
        ],
        "definitions": [
            {"name": d.name, "expression": text(d.expression), "unit": d.unit, "description": d.description}
            for d in model.definitions
        ],
        "equations": {name: text(tree) for name, tree in model.equations.items()},
        "routes": [
            {
                "name": r.name,
                "target": r.target,
                "lag": text(r.lag),
                "F": text(r.F),
                "duration": text(r.duration),
            }
            | {"rate": text(r.rate)}
            for r in model.routes
        ],
        "outputs": [
            {"name": o.name, "expression": text(o.expression), "unit": o.unit, "description": o.description}
            for o in model.outputs
        ],
    }


def _distribution(distribution: Any) -> str:
    if distribution is None:
        return ""
    return f"{distribution.kind}({', '.join(f'{value:g}' for value in distribution.arguments)})"


def _show_model(
    model: Model, names: tuple[str, ...], pattern: set[tuple[int, int]], filled: set[tuple[int, int]]
) -> None:
    facts = _model_facts(model)
    out = _console()
    out.print(f"[bold]{model.name}[/]  {_plain(model.title)}")
    for line in model.sources:
        out.print(f"  {_plain(line)}", style="dim", soft_wrap=True)
    out.print(f"time in {model.time_unit}\n")

    out.print("[bold]parameters[/]")
    width = max((len(p.name) for p in model.parameters), default=0)
    for p in model.parameters:
        limits = "" if abs(p.lower) == abs(p.upper) == float("inf") else f"bounds {p.lower:g} .. {p.upper:g}"
        words = [
            p.description,
            "of the subject" if p.kind == "covariate" else "",
            f"~ {_distribution(p.between)}" if p.between else "",
            f"prior {_distribution(p.prior)}" if p.prior else "",
            limits,
        ]
        said = _plain("  ".join(word for word in words if word))
        out.print(f"  {p.name:<{width}} = {p.value:g} {_plain(f'[{p.unit}]')}  {said}", soft_wrap=True)
        origin = f"[dim]{_plain(p.source)}[/]" if p.source else ""
        if p.provenance == "unverified":
            origin += "  [bold red]UNVERIFIED[/]"
        elif p.provenance and p.provenance != "reported":
            origin += f"  [italic]{p.provenance}[/]"
        if origin:
            out.print(f"  {'':<{width}}   {origin.strip()}", soft_wrap=True)
    out.print()

    table = _table("state", "unit", "starts at", "what it is")
    for state in facts["states"]:
        table.add_row(state["name"], state["unit"], state["initial"] or "0", _plain(state["description"]))
    out.print(table)

    def lines(heading: str, rows: list[tuple[str, str, str]]) -> None:
        if rows:
            out.print(f"[bold]{heading}[/]")
            width = max(len(left) for left, _, _ in rows)
            for left, right, note in rows:
                out.print(f"  {left:<{width}} = {_plain(right)}  [dim]{_plain(note)}[/]", soft_wrap=True)
            out.print()

    def note(row: dict[str, str]) -> str:
        return "  ".join(part for part in (row["unit"] and f"[{row['unit']}]", row["description"]) if part)

    lines("definitions", [(d["name"], d["expression"], note(d)) for d in facts["definitions"]])
    units = {state.name: state.unit for state in model.states}
    lines(
        "equations",
        [(f"d {n}", tree, f"[{units[n]}/{model.time_unit}]") for n, tree in facts["equations"].items()],
    )
    lines("outputs", [(o["name"], o["expression"], note(o)) for o in facts["outputs"]])
    if facts["routes"]:
        out.print("[bold]routes[/]")
        for r in facts["routes"]:
            given = "  ".join(
                f"{key} = {r[key]}" for key in ("lag", "F", "duration", "rate") if r[key] is not None
            )
            out.print(f"  {r['name']} -> {r['target']}  {_plain(given)}", soft_wrap=True)
        out.print()

    n = len(names)
    extra = len(filled - pattern)
    fill = "no fill-in" if extra == 0 else f"{extra} more by fill-in"
    out.print(f"[bold]sparsity[/]  Jacobian {len(pattern)} of {n * n} entries; its LU: {fill}")
    width = max(len(name) for name in names)
    for i, name in enumerate(names):
        marks = " ".join("x" if (i, j) in pattern else "+" if (i, j) in filled else "." for j in range(n))
        out.print(f"  {name:>{width}}  {marks}", highlight=False, soft_wrap=True)


# --- simulate -------------------------------------------------------------------------------------


@app.command(cls=OfSchedules)
def simulate(
    model: Annotated[str, typer.Argument(help="Name of a model or path of a .model file.")],
    schedule: Annotated[
        str,
        typer.Argument(
            help='Doses, as one would write them: "1 MIU sc daily x5 every 28 d x3"; or a data file '
            "of subjects: trial.csv."
        ),
    ],
    until: Annotated[
        str | None, typer.Option(help='Last time: "84", in the model\'s unit, or "12 h".', show_default=False)
    ] = None,
    every: Annotated[
        str | None, typer.Option(help='Step between output times: "0.5" or "6 h".', show_default=False)
    ] = None,
    times: Annotated[
        str | None,
        typer.Option(help='Output times instead: "0, 1, 2, 4" or "0, 30, 60 min".', show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help='Another value of a parameter: "CL=5", "CL = 80 mL/min". Repeatable.',
        ),
    ] = None,
    subjects: Annotated[
        int, typer.Option(min=1, help="How many subjects, drawn from the between-subject variability.")
    ] = 1,
    seed: SeedOption = 0,
    covariates: Annotated[
        str | None,
        typer.Option(
            help="With a data file: how covariates run between two lines: locf, nocb (as in NONMEM) "
            "or linear.",
            show_default=False,
        ),
    ] = None,
    time_unit: Annotated[
        str | None,
        typer.Option(help="With a data file: unit of its times (default: the model's).", show_default=False),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help='With a data file: when all subjects begin with their initial values, "0" or "-1 d" '
            "(default: each at its first line).",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the profile: .csv, .parquet or .json.", show_default=False
        ),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(help='Outputs to print and draw: "treg_pct, il2" (default: all).', show_default=False),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the profile: .png, .svg or .pdf.", show_default=False)
    ] = None,
    method: Annotated[str, typer.Option(help="Integration method; auto picks one and says which.")] = "auto",
    rtol: Annotated[
        float, typer.Option(min=1e-13, max=0.1, help="Relative tolerance of the integration.")
    ] = 1e-6,
    atol: Annotated[
        str | None,
        typer.Option(
            help='Absolute tolerance: "1e-6" for every state in its own unit, or "depot = 1e-6, '
            'central = 1e-3" (default: from the size of each state).',
            show_default=False,
        ),
    ] = None,
    h_max: Annotated[
        str | None,
        typer.Option(
            "--h-max",
            help='The longest step, "0.25 h": for a short rise of the rates that nothing announces, '
            "which longer steps may pass over.",
            show_default=False,
        ),
    ] = None,
    jobs: JobsOption = None,
    stats: Annotated[bool, typer.Option("--stats", help="Print what the integrator did.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Simulate a model under a dosing schedule, for one subject or a population.

    [dim]Examples[/]

      pkpd simulate il2_treg "1 MIU sc daily x5 every 28 d x3" --plot course.png
      pkpd simulate il2_treg "0.26 MIU/m2 sc every 3 d for 60 d" --set "BSA = 1.73 m^2" --until 90 -o
      profile.csv pkpd simulate il2_treg "2 MIU sc daily x5 every 28 d x3" --subjects 1000 -o out.parquet
      --plot out.png pkpd simulate one_compartment_iv "100 mg iv over 2 h every 12 h x6" --times "0, 1, 2, 4,
        8, 12"
      pkpd simulate il2_treg none --until 28
      pkpd simulate il2_treg trial.csv --covariates locf -o profile.csv

    The profile is a table with a row per subject and time and a column per output. [italic]none[/] is
    placebo. A data file has doses and observations of several subjects in the columns of NONMEM or Monolix
    (ID, TIME, AMT, RATE, II, ADDL, SS, EVID, ...).
    """
    from pkpd.core.files import check_target

    # what could fail cheaply fails before anything is computed
    if output is not None:
        check_target(output, TABLE_ENDINGS)
    if plot is not None:
        check_target(plot, FIGURE_ENDINGS)
    if times is not None and (until is not None or every is not None):
        raise InputError("give either --times, or --until and --every")

    from_file = schedule.lower().endswith(".csv")
    if not from_file and len(schedule) < 256 and Path(schedule).is_file():
        raise InputError(
            f"{schedule} is a file, and not a schedule; a data file of subjects has the ending .csv"
        )
    if from_file and (subjects > 1 or plot is not None):
        raise InputError(
            f"{schedule} says itself who the subjects are: leave out "
            f"{'--subjects' if subjects > 1 else '--plot'}"
        )
    if not from_file and (covariates or time_unit or start):
        raise InputError(
            "--covariates, --time-unit and --start belong to a data file of subjects, such as trial.csv"
        )

    from pkpd.dosing import Schedule
    from pkpd.dosing.quantities import units_per_day
    from pkpd.dosing.records import read_records

    records = read_records(schedule) if from_file else None
    doses = Schedule.none() if from_file else Schedule.parse(schedule)
    with _Work(f"reading and compiling {model} (once: it is cached)", quiet):
        from pkpd.solver.kernel import load

        kernel = load(model)
    parameters = _overrides(set_ or [], kernel)
    shown = _output_names(outputs, kernel)
    tolerances: dict[str, Any] = {
        "rtol": rtol,
        "atol": None if atol is None else _absolute(atol, kernel),
        "h_max": math.inf if h_max is None else _in_time_unit(h_max, kernel.TIME_UNIT, "--h-max"),
    }
    if records is not None:
        unit = time_unit or kernel.TIME_UNIT
        if until is None and every is not None:
            until = f"{float(records.last)!r} {unit}"
        if start is None:
            firsts = {subject.records[0].time for subject in records.subjects}
            per_unit = units_per_day(kernel.TIME_UNIT) / units_per_day(unit)
            begin = float(firsts.pop() * per_unit) if len(firsts) == 1 else 0.0
        else:
            begin = _in_time_unit(start, kernel.TIME_UNIT, "--start", negative=True)
        asked = (
            None
            if times is until is None
            else _times(times, until, every, doses, kernel.TIME_UNIT, begin=begin)
        )
        options = {
            "start": None if start is None else begin,
            "covariates": covariates,
            "time_unit": time_unit,
            "method": method,
            "threads": jobs,
            **tolerances,
        }
        _simulate_records(
            kernel,
            records,
            asked,
            parameters,
            options,
            output=output,
            shown=shown,
            json=json,
            quiet=quiet,
            stats=stats,
        )
        return
    grid = _times(times, until, every, doses, kernel.TIME_UNIT, 800 if subjects <= 100 else 400)
    _check_size(subjects, len(grid), len(kernel.OUTPUTS))

    from pkpd.simulation.profile import simulate as run

    started = time.perf_counter()
    what = f"simulating {subjects} subject{'s' * (subjects > 1)}"
    with _Work(what, quiet) as work:
        profile = run(
            kernel,
            doses,
            times=grid,
            parameters=parameters,
            subjects=subjects,
            seed=seed,
            method=method,
            threads=jobs,
            extremes=True,
            progress=lambda done, total: work.update(what, done / total, f"{done} of {total}"),
            **tolerances,
        )
    elapsed = time.perf_counter() - started

    if output is not None:
        _write_table(profile.to_frame(), lambda: _profile_summary(profile), output)
        _note(f"wrote {output}", quiet)
    if plot is not None:
        import numpy as np

        from pkpd.present.plot import profile_figure, save
        from pkpd.simulation.profile import peaks_and_troughs

        drawn, picture = shown or _changing(profile), profile
        moments = np.union1d(
            profile.times,
            peaks_and_troughs(kernel, doses, drawn or profile.names, float(profile.times[-1]), parameters),
        )
        moments = moments[(moments >= profile.times[0]) & (moments <= profile.times[-1])]
        if moments.size > profile.times.size and moments.size * subjects * len(profile.names) <= MOST_DRAWN:
            picture = run(
                kernel,
                doses,
                times=moments,
                parameters=parameters,
                subjects=subjects,
                seed=seed,
                method=method,
                threads=jobs,
                **tolerances,
            )
        save(profile_figure(picture, outputs=drawn), plot)
        _note(f"wrote {plot}", quiet)
    if json:
        _print_json(_profile_summary(profile) | {"seconds": elapsed})
    elif not quiet:
        _show_profile(profile, shown or list(profile.names))
    if stats and not json:
        for key, value in profile.statistics.items():
            typer.echo(f"{key}: {value}", err=True)
    failed = profile.status.nonzero()[0]
    if failed.size:
        from pkpd.core.errors import SolverError
        from pkpd.ode.status import sentence

        raise SolverError(
            f"{failed.size} of {subjects} subjects could not be integrated and are empty in the results; "
            f"subject {failed[0]}: {sentence(int(profile.status[failed[0]]))}"
        )


def _simulate_records(
    kernel: Kernel,
    records: Records,
    times: np.ndarray | None,
    parameters: dict[str, float],
    options: dict[str, Any],
    *,
    output: Path | None,
    shown: list[str],
    json: bool,
    quiet: bool,
    stats: bool,
) -> None:
    """The rest of ``simulate`` for a data file."""
    from pkpd.simulation.cohort import simulate_records

    n = len(records.subjects)
    _check_size(n, 0 if times is None else len(times), len(kernel.OUTPUTS))
    what = f"simulating {n} subject{'s' * (n > 1)}"
    with _Work(what, quiet) as work:
        profile = simulate_records(
            kernel,
            records,
            times,
            parameters=parameters,
            progress=lambda done, total: work.update(what, done / total, f"{done} of {total}"),
            **options,
        )
    if profile.unused:
        _note(f"not used, because {profile.model} has no such parameter: {', '.join(profile.unused)}", quiet)
    if output is not None:
        _write_table(profile.to_frame(), profile.summary, output)
        _note(f"wrote {output}", quiet)
    if json:
        _print_json(profile.summary())
    elif not quiet:
        facts = profile.summary()
        out = _console()
        out.print(f"[bold]{_plain(profile.model)}[/]  {_plain(profile.file)}", soft_wrap=True)
        table = _table("output", "unit", ">largest: median of subjects", ">least", ">most")
        for name in shown or profile.names:
            largest = facts["outputs"][name]["maximum"]
            numbers = (
                "none" if math.isnan(largest[key]) else f"{largest[key]:.4g}"
                for key in ("median", "least", "most")
            )
            table.add_row(name, facts["outputs"][name]["unit"], *numbers)
        out.print(table)
        out.print(
            f"{_counted(facts['subjects'], 'subject')}, {_counted(facts['events'], 'event')}, "
            f"{_counted(facts['times'], 'output time')} "
            f"in {profile.time_unit}",
            style="dim",
        )
        for name in shown or profile.names:
            if wrong := facts["outputs"][name].get("not_finite"):
                out.print(f"[yellow]{_not_finite(name, wrong, profile.time_unit)}[/]", soft_wrap=True)
    if stats and not json:
        for key, value in profile.statistics.items():
            typer.echo(f"{key}: {value}", err=True)
    if profile.failures:
        from pkpd.core.errors import SolverError

        raise SolverError(
            f"{len(profile.failures)} of {n} subjects could not be integrated and are empty in the "
            f"results; {profile.failures[0]}"
        )


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _check_size(subjects: int, n_times: int, n_outputs: int) -> None:
    """Refuse a profile that this machine cannot hold: the system would end the process without a word."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return
    needed, memory = (
        8 * subjects * n_times * n_outputs,
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
    )
    if needed > memory:
        raise InputError(
            f"{subjects} subjects at {n_times} times make {needed / 1e9:,.0f} GB of numbers, and "
            "this machine has "
            f"{memory / 1e9:,.0f} GB: take fewer subjects, or fewer times with --every or --times"
        )


def _absolute(text: str, kernel: Kernel) -> float | list[float]:
    """``"1e-6"`` for all states, or ``"depot = 1e-6, central = 1e-3"`` with 0 for the rest."""
    values = [0.0] * kernel.n_states
    for piece in text.split(","):
        name, equals, number = (part.strip() for part in piece.rpartition("="))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not 0.0 <= value < math.inf:
            raise InputError(f'--atol: "{number}" is not a number of at least 0')
        if not equals and "," not in text:
            return value
        _check_known(name, kernel.STATES, f"--atol: {kernel.NAME}", "state")
        values[kernel.STATES.index(name)] = value
    return values


def _output_names(given: str | None, kernel: Any) -> list[str]:
    """``"treg_pct, il2"`` -> names that the model has; empty if none was given."""
    names = [name.strip() for name in (given or "").split(",") if name.strip()]
    for name in names:
        _check_known(name, kernel.OUTPUTS, f"--outputs: {kernel.NAME}", "output")
    return names


def _changing(profile: Profile) -> list[str] | None:
    """Outputs that change over time, which are those worth a picture; None where none does."""
    import numpy as np

    values = np.nan_to_num(profile.outputs)
    width, size = np.ptp(values, axis=1), np.abs(values).max(axis=1)
    changing = (width > 1e-6 * size).any(axis=0)
    return [name for name, change in zip(profile.names, changing, strict=True) if change] or None


def _even(end: float, hour: float, most: int) -> np.ndarray:
    """0 to end in the smallest round step that makes no more than ``most`` points; round, so that daily doses
    are all met alike."""
    import numpy as np

    for step in (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 24, 48, 168, 672):
        if end / (step * hour) <= most:
            times = np.arange(int(end / (step * hour) + 1e-9) + 1) * step * hour
            return times if end - times[-1] < 1e-9 * end else np.append(times, end)
    return np.linspace(0.0, end, most)


def _times(
    times: str | None,
    until: str | None,
    every: str | None,
    doses: Any,
    time_unit: str,
    most: int = 800,
    *,
    begin: float = 0.0,
) -> np.ndarray:
    """Output times in the model's unit from ``begin`` on, shape (n_times,), ascending.

    Without ``--until`` the horizon is the last dose and 28 days more (48 hours more if all doses fall within
    two days).
    """
    import numpy as np

    if times is not None:
        words = [word for word in times.replace(";", ",").split(",") if word.strip()]
        last = re.search(r"[A-Za-z]+\s*$", words[-1]) if words else None
        grid = [
            _in_time_unit(
                word if last is None or re.search(r"[A-Za-z]\s*$", word) else f"{word} {last.group()}",
                time_unit,
                "--times",
            )
            for word in words
        ]
        if not grid or any(b <= a for a, b in itertools.pairwise(grid)):
            raise InputError(
                f'--times "{times}": write increasing numbers with commas between, such as "0, 1, 2, 4"'
            )
        return np.array(grid)
    if until is None:
        rest = "28 d" if doses.span >= 2 else "48 h"
        end = sum(_in_time_unit(text, time_unit, "--until") for text in (f"{doses.span} d", rest))
    else:
        end = _in_time_unit(until, time_unit, "--until")
    if end < begin:
        raise InputError(f"--until {until!r} lies before the start, {begin:g} {time_unit}")
    if end == begin:
        return np.array([begin])
    end -= begin
    if every is None:
        return begin + _even(end, _in_time_unit("1 h", time_unit, "--until"), most)
    step = _in_time_unit(every, time_unit, "--every")
    if step <= 0:
        raise InputError(f"--every {every!r}: the step must be longer than zero")
    n = end / step
    if n > 10_000_000:
        raise InputError(f"--every {every!r} makes {n:.3g} output times; choose a longer step")
    steps = np.arange(int(n + 1e-9) + 1) * step
    return begin + (steps if end - steps[-1] < 1e-9 * end else np.append(steps, end))


def _write_table(frame: pd.DataFrame, summary: Callable[[], dict[str, Any]], path: Path) -> None:
    """The tidy table, whole or not at all."""
    import csv

    from pkpd.core.files import replacing, to_json

    with replacing(path) as temporary:
        match path.suffix.lower():
            case ".csv":
                first = frame.iloc[:, 0]  # a text that begins with # would be read as a comment
                hidden = any(isinstance(value, str) and value.startswith("#") for value in first)
                quoting = csv.QUOTE_NONNUMERIC if hidden else csv.QUOTE_MINIMAL
                frame.to_csv(temporary, index=False, quoting=quoting)
            case ".parquet":
                frame.to_parquet(temporary, index=False)
            case ".json":
                columns = {str(name): frame[name].tolist() for name in frame.columns}
                temporary.write_text(to_json(summary() | {"table": columns}, indent=None), encoding="utf-8")


def _profile_summary(profile: Profile) -> dict[str, Any]:
    """What was simulated, and per output its largest value, when, and the last one: median, 5 % and 95 % over
    subjects."""
    import numpy as np

    values = profile.outputs  # (n_subjects, n_times, n_outputs)
    levels = (0.5, 0.05, 0.95)

    def quantiles(numbers: np.ndarray) -> dict[str, float]:
        finite = numbers[np.isfinite(numbers)]
        if finite.size == 0:
            return {"median": float("nan"), "p5": float("nan"), "p95": float("nan")}
        return dict(zip(("median", "p5", "p95"), map(float, np.quantile(finite, levels)), strict=True))

    outputs = {}
    solved = profile.status == 0
    for k, name in enumerate(profile.names):
        v = values[:, :, k]
        finite = np.isfinite(v)
        known = np.where(finite, v, -np.inf)
        top, when = known.max(axis=1), profile.times[known.argmax(axis=1)]
        if profile.largest is not None and profile.largest_at is not None:
            read = np.isfinite(profile.largest[:, k])
            top = np.where(read, profile.largest[:, k], top)
            when = np.where(read, profile.largest_at[:, k], when)
        outputs[name] = {
            "unit": profile.units[k],
            "maximum": quantiles(top),
            "time_of_maximum": quantiles(np.where(np.isfinite(top), when, np.nan)),
            "last": quantiles(v[:, -1]),
        }
        wrong = ~finite & solved[:, None]
        if wrong.any():
            outputs[name]["not_finite"] = {
                "nan": int(np.isnan(v[solved]).sum()),
                "infinite": int(np.isinf(v[solved]).sum()),
                "of": int(wrong[solved].size),
                "first": float(profile.times[wrong.any(axis=0).argmax()]),
            }
    return {
        "model": profile.model,
        "schedule": str(profile.schedule),
        "dose_days": profile.schedule.when,
        "time_unit": profile.time_unit,
        "subjects": int(values.shape[0]),
        "times": {
            "first": float(profile.times[0]),
            "last": float(profile.times[-1]),
            "count": len(profile.times),
        },
        "outputs": outputs,
        "failed_subjects": int(np.count_nonzero(profile.status)),
        "statistics": profile.statistics,
        "provenance": profile.provenance,
    }


def _not_finite(name: str, wrong: dict[str, Any], unit: str) -> str:
    """A sentence on values that are no numbers."""
    kinds = [
        f"{wrong[key]} {word}"
        for key, word in (("nan", "not a number"), ("infinite", "infinite"))
        if wrong[key]
    ]
    return (
        f"{name}: of {wrong['of']} values {' and '.join(kinds)}, the first at {wrong['first']:g} {unit}; "
        "they are left out above"
    )


def _show_profile(profile: Profile, shown: list[str]) -> None:
    facts = _profile_summary(profile)
    many = facts["subjects"] > 1
    out = _console()
    out.print(f"[bold]{_plain(facts['model'])}[/]  {_plain(facts['schedule'])}", soft_wrap=True)
    if profile.schedule.n_doses:
        counted = _counted(profile.schedule.n_doses, "dose")
        out.print(f"{counted} on {_plain(facts['dose_days'])}", style="dim", soft_wrap=True)

    def cell(q: dict[str, float]) -> str:
        if not math.isfinite(q["median"]):
            return "none"
        return f"{q['median']:.4g} ({q['p5']:.3g} to {q['p95']:.3g})" if many else f"{q['median']:.5g}"

    unit = facts["time_unit"]
    table = _table("output", "unit", ">largest", f">at ({unit})", f">at {facts['times']['last']:g} {unit}")
    for name in shown:
        row = facts["outputs"][name]
        table.add_row(
            name,
            row["unit"],
            cell(row["maximum"]),
            "" if math.isnan(row["time_of_maximum"]["median"]) else f"{row['time_of_maximum']['median']:.5g}",
            cell(row["last"]),
        )
    out.print(table)
    if many:
        out.print(f"median (5 % to 95 %) of {facts['subjects']} subjects", style="dim")
    for name in shown:
        if wrong := facts["outputs"][name].get("not_finite"):
            out.print(f"[yellow]{_not_finite(name, wrong, unit)}[/]", soft_wrap=True)


app.command(cls=OfSchedules)(compare)
app.command()(optimise)
app.command()(explore)


# --- fit and report -------------------------------------------------------------------------------


@app.command()
def fit(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FIT", help="Name of a fit (see [italic]pkpd models[/]) or path of a fit folder."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of the report (default: results/FIT).", show_default=False
        ),
    ] = None,
    without_unverified: Annotated[
        bool,
        typer.Option(
            "--without-unverified", help="Leave out numbers that were not checked against their paper."
        ),
    ] = False,
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
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a model to published numbers and write the report.

    [dim]Examples[/]

      pkpd fit low_dose_il2
      pkpd fit low_dose_il2 --without-unverified -o results/verified
      pkpd fit low_dose_il2 --quick --seed 3
      pkpd fit ./my_fit

    The report is one HTML file that opens anywhere, with its figures and result.json beside it. Exit code 5
    means that the search did not converge; the report is written all the same and says so.
    """
    from pkpd.inference import read_fit
    from pkpd.present.report import check_report_folder

    spec = read_fit(name)
    folder = output or Path("results") / spec.name
    check_report_folder(folder)

    from pkpd.inference import fit as run
    from pkpd.present.report import write_report

    with _Work(f"reading {spec.name}", quiet) as work:
        result = run(
            spec,
            starts=1 if quick and starts is None else starts,
            seed=seed,
            subjects=subjects,
            tolerance=tolerance,
            leave_out_unverified=without_unverified,
            rival=not quick,
            leave_one_out=not quick,
            unverified=not quick,
            check=not quick,
            jobs=jobs,
            progress=work.update,
        )
        work.update(
            "interrupted: writing the report of the best point so far (Ctrl-C again: the result alone)"
            if result.interrupted
            else "writing the report"
        )
        try:
            page = write_report(result, folder, fit=spec, jobs=jobs, progress=work.update)
        except KeyboardInterrupt:
            _note(f"the fit is kept in {folder / 'result.json'}; its report: pkpd report {folder}", quiet)
            raise
    if json:
        _print_json(result.to_dict() | {"report": str(page)})
    elif not quiet:
        _show_fit(result)
        typer.echo(f"report: {page}")
    if result.interrupted:
        raise typer.Exit(130)
    if not result.converged:
        from pkpd.core.errors import ConvergenceError

        raise ConvergenceError(
            f"the search did not converge ({result.message}); the report says where it stopped"
        )


def _show_fit(result: FitResult) -> None:
    out = _console()
    out.print(f"[bold]{_plain(result.title)}[/]")
    used = [row for row in result.rows if row.use == "fit" and row.residuals]
    near = sum(abs(row.residuals[0]) <= 2 for row in used)
    out.print(
        f"{'converged' if result.converged else '[bold red]not converged[/]'}: {near} of {len(used)} "
        "published numbers within two "
        f"standard errors of the prediction; OFV {result.ofv:.1f}, -2LL {result.minus_2ll:.1f}, AIC "
        f"{result.aic:.1f}, "
        f"BIC {result.bic:.1f}"
    )
    table = _table("parameter", ">estimate", "unit", ">95 %", ">RSE", "what the data say")
    for e in result.estimates:
        if e.kind != "study effect":
            mark = " [red]unverified prior[/]" if e.provenance == "unverified" else ""
            sure = e.rse < 1000  # false for nan
            interval = f"{e.lower:.3g} to {e.upper:.3g}" if sure else ""
            rse = f"{e.rse:.0f} %" if sure else ""
            table.add_row(e.name + mark, f"{e.value:.3g}", e.unit, interval, rse, _plain(e.verdict))
    out.print(table)
    for note in result.notes:
        out.print(_plain(note), style="yellow")
    for part in (result.comparison, result.unverified, result.check):
        if part is not None:
            out.print(_plain(part.verdict))
    out.print("A model, not medical advice.", style="dim")


@app.command()
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

    try:
        spec = read_fit(Path(home))
    except PkpdError:  # the figures may be there without it
        spec = None
    with _Work("writing the report", quiet) as work:
        page = write_report(result, folder, curves=curves, fit=spec, jobs=jobs, progress=work.update)
    if not quiet:
        typer.echo(f"report: {page}")


# --- bench ----------------------------------------------------------------------------------------


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def bench(context: typer.Context) -> None:
    """Compare solvers at equal error, on a problem of yours.

    [dim]Examples[/]

      pkpd bench my_problem.py
      pkpd bench --help

    A problem is a Python file with rhs(t, y, p, dy), y0 and times. In a checkout of the repository,
    [italic]pkpd bench[/] alone runs its own benchmarks.
    """
    from pkpd.cli.bench import bench as run

    run(context.args)
