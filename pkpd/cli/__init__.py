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

from pkpd.cli import bench, compare, explore, fit, models, optimise, report, show, streams
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


app.command()(models.models)
app.command()(show.show)


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


app.command(cls=OfSchedules)(compare.compare)
app.command()(optimise.optimise)
app.command()(explore.explore)
app.command()(fit.fit)
app.command()(report.report)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)(bench.bench)
