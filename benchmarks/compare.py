"""Two runs beside each other: what got worse by more than both runs' noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import Figure

SMALLEST = (
    0.1  # a change that is worth a word: two runs of the same code differ by more than their own noise says
)
SIGMAS = 2.0


@dataclass(frozen=True)
class Change:
    """factor : how many times worse (above 1) or better (below 1); noise : relative, of both runs
    together."""

    name: str
    old: float
    new: float
    factor: float
    noise: float

    @property
    def verdict(self) -> str:
        """ "worse", "better" or "same"."""
        limit = 1.0 + max(SMALLEST, SIGMAS * self.noise)
        return "worse" if self.factor > limit else "better" if self.factor < 1.0 / limit else "same"

    def __str__(self) -> str:
        return (
            f"{self.verdict:7s} {self.name:64s} {self.old:.4g} -> {self.new:.4g}  "
            f"{self.factor:.2f} x, noise {100 * self.noise:.0f} %"
        )


def _sigma(figure: Figure) -> float:
    """Relative standard deviation that the quartiles speak of."""
    return (figure.high - figure.low) / 1.349 / abs(figure.value)


def changes(
    old: Iterable[Figure], new: Iterable[Figure], yardsticks: tuple[float, float] = (1.0, 1.0)
) -> list[Change]:
    """What both runs have, the worst first; times count in units of each run's yardstick."""
    before = {figure.name: figure for figure in old}
    found = []
    for figure in new:
        then = before.get(figure.name)
        if then is None or not (then.value > 0 and figure.value > 0):
            continue
        units = yardsticks if figure.seconds else (1.0, 1.0)
        ratio = (figure.value / units[1]) / (then.value / units[0])
        factor = ratio if figure.better == "lower" else 1.0 / ratio
        noise = math.hypot(_sigma(then), _sigma(figure))
        found.append(Change(figure.name, then.value / units[0], figure.value / units[1], factor, noise))
    return sorted(found, key=lambda change: -change.factor)


def report(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, bool]:
    """Text, and whether anything got worse; of two results as written to JSON."""
    lines = []
    for key in ("processor", "cores", "python", "quick"):
        if old.get(key) != new.get(key):
            lines.append(f"note: {key} was {old.get(key)!r}, is {new.get(key)!r}")
    for name, version in new["peers"].items():
        if old["peers"].get(name) != version:
            lines.append(f"note: {name} was {old['peers'].get(name)!r}, is {version!r}")
    found = changes(
        [Figure(**row) for row in old["figures"]],
        [Figure(**row) for row in new["figures"]],
        (old["yardstick_s"], new["yardstick_s"]),
    )
    lines += [str(change) for change in found if change.verdict != "same"]
    count = sum(change.verdict == "same" for change in found)
    lines.append(f"{count} of {len(found)} figures are the same within their noise")
    return "\n".join(lines), any(change.verdict == "worse" for change in found)
