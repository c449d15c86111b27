"""What one simulated trial has seen, as its statistician gets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class TrialData:
    """Patients in the order of randomisation.

    Attributes
    ----------
    arms : names; the first is the control.
    arm : (n,), index of each patient's.
    covariates : name to (n,).
    strata : name to (n,), whether a patient belongs to it.
    entry : (n,), calendar day of randomisation, from the beginning of recruitment on.
    time, event : (n,), days from the time origin to the event or to the end of observation, and which it is.
    visits : (n_visits,), days from randomisation.
    measured : output to (n, n_visits), nan where it was not measured.
    adverse : adverse event to (n, n_courses), 1 where it happened in a course, else 0; nan without a course.
    """

    arms: tuple[str, ...]
    arm: Integers
    covariates: Mapping[str, Floats]
    strata: Mapping[str, Truths]
    entry: Floats
    time: Floats
    event: Truths
    visits: Floats
    measured: Mapping[str, Floats]
    adverse: Mapping[str, Floats]

    @classmethod
    def of_nobody(
        cls,
        arms: tuple[str, ...],
        covariates: Iterable[str],
        strata: Iterable[str],
        visits: Sequence[float],
        outputs: Iterable[str],
        adverse: Iterable[str],
    ) -> TrialData:
        """A trial without patients: analyses have the same numbers there, all nan."""
        none = np.empty(0)
        return cls(
            arms,
            none.astype(np.int64),
            dict.fromkeys(covariates, none),
            dict.fromkeys(strata, none.astype(bool)),
            none,
            none,
            none.astype(bool),
            np.array(visits, dtype=np.float64),
            dict.fromkeys(outputs, np.empty((0, len(visits)))),
            dict.fromkeys(adverse, np.empty((0, 0))),
        )

    def of(self, who: Truths | Integers) -> TrialData:
        """Some of the patients."""
        return TrialData(
            self.arms,
            self.arm[who],
            {name: values[who] for name, values in self.covariates.items()},
            {name: inside[who] for name, inside in self.strata.items()},
            self.entry[who],
            self.time[who],
            self.event[who],
            self.visits,
            {name: values[who] for name, values in self.measured.items()},
            {name: courses[who] for name, courses in self.adverse.items()},
        )

    def first(self, n: tuple[int, ...]) -> TrialData:
        """The trial that randomised only the first n of each arm: since patients are drawn one after the
        other, it is a trial of that size."""
        kept = np.zeros(self.arm.size, dtype=bool)
        for k, some in enumerate(n):
            kept[np.flatnonzero(self.arm == k)[:some]] = True
        return self.of(kept)

    def known_on(self, day: float, before: float) -> TrialData:
        """What is known on a calendar day: of patients who have entered, events and visits until then. No
        look is at adverse events, which are left out.

        before : days from the time origin to randomisation.
        """
        since = self.entry - before  # the calendar day of a patient's time origin
        event = self.event & (self.entry + (self.time - before) <= day)
        there = self.entry[:, None] + self.visits <= day
        known = replace(
            self,
            time=np.where(event, self.time, np.minimum(self.time, day - since)),
            event=event,
            measured={name: np.where(there, values, np.nan) for name, values in self.measured.items()},
            adverse={},
        )
        return known.of(self.entry <= day)

    def at(self, output: str, day: float) -> Floats:
        """What was measured at a visit, (n,)."""
        return self.measured[output][:, int(np.flatnonzero(self.visits == day)[0])]

    def covariate(self, name: str, baseline: float) -> Floats:
        """(n,), by its name, "log NAME", or of an output at the baseline visit."""
        bare = name.removeprefix("log ")
        values = self.covariates[bare] if bare in self.covariates else self.at(bare, baseline)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(values) if bare != name else values
