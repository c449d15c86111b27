"""What repeats a fit, many times over: jobs by name, done by threads, processes or a cluster, each kept on
disk as soon as it is done.

    kept = Kept(folder, about={"fit": digest}, resume=True)
    done = repeat(work, names, executor=Processes(2), done=kept.done(names), keep=kept.add)

A job's result depends on the work and the job's name alone (whatever is random in it is seeded by them), so
that who does it, and in which order, makes no difference.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from pkpd.core.errors import DataError
from pkpd.core.files import replacing, to_json
from pkpd.core.progress import Progress, quiet
from pkpd.solver.executors import Executor


class Repeated(Protocol):
    """What the jobs have in common. It travels pickled to where they are done."""

    def do(self, name: str) -> Any:
        """The result of a job, in what JSON has."""


@dataclass(frozen=True)
class Done:
    """Results by name, in the order of the names; ``interrupted``: by Ctrl-C, some are missing."""

    results: dict[str, Any]
    interrupted: bool


class Kept:
    """What is done, in a folder: ``about.json`` says of what, and each job has a file of its own.

    folder : is made if there is none; jobs of an earlier run are removed unless it is gone on from.
    about : what the jobs belong to; only those of the same are gone on from.
    resume : goes on from what is there.
    resumed : whether there was something to go on from.

    Raises ``DataError`` where that belongs to something else.
    """

    def __init__(self, folder: str | os.PathLike[str], about: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = Path(folder)
        wanted = json.loads(to_json(about))
        place = self.folder / "about.json"
        self.resumed = resume and place.is_file()
        if self.resumed:
            check_same(_read(place), wanted, str(self.folder))
        else:
            for old in self.folder.glob("*-" + "[0-9a-f]" * 8 + ".json"):
                old.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(place, wanted)

    def done(self, names: Sequence[str]) -> dict[str, Any]:
        """Those of these jobs that are done."""
        return {name: _read(self._file(name))["result"] for name in names if self._file(name).is_file()}

    def add(self, name: str, result: Any) -> None:
        """Whole or not at all."""
        _write(self._file(name), {"job": name, "result": result})

    def _file(self, name: str) -> Path:
        # the number tells apart what a file system may not: K and k
        return self.folder / f"{quote(name, safe=' ')[:80]}-{zlib.crc32(name.encode()):08x}.json"


def check_same(before: Any, now: Mapping[str, Any], where: str) -> None:
    """Raise ``DataError`` that says what differs, unless jobs that are kept belong to what is asked now."""
    if not isinstance(before, dict):
        raise DataError(f"{where} keeps something else: it cannot be gone on from")
    differs = [key.replace("_", " ") for key in {**before, **now} if before.get(key) != now.get(key)]
    if differs:
        raise DataError(
            f"{where} keeps what was made with another {', '.join(differs)}: it cannot be gone on "
            "from; begin anew without --resume, or in another folder"
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be gone on from: {error}") from None


def _write(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(to_json(value) + "\n", encoding="utf-8")


def repeat(
    work: Repeated,
    names: Sequence[str],
    *,
    executor: Executor,
    done: Mapping[str, Any] | None = None,
    keep: Callable[[str, Any], None] | None = None,
    what: str = "repeats",
    unit: str = "jobs",
    progress: Progress = quiet,
) -> Done:
    """Do these jobs but those that are done; ``keep`` is called with each as it is done, one at a time.

    Results are as JSON reads them back. After Ctrl-C those that are done; an error of a job is raised.
    """
    before = dict(done or {})
    todo = [name for name in names if name not in before]
    jobs = _Jobs(work, todo, keep)
    interrupted = False
    try:
        if todo:
            progress(what, len(before) / len(names), f"{len(todo)} {unit}")
            executor(jobs, 1, _told(progress, what, unit, len(before)))
    except KeyboardInterrupt:
        interrupted = True
    everything = before | jobs.found
    return Done({name: everything[name] for name in names if name in everything}, interrupted)


def _told(progress: Progress, what: str, unit: str, before: int) -> Callable[[int, int], None]:
    """Progress by jobs, with the time that is left at the pace so far."""
    began = time.perf_counter()

    def told(done: int, total: int) -> None:
        left = (time.perf_counter() - began) / done * (total - done)
        minutes = f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"
        share = (before + done) / (before + total)
        progress(what, share, f"{before + done} of {before + total} {unit}, {minutes}")

    return told


class _Jobs:
    """Jobs as work for an executor: each is one of its subjects."""

    def __init__(
        self, work: Repeated, names: Sequence[str], keep: Callable[[str, Any], None] | None = None
    ) -> None:
        self.work, self.names, self.keep = work, list(names), keep
        self.found: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"work": self.work, "names": self.names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def n_subjects(self) -> int:
        return len(self.names)

    def fill(self, first: int, end: int) -> None:
        for name in self.names[first:end]:
            self._add(name, json.loads(to_json(self.work.do(name))))

    def part(self, first: int, end: int) -> _Jobs:
        return _Jobs(self.work, self.names[first:end])

    def results(self) -> dict[str, Any]:
        return self.found

    def put(self, first: int, end: int, results: dict[str, Any]) -> None:
        for name, result in results.items():
            self._add(name, result)

    def _add(self, name: str, result: Any) -> None:
        with self._lock:
            self.found[name] = result
            if self.keep is not None:
                self.keep(name, result)
