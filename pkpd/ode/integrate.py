"""Subjects from their initial values through all their doses to their last output.

Doses become breakpoints in each subject's own time (lag and duration may depend on parameters); at a
breakpoint the state jumps, is set, or an infusion rate changes, and integration starts afresh. Outputs at a
breakpoint's instant are right limits, but for those that the table puts above a row. Where the whole state is
set, infusions end and doses that were still on their way are cancelled; doses given before it may follow it
in the table, and then act from that instant on as far as they last.
"""

from __future__ import annotations

from math import inf, nan

from pkpd.ode.call import (
    DOUBLES,
    INTEGER,
    INTEGERS,
    STEP,
    c_function,
    call1,
    call2,
    call3,
    inner,
    shift,
    status11,
    status7,
)
from pkpd.ode.conditions import held, hold
from pkpd.ode.control import resolution
from pkpd.ode.doses import breakpoints
from pkpd.ode.layout import (
    ABOVE, ADD, ARRIVE, AT_TARGETS, BY_STIFF, CANCELLED, CHANGE, CLOCK, COMING, CONDITION, CONDITIONS,
    CONDITION_TANGENT, CONSTANTS, CROSS, CURSOR, DOSE, DOSES_AT, DOSES_HERE, EVENT, EVENTS, EVENT_DOSE,
    EVENT_JUMP, EVENT_KIND, EVENT_RATE, EVENT_STATE, EVENT_TANGENT, EVENT_TIME, EXPLICIT, EXPLICIT_ONLY,
    FIRST_SWITCH, HAND_IN, HEADER, H_NEXT, INFUSING, INFUSION_END, INFUSION_START, INITIAL,
    INITIAL_TANGENT, LARGEST_ERROR, LARGEST_SAMPLE, LAST_SWITCH, LEAVE, METHOD, METHOD_USED, NEXT_EVENT,
    N_COUNTS, N_DIRECTIONS, N_EVENTS, N_OWN, N_PARAMS, N_PREPARED, N_ROOTS, N_STATES, N_STEADY, N_TIMERS,
    N_TIMES, N_WATCHED, OBSERVE, QUANTITIES, REACHED, READINGS, READY, REPLACE, REST, ROOT, ROSENBROCK,
    ROUTES, ROWS, SEGMENTS, SET, SETTING, SPAN, START, STIFF_ONLY, SWITCHED, SWITCHES, T, T1, TIMERS,
    TIMES_AT, TIMES_HERE, WIDE, WIDTH,
)  # fmt: skip
from pkpd.ode.march import emit
from pkpd.ode.places import found_size, watched
from pkpd.ode.roots import hand_over, look_out
from pkpd.ode.status import BAD_DOSE, CHANGED, GO_ON, NOT_FINITE, NOT_STIFF, STIFF, SUCCESS
from pkpd.ode.tangent import moving, own_tangents
from pkpd.ode.vectors import clear


@inner
def begin(address, sizes, control, state, p, doses, span, counts, work, tangent, events):
    """Initial values and breakpoints of one subject, of which control[START] is set; a status. Arguments: see
    layout.py; doses : its own; events : room for (2 n_doses, EVENT)."""
    n, w, m = sizes[N_STATES], sizes[WIDE], sizes[N_DIRECTIONS]
    y, rate, largest = state, shift(state, w), shift(state, 3 * w)
    for i in range(w):
        y[i] = 0.0
        rate[i] = 0.0
        largest[i] = 0.0
    control[T] = control[START]
    counts[ROWS] = span[TIMES_HERE]
    control[H_NEXT] = 0.0
    control[LARGEST_ERROR] = 0.0
    control[FIRST_SWITCH] = nan
    control[LAST_SWITCH] = nan
    call2(address[INITIAL], p, y)
    if sizes[CLOCK] >= 0:
        y[sizes[CLOCK]] = control[START]
    if sizes[N_STEADY] > 0:
        status = status7(address[REST], address, sizes, control, state, p, work, tangent)
        if status != SUCCESS:
            return status
    for i in range(n):
        if not abs(y[i]) < inf:
            return NOT_FINITE
        largest[i] = abs(y[i])
    if m > 0:
        status = status7(address[INITIAL_TANGENT], address, sizes, control, state, p, work, tangent)
        if status != SUCCESS:
            return status
    seen = watched(sizes, control)
    for i in range(sizes[N_WATCHED]):
        seen[i * ROOT + LARGEST_SAMPLE] = 0.0
    call2(address[ROUTES], p, work)
    targets, own = shift(sizes, sizes[AT_TARGETS]), shift(p, sizes[N_PREPARED])
    n_events = breakpoints(address, span[DOSES_HERE], doses, targets, p, own, work, events)
    if n_events < 0:
        return BAD_DOSE
    control[N_EVENTS] = n_events
    control[NEXT_EVENT] = 0.0
    stiff = sizes[METHOD] == STIFF_ONLY
    control[BY_STIFF] = 1.0 if stiff else 0.0
    counts[METHOD_USED] = STIFF_ONLY if stiff else EXPLICIT_ONLY
    return SUCCESS


