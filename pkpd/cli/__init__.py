"""The command line: ``pkpd models | show | simulate | compare | optimise | dose-for | dose-response |
drivers | why | fit | profile | sample | individualise | validate | leave-out | bootstrap | new | report |
explore | compare-fits | trial | doctor | bench``.

Results go to standard output (tables, or JSON with ``--json``), progress and notes to standard error. Exit
codes: 0 done, 1 the doctor found a problem, 2 wrong usage, 3 bad input, 4 an integration failed, 5 no
convergence, 6 a missing extra, 130 interrupted. Nothing but typer is loaded before a command runs.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pkpd.cli import (
    bench,
    bootstrap,
    compare,
    compare_fits,
    doctor,
    dose_for,
    dose_response,
    drivers,
    explore,
    fit,
    individualise,
    leave_out,
    models,
    new,
    optimise,
    profile,
    report,
    sample,
    show,
    simulate,
    streams,
    trial,
    validate,
    why,
)
from pkpd.cli.terminal import OfSchedules
from pkpd.core.errors import InputError, PkpdError

FIRST_SCREEN = """pkpd answers questions about doses by models that fit published numbers. Such as:

What does one schedule do to regulatory T cells, beside another?
  pkpd compare "1 MIU sc daily x5 every 28 d x3" "2 MIU sc daily x5 every 28 d x3"

Which schedules come near to what I want, and what does each cost?
  pkpd optimise "NK under three times baseline, at most 8 injections a month"

What is the course of drug and cells in one person?
  pkpd simulate il2_treg "1 MIU sc daily x5 every 28 d x3" --plot course.png

All commands: pkpd --help. More about one: pkpd compare --help.
A model, not medical advice."""

app = typer.Typer(
    invoke_without_command=True,
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
  pkpd dose-for "NK stay under 1.5-fold in 95 % of people" --schedule "? MIU sc daily x5 every 28 d x6"
  pkpd fit low_dose_il2
  pkpd new fit my_fit
  pkpd profile low_dose_il2 CL
  pkpd validate low_dose_il2 new.csv
  pkpd individualise low_dose_il2 her.csv --given "1 MIU sc daily x5"
  pkpd leave-out low_dose_il2
  pkpd sample my_fit
  pkpd trial imodals

A model is a text file: [italic]pkpd show ./my.model[/] checks yours. Results are those of a
model and no medical advice.""",
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends with ``SystemExit``. Our own errors are printed as their sentence, without
    traceback."""
    streams.settle(sys.argv[1:] if arguments is None else arguments)
    for library in ("OPENBLAS", "MKL"):  # matrices are small, and cores have whole fits and arms to work on
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    from pkpd.ode import processor

    try:
        processor.level()
    except ValueError as error:
        _stop(str(error), InputError.exit_code)
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
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(FIRST_SCREEN)


app.command()(models.models)
app.command()(show.show)
app.command(cls=OfSchedules)(simulate.simulate)
app.command(cls=OfSchedules)(compare.compare)
app.command()(optimise.optimise)
app.command("dose-for")(dose_for.dose_for)
app.command("dose-response")(dose_response.dose_response)
app.command()(drivers.drivers)
app.command()(why.why)
app.command()(explore.explore)
app.command()(fit.fit)
app.command()(new.new)
app.command()(profile.profile)
app.command()(individualise.individualise)
app.command()(leave_out.leave_out)
app.command()(bootstrap.bootstrap)
app.command()(report.report)
app.command()(trial.trial)
app.command()(validate.validate)
app.command("compare-fits")(compare_fits.compare_fits)
app.command()(sample.sample)
app.command()(doctor.doctor)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)(bench.bench)
