"""From a scene and an endpoint to what drives it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.arguments import ABSENT, CALLABLE, LIST, TEXT, WHOLE, of, takes
from pkpd.core.errors import InputError
from pkpd.core.extras import optional
from pkpd.core.names import question_or_list
from pkpd.core.progress import Progress
from pkpd.decision.comparison import Scene
from pkpd.decision.comparison.scene import horizon
from pkpd.decision.drivers import indices
from pkpd.decision.drivers.indices import EXTRA, Evaluated, Indices
from pkpd.decision.drivers.result import PARAMETERS, PEOPLE, WORDS, Driver, Drivers, Origin
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.evidence import COUNTED
from pkpd.decision.single import endpoints_of, only, resting, values_of
from pkpd.dosing import Schedule
from pkpd.dosing.taking import GivenDoses, TakenSchedule, exact_doses
from pkpd.inference.sources import Sources
from pkpd.solver.kernel import cautions_of

Floats = NDArray[np.float64]

TAIL = 1.6448536269514722  # of the standard normal distribution, beyond which 5 % lie
BOTH = 24  # of the other origin, over whom the ends of the tornado have their intervals
SCREENED_FROM = 8  # inputs, from which on they are screened first
SMALL = 0.02  # of the largest elementary effect: what does less is left out
MOST = 16  # inputs with indices
MISSING = 0.01  # of the subjects, who may be without a value
FEWEST, MOST_SAMPLES = 16, 65_536


@takes(
    scene=of(Scene, words="a scene (pkpd.Scene.create)"),
    schedule=TEXT | of(Schedule, TakenSchedule),
    endpoint=TEXT,
    origins=LIST | TEXT,
    samples=WHOLE,
    seed=WHOLE,
    progress=CALLABLE | ABSENT,
)
def drivers(
    scene: Scene,
    schedule: str | GivenDoses,
    endpoint: str,
    *,
    origins: Sequence[str] = (PEOPLE, PARAMETERS),
    samples: int = 256,
    seed: int = 1,
    progress: Progress | None = None,
) -> Drivers:
    """What drives an endpoint: which differences between people, and which parameters that are not known
    exactly.

    Of each input there are the endpoint at its 5 % and 95 % (the tornado), and shares of the variance:
    ``first``, which would be gone if it were known, and ``total``, which would be left if all others were. Of
    independent inputs these are Sobol's first-order and total indices; parameters of a fit are correlated,
    and theirs are the same shares with what goes together taken into account (`pkpd.decision.drivers`).

    Parameters
    ----------
    scene : says of which fit, with which covariates and parameters; its subjects are not used.
    schedule : in the schedule language; doses may be missed, late or doubled on stated days.
    endpoint : by name.
    origins : "people", "parameters", or both.
    samples : pairs of samples behind the shares, a power of two; half-widths of their intervals fall with its
        square root.
    seed : of the samples.
    progress : called with (what, share, remark).

    Returns
    -------
    Drivers : of each origin the inputs, those that move the endpoint most first.

    Raises
    ------
    InputError : an unknown endpoint; one that is of the whole group, that not everybody has, or that is the
        same in all.
    MissingExtraError : SALib is not installed.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=1)
    >>> found = pkpd.drivers(scene, "1 MIU sc once", "AUC", origins=["people"], samples=32)
    >>> found.drivers[0].name
    'CL'
    """
    optional("SALib", EXTRA)
    chosen = _origins(origins)
    if not FEWEST <= samples <= MOST_SAMPLES or samples & (samples - 1):
        raise InputError(
            f"the number of samples must be a power of two from {FEWEST} to {MOST_SAMPLES:,}, not {samples:,}"
        )
    if not scene.who:
        raise InputError("what drives an endpoint is asked of the people of a fit: Scene.create has them")
    plan = exact_doses(schedule)
    there = scene if scene.until_days is not None else scene.lasting(horizon([plan]))
    there.check(plan)
    (asked,) = endpoints_of(there, plan, [endpoint])
    if there.criteria.risk(endpoint) is not None:
        raise InputError(
            f'"{endpoint}" is a probability of the whole group, which parameters of the model do not drive'
        )
    study = _Study(there, plan, asked, Sources.of(scene.who), samples, seed, progress)
    return study.found(chosen)


def _origins(by: Sequence[str] | str) -> tuple[str, ...]:
    several = [by] if isinstance(by, str) else list(by)
    for name in several:
        if name not in WORDS:
            known = " or ".join(WORDS)
            raise InputError(f"an endpoint is driven by {known}; {question_or_list(str(name), WORDS)}")
    if not several:
        raise InputError(f"driven by what? Name {' or '.join(WORDS)}, or both")
    return tuple(name for name in WORDS if name in several)


@dataclass(frozen=True)
class _Input:
    name: str
    description: str
    unit: str
    value: Callable[[float], float]
    """A deviation in SDs -> the value for people."""


@dataclass(frozen=True)
class _Side:
    """One origin: its inputs, their correlation, and how deviations in SDs, (n, d), become what
    ``Sources.population`` takes."""

    by: str
    inputs: tuple[_Input, ...]
    correlation: Floats
    placed: Callable[[Floats], Floats]


class _Study:
    def __init__(
        self,
        scene: Scene,
        plan: Schedule,
        endpoint: Endpoint,
        sources: Sources,
        samples: int,
        seed: int,
        progress: Progress | None,
    ) -> None:
        self.scene, self.warned = only(scene, [endpoint.name]), scene.warnings(plan)
        self.standing, self.behind = scene.standings(plan).get(endpoint.name, COUNTED), scene.behind
        self.plan, self.endpoint, self.sources = plan, endpoint, sources
        self.samples, self.seed, self.progress = samples, seed, progress
        self.sides = {side.by: side for side in (self._people(), self._parameters()) if side.inputs}
        self.missing = 0

    def _people(self) -> _Side:
        sources, kernel = self.sources, self.sources.kernel
        units = dict(zip(kernel.PARAMETERS, kernel.UNITS, strict=True))

        def one(name: str) -> _Input:
            return _Input(name, sources.called[name], units[name], lambda z: sources.value_of_person(name, z))

        inputs = tuple(map(one, sources.people))
        return _Side(PEOPLE, inputs, sources.correlation, lambda z: z)

    def _parameters(self) -> _Side:
        sources = self.sources
        sds = np.sqrt(np.diag(sources.covariance)) if sources.covariance.size else np.empty(0)

        def one(i: int) -> _Input:
            estimate = sources.estimates[i]

            def value(z: float) -> float:
                return sources.value_of_estimate(i, float(sources.centre[i] + z * sds[i]))

            return _Input(estimate.name, sources.called[estimate.target], estimate.unit, value)

        inputs = tuple(one(i) for i in range(len(sources.estimates)))
        correlation = sources.covariance / np.outer(sds, sds) if sds.size else np.empty((0, 0))
        return _Side(PARAMETERS, inputs, correlation, lambda z: sources.centre + z * sds)

    # -- results

    def values(self, people: Floats | None, parameters: Floats | None, what: str) -> Floats:
        """(n,) of the endpoint at deviations in SDs of people and of parameters."""
        known = self.sides.get(PARAMETERS)
        points = None if parameters is None or known is None else known.placed(parameters)
        population = self.sources.population(people, points)

        def told(_: str, share: float, remark: str) -> None:
            if self.progress is not None:
                self.progress(what, share, remark)

        (found,) = values_of(self.scene, population, self.plan, [self.endpoint], told)
        lost = ~np.isfinite(found)
        if lost.mean() > MISSING:
            raise InputError(
                f"{lost.sum():,} of {lost.size:,} virtual people have no finite {self.endpoint.name} "
                f"({self.endpoint.missing or 'their course could not be integrated'}): its variance is "
                "that of nobody. Ask for an endpoint that everybody has"
            )
        self.missing += int(lost.sum())
        return np.where(lost, np.median(found[~lost]), found)

    def at(self, by: str, z: Floats, what: str) -> Floats:
        return self.values(z, None, what) if by == PEOPLE else self.values(None, z, what)

    def found(self, chosen: Sequence[str]) -> Drivers:
        sides = [self.sides[by] for by in chosen if by in self.sides]
        if not sides:
            of = "fit" if self.scene.fitted else "model"
            raise InputError(
                f"the {of} {self.scene.fit} has no {' and no '.join(WORDS[by] for by in chosen)}: nothing "
                "drives an endpoint"
            )
        typical = float(self.values(None, None, "the typical person")[0])
        found: list[Driver] = []
        sds: dict[str, float] = {}
        said: list[str] = []
        for side in sides:
            sds[side.by], ones = self._side(side, typical, said)
            found += ones
        if not any(sds.values()):
            raise InputError(f"{self.endpoint.name} is {typical:.4g} in everybody: nothing drives it")
        return Drivers(
            endpoint=self.endpoint,
            schedule=self.plan,
            typical=typical,
            origins=self._shared(sides, sds),
            drivers=tuple(found),
            standing=self.standing,
            behind=self.behind,
            reading=(*self._reading(sides), *said),
            warnings=self._warnings(),
            provenance=self._provenance(chosen),
        )

    def _side(self, side: _Side, typical: float, said: list[str]) -> tuple[float, list[Driver]]:
        """The SD by one origin, and its inputs, those that move the endpoint most first."""
        d, by = len(side.inputs), side.by

        def evaluate(what: str) -> Evaluated:
            return lambda z: self.at(by, z, what)

        effects = np.full(d, np.nan)
        if d > SCREENED_FROM:
            effects = indices.screened(evaluate(f"screening {by}"), d, self.seed)
        which = _worth(effects)
        ones = self._tornado(side, typical)
        ones = [replace(one, screening=float(effect)) for one, effect in zip(ones, effects, strict=True)]
        sd = self._sd(side)
        if sd > 0.0 and which:
            work = evaluate(f"shares of variance by {by}")
            shares = indices.shares(work, side.correlation, which, self.samples, self.seed)
            for k, i in enumerate(which):
                ones[i] = _with_shares(ones[i], shares, k)
        if left := d - len(which):
            said.append(
                f"By {by}: {left} of {d} inputs do less than {100 * SMALL:g} % of what the strongest does "
                "when each is moved alone (Morris), or are not among the first "
                f"{MOST}; they vary all the same, and their own shares were not counted."
            )
        return sd, sorted(ones, key=lambda one: (math.isnan(one.first), -one.swing))

    def _sd(self, side: _Side) -> float:
        rng = np.random.default_rng(self.seed)
        root = np.linalg.cholesky(side.correlation)
        z = rng.standard_normal((self.samples, len(side.inputs))) @ root.T
        values = self.at(side.by, z, f"spread by {side.by}")
        sd = float(values.std(ddof=1))
        return sd if sd > 1e-12 * abs(float(values.mean())) else 0.0

    def _tornado(self, side: _Side, typical: float) -> list[Driver]:
        """Each input at its 5 % and 95 %, with the others where they are then expected; the intervals are
        over the other origin."""
        d = len(side.inputs)
        moves = TAIL * np.concatenate([-side.correlation, side.correlation])  # (2 d, d)
        what = f"ends of {side.by}"
        ends = self.at(side.by, moves, what).reshape(2, d)
        other = self.sides.get(PARAMETERS if side.by == PEOPLE else PEOPLE)
        widths = np.full((2, d, 2), np.nan)
        if other is not None:
            rng = np.random.default_rng(self.seed + 1)
            some = rng.standard_normal((BOTH, len(other.inputs))) @ np.linalg.cholesky(other.correlation).T
            placed = np.vstack([moves, np.zeros(d)])  # and the middle, from which ends are counted
            mine, theirs = np.repeat(placed, BOTH, axis=0), np.tile(some, (2 * d + 1, 1))
            people, parameters = (mine, theirs) if side.by == PEOPLE else (theirs, mine)
            spread = self.values(people, parameters, what).reshape(2 * d + 1, BOTH)
            changes = np.quantile(spread[:-1] - spread[-1], (0.05, 0.95), axis=1)
            widths = typical + np.moveaxis(changes.reshape(2, 2, d), 0, -1)
        return [
            Driver(
                name=one.name,
                description=one.description,
                unit=one.unit,
                by=side.by,
                low_value=one.value(-TAIL),
                high_value=one.value(TAIL),
                low=float(ends[0, i]),
                high=float(ends[1, i]),
                low_ends=_pair(widths[0, i]),
                high_ends=_pair(widths[1, i]),
            )
            for i, one in enumerate(side.inputs)
        ]

    def _shared(self, sides: Sequence[_Side], sds: dict[str, float]) -> tuple[Origin, ...]:
        """The origins, with their shares of the variance by both where both were asked for."""
        if len(sides) < 2 or not all(sds.values()):
            return tuple(Origin(side.by, sds[side.by]) for side in sides)
        d = len(sides[0].inputs)

        def evaluate(z: Floats) -> Floats:
            return self.values(z[:, :d], z[:, d:], "people and parameters")

        roots = [np.asarray(np.linalg.cholesky(side.correlation), dtype=np.float64) for side in sides]
        shares = indices.groups(evaluate, roots, self.samples, self.seed)
        return tuple(Origin(side.by, sds[side.by], **_shares(shares, k)) for k, side in enumerate(sides))

    # -- words

    def _reading(self, sides: Sequence[_Side]) -> tuple[str, ...]:
        said = [
            "Ends: the endpoint of the typical person where 5 % and 95 % of an input lie, with what goes "
            "together with it where it is then expected.",
            "First: the share of the variance that would be gone if the input were known; total: that which "
            "would be left if all others were. Intervals are of 90 %, by resampling.",
        ]
        if any(side.by == PARAMETERS for side in sides):
            said.append(
                f"What is not known of the parameters is {self.sources.approximated}, whose correlations are "
                "taken into account: first shares then overlap, and do not add up to 1."
            )
        if len(self.sides) == 2:
            said.append(
                "Intervals of an end: how far it lies from the middle in 90 % by the other of people and "
                "parameters."
            )
        return tuple(said)

    def _warnings(self) -> tuple[str, ...]:
        said = [*self.warned, *resting(self.scene, [self.endpoint])]
        if self.missing:
            said.append(
                f"{self.missing:,} of the virtual people had no finite value and count as the median one."
            )
        return (*said, *cautions_of(self.sources.kernel))

    def _provenance(self, chosen: Sequence[str]) -> dict[str, Any]:
        from pkpd import __version__

        kernel = self.sources.kernel
        return {
            "fit": self.scene.fit,
            "fitted": self.scene.fitted,
            "model": kernel.NAME,
            "model_hash": kernel.HASH,
            "endpoint": self.endpoint.name,
            "schedule": str(self.plan),
            "by": list(chosen),
            "samples": self.samples,
            "seed": self.seed,
            **self.scene.about,
            "until_days": self.scene.until_days,
            "versions": {"pkpd": __version__, "SALib": _salib(), "numpy": np.__version__},
        }


def _salib() -> str | None:
    from pkpd.core.extras import version

    return version("SALib")


def _worth(effects: Floats) -> list[int]:
    """The inputs whose shares are counted: all where none was screened, else those that do something."""
    if np.isnan(effects).all():
        return list(range(effects.size))
    ranked = np.argsort(-effects, kind="stable")[:MOST]
    return sorted(int(i) for i in ranked if effects[i] > SMALL * effects.max())


def _shares(found: Indices, k: int) -> dict[str, Any]:
    def ends(middle: float, width: float) -> tuple[float, float]:
        return middle - width, middle + width

    first, first_width, total, total_width = (float(column[k]) for column in found)
    return {
        "first": first,
        "first_ends": ends(first, first_width),
        "total": total,
        "total_ends": ends(total, total_width),
    }


def _with_shares(one: Driver, found: Indices, k: int) -> Driver:
    return replace(one, **_shares(found, k))


def _pair(ends: Floats) -> tuple[float, float]:
    low, high = map(float, ends)
    return (low, high) if math.isfinite(low) else (math.nan, math.nan)
