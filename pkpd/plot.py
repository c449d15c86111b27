"""Figures of profiles and fits, from plain arrays and dicts. matplotlib lives here, loaded when one is drawn.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody else: no pyplot, no global state, no
display. `save` writes it. Numbers marked unverified are hollow in every figure. Colours are those of Okabe and
Ito (2008), which remain distinct for colour-blind readers.

Shapes that the functions share:

course
    A simulated profile: an object or a dict with ``times`` (n_times,), ``outputs`` (n_subjects, n_times,
    n_outputs), ``names`` and ``units`` (n_outputs,), ``time_unit``; optional ``descriptions`` (n_outputs,), and
    for the doses ``schedule`` (with ``doses()``) or ``dose_times`` (n_doses,) in ``time_unit``. Where the paths
    were not kept, ``median``, ``low``, ``high``, each (n_times, n_outputs), stand for ``outputs``. The table of
    ``Profile.to_frame()`` serves too.
row
    A published number: a dict with ``study``, ``arm``, ``what``, ``unit``, ``observed``, ``predicted``,
    ``deviation`` ((predicted - observed) in standard errors of the observed), ``provenance``; optional ``n``,
    ``use`` (fit or check), ``observed_interval`` and ``predicted_interval`` ((low, high); an open end is None,
    as for "more than").
"""

from __future__ import annotations

import functools
import io
import math
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from pkpd.errors import InputError
from pkpd.files import check_target, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "dose_response_figure",
    "observed_predicted_figure",
    "parameter_figure",
    "profile_figure",
    "residual_figure",
    "save",
    "svg",
    "time_course_figure",
]

Floats = NDArray[np.float64]
Course = Any  # see the top of the module
Row = Mapping[str, Any]

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
GREY, PALE, INK = "#7F7F7F", "#E4E7EA", "#333333"
ENDINGS = (".png", ".svg", ".pdf")

_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: small, searchable, readable by screen readers
    "svg.hashsalt": "pkpd",
    "path.simplify": True,
}
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


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_DRAWING = threading.RLock()


