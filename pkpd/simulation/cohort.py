"""Subjects of a data file simulated: each with its own doses, covariates over time and output times.

    profile = simulate_records("il2_treg", "trial.csv", interpolation="locf")
    profile.to_frame()          # id, time, and a column per output

Subjects are the typical one with their own covariates, so that outputs are PRED (every ETA is 0); nothing is
drawn at random.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core import html
from pkpd.core.arguments import ABSENT, CALLABLE, NUMBER, NUMBERS, PATH, TEXT, named, of, takes
from pkpd.core.errors import InputError, SolverError
from pkpd.core.progress import Progress
from pkpd.dosing.events import LAST
from pkpd.dosing.intake import Intake, SubjectCourse, Taken
from pkpd.dosing.records import Records, read_records
from pkpd.ode.layout import LINEAR
from pkpd.ode.status import SUCCESS
from pkpd.simulation.profile import ADVICE, largest_of, lowest, typical_values
from pkpd.solver import Options, Solution, Timeline, solve
from pkpd.solver.executors import EXECUTOR, Executor
from pkpd.solver.kernel import Kernel, cautions_of, load
from pkpd.solver.options import SIMULATION

if TYPE_CHECKING:
    import pandas as pd

    from pkpd.model.check import Model

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CohortProfile:
    """What the subjects of a file look like over time.

    ids : as written in the file; times : of each subject (n_times,), in ``time_unit``; outputs : of each
        subject (n_times, n_outputs), PRED, nan for one that
    failed; status : (n_subjects,), 0 is success; failures : a sentence for each that failed; courses : what
    each was given; unused : columns of the file that the model does not know; statistics : what the
    integrator did, over all subjects; largest : (n_subjects, n_outputs), of the whole course from the start
    to the last time, nan where it is not known (a failed subject, an output that is no number, the method
    "linear"); cautions : what the model says that a reader of its results must know.
    """

    model: str
    file: str
    ids: tuple[str, ...]
    times: tuple[Floats, ...]
    time_unit: str
    outputs: tuple[Floats, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    status: NDArray[np.int64]
    failures: tuple[str, ...]
    courses: tuple[SubjectCourse, ...]
    unused: tuple[str, ...]
    statistics: dict[str, int]
    largest: Floats
    cautions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        failed = f" ({len(self.failures)} failed)" if self.failures else ""
        return (
            f"<CohortProfile of {self.model}, {self.file}: {len(self.ids):,} subjects{failed}, "
            f"{sum(map(len, self.times)):,} times in {self.time_unit}; "
            f"{', '.join(self.names[:6])}{f' and {len(self.names) - 6} more' if len(self.names) > 6 else ''}>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (name, shown["unit"], *(shown["maximum"][what] for what in ("median", "least", "most")))
            for name, shown in self.summary()["outputs"].items()
        ]
        columns = ("output", "unit", "median of largest", "least", "most")
        note = ("Over subjects; to_frame() has all values.", *self.cautions, ADVICE)
        return html.table(repr(self)[1:-1], columns, rows, " ".join(note))

    def summary(self) -> dict[str, Any]:
        """How many subjects, events and output times; and of every output the median, least and most of the
        subjects' largest values."""
        outputs: dict[str, Any] = {}
        for i, name in enumerate(self.names):
            columns = [values[:, i] for values in self.outputs]
            seen = [np.max(column, initial=-np.inf, where=np.isfinite(column)) for column in columns]
            largest = np.where(np.isfinite(self.largest[:, i]), self.largest[:, i], seen)
            known = largest[np.isfinite(largest)]
            numbers = [math.nan] * 3
            if known.size:
                numbers = [float(np.median(known)), float(known.min()), float(known.max())]
            outputs[name] = {
                "unit": self.units[i],
                "maximum": dict(zip(("median", "least", "most"), numbers, strict=True)),
            }
            solved = [column for column, failed in zip(columns, self.status, strict=True) if not failed]
            wrong = [(~np.isfinite(column)).sum() for column in solved]
            if any(wrong):
                first = next(
                    k
                    for k, column in enumerate(columns)
                    if not self.status[k] and not np.isfinite(column).all()
                )
                outputs[name]["not_finite"] = {
                    "nan": int(sum(np.isnan(column).sum() for column in solved)),
                    "infinite": int(sum(np.isinf(column).sum() for column in solved)),
                    "of": sum(column.size for column in solved),
                    "first": float(self.times[first][(~np.isfinite(columns[first])).argmax()]),
                }
        return {
            "model": self.model,
            "file": self.file,
            "time_unit": self.time_unit,
            "subjects": len(self.ids),
            "events": sum(len(course.events) for course in self.courses),
            "times": sum(len(times) for times in self.times),
            "outputs": outputs,
            "unused_columns": list(self.unused),
            "failed_subjects": len(self.failures),
            "statistics": self.statistics,
            "cautions": list(self.cautions),
        }

    def to_frame(self) -> pd.DataFrame:
        """A tidy table: a row per subject and time in the order of the file, a column per output."""
        import pandas as pd

        columns: dict[str, Any] = {
            "id": np.repeat(np.array(self.ids, dtype=object), [len(times) for times in self.times]),
            "time": np.concatenate(self.times),
        }
        values = np.concatenate(self.outputs)
        for i, name in enumerate(self.names):
            columns[name] = values[:, i]
        frame = pd.DataFrame(columns)
        frame.attrs = {
            "model": self.model,
            "time_unit": self.time_unit,
            "units": dict(zip(self.names, self.units, strict=True)),
            "cautions": list(self.cautions),
        }
        return frame


