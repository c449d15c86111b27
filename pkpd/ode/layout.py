"""Where things stand in the arrays that the compiled units share.

Every unit takes the same few pointers; this module gives their slots names. n: states, m: sensitivity
directions, q: parameters.

address  (N_ADDRESSES,) int64   functions of the model, then units of the integrator
sizes    int64                  counts, then index patterns one after the other
control  double                 clock and options, then the roots
state    double                 y | infusion rates | atol | largest |y| so far (WIDE each) | parameters, what
                                holds conditions, and constants of the subject | what is its own (N_OWN):
                                states that events set or add, (n_states) each, and factors of doses
counts   (N_COUNTS,) int64      statistics, then the output cursor and the stiffness counters
work     double                 stages and scratch of the method, see march.py
tangent  double                 sensitivities, see below
out      double                 (n_times, width) outputs, followed by the states when asked for
out_dot  double                 (n_times, width, m)
doses    double                 (n_doses, DOSE), those of one subject after those of another: see SPAN. Time,
                                amount, route, duration (nan: not stated), parameter that multiplies the
                                amount (-1: none), rate (nan: not stated), from when on it acts (of a dose
                                before a state that was set: the time it was set), its factor among the
                                subject's own (-1: none). Other kinds have -kind as route, and fewer columns:
                                CHANGE: the value as amount, the parameter as size; REPLACE: the value as
                                amount, the state as size; SET, ADD: the place of the states among the
                                subject's own as size; ABOVE: as amount, how many outputs in order of time
                                are written before what follows
times    double                 output times, ascending, those of one subject after those of another
events   double                 (2 n_doses, EVENT): time, state, jump, rate change, dose, kind; of a CHANGE:
                                time, parameter, value, value before

Conditions of the model at which rates jump (symbolic/derive.py) are held by a number each: 0, or inf or -inf
as long as it is held true or false. Timers, which change at times that parameters decide, are breakpoints of
every solve; the others are watched (``conditions.py``) where derivatives are asked for.

Vectors of states are WIDE long: the number of states rounded up to a multiple of PACK, with noughts behind
the last state.

``tangent`` has a header of 16 (ERROR_NORM, SETTLE: 1 when y1' is to become y', DENSE_STAGES: of which weights
are given to dense output); then, with r' the tangent of infusion rates and m the directions rounded up to a
multiple of LANES,

    scale (m,) | r' (n, m) | y' | y1' | u' | error' | largest | at (n, m each) | k' (n_stages, n, m)
    | J' (n_jacobian, m) | p' (N_PREPARED, m) | column (3 WIDE, 2 for every condition) | time' of an event (m)
    | scratch (places.scratch_size) | route (4 n_routes) | route' (4 n_routes, m) | own' (N_OWN, m)
    | seeds of initial values (n, m) | seeds of doses (n_doses, m)

Behind the N_CONTROL slots of ``control`` stand the roots: what is looked for (n_roots, ROOT) | what was found
(n_roots, FOUND + most (1 + m)) | n_outputs; then what is watched: (N_WATCHED, ROOT) | 2 for every condition.

A direction d changes at most one parameter: p' has one element ``scale[d]``, and those of the constants that
depend on it.

Nothing here imports llvmlite or its users.
"""

from __future__ import annotations

from pkpd.ode import processor

# address: functions of the model ...
RHS, JACOBIAN, FACTOR, SOLVE, OUTPUTS, INITIAL, ROUTES, CONSTANTS = range(8)
(
    D_RHS, D_JACOBIAN, D_OUTPUTS, D_INITIAL, D_ROUTES, D_CONSTANTS, SOLVE_LANES, CONTRACT_LANES, RHS_WIDE,
    JACOBIAN_WIDE, FACTOR_WIDE, SOLVE_WIDE,
) = range(8, 20)  # fmt: skip
# ... and units of the integrator
(
    EXPLICIT, ROSENBROCK, REST, EXPLICIT_TANGENT, ROSENBROCK_TANGENT, EMIT_TANGENT, INITIAL_TANGENT,
    EVENT_TANGENT, DENSE_TANGENT, EXPLICIT_ROOTS,
    ROSENBROCK_ROOTS, OBSERVE, EXPLICIT_WATCH, ROSENBROCK_WATCH, CONDITION_TANGENT,
) = range(20, 35)  # fmt: skip
CONDITIONS, D_CONDITIONS = 35, 36  # functions of models that have conditions
# readings: what is looked at, a function of the model, that in lanes, and one of them alone; then units
(
    LOOK, LOOK_WIDE, LOOK_ONE, EXPLICIT_READINGS, ROSENBROCK_READINGS, EXPLICIT_VALUE, ROSENBROCK_VALUE,
    EXPLICIT_SLOPE, ROSENBROCK_SLOPE, EXPLICIT_LEVELS, ROSENBROCK_LEVELS, READY, HAND_IN, ARRIVE, LEAVE,
) = range(37, 52)  # fmt: skip
# units for conditions; for tangents of extremes; from one segment of readings to the next
TIMERS, CROSS, EXPLICIT_TURN, ROSENBROCK_TURN, NEXT_SEGMENT = range(52, 57)
# functions of the model backwards: in lanes, and of one subject
(
    RHS_BACKWARD_WIDE, JACOBIAN_BACKWARD_WIDE, OUTPUTS_BACKWARD_WIDE, SOLVE_BACKWARD_WIDE, RHS_BACKWARD,
    OUTPUTS_BACKWARD,
) = range(57, 63)  # fmt: skip
N_ADDRESSES = 63