def _styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Draw in our style and leave matplotlib's settings, which are the process's, as they were."""

    @functools.wraps(draw)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        import matplotlib

        with _DRAWING, matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


# --- in: courses ---


@dataclass(frozen=True)
class _Course:
    """What is drawn of a profile: times (n_times,), quantiles (n_times, n_outputs), dose times (n_doses,)."""

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


def _read_course(given: Course, band: tuple[float, float]) -> _Course:
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
    return _Course(
        times, median, low, high, names, units, descriptions, time_unit, doses[np.isfinite(doses)], has_band
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
    }


def _in_one_time_unit(courses: Mapping[str, _Course]) -> dict[str, _Course]:
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


def _chosen(course: _Course, outputs: Sequence[str] | None) -> list[str]:
    names = list(course.names if outputs is None else outputs)
    unknown = [name for name in names if name not in course.names]
    if unknown:
        raise InputError(f'no output "{unknown[0]}" in this profile; it has {", ".join(course.names)}')
    if not names:
        raise InputError("there is no output to draw")
    return names


# --- figures of profiles ---


@_styled
def profile_figure(
    profile: Course | Mapping[str, Course],
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
    given: Mapping[str, Course] = profile if several else {"": profile}
    if not given:
        raise InputError("there is no profile to draw")
    courses = _in_one_time_unit({label: _read_course(course, band) for label, course in given.items()})
    first = next(iter(courses.values()))
    names = _chosen(first, outputs)
    columns = columns or (1 if len(names) == 1 else 2 if len(names) <= 4 else 3)
    rows = math.ceil(len(names) / columns)
    if not title and not several:
        schedule = (
            profile.get("schedule") if isinstance(profile, Mapping) else getattr(profile, "schedule", None)
        )
        title = "" if schedule is None else str(schedule)
    figure, axes = _panels(rows, columns, (4.4, 2.5) if columns > 1 else (6.6, 3.6))
    for panel, name in enumerate(names):
        axis = axes[panel // columns][panel % columns]
        for i, course in enumerate(courses.values()):
            _draw_course(axis, course, name, _colour(i))
            _rug(axis, course.doses, _colour(i) if several else INK, i)
        _set_limits([axis], courses.values(), name, name in log, n_rugs=len(courses))
        k = first.names.index(name)
        axis.set_title(_wrapped(first.descriptions[k] or name, 48))
        axis.set_ylabel(_with_unit(name, first.units[k]))
        if panel + columns >= len(names):
            axis.set_xlabel(f"time ({first.time_unit})")
    for spare in range(len(names), rows * columns):
        axes[spare // columns][spare % columns].set_visible(False)
    _profile_legend(figure, courses, band, overlaid=several)
    _title(figure, title)
    return figure


@_styled
def time_course_figure(
    arms: Mapping[str, Course],
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
    figure, axes = _panels(len(names), len(courses), (max(2.1, 11 / max(len(courses), 4)), 2.0), sharey="row")
    for row, name in enumerate(names):
        k = first.names.index(name)
        reported: list[float] = []
        for column, (label, course) in enumerate(courses.items()):
            axis = axes[row][column]
            _draw_course(axis, course, name, _colour(column))
            _rug(axis, course.doses, INK, 0)
            factor = _DAYS_PER.get(read[label].time_unit, 1) / _DAYS_PER.get(course.time_unit, 1)
            for point in points:
                if (point["arm"], point["output"]) == (label, name):
                    interval = point.get("interval")
                    _point(axis, point["time"] * factor, point["value"], interval, _hollow(point), INK)
                    reported += [
                        value for value in (point["value"], *_ends(interval)) if math.isfinite(value)
                    ]
            if row == 0:
                axis.set_title(_wrapped(label, 26), fontweight="bold")
            if row == len(names) - 1:
                axis.set_xlabel(f"time ({course.time_unit})")
        axes[row][0].set_ylabel(_wrapped(_with_unit(first.descriptions[k] or name, first.units[k]), 26))
        _set_limits(axes[row], courses.values(), name, name in log, n_rugs=1, reported=reported)
    _profile_legend(figure, courses, band, overlaid=False, points=points)
    _title(figure, title)
    return figure


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _draw_course(axis: Axes, course: _Course, name: str, colour: str) -> None:
    k = course.names.index(_chosen(course, [name])[0])
    if course.has_band:
        axis.fill_between(
            course.times, course.low[:, k], course.high[:, k], color=colour, alpha=0.2, linewidth=0
        )
    axis.plot(course.times, course.median[:, k], color=colour)


def _set_limits(
    axes: Sequence[Axes],
    courses: Iterable[_Course],
    name: str,
    log: bool,
    n_rugs: int,
    reported: Iterable[float] = (),
) -> None:
    """One scale for the panels of an output, from zero unless that hides the course, with room for the rugs."""
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
    courses: Mapping[str, _Course],
    band: tuple[float, float],
    overlaid: bool,
    points: Sequence[Row] = (),
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colour = BLUE if len(courses) == 1 else GREY
    handles: list[Any] = []
    if overlaid:
        for i, label in enumerate(courses):
            handles.append(Line2D([], [], color=_colour(i), label=_clipped(label, 60)))
    else:
        handles.append(Line2D([], [], color=colour, label="median" if _many(courses) else "one subject"))
    if _many(courses):
        words = f"{100 * band[0]:g} % to {100 * band[1]:g} % of subjects"
        handles.append(Patch(color=colour, alpha=0.25, label=words))
    if any(course.doses.size for course in courses.values()):
        handles.append(Line2D([], [], color=INK, marker="|", linestyle="none", markersize=7, label="dose"))
    _legend(figure, handles + _point_handles(points))


def _many(courses: Mapping[str, _Course]) -> bool:
    return any(course.has_band for course in courses.values())


# --- figures of fits ---


@_styled
def dose_response_figure(panels: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """Response against dose: curves with bands, arms as points whose area goes with the number of subjects.

    Args:
        panels: dicts with ``title``, ``dose_unit``, ``unit``, ``curves`` and ``points``; optional ``output`` and
            ``dose_name`` (names on the axes) and ``log`` (whether the dose axis is logarithmic). A curve is a dict
            with ``dose``, ``median``, and optionally ``low``, ``high`` (n_doses,), ``label``; a point one with
            ``dose``, ``value``, and optionally ``interval``, ``dose_interval`` (low, high; an open end of the
            former is drawn as an arrow), ``n``, ``study``, ``provenance``. Points of one dose are set side by side.
        title: a line above the panels.
    """
    if not panels:
        raise InputError("there is no dose-response to draw")
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure, axes = _panels(rows, columns, (4.2, 3.2) if columns > 1 else (6.4, 3.8))
    every_point = [point for panel in panels for point in panel.get("points", ())]
    studies = [list(dict.fromkeys(_study(point) for point in panel.get("points", ()))) for panel in panels]
    mixed = any(
        len(names) > 1 for names in studies
    )  # otherwise the titles tell the studies apart, and colour need not
    names = dict.fromkeys(name for group in studies for name in group)
    colours = {name: _colour(i) if mixed else BLUE for i, name in enumerate(names)}
    for i, panel in enumerate(panels):
        axis = axes[i // columns][i % columns]
        _draw_dose_response(axis, panel, colours)
        axis.set_title(_wrapped(panel.get("title", ""), 48))
        axis.set_xlabel(_with_unit(panel.get("dose_name", "dose"), panel["dose_unit"]))
        axis.set_ylabel(_wrapped(_with_unit(panel.get("output", "response"), panel["unit"]), 40))
    for spare in range(len(panels), rows * columns):
        axes[spare // columns][spare % columns].set_visible(False)
    _dose_response_legend(figure, panels, every_point, colours if mixed else {})
    _title(figure, title)
    return figure


_DASHES: Any = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))


def _draw_dose_response(axis: Axes, panel: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    points = list(panel.get("points", ()))
    curves = [(np.asarray(curve["dose"], dtype=float), curve) for curve in panel.get("curves", ())]
    for j, (dose, curve) in enumerate(curves):
        if curve.get("low") is not None and curve.get("high") is not None:
            low, high = (np.asarray(curve[key], dtype=float) for key in ("low", "high"))
            axis.fill_between(dose, low, high, color=INK, alpha=0.12, linewidth=0)
        axis.plot(
            dose, np.asarray(curve["median"], dtype=float), color=INK, linestyle=_DASHES[j % len(_DASHES)]
        )
    given = [float(point["dose"]) for point in points]
    ends = [end for point in points for end in _ends(point.get("dose_interval")) if math.isfinite(end)]
    doses = np.array([*given, *ends, *(d for dose, _ in curves for d in dose)])
    log = bool(panel.get("log")) and doses.size > 0 and doses.min() > 0
    on_axis, back = (np.log, np.exp) if log else (np.positive, np.positive)
    width = float(np.ptp(on_axis(doses))) if doses.size else 0.0
    for point, place in zip(points, _side_by_side(on_axis(np.array(given)).tolist(), 0.022 * width)):
        x, colour, area = float(back(place)), colours[_study(point)], _area(point.get("n"))
        left, right = _ends(point.get("dose_interval"))
        if math.isfinite(right - left):
            axis.hlines([point["value"]], left, right, color=colour, linewidth=1.2, zorder=3)
        _point(axis, x, point["value"], point.get("interval"), _hollow(point), colour, area)
    if log:
        axis.set_xscale("log")
    if width:
        axis.set_xlim(
            *back(np.array([on_axis(doses).min() - 0.05 * width, on_axis(doses).max() + 0.05 * width]))
        )


def _study(point: Mapping[str, Any]) -> str:
    return str(point.get("study") or "reported")


def _side_by_side(places: Sequence[float], step: float) -> list[float]:
    """Places for points, those of one place a step apart around it."""
    return [
        place + step * (places[:i].count(place) - (places.count(place) - 1) / 2)
        for i, place in enumerate(places)
    ]


def _dose_response_legend(
    figure: Figure, panels: Sequence[Mapping[str, Any]], points: Sequence[Row], colours: Mapping[str, str]
) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = []
    labels: dict[str, int] = {}
    for panel in panels:
        for j, curve in enumerate(panel.get("curves", ())):
            labels.setdefault(curve.get("label", "model"), j)
    for label, j in labels.items():
        handles.append(Line2D([], [], color=INK, linestyle=_DASHES[j % len(_DASHES)], label=label))
    for study, colour in colours.items():
        handles.append(_marker_handle(False, study, colour))
    sizes = [point["n"] for point in points if point.get("n")]
    for n in sorted({min(sizes), max(sizes)}) if sizes else ():
        handle = _marker_handle(False, f"n = {n:g}", GREY)
        handle.set_markersize(math.sqrt(_area(n)))
        handles.append(handle)
    if any(_hollow(point) for point in points):
        handles.append(_marker_handle(True, "unverified"))
    if handles:
        _legend(figure, handles)


@_styled
def observed_predicted_figure(rows: Sequence[Row], *, title: str = "", limit: float = 6.0) -> Figure:
    """Every reported number beside its prediction, by study, in standard errors of the reported number.

    The reported number stands at zero with its 95 % interval, the prediction at its deviation; what lies beyond
    ``limit`` is a triangle at the edge. The numbers themselves stand at the right. Rows kept out of the fit (use
    "check") are diamonds.

    Args:
        rows: see the top of the module; rows without a finite deviation are shown without markers.
    """
    if not rows:
        raise InputError("there is no row to draw")
    studies = list(dict.fromkeys(row["study"] for row in rows))
    lines: list[tuple[str, Row | None]] = []
    for study in studies:
        lines += [(study, None), *((study, row) for row in rows if row["study"] == study)]
    figure = _figure(9.6, 1.1 + 0.235 * len(lines))
    axis = figure.subplots()
    axis.axvspan(-1.96, 1.96, color=PALE, linewidth=0, zorder=0)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    labels = []
    for i, (study, row) in enumerate(lines):
        y = -i
        if row is None:
            labels.append(study)
            continue
        n = f", n = {row['n']:g}" if row.get("n") else ""
        labels.append(_clipped(f"{row['arm']}: {row['what']}{n}", 62))
        if i % 2:
            axis.axhline(y, color=PALE, linewidth=0.6, zorder=0)
        _forest_row(axis, y, row, limit)
        _beside(axis, y, _number(row["observed"]), 50, "right")
        _beside(axis, y, _number(row["predicted"]), 102, "right")
        _beside(axis, y, _shown_unit(str(row["unit"])), 108)
    _beside(axis, 0, "reported", 50, "right", bold=True)
    _beside(axis, 0, "predicted", 102, "right", bold=True)
    axis.set_yticks([-i for i in range(len(lines))], labels)
    for label, (_, row) in zip(axis.get_yticklabels(), lines):
        label.set_fontsize(8)
        if row is None:
            label.set_fontweight("bold")
    axis.set_ylim(-len(lines) + 0.3, 0.7)
    axis.set_xlim(-limit * 1.06, limit * 1.06)
    axis.set_xlabel("deviation from the reported number (standard errors)")
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], color=INK, marker="|", markersize=8, linewidth=1.2, label="reported, 95 % interval"),
        Line2D([], [], color=BLUE, marker="o", markersize=5, linewidth=1.2, label="predicted"),
    ]
    if any(row.get("use") == "check" for row in rows):
        handles.append(
            Line2D(
                [],
                [],
                color=VERMILION,
                marker="D",
                markersize=5,
                linewidth=1.2,
                label="predicted, kept out of the fit",
            )
        )
    if any(_hollow(row) for row in rows):
        handles.append(_marker_handle(True, "unverified"))
    _legend(figure, handles)
    _title(figure, title)
    return figure


def _forest_row(axis: Axes, y: float, row: Row, limit: float) -> None:
    error = _standard_error(row)
    if error is None:
        return
    observed, deviation = float(row["observed"]), float(row["deviation"])
    low, high = _ends(row.get("observed_interval"))
    ends = [
        (limit * 1.06 if end > 0 else -limit * 1.06) if math.isinf(end) else (end - observed) / error
        for end in (low, high)
    ]
    if (low, high) == (-math.inf, math.inf):
        ends = [-1.96, 1.96]
    axis.plot(
        np.clip(ends, -limit * 1.06, limit * 1.06),
        [y + 0.14] * 2,
        color=INK,
        linewidth=1.2,
        zorder=2,
        solid_capstyle="butt",
    )
    axis.plot([0], [y + 0.14], color=INK, marker="|", markersize=7, zorder=3)
    colour = VERMILION if row.get("use") == "check" else BLUE
    low, high = _ends(row.get("predicted_interval"))
    if math.isfinite(low) and math.isfinite(high):
        span = np.clip([(low - observed) / error, (high - observed) / error], -limit * 1.06, limit * 1.06)
        axis.plot(span, [y - 0.17] * 2, color=colour, linewidth=1.2, zorder=4, solid_capstyle="butt")
    marker = "D" if row.get("use") == "check" else "o"
    if abs(deviation) > limit:
        marker = ">" if deviation > 0 else "<"
    axis.scatter(
        [float(np.clip(deviation, -limit, limit))],
        [y - 0.17],
        s=26,
        marker=marker,
        facecolor="white" if _hollow(row) else colour,
        edgecolor=colour,
        linewidth=1.2,
        zorder=5,
        gid="predicted",
    )


def _standard_error(row: Row) -> float | None:
    """The standard error in which the row's deviation is counted, as it follows from its own numbers."""
    if not all(_is_number(row.get(key)) for key in ("observed", "predicted", "deviation")):
        return None
    difference, deviation = float(row["predicted"]) - float(row["observed"]), float(row["deviation"])
    if abs(deviation) > 1e-6 and difference / deviation > 0:
        return difference / deviation
    low, high = _ends(row.get("observed_interval"))
    return (high - low) / 3.92 if math.isfinite(high - low) and high > low else None


