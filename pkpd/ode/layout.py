"""Where things stand in the arrays that the compiled units share.

Every unit takes the same few pointers; this module gives their slots names. n: states, m: sensitivity directions, q: parameters.

address  (N_ADDRESSES,) int64   functions of the model, then units of the integrator
sizes    int64                  counts, then index patterns one after the other
control  double                 clock and options
state    double                 y | infusion rates | atol | largest |y| so far (WIDE each) | parameters and constants of the subject
counts   (N_COUNTS,) int64      statistics, then the output cursor and the stiffness counters
work     double                 stages and scratch of the method, see march.py
tangent  double                 sensitivities, see below
out      double                 (n_times, width) outputs, followed by the states when asked for
out_dot  double                 (n_times, width, m)
doses    double                 (n_doses, DOSE): time, amount, route, duration (nan: not stated), parameter that multiplies the amount (-1: none)
events   double                 (2 n_doses, EVENT): time, state, jump, rate change, dose, kind

Vectors of states are WIDE long: the number of states rounded up to a multiple of LANES, with noughts behind the last state.

``tangent`` has a header of 16 (ERROR_NORM, SETTLE: 1 when y1' is to become y'); then, with r' the tangent of infusion rates and m the directions
rounded up to a multiple of LANES,

    scale (m,) | r' (n, m) | y' | y1' | u' | error' | largest | at (n, m each) | k' (8, n, m) | J' (n_jacobian, m)
    | values of J, f_p, hessian, outputs', initial', routes' | column (3 WIDE) | route (4 n_routes) | route' (4 n_routes, m)
    | seeds of initial values (n, m) | seeds of doses (n_doses, m)

A direction d changes at most one parameter: p' has one element ``scale[d]``. The patterns of derivatives by parameters hold only the nonzeros that
some direction needs, as (nonzero, row, direction).

Nothing here imports llvmlite or its users.
"""

from __future__ import annotations

# address: functions of the model ...
RHS, JACOBIAN, FACTOR, SOLVE, OUTPUTS, INITIAL, ROUTES, CONSTANTS = range(8)
(
    DFDP, HESSIAN, DOUTPUTS, DINITIAL, DROUTES, DCONSTANTS, SOLVE_LANES, MULTIPLY_LANES, CONTRACT_LANES, RHS_WIDE, JACOBIAN_WIDE, FACTOR_WIDE,
    SOLVE_WIDE,
) = range(8, 21)  # fmt: skip
# ... and units of the integrator
(
    EXPLICIT, ROSENBROCK, REST, EXPLICIT_TANGENT, ROSENBROCK_TANGENT, EMIT_TANGENT, INITIAL_TANGENT, EVENT_TANGENT,
) = range(21, 29)  # fmt: skip
N_ADDRESSES = 29

MODEL_FUNCTIONS = ("rhs", "jacobian", "factor", "solve", "outputs", "initial", "routes", "constants")
SENSITIVITY_FUNCTIONS = (
    "dfdp",
    "hessian",
    "doutputs",
    "dinitial",
    "droutes",
    "dconstants",
    "solve_lanes",
    "multiply_lanes",
    "contract_lanes",
)

# sizes: counts, then where each pattern starts in the same array and how many entries it has
(
    N_STATES, N_PARAMS, N_OUTPUTS, WIDTH, N_TIMES, N_JACOBIAN, N_LU, N_ROUTES, N_DOSES, N_DIRECTIONS, N_DFDP, N_HESSIAN, N_DOUTPUTS,
    N_DINITIAL, N_DROUTES, N_STEADY, METHOD, CONTROLLED, N_PREPARED, WIDE, RECORD,
) = range(21)  # fmt: skip
(
    AT_J,  # (row, column) of every Jacobian entry
    AT_DIAGONAL,  # entry of every diagonal element of the Jacobian
    AT_STEADY,  # states that start at rest
    AT_TARGETS,  # state of every route
    AT_SLOTS,  # direction of every parameter, or -1
    AT_P,  # (nonzero of dfdp, state, direction)
    AT_H_STATE,  # (nonzero of hessian, Jacobian entry, state)
    AT_H_PARAM,  # (nonzero of hessian, Jacobian entry, direction)
    AT_G_STATE,  # (nonzero of doutputs, output, state)
    AT_G_PARAM,  # (nonzero of doutputs, output, direction)
    AT_D,  # (nonzero of dinitial, state, direction)
    AT_R,  # (nonzero of droutes, element of routes, direction)
    AT_END,
) = range(21, 34)
N_SIZES = 36
LANES = 8  # doubles of one vector register of AVX-512; two of AVX2

