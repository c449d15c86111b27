"""Conditions on states, where derivatives are asked for: when one changes inside a step.

The instant is found on the dense output as a root is, the step is cut short there and taken again
(``march.march``), and the tangents are carried over (``tangent.condition_tangent``).
"""

from __future__ import annotations

from pkpd.ode.methods import explicit, rosenbrock
from pkpd.ode import roots
from pkpd.ode.call import STEP, bound, c_function, call3, inner, shift
from pkpd.ode.control import TINY, resolution
from pkpd.ode.layout import (
    CHANGE_AT, COLUMN, CONDITION, CONDITIONS, H, LARGEST_SAMPLE, N_PARAMS, N_TIMERS, N_WATCHED, ROOT,
    SAMPLES, SETTING, T, WIDE,
)  # fmt: skip
from pkpd.ode.places import watched
from pkpd.ode.roots import AT, PLACES, above
from pkpd.ode.status import CHANGED, SUCCESS
from pkpd.ode.vectors import copy


@inner
def beyond(sizes, u, line, root):
    """The number whose sign is the condition's."""
    return line[int(root[COLUMN])]


def _look(of):
    """How roots looks into a step of a method, at conditions."""
    return bound(
        (roots.inside, roots.beyond_at, roots.locate, roots.turn),
        STAGES=len(of.B_ERROR),
        weigh=of.weigh,
        LOOKED_AT=CONDITIONS,
        beyond=beyond,
    )


STEPS = explicit.METHODS | rosenbrock.METHODS
# Of the method whose steps are watched: here tsit5; ``METHODS`` below has the same function for every table
STAGES = explicit.ALL
inside, locate, turn = (getattr(_look(STEPS["tsit5"]), name) for name in ("inside", "locate", "turn"))


@inner
def sample(address, sizes, control, state, p, work):
    """The numbers of all conditions at PLACES of the step, each into its own room."""
    u = shift(work, STAGES * sizes[WIDE])
    room = watched(sizes, control)
    line = shift(room, sizes[N_WATCHED] * ROOT)
    first = sizes[N_PARAMS] + sizes[N_TIMERS]
    for j in range(PLACES):
        if j == 0:
            call3(address[CONDITIONS], state, p, line)
        elif j == PLACES - 1:
            copy(u, shift(u, sizes[WIDE]), sizes[WIDE])
            call3(address[CONDITIONS], u, p, line)
        else:
            inside(address, sizes, control, state, p, work, line, AT[j])
        for i in range(sizes[N_WATCHED]):
            root = shift(room, i * ROOT)
            root[COLUMN] = float(2 * (sizes[N_TIMERS] + i))
            value = beyond(sizes, u, line, root)
            root[LARGEST_SAMPLE] = max(root[LARGEST_SAMPLE], abs(value))
            if j == 0 and above(value) != above(p[first + i]):  # but for rounding it is where it is held
                value = TINY if p[first + i] > 0.0 else -TINY
            root[SAMPLES + j] = value


@inner
def first_change(address, sizes, control, state, p, work, line, root):
    """The part of the step at which a condition changes first; more than 1 where it does not."""
    u = shift(work, STAGES * sizes[WIDE])
    samples = shift(root, SAMPLES)
    for j in range(1, PLACES):
        before, there, g = j - 1, AT[j], samples[j]
        found = above(samples[j - 1]) != above(samples[j])
        if not found and j < PLACES - 1:
            there = turn(address, sizes, control, state, p, work, line, root, j)
            if there > 0.0:
                found = True
                inside(address, sizes, control, state, p, work, line, there)
                g = beyond(sizes, u, line, root)
                before = j if there > AT[j] else j - 1
        if found:
            return locate(
                address, sizes, control, state, p, work, line, root, AT[before], samples[before], there, g
            )
    return 2.0


@c_function(STEP)
def watch(address, sizes, control, state, p, work, tangent):
    """CHANGED where a condition changes in the step of size control[H] that could be accepted: which, and
    where, the first of several.

    The stages stand in work, those of dense output too.
    """
    t, h = control[T], control[H]
    room = watched(sizes, control)
    line = shift(room, sizes[N_WATCHED] * ROOT)
    first = sizes[N_PARAMS] + sizes[N_TIMERS]
    sample(address, sizes, control, state, p, work)
    earliest = 2.0
    for i in range(sizes[N_WATCHED]):
        x = first_change(address, sizes, control, state, p, work, line, shift(room, i * ROOT))
        if x < earliest:
            earliest = x
            control[CONDITION] = float(sizes[N_TIMERS] + i)
            control[SETTING] = -p[first + i]
    if earliest > 1.0:
        return SUCCESS
    control[CHANGE_AT] = 1.0 if (1.0 - earliest) * h <= resolution(t + h) else earliest
    return CHANGED


METHODS = {name: bound((sample, first_change, watch), **vars(_look(of))) for name, of in STEPS.items()}
