"""Between the doses that a search looks at: where a range of doses has no step, the best dose of a rhythm
(days, spacing, interval and cycles) is found to three significant digits.

Of the doses of a rhythm some are good: they hold the constraints, and no other dose of the rhythm is better
in every objective; where none holds them it is the one that misses them least. At the ends of the good ones,
where a constraint begins to bind or an objective turns, the gaps to both neighbours are halved until no dose
of three digits is left in them. Between two neighbours that are both good nothing is looked for.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction

import numpy as np

from pkpd.decision.optimisation.outcome import Outcome
from pkpd.decision.optimisation.search import Evaluate, Scoring, layers
from pkpd.decision.optimisation.space import Space, SpacePoint

DIGITS = 3
"""Significant ones of a dose that is looked for between two others."""


def refine(
    space: Space,
    points: Mapping[str, SpacePoint],
    seen: Mapping[str, Outcome],
    found: Mapping[str, Outcome],
    evaluate: Evaluate,
    score: Scoring,
    most: int,
) -> dict[str, SpacePoint]:
    """The ends of the good doses, of rhythms on the front, that lie between the doses of a space: points by
    their texts.

    points : of all schedules that the search looked at, ``seen`` in its own subjects, some of them ``found``
    in those that count, where ``evaluate`` puts the outcomes of at most ``most`` more.
    """
    lines = _Lines(space, points, seen, found, score)
    new: dict[str, SpacePoint] = {}
    while asked := dict(list(lines.gaps())[: most - len(new)]):
        evaluate([space.schedule(point) for point in asked.values()])
        lines.looked |= asked
        new |= asked
    ends = {str(space.schedule(end)): end for end, _ in lines.ends()}
    return {text: end for text, end in ends.items() if text in new}


class _Lines:
    """The doses of each rhythm, those of a space and those between them."""

    def __init__(
        self,
        space: Space,
        points: Mapping[str, SpacePoint],
        seen: Mapping[str, Outcome],
        found: Mapping[str, Outcome],
        score: Scoring,
    ) -> None:
        self.space, self.found, self.score = space, found, score
        self.looked = {text: point for text, point in points.items() if text in found}
        self.good_before = {
            text for line in _by_rhythm(points).values() for text in _good(line.values(), seen, score)
        }

    def ends(self) -> Iterator[tuple[SpacePoint, list[Fraction]]]:
        """Good doses on the front beside one that is not good, or was not in the search and has not been
        looked at since; and the doses on both sides of them up to which is looked."""
        front = _good(self.looked, self.found, self.score)
        for line in _by_rhythm(self.looked).values():
            texts = list(line.values())
            if front.isdisjoint(texts):
                continue
            good = _good(texts, self.found, self.score)
            doses = sorted({*self.space.doses, *line})
            for text in sorted(good & front):
                point = self.looked[text]
                sides = [_beside(point.dose, some) for some in (doses, sorted(line))]
                beside: list[Fraction] = []
                end = False
                for adjacent, looked in zip(*sides, strict=True):
                    if looked is not None and line[looked] not in good:
                        beside, end = [*beside, looked], True
                    elif adjacent is not None:
                        beside.append(adjacent)
                        end = end or not (adjacent == looked or self._was_good(point, adjacent))
                if end:
                    yield point, beside

    def _was_good(self, point: SpacePoint, dose: Fraction) -> bool:
        return str(self.space.schedule(point._replace(dose=dose))) in self.good_before

    def gaps(self) -> Iterator[tuple[str, SpacePoint]]:
        """What is to be looked at next: neighbours of the ends, or what lies between."""
        for end, beside in self.ends():
            for dose in beside:
                point = end._replace(dose=dose)
                if (text := str(self.space.schedule(point))) in self.looked:
                    between = middle(*sorted((end.dose, dose)))
                    if between is None:
                        continue
                    point = end._replace(dose=between)
                    text = str(self.space.schedule(point))
                yield text, point


def _beside(dose: Fraction, doses: list[Fraction]) -> tuple[Fraction | None, Fraction | None]:
    """The next smaller and the next larger of ascending doses."""
    place = bisect.bisect_left(doses, dose)
    below, above = doses[:place][-1:], doses[place + 1 : place + 2]
    return (below[0] if below else None), (above[0] if above else None)


def _by_rhythm(points: Mapping[str, SpacePoint]) -> dict[SpacePoint, dict[Fraction, str]]:
    """Texts by dose, by the point of no dose."""
    lines: dict[SpacePoint, dict[Fraction, str]] = {}
    for text, point in points.items():
        lines.setdefault(point._replace(dose=Fraction(0)), {})[point.dose] = text
    return lines


def _good(texts: Collection[str], outcomes: Mapping[str, Outcome], score: Scoring) -> set[str]:
    """Of these the front of those that hold all constraints; where none does, the one that misses least."""
    names = list(texts)
    scores = [score(outcomes[text]) for text in names]
    missed = np.array([violations.sum() for _, violations in scores])
    holding = np.flatnonzero(missed == 0.0)
    if not holding.size:
        return {names[int(missed.argmin())]} if names else set()
    layer = layers(np.array([scores[i][0] for i in holding]))
    return {names[i] for i in holding[layer == 0]}


def middle(low: Fraction, high: Fraction) -> Fraction | None:
    """A dose of three digits in the middle between two; None where none lies between them."""
    step = Fraction(10) ** (math.floor(math.log10(low)) + 1 - DIGITS)
    found = round((low + high) / 2 / step) * step
    return found if low < found < high else None
