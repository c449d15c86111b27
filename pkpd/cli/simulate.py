"""``pkpd simulate``: a model under a schedule, or with the subjects of a data file."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pkpd.cli import completion
from pkpd.cli.profiles import facts_of, show_cohort, show_profile, write_table
from pkpd.cli.terminal import (
    AdherenceOption,
    JitterOption,
    JobsOption,
    JsonOption,
    QuietOption,
    SeedOption,
    Work,
    check_known,
    in_time_unit,
    note,
    overrides,
    print_json,
    taking,
)
from pkpd.cli.times import TimesAsked, output_times
from pkpd.core.errors import InputError, SolverError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from pkpd.dosing.records import Records
    from pkpd.dosing.taking import GivenDoses
    from pkpd.simulation.profile import Profile
    from pkpd.solver.kernel import Kernel

TABLE_ENDINGS = (".csv", ".parquet", ".json")
FIGURE_ENDINGS = (".png", ".svg", ".pdf")
MOST_DRAWN = 100_000_000  # numbers that are computed for a picture

# --- the options ---

_Given = Annotated[
    str,
    typer.Argument(
        help='Doses, as one would write them: "1 MIU sc daily x5 every 28 d x3"; or a data file '
        "of subjects: trial.csv."
    ),
]
_Until = Annotated[
    str | None, typer.Option(help='Last time: "84", in the model\'s unit, or "12 h".', show_default=False)
]
_Every = Annotated[
    str | None, typer.Option(help='Step between output times: "0.5" or "6 h".', show_default=False)
]
_Times = Annotated[
    str | None,
    typer.Option(help='Output times instead: "0, 1, 2, 4" or "0, 30, 60 min".', show_default=False),
]
_Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help='Another value of a parameter: "CL=5", "CL = 80 mL/min". Repeatable.',
    ),
]
_Subjects = Annotated[
    int, typer.Option(min=1, help="How many subjects, drawn from the between-subject variability.")
]
_Covariates = Annotated[
    str | None,
    typer.Option(
        help="With a data file: how covariates run between two lines: locf, nocb (as in NONMEM) or linear.",
        show_default=False,
    ),
]
_TimeUnit = Annotated[
    str | None,
    typer.Option(help="With a data file: unit of its times (default: the model's).", show_default=False),
]
_Start = Annotated[
    str | None,
    typer.Option(
        help='With a data file: when all subjects begin with their initial values, "0" or "-1 d" '
        "(default: each at its first line).",
        show_default=False,
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write the profile: .csv, .parquet or .json.", show_default=False),
]
_Outputs = Annotated[
    str | None,
    typer.Option(help='Outputs to print and draw: "treg_pct, il2" (default: all).', show_default=False),
]
_Plot = Annotated[Path | None, typer.Option(help="Draw the profile: .png, .svg or .pdf.", show_default=False)]
_Method = Annotated[str, typer.Option(help="Integration method; auto picks one and says which.")]
_Rtol = Annotated[
    float | None,
    typer.Option(
        min=1e-13,
        max=0.1,
        help="Relative tolerance of the integration (default: six digits).",
        show_default=False,
    ),
]
_Atol = Annotated[
    str | None,
    typer.Option(
        help='Absolute tolerance: "1e-6" for every state in its own unit, or "depot = 1e-6, '
        'central = 1e-3" (default: from the size of each state).',
        show_default=False,
    ),
]
_LongestStep = Annotated[
    str | None,
    typer.Option(
        "--h-max",
        help='The longest step, "0.25 h": for a short rise of the rates that nothing announces, '
        "which longer steps may pass over.",
        show_default=False,
    ),
]


def simulate(
    model: Annotated[
        str,
        typer.Argument(help="Name of a model or path of a .model file.", autocompletion=completion.models),
    ],
    schedule: _Given,
    until: _Until = None,
    every: _Every = None,
    times: _Times = None,
    set_: _Set = None,
    subjects: _Subjects = 1,
    seed: SeedOption = 0,
    adherence: AdherenceOption = None,
    jitter: JitterOption = None,
    covariates: _Covariates = None,
    time_unit: _TimeUnit = None,
    start: _Start = None,
    output: _Output = None,
    outputs: _Outputs = None,
    plot: _Plot = None,
    method: _Method = "auto",
    rtol: _Rtol = None,
    atol: _Atol = None,
    h_max: _LongestStep = None,
    jobs: JobsOption = None,
    stats: Annotated[bool, typer.Option("--stats", help="Print what the integrator did.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Simulate a model under a dosing schedule, for one subject or a population.

    [dim]Examples[/]

      pkpd simulate il2_treg "1 MIU sc daily x5 every 28 d x3" --plot course.png
      pkpd simulate il2_treg "0.26 MIU/m2 sc every 3 d x20" --set "BSA = 1.73 m^2" -o profile.csv
      pkpd simulate il2_treg "2 MIU sc daily x5" --subjects 1000 -o out.parquet --plot out.png
      pkpd simulate one_compartment_iv "100 mg iv over 2 h every 12 h x6" --times "0, 1, 2, 4, 8, 12"
      pkpd simulate il2_treg none --until 28
      pkpd simulate il2_treg "1 MIU sc daily x28; miss days 9-11" --subjects 100 --adherence 0.9
      pkpd simulate il2_treg trial.csv --covariates locf -o profile.csv

    The profile is a table with a row per subject and time and a column per output. [italic]none[/] is
    placebo. A data file has doses and observations of several subjects in the columns of NONMEM or Monolix
    (ID, TIME, AMT, RATE, II, ADDL, SS, EVID, ...).
    """
    asked = TimesAsked(times, until, every)
    as_taken = taking(adherence, jitter)
    reading = _Reading(covariates, time_unit, start)
    wanted = _Wanted(output, plot, json, quiet, stats)
    # what could fail cheaply fails before anything is computed
    wanted.check()
    asked.check()
    given = _read(schedule, subjects, reading, wanted)
    if (adherence or jitter) and schedule.lower().endswith(".csv"):
        raise InputError("--adherence and --jitter change a schedule; a data file says what was taken")
    with Work(f"reading and compiling {model} (once: it is cached)", quiet):
        from pkpd.dosing.records import Records
        from pkpd.solver.kernel import load
        from pkpd.solver.options import SIMULATION

        kernel = load(model)
    parameters = overrides(set_ or [], kernel)
    wanted = wanted._replace(shown=_output_names(outputs, kernel))
    solving = {
        "parameters": parameters,
        "method": method,
        "threads": jobs,
        "rtol": SIMULATION if rtol is None else rtol,
        "atol": None if atol is None else _absolute(atol, kernel),
        "h_max": math.inf if h_max is None else in_time_unit(h_max, kernel.TIME_UNIT, "--h-max"),
    }
    if not isinstance(given, Records):
        population = solving | {"subjects": subjects, "seed": seed} | as_taken
        _simulate_schedule(kernel, given, asked, population, wanted)
    else:
        _simulate_records(kernel, given, asked, reading, solving, wanted)


