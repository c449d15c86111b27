"""What somebody may have meant by a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable

MOST_CHARACTERS = 80  # of a word that is looked at: longer ones are no slip, and comparing them takes long


def close_names(word: str, known: Iterable[str], n: int = 3, cutoff: float = 0.5) -> list[str]:
    """At most n of the known names that are much like a word, the most alike first; cutoff : how alike, 0 to
    1."""
    import difflib

    return difflib.get_close_matches(word[:MOST_CHARACTERS], list(known), n=n, cutoff=cutoff)


def meant(word: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?", or nothing where nothing is close."""
    close = close_names(word, known, n=2)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known names that are much like a word, with commas between them; all of them where none is."""
    names = list(known)
    return ", ".join(close_names(word, names, cutoff=0.4) or names)
