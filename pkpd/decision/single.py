"""One or two endpoints of many subjects, without the rest of a comparison: what they are called, and their
values at parameters that are placed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pkpd.core.errors import InputError
from pkpd.core.names import question_or_list
from pkpd.core.progress import Progress
from pkpd.decision.comparison import Scene
from pkpd.decision.endpoints import Endpoint
from pkpd.dosing import Schedule
from pkpd.dosing.rules import Plan
from pkpd.inference.population import Population

Floats = NDArray[np.float64]

CHUNK = 32
"""Subjects after which progress is told."""


def endpoints_of(scene: Scene, schedule: Plan, names: Sequence[str]) -> list[Endpoint]:
    """The endpoints of these names under a schedule. Raises ``InputError`` for a name there is none of."""
    known = {endpoint.name: endpoint for endpoint in scene.first(1).arm(schedule).endpoints}
    for name in names:
        if name not in known:
            raise InputError(f'there is no endpoint "{name[:60]}"; {question_or_list(name, list(known))}')
    return [known[name] for name in names]


def only(scene: Scene, names: Sequence[str]) -> Scene:
    """The scene with no other endpoints than these."""
    outputs = scene.population.kernel.OUTPUTS
    return dataclasses.replace(scene, criteria=scene.criteria.only(names, outputs), chunk=CHUNK)


def resting(scene: Scene, endpoints: Sequence[Endpoint]) -> list[str]:
    """What endpoints that are shown on request rest on, and what is to be said of risks."""
    said = [group.said for group in scene.criteria.resting(endpoint.group for endpoint in endpoints)]
    return said + [risk.note for risk in scene.criteria.risks if risk.endpoint in endpoints]


def values_of(
    scene: Scene,
    population: Population,
    schedule: Schedule,
    endpoints: Sequence[Endpoint],
    progress: Progress | None = None,
) -> Floats:
    """(n_endpoints, n_subjects), nan where a subject has none."""
    there = dataclasses.replace(scene, population=population, drawn=None)
    found = there.arm(schedule, progress=progress).endpoints
    none = np.full(len(population), np.nan)
    return np.array([found.get(endpoint, none) for endpoint in endpoints])
