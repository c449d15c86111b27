"""Where things stand in the arrays that the compiled units share.

Every unit takes the same few pointers; this module gives their slots names. n: states, m: sensitivity directions, q: parameters.

address  (N_ADDRESSES,) int64   functions of the model, then units of the integrator
sizes    int64                  counts, then index patterns one after the other
control  double                 clock and options
state    double, 4 n            y | infusion rates | atol | largest |y| so far
counts   (N_COUNTS,) int64      statistics, then the output cursor and the stiffness counters
work     double                 stages and scratch of the method
tangent  double                 sensitivities, see below
out      double                 (n_times, width) outputs, followed by the states when asked for
out_dot  double                 (n_times, width, m)
doses    double                 (n_doses, DOSE): time, amount, route, duration (nan: not stated), parameter that multiplies the amount (-1: none)
events   double                 (2 n_doses, EVENT): time, state, jump, rate change, dose, kind

``tangent`` has a header of 16: [0] error norm, [1] weight of y', [2] weight of y1', [3:11] weights of k_s' for dense output, [11] 1 when y1' is to
become y'; then, with r' the tangent of infusion rates, m the directions rounded up to a multiple of LANES, and q the parameters,

    scale (m,) | r' (n, m) | y' | y1' | u' | error' | largest | at (n, m each) | k' (8, n, m) | J' (n_jacobian, m)
    | values of J, f_p, hessian, outputs', initial', routes' | column (3 n) | route (4 n_routes) | route' (4 n_routes, m)
    | seeds of initial values (n, m) | seeds of doses (n_doses, m)

A direction d changes at most one parameter: p' has one element ``scale[d]``. The patterns of derivatives by parameters hold only the nonzeros that
some direction needs, as (nonzero, row, direction).

Nothing here imports llvmlite or its users.
"""

from __future__ import annotations

# address: functions of the model ...
RHS, JACOBIAN, FACTOR, SOLVE, OUTPUTS, INITIAL, ROUTES = range(7)
DFDP, HESSIAN, DOUTPUTS, DINITIAL, DROUTES, SOLVE_LANES, MULTIPLY_LANES, CONTRACT_LANES = range(7, 15)
# ... and units of the integrator
EXPLICIT, ROSENBROCK, REST = 15, 16, 17
EXPLICIT_TANGENT, ROSENBROCK_TANGENT, EMIT_TANGENT, INITIAL_TANGENT, EVENT_TANGENT = 18, 19, 20, 21, 22
N_ADDRESSES = 23

MODEL_FUNCTIONS = ("rhs", "jacobian", "factor", "solve", "outputs", "initial", "routes")
SENSITIVITY_FUNCTIONS = (
    "dfdp",
    "hessian",
    "doutputs",
    "dinitial",
    "droutes",
    "solve_lanes",
    "multiply_lanes",
    "contract_lanes",
)

# sizes: counts, then where each pattern starts in the same array and how many entries it has
(
    N_STATES, N_PARAMS, N_OUTPUTS, WIDTH, N_TIMES, N_JACOBIAN, N_LU, N_ROUTES, N_DOSES, N_DIRECTIONS, N_DFDP, N_HESSIAN, N_DOUTPUTS,
    N_DINITIAL, N_DROUTES, N_STEADY, METHOD, CONTROLLED,
) = range(18)  # fmt: skip
(
    AT_J,  # (row, column) of every Jacobian entry
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
) = range(18, 30)
N_SIZES = 32
LANES = 8  # doubles of one vector register of AVX-512; two of AVX2

# control
T, T1, RTOL, AUTOMATIC, H_MAX, MAX_STEPS, START, H = range(8)
N_CONTROL = 8

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
) = range(10)
N_COUNTS = 12

EXPLICIT_STAGES, ROSENBROCK_STAGES = 7, 8
HEADER = 16
DOSE, EVENT = 5, 6
BOLUS, INFUSION_START, INFUSION_END = 0, 1, 2

AUTO, TSIT5, RODAS5P = range(3)
METHODS = {"auto": AUTO, "tsit5": TSIT5, "rodas5p": RODAS5P}
TSIT5_ONLY, RODAS5P_ONLY, SWITCHED = range(3)  # what counts[METHOD_USED] says
METHOD_SENTENCES = {
    TSIT5_ONLY: "tsit5",
    RODAS5P_ONLY: "rodas5p",
    SWITCHED: "tsit5, then rodas5p once the problem proved stiff",
}


def work_size(n: int, n_jacobian: int, n_lu: int, n_steady: int, n_routes: int, m: int) -> int:
    """Doubles of ``work`` for whatever uses it.

    Explicit: k (7, n) | u | u of stage 6 | y1 | error. Rosenbrock: k (8, n) | u | y1 | f | dense (3, n) | J | LU. Rest: matrix (n_steady, n_steady) |
    change (n_steady, max(1, m)) | f | J. Routes: 4 n_routes.
    """
    return max(
        (EXPLICIT_STAGES + 4) * n,
        (ROSENBROCK_STAGES + 6) * n + n_jacobian + n_lu,
        n_steady * n_steady + n_steady * max(1, m) + n + n_jacobian,
        4 * n_routes,
    )


def tangent_size(n: int, m: int, n_routes: int, n_doses: int, nonzeros: int, n_jacobian: int) -> int:
    """Doubles of ``tangent``; nonzeros: of J, f_p, hessian, outputs', initial' and routes' together."""
    return HEADER + m * (1 + 16 * n + n_jacobian + 4 * n_routes + n_doses) + nonzeros + 3 * n + 4 * n_routes