MODEL_FUNCTIONS = ("rhs", "jacobian", "factor", "solve", "outputs", "initial", "routes", "constants")
# sizes: counts, then where each pattern starts in the same array and how many entries it has
(
    N_STATES, N_PARAMS, N_OUTPUTS, WIDTH, N_TIMES, N_JACOBIAN, N_LU, N_ROUTES, N_DIRECTIONS,
    N_STEADY, METHOD, N_PREPARED, WIDE, RECORD,
    N_STAGES,  # the most of any method in use
    N_ROOTS, MOST,  # roots, and the most crossings of one that are kept
    N_NON_NEGATIVE,  # states that are kept from falling below nought: they are listed at AT_END
    N_OWN,  # numbers of each subject's own, behind its parameters
    # Conditions; what holds them stands between parameters and constants; N_WATCHED: 0 without derivatives
    N_TIMERS, N_WATCHED,
    CLOCK,  # the state that is the time itself, or -1
    READINGS,  # where the readings stand behind control; nought: there are none
    TAPED,  # room for so many steps of each subject on its tape
    FUNCTIONALS, N_AREAS,  # what is differentiated backwards, and the areas that it depends on
) = range(26)  # fmt: skip
(
    AT_J,  # (row, column) of every Jacobian entry
    AT_DIAGONAL,  # entry of every diagonal element of the Jacobian
    AT_STEADY,  # states that start at rest
    AT_TARGETS,  # state of every route
    AT_SLOTS,  # direction of every parameter, or -1
    AT_END,
) = range(26, 32)
N_SIZES = 32
LANES = processor.width()  # subjects or directions side by side
PACK = processor.PACK  # states of one subject that are handled together

# control
(
    T, T1, RTOL, AUTOMATIC, H_MAX, MAX_STEPS, START,
    H,  # the step that is being tried
    H_NEXT,  # the first step of the next march; nought: to be chosen
    FRESH_SLOPE, FRESH_JACOBIAN,  # 1 when the first stage, or the Jacobian, is that of the present state
    INFUSING,  # 1 when any infusion rate is not nought
    NEXT_EVENT, N_EVENTS,  # which breakpoint comes next, and how many there are
    BY_STIFF,  # 1 when the stiff method is at work
    SLACK,  # how many times larger the errors of sensitivities may be
    SLOPE_AHEAD,  # 1 when the slope at the new value stands among the stages already
    LARGEST_ERROR,  # of an accepted step, in units of the tolerance
    FIRST_SWITCH, LAST_SWITCH,  # when the method changed; nan: never
    CONDITION, SETTING, CHANGE_AT,  # one that changes, what it is set to, and after which part of a step
    COMING,  # when the next timer changes
) = range(24)  # fmt: skip
N_CONTROL = 24

# one root, behind control: an output, or a state after all outputs; its level; -1, 0 or 1; the present value
# and those in a step, less the level
COLUMN, LEVEL, DIRECTION, PRESENT, SAMPLES = range(5)
LARGEST_SAMPLE = 15  # of what is watched: the largest size so far
ROOT = 16
# and what was found: how many crossings, of which those that find room follow; 1 or 0; and for how long it
# was above
COUNT, ABOVE_AT_START, TIME_ABOVE, FOUND = range(4)

