"""Times that stand a busy machine: everything that is compared runs in turns, and the figure is the median of
the ratios of each turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Key = TypeVar("Key", bound=Hashable)
BATCH_S = 5e-4  # what takes less is called several times in a row
# Of what takes less, the fastest of a few batches counts in a turn: other work on the machine may fall into
# one, not into all
SHORT_S = 2e-2
BATCHES = 5
LONG_S = 0.1  # what takes longer runs in every third turn, and its time stands for the two after it


@dataclass(frozen=True)
class TimeSpread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def spread(values: ArrayLike) -> TimeSpread:
    """Median and quartiles of some values."""
    low, median, high = np.quantile(np.asarray(values, dtype=float), [0.25, 0.5, 0.75])
    return TimeSpread(float(median), float(low), float(high))


def once(
    call: Callable[[], object], repetitions: int = 1, timer: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds of one call, the mean of several in a row."""
    started = timer()
    for _ in range(repetitions):
        call()
    return (timer() - started) / repetitions


def turns(
    calls: Mapping[Key, Callable[[], object]], rounds: int, timer: Callable[[], float] = time.process_time
) -> dict[Key, NDArray[np.float64]]:
    """{key: (rounds,) seconds of one call}; the calls take turns, in another order in every round. All have
    been called before.

    Seconds are those that the process spends on a processor, which on an idle machine and one thread are
    those of the clock; ``timer`` may be ``time.perf_counter`` for what runs on several.
    """
    keys = list(calls)
    guesses = {key: max(once(calls[key]), 1e-7) for key in keys}
    repetitions = {key: max(1, round(BATCH_S / guess)) for key, guess in guesses.items()}
    batches = {key: BATCHES if guess < SHORT_S else 1 for key, guess in guesses.items()}
    seconds = {key: np.empty(rounds) for key in keys}
    order = np.random.default_rng(1)
    for turn in range(rounds):
        for i in order.permutation(len(keys)):
            key = keys[i]
            if guesses[key] > LONG_S and turn % 3:
                seconds[key][turn] = seconds[key][turn - 1]
            else:
                seconds[key][turn] = min(
                    once(calls[key], repetitions[key], timer) for _ in range(batches[key])
                )
    return seconds


def yardstick() -> float:
    """Seconds of a fixed piece of compiled arithmetic, the fastest of some: the unit in which times of two
    runs can be compared."""
    from numba import njit

    @njit(error_model="numpy")
    def lorenz(steps: Any) -> Any:
        x, y, z = 1.0, 0.0, 0.0
        for _ in range(steps):
            dx, dy, dz = 10.0 * (y - x), x * (28.0 - z) - y, x * y - z / 0.375
            x, y, z = x + 1e-4 * dx, y + 1e-4 * dy, z + 1e-4 * dz
        return x + y + z

    lorenz(1)
    return min(once(lambda: lorenz(1_000_000)) for _ in range(9))
