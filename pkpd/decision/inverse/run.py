"""From a question to its answer: scan, bisection, people, and the draws of the parameters."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.arguments import ABSENT, CALLABLE, NUMBER, TEXT, TEXTS, of, takes
from pkpd.core.errors import InputError, ScheduleError
from pkpd.core.progress import Progress, counting
from pkpd.decision.comparison import Scene
from pkpd.decision.comparison.result import FEWEST_DRAWS, given_words
from pkpd.decision.comparison.scene import horizon
from pkpd.decision.endpoints import Endpoint, quantiles
from pkpd.decision.evidence import COUNTED, Standing
from pkpd.decision.inverse.along import (
    between_places,
    fine_places,
    own_values,
    runs_met,
    scan_places,
)
from pkpd.decision.inverse.attainment import LEVELS, Attainment, Boundary, WishCurve
from pkpd.decision.inverse.question import OpenSchedule, Unknown, read_question, unknown
from pkpd.decision.people import (
    CROSSED,
    People,
    asked_share,
    attained,
    attained_by_draws,
    enough,
    interval_of,
    share_interval,
)
from pkpd.decision.wishes import Constraint
from pkpd.dosing.rules import AdaptiveSchedule, Plan, planned

Floats = NDArray[np.float64]

SCANNED, SCANNED_OF_MANY = 13, 8
"""Values that are looked at before anything is bisected, for one unknown and in each row of a boundary."""


@takes(
    scene=of(Scene),
    wishes=TEXT | TEXTS,
    schedule=TEXT,
    dose=TEXT | ABSENT,
    interval=TEXT | ABSENT,
    days=TEXT | ABSENT,
    cycles=TEXT | ABSENT,
    adherence=NUMBER,
    jitter=TEXT | ABSENT,
    progress=CALLABLE | ABSENT,
)
def dose_for(
    scene: Scene,
    wishes: str | Sequence[str],
    schedule: str,
    *,
    dose: str | None = None,
    interval: str | None = None,
    days: str | None = None,
    cycles: str | None = None,
    adherence: float = 1.0,
    jitter: str | None = None,
    progress: Progress | None = None,
) -> Attainment | Boundary:
    """Which dose, interval or number of doses meets a target, with the share of people who reach it.

    The range is scanned and every crossing bisected, always in the same subjects at the estimates of the fit:
    people differ, parameters do not. How sure the parameters are of the answer is asked apart: of up to 60 of
    these people under every draw of the parameters.

    Parameters
    ----------
    scene : the subjects, made by ``Scene.create``: its number of people, and its draws.
    wishes : constraints as ``pkpd.optimise`` reads them, which may say in how many people they are to hold,
        "NK under twice baseline in 95 % of people" (else in the median one); with several, all must hold.
        "the smallest dose with ..." or "the longest interval that keeps ..." say which end is wanted; else it
        is where the target begins to be met, or ceases to be.
    schedule : in the schedule language, with one or two "?" for what is looked for: a dose, an interval, a
        number of doses in a course, or of cycles; behind it may stand how its doses are taken,
        "? mg oral daily x5; miss day 3; adherence 90 %", or rules, "; hold if C > 2 mg/L".
    dose, interval, days, cycles : which values may stand there, "0.25 to 3 MIU", "7 to 56 d by 7", "1, 2, 4".
        By default the doses of the fit's endpoints, 7 to 56 days, 1 to 14 doses and 1 to 12 cycles. A range
        of doses without a step is looked through in three significant digits, others in whole numbers.
    adherence, jitter : the probability that a dose is taken, and the standard deviation of the times about
        the planned ones ("2 h"), where the schedule says none of its own, as in ``Scene.arms``: everybody
        misses doses of their own, the same at every value.
    progress : called with (what, share, remark).

    Returns
    -------
    Attainment : ``value`` in the unit of the schedule, ``low`` and ``high`` of its 90 % interval by the
        parameters, ``curves`` of the probability of target attainment. Boundary, with two unknowns: for each
        interval (or number of doses) the dose.

    Raises
    ------
    InputError : what cannot be read, a schedule without "?", a range that nobody says, too few draws, or
        subjects that were not drawn by ``Scene.create``.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=20, vary=["between"])
    >>> found = pkpd.dose_for(scene, "NK under 1.5-fold", "? MIU sc daily x5 every 14 d x2")
    >>> found.end, found.unknown.unit, 0.25 < found.value < 3
    ('largest', 'MIU', True)
    """
    opened = OpenSchedule.parse(schedule).taken(adherence, jitter)
    said = {"dose": dose, "interval": interval, "days": days, "cycles": cycles}
    for name, text in said.items():
        if text is not None and name not in opened.names:
            raise InputError(f'{name} "{text}": the schedule "{schedule}" has no "?" in place of its {name}')
    inner = opened.names.index("dose") if "dose" in opened.names else 0
    unknowns = [
        unknown(name, unit, said[name], scene.criteria, coarse=place != inner)
        for place, (name, unit) in enumerate(zip(opened.names, opened.units, strict=True))
    ]
    work = _Work(scene, opened, unknowns, inner, wishes, progress)
    if len(unknowns) == 1:
        return work.row(None)
    over = unknowns[1 - inner]
    return Boundary(over, tuple(work.row(value) for value in over.values))


class _Work:
    """One question in the people of a scene, at the estimates and under every draw of the parameters."""

    def __init__(
        self,
        scene: Scene,
        opened: OpenSchedule,
        unknowns: Sequence[Unknown],
        inner: int,
        wishes: str | Sequence[str],
        progress: Progress | None,
    ) -> None:
        self.opened, self.unknowns, self.inner = opened, unknowns, inner
        vary = set(scene.population.vary)
        self.uncertain = bool(vary & {"uncertainty", "study"})
        draws = scene.who.get("draws") or scene.draws
        if self.uncertain and draws < FEWEST_DRAWS:
            raise InputError(
                f"{draws} draws are too few for the uncertainty of the parameters: at least {FEWEST_DRAWS}, "
                "or vary without uncertainty"
            )
        ends = [self._valid(value) for value in (None,) if len(unknowns) == 1]
        ends = ends or [self._valid(value) for value in unknowns[1 - inner].values]
        extremes = [self._at(row[0], value) for row in ends for value in (row[1][0], row[1][-1])]
        self.extremes = extremes
        if scene.until_days is None:
            scene = scene.lasting(horizon(extremes))
        for schedule in extremes:
            scene.check_plan(schedule)
        self.scene = scene
        one = scene.first(1)
        known = tuple(one.arm(extremes[0]).endpoints)
        self.wishes, self.end = read_question(wishes, known, scene.criteria, unknowns[inner].name)
        few = len(unknowns) > 1
        self.scanned = SCANNED_OF_MANY if few else SCANNED
        self.asked = [wish.endpoint for wish in self.wishes]
        self.people = People.of(
            scene,
            [endpoint.name for endpoint in self.asked],
            scene.subjects,
            draws=draws if self.uncertain else None,
            most=CROSSED // (2 if few else 1),
        )
        self.looked: dict[str, Floats] = {}
        self.total = len(ends) * (2 * self.scanned + 7)
        self.told = counting(progress, "simulating", "schedules")

    # -- schedules

    def _at(self, over: Fraction | None, value: Fraction) -> Plan:
        return self.opened.schedule(
            [value] if over is None else [value, over][:: 1 if self.inner == 0 else -1]
        )

    def _valid(self, over: Fraction | None) -> tuple[Fraction | None, list[Fraction]]:
        """The values of the unknown that make a schedule; of a dose all do, if one does."""
        values, error = self.unknowns[self.inner].values, None
        kept = []
        some = [values[0]] if self.unknowns[self.inner].name == "dose" else values
        for value in some:
            try:
                self._at(over, value)
            except ScheduleError as wrong:
                error = wrong
            else:
                kept.append(value)
        if not kept:
            assert error is not None
            raise error
        return over, list(values) if len(some) < len(values) else kept

    # -- simulation

    def look(self, schedule: Plan) -> Floats:
        """(n_wishes, n_people) at the estimates."""
        return self._look("people", schedule, self.people.values)

    def look_crossed(self, schedule: Plan) -> Floats:
        """(n_wishes, n_people, n_draws)."""
        return self._look("crossed", schedule, self.people.values_crossed)

    def _look(
        self, kind: str, schedule: Plan, values: Callable[[Plan, Sequence[Endpoint]], Floats]
    ) -> Floats:
        key = f"{kind}: {schedule}"
        if key not in self.looked:
            self.looked[key] = values(schedule, self.asked)
            if self.told is not None:
                self.told(min(len(self.looked), self.total), self.total)
        return self.looked[key]

    # -- one unknown

    def row(self, over: Fraction | None) -> Attainment:
        """The answer along the inner unknown, at one value of the other."""
        about = self.unknowns[self.inner]
        values = self._valid(over)[1]
        about = dataclasses.replace(about, values=tuple(values))
        numbers = np.array([float(value) for value in values])
        scanned = scan_places(numbers.tolist(), self.scanned, about.name == "dose")
        asked = np.array([asked_share(wish) for wish in self.wishes])

        def shares(place: int) -> Floats:
            found = self.look(self._at(over, values[place]))
            return np.array([attained(row, wish) for row, wish in zip(found, self.wishes, strict=True)])

        def met(place: int) -> bool:
            return all(enough(share, wish) for share, wish in zip(shares(place), self.wishes, strict=True))

        runs = runs_met(met, scanned)
        end = self.end or self._usual_end(runs, shares, scanned, len(values))
        if runs:
            nearest = runs[0][0] if end == "smallest" else runs[-1][1]
        else:
            nearest = max(
                scanned, key=lambda place: self._closeness(shares(place) - asked, over, values[place])
            )
        places = sorted({*scanned, nearest})
        x = numbers[places]
        people = np.array([self.look(self._at(over, values[place])) for place in places])
        standings = [self.scene.standings(planned(self._at(over, values[place]))) for place in places]
        fine = fine_places(numbers)
        value = float(numbers[nearest]) if runs else math.nan
        low, high, found_by, bands = self._by_parameters(over, values, places, x, fine, people, end, value)
        return Attainment(
            schedule=self._text(over),
            unknown=about,
            end=end,
            value=value,
            low=low,
            high=high,
            ranges=tuple((float(numbers[first]), float(numbers[last])) for first, last in runs),
            x=x,
            curves=tuple(
                self._curve(wish, fine, x, people[:, i], bands[i], end, standings)
                for i, wish in enumerate(self.wishes)
            ),
            nearest=float(numbers[nearest]),
            found_by=found_by,
            chosen=str(self._at(over, values[nearest])),
            behind=self.scene.behind,
            warnings=self.scene.warnings(self._at(over, values[nearest])),
            reading=self._reading(),
            notes=tuple(dict.fromkeys((*self.scene.population.notes, *self._resting()))),
            provenance=self._provenance(about),
        )

    def _closeness(self, beyond: Floats, over: Fraction | None, value: Fraction) -> tuple[float, float]:
        """By how much shares of people miss what is asked, and where that is the same, medians."""
        medians = [quantiles(row, (0.5,))[0] for row in self.look(self._at(over, value))]
        signs = [1.0 if wish.relation.startswith(">") else -1.0 for wish in self.wishes]
        missed = [
            sign * (median - wish.value) / (abs(wish.value) or 1.0)
            for sign, median, wish in zip(signs, medians, self.wishes, strict=True)
        ]
        return float(beyond.min()), float(min(missed)) if not np.isnan(missed).any() else -math.inf

    def _usual_end(self, runs: Sequence[tuple[int, int]], shares: Any, scanned: Sequence[int], n: int) -> str:
        """Which end is meant where nobody says: where the target begins to be met, or ceases to be."""
        whole = len(runs) == 1 and runs[0] == (0, n - 1)
        if runs and not whole:
            return "largest" if runs[0][0] == 0 and runs[-1][1] < n - 1 else "smallest"
        trend = float((shares(scanned[-1]) - shares(scanned[0])).sum())
        if trend == 0.0:  # nobody here or everybody there: the endpoints say which way is better
            first, last = (np.nanmedian(self._values(place), axis=1) for place in (scanned[0], scanned[-1]))
            up = np.array([1.0 if wish.relation.startswith(">") else -1.0 for wish in self.wishes])
            trend = float(np.nansum(up * np.sign(last - first)))
        return "smallest" if trend >= 0.0 else "largest"

    def _values(self, place: int) -> Floats:
        over = None if len(self.unknowns) == 1 else self.unknowns[1 - self.inner].values[0]
        return self.look(self._at(over, self._valid(over)[1][place]))

    def _curve(
        self,
        wish: Constraint,
        fine: Floats,
        x: Floats,
        values: Floats,
        band: Floats,
        end: str,
        standings: Sequence[Mapping[str, Standing]],
    ) -> WishCurve:
        """values : (n, n_people); band : (2, n); standings : (n,)."""
        own = own_values(wish.holds(between_places(x, values, fine)), fine, end)
        never = np.isposinf(own) if end == "smallest" else np.isneginf(own)
        return WishCurve(
            wish=wish,
            share=attained(values, wish),
            low=band[0],
            high=band[1],
            median=np.array([quantiles(row, (0.5,))[0] for row in values]),
            own=np.asarray(quantiles(own, LEVELS)),
            never=float(never.mean()),
            of_group=self.scene.criteria.risk(wish.endpoint.name) is not None,
            standings=tuple(one.get(wish.endpoint.name, COUNTED) for one in standings),
        )

    def _by_parameters(
        self,
        over: Fraction | None,
        values: Sequence[Fraction],
        places: Sequence[int],
        x: Floats,
        fine: Floats,
        people: Floats,
        end: str,
        value: float,
    ) -> tuple[float, float, float, Floats]:
        """Ends of the answer's interval, the share of draws with an answer, and (n_wishes, 2, n) bands of the
        curves.

        The few people under every draw differ from all people by chance, alike under all draws: an answer of
        a draw is taken as a multiple of theirs at the estimates, a share as a difference from it.
        """
        if all(self.scene.criteria.risk(wish.endpoint.name) for wish in self.wishes):
            # of a probability of the group each subject has a draw, and nobody a share
            answers = self._ends_of_draws(x, fine, people[:, :, None, :], end)
            found_by = float(np.mean(answers < math.inf if end == "smallest" else answers > -math.inf))
            low, high = interval_of(answers) if not math.isnan(value) else (math.nan, math.nan)
            return low, high, found_by, np.full((len(self.wishes), 2, x.size), np.nan)
        if self.people.crossed is None:
            return math.nan, math.nan, math.nan, np.full((len(self.wishes), 2, x.size), np.nan)
        draws = np.array([self.look_crossed(self._at(over, values[place])) for place in places])
        few = people[:, :, : self.people.n_crossed, None]
        answers = self._ends_of_draws(x, fine, draws, end)
        (theirs,) = self._ends_of_draws(x, fine, few, end)
        bands = np.empty((len(self.wishes), 2, x.size))
        for i, wish in enumerate(self.wishes):
            shares = attained_by_draws(people[:, i], draws[:, i], wish)
            bands[i] = np.array([share_interval(row) for row in shares]).T
            if self.scene.criteria.risk(wish.endpoint.name):
                bands[i] = np.nan
        found_by = float(np.mean(answers < math.inf if end == "smallest" else answers > -math.inf))
        if math.isnan(value):
            return math.nan, math.nan, found_by, bands
        scale = value / theirs if math.isfinite(theirs) else 1.0
        low, high = (number * scale for number in interval_of(answers))
        if self.unknowns[self.inner].name != "dose":  # whole numbers
            low, high = np.round(low), np.round(high)
        low, high = (_within(float(number), fine) for number in (low, high))
        return low, high, found_by, bands

    def _ends_of_draws(self, x: Floats, fine: Floats, draws: Floats, end: str) -> Floats:
        """(n_draws,) answers, of values (n, n_wishes, n_people, n_draws)."""
        met = np.ones((fine.size, draws.shape[-1]), dtype=bool)
        for i, wish in enumerate(self.wishes):
            for d in range(draws.shape[-1]):
                met[:, d] &= enough(attained(between_places(x, draws[:, i, :, d], fine), wish), wish)
        return own_values(met, fine, end)

    # -- words

    def _text(self, over: Fraction | None) -> str:
        if over is None:
            return self.opened.said
        pieces = self.opened.said.split("?")
        number = f"{float(over):g}"
        first, second = (number, "?") if self.inner == 1 else ("?", number)
        return f"{pieces[0]}{first}{pieces[1]}{second}{pieces[2]}"

    def _resting(self) -> list[str]:
        asked = {wish.endpoint for wish in self.wishes}
        criteria = self.scene.criteria
        said = [group.said for group in criteria.resting(endpoint.group for endpoint in asked)]
        return said + [risk.note for risk in criteria.risks if risk.endpoint in asked]

    def _reading(self) -> tuple[str, ...]:
        scene, crossed, said = self.people.scene, self.people.crossed, []
        if any(wish.share is None for wish in self.wishes):
            said.append(
                'Where nobody says in how many people, half of them must reach it ("in 90 % of people").'
            )
        said.append(
            f"Shares are of the same {scene.subjects:,} virtual people at every value"
            f"{', at the estimates of the fit' if scene.fitted else ''}, followed for "
            f"{self.scene.until_days:g} days."
        )
        if crossed is not None:
            said.append(
                "Intervals are of 90 % by the uncertainty of the fitted parameters alone: "
                f"{self.people.n_crossed} of these people under each of {crossed.draws} draws of them."
            )
        else:
            said.append(f"{scene.sure_of.capitalize()}.")
        said += given_words(self.extremes)
        if any(isinstance(plan, AdaptiveSchedule) for plan in self.extremes):
            said.append(
                "What each person needs, and intervals, are read along straight lines between the values "
                "that were looked at; rules make courses jump there, so that either may be off by one step "
                "of the table. The answer itself is simulated."
            )
        return tuple(said)

    def _provenance(self, about: Unknown) -> dict[str, Any]:
        from pkpd import __version__

        population = self.scene.population
        return {
            "fit": self.scene.fit,
            "fitted": self.scene.fitted,
            "model": population.kernel.NAME,
            "model_hash": population.kernel.HASH,
            "wishes": [str(wish) for wish in self.wishes],
            "schedule": self.opened.said,
            "looked_at": f"{about.shown(about.values[0])} to {about.shown(about.values[-1])}",
            "seed": population.seed,
            "subjects": self.people.scene.subjects,
            "draws": self.people.crossed.draws if self.people.crossed is not None else 1,
            "vary": list(population.vary),
            **self.scene.about,
            "until_days": self.scene.until_days,
            "versions": {"pkpd": __version__, "numpy": np.__version__, "python": platform.python_version()},
        }


def _within(value: float, looked_at: Floats) -> float:
    """The value, or infinite where it lies beyond what was looked at."""
    if value < looked_at[0]:
        return -math.inf
    return value if value <= looked_at[-1] else math.inf