# control
(
    T, T1, RTOL, AUTOMATIC, H_MAX, MAX_STEPS, START,
    H,  # the step that is being tried
    H_NEXT,  # the first step of the next march; nought: to be chosen
    FRESH_SLOPE, FRESH_JACOBIAN,  # 1 when the first stage, or the Jacobian, is that of the present state
    INFUSING,  # 1 when any infusion rate is not nought
    NEXT_EVENT, N_EVENTS,  # which breakpoint comes next, and how many there are
    BY_STIFF,  # 1 when the stiff method is at work
) = range(15)  # fmt: skip
N_CONTROL = 16

# counts
(
    RHS_CALLS,
    JACOBIANS,
    FACTORISATIONS,
    STEPS,
    REJECTED,
    METHOD_USED,
    EVENTS,
    CURSOR,
    STIFF_STEPS,
    CALM_STEPS,
    SWITCHES,
) = range(11)
N_COUNTS = 12

EXPLICIT_STAGES, ROSENBROCK_STAGES = 7, 8
WEIGHTS = 16  # room for the weights of dense output: of y, y1 and the stages
HEADER = 16
ERROR_NORM, SETTLE = range(2)  # in the header of tangent
DOSE, EVENT = 5, 6
BOLUS, INFUSION_START, INFUSION_END = 0, 1, 2

AUTO, TSIT5, RODAS5P = range(3)
METHODS = {"auto": AUTO, "tsit5": TSIT5, "rodas5p": RODAS5P}
TSIT5_ONLY, RODAS5P_ONLY, SWITCHED = range(3)  # what counts[METHOD_USED] says
METHOD_SENTENCES = {
    TSIT5_ONLY: "tsit5",
    RODAS5P_ONLY: "rodas5p",
    SWITCHED: "tsit5, and rodas5p where the problem proved stiff",
}


def wide(n: int) -> int:
    """Length of a vector of n states."""
    return max(1, -(-n // LANES)) * LANES


def work_size(n: int, n_jacobian: int, n_lu: int, n_steady: int, n_routes: int, m: int) -> int:
    """Doubles of ``work`` for whatever uses it.

    Methods: see march.py. Rest: matrix (n_steady, n_steady) | change (n_steady, max(1, m)) | f | J. Routes: 4 n_routes.
    """
    w = wide(n)
    return max(
        (EXPLICIT_STAGES + 5) * w + WEIGHTS,
        (ROSENBROCK_STAGES + 4) * w + WEIGHTS + n_jacobian + n_lu,
        n_steady * n_steady + n_steady * max(1, m) + w + n_jacobian,
        4 * n_routes,
    )


def record_size(n: int, n_prepared: int, n_doses: int) -> int:
    """Doubles of a subject's record in lanes: control | state | events."""
    return N_CONTROL + 4 * wide(n) + n_prepared + 2 * n_doses * EVENT


def room_size(n: int, n_prepared: int, n_jacobian: int, n_lu: int, n_subjects: int) -> int:
    """Doubles of queues and vectors, see lanes.py."""
    return 2 * (n_subjects + LANES) + LANES * (
        (8 + ROSENBROCK_STAGES) * n + n_prepared + n_jacobian + n_lu + 17
    )


def tangent_size(n: int, m: int, n_routes: int, n_doses: int, nonzeros: int, n_jacobian: int) -> int:
    """Doubles of ``tangent``; nonzeros: of J, f_p, hessian, outputs', initial' and routes' together."""
    return (
        HEADER
        + m * (1 + 16 * n + n_jacobian + 4 * n_routes + n_doses)
        + nonzeros
        + 3 * wide(n)
        + 4 * n_routes
    )