@inner
def jump(sizes, y, rate, own, event):
    """The change of states and infusion rates at one event."""
    kind = int(event[EVENT_KIND])
    i = int(event[EVENT_STATE])
    if kind == SET or kind == ADD:
        for j in range(sizes[N_STATES]):
            y[j] = own[i + j] + (y[j] if kind == ADD else 0.0)
            if kind == SET:
                rate[j] = 0.0
    elif kind == REPLACE:
        y[i] = event[EVENT_JUMP]
    else:
        y[i] += event[EVENT_JUMP]
        rate[i] += event[EVENT_RATE]
        if kind == INFUSION_END and abs(rate[i]) <= 1e-12 * abs(event[EVENT_RATE]):
            rate[i] = 0.0  # no crumbs of rounding once every infusion is over


@c_function(STEP)
def timers(address, sizes, control, state, p, work, tangent):
    """Conditions on the time as they are from control[T] on; control[COMING]: when the next one changes."""
    t = control[T]
    first = sizes[N_PARAMS]
    coming = inf
    for i in range(sizes[N_TIMERS]):
        call3(address[CONDITIONS], state, p, work)
        at = work[2 * i]
        setting = held(work[2 * i + 1], at, t)
        if setting != p[first + i]:
            if sizes[N_DIRECTIONS] > 0 and p[first + i] != 0.0:
                control[CONDITION] = float(i)
                control[SETTING] = setting
                status7(address[CONDITION_TANGENT], address, sizes, control, state, p, work, tangent)
            p[first + i] = setting
        if setting != 0.0 and at > t + resolution(t):
            coming = min(coming, at)
    control[COMING] = coming
    return SUCCESS


@inner
def write(address, sizes, y, p, counts, out, work, tangent, out_dot, end):
    """The outputs that are still to come before that of row ``end``, of the state as it is."""
    work[0] = 1.0  # the weights of what is emitted
    work[1] = 0.0
    for row in range(counts[CURSOR], end):
        emit(address, sizes, y, p, row, out, out_dot, work, 0, tangent)
    counts[CURSOR] = max(counts[CURSOR], end)


@inner
def cancel(events, first, end, dose):
    """What doses before this one still have on their way, and the ends of their infusions."""
    for e in range(first, end):
        event = shift(events, EVENT * e)
        if event[EVENT_DOSE] < dose:
            event[EVENT_KIND] = float(CANCELLED)


@inner
def act(address, sizes, control, state, p, doses, work, tangent, event):
    """The change that one event makes, to tangents and then to the state; whether the state jumps."""
    y, rate = state, shift(state, sizes[WIDE])
    kind = int(event[EVENT_KIND])
    if sizes[N_DIRECTIONS] > 0:
        dose = shift(doses, DOSE * int(event[EVENT_DOSE]))
        status7(address[EVENT_TANGENT], address, sizes, state, p, dose, event, tangent)
    jump(sizes, y, rate, shift(p, sizes[N_PREPARED]), event)
    if sizes[N_DIRECTIONS] > 0 and sizes[READINGS] > 0:
        status7(address[LEAVE], address, sizes, control, state, p, work, tangent)
    return kind != INFUSION_START and kind != INFUSION_END


@inner
def happen(address, sizes, control, state, p, doses, counts, out, work, tangent, out_dot, events):
    """Every event of the instant control[T], in order; whether the state jumped."""
    t = control[T]
    e, n_events = int(control[NEXT_EVENT]), int(control[N_EVENTS])
    jumped = False
    while e < n_events and events[EVENT * e + EVENT_TIME] <= t + resolution(t):
        event = shift(events, EVENT * e)
        e += 1
        kind = int(event[EVENT_KIND])
        if kind == ABOVE:
            write(address, sizes, state, p, counts, out, work, tangent, out_dot, int(event[EVENT_JUMP]))
        elif kind != CANCELLED:
            counts[EVENTS] += 1
            if kind == CHANGE:
                p[int(event[EVENT_STATE])] = event[EVENT_JUMP]
                call1(address[CONSTANTS], p)
            else:
                if act(address, sizes, control, state, p, doses, work, tangent, event):
                    jumped = True
                if kind == SET:
                    cancel(events, e, n_events, event[EVENT_DOSE])
    control[NEXT_EVENT] = e
    return jumped


