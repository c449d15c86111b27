"""What drives an endpoint: which differences between people, and which parameters that are not known well.

found = drivers(Scene.create("./my_fit"), "10 mg oral daily x5", "AUC")
print(found.to_frame())

indices  shares of variance, of inputs that may be correlated, and the screening before
result   the results, and the files they are written to
run      from a scene and an endpoint to its drivers
"""

from pkpd.decision.drivers.result import Driver, Drivers, Origin
from pkpd.decision.drivers.run import drivers

__all__ = ["Driver", "Drivers", "Origin", "drivers"]
