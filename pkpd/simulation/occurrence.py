"""Cumulative hazards of subjects -> when their events are.

A subject has the event when its cumulative hazard H reaches E, a number of the exponential distribution of
mean 1: the probability that this is later than t is exp(-H(t)), its survival (Bender, Augustin & Blettner,
Stat Med 2005;24:1713-1723, for closed forms; here H is a course that was simulated).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.arguments import ABSENT, NUMBERS, WHOLE, takes
from pkpd.core.errors import InputError
from pkpd.simulation.profile import check_count

Floats = NDArray[np.float64]

CHUNK = 8192  # subjects at a time, so that memory for what lies between is a few MB
DIP = 1e-4  # of the largest value of a course: a fall that the error of integration explains
STEEPEST = 3.0  # slopes of a cubic against that of its chord, up to which it is monotone for certain
ITERATIONS = 60  # each halves the bracket at least, and rounding is at 2^-53


@takes(
    cumulative=NUMBERS,
    times=NUMBERS,
    hazards=NUMBERS | ABSENT,
    exponentials=NUMBERS | ABSENT,
    seed=WHOLE,
    stream=WHOLE,
)
def event_times(
    cumulative: ArrayLike,
    times: ArrayLike,
    hazards: ArrayLike | None = None,
    exponentials: ArrayLike | None = None,
    *,
    seed: int = 0,
    stream: int = 0,
) -> Floats:
    """When an event happens to each of many subjects, from their cumulative hazards over time.

    The event is where the cumulative hazard reaches the subject's exponential number: the inverse of a cubic
    through values and slopes between two times (Hermite's, with slopes held to at most 3 times the chord's,
    so that it is monotone: Fritsch & Carlson, SIAM J Numer Anal 1980;17:238-246), or of a line.

    Parameters
    ----------
    cumulative : (n_subjects, n_times), such as ``profile["cumulative_hazard_death"]``: 0 at the first time,
        and never falling.
    times : (n_times,), ascending.
    hazards : (n_subjects, n_times), the slopes of ``cumulative``, per unit of ``times`` (a model's hazard may
        have another one); None: straight lines between times.
    exponentials : (n_subjects,), positive, of the exponential distribution of mean 1; None: drawn, the number
        of subject k by (seed, k, stream) alone, however many there are.
    seed, stream : of the numbers that are drawn; competing events need a stream each.

    Returns
    -------
    array (n_subjects,) : the time of the event, inf for a subject to whom it has not happened by the last
        time, nan for one whose cumulative hazard is not known (it could not be integrated).

    Raises
    ------
    InputError : shapes that do not fit, times that do not ascend, a cumulative hazard that does not begin at
        0 or falls, a hazard below 0, a number that is not positive.

    Examples
    --------
    Half of the untreated have died at the median of 600 days:

    >>> import numpy as np, pkpd
    >>> profile = pkpd.simulate("weibull_survival", "none", times=np.linspace(0, 3000, 61))
    >>> cumulative = np.repeat(profile["cumulative_hazard_death"], 1000, axis=0)
    >>> hazards = np.repeat(profile["hazard_death"], 1000, axis=0)  # 1/d, and times are in d
    >>> died = pkpd.event_times(cumulative, profile.times, hazards, seed=1)
    >>> died.shape, float(np.mean(died < 600))
    ((1000,), 0.489)
    """
    grid = np.atleast_1d(np.asarray(times, dtype=np.float64))
    courses = np.atleast_2d(np.asarray(cumulative, dtype=np.float64))
    slopes = None if hazards is None else np.atleast_2d(np.asarray(hazards, dtype=np.float64))
    subjects = len(courses)
    check_count(subjects, seed)
    if not 0 <= stream < 2**64:
        raise InputError(f"the stream must be a whole number from 0 to below 2^64, not {stream}")
    reached = _exponentials(seed, subjects, stream) if exponentials is None else _given(exponentials)
    _check_shapes(grid, courses, slopes, reached)
    found = np.empty(subjects)
    for first in range(0, subjects, CHUNK):
        part = slice(first, first + CHUNK)
        known = None if slopes is None else slopes[part]
        found[part] = _inverse(_checked(courses[part], known, first), grid, known, reached[part])
    return found


def _exponentials(seed: int, count: int, stream: int) -> Floats:
    """(count,) numbers of the exponential distribution of mean 1; number k belongs to (seed, k, stream).

    The counter of Philox stands where ``profile.normals`` would have it for a subject that there never is.
    """
    counter = np.array([0, 0, 2**64 - 1, stream], dtype=np.uint64)
    raw = np.random.Philox(key=seed, counter=counter).random_raw(count)
    return np.asarray(-np.log(((raw >> np.uint64(11)) + 0.5) * 2.0**-53), dtype=np.float64)


def _given(exponentials: ArrayLike) -> Floats:
    numbers = np.atleast_1d(np.asarray(exponentials, dtype=np.float64))
    if not np.all(numbers > 0.0):
        raise InputError("exponentials must be positive numbers, and some are not")
    return numbers


def _check_shapes(grid: Floats, courses: Floats, slopes: Floats | None, reached: Floats) -> None:
    if grid.ndim != 1 or not np.all(np.isfinite(grid)) or not np.all(np.diff(grid) > 0.0):
        raise InputError("times must be finite and ascend, each above the one before")
    if courses.ndim != 2 or courses.shape[1] != grid.size:
        raise InputError(f"cumulative must have shape (n_subjects, {grid.size}), not {courses.shape}")
    if slopes is not None and slopes.shape != courses.shape:
        raise InputError(f"hazards must have the shape of cumulative, {courses.shape}, not {slopes.shape}")
    if reached.shape != courses.shape[:1]:
        raise InputError(f"exponentials must have shape {courses.shape[:1]}, not {reached.shape}")


def _checked(courses: Floats, slopes: Floats | None, first: int) -> Floats:
    """Cumulative hazards without the dips that errors of integration leave; first : number of the first."""
    risen = np.maximum.accumulate(courses, axis=1)
    falls = (risen - courses).max(axis=1) > DIP * risen[:, -1]
    below = np.zeros_like(falls) if slopes is None else (slopes < 0.0).any(axis=1)
    hint = "for those to whom nothing has happened before, subtract it"
    for wrong, what in (
        (np.abs(courses[:, 0]) > 0.0, f"is not 0 at the first time: {hint}"),
        (falls, "falls, and never should"),
        (below, "has a hazard below 0"),
    ):
        if wrong.any():
            raise InputError(f"the cumulative hazard of subject {first + int(np.argmax(wrong))} {what}")
    return risen


def _inverse(risen: Floats, grid: Floats, slopes: Floats | None, reached: Floats) -> Floats:
    """Where each course reaches its number."""
    found = np.full(len(risen), np.inf)
    found[np.isnan(risen[:, -1])] = np.nan
    behind = np.count_nonzero(risen < reached[:, None], axis=1)  # the time before which it is
    who = np.flatnonzero(reached <= risen[:, -1])
    right = behind[who]
    left = right - 1
    low, high = risen[who, left], risen[who, right]
    share = (reached[who] - low) / (high - low)
    width = grid[right] - grid[left]
    if slopes is not None:
        scale = width / (high - low)
        ends = (np.minimum(slopes[who, at] * scale, STEEPEST) for at in (left, right))
        share = _cubic_inverse(share, *ends)
    found[who] = grid[left] + share * width
    return found


def _cubic_inverse(y: Floats, m0: Floats, m1: Floats) -> Floats:
    """Where the monotone cubics from (0, 0) to (1, 1) with slopes m0 and m1 have the values y: Newton's
    method, halving the bracket where it would leave it."""
    a, b = m0 + m1 - 2.0, 3.0 - 2.0 * m0 - m1
    x, low, high = y, np.zeros_like(y), np.ones_like(y)
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(ITERATIONS):
            off = ((a * x + b) * x + m0) * x - y
            low, high = np.where(off < 0.0, x, low), np.where(off < 0.0, high, x)
            newton = x - off / ((3.0 * a * x + 2.0 * b) * x + m0)
            before, x = x, np.where((newton >= low) & (newton <= high), newton, (low + high) / 2.0)
            if np.all(np.abs(x - before) <= 2.0**-52):
                break
    return x
