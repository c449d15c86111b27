"""Conditions at which the rates jump: timers, which change at times that parameters decide, and conditions on
states.

As long as a condition is held true or false, the rates are smooth; it changes at a breakpoint or at the end
of a step, never inside. When a timer changes is known (``integrate.breakpoint``). A condition on states is
held only where derivatives are asked for; when it changes is watched (``watch.py``). Without derivatives the
error control finds its way through.
"""

from __future__ import annotations

from math import inf

from pkpd.ode.call import call3, inner
from pkpd.ode.control import resolution
from pkpd.ode.layout import CONDITIONS, N_PARAMS, N_TIMERS, N_WATCHED


@inner
def held(turn, at, t):
    """How a timer that changes at a time stands from now on: inf true, -inf false, 0 where it never
    changes."""
    if turn == 0.0 or not abs(at) < inf:
        return 0.0
    after = inf if turn > 0.0 else -inf
    return after if t + resolution(t) >= at else -after


@inner
def hold(address, sizes, y, p, values):
    """Hold the conditions on states as they are at y; values : 2 for every condition."""
    call3(address[CONDITIONS], y, p, values)
    first = sizes[N_PARAMS] + sizes[N_TIMERS]
    for i in range(sizes[N_WATCHED]):
        p[first + i] = inf if values[2 * (sizes[N_TIMERS] + i)] > 0.0 else -inf
