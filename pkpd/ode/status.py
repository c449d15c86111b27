"""Each status integer of the compiled loop is a sentence: what happened and what to try."""

from __future__ import annotations

STIFF = -1  # of an explicit method: go on with a stiff one; never the status of a solve
NOT_STIFF = -2  # the other way round
GO_ON = -3  # of a breakpoint: there is something to integrate
SUCCESS = 0
TOO_MANY_STEPS = 1
STEP_TOO_SMALL = 2
NOT_FINITE = 3
NO_STEADY_STATE = 4
BAD_DOSE = 5
NOT_PERIODIC = 6

SENTENCES = {
    SUCCESS: "the integration reached its end",
    TOO_MANY_STEPS: (
        "the integration used up its steps; the problem is probably stiff or fast compared with the horizon: "
        "try method='rodas5p', a looser rtol, or a larger max_steps"
    ),
    STEP_TOO_SMALL: (
        "the step size fell below what the clock can resolve; the solution may run away or jump there: "
        "check the equations and parameters, or loosen rtol"
    ),
    NOT_FINITE: (
        "the right-hand side is not a finite number (division by zero, log or sqrt of a negative number, overflow): "
        "check the parameters and initial values"
    ),
    NO_STEADY_STATE: (
        "the steady state without drug was not found: check that losses balance productions at these parameters, "
        "or give an explicit initial value"
    ),
    NOT_PERIODIC: (
        "no steady state of a repeated dose was found: it may accumulate without end at these parameters, or the state may swing with another period than the "
        "doses; give the doses one by one instead"
    ),
    BAD_DOSE: "a lag, bioavailability or duration of a route is negative or not finite at these parameters",
}


def sentence(status: int) -> str:
    """The meaning of a status integer."""
    return SENTENCES.get(int(status), f"unknown status {int(status)}")
