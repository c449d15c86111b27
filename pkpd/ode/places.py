"""Where things stand whose places follow from counts: behind the clock and the options in ``control``, and
scratch in ``tangent``. See layout.py."""

from __future__ import annotations

from pkpd.ode.call import inner, shift
from pkpd.ode.layout import (
    FOUND, LANES, MOST, N_CONTROL, N_DIRECTIONS, N_OUTPUTS, N_PREPARED, N_ROOTS, N_TIMERS, N_WATCHED, ROOT,
)  # fmt: skip


@inner
def found_size(sizes):
    """Of one root: counts, crossings, and how each moves along the directions."""
    return FOUND + sizes[MOST] * (1 + sizes[N_DIRECTIONS])


@inner
def watched(sizes, control):
    """What is watched: (N_WATCHED, ROOT) | 2 for every condition."""
    return shift(control, N_CONTROL + sizes[N_ROOTS] * (ROOT + found_size(sizes)) + sizes[N_OUTPUTS])


@inner
def scratch_size(sizes):
    """Doubles for the tangents of outputs at a crossing."""
    if sizes[N_ROOTS] == 0:
        return 0
    return max(sizes[N_OUTPUTS] * sizes[N_DIRECTIONS], (sizes[N_PREPARED] + sizes[N_OUTPUTS]) * LANES)


@inner
def n_conditions(sizes):
    """How many conditions the model has, where derivatives are asked for."""
    return sizes[N_TIMERS] + sizes[N_WATCHED]