@inner
def infusing(rate, n):
    """1 where anything is being infused, else 0."""
    for i in range(n):
        if rate[i] != 0.0:
            return 1.0
    return 0.0


@inner
def next_stop(control, events, last):
    """When the next event comes or the next condition on the time changes, or the last output."""
    t1 = min(last, control[COMING])
    e = int(control[NEXT_EVENT])
    if e < int(control[N_EVENTS]):
        t1 = min(t1, events[EVENT * e + EVENT_TIME])
    return t1


@inner
def breakpoint(address, sizes, control, state, p, doses, times, counts, out, work, tangent, out_dot, events):
    """Everything that happens at control[T]. GO_ON: then there is something to integrate up to control[T1];
    SUCCESS: all outputs are written."""
    y, rate = state, shift(state, sizes[WIDE])
    last = times[counts[ROWS] - 1]
    jumped = sizes[N_WATCHED] > 0 and p[sizes[N_PARAMS] + sizes[N_TIMERS]] == 0.0
    if sizes[N_DIRECTIONS] > 0:
        clear(moving(sizes, tangent), sizes[N_DIRECTIONS])
    read_dot = sizes[N_DIRECTIONS] > 0 and sizes[READINGS] > 0
    control[COMING] = inf
    while True:
        t = control[T]
        if read_dot:
            status7(address[ARRIVE], address, sizes, control, state, p, work, tangent)
        if sizes[N_TIMERS] > 0:
            status7(address[TIMERS], address, sizes, control, state, p, work, tangent)
            if read_dot:
                status7(address[LEAVE], address, sizes, control, state, p, work, tangent)
        if happen(address, sizes, control, state, p, doses, counts, out, work, tangent, out_dot, events):
            jumped = True
        if sizes[N_TIMERS] > 0:  # a change of parameters may have moved them
            status7(address[TIMERS], address, sizes, control, state, p, work, tangent)
        if jumped and sizes[N_WATCHED] > 0:
            hold(address, sizes, y, p, work)
        jumped = False
        if sizes[N_ROOTS] > 0:
            status7(address[OBSERVE], address, sizes, control, state, p, work, tangent)
        control[INFUSING] = infusing(rate, sizes[N_STATES])
        row = counts[CURSOR]
        while row < counts[ROWS] and times[row] <= t + resolution(t):  # of this instant, after the doses
            row += 1
        write(address, sizes, y, p, counts, out, work, tangent, out_dot, row)
        if row >= counts[ROWS]:
            return SUCCESS
        t1 = next_stop(control, events, last)
        control[T1] = t1
        if t1 - t > resolution(t1):
            return GO_ON
        control[T] = t1


@inner
def switch(control, counts, status):
    """The other method, when the one at work asks for it."""
    control[BY_STIFF] = 1.0 if status == STIFF else 0.0
    counts[METHOD_USED] = SWITCHED
    if counts[SWITCHES] == 0:
        control[FIRST_SWITCH] = control[T]
    control[LAST_SWITCH] = control[T]
    counts[SWITCHES] += 1


@c_function(STEP)
def cross(address, sizes, control, state, p, work, tangent):
    """A condition on states changes at control[T]; GO_ON, SUCCESS where this is a breakpoint as well, or why
    there is no derivative."""
    read_dot = sizes[N_DIRECTIONS] > 0 and sizes[READINGS] > 0
    if read_dot:
        status7(address[ARRIVE], address, sizes, control, state, p, work, tangent)
    status = status7(address[CONDITION_TANGENT], address, sizes, control, state, p, work, tangent)
    if read_dot:
        status7(address[LEAVE], address, sizes, control, state, p, work, tangent)
    if status == SUCCESS and sizes[N_ROOTS] > 0:
        status7(address[OBSERVE], address, sizes, control, state, p, work, tangent)
    if status == SUCCESS and control[T1] - control[T] > resolution(control[T1]):
        return GO_ON
    return status


@inner
def reach(control, reached):
    """What a subject leaves behind, into reached : (REACHED,)."""
    reached[0] = control[T]
    reached[1] = control[LARGEST_ERROR]
    reached[2] = control[FIRST_SWITCH]
    reached[3] = control[LAST_SWITCH]


