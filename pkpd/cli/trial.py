"""``pkpd trial``: a clinical trial, simulated many times."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli import completion
from pkpd.cli.fits import print_remarks
from pkpd.cli.scenes import OutputOption, PosteriorOption, VaryOption, check_output, write_result
from pkpd.cli.terminal import (
    JobsOption,
    JsonOption,
    QuietOption,
    SeedOption,
    Work,
    console,
    note,
    plain,
    print_json,
    table,
)
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.trial import TrialResult
    from pkpd.trial.looks import TrialLooks
    from pkpd.trial.result import TrialRow


def trial(
    design: Annotated[
        str | None,
        typer.Argument(
            metavar="[DESIGN]",
            help="Name of a trial, or a file such as ./my_trial.toml; without one, those that there are.",
            autocompletion=completion.trials,
            show_default=False,
        ),
    ] = None,
    trials: Annotated[int, typer.Option("-n", "--trials", min=1, help="How many to simulate.")] = 1000,
    seed: SeedOption = 1,
    vary: VaryOption = "between,uncertainty",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Power at these numbers of patients, too: 100,220,400.",
            show_default=False,
        ),
    ] = None,
    posterior: PosteriorOption = None,
    output: OutputOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Simulate a clinical trial many times, with its analyses, and hold what was published against it.

    [dim]Examples[/]

      pkpd trial
      pkpd trial imodals -n 200
      pkpd trial imodals -n 200 --size 18,36,72 -o results/imodals
      pkpd trial imodals -n 200 -o deck.pptx

    A design is a text file: `pkpd new trial NAME` writes one that runs. A folder also gets every trial's
    numbers. After Ctrl-C the trials that are done are shown.
    """
    if design is None:
        _list(json)
        return
    from pkpd.trial import read_design, simulate_trial

    given = read_design(design)
    patients = _sizes(size)
    check_output(output)
    what = f"simulating {trials:,} trial{'s' * (trials > 1)} of {given.n_patients} patients"
    with Work("reading and compiling the model (once: it is cached)", quiet) as work:
        result = simulate_trial(
            given,
            trials,
            seed=seed,
            vary=[] if vary.strip() == "none" else [one.strip() for one in vary.split(",") if one.strip()],
            patients=patients,
            posterior=posterior,
            threads=jobs,
            progress=lambda _, share, remark: work.update(what, share, remark),
        )
    if output is not None:
        command = _command(design, trials, seed, vary, size, posterior, output)
        write_result(result, output, command, quiet or json)
    if json:
        print_json(result.to_dict())
    elif not quiet:
        show(result)
    if result.interrupted:
        note(f"interrupted after {result.trials:,} of {trials:,} trials", quiet)
        raise typer.Exit(130)


def _list(json: bool) -> None:
    """The designs of the library."""
    from pkpd.core import library
    from pkpd.trial import read_design

    designs = [read_design(name) for name in library.trials()]
    if json:
        print_json([{"name": one.name, "title": one.title, "patients": one.n_patients} for one in designs])
        return
    rows = table("trial", ">patients", "what it is")
    for one in designs:
        rows.add_row(one.name, str(one.n_patients), plain(one.title))
    out = console()
    out.print(rows)
    out.print("next: pkpd trial NAME; a design of your own: pkpd new trial NAME", style="dim")


def _sizes(text: str | None) -> list[int]:
    if text is None:
        return []
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise InputError(f'--size "{text}": write numbers of patients in all, such as --size 100,220,400')
    return sizes


def _command(
    design: str, trials: int, seed: int, vary: str, size: str | None, posterior: Path | None, output: Path
) -> str:
    """The command line that does the same again."""
    words = ["pkpd", "trial", design, "-n", str(trials), "--seed", str(seed)]
    if vary != "between,uncertainty":
        words += ["--vary", vary]
    if size is not None:
        words += ["--size", size]
    if posterior is not None:
        words += ["--posterior", str(posterior)]
    return shlex.join([*words, "-o", str(output)])


# --- what is printed