def intake(kernel: Kernel) -> Intake:
    """What a model takes in, for reading records."""
    return Intake(
        time_unit=kernel.TIME_UNIT,
        states=list(kernel.named_states),
        routes=kernel.ROUTES,
        route_targets=[int(target) for target in kernel.ROUTE_TARGETS],
        route_speeds=kernel.ROUTE_SPEEDS,
        dose_units=kernel.DOSE_UNITS,
        sizes=kernel.SIZES,
        parameters=kernel.PARAMETERS,
        lower=[lowest(kernel, index) for index in range(len(kernel.PARAMETERS))],
        upper=[float(bound) for bound in kernel.UPPER],
    )


def take_records(
    model: str | os.PathLike[str] | Model | Kernel,
    records: str | Path | Records,
    *,
    interpolation: str | None = None,
    time_unit: str | None = None,
) -> Taken:
    """The records of a file (or its path) read for a model; see `pkpd.dosing.intake.Intake.take`."""
    kernel = model if isinstance(model, Kernel) else load(model)
    read = records if isinstance(records, Records) else read_records(records)
    return intake(kernel).take(read, interpolation=interpolation, time_unit=time_unit)


@takes(
    model=PATH | named("pkpd.model", "Model", "a model") | of(Kernel, words="a kernel"),
    records=PATH | of(Records, words="records that were read"),
    times=NUMBERS | ABSENT,
    interpolation=TEXT | ABSENT,
    time_unit=TEXT | ABSENT,
    rtol=NUMBER,
    atol=NUMBERS | ABSENT,
    method=TEXT,
    threads=EXECUTOR,
    progress=CALLABLE | ABSENT,
)
def simulate_records(
    model: str | os.PathLike[str] | Model | Kernel,
    records: str | Path | Records,
    times: ArrayLike | None = None,
    *,
    interpolation: str | None = None,
    time_unit: str | None = None,
    parameters: Mapping[str, float | str] | None = None,
    rtol: float = SIMULATION,
    atol: ArrayLike | None = None,
    method: str = "auto",
    h_max: float = np.inf,
    start: float | None = None,
    threads: int | Executor | None = None,
    progress: Progress | None = None,
) -> CohortProfile:
    """Simulate every subject of a data file of doses and observations.

    Outputs are PRED, the prediction for a typical subject (every ETA is 0) with that subject's covariates and
    doses. A column of the file that has the name of a parameter is each subject's own value: with its own
    parameters there a subject's outputs are its IPRED.

    Parameters
    ----------
    model : name in the library, path of a model file, one that was read, or a loaded kernel.
    records : path of a CSV file as `pkpd.dosing.records` describes, or what it has read.
    times : (n_times,), output times for all subjects in the model's time unit; by default each has those of
        its observations (EVID 0), one that is listed before a dose of the same instant is taken before it.
        What a subject was before its start is not known.
    interpolation : how covariates of the model run between two lines: "locf", "nocb" or "linear"; needed
        where one varies within a subject.
    time_unit : of the file; the model's own by default.
    parameters : values that replace those of the model file, by name: numbers in the model's units, or texts
        such as "80 mL/min".
    rtol, atol, method : as in ``pkpd.Options``.
    h_max : no step is longer, in the model's time unit.
    start : the time at which the model's initial values hold, in its time unit, for all subjects; by default
        each begins at its first line, as in NONMEM.
    threads : how many work at a time, by default as many as this process may use cores; or an executor, as in
        ``pkpd.Options``.
    progress : called with (what, share, remark) now and then.

    Returns
    -------
    CohortProfile : ``ids``, and of each subject ``times``, (n_times,) in ``time_unit``, and ``outputs``,
        (n_times, n_outputs) in ``units``, nan for one that failed; ``to_frame()`` is a table of all.

    Raises
    ------
    DataError : every wrong line of the file.
    InputError : what is missing or does not fit the model.
    SolverError : no subject could be integrated.

    Examples
    --------
    >>> import pathlib, pkpd
    >>> lines = ["ID,TIME,AMT,DV", "1,0,100,.", "1,2,.,2.6", "2,0,50,.", "2,4,.,1.1"]
    >>> _ = pathlib.Path("trial.csv").write_text("\\n".join(lines))
    >>> pkpd.simulate_records("one_compartment_iv", "trial.csv").to_frame().round(3)
      id  time      C  central
    0  1   2.0  2.623   83.946
    1  2   4.0  1.101   35.234
    """
    kernel = model if isinstance(model, Kernel) else load(model)
    read = records if isinstance(records, Records) else read_records(records)
    taken = take_records(kernel, read, interpolation=interpolation, time_unit=time_unit)
    typical = typical_values(kernel, parameters)
    asked = None if times is None else np.atleast_1d(np.asarray(times, dtype=np.float64))
    _check(kernel, read, taken, asked, start, parameters or {})

    running = sorted({name for course in taken.courses for name in course.knots})
    if running:
        kernel = load(kernel.model, linear=running)
        typical = typical_values(kernel, parameters)
    given: dict[tuple[bytes, ...], Timeline] = {}  # what is the same for several is looked up once
    timelines = [
        given.setdefault(_key(course, asked, start), _timeline(course, asked, start))
        for course in taken.courses
    ]
    solution = solve(
        kernel,
        _own_values(kernel, typical, taken.courses),
        timelines,
        options=Options(rtol=rtol, atol=atol, method=method, h_max=h_max, threads=threads),
        readings=largest_of(kernel) if method != LINEAR else (),
        progress=progress,
    )
    largest = np.full((len(timelines), kernel.n_outputs), np.nan)
    if solution.readings is not None:
        largest = solution.readings.values
    failures = _failures(solution, taken.courses)
    if len(failures) == len(timelines):
        raise SolverError(f"{failures[0]} ({len(failures)} of {len(failures)} subjects failed)")
    times_of = [course.observations.time if asked is None else asked for course in taken.courses]
    return CohortProfile(
        model=kernel.NAME,
        file=read.file,
        ids=tuple(course.id for course in taken.courses),
        times=tuple(times_of),
        time_unit=kernel.TIME_UNIT,
        outputs=tuple(solution.outputs[i, : len(times)] for i, times in enumerate(times_of)),
        names=tuple(kernel.OUTPUTS),
        units=tuple(kernel.OUTPUT_UNITS),
        status=solution.status,
        failures=failures,
        courses=taken.courses,
        unused=taken.unused,
        statistics={what: n for what, n in solution.statistics.items() if isinstance(n, int)},
        largest=largest,
        cautions=cautions_of(kernel),
    )


