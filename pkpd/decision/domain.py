"""What a fit saw: doses, intervals, cycles, lengths of treatment and routes behind its rows, and where a
schedule goes beyond them.

A row saw what was given before the end of its own time or window: a trial of three cycles that reports day 8
saw one cycle.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pkpd.core.errors import InputError, ScheduleError
from pkpd.decision.criteria import Shown
from pkpd.decision.endpoints import Regimen, by_size, doses
from pkpd.dosing import Schedule, time_units_per_day
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.rows import Override, Row

ADULT = {"m2": 1.79, "kg": 75.0}
"""Body size of a row that states none: 1.79 m2 (Sacco 2010); the weight is assumed."""

NEAR = 0.02  # relative: a difference that nobody doses by


@dataclass(frozen=True)
class SeenTreatment:
    """Treatment behind one row, in days and in the domain's dose unit; all up to the row's own time.

    doses : smallest and largest; interval : the usual one, nan for a single dose; cycles : how many; course :
        length of the longest, from its first dose to its last and one
    interval more; length : from the first dose to one interval after the last, at most to the row's time;
    bound : whether the row is only a lower or upper bound.
    """

    row: str
    study: str
    subject: str
    schedule: str
    route: str
    doses: tuple[float, float]
    interval: float
    cycles: int
    course: float
    length: float
    bound: bool
    provenance: str

    def __str__(self) -> str:
        mark = ", unverified" if self.provenance == "unverified" else ""
        return f"{self.study}: {self.schedule}{mark}"


class Beyond(NamedTuple):
    """Where a schedule leaves what a fit saw: the statement, and the study that comes nearest to it; or that
    there is nothing to leave, since no data were seen."""

    said: str
    nearest: str = ""
    no_data: bool = False

    def __str__(self) -> str:
        return f"{self.said}; nearest is {self.nearest}." if self.nearest else f"{self.said}."


@dataclass(frozen=True)
class Domain:
    """What the rows of a fit saw: the treatments behind them, and the outputs for which there is any row at
    all; shown : how outputs are told of, by their own names where nothing is said."""

    unit: str
    seen: tuple[SeenTreatment, ...]
    outputs: frozenset[str]
    shown: tuple[Shown, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Row], unit: str, shown: Sequence[Shown] = ()) -> Domain:
        """The domain of the rows that are fitted (``use = fit``). Doses that ``unit`` cannot count, of
        another drug, are left out.

        Doses per body size are converted with the BSA or weight of the row, else of an average adult.
        """
        found: list[SeenTreatment] = []
        outputs = set()
        called = {output.name: output.called or output.name for output in shown}
        for row in rows:
            if row.use != "fit":
                continue
            outputs.add(row.output)
            until = row.stop / time_units_per_day(row.time_unit)
            stated = {item.name: item.value for item in row.overrides if isinstance(item, Override)}
            sizes = {"m2": stated.get("BSA", ADULT["m2"]), "kg": stated.get("weight", ADULT["kg"])}
            schedule = Schedule.parse(row.schedule)
            try:
                times, amounts = _given(schedule, unit, sizes)
            except ScheduleError:
                continue
            before = times <= until
            if not before.any():
                continue
            numbers = _treatment(times[before], amounts[before], until)
            for route in dict.fromkeys(part.route for part in schedule.parts):
                found.append(
                    SeenTreatment(
                        row.id,
                        row.study,
                        called.get(row.output, row.output),
                        row.schedule,
                        route,
                        *numbers,
                        KINDS[row.statistic].side != 0,
                        row.provenance,
                    )
                )
        return cls(unit, tuple(found), frozenset(outputs), tuple(shown))

    def range(self, subject: str, what: str) -> tuple[float, float]:
        """Smallest and largest dose ("doses"), "interval", "cycles", "course" or "length" behind the rows of
        a subject, such as "plasma glucose"; nan without any."""
        return _ends((seen for seen in self.seen if seen.subject == subject), what)

    def beyond(
        self,
        schedule: Schedule,
        bsa: float | None = None,
        weight: float | None = None,
        outputs: Sequence[str] = (),
        dose_units: Mapping[str, Mapping[str, float]] | None = None,
    ) -> tuple[Beyond, ...]:
        """How a schedule goes beyond what the fit saw of these outputs (of all that it has rows of where none
        are named), with the study that comes nearest; none where it does not.

        bsa, weight : of the subject, in m2 and kg, by default of an average adult.
        """
        outputs = outputs or sorted(self.outputs)
        return beyond_all(self.beyond_each(schedule, outputs, bsa, weight, dose_units), outputs)

    def beyond_each(
        self,
        schedule: Schedule,
        outputs: Sequence[str],
        bsa: float | None = None,
        weight: float | None = None,
        dose_units: Mapping[str, Mapping[str, float]] | None = None,
    ) -> dict[str, tuple[Beyond, ...]]:
        """The same by output: those of one subject, such as a share and a count of the same cells, have the
        same."""
        for name, value in (("bsa", bsa), ("weight", weight)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a number above 0, not {value!r}")
        called = {output.name: output.called or output.name for output in self.shown}
        forgotten = {called[output.name] for output in self.shown if not output.lasting}
        known = {called.get(other, other) for other in self.outputs}
        subjects = {name: called.get(name, name) for name in outputs}
        found: dict[str, tuple[Beyond, ...]] = {}
        if schedule.parts:
            sizes = {"m2": bsa or ADULT["m2"], "kg": weight or ADULT["kg"]}
            try:
                times, amounts = _given(schedule, self.unit, sizes, dose_units)
            except ScheduleError:
                uncounted = f"The doses cannot be counted in {self.unit} and so not be compared with those"
                return dict.fromkeys(outputs, (Beyond(f"{uncounted} of the fit"),))
            routes = tuple(dict.fromkeys(part.route for part in schedule.parts))
            given = _treatment(times, amounts, np.inf)
            for subject in dict.fromkeys(subjects.values()):
                if seen := [entry for entry in self.seen if entry.subject == subject]:
                    one = _Subject(subject, seen, self.unit, str(schedule), routes, given)
                    found[subject] = tuple(one.beyond(lasting=subject not in forgotten))
        return {
            name: found.get(subject, ()) if subject in known else (_no_data([name]),)
            for name, subject in subjects.items()
        }


def beyond_all(found: Mapping[str, Sequence[Beyond]], outputs: Sequence[str]) -> tuple[Beyond, ...]:
    """What ``beyond_each`` has found of some outputs, each statement once; that of no data about all of
    them."""
    said = dict.fromkeys(one for name in outputs for one in found.get(name, ()) if not one.no_data)
    untold = [name for name in outputs if any(one.no_data for one in found.get(name, ()))]
    if untold:
        return (*said, _no_data(untold))
    return tuple(said)


def _no_data(outputs: Sequence[str]) -> Beyond:
    it = "it" if len(outputs) == 1 else "them"
    said = f"The fit has no data on {', '.join(outputs)}: what the model says of {it} is assumed, not fitted"
    return Beyond(said, no_data=True)


class _Treatment(NamedTuple):
    """What is compared of a schedule: as `SeenTreatment` has it."""

    doses: tuple[float, float]
    interval: float
    cycles: int
    course: float
    length: float


@dataclass(frozen=True)
class _Subject:
    """What the fit saw of one subject of its rows, such as "plasma glucose", beside a schedule; each function
    gives the statements of one kind, none where the schedule does not go beyond."""

    name: str
    seen: list[SeenTreatment]
    unit: str
    text: str
    routes: tuple[str, ...]
    given: _Treatment

    def beyond(self, lasting: bool) -> Iterator[Beyond]:
        """lasting : whether it remembers earlier doses, so that intervals, cycles and courses count."""
        yield from self._doses()
        yield from self._routes()
        if lasting:
            yield from self._interval()
            yield from self._duration()
            yield from self._course()
            yield from self._only_bounds()

    def _doses(self) -> Iterator[Beyond]:
        low, high = _ends(self.seen, "doses")
        smallest, largest = self.given.doses
        alike = [entry for entry in self.seen if entry.route in self.routes] or self.seen
        for amount, is_beyond in (
            (largest, largest > high * (1 + NEAR)),
            (smallest, smallest < low * (1 - NEAR)),
        ):
            if is_beyond:
                apart = [min(abs(np.log(amount / dose)) for dose in entry.doses) for entry in alike]
                yield Beyond(
                    f"{_written(amount)} {self.unit} is {'above' if amount > high else 'below'} the "
                    f"doses after which the fit saw {self.name} "
                    f"({_range(low, high, 2)} {self.unit})",
                    str(alike[int(np.argmin(apart))]),
                )

    def _routes(self) -> Iterator[Beyond]:
        known = {entry.route.lower() for entry in self.seen}
        for route in self.routes:
            if route.lower() not in known:
                yield Beyond(
                    f"The fit saw {self.name} after doses by {' and '.join(sorted(known))} only, not "
                    f"by {route}"
                )

    def _interval(self) -> Iterator[Beyond]:
        interval = self.given.interval
        shortest, longest = _ends(self.seen, "interval")
        inside = shortest * (1 - NEAR) <= interval <= longest * (1 + NEAR)
        if inside or np.isnan(interval) or np.isnan(shortest):
            return
        spaced = [entry for entry in self.seen if not np.isnan(entry.interval)]
        nearest = min(spaced, key=lambda entry: abs(np.log(interval / entry.interval)))
        yield Beyond(
            f"A dose every {_written(interval)} d is outside the intervals at which the fit saw "
            f"{self.name} ({_range(shortest, longest, 3)} d)",
            str(nearest),
        )

    def _duration(self) -> Iterator[Beyond]:
        most = int(_ends(self.seen, "cycles")[1])
        if self.given.cycles > most:
            first: dict[str, SeenTreatment] = {}  # of the rows of one schedule
            for entry in self.seen:
                first.setdefault(entry.schedule, entry)
            nearest = first[max(first, key=lambda text: _alike(text, self.text))]
            yield Beyond(
                f"{self.given.cycles} cycles: the fit saw {self.name} only in the first "
                f"{'one' if most == 1 else most}, so that what changes from cycle to cycle is the "
                f"model's own",
                str(nearest),
            )
        elif self.given.length > _ends(self.seen, "length")[1] * (1 + NEAR):
            nearest = max(self.seen, key=lambda entry: entry.length)
            yield Beyond(
                f"{_written(self.given.length)} days of treatment are longer than the "
                f"{_written(nearest.length)} after which the fit saw {self.name}",
                str(nearest),
            )

    def _course(self) -> Iterator[Beyond]:
        course, nearest = self.given.course, min(self.seen, key=lambda entry: entry.course)
        if course < nearest.course * (1 - NEAR):
            yield Beyond(
                f"A course of {_written(course)} {'day' if course == 1.0 else 'days'} is shorter "
                f"than the {_written(nearest.course)} days after which the fit first saw {self.name}, "
                f"so that how fast they rise is the model's own",
                str(nearest),
            )

    def _only_bounds(self) -> Iterator[Beyond]:
        if not self.given.interval <= 1.0 + NEAR:
            return
        daily = [entry for entry in self.seen if entry.interval <= 1.0 + NEAR]
        exact = max((entry.course for entry in daily if not entry.bound), default=0.0)
        bounds = sorted({entry.study for entry in daily if entry.bound and entry.course > exact})
        if self.given.course > exact * (1 + NEAR) and bounds:
            yield Beyond(
                f"{_written(self.given.course)} days of daily doses: beyond {_written(exact)} days the fit "
                f"has only lower bounds of {self.name} ({', '.join(bounds)}), "
                "which say nothing against a prediction that is too high"
            )


@functools.lru_cache(maxsize=1024)
def _alike(text: str, other: str) -> float:
    """How much of two schedules is written alike."""
    return difflib.SequenceMatcher(None, text, other).ratio()


def _ends(seen: Iterable[SeenTreatment], what: str) -> tuple[float, float]:
    """The smallest and the largest number of that name; nan without any."""
    values = np.array([getattr(entry, what) for entry in seen], dtype=np.float64).ravel()
    values = values[~np.isnan(values)]
    return (float(values.min()), float(values.max())) if values.size else (np.nan, np.nan)


def _range(low: float, high: float, digits: int) -> str:
    return f"{low:.{digits}g} to {_written(high)}" if high > low * (1 + NEAR) else _written(high)


def _written(number: float) -> str:
    """Three digits, and never a power of ten for a number that people write out."""
    return f"{number:,.0f}" if 999.5 <= number < 1e7 else f"{number:.3g}"


def _given(
    schedule: Schedule,
    unit: str,
    sizes: Mapping[str, float],
    dose_units: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(n_doses,) days and (n_doses,) absolute amounts."""
    times, amounts, _ = doses(schedule, unit, dose_units)
    return times, by_size(amounts, sizes, 1)[0]


def _treatment(times: np.ndarray, amounts: np.ndarray, until: float) -> _Treatment:
    """Of doses at these days, seen up to a day."""
    regimen = Regimen.at(times, 1.0)
    instants = np.unique(times)
    last = instants[np.append(np.searchsorted(instants, regimen.cycles)[1:] - 1, instants.size - 1)]
    return _Treatment(
        doses=(float(amounts.min()), float(amounts.max())),
        interval=regimen.interval if instants.size > 1 else np.nan,
        cycles=regimen.cycles.size,
        course=float((last - regimen.cycles).max() + regimen.interval),
        length=min(regimen.last + regimen.interval, until) - regimen.first,
    )
