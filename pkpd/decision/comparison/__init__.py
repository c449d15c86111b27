"""Schedules side by side: what each does to the same virtual subjects, and how it differs from the first.

scene = Scene.create(subjects=1000)
print(compare(scene.arms(["100 mg oral daily x5", "50 mg oral every 12 h x10"])).to_frame())

arm         what one schedule does in all subjects
ground      what the fit has seen of it, and the lights that follow
simulation  one schedule in many subjects at once
scene       the subjects and the horizon that all schedules share
comparison  medians, intervals, paired differences, and the files they are written to
schedules   schedules from arguments and files
"""

from pkpd.decision.comparison.arm import Arm
from pkpd.decision.comparison.result import Comparison, ComparisonRow, compare, letters, relevant
from pkpd.decision.comparison.scene import Scene, horizon

__all__ = ["Arm", "Comparison", "ComparisonRow", "Scene", "compare", "horizon", "letters", "relevant"]
