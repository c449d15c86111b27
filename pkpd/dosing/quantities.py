"""The numbers of a schedule: amounts and times, exact; their units, how they are checked and how they are
written.

Numbers are fractions, kept as the decimals they were written as: 0.26 stays 0.26, and day 28 of one course is
the same instant as day 28 of another. What no schedule can hold is refused here, wherever the number came
from.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import numpy as np

from pkpd.core.errors import ScheduleError

AnyNumber = int | float | str | Decimal | Fraction

MAX_DOSES = 1_000_000
MAX_DAYS = 36_525  # one hundred years
MAX_DIGITS = 40  # significant digits of a number; also keeps hostile numbers cheap

# unit -> (kind, size in the unit of the kind). How one kind becomes another is the model's to say.
DOSE_UNITS: dict[str, tuple[str, Fraction]] = {
    "IU": ("activity", Fraction(1)),
    "kIU": ("activity", Fraction(10**3)),
    "MIU": ("activity", Fraction(10**6)),
    "ng": ("mass", Fraction(1, 10**9)),
    "ug": ("mass", Fraction(1, 10**6)),
    "mg": ("mass", Fraction(1, 10**3)),
    "g": ("mass", Fraction(1)),
    "pmol": ("substance", Fraction(1, 10**12)),
    "nmol": ("substance", Fraction(1, 10**9)),
    "umol": ("substance", Fraction(1, 10**6)),
    "mmol": ("substance", Fraction(1, 10**3)),
}
DOSE_UNIT_SPELLINGS = {
    "mcg": "ug",
    "µg": "ug",
    "μg": "ug",
    "µmol": "umol",
    "μmol": "umol",
    "gram": "g",
    "milligram": "mg",
    "microgram": "ug",
    "nanogram": "ng",
    "grams": "g",
    "milligrams": "mg",
    "micrograms": "ug",
    "nanograms": "ng",
}
DOSE_UNITS_SHOWN = "IU, kIU, MIU, ng, ug, mcg, mg, g, pmol, nmol, umol, mmol"
# The largest single dose that is believed: far above any practice, and below slips of units such as 1e9 MIU.
_LARGEST = {
    "activity": (Fraction(10**10), "10000 MIU"),
    "mass": (Fraction(1000), "1000 g"),
    "substance": (Fraction(10), "10000 mmol"),
}

TIME_UNITS = {
    "s": Fraction(1, 86400),
    "min": Fraction(1, 1440),
    "h": Fraction(1, 24),
    "d": Fraction(1),
    "week": Fraction(7),
    "fortnight": Fraction(14),
}
TIME_WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), "week"),
    **dict.fromkeys(("fortnight", "fortnights"), "fortnight"),
}
TIMES_SHOWN = "s, min, h, d, week"


def exact_number(number: AnyNumber, what: str) -> Fraction:
    """The decimal that ``number`` is written as; a float counts as its shortest repr, so 0.26 is 26/100."""
    if isinstance(number, bool):
        raise ScheduleError(f"{what} must be a number, not {number!r}")
    if isinstance(number, (Fraction, int, np.integer)):
        exact = Fraction(number) if isinstance(number, Fraction) else Fraction(int(number))
        if max(exact.numerator.bit_length(), exact.denominator.bit_length()) > 16 * MAX_DIGITS:
            raise ScheduleError(f"{what} is out of any sensible range")
        return exact
    if isinstance(number, (float, np.floating)):
        number = repr(float(number))
    if not isinstance(number, (str, Decimal)):
        raise ScheduleError(f"{what} must be a number, not {type(number).__name__}")
    shown = str(number)[:40]
    try:
        decimal = Decimal(number)
    except InvalidOperation:
        raise ScheduleError(f'{what} must be a number, not "{shown}"') from None
    if not decimal.is_finite():
        raise ScheduleError(f"{what} must be a finite number, not {shown}")
    if (decimal and abs(decimal.adjusted()) > MAX_DIGITS) or len(decimal.as_tuple().digits) > MAX_DIGITS:
        raise ScheduleError(
            f"{what} is out of any sensible range or has more than {MAX_DIGITS} digits: {shown}"
        )
    return Fraction(decimal)


def decimal_text(value: Fraction) -> str | None:
    """The shortest decimal that is exactly ``value``, or None if there is none (1/3)."""
    denominator, twos, fives = value.denominator, 0, 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    places = max(twos, fives)
    if denominator != 1 or places > 2 * MAX_DIGITS:
        return None
    digits = str(value.numerator * 10**places // value.denominator)
    significant = digits.rstrip("0") or "0"
    if len(significant) > MAX_DIGITS:
        return None
    if places == 0 and len(digits) <= 18:
        return digits
    if 0 < places <= 18:
        digits = digits.rjust(places + 1, "0")
        return f"{digits[:-places]}.{digits[-places:]}"
    exponent = len(digits) - 1 - places
    return significant[0] + (f".{significant[1:]}" if len(significant) > 1 else "") + f"e{exponent}"


def time_texts(days: Iterable[Fraction]) -> tuple[list[str], str]:
    """Times as decimals in the unit that writes them shortest, the larger in a tie: 1/2 -> 12 h, 3 -> 3 d."""
    values = list(days)
    best: tuple[list[str], str] | None = None
    for unit in ("d", "h", "min", "s"):
        texts = [decimal_text(value / TIME_UNITS[unit]) for value in values]
        known = [text for text in texts if text is not None]
        if len(known) == len(texts) and (best is None or sum(map(len, known)) < sum(map(len, best[0]))):
            best = known, unit
    if best is None:
        raise ScheduleError(
            f"a time of {values[0]} days has no exact decimal in {TIMES_SHOWN}; give it as a decimal number"
        )
    return best


def time_text(days: Fraction) -> str:
    texts, unit = time_texts([days])
    return f"{texts[0]} {unit}"


def check_amount(amount: Fraction, unit: str) -> None:
    if amount <= 0:
        raise ScheduleError('a dose must be above zero; no treatment is written "none"')
    text = decimal_text(amount)
    if text is None:
        raise ScheduleError(
            f"a dose must be a decimal of at most {MAX_DIGITS} digits, not {str(amount)[:60]}"
        )
    check_believable(amount, unit, f"{text} {unit}")


def check_believable(amount: Fraction, unit: str, written: str) -> None:
    kind, size = DOSE_UNITS[unit]
    largest, shown = _LARGEST[kind]
    if amount * size > largest:
        raise ScheduleError(f"a dose of {written} is beyond anything given (at most {shown}); check the unit")


def check_interval(days: Fraction, what: str) -> None:
    if days <= 0:
        raise ScheduleError(f"{what} must be longer than zero")
    if days > MAX_DAYS:
        raise ScheduleError(f"{what} of {time_text(days)} is longer than 100 years")
    time_text(days)


def check_start(days: Fraction) -> None:
    if days < 0:
        raise ScheduleError("a time before day 0 of the schedule")
    if days > MAX_DAYS:
        raise ScheduleError(f"{time_text(days)} is later than 100 years")
    time_text(days)


def check_n_doses(n_doses: int) -> None:
    if n_doses > MAX_DOSES:
        raise ScheduleError(
            f"more than {MAX_DOSES} doses ({n_doses if n_doses < 10**15 else 'very many'}) in one schedule"
        )


def split_unit(unit: str, per: str = "") -> tuple[str, str]:
    """ "MIU/m2" -> ("MIU", "m2"); spellings are unified."""
    if not isinstance(unit, str):
        raise ScheduleError(
            f"a dose unit is one of {DOSE_UNITS_SHOWN}, with /m2 or /kg where it is per body size"
        )
    name, slash, size = (piece.strip() for piece in unit.partition("/"))
    size = {"m^2": "m2", "m²": "m2"}.get(size, size)
    if slash and per and size != per:
        raise ScheduleError(f'a dose unit "{unit[:40]}" cannot also be per {per[:40]}')
    name, per = DOSE_UNIT_SPELLINGS.get(name, name), size or per
    if name not in DOSE_UNITS:
        raise ScheduleError(f'"{name[:40]}" is not a dose unit; one of {DOSE_UNITS_SHOWN}')
    if per not in ("", "m2", "kg") or (slash and not size):
        raise ScheduleError(f'a dose can be per m2 or per kg, not per "{per[:40]}"')
    return name, per


def with_size(unit: str, per: str) -> str:
    return f"{unit}/{per}" if per else unit


def units_per_day(time_unit: str) -> Fraction:
    """How many of a model's time units make a day, exactly."""
    if time_unit not in TIME_WORDS:
        raise ScheduleError(f'a model\'s time unit "{time_unit}" is not one of {TIMES_SHOWN}')
    return 1 / TIME_UNITS[TIME_WORDS[time_unit]]


def time_units_per_day(time_unit: str) -> float:
    """How many of a model's time units make a day."""
    return float(units_per_day(time_unit))