class _Reading(NamedTuple):
    """How a data file is read."""

    covariates: str | None
    time_unit: str | None
    start: str | None


class _Wanted(NamedTuple):
    """What is wanted of the result, and where."""

    output: Path | None
    plot: Path | None
    json: bool
    quiet: bool
    stats: bool
    shown: Sequence[str] = ()  # outputs of the model; empty: all

    def check(self) -> None:
        """Refuse files that cannot be written."""
        from pkpd.core.files import check_target

        if self.output is not None:
            check_target(self.output, TABLE_ENDINGS)
        if self.plot is not None:
            check_target(self.plot, FIGURE_ENDINGS)

    def print_statistics(self, statistics: Mapping[str, Any]) -> None:
        if self.stats and not self.json:
            for key, value in statistics.items():
                typer.echo(f"{key}: {value}", err=True)


# --- what is given ---


def _read(given: str, subjects: int, reading: _Reading, wanted: _Wanted) -> GivenDoses | Records:
    """The schedule, or the data file, that is given, where the other options suit it."""
    from pkpd.dosing.records import read_records
    from pkpd.dosing.taking import read_given

    if given.lower().endswith(".csv"):
        if subjects > 1 or wanted.plot is not None:
            raise InputError(
                f"{given} says itself who the subjects are: leave out "
                f"{'--subjects' if subjects > 1 else '--plot'}"
            )
        return read_records(given)
    if len(given) < 256 and Path(given).is_file():
        raise InputError(
            f"{given} is a file, and not a schedule; a data file of subjects has the ending .csv"
        )
    if any(reading):
        raise InputError(
            "--covariates, --time-unit and --start belong to a data file of subjects, such as trial.csv"
        )
    return read_given(given)


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
        check_known(name, kernel.STATES, f"--atol: {kernel.NAME}", "state")
        values[kernel.STATES.index(name)] = value
    return values


