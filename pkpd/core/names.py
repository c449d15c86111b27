"""What somebody may have meant by a name that there is not: how alike names must be, and how it is said."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable

MOST_CHARACTERS = 80  # of a word that is looked at: longer ones are no slip, and comparing them takes long
MOST_ASKED, MOST_LISTED = 3, 40
ALIKE = 0.57
"""Ratio of difflib from which two names may be a slip of each other: "maks" of "max" has 0.571."""


def close_names(word: str, known: Iterable[str]) -> list[str]:
    """At most three of the known names: those that differ by case alone, else those that hold the word as a
    whole word, then those much like it, the most alike first."""
    import difflib

    word = word.strip()[:MOST_CHARACTERS]
    folded: dict[str, list[str]] = {}
    for name in dict.fromkeys(known):
        if name:
            folded.setdefault(name.lower(), []).append(name)
    if word.lower() in folded:
        found = [word.lower()]
    else:
        whole = re.compile(rf"\b{re.escape(word.lower())}\b")
        found = [key for key in folded if whole.search(key)] if word else []
        found += difflib.get_close_matches(word.lower(), list(folded), n=MOST_ASKED, cutoff=ALIKE)
    return [
        name
        for key in dict.fromkeys(found)
        for name in sorted(folded[key], key=lambda name: -sum(map(operator.eq, name, word)))
    ][:MOST_ASKED]


def question(word: str, known: Iterable[str]) -> str:
    """'did you mean "CL" or "CL2"?', or nothing where nothing is close."""
    close = " or ".join(f'"{name}"' for name in close_names(word, known))
    return f"did you mean {close}?" if close else ""


def meant(word: str, known: Iterable[str]) -> str:
    """The same behind a sentence that goes on: '; did you mean "CL"?', or nothing."""
    asked = question(word, known)
    return f"; {asked}" if asked else ""


def listed(known: Iterable[str], what: str = "known are") -> str:
    """ "known are ka, CL, V", at most forty of them."""
    names = [name for name in dict.fromkeys(known) if name]
    more = ", ..." if len(names) > MOST_LISTED else ""
    return f"{what} {', '.join(names[:MOST_LISTED])}{more}" if names else "there is none"


def question_or_list(word: str, known: Iterable[str], what: str = "known are") -> str:
    """The question, or the list of what there is where nothing is close."""
    names = list(known)
    return question(word, names) or listed(names, what)


def question_and_list(word: str, known: Iterable[str], what: str = "known are") -> str:
    """The question, if anything is close, and the list of what there is."""
    names = list(known)
    return " ".join(filter(None, (question(word, names), listed(names, what))))
