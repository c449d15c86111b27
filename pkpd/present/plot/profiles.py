"""Figures of simulated courses: one above the other, or arm by arm with the reported numbers laid over."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    BLUE,
    GREY,
    INK,
    Floats,
    clipped,
    colour_of,
    draw_point,
    ends_of,
    hollow,
    line_handle,
    marker_handle,
    panel_grid,
    panel_rows,
    put_footnote,
    put_legend,
    put_title,
    styled,
    unverified_handles,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DrawnCourse = Any  # see the top of `pkpd.present.plot`


_DAYS_PER = {"s": 1 / 86400, "min": 1 / 1440, "h": 1 / 24, "d": 1.0, "week": 7.0}


_TIME_NAMES = {
    "sec": "s",
    "second": "s",
    "minute": "min",
    "minutes": "min",
    "hr": "h",
    "hour": "h",
    "hours": "h",
}


_TIME_NAMES |= {"day": "d", "days": "d", "weeks": "week", "wk": "week"}


@dataclass(frozen=True)
class _DrawnProfile:
    """What is drawn of a profile: times (n_times,), quantiles (n_times, n_outputs), dose times (n_doses,),
    and what the model says that a reader must know."""

    times: Floats
    median: Floats
    low: Floats
    high: Floats
    names: tuple[str, ...]
    units: tuple[str, ...]
    descriptions: tuple[str, ...]
    time_unit: str
    doses: Floats
    has_band: bool
    cautions: tuple[str, ...]


def _read_course(given: DrawnCourse, band: tuple[float, float]) -> _DrawnProfile:
    if hasattr(given, "columns"):
        given = _from_table(given)

    def read(key: str) -> Any:
        return given.get(key) if isinstance(given, Mapping) else getattr(given, key, None)

    missing = [key for key in ("times", "names", "units", "time_unit") if read(key) is None]
    if missing:
        raise InputError(f"a profile to draw lacks {', '.join(missing)}")
    times = np.asarray(read("times"), dtype=float)
    if times.ndim != 1 or not times.size:
        raise InputError("a profile to draw needs at least one time, in one row")
    names, units = tuple(read("names")), tuple(read("units"))
    shape = (times.size, len(names))
    if read("outputs") is not None:
        values = np.asarray(read("outputs"), dtype=float)
        if values.shape[1:] != shape:
            raise InputError(
                f"outputs of shape {values.shape} do not fit {shape[0]} times and {shape[1]} names"
            )
        has_band = values.shape[0] > 1
        # A subject whose integration failed is nan from then on and stands aside.
        with np.errstate(invalid="ignore"):
            gone = np.all(np.isnan(values), axis=0)
            quantiles = np.nanquantile(np.where(gone, 0, values), (0.5, *band), axis=0)
        median, low, high = np.where(gone, np.nan, quantiles)
    else:
        median, low, high = (np.asarray(read(key), dtype=float) for key in ("median", "low", "high"))
        has_band = True
        if not median.shape == low.shape == high.shape == shape:
            raise InputError(f"median, low and high must have the shape {shape}: times by outputs")
    time_unit = _TIME_NAMES.get(read("time_unit"), read("time_unit"))
    doses = read("dose_times")
    if doses is None:
        schedule = read("schedule")
        days = [float(dose.time_days) for dose in schedule.doses()] if hasattr(schedule, "doses") else []
        doses = np.array(days) / _DAYS_PER.get(time_unit, math.nan)
    descriptions = tuple(read("descriptions") or ("",) * len(names))
    doses = np.asarray(doses, dtype=float)
    return _DrawnProfile(
        times,
        median,
        low,
        high,
        names,
        units,
        descriptions,
        time_unit,
        doses[np.isfinite(doses)],
        has_band,
        tuple(read("cautions") or ()),
    )


def _from_table(table: Any) -> dict[str, Any]:
    """A table as `Profile.to_frame` makes it, as arrays; times that a subject lacks are nan."""
    columns = [str(column) for column in table.columns]
    names = [column for column in columns if column not in ("subject", "time")]
    if "time" not in columns or not names:
        raise InputError(
            f'a table of a profile has a column "time" and one per output, not {", ".join(columns)}'
        )
    times, i_time = np.unique(np.asarray(table["time"], dtype=float), return_inverse=True)
    subject = np.asarray(table["subject"]) if "subject" in columns else np.zeros(i_time.size, dtype=int)
    subjects, i_subject = np.unique(subject, return_inverse=True)
    values = np.full((subjects.size, times.size, len(names)), np.nan)
    for k, name in enumerate(names):
        values[i_subject, i_time, k] = np.asarray(table[name], dtype=float)
    about = getattr(table, "attrs", {})
    units = [about.get("units", {}).get(name, "") for name in names]
    return {
        "times": times,
        "outputs": values,
        "names": names,
        "units": units,
        "time_unit": about.get("time_unit", ""),
        "cautions": about.get("cautions", ()),
    }


def _in_one_time_unit(courses: Mapping[str, _DrawnProfile]) -> dict[str, _DrawnProfile]:
    """All in days where the longest takes more than four, else in hours or minutes by the same rule."""
    if any(course.time_unit not in _DAYS_PER for course in courses.values()):
        return dict(courses)
    span = max(float(np.ptp(course.times)) * _DAYS_PER[course.time_unit] for course in courses.values())
    unit = "d" if span > 4 else "h" if span > 4 / 24 else "min"
    converted = {}
    for label, course in courses.items():
        factor = _DAYS_PER[course.time_unit] / _DAYS_PER[unit]
        converted[label] = replace(
            course, times=course.times * factor, doses=course.doses * factor, time_unit=unit
        )
    return converted


def _chosen(course: _DrawnProfile, outputs: Sequence[str] | None) -> list[str]:
    names = list(course.names if outputs is None else outputs)
    unknown = [name for name in names if name not in course.names]
    if unknown:
        raise InputError(f'no output "{unknown[0]}" in this profile; it has {", ".join(course.names)}')
    if not names:
        raise InputError("there is no output to draw")
    return names


@styled
def profile_figure(
    profile: DrawnCourse | Mapping[str, DrawnCourse],
    *,
    outputs: Sequence[str] | None = None,
    log: Collection[str] = (),
    band: tuple[float, float] = (0.05, 0.95),
    title: str = "",
    columns: int | None = None,
) -> Figure:
    """Time courses, one panel per output: median over subjects, band of quantiles, and a rug of the doses.

    Args:
        profile: a course, or a dict of label -> course to lay over each other.
        outputs: names of the outputs to draw, in this order; all by default.
        log: names of outputs whose axis is logarithmic.
        band: the quantiles over subjects that bound the band.
        title: a line above the panels; the schedule of a single course by default.
        columns: panels side by side; chosen by number of outputs if not given.

    Raises:
        InputError: arrays that do not fit together, or an output that is not there.
    """
    several = isinstance(profile, Mapping) and "times" not in profile
    given: Mapping[str, DrawnCourse] = profile if several else {"": profile}
    if not given:
        raise InputError("there is no profile to draw")
    courses = _in_one_time_unit({label: _read_course(course, band) for label, course in given.items()})
    first = next(iter(courses.values()))
    names = _chosen(first, outputs)
    columns = columns or (1 if len(names) == 1 else 2 if len(names) <= 4 else 3)
    if not title and not several:
        schedule = (
            profile.get("schedule") if isinstance(profile, Mapping) else getattr(profile, "schedule", None)
        )
        title = "" if schedule is None else str(schedule)
    figure, axes = panel_grid(len(names), columns, (4.4, 2.5) if columns > 1 else (6.6, 3.6))
    for panel, (axis, name) in enumerate(zip(axes, names)):
        for i, course in enumerate(courses.values()):
            _draw_course(axis, course, name, colour_of(i))
            _rug(axis, course.doses, colour_of(i) if several else INK, i)
        _set_limits([axis], courses.values(), name, name in log, n_rugs=len(courses))
        k = first.names.index(name)
        axis.set_title(wrapped(first.descriptions[k] or name, 48))
        axis.set_ylabel(with_unit(name, first.units[k]))
        if panel + columns >= len(names):
            axis.set_xlabel(f"time ({first.time_unit})")
    _profile_legend(figure, courses, band, overlaid=several)
    put_footnote(figure, _cautions(courses.values()))
    put_title(figure, title)
    return figure


@styled
def time_course_figure(
    arms: Mapping[str, DrawnCourse],
    *,
    outputs: Sequence[str] | None = None,
    observed: Iterable[Mapping[str, Any]] = (),
    log: Collection[str] = (),
    band: tuple[float, float] = (0.05, 0.95),
    title: str = "",
) -> Figure:
    """Arms side by side: a column per arm, a row per output, one scale along each row.

    Args:
        arms: label -> course.
        outputs: names of the outputs to draw, top to bottom; all of the first arm by default.
        observed: reported numbers to lay over: dicts with ``arm``, ``output``, ``time`` (in the arm's
            ``time_unit``), ``value``, optional ``interval`` (low, high) and ``provenance``.
        log, band, title: as in `profile_figure`.
    """
    if not arms:
        raise InputError("there is no arm to draw")
    read = {label: _read_course(course, band) for label, course in arms.items()}
    courses = _in_one_time_unit(read)
    first = next(iter(courses.values()))
    names = _chosen(first, outputs)
    points = list(observed)
    for point in points:
        if point["arm"] not in courses:
            raise InputError(
                f'a reported number is of the arm "{point["arm"]}"; drawn are {", ".join(courses)}'
            )
    figure, axes = panel_rows(
        len(names), len(courses), (max(2.1, 11 / max(len(courses), 4)), 2.0), sharey="row"
    )
    for row, name in enumerate(names):
        k = first.names.index(name)
        reported: list[float] = []
        for column, (label, course) in enumerate(courses.items()):
            axis = axes[row][column]
            _draw_course(axis, course, name, colour_of(column))
            _rug(axis, course.doses, INK, 0)
            factor = _DAYS_PER.get(read[label].time_unit, 1) / _DAYS_PER.get(course.time_unit, 1)
            for point in points:
                if (point["arm"], point["output"]) == (label, name):
                    interval = point.get("interval")
                    draw_point(axis, point["time"] * factor, point["value"], interval, hollow(point), INK)
                    reported += [
                        value for value in (point["value"], *ends_of(interval)) if math.isfinite(value)
                    ]
            if row == 0:
                axis.set_title(wrapped(label, 26), fontweight="bold")
            if row == len(names) - 1:
                axis.set_xlabel(f"time ({course.time_unit})")
        axes[row][0].set_ylabel(wrapped(with_unit(first.descriptions[k] or name, first.units[k]), 26))
        _set_limits(axes[row], courses.values(), name, name in log, n_rugs=1, reported=reported)
    _profile_legend(figure, courses, band, overlaid=False, points=points)
    put_footnote(figure, _cautions(courses.values()))
    put_title(figure, title)
    return figure


def _draw_course(axis: Axes, course: _DrawnProfile, name: str, colour: str) -> None:
    k = course.names.index(_chosen(course, [name])[0])
    if course.has_band:
        axis.fill_between(
            course.times, course.low[:, k], course.high[:, k], color=colour, alpha=0.2, linewidth=0
        )
    axis.plot(course.times, course.median[:, k], color=colour)


def _set_limits(
    axes: Sequence[Axes],
    courses: Iterable[_DrawnProfile],
    name: str,
    log: bool,
    n_rugs: int,
    reported: Iterable[float] = (),
) -> None:
    """One scale for the panels of an output, from zero unless that hides the course, with room for the
    rugs."""
    drawn = [(course, course.names.index(name)) for course in courses]
    values = np.concatenate(
        [np.r_[course.low[:, k], course.median[:, k], course.high[:, k]] for course, k in drawn]
        + [list(reported)]
    )
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    start, end = min(float(c.times[0]) for c, _ in drawn), max(float(c.times[-1]) for c, _ in drawn)
    for axis in axes:
        axis.set_xlim(start - 0.015 * (end - start or 1), end + 0.015 * (end - start or 1))
    room = 0.06 + _RUG * n_rugs
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    if log:
        # A drug that washes out falls for ever: six decades are enough to read.
        low = math.log10(max(low, high * 1e-6))
        high = math.log10(high)
        height = max(high - low, 0.5)
        low, high = 10 ** (low - 0.05 * height), 10 ** (low + height * (1 + room))
    else:
        if low >= 0 and low <= 0.8 * high:
            low = 0.0
        height = high - low or abs(high) or 1.0
        low, high = low - (0.05 * height if low else 0.0), low + height * (1 + room)
    for axis in axes:
        if log:
            axis.set_yscale("log", nonpositive="mask")
        axis.set_ylim(low, high)


_RUG = 0.05  # height of a row of dose ticks, of the panel's


def _rug(axis: Axes, doses: Floats, colour: str, level: int) -> None:
    """A tick for each dose along the top of the panel, a row for each schedule."""
    top, across = 1 - _RUG * level, axis.get_xaxis_transform()
    axis.vlines(
        np.unique(doses), top - 0.8 * _RUG, top, transform=across, color=colour, linewidth=1.1, gid="dose"
    )


def _profile_legend(
    figure: Figure,
    courses: Mapping[str, _DrawnProfile],
    band: tuple[float, float],
    overlaid: bool,
    points: Sequence[Mapping[str, Any]] = (),
) -> None:
    from matplotlib.patches import Patch

    colour = BLUE if len(courses) == 1 else GREY
    handles: list[Any] = []
    if overlaid:
        for i, label in enumerate(courses):
            handles.append(line_handle(clipped(label, 60), colour_of(i)))
    else:
        handles.append(line_handle("median" if _many(courses) else "one subject", colour))
    if _many(courses):
        words = f"{100 * band[0]:g} % to {100 * band[1]:g} % of subjects"
        handles.append(Patch(color=colour, alpha=0.25, label=words))
    if any(course.doses.size for course in courses.values()):
        handles.append(line_handle("dose", INK, marker="|", linestyle="none", markersize=7))
    if any(not hollow(point) for point in points):
        handles.append(marker_handle(False, "reported", INK))
    put_legend(figure, handles + unverified_handles(points, "reported, unverified"))


def _cautions(courses: Iterable[_DrawnProfile]) -> str:
    """What a reader must know of the models that are drawn, each once."""
    said = dict.fromkeys(caution for course in courses for caution in course.cautions)
    return " ".join((*said, "A model, not medical advice.")) if said else ""


def _many(courses: Mapping[str, _DrawnProfile]) -> bool:
    return any(course.has_band for course in courses.values())
