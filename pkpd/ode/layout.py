"""Where things stand in the arrays that the compiled units share.

Every unit takes the same few pointers; this module gives their slots names. n: states, m: sensitivity directions, q: parameters.

address  (N_ADDRESSES,) int64   functions of the model, then units of the integrator
sizes    int64                  counts, then index patterns one after the other
control  double                 clock and options
state    double, 4 n            y | infusion rates | atol | largest |y| so far
counts   (N_COUNTS,) int64      statistics, then the output cursor and the stiffness counters
work     double                 stages and scratch of the method
tangent  double                 sensitivities (empty when m = 0), see tangent.py
out      double                 (n_times, width) outputs, followed by the states when asked for
out_dot  double                 (n_times, width, m)
"""

from __future__ import annotations

# address: functions of the model ...
RHS, JACOBIAN, FACTOR, SOLVE, OUTPUTS, INITIAL, ROUTES = range(7)
DFDP, HESSIAN, DOUTPUTS, DINITIAL, DROUTES = range(7, 12)
# ... and units of the integrator
EXPLICIT, ROSENBROCK, REST = 12, 13, 14
EXPLICIT_TANGENT, ROSENBROCK_TANGENT, EMIT_TANGENT, INITIAL_TANGENT, EVENT_TANGENT = 15, 16, 17, 18, 19
N_ADDRESSES = 20

MODEL_FUNCTIONS = ("rhs", "jacobian", "factor", "solve", "outputs", "initial", "routes")
SENSITIVITY_FUNCTIONS = ("dfdp", "hessian", "doutputs", "dinitial", "droutes")

# sizes
(
    N_STATES, N_PARAMS, N_OUTPUTS, WIDTH, N_TIMES, N_JACOBIAN, N_LU, N_ROUTES, N_DOSES, N_DIRECTIONS, N_DFDP, N_HESSIAN, N_DOUTPUTS,
    N_DINITIAL, N_DROUTES, N_STEADY, METHOD,
) = range(17)  # fmt: skip
N_SIZES = 24  # the patterns start here: J rows, J columns, then those of dfdp, hessian, doutputs, dinitial, droutes; steady states; targets

# control
T, T1, RTOL, AUTOMATIC, H_MAX, MAX_STEPS, START, H = range(8)
N_CONTROL = 8

# counts
RHS_CALLS, JACOBIANS, FACTORISATIONS, STEPS, REJECTED, METHOD_USED, EVENTS, CURSOR, STIFF_STEPS, CALM_STEPS = range(10)
N_COUNTS = 12
