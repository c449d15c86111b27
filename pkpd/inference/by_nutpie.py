"""A log density with its gradient -> chains by the No-U-Turn sampler of nutpie (Hoffman & Gelman 2014, J Mach
Learn Res 15:1593; step size and a diagonal mass matrix adapt to draws and gradients: Seyboldt, Carlson &
Carpenter 2026, arXiv:2603.18845).

Each chain is a sampler of its own, with its own seed and start: what it draws depends neither on how many
there are nor on the cores that they share.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import ConvergenceError
from pkpd.core.extras import optional

Array = NDArray[np.float64]
Counting = Callable[[int, int], None]
"""Called with how many draws are done, of how many, those of the warm-up included."""

POLL_S = 0.05
DEEPEST = 8
"""A trajectory has at most 2^8 - 1 steps: in coordinates of scale 1 more are wasted on a few odd draws."""
KEPT = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "n_steps": "n_steps",
    "depth": "tree_depth",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
}
"""What nutpie tells of each draw, and what ArviZ calls that."""


class Visited(Protocol):
    """What is kept of a draw: its place x (n,) and the log likelihood of rows (n_rows,)."""

    @property
    def x(self) -> Array: ...
    @property
    def rows(self) -> Array: ...


class Walking(Protocol):
    """A density as one chain goes through it."""

    def __call__(self, u: Array) -> tuple[float, Array]: ...
    def kept(self, u: Array) -> Visited: ...


@dataclass(frozen=True)
class Chain:
    """Draws after the warm-up: x (n_draws, n), log likelihood of rows (n_draws, n_rows), and by name what the
    sampler tells of each, (n_draws,)."""

    x: Array
    rows: Array
    statistics: dict[str, NDArray[Any]]

    def first(self, count: int) -> Chain:
        """The first draws of it."""
        kept = {name: found[:count] for name, found in self.statistics.items()}
        return Chain(self.x[:count], self.rows[:count], kept)


def chains_of(
    walks: Sequence[Walking],
    starts: Sequence[Array],
    n_rows: int,
    *,
    tune: int,
    draws: int,
    seeds: Sequence[int],
    cores: int,
    told: Counting,
    deepest: int = DEEPEST,
) -> tuple[list[Chain], bool]:
    """One chain for each walk, start and seed, at most ``cores`` at a time, and whether Ctrl-C ended them:
    then as many draws of each as there are. Trajectories have at most 2^deepest - 1 steps.

    Raises ``MissingExtraError`` without nutpie, ``ConvergenceError`` where a chain cannot begin.
    """
    optional("nutpie", "sample")
    counted = [0] * len(walks)
    waiting, running, done = list(range(len(walks))), dict[int, Any](), dict[int, Any]()
    interrupted = False
    try:
        while waiting or running:
            while waiting and len(running) < cores:
                k = waiting.pop(0)
                begun = walks[k], starts[k], n_rows, tune, draws, seeds[k], counted, k, deepest
                running[k] = _begun(*begun)
            for k, sampler in list(running.items()):
                if (found := _result(sampler)) is not None:
                    done[k] = found
                    del running[k]
            told(sum(counted), len(walks) * (tune + draws))
    except KeyboardInterrupt:
        interrupted = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ArviZ, that there are few draws
            done |= {k: sampler.abort() for k, sampler in running.items()}
        running.clear()
    finally:
        for sampler in running.values():
            sampler.cancel()
    return [_chain(done[k], starts[k].size, n_rows) for k in sorted(done)], interrupted


def _begun(
    walk: Walking,
    start: Array,
    n_rows: int,
    tune: int,
    draws: int,
    seed: int,
    counted: list[int],
    k: int,
    deepest: int,
) -> Any:
    """A sampler of one chain at work in a thread of its own."""
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    def kept(u: Array) -> dict[str, Array]:
        counted[k] += 1
        point = walk.kept(u)
        return {"x": point.x, "rows": point.rows}

    number = np.dtype(np.float64)
    model = from_pyfunc(
        start.size,
        lambda: walk,
        lambda *_: kept,
        [number, number],
        [(start.size,), (n_rows,)],
        ["x", "rows"],
        make_initial_point_fn=lambda _: start,
    )
    return nutpie.sample(
        model,
        chains=1,
        cores=1,
        tune=tune,
        draws=draws,
        seed=seed,
        maxdepth=deepest,
        progress_bar=False,
        blocking=False,
    )


def _result(sampler: Any) -> Any:
    """The finished chain; None while it is at work."""
    try:
        return sampler.wait(timeout=POLL_S)
    except TimeoutError:
        return None
    except RuntimeError as error:
        raise ConvergenceError(f"a chain could not go on: {error}") from None


def _chain(trace: Any, n: int, n_rows: int) -> Chain:
    """What nutpie gives (by the version of ArviZ an InferenceData or a tree of xarray), without the rest of
    what was to come of a chain that was ended."""
    posterior, statistics = trace["posterior"], trace["sample_stats"]
    x = np.asarray(posterior["x"].values, np.float64).reshape(-1, n)
    there = np.isfinite(x).all(axis=1)
    return Chain(
        x[there],
        np.asarray(posterior["rows"].values, np.float64).reshape(-1, n_rows)[there],
        {name: statistics[key].values.reshape(-1)[there] for key, name in KEPT.items()},
    )
