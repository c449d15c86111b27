"""Where a posterior was asked -> what it was there, on disk, so that no run asks it again.

    visited = VisitedPoints("results/my_fit/draws", about, resume=True)
    density = KeptDensity(objective, minimum, visited)

A chain that begins anew with the same seed goes the same way again. It finds here what is known, in
microseconds, until it comes to where an earlier run ended; from there on the model is asked. So no sampler
has to stop and go on, and a run that was interrupted ends with the bits of one that was not. The file is only
appended to: what a power cut leaves of its last record is dropped.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.density import DensityPoint, PosteriorDensity
from pkpd.inference.objective import Evaluation, Objective
from pkpd.inference.repeats import Kept
from pkpd.inference.search import Minimum
from pkpd.inference.summary.terms import Term

Array = NDArray[np.float64]

FILE = "points.bin"
_HEAD = struct.Struct("<16sII")
"""Of a record: its key, how many numbers follow, and their checksum."""


class VisitedPoints:
    """Numbers by what was asked, in a folder.

    folder : is made if there is none; what an earlier run left there is removed unless it is gone on from.
    about : what the numbers belong to; only those of the same are gone on from.
    resume : goes on from what is there.
    added : how many this run has found itself.

    Raises ``DataError`` where what is there belongs to something else.
    """

    def __init__(self, folder: str | os.PathLike[str], about: Mapping[str, Any], *, resume: bool) -> None:
        self.path = Path(folder) / FILE
        if not Kept(folder, about, resume=resume).resumed:
            self.path.unlink(missing_ok=True)
        self.added = 0
        self._known = self._read()
        self._adding = threading.Lock()

    def get(self, asked: bytes) -> Array | None:
        """What an earlier run found; None where none has asked."""
        return self._known.get(_key(asked))

    def add(self, asked: bytes, *found: Array) -> None:
        """From any thread."""
        numbers = np.concatenate(found).astype("<f8").tobytes()
        record = _HEAD.pack(_key(asked), len(numbers) // 8, zlib.crc32(numbers)) + numbers
        with self._adding:
            self.added += 1
            try:
                with self.path.open("ab") as stream:
                    stream.write(record)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from None

    def _read(self) -> dict[bytes, Array]:
        """All whole records; what follows them is cut off."""
        if not self.path.is_file():
            return {}
        text = self.path.read_bytes()
        found, at = {}, 0
        while at + _HEAD.size <= len(text):
            key, count, checksum = _HEAD.unpack_from(text, at)
            numbers = text[at + _HEAD.size : at + _HEAD.size + 8 * count]
            if len(numbers) < 8 * count or zlib.crc32(numbers) != checksum:
                break
            found[key] = np.frombuffer(numbers, "<f8").astype(np.float64)
            at += _HEAD.size + 8 * count
        os.truncate(self.path, at)
        return found


def _key(asked: bytes) -> bytes:
    return hashlib.blake2b(asked, digest_size=16).digest()


class KeptDensity(PosteriorDensity):
    """The posterior, which is not asked again where an earlier run has been. Where the model cannot be
    simulated it is, and fails and is counted as before."""

    def __init__(self, objective: Objective, minimum: Minimum, visited: VisitedPoints) -> None:
        super().__init__(objective, minimum)
        self.visited = visited

    def at(self, u: Array, *, gradient: bool = True) -> DensityPoint:
        asked = bytes([gradient]) + u.tobytes()
        n = u.size
        if (known := self.visited.get(asked)) is not None:
            return DensityPoint(
                known[1 : 1 + n], float(known[0]), known[1 + n : 1 + 2 * n], known[1 + 2 * n :]
            )
        found = super().at(u, gradient=gradient)
        if np.isfinite(found.value):
            self.visited.add(asked, np.array([found.value]), found.x, found.gradient, found.rows)
        return found


def kept_objective(objective: Objective, visited: VisitedPoints) -> Objective:
    """An objective that is not asked again where an earlier run has been; for searches and surrogates, which
    look at residuals, or smooth numbers, and their Jacobian alone."""
    return cast(Objective, _KeptObjective(objective, visited))


class _KeptObjective:
    """In all but evaluations the objective itself."""

    def __init__(self, objective: Objective, visited: VisitedPoints) -> None:
        self._objective, self._visited = objective, visited

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objective, name)

    def evaluate(self, x: Array, *, jacobian: bool = False) -> Evaluation:
        return self._kept(x, jacobian, lambda: self._objective.evaluate(x, jacobian=jacobian))

    def with_jacobian(self, x: Array, evaluation: Evaluation) -> Evaluation:
        return self._kept(x, True, lambda: self._objective.with_jacobian(x, evaluation))

    def smooth(self, x: Array) -> tuple[Array, Array]:
        asked = b"smooth" + x.tobytes()
        if (known := self._visited.get(asked)) is None:
            numbers, jacobian = self._objective.smooth(x)
            self._visited.add(asked, numbers, _flat(jacobian))
            return numbers, jacobian
        count = (known.size - 1) // (1 + x.size)
        return known[:count], _matrix(known[count:], x.size)

    def _kept(self, x: Array, jacobian: bool, ask: Callable[[], Evaluation]) -> Evaluation:
        asked = b"evaluation" + bytes([jacobian]) + x.tobytes()
        if (known := self._visited.get(asked)) is not None:
            return _evaluation(known, x.size)
        found = ask()
        terms = np.array([(term.residuals.size, term.constant) for term in found.terms], np.float64)
        slopes = np.zeros(0) if found.jacobian is None else _flat(found.jacobian)
        head = np.array([len(found.terms), found.log_det])
        self._visited.add(asked, head, terms.ravel(), found.residuals, slopes)
        return found


def _evaluation(known: Array, n: int) -> Evaluation:
    """From what was kept of it: of the rows' terms residuals and constants."""
    count, log_det = int(known[0]), float(known[1])
    sizes, constants = known[2 : 2 + 2 * count].reshape(-1, 2).T
    ends = np.cumsum(sizes.astype(int))
    total = int(ends[-1]) if count else 0
    residuals, slopes = np.split(known[2 + 2 * count :], [total])
    none = np.zeros((total, 0))
    terms = tuple(
        Term(part, none, none, np.nan, none, none, float(constant), ())
        for part, constant in zip(np.split(residuals, ends[:-1]), constants)
    )
    return Evaluation(residuals, _matrix(slopes, n) if slopes.size else None, terms, None, (), log_det)


def _flat(jacobian: Array) -> Array:
    """A Jacobian with how it lies in memory, on which the last bits of its products depend."""
    by_columns = jacobian.flags.f_contiguous
    return np.concatenate([[by_columns], jacobian.ravel(order="F" if by_columns else "C")])


def _matrix(flat: Array, n: int) -> Array:
    """The way back, (m, n)."""
    return flat[1:].reshape(-1, n, order="F" if flat[0] else "C")
