"""Units: read one, compare two, convert a number. pint lives here and nowhere else.

The registry is our own and small, so that a typing error is an error and not a milli-inch. What is special:

* IU (of one drug) is a dimension of its own: activity does not turn into mass unless a bridge says how,
  for instance ``Bridge(18, "MIU", 1.1, "mg")``.
* Cells, molecules and patients are counted: dimensionless with scale 1, so that ``cells/uL`` equals ``1/uL``.
* ``percent`` (also ``%`` and ``points``) is dimensionless with scale 0.01: 5 percent is 0.05. Since a model's
  units must agree in scale too, a fraction never passes for percent: write ``define hundred = 100 [percent]``
  and multiply.
* ``mg/kg`` and ``mL/L`` keep what they were made of: they do not convert into plain numbers.
* A month or a year is refused: it is not a fixed number of days.

``import pkpd.core.units`` is cheap: pint is loaded when the first unit is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from pkpd.core.errors import UnitError
from pkpd.core.names import question

if TYPE_CHECKING:
    import pint

Exponents = tuple[tuple[str, Fraction], ...]

_DEFINITIONS = (
    "gram = [mass]",
    "meter = [length]",
    "second = [time]",
    "mole = [amount]",
    "international_unit = [activity]",
    "minute = 60 * second",
    "hour = 3600 * second",
    "day = 24 * hour",
    "week = 7 * day",
    "liter = 1e-3 * meter ** 3",
    "molar = mole / liter",
    "percent = 0.01",
    "count = 1",
)
_PREFIXES = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "d": 1e-1,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}

# base unit in the registry: (symbols written without prefix, symbol that takes prefixes, prefixes it takes)
_SYMBOLS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "gram": (("g",), "g", "fpnumk"),
    "liter": (("L", "l"), "L", "fpnumd"),
    "mole": (("mol",), "mol", "fpnum"),
    "molar": (("M",), "M", "fpnum"),
    "international_unit": (("IU",), "IU", "numkMG"),
    "meter": (("m",), "m", "numcd"),
    "second": (("s", "sec", "second", "seconds"), "s", "num"),
    "minute": (("min", "minute", "minutes"), "", ""),
    "hour": (("h", "hr", "hour", "hours"), "", ""),
    "day": (("d", "day", "days"), "", ""),
    "week": (("wk", "week", "weeks"), "", ""),
    "percent": (("percent", "%", "points"), "", ""),
    "count": (("cell", "cells", "molecule", "molecules", "patient", "patients", "fold", "fraction"), "", ""),
}
_REFUSED = {
    "U": "write IU for international units",
    "month": "a month is not a fixed number of days: write 28 d, or whatever is meant",
    "months": "a month is not a fixed number of days: write 28 d, or whatever is meant",
    "year": "a year is not a fixed number of days: write 365.25 d, or whatever is meant",
    "years": "a year is not a fixed number of days: write 365.25 d, or whatever is meant",
    "mcg": "write ug",
    "cc": "write mL",
    "Da": "a molar mass is written g/mol",
    "kDa": "a molar mass is written kg/mol",
}

DOSE_UNITS = ("IU", "kIU", "MIU", "ng", "ug", "mg", "g", "pmol", "nmol", "umol", "mmol")
"""Units a dose may be written in."""

TIME_UNITS = ("s", "min", "h", "d", "week")
"""Units a time may be written in (with their long names)."""

_MAX_LENGTH = 100
_MAX_EXPONENT = 12
_SCALE_TOLERANCE = 1e-9


class Bridge(NamedTuple):
    """A declared equality between two dimensions: ``Bridge(18, "MIU", 1.1, "mg")``."""

    left_value: float
    left_unit: str
    right_value: float
    right_unit: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that was read: the symbols as written, its size in base units, and its dimension.

    Multiplication, division and powers combine units; equality of ``dimension`` and of ``scale`` says whether
    two fit.
    """

    symbols: Exponents
    scale: float
    dimension: Exponents

    def __mul__(self, other: Unit) -> Unit:
        return Unit(
            _merged(self.symbols, other.symbols, 1),
            self.scale * other.scale,
            tuple(sorted(_merged(self.dimension, other.dimension, 1))),
        )

    def __truediv__(self, other: Unit) -> Unit:
        return Unit(
            _merged(self.symbols, other.symbols, -1),
            self.scale / other.scale,
            tuple(sorted(_merged(self.dimension, other.dimension, -1))),
        )

    def __pow__(self, exponent: Fraction | int) -> Unit:
        exponent = Fraction(exponent)
        return Unit(
            _merged((), self.symbols, exponent),
            self.scale ** float(exponent),
            tuple(sorted(_merged((), self.dimension, exponent))),
        )

    def same_dimension(self, other: Unit) -> bool:
        """Whether both measure the same thing, on whatever scale."""
        return self.dimension == other.dimension

    def same(self, other: Unit) -> bool:
        """Whether a number means the same in both units."""
        return self.dimension == other.dimension and math.isclose(
            self.scale, other.scale, rel_tol=_SCALE_TOLERANCE
        )

    @property
    def dimensionless(self) -> bool:
        """Whether this is a plain number on some scale (``percent`` is, with scale 0.01)."""
        return not self.dimension

    def __str__(self) -> str:
        above = [_power(symbol, exponent) for symbol, exponent in self.symbols if exponent > 0]
        below = ["/" + _power(symbol, -exponent) for symbol, exponent in self.symbols if exponent < 0]
        return ("*".join(above) or "1") + "".join(below)