@_styled
def residual_figure(rows: Sequence[Row], *, title: str = "", limit: float = 6.0) -> Figure:
    """Standardised residuals by study, with lines at -2 and 2; beyond ``limit`` at the edge as a triangle.

    Args:
        rows: see the top of the module; rows without a finite deviation are left out.
    """
    shown = [row for row in rows if _is_number(row.get("deviation"))]
    if not shown:
        raise InputError("there is no residual to draw")
    studies = list(dict.fromkeys(row["study"] for row in shown))
    figure = _figure(7.4, 1.3 + 0.3 * len(studies))
    axis = figure.subplots()
    axis.axvline(0, color=GREY, linewidth=0.8)
    for edge in (-2, 2):
        axis.axvline(edge, color=VERMILION, linewidth=1, linestyle=(0, (4, 3)), gid="limit")
    for i, study in enumerate(studies):
        members = [row for row in shown if row["study"] == study]
        spread = np.linspace(-0.26, 0.26, len(members)) if len(members) > 1 else [0.0]
        for row, offset in zip(members, spread):
            deviation = float(row["deviation"])
            marker = "D" if row.get("use") == "check" else "o"
            if abs(deviation) > limit:
                marker = ">" if deviation > 0 else "<"
            colour = VERMILION if row.get("use") == "check" else BLUE
            axis.scatter(
                [float(np.clip(deviation, -limit, limit))],
                [-i - offset],
                s=28,
                marker=marker,
                facecolor="white" if _hollow(row) else colour,
                edgecolor=colour,
                linewidth=1.2,
                zorder=4,
                gid="residual",
            )
    axis.set_yticks([-i for i in range(len(studies))], [_clipped(study, 44) for study in studies])
    axis.set_ylim(-len(studies) + 0.4, 0.6)
    axis.set_xlim(-limit * 1.06, limit * 1.06)
    axis.set_xlabel("standardised residual, predicted − reported (standard errors)")
    axis.tick_params(axis="y", length=0)
    handles = [_marker_handle(False, "fitted")]
    if any(row.get("use") == "check" for row in shown):
        handles.append(_marker_handle(False, "kept out of the fit", VERMILION, "D"))
    if any(_hollow(row) for row in shown):
        handles.append(_marker_handle(True, "unverified"))
    _legend(figure, handles)
    _title(figure, title)
    return figure


