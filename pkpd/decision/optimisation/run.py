"""Search a space in a few subjects, simulate the best schedules again in all, and say how sure their front
is."""

from __future__ import annotations

import itertools
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.arguments import ABSENT, CALLABLE, NUMBER, TEXT, TEXTS, WHOLE, of, takes
from pkpd.core.errors import InputError
from pkpd.core.progress import Progress, counting
from pkpd.decision.comparison import Scene
from pkpd.decision.comparison.result import given_words
from pkpd.decision.comparison.scene import WASHOUT_DAYS
from pkpd.decision.criteria import Criteria
from pkpd.decision.endpoints import BURDEN, Endpoint
from pkpd.decision.endpoints.endpoint import ONE_DOSE
from pkpd.decision.optimisation.front import Choice, Front, MedianEstimate, SeenSchedule
from pkpd.decision.optimisation.outcome import Cache, Census, Outcome, check_draws, rough
from pkpd.decision.optimisation.refine import refine
from pkpd.decision.optimisation.search import Searched, dominates, layers, search
from pkpd.decision.optimisation.space import Space, SpacePoint
from pkpd.decision.people import CROSSED, PeopleShare, asked_share
from pkpd.decision.wishes import (
    Constraint,
    Goal,
    parse_constraints,
    parse_objectives,
    plain_name,
)
from pkpd.dosing import Schedule
from pkpd.dosing.quantities import exact_number
from pkpd.dosing.taking import GivenDoses, read_jitter, with_taking
from pkpd.solver import usable_cores

Floats = NDArray[np.float64]

ALSO = (*(f"{called} per 28 days" for called in ONE_DOSE), "dose per 28 days")
"""Endpoints that are kept of every schedule whatever was asked, besides usual objectives and risks."""
EVALUATIONS = 600
FINALISTS = 24
"""Schedules that are simulated again in all subjects."""
MOST_BETWEEN = 96
"""Schedules that are looked at between the doses of a range, in all subjects."""
NEAR = 0.05
"""By which share of its bound a constraint may be missed in the search's subjects by a schedule that is tried
again in all."""
NEAREST = 3