def _own_values(kernel: Kernel, typical: Floats, courses: Sequence[SubjectCourse]) -> Floats:
    """(n_subjects, n_params), each subject's own values in place of the typical ones."""
    values = np.tile(typical, (len(courses), 1))
    for row, course in zip(values, courses, strict=True):
        for name, value in course.baseline.items():
            row[kernel.PARAMETERS.index(name)] = value
    return values


def _failures(solution: Solution, courses: Sequence[SubjectCourse]) -> tuple[str, ...]:
    """A sentence for each subject that failed."""
    return tuple(
        f'subject "{course.id}" {solution.failure(i).split(" ", 2)[2]}'
        for i, course in enumerate(courses)
        if solution.status[i] != SUCCESS
    )


def _check(
    kernel: Kernel,
    records: Records,
    taken: Taken,
    times: Floats | None,
    start: float | None,
    parameters: Mapping[str, float | str],
) -> None:
    for name in parameters:
        if name in taken.courses[0].baseline:
            raise InputError(
                f"{name} stands in {records.file} and among the parameters: leave one of them out"
            )
    if times is not None and times.ndim != 1:
        raise InputError(f"output times are one list for all subjects, not an array of shape {times.shape}")
    if start is not None and not np.isfinite(start):
        raise InputError(f"the start must be a finite number, not {start!r}")
    for course in taken.courses:
        who = f'{records.file}:{course.line}: subject "{course.id}"'
        if start is not None and course.start < start:
            raise InputError(
                f"{who} has its first line at {course.start:g} {kernel.TIME_UNIT}, before the start "
                f"at {start:g}"
            )
        if times is None and not len(course.observations.time):
            raise InputError(
                f"{who} has no observation (EVID 0): give output times (--until, --every or --times)"
            )
        begin = course.start if start is None else start
        if times is not None and times.size and times.min() < begin:
            raise InputError(
                f"{who} begins at {begin:g} {kernel.TIME_UNIT}, and an output at {times.min():g} is "
                "asked for: leave out earlier times, "
                "or say when all subjects begin with their initial values (--start, in Python start=)"
            )


def _timeline(course: SubjectCourse, asked: Floats | None, start: float | None) -> Timeline:
    return Timeline(
        course.events,
        course.observations.time if asked is None else asked,
        _places(course, asked),
        course.changes,
        course.knots,
        course.start if start is None else start,
    )


def _places(course: SubjectCourse, asked: Floats | None) -> NDArray[np.int64] | None:
    """Of the outputs; None where each comes after everything of its instant."""
    if asked is None:
        places = course.observations.place
    else:
        places = course.order.places_at(asked.tolist(), course.changes)
    return None if (places == LAST).all() else places


def _key(course: SubjectCourse, asked: Floats | None, start: float | None) -> tuple[bytes, ...]:
    """What subjects share who have the same timeline."""
    events, places = course.events, _places(course, asked)
    columns: Sequence[Any] = (
        events.time,
        events.amount,
        events.route,
        events.duration,
        events.size,
        events.rate,
        events.kind,
        events.interval,
        course.observations.time if asked is None else asked,
        np.empty(0) if places is None else places,
        course.start if start is None else start,
    )
    return (
        *(np.asarray(column).tobytes() for column in columns),
        repr(course.changes).encode(),
        repr(sorted(course.knots.items())).encode(),
    )
