"""Who computes next on the page's server: first pictures, which people wait for, before whole answers, which
refine what is already seen."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """``at_once`` first pictures and as many whole answers compute side by side; who came first is next.

    A whole answer pauses between its chunks while a first picture computes or waits for a place, but no
    longer than ``PAUSES_S`` in all, so that it ends under any load.
    """

    PAUSES_S = 2.0

    def __init__(self, at_once: int) -> None:
        self._places = {first: asyncio.Semaphore(at_once) for first in (True, False)}
        self._first = 0
        self._alone = threading.Event()  # no first picture is under way
        self._alone.set()

    @asynccontextmanager
    async def place(self, first: bool, patience_s: float) -> AsyncIterator[None]:
        """Hold a place while the body runs. Raises ``TimeoutError`` if none is free for ``patience_s``."""
        self._count(first)
        try:
            async with asyncio.timeout(patience_s):
                await self._places[first].acquire()
            try:
                yield
            finally:
                self._places[first].release()
        finally:
            self._count(-first)

    def _count(self, change: int) -> None:
        self._first += change
        if self._first:
            self._alone.clear()
        else:
            self._alone.set()

    def pauses(self, first: bool) -> Pauses:
        """What a computation calls between its chunks."""
        return Pauses(self._alone, 0.0 if first else self.PAUSES_S)


class Pauses:
    """Waits while others go first. ``taken_s``: seconds so far."""

    def __init__(self, alone: threading.Event, most_s: float) -> None:
        self._alone, self._most_s, self.taken_s = alone, most_s, 0.0

    def __call__(self) -> None:
        if self._alone.is_set() or self.taken_s >= self._most_s:
            return
        begun = time.monotonic()
        self._alone.wait(self._most_s - self.taken_s)
        self.taken_s += time.monotonic() - begun
