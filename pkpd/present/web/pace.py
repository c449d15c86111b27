"""How long virtual subjects take on this machine beside whatever else it does, and how many of them fit into
a first picture."""

from __future__ import annotations

import math

from pkpd.solver import usable_cores

FIRST_PICTURE_S = 0.12
"""For the numbers of a first picture; what is left of 0.2 s goes to the page, which reads and draws them."""
ARM_S, ALL_S = 0.008, 0.012
"""Of it for what does not grow with subjects: the curves of an arm, the table of all."""
FEWEST = 8
"""Subjects of a preview: one vector of them, as all numbers here are whole vectors."""
VECTOR = 8
CHUNK_S = 0.05
"""After which a computation that nobody waits for any more ends."""
CHUNKS = (32, 128)
"""Subjects of a chunk: smaller ones take longer together, by a tenth at 24 for a year of doses."""


class Pace:
    """Seconds that a subject takes for each of its output times, on all cores: what was measured last.

    ``n_times`` below is the sum over the arms that are computed.
    """

    def __init__(self) -> None:
        self._each: float | None = None

    def note(self, seconds: float, subjects: int, n_times: int, arms: int) -> None:
        """So many arms have taken so long; it counts for half, for a machine is never the same."""
        each = max(seconds - arms * ARM_S, 0.1 * seconds) / (subjects * n_times)
        self._each = each if self._each is None else math.sqrt(self._each * each)

    def note_given_up(self, seconds: float, subjects: int, n_times: int) -> None:
        """A computation that was ended took at least so long."""
        self._each = max(self._each or 0.0, seconds / (subjects * n_times))

    def people(self, subjects: int, n_times: int, arms: int) -> int:
        """How many of the subjects a first picture is made of: all if there is time for them, else at most
        half of them."""
        if self._each is None:
            return subjects
        room = (FIRST_PICTURE_S - ALL_S - arms * ARM_S) / (self._each * n_times)
        some = max(FEWEST, int(min(room, subjects / 2)) // VECTOR * VECTOR)
        return subjects if room >= subjects or some > subjects / 2 else some

    def chunk(self, subjects: int, n_times: int, arms: int) -> int:
        """Subjects that a core simulates at a time, so that all have work and a stop is heard soon."""
        cores = usable_cores()
        share = -(-subjects * arms // (cores * VECTOR)) * VECTOR  # of one arm, for each core that it has
        least, most = CHUNKS
        if self._each is None:
            return min(share, most)
        soon = int(CHUNK_S * arms / (cores * self._each * n_times)) // VECTOR * VECTOR
        return min(share, max(least, min(soon, most)))
