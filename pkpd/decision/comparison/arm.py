"""What one schedule does in all subjects of a scene."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.extras import optional
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.evidence import Standing
from pkpd.dosing import Schedule
from pkpd.dosing.rules import AdaptiveSchedule, Plan
from pkpd.dosing.taking import TakenSchedule

if TYPE_CHECKING:
    from pkpd.decision.comparison.scene import Scene

Floats = NDArray[np.float64]

BANDS = (0.05, 0.5, 0.95)


@dataclass(frozen=True, eq=False)
class Arm:
    """What one schedule does to the subjects of a scene.

    ``Scene.arms`` makes them, ``compare`` compares them.

    Attributes
    ----------
    label, schedule, scene : what it is called, what is given, and to whom.
    days : (n_times,), in days.
    bands : output -> (3, n_times), the 5 %, 50 % and 95 % quantiles over subjects.
    units : output -> the unit of its bands.
    endpoints : (n_subjects,) each, in the endpoint's unit, of the same subjects in every arm of a scene, nan
        where a subject has no value and inf where it lies beyond the horizon.
    dose_days, dose_amounts : (n_doses,), as written, like the schedule, whatever ``rules`` made of them, in
        days and in ``dose_unit``.
    dose_unit : "" where the doses are not all of one unit.
    warnings : where this schedule leaves what the fit has seen; no_data : those of them that say of what
        there are no data.
    standings : on what each endpoint stands, by its name: a traffic light, why, and the outputs whose rows of
        data are behind it (``scene.behind``). What follows from the doses alone is not among them.
    failed : subjects that could not be integrated (their values are nan).
    rules : the schedule with its rules, where it has some.
    taken : the schedule with how its doses are taken, where that is said.

    Examples
    --------
    >>> import pkpd
    >>> scene = pkpd.Scene.create("low_dose_il2", subjects=4)
    >>> (arm,) = scene.arms(["1 MIU sc daily x5"])
    >>> arm.when, arm.dose_amounts.tolist(), arm.dose_unit
    ('5 doses on days 0-4', [1.0, 1.0, 1.0, 1.0, 1.0], 'MIU')
    >>> arm.bands["treg_pct"].shape == (3, len(arm.days)), arm.units["treg_pct"]
    (True, 'percent')
    """

    label: str
    schedule: Schedule
    scene: Scene
    days: Floats
    bands: dict[str, Floats]
    units: dict[str, str]
    endpoints: dict[Endpoint, Floats]
    dose_days: Floats
    dose_amounts: Floats
    dose_unit: str
    warnings: tuple[str, ...]
    failed: int
    rules: AdaptiveSchedule | None = None
    taken: TakenSchedule | None = None
    no_data: tuple[str, ...] = ()
    standings: Mapping[str, Standing] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<Arm {self.label!r}: {self.when}, {len(self.endpoints)} endpoints of "
            f"{self.scene.subjects:,} subjects over {self.days.max(initial=0.0):g} days>"
        )

    def _repr_html_(self) -> str:
        columns = ("output", "unit", "least median", "most", "on day", "90 % of subjects there")
        rows = []
        for name, (low, median, high) in self.bands.items():
            known = np.isfinite(median)
            if not known.any():
                continue
            at = int(np.argmax(np.where(known, median, -np.inf)))
            span = html.interval(float(median[at]), float(low[at]), float(high[at]))
            ends = float(median[known].min()), float(median[at])
            rows.append((name, self.units[name], *ends, float(self.days[at]), span))
        advice = "pkpd.compare has its endpoints. A model, not medical advice."
        note = " ".join((*self.rests_on, *self.warnings, advice))
        return html.table(repr(self)[1:-1], columns, rows, note)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset``: of each output the band over subjects, (quantile, day), and ``endpoints``,
        (endpoint, subject).

        Raises ``MissingExtraError`` where the package xarray is not installed.
        """
        xarray = optional("xarray", "xarray")
        bands = {
            name: (("quantile", "day"), band, {"units": self.units[name]})
            for name, band in self.bands.items()
        }
        return xarray.Dataset(
            bands | {"endpoints": (("endpoint", "subject"), np.array(list(self.endpoints.values())))},
            coords={
                "quantile": list(BANDS),
                "day": self.days,
                "endpoint": [endpoint.name for endpoint in self.endpoints],
                "unit": ("endpoint", [endpoint.unit for endpoint in self.endpoints]),
                "subject": np.arange(self.scene.subjects),
            },
            attrs={"label": self.label, "schedule": self.text, "rests_on": list(self.rests_on)},
        )

    @property
    def rests_on(self) -> tuple[str, ...]:
        """What outputs and endpoints rest on that are shown on request, whose numbers an arm has too."""
        groups = {endpoint.group for endpoint in self.endpoints}
        return tuple(group.said for group in self.scene.criteria.resting(groups, self.bands))

    def among(self, scene: Scene) -> Arm:
        """The endpoints of the first subjects alone, those of ``scene``; bands stay those of all."""
        own = {endpoint: values[: scene.subjects] for endpoint, values in self.endpoints.items()}
        return dataclasses.replace(self, scene=scene, endpoints=own)

    @property
    def text(self) -> str:
        """What is given, in the schedule language, rules and what becomes of doses included."""
        return str(self.plan)

    @property
    def plan(self) -> Plan:
        """What is given, with its rules or with how its doses are taken."""
        return self.rules or self.taken or self.schedule

    @property
    def when(self) -> str:
        """How many doses on which days, for people: "15 doses on days 0-4, 28-32, 56-60"; with rules, or
        where they are taken otherwise, as planned."""
        n = self.schedule.n_doses
        if not n:
            return "no dose"
        planned = "" if self.plan is self.schedule else " as planned"
        return f"{n:,} dose{'s' * (n > 1)} on {self.schedule.when}{planned}"
