"""``pkpd bench``: solvers compared, on a user's problem or, in a checkout, on those of the repository."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pkpd.cli.terminal import Work
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

DESCRIPTION = """\
Our methods and every other solver that is installed, at equal error, on a problem of yours: a Python file
that defines rhs(t, y, p, dy), y0, times and, if there are any, parameters, jacobian(t, y, p, J), reference,
stiff, title. It is run as Python runs it. The diagram of time over error goes beside it, the numbers as JSON.
"""
SECTIONS = """
In a checkout of the repository, with no problem: its own benchmarks. `pkpd bench --help` there lists them.
"""


def bench(context: typer.Context) -> None:
    """Compare solvers at equal error, on a problem of yours.

    [dim]Examples[/]

      pkpd bench my_problem.py
      pkpd bench --help

    A problem is a Python file with rhs(t, y, p, dy), y0 and times. In a checkout of the repository,
    [italic]pkpd bench[/] alone runs its own benchmarks, and [italic]pkpd bench --publish RUN.json[/] writes
    docs/measured.md from them.
    """
    _measure(context.args)


def _measure(arguments: Sequence[str]) -> None:
    if any(argument.endswith(".py") for argument in arguments):
        _problem(_parser().parse_args(arguments))
        return
    root = Path(__file__).parents[2]
    in_checkout = (root / "benchmarks" / "__main__.py").is_file()
    if "--help" in arguments or "-h" in arguments:
        typer.echo(_parser().format_help())
    if in_checkout:
        import runpy

        sys.path.insert(0, str(root))
        sys.argv = ["pkpd bench", *arguments]
        runpy.run_module("benchmarks", run_name="__main__")
    elif "--help" not in arguments and "-h" not in arguments:
        raise InputError(
            "the repository's own benchmarks are not part of the installed package: name a problem of yours, "
            "`pkpd bench my_problem.py` (what it defines: `pkpd bench --help`), or run this in a checkout of "
            "the repository"
        )


def _parser() -> argparse.ArgumentParser:
    import argparse

    parser = argparse.ArgumentParser(
        prog="pkpd bench",
        description=DESCRIPTION,
        epilog=SECTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("problem", type=Path, metavar="PROBLEM.py", help="a Python file")
    parser.add_argument("--quick", action="store_true", help="fewer tolerances and repetitions")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PICTURE",
        help="where the diagram goes (.png, .svg, .pdf; default: PROBLEM.png), the numbers beside it",
    )
    return parser


def _problem(options: argparse.Namespace) -> None:
    import json

    from pkpd.bench.peers import asked
    from pkpd.bench.precision import compare, report_lines
    from pkpd.bench.problem import read_problem
    from pkpd.core.files import replacing
    from pkpd.present.plot import save, work_precision_figure

    picture = options.output or options.problem.with_suffix(".png")
    problem = read_problem(options.problem)
    peers = asked(functions_only=True)
    for name, version in peers.items():
        typer.echo(f"{name:16s} {version}")
    with Work("measuring"):
        found = compare(problem, options.quick)
    typer.echo()
    for line in report_lines(found):
        typer.echo(line)
    numbers = picture.with_suffix(".json")
    with replacing(numbers) as temporary:
        temporary.write_text(json.dumps(found | {"peers": peers}, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"\nwrote {save(work_precision_figure(found), picture)} and {numbers}")
