"""What a public function takes: a wrong type is refused with a sentence that names the function, the argument
and what would be right.

    @takes(schedule=TEXT | of(Schedule), times=NUMBERS | NONE, subjects=WHOLE)
    def simulate(schedule, times=None, *, subjects=1): ...

The arguments are looked at before anything is done; with ``late`` only where the call fails, for a function
that is called many thousand times. Whether a value makes sense is the function's own business.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from pkpd.core import moved
from pkpd.core.errors import InputError, PkpdError

Checked = TypeVar("Checked", bound=Callable[..., Any])


@dataclass(frozen=True)
class ArgumentKind:
    """A kind of value: whether one is of it, and what it is called; ``|`` joins two."""

    holds: Callable[[Any], bool]
    words: str

    def __or__(self, other: ArgumentKind) -> ArgumentKind:
        return ArgumentKind(
            lambda value: self.holds(value) or other.holds(value),
            f"{self.words}, or {other.words}"
            if ", " in self.words + other.words
            else f"{self.words} or {other.words}",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _are_numbers(value: Any) -> bool:
    if value is None or isinstance(value, str | bytes | Mapping | set | frozenset | bool) or callable(value):
        return False
    try:
        found = np.asarray(value)
        if found.dtype.kind != "O":
            return found.dtype.kind in "iuf"
        # fractions, decimals and the like; numpy would read None as nan
        return all(item is not None for item in found.flat) and np.asarray(value, np.float64).size > 0
    except (TypeError, ValueError, OverflowError):
        return False


def of(*classes: type, words: str = "") -> ArgumentKind:
    """Values of these classes, called by their names unless ``words`` say it better."""
    return ArgumentKind(
        lambda value: isinstance(value, classes), words or " or ".join(f"a {one.__name__}" for one in classes)
    )


def named(module: str, name: str, words: str) -> ArgumentKind:
    """Values of a class that is not loaded for this: by the names of the class and of its module, or those it
    derives from."""
    return ArgumentKind(
        lambda value: any(
            base.__name__ == name and base.__module__.startswith(module) for base in type(value).__mro__
        ),
        words,
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


def list_of(item: ArgumentKind, words: str) -> ArgumentKind:
    """Lists and tuples of one kind of value."""
    return ArgumentKind(lambda value: isinstance(value, list | tuple) and all(map(item.holds, value)), words)


ABSENT = ArgumentKind(lambda value: value is None, "None")
TEXT = of(str, words="a text")
FLAG = ArgumentKind(lambda value: isinstance(value, bool | np.bool_), "True or False")
NUMBER = ArgumentKind(_is_number, "a number")
WHOLE = ArgumentKind(_is_whole, "a whole number")
COUNT = ArgumentKind(lambda value: _is_whole(value) and value >= 1, "a whole number from 1 on")
NUMBERS = ArgumentKind(_are_numbers, "numbers")
TEXTS = list_of(TEXT, "a list of texts")
LIST = ArgumentKind(_is_list, "a list")
PATH = of(str, os.PathLike, words="a path")
MAPPING = of(Mapping, words="a dict")
CALLABLE = ArgumentKind(callable, "a function")


def check(function: str, name: str, value: Any, kind: ArgumentKind) -> None:
    """Raise ``InputError`` unless the value is of this kind."""
    if not kind.holds(value):
        raise InputError(f"{function}: {name} must be {kind.words}, not {shown(value)}")


def shown(value: Any) -> str:
    """A value and its type, short: 'x' (str)."""
    text = repr(value).splitlines()[0] if repr(value) else ""
    text = text if len(text) <= 60 else text[:57] + "..."
    return text if value is None or isinstance(value, bool) else f"{text} ({type(value).__name__})"


def takes(*, late: bool = False, **kinds: ArgumentKind) -> Callable[[Checked], Checked]:
    """A decorator: these arguments (of a class, what it is made of) are of these kinds."""

    def decorate(function: Checked) -> Checked:
        if inspect.isclass(function):
            function.__init__ = decorate(function.__init__)  # type: ignore[method-assign]
            return function
        names = list(inspect.signature(function).parameters)
        unknown = set(kinds) - set(names)
        assert not unknown, unknown
        title = function.__qualname__.removesuffix(".__init__")

        def look(arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
            moved.check_arguments(title, options)
            for name, value in (*zip(names, arguments, strict=False), *options.items()):
                if name in kinds:
                    check(title, name, value, kinds[name])

        @functools.wraps(function)
        def called(*arguments: Any, **options: Any) -> Any:
            if not late:
                look(arguments, options)
                return function(*arguments, **options)
            try:
                return function(*arguments, **options)
            except (PkpdError, TypeError, ValueError, AttributeError, LookupError, OverflowError):
                look(arguments, options)
                raise

        return called  # type: ignore[return-value]

    return decorate