@_styled
def parameter_figure(
    parameters: Sequence[Mapping[str, Any]], *, title: str = "", limit: float = 4.0
) -> Figure:
    """What the data added: each estimate with its 95 % interval, in standard deviations of its prior.

    An interval as wide as the grey band has learned nothing; one that leaves the band contradicts its prior.

    Args:
        parameters: dicts with ``name``, ``unit``, ``estimate``, ``interval`` (low, high), ``prior_interval``
            (95 %: low, high; None without a prior), optional ``scale`` ("log", the default where all numbers are
            positive, "logit" or "linear"), ``group``, ``provenance``.
    """
    if not parameters:
        raise InputError("there is no parameter to draw")
    groups = list(dict.fromkeys(parameter.get("group", "") for parameter in parameters))
    lines: list[tuple[str, Mapping[str, Any] | None]] = []
    for group in groups:
        if group:
            lines.append((group, None))
        lines += [(str(p["name"]), p) for p in parameters if p.get("group", "") == group]
    figure = _figure(7.8, 1.2 + 0.25 * len(lines))
    axis = figure.subplots()
    axis.axvspan(-1.96, 1.96, color=PALE, linewidth=0, zorder=0)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    labels = []
    for i, (label, parameter) in enumerate(lines):
        if parameter is None:
            labels.append(label)
            continue
        labels.append(_with_unit(label, str(parameter.get("unit") or "")))
        low, high = _ends(parameter.get("interval"))
        text = _number(parameter["estimate"])
        if math.isfinite(low) and math.isfinite(high):
            text += f"  ({_number(low)} to {_number(high)})"
        _beside(axis, -i, text, 8)
        _parameter_row(axis, -i, parameter, limit)
    _beside(axis, 0 if groups[0] else 1, "estimate (95 %)", 8, bold=True)
    axis.set_yticks([-i for i in range(len(lines))], labels)
    for tick, (_, parameter) in zip(axis.get_yticklabels(), lines):
        tick.set_fontsize(8)
        if parameter is None:
            tick.set_fontweight("bold")
    axis.set_ylim(-len(lines) + 0.3, 0.7)
    axis.set_xlim(-limit * 1.06, limit * 1.06)
    axis.set_xlabel("distance from the middle of the prior (its standard deviations)")
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(color=PALE, label="prior, 95 %"),
        Line2D([], [], color=BLUE, marker="o", markersize=5, linewidth=1.4, label="estimate, 95 % interval"),
    ]
    if any(_hollow(parameter) for parameter in parameters):
        handles.append(_marker_handle(True, "prior from an unverified number"))
    _legend(figure, handles)
    _title(figure, title)
    return figure


