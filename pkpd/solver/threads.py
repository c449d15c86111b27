"""Work on subjects, spread over threads in chunks; the compiled code holds no lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait


def spread(
    run: Callable[[int, int], None],
    n: int,
    workers: int,
    size: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Run ``run(first, end)`` over chunks of 0..n of this size on threads; Ctrl-C stops after the chunks that
    are running."""
    chunks = [(first, min(first + size, n)) for first in range(0, n, size)]
    if len(chunks) == 1:
        run(0, n)
        if progress is not None:
            progress(n, n)
        return
    done = 0
    if workers == 1:
        for first, end in chunks:
            run(first, end)
            if progress is not None:
                progress(end, n)
        return
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run, *chunk): chunk for chunk in chunks}
        try:
            waiting = set(futures)
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done += futures[future][1] - futures[future][0]
                if progress is not None:
                    progress(done, n)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
