"""The vocabulary of the schedule language: its words, which of them are reserved, and what can therefore name
a route."""

from __future__ import annotations

import re

from pkpd.core.errors import ScheduleError
from pkpd.dosing.quantities import DOSE_UNIT_SPELLINGS, DOSE_UNITS, TIME_WORDS

COMMON_ROUTES = ("sc", "iv", "im", "po", "oral")
INJECTED = frozenset({"sc", "iv", "im", "id", "ip", "it"})
"""Routes by a needle: under the skin, into a vein, a muscle, the skin, the peritoneum, the spinal canal."""
TAKEN = frozenset({"po", "oral", "sl", "buccal", "nasal", "inhaled", "topical", "transdermal", "rectal"})
"""Routes without one."""
NUMBER_WORDS = {
    word: n
    for n, word in enumerate(
        "one two three four five six seven eight nine ten eleven twelve".split(), start=1
    )
}
WEEK_PATTERNS = {2: (0, 3), 3: (0, 2, 4), 5: (0, 1, 2, 3, 4)}
WEEK_NAMES = {2: "twice a week", 3: "three times a week", 5: "five times a week"}
LATIN_DAILY = {"qd": 1, "bid": 2, "tid": 3, "qid": 4, "bd": 2, "tds": 3, "qds": 4}
ORDINALS = {"other": 2, "alternate": 2, "second": 2, "third": 3, "fourth": 4}
INTERNATIONAL = {1: "IU", 10**3: "kIU", 10**6: "MIU"}
"""What a number of international units is called, written "million IU"."""
MULTIPLES = {"thousand": 10**3, "million": 10**6}
ROUTE_SPELLINGS = {
    **dict.fromkeys(("subcutaneous", "subcutaneously", "subcut", "subq"), "sc"),
    **dict.fromkeys(("intravenous", "intravenously"), "iv"),
    **dict.fromkeys(("intramuscular", "intramuscularly"), "im"),
    "orally": "oral",
}
NO_ONE_LENGTH = {
    "monthly": ("has no fixed length", "write, for instance, every 28 d or every 4 weeks"),
    "biweekly": ("can mean twice a week or every two weeks", 'write "twice a week" or "every 2 weeks"'),
    "bimonthly": ("can mean twice a month or every two months", 'write "every 2 weeks" or "every 8 weeks"'),
}
"""Words that are refused: why, and what to write."""
Q_PATTERN = re.compile(r"q([0-9]{1,4})(h|d|w)", re.IGNORECASE)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TIMING_WORDS = (
    *_words("once at daily weekly fortnightly every each twice thrice hourly qw eod qod"),
    *LATIN_DAILY,
    *NO_ONE_LENGTH,
    *NUMBER_WORDS,
)
# In a short word a letter is most of the meaning (qod is not qd), so that only long ones are suggested.
LONG_TIMING_WORDS = tuple(word for word in TIMING_WORDS if len(word) > 3)
TIMING_SHOWN = (
    "once, at <times>, daily, weekly, fortnightly, every <time>, every other day, twice daily, "
    "three times a week, q12h"
)
START_WORDS = ("from", "after")
COUNTED_WORDS = ("doses", "dose", "times", "cycles", "cycle", "courses", "course")
NOT_FINITE = ("nan", "inf", "infinity")
RESERVED = frozenset(
    {*TIMING_WORDS, *START_WORDS, *COUNTED_WORDS, *NOT_FINITE, *TIME_WORDS, *ORDINALS}
    | {unit.lower() for unit in (*DOSE_UNITS, *DOSE_UNIT_SPELLINGS)}
    | {*_words("then and for over bolus none placebo x time a an per month months year years"), *MULTIPLES}
)
_ROUTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_route(route: str) -> str:
    if not isinstance(route, str) or not _ROUTE_NAME.fullmatch(route):
        raise ScheduleError(f"a route is a name such as sc or iv, not {str(route)[:40]!r}")
    if route.lower() in RESERVED or Q_PATTERN.fullmatch(route) or re.fullmatch(r"[xX]\d.*", route):
        raise ScheduleError(f'"{route[:40]}" is a word of the schedule language and cannot name a route')
    named = plain_route(route)
    return named if named in COMMON_ROUTES else route


def plain_route(route: str) -> str:
    """The short name of a route in small letters: "Subcutaneous" -> "sc"."""
    return ROUTE_SPELLINGS.get(route.lower(), route.lower())