def _parameter_row(axis: Axes, y: float, parameter: Mapping[str, Any], limit: float) -> None:
    low, high = _ends(parameter.get("prior_interval"))
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        axis.text(0, y, "no prior", ha="center", va="center", fontsize=7.5, color=GREY, style="italic")
        return
    if not _is_number(parameter.get("estimate")):
        return
    estimate = float(parameter["estimate"])
    ends = [end for end in _ends(parameter.get("interval")) if math.isfinite(end)]
    scale = parameter.get("scale") or ("log" if min(low, estimate, *ends) > 0 else "linear")
    bottom, top = _on_scale(low, scale), _on_scale(high, scale)
    middle, deviation = (bottom + top) / 2, (top - bottom) / 3.92
    places = [(_on_scale(value, scale) - middle) / deviation for value in (estimate, *ends)]
    if len(ends) == 2:
        span = np.clip(places[1:], -limit * 1.06, limit * 1.06)
        axis.plot(span, [y, y], color=BLUE, linewidth=1.6, zorder=3, solid_capstyle="butt")
    marker = "o" if abs(places[0]) <= limit else ">" if places[0] > 0 else "<"
    axis.scatter(
        [float(np.clip(places[0], -limit, limit))],
        [y],
        s=28,
        marker=marker,
        facecolor="white" if _hollow(parameter) else BLUE,
        edgecolor=BLUE,
        linewidth=1.2,
        zorder=4,
        gid="estimate",
    )


