"""Model + schedule + times -> profile: the interface for people, with names, units, virtual subjects and a
tidy table; ``pkpd.solve`` is that for arrays."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pkpd.core import html
from pkpd.core.arguments import ABSENT, CALLABLE, NUMBER, NUMBERS, PATH, TEXT, named, of, takes
from pkpd.core.errors import InputError
from pkpd.core.extras import optional
from pkpd.core.progress import Progress
from pkpd.dosing import EventTable, Schedule, time_units_per_day
from pkpd.dosing.quantities import exact_number
from pkpd.dosing.rules import planned
from pkpd.dosing.taking import GivenDoses, TakenSchedule, read_given, read_jitter, with_taking
from pkpd.model.correlation import correlation_matrix
from pkpd.ode.layout import LINEAR
from pkpd.ode.status import SUCCESS
from pkpd.simulation.body import covariate_by_formula, formula_of
from pkpd.solver import Options, Reading, solve
from pkpd.solver.executors import EXECUTOR, Executor
from pkpd.solver.kernel import Kernel, cautions_of, index_of, load
from pkpd.solver.options import SIMULATION
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.taken import solve_taken

if TYPE_CHECKING:
    import os

    import pandas as pd

    from pkpd.model.check import Model

MOST_INTERVALS = 400  # between doses, of which every peak is looked for; of more, those of several at a time
MOST_SUBJECTS = 1_000_000  # whose parameters alone take 0.4 GB with fifty of them

ADVICE = "A model, not medical advice."


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _named(names: Sequence[str]) -> str:
    """Some names, and how many there are more."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


