"""Which schedules to consider: the front between what is gained and what it costs, under constraints, with
the uncertainty carried through.

front = optimise(Scene.create("./my_fit", subjects=1000), Space.parse(dose="5 to 50 mg by 5"), "Cmax < 2")
print(front.to_frame())

space    the schedules that are searched
outcome  what one schedule does: medians over subjects and shares of people, under each draw of the parameters
search   which schedules are looked at
refine   the best doses of a range between those that were looked at
front    the result, and the files it is written to
run      all of it together
"""

from pkpd.decision.optimisation.front import Choice, Front, MedianEstimate
from pkpd.decision.optimisation.run import optimise, usual_space
from pkpd.decision.optimisation.space import Space, SpacePoint
from pkpd.decision.wishes import (
    Constraint,
    Goal,
    parse_constraints,
    parse_objectives,
    plain_name,
)

__all__ = [
    "Choice",
    "Constraint",
    "Front",
    "Goal",
    "MedianEstimate",
    "Space",
    "SpacePoint",
    "optimise",
    "parse_constraints",
    "parse_objectives",
    "plain_name",
    "usual_space",
]
