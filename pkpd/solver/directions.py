"""What a solve differentiates by.

A direction is a relative change, so that its sensitivity has the states' units and their tolerance; the scale
is what to divide by afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pkpd.core.errors import InputError
from pkpd.dosing import EventTable
from pkpd.ode import layout
from pkpd.solver.kernel import Kernel, index_of
from pkpd.solver.solution import Floats, Integers
from pkpd.solver.table import Table


@dataclass(frozen=True)
class Directions:
    """count : how many were asked for; slots : (n_params,) direction of each parameter, or -1; scale :
    (n_subjects, m), what to divide by; by_initial :
    (n_states, m) and by_dose : (n_events, m), tangents of initial values and of the amounts of events. m is
        count, rounded up to whole vectors."""

    count: int
    slots: Integers
    scale: Floats
    by_initial: Floats
    by_dose: Floats

    @property
    def m(self) -> int:
        """Directions, rounded up."""
        return int(self.scale.shape[1])

    def at(self, p: Floats) -> Directions:
        """The same at parameters (n_subjects, n_params), by relative changes of these."""
        which, places = self._of_parameters
        scale = self.scale.copy()
        values = p.take(which, axis=1)
        values[values == 0.0] = 1.0
        scale[:, places] = values
        return Directions(self.count, self.slots, scale, self.by_initial, self.by_dose)

    @cached_property
    def _of_parameters(self) -> tuple[Integers, Integers]:
        """The parameters that are directions, and which of them."""
        which = np.flatnonzero(self.slots >= 0)
        return which, self.slots[which]

    def of(self, who: Integers, n_events: int) -> Directions:
        """Those of some subjects, who have so many events, none of whose amounts is a direction."""
        by_dose = np.zeros((n_events, self.m))
        return Directions(self.count, self.slots, self.scale[who], self.by_initial, by_dose)

    def seeds(self, table: Table) -> Floats:
        """Tangents of initial values (n_states, m) and of the rows of a table (most_rows, m), one after the
        other. Amounts of doses are directions only where one table is everybody's."""
        by_row = np.zeros((table.most_rows, self.m))
        if table.spans is None:
            known = table.source >= 0
            by_row[known] = self.by_dose[table.source[known]]
        return np.concatenate([self.by_initial.ravel(), by_row.ravel()])


def directions_of(
    kernel: Kernel,
    events: EventTable | None,
    n_subjects: int,
    directions: Sequence[int | str],
    *,
    resumed: bool,
) -> Directions:
    """Read the names; events : None where subjects have their own; resumed : whether the initial values are
    given, so that a steady state is free as well. Scales of parameters are those of ``Directions.at``."""
    if not kernel.has_tangents:
        raise InputError(
            f"{kernel.NAME} is made of functions, of which there are no derivatives: sensitivities need a "
            "model's text; or compare solves with other parameters"
        )
    n_events = 0 if events is None else len(events)
    m = -(-len(directions) // layout.LANES) * layout.LANES
    slots = np.full(kernel.n_params, -1, np.int64)
    by_initial = np.zeros((kernel.n_states, m))
    by_dose = np.zeros((n_events, m))
    scale = np.ones((n_subjects, m))
    for d, direction in enumerate(directions):
        if isinstance(direction, str):
            if state := re.fullmatch(r"(\w+)\(0\)", direction):
                index = index_of(state[1], kernel.STATES, "state", kernel)
                if kernel.STEADY[index] and not resumed:
                    raise InputError(
                        f"{direction}: the initial value of {state[1]} is a steady state of the "
                        "parameters, not free"
                    )
                by_initial[index, d] = 1.0
                continue
            if dose := re.fullmatch(r"dose\[(\d+)\]", direction):
                if events is None:
                    raise InputError(f"{direction}: amounts are directions where one table is everybody's")
                if int(dose[1]) >= n_events:
                    raise InputError(f"{direction}: the schedule has only {n_events} doses, counted from 0")
                amount = events.amount[int(dose[1])] or 1.0
                by_dose[int(dose[1]), d] = amount
                scale[:, d] = amount
                continue
            direction = index_of(direction, kernel.PARAMETERS, "parameter", kernel)
        if not 0 <= direction < kernel.n_params:
            raise InputError(
                f"direction {direction} is not the index of a parameter of {kernel.NAME} "
                f"(0..{kernel.n_params - 1})"
            )
        if slots[direction] >= 0:
            raise InputError(f"{kernel.PARAMETERS[direction]} is named twice among the directions")
        slots[direction] = d
    return Directions(len(directions), slots, scale, by_initial, by_dose)