# readings, behind the roots: a header | edges of segments | states that are needed | quantities | levels,
# flags (1 each) | what is known of each in this segment | lines at the nodes | two lines | points (2 each) |
# what was found (n_segments, n_quantities, 2) | and tangents, see readings.py
(
    QUANTITIES,
    N_WANTED,  # outputs and states that are looked at: a line
    SEGMENTS,
    WANTED_STATES,
    SEGMENT,  # the present one; -1 before the first
    ACCUMULATORS,
    TANGENTS_AT_NODES,  # 1 when areas want them
    FLAGGED_ONLY,  # 1 when the rest has been read in lanes
    INSTANT,  # of the last breakpoint
    PART,  # of the step, at which a value or a tangent is wanted
    WHICH,
    PART_FROM,
    PART_TO,  # of the quantities, and the part of the step in which it is read
) = range(13)
READ_HEADER, READ_NODES = 16, 4
# a quantity: what is read, of which of a line, the middle of a decline or the lowest level of halvings, where
# what is known of it stands, its column among outputs and states, and in which segment halvings begin to
# count
KIND, WANTED_COLUMN, PARAMETER, OFFSET, TANGENT_COLUMN, FROM = range(6)
QUANTITY = 6
MAXIMUM, MINIMUM, AREA, DECLINE, SPENT_ABOVE, AREA_ABOVE, LAST_ABOVE, LAST_BELOW, HALVINGS, AT_CLOSE = range(
    10
)
LEVELS_MOST = 10  # halvings that are followed: down to a thousandth
REACHED = 4  # of each subject: the time reached, the largest error, the first and the last change of method

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
    CLIPPED,
    ROWS,  # output times of this subject
) = range(13)
N_COUNTS = 13

# a span: what belongs to one subject in the arrays of all
DOSES_AT, DOSES_HERE, TIMES_AT, TIMES_HERE = range(4)
SPAN = 4

# A step on a tape, and then the states at its start, see adjoint.py: whether it was an explicit one, when it
# began, its size, the breakpoint before which it ends, output times and events before it
TAPE_EXPLICIT, TAPE_TIME, TAPE_STEP, TAPE_END, TAPE_ROWS, TAPE_EVENTS, TAPE = range(7)
N_CLOCKS = 18  # of lanes.py
ADJOINT_CLOCKS = 12
WEIGHTS = 24  # room for the weights of dense output: of y, y1 and the stages
HEADER = 16
# in the header of tangent; FRESH_TANGENT: 1 when k' of the first stage is that of the present y'
ERROR_NORM, SETTLE, DENSE_STAGES, FRESH_TANGENT = range(4)
# columns of a dose and of an event, and what a route has
(
    DOSE_TIME, DOSE_AMOUNT, DOSE_ROUTE, DOSE_DURATION, DOSE_SIZE, DOSE_RATE, DOSE_SINCE, DOSE_FACTOR,
) = range(8)  # fmt: skip
EVENT_TIME, EVENT_STATE, EVENT_JUMP, EVENT_RATE, EVENT_DOSE, EVENT_KIND = range(6)
LAG, BIOAVAILABILITY, OWN_DURATION, OWN_RATE = range(4)
DOSE, EVENT, ROUTE = 8, 6, 4
BOLUS, INFUSION_START, INFUSION_END, CHANGE, SET, ADD, REPLACE, CANCELLED, ABOVE = range(9)

# stages of every method, those included that serve its dense output alone
EXPLICIT_METHODS = {"tsit5": 7, "vern7": 16}
STIFF_METHODS = {"rodas4": 6, "rodas5p": 8}
METHODS = ("auto", *EXPLICIT_METHODS, *STIFF_METHODS)
LINEAR = "linear"  # for systems that are: see linear.py
EXPLICIT_ONLY, STIFF_ONLY, AUTO = range(3)  # sizes[METHOD]
SWITCHED = 2  # counts[METHOD_USED] is one of the first two, or this


def method_sentence(used: int, explicit: str, stiff: str) -> str:
    """What counts[METHOD_USED] says, for a pair of methods."""
    return (explicit, stiff, f"{explicit}, and {stiff} where the problem proved stiff")[used]


