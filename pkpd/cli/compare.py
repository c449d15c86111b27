"""``pkpd compare``: schedules side by side, in a table, in files and as a report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli.scenes import (
    DrawsOption,
    FitOption,
    OutputOption,
    PosteriorOption,
    RespondersOption,
    SetOption,
    ShowOption,
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
    check_known,
    console,
    lit,
    plain,
    print_json,
    taking,
)
from pkpd.core.errors import InputError
from pkpd.treg import FIT

if TYPE_CHECKING:
    from pkpd.decision.comparison import Comparison, ComparisonRow
    from pkpd.decision.endpoints import Endpoint


def compare(
    schedules: Annotated[
        list[str],
        typer.Argument(
            metavar="SCHEDULE...",
            help='Schedules ("1 MIU sc daily x5", "none" for placebo) and files of them (.txt, '
            ".csv), in any mixture. The first is what "
            "the others are compared with.",
        ),
    ],
    fit: FitOption = FIT,
    subjects: Annotated[int, typer.Option(min=1, help="How many virtual subjects.")] = 1000,
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
    endpoints: Annotated[
        str | None,
        typer.Option(
            help='Endpoints or groups of them: "Treg mean fold, burden", or "all" (default: the main '
            "ones; files have all); also a file of endpoints, such as my.toml, in place of the fit's own.",
            show_default=False,
        ),
    ] = None,
    show: ShowOption = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Also the published numbers behind what is shown.")
    ] = False,
    output: OutputOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare dose schedules in the same virtual subjects.

    [dim]Examples[/]

      pkpd compare "1 MIU sc daily x5 every 28 d x3" "0.26 MIU/m2 sc every 3 d for 84 d"
      pkpd compare schedules.txt none -o report.html
      pkpd compare schedules.txt none -o deck.pptx
      pkpd compare "1 MIU sc weekly x12" "1 MIU sc weekly x12; hold if nk > 2 x baseline"
      pkpd compare "1 MIU sc weekly x12" "1 MIU sc weekly x12; adherence 80 %; jitter 12 h"
      pkpd compare "1 MIU sc weekly x12" "2 MIU sc weekly x12" --set "BSA = 1.9 m^2" --until "120 d"
      pkpd compare "1 MIU sc daily x5" --study IMODALS --endpoints "Treg mean fold" --json

    A file has a schedule a line ("high: 2 MIU sc daily x5"; # begins a comment), a CSV file the columns label
    and schedule.
    """
    # what could fail cheaply fails before anything is computed
    options = dict(locals())
    check_output(output)
    from pkpd.decision.comparison import compare as run
    from pkpd.decision.comparison.schedules import read_schedules

    named, as_taken = read_schedules(schedules), taking(adherence, jitter)
    names, file = _names_and_file(endpoints)
    asked_for = [name.strip() for name in (show or "").split(",") if name.strip()]
    scene = scene_of(
        fit, subjects, draws, seed, vary, study, set_, responders, until, jobs, quiet, file, posterior
    )
    scene.criteria.asked_for(asked_for)
    what = f"simulating {len(named)} schedule{'s' * (len(named) > 1)} in {subjects:,} subjects"
    with Work(what, quiet) as work:
        arms = scene.arms(
            [item.schedule for item in named],
            [None if item.label == str(item.schedule) else item.label for item in named],
            files=[item.place for item in named],
            progress=lambda _, share, remark: work.update(what, share, remark),
            **as_taken,
        )
        comparison = run(arms, show=asked_for)
    chosen = _chosen(comparison, names)
    written = comparison if names is None else chosen
    if output is not None:
        write_result(written, output, command_line(compare, schedules, options), quiet)
    if json:
        print_json(written.to_dict())
    elif not quiet:
        print_comparison(chosen, everything=names is not None, sources=sources)


def _names_and_file(endpoints: str | None) -> tuple[list[str] | None, Path | None]:
    """What --endpoints names: endpoints and groups (None: the main ones), and a file that declares some."""
    if endpoints is None:
        return None, None
    said = [name.strip() for name in endpoints.split(",") if name.strip()]
    files = [name for name in said if name.endswith(".toml")]
    if len(files) > 1:
        raise InputError(f"--endpoints names {len(files)} files; endpoints are declared in one")
    names = [name for name in said if name not in files]
    return (names if names or not files else None), (Path(files[0]) if files else None)