@takes(
    scene=of(Scene),
    space=of(Space) | ABSENT,
    constraints=TEXT | TEXTS,
    objectives=TEXT | TEXTS | ABSENT,
    confidence=NUMBER,
    evaluations=WHOLE,
    adherence=NUMBER,
    jitter=TEXT | ABSENT,
    progress=CALLABLE | ABSENT,
)
def optimise(
    scene: Scene,
    space: Space | None = None,
    constraints: str | Sequence[str] = (),
    objectives: str | Sequence[str] | None = None,
    *,
    confidence: float = 0.5,
    evaluations: int = EVALUATIONS,
    adherence: float = 1.0,
    jitter: str | None = None,
    progress: Progress | None = None,
) -> Front:
    """The front of the schedules of a space that hold the constraints, in the subjects of a scene.

    The search looks at up to ``evaluations`` schedules in at most 104 of the subjects; those on its front,
    and close to it, are simulated again in all. The same scene and wishes give the same front on any number
    of threads. Ctrl-C ends the search, with the front of what was found.

    Parameters
    ----------
    scene : the subjects; without a horizon of its own, 28 days beyond the longest schedule.
    space : the schedules to choose from (``pkpd.decision.optimisation.Space.parse``); by default
        ``usual_space(scene)``, with the doses of the fit.
    constraints, objectives : as `parse_constraints` and `parse_objectives` read them; without objectives
        ``usual_objectives``.
        A constraint "... in 95 % of people" must hold in that share of them, counted as ``pkpd.dose_for``
        does; any other in the median subject.
    confidence : each constraint must hold, and by the uncertainty of the parameters do so with this
        probability, from 0.5 to 1.
    evaluations : how many schedules the search may look at.
    adherence, jitter : the probability that a dose is taken, and the standard deviation of the times about
        the planned ones ("2 h"), of every schedule, as in ``Scene.arms``: the same people miss the same doses
        of all of them.
    progress : called with (what, share, remark).

    Returns
    -------
    Front : ``choices``, the schedules of the front, each with the medians of its endpoints in their units and
        the probability that it holds each constraint; where none holds them ``infeasible`` says so and
        ``nearest`` has those that come closest. ``to_frame()`` is a table.

    Raises
    ------
    InputError : wishes that cannot be read, schedules that the model cannot be given, too few subjects or
        draws.
    MissingExtraError : a space too large to be searched completely, without pymoo.

    Examples
    --------
    >>> import pkpd
    >>> from pkpd.decision.optimisation import Space
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=8, vary=["between"])
    >>> space = Space.parse(dose="1 to 3 MIU by 1", days="5", interval="28 d", cycles="1")
    >>> front = pkpd.optimise(scene, space, "total dose at most 10 MIU")
    >>> [choice.schedule for choice in front.choices]
    ['1 MIU sc daily x5', '2 MIU sc daily x5']
    """
    criteria = scene.criteria
    space = space or usual_space(scene)
    if not 0.5 <= confidence <= 1.0:
        raise InputError(f"the confidence is a probability from 0.5 to 1, not {confidence:g}")
    if evaluations < 1:
        raise InputError(f"the search needs at least one evaluation, not {evaluations}")
    as_taken = partial(
        with_taking, adherence=exact_number(adherence, "the adherence"), jitter=read_jitter(jitter)
    )
    check_draws(scene)
    if scene.until_days is None:
        scene = scene.lasting(float(math.ceil(space.longest)) + WASHOUT_DAYS)
    few = rough(scene)
    first = as_taken(space.schedule(next(space.valid())))
    known = tuple(few.arm(first).endpoints)
    wishes = _Wishes(
        parse_objectives(usual_objectives(criteria, known) if objectives is None else objectives, known),
        parse_constraints(constraints, known, criteria),
        confidence,
    )
    endpoints = wishes.endpoints(criteria, known)
    threads = scene.threads or usable_cores()
    cache = Cache(few, endpoints, Census(few, wishes.of_people, crossed=confidence > 0.5), threads, as_taken)
    searched = _searched(space, cache, wishes, evaluations, scene.population.seed, progress)
    seen = {text: cache.found[text] for text in searched.points}
    finalists, n_front = _finalists(seen, wishes.score)
    every = cache
    if few is not scene or wishes.of_people:
        every = Cache(scene, endpoints, Census(scene, wishes.of_people, crossed=True), threads, as_taken)
    interrupted = _again(every, [seen[text].schedule for text in finalists], progress) or searched.interrupted
    points = searched.points
    if space.continuous and not interrupted:
        between, interrupted = _between(space, points, seen, every, wishes, progress)
        points, finalists = points | between, [*finalists, *between]
    final = {text: every.found[text] for text in finalists if text in every.found}
    choices, nearest = _choose(final, points, wishes)
    return Front(
        objectives=wishes.objectives,
        constraints=wishes.constraints,
        confidence=confidence,
        choices=choices,
        nearest=nearest,
        infeasible="" if choices else _infeasible(wishes, seen, nearest[0]),
        seen=tuple(
            SeenSchedule(text, dict(outcome.medians), not wishes.violations(outcome).any())
            for text, outcome in seen.items()
        ),
        interrupted=interrupted,
        behind=scene.behind,
        reading=(
            *_reading(scene, few, wishes, searched, space, n_front, len(final), choices or nearest),
            *_taken_words(first),
        ),
        notes=_notes(scene, interrupted, len(seen), final),
        provenance=_provenance(scene, few, space, wishes, evaluations, searched) | _taken_facts(first),
    )


