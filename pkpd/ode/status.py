"""Each status integer of the compiled loop is a sentence: what happened and what to try."""

from __future__ import annotations

STIFF = -1  # of an explicit method: go on with a stiff one; never the status of a solve
NOT_STIFF = -2  # the other way round
GO_ON = -3  # of a breakpoint: there is something to integrate
CHANGED = -4  # of a march: a condition on states has changed
SUCCESS = 0
TOO_MANY_STEPS = 1
STEP_TOO_SMALL = 2
NOT_FINITE = 3
NO_STEADY_STATE = 4
BAD_DOSE = 5
NOT_PERIODIC = 6
SLOPE_NOT_FINITE = 7
GRAZING = 8
SLIDING = 9
WRONG_ARRAYS = 10

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
        "the right-hand side is not a finite number (division by zero, log or sqrt of a negative "
        "number, overflow): "
        "check the parameters and initial values"
    ),
    NO_STEADY_STATE: (
        "the steady state without drug was not found: check that losses balance productions at these "
        "parameters, "
        "or give an explicit initial value"
    ),
    NOT_PERIODIC: (
        "no steady state of a repeated dose was found: it may accumulate without end at these "
        "parameters, or the state may swing with another period than the "
        "doses; give the doses one by one instead"
    ),
    SLOPE_NOT_FINITE: (
        "the right-hand side or an output is a finite number, but a derivative of it is not (x^n "
        "with n < 1 or a root at x = 0, a logarithm near 0): "
        "start a little away from there, leave out the direction, or write the term otherwise, for "
        "instance with hill"
    ),
    GRAZING: (
        "a condition of piecewise is only just met: the solution touches the level where the rates "
        "jump without clearly crossing it, so that there is no "
        "derivative; without sensitivities it can be solved"
    ),
    SLIDING: (
        "a condition of piecewise changes back in the moment in which it changes: the rates on both "
        "sides lead to the level where they jump, and the solution "
        "has no derivative that could be told; without sensitivities it can be solved, or let the "
        "rates change smoothly, for instance with hill"
    ),
    WRONG_ARRAYS: (
        "an array has another length than the solver was made for: parameters (n_params,), states "
        "(n_states,), at least one time, none before the one before it, outputs (n_times, n_outputs), and a "
        "workspace of its workspace_size"
    ),
    BAD_DOSE: "a lag, bioavailability or duration of a route is negative or not finite at these parameters",
}


def sentence(status: int) -> str:
    """The meaning of a status integer."""
    return SENTENCES.get(int(status), f"unknown status {int(status)}")
