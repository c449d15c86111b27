"""Figures that are still to be drawn -> their files, by several processes: matplotlib holds Python's lock."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkpd.core.progress import Progress, quiet
from pkpd.solver.executors import end_with_parent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure of a page by its name: the function of ``pkpd.present.plot`` that draws it, and what of."""

    name: str
    caption: str
    draw: Callable[[Any], Figure]
    of: Any

    def figure(self) -> Figure:
        """It, drawn."""
        return self.draw(self.of)


def draw_files(
    drawings: Sequence[Drawing], folder: Path, processes: int = 1, progress: Progress = quiet
) -> dict[str, tuple[str, bytes]]:
    """Write each as PNG and SVG, and return name -> (caption, SVG) in their order.

    The files are the same whoever draws them. Ctrl-C ends it after the figures that are being drawn.
    """
    if processes == 1 or len(drawings) < 2:
        for k, drawing in enumerate(drawings):
            progress("figures", k / len(drawings), drawing.name)
            _write(drawing, folder)
    else:
        _by_processes(drawings, folder, min(processes, len(drawings)), progress)
    return {each.name: (each.caption, (folder / f"{each.name}.svg").read_bytes()) for each in drawings}


def _by_processes(drawings: Sequence[Drawing], folder: Path, processes: int, progress: Progress) -> None:
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)
    with pool:
        # courses are many and small: they fill up what the large ones leave
        order = sorted(drawings, key=lambda each: each.name.startswith("course"))
        futures: dict[Future[None], str] = {pool.submit(_write, each, folder): each.name for each in order}
        try:
            for k, future in enumerate(as_completed(futures)):
                future.result()
                progress("figures", (k + 1) / len(futures), futures[future])
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _begin() -> None:
    """Ctrl-C is for the process that waits for this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _write(drawing: Drawing, folder: Path) -> None:
    from pkpd.present.plot import save

    figure = drawing.figure()
    save(figure, folder / f"{drawing.name}.png")
    figure.set_layout_engine("none")  # the layout was found for the first file and holds for the second
    save(figure, folder / f"{drawing.name}.svg")