def _chosen(comparison: Comparison, names: list[str] | None) -> Comparison:
    if names is None:
        return comparison.main()
    if names == ["all"]:
        return comparison
    known = [name for endpoint in comparison.endpoints for name in (endpoint.name, endpoint.group)]
    for name in names:
        comparison.check_asked_for(name)
        check_known(name, list(dict.fromkeys(known)), "--endpoints: this comparison", "endpoint")
    if not names:
        raise InputError(f'--endpoints names none; write "all", or some of {", ".join(dict.fromkeys(known))}')
    return comparison.choose(names)


# --- the table ------------------------------------------------------------------------------------


def print_comparison(comparison: Comparison, *, everything: bool = True, sources: bool = False) -> None:
    """Print a comparison: what is compared, the table, warnings, and how to read it; with ``sources`` the
    rows of data behind it."""
    from rich.text import Text

    from pkpd.decision.comparison import letters

    out = console()
    whole = not out.is_terminal  # lines, for programs and files
    marks = letters(len(comparison.arms))
    for mark, arm in zip(marks, comparison.arms, strict=True):
        schedule = arm.text
        words = arm.label if arm.label.startswith(schedule) else f"{arm.label}: {schedule}"
        out.print(Text.assemble((mark, "bold"), "  ", words), soft_wrap=whole)
        if arm.schedule.n_doses:
            out.print(Text(f"{' ' * len(mark)}  {arm.when}", style="dim"), soft_wrap=whole)
    out.print()
    lines, left_out = _lines(comparison, marks, math.inf if whole else out.width)
    for line in lines:
        out.print(line, soft_wrap=True)
    out.print()
    if left_out:
        out.print(
            "There is no room here for the median by the parameters alone: a wider window, --json "
            "and -o have it.",
            style="dim",
        )
    for line in _remarks(comparison, marks):
        out.print(plain(line), style="dim", soft_wrap=whole)
    for topic, lines in _warnings(comparison):
        out.print(f"[yellow]![/] [bold]{plain(topic[:1].upper() + topic[1:])}[/]")
        for line in lines:
            out.print(f"  {plain(line)}", soft_wrap=whole)
    if sources:
        for line in _sources(comparison):
            out.print(plain(line), soft_wrap=whole)
    for line in comparison.reading:
        out.print(plain(line), style="dim", soft_wrap=whole)
    if kept_back := ", ".join(group.group for group in comparison.kept_back):
        out.print(
            f"Shown on request, with what they rest on: --show {plain(kept_back)}.",
            style="dim",
            soft_wrap=whole,
        )
    if not everything:
        out.print(
            "These are the main endpoints: --endpoints all shows every one, -o report.html with "
            "definitions and figures.",
            style="dim",
            soft_wrap=whole,
        )
    out.print("A model, not medical advice.", style="dim")


def _lines(comparison: Comparison, marks: list[str], width: float) -> tuple[list[str], bool]:
    """The table as lines: with one schedule a line per endpoint, with several a block, which is narrow enough
    for 80 columns.

    Where it is still wider than ``width``, it goes without what the parameters alone do; whether it does is
    the second value.
    """
    several = len(comparison.arms) > 1
    ninety = "(90 % interval)" if comparison.arms[0].scene.of_one else "(90 % of subjects)"
    heads = [
        ["", "", "", "", "better/"],
        ["", "median", "median, by", "difference to A", "same/"],
        ["", ninety, "the parameters", ninety, "worse %"],
    ]
    body = _rows(comparison, marks)
    columns = list(range(5 if several else 3))
    widths = [max(len(row[i]) for row in [*heads, *body] if len(row) > 1) for i in columns]
    left_out = sum(widths) + 2 * len(widths) - 2 > width
    if left_out or comparison.arms[0].scene.of_one:  # a person's draws are not apart by parameters
        columns.remove(2)

    def line(cells: list[str]) -> str:
        # padded before it is escaped, which makes it longer
        text = plain("  ".join(cells[i].ljust(widths[i]) for i in columns).rstrip())
        return lit(text)

    rule = "─" * (sum(widths[i] for i in columns) + 2 * len(columns) - 2)
    if not several:
        heads = heads[1:]
    left_out = left_out and not comparison.arms[0].scene.of_one
    return [*map(line, heads), rule, *(row[0] if len(row) == 1 else line(row) for row in body)], left_out


