"""The inverse question: which dose, interval or number of doses meets a target.

found = dose_for(Scene.create("./my_fit"), "Cmax at least 8 in 90 % of people", "? mg oral daily x5")
print(found.answer)

question    what is asked: a schedule with one or two "?", and words for the target
along       along one unknown: where the target is met, and what each person needs
attainment  the results, and the files they are written to
run         all of it together
"""

from pkpd.decision.inverse.attainment import Attainment, Boundary, WishCurve
from pkpd.decision.inverse.question import OpenSchedule, Unknown
from pkpd.decision.inverse.run import dose_for

__all__ = ["Attainment", "Boundary", "OpenSchedule", "Unknown", "WishCurve", "dose_for"]
