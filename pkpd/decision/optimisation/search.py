"""The search: every schedule where there are few, else the genetic algorithm NSGA-II (Deb, Pratap, Agarwal &
Meyarivan, IEEE Trans Evol Comput 6 (2002) 182) of pymoo, which keeps a whole front at once.

Of what was tried (docs/optimise.md has the figures) it came closest to the front of a space that was also
searched completely.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import MissingExtraError
from pkpd.decision.optimisation.outcome import Outcome
from pkpd.decision.optimisation.space import Space, SpacePoint
from pkpd.dosing import Schedule

Floats = NDArray[np.float64]

POPULATION = 24  # of 24 and 40, which were measured
FRUITLESS = 25  # generations without a new schedule after which nothing new is to be expected
BATCH = 32  # schedules at a time where all are evaluated

Evaluate = Callable[[Sequence[Schedule]], None]
Scoring = Callable[[Outcome], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Searched:
    """How a search ended: the point of every schedule that was asked for; whether those are all there are;
    whether it was interrupted."""

    points: dict[str, SpacePoint]
    complete: bool
    interrupted: bool


def search(
    space: Space,
    evaluate: Evaluate,
    score: Scoring,
    found: dict[str, Outcome],
    *,
    evaluations: int,
    n_constraints: int,
    n_objectives: int,
    seed: int,
) -> Searched:
    """Evaluate schedules of a space, at most ``evaluations`` of them, so that their front comes close to that
    of all.

    evaluate : puts the outcome of schedules into ``found``, by their text; score : (n_objectives,) values of
        which less is better, and (n_constraints,)
    violations, 0 where a constraint holds. A KeyboardInterrupt ends the search with what was found.

    Raises MissingExtraError where the space is too large to be searched completely and pymoo is not
    installed.
    """
    every = _all(space, evaluations)
    points: dict[str, SpacePoint] = {}

    def look(new: dict[str, SpacePoint]) -> None:
        try:
            evaluate([space.schedule(point) for point in new.values()])
        finally:  # what was done before an interruption counts
            points.update((text, point) for text, point in new.items() if text in found)

    try:
        if every is not None:
            batch = list(every.items())
            for first in range(0, len(batch), BATCH):
                look(dict(batch[first : first + BATCH]))
            return Searched(points, True, False)
        _nsga2(space, look, score, found, points, evaluations, n_constraints, n_objectives, seed)
    except KeyboardInterrupt:
        return Searched(points, False, True)
    return Searched(points, False, False)


def _all(space: Space, most: int) -> dict[str, SpacePoint] | None:
    """Every schedule by its text, or None where there are more."""
    found: dict[str, SpacePoint] = {}
    for point in itertools.islice(space.valid(), 20 * most):
        found.setdefault(str(space.schedule(point)), point)
        if len(found) > most:
            return None
    return found if space.n_combinations <= 20 * most else None


def _nsga2(
    space: Space,
    look: Callable[[dict[str, SpacePoint]], None],
    score: Scoring,
    found: dict[str, Outcome],
    points: dict[str, SpacePoint],
    evaluations: int,
    n_constraints: int,
    n_objectives: int,
    seed: int,
) -> None:
    pymoo = _pymoo()
    sizes = space.sizes
    # the first constraint says whether the doses of a cycle end before the next begins; such a point is never
    # simulated
    problem = pymoo.Problem(
        n_var=len(sizes),
        n_obj=n_objectives,
        n_ieq_constr=1 + n_constraints,
        xl=0,
        xu=np.array(sizes) - 1,
        vtype=int,
    )
    whole = {"vtype": float, "repair": pymoo.RoundingRepair()}
    algorithm = pymoo.NSGA2(
        pop_size=POPULATION,
        sampling=pymoo.IntegerRandomSampling(),
        crossover=pymoo.SBX(prob=1.0, eta=3.0, **whole),
        mutation=pymoo.PM(prob=1.0, eta=3.0, **whole),
        eliminate_duplicates=True,
    )
    algorithm.setup(problem, termination=("n_gen", 1_000_000), seed=seed, verbose=False)
    fruitless = 0
    while fruitless < FRUITLESS and len(points) < evaluations:
        generation = algorithm.ask()
        if generation is None or not len(generation):
            return  # no offspring that was not there before
        asked = [space.at(x) for x in generation.get("X").round().astype(int)]
        texts: list[str | None] = []
        new: dict[str, SpacePoint] = {}
        for point in asked:
            if space.clash(point):
                texts.append(None)
                continue
            text = str(space.schedule(point))
            if text not in points and len(points) + len(new) < evaluations:
                new[text] = point
            texts.append(text)
        look(new)
        fruitless = 0 if new else fruitless + 1
        values = np.zeros((len(asked), n_objectives))
        violations = np.ones((len(asked), 1 + n_constraints))
        for row, (point, name) in enumerate(zip(asked, texts, strict=True)):
            if name is None:
                violations[row, 0] = space.clash(point) + 1.0
            elif name in points:
                values[row], violations[row, 1:] = score(found[name])
                violations[row, 0] = 0.0
        pymoo.Evaluator().eval(pymoo.StaticProblem(problem, F=values, G=violations), generation)
        algorithm.tell(infills=generation)


def _pymoo() -> Any:
    """What is used of pymoo, under one roof. Raises MissingExtraError where it is not installed."""
    from types import SimpleNamespace

    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.problems.static import StaticProblem
    except ImportError:
        raise MissingExtraError(
            "so many schedules are searched by the library pymoo, which is not installed: pip install pymoo; "
            "without it a space is searched completely where it has no more schedules than --evaluations"
        ) from None
    return SimpleNamespace(
        Evaluator=Evaluator,
        NSGA2=NSGA2,
        Problem=Problem,
        SBX=SBX,
        StaticProblem=StaticProblem,
        PM=PM,
        RoundingRepair=RoundingRepair,
        IntegerRandomSampling=IntegerRandomSampling,
    )


def dominates(first: Floats, second: Floats) -> Any:
    """Whether (..., n_objectives) first is nowhere worse and somewhere better than second; less is better."""
    return np.all(first <= second, axis=-1) & np.any(first < second, axis=-1)


def layers(values: Floats) -> NDArray[np.int64]:
    """(n,) numbers of the fronts that (n, n_objectives) values are on: 0 dominated by none, 1 by those of 0
    alone, and so on; less is better."""
    below = dominates(values[:, None], values[None, :])  # [i, j]: i dominates j
    layer = np.full(len(values), -1)
    number = 0
    while (layer < 0).any():
        left = layer < 0
        free = left & ~below[left].any(axis=0)
        layer[free] = number
        number += 1
    return layer