def _output_names(given: str | None, kernel: Kernel) -> list[str]:
    """``"treg_pct, il2"`` -> names that the model has; empty if none was given."""
    names = [name.strip() for name in (given or "").split(",") if name.strip()]
    for name in names:
        check_known(name, kernel.OUTPUTS, f"--outputs: {kernel.NAME}", "output")
    return names


# --- under a schedule ---


def _simulate_schedule(
    kernel: Kernel, doses: GivenDoses, asked: TimesAsked, population: dict[str, Any], wanted: _Wanted
) -> None:
    from pkpd.simulation.profile import simulate as run

    subjects = population["subjects"]
    grid = output_times(asked, doses.span, kernel.TIME_UNIT, 800 if subjects <= 100 else 400)
    _check_size(subjects, len(grid), len(kernel.OUTPUTS))
    started = time.perf_counter()
    what = f"simulating {subjects} subject{'s' * (subjects > 1)}"
    with Work(what, wanted.quiet) as work:
        profile = run(
            kernel,
            doses,
            times=grid,
            extremes=True,
            progress=lambda _, share, remark: work.update(what, share, remark),
            **population,
        )
    elapsed = time.perf_counter() - started
    if wanted.output is not None:
        write_table(profile.to_frame(), lambda: facts_of(profile), wanted.output)
        note(f"wrote {wanted.output}", wanted.quiet)
    if wanted.plot is not None:
        _draw(kernel, doses, profile, population, wanted.shown, wanted.plot)
        note(f"wrote {wanted.plot}", wanted.quiet)
    if wanted.json:
        print_json(facts_of(profile) | {"seconds": elapsed})
    elif not wanted.quiet:
        show_profile(profile, wanted.shown or profile.names)
    wanted.print_statistics(profile.statistics)
    _check_solved(_failures(profile), subjects)


def _failures(profile: Profile) -> list[str]:
    """A sentence for each subject that could not be integrated."""
    from pkpd.ode.status import sentence

    failed = profile.status.nonzero()[0]
    return [f"subject {subject}: {sentence(int(profile.status[subject]))}" for subject in failed]


def _draw(
    kernel: Kernel,
    doses: GivenDoses,
    profile: Profile,
    population: dict[str, Any],
    shown: Sequence[str],
    path: Path,
) -> None:
    """Draw the profile, with its peaks and troughs also where they are between two output times."""
    import numpy as np

    from pkpd.present.plot import profile_figure, save
    from pkpd.simulation.profile import peaks_and_troughs
    from pkpd.simulation.profile import simulate as run

    drawn = shown or _changing(profile)
    first, last = profile.times[0], profile.times[-1]
    between = peaks_and_troughs(kernel, doses, drawn or profile.names, float(last), population["parameters"])
    moments = np.union1d(profile.times, between)
    moments = moments[(moments >= first) & (moments <= last)]
    numbers = moments.size * population["subjects"] * len(profile.names)
    if moments.size > profile.times.size and numbers <= MOST_DRAWN:
        profile = run(kernel, doses, times=moments, **population)
    save(profile_figure(profile, outputs=drawn), path)