@dataclass(frozen=True)
class _Wishes:
    """What is asked of a schedule; confidence : the probability with which each constraint must hold."""

    objectives: tuple[Goal, ...]
    constraints: tuple[Constraint, ...]
    confidence: float

    def endpoints(self, criteria: Criteria, known: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Those that are asked for, then those that are kept of every schedule."""
        also = {*criteria.objectives, *(risk.endpoint.name for risk in criteria.risks), *ALSO}
        wishes: tuple[Goal | Constraint, ...] = (*self.objectives, *self.constraints)
        asked = [wish.endpoint for wish in wishes]
        return tuple(dict.fromkeys(asked + [endpoint for endpoint in known if endpoint.name in also]))

    @property
    def of_people(self) -> tuple[Constraint, ...]:
        """Constraints that say in how many people they are to hold."""
        return tuple(constraint for constraint in self.constraints if constraint.share is not None)

    def violations(self, outcome: Outcome) -> Floats:
        """(n_constraints,), by how much each is missed."""
        return outcome.violations(self.constraints, self.confidence)

    def score(self, outcome: Outcome) -> tuple[Floats, Floats]:
        """Objectives, and by how much constraints are missed."""
        return outcome.objectives(self.objectives), self.violations(outcome)


def usual_space(scene: Scene, dose: str | None = None, route: str | None = None, **lists: Any) -> Space:
    """The schedules that are searched, with what nobody says as the criteria have it: the doses and the
    route, which is else the model's first. lists : as in ``Space.parse``.

    Raises ``InputError`` where nobody says which doses, or the model takes none.
    """
    criteria = scene.criteria
    if not (dose := dose or criteria.dose):
        raise InputError(
            "which doses are searched? The endpoints of this fit do not say; write for instance "
            '--dose "5 to 50 mg by 5" (in Python Space.parse(dose="5 to 50 mg by 5"))'
        )
    kernel = scene.population.kernel
    if not kernel.ROUTES:
        raise InputError(f"the model {kernel.NAME} has no route, and so takes no doses to search")
    return Space.parse(dose, route=route or criteria.route or kernel.ROUTES[0], **lists)


def usual_objectives(criteria: Criteria, known: Sequence[Endpoint]) -> tuple[str, ...]:
    """What is traded where nobody says: what the criteria say, or where the model lacks some of it, what it
    has most like them.

    That is the first endpoint of which more is wanted (else the exposure) against the first unwanted effect
    (else the dose), of those that are not shown on request only.
    """
    kept_back = {group.group for group in criteria.on_request}
    known = [endpoint for endpoint in known if endpoint.group not in kept_back]
    names = {endpoint.name for endpoint in known}
    if criteria.objectives and names.issuperset(plain_name(text) for text in criteria.objectives):
        return criteria.objectives
    gains = [endpoint.name for endpoint in known if endpoint.better > 0]
    costs = [endpoint.name for endpoint in known if endpoint.better < 0 and endpoint.group != BURDEN]
    usual = ["max AUC"] if "AUC" in names else [f"max {known[0].name}"]
    return (gains or usual)[0], (costs or ["dose per 28 days"])[0]


# --- search -> finalists -> front


def _searched(
    space: Space, cache: Cache, wishes: _Wishes, evaluations: int, seed: int, progress: Progress | None
) -> Searched:
    """Schedules of the space that the cache has then seen; KeyboardInterrupt where there is none yet."""

    told = counting(progress, "searching", "schedules")

    def looked() -> None:
        if told is not None:
            told(min(len(cache.found), evaluations), evaluations)

    searched = search(
        space,
        lambda schedules: cache.evaluate(schedules, looked),
        wishes.score,
        cache.found,
        evaluations=evaluations,
        n_constraints=len(wishes.constraints),
        n_objectives=len(wishes.objectives),
        seed=seed,
    )
    if not searched.points:
        raise KeyboardInterrupt
    return searched


def _finalists(
    seen: dict[str, Outcome], score: Callable[[Outcome], tuple[Floats, Floats]]
) -> tuple[list[str], int]:
    """Schedules worth all subjects, and how many the front of the search has, which may be more.

    Those are of its front, evenly spread along the first objective; where there is room for more, what lies
    behind it and what misses the constraints by
    little: in other subjects a median is another, so that the front of a few may be beside that of all. Where
        nothing holds the constraints: the nearest.
    """
    texts = list(seen)
    scores = [score(seen[text]) for text in texts]
    values = np.array([value for value, _ in scores])
    missed = np.array([violation.sum() for _, violation in scores])
    holding = np.flatnonzero(missed == 0.0)
    if not holding.size:
        return [texts[i] for i in np.argsort(missed, kind="stable")[:FINALISTS]], 0
    layer = layers(values[holding])
    front = holding[layer == 0]
    front = front[np.argsort(values[front, 0], kind="stable")]
    spread = front[
        np.unique(np.linspace(0, front.size - 1, min(front.size, FINALISTS)).round().astype(np.int64))
    ]
    near = np.flatnonzero(missed <= NEAR)
    behind = holding[np.argsort(layer, kind="stable")]
    beside = near[np.argsort(layers(values[near]), kind="stable")]
    turns = [i for pair in itertools.zip_longest(behind, beside) for i in pair if i is not None]
    chosen = dict.fromkeys(int(i) for i in [*spread, *turns])
    return [texts[i] for i in list(chosen)[:FINALISTS]], int(front.size)


def _again(every: Cache, schedules: Sequence[Schedule], progress: Progress | None) -> bool:
    """Simulate the finalists in all subjects; whether that was interrupted."""
    told = counting(progress, "simulating the best in all subjects", "schedules")
    try:
        every.evaluate(schedules, lambda: None if told is None else told(len(every.found), len(schedules)))
    except KeyboardInterrupt:
        if not every.found:
            raise
        return True
    return False


def _between(
    space: Space,
    points: dict[str, SpacePoint],
    seen: dict[str, Outcome],
    every: Cache,
    wishes: _Wishes,
    progress: Progress | None,
) -> tuple[dict[str, SpacePoint], bool]:
    """The best doses between those of the search, in all subjects, and whether that was interrupted, after
    which there are none."""
    told, n = counting(progress, "looking between the doses", "schedules"), len(every.found)

    def evaluate(schedules: Sequence[Schedule]) -> None:
        every.evaluate(schedules, lambda: None if told is None else told(len(every.found) - n, MOST_BETWEEN))

    try:
        return refine(space, points, seen, every.found, evaluate, wishes.score, MOST_BETWEEN), False
    except KeyboardInterrupt:
        return {}, True


def _choose(
    final: dict[str, Outcome],
    points: dict[str, SpacePoint],
    wishes: _Wishes,
) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
    """The front of the finalists and, where it is empty, the nearest of them."""
    outcomes = list(final.values())
    scores = [wishes.score(outcome) for outcome in outcomes]
    values = np.array([value for value, _ in scores])
    missed = np.array([violation for _, violation in scores]).reshape(len(outcomes), len(wishes.constraints))
    holding = np.flatnonzero(~missed.any(axis=1))
    if holding.size:
        front = holding[layers(values[holding]) == 0]
        order = sorted(front, key=lambda i: (*np.roll(values[i], -1), _text(outcomes[i])))
    else:
        order = list(np.argsort(missed.sum(axis=1), kind="stable")[:NEAREST])
    held, dominated = probabilities(outcomes, wishes.objectives, wishes.constraints)
    choices = tuple(
        Choice(
            number=number,
            schedule=_text(outcomes[i]),
            point=points[_text(outcomes[i])],
            estimates={endpoint: _estimate(outcomes[i], endpoint) for endpoint in outcomes[i].medians},
            held=tuple(float(outcomes[i].held(constraint).mean()) for constraint in wishes.constraints),
            shares=tuple(_share(outcomes[i], constraint) for constraint in wishes.constraints),
            held_all=float(held[i].mean()),
            dominated=float(dominated[i].mean()),
            stays=float((held[i] & ~dominated[i]).mean()),
            violations=tuple(float(share) for share in missed[i]),
            warnings=outcomes[i].warnings,
            standings=outcomes[i].standings,
        )
        for number, i in enumerate(order, start=1)
    )
    return (choices, ()) if holding.size else ((), choices)


def _text(outcome: Outcome) -> str:
    return str(outcome.schedule)


def probabilities(
    outcomes: Sequence[Outcome], objectives: Sequence[Goal], constraints: Sequence[Constraint]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(n, n_worlds): whether each schedule holds all constraints in each world, and whether another that does
    so dominates it there."""
    # (n, n_worlds, n_objectives), less being better
    values = np.array(
        [
            np.stack([-objective.sign * outcome.worlds[objective.endpoint] for objective in objectives], -1)
            for outcome in outcomes
        ]
    )
    held = ~np.isnan(values).any(axis=-1)
    for i, outcome in enumerate(outcomes):
        for constraint in constraints:
            held[i] &= outcome.held(constraint)
    dominated = np.zeros_like(held)
    for i in range(len(outcomes)):
        for j in range(len(outcomes)):
            if i != j:
                dominated[i] |= held[j] & dominates(values[j], values[i])
    return held, dominated


def _estimate(outcome: Outcome, endpoint: Endpoint) -> MedianEstimate:
    return MedianEstimate(outcome.medians[endpoint], *outcome.intervals[endpoint])


def _share(outcome: Outcome, constraint: Constraint) -> PeopleShare | None:
    return outcome.counted[constraint].estimate if constraint in outcome.counted else None


# --- sentences ------------------------------------------------------------------------------------


def _infeasible(wishes: _Wishes, seen: dict[str, Outcome], nearest: Choice) -> str:
    """That nothing holds all constraints, which of them stands in the way, and what comes nearest."""
    constraints, confidence = wishes.constraints, wishes.confidence
    held = np.array([wishes.violations(outcome) == 0.0 for outcome in seen.values()])
    n = len(held)
    parts = [
        f"None of the {n:,} schedules that were looked at holds "
        f"{'the constraint' if len(constraints) == 1 else 'all constraints'}"
        + (f" with a probability of {confidence:g}" if confidence != 0.5 else "")
        + "."
    ]
    if len(constraints) > 1:
        without = [
            (int(np.delete(held, i, axis=1).all(axis=1).sum()), constraint)
            for i, constraint in enumerate(constraints)
        ]
        helping = sorted((item for item in without if item[0]), key=lambda item: -item[0])
        if len(helping) == 1:
            parts.append(
                f'What binds is "{helping[0][1]}": without it {helping[0][0]:,} of them hold the rest.'
            )
        elif helping:
            counts = ", ".join(f'without "{constraint}" {count:,}' for count, constraint in helping)
            parts.append(f"They bind each other: {counts} of them hold the rest.")
        else:
            alone = ", ".join(
                f'"{constraint}" {int(held[:, i].sum()):,}' for i, constraint in enumerate(constraints)
            )
            parts.append(f"Leaving out one would not be enough; of itself each is held by: {alone}.")
    shortfalls = [
        _shortfall(constraint, nearest.estimates[constraint.endpoint].median, share)
        for constraint, share, missed in zip(constraints, nearest.shares, nearest.violations, strict=True)
        if missed > 0.0
    ]
    parts.append(f"The nearest is {nearest.schedule}: {', '.join(shortfalls)}.")
    return " ".join(parts)


def _shortfall(constraint: Constraint, median: float, share: PeopleShare | None) -> str:
    if share is None:
        return (
            f"{constraint.endpoint.name} {median:.3g} where {constraint.relation} {constraint.value:g} is "
            "asked"
        )
    return (
        f"{constraint.endpoint.name} {constraint.relation} {constraint.value:g} in {100 * share.share:.3g} % "
        f"of people where {100 * asked_share(constraint):g} % are asked"
    )


def _reading(
    scene: Scene,
    few: Scene,
    wishes: _Wishes,
    searched: Searched,
    space: Space,
    n_front: int,
    n_final: int,
    shown: Sequence[Choice],
) -> tuple[str, ...]:
    """How the front is to be read."""
    uncertain = "uncertainty" in scene.population.vary
    said = [_numbers_words(scene, uncertain)]
    if wishes.constraints:
        said.append(_constraints_words(wishes.confidence, uncertain))
    if wishes.of_people:
        said.append(_people_words(scene, few, wishes, uncertain))
    said.append(
        "P(front) is the share of draws under which a schedule holds all constraints and none of the "
        f"{n_final} schedules simulated in all subjects that does so too is as good in every "
        "objective and better in one; P(dominated) that one is."
    )
    said.append(_search_words(scene, few, searched, space))
    if n_front > FINALISTS:
        said.append(
            f"The front of the search has {n_front:,} schedules; {FINALISTS} of them, evenly spread "
            f"along {wishes.objectives[0]}, were simulated in all subjects."
        )
    if any(choice.point.cycles == 1 for choice in shown):
        said.append(
            "Averages are over the treatment. That of a single cycle ends one interval after its "
            "last dose, that of several holds the pause after the last as well."
        )
    return tuple(said)


def _numbers_words(scene: Scene, uncertain: bool) -> str:
    medians = (
        f"Numbers are medians over the same {scene.subjects:,} virtual subjects under every "
        f"schedule, followed for {scene.until_days:g} days"
    )
    if not uncertain:
        return f"{medians}; {scene.sure_of}."
    own = "".join(f" (of {risk.called}: by that of {risk.source})" for risk in scene.criteria.risks)
    return (
        f"{medians}; in brackets their 90 % interval by the uncertainty of the fitted parameters, over "
        f"{scene.draws} draws of them{own}."
    )


def _constraints_words(confidence: float, uncertain: bool) -> str:
    more = " (as likely as not; --confidence 0.9 asks for more)" if confidence == 0.5 and uncertain else ""
    return (
        "P of a constraint is the share of draws under which the median over subjects holds it. "
        f"Here each must be held, with a probability of at least {confidence:g}{more}. "
        "P(all) is the share of draws under which all hold at once."
    )


def _people_words(scene: Scene, few: Scene, wishes: _Wishes, uncertain: bool) -> str:
    """Who is counted, and how sure that is."""
    who = f"{scene.subjects:,} people" + (" at the estimates of the fit" if scene.fitted else "")
    searching = f" (in the search {few.subjects:,})" if few.subjects < scene.subjects else ""
    said = f'Of a constraint that says "in 90 % of people" the share is counted in {who}{searching}.'
    if uncertain:
        said += (
            f" Its interval, and its P, are by {min(CROSSED, scene.subjects)} of them under each of the "
            f"{scene.draws} draws: P is the share of draws under which it holds in so many."
        )
    risks = {risk.endpoint: risk for risk in scene.criteria.risks}
    of_group = dict.fromkeys(risks[one.endpoint].called for one in wishes.of_people if one.endpoint in risks)
    return said + "".join(
        f" The probability of {called} is one of the whole group: its share is of posterior draws."
        for called in of_group
    )


def _search_words(scene: Scene, few: Scene, searched: Searched, space: Space) -> str:
    n = len(searched.points)
    between = (
        f" Doses from {space.range_words} went in two significant digits; between them, where a constraint "
        "binds or an objective turns, the best were looked for in three, in all subjects."
        if space.continuous
        else ""
    )
    where = f" in {few.subjects:,} of these subjects" if few.subjects < scene.subjects else ""
    if searched.complete:
        return f"Every schedule of the search space, {n:,}, was looked at{where}.{between}"
    return (
        f"The search (NSGA-II) looked at {n:,} schedules of {space.n_combinations:,} combinations{where}: "
        f"close to the best, not proven to be the best.{between}"
    )


def _taken_words(plan: GivenDoses) -> list[str]:
    """How doses are taken, of one of the schedules."""
    if isinstance(plan, Schedule):
        return []
    _, *clauses = str(plan).split("; ")
    return [f"All schedules are taken with {' and '.join(clauses)}.", *given_words([plan])]


def _taken_facts(plan: GivenDoses) -> dict[str, Any]:
    if isinstance(plan, Schedule):
        return {}
    return {"adherence": float(plan.adherence), "jitter_days": float(plan.jitter)}


def _notes(scene: Scene, interrupted: bool, n: int, final: dict[str, Outcome]) -> tuple[str, ...]:
    notes = list(scene.population.notes)
    if interrupted:
        notes.insert(0, f"Interrupted: this is the front of the {n:,} schedules that had been looked at.")
    if failed := sum(outcome.failed for outcome in final.values()):
        notes.append(
            f"{failed:,} subjects of {len(final)} schedules could not be integrated and have no value."
        )
    kept = {endpoint for outcome in final.values() for endpoint in outcome.medians}
    notes += [group.said for group in scene.criteria.resting(endpoint.group for endpoint in kept)]
    notes += [risk.note for risk in scene.criteria.risks if risk.endpoint in kept]
    return tuple(notes)


def _provenance(
    scene: Scene,
    few: Scene,
    space: Space,
    wishes: _Wishes,
    evaluations: int,
    searched: Searched,
) -> dict[str, Any]:
    from pkpd import __version__

    population = scene.population
    return {
        "fit": scene.fit,
        "fitted": scene.fitted,
        "model": population.kernel.NAME,
        "model_hash": population.kernel.HASH,
        "objectives": [str(objective) for objective in wishes.objectives],
        "constraints": [str(constraint) for constraint in wishes.constraints],
        "confidence": wishes.confidence,
        "space": space.describe(),
        "seed": population.seed,
        "subjects": scene.subjects,
        "draws": scene.draws,
        "search_subjects": few.subjects,
        "search_draws": few.draws,
        "evaluations": evaluations,
        "evaluated": len(searched.points),
        "complete": searched.complete,
        "vary": list(population.vary),
        **scene.about,
        "until_days": scene.until_days,
        "versions": {"pkpd": __version__, "numpy": np.__version__, "python": platform.python_version()}
        | ({} if searched.complete else {"pymoo": _pymoo_version()}),
    }


def _pymoo_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pymoo")
    except PackageNotFoundError:
        return ""