class UnitProblem(NamedTuple):
    """What is wrong in a unit's text, and where."""

    message: str
    offset: int
    length: int
    hint: str


ONE = Unit((), 1.0, ())


def _merged(left: Exponents, right: Exponents, sign: Fraction | int) -> Exponents:
    total: dict[str, Fraction] = dict(left)
    for name, exponent in right:
        total[name] = total.get(name, Fraction(0)) + sign * exponent
    return tuple((name, exponent) for name, exponent in total.items() if exponent)


def _power(symbol: str, exponent: Fraction) -> str:
    if exponent == 1:
        return symbol
    return f"{symbol}^{exponent}" if exponent.denominator == 1 else f"{symbol}^({exponent})"


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry:
    import pint

    registry: pint.UnitRegistry = pint.UnitRegistry(None)
    registry.load_definitions(list(_DEFINITIONS))
    return registry


@lru_cache(maxsize=1)
def _known() -> dict[str, tuple[str, float]]:
    """Symbol -> (registry unit, size of the prefix)."""
    known: dict[str, tuple[str, float]] = {}
    for unit, (plain, prefixed, prefixes) in _SYMBOLS.items():
        known.update(dict.fromkeys(plain, (unit, 1.0)))
        known.update({prefix + prefixed: (unit, _PREFIXES[prefix]) for prefix in prefixes})
        if unit == "liter":
            known.update({prefix + "l": (unit, _PREFIXES[prefix]) for prefix in prefixes})
    return known


def known() -> tuple[str, ...]:
    """Every symbol that may be written, in the order of the table above."""
    return tuple(_known())


@lru_cache(maxsize=256)
def _atom(symbol: str) -> Unit:
    name, prefix = _known()[symbol]
    size, base = _registry().get_root_units(name)
    dimension = tuple(sorted((key, Fraction(str(power))) for key, power in base.dimensionality.items()))
    return Unit(((symbol, Fraction(1)),), cast(float, size) * prefix, dimension)


def suggestion(symbol: str) -> str:
    """What could stand where an unknown unit stands."""
    if symbol in _REFUSED:
        return _REFUSED[symbol]
    listed = "known are g L mol M IU m with prefixes, s min h d week, percent, cells, 1"
    return f"{question(symbol, _known())} {listed}".lstrip()


_TOKEN = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z%]+)"
    r"|(?P<power>\*\*|\^)|(?P<sign>[*/().·+-])"
)


