"""What can be asked of the course of an output: the highest value, the area, the time above a level, over
which part of it.

``WINDOWS`` and ``FUNCTIONALS`` are the words of ``what`` and ``window`` in a file of endpoints
(``pkpd.decision.criteria``). Values are in the unit of the output and the model's time unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkpd.decision.endpoints.asked import Read, divided
from pkpd.decision.endpoints.regimen import Regimen

Floats = NDArray[np.float64]
Span = tuple[float, float]

BACK = 0.10
"""Of baseline: how near to it an output is "back"."""
RISE = 0.001
"""Of baseline: a smaller rise or fall is none, but what a solver's tolerance leaves of a course at rest."""
AS_HIGH = 5e-3
"""Of the highest value: of peaks that differ by less, as those of one cycle after another do, the first is
the peak."""
MOST_INTERVALS = 200
"""Between doses, of which each has a peak of its own; more are looked at several at a time."""

NO_DOSE = "no value without doses"
FEW_DOSES = "no value with fewer than two doses"
TREATMENT = (
    "from the first dose to one usual interval after the last one, or with several cycles to one "
    "cycle length after the start of the last; "
    "without doses the whole horizon"
)


@dataclass(frozen=True)
class Course:
    """One output of some subjects under one schedule: how it is read, its name, its values at rest and how
    many doses were given, (n_subjects,) each; and from when on it is judged."""

    read: Read
    name: str
    rest: Floats
    given: Floats
    regimen: Regimen
    until: float
    begin: float = -math.inf

    @property
    def nothing(self) -> Floats:
        """No value of anybody."""
        return np.full(len(self.rest), np.nan)


