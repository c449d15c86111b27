"""Who does the work on subjects: threads of this process, other processes, or a cluster.

Work is split into chunks of subjects. A subject's result depends neither on the chunk that it is in nor on
who computes it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures import Executor as Pool
from dataclasses import dataclass
from typing import Any, Protocol

from pkpd.core.arguments import ABSENT, COUNT, of
from pkpd.core.errors import InputError
from pkpd.core.extras import optional
from pkpd.core.progress import Counting
from pkpd.ode.layout import LANES

PATIENCE_S = "10s"
"""For the scheduler of a cluster to answer."""


class SharedTask(Protocol):
    """Work on subjects whose results have a place each."""

    @property
    def n_subjects(self) -> int:
        """How many there are."""

    def fill(self, first: int, end: int) -> None:
        """Compute those of subjects first .. end-1."""

    def part(self, first: int, end: int) -> SharedTask:
        """The same for these subjects alone: what can be sent elsewhere (pickled)."""

    def results(self) -> Any:
        """What has been computed: arrays (pickled on the way back)."""

    def put(self, first: int, end: int, results: Any) -> None:
        """Take the results of a part."""


class Executor(Protocol):
    """Does all of a task, in chunks of a size."""

    @property
    def workers(self) -> int:
        """How many work at a time."""

    def __call__(self, task: SharedTask, size: int, told: Counting | None) -> None:
        """Ctrl-C, and an error, end it after the chunks that are under way."""


@dataclass(frozen=True)
class _Workers:
    n: int | None = None

    def __post_init__(self) -> None:
        if self.n is not None and not (isinstance(self.n, int) and self.n >= 1):
            raise InputError(f"the number of workers is a whole number from 1 on, not {self.n!r}")

    @property
    def workers(self) -> int:
        """How many work at a time."""
        return self.n or usable_cores()


@dataclass(frozen=True)
class Threads(_Workers):
    """Threads of this process; the compiled code holds no lock.

    Attributes
    ----------
    n : how many, from 1 on; None for as many as the process may use cores.

    Raises ``InputError`` for another ``n``.

    Examples
    --------
    >>> import pkpd
    >>> pkpd.Options(threads=pkpd.Threads(2)).threads
    Threads(n=2)
    """

    def __call__(self, task: SharedTask, size: int, told: Counting | None) -> None:
        workers = self.workers if size < task.n_subjects else 1
        spread(task.fill, task.n_subjects, workers, size, told)


@dataclass(frozen=True)
class Processes(_Workers):
    """Other processes of this machine, started for each solve: it shows what a cluster would do, and that the
    work can travel.

    A script that uses it does so under ``if __name__ == "__main__":``, as always with processes.

    Attributes
    ----------
    n : how many, from 1 on; None for as many as this process may use cores.

    Raises ``InputError`` for another ``n``.

    Examples
    --------
    >>> import pkpd
    >>> pkpd.Options(threads=pkpd.Processes(2)).threads
    Processes(n=2)
    """

    def __call__(self, task: SharedTask, size: int, told: Counting | None) -> None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        parts = chunks(task.n_subjects, size, self.workers)
        with ProcessPoolExecutor(
            min(self.workers, len(parts)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=end_with_parent,
        ) as pool:
            futures = {pool.submit(_all_of, task.part(*chunk)): chunk for chunk in parts}
            for (first, end), results in _finished(futures, pool, told):
                task.put(first, end, results)


def end_with_parent() -> None:
    """A process that works for another ends when that one is killed: nobody else would tell it."""
    import multiprocessing

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class Dask:
    """The workers of a Dask cluster that runs already, which have this package (extra ``dask``).

    Work that is lost with a worker is done again by another. Models that are not of the library are looked up
    by their path: the workers see the same files.

    Attributes
    ----------
    address : of its scheduler, for instance "tcp://10.0.0.1:8786".

    Raises ``InputError`` where no scheduler answers there, and ``MissingExtraError`` without the package
    distributed.

    Examples
    --------
    >>> import pkpd
    >>> pkpd.Dask("tcp://10.0.0.1:8786")
    Dask(address='tcp://10.0.0.1:8786')
    """

    address: str

    @property
    def workers(self) -> int:
        """How many threads its workers have together."""
        with self._client() as client:
            return max(1, sum(client.nthreads().values()))

    def __call__(self, task: SharedTask, size: int, told: Counting | None) -> None:
        n, done = task.n_subjects, 0
        with self._client() as client:
            parts = chunks(n, size, sum(client.nthreads().values()) or 1)
            futures = {client.submit(_all_of, task.part(*part), pure=False): part for part in parts}
            finished = _distributed().as_completed(futures, with_results=True, loop=client.loop)
            try:
                for future, results in finished:
                    first, end = futures[future]
                    task.put(first, end, results)
                    done += end - first
                    if told is not None:
                        told(done, n)
            except BaseException:
                client.cancel(list(futures))
                raise

    def _client(self) -> Any:
        try:
            return _distributed().Client(self.address, timeout=PATIENCE_S, set_as_default=False)
        except (OSError, ValueError) as error:  # a timeout is an OSError
            raise InputError(f'no Dask scheduler answers at "{self.address}": {error}') from None


EXECUTOR = COUNT | ABSENT | of(Threads, Processes, Dask, words="Threads(n), Processes(n), Dask(address)")
"""What public functions take: how many threads, or an executor."""


def executor_of(threads: int | Executor | None) -> Executor:
    """Threads by their number (None: as many as cores), or the executor that was given."""
    return Threads(threads) if threads is None or isinstance(threads, int) else threads


def _distributed() -> Any:
    return optional("distributed", "dask")


def _all_of(task: SharedTask) -> Any:
    """In the other process."""
    task.fill(0, task.n_subjects)
    return task.results()


def spread(run: Callable[[int, int], None], n: int, workers: int, size: int, told: Counting | None) -> None:
    """Run ``run(first, end)`` over chunks of 0..n of at most this size on threads; Ctrl-C stops after the
    chunks that are running."""
    parts = chunks(n, size, workers)
    if workers == 1 or len(parts) == 1:
        for first, end in parts:
            run(first, end)
            if told is not None:
                told(end, n)
        return
    with ThreadPoolExecutor(min(workers, len(parts))) as pool:
        futures = {pool.submit(run, *chunk): chunk for chunk in parts}
        for _ in _finished(futures, pool, told):
            pass


def _finished(
    futures: dict[Future[Any], tuple[int, int]],
    pool: Pool,
    told: Counting | None,
) -> Iterator[tuple[tuple[int, int], Any]]:
    """Each chunk with its result as it is done; after an error none is begun that has not been."""
    done, n = 0, max(end for _, end in futures.values())
    waiting = set(futures)
    try:
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield futures[future], future.result()
                done += futures[future][1] - futures[future][0]
            if told is not None:
                told(done, n)
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise


def chunks(n: int, size: int, workers: int = 1) -> list[tuple[int, int]]:
    """0 .. n in pieces of at most this size, of whole vectors where the size is. They are alike, and as many
    for each worker, so that all end together; but not of half the size or less to be so."""
    if n == 0:
        return []
    pieces = -(-n // size)
    shared = -(-pieces // workers) * workers
    even = -(-n // (shared if 2 * n > shared * size else pieces))
    if size % LANES == 0:
        even = -(-even // LANES) * LANES
    return [(first, min(first + even, n)) for first in range(0, n, even)]


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
