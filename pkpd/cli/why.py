"""``pkpd why``: what made a curve as it is, in a table, in files and as a figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from pkpd.cli.scenes import (
    OutputOption,
    SetOption,
    UntilOption,
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
    lit,
    overrides,
    plain,
    print_json,
    print_lights,
    table,
)

if TYPE_CHECKING:
    from pkpd.decision.why import Account, Explanation, Share

ROUNDING = 1e-4  # of the largest number of a table


def why(
    of: Annotated[
        str,
        typer.Argument(metavar="MODEL|FIT", help="A model or a fit, by name or path.", show_default=False),
    ],
    schedule: Annotated[str, typer.Argument(help='Such as "1 MIU sc daily x5".', show_default=False)],
    look: Annotated[
        str | None,
        typer.Option(
            "--of",
            metavar="OUTPUT",
            help="Which output, or state (default: the first output that states change).",
            show_default=False,
        ),
    ] = None,
    subjects: Annotated[
        int, typer.Option(min=1, help="People for the intervals; 1 is the typical person alone.")
    ] = 100,
    seed: SeedOption = 1,
    set_: SetOption = None,
    until: UntilOption = None,
    output: OutputOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Explain why a curve looks as it does: what each term of its differential equation added.

    [dim]Examples[/]

      pkpd why low_dose_il2 "1 MIU sc daily x5"
      pkpd why il2_treg "1 MIU sc daily x5 every 28 d x3" --of treg_tissue -o why.png
      pkpd why ./my.model "100 mg oral daily x7" --of C --subjects 1 --json
    """
    options = dict(locals())
    from pkpd.decision.why import why as run
    from pkpd.decision.why.run import kernel_of

    check_output(output)
    with Work("reading and compiling the model (once: it is cached)", quiet):
        kernel = kernel_of(of)
    until_days = None if until is None else in_time_unit(until, "d", "--until")
    with Work("simulating", quiet) as work:
        found = run(
            of,
            schedule,
            look,
            subjects=subjects,
            seed=seed,
            parameters=overrides(set_ or [], kernel),
            until_days=until_days,
            threads=jobs,
            progress=work.update,
        )
    if output is not None:
        write_result(found, output, command_line(why, [of, schedule], options), quiet)
    if json:
        print_json(found.to_dict())
    elif not quiet:
        show(found)


def show(found: Explanation) -> None:
    """Print the accounts: of each term what it added during the treatment and after it."""
    from pkpd.present.report.numbers import because

    out = console()
    whole = not out.is_terminal  # lines, for programs and files
    out.print(f"{plain(found.output)} of {plain(found.model)}, {plain(str(found.schedule))}", soft_wrap=whole)
    for account in found.accounts:
        out.print()
        _account(found, account)
    reasons = [because(one.description or one.name, one.standing) for one in found.accounts]
    print_lights(reasons, [one.standing.light for one in found.accounts])
    for line in found.warnings:
        out.print(f"[yellow]![/] {plain(line)}", soft_wrap=whole)
    for line in (*found.reading, "A model, not medical advice."):
        out.print(plain(line), style="dim", soft_wrap=whole)


def _account(found: Explanation, account: Account) -> None:
    from pkpd.present.report.numbers import signed_by, unit

    out = console()
    shown = f" ({unit(account.unit)})" if unit(account.unit) else ""
    name = account.description or account.name
    out.print(f"[bold]{plain(name + shown)}[/]", soft_wrap=not out.is_terminal)
    days = f"day {found.treated_days:g}"
    made = table(
        "what added to it", "in the model", f"treatment, to {days}", f"then, to day {found.days[-1]:g}"
    )
    size = max(float(abs(total[0]).max()) for total in (account.change, *(t.total for t in account.terms)))

    def cells(*shares: Share) -> list[str]:
        return [plain(_share(share, size)) for share in shares]

    for term in account.terms:
        made.add_row(plain(term.words), plain(term.text), *cells(term.treated, term.after))
        for part in term.parts:
            by = f"  by {part.text}" + (f": {part.words}" if part.words != part.text else "")
            made.add_row(plain(by), "", *cells(part.treated, part.after), style="dim")
    change = (lit(signed_by(account.standing.light, cell)) for cell in cells(account.treated, account.after))
    made.add_row("all of them: the change", "", *change, style="bold")
    out.print(made)


def _share(share: Share, size: float) -> str:
    """What was added, where the largest of all is so large: what rounding leaves of nothing is nought."""
    from pkpd.present.report.numbers import finite_or_word as word

    def told(value: float, sign: bool = False) -> str:
        return word(0.0 if abs(value) < ROUNDING * size else value, sign)

    typical = told(share.typical, sign=True)
    if math.isnan(share.low):
        return typical
    return f"{typical} ({told(share.low)} to {told(share.high)})"