# --- windows --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """A part of the course: from when to when, in the model's time unit, None where a schedule has none.

    span, close : what it and its end are called in a definition; missing : why a subject has no value.
    """

    of: Callable[[Regimen, float], Span | None]
    span: str
    close: str
    missing: str = ""


def _from_the_first_dose(regimen: Regimen, until: float) -> Span | None:
    return (regimen.first if regimen.times.size else -math.inf), math.inf


def _treatment(regimen: Regimen, until: float) -> Span | None:
    return (regimen.first, min(regimen.end, until)) if regimen.times.size else (0.0, until)


def _first_interval(regimen: Regimen, until: float) -> Span | None:
    instants = np.unique(regimen.times)
    if not instants.size:
        return None
    end = float(instants[1]) if instants.size > 1 else until
    return (regimen.first, end) if regimen.first < end else None


def _last_cycle(regimen: Regimen, until: float) -> Span | None:
    if not regimen.times.size or not regimen.cycles[-1] < until:
        return None
    return float(regimen.cycles[-1]), min(regimen.end, until)


def _after_the_last_dose(regimen: Regimen, until: float) -> Span | None:
    return (regimen.last, math.inf) if regimen.times.size and regimen.last < until else None


def _after_the_last_interval(regimen: Regimen, until: float) -> Span | None:
    begin = regimen.last + regimen.interval if regimen.times.size else math.inf
    return (begin, math.inf) if begin < until else None


def _before_the_last_dose(regimen: Regimen, until: float) -> Span | None:
    return (-math.inf, regimen.last) if np.unique(regimen.times).size > 1 else None


def _before_the_last_cycle(regimen: Regimen, until: float) -> Span | None:
    if np.unique(regimen.times).size < 2:
        return None
    return -math.inf, float(regimen.cycles[-1] if regimen.cycles.size > 1 else regimen.last)


WINDOWS = {
    "whole": Window(
        lambda regimen, until: (-math.inf, math.inf), "from the beginning to the horizon", "at the horizon"
    ),
    "from the first dose": Window(
        _from_the_first_dose, "from the first dose to the horizon", "at the horizon"
    ),
    "treatment": Window(
        _treatment, f"over the treatment ({TREATMENT})", f"at the end of the treatment ({TREATMENT})"
    ),
    "first interval": Window(
        _first_interval,
        "from the first dose to the second (of one dose: to the horizon)",
        "just before the second dose (of one dose: at the horizon)",
        NO_DOSE,
    ),
    "last cycle": Window(
        _last_cycle,
        "over the last cycle, or with one cycle over the treatment",
        "at the end of the last cycle",
        NO_DOSE,
    ),
    "after the last dose": Window(
        _after_the_last_dose, "from the last dose to the horizon", "at the horizon", NO_DOSE
    ),
    "after the last interval": Window(
        _after_the_last_interval,
        "from one usual interval after the last dose to the horizon",
        "at the horizon",
        f"{NO_DOSE}, or where the horizon ends before",
    ),
    "before the last dose": Window(
        _before_the_last_dose, "from the beginning to the last dose", "just before the last dose", FEW_DOSES
    ),
    "before the last cycle": Window(
        _before_the_last_cycle,
        "from the beginning to the first dose of the last cycle, or with one cycle to the last dose",
        "just before the first dose of the last cycle, or with one cycle just before the last dose",
        FEW_DOSES,
    ),
}


# --- functionals ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Functional:
    """How a number is made of a course.

    value : of (course, window, level), (n_subjects,); level : (n_subjects,). unit : "output", "area" (output
    times time), "time", "percent" or "1". words : its definition, with {label}, {span}, {close} and {level}.
    window : the one that is meant where none is said; fixed : it takes no other. level : the one that is
    meant where none is said, "needed", or empty where it takes none. baseline : whether the value can be set
    against the one at rest. missing : why a subject has no value.
    """

    value: Callable[[Course, Span, Floats], Floats]
    unit: str
    words: str
    window: str
    level: str = ""
    baseline: bool = False
    fixed: bool = False
    missing: str = ""


def _read(kind: str) -> Callable[[Course, Span, Floats], Floats]:
    return lambda course, window, level: course.read(kind, course.name, *window)[0]


def _read_level(kind: str) -> Callable[[Course, Span, Floats], Floats]:
    return lambda course, window, level: course.read(kind, course.name, *window, level)[0]


def _within(course: Course, window: Span) -> Span:
    """The part of a window that is simulated: from 0, or the first dose before it."""
    begin = min(0.0, course.regimen.first) if course.regimen.times.size else 0.0
    return max(window[0], begin), min(window[1], course.until)


def _mean(course: Course, window: Span, level: Floats) -> Floats:
    start, stop = _within(course, window)
    if start < stop:
        return course.read("area", course.name, start, stop)[0] / (stop - start)
    return course.read("max", course.name, start)[0]


def _time_below(course: Course, window: Span, level: Floats) -> Floats:
    start, stop = _within(course, window)
    return (stop - start) - course.read("time_above", course.name, *window, level)[0]


def _since_dose(course: Course, window: Span, level: Floats) -> Floats:
    times = course.regimen.times
    highest, top = course.read("max", course.name, *window)
    if not times.size:
        return course.nothing
    place = np.searchsorted(times, top, side="right") - 1
    dose_before = times[np.clip(place, 0, times.size - 1)]
    return np.where(highest > (1.0 + RISE) * course.rest, top - dose_before, np.nan)


def _intervals(regimen: Regimen, until: float) -> list[Span]:
    """Cycles, or with one cycle the intervals between doses; the last ends at the horizon."""
    if not regimen.times.size:
        return [(-math.inf, math.inf)]
    begins = regimen.cycles if regimen.cycles.size > 1 else np.unique(regimen.times)
    begins = begins[:: -(-begins.size // MOST_INTERVALS)]
    ends = [*begins[1:].tolist(), math.inf]
    return [pair for pair in zip(begins.tolist(), ends, strict=True) if pair[0] < until]


def _to_peak(course: Course, window: Span, level: Floats) -> Floats:
    regimen, rest = course.regimen, course.rest
    peaks = [course.read("max", course.name, *span) for span in _intervals(regimen, course.until)]
    if not peaks:
        return course.nothing
    heights, when = (np.column_stack(columns) for columns in zip(*peaks, strict=True))
    peak = heights.max(axis=1)
    top = np.argmax(heights >= (1.0 - AS_HIGH) * peak[:, None], axis=1)
    start = regimen.first if regimen.times.size else 0.0
    return np.where(peak > (1.0 + RISE) * rest, when[np.arange(len(rest)), top] - start, np.nan)


def _stays(kind: str) -> Callable[[Course, Span, Floats], Floats]:
    def value(course: Course, window: Span, level: Floats) -> Floats:
        last, _ = course.read(kind, course.name, *window, level)
        failed = np.isnan(course.read("max", course.name, *window)[0])
        return np.where(failed, np.nan, np.fmax(last, window[0]) - window[0])  # nan: never beyond it

    return value


def _return(course: Course, window: Span, level: Floats) -> Floats:
    high, _ = course.read("last_above", course.name, *window, (1.0 + BACK) * course.rest)
    low, _ = course.read("last_below", course.name, *window, (1.0 - BACK) * course.rest)
    failed = np.isnan(course.read("max", course.name, *window)[0])
    outside = np.fmax(np.fmax(high, low), window[0])  # nan: never
    return np.where(failed, np.nan, outside - window[0])


def _rebound(course: Course, window: Span, level: Floats) -> Floats:
    lowest, _ = course.read("min", course.name, *window)
    fall = divided(course.rest - lowest, course.rest)
    return 100.0 * np.where(fall <= RISE, 0.0, fall)


def _last_to_first(course: Course, window: Span, level: Floats) -> Floats:
    cycles, rest = course.regimen.cycles, course.rest
    if cycles.size < 2:
        return course.nothing
    first = course.read("max", course.name, float(cycles[0]), float(cycles[1]))[0] - rest
    last = course.read("max", course.name, *window)[0] - rest
    return np.where(first > RISE * rest, divided(last, first), np.nan)


FUNCTIONALS = {
    "max": Functional(
        _read("max"), "output", "The highest {label} {span}", "from the first dose", baseline=True
    ),
    "min": Functional(
        _read("min"), "output", "The lowest {label} {span}", "from the first dose", baseline=True
    ),
    "mean": Functional(_mean, "output", "The mean of {label} {span}", "treatment", baseline=True),
    "end": Functional(_read("end"), "output", "{label} {close}", "before the last cycle", baseline=True),
    "area": Functional(
        lambda course, window, level: course.read("area", course.name, *_within(course, window))[0],
        "area",
        "The area under {label} {span}",
        "whole",
    ),
    "area above": Functional(
        _read_level("area_above"),
        "area",
        "The area between {label} and {level}, where it is above, {span}",
        "whole",
        "baseline",
    ),
    "time above": Functional(
        _read_level("time_above"),
        "time",
        "The time {span} during which {label} is above {level}",
        "whole",
        "needed",
    ),
    "time below": Functional(
        _time_below,
        "time",
        "The time {span} during which {label} is not above {level}",
        "whole",
        "needed",
    ),
    "time of max": Functional(
        _since_dose,
        "time",
        "The time of the highest {label}, from the dose before it",
        window="whole",
        fixed=True,
        missing=f"{NO_DOSE}, or where {{label}} does not rise above its baseline by 0.1 percent",
    ),
    "time to peak": Functional(
        _to_peak,
        "time",
        "The time from the first dose to the highest {label} of the first cycle (with one cycle: "
        "of the first interval between doses) whose highest is at most 0.5 percent below the "
        "highest of all",
        window="whole",
        fixed=True,
        missing="no value where {label} does not rise above its baseline by 0.1 percent",
    ),
    "half-life": Functional(
        _read_level("halving"),
        "time",
        "The terminal half-life: the mean time in which {label} above its baseline falls to a "
        "half, from when it is first at a half, a fourth, an eighth and so on of "
        "its highest value after the last dose: of the last five such halvings before the "
        "horizon, without the fall to the first half; none below 1/1024 of the highest or ten "
        "times the baseline",
        level="baseline",
        window="after the last dose",
        fixed=True,
        missing=f"{NO_DOSE}, or where it does not fall to a fourth of its highest value before the horizon",
    ),
    "time to return": Functional(
        _return,
        "time",
        f"The time from the last dose after which {{label}} stays within {100 * BACK:g} percent of "
        "the subject's baseline, on either side, to the horizon",
        window="after the last dose",
        fixed=True,
        missing=f"{NO_DOSE}; infinite, which means not within the horizon, where {{label}} is "
        "still outside at the end",
    ),
    "time until below": Functional(
        _stays("last_above"),
        "time",
        "The time from the last dose after which {label} stays below {level} to the horizon",
        level="needed",
        window="after the last dose",
        fixed=True,
        missing=f"{NO_DOSE}; infinite, which means not within the horizon, where {{label}} is "
        "still above at the end",
    ),
    "time until above": Functional(
        _stays("last_below"),
        "time",
        "The time from the last dose after which {label} stays above {level} to the horizon",
        level="needed",
        window="after the last dose",
        fixed=True,
        missing=f"{NO_DOSE}; infinite, which means not within the horizon, where {{label}} is "
        "still below at the end",
    ),
    "rebound": Functional(
        _rebound,
        "percent",
        "By how many percent of the subject's baseline {label} falls below it at its lowest, "
        "from one usual interval after the last dose to the horizon; 0 where it does not, by "
        "more than 0.1 percent",
        window="after the last interval",
        fixed=True,
        missing=f"{NO_DOSE}, or where the horizon ends before",
    ),
    "last to first cycle": Functional(
        _last_to_first,
        "1",
        "The rise of {label} over baseline at the peak of the last cycle, over that of the "
        "first: below 1 is tachyphylaxis. A new cycle begins after a gap between doses of more "
        "than three usual (median) ones",
        window="last cycle",
        fixed=True,
        missing="no value with a single cycle, or where {label} does not rise by 0.1 percent in the first",
    ),
}
