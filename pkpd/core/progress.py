"""How far work is, told to who asked while it goes on."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, str], None]
"""Called with what is being done, the share that is done (0 to 1), and a short remark."""
Counting = Callable[[int, int], None]
"""Called with how many are done, and how many there are."""


def quiet(what: str, share: float, remark: str) -> None:
    """No progress shown."""


def counting(progress: Progress | None, what: str, unit: str = "subjects") -> Counting | None:
    """Progress by counts, with the remark "12 of 400 subjects"."""
    if progress is None:
        return None
    return lambda done, total: progress(what, done / total, f"{done} of {total} {unit}")
