"""What somebody may have meant by a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable

MOST_CHARACTERS = 80  # of a word that is looked at: longer ones are no slip, and comparing them takes long


def close_names(word: str, known: Iterable[str], n: int = 3, cutoff: float = 0.5) -> list[str]:
    """At most n of the known names that are much like a word, the most alike first; cutoff : how alike, 0 to
    1."""
    import difflib

    return difflib.get_close_matches(word[:MOST_CHARACTERS], list(known), n=n, cutoff=cutoff)