def wide(n: int) -> int:
    """Length of a vector of n states."""
    return max(1, -(-n // PACK)) * PACK


def work_size(
    n: int,
    n_jacobian: int,
    n_lu: int,
    n_steady: int,
    n_routes: int,
    m: int,
    stages: int,
    n_conditions: int,
    n_prepared: int,
) -> int:
    """Doubles of ``work`` for whatever uses it; stages : the most of any method.

    Methods: see march.py and linear.py. Rest: matrix (n_steady, n_steady) | change (n_steady, max(1, m)) | f
        | J. Routes: 4 n_routes.
    Conditions: see ``tangent.condition_tangent``.
    """
    w = wide(n)
    return max(
        (stages + 4) * w + WEIGHTS + max(w, n_jacobian + n_lu),
        2 * w + n_jacobian + 3 * (n + 1) ** 2,
        n_steady * n_steady + n_steady * max(1, m) + w + n_jacobian,
        4 * n_routes,
        2 * n_conditions * (1 + m + LANES) + (n_prepared * LANES if m else 0),
    )


def record_size(n: int, n_prepared: int, n_own: int, n_doses: int, n_read: int = 0) -> int:
    """Doubles of a subject's record in lanes: control | state | events | readings: the segment, what is known
    in it, levels."""
    return N_CONTROL + 4 * wide(n) + n_prepared + n_own + 2 * n_doses * EVENT + n_read


def room_size(
    n: int, n_prepared: int, n_jacobian: int, n_lu: int, n_subjects: int, stages: int, n_read: int = 0
) -> int:
    """Doubles of queues and vectors, see lanes.py; n_read : vectors of readings."""
    return 2 * (n_subjects + LANES) + LANES * (
        (8 + stages) * n + n_prepared + n_jacobian + n_lu + N_CLOCKS + 1 + n_read
    )


def slots_of(kind: int) -> int:
    """Doubles of what is known of a quantity: its value and time; of halvings the height, how many, the next
    one, and the time of each; of a decline the value, how it moves with the level, and the highest so far."""
    return {HALVINGS: 4 + LEVELS_MOST, DECLINE: 3}.get(kind, 2)


def read_size(
    n_segments: int, n_quantities: int, n_known: int, n_wanted: int, n_needed: int, width: int, m: int
) -> int:
    """Doubles of readings behind control; n_known : of what is known of all quantities."""
    plain = READ_HEADER + n_segments + 1 + n_needed + n_quantities * (QUANTITY + 2) + n_known
    plain += (READ_NODES + 2) * n_wanted + 2 * (READ_NODES + 2) + 2 * n_segments * n_quantities
    if not m:
        return plain
    return (
        plain + n_quantities + m * (2 * (n_segments + 1) * n_quantities + READ_NODES * n_wanted + width + 1)
    )


def read_vectors(n_quantities: int, n_known: int, n_wanted: int, stages: int) -> int:
    """Vectors of readings in lanes: segment | next edge | known | levels | flags | nodes | weights of two
    nodes | whether the first node is known."""
    return 3 + n_known + 2 * n_quantities + READ_NODES * n_wanted + 2 * stages


def tangent_size(
    n: int,
    m: int,
    n_routes: int,
    n_doses: int,
    n_jacobian: int,
    n_prepared: int,
    n_own: int,
    stages: int,
    n_conditions: int,
    n_outputs: int,
) -> int:
    """Doubles of ``tangent``; n_outputs : 0 without roots."""
    return (
        HEADER
        + m * (1 + (8 + stages) * n + n_jacobian + n_prepared + 4 * n_routes + n_own + n_doses)
        + 3 * wide(n)
        + 2 * n_conditions
        + m
        + (max(n_outputs * m, (n_prepared + n_outputs) * LANES) if n_outputs else 0)
        + 4 * n_routes
    )


def adjoint_size(
    n: int,
    n_prepared: int,
    n_jacobian: int,
    n_lu: int,
    n_routes: int,
    n_outputs: int,
    n_steady: int,
    stages: int,
    n_functionals: int,
) -> tuple[int, int]:
    """Doubles of ``room`` and ``work`` of adjoint.py."""
    of_step = 7 * n + n_prepared + 2 * n_jacobian + n_lu + n_outputs + stages + ROUTE * n_routes
    of_step += ADJOINT_CLOCKS + 5 * stages * n
    of_sums = n_functionals * (2 * n + n_prepared + ROUTE * n_routes + 1)
    w = wide(n)
    work = max(
        3 * w + n_prepared + ROUTE * (1 + n_routes),
        4 * w + n_steady * (n_steady + n_functionals) + n_jacobian + n_prepared,
        LANES * (n_prepared + n + ROUTE * n_routes + 1),
    )
    return LANES * (of_step + of_sums), work
