"""The result: schedules of which none is better in everything, each with its uncertainty, and the files they
are written to."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pkpd.core import html
from pkpd.core.files import write_json, write_rows
from pkpd.decision.endpoints import Endpoint
from pkpd.decision.evidence import Behind, Evidence, Standing
from pkpd.decision.optimisation.space import SpacePoint
from pkpd.decision.people import PeopleShare
from pkpd.decision.wishes import Constraint, Goal

if TYPE_CHECKING:
    import pandas as pd


class MedianEstimate(NamedTuple):
    """Median over subjects, and its 90 % interval by the uncertainty of the parameters."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Choice:
    """A schedule of a front, in all subjects.

    estimates : by endpoint; held : for each constraint the probability that it holds, by the uncertainty of
    the parameters; shares : for each the share of people in whom it holds, None of one that is meant of the
    median; held_all : the probability that all hold at once; dominated : that another schedule, which holds
    all constraints, is as good in every objective and better in one; stays : that this one holds all
    constraints and is not dominated; violations : for each constraint 0, or by which share of its bound it is
    missed; warnings : where it leaves what the fit has seen; standings : by endpoint how far its numbers have
    been put to the test (``pkpd.decision.evidence``).
    """

    number: int
    schedule: str
    point: SpacePoint
    estimates: Mapping[Endpoint, MedianEstimate]
    held: tuple[float, ...]
    shares: tuple[PeopleShare | None, ...]
    held_all: float
    dominated: float
    stays: float
    violations: tuple[float, ...]
    warnings: tuple[str, ...]
    standings: Mapping[Endpoint, Standing]

    def __repr__(self) -> str:
        return f"<Choice {self.number}: {self.schedule!r}, stays on the front with {100 * self.stays:.0f} %>"

    def estimate(self, endpoint: str) -> MedianEstimate:
        """By the name of the endpoint."""
        return next(value for key, value in self.estimates.items() if key.name == endpoint)


class SeenSchedule(NamedTuple):
    """A schedule that the search looked at, in its fewer subjects: medians by endpoint, and whether it holds
    all constraints there."""

    schedule: str
    medians: Mapping[Endpoint, float]
    holds: bool