def _rows(comparison: Comparison, marks: list[str]) -> list[list[str]]:
    """The cells of the table; a heading is a row of one cell."""
    from pkpd.decision.evidence import Light
    from pkpd.present.report.numbers import LIGHTS, shares, unit

    several = len(comparison.arms) > 1
    body: list[list[str]] = []
    for k, endpoint in enumerate(comparison.endpoints):
        if k == 0 or endpoint.group != comparison.endpoints[k - 1].group:
            body.append([f"[bold]{plain(endpoint.group)}[/]"])
        rows = [row for row in comparison.rows if row.endpoint == endpoint]
        shown = "probability" if rows[0].of != "subjects" else unit(endpoint.unit)
        name = f"{endpoint.name} ({shown})" if shown else endpoint.name
        name += {1: " ↑", -1: " ↓"}.get(endpoint.better, "")
        if several:
            body.append([plain(name) + _margin(endpoint)])
        for mark, row in zip(marks, rows, strict=True):
            light = LIGHTS[Light(row.light)] or " "
            cells = [
                f" {light} {mark}" if several else f"{light} {name}",
                _cell(row.median, row.low, row.high, "no value"),
            ]
            cells.append(_span(row.median_low, row.median_high))
            if several:
                cells += [
                    _cell(row.difference, row.difference_low, row.difference_high, sign=True),
                    shares(row.better, row.same, row.worse),
                ]
            body.append(cells)
    return body


def _margin(endpoint: Endpoint) -> str:
    """How far apart two values may be that count as the same."""
    from pkpd.present.report.numbers import unit

    if endpoint.relevant is None or not endpoint.better:
        return ""
    margin = endpoint.relevant.shown(unit(endpoint.unit))
    return f"  [dim]the same: less than {plain(margin)} apart[/]" if margin else ""


def _cell(middle: float, low: float, high: float, absent: str = "", sign: bool = False) -> str:
    from pkpd.present.report.numbers import finite_or_word as word

    if math.isnan(middle):
        return absent
    digits = (1, 1) if sign and abs(middle) < 0.01 else (3, 2) if sign else (3, 3)  # next to nothing is short
    shown, ends = word(middle, sign, digits[0]), [word(end, digits=digits[1]) for end in (low, high)]
    return shown if low == high or ends == [shown, shown] else f"{shown} ({ends[0]} to {ends[1]})"


def _span(low: float, high: float) -> str:
    from pkpd.present.report.numbers import finite_or_word as word

    ends = [word(low), word(high)]
    return "" if ends[0] == ends[1] else " to ".join(ends)


def _remarks(comparison: Comparison, marks: list[str]) -> list[str]:
    """What stands in no cell: who has no value and why, and what whoever reads an endpoint has to know."""
    from pkpd.present.report.numbers import legend

    lines = ["↑ more is wanted, ↓ less is wanted."] * any(
        endpoint.better for endpoint in comparison.endpoints
    )
    meant = legend(row.light for row in comparison.rows)
    lines += [f"{meant} --sources has the numbers behind."] * bool(meant)
    for endpoint in comparison.endpoints:
        rows = [row for row in comparison.rows if row.endpoint == endpoint]
        said = [words for mark, row in zip(marks, rows, strict=True) if (words := _absent(mark, row))]
        if said:
            lines.append(
                f"{endpoint.name}: {'; '.join(said)}"
                + (f" ({endpoint.missing})" if endpoint.missing else "")
                + "."
            )
        if endpoint.remark:
            lines.append(f"{endpoint.name}: {endpoint.remark}.")
    return lines


def _absent(mark: str, row: ComparisonRow) -> str:
    if row.missing and not (row.n or row.beyond):
        return f"none in {mark}"
    parts = [f"{row.missing:,} without a value"] * bool(row.missing) + [
        f"{row.beyond:,} not within the horizon"
    ] * bool(row.beyond)
    return f"in {mark} {' and '.join(parts)} of {row.n + row.missing + row.beyond:,}" if parts else ""


MOST_LINES = 8
"""Of one topic: more are not read."""


def _warnings(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """What a reader needs to know by topic, the most important first; of many lines the first."""
    topics: dict[str, list[str]] = {}
    for told, line in zip(comparison.told, comparison.short_warnings, strict=True):
        topics.setdefault(told.topic, []).append(line)
    return [
        (topic, [*lines[:MOST_LINES], f"... and {len(lines) - MOST_LINES} more: -o and --json have all"])
        if len(lines) > MOST_LINES + 1
        else (topic, lines)
        for topic, lines in topics.items()
    ]


def _sources(comparison: Comparison) -> list[str]:
    """A line for each published number behind the endpoints."""
    from pkpd.present.report.numbers import outcome, reported

    lines = ["", f"The {len(comparison.sources)} published numbers behind these endpoints:"]
    for one in comparison.sources:
        row = one.row
        said = [f"{row.study}, {row.schedule}: {row.output}, {one.what}: {reported(one)}", outcome(one)]
        said += ["unverified" * one.unverified, f"{row.source}{f', doi {row.doi}' * bool(row.doi)}"]
        lines.append(f"  {row.id}: {'; '.join(filter(None, said))}")
    return lines
