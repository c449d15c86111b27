"""Every exception of the package, as one tree.

    PkpdError
    ├── InputError            what was given is wrong (exit code 3)
    │   ├── ModelError        a model file
    │   ├── ScheduleError     a dosing schedule
    │   ├── DataError         a data file or a fit folder
    │   ├── UnitError         a unit, or two that do not fit together
    │   └── LibraryError      a model or fit that is not there
    ├── SolverError           an integration that could not be finished (exit code 4)
    ├── ConvergenceError      an optimiser or a steady state that did not converge (exit code 5)
    └── MissingExtraError     an optional dependency that is not installed (exit code 6)

A message says what is wrong, where, and what would be right.
"""

from __future__ import annotations

from typing import TypeVar


class PkpdError(Exception):
    """Base of all errors that this package raises on purpose: ``except pkpd.PkpdError`` catches them all."""

    exit_code = 1


class InputError(PkpdError):
    """Something given by the user is wrong; nothing was computed or written.

    It is raised for an argument, a model file, a schedule, a data file, a unit or a name; the message says
    what is wrong, where, and what would be right.
    """

    exit_code = 3


class ModelError(InputError):
    """A model file cannot be read or does not hold together."""


class ScheduleError(InputError):
    """A dosing schedule cannot be understood."""


class DataError(InputError):
    """A data file or fit folder is malformed."""


class UnitError(InputError):
    """A unit is unknown, or two units cannot be converted into each other."""


class LibraryError(InputError):
    """No model or fit of that name."""


class SolverError(PkpdError):
    """An integration could not be finished; the message names subject, time and state.

    ``simulate`` raises it when no subject could be integrated, ``Solution.check`` for the first that failed.
    """

    exit_code = 4


class ConvergenceError(PkpdError):
    """An iteration stopped before it converged.

    ``fit`` raises it when the model cannot be simulated at any start.
    """

    exit_code = 5


class MissingExtraError(PkpdError):
    """An optional dependency is not installed; the message names the extra."""

    exit_code = 6


WINDOW = 160  # characters of a long line that are shown around the place

ErrorType = TypeVar("ErrorType", bound=PkpdError)


def located(
    error: type[ErrorType],
    message: str,
    *,
    shown: str,
    file: str,
    line: int,
    column: int,
    length: int = 1,
    hint: str = "",
) -> ErrorType:
    """Build an error that shows its place in a text.

    ``shown`` is the line of the text, ``line`` and ``column`` count from 1, ``length`` is the number of
    characters to underline. The result reads

        model.model:3:14: unknown name "Vd"
          3 | d central = -CL/Vd*central
            |                 ^^
          did you mean "V"?
    """
    source = shown.replace("\t", " ")
    first = max(0, column - 1 - WINDOW // 2) if len(source) > WINDOW else 0
    shown = source[first : first + WINDOW]
    at = max(0, column - 1 - first) + (1 if first else 0)
    shown = ("…" if first else "") + shown + ("…" if first + WINDOW < len(source) else "")
    gutter = f"{line} | "
    carets = " " * at + "^" * max(1, min(length, len(shown) - at))
    parts = [
        f"{file}:{line}:{column}: {message}",
        f"  {gutter}{shown}",
        f"  {' ' * (len(gutter) - 2)}| {carets}",
    ]
    if hint:
        parts.append(f"  {hint}")
    return error("\n".join(parts))