@dataclass(frozen=True, eq=False)
class Front:
    """Schedules of a space that hold the constraints and of which none is better in every objective.

    choices : the front, from little to much of the second objective's cost; empty where no schedule holds the
        constraints: ``infeasible`` then says so,
    and ``nearest`` has those that miss them least. seen : all that the search looked at. behind : what the
    fit knows of its outputs, on which ``standings`` of the schedules stand.
    """

    objectives: tuple[Goal, ...]
    constraints: tuple[Constraint, ...]
    confidence: float
    choices: tuple[Choice, ...]
    nearest: tuple[Choice, ...]
    infeasible: str
    seen: tuple[SeenSchedule, ...]
    interrupted: bool
    behind: Behind
    reading: tuple[str, ...]
    """What the numbers are, in sentences."""
    notes: tuple[str, ...]
    """What else a reader needs to know of the subjects and of the search."""
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        words = f"{len(self.choices)} schedules" if self.choices else f"none, {len(self.nearest)} nearest"
        wishes = "; ".join(map(str, (*self.objectives, *self.constraints)))
        shown = [f"  {choice.number}  {choice.schedule}" for choice in self.shown[:3]]
        more = [f"  ... and {len(self.shown) - 3} more: to_frame()"] * (len(self.shown) > 3)
        return "\n".join([f"<Front of {words} out of {len(self.seen):,}, for {wishes}:", *shown, *more]) + ">"

    def _repr_html_(self) -> str:
        names = [
            f"{endpoint.name}" + (f", {endpoint.unit}" if endpoint.unit != "1" else "")
            for endpoint in self.endpoints
        ]
        chances = [f"P({constraint})" for constraint in self.constraints]
        counted = [str(constraint) for constraint in self.constraints if constraint.share is not None]
        rows = [
            (
                choice.number,
                choice.schedule,
                *(html.interval(*choice.estimates[endpoint]) for endpoint in self.endpoints),
                *(html.interval(*share) for share in choice.shares if share is not None),
                *choice.held,
                choice.stays,
            )
            for choice in self.shown
        ]
        note = "Medians over subjects, with 90 % intervals by the parameters. A model, not medical advice."
        return html.table(
            self.infeasible or repr(self).splitlines()[0].lstrip("<").rstrip(":>"),
            ("", "schedule", *names, *counted, *chances, "P(front)"),
            rows,
            " ".join((*self.warnings, note)),
        )

    @property
    def shown(self) -> tuple[Choice, ...]:
        """The front, or where there is none the nearest schedules."""
        return self.choices or self.nearest

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Of the objectives, then of the constraints, each once."""
        wishes: tuple[Goal | Constraint, ...] = (*self.objectives, *self.constraints)
        return tuple(dict.fromkeys(wish.endpoint for wish in wishes))

    @property
    def sources(self) -> tuple[Evidence, ...]:
        """The rows of data behind the numbers of the schedules that are shown."""
        return self.behind.under(one for choice in self.shown for one in choice.standings.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Notes, and where schedules leave what the fit has seen, each sentence once, with the numbers of the
        schedules."""
        about: dict[str, list[int]] = {}
        for choice in self.shown:
            for warning in choice.warnings:
                about.setdefault(warning, []).append(choice.number)
        everybody = len(self.shown)

        def who(numbers: list[int]) -> str:
            return "All schedules" if 1 < everybody == len(numbers) else numbers_words(numbers)

        return (
            *self.notes,
            *(
                f"{who(numbers)}: {warning}"
                for warning, numbers in sorted(about.items(), key=lambda item: -len(item[1]))
            ),
        )

    def to_frame(self) -> pd.DataFrame:
        """A row per schedule; provenance, warnings and what the numbers are in ``attrs``."""
        import pandas as pd

        frame = pd.DataFrame(self._records(), columns=self._columns())
        frame.attrs = {
            "provenance": self.provenance,
            "warnings": list(self.warnings),
            "reading": list(self.reading),
        }
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Plain values: objectives, constraints, the front, what the search looked at, and how it was
        made."""
        return {
            "provenance": self.provenance,
            "reading": list(self.reading),
            "warnings": list(self.warnings),
            "interrupted": self.interrupted,
            "infeasible": self.infeasible,
            "objectives": [str(objective) for objective in self.objectives],
            "constraints": [str(constraint) for constraint in self.constraints],
            "confidence": self.confidence,
            "endpoints": [
                dataclasses.asdict(endpoint)
                for endpoint in dict.fromkeys(key for choice in self.shown for key in choice.estimates)
            ],
            "front": [self._plain(choice) for choice in self.choices],
            "nearest": [self._plain(choice) for choice in self.nearest],
            "sources": [one.as_dict() for one in self.sources],
            "seen": [
                {"schedule": seen.schedule, "holds": seen.holds}
                | {endpoint.name: _in_json(value) for endpoint, value in seen.medians.items()}
                for seen in self.seen
            ],
        }

    def _plain(self, choice: Choice) -> dict[str, Any]:
        return {
            "number": choice.number,
            "schedule": choice.schedule,
            **_coordinates(choice.point),
            "estimates": {
                endpoint.name: {key: _in_json(value) for key, value in estimate._asdict().items()}
                for endpoint, estimate in choice.estimates.items()
            },
            "standings": {
                endpoint.name: standing.as_dict() for endpoint, standing in choice.standings.items()
            },
            "held": {str(constraint): p for constraint, p in zip(self.constraints, choice.held, strict=True)},
            "shares": {
                str(constraint): {key: _in_json(value) for key, value in share._asdict().items()}
                for constraint, share in zip(self.constraints, choice.shares, strict=True)
                if share is not None
            },
            "held_all": choice.held_all,
            "dominated": choice.dominated,
            "stays": choice.stays,
            "violations": {
                str(constraint): share
                for constraint, share in zip(self.constraints, choice.violations, strict=True)
            },
            "warnings": list(choice.warnings),
        }

    def _records(self) -> list[dict[str, Any]]:
        return [
            {"number": choice.number, "schedule": choice.schedule, **_coordinates(choice.point)}
            | {
                f"{endpoint.name}{suffix}": value
                for endpoint, estimate in choice.estimates.items()
                for suffix, value in (
                    *zip(("", " low", " high"), estimate, strict=True),
                    (" light", str(choice.standings[endpoint].light)),
                )
            }
            | {
                f"{constraint}{suffix}": value
                for constraint, share in zip(self.constraints, choice.shares, strict=True)
                if share is not None
                for suffix, value in zip(("", " low", " high"), share, strict=True)
            }
            | {f"P({constraint})": p for constraint, p in zip(self.constraints, choice.held, strict=True)}
            | {"P(all)": choice.held_all, "P(dominated)": choice.dominated, "P(front)": choice.stays}
            for choice in self.shown
        ]

    def _columns(self) -> list[str]:
        records = self._records()
        return list(records[0]) if records else ["number", "schedule"]

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """A row per schedule of the front (of the nearest where there is none), whole or not at all; an
        endpoint beyond the horizon is ``inf``.

        Provenance and warnings stand above the header in lines that begin with "#".
        """
        write_rows(
            path,
            self._columns(),
            self._records(),
            about=self.provenance,
            remarks=(*filter(None, [self.infeasible]), *self.reading, *self.warnings),
        )

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """What ``to_dict`` has, whole or not at all. A number that does not exist is null, one beyond the
        horizon "inf"."""
        write_json(path, self.to_dict())


def _coordinates(point: SpacePoint) -> dict[str, float | int]:
    return {
        "dose": float(point.dose),
        "days": point.days,
        "spacing": float(point.spacing),
        "interval": float(point.interval),
        "cycles": point.cycles,
    }


def numbers_words(numbers: list[int]) -> str:
    """1, 2, 3, 7 -> "1-3, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _in_json(value: float) -> float | str:
    return ("inf" if value > 0 else "-inf") if math.isinf(value) else value