def show(result: TrialResult) -> None:
    """Print what was published beside what is predicted, every analysis, power by size, and the notes."""
    out = console()
    out.print(f"[bold]{plain(result.design.title)}[/]")
    out.print(f"{result.trials:,} simulated trials of {result.design.n_patients} patients", style="dim")
    if result.design.published:
        out.print(_published(result))
    out.print(_analyses(result))
    if result.looks is not None:
        out.print(_looks(result.looks))
        told = result.looks.summary()
        out.print(
            f"with looks: {_percent(told['power'])} in favour, on average {told['patients']:.0f} patients, "
            f"{told['events']:.0f} events and {told['days']:.0f} days; with one analysis at the end: "
            f"{_percent(told['fixed power'])}, {told['fixed patients']:.0f} patients, "
            f"{told['fixed events']:.0f} events and {told['fixed days']:.0f} days",
            soft_wrap=True,
        )
    if result.by_size:
        out.print(_power(result))
    print_remarks(out, result.notes)


def _published(result: TrialResult) -> Table:
    rows = table("published", ">number", ">predicted", ">90 % of trials", "")
    for row in result.rows():
        if row.published is None:
            continue
        name = plain(row.published.name)
        if row.published.provenance == "unverified":
            name += " [red]unverified[/]"
        inside = {True: "inside", False: "[red]outside[/]", None: ""}[row.inside]
        median, interval = _predicted(row)
        rows.add_row(name, row.published.shown, median, interval, inside)
    return rows


def _analyses(result: TrialResult) -> Table:
    rows = table("analysis", "quantity", "arm", ">median", ">90 % of trials", ">significant")
    before = ""
    seen = set()
    for row in result.rows():
        key = row.analysis, row.quantity, row.arm
        if key in seen:
            continue
        seen.add(key)
        power = (
            "" if math.isnan(row.significant) or not row.quantity.endswith("p") else _percent(row.significant)
        )
        shown = "" if row.analysis == before else plain(row.analysis)
        if shown and row.analysis == result.design.primary:
            shown += " [bold](primary)[/]"
        before = row.analysis
        rows.add_row(shown, row.quantity, plain(row.arm), *_predicted(row), power)
    return rows


def _looks(looks: TrialLooks) -> Table:
    reasons = ("efficacy", "harm", "futility")
    stopped = (f">{why}" for why in reasons)
    rows = table("look", ">trials", ">day", f">{looks.unit}", ">boundary, |z|", *stopped)
    for row in looks.rows():
        day, amount, limit = row["day"], row["information"] * looks.planned, row["boundary"]
        rows.add_row(
            plain(row["look"]),
            _percent(row["reached"]),
            "" if math.isnan(day) else f"{day:.0f}",
            "" if math.isnan(amount) else f"{amount:.0f} of {looks.planned}",
            f"{limit:.3f}" if math.isfinite(limit) else "",
            *(_percent(row[why]) for why in reasons),
        )
    return rows


def _power(result: TrialResult) -> Table:
    found = result.power()
    sizes = sorted({one["patients"] for one in found})
    rows = table("significant trials, by patients in all", *(f">{size:,}" for size in sizes))
    lines: dict[tuple[str, str, str], dict[int, float]] = {}
    for one in found:
        key = one["analysis"], one["quantity"], one["arm"]
        lines.setdefault(key, {})[one["patients"]] = one["power"]
    several = len(result.design.arms) > 2
    for (analysis, quantity, arm), powers in lines.items():
        name = analysis + (f", {quantity.removesuffix(' p')}" if quantity != "p" else "")
        name += f", {arm}" if several and arm else ""
        rows.add_row(plain(name), *(_percent(powers[size]) for size in sizes))
    return rows


def _predicted(row: TrialRow) -> tuple[str, str]:
    """The median and the interval."""
    if math.isnan(row.median):
        return "", ""
    median, low, high = (f"{value:.{row.digits}g}" for value in (row.median, row.low, row.high))
    return median, f"{low} to {high}"


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.0f} %"