class _Reader:
    """Recursive descent over ``[number | name | (unit)] [^ exponent]`` joined by ``* · . /``."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("µ", "u").replace("μ", "u")
        self.position = 0
        self.depth = 0

    def fail(self, message: str, offset: int, length: int = 1, hint: str = "") -> _Stop:
        return _Stop(UnitProblem(message, offset, length, hint))

    def peek(self) -> re.Match[str] | None:
        while self.position < len(self.text) and self.text[self.position] == " ":
            self.position += 1
        if self.position == len(self.text):
            return None
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            found = self.text[self.position]
            raise self.fail(
                f'"{found}" cannot stand in a unit', self.position, hint="write it like mg/L or 1/uL"
            )
        return match

    def take(self) -> re.Match[str] | None:
        match = self.peek()
        if match is not None:
            self.position = match.end()
        return match

    def product(self) -> Unit:
        unit = self.factor()
        while (match := self.peek()) is not None and match.group() != ")":
            if match.group() not in ("*", "/", "·", "."):
                raise self.fail(
                    f'expected * or / before "{match.group()}"',
                    match.start(),
                    len(match.group()),
                    "write for instance IU*h/mL",
                )
            self.take()
            unit = unit / self.factor() if match.group() == "/" else unit * self.factor()
        return unit

    def factor(self) -> Unit:
        match = self.take()
        if match is None:
            raise self.fail(
                "a unit is missing",
                max(0, len(self.text) - 1),
                hint="write it like mg/L, and 1 for a plain number",
            )
        word, start = match.group(), match.start()
        if match.group("number"):
            value = float(word)
            if not 0 < value < math.inf:
                raise self.fail(f"{word} cannot be part of a unit", start, len(word))
            unit = Unit(() if value == 1 else ((word, Fraction(1)),), value, ())
        elif match.group("name"):
            if word not in _known():
                raise self.fail(f'unknown unit "{word}"', start, len(word), suggestion(word))
            unit = _atom(word)
            digits = re.compile(r"[0-9]+").match(self.text, self.position)
            if digits:  # m2 is m^2
                self.position = digits.end()
                return unit ** self.checked(
                    Fraction(int(digits.group()[:4])), digits.start(), len(digits.group())
                )
        elif word == "(":
            self.depth += 1
            if self.depth > 10:
                raise self.fail("too many parentheses", start)
            unit = self.product()
            if self.take() is None:
                raise self.fail("the parenthesis is not closed", start)
            self.depth -= 1
        else:
            raise self.fail(f'expected a unit, not "{word}"', start, len(word), "write it like mg/L or 1/uL")
        following = self.peek()
        if following is not None and following.group("power"):
            self.take()
            unit = unit ** self.exponent()
        return unit

    def exponent(self) -> Fraction:
        self.peek()
        match = re.compile(
            r"[+-]?[0-9]{1,4}(?:\.[0-9]{1,4})?|\( *[+-]?[0-9]{1,4}(?: */ *[0-9]{1,4}|\.[0-9]{1,4})? *\)"
        ).match(self.text, self.position)
        if match is None:
            raise self.fail(
                "expected a number after ^", min(self.position, len(self.text) - 1), hint="write m^2 or s^-1"
            )
        self.position = match.end()
        try:
            exponent = Fraction(match.group().strip("()").replace(" ", ""))
        except ZeroDivisionError:
            raise self.fail("division by zero in an exponent", match.start(), len(match.group())) from None
        return self.checked(exponent, match.start(), len(match.group()))

    def checked(self, exponent: Fraction, offset: int, length: int) -> Fraction:
        if abs(exponent) > _MAX_EXPONENT:
            raise self.fail(f"an exponent beyond {_MAX_EXPONENT} makes no unit", offset, length)
        return exponent


class _Stop(Exception):
    def __init__(self, problem: UnitProblem) -> None:
        self.problem = problem


@lru_cache(maxsize=1024)
def examine(text: str) -> Unit | UnitProblem:
    """Read a unit, or say what is wrong with its text and at which offset (for errors that show a place)."""
    if len(text) > _MAX_LENGTH:
        return UnitProblem(
            f"a unit of {len(text)} characters", 0, _MAX_LENGTH, f"at most {_MAX_LENGTH} are read"
        )
    if text.strip() in ("", "-"):
        return UnitProblem(
            "a unit is missing", 0, max(1, len(text)), "write it like mg/L, and 1 for a plain number"
        )
    reader = _Reader(text)
    try:
        unit = reader.product()
        rest = reader.peek()
        if rest is not None:
            raise reader.fail("a parenthesis closes that was not opened", rest.start())
        if not 0 < unit.scale < math.inf:
            raise reader.fail("this unit is too large or too small for a number", 0, len(text))
    except _Stop as stop:
        return stop.problem
    except OverflowError:
        return UnitProblem("this unit is too large or too small for a number", 0, len(text), "")
    return unit


def parse(text: str) -> Unit:
    """Read a unit such as ``mg/L``, ``1/uL``, ``IU*h/mL``, ``10^9/L``, ``m^2`` or ``m2``, ``1`` for a plain
    number.

    Raises ``UnitError`` with what was not understood and what could stand there.
    """
    unit = examine(text)
    if isinstance(unit, UnitProblem):
        hint = f"; {unit.hint}" if unit.hint else ""
        raise UnitError(f'in the unit "{text[:_MAX_LENGTH]}": {unit.message}{hint}')
    return unit


def _cancelled(unit: Unit) -> Exponents:
    """Dimensions that stand both above and below, as mass does in mg/kg."""
    above: dict[str, Fraction] = {}
    below: dict[str, Fraction] = {}
    for symbol, exponent in unit.symbols:
        if symbol not in _known():
            continue
        for name, power in _atom(symbol).dimension:
            side = above if exponent * power > 0 else below
            side[name] = side.get(name, Fraction(0)) + abs(exponent * power)
    return tuple(sorted((name, min(above[name], below[name])) for name in above if name in below))


def factor(source: str, target: str, bridges: Iterable[Bridge] = ()) -> float:
    """The number by which a value in ``source`` is multiplied to stand in ``target``.

    ``bridges`` are declared equalities between dimensions, used as often as needed and only if needed. Raises
    ``UnitError`` if the units measure different things; ``MIU/m^2`` never becomes ``MIU``, ``mg/kg`` never
    ``1``, although mass cancels: a dose per body weight is no plain number.
    """
    a, b = parse(source), parse(target)
    if a.same_dimension(b):
        if _cancelled(a) != _cancelled(b):
            raise UnitError(f"{a} is a ratio and cannot be read as {b}; multiply by the size it refers to")
        return a.scale / b.scale
    crossed = _bridged(a, b, tuple(bridges))
    if crossed is None:
        raise UnitError(
            f"{a} cannot be converted into {b}: {dimension_text(a)} is not {dimension_text(b)}; "
            "a bridge such as 18 MIU = 1.1 mg would have to say how"
            if _differs_by_activity_or_amount(a, b)
            else f"{a} cannot be converted into {b}: {dimension_text(a)} is not {dimension_text(b)}"
        )
    return crossed


def _differs_by_activity_or_amount(a: Unit, b: Unit) -> bool:
    return {name for name, _ in (a / b).dimension} <= {"[mass]", "[amount]", "[activity]"}


def _bridged(a: Unit, b: Unit, bridges: tuple[Bridge, ...]) -> float | None:
    """The factor from a to b by whole powers of bridges, or None. Each bridge is left/right = 1."""
    steps = []
    for bridge in bridges:
        left, right = parse(bridge.left_unit), parse(bridge.right_unit)
        ratio = left / right
        steps.append((ratio.dimension, bridge.left_value * left.scale / (bridge.right_value * right.scale)))
    # breadth first over products of at most four bridges: the few that a model declares need no linear
    # algebra
    wanted = (b / a).dimension
    reached: dict[Exponents, float] = {(): 1.0}
    frontier = dict(reached)
    for _ in range(4):
        following: dict[Exponents, float] = {}
        for dimension, size in frontier.items():
            for step, step_size in steps:
                for sign in (1, -1):
                    moved = tuple(sorted(_merged(dimension, step, sign)))
                    if moved not in reached:
                        reached[moved] = following[moved] = size * step_size**sign
        frontier = following
    found = reached.get(wanted)
    # found has the dimension of b/a and stands for 1, so a equals a * found
    return None if found is None else a.scale * found / b.scale


def dimension_text(unit: Unit) -> str:
    """The dimension in words, for messages: ``mass/volume``."""
    words = {
        "[mass]": "mass",
        "[length]": "length",
        "[time]": "time",
        "[amount]": "amount",
        "[activity]": "activity",
    }
    exponents = dict(unit.dimension)
    length = exponents.get("[length]", Fraction(0))
    if length and length.denominator == 1 and length % 3 == 0:
        exponents["volume"] = exponents.pop("[length]") / 3
    named = tuple((words.get(name, name), exponent) for name, exponent in exponents.items())
    text = str(Unit(named, 1.0, ()))
    return "a plain number" if text == "1" else text


_QUANTITY = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(.*?)\s*$", re.DOTALL)


def quantity(text: str) -> tuple[float, str]:
    """Read ``1.73 m^2`` into ``(1.73, "m^2")``; a number alone has the unit ``1``. Raises ``UnitError``."""
    match = _QUANTITY.match(text)
    if match is None or len(text) > 2 * _MAX_LENGTH:
        raise UnitError(f'"{text[:_MAX_LENGTH]}" is not a number with a unit; write it like 1.73 m^2')
    value = float(match.group(1))
    if not math.isfinite(value):
        raise UnitError(f'"{match.group(1)}" is not a finite number')
    unit = match.group(2) or "1"
    parse(unit)
    return value, unit