def _on_scale(value: float, scale: str) -> float:
    if scale == "linear":
        return value
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "log":
            return float(np.log(value))
        if scale == "logit":
            return float(np.log(value) - np.log1p(-value))
    raise InputError(f'the scale of a parameter is log, logit or linear, not "{scale}"')


# --- out ---


def save(figure: Figure, path: str | Path, *, dpi: int = 160) -> Path:
    """Write the figure as .png, .svg or .pdf; an older file is replaced by the whole new one, or stays as it was.

    The same figure gives the same bytes: no date, no random names.

    Raises:
        InputError: another ending, or a place that cannot be written to.
    """
    path = check_target(path, ENDINGS)
    with replacing(path) as temporary:
        temporary.write_bytes(_rendered(figure, path.suffix.lower()[1:], dpi))
    return path


def svg(figure: Figure) -> bytes:
    """The figure as an SVG document, as `save` writes it."""
    return _rendered(figure, "svg", 72)


@_styled
def _rendered(figure: Figure, kind: str, dpi: int) -> bytes:
    # PNG and SVG carry "Date", PDF "CreationDate"; None leaves it out.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


# --- helpers ---


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _panels(
    rows: int, columns: int, size: tuple[float, float], sharex: bool = False, sharey: Any = False
) -> tuple[Figure, list[list[Axes]]]:
    figure = _figure(size[0] * columns, size[1] * rows + 0.7)
    axes = figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False)
    return figure, [list(row) for row in axes]


