"""From a schedule with "?" to an endpoint over what stands there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, NUMBER, TEXT, of, takes
from pkpd.core.errors import InputError, ScheduleError
from pkpd.core.progress import Progress, counting
from pkpd.decision.comparison import Scene
from pkpd.decision.comparison.result import FEWEST_DRAWS, given_words
from pkpd.decision.comparison.scene import horizon
from pkpd.decision.endpoints import Endpoint, quantiles
from pkpd.decision.evidence import COUNTED, Standing
from pkpd.decision.inverse.along import scan_places
from pkpd.decision.inverse.question import OpenSchedule, Unknown, unknown
from pkpd.decision.people import People, interval_of
from pkpd.decision.response.published import PublishedDose, published_doses
from pkpd.decision.response.result import LEVELS, DoseResponse, ExposureResponse
from pkpd.decision.single import endpoints_of, resting
from pkpd.dosing.rules import Plan, planned
from pkpd.solver.kernel import cautions_of

Floats = NDArray[np.float64]

POINTS, MOST_POINTS = 13, 60
CROSSED = 40
"""People who are followed under every draw of the parameters."""
GROUPS = 12
"""Into which people are parted by their exposure, for the curve; of at least so many people each:"""
FEWEST = 10


@takes(
    scene=of(Scene, words="a scene (pkpd.Scene.create)"),
    schedule=TEXT,
    endpoint=TEXT,
    over=TEXT | ABSENT,
    dose=TEXT | ABSENT,
    interval=TEXT | ABSENT,
    days=TEXT | ABSENT,
    cycles=TEXT | ABSENT,
    adherence=NUMBER,
    jitter=TEXT | ABSENT,
    points=COUNT,
    progress=CALLABLE | ABSENT,
)
def dose_response(
    scene: Scene,
    schedule: str,
    endpoint: str,
    *,
    over: str | None = None,
    dose: str | None = None,
    interval: str | None = None,
    days: str | None = None,
    cycles: str | None = None,
    adherence: float = 1.0,
    jitter: str | None = None,
    points: int = POINTS,
    progress: Progress | None = None,
) -> DoseResponse:
    """An endpoint over the dose, the interval or the number of doses, and over another endpoint, such as an
    exposure.

    The same people are given every dose, at the estimates of the fit; how sure the parameters are of the
    median person is asked apart, of up to 40 of them under every draw of the parameters.

    Parameters
    ----------
    scene : the subjects, made by ``Scene.create``: its number of people, and its draws.
    schedule : in the schedule language, with one "?": "? mg oral daily x5"; behind it may stand how its
        doses are taken, "? mg oral daily x5; miss day 3; adherence 90 %", or rules, "; hold if C > 2 mg/L".
    endpoint, over : by name; over: what the endpoint is shown against besides, in the same people.
    dose, interval, days, cycles : which values stand for the "?", "0.25 to 3 mg", "1, 2, 4 mg"; by default
        the doses of the fit's endpoints, 7 to 56 days, 1 to 14 doses and 1 to 12 cycles.
    adherence, jitter : the probability that a dose is taken, and the standard deviation of the times about
        the planned ones ("2 h"), where the schedule says none of its own, as in ``Scene.arms``: everybody
        misses doses of their own, the same at every value.
    points : how many values of a range, of a dose by equal ratios.
    progress : called with (what, share, remark).

    Returns
    -------
    DoseResponse : quantiles over people, the interval of the median by the parameters, published numbers of
        the same pattern.

    Raises
    ------
    InputError : what cannot be read, a schedule without "?" or with two, a range that nobody says, an unknown
        endpoint, too few draws.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=20, vary=["between"])
    >>> found = pkpd.dose_response(scene, "? MIU sc daily x5", "Treg mean fold", dose="0.5, 1, 2 MIU")
    >>> found.people.shape
    (5, 3)
    """
    opened = OpenSchedule.parse(schedule).taken(adherence, jitter)
    if len(opened.names) > 1:
        raise InputError(
            f'the schedule "{schedule[:80]}" has two "?"; an endpoint is shown over one: write the other '
            "as a number"
        )
    if not 2 <= points <= MOST_POINTS:
        raise InputError(f"the number of points must be from 2 to {MOST_POINTS}, not {points}")
    said = {"dose": dose, "interval": interval, "days": days, "cycles": cycles}
    for name, text in said.items():
        if text is not None and name not in opened.names:
            raise InputError(f'{name} "{text}": the schedule "{schedule}" has no "?" in place of its {name}')
    about = unknown(opened.names[0], opened.units[0], said[opened.names[0]], scene.criteria)
    if endpoint == over:
        raise InputError(f'"{endpoint}" over itself says nothing: name another endpoint')
    values, plans = _plans(opened, about, points)
    if scene.until_days is None:
        scene = scene.lasting(horizon([plans[0], plans[-1]]))
    for plan in plans:
        scene.check_plan(plan)
    asked = endpoints_of(scene, plans[-1], [endpoint, over] if over is not None else [endpoint])
    work = _Courses(scene, plans, asked, progress)
    y = work.people()
    low, high = work.by_parameters(y[:, 0])
    exposure = _exposure(asked[1], y[:, 1], y[:, 0]) if over is not None else None
    published = published_doses(scene, opened, scene.criteria.declared(endpoint))
    published = tuple(point for point in published if values[0] <= point.x <= values[-1])
    return DoseResponse(
        pattern=opened.said,
        unknown=about,
        endpoint=asked[0],
        values=np.array([float(value) for value in values]),
        people=np.array([quantiles(row, LEVELS) for row in y[:, 0]]).T,
        low=low,
        high=high,
        published_doses=published,
        exposure=exposure,
        value_standings=work.standings(),
        behind=scene.behind,
        reading=work.reading(published, exposure),
        warnings=work.warnings(),
        provenance=work.provenance(opened.said, about),
    )


def _plans(opened: OpenSchedule, about: Unknown, points: int) -> tuple[list[Fraction], list[Plan]]:
    """The values that are looked at, those of them that make a schedule, and the schedules."""
    numbers = [float(value) for value in about.values]
    places = scan_places(numbers, points, about.name == "dose")
    found: list[tuple[Fraction, Plan]] = []
    error: ScheduleError | None = None
    for place in places:
        try:
            found.append((about.values[place], opened.schedule([about.values[place]])))
        except ScheduleError as wrong:
            if about.name == "dose":  # an interval may be too short; of doses all are asked for
                raise
            error = wrong
    if len(found) < 2:
        raise error or InputError(f"{about.called}: at least two values are looked at")
    return [value for value, _ in found], [plan for _, plan in found]


class _Courses:
    def __init__(
        self,
        scene: Scene,
        plans: Sequence[Plan],
        asked: Sequence[Endpoint],
        progress: Progress | None,
    ) -> None:
        self.scene, self.plans, self.asked = scene, plans, asked
        vary = set(scene.population.vary)
        self.uncertain = bool(vary & {"uncertainty", "study"})
        draws = scene.who.get("draws") or scene.draws
        if self.uncertain and draws < FEWEST_DRAWS:
            raise InputError(
                f"{draws} draws are too few for the uncertainty of the parameters: at least {FEWEST_DRAWS}, "
                "or vary without uncertainty"
            )
        self.those = People.of(
            scene,
            [endpoint.name for endpoint in asked],
            scene.subjects,
            draws=draws if self.uncertain else None,
            most=CROSSED,
        )
        self.told = counting(progress, "simulating", "schedules")
        self.total = len(plans) * (2 if self.uncertain else 1)
        self.done = 0

    def people(self) -> Floats:
        """(n, n_asked, n_people) at the estimates."""
        return np.array([self._looked(self.those.values, plan) for plan in self.plans])

    def by_parameters(self, y: Floats) -> tuple[Floats, Floats]:
        """(n,) ends of the interval of the median person, of y (n, n_people).

        The few under every draw differ from all by chance, alike under all draws: their medians are moved by
        how far they are from that of all at the estimates.
        """
        none = np.full(len(self.plans), np.nan)
        if self.those.crossed is None or self.scene.criteria.risk(self.asked[0].name) is not None:
            return none, none
        ends = []
        for plan, of_all in zip(self.plans, y, strict=True):
            values = self._looked(self.those.values_crossed, plan)[0]
            medians = np.array([quantiles(column, (0.5,))[0] for column in values.T])
            shift = quantiles(of_all, (0.5,))[0] - quantiles(of_all[: self.those.n_crossed], (0.5,))[0]
            moved = medians + (shift if np.isfinite(shift) else 0.0)
            # what nobody has below zero, such as a share of doses, no median has
            ends.append(interval_of(moved if (medians < 0.0).any() else np.maximum(moved, 0.0)))
        low, high = np.array(ends).T
        return low, high

    def _looked(self, values: Callable[[Plan, Sequence[Endpoint]], Floats], plan: Plan) -> Floats:
        found = values(plan, self.asked)
        self.done += 1
        if self.told is not None:
            self.told(self.done, self.total)
        return found

    def standings(self) -> tuple[Standing, ...]:
        """(n,) of the endpoint."""
        name = self.asked[0].name
        return tuple(self.scene.standings(planned(plan)).get(name, COUNTED) for plan in self.plans)

    # -- words

    def reading(
        self, published: Sequence[PublishedDose], exposure: ExposureResponse | None
    ) -> tuple[str, ...]:
        where = ", at the estimates of the fit" if self.scene.fitted else ""
        said = [
            f"Bands: half and 90 % of the same {self.those.scene.subjects:,} virtual people at every value"
            f"{where}, followed for {self.scene.until_days:g} days."
        ]
        if (crossed := self.those.crossed) is not None:
            said.append(
                "Interval of the median: 90 % by the uncertainty of the fitted parameters alone, of "
                f"{self.those.n_crossed} of these people under each of {crossed.draws} draws of them."
            )
        else:
            said.append(f"{self.scene.sure_of.capitalize()}.")
        said += given_words(self.plans[:1])
        if published:
            said.append(
                "Published numbers are of the same output after doses of the same pattern, on the same "
                "scale, each at its own time: near the endpoint, not the endpoint itself. Changes are set "
                "against the baseline of the median virtual person."
            )
        if exposure is not None:
            said.append(
                f"Against {exposure.over.name}: a point is one person at one value; the curve is the median "
                "of people of like exposure, with 90 % of them. At every value they are the same people."
            )
        return tuple(said)

    def warnings(self) -> tuple[str, ...]:
        scene = self.scene
        plans = (self.plans[0], self.plans[-1])
        said = [*self.those.scene.population.notes, *resting(scene, self.asked)]
        said += [line for plan in plans for line in scene.warnings(plan)]
        return tuple(dict.fromkeys((*said, *cautions_of(scene.population.kernel))))

    def provenance(self, schedule: str, about: Unknown) -> dict[str, Any]:
        from pkpd import __version__

        population = self.scene.population
        return {
            "fit": self.scene.fit,
            "fitted": self.scene.fitted,
            "model": population.kernel.NAME,
            "model_hash": population.kernel.HASH,
            "schedule": schedule,
            "endpoints": [endpoint.name for endpoint in self.asked],
            "looked_at": f"{about.shown(about.values[0])} to {about.shown(about.values[-1])}",
            "seed": population.seed,
            "subjects": self.those.scene.subjects,
            "draws": self.those.crossed.draws if self.those.crossed is not None else 1,
            "vary": list(population.vary),
            **self.scene.about,
            "until_days": self.scene.until_days,
            "versions": {"pkpd": __version__, "numpy": np.__version__},
        }


def _exposure(over: Endpoint, x: Floats, y: Floats) -> ExposureResponse:
    """Of x and y (n, n_people)."""
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise InputError(f"nobody has a finite {over.name}: {over.missing or 'nothing can be shown over it'}")
    flat_x, flat_y = x[known], y[known]
    order = np.argsort(flat_x, kind="stable")
    count = max(1, min(GROUPS, flat_x.size // FEWEST))
    groups = np.array_split(order, count)
    within = [_spearman(a[k], b[k]) for a, b, k in zip(x, y, known, strict=True)]
    ranks = [rank for rank in within if not np.isnan(rank)]
    return ExposureResponse(
        over=over,
        x=x,
        y=y,
        centres=np.array([np.median(flat_x[group]) for group in groups]),
        curve=np.array([np.quantile(flat_y[group], (0.05, 0.5, 0.95)) for group in groups]).T,
        spearman=_spearman(flat_x, flat_y),
        within=float(np.median(ranks)) if ranks else np.nan,
    )


def _spearman(x: Floats, y: Floats) -> float:
    """The correlation of ranks; nan where one of the two is the same in all."""
    if x.size < 3 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