@dataclass(frozen=True)
class Profile:
    """Simulated outputs over time.

    ``profile["C"]`` is one output, (n_subjects, n_times); ``to_frame()`` a table of all, ``summary()`` their
    quantiles over subjects.

    Attributes
    ----------
    model, schedule : what was simulated.
    times : (n_times,), in ``time_unit``.
    outputs : (n_subjects, n_times, n_outputs), in ``units``, nan where a subject failed; of one subject they
        are PRED, the typical prediction, of several each subject's IPRED. Without residual error.
    names, units, descriptions : (n_outputs,), of the outputs.
    values : of parameters, (n_subjects, n_params), in the model's units, named by ``parameter_names``.
    status : (n_subjects,), 0 is success.
    statistics : what the integrator did, over all subjects.
    provenance : what the numbers were made from.
    largest, largest_at : (n_subjects, n_outputs), the largest value of the course up to the last time and
        when it is, wherever between two times, or None if that was not asked for.
    cautions : what the model says that a reader of its results must know.

    Examples
    --------
    >>> import pkpd
    >>> profile = pkpd.simulate("one_compartment_iv", "100 mg iv once", times=[0, 6, 12], subjects=2)
    >>> profile
    <Profile of one_compartment_iv, '100 mg iv once': 2 subjects, 3 times from 0 to 12 h; C, central>
    >>> profile["C"].shape
    (2, 3)
    >>> list(profile.to_frame().columns)
    ['subject', 'time', 'C', 'central']
    """

    model: str
    schedule: GivenDoses
    times: Floats
    time_unit: str
    outputs: Floats
    names: tuple[str, ...]
    units: tuple[str, ...]
    descriptions: tuple[str, ...]
    values: Floats
    parameter_names: tuple[str, ...]
    status: Integers
    statistics: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    largest: Floats | None = None
    largest_at: Floats | None = None
    cautions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        n_subjects, n_times, _ = self.outputs.shape
        failed = int(np.count_nonzero(self.status))
        return (
            f"<Profile of {self.model}, {str(self.schedule)!r}: "
            f"{_counted(n_subjects, 'subject')}{f' ({failed} failed)' * bool(failed)}, "
            f"{_counted(n_times, 'time')} from {self.times.min():g} to {self.times.max():g} "
            f"{self.time_unit}; {_named(self.names)}>"
        )

    def _repr_html_(self) -> str:
        rows = []
        for i, (name, unit) in enumerate(zip(self.names, self.units, strict=True)):
            values = self.outputs[:, :, i]
            known = values[np.isfinite(values)]
            ends = (known.min(), known.max()) if known.size else (math.nan, math.nan)
            last = values[:, np.argmax(self.times)]
            rows.append((name, unit, float(ends[0]), float(ends[1]), float(np.median(last))))
        columns = ("output", "unit", "least", "most", f"median at {self.times.max():g} {self.time_unit}")
        note = ("Of the output times; to_frame() has all values.", *self.cautions, ADVICE)
        return html.table(repr(self)[1:-1], columns, rows, " ".join(note))

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset``: a variable for each output, (subject, time), with its unit and description.

        Raises ``MissingExtraError`` where the package xarray is not installed.
        """
        xarray = optional("xarray", "xarray")
        return xarray.Dataset(
            {
                name: (
                    ("subject", "time"),
                    self.outputs[:, :, i],
                    {"units": self.units[i], "long_name": self.descriptions[i]},
                )
                for i, name in enumerate(self.names)
            },
            coords={
                "subject": np.arange(len(self.outputs)),
                "time": ("time", self.times, {"units": self.time_unit}),
            },
            attrs={
                "model": self.model,
                "schedule": str(self.schedule),
                "cautions": list(self.cautions),
            },
        )

    def __getitem__(self, name: str) -> Floats:
        """The values of one output, (n_subjects, n_times)."""
        if name not in self.names:
            raise InputError(f'{self.model} has no output "{name}"; it has {", ".join(self.names)}')
        return self.outputs[:, :, self.names.index(name)]

    def to_frame(self) -> pd.DataFrame:
        """A tidy table: a row per subject and time, a column per output."""
        import pandas as pd

        n_subjects, n_times, _ = self.outputs.shape
        columns: dict[str, Any] = {
            "subject": np.repeat(np.arange(n_subjects), n_times),
            "time": np.tile(self.times, n_subjects),
        }
        for i, name in enumerate(self.names):
            columns[name] = self.outputs[:, :, i].ravel()
        frame = pd.DataFrame(columns)
        frame.attrs = {
            "model": self.model,
            "time_unit": self.time_unit,
            "units": dict(zip(self.names, self.units, strict=True)),
            "cautions": list(self.cautions),
        }
        return frame

    def summary(self, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> pd.DataFrame:
        """Quantiles over subjects: a row per output and time."""
        import pandas as pd

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # where nobody has a number, nan says it
            values = np.nanquantile(self.outputs, quantiles, axis=0)
        rows: Iterator[pd.DataFrame] = (
            pd.DataFrame(
                {"output": name, "unit": self.units[i], "time": self.times}
                | {f"q{100 * q:g}": values[j, :, i] for j, q in enumerate(quantiles)}
            )
            for i, name in enumerate(self.names)
        )
        return pd.concat(rows, ignore_index=True)


@takes(
    late=True,
    model=PATH | named("pkpd.model", "Model", "a model") | of(Kernel, words="a kernel"),
    schedule=TEXT | of(Schedule, TakenSchedule),
    times=NUMBERS | ABSENT,
    adherence=NUMBER,
    jitter=TEXT | ABSENT,
    rtol=NUMBER,
    atol=NUMBERS | ABSENT,
    method=TEXT,
    threads=EXECUTOR,
    progress=CALLABLE | ABSENT,
)
def simulate(
    model: str | os.PathLike[str] | Model | Kernel,
    schedule: str | GivenDoses,
    times: ArrayLike | None = None,
    *,
    parameters: Mapping[str, float | str | ArrayLike] | None = None,
    subjects: int = 1,
    seed: int = 0,
    adherence: float = 1.0,
    jitter: str | None = None,
    rtol: float = SIMULATION,
    atol: ArrayLike | None = None,
    method: str = "auto",
    h_max: float = np.inf,
    extremes: bool = False,
    threads: int | Executor | None = None,
    progress: Progress | None = None,
) -> Profile:
    """Simulate a model under a dosing schedule.

    Parameters
    ----------
    model : name in the library, path of a model file, what ``read_model`` gave, or a loaded kernel.
    schedule : in the schedule language, such as "1 MIU sc daily x5 every 28 d x3", with what becomes of its
        doses, such as "; miss day 29; adherence 90 %" (docs/dosing.md).
    times : (n_times,), output times in the model's time unit; by default 201 points to twice the schedule's
        span, at least one day.
    parameters : values that replace those of the model file, by name: numbers in the model's units, or texts
        such as "80 mL/min"; or (subjects,) of them, which are those subjects' own: nothing is drawn for them,
        nor for a covariate that is given.
    subjects, seed : 1 is the typical subject (every ETA is 0, so that outputs are PRED); more are drawn from
        the model's between-subject variability (outputs are each subject's IPRED), subject k always with the
        same draws for a seed, however many there are and on however many threads.
    adherence : the probability that a dose is taken, where the schedule states none; the same people miss the
        same doses for a seed.
    jitter : the standard deviation of the times of doses about the planned ones, likewise: "2 h".
    rtol, atol, method : as in ``pkpd.Options``.
    h_max : no step is longer, in the model's time unit: for rates with a short rise that nothing announces,
        which longer steps may pass over.
    extremes : whether the largest value of every output is looked for along the whole course.
    threads : how many work at a time, by default as many as this process may use cores; or an executor, as in
        ``pkpd.Options``. No result depends on it.
    progress : called with (what, share, remark) now and then.

    Returns
    -------
    Profile : ``times``, (n_times,) in ``time_unit``, and ``outputs``, (subjects, n_times, n_outputs) in
        ``units``; ``profile["C"]`` is one output, (subjects, n_times), ``profile.to_frame()`` a table.

    Raises
    ------
    InputError : an unknown name, a value outside its bounds, a schedule that does not fit the model.
    SolverError : no subject could be integrated; single failures are marked in ``Profile.status``.

    Examples
    --------
    >>> import pkpd
    >>> profile = pkpd.simulate(
    ...     "one_compartment_iv", "100 mg iv every 12 h x2", times=[0, 12, 24], parameters={"CL": "80 mL/min"}
    ... )
    >>> profile["C"].round(3)  # mg/L
    array([[3.125, 3.642, 0.602]])

    Three subjects with a clearance each, and all else alike:

    >>> people = pkpd.simulate(
    ...     "one_compartment_iv",
    ...     "100 mg iv once",
    ...     times=[12],
    ...     parameters={"CL": [2.0, 4.0, 8.0], "V": [32.0] * 3},
    ...     subjects=3,
    ... )
    >>> people["C"].round(3)  # a row for each
    array([[1.476],
           [0.697],
           [0.156]])
    """
    kernel = model if isinstance(model, Kernel) else load(model)
    doses = with_taking(
        _parsed(schedule) if isinstance(schedule, str) else schedule,
        exact_number(adherence, "the adherence"),
        read_jitter(jitter),
    )
    events = planned(doses).events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    times = _usual_times(kernel, events) if times is None else times
    values = population(kernel, subjects, seed, parameters)
    taken = None
    if isinstance(doses, TakenSchedule):
        taken = doses.taken(events, kernel.TIME_UNIT, range(subjects), seed)
    started = time.perf_counter()
    solution = solve_taken(
        kernel,
        values,
        events,
        taken,
        times,
        options=Options(rtol=rtol, atol=atol, method=method, h_max=h_max, threads=threads),
        readings=largest_of(kernel) if extremes and method != LINEAR else (),
        progress=progress,
    )
    read = solution.readings
    if extremes and read is None:  # the method "linear" has no steps to look at
        by_steps, end = Options(rtol=rtol, threads=threads), [float(np.max(times))]
        asked = largest_of(kernel)
        read = solve_taken(kernel, values, events, taken, end, options=by_steps, readings=asked).readings
    if np.all(solution.status != SUCCESS):
        solution.check()
    return Profile(
        model=kernel.NAME,
        schedule=doses,
        times=np.atleast_1d(np.asarray(times, dtype=np.float64)),
        time_unit=kernel.TIME_UNIT,
        outputs=solution.outputs,
        names=tuple(kernel.OUTPUTS),
        units=tuple(kernel.OUTPUT_UNITS),
        descriptions=tuple(kernel.OUTPUT_DESCRIPTIONS),
        values=values,
        parameter_names=tuple(kernel.PARAMETERS),
        status=solution.status,
        statistics=solution.statistics,
        provenance={
            "model_hash": kernel.HASH,
            "seed": seed,
            "rtol": rtol,
            "atol": "automatic" if atol is None else np.asarray(atol).tolist(),
            "method": method,
            "h_max": "none" if np.isinf(h_max) else float(h_max),
            "seconds": time.perf_counter() - started,
        },
        largest=None if read is None else read.values,
        largest_at=None if read is None else read.times,
        cautions=cautions_of(kernel),
    )


def _usual_times(kernel: Kernel, events: EventTable) -> Floats:
    """201 output times to twice the span of the doses, at least a day."""
    span = events.time[-1] if len(events) else 0.0
    return np.linspace(0.0, max(2.0 * span, time_units_per_day(kernel.TIME_UNIT)), 201)


def largest_of(kernel: Kernel) -> list[Reading]:
    """The readings of the largest value of every output."""
    return [Reading("max", name) for name in kernel.OUTPUTS]


def peaks_and_troughs(
    kernel: Kernel,
    schedule: GivenDoses,
    outputs: Sequence[str],
    until: float,
    parameters: Mapping[str, float | str] | None = None,
) -> Floats:
    """When outputs of the typical subject are highest and lowest between two doses as planned, and when those
    are; ascending, up to ``until``: times at which a curve is drawn."""
    events = planned(schedule).events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    instants = np.unique(events.time[events.time < until])
    if not instants.size:
        return instants
    edges = [*instants[:: -(-instants.size // MOST_INTERVALS)].tolist(), until]
    asked = [
        Reading(kind, name, *window)
        for name in outputs
        for window in itertools.pairwise(edges)
        for kind in ("max", "min")
    ]
    solution = solve(kernel, typical_values(kernel, parameters), events, [until], readings=asked)
    assert solution.readings is not None
    found = solution.readings.times[0]
    return np.unique(np.concatenate([instants, found[np.isfinite(found)]]))


_parsed = lru_cache(maxsize=256)(read_given)  # reading a schedule takes a tenth of a simulation


def population(
    kernel: Kernel,
    subjects: int,
    seed: int = 0,
    parameters: Mapping[str, float | str | ArrayLike] | None = None,
) -> Floats:
    """Parameters of virtual subjects, (subjects, n_params); one subject is the typical one.

    parameters : values by name, as in ``typical_values``, about which subjects differ, and of a covariate the
        value of all; (subjects,) of one are the subjects' own.

    Each draw belongs to (seed, subject, parameter) through a counter-based generator (Philox: Salmon et al.,
    SC 2011).
    """
    check_count(subjects, seed)
    own: dict[str, Any] = {}
    if isinstance(parameters, Mapping):
        own = {
            name: value
            for name, value in parameters.items()
            if isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0
        }
        parameters = {name: value for name, value in parameters.items() if name not in own}
    typical = typical_values(kernel, parameters)
    spread = np.array([between[1] if between else 0.0 for between in kernel.BETWEEN], dtype=np.float64)
    for index, (name, kind) in enumerate(zip(kernel.PARAMETERS, kernel.KINDS, strict=True)):
        if kind == "covariate" and name in (parameters or ()):
            spread[index] = 0.0  # it is known of all of them
    values = np.tile(typical, (subjects, 1))
    if subjects > 1 and spread.any():
        z = correlated(kernel.PARAMETERS, kernel.CORRELATIONS, normals(seed, subjects, kernel.n_params))
        values = scattered(kernel, typical, spread, z)
    for name, given in own.items():
        if np.shape(given) != (subjects,):
            raise InputError(
                f"{name} has {_counted(len(given), 'value')} for {_counted(subjects, 'subject')}: give one "
                f"for all, or one for each (subjects={len(given)})"
            )
        index = index_of(name, kernel.PARAMETERS, "parameter", kernel)
        values[:, index] = [checked_value(kernel, name, value) for value in given]
    return values


def check_count(subjects: int, seed: int) -> None:
    """Raise ``InputError`` unless this is a number of virtual subjects and a seed."""
    for what, given in (("number of subjects", subjects), ("seed", seed)):
        if isinstance(given, bool) or not isinstance(given, int | np.integer):
            raise InputError(f"the {what} must be a whole number, not {given!r}")
    if subjects < 1:
        raise InputError(f"the number of subjects must be at least 1, not {subjects}")
    if subjects > MOST_SUBJECTS:
        raise InputError(f"{subjects:,} subjects are too many: at most {MOST_SUBJECTS:,} are drawn at once")
    if seed < 0:
        raise InputError(f"the seed must not be negative, not {seed}")
    if seed >= 2**64:
        raise InputError(f"the seed must be below 2^64, not {seed}")


def normals(seed: int, count: int, n: int, stream: int = 0) -> Floats:
    """(count, n) independent standard normal numbers; row k belongs to (seed, k, stream) alone, however many
    rows there are.

    stream : what they are for; 0 is how subjects differ.
    """
    rows = np.empty((count, n))
    for k, row in enumerate(rows):
        np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, k, stream])).standard_normal(out=row)
    return rows


def correlated(names: Sequence[str], pairs: Sequence[tuple[str, str, float]], z: Floats) -> Floats:
    """Standard normal numbers with these correlations, from independent ones z, (n_subjects, n): L z of each
    subject, with L the Cholesky factor of the correlation matrix.

    names : (n,), the parameters that the columns are of; what stands alone keeps its numbers bit for bit.
    """
    if not pairs:
        return z
    factor = np.linalg.cholesky(correlation_matrix(names, pairs))
    found = z.copy()
    for i in range(len(names)):
        if np.any(factor[i, :i]):
            # column by column: a product of matrices would round differently for another number of subjects
            found[:, i] = sum(factor[i, j] * z[:, j] for j in np.flatnonzero(factor[i]))
    return found


def scattered(kernel: Kernel, typical: Floats, spread: Floats, z: Floats) -> Floats:
    """Parameters of subjects, (n_subjects, n_params): log-normal about the typical values, by normal numbers
    z of that shape.

    P = TVP exp(ETA) with ETA = spread z: normal, of mean 0 and variance matrix OMEGA, which is diagonal where
    those of z are independent (Lavielle, Mixed Effects Models for the Population Approach, 2014, ch. 3;
    NONMEM's exponential ETA).

    typical (TVP), spread (log-SDs, the square roots of OMEGA's diagonal; 0 where all have the typical value)
        : (n_params,) or one row for each subject.
    What lies outside a parameter's bounds is moved onto them: to draw again would make a subject depend on
    how often that was.
    """
    return np.clip(typical * np.exp(spread * z), kernel.LOWER, kernel.UPPER)


def typical_values(kernel: Kernel, parameters: Mapping[str, Any] | None = None) -> Floats:
    """The model's values with replacements by name, (n_params,), numbers or texts with a unit; names and
    bounds are checked.

    A value below zero that nothing bounds, of a parameter whose own value is above, is warned of.
    """
    values = np.array(kernel.VALUES, dtype=np.float64)
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InputError(
            f'parameters are names with values, such as {{"{kernel.PARAMETERS[0]}": '
            f"{kernel.VALUES[0]:g}}}, not {parameters!r:.60}"
        )
    for name, given in (parameters or {}).items():
        index = index_of(name, kernel.PARAMETERS, "parameter", kernel)
        values[index] = checked_value(kernel, name, given)
    return values


def checked_value(kernel: Kernel, name: str, given: Any) -> float:
    """A value of a parameter, within its bounds; one below zero that nothing bounds is warned of."""
    index = index_of(name, kernel.PARAMETERS, "parameter", kernel)
    value, usual = value_of(kernel, name, given), float(kernel.VALUES[index])
    if not (np.isfinite(value) and kernel.LOWER[index] <= value <= kernel.UPPER[index]):
        raise InputError(
            f"{name} = {given} is outside its bounds {kernel.LOWER[index]:g} .. "
            f"{kernel.UPPER[index]:g} [{kernel.UNITS[index]}]"
        )
    if value < lowest(kernel, index):
        raise InputError(f"{name} = {value:g} [{kernel.UNITS[index]}] must be positive")
    if value < 0.0 < usual:
        warnings.warn(
            f"{name} = {value:g} {kernel.UNITS[index]} is below zero, where the model has {usual:g} and "
            "states no bounds: a clearance, a volume or a rate constant below zero makes no sense",
            RuntimeWarning,
            stacklevel=3,
        )
    return value


def value_of(kernel: Kernel, name: str, given: Any) -> float:
    """A value of a parameter in the model's unit: a number, or a text such as "80 mL/min", which is
    converted; without a unit it is in the model's. What a person brings along may be given by a
    formula, "Mosteller(70 kg, 172 cm)" (`pkpd.simulation.body`).

    Raises ``InputError`` for anything else, and ``UnitError`` for a unit that does not fit.
    """
    unit = kernel.UNITS[list(kernel.PARAMETERS).index(name)]
    if isinstance(given, str):
        from pkpd.core import units

        if formula_of(given):
            found, its_unit = covariate_by_formula(given)
            return found * units.factor(its_unit, unit)
        value, stated = units.quantity(given)
        bare = given.lstrip("0123456789.+-eE ")
        if any(character.isalpha() or character == "%" for character in bare):
            value *= units.factor(stated, unit)
        return value
    if isinstance(given, bool | np.bool_) or not isinstance(given, int | float | np.integer | np.floating):
        shown = (
            "a number" if unit == "1" else f'a number in {unit}, or a text with its unit such as "2 {unit}"'
        )
        raise InputError(f"{name} = {given!r:.60} must be {shown}")
    return float(given)


def lowest(kernel: Kernel, index: int) -> float:
    """The least value that a parameter can have: its lower bound, and for what a person brings along not
    below zero, for a body size above it.

    Not every model states bounds for covariates, and a negative body size would be a negative dose.
    """
    bound = float(kernel.LOWER[index])
    if kernel.KINDS[index] != "covariate" or kernel.VALUES[index] <= 0.0:
        return bound
    return max(bound, float(np.nextafter(0.0, 1.0)) if index in kernel.SIZES.values() else 0.0)
