"""What the commands share: options, tables and notes in a terminal, progress, quantities as arguments."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from pkpd.core.errors import InputError, PkpdError
from pkpd.core.names import question_or_list

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PATIENCE_S = 2.0  # what takes longer shows that it is at work

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
SeedOption = Annotated[
    int, typer.Option(min=0, help="Seed of everything random; the same seed gives the same numbers.")
]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Number of cores to use (default: all).", show_default=False)
]
AdherenceOption = Annotated[
    str | None,
    typer.Option(
        help='Share of doses that are taken: "0.9" or "90 %", the same doses missed by the same subjects of '
        "every schedule that says none itself.",
        show_default=False,
    ),
]
JitterOption = Annotated[
    str | None,
    typer.Option(help='Standard deviation of the times at which doses are taken: "2 h".', show_default=False),
]


class OfSchedules(TyperCommand):
    """A command with schedules as arguments: one that begins with a minus sign is a schedule, and no unknown
    option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # typer's "no such option" has no public type
            unknown = getattr(error, "option_name", None) or "--"
            for argument in given:
                if re.match(r"-\s*\.?\d\S*\s", argument) and argument.startswith(unknown):
                    from pkpd.dosing import Schedule

                    Schedule.parse(argument, "schedule")
            raise


# --- quantities as arguments ---


def check_known(name: str, known: Sequence[str], option: str, what: str) -> None:
    if name not in known:
        raise InputError(f'{option} has no {what} "{name}"; {question_or_list(name, known)}')


def overrides(given: list[str], kernel: Any) -> dict[str, float]:
    """``["CL = 80 mL/min"]`` -> ``{"CL": 4.8}``, in the model's units."""
    from pkpd.simulation.profile import value_of

    names = list(kernel.PARAMETERS)
    values: dict[str, float] = {}
    for text in given:
        name, equals, number = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(
                f'--set "{text}": write NAME=VALUE, for instance --set "{names[0]} = {kernel.VALUES[0]:g}"'
            )
        check_known(name, names, f'--set "{text}": {kernel.NAME}', "parameter")
        if name in values:
            raise InputError(f'--set "{text}": {name} is set twice; leave one of them out')
        try:
            values[name] = value_of(kernel, name, number)
        except PkpdError as error:
            raise InputError(f'--set "{text}": {error}') from None
    return values


def in_time_unit(text: str, time_unit: str, option: str, *, negative: bool = False) -> float:
    from pkpd.core import units

    try:
        value, unit = units.quantity(text)
        value *= 1.0 if unit == "1" else units.factor(unit, time_unit)
    except PkpdError as error:
        raise InputError(f"{option} {text!r}: {error}") from None
    if value < 0 and not negative:
        raise InputError(f"{option} {text!r}: a time cannot be negative")
    return value


def taking(adherence: str | None, jitter: str | None) -> dict[str, Any]:
    """What --adherence and --jitter say, as ``simulate`` and ``Scene.arms`` take it."""
    from pkpd.core import units
    from pkpd.dosing.taking import read_jitter

    share = 1.0
    try:
        if adherence is not None:
            value, unit = units.quantity(adherence)
            share = float(f"{value * units.factor(unit, '1'):.12g}")
    except PkpdError as error:
        raise InputError(f"--adherence {adherence!r}: {error}") from None
    if not 0.0 < share <= 1.0:
        raise InputError(
            f'--adherence {adherence!r}: it is the share of doses that are taken, such as "0.9" or "90 %"'
        )
    read_jitter(jitter)
    return {"adherence": share, "jitter": jitter}


# --- what is printed ---


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def table(*columns: str) -> Table:
    """A table without frame; a column written ``>name`` is aligned to the right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    return made


def plain(text: str) -> str:
    """Text that rich prints as it is, brackets included."""
    from rich.markup import escape

    return escape(text)


_COLOURS = {"●": "green", "◐": "yellow", "○": "red"}


def lit(text: str) -> str:
    """Text in rich's markup with the signs of lights in their colours."""
    for sign, colour in _COLOURS.items():
        text = text.replace(sign, f"[{colour}]{sign}[/]")
    return text


def print_lights(reasons: Iterable[str], lights: Iterable[str]) -> None:
    """Why lights are as they are, in sentences, and what their signs mean."""
    from pkpd.present.report.numbers import legend

    out = console()
    for line in filter(None, (*reasons, legend(lights))):
        out.print(lit(plain(line)), soft_wrap=not out.is_terminal)


def print_json(value: Any) -> None:
    import sys

    from pkpd.core.files import to_json

    text = to_json(value)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # JSON has escapes of its own, which leave the text what it is
        text = to_json(value, ascii_only=True)
    typer.echo(text)


def note(text: str, quiet: bool = False) -> None:
    if not quiet:
        typer.echo(text, err=True)


class Work:
    """Shows on standard error what is being done, once it has taken two seconds: a bar in a terminal, else a
    line per stage.

    Used as a context; ``update(what, share, remark)`` tells how far it is (share from 0 to 1, below 0: not
    known).
    """

    def __init__(self, what: str, quiet: bool = False) -> None:
        self.what, self.share, self.remark, self.quiet = what, -1.0, "", quiet
        self._timer = threading.Timer(PATIENCE_S, self._show)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._bar: Any = None
        self._shown = self._over = False
        self._printed = ""

    def __enter__(self) -> Work:
        if not self.quiet:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._shown, self._over = False, True
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def update(self, what: str, share: float = -1.0, remark: str = "") -> None:
        with self._lock:
            self.what, self.share, self.remark = what, share, remark
            if self._shown:
                self._draw()

    def _show(self) -> None:
        with self._lock:
            if self._over:  # the timer went off while the work ended
                return
            terminal = console(stderr=True)
            if terminal.is_terminal:
                from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

                columns = (
                    SpinnerColumn(),
                    TextColumn("{task.description}"),
                    BarColumn(),
                    TimeElapsedColumn(),
                )
                self._bar = Progress(
                    *columns, TextColumn("{task.fields[remark]}"), console=terminal, transient=True
                )
                self._bar.add_task("", total=None, remark="")
                self._bar.start()
            self._shown = True
            self._draw()

    def _draw(self) -> None:
        if self._bar is None:
            if self.what != self._printed:
                self._printed = self.what
                typer.echo(f"{self.what} ...", err=True)
            return
        known = self.share >= 0
        self._bar.update(
            0,
            description=plain(self.what),
            total=1.0 if known else None,
            completed=max(0.0, self.share),
            remark=plain(self.remark),
        )
