"""In how many people a wish holds: counted at the estimates of the fit, where people differ and parameters do
not, and over again in some of these people under every draw of the fitted parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.decision.comparison import Scene
from pkpd.decision.comparison.result import between
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.single import only
from pkpd.decision.wishes import Constraint
from pkpd.dosing.rules import Plan

Floats = NDArray[np.float64]

CROSSED = 60
"""People who are followed under every draw of the parameters."""


class PeopleShare(NamedTuple):
    """The share of people in whom something holds, at the estimates of the fit, and its 90 % interval by the
    parameters, nan where they are not uncertain."""

    share: float
    low: float
    high: float

    @property
    def shown(self) -> str:
        """ "93 % (88 to 96)"."""
        span = "" if math.isnan(self.low) else f" ({100 * self.low:.0f} to {100 * self.high:.0f})"
        return f"{100 * self.share:.0f} %{span}"


@dataclass(frozen=True, eq=False)
class People:
    """Who is counted.

    scene : people at the estimates, with the endpoints alone that are asked for; crossed : the first of them
    under every draw, one person after another, None where that is not asked; n_crossed : how many these are.
    """

    scene: Scene
    crossed: Scene | None
    n_crossed: int

    @classmethod
    def of(
        cls, scene: Scene, names: Sequence[str], subjects: int, *, draws: int | None, most: int = CROSSED
    ) -> People:
        """So many people drawn as those of a scene, for endpoints of these names, at most ``most`` of them
        under each of ``draws``; None of nobody. Raises ``InputError`` where ``Scene.create`` did not draw
        them."""
        trimmed = only(scene, names)
        vary = ("between",) if "between" in scene.population.vary else ()
        n_crossed = min(subjects, most)
        return cls(
            trimmed.drawn_as(subjects=subjects, vary=vary, draws=None, posterior=None),
            None if draws is None else trimmed.drawn_as(subjects=n_crossed, draws=draws, crossed=True),
            n_crossed,
        )

    def values(self, schedule: Plan, endpoints: Sequence[Endpoint]) -> Floats:
        """(n_endpoints, n_people) at the estimates, nan where one has no value."""
        return _values(self.scene, schedule, endpoints)

    def values_crossed(self, schedule: Plan, endpoints: Sequence[Endpoint]) -> Floats:
        """(n_endpoints, n_crossed, n_draws); a probability of the group has one value under each draw."""
        assert self.crossed is not None
        values = _values(self.crossed, schedule, endpoints).reshape(len(endpoints), self.n_crossed, -1)
        for i, endpoint in enumerate(endpoints):
            if self.scene.criteria.risk(endpoint.name):
                values[i] = values[i].ravel()[: values.shape[2]]
        return values


def _values(scene: Scene, schedule: Plan, endpoints: Sequence[Endpoint]) -> Floats:
    found = scene.arm(schedule).endpoints
    none = np.full(scene.subjects, np.nan)
    return np.array([found.get(endpoint, none) for endpoint in endpoints])


def attained(values: Floats, wish: Constraint) -> Floats:
    """Shares of subjects, over the last axis, in whom a wish holds; who has no value counts as one in whom it
    does not."""
    return np.asarray(wish.holds(values).mean(axis=-1))


def attained_by_draws(people: Floats, crossed: Floats, wish: Constraint) -> Floats:
    """(..., n_draws) shares of people under each draw, of values (..., n_people) at the estimates and
    (..., n_crossed, n_draws).

    The few people under every draw differ from all people by chance, alike under all draws: shares are moved
    by what theirs differs at the estimates, and may so come out somewhat below 0 or above 1.
    """
    few = people[..., : crossed.shape[-2]]
    moved = attained(people, wish) - attained(few, wish)
    return attained(np.moveaxis(crossed, -1, -2), wish) + moved[..., None]


def asked_share(wish: Constraint) -> float:
    """The share of people in whom it must hold: half of them where the median subject is meant."""
    return 0.5 if wish.share is None else wish.share


def enough(shares: Floats, wish: Constraint) -> NDArray[np.bool_]:
    """Whether shares of people are what a wish asks for."""
    return np.asarray(shares >= asked_share(wish) - 1e-12)


def share_interval(draws: Floats) -> tuple[float, float]:
    """The interval of a share, by its values under each draw, (n_draws,)."""
    low, high = np.clip(interval_of(draws), 0.0, 1.0)
    return float(low), float(high)


def interval_of(draws: Floats) -> tuple[float, float]:
    """Between what one draw more lies with a probability of 90 %; an end may be infinite."""
    if np.isfinite(draws).all():
        ((low, high),) = between(draws[None])
        return float(low), float(high)
    ordered, n = np.sort(draws), draws.size
    places = np.clip(np.array([math.floor(0.05 * (n + 1)), math.ceil(0.95 * (n + 1))]) - 1, 0, n - 1)
    low, high = ordered[places]
    return float(low), float(high)
