"""An endpoint over the dose, or over an interval or a number of doses, and over another endpoint.

found = dose_response(Scene.create("./my_fit"), "? mg oral daily x5", "mean response", over="AUC")
print(found.to_frame())

published  the numbers of the fit that were seen under the same pattern of doses
result     the results, and the files they are written to
run        from a schedule with "?" to the curves
"""

from pkpd.decision.response.published import PublishedDose
from pkpd.decision.response.result import DoseResponse, ExposureResponse
from pkpd.decision.response.run import dose_response

__all__ = ["DoseResponse", "ExposureResponse", "PublishedDose", "dose_response"]
