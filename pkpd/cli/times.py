"""Output times as ``pkpd simulate`` takes them: ``--times``, or ``--until`` and ``--every``."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from pkpd.cli.terminal import in_time_unit
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

MOST_TIMES = 10_000_000  # that --every may make


class TimesAsked(NamedTuple):
    """What the command line says of the output times."""

    times: str | None
    until: str | None
    every: str | None

    def check(self) -> None:
        if self.times is not None and (self.until is not None or self.every is not None):
            raise InputError("give either --times, or --until and --every")


def output_times(
    asked: TimesAsked, span: float, time_unit: str, most: int = 800, *, begin: float = 0.0
) -> np.ndarray:
    """Output times in the model's unit from ``begin`` on, shape (n_times,), ascending.

    Without ``--until`` the horizon is the last dose, on day ``span``, and 28 days more (48 hours more if all
    doses fall within two days).
    """
    import numpy as np

    if asked.times is not None:
        return _listed(asked.times, time_unit)
    if asked.until is None:
        rest = "28 d" if span >= 2 else "48 h"
        end = sum(in_time_unit(text, time_unit, "--until") for text in (f"{span} d", rest))
    else:
        end = in_time_unit(asked.until, time_unit, "--until")
    if end < begin:
        raise InputError(f"--until {asked.until!r} lies before the start, {begin:g} {time_unit}")
    if end == begin:
        return np.array([begin])
    if asked.every is None:
        return begin + _even(end - begin, in_time_unit("1 h", time_unit, "--until"), most)
    return begin + _stepped(asked.every, end - begin, time_unit)


def _listed(text: str, time_unit: str) -> np.ndarray:
    """The times of ``--times``; the last unit is that of all that have none."""
    import numpy as np

    words = [word for word in text.replace(";", ",").split(",") if word.strip()]
    last = re.search(r"[A-Za-z]+\s*$", words[-1]) if words else None
    times = [
        in_time_unit(
            word if last is None or re.search(r"[A-Za-z]\s*$", word) else f"{word} {last.group()}",
            time_unit,
            "--times",
        )
        for word in words
    ]
    if not times or any(b <= a for a, b in itertools.pairwise(times)):
        raise InputError(
            f'--times "{text}": write increasing numbers with commas between, such as "0, 1, 2, 4"'
        )
    return np.array(times)


def _stepped(every: str, end: float, time_unit: str) -> np.ndarray:
    """0 to ``end`` in the step of ``--every``."""
    import numpy as np

    step = in_time_unit(every, time_unit, "--every")
    if step <= 0:
        raise InputError(f"--every {every!r}: the step must be longer than zero")
    n = end / step
    if n > MOST_TIMES:
        raise InputError(f"--every {every!r} makes {n:.3g} output times; choose a longer step")
    return _closed(np.arange(int(n + 1e-9) + 1) * step, end)


def _even(end: float, hour: float, most: int) -> np.ndarray:
    """0 to ``end`` in the smallest round step that makes no more than ``most`` points; round, so that daily
    doses are all met alike."""
    import numpy as np

    for step in (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 24, 48, 168, 672):
        if end / (step * hour) <= most:
            return _closed(np.arange(int(end / (step * hour) + 1e-9) + 1) * step * hour, end)
    return np.linspace(0.0, end, most)


def _closed(times: np.ndarray, end: float) -> np.ndarray:
    """Times up to ``end``, which is added where it is none of them."""
    import numpy as np

    return times if end - times[-1] < 1e-9 * end else np.append(times, end)