@inner
def subject(
    address, sizes, control, state, p, doses, span, times, counts, out, work, tangent, out_dot, events
):
    """Integrate one subject; its status. Arguments: see layout.py; doses, times : its own; events : room for
    (2 n_doses, EVENT)."""
    status = begin(address, sizes, control, state, p, doses, span, counts, work, tangent, events)
    while status == SUCCESS:
        status = breakpoint(
            address, sizes, control, state, p, doses, times, counts, out, work, tangent, out_dot, events
        )
        if status == SUCCESS:
            return status
        while status == GO_ON or status == STIFF or status == NOT_STIFF:
            method = address[ROSENBROCK] if control[BY_STIFF] != 0.0 else address[EXPLICIT]
            status = status11(
                method, address, sizes, control, state, p, times, counts, out, work, tangent, out_dot
            )
            if status == STIFF or status == NOT_STIFF:
                switch(control, counts, status)
            elif status == CHANGED:
                status = status7(address[CROSS], address, sizes, control, state, p, work, tangent)
    return status


@inner
def prepare(address, sizes, parameters, p):
    """Parameters of one subject, what they alone decide, and what is its own, into p. parameters : (n_params
    + N_OWN,)."""
    for i in range(sizes[N_PREPARED]):
        p[i] = parameters[i] if i < sizes[N_PARAMS] else 0.0
    call1(address[CONSTANTS], p)
    for i in range(sizes[N_OWN]):
        p[sizes[N_PREPARED] + i] = parameters[sizes[N_PARAMS] + i]


SUBJECTS = (
    None, INTEGERS, INTEGERS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES, INTEGERS, DOUBLES, DOUBLES,
    DOUBLES, DOUBLES, DOUBLES, INTEGERS,
    DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES, INTEGERS, DOUBLES, INTEGER, INTEGER,
)  # fmt: skip


@c_function(SUBJECTS)
def subjects(
    address, sizes, control, state, parameters, doses, times, counts, out, work, tangent, out_dot, events,
    status, reached, scales,
    levels, crossings, heights, found, found_dot, spans, starts, first, end,
):  # fmt: skip
    """Integrate subjects first..end-1 in place. A failed subject is marked and its outputs are nan; its
    neighbours do not notice.

    parameters : (n_subjects, n_params + N_OWN); counts : (n_subjects, N_COUNTS); out : (n_subjects, n_times,
        width); out_dot : (n_subjects, n_times,
    width, m); status : (n_subjects,); reached : (n_subjects, REACHED); scales : (n_subjects, m + N_OWN m),
    scales and then own';
    levels : (n_subjects, n_roots); crossings : (n_subjects, n_roots, found_size); heights : (n_subjects,
        n_quantities), levels of readings; found, found_dot :
    (n_subjects, n_segments, n_quantities, 2) and (..., m), what was read. The rest is this thread's own
    storage, see layout.py.
    """
    q = sizes[N_PARAMS] + sizes[N_OWN]
    m = sizes[N_DIRECTIONS]
    n_own = sizes[N_OWN] * m
    block = sizes[N_TIMES] * sizes[WIDTH]
    for s in range(first, end):
        for d in range(m):
            tangent[HEADER + d] = scales[s * (m + n_own) + d]
        if n_own > 0:
            own_dot = own_tangents(sizes, tangent)
            for i in range(n_own):
                own_dot[i] = scales[s * (m + n_own) + m + i]
        p = shift(state, 4 * sizes[WIDE])
        prepare(address, sizes, shift(parameters, s * q), p)
        mine = shift(out, s * block)
        look_out(sizes, control, shift(levels, s * sizes[N_ROOTS]))
        span = shift(spans, s * SPAN)
        control[START] = starts[s]
        if sizes[READINGS] > 0:
            area = shift(control, sizes[READINGS])
            height = shift(heights, s * int(area[QUANTITIES]))
            status7(address[READY], address, sizes, control, height, state, work, tangent)
        status[s] = subject(
            address, sizes, control, state, p, shift(doses, DOSE * span[DOSES_AT]), span,
            shift(times, span[TIMES_AT]), shift(counts, s * N_COUNTS), mine, work, tangent,
            shift(out_dot, s * block * m), events,
        )  # fmt: skip
        reach(control, shift(reached, s * REACHED))
        hand_over(sizes, control, shift(crossings, s * sizes[N_ROOTS] * found_size(sizes)))
        if sizes[READINGS] > 0:
            area = shift(control, sizes[READINGS])
            size = s * 2 * int(area[SEGMENTS]) * int(area[QUANTITIES])
            status7(
                address[HAND_IN], address, sizes, control, shift(found, size), shift(found_dot, size * m),
                work, tangent
            )  # fmt: skip
        if status[s] != SUCCESS:
            for i in range(block):
                mine[i] = nan