def _title(figure: Figure, title: str) -> None:
    if title:
        length = int(12 * figure.get_figwidth())
        figure.suptitle(_clipped(title, length), x=0.01, ha="left", fontsize=10.5, fontweight="bold")


def _legend(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend below the panels, in as many columns as the figure is wide."""
    widths = [0.75 + 0.072 * len(str(handle.get_label())) for handle in handles]
    for columns in range(len(handles), 0, -1):
        # matplotlib fills column after column, the first ones with one more where it does not come out even
        rows, larger = divmod(len(handles), columns)
        lengths = [rows + (column < larger) for column in range(columns)]
        starts = [sum(lengths[:column]) for column in range(columns)]
        width = sum(max(widths[start : start + length]) for start, length in zip(starts, lengths))
        if width < figure.get_figwidth() or columns == 1:
            figure.legend(handles=list(handles), loc="outside lower left", ncols=columns)
            return


def _beside(axis: Axes, y: float, text: str, points: float, align: str = "left", bold: bool = False) -> None:
    """Text to the right of the panel, ``points`` from its edge (a fixed distance, so that the layout makes room for it)."""
    axis.annotate(
        text,
        (1, y),
        (points, 0),
        xycoords=axis.get_yaxis_transform(),
        textcoords="offset points",
        ha=align,
        va="center",
        fontsize=7.8,
        fontweight="bold" if bold else "normal",
        annotation_clip=False,
    )


def _point(
    axis: Axes, x: float, y: float, interval: Any, hollow: bool, colour: str, area: float = 30.0
) -> None:
    """A reported number with its interval; a bound ("more than") is an arrow towards what it leaves open."""
    low, high = _ends(interval)
    if math.isfinite(low) and math.isfinite(high):
        axis.vlines([x], low, high, color=colour, linewidth=1.2, zorder=3)
    elif math.isfinite(low) or math.isfinite(high):
        up = 1 if math.isfinite(low) else -1
        arrow = {"arrowstyle": "<|-", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
        reach = math.sqrt(area) / 2 + 16
        axis.annotate("", (x, y), (0, up * reach), textcoords="offset points", arrowprops=arrow)
    face = "white" if hollow else colour
    axis.scatter([x], [y], s=area, facecolor=face, edgecolor=colour, linewidth=1.3, zorder=4, gid="point")


def _marker_handle(hollow: bool, label: str, colour: str = BLUE, marker: str = "o") -> Any:
    from matplotlib.lines import Line2D

    face = "white" if hollow else colour
    edge = GREY if hollow else colour
    return Line2D(
        [],
        [],
        marker=marker,
        linestyle="none",
        markersize=6,
        markerfacecolor=face,
        markeredgecolor=edge,
        label=label,
    )


def _point_handles(points: Sequence[Row]) -> list[Any]:
    handles = []
    if any(not _hollow(point) for point in points):
        handles.append(_marker_handle(False, "reported", INK))
    if any(_hollow(point) for point in points):
        handles.append(_marker_handle(True, "reported, unverified"))
    return handles


def _hollow(item: Mapping[str, Any]) -> bool:
    return item.get("provenance") == "unverified"


def _area(n: float | None) -> float:
    """Area of a marker for n subjects, in square points."""
    return 30.0 if not n else float(np.clip(3.0 * n, 14, 400))


def _ends(interval: Any) -> tuple[float, float]:
    """(low, high) with open ends infinite."""
    low, high = interval or (math.nan, math.nan)
    return (float(low) if _is_number(low) else -math.inf, float(high) if _is_number(high) else math.inf)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value)


def _number(value: Any) -> str:
    if not _is_number(value):
        return "–"
    return f"{float(value):.3g}".replace("e+0", "e").replace("e-0", "e-").replace("-", "−")


def _with_unit(name: str, unit: str) -> str:
    shown = _shown_unit(unit)
    return f"{name} ({shown})" if shown else name


def _shown_unit(unit: str) -> str:
    """uL -> µL, m^2 -> m², percent -> %; nothing for a plain number."""
    if unit in ("", "1", "dimensionless"):
        return ""
    unit = re.sub(r"\bu(?=(L|l|g|m|mol|M|s)\b)", "µ", re.sub(r"\bpercent\b", "%", unit))
    return re.sub(r"m\^?2\b", "m²", unit).replace("^3", "³")


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width)[:3])