def _changing(profile: Profile) -> list[str] | None:
    """Outputs that change over time, which are those worth a picture; None where none does."""
    import numpy as np

    values = np.nan_to_num(profile.outputs)
    width, size = np.ptp(values, axis=1), np.abs(values).max(axis=1)
    changing = (width > 1e-6 * size).any(axis=0)
    return [name for name, change in zip(profile.names, changing, strict=True) if change] or None


# --- with the subjects of a data file ---


def _simulate_records(
    kernel: Kernel,
    records: Records,
    asked: TimesAsked,
    reading: _Reading,
    solving: dict[str, Any],
    wanted: _Wanted,
) -> None:
    from pkpd.simulation.cohort import simulate_records

    begin, times = _begin_and_times(kernel, records, asked, reading)
    n = len(records.subjects)
    _check_size(n, 0 if times is None else len(times), len(kernel.OUTPUTS))
    what = f"simulating {n} subject{'s' * (n > 1)}"
    with Work(what, wanted.quiet) as work:
        profile = simulate_records(
            kernel,
            records,
            times,
            interpolation=reading.covariates,
            time_unit=reading.time_unit,
            start=None if reading.start is None else begin,
            progress=lambda _, share, remark: work.update(what, share, remark),
            **solving,
        )
    if profile.unused:
        unused = ", ".join(profile.unused)
        note(f"not used, because {profile.model} has no such parameter: {unused}", wanted.quiet)
    if wanted.output is not None:
        write_table(profile.to_frame(), profile.summary, wanted.output)
        note(f"wrote {wanted.output}", wanted.quiet)
    if wanted.json:
        print_json(profile.summary())
    elif not wanted.quiet:
        show_cohort(profile, wanted.shown or profile.names)
    wanted.print_statistics(profile.statistics)
    _check_solved(profile.failures, n)


def _begin_and_times(
    kernel: Kernel, records: Records, asked: TimesAsked, reading: _Reading
) -> tuple[float, np.ndarray | None]:
    """Where output times begin, and those of all subjects (None: each has those of its own lines), in the
    model's unit."""
    from pkpd.dosing.quantities import units_per_day

    unit = reading.time_unit or kernel.TIME_UNIT
    if reading.start is not None:
        begin = in_time_unit(reading.start, kernel.TIME_UNIT, "--start", negative=True)
    else:
        firsts = {subject.records[0].time for subject in records.subjects}
        per_unit = units_per_day(kernel.TIME_UNIT) / units_per_day(unit)
        begin = float(firsts.pop() * per_unit) if len(firsts) == 1 else 0.0
    if asked.until is None and asked.every is not None:
        asked = asked._replace(until=f"{float(records.last)!r} {unit}")
    if asked.times is asked.until is None:
        return begin, None
    return begin, output_times(asked, 0.0, kernel.TIME_UNIT, begin=begin)


# --- of both ---


def _check_solved(failures: Sequence[str], subjects: int) -> None:
    if failures:
        raise SolverError(
            f"{len(failures)} of {subjects} subjects could not be integrated and are empty in the results; "
            f"{failures[0]}"
        )


def _check_size(subjects: int, n_times: int, n_outputs: int) -> None:
    """Refuse a profile that this machine cannot hold: the system would end the process without a word."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return
    needed = 8 * subjects * n_times * n_outputs
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise InputError(
            f"{subjects} subjects at {n_times} times make {needed / 1e9:,.0f} GB of numbers, and "
            "this machine has "
            f"{memory / 1e9:,.0f} GB: take fewer subjects, or fewer times with --every or --times"
        )
